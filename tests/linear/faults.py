"""Faults that the checker has to find: stores that lie a little, and our own code with a line taken away."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resonate.errors import ResonateStoreError
from resonate.fenced_tasks import FencedTasks
from resonate.machine import Machine
from resonate.protocol import (
    Claimed,
    ClaimTask,
    CreateLeased,
    CreatePromise,
    DropTask,
    GetPromise,
    Lease,
    Operation,
    PromiseRecord,
    SettlePromise,
    TaskRecord,
)
from resonate.server import DevelopmentServer
from resonate.server.desk import Desk
from resonate.stores.file import PromiseFile
from resonate.stores.remote import RemoteStore
from resonate.stores.sqlite import SqliteStore
from tests.linear.clients import Client, History, Score, play


class Liar:
    """A client's store in front of the true one."""

    def __init__(self, store: Any, shared: dict[str, Any]) -> None:
        self.store = store
        self.shared = shared  # by all clients
        self.own: dict[str, Any] = {}

    def call(self, operations: list[Operation]) -> list[Any]:
        return [self.answer(operation) for operation in operations]

    def post(self, operation: Operation, deliver: Callable[[Any], None]) -> Any:
        return self.answer(operation)

    def ask(self, operation: Operation) -> Any:
        return self.store.call([operation])[0]

    def answer(self, operation: Any) -> Any:
        return self.ask(operation)


class AnswersReadsFromBefore(Liar):
    """What a read is answered was so at the read before, whoever made that."""

    def answer(self, operation: Any) -> Any:
        answer = self.ask(operation)
        if isinstance(operation, GetPromise):
            answer, self.shared[operation.id] = self.shared.get(operation.id, answer), answer
        return answer


class KeepsWhatItHasRead(Liar):
    """A cache that nobody tells of settlements."""

    def answer(self, operation: Any) -> Any:
        if not isinstance(operation, GetPromise) or operation.id not in self.own:
            answer = self.ask(operation)
            if isinstance(operation, GetPromise) and isinstance(answer, PromiseRecord):
                self.own[operation.id] = answer
            return answer
        return self.own[operation.id]


class LosesASettlement(Liar):
    """A settlement is acknowledged, and never carried out."""

    def answer(self, operation: Any) -> Any:
        known = self.ask(GetPromise(operation.id)) if isinstance(operation, SettlePromise) and operation.lease is None else None
        if not isinstance(known, PromiseRecord) or known.state != "PENDING":
            return self.ask(operation)
        self.undone(operation)
        return replace(known, state=operation.state, value=operation.value, key_for_complete=operation.key)

    def undone(self, operation: SettlePromise) -> None:
        """What becomes of it."""


class SettlesLater(LosesASettlement):
    """A settlement is acknowledged, and carried out before the next thing that the same client asks for."""

    late: SettlePromise | None = None

    def answer(self, operation: Any) -> Any:
        if self.late is not None:
            self.ask(self.late)
            self.late = None
        return super().answer(operation)

    def undone(self, operation: SettlePromise) -> None:
        self.late = operation


class LetsTwoCreate(Liar):
    """Looks whether there is one, and creates it otherwise, and not both at once: two are told that they have."""

    def answer(self, operation: Any) -> Any:
        if not isinstance(operation, CreatePromise) or operation.lease is not None:
            return self.ask(operation)
        if isinstance(self.ask(GetPromise(operation.id)), PromiseRecord):
            return self.ask(operation)
        time.sleep(0.002)
        made = self.ask(operation)
        if isinstance(made, ResonateStoreError):  # somebody was faster
            return PromiseRecord(
                operation.id, "PENDING", operation.timeout, operation.param, (None, None), operation.tags, operation.target, False, 0,
                key_for_create=operation.key,
            )  # fmt: skip
        return made


class GivesOneTaskToTwo(Liar):
    """A claim of what is claimed is granted."""

    def answer(self, operation: Any) -> Any:
        answer = self.ask(operation)
        if isinstance(operation, ClaimTask) and isinstance(answer, ResonateStoreError) and f"{answer.code:.5f}" == "100.40306":
            root = operation.id.removeprefix("__invoke:")
            return Claimed(self.ask(GetPromise(root)), None, Lease(root, operation.id, operation.counter))
        return answer


class DoesNotLookAtLeases(Liar):
    """What is done in the name of a lease is done without looking at it."""

    def answer(self, operation: Any) -> Any:
        return self.ask(replace(operation, lease=None) if isinstance(operation, (CreatePromise, SettlePromise)) else operation)


class ForgetsWhoHadALease(Liar):
    """A lease is gone as soon as it is given."""

    def answer(self, operation: Any) -> Any:
        answer = self.ask(operation)
        if isinstance(operation, CreateLeased) and not isinstance(answer, Exception) and answer[1] is not None:
            self.ask(DropTask(answer[1].task, answer[1].counter))
        return answer


