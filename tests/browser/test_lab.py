"""The live graph in JupyterLab as people use it: a real server, a real kernel, a real browser, and nothing from elsewhere."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import saved
from lab import CHECKOUT, Lab, Notebook
from playwright.sync_api import Browser, expect

LOAD = "%load_ext resonate_notebook"
FUNCTIONS = """%%resonate register
import threading
from resonate.retry_policies import Constant
gate = threading.Event()

def probe(ctx, host):
    if ctx.info.attempt == 1:
        raise ConnectionError(f"no answer from {host}")
    return 1.5

def load(ctx, day):
    return {"day": day, "rows": 1000 + day}

def merge(ctx, parts):
    gate.wait(60)
    return sum(part["rows"] for part in parts)

def pipeline(ctx, days):
    factor = yield ctx.run(probe, "gauge-2").options(retry_policy=Constant(delay=1, max_retries=3))
    parts = []
    for day in range(days):
        parts.append((yield ctx.run(load, day)))
    rows = yield ctx.run(merge, parts)
    word = yield (yield ctx.promise(id=f"{ctx.id}.approve", data={"ask": f"{rows} rows. Publish?"}))
    return {"rows": rows, "factor": factor, "word": word}
"""
RUN = "run = %resonate run demo.1 pipeline days=3"
OPEN = "gate.set()"
SETTINGS_OF_THEME = "@jupyterlab/apputils-extension/themes"
TUTORIAL = CHECKOUT / "notebooks" / "01-first-run.ipynb"

type Opener = Callable[..., Notebook]


@pytest.fixture
def begun(lab: Lab, open_notebook: Opener, request: pytest.FixtureRequest) -> Notebook:
    """A notebook whose cell 2 shows the run, which stands at `merge` until cell 3 is run; cells from 4 on are the test's own."""
    name = f"{request.node.name}.ipynb"
    lab.write(name, LOAD, FUNCTIONS, RUN, OPEN, *getattr(request, "param", ()))
    notebook = open_notebook(name)
    notebook.run(0, 1, 2)
    expect(notebook.item(2, "demo.1.5")).to_have_attribute("aria-label", re.compile("running"))
    return notebook


@pytest.mark.parametrize("begun", [["run.result(timeout=30)"]], indirect=True)
def test_calls_appear_and_change_their_state_and_an_answer_in_the_page_ends_the_run(begun: Notebook) -> None:
    """The graph goes on while the run does, from retrying to resolved, and Resolve… gives the run its value."""
    begun.expect_state(2, "running")
    expect(begun.item(2, "demo.1.4")).to_have_attribute("aria-label", "load(day=2), resolved")
    expect(begun.item(2, "demo.1.approve")).to_have_count(0)
    seen = begun.seen("demo.1.1")
    assert any("retrying, attempt 1 of 4 failed" in label for label in seen)
    assert seen[-1].endswith("resolved, after 2 attempts")
    begun.run(3)
    begun.expect_state(2, "waiting for you")
    expect(begun.item(2, "demo.1.5")).to_have_attribute("aria-label", re.compile(r"merge\(.*\), resolved"))
    begun.answer(2, "demo.1.approve", "{'ok': True}")
    begun.expect_state(2, "resolved")
    assert all(label.endswith("resolved") or "resolved, " in label for label in begun.labels(2))
    begun.run(4)
    expect(begun.output(4)).to_contain_text("{'rows': 3003, 'factor': 1.5, 'word': {'ok': True}}")


def test_a_click_on_a_call_opens_its_arguments_and_its_value(begun: Notebook) -> None:
    """The panel shows a running call's arguments, and a resolved one's value, as the kernel tells them."""
    panel = begun.graph(2).get_by_role("complementary", name="details")
    begun.item(2, "demo.1.5").click()
    expect(panel).to_contain_text("'rows': 1002")
    expect(panel).to_contain_text("not yet")
    begun.item(2, "demo.1.3").click()
    expect(panel.locator(".rg-code")).to_have_text("{'day': 1, 'rows': 1001}")
    expect(panel.locator(".rg-pairs").first).to_contain_text("day")
    heights = panel.locator("dt").evaluate_all("terms => terms.map(term => term.offsetHeight)")
    assert max(heights) < 24, "JupyterLab's own styles break the names into several lines"
    panel.get_by_role("button", name="close details").click()
    expect(panel).to_have_count(0)
    begun.graph(2).get_by_role("tab", name="Table").click()
    expect(begun.graph(2).locator(".rg-table [data-id='demo.1.2'] .rg-of-outcome")).to_have_text("{'day': 0, 'rows': 1000}")


