"""What a function was called with, as a short text that is the same in every process: how a replay knows that the code has changed.

The text is read by people (it stands in errors and in pictures of runs met only by their records) and compared as a whole. A long one is
cut and ends in a digest of all of it. Only the start of a very large value is looked at, so that a call with a table costs next to
nothing; what has no stable text (a connection, a model) counts by its type alone.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from resonate.limits import FINGERPRINT_ITEMS_LIMIT, FINGERPRINT_TEXT_LIMIT, VALUE_DEPTH_LIMIT

_PLAIN = frozenset((int, float, str, bool, type(None)))
_STABLE: Final = (int, float, complex, str, bytes, bytearray, range, slice)
_STABLE_MODULES: Final = frozenset(("datetime", "decimal", "fractions", "ipaddress", "pathlib", "uuid", "zoneinfo"))
_BRACKETS: Final[dict[Any, tuple[str, str]]] = {list: ("[", "]"), tuple: ("(", ")"), set: ("{", "}"), frozenset: ("{", "}")}


def fingerprint(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """The arguments of a call, as they would be written. Never raises.

    >>> fingerprint((3, "a"), {"fast": True})
    "3, 'a', fast=True"
    >>> len(fingerprint(("long" * 1000,), {}))
    96
    """
    if _PLAIN.issuperset(map(type, args)) and not kwargs:
        try:
            text = ", ".join(map(repr, args))
        except ValueError:  # an int of more digits than Python turns into text
            text = "<int>"
    else:
        writer = _Writer()
        parts = [writer.text(each, 0) for each in args]
        text = ", ".join(parts + [f"{name}={writer.text(each, 0)}" for name, each in kwargs.items()])
    if len(text) <= FINGERPRINT_TEXT_LIMIT:
        return text
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{text[: FINGERPRINT_TEXT_LIMIT - 18]}… {digest}"


class _Writer:
    """Writes values until it has looked at enough of them."""

    def __init__(self) -> None:
        self._left = FINGERPRINT_ITEMS_LIMIT

    def text(self, value: Any, depth: int) -> str:
        self._left -= 1
        kind = type(value)
        if self._left < 0 or depth > VALUE_DEPTH_LIMIT:
            return "…"
        try:
            if value is None or isinstance(value, (enum.Enum, *_STABLE)) or kind.__module__ in _STABLE_MODULES:
                return repr(value)
            if kind in _BRACKETS:
                return self._collection(value, kind, depth)
            if kind is dict:
                return self._pairs("{", value.items(), ": ", "}", len(value), depth)
            if dataclasses.is_dataclass(value) and not isinstance(value, type):
                fields = [(each.name, getattr(value, each.name)) for each in dataclasses.fields(value) if each.repr]
                return self._pairs(f"{kind.__name__}(", fields, "=", ")", len(fields), depth)
        except BaseException:  # a value's own code may raise anything; a fingerprint is not worth a failure
            return f"<{kind.__name__}>"
        if isinstance(value, BaseException):
            return "<error>"  # read again where its class is not imported, it is of another class
        name = getattr(value, "__qualname__", None)
        return f"<{name}>" if isinstance(name, str) else f"<{kind.__name__}>"

    def _collection(self, value: Any, kind: type, depth: int) -> str:
        left, right = _BRACKETS[kind]
        texts = []
        for each in value:
            texts.append(self.text(each, depth + 1))
            if self._left < 0:
                break
        if kind in (set, frozenset):
            if self._left < 0:
                return f"{{{len(value)} items}}"  # which of them come first differs between processes
            texts.sort()
        return f"{left}{', '.join(texts)}{right}" if self._left >= 0 else f"{left}{', '.join(texts)}, {len(value)} items{right}"

    def _pairs(self, left: str, pairs: Any, between: str, right: str, count: int, depth: int) -> str:
        texts = []
        for name, each in pairs:
            shown = name if between == "=" else self.text(name, depth + 1)
            texts.append(f"{shown}{between}{self.text(each, depth + 1)}")
            if self._left < 0:
                texts.append(f"{count} items")
                break
        return f"{left}{', '.join(texts)}{right}"
