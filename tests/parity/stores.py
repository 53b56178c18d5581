"""The low-level API of promises, tasks and schedules (contract 11)."""

from __future__ import annotations

import time

from parity.harness import CODES, FAR, attempt, eventually, kind_of, plain, program, value

from resonate.clocks import StepClock
from resonate.encoders import HeaderEncoder, JsonEncoder, JsonPickleEncoder, PairEncoder
from resonate.models.durable_promise import DurablePromise
from resonate.models.task import Task
from resonate.routers import TagRouter
from resonate.stores import LocalStore


def short(promise):
    return [promise.id, promise.state, promise.param.data, promise.value.data]


@program("11.1", gives=[["a", "PENDING", "{}", None], ["a", "RESOLVED", "{}", "1"], ["b", "REJECTED", None, "2"],
                        ["c", "REJECTED_CANCELED", None, "3"], ["a", "RESOLVED", "{}", "1"], "ResonateStoreError 40400"])  # fmt: skip
def promises_are_made_and_settled(resonate):
    """Promises are created, resolved, rejected and canceled by id, with text as their data."""
    promises = resonate.promises
    first = short(promises.create(id="a", timeout=FAR, data="{}", tags={"a": "b"}, headers={"h": "1"}))
    promises.create("b", FAR)
    promises.create("c", FAR)
    return [first, short(promises.resolve(id="a", data="1")), short(promises.reject("b", data="2")), short(promises.cancel("c", data="3")),
            short(promises.get("a")), attempt(promises.get, "nothing")]  # fmt: skip


@program("11.4", gives={
    "create twice": "ResonateStoreError 40900", "create settled": "ResonateStoreError 40900",
    "resolve resolved": "ResonateStoreError 40301", "resolve rejected": "ResonateStoreError 40302",
    "reject canceled": "ResonateStoreError 40303",
    "cancel nothing": "ResonateStoreError 40400"}, differs={f"outcome {name}": ("ResonateStoreError 40399", CODES) for name in [
        "create twice", "create settled", "resolve resolved", "resolve rejected", "reject canceled"]})  # fmt: skip
def refusals(resonate):
    """Without keys a repeated creation or settlement is refused, and so is what does not exist."""
    promises = resonate.promises
    for state in ["pending", "resolved", "rejected", "canceled"]:
        promises.create(state, FAR)
    promises.resolve("resolved")
    promises.reject("rejected")
    promises.cancel("canceled")
    return {
        "create twice": attempt(promises.create, "pending", FAR), "create settled": attempt(promises.create, "resolved", FAR, ikey="k"),
        "resolve resolved": attempt(promises.resolve, "resolved"), "resolve rejected": attempt(promises.resolve, "rejected"),
        "reject canceled": attempt(promises.reject, "canceled"), "cancel nothing": attempt(promises.cancel, "nothing"),
    }  # fmt: skip


@program("11.4", gives={
    "first": ["a", "PENDING", "1", None], "again": ["a", "PENDING", "1", None], "settled": ["a", "RESOLVED", "1", "3"],
    "settled again": ["a", "RESOLVED", "1", "3"], "another way": ["a", "RESOLVED", "1", "3"], "strictly": "ResonateStoreError 40301",
    "created again": ["a", "RESOLVED", "1", "3"], "created strictly": "ResonateStoreError 40900",
    "other key": "ResonateStoreError 40301"}, differs={f"outcome {name}": ("ResonateStoreError 40399", CODES) for name in [
        "strictly", "created strictly", "other key"]})  # fmt: skip
def the_same_keys_again(resonate):
    """With its key a creation or settlement may be repeated and is answered with what is there; `strict` asks for the same state too."""
    promises = resonate.promises
    found = {"first": short(promises.create("a", FAR, ikey="k", data="1")), "again": short(promises.create("a", FAR, ikey="k", data="2"))}
    found["settled"] = short(promises.resolve("a", ikey="s", data="3"))
    found["settled again"] = short(promises.resolve("a", ikey="s", data="4"))
    found["another way"] = short(promises.reject("a", ikey="s", data="5"))
    found["strictly"] = attempt(promises.reject, "a", ikey="s", strict=True)
    found["created again"] = short(promises.create("a", FAR, ikey="k"))
    found["created strictly"] = attempt(promises.create, "a", FAR, ikey="k", strict=True)
    found["other key"] = attempt(promises.resolve, "a", ikey="t")
    return found


@program("11.4", gives={
    "state": ["REJECTED_TIMEDOUT", "RESOLVED"], "flags": [True, False, False, False], "resolve": "REJECTED_TIMEDOUT",
    "resolve strictly": "ResonateStoreError 40304", "completed_on": "its deadline"}, differs={
    "outcome resolve strictly": ("ResonateStoreError 40399", CODES),
    "outcome completed_on": (None, "a promise that timed out was completed at its deadline, as the servers tell it")})  # fmt: skip
