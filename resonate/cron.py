"""When a schedule is due: cron expressions as the servers read them, in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_EVERY = re.compile(r"@every\s+((?:\d+(?:\.\d+)?(?:h|m|s|ms))+)", re.IGNORECASE)
_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)", re.IGNORECASE)
_TERM = re.compile(r"(\*|\?|(\d+|[a-z]{3})(?:-(\d+|[a-z]{3}))?)(?:/\d+)?", re.IGNORECASE)
_NAMES = {name: number for names in ("sun mon tue wed thu fri sat", "_ jan feb mar apr may jun jul aug sep oct nov dec")
          for number, name in enumerate(names.split())}  # fmt: skip
_UNIT_MS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def next_run(cron: str, after_ms: int) -> int:
    """The first time after `after_ms` (milliseconds since the epoch) that `cron` names. ValueError when it is no cron expression.

    Five fields, six with the seconds first, `@daily` and the like, or `@every 1h30m`.

    >>> next_run("*/5 * * * *", 1_000)
    300000
    >>> next_run("@every 10s", 1_000)
    11000
    """
    every = _EVERY.fullmatch(cron.strip())
    if every:
        # In whole seconds, as the servers count; a schedule that is due without end would never let go.
        step_ms = sum(int(float(amount) * _UNIT_MS[unit.lower()]) for amount, unit in _PART.findall(every[1])) // 1000 * 1000
        return (after_ms + max(step_ms, 1000)) // 1000 * 1000
    from croniter import croniter  # type: ignore[import-untyped] # here, because only schedules need it

    try:
        if not cron.startswith("@"):
            _check_terms(cron)
            if (count := len(cron.split())) not in (5, 6):
                raise ValueError(f"it has {count} field{'s' * (count != 1)}")
        start = _EPOCH + timedelta(milliseconds=after_ms)
        found: datetime = croniter(cron, start, second_at_beginning=True).get_next(datetime)
    except (ValueError, KeyError, OverflowError) as error:
        why = "there is no such name" if "iterator" in str(error) else str(error).rstrip(".")  # croniter counts the fields of a name too
        raise ValueError(f"{cron!r} is no cron expression: {why}. Write five fields, as `0 6 * * *`, or `@every 10m`.") from None
    return round((found - _EPOCH) / timedelta(milliseconds=1))


def _check_terms(cron: str) -> None:
    """Refuse what croniter knows and the servers do not: random times, `L`, `#`, `W`, and ranges that run backwards."""
    for term in re.split(r"[\s,]+", cron.strip()):
        match = _TERM.fullmatch(term)
        if match is None:
            raise ValueError(f"{term!r} is no number, name, range or `*`")
        first, last = (each and _NAMES.get(each.lower(), each) for each in match.group(2, 3))
        if last is not None and int(first) > int(last):
            raise ValueError(f"{term!r} ends before it begins")
