"""Records as rows of SQLite tables, for the file store and for what the store in memory puts away.

What is asked for by SQL (id, origin, state) has a column; the rest of a record is one JSON text. Each row ends in a checksum over all
of it: a row that was damaged on the disk is noticed before it is believed (`Damaged`).
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from typing import Any

from resonate.encoders import FORMAT_HEADER
from resonate.protocol import CallbackRecord, Encoded, Lineage, PromiseRecord, ScheduleRecord, TaskRecord
from resonate.tables import OPEN

SCHEMA = """
CREATE TABLE promises (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, origin TEXT NOT NULL, state TEXT NOT NULL, body TEXT NOT NULL,
    checksum INTEGER NOT NULL);
CREATE INDEX promises_of ON promises (origin);
CREATE TABLE tasks (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, is_open INTEGER NOT NULL, body TEXT NOT NULL,
    checksum INTEGER NOT NULL);
"""
BRANCHES = """
CREATE TABLE branches (id TEXT PRIMARY KEY, branch TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX branches_by_name ON branches (branch);
"""
"""Which promises are handed out together. It is an index only: what it says is in the promises' tags."""
PUT_PROMISE = "INSERT OR REPLACE INTO promises VALUES (?, ?, ?, ?, ?, ?)"
PUT_TASK = "INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?, ?)"
PUT_CALLBACK = "INSERT OR REPLACE INTO callbacks VALUES (?, ?, ?, ?)"
PUT_BRANCH = "INSERT OR REPLACE INTO branches VALUES (?, ?)"
PUT_SCHEDULE = "INSERT OR REPLACE INTO schedules VALUES (?, ?, ?)"
OF_BRANCH = "SELECT promises.* FROM branches JOIN promises ON promises.id = branches.id WHERE branches.branch = ?"
IN_ORDER = "SELECT * FROM promises WHERE id > ? AND instr(body, ?) ORDER BY id"
FENCED_IN_ORDER = "SELECT * FROM tasks WHERE id > '__execute:' || ? AND id < '__execute;' ORDER BY id"  # `;` is what comes after `:`
FORGET = (
    "DELETE FROM tasks WHERE id IN (SELECT '__invoke:' || id FROM promises WHERE origin = ?)",
    # A resumption's id has the run and the promise in it; other runs, whose ids begin alike, keep theirs.
    """DELETE FROM tasks WHERE number IN (SELECT tasks.number FROM promises JOIN tasks ON tasks.id >= '__resume:' || promises.id || ':'
    AND tasks.id < '__resume:' || promises.id || ';' AND json_extract(tasks.body, '$[1]') = promises.id WHERE promises.origin = ?)""",
    "DELETE FROM tasks WHERE id = '__execute:' || ?",  # a promise that has a fenced task is a run of its own
    "DELETE FROM branches WHERE id IN (SELECT id FROM promises WHERE origin = ?)",
    "DELETE FROM promises WHERE origin = ?",
)
_TASK_FIELDS = tuple(TaskRecord.__slots__[1:-1])
_CALLBACK_FIELDS = ("kind", "root", "recv", "timeout", "created_on", "head")
_SCHEDULE_FIELDS = tuple(ScheduleRecord.__slots__[1:])

Row = tuple[Any, ...]
_quote = json.encoder.encode_basestring_ascii


class Connection(sqlite3.Connection):
    """One that is closed, and says nothing, when its store is gone: that answers for as long as somebody has it."""

    def __del__(self) -> None:
        try:
            self.close()
        except sqlite3.ProgrammingError:  # it could not be opened
            pass


class Damaged(ValueError):
    """A row is not what was written."""


def checksum(row: Row) -> int:
    """The checksum of the columns before it."""
    return zlib.crc32(repr(row).encode("utf-8", "surrogatepass"))


def checked(row: Row) -> Row:
    """The columns before the checksum. Raises `Damaged` when they do not belong to it."""
    *columns, written = row
    content = tuple(columns)
    if checksum(content) != written:
        raise Damaged(f"the row of {str(columns[0])[:80]!r} is not what was written")
    return content


def promise_row(record: PromiseRecord) -> Row:
    """A promise as a row."""
    lineage = record.lineage
    origin = record.id if lineage is None else lineage.origin
    place = "null" if lineage is None else f"[{', '.join(map(_quoted, lineage[1:]))}]"
    tags = "null" if record.tags is None else json.dumps(record.tags)
    # As `json.dumps` of a list writes it, four times as fast; there is a row for each step.
    body = (
        f"[{record.timeout}, {_packed(record.param)}, {_packed(record.value)}, {tags}, "
        f"{_quoted(record.target)}, {'true' if record.timer else 'false'}, {record.created_on}, "
        f"{'null' if record.completed_on is None else record.completed_on}, {_quoted(record.key_for_create)}, "
        f"{_quoted(record.key_for_complete)}, {place}]"
    )
    row = (record.number, record.id, origin, record.state, body)
    return *row, checksum(row)


def promise_of(row: Row) -> PromiseRecord:
    """The promise of a row."""
    number, promise_id, origin, state, body = checked(row)
    timeout, param, param_data, value, value_data, *rest = json.loads(body)
    tags, target, timer, created_on, completed_on, key_for_create, key_for_complete, lineage = rest
    return PromiseRecord(
        promise_id, state, timeout, _unpacked(param, param_data), _unpacked(value, value_data), tags, target, timer, created_on,
        completed_on, key_for_create, key_for_complete, None if lineage is None else Lineage(origin, *lineage), number,
    )  # fmt: skip


def tag_text(tag: tuple[str, str] | None) -> str:
    """What the body of a promise that has a tag holds somewhere. (The body of another one may hold it too.)"""
    return "" if tag is None else f"{_quote(tag[0])}: {_quote(tag[1])}"


def _packed(value: Encoded) -> str:
    """JSON of headers and data; 1 stands for the headers of a value whose exact form is its data."""
    headers, data = value
    if headers is None:
        return f"null, {_quoted(data)}"
    is_plain = data is not None and len(headers) == 1 and headers.get(FORMAT_HEADER) == data
    return f"{'1' if is_plain else json.dumps(headers)}, {_quoted(data)}"


def _quoted(text: str | None) -> str:
    return "null" if text is None else _quote(text)


def _unpacked(headers: Any, data: Any) -> Encoded:
    return {FORMAT_HEADER: data} if headers == 1 else headers, data


def task_row(task: TaskRecord) -> Row:
    """A task as a row."""
    row = (task.number, task.id, int(task.state in OPEN), json.dumps([getattr(task, name) for name in _TASK_FIELDS]))
    return *row, checksum(row)


def task_of(row: Row) -> TaskRecord:
    """The task of a row."""
    number, task_id, _, body = checked(row)
    task = TaskRecord(task_id, *json.loads(body))
    task.number = number
    return task


def callback_row(record: CallbackRecord) -> Row:
    """A callback as a row."""
    row = (record.promise, record.id, json.dumps([getattr(record, name) for name in _CALLBACK_FIELDS]))
    return *row, checksum(row)


def callback_of(row: Row) -> CallbackRecord:
    """The callback of a row."""
    promise_id, callback_id, body = checked(row)
    kind, *rest = json.loads(body)
    return CallbackRecord(callback_id, kind, promise_id, *rest)


def schedule_row(record: ScheduleRecord) -> Row:
    """A schedule as a row."""
    row = (record.id, json.dumps([getattr(record, name) for name in _SCHEDULE_FIELDS]))
    return *row, checksum(row)


def schedule_of(row: Row) -> ScheduleRecord:
    """The schedule of a row."""
    schedule_id, body = checked(row)
    record = ScheduleRecord(schedule_id, *json.loads(body))
    record.promise_param = (record.promise_param[0], record.promise_param[1])
    return record
