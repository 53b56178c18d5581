"""HTTP to a server: kept connections, the threads that use them, streams of events, and what happens while nobody answers."""
