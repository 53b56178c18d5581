"""The current protocol (`2026-04-01`): its tags, its addresses, and the JSON of its records and messages.

Its operations are in `current_requests`. A promise carries its tags as they were sent; what a server acts on is read from them
(`read_tags`). Promises of both generations stand in one table: one that was made otherwise is shown with the tags that the legacy protocol
gives it.

Data is any text on this wire, by convention base64 of JSON. It is kept decoded, as everywhere here, so that each generation reads what the
other has written; text that is not exactly what base64 would make of something is kept as it was sent, behind a mark.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from resonate.limits import INTEGER_LIMIT
from resonate.protocol import (
    BRANCH,
    TRACEBACK_HEADER,
    CreatePromise,
    Encoded,
    Message,
    NotifyMessage,
    PromiseRecord,
    ScheduleRecord,
    State,
    TaskMessage,
    TaskRecord,
    TaskState,
)
from resonate.wire import legacy

VERSION = "2026-04-01"
TARGET = "resonate:target"
TIMER = "resonate:timer"
ORIGIN = "resonate:origin"

Dialect = Literal["R1", "R2", "R3"]
"""Which of the servers that announce this version it is: they differ in what an id and its lineage tags may be."""

PROMISE_STATES: dict[str, State] = {
    "pending": "PENDING", "resolved": "RESOLVED", "rejected": "REJECTED", "rejected_canceled": "REJECTED_CANCELED",
    "rejected_timedout": "REJECTED_TIMEDOUT",
}  # fmt: skip
TASK_STATES: dict[str, tuple[TaskState, ...]] = {
    "pending": ("INIT", "ENQUEUED"), "acquired": ("CLAIMED",), "suspended": ("SUSPENDED",), "halted": ("HALTED",),
    "fulfilled": ("COMPLETED", "TIMEDOUT"),
}  # fmt: skip
_TASK_WORDS = {state: word for word, states in TASK_STATES.items() for state in states}
_ANY_BYTES = "surrogateescape"  # as the legacy protocol keeps them
_AS_SENT = "\x00as sent:"
"""Begins data that is no base64, or whose content would begin so."""
_ERROR_CLASS = re.compile(r'^\{"py/reduce": \[\{"py/type": "([^"\\]+)"')
_ADDRESSES = (
    re.compile(r"poll://(any|uni)@[^\x00-\x20#/:<>?@\[\\\]^|]+(/.*)?", re.IGNORECASE | re.DOTALL),
    re.compile(r"https?://[^\x00-\x20/?#]+.*", re.IGNORECASE | re.DOTALL),
    re.compile(r"gcps://[^/]+/[^/]+", re.IGNORECASE),
    re.compile(r"bash://(|docker/.+|tensorlake/.+)", re.IGNORECASE),
)


# ---- tags --------------------------------------------------------------------------------------------------------------------------


def read_tags(tags: Mapping[str, str] | None) -> tuple[str | None, bool]:
    """What a server reads from tags: the target, if any, and whether the promise resolves at its deadline."""
    return (tags.get(TARGET), tags.get(TIMER) == "true") if tags else (None, False)


def shown_tags(record: PromiseRecord) -> dict[str, str]:
    """All tags of a promise: as they were sent where it was made by this protocol, else as the legacy one shows them."""
    tags = record.tags or {}
    return dict(tags) if record.timer and tags.get(TIMER) == "true" else legacy.tags_of(record)


def is_shown_as_stored(name: str) -> bool:
    """Whether a tag is never made up from anything else than the stored tags, so that stored ones can be searched for it."""
    return name not in {legacy.INVOKE, legacy.TIMEOUT, "resonate:root", "resonate:parent", "resonate:scope"}


def tags_for(create: CreatePromise, dialect: Dialect = "R1", branch: str | None = None) -> dict[str, str]:
    """The tags that a client gives a promise: the user's, and the least that lets the server act and others draw the call graph.

    `branch` is that of the run that creates it, None where nobody wants to be handed the branch's promises: it costs n² for n of them.

    >>> from resonate.protocol import Lineage
    >>> create = CreatePromise("r.1", 0, target="poll://any@g", lineage=Lineage("r", "r", "r", "rpc", "f"))
    >>> sorted(tags_for(create).items())[2:]
    [('resonate:root', 'r'), ('resonate:scope', 'global'), ('resonate:target', 'poll://any@g')]
    """
    tags = dict(create.tags or {})
    lineage = create.lineage
    if lineage is not None:
        parent = lineage.parent or create.id
        is_local = lineage.kind in ("run", "sleep") and lineage.parent is not None
        tags |= {"resonate:scope": "local" if is_local and create.target is None else "global", "resonate:root": lineage.origin}
        if _may_name_origin(create.id, lineage.origin, dialect):
            tags |= {ORIGIN: lineage.origin}
            if _may_name_parent(create.id, parent, dialect):
                tags |= {"resonate:parent": parent}
        if lineage.kind == "promise":
            tags["resonate:external"] = "true"
        if branch is not None:
            tags[BRANCH] = create.id if create.target is not None or lineage.parent is None else branch
    if create.timer:
        tags[TIMER] = "true"
    if create.target is not None:
        tags[TARGET] = create.target
    return tags


def _may_name_origin(promise_id: str, origin: str, dialect: Dialect) -> bool:
    """Whether a server takes the tag (current protocol, creation checks)."""
    mark = {"R1": "", "R2": ".", "R3": ":"}[dialect]
    return not mark or (mark not in origin and (promise_id == origin or promise_id.startswith(origin + mark)))


def _may_name_parent(promise_id: str, parent: str, dialect: Dialect) -> bool:
    mark = "." if dialect == "R2" or ":" in parent else ":"
    return dialect == "R1" or promise_id == parent or promise_id.startswith(parent + mark)


def is_address(text: str) -> bool:
    """Whether a target or a listener's address is one (current protocol, addresses). It need not lead to anybody.

    >>> is_address("poll://any@workers"), is_address("workers")
    (True, False)
    """
    return any(form.fullmatch(text) for form in _ADDRESSES)


# ---- values ------------------------------------------------------------------------------------------------------------------------


def value_to_wire(value: Encoded) -> dict[str, Any]:
    """A value as JSON; absent members are left out."""
    headers, data = value
    shown: dict[str, Any] = {} if headers is None else {"headers": headers}
    if data is not None:
        is_as_sent = data.startswith(_AS_SENT)
        shown["data"] = data[len(_AS_SENT) :] if is_as_sent else base64.b64encode(data.encode("utf-8", _ANY_BYTES)).decode("ascii")
    return shown


def value_from_wire(shown: Any) -> Encoded:
    """A value from JSON. ValueError when it is none."""
    if not isinstance(shown, dict):
        raise ValueError("must be an object")
    headers, data = shown.get("headers"), shown.get("data")
    if headers is not None:
        texts_from_wire(headers)
    if data is None:
        return headers, None
    if not isinstance(data, str):
        raise ValueError("must have text as its data")
    try:
        raw = base64.b64decode(data, validate=True)
    except ValueError:
        return headers, _AS_SENT + data
    text = raw.decode("utf-8", _ANY_BYTES)
    is_exact = base64.b64encode(raw).decode("ascii") == data and not text.startswith(_AS_SENT)
    return headers, text if is_exact else _AS_SENT + data


def error_for_others(value: Encoded) -> Encoded:
    """A raised error with what the SDKs of this protocol look for in its data, beside `__error__`, which is what SDK 0.6.7 looks for.

    >>> error_for_others(({"resonate:traceback": ""}, '{"__error__": "no stock"}'))[1]
    '{"__error__": "no stock", "__type": "error", "message": "no stock", "name": "Exception"}'
    """
    headers, data = value
    if headers is None or TRACEBACK_HEADER not in headers or data is None or not data.startswith('{"__error__"'):
        return value
    try:
        shown = json.loads(data)
    except (ValueError, RecursionError):
        return value  # an encoder of the user's has its own ways
    text = shown["__error__"]
    if len(shown) != 1 or not isinstance(text, str):
        return value
    named = _ERROR_CLASS.search(headers.get("resonate:format-py", ""))
    name = named[1].rpartition(".")[2] if named else "Exception"
    return headers, json.dumps(shown | {"__type": "error", "message": text, "name": name})


def texts_from_wire(shown: Any) -> dict[str, str]:
    """Tags or headers. ValueError when some value is no text."""
    if not isinstance(shown, dict) or not all(isinstance(value, str) for value in shown.values()):
        raise ValueError("must be an object that maps text to text")
    return shown


# ---- records -----------------------------------------------------------------------------------------------------------------------


def promise_to_wire(record: PromiseRecord) -> dict[str, Any]:
    """A promise as JSON."""
    shown = {
        "id": record.id, "state": record.state.lower(), "param": value_to_wire(record.param), "value": value_to_wire(record.value),
        "tags": shown_tags(record), "timeoutAt": record.timeout, "createdAt": record.created_on,
    }  # fmt: skip
    if record.completed_on is not None:
        shown["settledAt"] = record.completed_on
    return shown


def promise_from_wire(shown: Any) -> PromiseRecord:
    """A promise from JSON, also as servers in a client's process write it. ValueError that says what is missing or of the wrong kind."""
    try:
        tags = texts_from_wire(shown.get("tags") or {})
        target, timer = read_tags(tags)
        return PromiseRecord(
            _text(shown["id"]), PROMISE_STATES[shown["state"]], _integer(shown["timeoutAt"]), value_from_wire(shown.get("param") or {}),
            value_from_wire(shown.get("value") or {}), tags, target, timer, _integer(shown["createdAt"]),
            None if shown.get("settledAt") is None else _integer(shown["settledAt"]),
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"this is no promise: {error!r} in {str(shown)[:80]}") from None


