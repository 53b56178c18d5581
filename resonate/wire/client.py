"""What a client's side of a protocol is made of: operations become requests, and replies become answers. Pure: no sockets.

An operation may take several requests, some of them at once, so each is a generator: it yields requests, is sent what they were answered
with, and returns the operation's answer. Whoever runs it sends each request until it is answered; `Answered.is_repeat` says that an earlier
try may have been carried out already, its reply lost.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

from resonate.errors import RemoteProtocolError
from resonate.protocol import (
    TAKEN_OVER,
    CreatePromise,
    DeliveryFailed,
    GetPromise,
    ListDescendants,
    Message,
    Operation,
    PromiseRecord,
    Prune,
    SettlePromise,
    TakeOver,
    refusal,
)
from resonate.wire.http import Request
from resonate.wire.legacy import INVOKE, TIMEOUT

BUSY = frozenset((429, 500, 502, 503, 504))
"""What servers, and what stands before them, answer while they cannot."""


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


class ProtocolClient(ABC):
    """What clients of both generations have in common: a table of rules, and what a server has no request of its own for."""

    name: str
    child_separator: str
    mark: ClassVar[str]
    """The field that tells messages of this generation from those of the other."""
    other_mark: ClassVar[str]
    rules: ClassVar[dict[type, Callable[[Any, Any], Exchanges]]]
    """Which method carries an operation out."""

    def ask(self, operation: Operation) -> Exchanges:
        """The requests that an operation takes; its refusal is raised."""
        rule = self.rules.get(type(operation)) or _RULES.get(type(operation))
        if rule is None:
            raise refusal(0, f"the {self.name} protocol knows no {type(operation).__name__}")
        return rule(self, operation)

    def _take_over(self, operation: TakeOver) -> Exchanges:
        """The steps first, then the run: one that is interrupted leaves steps of a run that was never begun, and can be repeated."""
        old, new = operation.old, operation.create.promise.id
        known = yield from self.ask(GetPromise(old))
        if known.state == "PENDING" or (known.lineage is not None and known.lineage.parent is not None):
            raise refusal(40000, f"{old} is no run that is over, so nothing can be taken over from it")
        records = yield from self.ask(ListDescendants(old))
        for create, settle in _copies(records, old, new, operation.from_step, self.child_separator):
            yield from self.ask(create)
            yield from self.ask(settle)
        return (yield from self.ask(operation.create))

    def _prune(self, operation: Prune) -> Exchanges:
        yield from ()
        raise refusal(0, "a Resonate Server keeps every promise: nothing can be pruned through its protocol")

    def _delivery_failed(self, operation: DeliveryFailed) -> Exchanges:
        """The server finds out by itself, when the task was not claimed in time."""
        yield from ()

    def message(self, text: bytes, recv: str) -> Message | None:
        """A message from the stream; see `ServerProtocol`."""
        shown = understood(lambda: json.loads(text), "a message")
        if isinstance(shown, dict) and self.mark not in shown and self.other_mark in shown:
            return None  # of the other generation, for whoever speaks that
        return understood(lambda: self._message_of(shown, recv), "a message")

    @abstractmethod
    def _message_of(self, shown: Any, recv: str) -> Message | None:
        """What a message says."""


_RULES: dict[type, Callable[[Any, Any], Exchanges]] = {
    TakeOver: ProtocolClient._take_over, Prune: ProtocolClient._prune, DeliveryFailed: ProtocolClient._delivery_failed,
}  # fmt: skip


Copies = Iterator[tuple[CreatePromise, SettlePromise]]


def _copies(records: Sequence[PromiseRecord], old: str, new: str, from_step: str | None, separator: str) -> Copies:
    """What makes each step that a run has achieved (before `from_step`) one of another run. 40400 when there is no such step.

    `separator` is what stands between a run's id and its first child's number.
    """
    below = f"{old}{separator}"
    limit = len(records)
    if from_step is not None:
        limit = next((place for place, each in enumerate(records) if each.id == from_step), 0)
        if limit == 0:
            raise refusal(40400, f"{old} has no step {from_step}")
    for record in records[:limit]:
        if record.state != "RESOLVED" or not record.id.startswith(below) or f"{from_step}.".startswith(f"{record.id}."):
            continue

        def renamed(text: Any) -> Any:
            return new + text[len(old) :] if text == old or str(text).startswith(below) else text

        lineage = record.lineage
        if lineage is not None:
            lineage = lineage._replace(origin=renamed(lineage.origin), root=renamed(lineage.root), parent=renamed(lineage.parent))
        copy = renamed(record.id)
        tags = {name: text for name, text in (record.tags or {}).items() if name not in (INVOKE, TIMEOUT)} | {TAKEN_OVER: record.id}
        yield (
            CreatePromise(copy, record.timeout, renamed(record.key_for_create), False, record.param, tags, lineage=lineage),
            SettlePromise(copy, "RESOLVED", record.value, renamed(record.key_for_complete), adopt=True),
        )
