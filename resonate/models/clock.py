"""What tells the time."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Clock(Protocol):
    """Seconds since the epoch, and their text; the `time` module is one."""

    def time(self) -> float:
        """Seconds since the epoch."""
        ...

    def strftime(self, format: str, /) -> str:
        """The time as text."""
        ...
