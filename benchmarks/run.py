"""Measures this package beside a bare floor and resonate-sdk 0.6.7, prints the tables and writes them into RESULTS.md.

    make bench                                  about ten minutes
    make bench BENCH="--quick"                  a minute or two, small sizes, RESULTS.md is left alone
    make bench BENCH="--only '^seq' --repetitions 5"

Each measurement is a fresh process (`workloads.py`), and the peers alternate inside each repetition, so a slow phase of the machine
hits all of them. A ratio is taken between figures of one repetition and only then the median. resonate-sdk owns the import name
`resonate` as we do, so it lives in an environment of its own (.venv-bench067), and every measurement runs from an empty
folder with `-P`. A case that fails or does not end in time is a row like any other; after a time-out it is not tried again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RESULTS = HERE / "RESULTS.md"
RAW = ROOT / "build" / "bench.json"
BEGIN, END = "<!-- tables:begin -->", "<!-- tables:end -->"
REFERENCE = "resonate-sdk==0.6.7"
REFERENCE_FOLDER = ROOT / ".venv-bench067"

OURS, THEIRS, FLOOR, BARE = "this package", "resonate-sdk 0.6.7", "floor memjson", "floor mem"
PEERS = (OURS, THEIRS, FLOOR, BARE)

# (workload, N, concurrency); the quick set is for trying a change, not for quoting.
CASES = (
    ("seq", 100, 1), ("seq", 1000, 1), ("seq", 10_000, 1),
    ("fanout", 100, 1), ("fanout", 1000, 1), ("fanout", 10_000, 1),
    ("fib", 10, 1), ("fib", 15, 1),
    ("lat", 500, 1), ("many", 500, 32),
    ("sleep", 100, 1), ("sleep", 1000, 1), ("sleep", 10_000, 1),
    ("mem", 1000, 1),
)  # fmt: skip
QUICK_CASES = (
    ("seq", 100, 1), ("seq", 300, 1), ("fanout", 100, 1), ("fib", 8, 1), ("lat", 100, 1), ("many", 100, 32), ("sleep", 50, 1),
    ("mem", 200, 1),
)  # fmt: skip
TITLES = {
    "seq": "W1 seq: one run of N steps, one after the other (µs a step)",
    "fanout": "W2 fanout: one run starts N steps, then awaits them (µs a step)",
    "fib": "W3 fib: fib(N) as a tree of calls (µs a call; fib 10 is 177 calls, fib 15 is 1,973)",
    "lat": "W4a lat: N runs of one step, one after the other (µs a run)",
    "many": "W4b many: N runs of one step, C callers at once (µs a run, by throughput)",
    "sleep": "W6 sleep: N runs sleep one second, begun together (seconds for all)",
    "mem": "W7 mem: what N finished runs of one step leave in memory (kB per 10,000 promises)",
}

Case = tuple[str, int, int]
Row = dict[str, Any]


def reference_python() -> str:
    """The interpreter of 0.6.7's own environment, made with this interpreter's base when it is not there yet."""
    python = REFERENCE_FOLDER / "bin" / "python"
    probe = f"from importlib.metadata import version; assert 'resonate-sdk==' + version('resonate-sdk') == {REFERENCE!r}"
    if not python.exists() or subprocess.run([str(python), "-c", probe], check=False, capture_output=True).returncode:
        print(f"Setting up {REFERENCE_FOLDER.name} with {REFERENCE}.", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(REFERENCE_FOLDER)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", REFERENCE], check=True)
    return str(python)


def measure(command: list[str], folder: str, timeout_s: float) -> Row:
    """Run one measurement; answers its line, or a row that tells how it failed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, complaints = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return {"error": f"no end within {timeout_s:g} s", "timed_out": True}
    try:
        row: Row = json.loads(output.splitlines()[-1])
    except (IndexError, ValueError):
        named = re.findall(r"^[\w.]*(?:Error|Exception)\b.*$", complaints, re.MULTILINE)
        return {"error": f"the process ended with code {process.returncode}: {named[-1][:120] if named else 'no error named'}"}
    return row


