"""The random walk of two stores side by side (`agreement`), with fenced tasks among the rest: both generations on the same promises."""

from __future__ import annotations

from typing import Any

from agreement import TARGET, VALUES, WEIGHTS, Walk

from resonate.protocol import (
    BRANCH,
    AcquireTask,
    ActFenced,
    AwaitPromise,
    ContinueTask,
    EnsureAcquired,
    EnsurePromise,
    EnsureSchedule,
    FindPromises,
    FindSchedules,
    FindTasks,
    FulfillTask,
    HaltTask,
    ListenToPromise,
    ReleaseTask,
    RenewLeases,
    SettlePromise,
    SuspendTask,
    TaskRecord,
    ViewTask,
)

ROWS: dict[str, set[str]] = {
    "EnsurePromise": {"done"},
    "EnsureAcquired": {"done", "40910", "42200"},
    "AcquireTask": {"done", "40404", "40910"},
    "ActFenced": {"done", "40000", "40404", "40910"},
    "SuspendTask": {"done", "40000", "40404", "40910", "42200"},
    "FulfillTask": {"done", "40404", "40910"},
    "ReleaseTask": {"done", "40404", "40910"},
    "HaltTask": {"done", "40404", "40910"},
    "ContinueTask": {"done", "40404", "40910"},
    "RenewLeases": {"done"},
    "ViewTask": {"done", "40404"},
    "AwaitPromise": {"done", "40000", "40400", "42200"},
    "ListenToPromise": {"done", "40400"},
    "FindPromises": {"done"},
    "FindTasks": {"done"},
    "EnsureSchedule": {"done", "40000"},
    "FindSchedules": {"done"},
}
FENCED_WEIGHTS = {
    "EnsurePromise": 12, "EnsureAcquired": 8, "AcquireTask": 14, "ActFenced": 10, "SuspendTask": 12, "FulfillTask": 6, "ReleaseTask": 5,
    "HaltTask": 3, "ContinueTask": 3, "RenewLeases": 4, "ViewTask": 4, "AwaitPromise": 5, "ListenToPromise": 4, "FindPromises": 4,
    "FindTasks": 3, "EnsureSchedule": 1, "FindSchedules": 1,
}  # fmt: skip


