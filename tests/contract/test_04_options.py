"""Contract 4: options, which call takes which, and what each does. The custom encoder of 9.3 is here too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from toys import Shift, here, loose_context, value
from waiting import SOON, when

from resonate import Resonate
from resonate.context import Context
from resonate.errors import ResonateTimedoutError
from resonate.models.result import Ok
from resonate.options import ONE_YEAR_S, Options
from resonate.retry_policies import Constant, Never

HELD_BY = {
    "4 defaults": "pure/test_options_and_registry.py::test_defaults",
    "4 default policies": "pure/test_options_and_registry.py::test_default_policies",
    "4 types and values of each field": "pure/test_options_and_registry.py::test_wrong_options_are_named",
    "4 `merge` replaces, tags too": "pure/test_options_and_registry.py::test_merge_replaces_what_is_given_and_changes_nothing_itself",
    "4 idempotency keys as text, function, none": "pure/test_options_and_registry.py::test_idempotency_keys",
    "4 every option before every launch": "process/test_guide.py::test_options",
    "4 every option after a local call": "process/test_guide.py::test_options_of_local_calls",
    "4 every option after a remote call": "process/test_guide.py::test_options_of_remote_calls",
    "4 durable=False": "contract/test_06_context.py::test_not_durable_calls_carry_any_object",
    "4 non_retryable_exceptions": "contract/test_10_errors_and_policies.py::test_errors_that_are_not_retried",
    "4 timeout=0 of a local call": "contract/test_07_timeouts.py::test_a_timeout_of_zero_is_honoured",
}

OPTIONS: dict[str, Any] = {
    "durable": True, "encoder": Shift(), "id": "own", "idempotency_key": "key", "non_retryable_exceptions": (OSError,),
    "retry_policy": Never(), "tags": {"a": "b"}, "target": "workers", "timeout": 5.0, "version": 1,
}  # fmt: skip
LAUNCHING = {"encoder", "idempotency_key", "retry_policy", "tags", "target", "timeout", "version"}
LOCAL = {"durable", "encoder", "id", "idempotency_key", "non_retryable_exceptions", "retry_policy", "tags", "timeout"}
REMOTE = {"encoder", "id", "idempotency_key", "tags", "target", "timeout", "version"}

COMMANDS: dict[str, tuple[Callable[[Context], Any], set[str]]] = {
    "run": (lambda ctx: ctx.run(value), LOCAL), "begin_run": (lambda ctx: ctx.begin_run(value), LOCAL),
    "time": (lambda ctx: ctx.time.time(), LOCAL), "random": (lambda ctx: ctx.random.random(), LOCAL),
    "rpc": (lambda ctx: ctx.rpc("f"), REMOTE), "begin_rpc": (lambda ctx: ctx.begin_rpc("f"), REMOTE),
    "detached": (lambda ctx: ctx.detached("f"), REMOTE), "promise": (lambda ctx: ctx.promise(), REMOTE),
    "sleep": (lambda ctx: ctx.sleep(1), REMOTE),
}  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("call", COMMANDS)
def test_which_call_takes_which_option(call: str, option: str) -> None:
    """Each call takes the options of its column and gives itself back; any other is an unknown keyword."""
    make, taken = COMMANDS[call]
    command = make(loose_context())
    if option in taken:
        assert command.options(**{option: OPTIONS[option]}) is command
        assert command.options(**{option: None}) is command
    else:
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{option}'"):
            command.options(**{option: OPTIONS[option]})
    with pytest.raises(TypeError, match="positional"):
        command.options(OPTIONS[option])
    with pytest.raises(TypeError, match="unexpected keyword argument 'priority'"):
        command.options(priority=1)


@pytest.mark.parametrize("option", OPTIONS)
def test_which_options_a_client_and_a_function_take(option: str) -> None:
    """`Resonate.options` and `Function.options` take the options of launching."""
    client = Resonate()
    for thing in (client, client.register(value)):
        if option in LAUNCHING:
            assert type(thing.options(**{option: OPTIONS[option]})) is type(thing)
        else:
            with pytest.raises(TypeError, match=f"unexpected keyword argument '{option}'"):
                thing.options(**{option: OPTIONS[option]})


WRONG: dict[str, tuple[Any, type[Exception]]] = {
    "durable": (1, TypeError), "encoder": (5, TypeError), "id": (5, TypeError), "idempotency_key": (5, TypeError),
    "non_retryable_exceptions": ([OSError], TypeError), "retry_policy": (5, TypeError), "tags": ("x", TypeError), "target": (5, TypeError),
    "timeout": ("5", TypeError), "version": ("1", TypeError),
}  # fmt: skip


@pytest.mark.parametrize("call", COMMANDS)
def test_wrong_options_of_a_call_are_named(call: str) -> None:
    """A value of the wrong kind is refused by `.options` itself, with its name, and changes nothing."""
    make, taken = COMMANDS[call]
    command = make(loose_context())
    for option in taken:
        wrong, kind = WRONG[option]
        with pytest.raises(kind, match=f"^{option} must be"):
            command.options(**{option: wrong})
    for name in taken & {"timeout", "version"}:
        with pytest.raises(ValueError, match=f"^{name} must be greater than or equal to zero"):
            command.options(**{name: -1})
    assert (command.id, command.option) == ("top.1", make(loose_context()).option)


def test_infinite_and_boolean_timeouts() -> None:
    """An infinite timeout is an OverflowError, as in 0.6.7; a boolean is a number of seconds."""
    with pytest.raises(OverflowError, match="timeout must be a finite number of seconds, got inf"):
        Resonate().options(timeout=float("inf"))
    assert Options(timeout=True).timeout == 1


def test_options_of_a_call_add_up() -> None:
    """Later options replace earlier ones field by field, tags as a whole, and None replaces nothing."""
    command = loose_context().run(value).options(timeout=5, tags={"a": "1"}, id="x").options(tags={"b": "2"}, timeout=None, id=None)
    assert (command.id, command.option.timeout, dict(command.option.tags)) == ("x", 5, {"b": "2"})


def test_what_a_client_was_told_is_not_inherited(client: Resonate) -> None:
    """Children start from the defaults, whatever their parent, or its client, was given; only the deadline bounds them."""
    given = client.options(
        tags={"own": "1"}, idempotency_key="key", retry_policy=Constant(0, 5), target="workers", timeout=77, encoder=Shift()
    )
    calls: list[int] = []

    def fragile(ctx):
        calls.append(1)
        yield ctx.sleep(0)
        raise ValueError("x")

    @client.register
    def top(ctx):
        def middle(ctx):
            yield ctx.run(value, 1)

        yield ctx.run(value, 2)
        yield ctx.run(middle).options(tags={"middle": "1"}, timeout=50, idempotency_key="middle", encoder=Shift())
        yield ctx.rpc("value", 3)
        try:
            yield ctx.run(fragile)
        except ValueError:
            return (yield ctx.run(lambda ctx: "own" not in ctx.info.tags))

    client.register(value)
    assert given.run("top", top) is True
    assert calls == [1]  # a generator is not retried, though its parent would be
    for name in ("top.1", "top.2.1", "top.3", "top.5"):
        promise = client.promises.get(name)
        assert (promise.ikey_for_create, {"own", "middle"} & set(promise.tags)) == (name, set())
    assert client.promises.get("top.3").tags["resonate:invoke"] == "poll://any@default"
    assert (client.promises.get("top.1").value.data, client.promises.get("top.2.1").value.data) == ("2", "1")
    assert client.promises.get("top.2.1").timeout == client.promises.get("top.2").timeout < client.promises.get("top").timeout


@pytest.mark.parametrize("how", ["options", "argument"])
def test_a_promises_key_follows_its_id(client: Resonate, how: str) -> None:
    """A promise under an id of one's own has that id as its key, unless a key is given."""

    @client.register
    def top(ctx):
        made = (ctx.promise(id="x"), ctx.promise(id="y", idempotency_key="k")) if how == "argument" else (
            ctx.promise().options(id="x"), ctx.promise().options(id="y").options(idempotency_key="k"))  # fmt: skip
        for command in made:
            client.promises.resolve((yield command).id)
        return 1

    assert top.begin_run("top").result(SOON) == 1
    assert [client.promises.get(name).ikey_for_create for name in "xy"] == ["x", "k"]


