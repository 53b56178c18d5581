"""Follows runs that other processes work on, by asking their server, and tells of them by the same facts as of a run here.

What a look costs grows with what is new and what is open, never with what is finished: a server that lists the newest first is asked for
those until one is known; one that lists by id is asked for the next number below each call that is open. What was pending and is not any
more is asked for by its id. Attempts and retries happen in the worker's memory, so nothing is told of them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from resonate.errors import ResonateStoreError
from resonate.events import AttemptStarted, Event
from resonate.interrupts import start_thread
from resonate.limits import CHILDREN_AHEAD_LIMIT, SEARCH_LIMIT, TRACKING_INTERVAL_S, TRACKING_PAGE_FIRST
from resonate.protocol import GetPromise, ListDescendants, Operation, PromiseRecord, SearchPromises
from resonate.wire.lineage import ORIGIN, ROOT, guessed_lineage

logger = logging.getLogger("resonate")


class _Server(Protocol):
    """What is asked of a store."""

    @property
    def lists_newest_first(self) -> bool:
        """Whether searches begin with the newest promise."""
        ...

    def child_id(self, parent: str, number: int) -> str:
        """The id of a child."""
        ...

    def call(self, operations: Any, /) -> list[Any]:
        """Carry out operations."""
        ...


class _Tracked:
    """What is known of a run."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.known: set[str] = set()
        self.pending: dict[str, PromiseRecord] = {}
        self.children: dict[str, int] = {}  # of each open call: the number of its newest child
        self.begun: set[str] = set()
        self.looks = 0
        self.tag = ORIGIN


class Tracker:
    """One thread for all runs that are tracked. It begins with the first, and ends with `close`."""

    def __init__(self, store: _Server, facts: Callable[[str, PromiseRecord], list[Event]], publish: Callable[[Event], None]) -> None:
        self._store = store
        self._facts = facts
        self._publish = publish
        self._runs: dict[str, _Tracked] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def track(self, run_id: str) -> None:
        """Tell of the outermost run of that id until it is over. Tracking twice is tracking once."""
        with self._lock:
            self._runs.setdefault(run_id, _Tracked(run_id))
            if self._thread is None:
                self._thread = start_thread(self._look_for_ever, "resonate-tracker")

    def close(self) -> None:
        """Track nothing any more."""
        self._stopping.set()

    def _look_for_ever(self) -> None:
        pause_s = TRACKING_INTERVAL_S
        while not self._stopping.wait(pause_s):
            began = time.monotonic()
            for tracked in list(self._runs.values()):
                try:
                    is_over = self._look(tracked)
                except ResonateStoreError as error:  # it is asked again in a moment
                    logger.debug("run %s could not be looked at: %s", tracked.run_id, error)
                    continue
                except Exception:
                    logger.exception("run %s cannot be followed", tracked.run_id)
                    is_over = True
                if is_over:
                    with self._lock:
                        self._runs.pop(tracked.run_id, None)
            pause_s = max(TRACKING_INTERVAL_S, 4 * (time.monotonic() - began))  # never most of what a server does

    def _look(self, tracked: _Tracked) -> bool:
        """Tell what has happened since the last look; whether the run is over."""
        root = self._ask(GetPromise(tracked.run_id))
        if root.lineage is not None and not self._store.lists_newest_first:
            tracked.tag = ROOT  # the current protocol takes our tag for the outermost run everywhere, the other one not
        if not tracked.looks or root.state != "PENDING":
            self._take(tracked, self._ask(ListDescendants(tracked.run_id)))
        else:
            self._take(tracked, self._new_ones(tracked))
            still = {record.id: record for record in self._pages("PENDING", tracked, until_known=False)}
            self._take(tracked, still.values())  # those too that have an id of their own
            gone = [each for each in tracked.pending if each not in still]
            self._take(tracked, self._there(GetPromise(each) for each in gone))
        tracked.looks += 1
        self._take(tracked, [root])
        return bool(root.state != "PENDING")

    def _take(self, tracked: _Tracked, records: Iterable[PromiseRecord]) -> None:
        for record in records:
            created, *settled = self._facts(tracked.run_id, record)
            if record.id not in tracked.known:
                tracked.known.add(record.id)
                tracked.pending[record.id] = record
                self._publish(created)
                self._place(tracked, record)
            if settled and tracked.pending.pop(record.id, None) is not None:
                tracked.children.pop(record.id, None)
                self._publish(settled[0])

    def _place(self, tracked: _Tracked, record: PromiseRecord) -> None:
        """A local call is at work as soon as its promise is there; whoever made it is at work for certain, and has come to that number."""
        lineage = record.lineage or guessed_lineage(record, tracked.run_id)
        if lineage.parent is not None:
            number = record.id.removeprefix(self._store.child_id(lineage.parent, 0)[:-1])
            if number.isascii() and number.isdigit() and len(number) < 10:
                tracked.children[lineage.parent] = max(int(number), tracked.children.get(lineage.parent, 0))
        for each in (lineage.parent, record.id if lineage.kind == "run" else None):
            if each in tracked.pending and each not in tracked.begun:
                tracked.begun.add(each)
                self._publish(AttemptStarted(tracked.run_id, each, record.created_on / 1000, 1, None))

    def _new_ones(self, tracked: _Tracked) -> list[PromiseRecord]:
        if self._store.lists_newest_first:
            return self._pages(None, tracked, until_known=True)[::-1]
        found: list[PromiseRecord] = []
        parents = [each.id for each in tracked.pending.values() if _may_call(each)]
        while parents:
            asked = [(each, tracked.children.get(each, 0) + 1) for each in parents]
            answers = self._store.call([GetPromise(self._store.child_id(each, number)) for each, number in asked])
            parents = []
            for (parent, number), answer in zip(asked, answers, strict=True):
                if isinstance(answer, PromiseRecord):
                    tracked.children[parent] = number
                    found.append(answer)
                    parents.append(parent)
            if len(found) > CHILDREN_AHEAD_LIMIT:
                break
        return found

    def _pages(self, state: Any, tracked: _Tracked, *, until_known: bool) -> list[PromiseRecord]:
        """What a search finds below a run: by its id, and by its tag what has an id of its own."""
        by_id = SearchPromises(f"{self._store.child_id(tracked.run_id, 0)[:-1]}*", state and (state,))
        by_tag = SearchPromises("*", state and (state,), {tracked.tag: tracked.run_id})
        found: dict[str, PromiseRecord] = {}
        for search in (by_id, by_tag) if self._store.lists_newest_first else (by_tag,):
            search.limit = TRACKING_PAGE_FIRST if until_known else SEARCH_LIMIT
            while True:
                records, place = self._ask(search)
                new = [each for each in records if each.id not in tracked.known]
                found.update((each.id, each) for each in (new if until_known else records))
                if place is None or (until_known and len(new) < len(records)):
                    break
                search.before, search.limit = place, SEARCH_LIMIT
        return list(found.values())

    def _there(self, reads: Iterable[Operation]) -> list[PromiseRecord]:
        return [answer for answer in self._store.call(list(reads)) if isinstance(answer, PromiseRecord)]

    def _ask(self, operation: Operation) -> Any:
        answer = self._store.call([operation])[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def _may_call(record: PromiseRecord) -> bool:
    """Whether it may have children: it is a function's, or nobody knows."""
    return not record.timer if record.lineage is None else record.lineage.kind in ("run", "rpc", "detached")
