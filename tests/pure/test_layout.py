"""The laws of folding and of the boxes' places."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_runs import Story, backfill, broken, pipeline

from resonate_notebook.layout import BOXES_MAX, GAP_Y, Item, choose, edge, fits_graph, fold, in_call_order, place, rows
from resonate_notebook.model import URGENT, RunModel


def folded(model: RunModel) -> list[Item]:
    top = fold(model)
    assert top is not None
    return rows(top)


def labels(model: RunModel) -> list[str]:
    def mark(item: Item) -> str:
        return f" ×{len(item.members)}" if item.kind == "stack" else f" +{item.hidden}" if item.hidden else ""

    return [f"{'  ' * item.depth}{item.name} {item.state}{mark(item)}" for item in folded(model)]


@st.composite
def models(draw: st.DrawFn) -> RunModel:
    """Any tree of calls of three functions, each settled, going on or in trouble."""
    story, calls = Story("r").created(0, "r", "root").started(0, "r"), ["r"]
    for number in range(draw(st.integers(0, 60))):
        parent = calls[draw(st.integers(0, len(calls) - 1))]
        promise = f"{parent}.{number}"
        story.created(number, promise, draw(st.sampled_from("fgh")), parent)
        match draw(st.sampled_from(("resolved", "resolved", "resolved", "rejected", "timedout", "retrying", "running", "pending"))):
            case "resolved" | "rejected" | "timedout" as outcome:
                story.settled(99, promise, outcome)
            case "retrying":
                story.failed(99, promise, 1, 3, 120, "E")
            case "running":
                story.started(99, promise)
        calls.append(promise)
    return story.model()


@given(models())
@settings(max_examples=80, deadline=None)
def test_every_call_is_stood_for_once_and_what_needs_a_look_is_seen_or_counted(model: RunModel) -> None:
    items = folded(model)
    assert sum(item.calls for item in items) == len(model.nodes)
    shown = [item.node for item in items if item.node is not None]
    assert len(shown) == len({node.index for node in shown})
    counted = sum(item.calls for item in items if item.kind == "more")
    missing = [node for node in model.nodes if node.state in URGENT and node not in shown]
    assert len(missing) <= counted
    for item in items:
        assert sum(child.kind == "call" for child in item.children) <= 8 or item.kind == "call"
        assert [child.last for child in item.children] == [False] * (len(item.children) - 1) + [True] * bool(item.children)


@given(models(), st.integers(100, 900))
@settings(max_examples=80, deadline=None)
def test_boxes_keep_apart_and_a_parent_is_level_with_its_first_call(model: RunModel, asked: int) -> None:
    items = folded(model)
    height = place(items, lambda _: asked, lambda item, _: len(item.name) % 3, 714)
    for item in items:
        assert item.y >= 0
        assert item.y + item.height <= height
        if item.children:
            assert item.y == item.children[0].y
        for child in item.children:
            assert child.x > item.x + item.width
    for column in range(max(item.depth for item in items) + 1):
        boxes = sorted((item for item in items if item.depth == column), key=lambda item: item.y)
        assert len({(box.x, box.width) for box in boxes}) == 1
        assert all(above.y + above.height + GAP_Y <= below.y for above, below in pairwise(boxes))
    if fits_graph(items):
        assert max(item.x + item.width for item in items) <= 714


@given(models())
@settings(max_examples=40, deadline=None)
def test_edges_are_orthogonal_and_leave_a_parent_by_one_trunk(model: RunModel) -> None:
    items = folded(model)
    place(items, lambda _: 200, lambda _, __: 0, 714)
    for item in items:
        trunks = set()
        for child in item.children:
            path = edge(item, child)
            assert path.startswith(f"M{item.x + item.width:g} ")
            assert path.endswith(f"H{child.x:g}")
            assert set(re.findall("[A-Z]", path)) <= set("MHVQ")
            trunks |= set(re.findall(r"Q(\S+) \S+ \1 ", path))
        assert len(trunks) <= 1


@pytest.mark.parametrize(("calls", "items"), [(4, 5), (5, 2)])
def test_siblings_of_one_function_fold_from_five_on(calls: int, items: int) -> None:
    story = Story("r").created(0, "r", "root")
    for number in range(calls):
        story.ran(1, 2, f"r.{number}", "f")
    assert len(folded(story.model())) == items


def test_failures_stand_below_their_stack_eight_at_most_the_most_urgent_first_in_call_order() -> None:
    story = Story("r").created(0, "r", "root").started(0, "r")
    for number in range(40):
        story.created(number, f"r.{number}", "f", kind="promise" if number == 39 else "run")
        if number % 4 == 0:
            story.settled(50, f"r.{number}", "rejected", error="E")
        elif number % 4 == 1:
            story.failed(50, f"r.{number}", 1, 3, 60, "E")
    stack = folded(story.model())[1]
    assert [child.node.id if child.node else child.counts for child in stack.children] == [
        "r.0", "r.4", "r.8", "r.12", "r.16", "r.20", "r.24", "r.39", {"rejected": 3, "retrying": 10},
    ]  # fmt: skip
    assert (stack.state, list(stack.counts)) == ("waiting", ["waiting", "rejected", "retrying", "pending"])


def test_the_pipeline_folds_as_it_is_drawn() -> None:
    assert labels(pipeline().model()) == [
        "pipeline running", "  load recovered +3", "  clean resolved ×31", "  features resolved +4", "  train resolved +2",
        "  train running", "    fit retrying", "  train running", "    fit resolved", "    sleep sleeping", "  train running",
        "    fit rejected", "    fit running", "  approve waiting", "  publish pending",
    ]  # fmt: skip


def test_finished_subtrees_stay_open_in_small_runs_and_where_a_failure_was_caught() -> None:
    story = Story("r").created(0, "r", "root").ran(1, 9, "r.1", "f").ran(2, 3, "r.1.1", "g")
    assert labels(story.model()) == ["root pending", "  f resolved", "    g resolved"]
    for number in range(2, 26):
        story.ran(2, 3, f"r.{number}", f"step_{number}")
    assert labels(story.model())[:2] == ["root pending", "  f resolved +1"]
    story.created(4, "r.2.1", "later")
    assert labels(story.model())[1:4] == ["  f resolved +1", "  step_2 resolved", "    later pending"]
    story.created(4, "r.1.2", "h").settled(5, "r.1.2", "rejected", error="E")
    assert labels(story.model())[1:4] == ["  f resolved", "    g resolved", "    h rejected"]


def test_calls_stand_in_call_order_however_their_facts_came() -> None:
    story = Story("r").created(0, "r", "root")
    for promise in ("r.10", "r.2", "approve", "r.1", "r.x", "r.9"):
        story.created(1, promise, "f", "r")
    assert [child.id for child in in_call_order(story.model().nodes[0])] == ["r.1", "r.2", "approve", "r.9", "r.x", "r.10"]


def test_runs_of_great_depth_and_width_fold_without_recursion() -> None:
    story, promise = Story("r").created(0, "r", "f").started(0, "r"), "r"
    for _ in range(3_000):
        promise += ".1"
        story.created(1, promise, "f").started(1, promise)
    items = folded(story.model())
    assert [item.depth for item in items] == list(range(3_001))
    assert not fits_graph(items)
    items = folded(backfill(5_000).model())
    assert len(items) <= BOXES_MAX
    assert sum(item.calls for item in items) == len(backfill(5_000).model().nodes)


def test_with_too_little_room_what_needs_a_look_is_chosen_first_with_the_way_to_it() -> None:
    story = Story("r").created(0, "r", "root").started(0, "r")
    for number in range(100):
        story.created(number, f"r.{number}", f"step_{number}").started(number, f"r.{number}")
    story.created(100, "r.70.1", "g").settled(101, "r.70.1", "rejected", error="E").created(102, "ask", "ask", "r", kind="promise")
    shown, left = choose(folded(story.model()), 10)
    assert [item.name for item in shown] == ["root", *(f"step_{number}" for number in range(6)), "step_70", "g", "ask"]
    assert Counter(item.state for item in left) == {"running": 93}
    assert [item.name for item in shown if item.last] == ["root", "g", "ask"]


def test_choosing_leaves_all_as_it_is_when_there_is_room() -> None:
    items = folded(broken().model())
    assert choose(items, len(items)) == (items, [])


@given(models(), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_a_choice_is_a_tree_within_its_limit(model: RunModel, limit: int) -> None:
    items = folded(model)
    shown, left = choose(items, limit)
    assert len(shown) == min(limit, len(items))
    assert len(shown) + len(left) == len(items)
    assert all(item.parent is None or item.parent in shown for item in shown)
