"""Fenced tasks in the bare machine: what they cost, and how two processes offer the same task."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from resonate.machine import Machine
from resonate.protocol import (
    AcquireTask,
    ActFenced,
    DeliveryFailed,
    EnsureAcquired,
    EnsurePromise,
    FindPromises,
    RenewLeases,
    SettlePromise,
    SuspendTask,
    TaskMessage,
)
from resonate.tables import Changes

FAR = 2**43
TARGET = "poll://any@g"


def calls_of(do: Callable[[], Any]) -> int:
    """How many calls of Python and of C it takes."""
    counted = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        do()
    finally:
        sys.setprofile(None)
    return counted


def held() -> Machine:
    machine = Machine()
    machine.apply(EnsureAcquired(EnsurePromise("r", FAR, target=TARGET), "w", FAR), 0)
    return machine


def steps(machine: Machine, first: int, last: int) -> None:
    """Children of a held run, created and settled under its lease."""
    for number in range(first, last):
        machine.apply(ActFenced("r", 1, EnsurePromise(f"r.{number}", FAR)), 1)
        machine.apply(ActFenced("r", 1, SettlePromise(f"r.{number}", "RESOLVED", (None, "1"), adopt=True)), 2)
        machine.apply(RenewLeases("w", [("r", 1)]), 3)
        machine.tick(3)


def waits(machine: Machine, first: int, last: int) -> None:
    """A run that suspends on one promise after the other, and is woken each time."""
    for number in range(first, last):
        version = number + 1
        machine.apply(EnsurePromise(f"w.{number}", FAR), 1)
        machine.apply(SuspendTask("r", version, [f"w.{number}"]), 1)
        machine.apply(SettlePromise(f"w.{number}", "RESOLVED", adopt=True), 2)
        machine.apply(AcquireTask("r", version, "w", FAR), 2)
        machine.take_messages()


@pytest.mark.parametrize("work", [steps, waits])
def test_a_step_costs_the_same_however_many_came_before(work: Callable[[Machine, int, int], None]) -> None:
    """The thousandth step of a run without a branch takes no more calls than the first ones."""
    machine = held()
    first = calls_of(lambda: work(machine, 0, 100))
    work(machine, 100, 2_000)
    assert calls_of(lambda: work(machine, 2_000, 2_100)) <= 1.05 * first


def test_runs_beside_it_cost_a_run_nothing() -> None:
    """Steps and waits of one run take as many calls beside a thousand others, held, suspended and waiting to be acquired."""
    alone, among = held(), held()
    for number in range(1_000):
        among.apply(EnsurePromise(f"p{number}", FAR, target=TARGET), 0)
        among.apply(EnsureAcquired(EnsurePromise(f"h{number}", FAR, target=TARGET), "w", FAR), 0)
        if number % 2:
            among.apply(SuspendTask(f"h{number}", 1, [f"p{number}"]), 0)
    assert calls_of(lambda: steps(among, 0, 100)) <= 1.05 * calls_of(lambda: steps(alone, 0, 100))


def test_a_page_costs_what_is_on_it() -> None:
    """Going through all promises page by page costs each promise once, not each page a look at all of them."""
    machine = Machine()

    def all_pages() -> None:
        after = None
        while (after := machine.apply(FindPromises(limit=10, after=after), 1)[1]) is not None:
            pass

    for number in range(200):
        machine.apply(EnsurePromise(f"p{number:05}", FAR), 0)
    few = calls_of(all_pages)
    for number in range(200, 2_000):
        machine.apply(EnsurePromise(f"p{number:05}", FAR), 0)
    assert calls_of(all_pages) <= 11 * few


def test_what_nobody_hears_is_not_tried_in_turn() -> None:
    """A fenced task that another process could not deliver is left alone where nobody listens, and offered at once where somebody does."""
    machine = Machine()
    machine.changes = Changes()
    machine.apply(EnsurePromise("r", FAR, target=TARGET), 0)
    machine.apply(DeliveryFailed("__execute:r", 0), 0)
    machine.take_messages()
    machine.changes = Changes()
    machine.offer(["r"], 5, lambda recv: False, lambda recv: False)
    assert (machine.take_messages(), bool(machine.changes)) == ([], False)
    machine.offer(["r"], 5, lambda recv: False, lambda recv: recv == TARGET)
    (sent,) = machine.take_messages()
    assert isinstance(sent, TaskMessage)
    assert (sent.kind, sent.root, sent.counter) == ("execute", "r", 0)
