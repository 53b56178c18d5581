"""Timeline and table: the two views beside graph and tree, driven by a model that only the test speaks for."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from fronts import Front, node, open_front, small
from playwright.sync_api import Browser, Locator, expect

MINUTE, HOUR = 60_000, 3_600_000


def show(front: Front, tab: str) -> None:
    front.page.get_by_role("tab", name=tab).click()
    expect(front.page.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
    front.settle()


def rows(front: Front) -> Locator:
    return front.page.locator(".rg-table [role=row][data-id]")


def shown_ids(front: Front) -> list[str]:
    """The ids of a table's rows from top to bottom."""
    front.settle()
    places = "rows => rows.map(row => [Number(row.getAttribute('aria-rowindex')), row.dataset.id]).sort((a, b) => a[0] - b[0])"
    return [promise for _, promise in rows(front).evaluate_all(places)]


def pieces(front: Front, id: str) -> list[dict[str, Any]]:
    """The bars of a call: their kinds, and where they begin and end on the page."""
    script = """row => [...row.querySelectorAll('.rg-piece')].filter(piece => piece.style.display !== 'none').map(piece => {
        const box = piece.getBoundingClientRect();
        return { kind: piece.classList[1].slice(3), state: piece.classList[2].slice(5), from: box.left, until: box.right };
    })"""
    return list(front.item(id).evaluate(script))


def eventful() -> list[dict[str, Any]]:
    """A run of six hours and a quarter with something of everything, most of it idle."""
    late = 6 * HOUR + 12 * MINUTE
    nodes = [node(0, -1, "pipeline", b=late, t=0, a=[["days", "31"]])]  # taken up again when the kernel was back
    nodes += [node(1, 0, "load", "recovered", b=None, t=100, e=12_500, a=[["source", "'s3://sales/2024-06/*.parquet'"]])]
    for day in range(31):
        began = 12_600 + day * 4000 if day < 18 else late + (day - 18) * 2500
        nodes.append(node(2 + day, 0, "clean", "recovered" if day < 18 else "resolved", t=began, a=[["day", str(day)]]))
        nodes[-1] |= {"b": began, "e": began + 21_000, "n": 1}
    at = late + 60_000
    nodes += [node(33, 0, "features", "resolved", t=at, b=at, e=at + 24_400)]
    nodes += [
        node(34 + n, 33, name, "resolved", t=at + n * 6000, b=at + n * 6000, e=at + n * 6000 + 5000)
        for n, name in enumerate(["join", "impute", "split"])
    ]
    at += 25_000
    nodes += [node(40, 0, "train", t=at, b=at, a=[["model", "'xgboost'"]])]
    tries = [at, at + 14_000, at + 17_000, at + 33_000, at + 38_000, at + 52_000]
    nodes += [
        node(
            41, 40, "fit", "retrying", t=at, b=at, n=3, m=5, d=at + 60_000, h=tries, x="ConnectionError: gpu-2:7070 refused the connection"
        )
    ]
    nodes += [node(42, 0, "train", t=at, b=at, a=[["model", "'prophet'"]]), node(43, 42, "fit", "resolved", t=at, b=at, e=at + 20_100)]
    nodes += [node(44, 42, "sleep", "sleeping", k="sleep", t=at + 20_100, b=at + 20_100, d=at + 80_100, a=[["secs", "60"]])]
    nodes += [node(45, 0, "train", t=at, b=at, a=[["model", "'lstm'"]])]
    nodes += [
        node(
            46,
            45,
            "fit",
            "rejected",
            t=at,
            b=at,
            e=at + 23_000,
            c=1,
            x="MemoryError: 688 MiB asked, 402 MiB left on gpu-1",
            a=[["batch", "512"]],
        )
    ]
    nodes += [node(47, 45, "fit", t=at + 23_100, b=at + 23_100, a=[["batch", "64"]])]
    nodes += [node(48, 0, "approve", "waiting", k="promise", t=at, b=at, a=[["ask", "'86 columns, 1.2 M rows. Publish?'"]])]
    nodes += [node(49, 0, "publish", "pending", k="rpc", t=at + 100, b=None, a=[["table", "'sales_daily'"]])]
    return nodes


EVENTFUL_NOW = 6 * HOUR + 12 * MINUTE + 60_000 + 25_000 + 56_000


