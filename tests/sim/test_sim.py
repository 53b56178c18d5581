"""The smoke part of the simulation: some hundred schedules of each kind, every planted bug, and the same trace wherever it is told.

`python -m tests.sim.sweep` runs as many as there is time for. See the head of `world` for what a schedule is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sim.catalogue import HELD, INAPPLICABLE
from tests.sim.laws import LAWS
from tests.sim.logs import Torn, tear
from tests.sim.planted import BUGS
from tests.sim.planted_disks import DISK_BUGS, FILE_BUGS, LOG_BUGS
from tests.sim.schedules import Schedule, fingerprint_of, shrink, story
from tests.sim.sweep import Figures, sweep, told
from tests.sim.turns import WORDS

ROOT = Path(__file__).parents[2]
PLANTED_LIMIT = 1000
EVENTS_LIMIT = 30
TRIES = 500
PROPERTIES = 99
"""Of the specification: 46 of one state, 51 of one step, 2 of what the server does by itself."""


def require_no_failure(figures: Figures, kind: str) -> None:
    if figures.failures:
        pytest.fail(told(min(figures.failures)[0], kind), pytrace=False)


@pytest.fixture(scope="module")
def under_faults() -> Figures:
    return sweep(range(300), "faults")


def test_no_schedule_breaks_a_law(under_faults: Figures) -> None:
    """Under crashes, freezes, loss, doubling, delay and skew every law holds after every step, and every run comes to its predicted end."""
    require_no_failure(under_faults, "faults")
    assert under_faults.deaths > under_faults.schedules


def test_the_schedules_reach_what_they_are_for(under_faults: Figures) -> None:
    """Each request that workers make meets each fault of the network, and each is refused where it can be."""
    met = {(kind, fault) for kind, _, fault in under_faults.coverage}
    kinds = ("CreatePromise", "CreateLeased", "SettlePromise", "Park", "ClaimTask", "Subscribe")
    faults = ("none", "reply lost", "request doubled", "request late", "reply doubled", "reply late", "repeated")
    assert {(kind, fault) for kind in kinds for fault in faults} - met == set()
    answered = {(kind, answer) for kind, answer, _ in under_faults.coverage}
    wanted = {
        "CreatePromise": ("41200",), "SettlePromise": ("41200", "REJECTED_TIMEDOUT"), "Park": ("41200", "awaited is settled", "parked"),
        "ClaimTask": ("40306", "40307", "40308"), "DropTask": ("40308",),
    }  # fmt: skip
    assert {(kind, answer) for kind, answers in wanted.items() for answer in answers} - answered == set()


def test_a_calm_world_is_plain_recursion() -> None:
    """Where nothing goes wrong, in whatever order things happen, the outcome is that of plain recursion, promise by promise."""
    figures = sweep(range(10_000, 10_200), "calm")
    require_no_failure(figures, "calm")
    assert figures.promises > 5 * figures.schedules


def test_replay_from_the_top_at_every_step_changes_nothing() -> None:
    """A worker that dies each time it has settled something comes to the same results, by the same promises."""
    figures = sweep(range(20_000, 20_100), "evicting")
    require_no_failure(figures, "evicting")
    assert figures.deaths > 3 * figures.schedules


@pytest.fixture(scope="module")
def on_disk() -> Figures:
    return sweep(range(40_000, 40_080), "disk")


def test_a_server_that_breaks_off_loses_nothing(on_disk: Figures) -> None:
    """Wherever the server ends or power is cut, what was acknowledged is there, in whole turns, and every run comes to its end."""
    require_no_failure(on_disk, "disk")
    assert on_disk.deaths > on_disk.schedules


def test_the_server_breaks_off_everywhere(on_disk: Figures) -> None:
    """It ends at each of the four places of a turn, alone and by a power cut, under `full` and under `fast`."""
    ends = {(place, how) for kind, place, how in on_disk.coverage if kind == "a crash"}
    assert ends == {(place, how) for place in WORDS[1:] for how in ("the process ends", "power is cut, full", "power is cut, fast")}
    assert ("CreateSettled", "RESOLVED") in {(kind, answer) for kind, answer, _ in on_disk.coverage}


def test_processes_that_share_a_file_lose_nothing() -> None:
    """The same of several processes on one real file, each with a machine of its own, whatever ends in whichever of them."""
    figures = sweep(range(50_000, 50_015), "files")
    require_no_failure(figures, "files")
    assert figures.deaths > figures.schedules


@pytest.mark.parametrize("name", FILE_BUGS)
def test_planted_bugs_of_processes_on_a_file_are_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation finds each bug of how a process learns what the others have written."""
    require_found(name, FILE_BUGS[name], "files", monkeypatch)


