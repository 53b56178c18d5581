"""The programs of the published 0.6.7 guide that need no server, in its order and its words: they run unchanged."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from resonate import Context, Resonate
from resonate.errors import ResonateStoreError
from resonate.retry_policies import Constant, Exponential, Linear, Never


@pytest.fixture
def resonate() -> Iterator[Resonate]:
    client = Resonate.local()
    yield client
    client.stop()


def until(condition: Callable[[], bool], limit_s: float = 5.0) -> None:
    """Wait for what another thread is about to do."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


@pytest.mark.parametrize("make", [Resonate, Resonate.local])
def test_initialization_is_local_with_or_without_saying_so(make: Callable[[], Resonate]) -> None:
    resonate = make()

    def foo(ctx: Any, arg: str) -> str:
        return f"foo {arg}"

    resonate.register(foo)
    assert resonate.run("invocation-id", foo, "arg") == "foo arg"
    resonate.stop()


@pytest.mark.parametrize("workers", [None, 1, 4])
def test_concurrency_is_a_number_of_workers(workers: int | None) -> None:
    resonate = Resonate.local(workers=workers)

    @resonate.register
    def foo(ctx, arg):  # type: ignore[no-untyped-def]
        result = yield ctx.run(bar, arg)
        return result

    def bar(ctx, arg):  # type: ignore[no-untyped-def]
        return arg + 1

    assert resonate.run("invocation-id", foo, 1) == 2
    resonate.stop()


def test_a_dependency_is_set_outside_and_read_inside(resonate: Resonate) -> None:
    dependency = object()
    seen = []
    resonate.set_dependency("dependency-name", dependency)

    @resonate.register
    def foo(ctx, arg):  # type: ignore[no-untyped-def]
        seen.append(ctx.get_dependency("dependency-name"))
        yield ctx.run(bar)
        return arg

    def bar(ctx):  # type: ignore[no-untyped-def]
        seen.append(ctx.get_dependency("dependency-name"))

    assert resonate.run("invocation-id", foo, 1) == 1
    assert seen == [dependency, dependency]


def test_run_begin_run_rpc_and_begin_rpc_give_the_same_result(resonate: Resonate) -> None:
    @resonate.register
    def foo(ctx, arg):  # type: ignore[no-untyped-def]
        return arg * 2

    assert resonate.run("a", foo, 4) == 8
    handle = resonate.begin_run("b", foo, 4)
    assert handle.result() == 8
    assert resonate.rpc("c", "foo", 4) == 8
    handle = resonate.begin_rpc("d", "foo", 4)
    assert handle.result() == 8
    assert resonate.options(target="poll://any@workers").rpc("e", "foo", 4) == 8


@pytest.mark.parametrize("policy", [Exponential(), Constant(), Linear(), Never()])
def test_options_precede_a_run(resonate: Resonate, policy: Any) -> None:
    @resonate.register
    def foo(ctx, arg):  # type: ignore[no-untyped-def]
        return ctx.info.tags["key"], arg

    result = resonate.options(
        idempotency_key="custom-ikey",
        retry_policy=policy,
        target="poll://any@workers",
        tags={"key": "value"},
        timeout=60.0,
        version=1,
    ).run("invocation-id", foo, 3)
    assert result == ("value", 3)
    promise = resonate.promises.get("invocation-id")
    assert promise.ikey_for_create == "custom-ikey"
    assert promise.rel_timeout == pytest.approx(60, abs=0.1)
    assert promise.tags["resonate:invoke"] == "poll://any@workers"


def test_get_finds_a_run_and_an_unknown_one_is_an_error(resonate: Resonate) -> None:
    @resonate.register
    def foo(ctx, arg):  # type: ignore[no-untyped-def]
        return arg

    resonate.begin_run("invocation-id", foo, 5)
    handle = resonate.get("invocation-id")
    assert handle.result() == 5
    with pytest.raises(ResonateStoreError) as refused:
        resonate.get("unknown")
    assert refused.value.code == 100.404


def test_promises_are_created_read_and_settled_by_id(resonate: Resonate) -> None:
    resonate.promises.create(
        id="promise-id",
        timeout=int(time.time() * 1000) + 30000,  # 30s in the future
    )
    assert resonate.promises.get("promise-id").pending
    resonate.promises.resolve(id="promise-id", data=json.dumps({}))
    assert resonate.promises.get("promise-id").resolved
    resonate.promises.create(id="other-id", timeout=int(time.time() * 1000) + 30000)
    resonate.promises.reject(id="other-id", data=json.dumps({}))
    assert resonate.promises.get("other-id").rejected


