"""The exchanges that were recorded from the real server (v0.8.2), replayed against this one. Nothing differs."""

from __future__ import annotations

import importlib.util
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from resonate.server import DevelopmentServer

FOLDER = Path(__file__).parents[3] / "shared" / "conformance"

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
DIFFERS = {"sent-on-connect": "who comes to listen gets at once what waits for its group; the real server sends that up to 15 s later"}
"""Recordings that are answered otherwise by intent, each with the reason."""
RECORDINGS = sorted(REPLAY.load([FOLDER / "legacy"]), key=lambda recording: not recording.slow)
JOBS = 8


def play_all(recordings: list[Any], kind: str, *, is_polled_apart: bool) -> dict[str, list[str]]:
    """What differs, by the name of the recording. All are played against one server, some at a time; most of them wait most of the time.

    Their leases last a second or two, by the clock. A machine that stalls lets them lapse, so what differs is played once more, alone.
    """
    found: dict[str, list[str]] = {}
    left = recordings
    for jobs in (JOBS, 1):
        with (
            tempfile.TemporaryDirectory() as folder,
            DevelopmentServer(port=0, db=None if kind == "memory" else f"{folder}/promises.db", durability="fast") as server,
            ThreadPoolExecutor(jobs) as pool,
        ):
            poll_url = server.message_url if is_polled_apart else None
            play = partial(
                REPLAY.replay_recording, url=server.url, poll_url=poll_url, run_prefix="t", tolerance_ms=REPLAY.TIME_TOLERANCE_MS
            )
            found |= {each.name: differs for each, differs in zip(left, pool.map(play, left), strict=True)}
        left = [each for each in left if found[each.name]]
    return found


@cache
def differences(kind: str) -> dict[str, list[str]]:
    """What differs with a store of that kind."""
    return play_all(RECORDINGS, kind, is_polled_apart=True)


@pytest.mark.parametrize("kind", ["memory", "file"])
@pytest.mark.parametrize("name", sorted(recording.name for recording in RECORDINGS))
def test_the_recorded_exchange(kind: str, name: str) -> None:
    """Each recorded request is answered as the real server answers it, and the same messages come."""
    found = differences(kind)[name]
    if name in DIFFERS:
        assert found, "it differs no more: take it from the list"
        return
    assert not found, "\n".join(found)
