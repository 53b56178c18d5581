"""The laws of one run, each tried on its own: the production computation and machine, driven step by step in invented time.

`World` is a driver like `resonate.runtime`, for one worker and without threads; a test says what happens next. Random workflows under
crashes, loss and delay are in `tests/sim`.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Generator
from types import GeneratorType
from typing import Any

import pytest

from resonate.computation import NO_VALUE, Call, Close, Computation, Done, GiveBack, Node, Observe, Send, Step, Stuck, Wake, Warn
from resonate.context import Context, Info
from resonate.coroutine import LFI, Command, Promise
from resonate.dependencies import Dependencies
from resonate.encoders import DEFAULT, encode_call, encode_error
from resonate.errors import ResonateStoreError, RunStuck
from resonate.events import AttemptStarted, Event, PromiseCreated, PromiseSettled, RetryScheduled, RunResumed, RunSuspended
from resonate.limits import TIMEOUT_LIMIT_MS
from resonate.machine import Machine
from resonate.models.durable_promise import outcome_of
from resonate.models.result import Ok
from resonate.protocol import (
    NOTHING,
    Claimed,
    ClaimTask,
    CreateLeased,
    CreatePromise,
    GetPromise,
    Heartbeat,
    Lease,
    Lineage,
    NotifyMessage,
    Park,
    SettlePromise,
    Subscribe,
)
from resonate.registry import Registry
from resonate.retry_policies import Constant

TTL_MS = 10_000
TARGET = "poll://any@default"
PID = "w"
STEPS_LIMIT = 30_000


class Flaw(Exception):
    """What the functions raise."""


class World:
    """A promise server and one worker in invented time. With `later` the store's answers are events of their own, not in place."""

    def __init__(self, *, later: bool = False, alone: bool = True, observed: bool = False) -> None:
        self.machine = Machine()
        self.now = 1_000_000
        self.later = later
        self.alone = alone
        self.observed = observed
        self.registry = Registry()
        self.number = itertools.count()
        self.runs: dict[str, Computation] = {}
        self.jobs: list[tuple[Computation, Any]] = []
        self.answers: deque[tuple[Computation, Send, Any]] = deque()
        self.timers: list[tuple[float, int, Computation, Node]] = []
        self.inbox: list[Any] = []
        self.executed: list[str] = []
        self.events: list[Event] = []
        self.warnings: list[str] = []
        self.ended: list[Done] = []

    # ---- driving

    def ask(self, operation: Any) -> Any:
        try:
            return self.machine.apply(operation, self.now)
        except ResonateStoreError as error:
            return error
        finally:
            self.inbox += self.machine.take_messages()

    def post(self, run: Computation, event: Any, *arguments: Any) -> None:
        run.now_ms = self.now
        run.observed = self.observed
        event(run, *arguments)
        while run.actions:
            action = run.actions.popleft()
            if isinstance(action, Send):
                answer = self.ask(action.operation)
                if self.later:
                    self.answers.append((run, action, answer))
                else:
                    run.answered(action, answer)
            elif isinstance(action, (Call, Step, Close)):
                self.jobs.append((run, action))
            elif isinstance(action, Wake):
                heapq.heappush(self.timers, (self.now + action.delay_s * 1000, next(self.number), run, action.node))
            elif isinstance(action, Stuck):
                run.stuck(encode_error(action.error, DEFAULT))
            elif isinstance(action, Observe):
                self.events.append(action.event)
            elif isinstance(action, Warn):
                self.warnings.append(action.text)
            elif isinstance(action, Done):
                del self.runs[run.root.id]
                self.ended.append(action)

    def launch(self, promise_id: str, func: Any, *args: Any) -> None:
        name, _, version = self.registry.get(func)
        lineage = Lineage(promise_id, promise_id, None, "run", name)
        param = encode_call(DEFAULT, name, args, {}, version)
        create = CreatePromise(promise_id, self.now + 10**11, promise_id, False, param, None, TARGET, False, lineage)
        record, lease = self.ask(CreateLeased(create, PID, TTL_MS))
        self.ask(Subscribe(promise_id, PID, f"poll://uni@default/{PID}", TIMEOUT_LIMIT_MS))
        command: Command[Any] = LFI(promise_id, "run", name, func, args, {}, version=version)
        run = Computation(record, command, pid=PID, address=f"{TARGET}/{PID}", notice_address=f"poll://uni@default/{PID}")
        self.runs[promise_id] = run
        self.post(run, Computation.start, lease)

    def hear(self, message: Any) -> None:
        if isinstance(message, NotifyMessage):
            for run in list(self.runs.values()):
                own = run.root.id == message.promise.id
                self.post(run, Computation.settled_outside if own else Computation.noticed, message.promise)
            return
        claimed = self.ask(ClaimTask(message.id, message.counter, PID, TTL_MS))
        if isinstance(claimed, Claimed) and message.root in self.runs:
            self.post(self.runs[message.root], Computation.resumed, claimed.lease, claimed.leaf, self.alone)

    def answer(self) -> None:
        run, send, found = self.answers.popleft()
        self.post(run, Computation.answered, send, found)

    def work(self) -> None:
        """The oldest piece of user code."""
        run, action = self.jobs.pop(0)
        node = action.node
        if isinstance(action, Close):
            node.frame.close()
        elif isinstance(action, Call):
            self.executed.append(node.id)
            self.post(run, *self.call(node))
        else:
            self.post(run, *self.step(node, action.source))

    def work_off(self) -> None:
        """Everything that can be done without letting time pass."""
        while self.jobs or self.inbox or self.answers:
            if self.jobs:
                self.work()
            elif self.answers:
                self.answer()
            else:
                self.hear(self.inbox.pop(0))

    def run(self) -> None:
        """Go on until nothing is left to happen but the deadline of a run."""
        for _ in range(STEPS_LIMIT):
            self.work_off()
            due = self.machine.next_due()
            times = ([due] if due is not None else []) + [timer[0] for timer in self.timers[:1]]
            if not self.runs or not times or min(times) > self.now + 10**9:
                return
            self.now = int(min(times))
            self.ask(Heartbeat(PID))
            self.machine.tick(self.now)
            self.inbox += self.machine.take_messages()
            while self.timers and self.timers[0][0] <= self.now:
                _, _, run, node = heapq.heappop(self.timers)
                self.post(run, Computation.woke, node)
        raise AssertionError("it goes on for ever")

    def outcome(self, promise_id: str) -> Any:
        record = self.machine.promises[promise_id]
        if record.state == "PENDING":
            return ("pending",)
        outcome = outcome_of(record, DEFAULT)
        return ("ok", outcome.value) if isinstance(outcome, Ok) else (record.state, outcome.value)

    # ---- user code

    def call(self, node: Node) -> tuple[Any, ...]:
        command = node.command
        assert command is not None
        assert command.func is not None
        info = Info(node.attempt, command.key, {}, node.deadline / 1000, 1)
        try:
            result = command.func(Context(node.id, info, self.registry, Dependencies()), *command.args, **command.kwargs)
        except Exception as error:
            return self.failure(node, error)
        if isinstance(result, GeneratorType):
            node.frame = result
            return self.advance(node, result.send, None)
        return self.success(node, result)

    def step(self, node: Node, source: Any) -> tuple[Any, ...]:
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
            yielded.key = yielded.option.key_for(yielded.id)
            if yielded.kind == "promise":
                yielded.param = DEFAULT.encode(yielded.args[0])
            elif yielded.kind in ("rpc", "detached"):
                yielded.target = TARGET
                yielded.param = encode_call(DEFAULT, yielded.name, yielded.args, yielded.kwargs, yielded.version)
        return Computation.yielded, node, yielded

    def success(self, node: Node, value: Any) -> tuple[Any, ...]:
        assert node.command is not None
        if not node.command.option.durable:
            return Computation.returned, node, NOTHING, value
        return Computation.returned, node, DEFAULT.encode(value), NO_VALUE

    def failure(self, node: Node, error: Exception) -> tuple[Any, ...]:
        command = node.command
        assert command is not None
        assert command.func is not None
        delay = command.option.policy_for(command.func).next(node.attempt)
        return Computation.failed, node, encode_error(error, DEFAULT), NO_VALUE, str(error), delay, None


