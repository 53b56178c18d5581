"""Runs the first notebook without a browser and shows it in the terminal while it runs; then saves the executed copy.

    tools/demo.py [NOTEBOOK]        default notebooks/01-first-run.ipynb; the copy goes to build/ under the same name

Theory. The kernel tells everything on one stream of messages: a cell prints, displays, or changes an earlier display. `Page` keeps
the text of the cells, and `show_progress` paints the part that may still change: the running cell's outputs and any earlier
display that changed meanwhile, in place on a terminal and at most ten times a second. When the cell ends that part is written once
more, for good. Where the output is no terminal, only those final texts are written.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

ROOT = Path(__file__).resolve().parent.parent
FRAME_S = 0.1
CELL_TIMEOUT_S = 300
INDENT = "    "
ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)")


def plain_lines(text: str) -> list[str]:
    """The lines of a cell's output without terminal commands: what a notebook prints must not steer the terminal."""
    lines = ESCAPE_SEQUENCE.sub("", text).expandtabs().splitlines()
    return ["".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in line) for line in lines]


def output_text(output: Any) -> str:
    """What one notebook output says as text: a stream, a display or result, or an error."""
    if output.output_type == "stream":
        return str(output.text)
    if output.output_type == "error":
        return f"{output.ename}: {output.evalue}"
    return str(output.data.get("text/plain", ""))


def duration(seconds: float) -> str:
    """`0.4 s`, `3 m 04 s`."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60} m {int(seconds) % 60:02d} s"


@dataclass
class Page:
    """The running cell and what may still change. Written by the client's hooks, read by `show_progress`, on one event loop."""

    cells: int = 0
    number: int = 0
    source: str = ""
    began_s: float = 0.0
    running: Any = None
    displays: dict[str, list[Any]] = field(default_factory=dict)  # the outputs that show each display, wherever they are
    changed: dict[str, Any] = field(default_factory=dict)  # displays of earlier cells that changed during this one

    def heading(self) -> str:
        lines = self.source.strip().splitlines()
        return f"[{self.number}/{self.cells}] {lines[0]}{' …' if len(lines) > 1 else ''}"

    def body(self) -> list[str]:
        """The outputs of the running cell, then the displays of earlier cells that changed under it, as indented lines."""
        outputs = [*self.changed.values(), *self.running.outputs]
        return [INDENT + line for output in outputs for line in plain_lines(output_text(output))]


class Terminal:
    """Writes final lines, and below them a part that is painted over in place (nothing of it where the output is no terminal)."""

    def __init__(self) -> None:
        self.live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.painted = 0
        bold = self.live and "NO_COLOR" not in os.environ
        self.bold, self.normal = ("\x1b[1m", "\x1b[0m") if bold else ("", "")

    def erase(self) -> str:
        up = f"\x1b[{self.painted}A" if self.painted else ""
        self.painted = 0
        return f"\r{up}\x1b[J" if self.live else ""

    def write(self, lines: list[str]) -> None:
        sys.stdout.write(self.erase() + "".join(f"{line}\n" for line in lines))
        sys.stdout.flush()

    def paint(self, heading: str, body: list[str]) -> None:
        """Show what fits the window: the heading, then the end of the body. Wide lines are cut, for a wrapped line counts twice."""
        if not self.live:
            return
        width, height = shutil.get_terminal_size()
        lines = [heading, *body[-max(height - 3, 1) :]]
        frame = [line if len(line) < width else line[: width - 2] + "…" for line in lines]
        text = self.erase() + "".join(f"{line}\n" for line in frame)
        self.painted = len(frame)
        sys.stdout.write(text)
        sys.stdout.flush()


