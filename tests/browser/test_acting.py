"""What a person does from the picture: retry, detach, answer a form, and what is said when the kernel is busy or gone."""

from __future__ import annotations

import pytest
from fronts import Front, node, open_front, small
from playwright.sync_api import Browser, expect

FAILED = [
    node(0, -1, "pipeline", "rejected", e=99, x="ValueError: no rows"),
    node(1, 0, "load", "resolved", e=50),
    node(2, 0, "clean", "rejected", e=98, x="ValueError: no rows", n=3, m=3, h=[10, 20, 30, 50, 60, 98], a=[["day", "7"]]),
    node(3, 2, "fetch", "resolved", e=70),
]


def button(front: Front, name: str) -> None:
    front.page.get_by_role("button", name=name, exact=True).click()


def test_a_failed_run_is_retried_once_and_the_new_run_is_shown(front: Front) -> None:
    """Retry asks once however often it is pressed, says how it goes, and the picture turns to the run that the kernel shows."""
    front.snapshot(FAILED)
    front.page.get_by_role("button", name="Retry", exact=True).dblclick()
    [message] = front.sent("retry")
    expect(front.page.get_by_text("Queued: the kernel is busy.", exact=False)).to_be_visible()
    front.deliver({"kind": "reply", "token": message["token"], "ok": True, "text": "demo.1-2 takes over 2 steps of demo.1."})
    front.snapshot(small(), id="demo.1-2", retryOf="demo.1")
    expect(front.page.locator(".rg-run")).to_have_text("demo.1-2")
    expect(front.page.get_by_text("demo.1-2 takes over 2 steps of demo.1.")).to_be_visible()
    button(front, "Dismiss")
    button(front, "retry of demo.1")
    assert front.sent("show")[0]["id"] == "demo.1"


def test_a_run_that_was_retried_leads_to_the_new_one_instead(front: Front) -> None:
    """Another view of the failed run is told, and offers the new run in the place of a second retry."""
    front.snapshot(FAILED)
    front.operations(["run", {"retried": "demo.1-2"}])
    expect(front.page.get_by_role("button", name="Retry", exact=True)).to_be_hidden()
    button(front, "retried as demo.1-2")
    [message] = front.sent("show")
    assert message["id"] == "demo.1-2"
    front.deliver({"kind": "reply", "token": message["token"], "ok": True, "text": ""})
    expect(front.page.get_by_text("Waiting for the kernel")).to_be_hidden()


def test_a_step_of_a_run_that_is_over_can_be_run_again_from_the_panel(front: Front) -> None:
    """The panel of a step, not of the run itself, offers it; while the run goes on there is nothing to offer."""
    front.snapshot(small())
    front.item("demo.1.1").click()
    again = front.page.get_by_role("button", name="Run again from here")
    expect(again).to_be_hidden()
    front.snapshot(FAILED)
    front.item("demo.1").click()
    expect(again).to_be_hidden()
    front.item("demo.1.1").click()
    again.dblclick()
    assert [message["id"] for message in front.sent("retry")] == ["demo.1.1"]


def test_a_double_click_on_a_form_or_on_cancel_sends_once(front: Front) -> None:
    """What is under way is not sent a second time; after a refusal it can be."""
    front.snapshot(small())
    button(front, "Cancel…")
    front.page.get_by_role("button", name="Cancel the run").dblclick()
    assert len(front.sent("cancel")) == 1
    front.item("demo.1.3").get_by_role("button", name="Resolve…").click()
    front.page.get_by_role("textbox").fill("1")
    front.page.get_by_role("button", name="Resolve", exact=True).dblclick()
    front.page.get_by_role("textbox").press("Control+Enter")
    [message] = front.sent("resolve")
    front.deliver({"kind": "reply", "token": message["token"], "ok": False, "text": "Nothing changed."})
    button(front, "Resolve")
    assert len(front.sent("resolve")) == 2


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("", "Write a value, for example None."),
        ("{'ok': Tru}", "Line 1, column 8: Tru needs quotes around it."),
        ("[1,\n 2", "Line 2, column 3: ] is missing at the end."),
        ("{'a': true}", "Line 1, column 7: JSON and Python are mixed"),
    ],
)
def test_a_form_is_checked_before_it_is_sent_and_the_error_shown_in_its_place(front: Front, typed: str, told: str) -> None:
    """What begins like a literal and is none is not sent; its place is told and selected, and it can be sent as text on purpose."""
    front.snapshot(small())
    front.item("demo.1.3").get_by_role("button", name="Resolve…").click()
    text = front.page.get_by_role("textbox")
    text.fill(typed)
    button(front, "Resolve")
    expect(front.page.get_by_role("alert")).to_contain_text(told)
    expect(text).to_be_focused()
    expect(text).to_have_attribute("aria-invalid", "true")
    assert front.sent("resolve") == []
    if typed:
        button(front, "Send as text")
        assert [message["text"] for message in front.sent("resolve")] == [typed]


