"""How many writes a second the development server answers to clients that each wait for one answer before they ask again.

    python benchmarks/server_writes.py                     in memory, and in a file in both modes; 8 clients, 5 s each

Clients are plain sockets in one process, so that the server is what is measured; both share the machine. Half of the writes create a
promise, half settle one, with what 0.6.7 sends for a local step, or with the same in the current protocol.
"""

from __future__ import annotations

import argparse
import json
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

FAR = 4_102_444_800_000
HEADERS = "strict: False\r\nidempotency-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"


class Client:
    """One kept connection, and what it asks for in the legacy protocol."""

    answer = b"HTTP/1.1 201 "

    def __init__(self, url: str, run: str) -> None:
        parts = urlsplit(url)
        self.place = parts.netloc
        self.socket = socket.create_connection((parts.hostname or "", parts.port or 80))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.requests = self._requests(run)
        self.received = b""
        self.sent_s = 0.0

    def _requests(self, run: str) -> Iterator[bytes]:
        number = 0
        while True:
            number += 1
            step = f"{run}.{number}"
            param = {"headers": {"resonate:format-py": "null"}}
            tags = {"resonate:root": run, "resonate:parent": run, "resonate:scope": "local"}
            yield self._request("POST", "/promises", step, {"id": step, "timeout": FAR, "param": param, "tags": tags})
            value = {"headers": {"resonate:format-py": "42"}, "data": "NDI="}
            yield self._request("PATCH", f"/promises/{step}", step, {"state": "RESOLVED", "value": value})

    def _request(self, method: str, path: str, key: str, shown: object) -> bytes:
        body = json.dumps(shown)
        return f"{method} {path} HTTP/1.1\r\nHost: {self.place}\r\n{HEADERS.format(key=key, length=len(body))}\r\n{body}".encode()

    def send(self) -> None:
        self.sent_s = time.perf_counter()
        self.socket.sendall(next(self.requests))

    def is_answered(self) -> bool:
        """Whether the whole answer is there by now."""
        self.received += self.socket.recv(65_536)
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0]):
            return False
        if not head.startswith(self.answer):
            raise SystemExit(f"not what was asked for: {self.received.decode()}")
        self.received = b""
        return True


class CurrentClient(Client):
    """The same in the current protocol."""

    answer = b"HTTP/1.1 200 "

    def _requests(self, run: str) -> Iterator[bytes]:
        number = 0
        while True:
            number += 1
            step = f"{run}:{number}"
            tags = {"resonate:root": run, "resonate:parent": run, "resonate:scope": "local"}
            yield self._envelope("promise.create", {"id": step, "timeoutAt": FAR, "tags": tags})
            yield self._envelope("promise.settle", {"id": step, "state": "resolved", "value": {"data": "NDI="}})

    def _envelope(self, kind: str, data: dict[str, object]) -> bytes:
        return self._request("POST", "/", "", {"kind": kind, "head": {"corrId": "w", "version": "2026-04-01"}, "data": data})


KINDS = {"legacy": Client, "current": CurrentClient}


class Writers:
    """As a peer of `measure.py`."""

    def __init__(self, url: str, protocol: str) -> None:
        self.url, self.protocol = url, protocol

    def load(self, count: int, seconds: float) -> list[float]:
        return load(self.url, count, seconds, self.protocol)


def load(url: str, count: int, seconds: float, protocol: str = "legacy") -> list[float]:
    """The seconds that each write took, in order."""
    run = f"w{time.time_ns():x}"
    clients = [KINDS[protocol](url, f"{run}-{number}") for number in range(count)]
    waits_s = []
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
            client.send()
        end_s = time.perf_counter() + seconds
        while time.perf_counter() < end_s:
            for key, _ in selector.select(1):
                client = key.data
                if client.is_answered():
                    waits_s.append(time.perf_counter() - client.sent_s)
                    client.send()
    for client in clients:
        client.socket.close()
    return waits_s


def measure(arguments: list[str], count: int, seconds: float) -> str:
    """A line with the figures of a server that is started with these arguments."""
    command = [sys.executable, "-m", "resonate", "dev", "--port", "0", "--json", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            load(url, count, 0.5)
            waits_s = sorted(load(url, count, seconds))
        finally:
            server.send_signal(signal.SIGINT)
    middle, late = (waits_s[int(len(waits_s) * share)] * 1000 for share in (0.5, 0.99))
    return f"{len(waits_s) / seconds:8,.0f} writes a second   {middle:6.2f} ms p50   {late:6.2f} ms p99"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for title, arguments in {
            "memory": [],
            "file, fast": ["--db", str(Path(folder) / "fast.db"), "--durability", "fast"],
            "file, full": ["--db", str(Path(folder) / "full.db"), "--durability", "full"],
        }.items():
            print(f"{title:12}{chosen.clients:4} clients  {measure(arguments, chosen.clients, chosen.seconds)}", flush=True)


if __name__ == "__main__":
    main()
