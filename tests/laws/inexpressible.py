"""What a wire cannot say: the laws (or some of their cases) that are left out behind it, each with the reason. The only such table.

A case stands here only because its protocol has no words for it, never because a client fails at it. `LAWS_TRY_ALL=1 pytest tests/laws`
tries every one of them all the same, and fails where one could be kept after all. What the current protocol says instead is held by
`test_runs.py` on every store, and by the recorded exchanges of a server (`tests/pure/test_current_recordings.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

LEGACY, CURRENT = "legacy wire", "current wire"
Case = Mapping[str, Any]
"""The parameters of a law's case, by name."""


class Row(NamedTuple):
    """Cases of a law that a wire cannot say."""

    wire: str
    law: str
    reason: str
    which: Callable[[Case], bool] = lambda case: True


NO_KEYS = "the current protocol has no idempotency keys and no strict writes: creating again gives what is there"
NO_LEGACY_TASKS = "the current protocol has one task for each promise, named as that and counted from 0; its laws are in test_runs"
NO_SUCH_WAITS = "the current protocol lets only a run with a task wait, all at once, and gives no callbacks to look at; see test_runs"
BY_ID = "the current protocol finds promises and schedules in the order of their ids, not of their creation"
OTHER_CRON = "the current protocol's cron expressions are another language (Quartz, no `@every`)"
FEWER_MEMBERS = "a schedule of the current protocol has neither key, description nor tags of its own"
AT_THE_DOOR = "the current protocol refuses at the door what is no whole address"
NO_LOOK = "the legacy protocol shows no task to anybody but its holder"
OTHER_NOTICES = "a notice of the current protocol has no keys, and is none of the legacy shape"
OWN_TAGS = "the promise of a schedule of the current protocol has other tags, and one long past is born settled"
ONE_GENERATION = "a client speaks one generation, and this law is of both side by side"
_LAWS_OF_BOTH = ("test_a_fenced_lease_guards_the_writes_that_name_it", "test_what_was_pruned_is_gone")
_TASK_LAWS = (
    "test_tasks.test_complete_table", "test_what_a_task_request_must_have",
    "test_a_lapsed_lease_goes_out_with_the_next_counter", "test_heartbeats_extend_what_the_process_holds_and_nothing_else",
    "test_a_heartbeat_counts_no_task_that_has_ended", "test_a_task_in_hand_acts_for_itself",
    "test_an_unclaimed_task_is_sent_again_after_the_window", "test_the_window_begins_when_the_task_is_sent",
    "test_what_nobody_receives_is_sent_again_with_the_same_counter", "test_one_task_of_a_run_at_a_time_oldest_first",
    "test_runs_do_not_wait_for_each_other", "test_a_task_is_not_sent_beyond_its_own_timeout",
    "test_a_delayed_task_is_not_sent_before_its_time", "test_a_delay_that_is_no_time_to_come_is_ignored",
    "test_a_delayed_task_can_be_claimed", "test_a_task_can_be_looked_at", "test_a_task_that_its_holder_completed_has_none_any_more",
    "test_trace_context_goes_from_the_request_to_the_message", "test_the_shape_of_task_messages",
    "test_a_schedule_starts_runs", "test_every_run_goes_through_its_whole_life", "test_everything_is_read_back_as_it_was_acknowledged",
    "test_whoever_looks_ends_an_expired_promise_with_all_that_follows", "test_completion_in_one_step",
    "test_a_resume_falls_back_to_the_group",
)  # fmt: skip
_CALLBACK_LAWS = (
    "test_waiting_for_a_pending_promise", "test_waiting_for_a_completed_promise", "test_nobody_waits_in_vain_for_an_expired_promise",
    "test_a_promise_cannot_wait_for_itself", "test_the_run_that_waits_need_not_exist", "test_a_resumed_run_gets_what_it_waited_for",
    "test_a_settlement_is_told_once", "test_runs_whose_ids_read_alike_are_both_resumed", "test_a_callback_can_be_fenced",
)  # fmt: skip


def _needs_keys_to_create(case: Case) -> bool:
    current, keys = case["current"], case["keys"]
    if current == "absent":
        return keys not in ("none given", "neither")
    return keys not in ("same", "both empty") or (case["strict"] and current != "PENDING")


def _needs_keys_to_settle(case: Case) -> bool:
    current, keys = case["current"], case["keys"]
    if current == "PENDING":
        return keys not in ("none given", "neither")
    is_completed = current in ("RESOLVED", "REJECTED", "REJECTED_CANCELED")
    return is_completed and keys in ("same", "both empty") and (not case["strict"] or current == case["wanted"])


def _is_no_address(case: Case) -> bool:
    return not str(case["address"]).startswith(("poll://any@", "poll://uni@"))


_OTHER_CRONS = ("0 0 * * 0", "0 0 13 * 5", "@midnight", "@annually")


_READ_ALIKE = (("absent", True), ("absent", False), ("ENQUEUED", False))
_DROPPED_ALIKE = (("INIT", True), ("INIT", False), ("ENQUEUED", False))


