"""The promise server's laws: the full tables of promises and tasks, and random walks that must never break an invariant."""

from __future__ import annotations

import dataclasses
import random
from itertools import product
from typing import Any

import pytest

from resonate.errors import ResonateStoreError
from resonate.machine import Machine
from resonate.protocol import (
    TASK_CLAIM_WINDOW_MS,
    TASK_RETRY_MS,
    Claimed,
    ClaimTask,
    CompleteTask,
    CreateLeased,
    CreatePromise,
    DeliveryFailed,
    DropTask,
    GetPromise,
    Heartbeat,
    Lease,
    Lineage,
    ListDescendants,
    NotifyMessage,
    Park,
    PromiseRecord,
    RegisterCallback,
    SettlePromise,
    Subscribe,
    TaskMessage,
)

FAR = 10_000_000
ADDRESS = "poll://any@default/w1"
SETTLED = ("RESOLVED", "REJECTED", "REJECTED_CANCELED")
REFUSED_AS = {"RESOLVED": 40301, "REJECTED": 40302, "REJECTED_CANCELED": 40303, "REJECTED_TIMEDOUT": 40304}


def code(error: ResonateStoreError) -> int:
    """The server's code behind `100.40301`, whose trailing zeros a float has lost."""
    return int(f"{error.code:.5f}".partition(".")[2])


def refused(machine: Machine, operation: Any, now: int) -> int:
    with pytest.raises(ResonateStoreError) as caught:
        machine.apply(operation, now)
    return code(caught.value)


def promise_in(current: str) -> tuple[Machine, int]:
    """A machine whose promise `p` (create key `k`, complete key `K`) is in that state, and the time to go on at."""
    machine = Machine()
    if current == "absent":
        return machine, 100
    machine.apply(CreatePromise("p", 1000, "k", timer=current == "expired timer"), 0)
    if current in SETTLED:
        machine.apply(SettlePromise("p", current, (None, "1"), key="K"), 50)  # type: ignore[arg-type]
    if current == "REJECTED_TIMEDOUT":
        machine.tick(1000)
    return machine, 2000 if current.startswith("expired") or current == "REJECTED_TIMEDOUT" else 100


EVERY_STATE = ("absent", "PENDING", "expired", "expired timer", *SETTLED, "REJECTED_TIMEDOUT")


# ---- promises --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("current", "strict", "key"), list(product(EVERY_STATE, (False, True), ("k", "other", None))))
def test_create_table(current: str, strict: bool, key: str | None) -> None:
    """Creating is idempotent for the same key, and strict accepts only what is pending still."""
    machine, now = promise_in(current)
    create = CreatePromise("p", 5000, key, strict, (None, "new"))
    after = {"absent": "PENDING", "expired": "REJECTED_TIMEDOUT", "expired timer": "RESOLVED"}.get(current, current)
    if current == "absent":
        record = machine.apply(create, now)
        assert (record.state, record.key_for_create, record.created_on, record.param) == ("PENDING", key, now, (None, "new"))
    elif key == "k" and (current == "PENDING" or not strict):
        record = machine.apply(create, now)
        assert record.state == after
        assert (record.timeout, record.param) == (1000, (None, None))
    else:
        assert refused(machine, create, now) == 40900
    assert machine.promises["p"].state == after


@pytest.mark.parametrize(
    ("current", "wanted", "strict", "key"), list(product(EVERY_STATE, SETTLED, (False, True), ("K", "other", None)))
)
def test_complete_table(current: str, wanted: Any, strict: bool, key: str | None) -> None:
    """A promise is settled once; a repeat is accepted for the same key, and strict wants the same state too."""
    machine, now = promise_in(current)
    settle = SettlePromise("p", wanted, (None, "late"), key, strict)
    after = {"expired": "REJECTED_TIMEDOUT", "expired timer": "RESOLVED", "PENDING": wanted}.get(current, current)
    if current == "absent":
        assert refused(machine, settle, now) == 40400
        return
    if current == "PENDING":
        record = machine.apply(settle, now)
        assert (record.value, record.key_for_complete, record.completed_on) == ((None, "late"), key, now)
    elif current in ("expired", "REJECTED_TIMEDOUT"):
        if strict:
            assert refused(machine, settle, now) == 40304
        else:
            assert machine.apply(settle, now).state == "REJECTED_TIMEDOUT"
    elif current == "expired timer":
        assert refused(machine, settle, now) == 40301
    elif key == "K" and (not strict or wanted == current):
        assert machine.apply(settle, now).value == (None, "1")
    else:
        assert refused(machine, settle, now) == REFUSED_AS[current]
    assert machine.promises["p"].state == after


