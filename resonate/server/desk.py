"""The one thread of the server that asks the store. A store may wait for the disk or for another process, the event loop never.

Whatever has come in by the time that the store is free is asked in one call: concurrent writers share one turn, and one commit.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any

from resonate.errors import ResonateStoreError
from resonate.limits import REQUEST_BATCH_LIMIT, REQUESTS_WAITING_LIMIT
from resonate.locks import AcquireLock, KeepLocks, Locks, ReleaseLock
from resonate.protocol import Operation, refusal
from resonate.stores.local import LocalStore

logger = logging.getLogger("resonate")

_LOCK_OPERATIONS = (AcquireLock, KeepLocks, ReleaseLock)


class _Entry:
    """Operations that wait for the store, and who waits for the answers; nobody does where `future` is None."""

    __slots__ = ("answers", "future", "operations")

    def __init__(self, operations: Sequence[Any], future: asyncio.Future[list[Any]] | None) -> None:
        self.operations = operations
        self.future = future
        self.answers: list[Any] = []


class Desk:
    """Asks `store` for the event loop `loop`."""

    def __init__(self, store: LocalStore, loop: asyncio.AbstractEventLoop) -> None:
        self._store = store
        self._loop = loop
        self._locks = Locks()
        self._is_to_send = False
        self._queue: SimpleQueue[_Entry | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="resonate-server-store", daemon=True)
        self._thread.start()

    async def ask(self, operations: Sequence[Any]) -> list[Any]:
        """The answers to operations, which are carried out together. For the event loop.

        A refused operation's answer is the error itself. `ResonateStoreError` (50301) when too many wait already.
        """
        if self._queue.qsize() > REQUESTS_WAITING_LIMIT:
            raise refusal(50301, "too many requests wait for the store")
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        self._queue.put(_Entry(operations, future))
        return await future

    def tell(self, operation: Operation) -> None:
        """Have an operation carried out soon. From any thread; never blocks."""
        self._queue.put(_Entry((operation,), None))

    def send_what_waits(self) -> None:
        """Have what could not be delivered sent once more soon, because somebody listens now. From any thread; never blocks."""
        if not self._is_to_send:  # once for all who have come meanwhile: it costs a look at each open run
            self._is_to_send = True
            self._queue.put(_Entry((), None))

    def stop(self, timeout_s: float) -> None:
        """Carry out what waits, and end the thread."""
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        is_open = True
        while is_open:
            entries = self._take()
            is_open = entries[-1] is not None
            batch = [entry for entry in entries if entry is not None]
            self._carry_out(batch)
            waiting = [entry for entry in batch if entry.future is not None]
            if waiting:
                try:
                    self._loop.call_soon_threadsafe(_hand_out, waiting)
                except RuntimeError:
                    pass  # the loop has ended, and with it whoever waited

    def _take(self) -> list[_Entry | None]:
        """What waits, at least one; None is the last that will ever come."""
        entries = [self._queue.get()]
        try:
            while entries[-1] is not None and len(entries) < REQUEST_BATCH_LIMIT:
                entries.append(self._queue.get_nowait())
        except Empty:
            pass
        return entries

    def _carry_out(self, batch: list[_Entry]) -> None:
        for_store = []
        for entry in batch:
            if not entry.operations:
                continue
            if isinstance(entry.operations[0], _LOCK_OPERATIONS):
                entry.answers = [self._with_locks(operation) for operation in entry.operations]
            else:
                for_store.append(entry)
        if for_store and not self._ask_store(for_store):
            for entry in for_store:  # one that the store cannot bear must not take the others with it
                self._ask_store([entry])
        if not all(entry.operations for entry in batch):
            self._send_what_waits()

    def _send_what_waits(self) -> None:
        self._is_to_send = False
        try:
            self._store.send_what_waits()
        except Exception:  # as on a full disk: it goes out when its time has come
            logger.warning("what could not be delivered was not sent again", exc_info=True)

    def _ask_store(self, batch: list[_Entry]) -> bool:
        """Whether the store has answered; a single entry is always answered."""
        try:
            answers = self._store.call([operation for entry in batch for operation in entry.operations])
        except ResonateStoreError as error:  # the store is in trouble: that is the answer to all
            answers = [error for entry in batch for _ in entry.operations]
        except Exception:
            if len(batch) > 1:
                return False
            logger.exception("the store failed at %s", type(batch[0].operations[-1]).__name__)
            answers = [refusal(50000, "the store failed")] * len(batch[0].operations)
        place = 0
        for entry in batch:
            following = place + len(entry.operations)
            entry.answers = answers[place:following]
            place = following
        return True

    def _with_locks(self, operation: Any) -> Any:
        try:
            return self._locks.apply(operation, int(self._store.clock.time() * 1000))
        except ResonateStoreError as error:
            return error


def _hand_out(entries: list[_Entry]) -> None:
    for entry in entries:
        future = entry.future
        if future is not None and not future.done():  # whoever waited may be gone
            future.set_result(entry.answers)
