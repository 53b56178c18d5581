"""Tries what `binder/` says, without Docker: the image that it asks for, and the tutorials in exactly its environment.

    make binder                    both
    make binder BINDER=--badge     only prints the Markdown of a badge that opens the first tutorial there, for the remote `origin`

repo2docker says which image it would build. Then a new environment gets what requirements.txt and postBuild install, from a clone of the
last commit, and the tutorials run in it, strict: once as it is, once where Graphviz's `dot` cannot be found.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
WANTED = (
    "Building conda environment for python=3.12", "apt-get install --yes --no-install-recommends graphviz",
    'pip install --no-cache-dir -r "binder/requirements.txt"', "RUN ./binder/postBuild",
)  # fmt: skip
FIRST_TUTORIAL = "notebooks/01-first-run.ipynb"
PROVIDERS = {"github.com": "gh", "gitlab.com": "gl"}
"""Hosts of repositories, each with what mybinder.org calls it."""
REMOTE = re.compile(r"(?:(?:https?|ssh|git)://)?(?:[^@/]*@)?(?P<host>[\w.-]+)(?::\d+)?[:/]/*(?P<path>[\w./~-]+?)(?:\.git)?/*")
"""An address of a repository, as `https://`, `ssh://` or `git@host:path`. Whoever's name or password stands in it is left out."""


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    """What a program says; ends this one, showing it, where the program fails."""
    done = subprocess.run(
        [str(each) for each in command], cwd=cwd, env=os.environ | environment, check=False, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed ({done.returncode}):\n{done.stdout}")
    return done.stdout


def pip(python: Path, *words: str | Path) -> str:
    return run(python, "-m", "pip", "--disable-pip-version-check", "-q", *words)


def environment(folder: Path) -> Path:
    """A new environment of this Python; gives its own."""
    run(getattr(sys, "_base_executable", sys.executable), "-m", "venv", folder)
    return folder / "bin" / "python"


def badge() -> str:
    """The Markdown of a badge for where `origin` is; ends this program where mybinder.org would not find it."""
    asked = subprocess.run(["git", "remote", "get-url", "origin"], cwd=ROOT, check=False, capture_output=True, text=True)
    found = REMOTE.fullmatch(asked.stdout.strip())
    if found is None or found["host"] not in PROVIDERS or "/" not in found["path"]:
        sys.exit("There is no badge: the remote `origin` is no repository on github.com or gitlab.com. `git remote -v` lists the remotes.")
    provider = PROVIDERS[found["host"]]
    path = found["path"] if provider == "gh" else quote(found["path"], safe="")
    return f"[![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/{provider}/{path}/HEAD?urlpath=lab/tree/{FIRST_TUTORIAL})"


def look_at_image(work: Path, clone: Path) -> None:
    """What repo2docker would build holds each of the four files' wishes."""
    python = environment(work / "repo2docker")
    pip(python, "install", "jupyter-repo2docker")
    said = run(python, "-m", "repo2docker", "--no-build", "--debug", clone)
    if missing := [wanted for wanted in WANTED if wanted not in said]:
        sys.exit(f"the image lacks {'; '.join(missing)}:\n{said}")
    print("  the image: Python 3.12, Graphviz, the locked requirements, postBuild", flush=True)


def try_tutorials(work: Path, clone: Path) -> None:
    """Run them, strict, in an environment that holds what the image holds and nothing else."""
    python = environment(work / "image")
    pip(python, "install", "-r", clone / "binder" / "requirements.txt")
    run(clone / "binder" / "postBuild", cwd=clone, PATH=f"{python.parent}{os.pathsep}{os.environ['PATH']}")
    kernel = work / "jupyter" / "kernels" / "image"
    kernel.mkdir(parents=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "image", "language": "python"}), encoding="utf-8")
    bare = work / "bin"  # a PATH with everything that `dot` is beside, and not `dot`
    bare.mkdir()
    for folder in os.environ["PATH"].split(os.pathsep):
        for program in Path(folder).iterdir() if Path(folder).is_dir() else ():
            if program.name != "dot" and not (bare / program.name).exists():
                (bare / program.name).symlink_to(program)
    for path in (os.environ["PATH"], str(bare)):
        what = "with Graphviz" if shutil.which("dot", path=path) else "without Graphviz"
        said = run(
            sys.executable, "-m", "pytest", "-q", "--nbval", "--nbval-kernel-name=image", "--nbval-cell-timeout=120", "-p", "no:randomly",
            "notebooks", cwd=clone, JUPYTER_PATH=str(work / "jupyter"), PATH=path,
        )  # fmt: skip
        print(f"  the tutorials, {what}: {said.strip().splitlines()[-1]}", flush=True)


def main(words: list[str]) -> None:
    if "--badge" in words:
        print(badge())
        return
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        clone = work / "clone"
        run("git", "clone", "-q", ROOT, clone)
        for name in ("binder", "requirements"):
            shutil.copytree(ROOT / name, clone / name, dirs_exist_ok=True)  # also what is not committed yet
        look_at_image(work, clone)
        try_tutorials(work, clone)


if __name__ == "__main__":
    main(sys.argv[1:])
