"""A disk that is full, broken or taken away stops runs, says so, and loses nothing; when it can be written again they go on."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from resonate.errors import StoreDamaged, StoreUnavailable
from resonate.protocol import CreatePromise, PromiseRecord
from resonate.stores import file as file_module
from resonate.stores.sqlite import SqliteStore
from tests.chaos import small_disks
from tests.chaos.disks import SOON_S, fail_everywhere, integrity, opened
from tests.chaos.faults import Disk, on_a_disk
from tests.chaos.ledger import lines_of
from tests.chaos.nursery import Nursery
from tests.chaos.waits import when
from tests.chaos.workflows import WORKFLOWS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    return tmp_path / "files" / "runs.db"


@pytest.mark.parametrize(
    ("name", "error", "times", "every"),
    [
        ("sequence", "full", None, 3), ("remote", "full", 1, 2), ("sequence", "unreadable", 1, 1), ("sleeps", "broken", None, 11),
        ("fan_out", "unreadable", None, 2),
    ],
)  # fmt: skip
def test_a_disk_that_fails_at_any_statement_loses_nothing(name: str, error: str, times: int | None, every: int, tmp_path: Path) -> None:
    """Whichever write or read fails, once or until it is mended, a run goes on when the disk is well, and no step runs twice."""
    assert fail_everywhere(name, error, times, every, tmp_path) > 3


def test_what_could_not_be_written_is_written_without_being_asked(path: Path) -> None:
    """Once the disk is well a run goes on by itself: nobody has to ask anything of the store."""
    disk = Disk("full", 10**9)
    ledger = path.with_name("ledger")
    with on_a_disk(disk), opened(path, ledger) as client:
        disk._fail_at = disk.count + 12
        with pytest.raises(StoreUnavailable):
            client.begin_run("sequence", "sequence").result(SOON_S)
        disk.mend()
        when(lambda: any(line.id == "sequence.6" for line in lines_of(ledger)))


def test_a_turn_is_written_as_a_whole_or_not_at_all(path: Path) -> None:
    """Of three operations in one turn whose n-th write fails, for every n, the file has all or nothing."""
    fail_at, failed = 1, 1
    while failed:
        disk = Disk("full", 10**9)
        with on_a_disk(disk):
            store = SqliteStore(path.with_name(f"{fail_at}.db"), "fast")
            disk.count, disk._fail_at = 0, fail_at
            creates = [CreatePromise(name, 2**45, None, False, (None, "1")) for name in "abc"]
            answers = store.call(creates)
            disk.mend()
            failed = disk.failed
            told = {type(answer) for answer in answers}
            store.close()
        assert told == ({StoreUnavailable} if failed else {PromiseRecord})
        with closing(sqlite3.connect(store.path)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM promises").fetchone()
        assert count == (0 if failed else 3)
        fail_at += 1
    assert fail_at > 5


# ---- a real disk ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB."""
    try:
        with small_disks.small_disk("tmpfs", 2048, tmp_path) as disk:
            yield disk
    except small_disks.NotPermitted as error:
        pytest.skip(f"mounting a small disk is not permitted here: {error}")


def test_a_full_disk_is_told_and_freeing_space_goes_on(small_disk: Path) -> None:
    """On a real disk without space the handle says which file and how much is free; once there is space the run comes to its result."""
    path = small_disk / "runs.db"
    with opened(path, ledger=small_disk.parent / "ledger") as client:
        filler = small_disk / "filler"
        filler.write_bytes(b"x" * (shutil.disk_usage(small_disk).free - 100_000))
        with pytest.raises(StoreUnavailable, match=rf"{path} cannot be used: .*; [\d,]+ bytes are free there"):
            client.begin_run("values", "values").result(SOON_S)
        filler.unlink()
        assert when(lambda: client.begin_run("values", "values")).result(SOON_S) == WORKFLOWS["values"].result
    assert integrity(path) == "ok"


@pytest.mark.parametrize("kind", [name for name, kind in small_disks.KINDS.items() if not kind.may_end])
def test_whenever_a_disk_becomes_full_nothing_is_lost(kind: str) -> None:
    """Whether the process stays or dies on the full disk, each run has its result once there is space, and no step runs twice for it."""
    figures = small_disks.Figures()
    try:
        with Nursery() as nursery:
            for seed in range(4):
                small_disks.fill_up(nursery, kind, seed, figures)
    except small_disks.NotPermitted as error:
        pytest.skip(f"mounting a small disk is not permitted here: {error}")
    assert figures.wrong == []
    assert figures.told_under_way + figures.told_at_launch > 0
    assert figures.deaths > 0


