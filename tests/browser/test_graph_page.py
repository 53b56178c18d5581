"""The front-end of the live call graph, driven in a real browser by a model that only the test speaks for."""

from __future__ import annotations

import re

import pytest
from fronts import HOSTILE, Front, node, small
from playwright.sync_api import expect


def test_a_view_says_hello_and_draws_what_the_snapshot_trait_kept(front: Front) -> None:
    """After a page reload the picture is there before the kernel has answered."""
    assert front.sent("hello") == [{"kind": "hello", "unpacks": True}]
    kept = {"kind": "snapshot", "seq": 4, "run": {"id": "kept", "where": {"kind": "memory", "label": ""}, "started": 0, "now": 9}}
    front.page.evaluate("kept => { harness.traits.set('snapshot', kept); harness.mount(); }", kept | {"nodes": small()})
    expect(front.items()).to_have_count(4)
    assert len(front.sent("hello")) == 2


def test_nodes_appear_and_change_their_state(front: Front) -> None:
    """A batch adds and changes nodes; the item says its new state in words."""
    front.snapshot(small())
    expect(front.item("demo.1.2")).to_have_attribute("aria-label", "clean(day=7), running")
    front.operations(["set", 2, {"s": "retrying", "n": 2, "m": 5, "d": 16_000, "x": "IOError: gone"}], ["add", node(4, 2, "fetch")])
    expect(front.item("demo.1.2")).to_have_attribute("aria-label", "clean(day=7), retrying, attempt 2 of 5 failed, next in 10 s")
    expect(front.item("demo.1.2")).to_contain_text("IOError: gone")
    expect(front.item("demo.1.4")).to_have_attribute("aria-level", "3")
    front.operations(["set", 2, {"s": "resolved", "e": 5900, "x": None, "d": None}])
    expect(front.item("demo.1.2")).to_contain_text("resolved · after 2 attempts")
    expect(front.item("demo.1.2")).not_to_contain_text("IOError")
    assert front.sent("snapshot") == []


def test_a_gap_asks_for_one_snapshot_and_draws_nothing_half(front: Front) -> None:
    """When a batch is lost, the ones after it are not applied and one snapshot is asked for."""
    front.snapshot(small())
    front.operations(["set", 2, {"s": "resolved"}], skip=1)
    front.operations(["add", node(9, 0, "late")])
    front.settle()
    assert len(front.sent("snapshot")) == 1
    expect(front.item("demo.1.2")).to_contain_text("running")
    expect(front.item("demo.1.9")).to_have_count(0)
    front.snapshot([*small(), node(9, 0, "late")])
    expect(front.item("demo.1.9")).to_be_visible()


def test_a_view_that_lacks_a_batch_of_which_it_is_told_asks_for_a_snapshot(front: Front) -> None:
    """A tick names the last batch; a view that has that one, or a later one, asks for nothing."""
    front.deliver({"kind": "tick", "now": 5000, "seq": 0})
    front.settle()
    assert len(front.sent("snapshot")) == 1  # it has no picture at all
    front.snapshot(small())
    for seq in (0, 1):
        front.deliver({"kind": "tick", "now": 5100, "seq": seq})
    front.settle()
    assert len(front.sent("snapshot")) == 1
    front.deliver({"kind": "tick", "now": 5200, "seq": 2})
    front.settle()
    assert len(front.sent("snapshot")) == 2


def test_a_batch_that_came_twice_counts_once(front: Front) -> None:
    """A repeated sequence number is passed over."""
    front.snapshot(small())
    front.operations(["add", node(4, 0, "publish")])
    front.deliver({"kind": "ops", "seq": front.seq, "now": 6100, "ops": [["set", 4, {"s": "rejected"}]]})
    front.settle()
    expect(front.item("demo.1.4")).to_contain_text("running")
    assert front.sent("snapshot") == []


