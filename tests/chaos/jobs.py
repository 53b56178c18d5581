"""What the processes of these tests do; `JOBS` names it for `nursery`. Each result is something that JSON holds."""

from __future__ import annotations

import ctypes
import gc
import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resonate import Resonate
from resonate.errors import ResonateStoreError
from resonate.retry_policies import Constant
from resonate.stores import local
from tests.chaos.boundaries import Boundaries
from tests.chaos.ledger import Ledger, lines_of
from tests.chaos.small_disks import outlive, starve
from tests.chaos.waits import when
from tests.chaos.workflows import WORKFLOWS, double, note, register

SOON_S = 20


def work(
    path: str, ledger: str, name: str, durability: str = "fast", place: str = "turn", kill_at: int = 0, side: str = "before",
    registers_late: bool = False,
) -> Any:  # fmt: skip
    """Launch a workflow, or go on with it where it is in the file, and wait for all of it."""
    book = Ledger(ledger)
    boundaries = Boundaries(book, place, kill_at, side)
    workflow = WORKFLOWS[name]
    client = Resonate.local(path=path, durability=durability, log_level="CRITICAL", workers=2)
    if registers_late:
        client.start()
    register(client, book)
    is_there = _state(client, name) is not None
    handle = client.get(name) if is_there else client.begin_run(name, name)
    book.write("launched", name)
    if workflow.gate is not None:
        _resolve(client, workflow.gate)
    result = handle.result(SOON_S)
    also = workflow.also and client.get(workflow.also).result(SOON_S)
    client.stop()
    return {"result": result, "also": also, "was there": is_there, "boundaries": boundaries.count}


def _state(client: Resonate, promise_id: str) -> str | None:
    try:
        return client.promises.get(promise_id).state
    except ResonateStoreError:
        return None


def _resolve(client: Resonate, gate: str) -> None:
    """Settle a promise from outside, as soon as it is there."""
    known = client._shared.store._machine.promises  # looking there takes no turn
    pause = threading.Event()
    while (state := _state(client, gate)) is None:
        while gate not in known and not pause.wait(0.002):
            known = client._shared.store._machine.promises
    if state == "PENDING":
        client.promises.resolve(gate, data="5")


# ---- processes that freeze, share, jump and stop -----------------------------------------------------------------------------------


def opened(path: str, ledger: str, ttl: int = 10, durability: str = "fast", **more: Any) -> Resonate:
    """A client on a file that knows the workflows and those below."""
    client = Resonate.local(path=path, durability=durability, log_level="CRITICAL", ttl=ttl, workers=4, **more)
    register(client, Ledger(ledger))
    for func in (held, small, patient, stubborn, chain):
        client.register(func)
    client.set_dependency("folder", Path(path).parent)
    return client


def hold(ctx: Any) -> int:
    """Lasts until there is a file `go on`, or one for this process; says which process came to its end."""
    note(ctx)
    folder = ctx.get_dependency("folder")
    while not (folder / "go on").exists() and not (folder / f"go on {os.getpid()}").exists():
        time.sleep(0.005)
    return os.getpid()


def held(ctx: Any) -> Any:
    first = yield ctx.run(double, 1)
    pid = yield ctx.run(hold)
    return [first, pid, (yield ctx.run(double, 2))]


def small(ctx: Any, number: int) -> Any:
    return (yield ctx.run(double, number)) + (yield ctx.run(double, 1))


def dawdle(ctx: Any, number: int) -> int:
    note(ctx)
    time.sleep(0.01)
    return 2 * number


def chain(ctx: Any, number: int) -> Any:
    """A bit of everything that a worker may die in."""
    promise = yield ctx.begin_run(dawdle, number)
    yield ctx.sleep(0.01 * (number % 5))
    total = yield ctx.rpc("small", number)
    return total + (yield promise)


def patient(ctx: Any, seconds: float) -> Any:
    before = yield ctx.run(double, 1)
    yield ctx.sleep(seconds)
    return [before, (yield ctx.run(double, 2))]


def fail_thrice(ctx: Any) -> int:
    note(ctx)
    attempts = ctx.get_dependency("attempts")
    attempts.append(time.monotonic())
    if len(attempts) < 4:
        raise ConnectionError("not yet")
    return 5


def stubborn(ctx: Any, delay: float) -> Any:
    return (yield ctx.run(fail_thrice).options(retry_policy=Constant(delay=delay, max_retries=9)))


def launch(path: str, ledger: str, name: str, run_id: str, args: list[Any], ttl: int = 10) -> Any:
    """Launch a run, or join it, and wait for its result; what the observers were told besides."""
    client = opened(path, ledger, ttl)
    events = client.subscribe()
    result = client.begin_run(run_id, name, *args).result(SOON_S)
    deadline, told = time.monotonic() + 1, []
    while "LeaseLost" not in told and time.monotonic() < deadline:
        told += [type(each).__name__ for each in events.read(0.05)]
    client.stop()
    return {"result": result, "events": told}


def crowd(path: str, ledger: str, name: str, count: int, durability: str = "fast") -> Any:
    """So many runs, a hundred at a time; how many had another result than they should, and every error."""
    client = opened(path, ledger, durability=durability)
    wrong, errors = 0, []
    for first in range(0, count, 100):
        handles = [(number, client.begin_run(f"{name}-{number}", small, number)) for number in range(first, min(first + 100, count))]
        for number, handle in handles:
            try:
                wrong += handle.result(60) != 2 * number + 2
            except Exception as error:
                errors.append(repr(error))
    client.stop()
    return {"wrong": wrong, "errors": errors}


