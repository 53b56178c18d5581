"""The laws of the still picture: always well-formed, nothing foreign in it but text, and no text on another."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_runs import START, Story, backfill, broken, pipeline

from resonate_notebook.model import STATES, RunModel
from resonate_notebook.svg import COLOURS, ICONS, SVG_ROWS_MAX, WIDTH, _sans_px, render_svg
from resonate_notebook.text import cells

NS = "{http://www.w3.org/2000/svg}"
ALLOWED = {
    "svg": {"width", "height", "viewBox", "role", "font-family"}, "title": set(), "desc": set(), "g": {"transform"},
    "rect": {"x", "y", "width", "height", "rx", "fill", "stroke", "stroke-dasharray"},
    "path": {"d", "fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "transform"},
    "text": {"x", "y", "font-size", "text-anchor"}, "tspan": {"dx", "fill", "font-weight", "font-family", "font-size"},
}  # fmt: skip
VALUE = re.compile(r"[-#\w .()%]*|[MHVQZACLSmhvqzacls\d. -]+|(Menlo|-apple-system),[\w ',-]+")
HOSTILE = [
    "</text><script>alert(1)</script>", '" onload="alert(1)', "' x='", "&lt;&#x3c;", "]]><!--", "<?xml?><!DOCTYPE x [",
    "\x00\x08\x1b[2J", "\ud800\udfff", "\ufffe\uffff", "\u202eevil\u200b", "line\r\nbreak",
    "漢字" * 40, "W" * 500, "", "javascript:alert(1)",
]  # fmt: skip
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(codec=None, categories=None), max_size=60))


def parsed(svg: str) -> ET.Element:
    svg.encode()
    root = ET.fromstring(svg)
    for element in root.iter():
        tag = element.tag.removeprefix(NS)
        assert tag in ALLOWED
        assert set(element.attrib) <= ALLOWED[tag]
        assert all(VALUE.fullmatch(value) for value in element.attrib.values())
    return root


def words(root: ET.Element) -> list[str]:
    return ["".join(element.itertext()) for element in root.iter(f"{NS}text")]


def extents(root: ET.Element) -> list[tuple[float, float, float, str]]:
    """Where each text begins and ends, and its height on the page, as reckoned with the widths that the picture promises."""
    out = []
    for element in root.iter(f"{NS}text"):
        size, wide, gaps = float(element.attrib["font-size"]), 0.0, 0.0
        for span in element:
            text, own = span.text or "", float(span.attrib.get("font-size", size))
            bold = "font-weight" in span.attrib
            wide += cells(text) * own * 0.6025 if "font-family" in span.attrib else _sans_px(text, own, bold=bold)
            gaps += float(span.attrib.get("dx", 0))
        x, y = float(element.attrib["x"]), float(element.attrib["y"])
        left = x - wide if element.attrib.get("text-anchor") == "end" else x
        out.append((left, left + wide + gaps, y, "".join(element.itertext())))
    return out


def apart(svg: str) -> None:
    texts = sorted(extents(parsed(svg)), key=lambda text: text[2])
    for number, (left, right, y, text) in enumerate(texts):
        assert left >= 0, text
        assert right <= WIDTH, text
        for other_left, other_right, other_y, other in texts[number + 1 :]:
            if other_y - y >= 9:
                break
            assert right <= other_left or other_right <= left, f"{text!r} runs into {other!r}"


def hostile(texts: list[str]) -> RunModel:
    a, b, c = texts
    model = RunModel(a, where=b, where_label=c)
    story = Story(a).created(0, a, b, **{c: a, b: b}).started(0, a, 2, 3)
    for number, name in enumerate((a, b, c) * 3):
        story.created(1, f"{number}{c}", name, a, kind="promise" if number == 4 else "run", **{b: c, "x": a})
        story.created(2, f"{number}{b}.", c, f"{number}{c}", kind="rpc")
    story.failed(2, f"1{c}", 1, None, 9, b).settled(3, f"2{c}", "rejected", error=c * 3)
    for fact in story.facts:
        model.apply(fact)
    return model


@given(st.lists(TEXTS, min_size=3, max_size=3), st.booleans())
@settings(max_examples=120, deadline=None)
def test_whatever_a_run_is_called_its_picture_is_well_formed_and_holds_it_as_text_only(texts: list[str], deep: bool) -> None:
    model = hostile(texts)
    svg = render_svg(model, START + 5)
    parsed(svg)
    assert "<script" not in svg
    apart(svg)


@pytest.mark.parametrize("story", [pipeline(), broken(), backfill(600), backfill(3_000), Story("r").ran(0, 1, "r", "f")])
@pytest.mark.parametrize("stable", [False, True])
def test_no_text_runs_into_another_or_out_of_the_picture(story: Story, stable: bool) -> None:
    apart(render_svg(story.model(), START + 1_864, stable))


def test_long_calls_long_errors_and_stacks_of_all_states_keep_apart_in_graph_and_tree() -> None:
    story = Story("r").created(0, "r", "root").started(0, "r")
    story.created(1, "r.1", "a_function_with_a_long_name", a="'long'" * 9).started(1, "r.1")
    for number in range(220):
        promise = f"r.1.{number}"
        story.created(2, promise, "member", kind=("run", "promise", "sleep", "run", "run")[number % 5] if number < 200 else "run")
        if number % 5 == 0:
            story.settled(9, promise, ("resolved", "rejected", "timedout", "canceled")[number % 4], error="E" * 99)
        elif number % 5 == 3:
            story.failed(9, promise, 2, 5, 90, "A long error of many words " * 5)
        elif number % 5 == 4:
            story.started(9, promise)
    graph = render_svg(story.model(), START + 20)
    apart(graph)
    assert 'rx="7"' in graph
    assert words(parsed(graph)).count("waiting for you") == 8
    for number in range(2, 70):
        story.ran(1, 9_999, f"r.{number}", f"a_function_with_a_long_name_{number}", a="'long'" * 9)
        story.ran(2, 3, f"r.{number}.1", "hidden")
    svg = render_svg(story.model(), START + 90_000)
    apart(svg)
    assert "+1" in words(parsed(svg))


def test_the_picture_is_760_px_wide_as_high_as_its_content_and_titled_with_the_summary() -> None:
    model = pipeline().model()
    root = parsed(render_svg(model, START + 212))
    height = root.attrib["height"]
    assert (root.attrib["width"], root.attrib["viewBox"]) == ("760", f"0 0 760 {height}")
    assert root.findtext(f"{NS}title") == model.summary()
    assert (root.findtext(f"{NS}desc") or "").startswith(model.summary())
    lowest = max(float(rect.attrib["y"]) + float(rect.attrib["height"]) for rect in root.findall(f"{NS}rect")[1:])
    assert lowest + 10 <= int(height) <= lowest + 30


def test_the_graph_shows_each_box_with_its_call_state_time_and_error() -> None:
    shown = words(parsed(render_svg(pipeline().model(), START + 212)))
    for text in (
        "demo.1pipeline(days=31)", "runs.db", "3 m 32 s", "clean ×31", "13 resolved · 18 recovered", "+3", "train(model='xgboost')",
        "retrying · 3 of 5 failed · next in 4 s", "ConnectionError: gpu-2:7070", "refused the connection", "sleeping · 24 s left",
        "rejected · caught", "waiting for you", "demo.1.38 VALUE", "pending · no worker yet", "1waiting for you",
    ):  # fmt: skip
        assert text in shown


def test_a_graph_has_sixty_boxes_at_most_and_a_tree_sixty_rows() -> None:
    story = Story("r").created(0, "r", "f").started(0, "r")
    for number in range(59):
        story.created(1, f"r.{number}", f"step_{number}").started(1, f"r.{number}")
    boxes = words(parsed(render_svg(story.model(), START + 9)))
    assert sum(text.startswith("step_") for text in boxes) == 59
    assert "No calls yet." not in boxes
    assert render_svg(story.model(), START + 9).count('rx="7"') == 60
    for number in range(59, 80):
        story.created(1, f"r.{number}", f"step_{number}").started(1, f"r.{number}")
    tree = render_svg(story.model(), START + 9)
    assert tree.count('rx="7"') == 0
    assert sum(text.startswith("step_") for text in words(parsed(tree))) == SVG_ROWS_MAX - 1
    assert words(parsed(tree))[-1] == "… 21 more calls, folded"


def test_a_run_too_deep_for_boxes_is_a_tree_whose_deep_rows_say_their_depth() -> None:
    story, promise = Story("r").created(0, "r", "f").started(0, "r"), "r"
    for _ in range(1_000):
        promise += ".1"
        story.created(1, promise, "f").started(1, promise)
    svg = render_svg(story.model(), START + 9)
    assert {"⋯13", "⋯59", "… 941 more calls, folded"} <= set(words(parsed(svg)))
    apart(svg)


def test_the_stable_picture_has_no_times_and_does_not_change_with_them() -> None:
    for story in (pipeline(), broken(), backfill(600)):
        first, second = (render_svg(story.model(), START + at, stable=True) for at in (2_000, 90_000))
        assert first == second
        assert not any(re.search(r"\d (ms|s|m|h|d)\b", text) for text in words(parsed(first)))


def test_each_state_is_drawn_with_its_own_shape_and_colour() -> None:
    assert set(ICONS) == set(COLOURS) == set(STATES)
    svg = render_svg(pipeline().model(), START + 212)
    for state in ("resolved", "recovered", "running", "retrying", "sleeping", "waiting", "rejected", "pending"):
        assert all(path in svg for _, _, path in ICONS[state])
        assert COLOURS[state] in svg


def test_an_unknown_run_has_a_picture_too() -> None:
    assert "No calls yet." in words(parsed(render_svg(RunModel("demo.9"), START)))
