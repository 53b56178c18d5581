"""Starts processes quickly: a process that has imported everything and opened nothing forks one for each job.

A new interpreter takes a quarter of a second to import the package; a sweep that kills thousands of processes has not that much time.
The nursery is asked by one caller at a time, in lines of JSON; a job is a function of `jobs.JOBS`, its result one line of JSON too.
What a child writes to standard error is kept and handed over with its end.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

ROOT = Path(__file__).parents[2]
SOON_S = 30


class Ended(NamedTuple):
    """How a child ended: its exit code (minus the signal that killed it), its result, and what it wrote to standard error."""

    code: int
    result: Any
    errors: str


class Child:
    """A process that does one job."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery = nursery
        self.pid = pid

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, within_s: float = SOON_S) -> Ended:
        """Its end. It is killed, and AssertionError says what it wrote, when it takes longer."""
        answer = self._nursery.ask(wait=self.pid, within_s=within_s)
        if answer is None:
            self.signal(signal.SIGKILL)
            errors = self._nursery.ask(wait=self.pid, within_s=SOON_S)[2]
            raise AssertionError(f"a process was not done within {within_s} s\n{errors}")
        return Ended(*answer)

    def done(self, within_s: float = SOON_S) -> Any:
        """Its result, after an end as it should be."""
        ended = self.wait(within_s)
        assert ended.code == 0, f"exit code {ended.code}\n{ended.errors}"
        return ended.result


class Nursery:
    """A process that forks children; they end with it."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.chaos.nursery"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait(SOON_S)
        self._process.stdout.close()  # type: ignore[union-attr]

    def start(self, job: str, **arguments: Any) -> Child:
        """A process that does a job (of `jobs.JOBS`) with these arguments."""
        return Child(self, self.ask(job=job, arguments=arguments))

    def ask(self, **request: Any) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        line = stdout.readline()
        assert line, "the nursery has ended"
        return json.loads(line)


# ---- the nursery itself --------------------------------------------------------------------------------------------------------------


def main() -> None:
    from tests.chaos.jobs import JOBS

    children: dict[int, tuple[IO[str], IO[str]]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "job" in request:
            out, errors = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `_wait`
            pid = os.fork()
            if pid == 0:
                _be_child(JOBS[request["job"]], request["arguments"], out, errors)
            children[pid] = (out, errors)
            answer: Any = pid
        else:
            answer = _wait(request["wait"], request["within_s"], children)
        print(json.dumps(answer), flush=True)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    for pid in children:
        os.waitpid(pid, 0)


def _be_child(job: Any, arguments: dict[str, Any], out: IO[str], errors: IO[str]) -> None:
    code = 1
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        os.dup2(errors.fileno(), 2)
        faulthandler.enable(2)
        result = job(**arguments)
        out.write(json.dumps(result))
        out.flush()
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _wait(pid: int, within_s: float, children: dict[int, tuple[IO[str], IO[str]]]) -> Any:
    deadline = time.monotonic() + within_s
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > deadline:
            return None
        time.sleep(0.001)
    texts = []
    for file in children.pop(pid):
        file.seek(0)
        texts.append(file.read())
        file.close()
    return os.waitstatus_to_exitcode(status), json.loads(texts[0] or "null"), texts[1]


if __name__ == "__main__":
    main()
