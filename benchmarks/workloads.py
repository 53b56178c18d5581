"""One measurement of one workload in this process, told as one line of JSON.

    python -P workloads.py --peer {resonate,mem,memjson} --workload W [--n N] [--concurrency C]

The peer `resonate` is whatever package this interpreter imports under that name, as long as it offers the 0.6.7 API, so the same
program measures ours and theirs. `mem` and `memjson` are floors, not SDKs: a loop over generators with a dictionary of results, the
second with a promise record and the JSON of each value. They know no retries, timeouts, threads or cancellation, and bound what an
interpreter allows.

Workloads, each after a small warm-up that is not counted:

    seq     one run of N steps, one after the other                    an operation is a step
    fanout  one run that starts N steps and then awaits them           a step
    fib     fib(N) as a tree of calls, both branches started at once   a call
    lat     N runs of one step, one after the other                    a run
    many    N runs of one step, C at a time                            a run
    sleep   N runs that sleep one second, all begun at once            a sleep
    mem     N runs of one step, for the memory that stays              a run, that is 2 promises

The warm-up of `mem` is 1,000 runs: memory that start-up gave back would otherwise hide what the first runs take.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Protocol, Self

WORKLOADS = ("seq", "fanout", "fib", "lat", "many", "sleep", "mem")
SLEEP_S = 1.0
SAMPLE_S = 0.02
CALLER = "caller"  # how the names of our own calling threads begin
STEP_ENDS_S: list[float] = []  # when each step of `seq` was back in its caller, on the performance counter


class Peer(Protocol):
    """What is measured. Each call answers the workload's result, so that a wrong one is a failure and not a fast peer."""

    def seq(self, count: int) -> int: ...
    def fanout(self, count: int) -> int: ...
    def fib(self, number: int) -> int: ...
    def one(self, value: int) -> int: ...
    def sleep(self, count: int) -> int: ...


# --- the 0.6.7 API ---


def increment(_ctx: Any, value: int) -> int:
    return value + 1


def durable_seq(ctx: Any, count: int) -> Any:
    value = 0
    for _ in range(count):
        value = yield ctx.run(increment, value)
        STEP_ENDS_S.append(time.perf_counter())
    return value


def durable_fanout(ctx: Any, count: int) -> Any:
    promises = []
    for value in range(count):
        promises.append((yield ctx.begin_run(increment, value)))  # noqa: PERF401 - a durable function yields one by one
    total = 0
    for promise in promises:
        total += yield promise
    return total


def durable_fib(ctx: Any, number: int) -> Any:
    if number < 2:
        return number
    left = yield ctx.begin_run(durable_fib, number - 1)
    right = yield ctx.begin_run(durable_fib, number - 2)
    return (yield left) + (yield right)


def durable_one(ctx: Any, value: int) -> Any:
    return (yield ctx.run(increment, value))


def durable_sleep(ctx: Any) -> Any:
    yield ctx.sleep(SLEEP_S)
    return 1


class ResonatePeer:
    """The package that this interpreter calls `resonate`, in memory."""

    def __init__(self) -> None:
        from resonate import Resonate

        self.client = Resonate.local(log_level="ERROR")
        self.functions = {
            function.__name__: self.client.register(function)
            for function in (durable_seq, durable_fanout, durable_fib, durable_one, durable_sleep)
        }
        self.client.start()

    def run(self, function: Any, *arguments: int) -> Any:
        return self.functions[function.__name__].run(uuid.uuid4().hex, *arguments)

    def seq(self, count: int) -> int:
        return int(self.run(durable_seq, count))

    def fanout(self, count: int) -> int:
        return int(self.run(durable_fanout, count))

    def fib(self, number: int) -> int:
        return int(self.run(durable_fib, number))

    def one(self, value: int) -> int:
        return int(self.run(durable_one, value))

    def sleep(self, count: int) -> int:
        handles = [self.functions["durable_sleep"].begin_run(uuid.uuid4().hex) for _ in range(count)]
        return sum(handle.result() for handle in handles)


# --- the floors ---


class Record:
    """The least that a promise is: who, when, and the value as it would be written."""

    __slots__ = ("created_at", "id", "settled_at", "state", "value")

    def __init__(self, id: str) -> None:
        self.id, self.state, self.value = id, "pending", ""
        self.created_at = self.settled_at = time.time()

    def settle(self, value: Any) -> None:
        self.state, self.value, self.settled_at = "resolved", json.dumps(value), time.time()


