"""A durable promise as the low-level API shows it (`resonate.promises`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from resonate.errors import RemoteTraceback, ResonateCanceledError, ResonateTimedoutError
from resonate.models.callback import Callback
from resonate.models.encoder import Encoder
from resonate.models.result import Ko, Ok, Result
from resonate.protocol import TRACEBACK_HEADER, Encoded, PromiseRecord, State
from resonate.wire.legacy import promise_from_wire, tags_of


@dataclass(frozen=True, slots=True)
class DurablePromiseValue:
    """Headers and text of a promise's param or value; `data` is the text as it was given."""

    headers: dict[str, str] | None
    data: str | None

    @classmethod
    def of(cls, stored: Encoded) -> DurablePromiseValue:
        """The public face of a stored value; its dict is the caller's own."""
        headers, data = stored
        return cls(headers and dict(headers), data)

    def to_tuple(self) -> tuple[dict[str, str] | None, str | None]:
        """(headers, data), as an encoder takes it."""
        return self.headers, self.data


class _Promises(Protocol):
    def resolve(
        self, id: str, *, ikey: str | None, strict: bool, headers: Mapping[str, str] | None, data: str | None
    ) -> DurablePromise: ...
    def reject(self, id: str, *, ikey: str | None, strict: bool, headers: Mapping[str, str] | None, data: str | None) -> DurablePromise: ...
    def cancel(self, id: str, *, ikey: str | None, strict: bool, headers: Mapping[str, str] | None, data: str | None) -> DurablePromise: ...
    def callback(self, promise_id: str, root_promise_id: str, recv: str, timeout: int) -> tuple[DurablePromise, Callback | None]: ...
    def subscribe(self, id: str, promise_id: str, recv: str, timeout: int) -> tuple[DurablePromise, Callback | None]: ...


class _Store(Protocol):
    """Where a promise lives, as far as the promise needs it."""

    @property
    def promises(self) -> _Promises: ...


@dataclass(slots=True)
class DurablePromise:
    """A snapshot of a promise, with methods to settle it. Times are in milliseconds since the epoch."""

    id: str
    state: State
    timeout: int
    ikey_for_create: str | None
    ikey_for_complete: str | None
    param: DurablePromiseValue
    value: DurablePromiseValue
    tags: dict[str, str]
    created_on: int
    completed_on: int | None
    store: _Store = field(compare=False)

    @classmethod
    def from_dict(cls, store: _Store, data: Mapping[str, Any]) -> DurablePromise:
        """A promise from the JSON of the server, values in base64. ValueError when something is missing."""
        return cls.from_record(store, promise_from_wire(data))

    @classmethod
    def from_record(cls, store: _Store, record: PromiseRecord) -> DurablePromise:
        """The public face of a store's record."""
        return cls(
            record.id, record.state, record.timeout, record.key_for_create, record.key_for_complete,
            DurablePromiseValue.of(record.param), DurablePromiseValue.of(record.value), tags_of(record),
            record.created_on, record.completed_on, store,
        )  # fmt: skip

    @property
    def pending(self) -> bool:
        """Nobody has settled it and its deadline has not passed."""
        return self.state == "PENDING"

    @property
    def completed(self) -> bool:
        """It has its final state."""
        return self.state != "PENDING"

    @property
    def resolved(self) -> bool:
        """It has a value."""
        return self.state == "RESOLVED"

    @property
    def rejected(self) -> bool:
        """It has an error."""
        return self.state == "REJECTED"

    @property
    def canceled(self) -> bool:
        """Somebody called it off."""
        return self.state == "REJECTED_CANCELED"

    @property
    def timedout(self) -> bool:
        """Its deadline came first."""
        return self.state == "REJECTED_TIMEDOUT"

    @property
    def abs_timeout(self) -> float:
        """The deadline in seconds since the epoch."""
        return self.timeout / 1000

    @property
    def rel_timeout(self) -> float:
        """Seconds from its creation to its deadline."""
        return (self.timeout - self.created_on) / 1000

    def resolve(
        self, data: str | None = None, *, ikey: str | None = None, strict: bool = False, headers: Mapping[str, str] | None = None
    ) -> None:
        """Settle it with a value and take over what the store then holds."""
        self._become(self.store.promises.resolve(self.id, ikey=ikey, strict=strict, headers=headers, data=data))

    def reject(
        self, data: str | None = None, *, ikey: str | None = None, strict: bool = False, headers: Mapping[str, str] | None = None
    ) -> None:
        """Settle it with an error and take over what the store then holds."""
        self._become(self.store.promises.reject(self.id, ikey=ikey, strict=strict, headers=headers, data=data))

    def cancel(
        self, data: str | None = None, *, ikey: str | None = None, strict: bool = False, headers: Mapping[str, str] | None = None
    ) -> None:
        """Call it off and take over what the store then holds."""
        self._become(self.store.promises.cancel(self.id, ikey=ikey, strict=strict, headers=headers, data=data))

    def callback(self, id: str, root_promise_id: str, recv: str) -> Callback | None:
        """Resume the run `root_promise_id` when this settles; when it has, take over its outcome. `id` is not used by any server."""
        promise, callback = self.store.promises.callback(self.id, root_promise_id, recv, self.timeout)
        self._become(promise)
        return callback

    def subscribe(self, id: str, recv: str) -> Callback | None:
        """Notify the address `recv` when this settles; when it has, take over its outcome."""
        promise, callback = self.store.promises.subscribe(id, self.id, recv, self.timeout)
        self._become(promise)
        return callback

    def result(self, encoder: Encoder) -> Result[Any]:
        """The outcome of a completed promise, decoded: `Ok(value)` or `Ko(error)`."""
        return outcome_of(self, encoder)

    def _become(self, other: DurablePromise) -> None:
        for name in ("state", "value", "completed_on", "ikey_for_complete"):
            setattr(self, name, getattr(other, name))


def outcome_of(promise: DurablePromise | PromiseRecord, encoder: Encoder) -> Result[Any]:
    """What awaiting a settled promise gives (contract 9.4). Raises what the encoder raises when the value cannot be read."""
    if promise.state == "REJECTED_CANCELED":
        return Ko(ResonateCanceledError(promise.id))
    if promise.state == "REJECTED_TIMEDOUT":
        return Ko(ResonateTimedoutError(promise.id, promise.timeout / 1000))
    stored = promise.value if isinstance(promise.value, tuple) else promise.value.to_tuple()
    value = encoder.decode(stored)
    if promise.state == "RESOLVED":
        return Ok(value)
    error = value if isinstance(value, Exception) else Exception(value)
    shown = (stored[0] or {}).get(TRACEBACK_HEADER)
    if shown and error.__cause__ is None:
        error.__cause__ = RemoteTraceback(shown)
    return Ko(error)