@pytest.mark.parametrize("current", [state for state in EVERY_STATE if state not in ("absent", "PENDING")])
def test_adopting_takes_what_is_there(current: str) -> None:
    """Settling with `adopt` never refuses a settled promise: its first settlement is the answer."""
    machine, now = promise_in(current)
    expected = {"expired": "REJECTED_TIMEDOUT", "expired timer": "RESOLVED"}.get(current, current)
    assert machine.apply(SettlePromise("p", "REJECTED", (None, "late"), "x", adopt=True), now).state == expected


def test_a_null_key_matches_nothing_not_even_null() -> None:
    """Without keys no repeat is idempotent."""
    machine = Machine()
    machine.apply(CreatePromise("p", FAR), 0)
    assert refused(machine, CreatePromise("p", FAR), 1) == 40900
    machine.apply(SettlePromise("p", "RESOLVED"), 2)
    assert refused(machine, SettlePromise("p", "RESOLVED"), 3) == 40301


def test_the_empty_key_is_a_key() -> None:
    """An empty idempotency key matches an empty one."""
    machine = Machine()
    machine.apply(CreatePromise("p", FAR, ""), 0)
    assert machine.apply(CreatePromise("p", FAR, ""), 1).state == "PENDING"


@pytest.mark.parametrize(("timer", "state"), [(False, "REJECTED_TIMEDOUT"), (True, "RESOLVED")])
def test_deadlines_fall_due_at_their_time(timer: bool, state: str) -> None:
    """A pending promise ends exactly at its deadline, resolved when it is a timer, with no value and no key."""
    machine = Machine()
    machine.apply(CreatePromise("p", 1000, "k", timer=timer), 0)
    machine.tick(999)
    assert machine.apply(GetPromise("p"), 999).state == "PENDING"
    machine.tick(5000)
    record = machine.promises["p"]
    assert (record.state, record.completed_on, record.value, record.key_for_complete) == (state, 1000, (None, None), None)


@pytest.mark.parametrize("looks", [GetPromise("p"), ListDescendants("p"), Subscribe("p", "s", ADDRESS, FAR)])
def test_no_look_sees_a_pending_promise_past_its_deadline(looks: Any) -> None:
    """Reading moves an expired promise to its final state even before the tick."""
    machine = Machine()
    machine.apply(CreatePromise("p", 1000, lineage=Lineage("p", "p", None, "run", "f")), 0)
    answer = machine.apply(looks, 1000)
    record = answer[0] if isinstance(answer, (list, tuple)) else answer
    assert record.state == "REJECTED_TIMEDOUT"


def test_a_promise_may_be_born_expired() -> None:
    """A deadline in the past is accepted, and the first look ends the promise."""
    machine = Machine()
    assert machine.apply(CreatePromise("p", 5), 10).state == "PENDING"
    assert machine.next_due() == 5
    assert machine.apply(GetPromise("p"), 10).state == "REJECTED_TIMEDOUT"


def test_unknown_promises_are_refused() -> None:
    """Whatever names a promise that is not there is refused with 40400."""
    for operation in (GetPromise("p"), SettlePromise("p", "RESOLVED"), RegisterCallback("p", "r", ADDRESS, 1),
                      Subscribe("p", "s", ADDRESS, 1)):
        assert refused(Machine(), operation, 0) == 40400


