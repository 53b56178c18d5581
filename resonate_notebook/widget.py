"""The live graph in the page: one anywidget for each display of a run, and what its buttons ask for.

The widget knows nothing of runs. It asks `source(about)` for the picture when the page needs one, and hands every message of the page
to `post`, which only queues it: a message may arrive on the main thread or on a subshell thread, and neither may be kept waiting.
Small changes go as custom messages (`send`), because a synced trait would resend everything; the one synced trait, `snapshot`,
is filled in whenever the page asks for the widget's state, so a page that is loaded again draws at once.

Messages that come before the page has loaded our module are lost on it, and while a cell blocks the kernel its question for a
snapshot stays unanswered (ipykernel 7.4 keeps it until the cell has ended). So until a widget has been heard of, snapshots are
sent unasked, at growing intervals. A page that says hello after that is told how far the batches are, and asks if it lacks any.
"""

from __future__ import annotations

import ast
import functools
import json
import time
import zlib
from collections.abc import Callable
from typing import Any, Final

import anywidget
import traitlets

from resonate_notebook.page import script, styles

UNASKED_FIRST_S: Final = 0.5
UNASKED_LONGEST_S: Final = 15.0
UNASKED_PAUSES: Final = 50
"""A snapshot that nobody asked for is followed by a pause of that many times what it took, so they take 2 % of the kernel at most."""
PACKED_FROM_BYTES: Final = 1_000
"""Messages of that length go to the page compressed, where it can undo that: calls resemble each other, so a tenth is left."""
VIEWS: Final = ("graph", "tree", "timeline", "table")
WIDGET_MIME: Final = "application/vnd.jupyter.widget-view+json"


class Told:
    """A message for the page, as JSON; compressed once for all widgets that get it, when the first of them asks."""

    def __init__(self, text: str) -> None:
        self.text = text

    @functools.cached_property
    def packed(self) -> bytes:
        """The message compressed; nothing where it is too short to gain by that."""
        data = self.text.encode()
        return zlib.compress(data, 1) if len(data) >= PACKED_FROM_BYTES else b""


class GraphWidget[About](anywidget.AnyWidget):
    """One live graph. `source(about)` answers the snapshot message, `post(widget, message)` takes what the page says.

    `about` is what the widget shows; its owner may turn it to another run.
    """

    _esm = script()
    _css = styles()
    snapshot = traitlets.Dict().tag(sync=True)
    view = traitlets.Unicode("").tag(sync=True)
    """The tab that was asked for, or that a person chose, kept for a page that is loaded again; nothing while nobody has."""

    @traitlets.validate("view")
    def _known_view(self, proposal: traitlets.Bunch) -> str:
        """Foreign data, like every message of the page: a view that is none is no choice."""
        return proposal["value"] if proposal["value"] in VIEWS else ""

    def __init__(
        self, about: About, source: Callable[[About], dict[str, Any]],
        post: Callable[[GraphWidget[About], dict[str, Any]], None], view: str = "",
    ) -> None:  # fmt: skip
        self.about = about
        self._source = source
        self._post = post
        self.heard = False  # The page has said something: it can show widgets.
        self.greeted = False  # It has said hello: a view is there, and hears us.
        self.unpacks = True  # It can read compressed messages, unless it says that it cannot.
        self.wants_snapshot = False
        self.unasked = False  # It got a snapshot that nobody asked for, and every batch since.
        self.detached = False
        self.watched = ""
        """The call whose panel is open."""
        self.logged_to = 0
        """Up to which mark its log has been sent, and when (monotonic)."""
        self.logged_at = 0.0
        self.sent_at = 0.0
        self._unasked_pause_s = UNASKED_FIRST_S
        self._unasked_at = time.monotonic() + UNASKED_FIRST_S
        super().__init__(view=view)
        self.on_msg(lambda _, content, __: self._hear(content))

    def _hear(self, content: Any) -> None:
        self.heard = True
        if isinstance(content, dict):
            self._post(self, content)

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:
        """What the page is sent on opening and on a reload: with the picture as it is now."""
        state: dict[str, Any] = super().get_state(key, drop_defaults)
        if key is None or "snapshot" in key:
            state["snapshot"] = self._source(self.about)
        return state

    def snapshot_due(self, now_s: float) -> bool:
        """Whether the page should get the whole picture: it asked, or has not been heard of (`now_s` is monotonic)."""
        if self.wants_snapshot:
            self.wants_snapshot = False
            return True
        if self.greeted or now_s < self._unasked_at:
            return False
        self.unasked = True
        self._unasked_pause_s = min(2 * self._unasked_pause_s, UNASKED_LONGEST_S)
        self._unasked_at = now_s + self._unasked_pause_s
        return True

    def space_out(self, took_s: float) -> None:
        """Sends no further snapshot unasked so soon that the kernel would feel it."""
        self._unasked_at = max(self._unasked_at, time.monotonic() + UNASKED_PAUSES * took_s)

    def tell(self, message: Told) -> None:
        """Sends a message to the page."""
        if self.unpacks and message.packed:
            self.send({"kind": "packed"}, buffers=[message.packed])
        else:
            self.send(json.loads(message.text))

    def view_bundle(self) -> dict[str, Any]:
        """The part of a display's mime bundle that shows this widget."""
        return {WIDGET_MIME: {"version_major": 2, "version_minor": 0, "model_id": self.model_id}}


def read_typed(text: str) -> Any:
    """What a person typed into the form: a Python literal, or JSON, or else the plain text itself. Nothing is evaluated.

    >>> [read_typed(text) for text in ("{'ok': True}", "true", "looks good", "")]
    [{'ok': True}, True, 'looks good', None]
    """
    text = text.strip()
    if not text:
        return None
    for read in (ast.literal_eval, json.loads):
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return text
