"""Contract 10: errors and retry policies; 9.4: errors across the durable boundary."""

from __future__ import annotations

import pickle
import sys
import time
from typing import Any

import pytest
from toys import fails, value
from waiting import SOON, when

from resonate import Resonate
from resonate.errors import (
    ResonateCanceledError,
    ResonateError,
    ResonateShutdownError,
    ResonateStoreError,
    ResonateTimedoutError,
)
from resonate.events import RetryScheduled
from resonate.retry_policies import Constant, Exponential, Linear, Never
from resonate.stores import RemoteStore
from tests.remote.crossing import Crossing, reply

HELD_BY = {
    "10.1 text, code and pickling of each error": "pure/test_options_and_registry.py::test_errors_say_their_code",
    "10.1 a stopped client": "process/test_concurrency.py::test_stop_fails_the_handles_and_the_client_can_be_used_again",
    "10.1 a server that is busy or away is asked again": "remote/test_faults.py::test_a_sick_server_is_waited_for",
    "10.1 a server that says nothing is asked again": "remote/test_faults.py::test_a_server_that_says_nothing_is_asked_again",
    "10.1 the refusals of a current server": "pure/test_current_requests.py::test_an_answer_must_fit_its_request",
    "10.2 policies are values": "pure/test_options_and_registry.py::test_policies_are_values",
    "10.2 no overflow": "pure/test_options_and_registry.py::test_exponential_never_overflows",
    "10.2 a policy made for a function": "pure/test_options_and_registry.py::test_policies_may_be_chosen_by_function",
    "10.2 broken policies": "process/test_mistakes.py::test_broken_retry_policies",
    "10.2 endings are no exceptions": "process/test_mistakes.py::test_endings_end_the_function_alone",
    "9.4 awkward exceptions": "process/test_mistakes.py::test_awkward_exceptions",
}


# ---- 10.1 errors -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "attributes", "text"),
    [
        (ResonateError("m", 1.5), {"mesg": "m", "code": 1.5, "details": None}, "[001.50000] m"),
        (ResonateStoreError("m", 40900, [1]), {"mesg": "m", "code": 100.409, "details": "[\n  1\n]"}, "[100.40900] m\n[\n  1\n]"),
        (ResonateStoreError("m", 0), {"mesg": "m", "code": 100.0, "details": None}, "[100.00000] m"),
        (ResonateCanceledError("p"), {"promise_id": "p", "code": 200, "mesg": "Promise p canceled"}, "[200.00000] Promise p canceled"),
        (ResonateTimedoutError("p", 5.5), {"promise_id": "p", "timeout": 5.5, "code": 201, "mesg": "Promise p timedout at 5.5"},
         "[201.00000] Promise p timedout at 5.5"),
        (ResonateShutdownError("m"), {"mesg": "m", "code": 300}, "[300.00000] m"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, Exception) else "",
)  # fmt: skip
def test_the_attributes_of_errors(error: Exception, attributes: dict[str, Any], text: str) -> None:
    """Each error has the attributes, the code as a float and the text of 0.6.7, is a ResonateError, and keeps all by pickle (D-4)."""
    for each in (error, pickle.loads(pickle.dumps(error))):
        assert isinstance(each, ResonateError)
        assert {name: getattr(each, name) for name in attributes} == attributes
        assert str(each) == text


def test_a_shutdown_keeps_its_cause() -> None:
    """`ResonateShutdownError` can carry the store's error as its cause."""
    store_error = ResonateStoreError("down", 50000)
    with pytest.raises(ResonateShutdownError) as caught:
        raise ResonateShutdownError("m") from store_error
    assert caught.value.__cause__ is store_error


