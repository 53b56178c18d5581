"""How fast a client asks a server that may be slow, overloaded or away."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from resonate.limits import BACKOFF_FIRST_S, BACKOFF_LIMIT_S
from resonate.transport.pace import Pace

LIMIT = 8


def went_down(now: float = 0.0) -> Pace:
    """The pace towards a server that has just not answered."""
    pace = Pace(LIMIT)
    turn = pace.ask(now)
    assert turn is False
    pace.failed(turn, now, 0.0)
    return pace


def test_so_many_requests_are_under_way_at_once() -> None:
    """Up to the limit each request is sent at once, and the next one when one is answered."""
    pace = Pace(LIMIT)
    assert [pace.ask(0.0) for _ in range(LIMIT + 2)] == [False] * LIMIT + [None] * 2
    pace.answered(False)
    assert [pace.ask(0.0), pace.ask(0.0)] == [False, None]


def test_one_at_a_time_tries_a_server_that_does_not_answer() -> None:
    """While it is down one request is a try, when its time has come, and nobody else sends anything before that is decided."""
    pace = went_down()
    assert pace.ask(BACKOFF_FIRST_S / 2) is None
    assert [pace.ask(1.0), pace.ask(1.0)] == [True, None]
    pace.failed(True, 1.0, 0.0)
    assert pace.ask(1.0) is None


def test_pauses_grow_to_a_limit_and_differ_by_chance() -> None:
    """Each try that fails doubles the pause, up to the limit; chance adds a quarter at most."""
    for chance in (0.0, 1.0):
        pace, now, pauses = went_down(), 0.0, []
        for _ in range(12):
            now = pace.next_try
            assert pace.ask(now) is True
            pace.failed(True, now, chance)
            pauses.append(pace.next_try - now)
        assert all(later >= earlier - 1e-9 for earlier, later in pairwise(pauses))
        assert abs(pauses[-1] - BACKOFF_LIMIT_S * (1 + chance / 4)) < 1e-9


def test_a_server_that_comes_back_meets_a_few_requests() -> None:
    """After the first answer one request may be under way, and with each answer one more."""
    pace = went_down()
    assert pace.ask(1.0) is True
    assert pace.answered(True)
    under_way, most = 0, []
    for _ in range(LIMIT + 3):
        while pace.ask(1.0) is not None:
            under_way += 1
        most.append(under_way)
        pace.answered(False)
        under_way -= 1
    assert most[0] == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(most))
    assert most[-1] == LIMIT


def test_what_was_sent_before_is_no_news() -> None:
    """Of many requests that were under way, the first that fails decides; the others neither lengthen the pause nor end it."""
    pace = Pace(LIMIT)
    for _ in range(4):
        pace.ask(0.0)
    pace.failed(False, 0.0, 0.0)
    due = pace.next_try
    pace.failed(False, 5.0, 1.0)
    assert not pace.answered(False)
    assert (pace.is_down, pace.next_try) == (True, due)


def test_whoever_gives_up_leaves_the_turn_to_others() -> None:
    """A request that was interrupted counts no more, be it a try or not."""
    pace = went_down()
    assert pace.ask(1.0) is True
    pace.gave_up(True)
    assert pace.ask(1.0) is True
    pace.answered(True)
    assert pace.ask(1.0) is False
    pace.gave_up(False)
    assert pace.ask(1.0) is False


@given(st.integers(0, 10**9))
def test_it_never_sends_more_than_it_may(seed: int) -> None:
    """Whatever happens in whatever order: never more than the limit under way, never two tries at once, and it goes on in the end."""
    chance = random.Random(seed)
    pace, turns, now = Pace(LIMIT), [], 0.0
    for _ in range(200):
        now += chance.random() * 0.3
        if chance.random() < 0.6:
            turn = pace.ask(now)
            if turn is not None:
                turns.append(turn)
        elif turns:
            turn = turns.pop(chance.randrange(len(turns)))
            if chance.random() < 0.4:
                pace.failed(turn, now, chance.random())
            elif chance.random() < 0.2:
                pace.gave_up(turn)
            else:
                pace.answered(turn)
        assert turns.count(True) <= 1
        assert turns.count(False) <= LIMIT
    for turn in turns:
        pace.answered(turn)
    now += 10
    turn = pace.ask(now)
    assert turn is not None
    pace.answered(turn)
    assert pace.ask(now) is False
