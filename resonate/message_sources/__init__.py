"""Where a process gets its messages from. Anything that offers `resonate.models.message_source.MessageSource` can stand here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resonate.message_sources.local import LocalMessageSource

if TYPE_CHECKING:
    from resonate.message_sources.poller import Poller
    from resonate.message_sources.push import PushListener

__all__ = ["LocalMessageSource", "Poller", "PushListener"]


def __getattr__(name: str) -> Any:
    if name == "Poller":  # both are imported where they are used, as what they need of HTTP takes its time
        from resonate.message_sources.poller import Poller

        return Poller
    if name == "PushListener":
        from resonate.message_sources.push import PushListener

        return PushListener
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
