"""Options, retry policies, registry, dependencies and errors: what they accept, what they refuse and how they say so."""

from __future__ import annotations

import pickle
import re
import sys
from functools import partial
from typing import Any

import pytest

from resonate import Resonate
from resonate.coroutine import Command, Promise, plain_function
from resonate.dependencies import Dependencies
from resonate.encoders import DEFAULT
from resonate.errors import (
    ResonateCanceledError,
    ResonateError,
    ResonateShutdownError,
    ResonateStoreError,
    ResonateTimedoutError,
)
from resonate.labels import label_arguments, label_data, short_text
from resonate.models.retry_policy import RetryPolicy
from resonate.options import ONE_YEAR_S, Options
from resonate.registry import Registry
from resonate.retry_policies import Constant, Exponential, Linear, Never


def plain(ctx: Any, x: int = 0) -> int:
    return x


def composed(ctx: Any) -> Any:
    yield ctx.run(plain)


async def coroutine(ctx: Any) -> None: ...


# ---- options ---------------------------------------------------------------------------------------------------------------------


def test_defaults() -> None:
    """Without options a call is durable, has a year, its id as key, the default target and the latest version."""
    options = Options()
    assert (options.durable, options.timeout, options.target, options.version, dict(options.tags)) == (True, ONE_YEAR_S, "default",
        0, {})
    assert options.key_for("a") == "a"
    assert options.non_retryable_exceptions == ()


def test_default_policies() -> None:
    """Steps retry for ever by default; generators and coroutines, which are made of steps, do not."""
    assert [type(Options().policy_for(func)) for func in (plain, composed, coroutine)] == [Exponential, Never, Never]


def test_policies_may_be_chosen_by_function() -> None:
    """A callable policy gets the function and gives its policy."""
    options = Options(retry_policy=lambda func: Constant(3) if func is plain else Never())
    assert options.policy_for(plain) == Constant(3)
    assert options.policy_for(composed) == Never()


@pytest.mark.parametrize(("key", "expected"), [("k", "k"), (lambda promise: promise.upper(), "A"), (lambda promise: None, None)])
def test_idempotency_keys(key: Any, expected: str | None) -> None:
    """A key is given as text, or made from the id; a function that gives None sends no key."""
    assert Options(idempotency_key=key).key_for("a") == expected


def test_merge_replaces_what_is_given_and_changes_nothing_itself() -> None:
    """Merging replaces fields that are not None, tags as a whole; the options merged from stay as they were."""
    options = Options(tags={"a": "1"}, timeout=5)
    merged = options.merge(tags={"b": "2"}, timeout=None, version=3)
    assert (dict(merged.tags), merged.timeout, merged.version) == ({"b": "2"}, 5, 3)
    assert (dict(options.tags), options.version) == ({"a": "1"}, 0)


WRONG = [
    ("durable", 1, TypeError, "durable must be `bool`, got int"),
    ("encoder", 5, TypeError, "encoder must be `Encoder | None`, got int"),
    ("id", 5, TypeError, "id must be `str | None`, got int"),
    ("idempotency_key", 5, TypeError, "idempotency_key must be `str | Callable[[str], str | None] | None`, got int"),
    ("non_retryable_exceptions", [ValueError], TypeError, "non_retryable_exceptions must be `tuple"),
    ("non_retryable_exceptions", ("ValueError",), TypeError, "non_retryable_exceptions must be `tuple"),
    ("retry_policy", 5, TypeError, "retry_policy must be `RetryPolicy | Callable | None`, got int"),
    ("target", 5, TypeError, "target must be `str`, got int"),
    ("tags", "x", TypeError, "tags must be `dict"),
    ("timeout", "1", TypeError, "timeout must be `float`, got str"),
    ("version", "1", TypeError, "version must be `int`, got str"),
    ("timeout", float("-inf"), ValueError, "timeout must be greater than or equal to zero"),
    ("timeout", -1, ValueError, "timeout must be greater than or equal to zero"),
    ("timeout", float("inf"), OverflowError, "timeout must be a finite number of seconds, got inf"),
    ("timeout", float("nan"), ValueError, "timeout must be a finite number of seconds, got nan"),
    ("version", -1, ValueError, "version must be greater than or equal to zero"),
]


