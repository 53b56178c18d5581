"""The driver: carries the actions of computations out, and brings them what happens.

A run is driven by whoever brings it an event (`_drive`): that thread feeds the mailbox to the computation and carries out its actions
until the mailbox is empty. One driver at a time for each run, and user code is never called while driving or under a lock: calls and
steps become jobs, which workers do. A worker goes straight on with the job that follows from the one it did, so a sequence of steps
stays on one thread.

Who owns what: a run's computation belongs to whoever holds its `driving` lock; `_handles` and `_interested` to `_lock`; `_runs` is
only read and written item by item. Messages of the store arrive in `_inbox`, from within a drive too, and are worked off after it, so
drives never nest.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from resonate.computation import (
    BLOCKED,
    CALLING,
    ENDING,
    RETRYING,
    Call,
    Close,
    Computation,
    Done,
    GiveBack,
    Observe,
    Send,
    Step,
    Stuck,
    Wake,
    Warn,
)
from resonate.coroutine import Command
from resonate.errors import CodeChanged, ResonateShutdownError, StoreDamaged, StoreUnavailable
from resonate.events import AttemptStarted, Event, RunHalted
from resonate.handle import Handle
from resonate.interrupts import Uninterrupted, start_thread
from resonate.labels import label_arguments
from resonate.limits import LATE_NEWS_S, MESSAGE_SOURCE_PAUSE_S, STOPPED_RUN_PAUSE_S, TIMEOUT_LIMIT_MS
from resonate.models.message_source import MessageSource
from resonate.observers import Observers
from resonate.protocol import (
    Claimed,
    ClaimTask,
    CreateLeased,
    CreatePromise,
    DeliveryFailed,
    DropTask,
    GetPromise,
    Heartbeat,
    Lease,
    Message,
    NotifyMessage,
    Operation,
    PromiseRecord,
    SettlePromise,
    Subscribe,
    TakeOver,
    TaskMessage,
)
from resonate.registry import Registry
from resonate.steps import Steps
from resonate.stores.face import Backend
from resonate.timers import Timers
from resonate.workers import Workers

if TYPE_CHECKING:
    from resonate.stores.remote import RemoteStore

logger = logging.getLogger("resonate")


class Run:
    """One computation with its mailbox and the right to drive it."""

    __slots__ = ("computation", "driving", "id", "interests", "mailbox", "variables")

    def __init__(self, computation: Computation, variables: contextvars.Context) -> None:
        self.id = computation.root.id
        self.computation = computation
        self.variables = variables
        self.mailbox: deque[tuple[Callable[..., None], Sequence[Any]]] = deque()
        self.driving = threading.Lock()
        self.interests: list[str] = []


Job = tuple[Run, Call | Step | Close | None]
"""What a worker does for a run: a piece of user code, or (None) only to drive it."""


class Runtime:
    """Runs computations over one store. Owned by one `Resonate`; started once, stopped once."""

    def __init__(
        self, store: Backend, registry: Registry, observers: Observers, steps: Steps, *, pid: str, group: str, ttl_s: float,
        workers: int, source: MessageSource | None = None,
    ) -> None:  # fmt: skip
        self._store = store
        self._source = source
        self._end_listening: Callable[[], None] = lambda: None
        self._registry = registry
        self._observers = observers
        self._steps = steps
        self._pid = pid
        # Nobody else can take over what lives in this process's memory, so there a lease lasts as long as the process.
        self._ttl_ms = TIMEOUT_LIMIT_MS if store.sole_owner else int(ttl_s * 1000)
        # What a run that is parked here waits for wakes nobody but this process, which the message's address names.
        self._is_alone = store.sole_owner and source is None
        self._group = group
        self._address = source.anycast if source else f"poll://any@{group}/{pid}"
        self._notice_address = source.unicast if source else f"poll://uni@{group}/{pid}"
        self._runs: dict[str, Run] = {}
        self._halted: dict[str, tuple[RunHalted, CodeChanged, Lease]] = {}
        self._handles: dict[str, list[Handle[Any]]] = {}
        self._interested: dict[str, list[Run]] = {}
        self._lock = threading.Lock()
        self._inbox: deque[Callable[[list[Job]], None]] = deque()  # what has come, each said to whom it concerns
        self._ready: deque[Run] = deque()  # with answers in their mailboxes
        # Work that waits for a function to be registered, by its name and the run; and the name by the run.
        self._unknown: dict[str, dict[str, TaskMessage]] = {}
        self._waiting_for: dict[str, str] = {}
        self._here = threading.local()  # how deep this thread is in drives of this runtime
        self._workers: Workers[Job] = Workers(workers, self._perform, steps.close_loop)
        self._timers = Timers("resonate-timers")
        self._callbacks = Timers("resonate-callbacks")
        self._beating = False
        self._stopped = False

    # ---- lifecycle -----------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen to the store and begin to work. Nothing goes on of what is refused or interrupted on the way."""
        try:
            self._start()
        except BaseException:
            self._stopped = True
            self._end_listening()
            self._workers.stop(0.0)
            raise

    def _start(self) -> None:
        self._workers.start()
        self._store.on_answers = self._see_to_news
        self._store.on_trouble = self._troubled
        with Uninterrupted():
            self._store.start()
        if self._source is None:
            self._end_listening = self._store.listen(self._group, self._pid, self._hear)
        else:
            self._source.start()
            if self._store.is_far:
                self._end_listening = cast("RemoteStore", self._store).hear(self._hear)
            start_thread(partial(self._pump, self._source), "resonate-messages")

    def stop(self, timeout_s: float) -> None:
        """End all threads within `timeout_s` seconds; whoever waits for a run gets `ResonateShutdownError`. Runs stay unsettled."""
        self._stopped = True
        deadline = time.monotonic() + timeout_s
        self._timers.stop(timeout_s)
        self._callbacks.stop()
        self._end_listening()
        if self._source is not None:
            self._source.stop()
        self._store.stop(max(0.0, deadline - time.monotonic()))
        self._store.flush()
        leases = [run.computation.lease for run in list(self._runs.values())] + [lease for _, _, lease in self._halted.values()]
        self._store.call([DropTask(lease.task, lease.counter) for lease in leases if lease is not None])
        if not self._workers.stop(max(0.0, deadline - time.monotonic())):
            logger.warning("stopped while a function was still running; its result will be dropped")
        with self._lock:
            waiting, self._handles = self._handles, {}
        for handles in waiting.values():
            for handle in handles:
                handle._fail(ResonateShutdownError(f"the client was stopped before {handle.id} was settled"))

    def after_fork(self) -> None:
        """In the child of a fork: the threads and the runs are the parent's, so what waits for them here waits in vain."""
        self._stopped = True
        for handles in list(self._handles.values()):
            for handle in handles:
                handle._orphan(ResonateShutdownError(f"{handle.id} goes on in the process that this one was forked from"))

    # ---- what callers ask for --------------------------------------------------------------------------------------------------------

    def launch(
        self, promise: CreatePromise, command: Command[Any], handle: Handle[Any], old: str | None = None, from_step: str | None = None
    ) -> None:
        """Create a run and begin it here; where its promise exists already, wait for that instead. Raises what the store refuses with.

        With `old`, it begins with what that run has achieved before `from_step`.
        """
        leased = CreateLeased(promise, self._pid, self._ttl_ms, adopt=old is None and not self._store.in_place)
        create: Operation = leased if old is None else TakeOver(old, leased, from_step)
        self._add_handle(handle)
        self._offer_again(promise.id)  # its code may have been mended
        news = Subscribe(promise.id, self._pid, self._notice_address, TIMEOUT_LIMIT_MS)
        begin = partial(self._begin, command, contextvars.copy_context())
        answers: list[Any] = []
        jobs: list[Job] = []
        try:
            answers += self._create(create, news, begin)
            created = answers[0]
            if isinstance(created, Exception):
                raise created
            if self._store.is_far:  # of a run that is soon over here no news is needed
                self._timers.after(LATE_NEWS_S if created[1] is not None else 0.0, lambda: self._ask_for_news(promise.id, news))
            if created[0].state != "PENDING":
                self._settle_handles(created[0], inline=True)
            begin(created, jobs)
            self._leave_to_others(jobs)
        except BaseException as error:
            self._drop_handle(handle)
            if not isinstance(error, Exception):
                self._begin_late(leased, answers, begin)
            raise

    def _create(self, create: Operation, news: Subscribe, begin: Callable[[Any, list[Job]], None]) -> list[Any]:
        if not self._store.is_far:
            return self._store.call((create, news))
        return [cast("RemoteStore", self._store).create(create, lambda answer: self._inbox.append(partial(begin, answer)))]

    def _begin(self, command: Command[Any], variables: contextvars.Context, created: Any, jobs: list[Job]) -> None:
        """Begin a run that was created, if its lease is held here. A worker drives it: no interrupt of the caller hits a computation."""
        if isinstance(created, Exception):
            return
        record, lease = created
        if record.state == "PENDING" and lease is not None:
            if self._observers:
                command.arguments = label_arguments(command.func, command.args, command.kwargs)
            run, is_new = self._add_run(record, command, lease, variables)
            if not is_new:  # it was being woken, and this lease is the one that it was to go on with
                run.mailbox.append((Computation.resumed, (lease, None, False)))
            jobs.append((run, None))

    def _begin_late(self, leased: CreateLeased, answers: list[Any], begin: Callable[[Any, list[Job]], None]) -> None:
        """Whoever launched a run was interrupted. If it was created all the same, its lease is held here: nobody else would begin it."""

        def look() -> None:
            self._ask(GetPromise(leased.promise.id), found, [])
            self._work_off([])

        def found(record: Any, jobs: list[Job]) -> None:
            if isinstance(record, PromiseRecord) and record.state == "PENDING" and record.id not in self._runs:
                self._ask(replace(leased, adopt=True), lambda answer, _: self._inbox.append(partial(begin, answer)), jobs)

        if answers:
            self._inbox.append(partial(begin, answers[0]))
            self._timers.after(0.0, lambda: self._work_off([]))
        elif not self._store.is_far:  # where the one who asks hears the answer, late as it may be
            self._timers.after(0.0, look)

    def _leave_to_others(self, jobs: list[Job]) -> None:
        """What a caller has come upon is seen to by our own threads: an interrupt must hit it nowhere half-way."""
        for job in jobs:
            self._workers.put(job)
        if self._ready or self._inbox:
            self._timers.after(0.0, lambda: self._work_off([]))
        if self._store.awaited:
            self._store.flush_soon()

    def _ask_for_news(self, promise_id: str, news: Subscribe) -> None:
        if promise_id in self._handles or promise_id in self._runs:
            jobs: list[Job] = []
            self._ask(news, self._told, jobs)
            self._work_off(jobs)

    def watch(self, handle: Handle[Any], create: Operation | None = None) -> None:
        """Settle a handle when its promise settles, after creating that promise if asked to. Raises what the store refuses with."""
        self._add_handle(handle)
        operations: list[Operation] = [Subscribe(handle.id, self._pid, self._notice_address, TIMEOUT_LIMIT_MS)]
        if create is not None:
            operations.insert(0, create)
        try:
            answers = self._store.call(operations)
            refused = next((answer for answer in answers if isinstance(answer, Exception)), None)
            if refused is not None:
                raise refused
        except BaseException:
            self._drop_handle(handle)
            raise
        record = answers[-1][0]
        if record.state != "PENDING":
            self._settle_handles(record, inline=True)
        elif handle.id in self._halted:
            self._fail_handles(handle.id, self._halted[handle.id][1])
        self._leave_to_others([])

    def blocking(self) -> AbstractContextManager[None]:
        """Around a wait of a caller, who may be one of our workers."""
        return self._workers.blocking()

    def live_events(self, origin: str) -> list[Event]:
        """What is under way in this process of the call graph of `origin`: the attempts that have begun."""
        events: list[Event] = [event for event, _, _ in list(self._halted.values()) if event.run == origin]
        for run in list(self._runs.values()):
            if run.computation.origin != origin:
                continue
            try:
                with run.driving:
                    events += [
                        AttemptStarted(origin, node.id, time.time(), node.attempt, None)
                        for node in run.computation.running()
                        if node.attempt and node.phase in (CALLING, BLOCKED, ENDING, RETRYING)
                    ]
            finally:
                if run.mailbox:  # what arrived while we held the right to drive
                    self._workers.put((run, None))
        return events

    # ---- driving ---------------------------------------------------------------------------------------------------------------------

    def _add_run(
        self, record: PromiseRecord, command: Command[Any], lease: Lease, variables: contextvars.Context | None = None
    ) -> tuple[Run, bool]:
        """The run of a promise, and whether it is new. What begins it is in its mailbox before others can find it and resume it."""
        command.promise = record
        computation = Computation(record, command, pid=self._pid, address=self._address, notice_address=self._notice_address)
        run = Run(computation, contextvars.copy_context() if variables is None else variables)
        run.mailbox.append((Computation.start, (lease,)))
        there = self._runs.setdefault(run.id, run)  # a lease may be given twice, to two threads that launch the same run
        self._keep_alive()
        return there, there is run

    def _post(self, run: Run, jobs: list[Job], event: Callable[..., None], *arguments: Any) -> None:
        run.mailbox.append((event, arguments))
        self._drive(run, jobs)

    def _drive(self, run: Run, jobs: list[Job]) -> None:
        """Work the mailbox off, unless somebody else is at it; what remains to be done by workers is added to `jobs`."""
        mailbox, computation = run.mailbox, run.computation
        while mailbox and run.driving.acquire(blocking=False):
            self._here.nesting = getattr(self._here, "nesting", 0) + 1
            try:
                computation.observed = bool(self._observers)
                while mailbox:
                    event, arguments = mailbox.popleft()
                    computation.now_ms = int(time.time() * 1000)
                    event(computation, *arguments)
                    self._act(run, jobs)
            except Exception as error:  # a fault of ours: it ends this run, not the thread or the process
                self._crash(run, error)
            finally:
                self._here.nesting -= 1
                run.driving.release()

    def _act(self, run: Run, jobs: list[Job]) -> None:
        computation = run.computation
        actions = computation.actions
        while actions:
            action = actions.popleft()
            kind = type(action)
            if kind is Send:
                self._send(run, action)  # type: ignore[arg-type] # as mypy cannot know
            elif kind in _JOBS:
                jobs.append((run, action))  # type: ignore[arg-type]
            elif isinstance(action, Observe):
                self._observers.publish(action.event)
            elif isinstance(action, Wake):
                self._timers.after(action.delay_s, lambda node=action.node: self._bring(run, Computation.woke, node))  # type: ignore[misc]
            elif isinstance(action, Stuck):
                computation.stuck(self._steps.encode_error(action.error))
            elif isinstance(action, Warn):
                self._steps.warn(run.id, action.node.id, action.text, computation.origin)
            elif isinstance(action, GiveBack):
                self._store.post(DropTask(action.lease.task, action.lease.counter), _unheard)
            elif isinstance(action, Done):
                if self._runs.get(run.id) is run:
                    del self._runs[run.id]
                self._lose_interest(run)
                if action.changed is not None:
                    self._halt(run, action.changed)
                if action.record is not None and not self._store.in_place:
                    # A store that answers later may tell later too; our own settlement is news enough.
                    self._inbox.append(partial(self._notice, action.record))

    def _send(self, run: Run, send: Send) -> None:
        operation = send.operation
        if type(operation) is Subscribe:
            with self._lock:
                self._interested.setdefault(operation.promise, []).append(run)
                run.interests.append(operation.promise)
        deliver = _unheard if self._store.in_place else partial(self._answered, run, send)
        answer = self._store.post(operation, deliver)
        if answer is not None:
            if type(operation) is Subscribe:
                self._heed(run, operation, answer)
            run.computation.answered(send, answer)

    def _answered(self, run: Run, send: Send, answer: Any) -> None:
        """The store's answer to what was posted; `_see_to_news` follows it."""
        self._heed(run, send.operation, answer)
        run.mailbox.append((Computation.answered, (send, answer)))
        self._ready.append(run)

    def _heed(self, run: Run, operation: Operation, answer: Any) -> None:
        if type(operation) is Subscribe and (isinstance(answer, Exception) or answer[0].state != "PENDING"):
            with self._lock:  # no news will come to us; what others asked for earlier may be on its way
                others = [each for each in self._interested.pop(operation.promise, ()) if each is not run]
                if others:
                    self._interested[operation.promise] = others

    def _see_to_news(self) -> None:
        """Answers or messages have come: see to them, unless this thread will when its drive is over."""
        if getattr(self._here, "nesting", 0):
            return
        if threading.current_thread() is threading.main_thread():
            self._timers.after(0.0, lambda: self._work_off([]))  # where no Ctrl-C can hit a computation half-way
        else:
            self._work_off([])

    def _drive_ready(self, jobs: list[Job]) -> None:
        while self._ready:
            try:
                run = self._ready.popleft()
            except IndexError:
                return  # another thread took it
            self._drive(run, jobs)

    def _flush(self, jobs: list[Job]) -> None:
        """Nothing else is to be done here: carry out what was posted, and go on with what comes of it."""
        while self._store.awaited and not jobs:
            self._here.nesting = getattr(self._here, "nesting", 0) + 1
            try:
                self._store.flush()
            finally:
                self._here.nesting -= 1
            self._drive_ready(jobs)
            self._read_inbox(jobs)
            if self._store.trouble is not None:
                return

    def _troubled(self, run_id: str, error: Exception) -> None:
        """What a run has asked of the store is not written, or not any more its own to write; without a run it concerns everybody."""
        for waiting in list(self._handles) if not run_id else ():
            self._fail_handles(waiting, error)
        run = self._runs.get(run_id)
        if run is not None and not isinstance(error, (StoreUnavailable, StoreDamaged)):
            run.mailbox.append((Computation.lost, ()))
            self._ready.append(run)
            self._timers.after(0.0, lambda: self._work_off([]))
            return
        if run is not None:
            self._steps.warn(run_id, run_id, str(error), run.computation.origin)
        self._fail_handles(run_id, error)

    def _lose_interest(self, run: Run) -> None:
        if run.interests:
            with self._lock:
                for promise_id in run.interests:
                    others = [each for each in self._interested.pop(promise_id, ()) if each is not run]
                    if others:
                        self._interested[promise_id] = others

    def _bring(self, run: Run, event: Callable[..., None], *arguments: Any) -> None:
        """Bring an event from a thread that does no work of its own (timers)."""
        jobs: list[Job] = []
        self._post(run, jobs, event, *arguments)
        self._work_off(jobs)

    def _work_off(self, jobs: list[Job]) -> None:
        self._drive_ready(jobs)
        self._read_inbox(jobs)
        if self._store.awaited:
            self._store.flush_soon()
        for job in jobs:
            self._workers.put(job)

    def _crash(self, run: Run, error: Exception) -> None:
        logger.error("run %s was dropped because of a fault in the runtime; please report it", run.id, exc_info=error)
        run.computation.finished = True
        run.computation.actions.clear()
        self._runs.pop(run.id, None)
        shutdown = ResonateShutdownError(f"{run.id} was dropped because of a fault in the runtime: {error!r}")
        shutdown.__cause__ = error
        self._fail_handles(run.id, shutdown)

    # ---- runs whose code has changed -------------------------------------------------------------------------------------------------

    def _halt(self, run: Run, error: CodeChanged) -> None:
        """Keep a run from going on with other code than it began with. Nothing of it is settled: it is tried again after a while."""
        lease = run.computation.lease
        assert lease is not None
        event = RunHalted(run.computation.origin, run.id, time.time(), str(error))
        self._halted[run.id] = (event, error, lease)
        self._observers.publish(event)
        self._steps.warn(run.id, run.id, str(error), run.computation.origin)
        self._fail_handles(run.id, error)
        self._timers.after(STOPPED_RUN_PAUSE_S, lambda: self._offer_again(run.id))

    def _offer_again(self, run_id: str) -> None:
        _, _, lease = self._halted.pop(run_id, (None, None, None))
        if lease is not None:
            self._store.post(DropTask(lease.task, lease.counter), _unheard)
            self._leave_to_others([])

    # ---- messages and handles --------------------------------------------------------------------------------------------------------

    def _pump(self, source: MessageSource) -> None:
        """Bring what a message source of the user's has, until it stops."""
        while not self._stopped:
            try:
                brought = source.next()
                if brought is None:
                    return
                message = self._store.message_of(brought, source.anycast)
            except (Exception, SystemExit) as error:  # a damaged message, or the source itself: the next one may be sound
                logger.warning("a message was dropped: %s", error)
                time.sleep(MESSAGE_SOURCE_PAUSE_S)
                continue
            if isinstance(message, NotifyMessage) and self._store.is_far:
                # Anybody may have posted it: the server knows.
                self._inbox.append(partial(self._ask, GetPromise(message.promise.id), self._looked_up))
                self._see_to_news()
            elif message is not None:
                self._hear(message)

    def _looked_up(self, answer: Any, jobs: list[Job]) -> None:
        if isinstance(answer, PromiseRecord) and answer.state != "PENDING":
            self._notice(answer, jobs)

    def _hear(self, message: Message) -> None:
        """The store's listener. Within a drive the message waits in the inbox until the drive is over."""
        if isinstance(message, NotifyMessage):
            self._inbox.append(partial(self._notice, message.promise))
        else:
            self._inbox.append(partial(self._accept, message))
        self._see_to_news()

    def _read_inbox(self, jobs: list[Job]) -> None:
        self._here.nesting = getattr(self._here, "nesting", 0) + 1
        try:
            while self._inbox:
                try:
                    see_to_it = self._inbox.popleft()
                except IndexError:
                    return  # another thread took it
                see_to_it(jobs)
        finally:
            self._here.nesting -= 1

    def _ask(self, operation: Operation, tell: Callable[[Any, list[Job]], None], jobs: list[Job]) -> None:
        """Ask the store and have the answer told: at once, or where asking is a journey, when it is there."""
        if self._store.is_far:
            self._store.post(operation, lambda answer: self._inbox.append(partial(tell, answer)))
        else:
            tell(self._store.call((operation,))[0], jobs)

    def _notice(self, record: PromiseRecord, jobs: list[Job]) -> None:
        self._settle_handles(record)
        with self._lock:
            interested = self._interested.pop(record.id, ())
        for run in interested:
            self._post(run, jobs, Computation.noticed, record)
        self._halted.pop(record.id, None)
        own = self._runs.get(record.id)
        if own is not None:
            self._post(own, jobs, Computation.settled_outside, record)

    def _accept(self, message: TaskMessage, jobs: list[Job]) -> None:
        """Claim the work that a message offers. Losing the race for it is normal."""
        if self._stopped or (not self._store.sole_owner and self._waits_for_function(message)):
            return
        claim = ClaimTask(message.id, message.counter, self._pid, self._ttl_ms, adopt=not self._store.in_place)
        self._ask(claim, partial(self._claimed, message), jobs)

    def _claimed(self, message: TaskMessage, claimed: Any, jobs: list[Job]) -> None:
        if not isinstance(claimed, Claimed):
            logger.debug("task %s is not ours: %s", message.id, claimed)
            return
        there = self._runs.get(claimed.root.id)
        if there is not None:
            self._post(there, jobs, Computation.resumed, claimed.lease, claimed.leaf, self._is_alone)
            return
        if self._store.is_far and self._lacks_function(message, claimed.root):
            self._store.post(DropTask(claimed.lease.task, claimed.lease.counter), _unheard)
            return
        try:
            command = self._steps.invocation(claimed.root)
        except Exception as error:
            value = self._steps.encode_error(error)
            refusal = SettlePromise(claimed.root.id, "REJECTED", value, claimed.root.id, adopt=True, lease=claimed.lease)
            self._ask(refusal, lambda answer, jobs: None, jobs)
            return
        run, is_new = self._add_run(claimed.root, command, claimed.lease)
        if is_new:
            self._drive(run, jobs)
        else:
            self._post(run, jobs, Computation.resumed, claimed.lease, claimed.leaf, self._is_alone)
        news = Subscribe(run.id, self._pid, self._notice_address, TIMEOUT_LIMIT_MS)
        if self._store.is_far:
            self._timers.after(LATE_NEWS_S, lambda: self._ask_for_news(run.id, news))
        else:
            self._ask(news, self._told, jobs)

    def _told(self, answer: Any, jobs: list[Job]) -> None:
        """The answer to asking for news of a run: it may be over already."""
        if not isinstance(answer, Exception) and answer[0].state != "PENDING":
            self._notice(answer[0], jobs)

    def _waits_for_function(self, message: TaskMessage) -> bool:
        """Whether work has to wait until its function is registered. It may be soon, in a notebook, or another process may have it."""
        if message.root in self._runs:
            return False
        if not self._store.is_far:
            if not self._lacks_function(message, self._store.call((GetPromise(message.root),))[0]):
                return False
            self._store.call((DeliveryFailed(message.id, message.counter),))  # another process may know it
            return True
        with self._lock:  # a server is not asked before the task is claimed; what has waited once is known here
            name = self._waiting_for.get(message.root)
            if name is not None and name in self._unknown:
                self._unknown[name][message.root] = message
                return True
        return False

    def _lacks_function(self, message: TaskMessage, record: Any) -> bool:
        """Whether a run asks for a function that is not registered here; then its message is kept until it is."""
        try:
            asked = self._steps.decode(record.param)
            name, version = str(asked["func"]), asked.get("version", 0)
            self._registry.get(name, version if isinstance(version, int) else 0)
        except ValueError as error:
            if not isinstance(record, PromiseRecord) or not isinstance(asked, dict):
                return False
            with self._lock:
                is_new = name not in self._unknown
                self._unknown.setdefault(name, {})[message.root] = message
                self._waiting_for[message.root] = name
            if is_new:
                self._steps.warn(message.root, message.root, f"waits: {error}. It goes on as soon as that is registered here or elsewhere.")
            return True
        except Exception:
            return False  # it asks for no function at all: whoever claims it says so
        return False

    def waiting(self) -> dict[str, list[str]]:
        """Runs that wait for a function to be registered, by its name."""
        with self._lock:
            return {name: sorted({each.root for each in messages.values()}) for name, messages in self._unknown.items()}

    def registered(self, name: str) -> None:
        """A function is known now: take up what has waited for it."""
        with self._lock:
            messages = self._unknown.pop(name, {})
            for message in messages.values():
                self._waiting_for.pop(message.root, None)
        if messages:
            self._inbox.extend(partial(self._accept, message) for message in messages.values())
            self._timers.after(0.0, lambda: self._work_off([]))

    def _add_handle(self, handle: Handle[Any]) -> None:
        with self._lock:
            self._handles.setdefault(handle.id, []).append(handle)

    def _drop_handle(self, handle: Handle[Any]) -> None:
        with self._lock:
            kept = [each for each in self._handles.pop(handle.id, []) if each is not handle]
            if kept:
                self._handles[handle.id] = kept

    def _fail_handles(self, promise_id: str, error: Exception) -> None:
        with self._lock:
            handles = self._handles.pop(promise_id, ())
        for handle in handles:
            self._callbacks.after(0.0, lambda handle=handle: handle._fail(error))  # type: ignore[misc]

    def _settle_handles(self, record: PromiseRecord, *, inline: bool = False) -> None:
        """Bring an outcome to whoever holds a handle. A user's callback or encoder may block: none of our threads waits for it."""
        with self._lock:
            handles = self._handles.pop(record.id, ())
        for handle in handles:
            if handle.runs_user_code and not inline:
                self._callbacks.after(0.0, lambda handle=handle: handle._settle(record))  # type: ignore[misc]
            else:
                handle._settle(record)

    def _keep_alive(self) -> None:
        """Extend our leases at half their length, for as long as there are runs."""
        if not self._beating and not self._store.sole_owner:
            self._beating = True
            self._timers.after(self._ttl_ms / 2000, self._beat)

    def _beat(self) -> None:
        self._beating = False
        if self._runs:
            self._ask(Heartbeat(self._pid), lambda answer, jobs: None, [])
            self._keep_alive()
            self._work_off([])

    # ---- jobs: done by workers, with no lock and no right to drive ------------------------------------------------------------------

    def _perform(self, job: Job) -> list[Job]:
        run, action = job
        jobs: list[Job] = []
        if action is None:
            self._drive(run, jobs)
        elif isinstance(action, Close) or run.computation.finished:
            # The rest of a run that was canceled or lost while this stood in the queue: it is not begun any more.
            self._steps.close(action.node.frame)
        else:
            event, *arguments = self._steps.perform(run.id, run.computation.origin, run.variables, action)
            run.mailbox.append((event, arguments))
            self._drive(run, jobs)
        if self._inbox:
            self._read_inbox(jobs)
        if self._store.awaited:
            if jobs or self._workers.has_work():
                self._store.flush_soon()
            else:
                self._flush(jobs)
        if len(jobs) > 1:
            # The last is done next, by this thread. A generator goes on before the calls that it began are taken up: so a fan-out
            # is begun as a whole, and slow calls do not hold back the one that began them.
            jobs.sort(key=_goes_on)
        return jobs


_JOBS = frozenset((Call, Step, Close))


def _unheard(answer: Any) -> None:
    """Takes an answer that nobody waits for."""


def _goes_on(job: Job) -> bool:
    return isinstance(job[1], Step)
