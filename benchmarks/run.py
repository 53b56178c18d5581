"""Measures this package beside bare floors, resonate-sdk 0.6.7 and DBOS, prints the tables and writes them into RESULTS.md.

    make bench                                       about a quarter of an hour
    make bench BENCH=--quick                         two minutes, small sizes, RESULTS.md is left alone
    make bench BENCH="--only '^seq ' --peers 'memory|memjson' --repetitions 5"

`cases.py` says what is measured, under whom and what is to be reached; `measure.py` is one measurement, in a fresh process. The peers
alternate inside each repetition, so a slow phase of the machine hits all of them; a ratio is taken between figures of one repetition
and only then the median. Rivals live in environments of their own, which are made when they are missing. A case that fails or does not end
in time is a row like any other; after a time-out it is not tried again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import shlex
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cases import CASES, OURS, TARGETS, Case, Row, Target
from processes import DBOS, REFERENCE, ROOT, CannotInstall, dbos_python, measure, modern_python, reference_python
from tables import number, render

RAW = ROOT / "build" / "bench.json"
BEGIN, END = "<!-- tables:begin -->", "<!-- tables:end -->"
ENVIRONMENTS = {"0.6.7": reference_python, "dbos": dbos_python, "remote-0.6.7": reference_python, "remote-0.8.1": modern_python}
Measure = Callable[[str, Case, str, int, str, float], Row]


def interpreters(cases: list[Case], peers: re.Pattern[str]) -> dict[str, str | CannotInstall]:
    """For each peer that takes part its interpreter, or why there is none."""
    found: dict[str, str | CannotInstall] = {}
    for peer in dict.fromkeys(peer for case in cases for peer in case.peers if peers.search(peer)):
        try:
            found[peer] = ENVIRONMENTS[peer]() if peer in ENVIRONMENTS else sys.executable
        except CannotInstall as error:
            found[peer] = error
    return found


def turns(case: Case, repetition: int, peers: dict[str, str | CannotInstall], *, is_quick: bool) -> list[str]:
    """Who is measured when in this repetition: everybody in turn, the other way round each second time; ours perhaps more often."""
    present = [peer for peer in case.peers if peer in peers and (repetition == 0 or peer not in case.once)]
    times = min(case.times, 2) if is_quick else case.times
    rounds = [[peer for peer in present if number == 0 or peer in OURS or case.workload == "cold"] for number in range(times)]
    order = [peer for each in rounds for peer in each]
    return order if repetition % 2 == 0 else order[::-1]


def measure_all(
    cases: list[Case], peers: dict[str, str | CannotInstall], repetitions: int, timeout_s: float, measure: Measure = measure, *,
    is_quick: bool,
) -> dict[tuple[str, str], list[Row]]:  # fmt: skip
    """Rows of each case and peer, one for each process."""
    rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
    RAW.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=RAW.parent) as folder:  # files belong on the project's own disk
        for repetition in range(repetitions):
            for case in cases:
                count = case.size(is_quick=is_quick)
                for peer in turns(case, repetition, peers, is_quick=is_quick):
                    earlier, python = rows[case.key, peer], peers[peer]
                    if earlier and earlier[-1].get("timed_out"):
                        continue
                    if isinstance(python, str):
                        row = measure(python, case, peer, count, folder, timeout_s)
                    else:
                        row = {"error": str(python), "timed_out": True}
                    earlier.append(row | {"repetition": repetition})
                    told = row.get("error") or f"{number(row[case.figure])} {case.unit}"
                    print(f"  {repetition + 1}/{repetitions}  {case.key:13} {count:7} ×{case.concurrency:<3} {peer:14} {told}", flush=True)
    return rows


def machine() -> str:
    """The processor, its cores, the system and the interpreter."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
        model = match[1] if match else model
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, {python}"


def write_results(path: Path, text: str, begin: str = BEGIN, end: str = END) -> None:
    """Put the text between two markers of a page; everything around them is written by people, or by another command."""
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{path} has lost its markers {begin} and {end}.")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


@dataclass(frozen=True)
class Benchmark:
    """One page of figures: what it measures, and what it says of that."""

    verb: str
    description: str
    page: Path
    raw: Path
    cases: Sequence[Case]
    targets: Sequence[Target]
    case_timeout_s: float
    only: str
    """What `--only` is held against, in words."""
    peers: str
    """Of whom `--peers` selects."""
    rivals: str
    where: str = ""
    measure: Measure = measure

    def run(self) -> None:
        """Measure what the command line asks for and print it; where that was everything, write it into the page."""
        options = self._asked()
        names = {case: f"{case.key} {case.size(is_quick=options.quick)} {case.concurrency}" for case in self.cases}
        cases = [case for case, name in names.items() if re.search(options.only, name)]
        repetitions = 1 if options.quick else options.repetitions
        began_s, load_before = time.monotonic(), os.getloadavg()[0]
        peers = interpreters(cases, re.compile(options.peers))
        rows = measure_all(cases, peers, repetitions, options.case_timeout_s, self.measure, is_quick=options.quick)
        self.raw.write_text(json.dumps([{"case": key, "peer": peer, "rows": own} for (key, peer), own in rows.items()], indent=1))
        arguments = shlex.join(sys.argv[1:])
        minutes = (time.monotonic() - began_s) / 60
        command = f"make {self.verb}" + (f" BENCH={shlex.quote(arguments)}" if arguments else "")
        told = [
            f"Made by `{command}` on {time.strftime('%Y-%m-%d')}{self.where}.",
            f"{repetitions} repetitions, at most {options.case_timeout_s:g} s a case, {minutes:.0f} minutes in all.",
            f"Rivals: {self.rivals}.",
            f"Machine: {machine()}. Load average {load_before:.1f} before and {os.getloadavg()[0]:.1f} after.",
        ]
        text = "\n".join(told) + "\n\n" + render(cases, rows, self.targets, is_quick=options.quick)
        print("\n" + text)
        if options.quick or options.only or options.peers:
            print(f"\n{self.page.name} is left as it was: this was a part of the cases. Raw figures: {self.raw.relative_to(ROOT)}")
        else:
            write_results(self.page, text)
            print(f"\nWritten to {self.page.relative_to(ROOT)}; raw figures in {self.raw.relative_to(ROOT)}.")

    def _asked(self) -> argparse.Namespace:
        parser = argparse.ArgumentParser(description=self.description)
        parser.add_argument("--repetitions", type=int, default=3)
        parser.add_argument("--case-timeout-s", type=float, default=self.case_timeout_s)
        parser.add_argument("--only", default="", help=f"a regular expression on {self.only}")
        parser.add_argument("--peers", default="", help=f"a regular expression on peers: {self.peers}")
        parser.add_argument("--quick", action="store_true", help=f"small sizes, one repetition, {self.page.name} is left alone")
        return parser.parse_args()


if __name__ == "__main__":
    Benchmark(
        verb="bench", description="Measure this package beside floors, resonate-sdk 0.6.7 and DBOS.",
        page=ROOT / "benchmarks" / "RESULTS.md", raw=RAW, cases=CASES, targets=TARGETS, case_timeout_s=60, only="'case N concurrency'",
        peers="memory, full, fast, 0.6.7, dbos, memjson, ...", rivals=f"{REFERENCE}, {DBOS}",
    ).run()  # fmt: skip
