"""Clients come and go: with `with`, across forks and spawned processes, and without leaving anything behind."""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest
from forking import in_child
from waiting import SOON, when

from resonate import Resonate
from resonate.computation import Computation
from resonate.errors import ResonateShutdownError, ResonateStoreError, StoreUnavailable
from resonate.protocol import Lease
from resonate.runtime import Runtime
from resonate.stores import LocalStore
from resonate.stores.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]


def value(ctx: Any, x: Any = None) -> Any:
    return x


def waits(ctx: Any, gate: str) -> Any:
    return (yield (yield ctx.promise(id=gate)))


def test_with_starts_and_stops() -> None:
    """`with` gives the client itself, started, and ends its threads also where an error leaves the block."""
    before = set(threading.enumerate())

    def block() -> None:
        with Resonate.local(log_level="ERROR") as client:
            assert set(threading.enumerate()) - before
            assert client.begin_run("run", client.register(value), 1).result(SOON) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()
    when(lambda: not set(threading.enumerate()) - before)


def test_a_client_that_could_not_start_starts_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that the store refuses, as on a full disk, leaves no thread of its own and nobody who listens; a later one works."""
    before = set(threading.enumerate())  # other tests may have left clients at work
    client = Resonate.local(path=tmp_path / "runs.db", log_level="CRITICAL")
    client.register(value)

    def refuses(store: LocalStore) -> None:
        if store._receivers:
            raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "send_what_waits", refuses)
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                client.start()
    assert client._shared.store._receivers == ()
    when(lambda: not any("worker" in thread.name for thread in set(threading.enumerate()) - before))
    assert client.begin_run("run", "value", 1).result(SOON) == 1
    client.stop()


def test_a_run_that_is_handed_out_again_while_it_begins_is_not_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that finds a run which another one has only just made, and resumes it, does not take it for one that waits for itself."""
    keep_alive = Runtime._keep_alive

    def meanwhile(runtime: Runtime) -> None:
        keep_alive(runtime)
        for run in list(runtime._runs.values()):
            jobs: list[Any] = []
            runtime._post(run, jobs, Computation.resumed, Lease(run.id, f"__invoke:{run.id}", 1), None)
            runtime._work_off(jobs)

    monkeypatch.setattr(Runtime, "_keep_alive", meanwhile)
    with Resonate(log_level="CRITICAL") as client:
        client.register(value)
        assert client.begin_run("launched", "value", 1).result(SOON) == 1
        assert client.begin_rpc("offered", "value", 2).result(SOON) == 2


def test_starting_and_stopping_are_idempotent() -> None:
    """Any number of starts and stops, in any order, and the client works after each start."""
    client = Resonate(log_level="CRITICAL")
    client.register(value)
    for number in range(5):
        client.start()
        client.start()
        assert client.begin_run(f"run-{number}", "value", number).result(SOON) == number
        client.stop()
        client.stop()


def test_a_block_can_be_entered_again() -> None:
    """A client that was left is entered again: what it had stored is there, and what waited goes on."""
    client = Resonate(log_level="CRITICAL")
    client.register(waits)
    with client:
        handle = client.begin_run("waits", "waits", "gate")
        when(lambda: client.promises.get("gate").pending)
    with pytest.raises(ResonateShutdownError, match="waits"):
        handle.result(SOON)
    with client:
        client.promises.resolve("gate", data="5")
        assert client.get("waits").result(SOON) == 5


def test_stop_keeps_its_deadline() -> None:
    """A function that does not end does not hold `stop` up beyond its timeout; its result is dropped."""
    release = threading.Event()
    client = Resonate(workers=2, log_level="CRITICAL")
    client.begin_run("slow", client.register(lambda ctx: release.wait(SOON) and 1, name="slow"))
    began_s = time.monotonic()
    client.stop(timeout=0.2)
    assert time.monotonic() - began_s < 2
    release.set()


def test_nothing_is_left_behind() -> None:
    """50 clients leave no thread, no file and no object of theirs."""

    def once(number: int) -> weakref.ref[Any]:
        with Resonate(workers=2, log_level="CRITICAL") as client:
            client.register(value)
            assert client.begin_run(f"run-{number}", "value", number).result(SOON) == number
            return weakref.ref(client._shared)

    once(0)
    gc.collect()
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    left = [once(number) for number in range(50)]
    when(lambda: threading.active_count() <= threads)
    gc.collect()
    assert [each for each in left if each() is not None] == []
    if files:
        assert len(os.listdir("/proc/self/fd")) <= files