def test_descendants_come_in_the_order_of_creation() -> None:
    """A call graph is listed with every promise of its origin, oldest first, and no other."""
    machine = Machine()
    for name, origin in (("a", "a"), ("b", "b"), ("a.2", "a"), ("a.1", "a")):
        machine.apply(CreatePromise(name, FAR, lineage=Lineage(origin, origin, None, "run", "f")), 0)
    machine.apply(CreatePromise("free", FAR), 0)
    assert [record.id for record in machine.apply(ListDescendants("a"), 1)] == ["a", "a.2", "a.1"]
    assert machine.apply(ListDescendants("nobody"), 1) == []


def test_records_are_never_changed_once_handed_out() -> None:
    """A transition makes a new record; the one that was handed out stays as it was."""
    machine = Machine()
    before = machine.apply(CreatePromise("p", FAR), 0)
    copy = dataclasses.replace(before)
    machine.apply(SettlePromise("p", "RESOLVED", (None, "1")), 1)
    assert before == copy


# ---- tasks -----------------------------------------------------------------------------------------------------------------------


def invoked(machine: Machine, name: str = "r", now: int = 0, timeout: int = FAR) -> TaskMessage:
    machine.apply(CreatePromise(name, timeout, name, target="poll://any@default"), now)
    (message,) = machine.take_messages()
    assert isinstance(message, TaskMessage)
    return message


def claimed(machine: Machine, name: str = "r", now: int = 0, pid: str = "w1", ttl: int = 1000) -> Lease:
    message = invoked(machine, name, now)
    answer: Claimed = machine.apply(ClaimTask(message.id, message.counter, pid, ttl), now)
    return answer.lease


def test_a_target_gives_birth_to_an_invoke_task() -> None:
    """A promise with a target is announced at once under `__invoke:<id>` with counter 1; one without a target is not."""
    machine = Machine()
    message = invoked(machine)
    assert (message.kind, message.id, message.counter, message.root, message.recv) == ("invoke", "__invoke:r", 1, "r",
        "poll://any@default")
    machine.apply(CreatePromise("plain", FAR), 0)
    assert machine.take_messages() == []


def test_claim_checks_in_the_servers_order() -> None:
    """Claiming is refused as missing, claimed, completed, then for its counter; in that order."""
    machine = Machine()
    assert refused(machine, ClaimTask("__invoke:r", 1, "w", 10), 0) == 40403
    message = invoked(machine)
    assert refused(machine, ClaimTask(message.id, 2, "w", 10), 0) == 40308
    machine.apply(ClaimTask(message.id, 1, "w", 10), 0)
    assert refused(machine, ClaimTask(message.id, 7, "w2", 10), 0) == 40306
    machine.apply(CompleteTask(message.id, 1), 1)
    assert refused(machine, ClaimTask(message.id, 7, "w2", 10), 1) == 40307


def test_claiming_gives_the_root_and_the_awaited_promise() -> None:
    """A claimed invoke has no leaf; a claimed resume has the settled promise as its leaf."""
    machine = Machine()
    lease = claimed(machine)
    machine.apply(CreatePromise("r.1", FAR), 0)
    assert machine.apply(Park(lease, ["r.1"], ADDRESS, FAR), 1) == []
    machine.apply(SettlePromise("r.1", "RESOLVED", (None, "7")), 2)
    (message,) = machine.take_messages()
    assert (message.kind, message.id, message.recv) == ("resume", "__resume:r:r.1", ADDRESS)
    answer = machine.apply(ClaimTask(message.id, 1, "w1", 1000), 3)
    assert (answer.root.id, answer.leaf.value, answer.lease) == ("r", (None, "7"), Lease("r", message.id, 1))


def test_complete_table_of_tasks() -> None:
    """Completing ends a claimed task once; a repeat is answered, a stale counter is 40308, an unclaimed one 40309."""
    machine = Machine()
    assert refused(machine, CompleteTask("__invoke:r", 1), 0) == 40403
    message = invoked(machine)
    assert refused(machine, CompleteTask(message.id, 2), 0) == 40308
    assert refused(machine, CompleteTask(message.id, 1), 0) == 40309
    machine.apply(ClaimTask(message.id, 1, "w", 10), 0)
    assert refused(machine, CompleteTask(message.id, 2), 0) == 40308
    assert machine.apply(CompleteTask(message.id, 1), 1).state == "COMPLETED"
    assert machine.apply(CompleteTask(message.id, 9), 1).state == "COMPLETED"


