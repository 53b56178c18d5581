"""A way between clients and a server on which things go wrong as a test says: replies get lost, connections break, nobody is there."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Self
from urllib.parse import urlsplit

PASS, LOSE_REPLY, LOSE_REQUEST, HANG, LATE = "pass", "lose the reply", "lose the request", "hang", "late"
Fate = str | bytes
"""What becomes of a request: one of the above, or bytes that are answered in the server's place."""


class Asked(NamedTuple):
    """A request on its way. `number` counts those that are no streams, from 1; `kind` is the operation's, or method and path."""

    number: int
    kind: str
    head: str
    body: bytes


def reply(status: int, body: bytes = b"", kind: str = "application/json", *more: str) -> bytes:
    """A whole reply, to be answered in the server's place."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *more, "", ""]
    return "\r\n".join(lines).encode() + body


class Crossing:
    """Listens on a port of its own and passes on to the server at `url`. `fate` decides about each request."""

    def __init__(self, url: str, fate: Callable[[Asked], Fate] = lambda asked: PASS) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 80)
        self.fate = fate
        self.has_streams = True
        """Whether streams of messages are let through; else they are answered with 503."""
        self.holds_streams_back = False
        """Whoever asks for a stream waits, as behind a proxy that passes a reply on when it is whole."""
        self.is_mute = False
        """Streams that are open go on, and nothing comes out of them."""
        self.late_s = 0.0
        """So long after the server has acted the reply to a request that is `LATE` is passed on."""
        self.asked: list[Asked] = []
        self.times: list[float] = []
        """When each request came, streams among them."""
        self._lock = threading.Lock()
        self._gone = threading.Event()
        self._open: set[socket.socket] = set()
        self._streams: set[socket.socket] = set()
        self.port = 0
        self.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        """Be there, at the same port as before."""
        self._gone.clear()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def down(self) -> None:
        """Be gone: nobody listens, and all connections are cut."""
        self._gone.set()
        self._listener.close()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()  # wakes who accepts
        self._cut(self._open)

    def cut_streams(self) -> None:
        """End every stream of messages."""
        self._cut(self._streams)

    def _cut(self, which: set[socket.socket]) -> None:
        with self._lock:
            sockets = list(which)
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            if listener is not self._listener or listener.fileno() < 0:
                connection.close()
                return
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as read:
                while self._pass_on(connection, read):
                    pass
        except (OSError, http.client.HTTPException, ValueError):
            pass  # either side has gone
        finally:
            with self._lock:
                self._open.discard(connection)
                self._streams.discard(connection)

    def _pass_on(self, connection: socket.socket, read: object) -> bool:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = read.readline()  # type: ignore[attr-defined] # a file
            if not line:
                return False
            head += line
        text = head.decode("latin-1")
        method, path, _ = text.split(" ", 2)
        length = next((int(line.partition(":")[2]) for line in text.split("\r\n") if line.lower().startswith("content-length:")), 0)
        body = read.read(length) if length else b""  # type: ignore[attr-defined]
        self.times.append(time.monotonic())
        if path.startswith("/poll/") and method == "GET":
            if self.holds_streams_back:
                connection.recv(1)
            elif self.has_streams:
                self._splice(connection, head)
            else:
                connection.sendall(reply(503))
            return False
        with self._lock:
            asked = Asked(len(self.asked) + 1, _kind(method, path, body), text, body)
            self.asked.append(asked)
        fate = self.fate(asked)
        if fate == LOSE_REQUEST:
            return False
        if fate == HANG:
            connection.recv(1)
            return False
        if isinstance(fate, bytes):
            connection.sendall(fate)
            return b"Connection: close" not in fate
        answered = self._answer(head + body, method)
        if fate == LOSE_REPLY:
            return False
        if fate == LATE:
            self._gone.wait(self.late_s)
        connection.sendall(answered)
        return True

    def _answer(self, request: bytes, method: str) -> bytes:
        with socket.create_connection(self._target, 10) as far:
            far.sendall(request)
            response = http.client.HTTPResponse(far, method=method)
            response.begin()
            content = response.read()
            headers = [f"{name}: {text}" for name, text in response.getheaders() if name.lower() != "content-length"]
        lines = [f"HTTP/1.1 {response.status} {response.reason}", *headers, f"content-length: {len(content)}", "", ""]
        return "\r\n".join(lines).encode("latin-1") + content

    def _splice(self, connection: socket.socket, head: bytes) -> bytes:
        try:
            with socket.create_connection(self._target, 10) as far:
                far.settimeout(None)
                far.sendall(head)
                with self._lock:
                    self._streams.add(connection)

                def watch() -> None:
                    with contextlib.suppress(OSError):
                        connection.recv(1, socket.MSG_PEEK)
                    with contextlib.suppress(OSError):
                        far.shutdown(socket.SHUT_RDWR)

                threading.Thread(target=watch, daemon=True).start()
                while data := far.recv(65536):
                    if self.is_mute:
                        return connection.recv(1)  # as if nothing had ever come: half open
                    connection.sendall(data)
            return b""
        finally:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # closing alone would not reach it while another thread reads


def _kind(method: str, path: str, body: bytes) -> str:
    if (method, path) == ("POST", "/"):
        try:
            return str(json.loads(body)["kind"])
        except (ValueError, KeyError, TypeError):
            return "unreadable"
    return f"{method} {path}"
