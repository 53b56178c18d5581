"""Measures this package beside resonate-sdk 0.6.7, 0.8.1 and bare requests, all as clients of a server, and writes REMOTE.md.

    make bench-remote                                  some five minutes
    make bench-remote BENCH=--quick                    half a minute, small sizes, REMOTE.md is left alone
    make bench-remote BENCH="--only seq --peers legacy --repetitions 5"

Each measurement has a process and a development server of its own, with an empty file. BENCH_LEGACY_URL and BENCH_CURRENT_URL name other
servers to measure at instead, which keep what is written; BENCH_LEGACY_MESSAGE_PORT is where a legacy one has its messages (8002).
Otherwise as `run.py`: peers take turns, ratios are taken within a repetition, failures are rows.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shlex
import sys
import time
from collections.abc import Iterator

from cases import REMOTE_CASES, REMOTE_TARGETS, Case, Row
from processes import MODERN, REFERENCE, ROOT, development_server, measure
from run import interpreters, machine, measure_all, write_results
from tables import render

RESULTS = ROOT / "benchmarks" / "REMOTE.md"
RAW = ROOT / "build" / "bench-remote.json"
GIVEN = {"legacy": os.environ.get("BENCH_LEGACY_URL"), "current": os.environ.get("BENCH_CURRENT_URL")}
MESSAGE_PORT = int(os.environ.get("BENCH_LEGACY_MESSAGE_PORT", "8002"))


def protocol_of(peer: str) -> str:
    return "current" if peer.endswith(("current", "0.8.1")) else "legacy"


@contextlib.contextmanager
def server_for(peer: str, folder: str) -> Iterator[tuple[str, int]]:
    """The server that this peer is measured at, and the port of its messages."""
    given = GIVEN[protocol_of(peer)]
    if given is not None:
        yield given, MESSAGE_PORT
    else:
        with development_server(folder) as server:
            yield server


def measure_remote(python: str, case: Case, peer: str, count: int, folder: str, timeout_s: float) -> Row:
    with server_for(peer, folder) as (url, message_port):
        return measure(python, case, peer, count, folder, timeout_s, "--url", url, "--message-port", str(message_port))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure this package beside resonate-sdk 0.6.7 and 0.8.1 as clients of a server.")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--case-timeout-s", type=float, default=30)
    parser.add_argument("--only", default="", help="a regular expression on cases: calls, seq, long, lat, fanout, naps, writes")
    parser.add_argument("--peers", default="", help="a regular expression on peers: bare, legacy, current, 0.6.7, 0.8.1")
    parser.add_argument("--quick", action="store_true", help="small sizes, one repetition, REMOTE.md is left alone")
    options = parser.parse_args()
    cases = [case for case in REMOTE_CASES if re.search(options.only, case.key)]
    repetitions = 1 if options.quick else options.repetitions
    began_s, load_before = time.monotonic(), os.getloadavg()[0]
    peers = interpreters(cases, re.compile(options.peers))
    rows = measure_all(cases, peers, repetitions, options.case_timeout_s, measure_remote, is_quick=options.quick)

    RAW.write_text(json.dumps([{"case": key, "peer": peer, "rows": own} for (key, peer), own in rows.items()], indent=1))
    arguments = shlex.join(sys.argv[1:])
    command = "make bench-remote" + (f" BENCH={shlex.quote(arguments)}" if arguments else "")
    servers = ", ".join(f"{'a server that was given' if url else 'the development server'} ({name})" for name, url in GIVEN.items())
    told = [
        f"Made by `{command}` on {time.strftime('%Y-%m-%d')}, with {servers}.",
        f"{repetitions} repetitions, at most {options.case_timeout_s:g} s a case, {(time.monotonic() - began_s) / 60:.0f} minutes in all.",
        f"Rivals: {REFERENCE}, {MODERN}.",
        f"Machine: {machine()}. Load average {load_before:.1f} before and {os.getloadavg()[0]:.1f} after.",
    ]
    text = "\n".join(told) + "\n\n" + render(cases, rows, REMOTE_TARGETS, is_quick=options.quick)
    print("\n" + text)
    if options.quick or options.only or options.peers:
        print(f"\n{RESULTS.name} is left as it was: this was a part of the cases. Raw figures: {RAW.relative_to(ROOT)}")
    else:
        write_results(RESULTS, text)
        print(f"\nWritten to {RESULTS.relative_to(ROOT)}; raw figures in {RAW.relative_to(ROOT)}.")


if __name__ == "__main__":
    main()