def test_dropping_sends_the_task_out_again() -> None:
    """A dropped task goes out at once with the next counter; dropping what is not claimed does nothing."""
    machine = Machine()
    assert refused(machine, DropTask("__invoke:r", 1), 0) == 40403
    lease = claimed(machine)
    assert refused(machine, DropTask(lease.task, 2), 1) == 40308
    machine.apply(DropTask(lease.task, 1), 1)
    (message,) = machine.take_messages()
    assert (message.id, message.counter) == (lease.task, 2)
    machine.apply(DropTask(lease.task, 99), 1)
    assert machine.take_messages() == []


def test_a_lapsed_lease_goes_out_with_the_next_counter() -> None:
    """A lease that is not kept alive lapses at its time, not before, and the earlier counter is worth nothing."""
    machine = Machine()
    lease = claimed(machine, ttl=1000)
    assert machine.next_due() == 1000
    machine.tick(999)
    assert machine.take_messages() == []
    machine.tick(1000)
    (message,) = machine.take_messages()
    assert message.counter == 2
    assert refused(machine, ClaimTask(lease.task, 1, "w1", 10), 1000) == 40308
    assert refused(machine, CompleteTask(lease.task, 1), 1000) == 40308


def test_heartbeats_extend_what_the_process_holds_and_nothing_else() -> None:
    """A heartbeat counts and extends the leases of its own process only."""
    machine = Machine()
    for name, pid in (("a", "w1"), ("b", "w1"), ("c", "w2")):
        claimed(machine, name, pid=pid, ttl=1000)
    assert machine.apply(Heartbeat("w1"), 900) == 2
    assert machine.apply(Heartbeat("nobody"), 900) == 0
    machine.tick(1000)
    assert [message.root for message in machine.take_messages()] == ["c"]
    machine.tick(1900)
    assert sorted(message.root for message in machine.take_messages()) == ["a", "b"]


def test_an_unclaimed_message_is_sent_again_after_the_window() -> None:
    """What nobody claims within the window goes out with the next counter."""
    machine = Machine()
    invoked(machine)
    machine.tick(TASK_CLAIM_WINDOW_MS - 1)
    assert machine.take_messages() == []
    machine.tick(TASK_CLAIM_WINDOW_MS)
    assert [message.counter for message in machine.take_messages()] == [2]


def test_a_failed_delivery_is_tried_again_with_the_same_counter() -> None:
    """A message without receiver goes out again after the retry time; a late report about it changes nothing."""
    machine = Machine()
    message = invoked(machine)
    machine.apply(DeliveryFailed(message.id, 1), 5)
    assert machine.next_due() == 5 + TASK_RETRY_MS
    machine.tick(5 + TASK_RETRY_MS)
    assert [each.counter for each in machine.take_messages()] == [1]
    machine.apply(ClaimTask(message.id, 1, "w", 100), 5 + TASK_RETRY_MS)
    machine.apply(DeliveryFailed(message.id, 1), 5 + TASK_RETRY_MS)
    assert machine.tasks[message.id].state == "CLAIMED"


def test_one_task_of_a_run_at_a_time_oldest_first() -> None:
    """While one task of a run is out, its others wait; they follow one by one in the order of their birth."""
    machine = Machine()
    lease = claimed(machine)
    names = ["r.3", "r.1", "r.2"]
    for name in names:
        machine.apply(CreatePromise(name, FAR), 0)
        machine.apply(RegisterCallback(name, "r", ADDRESS, FAR), 0)
    for name in names:
        machine.apply(SettlePromise(name, "RESOLVED"), 1)
    assert machine.take_messages() == []
    machine.apply(CompleteTask(lease.task, 1), 2)
    seen = []
    for _ in names:
        (message,) = machine.take_messages()
        seen.append(message.id)
        machine.apply(ClaimTask(message.id, 1, "w1", 1000), 3)
        machine.apply(CompleteTask(message.id, 1), 4)
    assert seen == [f"__resume:r:{name}" for name in names]
    assert machine.take_messages() == []


