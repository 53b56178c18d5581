"""Laws of searching: what a pattern means, what the filters leave, and that pages show everything once."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from benches import DEFAULT, Bench, refusal

IDS = ("a", "a.1", "a.2", "b.1", "a/b", "A.1", "a%", "a_1", "a[1]", "a?1", "a\\1", "100%", "x\ny", "ä.1", "a.1.1", "**", "a*1")
PATTERNS = (
    "*", "**", "a", "a*", "*1", "a*1", "*.*", "a.*.1", "*a*", "a%", "a_1", "a[1]", "a?1", "%", "_", "?", "[a]*", "a.?", "a\\*", "*%",
    "x*y", "ä*", "nothing*", "*.1*1", "a.1*.1", "A*",
)  # fmt: skip


def found(bench: Bench, pattern: str = "*", **more: Any) -> list[str]:
    return [promise.id for promise in bench.promises.search(pattern, **more).promises]


def matches(pattern: str, id: str) -> bool:
    """The meaning of a pattern, in one line."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), id, re.DOTALL) is not None


@pytest.mark.needs("literal search")
@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_a_pattern_matches(bench: Bench, pattern: str) -> None:
    """`*` stands for any run of characters wherever it stands, everything else for itself; they come in the store's order."""
    for each in IDS:
        bench.create(each)
    assert found(bench, pattern) == bench.in_order(each for each in IDS if matches(pattern, each))


@pytest.mark.needs("literal search")
def test_any_pattern_on_any_id(bench: Bench) -> None:
    """Random patterns over a small alphabet find what a regular expression would."""
    chance = random.Random(6)
    ids = list(dict.fromkeys("".join(chance.choices("ab*%_.", k=chance.randrange(1, 8))) for _ in range(90)))
    for each in ids:
        bench.create(each)
    for _ in range(300):
        pattern = "".join(chance.choices("ab*%_.", weights=(3, 3, 4, 1, 1, 1), k=chance.randrange(1, 7)))
        assert found(bench, pattern) == bench.in_order(each for each in ids if matches(pattern, each)), pattern


@pytest.mark.parametrize(("state", "ids"), [
    (None, {"pending", "resolved", "rejected", "canceled", "timedout", "timer"}), ("pending", {"pending"}),
    ("resolved", {"resolved", "timer"}), ("Pending", {"pending"}), ("rejected", {"rejected", "canceled", "timedout"}),
    ("REJECTED", {"rejected", "canceled", "timedout"}),
])  # fmt: skip
@pytest.mark.parametrize("ticked", [True, False], ids=["acted on", "not acted on"])
def test_what_a_state_leaves(bench: Bench, state: str | None, ids: set[str], ticked: bool) -> None:
    """`rejected` is canceled and timed out too, letter case does not count, and no expired promise is found as pending."""
    for name in ("pending", "resolved", "rejected", "canceled"):
        bench.create(name)
    bench.create("timedout", bench.now + 1000)
    bench.create("timer", bench.now + 1000, tags={"resonate:timeout": "true"})
    for call, name in (("resolve", "resolved"), ("reject", "rejected"), ("cancel", "canceled")):
        getattr(bench.promises, call)(name)
    move = bench.advance if ticked else bench.elapse
    move(1000)
    assert set(found(bench, state=state)) == ids


@pytest.mark.parametrize(("tags", "ids"), [
    (None, "cba"), ({}, "cba"), ({"x": "1"}, "cb"), ({"x": "1", "y": "2"}, "c"), ({"y": "2", "x": "1"}, "c"), ({"x": "2"}, ""),
    ({"x": ""}, ""), ({"z": "1"}, ""), ({"X": "1"}, ""), ({"x": "1%"}, ""),
], ids=str)  # fmt: skip
def test_what_tags_leave(bench: Bench, tags: dict[str, str] | None, ids: str) -> None:
    """Every tag that is asked for must be there with exactly that value."""
    bench.create("a")
    bench.create("b", tags={"x": "1"})
    bench.create("c", tags={"x": "1", "y": "2", "z": "3"})
    assert found(bench, tags=tags) == bench.in_order(reversed(ids))
    bench.schedules.create("a", "@daily", "p", 1)
    bench.schedules.create("b", "@daily", "p", 1, tags={"x": "1"})
    bench.schedules.create("c", "@daily", "p", 1, tags={"x": "1", "y": "2", "z": "3"}, promise_tags={"x": "2"})
    assert [each.id for each in bench.schedules.search(tags=tags).schedules] == list(ids)


