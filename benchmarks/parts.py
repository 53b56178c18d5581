"""Measures where the time of a step goes, and that of importing the package, prints both and writes them into RESULTS.md.

    make bench-parts                                  some three minutes
    make bench-parts BENCH="--quick"                  ten seconds, fewer steps, RESULTS.md is left alone

One run of so many steps in a row, in memory and in a file: once as it is, and once with a stopwatch around the parts that `PARTS` names. A
part's time is what its thread's processor spent in it and in no other part inside it, less what the stopwatch itself takes, which is
measured on functions that do nothing; `the rest` is what was spent in no part. What is told is each part's share of the second run, in
nanoseconds of the first; how well the two agree is told too. Each repetition is a process of its own, and the quickest of them is told:
whatever else a machine does only adds to what is measured here.
"""

from __future__ import annotations

import argparse
import functools
import gc
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common import expect
from ours import OurPeer
from processes import BARE, ROOT
from run import machine, write_results
from tables import number

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
RAW = ROOT / "build" / "bench-parts.json"
BEGIN, END = "<!-- parts:begin -->", "<!-- parts:end -->"
STEPS = 20_000
WARM_UP = 500
REPETITIONS = 5
WAYS = {"memory": "in memory", "fast": "in a file, `fast`", "full": "in a file, `full`"}
CALIBRATION = 100_000
REST, ALL, CLOCK = "the rest: the caller's thread and that of the timers", "**in all, with no stopwatch**", "the same by the clock"
WATCHED = "the same with stopwatches, less what these take"
PARTS: dict[str, tuple[str, ...]] = {
    "calling the function, continuing the generator": ("resonate.steps:Steps.perform",),
    "the call as a command: options, key, text of the arguments": ("resonate.context:Context.run", "resonate.steps:Steps._prepare"),
    "the result as text (encoding)": ("resonate.steps:Steps._success",),
    "the run: its events and actions (`Computation`)": tuple(
        f"resonate.computation:Computation.{event}" for event in ("start", "yielded", "returned", "answered")
    ),
    "scheduling: mailboxes, the right to drive, the workers' loop": ("resonate.workers:Workers._do",),
    "the store: its lock, queue and answers": (
        "resonate.stores.local:LocalStore.post", "resonate.stores.sqlite:SqliteStore.post", "resonate.stores.sqlite:SqliteStore.flush",
    ),
    "the answer given ahead (`Ahead`)": ("resonate.stores.ahead:Ahead.answer", "resonate.stores.ahead:Ahead.take"),
    "the machine's operations (`Machine`)": ("resonate.machine:Machine.apply",),
    "looking whether the file has the promise": ("resonate.stores.file:PromiseFile.look",),
    "`BEGIN IMMEDIATE`, and whether others have written": ("resonate.stores.file:PromiseFile.begin",),
    "the row: JSON and checksum": ("resonate.stores.file:promise_row",),
    "`INSERT` into a table and its indexes": ("resonate.stores.file:PromiseFile.write",),
    "`COMMIT`": ("resonate.stores.file:PromiseFile.commit",),
}  # fmt: skip
"""What is measured, and the functions that are it. What one of them calls that stands here too is that one's time."""


# ---- a step ------------------------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Part:
    """What was spent in a part and in no other inside it, how often it was entered, and how often it was left for one inside it."""

    spent_ns: int = 0
    entered: int = 0
    left: int = 0


