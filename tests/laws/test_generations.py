"""Laws of both generations on one table: promises are shared, tasks are not; and what is stored or searched whichever way it came."""

from __future__ import annotations

import random
from typing import Any

import pytest
from benches import DEFAULT, HOUR_MS, Bench, code_of, refusal
from hostile import IDS
from test_fenced_tasks import ensured, executes, held, settled, status_of, task

from resonate.errors import ResonateStoreError
from resonate.protocol import (
    BRANCH,
    AcquireTask,
    ActFenced,
    CreatePromise,
    DeleteSchedule,
    EnsureAcquired,
    EnsureSchedule,
    FindPromises,
    FindSchedules,
    FindTasks,
    FulfillTask,
    GetPromise,
    GetSchedule,
    HaltTask,
    Lease,
    ListenToPromise,
    Prune,
    ReleaseTask,
    SuspendTask,
    ViewTask,
)

MINUTE_MS = 60_000


# ---- the two generations -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["resolve", "reject", "cancel"])
def test_a_legacy_settlement_wakes_a_fenced_task(fenced: Bench, call: str) -> None:
    """A promise that was made and is settled by legacy requests wakes the fenced task that awaits it, and tells who listens."""
    fenced.create("leaf")
    version = held(fenced)
    fenced.ask(ListenToPromise("leaf", DEFAULT))
    assert fenced.ask(SuspendTask("r", version, ["leaf"])).is_suspended
    getattr(fenced.promises, call)("leaf", data="1")
    first, second = sorted(fenced.messages(), key=lambda message: message["kind"])
    assert first == {"kind": "execute", "head": {}, "data": {"task": {"id": "r", "version": version}}}
    assert second["kind"] == "unblock"
    assert second["data"]["promise"] | {"value": {"data": "MQ=="}} == second["data"]["promise"]


def test_a_fenced_settlement_resumes_a_legacy_run(fenced: Bench) -> None:
    """A promise that was made and is fulfilled by fenced requests makes the resume of the legacy run that waits, and its notices."""
    version = held(fenced, "leaf")
    run = fenced.claimed("run")
    fenced.promises.callback("leaf", "run", DEFAULT, fenced.far)
    fenced.promises.subscribe("s", "leaf", DEFAULT, fenced.far)
    fenced.tasks.complete(run["id"], run["counter"])
    fenced.ask(FulfillTask("leaf", version, "RESOLVED", (None, "[1]")))
    notice, resume = fenced.messages()
    assert (notice["type"], notice["promise"]["state"]) == ("notify", "RESOLVED")
    assert (resume["type"], resume["task"]["id"]) == ("resume", "__resume:run:leaf")
    _, leaf = fenced.tasks.claim("__resume:run:leaf", 1, "w1", HOUR_MS)
    assert leaf.value.data == "[1]"


def test_each_generation_sees_the_promises_of_the_other(fenced: Bench) -> None:
    """A promise looks to each generation as one of its own: state, value, deadline, and the tags as they were sent."""
    fenced.create("old", data="1", tags={"resonate:invoke": DEFAULT, "a": "b"})
    fenced.ask(ensured("new", fenced.far, tags={"a": "b"}, param=({"h": "1"}, "[2]")))
    old, new = fenced.ask(GetPromise("old")), fenced.promises.get("new")
    assert (old.state, old.param, old.tags) == ("PENDING", (None, "1"), {"resonate:invoke": DEFAULT, "a": "b"})
    assert (new.state, new.param.to_tuple(), dict(new.tags)) == (
        "PENDING", ({"h": "1"}, "[2]"), {"resonate:target": DEFAULT, "a": "b"},
    )  # fmt: skip
    assert refusal(fenced.promises.create, "new", fenced.far) == 40900


def test_a_fenced_task_is_no_legacy_task(fenced: Bench) -> None:
    """Nobody can claim, complete or drop a fenced task by the legacy rules, under whatever id, nor acquire a legacy one."""
    version = held(fenced)
    fenced.create("old", tags={"resonate:invoke": DEFAULT})
    for name in ("r", "__execute:r", "__invoke:r"):
        assert refusal(fenced.tasks.claim, name, version, "w2", 1000) == 40403
        assert refusal(fenced.tasks.complete, name, version) == 40403
        assert refusal(fenced.tasks.drop, name, version) == 40403
    assert task(fenced) == ("acquired", version, 0)
    assert status_of(fenced, AcquireTask("old", 1, "w1", 1000)) == 404


