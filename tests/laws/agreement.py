"""Two stores side by side: the same random operations for the store in memory and the store in a file, which must agree on everything.

`test_random` walks by the calls that users have, against a reference. Here the walk is of the operations themselves (`protocol.Operation`,
all of them), so it also meets what only a runtime asks for: leases, parks, steps that are answered ahead, runs that are taken over. After
each step every answer, every refusal's code and every message is the same; at intervals the whole state is, as the memory has it, as the
file store has it, and as a store has it that opens the file anew.

Beside the operations, the file is closed and opened again, loaded anew as after a failed turn, and worked on by a second store, as another
process has it. Time is in the walk's hands, and sometimes put back.

What differs by design, and is left out or not compared:

- numbers and cursors, which begin again after the newest promises were pruned (their order is compared), and the order of what was pruned;
- when a message that could not be delivered is sent again, where the file is opened, loaded, or written by others in between;
- when a store sends what others have left, where it has to load the file anew just then;
- a step whose promise was answered ahead under a lease that is lost before it is written, or that somebody asks for again before it is;
- tasks of runs that were pruned: some are gone at once, some are left.
"""

from __future__ import annotations

import copy
import random
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from resonate.errors import ResonateStoreError
from resonate.protocol import (
    Acquired,
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
    Fenced,
    GetPromise,
    GetSchedule,
    Heartbeat,
    Lease,
    Lineage,
    ListDescendants,
    Operation,
    Park,
    PromiseRecord,
    Prune,
    RegisterCallback,
    ScheduleRecord,
    SearchPromises,
    SearchSchedules,
    SettlePromise,
    Subscribe,
    Suspended,
    TakeOver,
    TaskRecord,
)
from resonate.stores import LocalStore
from resonate.stores.sqlite import SqliteStore
from resonate.tables import OPEN

START_MS = 1_767_225_600_000
TARGET = "poll://any@default"
STATE_EVERY = 200
"""Steps from one comparison of the whole state to the next."""
ROWS: dict[str, set[str]] = {
    "CreatePromise": {"done", "40900", "41200", "40000"},
    "CreateLeased": {"done", "40900"},
    "TakeOver": {"done", "40000", "40400", "40900"},
    "Prune": {"done"},
    "GetPromise": {"done", "40400"},
    "SettlePromise": {"done", "40301", "40302", "40303", "40304", "40400", "41200"},
    "CreateSettled": {"done", "40900", "41200"},
    "RegisterCallback": {"done", "40000", "40400"},
    "Subscribe": {"done", "40400"},
    "Park": {"done", "40400", "41200"},
    "ClaimTask": {"done", "40306", "40307", "40308", "40403"},
    "CompleteTask": {"done", "40308", "40309", "40403"},
    "DropTask": {"done", "40308", "40403"},
    "Heartbeat": {"done"},
    "DeliveryFailed": {"done", "40403"},
    "ListDescendants": {"done"},
    "SearchPromises": {"done"},
    "CreateSchedule": {"done", "40000", "40901"},
    "GetSchedule": {"done", "40401"},
    "DeleteSchedule": {"done", "40401"},
    "SearchSchedules": {"done"},
}
"""Each operation with what a walk must meet: that it is done, and each refusal that it can come to."""


class Divergence(AssertionError):
    """The two stores do not agree."""


class Clock:
    """Tells what it is told, earlier times too."""

    def __init__(self) -> None:
        self.now_ms = START_MS

    def time(self) -> float:
        return (self.now_ms + 0.5) / 1000  # the way from seconds back to whole milliseconds cannot lose one by rounding


# ---- the two sides -------------------------------------------------------------------------------------------------------------------


class Inbox:
    """A message source that keeps what it is given."""

    unicast = "poll://uni@default/walker"

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []

    def enqueue(self, message: dict[str, Any]) -> None:
        self.received.append(message)

    def take(self) -> list[str]:
        received, self.received = self.received, []
        return sorted(map(str, received))