def task_to_wire(task: TaskRecord) -> dict[str, Any]:
    """A fenced task as JSON: its id is its promise's."""
    shown: dict[str, Any] = {"id": task.root, "state": _TASK_WORDS[task.state], "version": task.counter, "resumes": task.resumes}
    if task.state == "CLAIMED":
        shown |= {"ttl": task.ttl, "pid": task.pid}
    return shown


def task_from_wire(shown: Any) -> TaskRecord:
    """A fenced task from JSON; what the wire does not tell (address, deadline) is empty. ValueError as above."""
    try:
        promise_id = _text(shown["id"])
        task = TaskRecord(promise_id, "execute", promise_id, promise_id, "", 0, 0, TASK_STATES[shown["state"]][-1])
        task.counter, task.resumes = _integer(shown["version"]), _integer(shown.get("resumes") or 0)
        task.pid, task.ttl = shown.get("pid"), _integer(shown.get("ttl") or 0)
        return task
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"this is no task: {error!r} in {str(shown)[:80]}") from None


def schedule_to_wire(record: ScheduleRecord) -> dict[str, Any]:
    """A schedule as JSON."""
    shown = {
        "id": record.id, "cron": record.cron, "promiseId": record.promise_id, "promiseTimeout": record.promise_timeout,
        "promiseParam": value_to_wire(record.promise_param), "promiseTags": record.promise_tags, "createdAt": record.created_on,
        "nextRunAt": record.next_run,
    }  # fmt: skip
    if record.last_run is not None:
        shown["lastRunAt"] = record.last_run
    return shown


