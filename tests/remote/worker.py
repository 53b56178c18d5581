"""A worker in a process of its own: `python -m tests.remote.worker URL PROTOCOL GROUP LEDGER TTL`. Its steps tell a ledger."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from resonate import Resonate
from tests.remote.programs import register, start


def main(url: str, protocol: str, group: str, ledger: str, ttl: str) -> None:
    file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def tell(step: str) -> None:
        os.write(file, f"{os.getpid()} {step}\n".encode())

    resonate = Resonate.remote(host=url, protocol=protocol, group=group, ttl=int(ttl), log_level="ERROR", workers=4)
    register(resonate, tell)

    def wait_for(ctx: Any, path: str) -> str:
        tell(f"{ctx.id} waiting")
        while not Path(path).exists():
            time.sleep(0.01)
        tell(f"{ctx.id} waited")
        return "waited"

    def last(ctx: Any) -> str:
        tell(f"{ctx.id} last")
        return "last"

    def first(ctx: Any) -> str:
        tell(f"{ctx.id} first")
        return "first"

    @resonate.register
    def waits(ctx: Any, path: str) -> Any:
        return [(yield ctx.run(first)), (yield ctx.run(wait_for, path)), (yield ctx.run(last))]

    start(resonate)
    print("started", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
