"""The classes of the recorded values, and what their expressions mean."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import ipaddress
import pathlib
import uuid
import zoneinfo
from typing import Any, NamedTuple


@dataclasses.dataclass
class Point:
    x: Any
    y: Any


@dataclasses.dataclass(frozen=True)
class Frozen:
    name: str
    parts: Any


class Colour(enum.Enum):
    RED = 1
    BLUE = "blue"


class Pair(NamedTuple):
    left: Any
    right: Any


class Plain(Exception):
    pass


def noted(error: Exception, note: str) -> Exception:
    error.add_note(note)
    return error


_NAMES = {
    each.__name__: each
    for each in (collections, datetime, decimal, fractions, ipaddress, pathlib, uuid, zoneinfo, Point, Frozen, Colour, Pair, Plain, noted)
}


def value_of(expression: str) -> Any:
    return eval(expression, dict(_NAMES))
