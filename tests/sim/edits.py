"""Worlds in which the workers have two versions of one function, as in the middle of a deployment: the laws that hold there.

A run must not go on with other code than it began with. That its records come from a mixture of versions is as it should be, so there is
no plain recursion to compare with; instead each value is followed from the call that it was recorded for to the call that receives it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resonate.computation import Node, Send
from resonate.encoders import DEFAULT
from resonate.protocol import CreatePromise, PromiseRecord
from tests.sim.laws import LAWS, Violation
from tests.sim.workflows import Leaf

if TYPE_CHECKING:
    from tests.sim.worker import Run
    from tests.sim.world import World


def hold_answer(run: Run, send: Send, answer: Any) -> None:
    """A run has received the answer to what it asked."""
    asked = send.operation
    if isinstance(asked, CreatePromise) and isinstance(answer, PromiseRecord) and asked.lineage is not None and answer.lineage is not None:
        here, there = asked.lineage, answer.lineage
        if (here.root, here.parent) == (there.root, there.parent) and here != there and not run.computation.finished:
            raise Violation(LAWS["stopped"], f"{run.id} called {here}, recorded is {there}")


def hold_delivery(world: World, run: Run, source: Node) -> None:
    """A function of a run is about to be given the outcome of a call."""
    called, record = run.calls.get(source.id), world.machine.promises.get(source.id)
    if called is None or record is None or record.lineage is None or record.lineage.root != run.id or record.lineage.parent != called[0]:
        return
    recorded = record.lineage
    if called[1:] != (recorded.kind, recorded.name, recorded.arguments):
        raise Violation(LAWS["as_called"], f"{source.id} was called as {called}, recorded is {recorded}")


def hold_end(world: World) -> None:
    """Nothing more happens, or has happened for long."""
    for record in world.machine.promises.values():
        lineage = record.lineage
        if lineage is not None and lineage.name == "leaf" and record.state == "RESOLVED" and record.id not in world.meddled:
            leaf, value = world.program.specs[int(lineage.arguments or 0)], DEFAULT.decode(record.value)
            if not isinstance(leaf, Leaf) or value != leaf.value:
                raise Violation(LAWS["as_recorded"], f"{record.id} was called with {lineage.arguments} and holds {value}")
    pending = [record.id for record in world.machine.promises.values() if record.state == "PENDING" and record.target is not None]
    if pending and not world.halts:
        raise Violation(LAWS["goes_on"], f"{pending} are pending still")
