"""Why a settled promise has no value, in a few words: for pictures and warnings. Pure."""

from __future__ import annotations

import json

from resonate.limits import ERROR_TEXT_LIMIT
from resonate.protocol import TRACEBACK_HEADER, Encoded, PromiseRecord


def error_text(record: PromiseRecord) -> str:
    """A short text of why a settled promise has no value; empty when it has one."""
    return _text_of(record.value) if record.state == "REJECTED" else ""


def _text_of(value: Encoded) -> str:
    headers, data = value
    shown = (headers or {}).get(TRACEBACK_HEADER, "").rstrip().rpartition("\n")[2]
    if shown:
        return shown[:ERROR_TEXT_LIMIT]
    try:
        plain = json.loads(data) if data else None
    except (ValueError, RecursionError):
        plain = data
    if isinstance(plain, dict):
        told = plain.get("__error__", plain.get("message") if plain.get("__type") in ("error", "aggregate_error") else None)
        plain = told if isinstance(told, str) else plain
    return ("rejected without a reason" if plain is None else str(plain))[:ERROR_TEXT_LIMIT]
