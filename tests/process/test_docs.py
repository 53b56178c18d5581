"""What the pages of docs/ show is true: their Python runs, and prints what they say it prints; tests that they name are there."""

from __future__ import annotations

import ast
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from resonate import Resonate
from resonate.server import DevelopmentServer

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n*```output\n(?P<output>.*?)^```$)?", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^(?:```+|:::+)(\S*)", re.MULTILINE)
SHOWN = {"py", "ipython", "output", "text", "sh", "ini", "dockerfile", "yaml", "mermaid"}
"""Kinds of blocks besides `python`: they are shown and not run. A program that never ends is `py`."""
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def blocks(page: Path) -> list[re.Match[str]]:
    return list(BLOCK.finditer(page.read_text(encoding="utf-8")))


RUNNABLE = [page for page in PAGES if blocks(page)]


@pytest.fixture
def namespace(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """That of a module of its own, in an empty folder; `Resonate.remote()` finds a server; clients are stopped at the end."""
    module = types.ModuleType("page_of_docs")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.chdir(tmp_path)
    with DevelopmentServer(port=0) as server:
        monkeypatch.setenv("RESONATE_HOST", server.url)
        yield vars(module)
        for value in list(vars(module).values()):
            if isinstance(value, Resonate):
                value.stop()


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.relative_to(ROOT / "docs").as_posix())
def test_what_a_page_shows_runs(page: Path, namespace: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Each Python block of a page runs after those before it, and prints exactly what the block of output after it says."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(page):
        capsys.readouterr()
        line = text.count("\n", 0, block.start("code"))
        exec(compile("\n" * line + block["code"], str(page), "exec"), namespace)
        if block["output"] is not None:
            assert capsys.readouterr().out == block["output"], f"{page.name}, line {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT / "docs").as_posix())
def test_no_block_escapes_by_its_name(page: Path) -> None:
    """Every block is of a known kind, so that none is left out of the test above by a slip."""
    kinds = FENCE.findall(page.read_text(encoding="utf-8"))[::2]
    assert {kind for kind in kinds if not kind.startswith("{")} <= SHOWN | {"python"}


def test_the_tests_that_pages_name_are_there() -> None:
    """Every file of tests that a page names is there, and the test in it."""
    named = {(page.name, *match.groups()) for page in PAGES for match in TEST.finditer(page.read_text(encoding="utf-8"))}
    assert named
    for page, file, test in sorted(named, key=str):
        assert (ROOT / file).is_file(), f"{page} names {file}"
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert test is None or test in names, f"{page} names {file}::{test}"