def test_clicking_a_call_opens_its_panel_and_asks_for_its_detail(front: Front) -> None:
    """The panel shows what is known at once and what the kernel answers as soon as it comes."""
    front.snapshot(small())
    front.item("demo.1.1").click()
    panel = front.page.get_by_role("complementary", name="details")
    expect(panel).to_contain_text("Asking the kernel…")
    assert front.sent("detail") == [{"kind": "detail", "id": "demo.1.1"}]
    front.deliver(
        {"kind": "detail", "id": "demo.1.1", "arguments": [["url", "'s3://x'"]], "value": "[1, 2]", "error": None, "traceback": None}
        | {"tags": {"team": "blue"}, "attempts": 2, "created": 1, "began": 1, "ended": 900, "timeout": 99_000}
    )
    for text in ("[1, 2]", "'s3://x'", "team: blue", "demo.1.1"):
        expect(panel).to_contain_text(text)
    panel.get_by_role("button", name="close details").click()
    expect(panel).to_have_count(0)


def test_a_promise_awaited_by_several_leads_to_each_of_them_and_back(front: Front) -> None:
    """A dashed line joins each further caller in the graph; panels lead from the promise to its callers, and from them to it."""
    ask = [node(at, 0, "ask", a=[["day", str(at)]]) for at in range(1, 4)]
    front.snapshot([node(0, -1, "pipeline"), ask[0], node(4, 1, "gate", "waiting", k="promise", w=[2]), *ask[1:]])
    dashed = front.page.locator(".rg-edges .rg-shared")
    expect(dashed).to_have_attribute("d", re.compile("^M[^M]+$"))
    front.operations(["set", 4, {"w": [2, 3]}])
    expect(dashed).to_have_attribute("d", re.compile("^M[^M]+M[^M]+$"))
    front.item("demo.1.4").click()
    panel = front.page.get_by_role("complementary", name="details")
    expect(panel).to_contain_text("Awaited by, 3")
    panel.get_by_role("button", name="ask(day=3)").click()
    expect(panel.get_by_role("heading", name="ask")).to_be_visible()
    expect(panel).to_contain_text("Calls, 1")
    panel.get_by_role("button", name="gate").click()
    expect(panel.get_by_role("heading", name="gate")).to_be_visible()


def test_a_call_stays_in_sight_when_its_panel_opens(front: Front) -> None:
    """The panel takes room at the right: a box that stood there is scrolled into what is left."""
    front.snapshot([node(0, -1, "pipeline"), *(node(at, at - 1, f"a_rather_long_name_of_a_function_{at}") for at in range(1, 4))])
    front.item("demo.1.3").click()
    front.come_to_rest()
    box, panel = front.item("demo.1.3").bounding_box(), front.page.get_by_role("complementary", name="details").bounding_box()
    assert box is not None
    assert panel is not None
    assert box["x"] + box["width"] <= panel["x"]


@pytest.mark.parametrize(("button", "kind", "send"), [("Resolve…", "resolve", "Resolve"), ("Reject…", "reject", "Reject")])
def test_the_form_sends_what_was_typed_and_shows_the_reply(front: Front, button: str, kind: str, send: str) -> None:
    """The text goes out as typed, with a token; the kernel's answer to that token is shown in place."""
    front.snapshot(small())
    front.item("demo.1.3").get_by_role("button", name=button).click()
    form = front.page.get_by_role("complementary", name="details")
    expect(form).to_contain_text("Publish?")
    form.get_by_role("textbox").fill("{'ok': True}")
    form.get_by_role("button", name=send, exact=True).click()
    [message] = front.sent(kind)
    assert message["id"] == "demo.1.3"
    assert message["text"] == "{'ok': True}"
    assert message["token"]
    expect(form.get_by_role("status")).to_have_text(re.compile("^Queued: the kernel is busy. If its cell waits for this run, press stop"))
    front.deliver({"kind": "reply", "token": "someone else's", "ok": True, "text": "not ours"})
    front.deliver({"kind": "reply", "token": message["token"], "ok": False, "text": "Nothing changed."})
    expect(form.get_by_role("status")).to_have_text("Nothing changed.")
    expect(form.get_by_role("button", name=send, exact=True)).to_be_enabled()