def test_a_file_that_was_cut_has_whole_turns() -> None:
    """Wherever the log of a real file is cut, at a frame or within one, a store that opens it has what was there after a whole turn."""
    figures = Counter[str]()
    for seed in range(3):
        figures += tear(seed, 150, 2)
    assert figures["turns"] > 100
    assert figures["logs begun anew"] > 0


@pytest.mark.parametrize("name", LOG_BUGS)
def test_planted_bugs_of_the_file_are_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a turn is written in two parts, or answered before it is written, cutting the log finds it."""
    LOG_BUGS[name](monkeypatch)
    with pytest.raises(Torn, match=r"seed \d+, turn \d+, cut at byte "):
        tear(0, 200, 2)


@pytest.mark.parametrize("name", DISK_BUGS)
def test_planted_bugs_of_the_disk_are_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation finds each bug of a server on a disk: a law is broken, which no schedule breaks without the bug."""
    require_found(name, DISK_BUGS[name], "disk", monkeypatch)


@pytest.mark.parametrize("name", BUGS)
def test_planted_bugs_are_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation finds each bug that was planted: a law is broken, which no schedule breaks without the bug."""
    require_found(name, BUGS[name], "faults", monkeypatch)


def require_found(name: str, plant: Callable[[pytest.MonkeyPatch], None], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    failures = (Schedule.of(seed, kind).fails() for seed in range(PLANTED_LIMIT))
    found = next((failure for failure in failures if failure is not None), None)
    assert found is not None, f"{name} is not found in {PLANTED_LIMIT} schedules"
    assert found.law in LAWS.values(), f"{name} breaks the code instead of a law: {found.law}: {found.detail}"


def test_there_are_enough_bugs() -> None:
    """Many different bugs are planted, those that the simulation once found among them."""
    assert len(BUGS) >= 50
    assert len(DISK_BUGS) >= 20


def test_each_property_of_the_specification_is_held_or_has_a_reason() -> None:
    """Each named property of the protocol's specification is held by a law, or it is said why it cannot hold here."""
    assert HELD.keys() & INAPPLICABLE.keys() == set()
    assert len(HELD) + len(INAPPLICABLE) == PROPERTIES
    assert set(HELD.values()) - LAWS.keys() == set()
    assert all(INAPPLICABLE.values())
    assert len(LAWS) >= 80
    assert len(set(LAWS.values())) == len(LAWS)


def test_a_failure_is_told_as_a_short_story(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is reduced to few events that break the same law, and says how to see it again."""
    BUGS["found_a_park_cannot_be_repeated"](monkeypatch)
    failure = next(failure for seed in range(PLANTED_LIMIT) if (failure := Schedule.of(seed).fails()) is not None)
    shrunk = shrink(failure, tries=TRIES)
    assert shrunk.law == failure.law
    assert len(shrunk.world.trace or ()) <= EVENTS_LIMIT
    text = story(shrunk, "faults", failure.schedule.seed)
    assert f"--seed {failure.schedule.seed} " in text
    assert failure.law in text


SEEDS = range(30_000, 30_020)


def hashes(python: str, **environment: str) -> list[str]:
    command = [python, "-m", "tests.sim.sweep", "--hashes", "--seed", str(SEEDS[0]), "--schedules", str(len(SEEDS))]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_the_same_seed_gives_the_same_trace(hash_seed: str) -> None:
    """In another process and under another hash seed, a schedule's trace is the same byte by byte."""
    assert hashes(sys.executable, PYTHONHASHSEED=hash_seed) == [f"{seed} {fingerprint_of(seed)}" for seed in SEEDS]


@pytest.mark.parametrize("version", ["3.12", "3.13", "3.14"])
def test_the_same_seed_gives_the_same_trace_on_other_pythons(version: str) -> None:
    """On another version of Python, a schedule's trace is the same byte by byte."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        pytest.skip("this is that version")
    python = find_python(version)
    if python is None:
        pytest.skip(f"no Python {version} was found")
    assert hashes(python) == [f"{seed} {fingerprint_of(seed)}" for seed in SEEDS]


def find_python(version: str) -> str | None:
    """An interpreter of that version: on PATH, or where pyenv keeps its own."""
    kept = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python{version}"))
    for candidate in (shutil.which(f"python{version}"), *map(str, kept)):
        if candidate is not None:
            done = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False)
            if done.returncode == 0 and f" {version}." in done.stdout:
                return candidate
    return None
