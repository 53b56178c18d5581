"""Messages: who gets which, by streams and by push."""

from __future__ import annotations

import itertools
import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from conftest import FAR, Client, Listener, eventually

from resonate.server import DevelopmentServer
from resonate.server.post import push_url

Listen = Callable[..., Listener]


def test_a_message_says_where_to_claim(server: DevelopmentServer, client: Client, listen: Listen) -> None:
    """It names its task, and its links can be followed."""
    listener = listen("/poll/g/w")
    created = client.invoke("a", "poll://any@g").body["createdOn"]
    (message,) = eventually(lambda: listener.messages)
    base = server.url
    place = "__invoke:a/1"
    assert message == {
        "type": "invoke", "task": {"id": "__invoke:a", "counter": 1, "timeout": FAR, "rootPromiseId": "a", "createdOn": created},
        "href": {
            "base": base, "claim": f"{base}/tasks/claim/{place}", "complete": f"{base}/tasks/complete/{place}",
            "heartbeat": f"{base}/tasks/heartbeat/{place}",
        },
    }  # fmt: skip
    assert client("GET", message["href"]["claim"].removeprefix(base)).status == 201


def test_any_of_a_group_shares_the_work(client: Client, listen: Listen) -> None:
    """Messages to a group are spread over its members, each to one of them."""
    members = [listen(f"/poll/g/w{number}") for number in range(3)]
    for number in range(60):
        client.invoke(f"p{number}", "poll://any@g")
    eventually(lambda: sum(len(member.messages) for member in members) == 60)
    assert Counter(task for member in members for task in member.tasks()) == Counter(f"__invoke:p{number}" for number in range(60))
    assert all(member.messages for member in members)


@pytest.mark.parametrize("recv", [
    "poll://uni@g/w%2F1%20x", "poll://any@g/w%2F1%20x", '{"type": "poll", "data": {"cast": "uni", "group": "g", "id": "w/1 x"}}',
])  # fmt: skip
def test_names_are_decoded(client: Client, listen: Listen, recv: str) -> None:
    """Groups and ids may hold any sign, percent-encoded in addresses and paths; an id may hold slashes."""
    listener = listen("/poll/g/w/1%20x")
    client.invoke("a", recv)
    eventually(lambda: listener.tasks() == ["__invoke:a"])


@pytest.mark.parametrize("recv", [
    "poll://all@g/w", "g", "ftp://g/w", '{"type": "poll", "data": {"cast": "all", "group": "g", "id": "w"}}',
    '{"type": "poll", "data": null}', '{"type": "queue", "data": {"group": "g"}}', "poll://any@[",
])  # fmt: skip
def test_an_address_of_nobody(client: Client, listen: Listen, recv: str) -> None:
    """A task for what is no address can be created, reaches nobody, and can still be claimed by its name."""
    listener = listen("/poll/g/w")
    assert client.invoke("a", recv).status == 201
    client.invoke("b", "poll://any@g")
    eventually(lambda: listener.tasks() == ["__invoke:b"])
    assert client("GET", "/tasks/claim/__invoke:a/1").status == 201


def test_a_stream_that_ends_gives_back_what_it_was_not_sent(client: Client, listen: Listen) -> None:
    """When a listener goes, the next message for its group finds another."""
    first, second = listen("/poll/g/w1"), listen("/poll/g/w2")
    first.close()

    numbers = itertools.count()

    def is_all_for_the_second() -> bool:  # what was on its way while the first one went may be lost, and is sent again a minute later
        client.invoke(f"p{next(numbers)}", "poll://any@g/w1")
        return bool(second.messages)

    eventually(is_all_for_the_second)


def test_who_comes_later_gets_what_waits_at_once(client: Client, listen: Listen) -> None:
    """A task that nobody was there for goes out when somebody of its group listens, not only when its time has come."""
    client.invoke("a", "poll://any@g")
    other = listen("/poll/other/w")
    listener = listen("/poll/g/w")
    eventually(lambda: listener.tasks() == ["__invoke:a"])
    assert not other.messages


def test_both_ports_lead_to_one_group(client: Client, listen: Listen) -> None:
    """A listener on the separate port and one on the API's port replace each other under one id."""
    first = listen("/g/w", on_message_port=True)
    second = listen("/poll/g/w")
    eventually(lambda: first.is_over)
    client.invoke("a", "poll://uni@g/w")
    eventually(lambda: second.tasks() == ["__invoke:a"])


def test_notices(client: Client, listen: Listen) -> None:
    """Whoever subscribed gets the settled promise once."""
    listener = listen("/poll/g/w")
    client.create("a")
    client("POST", "/promises/subscribe/a", {"id": "s", "timeout": FAR, "recv": "poll://uni@g/w"})
    settled = client("PATCH", "/promises/a", {"state": "RESOLVED"}).body
    assert eventually(lambda: listener.messages) == [{"type": "notify", "promise": settled}]


# ---- push --------------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def worker() -> Iterator[Any]:
    """A server of a worker that keeps what is pushed to it: (its address, list of (path, message))."""
    received: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(500)  # of no interest
            self.end_headers()

        def log_message(self, *arguments: Any) -> None: ...

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}", received
    made.shutdown()
    made.server_close()
    thread.join()


def test_push(client: Client, worker: Any) -> None:
    """A message for an http address is posted there, as text or as JSON; what is answered is of no interest."""
    url, received = worker
    client.invoke("a", f"{url}/inbox?of=w")
    client.invoke("b", json.dumps({"type": "http", "data": {"url": f"{url}/b"}}))
    eventually(lambda: len(received) == 2)
    assert {(path, message["task"]["id"]) for path, message in received} == {("/inbox?of=w", "__invoke:a"), ("/b", "__invoke:b")}
    assert client("POST", "/tasks/complete", {"id": "__invoke:a", "counter": 1}).body["error"]["code"] == 40309


def test_push_to_nobody(client: Client) -> None:
    """Where no connection can be had the task counts as not sent; others are not kept waiting by an address that does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for number in range(20):
        client.invoke(f"p{number}", f"http://127.0.0.1:{port}/")
    assert client("GET", "/tasks/claim/__invoke:p0/1").status == 201


@pytest.mark.parametrize(("recv", "place", "path"), [
    ("http://h/", "h:80", "/"), ("https://h:1/a b?c=d e", "h:1", "/a%20b?c=d%20e"), ("http://[::1]:5/x", "[::1]:5", "/x"),
    ("http://h/a\r\nEvil: 1", "h:80", "/aEvil:%201"), ("http://", None, ""), ("poll://any@g", None, ""), ("http://h:99999/", None, ""),
    ("http://a\u2100b/", None, ""),
])  # fmt: skip
def test_push_addresses(recv: str, place: str | None, path: str) -> None:
    """An address becomes the head of one request and nothing else, whatever stands in it."""
    url = push_url(recv)
    assert (place, path) == (None, "") if url is None else (url.place, url.path) == (place, path)
