"""How one run advances, pure: events in, actions out.

A run is a tree of *nodes*, one for each promise that is alive in it. A node of kind `run` (and the root) is a function that this process
calls: a plain function ends at once, a generator or coroutine yields commands on the way. The other kinds (`rpc`, `detached`,
`promise`, `sleep`) are external: somebody else settles their promise.

Whoever drives a computation calls its event methods, one at a time, and carries out `actions` in order:

    event                          what happened
    start                          the run's promise exists and we hold its lease
    yielded, returned, failed      a step of user code ended that way
    answered                       the store answered what an action sent
    woke                           a retry is due
    resumed, noticed               a promise that was awaited has settled
    stuck                          the error of a `Stuck` action, encoded
    settled_outside, lost          the run's own promise was settled by somebody else; the lease went to another worker

    action                         what is to be done
    Send                           ask the store and bring the answer
    Call, Step                     call the node's function anew; continue its generator with an outcome
    Wake                           say `woke` after a while
    Close                          close the node's generator, nobody waits for it any more
    GiveBack                       let others have a lease
    Observe                        tell the observers
    Warn                           say something in the log of an execution
    Stuck                          encode this error and bring it back as `stuck`
    Done                           the run's promise is settled (record None: the run is not ours any more, or must not go on)

`busy` counts what is in progress: user code, unanswered requests, retry timers. When it is zero and somebody waits for external
promises, the run *parks*: it gives its lease back until one of them settles, and holds neither worker nor thread. When it is zero
and nobody waits for anything external, the run waits for itself and can never go on; that is an error, not a hang.

The ambiguous cases:
- A promise may be settled by somebody else while we work on it. Settling asks to adopt what is there, so the store's word is taken.
- A node that was awaited is forgotten here, so that a long run stays small; awaiting its promise once more reads it from the store.
- A function that returns or raises while calls it began are open waits for them first, and drops their outcomes (structured
  concurrency); only then is it settled or retried. Each attempt numbers its children from 1 again, so what is finished is found
  and not run again.
- Code may have changed since a promise was recorded. A call is compared with what is recorded under its id before its outcome is
  used: kind, function and arguments. Where they differ the run is left as it stands (`CodeChanged`), neither settled nor lost.

Nothing here looks at a clock: the driver sets `now_ms` before each event.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from resonate.coroutine import Command, Promise
from resonate.errors import CodeChanged, ResonateStoreError, RunStuck
from resonate.events import (
    Event,
    FinalState,
    LeaseLost,
    PromiseCreated,
    PromiseSettled,
    PromiseShared,
    RetryScheduled,
    RunResumed,
    RunSuspended,
)
from resonate.limits import TIMEOUT_LIMIT_MS
from resonate.protocol import (
    CreatePromise,
    Encoded,
    GetPromise,
    Lease,
    Lineage,
    Operation,
    Park,
    PromiseRecord,
    Settlement,
    SettlePromise,
    Subscribe,
)
from resonate.refusals import error_text

# The phases of a node.
CREATING: Final = 0  # its promise is being created
CALLING: Final = 1  # its function is being called, or is about to be
BLOCKED: Final = 2  # its generator waits for another node
RETRYING: Final = 3  # it failed and its next attempt is due later
ENDING: Final = 4  # its function ended; calls that it began are still open
SETTLING: Final = 5  # its outcome is on the way to the store
EXTERNAL: Final = 6  # somebody else settles it
SETTLED: Final = 7

LEASE_IS_LOST = 100.412
"""`ResonateStoreError.code` of 41200."""
SPENT_LEASES = 16
"""So many earlier leases of a run are remembered, to know a claim that is answered late."""

_FINAL_STATES: dict[str, FinalState] = {
    "RESOLVED": "resolved", "REJECTED": "rejected", "REJECTED_CANCELED": "canceled", "REJECTED_TIMEDOUT": "timedout",
}  # fmt: skip


class Nothing:
    """Marks the absence of a value, where None is one."""


NO_VALUE: Final = Nothing()


class Node:
    """One live promise of the run. `frame` belongs to the driver: it keeps the paused generator there."""

    __slots__ = (
        "attempt", "command", "deadline", "delay", "failure", "frame", "handovers", "hooked", "id", "open", "outcome", "outstanding",
        "parent", "phase", "raw", "record", "text", "waiters", "watched",
    )  # fmt: skip

    def __init__(self, id: str, parent: Node | None, command: Command[Any] | None, deadline: int) -> None:
        self.id = id
        self.parent = parent
        self.command = command
        self.deadline = deadline
        self.phase = CREATING
        self.attempt = 0
        self.handovers = 0  # of the run, when the store was looked at last
        self.frame: Any = None
        self.waiters: list[Node] = []
        self.outstanding: dict[str, Node] | None = None  # begun and not awaited yet, in the order of issue
        self.open = 0  # how many of them are unsettled, once the function has ended
        self.outcome: tuple[Settlement, Encoded] | None = None
        self.text = ""  # of the error that it failed with, for observers
        self.delay: float | None = None
        self.raw: Any = NO_VALUE  # the value itself where decoding what is stored would give the same
        self.record: PromiseRecord | None = None
        self.failure: Exception | None = None  # the store refused it; raised where it is awaited
        self.watched = False  # news of it is asked for, for as long as the run is at work
        self.hooked = False  # it resumes the run when it settles


@dataclass(slots=True)
class Send:
    """Ask the store; feed the answer to `Computation.answered`."""

    operation: Operation
    node: Node
    reply: Callable[[Computation, Node, Any], None]


@dataclass(slots=True)
class Call:
    """Call the node's function: a new attempt."""

    node: Node