@pytest.mark.parametrize(("name", "value", "kind", "text"), WRONG)
def test_wrong_options_are_named(name: str, value: Any, kind: type[Exception], text: str) -> None:
    """A value of the wrong kind is refused wherever options are given, with its name, what it must be and what it was."""
    with pytest.raises(kind, match=re.escape(text)):
        Options(**{name: value})
    if name not in ("durable", "id", "non_retryable_exceptions"):
        with pytest.raises(kind, match=re.escape(text)):
            Resonate().options(**{name: value})


@pytest.mark.parametrize("name", ["durable", "id", "non_retryable_exceptions", "priority"])
def test_options_that_a_client_does_not_take(name: str) -> None:
    """A client's options are those of launching; others are refused as unknown keywords."""
    with pytest.raises(TypeError, match=name):
        Resonate().options(**{name: True})  # type: ignore[arg-type]


def test_a_clients_options_are_a_copy() -> None:
    """Options of a client or a function make a copy that shares everything else; the original is not changed."""
    client = Resonate()
    copy = client.options(timeout=5)
    assert copy is not client
    assert copy.registry is client.registry
    assert (copy._options.timeout, client._options.timeout) == (5, ONE_YEAR_S)
    function = client.register(plain)
    other = function.options(timeout=7)
    assert (other._options.timeout, function._options.timeout) == (7, ONE_YEAR_S)


# ---- retry policies --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "waits"),
    [
        (Never(), [0, None, None]), (Constant(), [0, 1, 1]), (Constant(0.5, 1), [0, 0.5, None]), (Linear(2), [0, 2, 4]),
        (Linear(2, 1), [0, 2, None]),
        (Exponential(), [0, 2, 4]), (Exponential(1, 2, 3, 5), [0, 3, 5, None]), (Exponential(delay=0), [0, 0, 0]),
        (Constant(max_retries=0), [0, None]),
    ],
    ids=repr,
)  # fmt: skip
def test_retry_policies(policy: RetryPolicy, waits: list[float | None]) -> None:
    """`next(n)` is the wait after the n-th failure, None to give up; nothing is waited before the first attempt."""
    assert [policy.next(attempt) for attempt in range(len(waits))] == waits
    assert isinstance(policy, RetryPolicy)
    with pytest.raises(AssertionError):
        policy.next(-1)


def test_exponential_never_overflows() -> None:
    """After ten thousand failures the wait is still the longest one."""
    assert Exponential().next(10_000) == 30
    assert Exponential(max_retries=sys.maxsize).next(sys.maxsize) == 30


def test_policies_are_values() -> None:
    """Policies compare and hash by their fields and take them by position or keyword."""
    assert {Constant(1, 2), Constant(delay=1, max_retries=2)} == {Constant(1, 2)}
    with pytest.raises(AttributeError):
        Constant(1).delay = 2  # type: ignore[misc]


# ---- registry --------------------------------------------------------------------------------------------------------------------


def test_a_name_has_versions_and_the_highest_is_the_latest() -> None:
    """A name without a version means its highest; a version that is not there is refused."""
    registry = Registry()
    first, third = (lambda ctx: 1), (lambda ctx: 3)
    registry.add(first, "f", 1)
    registry.add(third, "f", 3)
    assert registry.get("f") == ("f", third, 3)
    assert registry.get("f", 1) == ("f", first, 1)
    assert registry.get(first) == ("f", first, 1)
    assert (registry.latest("f"), registry.latest("g"), registry.latest(first), registry.latest(plain, 9)) == (3, 1, 1, 9)
    for wrong, version, text in (("f", 2, "function f version 2 not found"), ("g", 0, "function g not found"),
                                 (plain, 0, "function plain not found")):
        with pytest.raises(ValueError, match=text):
            registry.get(wrong, version)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="version 3 not found"):
        registry.get(first, 3)


