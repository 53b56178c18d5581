"""Where a new promise is sent, by what it carries."""

from __future__ import annotations

from resonate.models.durable_promise import DurablePromise


class TagRouter:
    """Sends a promise to the address in one of its tags.

    >>> from resonate import Resonate
    >>> promise = Resonate().promises.create("a", timeout=2**45, tags={"resonate:invoke": "poll://any@billing"})
    >>> TagRouter().route(promise)
    'poll://any@billing'
    """

    def __init__(self, tag: str = "resonate:invoke") -> None:
        self.tag = tag

    def route(self, promise: DurablePromise) -> str | None:
        """The address, or None when the promise carries no such tag."""
        return promise.tags.get(self.tag)
