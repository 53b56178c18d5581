"""The contract of 0.6.7, row by row: one module for each section of it, or for two.

A row that a test of another folder holds is not tested a second time. The module's `HELD_BY` says which test that is, and
`test_tables.py` looks whether it is there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
for place in (str(TESTS.parent), str(TESTS / "process")):  # for `tests.remote` and `waiting`
    if place not in sys.path:
        sys.path.insert(0, place)

from resonate import Resonate  # noqa: E402


@pytest.fixture
def client() -> Iterator[Resonate]:
    with Resonate(workers=4, log_level="CRITICAL") as client:
        yield client
