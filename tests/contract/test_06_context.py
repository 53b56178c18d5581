"""Contract 6: the durable world as a function sees it."""

from __future__ import annotations

import contextvars
import dataclasses
import functools
import inspect
import threading
import time
from typing import Any

import pytest
from toys import fails, here, ids, loose_context, value
from waiting import SOON, when

from resonate import Context, Promise, Resonate
from resonate.context import Random, Time
from resonate.coroutine import LFC, LFI, RFC, RFI
from resonate.retry_policies import Constant, Never

HELD_BY = {
    "6 dependencies reach every function": "process/test_guide.py::test_dependencies",
    "6 names of dependencies are text": "process/test_mistakes.py::test_dependencies_and_names_of_the_wrong_kind",
    "6 every die of `ctx.random`, and `ctx.time`": "process/test_guide.py::test_every_die_of_random",
    "6 a promise with data": "process/test_guide.py::test_ctx_promise_with_data",
    "6 `ctx.logger`": "process/test_logging.py::test_lines_carry_date_level_run_and_execution",
    "6.1 what is no command": "process/test_mistakes.py::test_yielding_what_is_no_command",
    "6.1 a promise of another run": "process/test_mistakes.py::test_awaiting_another_runs_promise",
    "6.3 detached calls are not awaited": "process/test_guide.py::test_ctx_detached",
    "6.3 failures that nobody awaits": "process/test_logging.py::test_a_failure_that_nobody_awaited_is_told",
    "6.4 slow functions hold nobody up": "process/test_concurrency.py::test_a_long_function_holds_nobody_else_up",
    "6.4 workers bound what runs": "process/test_concurrency.py::test_workers_bound_what_runs",
}


# ---- 6 members -------------------------------------------------------------------------------------------------------------------


def test_calls_have_two_names() -> None:
    """`lfc`, `lfi`, `rfc` and `rfi` are `run`, `begin_run`, `rpc` and `begin_rpc`."""
    assert (Context.lfc, Context.lfi, Context.rfc, Context.rfi) == (Context.run, Context.begin_run, Context.rpc, Context.begin_rpc)
    ctx = loose_context()
    made = [ctx.lfc(value), ctx.lfi(value), ctx.rfc("f"), ctx.rfi("f"), ctx.detached("f"), ctx.promise(), ctx.sleep(1), ctx.time.time()]
    assert [type(each) for each in made] == [LFC, LFI, RFC, RFI, RFI, RFI, RFC, LFC]
    assert [each.id for each in made] == [f"top.{number}" for number in range(1, 9)]


def test_the_signatures_of_a_context() -> None:
    """Names and defaults of the arguments are those of 0.6.7."""

    def defaults(function: Any) -> dict[str, Any]:
        return {name: each.default for name, each in list(inspect.signature(function).parameters.items())[1:]}

    none = inspect.Parameter.empty
    assert defaults(Context.promise) == dict.fromkeys(("id", "timeout", "idempotency_key", "data", "tags"))
    assert {each.kind for each in list(inspect.signature(Context.promise).parameters.values())[1:]} == {inspect.Parameter.KEYWORD_ONLY}
    assert (defaults(Context.get_dependency), defaults(Context.sleep)) == ({"key": none, "default": None}, {"secs": none})
    assert (defaults(Time.time), defaults(Time.strftime), defaults(Context.typesafe)) == ({}, {"format": none}, {"cmd": none})
    expected = {
        "betavariate": {"alpha": none, "beta": none}, "choice": {"seq": none}, "expovariate": {"lambd": 1}, "getrandbits": {"k": none},
        "randint": {"a": none, "b": none}, "random": {}, "randrange": {"start": none, "stop": None, "step": 1},
        "triangular": {"low": 0, "high": 1, "mode": None},
    }  # fmt: skip
    assert {name: defaults(getattr(Random, name)) for name in expected} == expected


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"timeout": "1"}, TypeError, "timeout must be `float`, got str"), ({"timeout": -1}, ValueError, "timeout must be greater than"),
        ({"id": 5}, TypeError, "id must be `str | None`, got int"), ({"tags": "x"}, TypeError, "tags must be `dict`, got str"),
        ({"idempotency_key": 5}, TypeError, "idempotency_key must be"),
    ],
)  # fmt: skip
def test_wrong_arguments_of_a_promise_are_named(arguments: dict[str, Any], kind: type[Exception], text: str) -> None:
    """`ctx.promise` says at the call which argument is wrong, what it must be and what it was (D-1, D-2)."""
    with pytest.raises(kind) as caught:
        loose_context().promise(**arguments)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("timeout", [0, 5, 5.5])
