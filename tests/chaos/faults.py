"""A disk that refuses: the connections of a file store, with errors at the statement that was chosen, until they are mended."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from resonate.stores import sqlite as store_module
from resonate.stores.file import PromiseFile

ERRORS = {
    "full": ("database or disk is full", "SQLITE_FULL"),
    "broken": ("disk I/O error", "SQLITE_IOERR_WRITE"),
    "unreadable": ("disk I/O error", "SQLITE_IOERR_READ"),
}
WRITES = ("INSERT", "DELETE", "COMMIT")
READS = ("SELECT", "PRAGMA data_version", "BEGIN")


class Disk:
    """Counts the statements that begin as one of `words`, and fails from the `fail_at`-th on: `times` of them, or until it is mended."""

    def __init__(self, error: str, fail_at: int, times: int | None = None) -> None:
        self.count = 0
        self.failed = 0
        self._error = error
        self._words = READS if error == "unreadable" else WRITES
        self._fail_at = fail_at
        self._times = times
        self._is_mended = False

    def mend(self) -> None:
        self._is_mended = True

    def look_at(self, statement: str) -> None:
        if not statement.startswith(self._words):
            return
        self.count += 1
        if self._is_mended or self.count < self._fail_at or (self._times is not None and self.failed >= self._times):
            return
        self.failed += 1
        text, name = ERRORS[self._error]
        error = sqlite3.OperationalError(text)
        error.sqlite_errorname = name
        raise error


class Failing:
    """A connection on such a disk."""

    def __init__(self, connection: sqlite3.Connection, disk: Disk) -> None:
        self._connection = connection
        self._disk = disk

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        self._disk.look_at(statement)
        return self._connection.execute(statement, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@contextmanager
def on_a_disk(disk: Disk) -> Iterator[None]:
    """Files that are opened meanwhile are on that disk, and what failed is tried again at once."""
    connect = PromiseFile._connect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PromiseFile, "_connect", lambda file: Failing(connect(file), disk))
        patch.setattr(store_module, "STORE_RETRY_S", 0.02)
        yield
