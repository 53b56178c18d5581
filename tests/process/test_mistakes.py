"""What users do wrong fails their own run alone, in words that say what to do; other runs, the threads and the process live on."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from waiting import SOON, when

from resonate import Promise, Resonate
from resonate.errors import (
    NotDurable,
    ResonateCanceledError,
    ResonateStoreError,
    RunStuck,
    StepEnded,
    ValueNotStorable,
)
from resonate.protocol import CreatePromise
from resonate.retry_policies import Constant, Never

HANG = 2  # seconds after which a run that should have failed counts as hanging


def value(ctx: Any, x: Any = None) -> Any:
    return x


@pytest.fixture
def client() -> Iterator[Resonate]:
    """A client on which another run is under way; at the end that run goes on to its end, and every worker still works."""
    client = Resonate(workers=2)

    @client.register
    def bystander(ctx):
        first = yield ctx.run(value, 1)
        second = yield (yield ctx.promise(id="bystander-gate"))
        return [first, second, (yield ctx.run(value, 3))]

    client.register(lambda ctx, both: both.wait(SOON), name="meet")
    other = bystander.begin_run("bystander")
    when(lambda: client.promises.get("bystander-gate").pending)
    names = sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("resonate"))
    yield client
    client.promises.resolve("bystander-gate", data="2")
    assert other.result(HANG) == [1, 2, 3], "another run on the same client did not go on"
    # Two functions that wait for each other need both workers: none of them is lost.
    barrier = threading.Barrier(2)

    @client.register
    def both(ctx):
        promises = [(yield ctx.begin_run(lambda ctx: barrier.wait(SOON) >= 0)),
                    (yield ctx.begin_run(lambda ctx: barrier.wait(SOON) >= 0))]
        return [(yield promises[0]), (yield promises[1])]

    assert both.begin_run("both").result(HANG) == [True, True], "a worker is gone"
    now = sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("resonate"))
    assert len([name for name in now if "worker" in name]) == len([name for name in names if "worker" in name])
    client.stop()


def failure(client: Resonate, func: Any, *args: Any) -> Exception:
    """The error with which a run of `func` fails, within the time in which a run that hangs would have."""
    handle = client.begin_run("mistake", client.register(func, name="mistaken"), *args)
    error = handle.future.exception(HANG)
    assert isinstance(error, Exception)
    return error


# ---- what is yielded -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [None, 5, "text", [1], object(), value, Promise("a", "b"), iter(())],
                         ids=lambda each: type(each).__name__)
def test_yielding_what_is_no_command(client: Resonate, wrong: Any) -> None:
    """A generator that yields anything but what ctx gives fails with NotDurable, which says what to yield."""

    def top(ctx):
        yield wrong

    error = failure(client, top)
    assert isinstance(error, NotDurable)
    assert "ctx." in str(error)
    assert "mistake" in str(error)


def test_awaiting_another_runs_promise(client: Resonate) -> None:
    """A promise of another run is refused by both names."""

    @client.register
    def other(ctx):
        promise = yield ctx.begin_run(value, 1)
        kept.append(promise)
        return (yield promise)

    kept: list[Any] = []
    other.run("other")

    def top(ctx):
        yield kept[0]

    error = failure(client, top)
    assert isinstance(error, NotDurable)
    for name in ("other.1", "other", "mistake"):
        assert name in str(error)


@pytest.mark.parametrize("order", ["before", "after"])
def test_awaiting_what_asyncio_gives(client: Resonate, order: str) -> None:
    """An `async def` that awaits something of asyncio beside a durable call is told what to await instead."""
    import asyncio

    async def top(ctx):
        for what in (asyncio.sleep(0.001), ctx.run(value, 1))[:: 1 if order == "before" else -1]:
            await what

    error = failure(client, top)
    assert isinstance(error, NotDurable)
    assert "ctx.sleep" in str(error)


def test_forgetting_to_yield_is_harmless(client: Resonate) -> None:
    """A command that is not yielded does nothing; returning one is told as what it is."""

    def top(ctx):
        return ctx.run(value, 1)

    error = failure(client, top)
    assert isinstance(error, NotDurable)
    assert "yield" in str(error)


@pytest.mark.parametrize("method", ["rpc", "begin_rpc"])
def test_rpc_to_an_unknown_function(client: Resonate, method: str) -> None:
    """A name that nobody here knows fails the call, and the message lists what is known."""

    def top(ctx):
        outcome = yield getattr(ctx, method)("unknown", 1)
        return (yield outcome) if method == "begin_rpc" else outcome

    error = failure(client, top)
    assert isinstance(error, ValueError)
    assert "function unknown not found in registry" in str(error)
    assert "bystander" in str(error)
    with pytest.raises(ValueError, match="unknown"):
        client.rpc("again", "unknown")


@pytest.mark.parametrize(
    "data",
    [None, "null", "5", '"f"', "{}", '{"func": 5}', '{"func": "value", "args": 5}', '{"func": "value", "kwargs": [1]}', "{",
     '{"func": "value", "version": 9}',
     '{"func": "value", "version": -1}', '{"func": "os.system", "args": ["true"]}', '{"func": "value", "args": [1, 2, 3, 4]}',
     '{"func": "__main__"}'],
)  # fmt: skip
def test_hostile_invocations(client: Resonate, data: str | None) -> None:
    """A promise that asks for something that is no call of a registered function is rejected."""
    client.register(value, name="value")
    client.promises.create("x", int(time.time() * 1000) + 1500, data=data, tags={"resonate:invoke": "poll://any@default"})
    handle = client.get("x")
    assert isinstance(handle.future.exception(HANG), Exception)


# ---- values ----------------------------------------------------------------------------------------------------------------------


def circle() -> Any:
    found: list[Any] = []
    found.append(found)
    return found


UNSTORABLE = [({(1, 2): 3}, "$ has the key (1, 2)"), (circle(), "holds itself"), (object(), "an `object`"),
              ([{"a": {1, object()}}], "$[0].a"), (lambda: 1, "function")]


@pytest.mark.parametrize(("wrong", "text"), UNSTORABLE, ids=["tuple key", "circle", "object", "deep", "function"])
@pytest.mark.parametrize("place", ["result", "step", "rpc", "promise", "run argument", "rpc argument", "detached"])
def test_values_that_cannot_be_stored(client: Resonate, wrong: Any, text: str, place: str) -> None:
    """A result or argument that cannot be stored fails at once, without a retry, and names the path."""
    ran = []

    def gives(ctx):
        ran.append(1)
        return wrong

    def top(ctx):
        if place == "rpc":
            yield ctx.rpc("value", wrong)
        elif place == "promise":
            yield ctx.promise(data=wrong)
        elif place == "detached":
            yield ctx.detached("value", wrong)
        else:
            yield ctx.run(gives)

    client.register(value, name="value")
    if place in ("run argument", "rpc argument"):
        call = client.begin_run if place == "run argument" else client.begin_rpc
        with pytest.raises(ValueNotStorable) as caught:
            call("mistake", "value", wrong)
        error: Exception = caught.value
        with pytest.raises(ResonateStoreError):
            client.promises.get("mistake")
    else:
        error = failure(client, gives if place == "result" else top)
    assert isinstance(error, ValueNotStorable)
    assert (text if place in ("result", "step") else text.partition("$")[2]) in str(error)
    assert len(ran) <= 1


def test_a_huge_value_passes(client: Resonate) -> None:
    """Sixteen megabytes of text, and a list of a hundred thousand numbers, are values like others."""

    @client.register
    def top(ctx):
        text = yield ctx.run(lambda ctx: "x" * 16_000_000)
        numbers = yield ctx.run(lambda ctx: list(range(100_000)))
        return [len(text), sum(numbers)]

    assert top.run("top") == [16_000_000, 4_999_950_000]


@pytest.mark.parametrize("data", ["{", "nul", '"', "\x00"])
def test_a_damaged_value_fails_whoever_awaits_it(client: Resonate, data: str) -> None:
    """A promise that somebody settled with text that is no JSON raises ValueError where it is awaited, in runs and handles."""

    @client.register
    def top(ctx):
        promise = yield ctx.promise(id="damaged")
        try:
            return (yield promise)
        except ValueError:
            return "damaged"

    handle = top.begin_run("top")
    when(lambda: client.promises.get("damaged").pending)
    other = client.get("damaged")
    client.promises.resolve("damaged", data=data)
    assert handle.result(HANG) == "damaged"
    for each in (other, client.get("damaged")):
        with pytest.raises(ValueError, match=r".+"):
            each.result(HANG)


# ---- errors and endings ----------------------------------------------------------------------------------------------------------


class Textless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Exits(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class Demanding(Exception):
    def __init__(self, first: Any, second: Any, *, third: Any) -> None:
        super().__init__("demanding")


class Unpicklable(Exception):
    def __init__(self) -> None:
        super().__init__(threading.Lock())
        self.lock = threading.Lock()

    def __reduce__(self) -> Any:
        raise TypeError("no")


@pytest.mark.parametrize(
    "raised", [Textless(1), Exits(1), Demanding(1, 2, third=3), Unpicklable(), StopIteration(5), StopAsyncIteration(),
               RecursionError("deep"), MemoryError(),
               ExceptionGroup("g", [ValueError(1)]), RuntimeError(object())], ids=lambda each: type(each).__name__)  # fmt: skip
@pytest.mark.parametrize("place", ["step", "generator", "not durable"])
def test_awkward_exceptions(client: Resonate, raised: Exception, place: str) -> None:
    """Whatever exception a function raises, its run fails with it, by type."""

    def plain(ctx):
        raise raised

    def top(ctx):
        if place == "generator":
            raise raised
        yield ctx.run(plain).options(retry_policy=Never(), durable=place == "step")

    error = failure(client, top)
    assert type(error) is type(raised) or (isinstance(raised, StopIteration) and isinstance(error, RuntimeError))


@pytest.mark.parametrize("raised", [SystemExit, SystemExit(5), KeyboardInterrupt, GeneratorExit, type("Own", (BaseException,), {})],
                         ids=str)
@pytest.mark.parametrize("place", ["step", "generator", "top", "not durable", "rpc"])
def test_endings_end_the_function_alone(client: Resonate, raised: Any, place: str) -> None:
    """SystemExit, KeyboardInterrupt and the like become StepEnded of that function, which is not retried and names them."""
    calls = []

    def plain(ctx):
        calls.append(1)
        raise raised

    client.register(plain, name="plain")

    def top(ctx):
        if place == "generator":
            raise raised
        if place == "rpc":
            yield ctx.rpc("plain")
        yield ctx.run(plain).options(durable=place == "step")

    error = failure(client, plain if place == "top" else top) if place != "top" else client.begin_run("mistake",
        "plain").future.exception(HANG)
    assert isinstance(error, StepEnded)
    assert getattr(raised, "__name__", type(raised).__name__) in str(error)
    assert len(calls) <= 1


def test_a_generator_may_catch_an_ending(client: Resonate) -> None:
    """A parent can catch what became of its child's SystemExit, and go on."""

    @client.register
    def top(ctx):
        def leaves(ctx):
            sys.exit("bye")

        try:
            yield ctx.run(leaves)
        except StepEnded as error:
            return str(error)

    text = top.run("top")
    assert "SystemExit(bye)" in text
    assert "leaves" in text


