"""Carries out pieces of user code: calls functions, continues generators and coroutines, and says what became of it.

Called by workers, under no lock and with no right to drive. Whatever user code raises, `SystemExit` too, is that function's failure and
never the thread's. Each piece ends in what happened next: an event method of `Computation` and its arguments.

A coroutine is driven like a generator, by `send`, without an event loop. Only until its first durable call it runs in a private one, so
that an `async def` that makes none (a step that fetches something) may await what it likes; after that call, or before another one, a
foreign awaitable is an error that names the durable way.
"""

from __future__ import annotations

import contextvars
import logging
import math
import re
import threading
import time
from collections.abc import Callable, Generator
from functools import partial
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any

from resonate.computation import NO_VALUE, Call, Computation, Node, Step
from resonate.context import RUNNING, Context, Info
from resonate.coroutine import LFC, LFI, RFC, RFI, Command, Promise
from resonate.dependencies import Dependencies
from resonate.encoders import DEFAULT, DefaultEncoder, encode_call, encode_error, encoder_for
from resonate.errors import NotDurable, StepEnded, ValueNotStorable, safe_text
from resonate.events import AttemptStarted
from resonate.fingerprint import fingerprint
from resonate.labels import label_arguments, label_data, short_text
from resonate.limits import ERROR_TEXT_LIMIT, LOGGED_VALUE_LIMIT
from resonate.loggers import ContextLogger, is_enabled
from resonate.models.durable_promise import outcome_of
from resonate.models.encoder import Encoder
from resonate.models.result import Ok
from resonate.observers import Observers
from resonate.options import STEP_POLICY
from resonate.protocol import NOTHING, Encoded, Lineage, PromiseRecord
from resonate.registry import Registry
from resonate.wire.legacy import read_tags, tags_of

if TYPE_CHECKING:
    import asyncio

logger = logging.getLogger("resonate")

COMMANDS = frozenset((LFC, LFI, RFC, RFI))
_PLAIN = frozenset((int, float, str, bool, type(None)))
_NO_LOOP = re.compile("no (running|current) event loop")
Stepped = tuple[Any, ...]
"""What became of a piece of user code: an event method of Computation and its arguments."""


class Frame:
    """One attempt at a node's function, as it is kept between its steps."""

    __slots__ = ("awaited_asyncio", "context", "generator", "variables", "yielded")

    def __init__(self, context: Context, variables: contextvars.Context) -> None:
        self.context = context
        self.variables = variables
        self.generator: Any = None  # or a coroutine
        self.awaited_asyncio = False
        self.yielded = 0  # commands


