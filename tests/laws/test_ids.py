"""Laws of ids and arguments: an id addresses itself and only itself, and what can be no argument is refused by its name."""

from __future__ import annotations

from typing import Any

import pytest
from benches import DEFAULT, Bench, refusal
from hostile import IDS, NO_IDS

from resonate.errors import ResonateStoreError

CRON = "*/10 * * * * *"


def usable(bench: Bench) -> list[str]:
    return [text for name, text in IDS.items() if name not in bench.refused_ids]


def test_every_promise_id_addresses_itself_alone(bench: Bench) -> None:
    """All ids live beside each other: each promise is created, settled, read and found under its own, and none under another's."""
    ids = usable(bench)
    for number, each in enumerate(ids):
        assert bench.create(each, data=f"{number}").id == each
    for number, each in enumerate(ids):
        assert (bench.promises.get(each).id, bench.promises.get(each).param.data) == (each, f"{number}")
        assert bench.promises.resolve(each, data=f"[{number}]").value.data == f"[{number}]"
    for number, each in enumerate(ids):
        kept = bench.promises.get(each)
        assert (kept.id, kept.param.data, kept.value.data) == (each, f"{number}", f"[{number}]")
    assert sorted(promise.id for promise in bench.promises.search("*").promises) == sorted(ids)


@pytest.mark.needs("literal search")
def test_every_promise_id_finds_itself_alone(bench: Bench) -> None:
    """An id is found by itself and by nothing else, unless a star is in it."""
    ids = usable(bench)
    for each in ids:
        bench.create(each)
    for each in filter(None, ids):
        found = [promise.id for promise in bench.promises.search(each).promises]
        assert found == [each] if "*" not in each else each in found


def test_every_run_goes_through_its_whole_life(bench: Bench) -> None:
    """Any id may be that of a run, a process, a subscription: the run is invoked, waits, is resumed, and its end is told."""
    ids = usable(bench)
    for each in ids:
        task = bench.invoke(each)
        assert (task["id"], task["rootPromiseId"]) == (f"__invoke:{each}", each)
        assert bench.tasks.claim(task["id"], 1, each or "w1", 60_000)[0].id == each
        bench.create(f"{each}.1")
        assert bench.promises.callback(f"{each}.1", each, DEFAULT, bench.far)[1].id == f"__resume:{each}:{each}.1"
        assert bench.promises.subscribe(each, each, DEFAULT, bench.far)[1].id == f"__notify:{each}:{each}"
        bench.tasks.complete(task["id"], 1)
        bench.promises.resolve(f"{each}.1")
        task = bench.one_task()
        root, leaf = bench.tasks.claim(task["id"], 1, each or "w1", 60_000)
        assert (task["id"], root.id, leaf.id) == (f"__resume:{each}:{each}.1", each, f"{each}.1")
        assert bench.tasks.heartbeat(each or "w1") == 1
        bench.promises.resolve(each)
        assert [message["promise"]["id"] for message in bench.messages()] == [each]
    assert [bench.tasks.heartbeat(each or "w1") for each in ids] == [0] * len(ids)


def test_every_schedule_id_addresses_itself_alone(bench: Bench) -> None:
    """Schedules live under any ids beside each other, and each makes promises under its own."""
    ids = usable(bench)
    for number, each in enumerate(ids):
        assert bench.schedules.create(each, CRON, f"{number}:{{{{.id}}}}", 60_000 + number).id == each
    for number, each in enumerate(ids):
        assert (bench.schedules.get(each).id, bench.schedules.get(each).promise_timeout) == (each, 60_000 + number)
    bench.advance(10_000)
    for number, each in enumerate(ids):
        assert bench.promises.get(f"{number}:{each}").tags["resonate:schedule"] == each
        bench.schedules.delete(each)
        assert refusal(bench.schedules.get, each) == 40401


@pytest.mark.parametrize("name", IDS)
def test_an_id_works_or_is_refused_with_the_reason(bench: Bench, name: str) -> None:
    """An id is refused at the door only where the store's description says so; all others are taken."""
    if name in bench.refused_ids:
        with pytest.raises((ValueError, ResonateStoreError), match=r"\bid\b"):
            bench.create(IDS[name])
    else:
        assert bench.create(IDS[name]).pending


def call(bench: Bench, face: str, method: str, **changed: Any) -> Any:
    """A call that is right but for what is changed."""
    arguments: dict[str, dict[str, Any]] = {
        "promises.get": {"id": "p"}, "promises.create": {"id": "p", "timeout": bench.far},
        "promises.create_with_task": {"id": "p", "timeout": bench.far, "pid": "w1", "ttl": 1000},
        "promises.resolve": {"id": "there"}, "promises.reject": {"id": "there"}, "promises.cancel": {"id": "there"},
        "promises.callback": {"promise_id": "there", "root_promise_id": "r", "recv": DEFAULT, "timeout": bench.far},
        "promises.subscribe": {"id": "s", "promise_id": "there", "recv": DEFAULT, "timeout": bench.far},
        "promises.search": {}, "schedules.search": {},
        "tasks.claim": {"id": "__invoke:r", "counter": 1, "pid": "w1", "ttl": 1000}, "tasks.complete": {"id": "__invoke:r", "counter": 1},
        "tasks.drop": {"id": "__invoke:r", "counter": 1}, "tasks.heartbeat": {"pid": "w1"},
        "schedules.create": {"id": "s", "cron": CRON, "promise_id": "p", "promise_timeout": 1000}, "schedules.get": {"id": "s"},
        "schedules.delete": {"id": "s"},
    }  # fmt: skip
    return getattr(getattr(bench, face), method)(**arguments[f"{face}.{method}"] | changed)


