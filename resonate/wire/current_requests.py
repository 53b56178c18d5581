"""The current protocol over HTTP: every operation is a JSON envelope sent to `POST /`, and so is its answer. Nothing here opens a socket.

One table (`_FORMS`) says of each kind of operation what its data are made of, what is answered, and how both are read back. So a server
reads requests and writes answers (`read_request`, `answer`) and a client the other way round (`write_request`, `read_answer`) by the same
table.

Types are strict: an integer is a JSON integer, text is text, what need not be there is left out and not null. Unknown members are ignored.
A request is one operation of the store, so it is carried out wholly or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from resonate.errors import ResonateStoreError, StoreDamaged, StoreUnavailable
from resonate.limits import INTEGER_LIMIT, PAGE_LIMIT
from resonate.protocol import (
    NOTHING,
    Acquired,
    AcquireTask,
    ActFenced,
    AwaitPromise,
    ContinueTask,
    DeleteSchedule,
    EnsureAcquired,
    EnsurePromise,
    EnsureSchedule,
    Fenced,
    FindPromises,
    FindSchedules,
    FindTasks,
    FulfillTask,
    GetPromise,
    GetSchedule,
    HaltTask,
    ListenToPromise,
    Operation,
    ReleaseTask,
    RenewLeases,
    SettlePromise,
    Suspended,
    SuspendTask,
    ViewTask,
    refusal,
)
from resonate.wire.current import (
    PROMISE_STATES,
    TASK_STATES,
    VERSION,
    is_address,
    promise_from_wire,
    promise_to_wire,
    read_tags,
    schedule_from_wire,
    schedule_to_wire,
    task_from_wire,
    task_to_wire,
    texts_from_wire,
    value_from_wire,
    value_to_wire,
)
from resonate.wire.http import Asked, Reply, Request

SCHEDULES_LIMIT = 10
"""Schedules on one page where the request does not say."""
REQUEST_LIMIT = 2_097_152
"""Bytes of a request, as the servers have it."""
DEBUG = "debug."
_SETTLEMENTS = {word: state for word, state in PROMISE_STATES.items() if word in ("resolved", "rejected", "rejected_canceled")}
_REQUIRED: Any = object()

Data = Mapping[str, Any]
Attributes = dict[str, Any]
"""What an operation is made of, by name."""


class Invalid(ValueError):
    """A request is not as it must be. `kind` and `corr_id` are its own where they could be read, `status` is what it is answered with."""

    def __init__(self, text: str, kind: str = "unknown", corr_id: str = "0", status: int = 400) -> None:
        super().__init__(text)
        self.kind, self.corr_id, self.status = kind, corr_id, status


# ---- members of data: how each is read, and written -----------------------------------------------------------------------------------


class Field(NamedTuple):
    """A member of data. `read` raises ValueError ("must be ..."); with a default it may be left out, and is when that is its value."""

    name: str
    attribute: str
    read: Callable[[Any], Any]
    write: Callable[[Any], Any] = lambda value: value
    default: Any = _REQUIRED


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    return value


def _name(value: Any) -> str:
    if not _text(value) or "\x00" in value:
        raise ValueError("must be text that is not empty and holds no NUL")
    return str(value)


def _integer_from(low: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if type(value) is not int or not low <= value <= INTEGER_LIMIT:
            raise ValueError(f"must be an integer from {low} to {INTEGER_LIMIT}")
        return value

    return read


def _address(value: Any) -> str:
    if not is_address(_text(value)):
        raise ValueError("must be an address, as poll://any@workers, poll://uni@workers/w1 or https://example.com/")
    return str(value)


def _target_tags(value: Any) -> dict[str, str]:
    tags = texts_from_wire(value)
    target, _ = read_tags(tags)
    if target is not None:
        _address(target)
    return tags


def _one_of(words: Mapping[str, Any]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return words[value]

    return read


def _or_null(read: Callable[[Any], Any], instead: Any = None) -> Callable[[Any], Any]:
    return lambda value: instead if value is None else read(value)


def _page_size(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= PAGE_LIMIT:
        raise ValueError(f"must be an integer from 1 to {PAGE_LIMIT}")
    return value


def _held(value: Any) -> list[tuple[str, int]]:
    if not isinstance(value, list):
        raise ValueError("must be a list")
    try:
        return [(_text(each["id"]), _integer_from(0)(each["version"])) for each in value]
    except (KeyError, TypeError, ValueError):
        raise ValueError("must be a list of objects with the text id and the integer version") from None


def _word_of(words: Mapping[str, Any]) -> Callable[[Any], Any]:
    return lambda value: next((word for word, each in words.items() if each == value), None)


def _search(limit: int, *more: Field) -> tuple[Field, ...]:
    return (
        *more, Field("limit", "limit", _or_null(_page_size, limit), default=limit),
        Field("cursor", "after", _or_null(_text), default=None),
    )  # fmt: skip


_ID = Field("id", "id", _name)
_VERSION = Field("version", "version", _integer_from(0))
_PID = Field("pid", "pid", _name)
_TTL = Field("ttl", "ttl", _integer_from(1))
_TAGS_FILTER = Field("tags", "tags", _or_null(texts_from_wire), default=None)
_PROMISE = (
    _ID, Field("timeoutAt", "timeout", _integer_from(0)), Field("param", "param", value_from_wire, value_to_wire, NOTHING),
    Field("tags", "tags", _target_tags, default=None),
)  # fmt: skip
_SETTLING = (
    _ID, Field("state", "state", _one_of(_SETTLEMENTS), _word_of(_SETTLEMENTS)),
    Field("value", "value", value_from_wire, value_to_wire, NOTHING),
)  # fmt: skip
_AWAITING = (Field("awaited", "awaited", _name), Field("awaiter", "awaiter", _name))


def _read(fields: Sequence[Field], data: Any, where: str = "data") -> Attributes:
    if not isinstance(data, dict):
        raise Invalid(f"{where} must be an object")
    attributes: Attributes = {}
    for field in fields:
        if field.name in data:
            try:
                attributes[field.attribute] = field.read(data[field.name])
            except Invalid:
                raise
            except ValueError as error:
                raise Invalid(f"{where}.{field.name} {error}") from None
        elif field.default is _REQUIRED:
            raise Invalid(f"{where}.{field.name} is missing")
        else:
            attributes[field.attribute] = field.default
    return attributes


def _write(fields: Sequence[Field], attributes: Attributes) -> dict[str, Any]:
    present = ((field, attributes[field.attribute]) for field in fields)
    return {field.name: field.write(value) for field, value in present if field.default is _REQUIRED or value != field.default}


# ---- what stands inside an operation: another one --------------------------------------------------------------------------------------


def _nested(value: Any, *, needs_head: bool = True, where: str = "data.action") -> tuple[str, Any]:
    """The kind and data of an operation inside another one. Its head must be there, but is not looked at."""
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str) or (needs_head and "head" not in value):
        raise Invalid(f"{where} must be an object with kind, head and data")
    return value["kind"], value.get("data")


def _nest(kind: str, data: Any) -> dict[str, Any]:
    return {"kind": kind, "head": {}, "data": data}


def _creation(attributes: Attributes) -> EnsurePromise:
    target, timer = read_tags(attributes["tags"])
    return EnsurePromise(**attributes, target=target, timer=timer)


def _settling(attributes: Attributes) -> SettlePromise:
    return SettlePromise(**attributes, adopt=True)


def _creation_inside(value: Any) -> EnsurePromise:
    create = _creation(_read(_PROMISE, _nested(value)[1], "data.action.data"))
    if create.target is None:
        raise Invalid("data.action.data.tags must have a resonate:target")
    return create


def _fenced_action(value: Any) -> EnsurePromise | SettlePromise:
    kind, data = _nested(value, needs_head=False)
    if kind == "promise.create":
        return _creation(_read(_PROMISE, data, "data.action.data"))
    if kind == "promise.settle":
        return _settling(_read(_SETTLING, data, "data.action.data"))
    raise Invalid("data.action.kind must be promise.create or promise.settle")


def _show_fenced_action(action: EnsurePromise | SettlePromise) -> Any:
    kind = "promise.create" if isinstance(action, EnsurePromise) else "promise.settle"
    return _nest(kind, _write(_FORMS[kind].fields, _attributes(action)))


def _suspension(attributes: Attributes) -> SuspendTask:
    actions, task_id = attributes.pop("actions"), attributes["id"]
    if not isinstance(actions, list) or not actions:
        raise Invalid("data.actions must be a list that is not empty")
    awaited = []
    for place, action in enumerate(actions):
        where = f"data.actions[{place}]"
        callback = _read(_AWAITING, _nested(action, where=where)[1], f"{where}.data")
        if callback["awaiter"] != task_id or callback["awaited"] == task_id:
            raise Invalid(f"{where}.data must have data.id as its awaiter, and another promise as awaited")
        awaited.append(callback["awaited"])
    return SuspendTask(**attributes, awaited=list(dict.fromkeys(awaited)))


def _take_suspension_apart(operation: SuspendTask) -> Attributes:
    actions = [_nest("promise.register_callback", {"awaited": each, "awaiter": operation.id}) for each in operation.awaited]
    return {"id": operation.id, "version": operation.version, "actions": actions}


def _fulfillment(attributes: Attributes) -> FulfillTask:
    settle = _read(_SETTLING, _nested(attributes["action"])[1], "data.action.data")
    if settle["id"] != attributes["id"]:
        raise Invalid("data.action.data.id must be data.id")
    return FulfillTask(attributes["id"], attributes["version"], settle["state"], settle["value"])


def _take_fulfillment_apart(operation: FulfillTask) -> Attributes:
    return {"id": operation.id, "version": operation.version, "action": _nest("promise.settle", _write(_SETTLING, _attributes(operation)))}


def _awaiting(attributes: Attributes) -> AwaitPromise:
    if attributes["awaited"] == attributes["awaiter"]:
        raise Invalid("data.awaited must be another promise than data.awaiter")
    return AwaitPromise(**attributes)


def _fencing(attributes: Attributes) -> ActFenced:
    if attributes["action"].id == attributes["id"]:
        raise Invalid("data.action.data.id must be another promise than data.id")
    return ActFenced(**attributes)


def _attributes(operation: Any) -> Attributes:
    return {name: getattr(operation, name) for name in operation.__slots__}


# ---- answers: how each is written, and read ---------------------------------------------------------------------------------------------


def _promises_to_wire(records: Any) -> list[Any]:
    return [promise_to_wire(record) for record in records]


def _promises_from_wire(shown: Any) -> list[Any]:
    return [promise_from_wire(each) for each in shown]


def _show_acquired(operation: Any, answer: Acquired) -> Data:
    return {"task": task_to_wire(answer.task), "promise": promise_to_wire(answer.promise), "preload": _promises_to_wire(answer.preload)}


def _read_acquired(operation: Any, data: Data) -> Acquired:
    return Acquired(task_from_wire(data["task"]), promise_from_wire(data["promise"]), _promises_from_wire(data.get("preload") or ()))


def _show_fenced(operation: ActFenced, answer: Fenced) -> Data:
    kind = "promise.create" if isinstance(operation.action, EnsurePromise) else "promise.settle"
    if answer.promise is None:
        action = {"kind": kind, "head": {"status": 404}, "data": f"there is no promise {operation.action.id}"}
    else:
        action = {"kind": kind, "head": {"status": 200}, "data": {"promise": promise_to_wire(answer.promise)}}
    return {"action": action, "preload": _promises_to_wire(answer.preload)}


def _read_fenced(operation: Any, data: Data) -> Fenced:
    inner = data["action"]
    is_there = inner["head"]["status"] != 404
    return Fenced(promise_from_wire(inner["data"]["promise"]) if is_there else None, _promises_from_wire(data.get("preload") or ()))


def _show_suspended(operation: Any, answer: Suspended) -> Data:
    return {} if answer.is_suspended else {"preload": _promises_to_wire(answer.preload)}


def _read_suspended(operation: Any, data: Data) -> Suspended:
    return Suspended("preload" not in data, _promises_from_wire(data.get("preload") or ()))


class Shown(NamedTuple):
    """How an answer is written as data, and read from them."""

    write: Callable[[Any, Any], Data] = lambda operation, answer: {}
    read: Callable[[Any, Data], Any] = lambda operation, data: None


def _one(name: str, write: Callable[[Any], Any], read: Callable[[Any], Any]) -> Shown:
    return Shown(lambda operation, answer: {name: write(answer)}, lambda operation, data: read(data[name]))


def _page(name: str, write: Callable[[Any], Any], read: Callable[[Any], Any]) -> Shown:
    def show(operation: Any, answer: Any) -> Data:
        found, after = answer
        shown = {name: [write(each) for each in found]}
        return shown if after is None else {**shown, "cursor": after}

    return Shown(show, lambda operation, data: ([read(each) for each in data[name]], data.get("cursor")))


# ---- the table of operations ------------------------------------------------------------------------------------------------------------


_NOTHING = Shown()


@dataclass(slots=True, frozen=True)
class Form:
    """One kind of operation. `make` builds it from what was read, `take_apart` gives that back."""

    make: Callable[[Attributes], Any]
    fields: Sequence[Field]
    answer: Shown = _NOTHING
    take_apart: Callable[[Any], Attributes] = _attributes


def _made(kind: type) -> Callable[[Attributes], Any]:
    return lambda attributes: kind(**attributes)


_ONE_PROMISE = _one("promise", promise_to_wire, promise_from_wire)
_ONE_SCHEDULE = _one("schedule", schedule_to_wire, schedule_from_wire)
_LEASE = Shown(_show_acquired, _read_acquired)
_PROMISE_STATE = Field("state", "state", _or_null(_one_of(PROMISE_STATES)), _word_of(PROMISE_STATES), None)
_TASK_STATE = Field("state", "states", _or_null(_one_of(TASK_STATES)), _word_of(TASK_STATES), None)

_FORMS: dict[str, Form] = {
    "promise.get": Form(_made(GetPromise), (_ID,), _ONE_PROMISE),
    "promise.create": Form(_creation, _PROMISE, _ONE_PROMISE),
    "promise.settle": Form(_settling, _SETTLING, _ONE_PROMISE),
    "promise.register_callback": Form(_awaiting, _AWAITING, _ONE_PROMISE),
    "promise.register_listener": Form(
        _made(ListenToPromise), (Field("awaited", "awaited", _name), Field("address", "address", _address)), _ONE_PROMISE
    ),
    "promise.search": Form(
        _made(FindPromises), _search(100, _PROMISE_STATE, _TAGS_FILTER),
        _page("promises", promise_to_wire, promise_from_wire),
    ),
    "task.get": Form(_made(ViewTask), (_ID,), _one("task", task_to_wire, task_from_wire)),
    "task.create": Form(
        _made(EnsureAcquired), (_PID, _TTL, Field("action", "promise", _creation_inside, _show_fenced_action)), _LEASE
    ),
    "task.acquire": Form(_made(AcquireTask), (_ID, _VERSION, _PID, _TTL), _LEASE),
    "task.fence": Form(
        _fencing, (_ID, _VERSION, Field("action", "action", _fenced_action, _show_fenced_action)), Shown(_show_fenced, _read_fenced)
    ),
    "task.suspend": Form(
        _suspension, (_ID, _VERSION, Field("actions", "actions", lambda value: value)), Shown(_show_suspended, _read_suspended),
        _take_suspension_apart,
    ),
    "task.fulfill": Form(
        _fulfillment, (_ID, _VERSION, Field("action", "action", lambda value: value)), _ONE_PROMISE, _take_fulfillment_apart
    ),
    "task.release": Form(_made(ReleaseTask), (_ID, _VERSION)),
    "task.heartbeat": Form(
        _made(RenewLeases),
        (_PID, Field("tasks", "tasks", _held, lambda held: [{"id": each, "version": version} for each, version in held])),
    ),
    "task.halt": Form(_made(HaltTask), (_ID,)),
    "task.continue": Form(_made(ContinueTask), (_ID,)),
    "task.search": Form(
        _made(FindTasks), _search(100, _TASK_STATE), _page("tasks", task_to_wire, task_from_wire)
    ),
    "schedule.get": Form(_made(GetSchedule), (_ID,), _ONE_SCHEDULE),
    "schedule.create": Form(
        _made(EnsureSchedule),
        (
            _ID, Field("cron", "cron", _text), Field("promiseId", "promise_id", _name),
            Field("promiseTimeout", "promise_timeout", _integer_from(0)),
            Field("promiseParam", "promise_param", value_from_wire, value_to_wire, NOTHING),
            Field("promiseTags", "promise_tags", texts_from_wire, default=None),
        ), _ONE_SCHEDULE,
    ),
    "schedule.delete": Form(_made(DeleteSchedule), (_ID,)),
    "schedule.search": Form(
        _made(FindSchedules), _search(SCHEDULES_LIMIT, _TAGS_FILTER),
        _page("schedules", schedule_to_wire, schedule_from_wire),
    ),
}  # fmt: skip
_KINDS: dict[type, str] = {
    GetPromise: "promise.get", EnsurePromise: "promise.create", SettlePromise: "promise.settle", AwaitPromise: "promise.register_callback",
    ListenToPromise: "promise.register_listener", FindPromises: "promise.search", ViewTask: "task.get", EnsureAcquired: "task.create",
    AcquireTask: "task.acquire", ActFenced: "task.fence", SuspendTask: "task.suspend", FulfillTask: "task.fulfill",
    ReleaseTask: "task.release", RenewLeases: "task.heartbeat", HaltTask: "task.halt", ContinueTask: "task.continue",
    FindTasks: "task.search", GetSchedule: "schedule.get", EnsureSchedule: "schedule.create", DeleteSchedule: "schedule.delete",
    FindSchedules: "schedule.search",
}  # fmt: skip


# ---- a server's side ------------------------------------------------------------------------------------------------------------------


class Envelope(NamedTuple):
    """A request that was understood."""

    kind: str
    corr_id: str
    auth: str | None
    operation: Any


def read_envelope(body: bytes | str) -> Envelope:
    """The request of a body. `Invalid` when it is not as it must be."""
    try:
        text = body if isinstance(body, str) else body.decode()
        shown = json.loads(text, parse_constant=_no_number)
        if "\\u" in text:
            json.dumps(shown, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise Invalid(f"the body is no JSON: {str(error)[:100]}") from None
    if not isinstance(shown, dict):
        raise Invalid("the body must be a JSON object")
    head = shown.get("head")
    kind, corr_id = shown.get("kind"), head.get("corrId") if isinstance(head, dict) else None
    known = (kind if isinstance(kind, str) else "unknown", corr_id if isinstance(corr_id, str) else "0")
    try:
        auth = _check_head(kind, head)
        if known[0].startswith(DEBUG):
            raise Invalid("debug operations are not offered", status=403)
        if known[0] not in _FORMS:
            raise Invalid(f"there is no operation {known[0][:80]!r}")
        form = _FORMS[known[0]]
        return Envelope(*known, auth, form.make(_read(form.fields, shown.get("data"))))
    except Invalid as error:
        raise Invalid(str(error), *known, error.status) from None


def _check_head(kind: Any, head: Any) -> str | None:
    if not isinstance(kind, str) or not kind:
        raise Invalid("kind must be text that is not empty")
    if not isinstance(head, dict):
        raise Invalid("head must be an object")
    for name in ("corrId", "version"):
        if not isinstance(head.get(name), str):
            raise Invalid(f"head.{name} must be text")
    if head["version"] != VERSION:
        raise Invalid(f"head.version {head['version'][:40]!r} is not supported; supported is {VERSION}")
    auth = head.get("auth")
    if auth is not None and not isinstance(auth, str):
        raise Invalid("head.auth must be text")
    return auth


def read_request(request: Request, is_welcome: Callable[[str | None], bool] = lambda token: True) -> Asked | None:
    """What is asked of the store by `POST /` (or by `GET /health`, `GET /ready`), and how to reply; None for any other request.

    `is_welcome` is asked about the token in the envelope's head, or about None where that has none.
    """
    if request.method == "GET" and request.path in ("/health", "/ready"):
        return Asked((), lambda answers: Reply(200))
    if (request.method, request.path) != ("POST", "/"):
        return None
    if len(request.body) > REQUEST_LIMIT:
        return Asked((), lambda answers: Reply(413, f"a request has at most {REQUEST_LIMIT} bytes\n"))
    try:
        envelope = read_envelope(request.body)
    except Invalid as error:
        refused = Reply(error.status, _envelope(error.kind, error.corr_id, error.status, str(error)))
        return Asked((), lambda answers: refused)
    if not is_welcome(envelope.auth):
        unwelcome = Reply(401, _envelope(envelope.kind, envelope.corr_id, 401, "the token is missing or not the right one"))
        return Asked((), lambda answers: unwelcome)
    return Asked((envelope.operation,), lambda answers: Reply(*reply_to(envelope, answers[0])))


def answer(body: bytes | str, apply: Callable[[Operation], Any]) -> tuple[int, dict[str, Any]]:
    """The status and envelope that a body is answered with; `apply` carries an operation out and gives, or raises, what came of it.

    >>> from resonate.machine import Machine
    >>> machine = Machine()
    >>> body = write_request(EnsurePromise("a", 1000), "7")
    >>> status, envelope = answer(json.dumps(body), lambda operation: machine.apply(operation, now=0))
    >>> status, envelope["head"]["corrId"], envelope["data"]["promise"]["state"]
    (200, '7', 'pending')
    """
    try:
        envelope = read_envelope(body)
    except Invalid as error:
        return error.status, _envelope(error.kind, error.corr_id, error.status, str(error))
    try:
        result = apply(envelope.operation)
    except ResonateStoreError as error:
        result = error
    return reply_to(envelope, result)


def reply_to(envelope: Envelope, result: Any) -> tuple[int, dict[str, Any]]:
    """The status and envelope for what came of a request's operation: an answer, or the error with which it was refused."""
    kind, corr_id, _, operation = envelope
    if isinstance(result, ResonateStoreError):
        status = status_of(result)
        return status, _envelope(kind, corr_id, status, f"Internal error: {result.mesg}" if status == 500 else result.mesg)
    status = 300 if isinstance(result, Suspended) and not result.is_suspended else 200
    data = dict(_FORMS[kind].answer.write(operation, result))
    if kind == "task.fence":
        data["action"]["head"] |= {"corrId": corr_id, "version": VERSION}
    return status, _envelope(kind, corr_id, status, data)


