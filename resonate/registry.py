"""The functions that a client knows by name and version."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import Any

from resonate.coroutine import plain_function

Entry = tuple[str, Callable[..., Any], int]


class Registry:
    """Functions by (name, version), and each function's own name and version.

    >>> registry = Registry()
    >>> def clean(ctx, day): ...
    >>> registry.add(clean)
    >>> registry.get("clean")[0::2]
    ('clean', 1)
    """

    def __init__(self) -> None:
        self._by_name: dict[str, dict[int, Entry]] = {}
        self._by_function: dict[Callable[..., Any], Entry] = {}
        self._lock = threading.Lock()
        self._watchers: list[Callable[[str], None]] = []

    def watch(self, added: Callable[[str], None]) -> None:
        """Call `added(name)` after each registration from now on."""
        self._watchers.append(added)

    def add(self, func: Callable[..., Any], name: str | None = None, version: int = 1) -> None:
        """Register a function. ValueError when it is no plain function, has no usable name, or is registered already."""
        entry = self._checked(func, name, version)
        with self._lock:
            if entry[2] in self._by_name.get(entry[0], ()) or entry[1] in self._by_function:
                raise ValueError(f"function {entry[0]} already registered")
            self._put(entry)
        self._tell(entry[0])

    def replace(self, func: Callable[..., Any], name: str | None = None, version: int = 1) -> Callable[..., Any] | None:
        """Register a function whether or not its name is taken; gives the function that stood there before, if any."""
        entry = self._checked(func, name, version)
        with self._lock:
            before = self._by_name.get(entry[0], {}).get(entry[2])
            if before is not None:
                self._by_function.pop(before[1], None)
            own = self._by_function.pop(entry[1], None)
            if own is not None and own[:1] + own[2:] != entry[:1] + entry[2:]:
                del self._by_name[own[0]][own[2]]
            self._put(entry)
        self._tell(entry[0])
        return None if before is None else before[1]

    def get(self, func: str | Callable[..., Any], version: int = 0) -> Entry:
        """(name, function, version) of a name or function; version 0 is the highest. ValueError when there is none."""
        if isinstance(func, str):
            versions = self._by_name.get(func)
            if not versions:
                raise ValueError(f"function {func} not found in registry")
            found = versions.get(version or max(versions))
        else:
            found = self._by_function.get(plain_function(func))
            if found is None:
                raise ValueError(f"function {getattr(func, '__name__', func)} not found in registry")
            if version not in (0, found[2]):
                found = None
        if found is None:
            raise ValueError(f"function {func if isinstance(func, str) else func.__name__} version {version} not found in registry")
        return found

    def find(self, name: str) -> Callable[..., Any] | None:
        """The function of the highest version of a name, or None."""
        versions = self._by_name.get(name)
        return versions[max(versions)][1] if versions else None

    def latest(self, func: str | Callable[..., Any], default: int = 1) -> int:
        """The highest version of a name, the version of a function, or `default`."""
        if isinstance(func, str):
            return max(self._by_name.get(func, {}), default=default)
        found = self._by_function.get(plain_function(func))
        return found[2] if found else default

    def functions(self) -> list[tuple[str, int, Callable[..., Any]]]:
        """(name, version, function) of all that is registered, by name and version."""
        with self._lock:
            entries = [entry for versions in self._by_name.values() for entry in versions.values()]
        return sorted(((name, version, func) for name, func, version in entries), key=lambda each: each[:2])

    def _tell(self, name: str) -> None:
        for added in list(self._watchers):
            added(name)

    def _put(self, entry: Entry) -> None:
        self._by_name.setdefault(entry[0], {})[entry[2]] = entry
        self._by_function[entry[1]] = entry

    def _checked(self, func: Callable[..., Any], name: str | None, version: int) -> Entry:
        raw = plain_function(func)
        if not inspect.isfunction(raw):
            raise ValueError("provided callable must be a function")
        if not name and raw.__name__ == "<lambda>":
            raise ValueError("name required when registering a lambda function")
        if version <= 0:
            raise ValueError("provided version must be greater than zero")
        return name or raw.__name__, raw, version
