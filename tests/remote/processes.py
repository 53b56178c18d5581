"""Processes that tests start, and end: workers, and a server that keeps its promises in a file."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]


class Process:
    """One that ends with its context, whatever state it is in."""

    def __init__(self, *arguments: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        )
        assert self._process.stdout is not None
        self.said = self._process.stdout.readline()
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """`kill -9`, and wait for its end."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)
        if self._process.stdout is not None:
            self._process.stdout.close()


class ServerProcess:
    """A development server in a process of its own, whose promises are in a file; killed and started anew at the same port."""

    def __init__(self, db: Path) -> None:
        self._db = db
        self.ports = ("0", "0")
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()

    def start(self) -> None:
        arguments = ("--json", "--db", str(self._db), "--port", self.ports[0], "--message-port", self.ports[1], "--durability", "fast")
        self.process = Process("resonate", "dev", *arguments)
        said: dict[str, Any] = json.loads(self.process.said)
        self.url = str(said["url"])
        self.ports = tuple(str(said[each]).rpartition(":")[2] for each in ("url", "message_url"))  # type: ignore[assignment] # two

    def kill(self) -> None:
        self.process.kill()


def worker(url: str, protocol: str, group: str, ledger: Path, ttl: int = 2) -> Process:
    return Process("tests.remote.worker", url, protocol, group, str(ledger), str(ttl))


def lines(ledger: Path) -> list[str]:
    return ledger.read_text("utf-8").splitlines() if ledger.exists() else []