class Steps:
    """User code of one client's runs."""

    def __init__(
        self, registry: Registry, dependencies: Dependencies, observers: Observers, address: Callable[[str], str], *, log_level: int,
        encoder: Encoder, separator: Callable[[], str] = lambda: ".",
    ) -> None:  # fmt: skip
        self._registry = registry
        self._dependencies = dependencies
        self._observers = observers
        self._address = address
        self._separator = separator  # of a run's id and the number of a child: known once its server was asked
        self._log_level = log_level
        self._encoder = encoder
        self._is_exact = isinstance(encoder, DefaultEncoder)  # reading gives what was written
        self._here = threading.local()  # this worker's event loop

    def perform(self, run_id: str, origin: str, variables: contextvars.Context, action: Call | Step) -> Stepped:
        """Carry out one action of a computation."""
        if isinstance(action, Step):
            return self._step(run_id, action.node, action.source)
        return self._call(run_id, origin, variables, action.node)

    def close(self, frame: Frame | None) -> None:
        """Close a generator that nobody waits for; what its `finally` blocks raise is told to the log alone."""
        if frame is None or frame.generator is None:
            return
        try:
            frame.variables.run(frame.generator.close)
        except BaseException as error:  # a generator that yields on while it is closed, or raises anything
            logger.warning("closing %s failed: %r", frame.context.id, error)

    def decode(self, stored: Encoded) -> Any:
        """A stored value, by the client's encoder."""
        return self._encoder.decode(stored)

    def invocation(self, record: PromiseRecord) -> Command[Any]:
        """The call that a promise asks for. Raises an error that says what is wrong with it."""
        asked = self.decode(record.param)
        if not isinstance(asked, dict) or not isinstance(asked.get("func"), str):
            raise ValueError(f"promise {record.id} asks for no function: its param must be an object with `func`, `args` and `version`")
        name, version = asked["func"], asked.get("version", 0)
        try:
            _, func, version = self._registry.get(name, version if isinstance(version, int) else 0)
        except ValueError as error:
            known = ", ".join(sorted({each for each, _, _ in self._registry.functions()})) or "none"
            raise ValueError(f"{error}. Register it in this process, or call one of the registered functions: {known}.") from None
        args, kwargs = asked.get("args") or (), asked.get("kwargs") or {}
        if not isinstance(args, (list, tuple)) or not isinstance(kwargs, dict):
            raise ValueError(f"promise {record.id} asks for {name} with arguments that are none: `args` must be a list, `kwargs` an object")
        kind = record.lineage.kind if record.lineage else "rpc"
        command: Command[Any] = LFI(record.id, kind, name, func, tuple(args), kwargs, version=version)
        command.key = record.key_for_create
        command.arguments = label_arguments(func, command.args, kwargs) if self._observers else ()
        return command

    def encode_error(self, error: BaseException) -> Encoded:
        """A raised error as the value of a rejected promise."""
        return encode_error(error, self._encoder)

    def warn(self, run_id: str, promise_id: str, text: str, origin: str = "") -> None:
        """Say something about an execution in its own log."""
        self._tell(self._speaker(run_id, promise_id, origin), logging.WARNING, "%s", text)

    def _speaker(self, run_id: str, promise_id: str, origin: str = "") -> Context:
        """An execution of which no attempt runs."""
        return Context(promise_id, _NO_ATTEMPT, self._registry, self._dependencies, cid=run_id, run_id=origin)

    def _tell(self, about: Context, level: int, text: str, *values: Any) -> None:
        """As if the execution itself had said so: whoever sorts records by `current_context` finds where this one belongs."""
        token = RUNNING.set(about)
        try:
            ContextLogger(about._cid, about.id, self._log_level).log(level, text, *values)
        finally:
            RUNNING.reset(token)

    # ---- calling and continuing ----------------------------------------------------------------------------------------------------

    def _call(self, run_id: str, origin: str, variables: contextvars.Context, node: Node) -> Stepped:
        command = node.command
        assert command is not None
        assert command.func is not None
        info = partial(_info_of, run_id, node, node.attempt)
        context = Context(
            node.id, info, self._registry, self._dependencies, cid=run_id, run_id=origin, log_level=self._log_level,
            separator=self._separator(),
        )  # fmt: skip
        frame = node.frame = Frame(context, variables.copy())
        frame.variables.run(RUNNING.set, context)
        if self._observers:
            limit = self._attempts_limit(command, frame)
            self._observers.publish(AttemptStarted(origin, node.id, time.time(), node.attempt, limit))
        if self._log_level <= logging.DEBUG:
            self._say(logging.DEBUG, run_id, node, "started")
        try:
            result = frame.variables.run(command.func, context, *command.args, **command.kwargs)
        except BaseException as error:  # whatever user code raises is that function's failure, never the thread's
            # Arguments that do not fit are raised by the call itself, before a line of the function ran: no attempt will do better.
            return self._failure(run_id, node, error, may_retry=error.__traceback__ is None or error.__traceback__.tb_next is not None)
        if isinstance(result, GeneratorType):
            frame.generator = result
            return self._advance(run_id, node, frame, result.send, None)
        if isinstance(result, CoroutineType):
            frame.generator = result
            return self._advance(run_id, node, frame, self._in_loop(frame), None, in_loop=True)
        return self._success(run_id, node, result)

    def _step(self, run_id: str, node: Node, source: Node | Promise[Any]) -> Stepped:
        frame: Frame = node.frame
        if type(source) is Promise:
            return self._advance(run_id, node, frame, frame.generator.send, source)
        try:
            value, error = self._outcome(source)  # type: ignore[arg-type] # mypy does not see that it is no promise
        except BaseException as damaged:
            value, error = None, damaged
        if error is not None:
            return self._advance(run_id, node, frame, frame.generator.throw, error)
        return self._advance(run_id, node, frame, frame.generator.send, value)

    def _outcome(self, node: Node) -> tuple[Any, BaseException | None]:
        """(value, None) or (None, error) of a settled node. Raises when what is stored cannot be read."""
        if node.failure is not None:
            return None, node.failure
        if node.raw is not NO_VALUE:
            return (None, node.raw) if node.outcome is not None and node.outcome[0] == "REJECTED" else (node.raw, None)
        assert node.record is not None
        outcome = outcome_of(node.record, encoder_for(node.command.option.encoder if node.command else None, self._encoder))
        return (outcome.value, None) if isinstance(outcome, Ok) else (None, outcome.value)

    def _advance(
        self, run_id: str, node: Node, frame: Frame, resume: Callable[[Any], Any], value: Any, *, in_loop: bool = False
    ) -> Stepped:
        while True:
            try:
                yielded = resume(value) if in_loop else frame.variables.run(resume, value)
            except StopIteration as stop:
                return self._success(run_id, node, stop.value)
            except BaseException as error:  # as above
                return self._failure(run_id, node, _durable_way(node, frame, error))
            kind = type(yielded)
            if kind is Promise and yielded.cid == run_id:
                return Computation.yielded, node, yielded
            if kind not in COMMANDS:
                wrong: BaseException = _not_durable(node, frame, yielded, run_id)
            elif frame.awaited_asyncio:
                wrong = _mixed(node)
            else:
                frame.yielded += 1
                try:
                    self._prepare(yielded)
                except BaseException as error:
                    wrong = error
                else:
                    return Computation.yielded, node, yielded
            if isinstance(wrong, NotDurable):
                self.close(frame)
                return self._failure(run_id, node, wrong)
            resume, value, in_loop = frame.generator.throw, wrong, False  # raised where the command was yielded

    # ---- coroutines before their first durable call ----------------------------------------------------------------------------------

    def _in_loop(self, frame: Frame) -> Callable[[Any], Any]:
        """What begins a coroutine inside a private event loop; it gives the first command, or StopIteration with the value."""

        def begin(_: Any) -> Any:
            loop = self._loop()
            try:
                is_over, outcome = loop.run_until_complete(loop.create_task(_first_part(frame), context=frame.variables))
            except BaseException:
                self._discard_loop(loop)
                raise
            if frame.awaited_asyncio:
                self._discard_loop(loop)  # with whatever it left running
            if is_over:
                raise StopIteration(outcome)
            return outcome

        return begin

    def _loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop | None = getattr(self._here, "loop", None)
        if loop is None:
            import asyncio  # it takes as long to import as all the rest of the package

            loop = self._here.loop = asyncio.new_event_loop()
        return loop

    def _discard_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        import asyncio

        self._here.loop = None
        try:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    def close_loop(self) -> None:
        """Close this worker's event loop, if it has one; called where the worker ends."""
        loop = getattr(self._here, "loop", None)
        if loop is not None:
            self._discard_loop(loop)

    # ---- what a command carries ------------------------------------------------------------------------------------------------------

    def _prepare(self, command: Command[Any]) -> None:
        """What only user code or encoders can say of a command. Raises `ValueNotStorable` when its arguments cannot be stored."""
        option = command.option
        observed = bool(self._observers)
        if option.tags:  # some of them mean something to a promise server
            command.target, timer, command.not_before = read_tags(option.tags)
            command.timer = command.timer or timer
        if command.kind == "run":
            command.target = None
            if observed:
                command.arguments = label_arguments(command.func, command.args, command.kwargs)
            command.fingerprint = fingerprint(command.args, command.kwargs) if option.durable else None
            command.key = option.key_for(command.id)
            return
        if command.kind == "sleep":
            command.key = command.id
            command.param = DEFAULT.encode(None)
            command.arguments = (("secs", f"{command.kwargs['secs']:g}"),)
            return
        command.key = option.key_for(command.id)
        encoder = encoder_for(option.encoder, self._encoder)
        if command.kind == "promise":
            command.param = encoder.encode(command.args[0]) if command.args[0] is not None else NOTHING
            command.arguments = label_data(command.args[0]) if observed else ()
            return
        command.version = option.version or command.version
        command.target = self._address(option.target)
        command.param = encode_call(encoder, command.name, command.args, command.kwargs, command.version)
        command.fingerprint = fingerprint(command.args, command.kwargs)
        if observed:
            command.arguments = label_arguments(self._registry.find(command.name), command.args, command.kwargs)

    # ---- endings -----------------------------------------------------------------------------------------------------------------------

    def _success(self, run_id: str, node: Node, value: Any) -> Stepped:
        command = node.command
        assert command is not None
        option = command.option
        if isinstance(value, AsyncGeneratorType) or type(value) in COMMANDS:
            return self._failure(run_id, node, _not_begun(command, value))
        forgotten = node.frame.context._children - node.frame.yielded
        if forgotten > 0:
            calls = f"{forgotten} calls" if forgotten > 1 else "a call"
            text = "has made %s that it never yielded, so nothing came of it: `value = yield ctx.run(f, x)`"
            self._say(logging.WARNING, run_id, node, text, calls)
        if self._log_level <= logging.DEBUG:
            self._say(logging.DEBUG, run_id, node, "returned %s", value)
        if not option.durable:
            return Computation.returned, node, NOTHING, value
        try:
            encoded = encoder_for(option.encoder, self._encoder).encode(value)
        except BaseException as error:  # the user's encoder may raise anything
            return self._failure(run_id, node, _not_storable(command, error))
        # A plain value is handed on as it is, where reading it back would give the same.
        is_same = type(value) in _PLAIN and option.encoder is None and self._is_exact
        return Computation.returned, node, encoded, value if is_same else NO_VALUE

    def _failure(self, run_id: str, node: Node, error: BaseException, *, may_retry: bool = True) -> Stepped:
        command = node.command
        assert command is not None
        if not isinstance(error, Exception):
            ended = StepEnded(
                f"{command.name} raised {type(error).__name__}({safe_text(error)}). A durable function cannot end its process: "
                "return a value, or raise an Exception."
            )
            ended.__cause__ = error
            error = ended
        text = f"{type(error).__name__}: {safe_text(error)}"[:ERROR_TEXT_LIMIT]
        delay = self._retry_delay(command, node, error) if may_retry else None
        if delay is None:
            self._say(logging.ERROR, run_id, node, "failed for good: %s", text)
        else:
            self._say(logging.WARNING, run_id, node, "failed and is called again in %s s: %s", delay, text)
        durable = command.option.durable
        encoded = encode_error(error, encoder_for(command.option.encoder, self._encoder)) if durable else NOTHING
        raw = NO_VALUE if durable else error
        return Computation.failed, node, encoded, raw, text, delay, self._attempts_limit(command, node.frame)

    def _retry_delay(self, command: Command[Any], node: Node, error: Exception) -> float | None:
        if isinstance(error, (NotDurable, StepEnded, ValueNotStorable, *command.option.non_retryable_exceptions)):
            return None
        try:
            delay = self._policy(command, node.frame).next(node.attempt)
            return None if delay is None or delay != delay else max(0.0, float(delay))  # noqa: PLR0124 (not a number)
        except BaseException:
            logger.exception("the retry policy of %s failed; there is no further attempt", command.name)
            return None

    def _attempts_limit(self, command: Command[Any], frame: Frame | None) -> int | None:
        try:
            retries = getattr(self._policy(command, frame), "max_retries", 0)
        except BaseException:
            return None
        return int(retries) + 1 if isinstance(retries, int) and retries < 1_000_000 else None

    @staticmethod
    def _policy(command: Command[Any], frame: Frame | None) -> Any:
        assert command.func is not None
        if frame is not None and frame.awaited_asyncio and command.option.retry_policy is None:
            return STEP_POLICY  # an `async def` that is a step, not made of steps
        return command.option.policy_for(command.func)

    def _say(self, level: int, run_id: str, node: Node, text: str, *values: Any) -> None:
        if is_enabled(self._log_level, level) and node.command is not None:
            # With their names, by which a notebook knows what is secret.
            labels = label_arguments(node.command.func, node.command.args, node.command.kwargs)
            given = ", ".join(f"{name}={value}" if name else value for name, value in labels)[:LOGGED_VALUE_LIMIT]
            shown = [each[:LOGGED_VALUE_LIMIT] if type(each) is str else short_text(each, LOGGED_VALUE_LIMIT) for each in values]
            frame = node.frame  # None once somebody else has settled it
            about = self._speaker(run_id, node.id) if frame is None else frame.context
            self._tell(about, level, f"%s(%s), attempt %s, {text}", node.command.name, given, node.attempt, *shown)


