"""`async def` durable functions: they await what generators yield, and nothing else drives them."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from waiting import SOON, when

from resonate import Resonate
from resonate.errors import NotDurable
from resonate.retry_policies import Constant
from resonate.stores import LocalStore


@pytest.fixture
def client() -> Iterator[Resonate]:
    with Resonate(workers=4, log_level="CRITICAL") as client:
        client.register(value)
        client.register(fails)
        yield client


def value(ctx: Any, x: Any = None) -> Any:
    return x


def fails(ctx: Any, *args: Any) -> Any:
    raise ValueError(*args)
    yield  # a generator is not retried


def generator(ctx: Any) -> Any:
    seen: list[Any] = [(yield ctx.run(value, 1)), (yield ctx.rpc("value", 2)), (yield ctx.sleep(0.001))]
    first = yield ctx.begin_run(value, 3)
    second = yield ctx.begin_rpc("value", 4)
    third = yield ctx.promise(timeout=0.01)
    seen += [(yield first), (yield second), (yield first)]
    try:
        yield third
    except Exception as error:
        seen.append(type(error).__name__)
    for command in (ctx.run(fails, 5), ctx.rpc("fails", 6)):
        try:
            yield command
        except ValueError as error:
            seen.append(error.args)
    yield ctx.detached("value", 7).options(id="loose")
    seen.append((yield ctx.run(value, 8).options(id="own", durable=False)))
    return seen


async def coroutine(ctx: Any) -> Any:
    seen: list[Any] = [await ctx.run(value, 1), await ctx.rpc("value", 2), await ctx.sleep(0.001)]
    first = await ctx.begin_run(value, 3)
    second = await ctx.begin_rpc("value", 4)
    third = await ctx.promise(timeout=0.01)
    seen += [await first, await second, await first]
    try:
        await third
    except Exception as error:
        seen.append(type(error).__name__)
    for command in (ctx.run(fails, 5), ctx.rpc("fails", 6)):
        try:
            await command
        except ValueError as error:
            seen.append(error.args)
    await ctx.detached("value", 7).options(id="loose")
    seen.append(await ctx.run(value, 8).options(id="own", durable=False))
    return seen


def test_await_is_yield() -> None:
    """Word for word the same function gives the same result by the same promises, whether it yields or awaits."""
    told = []
    for func in (generator, coroutine):
        with Resonate(log_level="CRITICAL") as client:
            client.register(value)
            client.register(fails, name="fails")
            result = client.begin_run("top", client.register(func, name="top")).result(SOON)
            when(lambda: client.promises.get("loose").resolved)
            promises = client.promises.search("*").promises
            told.append((result, [(each.id, each.state, each.tags, each.param.data, each.value.data) for each in promises]))
    assert told[0] == told[1]


def test_they_call_each_other(client: Resonate) -> None:
    """Generators and coroutines call one another to any depth."""

    async def down(ctx, n):
        return 1 + (await ctx.run(up, n - 1)) if n else 0

    def up(ctx, n):
        return 1 + (yield ctx.run(down, n - 1)) if n else 0

    assert client.begin_run("top", client.register(down), 60).result(SOON) == 60


def test_it_waits_without_a_thread(client: Resonate) -> None:
    """A coroutine that awaits a promise holds no worker: 100 of them wait while others run."""

    @client.register
    async def waits(ctx, gate):
        return await (await ctx.promise(id=gate))

    handles = [waits.begin_run(f"waits-{number}", f"gate-{number}") for number in range(100)]
    when(lambda: all(client.promises.get(f"gate-{number}").pending for number in range(100)))
    assert client.begin_run("other", "value", 7).result(SOON) == 7
    for number in range(100):
        client.promises.resolve(f"gate-{number}", data=f"{number}")
    assert [handle.result(SOON) for handle in handles] == list(range(100))


def test_it_is_taken_up_by_another_process() -> None:
    """A coroutine is replayed from the top: what is settled is not called again."""
    store, calls = LocalStore(), []

    async def job(ctx):
        first = await ctx.run(noted, 1)
        gate = await (await ctx.promise(id="gate"))
        return [first, gate, await ctx.run(noted, 3)]

    def noted(ctx, x):
        calls.append(x)
        return x

    with Resonate(store=store) as client:
        client.register(job)
        client.begin_run("job", "job")
        when(lambda: client.promises.get("gate").pending)
    with Resonate(store=store) as client:
        client.register(job)
        client.promises.resolve("gate", data="2")
        assert client.get("job").result(SOON) == [1, 2, 3]
    assert calls == [1, 3]


def test_a_step_may_be_asynchronous(client: Resonate) -> None:
    """An `async def` without durable calls awaits what it likes, and several do so at once."""

    async def fetch(ctx, x):
        async def half(y):
            await asyncio.sleep(0.001)
            return y

        parts = await asyncio.gather(half(x), half(x))
        async with asyncio.timeout(SOON):
            return sum(parts) + await asyncio.to_thread(lambda: 1)

    @client.register
    async def top(ctx):
        begun = [await ctx.begin_run(fetch, number) for number in range(20)]
        return [await each for each in begun]

    assert top.begin_run("top").result(SOON) == [2 * number + 1 for number in range(20)]


def test_an_asynchronous_step_is_retried_like_a_step(client: Resonate) -> None:
    """What awaits asyncio is retried by the policy of plain functions, what is made of durable steps is not."""
    tries: list[str] = []

    async def step(ctx):
        await asyncio.sleep(0)
        tries.append("step")
        if len(tries) < 2:
            raise ValueError("once")
        return "done"

    async def composed(ctx):
        tries.append("composed")
        await ctx.run(value, 1)
        raise ValueError("at the end")

    assert client.begin_run("step", client.register(step)).result(SOON) == "done"
    assert tries == ["step", "step"]
    with pytest.raises(ValueError, match="at the end"):
        client.begin_run("composed", client.register(composed)).result(SOON)
    assert tries == ["step", "step", "composed"]


def test_attempts_of_a_coroutine_number_their_children_alike(client: Resonate) -> None:
    """A coroutine that is retried finds what its earlier attempt has done."""
    tries: list[int] = []

    async def flaky(ctx):
        first = await ctx.run(noted)
        if ctx.info.attempt < 3:
            raise ValueError("again")
        return first, await ctx.run(value, ctx.info.attempt)

    def noted(ctx):
        tries.append(1)
        return len(tries)

    @client.register
    async def top(ctx):
        return await ctx.run(flaky).options(retry_policy=Constant(0, 5))

    assert top.begin_run("top").result(SOON) == (1, 3)
    assert tries == [1]


@pytest.mark.parametrize("what", ["sleep", "gather", "future", "task", "queue", "to_thread", "timeout"])
@pytest.mark.parametrize("order", ["before", "after"])
def test_asyncio_beside_durable_calls_is_refused(client: Resonate, what: str, order: str) -> None:
    """A function that is made of durable calls and awaits asyncio is told the durable way, and is not tried again."""
    begun = []

    async def foreign() -> Any:
        if what == "sleep":
            await asyncio.sleep(0.001)
        elif what == "gather":
            await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
        elif what == "future":
            await asyncio.wrap_future(client.begin_run("side", "value", 1).future)
        elif what == "task":
            await asyncio.create_task(asyncio.sleep(0))
        elif what == "queue":
            await asyncio.wait_for(asyncio.Queue().get(), 0.01)
        elif what == "to_thread":
            await asyncio.to_thread(len, "")
        else:
            async with asyncio.timeout(1):
                await asyncio.sleep(0)

    async def top(ctx):
        begun.append(1)
        if order == "after":
            await ctx.run(value, 1)
        try:
            await foreign()
        except TimeoutError:
            pass
        await ctx.run(value, 2)
        return "never"

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # what asyncio could not begin was never awaited
        error = client.begin_run("top", client.register(top)).future.exception(SOON)
    assert isinstance(error, NotDurable)
    assert "top" in str(error)
    assert "ctx.sleep" in str(error)
    assert begun == [1]


def test_anything_else_is_refused_too(client: Resonate) -> None:
    """An awaitable that no event loop knows is named, with what to await instead."""

    class Odd:
        def __await__(self):
            yield 5

    async def top(ctx):
        await Odd()

    error = client.begin_run("top", client.register(top)).future.exception(SOON)
    assert isinstance(error, NotDurable)
    assert "`int`" in str(error)


def test_an_asynchronous_generator_is_refused(client: Resonate) -> None:
    """An `async def` with `yield` in it is told what to write."""

    async def top(ctx):
        yield ctx.run(value, 1)

    error = client.begin_run("top", client.register(top)).future.exception(SOON)
    assert isinstance(error, NotDurable)
    assert "await ctx.run" in str(error)


@pytest.mark.parametrize("ending", [asyncio.CancelledError, KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("first", ["durable", "asyncio", "nothing"])
def test_whatever_a_coroutine_raises_is_its_own_failure(client: Resonate, ending: type[BaseException], first: str) -> None:
    """An exit, a cancellation or an interrupt inside a coroutine fails that run, and the workers go on."""

    async def top(ctx):
        if first == "durable":
            await ctx.run(value, 1)
        elif first == "asyncio":
            await asyncio.sleep(0)
        raise ending

    error = client.begin_run("top", client.register(top)).future.exception(SOON)
    assert ending.__name__ in str(error)
    assert [client.begin_run(f"after-{number}", "value", number).result(SOON) for number in range(8)] == list(range(8))


def test_a_coroutine_sees_the_callers_context_variables(client: Resonate) -> None:
    """Context variables of whoever launched the run are there before and after the first durable call, and in asyncio's tasks."""
    variable = contextvars.ContextVar("variable", default="unset")

    async def read():
        await asyncio.sleep(0)
        return variable.get()

    async def step(ctx):
        return [variable.get(), await asyncio.create_task(read())]

    @client.register
    async def top(ctx):
        before = variable.get()
        variable.set("changed")
        inside = await ctx.run(step)
        return [before, variable.get(), inside]

    variable.set("given")
    assert top.begin_run("top").result(SOON) == ["given", "changed", ["given", "given"]]


