"""Laws of what the runtime asks of a store: runs with leases, steps, waiting and news, in the words that every protocol has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import hostile
import inexpressible
import pytest
from benches import DEFAULT, SETTLES, Bench, code_of

from resonate.errors import ResonateStoreError
from resonate.protocol import (
    Claimed,
    ClaimTask,
    CreateLeased,
    CreatePromise,
    DropTask,
    GetPromise,
    Heartbeat,
    Kind,
    Lease,
    Lineage,
    ListDescendants,
    Message,
    NotifyMessage,
    Park,
    SettlePromise,
    Subscribe,
    TakeOver,
    TaskMessage,
)

TTL = 10_000
OURS, NEWS = "poll://any@default/bench", "poll://uni@default/bench"
VALUE = ({"h": "1"}, "[1]")
TOLD = ("id", "state", "timeout", "param", "value", "tags", "target", "timer", "lineage")


def ask(bench: Bench, operation: Any) -> Any:
    """The answer, or the code of the refusal."""
    (answer,) = bench.store.call([operation])
    return code_of(answer) if isinstance(answer, Exception) else answer


def run_of(bench: Bench, name: str = "r", **more: Any) -> CreatePromise:
    given = {"key": name, "param": VALUE, "target": DEFAULT, "lineage": Lineage(name, name, None, "run", "f")} | more
    return CreatePromise(name, bench.far, **given)


def began(bench: Bench, name: str = "r", pid: str = "w1") -> Lease:
    """The lease on a new run."""
    _, lease = ask(bench, CreateLeased(run_of(bench, name), pid, TTL, adopt=True))
    assert isinstance(lease, Lease)
    return lease


def step_of(bench: Bench, lease: Lease, number: int, kind: Kind = "run", **more: Any) -> CreatePromise:
    name = more.pop("name", f"{lease.root}.{number}")
    given = {"key": name, "lineage": Lineage(lease.root, lease.root, lease.root, kind, "g", f"{number}"), "lease": lease} | more
    return CreatePromise(name, given.pop("timeout", bench.far), **given)


def settled(name: str, state: Any = "RESOLVED", lease: Lease | None = None, **more: Any) -> SettlePromise:
    return SettlePromise(name, state, **{"value": VALUE, "key": name, "adopt": True, "lease": lease} | more)


def parked(bench: Bench, lease: Lease, *names: str) -> Any:
    return ask(bench, Park(lease, list(names), OURS, bench.far))


def told(record: Any) -> dict[str, Any]:
    """What any protocol tells of a promise."""
    return {name: getattr(record, name) for name in TOLD} | {"tags": record.tags or None}


def one(bench: Bench) -> Message:
    """The only message since the last look."""
    (message,) = bench.heard()
    return message


def claimed(bench: Bench, message: Message, pid: str = "w1") -> Any:
    assert isinstance(message, TaskMessage)
    return ask(bench, ClaimTask(message.id, message.counter, pid, TTL, adopt=True))


# ---- beginning -----------------------------------------------------------------------------------------------------------------------


def test_a_run_begins_with_its_lease(bench: Bench) -> None:
    """Whoever creates a run holds it, nobody is sent it, and whoever asks for the same again gets the run without a lease."""
    record, lease = ask(bench, CreateLeased(run_of(bench), "w1", TTL, adopt=True))
    assert (record.state, lease.root, record.lineage) == ("PENDING", "r", Lineage("r", "r", None, "run", "f"))
    again, nothing = ask(bench, CreateLeased(run_of(bench), "w2", TTL))
    assert (told(again), nothing) == (told(record), None)
    assert ask(bench, Heartbeat("w1")) == 1
    assert bench.heard() == []


@pytest.mark.parametrize("kind", ["run", "rpc", "detached", "promise", "sleep"])
def test_what_is_recorded_of_a_call_comes_back(bench: Bench, kind: Kind) -> None:
    """Kind, function, arguments, place in the call graph, value, target and the user's tags are read as they were given."""
    lease = began(bench)
    target = DEFAULT if kind in ("rpc", "detached") else None
    create = step_of(bench, lease, 1, kind, target=target, timer=kind == "sleep", param=VALUE, tags={"mine": "1", "ä": "\n"})
    made = ask(bench, create)
    names = ("id", "timeout", "param", "tags", "target", "timer", "lineage")
    assert {name: getattr(made, name) for name in names} == {name: getattr(create, name) for name in names}
    assert told(ask(bench, GetPromise("r.1"))) == told(made)


