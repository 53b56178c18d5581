"""The first tutorial, run in a kernel, against the same question answered without the SDK."""

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


def test_what_is_saved_is_what_an_execution_gives(executed: Any) -> None:
    """The notebook in the repository carries its outputs, so that a reader without a kernel sees them."""
    for saved, fresh in zip(nbformat.read(NOTEBOOK, 4).cells, executed.cells, strict=True):
        if saved.cell_type == "code":
            assert [output.get("text") for output in saved.outputs] == [output.get("text") for output in fresh.outputs]
            assert [output.get("data") for output in saved.outputs] == [output.get("data") for output in fresh.outputs]