def world_of(func: Any, *args: Any, **options: Any) -> World:
    """A world in which `func` has been launched as `r`, and nothing more has happened."""
    world = World(**options)
    world.registry.add(func)
    world.launch("r", func, *args)
    return world


def settle(world: World, promise_id: str, value: Any = None) -> None:
    world.ask(SettlePromise(promise_id, "RESOLVED", DEFAULT.encode(value)))


def constant(ctx: Context, value: Any) -> Any:
    return value


def test_a_waiting_run_holds_no_lease_and_nothing_in_progress() -> None:
    """A run whose every part waits for the outside parks: no lease, no timer, no job."""

    def waits(ctx: Context) -> Generator[Any, Any, Any]:
        return (yield (yield ctx.promise(id="x")))

    world = world_of(waits)
    world.work_off()
    run = world.runs["r"]
    assert (run.parked, run.lease, run.busy) == (True, None, 0)
    assert not world.machine._held
    settle(world, "x", 5)
    world.work_off()
    assert world.outcome("r") == ("ok", 5)


@pytest.mark.parametrize(("busy", "other"), [("x", "y"), ("y", "x")])
@pytest.mark.parametrize("when", ["at work", "while parked"])
@pytest.mark.parametrize("alone", [True, False])
def test_a_branch_goes_on_while_another_is_at_work(busy: str, other: str, when: str, alone: bool) -> None:
    """A promise that settles while another part of the run is in the middle of a step, or just before, wakes its own branch at once."""

    def branch(ctx: Context, awaited: str) -> Generator[Any, Any, Any]:
        value = yield (yield ctx.promise(id=awaited))
        return (yield ctx.run(constant, value))

    def forks(ctx: Context) -> Generator[Any, Any, Any]:
        first = yield ctx.begin_run(branch, "x")
        yield ctx.begin_run(branch, "y")
        return (yield first)

    world = world_of(forks, alone=alone)
    world.work_off()
    settle(world, busy, 1)
    if when == "while parked":
        settle(world, other, 2)
        world.inbox.sort(key=lambda message: not isinstance(message, NotifyMessage))
    while not (world.jobs and isinstance(world.jobs[0][1], Call)):
        world.hear(world.inbox.pop(0)) if world.inbox else world.work()
    slow = world.jobs.pop(0)  # a step is being called, and takes its time
    if when == "at work":
        settle(world, other, 2)
    world.work_off()
    assert world.outcome("r.1" if other == "x" else "r.2") == ("ok", 2), f"the branch that awaits {other} waits for an unrelated step"
    world.jobs.append(slow)
    world.work_off()
    assert world.outcome("r") == ("ok", 2 if other == "x" else 1)


