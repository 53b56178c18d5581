"""The client's side of the legacy protocol (server v0.7.9 to v0.8.2): see `wire.client` for the form, `wire.legacy_http` for the routes.

What a lost reply leaves open is settled by what the server tells on the second try:

- A run is created with a tag that only this request has, so a second try finds out that the first one made it, and holds its lease.
- A settlement that finds the promise settled just so, by the same key or with the same value, was our own.
- A claim that finds the task claimed cannot tell by whom. It is given back, and comes again with the next counter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from resonate.errors import RemoteProtocolError, ResonateStoreError
from resonate.limits import PARALLEL_CALLBACKS_LIMIT, SEARCH_LIMIT
from resonate.protocol import (
    NOTHING,
    CallbackRecord,
    Claimed,
    ClaimTask,
    CompleteTask,
    CreateLeased,
    CreatePromise,
    CreateSchedule,
    DeleteSchedule,
    DeliveryFailed,
    DropTask,
    GetPromise,
    GetSchedule,
    Heartbeat,
    Lease,
    ListDescendants,
    Message,
    NotifyMessage,
    Park,
    PromiseRecord,
    RegisterCallback,
    ScheduleRecord,
    SearchPromises,
    SearchSchedules,
    SettlePromise,
    Subscribe,
    refusal,
)
from resonate.wire.client import BUSY, Answered, Busy, Exchanges, ProtocolClient, Refused, one, read_body, understood, unwelcome
from resonate.wire.legacy import INVOKE, TIMEOUT, message_from_wire, promise_from_wire, value_from_wire
from resonate.wire.legacy_fields import given_key
from resonate.wire.legacy_http import write_request
from resonate.wire.lineage import CALL, LAUNCH, ORIGIN, call_tag, read_lineage

_TEMPLATE = re.compile(r"\{\{\s*\.(id|timestamp)\s*\}\}")
_SETTLED = frozenset((40301, 40302, 40303, 40304))
_NOT_TAKEN = frozenset((400, 411, 413, 414, 415, 417, 422, 431))


class LegacyClient(ProtocolClient):
    """One client of a legacy server. Never asks for what is known to end such a server (malformed addresses, cron templates)."""

    name = "legacy"
    mark, other_mark = "type", "kind"
    dialect = ""
    child_separator = "."

    def __init__(self, name: str = "", token: str | None = None) -> None:
        self._name = name
        self._launches = count(1)

    def greet(self) -> Exchanges:
        """There is nothing to find out: what differs between these servers is answered in ways that can be told apart."""
        yield from ()

    # ---- what is asked -----------------------------------------------------------------------------------------------------------------

    def _create(self, create: CreatePromise) -> Exchanges:
        request = write_request(_tagged(create))
        answered = yield from one(request)
        error = _error(answered)
        if error is not None and answered.is_repeat and error.server_code == 40900:
            shown = _body((yield from one(write_request(GetPromise(create.id)))))
            there = _promise_of(shown)
            asked = (create.key, create.param, create.timeout, json.loads(request.body).get("tags") or {})
            if (there.key_for_create, there.param, there.timeout, shown.get("tags") or {}) == asked:
                return there
        return _promise(answered)

    def _create_leased(self, operation: CreateLeased) -> Exchanges:
        launch = f"{self._name}/{next(self._launches)}"
        create = _tagged(operation.promise, launch)
        answered = yield from one(write_request(replace(operation, promise=create)))
        body = _body(answered)
        record = _promise_of(body.get("promise"))
        task = body.get("task")
        if task is not None:
            return record, understood(lambda: Lease(record.id, str(task["id"]), int(task["counter"])), "a task")
        if operation.adopt and answered.is_repeat and record.state == "PENDING":
            tags = body["promise"].get("tags") or {}
            if tags.get(LAUNCH) == launch:
                return record, Lease(record.id, f"__invoke:{record.id}", 1)
        return record, None

    def _get(self, operation: GetPromise) -> Exchanges:
        return _promise((yield from one(write_request(operation))))

    def _settle(self, operation: SettlePromise) -> Exchanges:
        answered = yield from one(write_request(operation))
        error = _error(answered)
        if error is None:
            return _promise(answered)
        code = error.server_code
        if code in _SETTLED and (operation.adopt or answered.is_repeat):
            there = yield from self._get(GetPromise(operation.id))
            if operation.adopt or (there.state == operation.state and there.value == operation.value):
                return there
        elif code == 41200 and answered.is_repeat and operation.key is not None:
            there = yield from self._get(GetPromise(operation.id))
            if (there.state, there.key_for_complete) == (operation.state, operation.key):
                return there  # by our own first try, which ended the lease too
        raise error

    def _wait(self, operation: RegisterCallback | Subscribe) -> Exchanges:
        body = _body((yield from one(write_request(operation))))
        return _promise_of(body.get("promise")), _callback_of(body.get("callback"), operation)

    def _park(self, operation: Park) -> Exchanges:
        """Callbacks first, then the end of the task: the other way round a wake-up could be lost."""
        lease = operation.lease
        for names in _parts(operation.promises):
            callbacks = [RegisterCallback(name, lease.root, operation.recv, operation.timeout, lease=lease) for name in names]
            answers = yield [write_request(each) for each in callbacks]
            records = [_promise_of(_body(answered).get("promise")) for answered in answers]
            settled = [record for record in records if record.state != "PENDING"]
            if settled:
                return settled
        _body((yield from one(write_request(CompleteTask(lease.task, lease.counter)))))
        return []

    # ---- tasks ---------------------------------------------------------------------------------------------------------------------------

    def _claim(self, operation: ClaimTask) -> Exchanges:
        answered = yield from one(write_request(operation))
        error = _error(answered)
        if error is not None:
            if answered.is_repeat and operation.adopt and error.server_code == 40306:
                # Perhaps by our own first try. Kept alive by our heartbeats and worked on by nobody, it would stand still for ever.
                yield from one(write_request(DropTask(operation.id, operation.counter)))
            raise error
        promises = understood(lambda: answered.body["promises"], "a claim")
        root = _promise_of(understood(lambda: promises["root"]["data"], "a claim"))
        leaf = promises.get("leaf")
        known = _promise_of(understood(lambda: leaf["data"], "a claim")) if leaf else None
        return Claimed(root, known, Lease(root.id, operation.id, operation.counter))

    def _complete(self, operation: CompleteTask) -> Exchanges:
        return _body((yield from one(write_request(operation))))

    def _drop(self, operation: DropTask) -> Exchanges:
        answered = yield from one(write_request(operation))
        if answered.status == 404 and answered.body is None:
            return False  # an older server: the lease lapses
        _check(answered)
        return answered.status == 201

    def _heartbeat(self, operation: Heartbeat) -> Exchanges:
        body = _body((yield from one(write_request(operation))))
        return understood(lambda: int(body["tasksAffected"]), "a heartbeat")

    # ---- searches and schedules ------------------------------------------------------------------------------------------------------

    def _search(self, operation: SearchPromises) -> Exchanges:
        body = _body((yield from one(write_request(operation))))
        found = [_promise_of(each) for each in understood(lambda: list(body["promises"]), "a search")]
        return found, body.get("cursor")

    def _descendants(self, operation: ListDescendants) -> Exchanges:
        """What our own tags find, and what lies below the id, for runs of other clients."""
        found: dict[str, PromiseRecord] = {}
        for pattern, tags in (("*", {ORIGIN: operation.origin}), (f"{operation.origin}.*", None), (operation.origin, None)):
            search = SearchPromises(pattern, None, tags, SEARCH_LIMIT)
            while True:
                records, cursor = yield from self._search(search)
                for record in records:
                    found.setdefault(record.id, record)
                if cursor is None:
                    break
                search = replace(search, before=cursor)
        ours = [each for each in found.values() if each.lineage is None or each.lineage.origin == operation.origin]
        return sorted(ours, key=lambda each: (each.created_on, len(each.id), each.id))

    def _create_schedule(self, operation: CreateSchedule) -> Exchanges:
        rest = _TEMPLATE.sub("", operation.promise_id)
        if "{{" in rest or "}}" in rest:  # such a template would end the server when it is due
            answered = yield from one(write_request(GetSchedule(operation.id)))
            if _error(answered) is None:  # what is there counts first, as in every store
                there = _schedule_of(_body(answered))
                if there.key is not None and there.key == operation.key:
                    return there
                raise refusal(40901, f"there is a schedule {operation.id} already")
            raise refusal(40000, f"{operation.promise_id} is no promise id: only {{{{.id}}}} and {{{{.timestamp}}}} can stand in it")
        return _schedule_of(_body((yield from one(write_request(operation)))))

    def _get_schedule(self, operation: GetSchedule) -> Exchanges:
        return _schedule_of(_body((yield from one(write_request(operation)))))

    def _delete_schedule(self, operation: DeleteSchedule) -> Exchanges:
        _check((yield from one(write_request(operation))))

    def _search_schedules(self, operation: SearchSchedules) -> Exchanges:
        body = _body((yield from one(write_request(operation))))
        return [_schedule_of(each) for each in understood(lambda: list(body["schedules"]), "a search")], body.get("cursor")

    # ---- what is answered --------------------------------------------------------------------------------------------------------------

    def read(self, status: int, kind: str, body: bytes) -> Any:
        """What a reply's body says; see `wire.client`."""
        if status == 204 or (status in (200, 201) and not body):
            return None
        if status == 404 and kind == "text/plain":
            return None
        if status == 410:
            raise Refused('it speaks the current protocol: say protocol="current", or leave it out')
        try:
            shown = read_body(kind, body)
        except RemoteProtocolError:
            if status in BUSY:
                raise Busy(f"it answered {status}") from None
            if status in (401, 403):
                raise unwelcome(status) from None
            if status in _NOT_TAKEN:  # this request, however often it is sent; others may be
                raise refusal(status * 100, f"the server does not take this request: it answered {status}") from None
            raise
        error = shown.get("error") if isinstance(shown, dict) else None
        code = error.get("code") if isinstance(error, dict) else None
        if status in BUSY:
            raise Busy(f"it answered {status}{f' ({code})' if code else ''}")
        if status == 401 or (status == 403 and code in (None, 40300)):
            raise unwelcome(status)
        if not isinstance(shown, dict) or not shown:
            raise RemoteProtocolError("it answered with JSON of another form")
        return shown

    def _message_of(self, shown: Any, recv: str) -> Message | None:
        message = message_from_wire(shown, recv)
        return replace(message, promise=_sorted_out(message.promise)) if isinstance(message, NotifyMessage) else message


