"""What a run and its child answer one operation after the other: the law book's reference (`tests/laws/model.py`), and beside it, as
plainly, what that has not: leases that are named, and the operations of the current protocol as its client answers them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from tests.laws.model import CODE_OF, Fields, Model, Refused
from tests.linear.operations import FAR, MADE_BY, PARAM, TARGET, Answer, Asked

State = tuple[Any, ...]
"""Frozen promises and tasks; `NOTHING_YET` at first."""
NOTHING_YET: State = ((), ())
TASK, FENCED_TASK = "__invoke:run", "execute:run"
HOW = {"RESOLVED": "resolve", "REJECTED": "reject", "REJECTED_CANCELED": "cancel"}


@lru_cache(100_000)
def step(state: State, asked: Asked) -> tuple[Answer, State]:
    """What is answered, and the state after it."""
    specification = Specification(state)
    try:
        answer = getattr(specification, f"{asked.wire}_{asked.what}")(asked)
    except Refused as refused:
        return ("refused", refused.code), state
    return answer, specification.state


class Specification(Model):
    """The reference at a state. Time stands still."""

    def __init__(self, state: State) -> None:
        super().__init__(0)
        for name, made_by, promise_state, key_for_create, key_for_complete, value in state[0]:
            self.make(name, FAR, key_for_create, PARAM[1], {MADE_BY: made_by})
            self.promises[name] |= {"state": promise_state, "value": (None, value), "ikey_for_complete": key_for_complete}
        for name, task_state, counter in state[1]:
            self.add_task("task", name, "run", "run", FAR, 0)
            self.tasks[name] |= {"state": task_state, "counter": counter}

    @property
    def state(self) -> State:
        """What differs from one state to another. Whether a task was sent makes no difference to any answer."""
        return (
            tuple(
                (name, each["tags"][MADE_BY], each["state"], each["ikey_for_create"], each["ikey_for_complete"], each["value"][1])
                for name, each in sorted(self.promises.items())
            ),
            tuple((name, "INIT" if each["state"] == "ENQUEUED" else each["state"], each["counter"]) for name, each in self.tasks.items()),
        )

    # ---- the legacy protocol, and stores that are asked without one ----------------------------------------------------------------

    def legacy_get(self, asked: Asked) -> Answer:
        return "promise", *shown(self.call("promises.get", {"id": name_of(asked)}))

    def legacy_create(self, asked: Asked) -> Answer:
        if asked.counter is not None:
            self.check_lease(asked.counter)
        return "promise", *shown(self.call("promises.create", creation(asked)))

    def legacy_launch(self, asked: Asked) -> Answer:
        promise, task = self.call("promises.create_with_task", creation(asked) | {"pid": "", "ttl": 1})
        return "made" if task is None else "held", task and task[1], *shown(promise)

    def legacy_settle(self, asked: Asked) -> Answer:
        self.known(name_of(asked))
        if asked.counter is not None:
            self.check_lease(asked.counter)
        how = HOW[asked.state]
        given = {"how": how, "id": name_of(asked), "ikey": asked.key, "strict": asked.strict, "data": f'"{asked.mark}"'}
        return "promise", *shown(self.call("promises.settle", given))

    def legacy_claim(self, asked: Asked) -> Answer:
        promise, _ = self.call("tasks.claim", {"id": TASK, "counter": asked.counter, "pid": "", "ttl": 1})
        return "held", asked.counter, *shown(promise)

    def legacy_complete(self, asked: Asked) -> Answer:
        return "done", self.call("tasks.complete", {"id": TASK, "counter": asked.counter})

    def legacy_drop(self, asked: Asked) -> Answer:
        return "done", self.call("tasks.drop", {"id": TASK, "counter": asked.counter})

    def check_lease(self, counter: int) -> None:
        task = self.tasks.get(TASK)
        if task is None or (task["state"], task["counter"]) != ("CLAIMED", counter):
            raise Refused(41200)

    # ---- the current protocol ----------------------------------------------------------------------------------------------------------

    def current_get(self, asked: Asked) -> Answer:
        return "promise", *shown(self.known(name_of(asked)), has_keys=False)

    def current_create(self, asked: Asked) -> Answer:
        if asked.counter is not None and not self.is_held(asked.counter):
            raise Refused(41200)
        self.ensure(asked)
        return self.current_get(asked)

    def current_launch(self, asked: Asked) -> Answer:
        self.ensure(asked)
        task = self.tasks.get(FENCED_TASK)
        is_ours = task is not None and task["state"] in ("INIT", "ENQUEUED")
        counter = self.take(task) if task is not None and is_ours else None
        return "held" if is_ours else "made", counter, *self.current_get(asked)[1:]

    def current_settle(self, asked: Asked) -> Answer:
        if asked.counter is not None and not asked.is_child:
            return self.fulfill(asked)
        if asked.counter is not None and not self.is_held(asked.counter):
            raise Refused(41200)
        known, value = self.known(name_of(asked)), (None, f'"{asked.mark}"')
        if known["state"] == "PENDING":
            self.settle(known, asked.state, value[1], None, self.now)
        elif (known["state"], known["value"]) != (asked.state, value):
            raise Refused(CODE_OF[known["state"]])
        return self.current_get(asked)

    def fulfill(self, asked: Asked) -> Answer:
        """Its holder settles the run, which ends the task. Where it is settled already, that is the answer."""
        if FENCED_TASK not in self.tasks:
            raise Refused(40400)
        known = self.known(name_of(asked))
        if known["state"] == "PENDING" and not self.is_held(asked.counter):
            raise Refused(41200)
        if known["state"] == "PENDING":
            self.settle(known, asked.state, f'"{asked.mark}"', None, self.now)
        return self.current_get(asked)

    def current_claim(self, asked: Asked) -> Answer:
        task = self.tasks.get(FENCED_TASK)
        if task is None:
            raise Refused(40403)
        if task["state"] not in ("INIT", "ENQUEUED") or task["counter"] != asked.counter:
            raise Refused(40308)
        return "held", self.take(task), *self.current_get(asked)[1:]

    def current_drop(self, asked: Asked) -> Answer:
        is_held = self.is_held(asked.counter)
        if is_held:
            self.tasks[FENCED_TASK]["state"] = "INIT"
        return "done", is_held

    def ensure(self, asked: Asked) -> None:
        if name_of(asked) not in self.promises:
            given = creation(asked)
            self.make(given["id"], given["timeout"], None, given["data"], {MADE_BY: asked.mark})
            if asked.has_target:
                self.add_task("execute", FENCED_TASK, "run", "run", FAR, 0)
                self.tasks[FENCED_TASK]["counter"] = 0

    def take(self, task: Fields) -> int:
        task |= {"state": "CLAIMED", "counter": task["counter"] + 1}
        counter: int = task["counter"]
        return counter

    def is_held(self, counter: int | None) -> bool:
        task = self.tasks.get(FENCED_TASK)
        return task is not None and (task["state"], task["counter"]) == ("CLAIMED", counter)


def name_of(asked: Asked) -> str:
    return "child" if asked.is_child else "run"


def creation(asked: Asked) -> Fields:
    tags = {MADE_BY: asked.mark} | ({"resonate:invoke": TARGET} if asked.has_target else {})
    return {"id": name_of(asked), "timeout": FAR, "ikey": asked.key, "strict": asked.strict, "data": PARAM[1], "tags": tags}


def shown(promise: Fields, *, has_keys: bool = True) -> Answer:
    fields = promise["state"], promise["tags"][MADE_BY], promise["param"][1], promise["value"][1]
    return (*fields, promise["ikey_for_create"], promise["ikey_for_complete"]) if has_keys else fields
