"""The checker itself: it accepts what some order explains, refuses what none does, and agrees with trying every order."""

from __future__ import annotations

import random
from itertools import permutations

import pytest

from tests.linear.checker import Call, overlapping, unexplained


def register(state: int, asked: tuple[str, int]) -> tuple[int, int]:
    """A number that is read and written; writing is answered with the number before."""
    what, number = asked
    return state, number if what == "write" else state


def write(number: int, before: int, began: int, ended: int | None) -> Call:
    return Call(0, ("write", number), before, began, ended)


def read(number: int, began: int, ended: int | None) -> Call:
    return Call(1, ("read", 0), number, began, ended)


EXPLAINED = {
    "nothing": [],
    "one after the other": [write(1, 0, 0, 1), read(1, 2, 3)],
    "a read beside a write sees it": [write(1, 0, 0, 10), read(1, 1, 2)],
    "a read beside a write does not see it": [write(1, 0, 0, 10), read(0, 1, 2)],
    "of two reads beside a write, the first sees nothing": [write(1, 0, 0, 10), read(0, 1, 2), read(1, 3, 4)],
    "what began first takes effect last": [write(1, 2, 0, 10), write(2, 0, 1, 9), read(1, 11, 12)],
    "a write without an answer took effect": [write(1, 0, 0, None), read(1, 5, 6)],
    "a write without an answer took effect late": [write(1, 0, 0, None), read(0, 5, 6), read(1, 7, 8)],
    "a write without an answer never took effect": [write(1, 0, 0, None), read(0, 5, 6)],
}
UNEXPLAINED = {
    "a read sees nothing of a write that had ended": [write(1, 0, 0, 1), read(0, 2, 3)],
    "a read sees what nobody wrote": [write(1, 0, 0, 10), read(2, 1, 2)],
    "a read goes back in time": [write(1, 0, 0, 10), read(1, 1, 2), read(0, 3, 4)],
    "two writes had the same before them": [write(1, 0, 0, 10), write(2, 0, 0, 10)],
    "a read sees a write that begins later": [read(1, 0, 1), write(1, 0, 2, 3)],
    "a write without an answer takes effect twice": [write(1, 0, 0, None), read(1, 1, 2), write(2, 1, 3, 4), read(1, 5, 6)],
}


@pytest.mark.parametrize("calls", EXPLAINED.values(), ids=EXPLAINED)
def test_what_some_order_explains_is_accepted(calls: list[Call]) -> None:
    assert unexplained(calls, 0, register) is None


@pytest.mark.parametrize("calls", UNEXPLAINED.values(), ids=UNEXPLAINED)
def test_what_no_order_explains_is_refused(calls: list[Call]) -> None:
    found = unexplained(calls, 0, register)
    assert found is not None
    assert "must be" in str(found)


def by_trying_every_order(calls: list[Call]) -> bool:
    """Every choice of those without an answer, in every order."""
    answered = [call for call in calls if call.ended is not None]
    open_ones = [call for call in calls if call.ended is None]
    chosen = [answered + [call for place, call in enumerate(open_ones) if which >> place & 1] for which in range(1 << len(open_ones))]
    return any(explains(order) for some in chosen for order in permutations(some))


def explains(order: tuple[Call, ...]) -> bool:
    state = 0
    for place, call in enumerate(order):
        if any(later.ended is not None and later.ended < call.began for later in order[place + 1 :]):
            return False
        answer, state = register(state, call.asked)
        if call.ended is not None and answer != call.answer:
            return False
    return True


def test_it_agrees_with_trying_every_order() -> None:
    chance = random.Random(5)
    accepted = 0
    for _ in range(3_000):
        calls = []
        for _ in range(chance.randint(1, 5)):
            began = chance.randint(0, 12)
            ended = None if chance.random() < 0.15 else began + chance.randint(1, 8)
            asked = (chance.choice(("read", "write")), chance.randint(1, 2))
            calls.append(Call(0, asked, chance.randint(0, 2), began, ended))
        expected = by_trying_every_order(calls)
        accepted += expected
        assert (unexplained(calls, 0, register) is None) == expected, calls
    assert 300 < accepted < 2_700


def test_a_thousand_calls_that_all_overlap_in_eights_are_no_labour() -> None:
    """As each client waits for its answers, few orders are open at any moment."""
    calls = [write(place, max(place - 1, 0), 10 * place, 10 * place + 75) for place in range(1, 1_001)]
    calls[0] = write(1, 0, 10, 85)
    assert unexplained(calls, 0, register) is None
    assert overlapping(calls) == 1_000
