"""The current protocol's JSON: strictly read, exactly written, and the same after every round trip; nothing that comes in breaks it."""

from __future__ import annotations

import base64
import copy
import json
import random
import string
from typing import Any

import pytest

from resonate.errors import ResonateStoreError, StoreUnavailable
from resonate.machine import Machine
from resonate.protocol import (
    AcquireTask,
    ActFenced,
    AwaitPromise,
    CallbackRecord,
    ContinueTask,
    CreatePromise,
    DeleteSchedule,
    EnsureAcquired,
    EnsurePromise,
    EnsureSchedule,
    FindPromises,
    FindSchedules,
    FindTasks,
    FulfillTask,
    GetPromise,
    GetSchedule,
    HaltTask,
    Lineage,
    ListenToPromise,
    NotifyMessage,
    PromiseRecord,
    ReleaseTask,
    RenewLeases,
    SettlePromise,
    SuspendTask,
    TaskMessage,
    ViewTask,
)
from resonate.wire import current, current_requests
from resonate.wire.current_requests import Envelope, answer, read_answer, read_envelope, read_request, reply_to, write_request
from resonate.wire.http import Request

TARGET = "poll://any@g"
TAGS = {"resonate:target": TARGET, "a": "b"}
VALUE = ({"h": "é"}, '{"x": 1}')
OPERATIONS: list[Any] = [
    GetPromise("p"), EnsurePromise("p", 0), EnsurePromise("p", 2**63 - 1, VALUE, TAGS, TARGET),
    EnsurePromise("p", 5, tags={"resonate:timer": "true"}, timer=True), SettlePromise("p", "RESOLVED", adopt=True),
    SettlePromise("p", "REJECTED_CANCELED", ({}, ""), adopt=True), AwaitPromise("a", "b"), ListenToPromise("p", "https://example.com/x"),
    FindPromises(), FindPromises("REJECTED_TIMEDOUT", {"a": "b"}, 7, "x"), ViewTask("p"),
    EnsureAcquired(EnsurePromise("p", 5, VALUE, TAGS, TARGET), "w", 1), AcquireTask("p", 0, "w", 1),
    ActFenced("p", 1, EnsurePromise("q", 5, VALUE)), ActFenced("p", 1, SettlePromise("q", "REJECTED", VALUE, adopt=True)),
    SuspendTask("p", 1, ["q", "r"]), FulfillTask("p", 1, "RESOLVED", VALUE), ReleaseTask("p", 1), RenewLeases("w", []),
    RenewLeases("w", [("p", 1), ("q", 0)]), HaltTask("p"), ContinueTask("p"), FindTasks(), FindTasks(("INIT", "ENQUEUED"), 3, "x"),
    GetSchedule("s"), EnsureSchedule("s", "* * * * *", "{{.id}}", 5, VALUE, TAGS), DeleteSchedule("s"), FindSchedules(None, 10),
    FindSchedules({"a": "b"}, 3, "x"),
]  # fmt: skip


def envelope(kind: str, data: Any, **head: Any) -> dict[str, Any]:
    return {"kind": kind, "head": {"corrId": "c", "version": "2026-04-01", **head}, "data": data}


def status_of(body: Any) -> int:
    """What a machine that is empty answers."""
    machine = Machine()
    text = body if isinstance(body, (str, bytes)) else json.dumps(body)
    status, shown = answer(text, lambda operation: machine.apply(operation, 1000))
    assert shown["head"]["status"] == status
    assert status < 400 or isinstance(shown["data"], str), "an error is a bare text"
    return status


# ---- round trips -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: type(each).__name__)
def test_an_operation_arrives_as_it_was_sent(operation: Any) -> None:
    """What a client writes, a server reads as the same operation."""
    sent = json.dumps(write_request(operation, "7", "token"))
    assert read_envelope(sent) == Envelope(json.loads(sent)["kind"], "7", "token", operation)


def text_like(chance: random.Random) -> str:
    """Data as somebody may send it: base64 of text or of bytes, almost base64, anything."""
    raw = bytes(chance.choices(range(256), k=chance.randrange(12)))
    return chance.choice((
        base64.b64encode(raw).decode(), base64.b64encode(raw.hex().encode()).decode(), base64.b64encode(b"\x00as sent:x").decode(),
        "".join(chance.choices(string.printable + "é☃😀\x00", k=chance.randrange(8))), "MQ", "MR==", "MQ==\n", " MQ==", "",
        base64.b64encode("\ud800".encode("utf-8", "surrogatepass")).decode(), "\x00as sent:",
    ))  # fmt: skip