def test_deep_recursion_in_a_step(client: Resonate) -> None:
    """A function that recurses without end fails with RecursionError."""

    def endless(ctx, depth=0):
        return endless(ctx, depth + 1)

    def top(ctx):
        yield ctx.run(endless).options(retry_policy=Never())

    assert isinstance(failure(client, top), RecursionError)


def test_wrong_arguments(client: Resonate) -> None:
    """A call with arguments that the function does not take raises TypeError in the caller, which may catch it."""

    @client.register
    def top(ctx):
        try:
            yield ctx.run(value, 1, 2, 3).options(retry_policy=Never())
        except TypeError as error:
            return str(error)

    assert "positional arguments" in top.run("top")


# ---- what users plug in ----------------------------------------------------------------------------------------------------------


class Raises:
    """A policy or encoder all of whose methods raise."""

    def __init__(self, error: Any) -> None:
        self.error = error

    def next(self, attempt: int) -> float | None:
        raise self.error

    def encode(self, obj: Any, /) -> Any:
        raise self.error

    def decode(self, obj: Any, /) -> Any:
        raise self.error


class Gives:
    def __init__(self, given: Any) -> None:
        self.given = given

    def next(self, attempt: int) -> Any:
        return self.given

    def encode(self, obj: Any, /) -> Any:
        return self.given

    def decode(self, obj: Any, /) -> Any:
        return self.given


