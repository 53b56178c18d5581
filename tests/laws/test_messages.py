"""Laws of messages: what they hold, which promises send one, and to whom an address leads."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from benches import DEFAULT, SETTLES, Bench, Inbox, refusal

INVOKE = "resonate:invoke"


def test_the_shape_of_task_messages(bench: Bench) -> None:
    """An invoke and a resume name their task: id, counter, timeout, run and time of birth, and nobody else's."""
    bench.create("r", timeout := bench.now + 50_000, tags={INVOKE: DEFAULT})
    (invoke,) = bench.messages()
    assert invoke["type"] == "invoke"
    assert invoke["task"] == {
        "id": "__invoke:r", "counter": 1, "timeout": timeout, "rootPromiseId": "r", "createdOn": bench.about(bench.now),
    }  # fmt: skip
    bench.create("leaf")
    bench.promises.callback("leaf", "r", DEFAULT, timeout - 1)
    bench.tasks.claim("__invoke:r", 1, "w1", 20_000)
    bench.tasks.complete("__invoke:r", 1)
    bench.advance(1000)
    bench.promises.resolve("leaf")
    (resume,) = bench.messages()
    assert resume["type"] == "resume"
    assert resume["task"] == {
        "id": "__resume:r:leaf", "counter": 1, "timeout": timeout - 1, "rootPromiseId": "r", "createdOn": bench.about(bench.now),
    }  # fmt: skip
    json.dumps([invoke, resume])


@pytest.mark.parametrize("settled", [*SETTLES, "REJECTED_TIMEDOUT"])
def test_the_shape_of_notices(bench: Bench, settled: str) -> None:
    """A notice holds the completed promise as the server shows it: data in base64, what is absent left out."""
    expected: dict[str, Any] = {
        "id": "p", "state": settled, "timeout": bench.now + 5000, "createdOn": bench.about(bench.now), "tags": {"t": "1"},
        "idempotencyKeyForCreate": "k", "param": {"headers": {"h": "1"}, "data": base64.b64encode("[é]".encode()).decode()},
    }  # fmt: skip
    bench.create("p", bench.now + 5000, ikey="k", headers={"h": "1"}, data="[é]", tags={"t": "1"})
    bench.create("bare")
    for name in ("p", "bare"):
        bench.promises.subscribe("s", name, DEFAULT, bench.far)
    if settled == "REJECTED_TIMEDOUT":
        expected |= {"value": {}, "completedOn": bench.now + 5000}
        bench.advance(5000)
    else:
        bench.advance(100)
        getattr(bench.promises, SETTLES[settled])("p", ikey="K", headers={"v": "1"}, data="[1]")
        value = {"headers": {"v": "1"}, "data": base64.b64encode(b"[1]").decode()}
        expected |= {"value": value, "completedOn": bench.about(bench.now), "idempotencyKeyForComplete": "K"}
    (notice,) = bench.messages()
    assert (notice["type"], notice["promise"]) == ("notify", expected)
    bench.promises.resolve("bare")
    (notice,) = bench.messages()
    assert set(notice["promise"]) == {"id", "state", "timeout", "param", "value", "createdOn", "completedOn"}
    assert (notice["promise"]["param"], notice["promise"]["value"]) == ({}, {})


PHYSICAL = '{"type": "poll", "data": {"cast": "any", "group": "default"}}'


@pytest.mark.parametrize(("tags", "routed"), [
    ({}, False), ({INVOKE: DEFAULT}, True), ({INVOKE: "default"}, True), ({INVOKE: ""}, True), ({INVOKE: "nowhere"}, True),
    ({INVOKE: "ftp://nowhere/w1"}, True), ({INVOKE: "[no address"}, True), ({INVOKE: PHYSICAL}, True), ({INVOKE: "7"}, False),
    ({INVOKE: "{}"}, False), ({INVOKE: "null"}, False), ({INVOKE: "true"}, False), ({INVOKE: '"default"'}, False),
    ({INVOKE: '["default"]'}, False), ({INVOKE: '{"type": "poll"}'}, False), ({INVOKE: '{"data": {}}'}, False),
    ({INVOKE.upper(): DEFAULT}, False), ({"resonate:root": "r", "resonate:scope": "global"}, False),
], ids=str)  # fmt: skip
def test_which_promises_have_a_task(bench: Bench, tags: dict[str, str], routed: bool) -> None:
    """The tag `resonate:invoke` makes a task, even an empty one; JSON makes one only when it is an address."""
    bench.create("r", tags=tags)
    if not routed:
        assert bench.messages() == []
    assert refusal(bench.tasks.claim, "__invoke:r", 1, "w1", 1000) == (None if routed else 40403)


ALPHA_1, ALPHA_2, ODD = ("alpha", "1"), ("alpha", "2"), ("my group", "w/ä")


def physical(**data: str) -> str:
    return json.dumps({"type": "poll", "data": data})


