"""Runs whose replies get lost, or whose server dies, at each of their requests: nothing is lost and no step runs again.

The sweeps are generators of what was wrong; a test takes some boundaries, `python -m tests.chaos.sweep remote` all.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from resonate import Resonate
from resonate.server import DevelopmentServer
from tests.remote.crossing import LOSE_REPLY, PASS, Asked, Crossing, Fate
from tests.remote.processes import ServerProcess
from tests.remote.programs import ENDS, register, start

PROGRAMS: dict[str, tuple[tuple[Any, ...], Any]] = {
    **{name: ENDS[name] for name in ("fan_out", "nested", "coroutine", "retries")}, "sequence": ((3,), ["s0", "s1", "s2"]),
    "sleeps": ((0.05,), "awake"), "calls": (("sequence", "there", 1), ["s0"]),
}  # fmt: skip
SOON_S = 30
_NUMBERS = itertools.count(1)


@dataclass
class Figures:
    """What a sweep came to."""

    runs: int = 0
    slowest_s: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.runs} runs, the slowest {self.slowest_s:.1f} s, {len(self.wrong)} wrong"


class Pair:
    """Two clients that go through a crossing: the one that begins a run, and another group's worker."""

    def __init__(self, url: str, protocol: str) -> None:
        self.ran: list[str] = []
        group = f"loss{time.time_ns()}"
        self.target = f"{group}-there"
        given: dict[str, Any] = {"host": url, "protocol": protocol, "ttl": 5, "log_level": "CRITICAL", "workers": 4}
        made = [Resonate.remote(group=each, **given) for each in (group, self.target)]
        for each in made:
            register(each, self.ran.append)
            start(each)
        self.ours, self.theirs = made

    def stop(self) -> None:
        self.ours.stop()
        self.theirs.stop()

    def run(self, program: str, figures: Figures, where: str) -> None:
        """One run of a program, and what was wrong with it."""
        self.ran.clear()
        run_id, (arguments, value) = f"run{time.time_ns()}-{next(_NUMBERS)}", PROGRAMS[program]
        given = [self.target if each == "there" else each for each in arguments]
        began = time.monotonic()
        try:
            got = self.ours.begin_run(run_id, program, *given).result(SOON_S)
            if got != value:
                figures.wrong.append(f"{where}: {got!r}, not {value!r}")
            repeated = [each for each in set(self.ran) if self.ran.count(each) > 1]
            if repeated:
                figures.wrong.append(f"{where}: ran again: {repeated}")
        except Exception as error:
            figures.wrong.append(f"{where}: {error!r}")
        figures.runs += 1
        figures.slowest_s = max(figures.slowest_s, time.monotonic() - began)


def at(number: int, do: Callable[[], Fate]) -> Callable[[Asked], Fate]:
    return lambda asked: do() if asked.number == number else PASS


def boundaries(crossing: Crossing, pair: Pair, program: str, figures: Figures) -> int:
    """How many requests an undisturbed run has."""
    crossing.fate = lambda asked: PASS
    crossing.asked.clear()
    pair.run(program, figures, f"{program}, undisturbed")
    return len(crossing.asked)


def lost_replies(url: str, protocol: str, program: str, figures: Figures, every: int = 1) -> None:
    """Lose the reply to each request of a run, one at a time."""
    with Crossing(url) as crossing:
        pair = Pair(crossing.url, protocol)
        try:
            pair.run(program, figures, "warm")
            count = boundaries(crossing, pair, program, figures)
            for number in range(1, count + 1, every):
                lost: list[str] = []

                def lose(asked: Asked, number: int = number, lost: list[str] = lost) -> Fate:
                    if asked.number != number:
                        return PASS
                    lost.append(asked.kind)
                    return LOSE_REPLY

                crossing.asked.clear()
                crossing.fate = lose
                pair.run(program, figures, f"{protocol}, {program}, reply {number} of {count} lost ({lost})")
        finally:
            pair.stop()


def killed_servers(protocol: str, program: str, figures: Figures, every: int = 1, first: int = 1) -> None:
    """Kill the server after each request of a run, before its reply is there and after, and start it anew on its file."""
    with (
        TemporaryDirectory(prefix="remote-") as folder, ServerProcess(Path(folder) / "promises.db") as server,
        Crossing(server.url) as crossing,
    ):  # fmt: skip
        pair = Pair(crossing.url, protocol)
        try:
            pair.run(program, figures, "warm")
            count = boundaries(crossing, pair, program, figures)
            for number in range(first, count + 1, every):

                def die(number: int = number) -> Fate:
                    server.kill()
                    server.start()
                    crossing.cut_streams()
                    return LOSE_REPLY if number % 2 else PASS

                crossing.asked.clear()
                crossing.fate = at(number, die)
                pair.run(program, figures, f"{protocol}, {program}, server killed at request {number} of {count}")
        finally:
            pair.stop()


def sweep() -> Iterator[tuple[str, list[str]]]:
    """Everything, for both protocols."""
    with DevelopmentServer(port=0, message_port=0) as server:
        for protocol in ("legacy", "current"):
            for program in PROGRAMS:
                figures = Figures()
                lost_replies(server.url, protocol, program, figures)
                yield f"lost replies, {protocol}, {program}: {figures}", figures.wrong
    for protocol in ("legacy", "current"):
        for program in ("sequence", "fan_out", "calls", "sleeps"):
            figures = Figures()
            killed_servers(protocol, program, figures)
            yield f"killed servers, {protocol}, {program}: {figures}", figures.wrong
