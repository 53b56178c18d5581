"""Clients that are too long, too slow, or too many: they are told so, and nobody else notices."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from conftest import FAR, Client, Listener, eventually

from resonate.limits import STREAM_MESSAGES_LIMIT
from resonate.server import DevelopmentServer, app, guard, post


def connected(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=10)


def rest(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    received = b""
    try:
        while more := connection.recv(65_536):
            received += more
    except ConnectionResetError:
        pass  # it closed while something from here was unread
    return received


def test_a_body_that_is_too_long(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body beyond the limit is refused, whether its length is told or not, and creates nothing."""
    monkeypatch.setattr(app, "BODY_LIMIT", 1000)
    body = json.dumps({"id": "a", "timeout": FAR, "param": {"data": "A" * 1000}})
    assert client("POST", "/promises", body).status == 413
    with connected(client.url) as connection:
        connection.sendall(b"POST /promises HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for place in range(0, len(body), 100):
            part = body[place : place + 100].encode()
            connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        connection.sendall(b"0\r\n\r\n")
        assert rest(connection).startswith(b"HTTP/1.1 413 ")
    assert client("GET", "/promises/a").status == 404


def test_a_body_in_pieces(client: Client) -> None:
    """A body within the limit may come in pieces."""
    with connected(client.url) as connection:
        connection.sendall(b"POST /promises HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in (b'{"id":"a",', b'"timeout":4102444800000}'):
            connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
            time.sleep(0.05)
        connection.sendall(b"0\r\n\r\n")
        assert rest(connection).startswith(b"HTTP/1.1 201 ")


def test_a_body_that_does_not_come(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that promises a body and does not send it is answered with 408 after a while."""
    monkeypatch.setattr(app, "BODY_TIME_LIMIT_S", 0.2)
    with connected(client.url) as connection:
        connection.sendall(b"POST /promises HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        assert rest(connection).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("sent", [b"", b"GET /ping HT", b"GET /ping HTTP/1.1\r\nHost: localhost\r\nX: y\r\n"])
def test_a_head_that_does_not_come(server: DevelopmentServer, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    """A connection on which no request is complete in time is closed, also one that trickles."""
    monkeypatch.setattr(guard, "HEAD_TIME_LIMIT_S", 0.3)
    with connected(server.url) as connection:
        began_s = time.monotonic()
        connection.sendall(sent)
        time.sleep(0.1)
        if sent.endswith(b"\n"):
            connection.sendall(b"Z: z\r\n")
        rest(connection)
        assert time.monotonic() - began_s < 2


def test_a_head_that_is_too_long(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head without an end is answered with 431; one that is merely long is not."""
    monkeypatch.setattr(guard, "HEAD_LIMIT", 20_000)
    assert client("GET", f"/promises/{'a' * 15_000}").status == 404
    with connected(client.url) as connection:
        connection.sendall(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nX: ")
        for _ in range(30):
            try:
                connection.sendall(b"y" * 1000)
            except OSError:
                break
            time.sleep(0.002)
        assert rest(connection)[:12] in {b"HTTP/1.1 431", b""}  # the answer may be lost with what was still on its way
    assert client("GET", "/ping").status == 200


def test_what_is_no_http(client: Client) -> None:
    """Bytes that are no HTTP are answered with 400, and the server goes on."""
    with connected(client.url) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
        assert rest(connection).startswith(b"HTTP/1.1 400 ")
    assert client("GET", "/ping").status == 200


def test_a_listener_that_does_not_read(
    client: Client, listen: Callable[..., Listener], server: DevelopmentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that takes no messages stops nobody: what does not fit into its queue counts as not sent, others get theirs at once."""
    monkeypatch.setattr(post, "STREAM_MESSAGES_LIMIT", 3)
    good = listen("/poll/good/w")
    with connected(server.url) as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.sendall(b"GET /poll/stuck/w HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert stuck.recv(15) == b"HTTP/1.1 200 OK"
        big = "x" * 20_000
        for number in range(300):  # 12 MB of links, more than the buffers of the system take
            answer = client.invoke(f"{big}{number}", "poll://any@stuck")
            assert answer.status == 201
            if number % 100 == 0:
                client.invoke(f"n{number}", "poll://any@good")
                eventually(lambda wanted=f"__invoke:n{number}": wanted in good.tasks(), 2.0)
        # Not sent, so whoever asks for it may have it, and it goes out again later: it is no longer on its way to the stuck one.
        assert client("POST", "/tasks/claim", {"id": f"__invoke:{big}299", "counter": 1, "processId": "p", "ttl": 1}).status == 201


def test_a_listener_that_reads_nothing_is_given_up(
    client: Client, listen: Callable[..., Listener], server: DevelopmentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while its connection is cut, so that its group is not held up by one that is gone."""
    monkeypatch.setattr(app, "STREAM_STALL_LIMIT_S", 0.3)
    with connected(server.url) as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.sendall(b"GET /poll/stuck/w HTTP/1.1\r\nHost: localhost\r\n\r\n")
        stuck.recv(15)
        for number in range(STREAM_MESSAGES_LIMIT):
            client.invoke(f"{'x' * 30_000}{number}", "poll://uni@stuck/w")
        other = listen("/poll/stuck/other")

        def is_sent_to_the_other() -> bool:
            client.invoke(f"p{time.monotonic_ns()}", "poll://any@stuck/w")
            return bool(other.messages)

        eventually(is_sent_to_the_other)


def test_too_many_listeners(listen: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit a new listener's stream ends at once; one that takes the place of another is welcome."""
    monkeypatch.setattr(post, "STREAMS_LIMIT", 2)
    first, second, third = (listen(f"/poll/g/w{number}") for number in range(3))
    eventually(lambda: third.is_over)
    again = listen("/poll/g/w1")
    eventually(lambda: second.is_over)
    assert (first.is_over, again.is_over) == (False, False)