def test_what_a_person_types_survives_changes_of_the_run(front: Front) -> None:
    """Batches that arrive while someone types neither clear the text nor take the focus."""
    front.snapshot(small())
    front.item("demo.1.3").get_by_role("button", name="Resolve…").click()
    front.page.keyboard.type("half a sent")
    front.operations(["set", 2, {"s": "resolved", "e": 5500}], ["add", node(4, 0, "publish")])
    front.settle()
    front.page.keyboard.type("ence")
    expect(front.page.get_by_role("textbox")).to_have_value("half a sentence")
    front.operations(["set", 3, {"s": "resolved", "e": 5600}])
    expect(front.page.get_by_role("complementary", name="details")).to_contain_text("Was resolved elsewhere. Nothing was sent.")


def test_cancel_is_sent_only_after_a_second_press(front: Front) -> None:
    """Cancel… asks first; Keep going sends nothing."""
    front.snapshot(small())
    cancel = front.page.get_by_role("button", name="Cancel…")
    cancel.click()
    front.page.get_by_role("button", name="Keep going").click()
    assert front.sent("cancel") == []
    cancel.click()
    front.page.get_by_role("button", name="Cancel the run").click()
    [message] = front.sent("cancel")
    front.deliver({"kind": "reply", "token": message["token"], "ok": True, "text": "3 promises cancelled."})
    expect(front.page.get_by_text("3 promises cancelled.")).to_be_visible()


def test_detach_is_sent_and_says_how_to_come_back(front: Front) -> None:
    """The run goes on without this view, and the view says so."""
    front.snapshot(small())
    front.page.get_by_role("button", name="Detach").click()
    assert front.sent("detach") == [{"kind": "detach"}]
    expect(front.page.get_by_text("%resonate attach demo.1")).to_be_visible()


@pytest.mark.parametrize("tab", ["Graph", "Tree", "Timeline", "Table"])
def test_hostile_text_stays_text_in_every_field(front: Front, tab: str) -> None:
    """Markup, scripts and handlers in names, arguments, errors, ids, values, tags and replies make no element and run nothing."""
    hostile = [[HOSTILE, HOSTILE]]
    nodes = [node(0, -1, HOSTILE, "rejected", id=HOSTILE, a=hostile, x=HOSTILE, e=9)]
    nodes += [node(index, 0, HOSTILE, "rejected", id=f"{HOSTILE}{index}", a=hostile, x=HOSTILE, k=HOSTILE, e=9) for index in range(1, 8)]
    nodes += [node(8, 0, "ask" + HOSTILE, "waiting", id="w" + HOSTILE, k="promise", a=[["ask", HOSTILE], [HOSTILE, HOSTILE]])]
    nodes += [node(9, 0, "odd", HOSTILE, a=[["bell", "\x07\u202e"]])]
    front.snapshot(nodes, id=HOSTILE, where={"kind": HOSTILE, "label": HOSTILE})
    front.page.get_by_role("tab", name=tab).click()
    front.page.locator(".rg-row, .rg-box").nth(2).click()
    front.deliver(
        {"kind": "detail", "id": f"{HOSTILE}1", "arguments": hostile, "value": HOSTILE, "error": HOSTILE, "traceback": HOSTILE}
        | {"tags": {HOSTILE: HOSTILE}, "attempts": 1, "created": 0, "began": 0, "ended": 9, "timeout": 9}
    )
    expect(front.page.get_by_role("complementary", name="details")).to_contain_text("onerror", timeout=3000)
    if tab in {"Graph", "Tree"}:
        front.page.get_by_role("button", name="Resolve…").click()
    else:  # There the panel alone has the form.
        front.page.locator("[data-id]").filter(has_text="ask").first.click()
    front.page.get_by_role("textbox").fill(HOSTILE)
    front.page.get_by_role("button", name="Resolve", exact=True).click()
    front.deliver({"kind": "reply", "token": front.sent("resolve")[0]["token"], "ok": False, "text": HOSTILE})
    front.operations(["set", 9, {"s": "rejected", "x": HOSTILE}], ["run", {"id": HOSTILE}])
    front.settle()
    front.page.wait_for_timeout(200)
    assert front.page.evaluate("window.__xss") is None
    assert front.page.locator(".rg img, .rg script, .rg a, .rg iframe, .rg [onerror], .rg [onclick]").count() == 0
    expect(front.page.get_by_role("complementary", name="details")).to_contain_text(HOSTILE)
    assert not {"\x07", "\u202e"} & set(front.page.locator(".rg").inner_text())


