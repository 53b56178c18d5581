"""Contract 12: threads, messages, leases and what a taken up run does."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from toys import FAR, Watched, client_of, value
from waiting import SOON, when

from resonate import Resonate
from resonate.errors import ResonateShutdownError
from resonate.stores import LocalStore

HELD_BY = {
    "12 `stop` fails what waits, and a client starts anew":
        "process/test_concurrency.py::test_stop_fails_the_handles_and_the_client_can_be_used_again",
    "12 `stop` before `start`, and twice": "process/test_concurrency.py::test_stop_before_start_and_twice_is_harmless",
    "12 `stop` keeps its deadline": "process/test_lifecycle.py::test_stop_keeps_its_deadline",
    "12 nothing is left behind": "process/test_lifecycle.py::test_nothing_is_left_behind",
    "12 what was done is not done again": "process/test_concurrency.py::test_a_stopped_clients_runs_go_on_when_it_is_used_again",
    "12 another process takes a run over": "process/test_foreign_store.py::test_another_process_takes_a_run_over",
    "12 code that has changed": "process/test_code_change.py::test_an_edit_is_told_before_a_step_runs",
    "12 the process lives on": "process/test_mistakes.py::test_nothing_ends_the_process",
    "12 an error of the store": "process/test_foreign_store.py::test_what_it_raises_fails_the_call_alone",
    "12 a server that is away": "remote/test_faults.py::test_a_server_that_is_down_is_not_stormed",
    "12 a server that comes later": "remote/test_faults.py::test_a_server_may_come_later",
    "12 a server that is busy": "remote/test_faults.py::test_a_sick_server_is_waited_for",
    "12 a notice that was lost": "remote/test_faults.py::test_lost_news_comes_after_the_stream_is_back",
    "12 a worker that was killed": "remote/test_losses.py::test_a_killed_workers_run_is_taken_over",
    "12 a process ends with runs pending": "process/test_mistakes.py::test_a_process_ends_although_runs_are_pending",
}


def test_no_thread_keeps_the_process() -> None:
    """All threads of a client are daemons, and all of them end with it."""
    before = set(threading.enumerate())
    client = Resonate(workers=3, log_level="CRITICAL")
    client.register(lambda ctx: (yield ctx.sleep(1000)), name="sleeps")
    client.begin_run("a", "sleeps")
    when(lambda: client.promises.get("a.1").pending)
    ours = set(threading.enumerate()) - before
    client.stop()
    when(lambda: not any(thread.is_alive() for thread in ours))
    assert len(ours) >= 3
    assert all(thread.daemon for thread in ours)


def test_what_is_asked_of_a_store_and_in_which_order() -> None:
    """A run creates and settles its promises, waits by callbacks, gives its task up while it waits, and claims the resumption: all that
    changes a store, and in which order, is as in 0.6.7."""
    store = Watched()
    with client_of(store) as client:
        client.register(value, name="leaf")

        @client.register
        def top(ctx):
            yield ctx.run(value, 1)
            yield ctx.rpc("leaf", 2).options(target="g")
            yield ctx.sleep(0.02)

        top.begin_run("top").result(SOON)
        when(lambda: store.of("complete")[-1].args[0] == "__resume:top:top.3")

    def told(each: Any) -> str:
        subject = each.args[0] if each.method != "subscribe" else each.args[1]
        return f"{each.method} {subject}"

    noted = [told(each) for each in store.asked if each.method not in ("heartbeat", "subscribe", "get")]
    of_leaf = {"claim __invoke:top.2", "resolve top.2", "complete __invoke:top.2"}  # the callee's, which come when they come
    assert [each for each in noted if each not in of_leaf] == [
        "create_with_task top", "create top.1", "resolve top.1", "create top.2", "callback top.2", "complete __invoke:top",
        "claim __resume:top:top.2", "create top.3", "callback top.3", "complete __resume:top:top.2",
        "claim __resume:top:top.3", "resolve top", "complete __resume:top:top.3",
    ]  # fmt: skip
    assert of_leaf <= set(noted)


def test_what_a_launch_and_a_wait_tell_the_store() -> None:
    """The lease is `ttl` in milliseconds for this process; callbacks name the group's address with this process, subscriptions its own."""
    store = Watched()
    with client_of(store, ttl=30) as client:

        @client.register
        def top(ctx):
            yield (yield ctx.promise(id="gate"))

        handle = client.options(timeout=500).begin_run("top", top)
        when(lambda: store.of("complete"))
        (launched,) = store.of("create_with_task")
        assert launched.args[2:] == ("w1", 30_000)
        (waiting,) = store.of("callback")
        assert waiting.args == ("gate", "top", "local://any@g/w1", launched.args[1])
        subscribed = store.of("subscribe")[0]
        assert subscribed.args == ("w1", "top", "local://uni@g/w1", 253402329599000)
        client.promises.resolve("gate")
        handle.result(SOON)


