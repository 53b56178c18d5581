"""The laws of the run's picture: what facts make of it, in whatever order and however often they come."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_runs import START, Story, backfill, broken, pipeline

from resonate.events import Event, LeaseLost, PromiseCreated, RunHalted, RunResumed, RunSuspended
from resonate_notebook.model import ASIDE_LIMIT, ATTEMPTS_KEPT, LIVE, SETTLED, STATES, RunModel
from resonate_notebook.text import said


def fed(facts: list[Event], run: str = "r") -> RunModel:
    model = RunModel(run)
    for fact in facts:
        model.apply(fact)
    return model


def told(seed: int, calls: int = 25) -> list[Event]:
    """A random run: calls of all kinds below each other, which start, fail, retry and settle, in the order of time."""
    chance = random.Random(seed)
    story = Story("r").created(0, "r", "root").started(0, "r", 1, 3)
    parents, at = ["r"], 0.0
    for number in range(calls):
        at += chance.random()
        parent = chance.choice(parents)
        promise = f"{parent}.{number}"
        kind = chance.choice(("run", "run", "run", "rpc", "detached", "promise", "sleep"))
        story.created(at, promise, chance.choice("fgh"), parent, kind=kind, due=at + 50, x=str(number))
        if kind in {"promise", "sleep"}:
            ends = at + chance.random() * 30
        else:
            parents.append(promise)
            ends = at
            for attempt in range(1, chance.randint(1, 4)):
                story.started(ends + 0.1, promise, attempt, 3)
                ends += 2 * chance.random() + 0.2
                if chance.random() < 0.5:
                    story.failed(ends - 0.05, promise, attempt, 3, ends + 1, f"E{number}")
        if chance.random() < 0.6:
            outcome = chance.choice(("resolved", "resolved", "rejected", "canceled", "timedout"))
            story.settled(ends, promise, outcome, error=f"E{number}" * (outcome == "rejected"), recovered=chance.random() < 0.2)
    if chance.random() < 0.5:
        story.settled(at + 60, "r", chance.choice(("resolved", "rejected", "canceled", "timedout")), error="E3")
    return sorted(story.facts, key=lambda fact: fact.at)


def essence(model: RunModel) -> dict[str, tuple[Any, ...]]:
    shown = {"retrying", "rejected"}
    return {node.id: (node.state, node.ended_at, node.caught, node.state in shown and node.error) for node in model.nodes}


def updated(node: dict[str, Any], fields: dict[str, Any]) -> None:
    for key, value in fields.items():
        if value is None:
            node.pop(key, None)
        else:
            node[key] = value


def mirrored(mirror: dict[str, Any], operations: list[list[Any]]) -> None:
    for operation in json.loads(json.dumps(operations)):
        match operation:
            case ["run", fields]:
                mirror["run"] |= fields
            case ["add", node]:
                if node["i"] == len(mirror["nodes"]):
                    mirror["nodes"].append({})
                updated(mirror["nodes"][node["i"]], node)
            case ["set", index, fields]:
                updated(mirror["nodes"][index], fields)
            case _:
                pytest.fail(f"no such operation: {operation}")


@given(st.integers(0, 10**9))
@settings(max_examples=40, deadline=None)
def test_counts_kept_by_the_event_agree_with_counting_anew(seed: int) -> None:
    model = RunModel("r")
    for fact in told(seed):
        model.apply(fact)
        anew = Counter(node.state for node in model.nodes)
        assert {state: count for state, count in model.counts.items() if count} == anew
        for node in model.nodes:
            assert node.open_children == sum(child.state not in SETTLED for child in node.children)
        assert model.root is not None
        if model.root.state == "running":
            busy = any(node.state == "retrying" or (node.state == "running" and not node.open_children) for node in model.nodes)
            waits = [state for state in ("waiting", "sleeping") if model.counts[state]]
            assert model.state == ("running" if busy or not waits else waits[0])


@given(st.integers(0, 10**9))
@settings(max_examples=40, deadline=None)
def test_facts_may_be_repeated_from_any_moment_on(seed: int) -> None:
    facts = told(seed)
    model = fed(facts)
    whole = model.snapshot()
    model.take_operations()
    for fact in facts[seed % len(facts) :] + facts:
        model.apply(fact)
    assert model.snapshot() | {"seq": 0} == whole
    assert model.take_operations() == []


@given(st.integers(0, 10**9))
@settings(max_examples=40, deadline=None)
def test_facts_in_any_order_end_in_the_same_picture(seed: int) -> None:
    facts = told(seed)
    shuffled = random.Random(seed).sample(facts, len(facts))
    assert essence(fed(shuffled)) == essence(fed(facts))


@given(st.integers(0, 10**9), st.data())
@settings(max_examples=40, deadline=None)
def test_operations_bring_a_mirror_from_any_snapshot_to_the_present(seed: int, data: st.DataObject) -> None:
    facts = told(seed)
    model, mirror, seq = RunModel("r"), None, 0
    start = data.draw(st.integers(0, len(facts) - 1))
    for number, fact in enumerate(facts):
        model.apply(fact)
        if number == start:
            mirror = json.loads(json.dumps(model.snapshot()))
        if number % data.draw(st.integers(1, 7)) == 0:
            operations = model.take_operations()
            assert model.seq == seq + bool(operations)
            seq = model.seq
            if mirror is not None:
                mirrored(mirror, operations)
    assert mirror is not None
    mirrored(mirror, model.take_operations())
    fresh = json.loads(json.dumps(model.snapshot()))
    assert mirror["nodes"] == fresh["nodes"]
    assert mirror["run"] | {"now": 0} == fresh["run"] | {"now": 0}


def test_what_a_snapshot_told_early_is_taken_back_by_the_batch_that_follows() -> None:
    story = Story("r").created(0, "r", "root").started(0, "r")
    model = story.created(1, "r.1", "f").failed(2, "r.1", 1, 3, 4, "Oops").model()
    mirror = json.loads(json.dumps(model.snapshot()))
    for fact in Story("r").settled(5, "r.1").facts:
        model.apply(fact)
    mirrored(mirror, model.take_operations())
    assert mirror["nodes"] == model.snapshot()["nodes"]


def test_a_batch_holds_the_last_state_and_only_what_has_changed() -> None:
    story = Story("r").created(0, "r", "root").started(0, "r").created(1, "r.1", "f", day="7")
    model = story.model()
    assert model.take_operations() == [
        ["run", {"id": "r", "where": {"kind": "file", "label": "runs.db"}, "started": int(START * 1000), "busy": False, "away": ""}],
        ["add", {"i": 0, "id": "r", "p": -1, "f": "root", "k": "run", "a": [], "t": 0, "s": "running", "b": 0, "n": 1}],
        ["add", {"i": 1, "id": "r.1", "p": 0, "f": "f", "k": "run", "a": [["day", "7"]], "t": 1000, "s": "pending"}],
    ]
    for fact in Story("r").started(2, "r.1", 1, 3).failed(2.5, "r.1", 1, 3, 4, "Oops: 1").facts:
        model.apply(fact)
    failed = {"s": "retrying", "b": 2000, "n": 1, "m": 3, "d": 4000, "x": "Oops: 1", "h": [2000, 2500]}
    assert model.take_operations() == [["set", 1, failed]]
    for fact in Story("r").started(4, "r.1", 2, 3).settled(5.25, "r.1").facts:
        model.apply(fact)
    assert model.take_operations() == [["set", 1, {"s": "resolved", "e": 5250, "n": 2, "d": None, "x": None, "h": [2000, 2500, 4000]}]]
    assert (model.take_operations(), model.seq) == ([], 3)


def test_the_times_of_attempts_are_kept_the_latest_ones() -> None:
    """Begin and end of each attempt that was seen; a run that is taken up again is still in the same attempt."""
    story = Story("r").created(0, "r", "root").started(0, "r").started(5, "r")
    story.created(1, "r.1", "f").failed(3, "r.1", 1, 3, 4, "Oops").started(4, "r.1", 2)
    model = story.model()
    root, call = model.nodes
    assert (root.tries, call.tries) == ((START,), (START + 1, START + 3, START + 4))
    for attempt in range(2, 100):
        for fact in (
            Story("r").failed(2 * attempt, "r.1", attempt, None, 2 * attempt + 1, "E").started(2 * attempt + 1, "r.1", attempt + 1).facts
        ):
            model.apply(fact)
    assert call.tries[-3:] == (START + 197, START + 198, START + 199)
    assert len(call.tries) <= 2 * ATTEMPTS_KEPT


def test_nothing_counts_after_a_settlement() -> None:
    model = Story("r").ran(0, 5, "r", "f").model()
    before = model.snapshot()
    for fact in Story("r").started(6, "r", 2).failed(7, "r", 2, 3, 9, "late").settled(8, "r", "rejected", error="late").facts:
        model.apply(fact)
    assert model.snapshot(START + 5) == before


def test_a_snapshot_followed_by_older_live_facts_is_not_set_back() -> None:
    story = Story("r").created(0, "r", "f").started(5, "r", 3, 5)
    story.started(0, "r", 1, 5).failed(1, "r", 1, 5, 2, "first").started(2, "r", 2, 5).failed(3, "r", 2, 5, 5, "second")
    root = story.model().root
    assert root is not None
    assert (root.state, root.attempt, root.error) == ("running", 3, "")


def test_attempts_that_begin_anew_later_are_shown() -> None:
    story = Story("r").created(0, "r", "f").started(0, "r", 1, 3).failed(1, "r", 1, 3, 2, "lost").started(2, "r", 2, 3)
    root = story.started(60, "r", 1, 3).model().root
    assert root is not None
    assert (root.state, root.attempt) == ("running", 1)


def test_a_run_that_is_halted_has_failed_no_attempt_and_goes_on_in_the_one_that_it_was_in() -> None:
    story = Story("r").created(0, "r", "root").started(0, "r", 1, 1)
    model = fed([*story.facts, RunHalted("r", "r", START + 1, "the code changed")])
    root = model.nodes[0]
    assert (root.state, root.halted, root.error) == ("retrying", True, "the code changed")
    assert said(model, root, START + 2, stable=False) == ["stopped"]
    model.apply(Story("r").started(3, "r", 1, 1).facts[0])
    assert (root.state, root.halted, root.attempt) == ("running", False, 1)


def test_facts_of_a_deep_run_in_reverse_order_find_their_place_without_recursion() -> None:
    story, promise = Story("r").created(0, "r", "f").started(0, "r"), "r"
    for depth in range(3_000):
        promise += ".1"
        story.created(depth, promise, "f").started(depth, promise)
    story.facts.reverse()
    model = story.model()
    assert len(model.nodes) == 3_001
    assert model.counts["running"] == 3_001


def test_facts_about_unknown_promises_are_kept_within_bounds() -> None:
    model = RunModel("r")
    for number in range(ASIDE_LIMIT + 500):
        model.apply(PromiseCreated("r", f"x.{number}.1", START, f"x.{number}", "run", "f", (), START))
    model.apply(PromiseCreated("r", "r", START, None, "run", "f", (), START))
    assert len(model.nodes) == 1
    for number in (0, ASIDE_LIMIT - 1, ASIDE_LIMIT):
        model.apply(PromiseCreated("r", f"x.{number}", START, "r", "run", "f", (), START))
    assert [model.node(f"x.{number}.1") is not None for number in (0, ASIDE_LIMIT - 1, ASIDE_LIMIT)] == [True, True, False]


def test_facts_of_other_runs_second_roots_and_news_of_suspension_leave_the_picture_alone() -> None:
    model = Story("r").created(0, "r", "f").started(0, "r").model()
    before = model.snapshot()
    for fact in (
        PromiseCreated("other", "r.1", START, "r", "run", "f", (), START),
        PromiseCreated("r", "s", START, None, "run", "f", (), START),
        RunSuspended("r", "r", START, ("r.9",)), RunResumed("r", "r", START), LeaseLost("r", "r", START),
    ):  # fmt: skip
        model.apply(fact)
    assert model.snapshot() == before


def test_what_a_cancelled_run_leaves_is_cancelled_until_a_fact_says_otherwise() -> None:
    story = Story("r").created(0, "r", "f").started(0, "r").created(1, "r.1", "g").started(1, "r.1")
    story.created(2, "r.2", "ask", kind="promise")
    model = story.settled(5, "r", "canceled").created(4, "r.3", "h").started(6, "r.3").model()
    assert [node.state for node in model.nodes] == ["cancelled"] * 4
    assert {node.ended_at for node in model.nodes} == {START + 5}
    assert model.summary() == "r cancelled, 4 of 4 settled"
    for fact in Story("r").settled(7, "r.1").facts:
        model.apply(fact)
    first = model.node("r.1")
    assert first is not None
    assert (first.state, first.ended_at) == ("resolved", START + 7)


@pytest.mark.parametrize("outcome", ["rejected", "timedout", "resolved"])
def test_what_another_settled_run_leaves_is_pending_but_detached_calls_go_on(outcome: Any) -> None:
    story = Story("r").created(0, "r", "f").started(0, "r").created(1, "r.1", "g").started(1, "r.1")
    story.created(1, "r.2", "ask", kind="promise")
    story.created(1, "r.3", "away", kind="detached").started(1, "r.3").created(2, "r.3.1", "g").started(2, "r.3.1")
    model = story.settled(5, "r", outcome).model()
    assert [node.state for node in model.nodes] == [outcome, "pending", "pending", "running", "running"]
    assert model.settled


def test_a_rejection_is_caught_when_the_parent_calls_again_or_resolves() -> None:
    story = Story("r").created(0, "r", "f").started(0, "r").created(1, "r.1", "g").created(1, "r.2", "g")
    story.settled(2, "r.1", "rejected", error="A").settled(4, "r.2", "rejected", error="B")
    assert [node.caught for node in story.model().nodes] == [False, False, False]
    story.created(3, "r.3", "g")
    assert [node.caught for node in story.model().nodes] == [False, True, False, False]
    story.settled(9, "r")
    assert [node.caught for node in story.model().nodes] == [False, True, True, False]


def test_a_rejection_that_became_the_parents_own_was_not_caught() -> None:
    story = Story("r").created(0, "r", "f").started(0, "r").created(1, "r.1", "g").settled(2, "r.1", "rejected", error="A")
    story.created(3, "r.2", "cleanup").settled(4, "r.2").settled(5, "r", "rejected", error="A")
    assert not any(node.caught for node in story.model().nodes)


def test_many_rejections_and_calls_by_turns_are_judged_in_time() -> None:
    """Each is looked at a bounded number of times: 40,000 siblings in the worst order are done before anybody would notice."""
    story = Story("r").created(0, "r", "f").started(0, "r")
    for number in range(20_000):
        story.created(1, f"r.{number}", "g").settled(100 - number / 1000, f"r.{number}", "rejected", error="A")
    model = story.created(99.0005, "r.last", "g").model()
    assert sum(node.caught for node in model.nodes) == 19_000


def test_the_summary_is_one_sentence_with_what_asks_for_a_look() -> None:
    assert pipeline().model().summary() == "demo.1 running, 45 of 54 settled, 1 waiting for you, 1 rejected, 1 retrying"
    assert broken().model().summary() == "demo.2 rejected, 9 of 14 settled, 2 rejected"
    assert RunModel("r").summary() == "r pending, 0 of 0 settled"


def test_a_message_can_always_be_sent_as_json_in_utf8() -> None:
    text = "\ud800 \udcff lone, \U0001f389 whole, \x00"
    story = Story("r").created(0, "r", text, due=float("inf"), kind="promise", **{text: text})
    snapshot = story.settled(1, "r", "rejected", error=text).model().snapshot()
    json.dumps(snapshot, ensure_ascii=False, allow_nan=False).encode()
    assert snapshot["nodes"][0]["f"] == "\ufffd \ufffd lone, \U0001f389 whole, \x00"
    json.dumps(Story("r").created(0, "r", "f", due=float("nan"), kind="sleep").model().snapshot(), allow_nan=False)


def test_every_state_has_a_word_a_glyph_and_a_place_in_the_order_of_urgency() -> None:
    assert list(STATES) == [
        "waiting", "rejected", "timedout", "retrying", "running", "sleeping", "pending", "cancelled", "resolved", "recovered",
    ]  # fmt: skip
    assert not LIVE & SETTLED
    assert set(backfill(500).model().counts) == set(STATES)


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("password", "'hunter2'", "•••"),
        ("db_password", "'hunter2'", "•••"),
        ("API_KEY", "b'k'", "•••"),
        ("access-token", "'t'", "•••"),
        ("token", "None", "None"),
        ("max_tokens", "512", "512"),
        ("tokenizer", "'bpe'", "'bpe'"),
        ("passenger", "'Ada'", "'Ada'"),
        ("options", "{'user': 'u', 'password': 'hunter2', 'n': 1}", "{'user': 'u', 'password': •••, 'n': 1}"),
        ("", "Login(user='u', db_secret='hunter2')", "Login(user='u', db_secret=•••)"),
        ("headers", '{"Authorization": "Bearer hunter2"}', '{"Authorization": •••}'),
        ("options", "{'password': 'hunter2 and mo…", "{'password': •••"),
        ("url", "'postgres://ana:hunter2@host:5432/db?x=1'", "'postgres://ana:•••@host:5432/db?x=1'"),
        ("url", "'ssh://git@host:22/x', 'http://host:80/a@b'", "'ssh://git@host:22/x', 'http://host:80/a@b'"),
        ("", "Authorization: Basic YW5hOmh1bnRlcjI= sent", "Authorization: ••• sent"),
        ("", "{'X-Auth': 'Bearer eyJhbGci.x-1_2'}", "{'X-Auth': 'Bearer •••'}"),
        ("", "Basic authentication, bearer Certificates", "Basic authentication, bearer Certificates"),
    ],
)
def test_what_stands_under_the_name_of_a_secret_is_not_shown(name: str, text: str, shown: str) -> None:
    """No picture, and so no saved notebook, has a secret argument's value; names that only resemble one hide nothing."""
    story = Story("r")
    story.facts.append(PromiseCreated("r", "r", START, None, "run", "connect", ((name, text),), START + 9))
    assert story.model().nodes[0].arguments == ((name, shown),)
