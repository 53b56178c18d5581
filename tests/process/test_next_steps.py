"""A person who does not know what to do next is told: what each verb says where a newcomer once stood still."""

from __future__ import annotations

import time

import pytest
from test_magics import cell, ipython  # noqa: F401 - the fixtures are found by name
from waiting import when

import resonate_notebook
from resonate.server import DevelopmentServer
from resonate_notebook import listing

LOOP = """%%resonate register
from resonate.retry_policies import Constant
def wobble(ctx, at):
    if at == 1:
        raise ValueError("no such file")
    return "old"
def loop(ctx, steps):
    got = []
    for at in range(steps):
        got.append((yield ctx.run(wobble, at).options(retry_policy=Constant(delay=DELAY))))
    return got
"""
MENDED = "%%resonate register\ndef wobble(ctx, at):\n    return 'new'"


def retried(cell, delay="60"):  # noqa: F811
    """A run whose second step fails for ever."""
    cell.good(LOOP.replace("DELAY", delay))
    cell.good("run = %resonate run mix.1 loop 3")
    when(lambda: "retrying" in cell.good("%resonate tree mix.1"))


# ---- a function was mended ---------------------------------------------------------------------------------------------------


def test_a_step_that_is_replaced_is_said_to_be_new_in_later_calls_and_only_the_runs_own_function_to_be_kept(cell):  # noqa: F811
    """A run keeps its own function; a step that it loops over is taken from the notebook at each call."""
    retried(cell)
    told = cell.good(MENDED)
    assert "Later calls in mix.1 take the new code." in told
    assert "keeps the code it started with" not in told
    both = cell.good("%%resonate register\ndef loop(ctx, steps):\n    yield 1\ndef wobble(ctx, at):\n    return 'newest'")
    assert "1 run going on keeps the code it started with: mix.1\nLater calls in mix.1 take the new code.\n" in both


def test_a_call_that_is_retried_is_said_to_keep_its_code_and_the_two_lines_that_are_told_finish_the_run(cell):  # noqa: F811
    """What registering says of a call that fails again and again is what a person can type, and it works."""
    retried(cell)
    told = cell.good(MENDED)
    advice = "`%resonate cancel mix.1`, then `%resonate retry mix.1` takes over what was done, with the code as it is now."
    assert f"mix.1.2 is retried with the code that it began with. {advice}" in told
    assert f"mix.1 goes on with the code that it began with. {advice}" in cell("%resonate retry mix.1")
    assert isinstance(cell.error, resonate_notebook.Mistake)
    cell.good("%resonate cancel mix.1")
    cell.good("again = %resonate retry mix.1")
    cell.good("again.result(10)")
    assert cell.value == ["old", "new", "new"]


def test_the_doctor_names_a_call_that_fails_again_and_again(cell):  # noqa: F811
    """Five failed attempts are a finding, with what to type; one is none."""
    retried(cell)
    assert "mix.1.2" not in cell.good("%resonate doctor")
    cell.good("%resonate cancel mix.1")
    cell.good(LOOP.replace("DELAY", "0.01"))
    cell.good("run = %resonate run mix.2 loop 3")
    when(lambda: resonate_notebook.attach("mix.2").nodes()[-1].attempt > 5)
    found = next(each for each in resonate_notebook.doctor() if each.about == "mix.2.2")
    assert found.state == "problem"
    assert "times: ValueError: no such file" in found.text
    assert "`%resonate cancel mix.2`" in found.mend


def test_ids_keep_their_case_in_every_message(cell):  # noqa: F811
    """An id at the beginning of a sentence is written as it is."""
    retried(cell)
    cell.good("%resonate cancel mix.1")
    assert "mix.1 has no step mix.1.99." in cell("%resonate retry mix.1 --from mix.1.99")
    assert "Mix" not in cell("%resonate retry mix.1 --id mix.1")


# ---- a kernel begins anew ----------------------------------------------------------------------------------------------------


def ended_runs(cell, connect):  # noqa: F811
    """Three runs of another kernel, one of which has failed, and a promise that is no run; then a new connection."""
    cell.good(connect)
    for at in range(3):
        cell(f"%resonate run e.{at} pipeline days={13 + at // 2}\n%resonate wait e.{at}")
    resonate_notebook.session.current().client.promises.create(id="alone", timeout=2**45)
    resonate_notebook.session.current().client.promises.resolve(id="alone", data="1")
    cell.good("%resonate stop")
    cell.good(connect)


def test_runs_that_had_ended_before_are_listed_and_counted(cell, tmp_path, monkeypatch):  # noqa: F811
    """A file that is connected again shows its latest runs, oldest first, and says how many there are beside."""
    ended_runs(cell, f"%resonate connect local --db {tmp_path}/runs.db")
    assert "0 runs going on, 3 finished" in cell.good("%resonate status")
    told = cell.good("%resonate ps").splitlines()
    assert [line.split()[:3] for line in told] == [["e.0", "pipeline", "resolved"], ["e.1", "pipeline", "resolved"], ["e.2", "pipeline", "rejected"]]
    assert told[2].endswith("ValueError: no rows")
    cell.good("%resonate run e.3 pipeline days=1")
    cell.good("%resonate wait e.3")
    monkeypatch.setattr(listing, "EARLIER_SHOWN", 1)
    told = cell.good("%resonate ps").splitlines()
    assert told[0] == "… 2 more that had ended before: `%resonate ps --all` lists them."
    assert [line.split()[0] for line in told[1:]] == ["e.2", "e.3"]
    assert [line.split()[0] for line in cell.good("%resonate ps --all").splitlines()] == ["e.0", "e.1", "e.2", "e.3"]
    assert "4 finished" in cell.good("%resonate status")


@pytest.mark.parametrize("protocol", ["legacy", "current"])
def test_runs_that_have_ended_on_a_server_are_listed_too(cell, protocol, monkeypatch):  # noqa: F811
    """Whoever connects to a server sees its latest runs; one that goes away is not waited for."""
    with DevelopmentServer(port=0) as server:
        ended_runs(cell, f"%resonate connect remote {server.url} --protocol {protocol}")
        assert [line.split()[0] for line in cell.good("%resonate ps").splitlines()] == ["e.0", "e.1", "e.2"]
        monkeypatch.setattr(listing, "EARLIER_SHOWN", 1)
        assert [line.split()[0] for line in cell.good("%resonate ps").splitlines()[1:]] == ["e.2"]
    began = time.monotonic()
    assert "What had ended before is not listed" in cell.good("%resonate ps") or "The server is slow" in cell.good("%resonate ps")
    assert time.monotonic() - began < 4