@pytest.mark.parametrize(
    "policy",
    [Raises(ZeroDivisionError()), Raises(SystemExit()), Gives("soon"), Gives(1j), Gives(float("inf")), Gives(object()),
     lambda func: None, lambda func: 1 / 0,
     lambda func: sys.exit()],
    ids=["raises", "exits", "text", "complex", "inf", "object", "no policy", "maker raises", "maker exits"],
)  # fmt: skip
def test_broken_retry_policies(client: Resonate, policy: Any) -> None:
    """A retry policy that raises or gives no number means that there is no further attempt: the function's own error counts."""

    def fails(ctx):
        raise ValueError("its own")

    def top(ctx):
        yield ctx.run(fails).options(retry_policy=policy)

    error = failure(client, top)
    assert isinstance(error, ValueError)
    assert str(error) == "its own"


def test_a_policy_that_says_nan_is_no_endless_loop(client: Resonate) -> None:
    """Not a number as a delay ends the attempts."""
    calls = []

    def fails(ctx):
        calls.append(1)
        if len(calls) > 50:
            raise SystemExit
        raise ValueError("its own")

    def top(ctx):
        yield ctx.run(fails).options(retry_policy=Gives(float("nan")))

    assert str(failure(client, top)) == "its own"
    assert calls == [1]


