"""The development server: a store of this package over HTTP, as a Resonate Server answers. It is for development and for tests.

    with DevelopmentServer(port=0) as server:
        print(server.url)

One thread has the event loop (uvicorn), one asks the store (`desk`), and the store's own timers are a third.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from resonate.limits import (
    CONNECTIONS_LIMIT,
    HEAD_LIMIT,
    IDLE_CONNECTION_LIMIT_S,
    SERVER_START_LIMIT_S,
    SERVER_STOP_GRACE_S,
    SERVER_STOP_LIMIT_S,
    STOP_TIMEOUT_S,
)
from resonate.server.app import Application
from resonate.server.desk import Desk
from resonate.server.gate import Credentials, Gate
from resonate.server.post import PostOffice
from resonate.stores.local import LocalStore
from resonate.stores.sqlite import SqliteStore

DEFAULT_PORT = 8001


class ServerExtraMissing(ImportError):
    """uvicorn is not installed."""

    def __init__(self) -> None:
        super().__init__("The development server needs uvicorn: pip install 'resonate-notebook[server]'")


class DevelopmentServer:
    """Serves promises in memory, or with `db` those in a file, from `start` to `stop` or as a context.

    `port` 0 takes a free one; `message_port` is the separate port that older clients listen on (None: the port after it, or a free one).
    `user` (`name:password`) and `token` are what has to be known. A `host` that is not loopback is reached from other machines.

    Starting raises `ServerExtraMissing`, OSError where an address cannot be had, or what the store raises where it cannot open the file.
    """

    def __init__(
        self, host: str = "127.0.0.1", port: int = DEFAULT_PORT, message_port: int | None = None, db: str | os.PathLike[str] | None = None,
        durability: str = "full", user: str | None = None, token: str | None = None,
    ) -> None:  # fmt: skip
        if user is not None and ":" not in user:
            raise ValueError("user must be `name:password`, and has no colon")
        self._host = host
        self._asked_ports = port, message_port
        self._db = db
        self._durability = durability
        self._credentials = Credentials(user, token)
        self._thread: threading.Thread | None = None
        self._sockets: list[socket.socket] = []
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._end_soon: Callable[[], object] | None = None
        self._leave: Callable[[], None] = lambda: None
        self._desk: Desk | None = None

    @property
    def url(self) -> str:
        """The address of the API."""
        return self._url_of(0)

    @property
    def message_url(self) -> str:
        """The address of the separate port for messages."""
        return self._url_of(1)

    @property
    def db(self) -> str | os.PathLike[str] | None:
        """The file that the promises are in; None where they are in memory."""
        return self._db

    @property
    def where(self) -> str:
        """Where the promises are, in words."""
        return "in memory" if self._db is None else f"in {os.fspath(self._db)}, {self._durability}"

    def _url_of(self, place: int) -> str:
        return f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{self._ports[place]}"

    def start(self) -> Self:
        """Open the ports, and serve until `stop`. Starting twice is starting once."""
        if self._thread is not None:
            return self
        server_class = _server_class()
        self._sockets = self._bound()
        self._ports = [each.getsockname()[1] for each in self._sockets]
        try:
            self._store = LocalStore() if self._db is None else SqliteStore(self._db, self._durability)
        except BaseException:
            self._close_sockets()
            raise
        self._started.clear()
        self._failure = None
        self._thread = threading.Thread(target=self._run, args=(server_class,), name="resonate-server", daemon=True)
        self._thread.start()
        if not self._started.wait(SERVER_START_LIMIT_S):
            self._failure = TimeoutError(f"the server was not there after {SERVER_START_LIMIT_S:.0f} s")
        self._raise_failure()
        return self

    def _raise_failure(self) -> None:
        if self._failure is not None:
            self.stop()
            raise self._failure

    def stop(self) -> None:
        """Close the ports, end every stream and give up the store. Nothing is left of the server then."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if self._end_soon is not None:
            self._end_soon()
        thread.join(SERVER_STOP_LIMIT_S)
        self._close_sockets()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

    # ---- sockets -------------------------------------------------------------------------------------------------------------------------

    def _bound(self) -> list[socket.socket]:
        """The two sockets, bound; none stays open where one cannot be had."""
        port, message_port = self._asked_ports
        first = _bound_socket(self._host, port, "--port")
        if message_port is None:
            message_port = port and port + 1
        try:
            return [first, _bound_socket(self._host, message_port, "--message-port")]
        except (OSError, ValueError):
            first.close()
            raise

    def _close_sockets(self) -> None:
        for each in self._sockets:
            each.close()

    # ---- the thread of the event loop ----------------------------------------------------------------------------------------------------

    def _run(self, server_class: Any) -> None:
        """All that may wait for the store is outside of the event loop, and in threads that keep no process alive."""
        try:
            self._open_store()
            config = _config(self._host)
            with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
                runner.run(self._serve(server_class(config)))
        except BaseException as error:
            self._failure = error
        finally:
            self._close_store()
            self._started.set()

    async def _serve(self, server: Any) -> None:
        loop = asyncio.get_running_loop()
        self._desk = desk = Desk(self._store, loop)
        office = PostOffice(loop, desk.tell, self.url)
        app = Application(Gate(self._host, self._credentials), desk, office, self.url, self._ports[1])
        server.config.loaded_app = app
        server.on_started = self._started.set
        self._end_soon = lambda: loop.call_soon_threadsafe(_begin_to_end, server, office, loop)
        self._store.route_messages(office.receiver)
        try:
            await server.serve(sockets=self._sockets)
        finally:
            self._end_soon = None
            office.close_all()

    def _open_store(self) -> None:
        self._store.route_messages(lambda recv: None)  # nobody is there yet
        # Whoever shares the file knows by this name that there is somebody else who delivers messages.
        self._leave = self._store.listen("", f"server-{secrets.token_hex(8)}", lambda message: None)
        self._store.start()

    def _close_store(self) -> None:
        if self._desk is not None:
            self._desk.stop(STOP_TIMEOUT_S)
            self._desk = None
        self._leave()
        self._store.stop(STOP_TIMEOUT_S)
        if isinstance(self._store, SqliteStore):
            self._store.close()


