"""How facts reach those who watch: bounded buffers, one for each observer, so that watching can never slow or block a run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from resonate.events import Event
from resonate.limits import EVENT_BUFFER_LIMIT


class Subscription:
    """A bounded buffer of facts. One thread reads; when it falls behind, facts are dropped and `gap` says so.

    >>> from resonate import Resonate
    >>> subscription = Resonate().subscribe()
    >>> subscription.read()
    []
    >>> subscription.close()
    """

    def __init__(self, run_id: str | None, close: Callable[[Subscription], None], limit: int = EVENT_BUFFER_LIMIT) -> None:
        self.run_id = run_id
        self._close = close
        self._limit = limit
        self._buffer: SimpleQueue[Event] = SimpleQueue()  # whose every call is one step: an interrupt can leave no lock of it held
        self._gap = False

    @property
    def gap(self) -> bool:
        """Whether facts were dropped since this was last asked; a fresh `Resonate.snapshot` is due then."""
        gap, self._gap = self._gap, False
        return gap

    def read(self, timeout_s: float = 0.0) -> list[Event]:
        """All facts that have arrived, oldest first; waits at most `timeout_s` seconds for the first one."""
        facts: list[Event] = []
        with suppress(Empty):
            if timeout_s > 0:
                facts.append(self._buffer.get(timeout=timeout_s))
            while True:
                facts.append(self._buffer.get_nowait())
        return facts

    def close(self) -> None:
        """Receive no more facts; what has arrived can still be read."""
        self._close(self)

    def _put(self, event: Event) -> None:
        if self.run_id is not None and event.run != self.run_id:
            return
        if self._buffer.qsize() >= self._limit:
            self._gap = True
            return
        self._buffer.put(event)


class Observers:
    """Everybody who watches one client."""

    def __init__(self) -> None:
        self._subscriptions: Sequence[Subscription] = ()
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._subscriptions)

    def subscribe(self, run_id: str | None = None, limit: int = EVENT_BUFFER_LIMIT) -> Subscription:
        """A new subscription to one outermost run, or to all."""
        subscription = Subscription(run_id, self._remove, limit)
        with self._lock:
            self._subscriptions = (*self._subscriptions, subscription)
        return subscription

    def publish(self, event: Event) -> None:
        """Put a fact into every buffer. Takes no lock that a reader could hold."""
        for subscription in self._subscriptions:
            subscription._put(event)

    def _remove(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions = tuple(each for each in self._subscriptions if each is not subscription)
