"""Options, idempotency keys, tags, targets, deadlines and encoders (contract 4, 7, 8 and 9.3)."""

from __future__ import annotations

import json
import time

from parity.harness import ANYTHING, CODES, attempt, error_text, here, kind_of, program, settle, value

from resonate.options import Options
from resonate.retry_policies import Never


@program("4", gives=["a", "b", "c"])
def options_of_a_client(resonate):
    """`options` gives a client with other options and leaves the first as it is; tags replace tags."""
    resonate.register(value)
    tagged = resonate.options(tags={"team": "sales", "resonate:scope": "mine"}, timeout=100, target="workers")
    retagged = tagged.options(tags={"only": "this"})
    return [resonate.run("a", value, "a"), tagged.run("b", value, "b"), retagged.run("c", value, "c")]


@program("3.1", gives=["a", "b"], differs={"b tags": (
    {"one": "1", "resonate:invoke": "poll://any@default", "resonate:parent": "b", "resonate:root": "b", "resonate:scope": "global"},
    {"resonate:invoke": "poll://any@default", "resonate:parent": "b", "resonate:root": "b", "resonate:scope": "global"},
    "D-15")})  # fmt: skip
def options_of_a_function(resonate):
    """`Function.options` gives a Function with other options; the one that is shared is not changed."""
    f = resonate.register(value)
    return [f.options(tags={"one": "1"}).run("a", "a"), f.run("b", "b")]


@program("4", gives=[1, 2, 3, 4, 5])
def keys_of_runs(resonate):
    """The idempotency key is the id, a given text, what a function of the id gives, or none; None keeps the default."""
    resonate.register(value)
    keys = [None, "own", "{}!".format, lambda _: None]
    given = [resonate.options(idempotency_key=key).run(f"r{n}", value, n) for n, key in enumerate(keys, 1)]
    return [*given, resonate.options(idempotency_key="own").rpc("r5", "value", 5)]


@program("2.3", gives=["first", "ResonateStoreError 40900", "ResonateStoreError 40900"], differs={
    "outcome": (["first", "ResonateStoreError 40399", "ResonateStoreError 40399"], CODES)})  # fmt: skip
def a_different_key_is_refused(resonate):
    """Launching an id again with another idempotency key is refused at once."""
    resonate.register(value)
    other = resonate.options(idempotency_key="other")
    return [resonate.run("a", value, "first"), attempt(other.begin_run, "a", value), attempt(other.begin_rpc, "a", "value")]


@program("4", gives=["kid", "top.2", "top.3", 4, 5])
def options_of_steps(resonate):
    """Steps take ids, keys, tags and deadlines of their own, in one call of `options` or several; they inherit nothing."""
    resonate.register(value)

    @resonate.register
    def top(ctx):
        first = yield ctx.run(here).options(id="kid", tags={"a": "b"}).options(idempotency_key="{}!".format, timeout=20)
        second = yield ctx.run(here).options(idempotency_key="text", tags={"resonate:root": "mine", "c": "d"})
        third = yield ctx.run(here).options(idempotency_key=lambda _: None)
        fourth = yield ctx.rpc("value", 4).options(id="remote", tags={"e": "f"}, idempotency_key="key", timeout=20)
        fifth = yield (yield ctx.begin_rpc("value", 5).options(id="begun"))
        return [first, second, third, fourth, fifth]

    return resonate.options(tags={"not": "inherited"}, timeout=60).run("top", top)


@program("4", gives=["top.1", "top.2", "top.3", "top.4"])
def targets(resonate):
    """A target is a group's name or an address; a name stands for any worker of that group."""
    resonate.register(here)

    @resonate.register
    def top(ctx):
        found = []
        for target in ["workers", "poll://any@workers", "poll://uni@workers/w1", "http://host:1/path"]:
            found += [(yield ctx.rpc("here").options(target=target))]
        return found

    return resonate.options(target="http://top:1").run("top", top)


@program("7", gives=["top.1", "top.2", "top.3", None, "top.5"], is_ordered=False)
def deadlines_of_children(resonate):
    """A child's deadline is its own or its parent's, whichever comes first; a detached run's is not clamped."""
    resonate.register(here)

    @resonate.register
    def top(ctx):
        found = [(yield ctx.run(here).options(timeout=20)), (yield ctx.run(here).options(timeout=500)),
                 (yield ctx.rpc("here").options(timeout=500)), (yield ctx.sleep(0.01))]  # fmt: skip
        return [*found, (yield (yield ctx.detached("here").options(timeout=500)))]

    return resonate.options(timeout=60).run("top", top)


