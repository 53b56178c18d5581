"""A limit to how long a client may take for the head of a request, and to how long that may be: uvicorn has neither.

Imported only where the server is started: it needs uvicorn.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from resonate.limits import HEAD_LIMIT, HEAD_TIME_LIMIT_S


def _protocol() -> Any:
    """The quicker HTTP parser of uvicorn where that is installed, else the other."""
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        from uvicorn.protocols.http.h11_impl import H11Protocol

        return H11Protocol
    return HttpToolsProtocol


class GuardedProtocol(_protocol()):  # type: ignore[misc]
    """One connection. While no request is under way, whatever comes in belongs to the head of the next one."""

    app_state: dict[str, Any]
    _head_size = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """A client has connected: its first request is due."""
        super().connection_made(transport)
        # A reply is two writes, and the second must not wait for the client to acknowledge the first (asyncio by itself forgets this here).
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.app_state = {**self.app_state, "abort": transport.abort}  # how the application ends a connection that takes nothing
        self._deadline = self.loop.call_later(HEAD_TIME_LIMIT_S, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        self._head_is_complete()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Something came in."""
        earlier = self.cycle
        is_head = earlier is None or earlier.response_complete
        if is_head:
            self._head_size += len(data)
            if self._deadline is None:
                self._deadline = self.loop.call_later(HEAD_TIME_LIMIT_S, self.transport.close)
        super().data_received(data)
        if self.cycle is not earlier:
            self._head_is_complete()
        elif is_head and self._head_size > HEAD_LIMIT and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()

    def _head_is_complete(self) -> None:
        self._head_size = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
