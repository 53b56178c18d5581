"""This package: in memory or in a file, with what 0.6.7 has not: a run that is taken up again, and observers."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import expect, increment, new_id
from workloads import ResonatePeer, durable_fanout

GATE = "gate"
READ_INTERVAL_S = 0.1
ROUNDS = 4
RUNS_A_ROUND = 8
STEPS_DONE = [0]
RESUMED_S = [0.0]


def counted(_ctx: Any, value: int) -> int:
    STEPS_DONE[0] += 1
    return increment(value)


def first_new_step(_ctx: Any) -> None:
    RESUMED_S[0] = time.perf_counter()


def durable_long(ctx: Any, count: int) -> Any:
    """So many steps, then a wait for somebody outside, then one step more."""
    value = 0
    for _ in range(count):
        value = yield ctx.run(counted, value)
    yield (yield ctx.promise(id=GATE))
    yield ctx.run(first_new_step)
    return value


class OurPeer(ResonatePeer):
    """`durability` is `full` or `fast` for a file in `folder`, and empty for memory."""

    def __init__(self, durability: str, folder: Path) -> None:
        self.durability = durability
        self.path = folder / "runs.db"
        super().__init__(self.open())

    def open(self) -> Any:
        from resonate import Resonate

        if not self.durability:
            return Resonate.local(log_level="ERROR")
        return Resonate.local(log_level="ERROR", path=self.path, durability=self.durability)

    # ---- taken up again ------------------------------------------------------------------------------------------------------------

    def replay(self, count: int) -> dict[str, Any]:
        """A run parks after `count` steps and its client ends; what it waits for comes, and then the time is taken.

        In a file from registering the function with a new client to the first new step; in memory, where the promises stay with the
        client, from starting it again.
        """
        from resonate.events import RunSuspended

        watch = self.client.subscribe()
        self.client.register(durable_long)
        self.client.begin_run("long", durable_long, count)
        deadline_s = time.monotonic() + 60
        while not any(isinstance(event, RunSuspended) for event in watch.read(timeout_s=0.1)):
            if time.monotonic() > deadline_s:
                raise AssertionError("the run has not parked")
        expect(STEPS_DONE[0], count)
        self.client.stop()
        opened_s = time.perf_counter()
        if self.durability:
            self.client = self.open()
            self.client.start()
        open_s = time.perf_counter() - opened_s
        self.client.promises.resolve(id=GATE)
        began_s = time.perf_counter()
        if self.durability:
            self.client.register(durable_long)
        else:
            self.client.start()
        expect(self.client.get("long").result(), count)
        expect(STEPS_DONE[0], count)  # no finished step was run again
        return {"wall_s": RESUMED_S[0] - began_s, "open_s": open_s}

    # ---- observers -----------------------------------------------------------------------------------------------------------------

    def observed(self, count: int) -> dict[str, Any]:
        """Percent that runs of `count` promises take longer with an observer; without and with take turns in each round."""
        ways = {"nobody": self.unwatched, "subscription": self.subscribed, "follower": self.followed, "graph": self.drawn}
        rounds: list[dict[str, float]] = []
        for number in range(ROUNDS):
            order = list(ways)[number % 4 :] + list(ways)[: number % 4]
            rounds.append({name: self.timed(ways[name], count) for name in order})
        figures: dict[str, Any] = {"wall_s": statistics.median(each["nobody"] for each in rounds), "operations": count * RUNS_A_ROUND}
        for name in ways:
            if name != "nobody":
                figures[f"{name}_percent"] = statistics.median((each[name] / each["nobody"] - 1) * 100 for each in rounds)
        return figures

    def timed(self, way: Any, count: int) -> float:
        with way() as begun:
            began_s = time.perf_counter()
            for _ in range(RUNS_A_ROUND):
                run_id = new_id()
                handle = self.functions[durable_fanout].begin_run(run_id, count - 1)
                begun(run_id)
                expect(handle.result(), count * (count - 1) // 2)
            return time.perf_counter() - began_s

    @contextlib.contextmanager
    def unwatched(self) -> Iterator[Any]:
        yield lambda _run_id: None

    @contextlib.contextmanager
    def subscribed(self) -> Iterator[Any]:
        """A thread reads the facts ten times a second."""
        subscription = self.client.subscribe()
        done = threading.Event()

        def read() -> None:
            while not done.wait(READ_INTERVAL_S):
                subscription.read()

        reader = threading.Thread(target=read)
        reader.start()
        yield lambda _run_id: None
        done.set()
        reader.join()
        subscription.close()

    @contextlib.contextmanager
    def followed(self) -> Iterator[Any]:
        """The notebook's follower, as a session makes it."""
        from resonate_notebook import actions
        from resonate_notebook.live import Follower, Settings

        follower = Follower(self.client, Settings(), detail=actions.detail, answer=actions.answer)
        yield lambda _run_id: None
        follower.close()

    @contextlib.contextmanager
    def drawn(self) -> Iterator[Any]:
        """The follower with a live graph of each run, for a page that has loaded."""
        from resonate_notebook import actions
        from resonate_notebook.live import Follower, Settings

        follower = Follower(self.client, Settings(), detail=actions.detail, answer=actions.answer)
        kept = []

        def show(run_id: str) -> None:
            followed = follower.follow(run_id)
            if followed is None:
                raise AssertionError("the follower does not know the run")
            widget = follower.widget(followed)
            widget.greeted = True
            kept.append(widget)

        yield show
        follower.close()
