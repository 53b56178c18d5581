"""Contract 11: the low-level stores.

The rules of promises, tasks, callbacks, schedules and messages are the law book, `tests/laws`, which every store is held to; here is
what a program sees of a store: names, arguments, fields.
"""

from __future__ import annotations

import base64
import dataclasses
import inspect
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from toys import FAR, value
from waiting import SOON, when

from resonate import Resonate
from resonate.clocks import StepClock
from resonate.errors import ResonateCanceledError, ResonateStoreError, ResonateTimedoutError
from resonate.message_sources import LocalMessageSource, Poller
from resonate.models.callback import Callback
from resonate.models.durable_promise import DurablePromise, DurablePromiseValue
from resonate.models.message_source import MessageSource
from resonate.models.result import Ko, Ok
from resonate.models.schedules import Schedule
from resonate.models.task import Task
from resonate.retry_policies import Constant
from resonate.server import DevelopmentServer
from resonate.stores import LocalStore, RemoteStore
from tests.remote.crossing import Crossing, reply

HELD_BY = {
    "11.1 creating": "laws/test_promises.py::test_create_table",
    "11.1 settling": "laws/test_promises.py::test_complete_table",
    "11.1 a promise in hand": "laws/test_promises.py::test_a_promise_in_hand_settles_itself",
    "11.1 born with a task": "laws/test_tasks.py::test_a_task_can_be_born_claimed",
    "11.1 waiting": "laws/test_callbacks.py::test_waiting_for_a_pending_promise",
    "11.1 types of arguments": "laws/test_ids.py::test_arguments_of_a_wrong_type",
    "11.1 texts as they were given": "laws/test_promises.py::test_values_come_back_as_they_went_in",
    "11.2 claiming": "laws/test_tasks.py::test_claim_table",
    "11.2 completing": "laws/test_tasks.py::test_complete_table",
    "11.2 heartbeats": "laws/test_tasks.py::test_heartbeats_extend_what_the_process_holds_and_nothing_else",
    "11.2 a task in hand": "laws/test_tasks.py::test_a_task_in_hand_acts_for_itself",
    "11.3 a schedule is kept": "laws/test_schedules.py::test_a_schedule_is_kept_as_it_was_given",
    "11.3 creating a schedule": "laws/test_schedules.py::test_create_table",
    "11.3 what is no cron expression": "laws/test_schedules.py::test_what_is_no_cron_expression",
    "11.3 template variables": "laws/test_schedules.py::test_how_a_promise_gets_its_id",
    "11.3 what a schedule makes": "laws/test_schedules.py::test_what_a_schedule_makes",
    "11.4 leases lapse": "laws/test_tasks.py::test_a_lapsed_lease_goes_out_with_the_next_counter",
    "11.4 where an address leads": "laws/test_messages.py::test_where_an_address_leads",
    "11.5 ids in paths": "remote/test_ids_on_the_way.py::test_every_id_addresses_itself_alone",
    "11.5 one connection, kept": "remote/test_http_connection.py::test_one_connection_is_asked_again_and_again",
    "11.5 a request that is not answered in its time": "remote/test_faults.py::test_a_server_that_says_nothing_is_asked_again",
    "11.6 a poller beside a store of a server": "remote/test_message_sources.py::test_a_client_works_with_a_poller_of_its_own",
    "11.6 a stream that broke off": "remote/test_faults.py::test_lost_work_comes_after_the_stream_is_back",
    "11.6 task messages": "laws/test_messages.py::test_the_shape_of_task_messages",
    "11.6 notices": "laws/test_messages.py::test_the_shape_of_notices",
}


def parameters(method: Any) -> list[str]:
    """The parameters of a bound method as they are written, without their types."""
    found = inspect.signature(method).parameters.values()
    bare = inspect.Signature([each.replace(annotation=inspect.Parameter.empty) for each in found])
    return str(bare)[1:-1].split(", ")


