"""Every program of the 0.6.7 guide that needs no server runs unchanged."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from resonate import Context, Resonate
from resonate.errors import ResonateStoreError
from resonate.retry_policies import Constant, Exponential, Linear, Never


@pytest.fixture
def resonate() -> Iterator[Resonate]:
    resonate = Resonate()
    yield resonate
    resonate.stop()


def pending_at(resonate: Resonate, promise_id: str) -> None:
    """Wait until the promise exists."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            assert resonate.promises.get(promise_id).pending
        except ResonateStoreError:
            time.sleep(0.002)
        else:
            return
    raise AssertionError(f"{promise_id} was not created")


@pytest.mark.parametrize("make", [Resonate, Resonate.local])
def test_local_initialization(make: Any) -> None:
    """`Resonate()` and `Resonate.local()` need nothing else."""
    resonate = make()
    resonate.register(lambda ctx, x: x + 1, name="foo")
    assert resonate.run("invocation-id", "foo", 1) == 2
    resonate.stop()


@pytest.mark.parametrize("workers", [None, 1, 4])
def test_concurrency(workers: int | None) -> None:
    """The pool's size is given by `workers`."""
    resonate = Resonate.local(workers=workers) if workers else Resonate.local()

    def leaf(ctx, x):
        return x

    @resonate.register
    def foo(ctx):
        promises = []
        for number in range(5):
            promises.append((yield ctx.begin_run(leaf, number)))  # noqa: PERF401
        values = []
        for promise in promises:
            values.append((yield promise))  # noqa: PERF401
        return values

    assert foo.run("invocation-id") == [0, 1, 2, 3, 4]
    resonate.stop()


def test_register_as_decorator(resonate: Resonate) -> None:
    """`@resonate.register` makes a function known under its name."""

    @resonate.register
    def foo(ctx, arg):
        result = arg * 2
        return result  # noqa: RET504 (as the guide writes it)

    assert resonate.run("invocation-id", foo, 2) == 4
    assert resonate.run("invocation-id-2", "foo", 3) == 6


def test_register_as_method(resonate: Resonate) -> None:
    """`resonate.register(foo)` does the same, and the raw function can be launched."""

    def foo(ctx, arg):
        result = arg * 2
        return result  # noqa: RET504 (as the guide writes it)

    resonate.register(foo)
    assert resonate.run("invocation-id", foo, 2) == 4


def test_dependencies(resonate: Resonate) -> None:
    """What is set in the ephemeral world is found in every function of the call graph."""
    dependency = object()
    seen = []

    def bar(ctx):
        seen.append(ctx.get_dependency("dependency-name"))

    @resonate.register
    def foo(ctx, arg):
        dependency = ctx.get_dependency("dependency-name")
        seen.append(dependency)
        yield ctx.run(bar)
        return ctx.get_dependency("nothing", "default")

    resonate.set_dependency("dependency-name", dependency)
    assert resonate.run("invocation-id", foo, 1) == "default"
    assert seen == [dependency, dependency]


def test_run_and_begin_run(resonate: Resonate) -> None:
    """`.run` gives the result, `.begin_run` a handle of it."""

    @resonate.register
    def foo(ctx, arg):
        return arg

    result = resonate.run("invocation-id", foo, "arg")
    assert result == "arg"
    handle = resonate.begin_run("invocation-id-2", foo, "arg2")
    result = handle.result()
    assert result == "arg2"


def test_rpc_and_begin_rpc(resonate: Resonate) -> None:
    """`.rpc` and `.begin_rpc` reach a function by name, wherever it is registered; here, in this process."""

    @resonate.register
    def foo(ctx, args):
        return [args]

    assert resonate.rpc("invocation-id", "foo", "args") == ["args"]
    assert resonate.options(target="poll://any@workers").rpc("invocation-id-1", "foo", "args") == ["args"]
    handle = resonate.begin_rpc("invocation-id-2", "foo", "arg")
    assert handle.result() == ["arg"]


@pytest.mark.parametrize("policy", [Exponential(), Constant(), Linear(), Never()])
@pytest.mark.parametrize("method", ["run", "begin_run", "rpc", "begin_rpc"])
def test_options(resonate: Resonate, policy: Any, method: str) -> None:
    """Every listed option can precede every launch, and arrives in the promise."""

    @resonate.register
    def foo(ctx, arg):
        return arg

    launch = getattr(
        resonate.options(
            idempotency_key="custom-ikey",
            retry_policy=policy,
            target="poll://any@workers",
            tags={"key": "value"},
            timeout=60.0,  # 1 minute in seconds
            version=1,
        ),
        method,
    )
    outcome = launch("invocation-id", foo, "arg")
    assert (outcome.result() if method.startswith("begin") else outcome) == "arg"
    promise = resonate.promises.get("invocation-id")
    assert promise.ikey_for_create == "custom-ikey"
    assert promise.tags["key"] == "value"
    assert promise.tags["resonate:invoke"] == "poll://any@workers"
    assert promise.rel_timeout == pytest.approx(60, abs=1)


