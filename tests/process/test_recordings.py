"""Runs as files: what is recorded is exact wherever the run was, a replay tells where today's code differs and runs no step, and two
recordings are compared step by step."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import decimal
import fractions
import json
import math
import pathlib
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from test_code_change import EDITS, HARMLESS, STEPS, begin, client_of, program
from waiting import SOON, when

from resonate import Resonate, limits, recordings
from resonate.differences import diff
from resonate.encoders import PickleEncoder
from resonate.errors import RecordingDamaged, ReplayDiverged, ResonateStoreError
from resonate.protocol import PromiseRecord
from resonate.recordings import Recording
from resonate.replays import replay
from resonate.retry_policies import Constant
from resonate.server import DevelopmentServer
from resonate.stores import LocalStore

ROOT = str(pathlib.Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)
from tests.chaos.ledger import lines_of  # noqa: E402
from tests.chaos.workflows import WORKFLOWS, register  # noqa: E402

PLACES = ("memory", "file", "legacy", "current")


class Ledger:
    """Counts what steps do."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def write(self, what: str, id: str, attempt: int = 0) -> None:
        self.lines.append((what, id))


@contextmanager
def client_at(place: str, folder: pathlib.Path) -> Iterator[Resonate]:
    if place in ("memory", "file"):
        with Resonate.local(path=folder / "runs.db" if place == "file" else None, durability="fast", log_level="CRITICAL") as client:
            yield client
        return
    with (
        DevelopmentServer(port=0, message_port=0) as server,
        Resonate.remote(host=server.url, protocol=place, log_level="CRITICAL") as client,
    ):
        yield client


def recorded_everywhere(client: Resonate, ledger: Ledger) -> dict[str, Recording]:
    """The reference workflows, run to their end and recorded."""
    register(client, ledger)  # type: ignore[arg-type]
    found = {}
    for name, workflow in WORKFLOWS.items():
        handle = client.begin_run(name, workflow.func)
        if workflow.gate:
            when(lambda gate=workflow.gate: client.promises.get(gate).pending)
            headers, data = client.encoder.encode(5)
            client.promises.resolve(workflow.gate, headers=headers, data=data)
        assert handle.result(SOON) == workflow.result
        if workflow.also:
            client.get(workflow.also.replace(".", client.record(name).separator)).result(SOON)
        found[name] = client.record(name)
    return found


@pytest.fixture(scope="module")
def reference() -> dict[str, Recording]:
    with Resonate(log_level="CRITICAL") as client:
        return recorded_everywhere(client, Ledger())


@pytest.mark.parametrize("place", PLACES)
def test_a_run_anywhere_replays_as_recorded_and_no_step_is_run(place: str, tmp_path: pathlib.Path, reference: dict[str, Recording]) -> None:
    """Through a file and back, each reference workflow does what is recorded, comes to the same value, and its ledger gets no line."""
    ledger = Ledger()
    with client_at(place, tmp_path) as client:
        found = recorded_everywhere(client, ledger)
        before = list(ledger.lines)
        for name, recording in found.items():
            recording.save(tmp_path / name)
            loaded = Recording.load(tmp_path / name)
            assert loaded == recording
            replayed = replay(loaded, client)
            replayed.check()
            is_private = name == "mixture"  # it calls functions that leave no record
            assert replayed.ends == ([f"mixture{loaded.separator}2"] if is_private else []), name
            assert replayed.calls == len(recording.promises) - is_private, name
            if name != "recorded":  # times and random numbers
                assert not diff(reference[name], loaded).calls
        assert ledger.lines == before
        with_private = replay(found["mixture"], client, call_undurable=True)
        assert (with_private.ends, with_private.calls, bool(with_private)) == ([], 3, True)
        assert {what for what, _ in ledger.lines[len(before) :]} == {"private"}