PROMISE = b'{"id": "a", "state": "PENDING", "timeout": 4102444800000, "param": {}, "value": {}, "tags": {}}'
SETTLING = ["id", "*", "ikey=None", "strict=False", "headers=None", "data=None"]
CREATING = ["*", "ikey=None", "strict=False", "headers=None", "data=None", "tags=None"]
SIGNATURES = {
    "promises.get": ["id"], "promises.create": ["id", "timeout", *CREATING],
    "promises.create_with_task": ["id", "timeout", "pid", "ttl", *CREATING], "promises.resolve": SETTLING, "promises.reject": SETTLING,
    "promises.cancel": SETTLING, "promises.callback": ["promise_id", "root_promise_id", "recv", "timeout"],
    "promises.subscribe": ["id", "promise_id", "recv", "timeout"], "tasks.claim": ["id", "counter", "pid", "ttl"],
    "tasks.complete": ["id", "counter"], "tasks.heartbeat": ["pid"], "schedules.get": ["id"], "schedules.delete": ["id"],
    "schedules.create": ["id", "cron", "promise_id", "promise_timeout", "*", "ikey=None", "description=None", "tags=None",
                         "promise_headers=None", "promise_data=None", "promise_tags=None"],
}  # fmt: skip


@pytest.mark.parametrize("path", SIGNATURES)
def test_the_signatures_of_the_low_level_api(path: str) -> None:
    """Names, order, kinds and defaults of the arguments are those of 0.6.7, on a store and on a client."""
    face, name = path.split(".")
    assert parameters(getattr(getattr(LocalStore(), face), name)) == SIGNATURES[path]
    if face != "tasks":
        assert parameters(getattr(getattr(Resonate(), face), name)) == SIGNATURES[path]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (DurablePromise, "id state timeout ikey_for_create ikey_for_complete param value tags created_on completed_on store"),
        (DurablePromiseValue, "headers data"), (Task, "id counter store"), (Callback, "id promise_id timeout created_on"),
        (Schedule, ("id description cron tags promise_id promise_timeout promise_param promise_tags last_runtime next_runtime ikey "
                    "created_on store")),
    ],
)  # fmt: skip
def test_the_fields_of_what_stores_give(kind: Any, fields: str) -> None:
    """The records of the low-level API have the fields of 0.6.7."""
    assert [each.name for each in dataclasses.fields(kind)] == fields.split()


# ---- 11.1 promises ---------------------------------------------------------------------------------------------------------------


def test_durable_promises_show_all(client: Resonate) -> None:
    """`promises.*` gives the whole promise, and its methods settle it."""
    promise = client.promises.create("p", 2**45, ikey="k", headers={"h": "1"}, data="5", tags={"t": "x"})
    assert (promise.id, promise.state, promise.timeout, promise.ikey_for_create) == ("p", "PENDING", 2**45, "k")
    assert (promise.param.headers, promise.param.data, promise.tags, promise.completed_on) == ({"h": "1"}, "5", {"t": "x"}, None)
    promise.resolve("7", ikey="c")
    assert (promise.resolved, promise.completed, promise.value.to_tuple(), promise.ikey_for_complete) == (True, True, (None, "7"),
        "c")
    assert promise.result(client.encoder) == Ok(7)
    assert client.promises.create("p", 1, ikey="k").resolved
    other = client.promises.create("q", int(time.time() * 1000) + 5000)
    assert 4 < other.rel_timeout <= 5.1
    assert other.abs_timeout == other.timeout / 1000
    other.cancel()
    assert other.canceled
    outcome = other.result(client.encoder)
    assert isinstance(outcome, Ko)
    assert isinstance(outcome.value, ResonateCanceledError)


STATES = {
    "PENDING": "pending", "RESOLVED": "resolved", "REJECTED": "rejected", "REJECTED_CANCELED": "canceled", "REJECTED_TIMEDOUT": "timedout"
}  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_the_states_of_a_promise(state: str) -> None:
    """Of the five properties exactly that of the state is true, and `completed` is true of all but pending."""
    promises = LocalStore().promises
    promises.create("p", 0 if state == "REJECTED_TIMEDOUT" else FAR)
    promise = promises.get("p")
    for name, settle in (("RESOLVED", promise.resolve), ("REJECTED", promise.reject), ("REJECTED_CANCELED", promise.cancel)):
        if name == state:
            assert settle('"text"') is None
    assert promise.state == promises.get("p").state == state
    assert [name for name in STATES.values() if getattr(promise, name)] == [STATES[state]]
    assert promise.completed is (state != "PENDING")


