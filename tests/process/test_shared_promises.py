"""A promise that several calls of one run wait for: each of them is told, whoever comes first, and shown with a link of its own."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from waiting import SOON, when

from resonate import Context, Resonate
from resonate.events import PromiseShared
from resonate_notebook.formats import render_dot, render_json, render_mermaid
from resonate_notebook.model import RunModel
from resonate_notebook.svg import render_svg


def asks(ctx: Context, day: int) -> Generator[Any, Any, Any]:
    answer = yield ctx.promise(id="gate")
    return day, (yield answer)


def days(ctx: Context) -> Generator[Any, Any, Any]:
    first, second, third = (yield ctx.begin_run(asks, 1)), (yield ctx.begin_run(asks, 2)), (yield ctx.begin_run(asks, 3))
    return [(yield first), (yield second), (yield third)]


def picture(client: Resonate, run_id: str, subscription: Any) -> RunModel:
    model = RunModel(run_id)
    for event in subscription.read():
        model.apply(event)
    return model


def test_each_call_that_waits_for_a_promise_is_told() -> None:
    """Three calls ask for one promise by its id: it has one parent and two others that share it, in the order in which they asked."""
    with Resonate(log_level="CRITICAL") as client:
        client.register(days)
        subscription = client.subscribe("run")
        handle = client.begin_run("run", days)
        when(lambda: client.promises.get(id="gate"))
        client.promises.resolve(id="gate", data="7")
        assert handle.result(SOON) == [(1, 7), (2, 7), (3, 7)]
        model = picture(client, "run", subscription)
    gate = model.node("gate")
    assert gate is not None
    assert gate.parent is not None
    assert [gate.parent.id, *(caller.id for caller in gate.shared_by)] == ["run.1", "run.2", "run.3"]


def test_a_promise_that_is_handed_on_is_shared() -> None:
    """A call that awaits a promise which its caller made, and passed to it, is told as one that waits for it."""

    def waits(ctx: Context, promise: Any) -> Generator[Any, Any, Any]:
        return (yield promise)

    def hands_on(ctx: Context) -> Generator[Any, Any, Any]:
        gate = yield ctx.promise(id="gate")
        return (yield ctx.run(waits, gate).options(durable=False))

    with Resonate(log_level="CRITICAL") as client:
        client.register(hands_on)
        client.register(waits)
        subscription = client.subscribe("run")
        handle = client.begin_run("run", hands_on)
        when(lambda: client.promises.get(id="gate"))
        client.promises.resolve(id="gate", data="7")
        assert handle.result(SOON) == 7
        shared = [event for event in subscription.read() if isinstance(event, PromiseShared)]
    assert [(event.id, event.by) for event in shared] == [("gate", "run.2")]


def test_every_picture_links_those_that_share_a_promise() -> None:
    """The saved picture, Graphviz and Mermaid draw a dashed line from each further call, and JSON names them."""
    with Resonate(log_level="CRITICAL") as client:
        client.register(days)
        subscription = client.subscribe("run")
        client.begin_run("run", days)
        model = RunModel("run")

        def three() -> bool:
            for event in subscription.read():
                model.apply(event)
            gate = model.node("gate")
            return gate is not None and len(gate.shared_by) == 2

        when(three)
        client.promises.resolve(id="gate", data="7")
    assert render_svg(model, 0.0).count('stroke-dasharray="3 3"') == 1
    assert render_dot(model, 0.0).count("style=dashed") == 2
    assert render_mermaid(model, 0.0).count("-.->") == 2
    assert '"shared_by": [\n    "run.2",\n    "run.3"\n   ]' in render_json(model, 0.0)
