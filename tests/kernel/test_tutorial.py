"""The tutorials: the first run in a kernel, and what is saved in them against the same questions answered without the SDK."""

from __future__ import annotations

import ast
import csv
import math
import re
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOK = NOTEBOOKS / "01-first-run.ipynb"
OF_ONE_EXECUTION = re.compile(r"127\.0\.0\.1:\d|/(?:tmp|home|root|Users)/|\b\d{10}\b|0x[0-9a-f]{8}")
"""A port, a folder, a time or an address of the machine on which a notebook was executed."""
FACTOR = 1.04


@pytest.fixture(scope="module")
def executed() -> Any:
    pytest.importorskip("vega_datasets", reason="the tutorial's data set is not installed")
    notebook = nbformat.read(NOTEBOOK, 4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    return notebook


def outputs(notebook: Any, source_part: str) -> list[Any]:
    return next(cell.outputs for cell in notebook.cells if cell.cell_type == "code" and source_part in cell.source)


def saved(name: str, source_part: str) -> list[str]:
    """What a cell of a notebook in the repository says as text, output by output."""
    found = outputs(nbformat.read(NOTEBOOKS / name, 4), source_part)
    return [output.get("text") or output.data["text/plain"] for output in found]


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


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_saved_page_tells_nothing_of_the_execution_that_made_it_and_leads_on(path: Path) -> None:
    """Its outputs are the same each time, its pictures load nothing, and its links to other tutorials lead to one."""
    notebook = nbformat.read(path, 4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            assert all((path.parent / link).exists() for link in re.findall(r"\]\(([^)]+\.ipynb)\)", cell.source))
        for output in cell.get("outputs", []):
            for text in (output.get("text", ""), *output.get("data", {}).values()):
                assert not OF_ONE_EXECUTION.search(str(text))
                assert not re.search(r"(?:href|src)\s*=\s*[\"'](?!#)", str(text))


def test_the_loneliest_airports_are_what_a_plain_computation_says() -> None:
    """By angles on the globe, where the tutorial goes by straight lines through it; both of its versions say the same."""
    vega = pytest.importorskip("vega_datasets")
    states: dict[str, list[tuple[str, float, float]]] = {}
    with open(vega.data.airports.filepath) as file:
        for row in csv.DictReader(file):
            place = row["city"], math.radians(float(row["latitude"])), math.radians(float(row["longitude"]))
            states.setdefault(row["state"], []).append(place)
    found: list[tuple[float, str]] = []
    for state, places in states.items():
        if len(places) >= 5 and state != "NA":
            nearest = ((min(angle(one, other) for other in places if other is not one), one[0]) for one in places)
            distance, city = max(nearest)
            found.append((distance, f"{city}, {state}: {distance * 6371:.0f} km"))
    expected = [line for _, line in sorted(found, reverse=True)[:5]]
    for version in ("%resonate wait lonely-1", "%resonate wait lonely-2"):
        assert ast.literal_eval(saved("03-where-did-the-time-go.ipynb", version)[-1]) == expected


def angle(one: tuple[str, float, float], other: tuple[str, float, float]) -> float:
    """Between two places, as seen from the middle of the globe."""
    (_, north, east), (_, other_north, other_east) = one, other
    part = math.sin((north - other_north) / 2) ** 2
    return 2 * math.asin(math.sqrt(part + math.cos(north) * math.cos(other_north) * math.sin((east - other_east) / 2) ** 2))


def test_the_months_of_a_worker_and_its_successor_are_what_a_plain_computation_says() -> None:
    """Twelve means, the first five by the worker that was killed, the others by the one that took over."""
    vega = pytest.importorskip("vega_datasets")
    hours: dict[str, list[float]] = {}
    with open(vega.data.sf_temps.filepath) as file:
        for row in csv.DictReader(file):
            hours.setdefault(row["date"][:7], []).append(float(row["temp"]))
    expected = [
        f"{month} {(statistics.fmean(hours[month]) - 32) / 1.8:5.1f} °C by {'Ann' if month < '2010/06' else 'Ben'}"
        for month in (f"2010/{number:02d}" for number in range(1, 13))
    ]
    assert "".join(saved("06-from-cell-to-worker.ipynb", "means = %resonate")[1:]).splitlines() == expected
