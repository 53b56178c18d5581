"""Contract 13: the environment's variables, and reserved names."""

from __future__ import annotations

import base64
import os

import pytest
from toys import value
from waiting import SOON

from resonate import Resonate
from resonate.errors import ResonateStoreError
from resonate.message_sources import Poller
from resonate.server import DevelopmentServer
from resonate.stores import RemoteStore
from tests.remote.crossing import Crossing, reply

HELD_BY = {
    "13 `resonate:time` and `resonate:random`": "process/test_guide.py::test_every_die_of_random",
    "13 tags of the system override the user's": "contract/test_08_promises_written.py::test_what_a_launch_writes",
}

PLACES = [
    ({}, "http://localhost:8001", "http://localhost:8002"),
    ({"HOST": "http://a"}, "http://a:8001", "http://a:8002"),
    ({"HOST": "http://a", "HOST_STORE": "http://b"}, "http://b:8001", "http://a:8002"),
    ({"HOST": "http://a", "HOST_MESSAGE_SOURCE": "http://c"}, "http://a:8001", "http://c:8002"),
    ({"PORT_STORE": "7"}, "http://localhost:7", "http://localhost:8002"),
    ({"PORT_MESSAGE_SOURCE": "9"}, "http://localhost:8001", "http://localhost:9"),
    ({"HOST": "https://a", "PORT_STORE": "7", "PORT_MESSAGE_SOURCE": "9"}, "https://a:7", "https://a:9"),
]


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that tells of no server."""
    for name in list(os.environ):
        if name.startswith("RESONATE_"):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize(("given", "store", "messages"), PLACES, ids=lambda each: "+".join(each) if isinstance(each, dict) else "")
def test_where_a_server_is(variables: pytest.MonkeyPatch, given: dict[str, str], store: str, messages: str) -> None:
    """Of host and port the variable of the store or the message source counts, then RESONATE_HOST, then what 0.6.7 takes without any."""
    for name, text in given.items():
        variables.setenv(f"RESONATE_{name}", text)
    assert (RemoteStore().url, Poller("g", "i").url) == (store, f"{messages}/g/i")
    client_store = Resonate.remote()._shared.store
    assert isinstance(client_store, RemoteStore)
    assert (client_store.url, client_store._message_connections.url) == (store, messages)
    assert (RemoteStore("http://x", 5).url, Poller("g", "i", "http://x", "6").url) == ("http://x:5", "http://x:6/g/i")


@pytest.mark.parametrize(("given", "auth", "header"), [
    ({}, None, ""), ({"PASSWORD": "secret"}, None, ""), ({"USERNAME": "ada", "PASSWORD": "secret"}, None, "ada:secret"),
    ({"USERNAME": "ada"}, None, "ada:"), ({"USERNAME": "ada", "PASSWORD": "secret"}, ("bob", "other"), "bob:other"),
    ({"TOKEN": "t0"}, None, "Bearer t0"), ({"TOKEN": "t0", "USERNAME": "ada"}, None, "Bearer t0"),
])  # fmt: skip
def test_who_asks(variables: pytest.MonkeyPatch, given: dict[str, str], auth: tuple[str, str] | None, header: str) -> None:
    """A user is sent where RESONATE_USERNAME is set, with an empty password if need be; arguments win; a token is our own addition."""
    for name, text in given.items():
        variables.setenv(f"RESONATE_{name}", text)
    expected = header if header.startswith("Bearer") or not header else f"Basic {base64.b64encode(header.encode()).decode()}"
    with Crossing("http://127.0.0.1:1", lambda asked: reply(404, b'{"error": {"code": 40400}}')) as crossing:
        store = RemoteStore(crossing.url, auth=auth, protocol="legacy")
        with pytest.raises(ResonateStoreError):
            store.promises.get("a")
        store.stop()
        sent = [line.partition(": ")[2] for line in crossing.asked[0].head.split("\r\n") if line.startswith("Authorization")]
    assert sent == [expected] * bool(expected)


def test_a_user_of_the_environment_is_let_in_everywhere(variables: pytest.MonkeyPatch) -> None:
    """The store and the stream of messages both show the user that the environment names."""
    with DevelopmentServer(port=0, user="ada:se:cret") as server:
        variables.setenv("RESONATE_USERNAME", "ada")
        variables.setenv("RESONATE_PASSWORD", "se:cret")
        with Resonate.remote(host=server.url, log_level="CRITICAL") as client:
            client.register(value)
            assert client.rpc("a", "value", 5) == 5  # its message comes by the stream


@pytest.mark.parametrize("name", ["resonate:root", "resonate:parent", "resonate:scope", "resonate:anything"])
def test_reserved_tags_where_the_sdk_writes_none(client: Resonate, name: str) -> None:
    """A user's tag under a reserved name is stored as it is where the SDK writes none of that name."""

    @client.register
    def top(ctx):
        yield ctx.promise(id="p", tags={name: "mine"}, timeout=0)

    top.begin_run("top").result(SOON)
    assert client.promises.get("p").tags == {name: "mine"}


def test_reserved_tags_of_low_level_promises(client: Resonate) -> None:
    """A promise that was made by hand is sent where `resonate:invoke` says, and resolves at its deadline with `resonate:timeout`."""
    client.register(value)
    client.start()
    client.promises.create("a", 2**45, tags={"resonate:invoke": "default"}, data='{"func": "value", "args": [4]}')
    client.promises.create("b", 0, tags={"resonate:timeout": "true"})
    assert (client.get("a").result(SOON), client.get("b").result(SOON)) == (4, None)


def test_reserved_tags_of_a_runs_promises(client: Resonate) -> None:
    """So it is with what a run makes: a user's `resonate:invoke` sends a promise to a worker, `resonate:timeout` resolves it in time."""
    client.register(value)

    @client.register
    def top(ctx):
        call = {"func": "value", "args": [4]}
        sent = yield ctx.promise(tags={"resonate:invoke": "poll://any@default"}, data=call)
        timed = yield ctx.promise(tags={"resonate:timeout": "true"}, timeout=0.01)
        return [(yield sent), (yield timed)]

    assert top.begin_run("top").result(SOON) == [4, None]
    assert client.promises.get("top.1").tags == {"resonate:invoke": "poll://any@default"}
    assert client.promises.get("top.2").tags == {"resonate:timeout": "true"}
