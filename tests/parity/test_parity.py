"""Every parity program under this SDK alone. `make parity` runs them under 0.6.7 too, and compares."""

from __future__ import annotations

import json
import logging

import pytest
from parity.harness import ANYTHING, Facts, run
from parity.programs import PROGRAMS

DEADLINE_TOLERANCE_MS = 1_000


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_does_here_what_it_declares(name: str) -> None:
    """A program gives what it says, and where it declares a difference, the facts are those declared for this side."""
    program = PROGRAMS[name]
    declared: Facts = program.expected | {fact: here for fact, (_, here, _) in program.differs.items()}
    logging.getLogger("resonate.functions").handlers.clear()  # as in a process of its own; pytest has put one on it
    # What goes through JSON on the way to the comparison does so here: tuples are lists there.
    seen = json.loads(json.dumps(run(program)))
    wrong = {fact: (told, seen.get(fact)) for fact, told in declared.items() if not _is_as_declared(fact, seen.get(fact), told)}
    assert not wrong, f"{{fact: (declared, seen)}} = {wrong}"


def _is_as_declared(fact: str, seen: object, declared: object) -> bool:
    if fact.endswith(" deadline") and isinstance(seen, int) and isinstance(declared, int):
        return abs(seen - declared) <= DEADLINE_TOLERANCE_MS  # it counts from a moment before the store's
    if isinstance(declared, str) and declared.endswith(ANYTHING):
        return declared == ANYTHING or (isinstance(seen, str) and seen.startswith(declared.removesuffix(ANYTHING)))
    return seen == json.loads(json.dumps(declared))
