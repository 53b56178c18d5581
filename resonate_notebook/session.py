"""The kernel's connection: one client, one follower, the settings, and the shell in which cells run.

A kernel has one session, made when it is first needed. A client that a script, or a cell, has made by itself is watched by a session of
its own, which leaves the client alone when it ends.
"""

from __future__ import annotations

import atexit
import os
import re
from collections.abc import Callable
from functools import partial
from types import CodeType
from typing import TYPE_CHECKING, Any, Final

from IPython.core.getipython import get_ipython

import resonate
from resonate import Resonate
from resonate.context import Context
from resonate.errors import ResonateStoreError
from resonate.limits import STOP_TIMEOUT_S
from resonate.registry import Registry
from resonate_notebook import actions
from resonate_notebook.arguments import Mistake
from resonate_notebook.lines import Lines
from resonate_notebook.live import Follower, Settings, choose_mode
from resonate_notebook.output import Output
from resonate_notebook.places import Place, open_place

if TYPE_CHECKING:
    from resonate.server import DevelopmentServer

UNFINISHED_SHOWN_MAX: Final = 100
LAUNCHED_MAX: Final = 10_000
FRAME_FILE: Final = re.compile(r'^  File "(.+?)"(?=, line \d)', re.MULTILINE)
LIBRARY_FRAME: Final = re.compile(rf'^  File "{re.escape(os.path.dirname(resonate.__file__) + os.sep)}.*\n(?:    .*\n)*', re.MULTILINE)
WATCHED_MAX: Final = 8
"""Clients of somebody else's whose runs stay live in a notebook; the one that was shown first gives way."""
STOP_LIMIT_S: Final = 0.4
"""What `stop` gives the client's threads; the pictures' threads have `live.CLOSE_LIMIT_S` before."""
RENDERS: Final = ("auto", "widget", "html", "svg", "text", "off")
OUTPUTS: Final = ("node", "cell")


