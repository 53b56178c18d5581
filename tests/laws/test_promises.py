"""Laws of promises: the two tables of their state machine, row by row, and what settling sets off."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from benches import DEFAULT, HOUR_MS, SETTLES, Bench, code_of, refusal, shown

from resonate.errors import ResonateStoreError

BOTH = (False, True)
COMPLETED = ("RESOLVED", "REJECTED", "REJECTED_CANCELED")
REFUSED_AS = {"RESOLVED": 40301, "REJECTED": 40302, "REJECTED_CANCELED": 40303, "REJECTED_TIMEDOUT": 40304}
TIMED_OUT = {"expired": "REJECTED_TIMEDOUT", "expired timer": "RESOLVED", "timed out": "REJECTED_TIMEDOUT", "timer gone off": "RESOLVED"}
"""Promises past their deadline, the first two not looked at since, and the state that everyone sees."""
STATES = ("absent", "PENDING", *COMPLETED, *TIMED_OUT)

KEYS = {
    "same": ("k", "k"), "both empty": ("", ""), "another": ("k", "other"), "none given": ("k", None), "none kept": (None, "k"),
    "neither": (None, None), "empty is not none": (None, ""), "letter case": ("k", "K"),
}  # fmt: skip
"""(key that the promise has, key that the call brings)."""
MATCHING = ("same", "both empty")

# Current states, strict, keys match -> the state that is answered, or the code of the refusal. Every case has exactly one row.
CREATE_TABLE: list[tuple[tuple[str, ...], tuple[bool, ...], tuple[bool, ...], str | int]] = [
    (("absent",), BOTH, BOTH, "PENDING"),
    (("PENDING",), BOTH, (True,), "as it is"),
    (("PENDING",), BOTH, (False,), 40900),
    (("expired", "expired timer"), (False,), (True,), "as it is"),
    (("expired", "expired timer"), (True,), BOTH, 40900),
    (("expired", "expired timer"), (False,), (False,), 40900),
    ((*COMPLETED, "timed out", "timer gone off"), (False,), (True,), "as it is"),
    ((*COMPLETED, "timed out", "timer gone off"), (False,), (False,), 40900),
    ((*COMPLETED, "timed out", "timer gone off"), (True,), BOTH, 40900),
]
# Current states, strict, keys match, the wanted state is the current one -> as above. A timer that has gone off has no key to match.
COMPLETE_TABLE: list[tuple[tuple[str, ...], tuple[bool, ...], tuple[bool, ...], tuple[bool, ...], str | int]] = [
    (("absent",), BOTH, BOTH, BOTH, 40400),
    (("PENDING",), BOTH, BOTH, BOTH, "wanted"),
    (("expired", "timed out"), (False,), BOTH, BOTH, "as it is"),
    (("expired", "timed out"), (True,), BOTH, BOTH, 40304),
    (("expired timer", "timer gone off"), BOTH, BOTH, BOTH, 40301),
    (COMPLETED, (False,), (True,), BOTH, "as it is"),
    (COMPLETED, (True,), (True,), (True,), "as it is"),
    (COMPLETED, (True,), (True,), (False,), "its code"),
    (COMPLETED, BOTH, (False,), BOTH, "its code"),
]


def row(table: list[Any], *case: Any) -> Any:
    """The answer in the only row that a case belongs to."""
    (answer,) = [each[-1] for each in table if all(value in allowed for value, allowed in zip(case, each, strict=False))]
    return answer


def promise_in(bench: Bench, current: str, key: str | None) -> dict[str, Any] | None:
    """Bring promise `p` into a state under a key for create and for complete, and say what everyone must see from then on."""
    if current == "absent":
        return None
    tags = {"mine": "1"} | ({"resonate:timeout": "true"} if "timer" in current else {})
    deadline = bench.now + (1000 if current in TIMED_OUT else HOUR_MS)
    expected = shown(bench.promises.create("p", deadline, ikey=key, headers={"h": "1"}, data="[1]", tags=tags))
    if current in COMPLETED:
        settle = getattr(bench.promises, SETTLES[current])
        return shown(settle("p", ikey=key, headers={"v": "1"}, data="[2]"))
    if current in TIMED_OUT:
        move = bench.elapse if current.startswith("expired") else bench.advance
        move(2000)
        return expected | {"state": TIMED_OUT[current], "completed_on": deadline, "ikey_for_complete": None, "value": (None, None)}
    return expected


CREATES = {
    "create": lambda bench, *given, **more: bench.promises.create(*given, **more),
    "create_with_task": lambda bench, *given, **more: bench.promises.create_with_task(*given, "w1", 1000, **more)[0],
}


@pytest.mark.parametrize("how", CREATES)
@pytest.mark.parametrize(("current", "strict", "keys"), list(product(STATES, BOTH, KEYS)))
def test_create_table(bench: Bench, how: str, current: str, strict: bool, keys: str) -> None:
    """Creating again is answered with what is there for the same key, strictly only while it is pending; all else is refused."""
    kept, given = KEYS[keys]
    expected = promise_in(bench, current, kept)
    outcome = row(CREATE_TABLE, current, strict, keys in MATCHING)
    call: Any = CREATES[how]
    arguments = (bench, "p", bench.now + 5000)
    named = {"ikey": given, "strict": strict, "headers": {"n": "1"}, "data": "[3]", "tags": {"new": "1"}}
    if isinstance(outcome, int):
        assert refusal(call, *arguments, **named) == outcome
    elif outcome == "PENDING":
        expected = {
            "id": "p", "state": "PENDING", "timeout": bench.now + 5000, "ikey_for_create": given, "ikey_for_complete": None,
            "param": ({"n": "1"}, "[3]"), "value": (None, None), "tags": {"new": "1"}, "created_on": bench.about(bench.now),
            "completed_on": None,
        }  # fmt: skip
        assert shown(call(*arguments, **named)) == expected
    else:
        assert shown(call(*arguments, **named)) == expected
    assert shown(bench.promises.get("p")) == expected


@pytest.mark.parametrize(("current", "wanted", "strict", "keys"), list(product(STATES, COMPLETED, BOTH, KEYS)))
def test_complete_table(bench: Bench, current: str, wanted: str, strict: bool, keys: str) -> None:
    """A promise settles once; a repeat is answered for the same key, strictly only for the same state; after a deadline only leniently."""
    kept, given = KEYS[keys]
    expected = promise_in(bench, current, kept)
    outcome = row(COMPLETE_TABLE, current, strict, keys in MATCHING, wanted == current)
    settle = getattr(bench.promises, SETTLES[wanted])
    named = {"ikey": given, "strict": strict, "headers": {"late": "1"}, "data": "[4]"}
    if outcome == "its code":
        outcome = REFUSED_AS[current]
    if isinstance(outcome, int):
        assert refusal(settle, "p", **named) == outcome
    elif outcome == "wanted":
        assert expected is not None
        expected |= {"state": wanted, "value": ({"late": "1"}, "[4]"), "ikey_for_complete": given, "completed_on": bench.about(bench.now)}
        assert shown(settle("p", **named)) == expected
    else:
        assert shown(settle("p", **named)) == expected
    if expected is None:
        assert refusal(bench.promises.get, "p") == 40400
    else:
        assert shown(bench.promises.get("p")) == expected


@pytest.mark.parametrize(("tags", "state"), [
    ({}, "REJECTED_TIMEDOUT"), ({"resonate:timeout": "true"}, "RESOLVED"), ({"resonate:timeout": "false"}, "REJECTED_TIMEDOUT"),
    ({"resonate:timeout": "TRUE"}, "REJECTED_TIMEDOUT"), ({"resonate:timeout": "1"}, "REJECTED_TIMEDOUT"),
])  # fmt: skip
def test_a_deadline_falls_due_at_its_millisecond(bench: Bench, tags: dict[str, str], state: str) -> None:
    """A pending promise ends exactly at its deadline, resolved when its tag says exactly `true`, without value and key."""
    deadline = bench.now + 3000
    bench.create(timeout=deadline, ikey="k", tags=tags)
    bench.advance(2999)
    assert bench.promises.get("p").pending
    bench.advance(1)
    ended = bench.promises.get("p")
    assert (ended.state, ended.completed_on, ended.value.to_tuple(), ended.ikey_for_complete) == (state, deadline, (None, None), None)


@pytest.mark.parametrize("before_ms", [0, 1, HOUR_MS])
def test_a_promise_may_be_born_expired(bench: Bench, before_ms: int) -> None:
    """A deadline that has passed is accepted, and whoever looks next sees the promise timed out at that deadline."""
    deadline = bench.now - before_ms
    assert bench.create(timeout=deadline).pending
    looked = bench.promises.get("p")
    assert (looked.timedout, looked.completed_on) == (True, deadline)


LOOKS = {
    "get": lambda bench: bench.promises.get("p"),
    "create": lambda bench: bench.create("p", ikey="k"),
    "complete": lambda bench: bench.promises.resolve("p"),
    "search": lambda bench: bench.promises.search("p").promises[0],
    "time alone": lambda bench: bench.advance() or bench.promises.get("p"),
}


@pytest.mark.parametrize("look", LOOKS)
def test_whoever_looks_ends_an_expired_promise_with_all_that_follows(bench: Bench, look: str) -> None:
    """A deadline has the same effects whoever notices it: its own task ends, its waiter is resumed, its subscriber told, each once."""
    root = bench.claimed("r")
    bench.create("p", bench.now + 5000, ikey="k", tags={"resonate:invoke": DEFAULT})
    own = bench.one_task()
    bench.promises.callback("p", "r", DEFAULT, bench.far)
    bench.promises.subscribe("s", "p", DEFAULT, bench.far)
    bench.tasks.complete(root["id"], 1)
    bench.elapse(6000)
    assert LOOKS[look](bench).state == "REJECTED_TIMEDOUT"
    bench.advance()
    found = bench.messages()
    assert sorted(message["type"] for message in found) == ["notify", "resume"]
    assert refusal(bench.tasks.claim, own["id"], 1, "w1", 1000) == 40307


@pytest.mark.parametrize("settled", [*COMPLETED, "REJECTED_TIMEDOUT"])
def test_completion_in_one_step(bench: Bench, settled: str) -> None:
    """Completing ends every task of the run, turns callbacks into tasks in the order of their ids, tells subscribers, and is then over."""
    waiting = {name: bench.claimed(name) for name in ("w.b", "w.c", "w.a")}
    bench.claimed("r", timeout=bench.now + 5000)
    bench.create("leaf")
    bench.promises.callback("leaf", "r", DEFAULT, bench.far)
    bench.promises.resolve("leaf")  # r has two tasks now: one that is held, one that waits
    for name, task in waiting.items():
        bench.promises.callback("r", name, DEFAULT, bench.far)
        bench.tasks.complete(task["id"], 1)
    bench.promises.subscribe("s", "r", DEFAULT, bench.far)
    assert bench.messages() == []
    if settled == "REJECTED_TIMEDOUT":
        bench.advance(5000)
    else:
        getattr(bench.promises, SETTLES[settled])("r")
    found = bench.messages()
    assert [message["task"]["id"] for message in found if message["type"] == "resume"] == [f"__resume:{name}:r" for name in sorted(waiting)]
    assert [message["promise"]["state"] for message in found if message["type"] == "notify"] == [settled]
    assert refusal(bench.tasks.claim, "__invoke:r", 1, "w2", 1000) == 40307
    assert refusal(bench.tasks.claim, "__resume:r:leaf", 1, "w2", 1000) == 40307
    assert bench.promises.callback("r", "w.a", DEFAULT, bench.far)[1] is None


def test_losers_of_a_race_see_the_winner(bench: Bench) -> None:
    """Of several settlements the first counts, and every later one is told which it was."""
    bench.create()
    bench.promises.reject("p", data="[1]")
    for name in ("resolve", "reject", "cancel"):
        with pytest.raises(ResonateStoreError) as caught:
            getattr(bench.promises, name)("p", data="[2]")
        assert code_of(caught.value) == 40302
    assert bench.promises.get("p").value.data == "[1]"


@pytest.mark.parametrize("data", [None, "", "null", '{"a": [1, 2.5, "é"]}', "no JSON at all", "\x00\u2028\U0001f600", "x" * 100_000])
@pytest.mark.parametrize("headers", [{}, {"": ""}, {"a": "1", "ä b": "\x00\n"}], ids=str)
def test_values_come_back_as_they_went_in(bench: Bench, data: str | None, headers: dict[str, str]) -> None:
    """Headers and text of a param and a value are kept to the letter; no headers are None."""
    assert bench.create(headers=headers, data=data).param.to_tuple() == (headers or None, data)
    bench.promises.resolve("p", headers=headers, data=data)
    kept = bench.promises.get("p")
    assert kept.param.to_tuple() == kept.value.to_tuple() == (headers or None, data)


def test_what_is_handed_over_is_not_shared(bench: Bench) -> None:
    """Neither changing the dicts that a caller gave nor those that it was given changes what the store keeps."""
    given = {"a": "1"}
    made = bench.create(headers=given, tags=given)
    given["a"] = "2"
    made.tags["a"] = "3"
    made.param.headers["a"] = "4"
    bench.promises.get("p").param.headers["a"] = "5"
    kept = bench.promises.get("p")
    assert (kept.tags, kept.param.headers) == ({"a": "1"}, {"a": "1"})


def test_a_promise_in_hand_settles_itself(bench: Bench) -> None:
    """The methods of a promise act on the store and bring the object up to date."""
    made = bench.create("p", bench.now + 4000, ikey="k")
    assert (made.pending, made.completed, made.rel_timeout, made.abs_timeout) == (True, False, 4.0, (bench.now + 4000) / 1000)
    made.resolve("[1]", ikey="K", headers={"h": "1"})
    assert shown(made) == shown(bench.promises.get("p"))
    assert (made.resolved, made.completed, made.value.to_tuple()) == (True, True, ({"h": "1"}, "[1]"))
    stale = bench.create("q")
    bench.promises.cancel("q")
    assert stale.subscribe("s", DEFAULT) is None
    assert stale.canceled
    for name, state in (("reject", "rejected"), ("cancel", "canceled")):
        other = bench.create(name)
        getattr(other, name)()
        assert getattr(other, state)


def test_everything_is_read_back_as_it_was_acknowledged(bench: Bench) -> None:
    """What a store has answered stays so, also in a store that was closed and opened again."""
    answers = []
    for number, state in enumerate(("PENDING", *COMPLETED)):
        answer = bench.create(f"p{number}", ikey="k", headers={"h": "1"}, data="[1]", tags={"t": "1"})
        if state != "PENDING":
            answer = getattr(bench.promises, SETTLES[state])(answer.id, ikey="K", headers={"v": "1"}, data="[2]")
        answers.append(shown(answer))
    schedule = bench.schedules.create("s", "@every 1h", "x.{{.timestamp}}", 1000, ikey="k", promise_data="[3]")
    task = bench.claimed("r", ttl=1000)
    if bench.restart is not None:
        bench.restart()
    assert [shown(bench.promises.get(answer["id"])) for answer in answers] == answers
    assert bench.schedules.get("s").next_runtime == schedule.next_runtime
    bench.advance(1000)
    assert bench.sent() == [(task["id"], 2)]
