"""One schedule: run it, tell whether a law broke, and reduce one that breaks a law to a short story that breaks the same law."""

from __future__ import annotations

import copy
import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from tests.sim.laws import Violation
from tests.sim.setups import Choices, Setup
from tests.sim.workflows import Author, Flow, Leaf, Program
from tests.sim.world import World

SETUPS: dict[str, Callable[[int], Setup]] = {"faults": Setup.draw, "calm": Setup.calm, "evicting": Setup.evicting, "edited": Setup.edited,
                                               "disk": Setup.on_disk, "files": Setup.on_files}  # fmt: skip


@dataclass(frozen=True)
class Schedule:
    """A program in a world, and what is chosen there: by the seed, or by a script."""

    seed: int
    setup: Setup
    program: Program
    script: dict[int, int] | None = None

    @staticmethod
    def of(seed: int, kind: str = "faults") -> Schedule:
        author = Author(seed)
        return Schedule(seed, SETUPS[kind](seed), author.edit() if kind == "edited" else author.write())

    def world(self, *, laws: bool = True, trace: bool = False) -> World:
        return World(copy.deepcopy(self.program), self.setup, Choices(self.seed, self.script), laws=laws, trace=trace)

    def fails(self, world: World | None = None) -> Failure | None:
        """What goes wrong, if anything does. An error of the code under test is a violation of its own kind."""
        world = world or self.world()
        try:
            world.run()
        except Violation as violation:
            return Failure(self, world, violation.law, violation.detail)
        except Exception as error:
            return Failure(self, world, f"the code under test raises no {type(error).__name__}", str(error))
        return None


@dataclass(frozen=True)
class Failure:
    """A broken law, and the world in which it broke."""

    schedule: Schedule
    world: World
    law: str
    detail: str

    @property
    def size(self) -> tuple[int, int]:
        return self.world.steps, len(self.world.choices.made if self.schedule.script is None else self.schedule.script)


def fingerprint_of(seed: int, kind: str = "faults") -> str:
    """A hash of everything that happened in a schedule, and of what was left."""
    world = Schedule.of(seed, kind).world(trace=True)
    world.run()
    digest = hashlib.sha256()
    for line in world.trace or ():
        digest.update(line.encode())
    for record in world.machine.promises.values():
        # Not the headers: the text of a traceback differs between versions of Python.
        digest.update(repr(replace(record, value=record.value[1], param=record.param[1])).encode())  # type: ignore[arg-type]
    return digest.hexdigest()


# ---- shrinking -------------------------------------------------------------------------------------------------------------------


class Tries:
    """How many more schedules may be tried. A number and not a time, so that a story does not depend on how busy the machine is."""

    def __init__(self, left: int) -> None:
        self.left = left

    def fails(self, schedule: Schedule) -> Failure | None:
        self.left -= 1
        return schedule.fails()


def shrink(failure: Failure, *, tries: int = 5_000) -> Failure:
    """The shortest schedule that was found in so many tries and breaks the same law."""
    best, left = _fixed(failure), Tries(tries)
    while left.left > 0:
        before = best.size
        for simpler in (*_simpler_setups(best.schedule.setup), *_simpler_programs(best.schedule.program)):
            if left.left <= 0:
                break
            setup, program = (simpler, best.schedule.program) if isinstance(simpler, Setup) else (best.schedule.setup, simpler)
            best = _first_that_fails(best, _told_anew(best, setup, program), left) or best
        best = _fewer_choices(best, left)
        if best.size >= before:
            break
    return best.schedule.fails(best.schedule.world(trace=True)) or best


def _fixed(failure: Failure) -> Failure:
    """The same failure told by a script, cut off where it happened."""
    if failure.schedule.script is not None:
        return failure
    scripted = replace(failure.schedule, script=dict(failure.world.choices.made)).fails()
    return scripted if scripted is not None and scripted.law == failure.law else failure


def _told_anew(best: Failure, setup: Setup, program: Program) -> Iterator[Schedule]:
    """A simpler program takes other choices: the same script may do, or chance finds another."""
    yield replace(best.schedule, setup=setup, program=program)
    for seed in range(6):
        yield Schedule(seed, setup, program)


