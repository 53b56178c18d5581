"""What turns values into what is stored, and back."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Encoder(Protocol):
    """`decode(encode(value))` equals `value`, or `encode` raises."""

    def encode(self, obj: Any, /) -> Any:
        """The stored form of a value."""
        ...

    def decode(self, obj: Any, /) -> Any:
        """The value of a stored form."""
        ...
