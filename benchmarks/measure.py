"""One measurement of one workload in this process, told as one line of JSON.

    python benchmarks/measure.py --peer PEER --workload WORKLOAD [--n N] [--concurrency C] [--folder FOLDER]

`resonate` is whatever package this interpreter imports under that name, as long as it offers the 0.6.7 API, in memory. `memory`, `full`
and `fast` are this package, `dbos` needs an environment of its own, and the others are floors (`floors.py`).

Workloads, each after a small warm-up that is not counted:

    seq       one run of N steps, one after the other                    an operation is a step
    fanout    one run that starts N steps and then awaits them           a step
    fib       fib(N) as a tree of calls, both branches started at once   a call
    nested    a chain of N generators, each calls the next               a call
    lat       N runs of one step, one after the other                    a run
    many      N runs of one step, by C callers at once                   a run
    sleep     N runs that sleep one second, all begun at once            a sleep
    sleepers  N runs that sleep long: what they hold and use meanwhile   a sleep
    replay    a run with N finished steps is taken up again              a step
    mem       N runs of one step, for the memory that stays              a run, that is 2 promises
    observed  runs of N promises with and without observers              a promise
    calls     N promises created and settled by the low-level API        a request to the server
    naps      N runs that sleep one second, one after the other          a sleep
    writes    C sockets each send one request after the other, for N s   a request to the server

The peers `remote-...` and `bare-...` are clients of the server that `--url` and `--message-port` tell.

The warm-up of `mem` is 1,000 runs: memory that start-up gave back would otherwise hide what the first runs take.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import floors
from common import STEP_ENDS_S, Peer, expect, fibonacci

WORKLOADS = ("seq", "fanout", "fib", "nested", "lat", "many", "sleep", "sleepers", "replay", "mem", "observed", "calls", "naps", "writes")
REMOTE_PEERS = (
    "remote-legacy", "remote-current", "remote-0.6.7", "remote-0.8.1", "bare-legacy", "bare-legacy-5", "bare-current",
)  # fmt: skip
PEERS = ("resonate", "memory", "full", "fast", "dbos", *floors.KINDS, *REMOTE_PEERS)
SLEEP_S, LONG_SLEEP_S = 1.0, 600.0
SAMPLE_S = 0.02
IDLE_S = 3.0
SETTLING_SLICE_S, SETTLING_LIMIT_S = 0.5, 20.0
CALLER = "caller"  # how the names of our own calling threads begin

Figures = dict[str, Any]


def make_peer(kind: str, workload: str, folder: Path, url: str = "", message_port: int = 0) -> Peer:
    peer: Any
    if kind in REMOTE_PEERS:
        return make_remote_peer(kind, workload, url, message_port)
    if kind == "dbos":
        from dbos_peer import DbosPeer

        peer = DbosPeer(folder, is_launched=workload != "replay")
    elif kind == "resonate":
        from workloads import ResonatePeer

        peer = ResonatePeer()
    elif kind in floors.KINDS:
        peer = floors.Floor(kind, folder)
    else:
        from ours import OurPeer

        peer = OurPeer("" if kind == "memory" else kind, folder)
    return peer


def make_remote_peer(kind: str, workload: str, url: str, message_port: int) -> Any:
    where, _, name = kind.partition("-")
    if workload == "writes":
        from server_writes import Writers

        return Writers(url, name)
    if where == "bare":
        from bare_calls import BareCurrent, BareLegacy

        return BareCurrent(url) if name == "current" else BareLegacy(url, is_completed=name == "legacy-5")
    if name == "0.8.1":
        from modern_peer import ModernPeer

        return ModernPeer(url)
    from remote_peers import our_peer, reference_peer

    return reference_peer(url, message_port) if name == "0.6.7" else our_peer(name, url)


def resident_kb() -> int:
    """Memory that this process holds now. Where there is no /proc, the most that it has held."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize() // 1024
    except OSError:
        return peak_kb()


def peak_kb() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


class ThreadPeak:
    """Counts this process's threads every 20 ms; itself and the callers of `many` are left out, for they are not the peer's."""

    def __init__(self) -> None:
        self.before = self.most = threading.active_count()
        self.done = threading.Event()
        self.sampler = threading.Thread(target=self.sample, daemon=True)

    def sample(self) -> None:
        while not self.done.wait(SAMPLE_S):
            others = [thread for thread in threading.enumerate() if not thread.name.startswith(CALLER)]
            self.most = max(self.most, len(others) - 1)

    def __enter__(self) -> Self:
        self.sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.sampler.join()


def timed_one(peer: Peer, value: int) -> float:
    """One run of one step; answers its seconds."""
    began_s = time.perf_counter()
    expect(peer.one(value), value + 1)
    return time.perf_counter() - began_s


def use_while_idle() -> Figures:
    """Percent of a processor that this process uses once it has come to rest; what it never comes to, it is measured at work."""
    deadline_s = time.monotonic() + SETTLING_LIMIT_S
    while time.monotonic() < deadline_s:
        before_s = time.process_time()
        time.sleep(SETTLING_SLICE_S)
        if time.process_time() - before_s < 0.02 * SETTLING_SLICE_S:
            break
    before_s = time.process_time()
    time.sleep(IDLE_S)
    return {"idle_percent": (time.process_time() - before_s) / IDLE_S * 100}


