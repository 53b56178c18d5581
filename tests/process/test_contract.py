"""What programs written for 0.6.7 rely on beyond the guide: ids, structured concurrency, timeouts, stored form, errors, handles."""

from __future__ import annotations

import asyncio
import base64
import contextvars
import functools
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from resonate import Context, Promise, Resonate
from resonate.errors import ResonateCanceledError, ResonateStoreError, ResonateTimedoutError
from resonate.events import RetryScheduled
from resonate.models.result import Ko, Ok
from resonate.protocol import ListDescendants
from resonate.retry_policies import Constant, Exponential, Linear, Never

SOON = 10  # seconds; nothing here takes that long


@pytest.fixture
def client() -> Iterator[Resonate]:
    client = Resonate(workers=4)
    yield client
    client.stop()


def when(condition: Any, within_s: float = SOON) -> Any:
    """What `condition` gives, as soon as that is true."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            found = condition()
        except ResonateStoreError:
            found = None
        if found:
            return found
        time.sleep(0.002)
    raise AssertionError(f"not within {within_s} s: {condition}")


def ids(client: Resonate, run_id: str) -> list[str]:
    return sorted(record.id for record in client._shared.store.call([ListDescendants(run_id)])[0])


def value(ctx: Any, x: Any = None) -> Any:
    return x


def fails(ctx: Any, *args: Any) -> Any:
    raise ValueError(*args)


def here(ctx: Any) -> str:
    return str(ctx.id)


# ---- ids of children -------------------------------------------------------------------------------------------------------------


def test_children_are_numbered_by_their_calls(client: Resonate) -> None:
    """Children get `<id>.<n>`, from 1, in the order of the calls of ctx; also those that are never yielded take a number."""

    @client.register
    def top(ctx):
        def inner(ctx):
            return [(yield ctx.run(here)), (yield ctx.run(here))]

        ctx.run(here)  # 1, never yielded
        second, third = ctx.run(here), ctx.run(here)
        found = [(yield third), (yield second)]
        found += yield ctx.run(inner)
        yield ctx.sleep(0)
        promise = yield ctx.promise()
        assert promise == Promise("top.6", "top")
        yield ctx.time.time()
        yield ctx.random.random()
        found.append((yield ctx.rpc("here")))
        found.append((yield (yield ctx.detached("here"))))
        yield ctx.run(lambda ctx: client.promises.resolve("top.6") and None)
        return found

    client.register(here)
    assert top.run("top") == ["top.3", "top.2", "top.4.1", "top.4.2", "top.9", "top.10"]
    assert ids(client, "top") == sorted(["top", "top.4.1", "top.4.2", *(f"top.{number}" for number in range(2, 12))])


def test_custom_ids_consume_numbers(client: Resonate) -> None:
    """A custom id replaces the generated one, and the next child is numbered as if it had not."""

    @client.register
    def top(ctx):
        first = yield ctx.run(here).options(id="mine")
        yield ctx.promise(id="yours", timeout=0)
        return [first, (yield ctx.run(here)), (yield ctx.begin_run(here)).id]

    assert top.run("top") == ["mine", "top.3", "top.4"]


def test_children_that_are_not_durable_consume_numbers(client: Resonate) -> None:
    """A call with durable=False takes a number and prefixes its children, but has no promise."""

    @client.register
    def top(ctx):
        def inner(ctx):
            return (yield ctx.run(here))

        return [(yield ctx.run(here)), (yield ctx.run(here).options(durable=False)), (yield ctx.run(inner).options(durable=False)),
                (yield ctx.run(here))]

    assert top.run("top") == ["top.1", "top.2", "top.3.1", "top.4"]
    assert ids(client, "top") == ["top", "top.1", "top.3.1", "top.4"]


def test_attempts_of_a_generator_number_their_children_alike(client: Resonate) -> None:
    """A retried generator finds the steps that it has done and does not run them again."""
    ran = []

    @client.register
    def top(ctx):
        def flow(ctx):
            first = yield ctx.run(lambda ctx: ran.append(ctx.id))
            if ctx.info.attempt < 3:
                raise ValueError("again")
            return [first, (yield ctx.run(here)), ctx.info.attempt]

        return (yield ctx.run(flow).options(retry_policy=Constant(0)))

    assert top.run("top") == [None, "top.1.2", 3]
    assert ran == ["top.1.1"]


# ---- what may be yielded ---------------------------------------------------------------------------------------------------------


def test_the_same_command_twice_joins_the_first(client: Resonate) -> None:
    """A command that is yielded again stands for the same promise and is not run again."""
    ran = []

    @client.register
    def top(ctx):
        call = ctx.run(lambda ctx: ran.append(1) or len(ran))
        begun = ctx.begin_run(lambda ctx: ran.append(1) or len(ran))
        first, second = (yield call), (yield call)
        promises = [(yield begun), (yield begun)]
        assert promises[0] == promises[1]
        return [first, second, (yield promises[0]), (yield promises[1])]

    assert top.run("top") == [1, 1, 2, 2]


def test_two_commands_with_one_id_join(client: Resonate) -> None:
    """The second of two calls with the same explicit id gets the first one's outcome."""

    @client.register
    def top(ctx):
        return [(yield ctx.run(value, 1).options(id="same")), (yield ctx.run(value, 2).options(id="same"))]

    assert top.run("top") == [1, 1]


