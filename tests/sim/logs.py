"""Real files of the file store, cut wherever a power cut may cut them: what is found after opening is what was there after a whole turn.

A random walk of operations (`tests.laws.agreement`) works on a `SqliteStore`. Each time a turn is committed, the file and its log are put
by as they were before and after. From these, files are made as they may be left when power is cut while the turn is being written: the log
ends at a frame, or inside a frame's head or page; what is beyond is missing, is what was there before, is zeros or is garbage; or a sector
in the middle was not written although later ones were. Each is opened by a new store. Up to the last byte of the turn it must have what was
there before the turn, and from then on what was there after it, promise by promise, task by task.

The log is brought into the file often here, so that it begins anew many times, with the remains of earlier turns behind the new ones.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from resonate.stores.sqlite import SqliteStore
from tests.laws.agreement import Walk, state_of

HEAD, FRAME_HEAD, PAGE, SECTOR = 32, 24, 1024, 512
FRAME = FRAME_HEAD + PAGE
CHECKPOINT_PAGES = 150
WAYS = ("operation", "several", "work", "work", "lets_time_pass")
INSIDE = {"a frame": 0, "the head of a frame": 9, "a page": 24, "the middle of a page": 524, "the last byte": FRAME - 1}
"""Where a log is cut, counted from the beginning of a frame."""
TAILS = ("missing", "old", "zeros", "garbage", "a hole")
"""What is behind the cut."""


class Torn(AssertionError):
    """Something else was found than what was there after a whole turn."""


class Files:
    """A store's file and its log, as they were at one moment, and what the store had then."""

    def __init__(self, store: SqliteStore) -> None:
        self.file = store.path.read_bytes()
        log = store.path.with_name(f"{store.path.name}-wal")
        self.log = log.read_bytes() if log.exists() else b""
        self.state = state_of(store, 0)
        self.end = end_of(self.log)

    @property
    def salts(self) -> bytes:
        return self.log[16:24]


def end_of(log: bytes) -> int:
    """Where the frames end that belong to the log's head; what follows are remains of earlier ones."""
    place = HEAD
    while log[place + 8 : place + 16] == log[16:24] and place + FRAME <= len(log):
        place += FRAME
    return place if len(log) >= HEAD else 0


class Tearing:
    """Watches a store and cuts each of its turns."""

    def __init__(self, seed: int, cuts_of_a_turn: int | None) -> None:
        self.seed = seed
        self.cuts_of_a_turn = cuts_of_a_turn
        self.chance = random.Random(f"logs {seed}")
        self.walk = Walk(seed)
        self.store: Any = self.walk.file.store
        self.store._file._connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        self.figures: Counter[str] = Counter()
        self.before = Files(self.store)
        self.folder = tempfile.TemporaryDirectory()
        self.commit = self.store._file.commit
        self.store._file.commit = self.commit_and_cut

    def run(self, steps: int) -> None:
        try:
            for _ in range(steps):
                self.walk.steps += 1
                getattr(self.walk, self.chance.choice(WAYS))()
        finally:
            self.walk.close()
            self.folder.cleanup()

    def commit_and_cut(self) -> None:
        self.commit()
        after = Files(self.store)
        if after.log != self.before.log:
            self.figures["turns"] += 1
            begins_anew = after.salts != self.before.salts
            self.figures["logs begun anew"] += begins_anew
            start = 0 if begins_anew else self.before.end
            self.figures["frames"] += (after.end - max(start, HEAD)) // FRAME
            cuts = [(cut, where, tail) for cut, where in self.places(start, after.end) for tail in TAILS]
            if self.cuts_of_a_turn is not None:
                cuts = self.chance.sample(cuts, min(len(cuts), self.cuts_of_a_turn))
            for cut, where, tail in [*cuts, (after.end, "the end", "missing")]:
                self.try_cut(after, start, cut, where, tail)
        self.before = after

    def places(self, start: int, end: int) -> list[tuple[int, str]]:
        heads = [(place, "the head of the log") for place in (0, 1, 20, 31)] if start == 0 else []
        frames = range(max(start, HEAD), end, FRAME)
        return heads + [(place + offset, where) for place in frames for where, offset in INSIDE.items()]

    def try_cut(self, after: Files, start: int, cut: int, where: str, tail: str) -> None:
        log = after.log[:cut] + self.behind(after, cut, tail)
        if tail == "a hole":
            log = after.log[:cut] + bytes(min(SECTOR, after.end - cut)) + after.log[cut + SECTOR :]
        wanted = after if log[start : after.end] == after.log[start : after.end] else self.before
        path = Path(self.folder.name) / "promises.db"
        path.write_bytes(self.before.file)
        path.with_name("promises.db-wal").write_bytes(log)
        found = SqliteStore(path, "fast", clock=self.walk.clock)
        try:
            state = state_of(found, 0)
        finally:
            found.close()
            for each in path.parent.iterdir():
                each.unlink()
        self.figures[f"cut at {where}"] += 1
        self.figures["cuts"] += 1
        for table, rows in wanted.state.items():
            if state[table] != rows:
                what = "it" if wanted is after else "the turn before it"
                place = f"seed {self.seed}, turn {self.figures['turns']}, cut at byte {cut} of {start} to {after.end} ({where}, {tail})"
                differ = [each for each in rows if each not in state[table]][:2], [each for each in state[table] if each not in rows][:2]
                raise Torn(f"{place}: not what {what} has left in {table}: {str(differ)[:700]}")

    def behind(self, after: Files, cut: int, tail: str) -> bytes:
        length = max(0, after.end - cut)
        if tail == "old":
            return self.before.log[cut:]
        return b"" if tail == "missing" else bytes(length) if tail == "zeros" else self.chance.randbytes(length)


def tear(seed: int, steps: int, cuts_of_a_turn: int | None = None) -> Counter[str]:
    """Walk so many steps and cut every turn, at every place or at some. Raises `Torn`."""
    tearing = Tearing(seed, cuts_of_a_turn)
    tearing.run(steps)
    return tearing.figures
