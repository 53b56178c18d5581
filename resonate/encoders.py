"""Values to stored text and back: exact or an error, and reading never executes code.

The default encoder writes what SDK 0.6.7 writes, so mixed fleets understand each other: the header `resonate:format-py` holds the exact
value in jsonpickle's notation, `data` holds its JSON twin for readers in other languages. It reads that header with a reader of its own
that knows a short list of harmless types (tuples, sets, bytes, dates, decimals, dataclasses and exceptions whose class is already
imported) and never imports a module or calls a constructor written in Python; for anything else it falls back to the JSON twin.

What cannot be stored without loss raises `ValueNotStorable`, which names the path: `$.rows[2]`.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime
import decimal
import functools
import json
import logging
import math
import sys
import traceback
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from resonate.errors import ValueNotStorable
from resonate.models.encoder import Encoder
from resonate.protocol import TRACEBACK_HEADER, TRACEBACK_TEXT_LIMIT, VALUE_DEPTH_LIMIT, Encoded

FORMAT_HEADER = "resonate:format-py"

logger = logging.getLogger("resonate")
_PLAIN = frozenset((int, str, bool, type(None)))
_KEY_TYPES = (int, float, bool, type(None))


class RemoteError(Exception):
    """An error whose class is not imported here. `type_name` is the name of its class where it was raised."""

    def __init__(self, type_name: str, text: str) -> None:
        super().__init__(f"{type_name}: {text}")
        self.type_name = type_name


class DefaultEncoder:
    """The encoder that is used wherever no other is given.

    >>> encoder = DefaultEncoder()
    >>> encoder.decode(encoder.encode({"day": 3, "shape": (2, 5)}))
    {'day': 3, 'shape': (2, 5)}
    >>> encoder.encode([1, object()])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    resonate.errors.ValueNotStorable: $[1] is an `object`, which cannot be stored. ...
    """

    def encode(self, obj: Any, /) -> Encoded:
        """(headers, data) of a value; `ValueNotStorable` (a TypeError) when something of it would be lost."""
        if obj is None:
            return {FORMAT_HEADER: "null"}, None
        kind = type(obj)
        if kind is int or kind is bool or kind is str:
            try:
                text = json.dumps(obj)
            except ValueError as error:  # an int of more digits than Python turns into text
                raise ValueNotStorable(f"$ cannot be stored: {error}") from None
            return {FORMAT_HEADER: text}, text
        writer = _Writer()
        try:
            tagged = writer.write(obj, "$", 0)
            text = json.dumps(tagged)
            data = text if not writer.has_tags else json.dumps(_twin(obj))
        except ValueError as error:
            raise ValueNotStorable(f"the value cannot be stored: {error}") from None
        return {FORMAT_HEADER: text}, data

    def encode_call(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], version: int) -> Encoded:
        """(headers, data) of an invocation record. The same as `encode` of the dict, without looking into plain arguments one by one."""
        plain = _PLAIN.issuperset(map(type, args)) and (not kwargs or _PLAIN.issuperset(map(type, kwargs.values())))
        if not plain or any(key.startswith("py/") for key in kwargs):
            return self.encode({"func": name, "args": args, "kwargs": dict(kwargs), "version": version})
        try:
            given, named = json.dumps(args), json.dumps(kwargs) if kwargs else "{}"
        except ValueError as error:  # an int of more digits than Python turns into text
            raise ValueNotStorable(f"the arguments cannot be stored: {error}") from None
        head, tail = f'{{"func": {json.dumps(name)}, "args": ', f', "kwargs": {named}, "version": {version}}}'
        return {FORMAT_HEADER: f'{head}{{"py/tuple": {given}}}{tail}'}, f"{head}{given}{tail}"

    def decode(self, obj: Any, /) -> Any:
        """The value of (headers, data). Raises ValueError when the text is damaged."""
        headers, data = obj
        text = headers.get(FORMAT_HEADER) if headers else None
        if text is not None:
            value = self._read_tagged(text)
            # Not everything whose class is unknown is an error: its plain form says which it was.
            if value is not None and not (type(value) is RemoteError and data is not None and '"__error__"' not in data):
                return value
        return None if data is None else _read_twin(data)

    def _read_tagged(self, text: str) -> Any:
        value = _loads(text)
        if '"py/' not in text:
            return value
        try:
            return _read(value, 0)
        except _Unfamiliar as error:
            logger.warning("a stored value holds %s, which is not read here; its plain JSON form is used instead", error)
            return None
        except (TypeError, AttributeError, OverflowError) as error:
            raise ValueError(f"the stored value is damaged: {error}") from None


class TextEncoder:
    """Wraps an encoder of the user, which turns values into text and back, into the form that promises store."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def encode(self, obj: Any, /) -> Encoded:
        """(None, text)."""
        text = self._encoder.encode(obj)
        if text is not None and not isinstance(text, str):
            raise ValueNotStorable(f"{type(self._encoder).__name__}.encode must give `str` or None, it gave {type(text).__name__}")
        return None, text

    def decode(self, obj: Any, /) -> Any:
        """What the user's encoder reads from the text."""
        return self._encoder.decode(obj[1])