def test_a_promise_can_be_awaited_twice_and_by_others(client: Resonate) -> None:
    """A promise may be awaited any number of times, and by other children of the same run."""

    @client.register
    def top(ctx):
        def waits(ctx, promise):
            return (yield promise)

        shared = yield ctx.begin_run(value, 7)
        outside = yield ctx.promise(id="outside")
        children = [(yield ctx.begin_run(waits, shared)), (yield ctx.begin_run(waits, outside)),
                    (yield ctx.begin_run(waits, outside))]
        yield ctx.run(lambda ctx: client.promises.resolve("outside", data="8") and None)
        seen = [(yield shared), (yield shared)]
        for child in children:
            seen.append((yield child))  # noqa: PERF401
        return [*seen, (yield outside)]

    assert top.run("top") == [7, 7, 7, 8, 8, 8]


def test_failing_promises_fail_each_time(client: Resonate) -> None:
    """A rejected promise raises at every await, and the generator may go on after each."""

    @client.register
    def top(ctx):
        promise = yield ctx.begin_run(fails, "x").options(retry_policy=Never())
        seen = []
        for _ in range(3):
            try:
                yield promise
            except ValueError as error:
                seen.append(error.args)
        return seen

    assert top.run("top") == [("x",)] * 3


def test_async_functions_await_what_others_yield(client: Resonate) -> None:
    """An `async def` is a durable function too: it awaits commands and promises."""

    @client.register
    async def top(ctx):
        one = await ctx.run(value, 1)
        promise = await ctx.begin_run(value, 2)
        await ctx.sleep(0)
        return [one, await promise, await ctx.run(inner)]

    async def inner(ctx):
        return await ctx.rpc("value", 3)

    client.register(value)
    assert client.run("top", top) == [1, 2, 3]


def test_a_decorated_generator_is_still_one(client: Resonate) -> None:
    """A decorator that hides the generator changes nothing: what it returns is driven."""

    def traced(func):
        @functools.wraps(func)
        def wrapper(*args, **kwargs):
            return func(*args, **kwargs)

        return wrapper

    @client.register
    @traced
    def top(ctx):
        return (yield ctx.run(value, 5))

    assert top.run("top") == 5


def test_typesafe_is_one_step(client: Resonate) -> None:
    """`yield from ctx.typesafe(command)` is `yield command`."""

    @client.register
    def top(ctx):
        return (yield from ctx.typesafe(ctx.run(value, 3)))

    assert top.run("top") == 3


def test_only_plain_functions_are_called_here(client: Resonate) -> None:
    """`ctx.run` of a method, a partial or a name, and `ctx.rpc` of an unregistered function, raise at the call."""

    @client.register
    def top(ctx):
        texts = []
        for call in (lambda: ctx.run(len), lambda: ctx.run("value"), lambda: ctx.begin_run(functools.partial(value, x=1)),
                     lambda: ctx.rpc(value)):
            try:
                call()
            except ValueError as error:
                texts.append(str(error))
        return texts, (yield ctx.run(top2)), (yield ctx.run(lambda ctx: 1))

    @client.register(version=4)
    def top2(ctx):
        return ctx.info.version

    texts, version, one = top.run("top")
    assert texts == ["provided callable must be a function"] * 3 + ["function value not found in registry"]
    assert (version, one) == (4, 1)


@pytest.mark.parametrize("seconds", ["1", None, True, 1j])
def test_sleep_takes_numbers_only(client: Resonate, seconds: Any) -> None:
    """A wrong argument of `ctx.sleep` raises where it is called; zero and less return at once."""

    @client.register
    def top(ctx):
        yield ctx.sleep(0)
        yield ctx.sleep(-5)
        try:
            ctx.sleep(seconds)
        except TypeError as error:
            return str(error)

    assert top.run("top") == f"secs must be `float`, got {type(seconds).__name__}"


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -float("inf"), 10**400], ids=lambda each: f"{str(each)[:5]}")
def test_sleep_is_finite(client: Resonate, seconds: Any) -> None:
    """Not a number and the infinities are refused at the call, with a sentence."""

    @client.register
    def top(ctx):
        try:
            yield ctx.sleep(seconds)
        except (ValueError, OverflowError) as error:
            return str(error)

    assert "finite" in top.run("top")


