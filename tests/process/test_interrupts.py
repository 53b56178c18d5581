"""Ctrl-C at every point of a call at which Python sees to it: nothing is held for ever, and what was written goes on."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from resonate import Resonate
from tests.process.interrupting import CASES, Case, ctrl_c, interrupted_anywhere

__all__ = ["ctrl_c"]
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Python's own weak sets, which swallow it


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_interrupt_at_any_point_leaves_a_client_in_memory_whole(case: Case) -> None:
    interrupted_anywhere(lambda: Resonate(workers=1), case, times=60)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_interrupt_at_any_point_leaves_a_client_of_a_file_whole(case: Case, tmp_path: Path) -> None:
    numbers = itertools.count()
    interrupted_anywhere(lambda: Resonate.local(path=tmp_path / f"{next(numbers)}.db", workers=1), case, times=15)
