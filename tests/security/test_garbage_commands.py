"""Whatever is passed to the public calls, the answer is a value or an error that tells; nothing breaks, nothing hangs."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from resonate import Resonate
from resonate.errors import ResonateError
from resonate.retry_policies import Constant, Never
from resonate.stores import LocalStore

TOLD = (TypeError, ValueError, ResonateError)
"""What a caller who gives garbage is to be told with."""


class Odd:
    """Everything about it raises."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")


JUNK: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**70), 1.5, -0.0, float("nan"), float("inf"), 1e308, "", "a", "b", "r.1", "*",
    "\x00", "\ud800", "x" * 40_000, "__invoke:a", "poll://any@default", "{", '{"a": 1}', "* * * * *", "61 * * * *", "{{.id}}", b"", b"a",
    bytearray(b"a"), [], ["a"], (), (1,), {}, {"a": "b"}, {"a": 1}, {1: "a"}, {"resonate:invoke": "default"}, {"resonate:timeout": "true"},
    set(), frozenset("a"), object(), object, len, lambda: None, lambda *a, **k: None, Exception("e"), Exception, Odd(), ..., range(3), 1j,
    (ValueError,), Never(), Constant(0), iter(()), (each for each in ()), LocalStore,
]  # fmt: skip
KEYWORDS = (
    "ikey", "strict", "headers", "data", "tags", "description", "promise_headers", "promise_data", "promise_tags", "state", "limit",
    "cursor", "timeout", "version", "encoder", "idempotency_key", "retry_policy", "target", "name", "id",
)  # fmt: skip
SOUND: dict[str, tuple[Any, ...]] = {
    "promises.get": ("a",), "promises.create": ("b", 2**43), "promises.create_with_task": ("b", 2**43, "w1", 1000),
    "promises.resolve": ("settled",), "promises.reject": ("settled",), "promises.cancel": ("settled",),
    "promises.callback": ("a", "settled", "poll://any@g", 2**43), "promises.subscribe": ("s", "a", "poll://any@g", 2**43),
    "promises.search": ("*",), "schedules.create": ("b", "0 0 1 1 *", "b.{{.timestamp}}", 1000), "schedules.get": ("a",),
    "schedules.delete": ("a",), "schedules.search": ("*",), "tasks.claim": ("__invoke:a", 1, "w1", 1000),
    "tasks.complete": ("__invoke:held", 1), "tasks.heartbeat": ("w1",), "tasks.drop": ("__invoke:held", 1),
    "client.begin_run": ("r", "known", 1), "client.begin_rpc": ("r", "known", 1), "client.get": ("settled",), "client.options": (),
    "client.register": (len,), "client.set_dependency": ("a", 1), "client.cancel": ("settled",),
}  # fmt: skip
"""Arguments with which each call is answered."""


@pytest.fixture
def client() -> Iterator[Resonate]:
    with Resonate.local(log_level=logging.CRITICAL, workers=2) as resonate:
        yield resonate


@pytest.mark.parametrize("name", SOUND)
def test_garbage_arguments_are_told(client: Resonate, name: str) -> None:
    """Each public call, given a thousand lists of arguments of all kinds, answers or raises TypeError, ValueError or ResonateError."""
    chance, store = random.Random(name), client._shared.store
    faces = {"promises": client.promises, "schedules": client.schedules, "tasks": store.tasks, "client": client}
    face, _, method = name.partition(".")
    call: Callable[..., Any] = getattr(faces[face], method)
    client.register(lambda ctx, *args, **kwargs: "known", name="known")
    client.promises.create_with_task("held", 2**43, "w1", 10**9, tags={"resonate:invoke": "poll://any@nobody"})
    client.promises.create("a", 2**43)
    client.promises.create("settled", 2**43)
    client.promises.cancel("settled")
    client.schedules.create("a", "0 0 1 1 *", "a.{{.timestamp}}", 1000)
    answered, told = 0, []
    for _ in range(1_000):
        args = [each if chance.random() < 0.7 else chance.choice(JUNK) for each in SOUND[name]]
        args = args[: chance.randrange(9)] + [chance.choice(JUNK)] * (chance.random() < 0.1)
        kwargs = {chance.choice(KEYWORDS): chance.choice(JUNK) for _ in range(chance.choice((0, 0, 0, 1, 2)))}
        try:
            call(*args, **kwargs)
            answered += 1
        except TOLD as error:
            told.append(str(error))
    assert all(told)
    assert client.run("sound", client.register(lambda ctx: "sound", name="sound")) == "sound"
    assert answered < 1_000
    assert answered or method in {"claim", "resolve", "reject", "cancel"}  # nothing more to be had of what is there


OPTIONS = (
    "durable", "encoder", "id", "idempotency_key", "non_retryable_exceptions", "retry_policy", "tags", "target", "timeout", "version",
)  # fmt: skip
METHODS = ("run", "begin_run", "rpc", "begin_rpc", "detached", "promise", "sleep", "get_dependency", "typesafe")


def test_garbage_in_a_durable_function_fails_that_run_alone(client: Resonate) -> None:
    """A function that calls its context with anything, and yields what comes of it or something else, ends in a value or an error."""

    def leaf(ctx: Any, *args: Any, **kwargs: Any) -> str:
        return "leaf"

    def careless(ctx: Any, seed: int) -> Any:
        chance = random.Random(seed)
        method = chance.choice(METHODS)
        given: list[Any] = [leaf] * chance.choice((0, 1, 1)) + [chance.choice(JUNK) for _ in range(chance.choice((0, 0, 1, 2)))]
        named = {chance.choice(["id", "timeout", "data", "tags", "x"]): chance.choice(JUNK) for _ in range(chance.choice((0, 0, 1)))}
        command = getattr(ctx, method)(*given, **named)
        if chance.random() < 0.3 and hasattr(type(command), "options"):
            command = command.options(**{chance.choice(OPTIONS): chance.choice(JUNK)})
        promise = yield (command if chance.random() < 0.8 else chance.choice(JUNK))
        return str(type(promise))

    client.register(careless)
    sound = client.register(lambda ctx: "sound", name="sound")
    options = client.options(retry_policy=Never(), timeout=1)
    handles = [options.begin_run(f"careless.{seed}", careless, seed) for seed in range(600)]
    outcomes = [handle.future.exception(timeout=30) for handle in handles]
    assert sum(outcome is None for outcome in outcomes) > 20
    assert sum(outcome is not None for outcome in outcomes) > 200
    assert client.run("after", sound) == "sound"
