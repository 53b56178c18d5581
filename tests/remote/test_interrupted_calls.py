"""Ctrl-C at points of calls that ask a server: nothing is held for ever, and what was perhaps carried out there goes on."""

from __future__ import annotations

import pytest

from tests.process.interrupting import CASES, Case, ctrl_c, interrupted_anywhere
from tests.remote.conftest import Made

__all__ = ["ctrl_c"]
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Python's own weak sets, which swallow it
FAR = {name: CASES[name] for name in ("launch", "answer", "cancel", "attach")}


@pytest.mark.parametrize("case", FAR.values(), ids=FAR)
def test_an_interrupt_at_any_point_leaves_a_client_of_a_server_whole(client: Made, fresh: str, case: Case) -> None:
    interrupted_anywhere(lambda: client(workers=1), case, times=15, name=fresh)
