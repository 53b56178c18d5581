"""Contract 3: what can be registered, and what registering gives."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from toys import Shift, here, value

from resonate import Context, Resonate
from resonate.registry import Registry
from resonate.retry_policies import Constant

HELD_BY = {
    "3 the decorator in every form": "pure/test_options_and_registry.py::test_decorators_in_every_form",
    "3 `register` as a method": "process/test_guide.py::test_register_as_method",
    "3 only plain functions": "pure/test_options_and_registry.py::test_only_plain_functions_are_registered",
    "3 wrong arguments of `register`": "pure/test_options_and_registry.py::test_registering_checks_in_order",
    "3 versions of a name": "pure/test_options_and_registry.py::test_a_name_has_versions_and_the_highest_is_the_latest",
    "3 `async def` functions": "process/test_async.py::test_await_is_yield",
    "3.1 versions that a Function pins": "contract/test_04_options.py::test_versions",
}


def test_nothing_to_register_gives_the_decorator() -> None:
    """`register(None)` is `register()`: the decorator, which keeps the name and the version."""
    client = Resonate()
    decorate = client.register(None, name="n", version=2)
    assert decorate(value).name == "n"
    assert client.registry.get("n") == ("n", value, 2)


def test_the_first_wrong_argument_is_named() -> None:
    """Name and version are checked first, then whether it can be called, what it is, its name, its version, and what is there."""
    client = Resonate()
    client.register(value)
    register: Any = client.register
    name, version = {"name": 5}, {"version": "1"}
    for wrong, arguments, kind, text in (
        (5, name | version, TypeError, "^name must be `str"), (5, version, TypeError, "^version must be `int"),
        (5, {}, TypeError, "^func must be"),
        (len, {"version": 0}, ValueError, "^provided callable must be a function$"),
        (lambda ctx: 1, {"version": 0}, ValueError, "^name required when registering a lambda function$"),
        (value, {"version": 0}, ValueError, "^provided version must be greater than zero$"),
        (value, {"version": -1}, ValueError, "^provided version must be greater than zero$"),
        (value, {}, ValueError, "^function value already registered$"),
        (value, {"name": "again", "version": 2}, ValueError, "^function again already registered$"),
    ):  # fmt: skip
        with pytest.raises(kind, match=text):
            register(wrong, **arguments)
    assert client.registry.functions() == [("value", 1, value)]


def test_a_registry_on_its_own() -> None:
    """`Registry.add`, `get` and `latest` work without a client, with raw functions, Functions and names."""
    registry = Registry()
    function = Resonate().register(here, name="elsewhere")
    assert registry.add(function, name="n", version=2) is None
    assert registry.get("n") == registry.get("n", 2) == registry.get(here) == registry.get(function, 2) == ("n", here, 2)
    assert (registry.latest("n"), registry.latest(here), registry.latest("no"), registry.latest("no", 5), registry.latest(value, 6)) == (
        2, 2, 1, 5, 6,
    )  # fmt: skip
    for wrong, version, text in (
        ("no", 0, "function no not found in registry"), ("n", 1, "function n version 1 not found in registry"),
        (value, 0, "function value not found in registry"), (here, 1, "function here version 1 not found in registry"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"^{text}$"):
            registry.get(wrong, version)  # type: ignore[arg-type]


# ---- 3.1 Function ----------------------------------------------------------------------------------------------------------------


def typed[T](ctx: Context, x: T, *, times: int = 1) -> list[T]:
    """Repeat."""
    return [x] * times


def test_a_function_looks_like_what_it_wraps() -> None:
    """Name, text, module, annotations, type parameters and signature are the function's; called, it is the function."""
    client = Resonate()
    function = client.register(typed, name="repeat", version=4)
    assert (function.__name__, function.__qualname__, function.__doc__, function.__module__) == ("typed", "typed", "Repeat.", __name__)
    assert function.__annotations__ == typed.__annotations__
    assert function.__type_params__ == typed.__type_params__  # type: ignore[attr-defined]
    assert inspect.signature(function) == inspect.signature(typed)
    assert (function.name, function.func) == ("repeat", typed)
    assert function(None, 7, times=2) == [7, 7]  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        function.name = "else"  # type: ignore[misc]


def test_a_function_equals_what_it_wraps() -> None:
    """By comparison and hash, a Function is its raw function, and so are two Functions of one."""
    one, two = Resonate().register(typed), Resonate().register(typed, name="other")
    assert one == two == typed
    assert typed == one
    assert one != value
    assert {one, two, typed} == {typed}
    assert {typed: 5}[one] == 5  # type: ignore[index]


def test_a_function_is_unwrapped_where_it_is_registered_again(client: Resonate) -> None:
    """A Function of one client can be registered with another, and called by `ctx.run` and `ctx.rpc` like the raw one."""
    function = Resonate().register(value, name="elsewhere")
    assert client.register(function, name="here", version=2).func is value

    @client.register
    def top(ctx):
        return [(yield ctx.run(function, 1)), (yield ctx.rpc(function, 2)), (yield (yield ctx.begin_run(function, 3))),
                (yield (yield ctx.detached(function, 4)))]  # fmt: skip

    assert top.run("top") == [1, 2, 3, 4]
    assert json.loads(client.promises.get("top.2").param.data or "") == {"func": "here", "args": [2], "kwargs": {}, "version": 2}


@pytest.mark.parametrize("method", ["run", "begin_run", "rpc", "begin_rpc"])
def test_a_function_launches_itself_with_its_options(client: Resonate, method: str) -> None:
    """Its four launches are the client's, with the options and the version that it holds; those of the client are not needed."""
    calls: list[int] = []

    def fragile(ctx, x, *, y):
        calls.append(1)
        if len(calls) < 2 and method.endswith("run"):
            raise ValueError("once")
        return [x, y, ctx.info.version]

    client.register(lambda ctx: None, name="fragile", version=9)
    function = client.options(tags={"of": "client"}).register(fragile, version=2)
    launcher = function.options(
        idempotency_key=lambda promise_id: f"{promise_id}!", retry_policy=Constant(0, 3), tags={"of": "function"}, target="workers",
        timeout=50,
    )  # fmt: skip
    outcome = getattr(launcher, method)("a", 1, y=2)
    assert (outcome.result(10) if method.startswith("begin") else outcome) == [1, 2, 2]
    promise = client.promises.get("a")
    assert (promise.ikey_for_create, promise.tags["of"], promise.tags["resonate:invoke"]) == ("a!", "function", "poll://any@workers")
    assert promise.rel_timeout == pytest.approx(50, abs=1)
    assert json.loads(promise.param.data or "")["version"] == 2
    calls[:] = [1]
    assert function.run("b", 3, y=4) == [3, 4, 2]
    assert client.promises.get("b").tags["of"] == "client"


def test_the_options_that_a_function_takes(client: Resonate) -> None:
    """A Function's options are the client's, by keyword alone; each call gives another Function of the same name."""
    function = client.register(value)
    coded = function.options(encoder=Shift(), version=1)
    assert (coded == function, coded.name, coded is function) == (True, "value", False)
    assert coded.run("a", 5) == 5
    assert client.promises.get("a").value.data == Shift().encode(5)
    for name in ("durable", "id", "non_retryable_exceptions", "priority"):
        with pytest.raises(TypeError, match=name):
            function.options(**{name: True})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="positional"):
        function.options("k")  # type: ignore[misc]
    with pytest.raises(TypeError, match="timeout must be `float`, got str"):
        function.options(timeout="1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="version 2 not found"):
        function.options(version=2).run("b", 1)
