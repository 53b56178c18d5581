"""Wrong usage: what is refused, with which words, and what it leaves alive (contract 2.1, 3, 4, 6.1, 12 and defects of 0.6.7)."""

from __future__ import annotations

import functools
import threading

from parity.harness import ANYTHING, FAR, attempt, eventually, here, kind_of, program, refusal, settle, value

from resonate import Promise, Resonate
from resonate.retry_policies import Never
from resonate.stores import LocalStore

DIED = "the process ended with code 1"
SHUT = "0.6.7 shuts the client down when the store refuses a step (contract 12); here the run fails"
WORDS = "the error is one of its own class, and says what may be yielded"
FUNCTION = "ValueError: provided callable must be a function"


@program("2.1", gives={
    "dependencies": "TypeError: dependencies", "group": "TypeError: group", "log_level": "TypeError: log_level", "pid": "TypeError: pid",
    "registry": "TypeError: registry", "ttl": "TypeError: ttl", "message_source": "TypeError: message_source", "store": "TypeError: store",
    "level": "ValueError", "source alone": "ValueError", "store alone": "accepted", "positional": "TypeError"}, differs={
    "outcome store alone": ("TypeError", "a LocalStore makes its message source itself")})  # fmt: skip
def construction(resonate):
    """Arguments of a client are checked one by one, and the error names the argument."""
    wrong = {"dependencies": 1, "group": None, "log_level": 1.5, "pid": 5, "registry": {}, "ttl": "10", "message_source": 1, "store": 1}
    found = {name: refusal(Resonate, **{name: given}) for name, given in wrong.items()}
    found["level"] = kind_of(Resonate, log_level="LOUD")
    found["source alone"] = kind_of(Resonate, message_source=LocalStore().message_source("g", "i"))
    found["store alone"] = kind_of(lambda: Resonate(store=LocalStore()) and "accepted")
    found["positional"] = kind_of(Resonate, None)
    return found


@program("15", gives=["message_source got int", "store got int", "tags must be `dict`, got str"], differs={
    "outcome": (["message_source got NoneType", "store got NoneType", "x"], "D-2")})  # fmt: skip
def words_about_arguments(resonate):
    """The error about an argument says what it was."""
    told = []

    @resonate.register
    def top(ctx):
        told.append(attempt(ctx.promise, tags="x").removeprefix("TypeError: "))
        return
        yield

    top.run("top")
    texts = [attempt(Resonate, message_source=1), attempt(Resonate, store=1)]
    return [f"{name} {text[text.index('got') :]}" for name, text in zip(["message_source", "store"], texts, strict=True)] + told


@program("3", gives=["TypeError: name", "TypeError: version", FUNCTION, FUNCTION, FUNCTION,
    "ValueError: name required when registering a lambda function", "ValueError: provided version must be greater than zero",
    "ValueError: function value already registered", "ValueError: function other already registered",
    "ValueError: function value already registered"])  # fmt: skip
def registration(resonate):
    """What cannot be registered is refused: no plain function, no name, no version, a name or a function that is taken."""

    def other(ctx):
        return 1

    resonate.register(value)
    resonate.register(other, name="here")
    return [
        refusal(resonate.register, here, name=5), refusal(resonate.register, here, version="1"), attempt(resonate.register, print),
        attempt(resonate.register, functools.partial(here)), attempt(resonate.register, "x".upper),
        attempt(resonate.register, lambda ctx: 1), attempt(resonate.register, here, version=0),
        attempt(resonate.register, lambda ctx: 1, name="value"), attempt(resonate.register, other),
        attempt(resonate.register, value, name="value", version=2),
    ]  # fmt: skip


@program("2.3", gives=["TypeError: id", "TypeError: func", "TypeError: id", "TypeError",
                       "ValueError: function nothing not found in registry",
                       "ValueError: function here not found in registry", "ValueError: function here not found in registry",
                       "ValueError: function value version 2 not found in registry",
                       "ValueError: function value version 2 not found in registry", "an empty id"])  # fmt: skip
def launching(resonate):
    """An id must be text, and a function registered: by name, by itself, in the version asked for."""
    resonate.register(value)
    return [
        refusal(resonate.run, 5, value), refusal(resonate.run, "a", 5), refusal(resonate.get, 5), kind_of(resonate.set_dependency, 5, 1),
        attempt(resonate.run, "a", "nothing"), attempt(resonate.run, "a", here), attempt(resonate.rpc, "a", here),
        attempt(resonate.options(version=2).run, "a", value), attempt(resonate.options(version=2).run, "a", "value"),
        resonate.run("", value, "an empty id"),
    ]  # fmt: skip


