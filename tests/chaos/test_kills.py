"""A process that dies at any moment loses nothing. The smoke part of `python -m tests.chaos.sweep`; see the head of `kills`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from resonate import Resonate
from resonate.stores.sqlite import SqliteStore
from tests.chaos.kills import Death, Figures, die, sweep
from tests.chaos.ledger import lines_of, run_again_after
from tests.chaos.nursery import ROOT, SOON_S, Nursery
from tests.chaos.waits import when
from tests.chaos.workflows import WORKFLOWS

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as made:
        yield made


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_workflow_comes_to_its_result(name: str, nursery: Nursery) -> None:
    """Without a death each workflow gives the result that is foretold, and each attempt of a step runs once."""
    figures = Figures()
    assert not die(nursery, Death(name, "fast", 10**6), figures)
    assert (figures.wrong, figures.in_flight) == ([], 0)


@pytest.mark.parametrize(("name", "durability"), [("sequence", "full"), ("sleeps", "fast"), ("remote", "fast")])
def test_a_kill_at_any_boundary_loses_nothing(name: str, durability: str, nursery: Nursery) -> None:
    """Killed before and after every third commit or answer, a run is finished by the next process, and nothing acknowledged runs again."""
    figures = sweep(nursery, name, durability, every=3)
    assert figures.wrong == []
    assert figures.kills >= 10
    assert figures.untouched == 1


def test_a_kill_while_the_file_is_made_loses_nothing(nursery: Nursery) -> None:
    """Killed at every sixth SQL statement, from the first that makes the file on, the next process begins or goes on."""
    figures = sweep(nursery, "fan_out", "full", every=6, sides=("before",), place="statement")
    assert figures.wrong == []
    assert figures.kills >= 10


def test_the_process_that_follows_may_die_too(nursery: Nursery) -> None:
    """Two deaths in a row, at whatever boundaries, lose nothing either."""
    figures = Figures()
    for kill_at, again in ((5, 2), (7, 4), (9, 6), (11, 3)):
        die(nursery, Death("nested", "fast", kill_at, "after", again=again), figures)
    assert figures.wrong == []
    assert figures.kills >= 6


def test_the_sweep_would_notice(tmp_path: Path) -> None:
    """A ledger in which an acknowledged step begins once more is told as wrong."""
    ledger = tmp_path / "ledger"
    ledger.write_text("run a.1 1 7\nack a.1 0 7\nrun a.2 1 7\nrun a.2 1 8\nrun a.1 1 8\n")
    assert [line.id for line in run_again_after(lines_of(ledger))] == ["a.1"]


# ---- what the sweep has found ----------------------------------------------------------------------------------------------------------

DIES = """
import os, signal, sys
from resonate import Resonate
client = Resonate.local(path=sys.argv[1], durability="fast", log_level="CRITICAL")
client.register(lambda ctx: 1, name="one")
client.run("run", "one")
print("done", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(path: Path) -> None:
    """A process that had finished a run in a file, and was killed."""
    done = subprocess.run([sys.executable, "-c", DIES, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=SOON_S, check=False)
    assert (done.stdout, done.returncode) == ("done\n", -signal.SIGKILL)


def opens(path: Path) -> str:
    """What another process finds in the file when it works on it."""
    with Resonate.local(path=path, durability="fast", log_level="CRITICAL") as client:
        return client.promises.get("run").state


def test_a_look_at_a_file_after_a_kill_is_no_damage(tmp_path: Path) -> None:
    """After a kill, a process that only reads the file and closes it, which makes its log unnecessary, does not make it look damaged."""
    path = tmp_path / "runs.db"
    killed(path)
    store = SqliteStore(path)
    assert store.promises.get("run").state == "RESOLVED"
    store.close()
    assert [each.name for each in tmp_path.iterdir()] == ["runs.db"]
    assert opens(path) == "RESOLVED"


def test_a_store_that_is_closed_without_a_stop_is_closed(tmp_path: Path) -> None:
    """Closing the store of a client that was never stopped leaves a file that opens."""
    path = tmp_path / "runs.db"
    store = SqliteStore(path)
    client = Resonate(store=store, log_level="CRITICAL")
    client.register(lambda ctx: 1, name="one")
    assert client.run("run", "one") == 1
    store.close()
    assert opens(path) == "RESOLVED"
    client.stop()


def lists_a_stranger(store: SqliteStore) -> None:
    """As if a process of another machine, of which nobody can tell whether it lives, had the file open."""
    row = "INSERT INTO processes VALUES ('there', 'another-machine', 'boot', 1, '1')"
    store._in_turn(lambda machine, now: store._file._connection.execute(row))
    store._file.settle_log()


@pytest.mark.parametrize("when_forgotten", ["opening", "leaving"])
def test_a_killed_process_of_another_machine_is_forgotten(when_forgotten: str, tmp_path: Path) -> None:
    """A container that was killed does not make the file look damaged for ever: whoever sees the file with its log has all there is."""
    path = tmp_path / "runs.db"
    killed(path)
    store = SqliteStore(path)
    if when_forgotten == "opening":
        lists_a_stranger(store)
        SqliteStore(path).close()
    else:
        leave = store.listen("default", "here", lambda message: None)
        lists_a_stranger(store)
        leave()
    store.close()
    assert opens(path) == "RESOLVED"


def test_a_dead_process_whose_parent_has_not_asked_yet_is_gone(tmp_path: Path) -> None:
    """A killed process that its parent has not waited for is known to be gone: its leases do not have to lapse."""
    path = tmp_path / "runs.db"
    child = subprocess.Popen([sys.executable, "-c", DIES, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        when(lambda: Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z", SOON_S)
        store = SqliteStore(path)
        assert store._file.others() == (set(), set())  # found gone when the file was opened, and buried
        store.close()
    finally:
        child.communicate(timeout=SOON_S)
