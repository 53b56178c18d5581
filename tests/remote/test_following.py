"""A run that another process works on is told by the same facts as one at work here."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resonate import Resonate
from resonate.events import AttemptStarted, PromiseCreated, PromiseSettled
from resonate.observers import Subscription
from resonate.server import DevelopmentServer
from resonate.transport.connections import Connections
from resonate_notebook.live import Follower, Settings
from resonate_notebook.model import RunModel
from tests.process.waiting import when

SOON_S = 20.0


@pytest.fixture(scope="module")
def server() -> Iterator[DevelopmentServer]:
    with DevelopmentServer(port=0, message_port=0) as started:
        yield started


@pytest.fixture(params=["legacy", "current"])
def clients(server: DevelopmentServer, request: pytest.FixtureRequest) -> Iterator[tuple[Resonate, Resonate, threading.Event]]:
    """A worker, a client that only watches, and what lets the worker's last step end."""
    worker = Resonate.remote(host=server.url, group=f"work-{request.param}", protocol=request.param, log_level="CRITICAL", workers=4)
    watcher = Resonate.remote(host=server.url, group=f"watch-{request.param}", protocol=request.param, log_level="CRITICAL")
    gate = threading.Event()

    @worker.register
    def step(ctx: Any, number: int) -> int:
        return number

    @worker.register
    def last(ctx: Any) -> str:
        gate.wait(SOON_S)
        return "end"

    @worker.register
    def top(ctx: Any, count: int) -> Any:
        for number in range(count):
            yield ctx.run(step, number)
        yield ctx.promise(id=f"{ctx.id}-own")
        return (yield ctx.run(last))

    worker.start()
    yield worker, watcher, gate
    gate.set()
    watcher.stop()
    worker.stop()


def follow(watcher: Resonate, run_id: str, group: str, count: int) -> tuple[Subscription, Any]:
    subscription = watcher.subscribe(run_id)
    handle = watcher.options(target=group).begin_rpc(run_id, "top", count)
    watcher.follow(run_id)
    return subscription, handle


def facts_until(subscription: Subscription, is_enough: Any) -> list[Any]:
    facts: list[Any] = []
    deadline = time.monotonic() + SOON_S
    while not is_enough(facts):
        assert time.monotonic() < deadline, facts
        facts += subscription.read(0.1)
    return facts


def test_a_run_elsewhere_is_told_from_its_beginning_to_its_end(clients: tuple[Resonate, Resonate, threading.Event]) -> None:
    """Who watches sees each call with its parent, kind, name and arguments, that it is at work, and how it settles."""
    _, watcher, gate = clients
    run_id = f"followed-{watcher_protocol(watcher)}"
    group = f"work-{watcher_protocol(watcher)}"
    subscription, handle = follow(watcher, run_id, group, 5)
    facts = facts_until(subscription, lambda facts: any(type(each) is PromiseCreated and each.name == "last" for each in facts))
    began = [each.id for each in facts if type(each) is AttemptStarted]
    assert run_id in began
    watcher.promises.resolve(f"{run_id}-own", data="1")
    gate.set()
    assert handle.result(SOON_S) == "end"
    facts += facts_until(subscription, lambda facts: any(type(each) is PromiseSettled and each.id == run_id for each in facts))
    created = {each.id: each for each in facts if type(each) is PromiseCreated}
    names = sorted((each.kind, each.name) for each in created.values())
    assert names == [("promise", f"{run_id}-own"), ("rpc", "top"), ("run", "last"), *[("run", "step")] * 5]
    assert {each.parent for each in created.values()} == {None, run_id}
    assert sorted(each.arguments for each in created.values() if each.name == "step") == [((("", str(number)),)) for number in range(5)]
    settled = {each.id: each.state for each in facts if type(each) is PromiseSettled}
    assert settled == dict.fromkeys(created, "resolved")
    model = RunModel(run_id)
    for fact in facts:
        model.apply(fact)
    assert model.settled
    assert model.counts["resolved"] == 8


def test_a_look_costs_what_is_new_and_open(clients: tuple[Resonate, Resonate, threading.Event], monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a run has told of its finished calls, looking at it again sends a few small requests, however many there are."""
    _, watcher, gate = clients
    run_id = f"cheap-{watcher_protocol(watcher)}"
    group = f"work-{watcher_protocol(watcher)}"
    subscription, handle = follow(watcher, run_id, group, 150)
    facts_until(subscription, lambda facts: any(type(each) is PromiseCreated and each.name == "last" for each in facts))
    mine: list[int] = []
    own = watcher._shared.store._connections  # type: ignore[attr-defined] # what the watcher sends, and nobody else
    plain = Connections.exchange

    def counted(self: Connections, *arguments: Any) -> Any:
        response = plain(self, *arguments)
        if self is own:
            mine.append(len(response.body))
        return response

    monkeypatch.setattr(Connections, "exchange", counted)
    looks = watcher._shared._tracker._runs[run_id]  # type: ignore[union-attr]
    facts_until(subscription, lambda facts: len(looks.pending) == 3)  # the run, its last step, and the promise
    mine.clear()
    before = looks.looks
    deadline = time.monotonic() + SOON_S
    while looks.looks < before + 4:
        assert time.monotonic() < deadline
        subscription.read(0.05)
    assert len(mine) <= 8 * (looks.looks - before + 1)
    assert sum(mine) < 150 * 500, "what is finished is not sent again"
    watcher.promises.resolve(f"{run_id}-own", data="1")
    gate.set()
    handle.result(SOON_S)


def watcher_protocol(client: Resonate) -> str:
    """The protocol that a client was told to speak."""
    return "legacy" if "legacy" in client.where[1] else "current"


def test_a_server_that_is_away_is_told_in_the_picture_until_it_is_back(tmp_path: Path) -> None:
    """What is shown of a run says that its server does not answer, and why, in words that end when it answers again."""
    places = {"db": str(tmp_path / "server.db"), "message_port": 0}
    with DevelopmentServer(port=0, **places) as server:
        client = Resonate.remote(host=server.url, log_level="CRITICAL")

        @client.register
        def waits(ctx: Any) -> Any:
            return (yield (yield ctx.promise(id="gate")))

        handle = client.begin_run("run", waits)
        follower = Follower(client, Settings(), detail=lambda *_: {}, answer=lambda *_: {})
        followed = follower.follow("run")
        assert followed is not None
        shown = follower.widget(followed)
        when(lambda: followed.model.state == "waiting")
        assert followed.model.away == ""
    try:
        when(lambda: "cannot be asked" in follower.text(followed).splitlines()[1])
        assert client.trouble == followed.model.away
        assert shown.about.model.snapshot()["run"]["away"].startswith(f"{server.url} cannot be asked")
        with DevelopmentServer(port=int(server.url.rpartition(":")[2]), **places):
            when(lambda: not followed.model.away, within_s=SOON_S)
            client.promises.resolve(id="gate", data="7")
            assert handle.result(SOON_S) == 7
    finally:
        follower.close()
        client.stop()