def test_a_promise_that_came_from_elsewhere_has_no_lineage(bench: Bench) -> None:
    """Of a promise that no run of this SDK made only its tags are known, and those are as they were given."""
    bench.promises.create("p", bench.far, tags={"mine": "1"})
    record = ask(bench, GetPromise("p"))
    assert (record.lineage, record.tags) == (None, {"mine": "1"})


def test_a_run_that_somebody_only_asks_for_is_sent(bench: Bench) -> None:
    """A run without a lease goes out as a message that names it, and one worker gets it."""
    ask(bench, run_of(bench))
    message = one(bench)
    assert isinstance(message, TaskMessage)
    assert message.root == "r"
    first, second = claimed(bench, message, "w1"), ask(bench, ClaimTask(message.id, message.counter, "w2", TTL))
    assert (first.root.id, first.lease.root, first.leaf) == ("r", "r", None)
    assert second in (40306, 40308)
    assert ask(bench, ClaimTask("__invoke:nobody", 1, "w2", TTL)) == 40403


# ---- steps ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", SETTLES)
def test_a_step_is_recorded_once(bench: Bench, state: str) -> None:
    """Creating a step again gives it as it is, and settling it again gives the first outcome: what was acknowledged never changes."""
    lease = began(bench)
    create = step_of(bench, lease, 1)
    assert told(ask(bench, create)) == told(ask(bench, create))
    outcome = ask(bench, settled("r.1", state, lease))
    assert (outcome.state, outcome.value) == (state, VALUE)
    other = ask(bench, settled("r.1", "REJECTED", lease, value=({}, "[2]")))
    assert told(other) == told(outcome) == told(ask(bench, create)) == told(ask(bench, GetPromise("r.1")))


@pytest.mark.parametrize(("state", "code"), [("RESOLVED", 40301), ("REJECTED", 40302), ("REJECTED_CANCELED", 40303)])
def test_settling_otherwise_is_refused(bench: Bench, state: str, code: int) -> None:
    """Who does not take what is there is told that the promise is settled, and how."""
    ask(bench, CreatePromise("p", bench.far, "p"))
    ask(bench, settled("p", state))
    assert ask(bench, SettlePromise("p", "RESOLVED", (None, "[2]"))) == code
    assert ask(bench, settled("nobody")) == 40400


# ---- waiting -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", SETTLES)
def test_a_run_rests_until_what_it_waits_for_settles(bench: Bench, state: str) -> None:
    """A run at rest is sent to nobody, until its promise settles: then once, and who claims it sees the outcome."""
    lease = began(bench)
    ask(bench, step_of(bench, lease, 1, "promise"))
    assert parked(bench, lease, "r.1") == []
    bench.advance(3 * TTL)
    assert bench.heard() == []
    ask(bench, settled("r.1", state, None))
    again = claimed(bench, one(bench))
    assert isinstance(again, Claimed)
    assert (again.root.id, again.lease.root) == ("r", "r")
    assert again.leaf is None or (again.leaf.id, again.leaf.state, again.leaf.value) == ("r.1", state, VALUE)
    assert ask(bench, step_of(bench, again.lease, 1, "promise")).state == state
    assert bench.heard() == []


def test_a_run_does_not_rest_on_what_is_settled(bench: Bench) -> None:
    """Where one of the promises is settled it is the answer, and the lease stays."""
    lease = began(bench)
    for number in (1, 2):
        ask(bench, step_of(bench, lease, number, "promise"))
    ask(bench, settled("r.2", "RESOLVED", None))
    (found,) = parked(bench, lease, "r.1", "r.2")
    assert (found.id, found.value) == ("r.2", VALUE)
    assert ask(bench, step_of(bench, lease, 3)).state == "PENDING"