@pytest.mark.parametrize(
    ("state", "expected"),
    [("RESOLVED", Ok([1])), ("REJECTED", Ko(Exception([1]))), ("REJECTED_CANCELED", Ko(ResonateCanceledError("p"))),
     ("REJECTED_TIMEDOUT", Ko(ResonateTimedoutError("p", 5.0)))],
)  # fmt: skip
def test_a_promise_reads_its_own_result(state: str, expected: Any) -> None:
    """`result(encoder)` is Ok of the value or Ko of the error that awaiting the promise would raise; of JSON from a server too."""
    data = base64.b64encode(b"[1]").decode()
    shown = {"id": "p", "state": state, "timeout": 5000, "param": {}, "value": {"data": data}, "createdOn": 1000}
    promise = DurablePromise.from_dict(LocalStore(), shown)
    outcome = promise.result(Resonate().encoder)
    assert type(outcome) is type(expected)
    assert repr(outcome.value) == repr(expected.value)


def test_a_promise_from_the_json_of_a_server() -> None:
    """`from_dict` takes every field over, values out of base64, absent ones as None; `to_tuple` is what an encoder takes."""
    data = base64.b64encode("é".encode()).decode()
    shown: dict[str, Any] = {
        "id": "p", "state": "RESOLVED", "timeout": 5000, "param": {"headers": {"h": "1"}, "data": data}, "value": {"data": data},
        "tags": {"t": "x"}, "idempotencyKeyForCreate": "c", "idempotencyKeyForComplete": "d", "createdOn": 1000, "completedOn": 2000,
    }  # fmt: skip
    store = LocalStore()
    promise = DurablePromise.from_dict(store, shown)
    assert (promise.id, promise.timeout, promise.tags, promise.created_on, promise.completed_on) == ("p", 5000, {"t": "x"}, 1000, 2000)
    assert (promise.ikey_for_create, promise.ikey_for_complete, promise.store) == ("c", "d", store)
    assert (promise.param.to_tuple(), promise.value.to_tuple()) == (({"h": "1"}, "é"), (None, "é"))
    assert (promise.abs_timeout, promise.rel_timeout) == (5.0, 4.0)
    bare = DurablePromise.from_dict(store, {"id": "p", "state": "PENDING", "timeout": 5000, "param": {}, "value": {}, "createdOn": 0})
    assert (bare.tags, bare.completed_on, bare.ikey_for_create, bare.value.to_tuple()) == ({}, None, None, (None, None))


def test_a_promise_in_hand_waits_and_learns() -> None:
    """`callback` and `subscribe` wait until the promise's own deadline, and update it when it has settled meanwhile."""
    store = LocalStore()
    promise = store.promises.create("p", FAR)
    made = [promise.callback("any", "root", "poll://any@g/w"), promise.subscribe("w", "poll://uni@g/w")]
    assert [(each.promise_id, each.timeout) for each in made if each] == [("p", FAR), ("p", FAR)]
    assert promise.pending
    store.promises.resolve("p", data="1", ikey="k")
    for wait in (lambda it: it.callback("any", "root", "poll://any@g/w"), lambda it: it.subscribe("w", "poll://uni@g/w")):
        stale = store.promises.create("q", FAR, ikey="q")
        stale.id = "p"
        assert wait(stale) is None
        assert (stale.state, stale.value.data, stale.ikey_for_complete, stale.completed_on is None) == ("RESOLVED", "1", "k", False)


def test_the_low_level_codes(client: Resonate) -> None:
    """Every refusal has the server's code."""
    for name, settle in (("a", client.promises.resolve), ("b", client.promises.reject), ("c", client.promises.cancel)):
        client.promises.create(name, 2**45)
        settle(name)
    client.promises.create("d", 0)
    calls = {
        40900: lambda: client.promises.create("a", 2**45), 40301: lambda: client.promises.resolve("a"),
        40302: lambda: client.promises.resolve("b"),
        40303: lambda: client.promises.reject("c"), 40304: lambda: client.promises.cancel("d", strict=True),
        40400: lambda: client.promises.resolve("z"),
    }  # fmt: skip
    for code, call in calls.items():
        with pytest.raises(ResonateStoreError) as caught:
            call()
        assert f"{caught.value.code:.5f}" == f"100.{code}"
    with pytest.raises(TypeError, match="data must be `str` or None, got dict"):
        client.promises.resolve("a", data={})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="id must be `str`, got int"):
        client.promises.get(5)  # type: ignore[arg-type]