DEFAULT = DefaultEncoder()


def encode_call(encoder: Encoder, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], version: int) -> Encoded:
    """The invocation record of a promise that asks for a call (contract 8), in the encoder's own form."""
    if encoder is DEFAULT:
        return DEFAULT.encode_call(name, args, kwargs, version)
    encoded: Encoded = encoder.encode({"func": name, "args": args, "kwargs": dict(kwargs), "version": version})
    return encoded


def encoder_for(custom: Encoder | None, default: Encoder = DEFAULT) -> Encoder:
    """The encoder to use for a call: the client's default, or the user's in its wrapping."""
    return default if custom is None else TextEncoder(custom)


def encode_error(error: BaseException, encoder: Encoder) -> Encoded:
    """A raised error as the value of a rejected promise, with the text of its traceback beside it. Never raises."""
    try:
        headers, data = encoder.encode(error)
    except BaseException:  # the user's encoder may raise anything, SystemExit too
        headers, data = None, json.dumps({"__error__": safe_text(error)})
    shown = "".join(_format(error))
    return {**(headers or {}), TRACEBACK_HEADER: shown[-TRACEBACK_TEXT_LIMIT:]}, data


def safe_text(error: BaseException) -> str:
    """`str(error)`, also where the error's own `__str__` fails."""
    try:
        return str(error)
    except BaseException:
        return f"<{type(error).__name__} without a text>"


def _format(error: BaseException) -> list[str]:
    try:
        return traceback.format_exception(error)
    except BaseException:
        return [f"{type(error).__name__}: {safe_text(error)}\n"]


# ---- writing -------------------------------------------------------------------------------------------------------------------


class _Writer:
    """Turns a value into JSON with jsonpickle's tags. `has_tags` says whether the plain twin differs."""

    def __init__(self) -> None:
        self.has_tags = False
        self._open: set[int] = set()

    def write(self, value: Any, path: str, depth: int) -> Any:
        kind = type(value)
        if value is None or kind is bool or kind is int or kind is str:
            return value
        if kind is float:
            self.has_tags = self.has_tags or not math.isfinite(value)
            return value
        if depth >= VALUE_DEPTH_LIMIT:
            raise ValueNotStorable(f"{path} is nested deeper than {VALUE_DEPTH_LIMIT} levels, which cannot be stored.")
        if id(value) in self._open:
            raise ValueNotStorable(f"{path} holds itself, and a value that goes round in a circle cannot be stored.")
        self._open.add(id(value))
        try:
            return self._write_composed(value, kind, path, depth + 1)
        finally:
            self._open.discard(id(value))

    def _write_composed(self, value: Any, kind: type, path: str, depth: int) -> Any:
        if kind is list:
            return [self.write(each, f"{path}[{index}]", depth) for index, each in enumerate(value)]
        if kind is dict:
            return self._write_dict(value, path, depth)
        self.has_tags = True
        if kind is tuple:
            return {"py/tuple": [self.write(each, f"{path}[{index}]", depth) for index, each in enumerate(value)]}
        if kind is set:
            return {"py/set": [self.write(each, f"{path}{{…}}", depth) for each in value]}
        if kind is frozenset:
            return _reduced("builtins.frozenset", [self.write(each, f"{path}{{…}}", depth) for each in value])
        if kind is bytes:
            return {"py/b64": base64.b64encode(value).decode("ascii")}
        if kind in (datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone, decimal.Decimal):
            return self._write_standard(value, kind, path, depth)
        if isinstance(value, BaseException):
            return self._write_error(value, path, depth)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return self._write_dataclass(value, path, depth)
        raise ValueNotStorable(_advice(value, path))

    def _write_dict(self, value: dict[Any, Any], path: str, depth: int) -> Any:
        if all(type(key) is str for key in value):
            if any(key.startswith("py/") for key in value):
                return self._write_pairs(value, path, depth)  # or it would be read as a tag
            return {key: self.write(each, f"{path}.{key}", depth) for key, each in value.items()}
        for key in value:
            if type(key) is not str and type(key) not in _KEY_TYPES:
                raise ValueNotStorable(
                    f"{path} has the key {_short(key)}, a `{type(key).__name__}`. Keys must be text or numbers to be stored: "
                    f"turn the key into text, or the dict into a list of pairs."
                )
        return self._write_pairs(value, path, depth)

    def _write_pairs(self, value: dict[Any, Any], path: str, depth: int) -> Any:
        self.has_tags = True
        return _reduced("builtins.dict", [[key, self.write(each, f"{path}[{_short(key)}]", depth)] for key, each in value.items()])

    def _write_standard(self, value: Any, kind: type, path: str, depth: int) -> Any:
        name = f"{kind.__module__}.{kind.__name__}"
        arguments = value.__reduce_ex__(4)[1]  # from protocol 4 on it says which of two equal wall-clock times is meant
        if kind in (datetime.timedelta, datetime.timezone, decimal.Decimal):
            return _reduced(name, *(self.write(each, path, depth) for each in arguments))
        packed = base64.b64encode(arguments[0]).decode("ascii")
        zone = [self.write(each, f"{path}.tzinfo", depth) for each in arguments[1:]]
        return {"py/object": name, "__reduce__": [{"py/type": name}, [packed, *zone]]}

    def _write_error(self, error: BaseException, path: str, depth: int) -> Any:
        """Arguments and plain attributes travel; what cannot is left out, for an error has to arrive in any case."""
        given = error.args
        if isinstance(error, OSError) and len(given) == 2 and error.filename is not None:
            given = (*given, error.filename)  # which its `args` leave out
        try:
            arguments = [self.write(each, path, depth) for each in given]
        except (ValueNotStorable, ValueError):
            arguments = [safe_text(error)]
        state = {}
        for name, each in list(vars(error).items()):
            try:
                state[name] = self.write(each, path, depth)
            except (ValueNotStorable, ValueError):
                continue
        return {"py/reduce": [{"py/type": _name_of(type(error))}, {"py/tuple": arguments}, state]}

    def _write_dataclass(self, value: Any, path: str, depth: int) -> Any:
        kind = type(value)
        if _empty(_imported(_name_of(kind))) is None:
            raise ValueNotStorable(
                f"{path} is a `{kind.__name__}`, which could not be read again: "
                "its class must stand in a module, on its own or below `object`."
            )
        fields = {each.name: self.write(getattr(value, each.name), f"{path}.{each.name}", depth) for each in dataclasses.fields(value)}
        for name in getattr(value, "__dict__", ()):
            if name not in fields and not isinstance(getattr(kind, name, None), functools.cached_property):
                raise ValueNotStorable(f"{path} has the attribute `{name}`, which is no field of `{kind.__name__}` and would be lost.")
        return {"py/object": _name_of(kind), **fields}


