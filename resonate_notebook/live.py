"""Follows every run of one client: facts in, pictures out.

Two daemon threads, whatever the number of runs:

- The *flusher* wakes ten times a second (less often while many pictures change), takes what the subscription holds, feeds the models and
  publishes what has changed. Nothing else publishes to the page after a display has been made, so batches leave in the order of their
  numbers.
- The *commander* carries out what buttons ask for. A button's message only lands in its queue, and its answer leaves by the flusher.

`lock` guards the models and what is known of the runs. It is never held while publishing or while calling the store. A loop
that meets an error logs it to `resonate_notebook` and goes on; neither thread prints, calls `display`, or runs a user's function.

One display is one mime bundle: the widget's view, a picture (SVG) and the text tree. When the run has ended the same display is
published again with the final picture alone, so that what is saved, printed or committed is the finished graph, and shows without
a kernel. JupyterLab takes a view away whose type has gone from its output, under the reader's hands; so the view is told before
("final"), answers that it will move into the new output ("staying"), and only then the picture is published. A page that gives
no such answer keeps the view in the bundle, and gets the picture alone when the kernel stops.

A front-end from which no widget is heard within three seconds cannot show one (an editor without the extension, a page that may load
nothing). Its display becomes a picture in HTML that is drawn anew as the run goes on, and a line that says why. When the
widget is heard after all, it comes back.
"""

from __future__ import annotations

import html
import json
import logging
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from IPython.core.interactiveshell import InteractiveShell

from resonate import Resonate
from resonate.events import Event
from resonate_notebook.lines import Lines, cut_line
from resonate_notebook.model import RunModel
from resonate_notebook.places import without_port
from resonate_notebook.svg import render_svg
from resonate_notebook.text import render_text
from resonate_notebook.text_views import render_table, render_timeline

if TYPE_CHECKING:
    from resonate_notebook.widget import GraphWidget

FLUSH_INTERVAL_S: Final = 0.1
MESSAGE_INTERVAL_S: Final = 0.01
"""Time for each message to a page: while dozens of pictures change, each changes less often, and a page gets a hundred a second."""
FLUSH_LONGEST_S: Final = 1.0
PICTURE_INTERVAL_S: Final = 0.5
"""How often a live display without a widget is drawn again."""
TICK_INTERVAL_S: Final = 2.0
TROUBLE_PAUSE_S: Final = 1.0
STAY_WAIT_S: Final = 2.0
"""How long the end of a run waits for the page to say that it keeps the view."""
LOG_INTERVAL_S: Final = 0.5
LOG_LINES_MAX: Final = 100
"""Lines of a call that its panel shows, the last ones."""
LOG_LINE_LIMIT: Final = 300
VALUES_MAX: Final = 60
"""Calls whose values the page's table gets with one message, and how many characters of each."""
VALUE_CHARACTERS: Final = 200
HELLO_LIMIT_S: Final = 3.0
"""How long a page may take, while the kernel is free to hear it, until it counts as one that cannot show widgets."""
CLOSE_LIMIT_S: Final = 1.5
FINISHED_RUNS_MAX: Final = 200
FINISHED_CALLS_MAX: Final = 100_000
"""Finished runs that are kept in memory: at most so many with so many calls, and always the last one. Of others the store is asked."""
CATCH_UP_LIMIT_S: Final = 1.0
COMMANDS_MAX: Final = 1_000

WHY_NO_WIDGET: Final = (
    "The live graph has not loaded here, so this is a picture that is drawn anew as the run goes on. "
    "%resonate doctor looks closer; %resonate config render=html asks for pictures at once."
)
TEXT_VIEWS: Final = frozenset({"timeline", "table"})
"""Views that have no still picture: they are text where there is no widget."""

LOG: Final = logging.getLogger("resonate_notebook")
LOG.addHandler(logging.NullHandler())  # Else Python would print errors of our threads into whatever cell is running.


@dataclass(slots=True)
class Settings:
    """What `%resonate config` sets. `render` is auto, widget, html, svg, text or off; `stable` leaves out times and random ids."""

    render: str = "auto"
    stable: bool = False
    output: str = "node"
    """Where prints and logs of durable functions go: to their node, or as ever into some cell."""