# ---- 11.2 tasks, 11.3 schedules --------------------------------------------------------------------------------------------------


def test_a_task_by_hand() -> None:
    """The task that a promise was created with is claimed, so only its owner completes it; the next is in the message's words."""
    store = LocalStore()
    promise, task = store.promises.create_with_task("p", FAR, "w1", 10_000, tags={"resonate:invoke": "poll://any@g"})
    assert promise.pending
    assert task is not None
    assert store.tasks.heartbeat("w1") == 1
    assert store.tasks.complete(task.id, task.counter) is True
    assert store.tasks.heartbeat("w1") == 0
    same = Task.from_dict(store, {"id": "t", "counter": 3, "rootPromiseId": "p"})
    assert (same.id, same.counter) == ("t", 3)
    with pytest.raises(ResonateStoreError):
        same.claim("w1", 1000)
    _, none = store.promises.create_with_task("q", FAR, "w1", 10_000)  # it goes nowhere
    assert none is None


def test_a_claim_gives_the_run_and_what_it_waited_for() -> None:
    """An invocation is claimed as (root, None), a resumption as (root, leaf)."""
    store = LocalStore()
    source = store.message_source("g", "w")
    source.start()
    root = store.promises.create("root", FAR, tags={"resonate:invoke": "poll://any@g"})
    task = Task.from_dict(store, source.next()["task"])
    claimed, leaf = task.claim("w", 10_000)
    assert (claimed.id, leaf) == ("root", None)
    store.promises.create("leaf", FAR)
    store.promises.callback("leaf", "root", source.anycast, FAR)
    task.complete()
    store.promises.resolve("leaf", data="5")
    mesg = source.next()
    claimed, leaf = store.tasks.claim(mesg["task"]["id"], mesg["task"]["counter"], "w", 10_000)
    assert (mesg["type"], claimed.id, leaf and (leaf.id, leaf.value.data)) == ("resume", "root", ("leaf", "5"))
    assert root.pending


def test_a_schedule_in_hand_deletes_itself() -> None:
    """`Schedule.delete()` is `schedules.delete(id)`."""
    store = LocalStore()
    schedule = store.schedules.create("s", "0 3 * * *", "p-{{.timestamp}}", 1000, description="d", tags={"a": "b"})
    assert schedule.store is store.promises.create("p", FAR).store is store
    schedule.delete()
    with pytest.raises(ResonateStoreError):
        store.schedules.get("s")


def test_a_schedule_of_a_client_makes_runs(client: Resonate) -> None:
    """A client's schedule calls a function at its time."""
    client.start()
    ran = threading.Event()
    client.register(lambda ctx, x: ran.set(), name="f")
    client.schedules.create("s", "@every 1s", "s-{{.timestamp}}", 60_000, promise_data='{"func": "f", "args": [1]}',
                            promise_tags={"resonate:invoke": "poll://any@default"})  # fmt: skip
    assert ran.wait(SOON)
    client.schedules.delete("s")


# ---- 11.4 the store in memory ----------------------------------------------------------------------------------------------------


def test_the_members_of_a_local_store() -> None:
    """`LocalStore(encoder, clock)` takes both by place; its properties, targets and routers are those of 0.6.7."""
    clock, encoder = StepClock(), Squeeze()
    store = LocalStore(encoder, clock)
    assert (store.encoder, store.clock) == (encoder, clock)
    assert (LocalStore().encoder, LocalStore(clock=clock).clock) == (None, clock)
    assert (type(store.routers[0]).__name__, store.targets) == ("TagRouter", {})
    store.add_target("team", "poll://any@g")
    assert store.targets == {"team": "poll://any@g"}
    sources = [store.message_source(group=group, id="i") for group in ("team", "g")]
    for source in sources:
        assert isinstance(source, LocalMessageSource)
        store.connect(source)
    store.promises.create("p", FAR, tags={"resonate:invoke": "team"})
    assert sources[1].next()["task"]["rootPromiseId"] == "p"  # the name stands for the address, not for a group
    for source in sources:
        store.disconnect(source)
    store.start()
    store.start()
    store.notify()
    store.stop()
    store.stop()


