"""Somebody who waits for a promise, as the low-level API shows it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback or subscription that was made. Times are in milliseconds since the epoch."""

    id: str
    promise_id: str
    timeout: int
    created_on: int
