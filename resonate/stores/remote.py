"""Promises on a Resonate Server, asked for over HTTP by a few threads.

An operation is a small generator of requests (`wire.client`); here they are sent, each again and again until it is answered. While the
server cannot be reached, everything waits on one `Line`, and one request at a time tries it: what was asked for goes on within a moment
of its coming back, and a thousand waiting runs do not storm it.

Who sends: a caller (`call`) does it itself, and is told after a while (`patience_s`) that nobody answers; what was posted is sent by the
worker that has nothing else to do (`flush`), so a sequence of steps stays on one thread, or else by the threads of this store. None of them
runs user code.

Messages come by a stream of events. Any of them can be lost, so after each new connection, and now and then, it is looked whether what is
waited for has settled in the meantime (`_refresh`).
"""

from __future__ import annotations

import json
import logging
import os
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import quote

from resonate.errors import RemoteProtocolError, ResonateStoreError, StoreUnavailable
from resonate.interrupts import Uninterrupted
from resonate.limits import (
    FOREGROUND_LIMIT_S,
    LARGE_BODY,
    NEW_STREAM_S,
    NUDGE_S,
    REFRESH_S,
    REMOTE_THREADS_LIMIT,
    REQUEST_TIMEOUT_S,
    RESETS_LIMIT,
    STOP_GRACE_S,
    WAIT_SLICE_S,
)
from resonate.models.encoder import Encoder
from resonate.models.retry_policy import RetryPolicy
from resonate.protocol import (
    ClaimTask,
    CreateLeased,
    CreatePromise,
    DropTask,
    GetPromise,
    Message,
    NotifyMessage,
    Operation,
    Park,
    PromiseRecord,
    RegisterCallback,
    SettlePromise,
    Subscribe,
    TaskMessage,
    refusal,
)
from resonate.stores.local import _with_values as with_values
from resonate.stores.promises import PromiseStore
from resonate.stores.schedules import ScheduleStore
from resonate.stores.tasks import TaskStore
from resonate.timers import Timers
from resonate.transport.connections import Connections, Credentials, Unreachable
from resonate.transport.io_threads import IoThreads
from resonate.transport.line import Impatient, Line, Stopped
from resonate.transport.settings import address_from, credentials_of_environment
from resonate.transport.streams import MessageStream
from resonate.wire.client import Answered, Busy, Exchanges, Refused, ServerProtocol, one
from resonate.wire.current_client import CurrentClient
from resonate.wire.http import Request
from resonate.wire.legacy import address_of
from resonate.wire.legacy_client import LegacyClient

logger = logging.getLogger("resonate.stores.remote")

Deliver = Callable[[Any], None]
_WHICH = Request("GET", "/promises", "id=x&limit=1")
"""What tells a server of one generation from one of the other."""


class _Job:
    """An operation under way."""

    __slots__ = ("answers", "deliver", "exchanges", "missing", "operation", "refused")

    def __init__(self, operation: Operation, exchanges: Exchanges, deliver: Deliver) -> None:
        self.operation = operation
        self.exchanges = exchanges
        self.deliver = deliver
        self.answers: list[Answered] = []
        self.missing = 0  # of the requests that were sent at once
        self.refused: ResonateStoreError | None = None  # what one of those was refused with


class _Reply:
    """The answer that somebody waits for, and who gets it when they have gone. It stays here until then: it cannot be lost on the way."""

    def __init__(self, late: Deliver, on_late: Callable[[], None]) -> None:
        self.answers: list[Any] = []
        self.arrived: SimpleQueue[None] = SimpleQueue()
        self._late = late
        self._on_late = on_late
        self._is_left = False

    def put(self, answer: Any) -> None:
        """The answer is there."""
        self.answers.append(answer)
        self.arrived.put(None)
        if self._is_left:
            self.leave()

    def leave(self) -> None:
        """Nobody waits any more."""
        self._is_left = True
        with suppress(IndexError):  # one of two threads takes it
            self._late(self.answers.pop())
            self._on_late()


