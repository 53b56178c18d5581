"""Where settled promises go that nobody is likely to ask for again: rows of a table, out of the machine's memory.

`SCHEMA` and the two functions for rows are also what a file of promises is made of.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

from resonate.protocol import Encoded, Lineage, PromiseRecord, TaskRecord

PROMISE_COLUMNS = (
    "number", "id", "origin", "state", "timeout", "param_headers", "param_data", "value_headers", "value_data", "tags", "target", "timer",
    "created_on", "completed_on", "key_for_create", "key_for_complete", "root", "parent", "kind", "name", "arguments",
)  # fmt: skip
TASK_COLUMNS = ("id", "kind", "root", "promise", "recv", "timeout", "created_on", "state", "counter", "completed_on")
SCHEMA = f"""
CREATE TABLE promises ({", ".join(PROMISE_COLUMNS)}, PRIMARY KEY (number));
CREATE UNIQUE INDEX promises_by_id ON promises (id);
CREATE INDEX promises_by_origin ON promises (origin, number);
CREATE TABLE tasks ({", ".join(TASK_COLUMNS)}, PRIMARY KEY (id)) WITHOUT ROWID;
"""
_FILTER_BITS = 23
_SELECT_TASK = f"SELECT {', '.join(TASK_COLUMNS)} FROM tasks WHERE id = ?"  # noqa: S608 (names of ours)
_SELECT = f"SELECT {', '.join(PROMISE_COLUMNS)} FROM promises"  # noqa: S608 (names of ours)


def promise_row(record: PromiseRecord) -> tuple[Any, ...]:
    """A promise as a row."""
    lineage = record.lineage
    return (
        record.number, record.id, lineage.origin if lineage is not None else record.id, record.state, record.timeout,
        _text(record.param[0]), record.param[1], _text(record.value[0]), record.value[1], _text(record.tags), record.target, record.timer,
        record.created_on, record.completed_on,
        record.key_for_create, record.key_for_complete, *(lineage[1:] if lineage is not None else (None,) * 5),
    )  # fmt: skip


def promise_of(row: tuple[Any, ...]) -> PromiseRecord:
    """The promise of a row."""
    number, promise_id, origin, state, timeout, param_headers, param_data, value_headers, value_data, tags, target, timer, *rest = row
    created_on, completed_on, key_for_create, key_for_complete, root, parent, kind, name, arguments = rest
    param: Encoded = (_mapping(param_headers), param_data)
    value: Encoded = (_mapping(value_headers), value_data)
    lineage = None if kind is None else Lineage(origin, root, parent, kind, name, arguments)
    return PromiseRecord(
        promise_id, state, timeout, param, value, _mapping(tags), target, bool(timer), created_on, completed_on, key_for_create,
        key_for_complete, lineage, number,
    )  # fmt: skip


def _text(mapping: dict[str, str] | None) -> str | None:
    return None if mapping is None else json.dumps(mapping)


def _mapping(text: str | None) -> dict[str, str] | None:
    found: dict[str, str] | None = None if text is None else json.loads(text)
    return found


class Archive:
    """Rows in a temporary file, which SQLite makes when it needs it and which is gone with the process. One caller at a time."""

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._frozen: bytes | None = None
        self._seen = bytearray()  # bits that say of most ids that they are not here, without a query

    def keep(self, promises: Iterable[PromiseRecord]) -> None:
        """Take settled promises over."""
        self._insert("promises", [promise_row(record) for record in promises], PROMISE_COLUMNS.index("id"))

    def keep_tasks(self, tasks: Iterable[TaskRecord]) -> None:
        """Take tasks over that are done with."""
        self._insert("tasks", [tuple(getattr(task, name) for name in TASK_COLUMNS) for task in tasks], TASK_COLUMNS.index("id"))

    def promise(self, promise_id: str) -> PromiseRecord | None:
        """The promise of that id, if it is here."""
        rows = self._query(f"{_SELECT} WHERE id = ?", promise_id) if self._may_have(promise_id) else ()
        return next((promise_of(row) for row in rows), None)

    def task(self, task_id: str) -> TaskRecord | None:
        """The task of that id, if it is here."""
        rows = self._query(_SELECT_TASK, task_id) if self._may_have(task_id) else ()
        return next((TaskRecord(**dict(zip(TASK_COLUMNS, row, strict=True))) for row in rows), None)

    def descendants(self, origin: str) -> list[PromiseRecord]:
        """The promises of a call graph that are here, in the order of creation."""
        return [promise_of(row) for row in self._query(f"{_SELECT} WHERE origin = ? ORDER BY number", origin)]

    def newest_first(self, before: int) -> Iterator[PromiseRecord]:
        """All promises that are here with a number below `before`."""
        for row in self._query(f"{_SELECT} WHERE number < ? ORDER BY number DESC", before):
            yield promise_of(row)

    def before_fork(self) -> None:
        """Hold a copy ready: a connection must not be used on both sides of a fork."""
        self._frozen = self._connection.serialize() if self._connection is not None else None

    def after_fork(self, *, is_child: bool) -> None:
        """Go on: the parent as before, the child with the copy."""
        frozen, self._frozen = self._frozen, None
        if is_child and self._connection is not None:
            _of_parents.append(self._connection)
            self._connection = None
            if frozen is not None:
                with closing(sqlite3.connect(":memory:")) as copy:
                    copy.deserialize(frozen)
                    copy.backup(self._connected(is_new=False))

    # ---- small parts ---------------------------------------------------------------------------------------------------------------

    def _connected(self, *, is_new: bool = True) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._connection.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {SCHEMA if is_new else ''}")
            self._seen = self._seen or bytearray(1 << (_FILTER_BITS - 3))
        return self._connection

    def _insert(self, table: str, rows: list[tuple[Any, ...]], id_column: int) -> None:
        connection = self._connected()
        connection.execute("BEGIN")
        connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)  # noqa: S608
        connection.execute("COMMIT")
        for row in rows:
            for place in _places(row[id_column]):
                self._seen[place >> 3] |= 1 << (place & 7)

    def _query(self, statement: str, value: Any) -> Iterable[tuple[Any, ...]]:
        return self._connection.execute(statement, (value,)) if self._connection is not None else ()

    def _may_have(self, text: str) -> bool:
        seen = self._seen
        return bool(seen) and all(seen[place >> 3] >> (place & 7) & 1 for place in _places(text))


_of_parents: list[sqlite3.Connection] = []
"""In the child of a fork: never used and never closed."""


def _places(text: str) -> tuple[int, int]:
    mixed = hash(text)
    mask = (1 << _FILTER_BITS) - 1
    return mixed & mask, mixed >> _FILTER_BITS & mask
