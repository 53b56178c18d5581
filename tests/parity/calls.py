"""Launching, registering, and what functions may yield (contract 2.3 to 3.1, 5 and 6)."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import random
import threading
import time

from parity.harness import FAR, attempt, error_text, eventually, here, kind_of, program, settle, value

from resonate import Resonate
from resonate.dependencies import Dependencies
from resonate.registry import Registry
from resonate.retry_policies import Constant, Never


@program("2.3", gives=[{"x": 1}, None, "b and 2", "first", "first", 1])
def run_gives_the_value(resonate):
    """`run` gives what the function returns; a second launch of an id gives the first one's result, whatever it asks for."""
    calls = []
    joined = resonate.register(lambda ctx, a, *, n=1: f"{a} and {n}", name="joined")
    resonate.register(value)
    found = [resonate.run("one", value, {"x": 1}), resonate.run("two", "value"), resonate.run("three", joined, "b", n=2)]
    first = resonate.register(lambda ctx, x: calls.append(x) or x, name="first")
    second = resonate.register(lambda ctx: calls.append("second"), name="second")
    return [*found, resonate.run("a", first, "first"), resonate.run("a", second), len(calls)]


@program("2.5", gives=["kept", "made by hand", "ResonateStoreError 40400", True])
def get_finds_what_exists(resonate):
    """`get` gives a handle of any promise that exists, settled or not, and refuses an id that there is not."""
    resonate.register(value)
    resonate.run("a", value, "kept")
    resonate.promises.create(id="hand", timeout=FAR)
    waiting = resonate.get("hand")
    pending = not waiting.future.done()
    resonate.promises.resolve(id="hand", data='"made by hand"')
    return [resonate.get("a").result(), waiting.result(timeout=10), attempt(resonate.get, "nothing"), pending]


@program("3", gives=[1, 2, 3, "v2", "v1", "v1", "ValueError: function many version 3 not found in registry"])
def registering(resonate):
    """Functions are registered as a decorator or by a call, by name and version; the highest version answers to the bare name."""

    @resonate.register()
    def one(ctx):
        return 1

    @resonate.register(name="three", version=7)
    def other(ctx):
        return 3

    two = resonate.register(lambda ctx: 2, name="two")
    first = resonate.register(lambda ctx: "v1", name="many")
    resonate.register(lambda ctx: "v2", name="many", version=2)
    found = [one.run("a"), two.run("b"), resonate.rpc("c", "three"), resonate.run("d", "many")]
    found += [resonate.options(version=1).run("e", "many"), first.run("f")]
    return [*found, attempt(resonate.options(version=3).run, "g", "many")]


@program("3.1", gives=["named", "value", True, True, True, "direct", 1, 2, 3, 4, "by name", "by function", "by Function"])
def a_registered_function(resonate):
    """What `register` gives looks like the function, equals it, calls it directly, and launches it in four ways."""
    f = resonate.register(value, name="named")
    found = [f.name, f.__name__, f == value, hash(f) == hash(value), f.func is value, f(None, "direct"), f.run("a", 1)]
    found += [f.begin_run("b", 2).result(), f.rpc("c", x=3), f.begin_rpc("d", 4).result(), resonate.rpc("e", "named", "by name")]
    return [*found, resonate.rpc("f", value, "by function"), resonate.begin_rpc("g", f, "by Function").result(timeout=10)]


@program("5", gives=["a", True, 5, 5, 5, 5, "TimeoutError", False])
def handles(resonate):
    """A handle tells its id, whether it is done, and the result as often as wanted: blocking, by its future, or awaited."""
    resonate.register(value)
    handle = resonate.begin_run("a", value, 5)
    first = handle.result()

    async def awaited():
        return await resonate.get("a")

    resonate.promises.create(id="never", timeout=FAR)
    never = resonate.get("never")
    late = attempt(never.result, timeout=0.05).partition(":")[0]
    results = [first, handle.result(timeout=1), handle.future.result(), asyncio.run(awaited())]
    return [handle.id, eventually(handle.done), *results, late, never.done()]