def test_get(resonate: Resonate) -> None:
    """`.get` subscribes to an invocation; one that does not exist raises."""

    @resonate.register
    def foo(ctx, arg):
        return arg

    resonate.begin_run("invocation-id", foo, 5)
    handle = resonate.get("invocation-id")
    assert handle.result() == 5
    with pytest.raises(ResonateStoreError):
        resonate.get("another-id")


def test_promises_get_create_resolve_reject(resonate: Resonate) -> None:
    """Promises can be created, read, resolved and rejected by id."""
    for promise_id in ("promise-id", "promise-id-2"):
        resonate.promises.create(
            id=promise_id,
            timeout=int(time.time() * 1000) + 30000,  # 30s in the future
        )
    assert resonate.promises.get("promise-id").pending
    resonate.promises.resolve(
        id="promise-id",
        data=json.dumps({}),  # optional
    )
    resonate.promises.reject(
        id="promise-id-2",
        data=json.dumps({}),  # optional
    )
    assert resonate.promises.get("promise-id").resolved
    assert resonate.promises.get("promise-id-2").rejected


def test_ctx_run(resonate: Resonate) -> None:
    """`ctx.run` waits for the value of a function that need not be registered."""

    @resonate.register
    def foo(ctx, arg):
        result = yield ctx.run(bar, arg)
        return result + 1

    def bar(ctx, arg):
        return arg * 10

    assert resonate.run("invocation-id", foo, 4) == 41


def test_ctx_begin_run(resonate: Resonate) -> None:
    """`ctx.begin_run` gives a promise that is awaited later."""

    @resonate.register
    def foo(ctx, arg):
        promise = yield ctx.begin_run(bar, arg)
        result = yield promise
        return result + 1

    def bar(ctx, arg):
        return arg * 10

    assert resonate.run("invocation-id", foo, 4) == 41


def test_ctx_rpc(resonate: Resonate) -> None:
    """`ctx.rpc` calls by name and waits."""

    @resonate.register
    def foo(ctx: Context, arg: str) -> str:
        result = yield ctx.rpc("bar", arg)
        return result + "!"

    @resonate.register
    def bar(ctx: Context, arg: str) -> str:
        return f"bar {arg}"

    assert resonate.run("invocation-id", foo, "x") == "bar x!"


def test_ctx_begin_rpc(resonate: Resonate) -> None:
    """`ctx.begin_rpc` calls by name and gives a promise."""

    @resonate.register
    def foo(ctx, arg):
        promise = yield ctx.begin_rpc("bar", arg)
        result = yield promise
        return result

    @resonate.register
    def bar(ctx, arg):
        return f"bar {arg}"

    assert resonate.run("invocation-id", foo, "x") == "bar x"


def test_ctx_detached(resonate: Resonate) -> None:
    """`ctx.detached` is not awaited: the caller may end first, and the call ends on its own."""

    @resonate.register
    def foo(ctx, arg):
        yield ctx.detached("bar", arg)
        return "foo"

    @resonate.register
    def bar(ctx, arg):
        yield (yield ctx.promise(id="gate"))
        return f"bar {arg}"

    assert resonate.run("invocation-id", foo, "x") == "foo"
    pending_at(resonate, "gate")
    resonate.promises.resolve(id="gate")
    assert resonate.get("invocation-id.1").result(timeout=10) == "bar x"


@pytest.mark.parametrize("policy", [Exponential(), Constant(), Linear(), Never()])
@pytest.mark.parametrize("method", ["run", "begin_run"])
def test_options_of_local_calls(resonate: Resonate, policy: Any, method: str) -> None:
    """Every listed option can follow a local call."""

    @resonate.register
    def foo(ctx, arg):
        outcome = yield getattr(ctx, method)(bar, arg).options(
            id="custom-id",
            idempotency_key="custom-ikey",
            durable=True,
            retry_policy=policy,
            tags={"key": "value"},
            timeout=30.0,
        )
        return (yield outcome) if method == "begin_run" else outcome

    def bar(ctx, arg):
        return [arg, ctx.id]

    assert resonate.run("invocation-id", foo, 1) == [1, "custom-id"]
    promise = resonate.promises.get("custom-id")
    assert (promise.ikey_for_create, promise.tags["key"]) == ("custom-ikey", "value")
    assert promise.rel_timeout == pytest.approx(30, abs=1)


