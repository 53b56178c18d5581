"""The kernel's connection: one client, one follower, the settings, and the shell in which cells run.

One session exists at a time, made when it is first needed.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from IPython.core.getipython import get_ipython

from resonate import Resonate
from resonate_notebook import actions
from resonate_notebook.live import Follower, Settings, choose_mode

QUIET: Final = "CRITICAL"
"""What becomes of calls is drawn; lines of a log would land in random cells."""
UNFINISHED_SHOWN_MAX: Final = 100
RENDERS: Final = ("auto", "widget", "svg", "text", "off")


class Session:
    """What the kernel is connected to. Everything in it ends with `close`."""

    def __init__(self) -> None:
        wanted = os.environ.get("RESONATE_NOTEBOOK_RENDER", "auto").lower()
        self.settings = Settings(render=wanted if wanted in RENDERS else "auto")
        self.file: tuple[Path, str] | None = None
        """The file of promises and its durability; None for memory."""
        self._begin(Resonate.local(log_level=QUIET))
        self.shell = get_ipython()
        self.cells = 0  # How many have begun; `execution_count` stands still where a client stores no history, as nbval's.
        if self.shell is not None:
            self.shell.events.register("pre_run_cell", self._cell_begins)
            self.shell.events.register("post_run_cell", self._cell_ends)
        atexit.register(self.close)

    def _begin(self, client: Resonate) -> None:
        self.client = client
        self.follower = Follower(client, self.settings, detail=actions.detail, answer=actions.answer)

    def connect(self, db: str | None, durability: str) -> list[str]:
        """Go over to a file of promises (or to memory, None), with the functions that are registered; the runs in memory that end here.

        When the file cannot be used, that is raised and everything stays as it was.
        """
        path = None if db is None else Path(db).expanduser().absolute()
        client = Resonate.local(path=path, durability=durability, registry=self.client.registry, log_level=QUIET)
        ended = [] if self.file is not None else list(self.client.unfinished())
        self.follower.close()
        self.client.stop()
        self.file = None if path is None else (path, durability)
        self._begin(client)
        client.start()
        for run_id in list(client.unfinished())[-UNFINISHED_SHOWN_MAX:]:
            self.follower.follow(run_id)
        return ended

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