@program("6.2", gives=["top.3", "top.2", "top.4.1", "top.4.2", "top.8", "mine", "top.10"])
def children_are_numbered(resonate):
    """Children get `<id>.<n>` in the order of the calls of ctx, from 1; what is never yielded, and a custom id, take a number too."""
    resonate.set_dependency("resonate:random", random.Random(1))

    def inner(ctx):
        return [(yield ctx.run(here)), (yield ctx.run(here))]

    @resonate.register
    def top(ctx):
        ctx.run(here)
        second, third = ctx.run(here), ctx.run(here)
        found = [(yield third), (yield second), *(yield ctx.run(inner))]
        yield ctx.sleep(0)
        yield ctx.time.strftime("%Y")
        yield ctx.random.random()
        return [*found, (yield ctx.run(here)), (yield ctx.run(here).options(id="mine")), (yield ctx.rpc("here"))]

    resonate.register(here)
    return top.run("top")


@program("6", gives=8, is_ordered=False)
def recursion(resonate):
    """A generator may begin itself twice over and await both."""

    @resonate.register
    def fib(ctx, n):
        if n < 2:
            return n
        first, second = (yield ctx.begin_run(fib, n - 1)), (yield ctx.begin_run(fib, n - 2))
        return (yield first) + (yield second)

    return fib.run("fib", 6)


@program("6", gives=list(range(10)))
def fan_out(resonate):
    """Children begun at once are made in order of issue, and each promise gives its own child's value."""

    @resonate.register
    def top(ctx):
        begun, found = [], []
        for n in range(10):
            begun += [(yield ctx.begin_run(value, n))]
        for promise in begun:
            found += [(yield promise)]
        return found

    return top.run("top")


@program("6.3", gives=["parent", ["child", "last"], "ValueError: parent", ["child", "last", "child of b"]])
def children_that_nobody_awaits(resonate):
    """A run ends, or fails, only when every child begun has ended; what they give, a failure too, is dropped."""
    seen = []

    def fails(ctx):
        raise ValueError("unseen")

    @resonate.register
    def a(ctx):
        yield ctx.begin_run(lambda ctx: seen.append("child"))
        yield ctx.begin_run(fails).options(retry_policy=Never())
        yield ctx.begin_rpc("last")
        return "parent"

    @resonate.register
    def b(ctx):
        yield ctx.begin_run(lambda ctx: seen.append("child of b"))
        raise ValueError("parent")

    resonate.register(lambda ctx: seen.append("last"), name="last")
    return [a.run("a"), list(seen), attempt(b.run, "b"), seen]


@program("6.3", gives=["top.1", True, "late"], is_ordered=False)
def detached_is_not_awaited(resonate):
    """A detached run is launched and outlives its parent, with the parent's root in its tags and a deadline of its own."""

    @resonate.register
    def top(ctx):
        return (yield ctx.detached("waits", 1).options(timeout=500)).id

    @resonate.register
    def waits(ctx, x):
        return (yield (yield ctx.promise(id="gate")))

    found = [resonate.options(timeout=60).run("top", top), resonate.promises.get("top.1").pending]
    detached = resonate.get("top.1")
    detached.done()
    settle(resonate, "gate", data='"late"')
    return [*found, detached.result(timeout=10)]


@program("6", gives=["top.2.1", 4, "top", "v1", "v2", "v1"])
def rpc_from_inside(resonate):
    """A function reached by ctx.rpc is the root of its own children, while its promise names the caller's; its version may be chosen."""
    first = resonate.register(lambda ctx: f"v{ctx.info.version}", name="many")
    resonate.register(lambda ctx: f"v{ctx.info.version}", name="many", version=2)

    @resonate.register
    def callee(ctx):
        return (yield ctx.run(here))

    @resonate.register
    def top(ctx):
        promise = yield ctx.begin_rpc("value", 4)
        found = [(yield ctx.rpc(callee)), (yield promise), promise.cid]
        return [*found, (yield ctx.rpc("many").options(version=1)), (yield ctx.rpc("many")), (yield ctx.run(first))]

    resonate.register(value)
    return top.run("top")


@program("6.1", gives=[[1, True, 1, 1], ["first", "first", "first"]])
def joined_steps(resonate):
    """A command yielded twice, and two commands of one id, are one step: the second one's function and arguments are ignored."""
    calls = []

    @resonate.register
    def twice(ctx):
        command = ctx.begin_run(lambda ctx: calls.append(1) or 1)
        first, second = (yield command), (yield command)
        return [(yield first), first == second, (yield second), len(calls)]

    @resonate.register
    def same(ctx):
        one = yield ctx.begin_run(value, "first").options(id="same")
        two = yield ctx.begin_run(value, "second").options(id="same")
        return [(yield one), (yield two), (yield ctx.run(value, "third").options(id="same"))]

    return [twice.run("a"), same.run("b")]


