"""Contract 8: the promises that executions write. How values are written (section 9) is held by `tests/pure/test_encoders.py`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from toys import Watched, client_of, value
from waiting import SOON, when

from resonate import Resonate
from resonate.errors import ResonateTimedoutError

HELD_BY = {
    "8 targets as addresses": "contract/test_04_options.py::test_targets",
    "8 the target of a client's group": "contract/test_04_options.py::test_a_client_of_a_group_launches_for_its_group",
    "8 hostile invocation records": "process/test_mistakes.py::test_hostile_invocations",
    "8 the key of a promise follows its id": "contract/test_04_options.py::test_a_promises_key_follows_its_id",
}


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


@pytest.mark.parametrize("method", ["run", "begin_run", "rpc", "begin_rpc"])
def test_what_a_launch_writes(client: Resonate, method: str) -> None:
    """Each of the four launches makes a root of its own, with its invocation record; system tags override the user's."""
    client.register(value, name="f", version=3)
    tagged = client.options(tags={f"resonate:{name}": "mine" for name in ("root", "parent", "scope", "invoke")} | {"mine": "1"})
    outcome = getattr(tagged, method)("a", "f", 1)
    assert (outcome.result(SOON) if method.startswith("begin") else outcome) == 1
    promise = client.promises.get("a")
    assert promise.tags == {
        "mine": "1", "resonate:root": "a", "resonate:parent": "a", "resonate:scope": "global", "resonate:invoke": "poll://any@default"
    }  # fmt: skip
    assert (promise.ikey_for_create, promise.ikey_for_complete) == ("a", "a")
    assert json.loads(promise.param.data or "") == {"func": "f", "args": [1], "kwargs": {}, "version": 3}


def test_what_nested_calls_write(client: Resonate) -> None:
    """Below the first level the parent is the calling execution and the root stays the run; system tags override the user's."""

    @client.register
    def top(ctx):
        def middle(ctx):
            yield ctx.begin_run(value).options(tags={"resonate:root": "mine", "a": "b"})
            yield ctx.time.time()
            yield ctx.random.random()
            yield ctx.begin_rpc("value").options(tags={"resonate:invoke": "mine"})
            yield ctx.detached("value").options(tags={"resonate:parent": "mine"})

        yield ctx.run(middle)

    client.register(value)
    top.begin_run("top").result(SOON)
    local = {"resonate:root": "top", "resonate:parent": "top.1", "resonate:scope": "local"}
    far = local | {"resonate:scope": "global", "resonate:invoke": "poll://any@default"}
    tags = [client.promises.get(f"top.1.{number}").tags for number in range(1, 6)]
    assert tags == [local | {"a": "b"}, local, local, far, far]
    for number in range(1, 4):
        assert client.promises.get(f"top.1.{number}").param.data is None


@pytest.mark.parametrize("give", [{}, {"data": 0, "tags": {"a": "b"}, "idempotency_key": "k", "id": "own"}], ids=["nothing", "everything"])
def test_what_a_bare_promise_writes(client: Resonate, give: dict[str, Any]) -> None:
    """`ctx.promise` writes the user's tags alone, the given key or the id, and the given data or nothing."""

    @client.register
    def top(ctx):
        promise = yield ctx.promise(**give)
        client.promises.resolve(promise.id)
        return promise.id

    name = top.begin_run("top").result(SOON)
    promise = client.promises.get(name)
    expected = ("own", {"a": "b"}, "k", "0") if give else ("top.1", {}, "top.1", None)
    assert (name, promise.tags, promise.ikey_for_create, promise.param.data) == expected


def test_a_key_of_ones_own_is_not_the_key_of_completion(client: Resonate) -> None:
    """Whatever key a promise was created with, results are written with the promise's id as key, and outsiders' without one."""

    @client.register
    def top(ctx):
        yield ctx.run(value).options(idempotency_key="k", id="step")
        promise = yield ctx.promise(id="outside")
        client.promises.resolve("outside")
        yield promise
        try:
            yield ctx.run(value).options(id="late", timeout=0)
        except ResonateTimedoutError:
            return

    client.options(idempotency_key="root").begin_run("top", top).result(SOON)
    assert {name: client.promises.get(name).ikey_for_complete for name in ("top", "step", "outside", "late")} == {
        "top": "top", "step": "step", "outside": None, "late": None
    }  # fmt: skip


def test_nothing_is_asked_for_strictly() -> None:
    """Every create and every settlement of an execution is `strict=False`, over a store of somebody's as over any other."""
    store = Watched()
    with client_of(store) as client:
        client.register(value)

        @client.register
        def top(ctx):
            yield ctx.run(value, 1)
            yield ctx.rpc("value", 2).options(target="g")
            yield ctx.sleep(0.001)
            raise KeyError("end")

        assert isinstance(top.begin_run("top").future.exception(SOON), KeyError)
    asked = store.of("create", "create_with_task", "resolve", "reject")
    assert {each.method for each in asked} == {"create", "create_with_task", "resolve", "reject"}
    assert [each for each in asked if each.kwargs["strict"] is not False] == []


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


def test_a_foreign_invocation_needs_the_name_alone(client: Resonate) -> None:
    """A promise that another program made, with plain JSON and no version, is worked on."""
    client.register(value)
    client.start()
    client.promises.create("x", 2**45, data='{"func":"value","args":[4]}', tags={"resonate:invoke": "poll://any@default"})
    assert client.get("x").result(SOON) == 4


def test_the_version_of_an_invocation_is_the_one_that_is_called(client: Resonate) -> None:
    """A stored record with a version calls that version, with args and kwargs as they stand."""
    for version in (1, 2, 3):
        client.register(lambda ctx, *args, version=version, **kwargs: [version, list(args), kwargs], name="f", version=version)
    client.start()
    for name, record, expected in (
        ("a", {"func": "f", "args": [1], "kwargs": {"k": 2}, "version": 2}, [2, [1], {"k": 2}]),
        ("b", {"func": "f", "version": 1}, [1, [], {}]),
        ("c", {"func": "f", "version": 0, "kwargs": {"k": 1}}, [3, [], {"k": 1}]),
    ):  # fmt: skip
        client.promises.create(name, 2**45, data=json.dumps(record), tags={"resonate:invoke": "default"})
        assert client.get(name).result(SOON) == expected
    client.promises.create("d", 2**45, data='{"func": "f", "version": 9}', tags={"resonate:invoke": "default"})
    assert "function f version 9 not found in registry" in str(client.get("d").future.exception(SOON))
    when(lambda: client.promises.get("d").rejected)