@program("7", gives=["ResonateTimedoutError top.1", "ResonateTimedoutError top.2", "ResonateTimedoutError top.3", "went on"])
def steps_that_time_out(resonate):
    """timeout=0 is honoured: the step is over at once, and a promise that nobody settles is over at its deadline."""
    resonate.register(value)

    @resonate.register
    def top(ctx):
        found = []
        promise = yield ctx.promise().options(timeout=0.1)
        for command in [promise, ctx.run(value).options(timeout=0), ctx.rpc("value").options(timeout=0)]:
            try:
                found.append((yield command))
            except Exception as error:
                found.append(error_text(error))
        return [*found, "went on"]

    return top.run("top")


@program("7", gives=["ResonateTimedoutError a", "ResonateTimedoutError a", 1])
def a_run_that_times_out(resonate):
    """A plain function is not interrupted at its deadline, but what it returns afterwards is dropped."""
    ended = []

    @resonate.register
    def slow(ctx):
        time.sleep(0.8)
        ended.append(1)

    late = resonate.options(timeout=0.4)
    found = [attempt(late.run, "a", slow), attempt(late.run, "a", slow)]
    time.sleep(0.8)
    return [*found, len(ended)]


@program("7", gives=["ResonateTimedoutError top"], is_ordered=False)
def a_sleep_beyond_the_deadline(resonate):
    """A sleep that would last longer than the run ends with the run, which times out."""

    @resonate.register
    def top(ctx):
        yield ctx.sleep(100)
        return "awake"

    return [attempt(resonate.options(timeout=0.3).run, "top", top)]


@program("4", gives="zz", differs={"zz create-key": ("top.1", "zz", "D-16")})
def an_id_for_a_promise(resonate):
    """The idempotency key of a promise follows its id."""

    @resonate.register
    def top(ctx):
        promise = yield ctx.promise().options(id="zz")
        yield promise
        return promise.id

    handle = top.begin_run("top")
    handle.done()
    settle(resonate, "zz")
    return handle.result(timeout=10)


class Shouting:
    def encode(self, obj):
        return None if obj is None else f"!{obj}"

    def decode(self, obj):
        return None if obj is None else f"read {obj}"


@program("9.3", gives=["read !a", "read !b", "read !c"])
def an_encoder_of_the_user(resonate):
    """An encoder that is given is used for the param and the result of that call alone."""
    resonate.register(value)
    loud = resonate.options(encoder=Shouting())

    @resonate.register
    def top(ctx):
        first = yield ctx.run(value, "b").options(encoder=Shouting())
        promise = yield ctx.promise(id="asked", data="data").options(encoder=Shouting())
        return [first, (yield promise)]

    found = [loud.run("a", value, "a")]
    handle = top.begin_run("top")
    handle.done()
    settle(resonate, "asked", data="!c")
    return [*found, *handle.result(timeout=10)]


class Marked:
    """Writes JSON that everybody reads, and marks what it reads."""

    def encode(self, obj):
        return json.dumps(obj)

    def decode(self, obj):
        return None if obj is None else ["read", json.loads(obj)]


@program("9.3", gives=["read", 3], differs={
    "outcome": (3, "D-13"), "top value": (3, ["read", 3], "D-13"), "top value-exact": (3, ["read", 3], "D-13")})  # fmt: skip
def an_encoder_for_a_remote_step(resonate):
    """The encoder that is given to a remote step is used for it."""
    resonate.register(value)

    @resonate.register
    def top(ctx):
        return (yield ctx.rpc("value", 3).options(encoder=Marked()))

    return top.run("top")


@program("9.3", gives=["read", 3])
def an_encoder_for_a_remote_step_begun(resonate):
    """The encoder that is given to a remote step which is begun reads what its worker wrote."""
    resonate.register(value)

    @resonate.register
    def top(ctx):
        return (yield (yield ctx.begin_rpc("value", 3).options(encoder=Marked())))

    return top.run("top")


