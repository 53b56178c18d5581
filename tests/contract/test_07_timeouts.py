"""Contract 7: deadlines."""

from __future__ import annotations

import threading
import time

import pytest
from toys import value
from waiting import SOON, when

from resonate import Resonate
from resonate.errors import ResonateTimedoutError

HELD_BY = {
    "7 a deadline falls due at its millisecond, and `resonate:timeout` resolves":
        "laws/test_promises.py::test_a_deadline_falls_due_at_its_millisecond",
    "7 timeouts that are no number of seconds": "pure/test_options_and_registry.py::test_wrong_options_are_named",
    "7 an infinite timeout": "contract/test_04_options.py::test_infinite_and_boolean_timeouts",
    "7 deadlines of what a client launches": "contract/test_02_client.py::test_a_deadline_is_the_timeout_from_now",
}


def test_a_childs_deadline_is_cut_at_its_parents(client: Resonate) -> None:
    """Deadlines are absolute milliseconds: now plus the timeout, at most the parent's; a detached call keeps its own."""

    @client.register
    def top(ctx):
        yield ctx.run(value)
        yield ctx.run(value).options(timeout=2)
        yield ctx.sleep(0)
        yield ctx.promise(timeout=3)
        yield ctx.detached("value").options(timeout=500)
        client.promises.resolve("top.4")
        return ctx.info.timeout

    client.register(value)
    before = time.time()
    deadline = client.options(timeout=60).run("top", top)
    assert before + 60 <= deadline + 0.001
    assert deadline <= time.time() + 60
    left = {name: client.promises.get(name).timeout / 1000 - deadline for name in ("top", "top.1", "top.2", "top.4", "top.5")}
    assert left["top"] == left["top.1"] == pytest.approx(0, abs=1e-6)
    assert left["top.2"] == pytest.approx(-58, abs=2)
    assert left["top.4"] == pytest.approx(-57, abs=2)
    assert left["top.5"] == pytest.approx(440, abs=2)


@pytest.mark.parametrize("call", ["run", "begin_run", "rpc", "begin_rpc", "promise", "sleep", "detached"])
def test_which_calls_their_parents_bound(client: Resonate, call: str) -> None:
    """Every call that outlasts its parent is cut at the parent's deadline, and a detached one is not."""
    client.register(value)

    @client.register
    def top(ctx):
        named = {"promise": lambda: ctx.promise(timeout=1000), "sleep": lambda: ctx.sleep(1000)}
        func = value if call in ("run", "begin_run") else "value"
        yield named[call]() if call in named else getattr(ctx, call)(func).options(timeout=1000)

    handle = client.options(timeout=60).begin_run("top", top)
    child = when(lambda: client.promises.get("top.1"))
    deadline = client.promises.get("top").timeout
    assert child.timeout == deadline if call != "detached" else child.timeout > deadline + 900_000
    if call in ("promise", "sleep"):
        client.cancel("top")
    handle.future.exception(SOON)


def test_a_sleep_ends_with_its_run(client: Resonate) -> None:
    """A sleep beyond the run's deadline ends there, with the run, which times out."""

    @client.register
    def top(ctx):
        yield ctx.sleep(1000)

    with pytest.raises(ResonateTimedoutError):
        client.options(timeout=0.05).begin_run("top", top).result(SOON)
    promise = client.promises.get("top.1")
    assert (promise.resolved, promise.timeout) == (True, client.promises.get("top").timeout)


def test_a_sleep_takes_its_time_and_gives_nothing(client: Resonate) -> None:
    """A sleep resolves, without a value, not before its time; zero and less are over at once."""

    @client.register
    def top(ctx):
        began = time.time()
        assert (yield ctx.sleep(0.03)) is None
        assert time.time() - began >= 0.029
        return [(yield ctx.sleep(0)), (yield ctx.sleep(-5))]

    assert top.begin_run("top").result(SOON) == [None, None]
    assert client.promises.get("top.1").value.to_tuple() == (None, None)


