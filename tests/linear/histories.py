"""Histories of eight clients in two processes: at one file, at a development server through both protocols, or at both at once.

    file       four stores of one file, two in each process, of both durabilities
    legacy     four clients of a server in memory, by the legacy protocol
    current    the same, by the current protocol
    mixed      a server on a file: by either protocol, and at the file itself

Each store has two clients, which also meet in the turns of their store. The promises of a history are its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.linear.checker import Call, overlapping, told, unexplained
from tests.linear.clients import History, Score, history_of
from tests.linear.specification import NOTHING_YET, step

ROOT = Path(__file__).parents[2]
HEAD_START_NS = 3_000_000
ARRANGEMENTS: dict[str, tuple[str, str, str, str]] = {
    "file": ("file", "file", "file", "file"), "legacy": ("legacy",) * 4, "current": ("current",) * 4,
    "mixed": ("legacy", "current", "file", "current"),
}  # fmt: skip
"""By what each of four stores is asked; the first two are in one process, the others in another."""


@dataclass
class Figures:
    """What was played and found."""

    histories: int = 0
    calls: int = 0
    overlapping: int = 0
    unanswered: int = 0
    rows: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    """What was asked, and how it was answered."""
    wrong: list[str] = field(default_factory=list)

    def add(self, name: str, history: History) -> None:
        """Check a history, object by object."""
        self.histories += 1
        for place, calls in history.items():
            self.calls += len(calls)
            self.overlapping += overlapping(calls)
            self.unanswered += sum(call.ended is None for call in calls)
            self.rows.update(row_of(call) for call in calls)
            found = unexplained(calls, NOTHING_YET, step)
            if found is not None:
                story = "\n".join(f"  {told(call)}" for call in sorted(calls, key=lambda call: call.began))
                self.wrong.append(f"{name}, object {place}: {found}\nall of it:\n{story}")

    def __str__(self) -> str:
        return (
            f"{self.histories} histories, {self.calls:,} operations, {self.overlapping * 100 // max(self.calls, 1)} % at the same time as "
            f"another on the same promises, {self.unanswered} unanswered, {len(self.wrong)} not linearizable"
        )


def row_of(call: Call) -> tuple[Any, ...]:
    asked, answer = call.asked, call.answer or ("unanswered",)
    return asked.what, "child" if asked.is_child else "run", asked.counter is not None, answer[1] if answer[0] == "refused" else answer[0]


@contextmanager
def companies(arrangement: str, folder: Path) -> Iterator[list[Any]]:
    """The processes of an arrangement, ready to play."""
    kinds, path = ARRANGEMENTS[arrangement], str(folder / f"{arrangement}.db")
    with ExitStack() as stack:
        url = ""
        if set(kinds) != {"file"}:
            db = ["--db", path, "--durability", "fast"] if "file" in kinds else []
            server = stack.enter_context(program("resonate", "dev", "--port", "0", "--message-port", "0", "--json", *db))
            url = json.loads(server.stdout.readline())["url"]
        places: list[dict[str, Any]] = []
        for number, kind in enumerate(kinds):
            at_file = {"path": path, "durability": ("fast", "full")[number % 2]}
            place = at_file if kind == "file" else {"url": url, "protocol": kind}
            places.append(place | {"clients": [2 * number, 2 * number + 1]})
        made = [stack.enter_context(program("tests.linear.clients", json.dumps(part))) for part in (places[:2], places[2:])]
        for each in made:
            assert each.stdout.readline() == "ready\n"
        yield made


@contextmanager
def program(*command: str) -> Iterator[Any]:
    process = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def played(processes: Sequence[Any], name: str, seed: int) -> History:
    """One history, by all clients of all processes."""
    score = json.dumps(Score(name, seed, time.monotonic_ns() + HEAD_START_NS))
    for process in processes:
        process.stdin.write(f"{score}\n")
    whole: History = defaultdict(list)
    for process in processes:
        for place, calls in history_of(process.stdout.readline()).items():
            whole[place] += calls
    return whole


def sweep(arrangement: str, histories: int, first_seed: int = 0) -> Figures:
    """Play and check so many histories."""
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="linear-") as folder, companies(arrangement, Path(folder)) as processes:
        for seed in range(first_seed, first_seed + histories):
            name = f"{arrangement}-{seed}"
            figures.add(name, played(processes, name, seed))
    return figures