def test_a_recording_is_plain_data(reference: dict[str, Recording]) -> None:
    """Each promise has its id, caller, kind, function, arguments' text, state, stored value and times; the run its whole call."""
    recording = reference["nested"]
    root, *rest = recording.promises
    assert str(recording) == "nested: nested, 8 calls, resolved"
    assert json.loads(str(root.param[1]))["func"] == "nested"
    assert json.loads(str(root.param[1]))["version"] == 1
    child = next(each for each in rest if each.id == "nested.1")
    assert child.lineage is not None
    assert (child.lineage.parent, child.lineage.kind, child.lineage.name, child.lineage.arguments) == ("nested", "run", "nested", "2")
    assert all(each.completed_on is not None and each.created_on <= each.completed_on for each in recording.promises)


# ---- values ------------------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Plan:
    region: str
    days: frozenset[int]


VALUES: list[Any] = [
    None, True, 0, -(2**200), 0.1, math.inf, -0.0, "", "\ud800 half", "\x00\u2028'\"\\", b"\xff\x00", (1, (2,)), [1, [2]],
    {1: "one", "1": 1}, {"a", "b", "c", "d"}, frozenset((1, 2)), 1 + 2j, range(1, 9, 2), decimal.Decimal("1.10"), fractions.Fraction(1, 3),
    uuid.UUID(int=7), datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC), datetime.timedelta(microseconds=1),
    pathlib.PurePosixPath("/a/b"), Plan("emea", frozenset((1, 2))), ValueError("no rows", 7),
]  # fmt: skip


def test_values_of_all_exact_types_survive_a_file_byte_for_byte(tmp_path: pathlib.Path) -> None:
    """What is stored is written and read as it stands, so a replay hands the same values to the code as the run did."""
    seen: list[Any] = []

    def give(ctx: Any, number: int) -> Any:
        return VALUES[number]

    def job(ctx: Any) -> Any:
        seen.clear()
        for number in range(len(VALUES)):
            value = yield ctx.run(give, number)
            seen.append(value)
        return len(seen)

    with Resonate(log_level="CRITICAL") as client:
        client.register(job)
        client.run("job", "job")
        first = list(map(repr, seen))
        recording = client.record("job")
        stored = [client.promises.get(each.id).value.to_tuple() for each in recording.promises]
    recording.save(tmp_path / "job.recording")
    loaded = Recording.load(tmp_path / "job.recording")
    assert [each.value for each in loaded.promises] == stored
    assert loaded == recording
    replay(loaded, job).check()
    assert list(map(repr, seen)) == first
    assert not diff(recording, loaded)


def test_a_set_that_is_written_in_another_order_is_the_same_value() -> None:
    """Values that are stored differently and are equal, of the same types, are no difference; 1, 1.0 and True are three values."""

    def job(ctx: Any) -> Any:
        return result

    result: Any = {"a", "b", "c"}
    with Resonate(log_level="CRITICAL") as client:
        client.register(job)
        client.run("one", "job")
        stored = client.record("one")
        root = stored.promises[0]
        text = str(root.value[1])
        turned = dataclasses.replace(root, value=(turn(root.value[0] or {}), text))
        assert turned.value != root.value
        assert not diff(stored, dataclasses.replace(stored, promises=(turned,))).calls
        for number, result in enumerate(([1], [1.0], [True])):  # noqa: B007 - what `job` returns
            client.run(f"n{number}", "job")
        kinds = [client.record(f"n{number}") for number in range(3)]
        assert [len(diff(left, right).calls) for left in kinds for right in kinds] == [0, 1, 1, 1, 0, 1, 1, 1, 0]


def turn(headers: dict[str, str]) -> dict[str, str]:
    """The exact form of {"a", "b", "c"} with its items in another order."""
    (name, text), *_ = headers.items()
    found = json.loads(text)
    found["py/set"].reverse()
    return {name: json.dumps(found)}


# ---- what differs ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["at the gate", "over"])
def record_of(request: pytest.FixtureRequest) -> Callable[[str], Recording]:
    """Records a run of the program of these lines, unfinished or finished."""

    def record(lines: str) -> Recording:
        store = LocalStore()
        begin(store, program(lines))
        with client_of(store, program(lines)) as client:
            if request.param == "over":
                client.promises.resolve("gate", data="7")
                client.get("job").result(SOON)
            return client.record("job")

    return record


