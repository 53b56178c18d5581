"""Measures the live graph in JupyterLab with a real kernel and a real Chromium, and writes WIDGET.md.

    python benchmarks/widget.py                       some four minutes
    python benchmarks/widget.py --only large          a regular expression on cases: views, many, reload, large, layout
    python benchmarks/widget.py --keep                prints the table and leaves WIDGET.md alone

Runs are real durable runs in memory. Their size is in calls; the page's own clock and the kernel's are the same machine's. Nothing is
mocked: the figures hold the kernel's facts, the websocket, JupyterLab itself and the drawing. So they are worth what the machine was
when they were made: the load before and after stands in the head.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "browser"), str(ROOT / "tests" / "pure")]

from conftest import QUIET  # noqa: E402 - the tests' own browser and lab
from lab import Lab, Notebook  # noqa: E402
from playwright.sync_api import Browser, CDPSession, Page, WebSocket, sync_playwright  # noqa: E402

from resonate_notebook import layout  # noqa: E402
from resonate_notebook.model import RunModel  # noqa: E402

RESULTS = ROOT / "benchmarks" / "WIDGET.md"
LOAD = "%load_ext resonate_notebook\nimport time\nends = {}"
FUNCTIONS = """%%resonate register
def clean(ctx, day):
    return day

def pace(ctx, until):
    time.sleep(max(0, until - time.monotonic()))

def paced(ctx, batches, size):
    began = time.monotonic()
    for batch in range(batches):
        calls = []
        for day in range(size):
            calls.append((yield ctx.begin_run(clean, batch * size + day)))
        for call in calls:
            yield call
        yield ctx.run(pace, began + (batch + 1) * 0.1)
    ends[ctx.id] = time.time()
    return batches * size

def held(ctx, size):
    calls = []
    for day in range(size):
        calls.append((yield ctx.begin_run(clean, day)))
    for call in calls:
        yield call
    yield (yield ctx.promise(id=f"{ctx.id}.gate"))

def part(ctx, size):
    calls = []
    for day in range(size):
        calls.append((yield ctx.begin_run(clean, day)))
    for call in calls:
        yield call

def large(ctx, parts, size):
    for _ in range(parts):
        yield ctx.run(part, size)
"""
TIMED = """import statistics
def timed(id, show):
    began = time.perf_counter()
    run = resonate_notebook.run(id, "large", 100, 499)
    if show:
        run.show()
    run.result(timeout=300)
    return time.perf_counter() - began
