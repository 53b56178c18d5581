"""Several processes on one file: one that freezes, many at once, one that stops, clocks that jump, forks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from resonate import Resonate
from resonate.errors import StoreUnavailable
from resonate.stores.file import PromiseFile
from resonate.stores.sqlite import SqliteStore
from tests.chaos.disks import integrity
from tests.chaos.ledger import Ledger, executions, lines_of
from tests.chaos.nursery import Child, Nursery
from tests.chaos.sharing import crowd
from tests.chaos.waits import when
from tests.chaos.workflows import WORKFLOWS, register
from tests.process.forking import in_child

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
SOON_S = 20
HOUR_S = 3600.0
YEAR_S = 364 * 24 * HOUR_S  # a little less than what a run has by default


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as made:
        yield made


@pytest.fixture
def known(tmp_path: Path) -> dict[str, str]:
    """Where the file and the ledger are."""
    return {"path": str(tmp_path / "runs.db"), "ledger": str(tmp_path / "ledger")}


def rows(path: str) -> dict[str, tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return {row[0]: row[1:] for row in connection.execute("SELECT id, state, body FROM promises")}


def running(ledger: str, step: str) -> list[int]:
    """The processes in which a step has begun."""
    return [line.pid for line in lines_of(ledger) if (line.what, line.id) == ("run", step)]


# ---- freezing ------------------------------------------------------------------------------------------------------------------------


def frozen_and_taken_over(known: dict[str, str], nursery: Nursery) -> tuple[Child, Child]:
    """A worker that is frozen in the middle of a run, and the one that has taken the run over from it."""
    frozen = nursery.start("launch", **known, name="held", run_id="run", args=[], ttl=1)
    when(lambda: running(known["ledger"], "run.2"))
    frozen.signal(signal.SIGSTOP)
    other = nursery.start("launch", **known, name="held", run_id="run", args=[], ttl=1)
    when(lambda: other.pid in running(known["ledger"], "run.2"))
    return frozen, other


def test_a_frozen_process_drops_what_another_has_finished(known: dict[str, str], nursery: Nursery) -> None:
    """Frozen past its lease, until another has finished its run, a worker gives that result and settles and runs nothing any more."""
    frozen, other = frozen_and_taken_over(known, nursery)
    (Path(known["path"]).parent / "go on").touch()
    finished = other.done()
    assert finished["result"] == [2, other.pid, 4]
    before = rows(known["path"])
    frozen.signal(signal.SIGCONT)
    assert frozen.done()["result"] == finished["result"]
    assert rows(known["path"]) == before
    assert running(known["ledger"], "run.1") == [frozen.pid]
    assert running(known["ledger"], "run.3") == [other.pid]


def test_a_frozen_process_drops_what_another_is_doing(known: dict[str, str], nursery: Nursery) -> None:
    """Frozen past its lease, a worker whose step then ends cannot settle it: it tells the lost lease and waits for the other's result."""
    frozen, other = frozen_and_taken_over(known, nursery)
    frozen.signal(signal.SIGCONT)
    (Path(known["path"]).parent / f"go on {frozen.pid}").touch()
    with closing(sqlite3.connect(known["path"])) as connection:
        changes = connection.execute("PRAGMA data_version").fetchone()
        when(lambda: connection.execute("PRAGMA data_version").fetchone() != changes)  # it has tried
    time.sleep(0.1)
    assert rows(known["path"])["run.2"][0] == "PENDING"
    (Path(known["path"]).parent / "go on").touch()
    finished, thawed = other.done(), frozen.done()
    assert finished["result"] == thawed["result"] == [2, other.pid, 4]
    assert "LeaseLost" in thawed["events"]
    assert running(known["ledger"], "run.3") == [other.pid]


# ---- many processes --------------------------------------------------------------------------------------------------------------------


