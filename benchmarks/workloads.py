"""The workloads as durable functions of the 0.6.7 API, and whatever package the interpreter calls `resonate`, running them in memory.

The same program measures resonate-sdk 0.6.7 and this package; what only this package has (a file, observers) is in `ours.py`.
"""

from __future__ import annotations

import time
from typing import Any

from common import STEP_ENDS_S, increment, new_id


def durable_increment(_ctx: Any, value: int) -> int:
    return increment(value)


def durable_seq(ctx: Any, count: int) -> Any:
    value = 0
    for _ in range(count):
        value = yield ctx.run(durable_increment, value)
        STEP_ENDS_S.append(time.perf_counter())
    return value


def durable_fanout(ctx: Any, count: int) -> Any:
    promises = []
    for value in range(count):
        promises.append((yield ctx.begin_run(durable_increment, value)))  # noqa: PERF401 - a durable function yields one by one
    total = 0
    for promise in promises:
        total += yield promise
    return total


def durable_fib(ctx: Any, number: int) -> Any:
    if number < 2:
        return number
    left = yield ctx.begin_run(durable_fib, number - 1)
    right = yield ctx.begin_run(durable_fib, number - 2)
    return (yield left) + (yield right)


def durable_nested(ctx: Any, depth: int) -> Any:
    if depth == 0:
        return 0
    below = yield ctx.run(durable_nested, depth - 1)
    return below + 1


def durable_one(ctx: Any, value: int) -> Any:
    return (yield ctx.run(durable_increment, value))


def durable_sleep(ctx: Any, seconds: float) -> Any:
    yield ctx.sleep(seconds)
    return 1


FUNCTIONS = (durable_seq, durable_fanout, durable_fib, durable_nested, durable_one, durable_sleep)


class ResonatePeer:
    """A client of the 0.6.7 API, in memory unless it is given."""

    def __init__(self, client: Any = None) -> None:
        from resonate import Resonate

        self.client = client or Resonate.local(log_level="ERROR")
        self.handles: list[Any] = []
        self.functions = {function: self.client.register(function) for function in FUNCTIONS}
        self.client.start()

    def run(self, function: Any, *arguments: int) -> Any:
        return self.functions[function].run(new_id(), *arguments)

    def seq(self, count: int) -> int:
        return int(self.run(durable_seq, count))

    def fanout(self, count: int) -> int:
        return int(self.run(durable_fanout, count))

    def fib(self, number: int) -> int:
        return int(self.run(durable_fib, number))

    def nested(self, depth: int) -> int:
        return int(self.run(durable_nested, depth))

    def one(self, value: int) -> int:
        return int(self.run(durable_one, value))

    def begin_sleepers(self, count: int, seconds: float) -> None:
        self.handles = [self.functions[durable_sleep].begin_run(new_id(), seconds) for _ in range(count)]

    def sleep(self, count: int, seconds: float) -> int:
        self.begin_sleepers(count, seconds)
        return sum(handle.result() for handle in self.handles)
