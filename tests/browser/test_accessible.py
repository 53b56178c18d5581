"""Whether people who see less, or who use a keyboard or a screen reader, have the same picture: axe-core, contrast, live summary.

Each view is also photographed into build/widget, narrow and wide, light and dark, for somebody to look at.
"""

from __future__ import annotations

import re
from itertools import pairwise, product

import pytest
from conftest import CHECKOUT
from fronts import Front, node, open_front, small
from playwright.sync_api import Browser, expect
from test_views import EVENTFUL_NOW, eventful, show

PICTURES = CHECKOUT / "build" / "widget"
VIEWS = ("Graph", "Tree", "Timeline", "Table")
STYLES = (CHECKOUT / "resonate_notebook" / "static" / "graph.css").read_text(encoding="utf-8")
GREYS = {"fg2": 0.74, "edge": 0.57}
"""What is mixed of the text's colour and the ground's, by its part of the text's."""


@pytest.mark.parametrize("tone", ["light", "dark"])
@pytest.mark.parametrize("tab", VIEWS)
def test_axe_finds_nothing_serious(browser: Browser, origin: str, tab: str, tone: str) -> None:
    """No finding of axe-core is serious or critical, in any view, of a run that goes on or failed, and with a panel, light and dark."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    front = open_front(browser, origin)
    front.page.evaluate("tone => { document.body.className = tone }", tone)
    for scene in ("failed", "plain", "panel"):
        nodes = eventful()
        if scene == "failed":
            nodes[0] |= {"s": "rejected", "x": "ValueError: no rows", "e": EVENTFUL_NOW}
        front.snapshot(nodes, now=EVENTFUL_NOW, retryOf="demo.0")
        show(front, tab)
        if scene == "panel":
            front.page.get_by_role("searchbox").fill("approve")
            front.page.locator("[data-id='demo.1.48']").first.click()
            front.page.get_by_role("textbox").fill("{")
            front.page.get_by_role("button", name="Resolve", exact=True).click()
        front.come_to_rest()  # half-seen text has half its contrast
        results = axe.run(front.page, context=".rg")
        found = [found for found in results.response["violations"] if found["impact"] in {"serious", "critical"}]
        assert [(scene, each["id"], [place["html"][:160] for place in each["nodes"]][:4]) for each in found] == []
    front.page.close()
    assert front.complaints == []


def luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def mixed(one: str, other: str, part: float) -> str:
    pairs = ((int(one[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(first * part + second * (1 - part)):02x}" for first, second in pairs)


def tokens(tone: str) -> dict[str, str]:
    """The custom properties of the style sheet with the fallbacks that a page without a theme of its own gets."""
    light, dark = (re.search(rf"^{rule} \{{(.*?)^\}}", STYLES, re.MULTILINE | re.DOTALL) for rule in (r"\.rg", r"\.rg\[data-tone=dark\]"))
    assert light
    assert dark
    found: dict[str, str] = {}
    for block in (light[1], dark[1] if tone == "dark" else ""):
        for name, value in re.findall(r"--([\w-]+):\s*(?:var\(--jp-[\w-]+,\s*)?(#[0-9a-f]{3,6})", block):
            found[name] = value if len(value) == 7 else "#" + "".join(2 * digit for digit in value[1:])
    return found


@pytest.mark.parametrize("tone", ["light", "dark"])
def test_every_colour_of_text_has_its_contrast_on_every_ground(tone: str) -> None:
    """Computed from the style sheet: 4.5:1 for states and text on the ground, on a hovered and a selected row, and on its own tint."""
    named = tokens(tone)
    states = [name for name in named if name.startswith("rg-")]
    assert len(states) == 10
    ground, text = named["bg"], named["fg"]
    hover, selected = mixed(text, ground, 0.045), mixed(named["rg-running"], ground, 0.11)
    low = [
        (name, where, round(contrast(named[name], below), 2))
        for name, (where, below) in product([*states, "fg"], [("ground", ground), ("hover", hover), ("selected", selected)])
        if contrast(named[name], below) < 4.5
    ]
    low += [(name, "own tint", 0.0) for name in states if contrast(named[name], mixed(named[name], ground, 0.1)) < 4.5]
    low += [(name, "button", 0.0) for name in states if contrast(ground, named[name]) < 4.5]
    for name, part in GREYS.items():
        assert f"--{name}: color-mix(in srgb, var(--fg) {100 * part:.0f}%, var(--bg))" in STYLES
        least = 4.5 if name == "fg2" else 3
        grounds = [("ground", ground), ("hover", hover)]
        low += [(name, where, 0.0) for where, below in grounds if contrast(mixed(text, ground, part), below) < least]
    assert low == []


def test_states_are_told_apart_by_shape_and_word(front: Front) -> None:
    """Ten states have ten words and ten drawings; colour adds to them only."""
    states = ["waiting", "rejected", "timedout", "retrying", "running", "sleeping", "pending", "cancelled", "resolved", "recovered"]
    front.snapshot([node(0, -1, "root"), *(node(at + 1, 0, f"f{at}", state) for at, state in enumerate(states))])
    show(front, "Tree")
    read = "items => items.slice(1).map(item => [item.getAttribute('aria-label').split(', ')[1], item.querySelector('.rg-icon').innerHTML])"
    told = front.items().evaluate_all(read)
    assert len({word for word, _ in told}) == len({shape for _, shape in told}) == len(states)


def test_what_is_spoken_is_one_sentence_in_a_while_and_the_last_one_always(front: Front) -> None:
    """However busy the run, at most one change of the live summary in two seconds; the run's end is always told."""
    front.page.clock.install()
    front.page.reload()
    front.page.wait_for_function("window.harness")
    front.mount()
    front.snapshot(small())
    front.page.evaluate(
        """() => {
          const spoken = document.querySelector('.rg [aria-live]');
          window.spoken = [];
          new MutationObserver(() => window.spoken.push([performance.now(), spoken.textContent])).observe(spoken, { childList: true });
        }"""
    )
    for at in range(60):
        front.operations(["add", node(10 + at, 0, f"g{at}")], now=5000 + 100 * at)
        front.page.clock.run_for(100)
    front.operations(["set", 0, {"s": "resolved", "e": 12_000}])
    front.page.clock.run_for(100)
    told = front.page.evaluate("window.spoken")
    assert 2 <= len(told) <= 4
    assert all(later[0] - earlier[0] >= 2000 for earlier, later in pairwise(told[:-1]))
    assert told[-1][1].startswith("demo.1 resolved")
    expect(front.page.locator(".rg [aria-live=assertive]")).to_have_count(0)


@pytest.mark.parametrize("tone", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 760, 1100, 1600])
def test_every_view_fits_its_width(browser: Browser, origin: str, width: int, tone: str) -> None:
    """Nothing stands out of the widget, every text can be read, and only the graph of boxes may scroll sideways."""
    from test_views import CONTRAST

    PICTURES.mkdir(parents=True, exist_ok=True)
    front = open_front(browser, origin, width)
    front.page.evaluate("tone => { document.body.className = tone }", tone)
    front.snapshot(eventful(), now=EVENTFUL_NOW)
    for tab in VIEWS:
        show(front, tab)
        for part in ("", "-panel"):
            if part:
                front.page.locator("[data-id='demo.1.48']").first.click()
            front.come_to_rest()
            front.page.screenshot(path=PICTURES / f"{tab.lower()}{part}-{width}-{tone}.png")
            expect(front.page.locator(".rg")).to_have_attribute("data-tone", tone)
            assert front.page.evaluate(CONTRAST) == []
            assert front.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            if tab != "Graph":
                assert front.page.locator(".rg-scroll").evaluate("scroll => scroll.scrollWidth <= scroll.clientWidth")
        front.page.get_by_role("button", name="close details").click()
    front.page.close()
    assert front.complaints == []
