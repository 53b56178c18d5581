"""When a schedule of the current protocol is due: its cron expressions, pure and in UTC.

Five fields, six with the seconds first, or seven with the year last; days of the week are 1 (Sunday) to 7, or names in any case; `?` is
`*`; `@hourly @daily @weekly @monthly @yearly`. A day must fit both the day of the month and the day of the week. Nothing else is known: no
`L`, no `W`, no `#`, no `@every`. An expression that never comes true is one all the same. (Current protocol, schedules.)
"""

from __future__ import annotations

import re
from bisect import bisect_left
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

LAST_YEAR = 2099
"""Beyond it no time is looked for."""
_FIELDS = (
    ("second", 0, 59, ""), ("minute", 0, 59, ""), ("hour", 0, 23, ""), ("day of the month", 1, 31, ""),
    ("month", 1, 12, "jan feb mar apr may jun jul aug sep oct nov dec"), ("day of the week", 1, 7, "sun mon tue wed thu fri sat"),
    ("year", 1970, LAST_YEAR, ""),
)  # fmt: skip
_NICKNAMES = {
    "@hourly": "0 0 * * * * *", "@daily": "0 0 0 * * * *", "@weekly": "0 0 0 * * 1 *", "@monthly": "0 0 0 1 * * *",
    "@yearly": "0 0 0 1 1 * *",
}  # fmt: skip
_TERM = re.compile(r"(?:([*?])|(\w+)(?:-(\w+))?)(?:/(\d+))?", re.ASCII)


class Times(NamedTuple):
    """What each field allows, in order."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    years: tuple[int, ...]


def next_run(cron: str, after_ms: int) -> int | None:
    """The first time after `after_ms` (milliseconds since the epoch) that `cron` names, if any. ValueError when it is no cron expression.

    >>> next_run("*/5 * * * *", 1_000)
    300000
    >>> next_run("0 0 31 2 *", 1_000) is None
    True
    """
    times = read(cron)
    try:
        start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=after_ms // 1000 + 1)
    except OverflowError:
        return None
    day, earliest = start.date(), (start.hour, start.minute, start.second)
    while True:
        found = _next_day(times, day)
        if found is None:
            return None
        time = _next_time(times, earliest if found == start.date() else (0, 0, 0))
        if time is not None:
            hour, minute, second = time
            return ((found.toordinal() - date(1970, 1, 1).toordinal()) * 86_400 + hour * 3600 + minute * 60 + second) * 1000
        day = found + timedelta(days=1)


@lru_cache(maxsize=1024)
def read(cron: str) -> Times:
    """What an expression allows. ValueError, which names the field, when it is none.

    >>> read("0 9 * * mon-fri").weekdays
    (2, 3, 4, 5, 6)
    """
    fields = _NICKNAMES.get(cron.strip().lower(), cron).split()
    if len(fields) == 5:
        fields.insert(0, "0")
    if len(fields) == 6:
        fields.append("*")
    if len(fields) != 7:
        raise ValueError(
            f"{cron!r} is no cron expression: write five fields as `0 6 * * *`, six with the seconds first, or seven with a year"
        )
    return Times(*(_read_field(cron, text, *field) for text, field in zip(fields, _FIELDS, strict=True)))


def _read_field(cron: str, text: str, name: str, low: int, high: int, names: str) -> tuple[int, ...]:
    numbers = {word: number for number, word in enumerate(names.split(), low)}

    def number(word: str) -> int:
        value = int(word) if word.isdecimal() and len(word) < 5 else numbers.get(word.lower(), -1)
        if not low <= value <= high:
            raise ValueError(f"{cron!r} is no cron expression: {word!r} is no {name}")
        return value

    allowed: set[int] = set()
    for term in text.split(","):
        match = _TERM.fullmatch(term)
        if match is None:
            raise ValueError(f"{cron!r} is no cron expression: {term!r} is no {name}")
        every, first, last, step = match.groups()
        begin = low if every else number(first)
        end = high if every or (step and not last) else number(last or first)
        if end < begin or (step is not None and int(step) == 0):
            raise ValueError(f"{cron!r} is no cron expression: {term!r} is no {name}")
        allowed.update(range(begin, end + 1, int(step or 1)))
    return tuple(sorted(allowed))


def _next_day(times: Times, start: date) -> date | None:
    """The first day that fits, from `start` on."""
    for year in times.years[bisect_left(times.years, start.year) :]:
        for month in times.months:
            if (year, month) < (start.year, start.month):
                continue
            for number in times.days:
                try:
                    day = date(year, month, number)
                except ValueError:  # as 31 February
                    continue
                if day >= start and day.isoweekday() % 7 + 1 in times.weekdays:
                    return day
    return None


def _next_time(times: Times, start: tuple[int, int, int]) -> tuple[int, int, int] | None:
    """The first time of a day, from `start` on."""
    for hour in times.hours[bisect_left(times.hours, start[0]) :]:
        for minute in times.minutes:
            if (hour, minute) < start[:2]:
                continue
            for second in times.seconds:
                if (hour, minute, second) >= start:
                    return hour, minute, second
    return None