def test_a_client_that_is_forgotten_without_stop_does_not_keep_the_process() -> None:
    """A script that never stops its client ends all the same."""
    code = "from resonate import Resonate\nr = Resonate()\n@r.register\ndef f(ctx): return 1\nprint(f.run('a'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=SOON, check=True)
    assert (done.stdout, done.stderr) == ("1\n", "")


# ---- forks -----------------------------------------------------------------------------------------------------------------------

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@needs_fork
def test_a_forked_child_works_for_itself() -> None:
    """In the child the same client runs new runs with threads and a process id of its own, and the parent is not disturbed."""
    with Resonate(workers=2, log_level="CRITICAL") as client:
        client.register(value)
        client.register(waits)
        handle = client.begin_run("waits", "waits", "gate")
        when(lambda: client.promises.get("gate").pending)
        assert client.begin_run("before", "value", 1).result(SOON) == 1
        pid = client._shared.pid

        def child():
            fresh = client.begin_run("in-child", "value", 2).result(SOON)
            return [fresh, client.begin_run("before", "value", 9).result(SOON), client._shared.pid != pid]

        assert in_child(child) == "[2, 1, True]"
        client.promises.resolve("gate", data="3")
        assert handle.result(SOON) == 3
        assert client.begin_run("after", "value", 4).result(SOON) == 4


@needs_fork
def test_handles_of_the_parent_fail_in_the_child() -> None:
    """A handle that was pending at the fork says in the child that its run goes on in the parent, instead of waiting for ever."""
    with Resonate(workers=2, log_level="CRITICAL") as client:
        client.register(waits)
        handle = client.begin_run("waits", "waits", "gate")
        when(lambda: client.promises.get("gate").pending)
        assert in_child(lambda: handle.result(SOON)).startswith("ResonateShutdownError: [300.00000] waits goes on in the process")
        assert not handle.done()
        client.promises.resolve("gate", data="3")
        assert handle.result(SOON) == 3