@pytest.mark.parametrize(
    ("answered", "code", "text"),
    [
        (reply(403, b'{"error": {"code": 40301, "message": "The promise is resolved", "details": [{"at": "a"}]}}'), 40301,
         'The promise is resolved\n[\n  {\n    "at": "a"\n  }\n]'),
        (reply(404, b'{"error": {"code": 40400, "message": "There is no promise a"}}'), 40400, "There is no promise a"),
        (reply(409, b'{"error": {"code": 40900}}'), 40900, "it refused"),
        (reply(413, b"too much", "text/plain"), 41300, "the server does not take this request: it answered 413"),
    ],
    ids=["with details", "with a message", "with a code alone", "of whoever stands before the server"],
)  # fmt: skip
def test_a_servers_refusal_is_an_error_of_the_store(answered: bytes, code: int, text: str) -> None:
    """Code, message and details of a refusal are those that the server answered; a refusal that is no JSON has its status as its code."""
    with Crossing("http://127.0.0.1:1", lambda asked: answered) as crossing:
        store = RemoteStore(crossing.url, protocol="legacy")
        with pytest.raises(ResonateStoreError) as caught:
            store.promises.get("a")
        store.stop()
        assert len(crossing.asked) == 1
    assert str(caught.value) == f"[100.{code}] {text}"


# ---- 9.4 across the boundary -----------------------------------------------------------------------------------------------------


class Custom(Exception):
    def __init__(self, first: int, *, second: int) -> None:
        super().__init__(f"{first} and {second}")
        self.second = second


@pytest.mark.parametrize("durable", [True, False])
def test_exceptions_keep_type_and_arguments(client: Resonate, durable: bool) -> None:
    """An error crosses every boundary with its type, arguments and attributes; without durability it is the very object."""
    raised, seen = [], []

    def broken(ctx):
        raised.append(Custom(1, second=2))
        raise raised[-1]

    @client.register
    def top(ctx):
        try:
            yield ctx.run(broken).options(durable=durable, retry_policy=Never())
        except Custom as error:
            seen.append(error is raised[-1])
            raise

    with pytest.raises(Custom, match="1 and 2") as caught:
        top.run("top")
    assert (caught.value.args, caught.value.second) == (("1 and 2",), 2)
    assert seen == [not durable]


def test_a_durable_childs_error_is_a_copy(client: Resonate) -> None:
    """The error that a parent gets of a durable child is read from what was stored, also in the same process."""
    raised: list[Exception] = []

    def broken(ctx):
        raised.append(ValueError("x", 1))
        raise raised[0]

    @client.register
    def top(ctx):
        try:
            yield ctx.run(broken).options(retry_policy=Never())
        except ValueError as error:
            return [error is raised[0], list(error.args)]

    assert top.begin_run("top").result(SOON) == [False, ["x", 1]]


@pytest.mark.parametrize(
    ("data", "expected"),
    [('{"why": "x"}', Exception({"why": "x"})), (None, Exception(None)), ('{"__error__": "hello"}', Exception("hello")),
     ('"text"', Exception("text"))],
    ids=str,
)  # fmt: skip
def test_a_rejection_without_an_exception_becomes_one(client: Resonate, data: str | None, expected: Exception) -> None:
    """What was rejected by hand is raised as Exception(value)."""

    @client.register
    def top(ctx):
        try:
            yield (yield ctx.promise(id="p"))
        except Exception as error:
            return [type(error).__name__, list(error.args)]

    handle = top.begin_run("top")
    when(lambda: client.promises.get("p").pending)
    client.promises.reject("p", data=data)
    assert handle.result(SOON) == ["Exception", list(expected.args)]
    with pytest.raises(Exception) as caught:  # noqa: PT011
        client.get("p").result(SOON)
    assert (type(caught.value), caught.value.args) == (Exception, expected.args)