def test_tasks_of_both_kinds_of_one_run_do_not_meet(fenced: Bench) -> None:
    """A legacy callback of a run that has a fenced task makes a task of its own; neither holds the other up."""
    fenced.create("leaf")
    fenced.create("other")
    version = held(fenced)
    fenced.promises.callback("leaf", "r", DEFAULT, fenced.far)
    fenced.promises.resolve("leaf")
    assert fenced.sent() == [("__resume:r:leaf", 1)]
    fenced.ask(ReleaseTask("r", version))
    assert executes(fenced) == [("r", version)]
    fenced.tasks.claim("__resume:r:leaf", 1, "w2", HOUR_MS)
    again = fenced.ask(AcquireTask("r", version, "w1", HOUR_MS)).task.counter
    fenced.ask(SuspendTask("r", again, ["other"]))
    fenced.tasks.complete("__resume:r:leaf", 1)
    fenced.promises.resolve("other")
    assert executes(fenced) == [("r", again)]


def test_a_fenced_lease_guards_the_writes_that_name_it(bench: Bench) -> None:
    """A creation that names a fenced lease is refused as soon as that is lost, as with a lease of the other kind."""
    version = held(bench)
    lease = Lease("r", "__execute:r", version)
    bench.ask(CreatePromise("r.1", bench.far, lease=lease))
    bench.ask(HaltTask("r"))
    with pytest.raises(ResonateStoreError) as refused:
        bench.ask(CreatePromise("r.2", bench.far, lease=lease))
    assert code_of(refused.value) == 41200


def test_every_id_has_a_task_of_its_own(fenced: Bench) -> None:
    """Whatever the ids, each promise has its own fenced task, apart from all legacy tasks."""
    ids = [each for each in [*IDS.values(), "__execute:a", "__execute:__execute:a"] if each and "\x00" not in each]
    for each in ids:
        fenced.create(f"old {each}", tags={"resonate:invoke": DEFAULT})
        fenced.ask(ensured(each, fenced.far))
    for each in ids:
        assert fenced.ask(AcquireTask(each, 0, "w1", HOUR_MS)).task.root == each
    found, after = fenced.ask(FindTasks(("CLAIMED",), 1000))
    assert ([each.root for each in found], after) == (sorted(ids), None)


# ---- what is handed out with a task ----------------------------------------------------------------------------------------------------


def test_the_branch_comes_with_the_task(fenced: Bench) -> None:
    """Whoever holds a task is handed the other promises of its branch, in the order of their ids, as they are stored, settled ones too."""
    branch = {BRANCH: "r"}
    version = held(fenced, tags=branch)
    assert fenced.ask(ActFenced("r", version, ensured("r.2", fenced.far, None, tags=branch))).preload == [fenced.ask(GetPromise("r.2"))]
    for name in ("r.10", "r.1"):
        fenced.ask(ensured(name, fenced.far, None, tags=branch))
    fenced.ask(ensured("s", fenced.far, None, tags={BRANCH: "s"}))
    fenced.ask(ensured("t", fenced.far, None))
    fenced.promises.resolve("r.1")
    ids = ["r.1", "r.10", "r.2"]
    assert [each.id for each in fenced.ask(SuspendTask("r", version, ["r.1"])).preload] == ids
    fenced.ask(ReleaseTask("r", version))
    preload = fenced.ask(AcquireTask("r", version, "w1", HOUR_MS)).preload
    assert [(each.id, each.state) for each in preload] == list(zip(ids, ("RESOLVED", "PENDING", "PENDING"), strict=True))


def test_without_a_branch_nothing_is_handed_out(fenced: Bench) -> None:
    """A task whose promise names no branch comes alone, so the cost of a step does not grow with the steps before it."""
    version = held(fenced)
    for number in range(20):
        assert fenced.ask(ActFenced("r", version, ensured(f"r.{number}", fenced.far, None))).preload == []


# ---- searching -------------------------------------------------------------------------------------------------------------------------


