"""Values to stored text and back: exact or an error, and reading never executes code.

The default encoder writes what SDK 0.6.7 writes, so mixed fleets understand each other: the header `resonate:format-py` holds the exact
value in jsonpickle's notation (`value_writer`, `value_reader`), `data` holds its JSON twin for readers in other languages. What the reader
does not know is read in its twin.

The other encoders are parts to build one's own from, as 0.6.7 has them; `PickleEncoder` is for a client that trusts whoever can write into
its store.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from resonate.classes import PLAIN
from resonate.errors import RemoteError, RemoteTraceback, ValueNotStorable, safe_text
from resonate.limits import TRACEBACK_TEXT_LIMIT, UNFAMILIAR_NAMES_LIMIT
from resonate.models.encoder import Encoder
from resonate.protocol import TRACEBACK_HEADER, Encoded
from resonate.value_reader import Reader, Unfamiliar, loads
from resonate.value_writer import Writer

FORMAT_HEADER = "resonate:format-py"

logger = logging.getLogger("resonate")
_quoted = json.encoder.encode_basestring_ascii
_EXACT = PLAIN - {float}  # JSON has no infinities
_told: set[str] = set()  # names that the log has spoken of


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
        if kind is str:
            text = _quoted(obj)
            return {FORMAT_HEADER: text}, text
        if kind is int or kind is bool:
            try:
                text = str(obj) if kind is int else "true" if obj else "false"
            except ValueError as error:  # more digits than Python turns into text
                raise ValueNotStorable(f"$ cannot be stored: {error}") from None
            return {FORMAT_HEADER: text}, text
        writer = self._writer(PLAIN)
        try:
            text = json.dumps(writer.write(obj))
            is_plain = not writer.has_tags and "NaN" not in text and "Infinity" not in text
            data = text if is_plain else json.dumps(writer.twin(obj))
        except ValueError as error:
            self._writer(PLAIN - {int}).write(obj)  # says where it is
            raise ValueNotStorable(f"the value cannot be stored: {error}") from None
        return {FORMAT_HEADER: text}, data

    def encode_call(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], version: int) -> Encoded:
        """(headers, data) of an invocation record. The same as `encode` of the dict, without looking into plain arguments one by one."""
        plain = _EXACT.issuperset(map(type, args)) and (not kwargs or _EXACT.issuperset(map(type, kwargs.values())))
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
            value = self._exact(text, may_be_error=data is None or '"__error__"' in data)
            if value is not None:
                return value
        return None if data is None else _error_of_others(_twin_of(data))

    def _writer(self, plain: frozenset[Any]) -> Writer:
        return Writer(plain=plain)

    def _exact(self, text: str, *, may_be_error: bool) -> Any:
        if '"py/' not in text:
            return loads(text)
        try:
            return Reader(text, may_be_error=may_be_error).value()
        except Unfamiliar as error:
            if error.name not in _told and len(_told) < UNFAMILIAR_NAMES_LIMIT:
                _told.add(error.name)
                logger.warning("a stored value holds %s, which is not read here; its plain JSON form is used instead", error.name)
            return None


class PickleEncoder(DefaultEncoder):
    """Stores by `pickle` what has no notation of its own, and reads that again. Reading a pickle can run any code that its writer chose.

    So it is for a client whose store only trusted programs write into. With a `key` (which those programs share), what is not signed by it
    is not unpickled. Without one, values that SDK 0.6.7 has stored of any class are read too, where the package `jsonpickle` is installed.

    >>> from resonate import Resonate
    >>> Resonate(encoder=PickleEncoder(key=b"secret"))
    Resonate(in memory, group='default', 0 functions, values may be signed pickles)
    """

    def __init__(self, key: bytes | None = None) -> None:
        if key is not None and not (type(key) is bytes and key):
            raise TypeError("key must be `bytes`, not empty, or None")
        self._key = key

    def __repr__(self) -> str:
        return "values may be pickles" if self._key is None else "values may be signed pickles"

    def _writer(self, plain: frozenset[Any]) -> Writer:
        return Writer(self._pickled, plain)

    def _pickled(self, value: Any) -> str:
        import pickle

        try:
            packed = pickle.dumps(value)
        except Exception as error:
            raise ValueNotStorable(f"it cannot be pickled either: {safe_text(error)}") from error
        return f"{self._signature(packed)}:{base64.b64encode(packed).decode('ascii')}"

    def _signature(self, packed: bytes) -> str:
        import hmac

        return "" if self._key is None else hmac.digest(self._key, packed, "sha256").hex()

    def _unpickled(self, text: str) -> Any:
        import hmac
        import pickle

        signature, _, packed_text = text.partition(":")
        packed = base64.b64decode(packed_text, validate=True)
        if self._key is not None and not hmac.compare_digest(signature.encode(), self._signature(packed).encode()):
            raise ValueError("a pickled object that is not signed by this client's key")
        return pickle.loads(packed)  # noqa: S301 (opted into)

    def _exact(self, text: str, *, may_be_error: bool) -> Any:
        try:
            return Reader(text, may_be_error=False, unpickle=self._unpickled).value()
        except Unfamiliar:
            if self._key is None:
                try:
                    import jsonpickle  # type: ignore[import-untyped, unused-ignore]

                    return jsonpickle.decode(text)  # noqa: S301 (opted into)
                except ImportError:
                    pass  # then its twin is read, as by everybody
        return super()._exact(text, may_be_error=may_be_error)


DEFAULT = DefaultEncoder()


def encode_call(encoder: Encoder, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], version: int) -> Encoded:
    """The invocation record of a promise that asks for a call (contract 8), in the encoder's own form."""
    if encoder is DEFAULT:
        return DEFAULT.encode_call(name, args, kwargs, version)
    encoded: Encoded = encoder.encode({"func": name, "args": args, "kwargs": dict(kwargs), "version": version})
    return encoded


