"""`%resonate export`: a run's picture or a worker script, into a file whose name says what it shall be.

A file is written whole or not at all: beside its place first, then moved there. Each bears a mark with the digest of all the rest, so
that a file which an export has written, and nobody has changed since, may be written over; any other is left alone without `force`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import struct
import subprocess
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from resonate.errors import ResonateError
from resonate_notebook import actions
from resonate_notebook.arguments import Mistake, suggest
from resonate_notebook.formats import render_dot, render_html, render_json, render_mermaid
from resonate_notebook.live import Followed, Follower
from resonate_notebook.model import SETTLED
from resonate_notebook.session import Session
from resonate_notebook.svg import render_svg
from resonate_notebook.text import visible
from resonate_notebook.worker_source import Worker, write_worker

PICTURES: Final = ("dot", "mmd", "json", "html", "svg", "png", "pdf")
DRAWN_BY_DOT: Final = ("png", "pdf")
DOT_LIMIT_S: Final = 60.0
VALUES_MAX: Final = 1_000
"""Values of a run that are read from the store, one request each."""
INSTALL_DOT: Final = "Install Graphviz: `apt install graphviz`, `brew install graphviz` or `conda install graphviz`."

_MARK: Final = b"resonate_notebook export sha256:"
_MARKS: Final = {  # What stands around the mark and its digest in each format: a comment, or what comes nearest to one.
    "py": (b"# ", b"\n"), "dot": (b"// ", b"\n"), "mmd": (b"%% ", b"\n"), "json": (b' "written_by": "', b'",\n'),
    "html": (b"<!-- ", b" -->\n"), "svg": (b"<!-- ", b" -->\n"), "pdf": (b"%", b"\n"),
}  # fmt: skip


# ---- the verb ----------------------------------------------------------------------------------------------------------------


def export(session: Session, path: str | os.PathLike[str], id: str | None, *, force: bool) -> str:
    """Writes the file and tells so; a `Mistake` when it cannot, and then nothing has been written."""
    target, kind = _target(path)
    told: list[str] = []
    if kind == "py":
        if id is not None:
            raise Mistake("A worker has all registered functions; it takes no run's id.", "id")
        _may_write(target, kind, force=force)
        worker = _worker(session, target)
        content = worker.text.encode()
        started = f"`python {_shown(target)}` starts it"
        told = [f"{_shown(target)} written · a worker for {', '.join(worker.functions)} · {started}", *worker.notes]
    else:
        followed, newest = _run(session, id, target)
        _may_write(target, kind, force=force)
        content = _picture(session.follower, followed, kind)
        calls = len(followed.model.nodes)
        what = f"{visible(followed.model.run_id)}{' (the newest run)' * newest}, {calls:,} call{'s' * (calls != 1)}"
        told = [f"{_shown(target)} written · {what}"]
    _write(target, marked(content, kind))
    return "\n".join(told)


def _target(path: str | os.PathLike[str]) -> tuple[Path, str]:
    """(where a link leads, the kind of file); a `Mistake` when nothing can be written there."""
    try:
        target = Path(path).expanduser().resolve()
        kind = target.suffix.lower().removeprefix(".")
        known = ("py", *PICTURES)
        if kind not in known:
            close = suggest(f".{kind}", [f".{each}" for each in known]) if kind else ""
            endings = ", ".join(f".{each}" for each in known)
            raise Mistake(f"The name's ending says what is written: {endings}.{close}", "path")
        if target.is_dir():
            raise Mistake(f"{_shown(target)} is a folder.", "path")
        if not target.parent.is_dir():
            raise Mistake(f"There is no folder {_shown(target.parent)}.", "path")
    except (OSError, ValueError, RuntimeError) as error:  # A name with a zero in it, a circle of links, an unknown `~user`.
        raise Mistake(f"{visible(str(path))} is no name for a file: {error}.", "path") from error
    return target, kind


def _shown(path: Path) -> str:
    """A path as short as it can be said from here."""
    try:
        return visible(str(path.relative_to(Path.cwd())))
    except (ValueError, OSError):
        return visible(str(path))


def _run(session: Session, id: str | None, target: Path) -> tuple[Followed, bool]:
    """(the run to draw, whether it is just the newest one)."""
    follower = session.follower
    wanted = id
    if wanted is None:
        follower.pump()
        wanted = target.stem if target.stem in follower.runs else next(reversed(follower.runs), None)
        if wanted is None:
            raise Mistake("No run has been started here. `%resonate export run.svg ID` draws one that others have started.", "end")
    followed = follower.follow(wanted)
    if followed is None:
        inside = follower.find(wanted)
        if inside is not None:
            raise Mistake(f"{wanted} is a step of {inside.model.run_id}. An export draws the whole run: {inside.model.run_id}.", "id")
        raise actions.unknown_run(follower, wanted)
    return followed, id is None and wanted != target.stem


# ---- pictures ----------------------------------------------------------------------------------------------------------------


def _picture(follower: Follower, followed: Followed, kind: str) -> bytes:
    model, stable, now = followed.model, follower.settings.stable, time.time()
    values = _values(follower, followed) if kind in {"json", "html"} else {}
    lines = follower.lines.of(model.run_id)
    draw: dict[str, Callable[[], str]] = {
        "dot": lambda: render_dot(model, now, stable=stable),
        "mmd": lambda: render_mermaid(model, now, stable=stable),
        "json": lambda: render_json(model, now, values=values, lines=lines, stable=stable),
        "html": lambda: render_html(model, now, values=values, lines=lines, stable=stable),
        "svg": lambda: render_svg(model, now, stable) + "\n",
    }
    with follower.lock:
        text = draw["dot" if kind in DRAWN_BY_DOT else kind]()
    return by_dot(text, kind) if kind in DRAWN_BY_DOT else text.encode("utf-8", "replace")


def _values(follower: Follower, followed: Followed) -> dict[str, str]:
    """Short texts of the values of a run's settled calls, of the first ones where there are many."""
    with follower.lock:
        settled = [node.id for node in followed.model.nodes if node.state in SETTLED]
    values: dict[str, str] = {}
    for promise_id in settled[:VALUES_MAX]:
        try:
            promise = actions.get_promise(follower, promise_id)
        except ResonateError:  # A store that is gone for a moment; the picture is still worth having.
            break
        if promise is not None and promise.resolved:
            values[promise_id] = actions.clean(actions.value_text(follower, promise, actions.TEXT_LIMIT)[0])
    return values


