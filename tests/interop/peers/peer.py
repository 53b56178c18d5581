"""A worker of SDK 0.6.7, or of this package: one program for both. It is told what to do by lines of JSON and answers by lines of JSON.

    python peer.py GROUP PID LEDGER ARGUMENTS       ARGUMENTS: JSON, further arguments of `Resonate.remote`
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from things import VALUES, described, made

from resonate import Resonate
from resonate.retry_policies import Constant

group, pid, ledger, further = sys.argv[1:]
resonate = Resonate.remote(group=group, pid=pid, log_level=logging.WARNING, **json.loads(further))
attempts: dict[str, int] = {}


def note(text: str) -> None:
    """One line in the file that all workers share."""
    with Path(ledger).open("a", encoding="utf-8") as file:
        file.write(f"{text} {pid}\n")


# ---- functions that every worker knows ---------------------------------------------------------------------------------------------------


@resonate.register
def echo(ctx: Any, value: Any) -> Any:
    """What it is given."""
    return value


@resonate.register
def receive(ctx: Any, value: Any) -> Any:
    """How the value arrived, and the value itself."""
    return described(value), value


@resonate.register
def who(ctx: Any, number: int) -> str:
    """The worker that has it."""
    time.sleep(0.02)
    return pid


@resonate.register
def explode(ctx: Any, name: str) -> Any:
    """Raises the named error. A generator, since functions are tried again."""
    raise made(name)
    yield


@resonate.register
def send(ctx: Any, name: str, target: str) -> Any:
    """A value to a worker of another group and back."""
    seen, back = yield ctx.rpc("receive", VALUES[name]).options(target=target)
    return [seen, described(back)]


@resonate.register
def defuse(ctx: Any, name: str, target: str) -> Any:
    """An error of a worker of another group, caught."""
    try:
        yield ctx.rpc("explode", name).options(target=target)
    except Exception as error:
        return described(error)


@resonate.register
def keep(ctx: Any, name: str) -> Any:
    """The named value."""
    return VALUES[name]


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
def review(ctx: Any, promise_id: str) -> Any:
    """Waits for a person."""
    approval = yield ctx.promise(id=promise_id)
    answer = yield approval
    return {"approved": answer}


def flaky(ctx: Any, key: str, failures: int) -> int:
    """Fails so many times in each process."""
    attempts[key] = attempts.get(key, 0) + 1
    if attempts[key] <= failures:
        raise RuntimeError(f"attempt {attempts[key]}")
    return attempts[key]


@resonate.register
def persist(ctx: Any, key: str, failures: int, retries: int) -> Any:
    """A step that is tried again."""
    return (yield ctx.run(flaky, key, failures).options(retry_policy=Constant(delay=0.05, max_retries=retries)))


def step(ctx: Any, name: str, victim: str) -> Any:
    """Notes that it ran; in the victim, the second one never ends."""
    note(f"{name}")
    if name == "second" and pid == victim:
        threading.Event().wait()
    return (name, pid)


@resonate.register
def journey(ctx: Any, victim: str) -> Any:
    """Two steps, the second of which outlives no victim."""
    first = yield ctx.run(step, "first", victim)
    second = yield ctx.run(step, "second", victim)
    return [first, second]


@resonate.register
def delegate(ctx: Any, victim: str, target: str) -> Any:
    """A step, a call of another group, and a step that outlives no victim."""
    first = yield ctx.run(step, "first", victim)
    called = yield ctx.rpc("receive", (1, 2)).options(target=target)
    second = yield ctx.run(step, "second", victim)
    return [first, called, second]


# ---- what the worker is told -------------------------------------------------------------------------------------------------------------


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
        case "begin rpc":
            client.begin_rpc(id, name, *(args or ()))
        case "get":
            return resonate.get(id).result()
        case "resolve":
            resonate.promises.resolve(id=id, data=json.dumps(args))
        case "reject":
            resonate.promises.reject(id=id, data=json.dumps(args))
    return None


def answer(line: str) -> None:
    """Carry out a command and tell what came of it."""
    command = json.loads(line)
    try:
        value = do(**command["do"])
        told = {"value": value if command["plain"] else described(value)}
    except Exception as error:
        told = {"error": described(error)}
    print(json.dumps({"n": command["n"], **told}), flush=True)


resonate.start()
print(json.dumps({"n": 0}), flush=True)
for line in sys.stdin:
    threading.Thread(target=answer, args=(line,), daemon=True).start()
os._exit(0)
