"""Laws of schedules: what can be created, when it is due, and what comes of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from benches import DEFAULT, HOUR_MS, Bench, refusal, shown

EVERY = "*/10 * * * * *"
STAMPED = "{{.id}}/{{.timestamp}}"


def fields(schedule: Any) -> dict[str, Any]:
    """Every field of a schedule, as plain values."""
    names = ("id", "description", "cron", "promise_id", "promise_timeout", "last_runtime", "next_runtime", "ikey", "created_on")
    shown = {name: getattr(schedule, name) for name in names}
    param = schedule.promise_param.to_tuple()
    return shown | {"tags": dict(schedule.tags), "promise_tags": dict(schedule.promise_tags), "promise_param": param}


def made(bench: Bench) -> list[Any]:
    """The promises there are, oldest first."""
    return bench.promises.search("*").promises[::-1]


def test_a_schedule_is_kept_as_it_was_given(bench: Bench) -> None:
    """Creating, reading and finding a schedule give the same, with the time that is next."""
    answer = bench.schedules.create(
        "s", EVERY, "x.{{.timestamp}}", 60_000, ikey="k", description="ten", tags={"x": "1"}, promise_headers={"h": "1"},
        promise_data="[1]", promise_tags={"y": "2"},
    )  # fmt: skip
    assert fields(answer) == {
        "id": "s", "description": "ten", "cron": EVERY, "promise_id": "x.{{.timestamp}}", "promise_timeout": 60_000, "last_runtime": None,
        "next_runtime": (bench.now + 10_000) // 1000 * 1000, "ikey": "k", "created_on": bench.about(bench.now), "tags": {"x": "1"},
        "promise_tags": {"y": "2"}, "promise_param": ({"h": "1"}, "[1]"),
    }  # fmt: skip
    assert fields(bench.schedules.get("s")) == fields(bench.schedules.search("s").schedules[0]) == fields(answer)


def test_what_is_left_out_is_empty(bench: Bench) -> None:
    """A schedule needs an id, a cron expression, a promise id and a timeout; all else is then none or empty."""
    kept = fields(bench.schedules.create("s", EVERY, "p", 1))
    left_out = {"description": None, "ikey": None, "tags": {}, "promise_tags": {}, "promise_param": (None, None)}
    assert kept | left_out == kept


@pytest.mark.parametrize(("kept", "given", "same"), [
    ("k", "k", True), ("", "", True), ("k", "other", False), ("k", None, False), (None, "k", False), (None, None, False), (None, "", False),
])  # fmt: skip
def test_create_table(bench: Bench, kept: str | None, given: str | None, same: bool) -> None:
    """A repeat with the same key is answered with the first schedule, any other is refused, and neither changes it."""
    first = fields(bench.schedules.create("s", EVERY, "p", 1, ikey=kept))
    if same:
        assert fields(bench.schedules.create("s", "@daily", "q", 2, ikey=given, tags={"n": "1"})) == first
    else:
        assert refusal(bench.schedules.create, "s", "@daily", "q", 2, ikey=given) == 40901
    assert fields(bench.schedules.get("s")) == first


def test_what_is_not_there(bench: Bench) -> None:
    """An unknown schedule cannot be read or deleted, nor a deleted one, and its id is free again."""
    assert [refusal(call, "s") for call in (bench.schedules.get, bench.schedules.delete)] == [40401, 40401]
    bench.schedules.create("s", EVERY, "p", 1, ikey="k")
    bench.schedules.delete("s")
    assert [refusal(call, "s") for call in (bench.schedules.get, bench.schedules.delete)] == [40401, 40401]
    again = bench.schedules.create("s", "@daily", "p", 1, ikey="other")
    again.delete()
    assert bench.schedules.search().schedules == []


@pytest.mark.needs("simulated time")
@pytest.mark.parametrize(("cron", "first", "second"), [
    ("*/5 * * * *", "2026-01-01 00:05", "2026-01-01 00:10"), ("0 6 * * *", "2026-01-01 06:00", "2026-01-02 06:00"),
    ("0 0 * * *", "2026-01-02", "2026-01-03"), ("15,45 8-9 * * *", "2026-01-01 08:15", "2026-01-01 08:45"),
    ("5/20 * * * *", "2026-01-01 00:05", "2026-01-01 00:25"), ("0 0 ? * mon", "2026-01-05", "2026-01-12"),
    ("0 9 * * MON-FRI", "2026-01-01 09:00", "2026-01-02 09:00"), ("0 0 * * 0", "2026-01-04", "2026-01-11"),
    ("0 0 1 */3 *", "2026-04-01", "2026-07-01"), ("0 0 13 * 5", "2026-01-02", "2026-01-09"), ("0 0 29 2 *", "2028-02-29", "2032-02-29"),
    ("* * * * * *", "2026-01-01 00:00:01", "2026-01-01 00:00:02"), ("30 * * * * *", "2026-01-01 00:00:30", "2026-01-01 00:01:30"),
    ("59 59 23 31 12 *", "2026-12-31 23:59:59", "2027-12-31 23:59:59"), ("@every 10s", "2026-01-01 00:00:10", "2026-01-01 00:00:20"),
    ("@every 1h30m", "2026-01-01 01:30", "2026-01-01 03:00"), ("@every 500ms", "2026-01-01 00:00:01", "2026-01-01 00:00:02"),
    ("@hourly", "2026-01-01 01:00", "2026-01-01 02:00"), ("@daily", "2026-01-02", "2026-01-03"), ("@midnight", "2026-01-02", "2026-01-03"),
    ("@weekly", "2026-01-04", "2026-01-11"), ("@monthly", "2026-02-01", "2026-03-01"), ("@yearly", "2027-01-01", "2028-01-01"),
    ("@annually", "2027-01-01", "2028-01-01"),
])  # fmt: skip
def test_when_a_schedule_is_due(bench: Bench, cron: str, first: str, second: str) -> None:
    """Five fields, six with the seconds first, a name or `@every`, in UTC: this is due first, and this next (from 2026-01-01 00:00)."""
    times = [int(datetime.fromisoformat(each).replace(tzinfo=UTC).timestamp() * 1000) for each in (first, second)]
    assert bench.schedules.create("s", cron, "p.{{.timestamp}}", HOUR_MS).next_runtime == times[0]
    bench.advance(times[0] - bench.now - 1)
    assert bench.schedules.get("s").last_runtime is None
    assert made(bench) == []
    bench.advance(1)
    now = bench.schedules.get("s")
    assert [now.last_runtime, now.next_runtime] == times
    assert [promise.id for promise in made(bench)] == [f"p.{times[0]}"]


@pytest.mark.parametrize("cron", [
    "", " ", "soon", "*", "* * * *", "61 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "60 * * * * *",
    "* * * * * * *", "5-1 * * * *", "*/0 * * * *", "-1 * * * *", "1.5 * * * *", "a b c d e", "R R * * *", "H H * * *", "0 0 L * *",
    "0 0 * * 5#1", "0 0 15W * *", "0 0 * * FRI-MON", "* * * * *; x", "@never", "@reboot", "@every", "@every x", "@every 10",
    "@every -10s", "@every 1d", "@every 10s 10", "@every 10 s", "@@daily", "@", "\x00",
])  # fmt: skip
def test_what_is_no_cron_expression(bench: Bench, cron: str) -> None:
    """Anything but five or six fields, a name or `@every` with a duration is refused, and nothing is kept."""
    assert refusal(bench.schedules.create, "s", cron, "p", 1) == 40000
    assert refusal(bench.schedules.get, "s") == 40401


@pytest.mark.needs("checked templates")
@pytest.mark.parametrize("template", ["x{{", "{{.id", "{{", "{{}}", "{{.nope}}", "{{id}}", "{{.id.x}}", "x{{.id}}{{", "{{.timestamp }", ""])
def test_what_is_no_promise_id(bench: Bench, template: str) -> None:
    """A promise id that could never be made is refused when the schedule is created, not when it is due."""
    assert refusal(bench.schedules.create, "s", EVERY, template, 1) == 40000
    assert refusal(bench.schedules.get, "s") == 40401


@pytest.mark.parametrize(("template", "expected"), [
    ("plain", "plain"), ("{{.id}}", "s/1"), ("{{.timestamp}}", "{due}"), ("{{ .id }}.{{ .timestamp }}", "s/1.{due}"),
    ("{{.id}}{{.id}}-{{.timestamp}}", "s/1s/1-{due}"), ("100%/{.id}/$1\\1", "100%/{.id}/$1\\1"),
])  # fmt: skip
def test_how_a_promise_gets_its_id(bench: Bench, template: str, expected: str) -> None:
    """`{{.id}}` stands for the schedule's id, `{{.timestamp}}` for the time that was due, the rest for itself."""
    due = bench.schedules.create("s/1", EVERY, template, 60_000).next_runtime
    bench.advance(due - bench.now)
    assert [promise.id for promise in made(bench)] == [expected.replace("{due}", str(due))]


