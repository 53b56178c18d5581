"""A promise server that keeps its promises on a modelled disk, as the store in a file does, and that may break off at any moment.

The disk is a base and a *log* behind it, as SQLite keeps them: a turn is written as frames, one for each row, the last of which says that
the turn is whole. Whoever reads what is there takes the base and every whole turn, and nothing of a turn without its end. Under `full` the
log is brought to the platter before a turn is answered; under `fast` only when the log becomes the base. A crash of the process leaves
every frame that was written; a power cut leaves what is on the platter, and of the frames behind it some, from the front.

The rows are those of the file (`stores.rows`), they come from the machine's own notes (`Changes`), and a machine that begins anew takes
them in by `install_…`, as `PromiseFile` does. What is settled stays on the disk, and is read from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from resonate.errors import ResonateStoreError
from resonate.machine import Machine
from resonate.protocol import CallbackRecord, CreatePromise, Operation, PromiseRecord, ScheduleRecord, TaskRecord
from resonate.stores import rows
from resonate.stores.rows import Row
from resonate.tables import OPEN, Changes
from tests.sim.laws import Table, Was

if TYPE_CHECKING:
    from tests.sim.setups import Choices
    from tests.sim.worker import Worker

Key = tuple[str, Any]
"""A table, and what a row in it is found by."""
CHECKPOINT_TURNS = 30
"""After so many turns under `fast` the log becomes the base."""


class Frame(NamedTuple):
    """A row as it is written to the log; None where it is taken away."""

    key: Key
    row: Row | None
    ends_turn: bool


class Disk:
    """What outlives the server."""

    def __init__(self, durability: str) -> None:
        self.durability = durability
        self.base: dict[Key, Row] = {}
        self.log: list[Frame] = []
        self.on_platter = 0
        """How many frames of the log a power cut leaves."""
        self.rows: dict[Key, Row] = {}
        """What a reader sees."""
        self.numbers: dict[tuple[str, int], Any] = {}
        self.records: dict[Key, tuple[Row, Any]] = {}
        """What was read of the rows, so that a row is read once."""

    # ---- writing -------------------------------------------------------------------------------------------------------------------

    def frames_of(self, changes: Changes) -> list[Frame]:
        """As `PromiseFile.write`."""
        found: list[tuple[Key, Row | None]] = [(("promises", each.id), rows.promise_row(each)) for each in changes.promises.values()]
        found += [(("tasks", each.id), rows.task_row(each)) for each in changes.tasks.values()]
        found += [(("callbacks", key), each and rows.callback_row(each)) for key, each in changes.callbacks.items()]
        found += [(("schedules", key), each and rows.schedule_row(each)) for key, each in changes.schedules.items()]
        return [Frame(key, row, place == len(found)) for place, (key, row) in enumerate(found, 1)]

    def write(self, frames: list[Frame]) -> None:
        """Frames come to the log: of a turn that is whole, or of one that breaks off."""
        self.log += frames

    def commit(self, frames: list[Frame]) -> None:
        """A turn is whole."""
        self.write(frames)
        for frame in frames:
            self.put(frame)
        if self.durability == "full":
            self.bring_to_platter()
        elif sum(frame.ends_turn for frame in self.log) >= CHECKPOINT_TURNS:
            self.checkpoint()

    def bring_to_platter(self) -> None:
        self.on_platter = len(self.log)

    def checkpoint(self) -> None:
        """The log becomes the base."""
        self.base, self.log, self.on_platter = dict(self.rows), [], 0

    def put(self, frame: Frame) -> None:
        """As `INSERT OR REPLACE`, which takes away whatever else has the same number."""
        (table, key), row, _ = frame
        if table in ("promises", "tasks") and row is not None:
            other = self.numbers.get((table, row[0]))
            if other not in (None, key):
                del self.rows[table, other]
            self.numbers[table, row[0]] = key
        if row is None:
            self.rows.pop(frame.key, None)
        else:
            self.rows[frame.key] = row

    # ---- disasters -----------------------------------------------------------------------------------------------------------------

    def lose_power(self, choices: Choices) -> None:
        """Of what is not on the platter some is lost, from the end."""
        loose = len(self.log) - self.on_platter
        del self.log[len(self.log) - choices.among(loose + 1) :]

    def recover(self) -> None:
        """As a reader finds it after that: the base, and each turn of which the end is there."""
        whole = max((place for place, frame in enumerate(self.log, 1) if frame.ends_turn), default=0)
        del self.log[whole:]
        self.on_platter = min(self.on_platter, whole)
        self.rows, self.numbers = {}, {}
        for key, row in self.base.items():
            self.put(Frame(key, row, False))
        for frame in self.log:
            self.put(frame)

    # ---- reading: the archive of the machine, and the way into a new one -------------------------------------------------------------

    def read(self, key: Key) -> Any:
        row = self.rows.get(key)
        if row is None:
            return None
        known = self.records.get(key)
        if known is None or known[0] is not row:
            known = self.records[key] = row, _READ[key[0]](row)
        return known[1]

    def all(self, table: str) -> Iterator[Any]:
        return (self.read(key) for key in list(self.rows) if key[0] == table)

    def load(self, machine: Machine) -> None:
        """As `PromiseFile._load`."""
        promises: list[PromiseRecord] = sorted(self.all("promises"), key=lambda each: each.number)
        tasks: list[TaskRecord] = sorted((_task(row) for key, row in self.rows.items() if key[0] == "tasks"), key=lambda each: each.number)
        for record in promises:
            if record.state == "PENDING":
                machine.install_promise(record)
        for callback in self.all("callbacks"):
            machine.install_callback(callback)
        for task in tasks:
            if task.state in OPEN:
                machine.install_task(task)
        for schedule in self.all("schedules"):
            machine.install_schedule(schedule.id, schedule)
        last = [max((each.number for each in there), default=-1) for there in (promises, tasks)]
        machine.begin_numbers_at(last[0] + 1, last[1] + 1)
        machine.has_archived = True

    def keep(self, promises: Iterable[PromiseRecord]) -> None:
        """They are there already."""

    def keep_tasks(self, tasks: Iterable[TaskRecord]) -> None:
        """They are there already."""

    def promise(self, promise_id: str) -> PromiseRecord | None:
        found: PromiseRecord | None = self.read(("promises", promise_id))
        return found

    def task(self, task_id: str) -> TaskRecord | None:
        found: TaskRecord | None = self.read(("tasks", task_id))
        return found

    def descendants(self, origin: str) -> list[PromiseRecord]:
        return sorted((each for each in self.all("promises") if _origin(each) == origin), key=lambda each: each.number)

    def newest_first(self, before: int) -> Iterable[PromiseRecord]:
        return sorted((each for each in self.all("promises") if each.number < before), key=lambda each: -each.number)

    def ended_before(self, time: int) -> Iterable[str]:
        return [each.id for each in self.all("promises") if _origin(each) == each.id and (each.completed_on or time) < time]

    def forget(self, origin: str) -> None:
        raise NotImplementedError("nobody prunes here")


def _task(row: Row) -> TaskRecord:
    """The machine changes its tasks in place, so each machine has its own."""
    return rows.task_of(row)


def _origin(record: PromiseRecord) -> str:
    return record.id if record.lineage is None else record.lineage.origin


_READ: dict[str, Any] = {
    "promises": rows.promise_of, "tasks": rows.task_of, "callbacks": rows.callback_of, "schedules": rows.schedule_of,
}  # fmt: skip


class Picture(NamedTuple):
    """All that a server has, to compare with what another one has."""

    promises: dict[str, PromiseRecord]
    tasks: dict[str, tuple[Was, int]]
    callbacks: dict[tuple[str, str], CallbackRecord]
    schedules: dict[str, ScheduleRecord]

    def difference(self, other: Picture) -> str | None:
        for name, mine, theirs in zip(self._fields, self, other, strict=True):
            if mine != theirs:
                keys = [key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)]
                return f"{name}: {[(mine.get(key), theirs.get(key)) for key in keys[:3]]}"
        return None


class Server:
    """The machine that stands on the disk, for as long as its process lives. Read like a machine that has everything in memory."""

    def __init__(self, disk: Disk, next_run: Any, resident_limit: int) -> None:
        self.disk = disk
        self.next_run = next_run
        self.resident_limit = resident_limit
        self.begin()

    def enter(self, worker: Worker | None) -> None:
        """A turn begins, for a worker or for nobody."""

    def left(self, worker: Worker | None) -> None:
        """A worker has ended."""

    def retire(self) -> None:
        """The world is over; what was there can be read still."""

    whose: Worker | None = None
    """The worker in whose process the turn under way is, if the server is not a process of its own."""

    def look(self, worker: Worker, create: CreatePromise) -> PromiseRecord | bool:
        """A promise that is settled, else whether there is one. As `PromiseFile.look`."""
        found = self.promises.get(create.id)
        return found if found is not None and found.state != "PENDING" and create.id not in self.resident else found is not None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def begin(self) -> None:
        """Begin anew with what the disk has."""
        self.real = Machine(self.next_run, self.disk, self.resident_limit)  # type: ignore[arg-type]
        self.real.changes = Changes()
        self.table = self.real.promises = Table({})
        self.disk.load(self.real)
        self.table.written.clear()
        self.forget_view()

    def apply(self, operation: Operation, now: int) -> Any:
        try:
            return self.real.apply(operation, now)
        finally:
            self.forget_view()

    def tick(self, now: int) -> None:
        self.real.tick(now)
        self.forget_view()

    def rehearse(self, works: list[tuple[tuple[Any, ...] | None, Any]], now: int) -> list[Frame]:
        """Work that will come to nothing: the process ends before it is written as a whole."""
        for operations, _ in works:
            if operations is None:
                self.real.tick(now)
            for operation in operations or ():
                try:
                    self.real.apply(operation, now)
                except ResonateStoreError:
                    pass  # nobody will be told
        assert self.real.changes is not None
        return self.disk.frames_of(self.real.changes)

    def commit(self) -> None:
        """End a turn: what has changed is on the disk."""
        assert self.real.changes is not None
        if self.real.changes:
            self.disk.commit(self.disk.frames_of(self.real.changes))
            self.real.changes = Changes()
        if self.real.is_crowded:
            self.real.put_away()
        self.forget_view()

    # ---- what it has, whether in memory or on the disk -------------------------------------------------------------------------------

    def forget_view(self) -> None:
        self._promises: dict[str, PromiseRecord] | None = None
        self._tasks: dict[str, TaskRecord] | None = None

    @property
    def resident(self) -> dict[str, PromiseRecord]:
        return self.real.promises

    @property
    def promises(self) -> dict[str, PromiseRecord]:
        if self._promises is None:
            found = {each.id: each for each in self.disk.all("promises")} | self.real.promises
            self._promises = {each.id: each for each in sorted(found.values(), key=lambda each: each.number)}
        return self._promises

    @property
    def tasks(self) -> dict[str, TaskRecord]:
        if self._tasks is None:
            found = {each.id: each for each in self.disk.all("tasks")} | self.real.tasks
            self._tasks = {each.id: each for each in sorted(found.values(), key=lambda each: each.number)}
        return self._tasks

    def picture(self) -> Picture:
        callbacks = {(each.promise, each.id): each for waiting in self.real._callbacks.values() for each in waiting.values()}
        tasks = {task.id: (Was.of(task), task.number) for task in self.tasks.values()}
        return Picture(dict(self.promises), tasks, callbacks, dict(self.real.schedules))