async def _first_part(frame: Frame) -> tuple[bool, Any]:
    """Drive a coroutine in an event loop up to its first durable call: (False, command), or (True, value) where it makes none."""
    return await _FirstPart(frame)


class _FirstPart:
    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def __await__(self) -> Generator[Any, Any, tuple[bool, Any]]:
        frame, coroutine = self._frame, self._frame.generator
        resume, value = coroutine.send, None
        while True:
            try:
                yielded = resume(value)
            except StopIteration as stop:
                return True, stop.value
            if yielded is not None and getattr(yielded, "_asyncio_future_blocking", None) is None:
                return False, yielded  # nothing that an event loop understands
            frame.awaited_asyncio = True
            try:
                resume, value = coroutine.send, (yield yielded)
            except BaseException as error:
                resume, value = coroutine.throw, error


def _durable_way(node: Node, frame: Frame, error: BaseException) -> BaseException:
    """The error itself, or one that says what to write instead where asyncio found no event loop."""
    if not (isinstance(error, RuntimeError) and isinstance(frame.generator, CoroutineType) and _NO_LOOP.search(str(error))):
        return error
    wrong = NotDurable(f"{_name(node)} ({node.id}) awaited something of asyncio after a durable call. {_INSTEAD}")
    wrong.__cause__ = error
    return wrong


