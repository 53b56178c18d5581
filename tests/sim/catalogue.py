"""Where the properties of the protocol's specification are held.

The specification of Resonate names its properties once for all implementations (`spec/02-abstract/properties.lean` in
resonatehq/resonate-specification). It describes the current protocol. The promise server here speaks the legacy one, in which each wake-up
is a task of its own and a counter goes up when a lease ends, not when one begins; so most properties hold in other words. `HELD` gives the
law that holds each of them here, `INAPPLICABLE` the reason why one cannot hold. A test wants every name in one of the two.
"""

from __future__ import annotations

HELD = {
    # ---- of one state
    "well_formed_promise_settled_at_lte_timeout_at": "ends_by_its_deadline",
    "well_formed_promise_created_at_lte_settled_at": "ends_after_it_began",
    "well_formed_promise_settled_at_iff_not_pending": "ended_when_settled",
    "well_formed_promise_pending_has_no_value": "pending_has_no_value",
    "well_formed_promise_deadline_verdict_matches_timer_tag": "deadline_verdict",
    "well_formed_promise_deadline_settlement_has_no_value": "deadline_verdict",
    "well_formed_promise_timer_not_targeted": "timers_have_no_target",
    "well_formed_promise_timedout_is_server_owned": "timeouts_are_the_servers",
    "well_formed_promise_callbacks_unique": "nobody_waits_twice",
    "well_formed_promise_listeners_unique": "nobody_waits_twice",
    "well_formed_promise_awaiter_is_not_self": "waiters_can_go_on",
    "well_formed_promise_created_at_lte_now": "nothing_in_the_future",
    "well_formed_promise_settled_at_lte_now": "nothing_in_the_future",
    "well_formed_task_acquired_iff_has_pid": "claimed_has_holder",
    "well_formed_task_acquired_iff_has_ttl": "lease_is_as_long_as_asked",
    "well_formed_task_acquired_iff_has_lease_timeout_at": "claimed_has_holder",
    "well_formed_task_pending_iff_has_retry_timeout_at": "claimed_has_holder",
    "well_formed_task_fulfilled_is_cleared": "completed_is_frozen",
    "well_formed_task_acquired_version_positive": "counter_goes_up",
    "well_formed_schedule_created_at_lte_next_run_at": "schedule_goes_on",
    "well_formed_schedule_created_at_lte_last_run_at": "schedule_goes_on",
    "well_formed_schedule_last_run_at_lt_next_run_at": "schedule_goes_on",
    "well_formed_store_object_ids_unique": "in_the_order_of_creation",
    "consistent_task_iff_kind_task": "target_means_task",
    "consistent_settled_promise_has_fulfilled_task": "no_task_of_the_dead",
    "consistent_callback_awaiter_is_resumable": "waiters_can_go_on",
    "consistent_outbox_execute_names_existing_task": "offers_are_true",
    "consistent_outbox_never_ahead": "offers_are_true",
    "consistent_outbox_execute_address_is_target_tag": "offers_are_true",
    "consistent_outbox_unblock_names_settled_promise": "news_is_true",
    "consistent_suspended_task_holds_rung": "no_waiter_is_lost",
    # ---- of one step
    "preserved_promise_birth_fields_immutable": "identity_is_kept",
    "preserved_settled_promise_record": "settled_is_final",
    "monotone_promise_set_grows": "nothing_is_forgotten",
    "monotone_task_set_grows": "nothing_is_forgotten",
    "monotone_task_version_increases_only_on_acquisition": "counter_goes_up",
    "preserved_fulfilled_task": "completed_is_frozen",
    "preserved_promise_state_frozen_once_settled": "settled_is_final",
    "preserved_promise_settlement_is_one_way": "one_way",
    "consistent_promise_settled_at_moves_with_state": "ended_when_settled",
    "preserved_promise_value_until_settlement": "pending_has_no_value",
    "preserved_promise_no_duplicate_ids": "in_the_order_of_creation",
    "monotone_promise_callbacks_grow_while_pending": "callbacks_last",
    "monotone_promise_callbacks_shrink_once_settled": "no_callback_of_the_settled",
    "monotone_promise_listeners_grow_while_pending": "callbacks_last",
    "monotone_promise_listeners_shrink_once_settled": "no_callback_of_the_settled",
    "consistent_promise_state_edge_admissible": "one_way",
    "consistent_task_state_edge_admissible": "task_table",
    "preserved_task_acquisition_only_from_pending": "claimed_by_claim",
    "consistent_settlement_fulfils_task": "no_task_of_the_dead",
    "consistent_obligation_discharge_requires_settled": "callbacks_last",
    "consistent_callback_consumption_resumes_awaiter": "each_waiter_gets_one_task",
    "consistent_listener_consumption_enqueues_unblock": "told_once",
    "consistent_wake_follows_callback_consumption": "each_waiter_gets_one_task",
    "consistent_suspension_registers_callback": "each_waiter_is_kept",
    "consistent_task_birth_couples_promise_birth": "born_with_its_cause",
    "consistent_new_execute_matches_task_and_target": "offers_are_true",
    "consistent_new_unblock_carries_stored_record": "news_is_true",
    "consistent_new_unblock_discharges_its_listener": "told_once",
    "preserved_schedule_birth_fields_immutable": "schedule_is_kept",
    "consistent_task_birth_state": "born_with_its_cause",
    "consistent_task_lease_released_atomically": "claimed_has_holder",
    "preserved_task_lease_holder_stable": "holder_is_stable",
    "consistent_task_lease_fields_move_together": "lease_is_as_long_as_asked",
    "preserved_no_dead_dispatch": "no_offer_of_the_dead",
    "preserved_execute_only_for_live_task": "no_offer_of_the_dead",
    "consistent_promise_settlement_stamp": "settled_in_time",
    "preserved_timedout_is_server_owned": "timeouts_are_the_servers",
    "consistent_new_promise_born_clean": "born_pending",
    "consistent_task_acquisition_is_atomic": "claimed_by_claim",
    "consistent_task_lease_deadline_is_now_plus_ttl": "lease_is_as_long_as_asked",
    "consistent_task_pending_entry_arms_retry": "offer_lasts",
    "consistent_task_retry_rearm_only_when_due": "offer_lasts",
    "monotone_task_retry_rearm_advances": "offer_lasts",
    "consistent_task_wake_records_resume": "each_waiter_gets_one_task",
    "consistent_promise_state_edge_internal_admissible": "deadline_verdict",
    "consistent_task_state_edge_internal_admissible": "claimed_by_claim",
}
"""Property of the specification -> law that holds it here."""

