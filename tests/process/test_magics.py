"""What is said and done in a real IPython shell without a kernel."""

from __future__ import annotations

import inspect
import io
import json
import os
import signal
import sys
import threading
import time

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
from waiting import when

import resonate_notebook
from resonate_notebook import actions, live, magics, runs, session, widget

FUNCTIONS = """%%resonate register
import threading
from resonate.retry_policies import Constant
gate = threading.Event()
def clean(ctx, day):
    if day == 13:
        raise ValueError("no rows")
    return day
def hold(ctx):
    gate.wait(10)
    return "held"
def pipeline(ctx, days=3):
    total = 0
    for day in range(days):
        total += yield ctx.run(clean, day).options(retry_policy=Constant(delay=0.01, max_retries=1))
    return total
def ask(ctx):
    promise = yield ctx.promise(data={"ask": "ok?"})
    answer = yield promise
    return answer
def holding(ctx):
    yield ctx.run(clean, 1)
    return (yield ctx.run(hold))
"""


class Shell:
    """A shell whose cells answer what they printed; a failing cell answers what it showed, and `error` has its exception."""

    def __init__(self, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
        self.shell, self.capsys = shell, capsys
        self.error: BaseException | None = None
        self.value: object = None

    def __call__(self, code: str) -> str:
        self.capsys.readouterr()
        result = self.shell.run_cell(code, store_history=True)
        self.error, self.value = result.error_in_exec or result.error_before_exec, result.result
        return self.capsys.readouterr().out

    def good(self, code: str) -> str:
        out = self(code)
        assert self.error is None, out
        return out


@pytest.fixture(scope="module")
def ipython():
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    yield InteractiveShell.instance(config=config)
    InteractiveShell.clear_instance()


@pytest.fixture
def cell(ipython, capsys):
    before = set(ipython.user_ns)
    shell = Shell(ipython, capsys)
    shell.good("%load_ext resonate_notebook")
    shell.good(FUNCTIONS)
    yield shell
    gate = ipython.user_ns.get("gate")
    if gate is not None:
        gate.set()
    shell.good("%unload_ext resonate_notebook")
    for name in set(ipython.user_ns) - before:
        del ipython.user_ns[name]


def until(condition, limit_s=5.0):
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_for_question(cell, run_id):
    until(lambda: f"{run_id}.1 waiting" in cell("%resonate tree " + run_id) or f"for you: {run_id}.1" in cell("%resonate ps"))


# ---- help ----------------------------------------------------------------------------------------------------------------------


def test_loading_tells_where_the_kernel_is_connected(cell):
    cell.good("%unload_ext resonate_notebook")
    assert cell.good("%load_ext resonate_notebook") == (
        "resonate · in memory (gone when the kernel stops) · 0 functions · %resonate? lists the verbs\n"
    )


def test_the_bare_magic_and_its_docstring_list_every_verb(cell):
    shown = cell.good("%resonate")
    for verb in magics.VERBS:
        assert f"  {verb} " in shown
    assert cell.shell.find_line_magic("resonate").__doc__ == shown.rstrip("\n") == magics.overview()


@pytest.mark.parametrize("verb", magics.VERBS)
def test_each_verb_is_a_python_function_and_shares_its_help(cell, verb):
    assert verb in resonate_notebook.__all__
    twin = getattr(resonate_notebook, verb)
    assert twin is magics.VERBS[verb].twin
    shown = cell.good(f"%resonate {verb} -h")
    assert shown == cell.good(f"%resonate help {verb}")
    assert shown.startswith(f"%resonate {verb}")
    assert inspect.getdoc(twin).split("\n")[0] in shown
    assert f"resonate_notebook.{verb}(" in shown


def test_all_names_exist():
    assert sorted(resonate_notebook.__all__) == resonate_notebook.__all__
    assert all(hasattr(resonate_notebook, name) for name in resonate_notebook.__all__)


# ---- registering ---------------------------------------------------------------------------------------------------------------


def test_a_cell_registers_its_functions_and_says_what_a_second_time_changes(cell):
    assert cell.good("%%resonate register\ndef one(ctx, x=1):\n    return x\ndef two(ctx): ...") == "registered one, two\n"
    assert cell.good("%%resonate register\ndef one(ctx, x=1):\n    return x + 1  # now\ndef two(ctx): ...") == (
        "replaced one (body changed) · two unchanged\n"
    )
    assert cell.good("%%resonate register\ndef one(ctx, x=2):\n    return x + 1") == "replaced one (defaults changed)\n"
    assert cell.good("%%resonate register\ndef one(ctx, y):\n    return y + 1") == "replaced one (parameters changed)\n"
    cell.good("%resonate run new one y=1\n%resonate wait new")
    assert cell.value == 2


def test_functions_are_listed_with_the_cell_they_come_from(cell):
    number = cell.shell.execution_count - 1
    shown = cell.good("%resonate functions")
    assert f"pipeline  (ctx, days=3)  v1  cell {number}  generator\n" in shown
    assert f"clean     (ctx, day)     v1  cell {number}\n" in shown


def test_a_run_that_goes_on_is_named_when_its_code_is_replaced(cell):
    cell.good("%resonate run demo.1 holding")
    until(lambda: "hold()" in cell("%resonate tree demo.1"))
    told = cell.good("%%resonate register\ndef holding(ctx):\n    return 1\ndef clean(ctx, day):\n    return -day")
    assert told == (
        "replaced holding (body changed), clean (body changed)\n1 run going on keeps the code it started with: demo.1\n"
        "Later calls in demo.1 take the new code.\n"
    )
    assert cell.good("%%resonate register\ndef clean(ctx, day):\n    return 5").endswith("Later calls in demo.1 take the new code.\n")
    cell.good("gate.set()")
    cell.good("%resonate wait demo.1")
    assert cell.value == "held"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (
            "x = 1",
            "Nothing to register: this cell defines no function. Functions take `ctx` first, for example `def clean(ctx, day): ...`",
        ),
        (
            "x = 1\ndef other(day): ...",
            "other is not registered: its first parameter must be the context. Write `def other(ctx, day): ...`",
        ),
        (
            "x = 1\ndef step(day): ...\ndef flow(ctx):\n    yield ctx.run(step, 1)",
            "step is not registered: its first parameter must be the context. Write `def step(ctx, day): ...`",
        ),
    ],
)
def test_a_cell_that_cannot_be_registered_is_not_run(cell, source, told):
    assert cell(f"%%resonate register\n{source}") == told + "\n"
    assert isinstance(cell.error, resonate_notebook.Mistake)
    assert "x" not in cell.shell.user_ns


