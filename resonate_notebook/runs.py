"""`Run`: what a person holds of a run, and how waiting for it works.

Waiting goes in slices of a tenth of a second, so that an interrupt is answered at once. The first interrupt detaches: the run
goes on. The cell then lingers for two seconds, because only a cell that still runs can notice a second interrupt, which cancels. Then
the interrupt is raised, so that the cells behind this one are not run as if there were a result.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final, Self

from resonate.errors import ResonateError
from resonate.handle import Handle
from resonate.protocol import TRACEBACK_HEADER
from resonate_notebook import actions
from resonate_notebook.arguments import Mistake
from resonate_notebook.lines import line_text
from resonate_notebook.live import Followed
from resonate_notebook.model import Node, hidden
from resonate_notebook.promises import Promise, look_at
from resonate_notebook.session import Session, without_library
from resonate_notebook.text import arguments_text, call_text, duration, terminal_width, visible, wrapped

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]

    from resonate_notebook.widget import GraphWidget

SLICE_S: Final = 0.1
SECOND_STOP_S: Final = 2.0
LINE_INTERVAL_S: Final = 1.0
TAIL_LINES_MAX: Final = 200
"""Lines that a waiting cell shows at a time; of more the last ones."""
PICTURE_LIMIT_S: Final = 1.0
NARROWEST: Final = 60
"""Columns that a terminal needs for a picture that is redrawn in place."""
FOR_GOOD: Final = " failed for good: "
"""What the SDK's own log line of a call that has failed holds."""
FRAME: Final = re.compile(r'^  File "(.+)", line (\d+), in .*$(?:\n    (?! )(.+)$)?', re.MULTILINE)


class Questions:
    """What a run waits for persons for, looked at while a cell waits for the run; in a page, told there, each question once."""

    def __init__(self, session: Session, followed: Followed) -> None:
        self._follower = session.follower
        self._followed = followed
        self._asked = 0
        self._looked_at = 0
        self._told: set[str] = set()

    def are_asked(self) -> bool:
        """Whether it waits for somebody, as it did a slice ago: what is asked at once is told at once."""
        self._follower.pump()
        self._asked, before = self._followed.model.counts["waiting"], self._asked
        return bool(self._asked) and self._asked == before

    def tell(self) -> None:
        """Where the run has a live picture, say what is new."""
        model = self._followed.model
        if self._followed.widgets and self._looked_at != len(model.nodes):  # a new question is a new call
            self._looked_at = len(model.nodes)
            new = [node.id for node in list(model.nodes) if node.state == "waiting" and node.id not in self._told]
            if new:
                self._told.update(new)
                stop = f"Stop frees the kernel for the picture's form, or for `%resonate resolve {new[0]} VALUE`; the run goes on."
                say(f"{model.run_id} waits for you: {', '.join(new)}. {stop}")


async def _of(handle: Handle[Any]) -> Any:
    return await handle


class StillRunning(TimeoutError):
    """The time to wait is over; the run goes on."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class Detached(KeyboardInterrupt):
    """Waiting was interrupted; what became of the run has been said."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class Failed(Mistake):
    """The run has ended without a result."""


