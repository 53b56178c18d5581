"""The promise server's rules, pure: operations and ticks in, answers and messages out, over small tables.

Memory, file, development server and simulator all run this one set of rules. Nothing here looks at a clock, a thread, a socket or a
random source: `now` (milliseconds) comes in with each call, messages go out through `messages`, and whoever drives the machine
delivers them.

The rules in short:

- A promise is PENDING until it is settled once; its first settlement is what everyone sees. A pending promise whose deadline has passed
  is moved to its timed-out state before anything looks at it: REJECTED_TIMEDOUT, or RESOLVED for a timer (that is how sleeping works).
- Creating is idempotent by the key for create, settling by the key for complete; without matching keys a second call is refused
  and the code says what is there (40900, 40301 to 40304).
- A promise with a target gives birth to an *invoke* task in the same step; a settled promise turns each of its callbacks into a *resume*
  task of the run that waits, and each of its subscriptions into a message.
- A schedule creates its promise at each time that its cron expression names, missed times too, one by one; where the promise is there
  already, it goes on to the next time.
- At most one task of a run is sent or claimed at a time; further ones stay INIT and follow, oldest first. A claim is a lease: it lapses
  unless it is kept alive, then the task goes out again with the next counter, and the earlier holder's counter is worth nothing.

The ambiguous cases: a lease that lapsed while its holder lived is refused from then on wherever the holder names it (41200); an operation
that names no lease is not fenced (as the legacy protocol has it), which is safe because settling is first-wins.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, cast

from resonate.fenced_tasks import RULES, FencedTasks
from resonate.limits import CLOCK_STEP_MS, EXECUTE_RETRY_MS, ID_LIMIT, INTEGER_LIMIT, RESIDENT_LIMIT, TASK_CLAIM_WINDOW_MS, TASK_RETRY_MS
from resonate.protocol import (
    NOTHING,
    TAKEN_OVER,
    CallbackRecord,
    Claimed,
    ClaimTask,
    CompleteTask,
    CreateLeased,
    CreatePromise,
    CreateSchedule,
    CreateSettled,
    DeleteSchedule,
    DeliveryFailed,
    DropTask,
    GetPromise,
    GetSchedule,
    GetTask,
    Heartbeat,
    Lease,
    ListDescendants,
    Operation,
    Park,
    PromiseRecord,
    Prune,
    RegisterCallback,
    ReleaseTask,
    ScheduleRecord,
    SearchPromises,
    SearchSchedules,
    SettlePromise,
    Subscribe,
    TakeOver,
    TaskMessage,
    TaskRecord,
    TaskState,
    refusal,
)
from resonate.searches import page, place_of
from resonate.tables import NOTICES, OPEN, Archive, notice_of, number_of, origin_of
from resonate.wire.legacy import read_tags, tags_of

NextRun = Callable[[str, int], int]
"""The first time in milliseconds after a given one that a cron expression names; ValueError when it is none."""

_SETTLED_CODES = {"RESOLVED": 40301, "REJECTED": 40302, "REJECTED_CANCELED": 40303, "REJECTED_TIMEDOUT": 40304}
_SETTLED_WORDS = {"RESOLVED": "resolved", "REJECTED": "rejected", "REJECTED_CANCELED": "canceled", "REJECTED_TIMEDOUT": "timed out"}
_TEMPLATE = re.compile(r"\{\{\s*\.(id|timestamp)\s*\}\}")


class Machine(FencedTasks):
    """A promise server without a server. One caller at a time; a refused operation raises `ResonateStoreError` and changes nothing.

    >>> machine = Machine()
    >>> machine.apply(CreatePromise("a", timeout=1000), now=0).state
    'PENDING'
    >>> machine.apply(SettlePromise("a", "RESOLVED", (None, "1")), now=5).value
    (None, '1')
    """

    def __init__(self, next_run: NextRun | None = None, archive: Archive | None = None, resident_limit: int = RESIDENT_LIMIT) -> None:
        super().__init__(archive, resident_limit)
        self._next_run = next_run or _no_cron
        self._latest = 0  # the time of the last tick

    # ---- the two ways in ---------------------------------------------------------------------------------------------------------

    def apply(self, operation: Operation, now: int) -> Any:
        """Carry out one operation. Raises `ResonateStoreError` with the server's code when it is refused."""
        return _RULES[type(operation)](self, operation, now)

    def tick(self, now: int) -> None:
        """Move everything whose time has come: deadlines, schedules, lapsed leases, tasks to send again."""
        if now < self._latest - CLOCK_STEP_MS:
            self._clock_was_put_back(now)
        self._latest = now
        heap = self._deadline_heap
        while heap and heap[0] <= now:
            for promise_id in list(self._deadlines.get(heapq.heappop(heap), ())):
                self._expire(self.promises[promise_id], now)
        while self._schedule_heap and self._schedule_heap[0][0] <= now:
            self._fire(*heapq.heappop(self._schedule_heap), now)
        while self._task_heap and self._task_heap[0][0] <= now:
            due, task_id = heapq.heappop(self._task_heap)
            task = self.tasks.get(task_id)
            if task is None or task.state not in OPEN or not task.expires_at:
                continue
            if task.expires_at > due:
                heapq.heappush(self._task_heap, (task.expires_at, task_id))
                continue
            self._lapse(task, now)

    def _clock_was_put_back(self, now: int) -> None:
        """No lease or wait for a message is longer than it was meant to be, whatever the clock said when it began."""
        for ids in self._open_tasks.values():
            for task_id in ids:
                task = self.tasks[task_id]
                meant = {"CLAIMED": task.ttl, "ENQUEUED": _window_ms(task)}.get(task.state, TASK_RETRY_MS)
                if task.expires_at > max(now + meant, task.not_before):
                    self._wait_until(task, now + meant)

    def redeliver(self, now: int) -> None:
        """Send what could not be delivered once more: somebody listens now."""
        for root in list(self._open_tasks):
            if root not in self._active_task:
                self._send_again(root, now)
            self._offer_again(root, now)

    def offer(
        self, roots: Iterable[str], now: int, is_ours: Callable[[str], bool], is_heard: Callable[[str], bool] = lambda recv: True
    ) -> None:
        """Send the open tasks of these runs to whom they may concern here; of those that another process has sent, what `is_ours`.

        A fenced task that another process could not deliver is tried only if `is_heard`: else two processes would try in turn for ever.
        """
        for root in roots:
            active = self.tasks.get(self._active_task.get(root, ""))
            if active is None:
                self._send_again(root, now)
            elif active.state == "ENQUEUED" and is_ours(active.recv):
                self._send(active)
            self._offer_again(root, now, is_ours, is_heard)

    def _send_again(self, root: str, now: int) -> None:
        for task in [self.tasks[task_id] for task_id in self._open_tasks.get(root, ())]:
            if task.kind != "execute":
                task.expires_at = task.not_before
        self._send_next(root, now)

    # ---- promises ----------------------------------------------------------------------------------------------------------------

    def _create(self, operation: CreatePromise, now: int, *, sends: bool = True) -> PromiseRecord:
        if operation.lease is not None:
            self._check_lease(operation.lease)
        known = self._find(operation.id)
        if known is not None:
            known = self._touch(known, now)
            matches = operation.key is not None and operation.key == known.key_for_create
            if matches and (known.state == "PENDING" or not operation.strict):
                return known
            raise refusal(40900, f"promise {operation.id} exists already with another idempotency key")
        if len(operation.id) > ID_LIMIT:
            raise refusal(40000, f"an id has at most {ID_LIMIT} characters, this one has {len(operation.id)}: {operation.id[:60]}…")
        record = PromiseRecord(
            operation.id, "PENDING", operation.timeout, operation.param, NOTHING, operation.tags, operation.target, operation.timer,
            operation.at or now, None, operation.key, None, operation.lineage, self._promises_made,
        )  # fmt: skip
        self._promises_made += 1
        self._store_promise(record)
        self._watch_deadline(record)
        self._descendants.setdefault(origin_of(record), []).append(record.id)
        if record.target is not None:
            task = TaskRecord(f"__invoke:{record.id}", "invoke", record.id, record.id, record.target, record.timeout, now)
            task.head = operation.head
            self._add_task(task)
            if sends:
                if operation.not_before > now:
                    task.not_before = operation.not_before
                    self._wait_until(task, operation.not_before)
                self._send_next(record.id, now)
        return record

    def _create_leased(self, operation: CreateLeased, now: int) -> tuple[PromiseRecord, Lease | None]:
        is_new = self._find(operation.promise.id) is None
        record = self._create(operation.promise, now, sends=False)
        if record.target is None or not (is_new or operation.adopt):
            return record, None
        task = self._task(f"__invoke:{record.id}")
        if is_new:
            self._claim(task, operation.pid, operation.ttl, now)
        elif (task.state, task.pid, task.counter) != ("CLAIMED", operation.pid, 1):
            return record, None
        return record, Lease(record.id, task.id, task.counter)

    def _take_over(self, operation: TakeOver, now: int) -> tuple[PromiseRecord, Lease | None]:
        old, new = operation.old, operation.create.promise.id
        known = self._touch(self._promise(old), now)
        if known.state == "PENDING" or known.lineage is None or known.lineage.parent is not None:
            raise refusal(40000, f"{old} is no run that is over, so nothing can be taken over from it")
        if self._find(new) is not None:
            raise refusal(40900, f"promise {new} exists already")
        records = self._list_descendants(ListDescendants(old), now)
        limit = len(records)
        if operation.from_step is not None:
            step = next((place for place, each in enumerate(records) if each.id == operation.from_step), 0)
            if step == 0:
                raise refusal(40400, f"{old} has no step {operation.from_step}")
            limit = step
        answer = self._create_leased(operation.create, now)
        for record in records[1:limit]:
            is_to_be_run = f"{operation.from_step}.".startswith(f"{record.id}.")  # the step itself, or what it is a part of
            if record.state == "RESOLVED" and record.id.startswith(f"{old}.") and not is_to_be_run:
                self._copy(record, old, new, now)
        return answer

    def _copy(self, record: PromiseRecord, old: str, new: str, now: int) -> None:
        """A settled promise once more, under the ids of another run."""

        def renamed(text: Any) -> Any:
            return new + text[len(old) :] if text == old or str(text).startswith(f"{old}.") else text

        promise_id = renamed(record.id)
        if self._find(promise_id) is not None:
            return
        assert record.lineage is not None
        known = record.lineage
        lineage = known._replace(origin=renamed(known.origin), root=renamed(known.root), parent=renamed(known.parent))
        copy = replace(
            record, id=promise_id, tags={**(record.tags or {}), TAKEN_OVER: record.id}, created_on=now, completed_on=now,
            key_for_create=renamed(record.key_for_create), key_for_complete=renamed(record.key_for_complete), lineage=lineage,
            number=self._promises_made,
        )  # fmt: skip
        self._promises_made += 1
        self._store_promise(copy)
        self._descendants.setdefault(lineage.origin, []).append(copy.id)

    def _prune(self, operation: Prune, now: int) -> list[str]:
        here = (self.promises.get(origin) for origin in self._descendants)
        ended = [each.id for each in here if each and each.state != "PENDING" and (each.completed_on or 0) < operation.before]
        archive = self._archive if self.has_archived else None
        if archive is not None:
            ended += archive.ended_before(operation.before)
        pruned = []
        for origin in dict.fromkeys(ended):
            if any(self.promises[each].state == "PENDING" for each in self._descendants.get(origin, ())):
                continue  # detached, or left open
            pruned.append(origin)
            if operation.is_dry:
                continue
            self.forget_run(origin)
            if archive is not None:
                archive.forget(origin)
        return pruned

    def _get(self, operation: GetPromise, now: int) -> PromiseRecord:
        return self._touch(self._promise(operation.id), now)

    def _settle(self, operation: SettlePromise, now: int) -> PromiseRecord:
        known = self._promise(operation.id)
        # A request that is repeated because its reply was lost must not be refused for what it did itself: ending the lease.
        is_repeated = operation.adopt and known.state == operation.state and known.key_for_complete == operation.key is not None
        if operation.lease is not None and not is_repeated:
            self._check_lease(operation.lease)
        if known.state == "PENDING" and known.timeout <= now:
            known = self._expire(known, now)
        if known.state != "PENDING":
            if operation.adopt or _repeats(operation, known):
                return known
            raise refusal(_SETTLED_CODES[known.state], f"promise {known.id} is {_SETTLED_WORDS[known.state]} already")
        return self._finish(known, operation.state, operation.value, operation.key, now, now)

    def _create_settled(self, operation: CreateSettled, now: int) -> PromiseRecord:
        create, settle = operation.create, operation.settle
        if create.timeout <= now or self._find(create.id) is not None:
            self._create(replace(create, lease=settle.lease), now)
            return self._settle(settle, now)
        if settle.lease is not None:
            self._check_lease(settle.lease)
        # Nobody can wait for it yet, and its deadline need not be watched.
        record = PromiseRecord(
            create.id, settle.state, create.timeout, create.param, settle.value, create.tags, None, False, create.at, now, create.key,
            settle.key, create.lineage, self._promises_made,
        )  # fmt: skip
        self._promises_made += 1
        self._store_promise(record)
        self._descendants.setdefault(origin_of(record), []).append(record.id)
        if self._archive is not None:
            self._note_settled(record)
        return record

    def _list_descendants(self, operation: ListDescendants, now: int) -> list[PromiseRecord]:
        here = [self._touch(self.promises[known], now) for known in self._descendants.get(operation.origin, ())]
        kept = cast("Archive", self._archive).descendants(operation.origin) if self.has_archived else []
        return sorted([*here, *(each for each in kept if each.id not in self.promises)], key=number_of) if kept else here

    def _search_promises(self, operation: SearchPromises, now: int) -> tuple[list[PromiseRecord], int | None]:
        def matches(record: PromiseRecord) -> PromiseRecord | None:
            record = self._touch(record, now)
            if operation.states is not None and record.state not in operation.states:
                return None
            return record if operation.tags is None or operation.tags.items() <= tags_of(record).items() else None

        before = place_of(operation.before, self._promises_made)
        newest_first: Iterable[PromiseRecord] = (each for each in reversed(self.promises.values()) if each.number < before)
        if self.has_archived:
            kept = (each for each in cast("Archive", self._archive).newest_first(before) if each.id not in self.promises)
            newest_first = heapq.merge(newest_first, kept, key=number_of, reverse=True)
        return page(((record.number, record) for record in newest_first), operation, matches)

    def _promise(self, promise_id: str) -> PromiseRecord:
        known = self._find(promise_id)
        if known is None:
            raise refusal(40400, f"there is no promise {promise_id}")
        return known

    def _touch(self, record: PromiseRecord, now: int) -> PromiseRecord:
        return self._expire(record, now) if record.state == "PENDING" and record.timeout <= now else record

    def _expire(self, record: PromiseRecord, now: int) -> PromiseRecord:
        state = "RESOLVED" if record.timer else "REJECTED_TIMEDOUT"
        return self._finish(record, state, NOTHING, None, record.timeout, now)

    def _finish(self, known: PromiseRecord, state: Any, value: Any, key: str | None, at: int, now: int) -> PromiseRecord:
        record = PromiseRecord(
            known.id, state, known.timeout, known.param, value, known.tags, known.target, known.timer,
            known.created_on, at, known.key_for_create, key, known.lineage, known.number,
        )  # fmt: skip
        self._store_promise(record)
        self._unwatch_deadline(record)
        if record.id in self._open_tasks:
            self._close_tasks(record.id, at)
        waiting = self._callbacks.pop(record.id, None)
        if waiting:
            if self.changes is not None:
                self.changes.callbacks.update(((record.id, callback_id), None) for callback_id in waiting)
            self._wake(record, waiting, now)
        if self._archive is not None:
            self._note_settled(record)
        return record

    def _wake(self, record: PromiseRecord, waiting: dict[str, CallbackRecord], now: int) -> None:
        for callback in sorted(waiting.values(), key=lambda each: each.id):
            if callback.kind in NOTICES:
                self.messages.append(notice_of(callback, record))
                continue
            if callback.kind == "await":
                self._resume(callback.root, now)
                continue
            task_id = self._free_task_id(callback.id)
            task = TaskRecord(task_id, "resume", callback.root, record.id, callback.recv, callback.timeout, now)
            task.head = callback.head
            self._add_task(task)
            self._send_next(callback.root, now)

    # ---- callbacks and subscriptions -----------------------------------------------------------------------------------------------

    def _register_callback(self, operation: RegisterCallback, now: int) -> tuple[PromiseRecord, CallbackRecord | None]:
        record = self._promise(operation.promise)
        if operation.lease is not None:
            self._check_lease(operation.lease)
        if operation.root == record.id:
            raise refusal(40000, f"promise {record.id} cannot wait for itself")
        callback_id = f"__resume:{operation.root}:{record.id}"
        callback = CallbackRecord(callback_id, "resume", record.id, operation.root, operation.recv, operation.timeout, now)
        callback.head = operation.head
        return self._listen(record, callback)

    def _subscribe(self, operation: Subscribe, now: int) -> tuple[PromiseRecord, CallbackRecord | None]:
        record = self._touch(self._promise(operation.promise), now)
        callback_id = f"__notify:{record.id}:{operation.id}"
        return self._listen(record, CallbackRecord(callback_id, "notify", record.id, record.id, operation.recv, operation.timeout, now))

    def _listen(self, record: PromiseRecord, callback: CallbackRecord) -> tuple[PromiseRecord, CallbackRecord | None]:
        if record.state != "PENDING" or callback.id in self._callbacks.get(record.id, ()):
            return record, None
        self._callbacks.setdefault(record.id, {})[callback.id] = callback
        if self.changes is not None:
            self.changes.callbacks[record.id, callback.id] = callback
        return record, callback

    def _park(self, operation: Park, now: int) -> list[PromiseRecord]:
        lease = operation.lease
        if self._has_parked(operation):
            return []  # a repeat, as above
        self._check_lease(lease)
        records = [self._touch(self._promise(promise_id), now) for promise_id in operation.promises]
        settled = [record for record in records if record.state != "PENDING"]
        if settled:
            return settled
        root = lease.root
        for record in records:
            callback_id = f"__resume:{root}:{record.id}"
            self._listen(record, CallbackRecord(callback_id, "resume", record.id, root, operation.recv, operation.timeout, now))
        self._complete(CompleteTask(lease.task, lease.counter), now)
        return []

    def _has_parked(self, operation: Park) -> bool:
        lease = operation.lease
        task = self._find_task(lease.task)
        if task is None or (task.state, task.counter) != ("COMPLETED", lease.counter) or self._promise(lease.root).state != "PENDING":
            return False
        callbacks = ((each, f"__resume:{lease.root}:{each}") for each in operation.promises)
        return all(wanted in self._callbacks.get(each, ()) or self._find_task(wanted) is not None for each, wanted in callbacks)

    # ---- tasks ---------------------------------------------------------------------------------------------------------------------

    def _claim_task(self, operation: ClaimTask, now: int) -> Claimed:
        task = self._task(operation.id)
        root = self._touch(self._promise(task.root), now)  # a run that is over has no open task
        is_repeated = operation.adopt and (task.pid, task.counter) == (operation.pid, operation.counter)
        if task.state == "CLAIMED" and not is_repeated:
            raise refusal(40306, f"task {task.id} is claimed already")
        if task.state in ("COMPLETED", "TIMEDOUT"):
            raise refusal(40307, f"task {task.id} is completed already")
        if task.counter != operation.counter:
            raise refusal(40308, f"task {task.id} has another counter than {operation.counter}")
        self._claim(task, operation.pid, operation.ttl, now)
        leaf = self._promise(task.promise) if task.kind == "resume" else None
        return Claimed(root, leaf, Lease(task.root, task.id, task.counter))

    def _get_task(self, operation: GetTask, now: int) -> TaskRecord:
        return replace(self._task(operation.id))

    def _complete(self, operation: CompleteTask, now: int) -> TaskRecord:
        task = self._task(operation.id)
        if task.state in ("COMPLETED", "TIMEDOUT"):
            return task
        if task.state != "CLAIMED":
            raise refusal(40309, f"task {task.id} is not claimed")
        if task.counter != operation.counter:
            raise refusal(40308, f"task {task.id} has another counter than {operation.counter}")
        self._end_task(task, now)
        task.pid = None  # one that ended with its run shows who held it then
        self._send_next(task.root, now)
        return task

    def _drop(self, operation: DropTask, now: int) -> bool:
        task = self._task(operation.id)
        if task.state != "CLAIMED":
            return False
        if task.counter != operation.counter:
            raise refusal(40308, f"task {task.id} has another counter than {operation.counter}")
        self._lapse(task, now)
        return True

    def _heartbeat(self, operation: Heartbeat, now: int) -> int:
        held = self._held.get(operation.pid, {})
        for task_id in held:
            task = self.tasks[task_id]
            task.expires_at = now + task.ttl  # the heap entry is found stale and moved when its old time comes
            self._note_task(task)
        return len(held)

    def _delivery_failed(self, operation: DeliveryFailed, now: int) -> None:
        task = self._any_task(operation.id)
        if task.state == "ENQUEUED" and task.counter == operation.counter:
            task.state = "INIT"
            self._release(task)
            self._wait_until(task, now + TASK_RETRY_MS)

    def held_by(self, pid: str) -> list[DropTask | ReleaseTask]:
        """What gives back every lease that a process holds."""
        held = [self.tasks[task_id] for task_id in self._held.get(pid, ())]
        return [(ReleaseTask(each.root, each.counter) if each.kind == "execute" else DropTask(each.id, each.counter)) for each in held]

    def open_runs(self) -> list[str]:
        """The runs that have open tasks."""
        return list(self._open_tasks)

    def _task(self, task_id: str) -> TaskRecord:
        task = self._any_task(task_id)
        if task.kind == "execute":
            raise refusal(40403, f"there is no task {task_id}")
        return task

    def _any_task(self, task_id: str) -> TaskRecord:
        task = self._find_task(task_id)
        if task is None:
            raise refusal(40403, f"there is no task {task_id}")
        return task

    def _check_lease(self, lease: Lease) -> None:
        task = self.tasks.get(lease.task)
        if task is None or task.state != "CLAIMED" or task.counter != lease.counter:
            raise refusal(41200, f"the lease on {lease.root} is not held any more")

    def _free_task_id(self, wanted: str) -> str:
        """Run `a` that waits for `b:c` and run `a:b` that waits for `c` ask for the same id; two runs never share a task."""
        free, number = wanted, 1
        while self._find_task(free) is not None:
            number += 1
            free = f"{wanted}#{number}"
        return free

    def _add_task(self, task: TaskRecord) -> None:
        task.number = self._tasks_made
        self._tasks_made += 1
        root = self._find(task.root)
        if root is not None and root.state != "PENDING":
            task.state = "COMPLETED"
            self.tasks[task.id] = task
            self._note_task(task)
            if self._archive is not None:
                self._over_tasks.append(task.id)
            return
        self.tasks[task.id] = task
        self._note_task(task)
        self._open_tasks.setdefault(task.root, {})[task.id] = None

    def _send_next(self, root: str, now: int) -> None:
        if root in self._active_task:
            return
        run = self.promises.get(root)
        if run is not None and run.timeout <= now:
            return  # past its deadline: its tasks end with it, as soon as anybody looks
        for task_id in list(self._open_tasks.get(root, ())):
            task = self.tasks[task_id]
            if task.expires_at > now or task.kind == "execute":
                continue  # not deliverable a moment ago; its time is in the heap
            if task.timeout <= now:
                self._end_task(task, now, "TIMEDOUT")
                continue
            task.state = "ENQUEUED"
            self._active_task[root] = task.id
            self._wait_until(task, now + TASK_CLAIM_WINDOW_MS)
            self._send(task)
            return

    def _send(self, task: TaskRecord) -> None:
        message = TaskMessage(task.recv, cast("Any", task.kind), task.id, task.counter, task.root, task.timeout, task.created_on, task.head)
        self.messages.append(message)

    def _claim(self, task: TaskRecord, pid: str, ttl: int, now: int) -> None:
        task.state, task.pid, task.ttl = "CLAIMED", pid, ttl
        self._active_task[task.root] = task.id
        self._held.setdefault(pid, {})[task.id] = None
        self._wait_until(task, now + ttl)

    def _lapse(self, task: TaskRecord, now: int) -> None:
        """The task was not claimed, or not kept alive: it goes out again with the next counter."""
        if task.kind == "execute":
            self._offer(task, now)
            return
        if task.state != "INIT":
            task.counter += 1
        self._release(task)
        task.state, task.pid, task.expires_at = "INIT", None, 0
        self._note_task(task)
        self._send_next(task.root, now)

    def _end_task(self, task: TaskRecord, now: int, state: TaskState = "COMPLETED") -> None:
        self._release(task)
        task.state, task.completed_on, task.expires_at = state, now, 0
        self._note_task(task)
        if self._archive is not None:
            self._over_tasks.append(task.id)
            self.is_crowded = self.is_crowded or len(self._over_tasks) > self._resident_limit
        self._forget_open(task)

    def _close_tasks(self, root: str, now: int) -> None:
        for task_id in list(self._open_tasks[root]):
            self._end_task(self.tasks[task_id], now)

    # ---- schedules -----------------------------------------------------------------------------------------------------------------

    def _create_schedule(self, operation: CreateSchedule, now: int) -> ScheduleRecord:
        known = self.schedules.get(operation.id)
        if known is not None:
            if operation.key is not None and operation.key == known.key:
                return known
            raise refusal(40901, f"schedule {operation.id} exists already with another idempotency key")
        if len(operation.id) > ID_LIMIT:
            raise refusal(40000, f"an id has at most {ID_LIMIT} characters, this one has {len(operation.id)}: {operation.id[:60]}…")
        rest = _TEMPLATE.sub("", operation.promise_id)
        if "{{" in rest or "}}" in rest:
            raise refusal(40000, f"{operation.promise_id} is no promise id: only {{{{.id}}}} and {{{{.timestamp}}}} can stand in it")
        try:
            first = self._next_run(operation.cron, now)
        except ValueError as error:
            raise refusal(40000, str(error)) from None
        record = ScheduleRecord(
            operation.id, operation.cron, operation.promise_id, operation.promise_timeout, operation.promise_param,
            operation.promise_tags or {}, operation.description, operation.tags or {}, operation.key, now, first,
            number=self._schedules_made,
        )  # fmt: skip
        self._schedules_made += 1
        self._store_schedule(record)
        heapq.heappush(self._schedule_heap, (first, record.id))
        return record

    def _get_schedule(self, operation: GetSchedule, now: int) -> ScheduleRecord:
        try:
            return self.schedules[operation.id]
        except KeyError:
            raise refusal(40401, f"there is no schedule {operation.id}") from None

    def _delete_schedule(self, operation: DeleteSchedule, now: int) -> None:
        self._get_schedule(GetSchedule(operation.id), now)
        del self.schedules[operation.id]
        if self.changes is not None:
            self.changes.schedules[operation.id] = None

    def _search_schedules(self, operation: SearchSchedules, now: int) -> tuple[list[ScheduleRecord], int | None]:
        def matches(record: ScheduleRecord) -> ScheduleRecord | None:
            return record if operation.tags is None or operation.tags.items() <= record.tags.items() else None

        before = place_of(operation.before, self._schedules_made)
        newest_first = sorted(self.schedules.values(), key=lambda each: -each.number)
        return page(((record.number, record) for record in newest_first if record.number < before), operation, matches)

    def _fire(self, due: int, schedule_id: str, now: int) -> None:
        schedule = self.schedules.get(schedule_id)
        if schedule is None or schedule.next_run != due or schedule.last_run == due:
            return  # deleted, or deleted and made anew; or another process has fired it, for the last time
        if schedule.is_fenced:
            self._fire_fenced(schedule, due, now)
            return
        try:
            following = self._next_run(schedule.cron, due)
            heapq.heappush(self._schedule_heap, (following, schedule_id))
        except ValueError:  # there is no further time
            following = due
        self._store_schedule(replace(schedule, last_run=due, next_run=following))
        given = {"id": schedule_id, "timestamp": str(due)}
        promise_id = _TEMPLATE.sub(lambda match: given[match[1]], schedule.promise_id)
        if self._find(promise_id) is not None or len(promise_id) > ID_LIMIT:
            return
        tags = {**schedule.promise_tags, "resonate:schedule": schedule_id, "resonate:invocation": "true"}
        target, timer, not_before = read_tags(tags)
        timeout = min(due + schedule.promise_timeout, INTEGER_LIMIT)
        create = CreatePromise(promise_id, timeout, None, False, schedule.promise_param, tags, target, timer, not_before=not_before)
        self._create(create, now)


