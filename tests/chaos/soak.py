"""Hours in minutes: workers on one file, killed and started again all the time, with one process that lives through it all.

At the end every run that was launched has to be there with its result, no acknowledged step may have run again, nobody may have met an
error, and the process that was never killed must not have grown.
"""

from __future__ import annotations

import random
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.disks import integrity
from tests.chaos.ledger import executions, lines_of, run_again_after
from tests.chaos.nursery import Child, Nursery

GROWTH_LIMIT = 0.05
WARM_UP = 1 / 3
"""The part of the time in which the process that lives on may still grow: until its store holds as much as it ever will."""


@dataclass
class Figures:
    """What a soak came to."""

    minutes: float = 0.0
    kills: int = 0
    launched: int = 0
    finished: int = 0
    steps: int = 0
    run_again: int = 0
    memory_mb: list[float] = field(default_factory=list)
    size_mb: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        memory = " ".join(f"{each:.1f}" for each in self.memory_mb)
        return (
            f"{self.minutes:g} minutes, {self.kills} kills, {self.launched} runs launched, {self.finished} finished, {self.steps} steps, "
            f"{self.run_again} of them in flight at a death and run again, memory {memory} MB, "
            f"file {self.size_mb:.0f} MB, {len(self.wrong)} violations"
        )


def soak(minutes: float, seed: int = 0, workers: int = 4, pause_s: tuple[float, float] = (1.0, 5.0)) -> Figures:
    """So many minutes of it."""
    figures, chance = Figures(minutes), random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, Nursery() as nursery:
        path, ledger = Path(folder, "runs.db"), Path(folder, "ledger")
        known = {"path": str(path), "ledger": str(ledger)}
        watcher = nursery.start("watch", **known, minutes=minutes)
        children: list[Child] = [nursery.start("toil", **known, name=f"{slot}-0") for slot in range(workers)]
        ends_at = time.monotonic() + minutes * 60
        while (left_s := ends_at - time.monotonic()) > 0:
            time.sleep(min(left_s, chance.uniform(*pause_s)))
            slot = chance.randrange(workers)
            children[slot].signal(signal.SIGKILL)
            _look_at(children[slot].wait(), -signal.SIGKILL, figures)
            figures.kills += 1
            children[slot] = nursery.start("toil", **known, name=f"{slot}-{figures.kills}")
        Path(folder, "end").touch()
        for child in children:
            _look_at(child.wait(120), 0, figures)
        ended = watcher.wait(120)
        _look_at(ended, 0, figures)
        if ended.code == 0:
            figures.memory_mb = ended.result["memory"]
        _judge(nursery, known, figures)
        figures.size_mb = path.stat().st_size / 1e6
        if integrity(path) != "ok":
            figures.wrong.append(integrity(path))
    warm = figures.memory_mb[int(len(figures.memory_mb) * WARM_UP) :]
    before, after = (min(warm[:2]), min(warm[-2:])) if len(warm) > 3 else (0.0, 0.0)
    if before and after > before * (1 + GROWTH_LIMIT):
        figures.wrong.append(f"the process that lived on has grown from {before:.1f} to {after:.1f} MB")
    return figures


def _look_at(ended: Any, code: int, figures: Figures) -> None:
    errors = (ended.result or {}).get("errors") if code == 0 else None
    if ended.code != code or ended.errors or errors:
        figures.wrong.append(f"exit code {ended.code}, {errors}\n{ended.errors[-2000:]}")


def _judge(nursery: Nursery, known: dict[str, str], figures: Figures) -> None:
    lines = lines_of(known["ledger"])
    launched = [line.id for line in lines if line.what == "launched"]
    ended = nursery.start("collect", **known, names=launched).wait(300)
    figures.launched = len(launched)
    if ended.code:
        figures.wrong.append(f"what was launched could not be collected\n{ended.errors[-2000:]}")
    else:
        figures.finished = ended.result["right"]
        figures.wrong += ended.result["wrong"]
    lines = lines_of(known["ledger"])
    times = executions(lines)
    figures.steps = len(times)
    figures.run_again = sum(count - 1 for count in times.values())
    figures.wrong += [f"{line.id} was acknowledged, and ran again" for line in run_again_after(lines)]
