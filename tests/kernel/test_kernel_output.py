"""Where prints, log records and warnings of durable functions land in a real kernel, with other cells running meanwhile."""

from __future__ import annotations

import json
from pathlib import Path

import nbclient
import nbformat
import pytest
from test_kernel import Page

FUNCTIONS = """%%resonate register
import asyncio, contextlib, io, logging, sys, time, threading, warnings
library = logging.getLogger("some.library")
go = threading.Event()
def speak(ctx, word):
    print("out", word)
    sys.stdout.flush()
    print("err", word, file=sys.stderr, flush=True)
    library.warning("logged %s", word)
    ctx.logger.info("told %s", word)
    warnings.warn(f"old {word}", stacklevel=1)
def late(ctx, word):
    go.wait(10)
    yield ctx.run(speak, word)
    yield ctx.sleep(0.05)
    yield ctx.run(speak, word + " again")
def watched(ctx):
    print("first")
    go.wait(10)
    print("second")
"""
OTHER_CELL = "go.set(); print('mine'); logging.warning('mine too')\nfor run in runs: run.result(10)"


@pytest.fixture(scope="module")
def kernel():
    page = Page()
    page.run(FUNCTIONS)
    yield page
    page.close()


@pytest.fixture
def page(kernel):
    """The one kernel of this file, as each test finds it."""
    kernel.run("%resonate config stable=1 render=off output=node\ngo.clear()")
    return kernel


def outputs(page: Page) -> set[str]:
    """Every line that a stream has shown in the cells since the last one was started."""
    streams = ["".join(each["text"] for each in page.of("stream") if each["name"] == name) for name in ("stdout", "stderr")]
    return {line for text in streams for line in text.splitlines() if line}


def start_two(page: Page, first: str, second: str) -> None:
    page.run(f"import resonate_notebook as rn\nruns = [rn.run('{first}', late, 'one'), rn.run('{second}', late, 'two')]")
    assert outputs(page) == set()


def test_two_runs_that_speak_while_another_cell_runs_show_nothing_in_it(page: Page) -> None:
    """The cell shows what it says itself; each of the two runs has its own lines."""
    start_two(page, "a", "b")
    page.run(OTHER_CELL)
    assert outputs(page) == {"mine", "WARNING:root:mine too"}
    for run_id, word, other in (("a", "one", "two"), ("b", "two", "one")):
        page.run(f"%resonate logs {run_id}")
        text = page.text()
        assert f"{run_id}.1 speak · stdout · out {word}\n{run_id}.1 speak · stderr · err {word}\n" in text
        assert f"{run_id}.3 speak · log warning · some.library: logged {word} again\n" in text
        assert f"{run_id}.3 speak · log info · told {word} again\n" in text
        assert f"{run_id}.1 speak · warning · UserWarning: old {word} (cell, line " in text
        assert other not in text


def test_nothing_is_shown_between_cells_either(page: Page) -> None:
    """What is printed while no cell runs does not land in the last one."""
    page.run("import resonate_notebook as rn\nrun = rn.run('between', late, 'x')")
    request = page.start("threading.Timer(0.3, go.set).start()")
    page.ended(request)
    with pytest.raises(pytest.fail.Exception):
        page.until(lambda message: message["msg_type"] == "stream", limit_s=1.0)
    assert page.value("run.done()") == "True"


def test_what_a_cell_captures_or_redirects_is_its_own(page: Page) -> None:
    """`redirect_stdout` gets the cell's print, and afterwards a step's prints are its own again."""
    page.run("with contextlib.redirect_stdout(io.StringIO()) as buffer:\n    print('caught')\nprint('then')")
    assert outputs(page) == {"then"}
    page.run("%%capture seen\nprint('captured')")
    assert page.value("buffer.getvalue(), seen.stdout") == "('caught\\n', 'captured\\n')"
    page.run("import resonate_notebook as rn\ngo.set(); rn.run('c', late, 'x').result(10)")
    assert outputs(page) == set()


