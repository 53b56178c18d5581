"""The live graph of a run that a worker elsewhere does: a real server, a worker beside it, a notebook that watches and answers."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import Lab, Notebook
from playwright.sync_api import expect

from resonate import Resonate
from resonate.server import DevelopmentServer

SHOTS = os.environ.get("RESONATE_TEST_SCREENSHOTS")
"""A folder for pictures to look at."""


@pytest.fixture(scope="module", params=["legacy", "current"])
def worker(request: pytest.FixtureRequest) -> Iterator[tuple[str, str, threading.Event]]:
    """The address of a server, its protocol, and what lets the worker's last step end."""
    gate = threading.Event()
    with DevelopmentServer(port=0, message_port=0) as server:
        client = Resonate.remote(host=server.url, group="reports", protocol=request.param, log_level="CRITICAL")

        @client.register
        def count(ctx: Any, day: int) -> int:
            return 1000 + day

        @client.register
        def check(ctx: Any, rows: int) -> int:
            gate.wait(60)
            return rows

        @client.register
        def report(ctx: Any, days: int) -> Any:
            rows = 0
            for day in range(days):
                rows += yield ctx.run(count, day)
            rows = yield ctx.run(check, rows)
            ok = yield (yield ctx.promise(id=f"{ctx.id}-approve", data={"ask": f"{rows} rows. Publish?"}))
            return {"rows": rows, "ok": ok}

        client.start()
        yield server.url, request.param, gate
        gate.set()
        client.stop()


def test_a_run_elsewhere_is_drawn_as_it_goes_and_answered_in_the_page(
    worker: tuple[str, str, threading.Event], lab: Lab, open_notebook: Callable[..., Notebook]
) -> None:
    """Its calls appear and change within moments, the run waits for a person, and the answer given in the page ends it."""
    url, protocol, gate = worker
    lab.write(
        f"remote-{protocol}.ipynb",
        "%load_ext resonate_notebook",
        f"%resonate connect remote {url} --group readers --protocol {protocol}",
        "run = %resonate rpc report.7 report days=3 --target reports",
        "run.result(timeout=30)",
    )
    notebook = open_notebook(f"remote-{protocol}.ipynb")
    notebook.run(0, 1, 2)
    expect(notebook.output(1)).to_contain_text(f"{url} ({protocol} protocol")
    step = "report.7." if protocol == "legacy" else "report.7:"
    expect(notebook.item(2, f"{step}4")).to_have_attribute("aria-label", re.compile(r"check\(.*\), running"))
    expect(notebook.item(2, f"{step}3")).to_have_attribute("aria-label", re.compile(r"count\(.*2\), resolved"))
    look(notebook, f"remote-{protocol}-running")
    gate.set()
    notebook.expect_state(2, "waiting for you")
    look(notebook, f"remote-{protocol}-waiting")
    notebook.answer(2, "report.7-approve", "True")
    notebook.expect_state(2, "resolved")
    notebook.run(3)
    expect(notebook.output(3)).to_contain_text("{'rows': 3003, 'ok': True}")
    look(notebook, f"remote-{protocol}-resolved")
    gate.clear()


def look(notebook: Notebook, name: str) -> None:
    """Keep a picture of the page, where somebody wants to look at it."""
    if SHOTS:
        notebook.page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))
