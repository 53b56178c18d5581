"""What runs cost: the requests that their workers send, as the table in docs/servers.md has them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from resonate import Resonate
from resonate.limits import NEW_STREAM_S
from tests.process.waiting import when
from tests.remote.conftest import Made
from tests.remote.crossing import LATE, Asked, Crossing
from tests.remote.programs import register, start

SOON_S = 20
RUN, STEP, WAIT = 2, 2, 4
COSTS: dict[str, tuple[tuple[Any, ...], int]] = {
    "sequence": ((4,), RUN + 4 * STEP), "fan_out": ((4,), RUN + 4 * STEP), "nested": ((2,), RUN + 3 * STEP),
    "sleeps": ((0.1,), RUN + WAIT + STEP), "person": ((), RUN + WAIT + STEP), "calls": (("sequence", "there", 0), RUN + WAIT + RUN),
}  # fmt: skip
"""Programs with their arguments, and what they cost: a wait is a sleep, a person or another run, which costs its own worker two."""


def is_extra(asked: Asked) -> bool:
    """Whether it is what the table tells apart: what wakes a legacy server up, and asking for news of a run that takes its time."""
    return asked.kind == "GET /promises/x" or "/subscribe/" in asked.kind or asked.kind == "promise.register_listener"


def settled_in(client: Resonate) -> None:
    """Wait until a client knows its server, and has got over its stream's being new."""
    register(client)
    start(client)
    client.begin_run(f"{client._shared.group}-first", "sequence", 1).result(SOON_S)
    store: Any = client._shared.store
    when(lambda: time.monotonic() - store._connected_at > NEW_STREAM_S)


@pytest.mark.parametrize("program", COSTS)
def test_a_run_costs_what_is_said(client: Made, url: str, fresh: str, program: str) -> None:
    """So many requests go to the server for each run, step and wait, and no others."""
    arguments, cost = COSTS[program]
    with Crossing(url) as crossing:
        ours, theirs, person = client(host=crossing.url), client("there", host=crossing.url), client("person")
        settled_in(ours)
        settled_in(theirs)
        crossing.asked.clear()
        handle = ours.begin_run(fresh, program, *(f"{fresh}there" if each == "there" else each for each in arguments))
        if program == "person":
            when(lambda: ours._shared.store._parked)  # type: ignore[attr-defined] # a store of a server
            person.promises.resolve(f"{fresh}-ask", data='"yes"')
        handle.result(SOON_S)
        assert len([each for each in crossing.asked if not is_extra(each)]) == cost, crossing.asked


def test_a_slow_server_is_not_woken_between_steps(client: Made, url: str, fresh: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes longer for a step than until a legacy one is woken up is asked for nothing but the steps."""
    nudge_s = 0.05  # longer than a busy machine keeps a worker from its next request
    monkeypatch.setattr("resonate.stores.remote.NUDGE_S", nudge_s)
    with Crossing(url, lambda asked: LATE) as crossing:
        ours = client(host=crossing.url)
        settled_in(ours)
        crossing.asked.clear()
        crossing.late_s = 2 * nudge_s
        assert len(ours.begin_run(fresh, "sequence", 2).result(SOON_S)) == 2  # within a second, after which a run is asked for
        assert len(crossing.asked) == RUN + 2 * STEP, crossing.asked