def test_time_is_the_clocks() -> None:
    """A store with a clock of one's own lives in its time: deadlines, leases and schedules fall due when that clock says so."""
    clock = StepClock()
    clock.step(1000)
    store = LocalStore(clock=clock)
    store.promises.create("p", 1_001_000)
    sleep = store.promises.create("sleep", 1_001_000, tags={"resonate:timeout": "true"})
    _, task = store.promises.create_with_task("run", FAR, "w", 500, tags={"resonate:invoke": "poll://any@g"})
    store.schedules.create("s", "@every 1s", "s-{{.timestamp}}", 60_000)
    assert sleep.created_on == 1_000_000
    clock.step(1000.9)
    store.notify()
    assert store.promises.get("p").pending
    clock.step(1001)
    store.notify()
    assert [store.promises.get(name).state for name in ("p", "sleep", "s-1001000")] == ["REJECTED_TIMEDOUT", "RESOLVED", "PENDING"]
    assert task is not None
    with pytest.raises(ResonateStoreError):
        store.tasks.complete(task.id, task.counter)  # the lease has lapsed


def test_a_client_over_a_clock_of_ones_own() -> None:
    """A run over such a store sleeps until the clock is set forward, however long that takes in our time."""
    clock = StepClock()
    clock.step(time.time())
    store = LocalStore(clock=clock)
    with Resonate(store=store, log_level="CRITICAL") as client:

        @client.register
        def top(ctx):
            yield ctx.sleep(3600)
            return "slept"

        handle = top.begin_run("top")
        when(lambda: store.promises.get("top.1").pending)
        with pytest.raises(TimeoutError):
            handle.result(0.02)
        clock.step(time.time() + 3601)
        store.notify()
        assert handle.result(SOON) == "slept"


class Squeeze:
    """Compresses and writes base 64."""

    def encode(self, obj: str | None, /) -> Any:
        return None if obj is None else base64.b64encode(zlib.compress(obj.encode())).decode()

    def decode(self, obj: Any, /) -> str | None:
        return None if obj is None else zlib.decompress(base64.b64decode(obj)).decode()


def test_a_stores_encoder_is_for_what_is_kept() -> None:
    """With `LocalStore(encoder=)` data is kept encoded, and everybody, runs too, reads it as it was given."""
    store = LocalStore(encoder=Squeeze())
    with Resonate(store=store, log_level="CRITICAL") as client:
        client.register(value)

        @client.register
        def top(ctx, text):
            seen = [(yield ctx.run(value, text)), (yield ctx.rpc("value", 5))]
            return [*seen, (yield (yield ctx.promise(id="gate", data="d")))]

        handle = top.begin_run("top", "x" * 1000)
        when(lambda: client.promises.get("gate").pending)
        assert client.promises.get("gate").param.data == '"d"'
        assert client.promises.resolve("gate", data="7").value.data == "7"
        assert handle.result(SOON) == ["x" * 1000, 5, 7]
        assert top.begin_run("top", "else").result(SOON) == ["x" * 1000, 5, 7]
    kept = store._machine.promises["gate"].value[1]
    assert (Squeeze().decode(kept), kept != "7") == ("7", True)


def test_a_router_of_ones_own_sends_promises() -> None:
    """A router that was added is asked for promises without a target, and where it knows one, a task is sent there."""

    class ByTag:
        def route(self, promise: DurablePromise) -> str | None:
            return "poll://any@g" if promise.tags.get("for") == "g" else None

    store = LocalStore()
    store.add_router(ByTag())
    source = store.message_source("g", "w")
    source.start()
    store.promises.create("nowhere", FAR)
    store.promises.create("somewhere", FAR, tags={"for": "g"})
    assert source.next()["task"]["rootPromiseId"] == "somewhere"
    source.stop()
    assert source.next() is None