# ---- structured concurrency ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["return", "raise"])
def test_a_function_waits_for_what_it_began(client: Resonate, ending: str) -> None:
    """Before a generator's outcome is recorded, every call that it began and did not await has ended; their outcomes are dropped."""
    done = []
    gate = threading.Event()

    def slow(ctx):
        gate.wait(SOON)
        done.append("slow")

    @client.register
    def top(ctx):
        yield ctx.begin_run(slow)
        yield ctx.begin_run(fails, "dropped").options(retry_policy=Never())
        if ending == "raise":
            raise KeyError("mine")
        return "mine"

    handle = top.begin_run("top")
    when(lambda: client.promises.get("top.2").rejected)
    assert client.promises.get("top").pending
    gate.set()
    if ending == "return":
        assert handle.result(SOON) == "mine"
    else:
        with pytest.raises(KeyError, match="mine"):
            handle.result(SOON)
    assert done == ["slow"]


def test_a_promise_left_open_blocks_its_function(client: Resonate) -> None:
    """An un-awaited `ctx.promise()` is waited for too; a detached call is not."""

    @client.register
    def top(ctx):
        yield ctx.promise(id="open")
        yield ctx.detached("nobody-has-this", 1).options(timeout=0)
        return 1

    handle = top.begin_run("top")
    when(lambda: client.promises.get("open").pending)
    with pytest.raises(TimeoutError):
        handle.result(timeout=0.03)
    client.promises.resolve("open")
    assert handle.result(SOON) == 1


def test_children_start_in_the_order_of_issue(client: Resonate) -> None:
    """With one worker, calls that were begun start one after the other as they were begun."""
    order = []
    single = Resonate(workers=1)

    @single.register
    def top(ctx):
        for number in range(20):
            yield ctx.begin_run(lambda ctx, number: order.append(number), number)

    top.run("top")
    assert order == list(range(20))
    single.stop()


# ---- timeouts --------------------------------------------------------------------------------------------------------------------


def test_a_childs_deadline_is_cut_at_its_parents(client: Resonate) -> None:
    """Deadlines are absolute milliseconds: now plus the timeout, at most the parent's; a detached call keeps its own."""

    @client.register
    def top(ctx):
        yield ctx.run(value)
        yield ctx.run(value).options(timeout=2)
        yield ctx.sleep(0)
        yield ctx.promise(timeout=3)
        yield ctx.detached("value").options(timeout=500)
        client.promises.resolve("top.4")
        return ctx.info.timeout

    client.register(value)
    before = time.time()
    deadline = client.options(timeout=60).run("top", top)
    assert before + 60 <= deadline + 0.001
    assert deadline <= time.time() + 60
    left = {name: client.promises.get(name).timeout / 1000 - deadline for name in ("top", "top.1", "top.2", "top.4", "top.5")}
    assert left["top"] == left["top.1"] == pytest.approx(0, abs=1e-6)
    assert left["top.2"] == pytest.approx(-58, abs=2)
    assert left["top.4"] == pytest.approx(-57, abs=2)
    assert left["top.5"] == pytest.approx(440, abs=2)


def test_a_timeout_of_zero_is_honoured(client: Resonate) -> None:
    """A child with timeout=0 times out at once, without being called."""
    ran = []

    @client.register
    def top(ctx):
        try:
            yield ctx.run(lambda ctx: ran.append(1)).options(timeout=0)
        except ResonateTimedoutError as error:
            return error.promise_id, error.timeout

    name, at = top.run("top")
    assert (name, at, ran) == ("top.1", client.promises.get("top.1").timeout / 1000, [])
    assert client.promises.get("top.1").timedout


def test_a_run_past_its_deadline_is_timed_out(client: Resonate) -> None:
    """A run that is still waiting at its deadline raises ResonateTimedoutError to whoever waits."""

    @client.register
    def top(ctx):
        yield (yield ctx.promise())

    with pytest.raises(ResonateTimedoutError, match="Promise top timedout at"):
        client.options(timeout=0.05).run("top", top)
    assert client.promises.get("top.1").timedout


