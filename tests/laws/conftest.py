"""Every law is tried on every store; one that a store cannot keep by design is skipped with the store's own reason."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from benches import FEATURES, FENCED_STORES, STORES, Bench


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(feature): the law asks for a feature of `benches.FEATURES` that not every store has")


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
