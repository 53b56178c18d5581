"""Runs whose replies get lost or come late, or whose server dies, at each of their requests: nothing is lost and no step runs again.

The sweeps are generators of what was wrong; a test takes some boundaries, `python -m tests.chaos.sweep remote` all.
"""

from __future__ import annotations

import itertools
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from resonate import Handle, Resonate
from resonate.limits import BACKOFF_LIMIT_S, REQUEST_TIMEOUT_S
from resonate.server import DevelopmentServer
from resonate.stores import RemoteStore
from tests.remote.crossing import LATE, LOSE_REPLY, PASS, Asked, Crossing, Fate
from tests.remote.processes import ServerProcess
from tests.remote.programs import ENDS, register, start

PROGRAMS: dict[str, tuple[tuple[Any, ...], Any]] = {
    **{name: ENDS[name] for name in ("fan_out", "nested", "coroutine", "retries")}, "sequence": ((3,), ["s0", "s1", "s2"]),
    "sleeps": ((0.05,), "awake"), "calls": (("sequence", "there", 1), ["s0"]),
}  # fmt: skip
SOON_S = 30
LATE_S = 30.0
STEPS = 1
CREATIONS = ("POST /promises/task", "task.create")
QUICK_TRIES = 10
"""A server that does not answer is asked so often in quick succession before the pauses have grown to their limit."""
INTERRUPT_LIMIT_S = 0.2
RECOVERY_S = 2.0
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


@dataclass
class Slowness:
    """What runs with a slow server came to."""

    runs: int = 0
    late: int = 0
    """Replies that came late."""
    asked_a_second: float = 0.0
    interrupt_s: float = 0.0
    recovery_s: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.runs} runs, {self.late} late replies; at most {self.asked_a_second:.2f} requests a second, an interrupt within "
            f"{self.interrupt_s * 1000:.0f} ms, all right {self.recovery_s:.1f} s after the server; {len(self.wrong)} wrong"
        )

    def expect(self, is_so: bool, told: str) -> None:
        if not is_so:
            self.wrong.append(told)


