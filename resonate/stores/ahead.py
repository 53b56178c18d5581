"""Promises of local steps whose creation was answered before it was carried out.

A step that is called in this process, by whoever holds the run's lease, needs its promise only when it has an outcome: a crash before
that would run the step again either way. So where nothing stands under its id, creating it is answered at once (`answer`), and carried out
together with its settlement (`CreateSettled`), or before whatever might look at it, in the order in which it was asked for (`take`).
"""

from __future__ import annotations

from resonate.limits import ID_LIMIT
from resonate.protocol import NOTHING, CreatePromise, PromiseRecord


class Ahead:
    """Whoever has one guards it with a lock."""

    def __init__(self) -> None:
        self._waiting: dict[str, CreatePromise] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, promise_id: str) -> bool:
        return promise_id in self._waiting

    def answer(self, create: CreatePromise, now: int) -> PromiseRecord:
        """What creating the promise will be answered with; it waits from now on."""
        create.at = now
        self._waiting[create.id] = create
        return PromiseRecord(
            create.id, "PENDING", create.timeout, create.param, NOTHING, create.tags, None, False, now, None, create.key, None,
            create.lineage,
        )  # fmt: skip

    def keep(self, create: CreatePromise) -> None:
        """Let it wait once more."""
        self._waiting[create.id] = create

    def take(self, up_to: str | None = None) -> list[CreatePromise]:
        """What waits, oldest first: all of it, or up to and with one promise."""
        waiting = self._waiting
        if up_to is None:
            self._waiting = {}
            return list(waiting.values())
        taken = []
        for promise_id in waiting:
            taken.append(waiting[promise_id])
            if promise_id == up_to:
                break
        for create in taken:
            del waiting[create.id]
        return taken


def may_wait(create: CreatePromise, now: int) -> bool:
    """Whether it is the promise of a local step, which can be answered ahead where nothing stands under its id."""
    lineage = create.lineage
    return (
        lineage is not None and lineage.kind == "run" and create.lease is not None and create.target is None and not create.timer
        and create.timeout > now and len(create.id) <= ID_LIMIT
    )  # fmt: skip
