"""What `ctx.logger` offers."""

from typing import Any, Protocol


class Logger(Protocol):
    """The methods of a logger of the standard library that write."""

    def log(self, level: int, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Write a line of that level."""
        ...

    def debug(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Write a line of level DEBUG."""
        ...

    def info(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Write a line of level INFO."""
        ...

    def warning(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Write a line of level WARNING."""
        ...

    def error(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Write a line of level ERROR."""
        ...

    def critical(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Write a line of level CRITICAL."""
        ...
