"""Replies that get lost, servers and workers that are killed or frozen: nothing is lost, and what was acknowledged is not done again."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.process.waiting import when
from tests.remote.conftest import Made
from tests.remote.crossing import Crossing
from tests.remote.losses import Figures, Slowness, awaited_replies, killed_servers, lost_replies, slow_replies
from tests.remote.processes import lines, worker

SOON_S = 20
TTL_S = 2


@pytest.mark.parametrize("program", ["sequence", "calls"])
def test_a_lost_reply_loses_nothing(url: str, protocol: str, program: str) -> None:
    """Whichever reply of a run is lost, after the server has done what it was asked for, the run ends right and no step runs again."""
    figures = Figures()
    lost_replies(url, protocol, program, figures)
    assert figures.wrong == []
    assert figures.runs > 6
    assert figures.slowest_s < 5


def test_a_late_reply_loses_nothing(url: str, protocol: str) -> None:
    """What is answered too late is asked for again and adopted: no step runs twice, the server is not stormed, Ctrl-C ends a wait."""
    figures = Slowness()
    slow_replies(url, protocol, figures, late_s=0.6, timeout_s=0.2)
    assert figures.wrong == []
    assert figures.late > 6


def test_a_late_reply_is_waited_for(url: str, protocol: str) -> None:
    """Who is told to wait longer than a server takes asks it for everything once."""
    figures = Slowness()
    awaited_replies(url, protocol, figures, late_s=0.3)
    assert figures.wrong == []


def test_a_server_that_is_killed_loses_nothing(protocol: str) -> None:
    """A server that is killed at a request and started anew on its file goes on, and so do the runs, with no error to anybody."""
    figures = Figures()
    killed_servers(protocol, "sequence", figures, every=4, first=2)
    assert figures.wrong == []
    assert figures.runs > 3


def begun_elsewhere(client: Made, url: str, protocol: str, fresh: str, tmp_path: Path) -> tuple[object, Path, Path]:
    """A run that a worker in another process is in the midst of; its ledger, and the file whose being there lets it go on."""
    ledger, gate = tmp_path / "ledger", tmp_path / "gate"
    ours = client("x")
    handle = ours.options(target=fresh).begin_rpc(fresh, "waits", str(gate))
    when(lambda: any("waiting" in line for line in lines(ledger)))
    return handle, ledger, gate


def test_a_killed_workers_run_is_taken_over(client: Made, url: str, protocol: str, fresh: str, tmp_path: Path) -> None:
    """A run whose worker is killed goes on in another one within the lease and a second; its finished step is not run again."""
    ledger = tmp_path / "ledger"
    with worker(url, protocol, fresh, ledger, TTL_S) as first, worker(url, protocol, fresh, ledger, TTL_S) as second:
        handle, ledger, gate = begun_elsewhere(client, url, protocol, fresh, tmp_path)
        holder = int(next(line for line in lines(ledger) if "waiting" in line).split()[0])
        (first if first.pid == holder else second).kill()
        gate.touch()
        began = time.monotonic()
        assert handle.result(SOON_S) == ["first", "waited", "last"]  # type: ignore[attr-defined] # a handle
        assert time.monotonic() - began < TTL_S + 1.5
        steps = [line.split(" ", 1)[1].rpartition(" ")[2] for line in lines(ledger)]
        assert (steps.count("first"), steps.count("last")) == (1, 1)


def test_a_frozen_worker_does_no_harm(client: Made, url: str, protocol: str, fresh: str, tmp_path: Path) -> None:
    """A worker that was frozen past its lease, while another one finished the run, changes nothing when it wakes, and works on."""
    ledger = tmp_path / "ledger"
    with (
        Crossing(url) as way, Crossing(url) as other_way, worker(way.url, protocol, fresh, ledger, TTL_S) as first,
        worker(other_way.url, protocol, fresh, ledger, TTL_S) as second,
    ):  # fmt: skip
        handle, ledger, gate = begun_elsewhere(client, url, protocol, fresh, tmp_path)
        holder = int(next(line for line in lines(ledger) if "waiting" in line).split()[0])
        frozen, other = (first, second) if first.pid == holder else (second, first)
        frozen.signal(signal.SIGSTOP)
        its_way = way if frozen is first else other_way
        its_way.down()  # with streams that it was about to open: the server might send the work there once more, and wait a minute
        gate.touch()
        try:
            assert handle.result(SOON_S) == ["first", "waited", "last"]  # type: ignore[attr-defined] # a handle
        finally:
            its_way.up()
            frozen.signal(signal.SIGCONT)
        when(lambda: any(line.startswith(f"{holder} ") and line.endswith("waited") for line in lines(ledger)))
        other.kill()
        again = client("x").options(target=fresh).begin_rpc(f"{fresh}-2", "waits", str(gate))
        assert again.result(SOON_S) == ["first", "waited", "last"]
        of_first = [line for line in lines(ledger) if f" {fresh}" in line and f" {fresh}-2" not in line]
        assert sum(line.endswith(" last") for line in of_first) == 1
        assert client("x").get(fresh).result(SOON_S) == ["first", "waited", "last"]
