"""Contract 15: the defects of 0.6.7, where no other module has a test of what is done instead.

The table of all of them, with the tests that hold each, is docs/from-0.6.7.md; `test_tables.py` looks whether those tests exist.
"""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from toys import FAR, Watched, client_of, code_of, loose_context, value
from waiting import SOON, when

from resonate import Resonate, timers
from resonate.errors import ResonateStoreError, StoreUnavailable
from resonate.limits import FOREGROUND_LIMIT_S
from resonate.server import DevelopmentServer
from resonate.stores import LocalStore


def test_low_level_calls_without_a_key_are_refused_when_repeated() -> None:
    """Without `ikey` a second `create` or `resolve` is refused, with the same key it is answered with what is there (D-26)."""
    promises = LocalStore().promises
    promises.create("a", FAR)
    promises.create("b", FAR, ikey="k")
    assert (code_of(lambda: promises.create("a", FAR)), code_of(lambda: promises.create("b", FAR, ikey="k"))) == (40900, None)
    promises.resolve("a")
    promises.resolve("b", ikey="k", data="1")
    assert code_of(lambda: promises.resolve("a")) == 40301
    assert promises.resolve("b", ikey="k", data="2").value.data == "1"
    assert "ikey" in (type(promises).__doc__ or "")


def test_an_error_of_the_store_in_the_middle_of_a_run_is_that_runs_alone() -> None:
    """A store that refuses a child's promise fails that run with the store's error; other runs and the client go on (D-3)."""
    store = Watched()
    with client_of(store) as client:
        client.register(value)

        @client.register
        def top(ctx):
            return (yield ctx.run(value, 1).options(id="taken"))

        store.inner.promises.create("taken", FAR, ikey="somebody's")
        other = client.register(lambda ctx: (yield (yield ctx.promise(id="gate"))), name="other").begin_run("other")
        assert isinstance(top.begin_run("top").future.exception(SOON), ResonateStoreError)
        when(lambda: store.inner.promises.get("gate").pending)
        client.promises.resolve("gate", data="5")
        assert other.result(SOON) == 5


def test_a_task_that_is_given_back_is_taken_at_once() -> None:
    """A client that stops gives its tasks back: another on the same store goes on with its run without waiting for a lease (D-30)."""
    store, over, lives = LocalStore(), threading.Event(), []

    def top(ctx):
        lives.append(1)
        if len(lives) == 1:
            over.wait(SOON)  # the first client is stopped in the middle of it
        return (yield ctx.run(value, 1))

    first, second = (Resonate(store=store, pid=name, ttl=600, workers=1, log_level="CRITICAL") for name in ("w1", "w2"))
    for each in (first, second):
        each.register(top)
    first.begin_run("top", "top")
    when(lambda: lives)
    second.start()
    first.stop(timeout=0.05)
    try:
        assert second.get("top").result(SOON) == 1
    finally:
        over.set()
        second.stop()
    assert len(lives) == 2


def test_a_schedule_shows_its_description_and_its_param() -> None:
    """Description and param of a schedule come back as they were given (D-25)."""
    schedules = LocalStore().schedules
    schedules.create("s", "0 3 * * *", "p", 1000, description="nightly", promise_data="d", promise_headers={"h": "1"})
    found = schedules.get("s")
    assert (found.description, found.promise_param.to_tuple()) == ("nightly", ({"h": "1"}, "d"))


@pytest.mark.parametrize("kind", ["method", "argument"])
def test_errors_about_arguments_name_the_argument(kind: str) -> None:
    """What was of the wrong kind is named, with what it must be and what it was, in the constructor and in `ctx.promise` (D-2)."""
    call: Any = (lambda: Resonate(store=1)) if kind == "argument" else (lambda: loose_context().promise(tags="x"))  # type: ignore[arg-type]
    with pytest.raises(TypeError) as caught:
        call()
    assert str(caught.value) == ("store must be `Store | None`, got int" if kind == "argument" else "tags must be `dict`, got str")


def test_what_is_due_at_the_same_moment_is_called_in_the_order_of_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two retries at exactly one moment are no error: the first that was asked for is the first (D-23)."""
    monkeypatch.setattr(timers, "time", SimpleNamespace(monotonic=lambda: 5.0))  # all is due at once, to the last digit
    alarm, called = timers.Timers("still"), []
    for number in range(100):
        alarm.after(0.0, lambda number=number: called.append(number))  # type: ignore[misc]
    when(lambda: len(called) == 100)
    assert called == list(range(100))
    alarm.stop(SOON)


def test_nobody_waits_for_ever_for_a_server() -> None:
    """Whoever calls is told after ten seconds that nobody answers, where that is, and what would help, however many there are (D-10)."""
    client = Resonate.remote(store_port=1, log_level="CRITICAL")
    client.register(value)
    calls = [
        lambda: client.promises.get("a"), lambda: client.promises.create("a", FAR), lambda: client.schedules.get("a"),
        lambda: client.run("a", value), lambda: client.begin_rpc("a", "value"), lambda: client.get("a"),
    ]  # fmt: skip
    told: list[str] = []

    def ask(call: Any) -> None:
        with pytest.raises(StoreUnavailable) as error:
            call()
        told.append(str(error.value))

    threads = [threading.Thread(target=ask, args=(call,)) for call in calls]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * FOREGROUND_LIMIT_S)
    assert FOREGROUND_LIMIT_S - 0.5 < time.monotonic() - began < FOREGROUND_LIMIT_S + 2
    assert len(told) == len(calls)
    assert all("http://localhost:1 cannot be asked" in text and "resonate dev" in text for text in told)
    client.stop()


def test_messages_may_come_at_the_stores_port() -> None:
    """A client that is told one port for both, as the guide has it, finds the messages there, and so does one that is told none (D-20)."""
    with DevelopmentServer(port=0) as server:
        port = server.url.rpartition(":")[2]
        for number, given in enumerate(({"message_source_port": port}, {})):
            with Resonate.remote(host="http://127.0.0.1", store_port=port, log_level="CRITICAL", **given) as client:
                client.register(value)
                assert client.begin_rpc(f"a{number}", "value", 5).result(SOON) == 5
