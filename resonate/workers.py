"""The threads that run user code: at most `count` functions at once, and none of them can starve the rest.

A worker that blocks (a function that launches a run and waits for its result) gives its place to another thread and takes a place
again before it goes on. So `count` bounds what runs, and even one worker never deadlocks on nested runs.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from time import monotonic
from typing import Any

from resonate.interrupts import Uninterrupted, start_thread
from resonate.limits import STEPS_IN_A_ROW_LIMIT, WAIT_SLICE_S

logger = logging.getLogger("resonate")


class _Handover:
    """A worker that was blocked wants its place back: whoever takes this ends, and the other goes on."""

    def __init__(self) -> None:
        self.granted = threading.Event()


class Workers[Job]:
    """A pool of `count` threads. `perform(job)` does a job and gives the jobs that follow from it; the last is done next, at
    once. `ending()` is called by each thread before it ends.
    """

    def __init__(self, count: int, perform: Callable[[Job], list[Job]], ending: Callable[[], None] = lambda: None) -> None:
        self._count = count
        self._perform = perform
        self._ending = ending
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._here = threading.local()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def put(self, job: Job) -> None:
        """Have a job done by some worker."""
        self._queue.put(job)

    def has_work(self) -> bool:
        """Whether something waits to be done."""
        return not self._queue.empty()

    def start(self) -> None:
        """Start the threads."""
        for _ in range(self._count):
            self._spawn()

    def stop(self, timeout_s: float) -> bool:
        """End the threads when their current step ends; whether all did within `timeout_s`."""
        with self._lock:
            self._stopped = True
            threads = list(self._threads)
        for _ in threads:
            self._queue.put(None)
        deadline = monotonic() + timeout_s
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - monotonic()))
        return not any(thread.is_alive() for thread in threads)

    @contextmanager
    def blocking(self) -> Iterator[None]:
        """Around a wait: if this thread is a worker, another takes its place meanwhile."""
        if not getattr(self._here, "is_worker", False):
            yield
            return
        self._spawn()
        try:
            yield
        finally:
            handover = _Handover()
            self._queue.put(handover)
            while not handover.granted.wait(WAIT_SLICE_S) and not self._stopped:
                continue

    def _spawn(self) -> None:
        with self._lock:
            if not self._stopped:
                with Uninterrupted():
                    self._threads.add(start_thread(self._work, "resonate-worker"))

    def _work(self) -> None:
        self._here.is_worker = True
        try:
            while not self._stopped:
                job = self._queue.get()
                if job is None:
                    return
                if isinstance(job, _Handover):
                    job.granted.set()
                    return
                self._do(job)
        finally:
            self._ending()
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _do(self, job: Job | None) -> None:
        in_a_row = 0
        while job is not None:
            try:
                jobs = self._perform(job)
            except Exception:
                # The runtime turns every failure of user code into that run's own; what arrives here is a fault of ours.
                logger.exception("a step could not be carried out")
                return
            job = jobs.pop() if jobs else None
            for other in jobs:
                self._queue.put(other)
            in_a_row += 1
            if job is not None and in_a_row >= STEPS_IN_A_ROW_LIMIT and not self._queue.empty():
                self._queue.put(job)
                return
