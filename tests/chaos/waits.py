"""Waiting for what another process is about to do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from resonate.errors import ResonateStoreError


def when(condition: Callable[[], Any], within_s: float = 15) -> Any:
    """What `condition` answers once it is true; a promise or a file that is not there yet counts as not true."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except (ResonateStoreError, FileNotFoundError):
            pass
        time.sleep(0.002)
    raise AssertionError("it never came to that")