class Memory:
    """The store in memory."""

    def __init__(self, clock: Clock, resident_limit: int) -> None:
        self.store: LocalStore = LocalStore(clock=clock)
        self.store._machine._resident_limit = resident_limit
        self.inbox = Inbox()
        self.store.connect(self.inbox)  # type: ignore[arg-type]

    def call(self, operations: list[Operation], second: bool) -> list[Any]:
        return shown(self.store.call(operations))

    def post(self, operations: list[Operation]) -> list[Any]:
        return [shown(self.store.post(operation, lambda answer: None)) for operation in operations]

    def tick(self) -> None:
        for _ in range(2):  # what a schedule has made may be over at once
            self.store.tick()

    def restart(self) -> None:
        self.store.disconnect(self.inbox)  # type: ignore[arg-type]
        self.store.connect(self.inbox)  # type: ignore[arg-type]

    def catch_up(self) -> None:
        """Nobody else writes."""

    def states(self) -> list[tuple[str, Any]]:
        return [("memory", state_of(self.store, self.store._clock.now_ms))]


class File:
    """The store in a file, at times with a second one on the same file."""

    def __init__(self, clock: Clock, resident_limit: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = clock
        self.resident_limit = resident_limit
        self.second: SqliteStore | None = None
        self.inbox = Inbox()
        self.store = self.opened()
        self.store.connect(self.inbox)  # type: ignore[arg-type]

    def opened(self) -> SqliteStore:
        store = SqliteStore(f"{self.folder.name}/promises.db", "fast", clock=self.clock)
        store._machine._resident_limit = self.resident_limit
        return store

    def call(self, operations: list[Operation], second: bool) -> list[Any]:
        store = self.second if second and self.second is not None else self.store
        return shown(store.call(operations))

    def post(self, operations: list[Operation]) -> list[Any]:
        """Several operations, which share a turn."""
        answers: list[Any] = [None] * len(operations)
        for place, operation in enumerate(operations):
            answer = self.store.post(operation, lambda given, place=place: answers.__setitem__(place, shown(given)))  # type: ignore[misc]
            if answer is not None:
                answers[place] = shown(answer)
        self.store.flush()
        return answers

    def tick(self) -> None:
        for store in (self.store, self.second or self.store):
            store.tick()

    def restart(self, *, abruptly: bool = False) -> None:
        if abruptly:
            self.store._file.close()  # as when its process is gone
        else:
            self.store.close()
        self.store = self.opened()
        self.store.connect(self.inbox)  # type: ignore[arg-type]

    def load_anew(self) -> None:
        self.store._is_stale = True

    def catch_up(self) -> None:
        """As a store does a moment after another process has written."""
        if self.second is not None:
            self.store._in_turn(lambda machine, now: None)

    def states(self) -> list[tuple[str, Any]]:
        anew = self.opened()
        try:
            return [(name, state_of(each, self.clock.now_ms)) for name, each in (("file", self.store), ("file, opened anew", anew))]
        finally:
            anew._file.close()

    def close(self) -> None:
        for store in (self.second, self.store):
            if store is not None:
                store.close()
        self.folder.cleanup()


def state_of(store: LocalStore, now: int) -> dict[str, Any]:
    """All that a store has, without numbers. Of what was to be sent before `now`, it does not matter when."""
    machine = store._machine
    kept = machine._archive.newest_first(2**60) if machine.has_archived and machine._archive is not None else ()
    promises = {record.id: record for record in kept} | machine.promises
    tasks = sorted((task for task in machine.tasks.values() if task.state in OPEN), key=lambda each: (each.root, each.number))
    callbacks = [callback for waiting in machine._callbacks.values() for callback in waiting.values()]
    return {
        "promises": [shown(each) for each in sorted(promises.values(), key=lambda each: each.number)],
        "tasks": [shown(task, now) for task in tasks],
        "callbacks": sorted(str(each) for each in callbacks),
        "schedules": [shown(each) for each in sorted(machine.schedules.values(), key=lambda each: each.number)],
    }


def shown(answer: Any, now: int | None = None) -> Any:
    """An answer as it is at this moment, as plain values that can be compared."""
    if isinstance(answer, ResonateStoreError):
        return f"{answer.code:.5f}".partition(".")[2]
    if isinstance(answer, Exception):
        raise answer
    if isinstance(answer, (PromiseRecord, ScheduleRecord, TaskRecord)):
        plain = {field.name: getattr(answer, field.name) for field in fields(answer) if field.name != "number"}
        if now is not None and plain["state"] == "INIT" and plain["expires_at"] <= now:
            plain["expires_at"] = 0  # it may be sent at once
        return plain
    if isinstance(answer, (Acquired, Fenced, Suspended)):
        return [type(answer).__name__, *(shown(getattr(answer, field.name)) for field in fields(answer))]
    if isinstance(answer, Claimed):
        return ["claimed", shown(answer.root), shown(answer.leaf), tuple(answer.lease)]
    if isinstance(answer, list):
        return [shown(each) for each in answer]
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], list):  # a page of a search
        return Page(shown(answer[0]), answer[1])
    if isinstance(answer, tuple):
        return [answer if hasattr(answer, "_fields") else [shown(each) for each in answer]]
    return str(answer) if hasattr(answer, "created_on") else answer


