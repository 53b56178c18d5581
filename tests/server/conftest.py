"""Servers on real sockets, and the plainest of clients."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from resonate.server import DevelopmentServer

FAR = 4_102_444_800_000
"""A deadline in the year 2100, in ms."""
CLIENT_LIMIT_S = 10.0


@dataclass
class Answer:
    """What came back: `body` is JSON where it is some, else text."""

    status: int
    headers: dict[str, str]
    body: Any


class Client:
    """Sends requests, each on a connection of its own."""

    def __init__(self, url: str) -> None:
        self.url = url

    def connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=CLIENT_LIMIT_S)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Ask; names of headers are written with underscores."""
        content = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
        connection = self.connect()
        try:
            connection.request(method, path, content, {name.replace("_", "-"): text for name, text in headers.items()})
            response = connection.getresponse()
            text = response.read().decode()
            try:
                shown = json.loads(text)
            except ValueError:
                shown = text
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, shown)
        finally:
            connection.close()

    def create(self, id: str, **more: Any) -> Answer:
        return self("POST", "/promises", {"id": id, "timeout": FAR, **more})

    def invoke(self, id: str, recv: str) -> Answer:
        """A promise that is sent to an address."""
        return self.create(id, tags={"resonate:invoke": recv})


@dataclass
class Listener:
    """Reads a stream of messages in a thread of its own until it ends or is closed."""

    connection: http.client.HTTPConnection
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    messages: list[Any] = field(default_factory=list)
    is_over: bool = False

    def __post_init__(self) -> None:
        self.connection.request("GET", self.path, headers=self.headers)
        self.socket = self.connection.sock
        self.response = self.connection.getresponse()
        self.status = self.response.status
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        try:
            while line := self.response.readline():
                if line.startswith(b"data: "):
                    self.messages.append(json.loads(line[6:]))
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass  # closed on this side
        self.is_over = True

    def close(self) -> None:
        try:
            self.socket.shutdown(2)
        except OSError:
            pass
        self.connection.close()
        self.thread.join(CLIENT_LIMIT_S)

    def tasks(self) -> list[str]:
        """The ids of the tasks that were sent here, in order."""
        return [message["task"]["id"] for message in self.messages]


def eventually(is_so: Callable[[], Any], limit_s: float = 5.0) -> Any:
    """What `is_so` gives as soon as it is true; fails after a while."""
    deadline = time.monotonic() + limit_s
    while not (found := is_so()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)
    return found


@pytest.fixture
def server() -> Iterator[DevelopmentServer]:
    """A server in memory."""
    with DevelopmentServer(port=0) as made:
        yield made


@pytest.fixture
def client(server: DevelopmentServer) -> Client:
    return Client(server.url)


@pytest.fixture
def listen(server: DevelopmentServer) -> Iterator[Callable[..., Listener]]:
    """Open streams: `listen("/poll/group/id")`; with `on_message_port` on the other port."""
    opened: list[Listener] = []

    def open_one(path: str, *, on_message_port: bool = False, **headers: str) -> Listener:
        connection = Client(server.message_url if on_message_port else server.url).connect()
        opened.append(Listener(connection, path, headers))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


@pytest.fixture(params=["memory", "file"])
def any_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DevelopmentServer]:
    """A server of each kind."""
    with DevelopmentServer(port=0, db=None if request.param == "memory" else tmp_path / "promises.db", durability="fast") as made:
        yield made
