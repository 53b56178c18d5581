"""When a failed function is called again. `next(attempt)` is the wait in seconds after the `attempt`-th failure, None to give up."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import final


def _check(attempt: int) -> None:
    assert attempt >= 0, "attempts are counted from zero up"


@final
@dataclass(frozen=True)
class Never:
    """No retry.

    >>> Never().next(1) is None
    True
    """

    def next(self, attempt: int) -> float | None:
        """0 before the first attempt, then None."""
        _check(attempt)
        return 0 if attempt == 0 else None


@final
@dataclass(frozen=True)
class Constant:
    """The same wait, `delay` seconds, before each of at most `max_retries` retries.

    >>> [Constant(delay=2, max_retries=2).next(attempt) for attempt in (0, 1, 2, 3)]
    [0, 2, 2, None]
    """

    delay: float = 1
    max_retries: int = sys.maxsize

    def next(self, attempt: int) -> float | None:
        """The wait in seconds, None to give up."""
        _check(attempt)
        if attempt > self.max_retries:
            return None
        return 0 if attempt == 0 else self.delay


@final
@dataclass(frozen=True)
class Linear:
    """A wait that grows by `delay` seconds with each retry.

    >>> [Linear(delay=2, max_retries=2).next(attempt) for attempt in (0, 1, 2, 3)]
    [0, 2, 4, None]
    """

    delay: float = 1
    max_retries: int = sys.maxsize

    def next(self, attempt: int) -> float | None:
        """The wait in seconds, None to give up."""
        _check(attempt)
        return None if attempt > self.max_retries else self.delay * attempt


@final
@dataclass(frozen=True)
class Exponential:
    """A wait that is multiplied by `factor` with each retry, up to `max_delay` seconds. The default for plain functions.

    >>> [Exponential().next(attempt) for attempt in (0, 1, 2, 5, 5000)]
    [0, 2.0, 4.0, 30, 30]
    """

    delay: float = 1
    max_retries: int = sys.maxsize
    factor: float = 2
    max_delay: float = 30

    def next(self, attempt: int) -> float | None:
        """The wait in seconds, None to give up."""
        _check(attempt)
        if attempt > self.max_retries:
            return None
        if attempt == 0:
            return 0
        try:
            return min(self.delay * float(self.factor) ** attempt, self.max_delay)
        except OverflowError:
            return self.max_delay
