"""Many processes with many runs each on one file."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.disks import integrity
from tests.chaos.ledger import executions, lines_of
from tests.chaos.nursery import Nursery


@dataclass
class Figures:
    """What a crowd came to."""

    runs: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.runs} runs in {self.seconds:.1f} s, {len(self.wrong)} violations"


def crowd(processes: int, runs: int, durability: str = "fast", within_s: float = 600) -> Figures:
    """So many processes, each with so many runs of two steps; every run has to be settled once and with its result."""
    figures = Figures(processes * runs)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, Nursery() as nursery:
        path, ledger = Path(folder, "runs.db"), Path(folder, "ledger")
        began_s = time.monotonic()
        known = {"path": str(path), "ledger": str(ledger), "count": runs, "durability": durability}
        children = [nursery.start("crowd", **known, name=f"process-{number}") for number in range(processes)]
        for child in children:
            ended = child.wait(within_s)
            if ended.code or ended.errors or ended.result != {"wrong": 0, "errors": []}:
                figures.wrong.append(f"exit code {ended.code}, {str(ended.result)[:500]}\n{ended.errors[-2000:]}")
        figures.seconds = time.monotonic() - began_s
        with closing(sqlite3.connect(path)) as connection:
            states = dict(connection.execute("SELECT state, count(*) FROM promises GROUP BY state"))
        if states != {"RESOLVED": 3 * figures.runs}:
            figures.wrong.append(f"promises by state: {states}")
        again = [step for step, times in executions(lines_of(ledger)).items() if times > 1]
        if again:
            figures.wrong.append(f"nobody died, and {len(again)} steps ran twice: {again[:5]}")
        if integrity(path) != "ok":
            figures.wrong.append(integrity(path))
    return figures
