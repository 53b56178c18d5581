"""Promises in a file: they outlive the process, a run goes on where it was, and a file that cannot be used is refused by name."""

from __future__ import annotations

import gc
import json
import logging
import os
import sqlite3
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from waiting import SOON, when

from resonate import Resonate
from resonate.errors import ResonateStoreError, StoreDamaged, StoreUnavailable
from resonate.events import PromiseSettled
from resonate.protocol import EnsureAcquired, EnsurePromise, ViewTask
from resonate.retry_policies import Never
from resonate.stores import rows
from resonate.stores.sqlite import SqliteStore

calls: list[str] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@pytest.fixture(params=["full", "fast"])
def durability(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def opened(path: Path, durability: str = "fast", **more: Any) -> Resonate:
    return Resonate.local(path=path, durability=durability, log_level=logging.CRITICAL, **more)


def double(ctx: Any, x: int) -> int:
    calls.append(ctx.id)
    return 2 * x


def pipeline(ctx: Any, days: int) -> Any:
    begun = []
    for day in range(days):
        begun.append((yield ctx.begin_run(double, day)))  # noqa: PERF401 (it yields)
    total = 0
    for promise in begun:
        total += yield promise
    go = yield (yield ctx.promise(id=f"{ctx.id}.go"))
    return total + (yield ctx.run(double, go))


def test_the_same_program_runs_in_a_file(path: Path, durability: str) -> None:
    """A program for memory runs unchanged in a file, whose name and durability the client tells."""
    with opened(path, durability) as resonate:
        assert f"in runs.db, {durability}" in repr(resonate)
        resonate.register(pipeline)
        handle = resonate.begin_run("p", pipeline, 5)
        when(lambda: resonate.promises.search("p.go").promises)
        resonate.promises.resolve("p.go", data="100")
        assert handle.result(timeout=SOON) == 220
    assert path.stat().st_size > 0


def test_a_run_goes_on_where_it_was(path: Path, durability: str) -> None:
    """After a restart a run goes on as soon as its function is registered; what was finished is not run again, and marked as recovered."""
    with opened(path, durability) as resonate:
        resonate.register(pipeline)
        resonate.begin_run("p", pipeline, 5)
        when(lambda: resonate.promises.search("p.go").promises)
    assert len(calls) == 5
    with opened(path, durability) as resonate:
        resonate.promises.resolve("p.go", data="1")
        when(lambda: resonate.waiting() == {"pipeline": ["p"]})
        facts = resonate.subscribe("p")
        resonate.register(pipeline)
        assert resonate.get("p").result(timeout=SOON) == 22
        settled = {fact.id: fact.recovered for fact in facts.read() if isinstance(fact, PromiseSettled)}
    assert calls[5:] == ["p.7"]
    assert settled == {"p": False, "p.7": False, **{f"p.{day}": True for day in (1, 2, 3, 4, 5)}, "p.go": True}


def test_what_is_finished_is_there_after_a_restart(path: Path) -> None:
    """A finished run's result, error and steps can be read when the file is opened again; launching it again runs nothing."""

    def fails(ctx: Any) -> None:
        raise LookupError("no rows")

    with opened(path) as resonate:
        resonate.register(double)
        assert double_of(resonate, "a", 21) == 42
        with pytest.raises(LookupError):
            resonate.options(retry_policy=Never()).run("b", resonate.register(fails))
    with opened(path) as resonate:
        resonate.register(double)
        assert resonate.get("a").result(timeout=SOON) == 42
        with pytest.raises(LookupError, match="no rows"):
            resonate.get("b").result(timeout=SOON)
        assert double_of(resonate, "a", 0) == 42
        assert [found.id for found in resonate.promises.search("*").promises] == ["b", "a"]
    assert calls == ["a"]


def double_of(resonate: Resonate, id: str, x: int) -> Any:
    return resonate.run(id, "double", x)


def test_a_function_that_nobody_knows_is_waited_for(path: Path) -> None:
    """An rpc to a name that is not registered yet waits for it, and says so; memory alone fails at once, for nobody else can come."""
    with opened(path) as resonate:
        handle = resonate.begin_rpc("a", "double", 4)
        when(lambda: resonate.waiting() == {"double": ["a"]})
        assert not handle.done()
        resonate.register(double)
        assert handle.result(timeout=SOON) == 8
        assert resonate.waiting() == {}


def test_a_killed_process_loses_nothing(path: Path, durability: str) -> None:
    """A process that is killed in the middle of a run leaves what was acknowledged; the next one goes on at once and runs the rest."""
    code = textwrap.dedent("""
        import os, sys, time
        from resonate import Resonate
        resonate = Resonate.local(path=sys.argv[1], durability=sys.argv[2], log_level="CRITICAL", ttl=60)
        def step(ctx, x):
            print(ctx.id, flush=True)
            return x
        @resonate.register
        def run(ctx):
            total = 0
            for x in range(5):
                total += yield ctx.run(step, x)
            print("sleeping", flush=True)
            yield ctx.run(lambda ctx: time.sleep(600), *())
            return total
        resonate.run("r", run)
    """)
    child = subprocess.Popen([sys.executable, "-c", code, str(path), durability], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    lines = [child.stdout.readline().strip() for _ in range(6)]
    child.kill()
    child.wait()
    assert lines == [*(f"r.{number}" for number in range(1, 6)), "sleeping"]

    def step(ctx: Any, x: int) -> int:
        calls.append(ctx.id)
        return x

    def run(ctx: Any) -> Any:
        total = 0
        for x in range(5):
            total += yield ctx.run(step, x)
        yield ctx.run(lambda ctx: None)
        return total

    with opened(path, durability) as resonate:
        resonate.register(run)
        assert resonate.get("r").result(timeout=SOON) == 10  # its lease would have lasted a minute
    assert calls == []


# ---- several at one file -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def two(path: Path) -> Iterator[tuple[Resonate, Resonate]]:
    with opened(path, pid="one", group="g") as one, opened(path, pid="two", group="g") as other:
        yield one, other


def test_clients_on_one_file_see_each_other(two: tuple[Resonate, Resonate]) -> None:
    """A run of one client is awaited, answered and canceled by the other."""
    one, other = two
    one.register(pipeline)
    handle = one.begin_run("p", pipeline, 2)
    when(lambda: other.promises.search("p.go").promises)
    elsewhere = other.get("p")
    other.promises.resolve("p.go", data="1")
    assert handle.result(timeout=SOON) == elsewhere.result(timeout=SOON) == 4
    one.begin_run("q", pipeline, 0)
    when(lambda: other.promises.search("q.go").promises)
    assert other.cancel("q")[0] == "q"


def test_work_goes_to_who_knows_the_function(two: tuple[Resonate, Resonate]) -> None:
    """An rpc that the asking client cannot serve is served by the other."""
    one, other = two
    other.register(double)
    assert one.options(target="g").rpc("r", "double", 4) == 8


def test_a_run_of_a_stopped_client_goes_on_in_another(two: tuple[Resonate, Resonate]) -> None:
    """A client that stops gives its runs back at once, and another one takes them up where they were."""
    one, other = two
    one.register(pipeline)
    other.register(pipeline)
    one.begin_run("p", pipeline, 3)
    when(lambda: other.promises.search("p.go").promises)
    one.stop()
    other.promises.resolve("p.go", data="1")
    assert other.get("p").result(timeout=SOON) == 8
    assert len(calls) == 4


def test_two_clients_share_the_work(two: tuple[Resonate, Resonate]) -> None:
    """Hundreds of runs launched from both, some under the same ids: each is run once."""
    one, other = two
    for resonate in two:
        resonate.register(double)
    handles = [client.begin_run(f"d.{number}", "double", number) for number in range(200) for client in (one, other)]
    assert [handle.result(timeout=SOON) for handle in handles] == [2 * number for number in range(200) for _ in two]
    assert sorted(calls) == sorted(f"d.{number}" for number in range(200))


def test_a_client_that_has_missed_much_catches_up(two: tuple[Resonate, Resonate], monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was away for longer than the file keeps changes for it loads everything anew, and misses no news."""
    from resonate.stores import file

    monkeypatch.setattr(file, "JOURNAL_LIMIT", 5)
    one, other = two
    handle = other.begin_run("p", other.register(pipeline), 0)
    when(lambda: other.promises.search("p.go").promises)
    elsewhere = one.get("p")
    with one._shared.store._lock:  # it sees nothing meanwhile
        other.promises.resolve("p.go", data="7")
        assert handle.result(timeout=SOON) == 14
        for number in range(40):
            other.promises.create(f"q.{number}", 2**43)
    assert one.promises.get("q.39").pending
    assert elsewhere.result(timeout=SOON) == 14


# ---- what cannot be used -------------------------------------------------------------------------------------------------------------


def test_what_is_no_file_of_promises_is_refused(tmp_path: Path) -> None:
    """A text, another program's database, a damaged file: each is refused by name, and is afterwards what it was before."""
    text, foreign, damaged = tmp_path / "notes.txt", tmp_path / "other.db", tmp_path / "damaged.db"
    text.write_text("some notes\n" * 20)
    with sqlite3.connect(foreign) as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    store = SqliteStore(damaged, "fast")
    for number in range(300):
        store.promises.create(f"p{number}", 2**43, data="x" * 100)
    store.close()
    content = bytearray(damaged.read_bytes())
    content[3000:9000] = os.urandom(6000)
    damaged.write_bytes(content)
    for path, what in ((text, "no file of promises"), (foreign, "another program"), (damaged, "damaged")):
        before = path.read_bytes()
        with pytest.raises(StoreDamaged, match=what) as refused:
            SqliteStore(path)
        assert str(path) in str(refused.value)
        assert path.read_bytes() == before


def test_a_store_that_nobody_has_is_closed(path: Path) -> None:
    """A client that was stopped still answers; when nobody has it any more its file is closed, and no warning is given."""
    gc.collect()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with Resonate.local(path=path) as client:
            client.register(double).run("r", 1)
        assert client.promises.get("r").state == "RESOLVED"
        del client
        gc.collect()
    assert not [each for each in said if "database" in str(each.message)]
    if os.path.isdir("/proc/self/fd"):
        assert str(path) not in [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]


def test_a_connection_that_cannot_be_opened_says_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose folder is gone, as at a fork, is an error once: what was tried goes without another word."""
    unheard: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda failure: unheard.append(str(failure.exc_value)))
    with pytest.raises(sqlite3.OperationalError):
        sqlite3.connect(tmp_path / "nowhere" / "runs.db", factory=rows.Connection)
    gc.collect()
    assert not [each for each in unheard if "Connection" in each]


def test_a_newer_file_is_refused_and_an_older_one_is_brought_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of a newer format is refused with what to do; one of an older format is migrated, and keeps what it holds."""
    from resonate.stores import file

    store = SqliteStore(path)
    store.promises.create("p", 2**43, data="1")
    store.close()
    monkeypatch.setattr(file, "VERSION", file.VERSION + 1)
    monkeypatch.setattr(file, "MIGRATIONS", {file.VERSION - 1: "CREATE TABLE added (x); INSERT INTO added VALUES (5)"})
    store = SqliteStore(path)
    assert store.promises.get("p").param.data == "1"
    store.close()
    with sqlite3.connect(path) as look:
        assert look.execute("SELECT x FROM added").fetchall() == [(5,)]
        assert look.execute("PRAGMA user_version").fetchone() == (file.VERSION,)
    look.close()
    monkeypatch.undo()
    with pytest.raises(StoreUnavailable, match=r"newer version .* Upgrade"):
        SqliteStore(path)


def test_a_file_of_the_first_format_is_opened(path: Path) -> None:
    """A file from before there were fenced tasks keeps its promises, tasks and callbacks, and can hold fenced tasks from then on."""
    store = SqliteStore(path)
    tags = {"resonate:invoke": "poll://any@nobody"}
    store.promises.create("p", 2**43, data="1", tags=tags)
    store.promises.create("q", 2**43)
    store.promises.subscribe("s", "q", "poll://any@nobody", 2**43)
    store.close()
    with closing(sqlite3.connect(path)) as old:
        for table in ("tasks", "callbacks"):
            for key, body in old.execute(f"SELECT id, body FROM {table}").fetchall():
                shorter = json.dumps(json.loads(body)[: 12 if table == "tasks" else 5])  # without what was added since
                old.execute(f"UPDATE {table} SET body = ? WHERE id = ?", (shorter, key))
            for row in old.execute(f"SELECT * FROM {table}").fetchall():
                old.execute(f"UPDATE {table} SET checksum = ? WHERE id = ?", (rows.checksum(row[:-1]), row[1]))
        old.executescript("DROP TABLE branches; PRAGMA user_version = 1;")
    store = SqliteStore(path)
    assert store.promises.get("p").param.data == "1"
    create = EnsurePromise("f", 2**43, tags={"resonate:branch": "f"}, target="poll://any@nobody")
    (acquired,) = store.call((EnsureAcquired(create, "w", 60_000),))
    assert acquired.task.counter == 1
    store.tasks.claim("__invoke:p", 1, "w", 60_000)
    store.close()
    store = SqliteStore(path)
    (task,) = store.call((ViewTask("f"),))
    assert (task.state, task.pid) == ("CLAIMED", "w")
    assert store.promises.resolve("q").resolved
    store.close()


@pytest.mark.parametrize("where", ["missing/runs.db", "."])
def test_a_place_that_cannot_be_used_is_told(tmp_path: Path, where: str) -> None:
    """A folder that is not there, or a folder in the place of a file, is told with its path."""
    with pytest.raises(StoreUnavailable, match=str(tmp_path)):
        opened(tmp_path / where)


def test_a_file_whose_companion_is_missing_is_refused(path: Path) -> None:
    """When the newest steps are not where they should be, that is said; an empty companion says that they are given up."""
    log = path.with_name("runs.db-wal")
    code = (
        "import os, sys; from resonate import Resonate; resonate = Resonate.local(path=sys.argv[1]); resonate.start()\n"
        "resonate.promises.create('p', 2**43); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert log.exists()
    log.unlink()
    with pytest.raises(StoreDamaged, match=r"runs\.db-wal is missing"):
        SqliteStore(path)
    log.touch()
    store = SqliteStore(path)
    with pytest.raises(ResonateStoreError, match="there is no promise p"):
        store.promises.get("p")
    store.close()


def test_a_full_disk_stops_a_run_until_there_is_space(path: Path) -> None:
    """A run that cannot write tells whoever waits, with path and free space; when there is space, it goes on. Nothing is run twice."""
    with opened(path) as resonate:
        resonate.register(pipeline)
        resonate.begin_run("p", pipeline, 3)
        when(lambda: resonate.promises.search("p.go").promises)
        file = resonate._shared.store._file
        pages = file._connection.execute("PRAGMA page_count").fetchone()[0]
        file._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreUnavailable, match=r"runs.db cannot be used: .*full.*bytes are free"):
            resonate.promises.create("large", 2**43, data="x" * 100_000)
        handle = resonate.get("p")
        file._connection.execute("PRAGMA max_page_count = 100000000")
        resonate.promises.resolve("p.go", data="1")
        assert handle.result(timeout=SOON) == 8
        assert file._connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(calls) == 4


def test_a_file_that_is_taken_away_is_noticed(path: Path, tmp_path: Path) -> None:
    """Nothing is written into a file that was removed or replaced while it was open; put back, it goes on."""
    with opened(path, "full") as resonate:
        resonate.promises.create("p", 2**43)
        aside = tmp_path / "aside"
        path.rename(aside)
        with pytest.raises(StoreUnavailable, match=r"runs.db was removed or replaced"):
            resonate.promises.create("q", 2**43)
        aside.rename(path)
        assert resonate.promises.create("q", 2**43).pending
        assert resonate.promises.get("p").pending


# ---- house-keeping -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "file"])
def client(request: pytest.FixtureRequest, path: Path) -> Iterator[Resonate]:
    with opened(path) if request.param == "file" else Resonate.local(log_level=logging.CRITICAL) as resonate:
        yield resonate


def shop(ctx: Any, fails: list[int]) -> Any:
    first = yield ctx.run(double, 1)
    second = yield ctx.run(nested, 2)
    third = yield ctx.run(careful, 3)
    return first + second + third


def nested(ctx: Any, x: int) -> Any:
    return (yield ctx.run(double, x)) + 1


is_mended = False


def careful(ctx: Any, x: int) -> int:
    if not is_mended:
        raise LookupError("no rows")
    calls.append(ctx.id)
    return x


def test_a_retry_takes_over_what_was_achieved(client: Resonate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new run has every step of the failed one that has a value, under its own ids and marked, and runs the rest; the old one stays."""
    client.register(shop)
    monkeypatch.setattr(f"{__name__}.is_mended", False)
    with pytest.raises(LookupError):
        client.options(timeout=5).run("s", shop, [1])
    before = [(each.id, each.state, each.value) for each in client.promises.search("s*").promises]
    assert calls == ["s.1", "s.2.1"]
    monkeypatch.setattr(f"{__name__}.is_mended", True)
    facts = client.subscribe("s-2")
    handle = client.retry("s")
    assert (handle.id, handle.result(timeout=SOON)) == ("s-2", 10)
    assert calls == ["s.1", "s.2.1", "s-2.3"]
    recovered = {fact.id: fact.recovered for fact in facts.read() if isinstance(fact, PromiseSettled)}
    assert recovered == {"s-2.1": True, "s-2.2": True, "s-2.3": False, "s-2": False}
    assert client.promises.get("s-2.2.1").tags["resonate:taken-over"] == "s.2.1"
    assert client.promises.get("s-2").tags["resonate:taken-over"] == "s"
    assert [(each.id, each.state, each.value) for each in client.promises.search("s*").promises if not each.id.startswith("s-2")] == before
    assert client.retry("s").id == "s-3"


def test_a_retry_may_begin_at_a_step(client: Resonate, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a chosen step on everything is run again, that step's ancestors too; what came before it is taken over."""
    client.register(shop)
    monkeypatch.setattr(f"{__name__}.is_mended", True)
    assert client.run("s", shop, []) == 10
    calls.clear()
    assert client.retry("s", "again", from_step="s.2.1").result(timeout=SOON) == 10
    assert calls == ["again.2.1", "again.3"]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"id": "none"}, "no promise none"), ({"id": "open"}, "no run that is over"), ({"id": "s.1"}, "no run of a function"),
        ({"id": "s", "from_step": "s.9"}, "no step s.9"), ({"id": "s", "new_id": "open"}, "exists already"),
        ({"id": "s", "from_step": "s"}, "no step s"),
    ],
)  # fmt: skip
def test_a_retry_of_what_cannot_be_retried_is_refused(
    client: Resonate, monkeypatch: pytest.MonkeyPatch, asked: dict[str, str], why: str
) -> None:
    """A run that is not there or not over, a step that it has not, an id that is taken: refused with the reason, and nothing is done."""
    monkeypatch.setattr(f"{__name__}.is_mended", True)
    client.register(shop)
    client.register(pipeline)
    client.run("s", shop, [])
    client.begin_run("open", pipeline, 0)
    when(lambda: client.promises.search("open.go").promises)
    before = [each.id for each in client.promises.search("*").promises]
    with pytest.raises((ResonateStoreError, ValueError), match=why):
        client.retry(**asked)
    assert [each.id for each in client.promises.search("*").promises] == before


