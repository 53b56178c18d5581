"""Bugs on purpose, each a small change of the server, the computation or the driver: the simulation must find every one of them.

A name says what is wrong. What the simulation itself once found in the code that ships stays here, so that it is found again.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from resonate import machine
from resonate.computation import BLOCKED, ENDING, Computation, Node
from resonate.context import Context
from resonate.coroutine import Command
from resonate.errors import ResonateStoreError
from resonate.machine import Machine
from resonate.protocol import (
    ClaimTask,
    CompleteTask,
    CreateLeased,
    CreatePromise,
    Heartbeat,
    Lease,
    Park,
    PromiseRecord,
    SettlePromise,
    Subscribe,
    TaskRecord,
)
from tests.sim.worker import Asked, Worker
from tests.sim.world import World

Patch = pytest.MonkeyPatch
BUGS: dict[str, Callable[[Patch], None]] = {}


def bug(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
    BUGS[plant.__name__] = plant
    return plant


def rule(patch: Patch, kind: type, changed: Callable[[Callable[..., Any], Machine, Any, int], Any]) -> None:
    """Change what the server does with one kind of operation; `changed` is given what it did before."""
    before = machine._RULES[kind]  # type: ignore[attr-defined]
    patch.setitem(machine._RULES, kind, lambda self, operation, now: changed(before, self, operation, now))  # type: ignore[attr-defined]


# ---- the server: promises ------------------------------------------------------------------------------------------------------------


@bug
def a_settled_promise_is_settled_again(patch: Patch) -> None:
    def settle(before: Any, self: Machine, operation: SettlePromise, now: int) -> PromiseRecord:
        record: PromiseRecord = before(self, operation, now)
        if operation.adopt and record.state != operation.state:
            record = self.promises[record.id] = replace(record, state=operation.state, value=operation.value)
        return record

    rule(patch, SettlePromise, settle)


@bug
def a_settlement_after_the_deadline_is_taken(patch: Patch) -> None:
    def settle(before: Any, self: Machine, operation: SettlePromise, now: int) -> PromiseRecord:
        known = self.promises.get(operation.id)
        if known is not None and known.state == "PENDING" and known.timeout <= now:
            return self._finish(known, operation.state, operation.value, operation.key, now, now)
        record: PromiseRecord = before(self, operation, now)
        return record

    rule(patch, SettlePromise, settle)


@bug
def a_timer_ends_as_a_timeout(patch: Patch) -> None:
    def expire(self: Machine, record: PromiseRecord, now: int) -> PromiseRecord:
        return self._finish(record, "REJECTED_TIMEDOUT", (None, None), None, record.timeout, now)

    patch.setattr(Machine, "_expire", expire)


@bug
def creating_again_makes_it_anew(patch: Patch) -> None:
    def create(before: Any, self: Machine, operation: CreatePromise, now: int) -> PromiseRecord:
        record: PromiseRecord = before(self, operation, now)
        if record.timeout != operation.timeout and record.state == "PENDING":
            record = self.promises[record.id] = replace(record, timeout=operation.timeout)
        return record

    rule(patch, CreatePromise, create)


@bug
def deadlines_pass_unseen(patch: Patch) -> None:
    before = Machine.tick

    def tick(self: Machine, now: int) -> None:
        while self._deadline_heap and self._deadline_heap[0] <= now:
            heapq.heappop(self._deadline_heap)
        before(self, now)

    patch.setattr(Machine, "tick", tick)


# ---- the server: callbacks -----------------------------------------------------------------------------------------------------------


@bug
def parking_does_not_see_what_has_settled_meanwhile(patch: Patch) -> None:
    def park(before: Any, self: Machine, operation: Park, now: int) -> Any:
        answer = before(self, operation, now)
        if answer:
            self._complete(CompleteTask(operation.lease.task, operation.lease.counter), now)
        return []

    rule(patch, Park, park)


@bug
def parking_keeps_the_lease(patch: Patch) -> None:
    patch.setattr(Machine, "_complete", lambda self, operation, now: None)


@bug
def one_of_two_waiters_is_forgotten(patch: Patch) -> None:
    before = Machine._wake

    def wake(self: Machine, record: PromiseRecord, waiting: dict[str, Any], now: int) -> None:
        runs = [name for name, callback in waiting.items() if callback.kind == "resume"]
        before(self, record, {name: each for name, each in waiting.items() if len(runs) < 2 or name != runs[-1]}, now)

    patch.setattr(Machine, "_wake", wake)


@bug
def subscribers_are_not_told(patch: Patch) -> None:
    before = Machine._wake

    def wake(self: Machine, record: PromiseRecord, waiting: dict[str, Any], now: int) -> None:
        before(self, record, {name: each for name, each in waiting.items() if each.kind == "resume" or record.state == "RESOLVED"}, now)

    patch.setattr(Machine, "_wake", wake)


@bug
def a_settled_promise_takes_callbacks(patch: Patch) -> None:
    def subscribe(before: Any, self: Machine, operation: Subscribe, now: int) -> Any:
        answer = before(self, operation, now)
        if answer[1] is None:
            self._callbacks.setdefault(operation.promise, {})
        return answer

    rule(patch, Subscribe, subscribe)


# ---- the server: tasks and leases ----------------------------------------------------------------------------------------------------


@bug
def the_lease_counter_is_ignored(patch: Patch) -> None:
    def check(self: Machine, lease: Lease) -> None:
        task = self.tasks.get(lease.task)
        if task is None or task.state != "CLAIMED":
            raise ResonateStoreError("not held", 41200)

    patch.setattr(Machine, "_check_lease", check)


@bug
def a_lease_is_not_checked_at_all(patch: Patch) -> None:
    patch.setattr(Machine, "_check_lease", lambda self, lease: None)


@bug
def a_counter_is_used_again(patch: Patch) -> None:
    before = Machine._lapse

    def lapse(self: Machine, task: TaskRecord, now: int) -> None:
        if task.state == "CLAIMED":
            task.counter -= 1
        before(self, task, now)

    patch.setattr(Machine, "_lapse", lapse)


@bug
def a_claimed_task_is_claimed_by_another(patch: Patch) -> None:
    def claim(before: Any, self: Machine, operation: ClaimTask, now: int) -> Any:
        task = self.tasks.get(operation.id)
        if task is not None and task.state == "CLAIMED" and task.counter == operation.counter:
            task.state = "ENQUEUED"
        return before(self, operation, now)

    rule(patch, ClaimTask, claim)


@bug
def any_counter_can_be_claimed(patch: Patch) -> None:
    def claim(before: Any, self: Machine, operation: ClaimTask, now: int) -> Any:
        task = self.tasks.get(operation.id)
        return before(self, replace(operation, counter=task.counter) if task is not None else operation, now)

    rule(patch, ClaimTask, claim)


@bug
def heartbeats_extend_nothing(patch: Patch) -> None:
    rule(patch, Heartbeat, lambda before, self, operation, now: 0)


@bug
def a_lease_lapses_at_half_its_time(patch: Patch) -> None:
    before = Machine._claim
    patch.setattr(Machine, "_claim", lambda self, task, pid, ttl, now: before(self, task, pid, ttl // 2, now))


@bug
def expiry_is_compared_as_a_tuple(patch: Patch) -> None:
    before = Machine.tick

    def tick(self: Machine, now: int) -> None:
        kept, self._task_heap = self._task_heap, []
        before(self, now)
        self._task_heap += kept
        heapq.heapify(self._task_heap)
        while self._task_heap and self._task_heap[0] < (now, ""):  # what is due exactly now is not smaller
            due, task_id = heapq.heappop(self._task_heap)
            task = self.tasks[task_id]
            if task.state in ("INIT", "ENQUEUED", "CLAIMED") and task.expires_at:
                if task.expires_at > due:
                    heapq.heappush(self._task_heap, (task.expires_at, task_id))
                else:
                    self._lapse(task, now)

    patch.setattr(Machine, "tick", tick)


@bug
def a_lapsed_task_is_not_sent_again(patch: Patch) -> None:
    def lapse(self: Machine, task: TaskRecord, now: int) -> None:
        task.counter += 1
        self._release(task)
        task.state, task.pid, task.expires_at = "INIT", None, 0

    patch.setattr(Machine, "_lapse", lapse)


@bug
def the_next_task_of_a_run_is_not_sent(patch: Patch) -> None:
    before = Machine._complete

    def complete(self: Machine, operation: CompleteTask, now: int) -> TaskRecord:
        send, self._send_next = self._send_next, lambda root, now: None  # type: ignore[method-assign, assignment, misc]
        try:
            return before(self, operation, now)
        finally:
            self._send_next = send  # type: ignore[method-assign]

    patch.setattr(Machine, "_complete", complete)


@bug
def several_tasks_of_a_run_are_sent(patch: Patch) -> None:
    before = Machine._send_next

    def send_next(self: Machine, root: str, now: int) -> None:
        self._active_task.pop(root, None)
        before(self, root, now)

    patch.setattr(Machine, "_send_next", send_next)


@bug
def tasks_stay_open_when_the_run_is_over(patch: Patch) -> None:
    patch.setattr(Machine, "_close_tasks", lambda self, root, now: None)


@bug
def an_undelivered_task_is_forgotten(patch: Patch) -> None:
    before = Machine._delivery_failed

    def failed(_: Any, self: Machine, operation: Any, now: int) -> None:
        before(self, operation, now)
        self.tasks[operation.id].expires_at = 0

    rule(patch, machine.DeliveryFailed, failed)


@bug
def the_server_oversleeps_its_leases(patch: Patch) -> None:
    patch.setattr(Machine, "next_due", lambda self: min(self._deadlines, default=None))


# ---- the server: schedules -----------------------------------------------------------------------------------------------------------


@bug
def a_schedule_leaves_out_what_it_missed(patch: Patch) -> None:
    before = Machine.tick

    def tick(self: Machine, now: int) -> None:
        for schedule in list(self.schedules.values()):
            while schedule.next_run <= now and schedule.next_run != schedule.last_run:
                try:
                    schedule = replace(schedule, last_run=schedule.next_run, next_run=self._next_run("", schedule.next_run))  # noqa: PLW2901
                except ValueError:
                    break
                self.schedules[schedule.id] = schedule
                self._schedule_heap = [(schedule.next_run, schedule.id)]
        before(self, now)

    patch.setattr(Machine, "tick", tick)


@bug
def a_schedules_runs_are_counted_from_now(patch: Patch) -> None:
    before = Machine._create

    def create(self: Machine, operation: CreatePromise, now: int, **more: Any) -> PromiseRecord:
        if operation.tags and "resonate:schedule" in operation.tags:
            operation = replace(operation, timeout=now + 10**11)
        return before(self, operation, now, **more)

    patch.setattr(Machine, "_create", create)


# ---- the computation -----------------------------------------------------------------------------------------------------------------


@bug
def a_childs_deadline_is_not_cut_at_its_parents(patch: Patch) -> None:
    before = Computation._begin

    def begin(self: Computation, parent: Node, command: Command[Any]) -> Node:
        deadline, parent.deadline = parent.deadline, 10**15
        try:
            return before(self, parent, command)
        finally:
            parent.deadline = deadline

    patch.setattr(Computation, "_begin", begin)


@bug
def each_attempt_numbers_its_children_on(patch: Patch) -> None:
    before = Context.__init__

    def init(self: Context, id: str, info: Any, *args: Any, **kwargs: Any) -> None:
        before(self, id, info, *args, **kwargs)
        self._children = 10 * (info.attempt - 1)

    patch.setattr(Context, "__init__", init)


@bug
def a_settlement_by_another_is_not_adopted(patch: Patch) -> None:
    before = Computation._send

    def send(self: Computation, operation: Any, *more: Any) -> None:
        before(self, replace(operation, adopt=False, key=None) if isinstance(operation, SettlePromise) else operation, *more)

    patch.setattr(Computation, "_send", send)


@bug
def a_settlement_by_another_is_overlooked(patch: Patch) -> None:
    before = Computation._settled

    def settled(self: Computation, node: Node, answer: Any) -> None:
        if isinstance(answer, PromiseRecord) and node.outcome is not None:
            answer = replace(answer, state=node.outcome[0], value=node.outcome[1])
        before(self, node, answer)

    patch.setattr(Computation, "_settled", settled)


@bug
def calls_that_are_not_awaited_are_forgotten(patch: Patch) -> None:
    before = Computation._end

    def end(self: Computation, node: Node) -> None:
        node.outstanding = None
        before(self, node)

    patch.setattr(Computation, "_end", end)


@bug
def a_failure_is_not_tried_again(patch: Patch) -> None:
    before = Computation._conclude

    def conclude(self: Computation, node: Node) -> bool:
        node.delay = None
        return before(self, node)

    patch.setattr(Computation, "_conclude", conclude)


@bug
def a_replay_calls_what_has_settled(patch: Patch) -> None:
    before = Computation._begun

    def begun(self: Computation, node: Node, record: PromiseRecord, **more: Any) -> None:
        if record.state == "RESOLVED" and node.command is not None and node.command.kind == "run":
            record = replace(record, state="PENDING")
        before(self, node, record, **more)

    patch.setattr(Computation, "_begun", begun)


@bug
def only_the_first_who_waits_is_woken(patch: Patch) -> None:
    before = Computation._complete

    def complete(self: Computation, node: Node) -> None:
        del node.waiters[1:]
        before(self, node)

    patch.setattr(Computation, "_complete", complete)


@bug
def a_resumed_run_is_not_told_of_what(patch: Patch) -> None:
    before = Computation.resumed
    patch.setattr(Computation, "resumed", _named("resumed", lambda self, lease, leaf, alone: before(self, lease, None, alone)))


@bug
def a_parked_run_goes_on_without_a_lease(patch: Patch) -> None:
    def noticed(self: Computation, record: PromiseRecord) -> None:
        if not self.finished:
            self._settled_elsewhere(record)
            self._rest()

    patch.setattr(Computation, "noticed", noticed)


@bug
def parking_keeps_the_lease_in_mind(patch: Patch) -> None:
    before = Computation._answered_park

    def answered(self: Computation, node: Node, answer: Any) -> None:
        lease = self.lease
        before(self, node, answer)
        self.lease = lease

    patch.setattr(Computation, "_answered_park", answered)


@bug
def a_run_that_is_over_ends_again(patch: Patch) -> None:
    before = Computation._finish

    def finish(self: Computation, record: PromiseRecord | None, *more: Any) -> None:
        before(self, record, *more)
        if record is not None and record.state != "RESOLVED":
            before(self, record)

    patch.setattr(Computation, "_finish", finish)


@bug
def a_run_settles_while_its_parts_are_at_work(patch: Patch) -> None:
    before = Computation._end

    def end(self: Computation, node: Node) -> None:
        before(self, node)
        if node is self.root and node.phase == ENDING:
            node.open = 0
            self._settle(node)

    patch.setattr(Computation, "_end", end)


@bug
def a_run_parks_before_its_parts_are_awaited(patch: Patch) -> None:
    before = Computation._wait_for

    def wait_for(self: Computation, external: Node) -> None:
        if any(waiter.phase == BLOCKED for waiter in external.waiters) or not external.waiters:
            before(self, external)

    patch.setattr(Computation, "_wait_for", wait_for)


# ---- the driver ----------------------------------------------------------------------------------------------------------------------


@bug
def a_run_is_resumed_without_a_claim(patch: Patch) -> None:
    before = Worker.accept

    def accept(self: Worker, message: Any) -> None:
        run = self.runs.get(message.root)
        if run is None:
            before(self, message)
        else:
            leaf = self.world.machine.promises[message.id.rpartition(":")[2]] if message.kind == "resume" else None
            self.bring(run, Computation.resumed, Lease(message.root, message.id, message.counter), leaf)

    patch.setattr(Worker, "accept", accept)


@bug
def a_lost_reply_is_taken_for_a_refusal(patch: Patch) -> None:
    before = World.send

    def send(self: World, worker: Worker, asked: Asked) -> None:
        asked.repeats = False
        before(self, worker, asked)

    patch.setattr(World, "send", send)


@bug
def news_of_the_run_itself_is_dropped(patch: Patch) -> None:
    patch.setattr(Computation, "settled_outside", _named("settled_outside", lambda self, record: None))


def _named(name: str, function: Any) -> Any:
    function.__name__ = name
    return function


# ---- found by the simulation in the code that shipped: a reply that is lost makes a request come twice ---------------------------------


@bug
def found_a_claim_cannot_be_repeated(patch: Patch) -> None:
    rule(patch, ClaimTask, lambda before, self, operation, now: before(self, replace(operation, adopt=False), now))


@bug
def found_a_leased_creation_cannot_be_repeated(patch: Patch) -> None:
    rule(patch, CreateLeased, lambda before, self, operation, now: before(self, replace(operation, adopt=False), now))


@bug
def found_a_settlement_that_ended_its_lease_cannot_be_repeated(patch: Patch) -> None:
    def settle(before: Any, self: Machine, operation: SettlePromise, now: int) -> Any:
        if operation.lease is not None:
            self._check_lease(operation.lease)
        return before(self, operation, now)

    rule(patch, SettlePromise, settle)


@bug
def found_a_park_cannot_be_repeated(patch: Patch) -> None:
    def park(before: Any, self: Machine, operation: Park, now: int) -> Any:
        self._check_lease(operation.lease)
        return before(self, operation, now)

    rule(patch, Park, park)


@bug
def found_an_old_refusal_ends_a_run_that_holds_a_new_lease(patch: Patch) -> None:
    patch.setattr(Computation, "_refused", lambda self, send, answer: self.lost())


@bug
def found_a_dropped_run_keeps_its_lease(patch: Patch) -> None:
    before = Computation._finish

    def finish(self: Computation, record: PromiseRecord | None, *more: Any) -> None:
        self.lease = None
        before(self, record, *more)

    patch.setattr(Computation, "_finish", finish)


@bug
def found_a_claim_after_the_end_is_kept(patch: Patch) -> None:
    before = Computation.resumed

    def resumed(self: Computation, *more: Any) -> None:
        if not self.finished:
            before(self, *more)

    patch.setattr(Computation, "resumed", resumed)


# ---- found by the simulation in the code that shipped: whose wake-ups and news are whose ------------------------------------------------


@bug
def found_a_park_counts_on_a_wake_up_that_another_worker_took(patch: Patch) -> None:
    before = Computation.resumed
    patch.setattr(Computation, "resumed", _named("resumed", lambda self, lease, leaf, alone: before(self, lease, leaf, True)))


@bug
def found_news_that_comes_while_parked_is_not_asked_for_again(patch: Patch) -> None:
    before = Computation.noticed

    def noticed(self: Computation, record: PromiseRecord) -> None:
        if not self.parked and self._parking is None:
            before(self, record)

    patch.setattr(Computation, "noticed", noticed)


@bug
def found_a_run_that_could_not_park_does_not_hear_of_what_else_it_waits_for(patch: Patch) -> None:
    before = Computation._answered_park

    def answered(self: Computation, node: Node, answer: Any) -> None:
        patch.setattr(self, "_watch_anew", lambda: None)
        before(self, node, answer)
        patch.delattr(self, "_watch_anew")

    patch.setattr(Computation, "_answered_park", answered)


@bug
def found_a_settlement_overtakes_what_the_function_detached(patch: Patch) -> None:
    before = Computation._end

    def end(self: Computation, node: Node) -> None:
        children = node.outstanding or {}
        node.outstanding = {name: each for name, each in children.items() if each.command is None or each.command.kind != "detached"}
        before(self, node)

    patch.setattr(Computation, "_end", end)