def pages(fenced: Bench, make: Any, limit: int) -> list[str]:
    """The ids on all pages of a search, each page of the limit but the last."""
    ids: list[str] = []
    after = None
    while True:
        found, after = fenced.ask(make(limit=limit, after=after))
        ids += [getattr(each, "root", None) or each.id for each in found]
        assert (len(found) == limit) or after is None
        if after is None:
            return ids
        assert after == ids[-1]


@pytest.mark.parametrize("limit", [1, 2, 7, 1000])
def test_pages_show_everything_once_in_the_order_of_ids(fenced: Bench, limit: int) -> None:
    """Promises, tasks and schedules come bytewise by id, settled ones among them, each on one page; a cursor only when more follows."""
    chance = random.Random(3)
    ids = [*dict.fromkeys("".join(chance.choices("ab.19é", k=chance.randrange(1, 5))) for _ in range(25))]
    for place, each in enumerate(ids):
        fenced.ask(ensured(each, fenced.far))
        if place % 3 == 0:
            fenced.ask(settled(each))
        fenced.ask(EnsureSchedule(each, "0 0 1 1 *", "{{.id}}", 1000))
        if place == 12:
            fenced.ask(FindPromises())
    for make in (FindPromises, FindTasks, FindSchedules):
        assert pages(fenced, make, limit) == sorted(ids)


def test_what_filters_leave(fenced: Bench) -> None:
    """A search leaves what has exactly the state and all the tags; an overdue promise that nobody has touched is pending still."""
    fenced.ask(ensured("a", fenced.far, None, tags={"g": "1", "n": "1"}))
    fenced.ask(ensured("b", fenced.now + 1000, None, tags={"g": "1"}))
    fenced.ask(ensured("c", fenced.far, tags={"g": "2", 'q"': 'é"'}))
    fenced.ask(settled("c"))
    fenced.create("d", tags={"g": "1", "resonate:timeout": "true"})
    fenced.elapse(1000)
    found = {str(query): [each.id for each in fenced.ask(FindPromises(*query))[0]] for query in (
        ("PENDING", None), ("RESOLVED", None), ("REJECTED", None), (None, {"g": "1"}), (None, {"g": "1", "n": "1"}),
        (None, {"resonate:target": DEFAULT}), (None, {'q"': 'é"'}), (None, {"resonate:timeout": "true"}), (None, {"g": "3"}), (None, {}),
    )}  # fmt: skip
    assert list(found.values()) == [["a", "b", "d"], ["c"], [], ["a", "b", "d"], ["a"], ["c"], ["c"], ["d"], [], ["a", "b", "c", "d"]]
    assert [each.root for each in fenced.ask(FindTasks(("COMPLETED", "TIMEDOUT")))[0]] == ["c"]
    assert fenced.ask(FindTasks(("CLAIMED",))) == ([], None)


def test_what_was_pruned_is_gone(bench: Bench) -> None:
    """A pruned promise leaves no task behind: created anew without a target, it has none."""
    for name in ("r", "s"):
        bench.ask(ensured(name, bench.far, tags={BRANCH: "s"}))
    bench.ask(settled("r"))
    bench.advance(10)
    assert bench.ask(Prune(bench.now)) == ["r"]
    assert status_of(bench, ViewTask("r")) == 404
    assert [each.root for each in bench.ask(FindTasks())[0]] == ["s"]
    bench.ask(ensured("r", bench.far, None))
    assert status_of(bench, ViewTask("r")) == 404
    assert bench.ask(AcquireTask("s", 0, "w1", 1000)).preload == []


# ---- what outlives the process ---------------------------------------------------------------------------------------------------------


def test_fenced_tasks_outlive_the_process(bench: Bench) -> None:
    """States, versions, resumes, leases, what is awaited, who listens and the branch are there when a file is opened again."""
    if bench.restart is None:
        pytest.skip("this store ends with its process, or is two")
    for name in ("x", "y"):
        bench.ask(ensured(name, bench.far, None, tags={BRANCH: "held"}))
    held(bench, "held", ttl=5000, tags={BRANCH: "held"})
    held(bench, "waits")
    held(bench, "halted")
    bench.ask(HaltTask("halted"))
    bench.ask(SuspendTask("waits", 1, ["x", "y"]))
    bench.ask(ListenToPromise("x", DEFAULT))
    bench.ask(EnsureSchedule("s", "* * * * *", "fired", HOUR_MS, promise_tags={"resonate:target": DEFAULT}))
    bench.restart()
    assert [task(bench, name) for name in ("held", "waits", "halted")] == [("acquired", 1, 0), ("suspended", 1, 0), ("halted", 1, 0)]
    bench.messages()
    bench.ask(settled("x"))
    assert [message["kind"] for message in bench.messages()] == ["execute", "unblock"]
    bench.ask(settled("y"))
    bench.restart()
    assert task(bench, "waits") == ("pending", 1, 2)
    assert [each.id for each in bench.ask(ActFenced("held", 1, settled("z"))).preload] == ["x", "y"]
    bench.messages()
    bench.advance(5000)
    assert ("held", 1) in executes(bench)
    bench.advance(MINUTE_MS)
    assert bench.ask(GetSchedule("s")).is_fenced
    assert task(bench, "fired")[0] == "pending"


