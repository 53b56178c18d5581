"""This package and resonate-sdk 0.6.7 as clients of a server, with whatever of them the interpreter calls `resonate`."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from bare_calls import FAR, timed_calls
from common import expect, new_id
from workloads import ResonatePeer, durable_sleep

DATA = "NDI="  # what 0.6.7's own encoder would make of 42


class RemotePeer(ResonatePeer):
    """What both have: the low-level API of promises."""

    def calls(self, count: int) -> list[float]:
        promises = self.client.promises
        return timed_calls(
            count,
            lambda name: promises.create(id=name, timeout=FAR, ikey=name, tags={"resonate:scope": "local"}),
            lambda name: promises.resolve(id=name, ikey=name, data=DATA),
        )

    def nap(self, seconds: float) -> None:
        expect(self.functions[durable_sleep].run(new_id(), seconds), 1)


def our_peer(protocol: str, url: str) -> RemotePeer:
    """This package, by the legacy or the current protocol. Where messages are it finds out."""
    from resonate import Resonate

    return RemotePeer(Resonate.remote(host=url, protocol=protocol, log_level="ERROR"))


def reference_peer(url: str, message_port: int) -> RemotePeer:
    """resonate-sdk 0.6.7."""
    from resonate import Resonate

    parts = urlsplit(url)
    remote: Any = Resonate.remote  # ports are text there
    host = f"{parts.scheme}://{parts.hostname}"
    return RemotePeer(remote(host=host, store_port=str(parts.port), message_source_port=str(message_port), log_level="ERROR"))
