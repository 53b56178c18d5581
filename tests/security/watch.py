"""Reads stored values under an audit hook, which sees whatever reading them makes the interpreter do."""

from __future__ import annotations

import sys
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
_seen: list[str] | None = None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is not None and event in EVENTS:
        _seen.append(event)


sys.addaudithook(_audit)


def watched(do: Callable[[], Any]) -> tuple[Any, list[str]]:
    """(what came of it: a value or ValueError; what the interpreter and the traps did meanwhile)."""
    global _seen  # noqa: PLW0603 (audit hooks cannot be removed, so there is one)
    payloads.ran.clear()
    _seen = []
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
