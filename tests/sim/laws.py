"""What must always be true, one sentence each, checked after every step of a simulated world.

A law looks at the records of the server and at what the workers hold, never at how either got there. Six kinds: of one promise's
transition, of one task's transition, of one schedule's, of what the server says in a step (its answer and its messages), of the server's
whole state, of the workers. The book keeps its own ledger of what was granted and promised (leases, waiters, subscriptions, settlements),
so that a server that forgets is found out by what it said before.

Here is the book; the laws are in `laws_of_promises`, `laws_of_tasks` and `laws_of_workers`. `catalogue` says where each property of the
protocol's specification is held.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from resonate.computation import SETTLING, Node
from resonate.protocol import (
    NOTHING,
    CallbackRecord,
    Claimed,
    ClaimTask,
    CreateLeased,
    CreateSettled,
    Heartbeat,
    Lease,
    Message,
    NotifyMessage,
    Park,
    PromiseRecord,
    ScheduleRecord,
    SettlePromise,
    Subscribe,
    TaskRecord,
)

if TYPE_CHECKING:
    from tests.sim.disk import Picture
    from tests.sim.worker import Asked, Run, Worker
    from tests.sim.workflows import Interpreter
    from tests.sim.world import World

OPEN = ("INIT", "ENQUEUED", "CLAIMED")


class Violation(AssertionError):
    """A law is broken: which one, and by what."""

    def __init__(self, law: str, detail: str) -> None:
        super().__init__(f"{law}: {detail}")
        self.law = law
        self.detail = detail


LAWS: dict[str, str] = {
    "kept": "what was acknowledged is there after a crash; a power cut under `fast` takes only the last turns",
    "whole_turns": "after a crash all of a turn is there, with all turns before it, and nothing of the next",
    "same_for_all": "whoever has a turn has what was there after the last one, whoever wrote that",
    "granted_once": "a lease, once granted, is never granted to another worker",
    "told_once": "whoever subscribed to a promise is told once when it settles",
    "told_truly": "whoever is told that a promise settled is told what the store has",
    "acknowledged": "no step is called again under its run's lease once its settlement was acknowledged",
    "ends_once": "a run ends once in each process",
    "lost_truly": "a run is dropped as lost only if its lease is another's, not for having ended by what the run itself asked for",
    "given_back": "a worker that drops a run gives back the lease that it goes by",
    "as_called": "no function is given the outcome of another call than the one that it made",
    "stopped": "a run that meets another call under an id than the one that is recorded there goes no further",
    "as_recorded": "what a promise holds is what the call gives that is recorded with it",
    "goes_on": "a run that no worker finds changed comes to its end",
    "the_end": "it comes to an end",
    "progress": "when the faults stop, every run ends within three lease periods",
    "result": "the outcome is that of plain recursion, in every promise",
    "lineage": "the lineage is that of plain recursion",
    "no_task_left": "in the end no task is open",
    "no_run_left": "in the end no worker keeps a run",
}
"""Every law, by name: these are checked where the thing happens, the others are the functions that `law` enters here."""
OF_PROMISES: list[tuple[str, Callable[[LawBook, PromiseRecord | None, PromiseRecord], str | None]]] = []
OF_TASKS: list[tuple[str, Callable[[LawBook, TaskRecord, Was | None], str | None]]] = []
OF_SCHEDULES: list[tuple[str, Callable[[LawBook, ScheduleRecord | None, ScheduleRecord], str | None]]] = []
OF_STEPS: list[tuple[str, Callable[[LawBook], str | None]]] = []
OF_THE_SERVER: list[tuple[str, Callable[[LawBook], str | None]]] = []
OF_WORKERS: list[tuple[str, Callable[[LawBook], str | None]]] = []


def law(book: list[Any]) -> Callable[[Any], Any]:
    """Put a law into a book. Its docstring is the sentence; it gives None, or what breaks it."""

    def enter(check: Any) -> Any:
        assert check.__doc__
        LAWS[check.__name__] = check.__doc__
        book.append((check.__doc__, check))
        return check

    return enter


class Table(dict[str, PromiseRecord]):
    """The server's table of promises, which tells what was written."""

    def __init__(self, promises: dict[str, PromiseRecord]) -> None:
        super().__init__(promises)
        self.written: list[tuple[PromiseRecord | None, PromiseRecord]] = []

    def __setitem__(self, promise_id: str, record: PromiseRecord) -> None:
        self.written.append((self.get(promise_id), record))
        super().__setitem__(promise_id, record)


