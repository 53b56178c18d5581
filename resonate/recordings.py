"""A run as plain data, and as one file: every call with its arguments' text, times and outcome, exactly as it is stored.

`Resonate.record` makes one from a run anywhere, ended or not; `resonate.replays` holds today's code against it, and
`resonate.differences` holds two of them against each other. Reading a file runs no code, and takes nothing for granted: it may come from
anybody. A recording holds the values in clear text, also where the store had them encrypted.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Self, cast, get_args

from resonate.errors import RecordingDamaged
from resonate.limits import DIFFERENCE_TEXT_LIMIT, INTEGER_LIMIT, RECORDING_LIMIT
from resonate.protocol import Encoded, Kind, Lineage, PromiseRecord, State
from resonate.wire.lineage import guessed_lineage

FORMAT: Final = "resonate-recording"
VERSION: Final = 1
ENDING: Final = ".recording"
"""How the names of such files end, by custom."""

_HEAD: Final = f'{{"format": "{FORMAT}", '.encode()
_STATES: Final = get_args(State)
_KINDS: Final = get_args(Kind)
OWN_IDS: Final = 10**9
"""What is added to the number of a call that has an id of its own, among those of its caller."""
type Place = tuple[int, ...]
"""Where a call stands in its run, whatever the run's id: the numbers of the calls that lead to it."""


