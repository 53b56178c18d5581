"""Where promises live. Every store answers the operations of `resonate.protocol`."""

from resonate.stores.local import LocalStore

__all__ = ["LocalStore"]
