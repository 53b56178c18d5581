"""Reads stored values under an audit hook, which sees whatever reading them makes the interpreter do."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import payloads

from resonate.encoders import DEFAULT

EVENTS = frozenset((
    "import", "exec", "compile", "open", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen",
    "socket.connect", "socket.__new__", "pty.spawn", "os.listdir", "os.scandir", "marshal.loads", "pickle.find_class",
    "object.__setattr__", "object.__delattr__", "ctypes.dlopen", "code.__new__", "function.__new__", "os.putenv",
    "os.remove", "os.rename", "shutil.rmtree", "sys.setprofile", "builtins.input", "glob.glob", "urllib.Request",
))  # fmt: skip
STARTS = frozenset(("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen", "pty.spawn", "ctypes.dlopen"))
"""What no thread of this process does while it reads values."""
_seen: list[str] | None = None
_watched_thread = 0


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is not None and event in (EVENTS if threading.get_ident() == _watched_thread else STARTS):
        _seen.append(event)


sys.addaudithook(_audit)


def watched(do: Callable[[], Any], *, elsewhere: bool = False) -> tuple[Any, list[str]]:
    """(what came of it: a value or ValueError; what the interpreter did meanwhile in this thread, and the traps).

    Where it is done `elsewhere`, by other threads, what starts a program is seen.
    """
    global _seen, _watched_thread
    payloads.ran.clear()
    _seen, _watched_thread = [], 0 if elsewhere else threading.get_ident()
    try:
        outcome = do()
    except ValueError as error:
        outcome = error
    finally:
        seen, _seen = _seen, None
    return outcome, seen + payloads.ran


def read_watched(headers: dict[str, str] | None, data: str | None) -> tuple[Any, list[str]]:
    """`watched` of reading one stored value."""
    return watched(lambda: DEFAULT.decode((headers, data)))
