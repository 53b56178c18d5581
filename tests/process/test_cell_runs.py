"""`%%resonate run ID`: a cell of functions that ends in the call, in a real IPython shell."""

from __future__ import annotations

import pytest
from test_magics import cell, ipython  # noqa: F401 - the fixtures are found by name

import resonate_notebook

DOUBLE = "def double(ctx, n, *more, by=2):\n    return n * by\n"


def test_a_cell_registers_its_functions_and_launches_the_call_it_ends_in(cell):  # noqa: F811
    cell.good("n = 20\nvalues = [1, 2]")
    shown = cell.good(f"%%resonate run demo.1\n{DOUBLE}\nm = n + 1\ndouble(\n    m, *values,\n    by=len(values) + 1,\n)")
    assert shown.startswith("registered double\ndemo.1 started. `%resonate wait demo.1` follows it.\n")
    assert isinstance(cell.value, resonate_notebook.Run)
    assert cell.value.result(5) == 63
    cell.good("m")
    assert cell.value == 21


def test_running_the_cell_again_starts_nothing_twice_and_tells_what_changed(cell):  # noqa: F811
    cell.good("%resonate config stable=1")
    cell.good(f"%%resonate run demo.1\n{DOUBLE}double(4)")
    cell.value.result(5)
    again = cell.good(f"%%resonate run demo.1\n{DOUBLE}double(4)")
    assert again.startswith(
        "double unchanged\ndemo.1 finished: resolved, 8. Nothing was run again. `--new` starts demo.1-2.\n"
    )
    edited = cell.good(f"%%resonate run demo.1 --new\n{DOUBLE.replace('n * by', '-n * by')}double(4)")
    assert edited.startswith("replaced double (body changed)\ndemo.1-2 started.")
    assert cell.value.result(5) == -8


def test_a_call_of_a_function_that_is_registered_already_needs_no_definition(cell):  # noqa: F811
    cell.good("%%resonate run demo.1\npipeline(days=2)  # as above")
    assert cell.value.result(5) == 1
    cell.good("options = {'days': 3}\n")
    cell.good("%%resonate run demo.2\npipeline(**options)")
    assert cell.value.result(5) == 3


def test_a_traceback_counts_the_lines_as_the_cell_shows_them(cell):  # noqa: F811
    cell.good("%%resonate run demo.1\ndef bad(ctx):\n    yield ctx.run(clean, 1)\n    raise SystemExit\nbad()")
    number = cell.shell.execution_count - 1
    assert f"cell {number}, line 4: raise SystemExit" in cell("%resonate wait demo.1")
    out = cell("%%resonate run demo.2\nx = 1\n1/0\npipeline()")
    assert isinstance(cell.error, ZeroDivisionError)
    assert "line 3" in out


@pytest.mark.parametrize(
    ("body", "line", "column", "carets", "told"),
    [
        ("x = 1", 2, 1, "x = 1", "The cell must end in a call, for example `pipeline(days=3)`; this is a statement."),
        ("def f(ctx): ...", 2, 1, "def f(ctx): ...", "The cell must end in a call, for example `f(...)`; this is a statement."),
        ("# nothing", 2, 1, None, "The cell does nothing. Its last line is the call, for example `pipeline(days=3)`."),
        ("x = 1\nx + 1", 3, 1, "x + 1", "this is an expression without one."),
        ("x = 1\nprint(x)", 3, 1, "print", "`print` is no registered function. Define it in this cell, with `ctx` first."),
        ("pipline(days=1)", 2, 1, "pipline", "`pipline` is no registered function. Did you mean `pipeline`?"),
        ("def helper(n): ...\nhelper(1)", 3, 1, "helper", "Its first parameter must be the context: `def helper(ctx, ...)`."),
        ("pipeline(ctx, 3)", 2, 10, "ctx", "The run gives the context itself: `pipeline(3)`."),
        ("pipeline(days=3, ctx=None)", 2, 18, "ctx", "The run gives the context itself: leave `ctx` out."),
        ("pipeline(\n    dys=3)", 3, 5, "dys", "pipeline(ctx, days=3) takes no argument `dys`. Did you mean `days`?"),
        ("pipeline(1, 2)", 2, 13, "2", "takes 1 argument after the context; 2 are given."),
        ("clean()", 2, 1, "clean()", "clean(ctx, day) needs `day`: add `day=...`."),
        ("pipeline(days=missing + 1)", 2, 15, "missing + 1", "`missing + 1` cannot be evaluated: NameError"),
        ("pipeline(*7)", 2, 10, "*7", "`*7` is no list of arguments"),
        ("pipeline(**7)", 2, 12, "7", "`7` is no dict of named arguments."),
        ("pipeline.begin_run('x')", 2, 1, "pipeline.begin_run", "is no name of a registered function."),
        ("await pipeline()", 2, 1, "await pipeline()", "Write the call alone, as `pipeline(days=3)`"),
        ("é = 1; pipeline('é', dys=2)", 2, 22, "dys", "takes no argument `dys`"),
    ],
)
def test_a_mistake_names_line_and_column_and_nothing_is_launched(cell, body, line, column, carets, told):  # noqa: F811
    out = cell(f"%%resonate run demo.1\n{body}")
    assert isinstance(cell.error, resonate_notebook.Mistake), out
    assert told in out
    shown, marks = out.split("\n")[:2]
    assert shown.startswith(f"line {line}, column {column}: ")
    assert carets is None or "".join(shown[at] for at, mark in enumerate(marks) if mark == "^") == carets
    assert cell.good("%resonate ps").startswith("No run has been started here.")


@pytest.mark.parametrize("body", ["x_ran = 1\npipline()", "x_ran = 1\nx_ran", "x_ran = 1\npipeline(ctx)", "x_ran = 1\ndef f(ctx): ..."])
def test_a_cell_that_cannot_be_launched_is_not_carried_out(cell, body):  # noqa: F811
    cell(f"%%resonate run demo.1\n{body}")
    assert "x_ran" not in cell.shell.user_ns
    assert "  f " not in cell.good("%resonate functions")


def test_what_is_wrong_with_the_magics_own_line_is_pointed_at_there(cell):  # noqa: F811
    for line, told in (
        ("%%resonate run", "A run needs an id: `%%resonate run demo.1`."), ("%%resonate rum x", "Did you mean `run`?"),
        ("%%resonate run demo.1 more", "takes no more than that"), ("%%resonate run demo.1 --nwe", "Did you mean `--new`?"),
        ("%%resonate run demo.1 --version 7", "`pipeline` has no version 7. Registered: 1."),
    ):  # fmt: skip
        out = cell(f"{line}\npipeline()")
        assert told in out
        assert out.startswith(f"{line}\n")
    cell.good("%%resonate run demo.1\npipeline(days=1)")
    out = cell("%%resonate run demo.1\npipeline(days=2)")
    assert out.split("\n")[1] == " " * len("%%resonate run ") + "^" * len("demo.1")
    assert "demo.1 exists with other arguments (days=1). Nothing was run. Use another id, or `--new`." in out