@dataclass(slots=True)
class Step:
    """Continue the node's generator with the outcome of `source`: a settled node, or the promise of a call that was begun."""

    node: Node
    source: Node | Promise[Any]


@dataclass(slots=True)
class Wake:
    """Say `woke(node)` in `delay_s` seconds."""

    node: Node
    delay_s: float


@dataclass(slots=True)
class Close:
    """Close the generator of a node that nobody waits for any more."""

    node: Node


@dataclass(slots=True)
class GiveBack:
    """We do nothing with this lease: whoever can should have it. If it is not ours any more, nothing happens."""

    lease: Lease


@dataclass(slots=True)
class Observe:
    """Tell the observers."""

    event: Event


@dataclass(slots=True)
class Warn:
    """Say something in the log of the node's execution."""

    node: Node
    text: str


@dataclass(slots=True)
class Stuck:
    """Every part of the run waits for another part: encode this error and feed it back through `stuck`."""

    error: RunStuck


@dataclass(slots=True)
class Done:
    """The run is over: its promise is settled, or (None) it is not ours any more. With `changed` it must not go on with today's code."""

    record: PromiseRecord | None
    changed: CodeChanged | None = None


Action = Send | Call | Step | Wake | Close | GiveBack | Observe | Warn | Stuck | Done


