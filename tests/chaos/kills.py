"""The sweep of kills: a workflow's process dies at its n-th boundary, for every n, and a fresh one has to finish the run.

What must hold each time: the run is not lost, its result is right, what was acknowledged is in the file, no step whose settlement is in
the file runs again, and each attempt of a step runs at most once more for each death.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.chaos.ledger import executions, lines_of, run_again_after
from tests.chaos.nursery import Nursery
from tests.chaos.workflows import WORKFLOWS

KILLED = -9


class Death(NamedTuple):
    """One kill of a sweep. With `again`, the process that follows dies too, at that boundary of its own."""

    name: str
    durability: str
    kill_at: int
    side: str = "before"
    place: str = "turn"
    again: int = 0

    def __str__(self) -> str:
        again = f", then {self.again}" if self.again else ""
        return f"{self.name} ({self.durability}), {self.side} {self.place} {self.kill_at}{again}"


@dataclass
class Figures:
    """What a sweep came to."""

    kills: int = 0
    untouched: int = 0
    launched_again: int = 0
    """Runs whose launch was not answered before the death, and that are not in the file."""
    in_flight: int = 0
    """Executions that were repeated because their process died before their settlement was in the file."""
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        self.kills += other.kills
        self.untouched += other.untouched
        self.launched_again += other.launched_again
        self.in_flight += other.in_flight
        self.wrong += other.wrong

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.untouched} untouched runs, {self.launched_again} launches that had not been answered, "
            f"{self.in_flight} steps in flight run again, {len(self.wrong)} violations"
        )


def die(nursery: Nursery, death: Death, figures: Figures) -> bool:
    """One kill and what follows; whether there was something left to kill."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        path, ledger = Path(folder, "runs.db"), Path(folder, "ledger")
        known = {"path": str(path), "ledger": str(ledger), "name": death.name, "durability": death.durability}
        settled: dict[str, int] = {}  # promises that the file had settled at a death, with the line of the ledger then
        for kill_at in (death.kill_at, death.again):
            if not kill_at:
                break
            ended = nursery.start("work", **known, kill_at=kill_at, side=death.side, place=death.place).wait()
            if ended.code != KILLED:
                break
            figures.kills += 1
            lines = lines_of(ledger)
            for promise_id in settled_in(path):
                settled.setdefault(promise_id, len(lines))
            lost = {line.id for line in lines if line.what == "ack"} - settled.keys()
            if lost:
                figures.wrong.append(f"{death}: {sorted(lost)} were acknowledged and are not settled in the file")
        if settled or ended.code == KILLED:
            ended = nursery.start("work", **known, registers_late=death.kill_at % 2 == 0).wait()
            is_killed = True
        else:
            figures.untouched += 1
            is_killed = False
        if ended.code:
            figures.wrong.append(f"{death}: exit code {ended.code}\n{ended.errors}")
            return is_killed
        figures.launched_again += is_killed and not ended.result["was there"]
        _judge(death, ended.result, settled, ledger, figures)
        return is_killed


def _judge(death: Death, said: dict[str, Any], settled: dict[str, int], ledger: Path, figures: Figures) -> None:
    workflow = WORKFLOWS[death.name]
    lines = lines_of(ledger)
    if (said["result"], said["also"]) != (workflow.result, workflow.also and 14):
        figures.wrong.append(f"{death}: the result is {said['result']!r}, {said['also']!r}")
    launches = [line.pid for line in lines if line.what == "launched"]
    if not said["was there"] and len(launches) > 1:
        figures.wrong.append(f"{death}: the run was launched, and was not in the file")
    figures.launched_again += not said["was there"]
    for again in run_again_after(lines):
        figures.wrong.append(f"{death}: {again.id} was acknowledged, and ran again")
    for place, line in enumerate(lines):
        if line.what == "run" and place >= settled.get(line.id, len(lines)):
            figures.wrong.append(f"{death}: {line.id} was settled in the file, and ran again")
    deaths = len({line.pid for line in lines}) - 1
    for (step, attempt), times in executions(lines).items():
        figures.in_flight += times - 1
        if times > 1 + deaths:
            figures.wrong.append(f"{death}: attempt {attempt} of {step} ran {times} times with {deaths} deaths")


def settled_in(path: Path) -> set[str]:
    """The promises that are settled in a file that nobody has open; the file itself and its log are left alone."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        for suffix in ("", "-wal"):
            if path.with_name(path.name + suffix).exists():
                shutil.copy(path.with_name(path.name + suffix), folder)
        with closing(sqlite3.connect(Path(folder, path.name))) as copy:
            if not copy.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return set()
            return {promise_id for (promise_id,) in copy.execute("SELECT id FROM promises WHERE state <> 'PENDING'")}


def sweep(
    nursery: Nursery, name: str, durability: str, *, every: int = 1, sides: tuple[str, ...] = ("before", "after"), place: str = "turn"
) -> Figures:
    """Kills at every `every`-th boundary, on each side of it, until the run comes through untouched."""
    figures = Figures()
    for kill_at, side in _points(every, sides):
        if not die(nursery, Death(name, durability, kill_at, side, place), figures):
            break
    return figures


def _points(every: int, sides: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    kill_at = 1
    while True:
        for side in sides:
            yield kill_at, side
        kill_at += every
