"""The verbs `record`, `replay` and `diff`: a run in a file, a run held against today's code, two runs held against each other."""

from __future__ import annotations

import linecache
import os
import re
from pathlib import Path
from typing import Final

from resonate import differences, replays
from resonate.errors import CodeChanged, RecordingDamaged, ResonateStoreError
from resonate.limits import DIFFERENCES_SHOWN
from resonate.recordings import ENDING, Recording
from resonate_notebook import actions
from resonate_notebook.arguments import Mistake
from resonate_notebook.session import Session, current
from resonate_notebook.text import cut, visible
from resonate_notebook.verbs import Told

UNFIT_IN_NAMES: Final = re.compile(r"[^\w.-]")
FILE_NAME_MAX: Final = 100
CODE_WIDTH: Final = 80


def record(id: str, path: str | os.PathLike[str] | None = None, *, force: bool = False) -> Told:
    """Save a run as one file: every call with its arguments, times and outcome, to replay and compare later.

    The run may be unfinished, and may be anywhere. Without a name the file is `ID.recording`. It holds all values in clear text. A file
    that is a recording is written over; any other only with `--force`.

        %resonate record demo.1
        %resonate record demo.1 tests/pipeline.recording
    """
    recording = _recorded(current(), id, "id")
    target = Path(path) if path is not None else Path(UNFIT_IN_NAMES.sub("_", id)[:FILE_NAME_MAX] + ENDING)
    try:
        recording.save(target, force=force)
    except FileExistsError:
        raise Mistake(f"{target} exists and is no recording. `--force` writes over it.", "path") from None
    except (OSError, RuntimeError) as error:
        raise Mistake(f"{target} cannot be written: {getattr(error, 'strerror', None) or error}.", "path") from error
    except ValueError as error:  # too large, or a name with a zero in it
        raise Mistake(f"{target} cannot be written: {error}.", "path") from error
    calls = len(recording.promises)
    so_far = " so far, unfinished" if recording.promises[0].state == "PENDING" else ""
    again = f"`%resonate replay {target}` holds today's code against it"
    return Told(f"{target} written · {recording.id}, {calls:,} call{'s' * (calls != 1)}{so_far} · {again}")


def replay(source: str | os.PathLike[str], *, undurable: bool = False) -> Told:
    """Hold today's code against a run: where does it do anything else than what is recorded?

    The run is one of this connection's, by its id, or a file that `record` has written. Its functions are executed as they are registered
    now, on the recorded outcomes: no step is run, nothing sleeps, and nothing is changed anywhere. Calls with `durable=False` leave no
    record, so a replay ends there, unless `--undurable` lets it call them. `resonate.replays.replay` does the same in a test.

        %resonate replay demo.1
        %resonate replay tests/pipeline.recording
    """
    session = current()
    recording = _source(session, source, "id")
    lineage = recording.lineage(recording.promises[0])
    if lineage.kind != "promise" and not any(lineage.name == known for known, _, _ in session.client.registry.functions()):
        do = "`%%resonate register` on top of its cell does it"
        raise Mistake(f"{recording.id} is a run of `{lineage.name}`, which is not registered here: {do}.", "id")
    try:
        found = replays.replay(recording, session.client, call_undurable=undurable)
    except ValueError as error:
        raise Mistake(f"{str(error).rstrip('.')}.", "id") from error
    return Told(_replayed_text(session, found))


def diff(left: str | os.PathLike[str], right: str | os.PathLike[str] | None = None) -> Told:
    """Compare two runs step by step, or one run with today's code.

    Each is a run's id or a file that `record` has written. Calls are matched by where they stand in their runs; what was called, with
    what, and what came of it is compared. With one run alone it is what `replay` tells.

        %resonate diff demo.1 demo.2
        %resonate diff yesterday.recording demo.1
        %resonate diff demo.1
    """
    if right is None:
        return replay(left)
    session = current()
    found = differences.diff(_source(session, left, "id"), _source(session, right, "other"), encoder=session.client.encoder)
    text = str(found)
    return Told(text.rpartition("\n")[0] if session.settings.stable else text)  # the last line tells how long they took


def code_changed(id: str, error: CodeChanged) -> str:
    """What to say of a run that was stopped because its code has changed: both sides, and what to do."""
    return (
        f"{id} stopped before a wrong value was used: the code changed.\n"
        f"    At {error.promise_id} `{error.recorded}` is recorded; the code now makes `{error.called}`.\n"
        f"    `--new` starts afresh; register the earlier code to go on; `%resonate diff {id}` shows both."
    )


def _source(session: Session, source: str | os.PathLike[str], about: str) -> Recording:
    """A run by its id, or a recording by its file's name."""
    path = Path(source).expanduser()
    if not isinstance(source, str) or source.endswith(ENDING):
        return _loaded(path, about)
    try:
        return _recorded(session, source, about)
    except Mistake as mistake:
        if not path.is_file():
            mistake.message += " There is no file of that name either."
            raise
    return _loaded(path, about)


def _loaded(path: Path, about: str) -> Recording:
    try:
        return Recording.load(path)
    except FileNotFoundError:
        raise Mistake(f"There is no file {path}. `%resonate record ID` writes one.", about) from None
    except RecordingDamaged as error:
        raise Mistake(f"{error}", about) from error
    except (OSError, ValueError) as error:
        raise Mistake(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.", about) from error


def _recorded(session: Session, id: str, about: str) -> Recording:
    try:
        return session.client.record(id)
    except ResonateStoreError as error:
        if not str(error.code).startswith(actions.NOT_FOUND):
            raise
        mistake = actions.unknown_run(session.follower, id)
        raise Mistake(mistake.message, about) from error
    except ValueError as error:
        raise Mistake(f"{error}.", about) from error


def _replayed_text(session: Session, found: replays.Replayed) -> str:
    root = found.recording.promises[0]
    if found.diverged is None:
        known = {each.id for each in found.recording.promises}
        is_private = root.state != "PENDING" and not known.issuperset(found.ends)
        return f"{found}{' `--undurable` calls what leaves no record, and goes on.' if is_private else ''}"
    lines: list[str] = []
    for each in found.divergences[:DIFFERENCES_SHOWN]:
        lines.append(str(each))
        code = linecache.getline(each.file, each.line).strip() if each.file else ""
        if each.file:
            lines.append(f"    {session.place(each.file)}, line {each.line}" + (f": {cut(visible(code), CODE_WIDTH)}" if code else ""))
    more = len(found.divergences) - DIFFERENCES_SHOWN
    lines += [f"… {more} more places"] if more > 0 else []
    if root.state == "PENDING":
        lines.append(f"Nothing was run. {root.id} goes on when its functions are registered as they were; `--new` starts afresh.")
    else:
        lines.append("Nothing was run again.")
    return "\n".join(lines)