def _reduced(name: str, *arguments: Any) -> dict[str, Any]:
    return {"py/reduce": [{"py/type": name}, {"py/tuple": list(arguments)}]}


def _name_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _advice(value: Any, path: str) -> str:
    kind = type(value)
    what = f"{path} is an `{kind.__name__}`" if kind.__name__[:1].lower() in "aeiou" else f"{path} is a `{kind.__name__}`"
    if callable(getattr(value, "item", None)) and getattr(value, "shape", None) == ():
        return f"{what}, which cannot be stored as it is. Write `.item()` after it for the plain Python value."
    if callable(getattr(value, "to_dict", None)):
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


def _twin(value: Any) -> Any:
    """The plain JSON form for readers in other languages. The value has been written already, so it is finite and has no circle."""
    kind = type(value)
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if kind in (list, tuple, set, frozenset):
        return [_twin(each) for each in value]
    if kind is dict:
        return {key if type(key) is str else json.dumps(key): _twin(each) for key, each in value.items()}
    if kind is bytes:
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, BaseException):
        return {"__error__": safe_text(value)}
    if dataclasses.is_dataclass(value):
        return {each.name: _twin(getattr(value, each.name)) for each in dataclasses.fields(value)}
    return value.isoformat() if isinstance(value, (datetime.date, datetime.time)) else str(value)


# ---- reading -------------------------------------------------------------------------------------------------------------------


class _Unfamiliar(Exception):
    """A tag or class that the safe reader does not know."""


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("the stored value is nested too deep to be read") from None


def _read_twin(data: str) -> Any:
    value = _loads(data)
    if isinstance(value, dict) and "__error__" in value:
        return Exception(value["__error__"])
    return value


def _read(value: Any, depth: int) -> Any:
    if depth > VALUE_DEPTH_LIMIT + 8:
        raise ValueError("the stored value is nested too deep to be read")
    if isinstance(value, list):
        return [_read(each, depth + 1) for each in value]
    if not isinstance(value, dict):
        return value
    if not any(key.startswith("py/") for key in value):
        return {key: _read(each, depth + 1) for key, each in value.items()}
    if "py/tuple" in value:
        return tuple(_read(each, depth + 1) for each in _list(value["py/tuple"]))
    if "py/set" in value:
        return _made(set, [_read(each, depth + 1) for each in _list(value["py/set"])])
    if "py/b64" in value:
        return _bytes(value["py/b64"])
    if "py/reduce" in value:
        return _read_reduced(_list(value["py/reduce"]), depth + 1)
    if "py/object" in value:
        return _read_object(value, depth + 1)
    raise _Unfamiliar(next(key for key in value if key.startswith("py/")))


