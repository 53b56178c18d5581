"""What a person does from the picture: retry, detach, answer a form, and what is said when the kernel is busy or gone."""

from __future__ import annotations

import pytest
from fronts import Front, node, small
from playwright.sync_api import expect

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


@pytest.mark.parametrize(("where", "told"), [("memory", "has gone with the kernel"), ("file", "%resonate attach demo.1")])
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
    expect(front.page.get_by_role("button", name="Cancel…")).to_be_hidden()
    button(front, "Resolve")
    expect(front.page.locator(".rg-answer")).to_have_text("The kernel was stopped or restarted since. Nothing was sent.")
    assert len(front.sent("resolve")) == 1


def test_a_run_that_was_over_stays_right_without_its_kernel(front: Front) -> None:
    """A restart makes nothing stale that could not change any more; only what would need the kernel says that it is gone."""
    front.snapshot(FAILED)
    front.page.evaluate("harness.cut()")
    front.settle()
    expect(front.page.locator(".rg")).to_have_class("rg rg-over")
    button(front, "Retry")
    expect(front.page.get_by_text("The kernel was stopped or restarted since. Nothing was sent.")).to_be_visible()


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
