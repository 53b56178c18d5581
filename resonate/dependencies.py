"""Objects that durable functions share in one process: connections, models, clients."""

from __future__ import annotations

from typing import Any


class Dependencies:
    """Objects by name; set from outside, read with `ctx.get_dependency(name)`.

    >>> dependencies = Dependencies()
    >>> dependencies.add("db", "a connection")
    >>> dependencies.get("db")
    'a connection'
    """

    def __init__(self) -> None:
        self._objects: dict[str, Any] = {}

    def add(self, key: str, obj: Any) -> None:
        """Set or replace the object of that name. TypeError when the name is not text."""
        if not isinstance(key, str):
            raise TypeError(f"a dependency's name must be `str`, got {type(key).__name__}")
        self._objects[key] = obj

    def get(self, key: str, default: Any = None) -> Any:
        """The object of that name, or `default`."""
        if not isinstance(key, str):
            raise TypeError(f"a dependency's name must be `str`, got {type(key).__name__}")
        return self._objects.get(key, default)