def _read_reduced(parts: list[Any], depth: int) -> Any:
    """`type(*arguments)` for a short list of builtin types, and errors rebuilt from their arguments and attributes."""
    name = parts[0].get("py/type") if parts and isinstance(parts[0], dict) else None
    arguments = _read(parts[1], depth) if len(parts) > 1 else ()
    if not isinstance(name, str) or not isinstance(arguments, tuple):
        raise _Unfamiliar("py/reduce")
    maker = _REDUCED.get(name)
    if maker is not None:
        return _made(maker, *arguments)
    cls = _imported(name)
    if cls is not None and not issubclass(cls, Exception):
        raise _Unfamiliar(name)
    state = _read(parts[2], depth) if len(parts) > 2 and isinstance(parts[2], dict) else {}
    if cls is None:
        shown = (str(each) if type(each) in (str, int, float, bool, type(None)) else f"<{type(each).__name__}>" for each in arguments)
        return RemoteError(name.rpartition(".")[2], ", ".join(shown))
    return _rebuild_error(cls, arguments, state)


def _rebuild_error(cls: type[Exception], arguments: tuple[Any, ...], state: dict[str, Any]) -> Exception:
    # The `__new__` of the nearest class that is written in C: the class's own constructor may want other arguments, or do things.
    native = next(base for base in cls.__mro__ if not base.__flags__ & (1 << 9))  # Py_TPFLAGS_HEAPTYPE: a class made in Python
    try:
        error = native.__new__(cls, *arguments)
        native.__init__(error, *arguments)  # type: ignore[misc] # the C class's own, never one written in Python
    except Exception:
        error = BaseException.__new__(cls, *arguments) if native is Exception else RemoteError(cls.__name__, "its arguments are damaged")
    BaseException.__getattribute__(error, "__dict__").update(state)
    return error


def _read_object(value: dict[str, Any], depth: int) -> Any:
    name = value["py/object"]
    if not isinstance(name, str):
        raise _Unfamiliar("py/object")
    if name in _PACKED:
        parts = value.get("__reduce__")
        arguments = _list(parts[1]) if isinstance(parts, list) and len(parts) == 2 else []
        if not arguments:
            raise _Unfamiliar(name)
        return _made(_PACKED[name], _bytes(arguments[0]), *(_read(each, depth) for each in arguments[1:]))
    cls = _imported(name)
    made = _empty(cls)
    if cls is None or made is None:
        raise _Unfamiliar(name)
    for field in dataclasses.fields(cls):
        if field.name in value:
            object.__setattr__(made, field.name, _read(value[field.name], depth))
    return made


def _empty(cls: type | None) -> Any:
    """An instance of a dataclass without its fields; None for what is no dataclass or stands on a type with a content of its own."""
    if cls is None or not dataclasses.is_dataclass(cls):
        return None
    try:
        return object.__new__(cls)
    except TypeError:
        return None


def _imported(name: str) -> type | None:
    """The class of that name if its module is imported already; nothing is ever imported for a value."""
    module_name, _, attribute = name.rpartition(".")
    while module_name:
        module = sys.modules.get(module_name)
        if module is not None:
            found: Any = module
            for part in attribute.split("."):
                # Past every `__getattribute__`: a module that is loaded when it is first touched stays untouched.
                if issubclass(type(found), ModuleType):
                    found = object.__getattribute__(found, "__dict__").get(part)
                else:
                    found = type.__getattribute__(found, "__dict__").get(part) if issubclass(type(found), type) else None
            return found if issubclass(type(found), type) else None
        module_name, _, head = module_name.rpartition(".")
        attribute = f"{head}.{attribute}"
    return None


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _Unfamiliar("a tag without a list")
    return value


def _bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise ValueError(f"the stored bytes are damaged: {error}") from None


def _made(maker: Any, *arguments: Any) -> Any:
    try:
        return maker(*arguments)
    except Exception as error:
        raise ValueError(f"the stored {getattr(maker, '__name__', 'value')} is damaged: {error}") from None


_REDUCED: dict[str, Any] = {
    "builtins.frozenset": frozenset,
    "builtins.dict": dict,
    "datetime.timedelta": datetime.timedelta,
    "datetime.timezone": datetime.timezone,
    "decimal.Decimal": decimal.Decimal,
}
_PACKED: dict[str, Any] = {"datetime.datetime": datetime.datetime, "datetime.date": datetime.date, "datetime.time": datetime.time}
