"""What is said about executions, by them and by the SDK (contract 14)."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from waiting import SOON

from resonate import Resonate
from resonate.retry_policies import Constant

LINE = re.compile(r"\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\] \[([A-Z]+)\] \[([^]]*)\] \[([^]]*)\] (.*)")


@pytest.fixture(autouse=True)
def kept_handlers() -> Iterator[None]:
    logger = logging.getLogger("resonate.functions")
    kept = logger.handlers[:]
    yield
    logger.handlers[:] = kept


def fresh(**options: Any) -> Resonate:
    """A client in a process in which nobody has put a handler on the functions' logger, as pytest does."""
    logging.getLogger("resonate.functions").handlers.clear()
    return Resonate(**options)


def lines(capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str, str, str]]:
    """(level, run, execution, text) of each line."""
    written = capsys.readouterr().err
    found = [LINE.fullmatch(line) for line in written.splitlines()]
    assert all(found), written
    return [match.group(2, 3, 4, 5) for match in found if match is not None]


def step(ctx: Any, x: int) -> int:
    ctx.logger.info("step %s", x)
    return x


def chatty(ctx: Any) -> Any:
    ctx.logger.log(logging.INFO, "logged %s", 1)
    ctx.logger.debug("debug")
    ctx.logger.info("info")
    ctx.logger.warning("warning %(a)s", {"a": 2})
    ctx.logger.error("error")
    ctx.logger.critical("critical")
    return (yield ctx.run(step, 5))


def test_lines_carry_date_level_run_and_execution(capsys: pytest.CaptureFixture[str]) -> None:
    """`[date] [LEVEL] [run] [execution] text`, on standard error, for every method of the logger."""
    with fresh(log_level="INFO") as client:
        client.begin_run("top", client.register(chatty)).result(SOON)
    assert lines(capsys) == [
        ("INFO", "top", "top", "logged 1"), ("INFO", "top", "top", "info"), ("WARNING", "top", "top", "warning 2"),
        ("ERROR", "top", "top", "error"), ("CRITICAL", "top", "top", "critical"), ("INFO", "top", "top.1", "step 5"),
    ]  # fmt: skip


@pytest.mark.parametrize(("level", "expected"), [
    ("DEBUG", 7), (logging.DEBUG, 7), ("info", 6), (logging.WARNING, 3), ("ERROR", 2), ("CRITICAL", 1), (logging.CRITICAL + 1, 0),
])  # fmt: skip
def test_the_clients_level_decides(capsys: pytest.CaptureFixture[str], level: int | str, expected: int) -> None:
    """Each client has a level of its own, by number or name."""
    with fresh(log_level=level) as client:
        client.begin_run("top", client.register(chatty)).result(SOON)
    assert len([text for *_, text in lines(capsys) if "attempt" not in text]) == expected


def test_two_clients_two_levels(capsys: pytest.CaptureFixture[str]) -> None:
    """One client at DEBUG does not make another talk."""
    with fresh(log_level="DEBUG") as loud, Resonate(log_level="ERROR") as quiet:
        loud.begin_run("loud", loud.register(chatty)).result(SOON)
        quiet.begin_run("quiet", quiet.register(chatty)).result(SOON)
    assert len([1 for _, run, _, _ in lines(capsys) if run == "quiet"]) == 2


@pytest.mark.parametrize(("make", "level"), [(Resonate, logging.WARNING), (Resonate.local, logging.INFO)])
def test_default_levels(capsys: pytest.CaptureFixture[str], make: Any, level: int) -> None:
    """The constructor leaves it to logging (WARNING), `local` says INFO and above."""
    with make() as client:
        seen: list[bool] = []

        def top(ctx):
            seen.extend(ctx.logger.isEnabledFor(each) for each in (level - 10, level))

        client.begin_run("top", client.register(top)).result(SOON)
    assert seen == [False, True]


def test_the_sdk_tells_starts_retries_and_failures(capsys: pytest.CaptureFixture[str]) -> None:
    """DEBUG when an attempt starts and returns, WARNING with the wait when it is called again, ERROR when it fails for good."""
    tries: list[int] = []

    def flaky(ctx, *, name):
        tries.append(1)
        if len(tries) < 3:
            raise ValueError(f"try {len(tries)}")
        return "value"

    def broken(ctx):
        yield ctx.sleep(0)
        raise KeyError("gone")

    def top(ctx):
        yield ctx.run(flaky, name="a").options(retry_policy=Constant(0.001))
        try:
            yield ctx.run(broken)
        except KeyError:
            return 1

    with fresh(log_level="DEBUG") as client:
        assert client.begin_run("top", client.register(top)).result(SOON) == 1
    told = lines(capsys)
    assert [(level, text) for level, _, about, text in told if about == "top.1"] == [
        ("DEBUG", "flaky(name='a'), attempt 1, started"),
        ("WARNING", "flaky(name='a'), attempt 1, failed and is called again in 0.001 s: ValueError: try 1"),
        ("DEBUG", "flaky(name='a'), attempt 2, started"),
        ("WARNING", "flaky(name='a'), attempt 2, failed and is called again in 0.001 s: ValueError: try 2"),
        ("DEBUG", "flaky(name='a'), attempt 3, started"),
        ("DEBUG", "flaky(name='a'), attempt 3, returned value"),
    ]
    assert ("ERROR", "top", "top.2", "broken(), attempt 1, failed for good: KeyError: 'gone'") in told


