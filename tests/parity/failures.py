"""Errors, retries and what ends them (contract 9.4 and 10)."""

from __future__ import annotations

import json
import pickle

from parity.harness import ANYTHING, FAR, attempt, error_text, kind_of, program

from resonate.errors import ResonateCanceledError, ResonateError, ResonateShutdownError, ResonateStoreError, ResonateTimedoutError
from resonate.retry_policies import Constant, Exponential, Linear, Never

TOO_MANY = "a TypeError of the call itself, raised before a line of the function ran, is not retried: no attempt will do better"


class Plain(Exception):
    pass


class Coded(Exception):
    def __init__(self, text):
        super().__init__(text)
        self.code = 7


class Pair(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a}")
        self.b = b


def raising(errors):
    """A function that raises one error after the other, then returns how often it was called."""
    left = list(errors)

    def body(ctx, *args):
        if left:
            raise left.pop(0)
        return ctx.info.attempt

    return body


@program("9.4", gives=[["ValueError", ["x", 1]], ["KeyError", ["k"]], ["ZeroDivisionError", ["division by zero"]], ["Plain", []],
                       ["Plain", ["two", "args"]], ["UnicodeDecodeError", ["utf-8", "b'\\xff'", 0, 1, "bad"]]])  # fmt: skip
def errors_keep_type_and_arguments(resonate):
    """An error reaches whoever waits with its type and arguments, builtin or not."""
    once = resonate.options(retry_policy=Never())
    errors = [ValueError("x", 1), KeyError("k"), ZeroDivisionError("division by zero"), Plain(), Plain("two", "args"),
              UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad")]  # fmt: skip
    found = []
    for number, error in enumerate(errors):
        f = resonate.register(raising([error]), name=f"f{number}")
        try:
            once.run(f"r{number}", f)
        except Exception as caught:
            found.append([type(caught).__name__, [str(each) if isinstance(each, bytes) else each for each in caught.args]])
    return found


@program("9.4", gives=["Coded: text", 7, False, "ValueError: inner"])
def errors_lose_cause_and_identity(resonate):
    """The error of a durable step is a decoded copy: attributes set by its constructor are there, its cause is not."""
    error = Coded("text")

    def chained(ctx):
        raise error from ValueError("inner")

    @resonate.register
    def top(ctx):
        try:
            yield ctx.run(chained).options(retry_policy=Never())
        except Coded as caught:
            return [error_text(caught), caught.code, caught is error, error_text(error.__cause__)]

    return top.run("top")


@program("9.4", gives=["Pair: 1", 2], differs={"outcome": ("the process ended with code 1", "D-4")})
def an_error_with_two_arguments(resonate):
    """An error whose constructor takes other arguments than its `args` crosses the boundary too."""
    f = resonate.register(raising([Pair(1, 2)]), name="f")
    try:
        resonate.options(retry_policy=Never()).run("a", f)
    except Pair as caught:
        return [error_text(caught), caught.b]


@program("6", gives=["caught ValueError: no", "top.2", "finally"])
def errors_are_thrown_into_generators(resonate):
    """A failed step is raised where it was yielded, and the generator may catch it and go on."""

    def no(ctx):
        raise ValueError("no")

    @resonate.register
    def top(ctx):
        found = []
        try:
            yield ctx.run(no).options(retry_policy=Never())
        except ValueError as error:
            found.append(f"caught {error_text(error)}")
        finally:
            found.append((yield ctx.run(lambda ctx: ctx.id)))
            found.append("finally")
        return found

    return top.run("top")


@program("10.2", gives={"Constant": 3, "Linear": 3, "Exponential": 3, "Never": "Plain: 0", "callable": 3, "exhausted": "Plain: 2"})
def retries_by_policy(resonate):
    """A plain function is called again as its policy says, and the last error counts when the policy gives up."""
    two = [Plain("0"), Plain("1")]
    policies = {
        "Constant": Constant(delay=0.01), "Linear": Linear(delay=0.01), "Exponential": Exponential(delay=0.01), "Never": Never(),
        "callable": lambda func: Constant(delay=0), "exhausted": Constant(delay=0.01, max_retries=1),
    }  # fmt: skip

    @resonate.register
    def top(ctx):
        found = {}
        for name, policy in policies.items():
            errors = [Plain("1"), Plain("2"), Plain("3")] if name == "exhausted" else two
            try:
                found[name] = yield ctx.run(raising(errors)).options(retry_policy=policy)
            except Plain as error:
                found[name] = error_text(error)
        return found

    return top.run("top")


@program("10.2", gives=[3, "Plain: again", 1])
def retries_of_a_run(resonate):
    """The policy given to a client counts for the run itself; a generator is not retried unless a policy is given."""
    resonate.register(raising([Plain(), Plain()]), name="plain")
    calls = []

    @resonate.register
    def composed(ctx):
        calls.append(1)
        yield ctx.run(lambda ctx: None)
        raise Plain("again")

    quick = resonate.options(retry_policy=Constant(delay=0.01, max_retries=5))
    return [quick.run("a", "plain"), attempt(composed.run, "b"), len(calls)]


@program("10.2", gives=[["top", 3], 1], differs={
    "outcome": ([["top", 3], 3], "D-5"), "top.2 state": ("RESOLVED", None, "D-5"), "top.3 state": ("RESOLVED", None, "D-5")})  # fmt: skip
def retries_of_a_generator(resonate):
    """Each attempt of a generator counts its children from 1, so that a step that is done is not run again."""
    steps = []

    @resonate.register
    def top(ctx):
        yield ctx.run(lambda ctx: steps.append(1))
        if ctx.info.attempt < 3:
            raise Plain
        return [ctx.id, ctx.info.attempt]

    return [resonate.options(retry_policy=Constant(delay=0.01)).run("top", top), len(steps)]


@program("10.2", gives=["inner", "top.1", 2], differs={"top.1.2 state": ("RESOLVED", None, "D-5")})
def retries_of_a_child_generator(resonate):
    """A child that is a generator is retried by the policy of its step, under its own id."""

    def inner(ctx):
        yield ctx.run(lambda ctx: None)
        if ctx.info.attempt < 2:
            raise Plain
        return ["inner", ctx.id, ctx.info.attempt]

    @resonate.register
    def top(ctx):
        return (yield ctx.run(inner).options(retry_policy=Constant(delay=0.01)))

    return top.run("top")


@program("10.2", gives={"exact": "Plain: exact", "none": 1, "another": 2, "several": "KeyError: 'several'"})
def errors_that_are_not_retried(resonate):
    """An error of a class in `non_retryable_exceptions` ends the attempts; others do not."""
    policy = Constant(delay=0.01, max_retries=3)
    cases = {"exact": ([Plain("exact")], Plain), "none": ([], Plain), "another": ([ValueError()], Plain),
             "several": ([KeyError("several")], Plain, KeyError)}  # fmt: skip

    @resonate.register
    def top(ctx):
        found = {}
        for name, (errors, *stops) in cases.items():
            try:
                found[name] = yield ctx.run(raising(errors)).options(retry_policy=policy, non_retryable_exceptions=tuple(stops))
            except Exception as error:
                found[name] = error_text(error)
        return found

    return top.run("top")


@program("10.2", gives="ValueError: subclass", differs={"outcome": (2, "D-6"), "top state": ("RESOLVED", "REJECTED", "D-6"),
                                                        "top.1 state": ("RESOLVED", "REJECTED", "D-6")})  # fmt: skip
def subclasses_that_are_not_retried(resonate):
    """An error of a subclass of one in `non_retryable_exceptions` ends the attempts too."""

    @resonate.register
    def top(ctx):
        policy = Constant(delay=0.01, max_retries=3)
        return (yield ctx.run(raising([ValueError("subclass")])).options(retry_policy=policy, non_retryable_exceptions=(Exception,)))

    return attempt(top.run, "top")


@program("10.2", gives=["Plain: late", "Plain: 1"])
def no_retry_beyond_the_deadline(resonate):
    """When the next attempt would come after the deadline the last error counts at once."""
    f = resonate.register(raising([Plain("late")]), name="f")
    g = resonate.register(raising([Plain("1"), Plain("2")]), name="g")
    return [
        attempt(resonate.options(timeout=5, retry_policy=Constant(delay=60)).run, "a", f),
        attempt(resonate.options(timeout=1.5).run, "b", g),
    ]  # fmt: skip


@program("10.2", limit_s=4, gives="TypeError", differs={
    "outcome": ("no end within 4 s", TOO_MANY), "a state": ("PENDING", "REJECTED", TOO_MANY)})  # fmt: skip
def arguments_that_do_not_fit(resonate):
    """A call whose arguments do not fit the function's signature fails."""
    f = resonate.register(lambda ctx, x: x, name="f")
    return kind_of(f.run, "a", 1, 2)


@program("10.2", limit_s=4, gives="StepEnded", differs={"outcome": ("no end within 4 s", "D-7"), "a state": ("PENDING", "REJECTED", "D-7")})
def a_step_that_exits(resonate):
    """SystemExit in a function is that function's failure."""
    f = resonate.register(raising([SystemExit(3)]), name="f")
    return kind_of(resonate.options(retry_policy=Never()).run, "a", f)


@program("10.2", limit_s=4, gives="StepEnded", differs={
    "outcome": ("no end within 4 s", "D-7"), "top state": ("PENDING", "REJECTED", "D-7")})  # fmt: skip
def a_generator_that_is_interrupted(resonate):
    """KeyboardInterrupt in a generator is that run's failure."""

    @resonate.register
    def top(ctx):
        raise KeyboardInterrupt
        yield

    return kind_of(top.run, "top")


@program("10.2", gives={
    "Never": [0, None, None], "Constant": [0, 1, 1], "Linear": [0, 1, 2], "Exponential": [0, 2, 4], "limits": [None, 8, 30],
    "fields": ["Constant(delay=5, max_retries=2)", True, "FrozenInstanceError"], "negative": ["AssertionError"] * 4})  # fmt: skip
def tables_of_policies(resonate):
    """Policies tell the seconds after each failed attempt, None when it was the last; they are frozen dataclasses."""
    policies = {"Never": Never(), "Constant": Constant(), "Linear": Linear(), "Exponential": Exponential()}
    table = {name: [whole(policy.next(attempt)) for attempt in range(3)] for name, policy in policies.items()}
    limits = [whole(Constant(1, 2).next(3)), whole(Exponential(factor=8).next(1)), whole(Exponential(delay=20).next(9))]
    fields = [repr(Constant(5, 2)), Linear(delay=3) == Linear(3), kind_of(setattr, Never(), "delay", 1)]
    return table | {"limits": limits, "fields": fields, "negative": [kind_of(policy.next, -1) for policy in policies.values()]}


def whole(seconds):
    """2.0 seconds are 2."""
    return None if seconds is None else int(seconds)


@program("10.1", gives=[
    "[007.00000] text", "[007.00000] text\n{\n  \"a\": 1\n}", "[200.00000] Promise p canceled",
    "[201.00000] Promise p timedout at 5", "[300.00000] stopped", "[100.40400] gone", 100.404, ["p", "p", 5], True])  # fmt: skip
def texts_of_errors(resonate):
    """The SDK's errors show their code and text, and tell their promise."""
    canceled, late = ResonateCanceledError("p"), ResonateTimedoutError("p", 5)
    return [
        str(ResonateError("text", 7)), str(ResonateError("text", 7, {"a": 1})), str(canceled), str(late),
        str(ResonateShutdownError("stopped")), str(ResonateStoreError("gone", 40400)), ResonateStoreError("gone", 40400).code,
        [canceled.promise_id, late.promise_id, late.timeout],
        str(pickle.loads(pickle.dumps(late))) == str(late),
    ]  # fmt: skip


@program("9.4", gives="ResonateTimedoutError p", differs={
    "top value-exact": (ANYTHING, ANYTHING, "written with what is set on it; 0.6.7 reads it")})  # fmt: skip
def sdk_errors_cross_the_boundary(resonate):
    """The SDK's own error, uncaught in a run, reaches whoever waits for the run."""

    @resonate.register
    def top(ctx):
        promise = yield ctx.promise(id="p").options(timeout=0.05)
        return (yield promise)

    return attempt(top.run, "top")


@program("9.4", gives=["ResonateTimedoutError p", "ResonateTimedoutError p", ["p", 5.5], ["p", 5.5]])
def sdk_errors_of_either_side(resonate):
    """The SDK's own error is read as 0.6.7 writes it, and as it is written here."""
    there = '{"py/reduce": [{"py/type": "resonate.errors.errors.ResonateTimedoutError"}, {"py/tuple": ["p", 5.5]}]}'
    state = {"mesg": "Promise p timedout at 5.5", "code": 201, "details": None, "promise_id": "p", "timeout": 5.5,
             "args": {"py/tuple": ["Promise p timedout at 5.5"]}}  # fmt: skip
    here = json.dumps({"py/reduce": [{"py/type": "resonate.errors.ResonateTimedoutError"}, {"py/tuple": ["p", 5.5]}, state]})
    found, told = [], []
    for name, header in {"there": there, "here": here}.items():
        resonate.promises.create(name, FAR)
        resonate.promises.reject(name, headers={"resonate:format-py": header}, data='{"__error__": "twin"}')
        try:
            resonate.get(name).result(timeout=10)
        except Exception as error:
            found.append(error_text(error))
            told.append([error.promise_id, error.timeout])
    return [*found, *told]


@program("9.4", gives="ResonateStoreError 40400", differs={"outcome": ("the process ended with code 1", "D-4")})
def a_refusal_crosses_the_boundary(resonate):
    """A store's refusal, uncaught in a step, reaches whoever waits for the step."""
    f = resonate.register(lambda ctx: resonate.promises.get("nothing"), name="f")
    return attempt(resonate.options(retry_policy=Never()).run, "a", f)


@program("9.4", gives=[["StopIteration", ["stop"]], ["FileNotFoundError", [2, "gone"]], ["PermissionError", [13, "no"]],
                       ["RecursionError", ["deep"]], ["ExceptionGroup", ["both"]], ["Subclassed", ["text", 5]], ["AssertionError", []],
                       ["RuntimeError", [["a", {"b": 1}]]]])  # fmt: skip
def errors_of_many_kinds(resonate):
    """Errors of the system, groups, subclasses and errors whose arguments are collections reach whoever waits."""
    once = resonate.options(retry_policy=Never())
    errors = [
        StopIteration("stop"), OSError(2, "gone"), PermissionError(13, "no"), RecursionError("deep"),
        ExceptionGroup("both", [ValueError("a")]), Subclassed("text", 5), AssertionError(), RuntimeError(["a", {"b": 1}]),
    ]  # fmt: skip
    found = []
    for number, error in enumerate(errors):
        f = resonate.register(raising([error]), name=f"f{number}")
        try:
            once.run(f"r{number}", f)
        except Exception as caught:
            arguments = caught.args[:1] if isinstance(caught, ExceptionGroup) else caught.args
            found.append([type(caught).__name__, list(arguments)])
    return found


class Subclassed(ValueError):
    pass


@program("9.4", gives={"error": "ValueError: local", "detail": "mine", "cause": "RemoteTraceback"}, differs={
    "outcome cause": ("NoneType", "the cause of an error that was stored tells where it was raised")})  # fmt: skip
def what_errors_carry(resonate):
    """What was set on an error travels with it; its own cause and traceback stay where it was raised."""

    @resonate.register
    def f(ctx):
        error = ValueError("local")
        error.detail = "mine"
        raise error from KeyError("cause")

    try:
        resonate.options(retry_policy=Never()).run("a", f)
    except ValueError as caught:
        return {"error": error_text(caught), "detail": caught.detail, "cause": type(caught.__cause__).__name__}


@program("9.4", gives="text", differs={"outcome": ("[]", "an error of a class that cannot be imported again keeps its text")})
def an_error_that_only_its_function_knows(resonate):
    """An error of a class that cannot be imported again arrives as another one with its text."""

    class Local(Exception):
        pass

    @resonate.register
    def f(ctx):
        raise Local("text")

    return attempt(resonate.options(retry_policy=Never()).run, "a", f).rpartition(": ")[2]


@program("6.3", gives=["KeyError: 'second'", ["first", "second"]])
def an_error_raised_while_handling_another(resonate):
    """The error that leaves a generator counts, whatever it caught before."""
    seen = []

    def fails(ctx, name):
        seen.append(name)
        raise KeyError(name)

    @resonate.register
    def top(ctx):
        try:
            yield ctx.run(fails, "first").options(retry_policy=Never())
        except KeyError:
            yield ctx.run(fails, "second").options(retry_policy=Never())

    return [attempt(top.run, "top"), seen]


@program("9.4", gives=["ValueError: remote", "ValueError: remote", "ResonateTimedoutError top.3"])
def errors_of_remote_steps(resonate):
    """The error of a remote step is raised where it is awaited, and one that is over its deadline is told as such."""

    @resonate.register
    def fails(ctx):
        raise ValueError("remote")
        yield

    @resonate.register
    def top(ctx):
        found = []
        for command in [ctx.rpc("fails"), ctx.begin_rpc("fails"), ctx.rpc("sleeps").options(timeout=0.1)]:
            try:
                yield (yield command)
            except Exception as error:
                found += [error_text(error)]
        return found

    resonate.register(lambda ctx: (yield ctx.sleep(60)), name="sleeps")
    return top.run("top")
