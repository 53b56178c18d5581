"""Random workflows, as they went in the simulation: a recording of each run replays as recorded, an edit is told where a run of the
edited code would be another one, and comparing two runs has no sides."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache

from resonate.differences import Difference, diff
from resonate.protocol import GetPromise, ListDescendants, PromiseRecord
from resonate.recordings import Recording
from resonate.replays import replay
from tests.sim.laws import Violation
from tests.sim.setups import Choices, Setup
from tests.sim.workflows import Author, Program, remote
from tests.sim.world import World

SHARED = ("meet-", "join-", "common-")
"""Promises that several runs share belong to the run that made them, and are not in the recordings of the others."""


def recordings_of(program: Program, setup: Setup, seed: int) -> list[Recording]:
    world = World(program, setup, Choices(seed), laws=False)
    world.run()
    ids = dict.fromkeys(run_id for run_id, _ in program.runs())
    apply, now = world.machine.apply, world.now
    return [Recording.of(apply(GetPromise(each), now), apply(ListDescendants(each), now)) for each in ids]


def without_meddling(seed: int) -> Setup:
    """Who settles a call of a function from outside makes it end as no code would make it end."""
    return Setup.calm(seed) if seed % 2 else replace(Setup.draw(seed), meddle=0.0)


def test_whatever_a_run_went_through_it_replays_as_recorded() -> None:
    """However often it changed hands, each call of a run is come to again, each function ends as it did, and a step is never called."""
    told = Counter[str]()
    for seed in range(60_000, 60_250):
        program = Author(seed).write()
        for recording in recordings_of(program, without_meddling(seed), seed):
            for call_undurable in (False, True):
                found = replay(recording, remote, dependencies={"program": program}, call_undurable=call_undurable)
                differs = [each for each in found.divergences if not each.id.startswith(SHARED)]
                assert (differs, found.missing) == ([], []), f"seed {seed}, {recording.id}: {found}"
                if not found.divergences and call_undurable:
                    assert found.ends == [], f"seed {seed}, {recording.id}: {found}"
                    told["calls"] += found.calls
                    told["all"] += found.calls == len(recording.promises)
                    told["runs"] += 1
    assert told["calls"] > 10 * told["runs"] / 2
    assert told["all"] > 0.8 * told["runs"]


@cache
def edited(seed: int) -> tuple[Program, Program, list[Recording], list[Recording]]:
    """A program, the same with one line edited, and their runs in the same calm world."""
    program = Author(seed).edit()
    assert program.edit is not None
    number, flow = program.edit
    other = replace(program, specs=[flow if each == number else spec for each, spec in enumerate(program.specs)], edit=None)
    try:
        return program, other, recordings_of(program, Setup.calm(1), seed), recordings_of(other, Setup.calm(1), seed)
    except Violation:  # an edit may leave a program that hangs on the moment of a deadline, whose end nobody can foretell
        return program, other, [], []


def is_told(found: Difference) -> bool:
    """Whether a difference is one that a replay looks for: not the data of a promise."""
    return any(not (each.what == "arguments" and each.left.startswith("promise")) for each in found.calls)


def was_cut_off(record: PromiseRecord) -> bool:
    """Whether a function came to its deadline: what it would have done after it is no difference."""
    return record.state == "REJECTED_TIMEDOUT" and record.lineage is not None and record.lineage.kind == "run"


def test_an_edit_is_told_if_a_run_of_the_edited_code_is_another_one() -> None:
    """Where nobody is told of a difference the edited code makes the same run, call by call; else it makes another one."""
    told = Counter[bool]()
    for seed in range(61_000, 61_400):
        _, other, before, after = edited(seed)
        if other.shared:
            continue
        for left, right in zip(before, after, strict=True):
            if any(was_cut_off(each) for each in (*left.promises, *right.promises)):
                continue
            found = replay(left, remote, dependencies={"program": other}, call_undurable=True)
            if not found.ends:
                assert bool(found) is not is_told(diff(left, right)), f"seed {seed}, {left.id}: {found}\n{diff(left, right)}"
                told[bool(found)] += 1
    assert min(told[True], told[False]) > 50, told


def test_comparing_two_runs_has_no_sides() -> None:
    """A run is like itself; what is told of two runs is told the other way round when they change places."""
    differ = 0
    for seed in range(61_000, 61_200):
        _, _, before, after = edited(seed)
        for left, right in zip(before, after, strict=True):
            assert not diff(left, left)
            assert diff(left, left).alike == len(left.promises)
            found, mirrored = diff(left, right), diff(right, left)
            assert found.alike == mirrored.alike
            assert [(each.what, each.left_id, each.right_id, each.left, each.right, each.left_s, each.below) for each in found.calls] == [
                (each.what, each.right_id, each.left_id, each.right, each.left, each.right_s, each.below) for each in mirrored.calls
            ]
            differ += bool(found)
    assert differ > 50