class Was(NamedTuple):
    """A task as it was; the server changes tasks in place."""

    state: str
    counter: int
    pid: str | None
    ttl: int
    expires_at: int
    completed_on: int | None
    fixed: tuple[Any, ...]

    @staticmethod
    def of(task: TaskRecord) -> Was:
        fixed = (task.kind, task.root, task.promise, task.recv, task.timeout, task.created_on)
        return Was(task.state, task.counter, task.pid, task.ttl, task.expires_at, task.completed_on, fixed)


class LawBook:
    """All laws, with the ledger, for one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.machine = world.machine
        if world.server is None:
            self.machine.promises = Table(self.machine.promises)
        self.operation: Any = None
        self.answer: Any = None
        self.worker: Worker | None = None
        self.messages: list[Message] = []
        self.tasks: dict[str, Was] = {}
        """As they were before the operation under way."""
        self.changed: list[tuple[TaskRecord, Was | None]] = []
        self.callbacks: dict[str, dict[str, CallbackRecord]] = {}
        """As they were before the operation under way."""
        self.schedules: dict[str, ScheduleRecord] = {}
        self.known_promises: list[str] = []
        self.granted: dict[tuple[str, int], str] = {}
        self.holders: dict[str, set[str]] = {}
        """Everybody who ever held a run."""
        self.parked_by: dict[str, str] = {}
        """Who parked a run last."""
        self.lease_until: dict[tuple[str, int], int] = {}
        self.settled_under: dict[str, Lease] = {}
        """The lease under which each promise was settled, where it was under one."""
        self.waits: dict[str, set[str]] = {}
        """Runs that parked on a promise."""
        self.subscribers: dict[str, set[str]] = {}
        self.was_held = False
        """Whether the lease that the operation names was held."""
        self.is_dirty = True
        self.disk = OfDisk(self) if world.server is not None else None

    @property
    def now(self) -> int:
        return self.world.now

    @property
    def table(self) -> Table:
        """Where the server has its promises in memory."""
        table: Table = self.machine.promises if self.world.server is None else self.world.server.table  # type: ignore[assignment]
        return table

    @property
    def resident(self) -> dict[str, PromiseRecord]:
        """The promises that the server has in memory."""
        return self.table

    # ---- what the world reports --------------------------------------------------------------------------------------------------------

    def before(self, operation: Any, worker: Worker | None) -> None:
        """The server is about to carry out an operation, or (None) a tick."""
        self.operation, self.worker = operation, worker
        lease = getattr(operation.settle if isinstance(operation, CreateSettled) else operation, "lease", None)
        self.was_held = lease is not None and self.is_held(lease)
        self.callbacks = {promise_id: dict(callbacks) for promise_id, callbacks in self.machine._callbacks.items()}
        self.table.written.clear()

    def after(self, operation: Any, answer: Any, worker: Worker | None, messages: list[Message]) -> None:
        """It has."""
        self.answer, self.messages = answer, messages
        self.is_dirty = True
        written = self.table.written
        if isinstance(operation, CreateSettled):
            self.split(operation)
        for old, new in list(written):
            if isinstance(operation, CreateSettled):
                self.operation = operation.settle if old is not None else replace(operation.create, lease=operation.settle.lease)
            for sentence, check in OF_PROMISES:
                self.hold(sentence, check(self, old, new))
        if isinstance(operation, CreateSettled):
            self.operation = operation.settle
        self.keep_leases()
        tasks = self.tasks
        now = {task.id: Was.of(task) for task in self.machine.tasks.values()}
        self.changed = [(self.machine.tasks[each], tasks.get(each)) for each, is_now in now.items() if tasks.get(each) != is_now]
        for task, was in self.changed:
            for sentence, check_task in OF_TASKS:
                self.hold(sentence, check_task(self, task, was))
        for sentence, check_step in OF_STEPS:
            self.hold(sentence, check_step(self))
        for schedule in self.machine.schedules.values():
            if self.schedules.get(schedule.id) is not schedule:
                for sentence, check_schedule in OF_SCHEDULES:
                    self.hold(sentence, check_schedule(self, self.schedules.get(schedule.id), schedule))
        self.schedules = dict(self.machine.schedules)
        self.tasks = now
        self.keep_waits(written)

    def split(self, operation: CreateSettled) -> None:
        """What is created and settled at once is created, and then settled."""
        written = self.table.written
        for place, (old, new) in enumerate(written):
            if old is None and new.state != "PENDING":
                pending = replace(new, state="PENDING", value=NOTHING, completed_on=None, key_for_complete=None)
                written[place : place + 1] = [(None, pending), (pending, new)]
                return

    def keep_leases(self) -> None:
        operation, answer = self.operation, self.answer
        lease: Lease | None = None
        ttl = 0
        if isinstance(operation, CreateLeased) and isinstance(answer, tuple):
            lease, ttl = answer[1], operation.ttl
        elif isinstance(operation, ClaimTask) and isinstance(answer, Claimed):
            lease, ttl = answer.lease, operation.ttl
        if lease is not None:
            pid = operation.pid
            holder = self.granted.setdefault((lease.task, lease.counter), pid)
            self.hold(LAWS["granted_once"], None if holder == pid else f"{lease}: {holder}, {pid}")
            self.holders.setdefault(lease.root, set()).add(pid)
            self.lease_until.setdefault((lease.task, lease.counter), self.now + ttl)
        if isinstance(operation, Heartbeat):
            for task in self.machine.tasks.values():
                if task.state == "CLAIMED" and task.pid == operation.pid:
                    self.lease_until[task.id, task.counter] = self.now + task.ttl

    def keep_waits(self, written: list[tuple[PromiseRecord | None, PromiseRecord]]) -> None:
        operation, answer = self.operation, self.answer
        for _, new in written:
            if new.state != "PENDING":
                if isinstance(operation, SettlePromise) and operation.id == new.id and operation.lease is not None:
                    self.settled_under[new.id] = operation.lease
                self.hold(LAWS["told_once"], _untold(self, new))
        if isinstance(operation, Park) and self.was_held and answer == []:
            if self.worker is not None:
                self.parked_by[operation.lease.root] = self.worker.pid
            for promise_id in operation.promises:
                self.waits.setdefault(promise_id, set()).add(operation.lease.root)
        elif isinstance(operation, Subscribe) and isinstance(answer, tuple) and answer[0].state == "PENDING":
            self.subscribers.setdefault(operation.promise, set()).add(operation.recv)

    def told(self, worker: Worker, asked: Asked, answers: list[Any]) -> None:
        """A worker has received its answers."""
        for answer in answers:
            for record in _records(answer):
                self.hold(LAWS["told_truly"], _untrue(self, record))
                if self.disk is not None:
                    self.disk.acknowledged(record)

    def noticed(self, worker: Worker, record: PromiseRecord) -> None:
        """A worker has received the news of a settlement."""
        self.hold(LAWS["told_truly"], _untrue(self, record))

    def called(self, run: Run, node: Node, lease: Lease | None) -> None:
        """A worker is about to call a function, as its run decided under a lease."""
        command = node.command
        if lease is None or command is None or not command.option.durable or not self.is_held(lease):
            return  # a step in flight when its lease lapsed may run again
        under = self.settled_under.get(node.id)
        if under is not None and under.root == run.id:
            raise Violation(LAWS["acknowledged"], node.id)

    def lost(self, worker: Worker, run: Run) -> None:
        """A worker drops a run, because it is another's by what the server says."""
        computation = run.computation
        lease = computation.lease
        if lease is None:
            raise Violation(LAWS["given_back"], f"{worker} drops {run.id}")
        task = self.machine.tasks[lease.task]
        is_parked = task.state == "COMPLETED" and self.machine.promises[run.id].state == "PENDING" and computation._parking is not None
        is_settled = self.settled_under.get(run.id) == lease and computation.root.phase == SETTLING
        is_settled = is_settled and self.machine.promises[run.id].state != "REJECTED_TIMEDOUT"  # by its deadline, not by what was asked
        is_held = task.state == "CLAIMED" and len(self.holders[run.id]) == 1
        fine = task.counter != lease.counter or run.is_unwritten or not (is_held or is_parked or is_settled)
        self.hold(LAWS["lost_truly"], None if fine else f"{worker} drops {run.id} under {lease}; {task}")

    def hold(self, sentence: str, detail: str | None) -> None:
        if detail is not None:
            raise Violation(sentence, detail)

    def is_held(self, lease: Lease) -> bool:
        task = self.machine.tasks.get(lease.task)
        return task is not None and task.state == "CLAIMED" and task.counter == lease.counter

    def check(self) -> None:
        """After each step of the world."""
        if self.is_dirty:
            self.is_dirty = False
            for sentence, check in OF_THE_SERVER:
                self.hold(sentence, check(self))
        for sentence, check in OF_WORKERS:
            self.hold(sentence, check(self))

    def check_end(self, expected: Interpreter) -> None:
        """When nothing can happen any more."""
        tasks = [task.id for task in self.machine.tasks.values() if task.state in OPEN and task.root in expected.sure]
        self.hold(LAWS["no_task_left"], str(tasks) if tasks else None)
        if not self.world.deaths and not self.world.setup.lost:
            left = [run.id for worker in self.world.living() for run in worker.all_runs if run.id in expected.sure]
            self.hold(LAWS["no_run_left"], str(left) if left else None)


