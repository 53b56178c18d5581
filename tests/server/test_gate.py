"""Who is let in: names of the server, origins, passwords and tokens."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Client, Listener

from resonate.server import DevelopmentServer
from resonate.server.gate import Credentials, Gate


def basic(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


@pytest.mark.parametrize(("host", "status"), [
    ("127.0.0.1:8001", 404), ("localhost", 404), ("LOCALHOST:1", 404), ("[::1]:8001", 404),
    ("evil.example", 403), ("evil.example:8001", 403), ("127.0.0.1.evil.example", 403), ("localhost@evil.example", 403), ("[", 403),
    ("", 403),
])  # fmt: skip
def test_only_the_servers_own_names(client: Client, host: str, status: int) -> None:
    """On loopback a request whose `Host` is a foreign name is refused: it comes from a page whose name leads here."""
    assert client("GET", "/promises/a", Host=host).status == status


@pytest.mark.parametrize(("origin", "status"), [
    ("http://127.0.0.1:8888", 201), ("http://127.0.0.1", 201), ("http://evil.example", 403), ("null", 403), ("http://[", 403),
])  # fmt: skip
def test_no_pages_of_other_sites(client: Client, origin: str, status: int) -> None:
    """A page of another site cannot write, whatever it asks its browser to send."""
    assert client("POST", "/promises", {"id": "a", "timeout": 2**45}, Origin=origin, Content_Type="text/plain").status == status


def test_no_links_of_other_sites(client: Client, listen: Callable[..., Listener]) -> None:
    """Requests that change something by GET, and streams, are refused where the browser says that they cross sites."""
    client.invoke("a", "poll://any@g")
    assert client("GET", "/tasks/claim/__invoke:a/1", Sec_Fetch_Site="cross-site").status == 403
    assert client("GET", "/tasks/claim/__invoke:a/1", Sec_Fetch_Site="none").status == 201
    assert listen("/poll/g/w", Origin="http://evil.example").status == 403
    assert listen("/g/w", on_message_port=True, Host="evil.example").status == 403


def test_bound_to_another_address_any_name_is_its_own() -> None:
    """A server that is meant to be reached from other machines cannot know its names; origins are still compared with them."""
    gate = Gate("0.0.0.0", Credentials())
    assert gate.refuses("/promises/a", {"host": "machine.example:8001"}) is None
    assert gate.refuses("/promises/a", {"host": "machine.example:8001", "origin": "http://machine.example"}) is None
    refusal = gate.refuses("/promises/a", {"host": "machine.example:8001", "origin": "http://evil.example"})
    assert refusal is not None
    assert refusal.status == 403


@pytest.mark.parametrize(("given", "sent", "status"), [
    ({"user": "ada:se:cret"}, basic("ada:se:cret"), 404), ({"user": "ada:se:cret"}, basic("ada:other"), 401),
    ({"user": "ada:se:cret"}, "", 401),
    ({"user": "ada:se:cret"}, "Bearer ada:se:cret", 401), ({"token": "t0"}, "Bearer t0", 404), ({"token": "t0"}, "bearer t0", 404),
    ({"token": "t0"}, "Bearer t1", 401), ({"token": "t0"}, "t0", 401), ({"user": "a:b", "token": "t0"}, "Bearer t0", 404),
    ({"user": "a:b", "token": "t0"}, basic("a:b"), 404), ({}, "Bearer whatever", 404),
])  # fmt: skip
def test_passwords_and_tokens(given: dict[str, Any], sent: str, status: int) -> None:
    """Where a password or a token is asked for, every request shows it; only `/ping` needs none."""
    with DevelopmentServer(port=0, **given) as server:
        client = Client(server.url)
        headers = {"Authorization": sent} if sent else {}
        answer = client("GET", "/promises/a", **headers)
        assert answer.status == status
        assert "se:cret" not in str(answer.body)
        listener = Listener(Client(server.message_url).connect(), "/g/w", headers)
        assert listener.status == (200 if status == 404 else 401)
        listener.close()
        assert client("GET", "/ping").body == {"status": "ok"}


def test_a_user_has_a_password() -> None:
    """A user without a colon is refused before anything starts."""
    with pytest.raises(ValueError, match="name:password"):
        DevelopmentServer(port=0, user="ada")
