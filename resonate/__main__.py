"""`python -m resonate dev`: the development server from a terminal."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

from resonate.errors import ResonateError
from resonate.limits import WAIT_SLICE_S
from resonate.server import DEFAULT_PORT, DevelopmentServer

USER_VARIABLE = "RESONATE_DEV_USER"
TOKEN_VARIABLE = "RESONATE_DEV_TOKEN"  # noqa: S105 - the name of a variable


def parser() -> argparse.ArgumentParser:
    """What can be written after `python -m resonate`."""
    commands = argparse.ArgumentParser(prog="python -m resonate", description="Durable functions for Python.")
    dev = commands.add_subparsers(dest="command", required=True).add_parser(
        "dev", help="serve promises on this machine, as a Resonate Server does", description="Serve promises on this machine, as a "
        "Resonate Server does, for development and tests. Ctrl-C ends it.",
    )  # fmt: skip
    dev.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine alone)")
    dev.add_argument("--port", type=int, default=DEFAULT_PORT, help="port of the API (default: %(default)s; 0: a free one)")
    dev.add_argument("--message-port", type=int, help="port on which older clients wait for messages (default: port + 1; 0: a free one)")
    dev.add_argument("--db", metavar="FILE", help="keep promises in this file (default: in memory, gone when the server ends)")
    dev.add_argument("--durability", choices=("fast", "full"), default="full", help="of the file: whether each answer waits for the disk")
    dev.add_argument("--user", metavar="NAME:PASSWORD", default=os.environ.get(USER_VARIABLE), help=f"ask for this (or ${USER_VARIABLE})")
    dev.add_argument("--token", default=os.environ.get(TOKEN_VARIABLE), help=f"ask for this bearer token (or ${TOKEN_VARIABLE})")
    dev.add_argument("--json", action="store_true", help="print the addresses as one line of JSON, for programs")
    return commands


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    given = parser().parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    try:
        server = DevelopmentServer(given.host, given.port, given.message_port, given.db, given.durability, given.user, given.token)
        with server:
            sys.stdout.write(_told(server, given) + "\n")
            sys.stdout.flush()
            while not ended.wait(WAIT_SLICE_S):  # in slices, since not every platform interrupts a wait
                pass
    except (ImportError, OSError, ValueError, ResonateError) as error:
        sys.stderr.write(f"{error.mesg if isinstance(error, ResonateError) else error}\n")
        return 1
    return 0


def _told(server: DevelopmentServer, given: Any) -> str:
    if given.json:
        return json.dumps({"url": server.url, "message_url": server.message_url, "db": given.db, "pid": os.getpid()})
    return f"Resonate development server on {server.url}, messages also on {server.message_url}, promises {server.where}. Ctrl-C ends it."


if __name__ == "__main__":
    sys.exit(main())