def _first_that_fails(best: Failure, candidates: Iterator[Schedule], left: Tries) -> Failure | None:
    for candidate in candidates:
        failure = left.fails(candidate)
        if failure is not None and failure.law == best.law:
            fixed = _fixed(failure)
            if fixed.world.steps <= best.world.steps:
                return fixed
    return None


def _fewer_choices(best: Failure, left: Tries) -> Failure:
    """Fewer disasters, halves first, as long as the same law breaks."""
    if best.schedule.script is None:
        return best
    width = max(1, len(best.schedule.script) // 2)
    while True:
        numbers = sorted(best.schedule.script or ())
        for start in range(len(numbers) - width, -1, -width):
            if left.left <= 0:
                return best
            dropped = set(numbers[start : start + width])
            script = {number: value for number, value in (best.schedule.script or {}).items() if number not in dropped}
            failure = left.fails(replace(best.schedule, script=script))
            if failure is not None and failure.law == best.law and failure.size <= best.size:
                best = failure
        if width == 1:
            return best
        width //= 2


def _simpler_setups(setup: Setup) -> Iterator[Setup]:
    for name in ("lost", "doubled", "late", "crash", "freeze", "passes", "meddle", "astray", "unheard", "disorder", "power"):
        if getattr(setup, name):
            yield replace(setup, **{name: 0.0})
    if any(setup.skews_ms):
        yield replace(setup, skews_ms=(0,))
    if setup.tick_ms > 1:
        yield replace(setup, tick_ms=1)
    if setup.answers != "in place" and not setup.disk:
        yield replace(setup, answers="in place")
    if setup.workers > 1:
        yield replace(setup, workers=1)


def _simpler_programs(program: Program) -> Iterator[Any]:
    if program.schedule is not None:
        yield replace(copy.deepcopy(program), schedule=None)
    for index in range(len(program.launches)):
        if len(program.launches) > 1:
            simpler = copy.deepcopy(program)
            del simpler.launches[index]
            yield simpler
    for number, spec in enumerate(program.specs):
        if isinstance(spec, Flow):
            for index in range(len(spec.operations)):
                simpler = copy.deepcopy(program)
                del simpler.specs[number].operations[index]  # type: ignore[union-attr]
                yield simpler
        if spec.retries or (isinstance(spec, Leaf) and spec.fails):
            simpler = copy.deepcopy(program)
            simpler.specs[number].retries = 0
            if isinstance(spec, Leaf):
                simpler.specs[number].fails = 0  # type: ignore[union-attr]
            yield simpler


def story(failure: Failure, kind: str, seed: int) -> str:
    """What a person needs of a failure: the law, how to see it again, the program and the events."""
    shown = failure.schedule.program
    reached = sorted(_reached(shown))
    events = list(itertools.islice(reversed(failure.world.trace or ()), 200))[::-1]
    return "\n".join((
        f"LAW    {failure.law}", f"BROKEN {failure.detail}",
        f"AGAIN  python -m tests.sim.sweep --kind {kind} --seed {seed} --schedules 1",
        f"WORLD  {failure.schedule.setup}", f"CHOSEN {failure.schedule.script}", f"RUNS   {shown.runs()}",
        *(f"SPEC   {number} {shown.specs[number]}" for number in reached),
        *([f"EDIT   {shown.edit[0]} {shown.edit[1]}"] if shown.edit is not None else []),
        f"EVENTS {len(failure.world.trace or ())}", *events,
    ))  # fmt: skip


def _reached(program: Program) -> set[int]:
    reached: set[int] = set()
    todo = [number for _, number in program.runs()]
    while todo:
        number = todo.pop()
        if number in reached:
            continue
        reached.add(number)
        spec = program.specs[number]
        for kind, *details in spec.operations if isinstance(spec, Flow) else ():
            if kind in ("run", "begin", "rpc", "begin_rpc", "detached", "limited", "same", "common"):
                todo.append(details[0])
            elif kind in ("join", "begin_join"):
                todo.append(program.joint[details[0]])
    return reached
