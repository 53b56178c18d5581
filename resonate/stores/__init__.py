"""Where promises live. Every store answers the operations of `resonate.protocol`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resonate.stores.local import LocalStore

if TYPE_CHECKING:
    from resonate.stores.remote import RemoteStore

__all__ = ["LocalStore", "RemoteStore"]


def __getattr__(name: str) -> Any:
    if name == "RemoteStore":  # imported where it is used: HTTP and TLS take as long to import as all the rest
        from resonate.stores.remote import RemoteStore

        return RemoteStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