def test_a_failure_that_nobody_awaited_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """A child's failure that its parent never looked at is a WARNING of the parent; one that was caught is not (D-27)."""

    def fails(ctx, text):
        raise ValueError(text)
        yield

    def top(ctx):
        yield ctx.begin_run(fails, "unseen")
        seen = yield ctx.begin_run(fails, "seen")
        try:
            yield seen
        except ValueError:
            pass
        return 1

    with fresh(log_level="WARNING") as client:
        assert client.begin_run("top", client.register(top)).result(SOON) == 1
    warned = [(about, text) for level, _, about, text in lines(capsys) if level == "WARNING"]
    assert warned == [("top", "fails (top.1) failed and was never awaited: ValueError: unseen")]


def test_a_call_that_was_never_yielded_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the `yield` is missing nothing comes of a call, and a WARNING of the function that made it says so."""

    def plain(ctx):
        ctx.run(clean, 1)
        return 5

    def clean(ctx, day):
        return day

    def forgetful(ctx):
        first = yield ctx.run(plain)
        ctx.sleep(1)
        ctx.run(clean, 2)
        return first + (yield ctx.run(clean, 3))

    with fresh(log_level="WARNING") as client:
        assert client.begin_run("top", client.register(forgetful)).result(SOON) == 8
    never = "that it never yielded, so nothing came of it: `value = yield ctx.run(f, x)`"
    warned = [(about, text) for level, _, about, text in lines(capsys) if level == "WARNING"]
    told = {"top.1": "plain(), attempt 1, has made a call", "top": "forgetful(), attempt 1, has made 2 calls"}
    assert dict(warned) == {about: f"{text} {never}" for about, text in told.items()}


def test_a_condition_on_a_promise_is_warned_of() -> None:
    """A promise is true whatever it will be rejected with, so who asks it has forgotten to await it."""

    def hasty(ctx):
        approved = yield ctx.promise(id="approval")
        return "published" if approved else "kept"

    def launch_and_answer() -> Any:
        handle = client.begin_run("top", client.register(hasty))
        client.promises.create("approval", timeout=2**45, ikey="approval")
        client.promises.resolve("approval", data="1")
        return handle.result(SOON)

    with fresh(log_level="CRITICAL") as client, pytest.warns(RuntimeWarning, match="approval is a promise, and true whatever"):
        said = launch_and_answer()
    assert said == "published"


def test_values_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """A long argument or result takes at most 100 characters of a line."""

    def long(ctx, text):
        return text

    with fresh(log_level="DEBUG") as client:
        client.begin_run("long", client.register(long), "x" * 10_000).result(SOON)
    assert all(len(text) < 250 for *_, text in lines(capsys))


def test_a_value_that_cannot_be_shown_does_no_harm(capsys: pytest.CaptureFixture[str]) -> None:
    """An argument whose `repr` fails, or a handler that fails, takes no run with it."""

    class Rude:
        def __repr__(self):
            raise SystemExit

    def top(ctx, *args):
        return 1

    with fresh(log_level="DEBUG") as client:
        def outer(ctx):
            return (yield ctx.run(top, Rude()).options(durable=False))

        assert client.begin_run("top", client.register(outer)).result(SOON) == 1


def test_a_handler_of_the_users_replaces_ours(capsys: pytest.CaptureFixture[str]) -> None:
    """Who puts a handler on `resonate.functions` gets the records, with `cid` and `id`, and standard error stays empty."""
    logger = logging.getLogger("resonate.functions")
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logger.handlers[:] = [handler]
    with Resonate(log_level="INFO") as client:
        client.begin_run("top", client.register(step), 3).result(SOON)
    assert [(each.cid, each.id, each.getMessage()) for each in records] == [("top", "top", "step 3")]  # type: ignore[attr-defined]
    assert capsys.readouterr().err == ""


def test_loggers_do_not_pile_up() -> None:
    """One logger serves every run: no logger and no handler is added for 200 of them (D-21)."""
    with fresh(log_level="CRITICAL", workers=2) as client:
        client.register(step)
        client.begin_run("warm", "step", 1).result(SOON)
        before = (len(logging.root.manager.loggerDict), len(logging.getLogger("resonate.functions").handlers), threading.active_count())
        for number in range(200):
            client.begin_run(f"run-{number}", "step", number).result(SOON)
        after = (len(logging.root.manager.loggerDict), len(logging.getLogger("resonate.functions").handlers), threading.active_count())
    assert before == after
    assert after[1] == 1


def test_the_root_logger_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines of functions do not reach the root logger's handlers a second time."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logging.root.addHandler(handler)
    try:
        with fresh(log_level="DEBUG") as client:
            client.begin_run("top", client.register(chatty)).result(SOON)
    finally:
        logging.root.removeHandler(handler)
    assert lines(capsys)
    assert [each for each in records if each.name.startswith("resonate.functions")] == []
