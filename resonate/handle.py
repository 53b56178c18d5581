"""What a caller holds of a run that it launched or looked up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from resonate.encoders import DEFAULT
from resonate.errors import StepEnded
from resonate.interrupts import Uninterrupted
from resonate.limits import WAIT_SLICE_S
from resonate.models.durable_promise import outcome_of
from resonate.models.encoder import Encoder
from resonate.models.result import Ok
from resonate.protocol import PromiseRecord

logger = logging.getLogger("resonate")


class Handle[T]:
    """A run's outcome, now or later.

    >>> from resonate import Resonate
    >>> resonate = Resonate()
    >>> @resonate.register
    ... def add(ctx, a, b):
    ...     return a + b
    >>> handle = add.begin_run("handle-example", 1, 2)
    >>> handle.id, handle.result(timeout=10)
    ('handle-example', 3)
    """

    def __init__(self, id: str, encoder: Encoder, blocking: Callable[[], AbstractContextManager[Any]], client: Any = None) -> None:
        self._id = id
        self._client = client  # for those who show the run
        self._encoder = encoder
        self._blocking = blocking
        self._future: Future[T] = Future()
        # What is waited for: no lock of it can be left held by an interrupt, as those of a future can.
        self._arrived: SimpleQueue[None] = SimpleQueue()

    def __repr__(self) -> str:
        return f"Handle(id={self._id!r}, {'done' if self.done() else 'pending'})"

    @property
    def id(self) -> str:
        """The id of the run's promise."""
        return self._id

    @property
    def future(self) -> Future[T]:
        """A `concurrent.futures.Future` of the same outcome."""
        return self._future

    @property
    def runs_user_code(self) -> bool:
        """Whether settling it calls code of the user: a callback on its future, or an encoder of theirs."""
        return self._encoder is not DEFAULT or bool(getattr(self._future, "_done_callbacks", True))

    def done(self) -> bool:
        """Whether the outcome is here."""
        with Uninterrupted():
            return self._future.done()

    def wait(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for the outcome; whether it is here."""
        with suppress(Empty):
            if not self.done() and timeout > 0:
                self._arrived.get(timeout=timeout)
                self._arrived.put(None)  # others may wait too
        return self.done()

    def result(self, timeout: float | None = None) -> T:
        """Wait for the value, at most `timeout` seconds (then the builtin TimeoutError). Raises the run's own error.

        An interrupt (Ctrl-C) is answered at once; the run goes on.
        """
        if not self.done():
            deadline = None if timeout is None else monotonic() + timeout
            with self._blocking():
                while not self.wait(WAIT_SLICE_S if deadline is None else min(WAIT_SLICE_S, deadline - monotonic())):
                    if deadline is not None and monotonic() >= deadline:
                        raise TimeoutError(f"{self._id} has no outcome after {timeout} s; it goes on")
        with Uninterrupted():
            return self._future.result()

    def __await__(self) -> Generator[Any, None, T]:
        import asyncio  # whoever awaits has it

        # Shielded: a task that is cancelled while it waits must not cancel the future that others wait for.
        return asyncio.shield(asyncio.wrap_future(self._future)).__await__()

    def _settle(self, record: PromiseRecord) -> None:
        """Take the outcome over from the settled promise. Called once, outside every lock."""
        try:
            outcome = outcome_of(record, self._encoder)
        except Exception as error:  # a damaged value, or the user's encoder: it belongs to whoever waits
            self._fail(error)
        except BaseException as error:
            self._fail(StepEnded(f"reading the outcome of {self._id} raised {type(error).__name__}"))
        else:
            if isinstance(outcome, Ok):
                self._take(self._future.set_result, outcome.value)
            else:
                self._fail(outcome.value)

    def _orphan(self, error: Exception) -> None:
        """In the child of a fork, where the future's lock may be held by a thread that is not there."""
        self._future, self._arrived = Future(), SimpleQueue()
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._take(self._future.set_exception, error)

    def _take(self, setter: Callable[[Any], None], outcome: Any) -> None:
        if not self._future.done():
            try:
                setter(outcome)
            except BaseException as error:  # a callback on `future` that exits, or a `future.cancel()` that came in between
                logger.warning("after %s had settled, a callback on its future raised %r", self._id, error)
        self._arrived.put(None)
