"""Contract 1: where programs find what they import.

Left out: what the contract calls internal (`conventions`, `utils`, `models.convention`, `AWT`, `TRM`, `LFX`, `RFX`, `Coroutine`) and
the logger of 0.6.7's own simulator (`DSTLogger`).
"""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import time
from collections.abc import Callable
from typing import Any, get_type_hints

import pytest

import resonate
from resonate import Resonate
from resonate.clocks import StepClock
from resonate.coroutine import LFC, LFI, RFC, RFI, Promise
from resonate.encoders import DefaultEncoder
from resonate.loggers import ContextLogger
from resonate.message_sources import LocalMessageSource, Poller
from resonate.models import message
from resonate.models.clock import Clock
from resonate.models.context import Context, Info
from resonate.models.encoder import Encoder
from resonate.models.message_source import MessageSource
from resonate.models.retry_policy import RetryPolicy
from resonate.models.store import PromiseStore, ScheduleStore, Store, TaskStore
from resonate.retry_policies import Constant, Exponential, Linear, Never
from resonate.routers import TagRouter
from resonate.stores import LocalStore, RemoteStore

HELD_BY = {
    "1 `resonate` exports exactly five names": "pure/test_imports.py::test_the_sdk_offers_exactly_what_0_6_7_does",
    "1 every module can be imported first": "pure/test_imports.py::test_every_module_can_be_imported_first",
    "1 it needs no package of others": "pure/test_imports.py::test_importing_the_sdk_needs_the_standard_library_alone",
}

NAMES = {
    "resonate": "Resonate Context Handle Promise Yieldable",
    "resonate.resonate": "Resonate Context Function Time Random ALLOWED_LOG_LEVELS",
    "resonate.retry_policies": "Constant Exponential Linear Never",
    "resonate.errors": "ResonateError ResonateStoreError ResonateCanceledError ResonateTimedoutError ResonateShutdownError",
    "resonate.stores": "LocalStore RemoteStore",
    "resonate.message_sources": "LocalMessageSource Poller",
    "resonate.encoders": "Base64Encoder CombinedEncoder HeaderEncoder JsonEncoder JsonPickleEncoder NoopEncoder PairEncoder",
    "resonate.registry": "Registry",
    "resonate.dependencies": "Dependencies",
    "resonate.options": "Options",
    "resonate.coroutine": "LFI LFC RFI RFC Promise Yieldable",
    "resonate.models.handle": "Handle",
    "resonate.models.durable_promise": "DurablePromise DurablePromiseValue",
    "resonate.models.schedules": "Schedule",
    "resonate.models.task": "Task",
    "resonate.models.callback": "Callback",
    "resonate.models.result": "Ok Ko Result",
    "resonate.models.encoder": "Encoder",
    "resonate.models.retry_policy": "RetryPolicy",
    "resonate.models.store": "Store PromiseStore TaskStore ScheduleStore",
    "resonate.models.message_source": "MessageSource",
    "resonate.models.message": "InvokeMesg ResumeMesg NotifyMesg TaskMesg DurablePromiseMesg DurablePromiseValueMesg Mesg",
    "resonate.models.clock": "Clock",
    "resonate.models.context": "Context Info",
    "resonate.models.router": "Router",
    "resonate.models.logger": "Logger",
    "resonate.routers": "TagRouter",
    "resonate.clocks": "StepClock",
    "resonate.loggers": "ContextLogger",
}


@pytest.mark.parametrize("path", NAMES)
def test_names_are_where_programs_look_for_them(path: str) -> None:
    """Every name of 0.6.7 that a program may import is at its path, and so is its module's description."""
    module = importlib.import_module(path)
    assert [name for name in NAMES[path].split() if not hasattr(module, name)] == []
    assert module.__doc__


def test_a_name_is_the_same_thing_at_each_of_its_paths() -> None:
    """What can be imported from two modules is one object, so `isinstance` and annotations agree."""
    assert resonate.Handle is importlib.import_module("resonate.models.handle").Handle
    assert resonate.Promise is Promise
    assert resonate.Context is importlib.import_module("resonate.resonate").Context is Context
    assert importlib.import_module("resonate.resonate").Time is importlib.import_module("resonate.context").Time
    assert importlib.import_module("resonate.context").Info is Info


def test_what_may_be_yielded() -> None:
    """`Yieldable` is the four commands and the promise."""
    assert set(resonate.Yieldable.__args__) == {LFC[Any], LFI[Any], RFC[Any], RFI[Any], Promise[Any]}


class Half:
    """It has one method of each protocol."""

    unicast = "u"

    def encode(self, obj: Any, /) -> Any: ...
    def time(self) -> float:
        return 0.0