def test_canceled_and_timed_out_promises_have_errors_of_their_own(client: Resonate) -> None:
    """Cancellation and timeout raise their errors, which name the promise, in the generator and from the handle."""

    @client.register
    def top(ctx):
        seen = []
        for promise in ((yield ctx.promise(id="c")), (yield ctx.promise(id="t", timeout=0.02))):
            try:
                yield promise
            except (ResonateCanceledError, ResonateTimedoutError) as error:
                seen.append((type(error).__name__, error.promise_id, error.code))
        return seen

    handle = top.begin_run("top")
    when(lambda: client.promises.get("c").pending)
    client.promises.cancel("c")
    assert handle.result(SOON) == [("ResonateCanceledError", "c", 200), ("ResonateTimedoutError", "t", 201)]
    with pytest.raises(ResonateCanceledError):
        client.get("c").result(SOON)


def test_cancel_ends_a_run_and_all_below_it(client: Resonate) -> None:
    """`client.cancel` cancels the run's promise and every pending promise below it, and says which; a settled run is refused."""
    closed = []

    @client.register
    def top(ctx):
        def child(ctx):
            try:
                yield (yield ctx.promise(id="human"))
            finally:
                closed.append(ctx.id)

        yield ctx.run(value, 1)
        yield ctx.run(child)

    handle = top.begin_run("top")
    when(lambda: client.promises.get("human").pending)
    assert sorted(client.cancel("top")) == ["human", "top", "top.2"]
    with pytest.raises(ResonateCanceledError):
        handle.result(SOON)
    when(lambda: closed == ["top.2"])
    assert client.promises.get("top.1").resolved
    with pytest.raises(ResonateStoreError) as caught:
        client.cancel("top")
    assert f"{caught.value.code:.5f}" == "100.40303"


# ---- 10.2 retry policies ---------------------------------------------------------------------------------------------------------

LAST = sys.maxsize
TABLES = [
    (Never(), {0: 0, 1: None, 2: None}),
    (Constant(), {0: 0, 1: 1, 2: 1, 1000: 1, LAST: 1}), (Constant(3, 2), {0: 0, 1: 3, 2: 3, 3: None}), (Constant(5, 0), {0: 0, 1: None}),
    (Linear(), {0: 0, 1: 1, 2: 2, 1000: 1000}), (Linear(delay=2, max_retries=3), {0: 0, 1: 2, 2: 4, 3: 6, 4: None}),
    (Exponential(), {0: 0, 1: 2, 2: 4, 3: 8, 4: 16, 5: 30, 6: 30, 1000: 30}),
    (Exponential(delay=2, max_retries=4, factor=3, max_delay=50), {0: 0, 1: 6, 2: 18, 3: 50, 4: 50, 5: None}),
    (Exponential(0.5, 9, 1, 30), {0: 0, 1: 0.5, 9: 0.5, 10: None}), (Exponential(100, 9, 2, 30), {0: 0, 1: 30}),
]  # fmt: skip


@pytest.mark.parametrize(("policy", "table"), TABLES, ids=lambda each: repr(each) if not isinstance(each, dict) else "")
def test_the_tables_of_the_policies(policy: Any, table: dict[int, float | None]) -> None:
    """`next(n)` after the n-th failure: 0 before the first, then the policy's wait, and None beyond the last retry."""
    assert {attempt: policy.next(attempt) for attempt in table} == table
    with pytest.raises(AssertionError):
        policy.next(-1)


def test_the_fields_of_the_policies() -> None:
    """Fields have the names, the order and the defaults of 0.6.7."""
    assert repr([Never(), Constant(), Linear(), Exponential()]) == (
        f"[Never(), Constant(delay=1, max_retries={LAST}), Linear(delay=1, max_retries={LAST}), "
        f"Exponential(delay=1, max_retries={LAST}, factor=2, max_delay=30)]"
    )