@program("6.1", gives=["shared", ["shared", "shared"]])
def a_promise_awaited_by_several(resonate):
    """A promise may be awaited any number of times, by its run and by another child of it."""

    @resonate.register
    def top(ctx):
        promise = yield ctx.begin_run(value, "shared")

        def waits(ctx):
            return [(yield promise), (yield promise)]

        other = yield ctx.begin_run(waits)
        return [(yield promise), (yield other)]

    return top.run("top")


@program("6.5", gives=["top.1", "top.2.1", True, 2, "top.4"])
def steps_that_are_not_durable(resonate):
    """A call with durable=False makes no promise, but takes a number and prefixes its children; its error is the very object."""
    error, calls = KeyError("same"), []

    def raises(ctx):
        calls.append(ctx.info.attempt)
        raise error

    def inner(ctx):
        return (yield ctx.run(here))

    @resonate.register
    def top(ctx):
        found = [(yield ctx.run(here).options(durable=False)), (yield ctx.run(inner).options(durable=False))]
        try:
            yield ctx.run(raises).options(durable=False, retry_policy=Constant(delay=0, max_retries=1))
        except KeyError as caught:
            found += [caught is error, len(calls)]
        return [*found, (yield ctx.run(here))]

    return top.run("top")


@program("6", gives=["lfi", "lfc", "rfi", "rfc", "typesafe", "Function", "lambda", "closure"])
def other_ways_to_call(resonate):
    """The short names, `typesafe`, registered Functions, lambdas and closures do as `run` and `rpc` with a plain function."""
    f, captured = resonate.register(value), "closure"

    @resonate.register
    def top(ctx):
        found = [(yield (yield ctx.lfi(value, "lfi"))), (yield ctx.lfc(value, "lfc")), (yield (yield ctx.rfi(value, "rfi")))]
        found += [(yield ctx.rfc("value", "rfc")), (yield from ctx.typesafe(ctx.run(value, "typesafe"))), (yield ctx.run(f, "Function"))]
        return [*found, (yield ctx.run(lambda ctx, x: x, "lambda")), (yield ctx.run(lambda ctx: captured))]

    return top.run("top")


class Dice:
    def __getattr__(self, name):
        return lambda *args, **kwargs: [name, *[each for each in args if each is not None]]


@program("6", gives=[["random"], ["randint", 1, 6], ["choice", ["a", "b"]], ["getrandbits", 8], ["expovariate", 1], ["betavariate", 1, 2],
                     ["randrange", 5, 1], ["randrange", 1, 9, 2], ["triangular", 0, 1], ["triangular", 1, 3, 2], 4, 2])  # fmt: skip
def random_numbers(resonate):
    """ctx.random asks the dependency `resonate:random`, and what it gave is recorded as a step."""

    @resonate.register
    def top(ctx):
        r, found = ctx.random, []
        for command in [r.random(), r.randint(1, 6), r.choice(["a", "b"]), r.getrandbits(8), r.expovariate(), r.betavariate(1, 2),
                        r.randrange(5), r.randrange(1, 9, 2), r.triangular(), r.triangular(1, 3, 2)]:  # fmt: skip
            found += [(yield command)]
        return found

    @resonate.register
    def seeded(ctx):
        return [(yield ctx.random.randrange(2, 10)), (yield ctx.random.randint(1, 9))]

    resonate.set_dependency("resonate:random", Dice())
    found = top.run("top")
    resonate.set_dependency("resonate:random", random.Random(1))
    return [*found, *seeded.run("seeded")]


@program("6", gives=["noon", True])
def a_clock_of_the_program(resonate):
    """ctx.time asks the dependency `resonate:time`."""

    class Clock:
        def time(self):
            return time.time()

        def strftime(self, format):
            return "noon"

    @resonate.register
    def top(ctx):
        return [(yield ctx.time.strftime("%H")), abs((yield ctx.run(lambda ctx: 5)) - 5) == 0]

    resonate.set_dependency("resonate:time", Clock())
    return top.run("top")


@program("6", gives=[[None, None, None, None], True, True, "1970"], differs={
    "top.3 deadline": (-5000, 0, "a sleep of less than nothing ends when it begins, not before")})  # fmt: skip
