"""Reading a stored value never runs code, whatever is stored and wherever it stands."""

from __future__ import annotations

import importlib.util
import json
import logging
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from payloads import BOMBS, CALLS, HERE, PAYLOADS, REDUCE, Trap, reduced
from watch import read_watched, watched

from resonate import Resonate
from resonate.encoders import DEFAULT, FORMAT_HEADER, Base64Encoder, CombinedEncoder, JsonEncoder, JsonPickleEncoder
from resonate.errors import RemoteError
from resonate.retry_policies import Never

SLOW_S = 5.0
"""A value that takes longer to be read is itself an attack."""
FORBIDDEN = (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, Trap, SystemExit, KeyboardInterrupt)


def short(payload: Any) -> str:
    return json.dumps(payload)[:60]


def positions(payload: Any) -> list[Any]:
    error = {"py/reduce": [{"py/type": "builtins.ValueError"}, {"py/tuple": [payload]}, {"cause": payload}]}
    return [payload, [1, payload], {"a": payload}, {"py/tuple": [payload]}, {"py/set": [payload]}, error,
            {"py/object": f"{HERE}.Plain", "x": payload}, reduced("builtins.dict", [[1, payload]])]  # fmt: skip


@pytest.mark.parametrize("payload", PAYLOADS, ids=short)
def test_reading_runs_nothing(payload: Any) -> None:
    """Whatever a stored value asks for, wherever in it: no import, no file, no process, no code of any class; a value or ValueError."""
    twin = json.dumps({"plain": True})
    for value in positions(payload):
        text = json.dumps(value)
        for headers, data in (({FORMAT_HEADER: text}, twin), ({FORMAT_HEADER: text}, None), (None, text)):
            outcome, seen = read_watched(headers, data)
            assert not seen
            assert not isinstance(outcome, FORBIDDEN)


@pytest.mark.parametrize("encoder", [JsonPickleEncoder(), JsonEncoder(), CombinedEncoder(JsonPickleEncoder(), Base64Encoder())], ids=repr)
def test_no_encoder_runs_anything(encoder: Any) -> None:
    """The encoders that users put their own together from are as harmless."""
    for payload in PAYLOADS:
        text = json.dumps(payload)
        stored = Base64Encoder().encode(text) if isinstance(encoder, CombinedEncoder) else text
        assert watched(lambda stored=stored: encoder.decode(stored))[1] == []


def test_the_watch_sees_what_would_be_run() -> None:
    """The watch itself works: jsonpickle, which does what a text asks for, is seen doing so, and so are the traps."""
    jsonpickle = pytest.importorskip("jsonpickle")
    asked = [reduced("builtins.eval", "1 + 1"), {"py/object": f"{HERE}.TrapData", "x": 1}, {"py/object": f"{HERE}.Trap", "x": 1}]
    for payload in asked:
        assert watched(lambda payload=payload: jsonpickle.decode(json.dumps(payload)))[1]


@pytest.fixture
def client() -> Iterator[Resonate]:
    with Resonate.local(log_level=logging.CRITICAL) as resonate:
        yield resonate


