"""What must never occur in the front-end's text: the ways by which data could become markup, code or a request; and how its
files become one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from resonate_notebook import page

STATIC = Path(__file__).resolve().parents[2] / "resonate_notebook" / "static"
SCRIPTS = sorted(STATIC.glob("*.js"))
FORBIDDEN = {
    "markup from text": r"\b(innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|DOMParser|setHTML\w*|srcdoc)\b",
    "writing into the page": r"\bdocument\s*\.\s*write(ln)?\b",
    "code from text": r"\beval\b|\bFunction\s*\(|\bset(Timeout|Interval)\s*\(\s*[\"'`]|\bimport\s*\(",
    "requests": r"\b(fetch|XMLHttpRequest|WebSocket|EventSource|sendBeacon|importScripts)\b",
    "addresses": r"\b(?:https?|wss?|javascript):(?!//www\.w3\.org/2000/svg\")",
    "handlers as attributes": r"[\"'\s]on[a-z]+\s*=\s*[\"'`{]|setAttribute\(\s*[\"'`]on",
}


def test_there_is_a_front_end_to_check() -> None:
    """The rules below look at every script, and the page gets every one that there is."""
    assert [script.name for script in SCRIPTS] == sorted(page.SCRIPTS)


def test_a_script_imports_only_what_earlier_ones_export() -> None:
    """Each imported name is exported by the file that is named, and that one stands before it; so joining loses nothing."""
    exported: dict[str, set[str]] = {}
    for name in page.SCRIPTS:
        text = (STATIC / name).read_text(encoding="utf-8")
        for names, other in page.IMPORT.findall(text):
            assert {one.strip() for one in names.split(",")} <= exported[other], f"{name} from {other}"
        exported[name] = {one for line in re.findall(r"^export const (.*)", text, re.MULTILINE) for one in re.findall(r"(\w+) = ", line)}
        exported[name] |= {match[1] for match in page.EXPORT.finditer(text)}


def test_joined_scripts_are_one_module_in_which_no_name_is_declared_twice() -> None:
    """No import and one export are left, the default one; the names at the left edge differ from each other."""
    joined = page.script()
    assert re.findall(r"^(?:import|export).*", joined, re.MULTILINE) == ["export default {"]
    names = re.findall(r"^(?:const|(?:async )?function|class) (\w+)", joined, re.MULTILINE)
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("rule", FORBIDDEN)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_no_script_can_turn_data_into_more_than_text(script: Path, rule: str) -> None:
    """No construct that makes markup, code or requests out of text occurs in any script."""
    lines = script.read_text(encoding="utf-8").splitlines()
    assert [line.strip() for line in lines if re.search(FORBIDDEN[rule], line)] == []


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("markup from text", "row.innerHTML = name;"),
        ("writing into the page", "document.write(name)"),
        ("code from text", "new Function(name)"),
        ("requests", "fetch(name)"),
        ("addresses", 'load("https://example.org/x.js")'),
        ("handlers as attributes", '<b onclick="x()">'),
    ],
)
def test_each_rule_finds_what_it_forbids(rule: str, line: str) -> None:
    """A rule that finds nothing would be no rule."""
    assert re.search(FORBIDDEN[rule], line)


def test_no_style_leaks_into_the_notebook() -> None:
    """Every selector starts with `.rg`, every animation with `rg-`, and no style asks for a file."""
    text = re.sub(r"/\*.*?\*/", "", (STATIC / "graph.css").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "url(" not in text
    assert "@import" not in text
    assert all(name.startswith("rg-") for name in re.findall(r"@keyframes\s+([\w-]+)", text))
    outside = re.sub(r"@keyframes[^{]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", "", text)
    selectors = [part.strip() for block in re.findall(r"([^{}]+)\{", outside) for part in re.split(r",(?![^()]*\))", block)]
    assert [selector for selector in selectors if not selector.startswith((".rg", "@media"))] == []
