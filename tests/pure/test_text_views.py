"""The laws of the timeline and the table in plain text."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_runs import START, Story, backfill, broken, pipeline
from test_text import TEXTS, hostile_model

from resonate.events import PromiseCreated
from resonate_notebook.model import STATES
from resonate_notebook.text import cells
from resonate_notebook.text_views import GAP_CELLS, SORTS, Clock, Scale, idle_gaps, pieces, render_table, render_timeline, select

PIPELINE = """\
demo.1  pipeline(days=31)  ● running                          3 m 32 s · runs.db
22 resolved · 22 recovered · 5 running · 1 retrying · 1 sleeping
1 waiting for you · 1 rejected · 1 pending

                             0           1 m        2 m         3 m
● pipeline(days=31)          ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━▸  3 m 32 s
├─ ✓ load('s3://sales/2…) +3 ▓▓                                           12.4 s
├─ ✓ clean ×31                 ███████▅▃▁        ▁▃▅▅▃▁                 1 m 57 s
├─ ✓ features(frames=31) +4                           █████               24.4 s
├─ ✓ train('linear') +2                                    ██              7.6 s
├─ ● train(model='xgboost')                                ━━━━━━━━━━▸    56.2 s
│  └─ ↻ fit(400, 'gpu-2')                                  ▒▒▒▒▒▒▒▒▒✗·    56.1 s
├─ ● train(model='prophet')                                ━━━━━━━━━━▸    56.2 s
│  ├─ ✓ fit()                                              ████           20.1 s
│  └─ ☾ sleep(secs=60)                                         ~~~~~~~    35.9 s
├─ ● train(model='lstm')                                   ━━━━━━━━━━▸    56.2 s
│  ├─ ✗ fit(batch=512)                                     ████✗          23.0 s
│  └─ ● fit(batch=64)                                           █████▸    32.9 s
├─ ◆ approve('features-202…)                               ╌╌╌╌╌╌╌╌╌╌◆    56.0 s
└─ ○ publish('sales_daily'…)                               ░░░░░░░░░░░

█ at work   ━ has calls of its own   ▓ not run again   ▒ an attempt that failed
· until the next attempt   ~ asleep   ╌ waits for you   ░ not begun
▂▅█ how many at once"""

FAILED_TABLE = """\
demo.2  pipeline(days=12)  ✗ rejected                                    runs.db
7 resolved · 2 rejected · 5 pending

id        call               state       tries  error
demo.2    pipeline(days=12)  ✗ rejected  1      ValueError: no rows for day 7
demo.2.8  clean(day=7)       ✗ rejected  1      ValueError: no rows for day 7"""


def nightly() -> Story:
    """A run that works for ten seconds, sleeps for hours, and works for ten seconds more; it ends at second 36,020."""
    story = Story("n").created(0, "n", "nightly").started(0, "n").ran(0, 10, "n.1", "load")
    story.created(10, "n.2", "sleep", kind="sleep", due=36_010).settled(36_010, "n.2")
    return story.ran(36_010, 36_020, "n.3", "report").settled(36_020, "n")


def test_the_timeline_of_a_run_with_something_of_everything() -> None:
    assert render_timeline(pipeline().model(), START + 212) == PIPELINE


def test_failed_calls_as_rows_without_times() -> None:
    assert render_table(broken().model(), START + 60, stable=True, state="failed") == FAILED_TABLE


def test_what_is_idle_is_squeezed_into_a_few_cells_and_says_how_long_it_was() -> None:
    """Work on both sides of ten idle hours has most of the width, though it is a two-thousandth of the time."""
    model = nightly().model()
    clock = Clock(model, START + 99_999)
    assert idle_gaps(model, clock) == [(10.0, 36_010.0)]
    shown = render_timeline(model, START + 99_999)
    assert "┊10 h 00 m┊" in shown
    load, sleep, report = (next(line for line in shown.split("\n") if f" {name}(" in line) for name in ("load", "sleep", "report"))
    assert min(load.count("█"), report.count("█")) > 15
    assert 0 < sleep.count("~") <= GAP_CELLS
    assert "┊ idle, squeezed" in shown


@pytest.mark.parametrize("width", [20, 41, 73])
def test_time_never_runs_backwards_on_the_scale(width: int) -> None:
    """A later moment stands no further left, the start at the left edge and the end at the right one."""
    model = nightly().model()
    clock = Clock(model, START)
    scale = Scale(idle_gaps(model, clock), clock.end, width)
    places = [scale.place(each) for each in (0, 5, 10, 11, 20_000, 36_009, 36_010, 36_015, 36_020)]
    assert places == sorted(places)
    assert (round(places[0]), round(places[-1])) == (0, width)


def test_attempts_pauses_and_the_last_try_are_pieces_in_order() -> None:
    """Two attempts that fail, with pauses, and one that succeeds: five pieces that meet end to end."""
    story = Story("r").created(0, "r", "root").started(0, "r").created(0, "r.1", "fit").started(1, "r.1", 1, 5)
    story.failed(3, "r.1", 1, 5, 5, "E: no").started(5, "r.1", 2, 5).failed(6, "r.1", 2, 5, 9, "E: no").started(9, "r.1", 3, 5)
    model = story.settled(12, "r.1").model()
    node = model.node("r.1")
    assert node is not None
    found = [(each.kind, each.begin, each.end) for each in pieces(node, Clock(model, START + 20), opened=False)]
    assert found == [("queued", 0, 1), ("failed", 1, 3), ("pause", 3, 5), ("failed", 5, 6), ("pause", 6, 9), ("ran", 9, 12)]


def test_a_failure_too_short_to_be_seen_is_marked_all_the_same() -> None:
    """An attempt of a millisecond before a pause of ten seconds has its mark, and the pause follows it."""
    story = Story("r").created(0, "r", "root").started(0, "r").created(0, "r.1", "fit").started(0, "r.1", 1, 2)
    model = story.failed(0.001, "r.1", 1, 2, 10, "E: no").started(10, "r.1", 2, 2).settled(20, "r.1").settled(20, "r").model()
    assert re.search(r"fit\(\) +✗·+█+ ", render_timeline(model, START + 20))


def test_a_call_that_ends_within_the_millisecond_that_it_began_in_has_a_bar() -> None:
    """Ends are known in whole milliseconds and begins more exactly, so an end may seem to lie before its begin."""
    story = Story("r").created(0, "r", "root").started(0, "r")
    for number in range(1, 8):
        story.ran(number + 0.0009, number, f"r.{number}", "step")
    shown = render_timeline(story.settled(9, "r").model(), START + 9)
    assert re.search(r"✓ step ×7 .*█", shown)


def test_a_table_says_how_many_calls_it_leaves_out_and_how_to_see_them() -> None:
    model = backfill(600).model()
    shown = render_table(model, START + 1864, limit=10).split("\n")
    assert sum(line.startswith(("nightly.204.", "nightly.204 ")) for line in shown[3:]) == 10
    assert shown[-1] == f"… {len(model.nodes) - 10} more calls. `--limit {len(model.nodes)}` shows all."
    assert "more calls" not in render_table(model, START + 1864, limit=0)
    assert "No call is timedout." in render_table(model, START + 1864, state="timedout")


@pytest.mark.parametrize("sort", SORTS)
def test_sorting_keeps_every_call_once(sort: str) -> None:
    model = pipeline().model()
    assert sorted(node.index for node in select(model, START + 212, "", sort)) == list(range(len(model.nodes)))


def test_sorting_and_choosing_mean_what_their_words_say() -> None:
    model, now = pipeline().model(), START + 212
    took = [node.took_s(now) or 0 for node in select(model, now, "", "time")]
    assert took == sorted(took, reverse=True)
    assert next(node.state for node in select(model, now, "", "state")) == "waiting"
    assert {node.state for node in select(model, now, "open", "call")} == {"running", "retrying", "sleeping", "waiting", "pending"}
    assert [node.id for node in select(model, now, "failed", "call")] == ["demo.1.37.1"]
    assert [node.state for node in select(model, now, "sleeping", "call")] == ["sleeping"]


def test_a_run_that_has_slept_for_years_is_drawn_at_once() -> None:
    """What an axis costs depends on its width, and not on how long ago the run began."""
    story = Story("r")
    story.facts.append(PromiseCreated("r", "r", START - 50 * 365 * 86_400, None, "run", "old", (), START))
    story.facts.append(PromiseCreated("r", "r.1", START - 50 * 365 * 86_400 + 1, "r", "sleep", "sleep", (), START + 9))
    began = time.perf_counter()
    assert "18250 d" in render_timeline(story.model(), START)
    assert time.perf_counter() - began < 1


@given(st.tuples(TEXTS, TEXTS, TEXTS), st.integers(60, 130), st.booleans())
@settings(max_examples=150)
def test_foreign_text_forges_no_row_and_no_line_is_too_wide(texts: tuple[str, str, str], width: int, colour: bool) -> None:
    """Whatever names, arguments and errors hold: no control character but our colours, and each line within the width."""
    model = hostile_model(list(texts))
    for shown in (
        render_timeline(model, START + 30, width=width, colour=colour), render_table(model, START + 30, width=width, colour=colour),
    ):  # fmt: skip
        plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
        assert "\x1b" not in plain
        assert colour or plain == shown
        assert all(cells(line) <= width for line in plain.split("\n")), plain
        assert all(char.isprintable() or char == "\n" for char in plain)


def test_every_state_has_a_shape() -> None:
    """A call in any state is drawn; colour adds nothing to what is said."""
    story = Story("r").created(0, "r", "root").started(0, "r")
    story.created(1, "r.1", "ask", kind="promise").created(1, "r.2", "sleep", kind="sleep", due=50).created(1, "r.3", "far", kind="rpc")
    story.created(1, "r.4", "late").started(1, "r.4").settled(9, "r.4", "timedout")
    story.created(1, "r.5", "off").started(1, "r.5").settled(9, "r.5", "canceled")
    shown = render_timeline(story.model(), START + 20)
    for name, shape in (("ask", "╌◆"), ("sleep", "~"), ("far", "░"), ("late", f"█{STATES['timedout'].glyph}"), ("off", "█⊘")):
        assert shape in next(line for line in shown.split("\n") if re.search(rf"─ . {name}\(", line))
