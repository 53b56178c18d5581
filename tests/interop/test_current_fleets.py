"""SDK 0.8.1 and the TypeScript SDK, from their registries and unchanged, on the current protocol: at the development server among
themselves, and with workers of this package.

`caller` asks and `other` is asked; each is in a group of its own. Errors lose their class on the way between SDKs: their text arrives, and
where the reader has a place for it the name.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fleet import Failed, Peer, notes_from_now

from resonate.server import DevelopmentServer

PROGRAMS = {"ours": "peer_current.py", "0.8.1": "peer_081.py", "typescript": "peer.mjs"}
PAIRS = [
    ("0.8.1", "0.8.1"), ("typescript", "typescript"), ("ours", "0.8.1"), ("0.8.1", "ours"), ("ours", "typescript"), ("typescript", "ours"),
]  # fmt: skip
LEASE_S = 1

_numbers = itertools.count()


class Fleet:
    """A server and two workers of each SDK at it, each in a group of its own; they are started when they are first asked for."""

    def __init__(self, server: DevelopmentServer, ledger: Path) -> None:
        self.server = server
        self.ledger = ledger
        self.started: list[Peer] = []
        self._peers: dict[str, Peer] = {}

    def peer(self, sdk: str, number: int) -> tuple[Peer, str]:
        """A worker that listens, and its group."""
        group = f"g{number}-{sdk}"
        if group not in self._peers:
            self._peers[group] = self.start(sdk, group, f"{sdk}-{number}")
        return self._peers[group], group

    def start(self, sdk: str, group: str, pid: str, **further: Any) -> Peer:
        """A new worker, which listens."""
        command = [PROGRAMS[sdk], group, pid, str(self.ledger), json.dumps(further)]
        peer = Peer(sdk, command, self.server.url, self.server.message_url)
        self.started.append(peer)
        peer.wait_until_ready()
        # It is ready before its stream is open, but what is sent to nobody is sent again.
        peer.until(lambda: peer("rpc", new_id("heard"), "who", 0, target=group) == pid)
        return peer

    def close(self) -> None:
        for peer in self.started:
            peer.close()


@dataclass
class Pair:
    """Who asks and who is asked."""

    fleet: Fleet
    caller: Peer
    here: str
    other: Peer
    there: str

    def told(self, what: str, name: str, *args: Any, far: bool = False) -> Any:
        """What comes of a function that the caller runs, or with `far` asks the other for."""
        return self.caller(what, new_id(name), name, *args, target=self.there if far else None)


def new_id(name: str) -> str:
    return f"{name}-{next(_numbers)}"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    ledger = tmp_path_factory.mktemp("fleet") / "ledger"
    ledger.touch()
    with DevelopmentServer(port=0) as server:
        made = Fleet(server, ledger)
        try:
            yield made
        finally:
            made.close()


@pytest.fixture(params=PAIRS, ids="-asks-".join)
def pair(fleet: Fleet, request: pytest.FixtureRequest) -> Pair:
    caller, other = request.param
    return Pair(fleet, *fleet.peer(caller, 1), *fleet.peer(other, 2))


def test_a_function_runs_once(pair: Pair) -> None:
    """A function's value comes back, and a second launch of its id gives the first value."""
    run = new_id("once")
    assert pair.caller("run", run, "echo", {"a": [1, None]}) == {"a": [1, None]}
    assert pair.caller("run", run, "echo", {"a": [1, None]}) == {"a": [1, None]}


def test_steps_follow_each_other(pair: Pair) -> None:
    """Steps hand on their results; so does a run of the other."""
    assert pair.told("run", "steps", 5) == 5
    assert pair.told("rpc", "steps", 3, far=True) == 3


@pytest.mark.parametrize("value", [None, 7, -2.5, True, "naïve 日本 🙂 \x00", [], [1, [2, [None]]], {"": {"ü": [{}]}}, 2**53 - 1], ids=repr)
def test_a_value_goes_there_and_back(pair: Pair, value: Any) -> None:
    """What JSON has arrives as it was sent, as an argument and as a result."""
    assert pair.told("run", "send", "echo", pair.there, [value]) == value
    assert pair.told("rpc", "echo", value, far=True) == value


def test_nothing_is_none(pair: Pair) -> None:
    """A function that returns nothing gives None, null or undefined, as its reader calls it."""
    assert pair.told("run", "send", "nothing", pair.there, []) is None
    assert pair.told("rpc", "nothing", far=True) is None


@pytest.mark.parametrize("kind", ["ValueError", "Exception", "OutOfStock"])
def test_an_error_arrives_with_its_text(pair: Pair, kind: str) -> None:
    """The run that waits can catch it, and a client that waits for the run is told it."""
    _, text = pair.told("run", "defuse", pair.there, kind, "no bolts: ü")
    assert text == "no bolts: ü"
    with pytest.raises(Failed) as failed:
        pair.told("rpc", "explode", kind, "no bolts: ü", far=True)
    assert json.loads(str(failed.value))[1] == "no bolts: ü"


