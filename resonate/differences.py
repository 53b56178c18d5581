"""Two recorded runs, held against each other step by step.

Calls are matched by where they stand in their run, so the ids of the runs do not matter. Compared are what was called, with what, and
what came of it; durations are told and are no difference. Below a call that only one run has, or that is another function's, nothing is
compared: everything there would differ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from resonate.encoders import DEFAULT
from resonate.fingerprint import fingerprint
from resonate.limits import DIFFERENCES_SHOWN
from resonate.models.encoder import Encoder
from resonate.protocol import NOTHING, Lineage, PromiseRecord
from resonate.recordings import Place, Recording, call_text, line_text
from resonate.replays import same_outcome, same_value, told_outcome

What = Literal["only in one", "function", "arguments", "outcome"]


@dataclass(frozen=True, slots=True)
class Differing:
    """One call in which two runs differ: its ids (None where one has no such call), what differs, and how each side reads."""

    what: What
    left_id: str | None
    right_id: str | None
    left: str
    right: str
    left_s: float | None
    """How long it took, in seconds; None where it is unfinished or absent."""
    right_s: float | None
    below: int = 0
    """How many further calls stand below it and are not compared."""

    def __str__(self) -> str:
        more = f" (and {self.below:,} below it)" if self.below else ""
        if self.left_id is None or self.right_id is None:
            return line_text(f"{self.left_id or self.right_id} only: {self.left or self.right}{more}")
        return line_text(f"{self.left_id}: {self.left} · {self.right_id}: {self.right}{more}")


@dataclass(frozen=True, slots=True)
class Difference:
    """What two recorded runs differ in, the first difference first; true where there is any."""

    left: Recording
    right: Recording
    calls: tuple[Differing, ...]
    alike: int
    """How many calls are the same in both."""

    def __bool__(self) -> bool:
        return bool(self.calls)

    def __str__(self) -> str:
        left, right = self.left.id, self.right.id
        took = " · ".join(f"{each.id} {_took_text(each)}" for each in (self.left, self.right))
        if not self.calls:
            same = "the same run twice" if left == right else f"{left} and {right} are alike"
            return f"{same}: {_count(self.alike)}, the same outcomes.\n{took}"
        lines = [f"    {each}" for each in self.calls[:DIFFERENCES_SHOWN]]
        if len(self.calls) > DIFFERENCES_SHOWN:
            lines.append(f"    … {len(self.calls) - DIFFERENCES_SHOWN:,} more")
        head = f"{left} and {right} differ in {_count(len(self.calls))}, and are alike in {self.alike:,}. The first difference first:"
        return "\n".join([head, *lines, took])


def diff(left: Recording, right: Recording, *, encoder: Encoder | None = None) -> Difference:
    """Compare two runs step by step. `encoder` is that of the client that ran them, where it is not the usual one.

    >>> from resonate import Resonate
    >>> resonate = Resonate()
    >>> def load(ctx, day):
    ...     return 10 * day
    >>> @resonate.register
    ... def total(ctx, days):
    ...     return (yield ctx.run(load, days[0])) + (yield ctx.run(load, days[1]))
    >>> resonate.run("a", total, [1, 2]), resonate.run("b", total, [1, 3])
    (30, 40)
    >>> difference = diff(resonate.record("a"), resonate.record("b"))
    >>> for call in difference.calls:
    ...     print(call.what, "|", call)
    arguments | a: run total([1, 2]) resolved with 30 · b: run total([1, 3]) resolved with 40
    arguments | a.2: run load(2) resolved with 20 · b.2: run load(3) resolved with 30
    >>> bool(diff(resonate.record("a"), resonate.record("a")))
    False
    """
    return _Comparison(left, right, encoder or DEFAULT).difference()


class _Comparison:
    def __init__(self, left: Recording, right: Recording, encoder: Encoder) -> None:
        self._left, self._right, self._encoder = left, right, encoder
        self._calls: list[Differing] = []
        self._alike = 0

    def difference(self) -> Difference:
        """Goes through both, callers before what they call."""
        lefts, rights = self._left.places(), self._right.places()
        places = sorted(lefts.keys() | rights.keys())
        above: Place | None = None  # the latest call below which nothing is compared
        for place in places:
            if above is not None and place[: len(above)] == above:
                self._calls[-1] = replace(self._calls[-1], below=self._calls[-1].below + 1)
                continue
            left, right = lefts.get(place), rights.get(place)
            what = self._what(left, right)
            if what is None:
                self._alike += 1
                continue
            above = place if what in ("only in one", "function") and place else None
            self._calls.append(
                Differing(
                    what, left.id if left else None, right.id if right else None, self._told(self._left, left),
                    self._told(self._right, right), _took(left), _took(right),
                )
            )  # fmt: skip
        return Difference(self._left, self._right, tuple(self._calls), self._alike)

    def _what(self, left: PromiseRecord | None, right: PromiseRecord | None) -> What | None:
        if left is None or right is None:
            return "only in one"
        one, other = self._call(self._left, left), self._call(self._right, right)
        if (one.kind, _name(self._left, one)) != (other.kind, _name(self._right, other)):
            return "function"
        if one.arguments != other.arguments or not same_value(left.param, right.param, self._encoder):
            return "arguments"
        return None if same_outcome(left, right, self._encoder) else "outcome"

    def _call(self, recording: Recording, record: PromiseRecord) -> Lineage:
        """What was called. What was asked for from outside, and by rpc, stands in the promise itself."""
        lineage = recording.lineage(record)
        if lineage.arguments is not None or record.param == NOTHING or lineage.kind == "sleep":
            return lineage
        try:
            asked: Any = self._encoder.decode(record.param)
            if lineage.kind == "promise":
                return lineage._replace(arguments=fingerprint((asked,), {}))
            arguments = fingerprint(tuple(asked.get("args") or ()), dict(asked.get("kwargs") or {}))
            version = asked.get("version", 1)
            return lineage._replace(name=f"{asked['func']}{f' version {version}' * (version != 1)}", arguments=arguments)
        except (Exception, SystemExit):  # it was written by another encoder, or asks for nothing
            return lineage

    def _told(self, recording: Recording, record: PromiseRecord | None) -> str:
        if record is None:
            return ""
        return f"{call_text(self._call(recording, record))} {told_outcome(record, self._encoder)}"


def _name(recording: Recording, lineage: Lineage) -> str:
    """A promise under an id of its own is named after that, which often begins with the run's."""
    rest = lineage.name.removeprefix(recording.id)
    return rest if lineage.kind == "promise" and not rest[:1].isalnum() else lineage.name


def _took(record: PromiseRecord | None) -> float | None:
    return None if record is None or record.completed_on is None else (record.completed_on - record.created_on) / 1000


def _took_text(recording: Recording) -> str:
    took = _took(recording.promises[0])
    if took is not None and took >= 60:
        return f"took {round(took) // 60:,} m {round(took) % 60:02} s"
    return "is unfinished" if took is None else f"took {took:.3f} s" if took < 1 else f"took {took:.1f} s"


def _count(count: int) -> str:
    return f"{count:,} call{'s' * (count != 1)}"