@pytest.mark.parametrize("begun", [["len(run.nodes())"]], indirect=True)
def test_a_page_that_is_loaded_again_shows_the_same_calls_and_goes_on(begun: Notebook) -> None:
    """As many calls as the kernel's model has, a few seconds after the reload, and the next change is seen."""
    begun.run(4)
    before = begun.labels(2)
    begun.save()
    begun.reload()
    expect(begun.graph(2).locator("[role=treeitem]")).to_have_count(len(before))
    assert begun.labels(2) == before
    expect(begun.output(4)).to_contain_text(str(len(before)))
    begun.run(3)
    begun.expect_state(2, "waiting for you")
    begun.answer(2, "demo.1.approve", "yes")
    begun.expect_state(2, "resolved")


def test_the_chosen_view_is_chosen_again_when_the_page_is_loaded_again(begun: Notebook) -> None:
    """The kernel keeps the choice with the widget, and the timeline goes on where the page left it."""
    begun.graph(2).get_by_role("tab", name="Timeline").click()
    expect(begun.graph(2).get_by_role("tree", name="call timeline")).to_be_visible()
    begun.save()
    begun.reload()
    expect(begun.graph(2).get_by_role("tab", name="Timeline")).to_have_attribute("aria-selected", "true")
    expect(begun.item(2, "demo.1.5")).to_have_attribute("aria-label", re.compile(r"merge\(.*\), running, took .* so far, began .* after"))


@pytest.mark.parametrize("begun", [["run"]], indirect=True)
def test_two_views_of_one_run_agree(begun: Notebook) -> None:
    """Shown again in another cell the run has the same calls in the same states, then and after each change."""
    begun.run(4)
    agree = """() => {
      const [one, other, ...more] = [...document.querySelectorAll('section.rg')].map(view =>
        [...view.querySelectorAll('[role=treeitem]')].map(item => item.dataset.id + item.getAttribute('aria-label')).join());
      return one && one === other && !more.length;
    }"""
    begun.page.wait_for_function(agree)
    begun.run(3)
    for cell in (2, 4):
        begun.expect_state(cell, "waiting for you")
    begun.page.wait_for_function(agree)
    begun.answer(4, "demo.1.approve", "1")
    for cell in (2, 4):
        begun.expect_state(cell, "resolved")
    begun.page.wait_for_function(agree)


BUSY = "import os, time\nwhile not os.path.exists('let-go'):\n    time.sleep(0.05)"


@pytest.mark.parametrize("begun", [[BUSY]], indirect=True)
def test_an_answer_to_a_busy_kernel_is_said_to_be_queued_and_is_carried_out(lab: Lab, begun: Notebook) -> None:
    """While another cell blocks the kernel the graph stays live, and Resolve is queued or heard at once, as the kernel can."""
    begun.run(3)
    begun.expect_state(2, "waiting for you")
    (lab.notebooks / "let-go").unlink(missing_ok=True)
    begun.start(4)
    begun.page.wait_for_function("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'busy'")
    said = begun.answer(2, "demo.1.approve", "fine")
    heard = begun.graph(2).locator(".rg-head .rg-pill", has_text="resolved")  # Some ipykernels hear a page while a cell runs.
    expect(said.filter(has_text="Queued").or_(heard)).to_be_visible()
    (lab.notebooks / "let-go").touch()
    begun.expect_state(2, "resolved")
    begun.wait_for_end(4)


PICTURE_IS_FINAL = """cell => {
  const { data } = jupyterapp.shell.currentWidget.model.cells.get(cell).outputs.get(0);
  return Object.keys(data).sort().join() === 'image/svg+xml,text/plain' && !/waiting|running/.test(data['image/svg+xml']);
}"""


NO_VIEW_IS_LEFT = """() => [...jupyterapp.shell.currentWidget.model.cells].every(({ outputs }) =>
  Array.from({ length: outputs?.length ?? 0 }, (_, at) => outputs.get(at)).every(({ data }) => !`${Object.keys(data)}`.includes('widget')))
"""


