"""A kept connection: what it makes of replies of every form, and what it sends."""

from __future__ import annotations

import http.client
import random
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from resonate.transport.connections import Connections, Unreachable
from resonate.transport.http_connection import HttpConnection, ReplyTooLong, Response

LIMIT = 1_000
HELLO = b"HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=utf-8\r\ncontent-LENGTH: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: t\r\n\r\n"

Serve = Callable[..., tuple[int, list[bytes]]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that gives each connection the next of some lists of replies, and closes it after the last."""
    listeners = []

    def start(*connections: list[bytes], pause: bool = False) -> tuple[int, list[bytes]]:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        received: list[bytes] = []

        def run() -> None:
            for replies in connections:
                connection = listener.accept()[0]
                with connection:
                    for reply in replies:
                        received.append(connection.recv(1_000_000))
                        for piece in [reply[at : at + 1] for at in range(len(reply))] if pause else [reply]:
                            connection.sendall(piece)

        threading.Thread(target=run, daemon=True).start()
        return listener.getsockname()[1], received

    yield start
    for listener in listeners:
        listener.close()


def opened(port: int) -> HttpConnection:
    connection = HttpConnection("127.0.0.1", port, f"127.0.0.1:{port}", 5, None)
    connection.connect()
    return connection


@pytest.mark.parametrize("pause", [False, True])
def test_one_connection_is_asked_again_and_again(serve: Serve, pause: bool) -> None:
    """It stays open over replies with a length, in chunks, without a body and after interim ones, in whatever pieces they come."""
    replies = [HELLO, CHUNKED, b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" + HELLO, HELLO]
    port, _ = serve(replies, pause=pause)
    connection = opened(port)
    answers = [connection.ask("POST", "/", {}, b"{}", LIMIT) for _ in replies]
    hello = Response(200, "application/json", b"hello")
    assert answers == [hello, Response(201, "", b"hello"), Response(204, "", b""), hello, hello]
    assert connection.is_open


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\n\r\nhello", HELLO.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), HELLO.replace(b"1.1", b"1.0"),
    ],
)  # fmt: skip
def test_a_reply_that_ends_the_connection(serve: Serve, reply: bytes) -> None:
    """A reply without a length, that says so, or of an older server is read, and the connection is not used again."""
    connection = opened(serve([reply])[0])
    assert connection.ask("GET", "/", {}, b"", LIMIT).body == b"hello"
    assert not connection.is_open


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"", http.client.RemoteDisconnected),
        (b"SSH-2.0-x\r\n", http.client.BadStatusLine),
        (b"HTTP/1.1 two hundred\r\n\r\n", http.client.BadStatusLine),
        (b"HTTP/1.1 200 OK\r\nContent-Le", http.client.IncompleteRead),
        (HELLO[:-1], http.client.IncompleteRead),
        (CHUNKED[:-30], http.client.IncompleteRead),
        (HELLO.replace(b"5", b"-5"), http.client.HTTPException),
        (CHUNKED.replace(b"3;", b"z;"), http.client.HTTPException),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 101 + b"\r\n", http.client.HTTPException),
        (b"HTTP/1.1 200 OK\r\na: " + b"b" * 70_000, http.client.LineTooLong),
        (HELLO.replace(b"5", b"1001"), ReplyTooLong),
        (CHUNKED.replace(b"3;", b"fffff;"), ReplyTooLong),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_001, ReplyTooLong),
    ],
)
def test_a_reply_that_is_none(serve: Serve, reply: bytes, error: type[Exception]) -> None:
    """Whatever is no whole reply, or too long a one, is an error, and the connection is not used again."""
    connection = opened(serve([reply])[0])
    with pytest.raises(error):
        connection.ask("GET", "/", {}, b"", LIMIT)
    assert not connection.is_open


def test_garbage_is_an_error_or_a_reply(serve: Serve) -> None:
    """Replies with bytes lost, changed or doubled end in a reply or in an error of the network, and never in another."""
    chance = random.Random(5)
    garbled = []
    for _ in range(300):
        reply = bytearray(chance.choice((HELLO, CHUNKED)))
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(reply))
            reply[at : at + chance.randint(0, 2)] = bytes(chance.choices(b"\r\n :;0159afxHT\x00\xff", k=chance.randint(0, 2)))
        garbled.append([bytes(reply)])
    port, _ = serve(*garbled)
    for _ in garbled:
        try:
            assert opened(port).ask("GET", "/", {}, b"", LIMIT).status >= 200
        except (OSError, http.client.HTTPException):
            pass  # told as a server that cannot be reached


def test_what_is_sent(serve: Serve) -> None:
    """A request is one piece, with texts as Latin-1 where that can be, else as UTF-8; nothing in it can begin another header or request."""
    port, received = serve([HELLO, HELLO])
    connection = opened(port)
    for text in ("a\r\nb: c", "a\nb", "a\0"):
        with pytest.raises(ValueError, match="the header k cannot be"):
            connection.ask("GET", "/", {"k": text}, b"", LIMIT)
    for target in ("/ x", "/\r\n", "/é"):
        with pytest.raises(ValueError, match="no request can ask for"):
            connection.ask("GET", target, {}, b"", LIMIT)
    connection.ask("GET", "/a?b=c", {"k": "é"}, b"", LIMIT)
    connection.ask("PATCH", "/", {"k": "中"}, b"{}", LIMIT)
    head = f" HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept-Encoding: identity\r\nk: ".encode()
    assert received == [b"GET /a?b=c" + head + b"\xe9\r\n\r\n", b"PATCH /" + head + "中".encode() + b"\r\nContent-Length: 2\r\n\r\n{}"]


def test_a_kept_connection_that_was_closed_is_replaced(serve: Serve) -> None:
    """The server may close a kept connection at any time: the next call opens another, and only what was not answered there fails."""
    port, received = serve([HELLO], [HELLO, HELLO], [b""])
    connections = Connections(f"http://127.0.0.1:{port}", None, 5)
    assert [connections.exchange("GET", "/", {}, b"").status for _ in range(3)] == [200, 200, 200]
    with pytest.raises(Unreachable) as caught:
        connections.exchange("GET", "/", {}, b"")
    assert caught.value.was_sent
    assert len(received) == 4
