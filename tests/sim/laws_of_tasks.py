"""The laws of tasks and leases, of schedules, and of time. See `laws`."""

from __future__ import annotations

from resonate.errors import ResonateStoreError
from resonate.limits import TASK_CLAIM_WINDOW_MS, TASK_RETRY_MS
from resonate.protocol import (
    Claimed,
    ClaimTask,
    CreateLeased,
    CreateSchedule,
    DeliveryFailed,
    DropTask,
    Heartbeat,
    Park,
    ScheduleRecord,
    TaskMessage,
    TaskRecord,
)
from tests.sim.laws import OF_SCHEDULES, OF_STEPS, OF_TASKS, OF_THE_SERVER, OPEN, LawBook, Was, law

_NEXT_STATES = {
    "INIT": {"INIT", "ENQUEUED", "CLAIMED", "COMPLETED", "TIMEDOUT"},
    "ENQUEUED": {"INIT", "ENQUEUED", "CLAIMED", "COMPLETED", "TIMEDOUT"},
    "CLAIMED": {"INIT", "ENQUEUED", "CLAIMED", "COMPLETED", "TIMEDOUT"},
    "COMPLETED": {"COMPLETED"},
    "TIMEDOUT": {"TIMEDOUT"},
}


# ---- one task's transition ---------------------------------------------------------------------------------------------------------------


@law(OF_TASKS)
def task_table(book: LawBook, task: TaskRecord, was: Was | None) -> str | None:
    """a task's state only follows its table; what is completed stays so"""
    return None if was is None or task.state in _NEXT_STATES[was.state] else f"{task.id}: {was.state} became {task.state}"


@law(OF_TASKS)
def counter_goes_up(book: LawBook, task: TaskRecord, was: Was | None) -> str | None:
    """a task's counter starts at 1, never goes back, and each step up ends a claim or an offer"""
    if was is None:
        return None if task.counter == 1 else f"{task.id} begins with {task.counter}"
    if task.counter == was.counter:
        fine = not (was.state == "CLAIMED" and task.state in ("INIT", "ENQUEUED"))
    else:
        fine = task.counter == was.counter + 1 and was.state in ("ENQUEUED", "CLAIMED")
    return None if fine else f"{task.id}: {was} became {task.state}, {task.counter}"


@law(OF_TASKS)
def lease_lasts(book: LawBook, task: TaskRecord, was: Was | None) -> str | None:
    """nobody loses a lease before it lapses, unless he gives it back or its run is over"""
    if was is None or was.state != "CLAIMED" or task.counter == was.counter:
        return None
    operation = book.operation
    dropped = isinstance(operation, DropTask) and (operation.id, operation.counter) == (task.id, was.counter)
    until = book.lease_until.get((task.id, was.counter), 0)
    return None if dropped or book.now >= until else f"{task.id} {was.counter} of {was.pid} lasts until {until}, it is {book.now}"


@law(OF_TASKS)
def claimed_by_claim(book: LawBook, task: TaskRecord, was: Was | None) -> str | None:
    """a task is claimed only by who asks for it, with the counter of its offer"""
    operation = book.operation
    if task.state != "CLAIMED" or (was is not None and was[:3] == ("CLAIMED", task.counter, task.pid)):
        return None
    if isinstance(operation, CreateLeased):
        fine = was is None and task.id == f"__invoke:{operation.promise.id}" and task.pid == operation.pid
    else:
        fine = isinstance(operation, ClaimTask) and operation.id == task.id and operation.pid == task.pid
        fine = fine and operation.counter == task.counter and (was is None or was.state in ("INIT", "ENQUEUED"))
    return None if fine else f"{task.id} became claimed by {operation}"


@law(OF_TASKS)
def completed_by_its_holder(book: LawBook, task: TaskRecord, was: Was | None) -> str | None:
    """a claimed task ends when its holder parks, or when its run is over"""
    if was is None or was.state != "CLAIMED" or task.state != "COMPLETED" or book.machine.promises[task.root].state != "PENDING":
        return None
    operation = book.operation
    fine = isinstance(operation, Park) and operation.lease.task == task.id and operation.lease.counter == was.counter
    return None if fine and book.worker is not None and book.worker.pid == was.pid else f"{task.id} of {was.pid} by {operation}"


@law(OF_TASKS)
def task_identity_is_kept(book: LawBook, task: TaskRecord, was: Was | None) -> str | None:
    """what a task was made for never changes: its kind, run, promise, address, deadline and age"""
    return f"{task}, once {was.fixed}" if was is not None and was.fixed != Was.of(task).fixed else None


