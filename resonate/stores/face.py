"""What the low-level APIs (`promises`, `tasks`, `schedules`) have in common: one operation asked of the store, arguments checked."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from resonate.labels import short_text
from resonate.limits import ID_LIMIT, SEARCH_LIMIT
from resonate.protocol import Encoded, Message, Operation, refusal


class Answers(Protocol):
    """A store, as far as its faces need it."""

    @property
    def promises(self) -> Any:
        """Its promises."""
        ...

    @property
    def tasks(self) -> Any:
        """Its tasks."""
        ...

    @property
    def schedules(self) -> Any:
        """Its schedules."""
        ...

    def call(self, operations: Sequence[Operation]) -> list[Any]:
        """Carry out operations in order; a refused one's answer is the error itself."""
        ...


class Backend(Protocol):
    """What the runtime needs of a store."""

    promises: Any
    schedules: Any

    @property
    def in_place(self) -> bool:
        """Whether answers come at once, in the calling thread."""
        ...

    @property
    def sole_owner(self) -> bool:
        """Whether no other process can see these promises, so that nobody else can take a run over."""
        ...

    @property
    def is_far(self) -> bool:
        """Whether asking it is a journey, for which no thread may wait that others need."""
        ...

    @property
    def child_separator(self) -> str:
        """What stands between a run's id and the number of its first child; below that it is a dot."""
        ...

    @property
    def where(self) -> tuple[str, str]:
        """What kind of place it is, and how it is called."""
        ...

    def call(self, operations: Sequence[Operation], /) -> list[Any]:
        """Carry out operations in order. Each answer stands at its operation's place; a refused one is the error itself."""
        ...

    def post(self, operation: Operation, deliver: Callable[[Any], None], /) -> Any:
        """The answer to an operation where it is known at once; otherwise None, and `deliver` gets it, followed by `on_answers`."""
        ...

    @property
    def awaited(self) -> int:
        """How many posted operations are not answered yet."""
        ...

    def flush(self) -> None:
        """Carry out what was posted."""
        ...

    def flush_soon(self) -> None:
        """Have what was posted carried out by another thread."""
        ...

    @property
    def trouble(self) -> Exception | None:
        """Why nothing can be written just now."""
        ...

    on_answers: Callable[[], None]
    """Called after answers were delivered."""
    on_trouble: Callable[[str, Exception], None]
    """Called with the run whose operation was not carried out, or was refused after it had been answered, and why."""

    def address(self, target: str, /) -> str:
        """The address of a logical target, as promises carry it."""
        ...

    def message_of(self, brought: Any, recv: str, /) -> Message | None:
        """A message as a message source brings it; None for a kind that is not known. ValueError or `ResonateError` when it is damaged."""
        ...

    def listen(self, group: str, id: str, receive: Callable[[Any], None], /) -> Callable[[], None]:
        """Hand messages to `receive` from now on; gives what ends it."""
        ...

    def start(self) -> None:
        """Begin to act by itself."""
        ...

    def stop(self, timeout_s: float = 0.0, /) -> None:
        """Act no more by itself."""
        ...


class Face:
    """Asks a store and raises what it refuses with."""

    def __init__(self, store: Answers) -> None:
        self._store = store

    def _ask(self, operation: Operation) -> Any:
        answer = self._store.call([operation])[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @staticmethod
    def _page_limits(asked: Sequence[Any]) -> tuple[int, Any]:
        limit = asked[3]
        if isinstance(limit, bool) or not isinstance(limit, int) or not 0 <= limit <= SEARCH_LIMIT:
            raise refusal(40000, f"limit must be 1 to {SEARCH_LIMIT}, got {short_text(limit)}")
        return limit or SEARCH_LIMIT, asked[4]


def checked_text(name: str, value: object) -> str:
    """The text itself. TypeError when it is none, ValueError when it can be no id: every store and server must be able to carry it."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be `str`, got {type(value).__name__}")
    if len(value) > ID_LIMIT:
        raise ValueError(f"{name} has {len(value)} characters, more than the {ID_LIMIT} that an id may have")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{name} {value!r} holds half of a surrogate pair at position {error.start}, which is no character") from None
    return value


def checked_id(name: str, value: object) -> str:
    """Text that names a task or a process: not empty, besides what `checked_text` wants."""
    text = checked_text(name, value)
    if not text:
        raise ValueError(f"{name} is empty, which is no id")
    return text


def checked_optional(name: str, value: object) -> str | None:
    """Text or None. TypeError when it is neither."""
    return None if value is None else checked_text(name, value)


def checked_duration(name: str, value: object) -> int:
    """A whole number of milliseconds that is not negative."""
    duration_ms = checked_int(name, value)
    if duration_ms < 0:
        raise ValueError(f"{name} must be 0 or more, got {duration_ms}")
    return duration_ms


def checked_counter(name: str, value: object) -> int:
    """A task's counter. They begin at 1, and 0 is what a server takes for none."""
    counter = checked_int(name, value)
    if counter == 0:
        raise ValueError(f"{name} of a task begins at 1, got 0")
    return counter


def checked_int(name: str, value: object) -> int:
    """A whole number. TypeError when it is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise TypeError(f"{name} must be `int`, got {type(value).__name__}")


def checked_tags(name: str, tags: object) -> dict[str, str] | None:
    """Text by text, or None when there is none. TypeError when something is no text."""
    if tags is None:
        return None
    if not isinstance(tags, Mapping):
        raise TypeError(f"{name} must be a dict of `str` to `str`, got {type(tags).__name__}")
    for key, text in tags.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise TypeError(f"{name} must be a dict of `str` to `str`, got {type(key).__name__} to {type(text).__name__} in it")
    return dict(tags) or None


def checked_encoded(headers: Mapping[str, str] | None, data: str | None, prefix: str = "") -> Encoded:
    """What is stored of a value. TypeError when it is no text. `prefix` is that of the arguments' names."""
    if data is not None and not isinstance(data, str):
        raise TypeError(
            f"{prefix}data must be `str` or None, got {type(data).__name__}; for a Python value write {prefix}data=json.dumps(value)"
        )
    return checked_tags(f"{prefix}headers", headers), data


def write_cursor(asked: Sequence[Any], place: int | str) -> str:
    """A search (pattern, state, tags, limit, place) that goes on at another place, as opaque text."""
    return base64.urlsafe_b64encode(json.dumps([*asked[:4], place]).encode()).decode("ascii")


def read_cursor(cursor: str) -> Sequence[Any]:
    """What `write_cursor` was given. `ResonateStoreError` (40000) when it is no cursor."""
    try:
        asked = json.loads(base64.urlsafe_b64decode(cursor))
        pattern, _, tags, _, place = asked
        if isinstance(pattern, str) and isinstance(place, (int, str)) and (tags is None or isinstance(tags, dict)):
            return tuple(asked)
    except (ValueError, TypeError, RecursionError):
        pass  # refused below, as every other text that is no cursor
    raise refusal(40000, "this is no cursor of a search")