_DEAD_BORN = "a client whose clock is behind may ask for a deadline that has passed: the promise is made, and over when anybody looks"
_NO_COMBINATORS = "there are no combinators"
_NO_SUSPENSION = "a run that waits has no open task, instead of a suspended one"
_NO_RESUMES = "each wake-up is a task of its own, instead of an entry in one task"
_PARKS_COMPLETE = "a task is completed by parking as well, while its promise is pending"
_BY_CONSTRUCTION = "ids are the keys of a dict"

INAPPLICABLE = {
    "well_formed_promise_created_at_lte_timeout_at": _DEAD_BORN,
    "well_formed_promise_pending_created_before_deadline": _DEAD_BORN,
    "well_formed_promise_obligations_require_external": "any promise can be awaited",
    "well_formed_promise_callbacks_same_origin": "runs of different call graphs may wait for the same promise",
    "well_formed_task_suspended_is_cleared": _NO_SUSPENSION,
    "well_formed_task_halted_is_cleared": "no task is halted: who stops a run keeps its lease for a while and gives it back",
    "well_formed_task_suspended_has_no_resumes": _NO_SUSPENSION,
    "well_formed_task_resumes_unique": _NO_RESUMES,
    "well_formed_schedule_promise_tags_not_timer_targeted": "the server does not look into a schedule's tags before they are due",
    "well_formed_schedule_promise_tags_not_combinator": _NO_COMBINATORS,
    "well_formed_store_schedule_ids_unique": _BY_CONSTRUCTION,
    "well_formed_store_outbox_keys_unique": "messages are handed over at once and not kept",
    "well_formed_promise_combinator_is_well_formed": _NO_COMBINATORS,
    "consistent_combinator_children_exist": _NO_COMBINATORS,
    "consistent_settled_task_promise_settled": _PARKS_COMPLETE,
    "preserved_task_suspension_only_from_acquired": _NO_SUSPENSION,
    "preserved_task_halted_only_reenters_via_pending": "no task is halted",
    "consistent_task_fulfilment_needs_settlement": _PARKS_COMPLETE,
    "consistent_combinator_settlement_matches_rule": _NO_COMBINATORS,
    "monotone_outbox_keys_never_disappear": "messages are handed over at once and not kept",
    "monotone_task_resumes_grow_or_clear": _NO_RESUMES,
    "consistent_task_resumes_cleared_only_on_dispatch_or_park": _NO_RESUMES,
}
"""Property of the specification -> why it cannot hold here."""
