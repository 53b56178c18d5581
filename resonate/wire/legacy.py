"""The legacy protocol (SDK 0.6.7, server v0.7.9 to v0.8.2): how lineage, target and timers are written into tags, and records into JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from resonate.limits import TIMEOUT_LIMIT_MS
from resonate.protocol import (
    NOTHING,
    CallbackRecord,
    CreatePromise,
    Encoded,
    Message,
    NotifyMessage,
    PromiseRecord,
    ScheduleRecord,
    TaskMessage,
    TaskRecord,
)

INVOKE = "resonate:invoke"
TIMEOUT = "resonate:timeout"
DELAY = "resonate:delay"
_ANY_BYTES = "surrogateescape"
"""Data on the wire is any bytes; those that are no text become half surrogates, and come back as they were."""


def tags_of(record: PromiseRecord | CreatePromise) -> dict[str, str]:
    """All tags of a promise as the legacy protocol shows them: the user's, overridden by the system's of the same name."""
    tags = dict(record.tags or {})
    lineage = record.lineage
    if record.timer:
        tags[TIMEOUT] = "true"
    if lineage is not None and lineage.kind in ("run", "rpc", "detached"):
        is_global = record.target is not None
        tags["resonate:root"] = record.id if lineage.parent is None else lineage.root
        tags["resonate:parent"] = record.id if lineage.parent is None else lineage.parent
        tags["resonate:scope"] = "global" if is_global else "local"
    if record.target is not None:
        tags[INVOKE] = record.target
    return tags


def read_tags(tags: Mapping[str, str] | None) -> tuple[str | None, bool, int]:
    """What a server reads from tags: the target address, if any; whether the promise resolves at its deadline; when it is sent at first."""
    if not tags:
        return None, False, 0
    target = tags.get(INVOKE)
    delay = tags.get(DELAY, "")
    not_before = min(int(delay), TIMEOUT_LIMIT_MS) if delay.isascii() and delay.isdigit() and len(delay) < 20 else 0
    return target if target is None or _routes(target) else None, tags.get(TIMEOUT) == "true", not_before


def _routes(target: str) -> bool:
    """Text that is no JSON is an address or a name; of JSON only an object with a type and data is one."""
    try:
        physical = json.loads(target)
    except (ValueError, RecursionError):
        return True
    return isinstance(physical, dict) and isinstance(physical.get("type"), str) and "data" in physical


def address_of(target: str) -> str:
    """The address of a logical target: `workers` is any worker of that group, a URL stands for itself.

    >>> address_of("workers"), address_of("poll://any@workers/w1")
    ('poll://any@workers', 'poll://any@workers/w1')
    """
    try:
        parts = urlsplit(target)
    except ValueError:  # as `[` in a group's name
        return f"poll://any@{target}"
    return target if parts.scheme and parts.netloc else f"poll://any@{target}"


def poll_address(recv: str, schemes: tuple[str, ...] | None = ("poll", "local")) -> tuple[str, str, str] | None:
    """(`any` or `uni`, group, id) of an address as text or as JSON; None when it is none, or of another scheme.

    >>> poll_address("poll://any@workers/w1"), poll_address('{"type": "poll", "data": {"group": "workers"}}')
    (('any', 'workers', 'w1'), ('any', 'workers', ''))
    """
    if recv.startswith("{"):
        return _physical_address(recv)
    try:
        parts = urlsplit(recv)
    except ValueError:  # as `poll://any@[`
        return None
    if schemes is not None and parts.scheme not in schemes:
        return None
    cast, _, group = parts.netloc.rpartition("@")
    return cast or "any", unquote(group), unquote(parts.path.removeprefix("/"))


def _physical_address(recv: str) -> tuple[str, str, str] | None:
    try:
        shown = json.loads(recv)
        data = shown["data"] if shown["type"] == "poll" else {}
        return str(data.get("cast") or "any"), str(data["group"]), str(data.get("id") or "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # no address at all: it reaches nobody


# ---- JSON --------------------------------------------------------------------------------------------------------------------------


def promise_to_wire(record: PromiseRecord) -> dict[str, Any]:
    """A promise as JSON; absent members are left out."""
    shown = {
        "id": record.id, "state": record.state, "param": value_to_wire(record.param), "value": value_to_wire(record.value),
        "timeout": record.timeout, "idempotencyKeyForCreate": record.key_for_create,
        "idempotencyKeyForComplete": record.key_for_complete, "tags": tags_of(record) or None, "createdOn": record.created_on,
        "completedOn": record.completed_on,
    }  # fmt: skip
    return {name: value for name, value in shown.items() if value is not None}


def promise_from_wire(shown: Mapping[str, Any]) -> PromiseRecord:
    """A promise from JSON. ValueError that names what is missing or of the wrong kind."""
    try:
        tags = dict(shown.get("tags") or {})
        target, timer, _ = read_tags(tags)
        return PromiseRecord(
            shown["id"], shown["state"], int(shown["timeout"]), value_from_wire(shown.get("param")), value_from_wire(shown.get("value")),
            tags, target, timer, int(shown.get("createdOn") or 0), shown.get("completedOn"), shown.get("idempotencyKeyForCreate"),
            shown.get("idempotencyKeyForComplete"),
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no promise: {error!r} in {str(shown)[:80]}") from None


def value_to_wire(value: Encoded) -> dict[str, Any]:
    """What is stored of a value as JSON; empty where nothing is."""
    headers, data = value
    shown: dict[str, Any] = {"headers": headers} if headers else {}
    if data is not None:
        shown["data"] = base64.b64encode(data.encode("utf-8", _ANY_BYTES)).decode("ascii")
    return shown


def value_from_wire(shown: Mapping[str, Any] | None) -> Encoded:
    """The same from JSON. ValueError where the data is no base64."""
    if not shown:
        return NOTHING
    data = shown.get("data")
    return shown.get("headers") or None, None if data is None else base64.b64decode(data, validate=True).decode("utf-8", _ANY_BYTES)


def task_to_wire(task: TaskRecord) -> dict[str, Any]:
    """A task as JSON; its state, lease and address are not shown."""
    shown = {
        "id": task.id, "counter": task.counter, "timeout": task.timeout, "rootPromiseId": task.root, "processId": task.pid,
        "createdOn": task.created_on, "completedOn": task.completed_on,
    }  # fmt: skip
    return {name: value for name, value in shown.items() if value is not None}


def callback_to_wire(callback: CallbackRecord) -> dict[str, Any]:
    """A callback or subscription as JSON; the servers leave the run that waits empty."""
    return {
        "id": callback.id, "promiseId": callback.promise, "rootPromiseId": "", "timeout": callback.timeout,
        "createdOn": callback.created_on,
    }  # fmt: skip


def schedule_to_wire(record: ScheduleRecord, *, is_found: bool = False) -> dict[str, Any]:
    """A schedule as JSON; one that was found by a search lacks what it says of its promises."""
    shown = {
        "id": record.id, "desc": record.description or None, "cron": record.cron, "tags": record.tags,
        "promiseId": "" if is_found else record.promise_id, "promiseTimeout": 0 if is_found else record.promise_timeout,
        "promiseParam": {} if is_found else value_to_wire(record.promise_param),
        "promiseTags": None if is_found else record.promise_tags or None, "lastRunTime": record.last_run,
        "nextRunTime": record.next_run, "idempotencyKey": record.key, "createdOn": record.created_on,
    }  # fmt: skip
    return {name: value for name, value in shown.items() if value is not None}


def message_to_wire(message: Message, base: str | None = None) -> dict[str, Any]:
    """A message as a message source carries it; with links where the server's address is given."""
    if isinstance(message, NotifyMessage):
        return {"type": "notify", "promise": promise_to_wire(message.promise)}
    task = {
        "id": message.id, "counter": message.counter, "timeout": message.timeout, "rootPromiseId": message.root,
        "createdOn": message.created_on,
    }  # fmt: skip
    shown: dict[str, Any] = {"type": message.kind, "task": task}
    if base is not None:
        place = f"{message.id}/{message.counter}"
        shown["href"] = {"base": base, **{verb: f"{base}/tasks/{verb}/{place}" for verb in ("claim", "complete", "heartbeat")}}
    if message.head:
        shown["head"] = message.head
    return shown


def message_from_wire(shown: Mapping[str, Any], recv: str) -> Message | None:
    """A message from JSON; None for a type that is not known. ValueError when it is damaged."""
    try:
        if shown["type"] == "notify":
            return NotifyMessage(recv, promise_from_wire(shown["promise"]))
        if shown["type"] not in ("invoke", "resume"):
            return None
        task = shown["task"]
        return TaskMessage(
            recv, shown["type"], str(task["id"]), int(task["counter"]), str(task.get("rootPromiseId") or ""),
            int(task.get("timeout") or 0), int(task.get("createdOn") or 0), shown.get("head"),
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no message: {error!r} in {str(shown)[:80]}") from None
