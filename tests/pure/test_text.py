"""The laws of the text tree, and of the words that all pictures share."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_runs import START, Story, backfill, broken, pipeline

from resonate_notebook.model import RunModel
from resonate_notebook.text import call_text, cells, countdown, cut, duration, render_text, visible

PIPELINE = """\
demo.1  pipeline(days=31)  ● running                          3 m 32 s · runs.db
22 resolved · 22 recovered · 5 running · 1 retrying · 1 sleeping
1 waiting for you · 1 rejected · 1 pending

● pipeline(days=31)                      running                      3 m 32 s
├─ ✓ load('s3://sales/2024-06/*.par…) +3 recovered                      12.4 s
├─ ✓ clean ×31                           13 resolved · 18 recovered   1 m 57 s
├─ ✓ features(frames=31) +4              resolved                       24.4 s
├─ ✓ train(model='linear') +2            resolved                        7.6 s
├─ ● train(model='xgboost')              running                        56.2 s
│  └─ ↻ fit(rounds=400, host='gpu-2')    retrying, next in 4 s          56.1 s
│       3 of 5 failed · ConnectionError: gpu-2:7070 refused the connection
├─ ● train(model='prophet')              running                        56.2 s
│  ├─ ✓ fit()                            resolved                       20.1 s
│  └─ ☾ sleep(secs=60)                   sleeping, 24 s left            35.9 s
├─ ● train(model='lstm')                 running                        56.2 s
│  ├─ ✗ fit(batch=512)                   rejected, caught               23.0 s
│  │    MemoryError: 688 MiB asked, 402 MiB left on gpu-1
│  └─ ● fit(batch=64)                    running                        32.9 s
├─ ◆ approve('features-2024-06', '86 c…) waiting for you                56.0 s
│    %resonate resolve demo.1.38 VALUE
└─ ○ publish('sales_daily', 'demo.1.38') pending, no worker yet"""

BROKEN_STABLE = """\
demo.2  pipeline(days=12)  ✗ rejected                                    runs.db
7 resolved · 2 rejected · 5 pending

✗ pipeline(days=12)                      rejected
│ ValueError: no rows for day 7
├─ ✓ load()                              resolved
└─ ✗ clean ×12                           1 rejected · 5 pending · 6 resolved
   └─ ✗ clean(day=7)                     rejected
        ValueError: no rows for day 7"""

HOSTILE = [
    "\x1b[2J\x1b[31mred", "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\link", "a\rb", "a\nb\n└─ ✓ forged", "\x9b31m", "\u202egnp.exe",
    "zero\u200bwidth\u2060\ufeff", "\ud800", "\x00\x7f", "é" + "\u0301" * 40, "\u2028\u2029", "\u3164\u2800\u115f", "<b>&amp;</b>",
    "漢字かな" * 30, "👨\u200d👩\u200d👧" * 9, "x" * 3_000, "", " ", "\t", "\U000e0041\U000e01ef\ufe0f", "\u0605\ufff9",
]  # fmt: skip
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30), st.text(st.characters(codec=None, categories=None), max_size=20))


def hostile_model(texts: list[str]) -> RunModel:
    a, b, c = texts
    story = Story(a).created(0, a, b, **{c: a}).started(0, a, 2, 3)
    for number, name in enumerate((a, b, c) * 3):
        story.created(1, f"{number}{c}", name, a, kind="promise" if number == 4 else "run", **{b: c, "x": a})
    story.failed(2, f"1{c}", 1, None, 9, b).settled(3, f"2{c}", "rejected", error=c)
    return story.model()


def test_the_pipeline_is_drawn_like_this() -> None:
    assert render_text(pipeline().model(), START + 212) == PIPELINE


def test_stable_text_has_no_times_and_does_not_change_with_them() -> None:
    assert render_text(broken().model(), START + 60, stable=True) == BROKEN_STABLE
    later, earlier = (render_text(pipeline().model(), START + at, stable=True) for at in (10_000, 212))
    assert later == earlier
    assert not re.search(r"\d (ms|s|m|h|d)\b", later)


def test_stable_text_does_not_depend_on_the_order_in_which_siblings_were_heard_of() -> None:
    facts = pipeline().facts
    model = RunModel("demo.1", where_label="runs.db")
    for fact in [*facts[:2], *reversed(facts[2:])]:
        model.apply(fact)
    assert render_text(model, START, stable=True) == render_text(pipeline().model(), START, stable=True)


def test_without_colour_there_is_no_escape_and_colour_adds_nothing_else() -> None:
    for story in (pipeline(), broken(), backfill(600)):
        plain, coloured = (render_text(story.model(), START + 212, colour=colour) for colour in (False, True))
        assert "\x1b" not in plain
        assert coloured != plain
        assert "\n".join(line.rstrip() for line in re.sub(r"\x1b\[[0-9;]*m", "", coloured).split("\n")) == plain


def test_the_head_tells_the_time_since_launch_and_the_rows_the_time_since_this_worker_began() -> None:
    lines = render_text(Story("r").created(0, "r", "f").started(3_600, "r").model(), START + 3_605).split("\n")
    assert lines[0].endswith("1 h 00 m · runs.db")
    assert lines[-1].endswith("5.0 s")


def test_a_run_of_which_nothing_is_known_says_so() -> None:
    assert render_text(RunModel("demo.9"), START).split("\n") == [f"demo.9  ○ pending{'in memory':>63}", "", "No calls yet."]


@given(st.lists(TEXTS, min_size=3, max_size=3), st.integers(40, 120))
@settings(max_examples=150, deadline=None)
def test_hostile_text_neither_acts_nor_hides_nor_breaks_lines(texts: list[str], width: int) -> None:
    drawn = render_text(hostile_model(texts), START + 5, width=width)
    for line in drawn.split("\n"):
        assert line.isprintable()
        assert cells(line) <= width
        assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in line)
    drawn.encode()


@pytest.mark.parametrize("width", [40, 60, 80, 132])
def test_no_line_is_wider_than_asked_and_word_and_time_never_touch(width: int) -> None:
    for story in (pipeline(), broken(), backfill(600)):
        for line in render_text(story.model(), START + 5_000, width=width).split("\n"):
            assert cells(line) <= width
            assert not re.search(r"[a-z]\d+(\.\d)? (ms|s|m|h|d)\b", line)


def test_deep_runs_stop_indenting_and_long_ones_say_what_is_left_out() -> None:
    story, promise = Story("r").created(0, "r", "f").started(0, "r"), "r"
    for _ in range(1_500):
        promise += ".1"
        story.created(1, promise, "f").started(1, promise)
    lines = render_text(story.settled(9, promise, "rejected", error="E").model(), START + 9, rows_max=50).split("\n")
    assert lines[-1] == "… 1,451 more calls, folded: 1 rejected"
    assert lines[-2].split() == ["⋯49", "●", "f()", "running", "8.0", "s"]


def test_pending_calls_say_what_they_wait_for_while_the_run_goes_on() -> None:
    story = Story("r").created(0, "r", "f").started(0, "r").created(1, "r.1", "g").created(1, "r.2", "h", kind="rpc")
    assert [line[41:] for line in render_text(story.model(), START).split("\n")[-2:]] == [
        "pending, waits for a free worker", "pending, no worker yet",
    ]  # fmt: skip
    ended = render_text(story.settled(5, "r").model(), START).split("\n")
    assert [line[41:] for line in ended[-2:]] == ["pending", "pending"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"), (0.34, "340 ms"), (0.9994, "999 ms"), (0.9996, "1.0 s"), (1.2, "1.2 s"), (59.94, "59.9 s"),
        (59.96, "1 m 00 s"), (184, "3 m 04 s"), (3599.6, "1 h 00 m"), (22_500, "6 h 15 m"), (86_399, "23 h 59 m"),
        (183_600, "2 d 03 h"),
    ],
)  # fmt: skip
def test_durations_read_like_this(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_countdowns_are_in_whole_seconds_and_never_below_zero() -> None:
    told = ["0 s", "0 s", "4 s", "59 s", "1 m 00 s", "3 m 20 s"]
    assert [countdown(seconds) for seconds in (-3, 0.2, 4.4, 59.4, 59.6, 200)] == told


def test_what_acts_or_hides_is_shown_as_a_symbol() -> None:
    assert visible("a\x1b[2J\r\n\x7f") == "a␛[2J␍␊␡"
    assert visible("\u202e\u200b\ud800\x9b\u3164") == "⟨U+202E⟩⟨U+200B⟩⟨U+D800⟩⟨U+009B⟩⟨U+3164⟩"
    assert visible("no\xa0break") == "no break"
    assert visible("é ✓ 漢字 👋 <b>") == "é ✓ 漢字 👋 <b>"
    assert visible("e" + "\u0301" * 4) == "e\u0301\u0301⟨U+0301⟩⟨U+0301⟩"


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (40, "train(model='xgboost', rounds=400)"), (33, "train('xgboost', 400)"), (20, "train('xgboost', 4…)"), (9, "train('…)"),
        (8, "train(…)"), (7, "train"), (5, "train"), (4, "tra…"), (1, "…"), (0, ""),
    ],
)  # fmt: skip
def test_a_call_loses_argument_names_then_the_end_of_its_arguments_then_its_name(width: int, text: str) -> None:
    root = Story("r").created(0, "r", "train", model="'xgboost'", rounds="400").model().root
    assert root is not None
    assert call_text(root, width) == text


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("漢字", 4), ("e\u0301", 1), ("✓ ×31 …", 7), ("👋", 2)])
def test_width_is_reckoned_in_cells_of_the_terminal(text: str, width: int) -> None:
    assert cells(text) == width


@given(TEXTS, st.integers(0, 40))
def test_cut_text_fits(text: str, width: int) -> None:
    assert cells(cut(visible(text), width)) <= width
