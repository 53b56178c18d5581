"""The verbs that look at a run (show, timeline, table, get) and the `Run` for people who prefer Python, in a real IPython shell."""

from __future__ import annotations

import builtins
import datetime
import re
import sys

import pytest
from test_magics import cell, ipython, wait_for_question  # noqa: F401 - the fixtures are found by name
from waiting import when

import resonate_notebook
from resonate import Resonate
from resonate_notebook import session


def failed(cell):  # noqa: F811
    cell.good("run = %resonate run demo.0 pipeline days=20")
    cell("%resonate wait demo.0")


# ---- timeline, table, show -----------------------------------------------------------------------------------------------------


def test_a_timeline_and_a_table_are_printed_by_the_magic_and_returned_by_the_twin(cell):  # noqa: F811
    failed(cell)
    assert "━ has calls of its own" in cell.good("%resonate timeline demo.0")
    shown = cell.good("%resonate table demo.0 --state failed --sort name")
    assert [line.split()[0] for line in shown.splitlines()[-2:]] == ["demo.0.14", "demo.0"]
    assert "ValueError: no rows" in shown
    told = resonate_notebook.table("demo.0", sort="time", limit=3)
    assert told.endswith("… 12 more calls. `--limit 15` shows all.")
    assert "more calls" not in cell.good("%resonate table demo.0 --limit 15")
    assert resonate_notebook.timeline("demo.0").startswith("demo.0  pipeline(days=20)")


def test_stable_output_has_no_timeline_and_says_what_there_is_instead(cell):  # noqa: F811
    failed(cell)
    cell.good("%resonate config stable=1")
    assert cell.good("%resonate timeline demo.0") == (
        "Stable output has no times, so demo.0 has no timeline here. `%resonate tree demo.0` shows its calls.\n"
    )
    assert "took" not in cell.good("%resonate table demo.0")
    assert "created" not in repr(resonate_notebook.get("demo.0.1"))
    assert cell.good("%resonate show demo.0 --view timeline") == cell.good("%resonate tree demo.0")


@pytest.mark.parametrize(("view", "mark"), [("graph", "✗ clean ×14"), ("table", "tries"), ("timeline", "█")])
def test_a_run_is_shown_again_in_the_view_that_was_asked_for(cell, view, mark):  # noqa: F811
    failed(cell)
    assert mark in cell.good(f"%resonate show demo.0 --view {view}")
    assert mark in cell.good(f"import resonate_notebook as rn\nrn.show(run, '{view}')")
    assert mark in cell.good(f"rn.show('demo.0', view='{view}')")
    assert cell.value is None


def test_a_handle_of_another_client_is_shown_too_and_can_be_waited_for(cell):  # noqa: F811
    """A client that a cell has made by itself is watched by a session of its own; the kernel's knows nothing of it."""
    source = "from resonate import Resonate\nimport resonate_notebook as rn\nother = Resonate.local()\n"
    cell.good(source + "other.register(pipeline)\nother.register(ask)\nhandle = other.begin_run('o.1', pipeline, 2)")
    shown = cell.good("rn.show(handle, wait=True)")
    assert "o.1  pipeline(days=2)  ✓ resolved" in shown
    assert cell.good("%resonate ps").startswith("No run has been started here.")
    assert cell.good("rn.show(handle)") in shown
    assert len(session._watching) == 1
    cell.good("waiting = other.begin_run('o.3', ask)")
    cell.good("%unload_ext resonate_notebook")
    assert not session._watching
    assert not cell.shell.user_ns["waiting"].done()  # its client goes on
    cell.good("%load_ext resonate_notebook\nother.stop()")


@pytest.mark.parametrize(
    ("line", "carets", "told"),
    [
        ("show demo.0 --view tabl", "tabl", "`view` is one of graph, tree, timeline, table. Did you mean `table`?"),
        ("show demo.0.1", "demo.0.1", "demo.0.1 is a step of demo.0. `%resonate show demo.0` shows the run."),
        ("show demo.9", "demo.9", "No run demo.9. Did you mean `demo.0`?"),
        ("show", None, "`show` needs a run's id: `%resonate show ID [--view graph|tree|timeline|table]`"),
        ("table demo.0 --state faild", "faild", "Did you mean `failed`?"),
        ("table demo.0 --sort tme", "tme", "`sort` is one of call, time, state, attempts, name. Did you mean `time`?"),
        ("table demo.0 --limit many", "many", "`many` cannot be evaluated"),
        ("table demo.0 --limit -1", "-1", "`limit` is 0 (all rows) or more."),
        ("timeline demo.0.1", "demo.0.1", "demo.0.1 is a step of demo.0. `%resonate timeline demo.0` shows the run."),
        ("get demo.0.99", "demo.0.99", "No promise demo.0.99. Did you mean `demo.0.9`?"),
        ("get", None, "`get` needs a promise's id: `%resonate get ID`"),
    ],
)
def test_mistakes_point_at_their_word(cell, line, carets, told):  # noqa: F811
    failed(cell)
    out = cell(f"%resonate {line}")
    assert isinstance(cell.error, resonate_notebook.Mistake)
    assert told in out
    if carets:
        shown, marks = out.split("\n")[:2]
        assert "".join(shown[at] for at, mark in enumerate(marks) if mark == "^") == carets


