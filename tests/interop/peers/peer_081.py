"""A worker of SDK 0.8.1. `told.py` says how it is started and told; the further arguments are times for `Resonate`, in seconds."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import timedelta
from typing import Any

from resonate.retry import Constant, Never
from resonate.types import Value
from told import attempt, further, group, note, pid

from resonate.context import Context
from resonate.resonate import Resonate


async def echo(ctx: Context, value: Any) -> Any:
    """What it is given."""
    return value


async def nothing(ctx: Context) -> None:
    """Nothing at all."""


async def who(ctx: Context, number: int) -> str:
    """The worker that has it."""
    return pid


async def explode(ctx: Context, kind: str, text: str) -> Any:
    """Raises an error."""
    raise {"ValueError": ValueError, "Exception": Exception, "OutOfStock": OutOfStock}[kind](text)


class OutOfStock(Exception):
    """An error that nobody else knows."""


async def named(ctx: Context, first: int, *, second: int = 0) -> Any:
    """What it is given by place and by name."""
    return [first, second]


async def send_named(ctx: Context, target: str) -> Any:
    """A call with an argument by name."""
    return await ctx.options(target=target).rpc("named", 1, second=2)


async def inc(ctx: Context, value: int) -> int:
    """A step."""
    return value + 1


async def steps(ctx: Context, count: int) -> int:
    """Steps in a row."""
    value = 0
    for _ in range(count):
        value = await ctx.run(inc, value)
    return value


async def send(ctx: Context, function: str, target: str, args: list[Any]) -> Any:
    """A call of a worker of another group."""
    return await ctx.options(target=target).rpc(function, *args)


async def defuse(ctx: Context, target: str, kind: str, text: str) -> Any:
    """An error of a worker of another group, caught: its message."""
    try:
        return await ctx.options(target=target).rpc("explode", kind, text)
    except Exception as error:
        return [type(error).__name__, str(error)]


async def ping(ctx: Context, count: int, here: str, there: str) -> Any:
    """Back and forth between two groups, each waiting for the other."""
    if count == 0:
        return []
    turns = await ctx.options(target=there).rpc("ping", count - 1, there, here)
    return [[pid, count], *turns]


async def scatter(ctx: Context, count: int, target: str) -> Any:
    """Many calls at once."""
    calls = [ctx.options(target=target).rpc("who", number) for number in range(count)]
    return [await call for call in calls]


async def nap(ctx: Context, seconds: float) -> str:
    """A durable sleep."""
    await ctx.sleep(timedelta(seconds=seconds))
    return "rested"


async def review(ctx: Context) -> Any:
    """Waits for a person."""
    approval = ctx.promise()
    note(f"asks {await approval.id()}")
    return {"approved": await approval}


async def flaky(ctx: Context, key: str, failures: int) -> int:
    """Fails so many times in each process."""
    return attempt(key, failures)


async def persist(ctx: Context, key: str, failures: int, retries: int) -> Any:
    """A step that is tried again."""
    return await ctx.options(retry_policy=Constant(delay=0, max_retries=retries)).run(flaky, key, failures)


async def step(ctx: Context, name: str, victim: str) -> Any:
    """Notes that it ran; in the victim, the second one never ends."""
    note(name)
    if name == "second" and pid == victim:
        await asyncio.Event().wait()
    return [name, pid]


async def journey(ctx: Context, victim: str) -> Any:
    """Two steps, the second of which outlives no victim."""
    return [await ctx.run(step, "first", victim), await ctx.run(step, "second", victim)]


def plain(error: BaseException) -> list[str]:
    """What is told of an error."""
    return [type(error).__name__, str(error)]


async def do(resonate: Resonate, what: str, id: str, name: str = "", args: list[Any] | None = None, target: str | None = None) -> Any:
    """Carry out one command."""
    client = resonate.options(target=target) if target else resonate
    match what:
        case "run":
            return await client.run(id, name, *(args or ())).result()
        case "begin":
            await client.run(id, name, *(args or ())).id()
        case "rpc":
            return await client.rpc(id, name, *(args or ())).result()
        case "get":
            return await (await resonate.get(id)).result()
        case "resolve":
            await resonate.promises.resolve(id, Value(data=args))
    return None


async def answer(resonate: Resonate, line: str) -> None:
    """Carry out a command and tell what came of it."""
    command = json.loads(line)
    try:
        told = {"value": await do(resonate, **command["do"])}
    except Exception as error:
        told = {"error": json.dumps(plain(error))}
    print(json.dumps({"n": command["n"], **told}), flush=True)


async def main() -> None:
    """Work until there is nobody who tells it anything."""
    limits: Any = {name: timedelta(seconds=value) for name, value in further.items()}
    resonate = Resonate(url=os.environ["PEER_URL"], group=group, pid=pid, retry_policy=Never(), **limits)
    for each in (echo, nothing, who, explode, steps, named, send, send_named, defuse, ping, scatter, nap, review, persist, journey):
        resonate.register(each)
    for each in (inc, flaky, step):
        resonate.register(each)
    loop, tasks = asyncio.get_running_loop(), set()
    print(json.dumps({"n": 0}), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        tasks.add(asyncio.create_task(answer(resonate, line)))
    os._exit(0)


asyncio.run(main())