def carry_out(peer: Any, workload: str, count: int, concurrency: int) -> tuple[int, list[float], Figures]:
    """Do the workload; answers how many operations that were, how long each took where one by one makes sense, and further figures."""
    operations, each_s, further = count, [], Figures()
    if workload == "seq":
        STEP_ENDS_S.clear()
        expect(peer.seq(count), count)
        each_s = [after - before for before, after in pairwise(STEP_ENDS_S)]
    elif workload == "fanout":
        expect(peer.fanout(count), count * (count + 1) // 2)
    elif workload == "fib":
        expect(peer.fib(count), fibonacci(count))
        operations = 2 * fibonacci(count + 1) - 1
    elif workload == "nested":
        expect(peer.nested(count), count)
    elif workload == "sleep":
        expect(peer.sleep(count, SLEEP_S), count)
    elif workload == "sleepers":
        peer.begin_sleepers(count, LONG_SLEEP_S)
        further = use_while_idle()
    elif workload == "replay":
        further = peer.replay(count)
    elif workload == "observed":
        further = peer.observed(count)
        operations = further.pop("operations")
    elif workload == "calls":
        each_s = peer.calls(count)
        operations = len(each_s)
    elif workload == "naps":
        for _ in range(count):
            began_s = time.perf_counter()
            peer.nap(SLEEP_S)
            each_s.append(time.perf_counter() - began_s)
        further = {"worst_s": max(each_s)}
    elif workload == "writes":
        each_s = peer.load(concurrency, count)
        operations = len(each_s)
        further = {"writes_per_s": operations / count}
    elif workload == "many" and concurrency > 1:
        with ThreadPoolExecutor(concurrency, thread_name_prefix=CALLER) as callers:
            each_s = list(callers.map(lambda value: timed_one(peer, value), range(count)))
    else:
        each_s = [timed_one(peer, value) for value in range(count)]
    return operations, each_s, further


def warm_up(peer: Any, workload: str) -> None:
    """A few operations that are not counted; a replay is measured as it comes, cold."""
    if workload == "replay":
        return
    small = {"seq": 5, "fanout": 5, "fib": 3, "nested": 3, "lat": 3, "many": 3, "mem": 1000, "calls": 20}
    if workload == "writes":
        peer.load(1, 0.3)
        return
    if workload == "observed":
        expect(peer.fanout(5), 15)
    elif workload in small:
        carry_out(peer, workload, small[workload], 1)
    expect(peer.one(1), 2)


def measure(peer: Any, workload: str, count: int, concurrency: int) -> Figures:
    """Figures of one workload: microseconds an operation by the clock and by the processor, memory in kB, and threads."""
    warm_up(peer, workload)
    gc.collect()
    before_kb = resident_kb()
    with ThreadPeak() as threads:
        cpu_began_s, began_s = time.process_time(), time.perf_counter()
        operations, each_s, further = carry_out(peer, workload, count, concurrency)
        wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_began_s
    gc.collect()
    grown_kb = resident_kb() - before_kb
    figures = {"wall_s": wall_s, "operations": operations} | further
    if "wall_s" not in further:  # else the peer has timed a part of what it did, and the rest would be in here
        figures["cpu_us"] = cpu_s / operations * 1e6
    figures |= {
        "us": figures["wall_s"] / operations * 1e6,
        "grown_mb": grown_kb / 1024,
        "peak_mb": peak_kb() / 1024,
        "threads_more": max(threads.most, threading.active_count()) - threads.before,
    }
    if workload == "mem":
        figures["mb_per_10k_promises"] = grown_kb / 1024 / (2 * count) * 10_000
    if each_s:
        ordered = sorted(each_s)
        figures["p50_us"] = ordered[len(ordered) // 2] * 1e6
        figures["p99_us"] = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1e6
    tenth = len(each_s) // 10
    if tenth >= 10 and concurrency == 1:
        figures["first_tenth_us"] = sum(each_s[:tenth]) / tenth * 1e6
        figures["last_tenth_us"] = sum(each_s[-tenth:]) / tenth * 1e6
        figures["tenths"] = figures["last_tenth_us"] / figures["first_tenth_us"]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure one workload under one peer and print one line of JSON.")
    parser.add_argument("--peer", required=True, choices=PEERS)
    parser.add_argument("--workload", required=True, choices=WORKLOADS)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where files are made; they are removed again")
    parser.add_argument("--url", default="", help="the server of a remote peer")
    parser.add_argument("--message-port", type=int, default=0, help="the port on which 0.6.7 waits for messages")
    options = parser.parse_args()
    line: Figures = {"peer": options.peer, "workload": options.workload, "n": options.n, "concurrency": options.concurrency}
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=options.folder))
    try:
        peer = make_peer(options.peer, options.workload, folder, options.url, options.message_port)
        line |= measure(peer, options.workload, options.n, options.concurrency)
    except BaseException as error:  # a failure of whatever kind is a row of the table
        line["error"] = f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}"
    with contextlib.suppress(OSError):
        shutil.rmtree(folder)
    print(json.dumps(line), flush=True)
    os._exit("error" in line)  # a peer's own threads must not keep a finished measurement alive


if __name__ == "__main__":
    main()
