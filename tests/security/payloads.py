"""Values of somebody's making that would run code, take for ever, or do harm in another way, if a reader did what they ask for.

The classes here are traps: whatever code of theirs runs is found in `ran`.
"""

from __future__ import annotations

import dataclasses
import enum
import json
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

ran: list[str] = []
"""What code of the traps has run."""


class Trap:
    def __new__(cls, *args: Any, **kwargs: Any) -> Trap:  # noqa: PYI034 (as careless classes have it)
        ran.append("new")
        return object.__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        ran.append("init")

    def __setstate__(self, state: Any) -> None:
        ran.append("setstate")


class TrapError(Exception):
    def __new__(cls, *args: Any) -> TrapError:  # noqa: PYI034
        ran.append("error new")
        return Exception.__new__(cls, *args)

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


class TrapProperty(Exception):
    @property
    def code(self) -> int:
        return 1

    @code.setter
    def code(self, value: int) -> None:
        ran.append("property")


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


class Watchful:
    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        ran.append("descriptor get")
        return 0

    def __set__(self, instance: Any, value: Any) -> None:
        ran.append("descriptor set")


@dataclasses.dataclass
class TrapField:
    x: Any = Watchful()


@dataclasses.dataclass(frozen=True)
class TrapKey:
    x: int

    def __hash__(self) -> int:
        ran.append("hash")
        return 1

    def __eq__(self, other: object) -> bool:
        ran.append("eq")
        return True


@dataclasses.dataclass
class TrapEnd:
    x: int = 0

    def __del__(self) -> None:
        ran.append("del")


class TrapMeta(type):
    def __call__(cls, *args: Any) -> Any:
        ran.append("metaclass call")
        return super().__call__(*args)

    def __instancecheck__(cls, instance: Any) -> bool:
        ran.append("metaclass instance check")
        return True

    def __subclasscheck__(cls, subclass: type) -> bool:
        ran.append("metaclass subclass check")
        return True

    def __getattribute__(cls, name: str) -> Any:
        ran.append(f"metaclass {name}")
        return type.__getattribute__(cls, name)


class TrapOfMeta(metaclass=TrapMeta):
    x: int


class TrapColour(enum.Enum):
    RED = 1

    @classmethod
    def _missing_(cls, value: object) -> Any:
        ran.append("missing")
        return cls.RED


class TrapTuple(NamedTuple):
    x: int


class TrapPair(TrapTuple):
    __slots__ = ()

    def __new__(cls, x: int) -> TrapPair:  # noqa: PYI034
        ran.append("tuple new")
        return tuple.__new__(cls, (x,))


@dataclasses.dataclass(frozen=True, slots=True)
class TrapSlots:
    x: int

    def __setstate__(self, state: Any) -> None:
        ran.append("slots setstate")


@dataclasses.dataclass
class Plain:
    x: Any


ran.clear()  # making the classes above has sprung some of them
HERE = __name__
REDUCE = {"py/reduce": [{"py/type": "os.system"}, {"py/tuple": ["echo hacked"]}]}


def reduced(name: str, *arguments: Any, more: tuple[Any, ...] = ()) -> Any:
    return {"py/reduce": [{"py/type": name}, {"py/tuple": list(arguments)}, *more]}