def test_the_timeline_has_a_row_for_each_call_with_its_times_in_words(front: Front) -> None:
    """Every call of the tree has a row that says in words how long it took and when it began; bars begin and end to scale."""
    front.snapshot(
        [
            node(0, -1, "pipeline", "resolved", b=0, t=0, e=10_000),
            node(1, 0, "load", "resolved", t=3000, b=3000, e=4200),
            node(2, 0, "clean", "resolved", t=5000, b=5000, e=10_000),
        ],
        now=10_000,
    )
    show(front, "Timeline")
    expect(front.page.get_by_role("tree", name="call timeline, 10.0 s", exact=True)).to_be_visible()
    expect(front.item("demo.1.1")).to_have_attribute("aria-label", "load(), resolved, took 1.2 s, began 3.0 s after the start")
    [whole], [load], [clean] = pieces(front, "demo.1"), pieces(front, "demo.1.1"), pieces(front, "demo.1.2")
    assert [whole["kind"], load["kind"], clean["kind"]] == ["open", "ran", "ran"]
    per_second = (whole["until"] - whole["from"]) / 10
    assert abs(load["from"] - whole["from"] - 3 * per_second) <= 1.5
    assert abs(load["until"] - load["from"] - 1.2 * per_second) <= 1.5
    assert abs(clean["until"] - whole["until"]) <= 1.5


def test_folded_siblings_are_one_row_of_the_timeline(front: Front) -> None:
    """Thirty siblings make one row with their bars in lanes; opened, each has a row and the stack keeps its own."""
    calls = [node(i, 0, "clean", "resolved", t=i * 100, b=i * 100, e=i * 100 + 300) for i in range(1, 31)]
    front.snapshot([node(0, -1, "pipeline", b=0), *calls])
    show(front, "Timeline")
    stack = front.page.get_by_role("treeitem", name="clean, 30 calls, 30 resolved")
    expect(stack).to_have_attribute("aria-label", "clean, 30 calls, 30 resolved, began 100 ms after the start, took 3.2 s")
    expect(front.items()).to_have_count(2)
    assert stack.locator(".rg-heap path.rg-s-resolved").get_attribute("d").count("Z") == 30  # type: ignore[union-attr]
    stack.click()
    expect(front.item("demo.1.1")).to_be_visible()


