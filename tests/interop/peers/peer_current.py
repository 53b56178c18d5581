"""A worker of this package on the current protocol, with the functions of `peer_081.py` and `peer.mjs`. `told.py` says how it is told."""

from __future__ import annotations

import datetime
import json
import logging
import os
from typing import Any

from generators import do, register
from told import further, group, listen, note, pid

from resonate import Resonate
from resonate.errors import RemoteError

resonate = Resonate.remote(host=os.environ["PEER_URL"], group=group, pid=pid, protocol="current", log_level=logging.CRITICAL, **further)
register(resonate)


class OutOfStock(Exception):
    """An error that nobody else knows."""


@resonate.register
def nothing(ctx: Any) -> None:
    """Nothing at all."""


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
def review(ctx: Any) -> Any:
    """Waits for a person."""
    approval = yield ctx.promise()
    note(f"asks {approval.id}")
    return {"approved": (yield approval)}


def plain(error: BaseException) -> list[str]:
    """What is told of an error: the name of its class where it was raised, and its text."""
    name = error.type_name if isinstance(error, RemoteError) else type(error).__name__
    return [name, str(error).removeprefix(f"{name}: ")]


def carry_out(command: dict[str, Any]) -> dict[str, Any]:
    """What came of a command."""
    try:
        value = do(resonate, **command["do"])
        return {"value": "exact" if value == KEPT else value}
    except Exception as error:
        return {"error": json.dumps(plain(error))}


resonate.start()
listen(carry_out)