def promises_that_timed_out(resonate):
    """A promise that is past its deadline is timed out, or resolved when its tag says so; settling it later is answered with that."""
    promises = resonate.promises
    resonate.start()
    soon = int(time.time() * 1000) + 50
    promises.create("late", soon)
    promises.create("timer", soon, tags={"resonate:timeout": "true"})
    eventually(lambda: promises.get("late").completed and promises.get("timer").completed)
    late = promises.get("late")
    return {
        "state": [late.state, promises.get("timer").state], "flags": [late.timedout, late.rejected, late.canceled, late.resolved],
        "resolve": attempt(lambda: promises.resolve("late").state), "resolve strictly": attempt(promises.resolve, "late", strict=True),
        "completed_on": "its deadline" if late.completed_on == soon else late.completed_on,
    }  # fmt: skip


@program("11.1", gives={
    "flags": [True, False, False, False, False, False], "times": [FAR / 1000, None, True, True], "keys": ["k", None],
    "param": [{"h": "x"}, "1", {"t": "u"}], "none": [None, None], "pair": "({'h': 'x'}, '1')",
    "settled": [["b", "RESOLVED", None, "2"], ["c", "REJECTED", None, "3"], ["d", "REJECTED_CANCELED", None, "4"]],
    "own": ["RESOLVED", "REJECTED", "REJECTED_CANCELED"]})  # fmt: skip
def durable_promises(resonate):
    """A durable promise tells its state and times, and settles itself."""
    promises = resonate.promises
    made = promises.create("a", FAR, ikey="k", data="1", headers={"h": "x"}, tags={"t": "u"})
    settled = promises.create("b", FAR)
    settled.resolve("2")
    refused = promises.create("c", FAR)
    refused.reject("3", ikey="r", headers={"h": "y"})
    given_up = promises.create("d", FAR)
    given_up.cancel("4")
    return {
        "flags": [made.pending, made.completed, made.resolved, made.rejected, made.canceled, made.timedout],
        "times": [made.abs_timeout, made.completed_on, abs(made.created_on / 1000 - time.time()) < 10, made.timeout == FAR],
        "keys": [made.ikey_for_create, made.ikey_for_complete], "param": [made.param.headers, made.param.data, made.tags],
        "none": [made.value.headers, made.value.data], "pair": repr(made.param.to_tuple()),
        "settled": [short(promises.get(promise_id)) for promise_id in "bcd"], "own": [settled.state, refused.state, given_up.state],
    }  # fmt: skip


@program("11.1", gives={
    "made": [["a", "PENDING", None, None], "__invoke:a", 1], "again": [["a", "PENDING", None, None], None],
    "claimed": "ResonateStoreError 40306", "heartbeat": [1, 0], "completed": True, "unknown": "ResonateStoreError 40403"}, differs={
    "outcome claimed": ("ResonateStoreError 40305", CODES)})  # fmt: skip
def promises_with_tasks(resonate):
    """`create_with_task` gives a claimed task when the promise is new and goes somewhere; a promise that is there gives none."""
    store = LocalStore()
    to = {"resonate:invoke": "poll://any@default"}
    promise, task = store.promises.create_with_task("a", FAR, "p1", 60_000, ikey="k", tags=to)
    found = {"made": [short(promise), task.id, task.counter]}
    again, none = store.promises.create_with_task("a", FAR, "p2", 60_000, ikey="k", tags=to)
    found["again"] = [short(again), none]
    found["claimed"] = attempt(store.tasks.claim, task.id, task.counter, "p2", 60_000)
    found["heartbeat"] = [store.tasks.heartbeat("p1"), store.tasks.heartbeat("p2")]
    store.promises.resolve("a", ikey="a", data="1")
    found["completed"] = attempt(store.tasks.complete, task.id, task.counter)
    found["unknown"] = attempt(store.tasks.complete, "nothing", 1)
    return found


@program("11.1", gives={
    "callback": ["PENDING", "__resume:root:leaf", "leaf"], "subscribe": ["PENDING", "__notify:leaf:mine"], "again": [None],
    "settled": ["RESOLVED", None], "unknown": ["ResonateStoreError 40400", "ResonateStoreError 40400"]})  # fmt: skip
