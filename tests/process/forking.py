"""Forks of a process that has a client."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any


def in_child(do: Callable[[], Any], meanwhile: Callable[[], Any] = lambda: None) -> str:
    """What `do` gives in a forked child, as text, while the parent does something else; the child ends there.

    No other thread of a test may use SQLite when it forks: the child would wait for ever for a lock that its memory says is held.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told = str(do())
        except BaseException as error:
            told = f"{type(error).__name__}: {error}"
        os.write(writer, told.encode()[:4000])
        os._exit(0)
    os.close(writer)
    meanwhile()
    with os.fdopen(reader, "rb") as stream:
        told = stream.read().decode()
    os.waitpid(child, 0)
    return told
