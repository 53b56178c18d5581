"""A worker of this package on the current protocol, with the functions of `peer_081.py` and `peer.mjs`, told what to do as they are.

    python peer_current.py GROUP PID LEDGER ARGUMENTS       ARGUMENTS: JSON, further arguments of `Resonate.remote`
"""

from __future__ import annotations

import datetime
import json
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

from resonate import Resonate
from resonate.errors import RemoteError
from resonate.retry_policies import Constant

group, pid, ledger, further = sys.argv[1:]
resonate = Resonate.remote(
    host=os.environ["PEER_URL"], group=group, pid=pid, protocol="current", log_level=logging.CRITICAL, **json.loads(further)
)
attempts: dict[str, int] = {}


def note(text: str) -> None:
    """One line in the file that all workers share."""
    with Path(ledger).open("a", encoding="utf-8") as file:
        file.write(f"{text} {pid}\n")


class OutOfStock(Exception):
    """An error that nobody else knows."""


@resonate.register
def echo(ctx: Any, value: Any) -> Any:
    """What it is given."""
    return value


@resonate.register
def nothing(ctx: Any) -> None:
    """Nothing at all."""


@resonate.register
def who(ctx: Any, number: int) -> str:
    """The worker that has it."""
    return pid


@resonate.register
def explode(ctx: Any, kind: str, text: str) -> Any:
    """Raises an error. A generator, since functions are tried again."""
    raise {"ValueError": ValueError, "Exception": Exception, "OutOfStock": OutOfStock}[kind](text)
    yield


KEPT = {"shape": (2, 5), "day": datetime.date(2026, 2, 28), "raw": b"\x00\xff"}


@resonate.register
def keep(ctx: Any) -> Any:
    """What JSON has not."""
    return KEPT


@resonate.register
def named(ctx: Any, first: int, *, second: int = 0) -> Any:
    """What it is given by place and by name."""
    return [first, second]


@resonate.register
def send_named(ctx: Any, target: str) -> Any:
    """A call with an argument by name."""
    return (yield ctx.rpc("named", 1, second=2).options(target=target))


def inc(ctx: Any, value: int) -> int:
    """A step."""
    return value + 1


@resonate.register
def steps(ctx: Any, count: int) -> Any:
    """Steps in a row."""
    value = 0
    for _ in range(count):
        value = yield ctx.run(inc, value)
    return value


@resonate.register
def send(ctx: Any, function: str, target: str, args: list[Any]) -> Any:
    """A call of a worker of another group."""
    return (yield ctx.rpc(function, *args).options(target=target))


@resonate.register
def defuse(ctx: Any, target: str, kind: str, text: str) -> Any:
    """An error of a worker of another group, caught."""
    try:
        return (yield ctx.rpc("explode", kind, text).options(target=target))
    except Exception as error:
        return plain(error)


@resonate.register
def ping(ctx: Any, count: int, here: str, there: str) -> Any:
    """Back and forth between two groups, each waiting for the other."""
    if count == 0:
        return []
    turns = yield ctx.rpc("ping", count - 1, there, here).options(target=there)
    return [[pid, count], *turns]


@resonate.register
def scatter(ctx: Any, count: int, target: str) -> Any:
    """Many calls at once."""
    calls, found = [], []
    for number in range(count):
        calls.append((yield ctx.rfi("who", number).options(target=target)))  # noqa: PERF401 (a comprehension cannot yield)
    for call in calls:
        found.append((yield call))  # noqa: PERF401
    return found


@resonate.register
def nap(ctx: Any, seconds: float) -> Any:
    """A durable sleep."""
    yield ctx.sleep(seconds)
    return "rested"


@resonate.register
def review(ctx: Any) -> Any:
    """Waits for a person."""
    approval = yield ctx.promise()
    note(f"asks {approval.id}")
    return {"approved": (yield approval)}


def flaky(ctx: Any, key: str, failures: int) -> int:
    """Fails so many times in each process."""
    attempts[key] = attempts.get(key, 0) + 1
    if attempts[key] <= failures:
        raise ValueError(f"attempt {attempts[key]}")
    return attempts[key]


@resonate.register
def persist(ctx: Any, key: str, failures: int, retries: int) -> Any:
    """A step that is tried again."""
    return (yield ctx.run(flaky, key, failures).options(retry_policy=Constant(delay=0.05, max_retries=retries)))


def step(ctx: Any, name: str, victim: str) -> Any:
    """Notes that it ran; in the victim, the second one never ends."""
    note(name)
    if name == "second" and pid == victim:
        threading.Event().wait()
    return [name, pid]


@resonate.register
def journey(ctx: Any, victim: str) -> Any:
    """Two steps, the second of which outlives no victim."""
    first = yield ctx.run(step, "first", victim)
    return [first, (yield ctx.run(step, "second", victim))]


def plain(error: BaseException) -> list[str]:
    """What is told of an error: the name of its class where it was raised, and its text."""
    name = error.type_name if isinstance(error, RemoteError) else type(error).__name__
    return [name, str(error).removeprefix(f"{name}: ")]


def do(what: str, id: str, name: str = "", args: list[Any] | None = None, target: str | None = None) -> Any:
    """Carry out one command."""
    client = resonate.options(target=f"poll://any@{target}") if target else resonate
    match what:
        case "run":
            return client.run(id, name, *(args or ()))
        case "begin":
            client.begin_run(id, name, *(args or ()))
        case "rpc":
            return client.rpc(id, name, *(args or ()))
        case "get":
            return resonate.get(id).result()
        case "resolve":
            resonate.promises.resolve(id=id, data=json.dumps(args))
    return None


def answer(line: str) -> None:
    """Carry out a command and tell what came of it."""
    command = json.loads(line)
    try:
        value = do(**command["do"])
        told = {"value": "exact" if value == KEPT else value}
    except Exception as error:
        told = {"error": json.dumps(plain(error))}
    print(json.dumps({"n": command["n"], **told}), flush=True)


resonate.start()
print(json.dumps({"n": 0}), flush=True)
for line in sys.stdin:
    threading.Thread(target=answer, args=(line,), daemon=True).start()
os._exit(0)
