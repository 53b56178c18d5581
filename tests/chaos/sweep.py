"""The long sweeps: `python -m tests.chaos.sweep`, all of it, some parts (`... kills remote`), or `--soak --minutes 30` alone.

    kills    every workflow dies at each of its boundaries, before and after, in both durabilities; at every SQL statement; and twice
    disks    every statement of every workflow fails, once or until the disk is mended, with each kind of error; and 200 rounds on real
             disks of a few megabytes that become full (where mounting is permitted)
    damage   1,000 damaged copies of a file are opened and read
    crowd    four processes with 2,500 runs each on one file, in both durabilities
    wires    1,000,000 garbage replies, messages and requests to the clients and servers of both protocols
    remote   replies get lost, and the server is killed, at each request of a run, in both protocols; and replies come half a minute late
    linear   500 histories of eight concurrent clients in each arrangement of `tests.linear.histories`, each explained by some order
    soak     four workers on one file, one of which is killed every 1 to 5 seconds

Each part ends in a line of figures; the exit code is 1 when anything is not as it must be, and each such thing is told.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.chaos import damage, kills, sharing, small_disks, soak
from tests.chaos.disks import fail_everywhere
from tests.chaos.faults import ERRORS
from tests.chaos.kills import Death
from tests.chaos.nursery import Nursery
from tests.chaos.workflows import WORKFLOWS
from tests.linear import histories
from tests.pure import garbage
from tests.remote import losses

STATEMENTS_OF = ("sequence", "fan_out", "sleeps", "remote")
"""The workflows that die at every SQL statement."""
DOUBLE_DEATHS = 200
SHOWN = 20

Part = Iterator[tuple[str, list[str]]]
"""Lines of figures, each with what was wrong."""


def kill_sweeps(arguments: argparse.Namespace) -> Part:
    """See the head of `kills`."""

    def one(name: str, durability: str, place: str) -> kills.Figures:
        sides = ("before", "after") if place == "turn" else ("before",)
        with Nursery() as nursery:
            return kills.sweep(nursery, name, durability, place=place, sides=sides)

    with ThreadPoolExecutor(arguments.jobs) as pool:
        for place, names in (("turn", tuple(WORKFLOWS)), ("statement", STATEMENTS_OF)):
            total = kills.Figures()
            asked = [(name, durability, place) for name in names for durability in ("fast", "full")]
            for (name, durability, _), figures in zip(asked, pool.map(lambda each: one(*each), asked), strict=True):
                yield f"  {place}s of {name}, {durability}: {figures}", figures.wrong
                total.add(figures)
            yield f"kills at every {place}: {total}", []
    chance, total = random.Random(arguments.seed), kills.Figures()
    with Nursery() as nursery:
        for _ in range(DOUBLE_DEATHS):
            first, second = chance.randint(5, 24), chance.randint(2, 16)
            death = Death(chance.choice(list(WORKFLOWS)), "fast", first, chance.choice(("before", "after")), again=second)
            kills.die(nursery, death, total)
    yield f"two deaths in a row: {total}", total.wrong


def disk_sweeps(arguments: argparse.Namespace) -> Part:
    """See the heads of `disks` and `small_disks`."""
    rounds = 0
    for name in ("sequence", "fan_out", "retries", "sleeps", "remote", "catches", "values"):
        for error in ERRORS:
            for times in (1, None):
                wrong: list[str] = []
                try:
                    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
                        rounds += fail_everywhere(name, error, times, 1 if times else 3, Path(folder))
                except Exception as failure:
                    wrong.append(f"{name}, {error}, {'once' if times else 'until mended'}: {failure!r}")
                if wrong:
                    yield f"  {name}, {error}", wrong
    yield f"disks that fail: {rounds} runs, one for each statement that failed", []
    kinds = small_disks.kinds_here()
    for kind in small_disks.KINDS.keys() - kinds:
        yield f"  NOT TRIED: {kind}, which cannot be mounted here", []
    if kinds:
        figures = small_disks.sweep(arguments.rounds, arguments.seed, kinds)
        yield f"disks that are full: {figures}", figures.wrong


def damages(arguments: argparse.Namespace) -> Part:
    """See the head of `damage`."""
    figures = damage.sweep(arguments.files, arguments.seed)
    yield f"damage: {figures}", figures.wrong


def crowds(arguments: argparse.Namespace) -> Part:
    """See the head of `sharing`."""
    for durability in ("fast", "full"):
        figures = sharing.crowd(4, arguments.runs, durability)
        yield f"crowd, {durability}: {figures}", figures.wrong


def linear_histories(arguments: argparse.Namespace) -> Part:
    """See the head of `tests.linear.histories`."""
    for arrangement in histories.ARRANGEMENTS:
        figures = histories.sweep(arrangement, arguments.histories, arguments.seed)
        yield f"linear, {arrangement}: {figures}", figures.wrong


def soaks(arguments: argparse.Namespace) -> Part:
    """See the head of `soak`."""
    figures = soak.soak(arguments.minutes, arguments.seed)
    yield f"soak: {figures}", figures.wrong


def wires(arguments: argparse.Namespace) -> Part:
    """See the head of `tests.pure.garbage`."""
    yield from garbage.sweep(arguments.inputs // 4, arguments.seed)


def remotes(arguments: argparse.Namespace) -> Part:
    """See the head of `tests.remote.losses`."""
    yield from losses.sweep()


PARTS: dict[str, Callable[[argparse.Namespace], Part]] = {
    "kills": kill_sweeps, "disks": disk_sweeps, "damage": damages, "crowd": crowds, "linear": linear_histories, "wires": wires,
    "remote": remotes, "soak": soaks,
}  # fmt: skip


def main(given: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.sweep", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", help="which parts (all)")
    parser.add_argument("--soak", action="store_true", help="the soak alone")
    parser.add_argument("--minutes", type=float, default=2, help="of the soak (2)")
    parser.add_argument("--rounds", type=int, default=200, help="on small disks (200)")
    parser.add_argument("--files", type=int, default=1000, help="that are damaged (1000)")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="of garbage (1,000,000)")
    parser.add_argument("--runs", type=int, default=2500, help="of each process of the crowd (2500)")
    parser.add_argument("--histories", type=int, default=500, help="of concurrent clients in each arrangement (500)")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn (0)")
    parser.add_argument("--jobs", type=int, default=2, help="kills that go on at once (2)")
    arguments = parser.parse_args(given)
    unknown = [each for each in arguments.parts if each not in PARTS]
    if unknown:
        parser.error(f"{', '.join(unknown)}: the parts are {', '.join(PARTS)}")
    failures = 0
    for name in ["soak"] if arguments.soak else arguments.parts or list(PARTS):
        began_s = time.monotonic()
        for line, wrong in PARTS[name](arguments):
            print(line, flush=True)
            for each in wrong[:SHOWN]:
                print(f"  WRONG: {each}", flush=True)
            failures += len(wrong)
        print(f"== {name}: {time.monotonic() - began_s:.0f} s", flush=True)
    print(f"{failures} violations")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
