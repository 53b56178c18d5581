"""Workers of SDK 0.6.7, from its registry and unchanged, and workers of this package share runs on the legacy protocol.

Each law holds in both directions: `caller` asks, `other` is asked. `ours` is in group `g-ours` and SDK 0.6.7 in `g-0.6.7`; two more of each
are in one group.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from fleet import Failed, Peer, notes_from_now
from peers.things import ERRORS, VALUES, described

from resonate.server import DevelopmentServer
from resonate.stores.remote import RemoteStore
from tests.process.waiting import when

SDKS = ("ours", "0.6.7")
SHARED = "g-both"
LEASE_S = 1
HEARD_S = 0.2

_numbers = itertools.count()


@dataclass
class Fleet:
    """A server and workers at it."""

    server: DevelopmentServer
    ledger: Path
    started: list[Peer] = field(default_factory=list)
    _peers: dict[tuple[str, str], Peer] = field(default_factory=dict)

    def start(self, sdk: str, group: str, pid: str, **further: Any) -> Peer:
        """A new worker."""
        further |= {"protocol": "legacy"} if sdk == "ours" else {}
        command = ["peer.py", group, pid, str(self.ledger), json.dumps(further)]
        self.started.append(Peer(sdk, command, self.server.url, self.server.message_url))
        return self.started[-1]

    def peer(self, sdk: str, group: str | None = None) -> Peer:
        """The worker of an SDK in a group, that of its own or the shared one."""
        return self._peers[sdk, group or f"g-{sdk}"]

    def gather(self) -> None:
        """Start those that all laws share."""
        for sdk in SDKS:
            for group in (f"g-{sdk}", SHARED):
                self._peers[sdk, group] = self.start(sdk, group, f"{sdk}@{group}")
        for peer in self.started:
            peer.wait_until_ready()
        self.until_both_listen()

    def until_both_listen(self) -> None:
        """A worker is ready before its stream is open, and work for nobody waits long; so calls go out until each has done one."""
        for sdk in SDKS:
            for group in (f"g-{sdk}", SHARED):
                self.until_heard(self.peer("ours"), group, f"{sdk}@{group}")

    def until_heard(self, teller: Peer, group: str, pid: str) -> None:
        """A worker in a group has done some work: calls go out, one after the other, until it does one."""

        def is_heard() -> bool:
            run = new_id("heard")
            teller("begin rpc", run, "who", 0, target=group)
            with contextlib.suppress(AssertionError):  # nobody has done it yet
                when(lambda: self.store.promises.get(run).completed, HEARD_S)
            return bool(json.loads(self.store.promises.get(run).value.data or "null") == pid)

        teller.until(is_heard)

    @cached_property
    def store(self) -> RemoteStore:
        """The server's promises, asked for by nobody's worker."""
        return RemoteStore(self.server.url, protocol="legacy")

    def close(self) -> None:
        for peer in self.started:
            peer.close()


def new_id(name: str) -> str:
    return f"{name.replace(' ', '-')}/{next(_numbers)}"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    ledger = tmp_path_factory.mktemp("fleet") / "ledger"
    ledger.touch()
    with DevelopmentServer(port=0) as server:
        made = Fleet(server, ledger)
        try:
            made.gather()
            yield made
        finally:
            made.close()


BOTH_WAYS = pytest.mark.parametrize(("caller", "other"), [("ours", "0.6.7"), ("0.6.7", "ours")], ids=["ours-asks", "0.6.7-asks"])


def outcome(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except Failed as error:
        return {"raises": str(error)}


# ---- the table ---------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """`caller` is told to `run` a function of its own, or to `rpc` one of `other`; `gives` is what must come of it.

    `HERE` and `THERE` stand for the groups of the two, `CALLER` and `OTHER` for the workers.
    """

    law: str
    what: str
    function: str
    arguments: tuple[Any, ...]
    gives: Any


CASES = [
    *(Case(f"{name} arrives as it was sent, and comes back so", "run", "send", (name, "THERE"), [described(value)] * 2)
      for name, value in VALUES.items()),
    *(Case(f"{name} is the result of a run of the other", "rpc", "keep", (name,), value) for name, value in VALUES.items()),
    *(Case(f"{name} is caught by the run that waits", "run", "defuse", (name, "THERE"), described(make()))
      for name, make in ERRORS.items()),
    *(Case(f"{name} ends a run of the other", "rpc", "explode", (name,), {"raises": described(make())}) for name, make in ERRORS.items()),
    Case("runs wait for each other in turns", "run", "ping", (4, "HERE", "THERE"),
         [["CALLER", 4], ["OTHER", 3], ["CALLER", 2], ["OTHER", 1]]),
    Case("many calls at once are all answered", "run", "scatter", (20, "THERE"), ["OTHER"] * 20),
    Case("a step is tried again until it succeeds", "rpc", "persist", ("succeeds", 2, 5), 3),
    Case("a step that never succeeds fails its run", "rpc", "persist", ("fails", 9, 1), {"raises": described(RuntimeError("attempt 2"))}),
]  # fmt: skip


@BOTH_WAYS
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.law.replace(" ", "-"))
def test_one_law_in_both_directions(fleet: Fleet, case: Case, caller: str, other: str) -> None:
    """What is in the table."""
    names = {"HERE": f"g-{caller}", "THERE": f"g-{other}", "CALLER": f"{caller}@g-{caller}", "OTHER": f"{other}@g-{other}"}

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return names.get(value, value)
        return [filled(each) for each in value] if type(value) is list else value

    arguments = [names.get(each, each) if isinstance(each, str) else each for each in case.arguments]
    target = f"g-{other}" if case.what == "rpc" else None
    seen = outcome(lambda: fleet.peer(caller)(case.what, new_id(case.function), case.function, *arguments, target=target))
    assert seen == (case.gives if isinstance(case.gives, dict) and "raises" in case.gives else described(filled(case.gives)))


# ---- what takes more than one question ---------------------------------------------------------------------------------------------------


@BOTH_WAYS
def test_a_sleep_ends_in_time(fleet: Fleet, caller: str, other: str) -> None:
    """A sleep in a run of the other ends after its second, or a little more."""
    began = time.monotonic()
    assert fleet.peer(caller)("rpc", new_id("nap"), "nap", 1.0, target=f"g-{other}") == described("rested")
    assert 1.0 <= time.monotonic() - began < 2.5


@BOTH_WAYS
@pytest.mark.parametrize("decision", ["resolve", "reject"])
def test_a_person_decides_through_either(fleet: Fleet, decision: str, caller: str, other: str) -> None:
    """A run waits for a promise; it is settled through a client of the other SDK."""
    run, promise = new_id("review"), new_id("approval")
    waiting = fleet.peer(caller).begin("run", run, "review", promise)
    fleet.peer(caller).until(lambda: fleet.store.promises.get(promise))
    fleet.peer(other)(decision, promise, "", {"by": "Ada"})
    if decision == "resolve":
        assert fleet.peer(caller).end(waiting) == described({"approved": [{"by": "Ada"}]})
    else:
        with pytest.raises(Failed, match="Ada"):
            fleet.peer(caller).end(waiting)


@BOTH_WAYS
def test_a_run_of_the_other_can_be_waited_for(fleet: Fleet, caller: str, other: str) -> None:
    """`get` of a run that the other began gives its result, while it is under way and afterwards."""
    run = new_id("awaited")
    fleet.peer(other)("begin", run, "nap", 0.3)
    assert [fleet.peer(caller)("get", run) for _ in range(2)] == [described("rested")] * 2


@BOTH_WAYS
def test_one_group_shares_its_work(fleet: Fleet, caller: str, other: str) -> None:
    """Of 40 calls to a group of both, each worker does some, and each is done once."""
    done = fleet.peer(caller)("run", new_id("scatter"), "scatter", 40, SHARED, plain=True)
    assert len(done) == 40
    assert set(done) == {f"{sdk}@{SHARED}" for sdk in SDKS}


@BOTH_WAYS
def test_a_launch_of_a_known_id_gives_its_result(fleet: Fleet, caller: str, other: str) -> None:
    """A run that one has finished is not run again when the other launches its id; its result is handed over."""
    run = new_id("known")
    first = fleet.peer(caller)("run", run, "keep", "a mixture")
    assert fleet.peer(other)("run", run, "keep", "a mixture") == first == described(VALUES["a mixture"])


@BOTH_WAYS
@pytest.mark.parametrize("function", ["journey", "delegate"])
def test_a_run_is_taken_over(fleet: Fleet, function: str, caller: str, other: str) -> None:
    """A worker is killed in the second step of a run. Once its lease has lapsed the other one goes on: what was done is not done again."""
    group = new_id("group").replace("/", "-")
    victim = fleet.start(caller, group, f"victim-{group}", ttl=LEASE_S).wait_until_ready()
    helper = fleet.peer(other)
    run, notes = new_id(function), notes_from_now(fleet.ledger)
    arguments = [f"victim-{group}", f"g-{caller}"] if function == "delegate" else [f"victim-{group}"]
    victim("begin", run, function, *arguments, target=group)  # 0.6.7 would offer what it has begun to the group `default` (D-9)
    victim.until(lambda: f"second victim-{group}" in notes())
    heir = fleet.start(other, group, f"heir-{group}", ttl=LEASE_S).wait_until_ready()
    fleet.until_heard(helper, group, f"heir-{group}")
    victim.kill()
    seen = helper("get", run)
    first, second = ("first", f"victim-{group}"), ("second", f"heir-{group}")
    called = (described((1, 2)), (1, 2))
    assert seen == described([first, second] if function == "journey" else [first, called, second])
    assert notes() == [f"first victim-{group}", f"second victim-{group}", f"second heir-{group}"]
    heir.close()
