"""What happens in real kernels: with nobody watching (nbclient, nbval), and with a page (a client that may be asked for input)."""

from __future__ import annotations

import importlib.metadata
import json
import queue
import threading
import time
import zlib

import nbclient
import nbformat
import pytest
from jupyter_client.manager import start_new_kernel

WIDGET = "application/vnd.jupyter.widget-view+json"
SVG = "image/svg+xml"
FUNCTIONS = """%%resonate register
import time
def clean(ctx, day):
    if day == 13:
        raise SystemExit(3)
    return day
def pipeline(ctx, days=3):
    total = 0
    for day in range(days):
        total += yield ctx.run(clean, day)
    return total
def slow(ctx):
    time.sleep(0.001)
def wide(ctx, n):
    promises = []
    for day in range(n):
        promises.append((yield ctx.begin_run(slow)))
    for promise in promises:
        yield promise
def ask(ctx):
    promise = yield ctx.promise(data={"ask": "ok?"})
    answer = yield promise
    return answer
"""


# ---- nobody watches ------------------------------------------------------------------------------------------------------------

CELLS = [
    "%load_ext resonate_notebook\n%resonate config stable=1",
    FUNCTIONS,
    "run = %resonate run demo.1 pipeline days=7",
    "%resonate wait demo.1",
    "run",
    "two = %resonate run demo.2 pipeline days=2\nawait two",
    "three = %resonate run demo.3 pipeline days=20",
    "%resonate wait demo.3",
    "%resonate run demo.1 pipeline days=7",
    "%resonate ps\n%resonate functions",
    """one = %resonate run demo.4 ask
import resonate_notebook, threading
threading.Timer(0.3, resonate_notebook.resolve, ('demo.4.1', 'yes')).start()
%resonate wait demo.4""",
    "6 * 7",
]


def executed(*, store_history: bool) -> tuple[nbformat.NotebookNode, list[str]]:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    client = nbclient.NotebookClient(notebook, timeout=60, allow_errors=True)
    seen: list[str] = []
    inner = client.process_message

    def process(message, *arguments):
        seen.append(message["msg_type"])
        return inner(message, *arguments)

    client.process_message = process
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index, store_history=store_history)
    return notebook, seen


@pytest.fixture(scope="module")
def twice():
    """Once as nbclient does it, once as nbval does: it stores no history, so `execution_count` stands still."""
    return [executed(store_history=True), executed(store_history=False)]


def kinds(cell):
    return [output.output_type for output in cell.outputs]


def test_a_notebook_that_nobody_watches_opens_no_comm(twice):
    for _, seen in twice:
        assert "display_data" in seen
        assert not [each for each in seen if each.startswith("comm")]


def test_a_run_is_shown_once_it_is_waited_for_and_the_picture_is_saved(twice):
    cells = twice[0][0].cells
    assert cells[2].outputs == []
    picture, result = cells[3].outputs
    assert set(picture.data) == {SVG, "text/plain"}
    assert picture.data[SVG].lstrip().startswith("<svg")
    assert "demo.1" in picture.data[SVG]
    assert "✓ clean ×7" in picture.data["text/plain"]
    assert result.data["text/plain"] == "21"
    assert kinds(cells[4]) == ["display_data"]
    assert kinds(cells[5]) == ["display_data", "execute_result"]
    assert kinds(cells[8]) == ["stream", "display_data"]


def test_a_step_that_exits_fails_its_run_and_leaves_the_kernel_alive(twice):
    cells = twice[0][0].cells
    assert kinds(cells[7]) == ["display_data", "error"]
    assert "demo.3 rejected" in cells[7].outputs[1].traceback[0]
    assert "cell, line 5: raise SystemExit(3)" in cells[7].outputs[1].traceback[1]
    assert cells[-1].outputs[0].data["text/plain"] == "42"


def test_outputs_are_the_same_byte_for_byte_when_they_are_to_be_stable(twice):
    one, other = ([cell.outputs for cell in notebook.cells] for notebook, _ in twice)
    for output in (output for outputs in one + other for output in outputs):
        output.pop("execution_count", None)
    assert json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


# ---- a page watches ------------------------------------------------------------------------------------------------------------


def unpack(message) -> None:
    """As the front-end does: a compressed message stands for what is in it."""
    content = message["content"].get("data", {}).get("content", {}) if message["msg_type"] == "comm_msg" else {}
    if content.get("kind") == "packed":
        message["content"]["data"]["content"] = json.loads(zlib.decompress(message["buffers"][0]))
        message["packed_bytes"] = len(message["buffers"][0])