class FencedWalk(Walk):
    """Asks for operations of both generations."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.weights = WEIGHTS | FENCED_WEIGHTS

    def fenced(self, state: str | None = None) -> TaskRecord | None:
        """One of the fenced tasks that are open, mostly in a wanted state."""
        known = [task for task in self.tasks() if task.kind == "execute"]
        wanted = [task for task in known if task.state == state] if self.chance.random() < 0.85 else known
        return self.chance.choice(wanted or known) if wanted or known else None

    def named(self, state: str | None = None) -> str:
        task = self.fenced(state)
        ended = [each for each in self.made if each[0] == "f"]
        if task is None or self.chance.random() < 0.1:
            return self.some(ended)
        return task.root

    def held(self, state: str = "CLAIMED") -> tuple[str, int]:
        """A task and its version, at times another one."""
        task = self.fenced(state)
        if task is None or self.chance.random() < 0.12:
            return self.named(), 1
        return task.root, task.counter + self.chance.choice((0, 0, 0, 0, 0, 0, 0, -1, 1))

    def EnsurePromise(self) -> EnsurePromise:
        chance = self.chance
        parents = [task.root for task in self.tasks() if task.kind == "execute"]
        promise_id = f"{chance.choice(parents)}.{chance.randrange(5)}" if parents and chance.random() < 0.5 else self.new("f")
        self.made.append(promise_id)
        branch = {BRANCH: promise_id.partition(".")[0]}
        tags: Any = chance.choice((None, {"t": "1"}, branch, branch | {"t": "1"}))
        target = TARGET if chance.random() < (0.3 if "." in promise_id else 0.9) else None
        return EnsurePromise(promise_id, self.timeout() + 2_000, chance.choice(VALUES), tags, target, chance.random() < 0.2)

    def EnsureAcquired(self) -> EnsureAcquired:
        create = self.EnsurePromise()
        if self.chance.random() < 0.1:
            create.id = self.promise()
        create.target = TARGET
        return EnsureAcquired(create, self.chance.choice("vw"), self.chance.choice((1, 2_000, 30_000)))

    def AcquireTask(self) -> AcquireTask:
        promise_id, version = self.held(self.chance.choice(("INIT", "ENQUEUED", "ENQUEUED")))
        return AcquireTask(promise_id, version, self.chance.choice("vw"), self.chance.choice((500, 5_000, 30_000)))

    def ActFenced(self) -> ActFenced:
        promise_id, version = self.held()
        if self.chance.random() < 0.6:
            action: EnsurePromise | SettlePromise = self.EnsurePromise()
        else:
            action = SettlePromise(self.promise(), "RESOLVED", self.chance.choice(VALUES), adopt=True)
        if self.chance.random() < 0.04:
            action.id = promise_id
        return ActFenced(promise_id, version, action)

    def SuspendTask(self) -> SuspendTask:
        promise_id, version = self.held()
        awaited = [self.promise() for _ in range(self.chance.choice((0, 1, 1, 1, 2, 3)))]
        return SuspendTask(promise_id, version, awaited)

    def FulfillTask(self) -> FulfillTask:
        return FulfillTask(*self.held(), self.chance.choice(("RESOLVED", "REJECTED")), self.chance.choice(VALUES))

    def ReleaseTask(self) -> ReleaseTask:
        return ReleaseTask(*self.held())

    def HaltTask(self) -> HaltTask:
        return HaltTask(self.named())

    def ContinueTask(self) -> ContinueTask:
        return ContinueTask(self.named("HALTED"))

    def RenewLeases(self) -> RenewLeases:
        return RenewLeases(self.chance.choice("vw"), [self.held() for _ in range(self.chance.choice((0, 1, 3)))])

    def ViewTask(self) -> ViewTask:
        return ViewTask(self.named())

    def AwaitPromise(self) -> AwaitPromise:
        awaiter = self.named(self.chance.choice(("SUSPENDED", "CLAIMED", "HALTED")))
        return AwaitPromise(awaiter if self.chance.random() < 0.05 else self.promise(), awaiter)

    def ListenToPromise(self) -> ListenToPromise:
        return ListenToPromise(self.promise(), self.chance.choice((TARGET, "poll://uni@default/walker")))

    def FindPromises(self) -> FindPromises:
        chance = self.chance
        after = self.promise() if chance.random() < 0.5 else None
        tags: Any = chance.choice((None, {"t": "1"}, {"t": "1", BRANCH: self.new("f")}))
        return FindPromises(chance.choice((None, "PENDING", "RESOLVED")), tags, chance.choice((1, 3, 1_000)), after)

    def FindTasks(self) -> FindTasks:
        chance = self.chance
        after = self.promise() if chance.random() < 0.5 else None
        states: Any = chance.choice((None, ("INIT", "ENQUEUED"), ("CLAIMED",), ("COMPLETED", "TIMEDOUT")))
        return FindTasks(states, chance.choice((1, 100)), after)

    def EnsureSchedule(self) -> EnsureSchedule:
        chance = self.chance
        return EnsureSchedule(
            f"s{chance.randrange(4)}", chance.choice(("*/10 * * * * *", "0 0 31 2 *", "@every 5s")),
            chance.choice(("f.{{.timestamp}}", "{{.id}}.{{.timestamp}}", "{{.id}}")), chance.choice((1_000, 20_000)),
            chance.choice(VALUES), chance.choice((None, {"resonate:target": TARGET, "t": "1"})),
        )  # fmt: skip

    def FindSchedules(self) -> FindSchedules:
        return FindSchedules(self.chance.choice((None, {"t": "1"})), self.chance.choice((1, 100)), self.chance.choice((None, "s1")))
