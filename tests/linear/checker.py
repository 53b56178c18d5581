"""Is there an order of concurrent calls that explains every answer? That is what makes an object linearizable.

A call takes effect at one moment between its beginning and its end. So the order has to keep real time (what had ended before something
else began comes first) and, carried out one after the other, the calls have to be answered as they were. The search is that of Wing and
Gong with Lowe's memory: calls that may come next are tried in turn, and no pair of calls done and state reached is tried twice.

Each object is checked by itself: calls of several objects can be explained if those of each can (Herlihy and Wing, 1990).

There is a well-kept checker for Go (Porcupine) and one for Clojure (Knossos), and none for Python.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

STATES_LIMIT = 2_000_000
"""A search that meets more is given up, with AssertionError: its calls overlap too much for this checker."""


class Call(NamedTuple):
    """What a client asked, what it was answered, and when (nanoseconds of one clock). `ended` is None where no answer came: such a
    call may have taken effect at any time after it began, or never."""

    client: int
    asked: Any
    answer: Any
    began: int
    ended: int | None


Step = Callable[[Any, Any], tuple[Any, Hashable]]
"""(state, what is asked) to (answer, state after it)."""


class Unexplained(NamedTuple):
    """The longest explanation of a beginning: these calls in this order lead to `state`, where none of `following` (call, what it should
    have been answered) fits."""

    order: list[Call]
    state: Any
    following: list[tuple[Call, Any]]

    def __str__(self) -> str:
        lines = ["no order explains the answers; in the longest one that begins well", *(f"  {told(call)}" for call in self.order[-12:])]
        lines += [f"is the state {self.state}", "and of those that may come next, none was answered as it must be then:"]
        lines += [f"  {told(call)}\n    must be {answer}" for call, answer in self.following]
        return "\n".join(lines)


def told(call: Call) -> str:
    ended = "never" if call.ended is None else f"{call.ended / 1e6:.3f}"
    return f"client {call.client}, {call.began / 1e6:.3f} to {ended} ms: {call.asked} -> {call.answer}"


def unexplained(calls: Sequence[Call], initial: Hashable, step: Step) -> Unexplained | None:
    """None where some order explains the calls on one object; else how far one can come."""
    calls = sorted(calls, key=lambda call: call.began)
    answered = sum(1 << place for place, call in enumerate(calls) if call.ended is not None)
    path: list[int] = []
    best: tuple[list[int], Any, int] = ([], initial, 0)
    met: set[tuple[int, Hashable]] = set()
    stack: list[tuple[int, Any, Iterator[int]]] = [(0, initial, _next(calls, 0))]
    while stack:
        done, state, following = stack[-1]
        if done & answered == answered:
            return None
        for place in following:
            call = calls[place]
            answer, after = step(state, call.asked)
            reached = (done | 1 << place, after)
            if (call.ended is None or answer == call.answer) and reached not in met:
                assert len(met) < STATES_LIMIT, f"more than {STATES_LIMIT:,} states for {len(calls)} calls"
                met.add(reached)
                path.append(place)
                if len(path) > len(best[0]):
                    best = (path.copy(), after, reached[0])
                stack.append((*reached, _next(calls, reached[0])))
                break
        else:
            stack.pop()
            if path:
                path.pop()
    order, state, done = best
    missing = [calls[place] for place in _next(calls, done) if calls[place].ended is not None]
    return Unexplained([calls[place] for place in order], state, [(call, step(state, call.asked)[0]) for call in missing])


def _next(calls: Sequence[Call], done: int) -> Iterator[int]:
    """The places of calls that may come next, the first to end first: those that began before any that is not done had ended."""
    earliest: int | None = None
    found = []
    for place in range((~done & (done + 1)).bit_length() - 1, len(calls)):
        call = calls[place]
        if earliest is not None and call.began > earliest:
            break
        if not done >> place & 1:
            found.append(place)
            if call.ended is not None and (earliest is None or call.ended < earliest):
                earliest = call.ended
    return iter(sorted(found, key=lambda place: (calls[place].ended is None, calls[place].ended)))


def overlapping(calls: Sequence[Call]) -> int:
    """How many of the calls on one object were under way together with another of them."""
    count, latest, calls = 0, -1, sorted(calls, key=lambda call: call.began)
    for place, call in enumerate(calls):
        following = calls[place + 1].began if place + 1 < len(calls) else None
        count += call.began <= latest or (following is not None and (call.ended is None or following <= call.ended))
        latest = max(latest, call.began if call.ended is None else call.ended)
    return count
