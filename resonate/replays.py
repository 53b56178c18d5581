"""Today's code held against a recorded run: what was recorded is used, what makes it up is executed anew, and nothing else happens.

A replay is the run taken up once more, by the real `Computation`, on records that hold everything. So it goes by the rules of a resumed
run, with these of its own:

- A call whose promise is recorded is not made: its recorded outcome is used. That holds for steps, rpc, detached, sleeps, promises.
- What is made of steps (generator functions, and `async def` that has made durable calls) is executed, also where its own outcome is
  recorded: then what it does today is compared call by call, and its outcome with the recorded one. A resumed run would not look.
- A run that was asked for by rpc or detached is replayed too, if its function is among those given.
- Where a call of a function differs, that function is left there, with what it had begun, and its caller goes on with the outcome that is
  recorded. So one replay tells of each function that differs, once.
- What was open when the run was recorded is not begun: there the replay ends. So it does at a call with `durable=False`, which leaves no
  record, unless `call_undurable` is given.
- A function whose promise was canceled or timed out was cut off: that today's code would go on after it is no difference.
- The clock stands at the recorded times; a retry is due at once.

Compared are kind, function and arguments of each call, as when a run is resumed (`computation`), and outcomes: values as they are
stored, or equal when read; errors by their class and text. Not compared are options, the length of sleeps and the data of promises. A
promise that another run has made, under an id that the two share, is not in the recording: to a replay it is a call that is not recorded.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from inspect import iscoroutinefunction
from types import CoroutineType, GeneratorType
from typing import Any, Final

from resonate.computation import Call, Close, Computation, Node, Send, Step, Stuck, Wake
from resonate.coroutine import Command, plain_function
from resonate.dependencies import Dependencies
from resonate.encoders import DEFAULT
from resonate.errors import ReplayDiverged
from resonate.interrupts import start_thread
from resonate.labels import short_text
from resonate.limits import DIVERGENCES_LIMIT, REPLAY_ATTEMPTS_LIMIT, WAIT_SLICE_S
from resonate.models.durable_promise import outcome_of
from resonate.models.encoder import Encoder
from resonate.models.result import Ok
from resonate.observers import Observers
from resonate.options import is_composed
from resonate.protocol import NOTHING, CreatePromise, Encoded, GetPromise, Lease, Lineage, PromiseRecord, SettlePromise
from resonate.recordings import STATE_WORDS, Recording, call_text, line_text
from resonate.refusals import error_text
from resonate.registry import Registry
from resonate.resonate import Resonate
from resonate.steps import Frame, Steps

_BY_ITS_CODE: Final = ("RESOLVED", "REJECTED")
"""The states in which a function has ended by itself."""
_SILENT: Final = logging.CRITICAL + 1
_NO_CODE: Final = "{} cannot be replayed without code: replay(recording, pipeline), or replay(recording, resonate) for a client's functions"


@dataclass(frozen=True, slots=True)
class Divergence:
    """One place where today's code differs. `call` is the function that does, as its promise's id, `id` the promise that it is about.

    `recorded` and `today` are the two sides in words, "" for nothing; `file` and `line` are where the code is at that moment.
    """

    call: str
    id: str
    recorded: str
    today: str
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        where = self.id if self.id != self.call else "its end"
        return line_text(f"{self.call} diverges at {where}: {self.recorded or 'nothing'} is recorded, today's code {self.today}.")


@dataclass(slots=True)
class Replayed:
    """What a replay has found. It is true where today's code does what is recorded."""

    recording: Recording
    divergences: list[Divergence] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Promises that are recorded and that today's code does not come to, though the function that made them ends."""
    extra: list[str] = field(default_factory=list)
    """Promises that today's code would make and that are not recorded."""
    ends: list[str] = field(default_factory=list)
    """Promises at which the recording ends: open when it was made, or without a record."""
    calls: int = 0
    """Recorded promises that the replay came to, the run's own included."""
    executed: int = 0
    """Functions that were executed for it."""
    unknown: list[str] = field(default_factory=list)
    """Names of functions that were asked for by rpc and are not among the code: their outcomes were taken as recorded."""
    outcome: str = ""
    """The run's outcome by today's code, in words; "" where the replay did not come to it."""

    @property
    def diverged(self) -> Divergence | None:
        """The first place where today's code differs."""
        return self.divergences[0] if self.divergences else None

    def __bool__(self) -> bool:
        return not self.divergences

    def __str__(self) -> str:
        count = f"{self.calls:,} call{'s' * (self.calls != 1)}"
        run_id = self.recording.id
        if self.divergences:
            more = len(self.divergences) - 1
            told = f"\n{more} more: {' '.join(map(str, self.divergences[1:4]))}{' …' * (more > 3)}" if more else ""
            return f"{self.divergences[0]}{told}\nNothing was run again."
        if not self.executed:
            return f"{run_id} is a step, not made of steps: its outcome is recorded, and there is no code to replay. Nothing was run again."
        names = ", ".join(f"`{name}`" for name in self.unknown[:3]) + "…" * (len(self.unknown) > 3)
        taken = f" What {names} did was taken as recorded, without its code." if self.unknown else ""
        if self.ends:
            where = f"{', '.join(self.ends[:3])}{'…' * (len(self.ends) > 3)}"
            return f"{run_id} replays as recorded as far as the recording goes: {count}, up to {where}.{taken} Nothing was run again."
        return f"{run_id} replays as recorded: {count}, the same outcome.{taken} Nothing was run again."

    def check(self) -> None:
        """For tests: raises `ReplayDiverged`, an AssertionError, where today's code differs."""
        if self.divergences:
            raise ReplayDiverged("\n".join(map(str, self.divergences)), tuple(self.divergences))


