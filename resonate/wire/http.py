"""What an HTTP request and its reply are, to the translators of both protocols. Pure: no sockets, no library."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from resonate.locks import LockOperation
from resonate.protocol import Operation, refusal


class Request(NamedTuple):
    """A request as it came. `path` is percent-encoded and has no query; names of headers are in lower case."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Reply(NamedTuple):
    """What is answered: text as it is, anything else as JSON, None as no body at all."""

    status: int
    body: Any = None


class Asked(NamedTuple):
    """A request that was understood: the operations to carry out, all in one turn, and the reply to what they are answered with."""

    operations: Sequence[Operation | LockOperation]
    reply: Callable[[Sequence[Any]], Reply]


def read_json(body: bytes) -> Any:
    """The JSON value that a body begins with; what follows it is ignored. `ResonateStoreError` (40000) when it begins with none."""
    try:
        return _DECODER.raw_decode(body.decode("utf-8", "replace").lstrip(" \t\r\n"))[0]
    except (ValueError, RecursionError):
        raise refusal(40000, "the body is no JSON") from None


def write_json(shown: Any) -> bytes:
    """JSON as it is sent."""
    return _ENCODER.encode(shown).encode()


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_ENCODER = json.JSONEncoder(separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_constant=_no_number)