def test_a_promise_takes_any_number_of_seconds(client: Resonate, timeout: float) -> None:
    """`ctx.promise(timeout=)` is a deadline in seconds from now, also as a whole number (D-1)."""

    @client.register
    def top(ctx):
        return (yield ctx.promise(timeout=timeout)).id

    client.options(timeout=60).begin_run("top", top)
    promise = when(lambda: client.promises.get("top.1"))
    assert promise.timeout / 1000 - time.time() == pytest.approx(timeout, abs=1)


def test_what_a_context_tells(client: Resonate) -> None:
    """`ctx.id` and `ctx.info` tell of this execution; the tags are those of its promise, the system's too."""

    @client.register
    def top(ctx):
        def child(ctx):
            return [ctx.id, ctx.info.idempotency_key, dict(ctx.info.tags), ctx.info.version, ctx.info.attempt]

        ctx.logger.info("here %s", ctx.id)
        assert isinstance(ctx, Context)
        mine = [ctx.id, ctx.info.idempotency_key, dict(ctx.info.tags), ctx.info.version, ctx.info.attempt]
        return [mine, (yield ctx.run(child).options(idempotency_key="k", tags={"a": "b"}))]

    mine, child = client.options(tags={"x": "y"}).run("top", top)
    lineage = {"resonate:root": "top", "resonate:parent": "top"}
    far = {"resonate:scope": "global", "resonate:invoke": "poll://any@default"}
    assert mine == ["top", "top", {"x": "y"} | lineage | far, 1, 1]
    assert child == ["top.1", "k", {"a": "b", "resonate:scope": "local"} | lineage, 1, 1]


def test_info_tells_the_deadline_and_the_attempt(client: Resonate) -> None:
    """`ctx.info.timeout` is absolute, in seconds, and `attempt` counts executions from 1."""
    seen: list[tuple[int, float]] = []

    def fragile(ctx):
        seen.append((ctx.info.attempt, ctx.info.timeout))
        if len(seen) < 3:
            raise ValueError("again")

    @client.register
    def top(ctx):
        yield ctx.run(fragile).options(retry_policy=Constant(0), timeout=30)

    top.begin_run("top").result(SOON)
    deadline = client.promises.get("top.1").timeout / 1000
    assert isinstance(seen[0][1], float)
    assert seen == [(1, deadline), (2, deadline), (3, deadline)]


def test_dice_and_clocks_are_asked_when_they_are_executed(client: Resonate) -> None:
    """The dependencies `resonate:time` and `resonate:random` are looked up when the command runs, not when it is made."""

    class Fixed:
        def time(self) -> float:
            return 7.0

        def random(self) -> float:
            return 0.5

    @client.register
    def top(ctx):
        commands = [ctx.time.time(), ctx.random.random()]
        client.set_dependency("resonate:time", Fixed())
        client.set_dependency("resonate:random", Fixed())
        return [(yield commands[0]), (yield commands[1])]

    assert top.begin_run("top").result(SOON) == [7.0, 0.5]


def test_a_restarted_run_reads_the_same_time_and_dice() -> None:
    """A run that is taken up again after its client was stopped gets the recorded times and random numbers, and draws none anew."""
    client, seen = Resonate(workers=2, log_level="CRITICAL"), []

    @client.register
    def top(ctx):
        read = [(yield ctx.time.time()), (yield ctx.time.strftime("%f %Y")), (yield ctx.random.random()),
                (yield ctx.random.getrandbits(64)), (yield ctx.random.choice(range(10**6))),
                (yield ctx.random.triangular())]  # fmt: skip
        seen.append(read)
        yield (yield ctx.promise(id="gate"))
        return read

    top.begin_run("top")
    when(lambda: client.promises.get("gate").pending)
    client.stop()
    client.set_dependency("resonate:time", None)  # nobody asks them again
    client.set_dependency("resonate:random", None)
    handle = top.begin_run("top")
    client.promises.resolve("gate")
    assert handle.result(SOON) == seen[0]
    assert len(seen) == 2
    assert seen[0] == seen[1]
    client.stop()


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


