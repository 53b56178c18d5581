"""What a durable function receives as its first argument."""

from __future__ import annotations

import functools
import logging
import random
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextvars import ContextVar
from inspect import isfunction
from typing import TYPE_CHECKING, Any, overload

from resonate.coroutine import LFC, LFI, RFC, RFI, Command, Composed, not_a_function, plain_function
from resonate.loggers import ContextLogger
from resonate.options import Options

if TYPE_CHECKING:
    from resonate.dependencies import Dependencies
    from resonate.registry import Registry


class Info:
    """Facts about this execution. `attempt` counts from 1; `timeout` is the deadline in seconds since the epoch."""

    __slots__ = ("_tags", "attempt", "idempotency_key", "timeout", "version")

    def __init__(
        self, attempt: int, idempotency_key: str | None, tags: Mapping[str, str] | Callable[[], Mapping[str, str]], timeout: float,
        version: int,
    ) -> None:  # fmt: skip
        self.attempt = attempt
        self.idempotency_key = idempotency_key
        self.timeout = timeout
        self.version = version
        self._tags = tags

    def __repr__(self) -> str:
        return f"Info(attempt={self.attempt}, tags={dict(self.tags)}, timeout={self.timeout}, version={self.version})"

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags of this execution's promise: the user's and the system's."""
        return self._tags() if callable(self._tags) else self._tags


