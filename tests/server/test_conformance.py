"""The exchanges that were recorded from the real server (v0.8.2), replayed against this one. Nothing differs."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from resonate.server import DevelopmentServer

FOLDER = Path(__file__).parents[3] / "shared" / "conformance"
TOLERANCE_MS = 1500

if not FOLDER.exists():
    pytest.skip("the recorded exchanges are not beside this repository", allow_module_level=True)


def player() -> ModuleType:
    """The program that replays recordings, as a module."""
    spec = importlib.util.spec_from_file_location("conformance_replay", FOLDER / "replay.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REPLAY = player()
RECORDINGS = {recording.name: recording for recording in REPLAY.load([FOLDER / "legacy"])}


@pytest.mark.parametrize("name", sorted(RECORDINGS))
def test_the_recorded_exchange(any_server: DevelopmentServer, name: str) -> None:
    """Each recorded request is answered as the real server answers it, and the same messages come."""
    found = REPLAY.replay_recording(RECORDINGS[name], any_server.url, any_server.message_url, "t", TOLERANCE_MS)
    assert not found, "\n".join(found)
