"""How a promise's place in the call graph travels as tags, so that any process can draw the graph and notice changed code.

A server looks at none of these. Promises of other SDKs lack them, and then no more is known than that SDK's own tags tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast, get_args

from resonate.protocol import Kind, Lineage

ORIGIN = "resonate:origin"
ROOT = "resonate:root"
PARENT = "resonate:parent"
KIND, NAME, ARGUMENTS = "resonate:kind", "resonate:name", "resonate:arguments"
LAUNCH = "resonate:launch"
"""Of a run: the request that created it, so that one whose reply was lost is known again."""
_KINDS = frozenset(get_args(Kind))


def lineage_tags(promise_id: str, lineage: Lineage) -> dict[str, str]:
    """The tags that tell where a promise stands.

    >>> lineage_tags("a.1", Lineage("a", "a", "a", "run", "load", "3"))[NAME]
    'load'
    """
    tags = {
        ORIGIN: lineage.origin, KIND: lineage.kind, NAME: lineage.name, PARENT: promise_id if lineage.parent is None else lineage.parent,
        ROOT: promise_id if lineage.parent is None else lineage.root,
    }  # fmt: skip
    return tags if lineage.arguments is None else tags | {ARGUMENTS: lineage.arguments}


def read_lineage(promise_id: str, tags: Mapping[str, str]) -> tuple[Lineage | None, dict[str, str]]:
    """Where a promise stands, None where its tags do not tell; and the tags that are not about that."""
    kind = tags.get(KIND)
    if kind not in _KINDS or not tags.keys() >= {ORIGIN, ROOT, PARENT, NAME}:
        return None, dict(tags)
    parent = None if tags[PARENT] == promise_id else tags[PARENT]
    lineage = Lineage(tags[ORIGIN], tags[ROOT], parent, cast("Kind", kind), tags[NAME], tags.get(ARGUMENTS))
    return lineage, {name: text for name, text in tags.items() if name not in _OURS}


_OURS = frozenset((ORIGIN, ROOT, PARENT, KIND, NAME, ARGUMENTS, LAUNCH, "resonate:scope"))
