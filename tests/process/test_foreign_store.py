"""A store that somebody wrote for SDK 0.6.7: it offers the faces of the protocols and nothing else."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from waiting import SOON, when

from resonate import Resonate
from resonate.errors import ResonateCanceledError, ResonateStoreError
from resonate.models.store import Store
from resonate.retry_policies import Constant
from resonate.stores import LocalStore


class Drawer:
    """Somebody's store. Its faces have no more methods than the protocols ask for."""

    encoder = None

    def __init__(self) -> None:
        self.inner = LocalStore()
        self.inner.start()
        self.calls: list[str] = []
        self.fails: set[str] = set()
        promises = ("get", "create", "create_with_task", "resolve", "reject", "cancel", "callback", "subscribe")
        self.promises = Faced(self, self.inner.promises, promises)
        self.tasks = Faced(self, self.inner.tasks, ("claim", "complete", "heartbeat"))
        self.schedules = Faced(self, self.inner.schedules, ("create", "get", "delete"))


class Faced:
    def __init__(self, store: Drawer, face: Any, methods: tuple[str, ...]) -> None:
        for name in methods:
            setattr(self, name, self._noted(store, name, getattr(face, name)))

    @staticmethod
    def _noted(store: Drawer, name: str, method: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            store.calls.append(name)
            if name in store.fails:
                raise ConnectionError("the drawer is stuck")
            return method(*args, **kwargs)

        return call


def client_of(store: Drawer, *, group: str = "default", pid: str = "w1", ttl: int = 10) -> Resonate:
    return Resonate(
        store=store, message_source=store.inner.message_source(group, pid), pid=pid, group=group, ttl=ttl, log_level="CRITICAL", workers=2
    )


def value(ctx: Any, x: Any = None) -> Any:
    return x


def pipeline(ctx: Any) -> Any:
    first = yield ctx.run(value, 1)
    second = yield ctx.rpc("value", 2)
    yield ctx.sleep(0.01)
    begun = yield ctx.begin_run(flaky, 4).options(retry_policy=Constant(0.001))
    gate = yield ctx.promise(id="gate")
    return [first, second, (yield gate), (yield begun)]


def flaky(ctx: Any, x: Any) -> Any:
    if ctx.info.attempt < 2:
        raise ValueError("once")
    return x


def test_it_is_a_store_by_the_protocol() -> None:
    """The protocol is what counts, not a base class; without its message source it is refused with the reason."""
    assert isinstance(Drawer(), Store)
    with pytest.raises(ValueError, match="message_source"):
        Resonate(store=Drawer())


def test_every_kind_of_call_works() -> None:
    """Local calls, rpc, sleep, retries and promises work over it, and a handle of a stranger's promise too."""
    store = Drawer()
    with client_of(store) as client:
        client.register(value)
        handle = client.begin_run("run", client.register(pipeline))
        when(lambda: client.promises.get("gate").pending)
        client.promises.resolve("gate", data="3")
        assert handle.result(SOON) == [1, 2, 3, 4]
        assert client.begin_run("run", "pipeline").result(SOON) == [1, 2, 3, 4]
        assert client.get("gate").result(SOON) == 3
    assert {"create_with_task", "create", "resolve", "callback", "subscribe", "claim", "complete"} <= set(store.calls)
    assert store.inner.promises.get("run.1").tags == {"resonate:root": "run", "resonate:parent": "run", "resonate:scope": "local"}


def test_another_process_takes_a_run_over() -> None:
    """A run whose process is gone goes on in another one as soon as the lease has lapsed, without calling settled steps again."""
    store, calls = Drawer(), []

    def counted(ctx, x):
        calls.append(x)
        return x

    def job(ctx):
        lives.append(1)
        yield ctx.run(counted, 1)
        if len(lives) == 1:
            over.wait(SOON)
        return (yield ctx.run(counted, 2))

    lives: list[int] = []
    over = threading.Event()
    first, second = client_of(store, pid="w1", ttl=1), client_of(store, pid="w2", ttl=1)
    try:
        first.register(job)
        first.begin_run("job", "job")
        when(lambda: calls == [1])
        second.register(job)
        first._shared.runtime()._timers.stop()  # as a process that is gone: it keeps nothing alive any more
        first._shared.runtime()._end_listening()
        first._shared.runtime()._source.stop()
        second.start()
        assert second.get("job").result(SOON) == 2
    finally:
        over.set()
        first.stop()
        second.stop()
    assert (len(lives), calls.count(1)) == (2, 1)


def test_what_it_raises_fails_the_call_alone() -> None:
    """An error of the store is told to whoever asked, with its name; the client goes on when the store does."""
    store = Drawer()
    with client_of(store) as client:
        client.register(value)
        store.fails = {"create_with_task"}
        with pytest.raises(ResonateStoreError, match="Drawer raised ConnectionError: the drawer is stuck"):
            client.begin_run("run", "value", 1)
        store.fails = set()
        assert client.begin_run("run", "value", 1).result(SOON) == 1


def test_cancel() -> None:
    """A run over it can be called off."""
    with client_of(Drawer()) as client:
        handle = client.begin_run("run", client.register(pipeline))
        client.register(value)
        when(lambda: client.promises.get("gate").pending)
        client.cancel("run")
        with pytest.raises(ResonateCanceledError):
            handle.result(SOON)


def test_retries_keep_their_policy() -> None:
    """What is not stored of a call, as its retry policy, is kept while its process lives."""
    with client_of(Drawer()) as client:

        def top(ctx):
            return (yield ctx.run(flaky, 5).options(retry_policy=Constant(0.001, 3)))

        assert client.begin_run("run", client.register(top)).result(SOON) == 5
