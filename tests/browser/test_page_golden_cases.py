"""The page's own working out of a run, its folding, paths, times and reading, held to the cases that Python made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import CHECKOUT
from playwright.sync_api import Browser, Page

GOLDEN: dict[str, Any] = json.loads((CHECKOUT / "tests" / "pure" / "golden.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def modules(browser: Browser, origin: str) -> Iterator[Page]:
    """A page in which the front-end's modules can be imported one by one."""
    page = browser.new_page()
    page.goto(f"{origin}/tests/browser/page/harness.html")
    page.evaluate(
        """async () => {
          const load = name => import(`/resonate_notebook/static/${name}.js`);
          Object.assign(window, await load("run"), await load("rows"), await load("formats"), await load("literal"), await load("boxes"));
        }"""
    )
    yield page
    page.close()


WORK_OUT = """messages => {
  const run = new Run(), [snapshot, ...batches] = messages;
  run.load(snapshot);
  const taken = batches.map(batch => run.apply(batch));
  run.summarise();
  const nodes = run.order.map(node => [node.id, node.index, node.parent ? node.parent.index : -1, node.name, node.state, node.error,
    Boolean(node.caught), node.began ?? null, node.ended ?? null, node.attempt ?? null, node.sharedBy]);
  const rest = row => {
    const hot = row.up.stack.filter(node => node.hot).length;
    return hot - (row.up.kids.length - 1);
  };
  const rows = buildRows(run, new Map(), null).map(row => [row.node ? "call" : row.stack ? "stack" : "more",
    row.node ? row.node.index : row.stack ? [row.name, row.stack.length] : rest(row),
    row.depth, row.state, row.live, row.kids.length, row.last]);
  return { taken, nodes, state: run.state, word: run.word, settled: run.settled, counts: run.counts, rows };
}"""


@pytest.mark.parametrize("case", GOLDEN["runs"], ids=lambda case: case["name"])
def test_messages_lead_to_the_same_run_and_the_same_rows(modules: Page, case: dict[str, Any]) -> None:
    """Taking in a snapshot and batches, summing and folding answer in the page what they answer in Python."""
    worked_out, expected = modules.evaluate(WORK_OUT, case["messages"]), case["expected"]
    assert all(worked_out["taken"])
    for part in ("nodes", "state", "word", "settled", "counts"):
        assert worked_out[part] == expected[part], part
    rows = [[kind, sum(about.values()) if kind == "more" else about, *more] for kind, about, *more in expected["rows"]]
    live = [at for at, row in enumerate(rows) if row[0] == "more"]
    for at in live:  # What is beyond a stack's shown calls is drawn grey in the page.
        rows[at][4] = worked_out["rows"][at][4]
    assert worked_out["rows"] == rows


def test_times_are_written_alike(modules: Page) -> None:
    """Durations and countdowns are the same words in the page, in a terminal and in the saved picture."""
    assert modules.evaluate("all => all.map(([ms]) => [ms, duration(ms), wholeSeconds(ms)])", GOLDEN["durations"]) == GOLDEN["durations"]


def test_edges_are_drawn_alike(modules: Page) -> None:
    """The way from a box to one of its calls is the same path."""
    drawn = modules.evaluate("all => all.map(([x1, y1, x2, y2]) => edgePath(x1, y1, x2, y2))", GOLDEN["edges"])
    assert drawn == [path for *_, path in GOLDEN["edges"]]


def test_links_are_drawn_alike(modules: Page) -> None:
    """The way from a further call that waits to the promise's box is the same path, forwards and backwards, up and down."""
    read = "all => all.map(places => linkPath(...places.slice(0, 2).map(([x, y, width]) => ({ x, y, width }))))"
    assert modules.evaluate(read, GOLDEN["links"]) == [path for *_, path in GOLDEN["links"]]


def test_a_form_refuses_what_the_kernel_could_only_take_as_text(modules: Page) -> None:
    """What begins like a literal is refused in the page if, and only if, Python would read it as plain text."""
    for text, is_read in GOLDEN["typed"]:
        mistake = modules.evaluate("text => literalMistake(text)", text)
        if text.strip()[:1] in tuple("[{('\""):
            assert (mistake is None) == is_read, (text, mistake)
            assert mistake is None or 0 <= mistake["at"] <= len(text)
        else:
            assert mistake is None, (text, mistake)
