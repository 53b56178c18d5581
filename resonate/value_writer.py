"""Writes values in jsonpickle's notation, exactly or not at all.

What is written is what `value_reader` reads, and a worker of SDK 0.6.7. A value that would lose something is refused with its path
(`$.rows[2]`). An object that stands at two places is written twice, and is two equal objects when it is read.
"""

from __future__ import annotations

import base64
import collections
import dataclasses
import datetime
import enum
import functools
import json
import re
import types
import uuid
import zoneinfo
from collections.abc import Callable, Iterable
from typing import Any

from resonate import errors
from resonate.classes import (
    PLAIN,
    STANDARD,
    TIMES,
    field_setters,
    has_zone,
    imported,
    is_hashable,
    members_of,
    named_tuple_length,
    native_base,
    slots_of,
)
from resonate.errors import ValueNotStorable, safe_text
from resonate.limits import VALUE_DEPTH_LIMIT
from resonate.value_reader import ERROR_MEMBERS, FACTORIES, ZONE

_TEXT = frozenset((str,))
_NAMES = {maker: name for name, (maker, _) in STANDARD.items()}
_DICTS = (dict, collections.OrderedDict, collections.defaultdict, collections.Counter)
_is_tag = re.compile("py/").match


class Writer:
    """Turns one value into JSON with tags. `has_tags` says whether its twin differs. `pickle` takes what has no notation, if given.

    >>> Writer().write({"shape": (2, 5)})
    {'shape': {'py/tuple': [2, 5]}}
    """

    def __init__(self, pickle: Callable[[Any], str] | None = None, plain: frozenset[Any] = PLAIN) -> None:
        self.has_tags = False
        self._pickle = pickle
        self._plain = plain
        self._open: set[int] = set()
        self._pickled: set[int] = set()
        self._must_arrive = False
        self._circle: int | None = None  # the id of an object that was found to hold itself: it is pickled as a whole, or not at all

    def write(self, value: Any, path: str = "$", depth: int = 0) -> Any:
        """The value with tags. Raises `ValueNotStorable`, which names the path of what would be lost."""
        kind = type(value)
        if kind in self._plain:
            return value
        if depth == 0:
            self._must_arrive = isinstance(value, BaseException)
        if kind is int:
            return _written_int(value, path)
        if id(value) in self._open:
            self._circle = id(value)
            raise ValueNotStorable(f"{path} holds itself, and a value that goes round in a circle cannot be stored.")
        self._open.add(id(value))
        try:
            if depth >= VALUE_DEPTH_LIMIT:
                raise ValueNotStorable(f"{path} is nested deeper than {VALUE_DEPTH_LIMIT} levels, which cannot be stored.")
            if kind is list:
                return self._items(value, path, depth + 1)
            return self._dict(value, path, depth + 1) if kind is dict else self._tagged(value, kind, path, depth + 1)
        except ValueNotStorable:
            if self._pickle is None or self._circle not in (None, id(value)):
                raise
            self.has_tags, self._circle = True, None
            self._pickled.add(id(value))
            return {"py/pickle": self._pickle(value)}
        finally:
            self._open.discard(id(value))

    def _items(self, values: Iterable[Any], path: str, depth: int) -> list[Any]:
        plain = self._plain
        return [each if type(each) in plain else self.write(each, f"{path}[{index}]", depth) for index, each in enumerate(values)]

    def _members(self, values: Iterable[Any], path: str, depth: int) -> list[Any]:
        path = f"{path}{{…}}"
        for each in values:
            if not is_hashable(each):
                self.write(each, path, depth)  # where it could not be stored anyway, that is what is said
                raise ValueNotStorable(f"{path} is a `{type(each).__name__}`, which a stored set cannot hold. Use a list.")
        return [self.write(each, path, depth) for each in values]

    def _dict(self, value: dict[Any, Any], path: str, depth: int) -> Any:
        if not _TEXT.issuperset(map(type, value)) or any(map(_is_tag, value)):  # or the key would be read as a tag
            self.has_tags = True
            return _reduced("builtins.dict", [[key, each] for key, each in self._pairs(value, path, depth)])
        plain = self._plain
        return {key: each if type(each) in plain else self.write(each, f"{path}.{key}", depth) for key, each in value.items()}

    def _pairs(self, value: dict[Any, Any], path: str, depth: int) -> Iterable[tuple[Any, Any]]:
        for key in value:
            if type(key) not in PLAIN:
                raise ValueNotStorable(
                    f"{path} has the key {_short(key)}, a `{type(key).__name__}`. Keys must be text or numbers to be stored: "
                    f"turn the key into text, or the dict into a list of pairs."
                )
        return [(self.write(key, path, depth), self.write(each, f"{path}[{_short(key)}]", depth)) for key, each in value.items()]

    def _tagged(self, value: Any, kind: type, path: str, depth: int) -> Any:
        self.has_tags = True
        if kind is tuple:
            return {"py/tuple": self._items(value, path, depth)}
        if kind is set:
            return {"py/set": self._members(value, path, depth)}
        if kind is bytes:
            return {"py/b64": base64.b64encode(value).decode("ascii")}
        name = _NAMES.get(kind) or f"{kind.__module__}.{kind.__qualname__}"
        if name in TIMES:
            arguments = value.__reduce_ex__(4)[1]  # from protocol 4 on it says which of two equal wall-clock times is meant
            packed = base64.b64encode(arguments[0]).decode("ascii")
            zone = [self.write(each, f"{path}.tzinfo", depth) for each in arguments[1:]]
            return {"py/object": name, "__reduce__": [{"py/type": name}, [packed, *zone]]}
        if kind is complex:
            return {"py/object": name, "py/newargs": {"py/tuple": [value.real, value.imag]}}
        if kind in _NAMES:
            return _reduced(name, *(self.write(each, path, depth) for each in value.__reduce_ex__(4)[1]))
        if isinstance(value, BaseException):
            return self._error(value, path, depth)
        if isinstance(value, enum.Enum):
            if members_of(imported(name)).get(repr(value.value)) is not value:
                raise ValueNotStorable(f"{path} is a `{kind.__name__}` that could not be found again: its class must stand in a module, "
                                       "and its value be plain.")  # fmt: skip
            return _reduced(name, self.write(value.value, path, depth))
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._dataclass(value, name, path, depth)
        if kind is uuid.UUID:
            return {"py/object": name, "hex": value.hex}
        return self._collection(value, kind, name, path, depth)

    def _collection(self, value: Any, kind: type, name: str, path: str, depth: int) -> Any:
        if getattr(value, "__dict__", None) and (kind in _DICTS or isinstance(value, tuple)):
            raise ValueNotStorable(f"{path} has attributes beside its items, which would be lost.")
        if kind is frozenset:
            return _reduced(name, self._members(value, path, depth))
        if kind is collections.Counter:
            return _reduced(name, self._dict(value, path, depth))
        if kind is collections.deque:
            given: tuple[Any, ...] = () if value.maxlen is None else ({"py/tuple": []}, value.maxlen)
            return {"py/reduce": [*_reduced(name, *given)["py/reduce"], None, {"py/tuple": self._items(value, path, depth)}]}
        if kind in (collections.OrderedDict, collections.defaultdict):
            factory = getattr(value, "default_factory", None)
            given = () if kind is collections.OrderedDict else (factory and {"py/type": f"builtins.{factory.__name__}"},)
            if factory is None or factory in FACTORIES.values():
                pairs = [{"py/tuple": [key, each]} for key, each in self._pairs(value, path, depth)]
                return {"py/reduce": [*_reduced(name, *given)["py/reduce"], None, None, {"py/tuple": pairs}]}
        if kind is zoneinfo.ZoneInfo and type(value.key) is str:
            if not has_zone(value.key):
                raise ValueNotStorable(
                    f"{path} is the time zone {_short(value.key)}, which this system's own database lacks. "
                    "Use another name of it, or install it (Debian and Ubuntu: apt install tzdata tzdata-legacy)."
                )
            if zoneinfo.ZoneInfo(value.key) is value:
                return {"py/reduce": [{"py/function": ZONE}, {"py/tuple": [value.key, 1]}]}
        if isinstance(value, tuple) and named_tuple_length(imported(name)) == len(value):
            return {"py/object": name, "py/newargs": {"py/tuple": self._items(value, path, depth)}}
        raise ValueNotStorable(_advice(value, path))

    def _error(self, error: BaseException, path: str, depth: int) -> Any:
        """Arguments and attributes. An error that was raised has to arrive in any case: what of it cannot be stored is left out."""
        kind = type(error)
        native: Any = native_base(kind)
        given = native.__reduce__(error)[1]  # an OSError's holds the file's name, which its `args` leave out
        attributes = {name: getattr(error, name, None) for name in (*slots_of(kind), *ERROR_MEMBERS)} | vars(error)
        state = {}
        for name, each in attributes.items():
            if each is not None or name in vars(error):
                try:
                    state[name] = self.write(each, f"{path}.{name}", depth)
                except ValueNotStorable:
                    if not self._must_arrive:
                        raise
        try:
            arguments = called = self._items(given, f"{path}.args", depth)
        except ValueNotStorable:
            if not self._must_arrive:
                raise
            arguments = called = [safe_text(error)]
        try:  # jsonpickle, unlike the reader here, calls the constructor
            called = self._items(_constructor_arguments(error, given), path, depth)
        except ValueNotStorable:
            pass
        if called != arguments:
            state["args"] = {"py/tuple": arguments}
        return {"py/reduce": [{"py/type": f"{kind.__module__}.{kind.__qualname__}"}, {"py/tuple": called}, state]}

    def _dataclass(self, value: Any, name: str, path: str, depth: int) -> Any:
        kind = type(value)
        fields = field_setters(imported(name))
        if fields is None:
            raise ValueNotStorable(
                f"{path} is a `{kind.__name__}`, which could not be read again: "
                "its class must stand in a module, on its own or below `object`, with fields that no code of it sets."
            )
        for attribute in getattr(value, "__dict__", ()):
            if attribute not in fields and not isinstance(getattr(kind, attribute, None), functools.cached_property):
                raise ValueNotStorable(f"{path} has the attribute `{attribute}`, which is no field of `{kind.__name__}` and would be lost.")
        try:
            return {"py/object": name, **{field: self.write(getattr(value, field), f"{path}.{field}", depth) for field in fields}}
        except AttributeError as error:
            raise ValueNotStorable(f"{path} lacks a field: {error}") from None

    def twin(self, value: Any) -> Any:
        """The plain JSON form for readers in other languages, of a value that has been written."""
        kind = type(value)
        if kind in PLAIN:
            return None if kind is float and value - value != 0 else value  # infinity or not-a-number
        if id(value) in self._pickled:
            return {}
        if kind in (bytes, bytearray):
            return base64.b64encode(value).decode("ascii")
        if isinstance(value, enum.Enum):
            return self.twin(value.value)
        if isinstance(value, BaseException):
            return {"__error__": safe_text(value)}
        if isinstance(value, (list, tuple, set, frozenset, collections.deque)):
            return [self.twin(each) for each in value]
        if kind in _DICTS:
            return {key if type(key) is str else json.dumps(key): self.twin(each) for key, each in value.items()}
        if dataclasses.is_dataclass(value):
            return {each.name: self.twin(getattr(value, each.name)) for each in dataclasses.fields(value)}
        return value.isoformat() if isinstance(value, (datetime.date, datetime.time)) else str(value)


