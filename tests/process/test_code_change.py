"""The code of a run is edited while the run waits: what differs under an id is told before any step runs with a value of another call."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from waiting import when

from resonate import Resonate
from resonate.errors import CodeChanged
from resonate.events import RunHalted
from resonate.protocol import Lineage
from resonate.stores import LocalStore

SOON = 10  # seconds; nothing here takes that long
CALLS: list[tuple[str, Any]] = []


@dataclasses.dataclass
class Plan:
    region: str
    days: int = 30


def step(name: str) -> Callable[..., Any]:
    def body(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        CALLS.append((name, args, kwargs))
        return f"{name} of {args}"

    body.__name__ = name
    return body


STEPS = {name: step(name) for name in ("load", "clean", "train", "check", "report")}


def inner(ctx: Any, x: Any) -> Any:
    yield ctx.run(STEPS["load"], x)
    yield ctx.promise(id="gate")
    return (yield ctx.run(STEPS["report"], x))


def inner_edited(ctx: Any, x: Any) -> Any:
    yield ctx.run(STEPS["clean"], x)
    yield ctx.promise(id="gate")
    return (yield ctx.run(STEPS["report"], x))


inner_edited.__name__ = "inner"

# What stood there, what stands there now, and what the error says of each. Every program waits at a gate after these lines.
EDITS: list[tuple[str, str, str, str]] = [
    ("yield ctx.run(load, 1)", "yield ctx.run(clean, 1)", "run load(1)", "run clean(1)"),
    ("yield ctx.run(load, 1)", "yield ctx.run(load, 2)", "run load(1)", "run load(2)"),
    ("yield ctx.run(load, 1)", "yield ctx.run(load, '1')", "run load(1)", "run load('1')"),
    ("yield ctx.run(load, 1)", "yield ctx.run(load, 1.0)", "run load(1)", "run load(1.0)"),
    ("yield ctx.run(load, 1)", "yield ctx.run(load, True)", "run load(1)", "run load(True)"),
    ("yield ctx.run(load, 1)", "yield ctx.run(load, None)", "run load(1)", "run load(None)"),
    ("yield ctx.run(load, 1)", "yield ctx.run(load)", "run load(1)", "run load()"),
    ("yield ctx.run(load, 1)", "yield ctx.run(load, 1, 2)", "run load(1)", "run load(1, 2)"),
    ("yield ctx.run(load, 1)", "yield ctx.run(load, day=1)", "run load(1)", "run load(day=1)"),
    ("yield ctx.run(load, day=1)", "yield ctx.run(load, day=2)", "run load(day=1)", "run load(day=2)"),
    ("yield ctx.run(load, day=1)", "yield ctx.run(load, month=1)", "run load(day=1)", "run load(month=1)"),
    ("yield ctx.run(load, [1, 2])", "yield ctx.run(load, [2, 1])", "run load([1, 2])", "run load([2, 1])"),
    ("yield ctx.run(load, [1, 2])", "yield ctx.run(load, (1, 2))", "run load([1, 2])", "run load((1, 2))"),
    ("yield ctx.run(load, {'a': 1})", "yield ctx.run(load, {'a': 2})", "run load({'a': 1})", "run load({'a': 2})"),
    ("yield ctx.run(load, {'a': 1})", "yield ctx.run(load, {'b': 1})", "run load({'a': 1})", "run load({'b': 1})"),
    ("yield ctx.run(load, {1, 2})", "yield ctx.run(load, {1, 3})", "run load({1, 2})", "run load({1, 3})"),
    ("yield ctx.run(load, b'a')", "yield ctx.run(load, 'a')", "run load(b'a')", "run load('a')"),
    ("yield ctx.run(load, Plan('emea'))", "yield ctx.run(load, Plan('apac'))", "region='emea', days=30", "region='apac', days=30"),
    ("yield ctx.run(load, Plan('emea'))", "yield ctx.run(load, Plan('emea', 31))", "days=30", "days=31"),
    ("yield ctx.run(load, list(range(900)))", "yield ctx.run(load, [*range(899), 0])", "run load([0, 1, 2, ", "run load([0, 1, 2, "),
    ("yield ctx.run(load, 'x' * 9999)", "yield ctx.run(load, 'x' * 9998 + 'y')", "run load('xxx", "run load('xxx"),
    ("yield ctx.run(load, 1)", "yield ctx.rpc('load', 1)", "run load(1)", "rpc load(1)"),
    ("yield ctx.run(load, 1)", "yield ctx.begin_rpc('load', 1)", "run load(1)", "rpc load(1)"),
    ("yield ctx.run(load, 1)", "yield ctx.detached('load', 1)", "run load(1)", "detached load(1)"),
    ("yield ctx.run(load, 1)", "yield ctx.sleep(0)", "run load(1)", "sleep"),
    ("yield ctx.run(load, 1)", "yield (yield ctx.promise())", "run load(1)", "promise"),
    ("yield ctx.run(load, 1)", "yield ctx.time.time()", "run load(1)", "run time.time("),
    ("yield ctx.rpc('load', 1)", "yield ctx.rpc('clean', 1)", "rpc load(1)", "rpc clean(1)"),
    ("yield ctx.rpc('load', 1)", "yield ctx.rpc('load', 2)", "rpc load(1)", "rpc load(2)"),
    ("yield ctx.rpc('load', 1)", "yield ctx.run(load, 1)", "rpc load(1)", "run load(1)"),
    ("yield ctx.rpc('load', 1)", "yield ctx.detached('load', 1)", "rpc load(1)", "detached load(1)"),
    ("yield ctx.sleep(0)", "yield ctx.run(load, 1)", "sleep", "run load(1)"),
    ("yield ctx.sleep(0)", "yield (yield ctx.promise())", "sleep", "promise"),
    ("yield ctx.promise(id='a', timeout=0)", "yield ctx.run(load, 1).options(id='a')", "promise a", "run load(1)"),
    ("yield ctx.time.time()", "yield ctx.time.strftime('%Y')", "run time.time", "run time.strftime"),
    ("yield ctx.time.time()", "yield ctx.random.random()", "run time.time", "run random.random"),
    ("yield ctx.random.randint(1, 6)", "yield ctx.random.randint(1, 7)", "run random.randint(1, 6)", "run random.randint(1, 7)"),
    ("yield ctx.random.randint(1, 6)", "yield ctx.random.randrange(1, 6)", "run random.randint", "run random.randrange"),
    ("yield ctx.run(load, 1)\nyield ctx.run(clean, 2)", "yield ctx.run(clean, 2)\nyield ctx.run(load, 1)", "run load(1)", "run clean(2)"),
    ("yield ctx.run(load, 1)\nyield ctx.run(clean, 2)", "yield ctx.run(clean, 2)", "run load(1)", "run clean(2)"),
    ("yield ctx.run(clean, 2)", "yield ctx.run(load, 1)\nyield ctx.run(clean, 2)", "run clean(2)", "run load(1)"),
    ("yield ctx.run(load, 1)\nyield ctx.run(clean, 2)", "yield ctx.run(load, 1)\nyield ctx.sleep(0)\nyield ctx.run(clean, 2)",
     "run clean(2)", "sleep"),
    ("yield ctx.run(load, 1)\nyield ctx.run(clean, 2)", "yield ctx.run(load, 1)\nyield ctx.run(train, 2)", "run clean(2)", "run train(2)"),
    ("for day in (1, 2, 3): yield ctx.run(load, day)", "for day in (1, 3): yield ctx.run(load, day)", "run load(2)", "run load(3)"),
    ("for day in (1, 2, 3): yield ctx.run(load, day)", "for day in (3, 2, 1): yield ctx.run(load, day)", "run load(1)", "run load(3)"),
    ("for day in (1, 2): yield ctx.run(load, day)\nyield ctx.run(report, 9)",
     "for day in (1, 2, 3): yield ctx.run(load, day)\nyield ctx.run(report, 9)", "run report(9)", "run load(3)"),
    ("a = yield ctx.begin_run(load, 1)\nb = yield ctx.begin_run(clean, 2)\nyield a\nyield b",
     "b = yield ctx.begin_run(clean, 2)\na = yield ctx.begin_run(load, 1)\nyield a\nyield b", "run load(1)", "run clean(2)"),
    ("if (yield ctx.run(load, 1)): yield ctx.run(clean, 1)",
     "if not (yield ctx.run(load, 1)): yield ctx.run(clean, 1)\nyield ctx.run(report, 1)", "run clean(1)", "run report(1)"),
    ("try:\n    yield ctx.run(load, 1)\nfinally:\n    yield ctx.run(report, 1)", "yield ctx.run(load, 1)\nyield ctx.run(report, 2)",
     "run report(1)", "run report(2)"),
    ("yield ctx.run(inner, 1)", "yield ctx.run(inner_edited, 1)", "run load(1)", "run clean(1)"),
    ("yield ctx.run(load, 1)", "yield ctx.run(lambda ctx, x: x, 1)", "run load(1)", "run <lambda>(1)"),
    ("yield ctx.run(load, load)", "yield ctx.run(load, clean)", "<step.<locals>.body>", ""),
]  # fmt: skip
EDITS = [each for each in EDITS if each[3]]

HARMLESS: list[tuple[str, str]] = [
    ("yield ctx.run(load, 1)", "# a comment\nrenamed = yield ctx.run(load, 1)"),
    ("yield ctx.run(load, 1)", "yield ctx.run(load, 1).options(timeout=60, tags={'a': 'b'})"),
    ("yield ctx.run(load, {'a': 1, 'b': 2})", "yield ctx.run(load, dict(a=1, b=2))"),
    ("yield ctx.run(load, {'x', 'y', 'z'})", "yield ctx.run(load, {'z', 'y', 'x'})"),
    ("yield ctx.run(load, object())", "yield ctx.run(load, object())"),
    ("yield ctx.sleep(0)", "yield ctx.sleep(0.001)"),
    ("yield ctx.promise(id='a', data=1, timeout=0)", "yield ctx.promise(id='a', data=2, timeout=0)"),
    ("yield ctx.run(load, 1).options(durable=False)", "yield ctx.run(clean, 1).options(durable=False)"),
    ("yield ctx.run(load, 1).options(id='own')\nyield ctx.run(clean, 2).options(id='own')",
     "yield ctx.run(load, 1).options(id='own')\nyield ctx.run(report, 3).options(id='own')"),
]  # fmt: skip


def program(lines: str, *, after: str = "yield ctx.run(report, 0)") -> Callable[..., Any]:
    """A durable function of these lines, then a gate, then what comes after."""
    gate = 'yield (yield ctx.promise(id="gate"))'
    source = f"def job(ctx):\n{textwrap.indent(lines, '    ')}\n    {gate}\n    return ({after})\n"
    names: dict[str, Any] = {**STEPS, "Plan": Plan, "inner": inner, "inner_edited": inner_edited}
    exec(compile(source, "<job>", "exec"), names)
    made: Callable[..., Any] = names["job"]
    return made


def begin(store: LocalStore, func: Callable[..., Any]) -> None:
    """One life of the run: up to the gate, and then this process is gone."""
    with client_of(store, func) as client:
        client.begin_run("job", "job")
        when(lambda: client.promises.get("gate").pending)
        when(lambda: not client._shared.runtime()._runs or next(iter(client._shared.runtime()._runs.values())).computation.parked)


def client_of(store: LocalStore, func: Callable[..., Any]) -> Resonate:
    client = Resonate(store=store, log_level="CRITICAL", workers=2)
    client.register(func, name="job")
    for name in ("load", "clean"):
        client.register(STEPS[name], name=name)
    return client


@pytest.mark.parametrize(("before", "now", "recorded", "called"), EDITS)
def test_an_edit_is_told_before_a_step_runs(before: str, now: str, recorded: str, called: str) -> None:
    """The run stops with both sides of what differs, no step is called, nothing is settled, and the old code finishes it."""
    store = LocalStore()
    begin(store, program(before))
    CALLS.clear()
    with client_of(store, program(now)) as client:
        facts = client.subscribe("job")
        handle = client.get("job")
        client.promises.resolve("gate", data="7")
        with pytest.raises(CodeChanged) as caught:
            handle.result(SOON)
        assert recorded in caught.value.recorded
        assert called in caught.value.called
        assert caught.value.recorded != caught.value.called
        assert caught.value.promise_id in str(caught.value)
        assert CALLS == []
        assert client.promises.get("job").pending
        assert [each.error for each in facts.read() if isinstance(each, RunHalted)] == [str(caught.value)]
        with pytest.raises(CodeChanged):
            client.get("job").result(SOON)
    with client_of(store, program(before)) as client:
        assert client.get("job").result(SOON) == "report of (0,)" if "inner" not in before else "report of (1,)"
    assert [name for name, *_ in CALLS if name != "report"] == []


def test_there_are_fifty_of_them() -> None:
    """Fifty edits are tried, no two alike."""
    assert len({each[:2] for each in EDITS}) == len(EDITS) >= 50


@pytest.mark.parametrize(("before", "now"), HARMLESS)
def test_what_is_no_change_goes_on(before: str, now: str) -> None:
    """Comments, names, options, the order inside a set, the length of a sleep and a shared id are no other call."""
    store = LocalStore()
    begin(store, program(before))
    with client_of(store, program(now, after="yield ctx.run(check, 'new code')")) as client:
        client.promises.resolve("gate", data="7")
        assert client.get("job").result(SOON) == "check of ('new code',)"


def test_a_halted_run_goes_on_when_it_is_launched_with_the_mended_code() -> None:
    """Whoever mends the code and launches the same id again gets the run's result in the same process."""
    store = LocalStore()
    begin(store, program("yield ctx.run(load, 1)"))
    with client_of(store, program("yield ctx.run(load, 2)")) as client:
        client.promises.resolve("gate", data="7")
        with pytest.raises(CodeChanged):
            client.get("job").result(SOON)
        with pytest.raises(CodeChanged):
            client.begin_run("job", "job").result(SOON)
        client.registry.replace(program("yield ctx.run(load, 1)"), "job")
        assert client.begin_run("job", "job").result(SOON) == "report of (0,)"


