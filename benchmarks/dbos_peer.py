"""DBOS on SQLite, with its own defaults: each step is committed to a file (rollback journal, synchronous=FULL).

It needs a newer SQLite than some systems have; then the environment holds `pysqlite3-binary`, which takes its place. Fan-out is
asynchronous steps under one gather, which is faster than a child workflow each; `fib` starts child workflows, the way there is.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from common import STEP_ENDS_S, expect, increment

try:
    import pysqlite3
except ImportError:
    pass
else:
    sys.modules["sqlite3"] = pysqlite3
    sys.modules["sqlite3.dbapi2"] = pysqlite3.dbapi2

from dbos import DBOS, SetWorkflowID

IS_TO_DIE = [False]  # in the process whose workflow is to be recovered
STEPS_DONE = [0]
REPLAY_S = [0.0]


@DBOS.step()
def step(value: int) -> int:
    STEPS_DONE[0] += 1
    return increment(value)


@DBOS.step()
async def asynchronous_step(value: int) -> int:
    return increment(value)


@DBOS.workflow()
def seq(count: int) -> int:
    value = 0
    for _ in range(count):
        value = step(value)
        STEP_ENDS_S.append(time.perf_counter())
    return value


@DBOS.workflow()
async def fanout(count: int) -> int:
    return sum(await asyncio.gather(*[asynchronous_step(value) for value in range(count)]))


@DBOS.workflow()
def fib(number: int) -> int:
    if number < 2:
        return number
    left = DBOS.start_workflow(fib, number - 1)
    right = DBOS.start_workflow(fib, number - 2)
    return int(left.get_result()) + int(right.get_result())


@DBOS.workflow()
def one(value: int) -> int:
    return step(value)


@DBOS.workflow()
async def nap(seconds: float) -> int:
    await DBOS.sleep_async(seconds)
    return 1


@DBOS.workflow()
def long(count: int) -> int:
    began_s, value = time.perf_counter(), 0
    for _ in range(count):
        value = step(value)
    REPLAY_S[0] = time.perf_counter() - began_s
    if IS_TO_DIE[0]:
        os._exit(0)
    return value


def launch(folder: Path) -> None:
    database = f"sqlite:///{folder / 'dbos.db'}"
    DBOS(config={"name": "bench", "system_database_url": database, "log_level": "ERROR", "run_admin_server": False})
    DBOS.launch()


class DbosPeer:
    """DBOS with its database in `folder`; for `replay` it is launched only when there is something to recover."""

    def __init__(self, folder: Path, *, is_launched: bool) -> None:
        self.folder = folder
        if is_launched:
            launch(folder)

    def seq(self, count: int) -> int:
        return seq(count)

    def fanout(self, count: int) -> int:
        return asyncio.run(fanout(count))

    def fib(self, number: int) -> int:
        return fib(number)

    def one(self, value: int) -> int:
        return one(value)

    def sleep(self, count: int, seconds: float) -> int:
        async def sleep_all() -> int:
            handles = [await DBOS.start_workflow_async(nap, seconds) for _ in range(count)]
            return sum([await handle.get_result() for handle in handles])

        return asyncio.run(sleep_all())

    def replay(self, count: int) -> dict[str, Any]:
        """A process does the steps and dies, this one recovers the workflow: from entering its body to the last of the steps."""
        subprocess.run([sys.executable, __file__, str(self.folder), str(count)], check=False)
        began_s = time.perf_counter()
        launch(self.folder)
        open_s = time.perf_counter() - began_s
        expect(DBOS.retrieve_workflow("long").get_result(), count)
        expect(STEPS_DONE[0], 0)  # no finished step was run again
        return {"wall_s": REPLAY_S[0], "open_s": open_s}


def die_after_steps(folder: Path, count: int) -> None:
    IS_TO_DIE[0] = True
    launch(folder)
    with SetWorkflowID("long"):
        long(count)


if __name__ == "__main__":
    die_after_steps(Path(sys.argv[1]), int(sys.argv[2]))
