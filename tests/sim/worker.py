"""A simulated worker: it feeds production computations the events that `resonate.runtime` feeds them, and keeps nothing else.

What the runtime does in one go around a blocking call to the store (`launch`, `_accept`, `_act`) is cut here into a request and what is
done with its answer. User code is called as the runtime's workers call it; a crash throws away everything that a worker holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import GeneratorType
from typing import TYPE_CHECKING, Any

from resonate.computation import NO_VALUE, Call, Close, Computation, Done, GiveBack, Node, Send, Step, Stuck, Wake, Warn
from resonate.context import Context, Info
from resonate.coroutine import LFI, Command, Promise
from resonate.dependencies import Dependencies
from resonate.encoders import DEFAULT, encode_call, encode_error
from resonate.fingerprint import fingerprint
from resonate.limits import DEFERRED_S, STOPPED_RUN_PAUSE_S, TIMEOUT_LIMIT_MS
from resonate.models.durable_promise import outcome_of
from resonate.models.result import Ok
from resonate.protocol import (
    NOTHING,
    Claimed,
    ClaimTask,
    CreateLeased,
    CreatePromise,
    CreateSettled,
    DropTask,
    Heartbeat,
    Lease,
    Lineage,
    Message,
    NotifyMessage,
    PromiseRecord,
    SettlePromise,
    Subscribe,
)
from resonate.stores.ahead import Ahead, may_wait
from tests.sim.edits import hold_answer, hold_delivery
from tests.sim.laws import LAWS, Violation

if TYPE_CHECKING:
    from tests.sim.world import World

TARGET = "poll://any@default"
RUN_TIMEOUT_MS = 10**11
_PLAIN = frozenset((int, float, str, bool, type(None)))


@dataclass(slots=True, eq=False)
class Run:
    """One computation with its mailbox, as the runtime keeps it."""

    computation: Computation
    mailbox: deque[tuple[Any, tuple[Any, ...]]] = field(default_factory=deque)
    is_blocked: bool = False
    """It waits for an answer of the store and does nothing else meanwhile."""
    outbox: deque[Send] = field(default_factory=deque)
    """Requests that wait for the answer to the one before, where the answers are serial."""
    interests: list[str] = field(default_factory=list)
    calls: dict[str, tuple[str, str, str, str | None]] = field(default_factory=dict)
    """What was called under each id of the store: by whom, and kind, function and arguments."""
    is_unwritten: bool = False
    """What was answered ahead has been refused: the run begins anew, here or elsewhere."""
    under_way: int = 0
    """User code, unanswered requests and retry timers, counted by what has been handed out and brought back."""

    @property
    def id(self) -> str:
        return self.computation.root.id


@dataclass(slots=True, eq=False)
class Asked:
    """A request that is repeated until it is answered, and what is done with the answers."""

    number: int
    operations: tuple[Any, ...]
    then: Callable[[list[Any]], None]
    repeats: bool = True
    is_done: bool = False
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"#{self.number} {' + '.join(map(brief, self.operations))}"


@dataclass(slots=True)
class Request:
    """On its way to the server."""

    worker: Worker
    asked: Asked

    def __str__(self) -> str:
        return f"request {self.worker} {self.asked}"


@dataclass(slots=True)
class Reply:
    """On its way back."""

    worker: Worker
    asked: Asked
    answers: list[Any]

    def __str__(self) -> str:
        return f"reply {self.worker} #{self.asked.number}"


@dataclass(slots=True)
class Mail:
    """A message of the server, on its way."""

    message: Message

    def __str__(self) -> str:
        message = self.message
        about = message.promise.id if isinstance(message, NotifyMessage) else f"{message.id} {message.counter}"
        return f"message {about} to {message.recv.rpartition('/')[2]}"


@dataclass(slots=True)
class Job:
    """In a worker's hands: a piece of user code, or a message that it has received."""

    worker: Worker
    run: Run | None
    what: Call | Step | Close | Message
    lease: Lease | None = None
    """Under which the run decided on it."""

    def __str__(self) -> str:
        if self.run is None:
            return f"{self.worker} reads its mail"
        return f"{self.worker} {type(self.what).__name__.lower()} {self.what.node.id}"  # type: ignore[union-attr]