@pytest.mark.parametrize(("before", "now", "recorded", "called"), EDITS)
def test_an_edit_is_told_where_it_is(record_of: Any, before: str, now: str, recorded: str, called: str) -> None:
    """The first call that differs is named with both sides, whether the run is over or not; no step runs for it."""
    recording = record_of(before)
    with client_of(LocalStore(), program(now)) as client:  # not started: it only knows the functions
        calls = list(STEPS["load"].__globals__["CALLS"])
        found = replay(recording, client)
        assert STEPS["load"].__globals__["CALLS"] == calls
    assert found.diverged is not None
    assert recorded in found.diverged.recorded
    assert called in found.diverged.today
    assert f"at {found.diverged.id}: {found.diverged.recorded} is recorded, today's code calls" in str(found)
    assert found.diverged.file.endswith(("<job>", "test_code_change.py"))
    assert found.diverged.line > 0
    with pytest.raises(ReplayDiverged, match="diverges at"):
        found.check()
    with client_of(LocalStore(), program(before)) as client:
        replay(recording, client).check()


@pytest.mark.parametrize(("before", "now"), HARMLESS)
def test_what_is_no_change_is_not_told(record_of: Any, before: str, now: str) -> None:
    """Comments, names, options, the order inside a set, the length of a sleep and a shared id are no other call."""
    with client_of(LocalStore(), program(now)) as client:
        replay(record_of(before), client, call_undurable=True).check()


def double(ctx: Any, x: int) -> int:
    RUN.append(x)
    return 2 * x


def inner(ctx: Any, x: int) -> Any:
    return (yield ctx.run(double, x)) + 1


def outer(ctx: Any) -> Any:
    first = yield ctx.run(inner, 1)
    second = yield ctx.rpc("inner", 2)
    return first + second


RUN: list[int] = []


@pytest.fixture(scope="module")
def recording() -> Recording:
    with Resonate(log_level="CRITICAL") as client:
        client.register(outer)
        client.register(inner)
        assert client.run("o", outer) == 8
        return client.record("o")


def edited(name: str, body: str, **names: Any) -> Callable[..., Any]:
    """A function of this body; `double` and what is given are known to it."""
    signature = "ctx" if name == "outer" else "ctx, x"
    known = {"double": double, "inner": inner, **names}
    exec(f"def {name}({signature}):\n" + "".join(f"    {line}\n" for line in body.splitlines()), known)
    made: Callable[..., Any] = known[name]
    return made


def one(recording: Recording, *code: Any) -> tuple[str, str, str, str]:
    """The one divergence."""
    found = replay(recording, *code)
    assert len(found.divergences) == 1, found
    assert found.diverged is not None
    return found.diverged.call, found.diverged.id, found.diverged.recorded, found.diverged.today


def test_further_fewer_and_other_calls_are_told_apart(recording: Recording) -> None:
    """One call more is told and not made; calls that are not come to are told by their ids; an outcome is told by both values."""
    before = list(RUN)
    more = edited("outer", 'a = yield ctx.run(inner, 1)\nb = yield ctx.rpc("inner", 2)\nyield ctx.run(double, 9)\nreturn a + b')
    assert one(recording, more, inner) == ("o", "o.3", "", "calls run double(9)")
    assert replay(recording, more, inner).extra == ["o.3"]
    fewer = edited("outer", "return (yield ctx.run(inner, 1))")
    assert one(recording, fewer, inner) == ("o", "o.2", "rpc inner(2)", "ends before it, resolved with 3")
    assert replay(recording, fewer, inner).missing == ["o.2"]
    other = edited("outer", 'return (yield ctx.run(inner, 1)) * (yield ctx.rpc("inner", 2))')
    assert one(recording, other, inner) == ("o", "o", "resolved with 8", "ends resolved with 15")
    assert str(replay(recording, other, inner)).startswith("o diverges at its end: resolved with 8 is recorded, today's code ends resolved")
    failing = edited("outer", 'yield ctx.run(inner, 1)\nyield ctx.rpc("inner", 2)\nraise ValueError("no rows")')
    assert one(recording, failing, inner) == ("o", "o", "resolved with 8", "ends rejected with ValueError: no rows")
    assert before == RUN


