"""What brings a process the messages that are meant for it."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class MessageSource(Protocol):
    """Messages for one process. `unicast` is the address of this process, `anycast` of its group with a preference for it."""

    @property
    def unicast(self) -> str:
        """The address under which only this process is reached."""
        ...

    @property
    def anycast(self) -> str:
        """The address under which this process is preferred, and any of its group is reached."""
        ...

    def start(self) -> None:
        """Begin to receive."""
        ...

    def stop(self) -> None:
        """Receive no more; `next` gives None."""
        ...

    def next(self) -> Any | None:
        """Wait for a message (`resonate.models.message.Mesg`); None when the source is stopped."""
        ...

    def enqueue(self, mesg: Any) -> None:
        """Put a message in, as a store does."""
        ...
