"""The name `resonate` may be somebody else's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_another_distributions_resonate_is_told_in_a_sentence(tmp_path: Path) -> None:
    """Where `import resonate` finds another distribution's package, the extension says whose place that is and what to install."""
    (tmp_path / "resonate").mkdir()
    (tmp_path / "resonate" / "__init__.py").write_text("class Resonate: ...\n")
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import resonate_notebook"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    said = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert said.startswith(f"ImportError: the package `resonate` at {tmp_path / 'resonate'} is another distribution's")
    assert "pip install --force-reinstall resonate-notebook" in said
