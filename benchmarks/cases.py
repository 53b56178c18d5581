"""What is measured, under whom, and what is to be reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]

NAMES = {
    "memory": "this package, memory",
    "full": "this package, file `full`",
    "fast": "this package, file `fast`",
    "0.6.7": "resonate-sdk 0.6.7, memory",
    "dbos": "DBOS, SQLite",
    "memjson": "floor memjson",
    "memthread": "floor memthread",
    "sqlnormal": "floor sqlnormal",
    "sqlfull": "floor sqlfull",
    "sqlgroup": "floor sqlgroup",
}
REMOTE_NAMES = {
    "bare-legacy": "bare requests, legacy",
    "bare-legacy-5": "bare requests, legacy, 5 a run",
    "remote-legacy": "this package, legacy",
    "remote-0.6.7": "resonate-sdk 0.6.7, legacy",
    "bare-current": "bare requests, current",
    "remote-current": "this package, current",
    "remote-0.8.1": "resonate-sdk 0.8.1, current",
}
OURS = ("memory", "full", "fast", "remote-legacy", "remote-current")
ALL = tuple(NAMES)
FLOORS = {
    "memory": "memjson", "0.6.7": "memjson", "full": "sqlfull", "dbos": "sqlfull", "fast": "sqlnormal",
    "remote-legacy": "bare-legacy", "remote-0.6.7": "bare-legacy", "remote-current": "bare-current", "remote-0.8.1": "bare-current",
}  # fmt: skip
"""The floor that a peer is held against, unless the case names another."""
RIVALS = {"0.6.7": "memory", "dbos": "full", "remote-0.6.7": "remote-legacy", "remote-0.8.1": "remote-current"}
"""Which of our own figures a rival is compared with: the one that promises the same."""


@dataclass(frozen=True)
class Case:
    """One workload at one size (and a small one for `--quick`), under some peers.

    `once` are the peers that are too slow, or too certain to fail, for more than the first repetition. `times` says how many processes
    each of our own peers gets within a repetition (two in a quick run). `figure` is the one that the table shows and ratios are made of.
    """

    key: str
    workload: str
    count: int
    quick: int
    peers: tuple[str, ...]
    title: str
    concurrency: int = 1
    once: tuple[str, ...] = ()
    times: int = 1
    figure: str = "us"
    unit: str = "µs"
    floors: tuple[tuple[str, str], ...] = ()
    is_held: bool = False
    """Whether the server's replies are held back (`HELD_MS`)."""

    def floor(self, peer: str) -> str | None:
        """The floor of this peer here; None where it has none."""
        floor = (FLOORS | dict(self.floors)).get(peer)
        return floor if floor in self.peers else None

    def size(self, *, is_quick: bool) -> int:
        return self.quick if is_quick else self.count


