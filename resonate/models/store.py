"""What a store offers: promises, tasks, schedules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from resonate.models.callback import Callback
from resonate.models.durable_promise import DurablePromise
from resonate.models.encoder import Encoder
from resonate.models.schedules import Schedule
from resonate.models.task import Task

type Headers = Mapping[str, str] | None


class PromiseStore(Protocol):
    """Promises by id. `data` is text, times are milliseconds since the epoch; refusals are `ResonateStoreError`."""

    def get(self, id: str) -> DurablePromise:
        """The promise as it is now."""
        ...

    def create(
        self, id: str, timeout: int, *, ikey: str | None = None, strict: bool = False, headers: Headers = None, data: str | None = None,
        tags: Headers = None,
    ) -> DurablePromise:  # fmt: skip
        """Create a promise, or get the one that is there when the idempotency keys match."""
        ...

    def create_with_task(
        self, id: str, timeout: int, pid: str, ttl: int, *, ikey: str | None = None, strict: bool = False, headers: Headers = None,
        data: str | None = None, tags: Headers = None,
    ) -> tuple[DurablePromise, Task | None]:  # fmt: skip
        """Create a promise and claim its task for `ttl` milliseconds."""
        ...

    def resolve(
        self, id: str, *, ikey: str | None = None, strict: bool = False, headers: Headers = None, data: str | None = None
    ) -> DurablePromise:
        """Settle with a value."""
        ...

    def reject(
        self, id: str, *, ikey: str | None = None, strict: bool = False, headers: Headers = None, data: str | None = None
    ) -> DurablePromise:
        """Settle with an error."""
        ...

    def cancel(
        self, id: str, *, ikey: str | None = None, strict: bool = False, headers: Headers = None, data: str | None = None
    ) -> DurablePromise:
        """Call the promise off."""
        ...

    def callback(self, promise_id: str, root_promise_id: str, recv: str, timeout: int) -> tuple[DurablePromise, Callback | None]:
        """Resume a run when the promise settles."""
        ...

    def subscribe(self, id: str, promise_id: str, recv: str, timeout: int) -> tuple[DurablePromise, Callback | None]:
        """Notify an address when the promise settles."""
        ...


class TaskStore(Protocol):
    """Tasks by id and counter."""

    def claim(self, id: str, counter: int, pid: str, ttl: int) -> tuple[DurablePromise, DurablePromise | None]:
        """Claim a task for `ttl` milliseconds: the run's promise, and the one it waited for."""
        ...

    def complete(self, id: str, counter: int) -> bool:
        """End a claimed task."""
        ...

    def heartbeat(self, pid: str) -> int:
        """Extend every claim of a process; how many there are."""
        ...


class ScheduleStore(Protocol):
    """Schedules by id."""

    def create(
        self, id: str, cron: str, promise_id: str, promise_timeout: int, *, ikey: str | None = None, description: str | None = None,
        tags: Headers = None, promise_headers: Headers = None, promise_data: str | None = None, promise_tags: Headers = None,
    ) -> Schedule:  # fmt: skip
        """Create a schedule, or get the one that is there when the idempotency keys match."""
        ...

    def get(self, id: str) -> Schedule:
        """The schedule as it is now."""
        ...

    def delete(self, id: str) -> None:
        """Fire no more."""
        ...


@runtime_checkable
class Store(Protocol):
    """A store: its three faces and the encoder of what it keeps."""

    @property
    def encoder(self) -> Encoder | None:
        """Text to what is kept, and back."""
        ...

    @property
    def promises(self) -> Any:
        """A `PromiseStore`."""
        ...

    @property
    def tasks(self) -> Any:
        """A `TaskStore`."""
        ...

    @property
    def schedules(self) -> Any:
        """A `ScheduleStore`."""
        ...
