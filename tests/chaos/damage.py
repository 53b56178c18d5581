"""Files that were damaged on the disk, and what must come of opening them (`examine`): intact data, or a refusal that names the file."""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resonate import Resonate
from resonate.errors import ResonateStoreError, StoreDamaged, StoreUnavailable
from resonate.protocol import GetPromise, PromiseRecord
from resonate.stores.rows import callback_row, promise_row, schedule_row, task_row
from resonate.stores.sqlite import SqliteStore
from tests.chaos.waits import when

Content = dict[tuple[str, str], Any]
LIMIT_S = 10.0


# ---- a file, and what is in it ---------------------------------------------------------------------------------------------------------


def step(ctx: Any, number: int) -> str:
    return f"value {number} " * 20


def story(ctx: Any, gate: str | None) -> Any:
    for number in range(8):
        yield ctx.run(step, number)
    if gate is not None:
        yield (yield ctx.promise(id=gate))
        yield ctx.sleep(1e6)


def make(path: Path) -> Content:
    """A file with finished runs, waiting runs and a schedule, closed as it should be; what is in it."""
    with Resonate.local(path=path, durability="fast", log_level="CRITICAL", workers=2) as client:
        client.register(story)
        for number in range(4):
            client.begin_run(f"finished-{number}", story, None).result(LIMIT_S)
            client.begin_run(f"waiting-{number}", story, f"gate-{number}")
            when(lambda number=number: client.promises.get(f"gate-{number}").pending)
        client.schedules.create("nightly", "0 3 * * *", "night-{{.timestamp}}", 60_000)
        when(lambda: not client._shared.store.awaited)
        store = client._shared.store
    store.close()
    store = SqliteStore(path, "fast")
    content = read(store)
    store.close()
    assert len(content) > 80
    return content


def read(store: SqliteStore, names: Iterable[str] = ()) -> Content:
    """Everything that matters of a file: what waits for what after opening it, and each promise that is named or found."""
    machine = store._machine
    content: Content = {("task", each.id): task_row(each) for each in machine.tasks.values()}
    content |= {("callback", each.id): callback_row(each) for waiting in machine._callbacks.values() for each in waiting.values()}
    content |= {("schedule", each.id): schedule_row(each) for each in machine.schedules.values()}
    for name in {*names, *found(store)}:
        record = store.call([GetPromise(name)])[0]
        if isinstance(record, (StoreDamaged, StoreUnavailable)):
            raise record
        if isinstance(record, PromiseRecord):
            content["promise", name] = promise_row(record)
    return content


def found(store: SqliteStore) -> list[str]:
    """The promises that a search finds."""
    page = store.promises.search("*")
    names = [each.id for each in page.promises]
    while page.cursor is not None:
        page = store.promises.search(cursor=page.cursor)
        names += [each.id for each in page.promises]
    return names


# ---- damage ----------------------------------------------------------------------------------------------------------------------------


def truncate(content: bytearray, chance: random.Random) -> None:
    del content[chance.randrange(len(content)) :]


def flip(content: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def blank(content: bytearray, chance: random.Random) -> None:
    place = chance.randrange(len(content) // 512) * 512
    content[place : place + 512] = bytes(512)


def exchange(content: bytearray, chance: random.Random) -> None:
    one, other = (chance.randrange(len(content) // 1024) * 1024 for _ in range(2))
    content[one : one + 1024], content[other : other + 1024] = content[other : other + 1024], content[one : one + 1024]


DAMAGES: dict[str, Callable[[bytearray, random.Random], None]] = {
    "truncated": truncate, "flipped": flip, "blanked": blank, "exchanged": exchange,
}  # fmt: skip


# ---- examination -----------------------------------------------------------------------------------------------------------------------


@dataclass
class Figures:
    """What a number of damaged files came to."""

    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    def __str__(self) -> str:
        told = ", ".join(f"{count} {what}" for what, count in sorted(self.outcomes.items()))
        return f"{self.outcomes.total()} damaged files: {told}; slowest {self.slowest_s:.2f} s, {len(self.wrong)} violations"


def examine(path: Path, known: Content) -> str:
    """How opening a file and reading every promise went. AssertionError when it gives other data, or refuses without naming the file."""
    before = path.read_bytes()
    try:
        store = SqliteStore(path, "fast")
    except (StoreDamaged, StoreUnavailable) as error:
        said = f"{error}"
        assert str(path) in said, said
        assert path.read_bytes() == before, "the file was changed"
        log = path.with_name(f"{path.name}-wal")
        assert not log.exists() or not log.stat().st_size, "something was written"
        return f"refused when opened ({type(error).__name__})"
    try:
        there = read(store, [name for kind, name in known if kind == "promise"])
    except (StoreDamaged, StoreUnavailable) as error:
        said = f"{error}"
        assert str(path) in said, said
        return f"refused when read ({type(error).__name__})"
    finally:
        store.close()
    missing, other = known.keys() - there.keys(), {key for key in known.keys() & there.keys() if known[key] != there[key]}
    assert there == known, f"missing {sorted(missing)}, changed {sorted(other)}, invented {sorted(there.keys() - known.keys())}"
    return "intact"


def sweep(count: int, seed: int = 0) -> Figures:
    """So many damaged copies of one file."""
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        original = Path(folder, "original.db")
        known = make(original)
        sound = original.read_bytes()
        for number in range(count):
            chance = random.Random(f"{seed} {number}")
            name = list(DAMAGES)[number % len(DAMAGES)]
            content = bytearray(sound)
            DAMAGES[name](content, chance)
            path = Path(folder, f"{number}.db")
            path.write_bytes(content)
            began_s = time.monotonic()
            try:
                outcome = examine(path, known)
            except ResonateStoreError as error:
                outcome = "wrong"
                figures.wrong.append(f"seed {seed}, {name} {number}: {type(error).__name__}: {error}")
            except Exception as error:
                outcome = "wrong"
                figures.wrong.append(f"seed {seed}, {name} {number}: {type(error).__name__}: {str(error)[:500]}")
            took_s = time.monotonic() - began_s
            figures.slowest_s = max(figures.slowest_s, took_s)
            if took_s > LIMIT_S:
                figures.wrong.append(f"seed {seed}, {name} {number}: it took {took_s:.0f} s")
            figures.outcomes[outcome] += 1
            path.unlink()
    return figures
