"""Values and errors that travel between workers, known to both sides by a name, and how either side tells what it has got."""

from __future__ import annotations

import datetime
from typing import Any


class OutOfStock(Exception):
    """An error of the program's own."""

    def __init__(self, item: str, count: int = 0) -> None:
        super().__init__(item, count)
        self.item = item
        self.count = count

    def __str__(self) -> str:
        return f"{self.count} of {self.item}"


VALUES: dict[str, Any] = {
    "an int": 7,
    "a float": 2.5,
    "text in unicode": "naïve 日本 🙂 \x00 \u2028",
    "None": None,
    "booleans": [True, False],
    "nested": {"rows": [{"a": [1, {"b": None}]}, []], "": {"ü": {}}},
    "a tuple": (1, ("two", None)),
    "a set": {1, 2, 3},
    "dates": [datetime.date(2026, 2, 28), datetime.datetime(2026, 2, 28, 23, 59, 59, 123456, tzinfo=datetime.UTC)],
    "bytes": b"\x00\xff raw",
    "a big int": 2**100 + 1,
    "a mixture": {"shape": (2, 5), "seen": {b"k"}, "when": [datetime.timedelta(days=1, seconds=5)]},
}

ERRORS: dict[str, Any] = {
    "a builtin": lambda: ValueError("no stock"),
    "a builtin with two arguments": lambda: KeyError("a", 2),
    "a class of its own": lambda: OutOfStock("bolts", 3),
    "one with a cause": lambda: caused(RuntimeError("outer"), OSError(2, "inner")),
}


def made(name: str) -> Exception:
    """The named error, new."""
    error: Exception = ERRORS[name]()
    return error


def caused(error: Exception, cause: Exception) -> Exception:
    """An error as `raise error from cause` makes it."""
    error.__cause__ = cause
    return error


def described(value: Any) -> str:
    """Types and contents, the same text wherever the value is the same."""
    kind = type(value).__name__
    if isinstance(value, dict):
        return f"{kind}{{{', '.join(f'{described(key)}: {described(each)}' for key, each in value.items())}}}"
    if isinstance(value, (set, frozenset)):
        return f"{kind}{{{', '.join(sorted(map(described, value)))}}}"
    if isinstance(value, (list, tuple)):
        return f"{kind}[{', '.join(map(described, value))}]"
    if isinstance(value, BaseException):
        return f"{kind}: {value}; {described(value.args)}; {described(getattr(value, 'item', None))}"
    return f"{kind} {value!r}"
