"""The import path of the types `Context` and `Info` in 0.6.7."""

from resonate.context import Context, Info

__all__ = ["Context", "Info"]