def test_a_saved_notebook_shows_the_finished_picture_without_its_kernel(lab: Lab, begun: Notebook, browser: Browser) -> None:
    """The file holds picture and text of the ended run and no view, and another server's page shows the picture."""
    begun.run(3)
    begun.expect_state(2, "waiting for you")
    begun.answer(2, "demo.1.approve", "1")
    begun.page.wait_for_function(PICTURE_IS_FINAL, arg=2)
    begun.save()
    [output] = lab.read(begun.name)[2]["outputs"]
    picture, text = ("".join(output["data"][kind]) for kind in ("image/svg+xml", "text/plain"))
    assert "resolved" in picture
    assert "7 resolved" in text
    assert "✓ approve" in text
    other = Lab(lab.folder)
    page = browser.new_page()
    try:
        later = Notebook(other, page, begun.name)
        expect(later.output(2).locator("img")).to_be_visible()
        assert later.output(2).locator("img").evaluate("image => image.decode().then(() => image.naturalHeight)") > 200
        assert later.output(2).inner_text().strip() == ""
        assert later.complaints == []
        later.close()
    finally:
        page.close()
        other.stop()


def test_what_jupyterlab_saves_holds_no_secret_and_its_page_shows_payloads_as_text(
    lab: Lab, open_notebook: Opener, browser: Browser
) -> None:
    """A run with secrets and one with hostile text, watched live, their panels opened, saved by the page and converted by nbconvert."""
    (lab.notebooks / "given.json").write_text(json.dumps(saved.GIVEN))
    lab.write("saved.ipynb", saved.LOAD, saved.FUNCTIONS, *saved.SHOW, *saved.HOSTILE[:2])
    notebook = open_notebook("saved.ipynb")
    notebook.run(0, 1, 2)
    notebook.item(2, "demo.1.1").click()
    panel = notebook.graph(2).get_by_role("complementary", name="details")
    expect(panel).to_contain_text("token=•••")  # what it has printed, as the kernel tells it
    assert saved.leaks(panel.inner_html().encode()) == []
    notebook.run(3, 4, 5, 6)
    notebook.page.wait_for_function(NO_VIEW_IS_LEFT)  # one that becomes a picture after the page was saved makes it one to be saved again
    notebook.save()
    content = lab.notebooks / "saved.ipynb"
    assert saved.leaks(content.read_bytes()) == []
    assert b"window.__xss=1" in content.read_bytes()
    assert saved.complaints_about(browser, saved.page_of(content)) == []


def test_the_end_of_a_run_leaves_what_a_person_has_open(begun: Notebook) -> None:
    """When the output becomes a plain picture the one live graph stays, with its panel, and still asks the kernel."""
    begun.run(3)
    begun.expect_state(2, "waiting for you")
    begun.item(2, "demo.1.3").click()
    begun.answer(2, "demo.1.approve", "1")
    begun.page.wait_for_function(PICTURE_IS_FINAL, arg=2)
    panel = begun.graph(2).get_by_role("complementary", name="details")
    expect(panel).to_contain_text("demo.1.approve")
    expect(begun.output(2).locator("img")).to_be_hidden()
    begun.item(2, "demo.1.2").click()
    expect(panel.locator(".rg-code")).to_have_text("{'day': 0, 'rows': 1000}")


FRAIL = """%%resonate register
from resonate.retry_policies import Never

def frail(ctx, day):
    if day == 2 and not mended:
        raise ValueError(f"no rows for day {day}")
    return day

def total(ctx, days):
    got = []
    for day in range(days):
        got.append((yield ctx.run(frail, day).options(retry_policy=Never())))
    return sum(got)
"""


def test_the_end_of_a_run_leaves_its_picture_as_wide_as_it_was(lab: Lab, open_notebook: Opener) -> None:
    """However much there is to say of a call: the view that moves into the new output takes the room that is there."""
    ask = "%%resonate register\ndef ask(ctx, texts):\n    return (yield (yield ctx.promise(id=f'{ctx.id}.ok')))"
    lab.write("wide.ipynb", LOAD, ask, f"run = %resonate run wide.1 ask {['word'] * 40!r}")
    notebook = open_notebook("wide.ipynb")
    notebook.run(0, 1, 2)
    notebook.expect_state(2, "waiting for you")
    before = notebook.graph(2).bounding_box()
    notebook.answer(2, "wide.1.ok", "True")
    expect(notebook.output(2).locator(".rg-shelter")).to_have_count(1)
    after = notebook.graph(2).bounding_box()
    assert before is not None
    assert after is not None
    assert (after["x"], after["width"]) == pytest.approx((before["x"], before["width"]), abs=1)