def test_a_run_that_could_not_park_hears_of_what_else_it_waits_for() -> None:
    """Where one of the promises to park on has settled already, the other branches go on as soon as theirs settle."""

    def works(ctx: Context) -> Generator[Any, Any, Any]:
        yield (yield ctx.promise(id="x"))
        yield ctx.run(constant, 1)

    def branch(ctx: Context) -> Generator[Any, Any, Any]:
        for number in range(3):
            yield ctx.run(constant, number)
        return (yield (yield ctx.promise(id="y")))

    def forks(ctx: Context) -> Generator[Any, Any, Any]:
        yield ctx.begin_run(works)
        yield ctx.run(branch)

    world = world_of(forks, later=True)

    def go_on() -> None:
        world.work() if world.jobs else world.answer()

    while not world.machine._callbacks.get("x"):
        go_on()
    settle(world, "x")
    world.inbox.clear()  # the news is late; the answer to the park comes first
    while not (world.jobs and world.jobs[0][1].node.id == "r.1.2"):
        go_on()
    slow = world.jobs.pop(0)
    settle(world, "y", 2)
    world.work_off()
    assert world.outcome("r.2") == ("ok", 2)
    world.jobs.append(slow)
    world.work_off()
    assert world.outcome("r") == ("ok", None)


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
    assert not world.runs


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
    world.work_off()
    world.ask(SettlePromise("r", "REJECTED_CANCELED"))
    world.work_off()
    assert sorted(closed) == ["r", "r.1"]
    assert world.machine.promises["r.1"].state == "PENDING"
    assert not world.runs