def test_settling_a_run_ends_all_its_tasks() -> None:
    """When a run's promise settles, its tasks are over, whoever holds them, and nothing is sent any more."""
    machine = Machine()
    lease = claimed(machine)
    machine.apply(CreatePromise("r.1", FAR), 0)
    machine.apply(RegisterCallback("r.1", "r", ADDRESS, FAR), 0)
    machine.apply(SettlePromise("r", "REJECTED_CANCELED"), 1)
    assert machine.tasks[lease.task].state == "COMPLETED"
    assert machine.apply(Heartbeat("w1"), 1) == 0
    machine.apply(SettlePromise("r.1", "RESOLVED"), 2)
    assert machine.take_messages() == []
    assert refused(machine, CreatePromise("r.2", FAR, lease=lease), 3) == 41200


@pytest.mark.parametrize("ends", ["lapse", "complete", "drop", "settle"])
def test_whoever_lost_the_lease_is_refused_wherever_it_is_named(ends: str) -> None:
    """A lease that is over fences create, settle and park with 41200, and nothing is changed."""
    machine = Machine()
    lease = claimed(machine, ttl=1000)
    machine.apply(CreatePromise("r.1", FAR, "r.1", lease=lease), 1)
    if ends == "lapse":
        machine.tick(1000)
    elif ends == "settle":
        machine.apply(SettlePromise("r", "RESOLVED"), 2)
    else:
        machine.apply(CompleteTask(lease.task, 1) if ends == "complete" else DropTask(lease.task, 1), 2)
    for operation in (
        CreatePromise("r.2", FAR, "r.2", lease=lease), CreatePromise("r.1", FAR, "r.1", lease=lease),
        SettlePromise("r.1", "RESOLVED", adopt=True, lease=lease), Park(lease, ["r.1"], ADDRESS, FAR),
    ):  # fmt: skip
        assert refused(machine, operation, 1001) == 41200
    assert machine.promises["r.1"].state == "PENDING"
    assert "r.2" not in machine.promises


def test_an_operation_without_a_lease_is_not_fenced() -> None:
    """Legacy clients name no lease, and are served."""
    machine = Machine()
    claimed(machine)
    machine.apply(CreatePromise("r.1", FAR), 1)
    assert machine.apply(SettlePromise("r.1", "RESOLVED"), 1).state == "RESOLVED"


def test_create_leased_holds_the_lease_from_the_start() -> None:
    """A run that is created with its lease is not announced; joining it gives no lease, and without a target there is none."""
    machine = Machine()
    create = CreatePromise("r", FAR, "r", target="poll://any@default")
    record, lease = machine.apply(CreateLeased(create, "w1", 1000), 0)
    assert (record.state, lease) == ("PENDING", Lease("r", "__invoke:r", 1))
    assert machine.take_messages() == []
    assert machine.apply(CreateLeased(create, "w2", 1000), 1)[1] is None
    assert refused(machine, CreateLeased(CreatePromise("r", FAR, "other"), "w2", 1000), 1) == 40900
    assert machine.apply(CreateLeased(CreatePromise("plain", FAR), "w1", 10), 1)[1] is None
    machine.tick(1000)
    assert [message.counter for message in machine.take_messages()] == [2]


def test_parking_on_what_is_settled_keeps_the_lease() -> None:
    """Park answers the promises that are settled already and keeps the lease; otherwise it gives the lease back."""
    machine = Machine()
    lease = claimed(machine, ttl=1000)
    for name in ("r.1", "r.2"):
        machine.apply(CreatePromise(name, 5000, timer=name == "r.2"), 0)
    machine.apply(SettlePromise("r.1", "RESOLVED"), 1)
    assert [record.id for record in machine.apply(Park(lease, ["r.1", "r.2"], ADDRESS, FAR), 2)] == ["r.1"]
    assert machine.tasks[lease.task].state == "CLAIMED"
    assert machine.apply(Park(lease, ["r.2"], ADDRESS, FAR), 3) == []
    assert machine.tasks[lease.task].state == "COMPLETED"
    machine.tick(5000)
    assert [message.id for message in machine.take_messages()] == ["__resume:r:r.2"]


