"""Thirteen workflows, each with the result that it must come to however often its process dies, and a ledger that its steps write.

Every step that does something notes it at the beginning of its body (`Ledger`, a dependency of the client).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

from resonate import Resonate
from resonate.retry_policies import Constant, Never
from tests.chaos.ledger import Ledger


class Workflow(NamedTuple):
    """A function to launch under its own name, and what must come of it."""

    func: Callable[..., Any]
    result: Any
    gate: str | None = None
    """A promise that somebody outside has to resolve with 5."""
    also: str | None = None
    """A promise that has to settle with 14 besides the run's own."""


# ---- steps -------------------------------------------------------------------------------------------------------------------------


def note(ctx: Any, what: str = "run") -> None:
    ctx.get_dependency("ledger").write(what, ctx.id, ctx.info.attempt)


def double(ctx: Any, x: int) -> int:
    note(ctx)
    return 2 * x


def private(ctx: Any, x: int) -> int:
    note(ctx, "private")
    return x + 1


def flaky(ctx: Any, good_attempt: int) -> int:
    note(ctx)
    if ctx.info.attempt < good_attempt:
        raise ConnectionError(f"attempt {ctx.info.attempt}")
    return good_attempt


def hopeless(ctx: Any, text: str) -> None:
    note(ctx)
    raise ValueError(text)


def same(ctx: Any, *values: Any) -> list[Any]:
    note(ctx)
    return list(values)


def large(ctx: Any, size: int, sign: str) -> str:
    note(ctx)
    return sign * size


def digest(ctx: Any, text: str) -> int:
    note(ctx)
    return zlib.crc32(text.encode())


# ---- workflows ---------------------------------------------------------------------------------------------------------------------


def sequence(ctx: Any) -> Any:
    total = 0
    for number in range(6):
        total += yield ctx.run(double, number)
    return total


def fan_out(ctx: Any) -> Any:
    promises = []
    for number in range(6):
        promise = yield ctx.begin_run(double, number)
        promises.append(promise)
    total = 0
    for promise in promises:
        total += yield promise
    return total


def nested(ctx: Any, depth: int = 3) -> Any:
    if depth == 0:
        return (yield ctx.run(double, 1))
    left = yield ctx.begin_run(nested, depth - 1)
    own = yield ctx.run(double, depth)
    return own + (yield left)


def retries(ctx: Any) -> Any:
    first = yield ctx.run(flaky, 3).options(retry_policy=Constant(delay=0.01, max_retries=5))
    second = yield ctx.run(flaky, 2).options(retry_policy=Constant(delay=0.01, max_retries=5))
    return [first, second]


def sleeps(ctx: Any) -> Any:
    first = yield ctx.run(double, 1)
    yield ctx.sleep(0.08)
    second = yield ctx.run(double, 2)
    yield ctx.sleep(0)
    return [first, second]


def waits(ctx: Any) -> Any:
    gate = yield ctx.promise(id="gate")
    before = yield ctx.run(double, 3)
    value = yield gate
    after = yield ctx.run(double, value)
    return [before, value, after]


def remote(ctx: Any) -> Any:
    begun = yield ctx.begin_rpc("double", 4)
    nested_total = yield ctx.rpc("nested", 1)
    return [(yield begun), nested_total, (yield ctx.rpc("double", 5))]


def detaches(ctx: Any) -> Any:
    first = yield ctx.run(double, 1)
    yield ctx.detached("double", 7)
    return first + (yield ctx.run(double, 2))


async def coroutine(ctx: Any) -> Any:
    promise = await ctx.begin_run(double, 1)
    first = await ctx.run(double, 2)
    await ctx.sleep(0.02)
    return [first, await promise]


def recorded(ctx: Any) -> Any:
    now = yield ctx.time.time()
    x = yield ctx.random.random()
    seen = yield ctx.run(same, now, x)
    y = yield ctx.random.randint(1, 10**9)
    return [seen == [now, x], now > 1e9, 0 <= x < 1, (yield ctx.run(same, y)) == [y]]


def catches(ctx: Any) -> Any:
    told = []
    for text in ("a", "b"):
        try:
            yield ctx.run(hopeless, text).options(retry_policy=Never())
        except ValueError as error:
            told.append(str(error))
        told.append((yield ctx.run(double, len(told))))
    return told


def mixture(ctx: Any) -> Any:
    first = yield ctx.run(double, 1)
    second = yield ctx.run(private, first).options(durable=False)
    promise = yield ctx.begin_run(double, second)
    third = yield ctx.run(private, 10).options(durable=False)
    return [first, second, (yield promise), third]


def values(ctx: Any) -> Any:
    digests = []
    for sign in "ab":
        text = yield ctx.run(large, 200_000, sign)
        digests.append((yield ctx.run(digest, text)))
    return digests


WORKFLOWS: dict[str, Workflow] = {
    "sequence": Workflow(sequence, 30),
    "fan_out": Workflow(fan_out, 30),
    "nested": Workflow(nested, 14),
    "retries": Workflow(retries, [3, 2]),
    "sleeps": Workflow(sleeps, [2, 4]),
    "waits": Workflow(waits, [6, 5, 10], gate="gate"),
    "remote": Workflow(remote, [8, 4, 10]),
    "detaches": Workflow(detaches, 6, also="detaches.2"),
    "coroutine": Workflow(coroutine, [4, 2]),
    "recorded": Workflow(recorded, [True, True, True, True]),
    "catches": Workflow(catches, ["a", 2, "b", 6]),
    "mixture": Workflow(mixture, [2, 3, 6, 11]),
    "values": Workflow(values, [zlib.crc32(sign * 200_000) for sign in (b"a", b"b")]),
}
"""By the name under which each is registered and launched."""


def register(client: Resonate, ledger: Ledger) -> None:
    """Make everything here known to a client, and the ledger to its steps."""
    client.set_dependency("ledger", ledger)
    for func in (double, *(each.func for each in WORKFLOWS.values())):
        client.register(func)
