"""Notebooks as they are saved, and as nbconvert makes pages of them: foreign text stays text, and no secret is in the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
from lab import CHECKOUT
from playwright.sync_api import Browser
from saved import EXPORT, FUNCTIONS, GIVEN, HOSTILE, LOAD, LOOK, SHOW, complaints_about, leaks, page_of


def test_a_notebook_that_nobody_watched_holds_no_secret_and_its_page_shows_payloads_as_text(tmp_path: Path, browser: Browser) -> None:
    """Executed and saved by nbconvert: hostile names, ids, arguments, values, errors, logs and tags are text; secrets are nowhere."""
    (tmp_path / "given.json").write_text(json.dumps(GIVEN))
    cells = [nbformat.v4.new_code_cell(source) for source in (LOAD, FUNCTIONS, *SHOW, *LOOK, *HOSTILE, EXPORT)]
    notebook = tmp_path / "hostile.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), notebook)
    command = [sys.executable, "-m", "nbconvert", "--to=notebook", "--inplace", "--execute", "--allow-errors", str(notebook)]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run([*command, "--ExecutePreprocessor.timeout=30"], cwd=tmp_path, env=environment, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    kept = {path.name: leaks(path.read_bytes()) for path in tmp_path.iterdir() if path.name != "given.json"}
    assert {"demo.svg", "demo.html", "demo.json", "demo.mmd", "demo.dot", "worker.py"} <= kept.keys()
    assert [name for name, found in kept.items() if found] == []
    text = page_of(notebook)
    assert "window.__xss=1" in text  # what is looked for is there, as text
    assert complaints_about(browser, text) == []
