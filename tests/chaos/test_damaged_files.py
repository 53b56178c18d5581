"""A damaged file gives intact data or a refusal by name; it never hangs, runs nothing, and is never written over.

The smoke part of `python -m tests.chaos.sweep`; see the head of `damage`.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from resonate import Resonate
from resonate.errors import StoreDamaged, StoreUnavailable
from resonate.stores.file import VERSION
from resonate.stores.sqlite import SqliteStore
from tests.chaos.damage import flip, found, make, sweep
from tests.chaos.ledger import lines_of
from tests.chaos.nursery import Nursery

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def refusal_of(path: Path) -> str:
    """Why a file is refused; neither it nor what lies beside it is changed by that."""
    before = {each: each.read_bytes() for each in path.parent.iterdir()}
    with pytest.raises((StoreDamaged, StoreUnavailable)) as refused:
        Resonate.local(path=path, log_level="CRITICAL")
    assert {each: each.read_bytes() for each in path.parent.iterdir() if each.stat().st_size or each in before} == before
    assert str(path) in str(refused.value)
    return str(refused.value)


def test_damage_is_noticed_or_harmless() -> None:
    """Sixty damaged copies of a file, truncated, flipped, blanked and with exchanged pages, give what was there, or are refused by name."""
    figures = sweep(60)
    assert figures.wrong == []
    assert len(figures.outcomes) > 1


def test_an_index_that_tells_something_else_is_noticed(path: Path) -> None:
    """A promise that its index does not find would be made, and its step run, anew: such a file is refused."""
    make(path)
    content = bytearray(path.read_bytes())
    leaves = [at for at in range(0, len(content), 1024) if content[at] == 10]  # of indexes
    at = content.index(b"finished-1.3", next(at for at in leaves if b"finished-1.3" in content[at : at + 1024]))
    content[at : at + 12] = b"finished-1.2"
    path.write_bytes(content)
    assert "damaged" in refusal_of(path)


# ---- files of others -----------------------------------------------------------------------------------------------------------------


def test_a_text_file_is_refused(path: Path) -> None:
    """Text is no file of promises, and stays as it is."""
    path.write_text("a shopping list\n" * 50)
    assert "is no file of promises" in refusal_of(path)


def test_a_database_of_another_program_is_refused(path: Path) -> None:
    """A database of another program is none of ours, whether or not it says of which program, and stays as it is."""
    for application in (0, 77):
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE promises (number INTEGER PRIMARY KEY, id TEXT)")
            connection.execute(f"PRAGMA application_id = {application}")
            connection.commit()
        assert "another program" in refusal_of(path)


def test_a_newer_file_is_refused(path: Path) -> None:
    """A file of a later format is left to the version that wrote it."""
    make(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
        connection.commit()
    assert "newer version" in refusal_of(path)


def test_an_empty_file_becomes_a_file_of_promises(path: Path) -> None:
    """An empty file, as `tempfile` makes them, has nothing to lose and is used."""
    path.touch()
    SqliteStore(path).close()
    assert path.stat().st_size


# ---- the log ---------------------------------------------------------------------------------------------------------------------------


def killed(path: Path) -> None:
    """A file whose process was killed in the middle of a run, and its log beside it."""
    with Nursery() as nursery:
        ended = nursery.start("work", path=str(path), ledger=f"{path}-ledger", name="sequence", kill_at=12, side="after").wait()
    assert ended.code == -9
    assert path.with_name("runs.db-wal").stat().st_size
    path.with_name("runs.db-shm").unlink()


def acknowledged(path: Path) -> set[str]:
    return {line.id for line in lines_of(f"{path}-ledger") if line.what == "ack"}


def test_a_log_that_is_missing_is_missed(path: Path) -> None:
    """After a kill the newest steps are in the log: without it the file is refused, and with it again it opens with every one."""
    killed(path)
    log = path.with_name("runs.db-wal")
    kept = log.read_bytes()
    log.unlink()
    assert "is missing, which holds the newest steps" in refusal_of(path)
    log.write_bytes(kept)
    store = SqliteStore(path)
    assert acknowledged(path) <= set(found(store))
    store.close()


@pytest.mark.parametrize("leaves", ["nothing", "an empty file"])
def test_a_log_without_its_file_is_refused(leaves: str, path: Path) -> None:
    """A log whose file is gone, or was emptied, is not thrown away: it may be all that is left."""
    killed(path)
    path.unlink()
    if leaves == "an empty file":
        path.touch()
    assert "but its log" in refusal_of(path)


def test_a_log_that_was_deliberately_emptied_is_accepted(path: Path) -> None:
    """Whoever makes an empty log, as the refusal says, goes on without the newest steps."""
    killed(path)
    path.with_name("runs.db-wal").write_bytes(b"")
    store = SqliteStore(path)
    assert set(found(store)) <= acknowledged(path) | {"sequence"}
    store.close()


def test_a_damaged_log_gives_an_earlier_state(path: Path, tmp_path: Path) -> None:
    """A log with flipped bits or a torn end is read up to there: every promise that is found is whole, and the older ones are there."""
    killed(path)
    known = path.read_bytes(), path.with_name("runs.db-wal").read_bytes()
    for number in range(40):
        chance = random.Random(number)
        copy = tmp_path / f"copy-{number}" / "runs.db"
        copy.parent.mkdir()
        copy.write_bytes(known[0])
        log = bytearray(known[1])
        if number % 2:
            flip(log, chance)
        else:
            del log[chance.randrange(len(log)) :]
        copy.with_name("runs.db-wal").write_bytes(log)
        try:
            store = SqliteStore(copy)
        except (StoreDamaged, StoreUnavailable) as error:
            said = f"{error}"
            assert str(copy) in said
        else:
            names = found(store)
            steps = sorted(int(name.rpartition(".")[2]) for name in names if "." in name)
            assert steps == list(range(1, len(steps) + 1))
            store.close()
        shutil.rmtree(copy.parent)