@program("4", gives={
    "encoder": "TypeError: encoder", "idempotency_key": "TypeError: idempotency_key", "retry_policy": "TypeError: retry_policy",
    "tags": "TypeError: tags", "target": "TypeError: target", "timeout": "TypeError: timeout", "version": "TypeError: version",
    "unknown": ["TypeError", "TypeError", "TypeError", "TypeError"], "positional": "TypeError",
    "negative version": "ValueError: version must be greater than or equal to zero",
    "negative timeout": "ValueError: timeout must be greater than or equal to zero"})  # fmt: skip
def options_of_the_wrong_kind(resonate):
    """Options are checked where they are given, and the error names the option."""
    wrong = {"encoder": 1, "idempotency_key": 1, "retry_policy": 1, "tags": "x", "target": 1, "timeout": "1", "version": "1"}
    found = {name: refusal(resonate.options, **{name: given}) for name, given in wrong.items()}
    found["unknown"] = [kind_of(resonate.options, **{name: None}) for name in ["durable", "id", "non_retryable_exceptions", "x"]]
    found["positional"] = kind_of(resonate.options, "poll://any@workers")
    return found | {"negative version": attempt(resonate.options, version=-1), "negative timeout": attempt(resonate.options, timeout=-1)}


@program("4", gives={
    "durable": "TypeError: durable", "id": "TypeError: id", "non_retryable_exceptions": "TypeError: non_retryable_exceptions",
    "timeout": "ValueError: timeout", "tags": "TypeError: tags", "local": ["TypeError", "TypeError"],
    "remote": ["TypeError", "TypeError", "TypeError"]})  # fmt: skip
def options_of_steps_of_the_wrong_kind(resonate):
    """A step's options are checked inside the generator, where they are given."""

    @resonate.register
    def top(ctx):
        wrong = {"durable": 1, "id": 1, "non_retryable_exceptions": ValueError, "timeout": -1, "tags": 1}
        found = {name: refusal(ctx.run(value).options, **{name: given}) for name, given in wrong.items()}
        found["local"] = [kind_of(ctx.run(value).options, **{name: None}) for name in ["target", "version"]]
        remote = ["durable", "retry_policy", "non_retryable_exceptions"]
        found["remote"] = [kind_of(ctx.rpc("value").options, **{name: None}) for name in remote]
        return found
        yield

    return top.run("top")


@program("6", gives=[FUNCTION, FUNCTION, FUNCTION, FUNCTION, "ValueError: function value not found in registry",
                     "ValueError: function value not found in registry", "TypeError", "TypeError"])  # fmt: skip
def calls_of_the_wrong_kind(resonate):
    """Wrong calls of ctx raise where they are made, inside the generator."""

    @resonate.register
    def top(ctx):
        return [
            attempt(ctx.run, "value"), attempt(ctx.run, "x".upper), attempt(ctx.begin_run, functools.partial(value)),
            attempt(ctx.run, print), attempt(ctx.rpc, value), attempt(ctx.detached, value),
            kind_of(ctx.sleep, "1"), kind_of(ctx.get_dependency, 5),
        ]  # fmt: skip
        yield

    return top.run("top")


@program("6.2", gives=["top.1", "top.2", "top.3"])
def refused_calls_take_no_number(resonate):
    """A call of ctx that was refused has made no child, so the next one's number does not skip."""

    @resonate.register
    def top(ctx):
        found = [(yield ctx.run(here))]
        attempt(ctx.promise, id=5)
        attempt(ctx.promise, tags=5)
        attempt(ctx.sleep, "1")
        attempt(ctx.rpc, value)
        found += [(yield ctx.run(here))]
        attempt(ctx.run, "value")
        return [*found, (yield ctx.run(here))]

    return top.run("top")


@program("6.1", gives="NotDurable", differs={
    "outcome": ("AssertionError", WORDS), "top value": ({"__error__": "Yielded must be an RFI."}, ANYTHING, WORDS),
    "top value-exact": (ANYTHING, ANYTHING, WORDS)})  # fmt: skip