def schedule_from_wire(shown: Any) -> ScheduleRecord:
    """A schedule from JSON. ValueError as above."""
    try:
        return ScheduleRecord(
            _text(shown["id"]), _text(shown["cron"]), _text(shown["promiseId"]), _integer(shown["promiseTimeout"]),
            value_from_wire(shown.get("promiseParam") or {}), texts_from_wire(shown.get("promiseTags") or {}), None, {}, None,
            _integer(shown["createdAt"]), _integer(shown["nextRunAt"]),
            None if shown.get("lastRunAt") is None else _integer(shown["lastRunAt"]), is_fenced=True,
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"this is no schedule: {error!r} in {str(shown)[:80]}") from None


# ---- messages ----------------------------------------------------------------------------------------------------------------------


def message_to_wire(message: Message, base: str | None = None) -> dict[str, Any]:
    """A message in the form of the generation that it is of: each connection may get both. `base` is the server's address."""
    if message.kind == "execute":
        task = {"id": message.root, "version": message.counter}
        return {"kind": "execute", "head": {} if base is None else {"serverUrl": base}, "data": {"task": task}}
    if message.kind == "unblock":
        return {"kind": "unblock", "head": {}, "data": {"promise": promise_to_wire(message.promise)}}
    return legacy.message_to_wire(message, base)


def message_from_wire(shown: Any, recv: str) -> Message | None:
    """A message of the current protocol from JSON; None for a kind that is not known. ValueError when it is damaged."""
    try:
        if shown["kind"] == "unblock":
            return NotifyMessage(recv, promise_from_wire(shown["data"]["promise"]), "unblock")
        if shown["kind"] != "execute":
            return None
        task = shown["data"]["task"]
        task_id = _text(task["id"])
        return TaskMessage(recv, "execute", task_id, _integer(task["version"]), task_id)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no message: {error!r} in {str(shown)[:80]}") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:80]} is no text")
    return value


def _integer(value: Any) -> int:
    if type(value) is not int or abs(value) > INTEGER_LIMIT:
        raise ValueError(f"{str(value)[:80]} is no integer")
    return value