CASES = (
    Case("seq", "seq", 1000, 150, ALL, "W1 · one run of N steps, one after the other (µs a step)", once=("dbos",)),
    Case("seq-long", "seq", 100_000, 3000, ("memory", "memjson"), "W1 · the same, long"),
    Case(
        "fanout", "fanout", 1000, 100, ALL, "W2 · one run starts N steps, then awaits them (µs a step)", once=("0.6.7", "dbos"),
        floors=(("full", "sqlgroup"), ("fast", "sqlgroup"), ("dbos", "sqlgroup")),
    ),
    Case(
        "fib", "fib", 15, 6, ("memory", "full", "fast", "0.6.7", "dbos", "memjson", "sqlnormal", "sqlfull"),
        "W3 · fib(N) as a tree of calls (µs a call; fib 15 is 1,973 calls)", once=("0.6.7", "dbos"),
    ),
    Case("deep", "nested", 10_000, 1000, ("memory", "memjson"), "W3 · a chain of N generators, each calls the next (µs a call)"),
    Case(
        "deep-file", "nested", 1000, 100, ("full", "fast", "0.6.7", "sqlnormal", "sqlfull"), "W3 · the same in a file", once=("0.6.7",)
    ),
    Case("lat", "lat", 500, 30, ALL, "W4 · N runs of one step, one after the other, on an idle worker (µs a run)", once=("dbos",)),
    Case(
        "many", "many", 500, 100, ("memory", "full", "fast", "0.6.7", "dbos", "memjson"),
        "W4 · N runs of one step, by C callers at once (µs a run, by throughput)", concurrency=32, once=("dbos",), times=7,
    ),
    Case(
        "replay", "replay", 1000, 100, ("memory", "full", "fast", "dbos", "sqlfull"),
        "W5 · a run with N finished steps is taken up again (µs a step)", once=("dbos",),
        floors=(("memory", "sqlfull"), ("fast", "sqlfull")),
    ),
    Case(
        "replay-long", "replay", 10_000, 300, ("memory", "fast", "sqlfull"), "W5 · the same, long",
        floors=(("memory", "sqlfull"), ("fast", "sqlfull")),
    ),
    Case(
        "sleep", "sleep", 1000, 50, ("memory", "full", "fast", "0.6.7", "dbos", "memjson", "sqlgroup"),
        "W6 · N runs sleep one second, begun together (seconds for all)", once=("dbos",), figure="wall_s", unit="s",
        floors=(("full", "sqlgroup"), ("fast", "sqlgroup"), ("dbos", "sqlgroup")),
    ),
    Case(
        "sleepers", "sleepers", 10_000, 500, ("memory", "full", "fast", "0.6.7"),
        "W6 · N runs sleep for ten minutes: what they hold meanwhile (MB)", once=("full", "fast", "0.6.7"), figure="grown_mb", unit="MB",
    ),
    Case(
        "mem", "mem", 4000, 300, ("memory", "fast", "memjson"),
        "W7 · what N finished runs of one step leave in memory (MB per 10,000 promises)",
        figure="mb_per_10k_promises", unit="MB", floors=(("fast", "memjson"),),
    ),
    Case(
        "mem-rivals", "mem", 500, 100, ("memory", "0.6.7", "dbos", "memjson"), "W7 · the same with fewer runs, for rivals",
        once=("0.6.7", "dbos"), figure="mb_per_10k_promises", unit="MB",
    ),
    Case(
        "cold", "cold", 1, 1, ("memory", "fast", "0.6.7", "dbos"), "A new process: import and the first run (ms over a bare interpreter)",
        times=5, figure="over_bare_ms", unit="ms",
    ),
    Case("observed", "observed", 2000, 300, ("memory",), "Runs of N promises, a fan-out, with nobody watching (µs a promise)"),
)  # fmt: skip

BOTH = ("bare-legacy", "remote-legacy", "bare-current", "remote-current")
EVERYBODY = ("bare-legacy", "remote-legacy", "remote-0.6.7", "bare-current", "remote-current", "remote-0.8.1")
CLIENTS = tuple(peer for peer in EVERYBODY if peer.startswith("remote"))


def protocol_of(peer: str) -> str:
    return "current" if peer.endswith(("current", "0.8.1")) else "legacy"


