"""What every Python worker does alike, whatever its SDK: what it is started with, what it notes, and how it is told what to do.

    python PROGRAM GROUP PID LEDGER ARGUMENTS       ARGUMENTS: JSON, further arguments of its client

It is told what to do by lines of JSON and answers by lines of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

group, pid, _ledger, _further = sys.argv[1:]
further: dict[str, Any] = json.loads(_further)
attempts: dict[str, int] = {}


def note(text: str) -> None:
    """One line in the file that all workers share."""
    with Path(_ledger).open("a", encoding="utf-8") as file:
        file.write(f"{text} {pid}\n")


def attempt(key: str, failures: int) -> int:
    """Fails so many times in each process."""
    attempts[key] = attempts.get(key, 0) + 1
    if attempts[key] <= failures:
        raise RuntimeError(f"attempt {attempts[key]}")
    return attempts[key]


def listen(do: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Carry out each command of the standard input in a thread of its own and tell what came of it, until nobody tells anything more."""

    def answer(line: str) -> None:
        command = json.loads(line)
        print(json.dumps({"n": command["n"], **do(command)}), flush=True)

    print(json.dumps({"n": 0}), flush=True)
    for line in sys.stdin:
        threading.Thread(target=answer, args=(line,), daemon=True).start()
    os._exit(0)
