"""JupyterLab or Notebook 7 as a person has it: a server of its own, and what a person does in its page.

The server and its kernels know nothing of the machine's own Jupyter: configuration, data, runtime files and IPython's folder are
fresh, the only kernel is the interpreter that runs the tests, and it imports the packages from this checkout.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Error, Locator, Page, Request, WebSocket, expect

CHECKOUT = Path(__file__).resolve().parents[2]
START_LIMIT_S = 30
SETTINGS = {"@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False}}

APPS = {"jupyterlab": "LabApp", "notebook": "JupyterNotebookApp"}
OF_NOTEBOOK_ITSELF = "Cannot read properties of undefined (reading 'schema')"  # at each start: its keyboard shortcuts come too early
OF_A_RESTART = "Canceled future for"  # what was under way is called off

WIDGET = "window.jupyterapp?.shell.currentWidget"
IS_READY = f"name => {WIDGET}?.context?.path === name && {WIDGET}.sessionContext?.session?.kernel?.status === 'idle'"
CLOSE = f"""async () => {{
  const widget = {WIDGET};
  await widget.sessionContext.shutdown(); await widget.context.save();
  if (location.pathname.startsWith('/lab')) widget.close();
}}"""

# Remembers each different label that a call's item has had, by the promise's id, in order.
REMEMBER = """() => {
  const seen = window.seen = {};
  const note = () => document.querySelectorAll('[role=treeitem][data-id]').forEach(item => {
    const labels = seen[item.dataset.id] ??= [], label = item.getAttribute('aria-label');
    if (labels.at(-1) !== label) labels.push(label);
  });
  window.observer?.disconnect();
  window.observer = new MutationObserver(note);
  window.observer.observe(document.body, {subtree: true, childList: true, attributeFilter: ['aria-label', 'data-id']});
}"""


class Lab:
    """A running server of JupyterLab (or of Notebook 7: `app="notebook"`) in `folder`; its notebooks are in `folder/notebooks`."""

    def __init__(self, folder: Path, app: str = "jupyterlab") -> None:
        self.folder, self.notebooks, self.app = folder, folder / "notebooks", app
        self.notebooks.mkdir(parents=True, exist_ok=True)
        for name, values in SETTINGS.items():
            self.set_setting(name, values)
        # The option of Notebook 7 by which the page may drive it is lost on its way to the page; what stands here is not.
        page_config = folder / "config" / "labconfig" / "page_config.json"
        page_config.parent.mkdir(parents=True, exist_ok=True)
        page_config.write_text(json.dumps({"exposeAppInBrowser": "true"}))
        kernel = folder / "data" / "kernels" / "python3"
        kernel.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": command, "display_name": "Python 3", "language": "python"}
        (kernel / "kernel.json").write_text(json.dumps(spec))
        self.port = free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        self.log = (folder / "server.log").open("w")
        options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={self.port}", "--ServerApp.port_retries=0"]
        options += ["--IdentityProvider.token=", "--ServerApp.password=", f"--{APPS[app]}.extension_manager=readonly"]
        options += [f"--{APPS[app]}.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
        options += [f"--ServerApp.root_dir={self.notebooks}"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", app, *options], env=self._environment(), stdout=self.log, stderr=self.log, cwd=folder
        )
        self._wait_until_up()

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "RESONATE"))}
        folders = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime"}
        folders["IPYTHONDIR"] = "ipython"
        own = {name: str(self.folder / folder) for name, folder in folders.items()}
        path = os.pathsep.join(filter(None, [str(CHECKOUT), kept.get("PYTHONPATH")]))
        return {**kept, **own, "JUPYTER_PREFER_ENV_PATH": "0", "PYTHONPATH": path}

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while self.process.poll() is None and time.monotonic() < deadline:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request("GET", "/api/status")
                if connection.getresponse().status == http.HTTPStatus.OK:
                    return
            except OSError:
                time.sleep(0.1)
            finally:
                connection.close()
        self.stop()
        raise RuntimeError(f"{self.app} did not start:\n{(self.folder / 'server.log').read_text()[-2000:]}")

    def address(self, name: str) -> str:
        """The page of one notebook."""
        return f"{self.origin}/lab/tree/{name}?reset" if self.app == "jupyterlab" else f"{self.origin}/notebooks/{name}"

    def stop(self) -> None:
        """End the server, and with it its kernels."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def set_setting(self, name: str, values: dict[str, Any]) -> None:
        """Set a plugin's settings, such as `@jupyterlab/apputils-extension/themes`, for pages that are opened from now on."""
        path = self.folder / "config" / "lab" / "user-settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))

    def write(self, name: str, *sources: str) -> None:
        """Write a notebook of code cells."""
        cells = [
            {"cell_type": "code", "id": f"cell-{index}", "metadata": {}, "source": source, "outputs": [], "execution_count": None}
            for index, source in enumerate(sources)
        ]
        spec = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        (self.notebooks / name).write_text(json.dumps({"cells": cells, "metadata": spec, "nbformat": 4, "nbformat_minor": 5}))

    def read(self, name: str) -> list[dict[str, Any]]:
        """The cells of a notebook as they are on disk."""
        cells: list[dict[str, Any]] = json.loads((self.notebooks / name).read_text())["cells"]
        return cells


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Notebook:
    """One page of JupyterLab with one notebook. It notes whatever asks another origin, and every error of the page."""

    def __init__(self, lab: Lab, page: Page, name: str, *, fresh: bool = False, height: int = 900) -> None:
        self.lab, self.page, self.name, self.complaints = lab, page, name, list[str]()
        self.restarted = False
        page.set_default_timeout(20_000)
        page.set_viewport_size({"width": 1200, "height": height})
        for event, listener in self._listeners():
            page.on(event, listener)
        # A page of JupyterLab that is open already saves the time to load it; one of Notebook 7 has one notebook.
        if fresh or lab.app == "notebook" or not page.url.startswith(lab.origin):
            page.goto(lab.address(name))
        else:
            page.evaluate("path => { jupyterapp.commands.execute('docmanager:open', {path, factory: 'Notebook'}); }", name)
        self.wait_until_idle()
        page.evaluate(REMEMBER)

    def _listeners(self) -> list[tuple[Any, Any]]:
        asks = [(event, self._note_request) for event in ("request", "websocket")]
        return [*asks, ("pageerror", self._note_error), ("console", self._note_console)]

    def _note_request(self, request: Request | WebSocket) -> None:
        url = request.url.replace("ws://", "http://")
        if not url.startswith((f"{self.lab.origin}/", f"blob:{self.lab.origin}/", "data:")):
            self.complaints.append(f"asked {url}")

    def _note_error(self, error: Error) -> None:
        of_host = (self.lab.app == "notebook" and OF_NOTEBOOK_ITSELF in error.message) or (self.restarted and OF_A_RESTART in error.message)
        if of_host:
            return
        self.complaints.append(f"error: {error}")

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def wait_until_idle(self) -> None:
        """Wait until the kernel stands ready."""
        self.page.wait_for_function(IS_READY, arg=self.name)

    def restart_kernel(self) -> None:
        """Restart the kernel and go on at once."""
        self.restarted = True
        self.page.evaluate("() => { jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart() }")

    def reload(self) -> None:
        """Load the page again; what has been saved is shown."""
        self.page.reload()
        self.page.evaluate(REMEMBER)

    def close(self) -> None:
        """End the kernel and close the notebook; the page stays."""
        self.page.evaluate(CLOSE)
        for event, listener in self._listeners():
            self.page.remove_listener(event, listener)

    def run(self, *cells: int) -> None:
        """Run cells one after the other, each once the one before it has ended, however it ended."""
        for cell in cells:
            self.start(cell)
            self.wait_for_end(cell)

    def start(self, cell: int) -> None:
        """Run a cell and go on at once."""
        self.page.evaluate(
            """cell => {
              const { content } = jupyterapp.shell.currentWidget;
              content.activeCellIndex = cell; content.mode = 'command';
              window.ended ??= {}; window.ended[cell] = false;
              jupyterapp.commands.execute('notebook:run-cell').finally(() => { window.ended[cell] = true; });
            }""",
            cell,
        )

    def wait_for_end(self, cell: int, timeout_ms: int = 20_000) -> None:
        self.page.wait_for_function("cell => window.ended[cell]", arg=cell, timeout=timeout_ms)

    def save(self) -> None:
        self.page.evaluate("() => jupyterapp.commands.execute('docmanager:save')")
        self.page.wait_for_function("() => !jupyterapp.shell.currentWidget.context.model.dirty")

    # ---- what is seen --------------------------------------------------------------------------------------------------------

    def output(self, cell: int) -> Locator:
        """All that a cell has put out."""
        return self.page.locator(f".jp-Notebook .jp-Cell[data-windowed-list-index='{cell}'] .jp-Cell-outputWrapper")

    def graph(self, cell: int) -> Locator:
        """The live graph in a cell's output."""
        return self.output(cell).locator("section.rg")

    def item(self, cell: int, id: str) -> Locator:
        """A call in that graph."""
        return self.graph(cell).locator(f'[role=treeitem][data-id="{id}"]')

    def labels(self, cell: int) -> list[str]:
        """What the calls of a graph say of themselves."""
        items = self.graph(cell).locator("[role=treeitem]")
        return list(items.evaluate_all("items => items.map(item => item.getAttribute('aria-label')).sort()"))

    def seen(self, id: str) -> list[str]:
        """Every label that the call has had in the page, in order."""
        return list(self.page.evaluate("id => window.seen[id] ?? []", id))

    def expect_state(self, cell: int, word: str, timeout_ms: int = 15_000) -> None:
        """Wait until the run's own word is `word`."""
        expect(self.graph(cell).locator(".rg-head .rg-pill").first).to_have_text(word, timeout=timeout_ms)

    def answer(self, cell: int, id: str, value: str) -> Locator:
        """Press Resolve… at a call that waits, type the value and press Resolve; the form's answer is returned."""
        self.item(cell, id).get_by_role("button", name="Resolve…").click()
        panel = self.graph(cell).get_by_role("complementary", name="details")
        panel.get_by_role("textbox").fill(value)
        panel.get_by_role("button", name="Resolve", exact=True).click()
        return panel.locator(".rg-answer")