# ---- 11.5 stores on a server -----------------------------------------------------------------------------------------------------


def test_what_makes_a_store_on_a_server() -> None:
    """`RemoteStore(host, port, auth, encoder, timeout, retry_policy)` takes all by place; a timeout may be (connect, read)."""
    assert parameters(RemoteStore)[:6] == ["host=None", "port=None", "auth=None", "encoder=None", "timeout=5.0", "retry_policy=None"]
    store = RemoteStore("http://far", "7", ("ada", "secret"), Squeeze(), (1, 3), Constant(delay=9))
    assert (store.url, type(store.encoder), store._connections._timeout_s) == ("http://far:7", Squeeze, 3.0)


def test_a_policy_says_when_a_server_is_asked_again() -> None:
    """Retries wait for what the store's policy says from `next(0)` on: the first none, the others its delay."""
    with Crossing("http://127.0.0.1:1", lambda asked: reply(503) if asked.number < 4 else reply(200, PROMISE)) as crossing:
        store = RemoteStore(crossing.url, protocol="legacy", retry_policy=Constant(delay=0.3, max_retries=2))
        assert store.promises.get("a").id == "a"
        store.stop()
        first, second, third, fourth = crossing.times
    assert (second - first < 0.2, 0.25 < third - second < 1, 0.25 < fourth - third < 1) == (True, True, True)


def test_a_servers_stores_encoder_is_for_what_is_sent() -> None:
    """With `RemoteStore(encoder=)` data is sent encoded and read as it was given."""
    with DevelopmentServer(port=0) as server:
        squeezed, plain = RemoteStore(server.url, encoder=Squeeze(), protocol="legacy"), RemoteStore(server.url, protocol="legacy")
        assert squeezed.promises.create("a", FAR, data="x" * 1000).param.data == "x" * 1000
        kept = plain.promises.get("a").param.data
        squeezed.stop()
        plain.stop()
    assert (Squeeze().decode(kept), kept != "x" * 1000) == ("x" * 1000, True)


# ---- 11.6 message sources --------------------------------------------------------------------------------------------------------


def test_the_addresses_of_a_local_message_source() -> None:
    """`LocalMessageSource(store, group, id, scheme)` has the addresses `<scheme>://uni@<group>/<id>` and `any@`."""
    store = LocalStore()
    source = LocalMessageSource(store, "g", "i")
    assert (source.unicast, source.anycast) == ("local://uni@g/i", "local://any@g/i")
    other = LocalMessageSource(store=store, group="g", id="i", scheme="poll")
    assert (other.unicast, other.anycast) == ("poll://uni@g/i", "poll://any@g/i")
    assert store.message_source("g", "i").unicast == "local://uni@g/i"


def test_the_addresses_of_a_poller() -> None:
    """`Poller(group, id, host, port, auth, timeout, encoder)` has `poll://uni@<group>/<id>`, `any@`, and its stream's place."""
    assert parameters(Poller) == ["group", "id", "host=None", "port=None", "auth=None", "timeout=None", "encoder=None"]
    poller = Poller("g", "i", "http://far", "7")
    assert (poller.unicast, poller.anycast, poller.url) == ("poll://uni@g/i", "poll://any@g/i", "http://far:7/g/i")


@pytest.mark.parametrize("make", [
    lambda: LocalStore().message_source("g", "i"), lambda: Poller("g", "i", "http://127.0.0.1", 1),
], ids=["local", "poller"])  # fmt: skip
def test_a_message_source_blocks_until_a_message_or_the_end(make: Callable[[], MessageSource]) -> None:
    """`next` waits for what `enqueue` brings, in order, and gives None when the source is stopped."""
    source = make()
    got: list[Any] = []
    reader = threading.Thread(target=lambda: got.extend(iter(source.next, None)))
    source.start()
    reader.start()
    for number in range(3):
        source.enqueue({"type": "notify", "number": number})
    when(lambda: len(got) == 3)
    assert reader.is_alive()
    source.stop()
    reader.join(SOON)
    assert (reader.is_alive(), [each["number"] for each in got]) == (False, [0, 1, 2])