class OfDisk:
    """What must be there after a crash, by what was there before and by what workers were told."""

    def __init__(self, book: LawBook) -> None:
        self.book = book
        self.turns: list[tuple[Any, dict[str, Any]]] = []
        """What the server had after each turn that may still be lost, oldest first, with the ledger of that moment."""
        self.told: dict[str, PromiseRecord] = {}
        self.turn_ended()

    def turn_begins(self) -> None:
        """Whoever has the turn has caught up with all that was written before."""
        server = self.book.world.server
        assert server is not None
        self.book.hold(LAWS["same_for_all"], self.turns[-1][0].difference(server.picture()))
        self.book.schedules = dict(server.schedules)

    def turn_ended(self, *, on_platter: bool = False) -> None:
        server = self.book.world.server
        assert server is not None
        if server.disk.durability == "full" or not server.disk.log or on_platter:
            self.turns.clear()
        ledger = {name: _copied(getattr(self.book, name)) for name in LEDGER} if server.disk.durability == "fast" else {}
        self.turns.append((server.picture(), ledger))

    def acknowledged(self, record: PromiseRecord) -> None:
        """A worker was told of a record."""
        self.told[record.id] = record

    def came_up(self, *, power_was_cut: bool) -> None:
        """The server has begun anew."""
        server = self.book.world.server
        assert server is not None
        found = server.picture()
        may_lose = power_was_cut and server.disk.durability == "fast"
        possible = self.turns if may_lose else self.turns[-1:]
        if not may_lose:
            self.hold_told(found)
        place = next((place for place in reversed(range(len(possible))) if found.difference(possible[place][0]) is None), None)
        if place is None:
            raise Violation(LAWS["whole_turns"], f"{possible[-1][0].difference(found)}")
        self.book.is_dirty, self.book.operation = True, self  # neither an operation nor a tick
        if place < len(possible) - 1:
            for name, kept in possible[place][1].items():
                setattr(self.book, name, _copied(kept))
            del self.turns[place + 1 :]
            self.told = {each: record for each, record in self.told.items() if found.promises.get(each) == record}
        self.book.schedules = found.schedules

    def hold_told(self, found: Picture) -> None:
        for record in self.told.values():
            known = found.promises.get(record.id)
            if known is None or (record.state != "PENDING" and known != record):
                raise Violation(LAWS["kept"], f"{record} was told, {known} is there")


LEDGER = ("tasks", "schedules", "known_promises", "granted", "holders", "parked_by", "lease_until", "settled_under", "waits", "subscribers")


def _copied(thing: Any) -> Any:
    if isinstance(thing, dict):
        return {key: set(value) if isinstance(value, set) else value for key, value in thing.items()}
    return list(thing)


def _untold(book: LawBook, record: PromiseRecord) -> str | None:
    told = [message.recv for message in book.messages if isinstance(message, NotifyMessage) and message.promise.id == record.id]
    wanted = book.subscribers.pop(record.id, set())
    return f"{record.id}: {sorted(wanted)} wait, {sorted(told)} are told" if sorted(wanted) != sorted(told) else None


def _untrue(book: LawBook, record: PromiseRecord) -> str | None:
    known = book.machine.promises.get(record.id)
    return f"{record} is told, {known} is kept" if record.state != "PENDING" and record != known else None


def _records(answer: Any) -> list[PromiseRecord]:
    if isinstance(answer, PromiseRecord):
        return [answer]
    if isinstance(answer, Claimed):
        return [record for record in (answer.root, answer.leaf) if record is not None]
    return [each for each in answer if isinstance(each, PromiseRecord)] if isinstance(answer, (tuple, list)) else []
