"""The kernel's connection: one client, one follower, the settings, and the shell in which cells run.

One session exists at a time, made when it is first needed.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from IPython.core.getipython import get_ipython

from resonate import Resonate
from resonate.context import Context
from resonate.registry import Registry
from resonate_notebook import actions
from resonate_notebook.lines import Lines
from resonate_notebook.live import Follower, Settings, choose_mode
from resonate_notebook.output import Output
from resonate_notebook.places import Place, open_place

if TYPE_CHECKING:
    from resonate.server import DevelopmentServer

UNFINISHED_SHOWN_MAX: Final = 100
RENDERS: Final = ("auto", "widget", "svg", "text", "off")
OUTPUTS: Final = ("node", "cell")


class Session:
    """What the kernel is connected to. Everything in it ends with `close`."""

    def __init__(self) -> None:
        wanted = os.environ.get("RESONATE_NOTEBOOK_RENDER", "auto").lower()
        self.settings = Settings(render=wanted if wanted in RENDERS else "auto")
        self.connected_to = Place()
        self.server: DevelopmentServer | None = None
        """The development server that was started here."""
        self._begin(open_place(self.connected_to, Registry()).client)
        self.shell = get_ipython()
        self.output = Output(self._lines_of, self.place, self.shell)
        self.cells = 0  # How many have begun; `execution_count` stands still where a client stores no history, as nbval's.
        if self.shell is not None:
            self.shell.events.register("pre_run_cell", self._cell_begins)
            self.shell.events.register("post_run_cell", self._cell_ends)
        atexit.register(self.close)

    def _begin(self, client: Resonate) -> None:
        self.client = client
        self.follower = Follower(client, self.settings, detail=actions.detail, answer=actions.answer)

    def connect(self, place: Place) -> list[str]:
        """Go over to another place, with the functions that are registered; the runs in memory that end here.

        When the place cannot be used, that is raised and everything stays as it was.
        """
        connection = open_place(place, self.client.registry)
        ended = list(self.client.unfinished()) if self.connected_to.kind == "memory" else []
        self.follower.close()
        self.client.stop()
        if self.server is not None:
            self.server.stop()
        self.connected_to, self.server = place, connection.server
        self._begin(connection.client)
        self.client.start()
        if place.kind == "file":  # what is on a server is everybody's
            for run_id in list(self.client.unfinished())[-UNFINISHED_SHOWN_MAX:]:
                self.follower.follow(run_id)
        return ended

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
        number = getattr(getattr(self.shell, "compile", None), "_filename_map", {}).get(filename)
        if number is None:
            return os.path.basename(filename)
        return "cell" if self.settings.stable else f"cell {number}"

    def close(self) -> None:
        """Stops following, then the client. Runs in memory end here."""
        atexit.unregister(self.close)
        if self.shell is not None:
            for event, callback in (("pre_run_cell", self._cell_begins), ("post_run_cell", self._cell_ends)):
                if callback in self.shell.events.callbacks[event]:
                    self.shell.events.unregister(event, callback)
        self.follower.close()
        self.client.stop()
        self.output.close()
        if self.server is not None:
            self.server.stop()


_current: Session | None = None


def current() -> Session:
    """The session of this kernel, made now if there is none."""
    global _current  # noqa: PLW0603 - a kernel has one connection
    if _current is None:
        _current = Session()
    return _current


def end() -> None:
    """Closes the session; the next verb makes a new one."""
    global _current
    session, _current = _current, None
    if session is not None:
        session.close()