def test_what_a_step_leaves_running_ends_with_it(client: Resonate) -> None:
    """A task that an asynchronous step began and did not await is cancelled when the step ends; nothing lingers in the worker."""
    ended = threading.Event()

    async def lingers():
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    kept: list[Any] = []

    async def step(ctx):
        kept.append(asyncio.create_task(lingers()))
        await asyncio.sleep(0)
        return "done"

    assert client.begin_run("step", client.register(step)).result(SOON) == "done"
    assert ended.wait(SOON)


def test_loops_are_closed_with_their_workers() -> None:
    """Stopping a client leaves no event loop open."""
    loops: list[Any] = []

    async def step(ctx):
        loops.append(asyncio.get_running_loop())
        return 1

    with Resonate(workers=2) as client:
        assert client.begin_run("step", client.register(step)).result(SOON) == 1
        assert not loops[0].is_closed()
    assert loops[0].is_closed()


def test_a_coroutine_that_is_canceled_runs_its_finally(client: Resonate) -> None:
    """The run is called off while it waits: its coroutine is closed."""
    closed = threading.Event()

    @client.register
    async def top(ctx):
        try:
            await (await ctx.promise(id="gate"))
        finally:
            closed.set()

    top.begin_run("top")
    when(lambda: client.promises.get("gate").pending)
    client.cancel("top")
    assert closed.wait(SOON)