def replay(
    recording: Recording, *code: Callable[..., Any] | Resonate, encoder: Encoder | None = None,
    dependencies: Mapping[str, Any] | None = None, call_undurable: bool = False,
) -> Replayed:  # fmt: skip
    """Hold today's code against a recorded run, without running any step of it; see the head of this module.

    `code` are the functions of the run (those that are launched, by rpc too; what they call themselves need not be named), or a client:
    then it is what is registered there. `encoder` and `dependencies` are those of the client that ran it, where they are not its own.
    ValueError when the run's function is not among the code, or what is recorded asks for none.

    >>> resonate, days = Resonate(), []
    >>> def load(ctx, day):
    ...     days.append(day)
    ...     return day
    >>> @resonate.register
    ... def total(ctx):
    ...     return (yield ctx.run(load, 1)) + (yield ctx.run(load, 2))
    >>> resonate.run("t", total), days
    (3, [1, 2])
    >>> recording = resonate.record("t")
    >>> print(replay(recording, total), days)
    t replays as recorded: 3 calls, the same outcome. Nothing was run again. [1, 2]
    >>> def edited(ctx):
    ...     return (yield ctx.run(load, 1)) + (yield ctx.run(load, 7))
    >>> edited.__name__ = "total"
    >>> print(replay(recording, edited).diverged)
    t diverges at t.2: run load(2) is recorded, today's code calls run load(7).
    """
    client = next((each for each in code if isinstance(each, Resonate)), None)
    if client is not None and len(code) > 1:
        raise TypeError("code must be functions, or one client; a client has its own functions")
    encoder = encoder or (client.encoder if client is not None else DEFAULT)
    registry = client.registry if client is not None else _registry_of(recording, code)
    given = client._shared.dependencies if client is not None else Dependencies()
    if dependencies is not None:
        given = Dependencies()
        for name, each in dependencies.items():
            given.add(name, each)
    work = _Replay(recording, registry, encoder, given, call_undurable=call_undurable)
    thread = start_thread(work.run, "resonate-replay")
    try:
        while thread.is_alive():
            thread.join(WAIT_SLICE_S)
    finally:
        work.is_stopped = True  # an interrupt: what is executed just now ends on its own
    if work.failure is not None:
        raise work.failure
    return work.found


def _registry_of(recording: Recording, code: tuple[Any, ...]) -> Registry:
    """The functions that were given, under their names; one of no version of its own stands for the one that is recorded."""
    registry = Registry()
    for each in code:
        raw = plain_function(each)
        name = each.name if raw is not each else getattr(raw, "__name__", "")
        version = each._options.version if raw is not each else 0
        registry.add(raw, name, version or _recorded_version(recording, name))
    return registry


def _recorded_version(recording: Recording, name: str) -> int:
    for record in recording.promises:
        asked = _asked(record, DEFAULT)
        if asked.get("func") == name and type(asked.get("version")) is int:
            return max(1, int(asked["version"]))
    return 1


def _asked(record: PromiseRecord, encoder: Encoder) -> dict[str, Any]:
    try:
        asked = encoder.decode(record.param)
    except (Exception, SystemExit):  # it was written by another encoder, or is no call at all
        return {}
    return asked if isinstance(asked, dict) else {}