import resonate_notebook
timed("warm", False)"""

# Counts frames, tasks and the moment at which every picture in sight tells that so many calls have settled.
WATCH = """wanted => {
  window.watched?.stop();
  const seen = window.watched = { frames: 0, longest: 0, shownAt: null, began: performance.now() };
  const tasks = new PerformanceObserver(list => {
    for (const entry of list.getEntries()) seen.longest = Math.max(seen.longest, entry.duration);
  });
  tasks.observe({ entryTypes: ["longtask"] });
  const all = document.getElementsByClassName("rg"), inSight = new Set();     // told, not asked for: asking makes the page lay out
  const sight = new IntersectionObserver(entries => {
    for (const { target, isIntersecting } of entries) if (isIntersecting) inSight.add(target); else inSight.delete(target);
  });
  const label = view => view.querySelector("[role=progressbar]").getAttribute("aria-label");
  let going = true, known = 0;
  const frame = () => {
    if (!going) return;
    seen.frames++;
    if (known !== all.length) { known = all.length; for (const view of all) sight.observe(view); }
    if (seen.shownAt === null && known >= wanted.views && inSight.size && [...inSight].every(view => label(view) === wanted.label)) {
      seen.shownAt = Date.now();
      seen.shown = Array.from(inSight, view => view.querySelector(".rg-run").textContent);
    }
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  seen.stop = () => {
    going = false; tasks.disconnect(); sight.disconnect();
    return { ...seen, ms: performance.now() - seen.began, stop: null };
  };
}"""


@dataclass(frozen=True)
class Figure:
    """One line of the table. `most` is the budget, in the figure's unit; with `least` the figure has to reach it instead."""

    case: str
    what: str
    value: float
    unit: str
    budget: float | None = None
    least: bool = False

    @property
    def reached(self) -> str:
        if self.budget is None:
            return ""
        return "yes" if (self.value >= self.budget if self.least else self.value <= self.budget) else "**no**"


class Wire:
    """Bytes that the page's websockets carry, both ways."""

    def __init__(self, page: Page) -> None:
        self.bytes = 0
        page.on("websocket", self._meet)

    def _meet(self, socket: WebSocket) -> None:
        for event in ("framereceived", "framesent"):
            socket.on(event, self._count)

    def _count(self, payload: str | bytes) -> None:
        self.bytes += len(payload if isinstance(payload, bytes) else payload.encode())


class Bench:
    """A lab, a page, and what is measured in them."""

    def __init__(self, browser: Browser, lab: Lab) -> None:
        self.lab, self.browser, self.page = lab, browser, browser.new_page()
        self.wire = Wire(self.page)
        self.cdp: CDPSession = self.page.context.new_cdp_session(self.page)
        self.cdp.send("Performance.enable")
        self.figures: list[Figure] = []

    def note(self, *told: Any, **options: Any) -> None:
        figure = Figure(*told, **options)
        self.figures.append(figure)
        print(f"{figure.case}: {figure.what}: {figure.value:,.1f} {figure.unit} {figure.reached}", flush=True)

    def open(self, name: str, *cells: str) -> Notebook:
        self.lab.write(name, LOAD, FUNCTIONS, *cells)
        notebook = Notebook(self.lab, self.page, name)
        notebook.page.evaluate("() => window.observer.disconnect()")  # what the tests look at costs time here
        notebook.run(0, 1)
        return notebook

    def task_s(self) -> float:
        metrics = self.cdp.send("Performance.getMetrics")["metrics"]
        return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))

    def watch(self, label: str, views: int = 1) -> tuple[float, int]:
        self.page.evaluate(WATCH, {"label": label, "views": views})
        return self.task_s(), self.wire.bytes

    def shown(self, timeout_s: float = 60) -> float:
        """When everything was shown, in seconds since the epoch."""
        self.page.wait_for_function("() => window.watched.shownAt !== null", timeout=timeout_s * 1000)
        return float(self.page.evaluate("() => window.watched.shownAt")) / 1000

    def ask(self, notebook: Notebook, cell: int) -> float:
        notebook.run(cell)
        return float(notebook.output(cell).inner_text().split(":")[-1])

    def took(self, case: str, begun: tuple[float, int], *, kib: float | None = None) -> None:
        """Notes what the page has done since `watch`."""
        task_s, wire_bytes = begun
        task_ms, seen = (self.task_s() - task_s) * 1000, self.page.evaluate("() => window.watched.stop()")
        self.note(case, "main thread a frame", task_ms / seen["frames"], "ms", budget=8)
        self.note(case, "frames a second", seen["frames"] / seen["ms"] * 1000, "", budget=58, least=True)
        self.note(case, "longest task", seen["longest"], "ms", budget=100)
        if kib is not None:
            self.note(case, "websocket, both ways", (self.wire.bytes - wire_bytes) / 1024, "KiB", budget=kib)


def views(bench: Bench) -> None:
    """5,000 calls that begin and end over five seconds, in each view."""
    for tab in ("Graph", "Tree", "Timeline", "Table"):
        case = f"5,051 calls in 5 s, {tab}"
        notebook = bench.open(f"{tab}.ipynb", "run = %resonate run demo.1 paced batches=50 size=100", "ends['demo.1']")
        begun = bench.watch("5,051 of 5,051 calls settled")
        notebook.run(2)
        notebook.graph(2).get_by_role("tab", name=tab).click()
        shown_s = bench.shown()
        bench.took(case, begun, kib=600)
        bench.note(case, "shown after the last event", (shown_s - bench.ask(notebook, 3)) * 1000, "ms", budget=300)
        notebook.close()