def callbacks(resonate):
    """A callback or subscription is made once, on a pending promise; a settled one answers with itself and none."""
    promises = resonate.promises
    promises.create("root", FAR, ikey="root")
    promises.create("leaf", FAR, ikey="leaf")
    first, made = promises.callback("leaf", "root", "poll://any@default/x", FAR)
    second, subscribed = promises.subscribe("mine", "leaf", "poll://uni@default/x", FAR)
    found = {"callback": [first.state, made.id, made.promise_id], "subscribe": [second.state, subscribed.id]}
    found["again"] = [each if each is None else each.id for each in [promises.callback("leaf", "root", "poll://any@default/x", FAR)[1]]]
    promises.resolve("leaf")
    settled, none = promises.callback("leaf", "root", "poll://any@default/x", FAR)
    found["settled"] = [settled.state, none]
    found["unknown"] = [attempt(promises.callback, "nothing", "root", "poll://any@default/x", FAR),
                        attempt(promises.subscribe, "mine", "nothing", "poll://any@default/x", FAR)]  # fmt: skip
    return found


@program("11.3", gives={
    "id": ["s", "s"], "description": ["nightly", "nightly"], "cron": ["0 0 * * *", "0 0 * * *"], "tags": [{"a": "b"}, {"a": "b"}],
    "promise_id": ["s.{{.timestamp}}", "s.{{.timestamp}}"], "promise_timeout": [60_000, 60_000], "promise_tags": [{"c": "d"}, {"c": "d"}],
    "last_runtime": [None, None], "ikey": ["k", "k"], "next": True, "param": ["2", {"h": "1"}], "same key": "s.{{.timestamp}}",
    "exists": "ResonateStoreError 40901", "deleted": None, "gone": ["ResonateStoreError 40401", "ResonateStoreError 40401"],
    "bad cron": "ResonateStoreError"}, differs={
    "outcome param": ([None, None], "D-25"), "outcome exists": ("ResonateStoreError 40400", CODES),
    "outcome gone": (["ResonateStoreError 40403", "ResonateStoreError 40403"], CODES),
    "outcome bad cron": ("CroniterBadCronError", CODES)})  # fmt: skip
def schedules(resonate):
    """Schedules are created, read and deleted by id."""
    schedules = resonate.schedules
    made = schedules.create("s", "0 0 * * *", "s.{{.timestamp}}", 60_000, ikey="k", description="nightly", tags={"a": "b"},
                            promise_headers={"h": "1"}, promise_data="2", promise_tags={"c": "d"})  # fmt: skip
    read = schedules.get("s")
    fields = ["id", "description", "cron", "tags", "promise_id", "promise_timeout", "promise_tags", "last_runtime", "ikey"]
    found = {name: [getattr(made, name), getattr(read, name)] for name in fields}
    found["next"] = 0 < made.next_runtime - time.time() * 1000 <= 86_400_000
    found["param"] = [getattr(made.promise_param, "data", None), getattr(made.promise_param, "headers", None)]
    found["same key"] = attempt(lambda: schedules.create("s", "0 0 * * *", "x", 1, ikey="k").promise_id)
    found["exists"] = attempt(schedules.create, "s", "0 0 * * *", "x", 1)
    found["deleted"] = schedules.delete("s")
    found["gone"] = [attempt(schedules.get, "s"), attempt(schedules.delete, "s")]
    found["bad cron"] = kind_of(schedules.create, "t", "every day", "x", 1).partition(" ")[0]
    return found


@program("11.3", gives=["RESOLVED", None], differs={"fired tags": (
    {"c": "d"}, {"c": "d", "resonate:invocation": "true", "resonate:schedule": "s"}, "as the servers tag them")})  # fmt: skip
def a_schedule_that_fires(resonate):
    """A schedule makes a promise each time it is due, under the id that its template gives."""
    resonate.start()
    schedule = resonate.schedules.create("s", "* * * * * *", "fired", 3_600_000, promise_data='{"a": 1}', promise_tags={"c": "d"})
    fired = eventually(lambda: resonate.promises.get("fired"))
    schedule.delete()
    resonate.promises.resolve("fired")
    return [resonate.promises.get("fired").state, fired.value.data]


@program("11.6", gives=["local://uni@group/w1", "local://any@group/w1", "invoke", "__invoke:a", 1, "RESOLVED", None])
def message_sources(resonate):
    """A message source tells its addresses and gives the store's messages, the last of them None."""
    store = LocalStore()
    source = store.message_source(group="group", id="w1")
    source.start()
    store.start()
    store.promises.create("a", FAR, tags={"resonate:invoke": "poll://any@default"})
    message = source.next()
    task = message["task"]
    _, leaf = store.tasks.claim(task["id"], task["counter"], "w1", 60_000)
    store.promises.resolve("a")
    state = store.promises.get("a").state
    source.stop()
    return [source.unicast, source.anycast, message["type"], task["id"], task["counter"], state, leaf]


@program("11.4", gives="recorded by the program's own store")
def a_store_of_the_program(resonate):
    """Promises made by hand and by runs live side by side in the store that the program gave."""
    resonate.register(value)
    resonate.promises.create("hand", FAR, ikey="hand", data='{"func": "value"}')
    return resonate.run("a", value, "recorded by the program's own store")