def test_thirty_siblings_fold_to_one_stack_that_opens(front: Front) -> None:
    """From five siblings of one function on there is one stack with a count; opening it shows every one."""
    front.snapshot([node(0, -1, "pipeline"), *(node(index, 0, "clean", "resolved", e=99) for index in range(1, 31))])
    expect(front.items()).to_have_count(2)
    stack = front.page.get_by_role("treeitem", name="clean, 30 calls, 30 resolved")
    expect(stack).to_have_attribute("aria-expanded", "false")
    stack.click()
    expect(front.items()).to_have_count(32)
    expect(stack).to_have_attribute("aria-expanded", "true")


def test_failures_are_not_folded_away(front: Front) -> None:
    """Members of a stack that failed stand below it, eight at most, a waiting one among them however late it is."""
    states = {4: "rejected", 9: "retrying", 30: "waiting"}
    nodes = [node(0, -1, "pipeline"), *(node(i, 0, "clean", states.get(i, "resolved")) for i in range(1, 31))]
    front.snapshot(nodes)
    expect(front.items()).to_have_count(5)
    for index in states:
        expect(front.item(f"demo.1.{index}")).to_be_visible()
    front.operations(*(["set", index, {"s": "rejected"}] for index in range(1, 21)))
    expect(front.page.get_by_role("treeitem", name="13 more rejected")).to_be_visible()
    expect(front.item("demo.1.30")).to_be_visible()


def test_in_a_large_run_a_clean_finished_subtree_folds_itself(front: Front) -> None:
    """Above 24 calls what went well folds, what holds a failure stays open, and a person's own choice wins."""
    names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"]
    parts = [node(1 + at, 0, name, "resolved", e=9) for at, name in enumerate(names)]
    kids = [node(20 + at, 1 + at, "step", "rejected" if at == 3 else "resolved", c=1) for at in range(13)]
    front.snapshot([node(0, -1, "pipeline"), *parts, *kids])
    expect(front.items()).to_have_count(1 + 13 + 1)
    front.item("demo.1.1").get_by_role("button", name="unfold").click()
    expect(front.item("demo.1.20")).to_be_visible()


def test_the_keyboard_walks_folds_and_opens(front: Front) -> None:
    """Arrows, Home, End, Enter and Escape do what they do in any tree, with one place for Tab."""
    front.snapshot([*small(), node(4, 2, "fetch"), node(5, 2, "parse")])
    focused = front.page.locator(":focus")
    front.page.get_by_role("tab", name="Tree").click()
    expect(front.page.locator("[role=treeitem][tabindex='0']")).to_have_count(1)
    front.item("demo.1").focus()
    for key, reached in [("ArrowDown", "demo.1.1"), ("ArrowDown", "demo.1.2"), ("ArrowRight", "demo.1.4"), ("ArrowLeft", "demo.1.2")]:
        front.page.keyboard.press(key)
        expect(focused).to_have_attribute("data-id", reached)
    front.page.keyboard.press("ArrowLeft")
    expect(focused).to_have_attribute("aria-expanded", "false")
    expect(front.item("demo.1.4")).to_have_count(0)
    front.page.keyboard.press("End")
    expect(focused).to_have_attribute("data-id", "demo.1.3")
    front.page.keyboard.press("Enter")
    expect(front.page.get_by_role("complementary", name="details")).to_be_visible()
    front.page.keyboard.press("Escape")
    expect(front.page.get_by_role("complementary", name="details")).to_have_count(0)
    front.page.keyboard.press("Home")
    expect(focused).to_have_attribute("data-id", "demo.1")


