"""The in-memory store: `machine.Machine` called in place, under one lock, with a timer for what falls due.

One owner: the lock guards the machine. Messages are handed to the listener after the lock is released, so a listener may call the
store again. A store without a listener keeps its tasks; they are sent once somebody listens.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from resonate.errors import ResonateStoreError
from resonate.machine import Machine
from resonate.models.clock import Clock
from resonate.protocol import TIMER_SLICE_S, DeliveryFailed, Message, Operation, TaskMessage
from resonate.stores.promises import PromiseStore
from resonate.timers import Timers
from resonate.wire.legacy import address_of

Listener = Callable[[Message], None]


class LocalStore:
    """Promises in the memory of this process; they are gone when it ends.

    `clock` offers `time()` in seconds; without one the wall clock is used.

    >>> store = LocalStore()
    >>> store.promises.create("a", timeout=2**45).state
    'PENDING'
    >>> store.promises.resolve("a", data="1").value.data
    '1'
    """

    in_place = True
    """Answers come at once, in the calling thread."""
    sole_owner = True
    """No other process can see these promises, so nobody else can take a run over."""
    where = ("memory", "in memory")
    """What kind of place this is, and how the notebook calls it."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock: Any = clock or time
        self._machine = Machine()
        self._lock = threading.Lock()
        self._listener: Listener | None = None
        self._timers: Timers | None = None
        self._tick_at: int | None = None
        self.promises = PromiseStore(self.call)

    def call(self, operations: Sequence[Operation]) -> list[Any]:
        """Carry out operations in order. Each answer stands at its operation's place; a refused one is the error itself."""
        answers: list[Any] = []
        machine = self._machine
        with self._lock:
            now = int(self._clock.time() * 1000)
            for operation in operations:
                try:
                    answers.append(machine.apply(operation, now))
                except ResonateStoreError as error:
                    answers.append(error)
            messages = machine.take_messages() if machine.messages else None
            due = machine.next_due()
            must_wake = due is not None and (self._tick_at is None or due < self._tick_at)
            if must_wake:
                self._tick_at = due
        if must_wake and due is not None:
            self._wake_at(due)
        if messages:
            self._deliver(messages)
        return answers

    def listen(self, listener: Listener) -> None:
        """Hand every message from now on to `listener`, whatever address it is for: there is one process."""
        self._listener = listener

    def address(self, target: str) -> str:
        """The address of a logical target, as promises carry it."""
        return address_of(target)

    def start(self) -> None:
        """Begin to act when deadlines and leases fall due. Starting twice is starting once."""
        with self._lock:
            if self._timers is not None:
                return
            self._timers = Timers("resonate-store")
            self._tick_at = None
            self._machine.redeliver(int(self._clock.time() * 1000))
        self._tick(None)

    def stop(self, timeout_s: float = 0.0) -> None:
        """Act no more by itself; what is stored stays, and operations are still answered."""
        with self._lock:
            timers, self._timers = self._timers, None
            self._listener = None
        if timers is not None:
            timers.stop(timeout_s)

    def _wake_at(self, due: int) -> None:
        timers = self._timers
        if timers is not None:
            # A wall clock may jump: look again at least every minute rather than trust one long wait.
            timers.after(min(due / 1000 - self._clock.time(), TIMER_SLICE_S), lambda: self._tick(due))

    def _tick(self, due: int | None) -> None:
        with self._lock:
            if due != self._tick_at:
                return  # an earlier moment was set since; that one looks after the rest
            self._machine.tick(int(self._clock.time() * 1000))
            messages = self._machine.take_messages()
            self._tick_at = due = self._machine.next_due()
        if due is not None:
            self._wake_at(due)
        self._deliver(messages)

    def _deliver(self, messages: list[Message]) -> None:
        listener = self._listener
        for message in messages:
            if listener is not None:
                listener(message)
            elif isinstance(message, TaskMessage):
                self.call([DeliveryFailed(message.id, message.counter)])