@pytest.mark.parametrize("position", ["value", "error", "param", "awaited"])
def test_a_live_client_survives_every_payload(client: Resonate, position: str) -> None:
    """As the value or error of a promise, as what a worker is asked to do, or awaited by a run, no payload runs code or harms others."""

    @client.register
    def waits(ctx: Any, promise_id: str) -> Any:
        promise = yield ctx.promise(id=promise_id)
        try:
            return type((yield promise)).__name__
        except Exception as error:
            return str(error)[:40]

    @client.register
    def sound(ctx: Any) -> str:
        return "sound"

    def play(number: int, payload: Any) -> None:
        name, headers = f"{position}.{number}", {FORMAT_HEADER: json.dumps(payload)}
        if position == "param":
            client.promises.create(name, 2**43, headers=headers, data='{"func": 1}', tags={"resonate:invoke": "poll://any@default"})
            with pytest.raises(Exception):  # noqa: B017, PT011 (any error at all, but an error)
                client.get(name).result(timeout=10)
        elif position == "awaited":
            handle = client.begin_run(f"run.{number}", waits, name)
            while not client.promises.search(name).promises:
                time.sleep(0.001)
            client.promises.resolve(name, headers=headers, data='"twin"')
            assert isinstance(handle.result(timeout=10), str)
        else:
            client.promises.create(name, 2**43)
            (client.promises.resolve if position == "value" else client.promises.reject)(name, headers=headers, data='"twin"')
            future = client.get(name).future
            outcome = future.exception(timeout=10) or future.result()
            assert not isinstance(outcome, FORBIDDEN)

    sound.run("before")
    for number, payload in enumerate(PAYLOADS):
        assert watched(lambda number=number, payload=payload: play(number, payload), elsewhere=True)[1] == []
    assert sound.run("after") == "sound"


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_a_value_or_a_value_error_in_time(name: str) -> None:
    """Text that is deep, long, repeated or damaged is read or refused in seconds, as the exact form and as the plain one."""
    began_s = time.monotonic()
    for headers, data in (({FORMAT_HEADER: BOMBS[name]}, None), (None, BOMBS[name]), ({FORMAT_HEADER: BOMBS[name]}, BOMBS[name])):
        outcome, seen = read_watched(headers, data)
        assert not seen
        if name.startswith(("deep", "unclosed", "repeated", "one hash", "long n")):
            assert isinstance(outcome, ValueError) or data is not None
    assert time.monotonic() - began_s < SLOW_S


@pytest.mark.parametrize("name", ["deep lists", "deep tags", "long number", "byte order mark", "unclosed"])
def test_a_bomb_fails_whoever_awaits_it_alone(client: Resonate, name: str) -> None:
    """A promise that was settled with a bomb fails the run that awaits it, with an error; a run beside it goes on."""

    @client.register
    def waits(ctx: Any, promise_id: str) -> Any:
        return (yield (yield ctx.promise(id=promise_id)))

    beside, struck = client.begin_run("beside", waits, "calm"), client.begin_run("struck", waits, "bomb")
    while len(client.promises.search("*", state="pending").promises) < 4:
        time.sleep(0.001)
    client.promises.resolve("bomb", headers={FORMAT_HEADER: BOMBS[name]})
    assert isinstance(struck.future.exception(timeout=10), ValueError)
    client.promises.resolve("calm", data="1")
    assert beside.result(timeout=10) == 1


def test_unfamiliar_values_fall_back_to_plain_json_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    """What is not on the reader's list is read in its plain form, and the log says so once for each name."""
    stored = ({FORMAT_HEADER: json.dumps({"py/object": "some.unheard.Thing"})}, '{"plain": true}')
    with caplog.at_level("WARNING", logger="resonate"):
        assert [DEFAULT.decode(stored) for _ in range(3)] == [{"plain": True}] * 3
    assert [record.getMessage().count("some.unheard.Thing") for record in caplog.records] == [1]


def test_what_is_no_error_is_never_read_as_one() -> None:
    """A reduced value of a class that is not imported, with a plain form that is no error, is read in its plain form."""
    assert DEFAULT.decode(({FORMAT_HEADER: json.dumps(reduced("far.away.Fraction", "1/3"))}, '"1/3"')) == "1/3"
    assert isinstance(DEFAULT.decode(({FORMAT_HEADER: json.dumps(reduced("far.away.Bad", "x", more=({},)))}, None)), RemoteError)


def test_reading_never_wakes_a_lazy_module() -> None:
    """A module that stands in `sys.modules` but is loaded on first touch stays unloaded."""
    name = "lazily_loaded_for_this_test"
    spec = importlib.util.find_spec("colorsys")
    assert spec is not None
    assert spec.loader is not None
    spec.name = name
    loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    spec.loader = loader
    sys.modules[name] = module
    try:
        loader.exec_module(module)
        for payload in ({"py/object": f"{name}.Thing"}, reduced(f"{name}.Thing")):
            assert read_watched({FORMAT_HEADER: json.dumps(payload)}, None)[1] == []
    finally:
        del sys.modules[name]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["builtins.ValueError", "builtins.dict", "datetime.date", f"{HERE}.Plain", "os.system", "QUFBQQ=="]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["py/tuple", "py/set", "py/reduce", "py/object", "py/type", "py/b64", "py/id", "py/newargs", "py/state",
                         "__reduce__", "x", "__error__"]),
        inner, max_size=3),
    max_leaves=10,
)  # fmt: skip
damaged = st.text(max_size=30) | json_values.map(json.dumps) | st.sampled_from(["{", '"', "nul", "[" * 100_000, "9" * 5000, "{}{}"])


