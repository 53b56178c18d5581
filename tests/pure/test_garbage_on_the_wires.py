"""Whatever comes over a wire is a value, a refusal, or an error that says what is wrong with it; never anything else."""

from __future__ import annotations

import garbage
import pytest


@pytest.mark.parametrize("seed", range(3))
def test_garbage_is_told_as_such(seed: int) -> None:
    """Damaged replies, messages and requests hurt neither a client nor a server."""
    for line, wrong in garbage.sweep(2_000, seed):
        assert wrong == [], line
