"""Bugs on purpose of a server on a disk, and of how it begins anew: the schedules of kind `disk` must find every one. See `planted`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from resonate.machine import Machine
from resonate.protocol import CreatePromise, TaskRecord
from resonate.stores import rows
from resonate.stores.ahead import Ahead
from resonate.stores.file import PromiseFile
from resonate.tables import Changes, Tables
from tests.sim import disk, turns
from tests.sim.disk import Disk, Frame, Server
from tests.sim.files import FileServer
from tests.sim.worker import Worker
from tests.sim.world import World

Patch = pytest.MonkeyPatch
DISK_BUGS: dict[str, Callable[[Patch], None]] = {}
FILE_BUGS: dict[str, Callable[[Patch], None]] = {}
"""Those of several processes on one file, which the schedules of kind `files` must find."""
LOG_BUGS: dict[str, Callable[[Patch], None]] = {}
"""Those of the real file, which `logs` must find."""


def bug(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
    DISK_BUGS[plant.__name__] = plant
    return plant


# ---- what is acknowledged, and when --------------------------------------------------------------------------------------------------


@bug
def answers_are_given_before_the_commit(patch: Patch) -> None:
    before = turns.end

    def end(world: World, fate: int, works: list[Any]) -> None:
        if fate in (turns.BEFORE, turns.UNFINISHED):
            for operations, worker in works:
                asked = next((each for each in worker.asked.values() if each.operations == operations), None) if worker else None
                if worker is not None and asked is not None and world.setup.answers != "in order":
                    worker.world.reply(turns.Request(worker, asked), world.carry_out(operations or (), worker))
        before(world, fate, works)

    patch.setattr(turns, "end", end)


@bug
def commits_are_put_off(patch: Patch) -> None:
    before = Server.commit

    def commit(self: Server) -> None:
        self.turns_put_off = getattr(self, "turns_put_off", 0) + 1
        if self.turns_put_off % 2:
            self.forget_view()
        else:
            before(self)

    patch.setattr(Server, "commit", commit)


@bug
def full_does_not_wait_for_the_platter(patch: Patch) -> None:
    patch.setattr(Disk, "bring_to_platter", lambda self: None)


# ---- what is there after a crash -----------------------------------------------------------------------------------------------------


@bug
def half_a_turn_is_loaded(patch: Patch) -> None:
    def recover(self: Disk) -> None:
        self.log = [frame._replace(ends_turn=True) for frame in self.log]
        before(self)

    before = Disk.recover
    patch.setattr(Disk, "recover", recover)


@bug
def a_turn_in_the_middle_is_lost(patch: Patch) -> None:
    before = Disk.recover

    def recover(self: Disk) -> None:
        ends = [place for place, frame in enumerate(self.log, 1) if frame.ends_turn]
        if len(ends) > 2:
            del self.log[ends[-3] : ends[-2]]
        before(self)

    patch.setattr(Disk, "recover", recover)


@bug
def a_power_cut_takes_what_is_on_the_platter(patch: Patch) -> None:
    def lose_power(self: Disk, choices: Any) -> None:
        del self.log[len(self.log) - choices.among(len(self.log) + 1) :]

    patch.setattr(Disk, "lose_power", lose_power)


@bug
def a_row_takes_the_place_of_another(patch: Patch) -> None:
    patch.setattr(Tables, "begin_numbers_at", lambda self, promises, tasks: None)
    before = Tables.install_promise

    def install(self: Tables, record: Any) -> None:
        made = self._promises_made
        before(self, record)
        self._promises_made = made

    patch.setattr(Tables, "install_promise", install)


# ---- what is noted for the disk ------------------------------------------------------------------------------------------------------


@bug
def claims_are_not_noted(patch: Patch) -> None:
    before = Tables._note_task
    patch.setattr(Tables, "_note_task", lambda self, task: None if task.state == "CLAIMED" else before(self, task))


@bug
def heartbeats_are_not_noted(patch: Patch) -> None:
    before = Server.apply

    def apply(self: Server, operation: Any, now: int) -> Any:
        changes, is_beat = self.real.changes, type(operation).__name__ == "Heartbeat"
        if is_beat:
            self.real.changes = Changes()
        try:
            return before(self, operation, now)
        finally:
            self.real.changes = changes

    patch.setattr(Server, "apply", apply)


@bug
def who_waits_is_not_noted(patch: Patch) -> None:
    before = Disk.frames_of

    def frames_of(self: Disk, changes: Changes) -> list[Frame]:
        changes.callbacks = {key: each for key, each in changes.callbacks.items() if each is None or each.kind != "resume"}
        return before(self, changes)

    patch.setattr(Disk, "frames_of", frames_of)


@bug
def a_schedule_is_written_only_once(patch: Patch) -> None:
    before = Tables._store_schedule

    def store(self: Tables, record: Any) -> None:
        before(self, record)
        if record.last_run is not None and self.changes is not None:
            del self.changes.schedules[record.id]

    patch.setattr(Tables, "_store_schedule", store)


# ---- how it is brought out again -----------------------------------------------------------------------------------------------------


@bug
def a_loaded_counter_begins_anew(patch: Patch) -> None:
    def task(row: Any) -> TaskRecord:
        found = rows.task_of(row)
        return replace(found, counter=1)

    patch.setattr(disk, "_task", task)


@bug
def deadlines_of_what_is_loaded_pass_unseen(patch: Patch) -> None:
    patch.setattr(Disk, "load", _without(Disk.load, "_watch_deadline"))


def _without(load: Any, name: str) -> Any:
    def loaded(self: Disk, machine: Any) -> None:
        setattr(machine, name, lambda record: None)
        load(self, machine)
        delattr(machine, name)

    return loaded


@bug
def what_is_loaded_is_held_by_nobody(patch: Patch) -> None:
    before = Disk.load

    def load(self: Disk, machine: Any) -> None:
        before(self, machine)
        machine._held.clear()

    patch.setattr(Disk, "load", load)


@bug
def loaded_tasks_never_fall_due(patch: Patch) -> None:
    before = Disk.load

    def load(self: Disk, machine: Any) -> None:
        before(self, machine)
        machine._task_heap.clear()

    patch.setattr(Disk, "load", load)


@bug
def what_is_settled_is_not_found_again(patch: Patch) -> None:
    patch.setattr(Disk, "promise", lambda self, promise_id: None)


@bug
def tasks_that_are_over_are_not_found_again(patch: Patch) -> None:
    patch.setattr(Disk, "task", lambda self, task_id: None)


# ---- what is answered ahead ----------------------------------------------------------------------------------------------------------


@bug
def a_step_is_answered_ahead_that_is_settled(patch: Patch) -> None:
    before = Worker.foreseen_on_disk

    def foreseen(self: Worker, run: Any, create: Any) -> Any:
        record = before(self, run, create)
        if record is not None and record.state != "PENDING":
            record = replace(record, state="PENDING", value=(None, None), completed_on=None)
        return record

    patch.setattr(Worker, "foreseen_on_disk", foreseen)


@bug
def what_is_ahead_is_forgotten_when_more_is_asked(patch: Patch) -> None:
    before = Worker.with_what_is_ahead

    def with_ahead(self: Worker, operation: Any) -> Any:
        write, self.write = self.write, lambda creates: None  # type: ignore[method-assign]
        try:
            return before(self, operation)
        finally:
            self.write = write  # type: ignore[method-assign]

    patch.setattr(Worker, "with_what_is_ahead", with_ahead)


@bug
def a_settlement_leaves_its_promise_behind(patch: Patch) -> None:
    patch.setattr(Ahead, "__contains__", lambda self, promise_id: False)
    before = Ahead.take

    def take(self: Ahead, up_to: str | None = None) -> list[CreatePromise]:
        return before(self, up_to)[:1] if up_to is None else before(self, up_to)

    patch.setattr(Ahead, "take", take)


# ---- several processes on one file -----------------------------------------------------------------------------------------------------


def file_bug(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
    FILE_BUGS[plant.__name__] = plant
    return plant


@file_bug
def what_a_process_knows_of_a_run_outlasts_what_others_write(patch: Patch) -> None:
    before = PromiseFile.begin

    def begin(self: PromiseFile, tables: Tables) -> list[str]:
        fresh = self._fresh
        kept = dict(fresh)
        touched = before(self, tables)
        fresh.update(kept)
        return touched

    patch.setattr(PromiseFile, "begin", begin)


@file_bug
def a_settlement_of_what_another_process_made_is_not_told(patch: Patch) -> None:
    before = PromiseFile._catch_up

    def catch_up(self: PromiseFile, tables: Tables) -> list[str]:
        touched = before(self, tables)
        self._pending.clear()
        return touched

    patch.setattr(PromiseFile, "_catch_up", catch_up)


@file_bug
def tasks_of_others_are_taken_in_as_they_were(patch: Patch) -> None:
    before = Tables.install_task

    def install(self: Tables, task: TaskRecord) -> None:
        if task.id not in self.tasks:
            before(self, task)

    patch.setattr(Tables, "install_task", install)


@file_bug
def who_waits_is_known_to_one_process(patch: Patch) -> None:
    patch.setattr(Tables, "install_callback", lambda self, callback: None)


@file_bug
def a_turn_of_steps_alone_is_not_committed(patch: Patch) -> None:
    before = PromiseFile.write

    def write(self: PromiseFile, changes: Changes) -> None:
        if not changes.has_promises_alone() or any(each.state == "PENDING" for each in changes.promises.values()):
            before(self, changes)

    patch.setattr(PromiseFile, "write", write)


@file_bug
def a_process_catches_up_with_the_newest_alone(patch: Patch) -> None:
    before = PromiseFile._catch_up

    def catch_up(self: PromiseFile, tables: Tables) -> list[str]:
        newest = self._connection.execute("SELECT max(turn) FROM journal").fetchone()[0]
        self._turn = max(self._turn, newest - 3)
        return before(self, tables)

    patch.setattr(PromiseFile, "_catch_up", catch_up)


@file_bug
def the_last_rows_of_a_turn_are_not_written(patch: Patch) -> None:
    before = FileServer.commit

    def commit(self: FileServer) -> None:
        changes = self.real.changes
        if changes is not None and len(changes.tasks) > 1:
            changes.tasks.popitem()
        before(self)

    patch.setattr(FileServer, "commit", commit)


@file_bug
def found_a_schedule_that_another_process_has_ended_begins_again(patch: Patch) -> None:
    before = Machine._fire

    def fire(self: Machine, due: int, schedule_id: str, now: int) -> None:
        schedule = self.schedules.get(schedule_id)
        if schedule is not None and schedule.last_run == due:
            self.schedules[schedule_id] = replace(schedule, last_run=None)
        before(self, due, schedule_id, now)

    patch.setattr(Machine, "_fire", fire)


# ---- the real file -------------------------------------------------------------------------------------------------------------------


def log_bug(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
    LOG_BUGS[plant.__name__] = plant
    return plant


@log_bug
def a_turn_is_written_in_two_parts(patch: Patch) -> None:
    before = PromiseFile.write

    def write(self: PromiseFile, changes: Changes) -> None:
        tasks, changes.tasks = changes.tasks, {}
        before(self, changes)
        self._connection.execute("COMMIT")
        self._connection.execute("BEGIN IMMEDIATE")
        rest = Changes()
        rest.tasks = changes.tasks = tasks
        before(self, rest)

    patch.setattr(PromiseFile, "write", write)


@log_bug
def a_turn_is_answered_before_it_is_written(patch: Patch) -> None:
    write, commit = PromiseFile.write, PromiseFile.commit
    late: list[Changes] = []

    def commit_late(self: PromiseFile) -> None:
        while len(late) > 1:
            write(self, late.pop(0))
        commit(self)

    patch.setattr(PromiseFile, "write", lambda self, changes: late.append(changes))
    patch.setattr(PromiseFile, "commit", commit_late)
