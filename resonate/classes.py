"""What is known of a class without asking it: no method, descriptor or metaclass written in Python is called.

The reader of stored values makes objects only of what these functions vouch for, and the writer writes only what they will vouch for.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import ipaddress
import os
import pathlib
import re
import sys
import uuid
import zoneinfo
from collections.abc import Callable
from types import GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

PLAIN = frozenset((int, str, float, bool, type(None)))
"""Types that JSON holds exactly, and whose values hold no others."""
_IP = (ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network, ipaddress.IPv4Interface,
       ipaddress.IPv6Interface)  # fmt: skip
_PATHS = (pathlib.PurePosixPath, pathlib.PureWindowsPath, type(pathlib.Path()))
STANDARD: dict[str, tuple[Any, tuple[type, ...]]] = {
    "builtins.bytearray": (bytearray, (bytes,)),
    "builtins.complex": (complex, (float,)),
    "builtins.range": (range, (int,)),
    "datetime.timedelta": (datetime.timedelta, (int, float)),
    "datetime.timezone": (datetime.timezone, (datetime.timedelta, str)),
    "decimal.Decimal": (decimal.Decimal, (str,)),
    "fractions.Fraction": (fractions.Fraction, (int,)),
    **{f"ipaddress.{each.__name__}": (each, (int, str)) for each in _IP},
    **{f"pathlib.{each.__name__}": (each, (str,)) for each in _PATHS},
}
"""Types of the standard library by name: what makes them, and the types that its arguments may have."""
TIMES: dict[str, Any] = {"datetime.datetime": datetime.datetime, "datetime.date": datetime.date, "datetime.time": datetime.time}
_HASHABLE = PLAIN | {bytes, complex, range, frozenset, datetime.timedelta, datetime.timezone, decimal.Decimal, fractions.Fraction,
                     uuid.UUID, zoneinfo.ZoneInfo, *_IP, *_PATHS, *TIMES.values()}  # fmt: skip

Setters = dict[str, Callable[[Any, Any], None] | None]
_ABSENT = object()
_bases: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_attributes: Callable[[type], Any] = type.__dict__["__dict__"].__get__
_flags: Callable[[type], int] = type.__dict__["__flags__"].__get__
_is_zone_name = re.compile("[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*").fullmatch


def imported(name: str) -> type | None:
    """The class of that name, if its module is imported already and its objects can be held and let go without running code of it."""
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
                    found = _attributes(found).get(part) if issubclass(type(found), type) else None
            if not issubclass(type(found), type) or attribute_of(found, "__del__") is not None:
                return None
            return None if _runs_code(type(found), "__hash__", "__eq__", "__getattribute__") else found
        module_name, _, head = module_name.rpartition(".")
        attribute = f"{head}.{attribute}"
    return None


def attribute_of(cls: type, name: str) -> Any:
    """The attribute as it stands in the class or its nearest base; None where there is none."""
    return next((_attributes(base)[name] for base in _bases(cls) if name in _attributes(base)), None)


def is_native(cls: type) -> bool:
    """Whether the class was made in C and not by a class statement."""
    return not _flags(cls) & (1 << 9)  # Py_TPFLAGS_HEAPTYPE


def native_base(cls: type) -> type:
    """The nearest class of it that was made in C: what lays out its objects."""
    return next(base for base in _bases(cls) if is_native(base))


def slots_of(cls: type) -> dict[str, MemberDescriptorType]:
    """The slots that class statements have given to objects of the class."""
    made = (_attributes(base).items() for base in _bases(cls) if not is_native(base))
    return {name: each for items in made for name, each in items if type(each) is MemberDescriptorType}


def field_setters(cls: type | None) -> Setters | None:
    """What puts each field of a dataclass into an empty object: the field's slot, or None for the object's `__dict__`.

    None for what is no dataclass, stands on a type with a content of its own, or has a field that code sets.
    """
    if cls is None or attribute_of(cls, "__dataclass_fields__") is None:
        return None
    try:
        object.__new__(cls)
    except TypeError:
        return None
    has_dict = type(attribute_of(cls, "__dict__")) is GetSetDescriptorType
    slots, setters = slots_of(cls), Setters()
    for field in dataclasses.fields(cls):
        if field.name in slots:
            setters[field.name] = slots[field.name].__set__
        elif has_dict and attribute_of(type(attribute_of(cls, field.name)), "__set__") is None:
            setters[field.name] = None
        else:
            return None
    return setters


def members_of(cls: type | None) -> dict[str, enum.Enum]:
    """The members of an enumeration by the `repr` of their value, as far as that is plain."""
    members = attribute_of(cls, "_member_map_") if cls is not None and issubclass(cls, enum.Enum) else {}
    valued = ((object.__getattribute__(each, "__dict__").get("_value_", _ABSENT), each) for each in members.values())
    return {repr(value): each for value, each in valued if is_inert(value)}


def named_tuple_length(cls: type | None) -> int | None:
    """How many items a named tuple of that class has; None for what is no such class."""
    names = attribute_of(cls, "_fields") if cls is not None and issubclass(cls, tuple) else None
    return len(names) if type(names) is tuple else None


def is_hashable(value: Any) -> bool:
    """Whether hashing and comparing the value runs nothing but the standard library."""
    kind = type(value)
    if kind in _HASHABLE:
        return True
    if _runs_code(kind, "__hash__", "__eq__"):
        return False
    return issubclass(kind, enum.Enum) or (issubclass(kind, tuple) and all(map(is_hashable, tuple.__iter__(value))))


def is_inert(value: Any) -> bool:
    """Whether the value is plain, or a list or tuple of such: C code may look at it in any way."""
    return type(value) in PLAIN or type(value) is bytes or (type(value) in (tuple, list) and all(map(is_inert, value)))


def has_zone(key: Any) -> bool:
    """Whether the system's database has the time zone, so that no package would be imported to find it."""
    if type(key) is not str or not _is_zone_name(key):
        return False
    return any(os.path.isfile(os.path.join(folder, key)) for folder in zoneinfo.TZPATH)


def _runs_code(cls: type, *names: str) -> bool:
    """Whether any of these methods is written in Python; the hash that `Enum` has is known."""
    owners = (next(base for base in _bases(cls) if name in _attributes(base)) for name in names)
    return any(not is_native(owner) and owner is not enum.Enum for owner in owners)
