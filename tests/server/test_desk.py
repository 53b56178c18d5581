"""The thread that asks the store: one request's trouble is not another's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from conftest import Client

from resonate.errors import ResonateStoreError, StoreUnavailable
from resonate.protocol import CreatePromise, GetPromise
from resonate.server import DevelopmentServer, desk
from resonate.server.desk import Desk
from resonate.stores import LocalStore

FAR = 2**45


class Wrapped(LocalStore):
    """A store whose calls can be held up, or fail."""

    def __init__(self, call: Callable[[Sequence[Any]], None]) -> None:
        super().__init__()
        self.before_call = call
        self.sizes: list[int] = []
        self.is_called = threading.Event()

    def call(self, operations: Sequence[Any]) -> list[Any]:
        self.sizes.append(len(operations))
        self.is_called.set()
        self.before_call(operations)
        return super().call(operations)


def asked(store: LocalStore, ask: Callable[[Desk], Any]) -> Any:
    """What comes of asking at a desk, with its thread gone afterwards."""

    async def main() -> Any:
        made = Desk(store, asyncio.get_running_loop())
        try:
            return await ask(made)
        finally:
            await asyncio.to_thread(made.stop, 2.0)

    return asyncio.run(main())


def test_what_waits_is_asked_together() -> None:
    """While the store is busy requests gather, and are then carried out in one call, in the order in which they came."""
    is_free = threading.Event()
    store = Wrapped(lambda operations: is_free.wait(5) and None)

    async def ask(made: Desk) -> list[Any]:
        waiting = [asyncio.ensure_future(made.ask((CreatePromise(f"p{number}", FAR),))) for number in range(20)]
        await asyncio.to_thread(store.is_called.wait, 5)
        is_free.set()
        return await asyncio.gather(*waiting)

    answers = asked(store, ask)
    assert [answer[0].number for answer in answers] == list(range(20))
    assert sum(store.sizes) == 20
    assert len(store.sizes) <= 3


def test_what_the_store_cannot_bear(caplog: pytest.LogCaptureFixture) -> None:
    """An operation on which the store fails is answered as a failure, and those that were asked with it are carried out."""

    def fail(operations: Sequence[Any]) -> None:
        if any(each.id == "poison" for each in operations):
            raise OverflowError("too much")

    async def ask(made: Desk) -> list[Any]:
        return await asyncio.gather(*(made.ask((CreatePromise(each, FAR),)) for each in ("a", "poison", "b")))

    (first,), (poisoned,), (last,) = asked(Wrapped(fail), ask)
    assert (first.id, last.id) == ("a", "b")
    assert isinstance(poisoned, ResonateStoreError)
    assert "CreatePromise" in caplog.text


def test_a_store_in_trouble(server: DevelopmentServer, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that cannot write is answered with 500 and the reason; when it can again, so can everybody."""

    def fail(operations: Sequence[Any]) -> Any:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as trouble:
        trouble.setattr(server._store, "call", fail)
        answer = client.create("a")
        assert (answer.status, answer.body["error"]["code"]) == (500, 50004)
        assert "the disk is full" in answer.body["error"]["message"]
    assert client.create("a").status == 201


def test_too_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a limit a request is refused at once (50301), and those that wait are not lost."""
    monkeypatch.setattr(desk, "REQUESTS_WAITING_LIMIT", 5)
    is_free = threading.Event()
    store = Wrapped(lambda operations: is_free.wait(5) and None)

    async def ask(made: Desk) -> list[Any]:
        waiting = [asyncio.ensure_future(made.ask((GetPromise(str(number)),))) for number in range(20)]
        await asyncio.sleep(0.05)
        is_free.set()
        return await asyncio.gather(*waiting, return_exceptions=True)

    answers = asked(store, ask)
    refused = [answer for answer in answers if isinstance(answer, ResonateStoreError)]
    assert 0 < len(refused) < 20
    assert all(isinstance(answer, list) for answer in answers if answer not in refused)
