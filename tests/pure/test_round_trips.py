"""What goes through a client, a wire and a server comes back as it was, whatever it holds. `ROUND_TRIPS=50000` tries more."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resonate.protocol import (
    CreatePromise,
    CreateSchedule,
    GetPromise,
    Lineage,
    NotifyMessage,
    SettlePromise,
    TaskMessage,
)
from resonate.stores import LocalStore
from resonate.wire.current import message_to_wire

sys.path.insert(0, str(Path(__file__).parents[1] / "laws"))
from wires import Wire, current_wire, legacy_wire

COUNT = int(os.environ.get("ROUND_TRIPS", "150"))
WIRES = {"legacy": legacy_wire, "current": current_wire}
often = settings(max_examples=COUNT, deadline=None)

texts = st.text(st.characters(codec="utf-8"), max_size=12)
names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)
groups = st.text("abcXYZ019-_.", min_size=1, max_size=8)
headers = st.none() | st.dictionaries(texts, texts, min_size=1, max_size=2)
data = st.none() | st.binary(min_size=1, max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
values = st.tuples(headers, data)
own_tags = st.none() | st.dictionaries(texts.filter(lambda name: not name.startswith("resonate:")), texts, min_size=1, max_size=2)
kinds: Any = st.sampled_from(["run", "rpc", "detached", "promise", "sleep"])
lineages = st.none() | st.builds(Lineage, names, names, st.none() | names, kinds, texts, st.none() | texts)
outcomes: Any = st.sampled_from(["RESOLVED", "REJECTED", "REJECTED_CANCELED"])
FAR = 2**45


@st.composite
def creations(draw: st.DrawFn) -> CreatePromise:
    target = draw(st.none() | groups.map(lambda group: f"poll://any@{group}"))
    return CreatePromise(
        draw(names), FAR + draw(st.integers(0, 2**44)), draw(texts), False, draw(values), draw(own_tags), target, draw(st.booleans()),
        draw(lineages),
    )  # fmt: skip


def fresh(protocol: str) -> Wire:
    return WIRES[protocol](LocalStore())


KEPT = ("id", "timeout", "param", "tags", "target", "timer", "lineage")


@pytest.mark.parametrize("protocol", WIRES)
@given(create=creations(), state=outcomes, value=values, key=texts)
@often
def test_a_promise_comes_back_as_it_was(protocol: str, create: CreatePromise, state: Any, value: Any, key: str) -> None:
    """Everything that is said of a promise, and its settlement, is read as it was written."""
    wire = fresh(protocol)
    made = wire.ask(create)
    assert [getattr(made, name) for name in KEPT] == [getattr(create, name) for name in KEPT]
    settled = wire.ask(SettlePromise(create.id, state, value, key))
    assert [getattr(settled, name) for name in KEPT] == [getattr(create, name) for name in KEPT]
    assert (settled.state, settled.value) == (state, value)
    if protocol == "legacy":
        assert (settled.key_for_create, settled.key_for_complete) == (create.key, key)


@pytest.mark.parametrize("protocol", WIRES)
@given(schedule=st.builds(CreateSchedule, names, st.just("0 0 1 1 *"), names.filter(lambda text: "{{" not in text and "}}" not in text),
                          st.integers(0, 2**40), values, own_tags))  # fmt: skip
@often
def test_a_schedule_comes_back_as_it_was(protocol: str, schedule: CreateSchedule) -> None:
    """Everything that is said of a schedule and its promises is read as it was written."""
    made = fresh(protocol).ask(schedule)
    names = ("id", "cron", "promise_id", "promise_timeout", "promise_param")
    assert [getattr(made, name) for name in names] == [getattr(schedule, name) for name in names]
    assert made.promise_tags == (schedule.promise_tags or {})


@pytest.mark.parametrize("protocol", WIRES)
@given(name=names, counter=st.integers(0, 2**31), kind=st.sampled_from(["invoke", "resume"]))
@often
def test_a_message_of_work_comes_back_as_it_was(protocol: str, name: str, counter: int, kind: Any) -> None:
    """What a message of work names is what the server meant."""
    if protocol == "legacy":
        message = TaskMessage("x", kind, f"__{kind}:{name}", counter, name, FAR, 7, {"traceparent": name})
    else:
        message = TaskMessage("x", "execute", name, counter, name)
    heard = fresh(protocol).client.message(json.dumps(message_to_wire(message, "http://s")).encode(), "x")
    assert heard == message


@pytest.mark.parametrize("protocol", WIRES)
@given(create=creations(), state=outcomes, value=values)
@often
def test_news_come_back_as_they_were(protocol: str, create: CreatePromise, state: Any, value: Any) -> None:
    """A notice holds the promise as the server has it."""
    wire = fresh(protocol)
    wire.ask(create)
    settled = wire.ask(SettlePromise(create.id, state, value))
    (there,) = wire.store.call([GetPromise(create.id)])
    kind: Any = "notify" if protocol == "legacy" else "unblock"
    heard = wire.client.message(json.dumps(message_to_wire(NotifyMessage("x", there, kind))).encode(), "x")
    assert isinstance(heard, NotifyMessage)
    assert replace(heard.promise, number=0) == replace(settled, number=0)
