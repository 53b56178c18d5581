"""A store of somebody else's making: whatever offers the faces of `resonate.models.store`, as programs for SDK 0.6.7 bring it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from resonate.errors import ResonateStoreError
from resonate.models.durable_promise import DurablePromise
from resonate.models.store import Store
from resonate.protocol import (
    NOTHING,
    CallbackRecord,
    Claimed,
    ClaimTask,
    CreateLeased,
    CreatePromise,
    DropTask,
    GetPromise,
    Heartbeat,
    Lease,
    ListDescendants,
    Operation,
    Park,
    PromiseRecord,
    SettlePromise,
    Subscribe,
)
from resonate.wire.legacy import address_of, message_from_wire, read_tags, tags_of

_SETTLED = frozenset((40300, 40301, 40302, 40303, 40399))
"""The codes with which stores refuse to settle what is settled already."""


class ForeignStore:
    """Turns the operations of the runtime into calls of a store's `promises` and `tasks`. Whatever they raise is the answer.

    Such a store keeps no function names and arguments, so changed code is not noticed, and it cannot list the promises of a run.
    """

    in_place = True
    sole_owner = False
    is_far = False
    child_separator = "."
    message_of = staticmethod(message_from_wire)

    def __init__(self, store: Store) -> None:
        self._store = store
        self.promises = store.promises
        self.schedules = store.schedules
        self._tasks = store.tasks
        self.on_answers: Callable[[], None] = lambda: None
        self.on_trouble: Callable[[str, Exception], None] = lambda run_id, error: None
        self.where = ("store", f"in {type(store).__name__}")

    def call(self, operations: Sequence[Operation]) -> list[Any]:
        """Carry out operations in order; a refused one is answered with the error itself."""
        return [self._answer(operation) for operation in operations]

    def post(self, operation: Operation, deliver: Callable[[Any], None]) -> Any:
        """The answer, always at once."""
        return self._answer(operation)

    awaited = 0
    trouble = None

    def flush(self) -> None:
        """Nothing is left to be carried out."""

    flush_soon = flush

    def address(self, target: str) -> str:
        """The address of a logical target."""
        return address_of(target)

    def listen(self, group: str, id: str, receive: Callable[[Any], None]) -> Callable[[], None]:
        """Its messages come by its message source alone."""
        return lambda: None

    def start(self) -> None:
        """Start the store, if it wants to be started."""
        getattr(self._store, "start", lambda: None)()

    def stop(self, timeout_s: float = 0.0) -> None:
        """Stop the store, if it wants to be stopped."""
        getattr(self._store, "stop", lambda: None)()

    def _answer(self, operation: Operation) -> Any:
        carry_out: Callable[[Any, Any], Any] | None = _RULES.get(type(operation))
        try:
            if carry_out is None:
                raise ResonateStoreError(f"{type(self._store).__name__} knows no {type(operation).__name__}", 0)
            return carry_out(self, operation)
        except ResonateStoreError as error:
            return error
        except Exception as error:
            refused = ResonateStoreError(f"{type(self._store).__name__} raised {type(error).__name__}: {error}", 0)
            refused.__cause__ = error
            return refused

    # ---- promises --------------------------------------------------------------------------------------------------------------------

    def _create(self, operation: CreatePromise) -> PromiseRecord:
        return _record(self.promises.create(operation.id, operation.timeout, **_creation(operation)), operation)

    def _create_leased(self, operation: CreateLeased) -> tuple[PromiseRecord, Lease | None]:
        create = operation.promise
        promise, task = self.promises.create_with_task(create.id, create.timeout, operation.pid, operation.ttl, **_creation(create))
        return _record(promise, create), Lease(create.id, task.id, task.counter) if task is not None else None

    def _get(self, operation: GetPromise) -> PromiseRecord:
        return _record(self.promises.get(operation.id))

    def _settle(self, operation: SettlePromise) -> PromiseRecord:
        settle = {"RESOLVED": self.promises.resolve, "REJECTED": self.promises.reject}.get(operation.state, self.promises.cancel)
        headers, data = operation.value
        try:
            record = _record(settle(operation.id, ikey=operation.key, strict=operation.strict, headers=headers, data=data))
        except ResonateStoreError as error:
            if not operation.adopt or error.server_code not in _SETTLED:
                raise
            record = self._get(GetPromise(operation.id))
        lease = operation.lease
        if lease is not None and lease.root == operation.id:
            self._tasks.complete(lease.task, lease.counter)
        return record

    def _subscribe(self, operation: Subscribe) -> tuple[PromiseRecord, CallbackRecord | None]:
        promise, _ = self.promises.subscribe(operation.id, operation.promise, operation.recv, operation.timeout)
        return _record(promise), None

    # ---- tasks -----------------------------------------------------------------------------------------------------------------------

    def _park(self, operation: Park) -> list[PromiseRecord]:
        lease = operation.lease
        asked = (self.promises.callback(each, lease.root, operation.recv, operation.timeout)[0] for each in operation.promises)
        settled = [_record(promise) for promise in asked if not promise.pending]
        if not settled:
            self._tasks.complete(lease.task, lease.counter)
        return settled

    def _claim(self, operation: ClaimTask) -> Claimed:
        root, leaf = self._tasks.claim(operation.id, operation.counter, operation.pid, operation.ttl)
        return Claimed(_record(root), None if leaf is None else _record(leaf), Lease(root.id, operation.id, operation.counter))

    def _drop(self, operation: DropTask) -> bool:
        drop = getattr(self._tasks, "drop", None)  # stores for 0.6.7 need not have it: then the lease lapses
        return bool(drop(operation.id, operation.counter)) if drop is not None else False

    def _heartbeat(self, operation: Heartbeat) -> int:
        affected: int = self._tasks.heartbeat(operation.pid)
        return affected

    def _list(self, operation: ListDescendants) -> list[PromiseRecord]:
        return []


_RULES: dict[type, Callable[..., Any]] = {
    CreatePromise: ForeignStore._create, CreateLeased: ForeignStore._create_leased, GetPromise: ForeignStore._get,
    SettlePromise: ForeignStore._settle, Subscribe: ForeignStore._subscribe, Park: ForeignStore._park, ClaimTask: ForeignStore._claim,
    DropTask: ForeignStore._drop, Heartbeat: ForeignStore._heartbeat, ListDescendants: ForeignStore._list,
}  # fmt: skip


def _creation(operation: CreatePromise) -> dict[str, Any]:
    headers, data = operation.param
    shown = PromiseRecord(
        operation.id, "PENDING", operation.timeout, NOTHING, NOTHING, operation.tags, operation.target, operation.timer, 0,
        lineage=operation.lineage,
    )  # fmt: skip
    return {"ikey": operation.key, "strict": operation.strict, "headers": headers, "data": data, "tags": tags_of(shown) or None}


def _record(promise: DurablePromise, created_by: CreatePromise | None = None) -> PromiseRecord:
    target, timer, _ = read_tags(promise.tags)
    return PromiseRecord(
        promise.id, promise.state, promise.timeout, promise.param.to_tuple(), promise.value.to_tuple(), promise.tags, target, timer,
        promise.created_on, promise.completed_on, promise.ikey_for_create, promise.ikey_for_complete,
        created_by.lineage if created_by is not None else None,
    )  # fmt: skip
