"""Real servers, and clients of both protocols. RESONATE_TEST_LEGACY_URL and RESONATE_TEST_CURRENT_URL name servers to try instead."""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from resonate import Resonate
from resonate.server import DevelopmentServer

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:  # the modules here are imported as `tests.remote.<module>`, however pytest was started
    sys.path.insert(0, ROOT)
PROTOCOLS = ("legacy", "current")
_NUMBERS = itertools.count(1)
Made = Callable[..., Resonate]


@pytest.fixture(scope="session")
def own_server() -> Iterator[DevelopmentServer]:
    with DevelopmentServer(port=0, message_port=0) as started:
        yield started


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def url(protocol: str, request: pytest.FixtureRequest) -> str:
    """A server of that protocol: the one that the environment names, else a development server."""
    named = os.environ.get(f"RESONATE_TEST_{protocol.upper()}_URL")
    if named:
        return named
    server: DevelopmentServer = request.getfixturevalue("own_server")
    return server.url


@pytest.fixture
def fresh() -> str:
    """A name that no other test has."""
    return f"t{os.getpid()}-{time.time_ns() // 1_000_000}-{next(_NUMBERS)}"


@pytest.fixture
def client(protocol: str, url: str, fresh: str) -> Iterator[Made]:
    """Makes clients of the server (or of another `host`), each in a group of this test's own; all are stopped afterwards."""
    made: list[Resonate] = []
    before = set(threading.enumerate())

    def make(name: str = "", host: str | None = None, **more: Any) -> Resonate:
        given = {"group": f"{fresh}{name}", "protocol": protocol, "log_level": "CRITICAL", "workers": 4} | more
        made.append(Resonate.remote(host=host or url, **given))
        return made[-1]

    yield make
    for each in made:
        each.stop()
    deadline = time.monotonic() + 3
    while left := [each for each in threading.enumerate() if each not in before and _is_ours(each)]:
        assert time.monotonic() < deadline, f"threads are left: {left}"
        time.sleep(0.01)


def _is_ours(thread: threading.Thread) -> bool:
    return thread.name.startswith("resonate-") and not thread.name.startswith(("resonate-server", "resonate-store"))
