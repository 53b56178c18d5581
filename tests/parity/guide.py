"""The programs of the guide of 0.6.7, filled in where the guide has three dots."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from typing import Any

from parity.harness import eventually, program, settle

from resonate import Context, Promise, Resonate, Yieldable
from resonate.retry_policies import Constant, Exponential


@program("guide", gives=["hello ana", "hello bob", "hello eve", "hello ida"])
def top_level_calls(resonate):
    """run, begin_run, rpc and begin_rpc of a client that lives in memory."""
    local = Resonate.local(workers=2)

    @local.register
    def foo(ctx, arg):
        return f"hello {arg}"

    handles = [local.begin_run("b", foo, "bob"), local.begin_rpc("d", "foo", "ida")]
    return [local.run("a", foo, "ana"), handles[0].result(), local.rpc("c", "foo", "eve"), handles[1].result()]


@program("guide", gives=[6, "custom-ikey"])
def options_of_a_launch(resonate):
    """All options of a launch at once."""

    @resonate.register
    def foo(ctx, arg):
        return arg * 2

    given = resonate.options(
        idempotency_key="custom-ikey",
        retry_policy=Exponential(),
        target="poll://any@workers",
        tags={"key": "value"},
        timeout=60.0,
        version=1,
    ).run("invocation-id", foo, 3)
    return [given, resonate.promises.get("invocation-id").ikey_for_create]


@program("guide", gives=["bar x", "bar y", "bar z", "bar w", "opened"], is_ordered=False)
def calls_of_the_context(resonate):
    """run, begin_run, rpc and begin_rpc of the context, with a dependency."""
    resonate.set_dependency("dependency-name", "opened")

    @resonate.register
    def foo(ctx, arg):
        first = yield ctx.run(bar, arg)
        promise = yield ctx.begin_run(bar, "y")
        third = yield ctx.rpc("bar", "z")
        remote = yield ctx.begin_rpc("bar", "w")
        return [first, (yield promise), third, (yield remote), ctx.get_dependency("dependency-name")]

    @resonate.register
    def bar(ctx, arg):
        return f"bar {arg}"

    return foo.run("foo", "x")


@program("guide", gives=["local", "remote"])
def options_of_the_context(resonate):
    """All options of a local and of a remote call."""

    @resonate.register
    def foo(ctx):
        first = yield ctx.run(bar, "local").options(
            id="custom-id", idempotency_key="custom-ikey", durable=True, retry_policy=Constant(), tags={"key": "value"}, timeout=30.0
        )
        second = yield ctx.rpc("bar", "remote").options(
            id="custom-remote", idempotency_key="custom-key", target="poll://any@workers", tags={"key": "value"}, timeout=30.0, version=1
        )
        return [first, second]

    @resonate.register
    def bar(ctx, arg):
        return arg

    return resonate.options(timeout=60).run("foo", foo)


@program("guide", gives={"approved": True, "asked": {"key": "value"}, "again": {"approved": True}}, is_ordered=False)
def a_person_in_the_loop(resonate):
    """A run that waits for a person is resolved from outside, and found again by `get`."""

    @resonate.register
    def foo(ctx, arg):
        promise = yield ctx.promise(id="promise-id", data={"key": "value"})
        answer = yield promise
        yield ctx.sleep(0.05)
        return answer

    handle = resonate.begin_run("foo", foo, 1)
    handle.done()
    asked = eventually(lambda: resonate.promises.get("promise-id"))
    settle(resonate, "promise-id", data=json.dumps({"approved": True}))
    given = handle.result(timeout=10)
    return given | {"asked": json.loads(asked.param.data), "again": resonate.get("foo").result()}


@program("guide", gives=["PENDING", "RESOLVED", "REJECTED"])
def promises_by_hand(resonate):
    """Promises are created half a minute ahead, resolved and rejected."""
    timeout = int(time.time() * 1000) + 30000
    states = [resonate.promises.create(id="promise-id", timeout=timeout).state]
    resonate.promises.create(id="other", timeout=timeout)
    resonate.promises.resolve(id="promise-id", data=json.dumps({}))
    resonate.promises.reject(id="other", data=json.dumps({}))
    return states + [resonate.promises.get(promise_id).state for promise_id in ["promise-id", "other"]]


@program("guide", gives=["foo ended", "bar ended"], is_ordered=False)
def fire_and_forget(resonate):
    """A detached call goes on by itself."""
    seen = []

    @resonate.register
    def foo(ctx, arg):
        yield ctx.detached("bar", arg).options(timeout=500)
        return "foo ended"

    @resonate.register
    def bar(ctx, arg):
        seen.append(arg)
        return arg

    given = resonate.options(timeout=60).run("foo", foo, "bar ended")
    return [given, resonate.get("foo.1").result(timeout=10)]


@program("guide", gives=["awake", True, True])
def sleep_time_and_random(resonate):
    """ctx.sleep, ctx.time.time and ctx.random.random, whose values a replay would see again."""
    local = Resonate.local(workers=1)

    @local.register
    def foo(ctx):
        yield ctx.sleep(0.05)
        now = yield ctx.time.time()
        rand = yield ctx.random.random()
        return ["awake", abs(time.time() - now) < 10, 0 <= rand < 1]

    return local.run("foo", foo)


@program("guide", gives=["hello ana", "hello bob"], is_ordered=False)
def remote_calls_of_the_context(resonate):
    """rpc with a type-annotated signature, and begin_rpc awaited later."""

    @resonate.register
    def foo(ctx: Context, arg: str) -> Generator[Yieldable, Any, list[str]]:
        result = yield ctx.rpc("bar", arg)
        promise: Promise = yield ctx.begin_rpc("bar", "bob")
        return [result, (yield promise)]

    @resonate.register
    def bar(ctx: Context, arg: str) -> str:
        return f"hello {arg}"

    return resonate.rpc("foo", "foo", "ana")
