"""The rules of fenced tasks, pure: what the promise server of the current protocol does beyond that of the legacy one.

Both generations share one set of tables and one set of promises: whatever settles a promise, wakes whoever waits for it. What differs is
who works on a run, and how that is told apart from who did so before:

- A promise that is created here with a target gets exactly one task, whose name is the promise's. While the promise is pending, it goes

      pending (INIT, ENQUEUED) -> acquired (CLAIMED) -> suspended (SUSPENDED) -> pending ...     and from anywhere, until continued: halted

  and it is fulfilled (COMPLETED) as soon as the promise is settled, by whomever: its holder, somebody else, or the deadline.
- Its counter is a *version*, from 0. Only acquiring raises it. A holder names the version with everything that it does, so one that has
  lost its lease is refused (40910) before it can do harm; a task that was never created is 40404. The tasks that the legacy rules make of
  a run are no business of its fenced task, nor the other way round.
- Suspending names the awaited promises and is all or nothing: when one is settled already, nothing is registered and the lease stays. The
  first that settles makes the task pending again. Later ones, and those that settle while it is pending, held or halted, are counted.
- Creating an id that is there gives what is there, settling what is settled gives what is settled: the caller compares. So all but the
  transitions of a task can be repeated.
- The other promises of the task's branch come with each answer to its holder, all of them: n children that were created with the branch's
  tag cost n² (without it they cost nothing).

The ambiguous cases: a promise whose deadline has passed is moved before anything looks at it, but searches and branches show what is
stored. A message is a hint only: it may come late or twice, and acquiring decides. A lease lapses when its time has come and not before
somebody acts on it; until then its holder goes on, as nobody else can have it.
"""

from __future__ import annotations

import heapq
import re
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from typing import Any, NoReturn, cast

from resonate import quartz
from resonate.limits import EXECUTE_RETRY_MS, ID_LIMIT, PAGE_LIMIT, SEARCH_LIMIT, TIMEOUT_LIMIT_MS
from resonate.protocol import (
    BRANCH,
    NOTHING,
    Acquired,
    AcquireTask,
    ActFenced,
    AwaitPromise,
    CallbackRecord,
    ContinueTask,
    EnsureAcquired,
    EnsurePromise,
    EnsureSchedule,
    Fenced,
    FindPromises,
    FindSchedules,
    FindTasks,
    FulfillTask,
    HaltTask,
    ListenToPromise,
    PromiseRecord,
    ReleaseTask,
    RenewLeases,
    ScheduleRecord,
    Suspended,
    SuspendTask,
    TaskMessage,
    TaskRecord,
    TaskState,
    ViewTask,
    refusal,
)
from resonate.tables import OPEN, RESTING, Archive, Tables, fenced_id
from resonate.wire.current import is_shown_as_stored, read_tags, shown_tags

_TEMPLATE = re.compile(r"\{\{\.(id|timestamp)\}\}")
_STAMPS = ("resonate:origin", "resonate:branch", "resonate:parent", "resonate:prefix")