def test_a_run_that_goes_on_before_it_is_looked_at_is_shown_with_what_lies_below_its_ended_calls(cell, tmp_path, monkeypatch):  # noqa: F811
    """A run taken up again tells of the calls that it makes, and not of those that a call made which has ended."""
    connect = f"%resonate connect local --db {tmp_path}/runs.db"
    inner = "def inner(ctx):\n    yield ctx.run(clean, 1)\n"
    outer = "def outer(ctx):\n    yield ctx.run(inner)\n    yield ctx.run(clean, 13).options(retry_policy=Constant(delay=60))"
    cell.good(connect)
    cell.good(f"%%resonate register\n{inner}{outer}")
    cell.good("run = %resonate run demo.9 outer")
    when(lambda: "retrying" in cell.good("%resonate tree demo.9"))
    start = Resonate.start

    def start_and_be_at_work(client: Resonate) -> None:
        facts = client.subscribe()
        start(client)
        when(lambda: facts.read(timeout_s=0))

    cell.good("%resonate connect local")
    monkeypatch.setattr(Resonate, "start", start_and_be_at_work)
    cell.good(connect)
    assert {node.id for node in resonate_notebook.attach("demo.9").nodes()} == {"demo.9", "demo.9.1", "demo.9.1.1", "demo.9.2"}


# ---- get -----------------------------------------------------------------------------------------------------------------------


def test_a_failed_call_is_looked_at_with_its_error_and_traceback(cell):  # noqa: F811
    failed(cell)
    number = cell.shell.execution_count
    shown = cell.good("promise = %resonate get demo.0.14\npromise")
    head = "demo.0.14  clean(day=13)  ✗ rejected after 2 attempts\n    error       ValueError: no rows\n"
    assert shown.startswith(f"Out[{number}]: \n{head}")
    promise = cell.value
    assert (promise.state, promise.error, promise.attempts) == ("rejected", "ValueError: no rows", 2)
    assert isinstance(promise.exception, ValueError)
    assert 'raise ValueError("no rows")' in promise.traceback
    assert (promise.arguments, promise.parent, promise.value) == ({"day": "13"}, "demo.0", None)
    assert promise.created <= promise.began <= promise.ended < promise.deadline
    assert promise.created.tzinfo is not None


def test_a_traceback_names_cells_by_number_and_in_stable_output_not_at_all(cell):  # noqa: F811
    """A file of the kernel says nothing to a person, and is another one in each kernel."""
    failed(cell)
    assert re.search(r"^  cell \d+, line \d+, in clean$", resonate_notebook.get("demo.0.14").traceback, re.MULTILINE)
    follower = session.current().follower
    assert "\n  cell " in follower._detail(follower, follower.runs["demo.0"], "demo.0.14")["traceback"]
    cell.good("%resonate config stable=1")
    shown = repr(resonate_notebook.get("demo.0.14"))
    assert "          cell, line " in shown
    assert "ipython" not in shown


def test_a_waiting_promise_says_who_waits_and_how_it_is_answered(cell):  # noqa: F811
    cell.good("%resonate run demo.1 ask")
    wait_for_question(cell, "demo.1")
    shown = repr(resonate_notebook.get("demo.1.1"))
    assert "◆ waiting for you" in shown
    assert "made by     demo.1 ask, which waits for it" in shown
    assert "answer      %resonate resolve demo.1.1 VALUE" in shown
    above = resonate_notebook.get("demo.1")
    assert (above.state, above.waits_for) == ("waiting", ("demo.1.1",))
    cell.good("%resonate resolve demo.1.1 [1, 2]\n%resonate wait demo.1")
    assert resonate_notebook.get("demo.1.1").value == [1, 2]
    assert "value       [1, 2]" in repr(resonate_notebook.get("demo.1.1"))


