"""The law of all laws: whatever is asked in whatever order, a store answers and sends what the reference does.

`LAW_RUNS=2000` walks further than the default; a walk that fails is shortened and printed as the calls that show the difference.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any

import agreement
import fenced_agreement
import pytest
from benches import DEFAULT, START_MS, Bench, code_of, shown
from model import Fields, Model, Refused

from resonate.errors import ResonateStoreError
from resonate.stores import file
from resonate.stores.file import PromiseFile
from resonate.tables import Tables

RUNS, STEPS = int(os.environ.get("LAW_RUNS", "16")), 350
Call = tuple[str, Fields]

# Every row of the tables that a walk can meet: what a call was answered, or the code with which it was refused.
ROWS: dict[str, set[Any]] = {
    "promises.create": {"new", "repeat", 40900},
    "promises.create_with_task": {"with task", "without task", 40900},
    "promises.get": {"found", 40400},
    "promises.settle": {"settled", "repeat", 40301, 40302, 40303, 40304, 40400},
    "promises.wait": {"made", "nothing made", 40000, 40400},
    "promises.search": {"full page", "last page", 40000},
    "promises.next_page": {"full page", "last page", 40000},
    "tasks.claim": {"invoke", "resume", 40306, 40307, 40308, 40403},
    "tasks.complete": {"ended", "repeat", 40308, 40309, 40403},
    "tasks.drop": {"dropped", "left", 40308, 40403},
    "tasks.heartbeat": {"some", "none"},
    "schedules.create": {"new", "repeat", 40000, 40901},
    "schedules.get": {"found", 40401},
    "schedules.delete": {"deleted", 40401},
    "time_passes": {"acted on", "unseen"},
}
LAZY = ("promises.create", "promises.create_with_task", "promises.get", "promises.settle", "time_passes")
"""Calls whose tables say what they see of a deadline that the store has not acted on; before any other the store acts."""


class Walk:
    """Chooses calls by what the reference knows, so that most of them meet something."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.model = Model(START_MS)

    def next(self) -> Call:
        name = self.chance.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))[0]
        return name, getattr(self, name.replace(".", "_"))()

    def some(self, known: Any, other: str) -> Any:
        """Mostly something that is there, one that is lately come among the likeliest."""
        names = list(known)
        return self.chance.choice([*names[-6:], self.chance.choice(names)]) if names and self.chance.random() < 0.95 else other

    def promises_create(self) -> Fields:
        chance, now = self.chance, self.model.now
        tags = {"t": chance.choice("12")}
        if chance.random() < 0.5:
            tags["resonate:invoke"] = DEFAULT
            if chance.random() < 0.15:
                tags["resonate:delay"] = str(now + chance.choice((-5, 900, 7000)))
        if chance.random() < 0.3:
            tags["resonate:timeout"] = "true"
        timeout = now + chance.choice((-1, 0, 1500, 8000, 100_000, 10**9))
        return {
            "id": f"p{chance.randrange(90)}", "timeout": timeout, "ikey": chance.choice(("k", "k", "other", None)),
            "strict": chance.random() < 0.2, "data": chance.choice((None, "[1]")), "tags": tags,
        }  # fmt: skip

    def promises_create_with_task(self) -> Fields:
        return self.promises_create() | {"pid": self.chance.choice("vw"), "ttl": self.chance.choice((0, 2000, 30_000))}

    def promises_get(self) -> Fields:
        return {"id": self.some(self.model.promises, "nobody")}

    def promises_settle(self) -> Fields:
        return {
            "how": self.chance.choice(("resolve", "reject", "cancel")), "id": self.some(self.model.promises, "nobody"),
            "ikey": self.chance.choice(("K", "K", "other", None)), "strict": self.chance.random() < 0.3, "data": "[2]",
        }  # fmt: skip

    def promises_wait(self) -> Fields:
        kind = self.chance.choice(("callback", "callback", "subscribe"))
        runs = [task["root"] for task in self.model.tasks.values() if task["state"] in ("INIT", "ENQUEUED", "CLAIMED")]
        waits = self.some(runs, next(iter(self.model.promises), "nobody")) if kind == "callback" else self.chance.choice("st")
        pending = [each for each, promise in self.model.promises.items() if promise["state"] == "PENDING"]
        on = self.some(self.model.promises if self.chance.random() < 0.2 else pending, "nobody")
        return {"kind": kind, "id": waits, "promise_id": on, "timeout": self.model.now + self.chance.choice((50_000, 10**9))}

    def promises_search(self) -> Fields:
        chance = self.chance
        return {
            "id": chance.choice(("*", "p*", "*1", "p*1*", "s*", "nobody")), "tags": chance.choice((None, {"t": "1"})),
            "state": chance.choice((None, "pending", "resolved", "rejected")), "limit": chance.choice((0, 1, 2, 5, 100, 101)),
        }  # fmt: skip

    def promises_next_page(self) -> Fields:
        return {}

    def tasks_claim(self) -> Fields:
        return self.tasks_complete() | {"pid": self.chance.choice("vw"), "ttl": self.chance.choice((500, 5000, 30_000))}

    def tasks_complete(self) -> Fields:
        # A task that was not sent yet is known to nobody; most calls are about those that are out.
        sent = {task["id"]: task["counter"] for task in self.model.tasks.values() if task["state"] != "INIT"}
        out = [each for each in sent if self.model.tasks[each]["state"] in ("ENQUEUED", "CLAIMED")]
        chosen = self.some(sent if self.chance.random() < 0.2 else out, "__invoke:nobody")
        return {"id": chosen, "counter": sent.get(chosen, 1) + self.chance.choice((0, 0, 0, 0, 1))}

    tasks_drop = tasks_complete

    def tasks_heartbeat(self) -> Fields:
        return {"pid": self.chance.choice("vwx")}

    def schedules_create(self) -> Fields:
        return {
            "id": f"s{self.chance.randrange(4)}", "cron": self.chance.choice(("@every 10s", "@every 10s", "soon")),
            "promise_id": self.chance.choice(("{{.id}}.{{.timestamp}}", "{{.id}}.{{.timestamp}}", "{{.id}}.p", "p{{")),
            "ikey": self.chance.choice(("k", None)), "promise_tags": self.chance.choice(({}, {"resonate:invoke": DEFAULT, "t": "1"})),
        }  # fmt: skip

    def schedules_get(self) -> Fields:
        return {"id": f"s{self.chance.randrange(4)}"}

    schedules_delete = schedules_get

    def time_passes(self) -> Fields:
        # When exactly a delayed task leaves that the store has not looked at is nowhere said.
        delayed = any(task["state"] == "INIT" and task["expires"] > self.model.now for task in self.model.tasks.values())
        looks = delayed or self.chance.random() < 0.5
        return {"duration_ms": self.chance.choice((1, 10, 400, 3000, 9000, 61_000) if looks else (1, 900, 2500)), "looks": looks}


