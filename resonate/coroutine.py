"""What a durable function may yield (or await, in an `async def`): commands, and the promises that some of them give back.

A command says what is to happen under which id; nothing happens before it is yielded. The short class names are those of SDK 0.6.7:
local or remote (L, R), function (F), call for the value (C) or invocation for a promise (I).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Self

from resonate.models.encoder import Encoder
from resonate.models.retry_policy import RetryPolicy
from resonate.options import Options, check_option
from resonate.protocol import NOTHING, Encoded, Kind, PromiseRecord

DEFAULT_OPTIONS = Options()

type Composed[R] = Callable[..., Generator[Any, Any, R]] | Callable[..., Coroutine[Any, Any, R]]
"""A function that is made of durable steps: a generator function or an `async def`, whose value is an R."""


@dataclass(frozen=True, slots=True)
class Promise[T]:
    """Stands for the outcome of a call that was begun: `value = yield promise`. `cid` is the run that it belongs to."""

    id: str
    cid: str

    def __bool__(self) -> bool:
        """True, as of any object. To ask it is nearly always a mistake, which is warned of: the value is what was meant."""
        text = f"{self.id} is a promise, and true whatever comes of it: `value = yield promise` waits for its value"
        warnings.warn(text, RuntimeWarning, stacklevel=2)
        return True

    def __await__(self) -> Generator[Promise[T], Any, T]:
        outcome: T = yield self
        return outcome


class Command[T]:
    """One durable operation of a run: its id in the call graph, what to call, with what, and under which options."""

    __slots__ = (
        "args", "arguments", "fingerprint", "func", "has_own_id", "id", "key", "kind", "kwargs", "name", "not_before", "option", "param",
        "promise", "seconds", "target", "timer", "version",
    )  # fmt: skip

    gives_value: bool
    """Whether yielding it gives the value (a call) or a Promise (an invocation)."""

    def __init__(
        self, id: str, kind: Kind, name: str, func: Callable[..., Any] | None = None, args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None, option: Options = DEFAULT_OPTIONS, version: int = 1, seconds: float = 0.0,
    ) -> None:  # fmt: skip
        self.id = id
        self.kind: Kind = kind
        self.name = name
        self.func = func
        self.args = args
        self.kwargs = kwargs or {}
        self.option = option
        self.version = version
        self.seconds = seconds
        self.has_own_id = False
        # Made when the command is yielded: the key and what is stored with the promise, where it goes and when, whether it resolves at
        # its deadline, its label, its arguments' text.
        self.key: str | None = id
        self.param: Encoded = NOTHING
        self.target: str | None = None
        self.timer = kind == "sleep"
        self.not_before = 0
        self.promise: PromiseRecord | None = None  # of a run: as it was when the run began here
        self.arguments: tuple[tuple[str, str], ...] = ()
        self.fingerprint: str | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r}, {self.name})"

    def _with(self, **changes: Any) -> Self:
        given = {name: value for name, value in changes.items() if value is not None}
        for name, value in given.items():
            check_option(name, value)
        if self.kind == "promise":  # as 0.6.7 reads it: 0, "" and {} say nothing
            given = {name: value for name, value in given.items() if value or name == "encoder"}
        elif self.kind == "sleep":  # nor does anything but an id
            given = {name: value for name, value in given.items() if name == "id"}
        if own_id := given.pop("id", None):  # an empty id says nothing in any call
            self.id, self.has_own_id = own_id, True
        self.option = self.option.merge(**given)
        return self


class _Local[T](Command[T]):
    __slots__ = ()

    def options(
        self, *, durable: bool | None = None, encoder: Encoder | None = None, id: str | None = None,
        idempotency_key: str | Callable[[str], str | None] | None = None,
        non_retryable_exceptions: tuple[type[Exception], ...] | None = None,
        retry_policy: RetryPolicy | Callable[[Callable[..., Any]], RetryPolicy] | None = None,
        tags: dict[str, str] | None = None, timeout: float | None = None,
    ) -> Self:  # fmt: skip
        """Set options of this call and give the same command back; `timeout` is in seconds. TypeError for a value of the wrong kind."""
        return self._with(
            durable=durable, encoder=encoder, id=id, idempotency_key=idempotency_key, non_retryable_exceptions=non_retryable_exceptions,
            retry_policy=retry_policy, tags=tags, timeout=timeout,
        )  # fmt: skip


class _Remote[T](Command[T]):
    __slots__ = ()

    def options(
        self, *, encoder: Encoder | None = None, id: str | None = None,
        idempotency_key: str | Callable[[str], str | None] | None = None, tags: dict[str, str] | None = None,
        target: str | None = None, timeout: float | None = None, version: int | None = None,
    ) -> Self:  # fmt: skip
        """Set options of this call and give the same command back; `timeout` is in seconds. TypeError for a value of the wrong kind."""
        return self._with(
            encoder=encoder, id=id, idempotency_key=idempotency_key, tags=tags, target=target, timeout=timeout, version=version
        )


class LFC[T](_Local[T]):
    """`ctx.run(...)`: call here, wait for the value."""

    __slots__ = ()
    gives_value = True

    def __await__(self) -> Generator[Command[T], Any, T]:
        outcome: T = yield self
        return outcome


class LFI[T](_Local[T]):
    """`ctx.begin_run(...)`: begin a call here, get its promise."""

    __slots__ = ()
    gives_value = False

    def __await__(self) -> Generator[Command[T], Any, Promise[T]]:
        promise: Promise[T] = yield self
        return promise


class RFC[T](_Remote[T]):
    """`ctx.rpc(...)` and `ctx.sleep(...)`: ask any worker of the target (or the clock), wait for the value."""

    __slots__ = ()
    gives_value = True

    def __await__(self) -> Generator[Command[T], Any, T]:
        outcome: T = yield self
        return outcome


class RFI[T](_Remote[T]):
    """`ctx.begin_rpc(...)`, `ctx.detached(...)` and `ctx.promise(...)`: begin elsewhere, get the promise."""

    __slots__ = ()
    gives_value = False

    def __await__(self) -> Generator[Command[T], Any, Promise[T]]:
        promise: Promise[T] = yield self
        return promise


Yieldable = LFC[Any] | LFI[Any] | RFC[Any] | RFI[Any] | Promise[Any]
"""Everything that a durable function may yield."""


def plain_function(func: Any) -> Callable[..., Any]:
    """The function itself, also where it is wrapped in a registered `Function`."""
    if type(func) is FunctionType:
        return func
    inner = getattr(func, "func", None)
    return inner if type(inner) is FunctionType and hasattr(func, "begin_rpc") else func


def not_a_function(given: Any) -> ValueError:
    """The error for a call of what is no plain function: in the words of 0.6.7, with a note that says which, and what to do."""
    name = getattr(given, "__name__", type(given).__name__)
    error = ValueError("provided callable must be a function")
    error.add_note(f"`{name}` is no plain function. Wrap it in a `def` that takes the context first: `def call(ctx, x): return {name}(x)`")
    return error
