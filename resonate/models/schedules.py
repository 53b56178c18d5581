"""A schedule as the low-level API shows it (`resonate.schedules`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from resonate.models.durable_promise import DurablePromiseValue
from resonate.protocol import ScheduleRecord


class _Schedules(Protocol):
    def delete(self, id: str) -> None: ...


class _Store(Protocol):
    """Where a schedule lives, as far as the schedule needs it."""

    @property
    def schedules(self) -> _Schedules: ...


@dataclass(slots=True)
class Schedule:
    """Creates a promise at each time that `cron` names. Times are in milliseconds since the epoch, `promise_timeout` is relative."""

    id: str
    description: str | None
    cron: str
    tags: dict[str, str]
    promise_id: str
    promise_timeout: int
    promise_param: DurablePromiseValue
    promise_tags: dict[str, str]
    last_runtime: int | None
    next_runtime: int
    ikey: str | None
    created_on: int
    store: _Store = field(compare=False)

    @classmethod
    def from_record(cls, store: _Store, record: ScheduleRecord) -> Schedule:
        """The public face of a store's record."""
        return cls(
            record.id, record.description, record.cron, dict(record.tags), record.promise_id, record.promise_timeout,
            DurablePromiseValue.of(record.promise_param), dict(record.promise_tags), record.last_run, record.next_run, record.key,
            record.created_on, store,
        )  # fmt: skip

    def delete(self) -> None:
        """Fire no more; promises that it made stay."""
        self.store.schedules.delete(self.id)
