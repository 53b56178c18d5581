"""`%resonate doctor`: what a person would look at when something is wrong, looked at in one go.

Each check answers findings and never raises; nothing is changed, and nothing waits longer than a few seconds. A finding is `ok`, a
`note` (something is missing that not everybody needs) or a `problem`, and then says how to mend it.
"""

from __future__ import annotations

import email.utils
import importlib.metadata
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement

from resonate.errors import ResonateError
from resonate.limits import ROOM_LIMIT
from resonate.registry import Registry
from resonate_notebook.actions import old_code, size_text
from resonate_notebook.arguments import Mistake
from resonate_notebook.exports import INSTALL_DOT, without_credentials
from resonate_notebook.places import Place, open_place
from resonate_notebook.session import Session
from resonate_notebook.text import duration, visible

REACH_LIMIT_S: Final = 3.0
DOT_LIMIT_S: Final = 10.0
CLOCK_LIMIT_S: Final = 2.0
"""A difference of clocks up to this is no trouble; the server's clock is read to the second."""
ATTEMPTS_FAILED_MIN: Final = 5
"""Attempts of a call that have failed before it is named."""
FAILING_SHOWN_MAX: Final = 5
ROOM_SCARCE: Final = 100_000_000
PACKAGE: Final = "resonate-notebook"
KERNELS: Final = {  # What is known of versions of ipykernel; the first beginning that fits counts.
    "7.0.": "raises when a thread updates a display, which is how the live graph is drawn",
}
DEAF_KERNELS: Final = ("7.1.", "7.2.", "7.3.")
"""Versions of ipykernel that at times stop reading requests (ipython/ipykernel#1529, mended in 7.4)."""
FRONT_ENDS: Final = {"anywidget": "anywidget", "@jupyter-widgets/jupyterlab-manager": "jupyterlab_widgets"}
"""Extensions of JupyterLab that the live graph needs, and the packages that hold them."""

State = Literal["ok", "note", "problem"]


class Finding(NamedTuple):
    """What one check found: its subject, how it stands, a sentence, and how to mend it ("" where there is nothing to mend)."""

    about: str
    state: State
    text: str
    mend: str = ""


class Findings(list[Finding]):
    """Findings that show themselves as text, one a line."""

    def __str__(self) -> str:
        wide = max((len(each.about) for each in self), default=0)
        lines: list[str] = []
        for each in self:
            lines.append(visible(f"{each.state:<7}  {each.about:<{wide}}  {each.text}"))
            lines += [visible(f"{'':<7}  {'':<{wide}}  {each.mend}")] * bool(each.mend)
        counts = {state: sum(each.state == state for each in self) for state in ("problem", "note")}
        told = [f"{count} {state}{'s' * (count != 1)}" for state, count in counts.items() if count]
        return "\n".join([*lines, "", " · ".join(told) or "nothing to mend"])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("…" if cycle else str(self))


def look(session: Session, url: str = "") -> Findings:
    """Everything there is to look at; with `url`, also whether a server answers there."""
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("Python", _python),
        ("packages", _packages),
        ("kernel", lambda: _kernel(session)),
        ("live graph", lambda: _front_end(session)),
        ("Graphviz", _graphviz),
    ]
    if url:
        checks.append((url, lambda: _other_server(url)))
    checks += [("connected", lambda: _place(session)), ("functions", lambda: _functions(session)), ("calls", lambda: _failing(session))]
    found = Findings()
    for about, check in checks:
        try:
            found.extend(check())
        except Exception as error:  # A check that fails is a finding too, and the others are still wanted.
            found.append(Finding(about, "problem", f"The check itself failed: {type(error).__name__}: {error}"))
    return found


# ---- this process ------------------------------------------------------------------------------------------------------------


def _python() -> Iterator[Finding]:
    yield Finding("Python", "ok", f"{platform.python_version()}, {sys.executable}")


