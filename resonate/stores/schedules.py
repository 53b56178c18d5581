"""`resonate.schedules`: the low-level schedule API of 0.6.7, a face on any store's operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from resonate.models.schedules import Schedule
from resonate.protocol import CreateSchedule, DeleteSchedule, GetSchedule, SearchSchedules
from resonate.stores.face import (
    Face,
    checked_encoded,
    checked_id,
    checked_int,
    checked_optional,
    checked_tags,
    checked_text,
    read_cursor,
    write_cursor,
)


class ScheduleResult(NamedTuple):
    """One page of a search; `cursor` asks for the next one, None when this is the last."""

    schedules: list[Schedule]
    cursor: str | None


class ScheduleStore(Face):
    """Create promises at the times that cron expressions name. Every refusal is a `ResonateStoreError` with the server's code.

    >>> from resonate import Resonate
    >>> schedules = Resonate().schedules
    >>> schedules.create("nightly", "0 3 * * *", "report-{{.timestamp}}", 60_000).cron
    '0 3 * * *'
    >>> schedules.delete("nightly")
    """

    def create(
        self, id: str, cron: str, promise_id: str, promise_timeout: int, *, ikey: str | None = None, description: str | None = None,
        tags: Mapping[str, str] | None = None, promise_headers: Mapping[str, str] | None = None, promise_data: str | None = None,
        promise_tags: Mapping[str, str] | None = None,
    ) -> Schedule:  # fmt: skip
        """Create a schedule, or get the one that is there when the idempotency keys match (40901 when they do not).

        `cron` has five fields, or six with the seconds first, or is `@daily` or `@every 10m`, in UTC. `promise_id` may hold `{{.id}}`
        and `{{.timestamp}}` (the time that was due, in milliseconds); `promise_timeout` is in milliseconds from that time. To start a
        function, `promise_tags` name a target (`resonate:invoke`) and `promise_data` the call.
        """
        return self._schedule(
            self._ask(
                CreateSchedule(
                    checked_text("id", id), checked_text("cron", cron), checked_id("promise_id", promise_id),
                    checked_int("promise_timeout", promise_timeout), checked_encoded(promise_headers, promise_data, "promise_"),
                    checked_tags("promise_tags", promise_tags), checked_optional("description", description), checked_tags("tags", tags),
                    checked_optional("ikey", ikey),
                )
            )
        )  # fmt: skip

    def get(self, id: str) -> Schedule:
        """The schedule as it is now; `ResonateStoreError` (40401) when there is none."""
        return self._schedule(self._ask(GetSchedule(checked_text("id", id))))

    def delete(self, id: str) -> None:
        """Fire no more; `ResonateStoreError` (40401) when there is none. Promises that it made stay."""
        self._ask(DeleteSchedule(checked_text("id", id)))

    def search(
        self, id: str = "*", *, tags: Mapping[str, str] | None = None, limit: int = 100, cursor: str | None = None
    ) -> ScheduleResult:
        """One page of schedules whose id matches (`*` is any run of characters), newest first; as `promises.search`."""
        asked: Sequence[Any]
        asked = read_cursor(cursor) if cursor is not None else (checked_id("id", id), None, checked_tags("tags", tags), limit, None)
        records, place = self._ask(SearchSchedules(asked[0], asked[2], *self._page_limits(asked)))
        following = None if place is None else write_cursor(asked, place)
        return ScheduleResult([self._schedule(record) for record in records], following)

    def _schedule(self, record: Any) -> Schedule:
        return Schedule.from_record(self._store, record)
