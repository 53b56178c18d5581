"""`store.tasks`: the low-level task API of 0.6.7, a face on any store's operations."""

from __future__ import annotations

from resonate.models.durable_promise import DurablePromise
from resonate.protocol import Claimed, ClaimTask, CompleteTask, DropTask, Heartbeat
from resonate.stores.face import Face, checked_counter, checked_duration, checked_id


class TaskStore(Face):
    """Claim tasks, keep them, end them. Every refusal is a `ResonateStoreError` with the server's code (40306 to 40309, 40403)."""

    def claim(self, id: str, counter: int, pid: str, ttl: int) -> tuple[DurablePromise, DurablePromise | None]:
        """Claim a task for process `pid` and `ttl` milliseconds: the run's promise, and the one that it waited for."""
        task, holder = checked_id("id", id), checked_id("pid", pid)
        operation = ClaimTask(task, checked_counter("counter", counter), holder, checked_duration("ttl", ttl))
        claimed: Claimed = self._ask(operation)
        root = DurablePromise.from_record(self._store, claimed.root)
        return root, DurablePromise.from_record(self._store, claimed.leaf) if claimed.leaf else None

    def complete(self, id: str, counter: int) -> bool:
        """End a claimed task: the run is over, or waits for its callbacks."""
        self._ask(CompleteTask(checked_id("id", id), checked_counter("counter", counter)))
        return True

    def drop(self, id: str, counter: int) -> bool:
        """Give a claimed task back, so that it is handed out again at once; whether it was claimed."""
        dropped: bool = self._ask(DropTask(checked_id("id", id), checked_counter("counter", counter)))
        return dropped

    def heartbeat(self, pid: str) -> int:
        """Extend every claim of process `pid`; how many there are."""
        affected: int = self._ask(Heartbeat(checked_id("pid", pid)))
        return affected