@dataclass(slots=True, eq=False)
class Display:
    """One place in the page that shows a run: its id there, who publishes it, and the widget in it if there is one."""

    id: str
    publish: Callable[..., None]
    mode: str
    widget: GraphWidget[Followed] | None = None
    drawn_at: float = 0.0
    view: str = ""
    """The view that was asked for; "" leaves it to the page."""
    needs_word: bool = False
    """Nobody has said that this page shows widgets: without a word from it, it gets a picture."""
    silent_since: float = 0.0
    """Since when the page could have said something (monotonic)."""
    why: str = ""
    """Why there is a picture where the widget was."""
    told_at: float = 0.0
    """When the page was told that the run has ended (monotonic)."""
    stays: bool = False
    """The page keeps the live view by itself; the output may become a plain picture."""

    @property
    def still(self) -> str:
        """The mode of the picture that is left in the end."""
        return self.mode if self.mode in {"text", "html"} and not self.why else "svg"


@dataclass(slots=True, eq=False)
class Followed:
    """One run that is followed: its picture and everything that shows it."""

    model: RunModel
    widgets: weakref.WeakSet[GraphWidget[Followed]] = field(default_factory=weakref.WeakSet)
    displays: list[Display] = field(default_factory=list)
    changed: bool = True
    owed: bool = False
    """A kernel that nobody watches launched it with the magic and shows it when it is waited for."""
    tailed: int = 0
    """Up to which mark cells that waited have shown its lines."""