def test_parking_sees_a_deadline_that_has_passed() -> None:
    """A timer that is due counts as settled when a run parks on it, before any tick."""
    machine = Machine()
    lease = claimed(machine)
    machine.apply(CreatePromise("r.1", 50, timer=True), 0)
    assert [record.state for record in machine.apply(Park(lease, ["r.1"], ADDRESS, FAR), 50)] == ["RESOLVED"]


def test_parking_on_something_unknown_changes_nothing() -> None:
    """A park that names an unknown promise is refused and the lease stays."""
    machine = Machine()
    lease = claimed(machine)
    assert refused(machine, Park(lease, ["nothing"], ADDRESS, FAR), 1) == 40400
    assert machine.tasks[lease.task].state == "CLAIMED"


def test_callbacks_and_subscriptions_fire_once() -> None:
    """A settled promise resumes each run and notifies each address once; repeats of a callback make no second."""
    machine = Machine()
    lease = claimed(machine)
    machine.apply(CompleteTask(lease.task, 1), 0)
    machine.apply(CreatePromise("x", FAR), 0)
    assert machine.apply(RegisterCallback("x", "r", ADDRESS, FAR), 1)[1].id == "__resume:r:x"
    assert machine.apply(RegisterCallback("x", "r", ADDRESS, FAR), 1)[1] is None
    assert machine.apply(Subscribe("x", "w9", "poll://uni@default/w9", FAR), 1)[1].id == "__notify:x:w9"
    assert machine.apply(Subscribe("x", "w9", "poll://uni@default/w9", FAR), 1)[1] is None
    machine.apply(SettlePromise("x", "RESOLVED", (None, "1"), "K"), 2)
    messages = machine.take_messages()
    notices = [each for each in messages if isinstance(each, NotifyMessage)]
    assert [(each.recv, each.promise.value) for each in notices] == [("poll://uni@default/w9", (None, "1"))]
    assert [each.id for each in messages if isinstance(each, TaskMessage)] == ["__resume:r:x"]
    machine.apply(SettlePromise("x", "RESOLVED", key="K"), 3)
    assert machine.take_messages() == []
    assert machine.apply(Subscribe("x", "w8", ADDRESS, FAR), 3)[0].state == "RESOLVED"


def test_a_promise_cannot_wait_for_itself() -> None:
    """A callback of a promise on itself is refused."""
    machine = Machine()
    machine.apply(CreatePromise("x", FAR), 0)
    assert refused(machine, RegisterCallback("x", "x", ADDRESS, FAR), 0) == 40000


def test_the_deadline_of_a_run_ends_its_tasks() -> None:
    """A run that times out gives its lease no further chance, and its waiters are woken."""
    machine = Machine()
    message = invoked(machine, timeout=500)
    machine.apply(ClaimTask(message.id, 1, "w1", 1000), 0)
    machine.apply(Subscribe("r", "w9", ADDRESS, FAR), 0)
    machine.tick(2000)
    assert [each.promise.state for each in machine.take_messages() if isinstance(each, NotifyMessage)] == ["REJECTED_TIMEDOUT"]
    assert machine.tasks[message.id].state == "COMPLETED"
    machine.tick(machine.next_due() or 0)  # the lease that is over was still to be looked at
    assert machine.next_due() is None


def test_a_task_is_not_sent_beyond_its_own_timeout() -> None:
    """A resume task that nobody can take (its run is unknown) is sent again until its timeout, and then no more."""
    machine = Machine()
    machine.apply(CreatePromise("x", FAR), 0)
    machine.apply(RegisterCallback("x", "unknown", ADDRESS, 100_000), 0)
    machine.apply(SettlePromise("x", "RESOLVED"), 1)
    (message,) = machine.take_messages()
    assert refused(machine, ClaimTask(message.id, 1, "w1", 10), 2) == 40400
    machine.tick(60_001)
    assert [each.counter for each in machine.take_messages()] == [2]
    machine.tick(120_001)
    assert machine.take_messages() == []
    assert machine.tasks[message.id].state == "TIMEDOUT"
    assert refused(machine, ClaimTask(message.id, 2, "w1", 10), 120_002) in (40307, 40400)
    assert machine.next_due() is None


