"""`Resonate`: the client that users make, and `Function`: what registering gives back."""

from __future__ import annotations

import functools
import inspect
import itertools
import logging
import os
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Coroutine, Generator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol, Self, cast, overload

from resonate import stores
from resonate.context import Context, Random, Time
from resonate.coroutine import LFI, Command, Composed, plain_function
from resonate.dependencies import Dependencies
from resonate.encoders import DEFAULT, encode_call, encoder_for
from resonate.errors import ResonateStoreError
from resonate.events import Event, FinalState, PromiseCreated, PromiseSettled
from resonate.handle import Handle
from resonate.interrupts import Uninterrupted
from resonate.labels import label_arguments, label_data, label_recorded
from resonate.limits import EVENT_BUFFER_LIMIT, REQUEST_TIMEOUT_S, STOP_TIMEOUT_S, TIMEOUT_LIMIT_MS, WORKERS_LIMIT
from resonate.message_sources import LocalMessageSource
from resonate.models.encoder import Encoder
from resonate.models.message_source import MessageSource
from resonate.models.retry_policy import RetryPolicy
from resonate.models.store import Store
from resonate.observers import Observers, Subscription
from resonate.options import Options, check_option
from resonate.protocol import (
    TAKEN_OVER,
    CreatePromise,
    GetPromise,
    Kind,
    Lineage,
    ListDescendants,
    Operation,
    PromiseRecord,
    Prune,
    SearchPromises,
    SettlePromise,
)
from resonate.refusals import error_text
from resonate.registry import Registry
from resonate.runtime import Runtime
from resonate.steps import Steps
from resonate.stores.face import Backend, checked_text
from resonate.stores.foreign import ForeignStore
from resonate.stores.local import LocalStore
from resonate.stores.promises import PromiseStore
from resonate.stores.schedules import ScheduleStore
from resonate.stores.sqlite import SqliteStore
from resonate.tracker import Tracker
from resonate.wire.legacy import read_tags
from resonate.wire.lineage import guessed_lineage

if TYPE_CHECKING:
    from resonate.recordings import Recording
    from resonate.stores.remote import RemoteStore
    from resonate.transport.connections import Credentials

# Programs for 0.6.7 import the types `Context`, `Time` and `Random` from here too.
__all__ = ["ALLOWED_LOG_LEVELS", "Context", "Function", "Random", "Resonate", "Time"]

ALLOWED_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_FINAL: dict[str, FinalState] = {
    "RESOLVED": "resolved", "REJECTED": "rejected", "REJECTED_CANCELED": "canceled", "REJECTED_TIMEDOUT": "timedout",
}  # fmt: skip


