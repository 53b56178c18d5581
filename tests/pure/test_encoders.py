"""Values are stored exactly or refused with the path of what cannot be, and reading whatever is stored runs nothing."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import importlib.util
import json
import math
import subprocess
import sys
import types
import zoneinfo
from abc import ABC, abstractmethod
from functools import partial
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from resonate.encoders import DEFAULT, FORMAT_HEADER, RemoteError, TextEncoder, encode_error, encoder_for
from resonate.errors import ResonateCanceledError, ResonateStoreError, ResonateTimedoutError, ValueNotStorable
from resonate.protocol import TRACEBACK_HEADER, VALUE_DEPTH_LIMIT


def round_trip(value: Any) -> Any:
    return DEFAULT.decode(DEFAULT.encode(value))


def same(left: Any, right: Any) -> bool:
    """Equal in value and in type, all the way down; not-a-number equals itself."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return (math.isnan(left) and math.isnan(right)) or (left == right and math.copysign(1, left) == math.copysign(1, right))
    if isinstance(left, decimal.Decimal):
        return str(left) == str(right)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(same(one, other) for one, other in zip(left, right, strict=True))
    if isinstance(left, dict):
        return len(left) == len(right) and all(
            same(one, other) and same(left[one], right[other]) for one, other in zip(left, right, strict=True)
        )
    if isinstance(left, (datetime.datetime, datetime.time)):
        return left == right and left.fold == right.fold and left.utcoffset() == right.utcoffset()
    if isinstance(left, BaseException):
        return same(left.args, right.args) and same(vars(left), vars(right))
    if dataclasses.is_dataclass(left):
        return all(same(getattr(left, each.name), getattr(right, each.name)) for each in dataclasses.fields(left))
    return bool(left == right)


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = None


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    parts: Any


class Awkward(Exception):
    def __init__(self, a: Any, *, b: Any) -> None:
        super().__init__(f"{a} and {b}")
        self.b = b


class Two(Exception):
    def __init__(self, a: int, b: int) -> None:
        super().__init__(a + b)


class NewFails(Exception):
    def __new__(cls, *args: Any) -> NewFails:  # noqa: PYI034
        raise RuntimeError("code of a class must not run when a value is read")


class Textless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


