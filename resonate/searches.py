"""Searches by id: patterns, and pages of what matches. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from resonate.limits import SEARCH_LIMIT
from resonate.protocol import PromiseRecord, ScheduleRecord, SearchPromises, SearchSchedules, refusal


def place_of(before: int | str | None, end: int) -> int:
    """The number below which a search goes on; `end` for one that begins. 40000 for what is no cursor of ours."""
    if isinstance(before, str):
        raise refusal(40000, "this is no cursor of a search")
    return end if before is None else before


def page[Record: (PromiseRecord, ScheduleRecord)](
    newest_first: Iterable[tuple[int, Record]], operation: SearchPromises | SearchSchedules, matches: Callable[[Record], Record | None]
) -> tuple[list[Record], int | None]:
    """One page of what matches, and the place where the next one goes on."""
    wanted = matcher(operation.pattern)
    limit = min(operation.limit or SEARCH_LIMIT, SEARCH_LIMIT)
    found: list[Record] = []
    for place, known in newest_first:
        record = matches(known) if wanted(known.id) else None
        if record is not None:
            found.append(record)
            if len(found) == limit:
                return found, place
    return found, None


def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a text matches; `*` is any run of characters. Linear in the text, however many stars there are."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern.__eq__
    *middle, last = rest

    def matches(text: str) -> bool:
        at, end = len(first), len(text) - len(last)
        if at > end or not text.startswith(first) or not text.endswith(last):
            return False
        for part in middle:
            at = text.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True

    return matches