class Page:
    """A page of a search; the cursors of two stores may differ, where they are no ids."""

    def __init__(self, records: list[Any], cursor: Any) -> None:
        self.records = records
        self.cursor = cursor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Page) and (self.records, self.place()) == (other.records, other.place())

    def place(self) -> Any:
        return self.cursor if isinstance(self.cursor, str) else self.cursor is None

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"page of {self.records}, {'the last' if self.cursor is None else 'there are more'}"


# ---- the walk ------------------------------------------------------------------------------------------------------------------------


class Walk:
    """Chooses operations by what the store in memory knows, so that most of them meet something."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(f"agreement {seed}")
        self.seed = seed
        self.clock = Clock()
        resident_limit = self.chance.choice((0, 40, 2_000))
        self.memory = Memory(self.clock, resident_limit)
        self.file = File(self.clock, resident_limit)
        self.steps = 0
        self.made: list[str] = []
        """Promises that were asked for, the latest last."""
        self.sent: dict[str, int] = {}
        """Tasks that were sent, with their counters, the latest last."""
        self.pruned: set[str] = set()
        self.cursors: tuple[int | None, int | None] = (None, None)
        self.met: Counter[tuple[str, str]] = Counter()
        self.weights: dict[str, float] = WEIGHTS
        self.is_ahead = False
        self.agree("the first deadline", [CreatePromise("first", self.now + 1)])  # from now on the memory answers ahead as a file does

    def close(self) -> None:
        self.file.close()

    # ---- one step --------------------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One thing happens on both sides. Raises `Divergence`."""
        self.steps += 1
        way = self.chance.choices(list(WAYS), weights=list(WAYS.values()))[0]
        getattr(self, way)()
        if self.steps % STATE_EVERY == 0:
            self.compare_states()

    def operation(self, *, second: bool = True) -> None:
        kind = self.chance.choices(list(self.weights), weights=list(self.weights.values()))[0]
        operation = getattr(self, kind)()
        if operation is not None:
            self.agree("call", [operation], second=second)

    def several(self) -> None:
        """Several operations in one call."""
        kinds = self.chance.choices(list(self.weights), weights=list(self.weights.values()), k=self.chance.choice((2, 3, 6)))
        asked = [operation for kind in kinds if kind != "Prune" and (operation := getattr(self, kind)()) is not None]
        self.agree("call", asked, second=False)

    def work(self) -> None:
        """What a run asks for in its steps: promises that are answered ahead, and their settlements; several share a turn."""
        leases = self.leases()
        if not leases:
            return
        lease = self.chance.choice(leases)
        asked: list[Operation] = []
        for _ in range(self.chance.choice((1, 1, 2, 4))):
            if self.chance.random() < 0.6:
                create = self.child(lease)
                if any(each.id == create.id for each in asked):  # type: ignore[union-attr]
                    continue
                asked.append(create)
                if self.chance.random() < 0.6:
                    asked.append(self.settlement(create.id, lease))
            else:
                below = [each for each in self.made[-30:] if each.startswith(f"{lease.root}.")]
                asked.append(self.settlement(self.chance.choice(below), lease) if below else self.GetPromise())
        self.agree("post", asked, posted=True)

    def lets_time_pass(self) -> None:
        self.write_what_is_ahead()
        # When exactly a delayed task leaves that no store has looked at is nowhere said.
        delayed = any(task.state == "INIT" and task.expires_at > self.now for task in self.tasks())
        ticks = delayed or self.chance.random() < 0.5
        self.pass_time(self.chance.choice((1, 10, 400, 3_000, 9_000, 61_000) if ticks else (1, 900, 2_500)))
        if ticks:
            self.both("tick", lambda side: side.tick())

    def clock_is_put_back(self) -> None:
        self.write_what_is_ahead()
        self.both("tick", lambda side: side.tick())
        self.pass_time(-self.chance.choice((1, 500, 5_000, 40_000)))
        self.both("tick after the clock was put back", lambda side: side.tick())

    def restart(self) -> None:
        self.write_what_is_ahead()
        if self.is_undelivered():
            return
        abruptly = self.chance.random() < 0.5
        self.memory.restart()
        self.file.restart(abruptly=abruptly)
        self.compare_messages("close and open again")
        self.both("tick", lambda side: side.tick())

    def load_anew(self) -> None:
        if self.is_undelivered():
            return
        self.file.load_anew()
        self.operation(second=False)
        self.both("tick", lambda side: side.tick())

    def another_process(self) -> None:
        """A second store opens the file, or closes it."""
        self.write_what_is_ahead()
        if self.file.second is not None:
            self.file.second.close()
            self.file.second = None
        elif not self.is_undelivered():
            self.file.second = self.file.opened()
            self.both("tick", lambda side: side.tick())

    # ---- comparing -------------------------------------------------------------------------------------------------------------------

    def agree(self, how: str, operations: list[Operation], *, posted: bool = False, second: bool = True) -> None:
        """Ask both sides, and compare what they answer and send. The second store of the file may be asked, if there is one."""
        if posted:
            self.is_ahead = True
            answers, others = self.memory.post(copy.deepcopy(operations)), self.file.post(copy.deepcopy(operations))
        else:
            second = second and self.file.second is not None and self.chance.random() < 0.5
            if second:
                self.write_what_is_ahead()
            cursor, other_cursor = self.cursors
            answers = self.memory.call([_from(each, cursor) for each in operations], second)
            others = self.file.call([_from(each, other_cursor) for each in operations], second)
            self.is_ahead = self.is_ahead and second
        for operation, answer, other in zip(operations, answers, others, strict=True):
            if isinstance(operation, Prune) and isinstance(answer, list):
                answer.sort()
                other.sort()
                self.forget(set(answer))
            if isinstance(answer, Page) and isinstance(other, Page) and not isinstance(answer.cursor or other.cursor, str):
                self.cursors = answer.cursor, other.cursor
            if answer != other:
                raise Divergence(self.told(f"{how} {operation}", answer, other))
            refused = isinstance(answer, str) and answer.isdigit()
            self.met[type(operation).__name__, answer if refused else "done"] += 1
        self.compare_messages(f"{how} {operations}")

    def both(self, what: str, do: Callable[[Any], None]) -> None:
        do(self.memory)
        do(self.file)
        self.compare_messages(what)

    def write_what_is_ahead(self) -> None:
        """As happens within `DEFERRED_S`."""
        if self.is_ahead:
            self.is_ahead = False
            self.memory.store.call(())
            self.file.store.call(())

    def compare_messages(self, what: str) -> None:
        self.file.catch_up()
        for message in self.memory.inbox.received:
            if "task" in message:
                self.sent.pop(message["task"]["id"], None)
                self.sent[message["task"]["id"]] = message["task"]["counter"]
        sent, others = self.memory.inbox.take(), self.file.inbox.take()
        if sent != others:
            raise Divergence(self.told(f"{what}, messages", [each for each in sent if each not in others] or sent,
                                       [each for each in others if each not in sent] or others))  # fmt: skip

    def compare_states(self) -> None:
        """All promises, open tasks, callbacks and schedules."""
        self.write_what_is_ahead()
        (_, wanted), *others = self.memory.states() + self.file.states()
        for name, state in others:
            for table, rows in wanted.items():
                if rows != state[table]:
                    only = [each for each in rows if each not in state[table]], [each for each in state[table] if each not in rows]
                    raise Divergence(self.told(f"whole state, {table}, {name}", *only))

    def told(self, what: str, memory: Any, file: Any) -> str:
        return f"seed {self.seed}, step {self.steps}: {what[:700]}\n  memory: {str(memory)[:1500]}\n  file:   {str(file)[:1500]}"

    def forget(self, pruned: set[str]) -> None:
        """Runs were pruned: their ids are not used again, and nobody asks for their tasks."""
        self.pruned |= pruned

        def is_pruned(promise_id: str) -> bool:
            return promise_id in pruned or promise_id.partition(".")[0] in pruned

        self.made = [each for each in self.made if not is_pruned(each)]
        self.sent = {each: counter for each, counter in self.sent.items() if not is_pruned(each.split(":")[1])}

    # ---- what is there ---------------------------------------------------------------------------------------------------------------

    def pass_time(self, duration_ms: int) -> None:
        self.clock.now_ms += duration_ms

    @property
    def now(self) -> int:
        return self.clock.now_ms

    def tasks(self) -> list[TaskRecord]:
        return [task for task in self.memory.store._machine.tasks.values() if task.state in OPEN]

    def is_undelivered(self) -> bool:
        """Whether a task waits for its message to be sent again."""
        return any(task.state == "INIT" and task.expires_at > max(task.not_before, self.now) for task in self.tasks())

    def leases(self) -> list[Lease]:
        return [Lease(task.root, task.id, task.counter) for task in self.tasks() if task.state == "CLAIMED"]

    def some(self, known: list[str]) -> str:
        """Mostly something that is there, what came lately among the likeliest."""
        if not known or self.chance.random() < 0.04:
            return "nobody"
        return self.chance.choice([*known[-12:], self.chance.choice(known)])

    def promise(self) -> str:
        pending = [record.id for record in self.memory.store._machine.promises.values() if record.state == "PENDING"]
        return self.some(pending if self.chance.random() < 0.7 else self.made)

    def run(self) -> str:
        return self.some([each for each in self.made if "." not in each and each[0] == "r"])

    def new(self, kind: str) -> str:
        numbers = [self.steps // 30 + each for each in range(8)]
        return self.chance.choice([wanted for each in numbers if (wanted := f"{kind}{each}") not in self.pruned] or [f"new{self.steps}"])

    def timeout(self) -> int:
        return self.now + self.chance.choice((-1, 0, 1_500, 8_000, 100_000, 100_000, 10**9))

    # ---- operations, each by its name ------------------------------------------------------------------------------------------------

    def CreatePromise(self) -> CreatePromise:
        chance = self.chance
        leases = self.leases()
        if leases and chance.random() < 0.35:
            create = self.child(chance.choice(leases))
            return replace(create, lease=self.worn(create.lease), target=chance.choice((None, TARGET)), timer=chance.random() < 0.2)
        promise_id = self.new("p") if chance.random() < 0.99 else "x" * 40_000
        lineage = Lineage(promise_id, promise_id, None, "promise", "p") if chance.random() < 0.2 else None
        tags = chance.choice((None, {"t": "1"}, {"t": "2", "resonate:invoke": TARGET}))
        self.made.append(promise_id)
        return CreatePromise(
            promise_id, self.timeout(), chance.choice(("k", "k", "other", None)), chance.random() < 0.2, chance.choice(VALUES), tags,
            chance.choice((None, None, TARGET)), chance.random() < 0.2, lineage,
            not_before=self.now + chance.choice((-5, 900, 7_000)) if chance.random() < 0.15 else 0,
        )  # fmt: skip

    def child(self, lease: Lease) -> CreatePromise:
        """The promise of a step."""
        chance = self.chance
        parents = [each for each in self.made[-20:] if each == lease.root or each.startswith(f"{lease.root}.")] or [lease.root]
        parent = chance.choice(parents)
        promise_id = f"{parent}.{chance.randrange(1, 7)}"
        origin = lease.root.partition(".")[0]
        kind = chance.choice(("run", "run", "run", "sleep", "rpc"))
        lineage = Lineage(origin, promise_id if kind == "rpc" else lease.root, parent, kind, "step", chance.choice((None, "(1,)")))  # type: ignore[arg-type]
        self.made.append(promise_id)
        return CreatePromise(promise_id, self.now + chance.choice((8_000, 100_000, 10**9)), promise_id, param=chance.choice(VALUES),
                             tags=chance.choice((None, {"t": "1"})), lineage=lineage, lease=lease)  # fmt: skip

    def root(self) -> CreatePromise:
        promise_id = self.new("r")
        self.made.append(promise_id)
        lineage = Lineage(promise_id, promise_id, None, "run", "f", "(1,)")
        target = TARGET if self.chance.random() < 0.95 else None
        key = self.chance.choice((promise_id, promise_id, promise_id, "other"))
        return CreatePromise(promise_id, self.timeout() + 5_000, key, target=target, lineage=lineage, param=self.chance.choice(VALUES))

    def CreateLeased(self) -> CreateLeased:
        return CreateLeased(self.root(), self.chance.choice("vw"), self.chance.choice((0, 2_000, 30_000)), self.chance.random() < 0.5)

    def TakeOver(self) -> TakeOver:
        old = self.run()
        steps = [each for each in self.made if each.startswith(f"{old}.")]
        return TakeOver(old, self.CreateLeased(), self.some(steps) if self.chance.random() < 0.4 else None)

    def Prune(self) -> Prune:
        return Prune(self.now - self.chance.choice((0, 5_000, 60_000, 600_000)))

    def GetPromise(self) -> GetPromise:
        return GetPromise(self.promise())

    def SettlePromise(self) -> SettlePromise:
        leases = self.leases()
        lease = self.worn(self.chance.choice(leases)) if leases and self.chance.random() < 0.3 else None
        return self.settlement(lease.root if lease is not None and self.chance.random() < 0.3 else self.promise(), lease)

    def settlement(self, promise_id: str, lease: Lease | None) -> SettlePromise:
        chance = self.chance
        state = chance.choice(("RESOLVED", "RESOLVED", "RESOLVED", "REJECTED", "REJECTED_CANCELED"))
        return SettlePromise(promise_id, state, chance.choice(VALUES), chance.choice(("K", "K", "other", None)), chance.random() < 0.3,
                             chance.random() < 0.4, lease)  # type: ignore[arg-type] # fmt: skip

    def CreateSettled(self) -> CreateSettled | None:
        leases = self.leases()
        if not leases:
            return None
        lease = self.chance.choice(leases)
        create = self.child(lease)
        if self.chance.random() < 0.3:
            create = replace(create, timeout=self.chance.choice((self.now, create.timeout)), key="other")
        return CreateSettled(create, self.settlement(create.id, self.worn(lease)))

    def RegisterCallback(self) -> RegisterCallback:
        runs = [task.root for task in self.tasks()]
        waits = self.some(runs) if runs else "nobody"
        on = waits if self.chance.random() < 0.05 else self.promise()
        return RegisterCallback(on, waits, TARGET, self.now + self.chance.choice((50_000, 10**9)))

    def Subscribe(self) -> Subscribe:
        return Subscribe(self.promise(), self.chance.choice("st"), TARGET, self.now + 10**9)

    def Park(self) -> Park | None:
        leases = self.leases()
        if not leases:
            return None
        lease = self.chance.choice(leases)
        below = [each for each in self.made[-60:] if each.startswith(f"{lease.root}.")]
        on = {self.some(below) if below and self.chance.random() < 0.6 else self.promise() for _ in range(self.chance.choice((1, 1, 2, 5)))}
        return Park(self.worn(lease), sorted(on - {lease.root}), TARGET, self.now + self.chance.choice((50_000, 10**9)))

    def worn(self, lease: Lease | None) -> Lease:
        """A lease, at times one that has passed on, or was never."""
        assert lease is not None
        return lease._replace(counter=lease.counter + self.chance.choice((0, 0, 0, 0, 0, 0, 0, -1, 1)))

    def ClaimTask(self) -> ClaimTask:
        task_id, counter = self.task()
        return ClaimTask(task_id, counter, self.chance.choice("vw"), self.chance.choice((500, 5_000, 30_000)), self.chance.random() < 0.2)

    def CompleteTask(self) -> CompleteTask:
        return CompleteTask(*self.task())

    def DropTask(self) -> DropTask:
        return DropTask(*self.task())

    def DeliveryFailed(self) -> DeliveryFailed | None:
        return DeliveryFailed(*self.task()) if self.file.second is None else None

    def task(self) -> tuple[str, int]:
        known = list(self.sent)[-200:]
        open_ids = [task.id for task in self.tasks() if task.state in ("ENQUEUED", "CLAIMED")]
        chosen = self.some(known if self.chance.random() < 0.2 else open_ids)
        return chosen, self.sent.get(chosen, 1) + self.chance.choice((0, 0, 0, 0, 0, 1))

    def Heartbeat(self) -> Heartbeat:
        return Heartbeat(self.chance.choice("vwx"))

    def ListDescendants(self) -> ListDescendants:
        return ListDescendants(self.run())

    def SearchPromises(self) -> SearchPromises:
        chance = self.chance
        states = chance.choice((None, None, ("PENDING",), ("RESOLVED",), ("REJECTED", "REJECTED_CANCELED", "REJECTED_TIMEDOUT")))
        pattern = chance.choice(("*", "p*", "r*", "*1", "r*.1*", "s*", "nobody"))
        before = OWN_CURSOR if chance.random() < 0.4 else None
        return SearchPromises(pattern, states, chance.choice((None, {"t": "1"})), chance.choice((1, 2, 5, 100)), before)  # type: ignore[arg-type]

    def CreateSchedule(self) -> CreateSchedule:
        chance = self.chance
        return CreateSchedule(
            f"s{chance.randrange(4)}", chance.choice(("@every 10s", "@every 10s", "*/2 * * * *", "soon")),
            chance.choice(("{{.id}}.{{.timestamp}}", "{{.id}}.{{.timestamp}}", "{{.id}}.p", "p{{")), chance.choice((1_000, 20_000)),
            chance.choice(VALUES), chance.choice((None, {"resonate:invoke": TARGET, "t": "1"})), None, chance.choice((None, {"u": "1"})),
            chance.choice(("k", None)),
        )  # fmt: skip

    def GetSchedule(self) -> GetSchedule:
        return GetSchedule(f"s{self.chance.randrange(4)}")

    def DeleteSchedule(self) -> DeleteSchedule:
        return DeleteSchedule(f"s{self.chance.randrange(4)}")

    def SearchSchedules(self) -> SearchSchedules:
        return SearchSchedules(
            self.chance.choice(("*", "s1", "nobody")), self.chance.choice((None, {"u": "1"})), self.chance.choice((1, 100))
        )


def _from(operation: Operation, cursor: int | None) -> Operation:
    """An operation of one side's own: searches go on at its own cursor."""
    operation = copy.deepcopy(operation)
    if isinstance(operation, SearchPromises) and operation.before == OWN_CURSOR:
        operation.before = cursor
    return operation


OWN_CURSOR = -1
VALUES = ((None, None), (None, "[1]"), ({"h": "é"}, '"\u2028\\n"'), ({"resonate:format": "x"}, "x"))
WAYS = {"operation": 60, "several": 8, "work": 14, "lets_time_pass": 9, "clock_is_put_back": 0.4, "restart": 0.5, "load_anew": 1,
        "another_process": 1.5}  # fmt: skip
WEIGHTS = {"CreatePromise": 15, "CreateLeased": 7, "TakeOver": 3, "Prune": 0.5, "GetPromise": 4, "SettlePromise": 13, "CreateSettled": 6,
           "RegisterCallback": 7, "Subscribe": 6, "Park": 7, "ClaimTask": 15, "CompleteTask": 5, "DropTask": 4, "Heartbeat": 3,
           "DeliveryFailed": 3, "ListDescendants": 3, "SearchPromises": 5, "CreateSchedule": 1, "GetSchedule": 1, "DeleteSchedule": 1,
           "SearchSchedules": 1}  # fmt: skip


def walk(seed: int, steps: int, kind: Callable[[int], Walk] = Walk) -> Counter[tuple[str, str]]:
    """Walk so many steps; gives what was met. Raises `Divergence`."""
    made = kind(seed)
    try:
        for _ in range(steps):
            made.step()
        made.compare_states()
        return made.met
    finally:
        made.close()


def walks(seeds: range, steps: int, kind: Callable[[int], Walk] = Walk) -> Counter[tuple[str, str]]:
    """Several walks, one after the other."""
    met: Counter[tuple[str, str]] = Counter()
    for seed in seeds:
        met += walk(seed, steps, kind)
    return met


def not_met(met: Counter[tuple[str, str]], rows: dict[str, set[str]] = ROWS) -> list[tuple[str, str]]:
    """What walks should have met and have not."""
    return sorted({(kind, answer) for kind, answers in rows.items() for answer in answers} - met.keys())
