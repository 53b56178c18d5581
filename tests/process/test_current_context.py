"""Which durable function runs here, for code that was not handed its context."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from waiting import SOON, when

from resonate import Resonate
from resonate.context import current_context
from resonate.retry_policies import Constant, Never


@pytest.fixture
def client() -> Iterator[Resonate]:
    with Resonate(log_level="CRITICAL") as made:
        yield made


def here() -> tuple[str, str, int] | None:
    """(run, call, attempt) of the durable function that calls this."""
    context = current_context()
    return None if context is None else (context.run_id, context.id, context.info.attempt)


def step(ctx: Any) -> Any:
    return here()


def test_each_call_sees_itself_and_its_caller_sees_itself_again(client: Resonate) -> None:
    """A generator that goes on after a step of its own is itself again; outside of durable functions there is none."""

    def top(ctx):
        before = here()
        inner = yield ctx.run(step)
        return before, tuple(inner), here()

    assert client.begin_run("top", client.register(top)).result(SOON) == (("top", "top", 1), ("top", "top.1", 1), ("top", "top", 1))
    assert here() is None


def test_the_run_is_the_outermost_one(client: Resonate) -> None:
    """A function that is asked for by `ctx.rpc` belongs to the run of whoever asked, as observers see it."""
    client.register(step)

    def top(ctx):
        return (yield ctx.rpc("step"))

    assert tuple(client.begin_run("top", client.register(top)).result(SOON)) == ("top", "top.1", 1)


def test_a_later_attempt_is_told_from_the_first(client: Resonate) -> None:
    """The attempt is the one that runs."""
    seen = []

    def flaky(ctx):
        seen.append(here())
        if len(seen) < 2:
            raise ValueError

    client.options(retry_policy=Constant(0.001)).begin_run("top", client.register(flaky)).result(SOON)
    assert seen == [("top", "top", 1), ("top", "top", 2)]


def test_coroutines_their_tasks_and_their_threads_see_it(client: Resonate) -> None:
    """What copies the variables of `contextvars` keeps it; a thread that somebody starts by hand has none."""

    async def task():
        await asyncio.sleep(0)
        return here()

    async def fetch(ctx):
        plain: list[Any] = []
        thread = threading.Thread(target=lambda: plain.append(here()))
        thread.start()
        thread.join()
        return [here(), *await asyncio.gather(task(), asyncio.to_thread(here)), *plain]

    async def top(ctx):
        first = await ctx.run(fetch)
        return [*first, here()]

    found = client.begin_run("top", client.register(top)).result(SOON)
    inner = ("top", "top.1", 1)
    assert [each and tuple(each) for each in found] == [inner, inner, inner, None, ("top", "top", 1)]


def test_a_run_launched_inside_is_a_run_of_its_own(client: Resonate) -> None:
    """What a durable function launches by the client sees itself, not its launcher."""
    client.register(step)

    def top(ctx):
        return client.run("inner", "step"), here()

    inner, outer = client.begin_run("top", client.register(top)).result(SOON)
    assert (tuple(inner), tuple(outer)) == (("inner", "inner", 1), ("top", "top", 1))


def test_what_a_canceled_generator_does_at_its_end_is_its_own(client: Resonate) -> None:
    """`finally` blocks of a generator that is closed from outside see their execution."""
    seen = []

    def top(ctx):
        try:
            yield ctx.promise(id="never", timeout=60)
            yield ctx.sleep(60)
        finally:
            seen.append(here())

    client.begin_run("top", client.register(top))
    when(lambda: client.promises.get("never"))
    client.cancel("top")
    when(lambda: seen)
    assert seen == [("top", "top", 1)]


def test_what_the_sdk_says_of_a_call_is_said_by_that_call() -> None:
    """A record about an attempt that failed, or about a run that waits for its function, is emitted inside that execution."""
    said: list[tuple[str, Any]] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append((record.getMessage().split(" and ")[0], here()))  # type: ignore[method-assign]
    logger = logging.getLogger("resonate.functions")
    kept, logger.handlers[:] = logger.handlers[:], [handler]

    def fails(ctx):
        raise ValueError("no rows")

    def top(ctx):
        yield ctx.begin_run(fails).options(retry_policy=Never())  # and nobody looks at it

    try:
        with Resonate(log_level="WARNING") as client:
            client.begin_run("top", client.register(top)).result(SOON)
    finally:
        logger.handlers[:] = kept
    assert ("fails(), attempt 1, failed for good: ValueError: no rows", ("top", "top.1", 1)) in said
    assert ("fails (top.1) failed", ("top", "top", 0)) in said
    assert here() is None
