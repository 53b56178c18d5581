"""`resonate.promises`: the low-level promise API of 0.6.7, a face on any store's operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from resonate.models.durable_promise import DurablePromise
from resonate.protocol import CreatePromise, Encoded, GetPromise, Operation, RegisterCallback, Settlement, SettlePromise, Subscribe
from resonate.wire.legacy import read_tags

Call = Callable[[Sequence[Operation]], list[Any]]


class PromiseStore:
    """Create, read and settle promises by id. Every refusal is a `ResonateStoreError` with the server's code.

    `data` is text (JSON, for values that durable functions are to read); times are milliseconds since the epoch.

    >>> from resonate import Resonate
    >>> promises = Resonate().promises
    >>> promises.create(id="approval", timeout=2**45).pending
    True
    >>> promises.resolve(id="approval", data="true").value.data
    'true'
    """

    def __init__(self, call: Call) -> None:
        self._call = call

    def get(self, id: str) -> DurablePromise:
        """The promise as it is now; `ResonateStoreError` (40400) when there is none."""
        return self._promise(self._ask(GetPromise(_text("id", id))))

    def create(
        self, id: str, timeout: int, *, ikey: str | None = None, strict: bool = False, headers: Mapping[str, str] | None = None,
        data: str | None = None, tags: Mapping[str, str] | None = None,
    ) -> DurablePromise:  # fmt: skip
        """Create a promise, or get the one that is there when the idempotency keys match (40900 when they do not)."""
        target, timer = read_tags(tags)
        operation = CreatePromise(
            _text("id", id), int(timeout), key=ikey, strict=strict, param=_encoded(headers, data), tags=dict(tags) if tags else None,
            target=target, timer=timer,
        )  # fmt: skip
        return self._promise(self._ask(operation))

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

    def callback(self, promise_id: str, root_promise_id: str, recv: str, timeout: int) -> tuple[DurablePromise, str | None]:
        """Resume the run `root_promise_id` when `promise_id` settles. Gives the promise, and the callback's id if one was made."""
        record, callback = self._ask(RegisterCallback(promise_id, root_promise_id, recv, timeout))
        return self._promise(record), callback and callback.id

    def subscribe(self, id: str, promise_id: str, recv: str, timeout: int) -> tuple[DurablePromise, str | None]:
        """Notify the address `recv` when `promise_id` settles. Gives the promise and the callback's id, None when nothing was made."""
        record, callback = self._ask(Subscribe(promise_id, id, recv, timeout))
        return self._promise(record), callback and callback.id

    def _settle(
        self, state: Settlement, id: str, ikey: str | None, strict: bool, headers: Mapping[str, str] | None, data: str | None
    ) -> DurablePromise:
        return self._promise(self._ask(SettlePromise(_text("id", id), state, _encoded(headers, data), key=ikey, strict=strict)))

    def _ask(self, operation: Operation) -> Any:
        answer = self._call([operation])[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _promise(self, record: Any) -> DurablePromise:
        return DurablePromise.from_record(self, record)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be `str`, got {type(value).__name__}")
    return value


def _encoded(headers: Mapping[str, str] | None, data: str | None) -> Encoded:
    if data is not None and not isinstance(data, str):
        raise TypeError(f"data must be `str` or None, got {type(data).__name__}; for a Python value write data=json.dumps(value)")
    return dict(headers) if headers else None, data