@pytest.mark.parametrize("first", ["news", "answer"])
def test_news_may_overtake_the_answer_to_a_park(first: str) -> None:
    """A promise that settles while the answer to the park is on its way wakes the run once, under its new lease, in either order."""

    def waits(ctx: Context) -> Generator[Any, Any, Any]:
        promise = yield ctx.promise(id="x")
        yield ctx.begin_run(constant, 1)
        return (yield promise)

    world = world_of(waits, later=True)
    while not (world.answers and isinstance(world.answers[0][1].operation, Park)):
        world.work() if world.jobs else world.answer()
    settle(world, "x", 5)
    news = [each for each in world.inbox if isinstance(each, NotifyMessage) and each.promise.id == "x"]
    world.inbox = [each for each in world.inbox if each not in news]
    assert news, "x was watched while the other call was at work"
    if first == "answer":
        world.answer()
    world.hear(news[0])
    while world.jobs:
        world.work()
    while world.inbox:
        world.hear(world.inbox.pop(0))
    while world.answers:
        world.answer()
    assert "r" in world.runs or world.outcome("r") != ("pending",), "the run was dropped, and the lease that it had just got again with it"
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

    world = World()
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
    """Whatever is brought to a finished run changes nothing; a lease is given back."""

    def one(ctx: Context) -> Generator[Any, Any, Any]:
        return (yield ctx.run(constant, 1))

    world = world_of(one)
    run = world.runs["r"]
    world.work_off()
    record = world.machine.promises["r"]
    assert run.finished
    run.noticed(record)
    run.settled_outside(record)
    run.lost()
    run.woke(run.root)
    run.stuck(NOTHING)
    assert not run.actions
    run.resumed(Lease("r", "__invoke:r", 2), None)
    assert list(run.actions) == [GiveBack(Lease("r", "__invoke:r", 2))]


def test_a_finished_part_is_forgotten() -> None:
    """A run of a thousand steps keeps no more nodes than are alive, with values or without a promise."""
    kept = []

    def many(ctx: Context) -> Generator[Any, Any, Any]:
        for number in range(1000):
            yield ctx.run(constant, number)
            promise = yield ctx.begin_run(constant, number)
            yield promise
        run = world.runs["r"]
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


@pytest.mark.parametrize("alone", [True, False])
def test_waking_one_of_many_does_not_cost_them_all(alone: bool) -> None:
    """A run that waits for three hundred promises, which settle one after the other, asks the store for each about once.

    Where another worker may have been woken in between, it names all of them when it parks, but asks for news of each only once.
    """
    parked: list[str] = []
    asked: list[str] = []

    def waits(ctx: Context) -> Generator[Any, Any, Any]:
        yield (yield ctx.promise(id=f"{ctx.id}-p"))

    def many(ctx: Context) -> Generator[Any, Any, Any]:
        for _ in range(300):
            yield ctx.begin_run(waits)

    class Counting(World):
        def ask(self, operation: Any) -> Any:
            if isinstance(operation, Park):
                parked.extend(operation.promises)
            elif isinstance(operation, (Subscribe, GetPromise)):
                asked.append(type(operation).__name__)
            return super().ask(operation)

    world = Counting(alone=alone)
    world.registry.add(many)
    world.launch("r", many)
    world.work_off()
    for number in range(1, 301):
        settle(world, f"r.{number}-p")
        world.work_off()
    assert world.outcome("r") == ("ok", None)
    assert len(asked) < 4 * 300, f"{len(asked)} times was news of 300 promises asked for"
    assert not alone or len(parked) < 4 * 300, f"{len(parked)} promises were named to park on 300"


def test_what_observers_see_of_a_run() -> None:
    """Creations, retries, suspensions and settlements are told in order, with what each is about."""

    def flaky(ctx: Context) -> Any:
        if ctx.info.attempt == 1:
            raise Flaw("first")
        return 1

    def told_of(ctx: Context) -> Generator[Any, Any, Any]:
        yield ctx.run(flaky).options(retry_policy=Constant(2, 3))
        yield ctx.sleep(4)

    world = World(observed=True)
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


