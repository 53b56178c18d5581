"""What a person does to a run: settle what waits for them, cancel it, look closer. Magics, Python twins and buttons all come here.

A function here either does what it says and answers one line that tells so, or raises a `Mistake` and has changed nothing. All of
them talk to the store, so none may be called with the follower's lock held. Values are shown by their repr, bounded, and are never
evaluated.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, Literal

from resonate.errors import ResonateError, ResonateStoreError
from resonate.handle import Handle
from resonate.models.durable_promise import DurablePromise
from resonate.protocol import TRACEBACK_HEADER
from resonate.wire.lineage import ROOT
from resonate_notebook.arguments import Mistake, short_repr, suggest
from resonate_notebook.live import Followed, Follower
from resonate_notebook.model import SETTLED, STATES, Node, hidden, without_secrets
from resonate_notebook.text import duration

ANSWERS: Final = {"RESOLVED": "resolved", "REJECTED": "rejected", "REJECTED_CANCELED": "cancelled", "REJECTED_TIMEDOUT": "timed out"}
NOT_FOUND: Final = "100.404"
SETTLED_ALREADY: Final = "100.403"
VALUE_LIMIT: Final = 120
"""Characters of a value that is quoted in a line of text."""
TEXT_LIMIT: Final = 2_000
"""Characters of one text that goes to the page."""

Settlement = Literal["resolved", "rejected"]


def get_promise(follower: Follower, id: str) -> DurablePromise | None:
    """The promise as the store has it; None when there is none."""
    try:
        return follower.client.promises.get(id)
    except ResonateStoreError as error:
        if str(error.code).startswith(NOT_FOUND):
            return None
        raise


def settle(follower: Follower, id: str, value: Any, how: Settlement) -> str:
    """Resolves or rejects a promise that waits for somebody outside, and tells what goes on. Repeating it changes nothing."""
    promise = get_promise(follower, id)
    if promise is None:
        raise _unknown_promise(follower, id)
    followed = follower.find(id)
    node = followed.model.node(id) if followed else None
    if promise.pending and node is not None and node.kind in {"run", "rpc", "detached"} and followed is not None:
        raise Mistake(
            f"{id} is a call of `{node.name}`, which settles itself. `%resonate cancel {followed.model.run_id}` ends the whole run.", "id"
        )
    try:
        headers, data = follower.client.encoder.encode(value)
    except (TypeError, ValueError) as error:
        raise Mistake(f"The value cannot be stored: {error}", "value") from error
    if not promise.pending:
        return _settled_already(follower, promise, value, how)
    do = follower.client.promises.resolve if how == "resolved" else follower.client.promises.reject
    try:
        do(id=id, headers=headers, data=data)
    except ResonateStoreError as error:  # Somebody was faster, or its deadline has just passed.
        now = get_promise(follower, id)
        if str(error.code).startswith(SETTLED_ALREADY) and now is not None and not now.pending:
            return _settled_already(follower, now, value, how)
        raise
    goes_on = f" · {followed.model.run_id} goes on" if followed is not None and followed.model.run_id != id else ""
    root = followed.model.root if followed is not None else None
    if root is not None and root.state == "pending":  # Nobody here is at work on the run, who would tell of it.
        follower.refresh(root.id)
        known = {name for name, _, _ in follower.client.registry.functions()}
        goes_on += f" once `{root.name}` is registered" if goes_on and follower.client.where[0] == "file" and root.name not in known else ""
    return f"{id} {how}{goes_on}"


def _settled_already(follower: Follower, promise: DurablePromise, value: Any, how: Settlement) -> str:
    told, stored = value_text(follower, promise, VALUE_LIMIT)
    said = f"{promise.id} was {ANSWERS[promise.state]}{ago(follower, promise.completed_on)}{f' with {told}' if told else ''}."
    text = f"{said} A promise settles once; nothing changed."
    if ANSWERS[promise.state] == how and same(stored, value):
        return text  # The same cell run twice asks for nothing new, so it is no mistake.
    raise Mistake(text, "id")


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal; values that cannot be compared are not."""
    try:
        return bool(one == other)
    except (Exception, SystemExit):  # An array answers with an array, a user's class with whatever it likes.
        return False


def _unknown_promise(follower: Follower, id: str) -> Mistake:
    follower.pump()
    runs = list(follower.runs.values())
    waiting = [node.id for followed in runs for node in list(followed.model.nodes) if node.state == "waiting"]
    for followed in runs:
        run_id, nodes = followed.model.run_id, followed.model.nodes
        if id.startswith(f"{run_id}.") and len(nodes) > 1:
            own = [node.id for node in nodes if node.state == "waiting"]
            told = f"{' and '.join(own[:3])} wait{'s' * (len(own) == 1)} for a value" if own else "none waits for a value"
            inside = [node.id for node in nodes[1:] if node.id.startswith(f"{run_id}.")]
            listed = f" {run_id} has {inside[0]} to {inside[-1]};" if len(inside) > 1 else ""
            return Mistake(f"No promise {id}.{listed} {told}.", "id")
    told = f" {' and '.join(waiting[:3])} wait{'s' * (len(waiting) == 1)} for a value." if waiting else " Nothing waits for a value."
    return Mistake(f"No promise {id}.{suggest(id, waiting)}{told}", "id")


