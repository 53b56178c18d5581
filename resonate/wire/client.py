"""What a client's side of a protocol is made of: operations become requests, and replies become answers. Pure: no sockets.

An operation may take several requests, some of them at once, so each is a generator: it yields requests, is sent what they were answered
with, and returns the operation's answer. Whoever runs it sends each request until it is answered; `Answered.is_repeat` says that an earlier
try may have been carried out already, its reply lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, Protocol

from resonate.errors import RemoteProtocolError
from resonate.protocol import Message, Operation
from resonate.wire.http import Request


class Answered(NamedTuple):
    """A reply: its status and what its body says."""

    status: int
    body: Any
    is_repeat: bool = False


Exchanges = Generator[Sequence[Request], Sequence[Answered], Any]


class Refused(Exception):
    """The server will not answer as long as it is asked like that. The text says why, and what to change."""


def unwelcome(status: int) -> Refused:
    """The server does not accept the credentials."""
    return Refused(
        f"it does not accept the credentials (it answered {status}). Set `auth`, or RESONATE_USERNAME and RESONATE_PASSWORD, or "
        "RESONATE_TOKEN, to what it knows"
    )


class Busy(Exception):
    """The server cannot answer now, and may have carried out what it was asked for. The text says what it said."""


class ServerProtocol(Protocol):
    """One generation of Resonate Server, seen from a client."""

    name: str
    """`legacy` or `current`."""
    dialect: str
    """Which of the servers that announce the same version it is, once that is found out; empty where there is nothing to tell apart."""
    child_separator: str
    """What stands between a run's id and its first child's number."""

    def greet(self) -> Exchanges:
        """The requests that find out what has to be known of a server before anything is asked."""
        ...

    def ask(self, operation: Operation) -> Exchanges:
        """The requests that an operation takes. Its refusal is raised as `ResonateStoreError`."""
        ...

    def read(self, status: int, kind: str, body: bytes) -> Any:
        """What a reply's body says. Raises `Busy`, `Refused`, or `RemoteProtocolError` where it is no reply of such a server."""
        ...

    def message(self, text: bytes, recv: str) -> Message | None:
        """A message from a stream. `RemoteProtocolError` when it is damaged, None when it is of a kind that is not known."""
        ...


def one(request: Request) -> Generator[Sequence[Request], Sequence[Answered], Answered]:
    """Send one request."""
    (answered,) = yield (request,)
    return answered


def read_body(kind: str, body: bytes) -> Any:
    """JSON, or `RemoteProtocolError`."""
    if kind != "application/json":
        raise RemoteProtocolError(f"it answered with `{kind}` instead of JSON")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise RemoteProtocolError("it answered with JSON that is damaged") from None


def understood[Shown](read: Callable[[], Shown], what: str) -> Shown:
    """What a piece of a reply is. `RemoteProtocolError` when it is of another form."""
    try:
        return read()
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise RemoteProtocolError(f"it answered with {what} of another form ({type(error).__name__}: {str(error)[:200]})") from None
