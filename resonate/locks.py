"""Named locks, as the legacy server offers them: one execution holds a name until it lets go of it or its time is over.

Pure, and apart from the machine: locks are no promises, later servers have none, and nothing here is kept beyond the process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from resonate.limits import INTEGER_LIMIT
from resonate.protocol import refusal


@dataclass(slots=True)
class AcquireLock:
    """Take a lock, or hold one's own for another `ttl` milliseconds. Answer: Lock; 40305 when another execution has it."""

    resource: str
    execution: str
    pid: str
    ttl: int


@dataclass(slots=True)
class ReleaseLock:
    """Let go of a lock. Answer: None; 40402 when this execution does not hold it."""

    resource: str
    execution: str


@dataclass(slots=True)
class KeepLocks:
    """Hold every lock of process `pid` for another while. Answer: how many."""

    pid: str


LockOperation = AcquireLock | ReleaseLock | KeepLocks


class Lock(NamedTuple):
    """A lock that is held, until `expires_at` (milliseconds since the epoch)."""

    resource: str
    execution: str
    pid: str
    ttl: int
    expires_at: int


class Locks:
    """All locks, by resource. One caller at a time; what is refused raises `ResonateStoreError`.

    >>> locks = Locks()
    >>> locks.apply(AcquireLock("printer", "e1", "w1", 1000), now=0).expires_at
    1000
    >>> locks.apply(AcquireLock("printer", "e2", "w2", 1000), now=1000).execution
    'e2'
    """

    def __init__(self) -> None:
        self._held: dict[str, Lock] = {}

    def apply(self, operation: LockOperation, now: int) -> Lock | int | None:
        """Carry out one operation."""
        for gone in [lock.resource for lock in self._held.values() if lock.expires_at <= now]:
            del self._held[gone]
        if isinstance(operation, AcquireLock):
            return self._acquire(operation, now)
        if isinstance(operation, KeepLocks):
            own = [lock for lock in self._held.values() if lock.pid == operation.pid]
            for lock in own:
                self._held[lock.resource] = lock._replace(expires_at=_end(now, lock.ttl))
            return len(own)
        held = self._held.get(operation.resource)
        if held is None or held.execution != operation.execution:
            raise refusal(40402, f"{operation.execution} does not hold lock {operation.resource}")
        del self._held[operation.resource]
        return None

    def _acquire(self, operation: AcquireLock, now: int) -> Lock:
        held = self._held.get(operation.resource)
        if held is not None and held.execution != operation.execution:
            raise refusal(40305, f"lock {operation.resource} is held by another execution")
        lock = Lock(operation.resource, operation.execution, operation.pid, operation.ttl, _end(now, operation.ttl))
        self._held[operation.resource] = lock
        return lock


def _end(now: int, ttl: int) -> int:
    return min(now + ttl, INTEGER_LIMIT)