_INSTEAD = (
    "Write `await ctx.sleep(1.0)` for asyncio.sleep; for asyncio.gather begin each call, `p = await ctx.begin_run(f, x)`, and then "
    "`await p`; put other asynchronous code into an `async def` of its own and call it by `await ctx.run(f, x)`."
)


_NO_ATTEMPT = Info(0, None, {}, math.inf, 0)
"""Of an execution that is spoken of while no attempt at it runs."""


def _info_of(run_id: str, node: Node, attempt: int) -> Info:
    command = node.command
    assert command is not None
    return Info(attempt, command.key, partial(_tags_of, run_id, node), node.deadline / 1000, command.version)


def _tags_of(run_id: str, node: Node) -> dict[str, str]:
    """The tags of an execution's promise, as they are stored."""
    command, parent = node.command, node.parent
    assert command is not None
    promise = command.promise
    if promise is None:
        lineage = Lineage(run_id, run_id, parent.id if parent is not None else None, command.kind, command.name)
        tags = dict(command.option.tags)
        promise = PromiseRecord(node.id, "PENDING", 0, NOTHING, NOTHING, tags, None, command.timer, 0, lineage=lineage)
    return tags_of(promise)


def _name(node: Node) -> str:
    return node.command.name if node.command else node.id


def _mixed(node: Node) -> NotDurable:
    return NotDurable(
        f"{_name(node)} ({node.id}) awaited something of asyncio and then made a durable call. Taken up again after a crash, it would "
        f"await that once more. {_INSTEAD}"
    )


