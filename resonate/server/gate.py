"""Who may ask: whose `Host` and `Origin` are those of this server, and who knows the password or the token. Pure.

A page of the web that a person has open may send requests to a server on the same machine, and with a name of its own that leads to
127.0.0.1 (DNS rebinding) it may read the answers too. Such requests name a foreign `Host` or `Origin`, or say that they cross sites.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from resonate.wire.http import Reply

_OPEN_PATHS = ("/ping", "/health", "/ready", "/")
"""Whether the server lives may be asked by anybody; `POST /` shows its token in its body, so it is asked about that later."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Credentials(NamedTuple):
    """What has to be known: `name:password`, a token, or (where both are given) either. None: nothing."""

    user: str | None = None
    token: str | None = None

    def __repr__(self) -> str:
        return "Credentials(…)"  # secrets belong into no traceback

    def are_met_by(self, authorization: str) -> bool:
        """Whether a header `Authorization` shows what has to be known."""
        if self.user is None and self.token is None:
            return True
        wanted = []
        if self.user is not None:
            wanted.append("Basic " + base64.b64encode(self.user.encode()).decode("ascii"))
        if self.token is not None:
            wanted.append(f"Bearer {self.token}")
        scheme, _, secret = authorization.partition(" ")
        shown = f"{scheme.capitalize()} {secret.strip()}".encode()
        return any(hmac.compare_digest(each.encode(), shown) for each in wanted)


class Gate:
    """Lets requests in, or answers them itself. `host` is what the server is bound to; only on loopback is the name in `Host` checked."""

    def __init__(self, host: str, credentials: Credentials) -> None:
        self._credentials = credentials
        self._hosts = {*LOOPBACK, host.lower()} if is_loopback(host) else None

    def refuses(self, path: str, headers: Mapping[str, str]) -> Reply | None:
        """The refusal of a request, or None."""
        host = _name(headers.get("host", ""))
        origin = headers.get("origin")
        if self._hosts is not None and host not in self._hosts:
            return Reply(403, "This server answers to its own name only, and `Host` is another. Bind it to an address with --host.\n")
        if origin is not None and (host is None or _name(_place(origin)) != host):
            return Reply(403, "This server answers no pages of other sites: `Origin` is another than `Host`.\n")
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            return Reply(403, "This server answers no pages of other sites.\n")
        if path in _OPEN_PATHS or self.is_known(headers):
            return None
        return Reply(401, {"error": {"code": 40100, "message": "the server wants a password or a token", "details": []}})

    def is_known(self, headers: Mapping[str, str], token: str | None = None) -> bool:
        """Whether a request shows what has to be known, in its header or by a token elsewhere."""
        shown = headers.get("authorization", "") if token is None else f"Bearer {token}"
        return self._credentials.are_met_by(shown)


def is_loopback(host: str) -> bool:
    """Whether a server that is bound to `host` can be reached from the same machine alone."""
    return host.lower() in LOOPBACK or host.startswith("127.")


def _name(host: str) -> str | None:
    """The name in a `Host` or in the like part of an address, without its port; None where there is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:  # as `[`
        return None


def _place(origin: str) -> str:
    """The host and port of an origin; empty where it has none, as `null`."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""
