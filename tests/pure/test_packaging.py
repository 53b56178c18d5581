"""What `make` installs is what pyproject.toml asks for, to the version and the hash; and no line of the next changelog gets lost."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
HASH = re.compile(r"\\\n    --hash=sha256:[0-9a-f]{64}")


def locked(path: Path) -> list[Requirement]:
    text = HASH.sub("", path.read_text(encoding="utf-8"))
    return [Requirement(line) for line in text.splitlines() if not line.startswith("#")]


def asked(lock: str) -> Iterator[Requirement]:
    """What pyproject.toml names for the extra of that name, with the extras that it holds; for a kernel, what its tests need."""
    kernel = re.fullmatch(r"ipykernel(.+)", lock)
    if kernel:
        yield Requirement(f"ipykernel=={kernel[1]}.*")
    extra = "kernel-tests" if kernel else lock
    for each in map(Requirement, PROJECT["project"]["optional-dependencies"][extra]):
        if each.name == PROJECT["project"]["name"]:
            for inner in each.extras:
                yield from asked(inner)
        else:
            yield each


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_a_lock_satisfies_what_is_asked_for(path: Path) -> None:
    """Each requirement of an extra, of the package and of its build stands in the lock of that extra, in a version that it allows."""
    versions = defaultdict(set)
    for pin in locked(path):
        versions[canonicalize_name(pin.name)].add(str(pin.specifier).removeprefix("=="))
    named = [*PROJECT["build-system"]["requires"], *PROJECT["project"]["dependencies"]]
    wanted = [*map(Requirement, named), *asked(path.stem)]

    def met(each: Requirement) -> bool:
        found = versions[canonicalize_name(each.name)]
        return bool(found) and all(each.specifier.contains(version) for version in found)

    unmet = [str(each) for each in wanted if not met(each)]
    assert not unmet, f"{path.relative_to(ROOT)} lacks {', '.join(unmet)}: `make lock` renews it"


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.stem)
def test_a_lock_names_one_version_with_hashes_and_no_place(path: Path) -> None:
    """Each line is one version with its hashes, and nothing says from where it comes: that is for whoever installs to choose."""
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"^\w.*(?:\n    .*)*", text, re.MULTILINE)
    assert len(blocks) == len(locked(path)) > 0
    for block in blocks:
        assert HASH.search(block), block
        assert re.fullmatch(r"==[\w.+!]+", str(Requirement(HASH.sub("", block)).specifier)), block
    assert not re.search(r"://|^-|@", text, re.MULTILINE)


def test_what_is_locked_is_what_is_set_up() -> None:
    """There is a lock for each environment that the Makefile and the tests set up, and no other."""
    used = {*re.findall(r"tools/setup ([\w-]+)", (ROOT / "Makefile").read_text(encoding="utf-8"))}
    used |= {*re.findall(r"\"(ipykernel[\d.]+)\"", (ROOT / "tools" / "test.py").read_text(encoding="utf-8"))}
    assert {path.stem for path in LOCKS} == used


def test_a_fragment_of_the_changelog_is_of_a_kind() -> None:
    """Each file in changes/ has a name that towncrier takes: one that it does not know, it leaves out without a word."""
    kinds = "|".join(each["directory"] for each in PROJECT["tool"]["towncrier"]["type"])
    for path in (ROOT / "changes").iterdir():
        assert path.name == "README.md" or re.fullmatch(rf"(\d+|\+[\w-]+)\.({kinds})\.md", path.name), path.name