def test_each_function_is_held_against_its_own_calls(recording: Recording) -> None:
    """A called function and one that was asked for by rpc are looked at too, each by itself; what called them goes on as recorded."""
    inside = edited("inner", "return (yield ctx.run(double, x + 1)) + 1")
    told = [(each.call, each.id) for each in replay(recording, edited("outer", OUTER, inner=inside), inside).divergences]
    assert told == [("o.1", "o.1.1"), ("o.2", "o.2.1")]
    assert [each.call for each in replay(recording, outer, inside).divergences] == ["o.2"]  # `outer` itself calls the one of this module
    taken = "4 calls, the same outcome. What `inner` did was taken as recorded, without its code. Nothing was run again."
    assert str(replay(recording, outer)) == f"o replays as recorded: {taken}"  # it was asked for by rpc, and is not given


OUTER = 'first = yield ctx.run(inner, 1)\nsecond = yield ctx.rpc("inner", 2)\nreturn first + second'


def test_waiting_for_what_nobody_waited_for_is_told() -> None:
    """Where today's code waits for a promise that was open when the recorded code ended, that is where it differs."""

    def job(ctx: Any) -> Any:
        promise = yield ctx.promise(id="later", timeout=0)
        del promise
        yield ctx.detached("nowhere")
        return 1

    def awaits(ctx: Any) -> Any:
        yield ctx.promise(id="later", timeout=0)
        return (yield (yield ctx.detached("nowhere")))

    def caller(ctx: Any) -> Any:
        return (yield ctx.run(called))

    called = job
    job.__name__ = awaits.__name__ = "job"
    with Resonate(log_level="CRITICAL", store=LocalStore()) as client:
        client.register(job)
        client.register(caller)
        client.run("c", "caller")
        client.promises.cancel("later")
        stored = client.record("c")
    open_again = (opened(each) if each.id == "c.1.2" else each for each in stored.promises)
    stored = dataclasses.replace(stored, promises=tuple(open_again))
    replay(stored, caller).check()
    called = awaits
    assert one(stored, caller) == ("c.1", "c.1", "resolved with 1", "waits for c.1.2, which is open in the recording")


def opened(record: PromiseRecord) -> PromiseRecord:
    return dataclasses.replace(record, state="PENDING", value=(None, None), completed_on=None)


def test_the_replay_of_an_unfinished_run_ends_where_it_waits() -> None:
    """It goes as far as the recording goes, and says where that is; a step that was under way is not run."""
    started, go_on = threading.Event(), threading.Event()
    runs: list[int] = []

    def hold(ctx: Any) -> None:
        runs.append(1)
        started.set()
        go_on.wait(SOON)

    def job(ctx: Any) -> Any:
        yield ctx.run(double, 1)
        yield ctx.run(hold)

    with Resonate(log_level="CRITICAL") as client:
        client.register(job)
        handle = client.begin_run("j", "job")
        assert started.wait(SOON)
        stored = client.record("j")
        go_on.set()
        handle.result(SOON)
    found = replay(stored, job)
    assert str(found) == "j replays as recorded as far as the recording goes: 3 calls, up to j.2. Nothing was run again."
    assert (found.ends, found.outcome, runs) == (["j.2"], "", [1])


def test_a_run_that_was_called_off_replays() -> None:
    """What a canceled run would have done next is no difference."""
    store = LocalStore()
    lines = "yield ctx.run(load, 1)"
    begin(store, program(lines))
    with client_of(store, program(lines)) as client:
        client.cancel("job")
        stored = client.record("job")
    assert stored.promises[0].state == "REJECTED_CANCELED"
    with client_of(LocalStore(), program(lines)) as client:
        replay(stored, client).check()
    with client_of(LocalStore(), program("yield ctx.run(load, 2)")) as client:
        assert not replay(stored, client)


