"""What can be stored, how it is written, and what is read of it (contract 9)."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import math
import pathlib
import uuid
from decimal import Decimal
from fractions import Fraction

from parity.harness import ANYTHING, FAR, attempt, error_text, kind_of, program, value

from resonate.encoders import Base64Encoder, CombinedEncoder, HeaderEncoder, JsonEncoder, JsonPickleEncoder, NoopEncoder, PairEncoder
from resonate.retry_policies import Never

DIED = "the process ended with code 1"
TWIN = "the JSON text tells readers in other languages the value, where 0.6.7 writes {}"
NO_JSON = "NaN and the infinities are no JSON: readers in other languages get null"
WORDS = "dicts whose keys are words of jsonpickle's notation keep them"
KEYS = "dicts with numbers as keys keep them"
REFUSED = "a value that would lose something, or needs code to be read, is refused with its path"
UNKNOWN = "what is not known is read as its JSON text (D-24)"


@dataclasses.dataclass
class Point:
    x: int
    tags: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Frozen:
    at: tuple


@dataclasses.dataclass(slots=True)
class Slotted:
    x: int


class Thing:
    def __init__(self):
        self.x = 3


class Color(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


class Word(enum.StrEnum):
    A = "a"


class Mark(enum.Flag):
    LEFT = 1
    RIGHT = 2


class Text(str):  # noqa: SLOT000  (a plain subclass is what is meant)
    pass


Place = collections.namedtuple("Place", "row column")  # noqa: PYI024  (the untyped kind is another class)


def round_trip(resonate, values):
    """Whether each value comes back equal and of its type, as an argument and as a result; else what came."""
    resonate.register(value)
    found = []
    for number, each in enumerate(values):
        given = attempt(resonate.rpc, f"v{number}", "value", each)
        found.append(True if type(given) is type(each) and given == each else error_text(given) if isinstance(given, Exception) else given)
    return found


def texts(reason, **pairs):
    """Declares the JSON texts of arguments and results that differ: {v<number>: (there, here)}."""

    def record(argument):
        return {"func": "value", "args": [argument], "kwargs": {}, "version": 1}

    found = {}
    for name, (there, here) in pairs.items():
        found |= {f"{name} param": (record(there), record(here), reason), f"{name} value": (there, here, reason)}
    return found


@program("9.1", gives=[True] * 14)
def scalars(resonate):
    """None, numbers of any size and text of any script come back as they were."""
    plain = [None, True, 0, -1, 2**70, 1.5, 1e300, 0.1, "", "naïve 中文 🎉", 'quote " \\ \n', "py/object", "\ud800", -0.0]
    return round_trip(resonate, plain)


@program("9.1", gives=[True] * 8)
def plain_collections(resonate):
    """Lists and dicts of text come back as they were, however nested, empty or full of None."""
    deep = {"a": [{"b": [None, {"c": []}]}], "d": {}}
    return round_trip(resonate, [[], {}, [1, "a", None, 2.5], deep, {"": 0, "ü": "ü"}, [[[[]]]], {"__error": 1}, [None]])


@program("9.1", gives=[True] * 4)
def tuples(resonate):
    """Tuples come back as tuples, and stand as lists in the JSON text."""
    return round_trip(resonate, [(1, 2), (), [(1, (2,))], ([], {"a": ()})])


@program("9.1", gives=[True] * 4, differs=texts(TWIN, v0=({}, [1, 2]), v1=({}, ["a"]), v2=({}, []), v3=({"a": {}}, {"a": [1]})))
def sets(resonate):
    """Sets come back as sets."""
    return round_trip(resonate, [{1, 2}, frozenset("a"), set(), {"a": {1}}])


@program("9.1", gives=[True] * 2, differs=texts(TWIN, v0=({}, "AP8="), v1=([{}, {}], ["", "YQ=="])))
def bytes_come_back(resonate):
    """Bytes come back as they were."""
    return round_trip(resonate, [b"\x00\xff", [b"", b"a"]])


@program("9.1", gives=[True] * 6, differs=texts(
    TWIN, v0=({}, "2024-02-29T12:30:01.000005"), v1=({}, "2024-02-29"), v2=({}, "1 day, 0:00:02"), v3=({}, "12:30:00"),
    v4=({"t": {}}, {"t": "2024-01-01T00:00:00+00:00"}), v5=({}, "2024-01-01T00:00:00+02:00")))  # fmt: skip
def times(resonate):
    """Dates, times and durations come back as they were, with their zone."""
    east = datetime.timezone(datetime.timedelta(hours=2))
    naive = datetime.datetime(2024, 2, 29, 12, 30, 1, 5)  # noqa: DTZ001  (a time without a zone is what is meant)
    return round_trip(resonate, [
        naive, datetime.date(2024, 2, 29), datetime.timedelta(days=1, seconds=2), datetime.time(12, 30),
        {"t": datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)}, datetime.datetime(2024, 1, 1, tzinfo=east),
    ])  # fmt: skip


@program("9.1", gives=[True] * 6, differs=texts(
    TWIN, v0=({}, "1.10"), v1=({}, "1/3"), v2=({}, "1j"), v3=({}, "00000000-0000-0000-0000-000000000005"), v4=({}, "/a/b"),
    v5=({}, "range(0, 3)")))  # fmt: skip
def things_of_the_standard_library(resonate):
    """Decimals, fractions, complex numbers, UUIDs, paths and ranges come back as they were."""
    return round_trip(resonate, [Decimal("1.10"), Fraction(1, 3), 1j, uuid.UUID(int=5), pathlib.PurePosixPath("/a/b"), range(3)])


@program("9.1", gives=[True] * 5, differs=texts(TWIN, v0=({}, [1, 2])) | {
    f"v3 {fact}": (ANYTHING, ANYTHING, "written as an OrderedDict is; 0.6.7 reads it") for fact in ["param-exact", "value-exact"]} | {
    f"v4 {fact}": (ANYTHING, ANYTHING, "without the items that its arguments name already; 0.6.7 reads it")
        for fact in ["param-exact", "value-exact"]})  # fmt: skip
def collections_of_the_standard_library(resonate):
    """Deques, ordered dicts, counters, dicts with a default and named tuples come back as they were."""
    counted, ordered = collections.Counter("aab"), collections.OrderedDict(b=1, a=2)
    return round_trip(resonate, [collections.deque([1, 2], 3), ordered, counted, collections.defaultdict(list, a=[1]), Place(1, 2)])


@program("9.1", gives=[True] * 4, differs=texts(
    TWIN, v0=({}, {"x": 1, "tags": []}), v1=({}, {"x": 2, "tags": [{"x": 3, "tags": []}]}), v2=({}, {"at": [1, 2]}),
    v3=({}, {"x": 1})))  # fmt: skip
def dataclasses_come_back(resonate):
    """Dataclasses of an imported module come back as instances of their class."""
    return round_trip(resonate, [Point(1), Point(2, [Point(3)]), Frozen((1, 2)), Slotted(1)])


@program("9.1", gives=[True] * 4, differs=texts(TWIN, v0=({}, 1), v3=({"c": {}}, {"c": 1})))
def enumerations(resonate):
    """Members of enumerations come back as the members."""
    return round_trip(resonate, [Color.RED, Level.LOW, Word.A, {"c": Color.RED}])


@program("9.1", gives={"instance": "ValueNotStorable", "type": "ValueNotStorable", "function": "ValueNotStorable",
                       "text": "ValueNotStorable", "flags": "ValueNotStorable"}, differs={
    **{f"outcome {name}": ("stored", REFUSED) for name in ["instance", "type", "function", "text", "flags"]},
    **{f"{name} state": ("RESOLVED", None, REFUSED) for name in ["instance", "type", "function", "text", "flags"]}})  # fmt: skip
def objects_that_need_code(resonate):
    """Instances of plain classes, classes, functions, and types made from built-in ones are refused before anything is called."""
    f = resonate.register(value)
    given = {"instance": Thing(), "type": Thing, "function": value, "text": Text("t"), "flags": Mark.LEFT | Mark.RIGHT}
    return {name: kind_of(lambda name=name, each=each: f.run(name, each) and "stored") for name, each in given.items()}


@program("9.1", gives={"object": "ValueNotStorable", "ellipsis": "ValueNotStorable", "view": "ValueNotStorable"}, differs={
    "outcome object": ("another object", REFUSED), "outcome ellipsis": ("a dict", REFUSED), "outcome view": ("a dict", REFUSED),
    **{f"{name} state": ("RESOLVED", None, REFUSED) for name in ["object", "ellipsis", "view"]}})  # fmt: skip
def objects_that_would_be_lost(resonate):
    """What would come back as something else is refused."""
    f = resonate.register(value)

    def came(name, each):
        found = f.run(name, each)
        return "a dict" if isinstance(found, dict) else "the same" if found == each else "another object"

    return {name: kind_of(came, name, each) for name, each in {"object": object(), "ellipsis": ..., "view": memoryview(b"a")}.items()}


@program("9.1", gives=["[1, 2.5, None]", "[True]", "{1: {'2': (3,)}}"], differs={
    "outcome": (["['1', '2.5', 'null']", "['True']", "{'1': {'2': (3,)}}"], KEYS),
    **{f"v{n} {fact}": (ANYTHING, ANYTHING, KEYS) for n in range(3) for fact in ["param-exact", "value-exact"]},
    "v1 value": ({"True": 1}, {"true": 1}, KEYS)})  # fmt: skip
def keys_that_are_numbers(resonate):
    """Dicts with numbers, bool or None as keys keep them; their JSON text has text for keys."""
    resonate.register(value)
    found = [resonate.rpc(f"v{n}", "value", each) for n, each in enumerate([{1: "a", 2.5: "b", None: "c"}, {True: 1}, {1: {"2": (3,)}}])]
    return [repr(list(found[0])), repr(list(found[1])), repr(found[2])]


@program("9.1", gives=[True, True], differs={
    "outcome": ([{}, {}], WORDS),
    **{f"v{n} {fact}": (ANYTHING, ANYTHING, WORDS) for n in range(2) for fact in ["param-exact", "value", "value-exact"]}})  # fmt: skip
def keys_of_the_notation(resonate):
    """Dicts whose keys are words of the stored notation are values like others."""
    return round_trip(resonate, [{"py/object": "x"}, {"py/tuple": [1]}])


@program("9.1", gives=["nan", "inf", "-inf"], differs=texts(NO_JSON, v0=("nan", None), v1=("inf", None), v2=("-inf", None)))
def floats_that_are_no_numbers(resonate):
    """NaN and the infinities come back."""
    resonate.register(value)
    return [repr(resonate.rpc(f"v{n}", "value", each)) for n, each in enumerate([math.nan, math.inf, -math.inf])]


@program("9.1", gives=["ValueError: a value", "KeyError: 'k'", "FileNotFoundError", {"a": "Exception: e"}])
def errors_as_values(resonate):
    """An error that is returned, not raised, is a value."""
    resonate.register(value)
    found = [resonate.rpc("a", "value", ValueError("a value")), resonate.run("b", value, KeyError("k"))]
    within = resonate.run("c", value, [OSError(2, "x")])
    return [error_text(found[0]), error_text(found[1]), type(within[0]).__name__, resonate.run("d", value, {"a": Exception("e")})]


@program("9.1", gives=[True, True], differs={
    f"v{n} {fact}": (ANYTHING, ANYTHING, "what is met twice is written twice; 0.6.7 reads it")
    for n in range(2) for fact in ["param-exact", "value-exact"]})  # fmt: skip
def values_met_twice(resonate):
    """A value that holds another one twice comes back equal."""
    part = [1]
    return round_trip(resonate, [[part, part], {"a": part, "b": {"c": part}}])


@program("9.1", gives=["ValueNotStorable", "ValueNotStorable"], differs={"outcome": (["TypeError", "ValueError"], REFUSED)})
def arguments_that_cannot_be_stored(resonate):
    """Arguments with tuples as keys, or that hold themselves, are refused at the call."""
    f = resonate.register(value)
    circle = []
    circle.append(circle)
    return [kind_of(f.begin_run, "a", {(1, 2): 3}), kind_of(f.begin_run, "b", circle)]


@program("9.1", gives="ValueNotStorable", differs={"outcome": (DIED, "D-3")})
def a_key_that_is_a_tuple(resonate):
    """A dict with tuples as keys is refused; the process goes on."""
    f = resonate.register(lambda ctx: {(1, 2): 3}, name="f")
    return kind_of(resonate.options(retry_policy=Never()).run, "a", f)


@program("9.1", gives="ValueNotStorable", differs={"outcome": (DIED, "D-3")})
def a_result_that_holds_itself(resonate):
    """A result that goes round in a circle is refused; the process goes on."""

    @resonate.register
    def f(ctx):
        circle = []
        circle.append(circle)
        return circle

    return kind_of(resonate.options(retry_policy=Never()).run, "a", f)


@program("9.1", gives="$[1]", differs={"outcome": ("lost", REFUSED), "a state": ("RESOLVED", "REJECTED", REFUSED)})
def a_value_that_cannot_be_stored(resonate):
    """What cannot be stored without loss fails its step with the path of the part."""

    @resonate.register
    def f(ctx):
        with open(__file__, "rb") as opened:
            return [1, opened]

    text = str(attempt(resonate.options(retry_policy=Never()).run, "a", f))
    return "$[1]" if "$[1]" in text else "lost"


@program("9.2", gives=[5, 5, None, {"a": 1}, "(1, 2)", "text", {}, "bare"], differs={
    "outcome": ([5, 5, None, {"a": 1}, "(1, 2)", "text", {"py/object": "no.such.Class", "x": 1}, "bare"], UNKNOWN)})  # fmt: skip
def what_is_read_of_foreign_promises(resonate):
    """The exact form in the header counts, then the JSON text, then nothing."""
    key = "resonate:format-py"
    stored = [({key: "null"}, "5"), (None, "5"), (None, None), ({key: '{"a": 1}'}, None), ({key: '{"py/tuple": [1, 2]}'}, "[1, 2]"),
              ({"other": "x"}, '"text"'), ({key: '{"py/object": "no.such.Class", "x": 1}'}, "{}"), ({}, '"bare"')]  # fmt: skip
    found = []
    for number, (headers, data) in enumerate(stored):
        resonate.promises.create(f"p{number}", FAR)
        resonate.promises.resolve(f"p{number}", headers=headers, data=data)
        found.append(resonate.get(f"p{number}").result(timeout=10))
    return [repr(each) if type(each) is tuple else each for each in found]


@program("9.2", gives=["JSONDecodeError", "JSONDecodeError", "Exception: told", "Exception: text", "Exception: 7"])
def what_is_read_of_damaged_promises(resonate):
    """Damaged text raises at whoever reads it; a rejection that is no error is wrapped in one."""
    stored = [("resolve", None, "{"), ("resolve", {"resonate:format-py": "{"}, None), ("reject", None, '{"__error__": "told"}'),
              ("reject", None, '"text"'), ("reject", {"resonate:format-py": "7"}, None)]  # fmt: skip
    found = []
    for number, (settle, headers, data) in enumerate(stored):
        resonate.promises.create(f"p{number}", FAR)
        getattr(resonate.promises, settle)(f"p{number}", headers=headers, data=data)
        given = attempt(lambda promise_id: resonate.get(promise_id).result(timeout=10), f"p{number}")
        found.append(given.partition(":")[0] if "JSON" in given else given)
    return found


@program("9.3", gives={
    "json": ["[1, 2]", [1, 2], None, '{"__error__": "e"}'], "pickle": ['{"py/tuple": [1]}', "(1,)", "null"], "base64": ["w7w=", "ü", None],
    "header": [{"k": "[1]"}, [1], None], "pair": [[{"k": "1"}, "1"], 1, 2], "combined": ["WzFd", [1]], "noop": [None, None]})  # fmt: skip
def encoders_to_build_with(resonate):
    """The encoders that can be put together do each what their name says."""
    json, pickle, base64, header = JsonEncoder(), JsonPickleEncoder(), Base64Encoder(), HeaderEncoder("k", JsonEncoder())
    pair, combined = PairEncoder(header, json), CombinedEncoder(json, base64)
    return {
        "json": [json.encode((1, 2)), json.decode("[1, 2]"), json.encode(None), json.encode(ValueError("e"))],
        "pickle": [pickle.encode((1,)), repr(pickle.decode('{"py/tuple": [1]}')), pickle.encode(None)],
        "base64": [base64.encode("ü"), base64.decode("w7w="), base64.encode(None)],
        "header": [header.encode([1]), header.decode({"k": "[1]"}), header.decode({})],
        "pair": [list(pair.encode(1)), pair.decode(({"k": "1"}, None)), pair.decode(({}, "2"))],
        "combined": [combined.encode([1]), combined.decode("WzFd")], "noop": [NoopEncoder().encode(1), NoopEncoder().decode("x")],
    }  # fmt: skip


@program("15", gives="the JSON text", differs={"outcome": ("a call", "D-24")})
def a_header_that_asks_for_a_call(resonate):
    """Reading a promise that somebody wrote runs no code: what asks for a call is read as its JSON text."""
    header = {"resonate:format-py": '{"py/reduce": [{"py/function": "os.getpid"}, {"py/tuple": []}]}'}
    resonate.promises.create("a", FAR)
    resonate.promises.resolve("a", headers=header, data='"the JSON text"')
    found = resonate.get("a").result(timeout=10)
    return "a call" if isinstance(found, int) else found


@program("9.2", gives=["(1, [2, (3,)])", "{1, 2}", "b'a'", "Point(x=1, tags=[])", "[[1], [1]]", "ValueError('x', 1)", "{'py/object': 'x'}"])
def what_is_read_of_the_notation(resonate):
    """What 0.6.7 writes into the header of a value is read as what it was."""
    stored = [
        '{"py/tuple": [1, [2, {"py/tuple": [3]}]]}', '{"py/set": [1, 2]}', '{"py/b64": "YQ=="}',
        '{"py/object": "parity.values.Point", "x": 1, "tags": []}', '[[1], {"py/id": 1}]',
        '{"py/reduce": [{"py/type": "builtins.ValueError"}, {"py/tuple": ["x", 1]}, {}]}',
        '{"py/reduce": [{"py/type": "builtins.dict"}, {"py/tuple": [[["py/object", "x"]]]}]}',
    ]  # fmt: skip
    found = []
    for number, header in enumerate(stored):
        resonate.promises.create(f"p{number}", FAR)
        resonate.promises.resolve(f"p{number}", headers={"resonate:format-py": header}, data='"twin"')
        found.append(repr(resonate.get(f"p{number}").result(timeout=10)))
    return found