@needs_fork
def test_forking_at_any_moment_is_safe() -> None:
    """Forks while 4 threads launch runs and settle promises: each child has a whole store and works."""
    with Resonate(workers=4, log_level="CRITICAL") as client:
        client.register(value)
        ends = threading.Event()

        def launch(name: int) -> None:
            number = 0
            while not ends.is_set():
                number += 1
                client.begin_run(f"busy-{name}-{number}", "value", number).result(SOON)

        threads = [threading.Thread(target=launch, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        try:
            for number in range(20):
                assert in_child(lambda number=number: client.begin_run(f"child-{number}", "value", number).result(SOON)) == str(number)
        finally:
            ends.set()
            for thread in threads:
                thread.join(SOON)


@needs_fork
def test_a_store_on_its_own_survives_a_fork() -> None:
    """A store without a client answers in the child."""
    store = LocalStore()
    store.promises.create("a", 2**45)
    assert in_child(lambda: store.promises.resolve("a", data="1").state) == "RESOLVED"
    assert store.promises.get("a").pending


@needs_fork
@pytest.mark.parametrize("trouble", ["never opened", "gone"])
def test_a_store_in_trouble_takes_no_other_with_it_into_the_child(tmp_path: Path, trouble: str) -> None:
    """A file store that could not be opened, or whose folder is gone at the fork, leaves every other client's store usable in the child."""
    kept: list[Any] = []
    if trouble == "gone":
        (tmp_path / "folder").mkdir()
        kept.append(SqliteStore(tmp_path / "folder" / "runs.db"))
        shutil.rmtree(tmp_path / "folder")
    else:
        with pytest.raises(StoreUnavailable) as caught:
            SqliteStore(tmp_path / "nowhere" / "runs.db")
        kept.append(caught)  # and with it the half made store
    clients = [Resonate(workers=1, log_level="CRITICAL") for _ in range(6)]
    for client in clients:
        client.register(value)
        assert client.begin_run("before", "value", 1).result(SOON) == 1
    assert in_child(lambda: [client.begin_run("child", "value", 2).result(SOON) for client in clients]) == str([2] * 6)
    assert [client.begin_run("after", "value", 3).result(SOON) for client in clients] == [3] * 6
    for client in clients:
        client.stop()


def _spawned(number: int) -> Any:
    with Resonate(log_level="CRITICAL") as client:
        client.register(value)
        return client.begin_run("run", "value", number).result(SOON)


@pytest.mark.parametrize("method", [each for each in ("spawn", "forkserver", "fork") if each in multiprocessing.get_all_start_methods()])
def test_multiprocessing_by_any_method(method: str) -> None:
    """Worker processes of `multiprocessing` use clients of their own, however they are started, beside a client at work here."""
    with Resonate(log_level="CRITICAL") as client:
        client.register(value)
        client.begin_run("run", "value", 1).result(SOON)
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.map_async(_spawned, [1, 2]).get(60) == [1, 2]


# ---- somebody else answers first ---------------------------------------------------------------------------------------------------


def test_an_approval_may_race_with_the_first_look_at_the_handle() -> None:
    """10,000 times another thread resolves the promise that a run waits for, just as somebody first asks for the run's result."""
    wanted = 10_000
    with Resonate(workers=2, log_level="CRITICAL") as client:
        client.register(waits)
        gates: list[str] = []
        ready = threading.Semaphore(0)

        def approve() -> None:
            for number in range(wanted):
                ready.acquire()
                while True:
                    try:
                        client.promises.resolve(gates[number], data=str(number))
                        break
                    except ResonateStoreError:
                        time.sleep(0)  # the run has not come to its promise yet

        approver = threading.Thread(target=approve)
        approver.start()
        for number in range(wanted):
            gates.append(f"gate-{number}")
            if number % 2:
                ready.release()
                handle = client.begin_run(f"run-{number}", "waits", gates[number])
            else:
                handle = client.begin_run(f"run-{number}", "waits", gates[number])
                ready.release()
            assert handle.result(SOON) == number
        approver.join(SOON)
        assert not client._shared.runtime()._runs


# ---- what is over leaves memory ----------------------------------------------------------------------------------------------------

GROWTH = """
import gc, os, sys
from resonate import Resonate

def resident_mb():
    with open("/proc/self/statm") as facts:
        return int(facts.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

def launch(client, first, count):
    for start in range(first, first + count, 500):
        handles = [client.begin_run(f"run-{number}", "value", number) for number in range(start, start + 500)]
        assert [handle.result(20) for handle in handles] == list(range(start, start + 500))
    gc.collect()
    return resident_mb()

with Resonate(workers=2, log_level="CRITICAL") as client:
    client.register(lambda ctx, x: x, name="value")
    before = launch(client, 0, 12_000)  # until the store holds as many finished runs as it ever will
    print(round(launch(client, 12_000, int(sys.argv[1])) - before, 2))
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="this system does not tell how much memory a process has")
def test_finished_runs_leave_nothing_in_memory() -> None:
    """Finished runs, every result read, make a process grow by less than 100 bytes each (100,000 in one process: about 20)."""
    runs = int(os.environ.get("TEST_GROWTH_RUNS", "30000"))
    done = subprocess.run([sys.executable, "-c", GROWTH, str(runs)], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) * 1e6 < 100 * runs


def crowded(client: Resonate, runs: int) -> Any:
    """The machine of a client that keeps few finished runs at hand, after many."""
    machine = client._shared.store._machine
    machine._resident_limit = 100
    client.register(value)
    for number in range(runs):
        assert client.begin_run(f"run-{number}", "value", number).result(SOON) == number
    return machine


def test_finished_runs_leave_memory() -> None:
    """What a store in memory holds of finished runs is bounded, and their results are there all the same: nothing is run again."""
    with Resonate(workers=2, log_level="CRITICAL") as client:
        machine = crowded(client, 3000)
        held = (machine.promises, machine.tasks, machine._descendants, machine._over, machine._over_tasks,
                machine._deadlines, machine._deadline_heap, machine._task_heap, machine._callbacks)  # fmt: skip
        assert max(map(len, held)) < 1000
        assert [client.begin_run(f"run-{number}", "value", "again").result(SOON) for number in (0, 1500, 2999)] == [0, 1500, 2999]
        assert [each.id for each in client.promises.search("run-1*", limit=3).promises] == ["run-1999", "run-1998", "run-1997"]
        assert [each.id for each in client.snapshot("run-7")] == ["run-7", "run-7"]


@needs_fork
def test_what_left_memory_is_there_after_a_fork() -> None:
    """The child finds old results and puts away its own without touching the parent's."""
    with Resonate(workers=2, log_level="CRITICAL") as client:
        crowded(client, 1000)

        def child() -> Any:
            old = client.begin_run("run-3", "value", "again").result(SOON)
            for number in range(1000):
                client.begin_run(f"child-{number}", "value", number).result(SOON)
            return [old, client.begin_run("child-3", "value", "again").result(SOON)]

        assert in_child(child) == "[3, 3]"
        assert client.begin_run("run-3", "value", "again").result(SOON) == 3
        assert client.begin_run("child-3", "value", "fresh").result(SOON) == "fresh"