FITTING = [
    (Encoder, DefaultEncoder()), (RetryPolicy, Never()), (RetryPolicy, Constant()), (RetryPolicy, Linear()), (RetryPolicy, Exponential()),
    (Store, LocalStore()), (MessageSource, LocalStore().message_source("g", "i")), (Clock, StepClock()), (Clock, time),
    (Store, RemoteStore()), (MessageSource, Poller("g", "i")),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "thing"), FITTING, ids=lambda each: getattr(each, "__name__", type(each).__name__))
def test_protocols_can_be_asked_for(protocol: Any, thing: Any) -> None:
    """`isinstance` with a protocol is answered by what a thing can do, not by what it is derived from."""
    assert isinstance(thing, protocol)
    assert not isinstance(Half(), protocol)


@pytest.mark.parametrize("store", [LocalStore, RemoteStore])
@pytest.mark.parametrize(
    ("protocol", "face"), [(PromiseStore, "promises"), (TaskStore, "tasks"), (ScheduleStore, "schedules")],
    ids=["promises", "tasks", "schedules"],
)  # fmt: skip
def test_the_faces_of_a_store_have_what_their_protocols_say(protocol: type, face: str, store: Callable[[], Store]) -> None:
    """Each method of a store's protocol is there, with the same parameters in the same order, the same kinds and defaults."""
    for name, method in inspect.getmembers(protocol, inspect.isfunction):
        if not name.startswith("_"):
            ours = inspect.signature(getattr(getattr(store(), face), name)).parameters
            theirs = list(inspect.signature(method).parameters.values())[1:]
            assert [(each.name, each.kind, each.default) for each in ours.values()] == [
                (each.name, each.kind, each.default) for each in theirs
            ], name


def test_messages_have_their_types() -> None:
    """The typed dicts of messages name the keys that a server sends."""
    keys = {
        "InvokeMesg": {"type", "task"}, "ResumeMesg": {"type", "task"}, "NotifyMesg": {"type", "promise"}, "TaskMesg": {"id", "counter"},
        "DurablePromiseValueMesg": {"headers", "data"},
        "DurablePromiseMesg": {"id", "state", "timeout", "param", "value", "tags", "idempotencyKeyForCreate", "idempotencyKeyForComplete",
                               "createdOn", "completedOn"},
    }  # fmt: skip
    for name, expected in keys.items():
        assert set(get_type_hints(getattr(message, name))) == expected, name
    assert message.Mesg.__value__ == message.InvokeMesg | message.ResumeMesg | message.NotifyMesg


def test_the_tag_router() -> None:
    """`TagRouter(tag)` answers with a promise's tag of that name, `resonate:invoke` unless told otherwise, or with None."""
    promises = LocalStore().promises
    routed = promises.create("a", 2**45, tags={"resonate:invoke": "poll://any@g", "own": "elsewhere"})
    assert (TagRouter().route(routed), TagRouter("own").route(routed), TagRouter(tag="other").route(routed)) == (
        "poll://any@g", "elsewhere", None,
    )  # fmt: skip
    assert TagRouter().route(promises.create("b", 2**45)) is None


def test_the_step_clock() -> None:
    """A StepClock stands still until `step` sets it forward, goes never back, and writes its time in UTC."""
    clock = StepClock()
    assert (clock.time(), clock.time()) == (0.0, 0.0)
    clock.step(86_400 * 365)
    clock.step(86_400 * 365)
    assert clock.time() == 31_536_000.0
    assert clock.strftime("%Y-%m-%d %H:%M:%S") == "1971-01-01 00:00:00"
    with pytest.raises(ValueError, match="cannot go back"):
        clock.step(5)
    assert clock.time() == 31_536_000.0


def test_the_context_logger_can_be_made_by_hand() -> None:
    """`ContextLogger(cid, id, level)` has the writing methods; without a level, logging decides."""
    logger = ContextLogger("run", "run.1", logging.ERROR)
    assert [logger.isEnabledFor(level) for level in (logging.WARNING, logging.ERROR)] == [False, True]
    assert all(callable(getattr(logger, name)) for name in ["log", "debug", "info", "warning", "error", "critical"])
    assert isinstance(ContextLogger("run", "run.1"), logging.LoggerAdapter)


def test_the_type_of_what_register_gives() -> None:
    """`Function` is the type of what `register` gives, and `LocalMessageSource` of a store's sources."""
    client = Resonate()
    assert type(client.register(functools.wraps(test_the_step_clock)(lambda ctx: 1), name="f")).__name__ == "Function"
    assert type(LocalStore().message_source("g", "i")) is LocalMessageSource