class _Silently(Steps):
    """Pieces of user code, without an event loop: what a function that is made of steps awaits of asyncio is told, and not awaited."""

    def _in_loop(self, frame: Frame) -> Callable[[Any], Any]:
        return lambda value: frame.variables.run(frame.generator.send, value)


class _Replay:
    """One replay, on a thread of its own: whoever asked for it may run an event loop, and wants to interrupt it."""

    def __init__(
        self, recording: Recording, registry: Registry, encoder: Encoder, dependencies: Dependencies, *, call_undurable: bool
    ) -> None:
        self.found = Replayed(recording)
        self.failure: BaseException | None = None
        self.is_stopped = False
        self._recording = recording
        self._records = {record.id: record for record in recording.promises}
        self._made: dict[str, list[PromiseRecord]] = {}  # by each call, and by those that it made and that leave no record
        for record in recording.promises[1:]:
            caller = recording.lineage(record).parent or recording.id
            while caller not in self._records:
                caller = caller.rpartition(".")[0] or recording.id
            self._made.setdefault(caller, []).append(record)
        self._registry = registry
        self._encoder = encoder
        self._call_undurable = call_undurable
        self._steps = _Silently(
            registry, dependencies, Observers(), lambda target: target, log_level=_SILENT, encoder=encoder,
            separator=lambda: recording.separator,
        )  # fmt: skip
        self._variables = contextvars.copy_context()
        self._reached: set[str] = set()
        self._begun: set[str] = set()
        self._alive: dict[str, Node] = {}  # what is being executed
        self._clocks: dict[str, int] = {}  # of each of these, in ms: calls that went on side by side are replayed one after another
        self._left: set[str] = set()  # what was not executed to its end: its recorded outcome counts
        self._computation: Computation

    def run(self) -> None:
        """Replay the run, and those that it asked for."""
        root = self._recording.promises[0]
        self._reached.add(root.id)
        try:
            try:
                command = self._steps.invocation(root)
            except ValueError as error:
                told = f"{root.id} cannot be replayed: {error}" if self._registry.functions() else _NO_CODE.format(root.id)
                raise ValueError(told) from error
            self._replay(root, command)
            for record in self._recording.promises[1:]:
                asked = _asked(record, self._encoder)
                if self._recording.lineage(record).kind not in ("rpc", "detached") or "func" not in asked:
                    continue
                if self._knows(asked):
                    self._replay(record, self._steps.invocation(record))
                elif asked["func"] not in self.found.unknown:
                    self.found.unknown.append(str(asked["func"]))
        except BaseException as error:  # it is raised where the replay was asked for
            self.failure = error
        self.found.calls = len(self._reached)

    def _knows(self, asked: dict[str, Any]) -> bool:
        try:
            self._registry.get(str(asked.get("func")), asked.get("version", 0))
        except (ValueError, TypeError):
            return False
        return True

    def _replay(self, record: PromiseRecord, command: Command[Any]) -> None:
        if not self._is_made_of_steps(command, record.id):
            self.found.outcome = self.found.outcome or told_outcome(record, self._encoder)
            return
        computation = self._computation = Computation(_opened(record), command, pid="", address="", notice_address="")
        self._execute(computation.root)
        computation.start(Lease(record.id, "", 0))
        actions = computation.actions
        while (actions or self._leave_what_waits()) and not self.is_stopped:
            if not actions:
                continue
            action = actions.popleft()
            if isinstance(action, Send):
                self._answer(action)
            elif isinstance(action, (Call, Step)):
                self._perform(action)
            elif isinstance(action, Wake):
                self._wake(action.node)
            elif isinstance(action, Close):
                self._steps.close(action.node.frame)
            elif isinstance(action, Stuck):
                computation.stuck(self._steps.encode_error(action.error))
        for node in () if computation.finished else list(computation.waiting.values()):
            self._ends_at(node)
        for node in list(self._alive.values()):
            self._steps.close(node.frame)
        self._alive.clear()

    def _is_made_of_steps(self, command: Command[Any], promise_id: str) -> bool:
        """Whether a function is executed. An `async def` without durable calls is a step, and only what is recorded tells them apart."""
        if command.func is None or not is_composed(command.func):
            return False
        return not iscoroutinefunction(command.func) or promise_id in self._recording.children

    def _execute(self, node: Node) -> None:
        self._begun.add(node.id)
        self._alive[node.id] = node
        record = self._records.get(node.id)
        self._clocks[node.id] = record.created_on if record is not None else self._computation.now_ms
        self.found.executed += 1

    # ---- what the computation asks for -----------------------------------------------------------------------------------------------

    def _answer(self, send: Send) -> None:
        operation, node = send.operation, send.node
        if isinstance(operation, CreatePromise):
            self._create(send, node)
        elif isinstance(operation, GetPromise) and operation.id in self._records:  # awaited once more
            self._computation.answered(send, self._records[operation.id])
        elif isinstance(operation, SettlePromise):
            self._computation.answered(send, self._settle(node, operation))
        # Parking and asking for news is left unanswered: what is open in the recording stays so.

    def _create(self, send: Send, node: Node) -> None:
        command, caller = node.command, node.parent
        assert command is not None
        assert caller is not None
        record = self._records.get(node.id)
        if record is None:
            if self._ended_by_its_code(caller):
                self.found.extra.append(node.id)
                called = call_text(Lineage("", "", None, command.kind, command.name, command.fingerprint))
                self._diverge(caller, node.id, "", f"calls {called}")
            else:
                self._ends_at(node)
            self._leave(caller)
            return
        self._reached.add(node.id)
        changed = self._computation._compare(node, record)
        if changed is not None:
            self._diverge(caller, node.id, changed.recorded, f"calls {changed.called}")
            self._leave(caller)
            return
        self._clocks[caller.id] = max(self._clocks[caller.id], record.created_on)
        self._computation.now_ms = record.created_on
        if command.kind == "run" and self._is_made_of_steps(command, record.id) and node.id not in self._begun:
            self._execute(node)
            record = _opened(record)
        self._computation.answered(send, record)

    def _ends_at(self, node: Node) -> None:
        """The recording ends here, unless a function that was cut off stands above."""
        cut_off = ("REJECTED_CANCELED", "REJECTED_TIMEDOUT")
        states = (self._records[each.id].state for each in _callers(node) if each.id in self._records)
        if not any(state in cut_off for state in states):
            self.found.ends.append(node.id)

    def _ended_by_its_code(self, node: Node) -> bool:
        """Whether a function had ended by itself; of one without a record, whether the one that called it had."""
        while node.id not in self._records and node.parent is not None:
            node = node.parent
        return self._records[node.id].state in _BY_ITS_CODE

    def _perform(self, action: Call | Step) -> None:
        node, command = action.node, action.node.command
        assert command is not None
        if isinstance(action, Step):
            if node.frame is None:
                return  # it was left
        elif node.id not in self._alive:
            if command.option.durable:
                self._ends_at(node)  # it was under way when the run was recorded
                return
            if self._is_made_of_steps(command, node.id):
                self._execute(node)
            elif not self._call_undurable:
                assert node.parent is not None
                self._ends_at(node)
                self._leave(node.parent)
                return
        computation = self._computation
        computation.now_ms = self._clocks.get(node.id, computation.now_ms)
        event, *arguments = self._steps.perform(computation.root.id, computation.origin, self._variables, action)
        event(computation, *arguments)

    def _wake(self, node: Node) -> None:
        """The clock need not be waited for, but the number of attempts is bounded where a retry policy does not bound it."""
        if node.attempt < REPLAY_ATTEMPTS_LIMIT:
            self._clocks[node.id] = self._clocks.get(node.id, self._computation.now_ms) + int((node.delay or 0) * 1000)
            self._computation.woke(node)
            return
        assert node.outcome is not None
        record = self._records.get(node.id)
        if record is not None and record.state in _BY_ITS_CODE:
            today = replace(record, state="REJECTED", value=node.outcome[1])
            if not same_outcome(record, today, self._encoder):
                recorded = told_outcome(record, self._encoder)
                self._diverge(node, node.id, recorded, f"fails {node.attempt} times: {node.text}")
        self._leave(node)

    # ---- endings -----------------------------------------------------------------------------------------------------------------------

    def _settle(self, node: Node, operation: SettlePromise) -> PromiseRecord:
        """A function has ended, or was left: the outcome that its caller goes on with."""
        record = self._records[node.id]
        today = replace(record, state=operation.state, value=operation.value, completed_on=self._computation.now_ms)
        self._alive.pop(node.id, None)
        if node.id in self._left:
            return record
        if node.id == self._recording.id:
            self.found.outcome = told_outcome(today, self._encoder)
        missing = [each for each in self._made.get(node.id, ()) if each.id not in self._reached]
        self.found.missing += [each.id for each in missing]
        if missing:
            told = call_text(self._recording.lineage(missing[0]))
            self._diverge(node, missing[0].id, told, f"ends before it, {told_outcome(today, self._encoder)}")
        elif record.state in _BY_ITS_CODE and not same_outcome(record, today, self._encoder):
            recorded = told_outcome(record, self._encoder)
            self._diverge(node, node.id, recorded, f"ends {told_outcome(today, self._encoder)}")
        if record.state == "PENDING":
            return today
        return record

    def _diverge(self, node: Node, promise_id: str, recorded: str, today: str) -> None:
        if len(self.found.divergences) < DIVERGENCES_LIMIT:
            self.found.divergences.append(Divergence(node.id, promise_id, recorded, today, *_place_of(node)))

    def _leave(self, node: Node) -> None:
        """Go on without this function: its caller gets the outcome that is recorded. Without one, its caller cannot go on either."""
        self._steps.close(node.frame)
        node.frame = None
        self._alive.pop(node.id, None)
        self._left.add(node.id)
        record = self._records.get(node.id)
        if record is None and node.parent is not None:  # durable=False
            self._leave(node.parent)
        elif record is not None and record.state != "PENDING" and node.parent is not None:
            node.outstanding = None
            self._computation.busy += 1  # for the end that it is now said to have come to
            self._computation.returned(node, NOTHING)

    def _leave_what_waits(self) -> bool:
        """Nothing goes on: functions that have ended all the same, when the run was recorded, are left. Whether there were any."""
        waiting = [node for node in self._alive.values() if self._is_over(node)] if not self._computation.finished else []
        callers = {id(caller) for node in waiting for caller in _callers(node)}
        innermost = [node for node in waiting if id(node) not in callers]
        for node in innermost:
            if self._ended_by_its_code(node):
                awaited = [each.id for each in self._computation.running() if node in each.waiters]
                recorded = told_outcome(self._records[node.id], self._encoder)
                self._diverge(node, node.id, recorded, f"waits for {', '.join(awaited[:3])}, which is open in the recording")
            self._leave(node)
        return bool(innermost)

    def _is_over(self, node: Node) -> bool:
        record = self._records.get(node.id)
        return record is not None and record.state != "PENDING"