def test_five_thousand_calls_keep_the_document_small_and_stay_quick(front: Front) -> None:
    """Only the window of rows is in the document, and a hundred changes are drawn within a few frames."""
    front.snapshot([node(0, -1, "root"), *(node(i, 0, f"f{i % 2500}", "pending") for i in range(1, 5000))])
    expect(front.page.get_by_role("tab", name="Tree")).to_have_attribute("aria-selected", "true")
    assert front.page.locator("*").count() < 1500
    front.page.locator(".rg [role=tree]").evaluate("tree => { tree.scrollTop = 60000 }")
    expect(front.item("demo.1.2310")).to_be_visible()
    assert front.page.locator("*").count() < 1500
    took_ms = front.page.evaluate(
        """async () => {
            const frame = () => new Promise(done => requestAnimationFrame(done));
            const began = performance.now();
            for (let batch = 0; batch < 10; batch++) {
                const ops = Array.from({ length: 100 }, (_, at) => ["set", 1 + batch * 100 + at, { s: "running", b: 9 }]);
                harness.deliver({ kind: "ops", seq: 2 + batch, now: 100, ops });
                await frame(); await frame();
            }
            return performance.now() - began;
        }"""
    )
    expect(front.page.get_by_role("button", name="1,001 running")).to_be_visible()
    assert took_ms < 2500


def test_many_batches_of_one_frame_are_drawn_once(front: Front) -> None:
    """A burst costs one drawing, not one per batch."""
    front.snapshot(small())
    front.settle()
    drawings = front.page.evaluate(
        """async () => {
            const label = document.querySelector('[role=progressbar]');
            let drawn = 0;
            const watched = { attributes: true, attributeFilter: ["aria-valuemax"] };
            new MutationObserver(changes => { drawn += changes.length }).observe(label, watched);
            for (let at = 0; at < 50; at++) {
                const node = { i: 10 + at, id: "x" + at, p: 0, f: "f", k: "run", t: 0 };
                harness.deliver({ kind: "ops", seq: 2 + at, now: 9, ops: [["add", node]] });
            }
            await new Promise(done => setTimeout(done, 200));
            return drawn;
        }"""
    )
    assert drawings == 1
    expect(front.page.get_by_role("progressbar")).to_have_attribute("aria-valuemax", "54")


def test_a_chip_shows_one_state_with_the_ancestors(front: Front) -> None:
    """The filter keeps what leads to its matches and is taken away by a second press, even when nothing matches any more."""
    front.snapshot([*small(), node(4, 2, "fetch", "rejected"), node(5, 2, "parse")])
    chip = front.page.get_by_role("button", name="rejected", exact=False).first
    chip.click()
    expect(front.items()).to_have_count(3)
    for kept in ("demo.1", "demo.1.2", "demo.1.4"):
        expect(front.item(kept)).to_be_visible()
    front.operations(["set", 4, {"s": "resolved"}])
    expect(front.items()).to_have_count(1)
    chip.click()
    expect(front.items()).to_have_count(6)


def test_a_failed_run_says_where_it_broke_and_shows_it(front: Front) -> None:
    """The banner names the call at the bottom of the failure and opens it, out of whatever hides it."""
    nodes = [node(0, -1, "pipeline", "rejected", x="ValueError: no rows", e=99)]
    nodes += [node(index, 0, "clean", "resolved", e=50) for index in range(1, 31)]
    nodes[7] |= {"s": "rejected", "x": "ValueError: no rows", "n": 3, "a": [["day", "7"]]}
    front.snapshot(nodes)
    expect(front.page.get_by_text("in clean(day=7), after 3 attempts.")).to_be_visible()
    front.page.get_by_role("button", name="Show it").click()
    expect(front.item("demo.1.7")).to_have_attribute("aria-selected", "true")
    assert front.sent("detail") == [{"kind": "detail", "id": "demo.1.7"}]
    expect(front.page.get_by_role("button", name="Detach")).to_be_hidden()


def test_silence_is_told_as_silence(front: Front) -> None:
    """Seven seconds without a word from the kernel make the picture stale; any word mends it."""
    front.page.clock.install()
    front.page.reload()
    front.page.wait_for_function("window.harness")
    front.mount()
    front.snapshot(small())
    front.page.clock.run_for(6000)
    expect(front.page.get_by_text("No news for")).to_be_hidden()
    front.page.clock.run_for(2500)
    expect(front.page.get_by_text("No news for 8 s.")).to_be_visible()
    front.deliver({"kind": "tick", "now": 14_000})
    front.page.clock.run_for(100)
    expect(front.page.get_by_text("No news for")).to_be_hidden()