class FencedTasks(Tables):
    """The rules of fenced tasks, on top of those of promises and leases, which `machine.Machine` has."""

    @abstractmethod
    def _touch(self, record: PromiseRecord, now: int) -> PromiseRecord:
        """The promise, timed out if its deadline has passed."""

    @abstractmethod
    def _finish(self, known: PromiseRecord, state: Any, value: Any, key: str | None, at: int, now: int) -> PromiseRecord:
        """Settle a pending promise, with everything that follows."""

    @abstractmethod
    def _listen(self, record: PromiseRecord, callback: CallbackRecord) -> tuple[PromiseRecord, CallbackRecord | None]:
        """Register a callback on a promise, if it is pending."""

    @abstractmethod
    def _add_task(self, task: TaskRecord) -> None:
        """Take a new task in, ended where its run is over."""

    # ---- promises ----------------------------------------------------------------------------------------------------------------

    def _ensure(self, operation: EnsurePromise, now: int) -> PromiseRecord:
        known = self._find(operation.id)
        if known is not None:
            return self._touch(known, now)
        record = self._make(operation, min(operation.timeout, now))
        if operation.target is not None:
            self._begin(record, operation.target, now)
        return self._touch(record, now)

    def _begin(self, record: PromiseRecord, target: str, now: int) -> None:
        task = _task_for(record, target, now)
        self._add_task(task)
        self._offer(task, now)

    def _make(self, operation: EnsurePromise, created_on: int) -> PromiseRecord:
        if len(operation.id) > ID_LIMIT:
            raise refusal(40000, f"an id has at most {ID_LIMIT} characters, this one has {len(operation.id)}: {operation.id[:60]}…")
        record = PromiseRecord(
            operation.id, "PENDING", operation.timeout, operation.param, NOTHING, operation.tags, None, operation.timer, created_on,
            number=self._promises_made,
        )  # fmt: skip
        self._promises_made += 1
        self._store_promise(record)
        self._watch_deadline(record)
        self._descendants.setdefault(record.id, []).append(record.id)
        self._note_branch(record)
        return record

    def _ensure_acquired(self, operation: EnsureAcquired, now: int) -> Acquired:
        promise = operation.promise
        if self._find(promise.id) is None:
            if promise.target is None:
                raise refusal(40000, f"promise {promise.id} needs a target to have a task")
            record = self._make(promise, min(promise.timeout, now))
            task = _task_for(record, promise.target, now)
            self._add_task(task)
            record = self._touch(record, now)
            if record.state != "PENDING":
                return Acquired(replace(task), record, [])
            return self._take(task, operation.pid, operation.ttl, now)
        record = self._touch(cast("PromiseRecord", self._find(promise.id)), now)
        known = self._find_task(fenced_id(promise.id))
        if known is None:
            raise refusal(42200, f"promise {promise.id} has no task")
        if known.state not in OPEN:
            return Acquired(replace(known), record, [])
        if known.state not in ("INIT", "ENQUEUED"):
            _refuse(known, "pending")
        return self._take(known, operation.pid, operation.ttl, now)

    def _await(self, operation: AwaitPromise, now: int) -> PromiseRecord:
        awaited, awaiter = operation.awaited, operation.awaiter
        if awaited == awaiter:
            raise refusal(40000, f"promise {awaited} cannot wait for itself")
        record = self._touch(self._known(awaited), now)
        waiting = self._find(awaiter)
        task = self._find_task(fenced_id(awaiter))
        if waiting is None or task is None:
            raise refusal(42200, f"promise {awaiter} has no task that could wait")
        if self._touch(waiting, now).state != "PENDING":
            return record
        if record.state == "PENDING":
            self._listen(record, _waits(task, awaited, now))
        else:
            self._resume(awaiter, now)
        return record

    def _listen_to(self, operation: ListenToPromise, now: int) -> PromiseRecord:
        record = self._touch(self._known(operation.awaited), now)
        address = operation.address
        self._listen(record, CallbackRecord(f"__listen:{address}", "listen", record.id, record.id, address, record.timeout, now))
        return record

    def _known(self, promise_id: str) -> PromiseRecord:
        known = self._find(promise_id)
        if known is None:
            raise refusal(40400, f"there is no promise {promise_id}")
        return known

    # ---- tasks ---------------------------------------------------------------------------------------------------------------------

    def _fenced(self, promise_id: str, now: int) -> TaskRecord:
        """The task of a promise, as it is after the promise's deadline was looked at."""
        record, task = self._find(promise_id), self._find_task(fenced_id(promise_id))
        if record is None or task is None:
            raise refusal(40404, f"there is no task {promise_id}")
        self._touch(record, now)
        return task

    def _held_task(self, promise_id: str, version: int, now: int) -> TaskRecord:
        task = self._fenced(promise_id, now)
        if task.state != "CLAIMED":
            _refuse(task, "acquired")
        if task.counter != version:
            raise refusal(40910, f"task {promise_id} is held at another version than {version}")
        return task

    def _take(self, task: TaskRecord, pid: str, ttl: int, now: int) -> Acquired:
        task.counter += 1
        task.state, task.pid, task.ttl, task.resumes = "CLAIMED", pid, ttl, 0
        self._held.setdefault(pid, {})[task.id] = None
        self._wait_until(task, now + ttl)
        return Acquired(replace(task), self.promises[task.root], self._preload(task.root))

    def _acquire(self, operation: AcquireTask, now: int) -> Acquired:
        task = self._fenced(operation.id, now)
        if task.state not in ("INIT", "ENQUEUED"):
            _refuse(task, "pending")
        if task.counter != operation.version:
            raise refusal(40910, f"task {operation.id} has another version than {operation.version}")
        return self._take(task, operation.pid, operation.ttl, now)

    def _act_fenced(self, operation: ActFenced, now: int) -> Fenced:
        action = operation.action
        if action.id == operation.id:
            raise refusal(40000, f"task {operation.id} acts on other promises; its own ends with it")
        self._held_task(operation.id, operation.version, now)
        if isinstance(action, EnsurePromise):
            return Fenced(self._ensure(action, now), self._preload(operation.id))
        known = self._find(action.id)
        if known is None:
            return Fenced(None, self._preload(operation.id))
        known = self._touch(known, now)
        if known.state == "PENDING":
            known = self._finish(known, action.state, action.value, action.key, now, now)
        return Fenced(known, self._preload(operation.id))

    def _suspend(self, operation: SuspendTask, now: int) -> Suspended:
        if not operation.awaited or operation.id in operation.awaited:
            raise refusal(40000, f"task {operation.id} must await some promise, and not its own")
        task = self._held_task(operation.id, operation.version, now)
        found = [self._find(awaited) for awaited in operation.awaited]
        if None in found:
            raise refusal(42200, f"there is no promise {operation.awaited[found.index(None)]}")
        records = [self._touch(cast("PromiseRecord", record), now) for record in found]
        if any(record.state != "PENDING" for record in records):
            return Suspended(False, self._preload(task.root))
        for record in records:
            self._listen(record, _waits(task, record.id, now))
        task.resumes = 0
        self._rest(task, "SUSPENDED")
        return Suspended(True, [])

    def _fulfill(self, operation: FulfillTask, now: int) -> PromiseRecord:
        self._held_task(operation.id, operation.version, now)
        return self._finish(self.promises[operation.id], operation.state, operation.value, None, now, now)

    def _give_back(self, operation: ReleaseTask, now: int) -> None:
        self._offer(self._held_task(operation.id, operation.version, now), now)

    def _halt(self, operation: HaltTask, now: int) -> None:
        task = self._fenced(operation.id, now)
        if task.state not in OPEN:
            _refuse(task, "open")
        if task.state != "HALTED":
            self._rest(task, "HALTED")

    def _continue(self, operation: ContinueTask, now: int) -> None:
        task = self._fenced(operation.id, now)
        if task.state != "HALTED":
            _refuse(task, "halted")
        self._offer(task, now)

    def _renew(self, operation: RenewLeases, now: int) -> int:
        renewed = 0
        for promise_id, version in operation.tasks:
            task = self.tasks.get(fenced_id(promise_id))
            if task is not None and (task.state, task.counter, task.pid) == ("CLAIMED", version, operation.pid):
                task.expires_at = now + task.ttl  # its place in the heap is found stale and moved when its old time comes
                self._note_task(task)
                renewed += 1
        return renewed

    def _view(self, operation: ViewTask, now: int) -> TaskRecord:
        return replace(self._fenced(operation.id, now))

    def _rest(self, task: TaskRecord, state: TaskState) -> None:
        """Let nobody have a task for now."""
        self._release(task)
        task.state, task.pid, task.expires_at = state, None, 0
        self._note_task(task)

    def _offer(self, task: TaskRecord, now: int) -> None:
        """Let a task be had by whoever comes, and send it."""
        self._rest(task, "INIT")
        run = self.promises.get(task.root)
        if run is not None and run.timeout <= now:
            return  # past its deadline: the task ends with it, as soon as anybody looks
        task.state = "ENQUEUED"
        self._wait_until(task, now + EXECUTE_RETRY_MS)
        self._send_execute(task)

    def _send_execute(self, task: TaskRecord) -> None:
        self.messages.append(TaskMessage(task.recv, "execute", task.id, task.counter, task.root, task.timeout, task.created_on))

    def _offer_again(
        self, promise_id: str, now: int, is_ours: Callable[[str], bool] = lambda recv: False,
        is_heard: Callable[[str], bool] = lambda recv: True,
    ) -> None:  # fmt: skip
        """Somebody listens now: send what could not be delivered, and what another process has sent, if it is for us."""
        task = self.tasks.get(fenced_id(promise_id))
        if task is not None and task.state == "INIT" and is_heard(task.recv):
            self._offer(task, now)
        elif task is not None and task.state == "ENQUEUED" and is_ours(task.recv):
            self._send_execute(task)

    def _resume(self, awaiter: str, now: int) -> None:
        """Something that a task waits for, or was to wait for, has settled."""
        task = self.tasks.get(fenced_id(awaiter))
        if task is None or task.state not in OPEN:
            return
        task.resumes += 1
        if task.state == "SUSPENDED":
            self._offer(task, now)
        else:
            self._note_task(task)

    def _preload(self, promise_id: str) -> list[PromiseRecord]:
        branch = (self.promises[promise_id].tags or {}).get(BRANCH)
        return [] if branch is None else [each for each in self._branch(branch) if each.id != promise_id]

    # ---- schedules -----------------------------------------------------------------------------------------------------------------

    def _ensure_schedule(self, operation: EnsureSchedule, now: int) -> ScheduleRecord:
        known = self.schedules.get(operation.id)
        if known is not None:
            return known
        if len(operation.id) > ID_LIMIT:
            raise refusal(40000, f"an id has at most {ID_LIMIT} characters, this one has {len(operation.id)}: {operation.id[:60]}…")
        record = ScheduleRecord(
            operation.id, operation.cron, operation.promise_id, operation.promise_timeout, operation.promise_param,
            operation.promise_tags or {}, None, {}, None, now, _next_time(operation.cron, now), None, self._schedules_made, is_fenced=True,
        )  # fmt: skip
        self._schedules_made += 1
        self._store_schedule(record)
        heapq.heappush(self._schedule_heap, (record.next_run, record.id))
        return record

    def _fire_fenced(self, schedule: ScheduleRecord, due: int, now: int) -> None:
        following = _next_time(schedule.cron, due)
        heapq.heappush(self._schedule_heap, (following, schedule.id))
        self._store_schedule(replace(schedule, last_run=due, next_run=following))
        given = {"id": schedule.id, "timestamp": str(due)}
        promise_id = _TEMPLATE.sub(lambda match: given[match[1]], schedule.promise_id)
        if self._find(promise_id) is not None or len(promise_id) > ID_LIMIT:
            return
        tags = {**schedule.promise_tags, "resonate:schedule": schedule.id, **dict.fromkeys(_STAMPS, promise_id)}
        target, timer = read_tags(tags)
        create = EnsurePromise(promise_id, due + schedule.promise_timeout, schedule.promise_param, tags, target, timer)
        record = self._make(create, due)
        if target is not None:
            self._begin(record, target, now)
        self._touch(record, now)

    # ---- searching -----------------------------------------------------------------------------------------------------------------

    def _find_promises(self, operation: FindPromises, now: int) -> tuple[list[PromiseRecord], str | None]:
        tags = operation.tags or {}
        hint = next((pair for pair in tags.items() if is_shown_as_stored(pair[0])), None)
        found = (
            record for record in self._in_order(operation.after or "", hint)
            if (operation.state is None or record.state == operation.state) and (not tags or tags.items() <= shown_tags(record).items())
        )  # fmt: skip
        return _page_of(found, operation.limit, lambda record: record.id)

    def _find_tasks(self, operation: FindTasks, now: int) -> tuple[list[TaskRecord], str | None]:
        after, states = operation.after or "", operation.states
        here: Iterable[TaskRecord] = sorted(
            (task for task in self.tasks.values() if task.kind == "execute" and task.root > after), key=lambda task: task.root
        )
        if self.has_archived:
            kept = cast("Archive", self._archive).fenced_in_order(after)
            here = heapq.merge(here, (each for each in kept if each.id not in self.tasks), key=lambda task: task.root)
        wanted = (task for task in here if states is None or task.state in states)
        found = (replace(task) for task in wanted if task.state in OPEN or self.has(task.root))  # not those of pruned promises
        return _page_of(found, operation.limit, lambda task: task.root)

    def _find_schedules(self, operation: FindSchedules, now: int) -> tuple[list[ScheduleRecord], str | None]:
        after, tags = operation.after or "", operation.tags or {}
        here = sorted((each for each in self.schedules.values() if each.id > after), key=lambda each: each.id)
        return _page_of((each for each in here if tags.items() <= each.promise_tags.items()), operation.limit, lambda each: each.id)


