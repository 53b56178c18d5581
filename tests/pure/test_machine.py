"""What only the pure machine offers: adopting, parking, fencing by leases, and random walks that must never break an invariant.

The rules that every store shows through its faces are in `tests/laws`.
"""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from resonate.errors import ResonateStoreError
from resonate.limits import TASK_CLAIM_WINDOW_MS, TASK_RETRY_MS
from resonate.machine import Machine
from resonate.protocol import (
    Claimed,
    ClaimTask,
    CompleteTask,
    CreateLeased,
    CreatePromise,
    CreateSchedule,
    DeliveryFailed,
    DropTask,
    GetPromise,
    Heartbeat,
    Lease,
    Lineage,
    ListDescendants,
    Park,
    PromiseRecord,
    Prune,
    RegisterCallback,
    SettlePromise,
    Subscribe,
    TaskMessage,
)
from resonate.stores.archive import Archive

FAR = 10_000_000
ADDRESS = "poll://any@default/w1"
SETTLED = ("RESOLVED", "REJECTED", "REJECTED_CANCELED")


def code(error: ResonateStoreError) -> int:
    """The server's code behind `100.40301`, whose trailing zeros a float has lost."""
    return int(f"{error.code:.5f}".partition(".")[2])


def refused(machine: Machine, operation: Any, now: int) -> int:
    with pytest.raises(ResonateStoreError) as caught:
        machine.apply(operation, now)
    return code(caught.value)


# ---- promises --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("current", [*SETTLED, "REJECTED_TIMEDOUT", "expired", "expired timer"])
def test_adopting_takes_what_is_there(current: str) -> None:
    """Settling with `adopt` never refuses a settled promise: its first settlement is the answer."""
    machine = Machine()
    machine.apply(CreatePromise("p", 1000, "k", timer=current == "expired timer"), 0)
    if current in SETTLED:
        machine.apply(SettlePromise("p", current, (None, "1"), key="K"), 50)  # type: ignore[arg-type]
    if current == "REJECTED_TIMEDOUT":
        machine.tick(1000)
    expected = {"expired": "REJECTED_TIMEDOUT", "expired timer": "RESOLVED"}.get(current, current)
    assert machine.apply(SettlePromise("p", "REJECTED", (None, "late"), "x", adopt=True), 2000).state == expected


@pytest.mark.parametrize("looks", [ListDescendants("p"), Subscribe("p", "s", ADDRESS, FAR)])
def test_no_look_sees_a_pending_promise_past_its_deadline(looks: Any) -> None:
    """Listing and subscribing move an expired promise to its final state even before the tick."""
    machine = Machine()
    machine.apply(CreatePromise("p", 1000, lineage=Lineage("p", "p", None, "run", "f")), 0)
    record, *_ = machine.apply(looks, 1000)
    assert record.state == "REJECTED_TIMEDOUT"


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


def test_parking_ends_in_a_resume_with_what_was_awaited() -> None:
    """A run that parked is resumed when its promise settles, and its next lease comes with that promise."""
    machine = Machine()
    lease = claimed(machine)
    machine.apply(CreatePromise("r.1", FAR), 0)
    assert machine.apply(Park(lease, ["r.1"], ADDRESS, FAR), 1) == []
    machine.apply(SettlePromise("r.1", "RESOLVED", (None, "7")), 2)
    (message,) = machine.take_messages()
    assert (message.kind, message.id, message.recv) == ("resume", "__resume:r:r.1", ADDRESS)
    answer = machine.apply(ClaimTask(message.id, 1, "w1", 1000), 3)
    assert (answer.root.id, answer.leaf.value, answer.lease) == ("r", (None, "7"), Lease("r", message.id, 1))


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


@pytest.mark.parametrize("state", ["CLAIMED", "ENQUEUED", "INIT"])
def test_a_clock_that_is_put_back_makes_no_wait_longer(state: str) -> None:
    """What began under a clock that was an hour ahead lasts no longer, once that is put right, than it was meant to."""
    machine, ahead, now = Machine(), 3_600_000 + 5, 5
    message = invoked(machine)
    machine.tick(ahead - 1)
    if state == "CLAIMED":
        machine.apply(ClaimTask(message.id, machine.tasks[message.id].counter, "w", 2000), ahead)
    elif state == "INIT":
        machine.apply(DeliveryFailed(message.id, machine.tasks[message.id].counter), ahead)
    assert machine.tasks[message.id].state == state
    machine.take_messages()
    machine.tick(now)
    meant = {"CLAIMED": 2000, "ENQUEUED": TASK_CLAIM_WINDOW_MS, "INIT": TASK_RETRY_MS}[state]
    assert machine.next_due() == now + meant
    machine.tick(now + meant)
    assert [each.id for each in machine.take_messages()] == [message.id]


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

    def state(self) -> Any:
        machine = self.machine
        tasks = [(task.id, task.state, task.counter) for task in machine.tasks.values()]
        return dict(machine.promises), tasks, {each: list(callbacks) for each, callbacks in machine._callbacks.items()}

    def apply(self, operation: Any) -> None:
        machine = self.machine
        held = {task.id: task.counter for task in machine.tasks.values() if task.state == "CLAIMED"}
        before = self.state()
        try:
            answer = machine.apply(operation, self.now)
        except ResonateStoreError:
            self.refusals += 1
            return
        finally:
            lease = getattr(operation, "lease", None)
        if lease is not None and held.get(lease.task) != lease.counter:
            assert self.state() == before, f"{operation} changed something under a lease that is over"
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
                # Tasks of a run that is past its deadline wait for that deadline to be seen, and end with it.
                ends = root is not None and root.timeout <= self.now
                waiting.setdefault(task.root, []).append(ends or task.expires_at > 0)
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


def test_a_schedule_that_is_over_is_not_begun_again() -> None:
    """Whoever loads a schedule of which the last time has been leaves it so, also who knew it before, and where its promise was pruned."""

    def once(cron: str, after: int) -> int:
        if after >= 10:
            raise ValueError("there is no further time")
        return 10

    machine = Machine(once)
    machine.apply(CreateSchedule("s", "", "p", 5), 0)
    another, third = Machine(once), Machine(once)
    third.install_schedule("s", machine.schedules["s"])
    machine.tick(10)
    machine.tick(20)
    assert machine.apply(Prune(20), 20) == ["p"]
    for each in (another, third):
        each.install_schedule("s", machine.schedules["s"])
        each.tick(30)
        assert each.promises == {}
        assert each.next_due() is None


def test_what_was_pruned_is_not_put_away() -> None:
    """Putting away what is over neither misses the tasks of runs that were pruned, nor takes a run's task that was made anew since."""
    machine = Machine(None, Archive(), resident_limit=3)

    def run(name: str, now: int) -> None:
        machine.apply(CreateLeased(CreatePromise(name, FAR, name, target="poll://any@g"), "w1", 1000), now)

    for name in ("pruned", "anew"):
        run(name, 0)
        machine.apply(SettlePromise(name, "RESOLVED"), 0)
    assert sorted(machine.apply(Prune(1), 1)) == ["anew", "pruned"]
    run("anew", 2)
    for number in range(8):
        run(f"p{number}", 3)
        machine.apply(SettlePromise(f"p{number}", "RESOLVED"), 3)
        machine.put_away()
    assert machine.held_by("w1") == [DropTask("__invoke:anew", 1)]
    assert len(machine.tasks) < 8