@pytest.mark.parametrize("typed", ["looks good", "None", "[1, 2]", '{"ok": true}', "{'ok': True}", "3.5", "don't"])
def test_what_can_be_read_or_is_plain_text_is_sent_at_once(front: Front, typed: str) -> None:
    """Python literals, JSON and plain words go out as they were typed."""
    front.snapshot(small())
    front.item("demo.1.3").get_by_role("button", name="Resolve…").click()
    front.page.get_by_role("textbox").fill(typed)
    button(front, "Resolve")
    assert [message["text"] for message in front.sent("resolve")] == [typed]


def test_a_detached_picture_can_be_followed_again(front: Front) -> None:
    """Detach stops the picture and nothing else; Follow again asks the kernel for it."""
    front.snapshot(small())
    button(front, "Detach")
    expect(front.page.get_by_role("button", name="Cancel…")).to_be_hidden()
    button(front, "Follow again")
    assert len(front.sent("hello")) == 2
    front.snapshot(small())
    expect(front.page.get_by_text("Detached.")).to_be_hidden()


@pytest.mark.parametrize(("where", "told"), [
    ("memory", "has gone with the kernel"),
    ("file", "%load_ext resonate_notebook, then %resonate connect to file, then %resonate attach demo.1"),
])
def test_a_picture_whose_kernel_was_restarted_says_so_and_sends_nothing(front: Front, where: str, told: str) -> None:
    """It is marked as old at once, what waited for an answer gets none, and a new request is refused in the page."""
    front.snapshot(small(), where={"kind": where, "label": where})
    front.item("demo.1.3").get_by_role("button", name="Resolve…").click()
    front.page.get_by_role("textbox").fill("1")
    button(front, "Resolve")
    front.page.evaluate("harness.cut()")
    expect(front.page.get_by_text("The kernel was stopped or restarted.", exact=True)).to_be_visible()
    expect(front.page.get_by_text(told)).to_be_visible()
    expect(front.page.locator(".rg")).to_have_class("rg rg-stale")
    expect(front.page.locator(".rg-answer")).to_have_text("The kernel stopped before it answered.")
    for name in ("Cancel…", "Detach", "Resolve", "Resolve…", "Reject…"):
        expect(front.page.get_by_role("button", name=name, exact=True)).to_be_hidden()
    front.page.get_by_role("textbox").press("Control+Enter")
    expect(front.page.locator(".rg-answer")).to_have_text("The kernel was stopped or restarted since. Nothing was sent.")
    assert len(front.sent("resolve")) == 1


def test_a_run_that_was_over_stays_right_without_its_kernel(front: Front) -> None:
    """A restart makes nothing stale that could not change any more; only what would need the kernel is no longer offered."""
    front.snapshot(FAILED, retryOf="demo.0")
    front.item("demo.1.2").click()
    names = ("Retry", "retry of demo.0", "Run again from here")
    for name in names:
        expect(front.page.get_by_role("button", name=name, exact=True)).to_be_visible()
    front.page.evaluate("harness.cut()")
    front.settle()
    expect(front.page.locator(".rg")).to_have_class("rg rg-over")
    for name in names:
        expect(front.page.get_by_role("button", name=name, exact=True)).to_be_hidden()


def test_the_panel_leads_to_the_caller_and_to_the_calls_and_lists_attempts(front: Front) -> None:
    """Each is a button that selects the other call, wherever it stands."""
    front.snapshot(FAILED)
    front.item("demo.1.2").click()
    panel = front.page.get_by_role("complementary", name="details")
    expect(panel.locator("ol li")).to_have_text(["1 failed10 ms", "2 failed20 ms", "3 failed38 ms"])
    panel.get_by_role("button", name="fetch()").click()
    expect(panel.locator("h3")).to_have_text("fetch")
    panel.get_by_role("button", name="clean(day=7)").click()
    expect(front.item("demo.1.2")).to_have_attribute("aria-selected", "true")


