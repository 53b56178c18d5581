"""Runs on a disk that fails at its n-th statement, for every n; see `faults`."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from resonate import Resonate
from resonate.errors import StoreUnavailable
from tests.chaos.faults import ERRORS, Disk, on_a_disk
from tests.chaos.ledger import Ledger, executions, lines_of
from tests.chaos.workflows import WORKFLOWS, register

SOON_S = 15
IDLE_LIMIT = 25


def opened(path: Path, ledger: Path, durability: str = "fast") -> Resonate:
    """A client on a file."""
    client = Resonate.local(path=path, durability=durability, log_level="CRITICAL", workers=2)
    register(client, Ledger(ledger))
    return client


def integrity(path: Path) -> str:
    """What SQLite says of a file."""
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def outcome(client: Resonate, name: str, troubles: list[str], disk: Disk) -> Any:
    """The result of a run in spite of the disk, which is mended when it has been told what is wrong.

    Nobody is told for a run that just sleeps or waits, and whose wake-up is what fails; the disk is mended after a while then.
    """
    deadline = time.monotonic() + SOON_S
    idle = 0
    while time.monotonic() < deadline:
        try:
            return client.begin_run(name, name).result(0.2)
        except StoreUnavailable as error:
            troubles.append(str(error))
        except TimeoutError:
            if client._shared.store.trouble is None and not disk._is_mended:
                idle += 1  # nothing is wrong: it should go on, if on a busy machine not at once
                assert idle < IDLE_LIMIT, "nothing is wrong, and the run does not go on"
                continue
        disk.mend()
    raise AssertionError("it goes on failing")


def failing_at(fail_at: int, error: str, times: int | None, name: str, path: Path) -> int:
    """A run on a disk that fails at its `fail_at`-th statement; how often it failed."""
    disk = Disk(error, 10**9, times)
    troubles: list[str] = []
    ledger = path.with_name(f"{path.name}-ledger")
    with on_a_disk(disk), opened(path, ledger) as client:
        disk.count, disk._fail_at = 0, fail_at
        assert outcome(client, name, troubles, disk) == WORKFLOWS[name].result
        disk.mend()
    again = {step: times for (step, _), times in executions(lines_of(ledger)).items() if times > 1}
    assert again == {}, "no process died, so no step has a reason to run again"
    for told in troubles:
        assert str(path) in told
        assert "bytes are free" in told
        assert ERRORS[error][0] in told
    assert integrity(path) == "ok"
    return disk.failed


def fail_everywhere(name: str, error: str, times: int | None, every: int, folder: Path) -> int:
    """One run for each `every`-th statement that fails, until none does; how many there were."""
    rounds, failed = 0, 1
    while failed:
        failed = failing_at(1 + rounds * every, error, times, name, folder / f"{name}-{rounds}.db")
        rounds += 1
    return rounds
