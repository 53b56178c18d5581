"""Kept connections to one HTTP server, and streams of events from it. Nothing of a protocol is here.

Connections of our own for calls, since there are two for each step (`http_connection`), and `http.client` for streams. Redirects are not
followed, so credentials go to the server they were given for and to no other. Certificates are checked.
"""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from resonate.limits import CONNECTIONS_KEPT_LIMIT, EVENT_LINE_LIMIT, REPLY_LIMIT
from resonate.transport.http_connection import HttpConnection, ReplyTooLong, Response

Credentials = tuple[str, str] | str | None
"""(user, password), or a bearer token."""


class Unreachable(OSError):
    """A request got no reply, or half of one. `was_sent` says whether the server may have acted on it."""

    def __init__(self, why: str, *, was_sent: bool) -> None:
        super().__init__(why)
        self.was_sent = was_sent


class Connections:
    """Connections to the server at `url`, as many as are in use at once; those that are not are kept for the next call.

    Any thread may ask. `timeout_s` bounds each connect, and each wait for a piece of a reply. ValueError when `url` is none.
    """

    def __init__(self, url: str, credentials: Credentials, timeout_s: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"a server's address is as `http://localhost:8001`, got {url!r}")
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        self._host, self._port, self._base = parts.hostname, parts.port, parts.path.rstrip("/")
        self._place = parts.netloc.rpartition("@")[2].encode("idna").decode("ascii")
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._timeout_s = self._patience_s = timeout_s
        self._headers = {"Accept": "application/json", **_authorization(credentials)}
        self._idle: deque[HttpConnection] = deque()
        self._busy: set[HttpConnection] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"Connections({self.url})"  # and no credentials

    def exchange(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Send a request and wait for its reply, whatever its status. Raises `Unreachable`.

        A kept connection that the server has closed meanwhile is replaced, once.
        """
        known = {**self._headers, **headers}
        if body:
            known["Content-Type"] = "application/json"
        is_repeat = False
        while True:
            try:
                connection, is_kept = self._idle.pop(), True
            except IndexError:
                connection, is_kept = self._new(), False
            try:
                response = self._exchange(connection, method, target, known, body)
            except Unreachable as error:
                if not is_kept or not isinstance(error.__cause__, _CLOSED):
                    error.was_sent = error.was_sent or is_repeat
                    raise
                is_repeat = True
            else:
                return response._replace(is_repeat=True) if is_repeat else response

    def _exchange(self, connection: HttpConnection, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        was_sent = connection.is_open
        self._busy.add(connection)
        try:
            if not was_sent:
                connection.connect()
                was_sent = True
            return connection.ask(method, self._base + target, headers, body, REPLY_LIMIT)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(_why(error, self._timeout_s), was_sent=was_sent) from error
        finally:
            self._busy.discard(connection)
            # An interrupt may fall in here too: what was not read to its end is not used again.
            if connection.is_open and not self._closed and len(self._idle) < CONNECTIONS_KEPT_LIMIT:
                self._idle.append(connection)
            else:
                connection.close()

    def _new(self) -> HttpConnection:
        port = self._port or (80 if self._tls is None else 443)
        return HttpConnection(self._host, port, self._place, self._patience_s, self._tls)

    def stream(self, target: str, silence_s: float, head_s: float | None = None) -> EventStream:
        """Open a stream of server-sent events, whose head is waited for `head_s` seconds, or for as long as any reply.

        Raises `Unreachable`, with `was_sent` where the server is there; the response's status says whether it is a stream.
        """
        connection = self._new_stream()
        was_sent = False
        try:
            connection.connect()
            was_sent = True
            if head_s is not None:
                connection.sock.settimeout(head_s)
            connection.request("GET", self._base + target, headers={**self._headers, "Accept": "text/event-stream"})
            response = connection.getresponse()
            if connection.sock is not None:
                connection.sock.settimeout(silence_s)
                _keep_alive(connection.sock)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Unreachable(_why(error, head_s or self._timeout_s), was_sent=was_sent) from error
        return EventStream(connection, response)

    def _new_stream(self) -> http.client.HTTPConnection:
        if self._tls is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=self._tls)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)

    def open(self) -> None:
        """Keep connections again."""
        self._closed, self._patience_s = False, self._timeout_s

    def close(self) -> None:
        """Keep no connections any more, until `open`."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def abort(self) -> None:
        """The same, and let no request that is under way be waited for."""
        self.close()
        for each in list(self._busy):
            each.abort()

    def hurry(self, timeout_s: float) -> None:
        """Wait no longer than that for a reply from now on, until `open`."""
        self._patience_s = timeout_s


class EventStream:
    """Server-sent events as they come. One thread reads; any may close."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.kind = response.headers.get_content_type()
        self._socket = connection.sock
        self._connection, self._response = connection, response
        self._closed = threading.Event()

    def events(self) -> Iterator[bytes]:
        """The data of each event, until the server ends the stream. Raises `Unreachable` where it breaks off, or is silent too long."""
        data: list[bytes] = []
        while True:
            try:
                line = self._response.readline(EVENT_LINE_LIMIT + 1)
            except (OSError, ValueError, AttributeError, http.client.HTTPException) as error:  # as after `close`
                if self._closed.is_set():
                    return
                raise Unreachable(_why(error, 0.0), was_sent=True) from error
            if not line:
                return
            if len(line) > EVENT_LINE_LIMIT:
                raise Unreachable(f"an event has more than {EVENT_LINE_LIMIT:,} bytes", was_sent=True)
            line = line.rstrip(b"\r\n")
            if not line and data:
                yield b"\n".join(data)
                data.clear()
            elif line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))

    def close(self) -> None:
        """End it; whoever reads is told at once."""
        self._closed.set()
        if self._socket is not None:
            try:
                self._socket.shutdown(2)  # wakes the reader, as closing alone does not
            except OSError:
                pass  # the server was faster
        self._connection.close()


_CLOSED = (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ConnectionAbortedError)


def _keep_alive(stream: socket.socket) -> None:
    """Have it looked, by TCP's own means, whether the other side of a stream that says nothing is still there."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            stream.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _authorization(credentials: Credentials) -> dict[str, str]:
    if credentials is None:
        return {}
    if isinstance(credentials, str):
        return {"Authorization": f"Bearer {credentials}"}
    user, password = credentials
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")}


def _why(error: BaseException, timeout_s: float) -> str:
    """Why there was no reply, for people."""
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_s:g} s" if timeout_s else "it has been silent for too long"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused, so nothing listens there"
    if isinstance(error, http.client.IncompleteRead):
        return "the reply broke off"
    if isinstance(error, ReplyTooLong):
        return str(error)
    if isinstance(error, http.client.HTTPException):
        return f"it did not answer as an HTTP server does ({type(error).__name__})"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