def test_an_id_is_copied_or_at_least_selected(front: Front) -> None:
    """Where the page may write to the clipboard the id is in it; elsewhere it is selected and the keys are named."""
    front.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    front.snapshot(small())
    front.item("demo.1.2").click()
    button(front, "Copy id")
    expect(front.page.get_by_role("button", name="Copied")).to_be_visible()
    assert front.page.evaluate("navigator.clipboard.readText()") == "demo.1.2"
    front.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('denied')) }")
    button(front, "Copied")
    expect(front.page.get_by_role("button", name="Selected: press Ctrl+C")).to_be_visible()
    assert front.page.evaluate("getSelection().toString()") == "demo.1.2"


def test_the_first_letters_of_a_name_find_its_row(front: Front) -> None:
    """Letters typed in a row are the beginning of a name; one letter again and again goes through all that begin with it."""
    front.snapshot([*small(), node(4, 0, "compact"), node(5, 0, "publish")])
    front.page.get_by_role("tab", name="Tree").click()
    front.item("demo.1").focus()
    focused = front.page.locator(":focus")
    front.page.keyboard.type("co")
    expect(focused).to_have_attribute("data-id", "demo.1.4")
    front.page.wait_for_timeout(800)
    for reached in ("demo.1.2", "demo.1.4", "demo.1.2"):
        front.page.keyboard.press("c")
        expect(focused).to_have_attribute("data-id", reached)
    front.page.wait_for_timeout(800)
    front.page.keyboard.press("z")
    expect(focused).to_have_attribute("data-id", "demo.1.2")


def test_the_question_of_cancel_counts_steps_at_work_and_nothing_else(front: Front) -> None:
    """The run's own function and what waits for a person are no steps in flight; one step has one result."""
    asked = front.page.locator(".rg-note")
    front.snapshot([node(0, -1, "pipeline"), node(1, 0, "approve", "waiting", k="promise")])
    button(front, "Cancel…")
    expect(asked).to_contain_text("No step is in flight; what is open ends with the run.")
    front.operations(["add", node(2, 0, "outer")], ["add", node(3, 2, "inner")])
    expect(asked).to_contain_text("1 step in flight ends on its own, its result is dropped.")
    front.operations(["add", node(4, 0, "other")])
    expect(asked).to_contain_text("2 steps in flight end on their own, their results are dropped.")


def test_the_question_is_the_heading_and_each_kind_of_answer_has_its_own(front: Front) -> None:
    """A promise that asks is headed by what it asks, one that does not by its name; the form says what it is about to do."""
    front.snapshot([*small(), node(4, 0, "promise", "waiting", k="promise")])
    front.item("demo.1.3").click()
    panel = front.page.get_by_role("complementary", name="details")
    expect(panel.locator("h3")).to_have_text("Publish?")
    expect(panel.locator(".rg-form h4")).to_have_text("Give it a value")
    panel.get_by_role("button", name="Reject…").click()
    expect(panel.locator(".rg-form h4")).to_have_text("Reject it")
    front.item("demo.1.4").click()
    expect(panel.locator("h3")).to_have_text("promise")


def test_an_answer_that_says_the_run_goes_on_goes_with_the_end_of_the_run(front: Front) -> None:
    """What was answered is told while the run goes on; a refusal stays."""
    front.snapshot(small())
    front.item("demo.1.3").click()
    front.page.keyboard.type("no")
    button(front, "Resolve")
    [message] = front.sent("resolve")
    front.deliver({"kind": "reply", "token": message["token"], "ok": True, "text": "demo.1.3 resolved · demo.1 goes on"})
    front.operations(["set", 3, {"s": "resolved", "e": 5500}])
    expect(front.page.locator(".rg-answer")).to_have_text("demo.1.3 resolved · demo.1 goes on")
    front.operations(["set", 0, {"s": "resolved", "e": 5600}])
    expect(front.page.locator(".rg-answer")).to_be_hidden()


@pytest.mark.parametrize("tab", ["Graph", "Table"])
def test_the_keyboard_alone_answers_and_is_never_lost(front: Front, tab: str) -> None:
    """Enter on what waits leads into its form, Ctrl+Enter sends, and the focus is then on the way back to the row."""
    front.snapshot(small())
    front.page.get_by_role("tab", name=tab).click()
    row = front.item("demo.1.3") if tab == "Graph" else front.item_of_table("demo.1.3")
    row.press("Enter")
    expect(front.page.get_by_role("textbox")).to_be_focused()
    expect(front.page.locator(".rg-says")).to_contain_text("Ctrl+Enter sends.")
    front.page.keyboard.type("1")
    front.page.keyboard.press("Control+Enter")
    [message] = front.sent("resolve")
    closes = front.page.get_by_role("button", name="close details")
    expect(closes).to_be_focused()
    front.deliver({"kind": "reply", "token": message["token"], "ok": False, "text": "Nothing changed."})
    expect(front.page.get_by_role("textbox")).to_be_focused()
    front.operations(["set", 3, {"s": "resolved", "e": 5500}])
    expect(closes).to_be_focused()
    front.page.keyboard.press("Enter")
    expect(row).to_be_focused()


