"""Runs on a real disk of a few megabytes that becomes full, and on which there is space again later.

Each round has a disk of its own, of one of `KINDS` and of a size that is drawn; the file of promises is on it, the ledger is not. A
process launches runs; at a moment that is drawn, all of the disk but a few bytes is taken, and more is launched until somebody is told
which file it is and how much is free. Then there is space again; or the process dies there, and another one opens the file, while the disk
is still full or when it is not any more. Everything that was launched has to come to its result, in a file that is sound, and no step may
run a second time but for one that was under way when its process died.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from resonate import Resonate
from resonate.errors import StoreUnavailable
from resonate.limits import ROOM_LIMIT
from tests.chaos.boundaries import Boundaries
from tests.chaos.disks import integrity, opened
from tests.chaos.kills import KILLED, settled_in
from tests.chaos.ledger import Ledger, executions, lines_of, run_again_after
from tests.chaos.nursery import Nursery
from tests.chaos.workflows import WORKFLOWS


class Kind(NamedTuple):
    """A kind of disk: what makes one in a file (none where it is in memory), and the least and greatest size."""

    make: tuple[str, ...] = ()
    size_kb: tuple[int, int] = (8_000, 16_000)
    may_end: bool = False
    """Whether a process may be ended by SIGBUS when the disk is taken in the middle of its commit. That is a death like others."""


# The log of a file alone may have 4 MB, and the journal of an ext4 disk has as much.
KINDS = {
    "tmpfs": Kind(),
    "ext4 with blocks of 1 kB": Kind(("mkfs.ext4", "-q", "-F", "-m", "0", "-b", "1024"), (14_000, 22_000)),
    "ext4 with blocks of 4 kB": Kind(("mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096"), (14_000, 22_000)),
    "btrfs": Kind(("mkfs.btrfs", "-q"), (120_000, 130_000), may_end=True),
}
NAMES = ("sequence", "fan_out", "nested", "retries", "sleeps", "remote", "recorded", "catches", "mixture", "values")
"""The workflows that may be launched more than once, under any id."""
FREE_LIMIT = 3 * ROOM_LIMIT
"""More than that is never free on a disk that a process calls full: what is left on it, and what was taken back of a turn that failed."""
LEAVES = ((0, 0), (1, 4_096), (4_096, 65_536), (65_536, ROOM_LIMIT), (ROOM_LIMIT, 2 * ROOM_LIMIT))
"""How many bytes may be left on a full disk: none, less than a page, some pages, too few to begin to write, enough for a while."""
LARGE_LIMIT = 3
"""So many runs with large values fit on each of the disks."""
UNDER_WAY_LIMIT = 8
LINES = (60, 600)
"""At most one of that many lines of the ledger are there before the disk becomes full."""
SOON_S = 30


class NotPermitted(Exception):
    """Nothing can be mounted here."""


@dataclass
class Figures:
    """What the rounds came to."""

    rounds: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)
    launched: int = 0
    told_under_way: int = 0
    told_at_launch: int = 0
    deaths: int = 0
    bus_errors: int = 0
    """Deaths that nobody wanted, on disks where they may be."""
    told_on_opening: int = 0
    steps: int = 0
    in_flight: int = 0
    slowest_s: float = 0.0
    """The longest time from the moment when there was space until all that was launched had its result."""
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} on {kind}" for kind, count in sorted(self.by_kind.items()))
        return (
            f"{self.rounds} rounds ({kinds}), {self.launched} runs launched, {self.told_under_way} told under way, "
            f"{self.told_at_launch} at their launch; {self.deaths} deaths on a full disk ({self.bus_errors} by SIGBUS), "
            f"{self.told_on_opening} told on opening there; {self.steps} steps, {self.in_flight} in flight at a death and run again; "
            f"at most {self.slowest_s:.1f} s from there being space to the last result; {len(self.wrong)} violations"
        )


# ---- disks ---------------------------------------------------------------------------------------------------------------------------


@contextmanager
def small_disk(kind: str, size_kb: int, folder: Path) -> Iterator[Path]:
    """A disk of that kind and size, mounted at a new folder within `folder`. Raises `NotPermitted` where that is not possible."""
    place = folder / "disk"
    place.mkdir()
    if not KINDS[kind].make:
        _command("mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(place))
    else:
        image = folder / "image"
        with image.open("wb") as file:
            file.truncate(size_kb * 1024)
        _command(*KINDS[kind].make, str(image))
        _command("mount", "-o", "loop", str(image), str(place))
    try:
        yield place
    finally:
        _command("umount", "-l", str(place))


def kinds_here() -> list[str]:
    """The kinds of disks that can be mounted here."""
    found = []
    for kind in KINDS:
        with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
            try:
                with small_disk(kind, KINDS[kind].size_kb[0], Path(folder)):
                    found.append(kind)
            except NotPermitted:
                pass
    return found


def _command(name: str, *arguments: str) -> None:
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None or os.geteuid():
        raise NotPermitted(name)
    done = subprocess.run([path, *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise NotPermitted(f"{name}: {done.stderr}")


class Filler:
    """A file that takes the space of a disk."""

    def __init__(self, disk: Path) -> None:
        self._path = disk / "filler"

    def fill(self, leave: int) -> None:
        """Take everything but `leave` bytes."""
        with self._path.open("ab", buffering=0) as file:
            for size in (65536, 4096, 512, 1):
                try:
                    while file.write(b"x" * size) == size:
                        pass
                except OSError:
                    pass  # no space is left for so much
            try:
                file.truncate(max(0, file.tell() - leave))
            except OSError:
                pass  # btrfs needs space to take some away

    def free(self) -> None:
        """Give all of it back. A disk with a journal has that space only once the journal says so."""
        self._path.unlink(missing_ok=True)
        _command("sync", "-f", str(self._path.parent))


# ---- what the processes do -------------------------------------------------------------------------------------------------------------


class Load:
    """Runs that a process launches, and what it is told of them."""

    def __init__(self, client: Resonate, ledger: str, chance: random.Random) -> None:
        self._client = client
        self._book = Ledger(ledger)
        self._chance = chance
        self._large = 0
        self._under_way: dict[str, Any] = {}
        self.told_under_way: dict[str, str] = {}
        self.told_at_launch: dict[str, str] = {}
        """By the run, what was told."""
        self.told_late: dict[str, str] = {}
        """The same, when there was space again already."""

    def launch(self) -> None:
        """One more, of any workflow."""
        name = self._chance.choice(NAMES if self._large < LARGE_LIMIT else NAMES[:-1])
        self._large += name == NAMES[-1]
        run_id = f"{name}-{len(self._under_way) + len(self.told_under_way) + len(self.told_at_launch)}"
        try:
            self._under_way[run_id] = self._client.begin_run(run_id, name)
        except StoreUnavailable as error:
            self.told_at_launch[run_id] = str(error)
        else:
            self._book.write("launched", run_id)

    def is_enough(self) -> bool:
        """Whether as many are under way as should be."""
        return sum(not handle.done() for handle in self._under_way.values()) >= UNDER_WAY_LIMIT

    def is_told(self) -> bool:
        """Whether anybody was told that the disk is full, until now."""
        for run_id, handle in list(self._under_way.items()):
            if handle.done() and isinstance(error := handle.future.exception(), StoreUnavailable):
                self.told_under_way[run_id] = str(error)
                del self._under_way[run_id]
        return bool(self.told_under_way or self.told_at_launch)

    def wrong(self) -> list[str]:
        """What does not come to its result, now that there is space: handles that were not told settle, who was told may look again, and
        what was refused at its launch is launched again.
        """
        found: list[str] = []
        for run_id, handle in self._under_way.items():
            error = handle.future.exception(SOON_S)
            if isinstance(error, StoreUnavailable):  # told just before there was space
                self.told_late[run_id] = str(error)
            else:
                found += _wrong(run_id, handle)
        for run_id in (*self.told_under_way, *self.told_late):
            found += _wrong(run_id, self._client.get(run_id))
        for run_id in self.told_at_launch:
            found += _wrong(run_id, self._client.begin_run(run_id, _name(run_id)))
        return found


def starve(disk: str, ledger: str, seed: int, durability: str, dies: bool) -> Any:
    """Launch runs on a disk that becomes full until somebody is told; die there, or free space and wait for everything."""
    chance, filler = random.Random(seed), Filler(Path(disk))
    Boundaries(Ledger(ledger), "turn", 0, "")
    with opened(Path(disk, "runs.db"), Path(ledger), durability) as client:
        load = Load(client, ledger, chance)
        lines = chance.randint(0, chance.choice(LINES))
        deadline = time.monotonic() + SOON_S
        while (written := len(lines_of(ledger))) < lines:
            assert time.monotonic() < deadline, f"there was space, and after {SOON_S} s the runs had written {written} of {lines} lines"
            if load.is_enough():
                time.sleep(0.001)
            else:
                load.launch()
        filler.fill(chance.randint(*chance.choice(LEAVES)))
        deadline = time.monotonic() + SOON_S
        while not load.is_told():
            assert time.monotonic() < deadline, "the disk is full, and nobody is told"
            load.launch()
        for _ in range(chance.randint(0, 5)):
            load.launch()
        if dies:
            Path(ledger).with_name("told").write_text(json.dumps([load.told_under_way, load.told_at_launch]))
            os.kill(os.getpid(), signal.SIGKILL)
        filler.free()
        began_s = time.monotonic()
        wrong = load.wrong()
        took_s = time.monotonic() - began_s
    return {"told": [load.told_under_way, load.told_at_launch], "late": list(load.told_late.values()), "took": took_s, "wrong": wrong}


def outlive(disk: str, ledger: str, launched: list[str], durability: str, frees_first: bool) -> Any:
    """Open a file whose process died on a full disk, and wait for everything that it had launched; what was told on opening."""
    filler, path, told = Filler(Path(disk)), Path(disk, "runs.db"), None
    Boundaries(Ledger(ledger), "turn", 0, "")
    client: Resonate | None = None
    if frees_first:
        filler.free()
    else:
        try:
            client = opened(path, Path(ledger), durability)
            client.start()
        except StoreUnavailable as error:
            told = str(error)
        filler.free()
    began_s = time.monotonic()
    with client or opened(path, Path(ledger), durability) as client:
        wrong = [told for run_id in launched for told in _wrong(run_id, client.get(run_id))]
    return {"told": told, "took": time.monotonic() - began_s, "wrong": wrong}


def _name(run_id: str) -> str:
    return run_id.rpartition("-")[0]


def _wrong(run_id: str, handle: Any) -> list[str]:
    try:
        result = handle.result(SOON_S)
    except Exception as error:
        return [f"{run_id}: {error!r}"]
    return [] if result == WORKFLOWS[_name(run_id)].result else [f"{run_id}: {result!r}"]


# ---- rounds ----------------------------------------------------------------------------------------------------------------------------


def fill_up(nursery: Nursery, kind: str, seed: int, figures: Figures) -> None:
    """One round; see the head of this module."""
    chance = random.Random(seed)
    size_kb, durability, deaths = chance.randint(*KINDS[kind].size_kb), chance.choice(("fast", "full")), int(chance.random() < 1 / 3)
    figures.rounds += 1
    figures.by_kind[kind] = figures.by_kind.get(kind, 0) + 1
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, small_disk(kind, size_kb, Path(folder)) as disk:
        ledger, path = Path(folder, "ledger"), disk / "runs.db"
        known = {"disk": str(disk), "ledger": str(ledger), "durability": durability}
        ended = nursery.start("starve", **known, seed=seed, dies=bool(deaths)).wait(3 * SOON_S)
        said = ended.result
        if (deaths and ended.code == KILLED) or (KINDS[kind].may_end and ended.code == -signal.SIGBUS):
            deaths = 1
            figures.deaths += 1
            figures.bus_errors += ended.code != KILLED
            told = json.loads(ledger.with_name("told").read_text()) if ended.code == KILLED else [{}, {}]
            lines = lines_of(ledger)
            lost = {line.id for line in lines if line.what == "ack"} - settled_in(path)
            wrong += [f"{sorted(lost)} were acknowledged and are not settled in the file"] if lost else []
            launched = [line.id for line in lines if line.what == "launched"]
            ended = nursery.start("outlive", **known, launched=launched, frees_first=chance.random() < 1 / 2).wait(3 * SOON_S)
            said = ended.result
            if said and said["told"] is not None:
                figures.told_on_opening += 1
                wrong += _unclear([said["told"]], path)
        elif ended.code == 0:
            told = said["told"]
        if ended.code:
            wrong.append(f"exit code {ended.code}\n{ended.errors[-3000:]}")
        else:
            figures.slowest_s = max(figures.slowest_s, said["took"])
            figures.told_under_way += len(told[0])
            figures.told_at_launch += len(told[1])
            wrong += said["wrong"]
            wrong += _unclear([*told[0].values(), *told[1].values()], path)
            wrong += _unclear(said.get("late", ()), path, size_kb * 1000)
            figures.told_under_way += len(said.get("late", ()))
        Filler(disk).free()  # whoever should have done it may have died
        if (found := integrity(path)) != "ok":
            wrong.append(found)
        lines = lines_of(ledger)
    figures.launched += sum(line.what == "launched" for line in lines)
    wrong += [f"{line.id} was acknowledged, and ran again" for line in run_again_after(lines)]
    times = executions(lines)
    figures.steps += len(times)
    figures.in_flight += sum(count - 1 for count in times.values())
    wrong += [f"attempt {attempt} of {step} ran {count} times" for (step, attempt), count in times.items() if count > 1 + deaths]
    figures.wrong += [f"seed {seed}, {kind}, {size_kb} kB, {durability}, {deaths} deaths: {each}" for each in wrong]


def _unclear(texts: Sequence[str], path: Path, free_limit: int = FREE_LIMIT) -> list[str]:
    """Those of the texts that do not say which file it is, what is wrong and how little is free."""
    why = r"(database or disk is full|disk I/O error|No space left on device)"
    pattern = re.compile(rf"{re.escape(str(path))} cannot be used: {why}; ([\d,]+) bytes are free there")
    found = ((text, pattern.search(text)) for text in texts)
    return [f"told: {text}" for text, match in found if match is None or int(match[2].replace(",", "")) > free_limit]


def sweep(rounds: int, seed: int, kinds: Sequence[str]) -> Figures:
    """So many rounds, on disks of each kind in turn."""
    figures = Figures()
    with Nursery() as nursery:
        for number in range(rounds):
            fill_up(nursery, kinds[number % len(kinds)], seed * 1_000_000 + number, figures)
    return figures
