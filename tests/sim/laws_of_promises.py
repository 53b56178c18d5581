"""The laws of promises, of those who wait for them, and of what is said about them. See `laws`."""

from __future__ import annotations

import itertools

from resonate.errors import ResonateStoreError
from resonate.protocol import (
    NOTHING,
    CreateLeased,
    CreatePromise,
    GetPromise,
    NotifyMessage,
    Park,
    PromiseRecord,
    RegisterCallback,
    SettlePromise,
    Subscribe,
)
from resonate.tables import origin_of
from tests.sim.laws import OF_PROMISES, OF_STEPS, OF_THE_SERVER, LawBook, law

_FIXED = ("id", "timeout", "param", "tags", "target", "timer", "created_on", "key_for_create", "lineage", "number")
_ENDS = ("RESOLVED", "REJECTED", "REJECTED_CANCELED", "REJECTED_TIMEDOUT")
_REFUSED_FOR = {"40301": "RESOLVED", "40302": "REJECTED", "40303": "REJECTED_CANCELED", "40304": "REJECTED_TIMEDOUT"}


# ---- one promise's transition ------------------------------------------------------------------------------------------------------------


@law(OF_PROMISES)
def settled_is_final(book: LawBook, old: PromiseRecord | None, new: PromiseRecord) -> str | None:
    """a settled promise never changes"""
    return f"{old} became {new}" if old is not None and old.state != "PENDING" else None


@law(OF_PROMISES)
def identity_is_kept(book: LawBook, old: PromiseRecord | None, new: PromiseRecord) -> str | None:
    """what a promise was created with never changes"""
    changed = [name for name in _FIXED if old is not None and getattr(old, name) != getattr(new, name)]
    return f"{new.id}: {changed}" if changed else None


@law(OF_PROMISES)
def born_pending(book: LawBook, old: PromiseRecord | None, new: PromiseRecord) -> str | None:
    """a new promise is pending, has no value, and was created now, or when it was asked for where that was answered at once"""
    asked_at = getattr(book.operation, "at", 0) or book.now
    fine = old is not None or (new.state == "PENDING" and new.value == NOTHING and new.created_on == asked_at and new.completed_on is None)
    return None if fine else str(new)


@law(OF_PROMISES)
def deadline_verdict(book: LawBook, old: PromiseRecord | None, new: PromiseRecord) -> str | None:
    """a promise that nobody settled ends at its deadline, not earlier, without a value: resolved for a timer, else timed out"""
    operation = book.operation
    if old is None or (isinstance(operation, SettlePromise) and operation.id == new.id and new.completed_on != new.timeout):
        return None
    fine = new.state == ("RESOLVED" if new.timer else "REJECTED_TIMEDOUT") and new.completed_on == new.timeout <= book.now
    return None if fine and new.value == NOTHING else f"{new} at {book.now}"


@law(OF_PROMISES)
def settled_in_time(book: LawBook, old: PromiseRecord | None, new: PromiseRecord) -> str | None:
    """nobody settles a promise at or after its deadline, and what settles it is what was asked for"""
    operation = book.operation
    if old is None or new.completed_on == new.timeout or not isinstance(operation, SettlePromise):
        return None
    fine = operation.id == new.id and (new.state, new.value, new.key_for_complete) == (operation.state, operation.value, operation.key)
    return None if fine and new.completed_on == book.now < new.timeout else f"{new} by {operation}"


@law(OF_PROMISES)
def child_ends_before_parent(book: LawBook, old: PromiseRecord | None, new: PromiseRecord) -> str | None:
    """a child's deadline is not later than its parent's, unless it is detached"""
    lineage = new.lineage
    if old is not None or lineage is None or lineage.parent is None or lineage.kind == "detached" or book.world.setup.edits:
        return None  # where code changes, the promise above may be another call's: one that has no promise of its own is not compared
    parent = book.machine.promises.get(lineage.parent)
    return f"{new.id} ends {new.timeout - parent.timeout} ms after {parent.id}" if parent is not None and new.timeout > parent.timeout \
        else None  # fmt: skip