def test_a_function_is_never_interrupted(client: Resonate) -> None:
    """A plain function that overruns its deadline ends on its own; its value is dropped."""
    ended = threading.Event()

    def slow(ctx):
        time.sleep(0.08)
        ended.set()
        return "late"

    @client.register
    def top(ctx):
        try:
            return (yield ctx.run(slow).options(timeout=0.02))
        except ResonateTimedoutError:
            return "timed out"

    assert top.run("top") == "timed out"
    assert ended.is_set()
    assert client.promises.get("top.1").timedout


def test_the_end_of_time_is_no_error(client: Resonate) -> None:
    """A timeout of ten thousand years is cut at the latest deadline there is."""

    @client.register
    def top(ctx):
        return (yield ctx.run(value, 1).options(timeout=1e300))

    assert client.options(timeout=1e300).run("top", top) == 1
    assert client.promises.get("top").timeout == 253402329599000


# ---- what is stored --------------------------------------------------------------------------------------------------------------


def test_tags_keys_and_params_of_stored_promises(client: Resonate) -> None:
    """Every kind of promise has the tags, the key and the param of 0.6.7."""

    @client.register
    def top(ctx, a, *, b):
        yield ctx.run(value).options(tags={"mine": "1", "resonate:scope": "x"})
        yield ctx.rpc("value", 1)
        yield ctx.sleep(0)
        yield ctx.promise(data={"k": 1}, tags={"t": "2"})
        yield ctx.detached("value", 5)
        yield ctx.run(value).options(idempotency_key="ikey")
        yield ctx.run(value).options(idempotency_key=lambda promise_id: None)
        client.promises.resolve("top.4")

    client.register(value)
    client.options(tags={"u": "v"}).run("top", top, 1, b=2)
    far = {"resonate:root": "top", "resonate:parent": "top", "resonate:scope": "global", "resonate:invoke": "poll://any@default"}
    local = {"resonate:root": "top", "resonate:parent": "top", "resonate:scope": "local"}
    expected = [
        ("top", {"u": "v", **far}, "top", {"func": "top", "args": [1], "kwargs": {"b": 2}, "version": 1}),
        ("top.1", {"mine": "1", **local}, "top.1", None),
        ("top.2", far, "top.2", {"func": "value", "args": [1], "kwargs": {}, "version": 1}),
        ("top.3", {"resonate:timeout": "true"}, "top.3", None), ("top.4", {"t": "2"}, "top.4", {"k": 1}),
        ("top.5", far, "top.5", {"func": "value", "args": [5], "kwargs": {}, "version": 1}), ("top.6", local, "ikey", None),
        ("top.7", local, None, None),
    ]  # fmt: skip
    for name, tags, key, param in expected:
        promise = client.promises.get(name)
        data = promise.param.data
        assert (name, promise.tags, promise.ikey_for_create, None if data is None else json.loads(data)) == (name, tags, key, param)
    assert client.promises.get("top").ikey_for_complete == "top"
    assert client.promises.get("top.1").ikey_for_complete == "top.1"
    assert client.promises.get("top.4").ikey_for_complete is None


def test_the_callee_of_an_rpc_is_a_root_of_its_own(client: Resonate) -> None:
    """Inside a function that was reached by rpc, children name it as their root, and its promises belong to it."""

    @client.register
    def callee(ctx):
        promise = yield ctx.begin_run(value)
        yield promise
        return promise.cid

    @client.register
    def top(ctx):
        return (yield ctx.rpc("callee"))

    assert top.run("top") == "top.1"
    assert client.promises.get("top.1").tags["resonate:root"] == "top"
    assert client.promises.get("top.1.1").tags == {"resonate:root": "top.1", "resonate:parent": "top.1", "resonate:scope": "local"}


@pytest.mark.parametrize(
    ("target", "address"),
    [("default", "poll://any@default"), ("workers", "poll://any@workers"), ("poll://any@w/1", "poll://any@w/1"),
     ("http://h:1/x", "http://h:1/x")]
)
def test_targets(client: Resonate, target: str, address: str) -> None:
    """A target that is a URL stands for itself, any other is a group."""
    client.register(value)
    client.options(target=target).rpc("a", "value", 1)
    assert client.promises.get("a").tags["resonate:invoke"] == address


