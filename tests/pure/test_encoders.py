"""Values are stored exactly or refused with the path of what cannot be, and reading whatever is stored runs nothing."""

from __future__ import annotations

import base64
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import json
import math
import pathlib
import random
import types
import uuid
import zoneinfo
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from resonate import Resonate
from resonate.classes import has_zone
from resonate.encoders import (
    DEFAULT,
    FORMAT_HEADER,
    Base64Encoder,
    CombinedEncoder,
    HeaderEncoder,
    JsonEncoder,
    JsonPickleEncoder,
    NoopEncoder,
    PairEncoder,
    PickleEncoder,
    TextEncoder,
    encode_error,
    encoder_for,
)
from resonate.errors import (
    CodeChanged,
    RemoteError,
    RemoteTraceback,
    ResonateCanceledError,
    ResonateStoreError,
    ResonateTimedoutError,
    ValueNotStorable,
)
from resonate.limits import VALUE_DEPTH_LIMIT
from resonate.models.encoder import Encoder
from resonate.protocol import TRACEBACK_HEADER
from resonate.retry_policies import Never


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
    if isinstance(left, (list, tuple, collections.deque)):
        return len(left) == len(right) and all(same(one, other) for one, other in zip(left, right, strict=True))
    if isinstance(left, dict):
        return len(left) == len(right) and all(
            same(one, other) and same(left[one], right[other]) for one, other in zip(left, right, strict=True)
        )
    if isinstance(left, (datetime.datetime, datetime.time)):
        # As Python has it, a time that is twice or never in a zone is equal to none of another object; so its parts are compared.
        return left.replace(tzinfo=None) == right.replace(tzinfo=None) and left.fold == right.fold and repr(left) == repr(right)
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


class Textless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Colour(enum.Enum):
    RED = 1
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


class Pair(NamedTuple):
    left: Any
    right: Any


# ---- round trips -----------------------------------------------------------------------------------------------------------------