def test_a_halted_run_can_be_canceled() -> None:
    """A run that cannot go on can be called off."""
    store = LocalStore()
    begin(store, program("yield ctx.run(load, 1)"))
    with client_of(store, program("yield ctx.run(load, 2)")) as client:
        client.promises.resolve("gate", data="7")
        with pytest.raises(CodeChanged):
            client.get("job").result(SOON)
        client.cancel("job")
        assert client.promises.get("job").canceled


@pytest.mark.parametrize("lineage", [None, Lineage("job", "job", "job", "run", "load")])
def test_a_record_that_tells_less_is_accepted(lineage: Lineage | None) -> None:
    """What another SDK has written carries no function name or no arguments, and its value counts."""
    store = LocalStore()
    client = client_of(store, program("yield ctx.run(load, 2)", after="1"))
    store.promises.create("job.1", 2**45, ikey="job.1")
    store._machine.promises["job.1"].lineage = lineage
    store.promises.resolve("job.1", ikey="job.1", data='"recorded elsewhere"')
    store._machine.promises["job.1"].lineage = lineage
    CALLS.clear()
    with client:
        handle = client.begin_run("job", "job")
        when(lambda: client.promises.get("gate").pending)
        client.promises.resolve("gate")
        assert handle.result(SOON) == 1
    assert CALLS == []
