"""The server's application (ASGI): reads requests, has them translated and carried out, sends replies and streams of messages.

Two ports lead here: the one of the API, where streams are under `/poll/`, and the one that older clients listen on, where they are all
there is. What a request means is none of this module's business: translators say that, one for each protocol.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from importlib import metadata
from typing import Any
from urllib.parse import unquote

from resonate.errors import ResonateStoreError
from resonate.limits import BODY_LIMIT, BODY_TIME_LIMIT_S, STREAM_STALL_LIMIT_S
from resonate.server.desk import Desk
from resonate.server.gate import Gate
from resonate.server.post import PostOffice, Stream
from resonate.wire import current_requests, legacy_http
from resonate.wire.http import Asked, Reply, Request, write_json

logger = logging.getLogger("resonate")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

NOT_FOUND = Reply(404, "404 page not found")
PING = Reply(200, {"status": "ok"})


class Application:
    """Serves what `office` and `desk` offer to whom `gate` lets in. Connections to `message_port` are those of the separate port."""

    def __init__(self, gate: Gate, desk: Desk, office: PostOffice, base: str, message_port: int) -> None:
        self._gate = gate
        self._desk = desk
        self._office = office
        self._base = base
        self._message_port = message_port
        self._version = (b"resonate-version", _version().encode("ascii"))
        self._translators: tuple[Callable[[Request], Asked | None], ...] = (self._read_current, self._read_legacy)
        """Asked in order until one knows the request."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        path = scope["raw_path"].decode("latin-1")
        headers = {name.decode("latin-1"): _text(value) for name, value in scope["headers"]}
        refusal = self._gate.refuses(path, headers)
        if refusal is not None:
            await self._send(send, refusal, ends=True)
            return
        place = self._stream_place(scope, path)
        if isinstance(place, str):
            await self._stream(place, scope["state"]["abort"], receive, send)
            return
        await self._send(send, place or await self._reply(scope, path, headers, receive))

    # ---- requests ------------------------------------------------------------------------------------------------------------------------

    async def _reply(self, scope: Scope, path: str, headers: Mapping[str, str], receive: Receive) -> Reply:
        if path == "/ping" and scope["method"] == "GET":
            return PING
        body = await _read_body(headers, receive)
        if isinstance(body, Reply):
            return body
        request = Request(scope["method"], path, scope["query_string"].decode("latin-1"), headers, body)
        try:
            for read_request in self._translators:
                asked = read_request(request)
                if asked is not None:
                    return asked.reply(await self._answers(asked.operations))
        except ResonateStoreError as error:
            return legacy_http.error_reply(error)
        except Exception:
            logger.exception("a request failed: %s %s", request.method, request.path[:200])
            return Reply(500, "Internal Server Error")
        return NOT_FOUND

    def _read_current(self, request: Request) -> Asked | None:
        return current_requests.read_request(request, lambda token: self._gate.is_known(request.headers, token))

    def _read_legacy(self, request: Request) -> Asked | None:
        return legacy_http.read_request(request, self._base)

    async def _answers(self, operations: Sequence[Any]) -> Sequence[Any]:
        if not operations:
            return ()
        try:
            return await self._desk.ask(operations)
        except ResonateStoreError as error:  # too much waits: the answer to each
            return [error] * len(operations)

    async def _send(self, send: Send, reply: Reply, *, ends: bool = False) -> None:
        """Send a reply; with `ends`, or where the request was not read, it is the last on its connection."""
        is_text = isinstance(reply.body, str)
        body = b"" if reply.body is None else reply.body.encode() if is_text else write_json(reply.body)
        headers = [(b"content-type", b"text/plain; charset=utf-8" if is_text else b"application/json")] if body else []
        if reply.status != 204:
            headers.append((b"content-length", b"%d" % len(body)))
        if reply is not PING:
            headers.append(self._version)
        if reply.status == 401:
            headers.append((b"www-authenticate", b'Basic realm="resonate"'))
        if ends or reply.status in (408, 413):
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    # ---- streams of messages -------------------------------------------------------------------------------------------------------------

    def _stream_place(self, scope: Scope, path: str) -> str | Reply | None:
        """Where a request wants to listen, as `group/id`; None when it does not, a reply when it cannot."""
        is_message_port = scope["server"][1] == self._message_port
        if not is_message_port and not (path.startswith("/poll/") and scope["method"] == "GET"):
            return None
        if scope["method"] != "GET":
            return Reply(405, "method not allowed\n")
        place = path[1:] if is_message_port else path[6:]
        group, _, own_id = place.partition("/")
        return place if group and own_id else Reply(400, "invalid request\n")

    async def _stream(self, place: str, abort: Callable[[], None], receive: Receive, send: Send) -> None:
        group, _, own_id = place.partition("/")
        stream = self._office.open(unquote(group), unquote(own_id))
        self._desk.send_what_waits()
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"), self._version]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if stream is not None:
            listener = asyncio.ensure_future(_wait_for_end(receive, stream))
            try:
                await self._send_messages(stream, abort, send)
            finally:
                listener.cancel()
                if self._office.close(stream):
                    self._desk.send_what_waits()
        await send({"type": "http.response.body"})

    async def _send_messages(self, stream: Stream, abort: Callable[[], None], send: Send) -> None:
        while not stream.is_closed:
            await stream.changed.wait()
            stream.changed.clear()
            while (entry := stream.take()) is not None:
                message, text = entry
                try:
                    async with asyncio.timeout(STREAM_STALL_LIMIT_S):
                        await send({"type": "http.response.body", "body": b"data: " + text + b"\n\n", "more_body": True})
                except TimeoutError:  # whoever is there reads nothing any more
                    self._office.failed(message)
                    abort()
                    return


async def _wait_for_end(receive: Receive, stream: Stream) -> None:
    """Close a stream as soon as its listener has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.hang_up()


async def _read_body(headers: Mapping[str, str], receive: Receive) -> bytes | Reply:
    """The body of a request, or the reply where it is too long or too slow."""
    if int(headers.get("content-length") or 0) > BODY_LIMIT:  # the parser has seen that it is a number
        return _TOO_LONG
    try:
        async with asyncio.timeout(BODY_TIME_LIMIT_S):
            body, is_whole = b"", False
            while not is_whole:
                message = await receive()
                body += message.get("body", b"")
                is_whole = not message.get("more_body", False)
                if len(body) > BODY_LIMIT:
                    return _TOO_LONG
    except TimeoutError:
        return Reply(408, "the body of the request did not come in time\n")
    return body


_TOO_LONG = Reply(413, f"a body has at most {BODY_LIMIT} bytes\n")


def _text(value: bytes) -> str:
    """A header's text: UTF-8 as most clients write it, else what 0.6.7 sends."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _version() -> str:
    try:
        return f"resonate-notebook {metadata.version('resonate-notebook')}"
    except metadata.PackageNotFoundError:  # run from a folder that was never installed
        return "resonate-notebook"
