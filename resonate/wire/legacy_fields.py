"""What legacy requests are made of: the members of their bodies and their headers, how each is read, and how it is written.

Null and absent members are the same. What is refused raises `ResonateStoreError` (40000) with a sentence that names it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from resonate.labels import short_text
from resonate.limits import INTEGER_LIMIT, TIMEOUT_LIMIT_MS
from resonate.protocol import Lease, refusal
from resonate.wire.legacy import value_from_wire, value_to_wire

_SETTLEMENTS = ("RESOLVED", "REJECTED", "REJECTED_CANCELED")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ENCODED = "resonate:percent:"
_YES, _NO = ("1", "t", "T", "true", "True", "TRUE"), ("0", "f", "F", "false", "False", "FALSE", "")

Attributes = dict[str, Any]
"""What an operation is made of, by name."""


class Kind(NamedTuple):
    """How a member is read (its name and JSON value; `ResonateStoreError` 40000 when it is of another kind) and written."""

    read: Callable[[str, Any], Any]
    write: Callable[[Any], Any] = lambda value: value


class Field(NamedTuple):
    """A member of a body, and the attribute of the operation that it is. One that is needed is neither absent nor empty nor 0."""

    name: str
    attribute: str
    kind: Kind
    is_needed: bool = False


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise refusal(40000, f"{name} must be text, got {short_text(value)}")
    return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _optional_text(name: str, value: Any) -> str | None:
    return None if value is None else _text(name, value)


def _integer(name: str, value: Any) -> int:
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not -INTEGER_LIMIT - 1 <= value <= INTEGER_LIMIT:
        raise refusal(40000, f"{name} must be a whole number of 64 bits, got {short_text(value)}")
    return value


def _duration(name: str, value: Any) -> int:
    duration_ms = _integer(name, value)
    if duration_ms < 0:
        raise refusal(40000, f"{name} must be 0 or more, got {duration_ms}")
    return duration_ms


def _lease_time(name: str, value: Any) -> int:
    return min(_duration(name, value), TIMEOUT_LIMIT_MS)  # so that its end is a time too


def _tags(name: str, value: Any) -> dict[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise refusal(40000, f"{name} must be an object, got {short_text(value)}")
    return {_text(name, key): _text(f"{name}.{key}", text) for key, text in value.items()} or None


def _value(name: str, value: Any) -> tuple[dict[str, str] | None, str | None]:
    if value is None:
        return None, None
    if not isinstance(value, dict):
        raise refusal(40000, f"{name} must be an object, got {short_text(value)}")
    shown = {"headers": _tags(f"{name}.headers", value.get("headers")), "data": _optional_text(f"{name}.data", value.get("data"))}
    try:
        return value_from_wire(shown)
    except ValueError:
        raise refusal(40000, f"{name}.data must be base64, got {short_text(shown['data'])}") from None


def _settlement(name: str, value: Any) -> str:
    state = _text(name, value).upper()
    if state not in _SETTLEMENTS:
        raise refusal(40000, f"{name} must be one of {', '.join(_SETTLEMENTS)}, got {short_text(value)}")
    return state


def _address(name: str, value: Any) -> str:
    if isinstance(value, dict):
        if not isinstance(value.get("type"), str) or "data" not in value:
            raise refusal(40000, f"{name} must be text, or an object with `type` and `data`, got {short_text(value)}")
        return json.dumps(value)
    return _text(name, value)


def _shown_address(recv: str) -> Any:
    try:
        shown = json.loads(recv) if recv.startswith("{") else recv
    except (ValueError, RecursionError):  # it leads nowhere, and is told as it is
        return recv
    return shown if isinstance(shown, str) or (isinstance(shown.get("type"), str) and "data" in shown) else recv


TEXT, OPTIONAL_TEXT, INTEGER, DURATION, LEASE_TIME = map(Kind, (_text, _optional_text, _integer, _duration, _lease_time))
TAGS, SETTLEMENT = map(Kind, (_tags, _settlement))
VALUE = Kind(_value, lambda value: value_to_wire(value) or None)
ADDRESS = Kind(_address, _shown_address)


def read_fields(fields: Sequence[Field], shown: Any, inside: str = "") -> Attributes:
    """The attributes that the members of an object are. `ResonateStoreError` (40000) that names what is missing or wrong."""
    if not isinstance(shown, dict):
        raise refusal(40000, f"{inside or 'the body'} must be an object, got {short_text(shown)}")
    attributes: Attributes = {}
    for field in fields:
        value = field.kind.read(f"{inside}.{field.name}" if inside else field.name, shown.get(field.name))
        if field.is_needed and not value:
            raise refusal(40000, f"{inside or 'the body'} needs `{field.name}`")
        attributes[field.attribute] = value
    return attributes


def write_fields(fields: Sequence[Field], attributes: Attributes) -> dict[str, Any]:
    """An object with the members that attributes are; what is None is left out."""
    shown = {field.name: field.kind.write(attributes[field.attribute]) for field in fields if attributes[field.attribute] is not None}
    return {name: value for name, value in shown.items() if value is not None}


def object_of(*fields: Field) -> Kind:
    """A member that is an object with members of its own."""
    return Kind(lambda name, value: read_fields(fields, value, name), lambda attributes: write_fields(fields, attributes))


# ---- headers ---------------------------------------------------------------------------------------------------------------------------


class Header(NamedTuple):
    """How some headers become attributes, and the other way round."""

    read: Callable[[Mapping[str, str]], Attributes]
    write: Callable[[Attributes], dict[str, str]]


def _read_strict(headers: Mapping[str, str]) -> Attributes:
    text = headers.get("strict", "")
    if text not in _YES and text not in _NO:
        raise refusal(40000, f"the header `strict` must be true or false, got {short_text(text)}")
    return {"strict": text in _YES}


def _read_fence(headers: Mapping[str, str]) -> Attributes:
    task = headers.get("task-id")
    if task is None:
        return {}
    counter = headers.get("task-counter", "")
    if not is_number(counter):
        raise refusal(40000, f"the header `task-counter` must be a whole number, got {short_text(counter)}")
    return {"lease": Lease("", task, int(counter))}


def _write_fence(attributes: Attributes) -> dict[str, str]:
    lease = attributes.get("lease")
    if lease is None or not is_sendable(lease.task):
        return {}
    # As UTF-8, which is what the servers compare it with.
    return {"task-id": lease.task.encode().decode("latin-1"), "task-counter": str(lease.counter)}


def _read_trace(headers: Mapping[str, str]) -> Attributes:
    head = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
    return {"head": head} if head else {}


STRICT = Header(_read_strict, lambda attributes: {"strict": str(attributes["strict"])})
KEY = Header(
    lambda headers: {"key": given_key(headers.get("idempotency-key"))},
    lambda attributes: {} if attributes["key"] is None else {"idempotency-key": sent_key(attributes["key"])},
)
FENCE = Header(_read_fence, _write_fence)
TRACE = Header(_read_trace, lambda attributes: dict(attributes.get("head") or {}))


def is_sendable(text: str) -> bool:
    """Whether a text can be a header's as it is: nothing takes anything away from it."""
    return text == text.strip(" \t") and not _CONTROL.search(text)


def sent_key(key: str) -> str:
    """A key as it is sent: percent-encoded where it could be no header, behind a mark."""
    is_plain = is_sendable(key) and not key.startswith(_ENCODED) and (key.isascii() or not _reads_otherwise(key))
    return key if is_plain else _ENCODED + quote(key, safe="")


def _reads_otherwise(key: str) -> bool:
    """Whether what 0.6.7 sends for a key (Latin-1) is another key in UTF-8."""
    try:
        key.encode("latin-1").decode()
    except UnicodeError:
        return False
    return True


def given_key(key: str | None) -> str | None:
    """The key that was sent so.

    >>> sent_key("a"), sent_key(" b"), given_key(sent_key(" b"))
    ('a', 'resonate:percent:%20b', ' b')
    """
    return key if key is None or not key.startswith(_ENCODED) else unquote(key.removeprefix(_ENCODED))


def is_number(text: str) -> bool:
    """Whether a text is a whole number, and no absurdly long one."""
    return text.removeprefix("-").isdecimal() and text.isascii() and len(text) < 20