def test_a_server_that_is_away_is_told_and_so_is_that_it_is_back(front: Front) -> None:
    """The line below the bar says it in the kernel's words, which ends with the trouble, or with the run."""
    away = "http://127.0.0.1:8001 cannot be asked: connection refused. Runs go on as soon as it answers."
    front.snapshot(small(), where={"kind": "server", "label": "127.0.0.1:8001"})
    note = front.page.locator(".rg-note")
    expect(note).to_be_hidden()
    front.operations(["run", {"away": away}])
    expect(note).to_have_text(f"The server does not answer. {away}")
    front.operations(["run", {"away": ""}])
    expect(note).to_be_hidden()


def test_a_run_that_waits_for_its_code_is_said_to_be_stopped(front: Front) -> None:
    """Where the code has changed, the head says so, whatever else is at work; it runs when it has its code again."""
    front.snapshot([node(0, -1, "pipeline", "retrying", x="the code changed"), node(1, 0, "load")])
    expect(front.page.locator(".rg-pill").first).to_have_text("stopped")
    front.operations(["set", 0, {"s": "running", "x": None, "n": 1}])
    expect(front.page.locator(".rg-pill").first).to_have_text("running")


def test_elapsed_time_counts_up_between_two_words_of_the_kernel(front: Front) -> None:
    """The page's own clock carries the kernel's last word on, and stops with the run."""
    front.page.clock.install()
    front.page.reload()
    front.page.wait_for_function("window.harness")
    front.mount()
    front.snapshot(small(), now=5000)
    front.page.clock.run_for(3050)
    expect(front.item("demo.1")).to_contain_text("8 s")
    front.operations(["set", 0, {"s": "resolved", "e": 8300}], now=8300)
    front.page.clock.run_for(20_000)
    expect(front.item("demo.1")).to_contain_text("8.3 s")
    expect(front.page.get_by_text("No news for")).to_be_hidden()


def test_an_idle_picture_asks_for_no_frames(front: Front) -> None:
    """While nothing happens there is at most the drawing of the clock, once a second."""
    front.page.evaluate(
        """() => {
            const ask = window.requestAnimationFrame.bind(window);
            window.asked = 0;
            window.requestAnimationFrame = done => { window.asked += 1; return ask(done); };
        }"""
    )
    front.snapshot(small())
    front.page.wait_for_timeout(600)
    before = front.page.evaluate("window.asked")
    front.page.wait_for_timeout(1500)
    assert before >= 1
    assert front.page.evaluate("window.asked") - before <= 2


@pytest.mark.parametrize(("ground", "tone"), [("rgb(255, 255, 255)", "light"), ("rgb(17, 19, 24)", "dark")])
def test_the_tone_follows_the_ground_behind_the_widget(front: Front, ground: str, tone: str) -> None:
    """Light or dark is what is painted behind, also when the theme changes while the widget is shown."""
    front.page.evaluate("ground => { document.body.style.background = ground; document.body.dataset.jpThemeName = ground }", ground)
    expect(front.page.locator(".rg")).to_have_attribute("data-tone", tone)


def test_what_waits_out_of_sight_is_pointed_at(front: Front) -> None:
    """A promise that waits below the edge gets a pill that leads there."""
    calls = [node(index, 0, f"f{index}") for index in range(1, 50)]
    front.snapshot([node(0, -1, "pipeline"), *calls, node(50, 0, "approve", "waiting", k="promise")])
    pill = front.page.get_by_role("button", name="approve waits for you")
    pill.click()
    expect(front.item("demo.1.50")).to_be_in_viewport()
    expect(pill).to_have_count(0)


def test_two_views_agree_and_cleaning_up_lets_go_of_the_model(front: Front) -> None:
    """Each view listens for itself; after its clean-up it is gone from the page and from the model."""
    front.page.evaluate("() => { window.second = harness.mount() }")
    front.snapshot(small())
    expect(front.items()).to_have_count(8)
    front.page.evaluate("window.unmount(); window.second()")
    assert front.page.evaluate("harness.listening()") == 0
    expect(front.page.locator(".rg")).to_have_count(0)
    front.operations(["set", 2, {"s": "resolved"}])
    front.settle()