class DoesWhatItRefuses(Liar):
    """Who has lost a lease is refused, and what was asked is done all the same."""

    def answer(self, operation: Any) -> Any:
        answer = self.ask(operation)
        if isinstance(operation, SettlePromise) and isinstance(answer, ResonateStoreError) and operation.lease is not None:
            self.ask(replace(operation, lease=None))
        return answer


LIARS = (
    AnswersReadsFromBefore, KeepsWhatItHasRead, LosesASettlement, SettlesLater, LetsTwoCreate, GivesOneTaskToTwo, DoesNotLookAtLeases,
    ForgetsWhoHadALease, DoesWhatItRefuses,
)  # fmt: skip


# ---- our own code, with something left out -----------------------------------------------------------------------------------------------


def settlements_of_others_are_not_heard_of(patch: pytest.MonkeyPatch) -> None:
    before = Machine.install_promise
    patch.setattr(Machine, "install_promise", lambda self, record: before(self, record) if record.state == "PENDING" else None)


def tasks_of_others_are_not_heard_of(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Machine, "install_task", lambda self, task: None)


def reads_wait_for_nobody(patch: pytest.MonkeyPatch) -> None:
    """A promise that is in memory is read there, outside of any turn."""
    before = SqliteStore.call

    def call(self: SqliteStore, operations: Any) -> list[Any]:
        (operation,) = operations
        known = self._machine.promises.get(operation.id) if isinstance(operation, GetPromise) else None
        return before(self, operations) if known is None else [known]

    patch.setattr(SqliteStore, "call", call)


def nobody_waits_for_the_commit(patch: pytest.MonkeyPatch) -> None:
    """A turn that is undone is answered as if it had been committed, now and then."""
    before, chance = PromiseFile.commit, random.Random(0)

    def commit(self: PromiseFile) -> None:
        if self._connection.total_changes > self._changes_before and chance.random() < 0.1:
            self.rollback()
        else:
            before(self)

    patch.setattr(PromiseFile, "commit", commit)


OMISSIONS = (
    settlements_of_others_are_not_heard_of, tasks_of_others_are_not_heard_of, reads_wait_for_nobody, nobody_waits_for_the_commit,
)  # fmt: skip


def versions_are_not_compared(patch: pytest.MonkeyPatch) -> None:
    """Whoever held a task may act, though somebody else has it now."""
    before = FencedTasks._held_task

    def held_task(self: FencedTasks, promise_id: str, version: int, now: int) -> TaskRecord:
        task = self._fenced(promise_id, now)
        return before(self, promise_id, max(version, task.counter) if version else version, now)

    patch.setattr(FencedTasks, "_held_task", held_task)


def the_server_keeps_what_was_read(patch: pytest.MonkeyPatch) -> None:
    """A promise that was read is shown so until it is written through the same server, by the same protocol."""
    before, kept = Desk.ask, dict[str, Any]()

    async def ask(self: Desk, operations: Any) -> list[Any]:
        if all(isinstance(each, GetPromise) and each.id in kept for each in operations):
            return [kept[each.id] for each in operations]
        answers = await before(self, operations)
        for operation, answer in zip(operations, answers, strict=True):
            if isinstance(operation, GetPromise) and isinstance(answer, PromiseRecord):
                kept[operation.id] = answer
        return answers

    patch.setattr(Desk, "ask", ask)


def the_lease_is_not_sent(patch: pytest.MonkeyPatch) -> None:
    """What a client does in the name of a lease reaches the server without it."""
    before = RemoteStore._exchanges

    def exchanges(self: RemoteStore, operation: Any) -> Any:
        has_lease = isinstance(operation, (CreatePromise, SettlePromise))
        return before(self, replace(operation, lease=None) if has_lease else operation)

    patch.setattr(RemoteStore, "_exchanges", exchanges)


OMISSIONS_OF_SERVERS = (
    (versions_are_not_compared, "current"), (the_server_keeps_what_was_read, "legacy"), (the_server_keeps_what_was_read, "current"),
    (the_lease_is_not_sent, "legacy"), (the_lease_is_not_sent, "current"),
)  # fmt: skip


# ---- playing ---------------------------------------------------------------------------------------------------------------------------


def played_here(folder: Path, seed: int, liar: type[Liar] = Liar) -> History:
    """A history of eight clients of two stores on one file, in this process."""
    path, shared = folder / f"{seed}.db", dict[str, Any]()
    with closing(SqliteStore(path, "fast")) as first, closing(SqliteStore(path, "fast")) as second:
        clients = [Client(number, liar((first, second)[number % 2], shared), "legacy") for number in range(8)]
        return play(clients, Score("here", seed, 0))


def played_at_a_server(wire: str, seed: int) -> History:
    """The same, of two stores at a server in this process."""
    with DevelopmentServer(port=0) as server:
        stores = [RemoteStore(server.url, protocol=wire) for _ in range(2)]
        try:
            return play([Client(number, stores[number % 2], wire) for number in range(8)], Score("here", seed, 0))
        finally:
            for store in stores:
                store.stop()