@law(OF_TASKS)
def completed_is_frozen(book: LawBook, task: TaskRecord, was: Was | None) -> str | None:
    """a task that is done with never changes, and nothing of it falls due"""
    if task.state in OPEN:
        return None
    frozen = was is None or was.state in OPEN or was == Was.of(task)
    return None if frozen and not task.expires_at else f"{was} became {task}"


@law(OF_TASKS)
def completed_has_an_end(book: LawBook, task: TaskRecord, was: Was | None) -> str | None:
    """an open task has no time of its end, one that is done with ended after it was made and not later than now"""
    if was is None and task.state == "COMPLETED":
        return None  # its run was over when it was made
    if task.state in OPEN:
        return None if task.completed_on is None else str(task)
    fine = task.completed_on is not None and (task.completed_on <= book.now)
    return None if fine else f"{task} at {book.now}"


@law(OF_TASKS)
def born_with_its_cause(book: LawBook, task: TaskRecord, was: Was | None) -> str | None:
    """an invoke task is made with its promise, for its target and deadline; a resume task when what it waits for settles"""
    if was is not None:
        return None
    (old, new), *_ = [each for each in book.table.written if each[1].id == task.promise] or [(None, None)]
    if new is None or task.created_on != book.now or task.completed_on is not None:
        return f"{task} at {book.now}"
    if task.kind == "invoke":
        fine = old is None and (task.id, task.root, task.recv, task.timeout) == (f"__invoke:{new.id}", new.id, new.target, new.timeout)
    else:
        fine = new.state != "PENDING" and task.root != task.promise
    return None if fine else f"{task} for {new}"


@law(OF_TASKS)
def holder_is_stable(book: LawBook, task: TaskRecord, was: Was | None) -> str | None:
    """under one counter a claimed task keeps its holder"""
    same = was is not None and was.state == task.state == "CLAIMED" and was.counter == task.counter
    return f"{was} became {task}" if same and was is not None and was.pid != task.pid else None


@law(OF_TASKS)
def lease_is_as_long_as_asked(book: LawBook, task: TaskRecord, was: Was | None) -> str | None:
    """a lease lasts from its claim, and from each sign of life of its holder, as long as its holder asked for"""
    operation = book.operation
    if task.state != "CLAIMED" or (was is not None and was[:5] == ("CLAIMED", task.counter, task.pid, task.ttl, task.expires_at)):
        return None
    if isinstance(operation, Heartbeat):
        fine = was is not None and operation.pid == task.pid and task.ttl == was.ttl
    else:
        fine = isinstance(operation, (ClaimTask, CreateLeased)) and (operation.pid, operation.ttl) == (task.pid, task.ttl)
    return None if fine and task.ttl > 0 and task.expires_at == book.now + task.ttl else f"{was} became {task} by {operation} at {book.now}"


@law(OF_TASKS)
def offer_lasts(book: LawBook, task: TaskRecord, was: Was | None) -> str | None:
    """an offer stands for its whole time unless it is taken, cannot be delivered, or its run is over"""
    if task.state == "ENQUEUED" and (was is None or (was.state, was.counter) != ("ENQUEUED", task.counter)):
        return None if task.expires_at == book.now + TASK_CLAIM_WINDOW_MS else f"{task} at {book.now}"
    if was is None or was.state != "ENQUEUED" or task.state in ("CLAIMED", "COMPLETED"):
        return None
    undelivered = isinstance(book.operation, DeliveryFailed) and book.operation.id == task.id and task.counter == was.counter
    fine = was == Was.of(task) or undelivered or was.expires_at <= book.now
    return None if fine else f"{was} became {task} by {book.operation} at {book.now}"


@law(OF_TASKS)
def undelivered_waits(book: LawBook, task: TaskRecord, was: Was | None) -> str | None:
    """a task that is neither offered nor claimed falls due only if it could not be delivered, a fixed time after that"""
    if task.state != "INIT" or not task.expires_at or (was is not None and (was.state, was.expires_at) == ("INIT", task.expires_at)):
        return None
    fine = isinstance(book.operation, DeliveryFailed) and task.expires_at == book.now + TASK_RETRY_MS
    return None if fine else f"{task} at {book.now}"


@law(OF_TASKS)
def timed_out_by_its_deadline(book: LawBook, task: TaskRecord, was: Was | None) -> str | None:
    """a task times out only when its deadline has passed"""
    return f"{task} at {book.now}" if task.state == "TIMEDOUT" and task.timeout > book.now else None


# ---- one step: what is asked, answered and said ------------------------------------------------------------------------------------