def test_deadlines_are_cut_at_the_parents() -> None:
    """A child's deadline is its own or its parent's, whichever comes first; a detached call keeps its own."""

    def child(ctx: Context) -> Generator[Any, Any, Any]:
        yield ctx.run(constant, 1).options(timeout=1)
        yield ctx.run(constant, 1)
        yield ctx.promise(timeout=3)
        yield ctx.begin_rpc("constant", 1)
        yield ctx.detached("constant", 1).options(timeout=500)

    def parent(ctx: Context) -> Generator[Any, Any, Any]:
        yield ctx.run(child).options(timeout=100)

    world = world_of(parent)
    world.registry.add(constant)
    world.work_off()
    begins = world.now
    left = {name: (record.timeout - begins) / 1000 for name, record in world.machine.promises.items() if name.startswith("r.1")}
    assert left == {"r.1": 100, "r.1.1": 1, "r.1.2": 100, "r.1.3": 3, "r.1.4": 100, "r.1.5": 500}


def test_a_claim_that_is_answered_late_is_not_believed() -> None:
    """A run at work under a lease does not go by an earlier one, nor by its own a second time."""

    def waits(ctx: Context) -> Generator[Any, Any, Any]:
        return (yield ctx.run(constant, 1))

    world = world_of(waits)
    run = world.runs["r"]
    run.lease = held = Lease("r", "__invoke:r", 3)
    for counter in (1, 2, 3):
        world.post(run, Computation.resumed, Lease("r", "__invoke:r", counter), None)
        assert run.lease is held
    world.post(run, Computation.resumed, Lease("r", "__invoke:r", 4), None)
    assert run.lease == ("r", "__invoke:r", 4)


def test_a_claim_under_which_the_run_has_parked_is_not_believed() -> None:
    """A claim whose answer comes only after the run has parked under it, and was resumed by something else, is no lease any more."""

    def waits(ctx: Context) -> Generator[Any, Any, Any]:
        yield (yield ctx.promise(id="x"))
        yield (yield ctx.promise(id="y"))

    world = world_of(waits)
    run = world.runs["r"]
    earlier = run.lease
    world.work_off()
    settle(world, "x")
    while world.inbox:
        world.hear(world.inbox.pop(0))
    held = run.lease
    assert earlier is not None
    assert held not in (None, earlier)
    world.post(run, Computation.resumed, earlier, None)
    assert run.lease is held


def test_a_settlement_waits_until_what_was_detached_is_begun() -> None:
    """A function that has detached a call is settled only when that call's promise is there: afterwards nobody would make it."""

    def detaches(ctx: Context) -> Generator[Any, Any, Any]:
        yield ctx.detached("constant", 1)

    world = world_of(detaches, later=True)
    world.registry.add(constant)
    while world.jobs:
        world.work()
    run, send, _ = world.answers.popleft()
    assert not world.answers, "the settlement is on its way before the creation is answered"
    created = world.ask(send.operation)
    world.post(run, Computation.answered, send, created)
    world.work_off()
    assert world.outcome("r") == ("ok", None)
    assert world.outcome("r.1") == ("pending",)
    assert not world.warnings


def test_a_counted_id_is_compared_whatever_run_it_was_recorded_in() -> None:
    """A call that was no run of its own once and is one now does not take what it recorded then for its own."""

    def waits(ctx: Context) -> Generator[Any, Any, Any]:
        yield (yield ctx.promise())

    world = World()
    lineage = Lineage("r", "another run", "r", "run", "constant", "1")
    world.ask(CreatePromise("r.1", world.now + 10**9, "r.1", lineage=lineage))
    world.registry.add(waits)
    world.launch("r", waits)
    world.work_off()
    (done,) = world.ended
    assert done.changed is not None
    assert world.outcome("r") == ("pending",)


@pytest.mark.parametrize("settled", [True, False])
def test_what_another_worker_has_settled_is_not_tried_again(settled: bool) -> None:
    """A retry that falls due after the run may have been with another worker asks first whether that one settled the call."""

    def flaky(ctx: Context) -> Any:
        if ctx.info.attempt == 1:
            raise Flaw("first")
        return "here"

    def parent(ctx: Context) -> Generator[Any, Any, Any]:
        return (yield ctx.run(flaky).options(retry_policy=Constant(2, 3)))

    world = world_of(parent, alone=False)
    world.work_off()
    world.now += TTL_MS
    world.machine.tick(world.now)  # the lease lapses, and the work is offered again
    world.inbox += world.machine.take_messages()
    if settled:
        settle(world, "r.1", "elsewhere")
    world.work_off()
    world.run()
    assert world.outcome("r") == ("ok", "elsewhere" if settled else "here")
    assert world.executed.count("r.1") == (1 if settled else 2)


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