class Callable_:
    def __call__(self, ctx: Any) -> None: ...

    def method(self, ctx: Any) -> None: ...


@pytest.mark.parametrize("wrong", [len, partial(plain), Callable_(), Callable_().method, Callable_])
def test_only_plain_functions_are_registered(wrong: Any) -> None:
    """Methods, builtins, partials, instances and classes are refused."""
    with pytest.raises(ValueError, match="provided callable must be a function"):
        Resonate().register(wrong)


def test_registering_checks_in_order() -> None:
    """Each wrong argument of `register` is named."""
    client = Resonate()
    with pytest.raises(TypeError, match="name must be `str"):
        client.register(plain, name=5)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="version must be `int`"):
        client.register(plain, version="1")  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        client.register(5)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="name required when registering a lambda function"):
        client.register(lambda ctx: 1)
    with pytest.raises(ValueError, match="provided version must be greater than zero"):
        client.register(plain, version=0)
    client.register(plain)
    for other, name, version in ((plain, None, 1), (plain, "other", 2), (lambda ctx: 1, "plain", 1)):
        with pytest.raises(ValueError, match="already registered"):
            client.register(other, name=name, version=version)


def test_a_refused_registration_leaves_no_trace() -> None:
    """What was refused is not half registered."""
    registry = Registry()
    registry.add(plain)
    with pytest.raises(ValueError, match="already registered"):
        registry.add(composed, "plain")
    assert registry.functions() == [("plain", 1, plain)]
    registry.add(composed)


def test_replace_takes_the_place_of_what_stood_there() -> None:
    """A cell that is run again replaces its function, and the earlier one is known no more."""
    registry = Registry()
    assert registry.replace(plain, "f") is None
    assert registry.replace(composed, "f") is plain
    assert registry.get("f")[1] is composed
    with pytest.raises(ValueError, match="not found"):
        registry.get(plain)
    assert registry.replace(composed, "g") is None
    with pytest.raises(ValueError, match="function f not found"):
        registry.get("f")
    assert (registry.latest("f"), registry.find("f")) == (1, None)


def test_decorators_in_every_form() -> None:
    """`@register`, `@register()` and `@register(name=, version=)` all give a Function that is still the function."""
    client = Resonate()

    @client.register
    def one(ctx: Any, x: int) -> int:
        """One's text."""
        return x + 1

    @client.register()
    def two(ctx: Any) -> int:
        return 2

    @client.register(name="three", version=3)
    def anything(ctx: Any) -> int:
        return 3

    assert [(name, version) for name, version, _ in client.registry.functions()] == [("one", 1), ("three", 3), ("two", 1)]
    assert (one.__name__, one.__doc__, one.__module__, one(None, 4)) == ("one", "One's text.", __name__, 5)
    assert (anything.name, anything.func.__name__) == ("three", "anything")
    assert one == one.func
    assert hash(one) == hash(one.func)
    assert one != two
    assert plain_function(one) is one.func
    assert client.registry.get(one)[0] == "one"
    other = Resonate()
    assert other.register(one).func is one.func


# ---- the client's own arguments --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        ({"dependencies": 1}, TypeError, "dependencies must be `Dependencies | None`, got int"),
        ({"group": 1}, TypeError, "group must be `str`, got int"),
        ({"log_level": None}, TypeError, "log_level must be `int | str`, got NoneType"),
        ({"pid": 1}, TypeError, "pid must be `str | None`, got int"),
        ({"registry": 1}, TypeError, "registry must be `Registry | None`, got int"),
        ({"store": 1}, TypeError, "store must be `Store | None`, got int"),
        ({"message_source": 1}, TypeError, "message_source must be `MessageSource | None`, got int"),
        ({"ttl": "1"}, TypeError, "ttl must be `int`, got str"),
        ({"workers": "1"}, TypeError, "workers must be `int | None`, got str"),
        ({"log_level": "LOUD"}, ValueError, "log_level must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL, got 'LOUD'"),
        ({"ttl": 0}, ValueError, "ttl must be a positive number of seconds, got 0"),
        ({"workers": -1}, ValueError, "workers must not be negative, got -1"),
    ],
)  # fmt: skip
def test_wrong_constructor_arguments_are_named(arguments: dict[str, Any], kind: type[Exception], text: str) -> None:
    """The constructor says which argument is wrong, what it must be and what it was."""
    with pytest.raises(kind, match=re.escape(text)):
        Resonate(**arguments)


