"""All programs, by name."""

from __future__ import annotations

from parity import calls, failures, guide, mistakes, options, stores, values
from parity.harness import PROGRAMS

SUBJECTS = (guide, calls, options, values, failures, mistakes, stores)
"""The modules whose import added their programs."""

__all__ = ["PROGRAMS", "SUBJECTS"]