@pytest.mark.parametrize("encoder", [Raises(ZeroDivisionError("mine")), Raises(SystemExit()), Gives(b"bytes"), Gives(5)],
                         ids=["raises", "exits", "bytes", "number"])
@pytest.mark.parametrize("place", ["step", "rpc argument", "promise"])
def test_broken_encoders(client: Resonate, encoder: Any, place: str) -> None:
    """An encoder that raises fails the call at once, and the function is not run again and again."""
    ran = []

    def gives(ctx):
        ran.append(1)
        return 1

    def top(ctx):
        if place == "step":
            yield ctx.run(gives).options(encoder=encoder)
        elif place == "promise":
            yield (yield ctx.promise(data=1).options(encoder=encoder, timeout=1))
        else:
            yield ctx.rpc("value", 1).options(encoder=encoder)

    client.register(value, name="value")
    error = failure(client, top)
    if not isinstance(encoder, Gives):  # which reads the stored error as what it gives
        assert isinstance(error, (ValueNotStorable, ZeroDivisionError, StepEnded))
    assert len(ran) <= 1


class WriteOnly:
    def __init__(self, error: Any) -> None:
        self.error = error

    def encode(self, obj: Any, /) -> Any:
        return json.dumps(obj)

    def decode(self, obj: Any, /) -> Any:
        raise self.error


@pytest.mark.parametrize("error", [ZeroDivisionError("mine"), SystemExit()], ids=["raises", "exits"])
def test_a_value_that_the_users_encoder_cannot_read(client: Resonate, error: Any) -> None:
    """A decoder that raises fails whoever awaits the value: the generator, or the handle."""

    def top(ctx):
        yield ctx.run(lambda ctx: [1]).options(encoder=WriteOnly(error))

    found = failure(client, top)
    assert isinstance(found, (ZeroDivisionError, StepEnded))
    client.register(value, name="value")
    handle = client.options(encoder=WriteOnly(error)).begin_run("handle", "value", 1)
    assert isinstance(handle.future.exception(HANG), (ZeroDivisionError, SystemExit, StepEnded))


@pytest.mark.parametrize("error", [ZeroDivisionError("mine"), SystemExit()], ids=["raises", "exits"])
def test_an_idempotency_key_that_raises(client: Resonate, error: Any) -> None:
    """A key function that raises fails where the command is yielded."""

    def key(promise_id):
        raise error

    def top(ctx):
        yield ctx.run(value).options(idempotency_key=key)

    assert isinstance(failure(client, top), (ZeroDivisionError, StepEnded))