class Session:
    """What the kernel is connected to. Everything in it ends with `close`, but a client that was given."""

    def __init__(self, client: Resonate | None = None) -> None:
        wanted = os.environ.get("RESONATE_NOTEBOOK_RENDER", "auto").lower()
        self.settings = Settings(render=wanted if wanted in RENDERS else "auto")
        self.connected_to = Place()
        self.server: DevelopmentServer | None = None
        """The development server that was started here."""
        self.stopped = False
        self.launched: dict[str, CodeType] = {}
        """The code that runs launched here began with, by id."""
        self._is_owner = client is None
        self._begin(open_place(self.connected_to, Registry()).client if client is None else client)
        self.shell = get_ipython()
        self.output = Output(self._lines_of, self.place, self.shell) if self._is_owner else None  # a script's prints stay where they are
        self.cells = 0  # How many have begun; `execution_count` stands still where a client stores no history, as nbval's.
        if self.shell is not None:
            self.shell.events.register("pre_run_cell", self._cell_begins)
            self.shell.events.register("post_run_cell", self._cell_ends)
        atexit.register(self.close)

    def _begin(self, client: Resonate) -> None:
        self.client = client
        detail = partial(actions.detail, with_cells=self.with_cells)
        is_any_port = self.connected_to.kind == "dev" and not self.connected_to.port
        self.follower = Follower(client, self.settings, detail=detail, answer=actions.answer, is_any_port=is_any_port)

    def connect(self, place: Place) -> list[str]:
        """Go over to another place, with the functions that are registered; the runs in memory or in a file that are left behind.

        When the place cannot be used, that is raised and everything stays as it was.
        """
        connection = open_place(place, self.client.registry, self.server if not self.stopped else None)
        left = self._left_behind() if self.connected_to.kind in {"memory", "file"} and not self.stopped else []
        if connection.server is self.server:
            self.server = None  # It goes on.
        self.stop()
        self.connected_to, self.server, self.stopped = place, connection.server, False
        self.launched.clear()
        self._begin(connection.client)
        self.client.start()
        if place.kind == "file":  # what is on a server is everybody's
            for run_id in list(self.client.unfinished())[-UNFINISHED_SHOWN_MAX:]:
                self.follower.refresh(run_id)  # also one that is at work by now: only the store tells what lies below its ended calls
        return left

    def _left_behind(self) -> list[str]:
        try:
            return list(self.client.unfinished())
        except ResonateStoreError:  # the file is gone or damaged, which must keep nobody there
            return []

    def note_launch(self, run_id: str, code: CodeType) -> None:
        """Remember the code that a run has begun with; of thousands the latest are known."""
        self.launched[run_id] = code
        if len(self.launched) > LAUNCHED_MAX:
            del self.launched[next(iter(self.launched))]

    def _lines_of(self, context: Context) -> Lines | None:
        """Where the prints and logs of this durable function are kept; None where they go as Python puts them."""
        # The registry tells our client's functions from those of a client that somebody has made beside it.
        is_ours = self.settings.output == "node" and context._registry is self.client.registry
        return self.follower.lines if is_ours else None

    def _cell_begins(self, _info: object = None) -> None:
        self.cells += 1
        self.follower.busy = True

    def _cell_ends(self, _result: object = None) -> None:
        self.follower.busy = False

    def mode(self) -> str:
        """How runs are shown to whoever runs the current cell."""
        return choose_mode(self.shell, self.settings.render)

    def cell_of(self, function: Callable[..., Any]) -> str:
        """`cell 4`, or the file's name, for where a function was written."""
        return self.place(function.__code__.co_filename)

    def place(self, filename: str) -> str:
        """`cell 4` for code typed into this kernel (`cell` in stable output), else the file's name."""
        return self._cell(filename) or os.path.basename(filename)

    def with_cells(self, traceback: str) -> str:
        """A traceback that names the cells of this kernel, in place of the files that it compiles them under, without frames of the SDK."""
        traceback = without_library(traceback)
        return FRAME_FILE.sub(lambda found: f"  {self._cell(found[1])}" if self._cell(found[1]) else found[0], traceback)

    def _cell(self, filename: str) -> str:
        number = getattr(getattr(self.shell, "compile", None), "_filename_map", {}).get(filename)
        return "" if number is None else "cell" if self.settings.stable else f"cell {number}"

    def stop(self, limit_s: float = STOP_TIMEOUT_S) -> None:
        """Stops following, then the client and the server that was started here. Runs in memory end; functions stay registered."""
        self.stopped = True
        self.follower.close()
        if self._is_owner:
            self.client.stop(limit_s)
        if self.server is not None:
            self.server.stop()

    def close(self) -> None:
        """Stops everything, and listens to the shell no more."""
        atexit.unregister(self.close)
        if self.shell is not None:
            for event, callback in (("pre_run_cell", self._cell_begins), ("post_run_cell", self._cell_ends)):
                if callback in self.shell.events.callbacks[event]:
                    self.shell.events.unregister(event, callback)
        self.stop()
        if self.output is not None:
            self.output.close()


_current: Session | None = None
_watching: list[Session] = []
"""Sessions for clients that are not the kernel's own."""


def without_library(traceback: str) -> str:
    """A traceback as whoever wrote the functions sees it: without frames of the SDK."""
    return LIBRARY_FRAME.sub("", traceback)


def current(*, even_stopped: bool = False) -> Session:
    """The session of this kernel, made now if there is none. A `Mistake` when it was stopped, unless that is all right."""
    global _current  # noqa: PLW0603 - a kernel has one connection
    if _current is None:
        _current = Session()
    if _current.stopped and not even_stopped:
        line = _current.connected_to.line()
        raise Mistake(f"This kernel is not connected any more: it was stopped. `%resonate {line}` connects it again.")
    return _current


def watching(client: Resonate) -> Session:
    """The session that follows the runs of a client: the kernel's own if it is the kernel's client, else one for it."""
    global _watching  # noqa: PLW0603 - as above
    if _current is not None and not _current.stopped and is_same(_current.client, client):
        return _current
    found = next((each for each in _watching if is_same(each.client, client)), None)
    if found is None:
        found = Session(client)
        _watching = [*_watching, found]
        for oldest in _watching[:-WATCHED_MAX]:
            unwatch(oldest)
    return found


def unwatch(session: Session) -> None:
    """Closes a session that `watching` has made; the kernel's own stays."""
    if session in _watching:
        _watching.remove(session)
        session.close()


def is_same(one: Resonate, other: Resonate) -> bool:
    """Whether two clients are one, or copies of one with other options."""
    return one._shared is other._shared


def end() -> None:
    """Closes the session, and those for other clients; the next verb makes a new one."""
    global _current
    session, _current = _current, None
    while _watching:
        unwatch(_watching[-1])
    if session is not None:
        session.close()