CALLS: list[Any] = [
    REDUCE, {"py/reduce": [{"py/function": "os.system"}, {"py/tuple": ["echo hacked"]}]}, reduced("subprocess.Popen", ["true"]),
    reduced("builtins.eval", "__import__('os').system('true')"), reduced("builtins.exec", "x=1", more=(None, None, None)),
    reduced("builtins.open", "/etc/passwd"), reduced("builtins.getattr", "x", "y"), reduced("builtins.__import__", "antigravity"),
    reduced("os._wrap_close", "x", "y"), reduced("pathlib.Path", "/", more=({"x": 1},)), reduced("builtins.compile", "1", "f", "eval"),
    reduced("functools.partial", REDUCE, "echo hacked", more=({"func": REDUCE},)), reduced("operator.attrgetter", "x"),
    reduced("operator.methodcaller", "system", "true"), reduced("types.CodeType", 0), reduced("types.FunctionType", 0),
    reduced("builtins.type", "T", [], {}), reduced("builtins.map", REDUCE, [1]), reduced("builtins.memoryview", {"py/b64": "AAAA"}),
    reduced("importlib.machinery.SourceFileLoader", "m", "/tmp/m.py"), reduced("ctypes.CDLL", "libc.so.6"),
    {"py/reduce": [{"py/function": "zoneinfo.ZoneInfo._unpickle"}, {"py/tuple": ["../../../etc/passwd", 1]}]},
    {"py/reduce": [{"py/function": "zoneinfo.ZoneInfo._unpickle"}, {"py/tuple": ["/etc/passwd", 1]}]},
    {"py/reduce": [{"py/function": "zoneinfo.ZoneInfo._unpickle"}, {"py/tuple": [["UTC"], 1]}]},
    reduced("zoneinfo.ZoneInfo", "UTC"), {"py/pickle": ":gASVHAAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAR0cnVllIWUUpQu"}, {"py/pickle": 5},
]  # fmt: skip
ERRORS: list[Any] = [
    reduced("builtins.ValueError", REDUCE, more=({"a": REDUCE, "__class__": 1},)), reduced("builtins.SystemExit", 1),
    reduced("builtins.KeyboardInterrupt"), reduced("builtins.BaseException"), reduced("builtins.GeneratorExit", more=({},)),
    reduced("builtins.OSError", 2, "x", more=({"errno": {"py/object": "os.system"}},)),
    reduced(f"{HERE}.TrapError", 1, more=({"a": 1},)), reduced(f"{HERE}.TrapProperty", 1, more=({"code": 2},)),
    reduced("builtins.BaseExceptionGroup", "x", [REDUCE], more=({},)), reduced("builtins.ExceptionGroup", "x", [1], more=({},)),
    reduced("builtins.UnicodeDecodeError", {"py/object": f"{HERE}.Trap"}, 1, 2, 3, 4), reduced("far.Away", reduced(f"{HERE}.TrapError", 1)),
    reduced("json.decoder.JSONDecodeError", {"py/object": f"{HERE}.Plain", "x": 1}, "y", 1),
    reduced("resonate.errors.ResonateStoreError", "m", {"py/object": f"{HERE}.Plain", "x": 1}),
    reduced("builtins.ValueError", 1, more=({"py/tuple": [1]},)), reduced("builtins.ValueError", 1, more=({"py/set": [1]},)),
    reduced("builtins.ValueError", 1, more=({"__cause__": 1, "__traceback__": 2, "__notes__": [1]},)),
    reduced("builtins.ImportError", "m", more=({"name": {"py/object": f"{HERE}.Plain", "x": 1}},)),
    {"py/object": "builtins.ValueError", "args": [1]},
]  # fmt: skip
OBJECTS: list[Any] = [
    {"py/object": "os.system"}, {"py/object": "os._Environ", "data": {}}, {"py/object": "subprocess.Popen", "args": ["true"]},
    {"py/object": "tempfile._TemporaryFileCloser", "name": "/tmp/x", "delete": True}, {"py/object": "threading.Thread", "_target": REDUCE},
    reduced(f"{HERE}.Trap", 1, more=({"a": 1},)), {"py/object": f"{HERE}.Trap", "x": 1},
    {"py/object": f"{HERE}.Trap", "py/newargs": {"py/tuple": [1]}}, {"py/object": f"{HERE}.Trap", "py/state": {"a": 1}},
    {"py/object": f"{HERE}.Trap", "py/newargsex": {"py/tuple": [{"py/tuple": []}, {}]}}, {"py/object": f"{HERE}.Trap", "py/initargs": [1]},
    {"py/object": f"{HERE}.TrapData", "x": REDUCE}, {"py/object": f"{HERE}.TrapBase", "x": 1}, {"py/object": f"{HERE}.TrapField", "x": 1},
    {"py/object": f"{HERE}.TrapEnd", "x": 1}, {"py/object": f"{HERE}.TrapOfMeta", "x": 1}, {"py/type": f"{HERE}.TrapOfMeta"},
    reduced(f"{HERE}.TrapOfMeta", 1), reduced(f"{HERE}.TrapColour", 7),
    reduced(f"{HERE}.TrapColour", {"py/object": f"{HERE}.TrapKey", "x": 1}),
    {"py/object": f"{HERE}.TrapPair", "py/newargs": {"py/tuple": [1]}},
    {"py/object": f"{HERE}.TrapTuple", "py/newargs": {"py/tuple": [1, 2]}},
    {"py/object": f"{HERE}.TrapSlots", "py/state": {"py/tuple": [1]}}, {"py/object": f"{HERE}.Plain", "py/state": {"x": 1}},
    {"__reduce__": REDUCE, "py/object": f"{HERE}.Plain"}, {"py/object": f"{HERE}.Plain", "x": REDUCE},
    {"py/object": f"{HERE}.Plain", "x": 1, "__class__": REDUCE, "__dict__": {}},
    {"py/object": "__main__.anything"}, {"py/object": "antigravity.x"}, {"py/object": ""}, {"py/object": None}, {"py/object": "sys"},
    {"py/object": "builtins.object"}, {"py/object": "builtins.type"}, {"py/object": f"{HERE}.Plain.__init__"}, {"py/object": f"{HERE}.ran"},
]  # fmt: skip
COLLECTIONS: list[Any] = [
    {"py/set": [{"py/object": f"{HERE}.TrapKey", "x": 1}]}, reduced("builtins.frozenset", [{"py/object": f"{HERE}.TrapKey", "x": 1}]),
    reduced("builtins.dict", [[{"py/object": f"{HERE}.TrapKey", "x": 1}, 1]]), {"py/set": [[1]]}, {"py/set": [{"py/set": []}]},
    reduced("collections.defaultdict", {"py/type": "os.system"}), reduced("collections.defaultdict", {"py/type": f"{HERE}.Trap"}),
    reduced("collections.OrderedDict", more=(None, None, {"py/tuple": [{"py/tuple": [{"py/object": f"{HERE}.TrapKey", "x": 1}, 1]}]})),
    reduced("collections.Counter", {"py/object": f"{HERE}.Trap"}),
    reduced("collections.deque", [], -1, more=(None, {"py/tuple": [REDUCE]})),
    {"py/object": "collections.defaultdict", "default_factory": {"py/type": "os.getpid"}},
    reduced("builtins.range", 10**18), reduced("builtins.bytearray", 10**12), reduced("decimal.Decimal", "1E+999999999999999999"),
    reduced("fractions.Fraction", "1e999999999"), reduced("fractions.Fraction", 1, 0), reduced("builtins.complex", "1j"),
    reduced("ipaddress.IPv4Address", "999.1.1.1"), reduced("pathlib.PosixPath", REDUCE), {"py/object": "uuid.UUID", "hex": "zz"},
    {"py/object": "uuid.UUID", "hex": {"py/object": f"{HERE}.Trap"}},
]  # fmt: skip
TAGS: list[Any] = [
    {"py/type": "os.system"}, {"py/type": "antigravity"}, {"py/type": f"{HERE}.Trap"}, {"py/function": "os.system"},
    {"py/module": "antigravity"}, {"py/repr": "os/os.system('true')"}, {"py/repr": "__import__('os')"}, {"py/iterator": [1, 2]},
    {"py/id": 1}, {"py/id": -1}, {"py/id": 10**9}, {"py/id": 0}, {"py/id": "1"}, {"py/ref": "/"}, {"py/ref": 5}, {"py/bytes": "x"},
    {"py/b85": "x"}, {"py/property": "x"}, {"py/seq": [1]}, {"py/state": REDUCE}, {"py/method": "x"}, {"py/unknown": 1},
    {"py/tuple": [{"py/id": 1}]}, {"py/tuple": 5}, {"py/set": None}, {"py/b64": 5}, {"py/b64": "*"}, {"py/reduce": []},
    {"py/reduce": [None]}, {"py/reduce": 3}, {"py/reduce": [{"py/type": 5}, {"py/tuple": []}]},
    {"py/reduce": [{"py/type": "builtins.dict"}, 5]}, reduced("builtins.dict", 5), reduced("builtins.frozenset", [[[]]]),
    reduced("decimal.Decimal", "x"), reduced("datetime.timedelta", 1e300), reduced("datetime.timezone", 5),
    {"py/object": "datetime.datetime", "__reduce__": [{"py/type": "datetime.datetime"}, ["AAAA"]]},
    {"py/object": "datetime.date", "__reduce__": 5}, {"py/object": "datetime.datetime", "__reduce__": [0, []]},
    {"py/object": "datetime.time", "__reduce__": [0, [5, 6]]},
    {"py/object": "datetime.datetime", "__reduce__": [{"py/type": "os.system"}, ["B+gBAgMEBQAAAA==", REDUCE]]}, {"json://1": REDUCE},
]  # fmt: skip
PAYLOADS = CALLS + ERRORS + OBJECTS + COLLECTIONS + TAGS


