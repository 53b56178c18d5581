"""Clients that ask at the same time, and note what they asked, when, and what they were answered.

As a program it is one process of them: told on its command line which stores to open, it plays a history for each line of JSON that it is
given, and answers with a line of calls.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections import defaultdict
from typing import Any, NamedTuple

from resonate.protocol import Operation
from resonate.stores.remote import RemoteStore
from resonate.stores.sqlite import SqliteStore
from tests.linear.checker import Call
from tests.linear.operations import Asked, draw, heard_of, operation_for, read

ANSWER_LIMIT_S = 60.0
PAUSE_S = 0.002
"""At most, now and then: the clients begin in ever other orders."""
History = dict[int, list[Call]]
"""The calls on each object."""


class Client(NamedTuple):
    """`number` is its own among all that play; `wire` whose rules it is answered by."""

    number: int
    store: Any
    wire: str


class Score(NamedTuple):
    """What is played: everybody asks `calls` times, of `objects` promises one after the other, so that all are at the same one."""

    name: str
    seed: int
    begin: int
    """When, by the monotonic clock in nanoseconds."""
    calls: int = 25
    objects: int = 4


def play(clients: list[Client], score: Score) -> History:
    """Play a history, each client on a thread of its own."""
    history: History = defaultdict(list)
    counters: dict[int, list[int]] = defaultdict(list)  # that somebody here has heard of; a hint, so nobody waits for it
    failures: list[BaseException] = []

    def run(client: Client) -> None:
        try:
            _play(client, score, history, counters)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(client,), daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return history


def _play(client: Client, score: Score, history: History, counters: dict[int, list[int]]) -> None:
    chance = random.Random(f"{score.seed}/{client.number}")
    time.sleep(max(score.begin - time.monotonic_ns(), 0) / 1e9)
    for number in range(score.calls):
        place = number * score.objects // score.calls
        if place and chance.random() < 0.1:
            place -= 1
        asked = draw(chance, client.wire, f"{client.number}.{number}", counters[place])
        operation = operation_for(asked, f"{score.name}-{place}")
        if chance.random() < 0.2:
            time.sleep(chance.random() * PAUSE_S)
        ask = _post if chance.random() < 0.3 else _call
        began = time.monotonic_ns()
        given = ask(client.store, operation)
        ended = time.monotonic_ns()
        answer = read(asked, given)
        history[place].append(Call(client.number, asked, answer, began, None if answer is None else ended))
        heard = answer and heard_of(asked, answer)
        if heard is not None:
            counters[place].append(heard)


def _call(store: Any, operation: Operation) -> Any:
    return store.call([operation])[0]


def _post(store: Any, operation: Operation) -> Any:
    """As a run asks, which waits on no thread."""
    answers: list[Any] = []
    done = threading.Event()

    def deliver(answer: Any) -> None:
        answers.append(answer)
        done.set()

    known = store.post(operation, deliver)
    if known is not None:
        return known
    store.flush()
    assert done.wait(ANSWER_LIMIT_S), f"{operation} was not answered"
    return answers[0]


# ---- one process of them ---------------------------------------------------------------------------------------------------------------


def opened(place: dict[str, Any]) -> Any:
    """A store: that of a file (`path`), or on a server (`url`, `protocol`)."""
    store: Any
    store = SqliteStore(place["path"], place["durability"]) if "path" in place else RemoteStore(place["url"], protocol=place["protocol"])
    store.start()
    return store


def main(places: list[dict[str, Any]]) -> None:
    """Each place is a store and the numbers of its clients."""
    sys.setswitchinterval(0.0002)  # the threads here take turns often
    clients = []
    for place in places:
        store = opened(place)
        clients += [Client(number, store, place.get("protocol", "legacy")) for number in place["clients"]]
    print("ready", flush=True)
    for line in sys.stdin:
        history = play(clients, Score(*json.loads(line)))
        print(json.dumps(history), flush=True)


def history_of(line: str) -> History:
    """What such a process has answered."""
    return {int(place): [_call_of(*call) for call in calls] for place, calls in json.loads(line).items()}


def _call_of(client: int, asked: list[Any], answer: list[Any] | None, began: int, ended: int | None) -> Call:
    return Call(client, Asked(*asked), None if answer is None else tuple(answer), began, ended)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