def test_a_helper_without_context_may_stand_beside_durable_functions(cell):
    told = cell.good("%%resonate register\ndef helper(x):\n    return x * 2\ndef uses(ctx, x):\n    return helper(x)")
    assert told == "registered uses\n"
    cell.good("%resonate run h uses 21\n%resonate wait h")
    assert cell.value == 42


def test_names_versions_annotations_and_decorators_are_understood(cell):
    told = cell.good(
        "%%resonate register\nimport functools\nfrom resonate import Context\n"
        "def typed(c: Context, n: int): return n\n@functools.wraps(typed)\ndef wrapped(ctx, n): return n"
    )
    assert told == "registered typed, wrapped\n"
    cell.good("def plain(ctx):\n    return 'plain'\ndef later(ctx):\n    return 'later'")
    assert cell.good("%resonate register plain --name x") == "registered x\n"
    assert cell.good("%resonate register later --name x --version 2") == "registered x v2\n"
    cell.good("%resonate run a x\n%resonate wait a")
    assert cell.value == "later"
    cell.good("%resonate run b x --version 1\n%resonate wait b")
    assert cell.value == "plain"


def test_a_cell_that_fails_shows_its_own_error_and_registers_nothing(cell):
    out = cell("%%resonate register\ndef broken(ctx): ...\n1/0")
    assert isinstance(cell.error, ZeroDivisionError)
    assert "line 3" in out
    assert "broken" not in cell.good("%resonate functions")


# ---- launching and waiting -----------------------------------------------------------------------------------------------------


