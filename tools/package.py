"""Builds the wheel and the source distribution, and tries both as strangers would: in new environments, without this checkout.

    make package                                  with each Python from 3.12 to 3.14 that is found
    make package PACKAGE="python3.13"             with these

In each environment: `resonate` alone, with nothing that only the notebook needs, runs a durable function; then the wheel with its
dependencies, installed without a compiler, loads as an IPython extension and draws a run. The source distribution builds the same wheel.
What the wheel installs is listed in dist/LICENCES.txt, each with its licence.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
PYTHONS = ("python3.12", "python3.13", "python3.14")
ONLY_FOR_NOTEBOOKS = ("IPython", "ipywidgets", "anywidget", "uvicorn")
ALONE = f"""
import importlib.util, sys
assert not any(importlib.util.find_spec(name) for name in {ONLY_FOR_NOTEBOOKS!r})
from resonate import Resonate
with Resonate.local(log_level="ERROR") as client:
    @client.register
    def hello(ctx, name):
        return (yield ctx.run(lambda _: f"hello {{name}}"))
    assert hello.run("hello-1", "world") == "hello world"
"""
LOADED = """
%load_ext resonate_notebook
import resonate_notebook as rn
def double(ctx, number): return number * 2
rn.register(double)
run = rn.run("first", "double", 21)
assert run.result(timeout=10) == 42
%resonate tree first
"""


LICENCES = """
from importlib.metadata import distributions
for each in sorted(distributions(), key=lambda each: each.name.lower()):
    told = each.metadata
    named = [line.rpartition(" :: ")[2] for line in told.get_all("Classifier") or () if line.startswith("License :: ")]
    licence = told.get("License-Expression") or ", ".join(named) or (told.get("License") or "?").splitlines()[0]
    print(f"{each.name} {each.version}: {licence}")
"""


def run(*command: str | Path, cwd: Path | None = None, input: str | None = None) -> str:
    """What a program says; ends this one, showing it, where the program fails."""
    done = subprocess.run(
        [str(each) for each in command], cwd=cwd, input=input, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed ({done.returncode}):\n{done.stdout}")
    return done.stdout


def version(python: str) -> str:
    """Which Python a name is; empty where it is none that can make environments: a version manager's shim may refuse."""
    if shutil.which(python) is None:
        return ""
    probe = [python, "-c", "import sys, venv, ensurepip; print(*sys.version_info[:2], sep='.')"]
    return subprocess.run(probe, check=False, capture_output=True, text=True).stdout.strip()


def environment(python: str, folder: Path) -> Path:
    """A new environment; gives its Python."""
    run(python, "-m", "venv", folder)
    return folder / "bin" / "python"


def build(work: Path) -> Path:
    """Both distributions, in dist/; gives the wheel."""
    shutil.rmtree(DIST, ignore_errors=True)
    builder = environment(sys.executable, work / "build")
    run(builder, "-m", "pip", "install", "-q", "build")
    run(builder, "-m", "build", "--outdir", DIST, ROOT)  # the wheel is built from the source distribution
    (wheel,) = DIST.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    needed = {f"{package}/py.typed" for package in ("resonate", "resonate_notebook")}
    needed |= {str(path.relative_to(ROOT)) for path in (ROOT / "resonate_notebook" / "static").iterdir()}
    needed |= {str(path.relative_to(ROOT)) for package in ("resonate", "resonate_notebook") for path in (ROOT / package).rglob("*.py")}
    if missing := needed - inside:
        sys.exit(f"the wheel lacks {', '.join(sorted(missing))}")
    return wheel


def try_out(wheel: Path, python: str, work: Path) -> None:
    """Install the wheel in new environments of one Python and use it."""
    folder = work / version(python)
    alone = environment(python, folder / "alone")
    run(alone, "-m", "pip", "install", "-q", "--no-deps", wheel)
    run(alone, "-c", ALONE, cwd=folder)
    whole = environment(python, folder / "whole")
    run(whole, "-m", "pip", "install", "-q", "--only-binary", ":all:", wheel)
    (DIST / "LICENCES.txt").write_text(run(whole, "-c", LICENCES), encoding="utf-8")
    said = run(whole.with_name("ipython"), "--no-banner", "--simple-prompt", "--HistoryManager.enabled=False", cwd=folder, input=LOADED)
    if "✓ double" not in said and "✓ first" not in said:
        sys.exit(f"the extension did not draw the run:\n{said}")
    print(f"  Python {version(python)}: `resonate` alone and the notebook extension work from {wheel.name}", flush=True)


def main(pythons: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        wheel = build(work)
        print(f"{wheel.name}, {wheel.stat().st_size // 1024} kB, and {next(DIST.glob('*.tar.gz')).name} are in dist/", flush=True)
        candidates = pythons or [*PYTHONS, getattr(sys, "_base_executable", sys.executable)]
        found = {version(python): python for python in candidates if version(python)}
        if not found:
            sys.exit(f"none of {', '.join(candidates)} works here, so nothing was tried")
        for python in found.values():
            try_out(wheel, python, work)


if __name__ == "__main__":
    main(sys.argv[1:])