@pytest.mark.parametrize(
    ("policy", "attempts"),
    [(Never(), 1), (Constant(0, 0), 1), (Constant(0, 3), 4), (Linear(0, 2), 3), (Exponential(0, 2), 3),
     (lambda func: Constant(0, 1), 2)],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("durable", [True, False])
def test_attempts_are_retries_and_one(client: Resonate, policy: Any, attempts: int, durable: bool) -> None:
    """A function that always fails is called max_retries + 1 times, with attempts counted from 1."""
    seen = []

    def broken(ctx):
        seen.append(ctx.info.attempt)
        raise ValueError("broken")

    @client.register
    def top(ctx):
        yield ctx.run(broken).options(retry_policy=policy, durable=durable)

    with pytest.raises(ValueError, match="broken"):
        top.run("top")
    assert seen == list(range(1, attempts + 1))


def test_defaults_of_retrying(client: Resonate) -> None:
    """A plain function is tried again after 2 s, without limit; a generator is not tried again."""
    calls = []
    watch = client.subscribe()

    @client.register
    def top(ctx):
        calls.append("generator")
        raise KeyError("end")
        yield

    with pytest.raises(KeyError):
        top.run("top")
    client.register(fails)
    handle = client.begin_run("a", fails, "x")
    retry = when(lambda: [fact for fact in watch.read() if isinstance(fact, RetryScheduled)])[0]
    assert (retry.id, retry.attempt, retry.limit, retry.error) == ("a", 1, None, "ValueError: x")
    assert retry.due - retry.at == pytest.approx(2)
    client.cancel("a")
    with pytest.raises(ResonateCanceledError):
        handle.result(SOON)
    assert calls == ["generator"]


def test_errors_that_are_not_retried(client: Resonate) -> None:
    """An error of a listed class, or of a class below it, ends the retries at once."""
    calls = []

    def broken(ctx):
        calls.append(1)
        raise FileNotFoundError("x")

    @client.register
    def top(ctx):
        yield ctx.run(broken).options(retry_policy=Constant(0, 5), non_retryable_exceptions=(KeyError, OSError))

    with pytest.raises(FileNotFoundError):
        top.run("top")
    assert calls == [1]


@pytest.mark.parametrize("durable", [True, False])
def test_other_errors_are_retried_beside_listed_ones(client: Resonate, durable: bool) -> None:
    """A class above, or beside, a listed one is tried again."""
    raised = [OSError("above"), KeyError("beside"), FileNotFoundError("listed"), ValueError("never")]

    def broken(ctx):
        raise raised[ctx.info.attempt - 1]

    @client.register
    def top(ctx):
        yield ctx.run(broken).options(retry_policy=Constant(0), non_retryable_exceptions=(FileNotFoundError,), durable=durable)

    assert isinstance(top.begin_run("top").future.exception(SOON), FileNotFoundError)


def test_no_attempt_starts_past_the_deadline(client: Resonate) -> None:
    """When the next attempt would come after the deadline, the failure is final now."""

    @client.register
    def top(ctx):
        yield ctx.run(fails, "x").options(retry_policy=Constant(5), timeout=2)

    began = time.monotonic()
    with pytest.raises(ValueError, match="x"):
        top.run("top")
    assert time.monotonic() - began < 1


def test_the_clients_policy_is_for_the_run_it_launches(client: Resonate) -> None:
    """A retry policy on the client retries the top-level function, and is not inherited by its children."""
    calls = []

    @client.register
    def top(ctx):
        calls.append(ctx.info.attempt)
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        client.options(retry_policy=Constant(0, 2)).run("a", top)
    assert calls == [1, 2, 3]


def test_a_policy_is_not_stored(client: Resonate) -> None:
    """A run that was asked for by rpc, or is taken up again, has the policy of its function: that of the launch was local."""
    calls: list[int] = []

    @client.register
    def top(ctx):
        calls.append(ctx.info.attempt)
        yield (yield ctx.promise(id="gate"))
        raise ValueError("x")

    patient = client.options(retry_policy=Constant(0, 5))
    patient.begin_run("a", top)
    when(lambda: client.promises.get("gate").pending)
    client.stop()
    client.promises.resolve("gate")
    client.start()
    assert isinstance(client.get("a").future.exception(SOON), ValueError)
    assert isinstance(patient.begin_rpc("b", "top").future.exception(SOON), ValueError)
    assert calls == [1, 1, 1]