def yielding_something_else(resonate):
    """A generator that yields what is no command fails, and nothing is thrown into it."""

    @resonate.register
    def top(ctx):
        try:
            yield 5
        except Exception:
            return "thrown"

    return kind_of(top.run, "top")


@program("15", gives="NotDurable", differs={"outcome": (DIED, "D-3")})
def awaiting_a_promise_of_another_run(resonate):
    """A Promise that belongs to another run fails the run that yields it."""

    @resonate.register
    def top(ctx):
        return (yield Promise("x", "y"))

    return kind_of(top.run, "top")


@program("15", gives="ValueError", differs={"outcome": (DIED, "D-3")})
def rpc_to_nobody(resonate):
    """A run whose function nobody knows fails, and the process goes on."""
    return kind_of(resonate.begin_rpc("a", "unknown").result, timeout=2)


@program("8", gives=[[1], 2, 3])
def an_invocation_by_hand(resonate):
    """A promise that another SDK made for a function is run: the record needs `func` and `version`, no more."""
    resonate.register(lambda ctx, *args, **kwargs: [*args] or kwargs.get("x", 3), name="f")
    resonate.start()
    params = [
        '{"func": "f", "args": [1], "kwargs": {}, "version": 1}',
        '{"func": "f", "kwargs": {"x": 2}, "version": 1}',
        '{"func": "f", "version": 1}',
    ]
    found = []
    for number, data in enumerate(params):
        resonate.promises.create(f"p{number}", FAR, ikey=f"p{number}", data=data, tags={"resonate:invoke": "poll://any@default"})
        found.append(resonate.get(f"p{number}").result(timeout=10))
    return found


@program("15", gives=["RESOLVED", "REJECTED", "REJECTED", True], differs={"outcome": (DIED, "D-3")})
def invocations_that_lack_something(resonate):
    """A promise that asks for a function in no version means the latest; one that cannot be read is rejected, and the process goes on."""
    resonate.register(value)
    resonate.start()
    params, states = ['{"func": "value"}', '{"func": ', None], []
    for number, data in enumerate(params):
        resonate.promises.create(f"p{number}", FAR, ikey=f"p{number}", data=data, tags={"resonate:invoke": "poll://any@default"})
        eventually(lambda promise_id=f"p{number}": resonate.promises.get(promise_id).completed)
        states.append(resonate.promises.get(f"p{number}").state)
    return [*states, resonate.run("b", value, True)]


@program("15", gives=["TypeError: id", "TypeError: idempotency_key", "timed out"], differs={
    "outcome": (["TypeError: id", "TypeError: idempotency_key", "timeout must be `float`, got float"], "D-1"),
    "timed state": (None, "REJECTED_TIMEDOUT", "D-1")})  # fmt: skip
def arguments_of_ctx_promise(resonate):
    """ctx.promise takes a timeout in seconds; what is of the wrong kind is refused with words."""
    told = []

    @resonate.register
    def top(ctx):
        told.extend([refusal(ctx.promise, id=5), refusal(ctx.promise, idempotency_key=5)])
        try:
            promise = yield ctx.promise(id="timed", timeout=0.05)
            yield promise
        except TypeError as error:
            told.append(str(error))
        except Exception:
            told.append("timed out")

    top.run("top")
    return told


@program("15", gives=[5], differs={"outcome": ([{"py/object": "builtins.coroutine"}], "D-18"), "a value": ({}, 5, "D-18"),
                                   "a value-exact": ({"py/object": "builtins.coroutine"}, 5, "D-18")})  # fmt: skip
def an_async_function(resonate):
    """A durable function may be an `async def`."""

    @resonate.register
    async def f(ctx):
        return 5

    return [resonate.options(retry_policy=Never()).run("a", f)]


@program("15", gives="top.1", differs={"outcome": ("<list_iterator object…", "D-17"), "top value": ({}, "top.1", "D-17"),
                                       "top value-exact": (ANYTHING, "top.1", "D-17"),
                                       "top.1 state": (None, "RESOLVED", "D-17")})  # fmt: skip
def a_decorated_generator(resonate):
    """A generator behind a decorator that hides its kind is driven as one."""

    def hides(func):
        @functools.wraps(func)
        def wrapper(*args, **kwargs):
            return func(*args, **kwargs)

        return wrapper

    @resonate.register
    @hides
    def top(ctx):
        return (yield ctx.run(here))

    return top.run("top")


