"""What really happened, in a file that no crash takes back: one line for each thing, written by one `os.write` with O_APPEND.

    run STEP ATTEMPT PID        the body of a step begins
    private STEP ATTEMPT PID    the same of a step that is not durable, which a replay runs again
    ack STEP 0 PID              its settlement is in the file, and its answer is about to be given
    launched RUN 0 PID          launching the run has been answered
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Line(NamedTuple):
    """One thing that happened."""

    what: str
    id: str
    attempt: int
    pid: int


class Ledger:
    """Writes lines, from any thread of any process."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, what: str, id: str, attempt: int = 0) -> None:
        os.write(self._file, f"{what} {id} {attempt} {os.getpid()}\n".encode())


def lines_of(path: str | os.PathLike[str]) -> list[Line]:
    """All that was written so far, in order."""
    text = Path(path).read_text() if Path(path).exists() else ""
    split = (line.split() for line in text.splitlines())
    return [Line(what, step, int(attempt), int(pid)) for what, step, attempt, pid in split]


def run_again_after(lines: Iterable[Line]) -> list[Line]:
    """The executions of steps that had been acknowledged before: there must be none."""
    acknowledged: set[str] = set()
    wrong: list[Line] = []
    for line in lines:
        if line.what == "ack":
            acknowledged.add(line.id)
        elif line.what == "run" and line.id in acknowledged:
            wrong.append(line)
    return wrong


def executions(lines: Iterable[Line]) -> Counter[tuple[str, int]]:
    """How often each attempt of each step began."""
    return Counter((line.id, line.attempt) for line in lines if line.what == "run")
