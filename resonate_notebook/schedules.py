"""The verb `schedule`: runs that are started at the times that a cron expression names."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from resonate import cron as cron_of_local
from resonate import quartz
from resonate.encoders import encode_call
from resonate.errors import ResonateStoreError
from resonate.limits import TIMEOUT_LIMIT_MS
from resonate.models.schedules import Schedule
from resonate_notebook.arguments import Mistake, check_call, short_repr, suggest
from resonate_notebook.session import Session, current
from resonate_notebook.text import duration, moment, visible
from resonate_notebook.verbs import Told, columns, not_storable, unknown_function

TIMEOUT_S: Final = 86_400.0
"""How long a scheduled run may take unless it is said, as with `run`."""
LISTED_MAX: Final = 100
FIELDS: Final = ("second", "minute", "hour", "day of the month", "month", "day of the week", "year")
LOCAL: Final = " local time (cron is in UTC)"
NOT_FOUND: Final = "100.404"
REFUSED: Final = 100.4


def schedule(id: str = "", cron: str = "", function: str | Callable[..., Any] = "", /, *args: Any, **kwargs: Any) -> Told:
    """Start runs at the times that a cron expression names; alone, list the schedules.

    Cron has five fields, in quotes: minute, hour, day of the month, month, day of the week, all in UTC. It may be `@daily` or `@every 10m`
    too. Each run is named for the schedule and its time, as `nightly.1764550800000`. `--delete ID` ends a schedule; runs that it has
    started stay. In memory a schedule ends with the kernel; in a file it goes on when the file is connected again.

        %resonate schedule nightly "0 2 * * *" report day=1
        %resonate schedule
        %resonate schedule --delete nightly
    """
    if not id:
        return _listed(current())
    return plan(id, cron, function, list(args), kwargs)


def plan(
    id: str, cron: str, function: str | Callable[..., Any], args: list[Any], kwargs: dict[str, Any], *, timeout: float = TIMEOUT_S
) -> Told:
    """What `schedule` does with its words, and its options."""
    session = current()
    client = session.client
    if not cron or not function:
        raise Mistake('A schedule needs a cron expression and a function: `%resonate schedule nightly "0 2 * * *" report`.', "end")
    if timeout <= 0:
        raise Mistake("`timeout` is more than 0 seconds.", "option:--timeout")
    try:
        name, raw, version = client.registry.get(function, 0)
    except ValueError:
        raise unknown_function(session, function, 0) from None
    check_call(name, raw, args, kwargs)
    try:
        headers, data = encode_call(client.encoder, name, tuple(args), kwargs, version)
    except TypeError as error:
        raise not_storable(error) from error
    existing = _existing(session, id)
    if existing is not None:
        raise Mistake(f"{id} exists: {_told(existing)}. `%resonate schedule --delete {id}` ends it.", "id")
    target = {"resonate:invoke": client._shared.store.address(client._options.target)}
    try:
        made = client.schedules.create(
            id, cron, f"{id}.{{{{.timestamp}}}}", min(round(timeout * 1000), TIMEOUT_LIMIT_MS), promise_headers=headers,
            promise_data=data, promise_tags=target,
        )  # fmt: skip
    except (ResonateStoreError, ValueError) as error:
        if isinstance(error, ResonateStoreError) and round(float(error.code), 5) != REFUSED:
            raise
        raise _bad_cron(session, cron, str(getattr(error, "mesg", error))) from error
    client.start()  # a client that does nothing yet fires nothing either
    return Told(f"{id} starts {_call(session, made)} · {_next_text(session, made)}")


def unschedule(id: str) -> Told:
    """End a schedule: it starts no more runs. Those that it has started stay.

    resonate_notebook.unschedule("nightly")
    """
    session = current()
    if _existing(session, id) is None:
        known = [each.id for each in session.client.schedules.search(limit=LISTED_MAX).schedules]
        listed = f" Schedules: {', '.join(known[:5])}." if known else " There is none."
        raise Mistake(f"No schedule {id}.{suggest(id, known) or listed}", "option:--delete")
    session.client.schedules.delete(id)
    return Told(f"{id} starts no more runs")


def _existing(session: Session, id: str) -> Schedule | None:
    try:
        return session.client.schedules.get(id)
    except ResonateStoreError as error:
        if str(error.code).startswith(NOT_FOUND):
            return None
        raise


def _listed(session: Session) -> Told:
    page = session.client.schedules.search(limit=LISTED_MAX)
    if not page.schedules:
        return Told('There is no schedule. `%resonate schedule nightly "0 2 * * *" FUNCTION` makes one.')
    # Legacy servers leave out of a list what a schedule makes.
    found = [each if each.promise_id else session.client.schedules.get(each.id) for each in page.schedules]
    rows = [[visible(each.id), visible(each.cron), _call(session, each), _next_text(session, each)] for each in found]
    more = "\n… and more" if page.cursor else ""
    return Told(columns(rows) + more)


def _call(session: Session, schedule: Schedule) -> str:
    try:
        call = session.client.encoder.decode(schedule.promise_param.to_tuple())
    except (Exception, SystemExit):  # whatever a stored value does while it is read
        call = None
    if not isinstance(call, dict) or "func" not in call:
        return f"makes {visible(schedule.promise_id)}"
    args, kwargs = list(call.get("args") or ()), dict(call.get("kwargs") or {})
    shown = ", ".join([short_repr(each, 40) for each in args] + [f"{key}={short_repr(each, 40)}" for key, each in kwargs.items()])
    return visible(f"{call['func']}({shown})")


def _told(schedule: Schedule) -> str:
    return f"{visible(schedule.cron)}, next {_when(schedule)}"


def _when(schedule: Schedule) -> str:
    """The time that is next, local, with the day where it is not today."""
    return moment(schedule.next_runtime / 1000)


def _next_text(session: Session, schedule: Schedule) -> str:
    if session.settings.stable:
        return "next when it is due"
    left = duration(max(0.0, schedule.next_runtime / 1000 - time.time()))
    return f"next at {_when(schedule)}{LOCAL if time.localtime().tm_gmtoff else ''}, in {left}"


def _bad_cron(session: Session, cron: str, why: str) -> Mistake:
    """The mistake for a cron expression that was refused: which field, where the expression can be read by its parts."""
    field = bad_field(cron, quartz.next_run if "current" in session.client.where[1] else cron_of_local.next_run)
    if field is None:
        return Mistake(f"{why.rstrip('.')}.", "cron")
    name, text = field
    hint = 'Write five fields: minute, hour, day of the month, month, day of the week, as "0 2 * * *".'
    return Mistake(f"`{visible(text)}` is no {name}. {hint}", f"cron:{text}")


def bad_field(cron: str, next_run: Callable[[str, int], int | None]) -> tuple[str, str] | None:
    """(its name, its text) of the first field that no expression can have; None when that is not what is wrong.

    >>> bad_field("0 25 * * *", cron_of_local.next_run)
    ('hour', '25')
    """
    fields = cron.split()
    if not 5 <= len(fields) <= 7 or cron.startswith("@"):
        return None
    names = FIELDS[1:6] if len(fields) == 5 else FIELDS[: len(fields)]
    for at, (name, text) in enumerate(zip(names, fields, strict=True)):
        alone = ["*"] * len(fields)
        alone[at] = text
        try:
            next_run(" ".join(alone), 0)
        except ValueError:
            return name, text
    return None
