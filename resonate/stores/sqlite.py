"""Promises in one SQLite file: they outlive the process, and several processes may work on them.

The rules are those of the store in memory (`machine.Machine`), applied in *turns*: a turn takes the file's lock, learns what other
processes have written, carries out every operation that is waiting by then, writes down what has changed, and commits. Its answers are
given only after the commit; so what is acknowledged is in the file, and concurrent runs share commits. A turn that fails changes nothing:
the machine is loaded anew from the file.

What must not be waited for, is not:

- `post` asks without waiting. A worker that has nothing else to do carries a turn out itself (`flush`), so a sequence of steps stays on
  one thread with one commit for each step; a worker that has, leaves it to the timer thread (`flush_soon`).
- The promise of a local step is answered before it is written: a crash in between would run the step again either way. It is written
  together with its settlement, or with what comes after it, or after `DEFERRED_S`.
- What was posted and cannot be written (a full disk, say) stays and is tried again; the runs that wait for it are told (`on_trouble`).

Several processes: each lists itself in the file, polls for what others have written, offers work to its own receivers, and lets the
leases of processes lapse that are certainly gone (`PromiseFile.others`).
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from resonate import cron
from resonate.errors import ResonateStoreError, StoreDamaged, StoreUnavailable
from resonate.interrupts import Uninterrupted
from resonate.limits import DEFERRED_LIMIT, DEFERRED_S, PEER_CHECK_S, PEER_POLL_S, STORE_RETRY_S
from resonate.machine import Machine
from resonate.models.clock import Clock
from resonate.models.encoder import Encoder
from resonate.protocol import CreatePromise, CreateSettled, DeliveryFailed, Message, Operation, PromiseRecord, SettlePromise
from resonate.stores.ahead import Ahead, may_wait
from resonate.stores.file import FAILURES, Behind, PromiseFile
from resonate.stores.local import LocalStore, Receiver, apply
from resonate.tables import Changes

Deliver = Callable[[Any], None]


class _Call:
    """Operations that somebody waits for."""

    __slots__ = ("answers", "operations")

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = operations
        self.answers: list[Any] | None = None


class _Post:
    """An operation that somebody will be told of."""

    __slots__ = ("deliver", "operations")

    def __init__(self, operation: Operation, deliver: Deliver | None) -> None:
        self.operations = (operation,)
        self.deliver = deliver
        """None where the answer was given already."""


class SqliteStore(LocalStore):
    """Promises in a file. `durability` is `full` (an acknowledged settlement survives a power cut) or `fast` (it survives the end of the
    process; a power cut may take the last moments). Raises `StoreUnavailable` or `StoreDamaged` when the file cannot be opened.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = SqliteStore(f"{folder.name}/runs.db")
    >>> store.promises.create("a", timeout=2**45).state
    'PENDING'
    >>> store.close()
    >>> again = SqliteStore(f"{folder.name}/runs.db")
    >>> again.promises.resolve("a", data="1").value.data
    '1'
    >>> again.close(); folder.cleanup()
    """

    in_place = False
    sole_owner = False

    def __init__(
        self, path: str | os.PathLike[str], durability: str = "full", encoder: Encoder | None = None, clock: Clock | None = None
    ) -> None:
        if durability not in ("full", "fast"):
            raise ValueError(f"durability must be `full` or `fast`, got {durability!r}")
        self._file = PromiseFile(path, durability)
        super().__init__(encoder, clock)
        self.where = ("file", f"in {self._file.path.name}, {durability}")
        self._is_stale = False  # the machine: it has to be loaded anew
        self._is_inherited = False  # the file: it is the parent's, of a fork
        self._queue: list[_Call | _Post] = []
        self._queued: set[str] = set()  # promises in the queue that were answered ahead
        self._queue_lock = threading.Lock()
        self._is_flush_due = self._is_write_due = self._is_retry_due = False
        self._pids: set[str] = set()
        self._others: set[str] = set()
        try:
            self._load()
            self._in_turn(lambda machine, now: self._file.forget_strangers())
        except _TROUBLE:
            self._file.close()  # what is refused is left alone
            raise
        self._check_peers()

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._file.path

    def _load(self) -> None:
        earlier, self._machine = self._machine, Machine(cron.next_run, self._file)
        self._machine.changes = Changes()
        self._file.load(self._machine)
        self._machine.miss_nothing(earlier)
        self._is_stale = False

    def close(self) -> None:
        """Close the file. Nothing can be asked of this store any more."""
        for pid in list(self._pids):
            self._leave(pid)
        with self._lock:
            self._file.close()

    def size(self) -> int:
        """Bytes on the disk."""
        return self._file.size()

    def ended(self, limit: int) -> tuple[list[PromiseRecord], int]:
        """The newest outermost runs that are over, at most `limit`, and how many there are."""
        with self._lock:
            try:
                return self._file.ended(limit)
            except FAILURES as error:
                raise self._file.trouble(error) from error

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Write a consistent copy of what is committed to a new file. FileExistsError when there is one."""
        self._file.backup(Path(path))

    def compact(self) -> None:
        """Give space that is not needed any more back to the system."""
        with self._lock:
            try:
                self._file.compact()
            except sqlite3.Error as error:
                raise self._file.trouble(error) from error

    # ---- asking ----------------------------------------------------------------------------------------------------------------------

    def call(self, operations: Sequence[Operation]) -> list[Any]:
        """Carry out operations in order and wait until that is in the file. A refused one's answer is the error itself."""
        call = _Call(self._prepared(operations))
        with self._queue_lock:
            self._queue_created(self._ahead.take())
            self._queue.append(call)
        while call.answers is None:
            self.flush()
        return self._readable(call.answers)

    def post(self, operation: Operation, deliver: Deliver) -> Any:
        """The answer where it is known at once; otherwise None, and `deliver` gets it from whoever carries the operation out."""
        (prepared,) = self._prepared((operation,))
        with self._queue_lock:
            if type(prepared) is not CreatePromise or (record := self._foreseen(prepared)) is None:
                if type(prepared) is SettlePromise and prepared.id in self._ahead:
                    *earlier, own = self._ahead.take(prepared.id)
                    prepared = CreateSettled(own, prepared)
                else:
                    earlier = self._ahead.take()
                self._queue_created(earlier)
                self._queue.append(_Post(prepared, deliver))
                self.awaited += 1
                return None
            is_full = len(self._ahead) == DEFERRED_LIMIT
        if is_full:
            self._write_deferred()
        elif not self._is_write_due:
            self._is_write_due = True
            self._after(DEFERRED_S, self._write_deferred)
        return record

    def _foreseen(self, create: CreatePromise) -> PromiseRecord | None:
        """What creating the promise of a local step is answered with: what is settled under its id, or what will stand there."""
        now = int(self._clock.time() * 1000)
        if not may_wait(create, now) or create.lease is None or self.trouble is not None or self._is_inherited:
            return None
        if create.id in self._machine.promises or create.id in self._ahead or create.id in self._queued:
            return None
        try:
            found = self._file.look(create.id, create.lease.root)
        except FAILURES:
            return None  # the turn that it is carried out in tells, if that is so then
        if isinstance(found, PromiseRecord):
            return found if create.key is not None and create.key == found.key_for_create else None
        return None if found else self._ahead.answer(create, now)

    def _queue_created(self, creates: list[CreatePromise]) -> None:
        for create in creates:
            self._queue.append(_Post(create, None))
            self._queued.add(create.id)

    def _bring_ahead(self) -> None:
        """What was answered ahead has its place in the queue."""

    def _write_deferred(self) -> None:
        self._is_write_due = False
        with self._queue_lock:
            self._queue_created(self._ahead.take())
            has_work = bool(self._queue)
        if has_work:
            self.flush_soon()

    def flush_soon(self) -> None:
        """Have what was posted carried out by the timer thread."""
        if not self._is_flush_due:
            self._is_flush_due = True
            self._after(0.0, self._flush_due)

    def _flush_due(self) -> None:
        self._is_flush_due = False
        self.flush()

    def _after(self, delay_s: float, callback: Callable[[], None]) -> None:
        timers = self._timers
        if timers is not None:
            timers.after(delay_s, callback)

    # ---- turns -----------------------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Carry out everything that waits, in one turn, unless another thread has just done it."""
        taken: list[_Call | _Post] = []

        def carry_out(machine: Machine, now: int) -> list[list[Any]]:
            with self._queue_lock:
                taken.extend(self._queue)
                self._queue.clear()
                self._queued.clear()
            return [apply(machine, entry.operations, now) for entry in taken]

        with Uninterrupted():
            try:
                answers = self._in_turn(carry_out)
            except _TROUBLE as error:
                self._refuse(taken, error)
            else:
                self._answer(taken, answers)

    def _locked_turn[Result](self, do: Callable[[Machine, int], Result]) -> tuple[Result, list[tuple[Receiver, Message]]]:
        try:
            if self._is_inherited:
                self._file = PromiseFile(self._file.path, self._file.durability)
                self._is_inherited = False
            missed = self._is_stale
            if missed:
                self._load()
            try:
                touched = self._file.begin(self._machine)
            except Behind:
                self._file.rollback()
                self._load()
                touched = self._machine.open_runs()
                self._file.begin(self._machine)
            if missed:
                touched = self._machine.open_runs()  # loading brings what others have written, and nobody has offered that yet
            if touched:
                self._machine.offer(touched, int(self._clock.time() * 1000), self._is_for_us, self._hears_fenced)
            result, deliveries = super()._locked_turn(do)
            changes = self._machine.changes
            if changes:
                self._file.write(changes)
            self._file.commit()
        except BaseException as error:
            self._file.rollback()
            self._is_stale = True
            if not isinstance(error, (*FAILURES, *_TROUBLE)):
                raise
            trouble = self.trouble = self._file.trouble(error)
            raise trouble from error
        if changes:
            self._machine.changes = Changes()
        self.trouble = None
        return result, deliveries

    def _answer(self, entries: list[_Call | _Post], answers: list[list[Any]]) -> None:
        told = 0
        for entry, given in zip(entries, answers, strict=True):
            if isinstance(entry, _Call):
                entry.answers = given
            elif entry.deliver is not None:
                told += 1
                operation = entry.operations[0]
                if type(operation) is CreateSettled and isinstance(given[0], ResonateStoreError):
                    with self._queue_lock:
                        self._ahead.keep(operation.create)  # it may be settled under another lease
                entry.deliver(self._readable(given)[0])
            elif isinstance(given[0], Exception):
                self.on_trouble(_run_of(entry.operations[0]), given[0])
        if told:
            with self._queue_lock:
                self.awaited -= told
            self.on_answers()

    def _refuse(self, taken: list[_Call | _Post], error: StoreUnavailable | StoreDamaged) -> None:
        """Nothing of it was done: whoever waits is told, and what was posted is tried again, for as long as there is hope."""
        with self._queue_lock:
            entries = taken + self._queue
            self._queue = [entry for entry in entries if isinstance(entry, _Post)]
        for entry in entries:
            if isinstance(entry, _Call):
                entry.answers = [error] * len(entry.operations)
        for run_id in dict.fromkeys(_run_of(entry.operations[0]) for entry in entries if isinstance(entry, _Post)):
            self.on_trouble(run_id, error)
        if isinstance(error, StoreUnavailable):
            self._try_again()

    def tick(self) -> None:
        """Act on everything that has fallen due by the store's clock, and on what other processes have written."""
        try:
            super().tick()
        except _TROUBLE:
            self._try_again()

    def _try_again(self) -> None:
        """In a while, and once for all that could not be done, however many have asked for it."""
        if not self._is_retry_due:
            self._is_retry_due = self._timers is not None
            self._after(STORE_RETRY_S, self._retry_due)

    def _retry_due(self) -> None:
        self._is_retry_due = False
        self.flush()
        self.tick()
        if self.trouble is None:
            try:
                self._in_turn(self._send_again)  # whoever got it before could not claim it
            except _TROUBLE:
                self._try_again()

    # ---- other processes -------------------------------------------------------------------------------------------------------------

    def listen(self, group: str, id: str, receive: Callable[[Message], None]) -> Callable[[], None]:
        """Hand messages to `receive` from now on, as group `group` and id `id`, and be known in the file under that id."""
        self._in_turn(lambda machine, now: self._file.enter(id))
        self._file.settle_log()
        self._check_peers()
        end = super().listen(group, id, receive)
        self._pids.add(id)

        def leave() -> None:
            end()
            self._leave(id)

        return leave

    def _leave(self, pid: str) -> None:
        """Be known no more under an id. What was sent to it and not claimed is for others."""

        def leaves(machine: Machine, now: int) -> None:
            self._file.leave(pid)
            self._file.forget_strangers()
            self._send_again(machine, now)

        self._pids.discard(pid)
        try:
            self._in_turn(leaves)
        except _TROUBLE:
            pass  # whoever opens it next will see that this process is gone

    def start(self) -> None:
        """Begin to act when deadlines and leases fall due, and when other processes have written."""
        is_first = self._timers is None
        if is_first:
            self._is_flush_due = self._is_write_due = self._is_retry_due = False  # what was due went with the timers of then
        super().start()
        if is_first:
            self._after(PEER_POLL_S, lambda: self._poll(PEER_CHECK_S))

    def _poll(self, check_in_s: float) -> None:
        if self._lock.acquire(blocking=False):  # a turn that is under way looks itself
            try:
                is_changed = self._file.is_changed()
            except FAILURES:
                is_changed = True  # the turn will tell
            finally:
                self._lock.release()
            if is_changed:
                self.tick()
        if check_in_s <= 0:
            self._check_peers()
            check_in_s = PEER_CHECK_S
        self._after(PEER_POLL_S, lambda: self._poll(check_in_s - PEER_POLL_S))

    def _check_peers(self) -> None:
        """Let the leases of processes lapse that are certainly gone, rather than wait for their end."""
        try:
            with self._lock:
                others, gone = self._file.others()
            if gone:
                self._in_turn(lambda machine, now: self._bury(gone, machine, now))
        except (*FAILURES, *_TROUBLE):
            return  # looked at again in a moment
        self._others = others - self._pids

    def _bury(self, pids: set[str], machine: Machine, now: int) -> None:
        for pid in pids:
            for drop in machine.held_by(pid):
                machine.apply(drop, now)
            self._file.leave(pid)
        self._send_again(machine, now)

    def _send_again(self, machine: Machine, now: int) -> None:
        """Work that was sent and not claimed may have been sent to a process that is gone. Whoever claims it first has it, as always."""
        unclaimed = [task for task in machine.tasks.values() if task.state == "ENQUEUED"]
        for task in unclaimed:
            machine.apply(DeliveryFailed(task.id, task.counter), now)
        machine.offer([task.root for task in unclaimed], now, self._is_for_us, self._hears_fenced)

    def _is_for_us(self, recv: str) -> bool:
        address = self._addressee(recv)
        return address is not None and address[2] in self._pids

    def _hears_fenced(self, recv: str) -> bool:
        receiver = self._receiver(recv)
        return receiver is not None and receiver.takes_fenced

    def _receiver(self, recv: str) -> Receiver | None:
        if not self._others:
            return super()._receiver(recv)
        address = self._addressee(recv)
        if self._find_receiver is not None:
            return None if address is not None and address[2] in self._others else self._find_receiver(recv)
        return None if address is None or address[2] in self._others else self._addressed(address)

    # ---- forks -----------------------------------------------------------------------------------------------------------------------

    def before_fork(self) -> bool:
        """Let no operation be half done in the copy, and no connection be open."""
        is_held = super().before_fork()
        if is_held:
            self._queue_lock.acquire()
            self._file.fall_asleep()
        return is_held

    def after_fork(self, *, was_held: bool, is_child: bool) -> None:
        """Go on, on both sides. The child opens the file for itself."""
        if is_child:
            if not was_held:
                self._file.abandon()
            self._queue, self._queued, self._ahead, self._queue_lock = [], set(), Ahead(), threading.Lock()
            self._pids, self._others, self.awaited = set(), set(), 0
            self._is_inherited, self._is_stale = was_held, True
        elif was_held:
            try:
                self._file.wake()
            except FAILURES:
                pass  # the next turn tries it again, and tells
            self._queue_lock.release()
        super().after_fork(was_held=was_held, is_child=is_child)


_TROUBLE = (StoreUnavailable, StoreDamaged)


def _run_of(operation: Operation) -> str:
    lease = getattr(operation.settle if type(operation) is CreateSettled else operation, "lease", None)
    return str(lease.root if lease is not None else getattr(operation, "id", ""))