def many(bench: Bench) -> None:
    """Twenty runs at once, each in a picture of its own."""
    case = "20 runs of 251 calls at once"
    start = "runs = [resonate_notebook.run(f'demo.{n}', 'paced', 50, 4).show() for n in range(20)]"
    notebook = bench.open("many.ipynb", f"import resonate_notebook\n{start}", "import json\nprint(json.dumps(ends))")
    begun = bench.watch("251 of 251 calls settled", views=20)
    notebook.start(2)
    notebook.graph(2).nth(2).evaluate("view => view.scrollIntoView()")  # three in sight, as a person would have them
    shown_s = bench.shown()
    bench.took(case, begun)
    notebook.run(3)
    ends = json.loads(notebook.output(3).inner_text())
    last_s = max(ends[run] for run in bench.page.evaluate("() => window.watched.shown"))
    bench.note(case, "shown after the last event", (shown_s - last_s) * 1000, "ms", budget=300)
    notebook.close()


def reload(bench: Bench) -> None:
    """The page is loaded again while 5,000 calls wait for a person."""
    case = "page loaded again, 5,002 calls"
    label = "5,000 of 5,002 calls settled"
    notebook = bench.open("reload.ipynb", "run = %resonate run demo.1 held size=5000")
    bench.watch(label)
    notebook.run(2)
    bench.shown()
    notebook.save()
    began_s = time.time()
    bench.page.reload()
    bench.page.wait_for_function("() => document.querySelector('section.rg, .jp-OutputArea-output')")
    output_s = time.time()
    bench.watch(label)
    bench.page.wait_for_selector("section.rg", state="attached")
    bench.page.evaluate("() => document.querySelector('section.rg').scrollIntoView()")
    shown_s = bench.shown()
    bench.note(case, "all shown after its output stands in the page", (shown_s - output_s) * 1000, "ms", budget=2000)
    bench.note(case, "all shown after the reload, with JupyterLab's own start", (shown_s - began_s) * 1000, "ms")
    notebook.close()


def large(bench: Bench) -> None:
    """50,000 calls, with and without a picture of them."""
    case = "50,001 calls"
    cells = [f"timed('{'on' if at % 2 else 'off'}.{at}', {at % 2 == 1})" for at in range(6)]
    notebook = bench.open("large.ipynb", TIMED, *cells)
    took: dict[bool, list[float]] = {False: [], True: []}
    notebook.start(2)
    notebook.wait_for_end(2, 120_000)
    for cell in range(3, 9):
        is_shown = cell % 2 == 0
        if cell == 4:
            begun = bench.watch("50,001 of 50,001 calls settled")
        notebook.start(cell)
        notebook.wait_for_end(cell, 240_000)
        took[is_shown].append(float(notebook.output(cell).inner_text().split(":")[-1]))
        if cell == 4:
            bench.shown()
            bench.took(case, begun)
    with_picture, without = min(took[True]), min(took[False])
    bench.note(case, "the run without a picture, the best of 3", without, "s")
    bench.note(case, "the run with a picture, the best of 3", with_picture, "s")
    bench.note(case, "slower with a picture", 100 * (with_picture / without - 1), "%", budget=15)
    graph = notebook.graph(4)
    graph.get_by_role("tab", name="Tree").click()
    begun = bench.watch("")
    graph.locator(".rg-scroll").evaluate(
        """async scroll => {
          for (let at = 0; at < 60; at++) { scroll.scrollTop += 60; await new Promise(done => requestAnimationFrame(done)); }
        }"""
    )
    bench.took(f"{case}, scrolled", begun)
    notebook.close()