@pytest.mark.parametrize(("caller", "other"), [("ours", "typescript"), ("typescript", "ours")])
def test_an_error_keeps_its_name_where_there_is_a_place_for_it(fleet: Fleet, caller: str, other: str) -> None:
    """Between us and TypeScript the name of an error's class arrives too. (SDK 0.8.1 sends none, and reads none.)"""
    group = fleet.peer(other, 2)[1]
    assert fleet.peer(caller, 1)[0]("run", new_id("defuse"), "defuse", group, "OutOfStock", "no bolts") == ["OutOfStock", "no bolts"]


def test_runs_wait_for_each_other_in_turns(pair: Pair) -> None:
    """A call of the other that calls back, and so on, each suspended meanwhile."""
    caller, other = f"{pair.caller.sdk}-1", f"{pair.other.sdk}-2"
    assert pair.told("run", "ping", 4, pair.here, pair.there) == [[caller, 4], [other, 3], [caller, 2], [other, 1]]


def test_many_calls_at_once_are_all_answered(pair: Pair) -> None:
    """A run that makes twenty calls of the other gets twenty results."""
    assert pair.told("run", "scatter", 20, pair.there) == [f"{pair.other.sdk}-2"] * 20


def test_a_sleep_ends_in_time(pair: Pair) -> None:
    """A durable sleep of a second ends after a second or a little more, here and in a run of the other."""
    for far in (False, True):
        began = time.monotonic()
        assert pair.told("rpc" if far else "run", "nap", 1, far=far) == "rested"
        assert 1.0 <= time.monotonic() - began < 2.5


def test_a_person_decides(pair: Pair) -> None:
    """A run waits for a promise; it is resolved through a client of the other SDK."""
    notes = notes_from_now(pair.fleet.ledger)
    waiting = pair.caller.begin("run", new_id("review"), "review")
    asks = pair.caller.until(notes)[0]
    pair.other("resolve", asks.split()[1], "", {"by": "Ada"})
    assert pair.caller.end(waiting) == {"approved": [{"by": "Ada"}]}


def test_failures_are_tried_again(pair: Pair) -> None:
    """A step of the other is tried again until it succeeds; one that never does fails its run with its last error."""
    assert pair.told("rpc", "persist", new_id("key"), 2, 5, far=True) == 3
    with pytest.raises(Failed, match="attempt 2"):
        pair.told("rpc", "persist", new_id("key"), 9, 1, far=True)


def test_a_run_of_the_other_can_be_waited_for(pair: Pair) -> None:
    """`get` of a run that the other began gives its result."""
    run = new_id("awaited")
    pair.other("begin", run, "nap", 0.2)
    assert pair.caller("get", run) == "rested"


@pytest.mark.parametrize(("caller", "other"), [("ours", "0.8.1"), ("0.8.1", "ours")])
def test_arguments_by_name_arrive(fleet: Fleet, caller: str, other: str) -> None:
    """A call between the Python SDKs may name its arguments."""
    assert fleet.peer(caller, 1)[0]("run", new_id("named"), "send_named", fleet.peer(other, 2)[1]) == [1, 2]


def test_a_value_beyond_json_arrives_in_its_plain_form(fleet: Fleet) -> None:
    """What we return that JSON has not is read by others in its plain form, and by us exactly."""
    for sdk in ("0.8.1", "typescript", "ours"):
        reader, _ = fleet.peer(sdk, 1)
        _, group = fleet.peer("ours", 2)
        seen = reader("rpc", new_id("keep"), "keep", target=group)
        assert seen == {"shape": [2, 5], "day": "2026-02-28", "raw": "AP8="} if sdk != "ours" else seen == "exact"


@pytest.mark.parametrize(("caller", "other"), [("0.8.1", "ours"), ("ours", "0.8.1")])
def test_a_run_is_taken_over(fleet: Fleet, caller: str, other: str) -> None:
    """A worker is killed in the second step of a run; one of the other SDK in its group goes on, and does not do the first step again."""
    group, run = new_id("group"), new_id("journey")
    notes = notes_from_now(fleet.ledger)
    victim = fleet.start(caller, group, f"victim-{group}", ttl=LEASE_S)
    victim("begin", run, "journey", f"victim-{group}")
    victim.until(lambda: f"second victim-{group}" in notes())
    heir = fleet.start(other, group, f"heir-{group}", ttl=LEASE_S)
    victim.kill()
    assert heir("get", run) == [["first", f"victim-{group}"], ["second", f"heir-{group}"]]
    assert notes() == [f"first victim-{group}", f"second victim-{group}", f"second heir-{group}"]
    heir.close()
