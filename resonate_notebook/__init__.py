"""Durable functions in a notebook, watched live: `%load_ext resonate_notebook` gives the magic `%resonate`.

Every verb of the magic is a function here too, because magics cannot live in modules.

    import resonate_notebook as rn

    rn.register(pipeline)
    run = rn.run("demo.1", "pipeline", days=31)
    run.result(timeout=60)
"""

from __future__ import annotations

import resonate

if getattr(resonate, "__distribution__", None) != "resonate-notebook":
    raise ImportError(
        f"the package `resonate` at {getattr(resonate, '__path__', ['?'])[0]} is another distribution's (resonate-sdk has that name too), "
        "and resonate-notebook needs its own. In an environment of their own, or after `pip uninstall resonate-sdk`: "
        "`pip install --force-reinstall resonate-notebook`. Programs written for resonate-sdk 0.6.7 run with it unchanged."
    )

from IPython.core.interactiveshell import InteractiveShell

from resonate_notebook.arguments import Mistake
from resonate_notebook.listing import ps
from resonate_notebook.promises import Promise
from resonate_notebook.reading import logs
from resonate_notebook.recordings import diff, record, replay
from resonate_notebook.runs import Run
from resonate_notebook.schedules import schedule, unschedule
from resonate_notebook.verbs import (
    attach,
    cancel,
    config,
    connect,
    doctor,
    export,
    functions,
    prune,
    register,
    reject,
    resolve,
    retry,
    rpc,
    run,
    status,
    stop,
    tree,
    wait,
)
from resonate_notebook.views import get, show, table, timeline

__all__ = [
    "Mistake",
    "Promise",
    "Run",
    "attach",
    "cancel",
    "config",
    "connect",
    "diff",
    "doctor",
    "export",
    "functions",
    "get",
    "load_ipython_extension",
    "logs",
    "prune",
    "ps",
    "record",
    "register",
    "reject",
    "replay",
    "resolve",
    "retry",
    "rpc",
    "run",
    "schedule",
    "show",
    "status",
    "stop",
    "table",
    "timeline",
    "tree",
    "unload_ipython_extension",
    "unschedule",
    "wait",
]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """`%load_ext resonate_notebook`: the magics, their completion, and a line that says where the kernel is connected."""
    from resonate_notebook import magics, runs

    magics.install(shell)
    runs.say(f"{status()} · %resonate? lists the verbs")


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """`%unload_ext resonate_notebook`: everything is stopped and taken away. Runs in memory end."""
    from resonate_notebook import magics, session

    magics.remove(shell)
    session.end()