def cancel(follower: Follower, id: str) -> str:
    """Cancels a run: its promise and all pending ones below it. Steps in flight end on their own."""
    followed = followed_run(follower, id, "`%resonate cancel {}` cancels the run.")
    with follower.lock:
        flying = sum(node.working and node.kind == "run" and node is not followed.model.root for node in followed.model.nodes)
    ended = get_promise(follower, id)
    if ended is not None and not ended.pending:
        raise Mistake(f"{id} was {ANSWERS[ended.state]}{ago(follower, ended.completed_on)}. A finished run is never changed.", "id")
    follower.client.cancel(id)
    steps = f"{flying} step{'s' * (flying != 1)} in flight end{'s' * (flying == 1)} on {'its' if flying == 1 else 'their'} own"
    told = f" · {steps}, {'its result is' if flying == 1 else 'their results are'} dropped" if flying else ""
    return f"{id} cancelled{told}"


def followed_run(follower: Follower, id: str, instead: str) -> Followed:
    """The run with this id; a `Mistake` when there is none. For one of its steps, `instead` says what to do with its run (`{}`)."""
    followed = follower.follow(id)
    if followed is not None:
        return followed
    inside = follower.find(id)
    if inside is not None:
        raise Mistake(f"{id} is a step of {inside.model.run_id}. {instead.format(inside.model.run_id)}", "id")
    raise unknown_run(follower, id)


def retry(follower: Follower, id: str, new_id: str | None = None, from_step: str | None = None) -> Handle[Any]:
    """Starts a finished run anew (`Resonate.retry`, whose errors pass); the pictures of both runs lead to each other."""
    promise = get_promise(follower, id)
    if promise is not None and promise.pending and (promise.tags or {}).get(ROOT, id) == id:
        raise Mistake(old_code(id, id), "id")
    handle = follower.client.retry(id, new_id, from_step)
    follower.link(id, handle.id)
    return handle


def old_code(call: str, run_id: str) -> str:
    """What to say of a call that goes on while its function was mended."""
    how = "is retried" if call != run_id else "goes on"
    do = f"`%resonate cancel {run_id}`, then `%resonate retry {run_id}` takes over what was done, with the code as it is now"
    return f"{call} {how} with the code that it began with. {do}."


def sentence(text: str, id: str) -> str:
    """A message of the SDK as a sentence of ours; an id or an address that it begins with keeps its case."""
    word, *_ = text.split(" ", 1)
    begun = text if text.startswith(id) or not word.isalpha() else text[:1].upper() + text[1:]
    return f"{begun}{'.' * (not begun.endswith(('.', '?')))}"


def _retry_from_page(follower: Follower, followed: Followed, from_step: object) -> tuple[str, str]:
    """What to say, and the id of the run to show. Two pages that ask for the same at the same time get one run."""
    run_id, before = followed.model.run_id, followed.model.retried_as
    other = follower.follow(before) if before else None
    if other is not None and not other.model.settled:
        return f"{before} retries {run_id} already and goes on.", before
    if from_step is not None and (not isinstance(from_step, str) or followed.model.node(from_step) is None):
        raise Mistake("The page's message is not understood.")
    try:
        new_id = retry(follower, run_id, None, from_step).id
    except ValueError as error:
        raise Mistake(sentence(str(error), run_id)) from error
    kept = sum(node.recovered for node in new.model.nodes) if (new := follower.follow(new_id)) is not None else 0
    over = f"takes over {kept} step{'s' * (kept != 1)} of {run_id}" if kept else f"runs {run_id} again"
    return f"{new_id} {over}. In a cell: run = %resonate attach {new_id}", new_id


def unknown_run(follower: Follower, id: str) -> Mistake:
    """The mistake for an id that is no run's."""
    known = list(follower.runs)
    close = suggest(id, known)
    listed = f" Runs here: {', '.join(known[-5:])}." if known and not close else "" if known else " No run has been started here."
    return Mistake(f"No run {id}.{close}{listed}", "id")


def ago(follower: Follower, at_ms: int | None) -> str:
    """` 5 s ago`, or nothing where that is unknown or output is to be stable."""
    return "" if follower.settings.stable or at_ms is None else f" {duration(max(0.0, time.time() - at_ms / 1000))} ago"


