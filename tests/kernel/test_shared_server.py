"""Two notebooks share work through a development server that one of them has started."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.kernel.kernels import kernel

SETUP = "%load_ext resonate_notebook\n%resonate config render=text"
FUNCTIONS = """%%resonate register
def count(ctx, day):
    return day * 10
def report(ctx, days):
    total = 0
    for day in range(days):
        total += yield ctx.run(count, day)
    ok = yield (yield ctx.promise(id=f"{ctx.id}.approve"))
    return {"total": total, "ok": ok}
"""


@pytest.mark.parametrize("protocol", ["legacy", "current"])
def test_two_notebooks_share_work(tmp_path: Path, protocol: str) -> None:
    """One starts the server and registers the functions; the other asks for a run of them, sees its calls, and answers what waits."""
    with kernel(tmp_path) as worker, kernel(tmp_path) as other:
        worker(SETUP)
        told = worker(f"%resonate connect dev --port 0 --protocol {protocol}")
        found = re.search(r"development server on (127\.0\.0\.1:\d+) \(started here, in memory\) · " + protocol, told)
        assert found, told
        worker(FUNCTIONS)
        other(SETUP)
        assert f"http://{found[1]} ({protocol} protocol" in other(
            f"%resonate connect remote http://{found[1]} --group readers --protocol {protocol}"
        )
        other("run = %resonate rpc report.7 report days=9 --target default")
        shown = other("%resonate wait report.7 --until waiting --timeout 30")
        assert "report.7 waits for you: report.7.approve" in shown
        assert "count ×9" in other("%resonate tree report.7")
        other("%resonate resolve report.7.approve True")
        assert "{'total': 360, 'ok': True}" in other("%resonate wait report.7 --timeout 30")
        assert re.search(r"report\.7 +report +resolved", other("%resonate ps"))


def test_a_server_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    """What cannot be reached leaves the kernel connected as it was, and says what to do."""
    with kernel(tmp_path) as run:
        run(SETUP)
        told = run("%resonate connect remote http://127.0.0.1:9")
        assert "http://127.0.0.1:9 cannot be asked: connection refused" in told
        assert "Still connected as before: in memory." in told
        assert "`%resonate connect dev` starts one here" in told
        assert "in memory" in run("%resonate status")