def test_a_failed_run_is_retried_from_its_picture(lab: Lab, open_notebook: Opener) -> None:
    """Retry starts the run that `%resonate retry` would, with what had a value taken over; both pictures lead to each other."""
    attempt = "run = %resonate run weak.1 total days=4"
    lab.write("retry.ipynb", LOAD, "mended = False", FRAIL, attempt, "mended = True", "%resonate attach weak.1")
    notebook = open_notebook("retry.ipynb")
    notebook.run(0, 1, 2, 3)
    notebook.expect_state(3, "rejected")
    notebook.run(4, 5)
    notebook.graph(3).get_by_role("button", name="Retry", exact=True).dblclick()
    expect(notebook.graph(3).locator(".rg-run")).to_have_text("weak.1-2")
    notebook.expect_state(3, "resolved")
    expect(notebook.graph(3)).to_contain_text("weak.1-2 takes over 2 steps of weak.1.")
    expect(notebook.item(3, "weak.1-2.1")).to_have_attribute("aria-label", "frail(day=0), recovered, not run again")
    notebook.graph(5).get_by_role("button", name="retried as weak.1-2").click()
    expect(notebook.graph(5).locator(".rg-run")).to_have_text("weak.1-2")
    notebook.graph(3).get_by_role("button", name="retry of weak.1").click()
    expect(notebook.graph(3).locator(".rg-run")).to_have_text("weak.1")
    notebook.item(3, "weak.1.2").click()
    notebook.graph(3).get_by_role("button", name="Run again from here").click()
    expect(notebook.graph(3).locator(".rg-run")).to_have_text("weak.1-3")
    notebook.expect_state(3, "resolved")
    expect(notebook.item(3, "weak.1-3.2")).to_have_attribute("aria-label", "frail(day=1), resolved")
    saved = "([cell, id]) => jupyterapp.shell.currentWidget.model.cells.get(cell).outputs.toJSON().some(output => "
    saved += "output.data?.['text/plain'].startsWith(id + '  '))"
    for cell, shown in ((3, "weak.1-3"), (5, "weak.1-2")):  # what is saved is what is shown
        notebook.page.wait_for_function(saved, arg=[cell, shown])
    expect(notebook.graph(3)).to_be_visible()
    expect(notebook.graph(3).locator(".rg-run")).to_have_text("weak.1-3")


def test_a_restarted_kernel_leaves_a_picture_that_says_so(begun: Notebook) -> None:
    """In mid-run the kernel is restarted: the picture stays, is marked as old and names what became of the run."""
    begun.restart_kernel()
    expect(begun.graph(2).get_by_text("The kernel was stopped or restarted.", exact=True)).to_be_visible()
    expect(begun.graph(2)).to_contain_text("It was in memory and has gone with the kernel.")
    expect(begun.graph(2).get_by_role("button", name="Cancel…")).to_be_hidden()
    begun.wait_until_idle()  # a kernel that is still on its way cannot be shut down


@pytest.mark.parametrize("begun", [["run.result(timeout=60)"]], indirect=True)
def test_an_interrupt_while_waiting_leaves_the_picture_live(begun: Notebook) -> None:
    """The stop button ends the waiting cell and not the run, whose picture goes on."""
    begun.start(4)
    begun.page.wait_for_function("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'busy'")
    begun.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()")
    expect(begun.output(4)).to_contain_text("Detached: demo.1 goes on.")
    begun.wait_for_end(4)
    begun.run(3)
    begun.expect_state(2, "waiting for you")


@pytest.mark.parametrize("begun", [["%resonate wait demo.1"]], indirect=True)
def test_a_wait_for_ones_own_answer_says_to_press_stop_and_stop_lets_the_answer_through(begun: Notebook) -> None:
    """The cell waits for the run, the run for a person: cell and form say that stop frees the kernel, and after it the run ends."""
    begun.run(3)
    begun.expect_state(2, "waiting for you")
    begun.start(4)
    expect(begun.output(4)).to_contain_text("demo.1 waits for you: demo.1.approve. Stop frees the kernel for the picture's form")
    said = begun.answer(2, "demo.1.approve", "fine")
    heard = begun.graph(2).locator(".rg-head .rg-pill", has_text="resolved")  # Some ipykernels hear a page while a cell runs.
    expect(said.filter(has_text="press stop").or_(heard)).to_be_visible()
    assert begun.output(4).inner_text().count("waits for you") == 1
    begun.page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()")
    begun.expect_state(2, "resolved")
    begun.wait_for_end(4)