def test_retries_of_a_function_are_replayed_without_waiting() -> None:
    """A generator that fails and is called again makes the same calls; the waits between attempts and recorded sleeps take no time."""

    def flaky(ctx: Any) -> Any:
        yield ctx.sleep(0.05)
        if ctx.info.attempt < good_attempt:
            raise ConnectionError("not yet")
        return (yield ctx.run(double, ctx.info.attempt))

    def job(ctx: Any) -> Any:
        return (yield ctx.run(flaky).options(retry_policy=Constant(delay=delay)))

    delay, good_attempt = 0.01, 3
    with Resonate(log_level="CRITICAL") as client:
        client.register(job)
        assert client.run("j", "job") == 6
        stored = client.record("j")
    delay = 3600
    began = time.monotonic()
    replay(stored, job).check()
    good_attempt = 10**9
    assert one(stored, job)[1:] == ("j.1", "resolved with 6", "fails 100 times: ConnectionError: not yet")
    assert time.monotonic() - began < 5


def test_a_deadline_ends_retries_at_the_recorded_time() -> None:
    """A function that fails until its deadline makes as many attempts as it made; the clock is that of the recording."""
    attempts: list[int] = []

    def failing(ctx: Any) -> Any:
        attempts.append(ctx.info.attempt)
        yield ctx.time.time()
        raise ConnectionError("not yet")

    def job(ctx: Any) -> Any:
        yield ctx.run(failing).options(retry_policy=Constant(delay=0.2), timeout=0.5)

    with Resonate(log_level="CRITICAL") as client:
        client.register(job)
        assert isinstance(client.begin_run("j", "job").future.exception(SOON), ConnectionError)
        stored = client.record("j")
    first = list(attempts)
    replay(stored, job).check()
    assert attempts == first * 2


def test_async_functions_replay_inside_an_event_loop(tmp_path: pathlib.Path) -> None:
    """An `async def` made of steps is executed, one that is a step is not, wherever the replay is asked for."""
    fetched: list[int] = []

    async def fetch(ctx: Any, x: int) -> int:
        fetched.append(x)
        await asyncio.sleep(0)
        return x

    async def job(ctx: Any) -> Any:
        return await ctx.run(fetch, 1) + await ctx.run(fetch, 2)

    async def other(ctx: Any) -> Any:
        await asyncio.sleep(0)
        fetched.append(3)
        return await ctx.run(fetch, 1)

    with Resonate(log_level="CRITICAL") as client:
        client.register(job)
        assert client.run("j", "job") == 3
        stored = client.record("j")

    async def within() -> None:
        replay(stored, job).check()
        other.__name__ = "job"
        assert "NotDurable" in str(replay(stored, other))

    asyncio.run(within())
    assert fetched == [1, 2]


def test_encoders_dependencies_and_versions_are_those_of_the_client() -> None:
    """A client is code enough: its functions by version, its encoder, and what its functions are given."""

    def job(ctx: Any, region: set[int]) -> Any:
        table = yield ctx.run(load, region)
        return ctx.get_dependency("factor") * table["rows"]

    def load(ctx: Any, region: set[int]) -> Any:
        return {"rows": len(region), "made by": Made()}

    with Resonate(log_level="CRITICAL", encoder=PickleEncoder(b"k" * 32)) as client:
        client.register(job, version=3)
        client.set_dependency("factor", 10)
        assert client.run("j", "job", {1, 2}) == 20
        stored = client.record("j")
        replay(stored, client).check()
    replay(stored, job, encoder=client.encoder, dependencies={"factor": 10}).check()
    assert not replay(stored, job, encoder=client.encoder, dependencies={"factor": 11})


class Made:
    pass


