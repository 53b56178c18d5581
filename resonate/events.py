"""What observers see of a run: facts, which nobody changes.

Every fact is emitted after the store has acknowledged what it tells, and holds plain text and numbers only: no live object of a
run ever reaches an observer. `observers.Subscription` is how they are read. (`frozen=True` would make each of them cost four times as
much, and there are three for each step.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from resonate.protocol import Kind

FinalState = Literal["resolved", "rejected", "canceled", "timedout"]


@dataclass(slots=True, unsafe_hash=True)
class Event:
    """One fact. `run` is the id of the outermost run it belongs to, `id` the promise it is about, `at` seconds since the epoch."""

    run: str
    id: str
    at: float


@dataclass(slots=True, unsafe_hash=True)
class PromiseCreated(Event):
    """A promise exists. `arguments` are (name, short text) pairs; `parent` is None for a run that was launched from outside."""

    parent: str | None
    kind: Kind
    name: str
    arguments: tuple[tuple[str, str], ...]
    timeout_at: float


@dataclass(slots=True, unsafe_hash=True)
class PromiseShared(Event):
    """The call `by` waits for this promise too, which another call of the run has made, by its id or by the `Promise` that it was given."""

    by: str


@dataclass(slots=True, unsafe_hash=True)
class AttemptStarted(Event):
    """The function behind the promise is about to be called. `attempt` counts from 1; `limit` is None where there is none."""

    attempt: int
    limit: int | None


@dataclass(slots=True, unsafe_hash=True)
class RetryScheduled(Event):
    """Attempt number `attempt` failed with `error`; the next one starts at `due` (seconds since the epoch)."""

    attempt: int
    limit: int | None
    due: float
    error: str


@dataclass(slots=True, unsafe_hash=True)
class PromiseSettled(Event):
    """The promise has its final state. `recovered` says that its outcome came from the store and its function was not run."""

    state: FinalState
    recovered: bool
    error: str


@dataclass(slots=True, unsafe_hash=True)
class RunSuspended(Event):
    """Nothing of the run `id` can go on before one of these promises settles; it holds neither worker nor lease."""

    waiting_for: tuple[str, ...]


@dataclass(slots=True, unsafe_hash=True)
class RunResumed(Event):
    """A promise that the run waited for has settled and the run goes on."""


@dataclass(slots=True, unsafe_hash=True)
class LeaseLost(Event):
    """Another worker owns the run now; this process has dropped it without settling anything."""


@dataclass(slots=True, unsafe_hash=True)
class RunHalted(Event):
    """The code makes another call than the one recorded under an id: the run `id` waits, unsettled, for the code that it began with."""

    error: str
