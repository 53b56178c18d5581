"""One thread that calls back at given times. Callbacks are short and never run user code."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

from resonate.interrupts import start_thread
from resonate.limits import TIMER_SLICE_S

logger = logging.getLogger("resonate")


class Timers:
    """Calls functions at monotonic times, each once, in order of time and then of asking.

    >>> timers = Timers("example")
    >>> timers.after(0.0, lambda: None)
    >>> timers.stop()
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._number = itertools.count()
        self._lock = threading.Lock()
        # Entered by its lock alone, which an interrupt cannot leave held: entering a condition is Python code, in which one may arrive.
        self._changed = threading.Condition(self._lock)
        self._thread: threading.Thread | None = None
        self._stopped = False

    def after(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Call `callback` in `delay_s` seconds, measured on the monotonic clock."""
        due = time.monotonic() + max(0.0, delay_s)
        with self._lock:
            if self._stopped:
                return
            heapq.heappush(self._heap, (due, next(self._number), callback))
            if self._thread is None:
                self._thread = start_thread(self._run, self._name)
            elif self._heap[0][0] == due:
                self._changed.notify()

    def stop(self, timeout_s: float = 0.0) -> None:
        """Forget what is due and end the thread, waiting at most `timeout_s` for it."""
        with self._lock:
            self._stopped = True
            self._heap.clear()
            self._changed.notify()
            thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            with self._lock:
                while not self._stopped and (not self._heap or self._heap[0][0] > time.monotonic()):
                    wait_s = self._heap[0][0] - time.monotonic() if self._heap else TIMER_SLICE_S
                    self._changed.wait(min(max(wait_s, 0.0), TIMER_SLICE_S))
                if self._stopped:
                    return
                callback = heapq.heappop(self._heap)[2]
            try:
                callback()
            except (Exception, SystemExit):
                # A timer serves many runs: one that fails is reported and must not take the others with it.
                logger.exception("a timer of %s failed", self._name)