class Run:
    """A durable run. It can be shown, waited for, awaited and looked into.

    run = %resonate run demo.1 pipeline days=30
    run                          # the live graph, again
    run.result(timeout=60)       # its value, or its error raised; TimeoutError when it takes longer (seconds)
    await run                    # the same, leaving the kernel free
    run["demo.1.3"].error        # one call of it: state, value, error, traceback, ...
    run.to_frame()               # all of them as a table of pandas
    """

    def __init__(self, session: Session, id: str, handle: Handle[Any]) -> None:
        self.id = id
        self.session = self._session = session
        self._handle = handle
        self._shown_in = -1  # The cell in which the magic has shown it already.

    def done(self) -> bool:
        """Whether the run has ended, however it did."""
        return self._handle.done()

    def result(self, timeout: float | None = None) -> Any:
        """Waits for the run's value; its error is raised. TimeoutError after `timeout` seconds, and the run goes on."""
        self._until_done(timeout)
        self._pay()
        return self._handle.result(0)

    def wait(self, timeout: float | None = None, *, until: str = "end", logs: bool = False) -> Any:
        """As `result`, and shows the run: live while waiting where it is not shown yet, as a still picture where nobody watches.

        With `until="waiting"` it is over, and answers None, as soon as the run waits for a person (or has ended). With `logs` its calls'
        prints, logs and warnings are shown as they come.
        """
        self.watch(timeout, until=until, logs=logs)
        if until == "waiting" and not self.done():
            return None
        self._pay()
        return self._handle.result(0)

    def watch(self, timeout: float | None = None, *, until: str = "end", logs: bool = False, view: str = "") -> None:
        """As `wait`, without the run's result or error. `view` is what a terminal shows: the tree, or timeline or table."""
        session, mode = self._session, self._session.mode()
        followed = self._followed()
        tail = Tail(session, followed) if logs else None
        screen = Screen(session, followed, tail, view) if mode == "terminal" else tail
        if mode in {"widget", "html", "svg", "text"} and not followed.displays and not followed.widgets:
            self.show(view)
        followed.owed = followed.owed or mode == "static"
        try:
            self._until_done(timeout, screen, followed if until == "waiting" else None)
        finally:
            if screen is not None and self.done():
                session.follower.catch_up(self.id)
            if screen is not None and (self.done() or not screen.left):
                screen.finish()

    def __await__(self) -> Generator[Any, None, Any]:
        return self._awaited().__await__()

    async def _awaited(self) -> Any:
        questions = self._questions()
        ending = asyncio.ensure_future(_of(self._handle))
        try:
            while not (await asyncio.wait([ending], timeout=SLICE_S if questions else None))[0]:
                if questions is not None and questions.are_asked():
                    questions.tell()
            return await ending
        finally:
            ending.cancel()  # where this was: the run goes on
            if self.done():
                self._pay()

    def _questions(self) -> Questions | None:
        """What the run asks its person for, where its picture's form is not heard while a cell waits: in a page."""
        followed = self._session.follower.runs.get(self.id) if self._session.mode() == "widget" else None
        return None if followed is None else Questions(self._session, followed)

    def _until_done(self, timeout: float | None, screen: Screen | Tail | None = None, needy: Followed | None = None) -> None:
        """Waits for the end, or, with `needy`, until that run waits for a person. Interrupts: see the head of this module."""
        deadline = None if timeout is None else time.monotonic() + timeout
        stopped_at: float | None = None
        second_s = SECOND_STOP_S if self._session.shell is not None else 0.0  # a script has a next line, not a next cell
        questions = Questions(self._session, needy) if needy else self._questions()
        while not self._handle.done():
            now = time.monotonic()
            if stopped_at is not None and now - stopped_at >= second_s:
                raise Detached(f"Detached from {self.id}.")
            if stopped_at is None and deadline is not None and now >= deadline:
                raise StillRunning(f"{self.id} has not ended after {duration(timeout or 0)} and goes on.")
            try:
                if questions is not None and stopped_at is None and questions.are_asked():
                    if needy is not None:
                        return
                    questions.tell()
                self._handle.wait(SLICE_S if deadline is None else min(SLICE_S, max(0.0, deadline - now)))
                if screen is not None and stopped_at is None:
                    screen.draw()
            except KeyboardInterrupt:
                if screen is not None:
                    screen.leave()
                if stopped_at is not None:
                    say(actions.cancel(self._session.follower, self.id))
                    raise Detached(f"{self.id} is cancelled.") from None
                stopped_at = time.monotonic()
                again = f" Stop again within {second_s:.0f} s to cancel it. `%resonate attach {self.id}` shows it again."
                say(f"Detached: {self.id} goes on.{again * bool(second_s)}")

    def _pay(self) -> None:
        """After the end: the picture that a kernel nobody watches still owes, and the last state of displays that were drawn."""
        follower = self._session.follower
        followed = follower.catch_up(self.id)
        if followed is None:
            return
        if followed.owed:
            followed.owed = False
            self._show(followed, "static")
        deadline = time.monotonic() + PICTURE_LIMIT_S
        while any(place.mode != "widget" for place in followed.displays) and time.monotonic() < deadline:
            time.sleep(0.01)

    def _followed(self) -> Followed:
        follower = self._session.follower
        ended = self.done() and not self._session.stopped  # what was stopped has no news to wait for
        followed = follower.catch_up(self.id) if ended else follower.follow(self.id)
        if followed is None:
            raise actions.unknown_run(follower, self.id)
        return followed

    # ---- looking in ----------------------------------------------------------------------------------------------------------

    def nodes(self) -> list[Node]:
        """All calls of the run so far, in the order of their creation."""
        return list(self._followed().model.nodes)

    def __getitem__(self, id: str) -> Promise:
        """One call by its promise's id, as `resonate_notebook.get` gives it; KeyError when the run has none."""
        if self._followed().model.node(id) is None:
            raise KeyError(id)
        return look_at(self._session.follower, id, self._session.with_cells)

    def to_frame(self) -> pandas.DataFrame:
        """All calls so far as a `pandas.DataFrame`, one row each, in the order of their creation; ImportError without pandas.

        The index is `id`. Columns: `parent` (id), `name`, `kind` (run, rpc, detached, promise, sleep), `state`, `arguments` (text),
        `attempts`, `created`, `began`, `ended` (times in UTC), `took_s` (seconds; so far, while it goes on), `error` (text).

            run.to_frame().query("state == 'rejected'").sort_values("took_s")
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("`to_frame` needs the package `pandas`: `%pip install pandas` installs it.") from error
        now = time.time()
        with self._session.follower.lock:
            rows = [
                {
                    "id": node.id, "parent": node.parent.id if node.parent else None, "name": node.name, "kind": node.kind,
                    "state": node.state, "arguments": arguments_text(node), "attempts": node.attempt, "created": node.created_at,
                    "began": node.began_at, "ended": node.ended_at, "took_s": node.took_s(now), "error": node.error,
                }
                for node in self._followed().model.nodes
            ]  # fmt: skip
        frame = pandas.DataFrame(rows).set_index("id")
        for column in ("created", "began", "ended"):
            frame[column] = pandas.to_datetime(frame[column].astype(float), unit="s", utc=True)
        return frame.astype({"took_s": float})

    @property
    def graph(self) -> GraphWidget[Followed]:
        """A live graph of the run as a widget, to be placed in a layout of widgets."""
        return self._session.follower.widget(self._followed())

    def __repr__(self) -> str:
        return visible(f"Run {self.id}" if self._session.settings.stable else self._followed().model.summary())

    # ---- showing -------------------------------------------------------------------------------------------------------------

    def show(self, view: str = "") -> Self:
        """Shows the run in this cell, live where somebody watches; where nobody does, the picture comes when it is waited for.

        `view` is graph, tree, timeline or table; without it the graph, or the tree where there are many calls.
        """
        followed, mode = self._followed(), self._session.mode()
        if mode == "static" and not self.done():
            followed.owed = True  # A still picture of a beginning helps nobody.
        else:
            self._show(followed, mode, view)
        return self

    def launched(self, told: str, *, is_new: bool | None = None) -> Self:
        """Shows a run that the magic has just launched, or found; `told` says what it found, unless the run `is_new` all the same."""
        mode, is_new = self._session.mode(), not told if is_new is None else is_new
        if is_new and mode == "terminal":
            say(f"{told or f'{self.id} started.'} `%resonate wait {self.id}` follows it.")
        elif told:
            say(told)
        if mode == "static" and is_new:
            self._followed().owed = True  # Also when it has ended by now: which of the two happens is nothing to depend on.
        elif mode != "terminal":
            self.show()
        self._shown_in = self._session.cells
        return self

    def _show(self, followed: Followed, mode: str, view: str = "") -> None:
        if mode == "terminal":
            say(self._session.follower.text(followed, width=terminal_width(), view=view))
        elif mode != "off":
            self._session.follower.show(followed, mode, view)

    def _ipython_display_(self) -> None:
        # The magic has shown the run in this very cell; that it is also the cell's value does not ask for a second picture.
        if self._shown_in == self._session.cells:
            self._shown_in = -1
            if self._session.mode() == "terminal":
                say(repr(self))  # IPython has written `Out[5]: ` already.
        else:
            self.show()

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """For those who ask for a picture without a display: the one of this moment."""
        return self._session.follower.bundle(self._followed(), "svg")


class Tail:
    """What a run's calls print, log and warn of while it is waited for: each line once, whoever waits."""

    def __init__(self, session: Session, followed: Followed, *, above_tree: bool = False) -> None:
        self._session = session
        self._followed = followed
        self._above_tree = above_tree
        self.left = False

    def take(self, *, all: bool = False) -> list[str]:
        """Lines that have come since the last time; those that are still open only with `all`."""
        followed, stable = self._followed, self._session.settings.stable
        self._session.follower.pump()  # else a call may speak before its name is known
        new = self._session.follower.lines.of(followed.model.run_id, after=followed.tailed, whole=not all)
        if not new:
            return []
        followed.tailed = max(line.changed for line in new)
        if self._above_tree:  # which has the error too
            new = [line for line in new if not (line.stream == "log error" and FOR_GOOD in line.text)]
        left_out = len(new) - TAIL_LINES_MAX
        told = [f"… {left_out:,} more: `%resonate logs {followed.model.run_id}`"] if left_out > 0 else []
        names = {line.id: followed.model.node(line.id) for line in new[-TAIL_LINES_MAX:]}
        return told + [line_text(line, getattr(names[line.id], "name", ""), stable=stable) for line in new[-TAIL_LINES_MAX:]]

    def draw(self, *, all: bool = False) -> None:
        """Shows them in the cell that waits."""
        lines = self.take(all=all)
        if lines:
            say("\n".join(lines))

    def leave(self) -> None:
        """Whoever waited has detached: what comes later is not shown here."""
        self.left = True

    def finish(self) -> None:
        """Shows the last ones."""
        self.draw(all=True)