def _offers(book: LawBook) -> list[TaskMessage]:
    return [message for message in book.messages if isinstance(message, TaskMessage)]


@law(OF_STEPS)
def offers_are_true(book: LawBook) -> str | None:
    """an offer names a task that is to be claimed, its present counter, its run and where it is for"""
    for offer in _offers(book):
        task = book.machine.tasks.get(offer.id)
        if task is None:
            return f"{offer} of nothing"
        wanted = (task.state, task.counter, task.root, task.recv, task.kind)
        if wanted != ("ENQUEUED", offer.counter, offer.root, offer.recv, offer.kind):
            return f"{offer} of {task}"
    return None


@law(OF_STEPS)
def each_offer_is_sent_once(book: LawBook) -> str | None:
    """each task that is offered goes out in that step, once, and no other does"""
    offered = [
        (task.id, task.counter) for task, was in book.changed
        if task.state == "ENQUEUED" and (was is None or (was.state, was.counter) != ("ENQUEUED", task.counter))
    ]  # fmt: skip
    sent = [(offer.id, offer.counter) for offer in _offers(book)]
    return f"{sorted(offered)} are offered, {sorted(sent)} are sent" if sorted(offered) != sorted(sent) else None


@law(OF_STEPS)
def no_offer_of_the_dead(book: LawBook) -> str | None:
    """no work is offered for a run that is over, or past its deadline"""
    for offer in _offers(book):
        run = book.machine.promises[offer.root]
        if run.state != "PENDING" or run.timeout <= book.now:
            return f"{offer} of {run} at {book.now}"
    return None


@law(OF_STEPS)
def oldest_first(book: LawBook) -> str | None:
    """of the tasks of a run that could be offered, the oldest is"""
    for offer in _offers(book):
        task = book.machine.tasks[offer.id]
        for other in book.machine.tasks.values():
            passed_over = other.root == task.root and other.state == "INIT" and other.expires_at <= book.now
            if passed_over and other.created_on < task.created_on:
                return f"{task} goes before {other}"
    return None


@law(OF_STEPS)
def claims_are_told_truly(book: LawBook) -> str | None:
    """who claims a run is given it as it is: pending, under the lease that he asked for, with the settled promise that it waited for"""
    operation, answer = book.operation, book.answer
    if isinstance(operation, CreateLeased) and isinstance(answer, tuple) and answer[1] is not None:
        record, lease = answer
        task = book.machine.tasks[lease.task]
        fine = lease == (record.id, f"__invoke:{record.id}", task.counter) and (task.state, task.pid) == ("CLAIMED", operation.pid)
        return None if fine else f"{operation} is answered {answer}; {task}"
    if not isinstance(operation, ClaimTask) or not isinstance(answer, Claimed):
        return None
    task, promises = book.machine.tasks[operation.id], book.machine.promises
    leaf = promises[task.promise] if task.kind == "resume" else None
    fine = answer.lease == (task.root, task.id, operation.counter) and answer.root == promises[task.root] and answer.leaf == leaf
    fine = fine and answer.root.state == "PENDING" and (leaf is None or leaf.state != "PENDING")
    return None if fine and (task.state, task.pid) == ("CLAIMED", operation.pid) else f"{operation} is answered {answer}; {task}"


@law(OF_STEPS)
def claims_are_refused_truly(book: LawBook) -> str | None:
    """a claim is refused only for what is there: another's claim, a task that is done with, another counter"""
    operation, answer = book.operation, book.answer
    if not isinstance(operation, (ClaimTask, DropTask)) or not isinstance(answer, ResonateStoreError):
        return None
    task = book.machine.tasks[operation.id]
    code = f"{answer.code:.5f}".partition(".")[2]
    reasons = {"40306": task.state == "CLAIMED", "40307": task.state not in OPEN, "40308": task.counter != operation.counter}
    return None if reasons.get(code) else f"{operation} is refused with {code}; {task}"


@law(OF_STEPS)
def not_held_is_true(book: LawBook) -> str | None:
    """who is told that he does not hold a lease did not hold it"""
    answer = book.answer
    is_told = isinstance(answer, ResonateStoreError) and f"{answer.code:.5f}".endswith("41200")
    return f"{book.operation} is refused" if is_told and book.was_held else None