def test_leases_are_kept_by_heartbeats_while_there_is_work() -> None:
    """At half the lease the store is told that this process lives, again and again while a run is held, and not without one."""
    store, gate = Watched(), threading.Event()
    with client_of(store, ttl=1) as client:
        handle = client.begin_run("top", client.register(lambda ctx: gate.wait(SOON) and 1, name="slow"))
        when(lambda: len(store.of("heartbeat")) >= 2)
        assert {each.args for each in store.of("heartbeat")} == {("w1",)}
        gate.set()
        assert handle.result(SOON) == 1
        when(lambda: not client._shared.runtime()._beating)
    assert store.of("claim") == []  # the lease never lapsed


def test_an_invocation_is_claimed_and_begun(client: Resonate) -> None:
    """A message about a new promise makes a worker claim its task and call the function that the promise names."""
    store = Watched()
    with client_of(store) as worker:
        worker.register(value)
        worker.start()
        store.inner.promises.create("far", FAR, data='{"func": "value", "args": [5], "version": 1}', tags={"resonate:invoke": "poll://any@g"})
        assert worker.get("far").result(SOON) == 5
    (claimed,) = store.of("claim")
    assert claimed.args == ("__invoke:far", 1, "w1", 10_000)
    assert store.inner.promises.get("far").ikey_for_complete == "far"


def test_a_run_in_memory_goes_on_in_place() -> None:
    """A resumed run that is still in this process's memory continues where it stood: nothing before is called or created again."""
    store, entered = Watched(), []
    with client_of(store) as client:

        @client.register
        def top(ctx):
            entered.append(1)
            yield ctx.run(value, 1)
            return [(yield (yield ctx.promise(id="gate")))]

        handle = top.begin_run("top")
        when(lambda: store.of("complete"))
        client.promises.resolve("gate", data="3")
        assert handle.result(SOON) == [3]
    kept = len([each for each in store.of("create") if each.args[0] == "top.1"])
    assert (len(entered), kept) in {(1, 1), (2, 2)}


def test_a_run_that_is_taken_up_again_finds_its_steps(client: Resonate) -> None:
    """Replayed from the start, a run asks for each promise by its id and key, and calls only what has not settled."""
    store, ran = LocalStore(), []

    def step(ctx, x):
        ran.append(x)
        return x

    def top(ctx):
        first = yield ctx.run(step, 1)
        begun = yield ctx.begin_run(step, 2)
        second = yield begun
        gate = yield (yield ctx.promise(id="gate"))
        return [first, second, gate, (yield ctx.run(step, 3))]

    for name in ("w1", "w2"):
        worker = Resonate(store=store, pid=name, log_level="CRITICAL", workers=2)
        worker.register(top)
        if name == "w1":
            handle = worker.begin_run("top", "top")
            when(lambda: store.promises.get("gate").pending)
            worker.stop()
            with pytest.raises(ResonateShutdownError):
                handle.result(SOON)
        else:
            worker.start()
            store.promises.resolve("gate", data="9")
            assert worker.get("top").result(SOON) == [1, 2, 9, 3]
            worker.stop()
    assert ran == [1, 2, 3]


def test_a_step_that_was_pending_runs_again(client: Resonate) -> None:
    """A step whose promise is there and pending is called by whoever takes its run up."""
    client.promises.create("top.1", FAR, ikey="top.1")

    @client.register
    def top(ctx):
        return (yield ctx.run(value, 5))

    assert top.begin_run("top").result(SOON) == 5
    assert client.promises.get("top.1").value.data == "5"


def test_a_notice_settles_every_handle(client: Resonate) -> None:
    """A handle of a promise that no run of this process works on is settled by the store's notice."""
    client.promises.create("a", FAR)
    handles = [client.get("a") for _ in range(3)]
    assert not any(handle.done() for handle in handles)
    client.promises.resolve("a", data="1")
    assert [handle.result(SOON) for handle in handles] == [1, 1, 1]
