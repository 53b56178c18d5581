"""What kind of world a schedule happens in, and the one source of what could be otherwise in it."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from resonate.limits import TIMEOUT_LIMIT_MS


@dataclass(frozen=True)
class Setup:
    """What kind of world a schedule happens in. Drawn per seed, so that each fault is often strong and often absent."""

    workers: int = 3
    ttl_ms: int = 10_000
    answers: str = "in place"
    """When a run gets the store's answer: in place; blocking (it does nothing else meanwhile); serial (one request at a time, other events
    may come between); in order (several are under way, none overtakes another, and they are lost only with their worker: as with a store
    in a file); unordered (requests and replies overtake each other)."""
    ahead: bool = False
    """The promise of a local step is answered before it is asked for, as by a store in a file."""
    disorder: float = 0.0
    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    crash: float = 0.0
    freeze: float = 0.0
    passes: float = 0.0
    """Time goes on to the next moment that is due although there is something to do."""
    meddle: float = 0.0
    astray: float = 0.0
    """A message for any worker, best for a certain one, goes to another: the one that it names does not listen just now."""
    unheard: float = 0.0
    """A heartbeat is lost: a lease lapses while its holder is at work."""
    skews_ms: tuple[int, ...] = (0,)
    tick_ms: int = 1
    """The server looks at what is due at multiples of this."""
    fault_steps: int = 0
    disk: str = ""
    """The server keeps its promises on a modelled disk, `full` or `fast`; else it never ends."""
    files: bool = False
    """It is a real file, and each worker's process has a machine of its own."""
    breaks: float = 0.0
    """The server's process ends in the middle of a turn, at each of four places."""
    power: float = 0.0
    """Of these ends, as many are power cuts, which take all workers along."""
    keeps: int = 2_000
    """So much of what is over the server on a disk keeps in memory."""
    alone: bool = False
    """As with a store in memory: what a worker's parked run waits for wakes nobody but that worker."""
    edits: bool = False
    """Half of the workers have another version of one function. When the faults stop, all get the first one."""
    evicts: bool = False
    """Each settlement ends the life of the worker that made it: everything is replayed from the top at every step."""

    @staticmethod
    def draw(seed: int) -> Setup:
        chance = random.Random(f"setup {seed}")
        often = chance.choice((0.3, 1.0, 2.0))

        def rate(*rates: float) -> float:
            return chance.choice(rates) * often

        workers = chance.choice((3, 3, 3, 4, 5))
        skew = chance.choice((0, 0, 2_000, 30_000))
        drawn = Setup(
            workers=workers, ttl_ms=chance.choice((5_000, 10_000, 10_000, 60_000)),
            answers=chance.choice(("in place", "blocking", "blocking", "serial", "in order", "in order", "unordered", "unordered")),
            disorder=chance.choice((0.0, 0.3, 1.0)),
            lost=rate(0, 0, 0.02, 0.1), doubled=rate(0, 0, 0.05, 0.2), late=rate(0, 0, 0.02, 0.1), crash=rate(0, 0, 0.005, 0.02),
            freeze=rate(0, 0, 0.005, 0.015), passes=rate(0, 0.01, 0.03, 0.1), meddle=rate(0, 0, 0, 0.005),
            astray=chance.choice((0, 0, 0.1, 0.5)), unheard=chance.choice((0, 0, 0.1, 0.5)),
            skews_ms=tuple(chance.randint(-skew, skew) for _ in range(workers)), tick_ms=chance.choice((1, 1, 1_000)),
            fault_steps=chance.choice((60, 200, 500)),
        )  # fmt: skip
        if drawn.answers == "in order":
            drawn = replace(drawn, ahead=chance.random() < 0.5)
        if chance.random() < 0.15:  # one process and its store in memory: no network between them, and nobody else to take a run over
            return Setup(
                workers=1, ttl_ms=TIMEOUT_LIMIT_MS, alone=True, disorder=drawn.disorder, passes=drawn.passes, meddle=drawn.meddle,
                fault_steps=drawn.fault_steps,
            )  # fmt: skip
        return drawn

    @staticmethod
    def on_disk(seed: int) -> Setup:
        chance, drawn = random.Random(f"disk {seed}"), Setup.draw(seed)
        answers = drawn.answers if drawn.answers != "in place" and not drawn.alone else "in order"
        return replace(
            drawn, workers=max(drawn.workers, 2), ttl_ms=min(drawn.ttl_ms, 60_000), alone=False, answers=answers,
            ahead=answers == "in order" and chance.random() < 0.7, disk=chance.choice(("full", "full", "fast")),
            breaks=chance.choice((0.003, 0.01, 0.03)), power=chance.choice((0.0, 0.3, 1.0)), keeps=chance.choice((0, 2_000)),
        )  # fmt: skip

    @staticmethod
    def on_files(seed: int) -> Setup:
        return replace(Setup.on_disk(seed), files=True, answers="in order", ahead=seed % 4 > 0)

    @staticmethod
    def edited(seed: int) -> Setup:
        drawn = Setup.draw(seed)  # with enough disasters that most runs change hands
        if drawn.alone:
            drawn = Setup(fault_steps=drawn.fault_steps, passes=drawn.passes)
        return replace(drawn, edits=True, crash=max(drawn.crash, 0.03), astray=max(drawn.astray, 0.3), tick_ms=1)

    @staticmethod
    def calm(seed: int) -> Setup:
        return Setup(disorder=(seed % 3) / 2, alone=True)

    @staticmethod
    def evicting(seed: int) -> Setup:
        return Setup(workers=1, disorder=(seed % 3) / 2, evicts=True, alone=True)


class Choices:
    """The one source of what could be otherwise. What is not zero is kept; a script of those replays or reduces a schedule."""

    def __init__(self, seed: int, script: dict[int, int] | None = None) -> None:
        self.chance = random.Random(f"choices {seed}")
        self.script = script
        self.made: dict[int, int] = {}
        self.number = 0

    def take(self, *probabilities: float) -> int:
        """0, or n for the n-th of the given probabilities."""
        self.number += 1
        if self.script is not None:
            return min(self.script.get(self.number, 0), len(probabilities))
        drawn = self.chance.random()
        for value, probability in enumerate(probabilities, 1):
            drawn -= probability
            if drawn < 0:
                self.made[self.number] = value
                return value
        return 0

    def among(self, count: int, disorder: float = 1.0) -> int:
        """One of `count`; the first unless there is disorder."""
        self.number += 1
        if self.script is not None:
            return min(self.script.get(self.number, 0), count - 1)
        if count < 2 or (disorder < 1 and self.chance.random() >= disorder):
            return 0
        value = self.chance.randrange(count)
        if value:
            self.made[self.number] = value
        return value