def test_no_file_is_opened_on_a_disk_without_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where too little is free for the index of the log, opening a file says how much that is, and makes nothing."""
    monkeypatch.setattr(file_module, "ROOM_LIMIT", 2**63)
    with pytest.raises(StoreUnavailable, match=rf"{path} cannot be used: No space left on device; [\d,]+ bytes are free there"):
        SqliteStore(path)
    assert list(path.parent.iterdir()) == []


def test_where_there_is_no_room_what_is_there_can_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With too little free nothing is written, and told; what is in the file is answered; with more, the same call is carried out."""
    store = SqliteStore(path)
    store.promises.create("a", timeout=2**45)
    with monkeypatch.context() as patch:
        patch.setattr(file_module, "ROOM_LIMIT", 2**63)
        store._file._look_at = 0.0  # it looks again only when the disk could have been filled since
        with pytest.raises(StoreUnavailable, match="No space left on device"):
            store.promises.resolve("a", data="1")
        assert store.promises.get("a").pending
    assert store.promises.resolve("a", data="1").value.data == "1"
    store.close()
    assert integrity(path) == "ok"


# ---- places --------------------------------------------------------------------------------------------------------------------------


def takes_away_file(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


def gives_back_file(path: Path) -> None:
    path.with_name("elsewhere.db").replace(path)


def replaces_file(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))
    path.write_bytes(b"something else")


def takes_away_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def gives_back_folder(path: Path) -> None:
    path.parent.with_name("elsewhere").rename(path.parent)


@pytest.mark.parametrize(
    ("takes", "gives"),
    [(takes_away_file, gives_back_file), (replaces_file, gives_back_file), (takes_away_folder, gives_back_folder)],
    ids=["file removed", "file replaced", "folder moved"],
)
def test_a_file_that_is_taken_away_stops_runs_until_it_is_back(takes: Any, gives: Any, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken away while a run waits, the file is named as missing, nothing is made in its place, and putting it back lets the run go on."""
    monkeypatch.setattr("resonate.stores.sqlite.STORE_RETRY_S", 0.02)
    with opened(path, path.parents[1] / "ledger", "full") as client:
        handle = client.begin_run("waits", "waits")
        when(lambda: client.promises.get("gate").pending)
        takes(path)
        there = sorted(path.parent.iterdir()) if path.parent.exists() else None
        with pytest.raises(StoreUnavailable, match=f"{path} was removed or replaced while it was open"):
            client.promises.resolve("gate", data="5")
        assert (sorted(path.parent.iterdir()) if path.parent.exists() else None) == there
        gives(path)
        client.promises.resolve("gate", data="5")
        assert client.get("waits").result(SOON_S) == WORKFLOWS["waits"].result
        assert handle.done()
    assert integrity(path) == "ok"


def test_trouble_is_met_with_patience(path: Path) -> None:
    """However many calls have failed, what failed is tried again about once a second, not once for each."""
    with opened(path, path.parents[1] / "ledger", "full") as client:
        client.begin_run("waits", "waits")
        when(lambda: client.promises.get("gate").pending)
        store = client._shared.store
        turns: list[float] = []
        turn = store._locked_turn
        store._locked_turn = lambda do: (turns.append(time.monotonic()), turn(do))[1]
        takes_away_file(path)
        for _ in range(100):
            with pytest.raises(StoreUnavailable):
                client.promises.get("gate")
        del turns[:]
        time.sleep(2)
        assert len(turns) < 20
        gives_back_file(path)


@pytest.mark.parametrize("kind", ["a folder", "in no folder", "not readable", "below a file"])
def test_a_place_that_is_none_is_told(kind: str, tmp_path: Path) -> None:
    """A path that is a folder, lies in none, lies below a file or may not be read is refused by name, and nothing is made there."""
    path = tmp_path / "place"
    if kind == "a folder":
        path.mkdir()
    elif kind == "in no folder":
        path = path / "runs.db"
    elif kind == "below a file":
        path.write_text("a file")
        path = path / "runs.db"
    elif os.geteuid() == 0:
        pytest.skip("nothing is unreadable to root")
    else:
        path.write_bytes(b"")
        path.chmod(0)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises((StoreUnavailable, StoreDamaged), match=str(path)):
        SqliteStore(path)
    assert sorted(tmp_path.rglob("*")) == before
