"""The stores that the law book is about, each on a bench. `STORES` is the only place where a store is added.

A bench is a fresh, empty store with the time in the law's hands: `advance` lets time pass and the store act on it, `elapse` lets time
pass while the store is not looking (a store with a thread of its own may look all the same). Nothing is simulated but the clock.
"""

from __future__ import annotations

import json
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
from wires import Wire, WireStore, current_wire, legacy_wire

from resonate.clocks import StepClock
from resonate.errors import ResonateStoreError
from resonate.protocol import Message
from resonate.stores import LocalStore
from resonate.stores.sqlite import SqliteStore
from resonate.wire import current_requests
from resonate.wire.legacy import message_from_wire, message_to_wire

START_MS = 1_767_225_600_000
"""Midnight of Thursday, 1 January 2026, UTC: where simulated time begins."""
HOUR_MS = 3_600_000
DEFAULT = "poll://any@default"
"""The address of the bench's own message source, as any of its group."""
FIELDS = ("id", "state", "timeout", "ikey_for_create", "ikey_for_complete", "param", "value", "tags", "created_on", "completed_on")

FEATURES = {
    "simulated time": "time passes when the law says so and by exactly as much, so days take no time and every answer can be foretold",
    "literal search": "in a search only `*` has a meaning",
    "checked templates": "a schedule whose promise id could never be made is refused when it is created",
    "lost replies": "an answer can get lost on its way, so that what it was asked for is asked once more",
    "distinct tasks": "two runs never share a task, however their ids read when they are joined",
}
"""What a law may ask of a store beyond the tables (`@needs(name)`), and what each name means."""


class Inbox:
    """A message source that keeps what it is given."""

    def __init__(self, group: str, id: str) -> None:
        self.unicast = f"poll://uni@{quote(group, safe='')}/{quote(id, safe='')}"
        self.anycast = f"poll://any@{quote(group, safe='')}/{quote(id, safe='')}"
        self.received: list[dict[str, Any]] = []

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def next(self) -> Any | None:
        return self.received.pop(0) if self.received else None

    def enqueue(self, mesg: dict[str, Any]) -> None:
        self.received.append(mesg)


class Bench(ABC):
    """What a law is given: the faces of one store, its time and its messages."""

    lacks: ClassVar[dict[str, str]] = {}
    """Features (names of `FEATURES`) that this store lacks, each with the documented reason; its laws are skipped with it."""
    refused_ids: ClassVar[dict[str, str]] = {}
    """Ids among `hostile.IDS` that this store refuses at the door, each with the documented reason."""
    separator = "."
    """What stands between a run's id and the number of its first child."""
    tolerance_ms = 0
    """By how much a time that the store took may differ from `now`."""
    restart: Callable[[], None] | None = None
    """Closes the store and opens it again, where that is possible."""

    store: Any

    @property
    def promises(self) -> Any:
        return self.store.promises

    @property
    def tasks(self) -> Any:
        return self.store.tasks

    @property
    def schedules(self) -> Any:
        return self.store.schedules

    @property
    @abstractmethod
    def now(self) -> int:
        """The store's time in milliseconds."""

    @property
    def far(self) -> int:
        """A deadline that no law lives to see."""
        return START_MS + 10_000 * 24 * HOUR_MS

    def about(self, time_ms: int) -> Any:
        """Equal to a time that the store took at `time_ms`."""
        return pytest.approx(time_ms, rel=0, abs=self.tolerance_ms)

    def in_order(self, ids: Iterable[str]) -> list[str]:
        """Ids as a search shows them that were created in this order: the newest first."""
        return list(ids)[::-1]

    @abstractmethod
    def elapse(self, duration_ms: int) -> None:
        """Let time pass; the store need not look."""

    @abstractmethod
    def advance(self, duration_ms: int = 0) -> None:
        """Let time pass and the store act on everything that has fallen due."""

    @abstractmethod
    def connect(self, group: str, id: str) -> Inbox:
        """One more message source."""

    @abstractmethod
    def disconnect(self, inbox: Inbox | None = None) -> None:
        """Take a message source away, the bench's own if none is named."""

    @abstractmethod
    def reconnect(self, inbox: Inbox | None = None) -> None:
        """Bring a message source back, the bench's own if none is named."""

    @abstractmethod
    def messages(self, inbox: Inbox | None = None) -> list[dict[str, Any]]:
        """What has arrived since the last look, at the bench's own source (`default`, `bench`) if none is named."""

    def heard(self) -> list[Message]:
        """What has arrived at the bench's own source since the last look, as whoever works on runs gets it."""
        return [message for shown in self.messages() if (message := message_from_wire(shown, DEFAULT)) is not None]

    def repeatedly(self, operation: Any) -> Any:
        """The answer to an operation that is asked again because the first answer was lost."""
        self.store.call([operation])
        return self.store.call([operation])[0]

    def close(self) -> None:  # noqa: B027 - most stores have nothing to let go of
        """Let go of everything."""

    # ---- what most laws begin with --------------------------------------------------------------------------------------------------

    def create(self, id: str = "p", timeout: int | None = None, **more: Any) -> Any:
        """A promise, with a deadline far away unless the law says otherwise."""
        return self.promises.create(id, self.far if timeout is None else timeout, **more)

    def invoke(self, id: str = "r", timeout: int | None = None, **more: Any) -> Any:
        """A promise that is routed to the bench, and the task that the message about it names."""
        self.create(id, timeout, tags={"resonate:invoke": DEFAULT}, **more)
        return self.one_task()

    def claimed(self, id: str = "r", pid: str = "w1", ttl: int = 30_000, timeout: int | None = None) -> Any:
        """A task on a new promise, claimed."""
        task = self.invoke(id, timeout)
        self.tasks.claim(task["id"], task["counter"], pid, ttl)
        return task

    def one_task(self) -> Any:
        """The task that the only new message names."""
        (message,) = self.messages()
        return message["task"]

    # ---- operations as they are, for what has no face ----------------------------------------------------------------------------------

    def ask(self, operation: Any) -> Any:
        """What an operation is answered with; a refusal is raised."""
        (answer,) = self.store.call((operation,))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def sent(self) -> list[tuple[str, int]]:
        """(id, counter) of each task that was sent since the last look."""
        return [(message["task"]["id"], message["task"]["counter"]) for message in self.messages() if "task" in message]


