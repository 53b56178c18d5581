"""Ctrl-C at any point of a call at which Python sees to it.

A real signal is raised where Python looks for one, which is when a function begins and when one that is written in C has returned. The
calls are made once for each of some such points, chosen at random; `sys.setprofile` tells where they are.
"""

from __future__ import annotations

import contextlib
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple

import pytest

from resonate import Resonate
from resonate.errors import ResonateCanceledError, ResonateError
from tests.process.waiting import when

WITHIN_S = 5.0
MOMENT_S = 0.02
"""How long a request may take that was on its way when Ctrl-C came."""


class Interrupt:
    """Raises a signal at one point of what this thread does."""

    def __init__(self, at: int) -> None:
        self.points = 0
        self.place = ""
        self._at = at

    def _look(self, frame: FrameType, event: str, _: Any) -> None:
        if event not in {"call", "c_return"} or self.place:
            return
        self.points += 1
        if self.points == self._at:
            self.place = f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname} ({event})"
            signal.raise_signal(signal.SIGINT)

    def during(self, act: Callable[[], object]) -> None:
        """Do something, interrupted."""
        try:
            sys.setprofile(self._look)
            act()
        except KeyboardInterrupt:
            pass
        finally:
            sys.setprofile(None)


class Case(NamedTuple):
    """Something that a program does with a client: what comes before, the interrupted call, and what has to be so after it."""

    before: Callable[[Resonate, str], object]
    act: Callable[[Resonate, str], object]
    after: Callable[[Resonate, str], object]


def one(ctx, number):
    return (yield ctx.run(lambda ctx: number))


def asking(ctx):
    return (yield (yield ctx.promise(id=f"{ctx.id}.ask")))


def failing(ctx):
    yield ctx.run(lambda ctx: 7)
    raise ValueError("once more")


def state_of(client: Resonate, id: str) -> str:
    """The state of a promise; "" where there is none."""
    try:
        return str(client.promises.get(id).state)
    except ResonateError as error:
        if not str(error.code).startswith("100.404"):
            raise
        return ""


def ends(client: Resonate, id: str, state: str = "RESOLVED", *, if_launched: bool = False) -> None:
    """It is over, without being launched once more. `if_launched`: it may not be there, where no request for it is on its way any more."""
    began = time.monotonic()
    limit_s = {"": MOMENT_S} if if_launched else {}
    while (found := state_of(client, id)) != state and time.monotonic() - began < limit_s.get(found, WITHIN_S):
        time.sleep(0.002)
    assert found == state or (if_launched and not found), f"{id} is {found or 'not there'}"


def nothing(client: Resonate, id: str) -> None:
    pass


def launched(client: Resonate, id: str) -> None:
    ends(client, id, if_launched=True)
    assert client.run(id, one, 5) == 5


def begun(client: Resonate, id: str) -> None:
    client.begin_run(id, asking)
    when(lambda: state_of(client, f"{id}.ask"))


def answered(client: Resonate, id: str) -> None:
    with contextlib.suppress(ResonateError):  # it is answered already, perhaps just now
        client.promises.resolve(f"{id}.ask")
    ends(client, id)


def cancelled(client: Resonate, id: str) -> None:
    if state_of(client, id) == "PENDING":
        with contextlib.suppress(ResonateError):  # the cancellation was on its way
            client.promises.resolve(f"{id}.ask")
    handle = client.begin_run(id, asking)
    with contextlib.suppress(ResonateCanceledError):
        handle.result(WITHIN_S)
    assert state_of(client, id) in {"RESOLVED", "REJECTED_CANCELED"}


def failed(client: Resonate, id: str) -> None:
    with pytest.raises(ValueError, match="once more"):
        client.run(id, failing)


def retried(client: Resonate, id: str) -> None:
    ends(client, f"{id}-again", "REJECTED", if_launched=True)


def looked_at(client: Resonate, id: str) -> None:
    subscription = client.subscribe()
    client.snapshot(id)
    subscription.read()
    subscription.close()


CASES = {
    "launch": Case(nothing, lambda client, run: client.begin_run(run, one, 5), launched),
    "launch and wait": Case(nothing, lambda client, run: client.run(run, one, 5), launched),
    "answer": Case(begun, lambda client, run: client.promises.resolve(f"{run}.ask"), answered),
    "cancel": Case(begun, lambda client, run: client.cancel(run), cancelled),
    "retry": Case(failed, lambda client, run: client.retry(run, f"{run}-again"), retried),
    "attach": Case(begun, lambda client, run: client.get(run), answered),
    "look": Case(begun, looked_at, answered),
}


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """As in a program that is started from a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted_anywhere(make: Callable[[], Resonate], case: Case, times: int, name: str = "a") -> None:
    """The case at so many points of its call, random ones, each with a client and a run of its own."""
    points = _interrupted(make(), case, f"{name}-0", 0)
    assert points
    for at in random.sample(range(1, points + 1), min(times, points)):
        _interrupted(make(), case, f"{name}-{at}", at)


def _interrupted(client: Resonate, case: Case, id: str, at: int) -> int:
    """How many points the call has that was interrupted at one of them, or at none."""
    try:
        for function in (one, asking, failing):
            client.register(function)
        case.before(client, id)
        interrupt = Interrupt(at)
        interrupt.during(lambda: case.act(client, id))
        trouble: list[BaseException] = []

        def check() -> None:
            try:
                case.after(client, id)
                assert client.run(f"{id}-other", one, 1) == 1
            except BaseException as error:
                trouble.append(error)

        checking = threading.Thread(target=check, daemon=True)
        checking.start()
        checking.join(2 * WITHIN_S)
        assert not checking.is_alive(), f"after an interrupt at point {at}, {interrupt.place}, the client hangs"
        assert not trouble, f"after an interrupt at point {at}, {interrupt.place}: {trouble[0]!r}"
        return interrupt.points
    finally:
        client.stop()