def _reduced(name: str, *arguments: Any) -> dict[str, Any]:
    return {"py/reduce": [{"py/type": name}, {"py/tuple": list(arguments)}]}


def _written_int(value: int, path: str) -> int:
    try:
        str(value)
    except ValueError as error:  # more digits than Python turns into text
        raise ValueNotStorable(f"{path} cannot be stored: {error}") from None
    return value


def _constructor_arguments(error: BaseException, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a reader that calls the error's constructor has to call it with."""
    match error:
        case errors.ResonateTimedoutError():
            return error.promise_id, error.timeout
        case errors.ResonateCanceledError():
            return (error.promise_id,)
        case errors.ResonateStoreError():
            return error.mesg, error.server_code
    if isinstance(getattr(type(error), "__reduce__", None), types.FunctionType):
        try:
            reduced = error.__reduce__()
        except Exception:
            return given
        if isinstance(reduced, tuple) and reduced[:1] == (type(error),) and isinstance(reduced[1], tuple):
            return reduced[1]
    return given


def _advice(value: Any, path: str) -> str:
    kind = type(value)
    what = f"{path} is an `{kind.__name__}`" if kind.__name__[:1].lower() in "aeiou" else f"{path} is a `{kind.__name__}`"
    if callable(getattr(kind, "item", None)) and hasattr(kind, "shape") and value.shape == ():
        return f"{what}, which cannot be stored as it is. Write `.item()` after it for the plain Python value."
    if callable(getattr(kind, "to_dict", None)):
        return f"{what}, which cannot be stored as it is. Store its plain form (`.to_dict()`, `.tolist()`), or a path to where it is kept."
    return (
        f"{what}, which cannot be stored. Return JSON-like values (numbers, text, lists, dicts, dates, dataclasses), "
        "or give the step an encoder."
    )


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 40 else text[:39] + "…"
