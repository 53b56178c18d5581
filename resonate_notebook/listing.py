"""The verb `ps`: the runs that are followed here, and those that had ended before, of which the store has the records."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace
from typing import Final, NamedTuple

from resonate.errors import ResonateError
from resonate.events import Event
from resonate.protocol import PromiseRecord, SearchPromises
from resonate.stores.sqlite import SqliteStore
from resonate.wire.lineage import ORIGIN, ROOT
from resonate_notebook import actions
from resonate_notebook.live import Followed
from resonate_notebook.model import RunModel
from resonate_notebook.session import Session, current
from resonate_notebook.text import call_text, cells, cut, duration, moment, terminal_width, visible
from resonate_notebook.verbs import Told, columns, missing_functions

EARLIER_SHOWN: Final = 20
EARLIER_SHOWN_MAX: Final = 500
LOOK_BACK_LIMIT_S: Final = 1.5
"""How long a server is asked for what has ended there."""
ERROR_CELLS_MIN: Final = 20
PAGE_CELLS: Final = 160
"""How wide a row is where no terminal shows it."""


class Earlier(NamedTuple):
    """Runs that are over, the newest first: of each, that it was created and that it settled."""

    facts: list[list[Event]]
    total: int | None
    """How many there are; None where that is not known."""
    trouble: str = ""
    """Why not all was looked through."""


def ps(*, all: bool = False) -> Told:
    """List the runs: state, age, how far each is, what waits for you.

    In a file, or on a server, the newest of those that had ended before are listed too; `--all` lists hundreds of them. An error is cut to
    the line: `%resonate show ID` has it whole.

        %resonate ps
    """
    session = current()
    session.follower.pump()
    missing = missing_functions(session)
    with session.follower.lock:
        here = [(run_id, followed) for run_id, followed in session.follower.runs.items() if followed.model.root]
    known = {run_id for run_id, _ in here}
    earlier = earlier_runs(session, EARLIER_SHOWN_MAX if all else EARLIER_SHOWN + len(known))
    before = [facts for facts in earlier.facts if facts[0].run not in known]
    shown = before if all else before[:EARLIER_SHOWN]
    with session.follower.lock:
        rows = [_row(session, facts[0].run, _of_record(facts), {}, "") for facts in reversed(shown)]
        rows += [_row(session, run_id, followed, missing, actions.counts_text(followed)) for run_id, followed in here]
        more = len(before) - len(shown)
        if earlier.total is not None:
            more = earlier.total - len(shown) - sum(followed.model.settled for _, followed in here)
    told = [_fitted(rows)] if rows else ["No run has been started here. `%resonate run demo.1 FUNCTION` starts one."]
    if more > 0:
        how = "`%resonate ps --all` lists them" if not all else "`%resonate show ID` shows one"
        number = f"{more:,} " if earlier.total is not None else ""  # nobody counts what is on a server
        told.insert(0, f"… {number}more that had ended before: {how}.")
    return Told("\n".join([*told, *([earlier.trouble] if earlier.trouble else [])]))


def _of_record(facts: list[Event]) -> Followed:
    model = RunModel(facts[0].run)
    for fact in facts:
        model.apply(fact)
    return Followed(model)


def _row(session: Session, run_id: str, followed: Followed, missing: dict[str, str], what: str) -> list[str]:
    model, root = followed.model, followed.model.root
    assert root is not None
    failed = actions.failed_step(followed) if root.state in {"rejected", "timedout"} else None
    where = f" ({failed.id} {call_text(failed, 40)})" if failed is not None and failed is not root else ""
    if failed is not None:
        what = failed.error or actions.word_of(failed.state)
    elif model.state == "sleeping" and not session.settings.stable:
        due = min((node.due_at for node in model.nodes if node.state == "sleeping" and node.due_at is not None), default=None)
        what = f"until {moment(due)} · {what}" if due is not None else what
    elif run_id in missing:
        what = f"waits for `{missing[run_id]}` to be registered"
    since = duration(max(0.0, time.time() - (root.ended_at or root.created_at)))
    age = [] if session.settings.stable else [f"{since} ago" if root.ended_at else since]
    return [visible(each) for each in (run_id, root.name, actions.word_of(model.state), *age, what, where)]


def _fitted(rows: list[list[str]]) -> str:
    """Rows in columns, each on one line: errors are cut, what stands behind them is not."""
    before = columns([row[:-2] for row in rows]).split("\n")
    width = max(map(cells, before)) + 2
    wide, lines = terminal_width() if sys.stdout.isatty() else PAGE_CELLS, []
    for line, (*_, what, where) in zip(before, rows, strict=True):
        room = max(ERROR_CELLS_MIN, wide - width - cells(where))
        lines.append(f"{line}{' ' * (width - cells(line))}{cut(what, room) if where or cells(what) > room else what}{where}".rstrip())
    return "\n".join(lines)


# ---- what had ended before ---------------------------------------------------------------------------------------------------


def earlier_runs(session: Session, limit: int) -> Earlier:
    """Runs of a file or a server that are over. A server is asked by a thread: it may be slow, and an interrupt is heard at once."""
    store = session.client._shared.store
    if isinstance(store, SqliteStore):
        records, total = store.ended(limit)
        return Earlier([session.client._facts(each.id, each) for each in records], total)
    if not store.is_far:
        return Earlier([], 0)
    found: list[PromiseRecord] = []
    said: list[Earlier] = []
    asking = threading.Thread(target=lambda: said.append(_from_server(session, limit, found)), name="resonate-looking-back", daemon=True)
    asking.start()
    asking.join(LOOK_BACK_LIMIT_S)
    return said[0] if said else Earlier(_facts(session, list(found), limit), None, "The server is slow: there may be more runs.")


def _from_server(session: Session, limit: int, found: list[PromiseRecord]) -> Earlier:
    """Page after page, for as long as may be; `found` has what was met so far."""
    store, page = session.client._shared.store, SearchPromises("*")
    until, is_newest_first = time.monotonic() + LOOK_BACK_LIMIT_S, getattr(store, "lists_newest_first", False)
    while time.monotonic() < until:
        try:
            records, before = session.client._shared.ask(page)
        except ResonateError as error:
            why = error.mesg.partition(". Runs")[0]
            return Earlier(_facts(session, found, limit), None, f"What had ended before is not listed: {why}.")
        found += [each for each in records if each.state != "PENDING" and _is_run(each)]
        if before is None:
            return Earlier(_facts(session, found, limit), len(found))
        if len(found) > limit and is_newest_first:
            return Earlier(_facts(session, found, limit + 1), None)
        page = replace(page, before=before)
    return Earlier(_facts(session, found, limit), None, "There are more promises than could be looked through in a moment.")


def _facts(session: Session, records: list[PromiseRecord], limit: int) -> list[list[Event]]:
    newest = sorted(records, key=lambda each: -each.created_on)[:limit]
    return [session.client._facts(each.id, each) for each in newest]


def _is_run(record: PromiseRecord) -> bool:
    """Whether it is an outermost run, of whichever SDK, and no part of one."""
    tags = record.tags or {}
    is_outermost = (tags.get(ORIGIN) or tags.get(ROOT) or record.id) == record.id
    return record.lineage.parent is None if record.lineage is not None else is_outermost and record.target is not None
