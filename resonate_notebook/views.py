"""The verbs that look at a run in other ways than the graph: `timeline`, `table`, `get` and `show`."""

from __future__ import annotations

import time
from typing import Any, Final

from resonate.handle import Handle
from resonate_notebook import actions, promises
from resonate_notebook.arguments import Mistake, suggest
from resonate_notebook.live import Followed
from resonate_notebook.model import STATES
from resonate_notebook.runs import Detached, Run
from resonate_notebook.session import Session, current, unwatch, watching
from resonate_notebook.text import terminal_width
from resonate_notebook.text_views import FILTERS, SORTS, TABLE_ROWS_MAX, render_table, render_timeline
from resonate_notebook.verbs import Told

VIEWS: Final = ("graph", "tree", "timeline", "table")
STATE_WORDS: Final = (*FILTERS, *STATES)


def _followed(session: Session, id: str, verb: str) -> Followed:
    return actions.followed_run(session.follower, id, f"`%resonate {verb} {{}}` shows the run.")


def _one_of(given: str, known: tuple[str, ...], option: str) -> None:
    if given not in known:
        raise Mistake(f"`{option}` is one of {', '.join(known)}.{suggest(given, known)}", f"option:--{option}")


def timeline(id: str) -> Told:
    """Print when each call of a run was at work, as bars on one axis of time.

    Each row is a call, or a stack of calls of one function; the line below says what the shapes mean. Long stretches in which nothing
    was at work are squeezed and marked. `%resonate show ID --view timeline` draws it live in a page.

        %resonate timeline demo.1
    """
    session = current()
    followed = _followed(session, id, "timeline")
    if session.settings.stable:
        return Told(f"Stable output has no times, so {id} has no timeline here. `%resonate tree {id}` shows its calls.")
    with session.follower.lock:
        return Told(render_timeline(followed.model, time.time(), width=terminal_width()))


def table(id: str, state: str = "", sort: str = "call", limit: int = TABLE_ROWS_MAX) -> Told:
    """Print the calls of a run as rows: id, call, state, attempts, how long each took, error.

    `--state` shows only the calls of one state, or `failed`, `open` or `settled` ones. `--sort` is call (the order in which they were
    made), time (the longest first), state (what needs a look first), attempts or name. `--limit 0` shows all rows.

        %resonate table demo.1 --state failed --sort time
    """
    if state:
        _one_of(state, STATE_WORDS, "state")
    _one_of(sort, SORTS, "sort")
    if limit < 0:
        raise Mistake("`limit` is 0 (all rows) or more.", "option:--limit")
    session = current()
    followed = _followed(session, id, "table")
    with session.follower.lock:
        stable = session.settings.stable
        told = render_table(followed.model, time.time(), width=terminal_width(), stable=stable, state=state, sort=sort, limit=limit)
    return Told(told)


def get(id: str) -> promises.Promise:
    """Look closely at one promise: its value or error, arguments, times, who waits.

    You get an object that shows it, with all of it as attributes: `value`, `error`, `traceback`, `state`, ... The id may be a run, one of
    its calls, or a promise of its own.

        promise = %resonate get demo.1.3
        promise.value
    """
    session = current()
    return promises.look_at(session.follower, id, session.with_cells)


def show(run: str | Run | Handle[Any], view: str = "", *, wait: bool | None = None) -> None:
    """Show a run again, live, in this cell.

    `--view` is graph, tree, timeline or table; a page keeps to it until you choose another.

    In a plain script, where no cell runs, it follows the run in the terminal until it has ended: in place, or as lines where the output
    goes to a file. Ctrl-C detaches, and the run goes on. The run is an id, a `Run`, or a handle of whichever client. `wait` makes a
    notebook wait too, or (False) a script go on at once. A run that fails is shown; its error is raised by `handle.result()`.

        %resonate show demo.1 --view timeline

        handle = resonate.begin_run("demo.1", pipeline, days=31)
        resonate_notebook.show(handle)
    """
    if view:
        _one_of(view, VIEWS, "view")
    shown, session = _run_of(run)
    in_script = session.shell is None
    try:
        if not (in_script if wait is None else wait):
            shown.show(view)
            return
        if not in_script and session.mode() != "terminal":
            shown.show(view)
        shown.watch(view=view)
    except Detached:
        if not in_script:
            raise
    finally:
        if in_script:
            unwatch(session)


def _run_of(run: str | Run | Handle[Any]) -> tuple[Run, Session]:
    if isinstance(run, Run):
        return run, run.session
    if isinstance(run, Handle):
        session = watching(run._client)
        session.follower.refresh(run.id)  # what has happened unobserved was told without its arguments
        _followed(session, run.id, "show")
        return Run(session, run.id, run), session
    session = current()
    try:
        _followed(session, run, "show")
    except Mistake as mistake:
        if session.shell is None:  # the runs of a script's own client are unknown to the one that we make
            raise Mistake(f"{mistake.message} Give `show` the handle of the run, or its `Run`.", mistake.about) from None
        raise
    return Run(session, run, session.client.get(run)), session