def measure_all(cases: list[Case], repetitions: int, timeout_s: float) -> dict[tuple[Case, str], list[Row]]:
    """Rows of each case and peer, one a repetition; the peers alternate and every second repetition turns their order round."""
    pythons = dict.fromkeys(PEERS, sys.executable) | {THEIRS: reference_python()}
    kinds = {OURS: "resonate", THEIRS: "resonate", FLOOR: "memjson", BARE: "mem"}
    rows: dict[tuple[Case, str], list[Row]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for repetition in range(repetitions):
            for case in cases:
                workload, n, concurrency = case
                for peer in PEERS if repetition % 2 == 0 else reversed(PEERS):
                    earlier = rows[case, peer]
                    if earlier and earlier[-1].get("timed_out"):
                        continue
                    command = [pythons[peer], "-P", str(HERE / "workloads.py"), "--peer", kinds[peer]]
                    command += ["--workload", workload, "--n", str(n), "--concurrency", str(concurrency)]
                    row = measure(command, folder, timeout_s)
                    earlier.append(row | {"repetition": repetition})
                    told = row.get("error") or f"{row['us']:,.1f} µs"
                    print(f"  {repetition + 1}/{repetitions}  {workload:6} {n:6} ×{concurrency:<3} {peer:20} {told}", flush=True)
    return rows


def number(value: float) -> str:
    """Three digits that matter."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values: list[float]) -> str:
    """Median [least-most], or the one value there is."""
    if not values:
        return "-"
    middle = number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} [{number(min(values))}-{number(max(values))}]"


def ratio(rows: list[Row], others: list[Row], key: str) -> float | None:
    """The median over repetitions of rows' figure by the others' figure of the same repetition."""
    by_repetition = {row["repetition"]: row[key] for row in others if "error" not in row}
    pairs = [(row[key], by_repetition.get(row["repetition"])) for row in rows if "error" not in row]
    values = [own / other for own, other in pairs if other]
    return statistics.median(values) if values else None


def table_line(case: Case, peer: str, rows: dict[tuple[Case, str], list[Row]]) -> str:
    """One line of a workload's table."""
    workload, n, concurrency = case
    own = rows[case, peer]
    good = [row for row in own if "error" not in row]
    key = {"sleep": "wall_s", "mem": "kb_per_10k_promises"}.get(workload, "us")
    to_floor, to_reference = ratio(own, rows[case, FLOOR], key), ratio(rows[case, THEIRS], own, key)

    def column(name: str, scale: float = 1.0) -> str:
        values = [row[name] / scale for row in good if name in row]
        return number(statistics.median(values)) if values else "-"

    errors = [row["error"] for row in own if "error" in row]
    cells = [
        f"{n:,}" + (f" × {concurrency}" if workload == "many" else ""),
        peer,
        spread([row[key] for row in good]),
        "-" if to_floor is None or peer in {FLOOR, BARE} else f"{number(to_floor)}×",
        "-" if to_reference is None or peer != OURS else f"{number(to_reference)}×",
        column("cpu_us"),
        f"{column('p50_us')} / {column('p99_us')}",
        f"{column('first_tenth_us')} / {column('last_tenth_us')}",
        column("threads").partition(".")[0],
        column("peak_kb", 1024),
        f"{len(errors)} of {len(own)}" + (f": {errors[-1]}" if errors else ""),
    ]
    return "| " + " | ".join(cell.replace("- / -", "-").replace("|", "\\|") for cell in cells) + " |"


def tables(cases: list[Case], rows: dict[tuple[Case, str], list[Row]]) -> str:
    """All tables as Markdown."""
    head = ["N", "peer", "median [min-max]", "to the floor", "0.6.7 takes", "CPU µs", "p50 / p99 µs", "first / last tenth µs"]
    head += ["threads", "peak MB", "failed"]
    parts = []
    for workload, title in TITLES.items():
        own = [case for case in cases if case[0] == workload]
        if own:
            lines = [f"### {title}", "", "| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
            parts.append("\n".join(lines + [table_line(case, peer, rows) for case in own for peer in PEERS]))
    return "\n\n".join(parts)


def machine() -> str:
    """The processor, its cores, the system and the interpreter."""
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
        model = match[1] if match else model
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, {python}"


def write_results(text: str) -> None:
    """Put the text between the markers of RESULTS.md; everything around them is written by people."""
    before, _, rest = RESULTS.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{RESULTS} has lost its markers {BEGIN} and {END}.")
    RESULTS.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure this package beside a floor and resonate-sdk 0.6.7.")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--case-timeout-s", type=float, default=60)
    parser.add_argument("--only", default="", help="a regular expression on 'workload N concurrency'")
    parser.add_argument("--quick", action="store_true", help="small sizes, one repetition, RESULTS.md is left alone")
    options = parser.parse_args()
    chosen = QUICK_CASES if options.quick else CASES
    cases = [case for case in chosen if re.search(options.only, "{} {} {}".format(*case))]
    repetitions = 1 if options.quick else options.repetitions
    began_s, load_before = time.monotonic(), os.getloadavg()[0]
    rows = measure_all(cases, repetitions, options.case_timeout_s)

    RAW.parent.mkdir(exist_ok=True)
    RAW.write_text(json.dumps([{"case": case, "peer": peer, "rows": own} for (case, peer), own in rows.items()], indent=1))
    arguments = shlex.join(sys.argv[1:])
    minutes = (time.monotonic() - began_s) / 60
    command = "make bench" + (f" BENCH={shlex.quote(arguments)}" if arguments else "")
    told = [
        f"Made by `{command}` on {time.strftime('%Y-%m-%d')}.",
        f"{repetitions} repetitions, at most {options.case_timeout_s:g} s a case, {minutes:.0f} minutes in all.",
        f"Machine: {machine()}. Load average {load_before:.1f} before and {os.getloadavg()[0]:.1f} after.",
    ]
    text = "\n".join(told) + "\n\n" + tables(cases, rows)
    print("\n" + text)
    if options.quick or options.only:
        print(f"\n{RESULTS.name} is left as it was: this was a part of the cases. Raw figures: {RAW.relative_to(ROOT)}")
    else:
        write_results(text)
        print(f"\nWritten to {RESULTS.relative_to(ROOT)}; raw figures in {RAW.relative_to(ROOT)}.")


if __name__ == "__main__":
    main()
