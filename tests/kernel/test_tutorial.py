"""The tutorials, run in a kernel: the first against the same question answered without the SDK, all against what is saved in them."""

from __future__ import annotations

import ast
import csv
import re
from collections import Counter
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "01-first-run.ipynb"
FACTOR = 1.04


@pytest.fixture(scope="module")
def executed() -> Any:
    pytest.importorskip("vega_datasets", reason="the tutorial's data set is not installed")
    notebook = nbformat.read(NOTEBOOK, 4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    return notebook


def outputs(notebook: Any, source_part: str) -> list[Any]:
    return next(cell.outputs for cell in notebook.cells if cell.cell_type == "code" and source_part in cell.source)


def test_the_report_is_what_a_plain_computation_says(executed: Any) -> None:
    from vega_datasets import data

    rain: Counter[str] = Counter()
    with open(data.seattle_weather.filepath) as file:
        days = [row for row in csv.DictReader(file) if row["date"].startswith("2015/")]
    for day in days:
        rain[day["date"][:7]] += float(day["precipitation"])

    shown = next(output for output in outputs(executed, "report = %resonate") if output.output_type == "execute_result")
    report = ast.literal_eval(shown.data["text/plain"])
    assert report["rain_mm"] == pytest.approx(FACTOR * sum(rain.values()), abs=0.05)
    assert report["wettest"] == max(rain, key=lambda month: rain[month])
    assert report["days"] == len(days) == 365
    assert report["approved"] is True


def test_the_finished_picture_is_saved_with_the_notebook_and_needs_no_kernel(executed: Any) -> None:
    picture = next(output for output in outputs(executed, "report = %resonate") if "image/svg+xml" in output.get("data", {}))
    svg = picture.data["image/svg+xml"]
    assert "read_month" in svg
    assert "resolved" in svg
    assert not re.search(r"(?:href|src)\s*=\s*[\"'](?!#)", svg)


def test_the_step_that_fails_at_first_is_seen_to_be_retried(executed: Any) -> None:
    picture = next(output for output in outputs(executed, "report = %resonate") if "image/svg+xml" in output.get("data", {}))
    assert "after 2 attempts" in picture.data["text/plain"]


@pytest.mark.parametrize("name", [path.name for path in sorted(NOTEBOOK.parent.glob("*.ipynb")) if path != NOTEBOOK])
def test_each_other_tutorial_says_again_what_is_saved_in_it(name: str) -> None:
    """They are executed, not only read: what a run does differently from one execution to the next would be seen by a reader too."""
    pytest.importorskip("vega_datasets", reason="the tutorials' data sets are not installed")
    notebook = nbformat.read(NOTEBOOK.with_name(name), 4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    compare(name, notebook)
    assert "<svg" in str([cell.outputs for cell in notebook.cells if cell.cell_type == "code"])


def test_what_is_saved_is_what_an_execution_gives(executed: Any) -> None:
    """The notebook in the repository carries its outputs, so that a reader without a kernel sees them."""
    compare(NOTEBOOK.name, executed)


def compare(name: str, executed: Any) -> None:
    """Holds an execution against what is saved, but for cells that show times."""
    for saved, fresh in zip(nbformat.read(NOTEBOOK.with_name(name), 4).cells, executed.cells, strict=True):
        if saved.cell_type == "code" and "# NBVAL_IGNORE_OUTPUT" not in saved.source:
            assert printed(saved) == printed(fresh)
            assert shown(saved) == shown(fresh)


def printed(cell: Any) -> str:
    """What a cell has printed; into how many messages a kernel divides that is its own affair."""
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def shown(cell: Any) -> list[Any]:
    """What a cell has displayed."""
    return [output.data for output in cell.outputs if output.output_type != "stream"]
