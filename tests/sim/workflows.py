"""Random workflows, the functions that carry them out, and the plain interpreter that says what must come out.

A `Program` is data: numbered specs (plain functions and flows of operations), the promises that several runs share, and the runs to
launch. `leaf`, `flow` and `remote` carry it out through the production `Context`. `Interpreter` carries it out by plain recursion and
knows nothing of promises, tasks, workers or crashes.

What may legitimately differ under faults, and is therefore taken from the store instead of predicted (`nature`):
- whether a call with a short deadline came to its end before that deadline or not;
- the outcome of a promise that somebody outside settled while it was being worked on (`meddled`).
What lies below such a promise may be there in part, and may have been cut off by the same deadline.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from resonate.context import Context
from resonate.coroutine import Command, Promise
from resonate.retry_policies import Constant

BEGINNING_MS = 1_000_000
"""When a world begins."""
RETRY_S = 0.5
SCHEDULED = "s.{{.timestamp}}"
"""The runs of a program's schedule."""


class Flaw(Exception):
    """What the workflows raise."""


@dataclass
class Leaf:
    """A plain function: fails on its first `fails` attempts, of `retries` + 1, and returns `value`."""

    value: int
    fails: int = 0
    retries: int = 0
    durable: bool = True


@dataclass
class Flow:
    """A generator that carries out `operations` and returns what it saw. An operation that ends in "catch" survives errors."""

    operations: list[tuple[Any, ...]]
    retries: int = 0
    durable: bool = True


@dataclass(frozen=True)
class Schedule:
    """A flow that the server launches by itself, several times."""

    number: int
    period_ms: int
    times: int


@dataclass
class Program:
    """What one schedule runs."""

    specs: list[Leaf | Flow] = field(default_factory=list)
    shared: list[dict[str, Any]] = field(default_factory=list)
    """How each promise that runs share is settled from outside."""
    joint: list[int] = field(default_factory=list)
    """The flows that several runs ask for under one id."""
    launches: list[tuple[str, int]] = field(default_factory=list)
    """(id, flow) of each run; the same id twice is two callers who ask for one run."""
    edit: tuple[int, Flow] | None = None
    """A flow, by its number, as another version of the code has it."""
    schedule: Schedule | None = None

    def next_run(self, _: str, after_ms: int) -> int:
        """When the schedule is due next; ValueError when it is over."""
        assert self.schedule is not None
        times = (after_ms - BEGINNING_MS) // self.schedule.period_ms + 1
        if times > self.schedule.times:
            raise ValueError("it is over")
        return BEGINNING_MS + times * self.schedule.period_ms

    def runs(self) -> list[tuple[str, int]]:
        """(id, flow) of each run that there will be: launched by callers, or by the schedule."""
        scheduled = self.schedule
        dues = [BEGINNING_MS + (each + 1) * scheduled.period_ms for each in range(scheduled.times)] if scheduled is not None else []
        return self.launches + [(SCHEDULED.replace("{{.timestamp}}", str(due)), scheduled.number) for due in dues if scheduled is not None]

    def add(self, spec: Leaf | Flow) -> int:
        self.specs.append(spec)
        return len(self.specs) - 1


# ---- the functions ---------------------------------------------------------------------------------------------------------------


def leaf(ctx: Context, number: int) -> Any:
    spec = ctx.get_dependency("program").specs[number]
    if ctx.info.attempt <= spec.fails:
        raise Flaw(f"attempt of {spec.value}")
    return spec.value


def remote(ctx: Context, number: int) -> Generator[Any, Any, Any]:
    return (yield from flow(ctx, number, []))


