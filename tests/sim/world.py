"""A simulated world: the production promise server and production computations, several workers, a bad network, invented time.

Theory
------
Everything that could differ between two executions is one *choice*, and all choices come from one seeded source (`Choices`). So a schedule
is a seed: the same seed gives the same trace, in any process. Each choice is a small number, and zero is the calm one: the oldest thing
is next, nothing is lost, nobody dies. So a schedule can be told again with fewer disasters by setting choices to zero; that is how
`schedules.shrink` makes a failing one short.

The world is a set of *things* that can happen next (a request or a reply that arrives, a message, a piece of user code on a worker) and a
heap of *timers*. A step carries out one thing, or lets time pass to the next moment at which something is due, or lets a disaster happen.
Time never passes by itself, so a minute costs nothing.

    things     Request -> (server applies it) -> Reply; Mail; Job; each may be lost, doubled, late, or overtaken
    disasters  a worker crashes with all that it holds; freezes past its lease and thaws; time passes while others wait;
               somebody outside settles a promise that is being worked on

Where the server stands on a modelled disk (`disk`, `turns`), its process may end at any place of a turn, and another begins with what is
there.

Server and computation are the code that ships. The driver is simulated: `worker.Worker` feeds a computation the events that
`resonate.runtime` feeds it, in the same way, but where the runtime waits for an answer the worker notes what to do with it. A request that
is not answered in time is repeated unchanged until it is, as a client must; operations are idempotent for that.

Two phases: under faults for a number of steps, then the faults stop, and everything must come to its end within three lease periods beyond
the waits that the workflows ask for themselves. `laws` is checked after every step of both, the end against `workflows.Interpreter`.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from resonate.encoders import DEFAULT, encode_call
from resonate.errors import ResonateStoreError
from resonate.limits import TASK_CLAIM_WINDOW_MS
from resonate.machine import Machine
from resonate.models.durable_promise import outcome_of
from resonate.models.result import Ok
from resonate.protocol import CreatePromise, CreateSchedule, DeliveryFailed, Lease, Message, NotifyMessage, PromiseRecord, SettlePromise
from resonate.registry import Registry
from resonate.wire.legacy import INVOKE
from tests.sim import laws_of_promises, laws_of_tasks, laws_of_workers  # noqa: F401 (they enter their laws into the book)
from tests.sim.disk import Disk, Server
from tests.sim.edits import hold_end
from tests.sim.files import FileServer
from tests.sim.laws import LAWS, LawBook, Violation
from tests.sim.setups import Choices, Setup
from tests.sim.turns import take_requests, take_turn
from tests.sim.worker import RUN_TIMEOUT_MS, TARGET, Asked, Job, Mail, Reply, Request, Worker
from tests.sim.workflows import BEGINNING_MS, SCHEDULED, Interpreter, Program, error_outcome, remote

STEPS_LIMIT = 10_000
QUIET_MS = 10**9
"""Nothing that is due later than this is waited for: such deadlines are those of the runs themselves."""
EDITED_MS = 600_000
"""So long a world whose code has changed is watched after its faults: runs that were stopped are tried again and again."""
LATE_MS = (50, 800, 4_000, 30_000, 90_000)


@dataclass(slots=True)
class Meddling:
    """Somebody outside settles a promise; the server has it as a request without a lease."""

    operation: SettlePromise


Thing = Request | Reply | Mail | Job | Meddling


class World:
    """See the head of this module."""

    def __init__(self, program: Program, setup: Setup, choices: Choices, *, laws: bool = True, trace: bool = False) -> None:
        self.program = program
        self.setup = setup
        self.choices = choices
        self.now = BEGINNING_MS
        self.server: Server | None = None
        if setup.disk:
            self.server = (
                FileServer(setup.disk, program.next_run, setup.keeps) if setup.files
                else Server(Disk(setup.disk), program.next_run, setup.keeps)
            )  # fmt: skip
        self.machine: Any = self.server or Machine(program.next_run)
        self.outgoing: list[Message] | None = None
        """What is said in a turn under way, and sent when that is on the disk."""
        self.number = itertools.count(1)
        self.things: dict[int, Thing] = {}
        self.timers: list[tuple[float, int, str, Any]] = []
        self.registry = Registry()
        self.registry.add(remote)
        self.versions = [program]
        if setup.edits and program.edit is not None:
            number, flow = program.edit
            self.versions.append(replace(program, specs=[flow if each == number else spec for each, spec in enumerate(program.specs)]))
        self.faulty = setup.fault_steps > 0
        self.steps = 0
        self.deaths = 0
        self.evicted: set[Worker] = set()
        self.coverage: Counter[tuple[str, str, str]] = Counter()
        self.meddled: set[str] = set()
        self.unwritten: set[str] = set()
        """What was answered ahead, and refused when it was to be written. Calls below it may be there, with deadlines of that time."""
        self.planned: dict[str, Any] = {}
        self.halts = 0
        """Runs that were stopped since the faults ended, because the code has changed."""
        self.trace: list[str] | None = [] if trace else None
        self.laws = LawBook(self) if laws else None
        self.workers = [Worker(self, place, 0) for place in range(setup.workers)]
        self.period_ms = TASK_CLAIM_WINDOW_MS if setup.alone else max(setup.ttl_ms, TASK_CLAIM_WINDOW_MS)
        self.calm_since = self.now
        self.stalled_ms = 0
        for index, launch in enumerate(program.launches):
            self.after(index * 10, "launch", launch)
        if program.schedule is not None:
            asked = encode_call(DEFAULT, "remote", (program.schedule.number,), {}, 1)
            if self.server is not None:
                self.server.enter(None)
            self.carry_out((CreateSchedule("s", "", SCHEDULED, RUN_TIMEOUT_MS, asked, {INVOKE: TARGET}),), None)
            if self.server is not None:
                self.server.commit()
                self.server.disk.checkpoint()
                if self.laws is not None and self.laws.disk is not None:
                    self.laws.disk.turn_ended(on_platter=True)

    # ---- small parts -------------------------------------------------------------------------------------------------------------

    def say(self, *words: Any) -> None:
        if self.trace is not None:
            self.trace.append(f"{self.now - BEGINNING_MS:>8} {' '.join(map(str, words))}")

    def put(self, thing: Thing) -> None:
        self.things[next(self.number)] = thing

    def after(self, delay_ms: float, kind: str, what: Any) -> None:
        heapq.heappush(self.timers, (self.now + delay_ms, next(self.number), kind, what))

    def living(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.lives]

    # ---- the server --------------------------------------------------------------------------------------------------------------

    def apply(self, operations: tuple[Any, ...], worker: Worker | None) -> list[Any]:
        """What the server does with a request that nobody waits for, or that is answered in place."""
        if self.server is None:
            return self.carry_out(operations, worker)
        answers: list[list[Any]] = []
        take_turn(self, [(operations, worker)], answers.extend)
        return answers[0] if answers else []

    def carry_out(self, operations: tuple[Any, ...], worker: Worker | None) -> list[Any]:
        """Each operation in order, and the messages that come of it."""
        answers: list[Any] = []
        for operation in operations:
            if self.laws is not None:
                self.laws.before(operation, worker)
            try:
                answers.append(self.machine.apply(operation, self.now))
            except ResonateStoreError as error:
                answers.append(error)
            messages = self.machine.take_messages()
            if self.laws is not None:
                self.laws.after(operation, answers[-1], worker, messages)
            self.post(messages)
            answer = answers[-1]
            if self.setup.evicts and worker is not None and isinstance(operation, SettlePromise) and isinstance(answer, PromiseRecord):
                self.evicted.add(worker)
            if isinstance(operation, CreatePromise) and operation.id not in self.planned and isinstance(answer, PromiseRecord):
                self.plan(answer)
        return answers

    def plan(self, made: PromiseRecord) -> None:
        """Somebody outside will settle this promise as its data says."""
        if made.lineage is not None and made.lineage.kind == "promise":
            how = self.planned[made.id] = DEFAULT.decode(made.param)
            if how["settle"] != "never":
                state = {"resolve": "RESOLVED", "reject": "REJECTED", "cancel": "REJECTED_CANCELED"}[how["settle"]]
                settle = SettlePromise(made.id, state, DEFAULT.encode(how.get("value")), f"outside {made.id}")  # type: ignore[arg-type]
                self.after(how["after"] * 1000, "outside", settle)

    def post(self, messages: list[Message]) -> None:
        if self.outgoing is not None:
            self.outgoing += messages
            return
        for message in messages:
            self.put(Mail(message))

    def tick(self) -> None:
        if self.server is None:
            self.act_on_time()
        else:
            take_turn(self, [(None, None)], lambda answers: None)

    def act_on_time(self) -> None:
        if self.laws is not None:
            self.laws.before(None, None)
        self.machine.tick(self.now)
        messages = self.machine.take_messages()
        if self.laws is not None:
            self.laws.after(None, None, None, messages)
        self.post(messages)

    # ---- the network -------------------------------------------------------------------------------------------------------------

    def send(self, worker: Worker, asked: Asked) -> None:
        """A request goes out; where the store answers in place it is answered here and now."""
        if self.faulty and not asked.repeats and self.choices.take(self.setup.unheard):
            self.say(worker, asked, "is not heard")
        elif self.setup.answers == "in place":
            answers = self.apply(asked.operations, worker)
            self.count(asked, answers, "none")
            worker.answered(asked, answers)
        else:
            self.put(Request(worker, asked))
            if asked.repeats and self.setup.answers != "in order":
                self.after(1_500, "repeat", (worker, asked))

    def count(self, asked: Asked, answers: list[Any], fault: str) -> None:
        for operation, answer in zip(asked.operations, answers, strict=True):
            self.coverage[type(operation).__name__, answer_kind(answer), fault] += 1

    def deliver(self, thing: Thing) -> None:
        """A thing happens, or what the network does to it instead."""
        setup = self.setup
        is_safe = isinstance(thing, Job) or (setup.answers == "in order" and isinstance(thing, (Request, Reply)))
        if self.faulty and not is_safe:
            fate = self.choices.take(setup.lost, setup.doubled, setup.late)
            if fate:
                if isinstance(thing, (Request, Reply)):
                    kind = type(thing).__name__.lower()
                    thing.asked.faults.append(f"{kind} {('lost', 'doubled', 'late')[fate - 1]}")
                self.say(thing, ("is lost", "is doubled", "is late")[fate - 1])
            if fate == 1:
                if isinstance(thing, Meddling):  # whoever is outside tries again, too
                    self.after(2_000, "again", thing)
                elif isinstance(thing, Reply):
                    self.count(thing.asked, thing.answers, "reply lost")
                return
            if fate == 2:
                self.put(thing)
            elif fate == 3:
                self.after(LATE_MS[self.choices.among(len(LATE_MS))], "again", thing)
                return
        self.happen(thing)

    def happen(self, thing: Thing) -> None:
        if isinstance(thing, Job):
            if thing.worker.lives:
                self.say(thing)
                thing.worker.perform(thing)
        elif isinstance(thing, Request) and self.server is not None:
            take_requests(self, thing)
        elif isinstance(thing, Request):
            self.reply(thing, self.apply(thing.asked.operations, thing.worker))
        elif isinstance(thing, Reply):
            if thing.worker.lives and not thing.asked.is_done:
                self.say(thing, *map(told_briefly, thing.answers))
                faults = thing.asked.faults
                self.count(thing.asked, thing.answers, faults[-1] if faults else "none")
                thing.worker.answered(thing.asked, thing.answers)
        elif isinstance(thing, Mail):
            self.hand_over(thing.message)
        else:
            self.say("outside:", thing.operation.id, thing.operation.state)
            if not self.apply((thing.operation,), None):
                self.after(2_000, "again", thing)

    def reply(self, request: Request, answers: list[Any]) -> None:
        self.say(request, "->", *map(told_briefly, answers))
        if not request.worker.lives:
            self.count(request.asked, answers, "sender dead")
        self.put(Reply(request.worker, request.asked, answers))

    def hand_over(self, message: Message) -> None:
        """The server's message goes to the worker that is addressed, or where anyone will do to another one."""
        pid = message.recv.rpartition("/")[2]
        there = next((worker for worker in self.workers if worker.pid == pid and worker.lives), None)
        if isinstance(message, NotifyMessage):
            if there is not None:
                self.say(there, "hears that", told_briefly(message.promise))
                there.hear(message)
            return
        if there is None or (self.faulty and self.choices.take(self.setup.astray)):
            others = self.living()
            if not others:
                self.say("nobody takes", message.id, message.counter)
                self.apply((DeliveryFailed(message.id, message.counter),), None)
                return
            there = others[self.choices.among(len(others))]
        self.say(there, "is offered", message.id, message.counter)
        there.hear(message)

    # ---- time and disasters --------------------------------------------------------------------------------------------------------

    def next_time(self) -> float | None:
        timers = self.timers
        while timers and self.is_stale(timers[0]):
            heapq.heappop(timers)
        due = self.machine.next_due()
        if due is not None:
            tick_ms = self.setup.tick_ms
            due = max(self.now, -(-due // tick_ms) * tick_ms)
        if timers and (due is None or timers[0][0] < due):
            due = timers[0][0]  # type: ignore[assignment]
        return due

    def is_stale(self, timer: tuple[float, int, str, Any]) -> bool:
        kind, what = timer[2:]
        if kind == "repeat":
            return what[1].is_done or not what[0].lives
        if kind == "wake":
            return not what[0].lives or what[1].computation.finished
        if kind == "offer":
            return not what[0].lives or what[1] not in what[0].halted
        if kind == "write":
            return not what.lives
        if kind == "beat":
            return not what.lives or not what.runs
        return False

    def pass_time(self, until: float) -> None:
        self.now = max(self.now, int(-(-until // 1)))
        due = self.machine.next_due()
        if due is not None and -(-due // self.setup.tick_ms) * self.setup.tick_ms <= self.now:
            self.tick()
        while self.timers and self.timers[0][0] <= self.now:
            timer = heapq.heappop(self.timers)
            if not self.is_stale(timer):
                self.ring(timer[2], timer[3])

    def ring(self, kind: str, what: Any) -> None:
        if kind in ("wake", "repeat", "beat", "offer", "write"):
            worker = what if kind in ("beat", "write") else what[0]
            if worker.frozen:
                worker.missed.append((kind, what))
            elif kind == "wake":
                worker.woke(what[1], what[2])
            elif kind == "offer":
                worker.offer_again(what[1])
            elif kind == "write":
                worker.write_deferred()
            elif kind == "repeat":
                self.say(worker, "repeats", what[1])
                what[1].faults.append("repeated")
                self.put(Request(worker, what[1]))
                self.after(1_500, "repeat", what)
            else:
                worker.beat()
        elif kind == "again":
            self.put(what)
        elif kind == "outside":
            self.put(Meddling(what))
        elif kind == "launch":
            self.launch(what)
        elif kind == "thaw":
            what.thaw()
        else:
            assert kind == "birth"
            self.say("a worker is born at place", what.place)
            self.workers[what.place] = Worker(self, what.place, what.life + 1)

    def launch(self, launch: tuple[str, int]) -> None:
        """A caller launches a run, on some worker, and again if that worker died with it."""
        promise_id, number = launch
        workers = [worker for worker in self.living() if not worker.frozen]
        if workers and (promise_id not in self.machine.promises or self.faulty):
            workers[self.choices.among(len(workers))].launch(promise_id, number)
        if promise_id not in self.machine.promises:
            self.after(7_000, "launch", launch)

    def disaster(self) -> bool:
        setup = self.setup
        fate = self.choices.take(setup.passes, setup.crash, setup.freeze, setup.meddle)
        if fate == 1:
            until = self.next_time()
            if until is not None and until - self.now < QUIET_MS:
                self.pass_time(until)
        elif fate == 2:
            workers = self.living()
            if workers:
                self.crash(workers[self.choices.among(len(workers))])
        elif fate == 3:
            workers = [worker for worker in self.living() if not worker.frozen]
            if workers:
                worker = workers[self.choices.among(len(workers))]
                worker.frozen = True
                self.deaths += 1
                self.say(worker, "freezes")
                self.after((setup.ttl_ms + 3_000, 500, 3 * setup.ttl_ms)[self.choices.among(3)], "thaw", worker)
        elif fate == 4:
            self.meddle()
        return fate > 0

    def crash(self, worker: Worker) -> None:
        self.deaths += 1
        self.say(worker, "crashes")
        worker.die()
        if self.server is not None:
            self.server.left(worker)
        delay_ms = (0, 2_000, 20_000)[self.choices.among(3)] if self.faulty else 0
        self.after(delay_ms, "birth", worker)

    def meddle(self) -> None:
        """Somebody outside settles a promise that nobody planned to settle."""
        pending = [each.id for each in self.machine.promises.values() if each.state == "PENDING"]
        if pending:
            promise_id = pending[self.choices.among(len(pending))]
            state = ("REJECTED_CANCELED", "RESOLVED", "REJECTED")[self.choices.among(3)]
            self.meddled.add(promise_id)
            self.put(Meddling(SettlePromise(promise_id, state, DEFAULT.encode(7_000), "meddler")))  # type: ignore[arg-type]

    # ---- the loop ------------------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Go on until nothing can happen any more; raises `Violation`."""
        try:
            while self.step():
                if self.laws is not None:
                    self.laws.check()
                if self.steps > STEPS_LIMIT:
                    raise Violation(LAWS["the_end"], "the world goes on for ever")
            self.settle_accounts()
        finally:
            if self.server is not None:
                self.server.retire()

    def step(self) -> bool:
        self.steps += 1
        if self.faulty:
            if self.steps > self.setup.fault_steps:
                self.end_faults()
            elif self.disaster():
                return True
        ready = self.ready()
        if not ready:
            until = self.next_time()
            if until is None or until - self.now > QUIET_MS or not self.is_going_on():
                return self.faulty and self.end_faults()
            if self.setup.edits:
                if not self.faulty and until > self.calm_since + EDITED_MS:
                    return False
            elif not self.faulty and not self.setup.evicts:
                self.check_progress(until)
            self.pass_time(until)
            return True
        number = ready[self.choices.among(len(ready), self.setup.disorder)]
        self.deliver(self.things.pop(number))
        while self.evicted:
            self.crash(self.evicted.pop())
        return True

    def ready(self) -> list[int]:
        """What can happen next, by number. Where answers are in order, of each worker's requests and replies only the oldest."""
        if self.setup.answers != "in order":
            return [number for number, thing in self.things.items() if not is_held_up(thing)]
        ready: list[int] = []
        earlier: set[tuple[type, Worker]] = set()
        for number, thing in self.things.items():
            if isinstance(thing, (Request, Reply)):
                if (type(thing), thing.worker) in earlier or thing.worker.frozen:
                    continue
                earlier.add((type(thing), thing.worker))
            if not is_held_up(thing):
                ready.append(number)
        return ready

    def is_going_on(self) -> bool:
        """Whether more is due than the heartbeats of a worker that keeps a parked run whose end it was not told of."""
        if not self.timers or self.timers[0][2] != "beat":
            return True
        due = self.machine.next_due()
        return (due is not None and due - self.now < QUIET_MS) or any(kind != "beat" for _, _, kind, _ in self.timers)

    def end_faults(self) -> bool:
        self.say("the faults stop")
        self.faulty = False
        self.calm_since = self.now
        for worker in self.living():
            if worker.frozen:
                worker.thaw()
            if self.setup.edits:  # it is given the first version again
                self.crash(worker)
        return True

    def check_progress(self, until: float) -> None:
        """S3: once the faults have stopped, the runs end within three lease periods beyond what they wait for themselves."""
        if self.stalled_ms:
            return
        pending = [each for each in self.machine.promises.values() if each.state == "PENDING" and each.target is not None]
        if pending and until > self.calm_since + 3 * self.period_ms + self.own_waits_ms():
            below = self.interpreter()
            late = [each.id for each in pending if each.id in below.sure]
            if late:
                raise Violation(LAWS["progress"], f"{late} are pending still")
            self.stalled_ms = 1  # what is left hangs below something that was settled from outside

    def launched(self) -> set[str]:
        return {promise_id for promise_id, _ in self.program.runs()}

    def interpreter(self) -> Interpreter:
        interpreter = Interpreter(self.program, {record.id: told(record) for record in self.machine.promises.values()}, self.by_nature())
        interpreter.run()
        return interpreter

    def by_nature(self) -> set[str]:
        """Promises whose outcome is taken as it is."""
        promises = self.machine.promises
        limited = {each for each in self.unwritten if each in promises and promises[each].timeout < QUIET_MS}
        return {each for each in self.meddled if each in promises} | limited  # a power cut may have taken some

    def own_waits_ms(self) -> float:
        interpreter = self.interpreter()
        return interpreter.waits_ms + interpreter.sleeps * 2 * max(map(abs, self.setup.skews_ms)) + 5_000

    def settle_accounts(self) -> None:
        """S5: what has come out is what plain recursion says, in every promise."""
        if self.setup.edits:
            hold_end(self)
            return
        promises = self.machine.promises
        happened = {record.id: told(record) for record in promises.values()}
        expected = self.interpreter()
        for promise_id in sorted(expected.store.keys() | happened.keys()):
            found, wanted = happened.get(promise_id, "absent"), expected.store.get(promise_id, "absent")
            if found == wanted:
                continue
            maybe = promise_id in expected.store and promise_id not in expected.sure
            if not maybe or not (found in ("absent", ("pending",)) or found[0] == "REJECTED_TIMEDOUT" or promise_id in self.meddled):
                raise Violation(LAWS["result"], f"{promise_id} is {found}, not {wanted}")
        for promise_id, parents in expected.parents.items():
            record = promises.get(promise_id)
            lineage = record.lineage if record is not None else None
            if lineage is not None and (lineage.parent not in parents or lineage.root not in expected.roots[promise_id]):
                raise Violation(LAWS["lineage"], f"{promise_id} is below {lineage}, not below {parents}")
        if self.laws is not None:
            self.laws.check_end(expected)


def is_held_up(thing: Thing) -> bool:
    return isinstance(thing, (Reply, Job)) and thing.worker.frozen


def told(record: PromiseRecord) -> Any:
    if record.state == "PENDING":
        return ("pending",)
    outcome = outcome_of(record, DEFAULT)
    if isinstance(outcome, Ok):
        return "ok", outcome.value
    return error_outcome(outcome.value, record.state)


def answer_kind(answer: Any) -> str:
    """What kind of answer it is, for the table of coverage."""
    if isinstance(answer, ResonateStoreError):
        return f"{answer.code:.5f}".partition(".")[2]
    if isinstance(answer, PromiseRecord):
        return answer.state
    if isinstance(answer, tuple):
        more = "" if answer[1] is None else " leased" if isinstance(answer[1], Lease) else " registered"
        return f"{answer[0].state}{more}"
    if isinstance(answer, list):
        return "awaited is settled" if answer else "parked"
    return type(answer).__name__


def told_briefly(thing: Any) -> str:
    if isinstance(thing, PromiseRecord):
        return f"{thing.id} {thing.state}"
    if isinstance(thing, tuple):
        return " ".join(map(told_briefly, thing))
    if isinstance(thing, ResonateStoreError):
        return f"refused {answer_kind(thing)}"
    if hasattr(thing, "lease"):
        return f"claimed {thing.lease}"
    if isinstance(thing, list):
        return f"[{', '.join(map(told_briefly, thing))}]"
    return f"{tuple(thing)}" if hasattr(thing, "_fields") else str(thing)
