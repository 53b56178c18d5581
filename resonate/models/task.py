"""The right to work on a run, as the low-level API shows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from resonate.models.durable_promise import DurablePromise


class _Tasks(Protocol):
    def claim(self, id: str, counter: int, pid: str, ttl: int) -> tuple[DurablePromise, DurablePromise | None]: ...
    def complete(self, id: str, counter: int) -> bool: ...


class _Store(Protocol):
    """Where a task lives, as far as the task needs it."""

    @property
    def tasks(self) -> _Tasks: ...


@dataclass(frozen=True, slots=True)
class Task:
    """A task and the counter under which it was handed out."""

    id: str
    counter: int
    store: _Store = field(compare=False)

    def claim(self, pid: str, ttl: int) -> tuple[DurablePromise, DurablePromise | None]:
        """Claim it for process `pid`, for `ttl` milliseconds: the run's promise, and the one it waited for."""
        return self.store.tasks.claim(self.id, self.counter, pid, ttl)

    def complete(self) -> None:
        """End it: the work is done, or the run waits for callbacks."""
        self.store.tasks.complete(self.id, self.counter)

    @classmethod
    def from_dict(cls, store: _Store, data: dict[str, Any]) -> Task:
        """A task from the JSON of the server."""
        return cls(data["id"], data["counter"], store)
