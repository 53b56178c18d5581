"""Where a server is and how to be let in: arguments first, then the environment, then what SDK 0.6.7 takes without either."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from resonate.transport.connections import Credentials


def credentials_of_environment() -> Credentials:
    """A token or a user's name and password, where the environment has them."""
    token, user = os.getenv("RESONATE_TOKEN"), os.getenv("RESONATE_USERNAME")
    return token or ((user, os.getenv("RESONATE_PASSWORD", "")) if user else None)


def address_from(which: str, host: str | None, port: str | int | None, otherwise: str, *, over: bool = False) -> str:
    """A server's address from arguments and environment. A host that names a port already keeps it, unless `over` (another port of it)."""
    host = host or os.getenv(f"RESONATE_HOST_{which}") or os.getenv("RESONATE_HOST") or "http://localhost"
    given = port or os.getenv(f"RESONATE_PORT_{which}")
    try:
        parts = urlsplit(host if "://" in host else f"http://{host}")
        is_place = bool(parts.hostname) and parts.port != 0
    except ValueError:  # as of a port that is no number
        is_place = False
    if not is_place or parts.scheme not in ("http", "https"):
        raise ValueError(f"a server's address is as `http://localhost:8001`, got {host!r}")
    if given is not None and not (str(given).isascii() and str(given).isdigit() and 0 < int(given) < 65536):
        raise ValueError(f"a port is a number from 1 to 65535, got {given!r}")
    if given is None and parts.port is not None and not over:
        return host
    if given is None and parts.scheme == "https" and not over:
        return host
    name = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{name}:{given or otherwise}{'' if over else parts.path}"