def test_data_comes_back_as_it_was_sent() -> None:
    """Whatever text is sent as data is shown again to the letter; canonical base64 is kept as what it says."""
    chance = random.Random(1)
    for _ in range(5_000):
        shown = {"data": text_like(chance)} | chance.choice(({}, {"headers": {}}, {"headers": {"a": ""}}))
        assert current.value_to_wire(current.value_from_wire(shown)) == shown
    assert current.value_from_wire({"data": "MQ=="}) == (None, "1")
    assert current.value_from_wire({"data": None, "headers": None}) == (None, None)


def test_records_and_messages_arrive_as_they_were_sent() -> None:
    """Promises, tasks, schedules and both messages are the same after a way over the wire, as far as the wire tells of them."""
    machine = Machine()
    held = machine.apply(EnsureAcquired(EnsurePromise("p", 9_000, VALUE, TAGS, TARGET), "w", 50), 1000)
    schedule = machine.apply(EnsureSchedule("s", "* * * * *", "{{.id}}", 5, VALUE, TAGS), 1000)
    promise = current.promise_from_wire(current.promise_to_wire(held.promise))
    assert promise == PromiseRecord("p", "PENDING", 9_000, VALUE, (None, None), TAGS, TARGET, False, 1000)
    task = current.task_from_wire(current.task_to_wire(held.task))
    assert (task.root, task.state, task.counter, task.resumes, task.pid, task.ttl) == ("p", "CLAIMED", 1, 0, "w", 50)
    assert current.schedule_from_wire(current.schedule_to_wire(schedule)) == schedule
    machine.apply(ListenToPromise("p", "a"), 1000)
    machine.apply(ReleaseTask("p", 1), 1000)
    machine.apply(SettlePromise("p", "REJECTED", VALUE, adopt=True), 2000)
    execute, unblock = (current.message_from_wire(current.message_to_wire(each, "http://x"), "r") for each in machine.take_messages())
    assert execute == TaskMessage("r", "execute", "p", 1, "p")
    assert isinstance(unblock, NotifyMessage)
    assert (unblock.kind, unblock.promise.state, unblock.promise.value) == ("unblock", "REJECTED", VALUE)
    assert current.message_from_wire({"kind": "news"}, "r") is None


# ---- what a request must be --------------------------------------------------------------------------------------------------------------