CELLS = """() => {
  const { widgets, activeCellIndex, mode } = jupyterapp.shell.currentWidget.content;
  return [activeCellIndex, mode, ...widgets.map(cell => `${cell.model.type} ${cell.model.executionCount}`)];
}"""


def test_no_key_that_is_pressed_in_a_picture_reaches_the_cells(begun: Notebook) -> None:
    """On a chip, a tab or a button of the panel, what JupyterLab takes as an order to a cell does nothing to any."""
    graph = begun.graph(2)
    begun.item(2, "demo.1.5").click()
    before = begun.page.evaluate(CELLS)
    for place in (graph.locator(".rg-chip:visible"), graph.get_by_role("tab"), graph.locator(".rg-panel-id button")):
        for keys in (["d", "d"], ["r"], ["b"], ["ArrowDown"], ["Shift+Enter"], ["Control+Enter"]):
            place.first.focus()
            for key in keys:
                begun.page.keyboard.press(key)
            assert begun.page.evaluate(CELLS) == before, f"{keys} on {place}"


AWAIT = "import asyncio\nfor _ in range(600):\n    if run.done(): break\n    await asyncio.sleep(0.05)\nrun.done()"


@pytest.mark.parametrize("begun", [[AWAIT]], indirect=True)
def test_a_button_works_while_a_cell_awaits(begun: Notebook) -> None:
    """A cell that awaits holds the kernel for a page's messages or does not, as ipykernel is made; either way the answer arrives."""
    begun.run(3)
    begun.expect_state(2, "waiting for you")
    begun.start(4)
    said = begun.answer(2, "demo.1.approve", "fine")
    heard = begun.graph(2).locator(".rg-head .rg-pill", has_text="resolved")
    expect(said.filter(has_text="Queued").or_(heard)).to_be_visible()
    begun.expect_state(2, "resolved", timeout_ms=40_000)
    begun.wait_for_end(4, 40_000)


@pytest.mark.parametrize("begun", [["other = %resonate run demo.2 pipeline days=2"]], indirect=True)
def test_two_runs_in_two_cells_are_two_pictures(begun: Notebook) -> None:
    """Each shows its own calls, and a value given to one leaves the other as it is."""
    begun.run(4, 3)
    for cell in (2, 4):
        begun.expect_state(cell, "waiting for you")
    begun.answer(4, "demo.2.approve", "1")
    begun.expect_state(4, "resolved")
    begun.expect_state(2, "waiting for you")
    expect(begun.graph(4).locator("[data-id^='demo.1']")).to_have_count(0)


MANY = """%%resonate register
def count(ctx, words):
    gate.wait(60)
    return len(words)"""
COUNT = f"long = %resonate run demo.2 count {['word'] * 60}"


@pytest.mark.parametrize("begun", [[MANY, COUNT]], indirect=True)
def test_a_graph_that_stays_is_no_wider_than_its_output(begun: Notebook) -> None:
    """Beside the prompt there is less room than in the whole row, however much the head would like to say."""
    begun.run(4, 5, 3)
    begun.page.wait_for_function(PICTURE_IS_FINAL, arg=5)
    row = begun.output(5).locator(".rg-shelter").locator("..")
    assert row.evaluate("row => row.scrollWidth <= row.clientWidth")


BLOCK_AND_ANSWER = "%resonate resolve demo.1.approve 1\nimport time\ntime.sleep(3)"


@pytest.mark.parametrize("begun", [[BLOCK_AND_ANSWER]], indirect=True)
def test_a_run_that_ends_while_a_cell_blocks_is_shown_once(begun: Notebook) -> None:
    """A busy kernel hears late that the page keeps its view; there is one graph, with its open panel, before and after."""
    begun.run(3)
    begun.expect_state(2, "waiting for you")
    begun.item(2, "demo.1.3").click()
    begun.start(4)
    begun.expect_state(2, "resolved")
    begun.wait_for_end(4)
    begun.page.wait_for_function(PICTURE_IS_FINAL, arg=2)
    expect(begun.graph(2)).to_have_count(1)
    expect(begun.graph(2).get_by_role("complementary", name="details")).to_contain_text("{'day': 1, 'rows': 1001}")