@law(OF_PROMISES)
def lineage_is_a_tree(book: LawBook, old: PromiseRecord | None, new: PromiseRecord) -> str | None:
    """the promise above a new one was there before, in the same call graph, and the run that covers it has a lease to be had"""
    lineage = new.lineage
    if old is not None or lineage is None or lineage.parent is None:
        return None
    promises = book.machine.promises
    root, parent = promises.get(lineage.root), promises.get(lineage.parent)
    if root is None or root.target is None or origin_of(root) != lineage.origin:
        return f"{new.id}: its run {lineage.root} is {root}"
    if parent is None or parent.id.startswith(("common-", "join-", "meet-")):
        return None  # a call without a promise, or one that several runs share
    fine = parent.id != new.id and parent.created_on <= new.created_on and origin_of(parent) == lineage.origin
    return None if fine else f"{new.id} is below {parent}"


@law(OF_PROMISES)
def fenced(book: LawBook, old: PromiseRecord | None, new: PromiseRecord) -> str | None:
    """what names a lease changes something only while the worker that names it holds that lease"""
    lease = getattr(book.operation, "lease", None)
    if lease is None or new.id != getattr(book.operation, "id", None) or book.worker is None or new.completed_on == new.timeout:
        return None
    task = book.tasks.get(lease.task)
    fine = task is not None and task[:3] == ("CLAIMED", lease.counter, book.worker.pid)
    return None if fine else f"{new.id} by {book.worker} under {lease}; the task is {task}"


@law(OF_PROMISES)
def target_means_task(book: LawBook, old: PromiseRecord | None, new: PromiseRecord) -> str | None:
    """a promise has an invoke task exactly if it has a target"""
    fine = (f"__invoke:{new.id}" in book.machine.tasks) == (new.target is not None)
    return None if fine else str(new)


@law(OF_PROMISES)
def one_way(book: LawBook, old: PromiseRecord | None, new: PromiseRecord) -> str | None:
    """a promise is written when it is made and when it settles, and never else"""
    fine = new.state == "PENDING" if old is None else old.state == "PENDING" and new.state in _ENDS
    return None if fine else f"{old} became {new}"


@law(OF_PROMISES)
def ended_when_settled(book: LawBook, old: PromiseRecord | None, new: PromiseRecord) -> str | None:
    """a promise has a time of its end exactly if it is settled"""
    return None if (new.completed_on is not None) == (new.state != "PENDING") else str(new)


@law(OF_PROMISES)
def pending_has_no_value(book: LawBook, old: PromiseRecord | None, new: PromiseRecord) -> str | None:
    """a pending promise has no value and no key of a settlement"""
    return None if new.state != "PENDING" or (new.value == NOTHING and new.key_for_complete is None) else str(new)


@law(OF_PROMISES)
def ends_by_its_deadline(book: LawBook, old: PromiseRecord | None, new: PromiseRecord) -> str | None:
    """no promise ends after its deadline"""
    return None if new.completed_on is None or new.completed_on <= new.timeout else str(new)


@law(OF_PROMISES)
def ends_after_it_began(book: LawBook, old: PromiseRecord | None, new: PromiseRecord) -> str | None:
    """no promise ends before it was made, unless it was over when it was made"""
    fine = new.completed_on is None or new.created_on <= new.completed_on or new.completed_on == new.timeout
    return None if fine else str(new)


@law(OF_PROMISES)
def nothing_in_the_future(book: LawBook, old: PromiseRecord | None, new: PromiseRecord) -> str | None:
    """no promise was made or has ended later than now"""
    return None if max(new.created_on, new.completed_on or 0) <= book.now else f"{new} at {book.now}"


@law(OF_PROMISES)
def timeouts_are_the_servers(book: LawBook, old: PromiseRecord | None, new: PromiseRecord) -> str | None:
    """a promise is timed out only by its deadline, at that very moment, and nobody's key is kept for it"""
    fine = new.state != "REJECTED_TIMEDOUT" or (new.completed_on == new.timeout and new.key_for_complete is None)
    return None if fine else str(new)


@law(OF_PROMISES)
def timers_have_no_target(book: LawBook, old: PromiseRecord | None, new: PromiseRecord) -> str | None:
    """a timer asks for no function"""
    return str(new) if new.timer and new.target is not None else None


@law(OF_PROMISES)
def numbered_in_order(book: LawBook, old: PromiseRecord | None, new: PromiseRecord) -> str | None:
    """each new promise has the next number"""
    fine = old is not None or new.number == len(book.machine.promises) - sum(each is None for each, _ in _later(book, new))
    return None if fine and new.number < book.machine._promises_made else f"{new}, {len(book.machine.promises)} are there"