@program("9.3", gives=["read", 3], differs={"outcome": (3, "D-13")})
def an_encoder_for_an_rpc(resonate):
    """The encoder that is given to a client writes the param of an rpc and reads its result."""
    resonate.register(value)
    return resonate.options(encoder=Marked()).rpc("a", "value", 3)


@program("15", gives="REJECTED", differs={"outcome": ("the process ended with code 1", "D-13")})
def an_encoder_that_the_worker_lacks(resonate):
    """What a worker cannot read rejects that promise, and nothing else."""
    resonate.register(value)
    handle = resonate.options(encoder=Shouting()).begin_rpc("a", "value", 3)
    attempt(handle.result, timeout=5)
    return resonate.promises.get("a").state


@program("7", gives={"inf": "OverflowError", "nan": "ValueError", "true": 1})
def timeouts_that_are_none(resonate):
    """A timeout must be a finite number of seconds, zero or more."""
    f = resonate.register(value)
    wrong = {name: kind_of(lambda given=float(name): resonate.options(timeout=given).run("a", f)) for name in ["inf", "nan"]}
    return wrong | {"true": resonate.options(timeout=True).run("b", f, 1)}


@program("4", gives=["v2", "v1", "v2"], differs={"outcome": (["v2", "v2", "v2"], "D-14"), "b param": (
    {"func": "many", "args": [], "kwargs": {}, "version": 2}, {"func": "many", "args": [], "kwargs": {}, "version": 1}, "D-14"),
    "b param-exact": (ANYTHING, ANYTHING, "D-14"), "b value": ("v2", "v1", "D-14"), "b value-exact": ("v2", "v1", "D-14")})  # fmt: skip
def the_version_of_a_name(resonate):
    """`options(version=)` counts also for a name that is called by rpc."""
    resonate.register(lambda ctx: "v1", name="many")
    resonate.register(lambda ctx: "v2", name="many", version=2)
    return [resonate.rpc("a", "many"), resonate.options(version=1).rpc("b", "many"), resonate.options(version=2).rpc("c", "many")]


@program("4", gives={
    "defaults": [True, None, None, [], "default", {}, 31536000, 0], "merged": [5, {"c": "d"}, 3, True],
    "frozen": "FrozenInstanceError", "wrong": ["TypeError", "ValueError", "ValueError", "TypeError"]})  # fmt: skip
def records_of_options(resonate):
    """Options are frozen records with defaults, checked when made, and merged field by field."""
    first = Options()
    merged = Options(tags={"a": "b"}, version=3).merge(timeout=5, tags={"c": "d"}, durable=None)
    return {
        "defaults": [first.durable, first.encoder, first.id, list(first.non_retryable_exceptions), first.target, dict(first.tags),
                     first.timeout, first.version],
        "merged": [merged.timeout, merged.tags, merged.version, merged.durable], "frozen": kind_of(setattr, first, "timeout", 1),
        "wrong": [kind_of(Options, **wrong) for wrong in [{"tags": 1}, {"timeout": -1}, {"version": -1}, {"unknown": 1}]],
    }  # fmt: skip


@program("4", gives=["TypeError", "TypeError", [True]])
def options_that_functions_give(resonate):
    """A function given as a key gets the promise's id, one given as a policy the plain function that is called."""
    asked = []

    def body(ctx):
        raise TypeError("again")

    f = resonate.register(body)

    def policy(func):
        asked.append(func is body)
        return Never()

    @resonate.register
    def top(ctx):
        yield ctx.run(f).options(idempotency_key=lambda promise_id: f"key of {promise_id}", retry_policy=policy)

    client = resonate.options(retry_policy=policy, idempotency_key=lambda promise_id: f"key of {promise_id}")
    return [kind_of(top.run, "top"), kind_of(client.run, "a", f), sorted(set(asked))]


@program("4", gives=["v1", "v1", "v2", "v2"])
def options_of_a_function_keep_its_version(resonate):
    """A Function calls the version that it was registered with, whichever others there are."""
    first = resonate.register(lambda ctx: "v1", name="many")
    second = resonate.register(lambda ctx: "v2", name="many", version=2)
    return [first.run("a"), first.options(timeout=60).rpc("b"), second.begin_run("c").result(), second.begin_rpc("d").result(timeout=10)]
