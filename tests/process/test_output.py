"""Prints, log records and warnings of durable functions in a real IPython shell: with their call, and nowhere else."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
import sys
import threading
import time
import warnings

import pytest
from test_magics import Shell, ipython  # noqa: F401 - a fixture
from waiting import when

import resonate_notebook
from resonate import Resonate
from resonate.server import DevelopmentServer
from resonate_notebook import live, session
from resonate_notebook.output import Output, Stream

FUNCTIONS = """%%resonate register
import asyncio, logging, os, sys, threading, time, warnings
from resonate.retry_policies import Constant, Never
from functools import partial
gate = threading.Event()
library = logging.getLogger("some.library")
def step(ctx, n=1):
    print("out", n)
    print("err", n, file=sys.stderr)
    library.warning("careful %s", n)
    ctx.logger.info("info %s", n)
    warnings.warn(f"old {n}", stacklevel=1)
def top(ctx, n=1):
    yield ctx.run(step, n)
    print("end")
def hold(ctx):
    print("held", end="")
    gate.wait(10)
    print(" and let go")
def many(ctx, n):
    for number in range(n):
        print("line", number)
async def fetch(ctx):
    print("coroutine")
    await asyncio.to_thread(print, "its thread")
async def gather(ctx):
    await ctx.run(fetch)
    print("after it")
def flaky(ctx):
    print("try", ctx.info.attempt)
    if ctx.info.attempt < 2:
        raise ValueError("no rows")
def retried(ctx):
    yield ctx.run(flaky).options(retry_policy=Constant(0.001))