def _later(book: LawBook, new: PromiseRecord) -> list[tuple[PromiseRecord | None, PromiseRecord]]:
    place = next(place for place, (_, record) in enumerate(book.table.written) if record is new)
    return book.table.written[place:]


@law(OF_PROMISES)
def made_as_asked(book: LawBook, old: PromiseRecord | None, new: PromiseRecord) -> str | None:
    """a promise is made only by who asks for it, or by a schedule, and holds what it was asked to hold"""
    if old is not None:
        return None
    asked = book.operation
    asked = asked.promise if isinstance(asked, CreateLeased) else asked
    if isinstance(asked, CreatePromise):
        held = (new.id, new.timeout, new.key_for_create, new.param, new.tags, new.target, new.timer, new.lineage)
        wanted = (asked.id, asked.timeout, asked.key, asked.param, asked.tags, asked.target, asked.timer, asked.lineage)
        return None if held == wanted else f"{new} by {asked}"
    schedule = book.machine.schedules.get((new.tags or {}).get("resonate:schedule", ""))
    return None if asked is None and schedule is not None else f"{new} by {asked}"


# ---- one step: what is asked, answered and said ------------------------------------------------------------------------------------


@law(OF_STEPS)
def refused(book: LawBook) -> str | None:
    """a refused operation changes nothing but what had fallen due"""
    if not isinstance(book.answer, ResonateStoreError):
        return None
    changed = [new for old, new in book.table.written if old is None or new.completed_on != new.timeout or new.timeout > book.now]
    claimed = [task for task, was in book.changed if task.state == "CLAIMED"]
    heard = [each for each, known in book.machine._callbacks.items() if known.keys() - book.callbacks.get(each, {}).keys()]
    return f"{changed}, {claimed}, {heard} by {book.operation}" if changed or claimed or heard else None


@law(OF_STEPS)
def given_by_key(book: LawBook) -> str | None:
    """a promise that is there already is given to who creates it only for the same key"""
    asked, answer = book.operation, book.answer
    if isinstance(asked, CreateLeased) and isinstance(answer, tuple):
        asked, answer = asked.promise, answer[0]
    if not isinstance(asked, CreatePromise) or not isinstance(answer, PromiseRecord):
        return None
    return None if answer.id == asked.id and answer.key_for_create == asked.key else f"{answer} for {asked}"


@law(OF_STEPS)
def settled_is_the_answer(book: LawBook) -> str | None:
    """who settles a promise is told how it is settled, and is refused only for one that is settled so already"""
    asked, answer = book.operation, book.answer
    if not isinstance(asked, SettlePromise):
        return None
    known = book.machine.promises.get(asked.id)
    if isinstance(answer, PromiseRecord):
        return None if answer.state != "PENDING" and answer == known else f"{answer} for {asked}"
    wanted = _REFUSED_FOR.get(f"{answer.code:.5f}".partition(".")[2])
    return f"{asked} is refused by {answer}, there is {known}" if wanted is not None and (known is None or known.state != wanted) else None


@law(OF_STEPS)
def what_is_read_is_not_over(book: LawBook) -> str | None:
    """nobody is shown a pending promise whose deadline has passed"""
    asked, answer = book.operation, book.answer
    shown = answer[0] if isinstance(asked, Subscribe) and isinstance(answer, tuple) else answer if isinstance(asked, GetPromise) else None
    if isinstance(shown, PromiseRecord) and shown.state == "PENDING" and shown.timeout <= book.now:
        return f"{shown} at {book.now}"
    return None


@law(OF_STEPS)
def news_is_true(book: LawBook) -> str | None:
    """what is told of a settlement is what is kept, and was settled in this very step"""
    settled = {new.id: new for _, new in book.table.written if new.state != "PENDING"}
    told = [message.promise for message in book.messages if isinstance(message, NotifyMessage)]
    wrong = [record for record in told if settled.get(record.id) is not record]
    return str(wrong) if wrong else None


