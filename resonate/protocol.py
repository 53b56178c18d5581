"""The vocabulary that the runtime, the stores and the promise server share: records, operations, answers, messages.

It is protocol-neutral: neither generation of Resonate Server appears here. A store translates an operation into what its server
understands (tags, lease identity, one request or several); the in-process stores hand it to `machine.Machine` as it is.

Times are integer milliseconds since the epoch, durations integer milliseconds, unless a name says otherwise. Records are never changed
once they have been handed out: a transition makes a new record. So a record may be passed between threads freely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from resonate.errors import ResonateStoreError
from resonate.limits import SEARCH_LIMIT

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
    """Forget every run that was over before a time, and all of its promises that are. Answer: list of ids of runs.

    With `is_dry` they are answered alone, and nothing is forgotten.
    """

    before: int
    is_dry: bool = False


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
