"""What all peers of the benchmark share: what a peer is, what a step does, and when steps ended."""

from __future__ import annotations

import itertools
import uuid
from typing import Any, Protocol

STEP_ENDS_S: list[float] = []
"""When each step of `seq` was back in its caller, on the performance counter."""
_PREFIX = uuid.uuid4().hex[:8]
_NUMBERS = itertools.count()


class Peer(Protocol):
    """What is measured. Each call answers the workload's result, so that a wrong one is a failure and not a fast peer.

    A peer need not have all of them: `cases.py` says what is measured under whom.
    """

    def seq(self, count: int) -> int: ...
    def fanout(self, count: int) -> int: ...
    def fib(self, number: int) -> int: ...
    def nested(self, depth: int) -> int: ...
    def one(self, value: int) -> int: ...
    def sleep(self, count: int, seconds: float) -> int: ...
    def begin_sleepers(self, count: int, seconds: float) -> None: ...
    def replay(self, count: int) -> dict[str, Any]: ...
    def observed(self, count: int) -> dict[str, Any]: ...


def increment(value: int) -> int:
    """The step of all workloads."""
    return value + 1


def new_id() -> str:
    """An id that no other run has."""
    return f"{_PREFIX}-{next(_NUMBERS)}"


def fibonacci(number: int) -> int:
    low, high = 0, 1
    for _ in range(number):
        low, high = high, low + high
    return low


def expect(answer: Any, expected: Any) -> None:
    if answer != expected:
        raise AssertionError(f"wrong result: {answer}, not {expected}")
