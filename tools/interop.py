"""Runs workers of other SDKs, unchanged from their registries, beside workers of this package, and rewrites a section of the record.

    make interop                            about a minute
    make interop INTEROP="--repeat 10"      again and again: races show

The laws are in tests/interop. The figures go to the section "Other SDKs" of benchmarks/PARITY.md; the exit code is 1 when a law did not
hold, or when nothing could be run.
"""

from __future__ import annotations

import argparse
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

import parity

ROOT = Path(__file__).resolve().parent.parent
RUN_LIMIT_S = 900
PAIR = re.compile(r"\[.*?\b(ours|0\.6\.7|0\.8\.1|typescript)(?:-asks)?(?:-(ours|0\.8\.1|typescript))?\b")
NAMES = {"ours": "this package", "0.6.7": "resonate-sdk 0.6.7", "0.8.1": "resonate-sdk 0.8.1", "typescript": "@resonatehq/sdk 0.11"}

Row = tuple[str, str, str]
"""A protocol, who asks and who is asked."""


def row_of(case: ET.Element) -> Row:
    """What a test is about, by its name."""
    file, name = case.get("classname", "").rpartition(".")[2], case.get("name", "")
    if file == "test_legacy_fleets":
        ours_asks = "ours-asks" in name
        return "legacy", NAMES["ours" if ours_asks else "0.6.7"], NAMES["0.6.7" if ours_asks else "ours"]
    found = PAIR.search(name)
    return ("current", NAMES[found[1]], NAMES[found[2]]) if found and found[2] else ("current", "all", NAMES["ours"])


def run_once(held: Counter[Row], failed: Counter[Row], wrong: list[str]) -> None:
    """All laws once, counted by what they are about."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "--timeout=120", f"--junitxml={report}", "tests/interop"]
        subprocess.run(command, cwd=ROOT, check=False, timeout=RUN_LIMIT_S)
        for case in ET.parse(report).iter("testcase"):
            outcome = next((child.tag for child in case if child.tag in {"failure", "error", "skipped"}), None)
            if outcome is None:
                held[row_of(case)] += 1
            elif outcome != "skipped":
                failed[row_of(case)] += 1
                wrong.append(case.get("name", ""))


def section(held: Counter[Row], failed: Counter[Row], wrong: list[str], repeat: int, seconds: float, command: str) -> str:
    """The text of the record."""
    lines = [
        parity.OTHER_SDKS, "",
        f"Made by `{command}` on {time.strftime('%Y-%m-%d')} with Python {platform.python_version()}, in {seconds:.0f} s. Do not edit.", "",
        "Workers of other SDKs, each from its registry and unchanged, at the development server and in fleets with workers of this package",
        "(`tests/interop`): values and errors as arguments and results, calls in turns and many at once, sleeps, people, retries, and",
        "workers killed in the middle of a run that one of another SDK takes over.", "",
        "| protocol | who asks | who is asked | laws | held | did not |", "|---|---|---|---|---|---|",
        *(f"| {' | '.join(row)} | {(held[row] + failed[row]) // repeat} | {held[row]} | {failed[row]} |" for row in sorted(held | failed)),
        *(["", "Did not hold:", "", *(f"- `{name}`" for name in wrong)] if wrong else []),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=1, help="how often each law is tried")
    chosen = parser.parse_args(arguments)
    held, failed = Counter[Row](), Counter[Row]()
    wrong: list[str] = []
    began_s = time.monotonic()
    for _ in range(chosen.repeat):
        run_once(held, failed, wrong)
    command = "make interop" + (f" INTEROP={shlex.quote(shlex.join(arguments))}" if arguments else "")
    text = section(held, failed, wrong, chosen.repeat, time.monotonic() - began_s, command)
    before = parity.RECORD.read_text(encoding="utf-8").partition(parity.OTHER_SDKS)[0].rstrip("\n")
    parity.RECORD.write_text(f"{before}\n\n{text}", encoding="utf-8")
    print(f"Written to {parity.RECORD.relative_to(ROOT)}: {sum(held.values())} held, {sum(failed.values())} did not.")
    return 1 if failed or not held else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
