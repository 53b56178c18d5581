"""Whether a server can be reached: threads wait here for their turn to ask it. `pace` decides whose turn it is."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from resonate.errors import StoreUnavailable
from resonate.limits import REFUSED_PAUSE_S, REQUESTS_LIMIT, WAIT_SLICE_S
from resonate.models.retry_policy import RetryPolicy
from resonate.transport.pace import Pace

logger = logging.getLogger("resonate.stores.remote")


class Impatient(Exception):
    """The server could not be reached for as long as it was waited for."""


class Stopped(Exception):
    """The client was stopped."""


class Line:
    """One server's, for all threads of a client. Each turn is ended by one of `answered`, `failed`, `refused` and `gave_up`."""

    def __init__(self, url: str, policy: RetryPolicy | None = None) -> None:
        self._url = url
        self._policy = policy
        self.lock = threading.Lock()
        # Entered by its lock alone, which an interrupt cannot leave held: entering a condition is Python code, in which one may arrive.
        self._changed = threading.Condition(self.lock)
        self._pace = Pace(REQUESTS_LIMIT)
        self._waiting = 0
        self._failures = 0
        self._is_hopeless = False  # whoever would wait is told at once
        self.trouble: StoreUnavailable | None = None
        """Why the server cannot be asked; None while it can."""
        self.is_stopped = False
        self.log_level = logging.NOTSET
        """What is below it is not said."""
        self.on_refused: Callable[[StoreUnavailable], None] = lambda error: None
        self.outages = 0
        """How often the server has come back after it could not be reached."""
        self.on_back: list[Callable[[], None]] = []

    def turn_now(self) -> bool | None:
        """A turn where one can be had without waiting, else None."""
        with self.lock:
            return None if self._pace.is_down or self._waiting else self._pace.ask(time.monotonic())

    def wait_turn(self, until: float | None) -> bool:
        """Wait for a turn to ask the server. Raises `Impatient` at `until` (by the monotonic clock; None: never), or `Stopped`."""
        with self.lock:
            turn = None if self._waiting else self._turn(until)
            if turn is not None:
                return turn
            self._waiting += 1
            try:
                while (turn := self._turn(until)) is None:
                    pause_s = self._pace.next_try - time.monotonic() if self._pace.is_down else WAIT_SLICE_S
                    self._changed.wait(max(0.001, min(pause_s, WAIT_SLICE_S)))
                return turn
            finally:
                self._waiting -= 1

    def _turn(self, until: float | None) -> bool | None:
        now = time.monotonic()
        if self.is_stopped and (until is None or self.trouble is not None):
            raise Stopped if until is None else Impatient
        if until is not None and self.trouble is not None and (now >= until or (self._is_hopeless and now < self._pace.next_try)):
            raise Impatient
        return self._pace.ask(now)

    def answered(self, turn: bool) -> None:
        """The server answered: others may go on."""
        with self.lock:
            is_back = self._pace.answered(turn)
            if is_back:
                self.outages += 1
                self.trouble, self._failures, self._is_hopeless = None, 0, False
            if self._waiting:
                self._changed.notify(2)  # the window may have grown by one
        if is_back:
            self._say("%s answers again; what has waited goes on")
            for tell in self.on_back:
                tell()

    def failed(self, why: str, turn: bool, *, is_told: bool = False) -> None:
        """Nobody answered; `is_told` says that whoever asked will hear of it."""
        pause_s, gives_up = self._by_policy()  # which is the user's, so under no lock
        trouble = StoreUnavailable(
            f"{self._url} cannot be asked: {why}. Runs go on as soon as it answers. Is a server started there? "
            "`python -m resonate dev` starts one."
        )
        with self.lock:
            is_news = self.trouble is None
            self._pace.failed(turn, time.monotonic(), random.random(), pause_s)  # noqa: S311 - nothing secret
            self._failures += 1
            self.trouble, self._is_hopeless = trouble, gives_up
            self._changed.notify_all()
        if is_news and not is_told:
            self._say("%s cannot be asked: %s. Runs wait, and go on as soon as it answers.", why)

    def refused(self, why: str, turn: bool) -> None:
        """The server will not answer like that: it is left alone for a while, and everybody who waits is told."""
        error = StoreUnavailable(f"{self._url} cannot be used: {why}.")
        with self.lock:
            self._pace.failed(turn, time.monotonic(), 0.0, REFUSED_PAUSE_S)
            self.trouble, self._is_hopeless = error, True
            self._changed.notify_all()
        self.on_refused(error)

    def gave_up(self, turn: bool) -> None:
        """Whoever asked was interrupted before there was an answer."""
        with self.lock:
            self._pace.gave_up(turn)
            self._changed.notify_all()

    def _by_policy(self) -> tuple[float | None, bool]:
        """(the pause until the next try where the user's policy knows one, whether callers are told at once). Runs wait all the same."""
        if self._policy is None:
            return None, False
        try:
            pause_s = self._policy.next(self._failures)  # from 0, as in 0.6.7: the first retry comes at once
            return (None, True) if pause_s is None else (max(0.0, float(pause_s)), False)
        except (Exception, SystemExit):
            logger.exception("the retry policy of %s failed; it is tried again as without one", self._url)
            return None, False

    def _say(self, text: str, *more: str) -> None:
        if self.log_level <= logging.WARNING:
            logger.warning(text, self._url, *more)

    def stop(self) -> None:
        """Let everybody go who waits."""
        with self.lock:
            self.is_stopped = True
            self._changed.notify_all()

    def go_on(self) -> None:
        """Begin again after a stop."""
        with self.lock:
            self.is_stopped = False