def test_dependencies_and_names_of_the_wrong_kind(client: Resonate) -> None:
    """A wrong name of a dependency raises in the function that asks."""

    def top(ctx):
        yield ctx.run(value)
        ctx.get_dependency(5)

    error = failure(client, top)
    assert isinstance(error, TypeError)
    assert "dependency" in str(error)


@pytest.mark.parametrize("place", ["done callback raises", "done callback exits"])
def test_callbacks_of_futures(client: Resonate, place: str) -> None:
    """A callback on `handle.future` that raises, or exits, harms neither the run nor other handles of it."""
    gate = threading.Event()
    client.register(lambda ctx: gate.wait(SOON) and 1, name="gated")
    first, second = client.begin_run("a", "gated"), client.get("a")

    def callback(future: Any) -> None:
        raise (SystemExit if place.endswith("exits") else ValueError)

    first.future.add_done_callback(callback)
    gate.set()
    assert second.result(HANG) == first.result(HANG) == 1


def test_a_callback_may_use_another_client(client: Resonate) -> None:
    """A callback on a future that settles a promise of a second client wakes the run that waits for it there."""
    second = Resonate()

    @second.register
    def waits(ctx):
        return (yield (yield ctx.promise(id="bridge")))

    handle = waits.begin_run("there")
    when(lambda: second.promises.get("bridge").pending)
    client.register(value, name="value")
    gate = threading.Event()
    client.register(lambda ctx: gate.wait(SOON) and 7, name="gated")
    here = client.begin_run("here", "gated")
    here.future.add_done_callback(lambda future: second.promises.resolve("bridge", data=str(future.result())))
    gate.set()
    assert handle.result(HANG) == 7
    second.stop()


# ---- cancellation, circles -------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_generator_that_swallows_its_closing(client: Resonate, caplog: pytest.LogCaptureFixture) -> None:
    """A canceled generator that yields on, or raises, in its `finally` harms nothing."""
    begun = []

    def stubborn(ctx, how):
        begun.append(how)
        while True:
            try:
                yield (yield ctx.promise(timeout=SOON))
            except GeneratorExit:
                if how == "raise":
                    raise SystemExit from None
                if how == "return":
                    return

    client.register(stubborn)
    for how in ("yield", "raise", "return"):
        handle = client.begin_run(how, stubborn, how)
        when(lambda how=how: client.promises.get(f"{how}.1").pending)
        client.cancel(how)
        with pytest.raises(ResonateCanceledError):
            handle.result(HANG)
    assert begun == ["yield", "raise", "return"]
    caplog.clear()  # whose records hold what was raised, and that the generator
    gc.collect()  # what is left of it complains here, in its own test


@pytest.mark.parametrize("what", ["step", "generator"])
def test_cancel_while_running(client: Resonate, what: str) -> None:
    """A run that is canceled in the middle of a function is canceled at once; the function ends on its own, and nothing follows it."""
    inside, gate, after = threading.Event(), threading.Event(), []

    def slow(ctx):
        inside.set()
        gate.wait(SOON)
        return 1

    def top(ctx):
        if what == "generator":
            slow(ctx)
        else:
            yield ctx.run(slow)
        yield ctx.run(lambda ctx: after.append("step"))
        after.append("end")

    handle = client.begin_run("mistake", client.register(top, name="top"))
    assert inside.wait(SOON)
    client.cancel("mistake")
    with pytest.raises(ResonateCanceledError):
        handle.result(HANG)
    gate.set()
    when(lambda: "mistake" not in client._shared.runtime()._runs)
    assert after == []


@pytest.mark.parametrize("how", ["run", "begin_run", "rpc", "await"])
def test_a_run_that_waits_for_itself(client: Resonate, how: str) -> None:
    """A run that awaits its own promise fails with RunStuck, which names it."""

    def top(ctx):
        if how == "await":
            yield ctx.run(lambda ctx: 1)
            yield Promise("mistake", "mistake")
        else:
            call = ctx.rpc("value") if how == "rpc" else getattr(ctx, how)(value)
            yield call.options(id="mistake")

    client.register(value, name="value")
    error = failure(client, top)
    assert isinstance(error, RunStuck)
    assert "mistake" in str(error)