class FloorPeer:
    """Generators on an explicit stack; a call is `(function, argument)`. With `records` each has a record and JSON."""

    def __init__(self, *, records: bool) -> None:
        self.results: dict[str, Any] = {}
        self.records: dict[str, Record] | None = {} if records else None

    def begin(self, id: str) -> None:
        if self.records is not None:
            self.records[id] = Record(id)

    def settle(self, id: str, value: Any) -> None:
        if self.records is not None:
            self.records[id].settle(value)
        self.results[id] = value

    def drive(self, generator: Any) -> Any:
        root = uuid.uuid4().hex
        self.begin(root)
        stack = [[root, generator, 0]]
        answer: Any = None
        while stack:
            frame = stack[-1]
            try:
                function, argument = frame[1].send(answer)
            except StopIteration as end:
                answer = end.value
                self.settle(frame[0], answer)
                stack.pop()
                continue
            frame[2] += 1
            child = f"{frame[0]}.{frame[2]}"
            self.begin(child)
            answer = function(argument)
            if hasattr(answer, "send"):
                stack.append([child, answer, 0])
                answer = None
            else:
                self.settle(child, answer)
        return answer

    def seq(self, count: int) -> int:
        def body() -> Any:
            value = 0
            for _ in range(count):
                value = yield floor_increment, value
                STEP_ENDS_S.append(time.perf_counter())
            return value

        return int(self.drive(body()))

    def fanout(self, count: int) -> int:
        def body() -> Any:
            total = 0
            for value in range(count):
                total += yield floor_increment, value
            return total

        return int(self.drive(body()))

    def fib(self, number: int) -> int:
        return int(self.drive(floor_fib(number)) if number > 1 else number)

    def one(self, value: int) -> int:
        def body() -> Any:
            return (yield floor_increment, value)

        return int(self.drive(body()))

    def sleep(self, count: int) -> int:
        for _ in range(count):
            self.begin(uuid.uuid4().hex)
        time.sleep(SLEEP_S)
        return count


def floor_increment(value: int) -> int:
    return value + 1


def floor_fib(number: int) -> Any:
    if number < 2:
        return number
    left = yield floor_fib, number - 1
    right = yield floor_fib, number - 2
    return left + right


# --- measuring ---


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
        self.most = 1
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


def expect(answer: int, expected: int) -> None:
    if answer != expected:
        raise AssertionError(f"wrong result: {answer}, not {expected}")


def fibonacci(number: int) -> int:
    low, high = 0, 1
    for _ in range(number):
        low, high = high, low + high
    return low


def timed_one(peer: Peer, value: int) -> float:
    """One run of one step; answers its seconds."""
    began_s = time.perf_counter()
    expect(peer.one(value), value + 1)
    return time.perf_counter() - began_s


def carry_out(peer: Peer, workload: str, count: int, concurrency: int) -> tuple[int, list[float]]:
    """Do the workload; answers how many operations that were and how long each took, where one by one makes sense."""
    if workload == "seq":
        STEP_ENDS_S.clear()
        expect(peer.seq(count), count)
        return count, [after - before for before, after in pairwise(STEP_ENDS_S)]
    if workload == "fanout":
        expect(peer.fanout(count), count * (count + 1) // 2)
        return count, []
    if workload == "fib":
        expect(peer.fib(count), fibonacci(count))
        return 2 * fibonacci(count + 1) - 1, []
    if workload == "sleep":
        expect(peer.sleep(count), count)
        return count, []
    if workload == "many" and concurrency > 1:
        with ThreadPoolExecutor(concurrency, thread_name_prefix=CALLER) as callers:
            return count, list(callers.map(lambda value: timed_one(peer, value), range(count)))
    return count, [timed_one(peer, value) for value in range(count)]


def warm_up(peer: Peer, workload: str) -> None:
    """A few operations that are not counted; for `mem` so many that the memory which start-up gave back is used up again."""
    small = {"seq": 5, "fanout": 5, "fib": 3, "lat": 3, "many": 3, "sleep": 0, "mem": 1000}
    carry_out(peer, workload, small[workload], 1)
    expect(peer.one(1), 2)


def measure(peer: Peer, workload: str, count: int, concurrency: int) -> dict[str, Any]:
    """Figures of one workload: microseconds an operation by the clock and by the processor, memory in kB, and threads."""
    warm_up(peer, workload)
    gc.collect()
    before_kb = resident_kb()
    with ThreadPeak() as threads:
        cpu_began_s, began_s = time.process_time(), time.perf_counter()
        operations, each_s = carry_out(peer, workload, count, concurrency)
        wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_began_s
    gc.collect()
    figures: dict[str, Any] = {
        "wall_s": wall_s,
        "operations": operations,
        "us": wall_s / operations * 1e6,
        "cpu_us": cpu_s / operations * 1e6,
        "peak_kb": peak_kb(),
        "threads": max(threads.most, threading.active_count()),
    }
    if workload == "mem":
        figures["kb_per_10k_promises"] = (resident_kb() - before_kb) / (2 * count) * 10_000
    if each_s:
        ordered = sorted(each_s)
        figures["p50_us"] = ordered[len(ordered) // 2] * 1e6
        figures["p99_us"] = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1e6
    tenth = len(each_s) // 10
    if tenth >= 10 and concurrency == 1:
        figures["first_tenth_us"] = sum(each_s[:tenth]) / tenth * 1e6
        figures["last_tenth_us"] = sum(each_s[-tenth:]) / tenth * 1e6
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure one workload under one peer and print one line of JSON.")
    parser.add_argument("--peer", required=True, choices=["resonate", "mem", "memjson"])
    parser.add_argument("--workload", required=True, choices=WORKLOADS)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--concurrency", type=int, default=1)
    options = parser.parse_args()
    line: dict[str, Any] = {"peer": options.peer, "workload": options.workload, "n": options.n, "concurrency": options.concurrency}
    try:
        peer: Peer = ResonatePeer() if options.peer == "resonate" else FloorPeer(records=options.peer == "memjson")
        line |= measure(peer, options.workload, options.n, options.concurrency)
    except BaseException as error:  # a failure of whatever kind is a row of the table
        line["error"] = f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}"
    print(json.dumps(line), flush=True)
    os._exit("error" in line)  # a peer's own threads must not keep a finished measurement alive


if __name__ == "__main__":
    main()