def test_a_run_is_launched_followed_and_looked_into(cell):
    assert cell.good("days = [1, 2]\nrun = %resonate run demo.1 pipeline days=len(days)") == (
        "demo.1 started. `%resonate wait demo.1` follows it.\n"
    )
    cell.good("run.result(timeout=5)")
    assert cell.value == 1
    cell.good("await run")
    assert cell.value == 1
    assert cell.good("run.done(), run.id, [node.id for node in run.nodes()], run['demo.1.2'].state") is not None
    assert cell.value == (True, "demo.1", ["demo.1", "demo.1.1", "demo.1.2"], "resolved")
    assert "✓ pipeline(days=2)" in cell.good("%resonate wait demo.1")
    assert cell.value == 1
    assert "✓ clean(day=1)" in cell.good("run")
    assert "✓ clean(day=0)" in cell.good("%resonate tree demo.1")
    cell("run['demo.1.9']")
    assert isinstance(cell.error, KeyError)


def test_the_python_twins_do_what_the_magics_do(cell):
    cell.good("import resonate_notebook as rn\nrn.connect('local'); rn.register(pipeline)")
    cell.good("run = rn.run('t', pipeline, days=4)\nrn.wait('t', 5)")
    assert cell.value == 6
    assert "days=4" in cell.good("rn.tree('t')")
    assert cell.good("rn.ps()").split("t  ")[0] == f"Out[{cell.shell.execution_count - 1}]: "


def test_the_same_call_under_the_same_id_is_the_same_run(cell):
    cell.good("%resonate config stable=1\n%resonate run demo.1 pipeline days=3\n%resonate wait demo.1")
    told = cell.good("again = %resonate run demo.1 pipeline 3")
    assert told == "demo.1 finished: resolved, 3. Nothing was run again. `--new` starts demo.1-2.\n"
    cell.good("again = %resonate run demo.1 pipeline days=2 --new")
    assert cell.shell.user_ns["again"].id == "demo.1-2"
    assert cell("%resonate run demo.1 pipeline days=7").endswith(
        "demo.1 exists with other arguments (days=3). Nothing was run. Use another id, or `--new`.\n"
    )
    told = "demo.1 exists: it is a run of `pipeline`. Nothing was run. Use another id, or `--new`.\n"
    assert cell("%resonate run demo.1 ask").endswith(told)
    assert cell("%resonate run demo.1.1 ask").count("^") == len("demo.1.1")
    cell.good("%resonate run q ask")
    assert cell.good("q = %resonate run q ask") == "q is going on already. Nothing was started twice.\n"


MODULE = """
def step(ctx, number):
    return ["old", number]

def autoloaded(ctx):
    first = yield ctx.run(step, 1)
    yield (yield ctx.promise())
    return [first, (yield ctx.run(step, 2))]
"""


