"""What a promise server holds, pure: small tables of promises, tasks, callbacks and schedules, and the indexes that make each rule quick.

The rules are in `machine`. Here is what they stand on: finding a record wherever it is, noting what changes for whoever writes it down
(`Changes`), taking in what another process has written (`install_…`), and putting away what is over (`Archive`).
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Protocol, cast

from resonate.limits import PUT_AWAY_LIMIT, RESIDENT_LIMIT
from resonate.protocol import BRANCH, CallbackRecord, Message, NotifyMessage, PromiseRecord, ScheduleRecord, TaskRecord

OPEN = ("INIT", "ENQUEUED", "CLAIMED", "SUSPENDED", "HALTED")
"""The states of a task that is not done with."""
RESTING = ("SUSPENDED", "HALTED")
"""Those of a task that is not sent for now."""


class Archive(Protocol):
    """Where the machine leaves what is settled and over. Nothing in it changes any more."""

    def keep(self, promises: Iterable[PromiseRecord], /) -> None:
        """Take settled promises over."""
        ...

    def keep_tasks(self, tasks: Iterable[TaskRecord], /) -> None:
        """Take tasks over that are done with."""
        ...

    def promise(self, promise_id: str, /) -> PromiseRecord | None:
        """The promise of that id, if it is there."""
        ...

    def task(self, task_id: str, /) -> TaskRecord | None:
        """The task of that id, if it is there."""
        ...

    def descendants(self, origin: str, /) -> list[PromiseRecord]:
        """The promises of a call graph that are there, in the order of creation."""
        ...

    def newest_first(self, before: int, /) -> Iterable[PromiseRecord]:
        """All promises that are there with a number below `before`."""
        ...

    def in_order(self, after: str, tag: tuple[str, str] | None, /) -> Iterable[PromiseRecord]:
        """All promises that are there with an id beyond one, in the order of ids; those that lack a tag may be left out."""
        ...

    def of_branch(self, branch: str, /) -> Iterable[PromiseRecord]:
        """The promises of a branch that are there."""
        ...

    def fenced_in_order(self, after: str, /) -> Iterable[TaskRecord]:
        """The fenced tasks that are there of promises with an id beyond one, in the order of ids."""
        ...

    def ended_before(self, time: int, /) -> Iterable[str]:
        """The outermost runs that are there and were over before a time."""
        ...

    def forget(self, origin: str, /) -> None:
        """Keep nothing any more of a call graph."""
        ...


class Changes:
    """What has changed since it was last written down, as it is now; None stands for what is gone."""

    def __init__(self) -> None:
        self.promises: dict[str, PromiseRecord] = {}
        self.tasks: dict[str, TaskRecord] = {}
        self.callbacks: dict[tuple[str, str], CallbackRecord | None] = {}
        """By promise and id: two runs may wait under one id."""
        self.schedules: dict[str, ScheduleRecord | None] = {}
        self.branches: dict[str, str] = {}
        """Of promises that are new: the branch that each is handed out with."""

    def __bool__(self) -> bool:
        return bool(self.promises or self.tasks or self.callbacks or self.schedules)

    def has_promises_alone(self) -> bool:
        """Whether nothing but promises has changed."""
        return not (self.tasks or self.callbacks or self.schedules or self.branches)


class Tables:
    """Records by id. One caller at a time; the methods with an underscore are for the rules alone."""

    def __init__(self, archive: Archive | None = None, resident_limit: int = RESIDENT_LIMIT) -> None:
        self.promises: dict[str, PromiseRecord] = {}
        self.tasks: dict[str, TaskRecord] = {}
        self._archive = archive
        self._resident_limit = resident_limit
        self._over: deque[str] = deque()  # outermost runs that have ended, and what ended of them later; tasks that have ended
        self._over_tasks: deque[str] = deque()
        self._settled = 0
        self.has_archived = False
        """Whether the archive has anything."""
        self.changes: Changes | None = None
        """Where to note what changes, for whoever writes it down."""
        self.is_crowded = False
        """Whether `put_away` has something to do."""
        self.schedules: dict[str, ScheduleRecord] = {}
        self._schedule_heap: list[tuple[int, str]] = []
        self._promises_made = 0
        self._tasks_made = 0
        self._schedules_made = 0
        self.messages: list[Message] = []
        self._callbacks: dict[str, dict[str, CallbackRecord]] = {}
        self._descendants: dict[str, list[str]] = {}  # by the outermost run
        self._branches: dict[str, dict[str, None]] = {}  # ids of the promises here that are handed out together
        self._ids: list[str] = []  # of the promises with a number below `_ids_to`, in order; some may be gone
        self._ids_to = 0
        # Pending deadlines: ids by deadline, and a heap of the distinct deadlines. The children of a run usually share its deadline.
        self._deadlines: dict[int, dict[str, None]] = {}
        self._deadline_heap: list[int] = []
        # Open tasks of a run, oldest first; which of them is sent or claimed; who holds what; when each has to be looked at again.
        self._open_tasks: dict[str, dict[str, None]] = {}
        self._active_task: dict[str, str] = {}
        self._held: dict[str, dict[str, None]] = {}
        self._task_heap: list[tuple[int, str]] = []

    # ---- looking and noting ----------------------------------------------------------------------------------------------------------

    def _find(self, promise_id: str) -> PromiseRecord | None:
        known = self.promises.get(promise_id)
        return known if known is not None or not self.has_archived else cast("Archive", self._archive).promise(promise_id)

    def _store_promise(self, record: PromiseRecord) -> None:
        self.promises[record.id] = record
        if self.changes is not None:
            self.changes.promises[record.id] = record

    def _note_task(self, task: TaskRecord) -> None:
        if self.changes is not None:
            self.changes.tasks[task.id] = task

    def _find_task(self, task_id: str) -> TaskRecord | None:
        task = self.tasks.get(task_id)
        return task if task is not None or not self.has_archived else cast("Archive", self._archive).task(task_id)

    def _store_schedule(self, record: ScheduleRecord) -> None:
        self.schedules[record.id] = record
        if self.changes is not None:
            self.changes.schedules[record.id] = record

    def has(self, promise_id: str) -> bool:
        """Whether there is a promise of that id."""
        return self._find(promise_id) is not None

    def take_messages(self) -> list[Message]:
        """The messages since the last call; whoever takes them delivers them."""
        messages, self.messages = self.messages, []
        return messages

    def next_due(self) -> int | None:
        """When the next `tick` has something to do, or None."""
        heap = self._deadline_heap
        while heap and heap[0] not in self._deadlines:
            heapq.heappop(heap)
        first = heap[0] if heap else None
        if self._task_heap and (first is None or self._task_heap[0][0] < first):
            first = self._task_heap[0][0]
        if self._schedule_heap and (first is None or self._schedule_heap[0][0] < first):
            first = self._schedule_heap[0][0]
        return first

    def is_sooner(self, known: int | None) -> bool:
        """Whether something is due, and earlier than at a known time."""
        heap, tasks, schedules = self._deadline_heap, self._task_heap, self._schedule_heap
        if known is not None and not (
            (heap and heap[0] < known) or (tasks and tasks[0][0] < known) or (schedules and schedules[0][0] < known)
        ):
            return False
        due = self.next_due()
        return due is not None and (known is None or due < known)

    # ---- indexes ---------------------------------------------------------------------------------------------------------------------

    def _note_branch(self, record: PromiseRecord) -> None:
        branch = (record.tags or {}).get(BRANCH)
        if branch is not None:
            self._branches.setdefault(branch, {})[record.id] = None
            if self.changes is not None:
                self.changes.branches[record.id] = branch

    def _forget_branch(self, record: PromiseRecord) -> None:
        branch = (record.tags or {}).get(BRANCH)
        ids = self._branches.get(branch) if branch is not None else None
        if ids is not None:
            ids.pop(record.id, None)
            if not ids:
                del self._branches[cast("str", branch)]

    def _in_order(self, after: str, tag: tuple[str, str] | None) -> Iterator[PromiseRecord]:
        """All promises with an id beyond one, in the order of ids; of those that were put away, such as lack a tag may be left out."""
        here = self._here_in_order(after)
        if not self.has_archived:
            return here
        kept = (each for each in cast("Archive", self._archive).in_order(after, tag) if each.id not in self.promises)
        return heapq.merge(here, kept, key=id_of)

    def _here_in_order(self, after: str) -> Iterator[PromiseRecord]:
        new = [each.id for each in takewhile(lambda record: record.number >= self._ids_to, reversed(self.promises.values()))]
        if new or len(self._ids) > 64 + 2 * len(self.promises):
            there = [each for each in self._ids if each in self.promises]
            self._ids, self._ids_to = sorted(dict.fromkeys(there + new)), self._promises_made
        ids = self._ids
        at = (ids[place] for place in range(bisect_right(ids, after), len(ids)))
        return (self.promises[each] for each in at if each in self.promises)

    def _branch(self, branch: str) -> list[PromiseRecord]:
        """All promises of a branch, in the order of ids."""
        kept = cast("Archive", self._archive).of_branch(branch) if self.has_archived else ()
        found = {each.id: each for each in kept}
        found.update((each, self.promises[each]) for each in self._branches.get(branch, ()) if each in self.promises)
        return sorted(found.values(), key=id_of)

    def _watch_deadline(self, record: PromiseRecord) -> None:
        bucket = self._deadlines.get(record.timeout)
        if bucket is None:
            bucket = self._deadlines[record.timeout] = {}
            heapq.heappush(self._deadline_heap, record.timeout)
            if len(self._deadline_heap) > 64 + 2 * len(self._deadlines):
                # Deadlines whose promises settled early are left in the heap; once they are the most of it, make it anew.
                self._deadline_heap = sorted(self._deadlines)
        bucket[record.id] = None

    def _unwatch_deadline(self, record: PromiseRecord) -> None:
        bucket = self._deadlines[record.timeout]
        del bucket[record.id]
        if not bucket:
            del self._deadlines[record.timeout]

    def _forget_open(self, task: TaskRecord) -> None:
        still_open = self._open_tasks.get(task.root)
        if still_open is not None:
            still_open.pop(task.id, None)
            if not still_open:
                del self._open_tasks[task.root]

    def _release(self, task: TaskRecord) -> None:
        if self._active_task.get(task.root) == task.id:
            del self._active_task[task.root]
        if task.pid is not None:
            held = self._held.get(task.pid)
            if held is not None:
                held.pop(task.id, None)
                if not held:
                    del self._held[task.pid]

    def _wait_until(self, task: TaskRecord, at: int) -> None:
        task.expires_at = at
        self._note_task(task)
        heapq.heappush(self._task_heap, (at, task.id))
        if len(self._task_heap) > 64 + 4 * len(self._open_tasks):
            open_ids = [task_id for ids in self._open_tasks.values() for task_id in ids]
            self._task_heap = sorted((self.tasks[each].expires_at, each) for each in open_ids if self.tasks[each].expires_at)

    # ---- what nobody is likely to ask for again ------------------------------------------------------------------------------------

    def _note_settled(self, record: PromiseRecord) -> None:
        origin = origin_of(record)
        outermost = self.promises.get(origin)
        if outermost is None or outermost.state != "PENDING":
            self._over.append(origin)
            self._settled += len(self._descendants[origin]) if origin == record.id else 1
            self.is_crowded = self._settled > self._resident_limit or len(self._over_tasks) > self._resident_limit

    def put_away(self) -> None:
        """Give the archive some of what is over, when there is much of it: the oldest, and never much at once."""
        if self._archive is None:
            return
        self.has_archived = True
        if self._settled > self._resident_limit:
            away: list[PromiseRecord] = []
            while self._over and len(away) < PUT_AWAY_LIMIT:
                self._put_away_run(self._over.popleft(), away)
            self._archive.keep(away)
            self._settled = max(0, self._settled - len(away))
            for record in away:
                del self.promises[record.id]
                if self._branches:
                    self._forget_branch(record)
        if len(self._over_tasks) > self._resident_limit:
            ids = [self._over_tasks.popleft() for _ in range(min(PUT_AWAY_LIMIT, len(self._over_tasks)))]
            known = (self.tasks.get(each) for each in ids)  # some were pruned, and perhaps made anew
            over = {task.id: task for task in known if task is not None and task.state not in OPEN}
            for task_id in over:
                del self.tasks[task_id]
            self._archive.keep_tasks(over.values())
        self.is_crowded = self._settled > self._resident_limit or len(self._over_tasks) > self._resident_limit

    def _put_away_run(self, origin: str, away: list[PromiseRecord]) -> None:
        ids = self._descendants.get(origin)
        if ids is None:
            return
        kept: list[str] = []
        for place, promise_id in enumerate(ids):
            if len(away) >= PUT_AWAY_LIMIT:
                kept += ids[place:]
                self._over.appendleft(origin)
                break
            record = self.promises[promise_id]
            if record.state == "PENDING":
                kept.append(promise_id)  # detached, or left open; it comes back here when it settles
            else:
                away.append(record)
        if kept:
            self._descendants[origin] = kept
        else:
            del self._descendants[origin]

    # ---- what others have written ----------------------------------------------------------------------------------------------------

    def miss_nothing(self, earlier: Tables) -> None:
        """Tell those who waited for a promise in tables that were given up, and that has settled in the meantime."""
        for promise_id, waiting in earlier._callbacks.items():
            record = self._find(promise_id)
            if record is not None and record.state != "PENDING":
                self.messages += [notice_of(each, record) for each in waiting.values() if each.kind in NOTICES]

    def begin_numbers_at(self, promises: int, tasks: int) -> None:
        """Count on from there, if not further already."""
        self._promises_made = max(self._promises_made, promises)
        self._tasks_made = max(self._tasks_made, tasks)

    def forget_run(self, origin: str) -> None:
        """Keep nothing any more of a run that is over, and of which nothing is pending."""
        self.tasks.pop(fenced_id(origin), None)
        for promise_id in self._descendants.pop(origin, ()):
            record = self.promises.pop(promise_id)
            self._forget_branch(record)
            self.tasks.pop(f"__invoke:{promise_id}", None)
            if record.lineage is not None:
                self.tasks.pop(f"__resume:{record.lineage.root}:{promise_id}", None)

    def install_promise(self, record: PromiseRecord) -> None:
        """Take in a promise as another process, or an earlier one, has left it. Settled ones are the archive's."""
        self._promises_made = max(self._promises_made, record.number + 1)
        known = self.promises.get(record.id)
        if record.state == "PENDING":
            if known is None:
                self.promises[record.id] = record
                self._watch_deadline(record)
                self._descendants.setdefault(origin_of(record), []).append(record.id)
                if record.tags and BRANCH in record.tags:
                    self._branches.setdefault(record.tags[BRANCH], {})[record.id] = None
            return
        self.has_archived = True
        if known is not None and known.state == "PENDING":
            self.promises[record.id] = record
            self._unwatch_deadline(known)
            for callback in self._callbacks.pop(record.id, {}).values():
                if callback.kind in NOTICES:  # runs that wait are resumed by their tasks
                    self.messages.append(notice_of(callback, record))
            if self._archive is not None:
                self._note_settled(record)

    def install_task(self, task: TaskRecord) -> None:
        """Take in a task as another process, or an earlier one, has left it."""
        known = self.tasks.pop(task.id, None)
        if known is not None and known.state in OPEN:
            self._release(known)
        if task.state not in OPEN:
            self._forget_open(task)
            self.has_archived = True
            return
        self.tasks[task.id] = task
        self._open_tasks.setdefault(task.root, {})[task.id] = None
        if task.state != "INIT" and task.kind != "execute":
            self._active_task[task.root] = task.id
        if task.pid is not None:
            self._held.setdefault(task.pid, {})[task.id] = None
        if task.expires_at:
            heapq.heappush(self._task_heap, (task.expires_at, task.id))

    def install_callback(self, callback: CallbackRecord) -> None:
        """Take in somebody who waits."""
        if callback.promise in self.promises:
            self._callbacks.setdefault(callback.promise, {})[callback.id] = callback

    def install_schedule(self, schedule_id: str, record: ScheduleRecord | None) -> None:
        """Take in a schedule, or (None) that it is gone."""
        if record is None:
            self.schedules.pop(schedule_id, None)
            return
        self._schedules_made = max(self._schedules_made, record.number + 1)
        self.schedules[schedule_id] = record
        heapq.heappush(self._schedule_heap, (record.next_run, schedule_id))


def number_of(record: PromiseRecord) -> int:
    """A promise's place in the order of creation."""
    return record.number


def origin_of(record: PromiseRecord) -> str:
    """The outermost run that a promise belongs to; itself where it is of none."""
    return record.lineage.origin if record.lineage is not None else record.id


def id_of(record: PromiseRecord) -> str:
    """A promise's id."""
    return record.id


def fenced_id(promise_id: str) -> str:
    """Under which id the fenced task of a promise stands among all tasks: no other kind of task has such a one."""
    return f"__execute:{promise_id}"


NOTICES = ("notify", "listen")
"""The kinds of callbacks that make a message, not a task."""


def notice_of(callback: CallbackRecord, record: PromiseRecord) -> NotifyMessage:
    """The message about a settled promise that somebody has asked for."""
    return NotifyMessage(callback.recv, record, "unblock" if callback.kind == "listen" else "notify")
