"""Contract 2: the client, how it is made, and how it launches and looks up runs."""

from __future__ import annotations

import base64
import inspect
import json
import logging
import re
import threading
import time
from typing import Any

import pytest
from toys import FAR, Watched, code_of, fails, here, value
from waiting import SOON

from resonate import Resonate
from resonate.dependencies import Dependencies
from resonate.errors import ResonateStoreError
from resonate.message_sources import LocalMessageSource
from resonate.registry import Registry
from resonate.retry_policies import Never
from resonate.stores import LocalStore, RemoteStore

HELD_BY = {
    "2.1 each wrong argument is named": "pure/test_options_and_registry.py::test_wrong_constructor_arguments_are_named",
    "2.1 the constructor takes keywords only": "pure/test_options_and_registry.py::test_the_constructor_takes_keywords_only",
    "2.1 constructing starts no thread": "pure/test_imports.py::test_importing_the_sdk_starts_nothing",
    "2.1 the number of workers": "process/test_concurrency.py::test_the_number_of_workers",
    "2.1 default log levels": "process/test_logging.py::test_default_levels",
    "2.2 `start` any number of times": "process/test_lifecycle.py::test_starting_and_stopping_are_idempotent",
    "2.2 `options` gives a copy": "pure/test_options_and_registry.py::test_a_clients_options_are_a_copy",
    "2.2 what `options` does not take": "pure/test_options_and_registry.py::test_options_that_a_client_does_not_take",
    "2.2 names of dependencies are text": "pure/test_options_and_registry.py::test_dependencies_have_text_names",
    "2.2 `run` and `begin_run`": "process/test_guide.py::test_run_and_begin_run",
    "2.2 `rpc` and `begin_rpc`": "process/test_guide.py::test_rpc_and_begin_rpc",
    "2.1 a client of a server opens no connection": "remote/test_faults.py::test_which_protocol_it_is_is_found_out",
    "2.3 a server that cannot be reached": "contract/test_15_defects.py::test_nobody_waits_for_ever_for_a_server",
    "2.3 many who launch one id": "process/test_concurrency.py::test_many_threads_join_one_run",
    "2.4 a local client answers for every target": "process/test_guide.py::test_rpc_and_begin_rpc",
}


# ---- 2.1 construction ------------------------------------------------------------------------------------------------------------


def test_the_signatures_of_the_constructors() -> None:
    """Names, order and defaults of all arguments are those of 0.6.7; what is new here comes after them and need not be given."""
    shared = {"dependencies": None, "group": "default", "pid": None, "registry": None, "ttl": 10, "workers": None}
    made = inspect.signature(Resonate).parameters
    theirs = shared | {"log_level": logging.NOTSET, "message_source": None, "store": None}
    assert {name: made[name].default for name in theirs} == theirs
    assert {each.kind for each in made.values()} == {inspect.Parameter.KEYWORD_ONLY}
    local = inspect.signature(Resonate.local).parameters
    assert list(local)[:7] == ["dependencies", "group", "log_level", "pid", "registry", "ttl", "workers"]
    assert {name: local[name].default for name in list(local)[:7]} == shared | {"log_level": logging.INFO}
    assert {each.kind for each in list(local.values())[:7]} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}
    remote = inspect.signature(Resonate.remote).parameters
    places = list(remote)[:11]
    assert places == [
        "auth", "dependencies", "group", "host", "log_level", "message_source_port", "pid", "registry", "store_port", "ttl", "workers",
    ]  # fmt: skip
    further = {"auth": None, "host": None, "message_source_port": None, "store_port": None, "log_level": logging.INFO}
    assert {name: remote[name].default for name in places} == shared | further
    assert {remote[name].kind for name in places} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}
    assert [each for each in [*made.values(), *local.values(), *remote.values()] if each.default is inspect.Parameter.empty] == []


def test_every_argument_of_local_arrives_at_its_place() -> None:
    """`local` hands each positional argument on as what it is."""
    dependencies, registry = Dependencies(), Registry()
    dependencies.add("db", "connection")
    with Resonate.local(dependencies, "group", "ERROR", "process", registry, 7, 3) as client:
        registry.add(lambda ctx: [ctx.get_dependency("db"), ctx.logger.isEnabledFor(logging.WARNING)], "f")
        assert client.run("a", "f") == ["connection", False]
        assert client.registry is registry
        shared = client._shared
        assert (shared.group, shared.pid, shared.ttl_s, shared._workers) == ("group", "process", 7, 3)