def test_the_first_of_many_wakes_a_run_and_then_each_other(bench: Bench) -> None:
    """A run that waits for more promises than are asked for at once goes on with each as it settles."""
    lease = began(bench)
    names = [f"r.{number}" for number in range(1, 41)]
    for number in range(1, 41):
        ask(bench, step_of(bench, lease, number, "promise"))
    for name in ("r.40", "r.1"):
        assert parked(bench, lease, *names) == []
        ask(bench, settled(name, "RESOLVED", None))
        lease = claimed(bench, one(bench)).lease
        names.remove(name)


def test_a_run_waits_for_another(bench: Bench) -> None:
    """A run that another worker does wakes the one that asked for it."""
    lease = began(bench)
    ask(bench, step_of(bench, lease, 1, "rpc", target=DEFAULT))
    other = claimed(bench, one(bench), "w2")
    assert parked(bench, lease, "r.1") == []
    ask(bench, settled("r.1", "RESOLVED", other.lease))
    assert claimed(bench, one(bench)).root.id == "r"


@pytest.mark.parametrize(("timer", "state"), [(True, "RESOLVED"), (False, "REJECTED_TIMEDOUT")])
def test_a_deadline_wakes_a_run(bench: Bench, timer: bool, state: str) -> None:
    """A sleep ends at its time, a promise that nobody settles at its deadline, and the run goes on."""
    lease = began(bench)
    ask(bench, step_of(bench, lease, 1, "sleep" if timer else "promise", timer=timer, timeout=bench.now + 5000))
    assert parked(bench, lease, "r.1") == []
    bench.advance(4999)
    assert bench.heard() == []
    bench.advance(1)
    assert claimed(bench, one(bench)).root.id == "r"
    assert ask(bench, GetPromise("r.1")).state == state


# ---- leases --------------------------------------------------------------------------------------------------------------------------


def test_a_lapsed_lease_goes_to_another_and_the_earlier_holder_is_refused(bench: Bench) -> None:
    """Whoever has lost a run can neither begin nor settle nor wait for anything in its name, and is told so."""
    lease = began(bench)
    ask(bench, step_of(bench, lease, 1))
    bench.advance(TTL - 1)
    assert bench.heard() == []
    bench.advance(1)
    other = claimed(bench, one(bench), "w2").lease
    late = (step_of(bench, lease, 2), settled("r.1", "REJECTED", lease), settled("r", "REJECTED", lease))
    assert [ask(bench, each) for each in late] == [41200, 41200, 41200]
    assert parked(bench, lease, "r.1") in (41200, 40308, 40309)
    assert ask(bench, settled("r.1", "RESOLVED", other)).state == "RESOLVED"