def test_a_chain_thousands_deep_is_drawn(front: Front) -> None:
    """Depth is no limit: deep rows say their depth instead of growing their indent."""
    front.snapshot([node(0, -1, "f"), *(node(index, index - 1, "f") for index in range(1, 4000))])
    front.page.get_by_role("tab", name="Tree").click()
    front.item("demo.1").focus()
    front.page.keyboard.press("End")
    expect(front.item("demo.1.3999")).to_contain_text("⋯3999")


def test_a_picture_out_of_sight_is_drawn_now_and_then_and_at_once_when_it_comes_into_sight(front: Front) -> None:
    """Dozens of pictures in one notebook cost what the one in sight does; scrolled to, a picture is up to date."""
    front.page.evaluate("() => { document.getElementById('host').style.paddingTop = '3000px' }")
    front.snapshot(small())
    front.page.wait_for_timeout(300)
    front.page.evaluate(
        """() => {
          window.drawn = 0;
          new MutationObserver(changes => { window.drawn += changes.length })
            .observe(document.querySelector('.rg [role=progressbar]'), { attributes: true, attributeFilter: ['aria-valuemax'] });
        }"""
    )
    for at in range(12):
        front.operations(["add", node(10 + at, 0, f"g{at}")])
        front.page.wait_for_timeout(100)
    assert front.page.evaluate("window.drawn") <= 1
    rendered = "document.querySelector('.rg-head').checkVisibility({ contentVisibilityAuto: true })"
    assert not front.page.evaluate(rendered)
    front.page.locator(".rg").scroll_into_view_if_needed()
    expect(front.page.get_by_role("progressbar")).to_have_attribute("aria-valuemax", "16", timeout=700)
    front.page.wait_for_function(rendered)


def test_a_picture_that_a_notebook_is_about_to_scroll_into_sight_is_up_to_date_before(front: Front) -> None:
    """In a notebook that scrolls inside the page, a picture just below what is in sight is drawn at once."""
    front.page.evaluate(
        """() => {
          const host = document.getElementById('host');
          Object.assign(host.style, { height: '500px', overflow: 'auto' });
          host.firstElementChild.style.paddingTop = '600px';
        }"""
    )
    front.snapshot(small())
    front.settle()
    front.operations(["add", node(10, 0, "g")])
    expect(front.page.get_by_role("progressbar")).to_have_attribute("aria-valuemax", "5", timeout=700)


def test_the_bar_moves_once_and_then_jumps_while_changes_follow_each_other(front: Front) -> None:
    """Like a view: what changes ten times a second must not keep the page busy with moving it."""
    front.snapshot(small())
    front.settle()
    front.page.wait_for_timeout(500)
    bar = front.page.get_by_role("progressbar")
    front.operations(["set", 2, {"s": "resolved", "e": 5900}])
    expect(bar).to_have_class("rg-bar rg-moving")
    front.operations(["set", 3, {"s": "resolved", "e": 5950}])
    expect(bar).to_have_class("rg-bar")


def test_a_long_message_comes_compressed_and_the_order_of_messages_is_kept(front: Front) -> None:
    """A compressed snapshot and the short batches behind it are taken in in the order in which they came."""
    front.page.evaluate(
        """async nodes => {
          const run = { id: "demo.1", started: 0, now: 9, where: { kind: "memory", label: "" } };
          const snapshot = { kind: "snapshot", seq: 1, run, nodes };
          const packing = new Blob([JSON.stringify(snapshot)]).stream().pipeThrough(new CompressionStream("deflate"));
          const packed = await new Response(packing).arrayBuffer();
          harness.deliver({ kind: "packed" }, [new DataView(packed)]);
          harness.deliver({ kind: "ops", seq: 2, now: 10, ops: [["set", 2, { s: "resolved", e: 10 }]] });
        }""",
        small(),
    )
    expect(front.item("demo.1.2")).to_contain_text("resolved")
    assert front.sent("snapshot") == []