def test_a_promise_of_its_own_and_one_of_a_run_that_is_not_followed_are_found(cell):  # noqa: F811
    cell.good("%resonate run demo.1 pipeline days=2\n%resonate wait demo.1")
    client = session.current().client
    client.promises.create("alone", timeout=2**45, tags={"colour": "red"})
    alone = resonate_notebook.get("alone")
    assert (alone.state, alone.tags, alone.parent) == ("pending", {"colour": "red"}, None)
    assert "tag         colour = red" in repr(alone)
    session.current().follower.runs.clear()
    assert resonate_notebook.get("demo.1.2").name == "clean"


def test_foreign_text_in_a_promise_cannot_drive_the_terminal(cell):  # noqa: F811
    cell.good(r"evil = 'a\x1b]0;owned\x07\x1b[2J'" + "\nimport resonate_notebook as rn\nrn.run(evil, clean, day=evil).result(5)")
    assert "\x1b" not in repr(resonate_notebook.get(cell.shell.user_ns["evil"]))


# ---- the Run in Python ---------------------------------------------------------------------------------------------------------


def test_a_run_is_looked_into_by_id(cell):  # noqa: F811
    failed(cell)
    run = cell.shell.user_ns["run"]
    assert (run["demo.0.14"].error, run["demo.0.14"].state) == ("ValueError: no rows", "rejected")
    assert (run["demo.0.4"].value, run["demo.0.4"].error) == (3, "")
    assert [node.id for node in run.nodes()][:3] == ["demo.0", "demo.0.1", "demo.0.2"]
    with pytest.raises(KeyError):
        run["demo.0.99"]


def test_a_run_as_a_table_of_pandas_has_times_with_a_zone(cell):  # noqa: F811
    pandas = pytest.importorskip("pandas")
    failed(cell)
    cell.good("%resonate run demo.1 ask")
    wait_for_question(cell, "demo.1")
    frame = cell.shell.user_ns["run"].to_frame()
    columns = "parent name kind state arguments attempts created began ended took_s error"
    assert list(frame.columns) == columns.split()
    assert list(frame.query("state == 'rejected'").index) == ["demo.0", "demo.0.14"]
    assert frame.loc["demo.0.14", "arguments"] == "day=13"
    assert all(isinstance(frame[name].dtype, pandas.DatetimeTZDtype) for name in ("created", "began", "ended"))
    created = frame["created"].iloc[0].round("ms").to_pydatetime()
    assert abs(datetime.datetime.now(datetime.UTC) - created) < datetime.timedelta(minutes=1)
    assert frame["took_s"].dtype == float
    pending = resonate_notebook.attach("demo.1").to_frame()
    assert pending["ended"].isna().all()


def test_without_pandas_one_sentence_names_the_package(cell, monkeypatch):  # noqa: F811
    failed(cell)
    real = builtins.__import__

    def without(name, *arguments, **more):
        if name.split(".")[0] == "pandas":
            raise ImportError("no pandas")
        return real(name, *arguments, **more)

    monkeypatch.delitem(sys.modules, "pandas", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"^`to_frame` needs the package `pandas`: `%pip install pandas` installs it\.$"):
        cell.shell.user_ns["run"].to_frame()


# ---- completion ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "expected", "absent"),
    [
        ("%resonate sho", {"show"}, set()),
        ("%resonate show ", {"demo.1", "demo.2"}, set()),
        ("%resonate show demo.1 ", {"--view"}, set()),
        ("%resonate show demo.1 --view t", {"tree", "timeline", "table"}, {"graph"}),
        ("%resonate timeline demo.", {"demo.1", "demo.2"}, {"demo.1.1"}),
        ("%resonate table demo.1 --state f", {"failed"}, {"open"}),
        ("%resonate table demo.1 --sort ", {"time", "call"}, set()),
        ("x = %resonate get demo.1.", {"demo.1.1", "demo.1.3"}, {"demo.2.1"}),
        ("%resonate schedule x '@daily' pi", {"pipeline"}, {"clean"}),
        ("%resonate schedule x '@daily' pipeline d", {"days="}, set()),
        ("%resonate stop --c", {"--cancel"}, set()),
        ("%%resonate ru", {"run"}, {"register"}),
        ("%%resonate run demo.3 --n", {"--new"}, set()),
        ("%resonate wait demo.1 --until w", {"waiting"}, set()),
        ("%resonate connect local --durability f", {"full", "fast"}, set()),
        ("%resonate config render=h", {"html"}, set()),
    ],
)
def test_tab_completes_words_and_the_values_of_options(cell, typed, expected, absent):  # noqa: F811
    cell.good("%resonate run demo.1 pipeline\n%resonate wait demo.1\n%resonate run demo.2 ask")
    wait_for_question(cell, "demo.2")
    _, matches = cell.shell.complete(None, typed)
    assert expected <= set(matches)
    assert not absent & set(matches)
