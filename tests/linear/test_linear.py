"""Concurrent clients are answered as if one operation were carried out after the other; `python -m tests.chaos.sweep linear` plays more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.linear.checker import unexplained
from tests.linear.clients import History
from tests.linear.faults import LIARS, OMISSIONS, OMISSIONS_OF_SERVERS, Liar, played_at_a_server, played_here
from tests.linear.histories import ARRANGEMENTS, Figures, sweep
from tests.linear.specification import NOTHING_YET, step

HISTORIES = 4
SEEDS_LIMIT = 200
"""A fault has to be found within so many histories."""


@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_some_order_explains_what_concurrent_clients_are_answered(arrangement: str) -> None:
    figures = sweep(arrangement, HISTORIES)
    assert figures.wrong == []
    assert figures.calls == HISTORIES * 200
    assert figures.unanswered == 0
    assert figures.overlapping > figures.calls / 20


def test_clients_in_one_process_too(tmp_path: Path) -> None:
    figures = Figures()
    for seed in range(3):
        figures.add("here", played_here(tmp_path, seed))
    assert figures.wrong == []


def first_found(played: Callable[[int], History]) -> int | None:
    for seed in range(SEEDS_LIMIT):
        if any(unexplained(calls, NOTHING_YET, step) is not None for calls in played(seed).values()):
            return seed
    return None


@pytest.mark.parametrize("liar", LIARS)
def test_a_store_that_lies_is_found(liar: type[Liar], tmp_path: Path) -> None:
    assert first_found(lambda seed: played_here(tmp_path, seed, liar)) is not None


@pytest.mark.parametrize("omit", OMISSIONS)
def test_what_the_file_store_leaves_out_is_found(
    omit: Callable[[pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    omit(monkeypatch)
    assert first_found(lambda seed: played_here(tmp_path, seed)) is not None


@pytest.mark.parametrize(("omit", "wire"), OMISSIONS_OF_SERVERS)
def test_what_a_server_or_its_client_leaves_out_is_found(
    omit: Callable[[pytest.MonkeyPatch], None], wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    omit(monkeypatch)
    assert first_found(lambda seed: played_at_a_server(wire, seed)) is not None