class Worker:
    """One process."""

    def __init__(self, world: World, place: int, life: int) -> None:
        self.world = world
        self.place = place
        self.life = life
        self.pid = f"w{place}.{life}"
        self.lives = True
        self.frozen = False
        self.missed: list[tuple[str, Any]] = []
        """Timers that rang while it was frozen."""
        self.runs: dict[str, Run] = {}
        self.all_runs: list[Run] = []
        """With those that `runs` does not name any more although they are not finished."""
        self.interested: dict[str, list[Run]] = {}
        self.asked: dict[int, Asked] = {}
        self.asks = 0
        self.is_beating = False
        self.halted: dict[str, Lease] = {}
        self.ahead = Ahead()
        self.creators: dict[str, Run] = {}
        """Which run each promise that was answered ahead is for."""
        self.queued: set[str] = set()
        self.is_write_due = False
        self.version = (place + life) % len(world.versions) if world.faulty else 0
        self.dependencies = Dependencies()
        self.dependencies.add("program", world.versions[self.version])
        self.adopts = world.setup.answers != "in place"
        self.skew_ms = world.setup.skews_ms[place % len(world.setup.skews_ms)]
        self.address = f"{TARGET}/{self.pid}"
        self.notice_address = f"poll://uni@default/{self.pid}"

    def __str__(self) -> str:
        return self.pid

    # ---- life ----------------------------------------------------------------------------------------------------------------------

    def die(self) -> None:
        self.lives = self.frozen = False
        own: tuple[type, ...] = (Job, Request, Reply) if self.world.setup.answers == "in order" else (Job,)
        for number in [number for number, thing in self.world.things.items() if isinstance(thing, own) and thing.worker is self]:  # type: ignore[union-attr]
            del self.world.things[number]
        self.runs, self.all_runs, self.asked, self.interested, self.missed, self.halted = {}, [], {}, {}, [], {}
        self.ahead, self.creators, self.queued = Ahead(), {}, set()

    def thaw(self) -> None:
        if self.frozen and self.lives:
            self.frozen = False
            self.world.say(self, "thaws")
            missed, self.missed = self.missed, []
            for kind, what in missed:
                self.world.ring(kind, what)

    # ---- asking the store ------------------------------------------------------------------------------------------------------------

    def ask(self, operations: tuple[Any, ...], then: Callable[[list[Any]], None], *, repeats: bool = True) -> None:
        self.asks += 1
        asked = Asked(self.asks, operations, then, repeats)
        self.asked[self.asks] = asked
        self.world.send(self, asked)

    def answered(self, asked: Asked, answers: list[Any]) -> None:
        asked.is_done = True
        self.asked.pop(asked.number, None)
        if self.world.laws is not None:
            self.world.laws.told(self, asked, answers)
        asked.then(answers)

    # ---- runs ------------------------------------------------------------------------------------------------------------------------

    def launch(self, promise_id: str, number: int) -> None:
        """As `Runtime.launch`."""
        func, version = self.world.registry.get("remote")[1:]
        self.world.say(self, "launches", promise_id)
        lineage = Lineage(promise_id, promise_id, None, "run", "remote", fingerprint((number,), {}))
        param = encode_call(DEFAULT, "remote", (number,), {}, version)
        timeout = self.world.now + self.skew_ms + RUN_TIMEOUT_MS
        create = CreatePromise(promise_id, timeout, promise_id, False, param, None, TARGET, False, lineage)
        subscribe = Subscribe(promise_id, self.pid, self.notice_address, TIMEOUT_LIMIT_MS)
        self.offer_again(promise_id)

        def then(answers: list[Any]) -> None:
            if isinstance(answers[0], Exception):
                return
            record, lease = answers[0]
            if record.state == "PENDING" and lease is not None:
                run, is_new = self.add_run(record, LFI(promise_id, "run", "remote", func, (number,), {}, version=version))
                if is_new:
                    self.bring(run, Computation.start, lease)

        self.ask((CreateLeased(create, self.pid, self.world.setup.ttl_ms, adopt=self.adopts), subscribe), then)

    def add_run(self, record: PromiseRecord, command: Command[Any]) -> tuple[Run, bool]:
        """As `Runtime._add_run`."""
        there = self.runs.get(record.id)
        if there is not None:
            return there, False
        run = Run(Computation(record, command, pid=self.pid, address=self.address, notice_address=self.notice_address))
        self.runs[run.id] = run
        self.all_runs.append(run)
        if not self.is_beating:
            self.is_beating = True
            self.world.after(self.world.setup.ttl_ms // 2, "beat", self)
        return run, True

    def beat(self) -> None:
        """As `Runtime._beat`."""
        self.is_beating = bool(self.runs)
        if self.runs:
            self.ask((Heartbeat(self.pid),), lambda answers: None, repeats=False)
            self.world.after(self.world.setup.ttl_ms // 2, "beat", self)

    def bring(self, run: Run, event: Any, *arguments: Any) -> None:
        run.mailbox.append((event, arguments))
        self.drive(run)

    def drive(self, run: Run) -> None:
        """As `Runtime._drive`."""
        computation = run.computation
        while run.mailbox and not run.is_blocked:
            event, arguments = run.mailbox.popleft()
            computation.now_ms = self.world.now + self.skew_ms
            if event.__name__ in _BRINGS_BACK:
                run.under_way -= 1
            event(computation, *arguments)
            if event.__name__ == "answered":
                hold_answer(run, *arguments)
            self.act(run)

    def act(self, run: Run) -> None:
        """As `Runtime._act`."""
        computation = run.computation
        actions = computation.actions
        while actions and not run.is_blocked:
            action = actions.popleft()
            if isinstance(action, Send):
                run.under_way += 1
                mode = self.world.setup.answers
                if mode == "serial":
                    run.outbox.append(action)
                    if len(run.outbox) == 1:
                        self.ask_for(run, action)
                else:
                    run.is_blocked = mode == "blocking"
                    self.ask_for(run, action)
            elif isinstance(action, (Call, Step, Close)):
                run.under_way += not isinstance(action, Close)
                self.world.put(Job(self, run, action, computation.lease))
            elif isinstance(action, Wake):
                run.under_way += 1
                self.world.after(action.delay_s * 1000, "wake", (self, run, action.node))
            elif isinstance(action, Stuck):
                computation.stuck(encode_error(action.error, DEFAULT))
            elif isinstance(action, Warn):
                self.world.say(self, "warns", action.node.id, action.text)
            elif isinstance(action, GiveBack):
                self.give_back(action.lease)
            else:
                assert isinstance(action, Done), f"the simulated worker does not know {type(action).__name__}"
                how = "(lost)" if action.record is None else ""
                self.world.say(self, "is done with", run.id, how if action.changed is None else f"({action.changed})")
                self.ended(run, action)

    def ended(self, run: Run, done: Done) -> None:
        if self.runs.get(run.id) is run:
            del self.runs[run.id]
        if run not in self.all_runs:
            raise Violation(LAWS["ends_once"], f"{self} ends {run.id} again")
        self.all_runs.remove(run)
        self.lose_interest(run)
        if done.changed is not None:
            self.halt(run)
        elif done.record is None and self.world.laws is not None:
            self.world.laws.lost(self, run)
        if done.record is not None and self.world.setup.answers != "in place":
            self.world.put(Job(self, None, NotifyMessage(self.notice_address, done.record)))

    def halt(self, run: Run) -> None:
        """As `Runtime._halt`."""
        assert run.computation.lease is not None
        self.halted[run.id] = run.computation.lease
        self.world.halts += not self.world.faulty
        self.world.after(STOPPED_RUN_PAUSE_S * 1000, "offer", (self, run.id))

    def offer_again(self, promise_id: str) -> None:
        """As `Runtime._offer_again`."""
        lease = self.halted.pop(promise_id, None)
        if lease is not None:
            self.give_back(lease)

    def give_back(self, lease: Lease) -> None:
        self.ask((DropTask(lease.task, lease.counter),), lambda answers: None)

    def foreseen(self, operation: Any) -> PromiseRecord | None:
        """As `SqliteStore._foreseen`."""
        world = self.world
        if not world.setup.ahead or world.setup.disk:
            return None
        if not isinstance(operation, CreatePromise) or operation.target is not None or operation.lease is None:
            return None
        if operation.lineage is None or operation.lineage.kind != "run" or operation.timeout <= world.now:
            return None
        is_asked = any(getattr(each, "id", None) == operation.id for asked in self.asked.values() for each in asked.operations)
        if is_asked or operation.id in world.machine.promises:
            return None
        return PromiseRecord(
            operation.id, "PENDING", operation.timeout, operation.param, NOTHING, operation.tags, None, False,
            world.now, None, operation.key, None, operation.lineage,
        )  # fmt: skip

    def foreseen_on_disk(self, run: Run, create: Any) -> PromiseRecord | None:
        """As `SqliteStore.post` and `_foreseen`."""
        world = self.world
        if not isinstance(create, CreatePromise) or not may_wait(create, world.now) or world.server is None:
            return None
        if create.id in self.ahead or create.id in self.queued:
            return None
        found = world.server.look(self, create)
        if isinstance(found, PromiseRecord):
            return found if create.key is not None and create.key == found.key_for_create else None
        if found:
            return None
        self.creators[create.id] = run
        if not self.is_write_due:
            self.is_write_due = True
            world.after(DEFERRED_S * 1000, "write", self)
        return self.ahead.answer(create, world.now)

    def with_what_is_ahead(self, operation: Any) -> Any:
        """What was answered ahead is asked for before anything else, and a settlement together with its promise."""
        if isinstance(operation, SettlePromise) and operation.id in self.ahead:
            *earlier, own = self.ahead.take(operation.id)
            operation = CreateSettled(own, operation)
        else:
            earlier = self.ahead.take()
        self.write(earlier)
        return operation

    def write(self, creates: list[CreatePromise]) -> None:
        for create in creates:
            run = self.creators.pop(create.id)
            self.queued.add(create.id)
            self.ask((create,), partial(self.was_written, run, create))

    def was_written(self, run: Run, create: CreatePromise, answers: list[Any]) -> None:
        self.queued.discard(create.id)
        self.written(run, create, answers[0])

    def write_deferred(self) -> None:
        self.is_write_due = False
        self.write(self.ahead.take())

    def ask_for(self, run: Run, send: Send) -> None:
        operation = send.operation
        if self.world.setup.disk and self.world.setup.ahead:
            record = self.foreseen_on_disk(run, operation)
            if record is not None:
                run.under_way -= 1
                run.computation.answered(send, record)
                return
            operation = self.with_what_is_ahead(operation)
        record = self.foreseen(operation)
        if record is not None:
            run.under_way -= 1
            self.ask((operation,), lambda answers: self.written(run, operation, answers[0]))
            run.computation.answered(send, record)
            return
        if isinstance(operation, Subscribe):
            self.interested.setdefault(operation.promise, []).append(run)
            run.interests.append(operation.promise)

        def then(answers: list[Any]) -> None:
            answer = answers[0]
            if isinstance(operation, CreateSettled) and isinstance(answer, Exception):  # it may be settled under another lease
                self.ahead.keep(operation.create)
                self.creators[operation.id] = run
            if isinstance(operation, Subscribe) and (isinstance(answer, Exception) or answer[0].state != "PENDING"):
                self.forget_interest(operation.promise, run)
            mode = self.world.setup.answers
            if mode == "in place":
                run.under_way -= 1
                run.computation.answered(send, answer)
                hold_answer(run, send, answer)
            elif mode == "blocking":
                run.is_blocked = False
                run.under_way -= 1
                run.computation.answered(send, answer)
                hold_answer(run, send, answer)
                self.act(run)
                self.drive(run)
            else:
                if mode == "serial":
                    run.outbox.popleft()
                    if run.outbox:
                        self.ask_for(run, run.outbox[0])
                self.bring(run, Computation.answered, send, answer)

        self.ask((operation,), then)

    def written(self, run: Run, operation: CreatePromise, answer: Any) -> None:
        """What was answered ahead has been asked for, or refused. As `Runtime._troubled`."""
        if isinstance(answer, Exception):
            self.world.unwritten.add(operation.id)
            if not run.computation.finished:
                run.is_unwritten = True
                self.bring(run, Computation.lost)

    def forget_interest(self, promise_id: str, run: Run) -> None:
        others = [each for each in self.interested.pop(promise_id, ()) if each is not run]
        if others:
            self.interested[promise_id] = others

    def lose_interest(self, run: Run) -> None:
        for promise_id in run.interests:
            self.forget_interest(promise_id, run)

    def woke(self, run: Run, node: Node) -> None:
        self.bring(run, Computation.woke, node)

    # ---- messages ----------------------------------------------------------------------------------------------------------------------

    def hear(self, message: Message) -> None:
        self.world.put(Job(self, None, message))

    def notice(self, record: PromiseRecord) -> None:
        """As `Runtime._notice`."""
        if self.world.laws is not None:
            self.world.laws.noticed(self, record)
        for run in self.interested.pop(record.id, ()):
            self.bring(run, Computation.noticed, record)
        self.halted.pop(record.id, None)
        own = self.runs.get(record.id)
        if own is not None:
            self.bring(own, Computation.settled_outside, record)

    def accept(self, message: Any) -> None:
        """As `Runtime._accept`."""

        def then(answers: list[Any]) -> None:
            claimed = answers[0]
            if not isinstance(claimed, Claimed):
                return
            there = self.runs.get(claimed.root.id)
            if there is not None:
                self.bring(there, Computation.resumed, claimed.lease, claimed.leaf, self.world.setup.alone)
                return
            asked = DEFAULT.decode(claimed.root.param)
            func, version = self.world.registry.get(asked["func"], asked["version"])[1:]
            kind = claimed.root.lineage.kind if claimed.root.lineage else "rpc"
            command: Command[Any] = LFI(message.root, kind, asked["func"], func, tuple(asked["args"]), {}, version=version)
            command.key = claimed.root.key_for_create
            run, _ = self.add_run(claimed.root, command)
            self.bring(run, Computation.start, claimed.lease)
            self.ask((Subscribe(run.id, self.pid, self.notice_address, TIMEOUT_LIMIT_MS),), lambda news: subscribed(run, news[0]))

        def subscribed(run: Run, news: Any) -> None:
            if not isinstance(news, Exception) and news[0].state != "PENDING":
                self.bring(run, Computation.settled_outside, news[0])

        self.ask((ClaimTask(message.id, message.counter, self.pid, self.world.setup.ttl_ms, adopt=self.adopts),), then)

    # ---- user code ---------------------------------------------------------------------------------------------------------------------

    def perform(self, job: Job) -> None:
        """As `Runtime._perform`."""
        run, action = job.run, job.what
        if isinstance(action, NotifyMessage):
            self.notice(action.promise)
        elif run is None:
            self.accept(action)
        elif run.computation.finished or isinstance(action, Close):
            if isinstance(action.node.frame, GeneratorType):  # type: ignore[union-attr]
                action.node.frame.close()  # type: ignore[union-attr]
        elif isinstance(action, Call):
            if self.world.laws is not None:
                self.world.laws.called(run, action.node, job.lease)
            self.bring(run, *self.call(run, action.node))
        else:
            assert isinstance(action, Step)
            if isinstance(action.source, Node):
                hold_delivery(self.world, run, action.source)
            self.bring(run, *self.step(run, action.node, action.source))

    def call(self, run: Run, node: Node) -> tuple[Any, ...]:
        command = node.command
        assert command is not None
        assert command.func is not None
        info = Info(node.attempt, command.key, command.option.tags, node.deadline / 1000, command.version)
        context = Context(node.id, info, self.world.registry, self.dependencies, cid=run.id)
        try:
            result = command.func(context, *command.args, **command.kwargs)
        except Exception as error:
            return self.failure(node, error)
        if isinstance(result, GeneratorType):
            node.frame = result
            return self.advance(run, node, result.send, None)
        return self.success(node, result)

    def step(self, run: Run, node: Node, source: Any) -> tuple[Any, ...]:
        frame = node.frame
        if isinstance(source, Promise):
            return self.advance(run, node, frame.send, source)
        if source.failure is not None:
            return self.advance(run, node, frame.throw, source.failure)
        if source.raw is not NO_VALUE:
            rejected = source.outcome is not None and source.outcome[0] == "REJECTED"
            return self.advance(run, node, frame.throw if rejected else frame.send, source.raw)
        outcome = outcome_of(source.record, DEFAULT)
        return self.advance(run, node, frame.send if isinstance(outcome, Ok) else frame.throw, outcome.value)

    def advance(self, run: Run, node: Node, resume: Any, value: Any) -> tuple[Any, ...]:
        try:
            yielded = resume(value)
        except StopIteration as stop:
            return self.success(node, stop.value)
        except Exception as error:
            return self.failure(node, error)
        if not isinstance(yielded, Promise):
            self.prepare(yielded)
            if yielded.option.durable:
                run.calls.setdefault(yielded.id, (node.id, yielded.kind, yielded.name, yielded.fingerprint))
        return Computation.yielded, node, yielded

    def prepare(self, command: Command[Any]) -> None:
        command.key = command.option.key_for(command.id)
        if command.kind == "promise":
            command.param = DEFAULT.encode(command.args[0])
        elif command.kind in ("rpc", "detached"):
            command.target = TARGET
            command.param = encode_call(DEFAULT, command.name, command.args, command.kwargs, command.version)
        if command.kind in ("run", "rpc", "detached"):
            command.fingerprint = fingerprint(command.args, command.kwargs)

    def success(self, node: Node, value: Any) -> tuple[Any, ...]:
        assert node.command is not None
        if not node.command.option.durable:
            return Computation.returned, node, NOTHING, value
        return Computation.returned, node, DEFAULT.encode(value), value if type(value) in _PLAIN else NO_VALUE

    def failure(self, node: Node, error: Exception) -> tuple[Any, ...]:
        command = node.command
        assert command is not None
        assert command.func is not None
        durable = command.option.durable
        delay = command.option.policy_for(command.func).next(node.attempt)
        encoded = encode_error(error, DEFAULT) if durable else NOTHING
        return Computation.failed, node, encoded, NO_VALUE if durable else error, str(error), delay, None


_BRINGS_BACK = frozenset(("yielded", "returned", "failed", "answered", "woke"))


def brief(operation: Any) -> str:
    """An operation in a few words, for traces."""
    name = type(operation).__name__
    if isinstance(operation, CreateLeased):
        return f"{name} {operation.promise.id}"
    about = getattr(operation, "id", None) or getattr(operation, "promise", None) or getattr(operation, "pid", None)
    lease = getattr(operation, "lease", None)
    more = f" {','.join(operation.promises)}" if hasattr(operation, "promises") else ""
    more += f" {operation.state}" if hasattr(operation, "state") else ""
    return f"{name} {about or ''}{more}{f' under {lease.task} {lease.counter}' if lease is not None else ''}"

