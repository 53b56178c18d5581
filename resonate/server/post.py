"""How messages reach workers: by the streams that they listen on, or by requests to addresses of their own (push).

A store asks `receiver` who gets a message; that must not block, so a message waits in a bounded queue. One that finds no place there, or
is not taken, counts as not sent: its task goes out again later.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from resonate.limits import PUSH_TIME_LIMIT_S, PUSHES_LIMIT, STREAM_MESSAGES_LIMIT, STREAMS_LIMIT
from resonate.protocol import DeliveryFailed, Message, TaskMessage
from resonate.stores.local import Receiver
from resonate.wire.current import message_to_wire
from resonate.wire.http import write_json
from resonate.wire.legacy import poll_address

TARGETS = {"default": "poll://any@default"}
"""The names that stand for an address. The servers know them from their settings; this one is there from the start."""

_PATH_SIGNS = "/%:@!$&'()*+,;=~"


class Stream:
    """What one listener has not been sent yet. Filled by any thread, emptied by the event loop."""

    def __init__(self, group: str, id: str, loop: asyncio.AbstractEventLoop) -> None:
        self.group, self.id = group, id
        self.changed = asyncio.Event()
        self.is_closed = False
        self._loop = loop
        self._waiting: deque[tuple[Message, bytes]] = deque()
        self._lock = threading.Lock()

    def put(self, message: Message, text: bytes) -> bool:
        """Whether there was room for a message."""
        with self._lock:
            if self.is_closed or len(self._waiting) >= STREAM_MESSAGES_LIMIT:
                return False
            self._waiting.append((message, text))
        return _is_told(self._loop, self.changed.set)

    def take(self) -> tuple[Message, bytes] | None:
        """The next message, or None. Where the listener has gone there is none: what is left goes back, and on to somebody else."""
        with self._lock:
            return self._waiting.popleft() if self._waiting and not self.is_closed else None

    def hang_up(self) -> None:
        """Let whoever empties it know that it is over. For the event loop."""
        self.is_closed = True
        self.changed.set()

    def close(self) -> list[Message]:
        """Take no more; gives what was not sent. For the event loop."""
        with self._lock:
            self.hang_up()
            left = [message for message, _ in self._waiting]
            self._waiting.clear()
        return left


def _is_told(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: object) -> bool:
    """Whether the event loop will call a function: not when it has ended."""
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:
        return False
    return True


class PostOffice:
    """Knows who listens where. `tell` carries out an operation soon; `base` is the server's address, for the links in messages."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tell: Callable[[DeliveryFailed], None], base: str) -> None:
        self._loop = loop
        self._tell = tell
        self._base = base
        self._groups: dict[str, dict[str, Stream]] = {}
        self._lock = threading.Lock()
        self._pushes: set[asyncio.Task[None]] = set()

    # ---- streams -------------------------------------------------------------------------------------------------------------------------

    def open(self, group: str, id: str) -> Stream | None:
        """A new stream, which takes the place of an earlier one of that group and id; None when there are too many."""
        stream = Stream(group, id, self._loop)
        with self._lock:
            earlier = self._groups.get(group, {}).get(id)
            if earlier is None and sum(map(len, self._groups.values())) >= STREAMS_LIMIT:
                return None
            self._groups.setdefault(group, {})[id] = stream
        if earlier is not None:
            self._return(earlier.close())
        return stream

    def close(self, stream: Stream) -> bool:
        """Nobody listens on a stream any more. Whether messages were left in it."""
        with self._lock:
            members = self._groups.get(stream.group, {})
            if members.get(stream.id) is stream:
                del members[stream.id]
                if not members:
                    del self._groups[stream.group]
        left = stream.close()
        self._return(left)
        return bool(left)

    def close_all(self) -> None:
        """Let every listener know that it is over."""
        with self._lock:
            streams = [stream for members in self._groups.values() for stream in members.values()]
        for stream in streams:
            self.close(stream)
        for push in self._pushes:
            push.cancel()

    def _return(self, messages: list[Message]) -> None:
        for message in messages:
            self.failed(message)

    # ---- messages ------------------------------------------------------------------------------------------------------------------------

    def receiver(self, recv: str) -> Receiver | None:
        """Who gets a message for an address, None when nobody can. For stores; never blocks."""
        recv = TARGETS.get(recv, recv)
        url = push_url(recv)
        if url is not None:
            return Receiver("", recv, partial(self._push_soon, url))
        address = poll_address(recv, ("poll",))
        stream = None if address is None else self._stream(*address)
        return None if stream is None else Receiver(stream.group, stream.id, partial(self._send, stream))

    def _stream(self, cast: str, group: str, id: str) -> Stream | None:
        with self._lock:
            members = self._groups.get(group, {})
            wanted = members.get(id)
            if wanted is not None and cast in ("any", "uni"):
                return wanted
            return random.choice(list(members.values())) if members and cast == "any" else None  # noqa: S311 - spreads work, hides nothing

    def _send(self, stream: Stream, message: Message) -> None:
        if not stream.put(message, self._text(message)):
            self.failed(message)

    def _text(self, message: Message) -> bytes:
        """A message as it is sent, in the form of the protocol that it is of: a stream may get both."""
        return write_json(message_to_wire(message, self._base))

    def failed(self, message: Message) -> None:
        """A message was not sent. Its task goes out again after a while; a notice is lost, as on the servers."""
        if isinstance(message, TaskMessage):
            self._tell(DeliveryFailed(message.id, message.counter))

    # ---- push ----------------------------------------------------------------------------------------------------------------------------

    def _push_soon(self, url: Url, message: Message) -> None:
        if not _is_told(self._loop, self._begin_push, url, message):
            self.failed(message)

    def _begin_push(self, url: Url, message: Message) -> None:
        if len(self._pushes) >= PUSHES_LIMIT:
            self.failed(message)
            return
        push = self._loop.create_task(self._push(url, message))
        self._pushes.add(push)
        push.add_done_callback(self._pushes.discard)

    async def _push(self, url: Url, message: Message) -> None:
        """Post a message. It counts as sent when the connection stands; what is answered is of no interest."""
        try:
            async with asyncio.timeout(PUSH_TIME_LIMIT_S):
                reader, writer = await asyncio.open_connection(url.host, url.port, ssl=url.security())
        except (OSError, TimeoutError, ValueError):
            self.failed(message)
            return
        body = self._text(message)
        head = f"POST {url.path} HTTP/1.1\r\nHost: {url.place}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        try:
            async with asyncio.timeout(PUSH_TIME_LIMIT_S):
                writer.write(head.encode("ascii") + b"Connection: close\r\n\r\n" + body)
                await writer.drain()
                await reader.read(1)  # so that whoever is there can read it all before the connection ends
        except (OSError, TimeoutError):
            pass
        finally:
            writer.transport.abort()


class Url(NamedTuple):
    """Where a message is pushed."""

    is_secure: bool
    host: str
    port: int
    place: str
    path: str

    def security(self) -> ssl.SSLContext | None:
        """What an `https` connection needs."""
        return ssl.create_default_context() if self.is_secure else None


def push_url(recv: str) -> Url | None:
    """The place that an address of the kind `http://…` or `{"type": "http", "data": {"url": "http://…"}}` names; None for other kinds."""
    try:
        if recv.startswith("{"):
            shown = json.loads(recv)
            recv = shown["data"]["url"] if shown["type"] in ("http", "https") else ""
        parts = urlsplit(recv)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return None
        is_secure = parts.scheme == "https"
        host = parts.hostname.encode("idna").decode("ascii")
        port = parts.port or (443 if is_secure else 80)
        path = quote(parts.path or "/", safe=_PATH_SIGNS) + (f"?{quote(parts.query, safe=_PATH_SIGNS + '?')}" if parts.query else "")
        return Url(is_secure, host, port, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", path)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
