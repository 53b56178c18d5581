"""The import path of `Handle` in 0.6.7."""

from resonate.handle import Handle

__all__ = ["Handle"]
