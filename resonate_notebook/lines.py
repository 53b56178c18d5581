"""What durable functions have printed, logged and warned of, line by line, kept by run and call within bounds.

Text comes in pieces, as `print` writes it. A piece without an end of line stays open and is joined with the next one of the same
attempt and stream; a carriage return begins its line anew, as on a terminal, so a progress bar is one line. The oldest lines go first:
those of a call beyond its bound, then those of its run. How many went is kept, for whoever reads should know that something is missing.

Any thread may write and read. Who writes waits for nobody: text lands in an inbox, which is worked off by whoever reads, or by a writer
once much stands in it and nobody else is at it. So a finalizer that prints in the middle of that can do no harm either.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict, deque
from typing import Final, NamedTuple

from resonate_notebook.model import hidden
from resonate_notebook.text import visible

LINES_OF_A_CALL_MAX: Final = 500
LINES_OF_A_RUN_MAX: Final = 2_000
LINE_LIMIT: Final = 1_000
"""Characters of a line; what is longer ends in `…`."""
PIECE_LINES_MAX: Final = LINES_OF_A_CALL_MAX
"""Lines that are taken of one piece of text, its last ones: no more of one call are kept anyway."""
INBOX_PIECES_MAX: Final = 200
INBOX_LONG_PIECE: Final = 10_000
"""Characters of a piece that is not left in the inbox, nor the ones before it."""
RUNS_MAX: Final = 1_000
"""Runs with lines, whoever remembers them; beyond that the one goes that began to speak first."""

_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")


class Line(NamedTuple):
    """One line. `number` grows from line to line of a run, `changed` with every piece of text, `at` is in seconds since the epoch.

    `stream` is stdout, stderr, warning, or `log` and a level's word; `level` is one of `logging`, 0 for what was printed.
    """

    number: int
    changed: int
    at: float
    id: str
    attempt: int
    stream: str
    level: int
    text: str


class _Run:
    """The lines of one run, by number; of each call the numbers of its lines and how many it ever had."""

    def __init__(self) -> None:
        self.lines: OrderedDict[int, Line] = OrderedDict()
        self.numbers: dict[str, deque[int]] = {}
        self.totals: dict[str, int] = {}
        self.open: dict[tuple[str, int, str], int] = {}
        self.written = 0  # pieces and lines so far
        self.total = 0

    def add(self, at: float, id: str, attempt: int, stream: str, level: int, text: str) -> int:
        """A new line; the oldest ones go where there are too many."""
        self.written += 1
        self.total += 1
        number = self.written
        self.lines[number] = Line(number, number, at, id, attempt, stream, level, text)
        own = self.numbers.setdefault(id, deque())
        own.append(number)
        self.totals[id] = self.totals.get(id, 0) + 1
        if len(own) > LINES_OF_A_CALL_MAX:
            self._drop(own[0])
        if len(self.lines) > LINES_OF_A_RUN_MAX:
            self._drop(next(iter(self.lines)))
        return number

    def _drop(self, number: int) -> None:
        line = self.lines.pop(number)
        own = self.numbers[line.id]
        own.popleft()  # lines of a call go oldest first, so it is this one
        key = (line.id, line.attempt, line.stream)
        if self.open.get(key) == number:
            del self.open[key]
        if not own:
            del self.numbers[line.id], self.totals[line.id]

    def write(self, at: float, id: str, attempt: int, stream: str, text: str) -> None:
        """A piece of what is printed."""
        key = (id, attempt, stream)
        parts = text.split("\n")
        left_out = len(parts) - 1 - PIECE_LINES_MAX
        if left_out > 0:
            del parts[:left_out]
            self.open.pop(key, None)
        for index, part in enumerate(parts):
            is_last = index == len(parts) - 1  # what stands behind the last end of a line, if anything
            number = self.open.get(key)
            if number is None and not (is_last and not part):
                self.open[key] = self.add(at, id, attempt, stream, 0, _joined("", part))
            elif number is not None and part:
                before = self.lines[number]
                self.written += 1
                self.lines[number] = before._replace(text=_joined(before.text, part), changed=self.written)
            if not is_last and (number := self.open.pop(key, None)) is not None:
                self.written += 1
                self.lines[number] = self.lines[number]._replace(changed=self.written)
        if left_out > 0:
            self.total += left_out
            self.totals[id] += left_out


class Lines:
    r"""The lines of all runs.

    >>> lines = Lines()
    >>> lines.write(0.0, "demo.1", "demo.1.3", 1, "stdout", "reading\n3 ro")
    >>> lines.write(0.0, "demo.1", "demo.1.3", 1, "stdout", "ws\n")
    >>> [line.text for line in lines.of("demo.1")]
    ['reading', '3 rows']
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inbox: deque[tuple[float, str, str, int, str, int | None, str]] = deque()
        self._runs: dict[str, _Run] = {}

    def write(self, at: float, run_id: str, id: str, attempt: int, stream: str, text: str) -> None:
        """Takes in a piece of what call `id` prints in its attempt; `stream` is stdout or stderr."""
        self._take((at, run_id, id, attempt, stream, None, text))

    def say(self, at: float, run_id: str, id: str, attempt: int, stream: str, level: int, text: str) -> None:
        """Takes in a record of a log, or a warning; each line of its text becomes a line."""
        self._take((at, run_id, id, attempt, stream, level, text))

    def _take(self, piece: tuple[float, str, str, int, str, int | None, str]) -> None:
        self._inbox.append(piece)
        if (len(self._inbox) >= INBOX_PIECES_MAX or len(piece[-1]) > INBOX_LONG_PIECE) and self._lock.acquire(blocking=False):
            try:
                self._work_off()
            finally:
                self._lock.release()

    def _work_off(self) -> None:
        """Sorts what stands in the inbox into the runs; under the lock."""
        while self._inbox:
            at, run_id, call, attempt, stream, level, text = self._inbox.popleft()
            run = self._run(run_id)
            if level is None:
                run.write(at, call, attempt, stream, text)
                continue
            for part in text.split("\n")[-PIECE_LINES_MAX:]:
                run.add(at, call, attempt, stream, level, cut_line(part))

    def _run(self, run_id: str) -> _Run:
        run = self._runs.get(run_id)
        if run is None:
            run = self._runs[run_id] = _Run()
            if len(self._runs) > RUNS_MAX:
                del self._runs[next(iter(self._runs))]
        return run

    def of(self, run_id: str, id: str | None = None, *, after: int = 0, whole: bool = False) -> list[Line]:
        """The lines that are kept of a run, or of one call of it, oldest first, without the secrets in them.

        `after` leaves out what has not `changed` since that mark, `whole` lines that are still open.
        """
        with self._lock:
            self._work_off()
            run = self._runs.get(run_id)
            if run is None:
                return []
            found = run.lines.values() if id is None else [run.lines[number] for number in run.numbers.get(id, ())]
            left_out = set(run.open.values()) if whole else ()
            fresh = [line for line in found if line.changed > after and line.number not in left_out]
            return [line._replace(text=hidden(line.text.rstrip("\r"))) for line in fresh]

    def total(self, run_id: str, id: str | None = None) -> int:
        """How many lines a run has had, or one call as long as any line of it is kept."""
        with self._lock:
            self._work_off()
            run = self._runs.get(run_id)
            return 0 if run is None else run.total if id is None else run.totals.get(id, 0)

    def run_of(self, id: str) -> str | None:
        """The run in which call `id` has said something; None when none is kept."""
        with self._lock:
            self._work_off()
            return next((run_id for run_id, run in self._runs.items() if id in run.numbers), None)

    def forget(self, run_id: str) -> None:
        """Drops all lines of a run."""
        with self._lock:
            self._work_off()
            self._runs.pop(run_id, None)