def test_pruning_forgets_what_is_over(client: Resonate) -> None:
    """Runs that have been over for long enough go with all of their promises; what is going on, or younger, stays."""
    client.register(pipeline)
    client.register(nested)
    assert client.run("n", nested, 3) == 7
    client.begin_run("p", pipeline, 2)
    when(lambda: client.promises.search("p.go").promises)
    assert client.prune(older_than=3600) == []
    assert client.prune(older_than=0) == ["n"]
    assert sorted(each.id for each in client.promises.search("*").promises) == ["p", "p.1", "p.2", "p.go"]
    assert client.run("n", nested, 3) == 7
    assert calls.count("n.1") == 2
    with pytest.raises(ValueError, match="older_than"):
        client.prune(older_than=-1)


def test_pruning_leaves_no_tasks_behind(path: Path) -> None:
    """Of runs that waited, and are pruned, no task is left in the file."""

    def waits(ctx: Any) -> Any:
        yield ctx.sleep(0.01)
        return (yield ctx.rpc("double", 2))

    with opened(path) as client:
        client.register(waits)
        client.register(double)
        for run_id in ("w", "w:1"):
            assert client.run(run_id, waits) == 4
        pruned: list[str] = []
        when(lambda: pruned.extend(client.prune(older_than=0)) or len(pruned) == 2)
        with closing(sqlite3.connect(path)) as look:
            assert look.execute("SELECT id FROM tasks").fetchall() == []