def test_many_calls_of_one_function_are_a_skyline(front: Front) -> None:
    """Above 48 calls the row shows how many ran at once, says the most in words, and marks failures."""
    calls = [node(i, 0, "clean", "resolved", t=0, b=(i - 1) // 4 * 100, e=(i - 1) // 4 * 100 + 100) for i in range(1, 401)]
    calls[7] |= {"s": "rejected", "c": 1}
    front.snapshot([node(0, -1, "pipeline", b=0), *calls], now=12_000)
    show(front, "Timeline")
    stack = front.page.get_by_role("treeitem", name="clean, 400 calls")
    expect(stack).to_contain_text("4 at once")
    expect(stack).to_have_attribute("aria-label", re.compile("at most 4 at once"))
    assert stack.locator("path.rg-sky").get_attribute("d").startswith("M0 20V2")  # type: ignore[union-attr]
    assert stack.locator("path.rg-s-rejected").last.get_attribute("d") != "M0 0"
    assert stack.locator(".rg-piece:visible").count() == 0


def test_attempts_sleeps_waits_and_queues_have_shapes_and_words_of_their_own(front: Front) -> None:
    """Failed attempts are separate pieces with pauses between; sleeping, waiting and pending differ in pattern and say their word."""
    front.snapshot(eventful(), now=EVENTFUL_NOW)
    show(front, "Timeline")
    assert [piece["kind"] for piece in pieces(front, "demo.1.41")] == ["failed", "pause", "failed", "pause", "failed", "pause"]
    expect(front.item("demo.1.41")).to_contain_text(re.compile(r"next in \d s"))
    expect(front.item("demo.1.41")).to_have_attribute("aria-label", re.compile("3 attempts"))
    shapes = {"44": ("asleep", "sleeping"), "48": ("asked", "waiting"), "49": ("queued", "pending"), "1": ("ran", "recovered")}
    for call, (kind, word) in shapes.items():
        assert [piece["kind"] for piece in pieces(front, f"demo.1.{call}")] == [kind]
        expect(front.item(f"demo.1.{call}").locator(".rg-label")).to_contain_text(word)
    looks = front.page.evaluate(
        """() => ["ran", "asleep", "asked", "queued", "pause"].map(kind => {
            const style = getComputedStyle(document.querySelector(`.rg-piece.rg-${kind}`));
            return [style.borderTopStyle, style.backgroundImage === "none", style.height].join();
        })"""
    )
    assert len(set(looks)) == 5
    front.operations(["set", 41, {"s": "resolved", "n": 4, "e": EVENTFUL_NOW + 9000, "h": None}], now=EVENTFUL_NOW + 9000)
    front.settle()
    assert [piece["kind"] for piece in pieces(front, "demo.1.41")] == ["ran"]


def test_idle_hours_are_squeezed_and_say_how_much_was_left_out(front: Front) -> None:
    """Six idle hours take the room of a mark with their length; the minutes of work take the rest."""
    front.snapshot(eventful(), now=EVENTFUL_NOW)
    show(front, "Timeline")
    expect(front.page.locator(".rg-idle-text")).to_have_text(re.compile(r"^idle 6 h \d\d m$"))
    expect(front.page.locator(".rg-grid .rg-idle")).to_have_css("width", "56px")
    expect(front.page.get_by_role("tree")).to_have_attribute("aria-label", re.compile(r"1 idle stretch of together 6 h \d\d m left out"))
    [features] = [piece for piece in pieces(front, "demo.1.33") if piece["kind"] != "queued"]
    assert features["until"] - features["from"] > 40


def test_a_run_at_rest_squeezes_the_stretch_that_goes_on_until_now(front: Front) -> None:
    """While a run has waited for a person for hours, that stretch is squeezed too, and grows with the clock."""
    nodes = [
        node(0, -1, "pipeline", b=0),
        node(1, 0, "load", "resolved", b=0, e=8000),
        node(2, 0, "approve", "waiting", k="promise", t=8000),
    ]
    front.snapshot(nodes, now=2 * HOUR)
    show(front, "Timeline")
    expect(front.page.locator(".rg-idle-text")).to_have_text("idle 1 h 59 m")
    front.deliver({"kind": "tick", "now": 3 * HOUR})
    expect(front.page.locator(".rg-idle-text")).to_have_text("idle 2 h 59 m")
    front.operations(
        ["set", 2, {"s": "resolved", "e": 3 * HOUR}], ["add", node(3, 0, "publish", t=3 * HOUR, b=3 * HOUR)], now=3 * HOUR + 2000
    )
    expect(front.page.locator(".rg-idle")).to_have_count(1)
    assert pieces(front, "demo.1.3")[0]["from"] > pieces(front, "demo.1.1")[0]["until"] + 50


@pytest.mark.parametrize(
    ("length", "expected"),
    [(40, "10 ms"), (900, "200 ms"), (12_000, "2 s"), (5 * MINUTE, "1 m"), (50 * MINUTE, "10 m"), (9 * HOUR, "2 h"), (72 * HOUR, "12 h")],
)
def test_the_axis_has_a_handful_of_round_ticks_from_the_start(front: Front, length: int, expected: str) -> None:
    """Whatever the length of a run, its ticks are round times since the start and stand apart."""
    front.snapshot([node(0, -1, "work", "resolved", b=0, t=0, e=length)], now=length)
    show(front, "Timeline")
    ticks = front.page.locator(".rg-axis span")
    texts = ticks.all_text_contents()
    assert texts[:2] == ["0", expected]
    assert 4 <= len(texts) <= 11
    boxes = ticks.evaluate_all("spans => spans.map(span => { const box = span.getBoundingClientRect(); return [box.left, box.right] })")
    assert all(earlier[1] + 8 < later[0] for earlier, later in pairwise(boxes))


def test_the_now_line_goes_on_with_the_run_and_goes_away_with_it(front: Front) -> None:
    """While the run goes on a line stands at now and moves; when the run has ended there is none."""
    front.snapshot(small(), now=5000)
    show(front, "Timeline")
    line = front.page.locator(".rg-now")
    before = line.bounding_box()
    front.operations(["set", 2, {"s": "running"}], now=5800)
    front.settle()
    after = line.bounding_box()
    assert before is not None
    assert after is not None
    assert after["x"] > before["x"]
    expect(front.page.locator(".rg-now-text")).to_have_text("now")
    front.operations(["set", 0, {"s": "resolved", "e": 6000}], now=6000)
    expect(line).to_be_hidden()
    expect(front.page.locator(".rg-now-text")).to_have_count(0)


def test_the_table_sorts_by_click_and_says_so(front: Front) -> None:
    """A press on a head sorts by it, a second press turns the order round, and aria-sort tells both."""
    nodes = [*small(), node(4, 0, "zip", "rejected", b=50, e=60, x="IOError: gone", n=3)]
    front.snapshot(nodes)
    show(front, "Table")
    expect(front.page.get_by_role("grid", name="5 calls")).to_be_visible()
    assert shown_ids(front) == ["demo.1", "demo.1.1", "demo.1.2", "demo.1.3", "demo.1.4"]
    call = front.page.get_by_role("columnheader", name="Call")
    call.get_by_role("button").click()
    expect(call).to_have_attribute("aria-sort", "ascending")
    assert shown_ids(front) == ["demo.1.3", "demo.1.2", "demo.1.1", "demo.1", "demo.1.4"]
    call.get_by_role("button").click()
    expect(call).to_have_attribute("aria-sort", "descending")
    assert shown_ids(front) == ["demo.1.4", "demo.1", "demo.1.1", "demo.1.2", "demo.1.3"]
    front.page.get_by_role("columnheader", name="State").get_by_role("button").click()
    expect(call).to_have_attribute("aria-sort", "none")
    assert shown_ids(front)[:2] == ["demo.1.3", "demo.1.4"]
    front.page.get_by_role("columnheader", name="Took").get_by_role("button").click()
    assert shown_ids(front)[0] == "demo.1.4"
    expect(front.item_of_table("demo.1.4")).to_contain_text("IOError: gone")


def test_the_table_is_filtered_by_state_and_by_words(front: Front) -> None:
    """Chips and the search box narrow the rows down together; nothing found is told; Escape brings all back."""
    front.snapshot(
        [*small(), node(4, 0, "clean", "rejected", a=[["day", "8"]], x="ValueError: no rows"), node(5, 0, "clean", a=[["day", "9"]])]
    )
    show(front, "Table")
    search = front.page.get_by_role("searchbox")
    search.fill("CLEAN day")
    assert shown_ids(front) == ["demo.1.2", "demo.1.4", "demo.1.5"]
    expect(front.page.get_by_role("grid", name="3 of 6 calls")).to_be_visible()
    expect(front.page.locator(".rg-search [role=status]")).to_have_text("3 of 6 calls found")
    front.page.get_by_role("button", name="1 rejected").click()
    assert shown_ids(front) == ["demo.1.4"]
    search.fill("no rows")
    assert shown_ids(front) == ["demo.1.4"]
    search.fill("no such thing")
    expect(front.page.get_by_text("No call matches.")).to_be_visible()
    search.press("Escape")
    front.page.get_by_role("button", name="1 rejected").click()
    expect(rows(front)).to_have_count(6)
    show(front, "Tree")
    search.fill("day=9")
    expect(front.items()).to_have_count(2)


def test_the_keyboard_walks_both_views_with_one_place_for_tab(front: Front) -> None:
    """Arrows, Home, End, pages, Enter and Escape act as in the tree; from the first row of the table the heads are one arrow away."""
    front.snapshot([*small(), *(node(index, 0, f"f{index}") for index in range(4, 80))])
    focused = front.page.locator(":focus")
    for tab in ("Timeline", "Table"):
        show(front, tab)
        items = rows(front) if tab == "Table" else front.items()
        expect(items.and_(front.page.locator("[tabindex='0']"))).to_have_count(1)
        items.first.focus()
        for key, reached in [
            ("Home", "demo.1"),
            ("ArrowDown", "demo.1.1"),
            ("ArrowDown", "demo.1.2"),
            ("End", "demo.1.79"),
            ("Home", "demo.1"),
        ]:
            front.page.keyboard.press(key)
            expect(focused).to_have_attribute("data-id", reached)
        front.page.keyboard.press("PageDown")
        expect(focused).to_have_attribute("data-id", re.compile(r"demo\.1\.\d\d"))
        front.page.keyboard.press("PageUp")
        expect(focused).to_have_attribute("data-id", "demo.1")
        front.page.keyboard.press("ArrowDown")
        front.page.keyboard.press("Enter")
        expect(front.page.get_by_role("complementary", name="details")).to_be_visible()
        front.page.keyboard.press("Escape")
        expect(front.page.get_by_role("complementary", name="details")).to_have_count(0)
        expect(focused).to_have_attribute("data-id", "demo.1.1")
    front.page.keyboard.press("ArrowUp")
    front.page.keyboard.press("ArrowUp")
    expect(focused).to_have_text("Started↑")
    front.page.keyboard.press("ArrowRight")
    expect(focused).to_have_text("Took")
    front.page.keyboard.press("Enter")
    expect(front.page.get_by_role("columnheader", name="Took")).to_have_attribute("aria-sort", "ascending")
    front.page.keyboard.press("ArrowDown")
    expect(focused).to_have_attribute("aria-rowindex", "2")


def test_tabs_are_walked_with_arrows(front: Front) -> None:
    """The four tabs are one place for Tab; arrows, Home and End go round them."""
    front.snapshot(small())
    focused = front.page.locator(":focus")
    front.page.get_by_role("tab", name="Graph").focus()
    for key, reached in [
        ("ArrowRight", "Tree"),
        ("ArrowRight", "Timeline"),
        ("End", "Table"),
        ("ArrowRight", "Graph"),
        ("ArrowLeft", "Table"),
    ]:
        front.page.keyboard.press(key)
        expect(focused).to_have_text(reached)
        expect(focused).to_have_attribute("aria-selected", "true")


def test_one_cursor_goes_through_all_four_views(front: Front) -> None:
    """What is selected in one view is selected and in sight in each other one, out of whatever folds hide it."""
    front.snapshot([node(0, -1, "pipeline"), *(node(index, 0, "clean", "resolved", e=99) for index in range(1, 61))])
    show(front, "Table")
    front.page.locator(".rg-table .rg-scroll").evaluate("scroll => { scroll.scrollTop = 900 }")
    front.item_of_table("demo.1.40").click()
    for tab in ("Timeline", "Tree"):
        show(front, tab)
        expect(front.item("demo.1.40")).to_have_attribute("aria-selected", "true")
        expect(front.item("demo.1.40")).to_have_attribute("tabindex", "0")
        expect(front.item("demo.1.40")).to_be_in_viewport()
        expect(front.page.get_by_role("complementary", name="details")).to_contain_text("demo.1.40")
    show(front, "Table")
    expect(front.item_of_table("demo.1.40")).to_have_attribute("aria-selected", "true")
    expect(front.item_of_table("demo.1.40")).to_be_in_viewport()
    assert [message["id"] for message in front.sent("detail")] == ["demo.1.40"]


@pytest.mark.parametrize("tab", ["Timeline", "Table", "Tree", "Graph"])
def test_the_choice_of_a_view_survives_a_reload_of_the_page(front: Front, tab: str) -> None:
    """The choice is written into the widget's state, and a page that is made from that state opens with it."""
    front.snapshot(small())
    show(front, tab)
    assert front.sent("saved")[-1] == {"kind": "saved", "view": tab.lower()}
    front.page.evaluate("() => { window.unmount(); harness.mount() }")
    front.snapshot(small())
    expect(front.page.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")


def test_ten_thousand_rows_keep_the_document_small_in_both_views(front: Front) -> None:
    """Only the window of rows is in the document, at the top, in the middle and at the end."""
    front.snapshot([node(0, -1, "root"), *(node(i, 0, f"f{i % 5000}", "resolved", e=i + 5) for i in range(1, 10_000))], now=20_000)
    for tab in ("Table", "Timeline"):
        show(front, tab)
        for part in (0, 0.5, 1):
            front.page.locator(".rg-scroll").evaluate("(scroll, part) => { scroll.scrollTop = part * scroll.scrollHeight }", part)
            front.settle()
            assert front.page.locator("*").count() < 1500
    show(front, "Table")
    front.page.locator(".rg-scroll").evaluate("scroll => { scroll.scrollTop = scroll.scrollHeight }")
    expect(front.item_of_table("demo.1.9999")).to_be_visible()
    expect(front.item_of_table("demo.1.9999")).to_have_attribute("aria-rowindex", "10001")


MEASURE = """async ([mixed, first]) => {
    const frame = () => new Promise(done => requestAnimationFrame(done));
    let scripted = [];
    const ask = window.requestAnimationFrame.bind(window);
    let spent = 0;
    window.requestAnimationFrame = draw => ask(at => { const began = performance.now(); draw(at); spent += performance.now() - began; });
    for (let batch = 0; batch < 24; batch++) {
        const ops = Array.from({ length: 500 }, (_, at) => {
            const index = 1 + (batch * 500 + at * (mixed ? 7 : 1)) % 4900;
            return ["set", index, batch % 2 ? { s: "resolved", e: 9000 + batch * 100 + at } : { s: "running", b: 5000 + at }];
        });
        const message = { kind: "ops", seq: first + batch, now: 9000 + batch * 100, ops };
        await new Promise(done => ask(done));
        spent = 0;
        const began = performance.now();
        harness.deliver(message);
        spent += performance.now() - began;
        await new Promise(done => ask(() => ask(done)));
        scripted.push(spent);
    }
    window.requestAnimationFrame = ask;
    const sorted = scripted.slice(4).sort((a, b) => a - b);
    return { median: sorted[sorted.length >> 1], worst: sorted.at(-1) };
}"""


@pytest.mark.parametrize("shape", ["stacks", "flat"])
@pytest.mark.parametrize("tab", ["Tree", "Timeline", "Table"])
def test_a_batch_of_500_changes_among_5000_calls_fits_into_a_frame(front: Front, tab: str, shape: str) -> None:
    """Taking in and drawing 500 changes takes less than a frame of scripting."""
    if shape == "stacks":
        parents = [node(i, 0, f"region{i}") for i in range(1, 13)]
        calls = [node(i, 1 + i % 12, "clean", "pending", t=i, b=None, a=[["day", str(i)]]) for i in range(13, 5000)]
        front.snapshot([node(0, -1, "root"), *parents, *calls], now=9000)
    else:
        calls = [node(i, 0, f"f{i % 2500}", "pending", t=i, b=None, a=[["day", str(i)]]) for i in range(1, 5000)]
        front.snapshot([node(0, -1, "root"), *calls], now=9000)
    show(front, tab)
    front.page.wait_for_timeout(300)
    # Others may be using the machine: the best of three rounds is what the code costs. Single tasks are measured by benchmarks/widget.py.
    medians: list[float] = []
    while len(medians) < 3 and min(medians, default=16) >= 16:
        medians.append(front.page.evaluate(MEASURE, [shape == "flat", 2 + 24 * len(medians)])["median"])
    assert min(medians) < 16, medians


def test_reduced_motion_moves_nothing_in_either_view(browser: Browser, origin: str) -> None:
    """Where the system asks for less motion nothing glides, turns or fades."""
    front = open_front(browser, origin, reduced_motion="reduce")
    front.snapshot(eventful(), now=EVENTFUL_NOW)
    for tab in ("Timeline", "Table"):
        show(front, tab)
        front.operations(["set", 47, {"s": "resolved", "e": EVENTFUL_NOW}], now=EVENTFUL_NOW)
        front.settle()
        assert front.page.evaluate("document.getAnimations().filter(one => one.playState === 'running').length") == 0
    front.page.close()
    assert front.complaints == []


CONTRAST = """() => {
    const parse = text => {
        const parts = (text.match(/[\\d.]+(?:e-?\\d+)?/g) ?? []).map(Number);
        const scale = text.startsWith("color(srgb") ? 255 : 1;
        return [...parts.slice(0, 3).map(part => part * scale), parts[3] ?? 1];
    };
    const linear = part => part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4;
    const light = colour => colour.slice(0, 3).map(part => linear(part / 255))
        .reduce((sum, part, at) => sum + part * [.2126, .7152, .0722][at], 0);
    const ground = element => {
        for (let at = element; at; at = at.parentElement) {
            const colour = parse(getComputedStyle(at).backgroundColor);
            if (colour[3] > .9) return colour;
        }
        return [255, 255, 255, 1];
    };
    const low = [];
    for (const element of document.querySelectorAll(".rg *")) {
        const own = [...element.childNodes].some(child => child.nodeType === 3 && child.data.trim());
        if (!own || !element.getClientRects().length) continue;
        const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))].sort((x, y) => y - x);
        const ratio = (a + .05) / (b + .05);
        if (ratio < 4.5) low.push(`${element.className} ${element.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
    }
    return low;
}"""


HOSTILE_VIEW: Callable[[str], str] = '<img src=x onerror="window.__xss=1">{}'.format


def test_hostile_text_stays_text_in_the_search_box_and_in_values(front: Front) -> None:
    """What is typed into the search box and what a panel was told as a value make no element."""
    front.snapshot([*small(), node(4, 0, HOSTILE_VIEW("f"), "resolved", e=9)])
    show(front, "Table")
    front.page.get_by_role("searchbox").fill(HOSTILE_VIEW("f"))
    assert shown_ids(front) == ["demo.1.4"]
    front.deliver({"kind": "detail", "id": "demo.1.4", "value": HOSTILE_VIEW("v")})
    expect(front.item_of_table("demo.1.4")).to_contain_text(HOSTILE_VIEW("v"))
    assert front.page.locator(".rg img").count() == 0
    assert front.page.evaluate("window.__xss") is None


def test_a_number_finds_calls_by_what_is_seen_of_them_and_ids_by_their_last_part(front: Front) -> None:
    """A number is in the ids of many calls; only where the word has a dot, or is the last part of an id, does an id count."""
    front.snapshot([node(0, -1, "loop"), *(node(n, 0, "noisy", "resolved", e=n, a=[["i", str(n - 1)]]) for n in range(1, 151))])
    show(front, "Table")
    search = front.page.get_by_role("searchbox")
    for typed, found in (
        ("i=149", ["demo.1.150"]),
        ("149", ["demo.1.149", "demo.1.150"]),
        ("demo.1.14", ["demo.1.14", *(f"demo.1.{n}" for n in range(140, 150))]),
        ("demo", []),
    ):
        search.fill(typed)
        assert sorted(shown_ids(front)) == sorted(found), typed


def test_the_timeline_says_what_the_shapes_in_sight_mean(front: Front) -> None:
    """As the terminal's legend does: only of what is drawn, and anew when that changes; a failed call is no success of a stack."""
    front.snapshot([node(0, -1, "pipeline"), node(1, 0, "load", "resolved", e=900)])
    show(front, "Timeline")
    legend = front.page.locator(".rg-legend > span")
    expect(legend).to_have_text(["at work", "has calls of its own"])
    front.operations(["add", node(2, 0, "sleep", "sleeping", k="sleep", d=9000)])
    expect(legend).to_have_text(["at work", "has calls of its own", "asleep"])
    six = [["add", node(3 + n, 0, "part", "rejected" if n == 5 else "resolved", e=2000, c=1 if n == 5 else None)] for n in range(6)]
    front.operations(*six, *(["add", node(20 + n, 0, "clean", "resolved", e=2000)] for n in range(50)))
    expect(legend).to_have_text(["at work", "has calls of its own", "asleep", "one line a call", "how many at once"])
    expect(front.page.locator(".rg-label", has_text="6 of 6 · 1 failed")).to_be_visible()
    front.page.set_viewport_size({"width": 320, "height": 820})
    front.come_to_rest()
    boxes = legend.evaluate_all("spans => spans.map(span => span.getBoundingClientRect().right)")
    assert max(boxes) <= 320
    pill = front.items().filter(has_text="clean").locator(".rg-fold").bounding_box()
    bars = front.items().filter(has_text="clean").locator(".rg-bars").bounding_box()
    assert pill
    assert bars
    assert pill["x"] + pill["width"] <= bars["x"] - 6


def test_the_table_asks_once_for_the_values_of_the_calls_in_sight(front: Front) -> None:
    """All of them in one message, whatever else is drawn meanwhile; those further down when they are scrolled to."""
    front.snapshot([node(0, -1, "pipeline"), *(node(n, 0, "load", "resolved", e=n) for n in range(1, 201)), node(201, 0, "clean")])
    show(front, "Table")
    front.page.wait_for_function("harness.ofKind('values').length === 1")
    [first] = front.sent("values")
    assert first["ids"][:3] == ["demo.1.1", "demo.1.2", "demo.1.3"]
    assert len(first["ids"]) < 60
    front.deliver({"kind": "values", "values": {"demo.1.1": "{'rows': 7}", "demo.1.2": "<b>2</b>", "elsewhere": "3"}})
    expect(front.item_of_table("demo.1.1").locator(".rg-of-outcome")).to_have_text("{'rows': 7}")
    expect(front.item_of_table("demo.1.2").locator(".rg-of-outcome")).to_have_text("<b>2</b>")
    front.page.locator(".rg-table .rg-scroll").evaluate("scroll => { scroll.scrollTop = scroll.scrollHeight }")
    front.page.wait_for_function("harness.ofKind('values').length === 2")
    further = front.sent("values")[1]["ids"]
    assert "demo.1.200" in further
    assert not set(further) & set(first["ids"])
    assert "demo.1.201" not in further
