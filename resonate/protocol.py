"""The vocabulary that the runtime, the stores and the promise server share: records, operations, answers, messages, and every limit.

It is protocol-neutral: neither generation of Resonate Server appears here. A store translates an operation into what its server
understands (tags, lease identity, one request or several); the in-process stores hand it to `machine.Machine` as it is.

Times are integer milliseconds since the epoch, durations integer milliseconds, unless a name says otherwise. Records are never changed
once they have been handed out: a transition makes a new record. So a record may be passed between threads freely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from resonate.errors import ResonateStoreError

# ---- limits: every queue, wait and body has one, and it is named here --------------------------------------------------------

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
REQUEST_TIMEOUT_S = 5.0
"""How long a server may be silent before a request counts as lost."""
FOREGROUND_LIMIT_S = 10.0
"""How long a caller waits for a server that cannot be reached. What runs in the background waits for as long as it takes."""
BACKOFF_FIRST_S, BACKOFF_LIMIT_S = 0.05, 1.0
"""The first and the longest pause between tries while a server cannot be reached."""
REFUSED_PAUSE_S = 30.0
"""How long a server that did not accept the credentials is left alone."""
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

# ---- records -----------------------------------------------------------------------------------------------------------------

Encoded = tuple[dict[str, str] | None, str | None]
"""A value as it is stored: headers and text, either may be absent."""
NOTHING: Encoded = (None, None)
TAKEN_OVER = "resonate:taken-over"
"""The tag of a promise that was taken over from another run: the id that it has there."""
BRANCH = "resonate:branch"
"""The tag that says with which run's promises a promise is handed out to whoever works on that run."""
TRACEBACK_HEADER = "resonate:traceback"
"""The header of a rejected promise's value that holds the text of the traceback."""

State = Literal["PENDING", "RESOLVED", "REJECTED", "REJECTED_CANCELED", "REJECTED_TIMEDOUT"]
Settlement = Literal["RESOLVED", "REJECTED", "REJECTED_CANCELED"]
Kind = Literal["run", "rpc", "detached", "promise", "sleep"]
TaskKind = Literal["invoke", "resume", "notify", "execute"]
CallbackKind = Literal["resume", "notify", "await", "listen"]
TaskState = Literal["INIT", "ENQUEUED", "CLAIMED", "SUSPENDED", "HALTED", "COMPLETED", "TIMEDOUT"]


class Lineage(NamedTuple):
    """Where a promise stands in the call graph. `origin` is the outermost run, `root` the run whose lease covers it.

    `arguments` is the text of what a function was called with (`resonate.fingerprint`); None where none is recorded.
    """

    origin: str
    root: str
    parent: str | None
    kind: Kind
    name: str
    arguments: str | None = None


class Lease(NamedTuple):
    """The right to advance one run, until it lapses. Opaque to the computation."""

    root: str
    task: str
    counter: int


@dataclass(slots=True)
class PromiseRecord:
    """A promise as a store holds it. Never changed once handed out."""

    id: str
    state: State
    timeout: int
    param: Encoded
    value: Encoded
    tags: dict[str, str] | None
    target: str | None
    timer: bool
    created_on: int
    completed_on: int | None = None
    key_for_create: str | None = None
    key_for_complete: str | None = None
    lineage: Lineage | None = None
    number: int = 0
    """Its place in the order of creation, counted by the store."""


@dataclass(slots=True)
class TaskRecord:
    """The right to work on a run (invoke, resume), or a notice to deliver (notify). Changed in place by the machine alone.

    A fenced task (execute, see `fenced_tasks`) is the only one of its promise; its counter is its version.
    """

    id: str
    kind: TaskKind
    root: str
    promise: str
    recv: str
    timeout: int
    created_on: int
    state: TaskState = "INIT"
    counter: int = 1
    pid: str | None = None
    ttl: int = 0
    expires_at: int = 0
    completed_on: int | None = None
    not_before: int = 0
    head: dict[str, str] | None = None
    """Trace context of the request that it comes from, for whoever gets the message."""
    resumes: int = 0
    """Of a fenced task: how many awaited promises have settled since it was last acquired or suspended."""
    number: int = 0
    """Its place in the order of creation, counted by the store."""


@dataclass(slots=True)
class ScheduleRecord:
    """Creates a promise at each time that a cron expression names. Never changed once handed out."""

    id: str
    cron: str
    promise_id: str
    promise_timeout: int
    promise_param: Encoded
    promise_tags: dict[str, str]
    description: str | None
    tags: dict[str, str]
    key: str | None
    created_on: int
    next_run: int
    last_run: int | None = None
    number: int = 0
    """Its place in the order of creation, counted by the store."""
    is_fenced: bool = False
    """Its promises have fenced tasks."""


