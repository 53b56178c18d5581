"""Tries what `binder/` says, without Docker: the image that it asks for, and the tutorials in exactly its environment.

    make binder                    all of it
    make binder BINDER=--pin       first write the newest versions that fit into binder/requirements.txt

repo2docker says which image it would build. Then a new environment gets what requirements.txt pins and what postBuild adds, from a clone of
the last commit, and the tutorials run in it, strict: once as it is, once where Graphviz's `dot` cannot be found.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "binder" / "requirements.txt"
HEADING = "# Made by `make binder BINDER=--pin`: what the tutorials ran with. The package itself is added by postBuild.\n"
WANTED = (
    "Building conda environment for python=3.12", "apt-get install --yes --no-install-recommends graphviz",
    'pip install --no-cache-dir -r "binder/requirements.txt"', "RUN ./binder/postBuild",
)  # fmt: skip


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


def pin(work: Path) -> None:
    """Write the newest versions that fit."""
    python = environment(work / "pins")
    pip(python, "install", f"{ROOT}[lab]")
    lines = run(python, "-m", "pip", "freeze").splitlines()
    PINS.write_text(HEADING + "".join(f"{line}\n" for line in lines if not line.startswith("resonate-notebook")), encoding="utf-8")


def look_at_image(work: Path, clone: Path) -> None:
    """What repo2docker would build holds each of the four files' wishes."""
    python = environment(work / "repo2docker")
    pip(python, "install", "jupyter-repo2docker")
    said = run(python, "-m", "repo2docker", "--no-build", "--debug", clone)
    if missing := [wanted for wanted in WANTED if wanted not in said]:
        sys.exit(f"the image lacks {'; '.join(missing)}:\n{said}")
    print("  the image: Python 3.12, Graphviz, the pinned requirements, postBuild", flush=True)


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
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if "--pin" in words:
            pin(work)
        clone = work / "clone"
        run("git", "clone", "-q", ROOT, clone)
        shutil.copytree(ROOT / "binder", clone / "binder", dirs_exist_ok=True)  # also what is not committed yet
        look_at_image(work, clone)
        try_tutorials(work, clone)


if __name__ == "__main__":
    main(sys.argv[1:])
