"""Functions that workers of 0.6.7 and of this package register alike, and how either carries out a command."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from told import attempt, note, pid

from resonate import Resonate
from resonate.retry_policies import Constant


def echo(ctx: Any, value: Any) -> Any:
    """What it is given."""
    return value


def who(ctx: Any, number: int) -> str:
    """The worker that has it."""
    time.sleep(0.02)  # the call's work: were it over at once, the first worker of a group would have done all of it
    return pid


def ping(ctx: Any, count: int, here: str, there: str) -> Any:
    """Back and forth between two groups, each waiting for the other."""
    if count == 0:
        return []
    turns = yield ctx.rpc("ping", count - 1, there, here).options(target=there)
    return [[pid, count], *turns]


def scatter(ctx: Any, count: int, target: str) -> Any:
    """Many calls at once."""
    calls, found = [], []
    for number in range(count):
        calls.append((yield ctx.rfi("who", number).options(target=target)))  # noqa: PERF401 (a comprehension cannot yield)
    for call in calls:
        found.append((yield call))  # noqa: PERF401
    return found


def nap(ctx: Any, seconds: float) -> Any:
    """A durable sleep."""
    yield ctx.sleep(seconds)
    return "rested"


def flaky(ctx: Any, key: str, failures: int) -> int:
    """Fails so many times in each process."""
    return attempt(key, failures)


def persist(ctx: Any, key: str, failures: int, retries: int) -> Any:
    """A step that is tried again."""
    return (yield ctx.run(flaky, key, failures).options(retry_policy=Constant(delay=0.05, max_retries=retries)))


def step(ctx: Any, name: str, victim: str) -> Any:
    """Notes that it ran; in the victim, the second one never ends."""
    note(name)
    if name == "second" and pid == victim:
        threading.Event().wait()
    return (name, pid)


def journey(ctx: Any, victim: str) -> Any:
    """Two steps, the second of which outlives no victim."""
    first = yield ctx.run(step, "first", victim)
    second = yield ctx.run(step, "second", victim)
    return [first, second]


def register(resonate: Resonate) -> None:
    """Make them known to a client."""
    for each in (echo, who, ping, scatter, nap, persist, journey):
        resonate.register(each)


def do(resonate: Resonate, what: str, id: str, name: str = "", args: list[Any] | None = None, target: str | None = None) -> Any:
    """Carry out one command."""
    client = resonate.options(target=f"poll://any@{target}") if target else resonate
    match what:
        case "run":
            return client.run(id, name, *(args or ()))
        case "begin":
            client.begin_run(id, name, *(args or ()))
        case "rpc":
            return client.rpc(id, name, *(args or ()))
        case "begin rpc":
            client.begin_rpc(id, name, *(args or ()))
        case "get":
            return resonate.get(id).result()
        case "resolve":
            resonate.promises.resolve(id=id, data=json.dumps(args))
        case "reject":
            resonate.promises.reject(id=id, data=json.dumps(args))
    return None
