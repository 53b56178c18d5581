"""Measures this package beside resonate-sdk 0.6.7, 0.8.1 and bare requests, all as clients of a server, and writes REMOTE.md.

    make bench-remote                                  some six minutes
    make bench-remote BENCH=--quick                    half a minute, small sizes, REMOTE.md is left alone
    make bench-remote BENCH="--only seq --peers legacy --repetitions 5"

Each measurement has a process and a development server of its own, with an empty file. BENCH_LEGACY_URL and BENCH_CURRENT_URL name other
servers to measure at instead, which keep what is written; BENCH_LEGACY_MESSAGE_PORT is where a legacy one has its messages (8002).
Otherwise as `run.py`: peers take turns, ratios are taken within a repetition, failures are rows.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from cases import HELD_MS, REMOTE_CASES, REMOTE_TARGETS, Case, Row, protocol_of
from processes import MODERN, REFERENCE, ROOT, development_server, held_back, measure
from run import Benchmark

RAW = ROOT / "build" / "bench-remote.json"
GIVEN = {"legacy": os.environ.get("BENCH_LEGACY_URL"), "current": os.environ.get("BENCH_CURRENT_URL")}
MESSAGE_PORT = int(os.environ.get("BENCH_LEGACY_MESSAGE_PORT", "8002"))


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
    with contextlib.ExitStack() as around:
        url, message_port = around.enter_context(server_for(peer, folder))
        if case.is_held:
            url = around.enter_context(held_back(url, HELD_MS[protocol_of(peer)], folder))
        return measure(python, case, peer, count, folder, timeout_s, "--url", url, "--message-port", str(message_port))


def main() -> None:
    servers = ", ".join(f"{'a server that was given' if url else 'the development server'} ({name})" for name, url in GIVEN.items())
    Benchmark(
        verb="bench-remote", description="Measure this package beside resonate-sdk 0.6.7 and 0.8.1 as clients of a server.",
        page=ROOT / "benchmarks" / "REMOTE.md", raw=RAW, cases=REMOTE_CASES, targets=REMOTE_TARGETS, case_timeout_s=30,
        only="'case N concurrency'; cases: calls, seq, long, lat, fanout, naps, writes, held",
        peers="bare, legacy, current, 0.6.7, 0.8.1", rivals=f"{REFERENCE}, {MODERN}", where=f", with {servers}", measure=measure_remote,
    ).run()  # fmt: skip


if __name__ == "__main__":
    main()