def _begin_to_end(server: Any, office: PostOffice, loop: asyncio.AbstractEventLoop) -> None:
    """Whoever is answered just now has a moment; then every connection ends."""
    server.should_exit = True
    office.close_all()
    loop.call_later(SERVER_STOP_GRACE_S, _abort, server)


def _abort(server: Any) -> None:
    for connection in list(server.server_state.connections):
        connection.transport.abort()


def _bound_socket(host: str, port: int, option: str) -> socket.socket:
    if not 0 <= port <= 65_535:
        raise ValueError(f"{option} must be 0 to 65535, got {port}")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise OSError(f"{host}:{port} cannot be had ({error.strerror}); {option} 0 takes a free port") from None


def _server_class() -> Any:
    try:
        import uvicorn
    except ImportError:
        raise ServerExtraMissing from None

    class Server(uvicorn.Server):
        """Says when it serves."""

        on_started: Any = None

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            self.on_started()

    return Server


def _config(host: str) -> Any:
    import uvicorn

    from resonate.server.guard import GuardedProtocol

    async def no_application(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the application is set when the event loop runs")

    config = uvicorn.Config(
        no_application, host=host, http=GuardedProtocol, ws="none", lifespan="off", interface="asgi3", log_config=None, access_log=False,
        proxy_headers=False, server_header=False, limit_concurrency=CONNECTIONS_LIMIT, timeout_keep_alive=IDLE_CONNECTION_LIMIT_S,
        h11_max_incomplete_event_size=HEAD_LIMIT, timeout_graceful_shutdown=1,
    )  # fmt: skip
    config.load()
    return config
