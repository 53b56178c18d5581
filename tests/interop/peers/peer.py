"""A worker of SDK 0.6.7, or of this package, on the legacy protocol: one program for both. `told.py` says how it is started and told."""

from __future__ import annotations

import logging
from typing import Any

from generators import do, register, step
from things import VALUES, described, made
from told import further, group, listen, pid

from resonate import Resonate

resonate = Resonate.remote(group=group, pid=pid, log_level=logging.WARNING, **further)
register(resonate)


@resonate.register
def receive(ctx: Any, value: Any) -> Any:
    """How the value arrived, and the value itself."""
    return described(value), value


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
def review(ctx: Any, promise_id: str) -> Any:
    """Waits for a person."""
    approval = yield ctx.promise(id=promise_id)
    answer = yield approval
    return {"approved": answer}


@resonate.register
def delegate(ctx: Any, victim: str, target: str) -> Any:
    """A step, a call of another group, and a step that outlives no victim."""
    first = yield ctx.run(step, "first", victim)
    called = yield ctx.rpc("receive", (1, 2)).options(target=target)
    second = yield ctx.run(step, "second", victim)
    return [first, called, second]


def carry_out(command: dict[str, Any]) -> dict[str, Any]:
    """What came of a command, described or, where it is to be plain, as it is."""
    try:
        value = do(resonate, **command["do"])
        return {"value": value if command["plain"] else described(value)}
    except Exception as error:
        return {"error": described(error)}


resonate.start()
listen(carry_out)
