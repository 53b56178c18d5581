"""What a parity program is, how it runs, and which facts of its run are told.

A program is a function of one client. It uses nothing but the public API of SDK 0.6.7, so that it runs unchanged under both SDKs. The facts
of a run are what it gave or raised, and every promise that it left in the store. Facts that are known to differ are declared beside the
program, each with its reason: the number of a defect in 0.6.7 (D-1 to D-32 of the API contract, section 15), or a sentence.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from resonate import Resonate
from resonate.errors import ResonateError, ResonateStoreError, ResonateTimedoutError
from resonate.stores import LocalStore

Facts = dict[str, Any]
"""What was seen, by name: `outcome` (`outcome <key>` where a program gives a dict), `order`, `<promise id> state`, ..."""

FORMAT_HEADER = "resonate:format-py"
ANYTHING = "…"
"""Declared of a fact that has no form of its own, such as a long text of ours."""
LIMIT_S = 20.0
SOON_S = 10.0
FAR = 2**43
"""A deadline in the year 2248, in ms."""
CODES = "the store in memory refuses with the server's codes (contract 11.4)"
_VARYING = re.compile(r"\b1[6-9]\d{8}(\d{3}|\.\d+)?\b| at 0x[0-9a-f]+")  # times of these years in s and ms, and addresses


@dataclass(frozen=True)
class Program:
    """One program, what it gives here, and which facts differ under 0.6.7: {fact: (there, here, reason)}."""

    section: str
    body: Callable[[Resonate], Any]
    expected: Facts
    differs: dict[str, tuple[Any, Any, str]]
    limit_s: float
    is_ordered: bool

    @property
    def name(self) -> str:
        return f"{self.body.__module__.rpartition('.')[2]}.{self.body.__name__}"

    def told(self) -> Facts:
        """All but the function, as JSON can tell it."""
        law = " ".join((self.body.__doc__ or "").split())
        return {"name": self.name, "law": law, "section": self.section, "expected": self.expected, "differs": self.differs}


PROGRAMS: dict[str, Program] = {}


def program(
    section: str, *, gives: Any = None, raises: str | None = None, differs: dict[str, tuple[Any, ...]] | None = None,
    limit_s: float = LIMIT_S, is_ordered: bool = True,
) -> Callable[[Callable[[Resonate], Any]], Callable[[Resonate], Any]]:  # fmt: skip
    """Add a program about a section of the API contract.

    `gives` or `raises` is its outcome here. Where the outcome differs, `differs` names what 0.6.7 does and the reason; for the facts of
    promises it names both sides. A text that ends in … stands for all that begin so, … alone for anything. `is_ordered=False` is for
    runs that go on side by side.
    """

    def add(body: Callable[[Resonate], Any]) -> Callable[[Resonate], Any]:
        expected = outcome_facts(gives) if raises is None else {"outcome": f"raised {raises}"}
        pairs = (differs or {}).items()
        full = {fact: (seen[0], expected[fact], seen[1]) if len(seen) == 2 else (seen[0], seen[1], seen[2]) for fact, seen in pairs}
        made = Program(section, body, expected, full, limit_s, is_ordered)
        assert made.name not in PROGRAMS, made.name
        PROGRAMS[made.name] = made
        return body

    return add


# ---- what programs use ---------------------------------------------------------------------------------------------------------------


def value(ctx: Any, x: Any = None) -> Any:
    return x


def here(ctx: Any) -> str:
    return str(ctx.id)


def attempt(do: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a call gives, or the text of the error that it raises."""
    try:
        return do(*args, **kwargs)
    except Exception as error:
        return error_text(error)