class Slow:
    """A client of a server whose replies come `late_s` after it has acted, and which waits `timeout_s` for each."""

    def __init__(self, url: str, protocol: str, late_s: float, timeout_s: float, figures: Slowness) -> None:
        self.crossing, self.figures, self.ran = Crossing(url), figures, list[str]()
        self.crossing.late_s = late_s
        self.timeout_s, self.where = timeout_s, f"{protocol}, replies after {late_s:g} s, waited for {timeout_s:g} s"
        store = RemoteStore(self.crossing.url, timeout=timeout_s, protocol=protocol, log_level=logging.CRITICAL)
        # A lease that lapses between two answers would be given out again and again, for as long as the server is so slow.
        self.ours = Resonate(store=store, group=f"slow{time.time_ns()}", ttl=120, log_level="CRITICAL", workers=4)
        register(self.ours, self.ran.append)
        start(self.ours)
        self.ours.begin_run(f"warm{time.time_ns()}", "sequence", 1).result(SOON_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ours.stop()
        self.crossing.down()

    def fall(self, is_late: Callable[[Asked], bool]) -> None:
        """From now on those replies come late; what has run and was asked is counted anew."""

        def fate(asked: Asked) -> Fate:
            if not is_late(asked):
                return PASS
            self.figures.late += 1
            return LATE

        self.ran.clear()
        self.crossing.asked.clear()
        self.crossing.times.clear()
        self.crossing.fate = fate

    def begin(self) -> Handle[Any]:
        self.figures.runs += 1
        return self.ours.begin_run(f"slow{time.time_ns()}", "sequence", STEPS)

    def end(self, handle: Handle[Any], within_s: float) -> None:
        """The run comes to its end in time, and none of its steps has run twice."""
        try:
            got = handle.result(within_s)
            self.figures.expect(got == [f"s{number}" for number in range(STEPS)], f"{self.where}: {got!r}")
        except Exception as error:
            self.figures.wrong.append(f"{self.where}: {error!r}")
        self.figures.expect(len(self.ran) == len(set(self.ran)), f"{self.where}: ran again: {self.ran}")

    def interrupt(self, after_s: float, wait: Callable[[], Any]) -> None:
        """Ctrl-C ends what would wait longer."""
        sent: list[float] = []

        def press() -> None:
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

        timer = threading.Timer(after_s, press)
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell sets aside in the background
        timer.start()
        try:
            wait()
            self.figures.wrong.append(f"{self.where}: a wait that was to be interrupted has ended")
        except KeyboardInterrupt:
            took_s = time.monotonic() - sent[0]
            self.figures.interrupt_s = max(self.figures.interrupt_s, took_s)
            self.figures.expect(took_s < INTERRUPT_LIMIT_S, f"{self.where}: an interrupt was answered after {took_s:.2f} s")
        finally:
            signal.signal(signal.SIGINT, before)
        timer.join()


def slow_replies(url: str, protocol: str, figures: Slowness, late_s: float, timeout_s: float = REQUEST_TIMEOUT_S) -> None:
    """Replies come after the client has given them up: first those to each request's first try, then for a while all, with interrupts."""
    with Slow(url, protocol, late_s, timeout_s, figures) as slow:
        tried: set[tuple[str, bytes]] = set()

        def is_first_try(asked: Asked) -> bool:
            request = asked.head, asked.body
            is_first = request not in tried and asked.kind not in CREATIONS  # who begins a run is told after 10 s that nobody answers
            tried.add(request)
            return is_first

        slow.fall(is_first_try)
        began = time.monotonic()
        slow.end(slow.begin(), SOON_S + 10 * timeout_s)
        figures.expect(len(tried) >= 2 + 2 * STEPS, f"{slow.where}: only {len(tried)} requests")
        limit_s = len(tried) * (timeout_s + 1.25 * BACKOFF_LIMIT_S) + RECOVERY_S
        figures.expect(time.monotonic() - began < limit_s, f"{slow.where}: it took longer than its {len(tried)} requests may")
        slow.fall(lambda asked: asked.kind not in CREATIONS)  # so the run is there, and all that it asks for comes late
        handle, began = slow.begin(), time.monotonic()
        slow.interrupt(timeout_s * 0.5, handle.result)
        slow.interrupt(timeout_s * 1.5, lambda: slow.ours.promises.get(handle.id))
        time.sleep(max(0.0, began + 1.5 * late_s - time.monotonic()))  # how often it asks in that time is what is measured
        spell_s, asks = time.monotonic() - began, len(slow.crossing.times)
        figures.asked_a_second = max(figures.asked_a_second, asks / spell_s)
        figures.expect(asks <= QUICK_TRIES + spell_s, f"{slow.where}: asked {asks} times in {spell_s:.1f} s")
        slow.crossing.fate = lambda asked: PASS
        well = time.monotonic()
        # What it was asked last is still given the time for it, and the next try its pause.
        slow.end(handle, RECOVERY_S + timeout_s + 1.25 * BACKOFF_LIMIT_S)
        figures.recovery_s = max(figures.recovery_s, time.monotonic() - well)


def awaited_replies(url: str, protocol: str, figures: Slowness, late_s: float) -> None:
    """A server all of whose replies take long is used by who waits longer: each request is sent once."""
    with Slow(url, protocol, late_s, 2 * late_s, figures) as slow:
        slow.fall(lambda asked: True)
        began = time.monotonic()
        slow.end(slow.begin(), (2 + 2 * STEPS) * late_s + SOON_S)
        extra = ("GET /promises/x", "POST /tasks/heartbeat", "task.heartbeat")  # which are the same each time
        asked = [(each.head, each.body) for each in slow.crossing.asked if each.kind not in extra]
        figures.expect(len(asked) == len(set(asked)), f"{slow.where}: asked again")
        figures.recovery_s = max(figures.recovery_s, time.monotonic() - began - (2 + 2 * STEPS) * late_s)


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
    yield from slow_sweep()


def slow_sweep() -> Iterator[tuple[str, list[str]]]:
    """Replies that take half a minute, for both protocols."""
    with DevelopmentServer(port=0, message_port=0) as server:
        for protocol in ("legacy", "current"):
            for told, tried in (("given up and asked for again", slow_replies), ("waited for", awaited_replies)):
                slowness = Slowness()
                tried(server.url, protocol, slowness, LATE_S)
                yield f"replies after {LATE_S:g} s, {protocol}, {told}: {slowness}", slowness.wrong