def by_dot(text: str, kind: str) -> bytes:
    """What Graphviz makes of a graph; a `Mistake` when it is not there, fails, or takes longer than a minute."""
    program = shutil.which("dot")
    if program is None:
        why = "PNG and PDF are drawn by Graphviz, whose `dot` is not installed here."
        raise Mistake(f"{why} {INSTALL_DOT} SVG and HTML need nothing.", "path")
    try:
        done = subprocess.run(  # noqa: S603 - the program found on the path; the graph is its input, never its command line
            [program, f"-T{kind}", *(("-Gdpi=144",) if kind == "png" else ())],
            input=text.encode("utf-8", "replace"), capture_output=True, timeout=DOT_LIMIT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Mistake(f"Graphviz has not drawn it in {DOT_LIMIT_S:.0f} s, and was ended. SVG and HTML need no Graphviz.", "path") from error
    except OSError as error:
        raise Mistake(f"Graphviz cannot be started: {error}. SVG and HTML need no Graphviz.", "path") from error
    if done.returncode != 0 or not done.stdout:
        said = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
        raise Mistake(f"Graphviz cannot draw it: {said or f'it ended with {done.returncode}'}. SVG and HTML need no Graphviz.", "path")
    return done.stdout


# ---- the worker --------------------------------------------------------------------------------------------------------------


def _worker(session: Session, target: Path) -> Worker:
    place = session.connected_to
    functions = session.client.registry.functions()
    if place.kind == "memory":
        do = "Connect first: `%resonate connect local --db runs.db`, or `%resonate connect remote URL`."
        raise Mistake(f"Runs in memory belong to this kernel alone; a worker elsewhere would never see them. {do}")
    if not functions:
        raise Mistake("No function is registered. `%%resonate register` on top of a cell registers the functions in it.")
    numbers = getattr(getattr(session.shell, "compile", None), "_filename_map", {})
    notes: list[str] = []
    if place.kind == "file":
        fast = "" if place.durability == "full" else f", durability={place.durability!r}"
        connection, where = f".local(path={str(place.path)!r}{fast})", str(place.path)
    else:
        url = place.url or f"http://127.0.0.1:{place.port}"
        if session.server is not None:
            url = session.server.url
            notes.append("The development server ends with this kernel. `python -m resonate dev` starts one that stays.")
        url, hidden = without_credentials(url)
        if hidden:
            notes.append("The password is not written: the worker reads RESONATE_USERNAME and RESONATE_PASSWORD from its environment.")
        more = [f"group={place.group!r}"] * (place.group != "default") + [f"protocol={place.protocol!r}"] * (place.protocol is not None)
        port = urlsplit(url).port
        more += [f"store_port={port}"] * (port is not None and bool(os.environ.get("RESONATE_PORT_STORE")))
        connection = f".remote({', '.join([f'host={url!r}', *more])})"
        where = f"{url}, group {place.group}"
    worker = write_worker(functions, connection, where, dict(numbers), target)
    return Worker(worker.text, worker.functions, [*worker.notes, *notes])


def without_credentials(url: str) -> tuple[str, bool]:
    """(the address without a user's name and password, whether it had any)."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])), "@" in parts.netloc


# ---- files -------------------------------------------------------------------------------------------------------------------


def _mark(kind: str, digest: bytes) -> bytes:
    if kind == "png":  # a chunk of text: length, type, keyword and text, checksum
        chunk = b"tEXtSoftware\0" + _MARK + digest
        return struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    before, after = _MARKS[kind]
    return before + _MARK + digest + after


def marked(content: bytes, kind: str) -> bytes:
    """The content with its mark, at a place where the format has room for it."""
    mark = _mark(kind, hashlib.sha256(content).hexdigest().encode())
    at = 0
    if kind == "png":
        at = content.index(b"IEND") - 4
    elif kind in {"json", "html"}:
        at = content.index(b"\n") + 1
    elif kind in {"svg", "pdf"}:
        at = len(content)
    return content[:at] + mark + content[at:]


def is_ours(content: bytes, kind: str) -> bool:
    """Whether an export has written this file, and nobody has changed it since."""
    for digest in set(re.findall(re.escape(_MARK) + rb"([0-9a-f]{64})", content)):
        before, found, after = content.partition(_mark(kind, digest))
        if found and hashlib.sha256(before + after).hexdigest().encode() == digest:
            return True
    return False


def _may_write(target: Path, kind: str, *, force: bool) -> None:
    if force or not target.exists():
        return
    try:
        ours = target.is_file() and is_ours(target.read_bytes(), kind)
    except OSError:
        ours = False
    if not ours:
        raise Mistake(f"{_shown(target)} exists and is not as an export wrote it. `--force` writes over it.", "path")


def _write(target: Path, content: bytes) -> None:
    beside = target.with_name(f".{target.name[:100]}.{os.getpid()}.part")
    try:
        beside.write_bytes(content)
        if target.exists():
            shutil.copymode(target, beside)
        beside.replace(target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise Mistake(f"{_shown(target)} cannot be written: {error.strerror or error}.", "path") from error