def test_empty_options_of_a_promise_say_nothing(client: Resonate) -> None:
    """As in 0.6.7, `""`, 0 and `{}` in the options of `ctx.promise()` leave what is there; an empty id does so for every call."""

    @client.register
    def top(ctx):
        promise = yield ctx.promise(tags={"a": "b"}, idempotency_key="k").options(id="", timeout=0, tags={}, idempotency_key="")
        client.promises.resolve(promise.id)
        return [promise.id, (yield ctx.run(here).options(id=""))]

    assert client.options(timeout=60).begin_run("top", top).result(SOON) == ["top.1", "top.2"]
    promise = client.promises.get("top.1")
    assert (promise.resolved, promise.tags, promise.ikey_for_create, promise.rel_timeout > 50) == (True, {"a": "b"}, "k", True)


def test_a_sleep_heeds_its_id_alone(client: Resonate) -> None:
    """Of the options of `ctx.sleep`, only the id counts, and the key follows it."""

    @client.register
    def top(ctx):
        yield ctx.sleep(0.001).options(id="nap", timeout=0, tags={"a": "b"}, idempotency_key="k", target="t", version=3, encoder=Shift())
        return 1

    assert top.begin_run("top").result(SOON) == 1
    nap = client.promises.get("nap")
    assert (nap.state, nap.tags, nap.ikey_for_create) == ("RESOLVED", {"resonate:timeout": "true"}, "nap")