"""


@pytest.fixture
def cell(ipython, capsys):  # noqa: F811 - the fixture
    shell = Shell(ipython, capsys)
    yield shell
    if "gate" in ipython.user_ns:
        ipython.user_ns.pop("gate").set()
    shell.good("%unload_ext resonate_notebook")


def begin(cell, *more):
    """In the test itself, for pytest gives each of its phases streams of its own."""
    cell.good("%load_ext resonate_notebook")
    cell.good("%resonate config stable=1")
    cell.good(FUNCTIONS)
    for each in more:
        cell.good(each)


def run(cell, call, run_id="a"):
    """What all cells showed from a launch to the end of the run."""
    return cell.good(f"import resonate_notebook as rn\nrn.run({run_id!r}, {call}).result(10)")


STEP = """\
a.1 step · stdout · out 1
a.1 step · stderr · err 1
a.1 step · log warning · some.library: careful 1
a.1 step · log info · info 1
a.1 step · warning · UserWarning: old 1 (cell, line 12)
"""


# ---- what belongs to a call stands there -----------------------------------------------------------------------------------------


def test_all_that_a_call_says_is_kept_with_it_and_shown_in_no_cell(cell, capsys):
    begin(cell)
    assert run(cell, "'top'") == ""
    assert capsys.readouterr().err == ""
    assert cell.good("%resonate logs a") == f"a top · stdout · end\n{STEP}"
    assert cell.good("%resonate logs a.1") == STEP
    assert cell.good("%resonate logs a --last 2") == "… 4 earlier: `%resonate logs a --last 6`\n" + "".join(STEP.splitlines(True)[-2:])
    assert cell.good("%resonate logs a --level warning") == "".join(STEP.splitlines(True)[i] for i in (2, 4))
    assert cell.good("%resonate logs a --level error") == "a has logged nothing at that level. Without `--level` there are 6 lines.\n"
    assert cell.good("import resonate_notebook as rn\nrn.logs('a.1', last=1, level=20)").endswith(STEP.splitlines(True)[-1])


def test_lines_have_their_time_unless_output_is_to_be_stable(cell):
    begin(cell, "%resonate config stable=0")
    run(cell, "'top'")
    assert re.fullmatch(r"(\d\d:\d\d:\d\d · a\.1 step · .*\n){5}\d\d:\d\d:\d\d · a top · stdout · end\n", cell.good("%resonate logs a"))


def test_attempts_coroutines_and_their_threads_are_told_apart(cell):
    begin(cell)
    run(cell, "'retried'")
    assert cell.good("%resonate logs a") == (
        "a.1 flaky · stdout · try 1\n"
        "a.1 flaky · log warning · flaky(), attempt 1, failed and is called again in 0.001 s: ValueError: no rows\n"
        "a.1 flaky, attempt 2 · stdout · try 2\n"
    )
    run(cell, "'gather'", "b")
    assert cell.good("%resonate logs b") == (
        "b gather · stdout · after it\nb.1 fetch · stdout · coroutine\nb.1 fetch · stdout · its thread\n"
    )


def test_a_line_can_be_read_while_it_is_being_written(cell):
    begin(cell)
    cell.good("%resonate run a hold")
    when(lambda: cell.good("%resonate logs a") == "a hold · stdout · held\n")
    cell.good("gate.set()\n%resonate wait a")
    assert cell.good("%resonate logs a") == "a hold · stdout · held and let go\n"


def test_exported_files_have_the_lines(cell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begin(cell)
    run(cell, "'top'")
    cell.good("%resonate export a.json\n%resonate export a.html")
    calls = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["calls"]
    assert [[line["text"] for line in call["log"]][:2] for call in calls] == [["end"], ["out 1", "err 1"]]
    assert "<td>a.1 step</td><td>stderr</td><td>err 1</td>" in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_text_of_a_run_can_do_nothing_to_the_terminal(cell):
    begin(cell, "%%resonate register\ndef rude(ctx):\n    print('\\x1b[2J\\x1b[31mred\\x1b[0m \\u202eabc')")
    run(cell, "'rude'")
    assert cell.good("%resonate logs a") == "a rude · stdout · ␛[2Jred ⟨U+202E⟩abc\n"


def test_what_went_is_said(cell):
    begin(cell)
    run(cell, "'many', 700")
    lines = cell.good("%resonate logs a").splitlines()
    assert lines[:2] == [
        "… The last 500 lines of a call and 2,000 of a run are kept; 200 before them are gone.",
        "… 400 earlier: `%resonate logs a --last 500`",
    ]
    assert lines[2:] == [f"a many · stdout · line {number}" for number in range(600, 700)]


def test_where_nothing_is_kept_it_is_said_why(cell, tmp_path):
    begin(cell)
    run(cell, "'many', 0")
    assert cell.good("%resonate logs a") == "a has printed and logged nothing.\n"
    assert "No run nope. Runs here: a." in cell("%resonate logs nope")
    assert "There is no level `wrn`. Did you mean `warning`? Known: debug, info, " in cell("%resonate logs a --level wrn")
    assert "`last` is how many lines to show, 1 or more." in cell("%resonate logs a --last 0")
    cell.good(f"%resonate connect local --db '{tmp_path / 'runs.db'}' --durability fast")
    run(cell, "'many', 0", "b")
    assert cell.good("%resonate logs b") == (
        "b has printed and logged nothing in this kernel; what another process ran of it stands in that one's own terminal.\n"
    )


def test_on_a_server_there_are_the_lines_of_what_ran_here_and_of_nothing_else(cell, capsys):
    """A call that another worker has taken prints there; the run's calls in this kernel have their lines, with an `rpc` between too."""
    with DevelopmentServer(port=0) as server, Resonate.remote(host=server.url, group="elsewhere", log_level="CRITICAL") as worker:
        worker.register(lambda ctx: print("far away"), name="far")
        worker.start()
        begin(cell, f"%resonate connect remote {server.url}")
        cell.good("""%%resonate register
def near(ctx):
    print("near")
    yield ctx.run(step, 7)
def both(ctx):
    yield ctx.rpc("near")
    yield ctx.rpc("far").options(target="elsewhere")
""")  # fmt: skip
        capsys.readouterr()
        assert run(cell, "'both'") == "far away\n"  # the other worker is another client in this process, and its print is its own
        told = cell.good("%resonate logs a")
        assert told.startswith("a.1 near · stdout · near\na.1.1 step · stdout · out 7\n")
        assert "far" not in told
        assert cell.good("%resonate logs a.2") == (
            "a.2 has printed and logged nothing in this kernel; what another process ran of it stands in that one's own terminal.\n"
        )
        cell.good("%resonate connect local")


def test_a_server_that_goes_away_is_no_news_for_a_cell(cell, caplog):
    """The status line tells it to whoever asks; nothing is logged into whatever cell is running."""
    with DevelopmentServer(port=0) as server:
        begin(cell, f"%resonate connect remote {server.url}")
        session.current().client._shared.store._line.failed("it is gone", turn=False)
        assert [record.getMessage() for record in caplog.records if record.name.startswith("resonate")] == []
        cell.good("%resonate connect local")


