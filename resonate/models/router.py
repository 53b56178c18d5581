"""What decides where a new promise is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from resonate.models.durable_promise import DurablePromise


class Router(Protocol):
    """`route(promise)` is an address, or None to leave the decision to the next router."""

    def route(self, promise: DurablePromise) -> str | None:
        """The address of a new promise."""
        ...
