"""Durable programs that tests run against servers, each with what must come of it. Every step tells that it ran."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from resonate import Resonate
from resonate.retry_policies import Constant

Tell = Callable[[str], None]


def register(resonate: Resonate, tell: Tell = lambda step: None) -> None:
    """Make the programs known to a client."""

    def step(ctx: Any, name: str) -> str:
        tell(f"{ctx.id} {name}")
        return name

    def fails_twice(ctx: Any) -> int:
        tell(f"{ctx.id} try {ctx.info.attempt}")
        if ctx.info.attempt < 3:
            raise ValueError(f"attempt {ctx.info.attempt}")
        return int(ctx.info.attempt)

    def sequence(ctx: Any, count: int) -> Any:
        done: list[str] = []
        while len(done) < count:
            done.append((yield ctx.run(step, f"s{len(done)}")))
        return done

    def fan_out(ctx: Any, count: int) -> Any:
        begun: list[Any] = []
        while len(begun) < count:
            begun.append((yield ctx.begin_run(step, f"f{len(begun)}")))
        done: list[str] = []
        while len(done) < count:
            done.append((yield begun[len(done)]))
        return done

    def retries(ctx: Any) -> Any:
        return (yield ctx.run(fails_twice).options(retry_policy=Constant(0.01, 5)))

    def fails(ctx: Any) -> Any:
        yield ctx.run(step, "before")
        raise KeyError("no such thing")

    def sleeps(ctx: Any, seconds: float) -> Any:
        yield ctx.sleep(seconds)
        return (yield ctx.run(step, "awake"))

    def person(ctx: Any) -> Any:
        answer = yield (yield ctx.promise(id=f"{ctx.id}-ask"))
        return [answer, (yield ctx.run(step, "after"))]

    def calls(ctx: Any, func: str, target: str, *args: Any) -> Any:
        return (yield ctx.rpc(func, *args).options(target=target))

    def catches(ctx: Any, func: str, target: str) -> Any:
        try:
            yield ctx.rpc(func).options(target=target)
        except KeyError as error:
            return f"caught {error}"

    def nested(ctx: Any, depth: int) -> Any:
        if depth == 0:
            return (yield ctx.run(step, "bottom"))
        return [depth, (yield ctx.run(nested, depth - 1))]

    def custom(ctx: Any) -> Any:
        return (yield ctx.run(step, "own").options(id=f"{ctx.id}-own"))

    def detaches(ctx: Any, target: str) -> Any:
        yield ctx.detached("sequence", 1).options(id=f"{ctx.id}-detached", target=target)
        return "left"

    async def coroutine(ctx: Any) -> Any:
        return [await ctx.run(step, "a"), await ctx.run(step, "b")]

    for each in (sequence, fan_out, retries, fails, sleeps, person, calls, catches, nested, custom, detaches, coroutine):
        resonate.register(each)


def start(resonate: Resonate, within_s: float = 10) -> None:
    """Start a client and wait until it hears: what is sent to a group before somebody listens goes out again only 15 s later."""
    resonate.start()
    store: Any = resonate._shared.store
    deadline = time.monotonic() + within_s
    while not store._connected_at:
        assert time.monotonic() < deadline, "no stream of messages was opened"
        time.sleep(0.002)


ENDS: dict[str, tuple[tuple[Any, ...], Any]] = {
    "sequence": ((4,), ["s0", "s1", "s2", "s3"]), "fan_out": ((6,), [f"f{number}" for number in range(6)]), "retries": ((), 3),
    "nested": ((2,), [2, [1, "bottom"]]), "custom": ((), "own"), "coroutine": ((), ["a", "b"]), "sleeps": ((0.2,), "awake"),
}  # fmt: skip
"""Programs that need nobody else: their arguments, and their value."""
