"""Every limit: of queues, waits, bodies, and of how often something is looked at. Each is named here and nowhere else."""

from __future__ import annotations

EVENT_BUFFER_LIMIT = 100_000
"""Facts that one subscription holds before it drops them and reports a gap."""
LABEL_TEXT_LIMIT = 80
"""Characters of one argument's text in an event."""
LABEL_ARGUMENT_LIMIT = 12
"""Arguments of one call that an event names."""
ERROR_TEXT_LIMIT = 400
"""Characters of an error's text in an event."""
TRACEBACK_TEXT_LIMIT = 8_000
"""Characters of a remote traceback that travel with a rejected promise."""
FINGERPRINT_TEXT_LIMIT = 96
"""Characters of the recorded text of a call's arguments."""
FINGERPRINT_ITEMS_LIMIT = 1_000
"""Values inside a call's arguments that this text is made of."""
STOPPED_RUN_PAUSE_S = 15.0
"""A run that was stopped because its code has changed is tried again after this time."""
RECORDING_LIMIT = 256 * 1024 * 1024
"""Bytes of a recording's file."""
REPLAY_ATTEMPTS_LIMIT = 100
"""How often a replay calls a function that fails and would be retried, at most."""
DIVERGENCES_LIMIT = 100
"""So many places are noted at which a replay differs from what is recorded."""
DIFFERENCES_SHOWN = 20
"""So many lines of differences are shown as text."""
DIFFERENCE_TEXT_LIMIT = 1_000
"""Characters of one of those lines."""
LOGGED_VALUE_LIMIT = 100
"""Characters of an argument list or a value in a log line."""
RESIDENT_LIMIT = 2_000
"""Promises of runs that are over, and tasks, that a store in memory keeps at hand; older ones go to a temporary file."""
PUT_AWAY_LIMIT = 256
"""How many of them go there at once."""
UNFAMILIAR_NAMES_LIMIT = 1_000
"""Names of classes that are not read here of which the log speaks, each once."""
VALUE_DEPTH_LIMIT = 200
"""Levels of nesting that a stored value may have."""
WORKERS_LIMIT = 32
"""User functions that one client runs at once, at most."""
STEPS_IN_A_ROW_LIMIT = 1024
"""Steps that a worker takes of one run before it lets another run have a turn."""
WAIT_SLICE_S = 0.1
"""A blocked caller looks up this often, so that an interrupt is answered at once on every platform."""
FORK_WAIT_LIMIT_S = 1.0
"""A fork waits this long for a store's operation to end, so that the child has no half of it."""
TIMER_SLICE_S = 60.0
"""No timer sleeps longer than this without looking at the clock again."""
MESSAGE_SOURCE_PAUSE_S = 0.1
"""A message source that raised is asked again after this time."""
STOP_TIMEOUT_S = 2.0
"""`stop()` waits this long for its threads."""
TASK_CLAIM_WINDOW_MS = 60_000
"""A task that was sent and not claimed in this time is sent again, with the next counter."""
CLOCK_STEP_MS = 1_000
"""A clock that goes back by more than this was put back."""
TASK_RETRY_MS = 15_000
"""A task whose message could not be delivered is sent again after this time."""
EXECUTE_RETRY_MS = 30_000
"""A fenced task that was sent and not acquired in this time is sent again, at the same version."""
BUSY_SLICE_S = 0.05
"""How long one try to get the lock of a file lasts."""
FILE_CHECK_S = 0.05
"""How often it is looked whether a file that is not waited for (`fast`) is still where it was."""
ROOM_LIMIT = 262_144
"""A file is neither opened nor written where less than so many bytes are free."""
FILLING_RATE = 2_000_000_000
"""No disk is taken by others faster than that, in bytes a second: so long is not looked how much is free."""
BUSY_WAIT_LIMIT_S = 60.0
"""How long a process waits for a file that others have locked before it says so."""
CONNECTIONS_KEPT_LIMIT = 32
"""Connections to a server that are kept while no request uses them."""
REQUESTS_LIMIT = 64
"""Requests to a server that one client has under way at once, whoever sends them."""
REMOTE_THREADS_LIMIT = 16
"""Requests to a server that one client has under way at once, besides those that a caller waits for."""
PARALLEL_CALLBACKS_LIMIT = 16
"""Callbacks that a run which goes to rest asks for at once."""
REPLY_LIMIT = 256 * 1024 * 1024
"""Bytes of a server's reply."""
MESSAGE_LIMIT = 64 * 1024 * 1024
"""Bytes of a message that is posted to a worker."""
EVENT_LINE_LIMIT = 64 * 1024 * 1024
"""Bytes of one line in a stream of messages."""
LARGE_BODY = 1_000_000
"""A server that again and again breaks off a request of so many bytes does not take it."""
RESETS_LIMIT = 3
"""How often that is."""
STOP_GRACE_S = 0.5
"""Requests that are under way when a client stops have this long, and so has each that gives a lease back."""
REQUEST_TIMEOUT_S = 5.0
"""How long a server may be silent before a request counts as lost."""
FOREGROUND_LIMIT_S = 10.0
"""How long a caller waits for a server that cannot be reached. What runs in the background waits for as long as it takes."""
BACKOFF_FIRST_S, BACKOFF_LIMIT_S = 0.05, 1.0
"""The first and the longest pause between tries while a server cannot be reached."""
REFUSED_PAUSE_S = 30.0
"""How long a server that did not accept the credentials is left alone."""
STREAM_HEAD_S = 1.0
"""A server that has not begun its answer to a wish for a stream by then is waited for without keeping others from asking it."""
STREAM_SILENCE_LIMIT_S = 300.0
"""A stream of messages that says nothing for so long is opened anew: its server may be gone without a word."""
TRACKING_INTERVAL_S = 0.5
"""How often a server is asked about a run that others work on and somebody watches, at most."""
TRACKING_PAGE_FIRST = 16
"""Promises on the first page of such a look."""
CHILDREN_AHEAD_LIMIT = 1_000
"""New promises that one such look finds by their numbers, before it tells of them."""
LATE_NEWS_S = 1.0
"""A run that is at work here for longer asks its server for news: it may be canceled, or go on elsewhere."""
REFRESH_S = 60.0
"""How often it is looked whether news was lost of what is waited for."""
NEW_STREAM_S = 0.5
"""What was asked for while a stream of messages was not older than this is looked at once more after it."""
NUDGE_S = 0.012
"""So long after a write a legacy server is asked for anything at all: else it sends the messages of that write a second later."""
FRESH_LIMIT = 16
"""Of how many runs a file remembers, when others are put away, that nothing below their ids is in it alone."""
JOURNAL_LIMIT = 50_000
"""Changes that a file keeps for other processes; one that has missed more loads the file anew."""
DEFERRED_LIMIT = 256
"""Promises of steps under way that a file store leaves unwritten, at most."""
DEFERRED_S = 0.05
"""For how long."""
PEER_POLL_S = 0.025
"""How often a process looks whether another one has written to the same file."""
PEER_CHECK_S = 1.0
"""How often it looks whether the others are alive."""
STORE_RETRY_S = 1.0
"""What a file could not take is offered to it again after this time."""
SEARCH_LIMIT = 100
"""Promises or schedules on one page of a search, at most."""
PAGE_LIMIT = 1_000
"""Promises, fenced tasks or schedules on one page of a search in the order of ids, at most."""
ID_LIMIT = 32_768
"""Characters of an id. A child's id is longer than its parent's, so this also bounds how deep calls can nest."""
TIMEOUT_LIMIT_MS = 253_402_329_599_000
"""The latest deadline there is (the last second of the year 9999), as the servers have it."""
INTEGER_LIMIT = 2**63 - 1
"""The largest number that the servers' protocols, and the columns of a file, can hold."""
HEAD_LIMIT = 262_144
"""Bytes of the head of a request to the development server. An id may stand in it twice, and percent-encoded."""
HEAD_TIME_LIMIT_S = 10.0
"""A client has this long for the head of a request."""
BODY_LIMIT = 16 * 1024 * 1024
"""Bytes of the body of a request to the development server."""
BODY_TIME_LIMIT_S = 30.0
"""A client has this long for the body of a request."""
IDLE_CONNECTION_LIMIT_S = 75
"""A connection without a request under way is closed after this time."""
CONNECTIONS_LIMIT = 2_000
"""Connections that the development server has at once, listeners among them."""
REQUESTS_WAITING_LIMIT = 4_096
"""Requests that may wait for the development server's store."""
REQUEST_BATCH_LIMIT = 64
"""How many of them are carried out together."""
STREAMS_LIMIT = 1_000
"""Listeners of the development server."""
STREAM_MESSAGES_LIMIT = 100
"""Messages that wait for one listener."""
STREAM_STALL_LIMIT_S = 30.0
"""A listener that takes nothing for so long is given up."""
PUSHES_LIMIT = 200
"""Messages that are being pushed to addresses of workers at once."""
PUSH_TIME_LIMIT_S = 5.0
"""A worker has this long to accept the connection by which a message is pushed, and again to read it."""
SERVER_START_LIMIT_S = 10.0
"""The development server's start is waited for this long."""
SERVER_STOP_GRACE_S = 0.3
"""Replies that are under way when it is stopped have this long."""
SERVER_STOP_LIMIT_S = 0.9
"""Its end is waited for this long; a store that waits for somebody else's lock is left behind then, with what it has not answered."""
