"""Import, one run of one step, and out: what `run.py` times as a whole process.  python benchmarks/cold.py {resonate,file,dbos} FOLDER"""

import os
import sys

kind, folder = sys.argv[1:]


def step(_ctx: object, value: int) -> int:
    return value + 1


if kind == "dbos":
    from pathlib import Path

    from dbos_peer import DbosPeer

    assert DbosPeer(Path(folder), is_launched=True).one(1) == 2
else:
    from resonate import Resonate

    client = Resonate.local(log_level="ERROR", **({"path": f"{folder}/cold.db"} if kind == "file" else {}))

    @client.register
    def first(ctx, value):
        return (yield ctx.run(step, value))

    assert first.run("first", 1) == 2
os._exit(0)