@pytest.mark.parametrize("call", ["run", "rpc"])
def test_a_timeout_of_zero_counts(client: Resonate, call: str) -> None:
    """`timeout=0` of a call is a deadline that has passed."""
    client.register(value)

    @client.register
    def top(ctx):
        yield getattr(ctx, call)("value" if call == "rpc" else value).options(timeout=0)

    with pytest.raises(ResonateTimedoutError, match=r"top\.1"):
        top.begin_run("top").result(SOON)


def test_the_year_of_a_call_without_a_timeout() -> None:
    """Without the option a call has a year."""
    assert ONE_YEAR_S == 31_536_000 == Options().timeout == 365 * 24 * 3600


def test_no_key_at_all(client: Resonate) -> None:
    """A key function that gives None creates promises without a key, which nobody can join; None as the option means the id."""
    client.register(value)
    client.options(idempotency_key=lambda promise_id: None).run("a", "value")
    client.options(idempotency_key=None).run("b", "value")
    assert [client.promises.get(name).ikey_for_create for name in "ab"] == [None, "b"]


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


def test_a_client_of_a_group_launches_for_its_group() -> None:
    """The default target of a launch is the client's own group, which options override; its children's is `default` (D-9)."""
    with Resonate(group="team", log_level="CRITICAL") as client:

        @client.register
        def top(ctx):
            yield ctx.run(value)
            return (yield ctx.rpc("value", 5))

        function = client.register(value)
        assert top.begin_run("a").result(SOON) == 5
        function.run("b")
        client.rpc("c", "value")
        client.options(target="default").run("d", "value")
        client.options(timeout=5).run("e", "value")
    found = {name: client.promises.get(name).tags["resonate:invoke"] for name in ("a", "a.2", "b", "c", "d", "e")}
    team, default = "poll://any@team", "poll://any@default"
    assert found == {"a": team, "a.2": default, "b": team, "c": team, "d": default, "e": team}


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


@pytest.mark.parametrize("method", ["rpc", "begin_rpc", "detached"])
def test_an_encoder_of_a_remote_call(client: Resonate, method: str) -> None:
    """A user's encoder writes the param and reads the value of a remote call (D-13)."""

    @client.register
    def top(ctx):
        outcome = yield getattr(ctx, method)("asked", 1).options(encoder=Shift(), target="nobody", id="far")
        return outcome if method == "rpc" else (yield outcome)

    with Resonate(store=client._shared.store, group="nobody", log_level="CRITICAL") as other:
        handle = top.begin_run("top")
        when(lambda: client.promises.get("far"))
        assert client.promises.get("far").param.data == Shift().encode({"func": "asked", "args": [1], "kwargs": {}, "version": 1})
        assert isinstance(other.get("far").future.exception(SOON), Exception)  # whose worker cannot read it: rejected, not killed
        assert isinstance(handle.future.exception(SOON), Exception)
        assert other.begin_run("alive", other.register(value), 1).result(SOON) == 1


@pytest.mark.parametrize("where", ["promise", "begin_rpc"])
def test_an_encoder_reads_what_somebody_settled(client: Resonate, where: str) -> None:
    """The value of a promise that was made with a user's encoder is read with it."""

    @client.register
    def top(ctx):
        command = ctx.promise(data=[1]) if where == "promise" else ctx.begin_rpc("asked", 1).options(timeout=60, target="nobody")
        return (yield (yield command.options(id="x", encoder=Shift())))

    with Resonate(store=client._shared.store, group="somebody", log_level="CRITICAL"):  # with two, addresses count
        handle = top.begin_run("top")
        when(lambda: client.promises.get("x").pending)
        if where == "promise":
            assert client.promises.get("x").param.data == Shift().encode([1])
        client.promises.resolve("x", data=Shift().encode({"a": 1}))
        assert handle.result(SOON) == {"a": 1}