CREATE = {"id": "p", "timeoutAt": 5000}
ACTION = {"kind": "promise.create", "head": {}, "data": {**CREATE, "tags": TAGS}}
AWAIT = {"kind": "promise.register_callback", "head": {}, "data": {"awaited": "q", "awaiter": "p"}}
WRONG: list[tuple[str, Any]] = [
    *(("promise.create", CREATE | {"id": each}) for each in ("", "a\x00", 5, None, ["p"], {})),
    *(("promise.create", CREATE | {"timeoutAt": each}) for each in (-1, 2**63, 1.0, "5", True, None)),
    *(("promise.create", CREATE | {"param": each}) for each in (None, "x", [], {"data": 1}, {"headers": {"a": None}}, {"headers": []})),
    *(("promise.create", CREATE | {"tags": each}) for each in (None, [], {"a": 1}, {"resonate:target": "g"}, {"resonate:target": ""})),
    ("promise.create", {"id": "p"}), ("promise.create", {"timeoutAt": 5}), ("promise.create", []), ("promise.create", None),
    *(("promise.settle", {"id": "p", "state": each}) for each in ("RESOLVED", "pending", "rejected_timedout", "", None, 1, ["resolved"])),
    ("promise.settle", {"id": "p", "state": "resolved", "value": None}),
    ("promise.register_callback", {"awaited": "p", "awaiter": "p"}), ("promise.register_callback", {"awaited": "", "awaiter": "p"}),
    *(("promise.register_listener", {"awaited": "p", "address": each}) for each in ("g", "", "ftp://x", "poll://g", "poll://any@", 5)),
    *(("promise.search", {"limit": each}) for each in (0, -1, 1001, 1.0, "5", True)),
    ("promise.search", {"state": "done"}), ("promise.search", {"tags": {"a": 1}}), ("promise.search", {"cursor": 5}),
    ("task.search", {"state": "resolved"}), ("task.search", {"limit": 0}), ("schedule.search", {"limit": 1001}),
    ("task.acquire", {"id": "p", "version": -1, "pid": "w", "ttl": 5}), ("task.acquire", {"id": "p", "version": 0, "pid": "", "ttl": 5}),
    ("task.acquire", {"id": "p", "version": 0, "pid": "w", "ttl": 0}), ("task.acquire", {"id": "p", "version": "0", "pid": "w", "ttl": 5}),
    ("task.create", {"pid": "w", "ttl": 5, "action": {**ACTION, "data": CREATE}}), ("task.create", {"pid": "w", "ttl": 5}),
    ("task.create", {"pid": "w", "ttl": 5, "action": {name: each for name, each in ACTION.items() if name != "head"}}),
    ("task.create", {"pid": "w", "ttl": 5, "action": ACTION | {"kind": 5}}), ("task.create", {"pid": "w", "ttl": 5, "action": "x"}),
    ("task.fence", {"id": "q", "version": 1, "action": ACTION | {"kind": "promise.get"}}), ("task.fence", {"id": "p", "version": 1,
     "action": ACTION}), ("task.fence", {"id": "q", "version": 1, "action": {"kind": "promise.create", "data": {"id": "p"}}}),
    *(("task.suspend", {"id": "p", "version": 1, "actions": each}) for each in ([], None, {}, ["x"], [AWAIT | {"data": {}}])),
    ("task.suspend", {"id": "q", "version": 1, "actions": [AWAIT]}), ("task.suspend", {"id": "x", "version": 1, "actions": [AWAIT]}),
    ("task.fulfill", {"id": "q", "version": 1, "action": {"kind": "promise.settle", "head": {}, "data": {"id": "p", "state": "resolved"}}}),
    *(("task.heartbeat", {"pid": "w", "tasks": each}) for each in (None, {}, ["p"], [{"id": "p"}], [{"id": "p", "version": "1"}])),
    ("task.heartbeat", {"pid": "", "tasks": []}), ("task.heartbeat", {"tasks": []}),
    ("schedule.create", {"id": "s", "cron": "soon", "promiseId": "p", "promiseTimeout": 5}),
    ("schedule.create", {"id": "s", "cron": "* * * * *", "promiseId": "", "promiseTimeout": 5}),
    ("schedule.create", {"id": "s", "cron": "* * * * *", "promiseId": "p", "promiseTimeout": -5}),
    ("promise.frobnicate", {}), ("promise", {}), ("", {}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "data"), WRONG, ids=str)
def test_what_is_wrong_is_refused(kind: str, data: Any) -> None:
    """A request that is not exactly as it must be is 400, with the reason as a text, and reaches no store."""
    status, shown = answer(json.dumps(envelope(kind, data)), lambda operation: Machine().apply(operation, 1000))
    assert (status, shown["kind"], shown["head"]["corrId"]) == (400, kind, "c")
    assert isinstance(shown["data"], str)
    assert shown["data"]


@pytest.mark.parametrize(("kind", "data", "status"), [
    ("promise.create", CREATE | {"unknown": [1]}, 200), ("promise.create", CREATE | {"timeoutAt": 2**63 - 1}, 200),
    ("promise.create", CREATE | {"param": {"data": None, "headers": None}}, 200), ("promise.create", CREATE | {"id": "é\n/" * 99}, 200),
    ("promise.search", {"state": None, "tags": None, "limit": None, "cursor": None}, 200), ("promise.search", {}, 200),
    ("task.heartbeat", {"pid": "w", "tasks": [{"id": "", "version": 0}]}, 200), ("promise.get", {"id": "p"}, 404),
    ("task.fence", {"id": "q", "version": 1, "action": {"kind": "promise.create", "data": CREATE}}, 404),
    ("task.create", {"pid": "w", "ttl": 5, "action": ACTION | {"head": None, "kind": "any"}}, 200), ("debug.reset", {}, 403),
    ("promise.register_callback", {"awaited": "p", "awaiter": "q"}, 404), ("schedule.delete", {"id": "s"}, 404),
], ids=str)  # fmt: skip
def test_what_is_right_is_answered(kind: str, data: Any, status: int) -> None:
    """What the protocol allows is carried out, and its refusals have the status of what is missing."""
    assert status_of(envelope(kind, data)) == status


