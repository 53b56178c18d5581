"""Programs come to their end on a server of either generation, with one worker or several."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from resonate.errors import CodeChanged, ResonateCanceledError
from tests.process.waiting import when
from tests.remote.conftest import Made
from tests.remote.programs import ENDS, register, start

SOON_S = 20


@pytest.mark.parametrize("program", ENDS)
def test_a_program_comes_to_its_end(client: Made, fresh: str, program: str) -> None:
    """Each program gives its value, and runs each of its steps once."""
    ran: list[str] = []
    ours = client()
    register(ours, ran.append)
    args, value = ENDS[program]
    assert ours.begin_run(fresh, program, *args).result(SOON_S) == value
    assert len(ran) == len(set(ran))
    assert ours.begin_run(fresh, program, *args).result(SOON_S) == value
    assert len(ran) == len(set(ran)), "a run that is over is not begun again"


def test_a_sleep_of_a_second_takes_a_second(client: Made, fresh: str) -> None:
    """A run that sleeps for 1 s goes on within 1.2 s."""
    ours = client()
    register(ours)
    ours.begin_run(f"{fresh}-warm", "sequence", 1).result(SOON_S)
    began = time.monotonic()
    assert ours.begin_run(fresh, "sleeps", 1).result(SOON_S) == "awake"
    assert 1.0 <= time.monotonic() - began < 1.2


def test_two_clients_call_each_other(client: Made, fresh: str) -> None:
    """A call to another group is done there; its value comes back, and so does its error, as what it was."""
    first, second = client("a"), client("b")
    for each in (first, second):
        register(each)
        start(each)
    began = time.monotonic()
    assert first.begin_run(fresh, "calls", "sequence", f"{fresh}b", 2).result(SOON_S) == ["s0", "s1"]
    assert second.begin_run(f"{fresh}-2", "catches", "fails", f"{fresh}a").result(SOON_S) == "caught 'no such thing'"
    assert second.options(target=f"{fresh}a").begin_rpc(f"{fresh}-3", "nested", 1).result(SOON_S) == [1, "bottom"]
    with pytest.raises(KeyError, match="no such thing"):
        second.options(target=f"{fresh}a").begin_rpc(f"{fresh}-4", "fails").result(SOON_S)
    assert time.monotonic() - began < 5
    assert second.get(fresh).result(SOON_S) == ["s0", "s1"]


def test_a_person_answers(client: Made, fresh: str) -> None:
    """A run that waits for a promise goes on soon after somebody, anywhere, has settled it."""
    ours, theirs = client(), client("x")
    register(ours)
    handle = ours.begin_run(fresh, "person")
    when(lambda: theirs.promises.get(f"{fresh}-ask").pending)
    theirs.promises.resolve(f"{fresh}-ask", data='"yes"')
    began = time.monotonic()
    assert handle.result(SOON_S) == ["yes", "after"]
    assert time.monotonic() - began < 1


def test_a_run_is_canceled_from_outside(client: Made, fresh: str) -> None:
    """Whoever holds a handle of a canceled run is told soon, wherever it was canceled."""
    ours, theirs = client(), client("x")
    register(ours)
    handle = ours.begin_run(fresh, "person")
    when(lambda: theirs.promises.get(f"{fresh}-ask").pending)
    assert set(theirs.cancel(fresh)) == {fresh, f"{fresh}-ask"}
    with pytest.raises(ResonateCanceledError):
        handle.result(5)


def test_what_is_detached_goes_on_alone(client: Made, fresh: str) -> None:
    """A detached call has an end of its own, whatever becomes of the run that began it."""
    ours = client()
    register(ours)
    assert ours.begin_run(fresh, "detaches", fresh).result(SOON_S) == "left"
    assert ours.get(f"{fresh}-detached").result(SOON_S) == ["s0"]


def test_a_retry_takes_over_what_was_achieved(client: Made, fresh: str) -> None:
    """A failed run that is begun anew runs no step again that had a value."""
    ours, ran, is_mended = client(), list[int](), threading.Event()

    def load(ctx: Any, day: int) -> int:
        ran.append(day)
        return day

    @ours.register
    def total(ctx: Any) -> Any:
        first = yield ctx.run(load, 1)
        second = yield ctx.run(load, 2)
        if not is_mended.is_set():
            raise ValueError("not yet")
        return first + second

    with pytest.raises(ValueError, match="not yet"):
        ours.begin_run(fresh, total).result(SOON_S)
    is_mended.set()
    assert ours.retry(fresh).result(SOON_S) == 3
    assert ran == [1, 2]


def test_work_waits_for_its_function(client: Made, fresh: str) -> None:
    """A run whose function nobody knows yet waits, and begins when a worker registers it."""
    ours = client(ttl=2)
    ours.start()
    handle = ours.begin_rpc(fresh, "later", 7)
    when(ours.waiting)
    assert ours.waiting() == {"later": [fresh]}

    @ours.register
    def later(ctx: Any, number: int) -> int:
        return number + 1

    assert handle.result(SOON_S) == 8


def test_changed_code_halts_a_run(client: Made, fresh: str) -> None:
    """A run that is taken up by other code stops before its first other call, says so, and goes on with the former code."""
    first = client(ttl=1)

    @first.register(name="edited")
    def before(ctx: Any) -> Any:
        return (yield (yield ctx.promise()))

    first.begin_run(fresh, "edited")
    child = f"{fresh}{first._shared.store.child_separator}1"
    when(lambda: first.promises.get(child).pending)
    first.stop()
    second = client(ttl=1)

    @second.register(name="edited")
    def after(ctx: Any) -> Any:
        return (yield ctx.run(lambda ctx: 1))

    second.start()
    handle = second.get(fresh)
    second.promises.resolve(child, data="5")
    with pytest.raises(CodeChanged):
        handle.result(SOON_S)
    assert second.promises.get(fresh).pending


def test_children_are_many(client: Made, fresh: str) -> None:
    """A run that waits for more calls than there are threads, each done by another client, comes to its end."""
    first, second = client("a"), client("b")
    register(second)
    start(second)

    @first.register
    def many(ctx: Any) -> Any:
        begun: list[Any] = []
        while len(begun) < 40:
            begun.append((yield ctx.begin_rpc("sequence", 1).options(target=f"{fresh}b")))
        done = []
        for each in begun:
            done += yield each
        return done

    assert first.begin_run(fresh, many).result(40) == ["s0"] * 40
