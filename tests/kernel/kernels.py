"""Real kernels, for tests that need more than one, or kill them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.manager import start_new_kernel


@contextmanager
def kernel(folder: Path) -> Iterator[Any]:
    """A kernel in a folder, as a function that runs a cell and gives all that it said; its `manager` is the kernel's."""
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(folder))

    def run(source: str) -> str:
        said: list[str] = []

        def hear(message: Any) -> None:
            content = message["content"]
            said.append(content.get("text") or content.get("data", {}).get("text/plain", "") or "\n".join(content.get("traceback", ())))

        client.execute_interactive(source, timeout=60, allow_stdin=False, output_hook=hear)
        return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(said))

    run.manager = manager  # type: ignore[attr-defined]
    try:
        yield run
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
