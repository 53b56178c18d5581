"""One kept HTTP/1.1 connection that is asked one thing after the other: as much of HTTP as servers of promises speak.

`http.client` sends head and body apart, so a server wakes up twice for each request, and reads a reply's head with the parser for mail:
a third of what a call costs its client. Its errors are used here for what they are named after.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from http.client import BadStatusLine, HTTPException, IncompleteRead, LineTooLong, RemoteDisconnected
from typing import IO, NamedTuple

HEADERS_LIMIT = 100
LINE_LIMIT = 65_536
_NO_TARGET = re.compile(r"[^!-~]")
_NO_HEADER = re.compile(r"[\r\n\0]")


class Response(NamedTuple):
    """A reply as it came."""

    status: int
    kind: str
    """Its content type."""
    body: bytes
    is_repeat: bool = False
    """The request was sent once before, on a connection that then was closed; the server may have acted on it."""


class ReplyTooLong(HTTPException):
    """A reply has more bytes than there may be."""


class HttpConnection:
    """A connection to `place` (`host` or `host:port`, as `Host` names it). `timeout_s` bounds the connect and each wait for a piece."""

    def __init__(self, host: str, port: int, place: str, timeout_s: float, tls: ssl.SSLContext | None) -> None:
        self._address = host, port
        self._place = place
        self._timeout_s = timeout_s
        self._tls = tls
        self._socket: socket.socket | None = None
        self._reader: IO[bytes] | None = None
        self.is_open = False
        """Whether it can be asked once more."""

    def connect(self) -> None:
        """Open it. Raises OSError."""
        connected = socket.create_connection(self._address, self._timeout_s)
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connected = self._tls.wrap_socket(connected, server_hostname=self._address[0])
        except BaseException:
            connected.close()
            raise
        self._socket, self._reader, self.is_open = connected, connected.makefile("rb"), True

    def close(self) -> None:
        """End it."""
        self.is_open = False
        for each in (self._reader, self._socket):
            if each is not None:
                each.close()

    def abort(self) -> None:
        """Let whoever waits for its reply know that there will be none. From any thread."""
        self.is_open = False
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it was closed already

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes, limit: int) -> Response:
        """Send a request and read its reply of at most `limit` bytes; it stays open only where that ends well.

        Raises OSError or HTTPException, and ValueError for a request that no HTTP can carry.
        """
        request = self._written(method, target, headers, body)
        assert self._socket is not None
        self.is_open = False
        try:
            self._socket.sendall(request)
        except (BrokenPipeError, ConnectionResetError) as error:
            broken: Exception | None = error  # who takes no such request may have said so, and closed it
        else:
            broken = None
        status = 100
        try:
            while status < 200:
                version, status = self._status()
                answered = self._headers()
        except (OSError, HTTPException):
            if broken is not None:
                raise broken from None
            raise
        content, is_whole = self._body(status, answered, limit)
        self.is_open = is_whole and version == b"HTTP/1.1" and answered.get(b"connection", b"").lower() != b"close"
        return Response(status, _text(answered.get(b"content-type", b"")).partition(";")[0].strip().lower(), content)

    # ---- writing -----------------------------------------------------------------------------------------------------------------------

    def _written(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
        if _NO_TARGET.search(target):
            raise ValueError(f"no request can ask for {target[:200]!r}")
        lines = [f"{method} {target} HTTP/1.1\r\nHost: {self._place}\r\nAccept-Encoding: identity".encode()]
        for name, text in headers.items():
            if _NO_HEADER.search(text):
                raise ValueError(f"the header {name} cannot be {text[:200]!r}")
            lines.append(f"{name}: ".encode() + _bytes(text))
        if body or method != "GET":
            lines.append(b"Content-Length: %d" % len(body))
        return b"\r\n".join((*lines, b"", body))

    # ---- reading -----------------------------------------------------------------------------------------------------------------------

    def _line(self) -> bytes:
        assert self._reader is not None
        line = self._reader.readline(LINE_LIMIT + 1)
        if len(line) > LINE_LIMIT:
            raise LineTooLong("head of the reply")
        return line

    def _read(self, count: int) -> bytes:
        assert self._reader is not None
        content = self._reader.read(count)
        if len(content) < count:
            raise IncompleteRead(content, count - len(content))
        return content

    def _status(self) -> tuple[bytes, int]:
        line = self._line()
        if not line:
            raise RemoteDisconnected("the server has closed the connection")
        version, _, rest = line.partition(b" ")
        if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
            raise BadStatusLine(_text(line[:200]))
        return version, int(rest[:3])

    def _headers(self) -> dict[bytes, bytes]:
        headers: dict[bytes, bytes] = {}
        for _ in range(HEADERS_LIMIT):
            line = self._line()
            if line in (b"\r\n", b"\n"):
                return headers
            name, colon, text = line.partition(b":")
            if not line.endswith(b"\n"):
                raise IncompleteRead(line)
            if colon:
                headers[name.lower()] = text.strip()
        raise HTTPException("too many headers")

    def _body(self, status: int, headers: Mapping[bytes, bytes], limit: int) -> tuple[bytes, bool]:
        """The body, and whether the connection can go on after it."""
        if status in (204, 304):
            return b"", True
        if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
            return self._chunks(limit), True
        length = headers.get(b"content-length")
        if length is None:  # it ends with the connection
            assert self._reader is not None
            content = self._reader.read(limit + 1)
            _check(len(content), limit)
            return content, False
        if not length.isdigit():
            raise HTTPException("the length of the reply is no number")
        _check(int(length), limit)
        return self._read(int(length)), True

    def _chunks(self, limit: int) -> bytes:
        chunks: list[bytes] = []
        total = 0
        while True:
            line = self._line()
            if not line.endswith(b"\n"):
                raise IncompleteRead(b"".join(chunks))
            try:
                size = int(line.partition(b";")[0], 16)
            except ValueError:
                raise HTTPException("the length of a piece of the reply is no number") from None
            if size <= 0:
                self._headers()
                return b"".join(chunks)
            total += size
            _check(total, limit)
            chunks.append(self._read(size))
            self._read(2)  # the end of its line


def _check(length: int, limit: int) -> None:
    if length > limit:
        raise ReplyTooLong(f"the reply has more than {limit:,} bytes")


def _bytes(text: str) -> bytes:
    """A header's text as 0.6.7 sends it, and as UTF-8 where it cannot send it at all: ids may be in any script."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def _text(value: bytes) -> str:
    return value.decode("latin-1")
