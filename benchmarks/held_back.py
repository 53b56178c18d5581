"""A server that is slower than it is: passes each request on at once, and the reply when the request is so many milliseconds old.

    python benchmarks/held_back.py --url http://localhost:8001 --ms 7

tells its own address as one line of JSON. A server on this machine answers in 0.4 ms, where one with more to do takes 2 or 7; so it is seen
what a client adds to those. Nothing is read of what passes, and nobody turns in circles: each wait is one sleep, exact to 0.1 ms.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit


def pour(source: socket.socket, target: socket.socket, before: Callable[[], None]) -> None:
    """Pass on what comes until one side has gone; then both go."""
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            before()
            target.sendall(data)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def serve(near: socket.socket, place: tuple[str, int], hold_s: float) -> None:
    """One connection, whose requests follow one after the other."""
    asked_s = 0.0

    def note() -> None:
        nonlocal asked_s
        asked_s = time.perf_counter()

    def hold_back() -> None:
        time.sleep(max(0.0, asked_s + hold_s - time.perf_counter()))

    with near, socket.create_connection(place) as far:
        for each in (near, far):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=pour, args=(far, near, hold_back), daemon=True)
        back.start()
        pour(near, far, note)
        back.join()


def main() -> None:
    parser = argparse.ArgumentParser(description="Hold the replies of a server back.")
    parser.add_argument("--url", required=True, help="of the server")
    parser.add_argument("--ms", type=float, required=True, help="how old a request is when its reply is passed on, at least")
    options = parser.parse_args()
    parts = urlsplit(options.url)
    place = parts.hostname or "localhost", parts.port or 80
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)
        while True:
            near, _ = listener.accept()
            threading.Thread(target=serve, args=(near, place, options.ms / 1000), daemon=True).start()


if __name__ == "__main__":
    main()