def test_what_cannot_be_replayed_is_said(recording: Recording) -> None:
    """Without the run's function, or where there is none, the error names the run and what is missing; a step has no code to replay."""
    with Resonate(log_level="CRITICAL") as client, pytest.raises(TypeError, match="code must be functions, or one client"):
        replay(recording, client, outer)
    with Resonate(log_level="CRITICAL") as client:
        client.register(double)
        client.run("d", "double", 4)
        assert "d is a step, not made of steps" in str(replay(client.record("d"), client))
    with pytest.raises(ValueError, match=r"o cannot be replayed without code: replay\(recording, pipeline\)"):
        replay(recording)
    with pytest.raises(ValueError, match="o cannot be replayed: function outer not found in registry"):
        replay(recording, inner)
    with Resonate(log_level="CRITICAL") as client:
        client.promises.create("lone", timeout=2**45)
        with pytest.raises(ValueError, match="lone cannot be replayed: promise lone asks for no function"):
            replay(client.record("lone"), inner)
        with pytest.raises(ResonateStoreError, match="there is no promise nowhere"):
            client.record("nowhere")
        client.register(outer)
        client.register(inner)
        client.run("x", outer)
        with pytest.raises(ValueError, match=r"x\.1\.1 is a step of x; a recording holds a whole run, as x"):
            client.record("x.1.1")


def test_an_interrupt_ends_a_replay(recording: Recording) -> None:
    """Code that goes on for ever is left with Ctrl-C at once, and goes on no further than its next call."""
    turns: list[int] = []

    def outer(ctx: Any) -> Any:
        while True:
            turns.append(1)
            yield ctx.run(lambda ctx: None).options(durable=False)

    sent: list[float] = []

    def interrupt() -> None:
        sent.append(time.monotonic())
        signal.raise_signal(signal.SIGINT)

    threading.Timer(0.2, interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        replay(recording, outer, call_undurable=True)
    assert time.monotonic() - sent[0] < 2  # some 30 ms, unless others use the machine
    when(lambda: not any(each.name == "resonate-replay" for each in threading.enumerate()))


# ---- files -------------------------------------------------------------------------------------------------------------------------


def changed(recording: Recording, change: Callable[[dict[str, Any]], Any]) -> bytes:
    body = json.loads(recordings._written(recording))
    change(body)
    body["digest"] = recordings._digest({name: value for name, value in body.items() if name != "digest"})
    return json.dumps(body).encode()


DAMAGES: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda body: body.update(format="other"), r"\$\.format is not 'resonate-recording': this is no recording of a run"),
    (lambda body: body.update(version=2), r"\$\.version is 2, and this version of resonate reads 1: upgrade it"),
    (lambda body: body.update(version="1"), r"\$\.version must be a whole number"),
    (lambda body: body.pop("version"), r"\$\.version is missing"),
    (lambda body: body.update(separator="/"), r"\$\.separator must be one of \., :"),
    (lambda body: body.update(recorded_on=2**70), r"\$\.recorded_on must be a whole number"),
    (lambda body: body.update(promises=[]), r"\$\.promises must be a list of one promise or more"),
    (lambda body: body.update(promises={}), r"\$\.promises must be a list"),
    (lambda body: body["promises"].__setitem__(1, 5), r"\$\.promises\[1\] must be an object"),
    (lambda body: body["promises"][3].update(state="DONE"), r"\$\.promises\[3\]\.state must be one of PENDING, RESOLVED"),
    (lambda body: body["promises"][0].update(id=None), r"\$\.promises\[0\]\.id must be text"),
    (lambda body: body["promises"][2].update(id="o"), r"\$\.promises\[2\]\.id is that of \$\.promises\[0\] too"),
    (lambda body: body["promises"][2].update(timer=1), r"\$\.promises\[2\]\.timer must be true or false"),
    (lambda body: body["promises"][1].update(completed_on=None), r"\$\.promises\[1\]\.completed_on must be a whole number"),
    (lambda body: body["promises"][1].update(created_on=True), r"\$\.promises\[1\]\.created_on must be a whole number"),
    (lambda body: body["promises"][1].update(value="7"), r"\$\.promises\[1\]\.value must be an object"),
    (lambda body: body["promises"][1]["value"].update(data=7), r"\$\.promises\[1\]\.value\.data must be text"),
    (lambda body: body["promises"][1]["value"].update(headers={"a": 1}), r"\$\.promises\[1\]\.value\.headers must be an object of texts"),
    (lambda body: body["promises"][1].update(tags=[]), r"\$\.promises\[1\]\.tags must be an object of texts"),
    (lambda body: body["promises"][1]["lineage"].update(kind="walk"), r"\$\.promises\[1\]\.lineage\.kind must be one of run, rpc"),
    (lambda body: body["promises"][1]["lineage"].pop("root"), r"\$\.promises\[1\]\.lineage\.root is missing"),
]