@program("11.1", gives={
    "made": ["__resume:root:leaf", "__notify:leaf:mine"], "again": [None, None], "settled": [None, True, "RESOLVED", "1"]}, differs={
    "outcome again": (["AssertionError: ", "AssertionError: "], "asking again for what is registered is no error")})  # fmt: skip
def promises_that_ask_to_be_told(resonate):
    """A durable promise registers callbacks and subscriptions itself, and takes on its outcome when it is settled already."""
    promises = resonate.promises
    promises.create("root", FAR, ikey="root")
    leaf = promises.create("leaf", FAR, ikey="leaf")
    late = promises.get("leaf")
    made = [leaf.callback("leaf", "root", "poll://any@default/x"), leaf.subscribe("mine", "poll://uni@default/x")]
    again = [attempt(leaf.callback, "leaf", "root", "poll://any@default/x"), attempt(leaf.subscribe, "mine", "poll://uni@default/x")]
    promises.resolve("leaf", data="1")
    settled = late.callback("leaf", "root", "poll://any@default/y")
    return {"made": [each.id for each in made], "again": again, "settled": [settled, late.completed, late.state, late.value.data]}


@program("11.1", gives=["Ok 1", "Ko Exception: no", "Ko ResonateCanceledError: Promise c canceled", "Ok None"])
def outcomes_of_promises(resonate):
    """A settled durable promise gives its outcome as Ok or Ko, read by an encoder."""
    promises = resonate.promises
    for name in "abcd":
        promises.create(name, FAR)
    promises.resolve("a", data="1")
    promises.reject("b", data='{"__error__": "no"}')
    promises.cancel("c")
    promises.resolve("d")
    encoder, found = PairEncoder(HeaderEncoder("resonate:format-py", JsonPickleEncoder()), JsonEncoder()), []
    for name in "abcd":
        result = promises.get(name).result(encoder)
        found.append(f"{type(result).__name__} {plain(result.value)}")
    return found


@program("11.1", gives=[["x", "PENDING", "1", None], FAR, {"a": "b"}, 3, None, ["t", 3], "2"])
def records_from_dicts(resonate):
    """Promises and tasks are made from what a server sends, their data in base64."""
    store = LocalStore()
    sent = {"id": "x", "state": "PENDING", "timeout": FAR, "param": {"data": "MQ=="}, "value": {}, "createdOn": 3, "tags": {"a": "b"}}
    promise, task = DurablePromise.from_dict(store, sent), Task.from_dict(store, {"id": "t", "counter": 3})
    store.promises.create("x", FAR)
    told = [short(promise), promise.timeout, promise.tags, promise.created_on, promise.ikey_for_create, [task.id, task.counter]]
    promise.resolve("2")
    return [*told, store.promises.get("x").value.data]


@program("11.2", gives=["a", None, True, "ResonateStoreError 40307", "ResonateStoreError 40403", 0], differs={
    "outcome": (["a", None, True, "ResonateStoreError 40305", "ResonateStoreError 40403", 0], CODES)})  # fmt: skip
def tasks_in_hand(resonate):
    """A task claims and completes itself; who claims it gets the promise that it is about."""
    store = LocalStore()
    source = store.message_source(group="group", id="w1")
    source.start()
    store.start()
    store.promises.create("a", FAR, tags={"resonate:invoke": "poll://any@default"})
    message = source.next()["task"]
    task = Task(message["id"], message["counter"], store)
    root, leaf = task.claim("w1", 60_000)
    task.complete()
    again = [attempt(task.claim, "w1", 60_000), attempt(store.tasks.claim, "nothing", 1, "w1", 60_000)]
    source.stop()
    return [root.id, leaf, store.tasks.complete(task.id, task.counter), *again, store.tasks.heartbeat("w1")]


@program("11.4", gives=[True] * 10)
def members_of_a_store(resonate):
    """A store in memory offers the promises, tasks and schedules, and what joins it to a message source."""
    names = ["promises", "tasks", "schedules", "message_source", "connect", "disconnect", "start", "stop", "add_router", "add_target"]
    store = LocalStore()
    return [hasattr(store, name) for name in names]


@program("11.4", gives=["int", "local://any@group/w1", "poll://any@default"])
def what_routers_and_clocks_do(resonate):
    """A TagRouter gives a promise's address, a StepClock the time that it was set to, and a target is a name for an address."""
    store, clock = LocalStore(), StepClock()
    store.add_target("here", "local://any@group/w1")
    clock.step(5)
    promise = store.promises.create("a", FAR, tags={"resonate:invoke": "poll://any@default"})
    return ["int" if clock.time() == 5 else "no", store.targets["here"], TagRouter().route(promise)]