# ---- 6.1 what may be yielded -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["begin_run", "begin_rpc", "detached", "promise"])
def test_a_begun_call_gives_a_promise_that_exists(client: Resonate, how: str) -> None:
    """What begins a call resumes with `Promise(id, cid)`, after the promise was stored."""
    client.register(value)

    @client.register
    def top(ctx):
        call = {"begin_run": lambda: ctx.begin_run(value), "promise": lambda: ctx.promise(timeout=0)}
        promise = yield call.get(how, lambda: getattr(ctx, how)("value"))()
        return [type(promise).__name__, dataclasses.astuple(promise), client.promises.get(promise.id).id]

    assert top.begin_run("top").result(SOON) == ["Promise", ("top.1", "top"), "top.1"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Promise("a", "b").id = "c"  # type: ignore[misc]


def test_errors_are_thrown_where_the_call_was_yielded(client: Resonate) -> None:
    """A call that fails raises in the generator at its `yield`, which may catch it and go on."""
    client.register(fails)

    @client.register
    def top(ctx):
        seen = []
        for call in (ctx.run(fails, 1).options(retry_policy=Never()), ctx.rpc("strict", 2)):
            try:
                yield call
            except ValueError as error:
                seen.append(error.args)
        return seen

    @client.register
    def strict(ctx, x):
        raise ValueError(x)
        yield

    assert top.begin_run("top").result(SOON) == [(1,), (2,)]


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


# ---- 6.2 ids of children ---------------------------------------------------------------------------------------------------------


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


# ---- 6.3 structured concurrency --------------------------------------------------------------------------------------------------


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


def test_what_nobody_awaited_runs_at_once(client: Resonate) -> None:
    """Calls that a function began and left run concurrently while it waits for them: two that meet each other do meet."""
    barrier = threading.Barrier(2)

    @client.register
    def top(ctx):
        yield ctx.begin_run(lambda ctx: barrier.wait(SOON) and None)
        yield ctx.begin_run(lambda ctx: barrier.wait(SOON) and None)

    top.begin_run("top").result(SOON)
    assert client.promises.get("top.2").resolved


def test_a_failed_attempt_waits_before_it_is_repeated(client: Resonate) -> None:
    """A generator that raises is not called again before what its attempt began has ended."""
    gate, told = threading.Event(), []

    @client.register
    def top(ctx):
        told.append(f"attempt {ctx.info.attempt}")
        if ctx.info.attempt == 1:
            yield ctx.begin_run(lambda ctx: gate.wait(SOON) and told.append("child"))
            raise ValueError("again")
        return "well"

    handle = client.options(retry_policy=Constant(0, 1)).begin_run("top", top)
    when(lambda: client.promises.get("top.1").pending)
    with pytest.raises(TimeoutError):
        handle.result(0.03)
    assert told == ["attempt 1"]
    gate.set()
    assert handle.result(SOON) == "well"
    assert told == ["attempt 1", "child", "attempt 2"]


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


# ---- 6.4 what is a generator -----------------------------------------------------------------------------------------------------


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


# ---- 6.5 calls that are not durable ----------------------------------------------------------------------------------------------


def test_not_durable_calls_carry_any_object(client: Resonate) -> None:
    """The result of a call with durable=False stays in memory, so it may be any object, awaited any number of times."""
    thing = object()

    @client.register
    def top(ctx):
        promise = yield ctx.begin_run(lambda ctx: thing).options(durable=False)
        return (yield promise) is (yield promise) is (yield ctx.run(lambda ctx: thing).options(durable=False)) is thing

    assert top.run("top") is True


def test_not_durable_calls_are_made_again_by_a_restarted_run() -> None:
    """A call with durable=False leaves no promise, so a run that is taken up again makes it again; its durable children it finds."""
    client, ran = Resonate(workers=2, log_level="CRITICAL"), []

    @client.register
    def top(ctx):
        def inner(ctx):
            ran.append("inner")
            yield ctx.run(lambda ctx: ran.append("durable"))

        yield ctx.run(inner).options(durable=False)
        yield (yield ctx.promise(id="gate"))
        return ids(client, "top")

    top.begin_run("top")
    when(lambda: client.promises.get("gate").pending)
    client.stop()
    handle = top.begin_run("top")
    client.promises.resolve("gate")
    assert handle.result(SOON) == ["gate", "top", "top.1.1"]
    assert ran == ["inner", "durable", "inner"]
    client.stop()