_ROWS = [
    Row(LEGACY, "test_a_task_can_be_looked_at", NO_LOOK),
    Row(LEGACY, "test_a_task_that_its_holder_completed_has_none_any_more", NO_LOOK),
    Row(LEGACY, "test_a_schedule_is_kept_as_it_was_given", "a schedule that is found shows nothing of its promises"),
    *(Row(wire, law, ONE_GENERATION) for wire in (LEGACY, CURRENT) for law in _LAWS_OF_BOTH),
    *(Row(CURRENT, law, NO_LEGACY_TASKS) for law in _TASK_LAWS),
    Row(CURRENT, "test_claim_table", NO_LEGACY_TASKS, lambda case: (case["state"], case["same"]) not in _READ_ALIKE),
    Row(CURRENT, "test_drop_table", NO_LEGACY_TASKS, lambda case: (case["state"], case["same"]) not in _DROPPED_ALIKE),
    Row(CURRENT, "test_a_task_can_be_born_claimed", NO_LEGACY_TASKS, lambda case: bool(case["tags"])),
    Row(CURRENT, "test_a_run_that_is_over_is_not_sent", NO_LEGACY_TASKS, lambda case: case["end"] != "born expired"),
    Row(CURRENT, "test_which_promises_have_a_task", NO_LEGACY_TASKS, lambda case: case["routed"]),
    *(Row(CURRENT, law, NO_SUCH_WAITS) for law in _CALLBACK_LAWS),
    Row(CURRENT, "test_promises.test_create_table", NO_KEYS, _needs_keys_to_create),
    Row(CURRENT, "test_promises.test_complete_table", NO_KEYS, _needs_keys_to_settle),
    Row(
        CURRENT, "test_values_come_back_as_they_went_in", "the current protocol takes empty data for no data",
        lambda case: case["data"] == "",
    ),
    Row(CURRENT, "test_a_promise_may_be_born_expired", "the current protocol settles at once what is born past its deadline"),
    Row(CURRENT, "test_random_walks_agree_with_the_reference", "the walks are of legacy tasks; those of fenced ones have their own"),
    Row(CURRENT, "test_the_shape_of_notices", OTHER_NOTICES),
    Row(CURRENT, "test_where_an_address_leads", NO_LEGACY_TASKS, lambda case: case["kind"] != "notify" and not _is_no_address(case)),
    Row(CURRENT, "test_where_an_address_leads", AT_THE_DOOR, _is_no_address),
    Row(CURRENT, "test_what_tags_leave", FEWER_MEMBERS, lambda case: True),
    Row(CURRENT, "test_pages_show_everything_once", BY_ID, lambda case: case["count"] > 0),
    Row(CURRENT, "test_with_a_cursor_all_else_is_ignored", BY_ID),
    Row(CURRENT, "test_pages_stay_as_they_were_whatever_comes_between", BY_ID), Row(CURRENT, "test_schedules_have_pages_too", BY_ID),
    Row(
        CURRENT, "test_what_a_state_leaves", "a search of the current protocol shows an overdue promise as it is stored",
        lambda case: case["ticked"] is False and case["state"] is not None,
    ),
    Row(CURRENT, "test_a_schedule_is_kept_as_it_was_given", FEWER_MEMBERS),
    Row(CURRENT, "test_a_lost_reply_gives_nobody_anothers_promise", NO_KEYS),
    Row(CURRENT, "test_schedules.test_create_table", NO_KEYS),  # even the same key: the answer shows none
    Row(CURRENT, "test_when_a_schedule_is_due", OTHER_CRON, lambda case: case["cron"] in _OTHER_CRONS or "@every" in case["cron"]),
    Row(CURRENT, "test_what_is_no_cron_expression", OTHER_CRON, lambda case: case["cron"] == "* * * * * * *"),
    Row(CURRENT, "test_what_is_no_promise_id", "the current protocol takes any text as a template", lambda case: case["template"] != ""),
    Row(CURRENT, "test_how_a_promise_gets_its_id", "the current protocol's templates have no spaces", lambda case: " " in case["template"]),
    Row(CURRENT, "test_what_a_schedule_makes", OWN_TAGS), Row(CURRENT, "test_missed_times_are_caught_up_one_by_one", OWN_TAGS),
    Row(CURRENT, "test_a_deleted_schedule_is_not_due", OTHER_CRON),
    Row(CURRENT, "test_no_deadline_is_too_far_to_be_kept", "a number beyond 64 bits is no time on this wire"),
]  # fmt: skip


def reason(law: str, case: Case) -> str | None:
    """Why a case of a law (`test_module.test_law`) is left out; None where it is tried."""
    return next((row.reason for row in _ROWS if _is_about(row, law) and row.wire == case["bench"] and row.which(case)), None)


def _is_about(row: Row, law: str) -> bool:
    return law == row.law or law.endswith(f".{row.law}")


def unused(laws: set[str]) -> list[str]:
    """Rows that are about none of these laws."""
    return [row.law for row in _ROWS if not any(_is_about(row, law) for law in laws)]
