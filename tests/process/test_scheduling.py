"""Who gets a worker next."""

from __future__ import annotations

import threading
import time
from typing import Any

from resonate import Resonate
from resonate.errors import ResonateStoreError


def test_a_fan_out_is_begun_as_a_whole_even_when_its_calls_block_the_workers() -> None:
    """The generator goes on before the calls that it began are taken up: 12 promises exist while 2 workers are held."""
    resonate = Resonate.local(workers=2)
    gate = threading.Event()

    def slow(ctx: Any, number: int) -> int:
        gate.wait(10)
        return number

    @resonate.register
    def fan(ctx: Any) -> Any:
        begun = []
        for number in range(12):
            begun.append((yield ctx.begin_run(slow, number)))  # noqa: PERF401
        total = 0
        for promise in begun:
            total += yield promise
        return total

    handle = fan.begin_run("fan")
    deadline = time.monotonic() + 5
    while True:
        try:
            resonate.promises.get("fan.12")
            break
        except ResonateStoreError:
            assert time.monotonic() < deadline, "the last call was not begun while others were held"
            time.sleep(0.005)
    assert not handle.done()
    gate.set()
    assert handle.result(10) == 66
    resonate.stop()


def test_one_long_run_leaves_other_runs_their_turn() -> None:
    """With one worker, a short run ends while a run of many thousands of steps is still going."""
    resonate = Resonate.local(workers=1)

    def step(ctx: Any) -> int:
        return 1

    @resonate.register
    def long(ctx: Any) -> Any:
        for _ in range(30_000):
            yield ctx.run(step)

    @resonate.register
    def short(ctx: Any) -> Any:
        return (yield ctx.run(step))

    going = long.begin_run("long")
    assert short.begin_run("short").result(10) == 1
    assert not going.done()
    resonate.stop()


def test_what_stands_in_the_queue_of_a_canceled_run_is_not_begun() -> None:
    """Cancelling a wide run stops it: steps that have not begun never do."""
    resonate = Resonate.local(workers=1)
    gate = threading.Event()
    began = []

    def slow(ctx: Any, number: int) -> None:
        began.append(number)
        gate.wait(10)

    @resonate.register
    def fan(ctx: Any) -> Any:
        for number in range(50):
            yield ctx.begin_run(slow, number)

    @resonate.register
    def after(ctx: Any) -> str:
        return "done"

    handle = fan.begin_run("fan")
    while not began:
        time.sleep(0.001)
    resonate.cancel("fan")
    gate.set()
    assert handle.future.exception(10) is not None
    assert after.begin_run("after").result(10) == "done"  # it stood behind all of them in the queue
    assert began == [0]
    resonate.stop()
