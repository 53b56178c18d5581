"""The outcome of a settled promise: `Ok(value)` or `Ko(error)`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ok[T]:
    """It resolved with this value."""

    value: T


@dataclass(frozen=True, slots=True)
class Ko:
    """It was rejected, canceled or timed out; awaiting it raises this error."""

    value: Exception


type Result[T] = Ok[T] | Ko
