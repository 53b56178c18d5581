"""Where the store in memory puts what is over and nobody is likely to ask for again: rows of a table in a temporary file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

from resonate.protocol import BRANCH, PromiseRecord, TaskRecord
from resonate.stores.rows import (
    BRANCHES,
    FENCED_IN_ORDER,
    FORGET,
    IN_ORDER,
    OF_BRANCH,
    PUT_BRANCH,
    PUT_PROMISE,
    PUT_TASK,
    SCHEMA,
    Connection,
    promise_of,
    promise_row,
    tag_text,
    task_of,
    task_row,
)

_FILTER_BITS = 23


class Archive:
    """Rows in a temporary file, which SQLite makes when it needs it and which is gone with the process. One caller at a time."""

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._frozen: bytes | None = None
        self._seen = bytearray()  # bits that say of most ids that they are not here, without a query

    def keep(self, promises: Iterable[PromiseRecord]) -> None:
        """Take settled promises over."""
        kept = list(promises)
        self._insert(PUT_PROMISE, {record.id: promise_row(record) for record in kept})
        branches = {record.id: (record.id, record.tags[BRANCH]) for record in kept if record.tags and BRANCH in record.tags}
        if branches:
            self._insert(PUT_BRANCH, branches)

    def keep_tasks(self, tasks: Iterable[TaskRecord]) -> None:
        """Take tasks over that are done with."""
        self._insert(PUT_TASK, {task.id: task_row(task) for task in tasks})

    def promise(self, promise_id: str) -> PromiseRecord | None:
        """The promise of that id, if it is here."""
        rows = self._query("SELECT * FROM promises WHERE id = ?", promise_id) if self._may_have(promise_id) else ()
        return next((promise_of(row) for row in rows), None)

    def task(self, task_id: str) -> TaskRecord | None:
        """The task of that id, if it is here."""
        rows = self._query("SELECT * FROM tasks WHERE id = ?", task_id) if self._may_have(task_id) else ()
        return next((task_of(row) for row in rows), None)

    def descendants(self, origin: str) -> list[PromiseRecord]:
        """The promises of a call graph that are here, in the order of creation."""
        return [promise_of(row) for row in self._query("SELECT * FROM promises WHERE origin = ? ORDER BY number", origin)]

    def newest_first(self, before: int) -> Iterator[PromiseRecord]:
        """All promises that are here with a number below `before`."""
        for row in self._query("SELECT * FROM promises WHERE number < ? ORDER BY number DESC", before):
            yield promise_of(row)

    def in_order(self, after: str, tag: tuple[str, str] | None) -> Iterator[PromiseRecord]:
        """All promises that are here with an id beyond one, in the order of ids; such as lack a tag are mostly left out."""
        return map(promise_of, self._query(IN_ORDER, after, tag_text(tag)))

    def of_branch(self, branch: str) -> list[PromiseRecord]:
        """The promises of a branch that are here."""
        return [promise_of(row) for row in self._query(OF_BRANCH, branch)]

    def fenced_in_order(self, after: str) -> Iterator[TaskRecord]:
        """The fenced tasks that are here of promises with an id beyond one, in the order of ids."""
        return map(task_of, self._query(FENCED_IN_ORDER, after))

    def ended_before(self, time: int) -> list[str]:
        """The outermost runs that are here and were over before a time."""
        rows = self._query("SELECT * FROM promises WHERE origin = id AND state <> ?", "PENDING")
        return [record.id for record in map(promise_of, rows) if (record.completed_on or 0) < time]

    def forget(self, origin: str) -> None:
        """Keep nothing any more of a call graph."""
        for statement in FORGET if self._connection is not None else ():
            self._connection.execute(statement, (origin,))  # type: ignore[union-attr]

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
            self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False, factory=Connection)
            self._connection.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; {SCHEMA + BRANCHES if is_new else ''}")
            self._seen = self._seen or bytearray(1 << (_FILTER_BITS - 3))
        return self._connection

    def _insert(self, put: str, rows: dict[str, tuple[Any, ...]]) -> None:
        connection = self._connected()
        connection.execute("BEGIN")
        connection.executemany(put, rows.values())
        connection.execute("COMMIT")
        for record_id in rows:
            for place in _places(record_id):
                self._seen[place >> 3] |= 1 << (place & 7)

    def _query(self, statement: str, *values: Any) -> Iterable[tuple[Any, ...]]:
        return self._connection.execute(statement, values) if self._connection is not None else ()

    def _may_have(self, text: str) -> bool:
        seen = self._seen
        return bool(seen) and all(seen[place >> 3] >> (place & 7) & 1 for place in _places(text))


_of_parents: list[sqlite3.Connection] = []
"""In the child of a fork: never used and never closed."""


def _places(text: str) -> tuple[int, int]:
    mixed = hash(text)
    mask = (1 << _FILTER_BITS) - 1
    return mixed & mask, mixed >> _FILTER_BITS & mask
