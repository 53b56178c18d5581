"""Where the prints, log records and warnings of durable functions go: to their call, not into whatever cell is running.

While a durable function of this kernel's client runs, `current_context` names its call. By that, and by nothing else, text is told
from everybody else's, so what copies the context (tasks, `asyncio.to_thread`) is told too, and a plain thread is not.

- *Prints*: a `Stream` stands in the place of `sys.stdout` and of `sys.stderr`. It is the stream that was there in everything and for
  everybody; only code of a durable function finds another `write`. Whoever puts another stream in its place (a capture,
  `redirect_stdout`) gets what is printed meanwhile, and puts ours back. A terminal's prompt brings streams of its own; there their class
  gets another `write`.
- *Log records*: all that a logger lets through go through `Logger.callHandlers`. The record is kept as a line; then its handlers get it as
  ever, so files are written, but none shows it on our streams. (A handler on the root logger would miss loggers that do not propagate,
  make `logging.basicConfig` do nothing, and silence `logging.lastResort` for everybody.)
- *Warnings* go through `warnings.showwarning`.

Taking away undoes only what still stands as it was put; what somebody else has put in front of ours stays, and ours hands everything on.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

from resonate.context import Context, current_context
from resonate.loggers import FUNCTIONS
from resonate_notebook.lines import Lines

_TOLD: Final[ContextVar[bool]] = ContextVar("resonate_notebook_told", default=False)
"""A record is with its handlers: it is kept already, and what they print is nothing more."""


class Stream:
    """A stream in whose place it stands, whatever is asked of it; but code of a durable function writes to `keep`.

    What others set on it is set on that stream: IPython, for one, gives the streams another `write` for the time of a cell.
    """

    __slots__ = ("_below", "_keep")

    def __init__(self, below: Any, keep: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        object.__setattr__(self, "_below", below)
        object.__setattr__(self, "_keep", keep)

    @property
    def write(self) -> Callable[..., Any]:
        """Where text goes."""
        write: Callable[..., Any] = self._keep(self._below.write)
        return write

    @write.setter
    def write(self, write: Callable[..., Any]) -> None:
        self._below.write = write

    @write.deleter
    def write(self) -> None:
        del self._below.write

    def writelines(self, texts: Any) -> None:
        """As `write`, for each of several texts."""
        for text in texts:
            self.write(text)

    @property  # type: ignore[misc] # so that `isinstance` answers as for the stream itself
    def __class__(self) -> Any:
        return type(self._below)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "write":
            object.__setattr__(self, name, value)
        else:
            setattr(self._below, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._below, name)

    def __dir__(self) -> list[str]:
        return dir(self._below)

    def __repr__(self) -> str:
        return repr(self._below)

    def __iter__(self) -> Any:
        return iter(self._below)

    def __enter__(self) -> Any:
        return self._below.__enter__()

    def __exit__(self, *error: object) -> Any:
        return self._below.__exit__(*error)


class Output:
    """The streams, loggers and warnings of this process with ours in front.

    `lines(context)` answers where the text of a call is kept, or None; `place(filename)` how a file is called where a warning names it.
    """

    def __init__(self, lines: Callable[[Context], Lines | None], place: Callable[[str], str], shell: Any = None) -> None:
        self._lines = lines
        self._name_file = place
        self._active = True
        self._undo: list[Callable[[], None]] = []
        self._shown: list[Any] = []  # the streams, as they are and as they look
        for name in ("stdout", "stderr"):
            if getattr(sys, name, None) is not None:
                self._put(sys, name, partial(Stream, keep=partial(self._kept, name)))
        if getattr(shell, "pt_app", None) is not None:
            from prompt_toolkit.patch_stdout import StdoutProxy  # IPython's own; it takes both streams, and does not say which

            self._put(StdoutProxy, "write", lambda write: lambda stream, text: self._kept("stdout", partial(write, stream))(text))
        self._put(logging.Logger, "callHandlers", self._caller)
        self._put(logging.StreamHandler, "emit", self._emitter)
        self._put(warnings, "showwarning", self._warner)
        _ALL.add(self)

    def close(self) -> None:
        """Takes everything away again."""
        self.stop()
        while self._undo:
            self._undo.pop()()

    def stop(self) -> None:
        """From now on everything is handed on."""
        self._active = False

    def _put(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Puts what `make` makes of `owner.name` in its place."""
        before = getattr(owner, name)
        ours = make(before)
        if owner is sys:
            self._shown += [before, ours]
        setattr(owner, name, ours)

        def undo() -> None:
            if getattr(owner, name) is ours:
                setattr(owner, name, before)

        self._undo.append(undo)

    def _place(self) -> tuple[Context, Lines] | None:
        """The call that runs here and where its lines are kept; None for everybody else."""
        context = current_context()
        if context is None or not self._active:
            return None
        lines = self._lines(context)
        return None if lines is None else (context, lines)

    # ---- what stands in front of others --------------------------------------------------------------------------------------

    def _kept(self, stream: str, write: Callable[..., Any]) -> Callable[..., Any]:
        """`write` itself, but for a durable function's code what keeps its text."""
        place = self._place()
        if place is None:
            return write
        context, lines = place

        def keep(text: str) -> int:
            if not isinstance(text, str):
                raise TypeError(f"write() argument must be str, not {type(text).__name__}")
            if not _TOLD.get():
                lines.write(time.time(), context.run_id, context.id, context.info.attempt, stream, text)
            return len(text)

        return keep

    def _caller(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def ours(logger: logging.Logger, record: logging.LogRecord) -> Any:
            place = None if _TOLD.get() else self._place()
            if place is None:
                return call(logger, record)
            context, lines = place
            stream = f"log {record.levelname.lower()}"
            lines.say(record.created, context.run_id, context.id, context.info.attempt, stream, record.levelno, record_text(record))
            token = _TOLD.set(True)
            try:
                return call(logger, record)
            finally:
                _TOLD.reset(token)

        return ours

    def _emitter(self, emit: Callable[..., Any]) -> Callable[..., Any]:
        def ours(handler: Any, record: logging.LogRecord) -> Any:
            if _TOLD.get() and any(getattr(handler, "stream", None) is each for each in self._shown):
                return None
            return emit(handler, record)

        return ours

    def _warner(self, show: Callable[..., Any]) -> Callable[..., Any]:
        def ours(message: Any, category: Any, filename: Any, lineno: Any, file: Any = None, line: Any = None) -> Any:
            place = self._place() if file is None else None
            if place is None:
                return show(message, category, filename, lineno, file, line)
            context, lines = place
            text = f"{getattr(category, '__name__', category)}: {_text_of(message)} ({self._name_file(filename)}, line {lineno})"
            lines.say(time.time(), context.run_id, context.id, context.info.attempt, "warning", logging.WARNING, text)
            return None

        return ours


def record_text(record: logging.LogRecord) -> str:
    """A record's message, with its logger's name unless that is `ctx.logger`, and the traceback that goes with it."""
    name = "" if record.name == FUNCTIONS.name else f"{record.name}: "
    try:
        text = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + _FORMATTER.formatException(record.exc_info)
    except (Exception, SystemExit):  # arguments that do not fit, or whose own text fails
        text = _text_of(record.msg)
    return name + text


def _text_of(value: Any) -> str:
    try:
        return str(value)
    except (Exception, SystemExit):  # foreign code, and a line of a log is not worth a failure
        return f"<{type(value).__name__} without a text>"


_FORMATTER: Final = logging.Formatter()
_ALL: Final[weakref.WeakSet[Output]] = weakref.WeakSet()


def _after_fork() -> None:
    """What a child prints nobody could read in its memory; it goes to the streams, which hand it to the kernel."""
    for output in list(_ALL):
        output.stop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
