"""Many schedules, and the figures: `python -m tests.sim.sweep --schedules 2000 --seed 0 --jobs 2`.

Without `--kind` there are eight parts: as many schedules as asked for under faults; a quarter as many in a calm world, in one where every
step is replayed from the top, in one whose code changes meanwhile, and in one whose server is on a disk and breaks off (`disk`); an eighth
as many whose processes share a real file (`files`); `--steps` random operations for two stores side by side (`stores`, see
`tests.laws.agreement`); and a twentieth as many for a store whose files are cut where power may cut them (`logs`). The last two say where a
store differs. A schedule that breaks a law is told with its seed, the command that repeats it, and the shortest story that breaks the same
law; the exit code is 1 then. `--hashes` prints one hash per seed of all that happened, to compare processes and versions of Python.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.laws import agreement
from tests.sim import logs
from tests.sim.laws import LAWS
from tests.sim.schedules import SETUPS, Schedule, fingerprint_of, shrink, story

CHUNK = 25
PARTS = {"faults": 1, "calm": 4, "evicting": 4, "edited": 4, "disk": 4, "files": 8}
"""The kinds of schedules of a whole sweep; each number divides how many there are."""
WALK_STEPS = 10_000
TORN_STEPS = 500
Coverage = Counter[tuple[str, str, str]]


@dataclass
class Figures:
    """What a number of schedules came to."""

    schedules: int = 0
    runs: int = 0
    promises: int = 0
    steps: int = 0
    deaths: int = 0
    slowest_s: float = 0.0
    failures: list[tuple[int, str, str]] = field(default_factory=list)
    coverage: Coverage = field(default_factory=Counter)

    def add(self, other: Figures) -> None:
        for name in ("schedules", "runs", "promises", "steps", "deaths"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.slowest_s = max(self.slowest_s, other.slowest_s)
        self.failures += other.failures
        self.coverage += other.coverage


def sweep(seeds: range, kind: str, *, laws: bool = True) -> Figures:
    """Run the schedules of these seeds."""
    figures = Figures()
    for seed in seeds:
        began = time.perf_counter()
        schedule = Schedule.of(seed, kind)
        world = schedule.world(laws=laws)
        failure = schedule.fails(world)
        figures.slowest_s = max(figures.slowest_s, time.perf_counter() - began)
        figures.schedules += 1
        figures.runs += len(world.launched())
        figures.promises += len(world.machine.promises)
        figures.steps += world.steps
        figures.deaths += world.deaths
        figures.coverage += world.coverage
        if failure is not None:
            figures.failures.append((seed, failure.law, failure.detail))
    return figures


def _sweep(given: tuple[range, str, bool]) -> Figures:
    seeds, kind, laws = given
    return sweep(seeds, kind, laws=laws)


def told(seed: int, kind: str) -> str:
    """The story of a seed that breaks a law, as short as it gets."""
    failure = Schedule.of(seed, kind).fails()
    assert failure is not None, f"seed {seed} breaks no law"
    return story(shrink(failure), kind, seed)


def report(kind: str, figures: Figures, seconds: float, jobs: int) -> str:
    """The figures of one part as text."""
    speed = figures.schedules / seconds
    return "\n".join((
        f"{kind}: {figures.schedules} schedules in {seconds:.1f} s, {speed:.1f} per s, {speed / jobs:.1f} per s and process",
        f"  the slowest took {figures.slowest_s:.2f} s",
        f"  {figures.runs} runs, {figures.promises} promises, {figures.steps} steps, {figures.deaths} crashes and freezes",
        f"  {len(figures.failures)} violations",
    ))  # fmt: skip


def coverage(cells: Coverage) -> str:
    """Which answers each operation was given, and which faults it met."""
    faults = sorted({fault for _, _, fault in cells})
    kinds = sorted({kind for kind, _, _ in cells})
    width = max((len(kind) for kind in kinds), default=0)
    lines = [f"{len(LAWS)} laws; {len(cells)} cells of (operation, answer, fault) were met"]
    for kind in kinds:
        by_answer, by_fault = Counter[str](), Counter[str]()
        for (each, answer, fault), count in cells.items():
            if each == kind:
                by_answer[answer] += count
                by_fault[fault] += count
        lines.append(f"  {kind:{width}} answers {', '.join(f'{answer} {count}' for answer, count in sorted(by_answer.items()))}")
        lines.append(f"  {'':{width}} faults  {', '.join(f'{fault} {by_fault[fault]}' for fault in faults)}")
    return "\n".join(lines)


def run_part(seeds: range, kind: str, jobs: int, *, laws: bool) -> Figures:
    """One part of a sweep, in several processes if asked for."""
    chunks = [(seeds[start : start + CHUNK], kind, laws) for start in range(0, len(seeds), CHUNK)]
    figures = Figures()
    if jobs > 1:
        with multiprocessing.get_context("spawn").Pool(jobs) as pool:
            for part in pool.imap_unordered(_sweep, chunks):
                figures.add(part)
    else:
        for chunk in chunks:
            figures.add(_sweep(chunk))
    return figures


def walk_stores(seed: int, steps: int, _: int | None) -> bool:
    """Random operations for the store in memory and the one in a file; whether they agree."""
    began, met, walked = time.perf_counter(), Counter[tuple[str, str]](), 0
    try:
        for number in range(seed, seed - (-steps // WALK_STEPS)):
            met += agreement.walk(number, min(WALK_STEPS, steps - walked))
            walked += min(WALK_STEPS, steps - walked)
    except agreement.Divergence as divergence:
        print(f"stores: they disagree\n{divergence}")
        return False
    seconds, refusals = time.perf_counter() - began, sum(count for (_, answer), count in met.items() if answer != "done")
    print(f"stores: {walked} steps in {seconds:.1f} s, {met.total()} operations, {refusals} of them refused; 0 divergences")
    missed = agreement.not_met(met)
    print(f"  {len(met)} pairs of operation and answer were met, not met: {', '.join(map(' '.join, missed)) or 'none'}", flush=True)
    return True


def tear_logs(seed: int, steps: int, cuts: int | None) -> bool:
    """Files that are cut in the middle of each turn; whether nothing but whole turns was found."""
    began, figures = time.perf_counter(), Counter[str]()
    try:
        for number in range(seed, seed - (-steps // TORN_STEPS)):
            figures += logs.tear(number, min(TORN_STEPS, steps), cuts)
    except logs.Torn as torn:
        print(f"logs: {torn}")
        return False
    print(f"logs: {steps} steps in {time.perf_counter() - began:.1f} s; 0 files with anything but whole turns")
    print(f"  {', '.join(f'{name} {count}' for name, count in sorted(figures.items()))}", flush=True)
    return True


WALKS = {"stores": walk_stores, "logs": tear_logs}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim.sweep", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--schedules", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--kind", choices=[*sorted(SETUPS), *WALKS], help="only this kind of world, or of walk")
    parser.add_argument("--steps", type=int, default=20_000, help="of random operations for real stores")
    parser.add_argument("--cuts", type=int, help="of the files of each turn; all if not given")
    parser.add_argument("--hashes", action="store_true", help="one hash per seed instead of the figures")
    parser.add_argument("--no-shrink", action="store_true", help="name the seeds that fail and stop there")
    parser.add_argument("--no-laws", action="store_true", help="only compare the outcomes with plain recursion")
    arguments = parser.parse_args()
    if arguments.hashes:
        for seed in range(arguments.seed, arguments.seed + arguments.schedules):
            print(seed, fingerprint_of(seed, arguments.kind or "faults"))
        return 0
    if arguments.kind in WALKS:
        return int(not WALKS[arguments.kind](arguments.seed, arguments.steps, arguments.cuts))
    cells: Coverage = Counter()
    failures: list[tuple[str, int]] = []
    for kind, share in PARTS.items() if arguments.kind is None else ((arguments.kind, 1),):
        seeds = range(arguments.seed, arguments.seed + max(1, arguments.schedules // share))
        began = time.perf_counter()
        figures = run_part(seeds, kind, arguments.jobs, laws=not arguments.no_laws)
        print(report(kind, figures, time.perf_counter() - began, arguments.jobs), flush=True)
        for seed, law, detail in sorted(figures.failures):
            print(f"  seed {seed}: {law}: {detail[:200]}")
            failures.append((kind, seed))
        cells += figures.coverage
    print(coverage(cells))
    if failures and not arguments.no_shrink:
        kind, seed = failures[0]
        print("\n" + told(seed, kind))
    fine = not failures
    if arguments.kind is None:
        fine &= walk_stores(arguments.seed, arguments.steps, None)
        fine &= tear_logs(arguments.seed, arguments.steps // 20, arguments.cuts or 10)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