def test_lines_go_with_their_run(cell, monkeypatch):
    monkeypatch.setattr(live, "FINISHED_RUNS_MAX", 2)
    begin(cell)
    for number in range(4):
        run(cell, "'many', 1", f"r{number}")
    cell.good("%resonate ps")
    lines = session.current().follower.lines
    assert (len(lines.of("r0")), len(lines.of("r3"))) == (0, 1)


# ---- what does not belong to a call is left alone ----------------------------------------------------------------------------------


def test_prints_of_cells_and_of_plain_threads_stay_where_python_puts_them(cell):
    begin(cell, "%%resonate register\ndef spawn(ctx):\n    t = threading.Thread(target=print, args=('plain',)); t.start(); t.join()")
    assert cell.good("print('mine')") == "mine\n"
    assert run(cell, "'spawn'") == "plain\n"
    assert cell.good("%resonate logs a") == "a has printed and logged nothing.\n"


def test_another_client_of_the_kernel_prints_where_it_always_did(cell, capsys):
    begin(cell)
    with Resonate(log_level="CRITICAL") as other:
        other.register(lambda ctx: print("other"), name="speak")
        other.run("o", "speak")
    assert capsys.readouterr().out == "other\n"


def test_with_output_in_cells_nothing_is_kept(cell, capsys):
    begin(cell, "%resonate config output=cell")
    assert run(cell, "'many', 2") == "line 0\nline 1\n"
    assert cell.good("%resonate logs a") == "Nothing of a is kept: with `output=cell` prints and logs go into cells.\n"
    assert cell.good("%resonate config output=node") == "render=auto · stable=1 · output=node\n"
    assert run(cell, "'many', 2", "b") == ""
    assert "`output` is one of node, cell." in cell("%resonate config output=nodes")


def test_files_of_loggers_are_written_and_only_the_streams_are_left_out(cell, capsys, tmp_path):
    before = logging.StreamHandler()  # holds the stream that was there before the extension
    begin(cell)
    buffer = io.StringIO()
    prints = logging.Handler()
    prints.emit = lambda record: print("printed", record.getMessage())
    handlers = [prints, before, logging.StreamHandler(sys.stdout), logging.StreamHandler(buffer), logging.FileHandler(tmp_path / "log.txt")]
    library = logging.getLogger("some.library")
    library.handlers[:], library.propagate = handlers, False
    try:
        assert run(cell, "'top'") == ""
        assert capsys.readouterr().err == ""
        assert ((tmp_path / "log.txt").read_text(), buffer.getvalue()) == ("careful 1\n", "careful 1\n")
        assert cell.good("library.warning('mine')") == "printed mine\nmine\n"
    finally:
        handlers[-1].close()
        library.handlers[:], library.propagate = [], True
    told = cell.good("%resonate logs a")
    assert ("some.library: careful 1" in told, "printed" in told) == (True, False)