# ---- encoders of the user ------------------------------------------------------------------------------------------------------


class TextEncoder:
    """Wraps an encoder of the user, which turns values into text and back, into the form that promises store."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def __repr__(self) -> str:
        return f"values by {type(self._encoder).__name__}"

    def encode(self, obj: Any, /) -> Encoded:
        """(None, text)."""
        text = self._encoder.encode(obj)
        if text is not None and not isinstance(text, str):
            raise ValueNotStorable(f"{type(self._encoder).__name__}.encode must give `str` or None, it gave {type(text).__name__}")
        return None, text

    def decode(self, obj: Any, /) -> Any:
        """What the user's encoder reads from the text."""
        return self._encoder.decode(obj[1])


def encoder_for(custom: Encoder | None, default: Encoder = DEFAULT) -> Encoder:
    """The encoder to use for a call: the client's, or the user's in its wrapping."""
    if custom is None:
        return default
    return custom if isinstance(custom, DefaultEncoder) else TextEncoder(custom)


class JsonEncoder:
    """JSON text, as readers in other languages take it. Errors become `{"__error__": text}`, what JSON has not `{}`; None stays None.

    >>> JsonEncoder().encode((1, {2})), JsonEncoder().decode("[1]")
    ('[1, {}]', [1])
    """

    def encode(self, obj: Any, /) -> str | None:
        """The text of a value."""
        return None if obj is None else json.dumps(obj, default=_foreign)

    def decode(self, obj: str | None, /) -> Any:
        """The value of a text; an object with `__error__` is an Exception. Raises ValueError."""
        return None if obj is None else _twin_of(obj)


class JsonPickleEncoder:
    """Text in jsonpickle's notation, written and read by the same rules as every value here: exactly, and without running code.

    >>> JsonPickleEncoder().decode(JsonPickleEncoder().encode((1, 2)))
    (1, 2)
    """

    def encode(self, obj: Any, /) -> str:
        """The text of a value; `ValueNotStorable` when something of it would be lost."""
        headers, _ = DEFAULT.encode(obj)
        assert headers is not None
        return headers[FORMAT_HEADER]

    def decode(self, obj: str | None, /) -> Any:
        """The value of a text; None for None, and where the text holds what is not read here. Raises ValueError when it is damaged."""
        return DEFAULT.decode(({FORMAT_HEADER: obj}, None)) if obj is not None else None


class Base64Encoder:
    """Text as base64 of its UTF-8; None stays None.

    >>> Base64Encoder().encode("ü")
    'w7w='
    """

    def encode(self, obj: str | None, /) -> str | None:
        """The base64 of a text."""
        return None if obj is None else base64.b64encode(obj.encode()).decode("ascii")

    def decode(self, obj: str | None, /) -> str | None:
        """The text of a base64. Raises ValueError."""
        return None if obj is None else base64.b64decode(obj, validate=True).decode()


class NoopEncoder:
    """Nothing, in both directions: a side of a `PairEncoder` that is not used."""

    def encode(self, obj: Any, /) -> None:
        """None."""
        return

    def decode(self, obj: Any, /) -> None:
        """None."""
        return


