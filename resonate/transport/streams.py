"""A stream of messages that is read for as long as it takes: it is opened anew whenever it ends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from resonate.interrupts import start_thread
from resonate.limits import BACKOFF_LIMIT_S, STREAM_HEAD_S, STREAM_SILENCE_LIMIT_S
from resonate.transport.connections import Connections, EventStream, Unreachable
from resonate.transport.line import Line, Stopped
from resonate.wire.client import Refused, unwelcome

logger = logging.getLogger("resonate.message_sources.poller")

Place = tuple[Connections, str]
"""Where a stream may be: at which server, and under which path."""


class MessageStream:
    """The thread that reads messages. It begins at once: `hear` gets each event's data, `connected` is called after each new connection.

    `places` are tried in order; servers have the stream at a port of its own, at that of the promises, or at both.
    """

    def __init__(
        self, line: Line, places: Sequence[Place], hear: Callable[[bytes], None], connected: Callable[[], None] = lambda: None
    ) -> None:
        self._line = line
        self._places = list(places)
        self._hear = hear
        self._connected = connected
        self._stream: EventStream | None = None
        self._opened_at: int | None = None  # after how many outages; None while there is no stream
        self._is_late = False
        self._stopped = threading.Event()
        line.on_back.append(self._doubt)
        start_thread(self._read_for_ever, "resonate-messages")

    def stop(self) -> None:
        """End the stream."""
        self._stopped.set()
        if self._doubt in self._line.on_back:
            self._line.on_back.remove(self._doubt)
        if self._stream is not None:
            self._stream.close()

    def _doubt(self) -> None:
        """Open the stream anew that was there before the server was away: it may be dead without a word."""
        stream = self._stream
        if stream is not None and self._opened_at is not None and self._opened_at != self._line.outages:
            stream.close()

    def _read_for_ever(self) -> None:
        while not self._stopped.is_set():
            self._opened_at = None
            try:
                turn: bool | None = self._line.wait_turn(None)
            except Stopped:
                return
            if self._is_late and turn is not None:
                self._line.gave_up(turn)
                turn = None
            try:
                stream = self._stream = self._open(None if self._is_late else STREAM_HEAD_S)
            except Unreachable as error:
                self._failed(error, turn)
            except Refused as error:
                self._refused(error, turn)
            except Exception:  # a fault of ours must not end the messages in silence
                logger.exception("the messages could not be asked for, and will be once more")
                self._failed(Unreachable("its messages could not be asked for", was_sent=True), turn)
            else:
                self._is_late = False
                if turn is not None:
                    self._line.answered(turn)
                self._opened_at = self._line.outages
                if not self._stopped.is_set():
                    self._connected()
                    self._read(stream)
                stream.close()

    def _refused(self, error: Refused, turn: bool | None) -> None:
        turn = self._line.turn_now() if turn is None else turn  # each turn is ended once
        if turn is None:
            self._stopped.wait(BACKOFF_LIMIT_S)
        else:
            self._line.refused(str(error), turn)

    def _failed(self, error: Unreachable, turn: bool | None) -> None:
        """A server that only keeps its stream waiting (a proxy may hold back its head) can be asked for all else meanwhile."""
        self._is_late = error.was_sent and isinstance(error.__cause__, TimeoutError)
        if turn is not None and not self._is_late:
            self._line.failed(str(error), turn)
            return
        if turn is not None:
            self._line.gave_up(turn)
        self._stopped.wait(BACKOFF_LIMIT_S)

    def _read(self, stream: EventStream) -> None:
        try:
            for event in stream.events():
                try:
                    self._hear(event)
                except Exception:  # a damaged message: the next one may be sound
                    logger.warning("a message could not be read, and was dropped", exc_info=True)
        except Unreachable as error:
            logger.info("the messages broke off, and are asked for anew: %s", error)

    def _open(self, head_s: float | None) -> EventStream:
        """The stream at the first place that has one. What the places say that have none is weighed: one that was reached says most."""
        why = Unreachable("it has no messages to read", was_sent=False)
        for place in list(self._places):
            connections, target = place
            try:
                stream = connections.stream(target, STREAM_SILENCE_LIMIT_S, head_s)
            except Unreachable as error:
                why = error if error.was_sent or not why.was_sent else why
                continue
            if stream.status == 200 and stream.kind == "text/event-stream":
                self._places.remove(place)
                self._places.insert(0, place)
                return stream
            stream.close()
            if stream.status in (401, 403):
                raise unwelcome(stream.status)
            why = Unreachable(f"it has no messages to read (it answered {stream.status})", was_sent=True)
        raise why