def size_text(size_bytes: int) -> str:
    """`1.2 MB`."""
    size = float(size_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("the last unit has no limit")


def value_text(follower: Follower, promise: DurablePromise, limit: int) -> tuple[str, Any]:
    """The value of a settled promise as a short text, and itself; ("", None) when it has none or it cannot be read."""
    if promise.state in {"PENDING", "REJECTED_CANCELED", "REJECTED_TIMEDOUT"}:
        return "", None
    try:
        value = promise.result(follower.client.encoder).value
    except (Exception, SystemExit) as error:  # Whatever a stored value does while it is read.
        return f"a value that cannot be read ({type(error).__name__})", None
    if isinstance(value, Exception) and len(value.args) == 1 and type(value) is Exception:
        value = value.args[0]
    return short_repr(value, limit), value


# ---- for the page ------------------------------------------------------------------------------------------------------------


def answer(follower: Follower, followed: Followed, message: dict[str, Any]) -> dict[str, Any]:
    """Carries out a button's resolve, reject, cancel, retry or show, and answers the reply to it.

    The reply names a `run` where the widget is to show that one from now on.
    """
    from resonate_notebook.widget import read_typed

    follower.pump()  # what the page was told of is known here at the latest now
    kind, promise_id, text, told, run = message["kind"], message.get("id"), message.get("text", ""), "", ""
    try:
        if kind == "cancel":
            told = cancel(follower, followed.model.run_id)
        elif kind == "retry":
            told, run = _retry_from_page(follower, followed, promise_id)
        elif kind == "show" and promise_id and promise_id in (followed.model.retried_as, followed.model.retry_of):
            run = str(promise_id)
        elif kind in {"resolve", "reject"} and isinstance(text, str) and isinstance(promise_id, str):
            if followed.model.node(promise_id) is None:  # perhaps another run's, which this picture does not show
                raise _unknown_promise(follower, promise_id[:VALUE_LIMIT])
            told = settle(follower, promise_id, read_typed(text), "resolved" if kind == "resolve" else "rejected")
        else:
            raise Mistake("The page's message is not understood.")
        ok = True
    except (Mistake, ResonateError) as error:
        told, ok = str(error) if isinstance(error, Mistake) else error.mesg, False
    reply = {"kind": "reply", "token": clean(str(message.get("token"))), "ok": ok, "text": clean(told)}
    return reply | ({"run": run} if ok and run else {})


def detail(follower: Follower, followed: Followed, id: str, *, with_cells: Callable[[str], str] = str) -> dict[str, Any]:
    """Everything about one promise of the run, as text. What cannot be had (a store that does not answer) is left out.

    `with_cells` names the cells in a traceback (`Session.with_cells`).
    """
    follower.pump()
    model = followed.model
    with follower.lock:
        node = model.node(id)
        told: dict[str, Any] = {"kind": "detail", "id": clean(id), "arguments": [], "value": None, "error": None, "traceback": None}
        told |= {"tags": {}, "attempts": 0, "created": 0, "began": None, "ended": None, "timeout": None}
        if node is not None:
            told |= {"arguments": [[clean(name), clean(text)] for name, text in node.arguments], "attempts": node.attempt}
            told |= {"created": model.relative_ms(node.created_at) or 0, "began": model.relative_ms(node.begun_at)}
            told |= {"ended": model.relative_ms(node.ended_at), "error": clean(node.error) or None}
    if node is None:
        return told
    try:
        promise = get_promise(follower, id)
    except ResonateError as error:
        return {**told, "error": clean(hidden(error.mesg))}
    if promise is None:
        return told
    told["tags"] = {clean(key): clean(text) for key, text in without_secrets((promise.tags or {}).items())}
    told["timeout"] = model.relative_ms(promise.timeout / 1000)
    text, _ = value_text(follower, promise, TEXT_LIMIT)
    if promise.resolved:
        told["value"] = clean(text)
    elif promise.completed:
        told["error"] = clean(text) or told["error"] or ANSWERS[promise.state]
        kept = (promise.value.headers or {}).get(TRACEBACK_HEADER)
        told["traceback"] = clean(hidden(with_cells(kept)[-TEXT_LIMIT:])) if kept else None  # Its end says most.
    return told


def clean(text: str) -> str:
    """At most 2,000 characters that any JSON reader takes: lone surrogates become question marks."""
    text = text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"
    return text.encode("utf-8", "replace").decode("utf-8")


def failed_step(followed: Followed) -> Node | None:
    """The call in which a failed run's error arose: the deepest uncaught rejected one."""
    node = followed.model.root
    while node is not None:
        below = [child for child in node.children if child.state in {"rejected", "timedout"} and not child.caught]
        if not below:
            return node
        node = below[-1]
    return None


def word_of(state: str) -> str:
    """The word for a state."""
    return STATES[state].word


def counts_text(followed: Followed) -> str:
    """`18/31 · 1 retrying · 1 waiting for you: demo.1.4`."""
    model = followed.model
    done = sum(model.counts[state] for state in SETTLED)
    urgent = [state for state in ("rejected", "timedout", "retrying") if model.counts[state] and not model.settled]
    parts = [f"{done}/{len(model.nodes)}", *(f"{model.counts[state]} {word_of(state)}" for state in urgent)]
    waiting = [node.id for node in model.nodes if node.state == "waiting"]
    if waiting:
        verb = "waits" if len(waiting) == 1 else "wait"
        parts.append(f"{len(waiting)} {verb} for you: {', '.join(waiting[:3])}{'…' * (len(waiting) > 3)}")
    return " · ".join(parts)
