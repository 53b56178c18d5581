"""Contract 5: what a caller holds of a run."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from concurrent.futures import Future
from typing import Any

import pytest
from toys import FAR, fails, value
from waiting import SOON

from resonate import Handle, Resonate
from resonate.retry_policies import Never

HELD_BY = {
    "5 Ctrl-C ends the wait": "process/test_concurrency.py::test_an_interrupt_ends_the_wait",
    "5 a stopped client fails its handles": "process/test_concurrency.py::test_stop_fails_the_handles_and_the_client_can_be_used_again",
    "5 a damaged value fails whoever awaits it": "process/test_mistakes.py::test_a_damaged_value_fails_whoever_awaits_it",
    "5 the run's own errors": "contract/test_10_errors_and_policies.py::test_exceptions_keep_type_and_arguments",
    "5 errors of canceled and timed out runs":
        "contract/test_10_errors_and_policies.py::test_canceled_and_timed_out_promises_have_errors_of_their_own",
    "5 callbacks on `future`": "process/test_mistakes.py::test_callbacks_of_futures",
}


def test_the_members_of_a_handle(client: Resonate) -> None:
    """`id` and `future` are read only, `result` takes its timeout by place or name, and what belongs to a future is only there."""
    handle = client.begin_run("a", client.register(value), 1)
    assert type(handle) is Handle
    assert inspect.signature(handle.result).parameters["timeout"].default is None
    assert (handle.result(SOON), handle.result(timeout=SOON), handle.id) == (1, 1, "a")
    assert not [name for name in ("then", "cancel", "add_done_callback") if hasattr(handle, name)]
    for name in ("id", "future"):
        with pytest.raises(AttributeError):
            setattr(handle, name, None)


def test_a_done_handle_says_so_at_once(client: Resonate) -> None:
    """A handle of what has settled is done before anybody asks."""
    client.promises.create("a", FAR)
    client.promises.resolve("a", data="1")
    assert client.get("a").done()
    assert client.get("a").future.result(0) == 1


def test_a_handle_answers_any_number_of_times(client: Resonate) -> None:
    """`result` can be called again and again; `done`, `id` and `future` tell of the same outcome."""
    gate = threading.Event()
    handle = client.begin_run("a", client.register(lambda ctx: gate.wait(SOON), name="f"))
    assert (handle.id, handle.done()) == ("a", False)
    for timeout in (0, 0.01, -1):
        with pytest.raises(TimeoutError):
            handle.result(timeout=timeout)
    gate.set()
    assert handle.result(SOON) is handle.result() is handle.result(timeout=0) is True
    assert handle.done()
    assert isinstance(handle.future, Future)
    assert handle.future.result() is True


def test_handles_of_one_run_are_all_settled(client: Resonate) -> None:
    """Twenty handles of one promise, by run, rpc and get, all get its outcome."""
    promise = client.promises.create("a", 2**45, ikey="a")
    assert promise.pending
    client.register(value)
    handles = [client.get("a") for _ in range(10)] + [client.begin_rpc("a", "value") for _ in range(10)]
    client.promises.reject("a", data='"no"')
    for handle in handles:
        with pytest.raises(Exception, match="no"):
            handle.result(SOON)


def test_a_handle_can_be_awaited(client: Resonate) -> None:
    """In asyncio, `await handle` gives the value or raises the run's own error, and the loop stays free meanwhile."""
    gate = threading.Event()
    waits = client.register(lambda ctx: gate.wait(SOON) and "done", name="waits")
    client.register(fails)

    async def main() -> Any:
        handle = waits.begin_run("a")
        ticks = 0
        task = asyncio.ensure_future(_await(handle))
        while not task.done():
            await asyncio.sleep(0.005)
            ticks += 1
            if ticks == 3:
                gate.set()
        with pytest.raises(ValueError, match="x"):
            await client.options(retry_policy=Never()).begin_run("b", fails, "x")
        return ticks, await asyncio.gather(handle, handle)

    ticks, values = asyncio.run(main())
    assert ticks >= 3
    assert values == ["done", "done"]


async def _await(handle: Any) -> Any:
    return await handle


def test_cancelling_an_asyncio_task_leaves_the_run_alone(client: Resonate) -> None:
    """A task that is cancelled while it awaits a handle takes nothing with it; the handle is settled all the same."""
    gate = threading.Event()
    handle = client.begin_run("a", client.register(lambda ctx: gate.wait(SOON) and 1, name="f"))

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(_await(handle), 0.02)

    asyncio.run(main())
    gate.set()
    assert handle.result(SOON) == 1


def test_what_cannot_be_read_is_raised_as_what_it_is(client: Resonate) -> None:
    """Text that is no JSON is a `json.JSONDecodeError` from `result`, each time, and so from `await`."""
    client.promises.create("a", FAR)
    client.promises.resolve("a", data="{")
    handle = client.get("a")
    for _ in range(2):
        with pytest.raises(json.JSONDecodeError):
            handle.result(SOON)

    async def main() -> Any:
        return await handle

    with pytest.raises(json.JSONDecodeError):
        asyncio.run(main())