WEIGHTS = {"promises.create": 16, "promises.create_with_task": 5, "promises.get": 5, "promises.settle": 12, "promises.wait": 14,
           "promises.search": 4, "promises.next_page": 4, "tasks.claim": 14, "tasks.complete": 8, "tasks.drop": 4, "tasks.heartbeat": 3,
           "schedules.create": 2, "schedules.get": 2, "schedules.delete": 2, "time_passes": 10}  # fmt: skip


class Subject:
    """The store, asked as the reference is."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.cursor: str | None = None

    def call(self, name: str, arguments: Fields) -> Any:
        own = getattr(self, name.replace(".", "_"), None)
        if own is not None:
            return own(**arguments)
        face, method = name.split(".")
        answer = getattr(getattr(self.bench, face), method)(**arguments)
        return shown(answer) if face == "promises" else answer

    def promises_create_with_task(self, **arguments: Any) -> Any:
        promise, task = self.bench.promises.create_with_task(**arguments)
        return shown(promise), task and (task.id, task.counter)

    def promises_settle(self, how: str, **arguments: Any) -> Any:
        return shown(getattr(self.bench.promises, how)(**arguments))

    def promises_wait(self, kind: str, id: str, promise_id: str, timeout: int) -> Any:
        call = self.bench.promises.callback if kind == "callback" else self.bench.promises.subscribe
        who = {"root_promise_id": id} if kind == "callback" else {"id": id}
        promise, made = call(**who, promise_id=promise_id, recv=DEFAULT, timeout=timeout)
        return shown(promise), made and (made.id, made.promise_id, made.timeout, made.created_on)

    def promises_search(self, **arguments: Any) -> Any:
        self.cursor, cursor = "none", self.cursor
        found = self.bench.promises.search(**arguments) if arguments else self.bench.promises.search(cursor=cursor or "none")
        self.cursor = found.cursor
        return [shown(promise) for promise in found.promises], found.cursor is not None

    promises_next_page = promises_search

    def tasks_claim(self, **arguments: Any) -> Any:
        root, leaf = self.bench.tasks.claim(**arguments)
        return shown(root), leaf and shown(leaf)

    def schedules_create(self, **arguments: Any) -> Any:
        return self.schedule(self.bench.schedules.create(**arguments, promise_timeout=20_000, promise_data="[0]"))

    def schedules_get(self, id: str) -> Any:
        return self.schedule(self.bench.schedules.get(id))

    @staticmethod
    def schedule(found: Any) -> Fields:
        names = ("id", "cron", "promise_id", "ikey", "promise_tags", "created_on", "last_runtime", "next_runtime")
        return {name: getattr(found, name) for name in names}

    def time_passes(self, duration_ms: int, looks: bool) -> None:
        (self.bench.advance if looks else self.bench.elapse)(duration_ms)

    def messages(self) -> list[Any]:
        found: list[Any] = []
        for message in self.bench.messages():
            task, promise = message.get("task"), message.get("promise")
            if task is not None:
                found.append((message["type"], task["id"], task["counter"], task["timeout"], task["rootPromiseId"]))
            else:
                found.append((message["type"], promise["id"], promise["state"], "data" in promise["value"]))
        return found


def outcome(asked: Model | Subject, call: Call) -> Any:
    try:
        answer = asked.call(*call)
    except Refused as refused:
        return refused.code
    except ValueError:
        return 40000
    except ResonateStoreError as error:
        return code_of(error)
    return seen(answer)


def seen(answer: Any) -> Any:
    """An answer without what the reference alone keeps."""
    if isinstance(answer, dict):
        return {name: value for name, value in answer.items() if name != "timer"}
    return type(answer)(map(seen, answer)) if isinstance(answer, (list, tuple)) else answer


def difference(model: Model, subject: Subject, call: Call) -> str | None:
    """Ask both; how answers or messages differ, if they do."""
    expected, got = outcome(model, call), outcome(subject, call)
    if got != expected:
        return f"{call}\n  answers {got}\n   not to {expected}"
    sent = sorted(map(str, subject.messages()))
    wanted = sorted(str(each) for each in model.messages)
    model.messages = []
    return None if sent == wanted else f"{call}\n  sends {sent}\n   not {wanted}"


def first_difference(kind: type[Bench], calls: list[Call]) -> str | None:
    bench = kind()
    model, subject = Model(bench.now), Subject(bench)
    try:
        return next((found for found in (difference(model, subject, call) for call in calls) if found), None)
    finally:
        bench.close()


def shortened(kind: type[Bench], calls: list[Call]) -> list[Call]:
    """As few of these calls as still show a difference."""
    size = len(calls) // 2
    while size:
        for start in range(len(calls) - size, -1, -size):
            fewer = calls[:start] + calls[start + size :]
            if first_difference(kind, fewer):
                calls = fewer
        size //= 2
    return calls


@pytest.mark.needs("simulated time")
def test_random_walks_agree_with_the_reference(bench: Bench) -> None:
    """Every answer, every refusal and every message of a random walk is the reference's, and the walks together meet every row."""
    kind = type(bench)
    met: dict[str, set[Any]] = {name: set() for name in ROWS}
    for seed in range(RUNS):
        walk, place = Walk(seed), kind()
        subject, calls = Subject(place), list[Call]()
        for step in range(STEPS):
            call = walk.next()
            asked = [call] if call[0] in LAZY else [("time_passes", {"duration_ms": 0, "looks": True}), call]
            if step % 50 == 49:
                asked += [("time_passes", {"duration_ms": 0, "looks": True}), *whole_state(walk.model)]
                if place.restart is not None:
                    place.restart()
            for each in asked:
                calls.append(each)
                if found := difference(walk.model, subject, each):
                    few = shortened(kind, calls)
                    shortest = "\n".join(f"{name} {arguments}" for name, arguments in few)
                    pytest.fail(f"seed {seed}, call {len(calls)}: {found}\n\nShortest:\n{shortest}\n{first_difference(kind, few)}")
                met[each[0]].add(walk.model.label)
        place.close()
    assert met == ROWS