def test_pruning_is_seen_by_others_and_gives_space_back(two: tuple[Resonate, Resonate]) -> None:
    """What one client has pruned is gone for the other, and the file is smaller."""
    one, other = two
    one.register(double)
    for number in range(200):
        one.run(f"d.{number}", "double", number)
    assert other.get("d.7").result(timeout=SOON) == 14
    size = one._shared.store.size()
    assert len(one.prune(older_than=0)) == 200
    with pytest.raises(ResonateStoreError):
        other.promises.get("d.7")
    assert one._shared.store.size() < size / 2


def test_a_backup_of_a_live_file_is_a_file(path: Path, tmp_path: Path) -> None:
    """While runs go on, a backup is consistent, can be opened, and is never written over something."""
    copy = tmp_path / "copy.db"
    with opened(path) as resonate:
        resonate.register(pipeline)
        resonate.begin_run("p", pipeline, 3)
        when(lambda: resonate.promises.search("p.go").promises)
        resonate.backup(copy)
        with pytest.raises(FileExistsError, match=r"copy\.db"):
            resonate.backup(copy)
    with opened(copy) as resonate:
        resonate.register(pipeline)
        resonate.promises.resolve("p.go", data="1")
        assert resonate.get("p").result(timeout=SOON) == 8
    with Resonate.local() as resonate, pytest.raises(ValueError, match="in memory"):
        resonate.backup(tmp_path / "other.db")
