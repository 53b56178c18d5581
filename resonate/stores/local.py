"""The in-memory store: `machine.Machine` called in place, under one lock, with a timer for what falls due.

One owner: the lock guards the machine. Messages are handed over after the lock is released, so a receiver may call the store again.
A task that nobody receives stays; it is sent once somebody listens. A single receiver gets everything, whatever address it is for (as
in SDK 0.6.7); of several, the one that is addressed.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from resonate import cron
from resonate.errors import ResonateStoreError, StoreDamaged, StoreUnavailable
from resonate.interrupts import Uninterrupted
from resonate.limits import FORK_WAIT_LIMIT_S, TIMER_SLICE_S
from resonate.machine import Machine
from resonate.message_sources import LocalMessageSource
from resonate.models.clock import Clock
from resonate.models.durable_promise import DurablePromise
from resonate.models.encoder import Encoder
from resonate.models.message_source import MessageSource
from resonate.models.router import Router
from resonate.protocol import (
    NOTHING,
    Acquired,
    ActFenced,
    Claimed,
    CreateLeased,
    CreatePromise,
    CreateSchedule,
    CreateSettled,
    DeliveryFailed,
    Encoded,
    EnsureAcquired,
    EnsurePromise,
    EnsureSchedule,
    Fenced,
    FulfillTask,
    Message,
    NotifyMessage,
    Operation,
    PromiseRecord,
    ScheduleRecord,
    SettlePromise,
    Suspended,
    TaskMessage,
)
from resonate.routers import TagRouter
from resonate.stores.ahead import Ahead, may_wait
from resonate.stores.archive import Archive
from resonate.stores.promises import PromiseStore
from resonate.stores.schedules import ScheduleStore
from resonate.stores.tasks import TaskStore
from resonate.timers import Timers
from resonate.wire.current import message_to_wire
from resonate.wire.legacy import address_of, message_from_wire, poll_address

logger = logging.getLogger("resonate")

Listener = Callable[[Message], None]
FENCED_MESSAGES = ("execute", "unblock")


class Receiver(NamedTuple):
    """Who gets messages, under which group and id."""

    group: str
    id: str
    receive: Listener
    takes_fenced: bool = True
    """Whether it knows what to do with messages about fenced tasks."""


class LocalStore:
    """Promises in the memory of this process; they are gone when it ends.

    `clock` offers `time()` in seconds; without one the wall clock is used. `encoder` turns the text of values into what is kept and
    back (to compress or encrypt it); without one it is kept as it is.

    >>> store = LocalStore()
    >>> store.promises.create("a", timeout=2**45).state
    'PENDING'
    >>> store.promises.resolve("a", data="1").value.data
    '1'
    """

    in_place = True
    """Answers come at once, in the calling thread."""
    sole_owner = True
    """No other process can see these promises, so nobody else can take a run over."""
    is_far = False
    child_separator = "."
    message_of = staticmethod(message_from_wire)
    """A message as a message source brings it."""
    where = ("memory", "in memory")
    """What kind of place this is, and how the notebook calls it."""

    def __init__(self, encoder: Encoder | None = None, clock: Clock | None = None) -> None:
        self._encoder = encoder
        self._clock: Any = clock or time
        self._archive = Archive()
        self._machine = Machine(cron.next_run, self._archive)
        self._lock = threading.Lock()
        self._ahead = Ahead()
        self._receivers: tuple[Receiver, ...] = ()
        self._sources: dict[str, MessageSource] = {}
        self._find_receiver: Callable[[str], Receiver | None] | None = None
        self._timers: Timers | None = None
        self._tick_at: int | None = None
        self._added_routers: list[Router] = []
        self.on_answers: Callable[[], None] = lambda: None
        self.on_trouble: Callable[[str, Exception], None] = lambda run_id, error: None
        self.targets: dict[str, str] = {}
        self.promises = PromiseStore(self)
        self.tasks = TaskStore(self)
        self.schedules = ScheduleStore(self)
        _STORES.add(self)

    @property
    def encoder(self) -> Encoder | None:
        """What turns the text of values into what is kept."""
        return self._encoder

    @property
    def clock(self) -> Any:
        """What tells the time: `time()` in seconds."""
        return self._clock

    @property
    def routers(self) -> list[Router]:
        """What decides where a new promise is sent, asked in order."""
        return [TagRouter(), *self._added_routers]

    def add_router(self, router: Router) -> None:
        """Ask `router.route(promise)` for the address of each new promise that carries none; None sends it nowhere."""
        self._added_routers.append(router)

    def add_target(self, name: str, addr: str) -> None:
        """Let `name` stand for an address."""
        self.targets[name] = addr

    def call(self, operations: Sequence[Operation]) -> list[Any]:
        """Carry out operations in order. Each answer stands at its operation's place; a refused one is the error itself."""
        prepared = self._prepared(operations)
        return self._readable(self._in_turn(lambda machine, now: apply(machine, prepared, now)))

    def post(self, operation: Operation, deliver: Callable[[Any], None]) -> Any:
        """The answer to an operation where it is known at once, as here always; otherwise None, and `deliver` gets it later."""
        if self._added_routers or self._encoder is not None:
            return self.call((operation,))[0]
        machine = self._machine
        with self._lock:
            now = int(self._clock.time() * 1000)
            if type(operation) is CreatePromise and may_wait(operation, now):
                # Its run's own deadline, which is watched, must come first: what waits here is in no heap.
                known = self._tick_at is None or operation.timeout < self._tick_at or operation.id in self._ahead
                if not known and not machine.has(operation.id):
                    return self._ahead.answer(operation, now)
            try:
                answer = machine.apply(self._with_ahead(operation), now)
            except ResonateStoreError as error:
                answer = error
            if not machine.messages and not machine.is_crowded and not machine.is_sooner(self._tick_at):
                return answer
        self._in_turn(lambda machine, now: None)  # hand over the messages, and see to the rest
        return answer

    awaited = 0
    """How many posted operations are not answered yet."""
    trouble: StoreUnavailable | StoreDamaged | None = None
    """Why nothing can be written just now."""

    def flush(self) -> None:
        """Carry out what was posted."""

    def flush_soon(self) -> None:
        """Have what was posted carried out by another thread."""

    def _with_ahead(self, operation: Operation) -> Operation:
        """Let what was answered ahead be carried out before an operation, as far as that might look at it."""
        if not self._ahead:
            return operation
        if type(operation) is SettlePromise and operation.id in self._ahead:
            *earlier, own = self._ahead.take(operation.id)
            operation = CreateSettled(own, operation)
        else:
            earlier = self._ahead.take()
        for create in earlier:
            apply(self._machine, (create,), create.at)
        return operation

    # ---- turns ---------------------------------------------------------------------------------------------------------------------

    def _in_turn[Result](self, do: Callable[[Machine, int], Result]) -> Result:
        """Do something to the machine, with its lock, and then hand over the messages that came of it."""
        with Uninterrupted():
            with self._lock:
                result, deliveries = self._locked_turn(do)
                due = None
                if self._machine.is_sooner(self._tick_at):
                    self._tick_at = due = self._machine.next_due()
            if due is not None:
                self._wake_at(due)
            for receiver, message in deliveries:
                receiver.receive(message)
        return result

    def _locked_turn[Result](self, do: Callable[[Machine, int], Result]) -> tuple[Result, list[tuple[Receiver, Message]]]:
        now = int(self._clock.time() * 1000)
        self._bring_ahead()
        result = do(self._machine, now)
        deliveries = self._sort_out(now) if self._machine.messages else []
        if self._machine.is_crowded:
            self._machine.put_away()
        return result, deliveries

    def _bring_ahead(self) -> None:
        if self._ahead:
            apply(self._machine, self._ahead.take(), 0)

    def _sort_out(self, now: int) -> list[tuple[Receiver, Message]]:
        """Who gets which message. A task that nobody here receives stays with the machine."""
        deliveries: list[tuple[Receiver, Message]] = []
        for message in self._machine.take_messages():
            receiver = self._receiver(message.recv)
            if receiver is not None and (receiver.takes_fenced or message.kind not in FENCED_MESSAGES):
                readable = isinstance(message, TaskMessage) or self._encoder is None
                deliveries.append((receiver, message if readable else _with_values(message, self._encoder.decode)))  # type: ignore[union-attr]
            elif isinstance(message, TaskMessage):
                self._machine.apply(DeliveryFailed(message.id, message.counter), now)
        return deliveries

    # ---- receivers -----------------------------------------------------------------------------------------------------------------

    def listen(self, group: str, id: str, receive: Listener) -> Callable[[], None]:
        """Hand messages to `receive` from now on, as group `group` and id `id`; gives what ends it."""
        receiver = Receiver(group, id, receive, takes_fenced=False)  # who listens here claims tasks of the legacy kind

        def end() -> None:
            with self._lock:
                self._receivers = tuple(each for each in self._receivers if each is not receiver)

        try:
            with self._lock:
                self._receivers = (*self._receivers, receiver)
            self.send_what_waits()
        except BaseException:
            end()  # as on a full disk: nobody listens who was refused
            raise
        return end

    def connect(self, source: MessageSource) -> None:
        """Hand messages to `source.enqueue` from now on, in the form that a server sends them."""
        address = poll_address(source.unicast, None)
        if address is None:
            raise ValueError(f"{source.unicast} is no address of a message source")
        _, group, own_id = address
        self._sources[source.unicast] = source
        receiver = Receiver(group, own_id, lambda message: source.enqueue(message_to_wire(message)))
        with self._lock:
            kept = (each for each in self._receivers if each[:2] != receiver[:2])
            self._receivers = (*kept, receiver)
        self.send_what_waits()

    def disconnect(self, source: MessageSource) -> None:
        """Hand no more messages to a source."""
        self._sources.pop(source.unicast, None)
        address = (poll_address(source.unicast, None) or ("", "", ""))[1:]
        with self._lock:
            self._receivers = tuple(each for each in self._receivers if each[:2] != address)

    def route_messages(self, find: Callable[[str], Receiver | None]) -> None:
        """Ask `find` who gets a message for an address, rather than those who listen here: it may know other kinds of addresses.

        It is asked with the store's lock held, so it must neither block nor call the store; what it gives may.
        """
        self._find_receiver = find

    def message_source(self, group: str, id: str) -> LocalMessageSource:
        """A message source that receives what this store sends."""
        return LocalMessageSource(self, group, id)

    def address(self, target: str) -> str:
        """The address of a logical target, as promises carry it."""
        return self.targets.get(target) or address_of(target)

    # ---- time ------------------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to act when deadlines and leases fall due. Starting twice is starting once."""
        with self._lock:
            if self._timers is not None:
                return
            self._timers = Timers("resonate-store")
            self._tick_at = None
        self.send_what_waits()
        self._tick(None)

    def stop(self, timeout_s: float = 0.0) -> None:
        """Act no more by itself, once nobody listens any more; what is stored stays, and operations are still answered."""
        with self._lock:
            if self._receivers:
                return
            timers, self._timers = self._timers, None
        if timers is not None:
            timers.stop(timeout_s)

    def tick(self) -> None:
        """Act on everything that has fallen due by the store's clock. A store that is started does it by itself."""
        self._in_turn(Machine.tick)

    notify = tick

    def before_fork(self) -> bool:
        """Let no operation be half done in the copy that a fork makes; whether that was reached in time."""
        is_held = self._lock.acquire(timeout=FORK_WAIT_LIMIT_S)
        if is_held:
            try:
                self._bring_ahead()
                self._archive.before_fork()
            except Exception:  # as MemoryError: the child then does without what was put away
                logger.exception("what was put away is not there after this fork")
        return is_held

    def after_fork(self, *, was_held: bool, is_child: bool) -> None:
        """Go on in the parent. The child has the promises as they were, and no threads and receivers: those are the parent's."""
        self._archive.after_fork(is_child=is_child)
        if not is_child:
            if was_held:
                self._lock.release()
            return
        self._lock = threading.Lock()
        self._receivers, self._sources, self._find_receiver = (), {}, None
        self._timers, self._tick_at = None, None

    def _wake_at(self, due: int) -> None:
        timers = self._timers
        if timers is not None:
            # A wall clock may jump: look again at least every minute rather than trust one long wait.
            timers.after(min(due / 1000 - self._clock.time(), TIMER_SLICE_S), lambda: self._tick(due))

    def _tick(self, due: int | None) -> None:
        if due != self._tick_at:
            return  # an earlier moment was set since; that one looks after the rest
        self._tick_at = None
        self.tick()

    def send_what_waits(self) -> None:
        """Send once more what could not be delivered: somebody listens now."""
        self._in_turn(Machine.redeliver)

    def _receiver(self, recv: str) -> Receiver | None:
        if self._find_receiver is not None:
            return self._find_receiver(recv)
        receivers = self._receivers
        if len(receivers) < 2:
            return receivers[0] if receivers else None
        address = self._addressee(recv)
        return None if address is None else self._addressed(address)

    def _addressee(self, recv: str) -> tuple[str, str, str] | None:
        return poll_address(self.targets.get(recv) or (recv if recv.startswith("{") else address_of(recv)))

    def _addressed(self, address: tuple[str, str, str]) -> Receiver | None:
        cast, group, wanted = address
        found: Receiver | None = None
        for receiver in self._receivers:
            if receiver.group == group and cast in ("any", "uni"):
                if receiver.id == wanted:
                    return receiver
                found = found or (receiver if cast == "any" else None)
        return found

    # ---- what is kept --------------------------------------------------------------------------------------------------------------

    def _prepared(self, operations: Sequence[Operation]) -> Sequence[Operation]:
        if not self._added_routers and self._encoder is None:
            return operations
        return [self._prepared_one(operation) for operation in operations]

    def _readable(self, answers: list[Any]) -> list[Any]:
        return answers if self._encoder is None else [_with_values(answer, self._encoder.decode) for answer in answers]

    def _prepared_one(self, operation: Operation) -> Operation:
        if isinstance(operation, CreateLeased):
            return replace(operation, promise=self._prepared_one(operation.promise))  # type: ignore[arg-type]
        if isinstance(operation, CreatePromise) and operation.target is None:
            record = PromiseRecord(operation.id, "PENDING", operation.timeout, operation.param, NOTHING, operation.tags, None, False, 0)
            routes = (router.route(DurablePromise.from_record(self, record)) for router in self._added_routers)
            operation = replace(operation, target=next((route for route in routes if route is not None), None))
        if self._encoder is not None and isinstance(operation, (*_WITH_VALUES, EnsureAcquired, ActFenced)):
            changed: Operation = _with_values(operation, self._encoder.encode)
            return changed
        return operation