class Follower:
    """The models of all runs of `client`, kept up to date and published; of finished ones the last."""

    def __init__(
        self, client: Resonate, settings: Settings, *, detail: Callable[[Follower, Followed, str], dict[str, Any]],
        answer: Callable[[Follower, Followed, dict[str, Any]], dict[str, Any]], is_any_port: bool = False,
    ) -> None:  # fmt: skip
        self.client = client
        self.is_any_port = is_any_port  # the server's, which stable pictures leave out then
        self.settings = settings
        self._detail = detail  # what a panel shows, and what a button asks for: made elsewhere, carried out by the commander
        self._answer = answer
        self.lock = threading.RLock()
        self.runs: dict[str, Followed] = {}
        self.lines = Lines()
        self.busy = False
        self.trouble = ""
        self._closed = False
        self._resync = False
        self._subscription = client.subscribe()
        self._commands: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._outbox: deque[tuple[GraphWidget[Followed], dict[str, Any] | None]] = deque()  # None: a tick, of when it is sent
        self._staying: deque[GraphWidget[Followed]] = deque()
        self._ended: deque[tuple[Followed, Display]] = deque(maxlen=FINISHED_RUNS_MAX)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._flush_forever, name="resonate-flusher", daemon=True),
            threading.Thread(target=self._command_forever, name="resonate-commander", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    # ---- facts in ------------------------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Takes in what the subscription holds. Any thread may; the lock keeps the order of facts."""
        with self.lock:
            events = self._subscription.read(timeout_s=0)
            try:
                for event in events:
                    self._take(event)
            except BaseException:  # An interrupt may fall in here; what was read and not taken comes back by a snapshot.
                self._resync = True
                raise

    def _take(self, event: Event) -> None:
        followed = self.runs.get(event.run)
        if followed is None:
            where, label = self.client.where
            label = label.replace("http://", "").partition(" protocol")[0]  # of a server; the head of a picture has little room
            label = without_port(label) if self.is_any_port and self.settings.stable else label
            followed = self.runs[event.run] = Followed(RunModel(event.run, where=where, where_label=label))
            self._forget_oldest()
        followed.model.apply(event)
        followed.changed = True

    def _forget_oldest(self) -> None:
        finished = [(run_id, followed.model) for run_id, followed in self.runs.items() if followed.model.settled and not followed.displays]
        kept = calls = 0
        for _, model in reversed(finished):
            calls += len(model.nodes)
            if kept and (kept >= FINISHED_RUNS_MAX or calls > FINISHED_CALLS_MAX):
                break
            kept += 1
        self.forget([run_id for run_id, _ in finished[: len(finished) - kept]])

    def forget(self, run_ids: Iterable[str]) -> None:
        """Follow these runs no more; their pictures stay as they are."""
        with self.lock:
            for run_id in run_ids:
                self.runs.pop(run_id, None)
                self.lines.forget(run_id)

    def follow(self, run_id: str) -> Followed | None:
        """The run with this id, from a snapshot of the store where it is not followed yet; None when there is no such run."""
        self.pump()
        followed = self.runs.get(run_id)
        if followed is None or followed.model.root is None:
            followed = self.refresh(run_id)
        if followed is not None and not followed.model.settled:
            self.client.follow(followed.model.run_id)  # others may work on it, or on a part of it
        return followed

    def refresh(self, run_id: str) -> Followed | None:
        """The run, with all that the store says of it; None when there is no such run."""
        events = self.client.snapshot(run_id)
        with self.lock:
            for event in events:
                self._take(event)
            return self.runs.get(events[0].run) if events else None

    def catch_up(self, run_id: str) -> Followed | None:
        """The run, with its end: for a run whose handle is done. The last facts may be a moment behind the handle."""
        deadline = time.monotonic() + CATCH_UP_LIMIT_S
        while (followed := self.follow(run_id)) is not None and not followed.model.settled and time.monotonic() < deadline:
            time.sleep(0.005)
        return followed if followed is None or followed.model.settled else self.refresh(run_id)

    def find(self, promise_id: str) -> Followed | None:
        """The followed run that has this promise; a custom id tells nothing of its run."""
        self.pump()
        with self.lock:
            return next((followed for followed in reversed(self.runs.values()) if followed.model.node(promise_id)), None)

    # ---- pictures out --------------------------------------------------------------------------------------------------------

    def text(self, followed: Followed, width: int = 80, *, colour: bool = False, rows_max: int = 200, view: str = "") -> str:
        """The run as text: as a tree, unless `view` is timeline (which needs times, so not in stable output) or table."""
        with self.lock:
            model, now, stable = followed.model, time.time(), self.settings.stable
            if view == "timeline" and not stable:
                return render_timeline(model, now, width=width, colour=colour, rows_max=rows_max)
            if view == "table":
                return render_table(model, now, width=width, stable=stable, colour=colour, limit=rows_max)
            return render_text(model, now, width=width, stable=stable, colour=colour, rows_max=rows_max)

    def bundle(
        self, followed: Followed, mode: str, widget: GraphWidget[Followed] | None = None, *, view: str = "", why: str = ""
    ) -> dict[str, Any]:
        """The mime bundle that shows the run: text always, a picture unless `mode` is text, the widget's view if there is one."""
        bundle: dict[str, Any] = {"text/plain": self.text(followed, view=view)}
        is_text = widget is None and view in TEXT_VIEWS
        if mode != "text" and not (is_text and mode != "html"):
            with self.lock:
                svg = "" if is_text else render_svg(followed.model, time.time(), stable=self.settings.stable)
            picture = f"<pre>{html.escape(bundle['text/plain'])}</pre>" if is_text else svg
            note = "".join(f"<p>{html.escape(said)}</p>" for said in (why, followed.model.away) if said)
            bundle |= {"text/html": f"<div>{note}{picture}</div>"} if mode == "html" else {"image/svg+xml": svg}
        return bundle if widget is None else {**widget.view_bundle(), **bundle}

    def widget(self, followed: Followed, view: str = "") -> GraphWidget[Followed]:
        """A new live graph of the run, which begins with this view."""
        from resonate_notebook.widget import GraphWidget

        def source(followed: Followed) -> dict[str, Any]:
            with self.lock:
                followed.model.busy = self.busy
                return followed.model.snapshot(time.time())

        def post(widget: GraphWidget[Followed], message: dict[str, Any]) -> None:
            if self._commands.qsize() < COMMANDS_MAX:
                self._commands.put(lambda: self._obey(widget, message))

        widget = GraphWidget(followed, source, post, view)
        self._attach(widget, followed)
        return widget

    def _attach(self, widget: GraphWidget[Followed], followed: Followed) -> None:
        with self.lock:
            widget.about.widgets.discard(widget)
            if not followed.widgets:
                followed.model.take_operations()  # Nobody has needed them; the snapshot holds them all.
            followed.widgets.add(widget)
            widget.about, widget.wants_snapshot, widget.detached = followed, True, False

    def _move(self, widget: GraphWidget[Followed], followed: Followed) -> None:
        """The widget shows another run from now on, and so does the picture that its displays leave in the end."""
        self._attach(widget, followed)
        with self.lock:
            places = [place for _, place in self._ended if place.widget is widget]
            self._ended = deque((pair for pair in self._ended if pair[1] not in places), maxlen=FINISHED_RUNS_MAX)
            for other in self.runs.values():
                places += [place for place in other.displays if place.widget is widget]
                other.displays = [place for place in other.displays if place.widget is not widget]
            for place in places:
                place.told_at = 0.0
            followed.displays += places
            followed.changed = True

    def link(self, old_id: str, new_id: str) -> None:
        """The run `new_id` retries `old_id`: the pictures of both lead to each other."""
        old, new = self.follow(old_id), self.follow(new_id)
        with self.lock:
            if old is not None:
                old.model.retried_as, old.changed = new_id, True
            if new is not None:
                new.model.retry_of, new.changed = old_id, True

    def show(self, followed: Followed, mode: str, view: str = "") -> None:
        """Shows the run in the cell that runs now, on the main thread; it stays live there until the run has ended."""
        widget = self.widget(followed, view) if mode == "widget" else None
        publish = InteractiveShell.instance().display_pub.publish
        now_s = time.monotonic()
        place = Display(uuid.uuid4().hex, publish, mode, widget, now_s, view, self.settings.render == "auto", now_s)
        live = mode == "widget" or not followed.model.settled
        if live and mode != "static":
            publish(self.bundle(followed, mode, widget, view=view), {}, transient={"display_id": place.id})
            with self.lock:
                followed.displays.append(place)
                followed.changed = True
        else:
            publish(self.bundle(followed, mode, view=view), {})

    # ---- the flusher ---------------------------------------------------------------------------------------------------------

    def _flush_forever(self) -> None:
        pause_s = FLUSH_INTERVAL_S
        while not self._stopping.wait(pause_s):
            try:
                self.pump()
                if self._subscription.gap or self._resync:
                    self._resync = False
                    for run_id in [run_id for run_id, followed in list(self.runs.items()) if not followed.model.settled]:
                        self.refresh(run_id)
                pause_s = min(max(FLUSH_INTERVAL_S, self._flush() * MESSAGE_INTERVAL_S), FLUSH_LONGEST_S)
            except (Exception, SystemExit) as error:
                pause_s = TROUBLE_PAUSE_S
                self._note(error)

    def _note(self, error: BaseException) -> None:
        self.trouble = f"{type(error).__name__}: {error}"
        LOG.error("The notebook's picture of the runs met an error and goes on.", exc_info=error)

    def _flush(self) -> int:
        """Publishes what has changed; answers how many messages that took."""
        while self._outbox:
            widget, message = self._outbox.popleft()
            widget.send(_tick(widget.about.model) if message is None else message)
        while self._staying:
            self._keep_view(self._staying.popleft())
        now_s = time.monotonic()
        with self.lock:
            work = [followed for followed in self.runs.values() if followed.widgets or followed.displays]
            for followed in work:
                away = "" if followed.model.settled else self.client.trouble
                followed.changed |= away != followed.model.away
                followed.model.away = away
            changed = [followed for followed in work if followed.changed]
            for followed in work:
                followed.changed = False
        sent = 0
        for followed in work:
            sent += self._flush_widgets(followed, now_s)
            self._flush_displays(followed, now_s, was_changed=followed in changed)
        return sent

    def _flush_widgets(self, followed: Followed, now_s: float) -> int:
        model = followed.model
        from resonate_notebook.widget import Told

        sends: list[tuple[GraphWidget[Followed], Told]] = []
        with self.lock:
            listening = [widget for widget in followed.widgets if widget.comm is not None and not widget.detached]
            model.busy = self.busy
            operations = model.write_operations() if listening else ""
            tick = _tick(model)
            batch = Told(f'{{"kind":"ops","seq":{tick["seq"]},"now":{tick["now"]},"ops":[{operations}]}}')
            whole: Told | None = None
            for widget in listening:
                if widget.snapshot_due(now_s):
                    whole = whole or Told(model.write_snapshot(time.time()))
                    sends.append((widget, whole))
                elif operations:
                    sends.append((widget, batch))
                elif not model.settled and now_s - widget.sent_at >= TICK_INTERVAL_S:
                    sends.append((widget, Told(json.dumps(tick))))
        logs = ((widget, self._log(followed, widget, now_s)) for widget in listening)
        sends += [(widget, Told(json.dumps(log, ensure_ascii=False))) for widget, log in logs if log]
        for widget, message in sends:
            widget.sent_at = now_s
            widget.tell(message)
            if message is whole:
                widget.space_out(time.monotonic() - now_s)
        return len(sends)

    def _log(self, followed: Followed, widget: GraphWidget[Followed], now_s: float) -> dict[str, Any] | None:
        """What the call whose panel is open has said since the page was told last; None when that is nothing."""
        if not widget.watched or now_s - widget.logged_at < LOG_INTERVAL_S:
            return None
        model, call = followed.model, widget.watched
        new = self.lines.of(model.run_id, call, after=widget.logged_to)
        if not new:
            return None
        widget.logged_to, widget.logged_at = max(line.changed for line in new), now_s
        lines = [
            [line.number, model.relative_ms(line.at), line.attempt, line.stream, cut_line(line.text, LOG_LINE_LIMIT)]
            for line in new[-LOG_LINES_MAX:]
        ]
        return {"kind": "log", "id": call, "lines": lines, "total": self.lines.total(model.run_id, call)}

    def _flush_displays(self, followed: Followed, now_s: float, *, was_changed: bool) -> None:
        ended = followed.model.settled and not was_changed  # One quiet interval: what came with the end is in the picture.
        with self.lock:
            places = list(followed.displays)
        for place in places:
            awaits_word = self._awaits_word(followed, place, now_s)
            due = place.mode != "widget" and was_changed and now_s - place.drawn_at >= PICTURE_INTERVAL_S
            if not (ended or due):
                followed.changed |= was_changed and place.mode != "widget"
                continue
            waits = awaits_word or now_s - (place.told_at or now_s) < STAY_WAIT_S
            if place.widget is not None and place.mode == "widget" and not place.stays and waits:
                if not place.told_at:
                    self._outbox.append((place.widget, {"kind": "final"}))
                if not place.told_at or self.busy:  # A busy kernel hears no answer before its cells have ended.
                    place.told_at = now_s
                continue
            place.drawn_at = now_s
            view = None if place.stays or place.mode == "html" else place.widget
            try:
                if ended and view is not None:
                    # JupyterLab makes the view anew from the model's state, so that state has to hold the end.
                    view.send_state("snapshot")
                mode = place.still if ended and view is None else place.mode
                self._publish(place, self.bundle(followed, mode, view, view=place.view, why="" if ended else place.why))
            finally:
                with self.lock:
                    if ended and place in followed.displays:  # else it has moved on to another run in the meantime
                        followed.displays.remove(place)
                        self._ended.append((followed, place))

    def _awaits_word(self, followed: Followed, place: Display, now_s: float) -> bool:
        """Whether it is too early to say that the page cannot show this display's widget. When it is not, a picture takes its place."""
        widget = place.widget
        if widget is None or not place.needs_word:
            return False
        if widget.heard:
            if place.why:  # It came late: the widget takes its place again.
                place.why, place.mode = "", "widget"
                self._publish(place, self.bundle(followed, "widget", widget, view=place.view))
            place.needs_word = False
            return False
        if self.busy:  # A busy kernel hears nothing before its cells have ended.
            place.silent_since = now_s
        if not place.why and now_s - place.silent_since >= HELLO_LIMIT_S:
            place.why, place.mode = WHY_NO_WIDGET, "html"
            if not followed.model.settled:
                self._publish(place, self.bundle(followed, "html", view=place.view, why=place.why))
        return not place.why

    def _keep_view(self, widget: GraphWidget[Followed]) -> None:
        """The page keeps this view by itself: its output becomes the plain picture, now or when the run's end is published."""
        with self.lock:
            open_places = [place for followed in self.runs.values() for place in followed.displays if place.widget is widget]
            ended = [(followed, place) for followed, place in self._ended if place.widget is widget and not place.stays]
        for place in [*open_places, *(place for _, place in ended)]:
            place.stays = True
        for followed, place in ended:
            self._publish(place, self.bundle(followed, place.still, view=place.view))

    def _publish(self, place: Display, bundle: dict[str, Any]) -> None:
        place.publish(bundle, {}, transient={"display_id": place.id}, update=True)

    # ---- the commander -------------------------------------------------------------------------------------------------------

    def _command_forever(self) -> None:
        while (command := self._commands.get()) is not None:
            try:
                command()
            except (Exception, SystemExit) as error:
                self._note(error)

    def _obey(self, widget: GraphWidget[Followed], message: dict[str, Any]) -> None:
        """Carries out what the page asks for. Its texts are foreign data: checked here, never evaluated."""
        followed = widget.about
        match message.get("kind"):
            case "hello":
                if widget.unasked and not widget.detached:
                    self._outbox.append((widget, None))
                else:
                    widget.wants_snapshot = True
                widget.greeted, widget.detached, widget.unpacks = True, False, message.get("unpacks") is not False
                if followed.model.settled:
                    self._outbox.append((widget, {"kind": "final"}))
            case "loaded":
                pass  # That it has been heard is all it is for.
            case "staying":
                self._staying.append(widget)
            case "snapshot":
                widget.wants_snapshot = True
            case "detach":
                widget.detached = True
            case "closed":
                widget.watched = ""
            case "detail":
                widget.watched, widget.logged_to, widget.logged_at = str(message.get("id", "")), 0, 0.0
                self._outbox.append((widget, self._detail(self, followed, str(message.get("id", "")))))
            case "values":
                self._outbox.append((widget, self._values(followed, message.get("ids"))))
            case "resolve" | "reject" | "cancel" | "retry" | "show":
                reply = self._answer(self, followed, message)
                self._outbox.append((widget, reply))
                other = self.follow(reply["run"]) if "run" in reply else None
                if other is not None:
                    self._move(widget, other)
            case _:
                LOG.warning("The page sent a message of an unknown kind.")

    def _values(self, followed: Followed, ids: object) -> dict[str, Any]:
        """What calls have given, in short, for the rows of a table. A server would be asked for each one by one: there nothing is told."""
        near = ids[:VALUES_MAX] if isinstance(ids, list) and followed.model.where != "server" else []
        known = [each for each in near if isinstance(each, str) and followed.model.node(each) is not None]
        told = ((each, self._detail(self, followed, each)["value"]) for each in known)
        return {"kind": "values", "values": {each: text[:VALUE_CHARACTERS] for each, text in told if text is not None}}

    # ---- the end -------------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Ends both threads within two seconds and leaves a still picture in every display. The client is the caller's to stop."""
        if self._closed:
            return
        self._closed = True
        self._stopping.set()
        self._commands.put(None)
        deadline = time.monotonic() + CLOSE_LIMIT_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        try:
            self.pump()
            with self.lock:
                places = [(followed, place) for followed in self.runs.values() for place in followed.displays]
                places += [(followed, place) for followed, place in self._ended if place.mode == "widget" and not place.stays]
            for followed, place in places:
                self._publish(place, self.bundle(followed, place.still, view=place.view))
        except Exception as error:  # The kernel may be half gone.
            self._note(error)
        self._subscription.close()


def _tick(model: RunModel) -> dict[str, Any]:
    """What the page is told when nothing has changed: the time, and the number of the last batch."""
    return {"kind": "tick", "now": model.relative_ms(time.time()) or 0, "seq": model.seq}


def choose_mode(shell: Any, wanted: str) -> str:
    """How runs are shown now: terminal, widget, html, svg, text, static (still pictures only) or off.

    `auto` in a kernel depends on who asks. nbclient, nbval and papermill run cells with `allow_stdin` false, because there is nobody
    to answer a question; JupyterLab, Notebook, VS Code and Colab send true, because there is. That is the very thing to know here,
    it is in each request, and it needs no answer from the other side, unlike opening a comm and waiting for a hello. A tool with
    a page but without standard input (Voilà) asks for widgets with RESONATE_NOTEBOOK_RENDER=widget.
    """
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return "off" if wanted == "off" else "terminal"
    if wanted != "auto":
        return wanted
    get_parent = getattr(kernel, "get_parent", None)
    parent = (get_parent("shell") or {}) if get_parent is not None else {}
    return "widget" if parent.get("content", {}).get("allow_stdin") else "static"