def _not_begun(command: Command[Any], value: Any) -> NotDurable:
    if isinstance(value, AsyncGeneratorType):
        return NotDurable(f"{command.name} is an `async def` with `yield` in it. Write `await ctx.run(...)`, or `def` without `async`.")
    return NotDurable(f"{command.name} returned a call that was never made. Write `return (yield ctx.run(...))`, or `await` it.")


def _not_storable(command: Command[Any], error: BaseException) -> Exception:
    why = str(error) if isinstance(error, ValueNotStorable) else f"its encoder raised {type(error).__name__}: {safe_text(error)}"
    refused = ValueNotStorable(f"the result of `{command.name}` cannot be stored: {why}")
    refused.__cause__ = error
    return refused


def _not_durable(node: Node, frame: Frame, yielded: Any, run_id: str) -> NotDurable:
    name = _name(node)
    if type(yielded) is Promise:
        return NotDurable(f"{name} awaited the promise {yielded.id}, which belongs to the run {yielded.cid}, not to {run_id}. "
                          "Ask for its outcome by `ctx.rpc`, or share a promise by `ctx.promise(id=...)`.")  # fmt: skip
    kind = type(yielded).__name__
    kind = f"a{'n' * (kind[0].lower() in 'aeiou')} `{kind}`"
    if isinstance(frame.generator, CoroutineType):
        return NotDurable(f"{name} ({node.id}) awaited something ({kind}) that is no durable call. {_INSTEAD}")
    return NotDurable(
        f"{name} ({node.id}) yielded {kind}, which is no durable command. Yield what `ctx` gives: "
        "`yield ctx.run(f, x)`, `ctx.begin_run`, `ctx.rpc`, `ctx.sleep(1.0)`, `ctx.promise()`, or a promise that one of them gave."
    )