# The address, who is listening beside the bench, and which of them may get the message; nobody means that it waits.
ADDRESSES: list[tuple[str, list[tuple[str, str]], list[tuple[str, str]]]] = [
    ("poll://any@alpha", [ALPHA_1, ALPHA_2], [ALPHA_1, ALPHA_2]),
    ("poll://alpha", [ALPHA_1, ODD], [ALPHA_1]),
    ("poll://any@alpha/1", [ALPHA_2, ALPHA_1], [ALPHA_1]),
    ("poll://any@alpha/2", [ALPHA_1, ALPHA_2], [ALPHA_2]),
    ("poll://any@alpha/gone", [ALPHA_1, ODD], [ALPHA_1]),
    ("poll://alpha/2", [ALPHA_1, ALPHA_2], [ALPHA_2]),
    ("poll://uni@alpha/2", [ALPHA_1, ALPHA_2], [ALPHA_2]),
    ("poll://uni@alpha/gone", [ALPHA_1, ALPHA_2], []),
    ("poll://any@beta", [ALPHA_1, ALPHA_2], []),
    ("poll://any@Alpha", [ALPHA_1, ODD], []),
    ("poll://uni@my%20group/w%2F%C3%A4", [ODD, ALPHA_1], [ODD]),
    ("default", [ALPHA_1, ("default", "2")], [("default", "2"), ("default", "bench")]),
    (physical(cast="uni", group="alpha", id="2"), [ALPHA_1, ALPHA_2], [ALPHA_2]),
    (physical(cast="any", group="alpha"), [ODD, ALPHA_1], [ALPHA_1]),
    (physical(cast="uni", group="alpha", id="gone"), [ALPHA_1], []),
    ("poll://all@alpha/1", [ALPHA_1], []),
    ("ftp://any@alpha/1", [ALPHA_1], []),
    ("nowhere", [ALPHA_1], []),
    ("", [ALPHA_1], []),
    ("[", [ALPHA_1], []),
    ("poll://[", [ALPHA_1], []),
]


# Only as the value of a tag may an address be empty, or JSON (a callback's is an object then, which the faces do not offer).
KINDS = ("invoke", "resume", "notify")
ADDRESSED = [(kind, *each) for each in ADDRESSES for kind in KINDS if kind == "invoke" or each[0][:1] not in ("", "{")]


@pytest.mark.parametrize(("kind", "address", "listening", "allowed"), ADDRESSED, ids=[f"{each[0]} to {each[1]}" for each in ADDRESSED])
def test_where_an_address_leads(
    bench: Bench, kind: str, address: str, listening: list[tuple[str, str]], allowed: list[tuple[str, str]]
) -> None:
    """Each form of an address reaches whom it names, once; what reaches nobody waits and hurts nobody."""
    inboxes: dict[tuple[str, str], Inbox | None] = {("default", "bench"): None} | {each: bench.connect(*each) for each in listening}
    if kind == "invoke":
        bench.create("r", tags={INVOKE: address})
    else:
        bench.create("p")
        if kind == "resume":
            root = bench.claimed("r")
            bench.promises.callback("p", "r", address, bench.far)
            bench.tasks.complete(root["id"], 1)
        else:
            bench.promises.subscribe("s", "p", address, bench.far)
        bench.promises.resolve("p")
    got = [each for each, inbox in inboxes.items() for _ in bench.messages(inbox)]
    assert len(got) == min(len(allowed), 1)
    assert set(got) <= set(allowed)
    task = {"invoke": "__invoke:r", "resume": "__resume:r:p"}.get(kind)
    if task is not None:
        bench.tasks.claim(task, 1, "w1", 1000)


def test_the_last_of_the_same_name_gets_the_messages(bench: Bench) -> None:
    """A second source with the group and id of another takes its place."""
    first, second = bench.connect("alpha", "1"), bench.connect("alpha", "1")
    bench.create("r", tags={INVOKE: "poll://uni@alpha/1"})
    assert [len(bench.messages(each)) for each in (first, second)] == [0, 1]


def test_a_resume_falls_back_to_the_group(bench: Bench) -> None:
    """A resume for a process that has gone is sent to another of its group; to that process itself it waits until it is back."""
    first, second = bench.connect("alpha", "1"), bench.connect("alpha", "2")
    root = bench.claimed("r")
    for name, recv in (("p", first.anycast), ("q", first.unicast)):
        bench.create(name)
        bench.promises.callback(name, "r", recv, bench.far)
    bench.tasks.complete(root["id"], 1)
    bench.disconnect(first)
    bench.promises.resolve("p")
    (message,) = bench.messages(second)
    bench.tasks.claim(message["task"]["id"], 1, "w2", 1000)
    bench.tasks.complete(message["task"]["id"], 1)
    bench.promises.resolve("q")
    assert [bench.messages(each) for each in (first, second, None)] == [[], [], []]
    bench.reconnect(first)
    bench.advance(15_000)
    assert [message["task"]["counter"] for message in bench.messages(first)] == [1]