def sleeping_and_the_time(resonate):
    """ctx.sleep gives None when its time is over, zero and less return at once, only its id can be set; ctx.time records the time."""
    clock = []

    @resonate.register
    def top(ctx):
        slept = [(yield ctx.sleep(0.1)), (yield ctx.sleep(0)), (yield ctx.sleep(-5)), (yield ctx.sleep(0.01).options(id="nap"))]
        return [slept, (yield ctx.time.strftime("1970"))]

    @resonate.register
    def recorded(ctx):
        now = yield ctx.time.time()
        clock.append(abs(now - time.time()) < 10)

    begun = time.monotonic()
    slept, year = top.run("top")
    found = [slept, time.monotonic() - begun >= 0.1]
    local = type(resonate).local(log_level="CRITICAL")  # the time itself would differ between the two SDKs
    local.run("recorded", local.register(recorded.func))
    return [*found, clock[0], year]


@program("6", gives=["top", 1, "key", {"team": "sales"}, True, 1, "the dependency", "a default", None])
def what_a_context_tells(resonate):
    """A context tells its id, and in `info` the attempt, the key, the user's tags, the deadline in epoch seconds and the version."""
    resonate.set_dependency("db", "the dependency")

    @resonate.register
    def top(ctx):
        info, tags = ctx.info, {key: text for key, text in ctx.info.tags.items() if not key.startswith("resonate:")}
        found = [ctx.id, info.attempt, info.idempotency_key, tags, 50 < info.timeout - time.time() <= 60, info.version]
        return [*found, ctx.get_dependency("db"), ctx.get_dependency("none", "a default"), ctx.get_dependency("none")]

    return resonate.options(idempotency_key="key", tags={"team": "sales"}, timeout=60).run("top", top)


@program("6", gives=["yes", {"ok": True}, "own", None], differs={"mine create-key": ("top.3", "mine", "D-16")})
def promises_for_people(resonate):
    """ctx.promise is settled from outside with JSON text; its id, key, data and tags are as given, or the generated id's."""

    @resonate.register
    def top(ctx):
        first = yield (yield ctx.promise(id="approval", data={"ask": "publish?"}, tags={"team": "sales"}))
        second = yield (yield ctx.promise(idempotency_key="key"))
        third = yield (yield ctx.promise().options(id="mine", tags={"a": "b"}, timeout=30))
        return [first, second, third, (yield (yield ctx.promise(id="last")))]

    handle = top.begin_run("top")
    handle.done()
    for promise_id, data in {"approval": '"yes"', "top.2": '{"ok": true}', "mine": '"own"', "last": None}.items():
        settle(resonate, promise_id, data=data)
    return handle.result(timeout=10)


@program("6", gives=None, is_ordered=False)
def what_a_promise_is_told(resonate):
    """The data of ctx.promise is stored whatever it is, unless it is None."""

    @resonate.register
    def top(ctx):
        for number, data in enumerate([None, 0, "", [], False, {"a": [1, None]}, (1, 2)]):
            yield ctx.promise(id=f"p{number}", data=data).options(timeout=0.05)

    return top.run("top")


@program("6.2", gives=["top.1", "top.2", "top.3", "top.4", "top.5", "top.6", "own"], is_ordered=False)
def options_that_say_nothing(resonate):
    """An empty id says nothing in any call, nor what is false in the options of ctx.promise; of a sleep only the id counts."""

    @resonate.register
    def top(ctx):
        found = [(yield ctx.run(here).options(id="", tags={})), (yield ctx.rpc("here").options(id=""))]
        nothing = {"id": "", "tags": {}, "idempotency_key": ""}
        for command in [ctx.promise(**nothing), ctx.promise().options(**nothing, timeout=0)]:
            promise = yield command
            resonate.promises.resolve(promise.id)
            yield promise
            found += [promise.id]
        yield ctx.sleep(0.01).options(id="", tags={"a": "b"}, timeout=5, idempotency_key="k")
        yield ctx.sleep(0.01).options(id="own", tags={"a": "b"})
        return [*found, "top.5", "top.6", "own"]

    resonate.register(here)
    return top.run("top")


@program("7", gives=[None, "ResonateTimedoutError late"])
def promises_that_are_timers(resonate):
    """A promise whose tag `resonate:timeout` is true ends at its deadline with None, any other with an error."""

    @resonate.register
    def top(ctx):
        found = [(yield (yield ctx.promise(id="timer", tags={"resonate:timeout": "true"}).options(timeout=0.05)))]
        try:
            yield (yield ctx.promise(id="late", tags={"resonate:timeout": "false"}).options(timeout=0.05))
        except Exception as error:
            return [*found, error_text(error)]

    return top.run("top")


@program("9.4", gives=[
    "ResonateCanceledError: Promise c canceled", "Exception: {'why': 'no'}", "Exception: None", "Exception: plain words"])  # fmt: skip
