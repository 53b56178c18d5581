"""`resonate_notebook.show` in a plain script: no IPython runs, the client is the script's own, and there is a terminal or none."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path

import pytest

SCRIPT = """
import sys, threading, time
from resonate import Resonate
from resonate.retry_policies import Never
import resonate_notebook

client = Resonate.local()

@client.register
def clean(ctx, day):
    time.sleep(0.2)  # the work, long enough for the terminal to be drawn in between
    if day == 2 and "fail" in sys.argv:
        raise ValueError("no rows")
    return day

@client.register
def pipeline(ctx, days):
    total = 0
    for day in range(days):
        total += yield ctx.run(clean, day).options(retry_policy=Never())
    return total

handle = client.options(tags={"a": "b"}).begin_run("demo.1", pipeline, int(sys.argv[1]))
view = "timeline" if "timeline" in sys.argv else ""
resonate_notebook.show(handle, view, **({"wait": False} if "now" in sys.argv else {}))
ours = [each.name for each in threading.enumerate() if each.name in {"resonate-flusher", "resonate-commander"}]
print("AFTER", handle.done(), ours, "IPython.core.interactiveshell" in sys.modules and
      sys.modules["IPython.core.interactiveshell"].InteractiveShell.initialized())
client.stop()
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "flow.py"
    path.write_text(SCRIPT)
    return path


def piped(script: Path, *words: str) -> str:
    """What the script writes where its output is no terminal."""
    done = subprocess.run([sys.executable, str(script), *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Screen:
    """A script in a terminal of its own: all that it has written so far."""

    def __init__(self, process: subprocess.Popen[bytes], end: int) -> None:
        self.process, self.end, self.text = process, end, ""

    def until(self, pattern: str, limit_s: float = 20) -> str:
        deadline = time.monotonic() + limit_s
        while not re.search(pattern, self.text):
            assert time.monotonic() < deadline, self.text
            if select.select([self.end], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.end, 65_536).decode(errors="replace")
                except OSError:  # Linux says so when the script has gone.
                    break
        assert re.search(pattern, self.text), self.text
        return self.text


@contextmanager
def terminal(script: Path, *words: str, columns: int = 90, **environment: str) -> Iterator[Screen]:
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    known = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "COLUMNS", "LINES"}}
    command = [sys.executable, str(script), *words]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=known | {"TERM": "xterm"} | environment,
                               start_new_session=True)  # fmt: skip
    os.close(theirs)
    try:
        yield Screen(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_a_script_follows_its_own_client_as_lines_where_there_is_no_terminal(script: Path) -> None:
    """Lines of progress, the whole tree in the end with all arguments, and nothing of ours is left running."""
    out = piped(script, "8")
    assert re.search(r"^demo\.1 running, \d of \d settled$", out, re.MULTILINE)
    assert "\x1b" not in out
    assert "demo.1  pipeline(days=8)  ✓ resolved" in out
    assert "✓ clean ×8" in out
    assert out.endswith("AFTER True [] False\n")


def test_a_script_may_look_once_and_go_on(script: Path) -> None:
    out = piped(script, "5", "now")
    assert out.startswith("demo.1  pipeline(days=5)  ● running")
    assert out.endswith("AFTER False [] False\n")


def test_a_failed_run_is_shown_and_the_script_goes_on(script: Path) -> None:
    """The error is the handle's to raise, when the script asks it."""
    out = piped(script, "4", "fail")
    assert "✗ rejected" in out
    assert "ValueError: no rows" in out
    assert out.endswith("AFTER True [] False\n")


def test_a_terminal_shows_the_run_in_place_within_its_width(script: Path) -> None:
    with terminal(script, "5") as screen:
        out = screen.until("AFTER True")
    assert len(re.findall(r"\x1b\[\d+F\x1b\[J", out)) > 3
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", out)
    assert max(len(line.rstrip("\r")) for line in plain.split("\n")) == 89
    assert "\x1b[32m✓ resolved" in out


def test_a_terminal_shows_the_timeline_in_place(script: Path) -> None:
    with terminal(script, "3", "timeline") as screen:
        out = screen.until("AFTER True")
    assert "█ at work" in out
    assert len(re.findall(r"\x1b\[\d+F\x1b\[J", out)) > 2


@pytest.mark.parametrize(("environment", "columns"), [({"NO_COLOR": "1"}, 90), ({"TERM": "dumb"}, 90), ({}, 40)])
def test_no_colour_a_dumb_terminal_and_a_narrow_one_get_lines(script: Path, environment: dict[str, str], columns: int) -> None:
    with terminal(script, "3", columns=columns, **environment) as screen:
        assert "\x1b" not in screen.until("AFTER True")


def test_ctrl_c_detaches_at_once_and_the_script_goes_on(script: Path) -> None:
    with terminal(script, "100") as screen:
        screen.until(r"resolved")
        began = time.monotonic()
        os.killpg(screen.process.pid, signal.SIGINT)
        out = screen.until("AFTER False")
        assert time.monotonic() - began < 2
    assert "Detached: demo.1 goes on." in out
    assert "Stop again" not in out
    assert "\x1b" not in out.split("Detached")[1]
