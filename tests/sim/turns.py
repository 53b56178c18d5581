"""Turns of a server that stands on a modelled disk, and the places at which its process may end in one.

A turn is one transaction: everything that waits is carried out, what has changed is written, and only when that is whole are the answers
given and the messages sent. Before that nobody outside has heard of it. After a crash the server begins anew with what the disk has; where
it is a part of the workers' own processes, as the store in a file is (`in order`), those end whose requests were in the turn.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.sim.worker import Job, Mail, Reply, Request, Worker

if TYPE_CHECKING:
    from tests.sim.world import World

Work = tuple[tuple[Any, ...] | None, Worker | None]
"""Operations, or None for what time has brought, and who asks."""
BEFORE, UNFINISHED, UNSAID, AFTER = range(1, 5)
"""Where the process ends: before anything is written, in the middle of it, when all is written and it has not heard so, and after that."""
Inside = (Request, Reply, Mail, Job)
"""What a power cut takes along: what is on its way between server and workers."""
WORDS = ("", "before its turn is written", "while its turn is written", "when its turn is written", "before it has answered")


def take_turn(world: World, works: list[Work], answer: Callable[[list[list[Any]]], None]) -> None:
    """Carry out everything that waits, in one turn, and answer, unless the process ends before that."""
    server = world.server
    assert server is not None
    if world.setup.files:
        enter(world, works[0][1])
    fate = world.choices.take(*[world.setup.breaks] * 4) if world.faulty else 0
    if fate in (BEFORE, UNFINISHED):
        frames = server.rehearse(works, world.now)
        if fate == UNFINISHED and frames:
            server.disk.write(frames[: world.choices.among(len(frames))])
        end(world, fate, works)
        return
    world.outgoing = []
    answers = [_carried_out(world, *work) for work in works]
    server.commit()
    if world.laws is not None and world.laws.disk is not None:
        world.laws.disk.turn_ended()
    messages, world.outgoing = world.outgoing, None
    if fate:
        end(world, fate, works)
        return
    world.post(messages)
    answer(answers)


def enter(world: World, worker: Worker | None) -> None:
    """Somebody's process has the turn: that of who asks, or of any other, for whom time has passed there too."""
    there = [each for each in world.living() if not each.frozen]
    if worker is None and there:
        worker = there[world.choices.among(len(there))]
    assert world.server is not None
    world.server.enter(worker)
    if world.laws is not None and world.laws.disk is not None:
        world.laws.disk.turn_begins()


def _carried_out(world: World, operations: tuple[Any, ...] | None, worker: Worker | None) -> list[Any]:
    if operations is not None:
        return world.carry_out(operations, worker)
    world.act_on_time()
    return []


def take_requests(world: World, first: Request) -> None:
    """A request has come, and perhaps others with it, which share its turn."""
    others = [
        (number, thing) for number, thing in world.things.items()
        if isinstance(thing, Request) and (thing.worker is first.worker or world.setup.answers != "in order")
    ]  # fmt: skip
    together = [first]
    if others and world.choices.among(2):
        for number, thing in others:
            together.append(world.things.pop(number))  # type: ignore[arg-type]
            assert together[-1] is thing

    def answer(answers: list[list[Any]]) -> None:
        for request, given in zip(together, answers, strict=True):
            world.reply(request, given)

    take_turn(world, [(request.asked.operations, request.worker) for request in together], answer)


def end(world: World, fate: int, works: list[Work]) -> None:
    """The server's process ends, and another one begins with what is on the disk."""
    server = world.server
    assert server is not None
    is_cut = bool(world.choices.take(world.setup.power))
    whose = server.whose
    world.deaths += 1
    world.coverage["a crash", WORDS[fate], f"power is cut, {world.setup.disk}" if is_cut else "the process ends"] += 1
    world.say("the server", "loses power" if is_cut else "ends", WORDS[fate])
    if is_cut:
        server.disk.lose_power(world.choices)
    server.disk.recover()
    server.begin()
    if world.laws is not None and world.laws.disk is not None:
        world.laws.disk.came_up(power_was_cut=is_cut)
    if is_cut:
        after_power_cut(world)
    elif world.setup.answers == "in order":
        for worker in dict.fromkeys((*(worker for _, worker in works), whose)):
            if worker is not None and worker.lives:
                world.crash(worker)


def after_power_cut(world: World) -> None:
    """Everybody is gone, with all that was on its way. What lives outside asks again for what is not there any more."""
    for worker in world.living():
        world.crash(worker)
    world.things = {number: thing for number, thing in world.things.items() if not isinstance(thing, Inside)}
    world.timers = [each for each in world.timers if each[2] != "again" or not isinstance(each[3], Inside)]
    heapq.heapify(world.timers)
    promises = world.machine.promises
    for promise_id in [each for each in world.planned if each not in promises]:
        del world.planned[promise_id]
    for promise_id in [each for each in world.planned if promises[each].state == "PENDING"]:
        world.plan(promises[promise_id])
    for launch in dict.fromkeys(world.program.launches):
        if launch[0] not in promises and not any(kind == "launch" and what == launch for _, _, kind, what in world.timers):
            world.after(7_000, "launch", launch)