def refusal(do: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """As `attempt`, but of an error only what the contract fixes: its type, and which argument `must be` something."""
    text = str(attempt(do, *args, **kwargs))
    return text.partition(" must be")[0] if " must be" in text else text.partition(":")[0]


def kind_of(do: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """As `attempt`, but of an error only its type."""
    return str(attempt(do, *args, **kwargs)).partition(":")[0]


def eventually(condition: Callable[[], Any]) -> Any:
    """What `condition` gives, as soon as that is true; a promise that is not there yet counts as false."""
    deadline = time.monotonic() + SOON_S
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except ResonateStoreError:
            pass
        time.sleep(0.005)
    raise AssertionError("it never came true")


def settle(resonate: Resonate, promise_id: str, how: str = "resolve", data: str | None = None) -> None:
    """Settle a promise from outside, as soon as it is there and whoever awaits it has come to rest.

    0.6.7 ends its process where a promise is settled while its run is just going to wait for it (D-3).
    """
    eventually(lambda: resonate.promises.get(promise_id).pending)
    time.sleep(0.1)
    getattr(resonate.promises, how)(id=promise_id, data=data)


def error_text(error: BaseException) -> str:
    """Type and text; of the SDK's own errors the code or id in place of a text that is a server's or tells the time."""
    name = type(error).__name__
    if isinstance(error, ResonateStoreError):
        return f"{name} {round((error.code - 100) * 100_000)}"
    if isinstance(error, ResonateTimedoutError):
        return f"{name} {error.promise_id}"
    return f"{name}: {error.mesg if isinstance(error, ResonateError) else error}"


# ---- one run -------------------------------------------------------------------------------------------------------------------------


@dataclass
class Recorder:
    """Stands before the promises of a store that cannot be searched, and notes in which order they are made."""

    promises: Any
    made: dict[str, None] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.promises, name)

    def create(self, id: str, *args: Any, **kwargs: Any) -> Any:
        answer = self.promises.create(id, *args, **kwargs)
        self.made.setdefault(id)
        return answer

    def create_with_task(self, id: str, *args: Any, **kwargs: Any) -> Any:
        answer = self.promises.create_with_task(id, *args, **kwargs)
        self.made.setdefault(id)
        return answer


class RecordedStore(LocalStore):
    """A store of 0.6.7 whose promises are noted."""

    recorder: Recorder | None = None

    @property
    def promises(self) -> Any:
        self.recorder = self.recorder or Recorder(super().promises)
        return self.recorder


def ids_in(store: Any) -> list[str]:
    """The ids of all promises in the order in which they were made."""
    if isinstance(store, RecordedStore):
        return list(store.promises.made)
    page = store.promises.search("*")
    found = list(page.promises)
    while page.cursor is not None:
        page = store.promises.search(cursor=page.cursor)
        found += page.promises
    return [each.id for each in reversed(found)]


def run(chosen: Program) -> Facts:
    """Run a program with a client of its own, for as long as it may take, and tell what was seen."""
    store = LocalStore() if hasattr(LocalStore().promises, "search") else RecordedStore()
    client = Resonate(store=store, message_source=store.message_source("default", "w1"), pid="w1", log_level="CRITICAL", workers=4)
    outcome: Facts = {"outcome": f"no end within {chosen.limit_s:g} s"}

    def body() -> None:
        try:
            seen = outcome_facts(chosen.body(client))
        except BaseException as error:
            seen = {"outcome": f"raised {error_text(error)}"}
        outcome.clear()
        outcome.update(seen)

    for part, limit_s in ((body, chosen.limit_s), (client.stop, 1)):  # 0.6.7 may take for ever over either
        thread = threading.Thread(target=attempt, args=(part,), daemon=True)
        thread.start()
        thread.join(limit_s)
        if part is body:
            facts = dict(outcome) | promise_facts(store, chosen.is_ordered)
    return facts


def outcome_facts(given: Any) -> Facts:
    return {f"outcome {key}": plain(each) for key, each in given.items()} if type(given) is dict else {"outcome": plain(given)}


def promise_facts(store: Any, is_ordered: bool) -> Facts:
    ids = ids_in(store)
    promises = {each: store.promises.get(each) for each in ids}
    facts: Facts = {"order": ids if is_ordered else sorted(ids)}
    for promise_id, promise in promises.items():
        parent = max((each for each in ids if promise_id.startswith(f"{each}.")), key=len, default=None)
        is_clamped = parent is not None and promises[parent].timeout == promise.timeout
        seen = {
            "state": promise.state,
            "tags": dict(sorted((promise.tags or {}).items())),
            "create-key": promise.ikey_for_create,
            "complete-key": promise.ikey_for_complete,
            "deadline": f"that of {parent}" if is_clamped else FAR if promise.timeout == FAR else promise.timeout - promise.created_on,
            "param": _text(promise.param.data),
            "param-exact": _text((promise.param.headers or {}).get(FORMAT_HEADER)),
            "value": _text(promise.value.data),
            "value-exact": _text((promise.value.headers or {}).get(FORMAT_HEADER)),
        }
        facts |= {f"{promise_id} {kind}": fact for kind, fact in seen.items()}
    return facts


def _text(stored: str | None) -> Any:
    """Stored text as facts tell it: read where it is JSON, and without what varies."""
    stored = stored and _VARYING.sub("<varying>", stored)
    try:
        return stored and plain(json.loads(stored))
    except ValueError:
        return stored


def plain(given: Any) -> Any:
    """A value as JSON can tell it to another process without loss; of everything else its text, errors as `error_text`."""
    if isinstance(given, BaseException):
        return error_text(given)
    if type(given) is list:
        return [plain(each) for each in given]
    if type(given) is dict and all(type(key) is str for key in given):
        return {key: plain(each) for key, each in given.items()}
    if given is None or type(given) in (bool, int, str) or (type(given) is float and abs(given) < 1e308):
        return given
    return _VARYING.sub("<varying>", repr(given))
