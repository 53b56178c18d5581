"""Ids on their way: each addresses itself and only itself, through a real socket and either protocol."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from resonate import Resonate
from resonate.errors import ResonateStoreError
from tests.laws.hostile import IDS
from tests.remote.conftest import Made
from tests.remote.programs import register

FAR = 4_102_444_800_000
REFUSED = {"legacy": ("empty",), "current": ("empty", "NUL", "only NUL")}
"""Ids that a protocol has no place for."""


@pytest.fixture
def ours(client: Made) -> Resonate:
    return client()


def test_every_id_addresses_itself_alone(ours: Resonate, protocol: str, fresh: str) -> None:
    """Each is created, read, settled and found with what is its own, though all of them are there; what cannot be is refused, and said."""
    kept: dict[str, str] = {}
    refused: dict[str, str] = {}
    for name, text in IDS.items():
        each = text and f"{text}{fresh}{text}"
        mark = uuid.uuid4().hex
        try:
            assert ours.promises.create(each, FAR, data=f'"{mark}"', ikey=f"key of {name}").id == each
        except (ResonateStoreError, ValueError) as error:
            refused[name] = str(error)
        else:
            kept[each] = f'"{mark}"'
    assert sorted(refused) == sorted(REFUSED[protocol])
    assert all("id" in why for why in refused.values())
    for each, data in kept.items():
        there = ours.promises.get(each)
        assert (there.id, there.param.data) == (each, data)
        assert ours.promises.resolve(each, data=data).value.data == data
    for each, data in kept.items():
        there = ours.promises.get(each)
        assert (there.id, there.state, there.param.data, there.value.data) == (each, "RESOLVED", data, data)
    with pytest.raises((ResonateStoreError, ValueError)):
        ours.promises.get("")


HOW_KEYS_LOOK = ("", "a b", " a ", "ä", "emoji 😀", "a\nb", "a\r\nInjected: yes", "a\x00b", "x" * 4096, "שלום", "%0A", '"')


@pytest.mark.parametrize("key", HOW_KEYS_LOOK, ids=lambda key: ascii(key)[:20])
def test_any_text_may_be_a_key(ours: Resonate, protocol: str, fresh: str, key: str) -> None:
    """A key of idempotency comes back as it was given, and never becomes a header of its own."""
    there = ours.promises.create(fresh, FAR, ikey=key)
    again = ours.promises.create(fresh, FAR, ikey=key)
    assert again.id == fresh
    if protocol == "legacy":  # the other one has none
        assert there.ikey_for_create == again.ikey_for_create == key


@pytest.mark.parametrize("name", [name for name in IDS if name not in REFUSED["current"]])
def test_any_id_may_be_a_runs(ours: Resonate, name: str, fresh: str, protocol: str) -> None:
    """A run under any id does its steps and ends, with the key that it gets by itself."""
    register(ours)
    result: Any = ours.begin_run(f"{IDS[name]}{fresh}{IDS[name]}", "sequence", 1).result(10)
    assert result == ["s0"]
