"""Reads stored values in jsonpickle's notation without running anybody's code.

SDK 0.6.7 writes and reads values with jsonpickle, whose text may ask for any call at all. Here the same text is read by a short program
that knows a closed list: tuples, sets, bytes, dates, numbers, paths and collections of the standard library; and dataclasses, named tuples,
members of enumerations and exceptions whose class is imported already. Three rules make that harmless:

- No module is imported and no file is opened for a value, but that of a time zone which the system's database has.
- An object of an imported class is made empty and its fields are put into their places: no constructor, no `__setstate__`, no property or
  other descriptor written in Python, no `__hash__`, no `__eq__`, and no `__del__` later (a class that has one is not read).
- The types of the standard library are made by their own constructors, from plain numbers and text alone.

What is not on the list is `Unfamiliar`, and whoever reads takes the value's plain JSON form, its *twin*, instead. Damaged text is a
ValueError. So nothing that stands in a store can do more than fail.

jsonpickle writes an object that it meets again as `{"py/id": n}`, counting lists, dicts and objects (not tuples, sets, bytes) from 0 in the
order in which they begin. That is read, except where a value holds itself; what references could multiply is bounded.
"""

from __future__ import annotations

import base64
import collections
import json
import re
import uuid
import zoneinfo
from collections.abc import Callable, Iterable
from types import FunctionType, MemberDescriptorType
from typing import Any

from resonate import errors
from resonate.classes import (
    PLAIN,
    STANDARD,
    TIMES,
    attribute_of,
    field_setters,
    has_zone,
    imported,
    is_hashable,
    is_inert,
    is_native,
    members_of,
    named_tuple_length,
    native_base,
)  # fmt: skip
from resonate.limits import VALUE_DEPTH_LIMIT

TEXT_DEPTH_LIMIT = 2 * VALUE_DEPTH_LIMIT + 8
"""Levels of JSON that are read. A level of a value takes one of them, or two with a tag, or up to six in a dict with numbers as keys."""
REPEATED_LIMIT = 1_000_000
"""Items and characters that a stored value may repeat by references."""
CROWD_LIMIT = 100
"""Keys of a dict, or members of a set, that may have the same hash: chosen ones would take for ever to put in."""

ZONE = "zoneinfo.ZoneInfo._unpickle"
FACTORIES: dict[str, Any] = {f"builtins.{each.__name__}": each for each in (list, dict, set, int, float, str, bool, bytes, tuple)}
ERROR_MEMBERS = ("name", "path", "name_from")
"""What some built-in errors keep beside their arguments and their `__dict__`."""
_CONSTRUCTED: dict[str, Callable[..., Exception]] = {
    "resonate.errors.ResonateStoreError": lambda mesg, code, _=None: errors.ResonateStoreError(mesg, errors.server_code(code)),
    "resonate.errors.ResonateCanceledError": errors.ResonateCanceledError,
    "resonate.errors.ResonateTimedoutError": errors.ResonateTimedoutError,
    "resonate.errors.ResonateShutdownError": errors.ResonateShutdownError,
    "json.decoder.JSONDecodeError": json.JSONDecodeError,
}
"""Errors that 0.6.7 stores as nothing but the call that makes them; these constructors are known."""
_UNCOUNTED = frozenset(("py/tuple", "py/set", "py/b64", "py/type", "py/function", "py/id", "py/pickle"))
_is_tag = re.compile("py/").match


class Unfamiliar(ValueError):
    """A stored value holds something that is not read here; `name` says what."""

    def __init__(self, name: object) -> None:
        self.name = ascii(name).strip("'")[:100]
        super().__init__(f"a stored value holds {self.name}, which is not read here")


def loads(text: str) -> Any:
    """The value of JSON text that is not nested too deep. Raises ValueError."""
    try:
        value = json.loads(text)
    except (RecursionError, TypeError) as error:
        raise ValueError(f"the stored text cannot be read: {error}") from None
    if is_too_deep(value, text):
        raise ValueError("the stored text cannot be read: it is nested too deep")
    return value


