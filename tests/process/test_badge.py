"""`make binder BINDER=--badge`: where the project is, as git knows it, becomes a badge."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BINDER = Path(__file__).resolve().parents[2] / "tools" / "binder.py"
TUTORIAL = "HEAD?urlpath=lab/tree/notebooks/01-first-run.ipynb"


def badge(folder: Path, remote: str | None) -> subprocess.CompletedProcess[str]:
    """What the tool says in a repository whose `origin` is this."""
    (folder / "tools").mkdir()
    shutil.copy(BINDER, folder / "tools")
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    if remote:
        subprocess.run(["git", "remote", "add", "origin", remote], cwd=folder, check=True)
    return subprocess.run([sys.executable, "tools/binder.py", "--badge"], cwd=folder, check=False, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("remote", "place"),
    [
        ("https://github.com/some-one/note.book.git", "gh/some-one/note.book"),
        ("https://github.com/some-one/notebook/", "gh/some-one/notebook"),
        ("https://name:secret@github.com/some-one/notebook.git", "gh/some-one/notebook"),
        ("git@github.com:some-one/notebook.git", "gh/some-one/notebook"),
        ("ssh://git@github.com:22/some-one/notebook.git", "gh/some-one/notebook"),
        ("https://gitlab.com/group/part/notebook.git", "gl/group%2Fpart%2Fnotebook"),
        ("git@gitlab.com:group/notebook", "gl/group%2Fnotebook"),
    ],
)
def test_a_remote_becomes_a_badge(tmp_path: Path, remote: str, place: str) -> None:
    """Each form of an address on GitHub or GitLab leads to the first tutorial of that repository, without whoever's password."""
    said = badge(tmp_path, remote)
    image = "[![Binder](https://mybinder.org/badge_logo.svg)]"
    assert said.stdout == f"{image}(https://mybinder.org/v2/{place}/{TUTORIAL})\n", said.stderr


@pytest.mark.parametrize("remote", [None, "/somewhere/notebook.git", "https://example.org/some-one/notebook.git", "https://github.com.example.org/a/b"])
def test_no_remote_is_no_badge(tmp_path: Path, remote: str | None) -> None:
    """Where `origin` is none of these, or there is none, one sentence says so, and nothing is printed that could be pasted."""
    said = badge(tmp_path, remote)
    assert (said.returncode, said.stdout) == (1, "")
    assert said.stderr.startswith("There is no badge: the remote `origin` is no repository on github.com or gitlab.com.")
