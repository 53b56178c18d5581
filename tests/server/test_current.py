"""The current protocol over real sockets: recorded exchanges, who is let in, and both generations on one server."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from conftest import FAR, Answer, Client, Listener, eventually
from test_conformance import FOLDER, REPLAY, play_all

from resonate.server import DevelopmentServer

RECORDINGS = sorted(REPLAY.load([FOLDER / "current-r1"]), key=lambda recording: not recording.slow)
DIFFERS = {"endpoint-legacy-gone": "the legacy protocol is served at these paths, where the real server says that it is gone"}
"""Recordings that are answered otherwise by intent, each with the reason."""
VERSION = "2026-04-01"


def ask(client: Client, kind: str, data: Any, auth: str | None = None, **headers: str) -> Answer:
    """One request of the current protocol."""
    head = {"corrId": "7", "version": VERSION} | ({} if auth is None else {"auth": auth})
    return client("POST", "/", {"kind": kind, "head": head, "data": data}, **headers)


@cache
def differences(kind: str) -> dict[str, list[str]]:
    """What differs with a store of that kind."""
    return play_all(RECORDINGS, kind, is_polled_apart=False)


@pytest.mark.parametrize("kind", ["memory", "file"])
@pytest.mark.parametrize("name", sorted(recording.name for recording in RECORDINGS))
def test_the_recorded_exchange(kind: str, name: str) -> None:
    """Each recorded request is answered as the real server answers it, and the same messages come."""
    found = differences(kind)[name]
    if name in DIFFERS:
        assert found, "it differs no more: take it from the list"
        return
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("auth", "sent", "status"), [
    (None, {}, 401), ("t1", {}, 401), ("t0", {}, 404), (None, {"Authorization": "Bearer t0"}, 404),
    ("t1", {"Authorization": "Bearer t0"}, 401),
])  # fmt: skip
def test_the_token_is_in_the_envelope_or_the_header(auth: str | None, sent: dict[str, str], status: int) -> None:
    """Where a token is asked for, a request shows it in its head or, where that has none, in its header; streams show it in the header."""
    with DevelopmentServer(port=0, token="t0") as server:
        client = Client(server.url)
        answer = ask(client, "promise.get", {"id": "p"}, auth, **sent)
        assert (answer.status, answer.body["head"]["status"], answer.body["head"]["corrId"]) == (status, status, "7")
        assert client("GET", "/poll/g/w").status == 401
        assert [client("GET", path).status for path in ("/health", "/ready")] == [200, 200]


def test_one_stream_carries_both_generations(client: Client, listen: Callable[..., Listener]) -> None:
    """A worker that listens once gets the tasks of both protocols, each in its own form, and a promise of one settles by the other."""
    listener = listen("/poll/g/w")
    client.invoke("old", "poll://any@g")
    tags = {"resonate:target": "poll://any@g"}
    assert ask(client, "promise.create", {"id": "new", "timeoutAt": FAR, "tags": tags, "param": {"data": "MQ=="}}).status == 200
    assert ask(client, "promise.register_listener", {"awaited": "old", "address": "poll://uni@g/w"}).status == 200
    assert client("PATCH", "/promises/old", {"state": "RESOLVED", "value": {"data": "Mg=="}}).status == 201
    eventually(lambda: len(listener.messages) == 3)
    invoke, execute, unblock = listener.messages
    assert (invoke["type"], invoke["task"]["id"]) == ("invoke", "__invoke:old")
    assert execute == {"kind": "execute", "head": {"serverUrl": client.url}, "data": {"task": {"id": "new", "version": 0}}}
    assert (unblock["kind"], unblock["data"]["promise"]["value"]) == ("unblock", {"data": "Mg=="})
    assert client("GET", "/promises/new").body["param"] == {"data": "MQ=="}


def test_what_is_too_long_is_told(client: Client) -> None:
    """A request of more than 2 MiB is 413, in plain text."""
    answer = ask(client, "promise.create", {"id": "p", "timeoutAt": FAR, "param": {"data": "x" * 2_097_152}})
    assert answer.status == 413
    assert isinstance(answer.body, str)
