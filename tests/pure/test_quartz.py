"""Cron expressions of the current protocol: what is one, and when it is due."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest

from resonate.quartz import next_run, read

START = datetime(2026, 1, 1, 12, 30, 15, 400_000, tzinfo=UTC)  # a Thursday


def due(cron: str, after: datetime = START) -> str | None:
    found = next_run(cron, round(after.timestamp() * 1000))
    return None if found is None else datetime.fromtimestamp(found / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


@pytest.mark.parametrize(("cron", "time"), [
    ("* * * * *", "2026-01-01 12:31:00"), ("* * * * * *", "2026-01-01 12:30:16"), ("*/5 * * * *", "2026-01-01 12:35:00"),
    ("15 * * * * *", "2026-01-01 12:31:15"), ("0 9 * * *", "2026-01-02 09:00:00"), ("0 0 1 * *", "2026-02-01 00:00:00"),
    ("0 9 * * mon,WED", "2026-01-05 09:00:00"), ("0 0 * * 1", "2026-01-04 00:00:00"), ("0 0 * * 7", "2026-01-03 00:00:00"),
    ("0 0 * * MON-FRI", "2026-01-02 00:00:00"), ("0 0 1 JAN *", "2027-01-01 00:00:00"), ("0 0 ? * *", "2026-01-02 00:00:00"),
    ("0 0 29 2 *", "2028-02-29 00:00:00"), ("0 0 29 2 1", "2032-02-29 00:00:00"), ("0 0 13 * 6", "2026-02-13 00:00:00"),
    ("0 0 12 * * MON *", "2026-01-05 12:00:00"), ("0 0 0 1 1 ? 2030", "2030-01-01 00:00:00"),
    ("0 0 0 1 1 ? 2028-2040/3", "2028-01-01 00:00:00"),
    ("50/4 * * * *", "2026-01-01 12:50:00"), ("10-20/5 12 * * *", "2026-01-02 12:10:00"), ("0 0 31 2 *", None), ("0 0 0 1 1 ? 2020", None),
    ("@hourly", "2026-01-01 13:00:00"), ("@daily", "2026-01-02 00:00:00"), ("@weekly", "2026-01-04 00:00:00"),
    ("@monthly", "2026-02-01 00:00:00"), ("@yearly", "2027-01-01 00:00:00"), ("59 59 23 31 12 *", "2026-12-31 23:59:59"),
])  # fmt: skip
def test_when_it_is_due(cron: str, time: str | None) -> None:
    """The next time is the first that fits every field, days of the month and of the week alike, and lies after the given one."""
    assert due(cron) == time


@pytest.mark.parametrize("cron", [
    "", "*", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * 0 *", "0 0 * * 0", "0 0 * * 8",
    "0 0 L * *", "0 0 * * 5#2", "0 0 15W * *", "@every 5s", "@reboot", "* * * * * * * *", "5-1 * * * *", "*/0 * * * *", "a * * * *",
    "1,, * * * *", "-1 * * * *", "1.5 * * * *", "* * * * * * 1969", "٣ * * * *", "99999999999999999999 * * * *",
])  # fmt: skip
def test_what_is_no_expression(cron: str) -> None:
    """Anything else is refused, and the text says which part."""
    with pytest.raises(ValueError, match="is no cron expression"):
        next_run(cron, 0)


def test_it_agrees_with_trying_every_second() -> None:
    """Random expressions are due when the fields first fit, second by second."""
    chance = random.Random(4)
    for _ in range(150):
        fields = [chance.choice(("*", f"*/{chance.choice((7, 20))}", str(chance.randrange(60)))), chance.choice(("*", "*/9", "1,5-7")),
                  chance.choice(("*", "12-14", "*/5")), chance.choice(("*", "1-2", "*/2")), chance.choice(("*", "1")),
                  chance.choice(("*", "5,6", "thu-sat"))]  # fmt: skip
        cron = " ".join(fields)
        times = read(cron)
        at = START.replace(microsecond=0) + timedelta(seconds=1)
        for _ in range(40_000):
            weekday = at.isoweekday() % 7 + 1
            if (at.second in times.seconds and at.minute in times.minutes and at.hour in times.hours and at.day in times.days
                    and at.month in times.months and weekday in times.weekdays):  # fmt: skip
                assert due(cron) == at.strftime("%Y-%m-%d %H:%M:%S"), cron
                break
            at += timedelta(seconds=1)


@pytest.mark.parametrize("after_ms", [0, -1, 2**53, 2**63 - 1, 10**30])
def test_no_time_breaks_it(after_ms: int) -> None:
    """Whatever time is asked about, there is an answer."""
    assert next_run("* * * * *", after_ms) in (60_000, 0, None)
