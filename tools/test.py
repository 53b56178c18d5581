"""Runs every check and test that this machine can run, each as its own program, and ends with what passed, failed and was skipped.

    make test                      everything
    make test TEST="-k cancel"     what pytest selects of it
    make check                     the linter and the type checker only

Everything runs even when something before it failed, two parts at once; tests that hold a program to a time run beside tests that only
compute. pytest writes JUnit files to build/test, from which the last lines are made. The kernel tests run again on older
lines of ipykernel, each in an environment of its own.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / "build" / "test"
OF_KERNELS = ("tests/kernel/test_kernel.py", "tests/kernel/test_kernel_output.py")
OTHER_KERNELS = (("ipykernel6.31", OF_KERNELS), ("ipykernel7.3", OF_KERNELS[:1]))
"""Older lines of ipykernel that we support, each with a lock and an environment of its own, and what is run on them beside the newest."""
TEST_TIMEOUT_S = 120
PART_TIMEOUT_S = 1500


HELD_TO_A_TIME = ("tests/remote", "tests/process/test_lifecycle.py", "tests/process/test_next_steps.py", "tests/server/test_life.py")
"""Tests that fail where a program is late."""
BESIDE_THEM = ("tests/contract", "tests/linear", "tests/parity", "tests/pure", "tests/security", "tests/sim")
"""Folders that only compute, for about as long."""
RULES_OF_STORES = ("tests/chaos", "tests/laws")
"""Folders that compute and write."""
IN_JUPYTER = tuple(f"tests/browser/test_{name}.py" for name in ("lab", "notebook7", "panel_log", "remote_lab", "saved"))
"""Browser tests that begin a JupyterLab or a Notebook; the others need a page alone."""
LANES = 2
"""How many parts run at once. With three, two cores are done in 12 minutes rather than 13, and pages and kernels are at times too late."""


@dataclass
class Summary:
    """What the last lines tell. A part is one program that was run."""

    counts: Counter[str] = field(default_factory=Counter)
    skipped: Counter[tuple[str, str]] = field(default_factory=Counter)
    failed_parts: list[str] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while a part is told, so that no two are told at once."""


