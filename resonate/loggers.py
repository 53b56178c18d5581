"""What durable functions say, and what is said about them: lines that begin with the run and the execution they belong to.

All of it goes to one logger, `resonate.functions`, which writes to standard error unless it was given another handler first. The level is
the client's, so two clients in one process may differ.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

FUNCTIONS = logging.getLogger("resonate.functions")
FUNCTIONS.setLevel(1)  # each client's own level decides
_FORMAT = "[%(asctime)s] [%(levelname)s] [%(cid)s] [%(id)s] %(message)s"


class _StandardError(logging.StreamHandler[Any]):
    """Writes to whatever `sys.stderr` is at that moment: a notebook's cell, a test's buffer."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class ContextLogger(logging.LoggerAdapter[logging.Logger]):
    """The logger of one execution: `log`, `debug`, `info`, `warning`, `error`, `critical` as of the standard library.

    >>> logger = ContextLogger("order-7", "order-7.3", logging.INFO)
    >>> logger.isEnabledFor(logging.DEBUG)
    False
    """

    def __init__(self, cid: str, id: str, level: int = logging.NOTSET) -> None:
        super().__init__(functions_logger(), {"cid": cid, "id": id})
        self._level = level

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 (the standard library's name)
        """Whether the client's log level lets this level through."""
        return is_enabled(self._level, level)

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        """Join the run's and the execution's id to what the caller gave as `extra`."""
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **(self.extra or {})}
        return msg, kwargs


def is_enabled(threshold: int, level: int) -> bool:
    """Whether a client with this log level says something of that level; NOTSET leaves it to the logger `resonate`."""
    return level >= (threshold or logging.getLogger("resonate").getEffectiveLevel())


def functions_logger() -> logging.Logger:
    """The one logger behind all of them, with its handler."""
    if not FUNCTIONS.handlers:
        handler = _StandardError()
        handler.setFormatter(logging.Formatter(_FORMAT, "%Y-%m-%d %H:%M:%S"))
        FUNCTIONS.addHandler(handler)
        FUNCTIONS.propagate = False
    return FUNCTIONS
