"""Messages that a server posts to an address of this process, for workers that it can reach and that cannot hold a stream open."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from resonate.limits import MESSAGE_LIMIT, REQUEST_TIMEOUT_S


class PushListener:
    """Receives messages by HTTP POST. `url` is the address that servers reach it under, as `http://worker-1:9000/messages`; it listens
    at that port of `bind`, and nowhere before `start`.

        store = RemoteStore(host="http://resonate", port=8001)
        Resonate(store=store, message_source=PushListener("http://worker-1:9000/messages", bind="0.0.0.0"))

    `start` raises OSError when the port cannot be had. Every message is a hint only: what it tells is asked of the server before it is
    believed, so a forged one makes this process look, and nothing more.

    >>> PushListener("http://127.0.0.1:9000/messages").unicast
    'http://127.0.0.1:9000/messages'
    """

    def __init__(self, url: str, bind: str = "127.0.0.1") -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"the address of a listener is as `http://worker-1:9000/messages`, got {url!r}")
        self.url = url
        self._path = parts.path or "/"
        self._bind = (bind, parts.port or (443 if parts.scheme == "https" else 80))
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._server: ThreadingHTTPServer | None = None

    @property
    def unicast(self) -> str:
        """The address under which only this process is reached."""
        return self.url

    @property
    def anycast(self) -> str:
        """The same: behind the address there may be one process, or a balancer before many."""
        return self.url

    def start(self) -> None:
        """Begin to listen."""
        if self._server is not None:
            return
        listener = self

        class Handler(BaseHTTPRequestHandler):
            timeout = REQUEST_TIMEOUT_S
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.answer(listener._take(self.path, self.headers.get("content-length", ""), self.rfile.read))

            def answer(self, status: int) -> None:
                self.close_connection = status != 200
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(self._bind, Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="resonate-push", daemon=True).start()

    def _take(self, path: str, length: str, read: Any) -> int:
        """The status that a request is answered with."""
        if path != self._path:
            return 404
        if not (length.isascii() and length.isdigit()):
            return 411
        if len(length) > 9 or int(length) > MESSAGE_LIMIT:
            return 413
        try:
            message = json.loads(read(int(length)))
        except (ValueError, RecursionError):
            return 400
        except OSError:  # whoever sends is too slow
            return 408
        self.enqueue(message)
        return 200

    def stop(self) -> None:
        """Listen no more; whoever waits in `next` gets None."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
        self._queue.put(None)

    def next(self) -> Any | None:
        """Wait for a message; None when the source was stopped."""
        return self._queue.get()

    def enqueue(self, mesg: Any) -> None:
        """Put a message in."""
        self._queue.put(mesg)
