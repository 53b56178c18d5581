"""A server and its workers in virtual time, on a small scale: `python -m tests.sim.scale` does it on a large one."""

from __future__ import annotations

from tests.sim.scale import World, count_done

WORKERS, RUNS = 40, 1_500


def test_storms_lose_nothing_and_stampede_nobody() -> None:
    """All leases lapse, the server is away for a minute, all workers restart: every run ends right, no acknowledged step runs again, and
    while nobody answers each client asks at most once a second.
    """
    world = World(WORKERS, RUNS, seed=7)
    count_done(world)
    figures = world.go()
    assert figures.wrong == []
    assert figures.finished == RUNS
    clients = WORKERS + len(world._launchers)
    assert 0 < figures.away_peak <= clients + 1
    assert figures.requests <= 10 * RUNS + 70 * clients
    assert figures.repeated < RUNS / 20
