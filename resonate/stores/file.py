"""One SQLite file of promises: opening and checking it, and bringing what has changed into it and out of it. No rules are here.

A file is written by whole turns (`stores.sqlite`), each one transaction: what changed of promises, tasks, callbacks and schedules, as it is
now. Several processes may have the file open; each keeps what is pending in its own memory, and learns from the `journal` which of it
others have changed since it last looked. What is settled is read from the file when somebody asks for it.

Refused, by name and never written over: what is no SQLite file, a database of another program, a file of a newer version of this
package, a damaged file. A file that is removed or replaced while it is open is noticed at the next turn.
"""

from __future__ import annotations

import errno
import os
import platform
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from resonate.errors import StoreDamaged, StoreUnavailable
from resonate.limits import BUSY_SLICE_S, BUSY_WAIT_LIMIT_S, FILE_CHECK_S, FILLING_RATE, FRESH_LIMIT, JOURNAL_LIMIT, ROOM_LIMIT
from resonate.protocol import PromiseRecord, TaskRecord
from resonate.stores.rows import (
    BRANCHES,
    FENCED_IN_ORDER,
    FORGET,
    IN_ORDER,
    OF_BRANCH,
    PUT_BRANCH,
    PUT_CALLBACK,
    PUT_PROMISE,
    PUT_SCHEDULE,
    PUT_TASK,
    SCHEMA,
    Connection,
    Damaged,
    callback_of,
    callback_row,
    promise_of,
    promise_row,
    schedule_of,
    schedule_row,
    tag_text,
    task_of,
    task_row,
)
from resonate.tables import Changes, Tables

APPLICATION = 0x5265736F  # "Reso", in the header of the file
VERSION = 2
_FILE_SCHEMA = f"""
{SCHEMA}
CREATE INDEX promises_pending ON promises (number) WHERE state = 'PENDING';
CREATE INDEX tasks_open ON tasks (number) WHERE is_open;
CREATE TABLE callbacks (promise TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, checksum INTEGER NOT NULL, PRIMARY KEY (promise, id))
    WITHOUT ROWID;
CREATE TABLE schedules (id TEXT PRIMARY KEY, body TEXT NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID;
{BRANCHES}
CREATE TABLE journal (turn INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL);
CREATE TABLE processes (pid TEXT PRIMARY KEY, host TEXT NOT NULL, boot TEXT NOT NULL, os_pid INTEGER NOT NULL, started TEXT NOT NULL)
    WITHOUT ROWID;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
"""
MIGRATIONS: dict[int, str] = {1: BRANCHES}
"""By version, the statements that make a file of it one of the next version. (In version 1, no promise had a branch.)"""
_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
FAILURES = (sqlite3.Error, OSError, Damaged, UnicodeDecodeError)
"""What an access may raise. (The last comes from `sqlite3` itself, whose message about a damaged file holds a piece of it.)"""