def test_inside_a_function_run_waits_and_begin_run_gives_a_promise(resonate: Resonate) -> None:
    @resonate.register
    def foo(ctx, arg):  # type: ignore[no-untyped-def]
        first = yield ctx.run(bar, arg)
        promise = yield ctx.begin_run(bar, first)
        # do more stuff
        result = yield promise
        return result

    def bar(ctx, arg):  # type: ignore[no-untyped-def]
        return arg + "!"

    assert resonate.run("invocation-id", foo, "x") == "x!!"


def test_inside_a_function_rpc_begin_rpc_and_detached_call_by_name(resonate: Resonate) -> None:
    called = []

    @resonate.register
    def foo(ctx: Context, arg: str):  # type: ignore[no-untyped-def]
        result = yield ctx.rpc("bar", arg)
        promise = yield ctx.begin_rpc("bar", result)
        result = yield promise
        yield ctx.detached("bar", "alone")
        return result

    @resonate.register
    def bar(ctx: Context, arg: str) -> str:
        called.append(arg)
        return arg + "?"

    assert resonate.run("invocation-id", foo, "x") == "x??"
    until(lambda: called == ["x", "x?", "alone"])


def test_options_follow_a_call_inside_a_function(resonate: Resonate) -> None:
    @resonate.register
    def foo(ctx, arg):  # type: ignore[no-untyped-def]
        local = yield ctx.run(bar, arg).options(
            id="custom-id",
            idempotency_key="custom-ikey",
            durable=True,
            retry_policy=Exponential(),
            tags={"key": "value"},
            timeout=30.0,
        )
        remote = yield ctx.rpc("bar", arg).options(
            id="other-id",
            idempotency_key="custom-ikey",
            target="poll://any@workers",
            tags={"key": "value"},
            timeout=30.0,
            version=1,
        )
        return [local, remote]

    @resonate.register
    def bar(ctx, arg):  # type: ignore[no-untyped-def]
        return ctx.id, arg

    assert resonate.run("invocation-id", foo, 1) == [("custom-id", 1), ("other-id", 1)]
    for name in ("custom-id", "other-id"):
        promise = resonate.promises.get(name)
        assert promise.ikey_for_create == "custom-ikey"
        assert promise.tags["key"] == "value"
        assert promise.rel_timeout == pytest.approx(30, abs=0.1)


def test_a_promise_blocks_until_a_human_settles_it(resonate: Resonate) -> None:
    @resonate.register
    def foo(ctx, arg):  # type: ignore[no-untyped-def]
        promise = yield ctx.promise(id="promise-id")
        # do more stuff
        result = yield promise
        other = yield ctx.promise(data={"key": arg})
        return [result, (yield other)]

    handle = resonate.begin_run("invocation-id", foo, "value")
    until(lambda: handle.done() or _exists(resonate, "promise-id"))
    resonate.promises.resolve(id="promise-id", data=json.dumps({"ok": True}))
    until(lambda: _exists(resonate, "invocation-id.2"))
    assert json.loads(resonate.promises.get("invocation-id.2").param.data or "") == {"key": "value"}
    resonate.promises.resolve(id="invocation-id.2", data="2")
    assert handle.result(5) == [{"ok": True}, 2]


def test_sleep_time_and_random_are_durable(resonate: Resonate) -> None:
    @resonate.register
    def foo(ctx, arg):  # type: ignore[no-untyped-def]
        yield ctx.sleep(0.05)
        time = yield ctx.time.time()
        rand = yield ctx.random.random()
        return [time, rand]

    began = time.time()
    now, rand = resonate.run("invocation-id", foo, None)
    assert began + 0.05 <= now <= time.time()
    assert 0 <= rand < 1
    assert resonate.promises.get("invocation-id.1").resolved
    assert json.loads(resonate.promises.get("invocation-id.3").value.data or "") == rand


def _exists(resonate: Resonate, promise_id: str) -> bool:
    try:
        resonate.promises.get(promise_id)
    except ResonateStoreError:
        return False
    return True
