"""Laws of tasks: the state machine row by row, leases, and what is sent when."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from benches import DEFAULT, HOUR_MS, Bench, code_of, refusal

from resonate.protocol import CompleteTask, CreatePromise, GetTask, RegisterCallback

CLAIM_WINDOW_MS = 60_000
RETRY_MS = 15_000
STATES = ("absent", "INIT", "ENQUEUED", "CLAIMED", "COMPLETED", "run over", "TIMEDOUT")

# What each call answers to a task in each state: with its counter, with another one. A number is the code of the refusal.
CLAIM_TABLE: dict[str, tuple[Any, Any]] = {
    "absent": (40403, 40403), "INIT": ("claimed", 40308), "ENQUEUED": ("claimed", 40308), "CLAIMED": (40306, 40306),
    "COMPLETED": (40307, 40307), "run over": (40307, 40307), "TIMEDOUT": (40307, 40307),
}  # fmt: skip
COMPLETE_TABLE: dict[str, tuple[Any, Any]] = {
    "absent": (40403, 40403), "INIT": (40309, 40309), "ENQUEUED": (40309, 40309), "CLAIMED": (True, 40308),
    "COMPLETED": (True, True), "run over": (True, True), "TIMEDOUT": (True, True),
}  # fmt: skip
DROP_TABLE: dict[str, tuple[Any, Any]] = {
    "absent": (40403, 40403), "INIT": (False, False), "ENQUEUED": (False, False), "CLAIMED": (True, 40308),
    "COMPLETED": (False, False), "run over": (False, False), "TIMEDOUT": (False, False),
}  # fmt: skip


def task_in(bench: Bench, state: str) -> tuple[str, int]:
    """A task of run `r` in a state: its id and counter."""
    if state == "absent":
        return "__invoke:r", 1
    if state == "INIT":
        bench.disconnect()
        bench.create("r", tags={"resonate:invoke": DEFAULT})
        return "__invoke:r", 1
    if state == "TIMEDOUT":
        return timed_out_task(bench)
    task = bench.invoke("r")
    if state in ("CLAIMED", "COMPLETED", "run over"):
        bench.tasks.claim(task["id"], 1, "w1", 30_000)
    if state == "COMPLETED":
        bench.tasks.complete(task["id"], 1)
    if state == "run over":
        bench.promises.resolve("r")
    return task["id"], task["counter"]


def timed_out_task(bench: Bench) -> tuple[str, int]:
    """A resume that nobody claimed before the timeout of its callback."""
    bench.claimed("r")
    bench.create("leaf")
    bench.promises.callback("leaf", "r", DEFAULT, bench.now + 30_000)
    bench.promises.resolve("leaf")
    bench.tasks.complete("__invoke:r", 1)
    (sent,) = bench.sent()
    bench.advance(CLAIM_WINDOW_MS)
    assert bench.sent() == []
    return sent


def answer_to(call: Any, *arguments: Any) -> Any:
    """What a call answers, or the code with which it is refused."""
    answers: list[Any] = []
    code = refusal(lambda: answers.append(call(*arguments)))
    return code or answers[0]


@pytest.mark.parametrize(("state", "same"), list(product(STATES, (True, False))))
def test_claim_table(bench: Bench, state: str, same: bool) -> None:
    """Claiming is refused as missing, claimed, completed, then for its counter; in that order."""
    task, counter = task_in(bench, state)
    answer = answer_to(bench.tasks.claim, task, counter if same else counter + 1, "w2", 1000)
    expected = CLAIM_TABLE[state][0 if same else 1]
    if expected == "claimed":
        root, leaf = answer
        assert (root.id, root.state, leaf) == ("r", "PENDING", None)
        assert bench.tasks.heartbeat("w2") == 1
    else:
        assert answer == expected
        assert bench.tasks.heartbeat("w2") == 0
    assert bench.messages() == []


@pytest.mark.parametrize(("state", "same"), list(product(STATES, (True, False))))
def test_complete_table(bench: Bench, state: str, same: bool) -> None:
    """Completing ends a claimed task once; a repeat is answered; unclaimed is told before the counter is looked at."""
    task, counter = task_in(bench, state)
    expected = COMPLETE_TABLE[state][0 if same else 1]
    assert answer_to(bench.tasks.complete, task, counter if same else counter + 1) == expected
    if expected is True:
        assert refusal(bench.tasks.claim, task, counter, "w2", 1000) == 40307
    else:
        assert answer_to(bench.tasks.heartbeat, "w1") == (1 if state == "CLAIMED" else 0), "a refusal changes nothing"
    assert bench.messages() == []


@pytest.mark.parametrize(("state", "same"), list(product(STATES, (True, False))))
def test_drop_table(bench: Bench, state: str, same: bool) -> None:
    """Dropping sends a claimed task out at once with the next counter; what is not claimed stays as it is, whatever the counter."""
    task, counter = task_in(bench, state)
    expected = DROP_TABLE[state][0 if same else 1]
    assert answer_to(bench.tasks.drop, task, counter if same else counter + 1) == expected
    assert bench.sent() == ([(task, counter + 1)] if expected is True else [])
    assert bench.tasks.heartbeat("w1") == (1 if (state, same) == ("CLAIMED", False) else 0)


@pytest.mark.parametrize(("call", "arguments", "code"), [
    ("claim", ("__invoke:r", 0, "w1", 1000), 40000), ("claim", ("__invoke:r", -1, "w1", 1000), 40308),
    ("claim", ("__invoke:r", 1, "w1", -1), 40000), ("claim", ("", 1, "w1", 1000), 40000), ("claim", ("__invoke:r", 1, "", 1000), 40000),
    ("complete", ("", 1), 40000), ("complete", ("__invoke:r", 0), 40000), ("drop", ("__invoke:r", 0), 40000), ("heartbeat", ("",), 40000),
])  # fmt: skip
def test_what_a_task_request_must_have(bench: Bench, call: str, arguments: tuple[Any, ...], code: int) -> None:
    """A task is named by an id and a counter that is not 0, a process by an id, and a lease is no negative time."""
    bench.invoke("r")
    assert refusal(getattr(bench.tasks, call), *arguments) == code
    assert bench.tasks.claim("__invoke:r", 1, "w1", 1000)[0].id == "r"


# ---- leases --------------------------------------------------------------------------------------------------------------------------


def test_a_lapsed_lease_goes_out_with_the_next_counter(bench: Bench) -> None:
    """A lease lapses at its time and not before; the next counter goes out, and the earlier holder's is worth nothing."""
    task = bench.claimed(ttl=2000)["id"]
    bench.advance(1999)
    assert bench.messages() == []
    bench.advance(1)
    assert bench.sent() == [(task, 2)]
    assert refusal(bench.tasks.claim, task, 1, "w1", 1000) == 40308
    assert refusal(bench.tasks.complete, task, 1) == 40309
    assert bench.tasks.drop(task, 1) is False
    bench.tasks.claim(task, 2, "w2", 2000)
    assert [answer_to(call, task, 1) for call in (bench.tasks.complete, bench.tasks.drop)] == [40308, 40308]
    assert [bench.tasks.heartbeat(pid) for pid in ("w1", "w2")] == [0, 1]
    assert bench.promises.create("r.1", bench.far).pending, "the writes of an earlier holder are not fenced"
    assert bench.tasks.complete(task, 2) is True