def test_versions(client: Resonate) -> None:
    """A name without a version is its highest; options and Functions pin another, by run and by rpc."""
    first = client.register(lambda ctx: 1, name="f", version=1)
    client.register(lambda ctx: 2, name="f", version=2)

    @client.register
    def top(ctx):
        return [(yield ctx.rpc("f")), (yield ctx.rpc("f").options(version=1)), (yield ctx.rpc(first))]

    assert top.run("top") == [2, 1, 1]
    assert client.run("a", "f") == client.rpc("b", "f") == 2
    assert client.options(version=1).run("c", "f") == client.options(version=1).rpc("d",
        "f") == first.run("e") == first.rpc("g") == 1
    with pytest.raises(ValueError, match="function f version 3 not found in registry"):
        client.options(version=3).run("h", "f")


def test_a_foreign_invocation_needs_the_name_alone(client: Resonate) -> None:
    """A promise that another program made, with plain JSON and no version, is worked on."""
    client.register(value)
    client.start()
    client.promises.create("x", 2**45, data='{"func":"value","args":[4]}', tags={"resonate:invoke": "poll://any@default"})
    assert client.get("x").result(SOON) == 4


# ---- idempotency -----------------------------------------------------------------------------------------------------------------


def test_the_same_id_is_joined(client: Resonate) -> None:
    """A second launch of an id waits for the first, whatever function and arguments it names; a done one gives its result at once."""
    gate, ran = threading.Event(), []

    @client.register
    def one(ctx, x):
        ran.append(x)
        gate.wait(SOON)
        return x

    client.register(value)
    first, second = one.begin_run("a", 1), client.begin_run("a", value, 2)
    third = client.begin_rpc("a", "value", 3)
    assert not second.done()
    gate.set()
    assert [handle.result(SOON) for handle in (first, second, third)] == [1, 1, 1]
    late = client.begin_run("a", value, 4)
    assert late.done()
    assert (late.result(), ran) == (1, [1])


@pytest.mark.parametrize("method", ["begin_run", "begin_rpc", "run", "rpc"])
def test_another_key_is_refused(client: Resonate, method: str) -> None:
    """An id that exists under another idempotency key is refused at the call, pending or done."""
    client.register(value)
    client.options(idempotency_key="mine").run("a", value, 1)
    with pytest.raises(ResonateStoreError) as caught:
        getattr(client, method)("a", value, 1)
    assert f"{caught.value.code:.5f}" == "100.40900"
    assert client.options(idempotency_key="mine").run("a", value, 2) == 1


# ---- handles ---------------------------------------------------------------------------------------------------------------------


def test_a_handle_answers_any_number_of_times(client: Resonate) -> None:
    """`result` can be called again and again; `done`, `id` and `future` tell of the same outcome."""
    gate = threading.Event()
    handle = client.begin_run("a", client.register(lambda ctx: gate.wait(SOON), name="f"))
    assert (handle.id, handle.done()) == ("a", False)
    for timeout in (0, 0.01, -1):
        with pytest.raises(TimeoutError):
            handle.result(timeout=timeout)
    gate.set()
    assert handle.result(SOON) is handle.result() is handle.result(timeout=0) is True
    assert handle.done()
    assert isinstance(handle.future, Future)
    assert handle.future.result() is True


def test_handles_of_one_run_are_all_settled(client: Resonate) -> None:
    """Twenty handles of one promise, by run, rpc and get, all get its outcome."""
    promise = client.promises.create("a", 2**45, ikey="a")
    assert promise.pending
    client.register(value)
    handles = [client.get("a") for _ in range(10)] + [client.begin_rpc("a", "value") for _ in range(10)]
    client.promises.reject("a", data='"no"')
    for handle in handles:
        with pytest.raises(Exception, match="no"):
            handle.result(SOON)


def test_a_handle_can_be_awaited(client: Resonate) -> None:
    """In asyncio, `await handle` gives the value or raises the run's own error, and the loop stays free meanwhile."""
    gate = threading.Event()
    waits = client.register(lambda ctx: gate.wait(SOON) and "done", name="waits")
    client.register(fails)

    async def main() -> Any:
        handle = waits.begin_run("a")
        ticks = 0
        task = asyncio.ensure_future(_await(handle))
        while not task.done():
            await asyncio.sleep(0.005)
            ticks += 1
            if ticks == 3:
                gate.set()
        with pytest.raises(ValueError, match="x"):
            await client.options(retry_policy=Never()).begin_run("b", fails, "x")
        return ticks, await asyncio.gather(handle, handle)

    ticks, values = asyncio.run(main())
    assert ticks >= 3
    assert values == ["done", "done"]


async def _await(handle: Any) -> Any:
    return await handle


def test_cancelling_an_asyncio_task_leaves_the_run_alone(client: Resonate) -> None:
    """A task that is cancelled while it awaits a handle takes nothing with it; the handle is settled all the same."""
    gate = threading.Event()
    handle = client.begin_run("a", client.register(lambda ctx: gate.wait(SOON) and 1, name="f"))

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_await(handle), 0.02)

    asyncio.run(main())
    gate.set()
    assert handle.result(SOON) == 1