@program("12", gives="stale")
def a_step_that_is_done_already(resonate):
    """A value that is stored under a step's id counts as the step's, and its function is not called."""
    resonate.promises.create("top.1", FAR, ikey="top.1")
    resonate.promises.resolve("top.1", ikey="top.1", data='"stale"')

    @resonate.register
    def top(ctx):
        return (yield ctx.run(lambda ctx: "fresh"))

    return top.run("top")


@program("6.1", gives=["first", "first"])
def a_step_shared_by_two_runs(resonate):
    """Two runs that give a step the same id share its outcome, as two steps of one run do."""
    resonate.register(value)

    @resonate.register
    def one(ctx):
        return (yield ctx.run(value, "first").options(id="shared"))

    @resonate.register
    def two(ctx):
        return (yield ctx.run(value, "second").options(id="shared"))

    return [one.run("one"), two.run("two")]


@program("12", gives="ResonateStoreError 40900", differs={
    "outcome": ("ResonateShutdownError: An unexpected store error has occurred, shutting down", SHUT),
    "top state": ("PENDING", "REJECTED", SHUT)})  # fmt: skip
def a_step_whose_id_is_taken(resonate):
    """A step whose promise exists under another key fails."""
    resonate.promises.create("top.1", FAR, ikey="another")

    @resonate.register
    def top(ctx):
        return (yield ctx.run(here))

    handle = top.begin_run("top")
    return attempt(handle.result, timeout=5)


@program("12", gives=[None, 1, None, None, 2], differs={
    "outcome": (["RuntimeError: cannot join thread before it is started", 1, None, None,
                 "RuntimeError: threads can only be started once"], "D-8"),
    "b state": (None, "RESOLVED", "D-8")})  # fmt: skip
def stopping(resonate):
    """A client may be stopped before it was started, twice, and used again."""
    unused = attempt(Resonate().stop)
    resonate.register(value)
    used = resonate.run("a", value, 1)
    return [unused, used, attempt(resonate.stop), attempt(resonate.stop), attempt(resonate.run, "b", value, 2)]


@program("12", gives=[None, None, 1])
def starting_twice(resonate):
    """`start` may be called again while the client runs, and is not needed."""
    resonate.register(value)
    return [resonate.start(), resonate.start(), resonate.run("a", value, 1)]


@program("12", gives="ResonateShutdownError", differs={"outcome": ("TimeoutError", "D-8")})
def waiting_for_a_client_that_stops(resonate):
    """Whoever waits for a run of a client that is stopped is told so."""
    client = Resonate.local(log_level="CRITICAL")
    client.register(lambda ctx: (yield ctx.sleep(60)), name="f")
    handle = client.begin_run("a", "f")
    handle.done()
    stop = threading.Thread(target=client.stop, daemon=True)
    stop.start()
    stop.join(2)
    return kind_of(handle.result, timeout=0.5)


@program("15", limit_s=4, gives=1, differs={"outcome": ("no end within 4 s", "D-22")})
def a_run_inside_a_step(resonate):
    """A function may launch and wait for another run, whatever the number of workers."""
    client = Resonate.local(workers=1, log_level="CRITICAL")
    client.register(value)
    outer = client.register(lambda ctx: client.run("inner", value, 1), name="outer")
    return outer.run("outer")


@program("15", gives=["poll://any@workers", "poll://any@default", "poll://any@elsewhere"], differs={
    "outcome": (["poll://any@default", "poll://any@default", "poll://any@elsewhere"], "D-9")})  # fmt: skip
def the_group_of_a_client(resonate):
    """A run goes to the group of its client unless told otherwise, a remote step to the group `default`."""
    client = Resonate.local(group="workers", log_level="CRITICAL")
    client.register(here)

    @client.register
    def top(ctx):
        yield ctx.rpc("here")

    top.run("top")
    client.options(target="elsewhere").run("other", here)
    return [client.promises.get(promise_id).tags["resonate:invoke"] for promise_id in ["top", "top.1", "other"]]


@program("6.3", gives=[True, None], is_ordered=False)
def an_unawaited_promise_holds_its_run(resonate):
    """A run that made a promise and does not await it ends when somebody has settled it."""

    @resonate.register
    def top(ctx):
        yield ctx.promise(id="gate")

    handle = top.begin_run("top")
    pending = not handle.done()
    settle(resonate, "gate")
    return [pending, handle.result(timeout=10)]
