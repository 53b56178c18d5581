"""The floor of remote mode: one kept socket that sends exactly the requests which the protocol needs, each after the answer to the last.

No client: nothing is decoded, retried, timed out or kept alive. Only an answer's status is looked at, and its length.
"""

from __future__ import annotations

import base64
import json
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from common import STEP_ENDS_S, increment, new_id

FAR = 4_102_444_800_000
TTL_MS = 60_000
ADDRESS = "poll://any@bare"
Value = dict[str, str]


def encoded(value: Any) -> Value:
    """A value as both protocols carry it."""
    return {"data": base64.b64encode(json.dumps(value).encode()).decode("ascii")}


class Socket:
    """One kept connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.place = parts.netloc
        self.socket = socket.create_connection((parts.hostname or "", parts.port or 80))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, method: str, path: str, shown: object, headers: str = "") -> None:
        """Send a request and wait for the whole answer, which must be 200 or 201."""
        body = json.dumps(shown)
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.place}\r\n{headers}Content-Type: application/json\r\nContent-Length: {len(body)}"
        self.socket.sendall(f"{head}\r\n\r\n{body}".encode())
        received = self.socket.recv(65_536)
        while not is_whole(received):
            more = self.socket.recv(65_536)
            if not more:
                raise ConnectionError("the server has closed the connection")
            received += more
        if received[9:12] not in (b"200", b"201"):
            raise AssertionError(f"{method} {path} was answered with {received[:400]!r}")


def is_whole(received: bytes) -> bool:
    """Whether an answer has come to its end."""
    head, found, body = received.partition(b"\r\n\r\n")
    return bool(found) and len(body) >= int(head.lower().partition(b"content-length: ")[2].split(b"\r\n", 1)[0])


class Bare(ABC):
    """The workloads as plain requests. `create` and `settle` are those of a promise on behalf of a run, or (None) of nobody."""

    def __init__(self, url: str) -> None:
        self.ask = Socket(url).ask

    @abstractmethod
    def begin(self, run: str, value: Any) -> None: ...

    @abstractmethod
    def create(self, id: str, run: str | None) -> None: ...

    @abstractmethod
    def settle(self, id: str, run: str | None, value: Any) -> None: ...

    @abstractmethod
    def end(self, run: str, value: Any) -> None: ...

    def step(self, id: str, run: str, value: int) -> int:
        self.create(id, run)
        value = increment(value)
        self.settle(id, run, value)
        return value

    def seq(self, count: int) -> int:
        run, value = new_id(), 0
        self.begin(run, count)
        for number in range(count):
            value = self.step(f"{run}.{number}", run, value)
            STEP_ENDS_S.append(time.perf_counter())
        self.end(run, value)
        return value

    def fanout(self, count: int) -> int:
        run, total = new_id(), 0
        self.begin(run, count)
        for number in range(count):
            self.create(f"{run}.{number}", run)
        for number in range(count):
            value = increment(number)
            self.settle(f"{run}.{number}", run, value)
            total += value
        self.end(run, total)
        return total

    def one(self, value: int) -> int:
        run = new_id()
        self.begin(run, value)
        value = self.step(f"{run}.1", run, value)
        self.end(run, value)
        return value

    def calls(self, count: int) -> list[float]:
        return timed_calls(count, lambda name: self.create(name, None), lambda name: self.settle(name, None, 42))


def timed_calls(count: int, create: Callable[[str], object], settle: Callable[[str], object]) -> list[float]:
    """The seconds of each of so many creations and as many settlements."""
    each_s = []
    for _ in range(count):
        name, began_s = new_id(), time.perf_counter()
        create(name)
        created_s = time.perf_counter()
        settle(name)
        each_s += [created_s - began_s, time.perf_counter() - created_s]
    return each_s


class BareLegacy(Bare):
    """Four requests for a run of one step. `is_completed` sends a fifth, which ends the task that settling the run has ended already."""

    def __init__(self, url: str, *, is_completed: bool = False) -> None:
        super().__init__(url)
        self.is_completed = is_completed

    def begin(self, run: str, value: Any) -> None:
        promise = {"id": run, "timeout": FAR, "param": encoded(value), "tags": {"resonate:invoke": ADDRESS}}
        shown = {"promise": promise, "task": {"processId": "bare", "ttl": TTL_MS}}
        self.ask("POST", "/promises/task", shown, f"Idempotency-Key: {run}\r\n")

    def create(self, id: str, run: str | None) -> None:
        self.ask("POST", "/promises", {"id": id, "timeout": FAR, "tags": {"resonate:scope": "local"}}, f"Idempotency-Key: {id}\r\n")

    def settle(self, id: str, run: str | None, value: Any) -> None:
        self.ask("PATCH", f"/promises/{id}", {"state": "RESOLVED", "value": encoded(value)}, f"Idempotency-Key: {id}\r\n")

    def end(self, run: str, value: Any) -> None:
        self.settle(run, None, value)
        if self.is_completed:
            self.ask("POST", "/tasks/complete", {"id": f"__invoke:{run}", "counter": 1})


class BareCurrent(Bare):
    """Four requests for a run of one step: create, two that are fenced, fulfil."""

    def send(self, kind: str, data: dict[str, Any]) -> None:
        self.ask("POST", "/", {"kind": kind, "head": {"corrId": data["id"], "version": "2026-04-01"}, "data": data})

    def for_run(self, id: str, run: str | None, kind: str, data: dict[str, Any], wrapped: str = "task.fence") -> None:
        if run is None:
            self.send(kind, data)
        else:
            self.send(wrapped, {"id": run, "version": 1, "action": {"kind": kind, "head": {}, "data": data}})

    def begin(self, run: str, value: Any) -> None:
        promise = {"id": run, "timeoutAt": FAR, "param": encoded(value), "tags": {"resonate:target": ADDRESS}}
        action = {"kind": "promise.create", "head": {}, "data": promise}
        self.ask(
            "POST", "/", {
                "kind": "task.create", "head": {"corrId": run, "version": "2026-04-01"},
                "data": {"pid": "bare", "ttl": TTL_MS, "action": action},
            },
        )  # fmt: skip

    def create(self, id: str, run: str | None) -> None:
        self.for_run(id, run, "promise.create", {"id": id, "timeoutAt": FAR, "tags": {"resonate:scope": "local"}})

    def settle(self, id: str, run: str | None, value: Any) -> None:
        self.for_run(id, run, "promise.settle", {"id": id, "state": "resolved", "value": encoded(value)})

    def end(self, run: str, value: Any) -> None:
        self.for_run(run, run, "promise.settle", {"id": run, "state": "resolved", "value": encoded(value)}, "task.fulfill")