def test_get_of_any_promise(client: Resonate) -> None:
    """A handle can be had of any promise; of an unknown one it is refused with 40400, of no text with TypeError."""
    client.promises.create("p", 2**45)
    handle = client.get("p")
    client.promises.resolve("p", data='{"a": 1}')
    assert handle.result(SOON) == {"a": 1}
    assert client.get("p").done()
    with pytest.raises(ResonateStoreError) as caught:
        client.get("q")
    assert f"{caught.value.code:.5f}" == "100.40400"
    for call in (lambda: client.get(5), lambda: client.run(5, value), lambda: client.rpc(None, "f"), lambda: client.run("a", 5)):
        with pytest.raises(TypeError, match="must be"):
            call()
    with pytest.raises(ValueError, match="function value not found in registry"):
        client.run("a", value)


# ---- errors ----------------------------------------------------------------------------------------------------------------------


class Custom(Exception):
    def __init__(self, first: int, *, second: int) -> None:
        super().__init__(f"{first} and {second}")
        self.second = second


@pytest.mark.parametrize("durable", [True, False])
def test_exceptions_keep_type_and_arguments(client: Resonate, durable: bool) -> None:
    """An error crosses every boundary with its type, arguments and attributes; without durability it is the very object."""
    raised, seen = [], []

    def broken(ctx):
        raised.append(Custom(1, second=2))
        raise raised[-1]

    @client.register
    def top(ctx):
        try:
            yield ctx.run(broken).options(durable=durable, retry_policy=Never())
        except Custom as error:
            seen.append(error is raised[-1])
            raise

    with pytest.raises(Custom, match="1 and 2") as caught:
        top.run("top")
    assert (caught.value.args, caught.value.second) == (("1 and 2",), 2)
    assert seen == [not durable]


@pytest.mark.parametrize(
    ("data", "expected"),
    [('{"why": "x"}', Exception({"why": "x"})), (None, Exception(None)), ('{"__error__": "hello"}', Exception("hello")),
     ('"text"', Exception("text"))],
    ids=str,
)  # fmt: skip
def test_a_rejection_without_an_exception_becomes_one(client: Resonate, data: str | None, expected: Exception) -> None:
    """What was rejected by hand is raised as Exception(value)."""

    @client.register
    def top(ctx):
        try:
            yield (yield ctx.promise(id="p"))
        except Exception as error:
            return [type(error).__name__, list(error.args)]

    handle = top.begin_run("top")
    when(lambda: client.promises.get("p").pending)
    client.promises.reject("p", data=data)
    assert handle.result(SOON) == ["Exception", list(expected.args)]
    with pytest.raises(Exception) as caught:  # noqa: PT011
        client.get("p").result(SOON)
    assert (type(caught.value), caught.value.args) == (Exception, expected.args)


def test_canceled_and_timed_out_promises_have_errors_of_their_own(client: Resonate) -> None:
    """Cancellation and timeout raise their errors, which name the promise, in the generator and from the handle."""

    @client.register
    def top(ctx):
        seen = []
        for promise in ((yield ctx.promise(id="c")), (yield ctx.promise(id="t", timeout=0.02))):
            try:
                yield promise
            except (ResonateCanceledError, ResonateTimedoutError) as error:
                seen.append((type(error).__name__, error.promise_id, error.code))
        return seen

    handle = top.begin_run("top")
    when(lambda: client.promises.get("c").pending)
    client.promises.cancel("c")
    assert handle.result(SOON) == [("ResonateCanceledError", "c", 200), ("ResonateTimedoutError", "t", 201)]
    with pytest.raises(ResonateCanceledError):
        client.get("c").result(SOON)


def test_cancel_ends_a_run_and_all_below_it(client: Resonate) -> None:
    """`client.cancel` cancels the run's promise and every pending promise below it, and says which; a settled run is refused."""
    closed = []

    @client.register
    def top(ctx):
        def child(ctx):
            try:
                yield (yield ctx.promise(id="human"))
            finally:
                closed.append(ctx.id)

        yield ctx.run(value, 1)
        yield ctx.run(child)

    handle = top.begin_run("top")
    when(lambda: client.promises.get("human").pending)
    assert sorted(client.cancel("top")) == ["human", "top", "top.2"]
    with pytest.raises(ResonateCanceledError):
        handle.result(SOON)
    when(lambda: closed == ["top.2"])
    assert client.promises.get("top.1").resolved
    with pytest.raises(ResonateStoreError) as caught:
        client.cancel("top")
    assert f"{caught.value.code:.5f}" == "100.40303"


