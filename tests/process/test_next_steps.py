"""A person who does not know what to do next is told: what each verb says where a newcomer once stood still."""

from __future__ import annotations

import re
import sys
import textwrap
import time

import pytest
from test_magics import cell, ipython  # noqa: F401 - the fixtures are found by name
from waiting import when

import resonate_notebook
from resonate.server import DevelopmentServer
from resonate_notebook import actions, listing, magics, session

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
    session.current().client.promises.create(id="alone", timeout=2**45)
    session.current().client.promises.resolve(id="alone", data="1")
    cell.good("%resonate stop")
    cell.good(connect)


def test_a_run_that_is_known_by_its_record_alone_has_its_times_and_the_names_of_its_arguments(cell, tmp_path):  # noqa: F811
    """Its calls stand in the order in which they were made, whatever was written first."""
    connect = f"%resonate connect local --db {tmp_path}/runs.db"
    body = "    for at in range(11):\n        yield ctx.run(clean, at)\n        yield ctx.sleep(0.001)\n"
    cell.good(f"{connect}\n")
    cell.good(f"%%resonate register\ndef slow(ctx):\n{body}")
    cell.good("%resonate run s.1 slow\n%resonate wait s.1")
    cell.good(f"%resonate stop\n{connect}")
    rows = cell.good("%resonate table s.1").splitlines()[4:]
    assert [line.split()[0] for line in rows] == ["s.1", *(f"s.1.{at}" for at in range(1, 23))]
    assert "clean(day=10)" in rows[21]
    detail = actions.detail(session.current().follower, session.current().follower.follow("s.1"), "s.1.1")
    assert detail["began"] is not None


def test_runs_that_had_ended_before_are_listed_and_counted(cell, tmp_path, monkeypatch):  # noqa: F811
    """A file that is connected again shows its latest runs, oldest first, and says how many there are beside."""
    ended_runs(cell, f"%resonate connect local --db {tmp_path}/runs.db")
    assert "0 runs going on, 3 finished" in cell.good("%resonate status")
    told = cell.good("%resonate ps").splitlines()
    assert [line.split()[:3] for line in told] == [[f"e.{at}", "pipeline", "rejected" if at == 2 else "resolved"] for at in range(3)]
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
        more, *told = cell.good("%resonate ps").splitlines()
        assert more.startswith("… ")
        assert [line.split()[0] for line in told] == ["e.2"]
    began = time.monotonic()
    assert "What had ended before is not listed" in cell.good("%resonate ps") or "The server is slow" in cell.good("%resonate ps")
    assert time.monotonic() - began < 4


def test_what_waits_in_a_file_is_told_when_the_kernel_goes_elsewhere(cell, tmp_path):  # noqa: F811
    """Leaving a file names the runs that wait there for its next connection."""
    cell.good(f"%resonate connect local --db {tmp_path}/runs.db")
    cell.good("%resonate run w.1 ask\n%resonate run w.2 ask")
    assert "w.1 and w.2 wait in runs.db." in cell.good("%resonate connect local")


def test_a_server_that_has_ended_is_neither_found_nor_waited_for(cell):  # noqa: F811
    """Verbs say within two seconds that the server is away, and `connect dev` starts one in its place."""
    with DevelopmentServer(port=0) as server:
        port = server.url.rpartition(":")[2]
        assert "found there" in cell.good(f"%resonate connect dev --port {port}")
        cell.good("%resonate run d.1 ask")
        when(lambda: "waiting" in cell.good("%resonate ps"))
    for verb in ("resolve d.1.1 1", "get d.1.1", "cancel d.1"):
        began = time.monotonic()
        told = cell(f"%resonate {verb}")
        assert time.monotonic() - began < 2.5
        assert "cannot be asked" in told
        assert "[100." not in told
    assert "it does not answer just now" in cell.good("%resonate status")
    assert "started here" in cell.good(f"%resonate connect dev --port {port}")


# ---- what is deleted ---------------------------------------------------------------------------------------------------------


def test_what_would_be_deleted_is_told_first_and_what_is_deleted_is_not_listed_any_more(cell):  # noqa: F811
    """`prune --dry-run` changes nothing; a pruned run is unknown from then on."""
    for at in range(22):
        cell.good(f"%resonate run g.{at} pipeline days=1\n%resonate wait g.{at}")
    cell.good("%resonate run w.1 ask")
    told = cell.good("%resonate prune 0s --dry-run")
    assert told.startswith("would delete 22 runs: g.0, g.1, g.2")
    assert told.endswith("g.18 and 3 more · `%resonate prune 0s` does it\n")
    assert cell.good("%resonate ps").count("\n") == 23
    assert cell.good("%resonate prune 0s").startswith("deleted g.0, g.1")
    assert [line.split()[0] for line in cell.good("%resonate ps").splitlines()] == ["w.1"]
    assert "No run g.1." in cell("%resonate tree g.1")
    assert "[100" not in cell("%resonate wait g.1") + cell("%resonate get g.1") + cell("%resonate retry g.1")


# ---- what to do next ---------------------------------------------------------------------------------------------------------


def test_the_example_of_the_help_runs_as_it_stands(cell):  # noqa: F811
    """Whoever copies the cell that `%resonate?` shows has a durable function, and the run that is named beside it ends."""
    source = magics.EXAMPLE.strip("\n")
    assert source in cell.good("%resonate")
    assert max(map(len, source.splitlines())) <= 80
    cell.good(textwrap.dedent(source))
    cell.good("%resonate run demo.1 pipeline days=3")
    when(lambda: session.current().follower.find("demo.1.5"))
    cell.good("%resonate resolve demo.1.5 10")
    cell.good("%resonate wait demo.1")
    assert cell.value == 16
    assert "`%resonate?` has an example." in cell.good("%resonate register -h").replace("\n", " ")