class HeaderEncoder:
    """What another encoder writes, as the one entry of a dict of headers.

    >>> HeaderEncoder("k", JsonEncoder()).encode([1])
    {'k': '[1]'}
    """

    def __init__(self, key: str, encoder: Encoder) -> None:
        self._key = key
        self._encoder = encoder

    def encode(self, obj: Any, /) -> dict[str, Any]:
        """The headers of a value."""
        return {self._key: self._encoder.encode(obj)}

    def decode(self, obj: Mapping[str, Any] | None, /) -> Any:
        """The value in the headers; None where they do not have it."""
        return self._encoder.decode(obj[self._key]) if obj is not None and self._key in obj else None


class PairEncoder:
    """Two forms of one value; of those that are read, the first that is not None counts.

    >>> PairEncoder(HeaderEncoder("k", JsonEncoder()), JsonEncoder()).encode(1)
    ({'k': '1'}, '1')
    """

    def __init__(self, l: Encoder, r: Encoder) -> None:  # noqa: E741 (the names that 0.6.7 has)
        self._left = l
        self._right = r

    def encode(self, obj: Any, /) -> tuple[Any, Any]:
        """Both forms of a value."""
        return self._left.encode(obj), self._right.encode(obj)

    def decode(self, obj: tuple[Any, Any], /) -> Any:
        """The value of two forms."""
        left = self._left.decode(obj[0])
        return left if left is not None else self._right.decode(obj[1])


class CombinedEncoder:
    """The second encoder applied to what the first one writes.

    >>> CombinedEncoder(JsonEncoder(), Base64Encoder()).encode([1])
    'WzFd'
    """

    def __init__(self, l: Encoder, r: Encoder) -> None:  # noqa: E741 (the names that 0.6.7 has)
        self._first = l
        self._second = r

    def encode(self, obj: Any, /) -> Any:
        """First the one, then the other."""
        return self._second.encode(self._first.encode(obj))

    def decode(self, obj: Any, /) -> Any:
        """The other way round."""
        return self._first.decode(self._second.decode(obj))


def _foreign(value: Any) -> Any:
    return {"__error__": safe_text(value)} if isinstance(value, BaseException) else {}


def _twin_of(data: str) -> Any:
    value = loads(data)
    return Exception(value["__error__"]) if isinstance(value, dict) and "__error__" in value else value


def _error_of_others(value: Any) -> Any:
    """An error as the current SDKs of Python and TypeScript write it; any other value is itself. What is pickled in it stays so."""
    kind, text = (value.get("__type"), value.get("message")) if type(value) is dict else (None, None)
    if kind not in ("error", "aggregate_error") or type(text) is not str:
        return value
    name, inner, stack = value.get("name"), value.get("errors"), value.get("stack")
    made: Exception
    if kind == "aggregate_error" and type(inner) is list and inner:
        parts = (_error_of_others(each) for each in inner)
        made = ExceptionGroup(text, [each if isinstance(each, Exception) else Exception(each) for each in parts])
    else:
        made = RemoteError(name, text) if type(name) is str and name not in ("", "Error", "Exception") else Exception(text)
    if type(stack) is str:
        made.__cause__ = RemoteTraceback(stack[:TRACEBACK_TEXT_LIMIT])
    return made


# ---- errors --------------------------------------------------------------------------------------------------------------------


def encode_error(error: BaseException, encoder: Encoder) -> Encoded:
    """A raised error as the value of a rejected promise, with the text of its traceback beside it. Never raises."""
    try:
        headers, data = encoder.encode(error)
    except BaseException:  # the user's encoder may raise anything, SystemExit too
        headers, data = None, json.dumps({"__error__": safe_text(error)})
    shown = "".join(_formatted(error))
    if len(shown) > TRACEBACK_TEXT_LIMIT:  # where it began and how it arrived
        half = TRACEBACK_TEXT_LIMIT // 2
        shown = f"{shown[: half - 8]}\n  …\n{shown[-half:]}"
    return {**(headers or {}), TRACEBACK_HEADER: shown}, data


_DRIVERS = (str(Path(__file__).parent), str(Path(os.__file__).parent / "asyncio"))


def _formatted(error: BaseException) -> list[str]:
    try:
        return traceback.format_exception(type(error), error, _of_users(error.__traceback__))
    except BaseException:
        return [f"{type(error).__name__}: {safe_text(error)}\n"]


def _of_users(frames: TracebackType | None) -> TracebackType | None:
    """The frames from the first one on that is not of this package (or of the event loop that it drives)."""
    first = frames
    while first is not None and first.tb_frame.f_code.co_filename.startswith(_DRIVERS):
        first = first.tb_next
    return first or frames
