"""Contract 13: reserved names. Left out: the environment variables, which are read by `RemoteStore` and `Poller`, and come with them."""

from __future__ import annotations

import pytest
from toys import value
from waiting import SOON

from resonate import Resonate

HELD_BY = {
    "13 `resonate:time` and `resonate:random`": "process/test_guide.py::test_every_die_of_random",
    "13 tags of the system override the user's": "contract/test_08_promises_written.py::test_what_a_launch_writes",
}


@pytest.mark.parametrize("name", ["resonate:root", "resonate:parent", "resonate:scope", "resonate:anything"])
def test_reserved_tags_where_the_sdk_writes_none(client: Resonate, name: str) -> None:
    """A user's tag under a reserved name is stored as it is where the SDK writes none of that name."""

    @client.register
    def top(ctx):
        yield ctx.promise(id="p", tags={name: "mine"}, timeout=0)

    top.begin_run("top").result(SOON)
    assert client.promises.get("p").tags == {name: "mine"}


def test_reserved_tags_of_low_level_promises(client: Resonate) -> None:
    """A promise that was made by hand is sent where `resonate:invoke` says, and resolves at its deadline with `resonate:timeout`."""
    client.register(value)
    client.start()
    client.promises.create("a", 2**45, tags={"resonate:invoke": "default"}, data='{"func": "value", "args": [4]}')
    client.promises.create("b", 0, tags={"resonate:timeout": "true"})
    assert (client.get("a").result(SOON), client.get("b").result(SOON)) == (4, None)


def test_reserved_tags_of_a_runs_promises(client: Resonate) -> None:
    """So it is with what a run makes: a user's `resonate:invoke` sends a promise to a worker, `resonate:timeout` resolves it in time."""
    client.register(value)

    @client.register
    def top(ctx):
        call = {"func": "value", "args": [4]}
        sent = yield ctx.promise(tags={"resonate:invoke": "poll://any@default"}, data=call)
        timed = yield ctx.promise(tags={"resonate:timeout": "true"}, timeout=0.01)
        return [(yield sent), (yield timed)]

    assert top.begin_run("top").result(SOON) == [4, None]
    assert client.promises.get("top.1").tags == {"resonate:invoke": "poll://any@default"}
    assert client.promises.get("top.2").tags == {"resonate:timeout": "true"}
