"""Workers of several SDKs as processes: where their environments are, and how they are told what to do."""

from __future__ import annotations

import itertools
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.process.waiting import when

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).parent / "peers"
ENVIRONMENTS = ROOT / "build" / "interop"
CURRENT_PYTHON = "resonate-sdk==0.8.1"
CURRENT_FOLDER = ROOT / ".venv-sdk081"
NODE_PACKAGES = ("node@22", "@resonatehq/sdk@0.11")
INSTALL_LIMIT_S = 300
ANSWER_LIMIT_S = 40.0
START_LIMIT_S = 30.0


# ---- environments ------------------------------------------------------------------------------------------------------------------------


@cache
def _python_of(requirement: str | None) -> str:
    """An interpreter with one requirement (None: SDK 0.6.7, as the benchmarks and the parity programs have it), or why there is none."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import processes

        if requirement is None:
            return str(processes.reference_python())
        return str(processes.environment(CURRENT_FOLDER, requirement))
    except processes.CannotInstall as error:
        return f"! {error}"
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


@cache
def _node() -> str:
    """A Node of the version that the TypeScript SDK needs, with the SDK beside it, or why there is none."""
    folder = ENVIRONMENTS / "node"
    stamp, node = folder / "made", folder / "node_modules" / ".bin" / "node"
    if stamp.exists() and stamp.read_text() == " ".join(NODE_PACKAGES) and node.exists():
        return str(node)
    npm = shutil.which("npm")
    if npm is None:
        return "! npm is not here, with which the TypeScript SDK and its Node are installed"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    install = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), *NODE_PACKAGES]
    try:
        done = subprocess.run(install, cwd=folder, check=False, capture_output=True, timeout=INSTALL_LIMIT_S)
        works = done.returncode == 0 and subprocess.run([node, "--version"], check=False, capture_output=True).returncode == 0
    except (subprocess.TimeoutExpired, OSError):
        works = False
    if not works:
        return "! npm could not install the TypeScript SDK and a Node for it here"
    stamp.write_text(" ".join(NODE_PACKAGES))
    return str(node)


def interpreter(sdk: str) -> str:
    """What runs the workers of an SDK; where it cannot be had, the test is skipped with the reason."""
    found = {
        "ours": lambda: sys.executable, "0.6.7": lambda: _python_of(None), "0.8.1": lambda: _python_of(CURRENT_PYTHON), "typescript": _node,
    }[sdk]()  # fmt: skip
    return pytest.skip(found.removeprefix("! ")) if found.startswith("! ") else found


# ---- workers -----------------------------------------------------------------------------------------------------------------------------


class Failed(Exception):
    """What a worker was told to do failed; the text is what it says of the error."""


class Peer:
    """A worker in a process of its own."""

    def __init__(self, sdk: str, command: list[str], url: str, message_url: str) -> None:
        self.sdk = sdk
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.Queue[Any]] = {}
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "RESONATE"))}
        store, messages = urlsplit(url), urlsplit(message_url)
        variables = {
            "RESONATE_HOST": f"http://{store.hostname}", "RESONATE_PORT_STORE": str(store.port),
            "RESONATE_PORT_MESSAGE_SOURCE": str(messages.port), "PEER_URL": url,
        }  # fmt: skip
        if sdk == "ours":
            variables["PYTHONPATH"] = str(ROOT)
        runs = interpreter(sdk)
        folder = PEERS
        if sdk == "typescript":  # Node looks for packages from where the program is
            folder = Path(shutil.copy(PEERS / command[0], ENVIRONMENTS / "node")).parent
        self.process = subprocess.Popen(
            [runs, *command], cwd=folder, env=kept | variables, text=True, encoding="utf-8",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.complaints: list[str] = []
        self._ready = self._expect(0)
        for read in (self._read, self._read_complaints):
            threading.Thread(target=read, daemon=True).start()

    def wait_until_ready(self) -> Peer:
        """The worker has said that it listens."""
        self._answer(self._ready, START_LIMIT_S)
        return self

    def _expect(self, number: int) -> queue.Queue[Any]:
        return self._answers.setdefault(number, queue.Queue())

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith('{"n"'):
                told = json.loads(line)
                self._expect(told["n"]).put(told)
            else:
                self.complaints.append(line)
        for each in list(self._answers.values()):
            each.put(None)

    def _read_complaints(self) -> None:
        assert self.process.stderr is not None
        self.complaints.extend(self.process.stderr)

    def begin(self, what: str, id: str, name: str = "", *args: Any, target: str | None = None, plain: bool = False) -> queue.Queue[Any]:
        """Tell it to do something."""
        number = next(self._numbers)
        expected = self._expect(number)
        assert self.process.stdin is not None
        do = {"what": what, "id": id, "name": name, "args": list(args), "target": target}
        self.process.stdin.write(json.dumps({"n": number, "plain": plain, "do": do}) + "\n")
        self.process.stdin.flush()
        return expected

    def __call__(self, what: str, id: str, name: str = "", *args: Any, target: str | None = None, plain: bool = False) -> Any:
        """Tell it to do something, and what came of it: described, or with `plain` as JSON. Raises `Failed`."""
        return self.end(self.begin(what, id, name, *args, target=target, plain=plain))

    def end(self, expected: queue.Queue[Any]) -> Any:
        """What came of something that was begun."""
        return self._answer(expected, ANSWER_LIMIT_S).get("value")

    def _answer(self, expected: queue.Queue[Any], limit_s: float) -> Any:
        try:
            told = expected.get(timeout=limit_s)
        except queue.Empty:
            told = None
        assert told is not None, f"the worker of {self.sdk} did not answer; it said:\n{''.join(self.complaints[-40:])}"
        if "error" in told:
            raise Failed(told["error"])
        return told

    def until(self, condition: Callable[[], Any]) -> Any:
        """What `condition` answers once it is true; where that takes too long, what the worker has said is told."""
        try:
            return when(condition, ANSWER_LIMIT_S)
        except AssertionError as error:
            error.add_note(f"the worker of {self.sdk} said:\n{''.join(self.complaints[-40:])}")
            raise

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it and its pipes."""
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass  # what was written last has no reader any more


# ---- what they write ---------------------------------------------------------------------------------------------------------------------


def notes_from_now(ledger: Path) -> Callable[[], list[str]]:
    """Gives the lines that workers have written into their ledger since this call."""
    before = len(ledger.read_text().splitlines())
    return lambda: ledger.read_text().splitlines()[before:]