def flow(ctx: Context, number: int, given: list[Promise[Any]]) -> Generator[Any, Any, Any]:
    program: Program = ctx.get_dependency("program")
    spec = program.specs[number]
    assert isinstance(spec, Flow)
    seen: list[Any] = []
    slots: list[Promise[Any]] = []
    last: Command[Any] | None = None
    for index, (kind, *details) in enumerate(spec.operations):
        try:
            if kind in ("run", "begin"):
                last = _call(ctx, program, kind, details[0], slots)
                (seen if kind == "run" else slots).append((yield last))
            elif kind == "again":
                if last is not None:
                    outcome = yield last
                    (slots if isinstance(outcome, Promise) else seen).append(outcome)
            elif kind == "same":
                seen.append((yield ctx.run(leaf, details[0]).options(id=f"{ctx.id}-same")))
            elif kind == "common":
                seen.append((yield ctx.run(leaf, details[0]).options(id=f"common-{details[0]}")))
            elif kind == "await":
                if slots:
                    seen.append((yield slots[details[0] % len(slots)]))
            elif kind == "given":
                if given:
                    seen.append((yield given[details[0] % len(given)]))
            elif kind == "sleep":
                seen.append((yield ctx.sleep(details[0])))
            elif kind == "rpc":
                seen.append((yield ctx.rpc("remote", details[0])))
            elif kind == "begin_rpc":
                slots.append((yield ctx.begin_rpc("remote", details[0])))
            elif kind == "join":
                seen.append((yield ctx.rpc("remote", program.joint[details[0]]).options(id=f"join-{details[0]}")))
            elif kind == "begin_join":
                slots.append((yield ctx.begin_rpc("remote", program.joint[details[0]]).options(id=f"join-{details[0]}")))
            elif kind == "detached":
                yield ctx.detached("remote", details[0])
            elif kind == "promise":
                how = details[0]
                name = f"{ctx.id}-p{index}" if how.get("named") else None
                slots.append((yield ctx.promise(id=name, timeout=how.get("timeout"), data=how)))
            elif kind == "meet":
                slots.append((yield ctx.promise(id=f"meet-{details[0]}", data=program.shared[details[0]])))
            elif kind == "limited":
                seen.append((yield ctx.run(flow, details[0], []).options(timeout=details[1])))
            elif kind == "raise" or (kind == "flaky" and ctx.info.attempt <= details[0]):
                raise Flaw(kind, index)
        except Exception as error:
            if kind in ("flaky", "raise") or spec.operations[index][-1] != "catch":
                raise
            seen.append(["caught", *error_outcome(error)[1:]])
    return seen


def _call(ctx: Context, program: Program, kind: str, number: int, slots: list[Promise[Any]]) -> Command[Any]:
    child = program.specs[number]
    invoke = ctx.run if kind == "run" else ctx.begin_run
    command = invoke(leaf, number) if isinstance(child, Leaf) else invoke(flow, number, list(slots))
    return command.options(durable=child.durable, retry_policy=Constant(RETRY_S, child.retries))


def error_outcome(error: BaseException, state: str = "REJECTED") -> Any:
    """(state, type, args) of an error; the moment of a timeout and the id in it are left out."""
    name = type(error).__name__
    return state, name, () if name.startswith("Resonate") else tuple(error.args)


# ---- random programs -------------------------------------------------------------------------------------------------------------

_KINDS = (
    "run", "run", "begin", "begin", "begin", "await", "await", "await", "given", "sleep", "promise", "promise", "rpc", "begin_rpc",
    "detached", "again", "same", "limited",
)  # fmt: skip
_SHARED_KINDS = ("meet", "meet", "join", "begin_join", "common")