# ---- random walks ----------------------------------------------------------------------------------------------------------------


class Walk:
    """Random operations on one machine, with a shadow of what must come of them."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.machine = Machine()
        self.now = 0
        self.settled: dict[str, PromiseRecord] = {}
        self.inbox: list[TaskMessage] = []
        self.leases: list[Lease] = []
        self.notices_due: set[tuple[str, str]] = set()
        self.resumes_due: set[tuple[str, str]] = set()
        self.refusals = 0

    def step(self) -> None:
        chance, machine = self.chance, self.machine
        names = [*machine.promises, "nobody"]
        name = chance.choice(names)
        lease = chance.choice([*self.leases[-6:], None])
        pid = chance.choice(("w1", "w2"))
        kind = chance.randrange(16)
        operation: Any
        if kind <= 2:
            fresh = f"p{chance.randrange(60)}"
            operation = CreatePromise(
                fresh, self.now + chance.choice((0, 5, 300, 5000)), chance.choice((fresh, "k", None)), chance.random() < 0.2,
                target="poll://any@g" if chance.random() < 0.4 else None, timer=chance.random() < 0.3,
                lineage=Lineage("o", "o", None, "run", "f"), lease=lease if chance.random() < 0.3 else None,
            )  # fmt: skip
        elif kind == 3:
            operation = CreateLeased(CreatePromise(f"p{chance.randrange(60)}", self.now + 4000, "k", target="poll://any@g"), pid,
                                     200)
        elif kind <= 5:
            operation = SettlePromise(
                name, chance.choice(SETTLED), key=chance.choice(("K", None)), strict=chance.random() < 0.3,
                adopt=chance.random() < 0.3, lease=lease if chance.random() < 0.3 else None,
            )  # fmt: skip
        elif kind == 6:
            operation = RegisterCallback(name, chance.choice(names), f"poll://any@g/{pid}", FAR)
        elif kind == 7:
            operation = Subscribe(name, pid, f"poll://uni@g/{pid}", FAR)
        elif kind == 8 and lease is not None:
            operation = Park(lease, chance.sample(list(machine.promises), min(2, len(machine.promises))), f"poll://any@g/{pid}",
                             FAR)
        elif kind <= 10 and self.inbox:
            message = self.inbox.pop(chance.randrange(len(self.inbox)))
            undelivered = DeliveryFailed(message.id, message.counter)
            operation = undelivered if chance.random() < 0.2 else ClaimTask(message.id, message.counter, pid, 200)
        elif kind == 11 and lease is not None:
            operation = chance.choice((CompleteTask, DropTask))(lease.task, lease.counter)
        elif kind == 12:
            operation = Heartbeat(pid)
        elif kind == 13:
            operation = GetPromise(name)
        else:
            self.now += chance.choice((1, 20, 250))
            machine.tick(self.now)
            assert not [each for each in machine.promises.values() if each.state == "PENDING" and each.timeout <= self.now]
            return
        self.apply(operation)

    def apply(self, operation: Any) -> None:
        machine = self.machine
        held = {task.id: task.counter for task in machine.tasks.values() if task.state == "CLAIMED"}
        try:
            answer = machine.apply(operation, self.now)
        except ResonateStoreError:
            self.refusals += 1
            return
        finally:
            lease = getattr(operation, "lease", None)
        if lease is not None:
            assert held.get(lease.task) == lease.counter, f"{operation} was served under a lease that is over"
        if isinstance(operation, ClaimTask):
            self.leases.append(answer.lease)
        if isinstance(operation, CreateLeased) and answer[1] is not None:
            self.leases.append(answer[1])
        if isinstance(operation, Park) and not answer:
            self.resumes_due |= {(operation.lease.root, each) for each in operation.promises if each != operation.lease.root}
        if isinstance(operation, RegisterCallback) and answer[1] is not None:
            self.resumes_due.add((operation.root, operation.promise))
        if isinstance(operation, Subscribe) and answer[1] is not None:
            self.notices_due.add((operation.promise, operation.recv))

    def check(self) -> None:
        machine = self.machine
        for message in machine.take_messages():
            if isinstance(message, TaskMessage):
                self.inbox.append(message)
            else:
                self.notices_due.remove((message.promise.id, message.recv))  # KeyError: told twice, or nobody asked
        for record in machine.promises.values():
            assert self.settled.get(record.id, record) == record, "a settled promise changed"
            if record.state != "PENDING":
                self.settled[record.id] = record
        for promise_id, recv in self.notices_due:
            assert machine.promises[promise_id].state == "PENDING", f"{recv} was never told of {promise_id}"
        for root, promise_id in [each for each in self.resumes_due if machine.promises[each[1]].state != "PENDING"]:
            assert f"__resume:{root}:{promise_id}" in machine.tasks, f"{root} is never resumed"
            self.resumes_due.discard((root, promise_id))
        self.check_tasks()

    def check_tasks(self) -> None:
        machine = self.machine
        due = [each.timeout for each in machine.promises.values() if each.state == "PENDING"]
        active: dict[str, str] = {}
        waiting: dict[str, list[bool]] = {}
        for task in machine.tasks.values():
            root = machine.promises.get(task.root)
            if task.state in ("ENQUEUED", "CLAIMED"):
                assert task.root not in active, f"{task.root} has two tasks at work: {active[task.root]}, {task.id}"
                active[task.root] = task.id
                due.append(task.expires_at)
            elif task.state == "INIT":
                waiting.setdefault(task.root, []).append(task.expires_at > 0)
                due += [task.expires_at] if task.expires_at else []
            if root is not None and root.state != "PENDING":
                assert task.state in ("COMPLETED", "TIMEDOUT"), "a settled run has a task"
        for root_id, timed in waiting.items():
            assert root_id in active or any(timed), f"{root_id} has work that nobody is sent and no time to look again"
        said = machine.next_due()
        assert not due or (said is not None and said <= min(due)), f"next due is {said}, but something is due at {min(due)}"


@pytest.mark.parametrize("seed", range(60))
def test_random_walks_keep_every_law(seed: int) -> None:
    """Whatever is asked in whatever order: settled promises stay, one task of a run is at work, no waiter is lost, next_due is true."""
    walk = Walk(seed)
    for _ in range(250):
        walk.step()
        walk.check()
    assert len(walk.settled) > 5
    assert walk.refusals > 5
    # Once time passes and whoever is called answers, everything comes to its end and nothing is left behind.
    for _ in range(500):
        due = walk.machine.next_due()
        if due is None and not walk.inbox:
            break
        walk.now = max(walk.now, due or 0)
        walk.machine.tick(walk.now)
        walk.check()
        for message in walk.inbox:
            walk.apply(ClaimTask(message.id, message.counter, "w1", 100))
            if message.root in walk.machine.promises:
                walk.apply(SettlePromise(message.root, "RESOLVED", adopt=True))
            else:
                walk.apply(CompleteTask(message.id, message.counter))
        walk.inbox.clear()
        walk.check()
    assert walk.machine.next_due() is None
    assert walk.machine._held == {} == walk.machine._open_tasks == walk.machine._active_task
    assert walk.machine._deadlines == {}


def test_the_heaps_stay_in_proportion_to_what_is_alive() -> None:
    """Ten thousand promises and tasks that come and go leave no trail in the heaps."""
    machine = Machine()
    for number in range(10_000):
        name = f"p{number}"
        machine.apply(CreateLeased(CreatePromise(name, 10**9 + number, name, target="poll://any@g"), "w1", 1000), number)
        machine.apply(SettlePromise(name, "RESOLVED"), number)
    assert len(machine._deadline_heap) <= 200
    assert len(machine._task_heap) <= 200
    assert machine._open_tasks == {} == machine._held
