"""The tables by which rows of the contract are held elsewhere name tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
MODULES = sorted(path for path in Path(__file__).parent.glob("test_*.py") if path.name != "test_tables.py")
DOCUMENT = TESTS.parent / "docs" / "from-0.6.7.md"
ROW = re.compile(r"\| (D-\d+(?:, D-\d+)*) \|.*\|([^|]*)\|")
NAMED = re.compile(r"`tests/([a-z]+/\w+\.py)::(\w+)`")


@cache
def names_in(path: Path) -> frozenset[str]:
    """The names of the tests of a file."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return frozenset(each.name for each in body if isinstance(each, ast.FunctionDef) and each.name.startswith("test_"))


def held_by(module: Path) -> dict[str, str]:
    """The table of a module: row -> the test that holds it."""
    for each in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name) and each.targets[0].id == "HELD_BY":
            table: dict[str, str] = ast.literal_eval(each.value)
            return table
    return {}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_rows_are_held_by_tests_that_exist(module: Path) -> None:
    """Every test that a `HELD_BY` names is there under that name."""
    for row, test in held_by(module).items():
        file, _, name = test.partition("::")
        assert (TESTS / file).exists(), f"{row}: there is no {file}"
        assert name in names_in(TESTS / file), f"{row}: {file} has no {name}"


def test_there_are_tables_and_tests() -> None:
    """Each module has tests of its own, and the tables were really read."""
    assert len(MODULES) >= 12
    assert all(names_in(module) for module in MODULES)
    assert sum(len(held_by(module)) for module in MODULES) >= 40


def test_every_defect_of_0_6_7_is_answered() -> None:
    """docs/from-0.6.7.md has a row for each defect, whose last column names the tests that hold it."""
    answered: dict[int, bool] = {}
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if row := ROW.fullmatch(line):
            for number in re.findall(r"\d+", row[1]):
                answered[int(number)] = bool(NAMED.search(row[2]))
    assert sorted(answered) == list(range(1, 33))
    assert all(answered.values())


def test_the_document_names_tests_that_exist() -> None:
    """Every test that docs/from-0.6.7.md names is there, and every file of tests that it names is named with a test in it."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for file, name in NAMED.findall(text):
        assert name in names_in(TESTS / file), f"{file} has no {name}"
    assert re.findall(r"`tests/[^`:]*`", text) == []