class Computation:
    """One run: from its root promise to its settlement. Pure; see the head of this module."""

    def __init__(self, record: PromiseRecord, command: Command[Any], *, pid: str, address: str, notice_address: str) -> None:
        self.now_ms = 0
        self.actions: deque[Action] = deque()
        self.observed = False
        self.finished = False
        self.parked = False
        self.busy = 0
        self.lease: Lease | None = None
        self.root = Node(record.id, None, command, record.timeout)
        self.origin = record.lineage.origin if record.lineage else record.id
        self.waiting: dict[str, Node] = {}
        self._parking: list[str] | None = None  # what a park that is not answered yet names
        self._record = record
        self._pid = pid
        self._address = address
        self._notice_address = notice_address
        self._nodes: dict[str, Node] = {record.id: self.root}
        self._unwatched: list[Node] = []
        self._spent: deque[Lease] = deque(maxlen=SPENT_LEASES)  # the latest that it went by earlier
        self._handovers = 0  # how often another worker may have had the run since it began here
        self._own_ids: set[str] = set()  # of calls that were begun here under an id of the user's

    # ---- events ------------------------------------------------------------------------------------------------------------------

    def start(self, lease: Lease) -> None:
        """The run's promise exists, pending, and we hold its lease."""
        self.lease = lease
        self._observe_created(self.root, self._record)
        self._call(self.root)

    def yielded(self, node: Node, command: Command[Any] | Promise[Any]) -> None:
        """The node's generator is paused at a command or at a promise to await."""
        self.busy -= 1
        if self.finished:
            self.actions.append(Close(node))
            return
        if isinstance(command, Promise):
            if node.outstanding:
                node.outstanding.pop(command.id, None)
            awaited = self._nodes.get(command.id) or self._look_up(command.id)
            self._observe_shared(node, awaited)
            self._await(node, awaited)
        else:
            child = self._nodes.get(command.id) or self._begin(node, command)
            self._observe_shared(node, child)
            if command.gives_value:
                self._await(node, child)
            else:
                if command.kind != "detached" or child.phase == CREATING:
                    if node.outstanding is None:
                        node.outstanding = {}
                    node.outstanding[child.id] = child
                self._step(node, Promise(child.id, self.root.id))
        self._rest()

    def returned(self, node: Node, value: Encoded, raw: Any = NO_VALUE) -> None:
        """The node's function returned."""
        self.busy -= 1
        node.outcome, node.raw, node.delay, node.text = ("RESOLVED", value), raw, None, ""
        self._end(node)

    def failed(self, node: Node, error: Encoded, raw: Any, text: str, delay: float | None, limit: int | None) -> None:
        """The node's function raised; `delay` is the wait before its next attempt by its retry policy, None for no further one."""
        self.busy -= 1
        if delay is not None and self.now_ms + delay * 1000 > node.deadline:
            delay = None
        node.outcome, node.raw, node.delay, node.text = ("REJECTED", error), raw, delay, text
        if delay is not None and self.observed and not self.finished:
            due = self.now_ms / 1000 + delay
            self._observe(RetryScheduled(self.origin, node.id, self.now_ms / 1000, node.attempt, limit, due, text))
        self._end(node)

    def answered(self, send: Send, answer: Any) -> None:
        """The store's answer to a `Send`, or the error with which it refused."""
        self.busy -= 1
        if self.finished:
            return
        if isinstance(answer, ResonateStoreError) and answer.code == LEASE_IS_LOST:
            self._refused(send, answer)
            return
        send.reply(self, send.node, answer)
        self._rest()

    def _refused(self, send: Send, answer: ResonateStoreError) -> None:
        """Our lease is not held any more. A refusal that is about an earlier one says nothing about the one that we hold by now."""
        operation = send.operation
        if isinstance(operation, Park) and operation.lease != self.lease:
            self._rest()
        elif isinstance(operation, (CreatePromise, SettlePromise)) and operation.lease != self.lease:
            self._send(replace(operation, lease=self.lease), send.node, send.reply)
        else:
            self.lost()

    def woke(self, node: Node) -> None:
        """The node's next attempt is due."""
        self.busy -= 1
        if self.finished:
            return
        self._call_if_open(node)

    def _call_if_open(self, node: Node) -> None:
        """Call it, unless another worker, which may have had the run since we looked last, has settled it."""
        if node.handovers == self._handovers or (node is not self.root and (node.command is None or not node.command.option.durable)):
            self._call(node)
        else:
            node.handovers = self._handovers
            self._send(GetPromise(node.id), node, Computation._looked_again)

    def _looked_again(self, node: Node, answer: Any) -> None:
        if isinstance(answer, Exception) or answer.state == "PENDING":
            self._call_if_open(node)
        else:
            self._settled(node, answer)

    def resumed(self, lease: Lease, leaf: PromiseRecord | None, alone: bool = False) -> None:
        """We hold the lease (again): a promise that the run waited for settled, or its work was handed to us once more.

        `alone`: nobody else can have been woken for the run since it parked here.
        """
        if self.finished:
            self.actions.append(GiveBack(lease))
            return
        if self.lease is not None and self.lease.task == lease.task and self.lease.counter >= lease.counter:
            return  # a claim that was answered twice, or late
        if lease in self._spent:
            return  # very late
        if self.lease is not None:
            self._spent.append(self.lease)
        self.lease = lease
        self._parking = None
        if self.parked:
            self.parked = False
            if self.observed:
                self._observe(RunResumed(self.origin, self.root.id, self.now_ms / 1000))
        if leaf is not None:
            self._settled_elsewhere(leaf)
        if not alone:
            self._handovers += 1
            for node in self.waiting.values():
                node.hooked = False  # another worker may have been woken by it in the meantime, which happens once
        self._watch_anew()
        self._rest()

    def noticed(self, record: PromiseRecord) -> None:
        """A promise that the run waits for while other parts of it are at work has settled."""
        if self.finished:
            return
        if self.parked or self._parking is not None:
            # It is resumed for it: it must not go on without a lease. If something else resumes it first, it has to ask again.
            node = self._nodes.get(record.id)
            if node is not None:
                node.watched = False
            return
        self._settled_elsewhere(record)
        self._rest()

    def stuck(self, error: Encoded) -> None:
        """The encoded form of the error that a `Stuck` action carried."""
        if not self.finished and self.busy == 0:
            self.actions.append(Close(self.root))
            self.root.outcome = ("REJECTED", error)
            self.root.outstanding = None
            self._settle(self.root)

    def settled_outside(self, record: PromiseRecord) -> None:
        """The run's own promise was settled by somebody else: canceled, or timed out."""
        if not self.finished:
            self._observe_settled(self.root, record, recovered=False)
            self._finish(record)

    def lost(self) -> None:
        """Another worker owns the run now: drop it without settling anything."""
        if not self.finished:
            self._observe(LeaseLost(self.origin, self.root.id, self.now_ms / 1000))
            self._finish(None)

    def running(self) -> Iterable[Node]:
        """The live nodes, the root first."""
        return self._nodes.values()

    # ---- beginning and awaiting ----------------------------------------------------------------------------------------------------

    def _begin(self, parent: Node, command: Command[Any]) -> Node:
        option = command.option
        if command.kind == "sleep":
            deadline = self.now_ms + int(command.seconds * 1000)
        else:
            deadline = min(self.now_ms + int(option.timeout * 1000), TIMEOUT_LIMIT_MS)
        if command.kind != "detached" and deadline > parent.deadline:
            deadline = parent.deadline
        child = Node(command.id, parent, command, deadline)
        child.handovers = self._handovers
        self._nodes[command.id] = child
        if not option.durable:
            self._observe_created(child, None)
            self._call(child)
            return child
        lineage = Lineage(self.origin, self.root.id, parent.id, command.kind, command.name, command.fingerprint)
        tags = dict(option.tags) if option.tags else None
        self._send(
            CreatePromise(
                command.id, deadline, command.key, False, command.param, tags, command.target, command.timer, lineage, self.lease,
                command.not_before,
            ),
            child, Computation._created,
        )  # fmt: skip
        return child

    def _created(self, node: Node, answer: Any) -> None:
        if isinstance(answer, Exception):
            node.failure = answer
            self._complete(node)
            return
        record: PromiseRecord = answer
        changed = self._compare(node, record)
        if changed is not None:
            self._finish(None, changed)
            return
        node.deadline = record.timeout
        if record.state == "PENDING" and record.timeout <= self.now_ms:
            self._send(GetPromise(node.id), node, Computation._overdue)  # reading it moves it to its timed-out state
        else:
            self._begun(node, record, is_due=True)

    def _compare(self, node: Node, record: PromiseRecord) -> CodeChanged | None:
        """What differs between a call and the promise recorded under its id. Others may share an id on purpose, and are not compared."""
        command, known = node.command, record.lineage
        if command is None or known is None or node.parent is None or known.parent != node.parent.id:
            return None
        if command.has_own_id and known.root != self.root.id:
            return None  # a counted id is nobody else's, even if the call that counted it was not a run of its own once
        if command.has_own_id:
            if node.id in self._own_ids:
                return None  # begun twice under one id: the second joins the first
            self._own_ids.add(node.id)
        given = command.fingerprint
        if (known.kind, known.name) == (command.kind, command.name) and (known.arguments in (None, given) or given is None):
            return None
        return CodeChanged(node.id, _told(known.kind, known.name, known.arguments), _told(command.kind, command.name, given))

    def _overdue(self, node: Node, answer: Any) -> None:
        """A promise that is over by our clock. A store whose clock is behind has it pending still, and will say when it is over."""
        if isinstance(answer, Exception):
            self._created(node, answer)
        else:
            self._begun(node, answer, is_due=False)

    def _begun(self, node: Node, record: PromiseRecord, *, is_due: bool) -> None:
        command = node.command
        if command is not None:
            self._observe_created(node, record)
        if record.state != "PENDING":
            self._observe_settled(node, record, recovered=True)
            node.record = record
            self._complete(node)
        elif command is not None and command.kind == "run" and is_due:
            self._call_if_open(node)
        else:
            node.phase = EXTERNAL
            if command is not None and command.kind == "detached":
                self._let_go(node)
            if node.waiters:
                self._wait_for(node)
            elif command is not None and command.kind == "detached":
                del self._nodes[node.id]

    def _let_go(self, node: Node) -> None:
        """A detached call is begun for certain: the function that began it may be settled. Until then nobody else would begin it."""
        parent = node.parent
        assert parent is not None
        if parent.outstanding:
            parent.outstanding.pop(node.id, None)
        elif parent.phase == ENDING and parent in node.waiters:
            node.waiters.remove(parent)
            parent.open -= 1
            if parent.open == 0 and self._conclude(parent):
                self._complete(parent)

    def _look_up(self, promise_id: str) -> Node:
        """A promise of this run that was awaited before and forgotten: the store has it."""
        node = Node(promise_id, None, None, 0)
        self._nodes[promise_id] = node
        self._send(GetPromise(promise_id), node, Computation._created)
        return node

    def _await(self, node: Node, child: Node) -> None:
        if child.phase == SETTLED:
            self._step(node, child)
            self._forget(child)
            return
        child.waiters.append(node)
        node.phase = BLOCKED
        if child.phase == EXTERNAL:
            self._wait_for(child)

    def _wait_for(self, external: Node) -> None:
        if external.id not in self.waiting:
            self.waiting[external.id] = external
            self._unwatched.append(external)

    def _settled_elsewhere(self, record: PromiseRecord) -> None:
        node = self._nodes.get(record.id)
        if node is not None and node.phase == EXTERNAL and record.state != "PENDING":
            self.waiting.pop(record.id, None)
            self._observe_settled(node, record, recovered=False)
            node.record = record
            self._complete(node)

    # ---- ending --------------------------------------------------------------------------------------------------------------------

    def _end(self, node: Node) -> None:
        if self.finished:
            return
        children = node.outstanding
        node.outstanding = None
        node.open = 0
        if children:
            for child in children.values():
                if child.phase == SETTLED:
                    self._warn_of(child, node)
                    self._forget(child)
                elif child.phase == CREATING or child.command is None or child.command.kind != "detached":
                    node.open += 1
                    child.waiters.append(node)
                    if child.phase == EXTERNAL:
                        self._wait_for(child)
        if node.open:
            node.phase = ENDING
        elif self._conclude(node):
            self._complete(node)
        self._rest()

    def _warn_of(self, child: Node, parent: Node) -> None:
        """A failure that nobody awaited is dropped where the function returns all the same; its author may not know."""
        if child.record is not None:
            failed = child.record.state != "RESOLVED"
        else:
            failed = child.failure is not None or (child.outcome is not None and child.outcome[0] == "REJECTED")
        if child.failure is None and child.command is not None and child.command.kind == "detached":
            return  # it goes its own way
        if failed and parent.outcome is not None and parent.outcome[0] == "RESOLVED":
            why = error_text(child.record) if child.record is not None else str(child.failure or child.text)
            name = child.command.name if child.command is not None else child.id
            self.actions.append(Warn(parent, f"{name} ({child.id}) failed and was never awaited: {why or 'no reason is known'}"))

    def _conclude(self, node: Node) -> bool:
        """The function ended and nothing that it began is open: retry it or settle it; whether it is complete already."""
        if node.delay is not None:
            node.phase = RETRYING
            self.busy += 1
            self.actions.append(Wake(node, node.delay))
        elif node.command is not None and not node.command.option.durable and node is not self.root:
            self._observe_private(node)
            return True
        else:
            self._settle(node)
        return False

    def _settle(self, node: Node) -> None:
        assert node.outcome is not None
        node.phase = SETTLING
        state, value = node.outcome
        operation = SettlePromise(node.id, state, value, node.id, False, True, self.lease)
        self._send(operation, node, Computation._settled)

    def _settled(self, node: Node, answer: Any) -> None:
        if isinstance(answer, Exception):
            node.failure = answer
            if node is self.root:
                self._finish(None)
                return
        else:
            node.record = answer
            if node.outcome is None or answer.value is not node.outcome[1]:
                node.raw = NO_VALUE  # settled by somebody else before us: their value counts
            self._observe_settled(node, answer, recovered=False)
            if node is self.root:
                self._finish(answer)
                return
        self._complete(node)

    def _complete(self, node: Node) -> None:
        """The outcome is there: wake whoever waits. One that only waited to end may complete in turn, a thousand levels up."""
        complete = [node]
        while complete:
            node = complete.pop()
            node.phase = SETTLED
            node.frame = None
            waiters, node.waiters = node.waiters, []
            for waiter in waiters:
                if waiter.phase != ENDING:
                    self._step(waiter, node)
                    continue
                self._warn_of(node, waiter)
                waiter.open -= 1
                if waiter.open == 0 and self._conclude(waiter):
                    complete.append(waiter)
            if waiters:
                self._forget(node)

    def _forget(self, node: Node) -> None:
        """What the store has is not kept here; its refusal of a promise that can be awaited again is."""
        if node.record is not None or (node.failure is not None and node.command is not None and node.command.gives_value):
            self._nodes.pop(node.id, None)

    def _finish(self, record: PromiseRecord | None, changed: CodeChanged | None = None) -> None:
        self.finished = True
        for node in self._nodes.values():
            if node.frame is not None and node.phase in (BLOCKED, ENDING):
                self.actions.append(Close(node))
        self._nodes.clear()
        self.waiting.clear()
        self._unwatched.clear()
        if record is None and changed is None and self.lease is not None:
            self.actions.append(GiveBack(self.lease))
        self.actions.append(Done(record, changed))

    # ---- resting -------------------------------------------------------------------------------------------------------------------

    def _rest(self) -> None:
        """After each event: park when nothing is in progress, or ask for news of what is awaited while other parts are at work."""
        if self.finished or self.parked:
            return
        if self.busy:
            if self._unwatched:
                self._watch()
            return
        if self.waiting and self.lease is not None:
            self._unwatched.clear()
            names = [node.id for node in self.waiting.values() if not node.hooked]
            self._parking = names
            self._send(Park(self.lease, names, self._address, self.root.deadline), self.root, Computation._answered_park)
        elif not self.waiting:
            blocked = ", ".join(node.id for node in self._nodes.values() if node.phase in (BLOCKED, ENDING))
            why = f"{self.root.id} can never go on: {blocked} wait for each other. Await a promise that settles."
            self.actions.append(Stuck(RunStuck(why)))

    def _watch_anew(self) -> None:
        """While the run is at work no wake-up is delivered: what else it waits for is asked about in its own way."""
        self._unwatched = [node for node in self.waiting.values() if not node.watched]

    def _watch(self) -> None:
        unwatched, self._unwatched = self._unwatched, []
        for node in unwatched:
            if node.phase == EXTERNAL and not node.watched:
                node.watched = True
                operation = Subscribe(node.id, self._pid, self._notice_address, TIMEOUT_LIMIT_MS)
                self._send(operation, node, Computation._answered_watch)

    def _answered_watch(self, node: Node, answer: Any) -> None:
        if not isinstance(answer, Exception):
            self._settled_elsewhere(answer[0])

    def _answered_park(self, node: Node, answer: Any) -> None:
        names, self._parking = self._parking, None
        if names is None:
            return  # the run was resumed, under a new lease, before this answer came
        if isinstance(answer, Exception):
            self.lost()
            return
        if not answer:
            for name in names:
                self.waiting[name].hooked = True
            self.parked = True
            if self.lease is not None:
                self._spent.append(self.lease)
            self.lease = None
            if self.observed:
                self._observe(RunSuspended(self.origin, self.root.id, self.now_ms / 1000, tuple(self.waiting)))
        else:
            self._watch_anew()
        for record in answer:
            self._settled_elsewhere(record)

    # ---- small parts -----------------------------------------------------------------------------------------------------------------

    def _send(self, operation: Operation, node: Node, reply: Callable[[Computation, Node, Any], None]) -> None:
        self.busy += 1
        self.actions.append(Send(operation, node, reply))

    def _call(self, node: Node) -> None:
        node.phase = CALLING
        node.attempt += 1
        self.busy += 1
        self.actions.append(Call(node))

    def _step(self, node: Node, source: Node | Promise[Any]) -> None:
        node.phase = CALLING
        self.busy += 1
        self.actions.append(Step(node, source))

    def _observe(self, event: Event) -> None:
        if self.observed:
            self.actions.append(Observe(event))

    def _observe_created(self, node: Node, record: PromiseRecord | None) -> None:
        if self.observed and node.command is not None:
            command = node.command
            lineage = record.lineage if record is not None else None
            parent = node.parent.id if node.parent is not None else lineage.parent if lineage is not None else None
            at = record.created_on if record is not None else self.now_ms
            self._observe(
                PromiseCreated(
                    self.origin, node.id, at / 1000, parent, command.kind, command.name, command.arguments, node.deadline / 1000
                )
            )  # fmt: skip

    def _observe_shared(self, caller: Node, node: Node) -> None:
        if self.observed and node.parent is not caller and node.parent is not None:
            self._observe(PromiseShared(self.origin, node.id, self.now_ms / 1000, caller.id))

    def _observe_settled(self, node: Node, record: PromiseRecord, *, recovered: bool) -> None:
        if self.observed:
            at = (record.completed_on if record.completed_on is not None else self.now_ms) / 1000
            text = "" if record.state != "REJECTED" else node.text or error_text(record)
            self._observe(PromiseSettled(self.origin, node.id, at, _FINAL_STATES[record.state], recovered, text))

    def _observe_private(self, node: Node) -> None:
        """A call with durable=False has no promise; it is shown all the same."""
        if self.observed and node.outcome is not None:
            state = _FINAL_STATES[node.outcome[0]]
            text = node.text if state == "rejected" else ""
            self._observe(PromiseSettled(self.origin, node.id, self.now_ms / 1000, state, False, text))


def _told(kind: str, name: str, arguments: str | None) -> str:
    """A call, for people: `run load(3)`."""
    return kind if kind in {"sleep", "promise"} and kind == name else f"{kind} {name}" + ("" if arguments is None else f"({arguments})")