def test_what_a_schedule_makes(bench: Bench) -> None:
    """The promise is pending, has its deadline from the time that was due, the given param and tags, two tags of its own, and no key."""
    given = {"y": "2", "resonate:schedule": "mine", "resonate:invocation": "false"}
    due = bench.schedules.create(
        "s", EVERY, STAMPED, 7000, ikey="k", tags={"x": "1"}, promise_headers={"h": "1"}, promise_data="[1]", promise_tags=given
    ).next_runtime
    bench.advance(due - bench.now)
    (promise,) = made(bench)
    assert shown(promise) == {
        "id": f"s/{due}", "state": "PENDING", "timeout": due + 7000, "ikey_for_create": None, "ikey_for_complete": None,
        "param": ({"h": "1"}, "[1]"), "value": (None, None), "created_on": bench.about(bench.now), "completed_on": None,
        "tags": {"y": "2", "resonate:schedule": "s", "resonate:invocation": "true"},
    }  # fmt: skip
    assert fields(bench.schedules.get("s"))["promise_tags"] == given
    bench.advance(7000)
    assert bench.promises.get(promise.id).timedout


def test_a_schedule_starts_runs(bench: Bench) -> None:
    """A scheduled promise with an address sends an invoke message each time, and can be claimed."""
    due = bench.schedules.create("s", EVERY, STAMPED, HOUR_MS, promise_tags={"resonate:invoke": DEFAULT}).next_runtime
    for time in (due, due + 10_000):
        bench.advance(time - bench.now)
        task = bench.one_task()
        assert (task["id"], task["timeout"]) == (f"__invoke:s/{time}", time + HOUR_MS)
        assert bench.tasks.claim(task["id"], 1, "w1", 60_000)[0].id == f"s/{time}"