@dataclass(slots=True)
class CallbackRecord:
    """Somebody who waits for a promise: a run to resume (by a task of its own, or `await`: by its fenced task), or an address to notify."""

    id: str
    kind: CallbackKind
    promise: str
    root: str
    recv: str
    timeout: int
    created_on: int
    head: dict[str, str] | None = None
    """As a task's."""


# ---- operations: what the runtime asks of a store ------------------------------------------------------------------------------


@dataclass(slots=True)
class CreatePromise:
    """Create a promise, or get the one that is there when the idempotency keys match. Answer: PromiseRecord."""

    id: str
    timeout: int
    key: str | None = None
    strict: bool = False
    param: Encoded = NOTHING
    tags: dict[str, str] | None = None
    target: str | None = None
    timer: bool = False
    lineage: Lineage | None = None
    lease: Lease | None = None
    not_before: int = 0
    """Its invoke task is not sent before this time."""
    at: int = 0
    """When it was asked for, where that was before it is carried out."""
    head: dict[str, str] | None = None
    """Trace context that the message of its task is to carry."""


@dataclass(slots=True)
class CreateLeased:
    """Create a run's promise and hold its lease from the start. Answer: (PromiseRecord, Lease or None)."""

    promise: CreatePromise
    pid: str
    ttl: int
    adopt: bool = False
    """Answered as before where it was applied before: its reply may have been lost on the way."""


@dataclass(slots=True)
class TakeOver:
    """Create a run that begins with what another one, which is over, has achieved: each promise of `old` that has a value is there under
    the new run's own ids. Answer: (PromiseRecord, Lease or None), as CreateLeased; 40000 when `old` is no run that is over.

    With `from_step`, only what was created before that step is taken over.
    """

    old: str
    create: CreateLeased
    from_step: str | None = None


@dataclass(slots=True)
class Prune:
    """Forget every run that was over before a time, and all of its promises that are. Answer: list of ids of runs."""

    before: int


@dataclass(slots=True)
class GetPromise:
    """Answer: PromiseRecord; 40400 when there is none."""

    id: str


@dataclass(slots=True)
class SettlePromise:
    """Settle a promise. With `adopt`, one that is settled otherwise already is the answer instead of an error."""

    id: str
    state: Settlement
    value: Encoded = NOTHING
    key: str | None = None
    strict: bool = False
    adopt: bool = False
    lease: Lease | None = None


@dataclass(slots=True)
class CreateSettled:
    """Create a promise and settle it at once. Answer: PromiseRecord, as SettlePromise."""

    create: CreatePromise
    settle: SettlePromise

    @property
    def id(self) -> str:
        """The promise's."""
        return self.create.id


@dataclass(slots=True)
class RegisterCallback:
    """Resume run `root` when `promise` settles. Answer: (PromiseRecord, CallbackRecord or None)."""

    promise: str
    root: str
    recv: str
    timeout: int
    lease: Lease | None = None
    head: dict[str, str] | None = None
    """Trace context that the message of its task is to carry."""


@dataclass(slots=True)
class Subscribe:
    """Notify `recv` when `promise` settles. Answer: (PromiseRecord, CallbackRecord or None)."""

    promise: str
    id: str
    recv: str
    timeout: int


@dataclass(slots=True)
class Park:
    """Give the lease back until one of `promises`, or of those of an earlier park of this run, settles.

    Answer: the records among `promises` that are settled already; when there are any, nothing is registered and the lease stays.
    """

    lease: Lease
    promises: list[str]
    recv: str
    timeout: int


@dataclass(slots=True)
class ClaimTask:
    """Turn a message into a lease. Answer: Claimed; 40306, 40307, 40308, 40403 when it is not ours to take."""

    id: str
    counter: int
    pid: str
    ttl: int
    adopt: bool = False
    """A claim that this process holds already is given again: the reply to the first may have been lost on the way."""


@dataclass(slots=True)
class GetTask:
    """Answer: TaskRecord as it is now; 40403 when there is none."""

    id: str


@dataclass(slots=True)
class CompleteTask:
    """End a claimed task. Answer: TaskRecord."""

    id: str
    counter: int


@dataclass(slots=True)
class DropTask:
    """Give a claimed task back at once. Answer: whether it was claimed."""

    id: str
    counter: int