def test_a_run_keeps_its_code_when_autoreload_changes_it_and_its_id_says_so(cell, tmp_path, monkeypatch):
    """A module is edited while its run waits: the run ends as it began, its id says that the code has changed, a new id takes it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "edited_while_running.py"
    module.write_text(MODULE)
    cell.good("%load_ext autoreload\n%autoreload 2\nimport edited_while_running as edited\n%resonate register edited.autoloaded")
    cell.good("run = %resonate run kept autoloaded\n%resonate wait kept --until waiting")
    module.write_text(MODULE.replace("return [first", "return ['new', first"))
    os.utime(module, (2e9, 2e9))  # a clock that counts seconds would not see the edit
    since = "`autoloaded` has changed since. `--new` starts kept-2.\n"
    told = cell.good("again = %resonate run kept autoloaded")
    assert told.startswith(f"kept is going on already, with the code that it began with. {since}")
    cell.good("%resonate resolve kept.2\nrun.result(10)")
    assert cell.value == [["old", 1], ["old", 2]]
    assert cell.good("again = %resonate run kept autoloaded").startswith("kept finished")
    assert f"Nothing was run again. {since}" in cell.good("again = %resonate run kept autoloaded")
    cell.good("run = %resonate run kept autoloaded --new\n%resonate wait kept-2 --until waiting")
    cell.good("%resonate resolve kept-2.2\nrun.result(10)")
    assert cell.value == ["new", ["old", 1], ["old", 2]]
    cell.good("%autoreload 0")



@pytest.mark.parametrize(
    ("line", "carets", "told"),
    [
        ("run demo.1 pipline days=31", "pipline", "No function `pipline`. Did you mean `pipeline`?"),
        ("run demo.1 pipeline days=len(df", "len(df", "`len(df` is not a Python expression: '(' was never closed."),
        ("run demo.1 pipeline day=31", "day", "pipeline(ctx, days=3) takes no argument `day`. Did you mean `days`?"),
        ("run demo.1 pipeline 1 2", "2", "pipeline(ctx, days=3) takes 1 argument after the context; 2 are given."),
        ("run demo.1 clean", None, "clean(ctx, day) needs `day`: add `day=...`."),
        ("run demo.1", None, "`run` needs a function: `%resonate run ID FUNCTION [VALUE | NAME=VALUE] ... [--new] [--version N]`"),
        ("run pipeline days=3", "pipeline", "A run needs an id first: `%resonate run pipeline-1 pipeline days=3`."),
        ("run demo.1 helper", "helper", "`helper` is not registered yet: `%resonate register helper`, or `%%resonate register` on"),
        ("run demo.1 clean day=object()", None, "cannot be stored"),
        ("run demo.1 pipeline --nwe", "--nwe", "There is no option `--nwe`. Did you mean `--new`?"),
        ("run demo.1 pipeline --version 4", "4", "`pipeline` has no version 4. Registered: 1."),
        ("run demo.1 pipeline --version x", "x", "`x` cannot be evaluated: NameError: name 'x' is not defined."),
        ("rum demo.1", "rum", "No verb `rum`. Did you mean `run`? `%resonate` alone lists them."),
        ("attach demo.2", "demo.2", "No run demo.2. No run has been started here."),
        ("cancel demo.2", "demo.2", "No run demo.2. No run has been started here."),
        ("tree demo.2 more", "more", "`tree` takes no more than that: `%resonate tree ID`"),
        ("resolve demo.2 1", "demo.2", "No promise demo.2. Nothing waits for a value."),
        ("resolve demo.2 yes", "yes", "`yes` cannot be evaluated: NameError: name 'yes' is not defined. Plain text goes in quotes: 'yes'."),
        ("connect locl", "locl", "There is no `locl` to connect to. Did you mean `local`? Known: local, remote, dev."),
        ("config rendr=svg", "rendr", "There is no setting `rendr`. Did you mean `render`? Known: render, output, stable."),
        ("config render=swg", "swg", "`render` is one of auto, widget, html, svg, text, off. Did you mean `svg`?"),
        ("register gate", "gate", "`Event` is no plain function, and only those can be registered."),
    ],
)
def test_a_mistake_is_pointed_at_and_nothing_has_happened(cell, line, carets, told):
    cell.good("def helper(ctx): ...")
    out = cell(f"%resonate {line}")
    assert isinstance(cell.error, resonate_notebook.Mistake)
    assert told in out
    if carets:
        shown, marks = out.split("\n")[:2]
        assert shown == f"%resonate {line}"
        assert [shown[at] for at, mark in enumerate(marks) if mark == "^"] == list(carets)
    assert cell.good("%resonate ps").startswith("No run has been started here.")


def test_a_run_that_fails_is_told_with_the_step_the_line_and_what_to_do(cell):
    number = cell.shell.execution_count - 1
    cell.good("run = %resonate run demo.0 pipeline days=20")
    out = cell("%resonate wait demo.0")
    assert "demo.0 rejected after 2 attempts: ValueError: no rows\n" in out
    assert f'demo.0.14 clean(day=13)   cell {number}, line 7: raise ValueError("no rows")\n' in out
    assert "A finished run is never changed. Mend `clean`" in out
    assert isinstance(cell.error, runs.Failed)
    cell("run.result()")
    assert isinstance(cell.error, ValueError)
    assert "rejected" in cell.good("%resonate ps")
    assert "ValueError: no rows (demo.0.14 clean(day=13))" in cell.good("%resonate ps")


def test_waiting_has_an_end_and_the_run_goes_on(cell):
    cell.good("run = %resonate run demo.1 ask")
    out = cell("%resonate wait demo.1 --timeout 0.15")
    assert isinstance(cell.error, TimeoutError)
    assert out.endswith("demo.1 has not ended after 150 ms and goes on.\n")
    assert not cell.shell.user_ns["run"].done()


def interrupt_after(seconds):
    threading.Timer(seconds, lambda: signal.raise_signal(signal.SIGINT)).start()


def test_the_first_interrupt_detaches_and_the_run_goes_on(cell, monkeypatch):
    monkeypatch.setattr(runs, "SECOND_STOP_S", 0.3)
    cell.good("run = %resonate run demo.1 ask")
    interrupt_after(0.2)
    began = time.monotonic()
    out = cell("%resonate wait demo.1")
    assert 0.4 < time.monotonic() - began < 3
    assert "Detached: demo.1 goes on." in out
    assert isinstance(cell.error, KeyboardInterrupt)
    cell.good("%resonate resolve demo.1.1 5\nrun.result(5)")
    assert cell.value == 5


def test_a_second_interrupt_cancels(cell):
    cell.good("run = %resonate run demo.1 ask")
    interrupt_after(0.2)
    interrupt_after(0.5)
    out = cell("run.result()")
    assert "Detached: demo.1 goes on." in out
    assert "demo.1 cancelled\n" in out
    assert isinstance(cell.error, KeyboardInterrupt)
    assert "demo.1 was cancelled." in cell("%resonate wait demo.1")


# ---- acting --------------------------------------------------------------------------------------------------------------------


def test_a_waiting_promise_is_resolved_while_another_thread_waits(cell):
    cell.good("run = %resonate run demo.1 ask")
    threading.Timer(0.3, lambda: resonate_notebook.resolve("demo.1.1", {"ok": True})).start()
    cell.good("%resonate wait demo.1 --timeout 5")
    assert cell.value == {"ok": True}


def test_a_promise_settles_once_and_everything_else_is_told(cell):
    cell.good("%resonate config stable=1\nrun = %resonate run demo.1 ask")
    wait_for_question(cell, "demo.1")
    assert cell("%resonate resolve demo.1.99 1").endswith("No promise demo.1.99. demo.1.1 waits for a value.\n")
    refused = "demo.1 is a call of `ask`, which settles itself. `%resonate cancel demo.1` ends the whole run."
    assert refused in cell("%resonate resolve demo.1 1")
    assert "cannot be stored: $" in cell("%resonate resolve demo.1.1 [object()]")
    assert cell.good('%resonate resolve demo.1.1 {"ok": true}') == "demo.1.1 resolved · demo.1 goes on\n"
    once = "demo.1.1 was resolved with {'ok': True}. A promise settles once; nothing changed.\n"
    assert cell.good("%resonate resolve demo.1.1 {'ok': True}") == once
    for line in ("resolve demo.1.1 2", "reject demo.1.1 {'ok': True}"):
        assert cell(f"%resonate {line}").endswith(once)
        assert cell.error is not None
    cell.good("run.result(5)")
    assert cell.value == {"ok": True}


def test_a_rejected_promise_raises_in_the_run(cell):
    cell.good("run = %resonate run demo.1 ask")
    wait_for_question(cell, "demo.1")
    assert cell.good("%resonate reject demo.1.1 'too few rows'") == "demo.1.1 rejected · demo.1 goes on\n"
    assert "demo.1 rejected: " in cell("%resonate wait demo.1")
    assert "too few rows" in str(cell.error)


def test_a_cancelled_run_says_what_becomes_of_its_steps(cell):
    cell.good("run = %resonate run demo.1 holding")
    until(lambda: "hold()" in cell("%resonate tree demo.1"))
    assert cell("%resonate cancel demo.1.2").endswith("demo.1.2 is a step of demo.1. `%resonate cancel demo.1` cancels the run.\n")
    assert cell.good("%resonate cancel demo.1") == "demo.1 cancelled · 1 step in flight ends on its own, its result is dropped\n"
    assert "demo.1 was cancelled. A finished run is never changed." in cell("%resonate config stable=1\n%resonate cancel demo.1")


def test_runs_are_listed_with_what_they_wait_for(cell):
    cell.good("%resonate run demo.1 pipeline days=2\n%resonate wait demo.1\n%resonate run demo.2 ask")
    wait_for_question(cell, "demo.2")
    assert cell.good("%resonate status").endswith(" · 1 run going on, 1 waits for you (demo.2.1), 1 finished\n")
    cell.good("%resonate config stable=1")
    assert cell.good("%resonate ps") == (
        "demo.1  pipeline  resolved         3/3\ndemo.2  ask       waiting for you  0/2 · 1 waits for you: demo.2.1\n"
    )


# ---- completion ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "expected", "absent"),
    [
        ("%resonate sta", {"status"}, set()),
        ("x = %resonate at", {"attach"}, set()),
        ("%resonate help re", {"register", "resolve", "reject"}, {"run"}),
        ("%%resonate reg", {"register"}, set()),
        ("%resonate run x pi", {"pipeline"}, {"clean"}),
        ("run = %resonate run x pipeline ", {"days=", "--new", "--version"}, set()),
        ("%resonate run x pipeline d", {"days="}, set()),
        ("%resonate run x pipeline days=3 d", set(), {"days="}),
        ("%resonate run x pipeline days=le", {"len"}, {"days="}),
        ("%resonate run x pipeline days=gate.is_s", {"gate.is_set"}, {"days="}),
        ("x = da", set(), {"days="}),
        ("%resonate run x pipeline --n", {"--new"}, set()),
        ("%resonate wait de", {"demo.1", "demo.2"}, set()),
        ("%resonate tree demo.", {"demo.1", "demo.2"}, set()),
        ("%resonate cancel ", {"demo.2"}, {"demo.1"}),
        ("%resonate resolve ", {"demo.2.1"}, {"demo.2"}),
        ("%resonate config re", {"render="}, {"stable="}),
        ("%resonate config render=t", {"text"}, {"svg"}),
        ("%resonate connect l", {"local"}, set()),
        ("%resonate register cle", {"clean"}, set()),
    ],
)
def test_tab_completes_verbs_names_ids_and_arguments(cell, typed, expected, absent):
    cell.good("%resonate run demo.1 pipeline\n%resonate wait demo.1\n%resonate run demo.2 ask")
    wait_for_question(cell, "demo.2")
    from IPython.core.completer import provisionalcompleter

    _, matches = cell.shell.complete(None, typed)
    with provisionalcompleter():
        completions = {each.text for each in cell.shell.Completer.completions(typed, len(typed))}
    for offered in (set(matches), completions):
        assert expected <= offered
        assert not absent & offered


# ---- rendering, limits, the end ------------------------------------------------------------------------------------------------


def test_output_is_the_same_twice_when_it_is_to_be_stable(cell):
    source = [
        "run = %resonate run demo.1 pipeline days=2", "%resonate wait demo.1", "%resonate run demo.1 pipeline days=2", "%resonate ps",
        "%resonate run demo.0 pipeline days=20", "%resonate wait demo.0", "%resonate tree demo.0", "%resonate status",
    ]  # fmt: skip
    outputs = []
    for _ in range(2):
        cell.good("%unload_ext resonate_notebook")
        cell.shell.execution_count = 50
        cell.good("%load_ext resonate_notebook")
        cell.good("%resonate config stable=1")
        cell.good(FUNCTIONS)
        outputs.append([cell(each) for each in source])
    assert outputs[0] == outputs[1]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("environment", "in_place"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_a_terminal_redraws_in_place_unless_it_cannot(cell, monkeypatch, environment, in_place):
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(runs, "LINE_INTERVAL_S", 0.0)
    cell.good("run = %resonate run demo.1 ask")
    when(lambda: any(node.state == "waiting" for node in cell.shell.user_ns["run"].nodes()))
    threading.Timer(0.5, lambda: resonate_notebook.resolve("demo.1.1", 1)).start()
    terminal = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        resonate_notebook.wait("demo.1", 5)
    shown = terminal.getvalue()
    assert ("\x1b[" in shown) is in_place
    assert ("demo.1 waiting for you, 0 of 2 settled, 1 waiting for you\n" in shown) is not in_place
    assert "resolved" in shown.split("\n")[-3]


def test_foreign_text_cannot_drive_the_terminal(cell):
    cell.good(r"evil = 'a\x1b]0;owned\x07\x1b[2J'")
    cell.good("import resonate_notebook as rn\nrun = rn.run(evil, clean, day='\\x1b[31m')\nrun.result(5)")
    shown = cell.good("%resonate ps\n%resonate status\nrun\nprint(rn.tree(evil))") + cell("rn.resolve(evil + '.9')")
    assert "\x1b" not in shown
    assert "␛" in shown


def test_finished_runs_are_forgotten_beyond_a_bound(cell, monkeypatch):
    monkeypatch.setattr(live, "FINISHED_RUNS_MAX", 5)
    cell.good("for n in range(12):\n    get_ipython().run_line_magic('resonate', f'run r{n} clean {n}').result(5)")
    cell.good("%resonate run last clean 1\n%resonate wait last")
    assert len(session.current().follower.runs) <= 7
    cell.good("%resonate attach r0")
    assert "✓ clean(0)" in cell.good("%resonate tree r0") or "✓ clean(day=0)" in cell.good("%resonate tree r0")


def test_the_render_setting_may_come_from_outside(cell, monkeypatch):
    monkeypatch.setenv("RESONATE_NOTEBOOK_RENDER", "off")
    session.end()
    assert cell.good("%resonate config") == "render=off · stable=0 · output=node\n"
    cell.good(FUNCTIONS)
    cell.good("run = %resonate run demo.1 pipeline\nrun.result(5)")
    assert "pipeline" not in cell.good("run")


def test_unloading_takes_everything_away_in_two_seconds(cell):
    cell.good("run = %resonate run demo.1 ask")
    began = time.monotonic()
    cell.good("%unload_ext resonate_notebook")
    assert time.monotonic() - began < 2
    assert not [each for each in threading.enumerate() if each.name in {"resonate-flusher", "resonate-commander"}]
    assert cell.shell.find_line_magic("resonate") is None
    assert "status" not in cell.shell.complete(None, "%resonate sta")[1]
    cell.good("%load_ext resonate_notebook")


def test_an_error_in_a_thread_of_ours_is_noted_and_the_thread_goes_on(cell, monkeypatch):
    follower = session.current().follower
    logged = []
    monkeypatch.setattr(live.LOG, "error", lambda text, **more: logged.append(more["exc_info"]))
    monkeypatch.setattr(live, "TROUBLE_PAUSE_S", 0.01)
    broken = threading.Event()

    def flush():
        broken.set()
        raise RuntimeError("planted")

    monkeypatch.setattr(follower, "_flush", flush)
    assert broken.wait(2)
    deadline = time.monotonic() + 5
    while not logged and time.monotonic() < deadline:
        time.sleep(0.005)
    monkeypatch.undo()
    cell.good("run = %resonate run demo.1 pipeline\nrun.result(5)")
    assert cell.value == 3
    assert "RuntimeError: planted" in cell.good("%resonate status")
    assert str(logged[0]) == "planted"


# ---- what the page is told -----------------------------------------------------------------------------------------------------


def test_details_are_bounded_text_with_the_traceback_of_a_failure(cell):
    cell.good("run = %resonate run demo.0 pipeline days=20")
    cell("%resonate wait demo.0")
    follower = session.current().follower
    told = actions.detail(follower, follower.follow("demo.0"), "demo.0.14")
    assert told["error"] == "ValueError('no rows')"
    assert 'raise ValueError("no rows")' in told["traceback"]
    assert (told["attempts"], told["arguments"]) == (2, [["day", "13"]])
    cell.good("run = %resonate run long clean day='x'*9000\nrun.result(5)")
    told = actions.detail(follower, follower.follow("long"), "long")
    assert 1_000 < len(told["value"]) <= 2_000
    assert actions.detail(follower, follower.follow("long"), "no such")["value"] is None
    json.dumps(told).encode()


@pytest.mark.parametrize(
    ("text", "value"),
    [("{'ok': True}", {"ok": True}), ('{"ok": true}', {"ok": True}), ("12", 12), ("looks good", "looks good"), ("", None), ("f()", "f()")],
)
def test_what_is_typed_into_the_form_is_a_value_or_text_and_never_code(text, value):
    assert widget.read_typed(text) == value
