"""`resonate.promises`: the low-level promise API of 0.6.7, a face on any store's operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from resonate.labels import short_text
from resonate.models.callback import Callback
from resonate.models.durable_promise import DurablePromise
from resonate.models.task import Task
from resonate.protocol import (
    CallbackRecord,
    CreateLeased,
    CreatePromise,
    GetPromise,
    RegisterCallback,
    SearchPromises,
    Settlement,
    SettlePromise,
    State,
    Subscribe,
    refusal,
)
from resonate.stores.face import (
    Face,
    checked_duration,
    checked_encoded,
    checked_id,
    checked_int,
    checked_optional,
    checked_tags,
    checked_text,
    read_cursor,
    write_cursor,
)
from resonate.wire.legacy import read_tags

_REJECTED: tuple[State, ...] = ("REJECTED", "REJECTED_CANCELED", "REJECTED_TIMEDOUT")
_STATES: dict[str, tuple[State, ...]] = {"pending": ("PENDING",), "resolved": ("RESOLVED",), "rejected": _REJECTED}


class SearchResult(NamedTuple):
    """One page of a search; `cursor` asks for the next one, None when this is the last."""

    promises: list[DurablePromise]
    cursor: str | None


class PromiseStore(Face):
    """Create, read and settle promises by id. Every refusal is a `ResonateStoreError` with the server's code.

    `data` is text (JSON, for values that durable functions are to read); times are milliseconds since the epoch. Without `ikey` a
    repeated call is refused; with the same `ikey` it is answered with what is there.

    >>> from resonate import Resonate
    >>> promises = Resonate().promises
    >>> promises.create(id="approval", timeout=2**45).pending
    True
    >>> promises.resolve(id="approval", data="true").value.data
    'true'
    """

    def get(self, id: str) -> DurablePromise:
        """The promise as it is now; `ResonateStoreError` (40400) when there is none."""
        return self._promise(self._ask(GetPromise(checked_text("id", id))))

    def create(
        self, id: str, timeout: int, *, ikey: str | None = None, strict: bool = False, headers: Mapping[str, str] | None = None,
        data: str | None = None, tags: Mapping[str, str] | None = None,
    ) -> DurablePromise:  # fmt: skip
        """Create a promise, or get the one that is there when the idempotency keys match (40900 when they do not)."""
        return self._promise(self._ask(self._creation(id, timeout, ikey, strict, headers, data, tags)))

    def create_with_task(
        self, id: str, timeout: int, pid: str, ttl: int, *, ikey: str | None = None, strict: bool = False,
        headers: Mapping[str, str] | None = None, data: str | None = None, tags: Mapping[str, str] | None = None,
    ) -> tuple[DurablePromise, Task | None]:  # fmt: skip
        """Create a promise and claim its task for process `pid` and `ttl` milliseconds; no task when it is not new or goes nowhere."""
        creation = self._creation(id, timeout, ikey, strict, headers, data, tags)
        record, lease = self._ask(CreateLeased(creation, checked_id("pid", pid), checked_duration("ttl", ttl)))
        return self._promise(record), Task(lease.task, lease.counter, self._store) if lease else None

    def resolve(
        self, id: str, *, ikey: str | None = None, strict: bool = False, headers: Mapping[str, str] | None = None, data: str | None = None
    ) -> DurablePromise:
        """Settle with a value: whoever awaits the promise goes on with it (40301 to 40304 when it is settled already)."""
        return self._settle("RESOLVED", id, ikey, strict, headers, data)

    def reject(
        self, id: str, *, ikey: str | None = None, strict: bool = False, headers: Mapping[str, str] | None = None, data: str | None = None
    ) -> DurablePromise:
        """Settle with an error: whoever awaits the promise gets it raised."""
        return self._settle("REJECTED", id, ikey, strict, headers, data)

    def cancel(
        self, id: str, *, ikey: str | None = None, strict: bool = False, headers: Mapping[str, str] | None = None, data: str | None = None
    ) -> DurablePromise:
        """Call the promise off: whoever awaits it gets `ResonateCanceledError`."""
        return self._settle("REJECTED_CANCELED", id, ikey, strict, headers, data)

    def callback(self, promise_id: str, root_promise_id: str, recv: str, timeout: int) -> tuple[DurablePromise, Callback | None]:
        """Resume the run `root_promise_id` when `promise_id` settles. Gives the promise, and the callback if one was made."""
        promise_id, root = checked_text("promise_id", promise_id), checked_text("root_promise_id", root_promise_id)
        return self._waiting(RegisterCallback(promise_id, root, checked_text("recv", recv), checked_int("timeout", timeout)))

    def subscribe(self, id: str, promise_id: str, recv: str, timeout: int) -> tuple[DurablePromise, Callback | None]:
        """Notify the address `recv` when `promise_id` settles. Gives the promise, and the callback if one was made."""
        checked_text("id", id)
        promise_id, recv = checked_text("promise_id", promise_id), checked_text("recv", recv)
        return self._waiting(Subscribe(promise_id, id, recv, checked_int("timeout", timeout)))

    def search(
        self, id: str = "*", *, state: str | None = None, tags: Mapping[str, str] | None = None, limit: int = 100, cursor: str | None = None
    ) -> SearchResult:
        """One page of promises whose id matches (`*` is any run of characters), newest first.

        `state` is `pending`, `resolved` or `rejected` (canceled and timed out too), `tags` must all be there, `limit` is 1 to 100. With
        a `cursor` of an earlier page all else is ignored. `ResonateStoreError` (40000) for what cannot be asked.

        >>> from resonate import Resonate
        >>> promises = Resonate().promises
        >>> promises.create(id="order-1", timeout=2**45).id
        'order-1'
        >>> [found.id for found in promises.search("order-*", state="pending").promises]
        ['order-1']
        """
        pattern = checked_id("id", id)
        asked: Sequence[Any]
        asked = read_cursor(cursor) if cursor is not None else (pattern, state, checked_tags("tags", tags), limit, None)
        records, place = self._ask(SearchPromises(asked[0], _states(asked[1]), asked[2], *self._page_limits(asked)))
        following = None if place is None else write_cursor(asked, place)
        return SearchResult([self._promise(record) for record in records], following)

    def _creation(
        self, id: str, timeout: int, ikey: str | None, strict: bool, headers: Mapping[str, str] | None, data: str | None,
        tags: Mapping[str, str] | None,
    ) -> CreatePromise:  # fmt: skip
        given = checked_tags("tags", tags)
        target, timer, not_before = read_tags(given)
        return CreatePromise(
            checked_text("id", id), checked_int("timeout", timeout), checked_optional("ikey", ikey), strict, checked_encoded(headers, data),
            given, target, timer, not_before=not_before,
        )  # fmt: skip

    def _settle(
        self, state: Settlement, id: str, ikey: str | None, strict: bool, headers: Mapping[str, str] | None, data: str | None
    ) -> DurablePromise:
        value, key = checked_encoded(headers, data), checked_optional("ikey", ikey)
        return self._promise(self._ask(SettlePromise(checked_text("id", id), state, value, key=key, strict=strict)))

    def _waiting(self, operation: RegisterCallback | Subscribe) -> tuple[DurablePromise, Callback | None]:
        record, made = self._ask(operation)
        callback: CallbackRecord | None = made
        if callback is None:
            return self._promise(record), None
        return self._promise(record), Callback(callback.id, callback.promise, callback.timeout, callback.created_on)

    def _promise(self, record: Any) -> DurablePromise:
        return DurablePromise.from_record(self._store, record)


def _states(state: Any) -> tuple[State, ...] | None:
    if state is None:
        return None
    found = _STATES.get(state.lower()) if isinstance(state, str) else None
    if found is None:
        raise refusal(40000, f"state must be `pending`, `resolved` or `rejected`, got {short_text(state)}")
    return found