class PromiseFile:
    """See the head of this module. One caller at a time, but for `has`, which any thread may ask.

    `durability` is `full` (what is committed survives a power cut) or `fast` (it survives the end of the process, and a power cut may take
    the last moments). Raises `StoreUnavailable` or `StoreDamaged`, which name the file.
    """

    def __init__(self, path: str | os.PathLike[str], durability: str = "full") -> None:
        self.path = Path(path).absolute()
        self._name = str(self.path)
        self._log = self.path.with_name(f"{self.path.name}-wal")
        self.durability = durability
        self._pending: set[str] = set()  # promises that are pending in the file: others may hold them in memory
        # Of runs that were looked at, whether the tables have all that stands below their ids. It is forgotten when others have written,
        # and when something is put away.
        self._fresh: dict[str, bool] = {}
        self._turn = 0  # of the journal, up to which this process has seen everything
        self._seen_version = -1
        self._check_at = 0.0  # when to see again whether the file is still there
        self._look_at = 0.0  # when to see again how much is free
        self._changes_before = 0  # of a turn
        self._is_asleep = False
        self._refusal = ""
        self._connection: Any = None
        self._reader: Any = None
        self._is_open = False
        self._open()
        self._is_open = True

    # ---- opening -------------------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._check_content()
        self._check_log()
        try:
            self._connection = self._connect()
            self.guarded(self._set_up)
            self._reader = self._connect()
            self._identity = _identity(self._name)
        except (*FAILURES, StoreDamaged, StoreUnavailable) as error:
            self.close()  # what is refused is left alone
            raise self.trouble(error) from error

    def _connect(self) -> sqlite3.Connection:
        self._need_room()
        connection = sqlite3.connect(self.path, timeout=BUSY_SLICE_S, isolation_level=None, check_same_thread=False, factory=Connection)
        connection.execute("PRAGMA page_size = 1024")  # rows are short, and a commit writes whole pages
        connection.execute(f"PRAGMA synchronous = {'FULL' if self.durability == 'full' else 'NORMAL'}")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")
        return connection

    def _need_room(self) -> None:
        """Raise what a full disk raises while there is still room for the index of the log.

        SQLite writes that through mapped memory. On a full disk whose blocks are smaller than 4 kB, or that writes to a new place what
        was changed (btrfs), this is answered by a signal (SIGBUS) that ends the process and cannot be caught.
        """
        now = time.monotonic()
        if now >= self._look_at:
            free = shutil.disk_usage(self.path.parent).free
            if free < ROOM_LIMIT:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._look_at = now + (free - ROOM_LIMIT) / FILLING_RATE

    def _check_content(self) -> None:
        """Refuse what is none of ours before anything is written to it."""
        try:
            with self.path.open("rb") as file:
                head = file.read(100)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self.trouble(error) from error
        if not head:
            return
        if not head.startswith(b"SQLite format 3\x00") or len(head) < 100:
            raise StoreDamaged(f"{self.path} is no file of promises, and is left as it is. Choose another path.")
        version, application = int.from_bytes(head[60:64], "big"), int.from_bytes(head[68:72], "big")
        if application not in (APPLICATION, 0):
            raise StoreDamaged(f"{self.path} is a database of another program, and is left as it is. Choose another path.")
        if application == 0:
            with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro&immutable=1", uri=True)) as look:
                try:
                    is_foreign = look.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
                except FAILURES as error:
                    raise StoreDamaged(self._damage(str(error))) from error
            if is_foreign:
                raise StoreDamaged(f"{self.path} is a database of another program, and is left as it is. Choose another path.")
        if application == APPLICATION and version > VERSION:
            raise StoreUnavailable(
                f"{self.path} was written by a newer version of this package (format {version}; this one knows up to {VERSION}). "
                "Upgrade resonate-notebook to open it."
            )

    def _check_log(self) -> None:
        """Refuse a file whose log is missing, or that is missing beside its log: the newest steps are not where the rest is."""
        for pause_s in (0.1, 0.0):  # somebody may be opening or closing it just now
            has_log, has_file = _has_content(self._log), _has_content(self.path)
            if has_log and not has_file and not _has_content(self.path):
                wrong = f"{self.path} is missing or empty, but its log {self._log} is there. Put it back; to begin anew, remove both."
            elif has_file and not has_log and self._is_listed_open() and not self._log.exists():
                wrong = (
                    f"{self._log} is missing, which holds the newest steps of {self.path}: some process had it open and did not close it. "
                    "Put it back; to go on without those steps, make an empty file of that name."
                )
            else:
                return
            time.sleep(pause_s)
        raise StoreDamaged(wrong)

    def _is_listed_open(self) -> bool:
        """Whether the file itself, without its log, lists processes that work on it."""
        try:
            with closing(sqlite3.connect(f"{self.path.as_uri()}?immutable=1", uri=True)) as look:
                listed: int = look.execute("SELECT count(*) FROM processes").fetchone()[0]
                return listed > 0
        except FAILURES:
            return False  # nothing is in it yet, or it is damaged, as will be seen

    def _set_up(self) -> None:
        connection = self._connection
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:  # and no other process has made it meanwhile
                self._run_script(_FILE_SCHEMA)
            while 0 < version < VERSION:
                self._run_script(MIGRATIONS[version])
                version += 1
                connection.execute(f"PRAGMA user_version = {version}")
            damage = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if damage != "ok":
                raise StoreDamaged(self._damage(damage))
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise

    def _run_script(self, script: str) -> None:
        for statement in script.split(";"):
            self._connection.execute(statement)  # `executescript` would commit before it begins

    def guarded(self, do: Callable[[], Any]) -> Any:
        """Do something that needs the file's lock, as often as another process has it; never longer than `BUSY_WAIT_LIMIT_S`."""
        for _ in range(int(BUSY_WAIT_LIMIT_S / BUSY_SLICE_S)):
            try:
                return do()
            except sqlite3.OperationalError as error:
                if not str(getattr(error, "sqlite_errorname", "")).startswith(_BUSY):
                    raise
        raise StoreUnavailable(f"{self.path} has been in use by another process for {BUSY_WAIT_LIMIT_S:g} s. Is one of them suspended?")

    def trouble(self, error: Exception) -> StoreUnavailable | StoreDamaged:
        """What a failed access means to a person: what is wrong with which file, how much space there is, and what to do next."""
        if isinstance(error, (StoreUnavailable, StoreDamaged)):
            return error
        name = str(getattr(error, "sqlite_errorname", ""))
        if name.startswith(_DAMAGED) or isinstance(error, (Damaged, UnicodeDecodeError)):
            return StoreDamaged(self._damage(str(error)))
        try:
            free = f"{shutil.disk_usage(self.path.parent).free:,} bytes are free there"
        except OSError:
            free = f"{self.path.parent} cannot be reached"
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        next_step = "Runs go on as soon as it can be written again." if self._is_open else "Choose a place where files can be written."
        return StoreUnavailable(f"{self.path} cannot be used: {why}; {free}. {next_step}")

    def _damage(self, what: str) -> str:
        return f"{self.path} is damaged ({what[:200]}), and is left as it is. Restore a backup of it, or choose another path."

    def close(self) -> None:
        """Close it; what was committed is there."""
        for connection in (self._reader, self._connection):
            if connection is not None:
                connection.close()

    # ---- forks ---------------------------------------------------------------------------------------------------------------------

    def fall_asleep(self) -> None:
        """Have no connection for the moment of a fork. SQLite keeps its locks by process: with one, the child would believe that it
        holds the parent's, and neither would notice what the other does.
        """
        self.close()
        self._is_asleep = True

    def wake(self) -> None:
        """Go on after that. What others have written meanwhile is in the journal."""
        if self._is_asleep:
            if self._refusal:
                raise StoreUnavailable(self._refusal)
            self._connection, self._reader = self._connect(), self._connect()
            self._is_asleep, self._seen_version = False, -1

    def abandon(self) -> None:
        """In the child of a fork that could not wait: the connections are the parent's, and must be neither used nor closed here."""
        _of_parents.append((self._connection, self._reader))
        self._connection = self._reader = _Nowhere()
        self._is_asleep = True
        self._refusal = f"{self.path} was busy when this process was forked, which cannot use it therefore. Start one by `spawn` instead."

    # ---- turns ---------------------------------------------------------------------------------------------------------------------

    def begin(self, tables: Tables) -> list[str]:
        """Begin a turn: nobody else writes until it ends, and `tables` know what others have written. Gives the runs that those touched."""
        self.wake()
        if time.monotonic() >= self._check_at:
            if _identity(self._name) != self._identity:
                raise StoreUnavailable(f"{self.path} was removed or replaced while it was open. Put it back, or restart with another path.")
            self._check_at = time.monotonic() + FILE_CHECK_S if self.durability == "fast" else 0.0
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:  # most likely another process has it
            self.guarded(lambda: self._connection.execute("BEGIN IMMEDIATE"))
        self._changes_before = self._connection.total_changes
        version = self.version()
        if version == self._seen_version:
            return []
        self._fresh.clear()
        touched = self._catch_up(tables)
        self._seen_version = version
        return touched

    def version(self) -> int:
        """A number that changes when another process has written."""
        found: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return found

    def is_changed(self) -> bool:
        """Whether another process has written since the last turn."""
        return self.version() != self._seen_version

    def write(self, changes: Changes) -> None:
        """Write down what has changed."""
        execute = self._connection.execute
        journal: list[tuple[str, str]] = []
        for record in changes.promises.values():
            if record.state == "PENDING":
                self._pending.add(record.id)
                journal.append(("promise", record.id))
            elif record.id in self._pending:
                self._pending.discard(record.id)
                journal.append(("promise", record.id))
            execute(PUT_PROMISE, promise_row(record))
            if record.id in self._fresh:
                del self._fresh[record.id]  # it is over: its promises may be put away
        for branch in changes.branches.items():
            execute(PUT_BRANCH, branch)
        if not journal and changes.has_promises_alone():
            return  # steps that were begun and finished since the last turn: nobody else has heard of them
        for task in changes.tasks.values():
            execute(PUT_TASK, task_row(task))
            journal.append(("task", task.id))
        for key, callback in changes.callbacks.items():
            if callback is None:
                execute("DELETE FROM callbacks WHERE promise = ? AND id = ?", key)
            else:
                execute(PUT_CALLBACK, callback_row(callback))
                journal.append(("callbacks", callback.promise))
        for schedule_id, schedule in changes.schedules.items():
            if schedule is None:
                execute("DELETE FROM schedules WHERE id = ?", (schedule_id,))
            else:
                execute(PUT_SCHEDULE, schedule_row(schedule))
            journal.append(("schedule", schedule_id))
        for entry in journal:
            self._turn = execute("INSERT INTO journal (kind, id) VALUES (?, ?)", entry).lastrowid or 0
        if journal and self._turn % JOURNAL_LIMIT < len(journal):
            execute("DELETE FROM journal WHERE turn < ?", (self._turn - JOURNAL_LIMIT,))

    def commit(self) -> None:
        """End the turn: all of it is in the file."""
        if self._connection.total_changes > self._changes_before:
            self._need_room()
        self._connection.execute("COMMIT")

    def settle_log(self) -> None:
        """Bring what was committed into the file itself, so that it can be told when its companion is missing."""
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.Error:
            pass  # others do it, or it is done later

    def rollback(self) -> None:
        """End the turn as if it had not been."""
        try:
            self._connection.rollback()
        except sqlite3.Error:
            pass  # what cannot be rolled back was never written: the file is as it was at the last commit

    # ---- bringing out ----------------------------------------------------------------------------------------------------------------

    def load(self, tables: Tables) -> None:
        """Bring everything that is open into fresh tables."""
        try:
            self.wake()
            self.guarded(lambda: self._connection.execute("BEGIN IMMEDIATE"))
            try:
                self._load(tables)
                self._seen_version = self.version()
            finally:
                self._connection.execute("COMMIT")
        except FAILURES as error:
            raise self.trouble(error) from error

    def _load(self, tables: Tables) -> None:
        query = self._connection.execute
        self._turn = query("SELECT coalesce(max(turn), 0) FROM journal").fetchone()[0]
        self._pending.clear()
        self._fresh.clear()
        for row in query("SELECT * FROM promises WHERE state = 'PENDING' ORDER BY number"):
            record = promise_of(row)
            self._pending.add(record.id)
            tables.install_promise(record)
        for row in query("SELECT * FROM callbacks"):
            tables.install_callback(callback_of(row))
        for row in query("SELECT * FROM tasks WHERE is_open ORDER BY number"):
            tables.install_task(task_of(row))
        for row in query("SELECT * FROM schedules"):
            schedule = schedule_of(row)
            tables.install_schedule(schedule.id, schedule)
        self._count(tables)

    def _count(self, tables: Tables) -> None:
        query = "SELECT (SELECT coalesce(max(number), -1) FROM promises), (SELECT coalesce(max(number), -1) FROM tasks)"
        promises, tasks = self._connection.execute(query).fetchone()
        tables.begin_numbers_at(promises + 1, tasks + 1)
        tables.has_archived = True

    def _catch_up(self, tables: Tables) -> list[str]:
        """Bring what others have changed into the tables, in the order in which they did; gives the runs that have open tasks among it."""
        query = self._connection.execute
        oldest, newest = query("SELECT coalesce(min(turn), 0), coalesce(max(turn), 0) FROM journal").fetchone()
        if self._turn and oldest > self._turn + 1:
            raise Behind
        touched: dict[str, None] = {}
        changed = query("SELECT kind, id FROM journal WHERE turn > ? GROUP BY kind, id ORDER BY min(turn)", (self._turn,)).fetchall()
        for kind, record_id in changed:
            row = query(_BY_ID[kind], (record_id,)).fetchone() if kind in _BY_ID else None
            if kind == "promise" and row is not None:
                record = promise_of(row)
                (self._pending.add if record.state == "PENDING" else self._pending.discard)(record.id)
                tables.install_promise(record)
            elif kind == "task" and row is not None:
                task = task_of(row)
                tables.install_task(task)
                touched[task.root] = None
            elif kind == "callbacks":
                for each in query(_CALLBACKS, (record_id,)).fetchall():
                    tables.install_callback(callback_of(each))
            elif kind == "schedule":
                tables.install_schedule(record_id, schedule_of(row) if row is not None else None)
            elif kind == "pruned":
                tables.forget_run(record_id)
        self._turn = newest
        self._count(tables)
        return list(touched)

    # ---- what is settled: the archive of the tables --------------------------------------------------------------------------------------

    def keep(self, promises: Iterable[PromiseRecord]) -> None:
        """They are in the file already."""
        if len(self._fresh) > FRESH_LIMIT:
            self._fresh.clear()
        for promise_id in (record.id for record in promises):
            for root in [root for root in self._fresh if promise_id.startswith(f"{root}.")]:
                del self._fresh[root]

    def keep_tasks(self, tasks: Iterable[TaskRecord]) -> None:
        """They are in the file already."""

    def promise(self, promise_id: str) -> PromiseRecord | None:
        """The promise of that id, if it is in the file."""
        if self._is_below_fresh(promise_id):
            return None
        row = self._connection.execute(_BY_ID["promise"], (promise_id,)).fetchone()
        return None if row is None else promise_of(row)

    def task(self, task_id: str) -> TaskRecord | None:
        """The task of that id, if it is in the file."""
        row = self._connection.execute(_BY_ID["task"], (task_id,)).fetchone()
        return None if row is None else task_of(row)

    def descendants(self, origin: str) -> list[PromiseRecord]:
        """The promises of a call graph that are in the file, in the order of creation."""
        return [promise_of(row) for row in self._connection.execute("SELECT * FROM promises WHERE origin = ? ORDER BY number", (origin,))]

    def newest_first(self, before: int) -> Iterator[PromiseRecord]:
        """All promises in the file with a number below `before`."""
        for row in self._connection.execute("SELECT * FROM promises WHERE number < ? ORDER BY number DESC", (before,)):
            yield promise_of(row)

    def in_order(self, after: str, tag: tuple[str, str] | None) -> Iterator[PromiseRecord]:
        """All promises in the file with an id beyond one, in the order of ids; such as lack a tag are mostly left out."""
        return map(promise_of, self._connection.execute(IN_ORDER, (after, tag_text(tag))))

    def of_branch(self, branch: str) -> list[PromiseRecord]:
        """The promises of a branch that are in the file."""
        return [promise_of(row) for row in self._connection.execute(OF_BRANCH, (branch,))]

    def fenced_in_order(self, after: str) -> Iterator[TaskRecord]:
        """The fenced tasks in the file of promises with an id beyond one, in the order of ids."""
        return map(task_of, self._connection.execute(FENCED_IN_ORDER, (after,)))

    def look(self, promise_id: str, root: str) -> PromiseRecord | bool:
        """A promise that the tables do not have: the record where it is settled, else whether there is one. `root` is that of its run."""
        is_fresh = self._fresh.get(root)
        if is_fresh is None:
            found = self._reader.execute("SELECT 1 FROM promises WHERE id > ? AND id < ? LIMIT 1", (f"{root}.", f"{root}/")).fetchone()
            is_fresh = self._fresh[root] = found is None  # `/` is what comes after `.`
        if is_fresh and promise_id.startswith(f"{root}."):
            return False
        row = self._reader.execute(_BY_ID["promise"], (promise_id,)).fetchone()
        if row is None:
            return False
        record = promise_of(row)
        return record if record.state != "PENDING" else True

    def _is_below_fresh(self, promise_id: str) -> bool:
        """Whether it could only be in the tables."""
        root, dot, _ = promise_id.rpartition(".")
        return bool(dot) and self._fresh.get(root, False)

    # ---- who has it open ---------------------------------------------------------------------------------------------------------------

    def enter(self, pid: str) -> None:
        """Note, within a turn, that this process works under the id `pid`."""
        row = (pid, _HOST, _BOOT, os.getpid(), _started(os.getpid()))
        self._connection.execute("INSERT OR REPLACE INTO processes VALUES (?, ?, ?, ?, ?)", row)

    def leave(self, pid: str) -> None:
        """Note, within a turn, that it does not any more."""
        self._connection.execute("DELETE FROM processes WHERE pid = ?", (pid,))

    def others(self) -> tuple[set[str], set[str]]:
        """(pids of other processes that may be alive, pids of processes that are certainly gone)."""
        alive: set[str] = set()
        gone: set[str] = set()
        own = (_HOST, _BOOT, os.getpid(), _started(os.getpid()))
        for pid, host, boot, os_pid, started in self._connection.execute("SELECT * FROM processes"):
            if (host, boot, os_pid, started) == own:
                continue
            is_gone = host == _HOST and (boot != _BOOT or _started(os_pid) != started)
            (gone if is_gone else alive).add(pid)
        return alive, gone

    def forget_strangers(self) -> None:
        """List no processes of other machines any more, of which nobody can tell whether they are alive. Their leases last as they do.

        For whoever has opened the file together with its log, or leaves it: its being missing later is no sign of a loss then.
        """
        if self._connection.execute("SELECT 1 FROM processes WHERE host <> ? LIMIT 1", (_HOST,)).fetchone():
            self._connection.execute("DELETE FROM processes WHERE host <> ?", (_HOST,))

    # ---- house-keeping -------------------------------------------------------------------------------------------------------------------

    def size(self) -> int:
        """Bytes on the disk."""
        return sum(part.stat().st_size for part in (self.path, self._log) if part.exists())

    def backup(self, path: Path) -> None:
        """Write a consistent copy, as of now, to another file, which must not be there yet."""
        if path.exists():
            raise FileExistsError(f"{path} is there already; a backup is never written over a file")
        try:
            with closing(sqlite3.connect(path)) as copy:
                self._reader.backup(copy)
                copy.execute("DELETE FROM processes")  # they work on the file, not on the copy
                copy.commit()
        except sqlite3.Error as error:
            path.unlink(missing_ok=True)
            raise self.trouble(error) from error

    def ended_before(self, time: int) -> list[str]:
        """The outermost runs that are in the file and were over before a time."""
        rows = self._connection.execute("SELECT * FROM promises WHERE origin = id AND state <> 'PENDING'")
        return [record.id for record in map(promise_of, rows) if (record.completed_on or 0) < time]

    def ended(self, limit: int) -> tuple[list[PromiseRecord], int]:
        """The newest outermost runs that are over, at most `limit`, and how many there are. Promises of no run are none."""
        over = "state <> 'PENDING' AND substr(body, -2) = ']]'"  # a body ends in the promise's place in a run
        rows = self._reader.execute(f"SELECT * FROM promises WHERE origin = id AND {over} ORDER BY number DESC LIMIT ?", (limit,))  # noqa: S608
        found = [promise_of(row) for row in rows]
        roots = "(SELECT DISTINCT origin FROM promises)"  # from an index: the steps are not read
        count = f"SELECT count(*) FROM {roots} AS roots JOIN promises ON promises.id = roots.origin WHERE {over}"  # noqa: S608
        return found, self._reader.execute(count).fetchone()[0]

    def forget(self, origin: str) -> None:
        """Keep nothing any more, within a turn, of a call graph."""
        for statement in FORGET:
            self._connection.execute(statement, (origin,))
        self._connection.execute("INSERT INTO journal (kind, id) VALUES ('pruned', ?)", (origin,))

    def compact(self) -> None:
        """Give the space of what was forgotten back to the system, where it is worth it."""
        (free,), (all_pages,) = (self._connection.execute(f"PRAGMA {name}").fetchone() for name in ("freelist_count", "page_count"))
        if free * 4 > all_pages:
            self.guarded(lambda: self._connection.execute("VACUUM"))
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


