"""Whether a server can be reached. While it cannot, whoever wants to ask it waits, and one at a time tries.

Pauses between tries grow to `BACKOFF_LIMIT_S` and differ by chance, so that the clients of a server that comes back do not all ask in the
same moment. As soon as one try is answered everybody goes on.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from resonate.errors import StoreUnavailable
from resonate.models.retry_policy import RetryPolicy
from resonate.protocol import BACKOFF_FIRST_S, BACKOFF_LIMIT_S, REFUSED_PAUSE_S, WAIT_SLICE_S

logger = logging.getLogger("resonate.stores.remote")


class Impatient(Exception):
    """The server could not be reached for as long as it was waited for."""


class Stopped(Exception):
    """The client was stopped."""


class Line:
    """One server's. Any thread may ask."""

    def __init__(self, url: str, policy: RetryPolicy | None = None) -> None:
        self._url = url
        self._policy = policy
        self.lock = threading.Lock()
        self._changed = threading.Condition(self.lock)
        self.trouble: StoreUnavailable | None = None
        """Why the server cannot be asked; None while it can."""
        self._failures = 0
        self._next_try = 0.0
        self._is_tried = False  # just now, by somebody
        self._is_refused = False
        self.is_stopped = False
        self.log_level = logging.NOTSET
        """What is below it is not said."""
        self.on_refused: Callable[[StoreUnavailable], None] = lambda error: None

    @property
    def is_down(self) -> bool:
        """Whether nobody answered the last try."""
        return self.trouble is not None

    def wait_turn(self, until: float | None) -> None:
        """Wait until the server can be asked, or until it is this thread's turn to try. Raises `Impatient` at `until`, or `Stopped`."""
        if self.trouble is None and not self.is_stopped:
            return
        with self._changed:
            while True:
                if self.is_stopped and (until is None or self.trouble is not None):
                    raise Stopped if until is None else Impatient
                if self.trouble is None:
                    return
                now = time.monotonic()
                if until is not None and (now >= until or (self._is_refused and now < self._next_try)):
                    raise Impatient
                if not self._is_tried and now >= self._next_try:
                    self._is_tried = True
                    return
                pause_s = WAIT_SLICE_S if self._is_tried else max(0.001, min(self._next_try - now, WAIT_SLICE_S))
                self._changed.wait(pause_s)

    def answered(self) -> None:
        """A try was answered: everybody goes on."""
        if self.trouble is None:
            return
        with self._changed:
            if self.trouble is not None:
                self.trouble, self._failures, self._is_tried, self._is_refused = None, 0, False, False
                self._say("%s answers again; what has waited goes on")
                self._changed.notify_all()

    def failed(self, why: str, *, is_told: bool = False) -> None:
        """Nobody answered; `is_told` says that whoever tried will hear of it."""
        with self._changed:
            if self.trouble is not None and not self._is_tried:
                return  # it was sent before that was known
            if self.trouble is None and not is_told:
                self._say("%s cannot be asked: %s. Runs wait, and go on as soon as it answers.", why)
            self.trouble = StoreUnavailable(
                f"{self._url} cannot be asked: {why}. Runs go on as soon as it answers. Is a server started there? "
                "`python -m resonate dev` starts one."
            )
            pause_s = self._pause_s()
            self._failures += 1
            self._is_tried = self._is_refused = False
            self._next_try = time.monotonic() + pause_s
            self._changed.notify_all()

    def refused(self, why: str) -> None:
        """The server will not answer like that: it is left alone for a while, and everybody who waits is told."""
        error = StoreUnavailable(f"{self._url} cannot be used: {why}.")
        with self._changed:
            self.trouble, self._is_tried, self._is_refused = error, False, True
            self._failures += 1
            self._next_try = time.monotonic() + REFUSED_PAUSE_S
            self._changed.notify_all()
        self.on_refused(error)

    def gave_up(self) -> None:
        """Whoever tried was interrupted before there was an answer."""
        with self._changed:
            self._is_tried = False
            self._changed.notify_all()

    def _say(self, text: str, *more: str) -> None:
        if self.log_level <= logging.WARNING:
            logger.warning(text, self._url, *more)

    def _pause_s(self) -> float:
        if self._policy is not None:
            pause_s = self._policy.next(self._failures)
            if pause_s is not None:
                return max(0.0, float(pause_s))
        grown = BACKOFF_FIRST_S * 2.0 ** min(self._failures, 20)
        return min(BACKOFF_LIMIT_S, grown) * random.uniform(1.0, 1.25)  # noqa: S311 (nothing secret)

    def stop(self) -> None:
        """Let everybody go who waits."""
        with self._changed:
            self.is_stopped = True
            self._changed.notify_all()

    def go_on(self) -> None:
        """Begin again after a stop."""
        with self._changed:
            self.is_stopped = False