HELD_MS = {"legacy": 7.0, "current": 2.0}
"""What a bare call takes at the servers themselves; replies of the development server are held back for so long."""
REMOTE_CASES = (
    Case(
        "calls", "calls", 300, 50, EVERYBODY, "N promises, each created and settled by the low-level API (µs a request, p50)",
        figure="p50_us",
    ),
    Case("remote-seq", "seq", 100, 30, EVERYBODY, "One run of N steps, one after the other (µs a step, p50)", figure="p50_us"),
    Case("remote-long", "seq", 3000, 300, BOTH, "The same, long (µs a step, p50)", figure="p50_us"),
    Case(
        "remote-lat", "lat", 100, 20, ("bare-legacy", "bare-legacy-5", *EVERYBODY[1:]),
        "N runs of one step, one after the other (µs a run, p50)", figure="p50_us",
    ),
    Case("remote-fanout", "fanout", 100, 30, EVERYBODY, "One run starts N steps, then awaits them (µs a step)"),
    Case(
        "remote-naps", "naps", 3, 1, CLIENTS, "N durable sleeps of one second, one after the other (s, the longest)", figure="worst_s",
        unit="s",
    ),
    Case(
        "remote-writes", "writes", 3, 1, ("bare-legacy", "bare-current"),
        "C sockets each send one write after the other to the server, for N seconds (µs a write)", concurrency=8,
    ),
    Case(
        "held-calls", "calls", 100, 20, BOTH, "At the pace of the real servers: N promises, each created and settled (µs a request, p50)",
        figure="p50_us", is_held=True,
    ),
    Case(
        "held-seq", "seq", 100, 20, BOTH, "At that pace: one run of N steps, one after the other (µs a step, p50)", figure="p50_us",
        is_held=True,
    ),
    Case(
        "held-lat", "lat", 100, 20, BOTH, "At that pace: N runs of one step, one after the other (µs a run, p50)", figure="p50_us",
        is_held=True,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """What a figure must be: at most `most` times its floor, or, where there is no such ratio, at most `absolute`.

    `floor` names a peer of the same case, whose same figure it is, or (`own:FIGURE`) another figure of the same measurement. The
    absolute value beside a ratio is what the ratio came to on a quiet machine; it decides nothing. `above` is instead how much more
    than its floor it may be.
    """

    told: str
    case: str
    peer: str
    figure: str
    unit: str
    absolute: float | None = None
    most: float | None = None
    floor: str = ""
    above: float | None = None


def _ends(told: str, case: str, peer: str) -> Target:
    return Target(told, case, peer, "failed", "failed", absolute=0)


TARGETS = (
    Target("W1 sequential, memory, 1,000", "seq", "memory", "us", "µs", 22, 5, "memjson"),
    Target("W1 the same, last tenth to the first", "seq", "memory", "last_tenth_us", "µs", None, 1.2, "own:first_tenth_us"),
    Target("W1 sequential, memory, 100,000", "seq-long", "memory", "us", "µs", 22, 5, "memjson"),
    Target("W1 the same, last tenth to the first", "seq-long", "memory", "last_tenth_us", "µs", None, 1.2, "own:first_tenth_us"),
    Target("W1 sequential, file `full`", "seq", "full", "us", "µs", 410, 1.25, "sqlfull"),
    Target("W1 sequential, file `fast`", "seq", "fast", "us", "µs", 50, 2.5, "sqlnormal"),
    Target("W2 fan-out of 1,000, memory", "fanout", "memory", "us", "µs", 34, 2, "memjson"),
    Target("W2 fan-out of 1,000, file `full`", "fanout", "full", "us", "µs", 40, 8, "sqlgroup"),
    Target("W3 fib(15), memory", "fib", "memory", "us", "µs", 21, 6, "memjson"),
    _ends("W3 nested 10,000 deep, memory", "deep", "memory"),
    _ends("W3 nested 1,000 deep, file `full`", "deep-file", "full"),
    _ends("W3 nested 1,000 deep, file `fast`", "deep-file", "fast"),
    Target("W4 one run, idle worker, p50, to one thread hop", "lat", "memory", "p50_us", "µs", 150, 2, "memthread"),
    Target("W4 one run, idle worker, p99", "lat", "memory", "p99_us", "µs", 600),
    Target("W4 500 runs, 32 callers", "many", "memory", "us", "µs", 100),
    _ends("W4 the same, memory, repeated", "many", "memory"),
    _ends("W4 the same, file `full`, repeated", "many", "full"),
    _ends("W4 the same, file `fast`, repeated", "many", "fast"),
    Target("W5 replay of a step, memory", "replay", "memory", "us", "µs", 12, 3, "sqlfull"),
    Target("W5 replay of a step, file `full`", "replay", "full", "us", "µs", 12, 3, "sqlfull"),
    Target("W5 replay of a step, file `fast`", "replay", "fast", "us", "µs", 12, 3, "sqlfull"),
    Target("W6 1,000 sleeps of 1 s", "sleep", "memory", "wall_s", "s", 1.05),
    Target("W6 the same, more threads than before", "sleep", "memory", "threads_more", "threads", 8),
    Target("W6 10,000 sleepers, memory", "sleepers", "memory", "grown_mb", "MB", 150),
    Target("W6 10,000 sleepers, idle processor", "sleepers", "memory", "idle_percent", "%", 1),
    Target("W7 memory per 10,000 promises", "mem", "memory", "mb_per_10k_promises", "MB", 6),
    Target("Import and first run, over a bare interpreter", "cold", "memory", "over_bare_ms", "ms", 60),
    Target("A live observer: a subscription read ten times a second", "observed", "memory", "subscription_percent", "%", 15),
    Target("A live observer: the notebook's follower", "observed", "memory", "follower_percent", "%", 15),
    Target("A live observer: the follower with a live graph", "observed", "memory", "graph_percent", "%", 15),
)


def _of_client(protocol: str, calls: int, bare_run: str) -> tuple[Target, ...]:
    """What is to be reached as a client by one protocol, whose run of one step takes so many calls, as the peer `bare_run` does them."""
    ours, bare = f"remote-{protocol}", f"bare-{protocol}"
    return (
        Target(f"{protocol}: one call, above the bare one", "calls", ours, "p50_us", "µs", floor=bare, above=300),
        Target(f"{protocol}: a sequential local step, to its 2 calls", "remote-seq", ours, "p50_us", "µs", None, 1.1, bare),
        Target(f"{protocol}: 3,000 steps, one to its 2 calls", "remote-long", ours, "p50_us", "µs", None, 1.1, bare),
        Target(
            f"{protocol}: 3,000 steps, the last tenth to the first", "remote-long", ours, "last_tenth_us", "µs", None, 1.2,
            "own:first_tenth_us",
        ),
        Target(f"{protocol}: one run of one step, to its {calls} calls", "remote-lat", ours, "p50_us", "µs", None, 1.1, bare_run),
        Target(f"{protocol}: fan-out of 100, to 0.8.1", "remote-fanout", ours, "us", "µs", None, 0.4, "remote-0.8.1"),
        Target(f"{protocol}: a durable sleep of 1 s, the longest of 3", "remote-naps", ours, "worst_s", "s", 1.2),
        Target(f"{protocol}: a write to the server, 8 clients (667 µs: 1,500 a second)", "remote-writes", bare, "us", "µs", 667),
    )  # fmt: skip


def _at_the_pace_of_real_servers(protocol: str, calls: int, bare_run: str) -> tuple[Target, ...]:
    """The same at a server whose bare calls cost what they do at the real ones."""
    ours, bare, pace = f"remote-{protocol}", f"bare-{protocol}", f"{protocol}, {HELD_MS[protocol]:g} ms a call"
    return (
        Target(f"{pace}: one call, above the bare one", "held-calls", ours, "p50_us", "µs", floor=bare, above=300),
        Target(f"{pace}: a sequential local step, to its 2 calls", "held-seq", ours, "p50_us", "µs", None, 1.1, bare),
        Target(f"{pace}: one run of one step, to its {calls} calls", "held-lat", ours, "p50_us", "µs", None, 1.1, bare_run),
    )


REMOTE_TARGETS = (
    *_of_client("legacy", 5, "bare-legacy-5"),
    Target("legacy: the same run, to the 4 calls that are enough", "remote-lat", "remote-legacy", "p50_us", "µs", None, 1.1, "bare-legacy"),
    *_of_client("current", 4, "bare-current"),
    *_at_the_pace_of_real_servers("legacy", 4, "bare-legacy"),
    *_at_the_pace_of_real_servers("current", 4, "bare-current"),
)