def test_every_argument_of_remote_arrives_at_its_place() -> None:
    """`remote` hands each positional argument on as what it is, and asks no server for anything."""
    dependencies, registry = Dependencies(), Registry()
    dependencies.add("db", "connection")
    client = Resonate.remote(("ada", "secret"), dependencies, "group", "http://far", "ERROR", "9", "process", registry, "7", 5, 3)
    shared = client._shared
    assert (shared.group, shared.pid, shared.ttl_s, shared._workers, shared._log_level) == ("group", "process", 5, 3, logging.ERROR)
    assert (shared.dependencies, client.registry) == (dependencies, registry)
    store = shared.store
    assert isinstance(store, RemoteStore)
    assert (store.url, store._message_connections.url) == ("http://far:7", "http://far:9")
    assert {each._headers["Authorization"] for each in (store._connections, store._message_connections)} == {
        f"Basic {base64.b64encode(b'ada:secret').decode()}"
    }


def test_an_empty_container_is_used_too() -> None:
    """Dependencies and a registry that are empty when they are given are the client's all the same, and two clients may share them."""
    dependencies, registry = Dependencies(), Registry()
    clients = [Resonate(dependencies=dependencies, registry=registry, log_level="CRITICAL") for _ in range(2)]
    clients[0].set_dependency("shared", 1)
    clients[0].register(lambda ctx: ctx.get_dependency("shared"), name="f")
    assert clients[1].run("a", "f") == 1
    clients[1].stop()


def test_arguments_are_checked_in_their_order() -> None:
    """Of several wrong arguments the first in alphabetical order is named; values come after types, the store's partner after these."""
    wrong: dict[str, Any] = {"dependencies": 1, "group": 1, "log_level": 1.5, "message_source": 1, "pid": 1, "registry": 1, "store": 1,
                             "ttl": "1"}  # fmt: skip
    for name in list(wrong):
        with pytest.raises(TypeError, match=rf"^{name} must be `"):
            Resonate(**wrong)
        del wrong[name]
    foreign = Watched()
    source = foreign.inner.message_source("default", "w")

    class Other(LocalMessageSource):
        pass

    with pytest.raises(ValueError, match=r"^log_level must be one of"):
        Resonate(log_level="LOUD", store=LocalStore(), message_source=Anybody())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=re.escape("the message_source of a LocalStore must be `LocalMessageSource`, got Anybody")):
        Resonate(store=LocalStore(), message_source=Anybody())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^the message_source of a RemoteStore must be a `Poller`, or none, got LocalMessageSource$"):
        Resonate(store=RemoteStore(), message_source=source)
    with pytest.raises(ValueError, match="needs the store that it belongs to"):
        Resonate(message_source=source)
    with pytest.raises(ValueError, match="a Watched needs its message_source"):
        Resonate(store=foreign)  # type: ignore[arg-type]
    assert "in Watched" in repr(Resonate(store=foreign, message_source=source))  # type: ignore[arg-type]
    store = LocalStore()
    assert "in memory" in repr(Resonate(store=store, message_source=Other(store, "default", "w")))


class Anybody:
    """A message source of somebody."""

    unicast = anycast = "poll://any@default"

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def next(self) -> Any | None: ...
    def enqueue(self, mesg: Any) -> None: ...


@pytest.mark.parametrize("is_given", [True, False])
def test_a_store_and_its_message_source(is_given: bool) -> None:
    """A LocalStore comes with a message source of its own making, as in 0.6.7, or without one; both work, and the store is the user's."""
    store = LocalStore()
    source = store.message_source("default", "w1") if is_given else None
    with Resonate(store=store, message_source=source, pid="w1", log_level="CRITICAL") as client:
        client.register(value)

        @client.register
        def top(ctx):
            return [(yield ctx.run(value, 1)), (yield ctx.rpc("value", 2)), (yield ctx.sleep(0.001))]

        assert top.begin_run("top").result(SOON) == [1, 2, None]
        assert client.begin_rpc("far", "value", 3).result(SOON) == 3
    assert store.promises.get("top").resolved


@pytest.mark.parametrize(("level", "number"), [("DEBUG", 10), ("INFO", 20), ("WARNING", 30), ("ERROR", 40), ("CRITICAL", 50), (35, 35)])
def test_log_levels_by_name_and_number(level: Any, number: int) -> None:
    """Each name that 0.6.7 knows is a level, and any number is one."""
    assert Resonate(log_level=level)._shared._log_level == Resonate.local(log_level=level)._shared._log_level == number


