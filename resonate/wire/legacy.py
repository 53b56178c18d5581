"""The tags of the legacy protocol (SDK 0.6.7, server v0.7.9 to v0.8.2): how lineage, target and timers are written into a promise."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from resonate.protocol import PromiseRecord

INVOKE = "resonate:invoke"
TIMEOUT = "resonate:timeout"


def tags_of(record: PromiseRecord) -> dict[str, str]:
    """All tags of a promise as the legacy protocol shows them: the user's, overridden by the system's of the same name."""
    tags = dict(record.tags or {})
    lineage = record.lineage
    if record.timer:
        tags[TIMEOUT] = "true"
    if lineage is not None and lineage.kind in ("run", "rpc", "detached"):
        is_global = record.target is not None
        tags["resonate:root"] = record.id if lineage.parent is None else lineage.root
        tags["resonate:parent"] = record.id if lineage.parent is None else lineage.parent
        tags["resonate:scope"] = "global" if is_global else "local"
    if record.target is not None:
        tags[INVOKE] = record.target
    return tags


def read_tags(tags: Mapping[str, str] | None) -> tuple[str | None, bool]:
    """What a server reads from tags: the target address, if any, and whether the promise resolves at its deadline."""
    if not tags:
        return None, False
    return tags.get(INVOKE), tags.get(TIMEOUT) == "true"


def address_of(target: str) -> str:
    """The address of a logical target: `workers` is any worker of that group, a URL stands for itself.

    >>> address_of("workers"), address_of("poll://any@workers/w1")
    ('poll://any@workers', 'poll://any@workers/w1')
    """
    parts = urlsplit(target)
    return target if parts.scheme and parts.netloc else f"poll://any@{target}"
