"""Several processes of one real file: each worker has a machine of its own, and learns from the file what the others have written.

As `disk.Server`, but what is on the disk is a real file of the file store, opened by the real `PromiseFile`, in each process once. Whoever
has a turn takes the lock and catches up, as `SqliteStore._locked_turn` does; a process that ends leaves its transaction behind; a power cut
ends all of them and takes a part of the file's log, up to any byte that had to be on the platter. Then somebody opens the file anew.
"""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from resonate.machine import Machine
from resonate.protocol import CreatePromise, PromiseRecord, TaskRecord
from resonate.stores.file import PromiseFile
from resonate.stores.rows import Row, promise_of, task_of
from resonate.tables import Changes
from tests.sim.disk import Frame, Server
from tests.sim.laws import Table

if TYPE_CHECKING:
    from tests.sim.setups import Choices
    from tests.sim.worker import Worker


class Process(NamedTuple):
    """What a process has of the file."""

    file: PromiseFile
    machine: Machine
    table: Table


class FileServer(Server):
    """The file, seen by whoever had the last turn."""

    def __init__(self, durability: str, next_run: Any, resident_limit: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "promises.db"
        self.durability = durability
        self.processes: dict[Worker | None, Process] = {}
        self.on_platter = 0
        """Bytes of the log that a power cut leaves."""
        self.known: dict[Row, Any] = {}
        self.whose: Worker | None = None
        self.keeper: sqlite3.Connection | None = None
        """With it open nobody is the last to close the file, which would bring the log into it."""
        super().__init__(self, next_run, resident_limit)  # type: ignore[arg-type]
        self.checkpoint()

    # ---- processes -----------------------------------------------------------------------------------------------------------------

    def enter(self, worker: Worker | None) -> None:
        """A process has its turn, and has caught up."""
        self.whose = worker
        process = self.processes.get(worker) or self.open(worker)
        self.file, self.real, self.table = process
        self.file.begin(self.real)
        self.real.messages.clear()  # whoever has settled a promise has told everybody
        self.table.written.clear()
        self.forget_view()

    def open(self, worker: Worker | None) -> Process:
        file = PromiseFile(self.path, "fast")
        for pragma in ("synchronous = OFF", "wal_autocheckpoint = 0"):  # power is cut in the mind only; and all stays in the log
            file._connection.execute(f"PRAGMA {pragma}")
        machine = Machine(self.next_run, file, self.resident_limit)
        machine.changes = Changes()
        table = machine.promises = Table({})
        file.load(machine)
        process = self.processes[worker] = Process(file, machine, table)
        return process

    def left(self, worker: Worker | None) -> None:
        """A process has ended, wherever it was."""
        process = self.processes.pop(worker, None)
        if process is not None:
            process.file.close()

    def retire(self) -> None:
        self._promises, self._tasks = self.promises, self.tasks
        for worker in list(self.processes):
            self.left(worker)
        assert self.keeper is not None
        self.keeper.close()
        self.folder.cleanup()

    def begin(self) -> None:
        """Somebody who was not there before opens the file."""
        self.left(None)
        self.file, self.real, self.table = self.open(None)
        self.whose = None
        self.table.written.clear()
        self.forget_view()
        if self.keeper is None:
            self.keeper = sqlite3.connect(self.path)
            self.keeper.execute("SELECT count(*) FROM promises").fetchall()

    # ---- turns ---------------------------------------------------------------------------------------------------------------------

    def rehearse(self, works: list[Any], now: int) -> list[Frame]:
        super().rehearse(works, now)
        assert self.real.changes is not None
        self.file.write(self.real.changes)
        return []

    def commit(self) -> None:
        assert self.real.changes is not None
        if self.real.is_crowded:
            self.real.put_away()
        if self.real.changes:
            self.file.write(self.real.changes)
        self.file.commit()
        self.real.changes = Changes()
        if self.durability == "full":
            self.checkpoint()
        self.forget_view()

    def look(self, worker: Worker, create: CreatePromise) -> PromiseRecord | bool:
        file, machine, _ = self.processes.get(worker) or self.open(worker)
        assert create.lease is not None
        return True if create.id in machine.promises else file.look(create.id, create.lease.root)

    # ---- what is called the disk -----------------------------------------------------------------------------------------------------

    log = ("some",)

    def frames_of(self, changes: Changes) -> list[Frame]:
        return []

    def checkpoint(self) -> None:
        """All that was written is on the platter."""
        self.on_platter = self.log_path.stat().st_size

    @property
    def log_path(self) -> Path:
        return self.path.with_name("promises.db-wal")

    def lose_power(self, choices: Choices) -> None:
        size = self.log_path.stat().st_size
        content, log = self.path.read_bytes(), self.log_path.read_bytes()
        for worker in list(self.processes):
            self.left(worker)
        assert self.keeper is not None
        self.keeper.close()
        self.keeper = None
        for each in self.path.parent.iterdir():
            each.unlink()
        self.path.write_bytes(content)
        self.log_path.write_bytes(log[: size - choices.among(size - self.on_platter + 1)])

    def recover(self) -> None:
        """Whoever was in the middle of a turn is gone."""
        self.left(self.whose)

    # ---- what is there -------------------------------------------------------------------------------------------------------------

    def read_all(self, table: str) -> dict[str, Any]:
        found = {}
        for row in self.file._connection.execute(f"SELECT * FROM {table} ORDER BY number"):
            record = self.known.get(row)
            if record is None:
                record = self.known[row] = (promise_of if table == "promises" else task_of)(row)
            found[record.id] = record
        return found

    @property
    def promises(self) -> dict[str, PromiseRecord]:
        if self._promises is None:
            found = self.read_all("promises") | self.real.promises
            self._promises = {each.id: each for each in sorted(found.values(), key=lambda each: each.number)}
        return self._promises

    @property
    def tasks(self) -> dict[str, TaskRecord]:
        if self._tasks is None:
            found = self.read_all("tasks") | self.real.tasks
            self._tasks = {each.id: each for each in sorted(found.values(), key=lambda each: each.number)}
        return self._tasks