@pytest.mark.parametrize(("change", "told"), DAMAGES)
def test_a_file_that_says_what_cannot_be_is_refused_with_its_path(
    recording: Recording, tmp_path: pathlib.Path, change: Any, told: str
) -> None:
    """The error names the file, the place in it and what to do, also where its digest fits."""
    path = tmp_path / "x.recording"
    path.write_bytes(changed(recording, change))
    with pytest.raises(RecordingDamaged, match=rf"x\.recording: {told}.*\. `Resonate.record` and `save` make a new one"):
        Recording.load(path)


def test_a_file_that_was_cut_changed_or_never_a_recording_is_refused(recording: Recording, tmp_path: pathlib.Path) -> None:
    """Wherever it is cut, whichever byte of it is another, it is damaged and never anything else; so is any other file."""
    path = tmp_path / "x.recording"
    recording.save(path)
    whole = path.read_bytes()
    for cut in range(0, len(whole) - 1, 37):
        path.write_bytes(whole[:cut])
        with pytest.raises(RecordingDamaged):
            Recording.load(path)
    for place in range(0, len(whole) - 1, 11):
        path.write_bytes(whole[:place] + bytes((whole[place] ^ 1,)) + whole[place + 1 :])
        try:
            assert Recording.load(path) == recording  # a blank between two fields
        except RecordingDamaged:
            continue
    for other in (b"", b"\x00" * 50, b"[" * 100_000, b"null", b"\xff\xfe", b'{"a": 1e999999}', b"1" * 5000):
        path.write_bytes(other)
        with pytest.raises(RecordingDamaged, match=r"x\.recording: \$"):
            Recording.load(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecordingDamaged, match="the file seems to be cut off"):
        Recording.load(path)