@dataclass(slots=True)
class Heartbeat:
    """Extend every lease that process `pid` holds. Answer: how many."""

    pid: str


@dataclass(slots=True)
class DeliveryFailed:
    """A task's message had no receiver; it is sent again later. Answer: None."""

    id: str
    counter: int


@dataclass(slots=True)
class ListDescendants:
    """Every promise of the call graph whose outermost run is `origin`, in the order of creation. Answer: list of PromiseRecord."""

    origin: str


@dataclass(slots=True)
class SearchPromises:
    """Promises whose id matches `pattern` (`*` is any run of characters), newest first. Answer: (list of PromiseRecord, cursor or None).

    `states` and `tags` narrow it down (None: any); `before` is the cursor of the page before, text where a server made it.
    """

    pattern: str
    states: tuple[State, ...] | None = None
    tags: dict[str, str] | None = None
    limit: int = SEARCH_LIMIT
    before: int | str | None = None


@dataclass(slots=True)
class CreateSchedule:
    """Create a schedule, or get the one that is there when the keys match; 40901 when not. Answer: ScheduleRecord.

    `promise_id` may hold `{{.id}}` (the schedule's) and `{{.timestamp}}` (the time that was due); `promise_timeout` is relative.
    """

    id: str
    cron: str
    promise_id: str
    promise_timeout: int
    promise_param: Encoded = NOTHING
    promise_tags: dict[str, str] | None = None
    description: str | None = None
    tags: dict[str, str] | None = None
    key: str | None = None


@dataclass(slots=True)
class GetSchedule:
    """Answer: ScheduleRecord; 40401 when there is none."""

    id: str


@dataclass(slots=True)
class DeleteSchedule:
    """Answer: None; 40401 when there is none."""

    id: str


@dataclass(slots=True)
class SearchSchedules:
    """As SearchPromises, of schedules. Answer: (list of ScheduleRecord, cursor or None)."""

    pattern: str
    tags: dict[str, str] | None = None
    limit: int = SEARCH_LIMIT
    before: int | str | None = None


# ---- operations on fenced tasks: see `fenced_tasks` for what they mean --------------------------------------------------------------


@dataclass(slots=True)
class EnsurePromise:
    """Create a promise, or get the one that is there, whatever it is. With a target it gets a fenced task. Answer: PromiseRecord."""

    id: str
    timeout: int
    param: Encoded = NOTHING
    tags: dict[str, str] | None = None
    target: str | None = None
    timer: bool = False


@dataclass(slots=True)
class EnsureAcquired:
    """The same, and hold the promise's task from the start; one that is pending is acquired. Answer: Acquired.

    Its task is COMPLETED where the promise is settled. 40910 when the task is held, suspended or halted, 42200 when there is none.
    """

    promise: EnsurePromise
    pid: str
    ttl: int


@dataclass(slots=True)
class AcquireTask:
    """Hold a pending task of exactly this version, which goes up by one. Answer: Acquired; 40404 absent, 40910 not so."""

    id: str
    version: int
    pid: str
    ttl: int


@dataclass(slots=True)
class ActFenced:
    """Create or settle another promise, if the task is held at this version. Answer: Fenced; 40000, 40404, 40910."""

    id: str
    version: int
    action: EnsurePromise | SettlePromise


@dataclass(slots=True)
class SuspendTask:
    """Give a held task back until the first of `awaited` settles. Answer: Suspended; 40000, 40404, 40910, 42200 when one is absent.

    When one of them is settled already, nothing is registered and the lease stays.
    """

    id: str
    version: int
    awaited: list[str]


@dataclass(slots=True)
class FulfillTask:
    """Settle the promise of a held task, which ends it. Answer: PromiseRecord; 40404, 40910."""

    id: str
    version: int
    state: Settlement
    value: Encoded = NOTHING


@dataclass(slots=True)
class ReleaseTask:
    """Give a held task back at once; it is sent again at the same version. Answer: None; 40404, 40910."""

    id: str
    version: int


@dataclass(slots=True)
class HaltTask:
    """Take a task out of play until it is continued. Answer: None; 40404, 40910 when it has ended."""

    id: str


@dataclass(slots=True)
class ContinueTask:
    """Send a halted task again. Answer: None; 40404, 40910 when it is not halted."""

    id: str


@dataclass(slots=True)
class RenewLeases:
    """Extend the leases of those of `tasks`, pairs of id and version, that process `pid` holds. Answer: how many."""

    pid: str
    tasks: list[tuple[str, int]]


