"""What the clients ask: few promises, so that they meet. An object is a run and one child of it, since a lease on the run covers the child.

An operation is a plain tuple (`Asked`), which the specification reads and the store is asked as an operation of `resonate.protocol`.
Every promise tells who made it and every value who settled with it, so an answer shows whose call it is about. No deadline comes and no
lease lapses while a history is played.
"""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from resonate.errors import ResonateStoreError
from resonate.protocol import (
    Claimed,
    ClaimTask,
    CompleteTask,
    CreateLeased,
    CreatePromise,
    DropTask,
    GetPromise,
    Lease,
    Operation,
    PromiseRecord,
    Settlement,
    SettlePromise,
)

FAR = 4_102_444_800_000
"""A deadline in the year 2100, in ms."""
LEASE_MS = 3_600_000
TARGET = "poll://any@nobody"
PARAM = (None, '"asked for"')
MADE_BY = "made by"
KEYS = ("k1", "k2", None)
STATES: tuple[Settlement, ...] = ("RESOLVED", "REJECTED", "REJECTED_CANCELED")
Answer = tuple[Any, ...]


class Asked(NamedTuple):
    """One operation. `counter` is that of the task, or of the lease that is named; None where there is none."""

    what: str
    wire: str
    mark: str
    is_child: bool = False
    key: str | None = None
    strict: bool = False
    state: Settlement = "RESOLVED"
    has_target: bool = False
    counter: int | None = None


# ---- drawing ---------------------------------------------------------------------------------------------------------------------------

SHARES = {
    ("get", False): 10, ("get", True): 6, ("create", False): 12, ("create", True): 9, ("launch", False): 14, ("settle", False): 5,
    ("settle", True): 8, ("claim", False): 18, ("drop", False): 15, ("complete", False): 2,
}  # fmt: skip


def draw(chance: random.Random, wire: str, mark: str, counters: list[int]) -> Asked:
    """Any operation; `counters` are those that were heard of, the latest at the end."""
    (what, is_child), *_ = chance.choices(list(SHARES), list(SHARES.values()))
    if what == "complete" and wire == "current":
        what = "drop"  # it has no operation that ends a task and leaves its promise
    near = (counters[-1] if counters else 1) + chance.choice((0, 0, 0, 0, -1, 1))
    counter: int | None = max(near, 0 if wire == "current" else 1)
    if what in ("create", "settle"):
        counter = counter if chance.random() < (0.5 if is_child or what == "settle" else 0.0) else None
    elif what in ("get", "launch"):
        counter = None
    has_key = wire == "legacy" and what in ("create", "launch", "settle")
    return Asked(
        what, wire, mark, is_child, chance.choice(KEYS) if has_key else None, has_key and chance.random() < 0.3, chance.choice(STATES),
        not is_child and (what == "launch" or chance.random() < 0.8), counter,
    )  # fmt: skip


def heard_of(asked: Asked, answer: Answer) -> int | None:
    """The counter that a task has after an answer, where it tells."""
    if answer[0] == "held":
        return answer[1]  # type: ignore[no-any-return]
    if answer == ("done", True) and asked.what == "drop" and asked.counter is not None:
        return asked.counter + (asked.wire == "legacy")
    if asked.what == "create" and answer[0] == "promise" and answer[2] == asked.mark and asked.has_target:
        return int(asked.wire == "legacy")
    return None


# ---- asking ----------------------------------------------------------------------------------------------------------------------------


def operation_for(asked: Asked, run: str) -> Operation:
    """What a store is asked."""
    task = run if asked.wire == "current" else f"__invoke:{run}"
    name = f"{run}:1" if asked.is_child else run
    lease = None if asked.counter is None else Lease(run, task, asked.counter)
    target = TARGET if asked.has_target else None
    if asked.what in ("create", "launch"):
        create = CreatePromise(name, FAR, asked.key, asked.strict, PARAM, {MADE_BY: asked.mark}, target, lease=lease)
        return create if asked.what == "create" else CreateLeased(create, asked.mark, LEASE_MS)
    if asked.what == "settle":
        return SettlePromise(name, asked.state, (None, f'"{asked.mark}"'), asked.key, asked.strict, lease=lease)
    if asked.what == "get":
        return GetPromise(name)
    assert asked.counter is not None
    if asked.what == "claim":
        return ClaimTask(task, asked.counter, asked.mark, LEASE_MS)
    return (CompleteTask if asked.what == "complete" else DropTask)(task, asked.counter)


def read(asked: Asked, answer: Any) -> Answer | None:
    """An answer as the specification gives it; None where the store has not said what became of the operation."""
    if isinstance(answer, ResonateStoreError):
        code = int(f"{answer.code:.5f}".partition(".")[2])
        return ("refused", code) if code else None
    if asked.what == "launch":
        record, lease = answer
        return ("made" if lease is None else "held", lease and lease.counter, *_shown(record, asked.wire))
    if asked.what == "claim":
        assert isinstance(answer, Claimed)
        return ("held", answer.lease.counter, *_shown(answer.root, asked.wire))
    if asked.what in ("complete", "drop"):
        return ("done", True if asked.what == "complete" else answer)
    return ("promise", *_shown(answer, asked.wire))


def _shown(record: PromiseRecord, wire: str) -> Answer:
    shown = record.state, (record.tags or {}).get(MADE_BY), record.param[1], record.value[1]
    return shown if wire == "current" else (*shown, record.key_for_create, record.key_for_complete)