class _Nowhere:
    """Stands for a connection that there is none of. SQLite itself may have been in use when the process was forked, and is not asked."""

    def close(self) -> None:
        """Nothing is open."""

    def __getattr__(self, name: str) -> Any:
        raise sqlite3.ProgrammingError("there is no connection")


class Behind(Exception):
    """Others have written more than the journal holds: everything has to be loaded anew."""


_BY_ID = {
    "promise": "SELECT * FROM promises WHERE id = ?", "task": "SELECT * FROM tasks WHERE id = ?",
    "schedule": "SELECT * FROM schedules WHERE id = ?",
}  # fmt: skip
_CALLBACKS = "SELECT * FROM callbacks WHERE promise = ?"
_of_parents: list[tuple[sqlite3.Connection, sqlite3.Connection]] = []


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _identity(name: str) -> tuple[int, int] | None:
    try:
        found = os.stat(name)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _words_of(read: Callable[[], object]) -> str:
    try:
        return str(read()).strip()
    except OSError:  # a system without /proc
        return ""


_HOST = f"{platform.node()} {_words_of(Path('/proc/self/ns/pid').readlink)}"  # containers of one name count as machines of their own
_BOOT = _words_of(Path("/proc/sys/kernel/random/boot_id").read_text)


def _started(os_pid: int) -> str:
    """When a process of this machine began, in words of its own; empty when there is none."""
    try:
        facts = Path(f"/proc/{os_pid}/stat").read_text().rpartition(")")[2].split()
        return "" if facts[0] in "ZX" else facts[19]  # one that has ended, and whose parent has not asked yet, is gone too
    except OSError:
        pass
    except IndexError:
        return "?"
    if os.path.isdir("/proc/self"):
        return ""
    try:
        os.kill(os_pid, 0)  # systems without /proc
    except ProcessLookupError:
        return ""
    except OSError:
        return "?"
    return "?"