def test_missed_times_are_caught_up_one_by_one(bench: Bench) -> None:
    """After a pause each time that was missed has its promise, oldest first, with its own deadline; those long past are over at once."""
    due = bench.schedules.create("s", EVERY, STAMPED, 15_000).next_runtime
    bench.elapse(due - bench.now + 30_500)
    bench.advance()
    times = [due + number * 10_000 for number in range(4)]
    assert [(promise.id, promise.timeout) for promise in made(bench)] == [(f"s/{time}", time + 15_000) for time in times]
    assert [promise.timedout for promise in made(bench)] == [True, True, False, False]
    schedule = bench.schedules.get("s")
    assert (schedule.last_runtime, schedule.next_runtime) == (times[-1], times[-1] + 10_000)


def test_a_taken_id_does_not_stop_a_schedule(bench: Bench) -> None:
    """Where the promise is there already it stays as it is, and the schedule goes on to its next time."""
    due = bench.schedules.create("s", EVERY, STAMPED, 60_000, promise_data="[1]").next_runtime
    there = shown(bench.create(f"s/{due}", data="[2]"))
    bench.advance(due - bench.now)
    assert shown(bench.promises.get(f"s/{due}")) == there
    assert bench.schedules.get("s").last_runtime == due
    bench.advance(10_000)
    assert bench.promises.get(f"s/{due + 10_000}").param.data == "[1]"


def test_a_deleted_schedule_is_not_due(bench: Bench) -> None:
    """After its deletion nothing more is made, what was made stays, and a new one under its id has its own times."""
    due = bench.schedules.create("s", EVERY, STAMPED, HOUR_MS).next_runtime
    bench.advance(due - bench.now)
    bench.schedules.delete("s")
    bench.schedules.create("s", "@every 1m", STAMPED, HOUR_MS)
    bench.advance(50_000)
    assert [promise.id for promise in made(bench)] == [f"s/{due}"]
    bench.advance(10_000)
    assert len(made(bench)) == 2


def test_schedules_do_not_disturb_each_other(bench: Bench) -> None:
    """Schedules that are due at the same time each make their promise."""
    for name in "abc":
        bench.schedules.create(name, EVERY, "{{.id}}.{{.timestamp}}", HOUR_MS)
    bench.schedules.delete("b")
    bench.advance(20_000)
    assert sorted(promise.id[0] for promise in made(bench)) == ["a", "a", "c", "c"]


def test_no_deadline_is_too_far_to_be_kept(bench: Bench) -> None:
    """The promise of a schedule whose timeout leads beyond the largest number gets that as its deadline."""
    bench.schedules.create("s", EVERY, "p", 2**63 - 1)
    bench.advance(11_000)
    assert bench.promises.get("p").timeout == 2**63 - 1
