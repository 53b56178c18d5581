"""What a call may be given besides its arguments: one frozen record, checked field by field."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from resonate.models.encoder import Encoder
from resonate.models.retry_policy import RetryPolicy
from resonate.retry_policies import Exponential, Never

ONE_YEAR_S = 31_536_000
_NO_TAGS: Mapping[str, str] = {}
STEP_POLICY: RetryPolicy = Exponential()
"""How a function that is no composition of durable steps is retried, unless told otherwise."""
_DEFAULT_POLICIES: dict[bool, RetryPolicy] = {True: Never(), False: STEP_POLICY}


@dataclass(frozen=True, slots=True)
class Options:
    """Options of one call; `timeout` is in seconds from the call, `version` 0 is the latest, `target` a group or an address.

    >>> Options().merge(timeout=60, tags={"team": "sales"}).timeout
    60
    """

    durable: bool = True
    encoder: Encoder | None = None
    id: str | None = None
    idempotency_key: str | Callable[[str], str | None] | None = None
    non_retryable_exceptions: tuple[type[Exception], ...] = ()
    retry_policy: RetryPolicy | Callable[[Callable[..., Any]], RetryPolicy] | None = None
    target: str = "default"
    tags: Mapping[str, str] = field(default_factory=lambda: _NO_TAGS)
    timeout: float = ONE_YEAR_S
    version: int = 0

    def __post_init__(self) -> None:
        for each in fields(self):
            check_option(each.name, getattr(self, each.name))

    def merge(self, **changes: Any) -> Options:
        """A copy in which every field that is given and not None is replaced (tags too: they do not add up)."""
        given = {name: value for name, value in changes.items() if value is not None}
        return replace(self, **given) if given else self

    def key_for(self, promise_id: str) -> str | None:
        """The idempotency key with which a promise of that id is created: the id itself unless told otherwise."""
        key = self.idempotency_key
        if key is None:
            return promise_id
        return key if isinstance(key, str) else key(promise_id)

    def policy_for(self, func: Callable[..., Any]) -> RetryPolicy:
        """The retry policy for a function: no retry for generators and coroutines, which are made of steps that retry, else Exponential."""
        policy = self.retry_policy
        if policy is None:
            return _DEFAULT_POLICIES[is_composed(func)]
        if isinstance(policy, RetryPolicy):
            return policy
        return policy(func)


_COMPOSED_FLAGS = inspect.CO_GENERATOR | inspect.CO_COROUTINE


def is_composed(func: Callable[..., Any]) -> bool:
    """Whether a function is a generator or coroutine function: made of durable steps, not a step itself."""
    code = getattr(func, "__code__", None)
    return code is not None and bool(code.co_flags & _COMPOSED_FLAGS)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "durable": (lambda v: isinstance(v, bool), "bool"),
    "encoder": (lambda v: v is None or isinstance(v, Encoder), "Encoder | None"),
    "id": (lambda v: v is None or isinstance(v, str), "str | None"),
    "idempotency_key": (lambda v: v is None or isinstance(v, str) or callable(v), "str | Callable[[str], str | None] | None"),
    "non_retryable_exceptions": (
        lambda v: isinstance(v, tuple) and all(isinstance(each, type) for each in v),
        "tuple[type[Exception], ...]",
    ),
    "retry_policy": (lambda v: v is None or isinstance(v, RetryPolicy) or callable(v), "RetryPolicy | Callable | None"),
    "target": (lambda v: isinstance(v, str), "str"),
    "tags": (lambda v: isinstance(v, Mapping), "dict"),
    "timeout": (_is_number, "float"),
    "version": (lambda v: isinstance(v, int), "int"),
}


def check_option(name: str, value: Any) -> None:
    """TypeError, ValueError or OverflowError that names the option, what it must be and what it was."""
    accepts, expected = _CHECKS[name]
    if not accepts(value):
        raise TypeError(f"{name} must be `{expected}`, got {type(value).__name__}")
    if name == "timeout":
        if value < 0:
            raise ValueError("timeout must be greater than or equal to zero")
        if not math.isfinite(value):
            raise (ValueError if math.isnan(value) else OverflowError)(f"timeout must be a finite number of seconds, got {value}")
    if name == "version" and value < 0:
        raise ValueError("version must be greater than or equal to zero")