def promises_refused_by_people(resonate):
    """A promise that was canceled or rejected from outside raises in the run that awaits it."""

    @resonate.register
    def top(ctx):
        found = []
        for promise_id in ["c", "why", "bare", "text"]:
            promise = yield ctx.promise(id=promise_id)
            try:
                yield promise
            except Exception as error:
                found.append(error_text(error))
        return found

    handle = top.begin_run("top")
    handle.done()
    settle(resonate, "c", "cancel")
    settle(resonate, "why", "reject", '{"why": "no"}')
    settle(resonate, "bare", "reject")
    settle(resonate, "text", "reject", '{"__error__": "plain words"}')
    return handle.result(timeout=10)


@program("6", gives=["by hand", "by hand"])
def promises_that_exist_already(resonate):
    """ctx.promise with the id and key of a promise that exists gives that promise, pending or settled."""
    resonate.promises.create("settled", FAR, ikey="settled")
    resonate.promises.resolve("settled", data='"by hand"')
    resonate.promises.create("pending", FAR, ikey="pending", tags={"made": "before"})

    @resonate.register
    def top(ctx):
        return [(yield (yield ctx.promise(id="settled"))), (yield (yield ctx.promise(id="pending", data="unused")))]

    handle = top.begin_run("top")
    handle.done()
    settle(resonate, "pending", data='"by hand"')
    return handle.result(timeout=10)


@program("9.4", gives="ResonateCanceledError: Promise top canceled", differs={"outcome": (
    "ResonateShutdownError: An unexpected store error has occurred, shutting down",
    "0.6.7 shuts the client down when a settlement is refused (contract 12); here no run but that one is touched")})  # fmt: skip
def a_run_canceled_from_outside(resonate):
    """Whoever waits for a run that was canceled gets ResonateCanceledError, and what its function returns later is dropped."""
    gate = threading.Event()
    top = resonate.register(lambda ctx: gate.wait(10), name="top")
    handle = top.begin_run("top")
    handle.done()
    resonate.promises.cancel("top")
    gate.set()
    return attempt(handle.result, timeout=10)


@program("2.3", gives=["once", "once", 1])
def launching_twice_side_by_side(resonate):
    """A run that is launched again while it goes on is joined, by run and by rpc."""
    calls, gate = [], threading.Event()
    slow = resonate.register(lambda ctx: calls.append(1) or (gate.wait(10) and "once"), name="slow")
    first, second = slow.begin_run("a"), slow.begin_rpc("a")
    first.done(), second.done()
    gate.set()
    return [first.result(timeout=10), second.result(timeout=10), len(calls)]


@program("2.3", gives=[True, "by hand", 0])
def a_run_over_a_promise_made_by_hand(resonate):
    """A launch under the id of a promise that somebody made by hand waits for it, and calls nothing."""
    calls = []
    f = resonate.register(lambda ctx: calls.append(1), name="f")
    resonate.promises.create("a", FAR, ikey="a")
    handle = f.begin_run("a")
    pending = not handle.done()
    settle(resonate, "a", data='"by hand"')
    return [pending, handle.result(timeout=10), len(calls)]


@program("2.3", gives=["ValueError: no", "ValueError: no", "ValueError: no", 1])
def a_failed_run_is_not_run_again(resonate):
    """A run that failed has failed for everybody who asks for it later."""
    calls = []

    @resonate.register
    def f(ctx):
        calls.append(1)
        raise ValueError("no")
        yield

    return [attempt(f.run, "a"), attempt(f.rpc, "a"), attempt(resonate.get("a").result), len(calls)]


@program("5", gives=["ValueError: no", "ValueError: no", "ValueError: no", "ValueError: no", True, False])
def handles_of_failures(resonate):
    """A handle raises the run's error each time, in its future and when awaited too."""

    @resonate.register
    def f(ctx):
        raise ValueError("no")
        yield

    handle = f.begin_run("a")

    async def awaited():
        return await resonate.get("a")

    found = [attempt(handle.result, timeout=10), attempt(handle.result), error_text(handle.future.exception(timeout=10))]
    return [*found, attempt(lambda: asyncio.run(awaited())), handle.done(), hasattr(handle, "cancel") or hasattr(handle, "then")]