def _window_ms(task: TaskRecord) -> int:
    return EXECUTE_RETRY_MS if task.kind == "execute" else TASK_CLAIM_WINDOW_MS


def _no_cron(cron: str, after: int) -> int:
    raise ValueError("this promise server has no schedules")


def _repeats(operation: SettlePromise, known: PromiseRecord) -> bool:
    """Whether settling a settled promise is an idempotent repeat (`wire-legacy`, promise state machine)."""
    if known.state == "REJECTED_TIMEDOUT":
        return not operation.strict
    if operation.key is None or operation.key != known.key_for_complete:
        return False
    return not operation.strict or operation.state == known.state


_RULES: dict[type, Callable[[Any, Any, int], Any]] = {
    CreatePromise: Machine._create,
    CreateLeased: Machine._create_leased,
    TakeOver: Machine._take_over,
    Prune: Machine._prune,
    GetPromise: Machine._get,
    SettlePromise: Machine._settle,
    CreateSettled: Machine._create_settled,
    RegisterCallback: Machine._register_callback,
    Subscribe: Machine._subscribe,
    Park: Machine._park,
    ClaimTask: Machine._claim_task,
    GetTask: Machine._get_task,
    CompleteTask: Machine._complete,
    DropTask: Machine._drop,
    Heartbeat: Machine._heartbeat,
    DeliveryFailed: Machine._delivery_failed,
    ListDescendants: Machine._list_descendants,
    SearchPromises: Machine._search_promises,
    CreateSchedule: Machine._create_schedule,
    GetSchedule: Machine._get_schedule,
    DeleteSchedule: Machine._delete_schedule,
    SearchSchedules: Machine._search_schedules,
    **RULES,
}