def whole_state(model: Model) -> list[Call]:
    """Calls that together show everything a store shows."""
    reads: list[Call] = [("promises.get", {"id": each}) for each in model.promises]
    return reads + [("schedules.get", {"id": each}) for each in model.schedules] + [("tasks.heartbeat", {"pid": pid}) for pid in "vw"]


# ---- two stores side by side: see `agreement` -------------------------------------------------------------------------------------------


def test_the_store_in_a_file_agrees_with_the_one_in_memory() -> None:
    """Every answer, every refusal's code, every message and the whole state are the same; `make sim` walks further."""
    assert agreement.not_met(agreement.walks(range(4), 1_500)) == []


def a_row_loses_how_long_a_lease_is(patch: pytest.MonkeyPatch) -> None:
    before = file.task_row
    patch.setattr(file, "task_row", lambda task: before(agreement.replace(task, ttl=0, number=task.number)))


def who_waits_is_not_written_down(patch: pytest.MonkeyPatch) -> None:
    before = PromiseFile.write

    def write(self: PromiseFile, changes: Any) -> None:
        changes.callbacks = {key: callback for key, callback in changes.callbacks.items() if callback is None}
        before(self, changes)

    patch.setattr(PromiseFile, "write", write)


def another_process_does_not_learn_of_settlements(patch: pytest.MonkeyPatch) -> None:
    before = Tables.install_promise
    patch.setattr(Tables, "install_promise", lambda self, record: before(self, record) if record.state == "PENDING" else None)