def _tagged(create: CreatePromise, launch: str | None = None) -> CreatePromise:
    tags = dict(create.tags or {})
    if create.lineage is not None:
        tags |= {ORIGIN: create.lineage.origin, CALL: call_tag(create.lineage)}
    if launch is not None:
        tags[LAUNCH] = launch
    return replace(create, tags=tags or None)


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for first in range(0, len(names), PARALLEL_CALLBACKS_LIMIT):
        yield names[first : first + PARALLEL_CALLBACKS_LIMIT]


def _error(answered: Answered) -> ResonateStoreError | None:
    """What a reply refuses with."""
    if answered.status < 300:
        return None
    shown = answered.body.get("error") if isinstance(answered.body, dict) else None
    if not isinstance(shown, dict) or type(shown.get("code")) is not int or not 10_000 <= shown["code"] < 100_000:
        return RemoteProtocolError(f"it answered {answered.status} with no error that can be read")
    return ResonateStoreError(str(shown.get("message") or "it refused"), shown["code"], shown.get("details"))


def _check(answered: Answered) -> None:
    error = _error(answered)
    if error is not None:
        raise error


def _body(answered: Answered) -> dict[str, Any]:
    _check(answered)
    if not isinstance(answered.body, dict):
        raise RemoteProtocolError(f"it answered {answered.status} with nothing that can be read")
    return answered.body


