"""What a page may say to the kernel: a closed set of wishes, whose contents are foreign data."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
from waiting import when

from resonate import Resonate
from resonate_notebook import actions
from resonate_notebook.live import COMMANDS_MAX, VALUE_CHARACTERS, VALUES_MAX, Follower, Settings

KNOWN = ["hello", "staying", "snapshot", "detach", "detail", "values", "resolve", "reject", "cancel", "retry", "show"]
KINDS = [*KNOWN, "__class__", "", None, 7, [], {}]
TEXTS = ["", "r", "r.1", "r.gate", "../../etc/passwd", "__proto__", "{{7*7}}", "<script>", "\x00", "\ud800", "a\u202eb", "x" * 100_000]
ODD: list[Any] = [None, True, 0, -1, 1e308, 2**70, [], {}, [[[]]], {"id": {"id": "r"}}, float("inf")]


@pytest.fixture
def held() -> Iterator[tuple[Follower, Any]]:
    """A follower and a widget of its run `r`, which waits for a person at `r.gate`."""
    client = Resonate(log_level="CRITICAL")
    follower = Follower(client, Settings(), detail=actions.detail, answer=actions.answer)

    @client.register
    def hold(ctx: Any) -> Any:
        return (yield (yield ctx.promise(id="r.gate")))

    client.begin_run("r", hold)
    assert when(lambda: (followed := follower.follow("r")) is not None and followed.model.counts["waiting"] == 1)
    followed = follower.follow("r")
    assert followed is not None
    yield follower, follower.widget(followed)
    follower.close()
    client.stop()


def test_many_pictures_together_get_a_hundred_messages_a_second(held: tuple[Follower, Any]) -> None:
    """Each of them changes less often then; so a page with dozens of pictures is not flooded."""
    follower, first = held
    sent: list[float] = []
    widgets = [follower.widget(first.about) for _ in range(50)]
    for widget in widgets:
        widget.send = lambda content, buffers=None: sent.append(time.monotonic())
    client, going = follower.client, True

    @client.register
    def lively(ctx: Any) -> Any:
        while going:
            yield ctx.sleep(0.02)

    client.begin_run("lively", lively)
    followed = follower.follow("lively")
    assert followed is not None
    for widget in widgets:
        follower._attach(widget, followed)
    assert when(lambda: len(sent) >= 300, within_s=30)
    going = False
    assert 300 / (sent[299] - sent[0]) < 150  # the first flush of fifty takes no time


def made_up(chance: random.Random) -> dict[str, Any]:
    """A message with a kind that there is, or none, and anything in its places."""
    message: dict[str, Any] = {"kind": chance.choice(KINDS)}
    for name in chance.sample(["id", "text", "token", "unpacks", "run", "kind"], chance.randint(0, 4)):
        message[name] = chance.choice([*TEXTS, *ODD])
    return message


def test_a_thousand_made_up_messages_meet_no_error_in_the_kernel(held: tuple[Follower, Any], caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a page sends, both threads live on, nothing is raised, and an answer is still given."""
    follower, widget = held
    sent: list[dict[str, Any]] = []
    widget.send = lambda content, buffers=None: sent.append(content)
    chance = random.Random(7)
    with caplog.at_level(logging.ERROR, logger="resonate_notebook"):
        for count in range(1_000):
            widget._handle_custom_msg(chance.choice([made_up(chance), made_up(chance), chance.choice(ODD)]), [])
            if count % 100 == 0:
                assert when(lambda: follower._commands.qsize() == 0, within_s=30)
        widget._handle_custom_msg({"kind": "show", "id": "nothing", "token": "the last"}, [])
        assert when(lambda: any(each.get("token") == "the last" for each in sent), within_s=30)
    assert follower.trouble == ""
    assert caplog.records == []
    assert all(thread.is_alive() for thread in follower._threads)
    replies = [each for each in sent if each["kind"] == "reply"]
    assert all(isinstance(each["text"], str) and len(each["text"]) <= actions.TEXT_LIMIT for each in replies)
    assert len(replies) > 100


def test_a_page_shows_only_runs_that_its_own_leads_to(held: tuple[Follower, Any]) -> None:
    """`show` names the retry of the run that is shown, or what it retries; any other id is refused and nothing moves."""
    follower, widget = held
    followed = widget.about
    for asked in ("r", "r.gate", "other", "", None):
        assert actions.answer(follower, followed, {"kind": "show", "id": asked, "token": "t"})["ok"] is False
    assert widget.about is followed


def test_a_page_settles_only_what_its_run_has(held: tuple[Follower, Any]) -> None:
    """Another run's promise is refused to this picture, and stays as it is."""
    follower, widget = held
    follower.client.promises.create(id="elsewhere", timeout=2**50)
    told = actions.answer(follower, widget.about, {"kind": "resolve", "id": "elsewhere", "text": "1", "token": "t"})
    assert told["ok"] is False
    assert follower.client.promises.get("elsewhere").pending


def test_the_values_of_rows_in_sight_come_in_one_message_and_none_from_a_server(held: tuple[Follower, Any]) -> None:
    """What has a value gets it, cut to a row's length, with a bound on how many; a server would be asked for each one by one."""
    follower, _ = held
    client = follower.client

    @client.register
    def load(ctx: Any, n: int) -> str:
        return str(n) * 1000

    @client.register
    def many(ctx: Any) -> Any:
        for n in range(VALUES_MAX + 5):
            yield ctx.run(load, n % 10)

    client.begin_run("many", many).result(30)
    followed = follower.catch_up("many")
    assert followed is not None
    ids = [node.id for node in followed.model.nodes[1:]]
    told = follower._values(followed, ["r.gate", 7, None, *ids])["values"]
    assert list(told) == ids[: VALUES_MAX - 3]
    assert told[ids[3]] == "'" + "3" * (VALUE_CHARACTERS - 1)
    followed.model.where = "server"
    assert follower._values(followed, ids)["values"] == {}


def test_messages_beyond_the_bound_are_dropped(held: tuple[Follower, Any]) -> None:
    """A page that talks faster than the kernel can listen fills no memory."""
    follower, widget = held
    with follower.lock:  # `detail` needs it, so that nothing is taken from the queue
        for _ in range(2 * COMMANDS_MAX):
            widget._handle_custom_msg({"kind": "detail", "id": "r"}, [])
        assert follower._commands.qsize() <= COMMANDS_MAX


def test_a_token_comes_back_as_text_of_bounded_length(held: tuple[Follower, Any]) -> None:
    """Whatever a page calls its question, the answer holds no more than a text."""
    follower, widget = held
    for token in ODD:
        assert isinstance(actions.answer(follower, widget.about, {"kind": "show", "token": token})["token"], str)
    long = actions.answer(follower, widget.about, {"kind": "show", "token": "x" * 10**6})["token"]
    assert len(long) == actions.TEXT_LIMIT
