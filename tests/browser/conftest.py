"""What tests in a real browser share: the checkout served on this machine, and one Chromium for all tests."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fronts import Front, open_front
from lab import Lab, Notebook
from playwright.sync_api import Browser, Page, sync_playwright

from resonate_notebook.page import script

CHECKOUT = Path(__file__).resolve().parents[2]
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]


class SilentHandler(http.server.SimpleHTTPRequestHandler):
    """Serves the checkout, and under `/front-end.js` the scripts joined to one, as a page gets them from the widget."""

    def do_GET(self) -> None:
        if self.path != "/front-end.js":
            return super().do_GET()
        body = script().encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the test's own output is what counts."""


@pytest.fixture(scope="session")
def origin() -> Iterator[str]:
    """The address under which the checkout is served, such as `http://127.0.0.1:40123`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(SilentHandler, directory=str(CHECKOUT)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def browser(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab server for the tests of one file."""
    pytest.importorskip("jupyterlab")
    server = Lab(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """One page for the tests of one file, because JupyterLab takes seconds to load."""
    page = browser.new_page()
    yield page
    page.close()


@pytest.fixture
def open_notebook(lab: Lab, page: Page) -> Iterator[Callable[..., Notebook]]:
    """Opens a notebook of the lab by name. A page that asked another origin, or met an error, has failed the test."""
    opened: list[Notebook] = []

    def open_one(name: str, **options: int) -> Notebook:
        opened.append(Notebook(lab, page, name, **options))
        return opened[-1]

    yield open_one
    for notebook in opened:
        notebook.close()
    assert [complaint for notebook in opened for complaint in notebook.complaints] == []


@pytest.fixture
def front(browser: Browser, origin: str) -> Iterator[Front]:
    """A page with a view of a run; it has nothing to complain of in the end."""
    made = open_front(browser, origin)
    yield made
    made.page.close()
    assert made.complaints == []
