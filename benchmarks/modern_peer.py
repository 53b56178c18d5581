"""resonate-sdk 0.8.1: durable functions are coroutines, and a server of the current generation is where they live."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from bare_calls import FAR
from common import STEP_ENDS_S, expect, increment, new_id
from resonate.types import Value

from resonate.resonate import Resonate


async def durable_increment(ctx: Any, value: int) -> int:
    return increment(value)


async def durable_seq(ctx: Any, count: int) -> int:
    value = 0
    for _ in range(count):
        value = await ctx.run(durable_increment, value)
        STEP_ENDS_S.append(time.perf_counter())
    return value


async def durable_fanout(ctx: Any, count: int) -> int:
    promises = [ctx.run(durable_increment, value) for value in range(count)]
    return sum([await promise for promise in promises])


async def durable_one(ctx: Any, value: int) -> int:
    return await ctx.run(durable_increment, value)


async def durable_sleep(ctx: Any, seconds: float) -> int:
    await ctx.sleep(timedelta(seconds=seconds))
    return 1


class ModernPeer:
    """Its event loop runs on the calling thread, as long as something is waited for."""

    def __init__(self, url: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.client = self.loop.run_until_complete(self.open(url))

    async def open(self, url: str) -> Any:
        client = Resonate(url=url)
        for function in (durable_increment, durable_seq, durable_fanout, durable_one, durable_sleep):
            client.register(function)
        return client

    def wait[Result](self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return self.loop.run_until_complete(coroutine)

    async def run(self, function: Any, *arguments: Any) -> int:
        return int(await self.client.run(new_id(), function, *arguments).result())

    def seq(self, count: int) -> int:
        return self.wait(self.run(durable_seq, count))

    def fanout(self, count: int) -> int:
        return self.wait(self.run(durable_fanout, count))

    def one(self, value: int) -> int:
        return self.wait(self.run(durable_one, value))

    def nap(self, seconds: float) -> None:
        expect(self.wait(self.run(durable_sleep, seconds)), 1)

    def calls(self, count: int) -> list[float]:
        return self.wait(self.timed_calls(count))

    async def timed_calls(self, count: int) -> list[float]:
        promises, each_s = self.client.promises, []
        for _ in range(count):
            name, began_s = new_id(), time.perf_counter()
            await promises.create(name, FAR, Value(), {"resonate:scope": "local"})
            created_s = time.perf_counter()
            await promises.resolve(name, Value(data=42))
            each_s += [created_s - began_s, time.perf_counter() - created_s]
        return each_s