def test_a_process_id_is_made_where_none_is_given() -> None:
    """Without `pid`, each client is a process of its own by 32 hexadecimal digits."""
    found = {Resonate()._shared.pid for _ in range(3)}
    assert len(found) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in found)


# ---- 2.2 members -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["begin_run", "run", "begin_rpc", "rpc", "get"])
def test_whatever_launches_or_looks_up_starts_the_client(method: str) -> None:
    """No `start` is needed before any of the five."""
    client = Resonate(log_level="CRITICAL")
    client.register(value)
    client.promises.create("a", FAR, ikey="a", data='{"func": "value", "args": [5]}', tags={"resonate:invoke": "poll://any@default"})
    before = threading.active_count()
    outcome = client.get("a") if method == "get" else getattr(client, method)("a", "value", 5)
    assert (outcome if method in ("run", "rpc") else outcome.result(SOON)) == 5
    assert threading.active_count() > before
    client.stop()


def test_copies_share_everything_but_the_options(client: Resonate) -> None:
    """A client with other options has the same functions, dependencies, promises and threads."""
    copy = client.options(tags={"a": "b"}).options(timeout=5)
    copy.set_dependency("d", 1)
    copy.register(lambda ctx: ctx.get_dependency("d"), name="f")
    assert client.run("one", "f") == 1
    assert copy.promises.get("one").tags.get("a") is None
    copy.run("two", "f")
    assert (client.promises.get("two").tags["a"], client.promises.get("two").rel_timeout <= 5.1) == ("b", True)
    copy.stop()
    assert client._shared._runtime is None


# ---- 2.3 launching ---------------------------------------------------------------------------------------------------------------


def test_a_function_is_named_in_three_ways(client: Resonate) -> None:
    """The function itself, what `register` gave for it, and its registered name mean the same; what is not registered is refused."""
    function = client.register(value, name="other", version=3)
    assert [client.run(f"r{n}", func, n) for n, func in enumerate((value, function, "other"))] == [0, 1, 2]
    assert [json.loads(client.promises.get(f"r{n}").param.data or "")["func"] for n in range(3)] == ["other"] * 3
    for call in (client.run, client.begin_run):
        for unknown, text in ((here, "function here not found"), ("value", "function value not found")):
            with pytest.raises(ValueError, match=text):
                call("x", unknown)
    assert code_of(lambda: client.promises.get("x")) == 40400


@pytest.mark.parametrize("wrong", [None, 5, b"f", ["f"]])
def test_a_function_is_a_function_or_a_name(client: Resonate, wrong: Any) -> None:
    """Anything else is a TypeError in each of the four, and nothing is created."""
    for method in (client.run, client.begin_run, client.rpc, client.begin_rpc):
        with pytest.raises(TypeError, match=f"got {type(wrong).__name__}"):
            method("x", wrong)
    assert code_of(lambda: client.promises.get("x")) == 40400


def test_a_promise_of_somebody_else_is_waited_for() -> None:
    """Launching an id whose promise is pending in other hands calls nothing here: the handle gets what they settle it with."""
    ran: list[int] = []
    with Resonate(workers=1, log_level="CRITICAL") as client:
        client.register(value)
        client.register(lambda ctx: ran.append(1), name="f")
        client.promises.create("a", FAR, ikey="a")
        handles = [client.begin_run("a", "f"), client.begin_rpc("a", "f")]
        client.run("after", "value")  # by the only worker: what was begun before it has run
        assert (ran, [handle.done() for handle in handles]) == ([], [False, False])
        client.promises.resolve("a", data="8")
        assert [handle.result(SOON) for handle in handles] == [8, 8]


def test_a_stored_error_is_given_to_whoever_launches_again(client: Resonate) -> None:
    """A run that failed is not tried again under its id: its error is there at once."""
    client.register(fails)
    for _ in range(2):
        with pytest.raises(ValueError, match="x"):
            client.options(retry_policy=Never()).run("a", fails, "x")
    handle = client.begin_run("a", fails, "y")
    assert handle.done()
    assert isinstance(handle.future.exception(0), ValueError)


def test_a_deadline_is_the_timeout_from_now(client: Resonate) -> None:
    """The promise of a run ends `timeout` seconds after the launch, in whole milliseconds; a year after it without the option."""
    client.register(value)
    for name, timeout, launch in (("a", 5.5, client.run), ("b", 31_536_000, client.run), ("c", 31_536_000, client.rpc)):
        before = int((time.time() + timeout) * 1000)
        (client.options(timeout=timeout).run if name == "a" else launch)(name, "value")
        assert before <= client.promises.get(name).timeout <= int((time.time() + timeout) * 1000)


