"""The log in the panel: what the selected call prints and logs, as it comes.

Where the environment variable RESONATE_TEST_SCREENSHOTS names a folder, the pictures are kept there for somebody to look at.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fronts import HOSTILE, Front, node, small
from lab import Lab, Notebook
from playwright.sync_api import Browser, Locator, expect
from test_views import CONTRAST

PICTURES = os.environ.get("RESONATE_TEST_SCREENSHOTS", "")


def log(front: Front) -> Locator:
    return front.page.get_by_role("log", name="log")


def say(front: Front, lines: list[list[Any]], total: int, id: str = "demo.1.2") -> None:
    front.deliver({"kind": "log", "id": id, "lines": lines, "total": total})
    front.settle()


def shown(front: Front) -> list[str]:
    """Heads as they are without their time, and lines."""
    rows = log(front).locator("> div").all_inner_texts()
    return [row.strip().split(" · ", 1)[-1] for row in rows]


def open_panel(front: Front) -> None:
    front.snapshot(small())
    front.item("demo.1.2").click()


def test_lines_come_as_they_are_written_and_grow_in_place(front: Front) -> None:
    """New lines are added below, a line that was open is filled in where it stands; a call without lines has no log."""
    open_panel(front)
    expect(log(front)).to_be_hidden()
    say(front, [[1, 100, 1, "stdout", "reading"], [2, 150, 1, "stdout", " 10%"]], 2)
    assert shown(front) == ["stdout", "reading", "10%"]
    say(front, [[2, 150, 1, "stdout", "100%"], [5, 200, 1, "log warning", "some.library: careful"], [6, 300, 2, "stdout", "again"]], 4)
    assert shown(front) == ["stdout", "reading", "100%", "log warning", "some.library: careful", "attempt 2 · stdout", "again"]
    expect(front.page.get_by_text("earlier:")).to_be_hidden()


def test_the_last_lines_are_shown_and_the_rest_counted(front: Front) -> None:
    """At most a hundred lines, the last ones, and how the others are read."""
    open_panel(front)
    for first in (1, 81):
        say(front, [[number, 0, 1, "stdout", f"line {number}"] for number in range(first, first + 80)], first + 79)
    assert shown(front) == ["stdout", *(f"line {number}" for number in range(61, 161))]
    expect(front.page.get_by_text("60 earlier: %resonate logs demo.1.2")).to_be_visible()


def test_the_log_follows_its_end_unless_somebody_reads_further_up(front: Front) -> None:
    """New lines scroll into sight; once scrolled up, what is read stays where it is."""
    open_panel(front)
    say(front, [[number, 0, 1, "stdout", f"line {number}"] for number in range(1, 61)], 60)
    at_end = "list => list.scrollTop + list.clientHeight >= list.scrollHeight - 4"
    assert log(front).evaluate(at_end)
    say(front, [[61, 0, 1, "stdout", "line 61"]], 61)
    assert log(front).evaluate(at_end)
    log(front).evaluate("list => { list.scrollTop = 40 }")
    say(front, [[62, 0, 1, "stdout", "line 62"]], 62)
    assert log(front).evaluate("list => list.scrollTop") == 40


def test_a_log_belongs_to_its_call(front: Front) -> None:
    """Lines of a call whose panel is closed are not shown; closing says so, and opening asks again."""
    open_panel(front)
    say(front, [[1, 0, 1, "stdout", "mine"]], 1)
    front.item("demo.1.1").click()
    say(front, [[2, 0, 1, "stdout", "late"]], 2)
    expect(log(front)).to_be_hidden()
    assert front.sent("closed") == []
    front.page.get_by_role("button", name="close details").click()
    say(front, [[3, 0, 1, "stdout", "later"]], 2)
    assert front.sent("closed") == [{"kind": "closed"}]
    front.item("demo.1.2").click()
    assert [each["id"] for each in front.sent("detail")] == ["demo.1.2", "demo.1.1", "demo.1.2"]


def test_foreign_lines_stay_text(front: Front) -> None:
    """Markup, control and reordering characters of a line or of a level's name do nothing."""
    open_panel(front)
    say(front, [[1, 0, 1, f"log {HOSTILE}", HOSTILE], [2, 0, 1, "constructor", "a\x07\u202eb\x1b[2J"]], 2)
    assert front.page.evaluate("window.__xss") is None
    assert log(front).locator("img, script, a").count() == 0
    expect(log(front)).to_contain_text(HOSTILE)
    expect(log(front)).to_contain_text("a␇\\u202eb␛[2J")


@pytest.mark.parametrize("tone", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, 420])
def test_the_log_fits_its_panel(browser: Browser, origin: str, width: int, tone: str) -> None:
    """Nothing of it sticks out, wide or narrow; long words break."""
    front = Front(browser.new_page(viewport={"width": width, "height": 820}), origin)
    front.page.evaluate("tone => { document.body.className = tone }", tone)
    front.mount()
    nodes = small()
    nodes[2] |= node(2, 0, "clean", "retrying", a=[["day", "7"]], n=2, m=5, d=16_000, x="ConnectionError: etl-2 is gone")
    front.snapshot(nodes)
    front.item("demo.1.2").click()
    lines = [["stdout", "reading s3://sales/2024-06/07.parquet"], ["stdout", "1,204,332 rows"], ["stdout", "100%|████████| 86/86"]]
    lines += [["warning", "FutureWarning: Downcasting is deprecated (cell 4, line 12)"], ["log info", "clean: dropped 12 rows"]]
    lines += [["stdout", ""], ["log error", "pool: etl-2 is gone"], ["log error", "Traceback:"], ["log error", "x" * 200]]
    say(front, [[10 + number, number // 3 * 900, 1 + number // 6, *line] for number, line in enumerate(lines)], 1_340)
    log(front).evaluate("list => { list.scrollTop = 0 }")
    front.page.wait_for_timeout(400)
    if PICTURES:
        Path(PICTURES).mkdir(parents=True, exist_ok=True)
        front.page.screenshot(path=Path(PICTURES) / f"log-{width}-{tone}.png")
    assert front.page.evaluate(CONTRAST) == []
    assert log(front).evaluate("list => list.scrollWidth <= list.clientWidth + 1")
    front.page.close()
    assert front.complaints == []


FUNCTIONS = """%%resonate register
import logging, threading
gate = threading.Event()
def work(ctx):
    print("begun")
    gate.wait(60)
    logging.getLogger("library").warning("nearly there")
    print("done")
def pipeline(ctx):
    yield ctx.run(work)
"""


def test_in_jupyterlab_lines_are_in_the_panel_and_in_no_cell(lab: Lab, open_notebook: Callable[..., Notebook]) -> None:
    """They come while the panel is open, with another cell running, and stay when the run has ended."""
    lab.write("log.ipynb", "%load_ext resonate_notebook", FUNCTIONS, "run = %resonate run demo.1 pipeline", "gate.set()")
    notebook = open_notebook("log.ipynb")
    notebook.run(0, 1, 2)
    notebook.item(2, "demo.1.1").click()
    panel = notebook.graph(2).get_by_role("log", name="log")
    expect(panel).to_contain_text("begun")
    expect(panel).not_to_contain_text("done")
    notebook.run(3)
    expect(panel).to_contain_text("library: nearly there")
    expect(panel).to_contain_text("done")
    notebook.expect_state(2, "resolved")
    expect(panel).to_contain_text("done")
    if PICTURES:
        notebook.page.screenshot(path=Path(PICTURES) / "log-lab.png")
    assert [notebook.output(cell).inner_text().strip() for cell in (1, 3)] == ["registered work, pipeline", ""]
