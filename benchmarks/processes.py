"""Starting measurements as processes of their own, and the environments of the rivals."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from cases import Case, Row

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
REFERENCE = "resonate-sdk==0.6.7"
REFERENCE_FOLDER = ROOT / ".venv-bench067"
MODERN = "resonate-sdk==0.8.1"
MODERN_FOLDER = ROOT / ".venv-sdk081"
DBOS = "dbos==3.4.0"
DBOS_FOLDER = ROOT / ".venv-benchdbos"
DBOS_SQLITE = (3, 42)  # what it needs of SQLite; on an older system a package brings a newer one
KINDS = {"0.6.7": "resonate"}  # what `measure.py` calls a peer, where it is not the same
COLD_KINDS = {"memory": "resonate", "0.6.7": "resonate", "fast": "file", "dbos": "dbos"}
BARE = "import os; os._exit(0)"


class CannotInstall(Exception):
    """A rival's environment could not be made."""


def environment(folder: Path, requirement: str, *further: str) -> str:
    """The interpreter of an environment with this requirement, made with this interpreter's base when it is not there yet."""
    python = folder / "bin" / "python"
    name, _, wanted = requirement.partition("==")
    probe = f"from importlib.metadata import version; assert version({name!r}) == {wanted!r}"
    if not python.exists() or subprocess.run([str(python), "-c", probe], check=False, capture_output=True).returncode:
        print(f"Setting up {folder.name} with {requirement}.", flush=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement, *further]
        for command in ([sys.executable, "-m", "venv", "--clear", str(folder)], install):
            done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode:
                shutil.rmtree(folder, ignore_errors=True)
                raise CannotInstall(f"{requirement} could not be installed here")
    return str(python)


def reference_python() -> str:
    """The interpreter of 0.6.7's environment."""
    return environment(REFERENCE_FOLDER, REFERENCE)


def modern_python() -> str:
    """The interpreter of 0.8.1's environment."""
    return environment(MODERN_FOLDER, MODERN)


def dbos_python() -> str:
    """The interpreter of DBOS's environment."""
    return environment(DBOS_FOLDER, DBOS, *(["pysqlite3-binary"] if sqlite3.sqlite_version_info < DBOS_SQLITE else []))


def run(command: list[str], cwd: str, timeout_s: float) -> tuple[int | None, str, str, float]:
    """The process's code (None: it did not end in time), what it said and complained of, and its seconds.

    It is waited for without polling, for the seconds of a short process; its output goes to files, so that a helper process which a
    peer leaves behind cannot keep it open; and with it end the processes of its group.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as said, tempfile.TemporaryFile("w+", errors="replace") as complained:
        began_s = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=cwd, env=variables(command[0]), stdout=said, stderr=complained, stdin=subprocess.DEVNULL, start_new_session=True
        )
        timed_out = threading.Event()

        def end_it() -> None:
            timed_out.set()
            end_group(process.pid)

        alarm = threading.Timer(timeout_s, end_it)
        alarm.start()
        try:
            code = process.wait()
        finally:
            wall_s = time.perf_counter() - began_s
            alarm.cancel()
            end_group(process.pid)
        said.seek(0)
        complained.seek(0)
        return None if timed_out.is_set() else code, said.read(), complained.read(), wall_s


def variables(python: str) -> dict[str, str]:
    """The environment of a process: this interpreter imports the `resonate` of this checkout, wherever it was installed from."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | {"PYTHONPATH": str(ROOT)} if python == sys.executable else kept


@contextlib.contextmanager
def helper(command: list[str], cwd: str) -> Iterator[dict[str, str]]:
    """A process that serves meanwhile; what its first line of JSON tells."""
    process = subprocess.Popen(
        [sys.executable, *command], cwd=cwd, env=variables(sys.executable), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"`{shlex.join(command)}` did not start")
        yield json.loads(line)
    finally:
        end_group(process.pid)
        process.communicate()


@contextlib.contextmanager
def development_server(folder: str) -> Iterator[tuple[str, int]]:
    """The address of a development server in a process of its own, with an empty file in `fast`, and its port for messages."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        command = ["-m", "resonate", "dev", "--port", "0", "--message-port", "0", "--json"]
        with helper([*command, "--db", str(Path(own) / "promises.db"), "--durability", "fast"], own) as told:
            yield told["url"], int(told["message_url"].rpartition(":")[2])


@contextlib.contextmanager
def held_back(url: str, ms: float, folder: str) -> Iterator[str]:
    """The address of a server that is slower (`held_back.py`)."""
    with helper([str(HERE / "held_back.py"), "--url", url, "--ms", str(ms)], folder) as told:
        yield told["url"]


def end_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def measure(python: str, case: Case, peer: str, count: int, folder: str, timeout_s: float, *further: str) -> Row:
    """Do one measurement; answers its line, or a row that tells how it failed. `further` are arguments for `measure.py`."""
    if case.workload == "cold":
        return measure_cold(python, peer, folder, timeout_s)
    command = [python, str(HERE / "measure.py"), "--peer", KINDS.get(peer, peer), "--workload", case.workload]
    command += ["--n", str(count), "--concurrency", str(case.concurrency), "--folder", folder, *further]
    code, said, complained, _ = run(command, folder, timeout_s)
    if code is None:
        return {"error": f"no end within {timeout_s:g} s", "timed_out": True}
    try:
        row: Row = json.loads(said.splitlines()[-1])
    except (IndexError, ValueError):
        return ended(code, complained)
    return row


def measure_cold(python: str, peer: str, folder: str, timeout_s: float) -> Row:
    """A bare process of the same interpreter, then one that imports and runs; both end without a Python shutdown."""
    with tempfile.TemporaryDirectory(dir=folder) as own:
        _, _, _, bare_s = run([python, "-c", BARE], own, timeout_s)
        code, _, complained, wall_s = run([python, str(HERE / "cold.py"), COLD_KINDS[peer], own], own, timeout_s)
    if code is None:
        return {"error": f"no end within {timeout_s:g} s", "timed_out": True}
    if code:
        return ended(code, complained)
    return {"bare_ms": bare_s * 1000, "process_ms": wall_s * 1000, "over_bare_ms": (wall_s - bare_s) * 1000}


def ended(code: int, complained: str) -> Row:
    named = re.findall(r"^[\w.]*(?:Error|Exception)\b.*$", complained, re.MULTILINE)
    return {"error": f"the process ended with code {code}: {named[-1][:120] if named else 'no error named'}"}