def test_the_same_id_is_joined(client: Resonate) -> None:
    """A second launch of an id waits for the first, whatever function and arguments it names; a done one gives its result at once."""
    gate, ran = threading.Event(), []

    @client.register
    def one(ctx, x):
        ran.append(x)
        gate.wait(SOON)
        return x

    client.register(value)
    first, second = one.begin_run("a", 1), client.begin_run("a", value, 2)
    third = client.begin_rpc("a", "value", 3)
    assert not second.done()
    gate.set()
    assert [handle.result(SOON) for handle in (first, second, third)] == [1, 1, 1]
    late = client.begin_run("a", value, 4)
    assert late.done()
    assert (late.result(), ran) == (1, [1])


@pytest.mark.parametrize("method", ["begin_run", "begin_rpc", "run", "rpc"])
def test_another_key_is_refused(client: Resonate, method: str) -> None:
    """An id that exists under another idempotency key is refused at the call, pending or done."""
    client.register(value)
    client.options(idempotency_key="mine").run("a", value, 1)
    with pytest.raises(ResonateStoreError) as caught:
        getattr(client, method)("a", value, 1)
    assert f"{caught.value.code:.5f}" == "100.40900"
    assert client.options(idempotency_key="mine").run("a", value, 2) == 1


# ---- 2.4 and 2.5: rpc and get ----------------------------------------------------------------------------------------------------


def test_which_version_an_rpc_asks_for(client: Resonate) -> None:
    """A name asks for its highest version that is known here, 1 where none is, or the one that options say; a function for its own."""
    first = client.register(lambda ctx: 1, name="f", version=2)
    client.register(lambda ctx: 2, name="f", version=4)
    asked = {
        "highest": (client, "f", 4), "unknown": (client, "g", 1), "wanted": (client.options(version=7), "g", 7),
        "own": (client, first, 2), "pinned": (client.options(version=2), first, 2),
    }  # fmt: skip
    for name, (launcher, func, version) in asked.items():
        launcher.begin_rpc(name, func)
        record = json.loads(client.promises.get(name).param.data or "")
        assert (name, record["version"]) == (name, version)
    with pytest.raises(ValueError, match="version 3 not found"):
        client.options(version=3).begin_rpc("x", first)
    with pytest.raises(ValueError, match="function value not found in registry"):
        client.begin_rpc("x", value)


def test_an_rpc_that_is_over_is_done_at_once(client: Resonate) -> None:
    """`begin_rpc` of an id that is settled gives a handle that is done, and asks nobody."""
    client.promises.create("a", FAR, ikey="a")
    client.promises.resolve("a", data="[1]")
    handle = client.begin_rpc("a", "nobody-knows")
    assert (handle.done(), handle.result(0)) == (True, [1])


def test_get_of_any_promise(client: Resonate) -> None:
    """A handle can be had of any promise; of an unknown one it is refused with 40400, of no text with TypeError."""
    client.promises.create("p", 2**45)
    handle = client.get("p")
    client.promises.resolve("p", data='{"a": 1}')
    assert handle.result(SOON) == {"a": 1}
    assert client.get("p").done()
    with pytest.raises(ResonateStoreError) as caught:
        client.get("q")
    assert f"{caught.value.code:.5f}" == "100.40400"
    for call in (lambda: client.get(5), lambda: client.run(5, value), lambda: client.rpc(None, "f"), lambda: client.run("a", 5)):
        with pytest.raises(TypeError, match="must be"):
            call()
    with pytest.raises(ValueError, match="function value not found in registry"):
        client.run("a", value)


@pytest.mark.parametrize("name",
                         ["", "a/b", "..", "a?b#c%2F d", "'\"\n\t\x00", "中文🎉", "x" * 4096, "__proto__", "e\u0301", "\u202e"])
def test_any_id_addresses_itself(client: Resonate, name: str) -> None:
    """Ids are any text: each addresses itself, in launching, children and promises."""

    @client.register
    def top(ctx):
        return [ctx.id, (yield ctx.run(here))]

    assert top.run(name) == [name, f"{name}.1"]
    assert client.get(name).result(SOON) == [name, f"{name}.1"]
    assert client.promises.get(name).id == name
