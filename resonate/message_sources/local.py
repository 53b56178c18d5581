"""Messages of a store in the same process."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Any, Protocol
from urllib.parse import quote


class _Sends(Protocol):
    """A store that hands messages to message sources."""

    def connect(self, source: Any) -> None: ...
    def disconnect(self, source: Any) -> None: ...


class LocalMessageSource:
    """Messages of a store in this process.

    >>> from resonate.stores import LocalStore
    >>> store = LocalStore()
    >>> source = store.message_source(group="default", id="w1")
    >>> source.start()
    >>> tags = {"resonate:invoke": "default"}
    >>> store.promises.create("a", timeout=2**45, tags=tags).state
    'PENDING'
    >>> source.next()["task"]["id"]
    '__invoke:a'
    >>> source.stop()
    """

    def __init__(self, store: _Sends, group: str, id: str, scheme: str = "local") -> None:
        self._store = store
        self._group, self._id, self._scheme = group, id, scheme
        self._queue: SimpleQueue[Any] = SimpleQueue()

    @property
    def unicast(self) -> str:
        """The address under which only this process is reached."""
        return f"{self._scheme}://uni@{quote(self._group, safe='')}/{quote(self._id)}"

    @property
    def anycast(self) -> str:
        """The address under which this process is preferred, and any of its group is reached."""
        return f"{self._scheme}://any@{quote(self._group, safe='')}/{quote(self._id)}"

    def start(self) -> None:
        """Begin to receive."""
        self._store.connect(self)

    def stop(self) -> None:
        """Receive no more; whoever waits in `next` gets None."""
        self._store.disconnect(self)
        self._queue.put(None)

    def next(self) -> Any | None:
        """Wait for a message; None when the source was stopped."""
        return self._queue.get()

    def enqueue(self, mesg: Any) -> None:
        """Put a message in, as a store does."""
        self._queue.put(mesg)