class MemoryBench(Bench):
    """`LocalStore` under a clock that stands still."""

    lacks: ClassVar = {"lost replies": "a store in this process loses no replies"}

    def __init__(self) -> None:
        self._now = START_MS
        self._clock = StepClock()
        self.elapse(0)
        self.store = self.make()
        self._own = self.connect("default", "bench")

    def make(self) -> Any:
        return LocalStore(clock=self._clock)

    @property
    def now(self) -> int:
        return self._now

    def elapse(self, duration_ms: int) -> None:
        self._now += duration_ms
        # Half a millisecond more, so that the way from seconds back to whole milliseconds cannot lose one by rounding.
        self._clock.step((self._now + 0.5) / 1000)

    def advance(self, duration_ms: int = 0) -> None:
        self.elapse(duration_ms)
        self.store.tick()

    def connect(self, group: str, id: str) -> Inbox:
        inbox = Inbox(group, id)
        self.store.connect(inbox)
        return inbox

    def disconnect(self, inbox: Inbox | None = None) -> None:
        self.store.disconnect(inbox or self._own)

    def reconnect(self, inbox: Inbox | None = None) -> None:
        self.store.connect(inbox or self._own)

    def messages(self, inbox: Inbox | None = None) -> list[dict[str, Any]]:
        source = inbox or self._own
        received, source.received = source.received, []
        return received


class ForgetfulBench(MemoryBench):
    """The same, with everything that is over put away at once."""

    def __init__(self) -> None:
        super().__init__()
        self.store._machine._resident_limit = 0


class FileBench(MemoryBench):
    """`SqliteStore` on a file of its own."""

    def make(self) -> Any:
        self.folder = tempfile.TemporaryDirectory()
        return SqliteStore(f"{self.folder.name}/promises.db", "fast", clock=self._clock)

    def restart(self) -> None:
        self.store.close()
        self.store = SqliteStore(f"{self.folder.name}/promises.db", "fast", clock=self._clock)
        self.reconnect()

    def close(self) -> None:
        self.store.close()
        self.folder.cleanup()


class LoadingBench(FileBench):
    """The same, loaded anew from the file before each operation."""

    @property
    def store(self) -> Any:
        self._store._is_stale = True
        return self._store

    @store.setter
    def store(self, store: Any) -> None:
        self._store = store


class SharedBench(FileBench):
    """Two stores on one file, as two processes have them, asked in turn. The message sources listen to the first."""

    def make(self) -> Any:
        self.first = super().make()
        self.second = SqliteStore(self.first.path, "fast", clock=self._clock)
        self.is_second = False
        return self.first

    @property
    def store(self) -> Any:
        self.is_second = not self.is_second
        return self.second if self.is_second else self.first

    @store.setter
    def store(self, store: Any) -> None:
        self.first = store

    restart = None

    def advance(self, duration_ms: int = 0) -> None:
        self.elapse(duration_ms)
        self.first.tick()
        self.second.tick()

    def connect(self, group: str, id: str) -> Inbox:
        inbox = Inbox(group, id)
        self.first.connect(inbox)
        return inbox

    def disconnect(self, inbox: Inbox | None = None) -> None:
        self.first.disconnect(inbox or self._own)

    def reconnect(self, inbox: Inbox | None = None) -> None:
        self.first.connect(inbox or self._own)

    def messages(self, inbox: Inbox | None = None) -> list[dict[str, Any]]:
        self.first._in_turn(lambda machine, now: None)  # as it does a moment after another process has written
        return super().messages(inbox)

    def close(self) -> None:
        self.second.close()
        self.first.close()
        self.folder.cleanup()