def is_too_deep(value: Any, text: str) -> bool:
    """Whether JSON has more levels than are read; `text` is the JSON of the value."""
    if text.count("[") + text.count("{") <= TEXT_DEPTH_LIMIT:
        return False
    layer = [value]
    for _ in range(TEXT_DEPTH_LIMIT + 1):
        inner = (each.values() if type(each) is dict else each for each in layer if type(each) is dict or type(each) is list)
        layer = [each for items in inner for each in items if type(each) is dict or type(each) is list]
    return bool(layer)


class Reader:
    """Reads one value. `may_be_error` says whether an object of an unknown class may be an error.

    >>> Reader('{"shape": {"py/tuple": [2, 5]}}').value()
    {'shape': (2, 5)}
    >>> Reader('{"py/object": "subprocess.Popen", "args": ["true"]}').value()
    Traceback (most recent call last):
    ...
    resonate.value_reader.Unfamiliar: a stored value holds subprocess.Popen, which is not read here
    """

    def __init__(self, text: str, *, may_be_error: bool = True, unpickle: Callable[[Any], Any] | None = None) -> None:
        self._json = loads(text)
        self._may_be_error = may_be_error
        self._unpickle = unpickle
        # What `py/id` may refer to: (object, its size, its height), or None while that is being read.
        self._met: list[tuple[Any, int, int] | None] = []
        self._size = self._repeated = self._deepest = 0
        self._skipped = PLAIN - {str} if '"py/id"' in text else PLAIN  # where there are references, characters are counted
        self._known: dict[str, tuple[type | None, Any]] = {}

    def value(self) -> Any:
        """The value. Raises `Unfamiliar`, or ValueError when the text is damaged."""
        try:
            return self._read(self._json, 0)
        except ValueError:
            raise
        except Exception as error:  # no code of others runs here, so it is the text that is wrong
            raise ValueError(f"the stored value is damaged: {type(error).__name__} {error}") from None

    def _read(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is not list and kind is not dict:
            self._size += len(value) if kind is str else 1
            return value
        number = None
        if kind is list or _UNCOUNTED.isdisjoint(value):
            number = len(self._met)
            self._met.append(None)
        start, deepest, self._deepest = self._size, self._deepest, depth
        self._size += len(value)
        skipped = self._skipped
        if kind is list or "py/tuple" in value:
            items = value if kind is list else _exact(list, value["py/tuple"])
            made: Any = [each if type(each) in skipped else self._read(each, depth + 1) for each in items]
            made = made if kind is list else tuple(made)
        elif any(map(_is_tag, value)):
            made = self._tagged(value, depth + 1)
        else:
            made = {key: each if type(each) in skipped else self._read(each, depth + 1) for key, each in value.items()}
        if number is not None:
            self._met[number] = made, self._size - start, self._deepest - depth
        self._deepest = max(deepest, self._deepest)
        return made

    def _items(self, values: Any, depth: int) -> list[Any]:
        return [self._read(each, depth) for each in _exact(list, values)]

    def _tagged(self, value: dict[str, Any], depth: int) -> Any:
        if "py/set" in value:
            return set(_uncrowded(self._items(value["py/set"], depth)))
        if "py/b64" in value:
            return _bytes(value["py/b64"])
        if "py/reduce" in value:
            return self._reduced(_exact(list, value["py/reduce"]), depth)
        if "py/object" in value:
            return self._object(_exact(str, value["py/object"]), value, depth)
        if "py/id" in value:
            return self._again(_exact(int, value["py/id"]), depth)
        if "py/pickle" in value:
            if self._unpickle is None:
                raise Unfamiliar("a pickled object (a client with the writer's `PickleEncoder` reads it)")
            return self._unpickle(_exact(str, value["py/pickle"]))
        raise Unfamiliar(next(filter(_is_tag, value)))

    def _again(self, number: int, depth: int) -> Any:
        if not 0 <= number < len(self._met):
            raise ValueError("the stored value refers to something that is not in it")
        met = self._met[number]
        if met is None:
            raise Unfamiliar("an object that holds itself")
        made, size, height = met
        self._size += size
        self._repeated += size + 1
        self._deepest = max(self._deepest, depth + height)
        if self._repeated > REPEATED_LIMIT or self._deepest > TEXT_DEPTH_LIMIT:
            raise ValueError("the stored value repeats too much of itself to be read")
        return made

    def _reduced(self, parts: list[Any], depth: int) -> Any:
        """A call of a type, given as [type, arguments, attributes, items, pairs]."""
        called = parts[0] if parts and type(parts[0]) is dict else {}
        name, given = called.get("py/type"), _tuple(parts, 1)
        if type(name) is not str:
            if called.get("py/function") == ZONE and has_zone(given[0]):
                return zoneinfo.ZoneInfo(given[0])
            raise Unfamiliar(called.get("py/function", "py/reduce"))
        name = name.replace("pathlib._local.", "pathlib.").replace("resonate.errors.errors.", "resonate.errors.")
        if name in STANDARD:
            return _standard(name, self._items(given, depth))
        match name:
            case "builtins.dict":
                return dict(self._pairs(_exact(list, given[0]), depth))
            case "builtins.frozenset":
                return frozenset(_uncrowded(self._read(given[0], depth)))
            case "collections.deque":
                return collections.deque(self._items(_tuple(parts, 3), depth), *given[1:])
            case "collections.Counter":
                return collections.Counter(_exact(dict, self._read(given[0], depth)))
            case "collections.OrderedDict":
                return collections.OrderedDict(self._pairs(_tuple(parts, 4), depth))
            case "collections.defaultdict":
                return collections.defaultdict(_factory(given[0]), self._pairs(_tuple(parts, 4), depth))
        cls, members = self._look_up(name, members_of)
        if members:
            (value,) = self._items(given, depth)
            if not is_inert(value) or repr(value) not in members:
                raise Unfamiliar(name)
            return members[repr(value)]
        is_error = issubclass(cls, Exception) if cls is not None else self._may_be_error and (len(parts) > 2 or depth == 1)
        if not is_error:
            raise Unfamiliar(name)
        arguments = self._items(given, depth)
        return _error(name, cls, arguments, _exact(dict, self._read(parts[2], depth)) if len(parts) > 2 else {})

    def _look_up(self, name: str, look: Callable[[type | None], Any]) -> tuple[type | None, Any]:
        if name not in self._known:
            cls = imported(name)
            self._known[name] = cls, look(cls)
        return self._known[name]

    def _pairs(self, pairs: Iterable[Any], depth: int) -> list[tuple[Any, Any]]:
        made = []
        for each in pairs:
            key, value = _exact(list, each["py/tuple"] if type(each) is dict else each)
            made.append((self._read(key, depth), self._read(value, depth)))
        _uncrowded([key for key, _ in made])
        return made

    def _object(self, name: str, value: dict[str, Any], depth: int) -> Any:
        if name in TIMES:
            packed, *zone = _exact(list, value["__reduce__"])[1]
            return TIMES[name](_bytes(packed), *self._items(zone, depth))
        if name == "uuid.UUID":
            return uuid.UUID(hex=_exact(str, value["hex"]))
        if name == "collections.defaultdict":
            items = [(key, self._read(each, depth)) for key, each in value.items() if key not in ("py/object", "default_factory")]
            return collections.defaultdict(_factory(value.get("default_factory")), items)
        if "py/newargs" in value:
            items = self._items(value["py/newargs"]["py/tuple"], depth)
            if name in STANDARD:
                return _standard(name, items)
            cls, length = self._look_up(name, named_tuple_length)
            if cls is None or length != len(items):
                raise Unfamiliar(name)
            return tuple.__new__(cls, items)
        cls, setters = self._look_up(name, field_setters)
        if cls is None or setters is None:
            raise Unfamiliar(name)
        if "py/state" in value:  # as a frozen dataclass with slots is written
            restore = attribute_of(cls, "__setstate__")
            if type(restore) is not FunctionType or restore.__module__ != "dataclasses":
                raise Unfamiliar(f"{name}.__setstate__")
            value = dict(zip(setters, _exact(list, self._read(value["py/state"], depth)), strict=True))
        made: Any = object.__new__(cls)
        skipped, is_read = self._skipped, "py/object" not in value
        inner = attribute_of(cls, "__dict__")
        place = inner.__get__(made) if None in setters.values() else {}
        for key, each in value.items():
            if key not in setters:
                continue  # `py/object`, or a field that the class no longer has
            item = each if is_read or type(each) in skipped else self._read(each, depth)
            put = setters[key]
            if put is None:
                place[key] = item
            else:
                put(made, item)
        return made


def _error(name: str, cls: type[Exception] | None, arguments: list[Any], state: dict[str, Any]) -> Exception:
    """An error without its constructor: the nearest built-in error lays it out, and its attributes are put into their places."""
    given = state.pop("args", arguments)
    arguments = list(given) if type(given) is tuple else arguments
    made: Exception | None = None
    if name in _CONSTRUCTED and given is arguments:
        made = _CONSTRUCTED[name](*arguments) if is_inert(arguments) else None
    elif cls is not None:
        made = _laid_out(cls, arguments)
    if made is None:
        shown = (str(each) if type(each) in PLAIN else f"<{type(each).__name__}>" for each in arguments)
        made = errors.RemoteError(name.rpartition(".")[2], ", ".join(shown))
    place = BaseException.__dict__["__dict__"].__get__(made)
    for key, value in state.items():
        put = attribute_of(type(made), key)
        if type(put) is MemberDescriptorType and (not is_native(put.__objclass__) or key in ERROR_MEMBERS):
            put.__set__(made, value)
        else:
            place.setdefault(key, value)
    return made


def _laid_out(cls: type[Exception], arguments: list[Any]) -> Exception | None:
    native: Any = native_base(cls)
    if issubclass(native, (OSError, UnicodeError, SyntaxError)) and not is_inert(arguments):
        return None  # these look into their arguments
    if issubclass(native, BaseExceptionGroup) and [type(each) for each in arguments] not in ([str, list], [str, tuple]):
        return None
    try:
        made: Exception = native.__new__(cls, *arguments)
        native.__init__(made, *arguments)
    except Exception:
        return None
    return made


def _exact[Kind](kind: type[Kind], value: Any) -> Kind:
    if type(value) is not kind:
        raise ValueError(f"the stored value is damaged: {kind.__name__} expected, not {type(value).__name__}")
    return value


def _tuple(parts: list[Any], number: int) -> list[Any]:
    part = parts[number] if len(parts) > number else None
    return [] if part is None else _exact(list, _exact(dict, part).get("py/tuple"))


def _bytes(value: Any) -> bytes:
    return base64.b64decode(_exact(str, value), validate=True)


def _standard(name: str, arguments: list[Any]) -> Any:
    maker, allowed = STANDARD[name]
    if not all(type(each) in allowed for each in arguments):
        raise Unfamiliar(name)
    return maker(*arguments)


def _factory(value: Any) -> Any:
    name = value.get("py/type") if type(value) is dict else value
    if name is not None and name not in FACTORIES:
        raise Unfamiliar(name)
    return None if name is None else FACTORIES[name]


def _uncrowded(values: Any) -> Any:
    """The keys or members, if putting them into a dict or set runs no code and takes no longer than it should."""
    if type(values) not in (list, tuple) or not all(map(is_hashable, values)):
        raise Unfamiliar("a key or a member of a set that is an object")
    if len(values) > CROWD_LIMIT and max(collections.Counter(map(hash, values)).values()) > CROWD_LIMIT:
        raise ValueError("the stored value has too many keys or members of one hash")
    return values