@law(OF_STEPS)
def parked_or_not(book: LawBook) -> str | None:
    """a park either ends the lease, or names what has settled of that which it named, and changes nothing"""
    operation, answer = book.operation, book.answer
    if not isinstance(operation, Park) or not isinstance(answer, list):
        return None
    task = book.machine.tasks[operation.lease.task]
    if not answer:
        return None if (task.state, task.counter) == ("COMPLETED", operation.lease.counter) else f"{operation} is granted; {task}"
    fine = all(record.state != "PENDING" and record.id in operation.promises for record in answer)
    heard = [each for each, known in book.machine._callbacks.items() if known.keys() - book.callbacks.get(each, {}).keys()]
    return None if fine and not heard and book.is_held(operation.lease) else f"{operation} is answered {answer}; {task}, {heard}"


@law(OF_STEPS)
def given_back_is_given_on(book: LawBook) -> str | None:
    """a lease that is given back ends at once, and what it was for goes out again under the next counter"""
    operation = book.operation
    if not isinstance(operation, DropTask) or book.answer is not True:
        return None
    was, task = book.tasks.get(operation.id), book.machine.tasks[operation.id]
    fine = was is not None and was[:2] == ("CLAIMED", operation.counter) and task.state in ("INIT", "ENQUEUED")
    return None if fine and task.counter == operation.counter + 1 else f"{was} became {task} by {operation}"


@law(OF_STEPS)
def heartbeats_are_counted(book: LawBook) -> str | None:
    """a sign of life is answered with the number of leases that it prolongs: all of that holder, and no other"""
    operation = book.operation
    if not isinstance(operation, Heartbeat):
        return None
    held = [task for task in book.machine.tasks.values() if task.state == "CLAIMED" and task.pid == operation.pid]
    prolonged = all(task.expires_at == book.now + task.ttl for task in held)
    return None if prolonged and len(held) == book.answer else f"{operation} is answered {book.answer}; {held} at {book.now}"


# ---- one schedule's transition ---------------------------------------------------------------------------------------------------


@law(OF_SCHEDULES)
def schedule_is_kept(book: LawBook, old: ScheduleRecord | None, new: ScheduleRecord) -> str | None:
    """what a schedule was created with never changes, and it is what was asked for"""
    names = ("id", "cron", "promise_id", "promise_timeout", "promise_param", "promise_tags", "key")
    if old is None:
        asked = book.operation
        fine = isinstance(asked, CreateSchedule) and all(getattr(asked, name) == getattr(new, name) for name in names)
        return None if fine and new.last_run is None and new.created_on == book.now else f"{new} by {asked}"
    return None if all(getattr(old, name) == getattr(new, name) for name in (*names, "created_on")) else f"{old} became {new}"


@law(OF_SCHEDULES)
def schedule_goes_on(book: LawBook, old: ScheduleRecord | None, new: ScheduleRecord) -> str | None:
    """a schedule goes on from one time to the next, each after the one before, and runs each not before it is due"""
    if old is None:
        return None if new.created_on < new.next_run else str(new)
    fine = new.last_run is not None and old.next_run <= new.last_run <= new.next_run and new.last_run <= book.now
    return None if fine and (old.last_run is None or old.last_run < (new.last_run or 0)) else f"{old} became {new} at {book.now}"


@law(OF_SCHEDULES)
def no_time_is_missed(book: LawBook, old: ScheduleRecord | None, new: ScheduleRecord) -> str | None:
    """at each time that a schedule names its promise is made, with the deadline that it asks for from that time on"""
    missed = []
    due = old.next_run if old is not None else None
    while due is not None and new.last_run is not None and due <= new.last_run:
        record = book.machine.promises.get(new.promise_id.replace("{{.timestamp}}", str(due)))
        if record is None or record.timeout != due + new.promise_timeout or record.param != new.promise_param:
            missed.append((due, record))
        try:
            due = book.machine._next_run(new.cron, due)
        except ValueError:
            due = None
    return f"{new} at {book.now}: {missed}" if missed else None


# ---- the server's state ------------------------------------------------------------------------------------------------------------


@law(OF_THE_SERVER)
def one_holder(book: LawBook) -> str | None:
    """at most one task of a run is offered or claimed"""
    roots = [task.root for task in book.machine.tasks.values() if task.state in ("ENQUEUED", "CLAIMED")]
    return f"several of {roots}" if len(roots) != len(set(roots)) else None


@law(OF_THE_SERVER)
def claimed_has_holder(book: LawBook) -> str | None:
    """an open task names a holder exactly if it is claimed, and an offer or a claim has an end"""
    for task in book.machine.tasks.values():
        if task.state in OPEN and ((task.pid is not None) != (task.state == "CLAIMED") or (task.state != "INIT" and not task.expires_at)):
            return str(task)
    return None