def test_many_processes_share_a_file() -> None:
    """Three processes with sixty runs each on one file: every run once and with its result, and no error of any kind."""
    assert crowd(processes=3, runs=60).wrong == []


def test_processes_that_open_a_file_at_once_are_no_damage(known: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One that begins to work between another's look at the log and its look at the file does not make it look damaged."""
    first = SqliteStore(known["path"])
    first.close()
    look = PromiseFile._check_log
    others: list[SqliteStore] = []

    def looks(file: PromiseFile) -> None:
        look(file)
        if not others:
            others.append(file)  # type: ignore[arg-type]
            others[0] = SqliteStore(known["path"])
            others[0].listen("default", "other", lambda message: None)

    monkeypatch.setattr(PromiseFile, "_check_log", looks)
    store = SqliteStore(known["path"])
    store.close()
    others[0].close()


def test_a_clean_stop_lets_others_go_on_at_once(known: dict[str, str], nursery: Nursery) -> None:
    """What a stopped client was doing is taken up by another process within two seconds, although it lives on and its lease was long."""
    folder = Path(known["path"]).parent
    stays = nursery.start("stop_and_stay", **known, run_id="run")
    when(lambda: running(known["ledger"], "run.2"))
    takes = nursery.start("take_over", **known, run_id="run")
    with closing(sqlite3.connect(known["path"])) as connection:
        when(lambda: connection.execute("SELECT count(*) FROM processes").fetchone()[0] == 2)
    (folder / "stop").touch()
    when(lambda: takes.pid in running(known["ledger"], "run.2"))
    (folder / "go on").touch()
    result, at = takes.done()
    (folder / "end").touch()
    assert result == [2, takes.pid, 4]
    assert at - stays.done() < 2


# ---- clocks ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset_s", [HOUR_S, -HOUR_S, YEAR_S, -YEAR_S], ids=["an hour on", "an hour back", "a year on", "a year back"])
def test_a_clock_may_jump(offset_s: float, known: dict[str, str], nursery: Nursery) -> None:
    """A jump of the clock changes no wait for a retry, ends no sleep before its time by that clock, loses no run and causes no storm."""
    told = nursery.start("jump", **known, offset_s=offset_s).done()
    assert told["retried"] == 5
    assert all(0.39 <= gap < 1.4 for gap in told["gaps"])
    assert told["turns"] < 200
    is_forward = offset_s > 0
    assert (told["short"], told["long"]) == (is_forward, is_forward)  # both sleeps were over by the clock that had jumped on
    assert (told["short result"], told["long after"]) == ([2, 4], is_forward)
    assert is_forward or told["short took"] > 1.4
    assert told["holding"][0::2] == [2, 4]
    assert max(executions(lines_of(known["ledger"])).values()) <= 2


# ---- forks -----------------------------------------------------------------------------------------------------------------------------


def value(ctx: Any, x: Any) -> Any:
    return x


def test_a_child_outlives_the_connection_of_its_parent(tmp_path: Path) -> None:
    """What a forked child does after its parent has closed the file is in the file: the child has locks of its own."""
    path = tmp_path / "runs.db"
    client = Resonate.local(path=path, durability="fast", log_level="CRITICAL", workers=1)
    client.register(value)
    assert client.run("before", "value", 1) == 1
    closed = tmp_path / "closed"

    def child() -> Any:
        early = client.run("early", "value", 2)
        when(closed.exists)
        late = client.run("late", "value", 3)
        client.stop()
        return [early, late]

    def closes() -> None:
        when(lambda: rows(str(path)).get("early"))
        client.stop()
        client._shared.store.close()
        closed.touch()

    assert in_child(child, closes) == "[2, 3]"
    assert {name: row[0] for name, row in rows(str(path)).items()} == dict.fromkeys(("before", "early", "late"), "RESOLVED")
    assert integrity(path) == "ok"


def test_parents_and_children_share_a_file(tmp_path: Path) -> None:
    """Forks from a client at work: each child runs its own on the same file, what the parent was doing goes on there, and all is kept."""
    path = tmp_path / "runs.db"
    with Resonate.local(path=path, durability="fast", log_level="CRITICAL", workers=2) as client:
        register(client, Ledger(tmp_path / "ledger"))
        client.register(value)
        handle = client.begin_run("waits", "waits")
        when(lambda: client.promises.get("gate").pending)
        for number in range(5):
            assert in_child(lambda number=number: client.run(f"child-{number}", "value", number)) == str(number)
            assert client.run(f"parent-{number}", "value", number) == number
        client.promises.resolve("gate", data="5")
        assert handle.result(SOON_S) == WORKFLOWS["waits"].result
        assert [client.get(f"child-{number}").result(SOON_S) for number in range(5)] == [0, 1, 2, 3, 4]
    assert integrity(path) == "ok"


def test_a_child_of_a_busy_parent_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a fork cannot wait for the end of a turn, the child says so instead of using a file without locks; the parent goes on."""
    monkeypatch.setattr("resonate.stores.local.FORK_WAIT_LIMIT_S", 0.01)
    store = SqliteStore(tmp_path / "runs.db", "fast")
    with store._lock:
        told = in_child(lambda: store.promises.create("a", 2**45))
    assert told.startswith(StoreUnavailable.__name__)
    assert "was busy when this process was forked" in told
    assert store.promises.create("a", 2**45).pending
    store.close()


def _spawned(path: str, number: int) -> Any:
    with Resonate.local(path=path, durability="fast", log_level="CRITICAL", workers=1) as client:
        client.register(value)
        return client.run(f"spawned-{number}", "value", number)


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_worker_processes_share_the_file_of_their_parent(method: str, tmp_path: Path) -> None:
    """Processes of `multiprocessing` open the file that their parent has open, and the parent sees what they did."""
    path = str(tmp_path / "runs.db")
    with Resonate.local(path=path, durability="fast", log_level="CRITICAL", workers=1) as client:
        client.register(value)
        assert client.run("own", "value", 0) == 0
        with multiprocessing.get_context(method).Pool(2) as pool:
            assert pool.starmap(_spawned, [(path, number) for number in range(4)]) == [0, 1, 2, 3]
        assert [client.get(f"spawned-{number}").result(SOON_S) for number in range(4)] == [0, 1, 2, 3]


def test_two_clients_of_one_process_share_a_file(tmp_path: Path) -> None:
    """Two clients in one process, each with a function of its own: each does its own runs, sees the other's, and may stop before it."""
    path = tmp_path / "runs.db"
    one = Resonate.local(path=path, durability="fast", log_level="CRITICAL", workers=1)
    two = Resonate.local(path=path, durability="fast", log_level="CRITICAL", workers=1)

    def first(ctx: Any) -> Any:
        yield ctx.sleep(0.1)
        return "first"

    def second(ctx: Any) -> Any:
        yield ctx.sleep(0.1)
        return "second"

    one.register(first)
    two.register(second)
    with two:
        with one:
            handles = [one.begin_run("a", first), two.begin_run("b", second)]
            assert [each.result(SOON_S) for each in handles] == ["first", "second"]
        assert two.run("c", second) == "second"
        assert two.get("a").result(SOON_S) == "first"


def test_waiting_for_a_lock_is_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that holds the file's lock and does not let go is named as the reason, after the limit, and nothing is lost."""
    monkeypatch.setattr("resonate.stores.file.BUSY_WAIT_LIMIT_S", 0.2)
    path = tmp_path / "runs.db"
    store = SqliteStore(path, "fast")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began_s = time.monotonic()
        with pytest.raises(StoreUnavailable, match="in use by another process"):
            store.promises.create("a", 2**45)
        assert time.monotonic() - began_s < 2
        other.execute("ROLLBACK")
    assert store.promises.create("a", 2**45).pending
    store.close()
