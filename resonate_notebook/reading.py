"""`%resonate logs`: what calls have printed, logged and warned of, read back."""

from __future__ import annotations

import logging
from typing import Final

from resonate_notebook import actions
from resonate_notebook.arguments import Mistake, suggest
from resonate_notebook.lines import LINES_OF_A_CALL_MAX, LINES_OF_A_RUN_MAX, Line, line_text
from resonate_notebook.live import Followed
from resonate_notebook.session import Session, current
from resonate_notebook.verbs import Told

LAST_LINES: Final = 100
LEVELS: Final = ("debug", "info", "warning", "error", "critical")


def logs(id: str, last: int = LAST_LINES, level: str | int | None = None) -> Told:
    """Show what a run, or one call of it, has printed, logged and warned of in this kernel.

    For a run the lines of all its calls in the order of time, each with its call and where it was written: stdout, stderr, a warning, or a
    log with its level. `--last N` shows the last N lines, else it is 100. `--level L` (debug, info, warning, error, critical) leaves out
    what was printed, and logs below that level.

        %resonate logs demo.1
        %resonate logs demo.1.3 --level warning
    """
    session = current()
    run_id, call, followed = _scope(session, id)
    least = None if level is None else _level(level)
    if last < 1 or last != int(last):
        raise Mistake("`last` is how many lines to show, 1 or more.", "option:--last")
    lines = session.follower.lines
    found, total = lines.of(run_id, call), lines.total(run_id, call)
    if not found:
        return Told(_nothing(session, id, followed))
    wanted = [line for line in found if least is None or line.level >= max(1, least)]
    if not wanted:
        return Told(f"{id} has logged nothing at that level. Without `--level` there {_are(len(found), 'line')}.")
    if session.settings.stable and followed is not None:  # which of two calls speaks first differs from run to run
        order = {node.id: node.index for node in list(followed.model.nodes)}
        wanted.sort(key=lambda line: order.get(line.id, len(order)))
    told = [line_text(line, _name(followed, line), stable=session.settings.stable) for line in wanted[-last:]]
    if len(wanted) > last:
        told.insert(0, f"… {len(wanted) - last:,} earlier: `%resonate logs {id} --last {len(wanted)}`")
    if total > len(found):
        kept = f"The last {LINES_OF_A_CALL_MAX:,} lines of a call and {LINES_OF_A_RUN_MAX:,} of a run are kept"
        told.insert(0, f"… {kept}; {total - len(found):,} before them are gone.")
    return Told("\n".join(told))


def _scope(session: Session, id: str) -> tuple[str, str | None, Followed | None]:
    """(the run, the call or None for all of them, its picture); a `Mistake` where nothing is known of that id."""
    follower = session.follower
    followed = follower.find(id)
    if followed is None:
        followed = follower.follow(id)
    if followed is not None:
        run_id = followed.model.run_id
        return run_id, None if id == run_id else id, followed
    spoke_in = follower.lines.run_of(id)
    if spoke_in is None:
        raise actions.unknown_run(follower, id)
    return spoke_in, id, None


def _level(level: str | int) -> int:
    if isinstance(level, int):
        return level
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise Mistake(f"There is no level `{level}`.{suggest(level.lower(), LEVELS)} Known: {', '.join(LEVELS)}.", "option:--level")
    return number


def _name(followed: Followed | None, line: Line) -> str:
    node = None if followed is None else followed.model.node(line.id)
    return "" if node is None else node.name


def _nothing(session: Session, id: str, followed: Followed | None) -> str:
    """Why there are no lines: nothing was said, or not here."""
    if session.settings.output != "node":
        return f"Nothing of {id} is kept: with `output={session.settings.output}` prints and logs go into cells."
    so_far = "" if followed is None or followed.model.settled else " so far"
    if session.connected_to.kind == "memory":
        return f"{id} has printed and logged nothing{so_far}."
    return f"{id} has printed and logged nothing in this kernel{so_far}; what another process ran of it stands in that one's own terminal."


def _are(count: int, word: str) -> str:
    return f"is 1 {word}" if count == 1 else f"are {count:,} {word}s"
