"""Translations between the neutral vocabulary of `resonate.protocol` and what the servers speak. No sockets here."""