@dataclass(frozen=True)
class Recording:
    """A run at one moment. `promises` are its promises in the order of creation, the run's own first; `recorded_on` is in ms since 1970.

    `separator` is what stands between the run's id and the number of its first call: a dot, or a colon on some servers.

    >>> from resonate import Resonate
    >>> from resonate.replays import replay
    >>> resonate = Resonate()
    >>> def clean(ctx, day):
    ...     return day
    >>> @resonate.register
    ... def pipeline(ctx, days):
    ...     total = 0
    ...     for day in range(days):
    ...         total += yield ctx.run(clean, day)
    ...     return total
    >>> resonate.run("demo.1", pipeline, 3)
    3
    >>> recording = resonate.record("demo.1")
    >>> print(recording)
    demo.1: pipeline, 4 calls, resolved
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "demo.1.recording")
    >>> recording.save(path)
    >>> replay(Recording.load(path), pipeline).check()
    """

    promises: tuple[PromiseRecord, ...]
    recorded_on: int
    separator: str = "."

    @classmethod
    def of(cls, root: PromiseRecord, descendants: Iterable[PromiseRecord], separator: str = ".") -> Self:
        """A recording of a run's promise and all below it. ValueError when that is only a part of another run."""
        lineage = root.lineage or guessed_lineage(root, root.id)
        if lineage.parent is not None or lineage.origin != root.id:
            raise ValueError(f"{root.id} is a step of {lineage.origin}; a recording holds a whole run, as {lineage.origin}")
        records = {root.id: replace(root, number=0)}
        for each in descendants:
            records.setdefault(each.id, replace(each, number=0))
        return cls(tuple(records.values()), int(time.time() * 1000), separator)

    @property
    def id(self) -> str:
        """The run's id."""
        return self.promises[0].id

    def __str__(self) -> str:
        root, count = self.promises[0], len(self.promises)
        return f"{self.id}: {self.lineage(root).name}, {count:,} call{'s' * (count != 1)}, {STATE_WORDS[root.state]}"

    def lineage(self, record: PromiseRecord) -> Lineage:
        """Where a promise stands in the run; guessed by its id where another SDK has made it."""
        return record.lineage or guessed_lineage(record, self.id)

    @cached_property
    def children(self) -> Mapping[str, list[PromiseRecord]]:
        """The calls that each call has made, by its id, in the order of creation."""
        found: dict[str, list[PromiseRecord]] = {}
        for record in self.promises[1:]:
            found.setdefault(self.lineage(record).parent or self.id, []).append(record)
        return found

    def child_prefix(self, parent: str) -> str:
        """What the ids of a call's own calls begin with, before their number."""
        return f"{parent}{'.' if self.separator in parent else self.separator}"

    def places(self) -> dict[Place, PromiseRecord]:
        """Each promise by where it stands, callers before what they call."""
        known = {record.id: record for record in self.promises}
        below = {parent: [child.id for child in children] for parent, children in self.children.items()}
        placed: set[str] = set()
        for parent in list(below):  # a call that is not durable has no promise, its own calls have
            child = parent
            while child not in known and child != self.id and child not in placed:
                placed.add(child)
                above = child.rpartition(".")[0] or self.id
                below.setdefault(above, []).append(child)
                child = above
        found: dict[Place, PromiseRecord] = {}
        todo: list[tuple[Place, str]] = [((), self.id)]
        for place, promise_id in todo:  # it grows on the way
            if promise_id in known:
                found[place] = known[promise_id]
            prefix, own = self.child_prefix(promise_id), 0
            for child in below.pop(promise_id, ()):
                counted = child.removeprefix(prefix)
                is_counted = child.startswith(prefix) and counted.isascii() and counted.isdigit() and len(counted) < 10
                own += not is_counted
                todo.append(((*place, int(counted) if is_counted else OWN_IDS + own), child))
        return found

    # ---- files ---------------------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> None:
        """Write it to a file, whole or not at all. FileExistsError where a file stands that is no recording, unless `force`.

        ValueError when it is larger than a recording may be, OSError when it cannot be written.
        """
        target = Path(path).expanduser().resolve()
        if not force and target.exists() and not is_recording(target):
            raise FileExistsError(f"{target} exists and is no recording. Another name, or `force`, lets this one be written.")
        content = _written(self)
        if len(content) > RECORDING_LIMIT:
            raise ValueError(f"the recording of {self.id} has {len(content):,} bytes, more than the {RECORDING_LIMIT:,} that one may have")
        beside = target.with_name(f".{target.name[:100]}.{os.getpid()}.part")
        try:
            beside.write_bytes(content)
            beside.replace(target)
        except OSError:
            beside.unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file. `RecordingDamaged` says what is wrong with it and where (`$.promises[3].state`), OSError that it cannot be read."""
        source = Path(path).expanduser()
        try:
            with source.open("rb") as file:
                content = file.read(RECORDING_LIMIT + 1)
            if len(content) > RECORDING_LIMIT:
                raise _Wrong("$", f"has more than {RECORDING_LIMIT:,} bytes, which no recording has")
            return cls(*_read(content))
        except _Wrong as wrong:
            do = "`Resonate.record` and `save` make a new one of a run that is still there."
            raise RecordingDamaged(f"{source}: {wrong}. {do}") from None


STATE_WORDS: Final[Mapping[str, str]] = {
    "PENDING": "unfinished", "RESOLVED": "resolved", "REJECTED": "rejected", "REJECTED_CANCELED": "cancelled",
    "REJECTED_TIMEDOUT": "timed out",
}  # fmt: skip


def call_text(lineage: Lineage) -> str:
    """A call, for people: `run load(3)`."""
    name = lineage.kind if lineage.name == lineage.kind else f"{lineage.kind} {lineage.name}"
    return name if lineage.arguments is None else f"{name}({lineage.arguments})"


def line_text(text: str) -> str:
    """A line that is shown, no longer than such a line may be, whatever the names in a recording are."""
    return text if len(text) <= DIFFERENCE_TEXT_LIMIT else text[: DIFFERENCE_TEXT_LIMIT - 1] + "…"


def is_recording(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as a recording does."""
    try:
        with Path(path).open("rb") as file:
            return file.read(len(_HEAD)) == _HEAD
    except OSError:
        return False


# ---- the format --------------------------------------------------------------------------------------------------------------------


def _written(recording: Recording) -> bytes:
    promises = [_plain(record) for record in recording.promises]
    head = {"format": FORMAT, "version": VERSION, "recorded_on": recording.recorded_on, "separator": recording.separator}
    lines = ",\n".join(json.dumps(each) for each in promises)
    digest = _digest({**head, "promises": promises})
    return f'{json.dumps(head)[:-1]}, "promises": [\n{lines}\n], "digest": "{digest}"}}\n'.encode()


def _plain(record: PromiseRecord) -> dict[str, Any]:
    plain = asdict(record)
    del plain["number"]  # of its store alone
    for name in ("param", "value"):
        plain[name] = dict(zip(("headers", "data"), plain[name], strict=True))
    plain["lineage"] = record.lineage._asdict() if record.lineage is not None else None
    return plain


def _digest(body: dict[str, Any]) -> str:
    return blake2b(json.dumps(body, sort_keys=True, separators=(",", ":")).encode(), digest_size=16).hexdigest()


