"""Laws of the legacy protocol without any HTTP: what is written is read again, and garbage is refused or answered."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resonate.cron import next_run
from resonate.errors import ResonateStoreError
from resonate.locks import AcquireLock, KeepLocks, Locks, ReleaseLock
from resonate.machine import Machine
from resonate.protocol import (
    ClaimTask,
    CompleteTask,
    CreateLeased,
    CreatePromise,
    CreateSchedule,
    DeleteSchedule,
    DropTask,
    GetPromise,
    GetSchedule,
    Heartbeat,
    Lease,
    RegisterCallback,
    SearchPromises,
    SearchSchedules,
    SettlePromise,
    Subscribe,
)
from resonate.server.app import _text
from resonate.stores.local import apply
from resonate.transport.http_connection import _bytes
from resonate.wire.http import Asked, Reply, Request
from resonate.wire.legacy_fields import is_sendable
from resonate.wire.legacy_http import ROUTES, error_reply, read_request, write_request

BASE = "http://server"
FAR = 2**45

# ---- round trips -------------------------------------------------------------------------------------------------------------------------

texts = st.text(st.characters(codec="utf-8"), max_size=20)
ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
integers = st.integers(-(2**63), 2**63 - 1)
durations = st.integers(0, 253_402_329_599_000)
counters = st.integers(1, 2**31)
tags = st.none() | st.dictionaries(texts, texts, min_size=1, max_size=3)
keys = st.none() | texts
data = st.none() | st.binary(max_size=30).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
values = st.tuples(tags, data)
states = st.sampled_from(["RESOLVED", "REJECTED", "REJECTED_CANCELED"])
fences = st.none() | st.builds(Lease, st.just(""), ids.filter(is_sendable), counters)
heads = st.none() | st.dictionaries(st.sampled_from(["traceparent", "tracestate"]), texts, min_size=1)
addresses = ids | st.sampled_from(['{"type": "poll", "data": {"group": "g"}}', "{", "{}", '{"type": 7, "data": 1}'])


@st.composite
def creations(draw: st.DrawFn) -> CreatePromise:
    """One whose tags say all that a legacy server can know of it."""
    target, timer = draw(st.none() | ids.map(lambda name: f"poll://any@{name}")), draw(st.booleans())
    given_tags = dict(draw(tags) or {})
    given_tags |= ({} if target is None else {"resonate:invoke": target}) | ({"resonate:timeout": "true"} if timer else {})
    return CreatePromise(
        draw(ids), draw(integers), draw(keys), draw(st.booleans()), draw(values), given_tags or None, target, timer, lease=draw(fences),
        head=draw(heads),
    )  # fmt: skip


OPERATIONS = st.one_of(
    creations(), st.builds(CreateLeased, creations(), ids, durations), st.builds(GetPromise, ids),
    st.builds(SettlePromise, ids, states, values, keys, st.booleans(), st.just(False), fences),
    st.builds(RegisterCallback, ids, ids, addresses, integers, fences, heads), st.builds(Subscribe, ids, ids, addresses, integers),
    st.builds(ClaimTask, ids, counters, ids, durations), st.builds(CompleteTask, ids, counters), st.builds(DropTask, ids, counters),
    st.builds(Heartbeat, ids), st.builds(GetSchedule, ids), st.builds(DeleteSchedule, ids),
    st.builds(CreateSchedule, ids, ids, ids, integers, values, tags, keys, tags, keys),
    st.builds(
        SearchPromises, ids, st.sampled_from([None, ("PENDING",), ("RESOLVED",), ("REJECTED", "REJECTED_CANCELED", "REJECTED_TIMEDOUT")]),
        tags, st.integers(1, 100),
    ),
    st.builds(SearchSchedules, ids, tags, st.integers(1, 100)),
    st.builds(AcquireLock, ids, ids, ids, durations), st.builds(ReleaseLock, ids, ids), st.builds(KeepLocks, ids),
)  # fmt: skip


@given(OPERATIONS)
@settings(max_examples=1500, deadline=None)
def test_what_is_written_is_read_again(operation: Any) -> None:
    """The request that a client writes for an operation is read by a server as the same operation, whatever its headers carry."""
    request = write_request(operation)
    carried = {name: _text(_bytes(text)) if name == "task-id" else text for name, text in request.headers.items()}
    asked = read_request(request._replace(headers=carried), BASE)
    assert asked is not None
    assert asked.operations[-1] == operation


# ---- garbage -----------------------------------------------------------------------------------------------------------------------------

names = st.sampled_from(
    [
        "id", "timeout", "param", "value", "data", "headers", "tags", "state", "promise", "task", "processId", "ttl", "counter",
        "rootPromiseId", "recv", "promiseId", "cron", "desc", "promiseTimeout", "promiseParam", "promiseTags", "resourceId", "executionId",
    ]
)  # fmt: skip
literals = st.sampled_from(["YQ==", "\ud800", "*", "@every 1s"])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | literals
shown = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | texts, inner, max_size=8), max_leaves=20)
paths = st.sampled_from([route.path for route in ROUTES]).map(lambda path: path.replace("{id}", "a").replace("{counter}", "1")) | texts
bodies = shown.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=50)
header_names = st.sampled_from(["strict", "idempotency-key", "task-id", "task-counter", "traceparent"])
headers = st.dictionaries(header_names, st.sampled_from(["", "1", "true", "é", "-"]) | texts)
queries = texts | st.lists(st.tuples(st.sampled_from(["id", "state", "limit", "cursor", "tags[x]"]), texts)).map(
    lambda pairs: "&".join("=".join(pair) for pair in pairs)
)


@given(st.lists(st.builds(Request, st.sampled_from(["GET", "POST", "PATCH", "DELETE"]), paths, queries, headers, bodies), max_size=5))
@settings(max_examples=1500, deadline=None)
def test_garbage(requests: Sequence[Request]) -> None:
    """Whatever is sent, it is refused with a code, or carried out and answered with what JSON can hold."""
    machine, locks = Machine(next_run), Locks()
    for request in requests:
        try:
            asked = read_request(request, BASE)
        except ResonateStoreError as error:
            asked = Asked((), lambda _, refused=error: error_reply(refused))  # type: ignore[misc]
        if asked is None:
            continue
        if not asked.operations:
            answers: Any = []
        elif isinstance(asked.operations[0], (AcquireLock, ReleaseLock, KeepLocks)):
            try:
                answers = [locks.apply(asked.operations[0], 5)]
            except ResonateStoreError as error:
                answers = [error]
        else:
            answers = apply(machine, asked.operations, 5)  # type: ignore[arg-type]
        reply = asked.reply(answers)
        json.dumps(reply.body).encode()
        assert 200 <= reply.status < 500


# ---- single laws -------------------------------------------------------------------------------------------------------------------------


def answer(machine: Machine, method: str, path: str, body: Any = None, **headers: str) -> Reply:
    """What a server with this machine answers."""
    request = Request(method, path, "", headers, json.dumps(body).encode())
    try:
        asked = read_request(request, BASE)
    except ResonateStoreError:
        return Reply(400)
    assert asked is not None
    return asked.reply(apply(machine, asked.operations, 5))  # type: ignore[arg-type]


@pytest.mark.parametrize("body", [{"recv": None}, {"recv": []}, {"recv": {"type": "poll"}}, {}])
def test_what_ends_the_real_server_is_refused(body: dict[str, Any]) -> None:
    """A callback without an address, and a template that cannot be read, are 400 here: the real server accepts them and dies of them."""
    machine = Machine(next_run)
    answer(machine, "POST", "/promises", {"id": "leaf", "timeout": FAR})
    assert answer(machine, "POST", "/promises/callback/leaf", {"rootPromiseId": "r", "timeout": FAR} | body).status == 400
    schedule = {"id": "s", "cron": "@daily", "promiseId": "x{{", "promiseTimeout": 1}
    assert answer(machine, "POST", "/schedules", schedule).status == 400


def test_fences() -> None:
    """A write that names a task is carried out only while that task is held with that counter."""
    machine = Machine(next_run)
    task = {"processId": "w", "ttl": 1000}
    answer(machine, "POST", "/promises/task", {"promise": {"id": "r", "timeout": FAR, "tags": {"resonate:invoke": "g"}}, "task": task})
    held, lost = ({"task-id": "__invoke:r", "task-counter": counter} for counter in ("1", "2"))
    child = {"id": "r.1", "timeout": FAR}
    callback = {"rootPromiseId": "r", "timeout": FAR, "recv": "poll://any@g"}
    for headers, statuses in ((lost, [412, 404, 404]), (held, [201, 201, 201])):
        assert [
            answer(machine, "POST", "/promises", child, **headers).status,
            answer(machine, "POST", "/promises/callback/r.1", callback, **headers).status,
            answer(machine, "PATCH", "/promises/r.1", {"state": "RESOLVED"}, **headers).status,
        ] == statuses
    assert answer(machine, "PATCH", "/promises/r", {"state": "RESOLVED"}, **lost).body["error"]["code"] == 41200
    assert answer(machine, "POST", "/promises", child, **{"task-id": "x", "task-counter": "one"}).status == 400


@pytest.mark.parametrize("path", ["/promise", "/promises/", "/tasks/claim/a", "/tasks/claim/a/b/1", "/locks", "/schedules/", "", "//", "/"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_no_such_route(path: str, method: str) -> None:
    """What is in no row of the table is nothing that can be asked for."""
    assert read_request(Request(method, path), BASE) is None


def test_a_cursor_of_another_search() -> None:
    """A cursor is checked like the query that it stands for: it cannot be made up to ask for what a query cannot."""
    for cursor in ("", "broken", "W10=", "WyJTZWFyY2hQcm9taXNlcyIsIHt9XQ=="):
        with pytest.raises(ResonateStoreError):
            read_request(Request("GET", "/promises", f"cursor={cursor}"), BASE)
