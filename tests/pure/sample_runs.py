"""Runs told as lists of facts, for the tests of the picture."""

from __future__ import annotations

from resonate.events import (
    AttemptStarted,
    Event,
    FinalState,
    Kind,
    PromiseCreated,
    PromiseSettled,
    PromiseShared,
    RetryScheduled,
    RunHalted,
)
from resonate_notebook.model import RunModel

START = 1_750_000_000.0


class Story:
    """Tells a run; times are seconds after its start."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.facts: list[Event] = []

    def created(
        self, at: float, id: str, name: str, parent: str | None = None, /, *, kind: Kind = "run",
        due: float = 86_400.0, **arguments: str,
    ) -> Story:  # fmt: skip
        if parent is None and id != self.run:
            parent = id.rpartition(".")[0]
        pairs = tuple(arguments.items())
        self.facts.append(PromiseCreated(self.run, id, START + at, parent, kind, name, pairs, START + due))
        return self

    def started(self, at: float, id: str, attempt: int = 1, limit: int | None = None) -> Story:
        self.facts.append(AttemptStarted(self.run, id, START + at, attempt, limit))
        return self

    def failed(self, at: float, id: str, attempt: int, limit: int | None, due: float, error: str) -> Story:
        self.facts.append(RetryScheduled(self.run, id, START + at, attempt, limit, START + due, error))
        return self

    def settled(self, at: float, id: str, state: FinalState = "resolved", *, error: str = "", recovered: bool = False) -> Story:
        self.facts.append(PromiseSettled(self.run, id, START + at, state, recovered, error))
        return self

    def shared(self, at: float, id: str, by: str) -> Story:
        self.facts.append(PromiseShared(self.run, id, START + at, by))
        return self

    def halted(self, at: float, id: str, error: str) -> Story:
        self.facts.append(RunHalted(self.run, id, START + at, error))
        return self

    def ran(self, begin: float, end: float, id: str, name: str, parent: str | None = None, /, **arguments: str) -> Story:
        return self.created(begin, id, name, parent, **arguments).started(begin, id).settled(end, id)

    def model(self) -> RunModel:
        model = RunModel(self.run, where="file", where_label="runs.db")
        for fact in self.facts:
            model.apply(fact)
        return model


def pipeline() -> Story:
    """A run of 54 calls with something of everything; look at it at second 212."""
    story = Story("demo.1").created(0, "demo.1", "pipeline", days="31").started(0, "demo.1")
    story.created(0.1, "demo.1.1", "load", source="'s3://sales/2024-06/*.parquet'", columns="['day', 'sku', 'qty']")
    story.settled(12.5, "demo.1.1", recovered=True)
    for number, name in enumerate(("list_files", "fetch_index", "verify"), 1):
        story.created(0.2 + number, f"demo.1.1.{number}", name).settled(1 + 2 * number, f"demo.1.1.{number}", recovered=True)
    for day in range(31):
        promise = f"demo.1.{day + 2}"
        story.created(12.7, promise, "clean", day=str(day + 1))
        if day < 18:
            story.settled(40 + day, promise, recovered=True)
        else:
            story.started(90 + day, promise).settled(100 + day, promise)
    story.ran(131, 155.4, "demo.1.33", "features", frames="31")
    for number, name in enumerate(("join", "impute", "encode", "split"), 1):
        story.ran(128 + 5 * number, 131 + 5 * number, f"demo.1.33.{number}", name)
    story.ran(155.8, 163.4, "demo.1.34", "train", model="'linear'")
    story.ran(155.9, 161.0, "demo.1.34.1", "fit").ran(161.1, 163.3, "demo.1.34.2", "evaluate")
    for number, name in ((35, "xgboost"), (36, "prophet"), (37, "lstm")):
        story.created(155.8, f"demo.1.{number}", "train", model=f"'{name}'").started(155.8, f"demo.1.{number}")
    story.created(155.9, "demo.1.35.1", "fit", rounds="400", host="'gpu-2'").started(155.9, "demo.1.35.1", 3, 5)
    story.failed(207, "demo.1.35.1", 3, 5, 216, "ConnectionError: gpu-2:7070 refused the connection")
    story.ran(155.9, 176.0, "demo.1.36.1", "fit").created(176.1, "demo.1.36.2", "sleep", kind="sleep", due=236.1, secs="60")
    story.created(155.9, "demo.1.37.1", "fit", batch="512").started(155.9, "demo.1.37.1")
    story.settled(178.9, "demo.1.37.1", "rejected", error="MemoryError: 688 MiB asked, 402 MiB left on gpu-1")
    story.created(179.1, "demo.1.37.2", "fit", batch="64").started(179.1, "demo.1.37.2")
    ask = "'86 columns, 1.2 M rows. Publish?'"
    story.created(156.0, "demo.1.38", "approve", kind="promise", what="'features-2024-06'", ask=ask)
    return story.created(156.1, "demo.1.39", "publish", kind="rpc", table="'sales_daily'", approval="'demo.1.38'")


def backfill(calls: int = 5_000) -> Story:
    """A run with twelve regions of many calls each, some of them rejected or retrying; look at it at second 1,864."""
    story = Story("nightly.204").created(0, "nightly.204", "backfill", year="2024").started(0, "nightly.204")
    regions = 12
    each = (calls - 1 - 3 * regions) // regions
    for region in range(1, regions + 1):
        top = f"nightly.204.{region}"
        story.created(1, top, "region", name=f"'emea-{region}'")
        if region <= 10:
            story.started(20 * region, top).ran(20 * region, 20 * region + 8.2, f"{top}.1", "load")
        for number in range(each):
            promise = f"{top}.{number + 2}"
            story.created(20 * region + 9, promise, "clean", day=str(number))
            begin = 20 * region + 10 + number * 3.0
            if region <= 6 or (region <= 10 and number < 120 + region):
                story.started(begin, promise)
                if (number * 7 + region) % 397 == 5:
                    story.settled(begin + 9, promise, "rejected", error=f"ValueError: no rows for emea-{region} on day {number}")
                elif region <= 6 or number < 112 + region:
                    story.settled(begin + 6, promise)
                elif number % 4 == 0:
                    story.failed(begin + 4, promise, 2, 5, 1864 + number % 20, "TimeoutError: warehouse did not answer in 30 s")
        if region <= 6:
            story.ran(1300, 1329.6, f"{top}.{each + 2}", "merge").settled(1400, top)
        else:
            story.created(20 * region + 9, f"{top}.{each + 2}", "merge")
    return story


def broken() -> Story:
    """A run whose root was rejected by one of its calls."""
    story = Story("demo.2").created(0, "demo.2", "pipeline", days="12").started(0, "demo.2").ran(0.1, 12.5, "demo.2.1", "load")
    for day in range(1, 13):
        story.created(12.7, f"demo.2.{day + 1}", "clean", day=str(day)).started(13, f"demo.2.{day + 1}", 1, 3)
        if day < 7:
            story.settled(20 + day, f"demo.2.{day + 1}")
    story.settled(56.8, "demo.2.8", "rejected", error="ValueError: no rows for day 7")
    return story.settled(57, "demo.2", "rejected", error="ValueError: no rows for day 7")
