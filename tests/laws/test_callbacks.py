"""Laws of callbacks and subscriptions: when one is made, what it comes to, and that nobody waits in vain."""

from __future__ import annotations

from typing import Any

import pytest
from benches import DEFAULT, SETTLES, Bench, code_of, refusal, shown

from resonate.protocol import Lease, RegisterCallback

WAITS = {
    "callback": lambda bench, promise, who="r": bench.promises.callback(promise, who, DEFAULT, bench.far),
    "subscribe": lambda bench, promise, who="r": bench.promises.subscribe(who, promise, DEFAULT, bench.far),
}
IDS = {"callback": "__resume:r:p", "subscribe": "__notify:p:r"}


@pytest.mark.parametrize("kind", WAITS)
def test_waiting_for_a_pending_promise(bench: Bench, kind: str) -> None:
    """The first time gives the pending promise and the callback; a repeat gives the promise and no callback."""
    bench.claimed("r")
    made = bench.create("p")
    wait: Any = WAITS[kind]
    promise, callback = wait(bench, "p")
    assert shown(promise) == shown(made)
    assert (callback.id, callback.promise_id, callback.timeout) == (IDS[kind], "p", bench.far)
    assert callback.created_on == bench.about(bench.now)
    repeated, nothing = wait(bench, "p")
    assert (shown(repeated), nothing) == (shown(made), None)
    assert wait(bench, "p", "another")[1] is not None


@pytest.mark.parametrize("kind", WAITS)
@pytest.mark.parametrize("settled", [*SETTLES, "timed out"])
def test_waiting_for_a_completed_promise(bench: Bench, kind: str, settled: str) -> None:
    """A completed promise is the answer, nothing is made and nothing is sent."""
    bench.claimed("r")
    bench.create("p", bench.now + 1000)
    if settled == "timed out":
        bench.advance(1000)
    else:
        getattr(bench.promises, SETTLES[settled])("p", data="[1]")
    wait: Any = WAITS[kind]
    promise, callback = wait(bench, "p")
    assert (shown(promise), callback) == (shown(bench.promises.get("p")), None)
    bench.advance(1000)
    assert bench.messages() == []


@pytest.mark.parametrize("kind", WAITS)
def test_nobody_waits_in_vain_for_an_expired_promise(bench: Bench, kind: str) -> None:
    """On a promise past its deadline the answer is either that it is over, or a callback that comes to something by itself."""
    task = bench.claimed("r")
    bench.create("p", bench.now + 1000)
    bench.elapse(2000)
    wait: Any = WAITS[kind]
    promise, callback = wait(bench, "p")
    assert (callback is None) == promise.completed
    bench.tasks.complete(task["id"], 1)
    bench.advance()
    assert len(bench.messages()) == (0 if callback is None else 1)


@pytest.mark.parametrize("kind", WAITS)
def test_waiting_for_what_is_not_there(bench: Bench, kind: str) -> None:
    """Nobody can wait for a promise that does not exist."""
    assert refusal(WAITS[kind], bench, "p") == 40400


def test_a_promise_cannot_wait_for_itself(bench: Bench) -> None:
    """A callback whose root is its own promise is refused, pending or not, and makes nothing."""
    task = bench.claimed("r")
    assert refusal(bench.promises.callback, "r", "r", DEFAULT, bench.far) == 40000
    bench.tasks.complete(task["id"], 1)
    bench.promises.resolve("r")
    assert refusal(bench.promises.callback, "r", "r", DEFAULT, bench.far) == 40000
    assert bench.messages() == []


def test_the_run_that_waits_need_not_exist(bench: Bench) -> None:
    """A callback may name a run that is created later, which is then resumed."""
    bench.create("p")
    assert bench.promises.callback("p", "r", DEFAULT, bench.far)[1] is not None
    task = bench.claimed("r")
    bench.promises.resolve("p")
    bench.tasks.complete(task["id"], 1)
    assert bench.sent() == [("__resume:r:p", 1)]


@pytest.mark.parametrize("settled", SETTLES)
def test_a_resumed_run_gets_what_it_waited_for(bench: Bench, settled: str) -> None:
    """Claiming a resume gives the run's promise and the settled one as its leaf; a second one comes for each other promise."""
    task = bench.claimed("r")
    for name in ("p", "q"):
        bench.create(name)
        bench.promises.callback(name, "r", DEFAULT, bench.far)
    bench.tasks.complete(task["id"], 1)
    for name in ("p", "q"):
        assert bench.messages() == []
        getattr(bench.promises, SETTLES[settled])(name, data="[1]")
        resume = bench.one_task()
        root, leaf = bench.tasks.claim(resume["id"], 1, "w1", 1000)
        assert (shown(root), shown(leaf)) == (shown(bench.promises.get("r")), shown(bench.promises.get(name)))
        bench.tasks.complete(resume["id"], 1)


def test_a_settlement_is_told_once(bench: Bench) -> None:
    """Each run is resumed once and each subscriber is told once, however often the promise is settled again."""
    for name in ("r1", "r2"):
        bench.tasks.complete(bench.claimed(name)["id"], 1)
    bench.create("p")
    for _ in range(2):
        for name in ("r1", "r2"):
            bench.promises.callback("p", name, DEFAULT, bench.far)
            bench.promises.subscribe(name, "p", DEFAULT, bench.far)
    for _ in range(2):
        bench.promises.resolve("p", ikey="k")
    found = [message.get("task", {}).get("id", "told") for message in bench.messages()]
    assert sorted(found) == ["__resume:r1:p", "__resume:r2:p", "told", "told"]


def test_a_notice_is_sent_once_and_to_nobody_else(bench: Bench) -> None:
    """A subscriber who is not there when the promise settles is not told later."""
    bench.create("p")
    bench.promises.subscribe("s", "p", DEFAULT, bench.far)
    bench.disconnect()
    bench.promises.resolve("p")
    bench.advance(15_000)
    bench.reconnect()
    bench.advance(60_000)
    assert bench.messages() == []


@pytest.mark.needs("distinct tasks")
def test_runs_whose_ids_read_alike_are_both_resumed(bench: Bench) -> None:
    """Run `a` that waits for `b:c` and run `a:b` that waits for `c` are two runs, and each goes on."""
    for root, leaf in (("a", "b:c"), ("a:b", "c")):
        bench.tasks.complete(bench.claimed(root)["id"], 1)
        bench.create(leaf)
        bench.promises.callback(leaf, root, DEFAULT, bench.far)
    bench.promises.resolve("b:c")
    bench.promises.resolve("c")
    resumed = []
    for message in bench.messages():
        root, leaf = bench.tasks.claim(message["task"]["id"], 1, "w1", 1000)
        resumed.append((root.id, leaf.id))
    assert sorted(resumed) == [("a", "b:c"), ("a:b", "c")]


def test_a_callback_can_be_fenced(bench: Bench) -> None:
    """One that names a lease is registered only while that lease is held."""
    bench.claimed("r")
    bench.create("leaf")
    held, lost = Lease("r", "__invoke:r", 1), Lease("r", "__invoke:r", 2)
    refused, made = bench.store.call([RegisterCallback("leaf", "r", DEFAULT, bench.far, lease) for lease in (lost, held)])
    assert code_of(refused) == 41200
    assert made[1].id == "__resume:r:leaf"