# ---- retries ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "attempts"),
    [(Never(), 1), (Constant(0, 0), 1), (Constant(0, 3), 4), (Linear(0, 2), 3), (Exponential(0, 2), 3),
     (lambda func: Constant(0, 1), 2)],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("durable", [True, False])
def test_attempts_are_retries_and_one(client: Resonate, policy: Any, attempts: int, durable: bool) -> None:
    """A function that always fails is called max_retries + 1 times, with attempts counted from 1."""
    seen = []

    def broken(ctx):
        seen.append(ctx.info.attempt)
        raise ValueError("broken")

    @client.register
    def top(ctx):
        yield ctx.run(broken).options(retry_policy=policy, durable=durable)

    with pytest.raises(ValueError, match="broken"):
        top.run("top")
    assert seen == list(range(1, attempts + 1))


def test_defaults_of_retrying(client: Resonate) -> None:
    """A plain function is tried again after 2 s, without limit; a generator is not tried again."""
    calls = []
    watch = client.subscribe()

    @client.register
    def top(ctx):
        calls.append("generator")
        raise KeyError("end")
        yield

    with pytest.raises(KeyError):
        top.run("top")
    client.register(fails)
    handle = client.begin_run("a", fails, "x")
    retry = when(lambda: [fact for fact in watch.read() if isinstance(fact, RetryScheduled)])[0]
    assert (retry.id, retry.attempt, retry.limit, retry.error) == ("a", 1, None, "ValueError: x")
    assert retry.due - retry.at == pytest.approx(2)
    client.cancel("a")
    with pytest.raises(ResonateCanceledError):
        handle.result(SOON)
    assert calls == ["generator"]


def test_errors_that_are_not_retried(client: Resonate) -> None:
    """An error of a listed class, or of a class below it, ends the retries at once."""
    calls = []

    def broken(ctx):
        calls.append(1)
        raise FileNotFoundError("x")

    @client.register
    def top(ctx):
        yield ctx.run(broken).options(retry_policy=Constant(0, 5), non_retryable_exceptions=(KeyError, OSError))

    with pytest.raises(FileNotFoundError):
        top.run("top")
    assert calls == [1]


def test_no_attempt_starts_past_the_deadline(client: Resonate) -> None:
    """When the next attempt would come after the deadline, the failure is final now."""

    @client.register
    def top(ctx):
        yield ctx.run(fails, "x").options(retry_policy=Constant(5), timeout=2)

    began = time.monotonic()
    with pytest.raises(ValueError, match="x"):
        top.run("top")
    assert time.monotonic() - began < 1


def test_the_clients_policy_is_for_the_run_it_launches(client: Resonate) -> None:
    """A retry policy on the client retries the top-level function, and is not inherited by its children."""
    calls = []

    @client.register
    def top(ctx):
        calls.append(ctx.info.attempt)
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        client.options(retry_policy=Constant(0, 2)).run("a", top)
    assert calls == [1, 2, 3]


# ---- durable=False, encoders, context --------------------------------------------------------------------------------------------


def test_not_durable_calls_carry_any_object(client: Resonate) -> None:
    """The result of a call with durable=False stays in memory, so it may be any object, awaited any number of times."""
    thing = object()

    @client.register
    def top(ctx):
        promise = yield ctx.begin_run(lambda ctx: thing).options(durable=False)
        return (yield promise) is (yield promise) is (yield ctx.run(lambda ctx: thing).options(durable=False)) is thing

    assert top.run("top") is True


class Shift:
    """An encoder of a user: JSON in base64."""

    def encode(self, obj: Any, /) -> str | None:
        return base64.b64encode(json.dumps(obj).encode()).decode()

    def decode(self, obj: str | None, /) -> Any:
        return json.loads(base64.b64decode(obj)) if obj else None


def test_a_users_encoder_is_used_for_its_call(client: Resonate) -> None:
    """An encoder on a call writes its value, and reads it; on a client it writes param and result of what is launched."""

    @client.register
    def top(ctx):
        return [(yield ctx.run(value, 1).options(encoder=Shift())), (yield ctx.run(value, 2))]

    assert client.options(encoder=Shift()).run("top", top) == [1, 2]
    assert client.promises.get("top.1").value.data == Shift().encode(1)
    assert client.promises.get("top.2").value.data == "2"
    assert client.promises.get("top").value.data == Shift().encode([1, 2])
    assert client.promises.get("top").result(client.options(encoder=Shift()).encoder) == Ok([1, 2])
    assert client.encoder.decode(client.encoder.encode((1,))) == (1,)