def apply(machine: Machine, operations: Sequence[Operation], now: int) -> list[Any]:
    """The answers to operations, in order; a refused one's is the error itself."""
    answers: list[Any] = []
    for operation in operations:
        try:
            answers.append(machine.apply(operation, now))
        except ResonateStoreError as error:
            answers.append(error)
    return answers


_VALUES = ("param", "value", "promise_param")
_WITH_VALUES = (CreatePromise, SettlePromise, CreateSchedule, EnsurePromise, FulfillTask, EnsureSchedule)
_WITHIN = {
    NotifyMessage: ("promise",), Claimed: ("root", "leaf"), EnsureAcquired: ("promise",), ActFenced: ("action",),
    Acquired: ("promise", "preload"), Fenced: ("promise", "preload"), Suspended: ("preload",),
}  # fmt: skip


def _with_values(thing: Any, change: Callable[[Any], Any]) -> Any:
    """An operation or answer with the text of each of its values changed."""
    if isinstance(thing, (*_WITH_VALUES, PromiseRecord, ScheduleRecord)):
        values: dict[str, Encoded] = {name: getattr(thing, name) for name in _VALUES if hasattr(thing, name)}
        changed: Any = {name: (value[0], None if value[1] is None else change(value[1])) for name, value in values.items()}
        return replace(thing, **changed)
    if type(thing) in _WITHIN:
        return replace(thing, **{name: _with_values(getattr(thing, name), change) for name in _WITHIN[type(thing)]})
    if type(thing) in (list, tuple):
        return type(thing)(_with_values(each, change) for each in thing)
    return thing


_STORES: weakref.WeakSet[LocalStore] = weakref.WeakSet()
_held: list[LocalStore] = []


def _before_fork() -> None:
    _held.extend(store for store in list(_STORES) if store.before_fork())


def _after_fork(is_child: bool) -> None:
    for store in list(_STORES):
        try:
            store.after_fork(was_held=store in _held, is_child=is_child)
        except Exception:  # the trouble of one store, as a file that is gone, must not leave the locks of the others held
            logger.exception("a store cannot be used in this process")
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=lambda: _after_fork(is_child=False), after_in_child=lambda: _after_fork(is_child=True)
    )
