"""What workers of SDK 0.6.7 have stored is read back exactly, without code; `record.py` tells how it was recorded."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
from recorded_types import value_of
from watch import read_watched

RECORDED = [json.loads(line) for line in Path(__file__).with_name("recorded-0.6.7.jsonl").read_text().splitlines()]

LOST = {"bytearray(b'ab')": "{}", "datetime.datetime(2024, 10, 27, 2, 30, fold=1)": "datetime.datetime(2024, 10, 27, 2, 30)"}
"""What 0.6.7 itself loses when it writes, and what is left of it."""


def told(value: Any) -> Any:
    """A value by type and content, all the way down; two values are the same where this is equal."""
    kind = type(value)
    if kind is float and math.isnan(value):
        return "not a number"
    if isinstance(value, BaseException):
        return kind, [told(each) for each in value.args], {name: told(each) for name, each in vars(value).items()}, str(value)
    if dataclasses.is_dataclass(value):
        return kind, [told(getattr(value, each.name)) for each in dataclasses.fields(value)]
    if isinstance(value, dict):
        return kind, [(told(key), told(each)) for key, each in value.items()]
    if isinstance(value, (list, tuple)):
        return kind, [told(each) for each in value]
    return kind, repr(value)


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded["expression"][:60])
def test_what_0_6_7_has_stored_is_read_exactly(recorded: dict[str, Any]) -> None:
    """A value that 0.6.7 stored comes back by type and content, and reading it runs nothing."""
    value, seen = read_watched(recorded["headers"], recorded["data"])
    assert not [event for event in seen if event != "open"]  # the file of a time zone, which the system's database has
    assert told(value) == told(value_of(LOST.get(recorded["expression"], recorded["expression"])))


def test_the_record_is_complete() -> None:
    """Every expression of `record.py` is in the record, and none of them ended in another way than it should."""
    from record import ERRORS, EXPRESSIONS

    assert [(each["expression"], each["state"]) for each in RECORDED] == [
        *((each, "RESOLVED") for each in EXPRESSIONS), *((each, "REJECTED") for each in ERRORS)
    ]  # fmt: skip