def test_what_a_context_tells(client: Resonate) -> None:
    """`ctx.id` and `ctx.info` tell of this execution."""

    @client.register
    def top(ctx):
        def child(ctx):
            return [ctx.id, ctx.info.idempotency_key, dict(ctx.info.tags), ctx.info.version, ctx.info.attempt]

        ctx.logger.info("here %s", ctx.id)
        assert isinstance(ctx, Context)
        mine = [ctx.id, ctx.info.idempotency_key, dict(ctx.info.tags), ctx.info.version, ctx.info.attempt]
        return [mine, (yield ctx.run(child).options(idempotency_key="k", tags={"a": "b"}))]

    mine, child = client.options(tags={"x": "y"}).run("top", top)
    assert mine == ["top", "top", {"x": "y"}, 1, 1]
    assert child == ["top.1", "k", {"a": "b"}, 1, 1]


def test_user_code_sees_the_callers_context_variables(client: Resonate) -> None:
    """Every function of a run runs in a copy of the variables of whoever launched it."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    def child(ctx):
        seen = variable.get()
        variable.set("changed by the child")
        return seen

    @client.register
    def top(ctx):
        before = variable.get()
        variable.set("changed by the parent")
        seen = yield ctx.run(child)
        return [before, seen, variable.get()]

    token = variable.set("the caller's")
    try:
        assert top.run("top") == ["the caller's", "the caller's", "changed by the parent"]
        assert variable.get() == "the caller's"
    finally:
        variable.reset(token)


# ---- the low-level promises ------------------------------------------------------------------------------------------------------


def test_durable_promises_show_all(client: Resonate) -> None:
    """`promises.*` gives the whole promise, and its methods settle it."""
    promise = client.promises.create("p", 2**45, ikey="k", headers={"h": "1"}, data="5", tags={"t": "x"})
    assert (promise.id, promise.state, promise.timeout, promise.ikey_for_create) == ("p", "PENDING", 2**45, "k")
    assert (promise.param.headers, promise.param.data, promise.tags, promise.completed_on) == ({"h": "1"}, "5", {"t": "x"}, None)
    promise.resolve("7", ikey="c")
    assert (promise.resolved, promise.completed, promise.value.to_tuple(), promise.ikey_for_complete) == (True, True, (None, "7"),
        "c")
    assert promise.result(client.encoder) == Ok(7)
    assert client.promises.create("p", 1, ikey="k").resolved
    other = client.promises.create("q", int(time.time() * 1000) + 5000)
    assert 4 < other.rel_timeout <= 5.1
    assert other.abs_timeout == other.timeout / 1000
    other.cancel()
    assert other.canceled
    outcome = other.result(client.encoder)
    assert isinstance(outcome, Ko)
    assert isinstance(outcome.value, ResonateCanceledError)


def test_the_low_level_codes(client: Resonate) -> None:
    """Every refusal has the server's code."""
    for name, settle in (("a", client.promises.resolve), ("b", client.promises.reject), ("c", client.promises.cancel)):
        client.promises.create(name, 2**45)
        settle(name)
    client.promises.create("d", 0)
    calls = {
        40900: lambda: client.promises.create("a", 2**45), 40301: lambda: client.promises.resolve("a"),
        40302: lambda: client.promises.resolve("b"),
        40303: lambda: client.promises.reject("c"), 40304: lambda: client.promises.cancel("d", strict=True),
        40400: lambda: client.promises.resolve("z"),
    }  # fmt: skip
    for code, call in calls.items():
        with pytest.raises(ResonateStoreError) as caught:
            call()
        assert f"{caught.value.code:.5f}" == f"100.{code}"
    with pytest.raises(TypeError, match="data must be `str` or None, got dict"):
        client.promises.resolve("a", data={})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="id must be `str`, got int"):
        client.promises.get(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("name",
                         ["", "a/b", "..", "a?b#c%2F d", "'\"\n\t\x00", "中文🎉", "x" * 4096, "__proto__", "e\u0301", "\u202e"])
def test_any_id_addresses_itself(client: Resonate, name: str) -> None:
    """Ids are any text: each addresses itself, in launching, children and promises."""

    @client.register
    def top(ctx):
        return [ctx.id, (yield ctx.run(here))]

    assert top.run(name) == [name, f"{name}.1"]
    assert client.get(name).result(SOON) == [name, f"{name}.1"]
    assert client.promises.get(name).id == name
