"""Small durable functions, and a store that tells what it was asked."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from resonate import Resonate
from resonate.context import Context
from resonate.dependencies import Dependencies
from resonate.errors import ResonateStoreError
from resonate.protocol import ListDescendants
from resonate.registry import Registry
from resonate.stores import LocalStore

FAR = 2**45
"""A deadline that no test lives to see, in milliseconds since the epoch."""


def value(ctx: Any, x: Any = None) -> Any:
    return x


def fails(ctx: Any, *args: Any) -> Any:
    raise ValueError(*args)


def here(ctx: Any) -> str:
    return str(ctx.id)


def ids(client: Resonate, run_id: str) -> list[str]:
    """The ids of all promises of a run."""
    return sorted(record.id for record in client._shared.store.call([ListDescendants(run_id)])[0])


def code_of(call: Callable[[], Any]) -> int | None:
    """The server's code with which a store refuses, None when it does not."""
    try:
        call()
    except ResonateStoreError as error:
        return int(f"{error.code:.5f}".partition(".")[2])
    return None


def loose_context(registry: Registry | None = None) -> Context:
    """The context of a run `top` that nobody drives: for what its calls make and refuse."""
    nothing: Any = None  # no call asks for its facts
    return Context("top", nothing, registry or Registry(), Dependencies())


class Shift:
    """An encoder of a user: JSON in base64."""

    def encode(self, obj: Any, /) -> str | None:
        return base64.b64encode(json.dumps(obj).encode()).decode()

    def decode(self, obj: str | None, /) -> Any:
        return json.loads(base64.b64decode(obj)) if obj else None


class Asked(NamedTuple):
    """One call of a store."""

    method: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Watched:
    """Somebody's store, by the protocol alone, which keeps what it was asked."""

    encoder = None

    def __init__(self) -> None:
        self.inner = LocalStore()
        self.inner.start()
        self.asked: list[Asked] = []
        self.promises = _Face(self, self.inner.promises)
        self.tasks = _Face(self, self.inner.tasks)
        self.schedules = _Face(self, self.inner.schedules)

    def of(self, *methods: str) -> list[Asked]:
        """What was asked by these methods, in order."""
        return [each for each in list(self.asked) if each.method in methods]


class _Face:
    def __init__(self, store: Watched, face: Any) -> None:
        self._store = store
        self._face = face

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._face, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._store.asked.append(Asked(name, args, kwargs))
            return method(*args, **kwargs)

        return call


def client_of(store: Watched, **options: Any) -> Resonate:
    """A client of somebody's store, of group `g` and with the process id `w1`."""
    source = store.inner.message_source("g", "w1")
    return Resonate(store=store, message_source=source, **{"group": "g", "pid": "w1", "workers": 2, "log_level": "CRITICAL"} | options)