def test_heartbeats_extend_what_the_process_holds_and_nothing_else(bench: Bench) -> None:
    """A heartbeat counts and extends the leases of its own process, each by its own time to live."""
    for name, pid, ttl in (("a", "w1", 2000), ("b", "w1", 4000), ("c", "w2", 2000)):
        bench.claimed(name, pid, ttl)
    bench.advance(1500)
    assert [bench.tasks.heartbeat(pid) for pid in ("w1", "nobody")] == [2, 0]
    bench.advance(1500)
    assert bench.sent() == [("__invoke:c", 2)]
    bench.advance(500)
    assert bench.sent() == [("__invoke:a", 2)]
    assert bench.tasks.heartbeat("w1") == 1
    bench.advance(3999)
    assert bench.sent() == []
    bench.advance(1)
    assert bench.sent() == [("__invoke:b", 2)]


def test_a_heartbeat_counts_no_task_that_has_ended(bench: Bench) -> None:
    """Completed, dropped and lapsed tasks, and those of a run that is over, are held by nobody."""
    for name in ("completed", "dropped", "over", "kept"):
        bench.claimed(name)
    bench.claimed("lapsed", ttl=1000)
    assert bench.tasks.heartbeat("w1") == 5
    bench.tasks.complete("__invoke:completed", 1)
    bench.tasks.drop("__invoke:dropped", 1)
    bench.promises.resolve("over")
    bench.advance(1000)
    assert bench.tasks.heartbeat("w1") == 1


