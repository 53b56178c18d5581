"""Ends this process, as `kill -9` does, at a boundary of its file store that was chosen beforehand; and notes what was acknowledged.

A *boundary* is the commit of a turn that wrote something, or the moment its answers are given; they are counted together, from 1, in each
process. A turn that only read leaves nothing that a death could tear. Where `place` is "statement", every SQL statement of the store is
a boundary instead, those that open and make the file too.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from resonate.protocol import CreateSettled, SettlePromise
from resonate.stores.file import PromiseFile
from resonate.stores.sqlite import SqliteStore
from tests.chaos.ledger import Ledger


class Boundaries:
    """Counts them, and ends the process at one."""

    def __init__(self, ledger: Ledger, place: str, kill_at: int, side: str) -> None:
        self.count = 0
        self._ledger = ledger
        self._kill_at, self._side = kill_at, side
        self._lock = threading.Lock()
        self._here = threading.local()
        self._install(counts=place == "turn")
        if place == "statement":
            self._install_trace()

    def pass_by(self, do: Callable[[], Any], *, counts: bool) -> Any:
        """Do something that is a boundary."""
        with self._lock:
            self.count += counts
            is_last = counts and self.count == self._kill_at
        if is_last and self._side == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = do()
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    def _install(self, *, counts: bool) -> None:
        begin, commit, answer = PromiseFile.begin, PromiseFile.commit, SqliteStore._answer
        here = self._here

        def begins(file: PromiseFile, tables: Any) -> Any:
            touched = begin(file, tables)
            here.changes_before = file._connection.total_changes
            return touched

        def commits(file: PromiseFile) -> None:
            here.has_written = file._connection.total_changes > here.changes_before
            self.pass_by(lambda: commit(file), counts=counts and here.has_written)

        def answers(store: SqliteStore, entries: Any, given: Any) -> None:
            def give() -> None:
                self._note(entries, given)
                answer(store, entries, given)

            self.pass_by(give, counts=counts and here.has_written)

        PromiseFile.begin, PromiseFile.commit, SqliteStore._answer = begins, commits, answers  # type: ignore[method-assign]

    def _note(self, entries: Any, given: Any) -> None:
        for entry, answers in zip(entries, given, strict=True):
            for operation, answer in zip(entry.operations, answers, strict=True):
                settle = operation.settle if isinstance(operation, CreateSettled) else operation
                if isinstance(settle, SettlePromise) and not isinstance(answer, Exception):
                    self._ledger.write("ack", settle.id)

    def _install_trace(self) -> None:
        connect = PromiseFile._connect

        def connects(file: PromiseFile) -> Any:
            connection = connect(file)
            connection.set_trace_callback(lambda _: self.pass_by(lambda: None, counts=True))
            return connection

        PromiseFile._connect = connects  # type: ignore[method-assign]
