"""What editors in which we cannot be tried do to an output: a frame of nobody's origin with strict rules, or no widgets at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fronts import Front, node, small
from playwright.sync_api import Browser, Frame, expect
from test_hostile import hostile_run
from test_views import show

from resonate import Resonate
from resonate_notebook import actions
from resonate_notebook.live import WHY_NO_WIDGET, Followed, Follower, Settings
from resonate_notebook.page import script, styles


class Sandboxed(Front):
    """The front-end in a frame that may run scripts and nothing else: no origin, no storage, no clipboard, no address but a blob's."""

    frame: Frame

    def load(self) -> None:
        self.page.goto(f"{self.origin}/tests/browser/page/sandbox.html")
        self.frame = self.page.frames[1]
        self.frame.wait_for_function("window.load")
        self.frame.evaluate("([esm, css]) => window.load(esm, css)", [script(), styles()])

    def check(self, request: Any) -> None:
        if not request.url.startswith((self.origin, "blob:null/")):
            self.complaints.append(f"request: {request.url}")


@pytest.fixture
def sandboxed(browser: Browser, origin: str) -> Iterator[Sandboxed]:
    """The front-end in such a frame; neither has its page raised anything nor its console told of what is not allowed."""
    page = browser.new_page(viewport={"width": 1100, "height": 820})
    made = Sandboxed(page, origin)
    page.on("console", lambda message: made.complaints.append(message.text) if message.type in ("error", "warning") else None)
    made.page = made.frame  # type: ignore[assignment] # a frame can do what is asked of a page
    made.mount()
    yield made
    page.close()
    assert made.complaints == []


def test_a_frame_of_nobodys_origin_draws_and_acts(sandboxed: Sandboxed) -> None:
    """Loaded from a blob, under trusted types and a policy with no address: all views draw, calls change, an answer is sent."""
    assert sandboxed.page.evaluate("window.origin") == "null"
    markup = "() => { try { document.body.innerHTML = ''; } catch (error) { return error.message; } }"
    assert "TrustedHTML" in sandboxed.page.evaluate(markup)
    sandboxed.complaints.clear()  # that this was blocked is told
    sandboxed.snapshot([*small(), *(node(at, 0, "fetch", "resolved", e=at) for at in range(4, 60))])
    for tab in ("Timeline", "Table", "Tree", "Graph"):
        show(sandboxed, tab)
        expect(sandboxed.page.locator(".rg [data-id='demo.1']").first).to_be_visible()
    sandboxed.operations(["set", 2, {"s": "resolved", "e": 5900}])
    expect(sandboxed.item("demo.1.2")).to_have_attribute("aria-label", "clean(day=7), resolved")
    sandboxed.item("demo.1.3").get_by_role("button", name="Resolve…").click()
    panel = sandboxed.page.get_by_role("complementary", name="details")
    panel.get_by_role("textbox").fill("yes")
    panel.get_by_role("button", name="Resolve", exact=True).click()
    assert [(each["id"], each["text"]) for each in sandboxed.sent("resolve")] == [("demo.1.3", "yes")]


def test_what_may_not_be_copied_there_is_selected(sandboxed: Sandboxed) -> None:
    """The clipboard is out of reach: the text is selected, and the button says what to press."""
    sandboxed.snapshot(small())
    sandboxed.item("demo.1.1").click()
    sandboxed.page.get_by_role("button", name="Copy id").click()
    expect(sandboxed.page.get_by_role("button", name="Selected: press Ctrl+C")).to_be_visible()
    assert sandboxed.page.evaluate("getSelection().toString()") == "demo.1.1"
    # The browser says why it may not be copied.
    sandboxed.complaints[:] = [each for each in sandboxed.complaints if "Clipboard API has been blocked" not in each]


@pytest.mark.parametrize("view", ["", "timeline", "table"])
def test_where_no_widget_is_understood_the_picture_and_its_line_stand_alone(browser: Browser, origin: str, view: str) -> None:
    """The HTML of an output, by itself in a page that may run nothing: the line that says why, the picture, and no payload but as text."""
    follower = Follower(Resonate.local(), Settings(), detail=actions.detail, answer=actions.answer)
    bundle = follower.bundle(Followed(hostile_run()), "html", view=view, why=WHY_NO_WIDGET)
    follower.close()
    assert set(bundle) == {"text/html", "text/plain"}
    front = Front(browser.new_page(viewport={"width": 700, "height": 820}), origin)
    front.page.set_content(f"<!doctype html><body>{bundle['text/html']}</body>")
    expect(front.page.locator("body > div > p")).to_have_text(WHY_NO_WIDGET)
    picture = front.page.locator("body > div > pre" if view else "body > div > svg")
    expect(picture).to_be_visible()
    expect(picture).to_contain_text("window.__xss=1")
    assert front.page.evaluate("() => [...document.querySelectorAll('body *')].map(each => each.tagName.toLowerCase())") == [
        *re.findall(r"<([a-z]+)", bundle["text/html"])
    ]
    assert front.page.evaluate("window.__xss ?? null") is None
    front.page.close()
    assert front.complaints == []
