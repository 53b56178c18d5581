"""Lines of durable functions: joined from pieces, and bounded in number and length."""

from __future__ import annotations

import threading

import pytest

from resonate_notebook.lines import INBOX_PIECES_MAX, LINE_LIMIT, LINES_OF_A_CALL_MAX, LINES_OF_A_RUN_MAX, RUNS_MAX, Lines


def written(*pieces: str, attempt: int = 1, stream: str = "stdout") -> list[str]:
    lines = Lines()
    for piece in pieces:
        lines.write(0.0, "run", "run.1", attempt, stream, piece)
    return [line.text for line in lines.of("run")]


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        (["one", "\n"], ["one"]),
        (["on", "e\ntw", "o\n"], ["one", "two"]),
        (["one"], ["one"]),
        (["\n"], [""]),
        (["one\n\n", "two\n"], ["one", "", "two"]),
        (["", ""], []),
        (["one\r\n", "two\r\n"], ["one", "two"]),
        (["\r 10%", "\r 90%", "\n", "done\n"], [" 90%", "done"]),
        (["10%", "\r", "90%", "\r"], ["90%"]),
        (["\x1b[31mred\x1b[0m\n"], ["red"]),
        (["a\tb\n"], ["a       b"]),
        (["\ud800\n"], ["?"]),
    ],
)
def test_pieces_are_joined_to_the_lines_that_a_terminal_would_show(pieces: list[str], lines: list[str]) -> None:
    """An end of line ends a line, a carriage return begins it anew; colours are left out, and what is still open is shown too."""
    assert written(*pieces) == lines


def test_open_lines_of_calls_attempts_and_streams_do_not_mix() -> None:
    """Two calls, two attempts or two streams that write by turns have lines of their own, in the order in which they began."""
    lines = Lines()
    for text in ("a", "b", "\n"):
        for place in (("run.1", 1, "stdout"), ("run.1", 1, "stderr"), ("run.1", 2, "stdout"), ("run.2", 1, "stdout")):
            lines.write(0.0, "run", *place, text)
    assert [(line.id, line.attempt, line.stream, line.text) for line in lines.of("run")] == [
        ("run.1", 1, "stdout", "ab"), ("run.1", 1, "stderr", "ab"), ("run.1", 2, "stdout", "ab"), ("run.2", 1, "stdout", "ab"),
    ]  # fmt: skip


def test_a_call_keeps_its_last_lines_and_counts_all() -> None:
    """Beyond its bound the oldest lines of a call go, whatever the size of the pieces; others of its run keep theirs."""
    lines = Lines()
    lines.write(0.0, "run", "run.1", 1, "stdout", "mine\n")
    for number in range(LINES_OF_A_CALL_MAX):
        lines.write(0.0, "run", "run.2", 1, "stdout", f"{number}\n")
    lines.write(0.0, "run", "run.2", 1, "stdout", "".join(f"again {number}\n" for number in range(2 * LINES_OF_A_CALL_MAX)))
    kept = lines.of("run", "run.2")
    assert [line.text for line in kept] == [f"again {number}" for number in range(LINES_OF_A_CALL_MAX, 2 * LINES_OF_A_CALL_MAX)]
    assert [line.text for line in lines.of("run", "run.1")] == ["mine"]
    assert lines.total("run", "run.2") == 3 * LINES_OF_A_CALL_MAX
    assert lines.total("run") == 3 * LINES_OF_A_CALL_MAX + 1


def test_a_run_keeps_its_last_lines() -> None:
    """Beyond its bound the oldest lines of a run go, of whichever call; a call without lines is forgotten."""
    lines = Lines()
    for number in range(LINES_OF_A_RUN_MAX + 10):
        lines.say(0.0, "run", f"run.{number}", 1, "log info", 20, "here")
    assert [line.id for line in lines.of("run")] == [f"run.{number}" for number in range(10, LINES_OF_A_RUN_MAX + 10)]
    assert lines.total("run") == LINES_OF_A_RUN_MAX + 10
    assert (lines.of("run", "run.9"), lines.total("run", "run.9"), lines.run_of("run.9"), lines.run_of("run.10")) == ([], 0, None, "run")