def test_a_failure_says_after_how_many_attempts_and_that_it_was_caught(front: Front) -> None:
    """The box says both; where it has no room for all, and in the table, that it was caught."""
    caught = node(2, 0, "clean", "rejected", e=98, x="ValueError: no rows", n=3, m=3, c=1)
    front.snapshot([node(0, -1, "pipeline"), node(1, 0, "load", "rejected", e=90, x="ValueError: no rows", n=3), caught])
    expect(front.item("demo.1.1").locator(".rg-second .rg-word")).to_have_text("rejected · after 3 attempts")
    expect(front.item("demo.1.2").locator(".rg-second .rg-word")).to_contain_text("caught")
    front.page.get_by_role("tab", name="Table").click()
    expect(front.item_of_table("demo.1.2").locator(".rg-of-state")).to_have_text("rejected · caught")
    front.page.set_viewport_size({"width": 320, "height": 820})
    expect(front.item_of_table("demo.1.2").locator(".rg-of-state")).to_have_text("caught")
    for tab in ("Tree", "Graph"):
        front.page.get_by_role("tab", name=tab).click()
        expect(front.item("demo.1.2").locator(".rg-word")).to_contain_text("caught")


def test_a_traceback_scrolls_sideways(front: Front) -> None:
    """Its lines stay lines, so that the marks below the code point at what they mean; the keyboard can scroll it."""
    front.snapshot(FAILED)
    front.item("demo.1.2").click()
    code = "    return [row for row in somewhere.read(day, with_a_long_name=True) if row.is_what_was_asked_for(day)]"
    detail = {"kind": "detail", "id": "demo.1.2", "error": "ValueError: no rows", "traceback": f"{code}\n{' ' * 20}^^^^", "arguments": []}
    front.deliver(detail | {"tags": {}, "attempts": 3})
    traceback = front.page.get_by_label("traceback")
    assert traceback.evaluate("pre => pre.scrollWidth > pre.clientWidth + 100 && pre.clientHeight < 80")
    assert front.page.locator(".rg-panel").evaluate("panel => panel.scrollWidth <= panel.clientWidth")
    traceback.focus()
    expect(traceback).to_be_focused()


@pytest.mark.parametrize("width", [660, 760, 1100])
def test_no_word_of_a_box_is_cut_and_no_pill_lies_under_another_box(browser: Browser, origin: str, width: int) -> None:
    """A time that finds no room beside its word is left out whole, and columns stand so far apart that pills are in between."""
    front = open_front(browser, origin, width)
    nodes = [node(0, -1, "pipeline", b=0), node(1, 0, "a", "resolved", e=19), node(2, 0, "b", "rejected", e=90_000, c=1, x="E")]
    nodes += [node(3 + n, 0, "noisy", "rejected" if n < 3 else "resolved", e=130_000 + n, x="E" if n < 3 else None) for n in range(1500)]
    front.snapshot([*nodes, node(1600, 1, "in", "resolved", b=10, e=29), node(1601, 1600, "deep", "cancelled", b=1, e=71_000)], now=200_000)
    front.item("demo.1.1").get_by_role("button", name="unfold").click()
    front.item("demo.1.1600").get_by_role("button", name="unfold").click()
    front.come_to_rest()
    cut = """() => [...document.querySelectorAll('.rg-second')].flatMap(line => {
      const [word, time] = line.children, [at, own] = [line.getBoundingClientRect(), time.getBoundingClientRect()];
      return word.scrollWidth > word.clientWidth || (own.top < at.bottom - 2 && own.left < word.getBoundingClientRect().right + 4)
        ? [line.textContent] : [];
    })"""
    assert front.page.evaluate(cut) == []
    covered = """() => [...document.querySelectorAll('.rg-fold')].filter(pill => pill.offsetWidth).filter(pill => {
      const { left, right, top, bottom } = pill.getBoundingClientRect(), own = pill.closest('.rg-box');
      return [...document.querySelectorAll('.rg-box')].some(box => {
        const at = box.getBoundingClientRect();
        return box !== own && left < at.right && right > at.left && top < at.bottom && bottom > at.top;
      });
    }).map(pill => pill.textContent)"""
    assert front.page.locator(".rg-fold:visible").count() > 0
    assert front.page.evaluate(covered) == []
    front.page.close()
