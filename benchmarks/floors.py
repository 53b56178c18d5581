"""Floors, not SDKs: what the interpreter and the disk allow.

They know no retries, timeouts, options, cancellation, leases or events.

    memjson    generators on an explicit stack, a table of results, and for each call a record with two times and the JSON of its value
    memthread  memjson, and each step runs on a thread of a pool: one hop there and back
    sqlnormal  memjson, and each record is a row of an SQLite file (WAL), a commit each, synchronous=NORMAL
    sqlfull    the same with synchronous=FULL, so a commit waits for the disk
    sqlgroup   sqlfull with one commit for all that is ready at once; in a sequence that is one step
"""

from __future__ import annotations

import heapq
import json
import sqlite3
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import GeneratorType
from typing import Any

from common import STEP_ENDS_S, expect, increment, new_id

KINDS = ("memjson", "memthread", "sqlnormal", "sqlfull", "sqlgroup")
Body = Generator[Any, Any, Any]


class Record:
    """The least that a promise is: who, when, and the value as it would be written."""

    __slots__ = ("created_at", "id", "settled_at", "state", "value")

    def __init__(self, id: str) -> None:
        self.id, self.state, self.value = id, 0, ""
        self.created_at = self.settled_at = 0.0


class Frame:
    """A call under way: its id, its generator, and how many calls it has made."""

    __slots__ = ("body", "count", "id")

    def __init__(self, id: str, body: Body) -> None:
        self.id, self.body, self.count = id, body, 0


def seq(count: int) -> Body:
    value = 0
    for _ in range(count):
        value = yield increment, value
        STEP_ENDS_S.append(time.perf_counter())
    return value


def fib(number: int) -> Any:
    if number < 2:
        return number
    left = yield fib, number - 1
    right = yield fib, number - 2
    return left + right


def nested(depth: int) -> Body:
    return 0 if depth == 0 else (yield nested, depth - 1) + 1


def one(value: int) -> Body:
    return (yield increment, value)


class Floor:
    """One of the floors; a database is a file in `folder`."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.path = folder / "floor.db"
        self.pool = ThreadPoolExecutor(2) if kind == "memthread" else None
        self.open()

    def open(self) -> None:
        self.results: dict[str, Any] = {}
        self.records: dict[str, Record] = {}
        self.database: sqlite3.Connection | None = None
        self.in_transaction = False
        if self.kind.startswith("sql"):
            self.database = sqlite3.connect(self.path, isolation_level=None)
            self.database.execute("PRAGMA journal_mode=WAL")
            self.database.execute(f"PRAGMA synchronous={'NORMAL' if self.kind == 'sqlnormal' else 'FULL'}")
            self.database.execute("CREATE TABLE IF NOT EXISTS promises (id TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")

    def put(self, id: str, value: Any) -> None:
        record = Record(id)
        record.created_at = time.time()
        text = json.dumps(value)
        if self.database is not None:
            if self.kind == "sqlgroup" and not self.in_transaction:
                self.database.execute("BEGIN")
                self.in_transaction = True
            self.database.execute("INSERT OR REPLACE INTO promises VALUES (?, ?)", (id, text))
        record.value = text
        record.state = 1
        record.settled_at = time.time()
        self.results[id] = value
        self.records[id] = record

    def end_turn(self) -> None:
        if self.database is not None and self.in_transaction:
            self.database.execute("COMMIT")
            self.in_transaction = False

    def drive(self, id: str, function: Callable[..., Body], *arguments: Any) -> Any:
        results, pool, is_grouped = self.results, self.pool, self.kind == "sqlgroup"
        stack = [Frame(id, function(*arguments))]
        answer: Any = None
        while stack:
            frame = stack[-1]
            try:
                command = frame.body.send(answer)
            except StopIteration as end:
                answer = end.value
                self.put(frame.id, answer)
                stack.pop()
                continue
            frame.count += 1
            child = f"{frame.id}.{frame.count}"
            if child in results:
                answer = results[child]
                continue
            called = command[0]
            value = pool.submit(called, *command[1:]).result() if pool is not None and called is increment else called(*command[1:])
            if type(value) is GeneratorType:
                stack.append(Frame(child, value))
                answer = None
                continue
            self.put(child, value)
            answer = value
            if is_grouped:
                self.end_turn()
        self.end_turn()
        return answer

    def seq(self, count: int) -> int:
        return int(self.drive(new_id(), seq, count))

    def fanout(self, count: int) -> int:
        """All steps are ready at once, so there is nothing to drive."""
        run_id, total = new_id(), 0
        futures = [self.pool.submit(increment, value) for value in range(count)] if self.pool is not None else None
        for value in range(count):
            child = f"{run_id}.{value}"
            answer = self.results.get(child)
            if answer is None:
                answer = increment(value) if futures is None else futures[value].result()
                self.put(child, answer)
            total += answer
        self.put(run_id, total)
        self.end_turn()
        return total

    def fib(self, number: int) -> int:
        return int(self.drive(new_id(), fib, number))

    def nested(self, depth: int) -> int:
        return int(self.drive(new_id(), nested, depth))

    def one(self, value: int) -> int:
        return int(self.drive(new_id(), one, value))

    def sleep(self, count: int, seconds: float) -> int:
        for _ in range(count if self.database is not None else 0):
            self.put(new_id(), seconds)
        self.end_turn()
        due = [(time.monotonic() + seconds, number) for number in range(count)]
        heapq.heapify(due)
        while due:
            time.sleep(max(0.0, due[0][0] - time.monotonic()))
            heapq.heappop(due)
        return count

    def replay(self, count: int) -> dict[str, Any]:
        """From the opened file to the end of the last step: read and decode the rows, and go through the body again."""
        assert self.database is not None
        expect(self.drive("long", seq, count), count)
        self.database.execute("DELETE FROM promises WHERE id = 'long'")
        self.database.close()
        opened_s = time.perf_counter()
        self.open()
        began_s = time.perf_counter()
        for promise_id, text in self.database.execute("SELECT id, value FROM promises"):
            self.results[promise_id] = json.loads(text)
        expect(self.drive("long", seq, count), count)
        return {"wall_s": STEP_ENDS_S[-1] - began_s, "open_s": began_s - opened_s}