class Resonate:
    """A client: registers functions, launches durable runs, and works on them in this process.

    Without a store it keeps promises in memory, and they are gone when the process ends.

    >>> resonate = Resonate()
    >>> @resonate.register
    ... def greet(ctx, name):
    ...     return f"hello {name}"
    >>> resonate.run("greet-1", greet, "ana")
    'hello ana'
    """

    def __init__(
        self, *, dependencies: Dependencies | None = None, group: str = "default", log_level: int | str = logging.NOTSET,
        message_source: MessageSource | None = None, pid: str | None = None, registry: Registry | None = None,
        store: LocalStore | RemoteStore | Store | None = None, ttl: int = 10, workers: int | None = None, encoder: Encoder | None = None,
    ) -> None:  # fmt: skip
        _expect("dependencies", dependencies, Dependencies, optional=True)
        _expect("group", group, str)
        _expect("log_level", log_level, (int, str))
        if message_source is not None and not isinstance(message_source, MessageSource):
            raise TypeError(f"message_source must be `MessageSource | None`, got {type(message_source).__name__}")
        _expect("pid", pid, str, optional=True)
        _expect("registry", registry, Registry, optional=True)
        _expect("store", store, Store, optional=True)
        _expect("ttl", ttl, int)
        _expect("workers", workers, int, optional=True)
        _expect("encoder", encoder, Encoder, optional=True)
        if isinstance(log_level, str) and log_level.upper() not in ALLOWED_LOG_LEVELS:
            raise ValueError(f"log_level must be one of {', '.join(ALLOWED_LOG_LEVELS)}, got {log_level!r}")
        if isinstance(store, LocalStore) and not isinstance(message_source, LocalMessageSource | None):
            raise TypeError(f"the message_source of a LocalStore must be `LocalMessageSource`, got {type(message_source).__name__}")
        if message_source is not None and store is None:
            raise ValueError("a message_source needs the store that it belongs to: Resonate(store=store, message_source=...)")
        if _is_far(store) and isinstance(message_source, LocalMessageSource):
            raise TypeError("the message_source of a RemoteStore must be a `Poller`, or none, got LocalMessageSource")
        if store is not None and not isinstance(store, LocalStore) and not _is_far(store) and message_source is None:
            raise ValueError(f"a {type(store).__name__} needs its message_source: Resonate(store=store, message_source=...)")
        if ttl <= 0:
            raise ValueError(f"ttl must be a positive number of seconds, got {ttl}")
        if workers is not None and workers < 0:
            raise ValueError(f"workers must not be negative, got {workers}")
        self._shared = _Shared(
            _backend(store), registry or Registry(), dependencies or Dependencies(), pid or uuid.uuid4().hex, group, ttl,
            min(WORKERS_LIMIT, workers or os.cpu_count() or 1), message_source, encoder_for(encoder),
            _level(log_level),
        )  # fmt: skip
        self._options = Options(target=group)  # whoever takes a run over belongs to the group that it was launched in

    @classmethod
    def local(
        cls, dependencies: Dependencies | None = None, group: str = "default", log_level: int | str = logging.INFO,
        pid: str | None = None, registry: Registry | None = None, ttl: int = 10, workers: int | None = None,
        *, path: str | os.PathLike[str] | None = None, durability: str = "full", encoder: Encoder | None = None,
    ) -> Self:  # fmt: skip
        """A client whose promises live in the memory of this process, or with `path` in a file that outlives it.

        What is unfinished in the file goes on as soon as its functions are registered; several processes may work on one file. With
        `durability="full"` an acknowledged step survives a power cut, with `"fast"` it survives the end of the process.
        `StoreUnavailable` or `StoreDamaged` say why a file cannot be used; neither is ever written over.

        `ttl` is the lease in seconds, `workers` how many functions run at once (at most 32; without it, as many as there are processors),
        `log_level` what is said about executions on standard error: a level of `logging` or its name. `encoder` turns all values of this
        client into what is stored (`resonate.encoders.PickleEncoder` for objects of any class).

        >>> with Resonate.local(log_level="ERROR") as resonate:
        ...     resonate.start()
        """
        store = None if path is None else SqliteStore(path, durability)
        return cls(
            dependencies=dependencies, group=group, log_level=log_level, pid=pid, registry=registry, store=store, ttl=ttl,
            workers=workers, encoder=encoder,
        )  # fmt: skip

    @classmethod
    def remote(
        cls, auth: Credentials = None, dependencies: Dependencies | None = None, group: str = "default", host: str | None = None,
        log_level: int | str = logging.INFO, message_source_port: str | int | None = None, pid: str | None = None,
        registry: Registry | None = None, store_port: str | int | None = None, ttl: int = 10, workers: int | None = None,
        *, protocol: str | None = None, encoder: Encoder | None = None,
    ) -> Self:  # fmt: skip
        """A client of a Resonate Server: the same functions, with workers anywhere.

        `host` is as `http://localhost` or a whole address, `auth` a (user, password) or a bearer token; what is not given is read from the
        environment (RESONATE_HOST, RESONATE_PORT_STORE, RESONATE_PORT_MESSAGE_SOURCE, RESONATE_USERNAME, RESONATE_PASSWORD,
        RESONATE_TOKEN). Which generation of server it is, is found out; `protocol` is `legacy` or `current` to say so. The server need not
        be there yet. The other arguments are those of `local`.

        >>> Resonate.remote(host="http://localhost:8001")
        Resonate(on http://localhost:8001, not asked yet, group='default', 0 functions)
        """
        store = stores.RemoteStore(
            host, store_port, auth, protocol=protocol, message_source_port=message_source_port, log_level=_level(log_level)
        )
        return cls(
            dependencies=dependencies, group=group, log_level=log_level, pid=pid, registry=registry, store=store, ttl=ttl,
            workers=workers, encoder=encoder,
        )  # fmt: skip

    def __repr__(self) -> str:
        shared = self._shared
        values = "" if shared.encoder is DEFAULT else f", {shared.encoder!r}"
        return f"Resonate({shared.store.where[1]}, group={shared.group!r}, {len(shared.registry.functions())} functions{values})"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # ---- what belongs to a client ----------------------------------------------------------------------------------------------------

    @property
    def promises(self) -> PromiseStore:
        """Promises by id: get, create, resolve, reject, cancel, search."""
        promises: PromiseStore = self._shared.store.promises
        return promises

    @property
    def schedules(self) -> ScheduleStore:
        """Promises to be made at given times: create, get, delete, search."""
        schedules: ScheduleStore = self._shared.store.schedules
        return schedules

    @property
    def registry(self) -> Registry:
        """The functions registered here."""
        return self._shared.registry

    @property
    def encoder(self) -> Encoder:
        """The encoder of this client's values: `encode(value)` gives (headers, data)."""
        return encoder_for(self._options.encoder, self._shared.encoder)

    @property
    def where(self) -> tuple[str, str]:
        """Where promises live: the kind of place (`memory`) and how it is called."""
        return self._shared.store.where

    @property
    def trouble(self) -> str:
        """Why the server cannot be asked just now; "" while it can be, and where there is none."""
        trouble = cast("RemoteStore", self._shared.store).trouble if _is_far(self._shared.store) else None
        return "" if trouble is None else trouble.mesg

    def reach(self, timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        """Ask the server whether it is there. `StoreUnavailable` says why not; promises in this process or in a file are always there."""
        if _is_far(self._shared.store):
            cast("RemoteStore", self._shared.store).reach(timeout_s)

    def start(self) -> None:
        """Begin to work. Launching anything does it too; starting twice is starting once."""
        self._shared.runtime()

    def stop(self, timeout: float = STOP_TIMEOUT_S) -> None:
        """End the threads within `timeout` seconds. Whoever waits for a run gets `ResonateShutdownError`; promises stay as they are."""
        self._shared.stop(timeout)

    def set_dependency(self, name: str, obj: Any) -> None:
        """Give durable functions of this process an object, read with `ctx.get_dependency(name)`. TypeError when the name is not text."""
        self._shared.dependencies.add(name, obj)

    def options(
        self, *, encoder: Encoder | None = None, idempotency_key: str | Callable[[str], str | None] | None = None,
        retry_policy: RetryPolicy | Callable[[Callable[..., Any]], RetryPolicy] | None = None, tags: dict[str, str] | None = None,
        target: str | None = None, timeout: float | None = None, version: int | None = None,
    ) -> Resonate:  # fmt: skip
        """A copy of this client with other options for what it launches; the client itself is not changed. `timeout` is in seconds."""
        given = {
            "encoder": encoder, "idempotency_key": idempotency_key, "retry_policy": retry_policy, "tags": tags, "target": target,
            "timeout": timeout, "version": version,
        }  # fmt: skip
        for name, value in given.items():
            if value is not None:
                check_option(name, value)
        return self._with(self._options.merge(**given))

    # ---- registering -----------------------------------------------------------------------------------------------------------------

    @overload
    def register[**P, R](self, func: Callable[P, R], /, *, name: str | None = None, version: int = 1) -> Function[P, R]: ...
    @overload
    def register(self, func: None = None, /, *, name: str | None = None, version: int = 1) -> _Registering: ...
    def register(self, func: Callable[..., Any] | None = None, /, *, name: str | None = None, version: int = 1) -> Any:
        """Make a function known by name and version: as a decorator, with or without arguments, or called with the function.

        ValueError when it is no plain function or its name and version are taken.
        """
        _expect("name", name, str, optional=True)
        _expect("version", version, int)
        if func is None:
            return functools.partial(self.register, name=name, version=version)
        if not callable(func):
            raise TypeError(f"func must be a function, got {type(func).__name__}")
        raw = plain_function(func)
        self.registry.add(raw, name, version)
        return Function(self, name or raw.__name__, raw, self._options.merge(version=version))

    # ---- launching -------------------------------------------------------------------------------------------------------------------

    @overload
    def run[R](self, id: str, func: Composed[R], *args: Any, **kwargs: Any) -> R: ...
    @overload
    def run[R](self, id: str, func: Callable[..., R], *args: Any, **kwargs: Any) -> R: ...
    @overload
    def run(self, id: str, func: str, *args: Any, **kwargs: Any) -> Any: ...
    def run(self, id: str, func: str | Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Launch a run here and wait for its value; `begin_run(...).result()`."""
        return self.begin_run(id, func, *args, **kwargs).result()

    @overload
    def begin_run[R](self, id: str, func: Composed[R], *args: Any, **kwargs: Any) -> Handle[R]: ...
    @overload
    def begin_run[R](self, id: str, func: Callable[..., R], *args: Any, **kwargs: Any) -> Handle[R]: ...
    @overload
    def begin_run(self, id: str, func: str, *args: Any, **kwargs: Any) -> Handle[Any]: ...
    def begin_run(self, id: str, func: str | Callable[..., Any], *args: Any, **kwargs: Any) -> Handle[Any]:
        """Launch a run in this process, under an id of your choice, and go on at once.

        An id that exists already is joined: its result counts, the function is not called again. ValueError when the function is not
        registered, `ValueNotStorable` for arguments that cannot be stored, `ResonateStoreError` when the idempotency key differs.
        """
        name, raw, version = self.registry.get(_checked(id, func), self._options.version)
        create = self._root_promise(id, "run", name, version, args, kwargs)
        command: Command[Any] = LFI(id, "run", name, raw, args, kwargs, self._options, version)
        command.key = create.key
        handle = self._handle(id)
        shared = self._shared
        shared.runtime().launch(create, command, handle)
        return handle

    @overload
    def rpc(self, id: str, func: str, *args: Any, **kwargs: Any) -> Any: ...
    @overload
    def rpc[R](self, id: str, func: Composed[R], *args: Any, **kwargs: Any) -> R: ...
    @overload
    def rpc[R](self, id: str, func: Callable[..., R], *args: Any, **kwargs: Any) -> R: ...
    def rpc(self, id: str, func: str | Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Ask any worker of the target group to run a function and wait for its value; `begin_rpc(...).result()`."""
        return self.begin_rpc(id, func, *args, **kwargs).result()

    @overload
    def begin_rpc(self, id: str, func: str, *args: Any, **kwargs: Any) -> Handle[Any]: ...
    @overload
    def begin_rpc[R](self, id: str, func: Composed[R], *args: Any, **kwargs: Any) -> Handle[R]: ...
    @overload
    def begin_rpc[R](self, id: str, func: Callable[..., R], *args: Any, **kwargs: Any) -> Handle[R]: ...
    def begin_rpc(self, id: str, func: str | Callable[..., Any], *args: Any, **kwargs: Any) -> Handle[Any]:
        """Ask any worker of the target group to run a function, and go on at once. A name need not be registered here."""
        if isinstance(_checked(id, func), str):
            name, version = str(func), self._options.version or self.registry.latest(func)
        else:
            name, _, version = self.registry.get(func, self._options.version)
        handle = self._handle(id)
        self._shared.runtime().watch(handle, self._root_promise(id, "rpc", name, version, args, kwargs))
        return handle

    def get(self, id: str) -> Handle[Any]:
        """A handle of a promise that exists; `ResonateStoreError` (40400) when there is none."""
        handle = self._handle(checked_text("id", id))
        self._shared.runtime().watch(handle)
        return handle

    def cancel(self, run_id: str) -> list[str]:
        """Call a run off, with every pending promise below it; the ids that were canceled. `ResonateStoreError` when the run is settled.

        Functions that are running end on their own; what they return is dropped.
        """
        self.promises.cancel(run_id)
        records = self._shared.store.call([ListDescendants(run_id)])[0]
        pending = [record.id for record in records if record.state == "PENDING"]
        answers = self._shared.store.call([SettlePromise(each, "REJECTED_CANCELED") for each in pending])
        canceled = [each for each, answer in zip(pending, answers, strict=True) if not isinstance(answer, ResonateStoreError)]
        return [run_id, *canceled]

    def retry(self, id: str, new_id: str | None = None, from_step: str | None = None) -> Handle[Any]:
        """Begin a run that is over anew, with today's code, from where it failed: a new run takes over every step of it that has a value.

        The old run is not changed. `new_id` is its id with a number (`order-7-2`) unless given; with `from_step`, the id of one of its
        steps, that step and all that came after it are run again. `ResonateStoreError` when there is no such run or step, when the run
        is not over, or when `new_id` is taken.

        >>> resonate, days = Resonate(log_level="CRITICAL"), []
        >>> def load(ctx, day):
        ...     days.append(day)
        ...     return day
        >>> @resonate.register
        ... def total(ctx):
        ...     first = yield ctx.run(load, 1)
        ...     second = yield ctx.run(load, 2)
        ...     return first + second if len(days) > 2 else 1 / 0
        >>> resonate.begin_run("t", total).future.exception()
        ZeroDivisionError('division by zero')
        >>> days.append("mended"), resonate.retry("t").result(), days
        (None, 3, [1, 2, 'mended'])
        """
        record: PromiseRecord = self._shared.ask(GetPromise(checked_text("id", id)))
        asked = self._shared.encoder.decode(record.param)
        if not isinstance(asked, dict) or not isinstance(asked.get("func"), str) or record.lineage is None:
            raise ValueError(f"{id} is no run of a function, so there is nothing to begin anew")
        name, raw, version = self.registry.get(asked["func"], asked.get("version", 0))
        new = checked_text("new_id", new_id) if new_id is not None else self._free_id(id)
        timeout = min(int(time.time() * 1000) + record.timeout - record.created_on, TIMEOUT_LIMIT_MS)
        create = CreatePromise(
            new, timeout, self._options.key_for(new), False, record.param, {**(record.tags or {}), TAKEN_OVER: id}, record.target, False,
            Lineage(new, new, None, record.lineage.kind, name),
        )  # fmt: skip
        args, kwargs = tuple(asked.get("args") or ()), dict(asked.get("kwargs") or {})
        command: Command[Any] = LFI(new, record.lineage.kind, name, raw, args, kwargs, self._options, version)
        command.key = create.key
        handle = self._handle(new)
        self._shared.runtime().launch(create, command, handle, id, from_step)
        return handle

    def record(self, id: str) -> Recording:
        """A run as it stands, ended or not, as plain data: to save, to replay against today's code, to compare with another.

        `ResonateStoreError` (40400) when there is no such run, ValueError when the id is that of a part of one. See `resonate.recordings`.
        """
        from resonate.recordings import Recording

        root = self._shared.ask(GetPromise(checked_text("id", id)))
        return Recording.of(root, self._shared.ask(ListDescendants(id)), self._shared.store.child_separator)

    def _free_id(self, id: str) -> str:
        for number in itertools.count(2):
            free = f"{id}-{number}"
            if isinstance(self._shared.store.call([GetPromise(free)])[0], ResonateStoreError):
                return free
        raise AssertionError("numbers never end")

    def prune(self, older_than: float, *, dry_run: bool = False) -> list[str]:
        """Delete every run that was over `older_than` seconds ago or longer, with all of its promises; gives their ids.

        With `dry_run` nothing is deleted: the ids are those of runs that would be.

        >>> Resonate().prune(older_than=30 * 24 * 3600)
        []
        """
        seconds = float(older_than)
        if not 0 <= seconds < 1e12:
            raise ValueError(f"older_than must be a number of seconds, 0 or more, got {older_than}")
        pruned: list[str] = self._shared.ask(Prune(int((time.time() - seconds) * 1000) + 1, dry_run))
        if pruned and not dry_run and isinstance(self._shared.store, SqliteStore):
            self._shared.store.compact()
        return pruned

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Write a consistent copy of this client's file, as it is now, to a new file. ValueError when the client has no file."""
        if not isinstance(self._shared.store, SqliteStore):
            raise ValueError(f"only promises in a file can be copied, these are {self._shared.store.where[1]}")
        self._shared.store.backup(path)

    def unfinished(self) -> dict[str, str]:
        """The outermost runs that are not over, oldest first, each with the name of its function."""
        found: list[PromiseRecord] = []
        before: int | None = None
        while True:
            records, before = self._shared.ask(SearchPromises("*", ("PENDING",), before=before))
            found += records
            if before is None:
                break
        outermost = (each for each in reversed(found) if each.lineage is not None and each.lineage.parent is None)
        return {each.id: each.lineage.name for each in outermost if each.lineage is not None}

    def waiting(self) -> dict[str, list[str]]:
        """Runs that wait for a function to be registered, by its name: as they do when a file is opened again."""
        return self._shared.runtime().waiting()

    def size(self) -> int | None:
        """Bytes on the disk of this client's file; None when it has none."""
        store = self._shared.store
        return store.size() if isinstance(store, SqliteStore) else None

    # ---- watching --------------------------------------------------------------------------------------------------------------------

    def subscribe(self, run_id: str | None = None, limit: int = EVENT_BUFFER_LIMIT) -> Subscription:
        """A bounded buffer of facts (`resonate.events`) about one outermost run, or about all of this client."""
        return self._shared.observers.subscribe(run_id, limit)

    def snapshot(self, run_id: str) -> list[Event]:
        """All facts about one outermost run as they stand, oldest first; empty when there is no such run."""
        facts: list[Event] = []
        for record in self._shared.store.call([ListDescendants(run_id)])[0]:
            facts += self._facts(run_id, record)
        return facts + self._shared.runtime().live_events(run_id) if facts else []

    def follow(self, run_id: str) -> None:
        """Tell observers of an outermost run that other processes work on, as of one that is at work here, until it is over.

        Its server is asked about it now and then. Of what is in this process, or in a file, observers are told without being asked for.
        """
        if _is_far(self._shared.store):
            self._shared.tracker(self._facts).track(run_id)

    def _facts(self, origin: str, record: PromiseRecord) -> list[Event]:
        lineage = record.lineage or guessed_lineage(record, origin)
        name = lineage.name
        arguments: tuple[tuple[str, str], ...] = ()
        try:
            param = self._shared.encoder.decode(record.param)
            if lineage.kind == "promise":
                arguments = label_data(param)
            elif isinstance(param, dict) and "func" in param:
                known = self.registry.find(param["func"])
                name = str(param["func"]) if record.lineage is None else name
                arguments = label_arguments(known, tuple(param.get("args") or ()), dict(param.get("kwargs") or {}))
            elif lineage.arguments:
                arguments = label_recorded(self.registry.find(name), lineage.arguments)
        except (ValueError, TypeError):
            arguments = (("", "<unreadable>"),)
        created = PromiseCreated(
            origin, record.id, record.created_on / 1000, lineage.parent, lineage.kind, name, arguments, record.timeout / 1000
        )
        if record.state == "PENDING":
            return [created]
        at = (record.completed_on or record.created_on) / 1000
        is_taken_over = record.tags is not None and TAKEN_OVER in record.tags and lineage.parent is not None
        return [created, PromiseSettled(origin, record.id, at, _FINAL[record.state], is_taken_over, error_text(record))]

    # ---- small parts -----------------------------------------------------------------------------------------------------------------

    def _with(self, options: Options) -> Resonate:
        copy = object.__new__(type(self))
        copy._shared = self._shared
        copy._options = options
        return copy

    def _handle(self, id: str) -> Handle[Any]:
        return Handle(id, self.encoder, self._shared.runtime().blocking, self)

    def _root_promise(self, id: str, kind: Kind, name: str, version: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CreatePromise:
        option = self._options
        param = encode_call(self.encoder, name, args, kwargs, version)
        _, timer, not_before = read_tags(option.tags)
        return CreatePromise(
            id, min(int((time.time() + option.timeout) * 1000), TIMEOUT_LIMIT_MS), option.key_for(id), False, param,
            dict(option.tags) if option.tags else None, self._shared.store.address(option.target), timer, Lineage(id, id, None, kind, name),
            not_before=not_before,
        )  # fmt: skip


class _Shared:
    """What all copies of a client share: the store, the functions, and the runtime once it is started."""

    def __init__(
        self, store: Backend, registry: Registry, dependencies: Dependencies, pid: str, group: str, ttl_s: int, workers: int,
        source: MessageSource | None, encoder: Encoder, log_level: int,
    ) -> None:  # fmt: skip
        self.store = store
        self.encoder = encoder
        self.source = source
        self.registry = registry
        self.dependencies = dependencies
        self.pid = pid
        self.group = group
        self.ttl_s = ttl_s
        self.observers = Observers()
        self._workers = workers
        self._log_level = log_level
        self._runtime: Runtime | None = None
        self._tracker: Tracker | None = None
        self._lock = threading.Lock()
        registry.watch(self.registered)
        _CLIENTS.add(self)

    def runtime(self) -> Runtime:
        """The running runtime; started on first use, anew after a stop."""
        runtime = self._runtime
        if runtime is not None:
            return runtime
        with self._lock:
            if self._runtime is None:
                steps = Steps(
                    self.registry, self.dependencies, self.observers, self.store.address, log_level=self._log_level, encoder=self.encoder,
                    separator=lambda: self.store.child_separator,
                )  # fmt: skip
                made = Runtime(
                    self.store, self.registry, self.observers, steps, pid=self.pid, group=self.group, ttl_s=self.ttl_s,
                    workers=self._workers, source=self.source,
                )  # fmt: skip
                with Uninterrupted() if self.source is None else nullcontext():  # else code of theirs is called, which may take long
                    made.start()
                    self._runtime = made
            return self._runtime

    def tracker(self, facts: Callable[[str, PromiseRecord], list[Event]]) -> Tracker:
        """Who asks a server about the runs of others; made on first use."""
        with self._lock:
            if self._tracker is None:
                self._tracker = Tracker(cast("RemoteStore", self.store), facts, self.observers.publish)
            return self._tracker

    def ask(self, operation: Operation) -> Any:
        """The store's answer; raises what it refuses with."""
        answer = self.store.call([operation])[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def registered(self, name: str) -> None:
        """Take up what has waited for a function."""
        if self._runtime is not None:
            self._runtime.registered(name)

    def stop(self, timeout_s: float) -> None:
        """Stop the runtime, if there is one; the next use starts another."""
        with self._lock:
            runtime, self._runtime = self._runtime, None
            tracker, self._tracker = self._tracker, None
        if tracker is not None:
            tracker.close()
        if runtime is not None:
            runtime.stop(timeout_s)
        elif self.store.is_far:
            cast("RemoteStore", self.store).release()

    def after_fork(self) -> None:
        """In the child of a fork: begin anew on the next use, as a process of its own."""
        runtime, self._runtime = self._runtime, None
        self._lock = threading.Lock()
        self.observers = Observers()
        self.pid = f"{self.pid}-{os.getpid()}"
        if runtime is not None:
            runtime.after_fork()


_CLIENTS: weakref.WeakSet[_Shared] = weakref.WeakSet()


def _after_fork() -> None:
    for shared in list(_CLIENTS):
        shared.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Function[**P, R]:
    """A registered function: called, it is the plain function; `run`, `begin_run`, `rpc` and `begin_rpc` launch it durably.

    >>> resonate = Resonate()
    >>> @resonate.register(name="square", version=2)
    ... def f(ctx, x):
    ...     return x * x
    >>> f.name, f.options(timeout=60).run("square-4", 4)
    ('square', 16)
    """

    def __init__(self, client: Resonate, name: str, func: Callable[P, R], options: Options) -> None:
        functools.update_wrapper(self, func)
        self._client = client
        self._name = name
        self._func = func
        self._options = options

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the plain function: nothing is stored."""
        return self._func(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return self._func == (other._func if isinstance(other, Function) else other)

    def __hash__(self) -> int:
        return hash(self._func)

    def __repr__(self) -> str:
        return f"Function({self._name}{inspect.signature(self._func)})"

    @property
    def name(self) -> str:
        """The name under which it is registered."""
        return self._name

    @property
    def func(self) -> Callable[P, R]:
        """The function itself."""
        return self._func

    def options(
        self, *, encoder: Encoder | None = None, idempotency_key: str | Callable[[str], str | None] | None = None,
        retry_policy: RetryPolicy | Callable[[Callable[..., Any]], RetryPolicy] | None = None, tags: dict[str, str] | None = None,
        target: str | None = None, timeout: float | None = None, version: int | None = None,
    ) -> Function[P, R]:  # fmt: skip
        """A copy with other options for what it launches; this one is not changed. `timeout` is in seconds."""
        launcher = self._launcher().options(
            encoder=encoder, idempotency_key=idempotency_key, retry_policy=retry_policy, tags=tags, target=target, timeout=timeout,
            version=version,
        )  # fmt: skip
        return Function(self._client, self._name, self._func, launcher._options)

    @overload
    def run[T](self: Function[P, Generator[Any, Any, T]], id: str, *args: Any, **kwargs: Any) -> T: ...
    @overload
    def run[T](self: Function[P, Coroutine[Any, Any, T]], id: str, *args: Any, **kwargs: Any) -> T: ...
    @overload
    def run(self, id: str, *args: Any, **kwargs: Any) -> R: ...
    def run(self, id: str, *args: Any, **kwargs: Any) -> Any:
        """Launch it here and wait for its value."""
        return self.begin_run(id, *args, **kwargs).result()

    @overload
    def begin_run[T](self: Function[P, Generator[Any, Any, T]], id: str, *args: Any, **kwargs: Any) -> Handle[T]: ...
    @overload
    def begin_run[T](self: Function[P, Coroutine[Any, Any, T]], id: str, *args: Any, **kwargs: Any) -> Handle[T]: ...
    @overload
    def begin_run(self, id: str, *args: Any, **kwargs: Any) -> Handle[R]: ...
    def begin_run(self, id: str, *args: Any, **kwargs: Any) -> Handle[Any]:
        """Launch it in this process and go on at once."""
        return self._launcher().begin_run(id, self._func, *args, **kwargs)

    @overload
    def rpc[T](self: Function[P, Generator[Any, Any, T]], id: str, *args: Any, **kwargs: Any) -> T: ...
    @overload
    def rpc[T](self: Function[P, Coroutine[Any, Any, T]], id: str, *args: Any, **kwargs: Any) -> T: ...
    @overload
    def rpc(self, id: str, *args: Any, **kwargs: Any) -> R: ...
    def rpc(self, id: str, *args: Any, **kwargs: Any) -> Any:
        """Ask any worker of the target group to run it and wait for its value."""
        return self.begin_rpc(id, *args, **kwargs).result()

    @overload
    def begin_rpc[T](self: Function[P, Generator[Any, Any, T]], id: str, *args: Any, **kwargs: Any) -> Handle[T]: ...
    @overload
    def begin_rpc[T](self: Function[P, Coroutine[Any, Any, T]], id: str, *args: Any, **kwargs: Any) -> Handle[T]: ...
    @overload
    def begin_rpc(self, id: str, *args: Any, **kwargs: Any) -> Handle[R]: ...
    def begin_rpc(self, id: str, *args: Any, **kwargs: Any) -> Handle[Any]:
        """Ask any worker of the target group to run it, and go on at once."""
        return self._launcher().begin_rpc(id, self._func, *args, **kwargs)

    def _launcher(self) -> Resonate:
        return self._client._with(self._options)


class _Registering(Protocol):
    """`register(name=..., version=...)`, which waits for its function."""

    def __call__[**P, R](self, func: Callable[P, R], /) -> Function[P, R]: ...


def _level(log_level: int | str) -> int:
    """A level by its name; NOTSET for what is none, which is refused elsewhere."""
    return logging.getLevelNamesMapping().get(log_level.upper(), logging.NOTSET) if isinstance(log_level, str) else log_level


def _backend(store: LocalStore | RemoteStore | Store | None) -> Backend:
    if store is None:
        return LocalStore()
    return cast("Backend", store) if isinstance(store, LocalStore) or _is_far(store) else ForeignStore(cast("Store", store))


def _is_far(store: object) -> bool:
    """Whether it is a store of ours on a server."""
    return getattr(store, "is_far", False) is True


def _checked(id: Any, func: Any) -> str | Callable[..., Any]:
    checked_text("id", id)
    if not isinstance(func, str) and not callable(func):
        raise TypeError(f"func must be a function or the name of one, got {type(func).__name__}")
    return func if isinstance(func, str) else plain_function(func)


def _expect(name: str, value: Any, kinds: type | tuple[type, ...], *, optional: bool = False) -> None:
    if (value is None and optional) or isinstance(value, kinds):
        return
    names = " | ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
    raise TypeError(f"{name} must be `{names}{' | None' if optional else ''}`, got {type(value).__name__}")
