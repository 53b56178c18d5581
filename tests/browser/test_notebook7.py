"""What holds in JupyterLab holds in Notebook 7: the same tests, in its page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab import Lab
from test_lab import (  # noqa: F401
    begun,
    test_a_button_works_while_a_cell_awaits,
    test_a_click_on_a_call_opens_its_arguments_and_its_value,
    test_a_failed_run_is_retried_from_its_picture,
    test_a_page_that_is_loaded_again_shows_the_same_calls_and_goes_on,
    test_a_restarted_kernel_leaves_a_picture_that_says_so,
    test_a_wait_for_ones_own_answer_says_to_press_stop_and_stop_lets_the_answer_through,
    test_an_answer_to_a_busy_kernel_is_said_to_be_queued_and_is_carried_out,
    test_an_interrupt_while_waiting_leaves_the_picture_live,
    test_calls_appear_and_change_their_state_and_an_answer_in_the_page_ends_the_run,
    test_no_key_that_is_pressed_in_a_picture_reaches_the_cells,
    test_the_end_of_a_run_leaves_what_a_person_has_open,
    test_two_runs_in_two_cells_are_two_pictures,
    test_two_views_of_one_run_agree,
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A Notebook 7 server for the tests of this file."""
    pytest.importorskip("notebook")
    server = Lab(tmp_path_factory.mktemp("notebook"), "notebook")
    yield server
    server.stop()