LAYOUT = """async () => {
  const { Run } = await import("/resonate_notebook/static/run.js"), { buildRows } = await import("/resonate_notebook/static/rows.js");
  const nodes = [{ i: 0, id: "demo", p: -1, f: "root", k: "run", t: 0, s: "running" }];
  for (let i = 1; i < 5000; i++) nodes.push({ i, id: `demo.${i}`, p: i < 13 ? 0 : 1 + i % 12, f: i < 13 ? `region${i}` : `f${i % 250}`,
    k: "run", a: [["day", String(i)]], t: i, s: i % 97 ? "resolved" : "rejected", e: i + 5 });
  const run = new Run();
  run.load({ seq: 1, run: { id: "demo", now: 9000 }, nodes });
  const took = [], open = new Map(run.order.map(node => [node.key, true]));
  let rows = 0;
  for (let round = 0; round < 60; round++) {
    const began = performance.now();
    run.summarise(); rows = buildRows(run, round % 2 ? open : new Map(), null).length;
    took.push([round % 2, performance.now() - began]);
  }
  const median = kind => took.filter(([of]) => of === kind).map(([, ms]) => ms).sort((a, b) => a - b)[15];
  return [median(0), median(1), rows];
}"""


def python_layout_ms() -> float:
    from sample_runs import Story

    story = Story("demo").created(0, "demo", "root").started(0, "demo")
    for number in range(1, 5000):
        parent = "demo" if number < 13 else f"demo.{1 + number % 12}"
        call = f"demo.{number}" if number < 13 else f"{parent}.{number}"
        story.created(number, call, f"f{number % 250}", parent, day=str(number))
        story.settled(number + 5, call, "resolved" if number % 97 else "rejected")
    model: RunModel = story.model()
    took = []
    for _ in range(15):
        began_s = time.perf_counter()
        top = layout.fold(model)
        assert top is not None
        layout.rows(top)
        took.append((time.perf_counter() - began_s) * 1000)
    return statistics.median(took)


def layouts(bench: Bench) -> None:
    """Summing and folding of 5,000 calls, in both languages."""
    import functools
    import http.server
    import threading

    from conftest import SilentHandler

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(SilentHandler, directory=str(ROOT)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = bench.browser.new_page()
    page.goto(f"http://127.0.0.1:{server.server_port}/tests/browser/page/harness.html")
    folded, opened, rows = page.evaluate(LAYOUT)
    page.close()
    server.shutdown()
    bench.note("layout of 5,000 calls", "JavaScript, folded", folded, "ms", budget=2)
    bench.note("layout of 5,000 calls", f"JavaScript, {rows:,} rows open", opened, "ms", budget=2)
    bench.note("layout of 5,000 calls", "Python", python_layout_ms(), "ms", budget=20)


CASES = {"layout": layouts, "views": views, "many": many, "reload": reload, "large": large}


def table(figures: list[Figure], load: tuple[float, float]) -> str:
    told = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    named = re.search(r"^model name\s*: (.*)$", told, re.MULTILINE)
    reached = [figure.reached for figure in figures if figure.budget is not None]
    lines = [
        f"Made by `python benchmarks/widget.py` on {datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}.",
        f"Machine: {named[1] if named else platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}.",
        f"Load average {load[0]:.1f} before and {load[1]:.1f} after. {reached.count('yes')} of {len(reached)} budgets are kept.",
        "",
        "| case | what | figure | budget | kept |",
        "| --- | --- | --- | --- | --- |",
    ]
    for figure in figures:
        budget = "" if figure.budget is None else f"{'at least' if figure.least else 'at most'} {figure.budget:g} {figure.unit}".strip()
        lines.append(f"| {figure.case} | {figure.what} | {figure.value:,.1f} {figure.unit} | {budget} | {figure.reached} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the live graph in JupyterLab.")
    parser.add_argument("--only", default="", help="a regular expression on cases: " + ", ".join(CASES))
    parser.add_argument("--keep", action="store_true", help="leave WIDGET.md alone")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        lab = Lab(Path(folder))
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=QUIET)
        try:
            bench = Bench(browser, lab)
            for name, case in CASES.items():
                if re.search(options.only, name):
                    case(bench)
        finally:
            browser.close()
            lab.stop()
    told = table(bench.figures, (before, os.getloadavg()[0]))
    print(told)
    if not options.keep:
        head, begin, _ = RESULTS.read_text(encoding="utf-8").partition("<!-- table -->\n")
        RESULTS.write_text(head + begin + told, encoding="utf-8")


if __name__ == "__main__":
    main()
