"""A kernel that is connected to a file is killed in the middle of a run; the next kernel goes on where it was."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.kernel.kernels import kernel

FUNCTIONS = """%%resonate register
import time, pathlib
ledger = pathlib.Path("ledger.txt")
def note(text):
    with ledger.open("a") as file:
        file.write(text + "\\n")
def fetch(ctx, day):
    note(f"fetch {day}")
    return day * 10
def slow(ctx, day):
    note(f"slow {day}")
    if not pathlib.Path("go").exists():
        time.sleep(600)
    return day
def nightly(ctx, days):
    total = 0
    for day in range(days):
        total += yield ctx.run(fetch, day)
    total += yield ctx.run(slow, days)
    return total
"""


@pytest.mark.parametrize("durability", ["full", "fast"])
def test_a_run_survives_its_kernel(tmp_path: Path, durability: str) -> None:
    """After `kill -9` of the kernel, a new one tells what is unfinished, and finishes it when the functions are registered: no step that
    was finished runs again, and the picture says which were not."""
    connect = f"%load_ext resonate_notebook\n%resonate config stable=1\n%resonate connect local --db runs.db --durability {durability}"
    with kernel(tmp_path) as run:
        assert f"runs.db (new, durable: {durability})" in run(connect)
        run(FUNCTIONS)
        run("nightly_run = %resonate run nightly.1 nightly days=5")
        run("import time\nwhile not ledger.exists() or 'slow' not in ledger.read_text(): time.sleep(0.01)")
        os.kill(run.manager.provisioner.process.pid, signal.SIGKILL)
    assert (tmp_path / "ledger.txt").read_text().splitlines() == [*(f"fetch {day}" for day in range(5)), "slow 5"]

    (tmp_path / "go").touch()
    with kernel(tmp_path) as run:
        told = run(connect)
        assert "1 run unfinished: nightly.1 waits for `nightly`" in told
        assert "Register those functions and the runs go on." in told
        run(FUNCTIONS)
        shown = run("%resonate wait nightly.1")
        assert "105" in shown
        assert "recovered" in shown
        assert "fetch ×5" in run("%resonate tree nightly.1")
        assert "nightly.1  nightly  resolved" in run("%resonate ps")
    assert (tmp_path / "ledger.txt").read_text().splitlines() == [*(f"fetch {day}" for day in range(5)), "slow 5", "slow 5"]
