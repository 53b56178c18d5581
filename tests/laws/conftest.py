"""Every law is tried on every store; one that a store cannot keep by design is skipped with the store's own reason."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import inexpressible
import pytest
from benches import FEATURES, FENCED_STORES, STORES, Bench


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(feature): the law asks for a feature of `benches.FEATURES` that not every store has")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what a wire has no words for, by the table that says why."""
    for item in items:
        case = getattr(item, "callspec", None)
        if item.path.parent != Path(__file__).parent or case is None or "bench" not in case.params:
            continue
        law = f"{item.path.stem}.{item.originalname}"  # type: ignore[attr-defined] # a function's item has it
        reason = inexpressible.reason(law, case.params)
        if reason is not None and os.environ.get("LAWS_TRY_ALL"):
            item.add_marker(pytest.mark.xfail(strict=True, reason=reason))
        elif reason is not None:
            item.add_marker(pytest.mark.skip(reason=f"{case.params['bench']}: {reason}"))


@pytest.fixture(params=STORES)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A fresh, empty store."""
    kind = STORES[request.param]
    for marker in request.node.iter_markers("needs"):
        (feature,) = marker.args
        assert feature in FEATURES, f"{feature} is no feature"
        if feature in kind.lacks:
            pytest.skip(f"{request.param}: {kind.lacks[feature]}")
    made = kind()
    yield made
    made.close()


@pytest.fixture(params=FENCED_STORES)
def fenced(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """A fresh, empty store that is asked for operations on fenced tasks."""
    made = FENCED_STORES[request.param]()
    yield made
    made.close()