def _laughs(levels: int) -> Any:
    """A list in which each part is twice the part before it, by references: a few hundred characters for 2**levels items."""
    return [[1, 1], *([{"py/id": number}, {"py/id": number}] for number in range(1, levels + 1)), 1]


_MODULUS = 2**61 - 1
BOMBS: dict[str, str] = {
    "deep lists": "[" * 100_000 + "]" * 100_000, "deep dicts": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "deep tags": '{"py/tuple": [' * 20_000 + "1" + "]}" * 20_000, "unclosed": "[" * 100_000, "long number": "9" * 5_000,
    "long negative number": "-" + "9" * 5_000, "long fraction": "0." + "9" * 100_000, "large exponent": "1e999999999",
    "repeated by reference": json.dumps(_laughs(60)), "one hash": json.dumps({"py/set": [_MODULUS * n for n in range(20_000)]}),
    "keys of one hash": json.dumps(reduced("builtins.dict", *[[[_MODULUS * n, 1] for n in range(20_000)]])),
    "wide": json.dumps(list(range(300_000))), "not a number": "NaN", "infinity": "-Infinity", "high surrogate": '"\\ud800"',
    "twice the same key": '{"a": 1, "a": {"py/object": "os.system"}}', "byte order mark": "\ufeff1", "two values": "{}{}", "empty": "",
    "NUL": "\x00", "control character": '"\x01"', "nothing but space": "   ", "half an escape": '"\\u12"', "single quotes": "{'a': 1}",
    "large": '"' + "x" * 16_000_000 + '"',
}  # fmt: skip
"""Text that is large, deep or damaged, by what is wrong with it."""