class Page:
    """A front-end as far as a kernel can tell: it may be asked for input, hears everything, and answers on comms."""

    def __init__(self) -> None:
        self.manager, self.client = start_new_kernel()
        self.messages: list[dict] = []
        self.run("%load_ext resonate_notebook")
        self.run(FUNCTIONS)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def start(self, code: str) -> str:
        self.messages.clear()
        return self.client.execute(code, allow_stdin=True)

    def until(self, found, limit_s=10.0):
        """Reads what the kernel says until `found(message)` is true of something; answers that."""
        for message in self.messages:
            if found(message):
                return message
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            try:
                message = self.client.get_iopub_msg(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                break
            unpack(message)
            self.messages.append(message)
            if found(message):
                return message
        pytest.fail(f"not seen in {limit_s} s: {[(each['msg_type'], str(each['content'])[:200]) for each in self.messages[-12:]]}")

    def ended(self, request: str, limit_s=10.0) -> None:
        """Waits for the cell's end, and for the reply to it as front-ends do; ipykernel before 7.4 may overlook what is asked meanwhile."""
        self.until(lambda m: m["parent_header"].get("msg_id") == request and m["content"].get("execution_state") == "idle", limit_s)
        while self.client.get_shell_msg(timeout=limit_s)["parent_header"].get("msg_id") != request:
            continue

    def run(self, code: str, limit_s=10.0) -> list[dict]:
        self.ended(self.start(code), limit_s)
        return list(self.messages)

    def value(self, code: str) -> str:
        self.run(code)
        return self.of("execute_result")[0]["data"]["text/plain"]

    def of(self, kind: str) -> list[dict]:
        return [message["content"] for message in self.messages if message["msg_type"] == kind]

    def text(self) -> str:
        return "".join(content["text"] for content in self.of("stream"))

    def graph_comm(self) -> tuple[str, dict]:
        state = next(content for content in self.of("comm_open") if "_esm" in content["data"]["state"])
        return state["comm_id"], state["data"]["state"]

    def say(self, comm_id: str, **message) -> None:
        data = {"method": "custom", "content": message}
        self.client.shell_channel.send(self.client.session.msg("comm_msg", {"comm_id": comm_id, "data": data}))

    def heard(self, comm_id: str, kind: str, **fields):
        def found(message):
            if message["msg_type"] != "comm_msg" or message["content"]["comm_id"] != comm_id:
                return False
            content = message["content"]["data"].get("content", {})
            return content.get("kind") == kind and all(content.get(key) == value for key, value in fields.items())

        return self.until(found)["content"]["data"]["content"]


def final_of(run_id: str):
    """The last picture of a run; that of the run before may still be on its way."""
    return lambda m: m["msg_type"] == "update_display_data" and m["content"]["data"]["text/plain"].startswith(f"{run_id} ")


@pytest.fixture(scope="module")
def page():
    page = Page()
    yield page
    page.close()


def test_a_page_gets_a_live_graph_whose_buttons_work(page):
    page.run("run = %resonate run live.1 ask")
    (shown,) = page.of("display_data")
    assert set(shown["data"]) == {WIDGET, SVG, "text/plain"}
    comm_id, state = page.graph_comm()
    assert shown["data"][WIDGET]["model_id"] == comm_id
    assert state["snapshot"]["run"]["id"] == "live.1"
    page.say(comm_id, kind="hello")
    assert page.heard(comm_id, "snapshot")["nodes"][0]["f"] == "ask"
    page.say(comm_id, kind="detail", id="live.1.1")
    detail = page.heard(comm_id, "detail", id="live.1.1")
    assert detail["arguments"] == [["ask", "'ok?'"]]
    assert detail["value"] is None
    page.say(comm_id, kind="resolve", id="live.1.7", text="1", token="a")
    assert page.heard(comm_id, "reply", token="a") == {
        "kind": "reply", "token": "a", "ok": False, "text": "No promise live.1.7. live.1.1 waits for a value."
    }  # fmt: skip
    page.say(comm_id, kind="resolve", id="live.1.1", text="plain text", token="b")
    assert page.heard(comm_id, "reply", token="b")["text"] == "live.1.1 resolved · live.1 goes on"
    page.heard(comm_id, "final")
    page.say(comm_id, kind="staying")
    final = page.until(final_of("live.1"))["content"]
    assert final["transient"]["display_id"] == shown["transient"]["display_id"]
    assert set(final["data"]) == {SVG, "text/plain"}
    assert "✓ resolved" in final["data"]["text/plain"]
    assert page.value("run.result(5)") == "'plain text'"
    page.say(comm_id, kind="detail", id="live.1")
    assert page.heard(comm_id, "detail", id="live.1")["value"] == "'plain text'"
    page.say(comm_id, kind="cancel", token="c")
    assert page.heard(comm_id, "reply", token="c")["ok"] is False


def test_changes_reach_the_page_while_a_cell_blocks_the_kernel_and_arrive_in_order(page):
    request = page.start("import time\nrun = %resonate run live.2 ask\ntime.sleep(0.3)\n%resonate resolve live.2.1 1\ntime.sleep(1.5)")
    page.until(lambda m: m["msg_type"] == "comm_open" and "_esm" in m["content"]["data"]["state"])
    comm_id, _ = page.graph_comm()
    page.say(comm_id, kind="hello")
    whole = page.heard(comm_id, "snapshot")
    page.heard(comm_id, "final")
    assert not [m for m in page.messages if m["parent_header"].get("msg_id") == request and m["content"].get("execution_state") == "idle"]
    page.ended(request)
    final = page.until(final_of("live.2"))["content"]["data"]
    assert set(final) == {WIDGET, SVG, "text/plain"}  # A page that does not say it keeps the view is left with it.
    sent = [m["content"]["data"]["content"] for m in page.messages if m["msg_type"] == "comm_msg" and m["content"]["comm_id"] == comm_id
            and m["content"]["data"]["method"] == "custom"]  # fmt: skip
    sequence = [each["seq"] for each in sent if each["kind"] in {"ops", "snapshot"}]
    assert sequence == sorted(sequence)
    assert whole["nodes"]
    states = {op[1]: op[2].get("s") for each in sent if each["kind"] == "ops" for op in each["ops"] if op[0] == "set"}
    whole_states = {node["i"]: node["s"] for each in sent if each["kind"] == "snapshot" for node in each["nodes"]}
    assert {**whole_states, **states}[0] == "resolved"


def test_a_page_that_was_shown_a_run_unasked_is_told_how_far_it_is_and_gets_no_second_picture(page):
    """Its hello comes when the cell has ended; a picture of thousands of calls is not sent for nothing, but whenever it is asked for."""
    request = page.start("import time\nrun = %resonate run live.9 ask\ntime.sleep(0.7)")
    page.until(lambda m: m["msg_type"] == "comm_open" and "_esm" in m["content"]["data"]["state"])
    comm_id, _ = page.graph_comm()
    page.say(comm_id, kind="hello")
    page.ended(request)
    tick = page.heard(comm_id, "tick")
    whole = [m["content"]["data"]["content"] for m in page.messages if m["msg_type"] == "comm_msg"
             and m["content"]["comm_id"] == comm_id and m["content"]["data"].get("content", {}).get("kind") == "snapshot"]  # fmt: skip
    assert len(whole) == 2  # the first one, which pages that are still loading miss, and one that nobody asked for
    told = [m["content"]["data"].get("content", {}) for m in page.messages if m["msg_type"] == "comm_msg"]
    assert tick["seq"] == [each["seq"] for each in told if each.get("kind") in {"snapshot", "ops"}][-1]
    page.messages.clear()
    page.say(comm_id, kind="snapshot")
    assert page.heard(comm_id, "snapshot")["seq"] >= tick["seq"]
    page.run("%resonate cancel live.9")


def test_a_page_that_is_loaded_again_gets_the_picture_of_now(page):
    page.run("run = %resonate run live.3 pipeline days=9\nrun.result(5)")
    comm_id, _ = page.graph_comm()
    page.client.shell_channel.send(page.client.session.msg("comm_msg", {"comm_id": comm_id, "data": {"method": "request_state"}}))
    found = page.until(
        lambda m: m["msg_type"] == "comm_msg" and m["content"]["comm_id"] == comm_id and m["content"]["data"]["method"] == "update"
        and len(m["content"]["data"]["state"].get("snapshot", {}).get("nodes", [])) == 10
    )  # fmt: skip
    assert found["content"]["data"]["state"]["_esm"]


def test_two_views_of_a_run_agree(page):
    page.run("run = %resonate run live.4 pipeline days=5\nrun.result(5)")
    page.run("run")
    (shown,) = page.of("display_data")
    assert len(page.graph_comm()[1]["snapshot"]["nodes"]) == 6
    assert WIDGET in shown["data"]


def test_what_a_stranger_sends_does_no_harm(page):
    page.run("run = %resonate run live.5 ask")
    comm_id, _ = page.graph_comm()
    for message in ({}, {"kind": 7}, {"kind": "detail", "id": {"a": []}}, {"kind": "resolve", "id": None, "text": []}, {"kind": "resolve"}):
        page.say(comm_id, **message)
    page.say(comm_id, kind="resolve", id="live.5.1", text="__import__('os').getpid()", token="t")
    assert page.heard(comm_id, "reply", token="t")["ok"] is True
    assert page.value("run.result(5)") == "\"__import__('os').getpid()\""


def test_a_wait_in_a_page_says_once_that_the_run_waits_for_its_person(page):
    """And that stop frees the kernel for the form. Not where the wait is until then anyway."""
    page.run("run = %resonate run live.w ask")
    page.run("%resonate wait live.w --until waiting")
    assert "Stop frees the kernel" not in page.text()
    for wait in ("%resonate wait live.w", "run.result()", "await run"):
        request = page.start(wait)
        page.until(lambda m: "live.w waits for you: live.w.1. Stop frees the kernel" in str(m["content"].get("text")))
        time.sleep(0.5)  # in which nothing further is said
        page.manager.interrupt_kernel()
        page.ended(request)
        assert page.text().count("waits for you") == 1


def test_a_stop_while_waiting_detaches_at_once_and_a_second_one_cancels(page):
    page.run("run = %resonate run live.6 ask")
    request = page.start("%resonate wait live.6")
    time.sleep(0.5)
    stopped = time.monotonic()
    page.manager.interrupt_kernel()
    page.until(lambda m: "Detached: live.6 goes on." in str(m["content"].get("text")))
    assert time.monotonic() - stopped < 1.5
    page.ended(request)
    assert page.of("error")[0]["ename"] == "Detached"
    page.run("%resonate ps")
    assert "live.6  ask" in page.text()
    assert page.text().split("live.6  ask")[1].lstrip().startswith("waiting for you")
    request = page.start("run.result()")
    for _ in range(2):
        time.sleep(0.5)
        page.manager.interrupt_kernel()
    page.ended(request)
    assert "live.6 cancelled" in page.text()
    assert page.value("1 + 1") == "2"


def test_a_large_run_costs_the_page_little(page):
    page.start("run = %resonate run live.8 wide 1000\nrun.result(60)")
    page.until(lambda m: m["msg_type"] == "comm_open" and "_esm" in m["content"]["data"]["state"])
    comm_id, _ = page.graph_comm()
    page.say(comm_id, kind="hello")
    page.until(final_of("live.8"), 60)
    sizes = [m.get("packed_bytes", len(json.dumps(m["content"]["data"]["content"]))) for m in page.messages if m["msg_type"] == "comm_msg"
             and m["content"]["comm_id"] == comm_id and m["content"]["data"].get("content", {}).get("kind") == "ops"]  # fmt: skip
    assert len(sizes) > 2
    assert sum(sizes) < 1_000 * 80


def update_with(place, mime):
    """An update of one display that has this kind of data; those of earlier runs may still come."""
    def found(m):
        return m["msg_type"] == "update_display_data" and m["content"]["transient"]["display_id"] == place and mime in m["content"]["data"]

    return found


def test_a_page_that_shows_no_widgets_gets_a_live_picture_in_html_and_a_line_that_says_why(page):
    """Nothing is heard of the widget: after three seconds of a kernel that was free to hear, its place has a picture."""
    page.run("import time\nrun = %resonate run mute.1 ask\ntime.sleep(1.5)")
    began = time.monotonic()
    (shown,) = page.of("display_data")
    assert WIDGET in shown["data"]
    place = shown["transient"]["display_id"]
    update = page.until(update_with(place, "text/html"))
    assert time.monotonic() - began > 2.5  # a busy kernel's time does not count
    data = update["content"]["data"]
    assert set(data) == {"text/html", "text/plain"}
    assert data["text/html"].startswith("<div><p>The live graph has not loaded here")
    assert "<svg" in data["text/html"]
    assert "%resonate resolve mute.1.1 VALUE" in data["text/html"]
    page.run("%resonate resolve mute.1.1 1\nrun.result(5)")
    final = page.until(update_with(place, SVG))["content"]
    assert set(final["data"]) == {SVG, "text/plain"}
    assert "✓ resolved" in final["data"]["text/plain"]


def test_a_run_that_ended_before_a_mute_page_was_given_up_leaves_its_picture_alone(page):
    """The final picture is there already, so none takes the widget's place."""
    page.run("run = %resonate run mute.2 pipeline days=2\nrun.result(5)")
    final = page.until(final_of("mute.2"))["content"]["data"]
    assert set(final) == {SVG, "text/plain"}


def test_a_widget_that_is_heard_late_takes_its_place_again(page):
    """A page that was slow gets the live graph back in the place of the picture."""
    page.run("run = %resonate run late.1 ask")
    (shown,) = page.of("display_data")
    place = shown["transient"]["display_id"]
    comm_id, _ = page.graph_comm()
    page.until(update_with(place, "text/html"))
    page.say(comm_id, kind="loaded")
    back = page.until(update_with(place, WIDGET))["content"]
    assert back["data"][WIDGET]["model_id"] == comm_id
    page.run("%resonate resolve late.1.1 1\nrun.result(5)")
    final = page.until(lambda m: update_with(place, SVG)(m) and "✓ resolved" in m["content"]["data"]["text/plain"])["content"]["data"]
    assert set(final) == {WIDGET, SVG, "text/plain"}


def test_a_page_that_has_loaded_the_widget_out_of_sight_keeps_it(page):
    """A page makes no view of an output that is scrolled away, but its model says that it is there."""
    page.run("run = %resonate run far.1 ask")
    place = page.of("display_data")[0]["transient"]["display_id"]
    comm_id, _ = page.graph_comm()
    page.say(comm_id, kind="loaded")
    page.run("run = %resonate run far.2 ask")  # of which nothing is heard: once its picture comes, the other one's time is over too
    mute = page.of("display_data")[0]["transient"]["display_id"]
    page.until(update_with(mute, "text/html"))
    assert not [m for m in page.messages if update_with(place, "text/html")(m)]
    page.run("%resonate cancel far.1\n%resonate cancel far.2")


def test_a_view_that_is_asked_for_is_the_one_that_the_widget_begins_with(page):
    page.run("run = %resonate run view.1 pipeline days=3\nrun.result(5)\n%resonate show view.1 --view timeline")
    states = [each["data"]["state"] for each in page.of("comm_open") if "_esm" in each["data"]["state"]]
    assert [each["view"] for each in states] == ["", "timeline"]
    assert "at work" in page.of("display_data")[-1]["data"]["text/plain"]


def test_html_may_be_asked_for_and_is_live(page):
    page.run("%resonate config render=html\nrun = %resonate run html.1 ask")
    (shown,) = page.of("display_data")
    assert set(shown["data"]) == {"text/html", "text/plain"}
    assert "<p>" not in shown["data"]["text/html"]
    assert not page.of("comm_open")
    page.run("%resonate resolve html.1.1 1\n%resonate wait html.1")
    last = page.of("update_display_data")[-1]
    assert last["transient"] == shown["transient"]
    assert set(last["data"]) == {"text/html", "text/plain"}
    page.run("%resonate show html.1 --view table")
    assert "<pre>" in page.of("display_data")[0]["data"]["text/html"]
    page.run("%resonate config render=auto")


def test_svg_and_text_are_live_without_a_widget_and_off_shows_nothing(page):
    for render, mimes in (("svg", {SVG, "text/plain"}), ("text", {"text/plain"})):
        page.run(f"%resonate config render={render}")
        page.run(f"run = %resonate run {render} ask")
        (shown,) = page.of("display_data")
        assert set(shown["data"]) == mimes
        assert not page.of("comm_open")
        page.run(f"%resonate resolve {render}.1 1\n%resonate wait {render}")
        last = page.of("update_display_data")[-1]
        assert last["transient"] == shown["transient"]
        assert "✓ resolved" in last["data"]["text/plain"]
    page.run("%resonate config render=off")
    page.run("run = %resonate run off pipeline\nrun")
    assert not page.of("display_data") + page.of("execute_result")
    page.run("%resonate config render=auto")


def test_the_doctor_knows_the_kernel_and_says_of_one_that_overlooks_requests_what_to_do(page):
    page.run("%resonate doctor")
    version = importlib.metadata.version("ipykernel")
    assert f"ipykernel {version}" in page.text()
    assert ("pip install -U 'ipykernel>=7.4'" in page.text()) is version.startswith(("7.1.", "7.2.", "7.3."))


def test_a_kernel_that_stops_leaves_still_pictures_and_is_gone_soon():
    page = Page()
    try:
        page.run("%resonate run done pipeline\n%resonate run open ask\nimport time; time.sleep(0.6)")
        shown = {content["transient"]["display_id"] for content in page.of("display_data")}
        page.messages.clear()
        began = time.monotonic()
        shutdown = threading.Thread(target=page.manager.shutdown_kernel)
        shutdown.start()
        for each in shown:
            update = page.until(lambda m, place=each: m["content"].get("transient", {}).get("display_id") == place)
            assert set(update["content"]["data"]) == {SVG, "text/plain"}
        shutdown.join()
        assert time.monotonic() - began < 4
    finally:
        page.client.stop_channels()
        if page.manager.is_alive():
            page.manager.shutdown_kernel(now=True)