@law(OF_THE_SERVER)
def no_task_of_the_dead(book: LawBook) -> str | None:
    """a run that is over has no open task"""
    for task in book.machine.tasks.values():
        if task.state in OPEN and book.machine.promises[task.root].state != "PENDING":
            return f"{task} of {task.root}"
    return None


@law(OF_THE_SERVER)
def no_waiter_is_lost(book: LawBook) -> str | None:
    """a run that is pending has an open task, or waits for a promise that is pending, or is over by its deadline"""
    busy = {task.root for task in book.machine.tasks.values() if task.state in OPEN}
    waiting = {each.root for callbacks in book.machine._callbacks.values() for each in callbacks.values() if each.kind == "resume"}
    for record in book.machine.promises.values():
        is_run = record.target is not None and record.state == "PENDING" and record.timeout > book.now
        if is_run and record.id not in busy and record.id not in waiting:
            return f"nothing will ever wake {record.id}"
    return None


@law(OF_THE_SERVER)
def each_waiter_is_kept(book: LawBook) -> str | None:
    """each run that parked on a promise waits for it, and gets a task of its own once that has settled"""
    for promise_id, roots in list(book.waits.items()):
        settled = book.machine.promises[promise_id].state != "PENDING"
        kept = book.machine._callbacks.get(promise_id, {})
        for root in roots:
            name = f"__resume:{root}:{promise_id}"
            if name not in (book.machine.tasks if settled else kept):
                return f"{root} waits for {promise_id}, which does not know of it"
        if settled:
            del book.waits[promise_id]
    return None


@law(OF_THE_SERVER)
def no_callback_of_the_settled(book: LawBook) -> str | None:
    """only a pending promise has callbacks"""
    for promise_id in book.machine._callbacks:
        if book.machine.promises[promise_id].state != "PENDING":
            return promise_id
    return None


@law(OF_THE_SERVER)
def alarm_is_set(book: LawBook) -> str | None:
    """the server asks to be woken no later than when the next thing falls due"""
    dues = [each.timeout for each in book.machine.promises.values() if each.state == "PENDING"]
    dues += [task.expires_at for task in book.machine.tasks.values() if task.state in OPEN and task.expires_at]
    dues += [each.next_run for each in book.machine.schedules.values() if each.next_run != each.last_run]
    asked = book.machine.next_due()
    return f"due {min(dues)}, asked for {asked}" if dues and (asked is None or asked > min(dues)) else None


@law(OF_THE_SERVER)
def nothing_lingers(book: LawBook) -> str | None:
    """after a tick nothing is left that was due"""
    if book.operation is not None:
        return None
    late = [each.id for each in book.machine.promises.values() if each.state == "PENDING" and each.timeout <= book.now]
    late += [task.id for task in book.machine.tasks.values() if task.state in OPEN and 0 < task.expires_at <= book.now]
    late += [each.id for each in book.machine.schedules.values() if each.next_run <= book.now and each.next_run != each.last_run]
    return f"{late} at {book.now}" if late else None


@law(OF_THE_SERVER)
def offers_are_sent(book: LawBook) -> str | None:
    """a run with open tasks has one of them offered or claimed, or one that waits for its time, or is over by its deadline"""
    promises = book.machine.promises
    roots = {task.root for task in book.machine.tasks.values() if task.state in OPEN and promises[task.root].timeout > book.now}
    for task in book.machine.tasks.values():
        if task.state in ("ENQUEUED", "CLAIMED") or (task.state == "INIT" and task.expires_at):
            roots.discard(task.root)
    return f"{sorted(roots)}" if roots else None


@law(OF_THE_SERVER)
def open_tasks_are_indexed(book: LawBook) -> str | None:
    """the server knows the open tasks of each run, and which of them is offered or claimed"""
    wanted: dict[str, set[str]] = {}
    active: dict[str, str] = {}
    for task in book.machine.tasks.values():
        if task.state in OPEN:
            wanted.setdefault(task.root, set()).add(task.id)
            if task.state != "INIT":
                active[task.root] = task.id
    known = {root: set(ids) for root, ids in book.machine._open_tasks.items()}
    fine = wanted == known and active == book.machine._active_task
    return None if fine else f"{wanted}, {active} are there, {known}, {book.machine._active_task} are known"


@law(OF_THE_SERVER)
def leases_are_indexed(book: LawBook) -> str | None:
    """the server knows who holds what"""
    held: dict[str | None, set[str]] = {}
    for task in book.machine.tasks.values():
        if task.state == "CLAIMED":
            held.setdefault(task.pid, set()).add(task.id)
    known = {pid: set(ids) for pid, ids in book.machine._held.items()}
    return f"{held} are held, {known} are known" if held != known else None