def _opened(record: PromiseRecord) -> PromiseRecord:
    """A promise as it was before it settled: its function is to be executed."""
    return replace(record, state="PENDING", value=NOTHING, completed_on=None)


def _callers(node: Node) -> Iterator[Node]:
    while node.parent is not None:
        node = node.parent
        yield node


def _place_of(node: Node) -> tuple[str, int]:
    """(file, line) where a function is paused, in the innermost of the generators that it has delegated to; ("", 0) when it has ended."""
    inner: Any = node.frame.generator if node.frame is not None else None
    file, line = "", 0
    while isinstance(inner, (GeneratorType, CoroutineType)):
        frame, following = (inner.gi_frame, inner.gi_yieldfrom) if isinstance(inner, GeneratorType) else (inner.cr_frame, inner.cr_await)
        if frame is not None:
            file, line = frame.f_code.co_filename, frame.f_lineno
        inner = following
    return file, line


def same_outcome(one: PromiseRecord, other: PromiseRecord, encoder: Encoder) -> bool:
    """Whether two promises have ended alike: values as they are stored, or equal when read; errors by what they say."""
    if one.state != other.state:
        return False
    if one.state == "REJECTED":
        return error_text(one) == error_text(other)
    return one.state != "RESOLVED" or same_value(one.value, other.value, encoder)


def same_value(one: Encoded, other: Encoded, encoder: Encoder) -> bool:
    """Whether two stored values are the same: as they are stored, or equal when read (a set is written in any order)."""
    if (one[0] or {}, one[1]) == (other[0] or {}, other[1]):
        return True
    try:
        left, right = encoder.decode(one), encoder.decode(other)
        return _alike(left, right)
    except (Exception, SystemExit):  # values that cannot be read or compared are what they are stored as
        return False


def _alike(left: Any, right: Any) -> bool:
    """Equal, and of the same types: 1, 1.0 and True are three values. Values that were read are not nested without end."""
    if type(left) is not type(right):
        return False
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(_alike, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(_alike(left[key], right[key]) for key in left)
    return bool(left == right)


def told_outcome(record: PromiseRecord, encoder: Encoder) -> str:
    """`resolved with 31`, `rejected with ValueError: no rows`, `cancelled`."""
    told = error_text(record)
    if record.state == "RESOLVED":
        try:
            outcome = outcome_of(record, encoder)
            told = short_text(outcome.value) if isinstance(outcome, Ok) else ""
        except (Exception, SystemExit):
            told = "a value that cannot be read"
    return STATE_WORDS[record.state] + (f" with {told}" if told else "")