class JsonBench(MemoryBench):
    """`MemoryBench`, whose operations and answers go through the JSON of the current protocol."""

    def ask(self, operation: Any) -> Any:
        """The same, asked as a client asks a server."""
        body = json.dumps(current_requests.write_request(operation, "7"))
        status, envelope = current_requests.answer(body, super().ask)
        assert envelope["head"] == {"corrId": "7", "status": status, "version": "2026-04-01"}
        return current_requests.read_answer(operation, "7", json.loads(json.dumps(envelope)))


class WireBench(MemoryBench):
    """A store in memory that is asked through a client and a server of a protocol, and whose messages are read by the client."""

    lacks: ClassVar = {}
    connected: ClassVar[Callable[[LocalStore], Wire]]

    def make(self) -> Any:
        self._far = LocalStore(clock=self._clock)
        return WireStore(type(self).connected(self._far))

    def advance(self, duration_ms: int = 0) -> None:
        self.elapse(duration_ms)
        self._far.tick()

    def connect(self, group: str, id: str) -> Inbox:
        inbox = Inbox(group, id)
        self._far.connect(inbox)
        return inbox

    def disconnect(self, inbox: Inbox | None = None) -> None:
        self._far.disconnect(inbox or self._own)

    def reconnect(self, inbox: Inbox | None = None) -> None:
        self._far.connect(inbox or self._own)

    def messages(self, inbox: Inbox | None = None) -> list[dict[str, Any]]:
        return [message_to_wire(message) for message in self._read(inbox)]

    def heard(self) -> list[Message]:
        return self._read(None)

    def _read(self, inbox: Inbox | None) -> list[Message]:
        return [message for shown in super().messages(inbox) if (message := self.store.wire.hear(shown)) is not None]

    def repeatedly(self, operation: Any) -> Any:
        wire = self.store.wire
        wire.loses_replies = True
        try:
            return self.store.call([operation])[0]
        finally:
            wire.loses_replies = False


class LegacyWireBench(WireBench):
    """Through the legacy protocol."""

    refused_ids: ClassVar = {"empty": "a request must have an id that is not empty"}
    connected = legacy_wire


class CurrentWireBench(WireBench):
    """Through the current protocol."""

    refused_ids: ClassVar = dict.fromkeys(
        ("empty", "NUL", "only NUL"), "an id has one character at least, and none of them is NUL"
    )
    connected = current_wire
    separator = ":"

    def in_order(self, ids: Iterable[str]) -> list[str]:
        """By their bytes, as the current protocol finds them."""
        return sorted(ids, key=str.encode)


STORES: dict[str, type[Bench]] = {
    "memory": MemoryBench, "memory, put away": ForgetfulBench, "file": FileBench, "file, loaded at each turn": LoadingBench,
    "file, shared": SharedBench, "legacy wire": LegacyWireBench, "current wire": CurrentWireBench,
}  # fmt: skip
FENCED_STORES: dict[str, type[Bench]] = {
    **{name: kind for name, kind in STORES.items() if not issubclass(kind, WireBench)}, "memory, through the current wire": JsonBench,
}  # fmt: skip
"""Those that the laws of fenced tasks are about."""


# ---- how laws read an answer ---------------------------------------------------------------------------------------------------------


def code_of(error: ResonateStoreError) -> int:
    """The server's code behind `100.40301`, whose trailing zeros a float has lost."""
    return int(f"{error.code:.5f}".partition(".")[2])


def refusal(call: Callable[..., Any], *arguments: Any, **named: Any) -> int | None:
    """The code with which a call is refused, None when it is not; what a face refuses before it asks (ValueError) is 40000 too."""
    try:
        call(*arguments, **named)
    except ValueError:
        return 40000
    except ResonateStoreError as error:
        return code_of(error) if error.mesg else -1  # a refusal says why
    return None


def shown(promise: Any) -> dict[str, Any]:
    """Every field of a promise, as plain values."""
    fields = {name: getattr(promise, name) for name in FIELDS}
    return fields | {"param": promise.param.to_tuple(), "value": promise.value.to_tuple(), "tags": dict(promise.tags)}


SETTLES = {"RESOLVED": "resolve", "REJECTED": "reject", "REJECTED_CANCELED": "cancel"}
"""The method of the faces that leads to each state that a caller can choose."""

