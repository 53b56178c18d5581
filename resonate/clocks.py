"""Clocks to test with: time that stands still until it is told to go on."""

from __future__ import annotations

import time


class StepClock:
    """A clock that moves when it is told to, never backwards.

    >>> clock = StepClock()
    >>> clock.step(60.5)
    >>> clock.time(), clock.strftime("%H:%M:%S")
    (60.5, '00:01:00')
    """

    def __init__(self) -> None:
        self._now_s = 0.0

    def step(self, time: float) -> None:
        """Set the time, in seconds since the epoch. ValueError when that would be backwards."""
        if time < self._now_s:
            raise ValueError(f"a clock cannot go back from {self._now_s} to {time}")
        self._now_s = float(time)

    def time(self) -> float:
        """Seconds since the epoch."""
        return self._now_s

    def strftime(self, format: str, /) -> str:
        """The time as text, in UTC."""
        return time.strftime(format, time.gmtime(self._now_s))