def snapshot(bench: Bench) -> Any:
    """What the store holds, as far as it shows it."""
    promises = [(promise.id, promise.state) for promise in bench.promises.search().promises]
    return promises, [schedule.id for schedule in bench.schedules.search().schedules], bench.tasks.heartbeat("w1"), bench.messages()


TEXT: list[Any] = [None, 5, b"x", ["x"]]
TEXT_OR_NONE = TEXT[1:]
WHOLE: list[Any] = [None, "1", 1.5, float("nan"), float("inf"), True, b"1"]
TEXTS: list[Any] = ["x", 5, {"a": 1}, {1: "a"}, {"a": None}, [("a", "b")]]
WRONG: dict[str, dict[str, list[Any]]] = {
    "promises.get": {"id": TEXT},
    "promises.create": {"id": TEXT, "timeout": WHOLE, "ikey": TEXT_OR_NONE, "headers": TEXTS, "data": TEXT_OR_NONE, "tags": TEXTS},
    "promises.create_with_task": {"id": TEXT, "timeout": WHOLE, "pid": TEXT, "ttl": WHOLE, "ikey": TEXT_OR_NONE, "tags": TEXTS},
    "promises.resolve": {"id": TEXT, "ikey": TEXT_OR_NONE, "headers": TEXTS, "data": TEXT_OR_NONE},
    "promises.reject": {"id": TEXT, "ikey": TEXT_OR_NONE, "headers": TEXTS, "data": TEXT_OR_NONE},
    "promises.cancel": {"id": TEXT, "ikey": TEXT_OR_NONE, "headers": TEXTS, "data": TEXT_OR_NONE},
    "promises.callback": {"promise_id": TEXT, "root_promise_id": TEXT, "recv": TEXT, "timeout": WHOLE},
    "promises.subscribe": {"id": TEXT, "promise_id": TEXT, "recv": TEXT, "timeout": WHOLE},
    "promises.search": {"id": TEXT, "tags": TEXTS},
    "tasks.claim": {"id": TEXT, "counter": WHOLE, "pid": TEXT, "ttl": WHOLE},
    "tasks.complete": {"id": TEXT, "counter": WHOLE},
    "tasks.drop": {"id": TEXT, "counter": WHOLE},
    "tasks.heartbeat": {"pid": TEXT},
    "schedules.create": {
        "id": TEXT, "cron": TEXT, "promise_id": TEXT, "promise_timeout": WHOLE, "ikey": TEXT_OR_NONE, "description": TEXT_OR_NONE,
        "tags": TEXTS, "promise_headers": TEXTS, "promise_data": TEXT_OR_NONE, "promise_tags": TEXTS,
    },
    "schedules.get": {"id": TEXT},
    "schedules.delete": {"id": TEXT},
}  # fmt: skip


@pytest.mark.parametrize(("method", "argument"), [(method, argument) for method, each in WRONG.items() for argument in each])
def test_arguments_of_a_wrong_type(bench: Bench, method: str, argument: str) -> None:
    """An argument of a wrong type is a TypeError that names the argument, and nothing changes."""
    bench.create("there")
    bench.invoke("r")
    before = snapshot(bench)
    for value in WRONG[method][argument]:
        with pytest.raises(TypeError, match=rf"\b{argument}\b"):
            call(bench, *method.split("."), **{argument: value})
        assert snapshot(bench) == before


@pytest.mark.parametrize("what", NO_IDS)
@pytest.mark.parametrize(("method", "argument"), [
    (method, argument) for method, each in WRONG.items() for argument in each if argument in ("id", "pid", "promise_id", "root_promise_id")
])  # fmt: skip
def test_what_can_be_no_id(bench: Bench, method: str, argument: str, what: str) -> None:
    """Text that no store could carry as an id is a ValueError wherever an id is asked for, by the argument's name, and nothing changes."""
    bench.create("there")
    bench.invoke("r")
    before = snapshot(bench)
    with pytest.raises(ValueError, match=rf"\b{argument}\b"):
        call(bench, *method.split("."), **{argument: NO_IDS[what]})
    assert snapshot(bench) == before


@pytest.mark.parametrize(("method", "argument"), [
    ("tasks.claim", "id"), ("tasks.claim", "pid"), ("tasks.complete", "id"), ("tasks.drop", "id"), ("tasks.heartbeat", "pid"),
    ("promises.create_with_task", "pid"), ("promises.search", "id"), ("schedules.create", "promise_id"), ("schedules.search", "id"),
])  # fmt: skip
def test_what_must_have_a_name(bench: Bench, method: str, argument: str) -> None:
    """A promise may have an empty id; a task, a process, a pattern and a schedule's promises may not."""
    bench.invoke("r")
    before = snapshot(bench)
    with pytest.raises(ValueError, match=rf"\b{argument}\b"):
        call(bench, *method.split("."), **{argument: ""})
    assert snapshot(bench) == before