def run_part(summary: Summary, title: str, command: list[str], accepted: tuple[int, ...] = (0,)) -> None:
    """Run one program and tell what it said when it has ended; an exit code that is not accepted, or no end within the limit, fails it."""
    began_s = time.monotonic()
    try:
        done = subprocess.run(command, cwd=ROOT, check=False, timeout=PART_TIMEOUT_S, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        code: int | str = done.returncode
        said = done.stdout
    except subprocess.TimeoutExpired as error:
        code, said = f"no end within {PART_TIMEOUT_S} s", error.stdout or b""
    with summary.lock:
        print(f"\n== {title}\n{said.decode(errors='replace').rstrip()}")
        print(f"== {title}: {'ok' if code in accepted else f'failed ({code})'}, {time.monotonic() - began_s:.0f} s", flush=True)
        if code not in accepted:
            summary.failed_parts.append(title)


def run_pytest(summary: Summary, title: str, python: str, arguments: list[str], extra: list[str]) -> None:
    """Run pytest and add its JUnit file to the summary."""
    report = REPORTS / f"{title.replace(' ', '-')}.xml"
    command = [python, "-m", "pytest", "-q", f"--timeout={TEST_TIMEOUT_S}", f"--junitxml={report}", *arguments, *extra]
    run_part(summary, title, command, accepted=(0, 5) if extra else (0,))  # a selection may leave a part without tests
    if not report.exists():
        return
    with summary.lock:
        for case in ET.parse(report).iter("testcase"):
            count(summary, title, case)


def count(summary: Summary, title: str, case: ET.Element) -> None:
    """Add one test of a JUnit file."""
    outcome = next((child for child in case if child.tag in {"failure", "error", "skipped"}), None)
    if outcome is None:
        summary.counts["passed"] += 1
    elif outcome.tag != "skipped":
        summary.counts["failed"] += 1
    elif outcome.get("type") == "pytest.xfail":
        summary.counts["passed"] += 1
    else:
        summary.counts["skipped"] += 1
        reason = outcome.get("message") or "no reason given"
        if reason == "collection skipped":  # a whole file; the reason proper ends pytest's longer text
            reason = (outcome.text or reason).rstrip("'\")\n").rpartition("Skipped: ")[2]
        summary.skipped[title, reason.splitlines()[0]] += 1


def run_tests(summary: Summary, extra: list[str]) -> None:
    """All test folders, the kernel tests again on older ipykernels, and the notebooks as tests."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    for report in REPORTS.glob("*.xml"):
        report.unlink()
    here = sys.executable
    print("\n== Several parts run at once; each is shown when it has ended.", flush=True)
    run_at_once(
        lambda: run_pytest(summary, "tests that hold to a time", here, [*HELD_TO_A_TIME], extra),
        lambda: run_pytest(summary, "tests of rules", here, [*BESIDE_THEM], extra),
    )
    files = {str(path.relative_to(ROOT)) for path in ROOT.glob("tests/*/test_*.py")}
    files = {file for file in files if not file.startswith((*HELD_TO_A_TIME, *BESIDE_THEM, *RULES_OF_STORES))}
    in_page = sorted(file for file in files if file.startswith("tests/browser/") and file not in IN_JUPYTER)
    others = sorted(file for file in files if not file.startswith("tests/browser/"))
    # Cells are tests in the order of the page, so the random order of the other tests must not reach them.
    notebooks = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=60", "-p", "no:randomly", "notebooks/"]
    # Playwright keeps an event loop running in its thread while its browser is open, so it has processes of its own.
    run_at_once(
        lambda: run_pytest(summary, "browser tests in Jupyter", here, [*IN_JUPYTER], extra),
        lambda: run_pytest(summary, "browser tests in a page", here, in_page, extra),
        lambda: run_pytest(summary, "tests of processes", here, others, extra),
        lambda: run_pytest(summary, "rules of stores", here, [*RULES_OF_STORES], extra),
        *(functools.partial(run_on_kernel, summary, lock, tests, extra) for lock, tests in OTHER_KERNELS),
        lambda: run_pytest(summary, "notebooks, strict", here, notebooks, extra),
    )


def run_at_once(*parts: Callable[[], None]) -> None:
    """Run parts, each begun as soon as there is a lane for it, in this order."""
    with ThreadPoolExecutor(LANES) as pool:
        for part in [pool.submit(part) for part in parts]:
            part.result()


def run_on_kernel(summary: Summary, lock: str, tests: Sequence[str], extra: list[str]) -> None:
    """The kernel tests on another line of ipykernel, in an environment that is made for it."""
    folder = f".venv-{lock}"
    run_part(summary, f"setting up {folder}", ["tools/setup", lock, folder])
    python = ROOT / folder / "bin" / "python"
    if python.exists():
        run_pytest(summary, f"kernel tests on {lock}", str(python), [*tests], extra)


def close(summary: Summary) -> int:
    """Print the friendly last lines; answers the exit code."""
    print("\n== Summary")
    for (title, reason), count in sorted(summary.skipped.items()):
        print(f"  skipped {count} of {title}: {reason.removeprefix('Skipped: ')}")
    for line in summary.not_run:
        print(f"  not run: {line}")
    if not summary.skipped and not summary.not_run:
        print("  nothing was skipped")
    for title in summary.failed_parts:
        print(f"  failed: {title}")
    counts = summary.counts
    if sum(counts.values()):
        print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if summary.failed_parts else 0


def main(arguments: list[str]) -> int:
    summary = Summary()
    only_check = arguments[:2] == ["--only", "check"]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so would what the tests interrupt
    os.environ["IPYTHONDIR"] = str(ROOT / "build" / "ipython")  # somebody's own start-up files stay out of the tests
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    run_part(summary, "ruff", [sys.executable, "-m", "ruff", "check", "--output-format=concise", "."])
    run_part(summary, "mypy --strict", [sys.executable, "-m", "mypy"])
    if not only_check:
        run_tests(summary, arguments)
    return close(summary)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