class Context:
    """The durable world as one function sees it: what is yielded from here becomes a promise, numbered `<id>.1`, `<id>.2`, ...

    >>> from resonate import Resonate
    >>> resonate = Resonate()
    >>> def double(ctx, x):
    ...     return 2 * x
    >>> @resonate.register
    ... def pipeline(ctx, x):
    ...     doubled = yield ctx.run(double, x)
    ...     return doubled + 1
    >>> resonate.run("context-example", pipeline, 20)
    41
    """

    __slots__ = ("_child_prefix", "_children", "_cid", "_dependencies", "_info", "_log_level", "_registry", "id", "run_id")

    def __init__(
        self, id: str, info: Info | Callable[[], Info], registry: Registry, dependencies: Dependencies, *, cid: str = "",
        run_id: str = "", log_level: int = logging.NOTSET, separator: str = ".",
    ) -> None:  # fmt: skip
        self.id = id
        self.run_id = run_id or cid or id  # of the outermost run, as observers see it; `cid` is the run whose lease is held
        self._child_prefix = f"{id}." if separator == "." or separator in id else f"{id}{separator}"
        self._cid = cid or id
        self._log_level = log_level
        self._info = info  # few functions ask for it
        self._children = 0
        self._registry = registry
        self._dependencies = dependencies

    def __repr__(self) -> str:
        return f"Context(id={self.id!r}, attempt={self.info.attempt})"

    @property
    def info(self) -> Info:
        """Facts about this execution: attempt, idempotency key, tags, deadline, version."""
        if not isinstance(self._info, Info):
            self._info = self._info()
        return self._info

    @property
    def logger(self) -> ContextLogger:
        """A standard logger whose lines begin with the run and the id of this execution, at the client's log level."""
        return ContextLogger(self._cid, self.id, self._log_level)

    @property
    def time(self) -> Time:
        """The time, recorded: `now = yield ctx.time.time()`."""
        return Time(self)

    @property
    def random(self) -> Random:
        """Random numbers, recorded: `x = yield ctx.random.random()`."""
        return Random(self)

    def get_dependency(self, key: str, default: Any = None) -> Any:
        """The object that `Resonate.set_dependency` gave under that name, or `default`. TypeError when the name is not text."""
        return self._dependencies.get(key, default)

    # ---- calls in this process -----------------------------------------------------------------------------------------------------

    @overload
    def run[R](self, func: Composed[R], *args: Any, **kwargs: Any) -> LFC[R]: ...
    @overload
    def run[R](self, func: Callable[..., R], *args: Any, **kwargs: Any) -> LFC[R]: ...
    def run(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> LFC[Any]:
        """Call a function here and wait: `value = yield ctx.run(f, x)`. ValueError when it is no plain function."""
        raw = _checked(func)
        return LFC(self._next_id(), "run", raw.__name__, raw, args, kwargs, version=self._version_of(raw))

    @overload
    def begin_run[R](self, func: Composed[R], *args: Any, **kwargs: Any) -> LFI[R]: ...
    @overload
    def begin_run[R](self, func: Callable[..., R], *args: Any, **kwargs: Any) -> LFI[R]: ...
    def begin_run(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> LFI[Any]:
        """Begin a call here: `promise = yield ctx.begin_run(f, x)`, later `value = yield promise`."""
        raw = _checked(func)
        return LFI(self._next_id(), "run", raw.__name__, raw, args, kwargs, version=self._version_of(raw))

    # ---- calls wherever a worker knows the function -----------------------------------------------------------------------------------

    @overload
    def rpc(self, func: str, *args: Any, **kwargs: Any) -> RFC[Any]: ...
    @overload
    def rpc[R](self, func: Composed[R], *args: Any, **kwargs: Any) -> RFC[R]: ...
    @overload
    def rpc[R](self, func: Callable[..., R], *args: Any, **kwargs: Any) -> RFC[R]: ...
    def rpc(self, func: str | Callable[..., Any], *args: Any, **kwargs: Any) -> RFC[Any]:
        """Ask any worker of the target group and wait: `value = yield ctx.rpc("f", x)`."""
        name, version = self._remote(func)
        return RFC(self._next_id(), "rpc", name, None, args, kwargs, version=version)

    @overload
    def begin_rpc(self, func: str, *args: Any, **kwargs: Any) -> RFI[Any]: ...
    @overload
    def begin_rpc[R](self, func: Composed[R], *args: Any, **kwargs: Any) -> RFI[R]: ...
    @overload
    def begin_rpc[R](self, func: Callable[..., R], *args: Any, **kwargs: Any) -> RFI[R]: ...
    def begin_rpc(self, func: str | Callable[..., Any], *args: Any, **kwargs: Any) -> RFI[Any]:
        """Ask any worker of the target group: `promise = yield ctx.begin_rpc("f", x)`, later `value = yield promise`."""
        name, version = self._remote(func)
        return RFI(self._next_id(), "rpc", name, None, args, kwargs, version=version)

    def detached(self, func: str | Callable[..., Any], *args: Any, **kwargs: Any) -> RFI[Any]:
        """Ask any worker and forget: it is not waited for when this function ends, and may outlive it."""
        name, version = self._remote(func)
        return RFI(self._next_id(), "detached", name, None, args, kwargs, version=version)

    lfc, lfi, rfc, rfi = run, begin_run, rpc, begin_rpc

    # ---- promises and time -------------------------------------------------------------------------------------------------------------

    def promise(
        self, *, id: str | None = None, timeout: float | None = None, idempotency_key: str | None = None, data: Any = None,
        tags: dict[str, str] | None = None,
    ) -> RFI[Any]:  # fmt: skip
        """A promise that somebody else settles: `promise = yield ctx.promise(id="approval")`, later `value = yield promise`.

        `timeout` is in seconds; `data` travels with the promise. TypeError for a value of the wrong kind.
        """
        Options().merge(id=id, timeout=timeout, idempotency_key=idempotency_key, tags=tags)  # what is refused takes no number
        name = id.removeprefix(self._child_prefix) if id else "promise"
        command: RFI[Any] = RFI(self._next_id(), "promise", name, None, (data,), option=Options().merge(timeout=timeout))
        return command.options(id=id, idempotency_key=idempotency_key, tags=tags)

    def sleep(self, secs: float) -> RFC[None]:
        """Wait at least `secs` seconds, durably: `yield ctx.sleep(60)`. Zero and less return at once."""
        if isinstance(secs, bool) or not isinstance(secs, (int, float)):
            raise TypeError(f"secs must be `float`, got {type(secs).__name__}")
        if not -1e12 < secs < 1e12:
            raise ValueError(f"secs must be a finite number of seconds, got {secs}")
        return RFC(self._next_id(), "sleep", "sleep", None, (), {"secs": secs}, seconds=max(0.0, secs))

    def typesafe[T](self, cmd: Command[T]) -> Generator[Command[T], T, T]:
        """For type checkers: `value = yield from ctx.typesafe(ctx.run(f, x))` has the type that `f` returns."""
        return (yield cmd)

    # ---- small parts -------------------------------------------------------------------------------------------------------------------

    def _next_id(self) -> str:
        self._children += 1
        return f"{self._child_prefix}{self._children}"

    def _version_of(self, func: Callable[..., Any]) -> int:
        return self._registry.latest(func)

    def _remote(self, func: str | Callable[..., Any]) -> tuple[str, int]:
        if isinstance(func, str):
            return func, self._registry.latest(func)
        name, _, version = self._registry.get(func)
        return name, version

    def _recorded(self, name: str, func: Callable[..., Any], *args: Any, **kwargs: Any) -> LFC[Any]:
        return LFC(self._next_id(), "run", name, func, args, kwargs, _ONE_ATTEMPT)


RUNNING: ContextVar[Context | None] = ContextVar("resonate_context", default=None)
"""The execution whose code runs: set once in the variables of each execution, so it costs nothing while that goes on."""


def current_context() -> Context | None:
    """The context of the durable function that runs here, None outside of one: for code that was not handed it, such as a log filter.

    Its `id` is the call's promise, its `run_id` the outermost run. What copies the variables of `contextvars` (tasks, `asyncio.to_thread`)
    keeps it; a thread that a function starts by itself has none.

    >>> from resonate import Resonate
    >>> from resonate.context import current_context
    >>> resonate = Resonate()
    >>> @resonate.register
    ... def who(ctx):
    ...     return current_context().id
    >>> resonate.run("who-1", who), current_context()
    ('who-1', None)
    """
    return RUNNING.get()


_ONE_ATTEMPT = Options(retry_policy=Options().policy_for(Context.typesafe))


def _checked(func: Callable[..., Any]) -> Callable[..., Any]:
    raw = plain_function(func)
    if not isfunction(raw):
        raise not_a_function(raw)
    return raw


class Time:
    """The time, recorded: a run that is taken up again reads the same (`now = yield ctx.time.time()`)."""

    __slots__ = ("_ctx",)

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def time(self) -> LFC[float]:
        """Seconds since the epoch."""
        return self._ctx._recorded("time.time", _read_time)

    def strftime(self, format: str) -> LFC[str]:
        """The time as text, by `time.strftime`."""
        return self._ctx._recorded("time.strftime", _format_time, format)


def _read_time(ctx: Context) -> Any:
    return ctx.get_dependency("resonate:time", time).time()


def _format_time(ctx: Context, format: str) -> Any:
    return ctx.get_dependency("resonate:time", time).strftime(format)


class Random:
    """Random numbers, recorded: a run that is taken up again reads the same (`x = yield ctx.random.random()`)."""

    __slots__ = ("_ctx",)

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def betavariate(self, alpha: float, beta: float) -> LFC[float]:
        """As `random.betavariate`."""
        return self._draw("betavariate", alpha, beta)

    def choice[T](self, seq: Sequence[T]) -> LFC[T]:
        """As `random.choice`."""
        return self._draw("choice", seq)

    def expovariate(self, lambd: float = 1) -> LFC[float]:
        """As `random.expovariate`."""
        return self._draw("expovariate", lambd)

    def getrandbits(self, k: int) -> LFC[int]:
        """As `random.getrandbits`."""
        return self._draw("getrandbits", k)

    def randint(self, a: int, b: int) -> LFC[int]:
        """As `random.randint`."""
        return self._draw("randint", a, b)

    def random(self) -> LFC[float]:
        """As `random.random`."""
        return self._draw("random")

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> LFC[int]:
        """As `random.randrange`."""
        return self._draw("randrange", start, stop, step)

    def triangular(self, low: float = 0, high: float = 1, mode: float | None = None) -> LFC[float]:
        """As `random.triangular`."""
        return self._draw("triangular", low, high, mode)

    def _draw(self, method: str, *args: Any) -> LFC[Any]:
        return self._ctx._recorded(f"random.{method}", _draws(method), *args)


@functools.cache
def _draws(method: str) -> Callable[..., Any]:
    def draw(ctx: Context, *args: Any) -> Any:
        return getattr(ctx.get_dependency("resonate:random", random), method)(*args)

    return draw