def test_a_file_is_written_whole_and_only_over_a_recording(
    recording: Recording, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program's file is left alone unless forced; a write that fails leaves what was there, and nothing beside it."""
    path = tmp_path / "x.recording"
    path.write_text("my notes")
    with pytest.raises(FileExistsError, match="exists and is no recording"):
        recording.save(path)
    assert path.read_text() == "my notes"
    recording.save(path, force=True)
    recording.save(path)
    assert Recording.load(path) == recording
    before = path.read_bytes()
    monkeypatch.setattr(pathlib.Path, "replace", lambda self, target: (_ for _ in ()).throw(OSError("no room")))
    with pytest.raises(OSError, match="no room"):
        recording.save(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    monkeypatch.setattr(recordings, "RECORDING_LIMIT", 100)
    with pytest.raises(ValueError, match="more than the 100 that one may have"):
        recording.save(path)
    with pytest.raises(RecordingDamaged, match="more than 100 bytes"):
        Recording.load(path)
    assert limits.RECORDING_LIMIT > 10**6
    assert path.read_bytes() == before


# ---- two runs ----------------------------------------------------------------------------------------------------------------------


def test_two_runs_are_compared_by_where_their_calls_stand() -> None:
    """Other functions, arguments, values and errors are told, and calls that one has; ids, times and what lies below a difference not."""

    def load(ctx: Any, day: int) -> int:
        if day == 13:
            raise ValueError("no rows")
        return 10 * day

    def clean(ctx: Any, day: int) -> Any:
        return (yield ctx.run(load, day))

    def job(ctx: Any, calls: list[Any]) -> Any:
        for number, (name, day) in enumerate(calls):
            try:
                yield ctx.run({"load": load, "clean": clean}[name], day).options(retry_policy=Constant(delay=0, max_retries=0))
            except ValueError:
                pass
            yield ctx.promise(id=f"{ctx.id}-p{number}", data=day)

    with Resonate(log_level="CRITICAL") as client:
        client.register(job)

        def recorded(run_id: str, *calls: tuple[str, int]) -> Recording:
            handle = client.begin_run(run_id, "job", list(calls))
            for number in range(len(calls)):
                when(lambda number=number: client.promises.get(f"{run_id}-p{number}"))
                client.promises.resolve(f"{run_id}-p{number}")
            handle.result(SOON)
            return client.record(run_id)

        one = recorded("a", ("load", 1), ("clean", 2), ("load", 3))
        two = recorded("b", ("load", 1), ("load", 2), ("load", 13), ("clean", 5))
    found = diff(one, two)
    assert [(each.what, each.left_id, each.right_id, each.below) for each in found.calls] == [
        ("arguments", "a", "b", 0),
        ("function", "a.3", "b.3", 1),
        ("arguments", "a.5", "b.5", 0),
        ("only in one", None, "b.7", 1),
        ("arguments", "a-p2", "b-p2", 0),
        ("only in one", None, "b-p3", 0),
    ]
    assert (found.calls[2].left, found.calls[2].right) == ("run load(3) resolved with 30", "run load(13) rejected with ValueError: no rows")
    assert all(each.left_s is None or each.left_s >= 0 for each in found.calls)
    assert found.alike == 3
    assert str(found).startswith("a and b differ in 6 calls, and are alike in 3. The first difference first:\n    a: run job(")
    assert "\n    b.7 only: run clean(5) resolved with 50 (and 1 below it)\n" in str(found)
    mirrored = diff(two, one)
    assert [(each.right_id, each.left_id, each.right, each.left, each.below) for each in mirrored.calls] == [
        (each.left_id, each.right_id, each.left, each.right, each.below) for each in found.calls
    ]
    assert not diff(one, one)
    assert str(diff(one, one)).startswith("the same run twice: 8 calls, the same outcomes.\na took 0.")


def test_what_is_said_of_many_differences_is_bounded() -> None:
    """A thousand differences are twenty lines and a count."""

    def load(ctx: Any, day: int) -> int:
        return day

    def job(ctx: Any, first: int) -> Any:
        for day in range(first, first + 200):
            yield ctx.run(load, day)

    with Resonate(log_level="CRITICAL") as client:
        client.register(job)
        client.run("a", "job", 0)
        client.run("b", "job", 5)
        found = diff(client.record("a"), client.record("b"))
    assert len(found.calls) == 201
    assert len(str(found).splitlines()) == limits.DIFFERENCES_SHOWN + 3
    assert "… 181 more" in str(found)
    huge = [dataclasses.replace(each, lineage=each.lineage and each.lineage._replace(name="x" * 10**6)) for each in found.left.promises]
    assert len(str(diff(dataclasses.replace(found.left, promises=tuple(huge)), found.right))) < 50_000


def test_the_ledger_of_a_real_file_is_not_written_by_a_replay(tmp_path: pathlib.Path) -> None:
    """The same with a ledger on the disk, as the chaos tests keep it."""
    from tests.chaos.ledger import Ledger as FileLedger

    ledger = FileLedger(tmp_path / "ledger")
    with Resonate(log_level="CRITICAL") as client:
        register(client, ledger)
        client.run("fan_out", "fan_out")
        before = lines_of(tmp_path / "ledger")
        replay(client.record("fan_out"), client).check()
    assert len(before) == 6
    assert lines_of(tmp_path / "ledger") == before