def test_what_a_step_prints_is_not_in_the_history_of_a_cell(page: Page) -> None:
    """IPython keeps the outputs of each cell by itself; a step's are not among them."""
    page.run("import resonate_notebook as rn\ngo.set(); rn.run('d', late, 'unheard').result(10); print('heard')")
    kept = page.value("str([each.bundle for cell in getattr(get_ipython().history_manager, 'outputs', {}).values() for each in cell])")
    assert "out unheard" not in kept


def test_with_output_in_cells_everything_goes_where_python_puts_it(page: Page) -> None:
    """Then a step's prints and logs are shown by the running cell, and its warnings."""
    page.run("%resonate config output=cell")
    start_two(page, "e", "f")
    page.run("go.set()\nfor run in runs: run.result(10)")
    said = ("out one", "err two", "out two again", "logged one", "[e.1] told one")
    page.until(lambda _: all(each in page.text() for each in said))  # perhaps on one line: two threads that print to one stream mix
    page.run("%resonate logs e")
    assert page.text() == "Nothing of e is kept: with `output=cell` prints and logs go into cells.\n"


def test_a_waiting_cell_shows_lines_when_it_is_asked_to(page: Page) -> None:
    """They are shown in the cell that waits."""
    page.run("import resonate_notebook as rn\nthreading.Timer(0.3, go.set).start(); run = rn.run('g', watched)\n%resonate wait g --logs")
    assert page.text() == "g watched · stdout · first\ng watched · stdout · second\n"


def test_the_panel_is_told_lines_as_they_come_until_it_is_closed(page: Page, tmp_path: Path) -> None:
    """A page that has asked about a call gets its lines, also while a cell blocks the kernel."""
    page.run("%resonate config render=auto\nimport resonate_notebook as rn\nrun = %resonate run h watched")
    comm_id, _ = page.graph_comm()
    page.say(comm_id, kind="hello")
    page.heard(comm_id, "snapshot")
    page.say(comm_id, kind="detail", id="h")
    first = page.heard(comm_id, "log", id="h")
    assert ([line[2:] for line in first["lines"]], first["total"]) == ([[1, "stdout", "first"]], 1)
    seen = tmp_path / "seen"
    request = page.start(f"import pathlib\ngo.set()\nwhile not pathlib.Path({str(seen)!r}).exists(): time.sleep(0.01)")
    second = page.heard(comm_id, "log", total=2)  # while the cell waits for what is done next
    assert [line[4] for line in second["lines"]][-1] == "second"
    seen.touch()
    page.ended(request)
    page.say(comm_id, kind="closed")
    page.say(comm_id, kind="cancel", token="after")
    page.heard(comm_id, "reply", token="after")
    assert page.value("[widget.watched for widget in rn.session.current().follower.runs['h'].widgets]") == "['']"


def test_unloading_gives_the_kernel_its_own_streams_back(request: pytest.FixtureRequest) -> None:
    """The very objects."""
    page = Page()
    request.addfinalizer(page.close)
    page.run("import sys")
    page.run("from resonate_notebook.output import Stream\nbelow = sys.stdout._below, sys.stderr._below\n%unload_ext resonate_notebook")
    assert page.value("sys.stdout is below[0], sys.stderr is below[1], type(sys.stdout) is Stream") == "(True, True, False)"
    page.run("%load_ext resonate_notebook")
    assert page.value("type(sys.stdout) is Stream, isinstance(sys.stdout, type(below[0]))") == "(True, True)"


CELLS = ["%load_ext resonate_notebook\n%resonate config stable=1", FUNCTIONS, "go.set()\nrun = %resonate run demo.1 late word='x'",
         "%resonate wait demo.1", "%resonate logs demo.1", "print('mine')"]  # fmt: skip


def test_a_notebook_that_nobody_watches_saves_no_line_by_itself_and_the_same_ones_each_time() -> None:
    """Under nbclient and nbval, lines are in the cell that asks for them and in no other, byte for byte."""
    saved = []
    for _ in range(2):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
        nbclient.NotebookClient(notebook, timeout=60).execute()
        saved.append([json.dumps([output for output in cell.outputs if output.output_type != "execute_result"]) for cell in notebook.cells])
    assert saved[0] == saved[1]
    assert [("out x" in outputs) for outputs in saved[0]] == [False, False, False, False, True, False]
