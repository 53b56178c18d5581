"""The client's side of the current protocol (`2026-04-01`): see `wire.client` for the form, `wire.current_requests` for the envelopes.

A run's lease is its task's id and version. Everything that is done on its behalf names them, so a worker that has lost the lease is refused
before it can do harm; that is told as 41200, as in every store here.

What is not told by a message is asked for: an `execute` says only that there is work, so after acquiring it is looked which of the promises
that the run waited for have settled. No branch tag is sent: with one, each request would be answered with all children so far.

What a lost reply leaves open: creating and settling give what is there; who holds a task is seen by the process that it names.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from resonate.errors import RemoteProtocolError, ResonateStoreError
from resonate.limits import PAGE_LIMIT, PARALLEL_CALLBACKS_LIMIT, SEARCH_LIMIT
from resonate.protocol import (
    Acquired,
    AcquireTask,
    ActFenced,
    AwaitPromise,
    Claimed,
    ClaimTask,
    CreateLeased,
    CreatePromise,
    CreateSchedule,
    DeleteSchedule,
    DropTask,
    Encoded,
    EnsureAcquired,
    EnsurePromise,
    EnsureSchedule,
    FindPromises,
    FindSchedules,
    FulfillTask,
    GetPromise,
    GetSchedule,
    Heartbeat,
    Lease,
    ListDescendants,
    ListenToPromise,
    Message,
    NotifyMessage,
    Operation,
    Park,
    PromiseRecord,
    RegisterCallback,
    ReleaseTask,
    RenewLeases,
    SearchPromises,
    SearchSchedules,
    SettlePromise,
    Subscribe,
    SuspendTask,
    ViewTask,
    refusal,
)
from resonate.searches import matcher
from resonate.wire.client import BUSY, Answered, Busy, Exchanges, ProtocolClient, Refused, read_body, understood, unwelcome
from resonate.wire.current import TARGET, TIMER, Dialect, error_for_others, message_from_wire, tags_for
from resonate.wire.current_requests import REQUEST_LIMIT, read_answer, write_request
from resonate.wire.http import Request, write_json
from resonate.wire.lineage import CALL, LAUNCH, ROOT, call_tag, read_lineage

_SETTLED_CODES = {"RESOLVED": 40301, "REJECTED": 40302, "REJECTED_CANCELED": 40303, "REJECTED_TIMEDOUT": 40304}
_ABSENT, _CONFLICT = 40400, 40900
Asking = Generator[Sequence[Request], Sequence[Answered], Any]


class CurrentClient(ProtocolClient):
    """One client of a server of the current generation."""

    name = "current"
    mark, other_mark = "kind", "type"
    child_separator = ":"

    def __init__(self, name: str = "", token: str | None = None) -> None:
        self._name = name
        self._token = token
        self._numbers = count(1)
        self.dialect: str = ""
        self._held: dict[str, int] = {}  # the version of each task that we hold
        self._awaited: dict[str, list[str]] = {}  # what a run waits for that we have suspended

    def greet(self) -> Exchanges:
        """Which of three dialects it is: they look for other things first when they are asked to wait for a promise that is not there."""
        answers = []
        for mark in (".", ":"):
            probe = AwaitPromise(f"probe{mark}1", f"probe{mark}2")
            answers.append(_code((yield from self._try(probe))))
        known: dict[tuple[int, int], Dialect] = {(40400, 40400): "R1", (40400, 40000): "R2", (40000, 40400): "R3"}
        self.dialect = known.get((answers[0], answers[1]), "R1")
        if self.dialect == "R2":
            self.child_separator = "."

    def ask(self, operation: Operation) -> Exchanges:
        """The requests that an operation takes; its refusal is raised."""
        if isinstance(operation, SettlePromise) and operation.state == "REJECTED":
            operation = replace(operation, value=error_for_others(operation.value))
        return super().ask(operation)

    # ---- one request ---------------------------------------------------------------------------------------------------------------------

    def _request(self, operation: Operation) -> tuple[Request, Callable[[Answered], Any]]:
        """A request, and how to read what it is answered with: an answer or the error that it is refused with."""
        corr_id = f"{self._name}-{next(self._numbers)}"

        def read(answered: Answered) -> Any:
            try:
                return understood(lambda: read_answer(operation, corr_id, answered.body), "an envelope")
            except ResonateStoreError as error:
                return error

        body = write_json(write_request(operation, corr_id, self._token))
        if len(body) > REQUEST_LIMIT:
            raise refusal(41300, f"the server takes requests of {REQUEST_LIMIT:,} bytes, not of {len(body):,}: store the value elsewhere")
        return Request("POST", "/", body=body), read

    def _repeatable(self, operation: Operation) -> Asking:
        """(answer or error, whether an earlier try may have been carried out)."""
        request, read = self._request(operation)
        (answered,) = yield (request,)
        return read(answered), answered.is_repeat

    def _try(self, operation: Operation) -> Asking:
        return (yield from self._repeatable(operation))[0]

    def _do(self, operation: Operation) -> Asking:
        answer = yield from self._try(operation)
        if isinstance(answer, ResonateStoreError):
            raise answer
        return _known(answer)

    def _all(self, operations: Sequence[Operation]) -> Asking:
        """The answers to several operations, some of them asked for at once."""
        answers: list[Any] = []
        for first in range(0, len(operations), PARALLEL_CALLBACKS_LIMIT):
            asked = [self._request(each) for each in operations[first : first + PARALLEL_CALLBACKS_LIMIT]]
            replies = yield [request for request, _ in asked]
            answers += [_known(read(reply)) for (_, read), reply in zip(asked, replies, strict=True)]
        return answers

    # ---- promises ------------------------------------------------------------------------------------------------------------------------

    def _create(self, create: CreatePromise) -> Exchanges:
        ensure = self._ensuring(create)
        lease = create.lease
        if lease is None or (self.dialect == "R3" and _is_elsewhere(create.id, lease.root)):
            return (yield from self._do(ensure))
        fenced = yield from self._fenced(lease, ActFenced(lease.task, lease.counter, ensure))
        return _known(fenced.promise)

    def _ensuring(self, create: CreatePromise, launch: str | None = None) -> EnsurePromise:
        dialect: Dialect = "R1" if self.dialect not in ("R2", "R3") else self.dialect  # type: ignore[assignment] # as mypy cannot know
        tags = tags_for(create, dialect)
        if create.lineage is not None:
            tags[CALL] = call_tag(create.lineage)
        if launch is not None:
            tags[LAUNCH] = launch
        return EnsurePromise(create.id, create.timeout, create.param, tags or None, create.target, create.timer)

    def _create_leased(self, operation: CreateLeased) -> Exchanges:
        create = operation.promise
        if create.target is None:  # it goes nowhere, so it has no task
            return (yield from self._create(create)), None
        launch = f"{self._name}/{next(self._numbers)}"
        ensure = EnsureAcquired(self._ensuring(create, launch), operation.pid, operation.ttl)
        acquired, is_repeat = yield from self._repeatable(ensure)
        if not isinstance(acquired, ResonateStoreError):
            record = _known(acquired.promise)
            if acquired.task.state != "CLAIMED":
                return record, None
            if record.param == create.param:
                return record, self._hold(acquired)
            yield from self._try(ReleaseTask(create.id, acquired.task.counter))  # another call, which somebody else asked for
            return record, None
        if _code(acquired) not in (_CONFLICT, 42200):
            raise acquired
        record = yield from self._do(GetPromise(create.id))
        if is_repeat and operation.adopt and record.state == "PENDING":
            task = yield from self._do(ViewTask(create.id))
            if (task.state, task.pid) == ("CLAIMED", operation.pid):
                self._held[create.id] = task.counter
                return record, Lease(create.id, create.id, task.counter)
        return record, None

    def _get(self, operation: GetPromise) -> Exchanges:
        return (yield from self._do(operation))

    def _settle(self, operation: SettlePromise) -> Exchanges:
        lease = operation.lease
        if lease is None:
            record = yield from self._do(operation)
        elif operation.id == lease.root:
            return (yield from self._fulfill(operation, lease))
        else:
            fenced = yield from self._fenced(lease, ActFenced(lease.task, lease.counter, replace(operation, lease=None)))
            if fenced.promise is None:
                raise refusal(_ABSENT, f"there is no promise {operation.id}")
            record = _known(fenced.promise)
        if record.state == "PENDING":
            raise RemoteProtocolError("it answered a settlement with a promise that is pending")
        is_as_asked = (record.state, record.value) == (operation.state, operation.value)
        if not operation.adopt and not is_as_asked and (operation.strict or record.state != "REJECTED_TIMEDOUT"):
            raise refusal(_SETTLED_CODES[record.state], f"promise {record.id} is settled already")
        return record

    def _fulfill(self, operation: SettlePromise, lease: Lease) -> Exchanges:
        record = yield from self._try(FulfillTask(lease.task, lease.counter, operation.state, operation.value))
        self._let_go(lease.root, lease.counter)
        if not isinstance(record, ResonateStoreError):
            return _known(record)
        if _code(record) == _CONFLICT:  # settled by somebody, or by our own first try, or the lease went to another
            there = yield from self._do(GetPromise(operation.id))
            if there.state != "PENDING":
                return there
            raise _lost(lease)
        raise record

    def _fenced(self, lease: Lease, act: ActFenced) -> Exchanges:
        fenced = yield from self._try(act)
        if isinstance(fenced, ResonateStoreError):
            if _code(fenced) in (_CONFLICT, _ABSENT):
                self._let_go(lease.root, lease.counter)
                raise _lost(lease)
            raise fenced
        return fenced

    def _subscribe(self, operation: Subscribe) -> Exchanges:
        return (yield from self._do(ListenToPromise(operation.promise, operation.recv))), None

    def _register(self, operation: RegisterCallback) -> Exchanges:
        return (yield from self._do(AwaitPromise(operation.promise, operation.root))), None

    # ---- leases --------------------------------------------------------------------------------------------------------------------------

    def _hold(self, acquired: Acquired) -> Lease:
        task = acquired.task
        self._held[task.root] = task.counter
        return Lease(task.root, task.root, task.counter)

    def _let_go(self, root: str, version: int) -> None:
        """Keep a lease no more. News of an earlier one say nothing about the one that is held by now."""
        if self._held.get(root) == version:
            del self._held[root]

    def _park(self, operation: Park) -> Exchanges:
        lease, names = operation.lease, operation.promises
        suspended, is_repeat = yield from self._repeatable(SuspendTask(lease.task, lease.counter, names))
        if isinstance(suspended, ResonateStoreError):
            if _code(suspended) not in (_CONFLICT, _ABSENT):
                raise suspended
            if is_repeat:
                task = yield from self._do(ViewTask(lease.task))
                if task.counter == lease.counter and task.state in ("SUSPENDED", "ENQUEUED"):
                    return self._rests(lease, names)
            self._let_go(lease.root, lease.counter)
            raise _lost(lease)
        if suspended.is_suspended:
            return self._rests(lease, names)
        records = yield from self._all([GetPromise(name) for name in names])
        return [each for each in records if isinstance(each, PromiseRecord) and each.state != "PENDING"]

    def _rests(self, lease: Lease, names: list[str]) -> list[PromiseRecord]:
        self._let_go(lease.root, lease.counter)
        self._awaited[lease.root] = names
        return []

    def _claim(self, operation: ClaimTask) -> Exchanges:
        acquired, is_repeat = yield from self._repeatable(AcquireTask(operation.id, operation.counter, operation.pid, operation.ttl))
        if not isinstance(acquired, ResonateStoreError):
            root, lease = _known(acquired.promise), self._hold(acquired)
        else:
            if not (is_repeat and operation.adopt and _code(acquired) == _CONFLICT):
                raise _unclaimed(acquired)
            task = yield from self._do(ViewTask(operation.id))
            if (task.state, task.pid) != ("CLAIMED", operation.pid):
                raise _unclaimed(acquired)
            root = yield from self._do(GetPromise(operation.id))
            self._held[root.id] = task.counter
            lease = Lease(root.id, root.id, task.counter)
        awaited = self._awaited.pop(root.id, ())[:PARALLEL_CALLBACKS_LIMIT]
        records = yield from self._all([GetPromise(name) for name in awaited])
        settled = (each for each in records if isinstance(each, PromiseRecord) and each.state != "PENDING")
        return Claimed(root, next(settled, None), lease)

    def _drop(self, operation: DropTask) -> Exchanges:
        self._let_go(operation.id, operation.counter)
        released = yield from self._try(ReleaseTask(operation.id, operation.counter))
        return not isinstance(released, ResonateStoreError)

    def _heartbeat(self, operation: Heartbeat) -> Exchanges:
        held = list(self._held.items())
        # The later dialects take no list that mixes the tasks of several origins.
        lists = [[each] for each in held] if self.dialect in ("R2", "R3") else [held] if held else []
        yield from self._all([RenewLeases(operation.pid, tasks) for tasks in lists])
        return len(held)

    # ---- searches and schedules ------------------------------------------------------------------------------------------------------

    def _find(self, find: FindPromises) -> Exchanges:
        """Every promise that fits, page by page."""
        found: list[PromiseRecord] = []
        while True:
            records, after = yield from self._do(find)
            found += map(_known, records)
            if after is None:
                return found
            find = replace(find, after=after)

    def _descendants(self, operation: ListDescendants) -> Exchanges:
        found = yield from self._find(FindPromises(None, {ROOT: operation.origin}, PAGE_LIMIT))
        if not found:  # of another SDK, whose runs carry other tags
            found = yield from self._find(FindPromises(None, {"resonate:origin": operation.origin}, PAGE_LIMIT))
        return sorted(found, key=lambda each: (each.created_on, len(each.id), each.id))

    def _search(self, operation: SearchPromises) -> Exchanges:
        """The protocol knows no patterns, so what it finds is sifted here. Pages come in the order of ids."""
        fits = matcher(operation.pattern)
        states = operation.states
        find = FindPromises(states[0] if states is not None and len(states) == 1 else None, operation.tags, PAGE_LIMIT)
        after: Any = operation.before
        found: list[PromiseRecord] = []
        limit = operation.limit or SEARCH_LIMIT
        while True:
            records, following = yield from self._do(replace(find, after=after))
            for record in map(_known, records):
                if fits(record.id) and (states is None or record.state in states):
                    found.append(record)
                    if len(found) == limit:
                        return found, record.id
            if following is None:
                return found, None
            after = following

    def _create_schedule(self, operation: CreateSchedule) -> Exchanges:
        for what, given in (("a description", operation.description), ("tags of its own", operation.tags)):
            if given:
                raise refusal(40000, f"the current protocol gives a schedule no place for {what}: leave it out")
        ensure = EnsureSchedule(
            operation.id, operation.cron, operation.promise_id, operation.promise_timeout, operation.promise_param,
            _modern(operation.promise_tags),
        )  # fmt: skip
        return (yield from self._do(ensure))

    def _pass_on(self, operation: GetSchedule | DeleteSchedule) -> Exchanges:
        answer = yield from self._try(operation)
        if isinstance(answer, ResonateStoreError):
            raise refusal(40401, answer.mesg) if _code(answer) == _ABSENT else answer
        return answer

    def _search_schedules(self, operation: SearchSchedules) -> Exchanges:
        fits = matcher(operation.pattern)
        after: Any = operation.before
        records, following = yield from self._do(FindSchedules(operation.tags, operation.limit or SEARCH_LIMIT, after))
        return [each for each in records if fits(each.id)], following

    # ---- what is answered ------------------------------------------------------------------------------------------------------------

    def read(self, status: int, kind: str, body: bytes) -> Any:
        """What a reply's body says; see `wire.client`."""
        if status in (401, 403):
            raise unwelcome(status)
        if status in BUSY:
            raise Busy(f"it answered {status}")
        if status == 413:
            raise refusal(41300, "the server takes no request of that size: store the value elsewhere and pass where it is")
        if status in (404, 405) and kind != "application/json":
            raise Refused('it does not speak the current protocol: say protocol="legacy", or leave it out')
        shown = read_body(kind, body)
        head = shown.get("head") if isinstance(shown, dict) else None
        if not isinstance(head, dict) or not isinstance(shown.get("kind"), str) or "data" not in shown:
            raise RemoteProtocolError("it answered with JSON of another form")
        return shown

    def _message_of(self, shown: Any, recv: str) -> Message | None:
        message = message_from_wire(shown, recv)
        return replace(message, promise=_known(message.promise)) if isinstance(message, NotifyMessage) else message