class Stopwatch:
    """Takes the processor's time in parts of a program."""

    def __init__(self) -> None:
        self.parts = {name: Part() for name in PARTS}
        self._here = threading.local()

    def around(self, part: Part, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time taken for a part."""
        here, clock = self._here, time.thread_time_ns

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            try:
                entered = here.entered
            except AttributeError:
                entered = here.entered = []
            own: list[Any] = [part, 0]  # and the nanoseconds in parts inside it
            entered.append(own)
            began_ns = clock()
            try:
                return function(*args, **kwargs)
            finally:
                took_ns = clock() - began_ns
                entered.pop()
                part.spent_ns += took_ns - own[1]
                part.entered += 1
                if entered:
                    entered[-1][0].left += 1
                    entered[-1][1] += took_ns

        return timed

    def put_on(self) -> None:
        """Measure the functions of all parts from now on."""
        for name, places in PARTS.items():
            for place in places:
                module, _, path = place.partition(":")
                *outer, attribute = path.split(".")
                owner: Any = functools.reduce(getattr, outer, importlib.import_module(module))
                setattr(owner, attribute, self.around(self.parts[name], getattr(owner, attribute)))

    def reset(self) -> None:
        """Begin at nothing."""
        for part in self.parts.values():
            part.spent_ns = part.entered = part.left = 0

    def own_cost_ns(self) -> tuple[float, float]:
        """What measuring a call adds to its part, and to the part around it."""

        def nothing(_: int) -> None:
            pass

        def call_often(function: Callable[[int], None]) -> None:
            for value in range(CALIBRATION):
                function(value)

        plain, inner, outer = Part(), Part(), Part()
        self.around(plain, call_often)(nothing)
        self.around(outer, call_often)(self.around(inner, nothing))
        return (inner.spent_ns - plain.spent_ns) / CALIBRATION, outer.spent_ns / CALIBRATION

    def spent_without_itself(self) -> dict[str, float]:
        """Nanoseconds by the part, without what measuring has cost."""
        inside_ns, outside_ns = self.own_cost_ns()
        return {name: part.spent_ns - part.entered * inside_ns - part.left * outside_ns for name, part in self.parts.items()}


def run_once(way: str, steps: int, stopwatch: Stopwatch) -> tuple[float, float]:
    """One run of so many steps: nanoseconds a step, of the processor and by the clock."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=RAW.parent) as folder:
        peer = OurPeer("" if way == "memory" else way, Path(folder))
        expect(peer.seq(WARM_UP), WARM_UP)
        gc.collect()
        stopwatch.reset()
        cpu_ns, wall_ns = time.process_time_ns(), time.perf_counter_ns()
        expect(peer.seq(steps), steps)
        cpu_ns, wall_ns = time.process_time_ns() - cpu_ns, time.perf_counter_ns() - wall_ns
        peer.client.stop()  # its worker leaves the last part, which is the loop around all others
    return cpu_ns / steps, wall_ns / steps


def step_figures(way: str, steps: int) -> dict[str, float]:
    """What a step costs in this process, without a stopwatch and with one."""
    stopwatch = Stopwatch()
    all_ns, clock_ns = run_once(way, steps, stopwatch)
    stopwatch.put_on()
    measured_ns, _ = run_once(way, steps, stopwatch)
    rest = measured_ns - sum(part.spent_ns for part in stopwatch.parts.values()) / steps
    parts = {name: ns / steps for name, ns in stopwatch.spent_without_itself().items()} | {REST: rest}
    together = sum(parts.values())
    return {name: ns / together * all_ns for name, ns in parts.items()} | {ALL: all_ns, WATCHED: together, CLOCK: clock_ns}


# ---- a new process -----------------------------------------------------------------------------------------------------------------------

OWN, STANDARD, CLASSES, WHOLE = (
    "our modules", "modules of the standard library", "data classes made, within our modules", "**the process, over a bare interpreter**",
)  # fmt: skip
IMPORTED = re.compile(r"import time:\s+(\d+) \|\s+\d+ \| +(\S+)")
COUNTED = """
import dataclasses, sys, time
plain, count, spent = dataclasses._process_class, 0, 0
def timed(cls, *args, **kwargs):
    global count, spent
    began = time.perf_counter_ns()
    try:
        return plain(cls, *args, **kwargs)
    finally:
        count, spent = count + 1, spent + time.perf_counter_ns() - began
dataclasses._process_class = timed
import resonate, resonate.resonate
print(count, spent)
"""
"""Tells how many data classes importing the package makes, and in how many nanoseconds."""


def said_by(*arguments: str) -> tuple[str, str, float]:
    """What a new process says, what it complains of, and the milliseconds that it takes."""
    began_ns = time.perf_counter_ns()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True, env=environment)
    return done.stdout, done.stderr, (time.perf_counter_ns() - began_ns) / 1e6