def test_two_children_that_wait_for_each_other(client: Resonate) -> None:
    """A circle of awaits below a run is found, and named."""

    def top(ctx):
        def waits(ctx, other):
            yield Promise(other, "mistake")

        yield ctx.begin_run(waits, "mistake.2")
        yield ctx.begin_run(waits, "mistake.1")

    error = failure(client, top)
    assert isinstance(error, RunStuck)
    assert "mistake.1" in str(error)


def test_an_id_of_somebody_else(client: Resonate) -> None:
    """A child under an id that exists with another key is refused where it is awaited."""
    client._shared.store.call([CreatePromise("taken", 2**45, "theirs")])

    def top(ctx):
        yield ctx.run(value).options(id="taken")

    error = failure(client, top)
    assert isinstance(error, ResonateStoreError)
    assert "taken" in str(error)


# ---- the process -----------------------------------------------------------------------------------------------------------------


def test_nothing_ends_the_process() -> None:
    """Everything that ended the process in 0.6.7 leaves it alive, and the client usable."""
    program = """
        import os, sys, threading
        from resonate import Promise, Resonate
        client = Resonate(workers=2)
        def fails(ctx, how):
            if how == "exit": sys.exit(3)
            if how == "interrupt": raise KeyboardInterrupt
            if how == "generator exit": raise GeneratorExit
            if how == "key": return {(1, 2): 3}
            if how == "circle":
                a = []; a.append(a); return a
            if how == "object": return object()
            if how == "thread": threading.Thread(target=sys.exit).start(); raise MemoryError
            raise type("E", (Exception,), {"__init__": lambda self, a, b: None})(1, 2)
        @client.register
        def top(ctx, how):
            if how == "promise": yield Promise("x", "y")
            if how == "rpc": yield ctx.rpc("unknown")
            if how == "yield": yield 5
            if how == "recurse":
                def again(ctx, n): return again(ctx, n + 1)
                yield ctx.run(again, 0).options(retry_policy=lambda f: type("N", (), {"next": lambda s, a: None})())
            yield ctx.run(fails, how).options(retry_policy=lambda f: type("N", (), {"next": lambda s, a: None})())
        hows = ["exit", "interrupt", "generator exit", "key", "circle", "object", "thread", "class", "promise", "rpc", "yield", "recurse"]
        names = [type(client.begin_run(how, top, how).future.exception(10)).__name__ for how in hows]
        client.promises.create("foreign", 2**45, data="{", tags={"resonate:invoke": "poll://any@default"})
        names.append(type(client.get("foreign").future.exception(10)).__name__)
        print(len(names), "alive", client.run("last", client.register(lambda ctx: "well", name="f")), names)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("13 alive well"), done.stdout + done.stderr
    assert done.returncode == 0


def test_a_process_ends_although_runs_are_pending() -> None:
    """No thread of ours keeps a program from ending, whatever is under way."""
    program = """
        from resonate import Resonate
        import time
        client = Resonate()
        @client.register
        def top(ctx):
            yield ctx.begin_run(lambda ctx: time.sleep(60))
            yield ctx.sleep(60)
        top.begin_run("a")
        time.sleep(0.05)
        print("end")
    """
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("end\n", 0), done.stderr
    assert time.monotonic() - began < 10


def test_constant_is_a_policy_for_everything(client: Resonate) -> None:
    """Ten thousand retries without a delay are ten thousand attempts: no recursion, no leak of timers."""
    calls = []

    def fails(ctx):
        calls.append(1)
        raise ValueError("again")

    def top(ctx):
        yield ctx.run(fails).options(retry_policy=Constant(0, 999))

    handle = client.begin_run("mistake", client.register(top, name="top"))
    assert isinstance(handle.future.exception(30), ValueError)
    assert len(calls) == 1000


def test_arguments_that_do_not_fit_fail_at_once(client: Resonate) -> None:
    """A call with the wrong arguments is rejected without a retry, though a TypeError from within the function is retried."""

    def step(ctx, needed):
        return needed

    @client.register
    def forgets(ctx):
        yield ctx.run(step)

    @client.register
    def trips_once(ctx):
        return len(5) if ctx.info.attempt == 1 else "well"

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'needed'"):
        forgets.begin_run("forgets").result(SOON)
    assert trips_once.options(retry_policy=Constant(delay=0)).begin_run("trips").result(SOON) == "well"
