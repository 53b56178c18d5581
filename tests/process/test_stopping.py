"""`%resonate stop`, `ps` and `status`: what is going on, and how it is left in good order."""

from __future__ import annotations

import threading
import time

import pytest
from test_magics import cell, ipython, until, wait_for_question  # noqa: F401 - the fixtures are found by name

import resonate_notebook
from resonate_notebook import session

STRANGERS: set[threading.Thread] = set()
"""Threads that were there before the test."""


@pytest.fixture(autouse=True)
def _strangers() -> None:
    STRANGERS.clear()
    STRANGERS.update(threading.enumerate())


def ours() -> list[str]:
    return [each.name for each in threading.enumerate() if each not in STRANGERS and each.name.startswith("resonate")]


def test_stopping_in_memory_says_what_is_gone_and_leaves_no_thread(cell):  # noqa: F811
    cell.good("%resonate run done pipeline\n%resonate wait done\nrun = %resonate run demo.1 ask")
    wait_for_question(cell, "demo.1")
    began = time.monotonic()
    assert cell.good("%resonate stop") == (
        "stopped · demo.1 is gone, with all that was in memory\n`%resonate connect local` connects again.\n"
    )
    assert time.monotonic() - began < 2
    until(lambda: not ours())
    assert "◆ promise(ask='ok?')" in cell.good("run")  # its last picture
    assert not ours()


@pytest.mark.parametrize("line", ["ps", "status", "run x pipeline", "register pipeline", "functions", "stop", "attach done", "get done"])
def test_a_verb_after_a_stop_says_how_to_connect_again(cell, line):  # noqa: F811
    cell.good("%resonate stop")
    told = "This kernel is not connected any more: it was stopped. `%resonate connect local` connects it again.\n"
    assert cell(f"%resonate {line}") == told
    assert isinstance(cell.error, resonate_notebook.Mistake)
    cell.shell.complete(None, "%resonate run x pi")
    assert not ours()


def test_runs_in_a_file_wait_there_and_go_on_when_it_is_connected_again(cell, tmp_path):  # noqa: F811
    """Functions stay registered, so a run goes on as soon as its file is connected again."""
    cell.good(f"%resonate connect local --db {tmp_path}/runs.db\n%resonate run demo.1 ask")
    wait_for_question(cell, "demo.1")
    out = cell.good("%resonate stop")
    assert out == f"stopped · demo.1 waits in runs.db\n`%resonate connect local --db {tmp_path}/runs.db` connects again.\n"
    assert "1 run going on" in cell.good(out.split("`")[1])
    cell.good("%resonate resolve demo.1.1 7\nrun = %resonate attach demo.1\nrun.result(5)")
    assert cell.value == 7


def test_a_stop_may_cancel_first(cell, tmp_path):  # noqa: F811
    cell.good(f"%resonate connect local --db {tmp_path}/runs.db\n%resonate run demo.1 ask\n%resonate run demo.2 ask")
    wait_for_question(cell, "demo.2")
    assert cell.good("%resonate stop --cancel").startswith("stopped · demo.1 and demo.2 cancelled\n")
    cell.good(f"%resonate connect local --db {tmp_path}/runs.db")
    assert resonate_notebook.get("demo.1").state == "cancelled"


def test_stopping_takes_less_than_two_seconds_when_the_server_is_gone(cell):  # noqa: F811
    """Cancelling is asked for and not waited for beyond half a second; what was not cancelled is told."""
    from resonate.server import DevelopmentServer

    with DevelopmentServer(port=0) as server:
        cell.good(f"%resonate connect remote {server.url}\n%resonate run far.1 ask")
        wait_for_question(cell, "far.1")
    began = time.monotonic()
    told = cell.good("%resonate stop --cancel")
    assert time.monotonic() - began < 2
    assert told.startswith("stopped · far.1 not cancelled, for want of an answer · far.1 goes on with other workers\n")


def test_runs_on_a_server_go_on_with_others_or_end_with_the_server_that_was_started_here(cell):  # noqa: F811
    from resonate.server import DevelopmentServer

    with DevelopmentServer(port=0) as server:
        cell.good(f"%resonate connect remote {server.url}\n%resonate run far.1 ask")
        wait_for_question(cell, "far.1")
        told = resonate_notebook.stop()
        assert told == f"stopped · far.1 goes on with other workers\n`%resonate connect remote {server.url}` connects again."
    cell.good("%resonate connect dev --port 0\n%resonate run own.1 ask")
    wait_for_question(cell, "own.1")
    assert "own.1 is gone, with all that was in memory" in cell.good("%resonate stop")


def test_a_run_that_waits_for_a_function_says_for_which(cell, tmp_path):  # noqa: F811
    cell.good(f"%resonate connect local --db {tmp_path}/runs.db\n%resonate run demo.1 ask")
    wait_for_question(cell, "demo.1")
    cell.good("%resonate resolve demo.1.1 1\n%resonate run demo.2 ask")
    wait_for_question(cell, "demo.2")
    cell.good("%unload_ext resonate_notebook\n%load_ext resonate_notebook")
    told = cell.good(f"%resonate connect local --db {tmp_path}/runs.db\n%resonate resolve demo.2.1 1")
    assert told.endswith("demo.2.1 resolved · demo.2 goes on once `ask` is registered\n")
    until(lambda: "waits for `ask` to be registered" in cell.good("%resonate ps"))
    assert "1 run going on, 1 waits for `ask`, " in cell.good("%resonate status")


def test_a_sleeping_run_says_until_when(cell):  # noqa: F811
    cell.good("%%resonate register\ndef nap(ctx):\n    yield ctx.sleep(3_600)")
    cell.good("%resonate run demo.1 nap")
    until(lambda: "sleeping" in cell.good("%resonate ps"))
    at = time.localtime(session.current().follower.runs["demo.1"].model.nodes[1].due_at)
    assert f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} · 0/2" in cell.good("%resonate ps")