def process_figures() -> dict[str, tuple[float, int]]:
    """A process that imports the package and does a run of one step: milliseconds, and of how many modules or classes."""
    cold = (str(HERE / "cold.py"), "resonate", "")
    bare_ms, whole_ms = said_by("-c", BARE)[2], said_by(*cold)[2]
    usual = {name for _, name in IMPORTED.findall(said_by("-X", "importtime", "-c", BARE)[1])}
    found = [(int(us) / 1000, name) for us, name in IMPORTED.findall(said_by("-X", "importtime", *cold)[1]) if name not in usual]
    own = [ms for ms, name in found if name.partition(".")[0] == "resonate"]
    standard = [ms for ms, name in found if name.partition(".")[0] != "resonate"]
    count, spent_ns = said_by("-c", COUNTED)[0].split()
    return {
        OWN: (sum(own), len(own)), CLASSES: (int(spent_ns) / 1e6, int(count)), STANDARD: (sum(standard), len(standard)),
        WHOLE: (whole_ms - bare_ms, 0),
    }  # fmt: skip


# ---- what is told ------------------------------------------------------------------------------------------------------------------------


def step_table(figures: dict[str, list[dict[str, float]]]) -> list[str]:
    """A row for each part, a column for each way: its quickest process."""
    quickest = {way: min(processes, key=lambda each: each[ALL] + each[WATCHED]) for way, processes in figures.items()}

    def cell(way: str, name: str) -> str:
        return number(quickest[way][name]) if quickest[way][name] else "-"

    lines = [f"| a step, ns | {' | '.join(WAYS.values())} |", f"| --- |{' --- |' * len(WAYS)}"]
    return lines + [f"| {name} | {' | '.join(cell(way, name) for way in WAYS)} |" for name in (*PARTS, REST, ALL, WATCHED, CLOCK)]


def process_table(figures: list[dict[str, tuple[float, int]]]) -> list[str]:
    """A row for each part of a new process, the quickest of each."""
    rows = [
        f"| {name} | {number(min(each[name][0] for each in figures))} | {how_many or '-'} |"
        for name, (_, how_many) in figures[0].items()
    ]
    return ["| a new process, ms | | how many |", "| --- | --- | --- |", *rows]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure where the time of a step and of an import goes.")
    parser.add_argument("--quick", action="store_true", help="few steps, one repetition, RESULTS.md is left alone")
    parser.add_argument("--one", choices=WAYS, help="measure in this process, and print one line of JSON")
    options = parser.parse_args()
    steps, repetitions = (STEPS // 10, 1) if options.quick else (STEPS, REPETITIONS)
    RAW.parent.mkdir(exist_ok=True)
    if options.one:
        print(json.dumps(step_figures(options.one, steps)), flush=True)
        os._exit(0)
    load_before = os.getloadavg()[0]
    stepped: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    begun = []
    for _ in range(repetitions):
        for way in WAYS:
            stepped[way].append(json.loads(said_by(__file__, "--one", way, *(["--quick"] if options.quick else []))[0]))
        begun.append(process_figures())
    RAW.write_text(json.dumps({"steps": stepped, "processes": begun}, indent=1))
    told = [
        f"Made by `make bench-parts` on {time.strftime('%Y-%m-%d')}: the quickest of {repetitions} processes, {steps:,} steps in a row.",
        f"Machine: {machine()}. Load average {load_before:.1f} before and {os.getloadavg()[0]:.1f} after.",
    ]
    text = "\n".join([*told, "", *step_table(stepped), "", *process_table(begun)])
    print(text)
    if options.quick:
        print(f"\n{RESULTS.name} is left as it was. Raw figures: {RAW.relative_to(ROOT)}")
    else:
        write_results(RESULTS, text, BEGIN, END)
        print(f"\nWritten to {RESULTS.relative_to(ROOT)}; raw figures in {RAW.relative_to(ROOT)}.")


if __name__ == "__main__":
    main()
