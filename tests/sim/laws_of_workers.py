"""The laws of workers: what they hold against what the server has. See `laws`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from resonate.computation import Computation, Send
from resonate.protocol import ClaimTask, CreateLeased, DropTask, Lease, NotifyMessage, Subscribe, TaskRecord
from tests.sim.laws import OF_WORKERS, LawBook, law

if TYPE_CHECKING:
    from tests.sim.worker import Run, Worker


def _live(book: LawBook) -> list[tuple[Worker, Run, Computation]]:
    return [
        (worker, run, run.computation) for worker in book.world.workers if worker.lives for run in worker.all_runs
        if not run.computation.finished
    ]  # fmt: skip


@law(OF_WORKERS)
def lease_has_one_believer(book: LawBook) -> str | None:
    """no two computations go by the same lease, and each goes by one that its worker was granted"""
    believed: set[tuple[str, int]] = set()
    for worker, run, computation in _live(book):
        lease = computation.lease
        if lease is not None:
            key = (lease.task, lease.counter)
            if key in believed or book.granted.get(key) != worker.pid:
                return f"{worker} advances {run.id} under {lease}, granted to {book.granted.get(key)}"
            believed.add(key)
    return None


@law(OF_WORKERS)
def lease_has_a_worker(book: LawBook) -> str | None:
    """a lease that is kept alive has somebody at work under it"""
    for task in book.machine.tasks.values():
        if task.state == "CLAIMED":
            worker = next((each for each in book.world.workers if each.lives and each.pid == task.pid), None)
            if worker is not None and not worker.frozen and not _works_at(worker, task, task.counter):
                return f"{worker} keeps {task.id} {task.counter} alive and does nothing for it"
    return None


def _works_at(worker: Worker, task: TaskRecord, counter: int) -> bool:
    believed = [run.computation.lease for run in worker.all_runs if not run.computation.finished]
    believed += [*worker.halted.values()]
    believed += [each for run in worker.all_runs for _, arguments in run.mailbox for each in arguments if isinstance(each, Lease)]
    if any(lease is not None and (lease.task, lease.counter) == (task.id, counter) for lease in believed):
        return True
    for asked in worker.asked.values():  # the answer is on its way
        operation = asked.operations[0]
        if isinstance(operation, (ClaimTask, DropTask)) and operation.id == task.id:
            return True
        if isinstance(operation, CreateLeased) and operation.promise.id == task.root:
            return True
    return False


@law(OF_WORKERS)
def parked_is_at_rest(book: LawBook) -> str | None:
    """a run that is parked holds no lease and has nothing under way but what asks for news"""
    for worker, run, computation in _live(book):
        if computation.parked and (computation.lease is not None or computation.busy):
            return f"{worker}: {run.id} is parked with {computation.lease}, {computation.busy} things under way"
    return None


@law(OF_WORKERS)
def work_is_counted(book: LawBook) -> str | None:
    """what a run believes to be under way is under way, and while it is not parked there is something"""
    for worker, run, computation in _live(book):
        if run.mailbox or run.is_blocked or computation.actions:
            continue  # in the middle of it
        if computation.busy != run.under_way or (computation.lease is not None and not run.under_way):
            return f"{worker}: {run.id} believes in {computation.busy} things under way, there are {run.under_way}"
    return None


@law(OF_WORKERS)
def one_computation(book: LawBook) -> str | None:
    """one process has one live computation of a run"""
    seen: set[tuple[str, str]] = set()
    for worker, run, _ in _live(book):
        if (worker.pid, run.id) in seen:
            return f"{worker} has {run.id} twice"
        seen.add((worker.pid, run.id))
    return None


@law(OF_WORKERS)
def at_work_it_hears(book: LawBook) -> str | None:
    """while a run is at work, news of all that it waits for is asked for, or is on the way to it"""
    if book.world.setup.lost or book.world.setup.late or book.world.setup.disk:
        return None  # news may be lost: the run learns of it when it parks
    for worker, run, computation in _live(book):
        lease = computation.lease
        is_at_work = computation.busy and lease is not None and computation._parking is None and book.is_held(lease)
        if not is_at_work or run.mailbox or run.is_blocked or computation.actions:
            continue
        for promise_id in computation.waiting:
            record = book.machine.promises[promise_id]
            callbacks = book.machine._callbacks.get(promise_id, {}).values()
            is_heard = record.state == "PENDING" and any(each.recv == worker.notice_address for each in callbacks)
            if not is_heard and promise_id not in _on_the_way(book, worker, run):
                return f"{worker}: {run.id} is at work and does not hear of {record}"
    return None


def _on_the_way(book: LawBook, worker: Worker, run: Run) -> Iterator[str]:
    """What news is on the way of to a run: asked for, sent, or received and not read yet."""
    for thing in book.world.things.values():
        message = getattr(thing, "message", None) or getattr(thing, "what", None)
        if isinstance(message, NotifyMessage) and message.recv == worker.notice_address:
            yield message.promise.id
    asked = [operation for each in worker.asked.values() for operation in each.operations]
    asked += [send.operation for send in run.outbox if isinstance(send, Send)]
    yield from (operation.promise for operation in asked if isinstance(operation, Subscribe))


@law(OF_WORKERS)
def parked_it_is_woken(book: LawBook) -> str | None:
    """a run that is parked by the worker who parked it last is woken by each promise that it waits for"""
    tasks = book.machine.tasks.values()
    for worker, run, computation in _live(book):
        if not computation.parked or book.parked_by.get(run.id) != worker.pid or book.machine.promises[run.id].state != "PENDING":
            continue
        if any(task.root == run.id and task.state == "CLAIMED" for task in tasks):
            continue  # it is about to be resumed
        for promise_id in computation.waiting:
            if book.machine.promises[promise_id].state == "PENDING":
                fine = f"__resume:{run.id}:{promise_id}" in book.machine._callbacks.get(promise_id, {})
            else:
                woken = [task for task in tasks if (task.kind, task.root, task.promise) == ("resume", run.id, promise_id)]
                fine = any(task.state in ("INIT", "ENQUEUED") for task in woken)
            if not fine:
                return f"{worker}: {run.id} is parked, and {promise_id} does not wake it"
    return None
