"""A run's laws under invented disasters: the production computation and machine, driven by a simulated worker in virtual time.

`World` is a driver like `resonate.runtime`, without threads or a clock: the seed chooses what happens next. Random workflows
are compared with `predict`, a plain recursive interpreter that knows nothing of promises, retries or crashes: the result and the
whole store (every id, state and value) must come out as it says.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from types import GeneratorType
from typing import Any

import pytest

from resonate.computation import NO_VALUE, Call, Close, Computation, Done, Node, Observe, Send, Step, Stuck, Wake
from resonate.context import Context, Info
from resonate.coroutine import LFI, Command, Promise
from resonate.dependencies import Dependencies
from resonate.encoders import DEFAULT, encode_error
from resonate.errors import ResonateStoreError, RunStuck
from resonate.events import AttemptStarted, Event, PromiseCreated, PromiseSettled, RetryScheduled, RunResumed, RunSuspended
from resonate.machine import Machine
from resonate.models.durable_promise import outcome_of
from resonate.models.result import Ok
from resonate.protocol import (
    NOTHING,
    TIMEOUT_LIMIT_MS,
    Claimed,
    ClaimTask,
    CreateLeased,
    CreatePromise,
    Heartbeat,
    Lineage,
    NotifyMessage,
    Park,
    PromiseRecord,
    SettlePromise,
    Subscribe,
)
from resonate.registry import Registry
from resonate.retry_policies import Constant

TTL_MS = 10_000
STEPS_LIMIT = 30_000
ACTIONS_LIMIT = 5_000
TARGET = "poll://any@default"


class Flaw(Exception):
    """What the workflows raise."""


# ---- the simulated worker --------------------------------------------------------------------------------------------------------


@dataclass
class Worker:
    """One process: its runs, and what is under way in it. A crash throws all of it away."""

    pid: str
    runs: dict[str, Computation] = field(default_factory=dict)
    jobs: list[tuple[Computation, Any]] = field(default_factory=list)
    answers: dict[str, deque[tuple[Computation, Send, Any]]] = field(default_factory=dict)
    timers: list[tuple[float, int, Computation, Node]] = field(default_factory=list)
    beats_at: int = 0
    began_settled: int = 0


class World:
    """A promise server and its workers in virtual time. `later` brings the store's answers as events of their own, not in place."""

    def __init__(self, seed: int, *, later: bool = False, crashes: str = "never", freezes: bool = False) -> None:
        self.chance = random.Random(seed)
        self.machine = Machine()
        self.now = 1_000_000
        self.later = later
        self.crashes = crashes
        self.freezes = freezes
        self.registry = Registry()
        self.dependencies = Dependencies()
        self.inbox: list[Any] = []
        self.outside: list[tuple[float, int, str, dict[str, Any]]] = []
        self.number = itertools.count()
        self.settled = 0
        self.executed: list[str] = []
        self.deaths = 0
        self.frozen: list[tuple[int, Worker]] = []
        self.events: list[Event] = []
        self.observed = False
        self.worker = self.born()

    def born(self) -> Worker:
        return Worker(f"w{next(self.number)}", began_settled=self.settled)

    # ---- the store

    def ask(self, operation: Any) -> Any:
        known = operation.id in self.machine.promises if isinstance(operation, CreatePromise) else True
        was_pending = isinstance(operation, SettlePromise) and self.is_pending(operation.id)
        try:
            answer = self.machine.apply(operation, self.now)
        except ResonateStoreError as error:
            return error
        finally:
            self.inbox += self.machine.take_messages()
        if not known and operation.lineage is not None and operation.lineage.kind == "promise":
            self.plan(operation.id, DEFAULT.decode(operation.param))
        if was_pending and not self.is_pending(operation.id):
            self.settled += 1
        return answer

    def is_pending(self, promise_id: str) -> bool:
        record = self.machine.promises.get(promise_id)
        return record is not None and record.state == "PENDING"

    def plan(self, promise_id: str, how: Any) -> None:
        """Somebody outside will settle this promise as its data says."""
        if isinstance(how, dict) and how.get("settle") != "never":
            heapq.heappush(self.outside, (self.now + how["after"] * 1000, next(self.number), promise_id, how))

    # ---- driving

    def post(self, worker: Worker, run: Computation, event: Any, *arguments: Any) -> None:
        run.now_ms = self.now
        run.observed = self.observed
        event(run, *arguments)
        for _ in range(ACTIONS_LIMIT):
            if not run.actions:
                return
            action = run.actions.popleft()
            if isinstance(action, Send):
                answer = self.ask(action.operation)
                if self.later:
                    worker.answers.setdefault(run.root.id, deque()).append((run, action, answer))
                else:
                    run.answered(action, answer)
            elif isinstance(action, (Call, Step, Close)):
                worker.jobs.append((run, action))
            elif isinstance(action, Wake):
                heapq.heappush(worker.timers, (self.now + action.delay_s * 1000, next(self.number), run, action.node))
            elif isinstance(action, Stuck):
                run.stuck(encode_error(action.error, DEFAULT))
            elif isinstance(action, Observe):
                self.events.append(action.event)
            else:
                assert isinstance(action, Done)
                if worker.runs.get(run.root.id) is run:
                    del worker.runs[run.root.id]
        raise AssertionError(f"one event of {run.root.id} asks for ever more: {run.actions}")

    def add(self, worker: Worker, record: PromiseRecord, command: Command[Any]) -> Computation:
        address = f"{TARGET}/{worker.pid}"
        run = Computation(record, command, pid=worker.pid, address=address, notice_address=f"poll://uni@default/{worker.pid}")
        worker.runs[record.id] = run
        if not worker.beats_at:
            worker.beats_at = self.now + TTL_MS // 2
        return run

    def launch(self, promise_id: str, func: Any, *args: Any) -> None:
        lineage = Lineage(promise_id, promise_id, None, "run", func.__name__)
        name, _, version = self.registry.get(func)
        param = DEFAULT.encode({"func": name, "args": args, "kwargs": {}, "version": version})
        create = CreatePromise(promise_id, self.now + 10**11, promise_id, False, param, None, TARGET, False, lineage)
        record, lease = self.ask(CreateLeased(create, self.worker.pid, TTL_MS))
        self.ask(Subscribe(promise_id, self.worker.pid, f"poll://uni@default/{self.worker.pid}", TIMEOUT_LIMIT_MS))
        run = self.add(self.worker, record, LFI(promise_id, "run", name, func, args, {}, version=version))
        self.post(self.worker, run, Computation.start, lease)

    def hear(self, message: Any) -> None:
        worker = self.worker
        if isinstance(message, NotifyMessage):
            if message.recv.endswith(f"/{worker.pid}"):
                for run in list(worker.runs.values()):
                    own = run.root.id == message.promise.id
                    self.post(worker, run, Computation.settled_outside if own else Computation.noticed, message.promise)
            return
        claimed = self.ask(ClaimTask(message.id, message.counter, worker.pid, TTL_MS))
        if not isinstance(claimed, Claimed):
            return
        run = worker.runs.get(message.root)  # type: ignore[assignment]
        if run is not None:
            self.post(worker, run, Computation.resumed, claimed.lease, claimed.leaf)
            return
        asked = DEFAULT.decode(claimed.root.param)
        _, func, version = self.registry.get(asked["func"], asked["version"])
        command: Command[Any] = LFI(message.root, "rpc", asked["func"], func, asked["args"], asked["kwargs"], version=version)
        self.post(worker, self.add(worker, claimed.root, command), Computation.start, claimed.lease)

    # ---- user code

    def work(self, worker: Worker, run: Computation, action: Any) -> None:
        node = action.node
        if isinstance(action, Close):
            if node.frame is not None:
                node.frame.close()
        elif isinstance(action, Call):
            self.post(worker, run, *self.call(run, node))
        else:
            self.post(worker, run, *self.step(run, node, action.source))

    def call(self, run: Computation, node: Node) -> tuple[Any, ...]:
        command = node.command
        assert command is not None
        assert command.func is not None
        if command.option.durable and run.lease is not None:
            known = self.machine.promises[node.id]
            fenced = self.machine.tasks[run.lease.task].counter != run.lease.counter
            assert fenced or known.state not in ("RESOLVED", "REJECTED"), f"{node.id} was settled and is called again"
        self.executed.append(node.id)
        info = Info(node.attempt, command.key, {}, node.deadline / 1000, 1)
        context = Context(node.id, info, self.registry, self.dependencies)
        try:
            result = command.func(context, *command.args, **command.kwargs)
        except Exception as error:
            return self.failure(node, error)
        if isinstance(result, GeneratorType):
            node.frame = result
            return self.advance(node, result.send, None)
        return self.success(node, result)

    def step(self, run: Computation, node: Node, source: Any) -> tuple[Any, ...]:
        if isinstance(source, Promise):
            return self.advance(node, node.frame.send, source)
        if source.failure is not None:
            return self.advance(node, node.frame.throw, source.failure)
        if source.raw is not NO_VALUE:
            rejected = source.outcome is not None and source.outcome[0] == "REJECTED"
            return self.advance(node, node.frame.throw if rejected else node.frame.send, source.raw)
        outcome = outcome_of(source.record, DEFAULT)
        return self.advance(node, node.frame.send if isinstance(outcome, Ok) else node.frame.throw, outcome.value)

    def advance(self, node: Node, resume: Any, value: Any) -> tuple[Any, ...]:
        try:
            yielded = resume(value)
        except StopIteration as stop:
            return self.success(node, stop.value)
        except Exception as error:
            return self.failure(node, error)
        if not isinstance(yielded, Promise):
            self.prepare(yielded)
        return Computation.yielded, node, yielded

    def prepare(self, command: Command[Any]) -> None:
        command.key = command.option.key_for(command.id)
        if command.kind == "promise":
            command.param = DEFAULT.encode(command.args[0])
        elif command.kind in ("rpc", "detached"):
            command.target = TARGET
            command.param = DEFAULT.encode({"func": command.name, "args": command.args, "kwargs": {}, "version": command.version})

    def success(self, node: Node, value: Any) -> tuple[Any, ...]:
        assert node.command is not None
        if not node.command.option.durable:
            return Computation.returned, node, NOTHING, value
        return Computation.returned, node, DEFAULT.encode(value), value if type(value) in (int, str, type(None)) else NO_VALUE

    def failure(self, node: Node, error: Exception) -> tuple[Any, ...]:
        command = node.command
        assert command is not None
        assert command.func is not None
        durable = command.option.durable
        delay = command.option.policy_for(command.func).next(node.attempt)
        encoded = encode_error(error, DEFAULT) if durable else NOTHING
        return Computation.failed, node, encoded, NO_VALUE if durable else error, str(error), delay, None

    # ---- time and disaster

    def next_time(self) -> float | None:
        worker = self.worker
        times: list[float | None] = [self.machine.next_due(), *(at for at, _ in self.frozen)]
        times += [worker.timers[0][0] if worker.timers else None, self.outside[0][0] if self.outside else None]
        times.append(worker.beats_at if worker.runs else None)
        return min((each for each in times if each is not None), default=None)

    def advance_time(self, until: float) -> None:
        self.now = max(self.now, int(-(-until // 1)))
        worker = self.worker
        if worker.runs and worker.beats_at <= self.now:
            self.ask(Heartbeat(worker.pid))
            worker.beats_at = self.now + TTL_MS // 2
        self.machine.tick(self.now)
        self.inbox += self.machine.take_messages()
        while self.outside and self.outside[0][0] <= self.now:
            _, _, promise_id, how = heapq.heappop(self.outside)
            state = {"resolve": "RESOLVED", "reject": "REJECTED", "cancel": "REJECTED_CANCELED"}[how["settle"]]
            self.ask(SettlePromise(promise_id, state, DEFAULT.encode(how.get("value"))))  # type: ignore[arg-type]
        while worker.timers and worker.timers[0][0] <= self.now:
            _, _, run, node = heapq.heappop(worker.timers)
            self.post(worker, run, Computation.woke, node)
        if self.frozen and self.frozen[0][0] <= self.now:
            # The frozen worker thaws and does what it had at hand, under leases that are worth nothing; then it is gone.
            _, thawed = self.frozen.pop(0)
            for _ in range(200):
                for queue in thawed.answers.values():
                    while queue:
                        run, send, answer = queue.popleft()
                        self.post(thawed, run, Computation.answered, send, answer)
                if not thawed.jobs:
                    break
                self.work(thawed, *thawed.jobs.pop(0))

    def disaster(self) -> None:
        """The worker dies (or freezes), with everything that it holds; another one is born."""
        self.deaths += 1
        if self.freezes:
            self.frozen.append((self.now + self.chance.choice((5_000, 25_000)), self.worker))
            self.frozen.sort(key=lambda each: each[0])
        if self.chance.random() < 0.5:
            self.inbox.clear()
        self.worker = self.born()

    def wants_disaster(self) -> bool:
        if self.crashes == "always":
            return self.settled > self.worker.began_settled  # as soon as this life has made progress
        return self.crashes == "sometimes" and self.deaths < 6 and self.chance.random() < 0.03

    def run(self) -> None:
        """Go on until nothing can happen any more."""
        chance = self.chance
        for _ in range(STEPS_LIMIT):
            worker = self.worker
            if worker.runs and self.wants_disaster():
                self.disaster()
                continue
            ready = [name for name, queue in worker.answers.items() if queue]
            things = ["job"] * bool(worker.jobs) + ["answer"] * bool(ready) + ["message"] * bool(self.inbox)
            until = self.next_time()
            if until is not None and (not things or chance.random() < 0.03):
                self.advance_time(until)
            elif not things:
                return
            else:
                thing = chance.choice(things)
                if thing == "job":
                    self.work(worker, *worker.jobs.pop(chance.randrange(len(worker.jobs))))
                elif thing == "answer":
                    run, send, answer = worker.answers[chance.choice(ready)].popleft()
                    self.post(worker, run, Computation.answered, send, answer)
                else:
                    self.hear(self.inbox.pop(chance.randrange(len(self.inbox))))
        pending = [each.id for each in self.machine.promises.values() if each.state == "PENDING"]
        raise AssertionError(f"it goes on for ever; pending: {pending}")

    def outcome(self, promise_id: str) -> Any:
        return told(self.machine.promises[promise_id])


def told(record: PromiseRecord) -> Any:
    if record.state == "PENDING":
        return "pending"
    outcome = outcome_of(record, DEFAULT)
    if isinstance(outcome, Ok):
        return "ok", outcome.value
    return error_outcome(outcome.value, record.state)


def error_outcome(error: BaseException, state: str = "REJECTED") -> Any:
    """(state, type, args) of an error; the moment of a timeout and the id in it are left out."""
    name = type(error).__name__
    return state, name, () if name.startswith("Resonate") else tuple(error.args)


# ---- random workflows ------------------------------------------------------------------------------------------------------------


@dataclass
class Leaf:
    """A plain function: fails on its first `fails` attempts, of `retries` + 1, and returns `value`."""

    value: Any
    fails: int = 0
    retries: int = 0
    durable: bool = True


@dataclass
class Flow:
    """A generator that carries out `operations` and returns what it saw."""

    operations: list[tuple[Any, ...]]
    retries: int = 0
    durable: bool = True


Spec = Leaf | Flow
FLOWS: dict[int, Flow] = {}
"""What a remote call names by number."""


def leaf(ctx: Context, spec: Leaf) -> Any:
    if ctx.info.attempt <= spec.fails:
        raise Flaw(f"attempt of {spec.value}")
    return spec.value


def remote(ctx: Context, number: int) -> Generator[Any, Any, Any]:
    return (yield from flow(ctx, FLOWS[number], []))


def flow(ctx: Context, spec: Flow, given: list[Promise[Any]]) -> Generator[Any, Any, Any]:
    seen: list[Any] = []
    slots: list[Promise[Any]] = []
    last: Command[Any] | None = None
    for index, (kind, *details) in enumerate(spec.operations):
        try:
            if kind in ("run", "begin"):
                child = details[0]
                invoke = ctx.run if kind == "run" else ctx.begin_run
                last = invoke(leaf, child) if isinstance(child, Leaf) else invoke(flow, child, list(slots))
                last.options(durable=child.durable, retry_policy=Constant(0.5, child.retries))
                (seen if kind == "run" else slots).append((yield last))
            elif kind == "again" and last is not None:
                outcome = yield last
                (slots if isinstance(outcome, Promise) else seen).append(outcome)
            elif kind == "same":
                seen.append((yield ctx.run(leaf, Leaf(details[0])).options(id=f"{ctx.id}-same")))
            elif kind == "await" and slots:
                seen.append((yield slots[details[0] % len(slots)]))
            elif kind == "given" and given:
                seen.append((yield given[details[0] % len(given)]))
            elif kind == "sleep":
                seen.append((yield ctx.sleep(details[0])))
            elif kind == "rpc":
                seen.append((yield ctx.rpc("remote", details[0])))
            elif kind == "begin_rpc":
                slots.append((yield ctx.begin_rpc("remote", details[0])))
            elif kind == "detached":
                yield ctx.detached("remote", details[0])
            elif kind == "promise":
                how = details[0]
                slots.append((yield ctx.promise(id=f"{ctx.id}-p{index}" if how.get("named") else None, timeout=how.get("timeout"),
                                                data=how)))
            elif kind == "timed":
                seen.append((yield ctx.run(flow, Flow([("promise", {"settle": "never"}), ("await", 0)]),
                                           []).options(timeout=details[0])))
            elif kind == "flaky" and ctx.info.attempt <= details[0]:
                raise Flaw("flaky")
            elif kind == "raise":
                raise Flaw("raised", index)
        except Exception as error:
            if kind in ("flaky", "raise") or spec.operations[index][-1] != "catch":
                raise
            seen.append(["caught", *error_outcome(error)[1:]])
    return seen


class Author:
    """Writes random workflows of a bounded size."""

    def __init__(self, seed: int, budget: int = 24) -> None:
        self.chance = random.Random(seed)
        self.budget = budget

    def flow(self, depth: int, *, remote: bool = False) -> Flow:
        chance = self.chance
        operations: list[tuple[Any, ...]] = []
        for _ in range(chance.randrange(2, 7)):
            if self.budget <= 0:
                break
            operations.append(self.operation(depth))
        retries = chance.choice((0, 0, 0, 2))
        if retries and chance.random() < 0.7:
            operations.insert(chance.randrange(len(operations) + 1), ("flaky", chance.randrange(1, 4)))
        elif chance.random() < 0.1:
            operations.append(("raise",))
        return Flow(operations, 0 if remote else retries, remote or chance.random() < 0.85)

    def operation(self, depth: int) -> tuple[Any, ...]:
        chance = self.chance
        self.budget -= 1
        catch = ("catch",) if chance.random() < 0.8 else ()
        kind = chance.choice(
            ("run", "run", "begin", "begin", "begin", "await", "await", "await", "given", "sleep", "promise", "promise", "rpc",
             "begin_rpc",
             "detached", "again", "same", "timed")
        )  # fmt: skip
        if kind in ("run", "begin"):
            return (kind, self.flow(depth - 1) if depth > 0 and chance.random() < 0.45 else self.leaf(), *catch)
        if kind in ("rpc", "begin_rpc", "detached"):
            number = len(FLOWS)
            FLOWS[number] = Flow([])
            FLOWS[number] = self.flow(depth - 1, remote=True) if depth > 0 else Flow([("run", self.leaf())])
            return (kind, number, *catch)
        if kind == "promise":
            how = chance.choice(("resolve", "resolve", "reject", "cancel", "never"))
            plan = {"settle": how, "after": chance.choice((0, 0, 0.3, 4)), "value": chance.randrange(100),
                    "named": chance.random() < 0.3}
            return (kind, {**plan, "timeout": 7.0} if how == "never" else plan)
        if kind in ("await", "given"):
            return (kind, chance.randrange(6), *catch)
        if kind in ("sleep", "timed"):
            return (kind, chance.choice((0, 0.2, 3, 40)) if kind == "sleep" else chance.choice((2, 15)), *catch)
        return (kind, chance.randrange(100), *catch) if kind == "same" else (kind, *catch)

    def leaf(self) -> Leaf:
        chance = self.chance
        return Leaf(chance.randrange(1000), chance.choice((0, 0, 0, 1, 2)), chance.choice((0, 1, 2)), chance.random() < 0.85)


# ---- the plain interpreter -------------------------------------------------------------------------------------------------------


class Predicted(Exception):
    """An outcome that is raised in the interpreter."""

    def __init__(self, outcome: tuple[Any, ...]) -> None:
        super().__init__()
        self.outcome = outcome


class Interpreter:
    """Runs a workflow by plain recursion. `store` says which promises there will be and how they end."""

    def __init__(self) -> None:
        self.store: dict[str, Any] = {}
        self.private: dict[str, Any] = {}
        self.maybe: set[str] = set()
        """Promises below a short deadline, which may pass before they are created."""

    def value(self, promise_id: str) -> Any:
        outcome = self.store[promise_id] if promise_id in self.store else self.private[promise_id]
        if outcome[0] == "ok":
            return outcome[1]
        raise Predicted(outcome)

    def settle(self, spec: Spec, promise_id: str, given: list[str]) -> None:
        places = self.store if spec.durable else self.private
        if promise_id in places:
            return
        attempt = 1
        while True:
            try:
                places[promise_id] = ("ok", self.attempt(spec, promise_id, given, attempt))
                return
            except Predicted as error:
                if attempt > spec.retries:
                    _, name, args = error.outcome
                    places[promise_id] = ("REJECTED", name, args)
                    return
            attempt += 1

    def attempt(self, spec: Spec, promise_id: str, given: list[str], attempt: int) -> Any:
        if isinstance(spec, Leaf):
            if attempt <= spec.fails:
                raise Predicted(("REJECTED", "Flaw", (f"attempt of {spec.value}",)))
            return spec.value
        seen: list[Any] = []
        slots: list[str] = []
        last: tuple[str, str] | None = None
        number = 0
        for index, (kind, *details) in enumerate(spec.operations):
            child = f"{promise_id}.{number + 1}"
            number += kind in ("run", "begin", "same", "sleep", "rpc", "begin_rpc", "detached", "promise", "timed")
            try:
                if kind in ("run", "begin"):
                    last = (kind, child)
                    self.settle(details[0], child, list(slots))
                    if kind == "run":
                        seen.append(self.value(child))
                    else:
                        slots.append(child)
                elif kind == "again" and last is not None:
                    if last[0] == "run":
                        seen.append(self.value(last[1]))
                    else:
                        slots.append(last[1])
                elif kind == "same":
                    self.settle(Leaf(details[0]), f"{promise_id}-same", [])
                    seen.append(self.value(f"{promise_id}-same"))
                elif kind == "await" and slots:
                    seen.append(self.value(slots[details[0] % len(slots)]))
                elif kind == "given" and given:
                    seen.append(self.value(given[details[0] % len(given)]))
                elif kind == "sleep":
                    self.store[child] = ("ok", None)
                    seen.append(None)
                elif kind in ("rpc", "begin_rpc", "detached"):
                    self.settle(FLOWS[details[0]], child, [])
                    if kind == "rpc":
                        seen.append(self.value(child))
                    elif kind == "begin_rpc":
                        slots.append(child)
                elif kind == "promise":
                    slots.append(f"{promise_id}-p{index}" if details[0].get("named") else child)
                    self.store[slots[-1]] = self.settled_outside(details[0])
                elif kind == "timed":
                    self.maybe.add(f"{child}.1")
                    self.store[f"{child}.1"] = self.store[child] = ("REJECTED_TIMEDOUT", "ResonateTimedoutError", ())
                    self.value(child)
                elif kind == "flaky" and attempt <= details[0]:
                    raise Predicted(("REJECTED", "Flaw", ("flaky",)))
                elif kind == "raise":
                    raise Predicted(("REJECTED", "Flaw", ("raised", index)))
            except Predicted as error:
                if kind in ("flaky", "raise") or spec.operations[index][-1] != "catch":
                    raise
                seen.append(["caught", *error.outcome[1:]])
        return seen

    def settled_outside(self, how: dict[str, Any]) -> Any:
        if how["settle"] == "resolve":
            return "ok", how["value"]
        if how["settle"] == "reject":
            return "REJECTED", "Exception", (how["value"],)
        return {"cancel": ("REJECTED_CANCELED", "ResonateCanceledError", ()),
                "never": ("REJECTED_TIMEDOUT", "ResonateTimedoutError", ())}[how["settle"]]


def simulate(seed: int, **world_options: Any) -> World:
    """Run the workflow of that seed in a world of that kind and hold it against the interpreter."""
    FLOWS.clear()
    author = Author(seed)
    number = len(FLOWS)
    FLOWS[number] = Flow([])
    FLOWS[number] = author.flow(3, remote=True)
    world = World(seed, **world_options)
    world.registry.add(remote)
    expected = Interpreter()
    expected.settle(FLOWS[number], "r", [])
    world.launch("r", remote, number)
    world.run()
    happened = {record.id: told(record) for record in world.machine.promises.values()}
    for promise_id in sorted({*happened, *expected.store} - (expected.maybe - happened.keys())):
        assert happened.get(promise_id) == expected.store.get(promise_id), f"seed {seed}: {promise_id} differs from plain recursion"
    assert not world.worker.runs, f"seed {seed}: runs are left behind: {list(world.worker.runs)}"
    assert not world.machine._open_tasks
    return world


CHUNKS = [range(start, start + 60) for start in range(0, 600, 60)]


@pytest.mark.parametrize("seeds", CHUNKS, ids=str)
def test_random_workflows_equal_plain_recursion(seeds: range) -> None:
    """In whatever order its parts are at work, a workflow gives what plain recursion gives, and leaves the promises that it says."""
    assert sum(len(simulate(seed).machine.promises) for seed in seeds) > 5 * len(seeds)


@pytest.mark.parametrize("seeds", CHUNKS, ids=str)
def test_random_workflows_survive_a_crash_after_every_settlement(seeds: range) -> None:
    """A worker that dies each time it has settled something is replayed from the top to the same result, and runs no settled step twice."""
    assert sum(simulate(seed, crashes="always").deaths for seed in seeds) > 2 * len(seeds)


@pytest.mark.parametrize("seeds", CHUNKS[:4], ids=str)
def test_random_workflows_survive_crashes_at_any_moment(seeds: range) -> None:
    """A worker may die at any moment, messages in flight with it, and the run comes to the same end."""
    assert sum(simulate(seed, crashes="sometimes").deaths for seed in seeds) > len(seeds) // 4


@pytest.mark.parametrize("seeds", CHUNKS[:4], ids=str)
def test_random_workflows_survive_workers_that_come_back(seeds: range) -> None:
    """A worker that was frozen past its lease and goes on can settle nothing, and the run comes to the same end."""
    assert sum(simulate(seed, crashes="sometimes", freezes=True).deaths for seed in seeds) > len(seeds) // 4


@pytest.mark.parametrize("seeds", CHUNKS[:4], ids=str)
def test_random_workflows_do_not_care_when_the_store_answers(seeds: range) -> None:
    """Answers that come later, as events of their own, and crashes between question and answer change nothing."""
    for seed in seeds:
        simulate(seed, later=True)
        simulate(seed, later=True, crashes="sometimes", freezes=True)


# ---- single laws -----------------------------------------------------------------------------------------------------------------


def world_of(func: Any, *args: Any, **options: Any) -> World:
    """A world in which `func` has been launched as `r`, and nothing more has happened."""
    world = World(0, **options)
    world.registry.add(func)
    world.launch("r", func, *args)
    return world


def settle(world: World, promise_id: str, value: Any = None) -> None:
    world.ask(SettlePromise(promise_id, "RESOLVED", DEFAULT.encode(value)))


def work_off(world: World) -> None:
    """Everything that can be done without letting time pass."""
    while world.worker.jobs or world.inbox:
        if world.worker.jobs:
            world.work(world.worker, *world.worker.jobs.pop(0))
        else:
            world.hear(world.inbox.pop(0))


def constant(ctx: Context, value: Any) -> Any:
    return value


def test_a_waiting_run_holds_no_lease_and_nothing_in_progress() -> None:
    """A run whose every part waits for the outside parks: no lease, no timer, no job."""

    def waits(ctx: Context) -> Generator[Any, Any, Any]:
        return (yield (yield ctx.promise(id="x")))

    world = world_of(waits)
    work_off(world)
    run = world.worker.runs["r"]
    assert (run.parked, run.lease, run.busy) == (True, None, 0)
    assert not world.machine._held
    settle(world, "x", 5)
    work_off(world)
    assert world.outcome("r") == ("ok", 5)


@pytest.mark.parametrize(("busy", "other"), [("x", "y"), ("y", "x")])
def test_a_branch_goes_on_while_another_is_at_work(busy: str, other: str) -> None:
    """A promise that settles while another part of the run is in the middle of a step wakes its own branch at once."""

    def branch(ctx: Context, awaited: str) -> Generator[Any, Any, Any]:
        value = yield (yield ctx.promise(id=awaited))
        return (yield ctx.run(constant, value))

    def forks(ctx: Context) -> Generator[Any, Any, Any]:
        first = yield ctx.begin_run(branch, "x")
        yield ctx.begin_run(branch, "y")
        return (yield first)

    world = world_of(forks)
    work_off(world)
    settle(world, busy, 1)
    while not [action for _, action in world.worker.jobs if isinstance(action, Call)]:
        world.hear(world.inbox.pop(0)) if world.inbox else world.work(world.worker, *world.worker.jobs.pop(0))
    (slow,) = world.worker.jobs  # a step is being called, and takes its time
    world.worker.jobs.clear()
    settle(world, other, 2)
    work_off(world)
    assert world.outcome("r.1" if other == "x" else "r.2") == ("ok",
                                                               2), f"the branch that awaits {other} waits for an unrelated step"
    world.worker.jobs.append(slow)
    work_off(world)
    assert world.outcome("r") == ("ok", 2 if other == "x" else 1)


@pytest.mark.parametrize("way", ["await", "leave", "child"])
def test_a_run_that_waits_for_itself_fails_and_says_so(way: str) -> None:
    """A run that can never go on is rejected with `RunStuck`, which names who waits; it does not hang."""

    def wait_for(ctx: Context, promise: Any) -> Generator[Any, Any, Any]:
        return (yield promise)

    def itself(ctx: Context) -> Generator[Any, Any, Any]:
        if way == "await":
            yield ctx.run(constant, 1).options(id="r")
        elif way == "leave":
            yield ctx.begin_run(constant, 1).options(id="r")
        else:
            yield ctx.run(wait_for, Promise("r", "r"))

    world = world_of(itself)
    world.run()
    record = world.machine.promises["r"]
    error = outcome_of(record, DEFAULT)
    assert isinstance(error.value, RunStuck)
    assert "r can never go on" in str(error.value)
    assert not world.worker.runs


def test_a_cancelled_run_closes_its_generators_and_settles_nothing() -> None:
    """When somebody settles the run's promise, its generators are closed and it writes no more."""
    closed = []

    def child(ctx: Context) -> Generator[Any, Any, Any]:
        try:
            yield ctx.sleep(5)
        finally:
            closed.append(ctx.id)

    def parent(ctx: Context) -> Generator[Any, Any, Any]:
        try:
            yield ctx.run(child)
        finally:
            closed.append(ctx.id)

    world = world_of(parent)
    work_off(world)
    world.ask(SettlePromise("r", "REJECTED_CANCELED"))
    work_off(world)
    assert sorted(closed) == ["r", "r.1"]
    assert world.machine.promises["r.1"].state == "PENDING"
    assert not world.worker.runs


def test_whoever_lost_the_lease_writes_nothing() -> None:
    """A worker that goes on after another one has taken the run over creates and settles nothing more, and drops the run."""

    def steps(ctx: Context) -> Generator[Any, Any, Any]:
        yield ctx.run(constant, 1)
        yield ctx.run(constant, 2)

    world = world_of(steps)
    world.observed = True
    slow = world.worker
    world.work(slow, *slow.jobs.pop(0))  # r.1 is created, and stands in the queue
    world.now += 2 * TTL_MS
    world.machine.tick(world.now)
    (message,) = world.machine.take_messages()
    assert world.ask(ClaimTask(message.id, message.counter, "another", TTL_MS)).lease.counter == 2
    before = dict(world.machine.promises)
    while slow.jobs:
        world.work(slow, *slow.jobs.pop(0))
    assert world.machine.promises == before
    assert not slow.runs
    assert [type(each).__name__ for each in world.events][-1] == "LeaseLost"

    fresh = world_of(steps)
    fresh.now += 2 * TTL_MS
    fresh.machine.tick(fresh.now)
    (message,) = fresh.machine.take_messages()
    fresh.ask(ClaimTask(message.id, message.counter, "another", TTL_MS))
    work_off(fresh)
    assert list(fresh.machine.promises) == ["r"], "it created a child of a run that is not its own"


@pytest.mark.parametrize("first", ["news", "answer"])
def test_news_may_overtake_the_answer_to_a_park(first: str) -> None:
    """A promise that settles while the answer to the park is on its way wakes the run once, under its new lease, in either order."""

    def waits(ctx: Context) -> Generator[Any, Any, Any]:
        promise = yield ctx.promise(id="x")
        yield ctx.begin_run(constant, 1)
        return (yield promise)

    world = world_of(waits, later=True)
    answers = world.worker.answers.setdefault("r", deque())

    def answer() -> None:
        run, send, found = answers.popleft()
        world.post(world.worker, run, Computation.answered, send, found)

    while not (answers and isinstance(answers[0][1].operation, Park)):
        if world.worker.jobs:
            world.work(world.worker, *world.worker.jobs.pop(0))
        else:
            answer()
    settle(world, "x", 5)
    news = [each for each in world.inbox if isinstance(each, NotifyMessage) and each.promise.id == "x"]
    world.inbox = [each for each in world.inbox if each not in news]
    assert news, "x was watched while the other call was at work"
    if first == "answer":
        answer()
    world.hear(news[0])
    while world.worker.jobs:
        world.work(world.worker, *world.worker.jobs.pop(0))
    while world.inbox:
        world.hear(world.inbox.pop(0))
    while answers:
        answer()
    assert "r" in world.worker.runs or not world.is_pending("r"), "the run was dropped, and the lease that it had just got again with it"
    world.run()
    assert world.outcome("r") == ("ok", 5)
    assert world.executed.count("r") == 1


def test_a_refused_promise_is_refused_each_time_it_is_awaited() -> None:
    """A call whose id belongs to somebody else raises where it is awaited, and again when it is awaited again."""

    def joins(ctx: Context) -> Generator[Any, Any, Any]:
        promise = yield ctx.promise(id="taken", idempotency_key="mine")
        seen = []
        for _ in range(2):
            try:
                seen.append((yield promise))
            except ResonateStoreError as error:
                seen.append(f"{error.code:.5f}")
        return seen

    world = World(0)
    world.ask(CreatePromise("taken", world.now + 10**9, "theirs"))
    settle(world, "taken", "their value")
    world.registry.add(joins)
    world.launch("r", joins)
    world.run()
    assert world.outcome("r") == ("ok", ["100.40900", "100.40900"])


def test_a_settled_promise_can_be_awaited_any_number_of_times() -> None:
    """Awaiting a promise of this run once more, long after, gives the same outcome from the store."""

    def again(ctx: Context) -> Generator[Any, Any, Any]:
        promise = yield ctx.begin_run(constant, 7)
        first = yield promise
        for _ in range(3):
            yield ctx.sleep(1)
        return [first, (yield promise), (yield promise)]

    world = world_of(again)
    world.run()
    assert world.outcome("r") == ("ok", [7, 7, 7])


def test_an_answer_that_comes_after_the_end_is_dropped() -> None:
    """Whatever is brought to a finished run changes nothing."""

    def one(ctx: Context) -> Generator[Any, Any, Any]:
        return (yield ctx.run(constant, 1))

    world = world_of(one)
    run = world.worker.runs["r"]
    work_off(world)
    record = world.machine.promises["r"]
    assert run.finished
    for event, arguments in ((Computation.noticed, (record,)), (Computation.settled_outside, (record,)), (Computation.lost, ()),
                             (Computation.resumed, (None, record)), (Computation.woke, (run.root,)),
                             (Computation.stuck, (NOTHING,))):  # fmt: skip
        event(run, *arguments)  # type: ignore[operator]
    assert not run.actions


def test_a_finished_part_is_forgotten() -> None:
    """A run of a thousand steps keeps no more nodes than are alive, with values or without a promise."""
    kept = []

    def many(ctx: Context) -> Generator[Any, Any, Any]:
        for number in range(1000):
            yield ctx.run(constant, number)
            promise = yield ctx.begin_run(constant, number)
            yield promise
        run = world.worker.runs["r"]
        kept.append(len(list(run.running())) + len(run.root.outstanding or ()))

    world = world_of(many)
    world.run()
    assert world.outcome("r") == ("ok", None)
    assert kept[0] < 10


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("awaits", [True, False])
def test_depth_costs_no_stack(durable: bool, awaits: bool) -> None:
    """Three thousand calls below each other end one after the other, whether they are awaited or left to structured concurrency."""

    def deep(ctx: Context, levels: int) -> Generator[Any, Any, Any]:
        if levels:
            call = ctx.run if awaits else ctx.begin_run
            yield call(deep, levels - 1).options(durable=durable)
        return levels

    world = world_of(deep, 3000)
    world.run()
    assert world.outcome("r") == ("ok", 3000)


def test_waking_one_of_many_does_not_cost_them_all() -> None:
    """A run that waits for three hundred promises, which settle one after the other, asks the store for each about once."""
    asked = []

    def waits(ctx: Context) -> Generator[Any, Any, Any]:
        yield (yield ctx.promise(id=f"{ctx.id}-p"))

    def many(ctx: Context) -> Generator[Any, Any, Any]:
        for _ in range(300):
            yield ctx.begin_run(waits)

    class Counting(World):
        def ask(self, operation: Any) -> Any:
            if isinstance(operation, Park):
                asked.extend(operation.promises)
            return super().ask(operation)

    world = Counting(0)
    world.registry.add(many)
    world.launch("r", many)
    work_off(world)
    for number in range(1, 301):
        settle(world, f"r.{number}-p")
        work_off(world)
    assert world.outcome("r") == ("ok", None)
    assert len(asked) < 4 * 300, f"{len(asked)} promises were named to park on 300"


def test_what_observers_see_of_a_run() -> None:
    """Creations, retries, suspensions and settlements are told in order, with what each is about."""

    def flaky(ctx: Context) -> Any:
        if ctx.info.attempt == 1:
            raise Flaw("first")
        return 1

    def told_of(ctx: Context) -> Generator[Any, Any, Any]:
        yield ctx.run(flaky).options(retry_policy=Constant(2, 3))
        yield ctx.sleep(4)

    world = World(0)
    world.observed = True
    world.registry.add(told_of)
    world.launch("r", told_of)
    began_s = world.now / 1000
    world.run()
    facts = [(type(each), each.id, each.at - began_s) for each in world.events if not isinstance(each, AttemptStarted)]
    assert facts == [
        (PromiseCreated, "r", 0), (PromiseCreated, "r.1", 0), (RetryScheduled, "r.1", 0), (PromiseSettled, "r.1", 2),
        (PromiseCreated, "r.2", 2), (RunSuspended, "r", 2), (RunResumed, "r", 6), (PromiseSettled, "r.2", 6),
        (PromiseSettled, "r", 6),
    ]  # fmt: skip
    retry = next(each for each in world.events if isinstance(each, RetryScheduled))
    assert (retry.attempt, retry.due - began_s, retry.error) == (1, 2, "first")


def test_a_replay_reads_what_was_recorded() -> None:
    """A step that would give something else each time gives its recorded value to every later life of the run."""
    drawn = itertools.count()

    def draw(ctx: Context) -> int:
        return next(drawn)

    def draws(ctx: Context) -> Generator[Any, Any, Any]:
        values = []
        for _ in range(5):
            values.append((yield ctx.run(draw)))
            yield ctx.sleep(1)
        return values

    world = world_of(draws, crashes="always")
    world.run()
    assert world.deaths >= 5
    _, values = world.outcome("r")
    assert values == [told(world.machine.promises[f"r.{number}"])[1] for number in (1, 3, 5, 7, 9)] == sorted(values)


def test_deadlines_are_cut_at_the_parents() -> None:
    """A child's deadline is its own or its parent's, whichever comes first; a detached call keeps its own."""

    def child(ctx: Context) -> Generator[Any, Any, Any]:
        yield ctx.run(constant, 1).options(timeout=1)
        yield ctx.run(constant, 1)
        yield ctx.promise(timeout=3)
        yield ctx.rpc("constant", 1)
        yield ctx.detached("constant", 1).options(timeout=500)

    def parent(ctx: Context) -> Generator[Any, Any, Any]:
        yield ctx.run(child).options(timeout=100)

    world = world_of(parent)
    world.registry.add(constant)
    work_off(world)
    begins = world.now
    left = {name: (record.timeout - begins) / 1000 for name, record in world.machine.promises.items() if name.startswith("r.1")}
    assert left == {"r.1": 100, "r.1.1": 1, "r.1.2": 100, "r.1.3": 3, "r.1.4": 100, "r.1.5": 500}
    world.run()


def test_no_retry_is_begun_beyond_the_deadline() -> None:
    """An attempt that would start after the deadline is not waited for: the failure is final at once."""

    def always(ctx: Context) -> Any:
        raise Flaw("always")

    def parent(ctx: Context) -> Generator[Any, Any, Any]:
        yield ctx.run(always).options(timeout=10, retry_policy=Constant(4))

    world = world_of(parent)
    begins = world.now
    world.run()
    record = world.machine.promises["r.1"]
    assert (record.state, record.completed_on) == ("REJECTED", begins + 8000)
    assert world.executed.count("r.1") == 3