@pytest.mark.parametrize("method", ["rpc", "begin_rpc", "detached"])
def test_options_of_remote_calls(resonate: Resonate, method: str) -> None:
    """Every listed option can follow a remote call."""

    @resonate.register
    def foo(ctx, arg):
        outcome = yield getattr(ctx, method)("bar", arg).options(
            id="custom-id",
            idempotency_key="custom-ikey",
            target="poll://any@workers",
            tags={"key": "value"},
            timeout=30.0,
            version=1,
        )
        return outcome if method == "rpc" else (yield outcome)

    @resonate.register
    def bar(ctx, arg):
        return [arg, ctx.id]

    assert resonate.run("invocation-id", foo, 1) == [1, "custom-id"]
    promise = resonate.promises.get("custom-id")
    assert (promise.ikey_for_create, promise.tags["key"], promise.tags["resonate:invoke"]) == ("custom-ikey", "value",
        "poll://any@workers")


def test_ctx_promise(resonate: Resonate) -> None:
    """`ctx.promise` blocks progress until somebody settles it by id."""

    @resonate.register
    def foo(ctx, arg):
        promise = yield ctx.promise(id="promise-id")
        result = yield promise
        return result

    handle = resonate.begin_run("invocation-id", foo, 1)
    pending_at(resonate, "promise-id")
    assert not handle.done()
    resonate.promises.resolve(id="promise-id", data=json.dumps({"approved": True}))
    assert handle.result(timeout=10) == {"approved": True}


def test_ctx_promise_with_data(resonate: Resonate) -> None:
    """Custom data travels with the promise, for whoever is to settle it."""

    @resonate.register
    def foo(ctx, arg):
        promise = yield ctx.promise(data={"key": "value"})
        result = yield promise
        return result

    handle = resonate.begin_run("invocation-id", foo, 1)
    pending_at(resonate, "invocation-id.1")
    assert json.loads(resonate.promises.get("invocation-id.1").param.data or "") == {"key": "value"}
    resonate.promises.resolve(id="invocation-id.1", data="5")
    assert handle.result(timeout=10) == 5


def test_ctx_sleep(resonate: Resonate) -> None:
    """`ctx.sleep` takes seconds as a float, and does not return before."""

    @resonate.register
    def foo(ctx, arg):
        yield ctx.sleep(0.05)
        return arg

    began = time.monotonic()
    assert resonate.run("invocation-id", foo, 1) == 1
    assert time.monotonic() - began >= 0.045


def test_ctx_time_and_random(resonate: Resonate) -> None:
    """`ctx.time.time` and `ctx.random.random` are recorded: whoever asks again reads the same."""

    @resonate.register
    def foo(ctx, arg):
        time = yield ctx.time.time()
        rand = yield ctx.random.random()
        return time, rand

    before = time.time()
    at, rand = resonate.run("invocation-id", foo, 1)
    assert before <= at <= time.time()
    assert 0 <= rand < 1
    assert [json.loads(resonate.promises.get(f"invocation-id.{number}").value.data or "") for number in (1, 2)] == [at, rand]


def test_every_die_of_random(resonate: Resonate) -> None:
    """Each method of `ctx.random` and `ctx.time` draws from the dependency of that name, when it is executed."""
    import random

    resonate.set_dependency("resonate:random", random.Random(7))
    resonate.set_dependency("resonate:time",
                            type("Clock", (), {"time": lambda self: 12.5, "strftime": lambda self, form: f"<{form}>"})())

    @resonate.register
    def foo(ctx):
        seen = []
        for draw in (
            ctx.random.betavariate(1, 2), ctx.random.choice(["a", "b"]), ctx.random.expovariate(), ctx.random.getrandbits(8),
            ctx.random.randint(1, 6),
            ctx.random.random(), ctx.random.randrange(10), ctx.random.randrange(0, 10, 5), ctx.random.triangular(0, 1, 0.5),
            ctx.time.time(),
            ctx.time.strftime("%Y"),
        ):  # fmt: skip
            seen.append((yield draw))  # noqa: PERF401
        return seen

    dice = random.Random(7)
    expected = [dice.betavariate(1, 2), dice.choice(["a", "b"]), dice.expovariate(1), dice.getrandbits(8), dice.randint(1, 6),
                dice.random(),
                dice.randrange(10), dice.randrange(0, 10, 5), dice.triangular(0, 1, 0.5), 12.5, "<%Y>"]  # fmt: skip
    assert foo.run("invocation-id") == expected