@pytest.mark.parametrize(("body", "kind", "corr_id"), [
    ("{nope", "unknown", "0"), ("", "unknown", "0"), ("[]", "unknown", "0"), (b"\xff", "unknown", "0"), ("[" * 100_000, "unknown", "0"),
    ('{"kind": "x", "head": {"corrId": "c", "version": "1"}, "data": {}}', "x", "c"), ('{"kind": 5, "head": 5}', "unknown", "0"),
    ('{"kind": "promise.get", "head": {"corrId": "c", "version": "2026-04-01", "auth": 5}, "data": {"id": "p"}}', "promise.get", "c"),
    ('{"kind": "promise.get", "head": {"corrId": 7, "version": "2026-04-01"}, "data": {"id": "p"}}', "promise.get", "0"),
    ('{"kind": "promise.get", "head": {"corrId": "c", "version": "2026-04-01"}, "data": {"id": "\\ud800"}}', "unknown", "0"),
    ('{"kind": "promise.get", "head": {"corrId": "c", "version": "2026-04-01"}, "data": {"id": NaN}}', "unknown", "0"),
    (f'{{"kind": "promise.get", "head": {{"corrId": "c"}}, "x": {"9" * 5_000}}}', "unknown", "0"),
], ids=lambda each: str(each)[:60])  # fmt: skip
def test_what_is_no_envelope(body: Any, kind: str, corr_id: str) -> None:
    """What cannot be read is 400 all the same; kind and corrId are given back as far as they are text."""
    status, shown = answer(body, lambda operation: pytest.fail("it reached the store"))
    assert (status, shown["kind"], shown["head"]["corrId"]) == (400, kind, corr_id)


def test_garbage_is_answered_and_nothing_breaks() -> None:
    """However a request is mangled, the answer is an envelope with a status, and a text where it is an error."""
    chance = random.Random(2)
    requests = [write_request(operation, "c") for operation in OPERATIONS]
    junk: tuple[Any, ...] = (None, True, 0, -1, 2**70, 1.5, "", "p", "\x00", [], [1], {}, {"a": 1}, {"id": "p"}, {"kind": "promise.get"})
    machine = Machine()
    for _ in range(10_000):
        request = json.loads(json.dumps(chance.choice(requests)))
        for _ in range(chance.choice((1, 1, 2, 3))):
            place: Any = request
            while isinstance(place, (dict, list)) and place:
                key = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
                if chance.random() < 0.4 or not isinstance(place[key], (dict, list)):
                    place[key] = copy.deepcopy(chance.choice(junk))
                    break
                place = place[key]
        text = json.dumps(request)
        body = text[: chance.randrange(len(text))] if chance.random() < 0.05 else text
        status, shown = answer(body, lambda operation: machine.apply(operation, 1000))
        assert status in (200, 300, 400, 404, 409, 422)
        assert isinstance(shown["data"], str) == (status >= 400)
        json.dumps(shown)


def test_an_answer_must_fit_its_request() -> None:
    """A client takes no answer to something else, and nothing that is none; a refusal carries the server's status and words."""
    operation = GetPromise("p")
    good = {"kind": "promise.get", "head": {"corrId": "7", "status": 404}, "data": "there is none"}
    for data in ("there is none", {"error": "there is none"}):
        with pytest.raises(ResonateStoreError, match="there is none") as refused:
            read_answer(operation, "7", good | {"data": data})
        assert current_requests.status_of(refused.value) == 404
    wrong = ({}, None, [], good | {"kind": "task.get"}, good | {"head": {"corrId": "8", "status": 200}}, good | {"head": {"corrId": "7"}})
    for shown in (*wrong, {**good, "head": {"corrId": "7", "status": 200}}):
        with pytest.raises(ValueError, match="no answer"):
            read_answer(operation, "7", shown)


def test_a_store_in_trouble_is_500() -> None:
    """What the store cannot do now is an internal error, in its words."""
    request = read_envelope(json.dumps(write_request(GetPromise("p"), "7")))
    status, shown = reply_to(request, StoreUnavailable("the disk is full"))
    assert (status, shown["data"]) == (500, "Internal error: the disk is full")


# ---- over HTTP, without sockets ----------------------------------------------------------------------------------------------------------


