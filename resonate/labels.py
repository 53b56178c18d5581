"""Short texts of arguments and values for pictures: bounded, never raising, made only while somebody watches."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from typing import Any

from resonate.limits import FINGERPRINT_TEXT_LIMIT, LABEL_ARGUMENT_LIMIT, LABEL_TEXT_LIMIT

_SHORT = frozenset((bool, float, type(None)))
_SMALL = 10**12
_repr = reprlib.Repr()
_repr.maxlevel, _repr.maxstring, _repr.maxother = 3, LABEL_TEXT_LIMIT, LABEL_TEXT_LIMIT
_repr.maxlist = _repr.maxtuple = _repr.maxset = _repr.maxfrozenset = _repr.maxdict = 6


def short_text(value: Any, limit: int = LABEL_TEXT_LIMIT) -> str:
    """At most `limit` characters that say what a value is; tables and arrays by their shape.

    >>> short_text([1, 2, 3]), short_text(None)
    ('[1, 2, 3]', 'None')
    """
    try:
        if type(value) in _SHORT or (type(value) is int and -_SMALL < value < _SMALL):
            return repr(value)
        if type(value) is str and len(value) > limit:
            value = value[:limit]  # the rest would not be shown
        shape = getattr(value, "shape", None)
        if type(shape) is tuple and shape:
            return f"<{type(value).__name__} {' × '.join(f'{size:,}' for size in shape)}>"
        text = _repr.repr(value)
    except BaseException:  # a user's __repr__ may raise anything, and a label is not worth a failure
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else text[: limit - 1] + "…"


def label_arguments(func: Callable[..., Any] | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """(name, short text) of a call's arguments; the name is empty where it is not known.

    >>> label_arguments(lambda ctx, day: None, (3,), {"fast": True})
    (('day', '3'), ('fast', 'True'))
    """
    if not args and not kwargs:
        return ()
    names = _names(func)
    labels = [(names[index] if index < len(names) else "", short_text(each)) for index, each in enumerate(args[:LABEL_ARGUMENT_LIMIT])]
    labels += [(name, short_text(each)) for name, each in list(kwargs.items())[: max(0, LABEL_ARGUMENT_LIMIT - len(labels))]]
    return tuple(labels)


def label_recorded(func: Callable[..., Any] | None, text: str) -> tuple[tuple[str, str], ...]:
    """(name, text) of arguments that are known as they would be written; all of them under no name where that cannot be told.

    >>> label_recorded(lambda ctx, day, host: None, "3, 'a, b', fast=True")
    (('day', '3'), ('host', "'a, b'"), ('fast', 'True'))
    """
    import ast  # few ask, and it takes as long as a dozen steps

    names = _names(func) if len(text) <= FINGERPRINT_TEXT_LIMIT else ()
    try:
        call: Any = ast.parse(f"f({text})", mode="eval").body if names else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # it was cut, or stands for what cannot be written
        call = None
    if not isinstance(call, ast.Call) or len(call.args) > len(names):
        return (("", text),)
    given = [*zip(names, call.args, strict=False), *((each.arg or "", each.value) for each in call.keywords)]
    line = f"f({text})".encode()
    return tuple((name, line[node.col_offset : node.end_col_offset].decode()) for name, node in given[:LABEL_ARGUMENT_LIMIT])


def _names(func: Callable[..., Any] | None) -> tuple[str, ...]:
    code = getattr(func, "__code__", None)
    return code.co_varnames[1 : code.co_argcount] if code is not None else ()


def label_data(data: Any) -> tuple[tuple[str, str], ...]:
    """The label of a promise's data: the items of a dict, else the value under no name."""
    if data is None:
        return ()
    if isinstance(data, dict):
        return tuple((str(name)[:LABEL_TEXT_LIMIT], short_text(each)) for name, each in list(data.items())[:LABEL_ARGUMENT_LIMIT])
    return (("", short_text(data)),)
