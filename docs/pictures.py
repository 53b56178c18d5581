"""Draws the pictures of the site: small programs run here, and each run draws itself. `python docs/pictures.py FOLDER`"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import resonate_notebook as rn
from resonate import Resonate
from resonate.retry_policies import Constant, Never

LIMIT_S = 20


def clean(ctx: Any, day: int) -> dict[str, int]:
    time.sleep(0.05)
    return {"day": day, "rows": 1000 + day}


def fetch(ctx: Any, city: str) -> str:
    time.sleep(0.05)
    if ctx.info.attempt < 3:
        raise ConnectionError(f"no answer about {city}")
    return city


def pipeline(ctx: Any, days: int) -> Any:
    begun = []
    for day in range(days):
        begun.append((yield ctx.begin_run(clean, day)))  # noqa: PERF401
    rows = 0
    for promise in begun:
        rows += (yield promise)["rows"]
    ok = yield (yield ctx.promise(id=f"{ctx.id}.approve", data={"ask": f"{rows} rows. Publish?"}))
    return {"rows": rows, "ok": ok}


def retried(ctx: Any) -> Any:
    return (yield ctx.run(fetch, "Oslo").options(retry_policy=Constant(delay=0.1, max_retries=5)))


def publish(ctx: Any, rows: int) -> str:
    if not mended.is_set():
        hangs.set()
        mended.wait(LIMIT_S)
    return f"published {rows} rows"


def nightly(ctx: Any) -> Any:
    rows = 0
    for day in range(3):
        rows += (yield ctx.run(clean, day))["rows"]
    yield ctx.sleep(0.1)
    return (yield ctx.run(publish, rows))


def check(ctx: Any, rows: int) -> int:
    raise ValueError("no rows")


def failing(ctx: Any) -> Any:
    found = yield ctx.run(clean, 1)
    return (yield ctx.run(check, found["rows"]).options(retry_policy=Never()))


hangs, mended = threading.Event(), threading.Event()


def main(folder: Path) -> None:
    rn.register(pipeline, retried, failing)
    rn.run("demo.1", "pipeline", days=31)
    rn.wait("demo.1", timeout=LIMIT_S, until="waiting")
    rn.export(folder / "waiting.svg", "demo.1")
    rn.run("fetch.1", "retried").result(timeout=LIMIT_S)
    rn.export(folder / "retried.svg", "fetch.1")
    failed = rn.run("check.1", "failing")
    try:
        failed.result(timeout=LIMIT_S)
    except ValueError:
        rn.export(folder / "failed.svg", "check.1")

    # A process that stops half-way, as far as the file can tell; the next one finds three steps in it.
    first = Resonate.local(path="runs.db", log_level="CRITICAL")
    first.register(nightly)
    first.begin_run("nightly.1", nightly)
    assert hangs.wait(LIMIT_S)
    first.stop(timeout=0.1)
    mended.set()
    rn.connect("local", db="runs.db")
    rn.register(nightly)
    rn.attach("nightly.1").result(timeout=LIMIT_S)
    rn.export(folder / "recovered.svg", "nightly.1")


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve()
    os.environ["RESONATE_NOTEBOOK_RENDER"] = "off"
    logging.getLogger("resonate").setLevel(logging.ERROR)  # a function that outlives a client is meant here
    with tempfile.TemporaryDirectory() as elsewhere:
        os.chdir(elsewhere)
        main(target)