class _Impatience:
    """How long whoever sends a request waits while the server cannot be reached."""

    def __init__(self, until: float | None) -> None:
        self.until = until
        """By the monotonic clock; None: for as long as it takes."""


class RemoteStore:
    """Promises on the server at `host`:`port`. Arguments that are not given are read from the environment, as SDK 0.6.7 does it:
    RESONATE_HOST_STORE or RESONATE_HOST, RESONATE_PORT_STORE, RESONATE_USERNAME and RESONATE_PASSWORD, or RESONATE_TOKEN.

    `host` may also be a whole address (`https://example.org/resonate`). `auth` is (user, password) or a bearer token, `timeout` the seconds
    that a server may be silent, `protocol` is `legacy` or `current`; without it, it is found out with the first request. Nothing is asked
    here: a server that is not there yet may come later.

    >>> RemoteStore("http://localhost", 8001).where
    ('server', 'on http://localhost:8001, not asked yet')
    """

    in_place = False
    sole_owner = False
    is_far = True
    """Each operation is a journey: nobody may wait for it on a thread that others need."""

    def __init__(
        self, host: str | None = None, port: str | int | None = None, auth: Credentials = None, encoder: Encoder | None = None,
        timeout: float | tuple[float, float] = REQUEST_TIMEOUT_S, retry_policy: RetryPolicy | None = None, *,
        protocol: str | None = None, message_source_port: str | int | None = None, log_level: int = logging.NOTSET,
    ) -> None:  # fmt: skip
        if protocol not in (None, "legacy", "current"):
            raise ValueError(f"protocol must be `legacy` or `current`, got {protocol!r}")
        timeout_s = float(max(timeout)) if isinstance(timeout, tuple) else float(timeout)
        credentials = auth if auth is not None else credentials_of_environment()
        self._connections = Connections(address_from("STORE", host, port, "8001"), credentials, timeout_s)
        self._message_port = message_source_port or os.getenv("RESONATE_PORT_MESSAGE_SOURCE")
        self._message_connections = Connections(
            address_from("MESSAGE_SOURCE", host, self._message_port, "8002", over=True), credentials, timeout_s
        )
        self.patience_s = FOREGROUND_LIMIT_S
        """How long a caller waits for a server that cannot be reached."""
        self._encoder = encoder
        self._token = credentials if isinstance(credentials, str) else None
        self._protocol: ServerProtocol | None = self._client(protocol) if protocol is not None else None
        self._is_greeted = False
        self._line = Line(self._connections.url, retry_policy)
        self._line.on_refused, self._line.log_level = self._tell_refused, log_level
        self._threads = IoThreads(REMOTE_THREADS_LIMIT)
        self._queue: deque[_Job] = deque()  # posted, and taken by nobody yet
        self._timers = Timers("resonate-remote")
        self._watched: dict[str, Subscribe] = {}  # promises whose news somebody waits for
        self._parked: dict[str, Park] = {}  # by the run
        self._receivers: tuple[Callable[[Any], None], ...] = ()
        self._own_addresses: frozenset[str] = frozenset()  # whose work is ours
        self._connected_at = 0.0  # the stream of messages, by the monotonic clock
        self._sent_at = 0.0  # the last request, by the monotonic clock
        self._written_at = 0.0  # the last answer to a write
        self._is_nudge_due = False
        self._started = False
        self.on_answers: Callable[[], None] = lambda: None
        self.on_trouble: Callable[[str, Exception], None] = lambda run_id, error: None
        self.promises = PromiseStore(self)
        self.tasks = TaskStore(self)
        self.schedules = ScheduleStore(self)

    def __repr__(self) -> str:
        return f"RemoteStore({self.where[1]})"

    def _client(self, protocol: str) -> ServerProtocol:
        kinds: dict[str, Callable[..., ServerProtocol]] = {"legacy": LegacyClient, "current": CurrentClient}
        return kinds[protocol](uuid.uuid4().hex, self._token)

    @property
    def encoder(self) -> Encoder | None:
        """What turns the text of values into what is kept."""
        return self._encoder

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._connections.url

    @property
    def where(self) -> tuple[str, str]:
        """What kind of place this is, and how it is called."""
        known = "not asked yet"
        if self._protocol is not None:
            known = f"{self._protocol.name} protocol" + (f" ({self._protocol.dialect})" if self._protocol.dialect else "")
        return "server", f"on {self.url}, {known}"

    @property
    def child_separator(self) -> str:
        """What stands between a run's id and the number of its first child."""
        return "." if self._protocol is None else self._protocol.child_separator

    @property
    def lists_newest_first(self) -> bool:
        """Whether searches begin with the newest promise, and not with the lowest id."""
        return self._protocol is None or self._protocol.name == "legacy"

    def child_id(self, parent: str, number: int) -> str:
        """The id of a call's child."""
        separator = self.child_separator
        return f"{parent}{'.' if separator in parent else separator}{number}"

    @property
    def trouble(self) -> StoreUnavailable | None:
        """Why the server cannot be asked just now."""
        return self._line.trouble

    def address(self, target: str) -> str:
        """The address of a logical target, as promises carry it."""
        return address_of(target)

    # ---- asking ----------------------------------------------------------------------------------------------------------------------

    def call(self, operations: Sequence[Operation]) -> list[Any]:
        """Carry out operations in order, or at once where they only read, and wait for them. A refused one's answer is the error itself."""
        if len(operations) < 2 or not all(isinstance(each, GetPromise) for each in operations):
            answers: list[Any] = []
            for operation in operations:  # who has waited for the server in vain does not wait once more
                is_away = bool(answers) and isinstance(answers[-1], StoreUnavailable)
                answers.append(self._call(operation, 0.0 if is_away else self.patience_s))
            return answers
        answers = [_NONE] * len(operations)
        told: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        for place, operation in enumerate(operations):
            job = self._job(operation, partial(_put, told, place))
            self._threads.put(partial(self._advance, job, None, _FOR_EVER))
        deadline = time.monotonic() + self.patience_s
        missing = len(operations)
        while missing and not self._line.is_stopped and (left_s := deadline - time.monotonic()) > 0:
            try:
                place, answers[place] = told.get(timeout=min(left_s, WAIT_SLICE_S))
                missing -= 1
            except Empty:
                continue
        lost = self._line.trouble or StoreUnavailable(f"{self.url} has not answered")
        return [lost if answer is _NONE else answer for answer in answers]

    def reach(self, limit_s: float) -> None:
        """Ask the server for anything. Raises `StoreUnavailable` when there is no answer within `limit_s`, or the wrong one."""
        answer = self._call(GetPromise("x"), limit_s)
        if isinstance(answer, StoreUnavailable):
            raise answer

    def create(self, operation: Operation, late: Deliver) -> Any:
        """As `call`, for what must not be lost: when whoever calls is interrupted and it was perhaps sent, `late` gets the answer."""
        reply = _Reply(late, self.on_answers)
        try:
            return self._call(operation, self.patience_s, reply)
        except BaseException:
            reply.leave()
            raise

    def _call(self, operation: Operation, limit_s: float, reply: _Reply | None = None) -> Any:
        reply = reply or _Reply(_unheard, _nothing_more)
        job = self._job(operation, reply.put)
        patience = _Impatience(time.monotonic() + (limit_s if not self._line.is_stopped else 0.0))
        try:
            self._advance(job, None, patience)
        except Impatient:
            return self._line.trouble or StoreUnavailable(f"{self.url} cannot be reached")
        while not reply.answers:
            with suppress(Empty):
                reply.arrived.get(timeout=WAIT_SLICE_S)
                continue
            if self._line.is_stopped:
                return StoreUnavailable(f"the client was stopped before {self.url} had answered")
            trouble = self._line.trouble
            if trouble is not None and time.monotonic() > (patience.until or 0.0):  # what it takes is sent by others
                return trouble
        return reply.answers[0]

    def post(self, operation: Operation, deliver: Deliver) -> Any:
        """None; `deliver` gets the answer from whoever carries the operation out, and then `on_answers` is called."""

        def tell(answer: Any) -> None:
            deliver(answer)
            self.on_answers()

        self._queue.append(self._job(operation, tell))
        return None

    def _job(self, operation: Operation, deliver: Deliver) -> _Job:
        if self._encoder is not None:
            operation = _encoded(operation, self._encoder.encode)
        return _Job(operation, self._exchanges(operation), deliver)

    @property
    def awaited(self) -> int:
        """How many posted operations nobody carries out yet."""
        return len(self._queue)

    def flush(self) -> None:
        """Carry out what was posted: one operation here and now, if there is no other, and the rest by the threads of this store."""
        try:
            job = self._queue.popleft()
        except IndexError:
            return
        if self._queue or self._threads.busy:
            self._queue.appendleft(job)
            self.flush_soon()
            return
        self._advance(job, None, _AT_ONCE)

    def flush_soon(self) -> None:
        """Have everything that was posted carried out by the threads of this store."""
        while self._queue:
            try:
                job = self._queue.popleft()
            except IndexError:
                return
            self._threads.put(partial(self._advance, job, None, _FOR_EVER))

    # ---- carrying out ----------------------------------------------------------------------------------------------------------------

    def _exchanges(self, operation: Operation) -> Exchanges:
        if self._protocol is None:
            answered = yield from one(_WHICH)
            self._protocol = self._client(answered.body)
        if not self._is_greeted:
            yield from self._protocol.greet()
            self._is_greeted = True
        return (yield from self._protocol.ask(operation))

    def _advance(self, job: _Job, answers: Sequence[Answered] | None, patience: _Impatience) -> None:
        """Go on with an operation, up to its end or to requests that are sent at once."""
        try:
            while True:
                with Uninterrupted():
                    requests, answers = self._requests(job, answers), None
                if requests is None:
                    return
                answers = self._asked(job, requests, patience)
                if answers is None:
                    return
        except BaseException as error:
            if answers is not None and not isinstance(error, Exception):  # an interrupt: others see to what was answered
                self._threads.put(partial(self._advance, job, answers, _FOR_EVER))
            raise

    def _requests(self, job: _Job, answers: Sequence[Answered] | None) -> Sequence[Request] | None:
        """What an operation asks next; None when it is over, which has been told."""
        try:
            return job.exchanges.send(answers)  # type: ignore[arg-type] # None begins a generator
        except StopIteration as end:
            self._finish(job, end.value)
        except ResonateStoreError as error:
            self._finish(job, error)
        except Exception as error:  # a fault of ours must end neither this thread nor the run in silence
            logger.exception("%s could not be asked of %s", type(job.operation).__name__, self.url)
            self._finish(job, RemoteProtocolError(f"{type(job.operation).__name__} failed: {error!r}"))
        return None

    def _asked(self, job: _Job, requests: Sequence[Request], patience: _Impatience) -> Sequence[Answered] | None:
        """The answers, where they are had here and now; None when others go on with the operation, or it is over."""
        if len(requests) > 1:
            job.answers, job.missing = [_NONE] * len(requests), len(requests)
            for place, request in enumerate(requests):
                self._threads.put(partial(self._part, job, place, request))
            return None
        try:
            return [self._exchange(request, patience) for request in requests]
        except _Handover as handover:
            self._threads.put(partial(self._take_up, job, requests[0], was_sent=handover.was_sent))
            if handover.__cause__ is not None:
                raise handover.__cause__ from None
        except Stopped:
            pass  # nobody waits for it any more
        except ResonateStoreError as error:  # what the server will not take, however often it is sent
            self._finish(job, error)
        return None

    def _take_up(self, job: _Job, request: Request, *, was_sent: bool) -> None:
        try:
            answered = self._exchange(request, _FOR_EVER, was_sent=was_sent)
        except Stopped:
            return
        except ResonateStoreError as error:
            self._finish(job, error)
            return
        self._advance(job, [answered], _FOR_EVER)

    def _part(self, job: _Job, place: int, request: Request) -> None:
        answered = _NONE
        try:
            answered = self._exchange(request, _FOR_EVER)
        except Stopped:
            return
        except ResonateStoreError as error:
            job.refused = error
        with self._line.lock:
            job.answers[place] = answered
            job.missing -= 1
            is_last = job.missing == 0
        if is_last and job.refused is not None:
            self._finish(job, job.refused)
        elif is_last:
            self._advance(job, job.answers, _FOR_EVER)

    def _exchange(self, request: Request, patience: _Impatience, *, was_sent: bool = False) -> Answered:
        """Send a request until it is answered."""
        target = f"{request.path}?{request.query}" if request.query else request.path
        resets = 0
        while True:
            turn = self._line.turn_now() if patience is _AT_ONCE else self._line.wait_turn(patience.until)
            if turn is None:
                raise _Handover(was_sent)
            is_over = False
            try:
                self._sent_at = time.monotonic()
                response = self._connections.exchange(request.method, target, request.headers, request.body)
                body = self._read(request, response.status, response.kind, response.body)
                with Uninterrupted():
                    self._line.answered(turn)
                    is_over = True
                return Answered(response.status, body, was_sent or response.is_repeat)
            except Unreachable as error:
                was_sent = was_sent or error.was_sent
                resets += isinstance(error.__cause__, (ConnectionResetError, BrokenPipeError))
                if resets >= RESETS_LIMIT and len(request.body) > LARGE_BODY:
                    self._line.failed(str(error), turn)
                    raise refusal(41300, f"the server takes no request of {len(request.body):,} bytes: store the value elsewhere") from None
                self._line.failed(str(error), turn, is_told=patience.until is not None)
            except Refused as error:
                self._line.refused(str(error), turn)
            except (Busy, RemoteProtocolError) as error:
                was_sent = True
                self._line.failed(getattr(error, "mesg", "") or str(error), turn)
            except ResonateStoreError:
                self._line.answered(turn)
                raise
            except ValueError as error:  # as a header with a line break: no HTTP can carry it
                self._line.gave_up(turn)
                raise refusal(40000, str(error)) from None
            except BaseException as interrupt:  # somebody else has to try the line, and to hear what was perhaps carried out
                if not is_over:
                    self._line.gave_up(turn)
                raise _Handover(was_sent=True) from interrupt

    def _read(self, request: Request, status: int, kind: str, body: bytes) -> Any:
        if request is not _WHICH:
            assert self._protocol is not None
            return self._protocol.read(status, kind, body)
        if status == 410:
            return "current"
        shown = LegacyClient.read(_A_LEGACY_CLIENT, status, kind, body)
        if status == 200 and isinstance(shown, dict) and "promises" in shown:
            return "legacy"
        raise RemoteProtocolError("it does not answer as a Resonate Server does; is the port right?")

    def _finish(self, job: _Job, answer: Any) -> None:
        self._note(job.operation, answer)
        if self._encoder is not None:
            answer = with_values(answer, self._encoder.decode)
        job.deliver(answer)

    # ---- what is waited for ----------------------------------------------------------------------------------------------------------

    def _note(self, operation: Operation, answer: Any) -> None:
        """Remember who waits for what, and see to it that a legacy server sends at once what a write brings about."""
        if isinstance(answer, Exception):
            return
        if isinstance(operation, Subscribe):
            if answer[0].state == "PENDING":
                self._watched[operation.promise] = operation
                if time.monotonic() - self._connected_at < NEW_STREAM_S:
                    self._timers.after(NEW_STREAM_S, lambda: self._look_again(operation))
        elif isinstance(operation, Park):
            if not answer:
                self._parked[operation.lease.root] = operation
                if time.monotonic() - self._connected_at < NEW_STREAM_S:
                    self._timers.after(NEW_STREAM_S, lambda: self._look_for(operation))
        elif isinstance(operation, ClaimTask):
            self._parked.pop(answer.root.id, None)
        elif isinstance(answer, PromiseRecord) and answer.timer and answer.state == "PENDING":
            self._nudge_at(answer.timeout / 1000)
        if type(operation) in _MESSAGES_FOLLOW and self._started:
            self._nudge_soon()

    def _nudge_soon(self) -> None:
        self._written_at = time.monotonic()
        if self._protocol is not None and self._protocol.name == "legacy" and not self._is_nudge_due:
            self._is_nudge_due = True
            self._timers.after(NUDGE_S, self._nudge)

    def _nudge_at(self, time_s: float) -> None:
        if self._protocol is not None and self._protocol.name == "legacy" and self._started:
            self._timers.after(time_s - time.time() + 0.001, self._nudge_twice)

    def _nudge_twice(self) -> None:
        self._ask_anything(lambda answer: self._nudge_soon())

    def _nudge(self) -> None:
        self._is_nudge_due = False
        if self._sent_at > self._written_at:
            return  # whatever that was, it does as well; where it is a write, its answer leads here again
        left_s = self._written_at + NUDGE_S - time.monotonic()
        if left_s > 0:
            self._is_nudge_due = True
            self._timers.after(left_s, self._nudge)
        else:
            self._ask_anything(_unheard)

    def _ask_anything(self, deliver: Deliver) -> None:
        if self._line.trouble is None:
            self._threads.put(partial(self._advance, self._job(GetPromise("x"), deliver), None, _FOR_EVER))

    def _connected(self) -> None:
        self._connected_at = time.monotonic()
        self._refresh()

    def _refresh(self) -> None:
        """Look whether news was lost: ask once more for each promise that somebody waits for."""
        for subscription in list(self._watched.values()):
            self._look_again(subscription)
        for park in list(self._parked.values()):
            self._look_for(park)

    def _look_for(self, park: Park) -> None:
        for name in park.promises if self._parked.get(park.lease.root) is park else ():
            found = partial(self._looked, park, name)
            self._threads.put(partial(self._advance, self._job(GetPromise(name), found), None, _FOR_EVER))

    def _look_again(self, subscription: Subscribe) -> None:
        if self._watched.get(subscription.promise) is subscription:
            self._threads.put(partial(self._advance, self._job(subscription, partial(self._renewed, subscription)), None, _FOR_EVER))

    def _renewed(self, subscription: Subscribe, answer: Any) -> None:
        if isinstance(answer, Exception):
            return
        record: PromiseRecord = answer[0]
        if record.state != "PENDING":
            self._receive(NotifyMessage(subscription.recv, record))
        elif record.target is not None and record.target in self._own_addresses:
            # Work for us that may have been sent before we could hear it; whoever has it already, we cannot claim it then.
            if self._protocol is not None and self._protocol.name == "legacy":
                self._receive(TaskMessage(record.target, "invoke", f"__invoke:{record.id}", 1, record.id))
            else:
                self._receive(TaskMessage(record.target, "execute", record.id, 0, record.id))

    def _looked(self, park: Park, name: str, answer: Any) -> None:
        """A promise that a resting run waits for: where it has settled, the message that there is work may be lost."""
        root = park.lease.root
        if isinstance(answer, PromiseRecord) and answer.state != "PENDING" and self._parked.get(root) is park:
            if self._protocol is not None and self._protocol.name == "legacy":
                self._receive(TaskMessage(park.recv, "resume", f"__resume:{root}:{name}", 1, root))
            else:
                self._receive(TaskMessage(park.recv, "execute", root, park.lease.counter, root))

    def _refresh_again(self) -> None:
        self._refresh()
        if self._started:
            self._timers.after(REFRESH_S, self._refresh_again)

    # ---- messages --------------------------------------------------------------------------------------------------------------------

    def _message_places(self, place: str) -> list[tuple[Connections, str]]:
        """Where the messages may be: at a port of their own, or at that of the promises. Which it is, is found out."""
        own, shared = (self._message_connections, f"/{place}"), (self._connections, f"/poll/{place}")
        return [own, shared] if self._message_port is not None else [shared, own]

    def listen(self, group: str, id: str, receive: Callable[[Any], None]) -> Callable[[], None]:
        """Hand the messages for process `id` of a group to `receive` from now on; gives what ends it."""
        recv = f"poll://any@{group}/{id}"
        place = f"{quote(group, safe='')}/{quote(id)}"
        with Uninterrupted():
            end_hearing = self.hear(receive)
            stream = MessageStream(self._line, self._message_places(place), lambda event: self._hear(event, recv), self._connected)
            self._own_addresses = frozenset((f"poll://any@{group}", recv))

        def end() -> None:
            end_hearing()
            stream.stop()

        return end

    def hear(self, receive: Callable[[Any], None]) -> Callable[[], None]:
        """Hand what is found out without a message to `receive`, for whoever gets the messages elsewhere; gives what ends it."""
        self._receivers = (*self._receivers, receive)

        def end() -> None:
            self._receivers = tuple(each for each in self._receivers if each is not receive)

        return end

    def message_of(self, brought: Any, recv: str) -> Message | None:
        """A message as a message source brings it: JSON, read or not."""
        protocol = self._protocol or _A_LEGACY_CLIENT
        return protocol.message(brought if isinstance(brought, bytes) else json.dumps(brought).encode(), recv)

    def _hear(self, event: bytes, recv: str) -> None:
        message = self.message_of(event, recv)
        if message is not None:
            self._receive(message)

    def _receive(self, message: Message) -> None:
        if isinstance(message, NotifyMessage):
            self._watched.pop(message.promise.id, None)
            self._parked.pop(message.promise.id, None)  # a run that is over, wherever it ended, waits no more
            if self._encoder is not None:
                message = with_values(message, self._encoder.decode)
        for receive in self._receivers:
            receive(message)

    # ---- lifecycle -------------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to send in the background."""
        with Uninterrupted():
            if not self._started:
                self._started = True
                self._line.go_on()
                self._connections.open()
                self._timers, self._threads = Timers("resonate-remote"), IoThreads(REMOTE_THREADS_LIMIT)
                self._timers.after(REFRESH_S, self._refresh_again)

    def stop(self, timeout_s: float = 0.0) -> None:
        """Send nothing more in the background. What was posted and is not sent is dropped: it was not acknowledged."""
        self._started = False
        self._line.stop()
        deadline = time.monotonic() + timeout_s
        self._timers.stop(timeout_s)
        self._threads.stop(min(STOP_GRACE_S, max(0.0, deadline - time.monotonic())))
        self._connections.abort()
        self._threads.stop(max(0.0, deadline - time.monotonic()))
        self._connections.hurry(STOP_GRACE_S)  # leases are still given back

    def release(self) -> None:
        """Keep no connection that nobody uses, where nothing was started; asking opens one again."""
        self._connections.close()
        self._connections.open()

    def _tell_refused(self, error: StoreUnavailable) -> None:
        self.on_trouble("", error)


class _Handover(Exception):
    """The server cannot be reached just now, and whoever tried has other things to do; or has been interrupted, which is the cause."""

    def __init__(self, was_sent: bool) -> None:
        self.was_sent = was_sent


_AT_ONCE, _FOR_EVER = _Impatience(0.0), _Impatience(None)
_NONE = Answered(0, None)
_MESSAGES_FOLLOW = (CreatePromise, SettlePromise, Park, DropTask, RegisterCallback, CreateLeased)
_A_LEGACY_CLIENT = LegacyClient()


def _nothing_more() -> None:
    """Nothing follows from it."""


def _put(told: SimpleQueue[tuple[int, Any]], place: int, answer: Any) -> None:
    told.put((place, answer))


def _unheard(answer: Any) -> None:
    """Takes an answer that nobody waits for."""


def _encoded(operation: Any, encode: Callable[[Any], Any]) -> Any:
    if isinstance(operation, CreateLeased):
        return replace(operation, promise=_encoded(operation.promise, encode))
    return with_values(operation, encode)