def test_the_constructor_takes_keywords_only() -> None:
    """`Resonate(...)` takes no positional argument; `Resonate.local(...)` takes them in the order of 0.6.7."""
    with pytest.raises(TypeError):
        Resonate(Dependencies())  # type: ignore[misc]
    assert "group='g'" in repr(Resonate.local(None, "g", "INFO", "p", Registry(), 5, 2))


def test_dependencies_have_text_names() -> None:
    """A dependency is found by its name, or the default is given; other names than text are refused."""
    client = Resonate()
    client.set_dependency("db", [1])
    assert client._shared.dependencies.get("db") == [1]
    assert client._shared.dependencies.get("none", 5) == 5
    for use in (partial(client.set_dependency, 5, 1), partial(client._shared.dependencies.get, 5)):
        with pytest.raises(TypeError, match="name must be `str`, got int"):
            use()


# ---- errors ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (ResonateError("m", 7), "[007.00000] m", 7), (ResonateError("m", 7, {"a": 1}), '[007.00000] m\n{\n  "a": 1\n}', 7),
        (ResonateStoreError("m", 40400), "[100.40400] m", 100.404), (ResonateStoreError("m", 0), "[100.00000] m", 100.0),
        (ResonateCanceledError("p"), "[200.00000] Promise p canceled", 200),
        (ResonateTimedoutError("p", 5.5), "[201.00000] Promise p timedout at 5.5", 201),
        (ResonateShutdownError("m"), "[300.00000] m", 300), (ResonateError("m", 7, object), "<class 'object'>", 7),
    ],
)  # fmt: skip
def test_errors_say_their_code(error: ResonateError, text: str, code: float) -> None:
    """Each error prints its code before its text, and survives pickling and storing."""
    assert text in str(error)
    assert error.code == code
    for copy in (pickle.loads(pickle.dumps(error)), DEFAULT.decode(DEFAULT.encode(error))):
        assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


# ---- commands and labels ---------------------------------------------------------------------------------------------------------


def test_options_of_a_command_give_the_command_back() -> None:
    """`.options` on a yielded command can be chained and sets what is given; the id is the one field beside the options."""
    from resonate.coroutine import LFC

    command: LFC[int] = LFC("a.1", "run", "f", plain)
    assert command.options(timeout=5).options(tags={"a": "b"}, id="mine") is command
    assert (command.id, command.option.timeout, dict(command.option.tags)) == ("mine", 5, {"a": "b"})
    with pytest.raises(TypeError, match="target"):
        command.options(target="x")  # type: ignore[call-arg]
    assert issubclass(LFC, Command)
    assert Promise("a", "b") == Promise("a", "b")


class Hostile:
    @property
    def shape(self) -> Any:
        raise SystemExit

    def __repr__(self) -> str:
        raise KeyboardInterrupt


@pytest.mark.parametrize("value",
                         ["x" * 10**6, list(range(10**6)), {"a": ["b" * 1000] * 1000}, Hostile(), [Hostile()], [10**5000],
                          b"\x00" * 10**6], ids=type)
def test_labels_are_short_and_never_fail(value: Any) -> None:
    """Whatever an argument is, its label is at most 80 characters and comes without an error."""
    assert len(short_text(value)) <= 80
    assert all(len(text) <= 80 for _, text in label_arguments(plain, (value,) * 30, {"k": value}))
    assert len(label_arguments(plain, (value,) * 30, {})) <= 12
    assert all(len(name) <= 80 for name, _ in label_data({"n" * 500: value, **{str(each): 1 for each in range(30)}}))
