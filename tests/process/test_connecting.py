"""`%resonate connect dev` from one place of a server to another, and what stable output says of it."""

from __future__ import annotations

import re
from typing import Any

from test_magics import cell, ipython, until  # noqa: F401 - the fixtures are found by name

import resonate_notebook
from resonate.handle import Handle
from resonate_notebook import session

FUNCTIONS = """%%resonate register
def ask(ctx):
    first = yield ctx.promise(id=f"{ctx.id}.first")
    second = yield ctx.promise(id=f"{ctx.id}.second")
    return [(yield first), (yield second)]
"""
PAUSING = FUNCTIONS.partition("\n")[2].replace("    second", "    may_go_on.wait(10)\n    second")


def test_a_server_that_was_started_here_goes_on_when_its_kernel_goes_over_to_another_group(cell):  # noqa: F811
    """What is on it is there still, under the same address; its end comes with the connection that leaves it."""
    cell.good(FUNCTIONS)
    told = cell.good("%resonate connect dev --port 0 --group reports")
    address = re.search(r"127\.0\.0\.1:\d+", told)[0]
    server = session.current().server
    cell.good("%resonate run asked-1 ask\n%resonate wait asked-1 --until waiting")
    assert f"{address} (started here, in memory)" in cell.good("%resonate connect dev --port 0 --group readers")
    assert f"{address} (started here" in cell.good(f"%resonate connect dev --port {address.partition(':')[2]}")
    assert f"http://{address}" in cell.good(f"%resonate connect remote http://{address}")
    assert session.current().server is server
    cell.good("%resonate resolve asked-1.first 1")
    assert "asked-1.second" in cell.good("%resonate get asked-1.second")
    cell.good("%resonate connect local")
    assert session.current().server is None
    assert server._thread is None


def test_a_server_that_was_started_here_is_not_given_another_file_behind_its_back(cell, tmp_path):  # noqa: F811
    """The kernel stays connected as it was, and is told what to do."""
    cell.good("%resonate connect dev --port 0")
    port = session.current().server.url.rpartition(":")[2]
    told = cell(f"%resonate connect dev --port {port} --db {tmp_path / 'runs.db'}")
    assert f"The server at port {port} was started here, in memory. `%resonate stop` ends it" in told
    assert "development server" in cell.good("%resonate status")


def test_stable_output_leaves_out_a_port_that_was_nobodys_choice(cell):  # noqa: F811
    """Neither the connection nor a picture shows it; a port that was typed stays."""
    cell.good(FUNCTIONS + "\n%resonate config stable=1")
    told = cell.good("%resonate connect dev --port 0")
    assert "development server on 127.0.0.1 (started here, in memory)" in told
    port = session.current().server.url.rpartition(":")[2]
    cell.good("%resonate run asked-1 ask\n%resonate wait asked-1 --until waiting")
    for verb in ("tree asked-1", "table asked-1", "status"):
        assert port not in cell.good(f"%resonate {verb}")
    assert "on 127.0.0.1, " in cell.good("%resonate tree asked-1")
    assert f"127.0.0.1:{port} (started here" in cell.good(f"%resonate connect dev --port {port}")


def test_questions_that_are_asked_at_once_are_told_at_once(cell, monkeypatch):  # noqa: F811
    """`wait --until waiting` looks once more, a slice later, whether another one follows the first."""
    cell.good("%%resonate register\nimport threading\nmay_go_on = threading.Event()\n" + PAUSING)
    may_go_on = cell.shell.user_ns["may_go_on"]
    cell.good("%resonate run asked-1 ask")
    until(lambda: "asked-1.first" in cell.good("%resonate status"))

    def a_slice(handle: Handle[Any], timeout: float) -> bool:
        may_go_on.set()
        until(lambda: "asked-1.second" in resonate_notebook.status())
        return handle.done()

    monkeypatch.setattr(Handle, "wait", a_slice)
    assert "asked-1 waits for you: asked-1.first, asked-1.second." in cell.good("%resonate wait asked-1 --until waiting")
