"""What every folder of tests shares: where the browser is, and what its absence means.

On a laptop without Chromium the browser tests are skipped and `make test` says so. Where REQUIRE_BROWSER=1, as in CI, a browser
test that is skipped for whatever reason has failed: a green run there means that the pictures were really looked at.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

type ReportHook[Report] = Generator[None, Report, Report]

BROWSER_TESTS = Path(__file__).parent / "browser"
BROWSER_NAMES = ("chromium", "chromium-browser", "google-chrome")


def browser_required() -> bool:
    return os.environ.get("REQUIRE_BROWSER") == "1"


def find_chromium() -> str | None:
    """The browser's path: CHROMIUM where it names a program, else the first known name on PATH or in /usr/bin."""
    for name in (os.environ.get("CHROMIUM"), *BROWSER_NAMES):
        path = name and (shutil.which(name) or shutil.which(name, path="/usr/bin"))
        if path:
            return path
    return None


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of the Chromium to drive; without one the test is skipped, or fails where REQUIRE_BROWSER=1."""
    path = find_chromium()
    if path is None:
        message = "no Chromium found (apt install chromium, or set CHROMIUM=/path/to/it)"
        if browser_required():
            pytest.fail(f"REQUIRE_BROWSER=1, but {message}")
        pytest.skip(message)
    return path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> ReportHook[pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and browser_required() and BROWSER_TESTS in item.path.parents:
        report.outcome = "failed"
        report.longrepr = f"skipped, but REQUIRE_BROWSER=1: {call.excinfo.value if call.excinfo else report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> ReportHook[pytest.CollectReport]:
    report = yield
    if report.skipped and browser_required() and BROWSER_TESTS in collector.path.parents:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} skipped as a whole, but REQUIRE_BROWSER=1: {report.longrepr}"
    return report