def status_of(error: ResonateStoreError) -> int:
    """The HTTP status of a refusal; 500 where the store itself is in trouble."""
    return 500 if isinstance(error, (StoreUnavailable, StoreDamaged)) else error.server_code // 100


def _envelope(kind: str, corr_id: str, status: int, data: Any) -> dict[str, Any]:
    return {"kind": kind, "head": {"corrId": corr_id, "status": status, "version": VERSION}, "data": data}


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


# ---- a client's side ------------------------------------------------------------------------------------------------------------------


def write_request(operation: Any, corr_id: str, auth: str | None = None) -> dict[str, Any]:
    """The envelope that asks for an operation. A promise's tags are sent as they are (`current.tags_for` makes them)."""
    kind = _KINDS[type(operation)]
    form = _FORMS[kind]
    head = {"corrId": corr_id, "version": VERSION} | ({} if auth is None else {"auth": auth})
    return {"kind": kind, "head": head, "data": _write(form.fields, form.take_apart(operation))}


def read_answer(operation: Any, corr_id: str, shown: Any) -> Any:
    """What a server's envelope answers to an operation. Raises `ResonateStoreError` with status * 100 as its code when it is a refusal.

    ValueError when it is no answer to that request.
    """
    kind = _KINDS[type(operation)]
    try:
        head, data = shown["head"], shown["data"]
        status = head["status"]
        if type(status) is not int or (shown["kind"], head["corrId"]) != (kind, corr_id):
            raise ValueError(f"it is of kind {shown['kind']!r} and has corrId {head['corrId']!r}")
        if status in (200, 201, 300):
            return _FORMS[kind].answer.read(operation, data)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"this is no answer to {kind}: {error!r} in {str(shown)[:80]}") from None
    text = data.get("error") if isinstance(data, dict) else data
    raise refusal(status * 100, str(text)[:400])