@law(OF_STEPS)
def callbacks_are_asked_for(book: LawBook) -> str | None:
    """somebody waits for a promise only by having asked for it"""
    asked = book.operation
    for promise_id, callbacks in book.machine._callbacks.items():
        for callback_id in callbacks.keys() - book.callbacks.get(promise_id, {}).keys():
            parks = isinstance(asked, Park) and promise_id in asked.promises and callbacks[callback_id].root == asked.lease.root
            if not parks and not (isinstance(asked, (Subscribe, RegisterCallback)) and asked.promise == promise_id):
                return f"{callbacks[callback_id]} by {asked}"
    return None


@law(OF_STEPS)
def callbacks_last(book: LawBook) -> str | None:
    """who waits for a promise waits unchanged until it settles"""
    for promise_id, callbacks in book.callbacks.items():
        if book.machine.promises[promise_id].state == "PENDING":
            kept = book.machine._callbacks.get(promise_id, {})
            if any(kept.get(callback_id) is not callback for callback_id, callback in callbacks.items()):
                return f"{promise_id} had {callbacks}, and has {kept}"
    return None


@law(OF_STEPS)
def each_waiter_gets_one_task(book: LawBook) -> str | None:
    """a run gets a task to go on when a promise settles that it waits for, one for each, and for nothing else"""
    settled = [new.id for _, new in book.table.written if new.state != "PENDING"]
    waiting = [callback for each in settled for callback in book.callbacks.get(each, {}).values() if callback.kind == "resume"]
    wanted = sorted((callback.promise, callback.root) for callback in waiting)
    given = sorted((task.promise, task.root) for task, was in book.changed if was is None and task.kind == "resume")
    return f"{wanted} wait, {given} go on" if wanted != given else None


# ---- the server's state ------------------------------------------------------------------------------------------------------------


@law(OF_THE_SERVER)
def nothing_is_forgotten(book: LawBook) -> str | None:
    """no promise and no task is ever gone"""
    gone = [promise_id for promise_id in book.known_promises if promise_id not in book.machine.promises]
    gone += [task_id for task_id in book.tasks if task_id not in book.machine.tasks]
    book.known_promises = list(book.machine.promises)
    return str(gone) if gone else None


@law(OF_THE_SERVER)
def in_the_order_of_creation(book: LawBook) -> str | None:
    """promises stand in the order of their creation, and no two have one number"""
    numbers = [record.number for record in book.machine.promises.values()]
    return None if all(first < second for first, second in itertools.pairwise(numbers)) else str(numbers)


@law(OF_THE_SERVER)
def waiters_can_go_on(book: LawBook) -> str | None:
    """only a run waits to be resumed, and none for itself"""
    for callbacks in book.machine._callbacks.values():
        for callback in callbacks.values():
            run = book.machine.promises.get(callback.root)
            if callback.kind == "resume" and (run is None or run.target is None or callback.promise == callback.root):
                return f"{callback}, {run}"
    return None


@law(OF_THE_SERVER)
def nobody_waits_twice(book: LawBook) -> str | None:
    """a run waits once for a promise, and a listener listens once, each under the name and the promise that it is kept for"""
    for promise_id, callbacks in book.machine._callbacks.items():
        who = [(callback.kind, callback.root, callback.recv if callback.kind == "notify" else "") for callback in callbacks.values()]
        named = all(callback.id == name and callback.promise == promise_id for name, callback in callbacks.items())
        if not named or len(set(who)) < len(who):
            return f"{promise_id}: {callbacks}"
    return None


@law(OF_THE_SERVER)
def deadlines_are_indexed(book: LawBook) -> str | None:
    """the server watches the deadline of each pending promise, and of no other"""
    wanted: dict[int, set[str]] = {}
    for record in book.machine.promises.values():
        if record.state == "PENDING":
            wanted.setdefault(record.timeout, set()).add(record.id)
    watched = {timeout: set(ids) for timeout, ids in book.machine._deadlines.items()}
    return f"{wanted} are pending, {watched} are watched" if wanted != watched else None


@law(OF_THE_SERVER)
def call_graphs_are_indexed(book: LawBook) -> str | None:
    """each promise is listed once below the outermost run of its call graph, in the order of creation"""
    wanted: dict[str, list[str]] = {}
    for record in book.resident.values():
        wanted.setdefault(origin_of(record), []).append(record.id)
    return f"{wanted} are there, {book.machine._descendants} are listed" if wanted != book.machine._descendants else None