def test_records_that_cannot_be_read_do_no_harm(cell, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    begin(cell, """%%resonate register
class Rude:
    def __str__(self): raise ValueError
    __repr__ = __str__
def log(ctx):
    library.warning("%d", "no number")
    library.warning(Rude())
    warnings.warn("x", stacklevel=1)
    try:
        raise KeyError("gone")
    except KeyError:
        library.exception("failed")
    return 1
""")  # fmt: skip
    run(cell, "'log'")
    told = cell.good("%resonate logs a").splitlines()
    assert told[:2] == ["a log · log warning · some.library: %d", "a log · log warning · some.library: <Rude without a text>"]
    assert told[3] == "a log · log error · some.library: failed"
    assert told[-1] == "a log · log error · KeyError: 'gone'"


# ---- who else changes the streams --------------------------------------------------------------------------------------------------


def test_a_cell_that_redirects_gets_its_own_prints_and_puts_ours_back(cell):
    begin(cell)
    before = sys.stdout
    cell.good("import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()) as buffer:\n    print('mine')")
    assert cell.shell.user_ns["buffer"].getvalue() == "mine\n"
    assert sys.stdout is before
    assert run(cell, "'many', 1") == ""


def test_a_step_that_captures_its_own_output_gets_it(cell):
    begin(cell, """%%resonate register
import contextlib, io
def capture(ctx):
    with contextlib.redirect_stdout(io.StringIO()) as buffer:
        print("mine")
    return buffer.getvalue()
""")  # fmt: skip
    run(cell, "'capture'")
    assert resonate_notebook.wait("a", 5) == "mine\n"


def test_unloading_puts_back_exactly_what_was_there(cell):
    def everything():
        return [sys.stdout, sys.stderr, logging.Logger.callHandlers, logging.StreamHandler.emit, warnings.showwarning]

    before, root = everything(), logging.root.handlers[:]
    begin(cell)
    assert [now is then for now, then in zip(everything(), before, strict=True)] == [False] * 5
    assert logging.root.handlers == root
    cell.good("%unload_ext resonate_notebook")
    assert [now is then for now, then in zip(everything(), before, strict=True)] == [True] * 5
    cell.good("%load_ext resonate_notebook")


def test_what_others_put_in_front_of_ours_is_not_undone_and_ours_hands_on():
    """A stream that somebody has put in place since stays; ours, when it comes back later, is the one that was there."""
    kept, handler = sys.stdout, logging.Logger.callHandlers
    below = sys.stdout = io.StringIO()
    try:
        output = Output(lambda context: None, os.path.basename)
        ours = sys.stdout
        assert (ours is not below, isinstance(ours, io.StringIO), type(ours)) == (True, True, Stream)
        with contextlib.redirect_stdout(io.StringIO()) as theirs:
            print("theirs")
            output.close()
            assert sys.stdout is theirs
        assert sys.stdout is ours
        print("late")
        assert (below.getvalue(), theirs.getvalue()) == ("late\n", "theirs\n")
    finally:
        sys.stdout = kept
    assert logging.Logger.callHandlers is handler


def test_the_stream_is_the_one_that_was_there_in_all_but_its_writing(cell, capsys):
    """Attributes are read from it and set on it; IPython sets `write` for the time of a cell."""
    begin(cell)
    below, ours = sys.stdout._below, sys.stdout
    assert (ours.encoding, ours.isatty(), ours.errors, ours.closed) == (below.encoding, below.isatty(), below.errors, below.closed)
    assert (repr(ours), dir(ours), ours.__class__) == (repr(below), dir(below), type(below))
    ours.extra = 1
    assert below.extra == 1
    del ours.extra
    assert not hasattr(below, "extra")
    said: list[str] = []
    ours.write = said.append
    print("x", end="")
    del ours.write
    assert "".join(said) == "x"
    ours.writelines(["a", "b\n"])
    assert capsys.readouterr().out == "ab\n"
    with pytest.raises(TypeError):
        ours.write(1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_of_a_step_prints_to_the_stream(cell):
    """Nobody could read what stands in a child's memory."""
    begin(cell, """%%resonate register
def forks(ctx):
    read, write = os.pipe()
    if os.fork() == 0:
        sys.stdout._below.write = lambda text: os.write(write, text.encode())
        print("child", flush=False)
        os._exit(0)
    os.close(write)
    os.wait()
    return os.read(read, 100).decode()
""")  # fmt: skip
    cell.good("import resonate_notebook as rn\nsaid = rn.run('a', 'forks').result(10)")
    assert cell.shell.user_ns["said"] == "child\n"


def test_a_print_costs_a_step_little(cell):
    """Ten thousand prints take well under a second."""
    begin(cell)
    began = time.process_time()
    run(cell, "'many', 10_000")
    assert time.process_time() - began < 1.5


# ---- while somebody waits ------------------------------------------------------------------------------------------------------------


def test_a_waiting_cell_shows_each_line_once_where_that_is_asked_for(cell):
    begin(cell)
    assert "stdout" not in cell.good("%resonate run a many 2\n%resonate wait a")
    shown = cell.good("%resonate run b hold\nthreading.Timer(0.2, gate.set).start()\n%resonate wait b --logs")
    assert shown.count("b hold · stdout · held and let go\n") == 1
    assert "stdout" not in cell.good("%resonate wait b --logs")
    cell.good("%resonate run c many 300")
    when(lambda: session.current().follower.lines.total("c") == 300)
    assert cell.good("%resonate wait c --logs").startswith("… 100 more: `%resonate logs c`\nc many · stdout · line 100\n")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_writes_the_lines_above_the_tree(cell, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", screen := Terminal())
        begin(cell, "%resonate run a hold")
        when(lambda: session.current().follower.lines.of("a"))
        screen.truncate(0)
        threading.Timer(0.3, cell.shell.user_ns["gate"].set).start()
        resonate_notebook.wait("a", 10)
        cell.good("%unload_ext resonate_notebook")
    frames = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).split("\x1b[J")
    assert len(frames) > 2
    assert not any("stdout" in frame for frame in frames[:2])  # the line was not whole yet
    assert [frame.startswith("a hold · stdout · held and let go\na  hold()") for frame in frames].count(True) == 1