def _task_for(record: PromiseRecord, target: str, now: int) -> TaskRecord:
    return TaskRecord(fenced_id(record.id), "execute", record.id, record.id, target, record.timeout, now, counter=0)


def _waits(task: TaskRecord, awaited: str, now: int) -> CallbackRecord:
    return CallbackRecord(f"__await:{task.root}", "await", awaited, task.root, task.recv, task.timeout, now)


def _refuse(task: TaskRecord, wanted: str) -> NoReturn:
    words = {"INIT": "pending", "ENQUEUED": "pending", "CLAIMED": "acquired", **{state: state.lower() for state in RESTING}}
    raise refusal(40910, f"task {task.root} is {words.get(task.state, 'fulfilled')}, not {wanted}")


def _next_time(cron: str, after: int) -> int:
    """The next time that a cron expression names; for one that never comes true again, a time that nobody lives to see."""
    try:
        found = quartz.next_run(cron, after)
    except ValueError as error:
        raise refusal(40000, str(error)) from None
    return TIMEOUT_LIMIT_MS if found is None else found


def _page_of[Record](found: Iterable[Record], limit: int, id_of: Callable[[Record], str]) -> tuple[list[Record], str | None]:
    """One page, and the id after which the next one begins, if there is more."""
    limit = min(limit or SEARCH_LIMIT, PAGE_LIMIT)
    page = list(islice(found, limit + 1))
    return (page, None) if len(page) <= limit else (page[:limit], id_of(page[limit - 1]))


RULES: dict[type, Callable[[Any, Any, int], Any]] = {
    EnsurePromise: FencedTasks._ensure,
    EnsureAcquired: FencedTasks._ensure_acquired,
    AcquireTask: FencedTasks._acquire,
    ActFenced: FencedTasks._act_fenced,
    SuspendTask: FencedTasks._suspend,
    FulfillTask: FencedTasks._fulfill,
    ReleaseTask: FencedTasks._give_back,
    HaltTask: FencedTasks._halt,
    ContinueTask: FencedTasks._continue,
    RenewLeases: FencedTasks._renew,
    ViewTask: FencedTasks._view,
    AwaitPromise: FencedTasks._await,
    ListenToPromise: FencedTasks._listen_to,
    FindPromises: FencedTasks._find_promises,
    FindTasks: FencedTasks._find_tasks,
    EnsureSchedule: FencedTasks._ensure_schedule,
    FindSchedules: FencedTasks._find_schedules,
}