def _joined(before: str, part: str) -> str:
    """An open line and what comes after it. A carriage return at its end is kept, for the next text is written over the line."""
    if "\r" in part or before.endswith("\r"):
        over = before + part
        kept = [each for each in over.split("\r") if each]
        return cut_line(kept[-1] if kept else "") + "\r" * over.endswith("\r")
    return before if len(before) >= LINE_LIMIT else cut_line(before + part)


def cut_line(text: str, limit: int = LINE_LIMIT) -> str:
    """At most `limit` characters that can be sent anywhere: no codes that colour a line, spaces for tabs, no lone surrogates."""
    if "\x1b" in text:
        text = _COLOURS.sub("", text)
    if "\t" in text:
        text = text.expandtabs()
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= limit else text[: limit - 1] + "…"


def line_text(line: Line, name: str, *, stable: bool = False) -> str:
    """A line with where it comes from, on one line: `12:04:31 · demo.1.3 clean · stdout · 3 rows`; without its time if `stable`."""
    return visible(" · ".join([*([] if stable else [clock(line.at)]), speaker(line, name), line.stream, line.text]))


def speaker(line: Line, name: str) -> str:
    """Which attempt at which call it was: `demo.1.3 clean, attempt 2`."""
    return f"{line.id} {name}".rstrip() + (f", attempt {line.attempt}" if line.attempt > 1 else "")


def clock(at: float) -> str:
    """A moment in local time, with its day unless that is today."""
    then, today = time.localtime(at), time.localtime()
    return time.strftime("%H:%M:%S" if then[:3] == today[:3] else "%Y-%m-%d %H:%M:%S", then)
