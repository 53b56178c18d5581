"""The picture of one run, built from facts: which calls there are, who called them, and in what state each of them is.

The model is a tree of nodes, one for each promise, and it is fed with the events of `resonate.events` one at a time. It has no
clock, thread or lock; whoever owns it feeds it and reads it from one thread at a time. An event costs a constant number of steps
(the two exceptions, a settled run's open calls and a settled call's children, are each visited once in a run's life).

Facts arrive twice, late and out of order, because a reader starts from a snapshot while live events are already on their way:

- A promise is created once and settles at most once, so the first such fact stands and repeats change nothing.
- Attempts go forward: attempt 1, its failure, attempt 2. A fact counts when it is further on, or newer, than what is known.
- Nothing about attempts counts after a settlement.
- A fact about an unknown promise, or under an unknown parent, is kept aside until that promise comes. What is kept is bounded.

What a node shows follows from its own facts (`fact`), with one exception: when the run as a whole has settled, calls that never
settled are shown as they are left. They are cancelled when the run was cancelled; else they are pending for ever, except those
that were detached and go on by themselves. A later fact about such a call still wins, for the store is right.

`caught` is inferred, since no event says it: a rejected call was caught when its parent made another call afterwards or resolved,
and was not when the parent was then rejected with the same error.
"""

from __future__ import annotations

import heapq
import json
import re
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from resonate.events import AttemptStarted, Event, PromiseCreated, PromiseSettled, PromiseShared, RetryScheduled, RunHalted


class Look(NamedTuple):
    """How a state is written: its word, and its symbol in plain text."""

    word: str
    glyph: str


STATES: Final = {  # In order of urgency: what asks for a person first, what needs no look last.
    "waiting": Look("waiting for you", "◆"),
    "rejected": Look("rejected", "✗"),
    "timedout": Look("timed out", "◷"),
    "retrying": Look("retrying", "↻"),
    "running": Look("running", "●"),
    "sleeping": Look("sleeping", "☾"),
    "pending": Look("pending", "○"),
    "cancelled": Look("cancelled", "⊘"),
    "resolved": Look("resolved", "✓"),
    "recovered": Look("recovered", "✓"),
}
RANK: Final = {state: rank for rank, state in enumerate(STATES)}
URGENT: Final = ("waiting", "rejected", "timedout", "retrying")
LIVE: Final = frozenset({"running", "retrying", "sleeping", "waiting"})
SETTLED: Final = frozenset({"resolved", "recovered", "rejected", "timedout", "cancelled"})
ASIDE_LIMIT: Final = 10_000
"""Facts about promises that are not known yet, kept for one run; further ones are dropped."""
WIRE_ERROR_LIMIT: Final = 400
"""Characters of an error's text in a message to the front-end."""
ATTEMPTS_KEPT: Final = 20
"""Attempts of one call, the latest ones, whose times are kept."""
SHARERS_KEPT: Final = 20
"""Further calls that wait for one promise, the first ones, that are kept: thousands may share one."""

HIDDEN: Final = "•••"
"""What a picture shows in the place of a secret: a notebook is saved, committed and shown around."""
_NAMES_HIDDEN: Final = r"(?:pass(?:word|wd|phrase)|secrets?|token|(?:api|secret|private|access)[_-]?key|credentials?|authorization)"
_HIDDEN_NAME: Final = re.compile(rf"(?:^|[_-]){_NAMES_HIDDEN}$", re.IGNORECASE)
_HIDDEN_INSIDE: Final = re.compile(
    rf"""(?i:((?<![^\W_]){_NAMES_HIDDEN}['"]?\s*[:=]\s*)(?:[bu]?'[^']*'?|[bu]?"[^"]*"?|(?:(?:Bearer|Basic)\s+)?[^\s,'"\])}}]+))"""
    r"""|(\b[A-Za-z][\w+.-]{0,20}://[^\s/:@'"]*:)[^\s/'"]+(?=@)"""  # the password in an address
    r"""|(\b(?i:Bearer|Basic)\s+)(?=\S+[A-Z\d=])[\w.~+/-]{8,}=*"""  # what lets in by HTTP, without the header's name; no plain word
)

