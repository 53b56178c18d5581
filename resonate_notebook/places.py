"""Where runs can live, as a kernel connects to it: memory, a file, a server somewhere, a development server that is started or found."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from resonate import Resonate
from resonate.errors import StoreUnavailable
from resonate.registry import Registry

if TYPE_CHECKING:
    from resonate.server import DevelopmentServer

LOG_LEVEL: Final = "INFO"
"""What functions say by `ctx.logger` from this level on is kept with their calls."""
REACH_LIMIT_S: Final = 3.0
FOUND_LIMIT_S: Final = 0.5
PATIENCE_S: Final = 1.5
"""How long a verb waits for a server that is away, for a person sits in front of it; runs wait for as long as it takes."""
DEV_PORT: Final = 8001
PORT: Final = re.compile(r":\d+")


class Place(NamedTuple):
    """One place: `kind` is memory, file, remote or dev. The same place given twice is equal."""

    kind: str = "memory"
    path: Path | None = None
    durability: str = "full"
    url: str = ""
    group: str = "default"
    protocol: str | None = None
    port: int = DEV_PORT

    def is_served_by(self, server: DevelopmentServer) -> bool:
        """Whether a client of this place is one of the server that was started here, so that it has to stay."""
        own, given = urlsplit(server.url), urlsplit(self.url)
        if self.kind == "remote":
            return given.port == own.port and given.hostname in {own.hostname, "localhost"}
        return self.kind == "dev" and self.port in {0, own.port} and self.path == server.db

    def line(self) -> str:
        """What connects a kernel to it, after `%resonate`."""
        db = "" if self.path is None else f" --db {str(self.path)!r}" if " " in str(self.path) else f" --db {self.path}"
        db += f" --durability {self.durability}" if self.path is not None and self.durability != "full" else ""
        served = f" --group {self.group}" if self.group != "default" else ""
        served += f" --protocol {self.protocol}" if self.protocol else ""
        if self.kind == "remote":
            return f"connect remote {self.url}{served}"
        if self.kind == "dev":
            return f"connect dev{f' --port {self.port}' if self.port != DEV_PORT else ''}{db}{served}"
        return f"connect local{db}"


class Connection(NamedTuple):
    """A client of a place, and the development server that was started for it."""

    client: Resonate
    server: DevelopmentServer | None = None


def open_place(place: Place, registry: Registry, server: DevelopmentServer | None = None) -> Connection:
    """A client of a place, with the functions of a registry; it is not started. Raises `StoreUnavailable`, `StoreDamaged` or OSError.

    `server` runs here already, and stays where the place is one of its own: going over to another group must not end it.
    """
    if server is not None and place.is_served_by(server):
        return Connection(_remote(server.url, place, registry, REACH_LIMIT_S), server)
    if server is not None and place.kind == "dev" and place.port == urlsplit(server.url).port:
        raise ValueError(f"The server at port {place.port} was started here, {server.where}. `%resonate stop` ends it, then connect anew")
    if place.kind == "remote":
        return Connection(_remote(place.url, place, registry, REACH_LIMIT_S))
    if place.kind == "dev":
        return _development(place, registry)
    return Connection(Resonate.local(path=place.path, durability=place.durability, registry=registry, log_level=LOG_LEVEL))


def _remote(url: str, place: Place, registry: Registry, limit_s: float) -> Resonate:
    from resonate.stores.remote import RemoteStore

    port = urlsplit(url).port  # what was typed counts more than the environment
    store = RemoteStore(url, port, protocol=place.protocol, log_level=logging.CRITICAL)  # what it would say belongs to no call
    store.patience_s = PATIENCE_S
    client = Resonate(group=place.group, registry=registry, store=store, log_level=LOG_LEVEL)
    try:
        client.reach(limit_s)
    except StoreUnavailable:
        client.stop()
        raise
    return client


def _development(place: Place, registry: Registry) -> Connection:
    """The server that listens at the port already, or one that is started here and ends with this kernel."""
    try:
        if place.port:  # 0 is a free one, where nobody can listen yet
            return Connection(_remote(f"http://127.0.0.1:{place.port}", place, registry, FOUND_LIMIT_S))
    except StoreUnavailable:
        pass  # most likely nobody listens there; if somebody else does, starting says so
    from resonate.server import DevelopmentServer

    server = DevelopmentServer(port=place.port, db=place.path, durability=place.durability).start()
    try:
        return Connection(_remote(server.url, place, registry, REACH_LIMIT_S), server)
    except BaseException:
        server.stop()
        raise


def without_port(address: str) -> str:
    """The first address in a text without its port, for stable output where the port was nobody's choice."""
    return PORT.sub("", address, count=1)


def told(place: Place, client: Resonate, server: DevelopmentServer | None, *, stable: bool = False) -> str:
    """The place in words. Where it is `stable`, they leave out a port that was nobody's choice."""
    if place.kind == "memory":
        return "in memory (gone when the kernel stops)"
    if place.kind == "file" and place.path is not None:
        return f"{place.path.name} (durable: {place.durability})"
    spoken = client.where[1].rpartition(", ")[2]
    group = f" · group {place.group}"
    if place.kind == "remote":
        return f"{place.url} ({spoken}){group}"
    url = urlsplit(f"http://127.0.0.1:{place.port}" if server is None else server.url)
    how = "found there" if server is None else f"started here, {server.where}"
    address = without_port(url.netloc) if stable and not place.port else url.netloc
    return f"development server on {address} ({how}) · {spoken}{group}"