def test_a_run_that_was_rejected_and_is_named_again_says_how_to_take_over_what_was_done(cell):  # noqa: F811
    """`retry` is named before `--new`, which does everything again."""
    cell.good("run = %resonate run ed.1 pipeline days=20")
    cell("%resonate wait ed.1")
    told = " ".join(cell.good("%resonate run ed.1 pipeline days=20").split())
    assert "`%resonate retry ed.1` takes over what was done and runs the rest; `--new` starts ed.1-2 from the beginning." in told


def test_a_call_of_what_is_no_function_says_which_and_what_to_write(cell):  # noqa: F811
    """The words of 0.6.7 stay, and the name is told beside them."""
    cell.good("%%resonate register\ndef bad(ctx):\n    yield ctx.run(len, [1])")
    cell.good("run = %resonate run b.1 bad")
    told = cell("%resonate wait b.1")
    assert "`len` is no plain function. Wrap it in a `def` that takes the context first" in told


@pytest.mark.parametrize(
    ("line", "carets", "told"),
    [
        ("run x.1 pipeline days=print", "days", "`days` is a `builtin_function_or_method`"),
        ("run x.1 pipeline [threading.Lock()]", "[threading.Lock()]", "Argument 1[0] is a `lock`"),
        ("run x.1 pipeline hello", "hello", "Plain text goes in quotes: 'hello'."),
        ("register len", "len", "`len` is no plain function, and only those can be registered. Wrap it in a `def`"),
        ("register lambda x: x", "lambda", "An expression with blanks goes in brackets: `(lambda x: x)`."),
        ("run x.1 clean 1 2 3", "2", "takes 1 argument after the context; 3 are given."),
    ],
)
def test_mistakes_point_at_their_word_and_say_what_to_write(cell, line, carets, told):  # noqa: F811
    """Nothing of the SDK's inside is shown of an argument that does not fit."""
    shown, marks, said = cell(f"%resonate {line}").split("\n", 2)
    assert "".join(shown[at] for at, mark in enumerate(marks) if mark == "^") == carets
    assert told in said
    assert "$." not in said
    assert "Return JSON" not in said


def test_an_rpc_says_which_group_was_asked_and_the_promise_shows_it(cell):  # noqa: F811
    """A function that is not known here may be known to a worker of that group; a wrong group is seen."""
    told = " ".join(cell.good("%resonate rpc d.4 etl9 --target reports").split())
    assert "d.4 was sent to group reports; `etl9` is not registered here, so a worker of that group must know it." in told
    assert "group       reports" in cell.good("print(repr(get_ipython().run_line_magic('resonate', 'get d.4')))")


def test_a_run_that_waited_for_a_person_before_the_kernel_began_anew_says_so(cell, tmp_path):  # noqa: F811
    """Nobody is at work on it, and it waits for no worker either."""
    connect = f"%resonate connect local --db {tmp_path}/runs.db"
    cell.good(connect)
    cell.good("%resonate run w.2 ask")
    when(lambda: "waiting" in cell.good("%resonate ps"))
    cell.good(f"%resonate stop\n{connect}")
    assert cell.good("%resonate ps").split()[2:5] == ["waiting", "for", "you"]
    told = cell.good("%resonate tree w.2")
    assert "free worker" not in told
    assert told.splitlines()[0].split()[2] == "◆"


def test_a_failure_is_told_where_the_function_stands_and_without_frames_of_the_sdk(cell):  # noqa: F811
    """A result that cannot be stored is found at the function that returned it."""
    cell.good("%%resonate register\nimport threading\ndef unstorable(ctx):\n    return threading.Lock()")
    cell.good("%resonate run u.1 unstorable")
    told = cell("%resonate wait u.1")
    assert re.search(r"u\.1 unstorable\(\) +cell \d+, line 3\n", told)
    shown = repr(resonate_notebook.get("u.1"))
    assert "traceback" in shown
    assert ".py" not in shown


def test_a_cell_that_is_no_python_is_shown_with_its_place_alone(cell):  # noqa: F811
    """No frame of whoever has read the cell stands between a person and their line."""
    told = cell("%%resonate register\ndef clean(ctx day):\n    pass")
    assert told.splitlines()[0] == "line 2, column 15: def clean(ctx day):"
    assert told.splitlines()[1].index("^") == told.index("day")
    assert "SyntaxError: " in told
    assert "ast.py" not in told


def test_a_terminal_breaks_no_word_and_shows_one_failure_once(cell, monkeypatch):  # noqa: F811
    """Help, answers and mistakes are wrapped to its width; the log above the tree does not repeat the tree's error."""
    monkeypatch.setenv("COLUMNS", "64")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    for line in ("", "register -h", "status", "run x.1 pipelin", "doctor"):
        shown = cell(f"%resonate {line}")
        words = [row for row in shown.splitlines() if not row.startswith("    ") and "^" not in row]
        assert max(map(len, words)) <= 64
        assert not any(re.fullmatch(r"\W?", row.strip()) for row in words if row)
    cell("run = %resonate run f.1 pipeline days=20\n%resonate wait f.1")
    assert "failed for good" not in cell("%resonate wait f.1")
    assert "failed for good" in cell.good("%resonate logs f.1")
    assert max(map(len, cell.good("%resonate tree f.1").splitlines())) <= 63
