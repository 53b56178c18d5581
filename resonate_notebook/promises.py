"""One promise, looked at closely: what `%resonate get` shows, and `run["demo.1.3"]` gives."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from resonate.models.durable_promise import DurablePromise
from resonate.models.result import Ko
from resonate.protocol import TRACEBACK_HEADER
from resonate.wire.legacy import INVOKE
from resonate.wire.lineage import ORIGIN, ROOT
from resonate_notebook import actions
from resonate_notebook.arguments import Mistake, suggest
from resonate_notebook.live import Followed, Follower
from resonate_notebook.model import SETTLED, STATES, Node, hidden
from resonate_notebook.text import call_text, duration, visible

STATE_OF: Final = {
    "PENDING": "pending", "RESOLVED": "resolved", "REJECTED": "rejected", "REJECTED_CANCELED": "cancelled", "REJECTED_TIMEDOUT": "timedout",
}  # fmt: skip
IDS_SHOWN_MAX: Final = 3
GROUP: Final = re.compile(r"poll://(?:any|uni)@([^/]+)")
FOR_EVER_MS: Final = 250_000_000_000_000
"""A deadline beyond this (milliseconds since the epoch) is none."""


@dataclass(frozen=True, slots=True, repr=False)
class Promise:
    """One promise as it is now. Its repr is what `%resonate get` shows.

    `state` is the word of the picture: waiting, running, retrying, sleeping, pending, resolved, recovered, rejected, timedout or
    cancelled. `error` and `traceback` are text ("" when there is none), `exception` is what a waiting caller gets raised. `arguments` are
    texts by name. `waits_for` are the open promises that a call has made, `parent` is the call that made this one, and waits for it.
    Times are local and know their zone.

        promise = resonate_notebook.get("demo.1.3")
        promise.state, promise.value
    """

    id: str
    state: str
    name: str = ""
    kind: str = ""
    value: Any = None
    error: str = ""
    exception: BaseException | None = None
    traceback: str = ""
    arguments: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    attempts: int = 0
    parent: str | None = None
    waits_for: tuple[str, ...] = ()
    created: datetime | None = None
    began: datetime | None = None
    ended: datetime | None = None
    deadline: datetime | None = None
    text: str = ""
    """What its repr is."""

    def __repr__(self) -> str:
        return self.text


def look_at(follower: Follower, id: str, with_cells: Callable[[str], str]) -> Promise:
    """The promise `id`, with all that is known of it here; a `Mistake` when there is none. `with_cells` is `Session.with_cells`."""
    promise = actions.get_promise(follower, id)
    if promise is None:
        with follower.lock:
            known = [node.id for followed in follower.runs.values() for node in followed.model.nodes]
        raise Mistake(f"No promise {id}.{suggest(id, known[-actions.TEXT_LIMIT :])}", "id")
    followed, node = _in_picture(follower, promise)
    shown, value = actions.value_text(follower, promise, actions.TEXT_LIMIT)
    headers = promise.value.headers or {}
    state = STATE_OF[promise.state]
    found: dict[str, Any] = {"id": id, "state": state, "value": value if promise.resolved else None, "tags": dict(promise.tags or {})}
    found |= {"created": _moment(promise.created_on), "ended": _moment(promise.completed_on), "deadline": _moment(promise.timeout)}
    if promise.completed and not promise.resolved:
        found |= {"error": shown or actions.ANSWERS[promise.state], "traceback": with_cells(headers.get(TRACEBACK_HEADER, ""))}
        found["exception"] = _raised(follower, promise)
    if node is not None:
        with follower.lock:
            found |= _from_picture(node, promise)
            if followed is not None and node is followed.model.root and found["state"] == node.state:
                found["state"] = followed.model.state  # a run waits, or sleeps, when all in it does
    return Promise(**found, text=_text(follower, found, node, shown))


def _in_picture(follower: Follower, promise: DurablePromise) -> tuple[Followed | None, Node | None]:
    """The promise in a picture: of a run that is followed, or of the one that its tags name."""
    followed = follower.find(promise.id)
    if followed is None:
        above = (promise.tags or {}).get(ORIGIN) or (promise.tags or {}).get(ROOT)
        followed = follower.follow(above) if above else None
    return followed, None if followed is None else followed.model.node(promise.id)


def _from_picture(node: Node, promise: DurablePromise) -> dict[str, Any]:
    pending = promise.pending
    state = node.state if pending == (node.state not in SETTLED) else STATE_OF[promise.state]  # the store is right
    names = [name or f"{place}" for place, (name, _) in enumerate(node.arguments)]
    told: dict[str, Any] = {
        "state": state, "name": node.name, "kind": node.kind, "attempts": node.attempt,
        "arguments": {name: text for name, (_, text) in zip(names, node.arguments, strict=True)},
        "parent": None if node.parent is None else node.parent.id,
        "began": None if node.began_at is None else _moment(node.began_at * 1000),
    }  # fmt: skip
    if node.error:
        told["error"] = node.error
    if pending:
        told["waits_for"] = tuple(child.id for child in node.children if child.state not in SETTLED and not child.detached)
    return told


def _raised(follower: Follower, promise: DurablePromise) -> BaseException | None:
    try:
        outcome = promise.result(follower.client.encoder)
    except (Exception, SystemExit) as error:  # whatever a stored value does while it is read
        return error
    return outcome.value if isinstance(outcome, Ko) else None


def _moment(at_ms: float | None) -> datetime | None:
    return None if at_ms is None or not 0 <= at_ms < FOR_EVER_MS else datetime.fromtimestamp(at_ms / 1000, UTC).astimezone()


# ---- as text -----------------------------------------------------------------------------------------------------------------


def _text(follower: Follower, found: dict[str, Any], node: Node | None, shown: str) -> str:
    look, stable = STATES[found["state"]], follower.settings.stable
    tries = f" after {node.attempt} attempts" if node is not None and node.attempt > 1 and found["state"] in SETTLED else ""
    call = call_text(node, 60) if node is not None else "a promise of its own"
    lines = [f"{visible(found['id'])}  {call}  {look.glyph} {look.word}{tries}"]
    rows: list[tuple[str, str]] = []
    if found["state"] in {"resolved", "recovered"}:
        rows.append(("value", shown or "None"))
    if found.get("error"):
        rows.append(("error", found["error"]))
    rows += [("argument" if at == 0 else "", f"{name} = {text}") for at, (name, text) in enumerate(found.get("arguments", {}).items())]
    group = GROUP.match(found["tags"].get(INVOKE, ""))
    if group and node is not None and node.kind in {"rpc", "detached"}:
        rows.append(("group", group[1]))
    parent = found.get("parent")
    if parent:
        waits = ", which waits for it" * (found["state"] not in SETTLED and node is not None and not node.detached)
        rows.append(("made by", f"{parent} {node.parent.name if node is not None and node.parent else ''}{waits}"))
    below = found.get("waits_for", ())
    if below:
        rest = f" and {len(below) - IDS_SHOWN_MAX:,} more" if len(below) > IDS_SHOWN_MAX else ""
        rows.append(("waits for", ", ".join(below[:IDS_SHOWN_MAX]) + rest))
    if not stable:
        rows += _times(found)
    rows += [("tag" if at == 0 else "", f"{key} = {text}") for at, (key, text) in enumerate(sorted(_own_tags(found["tags"]).items()))]
    if found["state"] == "waiting" and not below:
        rows.append(("answer", f"%resonate resolve {found['id']} VALUE"))
    lines += [f"    {title:<10}  {visible(text)}" for title, text in rows]
    if found.get("traceback"):
        lines += ["    traceback", *(f"        {visible(line)}" for line in found["traceback"][-actions.TEXT_LIMIT :].splitlines())]
    return hidden("\n".join(lines))


def _own_tags(tags: dict[str, str]) -> dict[str, str]:
    """The tags that a person has given; those of the protocol say nothing that is not shown already."""
    return {key: text for key, text in tags.items() if not key.startswith("resonate:")}


def _times(found: dict[str, Any]) -> list[tuple[str, str]]:
    created, began, ended = found["created"], found.get("began"), found["ended"]
    rows: list[tuple[str, str]] = []
    if created is not None:
        more = [f"began {duration((began - created).total_seconds())} later"] if began is not None and began > created else []
        more += [f"took {duration(max(0.0, (ended - (began or created)).total_seconds()))}"] if ended is not None else []
        rows.append(("created", " · ".join([f"{created:%Y-%m-%d %H:%M:%S}", *more])))
    if found["deadline"] is not None and ended is None:
        rows.append(("deadline", f"{found['deadline']:%Y-%m-%d %H:%M:%S}"))
    return rows
