"""A few threads that send requests and wait for replies. They never run user code.

No `ThreadPoolExecutor`: its threads are joined when the interpreter ends, and one that waits for a server which hangs would keep it from
ending. These are daemons, and a stop leaves those alone that take too long.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic

from resonate.interrupts import Uninterrupted, start_thread

logger = logging.getLogger("resonate")


class IoThreads:
    """At most `limit` threads, started as they are needed; each takes the next thing to do when it is done with one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._free = 0  # threads that wait for something to do, less what waits for them
        self._stopped = False

    @property
    def busy(self) -> bool:
        """Whether anything is being done, or waits."""
        return self._free < len(self._threads)

    def put(self, do: Callable[[], None]) -> None:
        """Have something done soon."""
        with self._lock:
            if self._stopped:
                return
            self._free -= 1
            if self._free < 0 and len(self._threads) < self._limit:
                with Uninterrupted():
                    self._threads.add(start_thread(self._work, "resonate-io"))
                    self._free += 1
        self._queue.put(do)

    def _work(self) -> None:
        try:
            while (do := self._queue.get()) is not None:
                try:
                    do()
                except (Exception, SystemExit):
                    # What is sent turns its failures into answers; what arrives here is a fault of ours, and others need the thread.
                    logger.exception("a request could not be carried out")
                with self._lock:
                    self._free += 1
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def stop(self, timeout_s: float) -> None:
        """Begin nothing more, and end the threads as soon as they are done with what they do; wait at most `timeout_s` for it."""
        with self._lock:
            threads, self._stopped = list(self._threads), True
        for _ in threads:
            self._queue.put(None)
        deadline = monotonic() + timeout_s
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - monotonic()))