def test_heartbeats_keep_a_lease(bench: Bench) -> None:
    """A process that says it is alive keeps what it holds, and only that."""
    began(bench, "a", "w1")
    began(bench, "b", "w2")
    for _ in range(4):
        bench.advance(TTL // 2)
        ask(bench, Heartbeat("w1"))
    (message,) = bench.heard()
    assert isinstance(message, TaskMessage)
    assert message.root == "b"


def test_a_run_that_is_given_back_goes_out_at_once(bench: Bench) -> None:
    """Giving a lease back offers the run to whoever is there; giving it back again changes nothing."""
    lease = began(bench)
    assert ask(bench, DropTask(lease.task, lease.counter)) is True
    assert claimed(bench, one(bench), "w2").root.id == "r"
    ask(bench, DropTask(lease.task, lease.counter))
    assert bench.heard() == []


@pytest.mark.parametrize("state", SETTLES)
def test_a_run_that_is_over_is_nobodys(bench: Bench, state: str) -> None:
    """The settlement of a run ends its lease and everything that was to be done, whoever settles it."""
    lease = began(bench)
    ask(bench, step_of(bench, lease, 1))
    outcome = ask(bench, settled("r", state, lease if state != "REJECTED_CANCELED" else None))
    assert (outcome.state, outcome.value) == (state, VALUE)
    assert ask(bench, settled("r.1", "RESOLVED", lease)) == 41200
    bench.advance(3 * TTL)
    assert bench.heard() == []


# ---- news ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", SETTLES)
def test_who_asks_for_news_gets_the_outcome_once(bench: Bench, state: str) -> None:
    """A subscriber is sent the settled promise with all that is told of it, once; of a settled one the answer is all there is."""
    ask(bench, run_of(bench))
    work = claimed(bench, one(bench))
    for _ in range(2):
        pending, _ = ask(bench, Subscribe("r", "s", NEWS, bench.far))
        assert pending.state == "PENDING"
    ask(bench, settled("r", state, work.lease))
    notice = one(bench)
    assert isinstance(notice, NotifyMessage)
    outcome = ask(bench, GetPromise("r"))
    shown = [(each.id, each.state, each.value, each.param, each.timeout) for each in (notice.promise, outcome)]
    assert shown[0] == shown[1]
    late, _ = ask(bench, Subscribe("r", "s", NEWS, bench.far))
    assert told(late) == told(outcome)
    bench.advance(TTL)
    assert bench.heard() == []
    assert ask(bench, Subscribe("nobody", "s", NEWS, bench.far)) == 40400


def test_the_whole_call_graph_is_listed(bench: Bench) -> None:
    """Everything below a run is found, with its place, in the order of creation, and nothing of any other run."""
    lease = began(bench)
    began(bench, "other")
    count = 120
    for number in range(1, count + 1):
        ask(bench, step_of(bench, lease, number, target=DEFAULT if number == 7 else None))
        bench.elapse(1)
    ask(bench, CreatePromise("custom", bench.far, "k", lineage=Lineage("r", "r.7", "r.7", "run", "h")))
    found = ask(bench, ListDescendants("r"))
    assert [each.id for each in found] == ["r", *(f"r.{number}" for number in range(1, count + 1)), "custom"]
    assert [each.lineage.parent for each in found] == [None, *["r"] * count, "r.7"]
    assert ask(bench, ListDescendants("nobody")) == []


def test_a_run_takes_over_what_another_has_achieved(bench: Bench) -> None:
    """The new run has every step of the old one that has a value, under ids of its own, and nothing of what failed."""
    lease = began(bench)
    mark = bench.separator
    for number, state in ((1, "RESOLVED"), (2, "RESOLVED"), (3, "REJECTED")):
        ask(bench, step_of(bench, lease, number, name=f"r{mark}{number}"))
        ask(bench, settled(f"r{mark}{number}", state, lease))
        bench.elapse(1)
    take = TakeOver("r", CreateLeased(run_of(bench, "n"), "w1", TTL))
    assert ask(bench, take) == 40000, "the old run is not over"
    ask(bench, settled("r", "REJECTED", lease))
    assert ask(bench, replace(take, from_step=f"r{mark}9")) == 40400
    record, new = ask(bench, take)
    assert (record.state, new.root) == ("PENDING", "n")
    assert [(each.id, each.state, each.value) for each in ask(bench, ListDescendants("n")) if each.id != "n"] == [
        (f"n{mark}1", "RESOLVED", VALUE), (f"n{mark}2", "RESOLVED", VALUE),
    ]  # fmt: skip
    assert ask(bench, step_of(bench, new, 3, name=f"n{mark}3")).state == "PENDING"


def test_any_id_may_be_a_runs(bench: Bench) -> None:
    """Runs under all kinds of ids live beside each other: each is sent, waits, goes on and ends, and its news is its own."""
    for name, each in hostile.IDS.items():
        if name in bench.refused_ids:
            continue
        ask(bench, run_of(bench, each))
        work = claimed(bench, one(bench))
        ask(bench, step_of(bench, work.lease, 1, "promise"))
        ask(bench, Subscribe(each, "s", NEWS, bench.far))
        assert parked(bench, work.lease, f"{each}.1") == []
        ask(bench, settled(f"{each}.1", "RESOLVED", None))
        again = claimed(bench, one(bench))
        assert (work.root.id, again.root.id, again.lease.root) == (each, each, each)
        ask(bench, settled(each, "RESOLVED", again.lease))
        notice = one(bench)
        assert isinstance(notice, NotifyMessage)
        assert (notice.promise.id, notice.promise.state) == (each, "RESOLVED")


# ---- replies that get lost -------------------------------------------------------------------------------------------------------------


def test_a_lost_reply_changes_nothing(bench: Bench) -> None:
    """Whatever is asked again because its reply was lost is answered as if the first one had come, through a whole life of a run."""
    record, lease = bench.repeatedly(CreateLeased(run_of(bench), "w1", TTL, adopt=True))
    assert (record.state, lease and lease.root) == ("PENDING", "r")
    for number in (1, 2):
        assert bench.repeatedly(step_of(bench, lease, number)).state == "PENDING"
    outcome = bench.repeatedly(settled("r.1", "RESOLVED", lease))
    assert (outcome.state, outcome.value) == ("RESOLVED", VALUE)
    assert [each.id for each in bench.repeatedly(Park(lease, ["r.1", "r.2"], OURS, bench.far))] == ["r.1"]
    assert bench.repeatedly(Park(lease, ["r.2"], OURS, bench.far)) == []
    bench.repeatedly(settled("r.2", "REJECTED", None))
    work = lease_after_lost_reply(bench)
    assert work.root == "r"
    assert bench.repeatedly(settled("r", "RESOLVED", work)).state == "RESOLVED"
    bench.advance(3 * TTL)
    assert bench.heard() == []


def lease_after_lost_reply(bench: Bench) -> Lease:
    """What a claim comes to whose reply was lost: the lease, or (legacy) the same work once more, since a claim does not say by whom."""
    message = one(bench)
    assert isinstance(message, TaskMessage)
    answer = bench.repeatedly(ClaimTask(message.id, message.counter, "w1", TTL, adopt=True))
    if isinstance(answer, Claimed):
        return answer.lease
    lease: Lease = claimed(bench, one(bench)).lease
    return lease


@pytest.mark.needs("lost replies")
@pytest.mark.parametrize("state", SETTLES)
def test_a_lost_reply_to_a_person_is_no_refusal(bench: Bench, state: str) -> None:
    """Who settles a promise by hand, and whose reply is lost, is not told that somebody else did it."""
    bench.repeatedly(CreatePromise("p", bench.far, None, param=VALUE))
    assert ask(bench, GetPromise("p")).state == "PENDING"
    answer = bench.repeatedly(SettlePromise("p", state, VALUE))  # type: ignore[arg-type] # a state that can be chosen
    assert (answer.state, answer.value) == (state, VALUE)


def test_a_lost_reply_gives_nobody_anothers_run(bench: Bench) -> None:
    """A run that somebody else has created is not taken for one's own because a reply was lost."""
    ask(bench, CreateLeased(run_of(bench), "w2", TTL))
    record, lease = bench.repeatedly(CreateLeased(run_of(bench), "w1", TTL, adopt=True))
    assert (record.id, lease) == ("r", None)


def test_a_lost_reply_gives_nobody_anothers_promise(bench: Bench) -> None:
    """Nor is a promise, though it was created with the same value and deadline: only what this one was tagged with tells it apart."""
    ask(bench, CreatePromise("p", bench.far, None, param=VALUE, tags={"of": "somebody"}))
    answer = bench.repeatedly(CreatePromise("p", bench.far, None, param=VALUE, tags={"of": "me"}))
    assert isinstance(answer, ResonateStoreError)
    assert answer.server_code == 40900


def test_the_table_of_what_is_left_out_has_no_dead_rows() -> None:
    """Each row of `inexpressible` is about a law that there is."""
    laws = {
        f"{path.stem}.{line.split('(')[0].removeprefix('def ')}"
        for path in Path(__file__).parent.glob("test_*.py") for line in path.read_text("utf-8").splitlines() if line.startswith("def test_")
    }  # fmt: skip
    assert inexpressible.unused(laws) == []