def stop_and_stay(path: str, ledger: str, run_id: str) -> Any:
    """Begin a run, stop cleanly in the middle of it, and stay alive until there is a file `end`."""
    client = opened(path, ledger, ttl=60)
    client.begin_run(run_id, held)
    folder = Path(path).parent
    while not (folder / "stop").exists():
        time.sleep(0.002)
    client.stop()
    stopped_at = time.time()
    while not (folder / "end").exists():
        time.sleep(0.002)
    return stopped_at


def take_over(path: str, ledger: str, run_id: str) -> Any:
    """Wait for a run that another process began, and that this one knows too; when its result was there."""
    client = opened(path, ledger, ttl=60)
    result = client.get(run_id).result(SOON_S)
    at = time.time()
    client.stop()
    return [result, at]


def jump(path: str, ledger: str, offset_s: float) -> Any:
    """Runs that sleep, wait for a retry and hold a lease while the clock of the machine jumps, and is put right after a second."""
    shift_s, real = 0.0, time.time
    time.time = lambda: real() + shift_s
    local.TIMER_SLICE_S = 0.1  # it looks at the clock once a minute; a test cannot wait so long
    client = opened(path, ledger, ttl=2)
    attempts: list[float] = []
    client.set_dependency("attempts", attempts)
    store: Any = client._shared.store
    turns, turn = [0], store._locked_turn
    store._locked_turn = lambda do: (turns.__setitem__(0, turns[0] + 1), turn(do))[1]
    launched_s = time.monotonic()
    short, long = client.begin_run("short", patient, 1.5), client.begin_run("long", patient, 3000.0)
    retried, holding = client.begin_run("retried", stubborn, 0.4), client.begin_run("holding", held)
    when(lambda: attempts and {"short.2", "long.2"} <= store._machine.promises.keys())  # they sleep
    when(lambda: any(line.id == "holding.2" for line in lines_of(ledger)))
    began_s, turns[0] = time.monotonic(), 0
    shift_s = offset_s
    told = {"retried": retried.result(SOON_S), "gaps": [after - before for before, after in itertools.pairwise(attempts)]}
    time.sleep(max(0.0, 1.0 - (time.monotonic() - began_s)))
    told |= {"turns": turns[0], "short": short.done(), "long": long.done()}
    shift_s = 0.0
    told |= {"short result": short.result(SOON_S), "short took": time.monotonic() - launched_s, "long after": long.done()}
    (Path(path).parent / "go on").touch()
    told["holding"] = holding.result(SOON_S)
    client.stop()
    return told


# ---- a long time -----------------------------------------------------------------------------------------------------------------------


def toil(path: str, ledger: str, name: str) -> Any:
    """Launch runs, some at a time, until there is a file `end`, and check their results; every error that came of it."""
    book, errors = Ledger(ledger), []
    Boundaries(book, "turn", 0, "")
    client = opened(path, ledger, ttl=5)
    end = Path(path).parent / "end"
    under_way: deque[tuple[int, Any]] = deque()
    number = 0
    while under_way or not end.exists():
        if len(under_way) < 20 and not end.exists():
            number += 1
            run_id = f"{name}-{number}"
            under_way.append((number, client.begin_run(run_id, chain, number)))
            book.write("launched", run_id)
            continue
        launched, handle = under_way.popleft()
        try:
            if (result := handle.result(90)) != 4 * launched + 2:
                errors.append(f"{handle.id}: {result!r}")
        except Exception as error:
            errors.append(f"{handle.id}: {error!r}")
    client.stop()
    return {"errors": errors}


WATCHED = 12
"""How often the memory is looked at."""


def watch(path: str, ledger: str, minutes: float) -> Any:
    """A worker that lives on, launches nothing and looks at what others launch; the memory that it had from time to time."""
    Boundaries(Ledger(ledger), "turn", 0, "")
    client = opened(path, ledger, ttl=5)
    client.start()
    events = client.subscribe(limit=1000)
    end, began_s = Path(path).parent / "end", time.monotonic()
    memory: list[float] = []
    seen = 0
    while not end.exists():
        time.sleep(0.2)
        events.read()
        found = client.promises.search("*", limit=20).promises
        seen += sum(client.get(each.id).done() for each in found if "." not in each.id)
        if time.monotonic() - began_s > (len(memory) + 1) * minutes * 60 / WATCHED:
            memory.append(resident_mb(client))
    client.stop()
    return {"memory": memory, "seen": seen, "errors": []}


def resident_mb(client: Resonate) -> float:
    """The memory of this process, without what is only kept for later.

    That is free memory of the allocator, and the pages of the file that SQLite holds for each connection: up to 2 MB, or nothing when
    another process has just written, so that two looks at one and the same process may differ by 4 MB.
    """
    store: Any = client._shared.store
    with store._lock, store._queue_lock:
        for connection in (store._file._connection, store._file._reader):
            connection.execute("PRAGMA shrink_memory")
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def collect(path: str, ledger: str, names: list[str]) -> Any:
    """The results of runs that were launched by processes that may be dead; how many are right, and what is wrong."""
    Boundaries(Ledger(ledger), "turn", 0, "")
    client = opened(path, ledger)
    right, wrong = 0, []
    for name in names:
        try:
            result = client.get(name).result(90)
            is_right = result == 4 * int(name.rpartition("-")[2]) + 2
            right += is_right
            wrong += [] if is_right else [f"{name}: {result!r}"]
        except Exception as error:
            wrong.append(f"{name} is lost: {error!r}")
    client.stop()
    return {"right": right, "wrong": wrong}


JOBS: dict[str, Callable[..., Any]] = {
    each.__name__: each for each in (work, launch, crowd, stop_and_stay, take_over, jump, toil, watch, collect, starve, outlive)
}
