"""A store on the far side of a wire, without sockets: what a client asks becomes bytes, a server's translator reads them, and back.

Nothing but the network is left out. `Wire` is the way there and back, `WireStore` the faces that a client's store has.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from resonate.errors import ResonateStoreError
from resonate.protocol import Message, Operation
from resonate.server.app import _text
from resonate.stores import LocalStore
from resonate.stores.promises import PromiseStore
from resonate.stores.schedules import ScheduleStore
from resonate.stores.tasks import TaskStore
from resonate.transport.http_connection import _bytes
from resonate.wire import current_requests, legacy_http
from resonate.wire.client import Answered, Exchanges, ServerProtocol
from resonate.wire.current_client import CurrentClient
from resonate.wire.http import Asked, Reply, Request, write_json
from resonate.wire.legacy_client import LegacyClient

BASE = "http://localhost:8001"


class Sent(NamedTuple):
    """A reply as it travels."""

    status: int
    kind: str
    body: bytes


def as_sent(reply: Reply) -> Sent:
    """A reply as the server writes it."""
    if reply.body is None:
        return Sent(reply.status, "text/plain", b"")
    is_text = isinstance(reply.body, str)
    return Sent(reply.status, "text/plain" if is_text else "application/json", reply.body.encode() if is_text else write_json(reply.body))


class Wire:
    """One client and one server of a generation."""

    def __init__(self, client: ServerProtocol, read: Callable[[Request], Asked | None], store: LocalStore) -> None:
        self.client = client
        self.store = store
        self._read = read
        self.loses_replies = False
        """The first reply to each request gets lost, so it is sent once more."""
        self.finish(client.greet())

    def ask(self, operation: Operation) -> Any:
        """The answer to an operation; what refuses it is raised."""
        return self.finish(self.client.ask(operation))

    def finish(self, exchanges: Exchanges) -> Any:
        answers: Sequence[Answered] | None = None
        while True:
            try:
                requests = exchanges.send(answers)  # type: ignore[arg-type] # None begins a generator
            except StopIteration as end:
                return end.value
            answers = [self.exchange(request) for request in requests]

    def exchange(self, request: Request) -> Answered:
        if self.loses_replies:
            self.serve(request)
        sent = self.serve(request)
        return Answered(sent.status, self.client.read(sent.status, sent.kind, sent.body), self.loses_replies)

    def serve(self, request: Request) -> Sent:
        """What the server answers."""
        headers = {name.lower(): _text(_bytes(text)) for name, text in request.headers.items()}
        try:
            asked = self._read(request._replace(headers=headers))
            reply = Reply(404, "404 page not found") if asked is None else asked.reply(self.store.call(list(asked.operations)))
        except ResonateStoreError as error:
            reply = legacy_http.error_reply(error)
        return as_sent(reply)

    def hear(self, shown: Any) -> Message | None:
        """A message from the server, read by the client."""
        return self.client.message(json.dumps(shown).encode(), "")


def legacy_wire(store: LocalStore) -> Wire:
    return Wire(LegacyClient("c"), lambda request: legacy_http.read_request(request, BASE), store)


def current_wire(store: LocalStore) -> Wire:
    return Wire(CurrentClient("c"), current_requests.read_request, store)


class WireStore:
    """The faces of a store behind a wire."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.promises, self.tasks, self.schedules = PromiseStore(self), TaskStore(self), ScheduleStore(self)

    def call(self, operations: Sequence[Operation]) -> list[Any]:
        """The answers in order; a refused one's is the error itself."""
        answers: list[Any] = []
        for operation in operations:
            try:
                answers.append(self.wire.ask(operation))
            except ResonateStoreError as error:
                answers.append(error)
        return answers