class Author:
    """Writes random programs of a bounded size."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(f"author {seed}")
        self.program = Program()
        self.budget = self.chance.choice((4, 8, 14, 24, 40))
        self.shares = 0.0
        self.commons: list[int] = []

    def write(self) -> Program:
        chance, program = self.chance, self.program
        runs = chance.choice((1, 1, 2, 3))
        if chance.random() < 0.6:
            self.shares = 0.3
            program.shared = [self.settlement(("resolve", "resolve", "reject", "cancel")) for _ in range(2)]
            self.commons = [program.add(Leaf(chance.randrange(1000))) for _ in range(2)]
            share, self.shares = self.shares, 0.0
            program.joint = [program.add(self.flow(1, remote=True)) for _ in range(2)]
            self.shares = share
        for number in range(runs):
            self.budget = max(self.budget, 4)
            launch = f"r{number}", program.add(self.flow(3, remote=True))
            program.launches += [launch] * (2 if chance.random() < 0.15 else 1)
        if chance.random() < 0.2:
            self.budget = max(self.budget, 4)
            program.schedule = Schedule(program.add(self.flow(1, remote=True)), chance.choice((50, 7_000)), chance.choice((1, 2, 4)))
        return program

    def edit(self) -> Program:
        """A program with another version of one of its flows: a line is put in, taken out, changed, or changes places."""
        program, chance = self.write(), self.chance
        flows = [number for number, spec in enumerate(program.specs) if isinstance(spec, Flow) and spec.operations]
        launched = [number for _, number in program.launches if number in flows]
        number = chance.choice(launched if launched and chance.random() < 0.5 else flows)
        flow = program.specs[number]
        assert isinstance(flow, Flow)
        lines = list(flow.operations)
        place = chance.randrange(len(lines))
        way = chance.choice(("put in", "take out", "change", "swap"))
        if way in ("put in", "change"):
            line = self.operation(0, limited=True)
            while line[0] == "same":
                line = self.operation(0, limited=True)
            lines[place : place + (way == "change")] = [line]
        elif way == "take out":
            del lines[place]
        else:
            lines.insert(chance.randrange(len(lines)), lines.pop(place))
        program.edit = number, replace(flow, operations=lines)
        return program

    def flow(self, depth: int, *, remote: bool = False, limited: bool = False) -> Flow:
        chance, program = self.chance, self.program
        operations: list[tuple[Any, ...]] = []
        same = None
        for _ in range(chance.randrange(2, 7)):
            if self.budget <= 0:
                break
            operation = self.operation(depth, limited)
            if operation[0] == "same":  # one id is one call, whoever makes it
                same = same if same is not None else program.add(Leaf(chance.randrange(100)))
                operation = ("same", same, *operation[1:])
            operations.append(operation)
        if depth > 0 and not limited and chance.random() < 0.15:
            place = chance.randrange(len(operations) + 1)
            operations[place:place] = [("begin", program.add(self.branch()), "catch") for _ in range(chance.choice((2, 3)))]
        retries = 0 if limited else chance.choice((0, 0, 0, 2))
        if retries and chance.random() < 0.7:
            operations.insert(chance.randrange(len(operations) + 1), ("flaky", chance.randrange(1, 4)))
        elif chance.random() < 0.1:
            operations.append(("raise",))
        return Flow(operations, 0 if remote else retries, remote or chance.random() < 0.85)

    def branch(self) -> Flow:
        """What waits for somebody outside, works for a while, and waits again; several of them side by side in one run."""
        chance, program = self.chance, self.program
        operations: list[tuple[Any, ...]] = []
        for _ in range(chance.choice((1, 2))):
            operations += [("promise", self.settlement(("resolve", "resolve", "reject"))), ("await", len(operations) // 3, "catch")]
            operations.append(("run", program.add(self.leaf(False)), "catch"))
            self.budget -= 2
        return Flow(operations, 0, chance.random() < 0.85)

    def operation(self, depth: int, limited: bool) -> tuple[Any, ...]:
        chance, program = self.chance, self.program
        self.budget -= 1
        catch = ("catch",) if chance.random() < 0.8 else ()
        kind = chance.choice(_SHARED_KINDS if not limited and chance.random() < self.shares else _KINDS)
        if kind in ("run", "begin"):
            inner = self.flow(depth - 1, limited=limited) if depth > 0 and chance.random() < 0.45 else self.leaf(limited)
            return (kind, program.add(inner), *catch)
        if kind in ("rpc", "begin_rpc", "detached"):
            inner = self.flow(depth - 1, remote=True, limited=limited) if depth > 0 else Flow([("run", program.add(self.leaf(limited)))])
            return (kind, program.add(inner), *catch)
        if kind == "promise":
            how = self.settlement(("resolve", "resolve", "reject", "cancel", "never"))
            how["named"] = chance.random() < 0.3
            return (kind, {**how, "timeout": 7.0} if how["settle"] == "never" else how)
        if kind == "limited":
            limit_s = chance.choice((2, 15))
            inner = Flow([("promise", {"settle": "never"}), ("await", 0)]) if chance.random() < 0.5 or depth <= 0 \
                else self.flow(depth - 1, limited=True)  # fmt: skip
            inner.durable, inner.retries = True, 0
            return (kind, program.add(inner), limit_s, *catch)
        if kind in ("await", "given"):
            return (kind, chance.randrange(6), *catch)
        if kind == "sleep":
            return (kind, chance.choice((0, 0.2, 3, 40)), *catch)
        if kind == "meet":
            return (kind, chance.randrange(len(program.shared)))
        if kind in ("join", "begin_join"):
            return (kind, chance.randrange(len(program.joint)), *catch)
        return (kind, chance.choice(self.commons), *catch) if kind == "common" else (kind, *catch)

    def settlement(self, ways: tuple[str, ...]) -> dict[str, Any]:
        chance = self.chance
        return {"settle": chance.choice(ways), "after": chance.choice((0, 0, 0.3, 4)), "value": chance.randrange(100)}

    def leaf(self, limited: bool) -> Leaf:
        # Below a short deadline nothing is retried: whether there is time for it would be nature's choice too.
        chance = self.chance
        retries = 0 if limited else chance.choice((0, 1, 2))
        return Leaf(chance.randrange(1000), chance.choice((0, 0, 0, 1, 2)), retries, chance.random() < 0.85)


# ---- the plain interpreter -------------------------------------------------------------------------------------------------------


class Predicted(Exception):
    """An outcome that is raised in the interpreter."""

    def __init__(self, outcome: tuple[Any, ...]) -> None:
        super().__init__()
        self.outcome = outcome


class Doomed(Exception):
    """A call waits for what never comes: only its deadline ends it."""


_TIMED_OUT = ("REJECTED_TIMEDOUT", "ResonateTimedoutError", ())
_CANCELED = ("REJECTED_CANCELED", "ResonateCanceledError", ())
_NUMBERED = frozenset((
    "run", "begin", "same", "common", "sleep", "rpc", "begin_rpc", "join", "begin_join", "detached", "promise", "meet", "limited",
))  # fmt: skip


class Interpreter:
    """Runs a program by plain recursion. `store` says which promises there will be and how they end."""

    def __init__(self, program: Program, happened: dict[str, Any], meddled: set[str]) -> None:
        self.program = program
        self.happened = happened
        self.meddled = meddled
        self.store: dict[str, Any] = {}
        self.private: dict[str, Any] = {}
        self.parents: dict[str, set[str | None]] = {}
        self.roots: dict[str, set[str]] = {}
        self.sure: set[str] = set()
        """Promises that must be there; the others of `store` lie below a deadline that passed, or below what was settled outside."""
        self.waits_ms = 0.0
        self.sleeps = 0
        self._unsure = 0
        self._below: dict[str, set[str]] = {}
        self._trail: list[tuple[set[str], int]] = []

    def run(self) -> None:
        if self.program.schedule is not None:
            self.waits_ms += self.program.schedule.period_ms * self.program.schedule.times
        for promise_id, number in self.program.runs():
            self.call(number, promise_id, None, promise_id)

    def value(self, promise_id: str) -> Any:
        outcome = self.store[promise_id] if promise_id in self.store else self.private[promise_id]
        if outcome[0] == "ok":
            return outcome[1]
        raise Predicted(outcome)

    def reach(self, promise_id: str, parent: str | None, root: str) -> None:
        self.parents.setdefault(promise_id, set()).add(parent)
        self.roots.setdefault(promise_id, set()).add(root)
        for ids, unsure in self._trail:
            if unsure == self._unsure:
                ids.add(promise_id)
        if not self._unsure:
            self.sure.add(promise_id)
            self.sure |= self._below.get(promise_id, set())

    @contextmanager
    def below(self, promise_id: str, unsure: bool) -> Iterator[None]:
        ids = self._below[promise_id] = set()
        self._unsure += unsure
        self._trail.append((ids, self._unsure))
        try:
            yield
        finally:
            self._unsure -= unsure
            self._trail.pop()
            if unsure:
                ids.clear()

    def external(self, promise_id: str, outcome: Any, parent: str, root: str) -> None:
        self.reach(promise_id, parent, root)
        self.store[promise_id] = self.happened[promise_id] if promise_id in self.meddled else outcome

    def call(
        self, number: int, promise_id: str, parent: str | None, root: str, given: tuple[str, ...] = (), *, limited: bool = False,
        is_run: bool = False,
    ) -> None:  # fmt: skip
        spec = self.program.specs[number]
        if not spec.durable:
            if promise_id not in self.private:
                self.private[promise_id] = self.outcome(spec, promise_id, root, given)
            return
        self.reach(promise_id, parent, root)
        if promise_id in self.store:
            return
        self.store[promise_id] = None  # its own outcome is not known while it runs
        root = promise_id if is_run else root
        state = self.happened.get(promise_id, ("absent",))
        expired = limited and state[0] == "REJECTED_TIMEDOUT"
        with self.below(promise_id, promise_id in self.meddled or expired):
            try:
                outcome = self.outcome(spec, promise_id, root, given)
            except Doomed:
                if not limited:
                    raise
                outcome = _TIMED_OUT
        self.store[promise_id] = state if promise_id in self.meddled else _TIMED_OUT if expired else outcome

    def outcome(self, spec: Leaf | Flow, promise_id: str, root: str, given: tuple[str, ...]) -> Any:
        attempt = 1
        while True:
            try:
                return "ok", self.attempt(spec, promise_id, root, given, attempt)
            except Predicted as error:
                if attempt > spec.retries:
                    return ("REJECTED", *error.outcome[1:])
            self.waits_ms += RETRY_S * 1000
            attempt += 1

    def attempt(self, spec: Leaf | Flow, promise_id: str, root: str, given: tuple[str, ...], attempt: int) -> Any:
        if isinstance(spec, Leaf):
            if attempt <= spec.fails:
                raise Predicted(("REJECTED", "Flaw", (f"attempt of {spec.value}",)))
            return spec.value
        seen: list[Any] = []
        slots: list[str] = []
        last: tuple[str, str] | None = None
        number = 0
        for index, operation in enumerate(spec.operations):
            kind = operation[0]
            number += kind in _NUMBERED
            child = f"{promise_id}.{number}"
            if kind in ("run", "begin"):
                last = (kind, child)
            try:
                self.operation(operation, index, promise_id, child, root, seen, slots, given, last, attempt)
            except Predicted as error:
                if kind in ("flaky", "raise") or operation[-1] != "catch":
                    raise
                seen.append(["caught", *error.outcome[1:]])
        return seen

    def operation(
        self, operation: tuple[Any, ...], index: int, parent: str, child: str, root: str, seen: list[Any], slots: list[str],
        given: tuple[str, ...], last: tuple[str, str] | None, attempt: int,
    ) -> None:  # fmt: skip
        kind, *details = operation
        if kind in ("run", "begin"):
            self.call(details[0], child, parent, root, tuple(slots))
            self.see(kind == "run", child, seen, slots)
        elif kind == "again":
            if last is not None:
                self.see(last[0] == "run", last[1], seen, slots)
        elif kind in ("same", "common"):
            child = f"{parent}-same" if kind == "same" else f"common-{details[0]}"
            self.call(details[0], child, parent, root)
            self.see(True, child, seen, slots)
        elif kind in ("await", "given"):
            promises = slots if kind == "await" else given
            if promises:
                seen.append(self.value(promises[details[0] % len(promises)]))
        elif kind == "sleep":
            self.waits_ms += details[0] * 1000
            self.sleeps += 1
            self.external(child, ("ok", None), parent, root)
            seen.append(self.value(child))
        elif kind in ("rpc", "begin_rpc", "detached"):
            self.call(details[0], child, parent, root, is_run=True)
            if kind != "detached":
                self.see(kind == "rpc", child, seen, slots)
        elif kind in ("join", "begin_join"):
            child = f"join-{details[0]}"
            self.call(self.program.joint[details[0]], child, parent, root, is_run=True)
            self.see(kind == "join", child, seen, slots)
        elif kind in ("promise", "meet"):
            how = details[0] if kind == "promise" else self.program.shared[details[0]]
            child = f"meet-{details[0]}" if kind == "meet" else f"{parent}-p{index}" if how.get("named") else child
            self.external(child, self.settled_outside(how), parent, root)
            if how["settle"] == "never" and "timeout" not in how and self.store[child] == _TIMED_OUT:
                raise Doomed
            slots.append(child)
        elif kind == "limited":
            self.waits_ms += details[1] * 1000
            self.sleeps += 1
            self.call(details[0], child, parent, root, limited=True)
            seen.append(self.value(child))
        elif kind == "raise" or (kind == "flaky" and attempt <= details[0]):
            raise Predicted(("REJECTED", "Flaw", (kind, index)))

    def see(self, awaits: bool, child: str, seen: list[Any], slots: list[str]) -> None:
        if awaits:
            seen.append(self.value(child))
        else:
            slots.append(child)

    def settled_outside(self, how: dict[str, Any]) -> Any:
        self.waits_ms += (how["after"] if how["settle"] != "never" else how.get("timeout", 0)) * 1000 if "after" in how else 0
        if how["settle"] == "resolve":
            return "ok", how["value"]
        if how["settle"] == "reject":
            return "REJECTED", "Exception", (how["value"],)
        return _CANCELED if how["settle"] == "cancel" else _TIMED_OUT