@pytest.mark.parametrize("tags", [{"resonate:invoke": DEFAULT}, {}], ids=["routed", "unrouted"])
def test_a_task_can_be_born_claimed(bench: Bench, tags: dict[str, str]) -> None:
    """Creating with a task holds it from the start, without a message, until it lapses; unrouted or not new, there is no task."""
    made, task = bench.promises.create_with_task("r", bench.far, "w1", 3000, ikey="k", tags=tags)
    assert made.pending
    assert (task and (task.id, task.counter)) == (("__invoke:r", 1) if tags else None)
    repeated, no_task = bench.promises.create_with_task("r", bench.far, "w2", 3000, ikey="k", tags=tags)
    assert (repeated, no_task) == (made, None)
    assert [bench.tasks.heartbeat(pid) for pid in ("w1", "w2")] == [1 if tags else 0, 0]
    bench.advance(2999)
    assert bench.messages() == []
    bench.advance(1)
    assert bench.sent() == ([("__invoke:r", 2)] if tags else [])


def test_a_task_in_hand_acts_for_itself(bench: Bench) -> None:
    """The methods of a task are those of the store, with its id and counter."""
    _, task = bench.promises.create_with_task("r", bench.far, "w1", 3000, tags={"resonate:invoke": DEFAULT})
    assert refusal(task.claim, "w2", 1000) == 40306
    task.complete()
    assert refusal(task.claim, "w2", 1000) == 40307


# ---- what is sent when ---------------------------------------------------------------------------------------------------------------


def test_an_unclaimed_task_is_sent_again_after_the_window(bench: Bench) -> None:
    """What nobody claims within a minute goes out again and again, each time with the next counter."""
    task = bench.invoke()["id"]
    for counter in (2, 3, 4):
        bench.advance(CLAIM_WINDOW_MS - 1)
        assert bench.sent() == []
        bench.advance(1)
        assert bench.sent() == [(task, counter)]
    assert refusal(bench.tasks.claim, task, 3, "w1", 1000) == 40308
    assert bench.tasks.claim(task, 4, "w1", 1000)[0].id == "r"


@pytest.mark.needs("simulated time")
def test_the_window_begins_when_the_task_is_sent(bench: Bench) -> None:
    """However late a store comes to act on a deadline, what it then sends can be claimed for the whole window."""
    bench.create("leaf", bench.now + 1000)
    task = bench.claimed("r")["id"]
    bench.promises.callback("leaf", "r", DEFAULT, bench.far)
    bench.tasks.complete(task, 1)
    bench.advance(10 * CLAIM_WINDOW_MS)
    ((resume, counter),) = bench.sent()
    bench.advance(CLAIM_WINDOW_MS - 1)
    assert bench.tasks.claim(resume, counter, "w1", 1000)[1].timedout