def test_the_stored_deadline_is_the_one_that_counts(client: Resonate) -> None:
    """Where a promise exists already, its deadline is the execution's, not the one that the call would have had."""
    far = int((time.time() + 500) * 1000)
    client.promises.create("top.1", far, ikey="top.1")

    @client.register
    def top(ctx):
        return (yield ctx.run(lambda ctx: ctx.info.timeout).options(timeout=900))

    assert top.begin_run("top").result(SOON) == far / 1000


def test_deadlines_are_whole_milliseconds(client: Resonate) -> None:
    """A deadline is `int((now + timeout) * 1000)`, for children too."""

    @client.register
    def top(ctx):
        before = time.time()
        yield ctx.run(value).options(timeout=1.5)
        return [before, time.time()]

    before, after = top.begin_run("top").result(SOON)
    assert int((before + 1.5) * 1000) <= client.promises.get("top.1").timeout <= int((after + 1.5) * 1000)


def test_a_timeout_of_zero_is_honoured(client: Resonate) -> None:
    """A child with timeout=0 times out at once, without being called."""
    ran = []

    @client.register
    def top(ctx):
        try:
            yield ctx.run(lambda ctx: ran.append(1)).options(timeout=0)
        except ResonateTimedoutError as error:
            return error.promise_id, error.timeout

    name, at = top.run("top")
    assert (name, at, ran) == ("top.1", client.promises.get("top.1").timeout / 1000, [])
    assert client.promises.get("top.1").timedout


def test_a_run_past_its_deadline_is_timed_out(client: Resonate) -> None:
    """A run that is still waiting at its deadline raises ResonateTimedoutError to whoever waits."""

    @client.register
    def top(ctx):
        yield (yield ctx.promise())

    with pytest.raises(ResonateTimedoutError, match="Promise top timedout at"):
        client.options(timeout=0.05).run("top", top)
    assert client.promises.get("top.1").timedout


def test_a_timeout_says_which_promise_and_when(client: Resonate) -> None:
    """The error of a promise past its deadline names it and its absolute deadline in seconds; it has no value and no completion key."""
    client.start()
    client.promises.create("p", int(time.time() * 1000) + 20, ikey="p")
    with pytest.raises(ResonateTimedoutError) as caught:
        client.get("p").result(SOON)
    promise = client.promises.get("p")
    assert (caught.value.promise_id, caught.value.timeout) == ("p", promise.timeout / 1000)
    assert (promise.timedout, promise.value.to_tuple(), promise.ikey_for_complete) == (True, (None, None), None)


def test_a_function_is_never_interrupted(client: Resonate) -> None:
    """A plain function that overruns its deadline ends on its own; its value is dropped."""
    ended = threading.Event()

    def slow(ctx):
        time.sleep(0.08)
        ended.set()
        return "late"

    @client.register
    def top(ctx):
        try:
            return (yield ctx.run(slow).options(timeout=0.02))
        except ResonateTimedoutError:
            return "timed out"

    assert top.run("top") == "timed out"
    assert ended.is_set()
    assert client.promises.get("top.1").timedout


def test_a_late_run_is_timed_out_although_it_ended(client: Resonate) -> None:
    """A root function that ends after its deadline has timed out, whatever it returns."""
    over = threading.Event()

    def slow(ctx):
        over.wait(0.06)
        return "late"

    with pytest.raises(ResonateTimedoutError):
        client.options(timeout=0.02).begin_run("top", client.register(slow)).result(SOON)
    assert client.promises.get("top").timedout


def test_the_end_of_time_is_no_error(client: Resonate) -> None:
    """A timeout of ten thousand years is cut at the latest deadline there is."""

    @client.register
    def top(ctx):
        return (yield ctx.run(value, 1).options(timeout=1e300))

    assert client.options(timeout=1e300).run("top", top) == 1
    assert client.promises.get("top").timeout == 253402329599000