def test_the_graph_is_dark_where_jupyterlab_is(lab: Lab, open_notebook: Opener) -> None:
    """A dark theme from the settings makes a dark graph, and it follows when the theme is changed."""
    lab.set_setting(SETTINGS_OF_THEME, {"theme": "JupyterLab Dark"})
    lab.write("dark.ipynb", LOAD, FUNCTIONS, RUN, OPEN)
    notebook = open_notebook("dark.ipynb", fresh=True)
    notebook.run(0, 1, 3, 2)
    notebook.expect_state(2, "waiting for you")
    expect(notebook.graph(2)).to_have_attribute("data-tone", "dark")
    notebook.page.evaluate("() => jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})")
    expect(notebook.graph(2)).to_have_attribute("data-tone", "light")


def test_the_first_tutorial_as_a_person_runs_it(lab: Lab, open_notebook: Opener) -> None:
    """Answered by a click, it reports the year's rain, and its own answering cell says that it came second."""
    data = pytest.importorskip("vega_datasets").data
    shutil.copy(TUTORIAL, lab.notebooks / "tutorial.ipynb")
    cells = lab.read("tutorial.ipynb")
    load, register, run, wait, resolve, report = [at for at, cell in enumerate(cells) if cell["cell_type"] == "code"][:6]
    notebook = open_notebook("tutorial.ipynb", height=1600)
    notebook.run(load, register, run, wait)
    expect(notebook.output(wait)).to_contain_text("seattle-2015 waits for you: seattle-2015.approval.")
    assert any("retrying" in label for label in notebook.seen("seattle-2015.1"))
    notebook.answer(run, "seattle-2015.approval", '{"approved": True}')
    notebook.expect_state(run, "resolved")
    notebook.run(report)
    told = ast.literal_eval(notebook.output(report).inner_text().partition("]:")[2].strip())
    lines = Path(data.seattle_weather.filepath).read_text().splitlines()
    rain_mm = 1.04 * sum(float(line.split(",")[1]) for line in lines if line.startswith("2015"))
    assert told["rain_mm"] == pytest.approx(rain_mm, abs=0.2)
    assert (told["days"], told["approved"]) == (365, True)
    notebook.run(resolve)
    told_late = "seattle-2015.approval was resolved with {'approved': True}. A promise settles once; nothing changed."
    expect(notebook.output(resolve)).to_have_text(told_late)


@pytest.mark.parametrize("begun", [["%resonate show demo.1 --view timeline", "gate.set()"]], indirect=True)
def test_a_run_is_shown_again_in_the_view_that_was_asked_for(begun: Notebook) -> None:
    """`show --view timeline` begins with the timeline, live; the graph above stays a graph."""
    begun.run(4)
    expect(begun.graph(4).get_by_role("tab", name="Timeline")).to_have_attribute("aria-selected", "true")
    expect(begun.item(4, "demo.1.5")).to_have_attribute("aria-label", re.compile(r"merge\(.*\), running, took .* so far"))
    expect(begun.graph(2).get_by_role("tab", name="Graph")).to_have_attribute("aria-selected", "true")
    begun.run(5)
    begun.expect_state(4, "waiting for you")


def test_a_page_in_which_the_widget_never_comes_to_life_gets_a_live_picture(lab: Lab, open_notebook: Opener) -> None:
    """A module that says nothing stands for one that could not be loaded: in its place is a picture, which goes on, and a line."""
    mute = "from resonate_notebook import widget\nwidget.GraphWidget._esm = 'export default { render() {} }'"
    lab.write("mute.ipynb", LOAD, FUNCTIONS, mute, RUN, OPEN)
    notebook = open_notebook("mute.ipynb")
    notebook.run(0, 1, 2, 3)
    expect(notebook.output(3)).to_contain_text("The live graph has not loaded here", timeout=15_000)
    expect(notebook.output(3).locator("svg text", has_text="merge").first).to_be_visible()
    notebook.run(4)
    expect(notebook.output(3).locator("svg text", has_text="waiting for you").first).to_be_visible()