def test_what_nobody_receives_is_sent_again_with_the_same_counter(bench: Bench) -> None:
    """A task whose message finds nobody is kept, and sent within 15 seconds after somebody is there."""
    bench.disconnect()
    bench.create("r", tags={"resonate:invoke": DEFAULT})
    bench.advance(3 * RETRY_MS + 1)
    assert bench.messages() == []
    bench.reconnect()
    bench.advance(RETRY_MS)
    assert bench.sent() == [("__invoke:r", 1)]


@pytest.mark.parametrize("ends", ["complete", "drop", "lapse", "no claim"])
def test_one_task_of_a_run_at_a_time_oldest_first(bench: Bench, ends: str) -> None:
    """While one task of a run is out its others wait; whichever way it ends, the oldest open task of the run is the next."""
    first = bench.claimed("r", ttl=3000)["id"]
    names = ["r.3", "r.1", "r.2"]
    for name in names:
        bench.create(name)
        bench.promises.callback(name, "r", DEFAULT, bench.far)
        bench.advance(10)
        bench.promises.resolve(name)
    assert bench.messages() == []
    waiting = [f"__resume:r:{name}" for name in names]
    expected = [first, *waiting]
    if ends == "complete":
        bench.tasks.complete(first, 1)
        expected = waiting
    elif ends == "drop":
        bench.tasks.drop(first, 1)
    else:
        bench.advance(3000)
    if ends == "no claim":
        assert bench.sent() == [(first, 2)]
        bench.advance(CLAIM_WINDOW_MS)
    seen = []
    while sent := bench.sent():
        ((task, counter),) = sent
        seen.append(task)
        bench.tasks.claim(task, counter, "w1", HOUR_MS)
        bench.tasks.complete(task, counter)
    assert seen == expected


def test_runs_do_not_wait_for_each_other(bench: Bench) -> None:
    """A run whose task is held keeps no other run's task back."""
    bench.claimed("a")
    bench.create("b", tags={"resonate:invoke": DEFAULT})
    assert bench.sent() == [("__invoke:b", 1)]


def test_a_task_is_not_sent_beyond_its_own_timeout(bench: Bench) -> None:
    """A resume is sent again until the timeout of its callback, then no more; its run goes on with its other tasks."""
    bench.claimed("r")
    for name, timeout in (("leaf", bench.now + 100_000), ("other", bench.far)):
        bench.create(name)
        bench.promises.callback(name, "r", DEFAULT, timeout)
        bench.promises.resolve(name)
    bench.tasks.complete("__invoke:r", 1)
    assert bench.sent() == [("__resume:r:leaf", 1)]
    bench.advance(CLAIM_WINDOW_MS)
    assert bench.sent() == [("__resume:r:leaf", 2)]
    bench.advance(CLAIM_WINDOW_MS)
    assert bench.sent() == [("__resume:r:other", 1)]
    assert refusal(bench.tasks.claim, "__resume:r:leaf", 2, "w1", 1000) == 40307


@pytest.mark.parametrize("end", ["born expired", "settled", "past its deadline, unseen"])
def test_a_run_that_is_over_is_not_sent(bench: Bench, end: str) -> None:
    """No message leaves for a run whose promise has ended, or is past its deadline, by the time the task would be sent."""
    if end == "born expired":
        bench.create("r", bench.now - 1, tags={"resonate:invoke": DEFAULT})
    else:
        bench.create("leaf")
        task = bench.claimed("r", timeout=bench.now + 5000)
        bench.promises.callback("leaf", "r", DEFAULT, bench.far)
        bench.tasks.complete(task["id"], 1)
        if end == "settled":
            bench.promises.resolve("r")
        else:
            bench.elapse(5000)
        bench.promises.resolve("leaf")
    bench.advance(CLAIM_WINDOW_MS)
    assert bench.messages() == []


