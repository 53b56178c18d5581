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
        self._changed = threading.Condition(self.lock)
        self._pace = Pace(REQUESTS_LIMIT)
        self._waiting = 0
        self._failures = 0
        self._is_refused = False
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
        with self._changed:
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
        if until is not None and self.trouble is not None and (now >= until or (self._is_refused and now < self._pace.next_try)):
            raise Impatient
        return self._pace.ask(now)

    def answered(self, turn: bool) -> None:
        """The server answered: others may go on."""
        with self._changed:
            is_back = self._pace.answered(turn)
            if is_back:
                self.outages += 1
                self.trouble, self._failures, self._is_refused = None, 0, False
                self._say("%s answers again; what has waited goes on")
            if self._waiting:
                self._changed.notify(2)  # the window may have grown by one
        for tell in self.on_back if is_back else ():
            tell()

    def failed(self, why: str, turn: bool, *, is_told: bool = False) -> None:
        """Nobody answered; `is_told` says that whoever asked will hear of it."""
        with self._changed:
            if self.trouble is None and not is_told:
                self._say("%s cannot be asked: %s. Runs wait, and go on as soon as it answers.", why)
            pause_s = self._policy.next(self._failures) if self._policy is not None else None
            self._pace.failed(turn, time.monotonic(), random.random(), None if pause_s is None else max(0.0, float(pause_s)))  # noqa: S311
            self._failures += 1
            self._is_refused = False
            self.trouble = StoreUnavailable(
                f"{self._url} cannot be asked: {why}. Runs go on as soon as it answers. Is a server started there? "
                "`python -m resonate dev` starts one."
            )
            self._changed.notify_all()

    def refused(self, why: str, turn: bool) -> None:
        """The server will not answer like that: it is left alone for a while, and everybody who waits is told."""
        error = StoreUnavailable(f"{self._url} cannot be used: {why}.")
        with self._changed:
            self._pace.failed(turn, time.monotonic(), 0.0, REFUSED_PAUSE_S)
            self.trouble, self._is_refused = error, True
            self._changed.notify_all()
        self.on_refused(error)

    def gave_up(self, turn: bool) -> None:
        """Whoever asked was interrupted before there was an answer."""
        with self._changed:
            self._pace.gave_up(turn)
            self._changed.notify_all()

    def _say(self, text: str, *more: str) -> None:
        if self.log_level <= logging.WARNING:
            logger.warning(text, self._url, *more)

    def stop(self) -> None:
        """Let everybody go who waits."""
        with self._changed:
            self.is_stopped = True
            self._changed.notify_all()

    def go_on(self) -> None:
        """Begin again after a stop."""
        with self._changed:
            self.is_stopped = False
