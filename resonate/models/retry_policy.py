"""What decides whether and when a failed function is called again."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class RetryPolicy(Protocol):
    """`next(attempt)` is the delay in seconds after the `attempt`-th failure (from 1), or None to give up."""

    def next(self, attempt: int) -> float | None:
        """Seconds to wait before the next attempt, or None."""
        ...