@settings(max_examples=600, deadline=None)
@given(header=st.none() | damaged, data=st.none() | damaged)
@example(header=json.dumps(reduced("builtins.ValueError", 1, more=({"py/tuple": [1]},))), data=None)
@example(header='{"py/tuple": ' * 1000 + "1" + "}" * 1000, data=None)
def test_damaged_text_is_a_value_or_a_value_error(header: str | None, data: str | None) -> None:
    """Whatever text is stored, reading it gives a value or ValueError, nothing else, and runs nothing."""
    assert read_watched({FORMAT_HEADER: header} if header is not None else None, data)[1] == []


def test_hostile_values_do_no_harm_in_a_fresh_process() -> None:
    """In a process of its own, decoding every payload imports no module and leaves the process as it was."""
    texts = [json.dumps(payload) for payload in PAYLOADS]
    code = (
        "import sys, json; from resonate.encoders import DEFAULT; texts = json.load(sys.stdin); before = set(sys.modules)\n"
        "for text in texts:\n"
        "    try: DEFAULT.decode(({'resonate:format-py': text}, None))\n"
        "    except ValueError: pass\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], input=json.dumps(texts), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
    assert "hacked" not in done.stdout + done.stderr


def test_there_are_enough_payloads() -> None:
    """The library of payloads covers calls, errors, objects, collections and tags, and none of them stands twice."""
    assert len({json.dumps(payload) for payload in PAYLOADS}) == len(PAYLOADS) >= 60


# ---- a worker does only what is registered with it -------------------------------------------------------------------------------------

ASKED: list[Any] = [
    None, 5, "text", [], {}, {"func": None}, {"func": 5}, {"func": ["known"]}, {"func": ""}, {"func": "KNOWN"}, {"func": "known "},
    {"func": "known\x00"}, {"func": "unknown"}, {"func": "os.system", "args": ["true"]}, {"func": "builtins.eval", "args": ["1"]},
    {"func": "__main__.known"}, {"func": "known", "version": 99}, {"func": "known", "version": -1}, {"func": "known.__globals__"},
    {"func": "known", "args": 5}, {"func": "known", "kwargs": 5}, {"func": "known", "args": "ab"}, {"func": "known", "args": [1, 2, 3, 4]},
    {"func": "known", "kwargs": {"no_such": 1}}, {"func": "known", "kwargs": [1]}, {"func": "known", "args": [1], "kwargs": {"x": 1}},
    {"func": "known", "kwargs": {"ctx": 1}}, {"func": {"py/function": "os.system"}}, {"func": REDUCE}, {"module": "os", "name": "system"},
    {"func": "known", "args": {"py/tuple": [REDUCE, REDUCE]}},
]  # fmt: skip


@pytest.mark.parametrize("asked", ASKED, ids=short)
def test_a_worker_runs_nothing_but_what_is_registered(client: Resonate, asked: Any) -> None:
    """A promise that asks for anything but a call that fits a registered function is rejected, and the worker goes on."""
    calls: list[Any] = []

    def known(ctx: Any, x: Any = None) -> str:
        calls.append(x)
        return "called"

    client.register(known)
    client.promises.create("asked", 2**43, data=json.dumps(asked), tags={"resonate:invoke": "poll://any@default"})
    with pytest.raises(Exception) as caught:  # noqa: PT011 (any error at all)
        client.options(retry_policy=Never()).get("asked").result(timeout=10)
    assert str(caught.value)
    assert calls == []
    assert client.run("after", known) == "called"


def test_only_the_opt_in_unpickles(tmp_path: Path) -> None:
    """The payloads that ask for a call are harmless to the encoder with a key, too: what is not signed is not unpickled."""
    from resonate.encoders import PickleEncoder

    signed = PickleEncoder(b"key")
    for payload in CALLS:
        assert watched(lambda payload=payload: signed.decode(({FORMAT_HEADER: json.dumps(payload)}, '"twin"')))[1] == []
