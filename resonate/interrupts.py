"""Ctrl-C at the right moment: what must not be left half done is ended first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from signal import SIGINT
from types import FrameType
from typing import Any

try:  # what `signal` is made of: twenty times as fast, because it makes no enum of each handler
    from _signal import getsignal, signal  # type: ignore[import-not-found]
except ImportError:
    from signal import getsignal, signal


class Uninterrupted:
    """Lets a Ctrl-C wait until the block has ended; for blocks that take no longer than a person notices.

    Only the main thread is ever interrupted, so in others this does nothing.

    >>> with Uninterrupted():
    ...     pass
    """

    __slots__ = ("_came", "_previous")

    def __enter__(self) -> None:
        self._previous: Any = None
        if threading.current_thread() is threading.main_thread():
            self._came: list[tuple[int, FrameType | None]] = []
            handler = getsignal(SIGINT)
            if callable(handler):
                self._previous = handler
                signal(SIGINT, lambda number, frame: self._came.append((number, frame)))

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal(SIGINT, self._previous)
            if self._came:
                self._previous(*self._came[0])


def start_thread(target: Callable[[], None], name: str) -> threading.Thread:
    """A daemon thread that has begun. `Thread.start` alone, when it is interrupted, leaves nobody to know whether it has.

    >>> start_thread(lambda: None, "example").join()
    """
    with Uninterrupted():
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        return thread