def test_the_tags_of_routing_are_tags(bench: Bench) -> None:
    """A promise is found by the tags that have a meaning to the store as by any other."""
    bench.create("a", tags={"resonate:invoke": DEFAULT, "resonate:timeout": "true"})
    bench.create("b")
    assert found(bench, tags={"resonate:invoke": DEFAULT}) == found(bench, tags={"resonate:timeout": "true"}) == ["a"]


@pytest.mark.parametrize(("asked", "code"), [
    ({"id": ""}, 40000), ({"state": "done"}, 40000), ({"state": ""}, 40000), ({"state": "rejected_canceled"}, 40000),
    ({"limit": -1}, 40000), ({"limit": 101}, 40000), ({"cursor": ""}, 40000), ({"cursor": "broken"}, 40000),
    ({"cursor": "e30="}, 40000), ({"cursor": "ÿ"}, 40000),
    ({"limit": 0}, None), ({"limit": 1}, None), ({"limit": 100}, None),
], ids=str)  # fmt: skip
def test_what_can_be_asked(bench: Bench, asked: dict[str, Any], code: int | None) -> None:
    """A limit is 0 to 100, a state one of three, a pattern not empty and a cursor one that a search gave; all else is refused."""
    bench.create()
    assert refusal(bench.promises.search, **asked) == code
    if "state" not in asked:
        assert refusal(bench.schedules.search, **asked) == code


@pytest.mark.parametrize(("limit", "count"), [(1, 3), (3, 9), (3, 10), (100, 100), (100, 205), (0, 101), (7, 0)])
def test_pages_show_everything_once(bench: Bench, limit: int, count: int) -> None:
    """A page has a cursor exactly when it is full, and the pages together are the whole; limit 0 is 100."""
    ids = [f"p{number}" for number in range(count)]
    for number, each in enumerate(ids):
        bench.create(each, tags={"even": str(number % 2 == 0)})
        bench.create(f"other{number}")
    pages = [bench.promises.search("p*", limit=limit)]
    while pages[-1].cursor is not None:
        pages.append(bench.promises.search(cursor=pages[-1].cursor))
    assert [promise.id for page in pages for promise in page.promises] == ids[::-1]
    assert [len(page.promises) for page in pages[:-1]] == [limit or 100] * (len(pages) - 1)
    assert len(pages[-1].promises) < (limit or 100)


def test_with_a_cursor_all_else_is_ignored(bench: Bench) -> None:
    """The cursor knows pattern, filters and limit; what is given beside it counts for nothing."""
    for number in range(6):
        bench.create(f"p{number}", tags={"mine": "1"} if number % 2 else {})
    first = bench.promises.search("p*", state="pending", tags={"mine": "1"}, limit=1)
    second = bench.promises.search("q", state="resolved", tags={"none": "0"}, limit=100, cursor=first.cursor)
    assert [promise.id for promise in (*first.promises, *second.promises)] == ["p5", "p3"]
    assert second.cursor is not None


def test_pages_stay_as_they_were_whatever_comes_between(bench: Bench) -> None:
    """What is made or settled between two pages moves nothing: no promise is shown twice and none that stays is left out."""
    for number in range(10):
        bench.create(f"p{number}")
    first = bench.promises.search("*", state="pending", limit=4)
    bench.create("late")
    bench.promises.resolve("p5")
    bench.promises.resolve("p9")
    second = bench.promises.search(cursor=first.cursor)
    third = bench.promises.search(cursor=second.cursor)
    assert [[promise.id for promise in page.promises] for page in (first, second, third)] == [
        ["p9", "p8", "p7", "p6"], ["p4", "p3", "p2", "p1"], ["p0"],
    ]  # fmt: skip


@pytest.mark.parametrize("deleted", ["s0", "s1", "s2", "s3", "s4", "s5"])
def test_schedules_have_pages_too(bench: Bench, deleted: str) -> None:
    """Schedules are found newest first in pages that show nothing twice and lose nothing, whichever is deleted between them."""
    for number in range(6):
        bench.schedules.create(f"s{number}", "@daily", "p", 1)
    page = bench.schedules.search("s*", limit=2)
    shown = [each.id for each in page.schedules]
    bench.schedules.delete(deleted)
    while page.cursor is not None:
        page = bench.schedules.search(cursor=page.cursor)
        shown += [each.id for each in page.schedules]
    assert shown == [f"s{number}" for number in (5, 4, 3, 2, 1, 0) if f"s{number}" in ("s5", "s4") or f"s{number}" != deleted]