class DemoClient(NotebookClient):
    """A notebook client that tells a `Page` what happens.

    nbclient drops the messages that a thread sends on behalf of an earlier cell; a live display is such a thread's work, so its
    updates are taken at the channel, before that filter.
    """

    def __init__(self, notebook: Any, page: Page, terminal: Terminal, **options: Any) -> None:
        super().__init__(notebook, **options)
        self.page = page
        page.cells = sum(cell.cell_type == "code" and bool(cell.source.strip()) for cell in notebook.cells)
        self.on_notebook_start = self.stop_on_interrupt
        self.on_cell_execute = self.cell_begins
        self.on_cell_executed = lambda **_: finish_cell(page, terminal)

    def stop_on_interrupt(self, notebook: Any) -> None:
        """Ctrl-C ends the run in good order. nbclient's own handler, replaced here, closes the kernel twice and trips over it."""
        task = asyncio.current_task()
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, task.cancel)

    def cell_begins(self, cell: Any, cell_index: int) -> None:
        """A cell is sent to the kernel."""
        page = self.page
        cell.outputs = []
        page.number, page.source, page.running = page.number + 1, cell.source, cell
        page.changed.clear()
        page.began_s = time.monotonic()

    async def async_start_new_kernel_client(self) -> Any:
        client = await super().async_start_new_kernel_client()
        get_message = client.iopub_channel.get_msg

        async def get_and_follow(*arguments: Any, **options: Any) -> Any:
            message = await get_message(*arguments, **options)
            if message["msg_type"] == "update_display_data":
                self.display_changes(message["content"])
            return message

        client.iopub_channel.get_msg = get_and_follow
        return client

    def output(self, outs: list[Any], msg: dict[str, Any], display_id: str | None, cell_index: int) -> Any:
        """An output arrives: nbclient keeps it, and a display's is remembered for its updates."""
        output = super().output(outs, msg, display_id, cell_index)
        if output is not None and display_id:
            self.page.displays.setdefault(display_id, []).append(output)
        return output

    def display_changes(self, content: dict[str, Any]) -> None:
        """A display has a new content, whichever cell it stands in."""
        display_id = str((content.get("transient") or {}).get("display_id"))
        for output in self.page.displays.get(display_id, []):
            output["data"] = nbformat.from_dict(content["data"])
            output["metadata"] = nbformat.from_dict(content["metadata"])
            if self.page.running is None or all(output is not own for own in self.page.running.outputs):
                self.page.changed[display_id] = output


async def show_progress(page: Page, terminal: Terminal) -> None:
    """Paint the running cell until cancelled: which cell, its first line, the time it has taken, and what it shows right now."""
    while True:
        if page.running is not None:
            terminal.paint(f"{page.heading()}   {duration(time.monotonic() - page.began_s)}", page.body())
        await asyncio.sleep(FRAME_S)


def finish_cell(page: Page, terminal: Terminal) -> None:
    """Write the running cell for good, with its outputs in full."""
    if page.running is not None:
        heading = f"{terminal.bold}{page.heading()}{terminal.normal}   {duration(time.monotonic() - page.began_s)}"
        terminal.write([heading, *page.body()])
        page.running = None


async def run(source: Path, target: Path) -> int:
    """Execute `source`, show it, write `target`; answers the exit code."""
    notebook = nbformat.read(source, as_version=4)
    page, terminal = Page(), Terminal()
    client = DemoClient(
        notebook,
        page,
        terminal,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # its warnings about transports would be painted over the picture
        resources={"metadata": {"path": str(source.parent)}},
    )
    painter = asyncio.ensure_future(show_progress(page, terminal))
    trouble: str | None = None
    try:
        await client.async_execute()
    except CellExecutionError:
        trouble = f"Cell {page.number} failed."
    except (DeadKernelError, asyncio.CancelledError):
        trouble = f"Stopped in cell {page.number}."
    finally:
        painter.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await painter
        finish_cell(page, terminal)
    target.parent.mkdir(exist_ok=True)
    nbformat.write(notebook, target)
    where = target.relative_to(ROOT)
    if trouble:
        print(f"\n{trouble} What ran is in {where}.", file=sys.stderr)
        return 1
    print(f"\nAll {page.cells} cells ran. The executed copy is {where}; `make lab` opens the notebook itself, live.")
    return 0


def main(arguments: list[str]) -> int:
    source = Path(arguments[0]).resolve() if arguments else ROOT / "notebooks" / "01-first-run.ipynb"
    if not source.exists():
        print(f"There is no {source}.", file=sys.stderr)
        return 2
    # The kernel is this environment's, and somebody's own IPython start-up files stay out of the demonstration.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    # Nobody watches a page here, but somebody watches the terminal: a display that changes while the run goes on.
    os.environ.setdefault("RESONATE_NOTEBOOK_RENDER", "svg")
    os.environ["IPYTHONDIR"] = str(ROOT / "build" / "ipython")
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    print(f"Running {source.name} in a kernel of its own, without a browser.\n")
    return asyncio.run(run(source, ROOT / "build" / source.name))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
