"""Messages of a server, read from its stream."""

from __future__ import annotations

import json
from queue import SimpleQueue
from typing import Any
from urllib.parse import quote

from resonate.limits import REQUEST_TIMEOUT_S
from resonate.models.encoder import Encoder
from resonate.transport.connections import Connections, Credentials
from resonate.transport.line import Line
from resonate.transport.settings import address_from, credentials_of_environment
from resonate.transport.streams import MessageStream


class Poller:
    """Messages for process `id` of a group, from the server at `host`:`port` (else RESONATE_HOST_MESSAGE_SOURCE, RESONATE_HOST,
    `http://localhost`; RESONATE_PORT_MESSAGE_SOURCE, 8002). It connects anew for as long as it takes. `timeout` is in seconds.

    A client of `Resonate.remote` has one of its own. This is for clients that are put together by hand:

        store = RemoteStore(port=8001)
        Resonate(store=store, message_source=Poller("workers", "w1", port=8002), group="workers", pid="w1")

    >>> Poller("workers", "w1").anycast
    'poll://any@workers/w1'
    """

    def __init__(
        self, group: str, id: str, host: str | None = None, port: str | int | None = None, auth: Credentials = None,
        timeout: float | tuple[float, float] | None = None, encoder: Encoder | None = None,
    ) -> None:  # fmt: skip
        self.group, self.id, self.encoder = group, id, encoder
        self._place = f"{quote(group, safe='')}/{quote(id)}"
        timeout_s = float(max(timeout)) if isinstance(timeout, tuple) else float(timeout or REQUEST_TIMEOUT_S)
        credentials = auth if auth is not None else credentials_of_environment()
        self._connections = Connections(address_from("MESSAGE_SOURCE", host, port, "8002"), credentials, timeout_s)
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._line = Line(self._connections.url)
        self._stream: MessageStream | None = None

    @property
    def url(self) -> str:
        """Where the stream is."""
        return f"{self._connections.url}/{self._place}"

    @property
    def unicast(self) -> str:
        """The address under which only this process is reached."""
        return f"poll://uni@{self._place}"

    @property
    def anycast(self) -> str:
        """The address under which this process is preferred, and any of its group is reached."""
        return f"poll://any@{self._place}"

    def start(self) -> None:
        """Begin to receive."""
        if self._stream is None:
            self._line.go_on()
            places = [(self._connections, f"/{self._place}"), (self._connections, f"/poll/{self._place}")]
            self._stream = MessageStream(self._line, places, lambda event: self.enqueue(json.loads(event)))

    def stop(self) -> None:
        """Receive no more; whoever waits in `next` gets None."""
        stream, self._stream = self._stream, None
        self._line.stop()
        if stream is not None:
            stream.stop()
        self._queue.put(None)

    def next(self) -> Any | None:
        """Wait for a message; None when the source was stopped."""
        return self._queue.get()

    def enqueue(self, mesg: Any) -> None:
        """Put a message in."""
        self._queue.put(mesg)