class Screen:
    """A terminal while a run is waited for: the tree redrawn in place with its logs above, or a line now and then where that cannot be."""

    def __init__(self, session: Session, followed: Followed, tail: Tail | None = None, view: str = "") -> None:
        self._session = session
        self._followed = followed
        self._view = view
        wide = shutil.get_terminal_size().columns > NARROWEST  # a line that wraps would be drawn over in part only
        self._in_place = sys.stdout.isatty() and wide and os.environ.get("TERM") != "dumb" and "NO_COLOR" not in os.environ
        self._tail = tail or (Tail(session, followed, above_tree=True) if self._in_place else None)
        self._drawn_lines = 0
        self.left = False
        self._said = ""
        self._said_at = time.monotonic()

    def draw(self) -> None:
        """Shows the state of this moment; called ten times a second at most."""
        if self._in_place:
            size = shutil.get_terminal_size()
            text = self._text(size.columns - 1, colour=True, rows_max=max(3, size.lines - 8))
            self._write("\n".join(text.split("\n")[: size.lines - 1]))
            return
        if self._tail is not None:
            self._tail.draw()
        if not self._session.settings.stable and time.monotonic() - self._said_at >= LINE_INTERVAL_S:
            summary = self._followed.model.summary()
            if summary != self._said:
                say(summary)
                self._said, self._said_at = summary, time.monotonic()

    def leave(self) -> None:
        """What was drawn stays, because something is about to be said below it."""
        self.left, self._drawn_lines = True, 0

    def finish(self) -> None:
        """Leaves the whole tree on the screen."""
        if self._in_place:
            self._write(self._text(terminal_width(), colour=True), all=True)
        else:
            if self._tail is not None:
                self._tail.finish()
            say(self._text(terminal_width()))

    def _text(self, width: int, **how: Any) -> str:
        return self._session.follower.text(self._followed, width, view=self._view, **how)

    def _write(self, text: str, *, all: bool = False) -> None:
        back = f"\x1b[{self._drawn_lines}F\x1b[J" if self._drawn_lines else ""
        above = "".join(f"{wrapped(line)}\n" for line in self._tail.take(all=all)) if self._tail is not None else ""
        sys.stdout.write(f"{back}{above}{text}\n")
        sys.stdout.flush()
        self._drawn_lines = text.count("\n") + 1


