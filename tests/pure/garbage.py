"""Garbage for the wires: what a server, or somebody in its place, may answer, send and ask; drawn from a seed, made from what is right.

`client_inputs` and `server_inputs` try one input each and tell what was raised that may not be. A million of them: the part `wires` of
`python -m tests.chaos.sweep`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from resonate.clocks import StepClock
from resonate.errors import RemoteProtocolError, ResonateStoreError
from resonate.protocol import (
    ClaimTask,
    CreateLeased,
    CreatePromise,
    CreateSchedule,
    DropTask,
    GetPromise,
    GetSchedule,
    Heartbeat,
    Lease,
    Lineage,
    ListDescendants,
    Message,
    Park,
    RegisterCallback,
    SearchPromises,
    SearchSchedules,
    SettlePromise,
    Subscribe,
)
from resonate.stores import LocalStore
from resonate.wire import current_requests, legacy_http
from resonate.wire.client import Answered, Busy, Refused, ServerProtocol
from resonate.wire.current_client import CurrentClient
from resonate.wire.http import Reply, Request, write_json
from resonate.wire.legacy_client import LegacyClient

FAR = 2**45
TARGET = "poll://any@g"
LEASE = Lease("r", "__invoke:r", 1)
RUN = CreatePromise("r", FAR, "r", param=({"h": "1"}, "[1]"), target=TARGET, lineage=Lineage("r", "r", None, "run", "f"))
STEP = CreatePromise("r.1", FAR, "r.1", lineage=Lineage("r", "r", "r", "run", "g", "1"), lease=LEASE)
OPERATIONS: tuple[Any, ...] = (
    RUN, STEP, CreateLeased(RUN, "w", 1000, adopt=True), GetPromise("r"), SettlePromise("r.1", "RESOLVED", (None, "[2]"), "k", lease=LEASE),
    SettlePromise("r", "REJECTED", (None, "[2]"), lease=LEASE, adopt=True), Subscribe("r", "s", TARGET, FAR),
    Park(LEASE, ["r.1", "r.2"], TARGET, FAR),
    RegisterCallback("r.1", "r", TARGET, FAR), ClaimTask("__invoke:r", 1, "w", 1000, adopt=True), DropTask("__invoke:r", 1), Heartbeat("w"),
    ListDescendants("r"), SearchPromises("*"), CreateSchedule("s", "* * * * *", "{{.id}}", 1000), GetSchedule("s"), SearchSchedules("*"),
)  # fmt: skip
MESSAGES: tuple[Any, ...] = (
    {"type": "invoke", "task": {"id": "__invoke:r", "counter": 1, "timeout": FAR, "rootPromiseId": "r"}, "head": {"traceparent": "x"}},
    {"type": "resume", "task": {"id": "__resume:r:s", "counter": 2}},
    {"kind": "execute", "head": {}, "data": {"task": {"id": "r", "version": 0}}},
    {"type": "notify", "promise": {"id": "r", "state": "RESOLVED", "param": {}, "value": {"data": "WzFd"}, "timeout": FAR, "createdOn": 1}},
    {"kind": "unblock", "head": {}, "data": {
        "promise": {"id": "r", "state": "resolved", "param": {}, "value": {}, "tags": {}, "timeoutAt": 1, "createdAt": 1},
    }},
)  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**70), 1e308, 1.5, "", "x", "\x00", "\ud800", "é😀", "PENDING", "resolved", "WzFd",
    "====", "!", [], {}, [[]], {"": {}}, {"data": 7}, {"error": {"code": 40400}}, {"error": 7}, "x" * 5000, {"id": None},
    {"headers": {"a": 1}}, [None] * 20,
)  # fmt: skip
STATUSES = (200, 200, 200, 201, 204, 300, 400, 401, 403, 404, 404, 409, 410, 412, 413, 422, 429, 500, 503, 302, 100, 999, 0)
KINDS = ("application/json", "application/json", "application/json", "text/plain", "text/html", "")
PROMISE = {
    "id": "r", "state": "PENDING", "param": {"headers": {"h": "1"}, "data": "WzFd"}, "value": {}, "timeout": FAR, "createdOn": 1,
    "tags": {"resonate:call": '["run", "f", null, "r", null]', "resonate:root": "r"}, "idempotencyKeyForCreate": "r",
}  # fmt: skip
FENCED = {"id": "r", "state": "pending", "param": {}, "value": {}, "tags": {}, "timeoutAt": FAR, "createdAt": 1}
SCHEDULE = {
    "id": "s", "cron": "* * * * *", "promiseId": "p", "promiseTimeout": 1, "createdOn": 1, "nextRunTime": 2, "createdAt": 1, "nextRunAt": 2,
}  # fmt: skip
BODIES: tuple[Any, ...] = (
    PROMISE, {"promise": PROMISE, "task": {"id": "__invoke:r", "counter": 1}}, {"promise": PROMISE, "task": None},
    {"promise": PROMISE, "callback": {"id": "c", "promiseId": "r", "timeout": 1, "createdOn": 1}},
    {"type": "resume", "promises": {"root": {"id": "r", "data": PROMISE}, "leaf": {"id": "r", "data": PROMISE}}}, {"tasksAffected": 1},
    {"promises": [PROMISE], "cursor": None}, {"schedules": [SCHEDULE], "cursor": None}, SCHEDULE,
    {"error": {"code": 40300, "message": "no", "details": []}}, {"error": {"code": 40900, "message": "there"}},
)  # fmt: skip
ANSWERS: tuple[Any, ...] = (
    {"promise": FENCED}, {}, "no", {"preload": [FENCED]},
    {"task": {"id": "r", "state": "acquired", "version": 1, "ttl": 1, "pid": "w"}, "promise": FENCED, "preload": []},
    {"action": {"kind": "promise.create", "head": {"status": 200}, "data": {"promise": FENCED}}, "preload": []},
    {"promises": [FENCED]}, {"schedule": SCHEDULE}, {"schedules": [SCHEDULE]}, {"task": {"id": "r", "state": "suspended", "version": 1}},
)  # fmt: skip


ASKED = tuple(each for each in OPERATIONS if not isinstance(each, (ListDescendants, SearchSchedules, Heartbeat)))


def damaged(chance: random.Random, shown: Any, depth: int = 0) -> Any:
    """What is right with something wrong in it."""
    if depth > 6 or chance.random() < 0.15:
        return chance.choice(ODD)
    if isinstance(shown, dict) and shown:
        name = chance.choice(list(shown))
        others = {each: value for each, value in shown.items() if each != name or chance.random() > 0.2}
        return others | ({name: damaged(chance, shown[name], depth + 1)} if name in others else {})
    if isinstance(shown, list) and shown:
        return [damaged(chance, each, depth + 1) if chance.random() < 0.5 else each for each in shown] * chance.choice((1, 1, 2))
    return chance.choice(ODD)


def as_bytes(chance: random.Random, shown: Any) -> bytes:
    """JSON, whole or not."""
    try:
        text = json.dumps(shown).encode()
    except (ValueError, RecursionError):
        text = b"{"
    how = chance.random()
    if how < 0.75:
        return text
    if how < 0.85:
        return text[: chance.randrange(len(text) + 1)]
    if how < 0.95:
        place = chance.randrange(len(text) + 1)
        return text[:place] + chance.randbytes(chance.randrange(1, 4)) + text[place:]
    return chance.choice((b"", b"\xff\xfe", b"[" * 100_000, b"NaN", b'{"a":1}{"b":2}', chance.randbytes(30), b"9" * 5000,
                          b"\xef\xbb\xbf{}"))


def client_input(chance: random.Random, protocol: str) -> str | None:
    """One garbage reply or message to a client; what was raised that may not be."""
    client: ServerProtocol = LegacyClient("c") if protocol == "legacy" else CurrentClient("c")
    if chance.random() < 0.3:
        text = as_bytes(chance, damaged(chance, chance.choice(MESSAGES)))
        return _raises(lambda: client.message(text, TARGET), text)
    operation = chance.choice(OPERATIONS)
    exchanges = client.ask(operation)
    answers: Any = None
    said: list[bytes] = []

    def run() -> None:
        nonlocal answers
        for _ in range(40):  # a server may name page after page
            try:
                requests = exchanges.send(answers)
            except StopIteration:
                return
            answers = [answered(chance, client, request, said) for request in requests]

    return _raises(run, operation, said)


def answered(chance: random.Random, client: ServerProtocol, request: Request, said: list[bytes]) -> Answered:
    status, kind = chance.choice(STATUSES), chance.choice(KINDS)
    if client.name == "legacy":
        shown = chance.choice(BODIES)
    else:
        asked = json.loads(request.body)
        shown = {"kind": asked["kind"], "head": {**asked["head"], "status": status}, "data": chance.choice(ANSWERS)}
    body = as_bytes(chance, shown if chance.random() < 0.3 else damaged(chance, shown))
    said.append(body)
    return Answered(status, client.read(status, kind, body), chance.random() < 0.3)


def server_input(chance: random.Random, protocol: str, store: LocalStore) -> str | None:
    """One garbage request to a server's translator and store; what was raised that may not be."""
    client: ServerProtocol = LegacyClient("c") if protocol == "legacy" else CurrentClient("c")
    (request,) = next(client.ask(chance.choice(ASKED)))[:1]
    body = as_bytes(chance, damaged(chance, json.loads(request.body))) if request.body else b""
    path = request.path + chance.choice(("/", "//", "%2F", "?", "%", "%zz", "%00", "é", "/../x", *[""] * 20))
    headers = {name: chance.choice((text, "", "x", "\udcff", "9" * 30)) for name, text in request.headers.items()}
    garbage = request._replace(body=body, path=path, headers=headers)

    def run() -> None:
        is_legacy = protocol == "legacy"
        asked = legacy_http.read_request(garbage, "http://s") if is_legacy else current_requests.read_request(garbage)
        if asked is not None:
            reply: Reply = asked.reply(store.call(list(asked.operations)) if asked.operations else [])
            if not isinstance(reply.body, str):
                write_json(reply.body)

    return _raises(run, garbage)


def _raises(do: Callable[[], Message | None], *shown: Any) -> str | None:
    try:
        do()
    except (RemoteProtocolError, Busy, Refused, ResonateStoreError):
        return None
    except Exception as error:
        return f"{error!r} at {str(shown)[:400]}"
    return None


def sweep(count: int, seed: int) -> Iterator[tuple[str, list[str]]]:
    """So many inputs for each side of each protocol."""
    for protocol in ("legacy", "current"):
        chance = random.Random(f"{seed} {protocol}")
        wrong = [each for _ in range(count) if (each := client_input(chance, protocol))]
        yield f"{count:,} garbage replies and messages to a client, {protocol}: {len(wrong)} wrong", wrong
        chance, wrong = random.Random(f"{seed} {protocol} server"), []
        for number in range(count):
            if number % 5_000 == 0:
                store = LocalStore(clock=StepClock())
            if each := server_input(chance, protocol, store):
                wrong.append(each)
        yield f"{count:,} garbage requests to a server, {protocol}: {len(wrong)} wrong", wrong
