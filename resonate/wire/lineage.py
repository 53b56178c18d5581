"""How a promise's place in the call graph travels as tags, so that any process can draw the graph and notice changed code.

No server looks at `resonate:call`; it tells what the other tags have no room for, or would have refused. Promises of other SDKs lack it,
and then no more is known of them than those tags say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import get_args

from resonate.protocol import Kind, Lineage, PromiseRecord

ORIGIN = "resonate:origin"
ROOT = "resonate:root"
CALL = "resonate:call"
"""JSON: kind, name, text of the arguments, the run whose lease covers it, the promise that it is a child of."""
LAUNCH = "resonate:launch"
"""Of a run: the request that created it, so that one whose reply was lost is known again."""
_KINDS = frozenset(get_args(Kind))
_TOLD = frozenset((ORIGIN, ROOT, CALL, LAUNCH, "resonate:parent", "resonate:scope", "resonate:external"))


def call_tag(lineage: Lineage) -> str:
    """What `resonate:call` says of a promise.

    >>> call_tag(Lineage("a", "a", "a", "run", "load", "3"))
    '["run", "load", "3", "a", "a"]'
    """
    return json.dumps([lineage.kind, lineage.name, lineage.arguments, lineage.root, lineage.parent])


def read_lineage(tags: Mapping[str, str]) -> tuple[Lineage | None, dict[str, str]]:
    """Where a promise stands, None where its tags do not tell; and the tags that are not about that."""
    origin = tags.get(ORIGIN) or tags.get(ROOT)
    try:
        kind, name, arguments, root, parent = json.loads(tags[CALL])
    except (KeyError, ValueError, TypeError, RecursionError):
        return None, {each: text for each, text in tags.items() if each != LAUNCH}
    is_text = all(isinstance(each, str) for each in (origin, kind, name, root))
    if origin is None or not is_text or kind not in _KINDS or not isinstance(arguments, str | None) or not isinstance(parent, str | None):
        return None, {each: text for each, text in tags.items() if each != LAUNCH}
    return Lineage(origin, root, parent, kind, name, arguments), {each: text for each, text in tags.items() if each not in _TOLD}


def guessed_lineage(record: PromiseRecord, origin: str) -> Lineage:
    """Where a promise of another SDK, or one that was made by hand, seems to stand: by its tags, else by its id."""
    tags = record.tags or {}
    kind: Kind = "promise"
    if record.timer:
        kind = "sleep"
    elif record.target is not None:
        kind = "run" if record.id == origin else "rpc"
    elif tags.get("resonate:scope") == "local":
        kind = "run"
    above, _, last = record.id.replace(":", ".").rpartition(".")
    parent: str | None = tags.get("resonate:parent", record.id)
    if parent == record.id:
        parent = None if record.id == origin else record.id[: len(above)] or origin
    name = kind if kind in ("promise", "sleep") else last
    return Lineage(origin, tags.get(ROOT, origin), parent, kind, name)