def test_which_requests_are_of_this_protocol() -> None:
    """Everything is asked by `POST /`; whether the server lives, by two paths of their own; nothing else is known."""
    for method, path in (("GET", "/"), ("POST", "/promises"), ("POST", "/health"), ("GET", "/promises")):
        assert read_request(Request(method, path)) is None
    for path in ("/health", "/ready"):
        asked = read_request(Request("GET", path))
        assert asked is not None
        assert asked.reply(()) == (200, None)
    big = read_request(Request("POST", "/", body=b" " * (current_requests.REQUEST_LIMIT + 1)))
    assert big is not None
    assert big.reply(()).status == 413


@pytest.mark.parametrize(("auth", "status"), [(None, 401), ("no", 401), ("yes", 404)])
def test_who_may_ask(auth: str | None, status: int) -> None:
    """The token in the envelope's head is asked about before anything reaches a store."""
    machine = Machine()
    body = json.dumps(write_request(GetPromise("p"), "7", auth)).encode()
    asked = read_request(Request("POST", "/", body=body), lambda token: token == "yes")
    assert asked is not None
    assert len(asked.operations) == (0 if status == 401 else 1)
    try:
        answers = [machine.apply(each, 0) for each in asked.operations]  # type: ignore[arg-type]
    except ResonateStoreError as error:
        answers = [error]
    reply = asked.reply(answers)
    assert (reply.status, reply.body["head"]["status"]) == (status, status)


# ---- tags --------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "more", "tags"), [
    ("run", {"parent": None, "target": TARGET}, {"resonate:scope": "global", "resonate:target": TARGET, "resonate:branch": "r"}),
    ("run", {}, {"resonate:scope": "local", "resonate:branch": "b"}),
    ("rpc", {"target": TARGET}, {"resonate:scope": "global", "resonate:target": TARGET, "resonate:branch": "r"}),
    ("sleep", {"timer": True}, {"resonate:scope": "local", "resonate:timer": "true", "resonate:branch": "b"}),
    ("promise", {}, {"resonate:scope": "global", "resonate:external": "true", "resonate:branch": "b"}),
    ("detached", {"target": TARGET}, {"resonate:scope": "global", "resonate:target": TARGET, "resonate:branch": "r"}),
])  # fmt: skip
def test_the_tags_of_each_kind(kind: Any, more: dict[str, Any], tags: dict[str, str]) -> None:
    """Each promise gets its scope, its outermost run, its origin and parent, and what a server acts on; a branch only if it is wanted."""
    create = CreatePromise("r", 0, tags={"mine": "1"}, target=more.get("target"), timer=more.get("timer", False),
                           lineage=Lineage("o", "x", more.get("parent", "o"), kind, "f"))  # fmt: skip
    always = {"mine": "1", "resonate:root": "o", "resonate:origin": "o", "resonate:parent": more.get("parent", "o") or "r"}
    assert current.tags_for(create, branch="b") == always | tags
    assert current.tags_for(create) == always | {name: tag for name, tag in tags.items() if name != "resonate:branch"}


@pytest.mark.parametrize(("promise_id", "origin", "parent", "dialect", "named"), [
    ("a.1", "a", "a", "R2", "origin parent"), ("a:1", "a", "a", "R2", ""), ("a.b", "a.b", "a.b", "R2", ""),
    ("a.1", "a", "x", "R2", "origin"),
    ("a:1", "a", "a", "R3", "origin parent"), ("a.1", "a", "a", "R3", ""), ("a:1.2", "a", "a:1", "R3", "origin parent"),
    ("a:b", "a:b", "a:b", "R3", ""), ("z", "a", "a", "R1", "origin parent"),
])  # fmt: skip
def test_no_server_is_sent_a_tag_that_it_refuses(promise_id: str, origin: str, parent: str, dialect: Any, named: str) -> None:
    """Origin and parent are named where the dialect takes them for that id (current protocol, creation checks)."""
    tags = current.tags_for(CreatePromise(promise_id, 0, lineage=Lineage(origin, origin, parent, "run", "f")), dialect)
    assert [name for name in ("origin", "parent") if f"resonate:{name}" in tags] == named.split()


def test_tasks_of_the_machine_are_not_named_on_the_wire() -> None:
    """A fenced task's id on the wire is its promise's, whatever it stands under among the tasks."""
    machine = Machine()
    machine.apply(EnsurePromise("p", 9_000, target=TARGET), 1000)
    assert current.message_to_wire(machine.take_messages()[0])["data"] == {"task": {"id": "p", "version": 0}}
    assert current.task_to_wire(machine.apply(ViewTask("p"), 1000))["id"] == "p"
    assert all(isinstance(each, CallbackRecord) for each in machine._callbacks.values())