ZONES = sorted(filter(has_zone, zoneinfo.available_timezones()))  # what hypothesis would draw from the package `tzdata` alone is refused
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals() | st.dates() | st.timedeltas()
    | st.datetimes(allow_imaginary=False) | st.times() | st.datetimes(timezones=st.just(datetime.UTC))
    | st.datetimes(timezones=st.sampled_from(ZONES).map(zoneinfo.ZoneInfo)) | st.sampled_from([*Colour, Level.LOW])
    | st.integers(-23, 23).map(lambda hours: datetime.timezone(datetime.timedelta(hours=hours)))
    | st.fractions() | st.uuids() | st.ip_addresses() | st.complex_numbers(allow_nan=False) | st.binary().map(bytearray)
    | st.builds(range, st.integers(), st.integers(), st.integers(1)) | st.text("ab/.", max_size=9).map(pathlib.PurePosixPath)
)  # fmt: skip
keys = st.text() | st.integers() | st.none() | st.booleans() | st.floats(allow_nan=False)
hashable = st.integers() | st.text() | st.binary() | st.tuples(st.integers(), st.text()) | st.frozensets(st.integers())
values = st.recursive(
    scalars | st.sets(hashable) | st.frozensets(hashable),
    lambda inner: (
        st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(keys, inner, max_size=4)
        | st.dictionaries(st.sampled_from(["py/object", "py/reduce", "py/", "__error__", "a", ""]), inner, max_size=3)
        | st.builds(Pair, inner, inner) | st.lists(inner, max_size=3).map(lambda items: collections.deque(items, maxlen=5))
        | st.dictionaries(keys, inner, max_size=3).map(collections.OrderedDict)
        | st.dictionaries(keys, inner, max_size=3).map(lambda items: collections.defaultdict(list, items))
        | st.lists(hashable, max_size=4).map(lambda items: collections.Counter(map(str, items)))
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


def test_a_zone_that_only_a_package_has_is_refused(tmp_path: Path) -> None:
    """Reading imports no package, so a zone that the system's own database lacks is refused, with its name and what mends it."""
    zone = zoneinfo.ZoneInfo(ZONES[0])
    zoneinfo.reset_tzpath(to=[tmp_path])
    try:
        with pytest.raises(ValueNotStorable, match=rf"^\$\.at\.tzinfo is the time zone '{ZONES[0]}', which .* lacks\. .* apt install"):
            DEFAULT.encode({"at": datetime.datetime(2024, 7, 1, tzinfo=zone)})
    finally:
        zoneinfo.reset_tzpath()


def invented(chance: random.Random, depth: int = 0) -> Any:
    """Some value, storable or not: what somebody's function may return one day."""
    makers: list[Any] = [
        lambda: chance.choice([None, True, 0, -1, 2**63, 1.5, -0.0, math.inf, math.nan, "", "text", "\ud800", b"", b"x", 1j, 10**5000]),
        lambda: chance.choice([Colour.BLUE, Level.LOW, object(), Text("a"), len, range(3), Key(1), decimal.Decimal("1.10"), Point, ...]),
        lambda: ValueError(inner()), lambda: Point(inner(), inner()), lambda: Frozen("f", inner()), lambda: Pair(inner(), 1),
        lambda: [inner() for _ in range(chance.randrange(4))], lambda: tuple(inner() for _ in range(chance.randrange(3))),
        lambda: {key(): inner() for _ in range(chance.randrange(4))}, lambda: {key() for _ in range(chance.randrange(3))},
        lambda: collections.deque([inner()]), lambda: [shared := inner(), shared],
    ]  # fmt: skip

    def inner() -> Any:
        return invented(chance, depth + 1)

    def key() -> Any:
        return chance.choice(["a", "b", "py/object", "", 1, 2.5, None, (1, "t"), b"b", Key(1), Colour.RED, frozenset((1,))])

    return chance.choice(makers[:2] if depth > 3 else makers)()


def test_a_value_is_stored_exactly_or_refused_with_its_path() -> None:
    """Of ten thousand values of all kinds, each comes back the same or is refused with a path; none is changed in silence."""
    chance, refused = random.Random(5), []
    for _ in range(10_000):
        value = [invented(chance)]  # by itself, an error counts as raised: that has to arrive in any case
        try:
            stored = DEFAULT.encode(value)
        except ValueNotStorable as error:
            refused.append(str(error))
        else:
            assert same(DEFAULT.decode(stored), value), value
    assert {text[0] for text in refused} == {"$"}
    assert 1_000 < len(refused) < 9_000


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
    for value in ((1, (2, b"x")), {1, 2}, frozenset({3}), {1: "a", None: 2}, Point(1, (2,)), Colour.RED, [Pair(1, 2)], Level.LOW,
                  fractions.Fraction(1, 3), pathlib.PurePosixPath("a/b"), collections.OrderedDict(a=1), collections.Counter("aab"),
                  collections.deque([1], maxlen=2), collections.defaultdict(list, {"a": [1]}), bytearray(b"x"), 1j, range(2, 5),
                  uuid.UUID(int=5), datetime.datetime(2024, 1, 2, 3, tzinfo=datetime.UTC), ValueError("x"),
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


def local_enum() -> Any:
    class Inside(enum.Enum):
        RED = 1

    return Inside.RED


class Shape(enum.Enum):
    SQUARE = object()


@dataclasses.dataclass(frozen=True)
class Key:
    x: int


def labelled() -> Any:
    counter = collections.OrderedDict(a=1)
    counter.label = "x"  # type: ignore[attr-defined]
    return counter


class Zone(datetime.tzinfo):
    pass


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
        ([Point(1, object())], "$[0].y is an `object`"), ([Text("a")], "$[0] is a `Text`"), ([local_enum()], "$[0] is a `Inside`"),
        ({Key(1)}, "${…} is a `Key`, which a stored set cannot hold"), (memoryview(b"a"), "$ is a `memoryview`"),
        (collections.defaultdict(lambda: 0), "$ is a `defaultdict`"), (collections.ChainMap(), "$ is a `ChainMap`"),
        (labelled(), "$ has attributes beside its items"), (Shape.SQUARE, "$ is a `Shape`"),
        ({"f": len}, "$.f is a `builtin_function_or_method`"),
        ((each for each in ()), "$ is a `generator`"), ({1: object()}, "$[1] is an `object`"), ({"t": Table()}, ".to_dict()"),
        ([Point], "$[0] is a `type`"),
        ({object()}, "${…} is an `object`"), (datetime.datetime(2024, 1, 1, tzinfo=Zone()), "$.tzinfo is a `Zone`"),
        ({"a": [10**5000]}, "$.a[0] cannot be stored"), ([(1, 10**5000)], "$[0][1] cannot be stored"),
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


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_worker_of_0_6_7_can_read_every_error() -> None:
    """jsonpickle, which calls the constructor of an error, gets the arguments that the constructor wants."""
    jsonpickle = pytest.importorskip("jsonpickle")
    for error in (ValueError("x"), FileNotFoundError(2, "gone", "f"), ResonateTimedoutError("p", 1.5), ResonateStoreError("text", 40400),
                  json.JSONDecodeError("m", "doc", 2), CodeChanged("r.1", "run f(1)", "run g(1)")):
        back = jsonpickle.decode(encode_error(error, DEFAULT)[0][FORMAT_HEADER])
        assert (type(back), str(back)) == (type(error), str(error))


def test_an_error_that_comes_out_of_a_promise_is_caused_by_its_traceback() -> None:
    """Whoever awaits a failed step sees, as the cause of its error, where in the step it was raised, from the user's own lines on."""
    resonate = Resonate(log_level="CRITICAL")

    def step(ctx: Any) -> None:
        {}["missing"]

    @resonate.register
    def outer(ctx: Any) -> Any:
        yield ctx.run(step).options(retry_policy=Never())

    with pytest.raises(KeyError) as caught:
        outer.run("r")
    cause = caught.value.__cause__
    assert isinstance(cause, RemoteTraceback)
    assert '{}["missing"]' in str(cause)
    assert "resonate/steps.py" not in str(cause)
    assert "in outer" in str(cause)
    resonate.stop()


def test_a_stored_error_carries_its_traceback_as_text() -> None:
    """Readers who want to know where it happened find the text beside the value, bounded."""
    try:
        raise ValueError("x" * 20_000)
    except ValueError as error:
        headers, _ = encode_error(error, DEFAULT)
    assert "x" * 100 in headers[TRACEBACK_HEADER]
    assert len(headers[TRACEBACK_HEADER]) <= 8_000


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


# ---- parts to build encoders from --------------------------------------------------------------------------------------------------

PARTS: list[Any] = [
    JsonEncoder(), JsonPickleEncoder(), Base64Encoder(), NoopEncoder(), HeaderEncoder("k", JsonEncoder()),
    PairEncoder(HeaderEncoder("k", JsonPickleEncoder()), JsonEncoder()), CombinedEncoder(JsonEncoder(), Base64Encoder()), PickleEncoder(),
]  # fmt: skip


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_every_part_is_an_encoder(part: Any) -> None:
    """Each of them offers `encode` and `decode`, and can be given as `encoder=`."""
    assert isinstance(part, Encoder)


def test_json_is_what_other_languages_read() -> None:
    """Errors are objects with `__error__`, what JSON has not is an empty object, None stays None."""
    assert JsonEncoder().encode([ValueError("e"), {1}, (1,), object()]) == '[{"__error__": "e"}, {}, [1], {}]'
    assert (JsonEncoder().encode(None), JsonEncoder().decode(None), JsonEncoder().decode('{"a": 1}')) == (None, None, {"a": 1})
    assert same(JsonEncoder().decode('{"__error__": "broken"}'), Exception("broken"))


def test_jsonpickle_is_exact() -> None:
    """What it writes comes back the same; None is the text `null`."""
    assert same(JsonPickleEncoder().decode(JsonPickleEncoder().encode({"a": (1, {2})})), {"a": (1, {2})})
    assert JsonPickleEncoder().encode(None) == "null"
    assert JsonPickleEncoder().decode("null") is None


def test_base64_is_text_as_bytes_of_utf_8() -> None:
    """Text becomes base64 and back; None stays None; what is no base64 is refused."""
    assert (Base64Encoder().encode("ü"), Base64Encoder().decode("w7w="), Base64Encoder().encode(None)) == ("w7w=", "ü", None)
    with pytest.raises(ValueError, match=r"."):
        Base64Encoder().decode("*")


def test_a_header_encoder_finds_its_own_header() -> None:
    """It writes one header and reads that, None where it is absent."""
    encoder = HeaderEncoder("k", JsonEncoder())
    assert encoder.encode([1]) == {"k": "[1]"}
    assert [encoder.decode(headers) for headers in ({"k": "[1]"}, {}, None, {"other": "1"})] == [[1], None, None, None]


def test_a_pair_reads_what_is_there_first() -> None:
    """Both forms are written; the first that is not None is read."""
    encoder = PairEncoder(HeaderEncoder("k", JsonEncoder()), JsonEncoder())
    assert encoder.encode(1) == ({"k": "1"}, "1")
    assert [encoder.decode(pair) for pair in (({"k": "1"}, "2"), ({}, "2"), (None, None))] == [1, 2, None]


def test_combined_is_one_after_the_other() -> None:
    """The second encodes what the first wrote; reading goes the other way round."""
    encoder = CombinedEncoder(JsonEncoder(), Base64Encoder())
    assert (encoder.encode([1]), encoder.decode("WzFd")) == ("WzFd", [1])


def test_noop_is_nothing() -> None:
    """It writes nothing and reads nothing."""
    assert NoopEncoder().encode(1) is NoopEncoder().decode("x") is None


# ---- the opt-in to pickle ------------------------------------------------------------------------------------------------------------


class Thing:
    def __init__(self, x: Any) -> None:
        self.x = x


def test_pickle_is_an_opt_in_that_shows() -> None:
    """A client that was given `PickleEncoder` stores objects of any class, and says so when it is shown; another one does not read them."""
    with Resonate(encoder=PickleEncoder(), log_level="CRITICAL") as resonate:
        assert "may be pickles" in repr(resonate)

        @resonate.register
        def doubled(ctx: Any, things: list[Thing]) -> Any:
            return [Thing(2 * each.x) for each in things]

        assert [each.x for each in doubled.rpc("r", [Thing(1), Thing(2)])] == [2, 4]
        stored = resonate.promises.get("r").value.to_tuple()
    assert DEFAULT.decode(stored) == [{}, {}]
    assert "pickle" not in repr(Resonate())


def test_what_cannot_be_pickled_either_is_refused_with_its_path() -> None:
    """The opt-in does not lose anything in silence."""
    with pytest.raises(ValueNotStorable, match=r"pickled"):
        PickleEncoder().encode([1, lambda: 0])


def test_a_signed_pickle_is_read_by_its_key_alone() -> None:
    """With a key, a pickle of somebody else (another key, no key, changed bytes) is refused before it is looked into."""
    mine, other = PickleEncoder(b"mine"), PickleEncoder(b"other")
    assert mine.decode(mine.encode(Thing(5))).x == 5
    unsigned = PickleEncoder().encode(Thing(5))
    headers, data = mine.encode(Thing(5))
    changed = {name: text.replace("gASV", "gAWV") for name, text in headers.items()}
    assert changed != headers
    for stored in (other.encode(Thing(5)), unsigned, (changed, data)):
        with pytest.raises(ValueError, match="not signed by this client's key"):
            mine.decode(stored)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_opt_in_reads_any_class_that_0_6_7_stored() -> None:
    """Without a key, objects of plain classes that 0.6.7 stored are read where jsonpickle is installed; by default they are not."""
    jsonpickle = pytest.importorskip("jsonpickle")
    stored = ({FORMAT_HEADER: jsonpickle.encode(Thing(3))}, "{}")
    assert PickleEncoder().decode(stored).x == 3
    assert PickleEncoder(b"key").decode(stored) == DEFAULT.decode(stored) == {}


@pytest.mark.parametrize("key", ["text", b"", 5])
def test_a_key_must_be_bytes(key: Any) -> None:
    """A key that is no key is refused at once."""
    with pytest.raises(TypeError, match="key must be `bytes`"):
        PickleEncoder(key)