_FIRST_STATE: Final = {"promise": "waiting", "sleep": "sleeping"}
_encode: Final = json.encoder.encode_basestring
_WIRE_FIELDS: Final = ("s", "b", "e", "n", "m", "d", "x", "c", "h", "w")


def hidden(text: str) -> str:
    """A text without its secrets: what stands behind a name such as `db_password` or `token`, an address's password, what lets in by HTTP.

    >>> hidden("{'user': 'u', 'api_key': 'k'}"), hidden("no answer from https://u:k@host/x"), hidden("Authorization: Bearer abc")
    ("{'user': 'u', 'api_key': •••}", 'no answer from https://u:•••@host/x', 'Authorization: •••')
    """
    return _HIDDEN_INSIDE.sub(lambda found: f"{found[1] or found[2] or found[3]}{HIDDEN}", text)


def without_secrets(arguments: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Answers (name, text) of arguments with what stands under a secret's name hidden, also inside a text.

    >>> without_secrets((("token", "'x'"), ("options", "{'user': 'u', 'api_key': 'k'}"), ("max_tokens", "5")))
    (('token', '•••'), ('options', "{'user': 'u', 'api_key': •••}"), ('max_tokens', '5'))
    """
    return tuple((name, HIDDEN if text != "None" and _HIDDEN_NAME.search(name) else hidden(text)) for name, text in arguments)


class Node:
    """One promise of the run. Times are seconds since the epoch, or None where the moment has not come."""

    __slots__ = (
        "arguments", "attempt", "began_at", "caught", "children", "created_at", "detached", "due_at", "ended_at", "error", "fact",
        "id", "index", "kind", "limit", "name", "newest_child", "open_children", "parent", "progress", "progress_at", "recovered",
        "sent", "shared_by", "state", "tries", "working",
    )  # fmt: skip

    def __init__(self, index: int, parent: Node | None, event: PromiseCreated) -> None:
        self.index, self.parent = index, parent
        self.id, self.name, self.kind, self.arguments = event.id, event.name, event.kind, without_secrets(event.arguments)
        # Most calls have no calls and one attempt: lists of their own would be two thirds of what a garbage collection goes through.
        self.children: list[Node] | tuple[()] = ()
        self.created_at = event.at
        self.began_at: float | None = event.at if event.kind in _FIRST_STATE else None
        self.ended_at: float | None = None
        self.due_at: float | None = event.timeout_at if event.kind in _FIRST_STATE else None
        self.attempt = 0
        self.limit: int | None = None
        self.tries: tuple[float, ...] = ()  # Begin, end, begin, end, … of the attempts that were seen, the latest ones.
        self.error = ""
        self.recovered = self.caught = False
        # `fact` is the state by the node's own events, `state` the one to show.
        self.fact = self.state = _FIRST_STATE.get(event.kind, "pending")
        self.detached: bool = event.kind == "detached" or (parent is not None and parent.detached)
        self.progress, self.progress_at = 0, event.at
        self.newest_child: Node | None = None
        self.open_children = 0
        self.working = False
        self.shared_by: tuple[Node, ...] = ()  # Further calls of the run that wait for it.
        self.sent: tuple[Any, ...] = ()

    @property
    def halted(self) -> bool:
        """Whether it waits for the code that it began with: no attempt has failed, and it takes whichever code it is launched with."""
        return self.state == "retrying" and not self.attempt

    @property
    def begun_at(self) -> float | None:
        """When it began, or was made where its beginning was seen by another process; None when it has not begun."""
        is_seen_elsewhere = self.began_at is None and self.state in {"resolved", "recovered", "rejected", "timedout", "retrying"}
        return self.created_at if is_seen_elsewhere else self.began_at

    def took_s(self, now_s: float) -> float | None:
        """Answers how long this call has taken, up to `now_s` while it goes on; None when it has not begun."""
        begun = self.begun_at
        if begun is None or self.state == "pending":
            return None
        return max(0.0, (now_s if self.ended_at is None else self.ended_at) - begun)


class RunModel:
    """The picture of one run.

    `where` is "memory", "file" or "server", `where_label` the words for it. `seq` is the number of the last batch of operations.

        model = RunModel("demo.1")
        for event in client.snapshot("demo.1"):
            model.apply(event)
        model.summary()  # "demo.1 running, 18 of 31 settled, 1 waiting for you"
    """

    def __init__(self, run_id: str, *, where: str = "memory", where_label: str = "in memory") -> None:
        self.run_id = run_id
        self.where, self.where_label = where, where_label
        self.busy = False
        self.away = ""
        """Why its server cannot be asked just now."""
        self.retried_as = self.retry_of = ""
        """Ids of the runs that were made to retry this one, and that this one is the retry of."""
        self.root: Node | None = None
        self.nodes: list[Node] = []
        self.counts: dict[str, int] = dict.fromkeys(STATES, 0)
        self.newest_at = 0.0
        self.seq = 0
        self._by_id: dict[str, Node] = {}
        self._open: dict[int, Node] = {}
        self._working = 0  # Calls that run and do not merely wait for calls of their own.
        self._uncaught: dict[int, list[tuple[float, int]]] = {}  # By parent: a heap of (end, index) of its rejected calls.
        self._aside: dict[str, list[Event]] = {}
        self._aside_count = 0
        self._changed: dict[int, None] = {}
        self._told_early: set[int] = set()  # Changes that a snapshot has told before their batch was taken.
        self._sent_count = 0
        self._sent_run: dict[str, Any] = {}

    def node(self, id: str) -> Node | None:
        """Answers the node of promise `id`, None when there is none."""
        return self._by_id.get(id)

    @property
    def state(self) -> str:
        """The run's own word: running while anything runs or retries, else what it waits for; its outcome when it has one."""
        if self.root is None:
            return "pending"
        if self.root.state not in {"running", "pending"} or self._working or self.counts["retrying"]:
            return self.root.state
        # A run that began elsewhere, or before, and waits for something outside is at work nowhere: nobody tells that it has begun.
        return next((state for state in ("waiting", "sleeping") if self.counts[state]), self.root.state)

    @property
    def word(self) -> str:
        """The run's state in words; a run that waits for the code that it began with is stopped."""
        return "stopped" if self.root is not None and self.root.halted else STATES[self.state].word

    @property
    def settled(self) -> bool:
        """Says whether the run as a whole has its final state."""
        return self.root is not None and self.root.fact in SETTLED

    def elapsed_s(self, now_s: float) -> float | None:
        """Answers how long ago the run was launched, or how long it took; a kernel that takes it over later changes nothing."""
        root = self.root
        return None if root is None else max(0.0, (now_s if root.ended_at is None else root.ended_at) - root.created_at)

    def summary(self) -> str:
        """One sentence: the run's state, how much is settled, and what asks for a look."""
        done = sum(self.counts[state] for state in SETTLED)
        urgent = [f", {self.counts[state]:,} {STATES[state].word}" for state in URGENT if self.counts[state]]
        return f"{self.run_id} {self.word}, {done:,} of {len(self.nodes):,} settled{''.join(urgent)}"

    # ---- facts in ------------------------------------------------------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """Takes in one fact. Facts of other runs, repeats and facts that come too late change nothing."""
        if event.run != self.run_id:
            return
        self.newest_at = max(self.newest_at, event.at)
        added = self._take(event)
        if added is None or not self._aside:
            return
        ready = deque(self._late(added))
        while ready:
            added = self._take(ready.popleft())
            if added is not None:
                ready.extend(self._late(added))

    def _late(self, added: Node) -> list[Event]:
        """What was kept aside until this promise came."""
        late = self._aside.pop(added.id, [])
        self._aside_count -= len(late)
        return late

    def _take(self, event: Event) -> Node | None:
        if isinstance(event, PromiseCreated):
            return self._create(event)
        if isinstance(event, PromiseShared):
            self._share(event, event.by)
            return None
        if isinstance(event, (AttemptStarted, RetryScheduled, RunHalted, PromiseSettled)):
            node = self._by_id.get(event.id)
            if node is None:
                self._keep_aside(event.id, event)
            elif node.fact in SETTLED:
                if isinstance(event, PromiseSettled) and event.recovered and node.fact == "resolved":
                    node.fact, node.recovered = "recovered", True  # known from the store before the run went on and found it there
                    self._show(node)
            elif isinstance(event, PromiseSettled):
                self._settle(node, event)
            else:
                self._attempt(node, event)
        return None

    def _keep_aside(self, until: str, event: Event) -> None:
        if self._aside_count < ASIDE_LIMIT:
            self._aside.setdefault(until, []).append(event)
            self._aside_count += 1

    def _create(self, event: PromiseCreated) -> Node | None:
        known = self._by_id.get(event.id)
        if known is not None:
            if any(name for name, _ in event.arguments) and not any(name for name, _ in known.arguments):
                known.arguments = without_secrets(event.arguments)  # met by its record first, which keeps no names
                self._show(known)
            if event.parent is not None:
                self._share(event, event.parent)
            return None
        parent = None
        if event.id != self.run_id:
            if event.parent is None:
                return None  # A second root has no place in this run's tree.
            parent = self._by_id.get(event.parent)
            if parent is None:
                self._keep_aside(event.parent, event)
                return None
        node = Node(len(self.nodes), parent, event)
        self.nodes.append(node)
        self._by_id[node.id] = node
        self._open[node.index] = node
        self.counts[node.state] += 1
        if parent is None:
            self.root = node
        else:
            if isinstance(parent.children, list):
                parent.children.append(node)
            else:
                parent.children = [node]
            parent.open_children += 1
            self._weigh(parent)
            if parent.newest_child is None or node.created_at >= parent.newest_child.created_at:
                parent.newest_child = node
            self._judge_before(parent, node.created_at)
        self._show(node)
        return node

    def _share(self, event: Event, by: str) -> None:
        """Another call than the one that made the promise waits for it too."""
        node, caller = self._by_id.get(event.id), self._by_id.get(by)
        if node is None or caller is None:
            self._keep_aside(event.id if node is None else by, event)
        elif caller is not node.parent and node.parent is not None and caller not in node.shared_by and len(node.shared_by) < SHARERS_KEPT:
            node.shared_by += (caller,)
            self._show(node)

    def _attempt(self, node: Node, event: AttemptStarted | RetryScheduled | RunHalted) -> None:
        if isinstance(event, RunHalted):  # it is tried again, perhaps with mended code
            if event.at >= node.progress_at:
                node.fact, node.due_at, node.error, node.progress_at = "retrying", None, hidden(event.error), event.at
                node.attempt = 0  # no attempt has failed
                self._show(node)
            return
        failed = isinstance(event, RetryScheduled)
        progress = 2 * event.attempt + failed
        if progress <= node.progress and event.at <= node.progress_at:
            return
        tries = node.tries
        if failed and len(tries) % 2 == 0:  # Its beginning was not seen.
            tries += (tries[-1] if tries else min(event.at, node.created_at),)
        if len(tries) % 2 == failed:  # A run that is taken up again is still in the attempt that it was in.
            tries += (event.at,)
        node.tries = tries[2:] if len(tries) > 2 * ATTEMPTS_KEPT else tries
        node.progress, node.progress_at = progress, event.at
        node.attempt, node.limit = event.attempt, event.limit
        if isinstance(event, RetryScheduled):
            node.fact, node.due_at, node.error = "retrying", event.due, hidden(event.error)
        else:
            node.fact, node.due_at = "running", None
            node.began_at = event.at if node.began_at is None else min(node.began_at, event.at)
        self._show(node)

    def _settle(self, node: Node, event: PromiseSettled) -> None:
        node.fact = "cancelled" if event.state == "canceled" else event.state
        node.recovered = event.recovered
        if event.recovered and node.fact == "resolved":
            node.fact = "recovered"
        node.ended_at, node.due_at = event.at, None
        node.error = "" if node.fact in {"resolved", "recovered"} else hidden(event.error) or node.error
        self._open.pop(node.index, None)
        self._show(node)
        if node.fact == "rejected" and node.parent is not None:
            heapq.heappush(self._uncaught.setdefault(node.parent.index, []), (event.at, node.index))
            self._judge(node, node.parent)
        for child in node.children:
            if child.fact == "rejected":
                self._judge(child, node)
        if node is self.root:
            for left in self._open.values():
                self._show(left)

    # ---- what follows from facts ---------------------------------------------------------------------------------------------

    def _show(self, node: Node) -> None:
        """Brings the shown state of `node`, and every count that depends on it, in line with the facts."""
        state, root = node.fact, self.root
        if state not in SETTLED and root is not None and root.fact in SETTLED:
            if root.fact == "cancelled":
                state, node.ended_at = "cancelled", root.ended_at
            elif not node.detached:
                state = "pending"
        if state != node.state:
            self.counts[node.state] -= 1
            self.counts[state] += 1
            if node.parent is not None:
                node.parent.open_children += (node.state in SETTLED) - (state in SETTLED)
                self._weigh(node.parent)
            node.state = state
        self._weigh(node)
        self._changed[node.index] = None

    def _weigh(self, node: Node) -> None:
        working = node.state == "running" and node.open_children == 0
        self._working += working - node.working
        node.working = working

    def _judge_before(self, parent: Node, at: float) -> None:
        """The parent goes on at `at`: what was rejected before that has been caught."""
        heap = self._uncaught.get(parent.index)
        while heap and heap[0][0] <= at:
            self._judge(self.nodes[heapq.heappop(heap)[1]], parent)

    def _judge(self, child: Node, parent: Node) -> None:
        newest = parent.newest_child
        caught = parent.fact in {"resolved", "recovered"} or (
            not (parent.fact == "rejected" and parent.error == child.error)
            and newest is not None and newest is not child
            and child.ended_at is not None and newest.created_at >= child.ended_at
        )  # fmt: skip
        if caught != child.caught:
            child.caught = caught
            self._changed[child.index] = None

    # ---- messages out --------------------------------------------------------------------------------------------------------

    def take_operations(self) -> list[list[Any]]:
        """Answers what has changed since the last call, the last state of each node only; [] when nothing has.

        The operations are `["run", fields]`, `["add", node]` and `["set", index, fields]`, where None clears a field. `seq` has
        grown by 1 when there are any. What a snapshot has told early comes once more, in full: an "add" of a known node sets it.
        """
        operations: list[list[Any]] = json.loads(f"[{self.write_operations()}]")
        return operations

    def write_operations(self) -> str:
        """Like `take_operations`, as the inside of a JSON array; "" when nothing has changed.

        Written as text from the start: dicts and lists for thousands of calls at a time are what Python's garbage collector takes for
        lasting, and then it goes through all that the kernel has.
        """
        operations = []
        run = self._run_fields()
        if run != self._sent_run:
            changes = {key: value for key, value in run.items() if self._sent_run.get(key) != value}
            operations.append(f'["run",{json.dumps(changes, ensure_ascii=False)}]')
            self._sent_run = run
        for index in self._changed:
            node, early = self.nodes[index], index in self._told_early
            fields = self._state_fields(node)
            if index >= self._sent_count:
                operations.append(f'["add",{self._wire_node(node, fields, blanks=early)}]')
            else:
                both = zip(_WIRE_FIELDS, node.sent, fields, strict=True)
                changed = [f'"{key}":{_wire_value(now)}' for key, was, now in both if early or was != now]
                if changed:
                    operations.append(f'["set",{index},{{{",".join(changed)}}}]')
            node.sent = fields
        self._changed.clear()
        self._told_early.clear()
        self._sent_count = len(self.nodes)
        if operations:
            self.seq += 1
        return ",".join(operations)

    def snapshot(self, now_s: float | None = None) -> dict[str, Any]:
        """Answers the whole picture as a message. `now_s` (seconds since the epoch) is the newest fact's time unless given."""
        message: dict[str, Any] = json.loads(self.write_snapshot(now_s))
        return message

    def write_snapshot(self, now_s: float | None = None) -> str:
        """Like `snapshot`, as JSON."""
        self._told_early.update(self._changed)
        now = self.newest_at if now_s is None else now_s
        nodes = ",".join([self._wire_node(node, self._state_fields(node)) for node in self.nodes])
        head = {"kind": "snapshot", "seq": self.seq, "run": {**self._run_fields(), "now": self.relative_ms(now)}}
        return f'{json.dumps(head, ensure_ascii=False)[:-1]},"nodes":[{nodes}]}}'

    def relative_ms(self, at: float | None) -> int | None:
        """Answers a moment (seconds since the epoch) as whole milliseconds since the run's start; None for none, or for ever."""
        if at is None or not -1e12 < at < 1e12:
            return None
        return round((at - (at if self.root is None else self.root.created_at)) * 1000)

    def _run_fields(self) -> dict[str, Any]:
        started = 0 if self.root is None else round(self.root.created_at * 1000)
        where = {"kind": self.where, "label": _wire_text(self.where_label)}
        kin = {"retried": _wire_text(self.retried_as), "retryOf": _wire_text(self.retry_of)}
        fields = {"id": _wire_text(self.run_id), "where": where, "started": started, "busy": self.busy}
        fields["away"] = _wire_text(self.away[:WIRE_ERROR_LIMIT])
        return fields | {name: run_id for name, run_id in kin.items() if run_id}

    def _state_fields(self, node: Node) -> tuple[Any, ...]:
        ms = self.relative_ms
        return (
            node.state, ms(node.begun_at), ms(node.ended_at), node.attempt or None, node.limit, ms(node.due_at),
            node.error[:WIRE_ERROR_LIMIT] or None, 1 if node.caught else None,
            [ms(at) for at in node.tries] if len(node.tries) > 1 else None, [caller.index for caller in node.shared_by] or None,
        )  # fmt: skip

    def _wire_node(self, node: Node, fields: tuple[Any, ...], *, blanks: bool = False) -> str:
        parent = -1 if node.parent is None else node.parent.index
        arguments = ",".join([f"[{_quoted(name)},{_quoted(text)}]" for name, text in node.arguments])
        told = zip(_WIRE_FIELDS, fields, strict=True)
        state = "".join([f',"{key}":{_wire_value(value)}' for key, value in told if blanks or value is not None])
        return (
            f'{{"i":{node.index},"id":{_quoted(node.id)},"p":{parent},"f":{_quoted(node.name)},"k":{_quoted(node.kind)},'
            f'"t":{self.relative_ms(node.created_at) or 0},"a":[{arguments}]{state}}}'
        )


def _wire_value(value: Any) -> str:
    """A field as JSON: a number, a text, a list of numbers or nothing."""
    if isinstance(value, str):
        return _quoted(value)
    return str(value) if isinstance(value, int) else json.dumps(value)


def _quoted(text: str) -> str:
    return _encode(text if text.isascii() else _wire_text(text))


def _wire_text(text: str) -> str:
    """Lone surrogates have no UTF-8 and would break the message; everything else goes as it is."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