@pytest.mark.parametrize("delay_ms", [1, 5000])
def test_a_delayed_task_is_not_sent_before_its_time(bench: Bench, delay_ms: int) -> None:
    """`resonate:delay` keeps a task back until that time, also from a source that comes in between; then it goes out with counter 1."""
    bench.create("r", tags={"resonate:invoke": DEFAULT, "resonate:delay": str(bench.now + delay_ms)})
    bench.advance(delay_ms - 1)
    bench.disconnect()
    bench.reconnect()
    assert bench.messages() == []
    bench.advance(1)
    assert bench.sent() == [("__invoke:r", 1)]
    bench.advance(CLAIM_WINDOW_MS)
    assert bench.sent() == [("__invoke:r", 2)]


@pytest.mark.parametrize("delay", [
    "", "soon", "1e15", "99999999999999.5", "-1", "0", "1", "٩٩٩٩٩٩٩٩٩٩٩٩٩", " 9999999999999", "0x7ffffffffff",
])  # fmt: skip
def test_a_delay_that_is_no_time_to_come_is_ignored(bench: Bench, delay: str) -> None:
    """A delay that is no whole number, or has passed, delays nothing."""
    bench.create("r", tags={"resonate:invoke": DEFAULT, "resonate:delay": delay})
    assert bench.sent() == [("__invoke:r", 1)]


def test_a_delayed_task_can_be_claimed(bench: Bench) -> None:
    """A task that was not sent yet can be claimed by whoever knows of it, and is then not sent at its time."""
    bench.create("r", tags={"resonate:invoke": DEFAULT, "resonate:delay": str(bench.now + 5000)})
    bench.tasks.claim("__invoke:r", 1, "w1", HOUR_MS)
    bench.advance(6000)
    assert bench.messages() == []


def ask(bench: Bench, operation: Any) -> Any:
    """What the store answers to an operation, or the code with which it refuses it."""
    (answer,) = bench.store.call([operation])
    return code_of(answer) if isinstance(answer, Exception) else answer


def test_a_task_can_be_looked_at(bench: Bench) -> None:
    """Looking at a task tells its state, and is no part of it: what was seen does not change with the task."""
    assert ask(bench, GetTask("__invoke:r")) == 40403
    bench.claimed("r", pid="w1")
    seen = ask(bench, GetTask("__invoke:r"))
    bench.tasks.complete("__invoke:r", 1)
    assert (seen.state, seen.pid, seen.counter, seen.root) == ("CLAIMED", "w1", 1, "r")
    assert ask(bench, GetTask("__invoke:r")).state == "COMPLETED"


def test_a_task_that_its_holder_completed_has_none_any_more(bench: Bench) -> None:
    """A completed task names no holder; one that ended with its run names the one that it had then."""
    bench.claimed("r")
    assert ask(bench, CompleteTask("__invoke:r", 1)).pid is None
    bench.claimed("other", pid="w2")
    bench.promises.resolve("other")
    assert ask(bench, CompleteTask("__invoke:other", 1)).pid == "w2"


def test_trace_context_goes_from_the_request_to_the_message(bench: Bench) -> None:
    """The message of an invoke task carries what came with its promise, and that of a resume task what came with its callback."""
    ask(bench, CreatePromise("r", bench.far, tags={"resonate:invoke": DEFAULT}, target=DEFAULT, head={"traceparent": "1"}))
    first = bench.messages()
    bench.tasks.claim("__invoke:r", 1, "w1", 30_000)
    bench.create("leaf")
    ask(bench, RegisterCallback("leaf", "r", DEFAULT, bench.far, head={"traceparent": "2"}))
    if bench.restart is not None:
        bench.restart()
    bench.tasks.complete("__invoke:r", 1)
    bench.promises.resolve("leaf")
    assert [message["head"]["traceparent"] for message in first + bench.messages()] == ["1", "2"]