def say(text: str) -> None:
    """Prints text of ours without secrets; whatever foreign text is in it can do nothing to the terminal, whose width breaks no word."""
    sys.stdout.write("\n".join(wrapped(visible(hidden(line))) for line in text.split("\n")) + "\n")


def failure(session: Session, id: str) -> Failed | None:
    """What to say of a run that has ended without a result: the step, the place in the code, the next step. None for any other."""
    followed = session.follower.catch_up(id)
    node = actions.failed_step(followed) if followed is not None else None
    if followed is None or node is None or followed.model.root is None:
        return None
    state = followed.model.root.state
    if state == "cancelled":
        return Failed(f"{id} was cancelled.")
    if state not in {"rejected", "timedout"}:
        return None
    tries = f" after {node.attempt} attempts" if node.attempt > 1 else ""
    lines = [f"{id} {actions.word_of(state)}{tries}" + (f": {node.error}" if node.error else "")]
    where, note = failed_at(session, node)
    if node is not followed.model.root or where:
        lines.append(f"    {node.id} {call_text(node, 60)}{f'   {where}' if where else ''}")
    lines += [f"    {note}"] * bool(note)
    done = sum(each.state in {"resolved", "recovered"} for each in followed.model.nodes)
    mend = f"Mend `{node.name}`, run its cell, then `%resonate" if node.kind != "promise" else "`%resonate"
    over = f" with the {done} step{'s' * (done != 1)} that succeeded taken over, and runs only the rest." if done else " from the start."
    lines.append(f"    A finished run is never changed. {mend} retry {id}` starts a new one{over}")
    return Failed("\n".join(lines))


def failed_at(session: Session, node: Node) -> tuple[str, str]:
    """(`cell 4, line 6: raise ValueError("no rows")`, a note behind the error), from the traceback kept beside it; "" for what it lacks.

    Where the error arose in the SDK, as for a result that cannot be stored, it is the place where the function begins.
    """
    try:
        promise = actions.get_promise(session.follower, node.id)
    except ResonateError:
        return "", ""
    headers = (promise.value.headers or {}) if promise is not None else {}
    kept = headers.get(TRACEBACK_HEADER, "")
    note = kept.rpartition(f"\n{node.error}\n")[2].strip() if node.error and f"\n{node.error}\n" in kept else ""
    frames = FRAME.findall(without_library(kept))
    if frames:
        file, line, code = frames[-1]
        return f"{session.place(file)}, line {line}" + (f": {code.strip()}" if code else ""), note
    function = session.client.registry.find(node.name) or getattr(session.shell, "user_ns", {}).get(node.name)
    code = getattr(function, "__code__", None)
    return (f"{session.place(code.co_filename)}, line {code.co_firstlineno}" if kept and code is not None else ""), note