def what_was_pruned_is_found_again(patch: pytest.MonkeyPatch) -> None:
    before = PromiseFile.forget
    patch.setattr(PromiseFile, "forget", lambda self, origin: before(self, origin) if origin[-1] != "7" else None)


def a_timer_that_was_loaded_times_out(patch: pytest.MonkeyPatch) -> None:
    before = file.promise_of

    def promise_of(row: Any) -> Any:
        record = before(row)
        return record if record.timer is False else agreement.replace(record, timer=False)

    patch.setattr(file, "promise_of", promise_of)


FAULTS = (
    a_row_loses_how_long_a_lease_is, who_waits_is_not_written_down, another_process_does_not_learn_of_settlements,
    what_was_pruned_is_found_again, a_timer_that_was_loaded_times_out,
)  # fmt: skip


@pytest.mark.parametrize("plant", FAULTS)
def test_a_planted_fault_of_the_file_is_found(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file store does something else, a walk finds it, and says where in few words."""
    plant(monkeypatch)
    with pytest.raises(agreement.Divergence, match=r"seed \d+, step \d+: ") as found:
        agreement.walks(range(10), 1_000)
    assert len(str(found.value)) < 4_000


def test_the_stores_agree_on_fenced_tasks_too() -> None:
    """The same with the operations of both generations on the same promises."""
    assert agreement.not_met(agreement.walks(range(6), 1_500, fenced_agreement.FencedWalk), fenced_agreement.ROWS) == []