def _packages() -> Iterator[Finding]:
    """What this package requires, beside what is installed."""
    try:
        wanted = importlib.metadata.requires(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        text = f"{PACKAGE} is used from a folder, so nobody has looked for what it needs."
        yield Finding("packages", "note", text, "`pip install -e .` in that folder does.")
        return
    wrong = 0
    for text in wanted:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        mend = f"Run `pip install '{requirement.name}{requirement.specifier}'` where this kernel's Python is, and restart the kernel."
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            wrong += 1
            yield Finding(requirement.name, "problem", "is not installed.", mend)
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong += 1
            why = next((f"{version} {bites}." for start, bites in KERNELS.items() if version.startswith(start)), "")
            known = why if requirement.name == "ipykernel" and why else f"{version} is not supported ({requirement.specifier})."
            yield Finding(requirement.name, "problem", known, mend)
    if not wrong:
        yield Finding("packages", "ok", f"{PACKAGE} {importlib.metadata.version(PACKAGE)}, and all that it needs")


def _kernel(session: Session) -> Iterator[Finding]:
    shell = session.shell
    if shell is None:
        yield Finding("kernel", "note", "There is no IPython here: runs are not shown, results are as everywhere.")
    elif getattr(shell, "kernel", None) is None:
        yield Finding("kernel", "ok", f"IPython {importlib.metadata.version('ipython')} in a terminal")
    else:
        version = importlib.metadata.version("ipykernel")
        deaf = f"ipykernel {version} at times hears nothing more from the page: cells or buttons then hang until the kernel is restarted."
        mend = "Run `pip install -U 'ipykernel>=7.4'` where this kernel's Python is, and restart the kernel."
        is_deaf = version.startswith(DEAF_KERNELS)
        yield Finding("kernel", "note", deaf, mend) if is_deaf else Finding("kernel", "ok", f"ipykernel {version}")
    trouble = session.follower.trouble
    if trouble:
        mend = "The log of `resonate_notebook` has all of it; runs are not touched."
        yield Finding("picture", "problem", f"It met an error: {trouble}", mend)


def _front_end(session: Session) -> Iterator[Finding]:
    mode = session.mode()
    if session.settings.render != "auto":
        yield Finding("live graph", "note", f"render={session.settings.render} is set.", "`%resonate config render=auto` takes it back.")
    if getattr(session.shell, "kernel", None) is None:
        yield Finding("live graph", "ok", f"not needed here: runs are shown as {mode}")
        return
    with session.follower.lock:
        greeted = any(widget.greeted for followed in session.follower.runs.values() for widget in followed.widgets)
    if greeted:
        yield Finding("live graph", "ok", "A page shows it.")
        return
    from jupyter_core.paths import jupyter_path

    folders = [Path(folder) for folder in jupyter_path("labextensions")]
    missing = [package for name, package in FRONT_ENDS.items() if not any((folder / name).is_dir() for folder in folders)]
    if missing:
        text = f"JupyterLab's part of {' and '.join(missing)} is not installed beside this kernel."
        mend = f"Run `pip install {' '.join(missing)}` where JupyterLab itself is installed, and load the page again."
        yield Finding("live graph", "note", text, mend)
    else:
        yield Finding("live graph", "ok", "The front-end of anywidget is installed.")


def _graphviz() -> Iterator[Finding]:
    program = shutil.which("dot")
    if program is None:
        yield Finding("Graphviz", "note", "`dot` is not here, so no PNG or PDF can be exported.", INSTALL_DOT)
        return
    try:
        done = subprocess.run([program, "-V"], capture_output=True, timeout=DOT_LIMIT_S, check=False)  # noqa: S603 - found on the path
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().partition("\n")[0]
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding("Graphviz", "problem", f"`dot` does not answer: {error}", INSTALL_DOT)
        return
    yield Finding("Graphviz", "ok", said.removeprefix("dot - ") or program)


# ---- where it is connected ---------------------------------------------------------------------------------------------------


def _place(session: Session) -> Iterator[Finding]:
    place = session.connected_to
    if place.kind == "memory":
        yield Finding("connected", "ok", "in memory: runs end with this kernel. `%resonate connect local --db runs.db` keeps them.")
    elif place.kind == "file" and place.path is not None:
        yield from _file(place.path)
    else:
        url = place.url or f"http://127.0.0.1:{place.port}"
        yield from _server(session, session.server.url if session.server is not None else url)


def _file(path: Path) -> Iterator[Finding]:
    about = path.name
    if not path.exists():
        mend = "Put it back, or connect again: `%resonate connect local --db FILE`."
        yield Finding(about, "problem", f"{path} is gone; what it held cannot be read.", mend)
        return
    refused = [str(each) for each in (path, path.parent) if not os.access(each, os.W_OK)]
    if refused:
        mend = "Give yourself the right to write there, or connect to another file."
        yield Finding(about, "problem", f"{' and '.join(refused)} cannot be written by this user.", mend)
    free = shutil.disk_usage(path.parent).free
    size = sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*") if each.is_file())
    room = f"{path}, {size_text(size)}, {size_text(free)} free"
    if free < ROOM_LIMIT:
        yield Finding(about, "problem", f"{room}: too little to write, so runs wait.", "Make room; the runs go on by themselves.")
    elif free < ROOM_SCARCE:
        yield Finding(about, "note", f"{room}.", "Make room before it is full; `%resonate prune 30d` deletes old runs.")
    elif not refused:
        yield Finding(about, "ok", room)


def _server(session: Session, url: str) -> Iterator[Finding]:
    shown = without_credentials(url)[0]
    began = time.monotonic()
    try:
        session.client.reach(REACH_LIMIT_S)
    except ResonateError as error:
        yield Finding(shown, "problem", _reason(error), _how_to_reach(url))
        return
    spoken = session.client.where[1].rpartition(", ")[2]
    yield Finding(shown, "ok", f"answers within {duration(time.monotonic() - began)}: {spoken}, group {session.connected_to.group}")
    yield from _clock(url)


def _other_server(url: str) -> Iterator[Finding]:
    whole = url if "://" in url else f"http://{url}"
    shown = without_credentials(whole)[0]
    began = time.monotonic()
    try:
        client = open_place(Place("remote", url=whole), Registry()).client
    except (ResonateError, ValueError, OSError) as error:
        yield Finding(shown, "problem", _reason(error), _how_to_reach(whole))
        return
    spoken = client.where[1].rpartition(", ")[2]
    client.stop()
    yield Finding(shown, "ok", f"answers within {duration(time.monotonic() - began)}: {spoken}")
    yield from _clock(whole)


def _reason(error: Exception) -> str:
    return str(getattr(error, "mesg", "") or error).partition(" Runs go on as soon")[0]


def _how_to_reach(url: str) -> str:
    """What to do about a server that does not answer, by what does answer there."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((host, port), REACH_LIMIT_S).close()
    except socket.gaierror:
        return f"The name {host} is not known here: look at its spelling, or at the network."
    except ConnectionRefusedError:
        return f"Nothing listens at port {port} of {host}: start the server, or `%resonate connect dev` for a small one of your own."
    except TimeoutError:
        return f"{host} does not answer at all: a firewall, a VPN that is off, or a machine that is down."
    except (OSError, ValueError) as error:
        return f"No connection: {error}."
    return f"Something listens at port {port} of {host}, and is no Resonate Server: look at the port, and at what runs there."


def _clock(url: str) -> Iterator[Finding]:
    """The server's clock beside ours: deadlines are reckoned here and kept there."""
    difference = clock_difference_s(url)
    if difference is None:
        yield Finding("clock", "note", "The server does not tell its time, so the clocks cannot be compared.")
    elif abs(difference) <= CLOCK_LIMIT_S:
        yield Finding("clock", "ok", "as the server's, to within 2 s")
    else:
        how = f"{duration(abs(difference))} {'ahead of' if difference < 0 else 'behind'} the server's"
        mend = "Timeouts and sleeps are off by as much. Set both clocks by NTP (`timedatectl set-ntp true`)."
        yield Finding("clock", "problem", f"This machine's clock is {how}.", mend)


def clock_difference_s(url: str) -> float | None:
    """The server's clock less ours in seconds, to about one; None where it does not tell."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    try:
        with closing(kind(parts.hostname or "", parts.port, timeout=REACH_LIMIT_S)) as connection:
            began = time.time()
            connection.request("GET", parts.path or "/")
            told = connection.getresponse().getheader("Date")
            middle = (began + time.time()) / 2
        # A date is cut to the second, so on average half a second has gone by since.
        return None if told is None else email.utils.parsedate_to_datetime(told).timestamp() + 0.5 - middle
    except (OSError, HTTPException, ValueError):
        return None


def _functions(session: Session) -> Iterator[Finding]:
    names = sorted({name for name, _, _ in session.client.registry.functions()})
    if not names:
        mend = "`%%resonate register` on top of a cell registers the functions in it."
        yield Finding("functions", "note", "No function is registered.", mend)
    else:
        yield Finding("functions", "ok", f"{len(names)} registered: {', '.join(names[:8])}{', …' * (len(names) > 8)}")
    if session.connected_to.kind != "file":
        return
    waiting: dict[str, list[str]] = {}
    for run_id, name in session.client.unfinished().items():
        if name not in names:
            waiting.setdefault(name, []).append(run_id)
    for name, ids in waiting.items():
        shown = ", ".join(ids[:3]) + ", …" * (len(ids) > 3)
        text = f"{shown} wait{'s' * (len(ids) == 1)} for `{name}`, which is not registered here."
        yield Finding("functions", "problem", text, "Run the cell that registers it, and the runs go on.")


def _failing(session: Session) -> Iterator[Finding]:
    """Calls that fail again and again, so that somebody may be waiting in vain."""
    session.follower.pump()
    with session.follower.lock:
        models = [followed.model for followed in session.follower.runs.values() if not followed.model.settled]
        failing = [
            (node.id, model.run_id, node.attempt - (node.state == "running"), node.error)
            for model in models for node in model.nodes
            if node.state in {"running", "retrying"} and node.attempt - (node.state == "running") >= ATTEMPTS_FAILED_MIN
        ]  # fmt: skip
    for call, run_id, times, error in failing[:FAILING_SHOWN_MAX]:
        yield Finding(call, "problem", f"has failed {times:,} times{f': {error}' if error else ''}", old_code(call, run_id))


def address(url: str) -> str:
    """The address to look at; a `Mistake` when it is none."""
    try:
        parts = urlsplit(url if "://" in url or not url else f"http://{url}")
        if url and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0):
            raise ValueError(url)
    except ValueError:
        raise Mistake(f"{url} is no address of a server. Write it as `http://localhost:8001`.", "url") from None
    return url