def _known(answer: Any) -> Any:
    """A record, just read, with its lineage, where its tags tell it, and without the tags that the record itself tells."""
    if isinstance(answer, PromiseRecord):
        lineage, tags = read_lineage(answer.tags or {})
        told = ((TARGET, answer.target is not None), (TIMER, answer.timer))
        answer.lineage, answer.tags = lineage, {name: text for name, text in tags.items() if (name, True) not in told} or None
        answer.param, answer.value = _present(answer.param), _present(answer.value)
    return answer


def _present(value: Encoded) -> Encoded:
    """A value; the empty text, which TypeScript sends where it has none, is none."""
    return value if value[1] else (value[0], None)


def _modern(tags: dict[str, str] | None) -> dict[str, str] | None:
    """The tags of promises that a schedule makes: what `resonate:invoke` asks of a legacy server is `resonate:target` here."""
    if not tags or "resonate:invoke" not in tags:
        return tags
    target = tags["resonate:invoke"]
    return {name: text for name, text in tags.items() if name != "resonate:invoke"} | {TARGET: target}


def _is_elsewhere(promise_id: str, root: str) -> bool:
    return promise_id.partition(":")[0] != root.partition(":")[0]


def _code(error: Any) -> int:
    return error.server_code if isinstance(error, ResonateStoreError) else 0


def _unclaimed(error: ResonateStoreError) -> ResonateStoreError:
    """Why a task is not ours, with the codes that claims are refused with."""
    code = {_ABSENT: 40403, _CONFLICT: 40308}.get(_code(error))
    return error if code is None else refusal(code, error.mesg)


def _lost(lease: Lease) -> ResonateStoreError:
    return refusal(41200, f"the lease on {lease.root} is not held any more")


CurrentClient.rules = {
    CreatePromise: CurrentClient._create, CreateLeased: CurrentClient._create_leased, GetPromise: CurrentClient._get,
    SettlePromise: CurrentClient._settle, RegisterCallback: CurrentClient._register, Subscribe: CurrentClient._subscribe,
    Park: CurrentClient._park, ClaimTask: CurrentClient._claim, DropTask: CurrentClient._drop, Heartbeat: CurrentClient._heartbeat,
    ListDescendants: CurrentClient._descendants, SearchPromises: CurrentClient._search,
    CreateSchedule: CurrentClient._create_schedule, GetSchedule: CurrentClient._pass_on, DeleteSchedule: CurrentClient._pass_on,
    SearchSchedules: CurrentClient._search_schedules,
}  # fmt: skip