# ---- schedules -------------------------------------------------------------------------------------------------------------------------


def test_a_schedule_makes_promises_that_have_tasks(fenced: Bench) -> None:
    """At each of its times a schedule makes the promise of its template, stamped with its place, created then and due a timeout later."""
    tags = {"resonate:target": DEFAULT, "mine": "1"}
    made = fenced.ask(EnsureSchedule("s", "*/2 * * * *", "{{.id}}-{{.timestamp}}-{{ .id }}", HOUR_MS, (None, "1"), tags))
    assert (made.created_on, made.next_run, made.last_run) == (fenced.now, fenced.now + 2 * MINUTE_MS, None)
    due = [fenced.now + 2 * MINUTE_MS, fenced.now + 4 * MINUTE_MS]
    fenced.advance(5 * MINUTE_MS)
    ids = [f"s-{each}-{{{{ .id }}}}" for each in due]
    assert executes(fenced) == [(each, 0) for each in ids]
    for each, time in zip(ids, due, strict=True):
        record = fenced.ask(GetPromise(each))
        assert (record.created_on, record.timeout, record.param) == (time, time + HOUR_MS, (None, "1"))
        stamps = {f"resonate:{name}": each for name in ("origin", "branch", "parent", "prefix")}
        assert record.tags == {**tags, **stamps, "resonate:schedule": "s"}
    again = fenced.ask(GetSchedule("s"))
    assert (again.last_run, again.next_run) == (due[1], due[1] + 2 * MINUTE_MS)


def test_a_schedule_is_created_once(fenced: Bench) -> None:
    """Creating a schedule that is there gives it as it is; each generation sees those of the other; a bad expression is refused."""
    first = fenced.ask(EnsureSchedule("s", "0 0 1 1 *", "p", 1, promise_tags={"a": "b"}))
    assert fenced.ask(EnsureSchedule("s", "* * * * *", "q", 2)).cron == first.cron
    assert fenced.schedules.get("s").cron == "0 0 1 1 *"
    fenced.schedules.create("old", "@every 10s", "p", 1)
    assert [each.id for each in fenced.ask(FindSchedules())[0]] == ["old", "s"]
    assert [each.id for each in fenced.ask(FindSchedules({"a": "b"}))[0]] == ["s"]
    assert status_of(fenced, EnsureSchedule("bad", "@every 10s", "p", 1)) == 400
    fenced.ask(DeleteSchedule("s"))
    assert [status_of(fenced, make("s")) for make in (GetSchedule, DeleteSchedule)] == [404, 404]


def test_a_schedule_that_never_comes_true_makes_nothing(fenced: Bench) -> None:
    """31 February is an expression like any other, and fires never."""
    fenced.ask(EnsureSchedule("s", "0 0 31 2 *", "p", HOUR_MS, promise_tags={"resonate:target": DEFAULT}))
    fenced.advance(400 * 24 * HOUR_MS)
    assert fenced.messages() == []
    assert status_of(fenced, GetPromise("p")) == 404


def test_a_fired_promise_that_is_there_stays(fenced: Bench) -> None:
    """A schedule whose promise is there already leaves it as it is, and goes on to its next time."""
    fenced.ask(EnsureAcquired(ensured("p", fenced.far), "w1", HOUR_MS))
    fenced.ask(EnsureSchedule("s", "* * * * *", "p", HOUR_MS))
    fenced.advance(3 * MINUTE_MS)
    assert fenced.ask(GetPromise("p")).timeout == fenced.far
    assert fenced.ask(GetSchedule("s")).last_run == fenced.now