def test_a_line_that_goes_while_it_is_open_takes_nothing_with_it() -> None:
    """What follows on a line that has been dropped begins a new one."""
    lines = Lines()
    lines.write(0.0, "run", "run.1", 1, "stdout", "begun")
    for _ in range(LINES_OF_A_RUN_MAX):
        lines.say(0.0, "run", "run.2", 1, "warning", 30, "x")
        lines.say(0.0, "run", "run.3", 1, "warning", 30, "x")
        lines.say(0.0, "run", "run.4", 1, "warning", 30, "x")
        lines.say(0.0, "run", "run.5", 1, "warning", 30, "x")
    lines.write(0.0, "run", "run.1", 1, "stdout", " and ended\n")
    assert [line.text for line in lines.of("run", "run.1")] == [" and ended"]
    assert len(lines.of("run")) <= LINES_OF_A_RUN_MAX


def test_a_line_is_bounded_however_it_comes() -> None:
    """A long line ends in `…`, in one piece or in a million."""
    assert written("x" * 10_000_000 + "\n") == ["x" * (LINE_LIMIT - 1) + "…"]
    assert written(*["x"] * (LINE_LIMIT + 100)) == ["x" * LINE_LIMIT]
    assert [len(text) for text in written(*["xyz"] * 5000, "\n", "next\n")] == [LINE_LIMIT, 4]


def test_runs_are_bounded_and_can_be_forgotten() -> None:
    """The run that spoke first goes when there are too many; a forgotten run has no lines."""
    lines = Lines()
    for number in range(RUNS_MAX + 1):
        lines.write(0.0, f"run-{number}", f"run-{number}", 1, "stdout", "x\n")
    assert (lines.of("run-0"), len(lines.of("run-1"))) == ([], 1)
    lines.forget("run-1")
    assert (lines.of("run-1"), lines.total("run-1")) == ([], 0)


def test_what_is_new_is_what_has_changed() -> None:
    """Reading after a mark gives new lines, and open ones that have grown since."""
    lines = Lines()
    lines.write(0.0, "run", "run.1", 1, "stdout", "old\nopen")
    mark = max(line.changed for line in lines.of("run"))
    assert lines.of("run", after=mark) == []
    lines.write(0.0, "run", "run.1", 1, "stdout", "ed\nnew\n")
    assert [(line.number, line.text) for line in lines.of("run", after=mark)] == [(3, "opened"), (6, "new")]


def test_a_line_counts_as_whole_once_it_is_closed() -> None:
    """Who wants whole lines only gets each of them once, when it has ended, however late that is."""
    lines = Lines()
    lines.write(0.0, "run", "run.1", 1, "stdout", "slow")
    lines.write(0.0, "run", "run.2", 1, "stdout", "quick\n")
    first = lines.of("run", whole=True)
    lines.write(0.0, "run", "run.1", 1, "stdout", "\n")
    rest = lines.of("run", whole=True, after=max(line.changed for line in first))
    assert ([line.text for line in first], [line.text for line in rest]) == (["quick"], ["slow"])


def test_writers_wait_for_nobody() -> None:
    """While somebody reads, or a finalizer prints in the middle of it, writing goes on; nothing of it is lost."""
    lines = Lines()
    with lines._lock:
        writer = threading.Thread(target=lambda: [lines.write(0.0, "run", "run.1", 1, "stdout", "x\n") for _ in range(400)])
        writer.start()
        writer.join(10)
        assert not writer.is_alive()
        lines.write(0.0, "run", "run.1", 1, "stdout", "y\n")
    assert (lines.total("run"), INBOX_PIECES_MAX < 400) == (401, True)


def test_threads_that_write_at_once_lose_no_line() -> None:
    """Every line of every thread is counted, and those of one call stand in their order."""
    lines = Lines()

    def write(call: int) -> None:
        for number in range(400):
            lines.write(0.0, "run", f"run.{call}", 1, "stdout", f"{number}\n")

    threads = [threading.Thread(target=write, args=(call,)) for call in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lines.total("run") == 1600
    assert all([line.text for line in lines.of("run", f"run.{call}")] == [str(number) for number in range(400)] for call in range(4))
