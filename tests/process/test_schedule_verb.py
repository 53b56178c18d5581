"""`%resonate schedule` in a real IPython shell."""

from __future__ import annotations

import time

import pytest
from test_magics import cell, ipython, until  # noqa: F401 - the fixtures are found by name

import resonate_notebook
from resonate_notebook import session


def test_a_schedule_starts_runs_that_are_seen_like_any_other(cell):  # noqa: F811
    told = cell.good('%resonate schedule often "@every 1s" pipeline days=2')
    assert told.startswith("often starts pipeline(days=2) · next at ")
    until(lambda: "often.1" in cell("%resonate ps"))
    until(lambda: "pipeline  resolved" in cell("%resonate ps"))
    assert cell.good("%resonate schedule").startswith("often  @every 1s  pipeline(days=2)  next at ")
    assert cell.good("%resonate schedule --delete often") == "often starts no more runs\n"
    assert cell.good("%resonate schedule").startswith("There is no schedule.")


def test_the_next_time_is_local_and_says_that_cron_is_not(cell, monkeypatch):  # noqa: F811
    """Two at night in UTC is eleven in the morning in Tokyo."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        told = cell.good('%resonate schedule nightly "0 2 * * *" pipeline')
    finally:
        monkeypatch.undo()
        time.tzset()
    assert "11:00:00 local time (cron is in UTC), in " in told


def test_the_twin_makes_lists_and_ends_schedules(cell):  # noqa: F811
    assert resonate_notebook.schedule("n", "0 2 * * *", "clean", 3).startswith("n starts clean(3) · next at ")
    assert resonate_notebook.schedule().startswith("n  0 2 * * *  clean(3)  next at ")
    assert resonate_notebook.unschedule("n") == "n starts no more runs"
    made = session.current().client.schedules
    resonate_notebook.schedule("n", "@daily", cell.shell.user_ns["pipeline"], days=1)
    assert made.get("n").promise_timeout == 86_400_000
    cell.good('%resonate schedule m "@daily" pipeline --timeout 60')
    assert made.get("m").promise_timeout == 60_000


@pytest.mark.parametrize(
    ("line", "carets", "told"),
    [
        ('x "0 25 * * *" pipeline', "25", "`25` is no hour. Write five fields: minute, hour,"),
        ('x "61 2 * * *" pipeline', "61", "`61` is no minute."),
        ('x "0 2 * * fry" pipeline', "fry", "`fry` is no day of the week."),
        ('x "0 2 * 13 *" pipeline', "13", "`13` is no month."),
        ('x "0 2 L * *" pipeline', "L", "`L` is no day of the month."),
        ('x "0 0 2 * *  32" pipeline', "32", "`32` is no day of the week."),
        ('x "0 2 *" pipeline', '"0 2 *"', "is no cron expression"),
        ('x "@dayly" pipeline', '"@dayly"', "is no cron expression"),
        ("x 0 2 * * * pipeline", "0", 'A cron expression has five fields, in quotes: `%resonate schedule x "0 2 * * *" FUNCTION`.'),
        ('x "0 2 * * *" pipline', "pipline", "No function `pipline`. Did you mean `pipeline`?"),
        ('x "0 2 * * *" pipeline dys=1', "dys", "pipeline(ctx, days=3) takes no argument `dys`. Did you mean `days`?"),
        ('x "0 2 * * *" pipeline --timeout 0', "0", "`timeout` is more than 0 seconds."),
        ('x "0 2 * * *"', None, "`schedule` needs a function"),
        ("x", None, "`schedule` needs a cron expression and a function"),
        ('taken "@daily" pipeline', "taken", "taken exists: 0 3 * * *, next "),
        ("--delete tken", "tken", "No schedule tken. Did you mean `taken`?"),
    ],
)
def test_a_mistake_is_pointed_at_and_nothing_is_scheduled(cell, line, carets, told):  # noqa: F811
    cell.good('%resonate schedule taken "0 3 * * *" pipeline')
    out = cell(f"%resonate schedule {line}")
    assert isinstance(cell.error, resonate_notebook.Mistake), out
    assert told in out
    if carets:
        shown, marks = out.split("\n")[:2]
        assert "".join(shown[at] for at, mark in enumerate(marks) if mark == "^") == carets
    assert [each.id for each in session.current().client.schedules.search().schedules] == ["taken"]


@pytest.mark.parametrize("protocol", ["legacy", "current"])
def test_a_schedule_on_a_server_starts_runs_here_and_is_listed_whole(cell, protocol):  # noqa: F811
    cell.good(f"%resonate connect dev --port 0 --protocol {protocol}")
    cell.good('%resonate schedule often "* * * * * *" pipeline days=2')
    until(lambda: "pipeline  resolved" in cell("%resonate ps"))
    assert cell.good("%resonate schedule").startswith("often  * * * * * *  pipeline(days=2)  next at ")
    assert "`13` is no month." in cell('%resonate schedule bad "0 2 * 13 *" pipeline')
    cell.good("%resonate schedule --delete often")


def test_a_schedule_in_a_file_is_there_when_it_is_connected_again(cell, tmp_path):  # noqa: F811
    cell.good(f"%resonate connect local --db {tmp_path}/runs.db")
    cell.good('%resonate schedule nightly "0 2 * * *" pipeline days=1')
    cell.good("%resonate connect local")
    assert cell.good("%resonate schedule").startswith("There is no schedule.")
    cell.good(f"%resonate connect local --db {tmp_path}/runs.db")
    assert "nightly  0 2 * * *  pipeline(days=1)" in cell.good("%resonate schedule")
