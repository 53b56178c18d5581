"""The legacy protocol over HTTP: the table of its routes, from which requests become operations and answers become replies.

`read_request` is the server's side. `write_request` is a client's: the first route of the table that an operation has. Each member of
a body is a `Field` that can be read and written, so both sides follow from the one table. Nothing here opens a socket.

Whether a write is answered with 201 (it did it) or 200 (it was so already) is found out by looking first: a route with a `look` asks for
two operations, which are carried out in one turn.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from resonate.errors import ResonateStoreError
from resonate.labels import short_text
from resonate.limits import SEARCH_LIMIT
from resonate.locks import AcquireLock, KeepLocks, Lock, ReleaseLock
from resonate.protocol import (
    Claimed,
    ClaimTask,
    CompleteTask,
    CreateLeased,
    CreatePromise,
    CreateSchedule,
    DeleteSchedule,
    DropTask,
    GetPromise,
    GetSchedule,
    GetTask,
    Heartbeat,
    Operation,
    RegisterCallback,
    SearchPromises,
    SearchSchedules,
    SettlePromise,
    State,
    Subscribe,
    refusal,
)
from resonate.wire.http import Asked, Reply, Request, read_json, write_json
from resonate.wire.legacy import (
    callback_to_wire,
    promise_to_wire,
    read_tags,
    schedule_to_wire,
    tags_of,
    task_to_wire,
)
from resonate.wire.legacy_fields import (
    ADDRESS,
    DURATION,
    FENCE,
    INTEGER,
    KEY,
    LEASE_TIME,
    OPTIONAL_TEXT,
    SETTLEMENT,
    STRICT,
    TAGS,
    TEXT,
    TRACE,
    VALUE,
    Attributes,
    Field,
    Header,
    is_number,
    object_of,
    read_fields,
    write_fields,
)

LINK_TTL_MS = 60_000
"""For how long a task is claimed by following its link."""
_REJECTED: tuple[State, ...] = ("REJECTED", "REJECTED_CANCELED", "REJECTED_TIMEDOUT")
_STATES: dict[str, tuple[State, ...]] = {"pending": ("PENDING",), "resolved": ("RESOLVED",), "rejected": _REJECTED}


# ---- the table -------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Route:
    """One row: a method, a path, and the operation that they stand for.

    In a path `{name}` is the last part with all its slashes, and `{name}/{other}` two parts without any; each is an attribute. `make` and
    `take_apart` lead from attributes to the operation and back, `look` to the operation that is carried out before it, `show` from an
    operation, its answer and what the look found to the reply.
    """

    method: str
    path: str
    kind: type
    show: Callable[[Any, Any, Any, str], Reply]
    body: tuple[Field, ...] = ()
    headers: tuple[Header, ...] = ()
    make: Callable[..., Any] | None = None
    take_apart: Callable[[Any], Attributes] | None = None
    look: Callable[[Any], Operation] | None = None
    query: Callable[[Mapping[str, str]], Attributes] | None = None

    @cached_property
    def in_path(self) -> tuple[str, ...]:
        """The attributes that the path says."""
        return tuple(part[1:-1] for part in self.path.split("/") if part.startswith("{"))

    def read(self, request: Request, attributes: Attributes) -> Any:
        """The operation that a request stands for, beginning with what its path says."""
        for header in self.headers:
            attributes |= header.read(request.headers)
        if self.query is not None:
            attributes |= self.query(dict(parse_qsl(request.query, keep_blank_values=True)))
        if self.body:
            attributes |= read_fields(self.body, read_json(request.body))
        return (self.make or self.kind)(**attributes)

    def write(self, operation: Any) -> Request:
        """The request that stands for an operation."""
        names = operation.__dataclass_fields__
        attributes = self.take_apart(operation) if self.take_apart else {name: getattr(operation, name) for name in names}
        headers = {name: text for header in self.headers for name, text in header.write(attributes).items()}
        path = self.path.format(**{name: quote(attributes[name]) for name in self.in_path})
        query = urlencode(_query_of(operation)) if self.query is not None else ""
        return Request(self.method, path, query, headers, write_json(write_fields(self.body, attributes)) if self.body else b"")


def _creation(**attributes: Any) -> CreatePromise:
    target, timer, not_before = read_tags(attributes["tags"])
    return CreatePromise(target=target, timer=timer, not_before=not_before, **attributes)


def _take_creation_apart(operation: CreatePromise) -> Attributes:
    names = ("id", "timeout", "param", "key", "strict", "lease", "head")
    return {**{name: getattr(operation, name) for name in names}, "tags": tags_of(operation) or None}


def _leased_creation(*, promise: Attributes, task: Attributes, **attributes: Any) -> CreateLeased:
    return CreateLeased(_creation(**promise, **attributes), **task)


def _take_leased_creation_apart(operation: CreateLeased) -> Attributes:
    promise = _take_creation_apart(operation.promise)
    return {**promise, "promise": promise, "task": {"pid": operation.pid, "ttl": operation.ttl}}


def _claim_by_link(id: str, counter: str) -> ClaimTask:
    return ClaimTask(id, _link_counter(counter), f"{id}/{counter}", LINK_TTL_MS)


def _complete_by_link(id: str, counter: str) -> CompleteTask:
    return CompleteTask(id, _link_counter(counter))


def _drop_by_link(id: str, counter: str) -> DropTask:
    return DropTask(id, _link_counter(counter))


def _heartbeat_by_link(id: str, counter: str) -> Heartbeat:
    return Heartbeat(f"{id}/{_link_counter(counter)}")


def _link_counter(text: str) -> int:
    if not is_number(text):
        raise refusal(40000, f"a task's counter is a whole number, got {short_text(text)}")
    return int(text)


# ---- replies ---------------------------------------------------------------------------------------------------------------------------


def error_reply(error: ResonateStoreError) -> Reply:
    """A refusal, or trouble of the store (50004), as the servers say it."""
    code = error.server_code or 50004
    kind, domain = ("ServerError", "server") if code >= 50000 else ("RequestError", "request")
    details: list[dict[str, Any]] = [{"@type": kind, "message": error.mesg, "domain": domain, "metadata": {}}]
    return Reply(code // 100, {"error": {"code": code, "message": error.mesg, "details": details}})


def _show_promise(operation: Any, record: Any, before: Any, base: str) -> Reply:
    return Reply(200, promise_to_wire(record))


def _show_created(operation: Any, record: Any, before: Any, base: str) -> Reply:
    return Reply(201 if isinstance(before, Exception) else 200, promise_to_wire(record))


def _show_leased(operation: CreateLeased, answer: Any, before: Any, base: str) -> Reply:
    record, lease = answer
    task = None if lease is None else {
        "id": lease.task, "counter": lease.counter, "timeout": record.timeout, "rootPromiseId": lease.root, "processId": operation.pid,
        "createdOn": record.created_on,
    }  # fmt: skip
    return Reply(201 if isinstance(before, Exception) else 200, {"promise": promise_to_wire(record), "task": task})


def _show_settled(operation: Any, record: Any, before: Any, base: str) -> Reply:
    return Reply(201 if before.state == "PENDING" else 200, promise_to_wire(record))


def _show_waiting(operation: Any, answer: Any, before: Any, base: str) -> Reply:
    record, callback = answer
    shown = {"callback": callback and callback_to_wire(callback), "promise": promise_to_wire(record)}
    return Reply(200 if callback is None else 201, shown)


def _show_claimed(operation: ClaimTask, claimed: Claimed, before: Any, base: str) -> Reply:
    promises = {"root": claimed.root} if claimed.leaf is None else {"root": claimed.root, "leaf": claimed.leaf}
    shown = {role: {"id": each.id, "href": f"{base}/promises/{each.id}", "data": promise_to_wire(each)} for role, each in promises.items()}
    return Reply(201, {"type": "invoke" if claimed.leaf is None else "resume", "promises": shown})


def _show_completed(operation: Any, task: Any, before: Any, base: str) -> Reply:
    return Reply(201 if before.state == "CLAIMED" else 200, task_to_wire(task))


def _show_dropped(operation: Any, was_claimed: Any, before: Any, base: str) -> Reply:
    return Reply(201 if was_claimed else 200)


def _show_kept(operation: Any, count: Any, before: Any, base: str) -> Reply:
    return Reply(200, {"tasksAffected": count})


def _show_schedule(operation: Any, record: Any, before: Any, base: str) -> Reply:
    return Reply(201 if isinstance(before, Exception) else 200, schedule_to_wire(record))


def _show_nothing(operation: Any, answer: Any, before: Any, base: str) -> Reply:
    return Reply(204)


def _show_lock(operation: Any, lock: Lock, before: Any, base: str) -> Reply:
    names = ("resourceId", "executionId", "processId", "ttl", "expiresAt")
    return Reply(201, dict(zip(names, lock, strict=True)))


def _show_locks_kept(operation: Any, count: Any, before: Any, base: str) -> Reply:
    return Reply(200, {"locksAffected": count})


# ---- searching -------------------------------------------------------------------------------------------------------------------------


def _show_found(operation: Any, answer: Any, before: Any, base: str) -> Reply:
    records, place = answer
    cursor = None if place is None else _write_cursor(operation, place)
    if isinstance(operation, SearchPromises):
        return Reply(200, {"promises": [promise_to_wire(record) for record in records], "cursor": cursor})
    return Reply(200, {"schedules": [schedule_to_wire(record, is_found=True) for record in records], "cursor": cursor})


def _read_search(query: Mapping[str, str]) -> Attributes:
    if "cursor" in query:
        return _read_cursor(query["cursor"])
    pattern, limit = query.get("id", ""), query.get("limit", "0")
    if not pattern:
        raise refusal(40000, "a search needs `id`, as `id=*`")
    if not is_number(limit) or not 0 <= int(limit) <= SEARCH_LIMIT:
        raise refusal(40000, f"limit must be 1 to {SEARCH_LIMIT}, got {short_text(limit)}")
    tags = {name[5:-1]: text for name, text in query.items() if name.startswith("tags[") and name.endswith("]")}
    return {"pattern": pattern, "tags": tags or None, "limit": int(limit) or SEARCH_LIMIT, "before": None}


def _read_promise_search(query: Mapping[str, str]) -> Attributes:
    attributes = _read_search(query)
    if "cursor" not in query:
        state = query.get("state")
        attributes["states"] = None if state is None else _STATES.get(state.lower())
        if state is not None and attributes["states"] is None:
            raise refusal(40000, f"state must be pending, resolved or rejected, got {short_text(state)}")
    return attributes


def _query_of(operation: Any) -> list[tuple[str, str]]:
    if isinstance(operation.before, str):
        return [("cursor", operation.before)]
    query = [("id", operation.pattern), ("limit", str(operation.limit))]
    names = {states: name for name, states in _STATES.items()}
    if getattr(operation, "states", None) is not None:
        query.append(("state", names[operation.states]))
    return query + [(f"tags[{name}]", text) for name, text in (operation.tags or {}).items()]


def _write_cursor(operation: Any, place: int) -> str:
    asked = {name: getattr(operation, name) for name in operation.__dataclass_fields__} | {"before": place}
    return base64.urlsafe_b64encode(json.dumps([type(operation).__name__, asked]).encode()).decode("ascii")


def _read_cursor(cursor: str) -> Attributes:
    """What a search goes on with. It is checked as if it had come in the query, since anybody may make one up."""
    try:
        kind, asked = json.loads(base64.urlsafe_b64decode(cursor))
        attributes: Attributes = {
            "pattern": TEXT.read("pattern", asked["pattern"]), "tags": TAGS.read("tags", asked["tags"]),
            "before": INTEGER.read("before", asked["before"]), "limit": min(DURATION.read("limit", asked["limit"]), SEARCH_LIMIT),
        }  # fmt: skip
        if kind == SearchPromises.__name__:
            states = asked["states"]
            attributes["states"] = None if states is None else next(known for known in _STATES.values() if known == tuple(states))
        return attributes
    except (ValueError, TypeError, KeyError, RecursionError, StopIteration):
        raise refusal(40000, "this is no cursor of a search") from None


# ---- all routes ------------------------------------------------------------------------------------------------------------------------

_PROMISE = (
    Field("id", "id", TEXT, True), Field("timeout", "timeout", INTEGER), Field("param", "param", VALUE), Field("tags", "tags", TAGS),
)  # fmt: skip
_OUTCOME = (Field("state", "state", SETTLEMENT, True), Field("value", "value", VALUE))
_TASK = (Field("id", "id", TEXT, True), Field("counter", "counter", INTEGER, True))
_CLAIM = (Field("processId", "pid", TEXT, True), Field("ttl", "ttl", LEASE_TIME))
_CALLBACK = (
    Field("rootPromiseId", "root", TEXT, True), Field("recv", "recv", ADDRESS, True), Field("timeout", "timeout", INTEGER),
)  # fmt: skip
_SUBSCRIPTION = (Field("id", "id", TEXT, True), Field("recv", "recv", ADDRESS, True), Field("timeout", "timeout", INTEGER))
_AWAITED = Field("promiseId", "promise", TEXT, True)
_SCHEDULE = (
    Field("id", "id", TEXT, True), Field("desc", "description", OPTIONAL_TEXT), Field("cron", "cron", TEXT, True),
    Field("tags", "tags", TAGS), Field("promiseId", "promise_id", TEXT, True), Field("promiseTimeout", "promise_timeout", INTEGER),
    Field("promiseParam", "promise_param", VALUE), Field("promiseTags", "promise_tags", TAGS),
)  # fmt: skip
_LOCK = (Field("resourceId", "resource", TEXT, True), Field("executionId", "execution", TEXT, True))
_PID = (Field("processId", "pid", TEXT, True),)
_LEASED = (Field("promise", "promise", object_of(*_PROMISE), True), Field("task", "task", object_of(*_CLAIM), True))

ROUTES = (
    Route(
        "POST", "/promises", CreatePromise, _show_created, _PROMISE, (STRICT, KEY, FENCE, TRACE), make=_creation,
        take_apart=_take_creation_apart, look=lambda create: GetPromise(create.id),
    ),
    Route(
        "POST", "/promises/task", CreateLeased, _show_leased, _LEASED, (STRICT, KEY, FENCE, TRACE), make=_leased_creation,
        take_apart=_take_leased_creation_apart, look=lambda create: GetPromise(create.promise.id),
    ),
    Route("GET", "/promises", SearchPromises, _show_found, query=_read_promise_search),
    Route("GET", "/promises/{id}", GetPromise, _show_promise),
    Route(
        "PATCH", "/promises/{id}", SettlePromise, _show_settled, _OUTCOME, (STRICT, KEY, FENCE),
        look=lambda settle: GetPromise(settle.id),
    ),
    Route("POST", "/promises/callback/{promise}", RegisterCallback, _show_waiting, _CALLBACK, (FENCE, TRACE)),
    Route("POST", "/promises/subscribe/{promise}", Subscribe, _show_waiting, _SUBSCRIPTION),
    Route("POST", "/callbacks", RegisterCallback, _show_waiting, (_AWAITED, *_CALLBACK), (FENCE, TRACE)),
    Route("POST", "/subscriptions", Subscribe, _show_waiting, (_AWAITED, *_SUBSCRIPTION)),
    Route("POST", "/tasks/claim", ClaimTask, _show_claimed, (*_TASK, *_CLAIM)),
    Route("POST", "/tasks/complete", CompleteTask, _show_completed, _TASK, look=lambda complete: GetTask(complete.id)),
    Route("POST", "/tasks/drop", DropTask, _show_dropped, _TASK),
    Route("POST", "/tasks/heartbeat", Heartbeat, _show_kept, _PID),
    Route("GET", "/tasks/claim/{id}/{counter}", ClaimTask, _show_claimed, make=_claim_by_link),
    Route(
        "GET", "/tasks/complete/{id}/{counter}", CompleteTask, _show_completed, make=_complete_by_link,
        look=lambda complete: GetTask(complete.id),
    ),
    Route("GET", "/tasks/drop/{id}/{counter}", DropTask, _show_dropped, make=_drop_by_link),
    Route("GET", "/tasks/heartbeat/{id}/{counter}", Heartbeat, _show_kept, make=_heartbeat_by_link),
    Route("POST", "/schedules", CreateSchedule, _show_schedule, _SCHEDULE, (KEY,), look=lambda create: GetSchedule(create.id)),
    Route("GET", "/schedules", SearchSchedules, _show_found, query=_read_search),
    Route("GET", "/schedules/{id}", GetSchedule, _show_schedule),
    Route("DELETE", "/schedules/{id}", DeleteSchedule, _show_nothing),
    Route("POST", "/locks/acquire", AcquireLock, _show_lock, (*_LOCK, *_CLAIM)),
    Route("POST", "/locks/release", ReleaseLock, _show_nothing, _LOCK),
    Route("POST", "/locks/heartbeat", KeepLocks, _show_locks_kept, _PID),
)  # fmt: skip


def _found_at(route: Route) -> tuple[str, str]:
    return route.method, route.path.partition("/{")[0]


_WHOLE = {_found_at(route): route for route in ROUTES if "{" not in route.path}
_PREFIXES = {_found_at(route): route for route in ROUTES if "{" in route.path}
_OF_OPERATION: dict[type, Route] = {route.kind: route for route in reversed(ROUTES)}


def read_request(request: Request, base: str) -> Asked | None:
    """What a request asks for; None where there is no such route. `base` is the server's address, for the links in replies.

    Raises `ResonateStoreError` (40000) that names what is missing or of the wrong kind.
    """
    found = _route(request)
    if found is None:
        return None
    route, attributes = found
    operation = route.read(request, attributes)
    operations = (operation,) if route.look is None else (route.look(operation), operation)

    def reply(answers: Sequence[Any]) -> Reply:
        answer = answers[-1]
        return error_reply(answer) if isinstance(answer, ResonateStoreError) else route.show(operation, answer, answers[0], base)

    return Asked(operations, reply)


def write_request(operation: Any) -> Request:
    """The request that asks a legacy server for an operation. KeyError for one that it does not have."""
    return _OF_OPERATION[type(operation)].write(operation)


def _route(request: Request) -> tuple[Route, Attributes] | None:
    """The route that a request takes, and what its path says. The longest prefix counts: an id may look like a path."""
    method, path = request.method, request.path
    whole = _WHOLE.get((method, path))
    if whole is not None:
        return whole, {}
    end = path.find("/", 1)
    best: tuple[Route, Attributes] | None = None
    for _ in range(2):  # `/promises/…` and `/promises/callback/…`
        route = _PREFIXES.get((method, path[:end])) if end > 0 else None
        if route is not None and (attributes := _parts(route, path[end + 1 :])) is not None:
            best = route, attributes
        end = path.find("/", end + 1) if end > 0 else end
    return best


def _parts(route: Route, rest: str) -> Attributes | None:
    names = route.in_path
    texts = [rest] if len(names) == 1 else rest.split("/")
    if len(texts) != len(names) or not all(texts):
        return None
    return {name: unquote(text) for name, text in zip(names, texts, strict=True)}