@program("3", gives=["one", 2, "two", 2, 1, 7, "ValueError", "ValueError", "ValueError", "from outside"])
def a_registry_of_the_program(resonate):
    """A registry finds functions by name or by themselves, in a version or the latest, and may be shared by clients."""
    registry = Registry()
    registry.add(value, "one")
    registry.add(here, "two", 2)
    name, _, version = registry.get("two")
    found = [registry.get("one")[0], version, name, registry.latest("two"), registry.latest(value), registry.latest("nobody", 7)]
    found += [kind_of(registry.get, "nobody"), kind_of(registry.get, "two", 1), kind_of(registry.get, here, 1)]
    return [*found, Resonate.local(registry=registry, log_level="CRITICAL").run("a", "one", "from outside")]


@program("2.1", gives=["workers", "shared", ["p1"], 1, 2, 3])
def ways_to_make_a_client(resonate):
    """A client takes its group, process id, registry, dependencies, lease and number of workers."""
    registry, dependencies = Registry(), Dependencies()
    first = Resonate.local(dependencies, "workers", "ERROR", "p1", registry, 30, 2)
    first.set_dependency("db", "shared")
    second = Resonate(dependencies=dependencies, registry=registry, log_level=logging.CRITICAL, workers=100)
    first.register(lambda ctx: ctx.get_dependency("db"), name="f")
    found = [second.run("a", "f")]
    clients = [Resonate(), Resonate.local(workers=0), Resonate.local(log_level=50, ttl=1, workers=1)]
    numbers = [client.options().run("a", client.register(value), n) for n, client in enumerate(clients, 1)]
    return ["workers", *found, ["p1"], *numbers]


@program("6", gives=["top.1", 1, "top.1", {"team": "sales"}, True, 3, "top.2", 1, "key", {"team": "sales"}, True, 3])
def what_children_are_told(resonate):
    """A child's context tells its own id, attempt, key, user's tags, deadline and version, not those of its parent."""

    def told(ctx):
        tags = {key: text for key, text in ctx.info.tags.items() if not key.startswith("resonate:")}
        return [ctx.id, ctx.info.attempt, ctx.info.idempotency_key, tags, 20 < ctx.info.timeout - time.time() <= 30, ctx.info.version]

    @resonate.register
    def top(ctx):
        local = yield ctx.run(told).options(tags={"team": "sales"}, timeout=30)
        return local + (yield ctx.rpc("told").options(tags={"team": "sales"}, timeout=30, idempotency_key="key"))

    resonate.register(told, version=3)
    return resonate.options(tags={"top": "only"}).run("top", top)


@program("6", gives=[
    {"resonate:invoke": "poll://any@default", "resonate:parent": "top", "resonate:root": "top", "resonate:scope": "global", "t": "u"},
    {"resonate:parent": "top", "resonate:root": "top", "resonate:scope": "local"},
    {"resonate:invoke": "poll://any@default", "resonate:parent": "top", "resonate:root": "top", "resonate:scope": "global"},
    {"resonate:parent": "top", "resonate:root": "top", "resonate:scope": "local"}])  # fmt: skip
def tags_that_a_context_tells(resonate):
    """The tags of `info` are those of the promise, the system's too."""

    def tags(ctx):
        return dict(sorted(ctx.info.tags.items()))

    @resonate.register
    def top(ctx):
        found = [tags(ctx), (yield ctx.run(tags)), (yield ctx.rpc("tags"))]
        return [*found, (yield ctx.run(tags).options(durable=False))]

    resonate.register(tags)
    return resonate.options(tags={"t": "u"}).run("top", top)


@program("8", gives=5)
def a_promise_that_is_sent_to_a_worker(resonate):
    """A promise whose tag `resonate:invoke` is an address is sent there: so a function is called by a promise with a key of its own."""

    @resonate.register
    def top(ctx):
        record = {"func": "value", "args": [5], "kwargs": {}, "version": 1}
        return (yield (yield ctx.promise(id="p", data=record, tags={"resonate:invoke": "poll://any@default"})))

    resonate.register(value)
    handle = top.begin_run("top")
    return handle.result(timeout=2)


@program("14", gives=["[WARNING] [top] [top] 1 of 2", "[ERROR] [top] [top.1] from a step"])
def lines_of_the_log(resonate):
    """ctx.logger writes lines with level, run and id to standard error, from the client's level on."""
    written = io.StringIO()
    with contextlib.redirect_stderr(written):
        client = Resonate.local(log_level="WARNING")

        @client.register
        def top(ctx):
            ctx.logger.info("unseen")
            ctx.logger.warning("%s of %s", 1, 2)
            yield ctx.run(lambda ctx: ctx.logger.error("from a step"))

        top.run("top")
    return [line.partition("] ")[2] for line in written.getvalue().splitlines()]
