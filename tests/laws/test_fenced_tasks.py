"""Laws of fenced tasks (current protocol, tasks): the state machine row by row, leases, waiting, and what is sent when.

Codes are compared by their first three figures, which is all that the wire carries: 400 malformed, 404 absent, 409 another state or
version, 422 another object is absent or unsuitable.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from benches import DEFAULT, HOUR_MS, Bench, code_of

from resonate.errors import ResonateStoreError
from resonate.protocol import (
    AcquireTask,
    ActFenced,
    AwaitPromise,
    ContinueTask,
    EnsureAcquired,
    EnsurePromise,
    FulfillTask,
    GetPromise,
    HaltTask,
    ListenToPromise,
    ReleaseTask,
    RenewLeases,
    SettlePromise,
    SuspendTask,
    ViewTask,
)

RETRY_MS = 30_000
WORDS = {"INIT": "pending", "ENQUEUED": "pending", "CLAIMED": "acquired", "SUSPENDED": "suspended", "HALTED": "halted",
         "COMPLETED": "fulfilled", "TIMEDOUT": "fulfilled"}  # fmt: skip
STATES = ("absent", "pending", "acquired", "suspended", "halted", "fulfilled")


def ensured(id: str, timeout: int, target: str | None = DEFAULT, **more: Any) -> EnsurePromise:
    tags = {**more.pop("tags", {}), **({"resonate:target": target} if target is not None else {})}
    return EnsurePromise(id, timeout, tags=tags or None, target=target, **more)


def settled(id: str) -> SettlePromise:
    return SettlePromise(id, "RESOLVED", (None, "1"), adopt=True)


def status_of(fenced: Bench, operation: Any) -> int:
    """200, or the class of the refusal."""
    try:
        fenced.ask(operation)
    except ResonateStoreError as error:
        return code_of(error) // 100 if error.mesg else -1  # a refusal says why
    return 200


def task(fenced: Bench, id: str = "r") -> tuple[str, int, int]:
    """(state, version, resumes) of a task."""
    found = fenced.ask(ViewTask(id))
    return WORDS[found.state], found.counter, found.resumes


def executes(fenced: Bench) -> list[tuple[str, int]]:
    """(id, version) of each task that was sent since the last look."""
    tasks = [message["data"]["task"] for message in fenced.messages() if message.get("kind") == "execute"]
    return [(each["id"], each["version"]) for each in tasks]


def held(fenced: Bench, id: str = "r", ttl: int = HOUR_MS, timeout: int | None = None, **more: Any) -> int:
    """A new promise whose task is held by `w1`; the version."""
    acquired = fenced.ask(EnsureAcquired(ensured(id, fenced.far if timeout is None else timeout, **more), "w1", ttl))
    return int(acquired.task.counter)


def task_in(fenced: Bench, state: str) -> int:
    """Task `r` in a state, `w` is a pending promise; the version."""
    fenced.ask(ensured("w", fenced.far + HOUR_MS, None))
    version = 0
    if state == "pending":
        fenced.ask(ensured("r", fenced.far))
    elif state != "absent":
        version = held(fenced)
    if state == "suspended":
        fenced.ask(SuspendTask("r", version, ["w"]))
    elif state == "halted":
        fenced.ask(HaltTask("r"))
    elif state == "fulfilled":
        fenced.ask(FulfillTask("r", version, "RESOLVED"))
    fenced.messages()
    return version


# ---- the table -----------------------------------------------------------------------------------------------------------------------

# For each state: the status with the right version, with another one, and the state afterwards (None: as before).
Row = tuple[int, int, str | None]
ABSENT: Row = (404, 404, None)
NOT_SO: Row = (409, 409, None)
CALLS: dict[str, tuple[Callable[[str, int], Any], dict[str, Row]]] = {
    "acquire": (lambda name, version: AcquireTask(name, version, "w2", 1000), {"pending": (200, 409, "acquired")}),
    "fence": (lambda name, version: ActFenced(name, version, settled("w")), {"acquired": (200, 409, None)}),
    "suspend": (lambda name, version: SuspendTask(name, version, ["w"]), {"acquired": (200, 409, "suspended")}),
    "fulfill": (lambda name, version: FulfillTask(name, version, "REJECTED", (None, "2")), {"acquired": (200, 409, "fulfilled")}),
    "release": (ReleaseTask, {"acquired": (200, 409, "pending")}),
    "halt": (
        lambda name, version: HaltTask(name),
        dict.fromkeys(("pending", "acquired", "suspended", "halted"), (200, 200, "halted")),
    ),
    "continue": (lambda name, version: ContinueTask(name), {"halted": (200, 200, "pending")}),
    "view": (lambda name, version: ViewTask(name), dict.fromkeys(STATES[1:], (200, 200, None))),
    "heartbeat": (lambda name, version: RenewLeases("w1", [(name, version)]), dict.fromkeys(STATES, (200, 200, None))),
}  # fmt: skip


@pytest.mark.parametrize(("call", "state", "same"), list(product(CALLS, STATES, (True, False))))
def test_task_table(fenced: Bench, call: str, state: str, same: bool) -> None:
    """Each call is answered by the state of the task and its version; a refusal changes nothing and sends nothing."""
    make, rows = CALLS[call]
    version = task_in(fenced, state)
    right, other, after = rows.get(state, ABSENT if state == "absent" else NOT_SO)
    status = right if same else other
    before = None if state == "absent" else task(fenced)
    assert status_of(fenced, make("r", version if same else version + 1)) == status
    if before is None:
        assert status_of(fenced, ViewTask("r")) == 404
        return
    expected = before[0] if status != 200 or after is None else after
    assert task(fenced)[:2] == (expected, version + (1 if expected == "acquired" and state == "pending" else 0))
    sends = status == 200 and call in ("release", "continue")
    assert executes(fenced) == ([("r", version)] if sends else [])


@pytest.mark.parametrize("state", STATES)
def test_creating_with_a_task(fenced: Bench, state: str) -> None:
    """A new task is held from the start at version 1 and not sent; a pending one is acquired, an ended one shown, others refused."""
    version = task_in(fenced, state)
    create = EnsureAcquired(ensured("r", fenced.far, param=(None, "2")), "w2", 5000)
    if state in ("acquired", "suspended", "halted"):
        assert status_of(fenced, create) == 409
        return
    acquired = fenced.ask(create)
    if state == "fulfilled":
        assert (WORDS[acquired.task.state], acquired.task.counter, acquired.promise.state) == ("fulfilled", 1, "RESOLVED")
    else:
        assert (WORDS[acquired.task.state], acquired.task.counter) == ("acquired", version + 1)
        assert (acquired.task.pid, acquired.task.ttl, acquired.promise.param) == ("w2", 5000, (None, "2" if state == "absent" else None))
    assert acquired.preload == []
    assert executes(fenced) == []


def test_a_promise_without_a_target_has_no_task(fenced: Bench) -> None:
    """Without a target there is no task, not even when the promise is created once more with one."""
    fenced.ask(ensured("r", fenced.far, None))
    assert status_of(fenced, EnsureAcquired(ensured("r", fenced.far), "w1", 1000)) == 422
    assert fenced.ask(ensured("r", fenced.far)).tags in (None, {})
    assert status_of(fenced, ViewTask("r")) == 404
    assert executes(fenced) == []


def test_a_promise_is_created_once(fenced: Bench) -> None:
    """Creating gives what is there, whatever was sent and whatever its state, and never a second task."""
    first = fenced.ask(ensured("r", fenced.far, param=(None, "1"), tags={"a": "b"}))
    assert executes(fenced) == [("r", 0)]
    assert fenced.ask(EnsurePromise("r", fenced.now + 5, (None, "2"), {"c": "d"})) == first
    fenced.ask(settled("r"))
    assert fenced.ask(ensured("r", fenced.far)).value == (None, "1")
    assert task(fenced) == ("fulfilled", 0, 0)
    assert executes(fenced) == []


@pytest.mark.parametrize("timer", [True, False])
@pytest.mark.parametrize("with_task", [True, False])
def test_a_deadline_in_the_past(fenced: Bench, timer: bool, with_task: bool) -> None:
    """What is overdue is born settled at its deadline, with a task that has ended; nothing is sent."""
    create = ensured("r", fenced.now - 5, timer=timer, tags={"resonate:timer": "true"} if timer else {})
    record = fenced.ask(EnsureAcquired(create, "w1", 1000)).promise if with_task else fenced.ask(create)
    assert record.state == ("RESOLVED" if timer else "REJECTED_TIMEDOUT")
    assert (record.created_on, record.completed_on) == (fenced.now - 5, fenced.now - 5)
    assert task(fenced) == ("fulfilled", 0, 0)
    assert executes(fenced) == []


# ---- what ends a task ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", STATES[1:5])
@pytest.mark.parametrize("how", ["settled", "settled by a legacy request", "deadline", "deadline, unseen"])
def test_a_task_ends_with_its_promise(fenced: Bench, state: str, how: str) -> None:
    """Whoever settles the promise ends the task, whoever holds it: every later call of the holder is refused."""
    version = task_in(fenced, state)
    if how == "settled":
        fenced.ask(settled("r"))
    elif how == "settled by a legacy request":
        fenced.promises.cancel("r")
    else:
        (fenced.advance if how == "deadline" else fenced.elapse)(fenced.far - fenced.now)
        assert fenced.ask(GetPromise("r")).state == "REJECTED_TIMEDOUT"
    assert task(fenced)[:2] == ("fulfilled", version)
    for make, _ in (CALLS[name] for name in ("acquire", "fence", "suspend", "fulfill", "release", "halt", "continue")):
        assert status_of(fenced, make("r", version)) == 409
    fenced.ask(settled("w"))
    fenced.advance(RETRY_MS)
    assert executes(fenced) == []
    assert task(fenced) == ("fulfilled", version, 0)


def test_the_deadline_comes_before_the_holder(fenced: Bench) -> None:
    """A holder that fulfils after the deadline is refused, and the promise has timed out at its deadline."""
    deadline = fenced.now + 1000
    version = held(fenced, timeout=deadline)
    fenced.elapse(1000)
    assert status_of(fenced, FulfillTask("r", version, "RESOLVED")) == 409
    record = fenced.ask(GetPromise("r"))
    assert (record.state, record.completed_on) == ("REJECTED_TIMEDOUT", deadline)


def test_a_fenced_action_is_that_of_anybody(fenced: Bench) -> None:
    """Under a lease a promise is created once and settled once, the first wins, and settling what is absent settles nothing."""
    version = held(fenced)
    made = fenced.ask(ActFenced("r", version, ensured("r.1", fenced.far, None, param=(None, "1"))))
    assert made.promise == fenced.ask(GetPromise("r.1"))
    first = fenced.ask(ActFenced("r", version, SettlePromise("r.1", "REJECTED", (None, "2"), adopt=True))).promise
    assert first.state == "REJECTED"
    assert fenced.ask(ActFenced("r", version, settled("r.1"))).promise == first
    assert fenced.ask(ActFenced("r", version, ensured("r.1", fenced.far))).promise == first
    assert fenced.ask(ActFenced("r", version, settled("nobody"))).promise is None
    fenced.ask(ActFenced("r", version, ensured("other", fenced.far)))
    assert executes(fenced) == [("other", 0)]


def test_a_task_does_not_act_on_itself(fenced: Bench) -> None:
    """A fenced action names another promise, and a task never awaits its own."""
    version = held(fenced)
    for action in (settled("r"), ensured("r", fenced.far)):
        assert status_of(fenced, ActFenced("r", version, action)) == 400
    for awaited in (["r"], []):
        assert status_of(fenced, SuspendTask("r", version, awaited)) == 400
    assert status_of(fenced, AwaitPromise("r", "r")) == 400
    assert task(fenced) == ("acquired", version, 0)


# ---- leases ------------------------------------------------------------------------------------------------------------------------------


def test_a_lapsed_lease_is_sent_at_the_same_version(fenced: Bench) -> None:
    """A lease lapses at its time and not before; the next holder, one version on, shuts the first one out."""
    version = held(fenced, ttl=2000)
    fenced.advance(1999)
    assert executes(fenced) == []
    fenced.advance(1)
    assert executes(fenced) == [("r", version)]
    assert status_of(fenced, FulfillTask("r", version, "RESOLVED")) == 409
    assert fenced.ask(AcquireTask("r", version, "w2", 2000)).task.counter == version + 1
    for make, _ in (CALLS[name] for name in ("fence", "suspend", "fulfill", "release")):
        assert status_of(fenced, make("r", version)) == 409
    assert fenced.ask(FulfillTask("r", version + 1, "RESOLVED")).state == "RESOLVED"


@pytest.mark.parametrize(("pid", "version", "extends"), [("w1", 1, True), ("w1", 0, False), ("w1", 2, False), ("w2", 1, False)])
def test_a_heartbeat_extends_what_it_names(fenced: Bench, pid: str, version: int, extends: bool) -> None:
    """A heartbeat begins the time to live anew for a task that this process holds at this version; for others it does nothing."""
    held(fenced, ttl=2000)
    held(fenced, "other", ttl=2000)
    fenced.advance(1500)
    fenced.ask(RenewLeases(pid, [("nobody", 1), ("r", version)]))
    fenced.advance(500)
    assert sorted(executes(fenced)) == ([("other", 1)] if extends else [("other", 1), ("r", 1)])
    assert task(fenced)[0] == ("acquired" if extends else "pending")
    fenced.advance(1500)
    assert task(fenced)[0] == "pending"


def test_what_nobody_acquires_is_sent_again(fenced: Bench) -> None:
    """A task that is pending goes out every 30 seconds, at the same version, until somebody acquires it."""
    fenced.ask(ensured("r", fenced.far))
    assert executes(fenced) == [("r", 0)]
    for _ in range(3):
        fenced.advance(RETRY_MS - 1)
        assert executes(fenced) == []
        fenced.advance(1)
        assert executes(fenced) == [("r", 0)]
    fenced.ask(AcquireTask("r", 0, "w1", HOUR_MS))
    fenced.advance(2 * RETRY_MS)
    assert executes(fenced) == []


def test_what_nobody_receives_is_sent_when_somebody_listens(fenced: Bench) -> None:
    """A task whose message finds nobody is kept, and sent within 15 seconds after somebody is there."""
    fenced.disconnect()
    fenced.ask(ensured("r", fenced.far))
    fenced.advance(RETRY_MS)
    fenced.reconnect()
    fenced.advance(15_000)
    assert executes(fenced) == [("r", 0)]


def test_a_halted_task_is_not_sent(fenced: Bench) -> None:
    """A halted task waits however long, counts what it awaits, and goes on from where it is when it is continued."""
    version = task_in(fenced, "suspended")
    fenced.ask(HaltTask("r"))
    fenced.ask(settled("w"))
    fenced.advance(HOUR_MS)
    fenced.disconnect()
    fenced.reconnect()
    assert executes(fenced) == []
    assert task(fenced) == ("halted", version, 1)
    fenced.ask(ContinueTask("r"))
    assert executes(fenced) == [("r", version)]
    assert fenced.ask(AcquireTask("r", version, "w2", 1000)).task.resumes == 0


# ---- waiting -----------------------------------------------------------------------------------------------------------------------------


def test_the_first_that_settles_wakes(fenced: Bench) -> None:
    """A suspended task wakes on the first of its awaited promises, at the same version; later ones are counted and send nothing."""
    version = held(fenced)
    for name in ("a", "b", "c"):
        fenced.ask(ensured(name, fenced.far, None))
    assert fenced.ask(SuspendTask("r", version, ["a", "b", "c", "a"])).is_suspended
    fenced.ask(settled("b"))
    assert executes(fenced) == [("r", version)]
    fenced.ask(settled("a"))
    assert task(fenced) == ("pending", version, 2)
    again = fenced.ask(AcquireTask("r", version, "w2", HOUR_MS)).task.counter
    fenced.ask(settled("c"))
    assert task(fenced) == ("acquired", again, 1)
    assert executes(fenced) == []


def test_who_wakes_again_and_again(fenced: Bench) -> None:
    """A task that suspends on what is left wakes once for each of its promises."""
    names = [f"r.{number}" for number in range(5)]
    for name in names:
        fenced.ask(ensured(name, fenced.far, None))
    version = held(fenced)
    for place, name in enumerate(names):
        assert fenced.ask(SuspendTask("r", version, names[place:])).is_suspended
        fenced.ask(settled(name))
        assert executes(fenced) == [("r", version)]
        version = fenced.ask(AcquireTask("r", version, "w1", HOUR_MS)).task.counter
    assert version == 6


@pytest.mark.parametrize("order", [["a", "b"], ["b", "a"]])
def test_what_is_settled_is_not_waited_for(fenced: Bench, order: list[str]) -> None:
    """When one of the awaited is settled nothing is registered and the lease stays as it is; when one is absent, it is refused."""
    version = held(fenced, ttl=2000)
    for name in ("a", "b"):
        fenced.ask(ensured(name, fenced.now + 1500 if name == "b" else fenced.far, None))
    fenced.elapse(1500)  # `b` has timed out, and nobody has looked
    assert not fenced.ask(SuspendTask("r", version, order)).is_suspended
    fenced.ask(settled("a"))
    assert task(fenced) == ("acquired", version, 0)
    assert status_of(fenced, SuspendTask("r", version, [*order, "nobody"])) == 422
    fenced.advance(500)
    assert executes(fenced) == [("r", version)]


def test_a_timer_wakes_by_itself(fenced: Bench) -> None:
    """A timer resolves at its deadline, without a value, and wakes who waits for it; without one it is rejected."""
    for name, timer in (("sleep", True), ("late", False)):
        fenced.ask(ensured(name, fenced.now + 1000, None, timer=timer, tags={"resonate:timer": "true"} if timer else {}))
        version = held(fenced, f"for {name}")
        fenced.ask(SuspendTask(f"for {name}", version, [name]))
    fenced.advance(999)
    assert executes(fenced) == []
    fenced.advance(1)
    assert sorted(executes(fenced)) == [("for late", 1), ("for sleep", 1)]
    assert [fenced.ask(GetPromise(name)).state for name in ("sleep", "late")] == ["RESOLVED", "REJECTED_TIMEDOUT"]
    assert fenced.ask(GetPromise("sleep")).value == (None, None)


@pytest.mark.parametrize(("state", "after"), [
    ("pending", ("pending", 0, 1)), ("acquired", ("acquired", 1, 1)), ("suspended", ("pending", 1, 1)), ("halted", ("halted", 1, 1)),
    ("fulfilled", ("fulfilled", 1, 0)),
])  # fmt: skip
@pytest.mark.parametrize("is_settled", [True, False])
def test_awaiting_from_outside(fenced: Bench, state: str, after: tuple[str, int, int], is_settled: bool) -> None:
    """A callback makes a suspended task pending when its promise settles, at once when it has; in other states it is counted."""
    task_in(fenced, state)
    fenced.ask(ensured("x", fenced.far, None))
    if is_settled:
        fenced.ask(settled("x"))
    assert fenced.ask(AwaitPromise("x", "r")).id == "x"
    if not is_settled:
        fenced.ask(AwaitPromise("x", "r"))
        fenced.ask(settled("x"))
    assert task(fenced) == after
    assert executes(fenced) == ([("r", 1)] if state == "suspended" else [])


def test_who_cannot_await(fenced: Bench) -> None:
    """The awaited promise must be there, and the awaiter must have a task: one of the legacy kind is none."""
    fenced.ask(ensured("w", fenced.far, None))
    fenced.create("legacy", tags={"resonate:invoke": DEFAULT})
    held(fenced)
    for awaited, awaiter, status in (("nobody", "r", 404), ("w", "nobody", 422), ("r", "w", 422), ("w", "legacy", 422), ("w", "r", 200)):
        assert status_of(fenced, AwaitPromise(awaited, awaiter)) == status


def test_a_listener_is_told_once(fenced: Bench) -> None:
    """Each address that listens gets the settled promise once; whoever listens to a settled one is answered and told nothing."""
    fenced.ask(ensured("p", fenced.far, None))
    for _ in range(2):
        assert fenced.ask(ListenToPromise("p", "poll://uni@default/bench")).state == "PENDING"
    fenced.ask(settled("p"))
    assert fenced.ask(ListenToPromise("p", "poll://any@default")).state == "RESOLVED"
    fenced.advance(HOUR_MS)
    (message,) = fenced.messages()
    assert (message["kind"], message["head"], message["data"]["promise"]["id"]) == ("unblock", {}, "p")
    assert (message["data"]["promise"]["state"], message["data"]["promise"]["value"]) == ("resolved", {"data": "MQ=="})
    assert status_of(fenced, ListenToPromise("nobody", DEFAULT)) == 404