@dataclass(slots=True)
class ViewTask:
    """Answer: TaskRecord of the fenced task as it is now; 40404 when there is none."""

    id: str


@dataclass(slots=True)
class AwaitPromise:
    """Let the fenced task of `awaiter` resume when `awaited` settles; at once when that is settled. Answer: PromiseRecord of `awaited`.

    40000 when they are the same, 40400 when there is no awaited promise, 42200 when the awaiter has no fenced task.
    """

    awaited: str
    awaiter: str


@dataclass(slots=True)
class ListenToPromise:
    """Send the promise to an address when it settles, once. Answer: PromiseRecord; when it is settled already, nothing is ever sent."""

    awaited: str
    address: str


@dataclass(slots=True)
class FindPromises:
    """Promises in the order of their ids, as they are stored: an overdue one that nobody has touched is pending.

    Answer: (list of PromiseRecord, id after which the next page begins or None). `tags` must all be there; `after` is that id.
    """

    state: State | None = None
    tags: dict[str, str] | None = None
    limit: int = SEARCH_LIMIT
    after: str | None = None


@dataclass(slots=True)
class FindTasks:
    """Fenced tasks in the order of their promises' ids, in any of `states` (None: any). Answer: as FindPromises, of TaskRecord."""

    states: tuple[TaskState, ...] | None = None
    limit: int = SEARCH_LIMIT
    after: str | None = None


@dataclass(slots=True)
class EnsureSchedule:
    """Create a schedule whose promises have fenced tasks, or get the one that is there. Answer: ScheduleRecord; 40000 for a bad cron."""

    id: str
    cron: str
    promise_id: str
    promise_timeout: int
    promise_param: Encoded = NOTHING
    promise_tags: dict[str, str] | None = None


@dataclass(slots=True)
class FindSchedules:
    """Schedules in the order of their ids; `tags` must all be among those of their promises. Answer: as FindPromises."""

    tags: dict[str, str] | None = None
    limit: int = SEARCH_LIMIT
    after: str | None = None


FencedOperation = (
    EnsurePromise | EnsureAcquired | AcquireTask | ActFenced | SuspendTask | FulfillTask | ReleaseTask | HaltTask | ContinueTask
    | RenewLeases | ViewTask | AwaitPromise | ListenToPromise | FindPromises | FindTasks | EnsureSchedule | FindSchedules
)  # fmt: skip
Operation = (
    CreatePromise
    | CreateLeased
    | TakeOver
    | Prune
    | GetPromise
    | SettlePromise
    | CreateSettled
    | RegisterCallback
    | Subscribe
    | Park
    | ClaimTask
    | GetTask
    | CompleteTask
    | DropTask
    | Heartbeat
    | DeliveryFailed
    | ListDescendants
    | SearchPromises
    | CreateSchedule
    | GetSchedule
    | DeleteSchedule
    | SearchSchedules
    | FencedOperation
)


# ---- answers and messages -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Claimed:
    """A task that is ours now: the run's promise, the promise it waited for (resume only) and the lease."""

    root: PromiseRecord
    leaf: PromiseRecord | None
    lease: Lease


@dataclass(slots=True)
class Acquired:
    """A fenced task as it is now, its promise, and the other promises of its branch in the order of their ids."""

    task: TaskRecord
    promise: PromiseRecord
    preload: list[PromiseRecord]


@dataclass(slots=True)
class Fenced:
    """The promise that was created or settled, None where there is none to settle; and the others of the task's branch."""

    promise: PromiseRecord | None
    preload: list[PromiseRecord]


@dataclass(slots=True)
class Suspended:
    """Whether the task is suspended now; where it is not, the promises of its branch."""

    is_suspended: bool
    preload: list[PromiseRecord]


@dataclass(slots=True)
class TaskMessage:
    """There is work: claim task `id` with `counter` (execute: acquire `root` at version `counter`) and advance run `root`."""

    recv: str
    kind: Literal["invoke", "resume", "execute"]
    id: str
    counter: int
    root: str
    timeout: int = 0
    created_on: int = 0
    head: dict[str, str] | None = None


@dataclass(slots=True)
class NotifyMessage:
    """A promise that somebody subscribed to (notify) or listens to (unblock) has settled."""

    recv: str
    promise: PromiseRecord
    kind: Literal["notify", "unblock"] = "notify"


Message = TaskMessage | NotifyMessage


def refusal(code: int, message: str) -> ResonateStoreError:
    """The error with which a store refuses an operation; `code` is the server's (40400, 40301, ...)."""
    return ResonateStoreError(message, code)
