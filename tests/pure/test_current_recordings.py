"""The current protocol, held to what a real server answered: each recorded exchange is played in this process, in simulated time.

The recordings and the player that compares them stand beside this repository, if at all. What needs sockets is left to the server's tests.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote

import pytest

from resonate.clocks import StepClock
from resonate.stores.local import LocalStore, Receiver
from resonate.wire.current import message_to_wire
from resonate.wire.current_requests import answer

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "conformance"
RECORDINGS = sorted((FOLDER / "current-r1").glob("*.jsonl"))
START_MS = 1_767_225_600_000
STEP_MS = 10
OVER_HTTP = {
    "endpoint-health": "liveness has an address of its own",
    "endpoint-legacy-gone": "the legacy protocol is served at these addresses",
}

if not RECORDINGS:
    pytest.skip("there are no recorded exchanges beside this repository (../shared/conformance)", allow_module_level=True)


def load_player() -> ModuleType:
    spec = importlib.util.spec_from_file_location("replay", FOLDER / "replay.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["replay"] = module
    spec.loader.exec_module(module)
    return module


replay = load_player()


class AddressedStore(LocalStore):
    """A store that gives a message to whom it is addressed, as a server does, however few listen."""

    def _receiver(self, recv: str) -> Receiver | None:
        address = self._addressee(recv)
        return None if address is None else self._addressed(address)


class Listener:
    """What has come for one listener."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.taken = 0


class Player(replay.Player):  # type: ignore[name-defined,misc]
    """Plays a recording against a store; time passes when the recording lets it."""

    def __init__(self, prefix: str) -> None:
        super().__init__("", None, prefix)
        self.now = self.start_ms = START_MS
        self.clock = StepClock()
        self.store = AddressedStore(clock=self.clock)
        self.pass_time(0)

    def pass_time(self, duration_ms: int) -> None:
        self.now += duration_ms
        self.clock.step((self.now + 0.5) / 1000)
        self.store.tick()

    def send(self, request: dict[str, Any]) -> Any:
        assert (request["method"], request["path"]) == ("POST", "/")
        self.pass_time(1)
        body = json.dumps(self.fill(request["json"])) if "json" in request else self.fill(request["text"])
        status, envelope = answer(body, lambda operation: self.store.call((operation,))[0])
        return replay.Answer(status, {}, json.loads(json.dumps(envelope)))

    def listen(self, request: dict[str, Any], name: str) -> Any:
        _, _, group, own_id = self.fill(request["path"]).split("/")
        listener = self.listeners[name] = Listener()
        receiver = Receiver(
            unquote(group), unquote(own_id), lambda message: listener.messages.append(message_to_wire(message, "http://server"))
        )
        self.store._receivers = (*self.store._receivers, receiver)
        listener.status = 200  # type: ignore[attr-defined]
        return listener

    def _await_message(self, names: list[str], within_ms: int, accept: Any) -> Any:
        for _ in range(within_ms // STEP_MS + 1):
            for name in names:
                listener = self.listeners[name]
                for index in range(listener.taken, len(listener.messages)):
                    if accept(listener.messages[index]):
                        message = listener.messages.pop(index)
                        listener.messages.insert(listener.taken, message)
                        listener.taken += 1
                        return name, message
            self.pass_time(STEP_MS)
            self.waited_ms += STEP_MS
        return None

    def replay(self, step: dict[str, Any]) -> list[str]:
        if "wait_ms" in step:
            self.pass_time(step["wait_ms"])
            return []
        found: list[str] = super().replay({**step, "within_ms": 0} if "send" in step else step)
        for _ in range(step.get("within_ms", 0) // STEP_MS if "send" in step else 0):
            if not found:
                break
            self.pass_time(STEP_MS)
            found = super().replay({**step, "within_ms": 0})
        return found


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_a_recorded_exchange(path: Path) -> None:
    """What the recorded requests are answered here is what the real server answered, and so are the messages."""
    if path.stem in OVER_HTTP:
        pytest.skip(OVER_HTTP[path.stem])
    (recording,) = replay.load([path])
    player = Player(f"p-{path.stem}")
    report = []
    for number, step in enumerate(recording.steps, 1):
        report += [f"step {number}, {json.dumps(step)[:200]}: {line}" for line in player.replay(step)]
    assert report == []