# ---- round trips -----------------------------------------------------------------------------------------------------------------

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals() | st.dates() | st.timedeltas()
    | st.datetimes(allow_imaginary=False) | st.times() | st.datetimes(timezones=st.just(datetime.UTC))
    | st.timezones().map(lambda _: datetime.timezone(datetime.timedelta(hours=2)))
)  # fmt: skip
keys = st.text() | st.integers() | st.none() | st.booleans() | st.floats(allow_nan=False)
hashable = st.integers() | st.text() | st.binary() | st.tuples(st.integers(), st.text()) | st.frozensets(st.integers())
values = st.recursive(
    scalars | st.sets(hashable) | st.frozensets(hashable),
    lambda inner: (
        st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(keys, inner, max_size=4)
        | st.dictionaries(st.sampled_from(["py/object", "py/reduce", "py/", "__error__", "a", ""]), inner, max_size=3)
        | st.builds(Point, inner, inner) | st.builds(Frozen, st.text(), inner) | st.builds(ValueError, inner) | st.builds(KeyError,
            inner, inner)
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(values)
@example({1: "a", "1": "b", None: 3, False: 4})
@example({"py/object": "posix.system"})
@example([-0.0, float("inf"), float("-inf"), float("nan")])
@example("\ud800 lone")
@example(datetime.datetime(2024, 10, 27, 2, 30, fold=1))  # noqa: DTZ001
@example(datetime.time(2, 30, fold=1))
def test_what_is_stored_comes_back(value: Any) -> None:
    """Every storable value comes back equal and of the same types, all the way down."""
    assert same(round_trip(value), value)


@settings(max_examples=150, deadline=None)
@given(values)
def test_other_languages_read_plain_json(value: Any) -> None:
    """Beside the exact form stands valid JSON without tags; not-a-number and the infinities are null there."""
    headers, data = DEFAULT.encode(value)
    json.loads(headers[FORMAT_HEADER])

    def refuse(name: str) -> None:
        raise AssertionError(name)

    assert data is None if value is None else isinstance(json.loads(data, parse_constant=refuse), object)


@pytest.mark.parametrize(
    ("value", "header", "data"),
    [
        (None, "null", None),
        ({"func": "n2", "args": (1,), "kwargs": {"b": 7}, "version": 3},
         '{"func": "n2", "args": {"py/tuple": [1]}, "kwargs": {"b": 7}, "version": 3}',
         '{"func": "n2", "args": [1], "kwargs": {"b": 7}, "version": 3}'),
        ((1, 2), '{"py/tuple": [1, 2]}', "[1, 2]"),
        ({1}, '{"py/set": [1]}', "[1]"),
        (KeyError("zz"), '{"py/reduce": [{"py/type": "builtins.KeyError"}, {"py/tuple": ["zz"]}, {}]}', '{"__error__": "\'zz\'"}'),
        ("中", '"\\u4e2d"', '"\\u4e2d"'),
    ],
)  # fmt: skip
def test_the_stored_form_is_that_of_0_6_7(value: Any, header: str, data: str | None) -> None:
    """The text that SDK 0.6.7 writes for its worked examples is the text that is written here."""
    assert DEFAULT.encode(value) == ({FORMAT_HEADER: header}, data)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_jsonpickle_reads_what_is_written() -> None:
    """A worker of 0.6.7, which decodes with jsonpickle, gets the same values."""
    jsonpickle = pytest.importorskip("jsonpickle")
    for value in ((1, (2, b"x")), {1, 2}, frozenset({3}), {1: "a", None: 2}, Point(1, (2,)),
                  datetime.datetime(2024, 1, 2, 3, tzinfo=datetime.UTC),
                  datetime.date(2024, 1, 2), datetime.timedelta(seconds=5), decimal.Decimal("1.50")):  # fmt: skip
        assert same(jsonpickle.decode(DEFAULT.encode(value)[0][FORMAT_HEADER]), value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_jsonpickle_writes_is_read() -> None:
    """Harmless values that a worker of 0.6.7 has stored come back exactly."""
    jsonpickle = pytest.importorskip("jsonpickle")
    for value in ((1, (2, b"x")), {1, 2}, frozenset({3}), Point(1, (2,)), datetime.datetime(2024, 1, 2, 3, tzinfo=datetime.UTC),
                  [KeyError("zz")],
                  datetime.date(2024, 1, 2), datetime.time(1, 2), datetime.timedelta(seconds=5), decimal.Decimal("1.50"),
                  {"a": [1, None]}):  # fmt: skip
        assert same(DEFAULT.decode(({FORMAT_HEADER: jsonpickle.encode(value)}, None)), value)


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        ((None, None), None), (({}, None), None), (({FORMAT_HEADER: "null"}, "5"), 5), ((None, '{"a": 1}'), {"a": 1}),
        (({"other": "x"}, "[1]"), [1]), (({FORMAT_HEADER: "7"}, "8"), 7),
    ],
)  # fmt: skip
def test_the_exact_form_wins_over_the_plain_one(stored: Any, value: Any) -> None:
    """The header counts, then the data, then None."""
    assert DEFAULT.decode(stored) == value


def test_a_foreign_error_is_an_exception() -> None:
    """`{"__error__": text}` from another language is read as an Exception with that text."""
    error = DEFAULT.decode((None, '{"__error__": "broken"}'))
    assert same(error, Exception("broken"))


# ---- what cannot be stored -------------------------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = 1


class Text(str):
    __slots__ = ()


class Table:
    def to_dict(self) -> dict[str, Any]:
        return {}


circle: list[Any] = []
circle.append({"inner": circle})
deep: list[Any] = []
for _ in range(VALUE_DEPTH_LIMIT + 5):
    deep = [deep]


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (object(), "$ is an `object`"), ([1, {"a": (2, object())}], "$[1].a[1] is an `object`"),
        ({(1, 2): 3}, "$ has the key (1, 2), a `tuple`"),
        ({"rows": [0, {b"k": 1}]}, "$.rows[1] has the key b'k'"), (circle, "$[0].inner holds itself"),
        (deep, "nested deeper than 200"),
        ([Point(1, object())], "$[0].y is an `object`"), (Colour.RED, "$ is a `Colour`"), ([Text("a")], "$[0] is a `Text`"),
        (1j, "$ is a `complex`"),
        (bytearray(b"a"), "$ is a `bytearray`"), (range(3), "$ is a `range`"),
        ({"f": len}, "$.f is a `builtin_function_or_method`"),
        ((each for each in ()), "$ is a `generator`"), ({1: object()}, "$[1] is an `object`"), ({"t": Table()}, ".to_dict()"),
        ([Point], "$[0] is a `type`"),
        ({object()}, "$"), (datetime.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC")), "$.tzinfo is a `ZoneInfo`"),
        ([10**5000], "cannot be stored"),
        (10**5000, "$ cannot be stored"), ([types.SimpleNamespace(a=1)], "$[0] is a `SimpleNamespace`"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)  # fmt: skip
def test_what_cannot_be_stored_is_named_by_its_path(value: Any, path: str) -> None:
    """A value that would lose something is refused, and the message names where it is."""
    with pytest.raises(ValueNotStorable) as caught:
        DEFAULT.encode(value)
    assert path in str(caught.value)


def test_a_refused_value_is_a_type_error() -> None:
    """Whoever catches TypeError, as `json.dumps` raises it, catches this too."""
    assert issubclass(ValueNotStorable, TypeError)


def test_an_object_twice_in_a_value_is_no_circle() -> None:
    """The same list at two places is stored at both."""
    inner = [1]
    assert round_trip([inner, inner, {"a": inner}]) == [[1], [1], {"a": [1]}]


def local_dataclass() -> Any:
    @dataclasses.dataclass
    class Inner:
        a: int

    return Inner(1)


@dataclasses.dataclass
class Grown:
    a: int


@dataclasses.dataclass
class Tagged(dict):  # type: ignore[type-arg]
    label: str = ""


@dataclasses.dataclass
class Number(int):
    label: str = ""


def grown() -> Any:
    value = Grown(1)
    value.extra = 2  # type: ignore[attr-defined]
    return value


def tagged() -> Any:
    value = Tagged("t")
    value["inside"] = 1
    return value


@pytest.mark.parametrize("make", [local_dataclass, grown, tagged, Number])
def test_a_dataclass_is_exact_or_refused(make: Any) -> None:
    """A dataclass that could not come back as it is (a local class, more than its fields, a dict beneath) is refused, never thinned out."""
    value = make()
    try:
        stored = DEFAULT.encode(value)
    except ValueNotStorable:
        return
    back = DEFAULT.decode(stored)
    assert type(back) is type(value)
    assert back == value
    assert vars(back) == vars(value)


# ---- errors ----------------------------------------------------------------------------------------------------------------------


def returned(error: BaseException) -> Any:
    try:
        raise error
    except BaseException as raised:  # as the runtime does, with a traceback on it
        return DEFAULT.decode(encode_error(raised, DEFAULT))


@pytest.mark.parametrize(
    "error",
    [
        ValueError(), ValueError("x", 1, (2,)), KeyError(("a", 1)), OSError(2, "No such file"), FileNotFoundError(2, "gone", "f"),
        Awkward(1, b=2), Two(1, 2),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), StopIteration(5), ExceptionGroup("many", [ValueError(1), KeyError("k")]),
        ImportError("m"),
        ResonateCanceledError("p"), ResonateTimedoutError("p", 1.5), ResonateStoreError("text", 40400),
        json.JSONDecodeError("m", "doc", 2),
        AssertionError(), RuntimeError(Point(1, 2)), SyntaxError("m", ("f", 1, 2, "t")), zoneinfo.ZoneInfoNotFoundError("z"),
        TimeoutError("t"),
    ],
    ids=repr,
)  # fmt: skip
def test_errors_keep_type_arguments_text_and_attributes(error: Exception) -> None:
    """An error arrives with its type, arguments, attributes and text, however its constructor looks like."""
    back = returned(error)
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert len(back.args) == len(error.args)
    assert vars(back).keys() == vars(error).keys()
    if not isinstance(error, (ExceptionGroup, RuntimeError)):
        assert back.args == error.args
        assert vars(back) == vars(error)
    for name in ("errno", "filename", "reason", "value", "exceptions", "lineno", "start"):
        assert type(getattr(back, name, None)) is type(getattr(error, name, None))


def test_notes_travel_with_an_error() -> None:
    """What was added by `add_note` is there on the other side."""
    error = ValueError("x")
    error.add_note("while reading day 3")
    assert returned(error).__notes__ == ["while reading day 3"]


def test_an_error_of_an_unknown_class_keeps_its_name_and_text() -> None:
    """A class that is not imported here arrives as RemoteError, which names it."""
    text = '{"py/reduce": [{"py/type": "far.away.Broken"}, {"py/tuple": ["it broke", 3]}, {}]}'
    error = DEFAULT.decode(({FORMAT_HEADER: text}, None))
    assert isinstance(error, RemoteError)
    assert (error.type_name, str(error)) == ("Broken", "Broken: it broke, 3")


def test_arguments_that_cannot_be_stored_become_the_text() -> None:
    """An error arrives in any case; what of it cannot be stored is left out."""
    error = ValueError("bad", object())
    error.thing = object()  # type: ignore[attr-defined]
    error.kept = 1  # type: ignore[attr-defined]
    back = returned(error)
    assert type(back) is ValueError
    assert back.args == (str(error),)
    assert vars(back) == {"kept": 1}


def test_errors_without_a_text_can_be_stored() -> None:
    """An error whose `__str__` fails is stored all the same."""
    assert type(returned(Textless(1))) is Textless


def test_errors_that_go_round_in_a_circle_can_be_stored() -> None:
    """An error that holds itself is stored without that."""
    error = ValueError("x")
    error.itself = error  # type: ignore[attr-defined]
    assert returned(error).args == ("x",)


def test_a_stored_error_carries_its_traceback_as_text() -> None:
    """Readers who want to know where it happened find the text beside the value, bounded."""
    try:
        raise ValueError("x" * 20_000)
    except ValueError as error:
        headers, _ = encode_error(error, DEFAULT)
    assert "x" * 100 in headers[TRACEBACK_HEADER]
    assert len(headers[TRACEBACK_HEADER]) <= 8_000


# ---- hostile and damaged text ----------------------------------------------------------------------------------------------------

ran: list[str] = []
REDUCE = {"py/reduce": [{"py/type": "os.system"}, {"py/tuple": ["echo hacked"]}]}


class Trap:
    """Whatever Python code of this class runs when a value is read is found in `ran`."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Trap:  # noqa: PYI034
        ran.append("new")
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        ran.append("init")

    def __setstate__(self, state: Any) -> None:
        ran.append("setstate")


class TrapError(Exception):
    def __init__(self, *args: Any) -> None:
        ran.append("error init")

    def __setstate__(self, state: Any) -> None:
        ran.append("error setstate")

    def __setattr__(self, name: str, value: Any) -> None:
        ran.append("error setattr")

    def __str__(self) -> str:
        ran.append("error str")
        return ""

    def __reduce__(self) -> Any:
        ran.append("error reduce")
        return ()


@dataclasses.dataclass
class TrapData:
    x: int

    def __post_init__(self) -> None:
        ran.append("post init")

    def __setattr__(self, name: str, value: Any) -> None:
        ran.append("setattr")


@dataclasses.dataclass
class TrapBase(ABC):
    x: int

    @abstractmethod
    def stay(self) -> None: ...


HERE = __name__
PAYLOADS: list[Any] = [
    REDUCE,
    {"py/reduce": [{"py/function": "os.system"}, {"py/tuple": ["echo hacked"]}]},
    {"py/reduce": [{"py/type": "subprocess.Popen"}, {"py/tuple": [["true"]]}]},
    {"py/reduce": [{"py/type": "builtins.eval"}, {"py/tuple": ["__import__('os').system('true')"]}]},
    {"py/reduce": [{"py/type": "builtins.exec"}, {"py/tuple": ["x=1"]}, None, None, None]},
    {"py/reduce": [{"py/type": "builtins.open"}, {"py/tuple": ["/etc/passwd"]}]},
    {"py/reduce": [{"py/type": "builtins.getattr"}, {"py/tuple": ["x", "y"]}]},
    {"py/reduce": [{"py/type": "os._wrap_close"}, {"py/tuple": ["x", "y"]}]},
    {"py/reduce": [{"py/type": "pathlib.Path"}, {"py/tuple": ["/"]}, {"x": 1}]},
    {"py/reduce": [{"py/type": "builtins.ValueError"}, {"py/tuple": [REDUCE]}, {"a": REDUCE, "__class__": 1}]},
    {"py/reduce": [{"py/type": "builtins.SystemExit"}, {"py/tuple": [1]}]},
    {"py/reduce": [{"py/type": "builtins.KeyboardInterrupt"}, {"py/tuple": []}]},
    {"py/reduce": [{"py/type": "builtins.BaseException"}, {"py/tuple": []}]},
    {"py/reduce": [{"py/type": "builtins.OSError"}, {"py/tuple": [2, "x"]}, {"errno": {"py/object": "os.system"}}]},
    {"py/reduce": [{"py/type": f"{HERE}.TrapError"}, {"py/tuple": [1]}, {"a": 1}]},
    {"py/reduce": [{"py/type": f"{HERE}.NewFails"}, {"py/tuple": [1]}, {}]},
    {"py/reduce": [{"py/type": f"{HERE}.Trap"}, {"py/tuple": [1]}, {"a": 1}]},
    {"py/object": "os.system"}, {"py/object": "os._Environ", "data": {}}, {"py/object": "subprocess.Popen", "args": ["true"]},
    {"py/object": f"{HERE}.Trap", "x": 1}, {"py/object": f"{HERE}.Trap", "py/newargs": {"py/tuple": [1]}},
    {"py/object": f"{HERE}.Trap", "py/state": {"a": 1}},
    {"py/object": f"{HERE}.Trap", "py/newargsex": {"py/tuple": [{"py/tuple": []}, {}]}},
    {"py/object": f"{HERE}.Trap", "py/initargs": [1]},
    {"py/object": f"{HERE}.TrapData", "x": REDUCE}, {"py/object": f"{HERE}.TrapBase", "x": 1},
    {"py/object": f"{HERE}.Tagged", "label": 1},
    {"py/object": "builtins.ValueError", "args": [1]}, {"py/object": "__main__.anything"}, {"py/object": "antigravity.x"},
    {"py/object": ""}, {"py/object": None},
    {"py/type": "os.system"}, {"py/type": "antigravity"}, {"py/type": f"{HERE}.Trap"}, {"py/function": "os.system"},
    {"py/module": "antigravity"},
    {"py/repr": "os/os.system('true')"}, {"py/repr": "__import__('os')"}, {"py/iterator": [1, 2]}, {"py/id": 1}, {"py/ref": "/"},
    {"py/ref": 5},
    {"py/bytes": "x"}, {"py/b85": "x"}, {"py/property": "x"}, {"py/seq": [1]}, {"py/state": REDUCE}, {"py/method": "x"},
    {"py/unknown": 1},
    {"py/tuple": [{"py/id": 1}]}, {"py/set": [[1]]}, {"py/set": [{"py/set": []}]}, {"py/tuple": 5}, {"py/set": None}, {"py/b64": 5},
    {"py/b64": "*"},
    {"py/reduce": []}, {"py/reduce": [None]}, {"py/reduce": [{"py/type": 5}, {"py/tuple": []}]}, {"py/reduce": 3},
    {"py/reduce": [{"py/type": "builtins.dict"}, 5]},
    {"py/reduce": [{"py/type": "builtins.dict"}, {"py/tuple": [5]}]},
    {"py/reduce": [{"py/type": "builtins.frozenset"}, {"py/tuple": [[[]]]}]},
    {"py/reduce": [{"py/type": "decimal.Decimal"}, {"py/tuple": ["x"]}]},
    {"py/reduce": [{"py/type": "datetime.timedelta"}, {"py/tuple": [1e300]}]},
    {"py/reduce": [{"py/type": "builtins.ValueError"}, {"py/tuple": [1]}, {"py/tuple": [1]}]},
    {"py/reduce": [{"py/type": "builtins.ValueError"}, {"py/tuple": [1]}, {"py/set": [1]}]},
    {"py/reduce": [{"py/type": "builtins.ValueError"}, {"py/tuple": [1]}, {"py/b64": "AAAA"}]},
    {"py/reduce": [{"py/type": "far.Away"}, {"py/tuple": [{"py/reduce": [{"py/type": f"{HERE}.Textless"}, {"py/tuple": [1]}]}]}]},
    {"py/object": "datetime.datetime", "__reduce__": [{"py/type": "datetime.datetime"}, ["AAAA"]]},
    {"py/object": "datetime.date", "__reduce__": 5},
    {"py/object": "datetime.datetime", "__reduce__": [0, []]}, {"py/object": "datetime.time", "__reduce__": [0, [5, 6]]},
    {"py/object": "datetime.datetime", "__reduce__": [{"py/type": "os.system"}, ["B+gBAgMEBQAAAA==", REDUCE]]},
    {"json://1": REDUCE}, {"__reduce__": REDUCE, "py/object": f"{HERE}.Point"}, {"py/object": f"{HERE}.Point", "x": REDUCE},
]  # fmt: skip

WATCHED = ("import", "exec", "compile", "open", "os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen",
           "socket.connect", "pty.spawn",
           "os.listdir", "os.scandir", "marshal.loads", "pickle.find_class", "object.__setattr__", "ctypes.dlopen")  # fmt: skip
watching: list[str] | None = None


def audit(event: str, arguments: tuple[Any, ...]) -> None:
    if watching is not None and event in WATCHED:
        watching.append(event)


sys.addaudithook(audit)


def decode_watched(stored: Any) -> tuple[Any, list[str]]:
    """(what came of it, what was run meanwhile)."""
    global watching  # noqa: PLW0603
    ran.clear()
    watching = []
    try:
        outcome = DEFAULT.decode(stored)
    except ValueError as error:
        outcome = error
    finally:
        seen, watching = watching, None
    return outcome, seen + ran


def positions(payload: Any) -> list[Any]:
    error = {"py/reduce": [{"py/type": "builtins.ValueError"}, {"py/tuple": [payload]}, {"cause": payload}]}
    return [payload, [1, payload], {"a": payload}, {"py/tuple": [payload]}, {"py/set": [payload]}, error,
            {"py/object": f"{HERE}.Point", "x": payload}]


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda payload: json.dumps(payload)[:60])
def test_reading_runs_nothing(payload: Any) -> None:
    """Whatever a stored value asks for, wherever in it: no import, no file, no process, no code of any class; a value or ValueError."""
    twin = json.dumps({"plain": True})
    for value in positions(payload):
        for stored in (({FORMAT_HEADER: json.dumps(value)}, twin), ({FORMAT_HEADER: json.dumps(value)}, None),
                       (None, json.dumps(value))):
            outcome, seen = decode_watched(stored)
            assert not seen
            assert not isinstance(outcome,
                                  (types.FunctionType, types.BuiltinFunctionType, types.ModuleType, Trap, SystemExit,
                                   KeyboardInterrupt))


def test_the_watch_sees_what_would_be_run() -> None:
    """The audit hook itself works: jsonpickle, which runs code, is seen doing so."""
    global watching  # noqa: PLW0603
    watching = []
    compile("1", "f", "eval")
    seen, watching = watching, None
    assert seen


def test_unfamiliar_values_fall_back_to_plain_json(caplog: pytest.LogCaptureFixture) -> None:
    """What the safe reader does not know is read in its plain form, and the log says so."""
    with caplog.at_level("WARNING", logger="resonate"):
        assert DEFAULT.decode(({FORMAT_HEADER: json.dumps({"py/object": "os.system"})}, '{"plain": true}')) == {"plain": True}
    assert "os.system" in caplog.text


def test_what_is_no_error_is_never_read_as_one() -> None:
    """A reduced value of a class that is not imported, with a plain form that is no error, is read in its plain form."""
    text = '{"py/reduce": [{"py/type": "far.away.Fraction"}, {"py/tuple": ["1/3"]}]}'
    assert DEFAULT.decode(({FORMAT_HEADER: text}, '"1/3"')) == "1/3"


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
        for payload in ({"py/object": f"{name}.Thing"}, {"py/reduce": [{"py/type": f"{name}.Thing"}, {"py/tuple": []}]}):
            _, seen = decode_watched(({FORMAT_HEADER: json.dumps(payload)}, None))
            assert not seen
    finally:
        del sys.modules[name]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["builtins.ValueError", "builtins.dict", "datetime.date", f"{HERE}.Point", "os.system", "QUFBQQ=="]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["py/tuple", "py/set", "py/reduce", "py/object", "py/type", "py/b64", "__reduce__", "x", "__error__"]),
        inner, max_size=3),
    max_leaves=10,
)  # fmt: skip
damaged = st.text(max_size=30) | json_values.map(json.dumps) | st.sampled_from(["{", '"', "nul", "[" * 100_000, "9" * 5000,
    "\ufeff1", "NaN", "{}{}"])


@settings(max_examples=400, deadline=None)
@given(header=st.none() | damaged, data=st.none() | damaged)
@example(header='{"py/reduce": [{"py/type": "builtins.ValueError"}, {"py/tuple": [1]}, {"py/tuple": [1]}]}', data=None)
@example(header='{"py/object": "' + HERE + '.Tagged", "label": 1}', data=None)
@example(header='{"py/tuple": ' * 1000 + "1" + "}" * 1000, data=None)
def test_damaged_text_is_a_value_or_a_value_error(header: str | None, data: str | None) -> None:
    """Whatever text is stored, reading it gives a value or ValueError, nothing else."""
    try:
        DEFAULT.decode(({FORMAT_HEADER: header} if header is not None else None, data))
    except ValueError:
        pass


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
    done = subprocess.run([sys.executable, "-c", code], input=json.dumps(texts), capture_output=True, text=True, timeout=60,
                          check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
    assert "hacked" not in done.stdout + done.stderr


# ---- the user's own encoders -----------------------------------------------------------------------------------------------------


class Hex:
    def encode(self, obj: Any, /) -> Any:
        return str(obj).encode().hex()

    def decode(self, obj: Any, /) -> Any:
        return bytes.fromhex(obj).decode()


def test_a_users_encoder_writes_the_data_alone() -> None:
    """With an encoder of one's own there are no headers, and it reads what it wrote."""
    encoder = encoder_for(Hex())
    assert encoder.encode("ab") == (None, "6162")
    assert encoder.decode((None, "6162")) == "ab"
    assert encoder_for(None) is DEFAULT


def test_a_users_encoder_must_give_text() -> None:
    """An encoder that gives anything but text or None is told so."""

    class Wrong(Hex):
        def encode(self, obj: Any, /) -> Any:
            return base64.b64encode(b"x")

    with pytest.raises(ValueNotStorable, match=r"Wrong\.encode must give `str` or None, it gave bytes"):
        TextEncoder(Wrong()).encode(1)


def test_an_error_is_stored_even_if_the_encoder_fails() -> None:
    """Where the user's encoder cannot store an error, its text is stored."""

    class Fails(Hex):
        encode = partial(lambda obj: 1 / 0)

    _, data = encode_error(ValueError("text"), encoder_for(Fails()))
    assert json.loads(data) == {"__error__": "text"}
