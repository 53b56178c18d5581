"""Message sources for a client of a server: a stream that is read, and a listener that servers post to."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from resonate import Resonate
from resonate.limits import MESSAGE_LIMIT
from resonate.message_sources import Poller, PushListener
from resonate.server import DevelopmentServer
from resonate.stores import RemoteStore

SOON_S = 20.0


@pytest.fixture(scope="module")
def server() -> Iterator[DevelopmentServer]:
    with DevelopmentServer(port=0, message_port=0) as started:
        yield started


def free_address() -> str:
    """An address at which nobody listens, a moment ago at least."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/messages"


def worker(server: DevelopmentServer, protocol: str, source: Any, target: str) -> Resonate:
    """A started client with a function that calls another one of its target, and sleeps."""
    client = Resonate(store=RemoteStore(server.url, protocol=protocol), message_source=source, group="fed", pid="w1", log_level="CRITICAL")

    @client.register
    def leaf(ctx: Any, number: int) -> int:
        return number * 2

    @client.register
    def top(ctx: Any, number: int) -> Any:
        doubled = yield ctx.rpc("leaf", number).options(target=target)
        yield ctx.sleep(0.05)
        return doubled + 1

    client.start()
    return client


@pytest.mark.parametrize("port", ["url", "message_url"])
@pytest.mark.parametrize("protocol", ["legacy", "current"])
def test_a_client_works_with_a_poller_of_its_own(server: DevelopmentServer, protocol: str, port: str) -> None:
    """A `RemoteStore` and a `Poller` of either port, put together by hand, run calls, sleeps and resumptions (D-20)."""
    group = f"fed-{protocol}-{port}"
    client = worker(server, protocol, Poller(group, "w1", getattr(server, port)), f"poll://any@{group}")
    asking = client.options(target=f"poll://any@{group}")

    def answered(number: int) -> int | None:
        """What a run gives; None where its message came before the stream was open, and so comes again much later."""
        try:
            return asking.begin_rpc(f"polled-{protocol}-{port}-{number}", "top", 4).result(2)
        except TimeoutError:
            return None

    try:
        assert next(filter(None, map(answered, range(int(SOON_S) // 2)))) == 9
    finally:
        client.stop()


@pytest.mark.parametrize("protocol", ["legacy", "current"])
def test_a_worker_can_be_pushed_to(server: DevelopmentServer, protocol: str) -> None:
    """A worker whose address is a URL gets its messages by POST, and needs no stream."""
    address = free_address()
    client = worker(server, protocol, PushListener(address), address)
    try:
        assert client.options(target=address).begin_rpc(f"pushed-{protocol}", "top", 4).result(SOON_S) == 9
    finally:
        client.stop()


def test_a_forged_notice_is_not_believed(server: DevelopmentServer) -> None:
    """Whoever posts that a promise has settled makes the client look; what the server says counts."""
    address = free_address()
    client = worker(server, "legacy", PushListener(address), address)
    try:
        client.promises.create("victim", timeout=2**45, ikey="victim")
        handle = client.get("victim")
        forged = {"type": "notify", "promise": {"id": "victim", "state": "RESOLVED", "timeout": 2**45, "value": {"data": "NjY2"}}}
        assert post(address, json.dumps(forged).encode()) == 200
        assert not handle.done()
        client.promises.resolve("victim", ikey="victim", data="1")
        assert handle.result(SOON_S) == 1
    finally:
        client.stop()


@pytest.mark.parametrize(
    ("path", "body", "length", "status"),
    [
        ("/elsewhere", b"{}", None, 404), ("/messages", b"{", None, 400), ("/messages", b"", "x", 411),
        ("/messages", b"", str(MESSAGE_LIMIT + 1), 413), ("/messages", b"", "9" * 30, 413), ("/messages", b"[" * 100_000, None, 400),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused(path: str, body: bytes, length: str | None, status: int) -> None:
    """A listener takes JSON at its own path, of a size that is told and has a limit."""
    address = free_address()
    source = PushListener(address)
    source.start()
    try:
        assert post(address.removesuffix("/messages") + path, body, length) == status
    finally:
        source.stop()
        assert source.next() is None


def test_a_listener_listens_only_while_it_is_started() -> None:
    """Nothing is open before `start` and after `stop`."""
    address = free_address()
    source = PushListener(address)
    with pytest.raises(ConnectionRefusedError):
        post(address, b"{}")
    source.start()
    source.stop()
    with pytest.raises(ConnectionRefusedError):
        post(address, b"{}")


def post(address: str, body: bytes, length: str | None = None) -> int:
    """The status of a POST."""
    place, _, path = address.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(place, timeout=SOON_S)
    try:
        connection.request("POST", f"/{path}", body, {"content-length": length or str(len(body))})
        return connection.getresponse().status
    finally:
        connection.close()