class _Wrong(Exception):
    """What is wrong with a file, and where in it."""

    def __init__(self, path: str, text: str) -> None:
        super().__init__(f"{path} {text}")


def _read(content: bytes) -> tuple[tuple[PromiseRecord, ...], int, str]:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        at = f"at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "anywhere"
        cut = "; the file seems to be cut off" if content.startswith(_HEAD) and not content.rstrip().endswith(b"}") else ""
        raise _Wrong("$", f"is no JSON {at}{cut}") from None
    head = _Fields(body, "$")
    if head.body.get("format") != FORMAT:
        raise _Wrong("$.format", f"is not {FORMAT!r}: this is no recording of a run")
    if head.whole("version") != VERSION:
        raise _Wrong("$.version", f"is {head.body['version']}, and this version of resonate reads {VERSION}: upgrade it")
    promises = head.body.get("promises")
    if not isinstance(promises, list) or not promises:
        raise _Wrong("$.promises", "must be a list of one promise or more")
    records = tuple(_record(each, f"$.promises[{number}]") for number, each in enumerate(promises))
    recorded_on, separator = head.whole("recorded_on"), head.one_of("separator", (".", ":"))
    seen: dict[str, int] = {}
    for number, record in enumerate(records):
        if seen.setdefault(record.id, number) != number:
            raise _Wrong(f"$.promises[{number}].id", f"is that of $.promises[{seen[record.id]}] too")
    if head.text("digest") != _digest({name: value for name, value in body.items() if name != "digest"}):
        raise _Wrong("$.digest", "does not fit the rest: the file was changed, or damaged on its way")
    return records, recorded_on, separator


def _record(body: Any, path: str) -> PromiseRecord:
    fields = _Fields(body, path)
    state = cast("State", fields.one_of("state", _STATES))
    lineage = None
    if fields.body.get("lineage") is not None:
        told = _Fields(fields.body["lineage"], f"{path}.lineage")
        kind = cast("Kind", told.one_of("kind", _KINDS))
        lineage = Lineage(
            told.text("origin"), told.text("root"), told.text("parent", optional=True), kind, told.text("name"),
            told.text("arguments", optional=True),
        )  # fmt: skip
    return PromiseRecord(
        fields.text("id"), state, fields.whole("timeout"), fields.encoded("param"), fields.encoded("value"), fields.texts("tags"),
        fields.text("target", optional=True), fields.truth("timer"), fields.whole("created_on"),
        None if state == "PENDING" and fields.body.get("completed_on") is None else fields.whole("completed_on"),
        fields.text("key_for_create", optional=True), fields.text("key_for_complete", optional=True), lineage,
    )  # fmt: skip


class _Fields:
    """The fields of one JSON object, each looked at before it is used."""

    def __init__(self, body: Any, path: str) -> None:
        if not isinstance(body, dict):
            raise _Wrong(path, "must be an object")
        self.body: dict[str, Any] = body
        self._path = path

    def _checked(self, name: str, accepts: Callable[[Any], bool], what: str) -> Any:
        value = self.body.get(name)
        if not accepts(value):
            raise _Wrong(f"{self._path}.{name}", f"must be {what}" if name in self.body else "is missing")
        return value

    def text(self, name: str, *, optional: bool = False) -> Any:
        """Text, or None where that is allowed."""
        return self._checked(name, lambda value: isinstance(value, str) or (optional and value is None), "text")

    def whole(self, name: str) -> int:
        """A whole number, such as a time in milliseconds."""
        return int(self._checked(name, lambda value: type(value) is int and abs(value) <= INTEGER_LIMIT, "a whole number"))

    def truth(self, name: str) -> bool:
        """True or false."""
        return bool(self._checked(name, lambda value: isinstance(value, bool), "true or false"))

    def one_of(self, name: str, known: tuple[str, ...]) -> str:
        """One of some words."""
        return str(self._checked(name, lambda value: isinstance(value, str) and value in known, f"one of {', '.join(known)}"))

    def texts(self, name: str) -> Any:
        """An object of texts, or None."""
        accepts = lambda value: value is None or (isinstance(value, dict) and all(isinstance(each, str) for each in value.values()))  # noqa: E731
        return self._checked(name, accepts, "an object of texts")

    def encoded(self, name: str) -> Encoded:
        """A stored value."""
        stored = _Fields(self.body.get(name), f"{self._path}.{name}")
        return stored.texts("headers"), stored.text("data", optional=True)