def _promise(answered: Answered) -> PromiseRecord:
    return _promise_of(_body(answered))


def _promise_of(shown: Any) -> PromiseRecord:
    return understood(lambda: _sorted_out(promise_from_wire(shown)), "a promise")


def _sorted_out(record: PromiseRecord) -> PromiseRecord:
    """A record, just read, with its lineage, where its tags tell it, and without the tags that it tells itself."""
    texts = (record.id, *(record.tags or {}).values(), *(record.param[0] or {}).values(), *(record.value[0] or {}).values())
    if record.state not in _STATES or not all(isinstance(each, str) for each in texts):
        raise ValueError("a promise has text as its id, tags and headers, and one of five states")
    lineage, tags = read_lineage(record.tags or {})
    told = ((INVOKE, record.target is not None), (TIMEOUT, record.timer))
    record.lineage, record.tags = lineage, {name: text for name, text in tags.items() if (name, True) not in told} or None
    record.key_for_create, record.key_for_complete = given_key(record.key_for_create), given_key(record.key_for_complete)
    return record


_STATES = frozenset(("PENDING", "RESOLVED", "REJECTED", "REJECTED_CANCELED", "REJECTED_TIMEDOUT"))


def _callback_of(shown: Any, operation: RegisterCallback | Subscribe) -> CallbackRecord | None:
    if shown is None:
        return None
    root = operation.root if isinstance(operation, RegisterCallback) else operation.promise
    kind: Any = "resume" if isinstance(operation, RegisterCallback) else "notify"
    made = understood(lambda: (str(shown["id"]), int(shown["timeout"]), int(shown.get("createdOn") or 0)), "a callback")
    return CallbackRecord(made[0], kind, operation.promise, root, operation.recv, made[1], made[2])


def _schedule_of(shown: Any) -> ScheduleRecord:
    return understood(
        lambda: ScheduleRecord(
            str(shown["id"]), str(shown["cron"]), str(shown["promiseId"]), int(shown["promiseTimeout"]),
            value_from_wire(shown.get("promiseParam")) if shown.get("promiseParam") else NOTHING, dict(shown.get("promiseTags") or {}),
            shown.get("desc"), dict(shown.get("tags") or {}), given_key(shown.get("idempotencyKey")), int(shown["createdOn"]),
            int(shown["nextRunTime"]), shown.get("lastRunTime"),
        ),
        "a schedule",
    )  # fmt: skip


LegacyClient.rules = {
    CreatePromise: LegacyClient._create, CreateLeased: LegacyClient._create_leased, GetPromise: LegacyClient._get,
    SettlePromise: LegacyClient._settle, RegisterCallback: LegacyClient._wait, Subscribe: LegacyClient._wait, Park: LegacyClient._park,
    ClaimTask: LegacyClient._claim, CompleteTask: LegacyClient._complete, DropTask: LegacyClient._drop,
    Heartbeat: LegacyClient._heartbeat, DeliveryFailed: LegacyClient._delivery_failed, SearchPromises: LegacyClient._search,
    ListDescendants: LegacyClient._descendants, CreateSchedule: LegacyClient._create_schedule, GetSchedule: LegacyClient._get_schedule,
    DeleteSchedule: LegacyClient._delete_schedule, SearchSchedules: LegacyClient._search_schedules,
}  # fmt: skip
