"""Many runs, many threads, little machinery: nothing is lost, nothing is left behind, and waiting costs neither thread nor time."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from waiting import when

from resonate import Resonate
from resonate.errors import ResonateCanceledError, ResonateShutdownError, ResonateStoreError, ResonateTimedoutError
from resonate.retry_policies import Constant, Never
from resonate.stores import LocalStore

SOON = 20


def value(ctx: Any, x: Any = None) -> Any:
    return x


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("resonate")]


@pytest.fixture
def client() -> Iterator[Resonate]:
    """A client that leaves no thread behind."""
    before = set(ours())
    client = Resonate(workers=4)
    yield client
    client.stop()
    when(lambda: not set(ours()) - before)


def empty(client: Resonate) -> bool:
    runtime = client._shared.runtime()
    return not (runtime._runs or runtime._handles or runtime._interested or runtime._inbox)


# ---- many threads ----------------------------------------------------------------------------------------------------------------


def test_500_runs_from_32_threads(client: Resonate) -> None:
    """Five hundred runs that 32 threads launch at once all come to their own result, and nothing of them is left."""

    @client.register
    def top(ctx, x):
        first = yield ctx.run(value, x)
        promise = yield ctx.begin_rpc("value", first + 1)
        yield ctx.sleep(0.001)
        return (yield promise)

    client.register(value)
    with ThreadPoolExecutor(32) as pool:
        handles = list(pool.map(lambda number: client.begin_run(f"run-{number}", top, number), range(500)))
        results = list(pool.map(lambda handle: handle.result(SOON), handles))
    assert results == [number + 1 for number in range(500)]
    when(lambda: empty(client))


def test_many_threads_join_one_run(client: Resonate) -> None:
    """Of 32 threads that launch the same id at once one runs it, and all get its result."""
    ran = []
    client.register(lambda ctx: ran.append(1) or len(ran), name="once")
    with ThreadPoolExecutor(32) as pool:
        for name in range(20):
            assert set(pool.map(lambda _, name=name: client.run(f"same-{name}", "once"), range(32))) == {name + 1}
    assert len(ran) == 20


def test_8_threads_use_a_client_first() -> None:
    """A client that eight threads use first at the same moment starts once."""
    for attempt in range(10):
        client = Resonate(workers=2)
        client.register(value)
        ready = threading.Barrier(8)

        def first(number: int, client: Resonate = client, ready: threading.Barrier = ready) -> Any:
            ready.wait()
            return client.run(f"run-{number}", "value", number)

        before = len(ours())
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(first, range(8))) == list(range(8)), attempt
        assert len(ours()) - before <= 4
        client.stop()


def test_settling_from_many_threads(client: Resonate) -> None:
    """Of many who settle the same promise one wins, and the run that waits sees exactly that."""

    @client.register
    def top(ctx):
        return (yield (yield ctx.promise(id=f"{ctx.id}-p")))

    def settle(name: str, number: int) -> int | None:
        try:
            client.promises.resolve(name, data=str(number))
        except ResonateStoreError:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        for attempt in range(20):
            handle = top.begin_run(f"r{attempt}")
            when(lambda attempt=attempt: client.promises.get(f"r{attempt}-p").pending)
            winners = [each for each in pool.map(lambda number, attempt=attempt: settle(f"r{attempt}-p", number),
                                                 range(8)) if each is not None]
            assert winners == [handle.result(SOON)]


# ---- workers ---------------------------------------------------------------------------------------------------------------------


def test_one_worker_and_nested_runs() -> None:
    """With workers=1 a plain function, and a generator, may launch runs and wait for them, levels deep."""
    others = set(ours())  # of clients that an earlier test has left
    client = Resonate(workers=1)

    @client.register
    def deep(ctx, levels):
        return 0 if levels == 0 else 1 + client.run(f"{ctx.id}-{levels}", deep, levels - 1)

    @client.register
    def top(ctx):
        inside = client.run("inside", deep, 3)
        return [inside, (yield ctx.run(deep, 3)), (yield ctx.run(deep, 5))]

    assert top.begin_run("top").result(SOON) == [3, 3, 5]
    when(lambda: len([thread for thread in ours() if "worker" in thread.name and thread not in others]) == 1)
    client.stop()


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_bound_what_runs(workers: int) -> None:
    """No more than `workers` functions run at once, also while some wait for nested runs and after they came back."""
    client = Resonate(workers=workers)
    lock, running, most = threading.Lock(), [0], [0]

    def busy() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.002)
        with lock:
            running[0] -= 1

    @client.register
    def leaf(ctx):
        busy()

    @client.register
    def nested(ctx):
        busy()
        client.run(f"{ctx.id}-nested", leaf)
        busy()

    @client.register
    def top(ctx):
        for number in range(24):
            yield ctx.begin_run(nested if number % 3 else leaf)
            busy()

    handles = [top.begin_run(f"top-{number}") for number in range(2)]
    for handle in handles:
        handle.result(SOON)
    assert most == [workers]
    client.stop()


@pytest.mark.parametrize(("given", "threads"), [(0, min(32, os.cpu_count() or 1)), (100, 32), (5, 5)])
def test_the_number_of_workers(given: int, threads: int) -> None:
    """There are as many workers as asked for, at most 32; zero means as many as there are processors."""
    before = set(ours())
    client = Resonate(workers=given)
    client.start()
    assert len([thread for thread in set(ours()) - before if "worker" in thread.name]) == threads
    client.stop()


def test_a_long_function_holds_nobody_else_up(client: Resonate) -> None:
    """While a function takes its time, other runs and other branches of its own run go on."""
    gate = threading.Event()

    @client.register
    def top(ctx):
        slow = yield ctx.begin_run(lambda ctx: gate.wait(SOON))
        fast = yield ctx.run(value, 1)
        yield ctx.sleep(0.01)
        client.promises.create("seen", 2**45, data=str(fast))
        return (yield slow)

    handle = top.begin_run("top")
    when(lambda: client.promises.get("seen"))
    assert client.begin_run("other", client.register(value), 2).result(SOON) == 2
    gate.set()
    assert handle.result(SOON) is True


def test_one_long_run_lets_others_have_a_turn() -> None:
    """With one worker, a run of thousands of steps lets a later run finish long before its own end."""
    client = Resonate(workers=1)
    steps = []

    @client.register
    def long(ctx):
        for number in range(3000):
            yield ctx.run(lambda ctx, number: steps.append(number), number)

    handle = long.begin_run("long")
    when(lambda: len(steps) > 10)
    client.run("short", client.register(value), 1)
    assert len(steps) < 3000
    handle.result(SOON)
    client.stop()


# ---- size ------------------------------------------------------------------------------------------------------------------------


def test_fan_out_of_5000(client: Resonate) -> None:
    """Five thousand children at once are all awaited."""

    @client.register
    def top(ctx):
        promises = []
        for number in range(5000):
            promises.append((yield ctx.begin_run(value, number)))  # noqa: PERF401
        total = 0
        for promise in promises:
            total += yield promise
        return total

    assert top.begin_run("top").result(60) == sum(range(5000))


def test_3000_steps(client: Resonate) -> None:
    """Three thousand steps one after the other."""

    @client.register
    def top(ctx):
        total = 0
        for number in range(3000):
            total += yield ctx.run(value, number)
        return total

    assert top.begin_run("top").result(60) == sum(range(3000))


@pytest.mark.parametrize("fails", [False, True])
def test_1000_nested(client: Resonate, fails: bool) -> None:
    """A thousand calls below each other return, and an error at the bottom comes up through all of them."""

    @client.register
    def deep(ctx, levels):
        if levels == 0 and fails:
            raise ValueError("bottom")
        return 0 if levels == 0 else 1 + (yield ctx.run(deep, levels - 1))

    handle = deep.begin_run("top", 1000)
    if fails:
        with pytest.raises(ValueError, match="bottom"):
            handle.result(60)
    else:
        assert handle.result(60) == 1000


def test_1000_nested_that_nobody_awaits(client: Resonate) -> None:
    """A thousand levels of calls without a promise, left to structured concurrency, end as well."""

    @client.register
    def deep(ctx, levels):
        if levels:
            yield ctx.begin_run(deep, levels - 1).options(durable=False)
        return levels

    assert deep.begin_run("top", 1000).result(60) == 1000


def test_1000_sleeping_runs(client: Resonate) -> None:
    """A thousand runs that sleep 0.3 s at once are done in less than 1.5 s, with less than 8 threads more."""

    @client.register
    def sleeper(ctx, number):
        yield ctx.sleep(0.3)
        return number

    before = threading.active_count()
    began = time.monotonic()
    handles = [sleeper.begin_run(f"run-{number}", number) for number in range(1000)]
    extra = threading.active_count() - before
    assert [handle.result(SOON) for handle in handles] == list(range(1000))
    assert time.monotonic() - began < 1.5
    assert extra < 8
    when(lambda: empty(client))


@pytest.mark.parametrize("kind", ["sleep", "rpc"])
def test_what_is_left_to_structured_concurrency_is_linear(client: Resonate, kind: str) -> None:
    """A function that ends with many external calls open costs each of them once: eight times as many take no twenty times as long."""

    @client.register
    def top(ctx, count):
        def waits(ctx, number):
            yield ctx.sleep(0.001 * (number % 50))

        for number in range(count):
            yield ctx.begin_rpc("value", number) if kind == "rpc" else ctx.begin_run(waits, number)

    client.register(value)

    def taken(name: str, count: int) -> float:
        began = time.process_time()
        top.begin_run(name, count).result(60)
        return time.process_time() - began

    taken("warm", 20)
    few, many = taken("few", 250), taken("many", 2000)
    assert many < 20 * max(few, 0.05), f"250 took {few:.2f} s of processor time, 2,000 took {many:.2f} s"


# ---- stopping --------------------------------------------------------------------------------------------------------------------


def test_stop_fails_the_handles_and_the_client_can_be_used_again() -> None:
    """`stop` ends the wait of everybody within its time with ResonateShutdownError; a later use starts anew."""
    before = set(ours())
    client = Resonate(workers=2)
    gate = threading.Event()

    @client.register
    def waits(ctx):
        yield (yield ctx.promise())

    @client.register
    def sleeps(ctx):
        yield ctx.sleep(100)

    @client.register
    def retries(ctx):
        yield ctx.run(lambda ctx: 1 / 0).options(retry_policy=Constant(100))

    @client.register
    def blocks(ctx):
        gate.wait(SOON)
        return 1

    handles = [func.begin_run(func.name) for func in (waits, sleeps, retries, blocks)] + [client.get("waits")]
    time.sleep(0.05)
    began = time.monotonic()
    client.stop(timeout=0.3)
    assert time.monotonic() - began < 1
    for handle in handles:
        with pytest.raises(ResonateShutdownError, match="stopped before"):
            handle.result(1)
    client.stop()
    gate.set()
    when(lambda: not set(ours()) - before)
    client.register(value)
    assert client.run("later", "value", 5) == 5
    client.stop()
    when(lambda: not set(ours()) - before)


def test_a_stopped_clients_runs_go_on_when_it_is_used_again() -> None:
    """What was under way at a stop is taken up again, from the top, once the client is used again; what was done is not done twice."""
    client = Resonate(workers=2)
    ran = []
    gate = threading.Event()

    @client.register
    def top(ctx):
        yield ctx.run(lambda ctx: ran.append("once"))
        yield (yield ctx.promise(id="gate"))
        yield ctx.run(lambda ctx: ran.append("again") or gate.wait(SOON))
        return len(ran)

    for _ in range(2):
        top.begin_run("top")
        when(lambda: client.promises.get("gate"))
        client.stop()
    client.promises.resolve("gate")
    handle = top.begin_run("top")
    when(lambda: "again" in ran)
    client.stop(timeout=0.05)
    with pytest.raises(ResonateShutdownError):
        handle.result(1)
    gate.set()
    assert top.begin_run("top").result(5) >= 2
    assert ran.count("once") == 1
    client.stop()


def test_stop_before_start_and_twice_is_harmless() -> None:
    """Stopping what never started, or is stopped, does nothing."""
    client = Resonate()
    client.stop()
    client.start()
    client.start()
    client.stop()
    client.stop()


def test_stopping_from_within(client: Resonate) -> None:
    """A durable function may stop its own client; its thread ends as well."""

    @client.register
    def top(ctx):
        client.stop(timeout=0.5)
        return 1

    handle = top.begin_run("top")
    assert isinstance(handle.future.exception(SOON), ResonateShutdownError) or handle.result() == 1


def test_work_that_came_before_the_start(client: Resonate) -> None:
    """A promise with a target that was created before the client started is worked on once it starts, at once."""
    client.register(value)
    client.promises.create("early", 2**45, data='{"func": "value", "args": [7]}', tags={"resonate:invoke": "poll://any@default"})
    client.start()
    assert client.get("early").result(2) == 7


def test_two_clients_side_by_side() -> None:
    """Two clients in one process know nothing of each other: same ids, same function names, own threads."""
    clients = [Resonate(workers=1), Resonate(workers=1)]
    for number, client in enumerate(clients):
        client.register(lambda ctx, number=number: number, name="f")
    assert [client.run("same", "f") for client in clients] == [0, 1]
    clients[0].stop()
    assert clients[1].run("other", "f") == 1
    clients[1].stop()


INTERRUPTED = """
    import os, signal, sys, threading, time
    from resonate import Resonate
    client = Resonate()
    @client.register
    def waits(ctx):
        yield (yield ctx.promise(id="gate"))
        return "value"
    handle = waits.begin_run("a")
    def interrupt():
        time.sleep(0.3)
        global sent
        sent = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt).start()
    try:
        handle.result({timeout})
    except KeyboardInterrupt:
        print(int((time.monotonic() - sent) * 1000), end=" ")
    client.promises.resolve("gate")
    print(handle.result(5), client.run("b", client.register(lambda ctx: "again", name="f")))
"""


@pytest.mark.parametrize("timeout", ["", "60"])
def test_an_interrupt_ends_the_wait(timeout: str) -> None:
    """Ctrl-C during `result()` raises KeyboardInterrupt at once; the run goes on and can be asked again."""
    program = textwrap.dedent(INTERRUPTED).format(timeout=timeout)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    within_ms, *rest = done.stdout.split()
    assert rest == ["value", "again"], done.stderr
    assert int(within_ms) < 500


def test_interrupts_at_any_moment_leave_the_client_whole() -> None:
    """Two hundred interrupts in the middle of launching break neither the client nor the runs that were launched."""
    program = """
        import os, random, signal, threading, time
        from resonate import Resonate
        client = Resonate(workers=2)
        @client.register
        def top(ctx, number):
            return (yield ctx.run(lambda ctx: number))
        client.run("warm", top, 0)
        sent, stop = [0], threading.Event()
        def interrupt():
            while sent[0] < 200:
                time.sleep(random.random() * 0.004)
                sent[0] += 1
                os.kill(os.getpid(), signal.SIGINT)
            stop.set()
        def quietly():
            number = 0
            while not stop.is_set():
                try:
                    while not stop.is_set():
                        number += 1
                        client.run(f"run-{number}", top, number)
                except KeyboardInterrupt:
                    pass
            return number
        threading.Thread(target=interrupt).start()
        while True:
            try:
                number = quietly()
                break
            except KeyboardInterrupt:
                pass
        time.sleep(0.1)
        print(client.begin_run("last", top, "last").result(5), "of", number > 10)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "last of True\n", done.stdout + done.stderr


# ---- nothing is left behind ------------------------------------------------------------------------------------------------------


def test_finished_runs_leave_the_runtime_empty(client: Resonate) -> None:
    """However a run ends, by value, error, cancellation or timeout, the runtime forgets it."""

    @client.register
    def top(ctx, how):
        if how == "error":
            yield ctx.run(lambda ctx: 1 / 0).options(retry_policy=Never())
        slow = yield ctx.begin_run(lambda ctx: time.sleep(0.01))
        promise = yield ctx.promise()
        if how == "value":
            client.promises.resolve(promise.id)
        yield promise
        yield slow

    handles = {how: client.options(timeout=0.1 if how == "timeout" else 60).begin_run(how, top, how) for how in ("value", "error",
        "cancel", "timeout")}
    when(lambda: client.promises.get("cancel.2").pending)
    client.cancel("cancel")
    assert handles["value"].result(SOON) is None
    for how, error in (("error", ZeroDivisionError), ("cancel", ResonateCanceledError), ("timeout", ResonateTimedoutError)):
        with pytest.raises(error):
            handles[how].result(SOON)
    when(lambda: empty(client), 2)


@pytest.mark.parametrize("end", ["cancel", "timeout"])
def test_a_callee_that_is_ended_from_outside_is_forgotten(client: Resonate, end: str) -> None:
    """A function that was reached by rpc and waits is closed and forgotten when its promise is canceled or times out."""
    closed = threading.Event()

    @client.register
    def callee(ctx):
        try:
            yield (yield ctx.promise(id="never"))
        finally:
            closed.set()

    @client.register
    def top(ctx):
        try:
            yield ctx.rpc("callee").options(timeout=0.1 if end == "timeout" else 60)
        except (ResonateCanceledError, ResonateTimedoutError):
            return "ended"

    handle = top.begin_run("top")
    when(lambda: client.promises.get("never").pending)
    if end == "cancel":
        client.promises.cancel("top.1")
    assert handle.result(SOON) == "ended"
    assert closed.wait(2), "its generator was never closed"
    when(lambda: empty(client), 2)


def test_what_a_finished_run_was_interested_in_is_forgotten(client: Resonate) -> None:
    """A run that ends while it waits for a promise of somebody else leaves no trace with that promise."""
    client.promises.create("outside", 2**45, ikey="outside")

    @client.register
    def top(ctx):
        yield ctx.begin_run(lambda ctx: time.sleep(0.1))
        yield (yield ctx.promise(id="outside"))

    handle = top.begin_run("top")
    time.sleep(0.03)
    client.promises.cancel("top")
    with pytest.raises(ResonateCanceledError):
        handle.result(SOON)
    when(lambda: empty(client), 2)


def test_a_promise_that_was_settled_before_it_was_awaited_leaves_no_interest(client: Resonate) -> None:
    """Awaiting what has settled meanwhile, with other parts at work, leaves nothing behind."""
    gate = threading.Event()

    @client.register
    def top(ctx):
        promise = yield ctx.promise(id="p")
        slow = yield ctx.begin_run(lambda ctx: gate.wait(SOON) and 1)
        yield ctx.run(lambda ctx: client.promises.resolve("p", data="5") and None)
        found = yield promise
        gate.set()
        return [found, (yield slow)]

    assert top.begin_run("top").result(SOON) == [5, 1]
    when(lambda: empty(client), 2)


# ---- odd clocks and callbacks ----------------------------------------------------------------------------------------------------


def test_a_store_whose_clock_is_behind(client: Resonate) -> None:
    """A store whose clock is behind ours by a little makes a timed-out child late, but no worker spins or dies."""

    class Behind:
        def time(self) -> float:
            return time.time() - 0.2

        def strftime(self, format: str, /) -> str:
            return time.strftime(format)

    late = Resonate(store=LocalStore(clock=Behind()), workers=1)

    @late.register
    def top(ctx):
        try:
            yield ctx.run(value).options(timeout=0)
        except ResonateTimedoutError:
            return "timed out"

    gc.collect()  # else what the tests before have left may be collected while the time is taken
    began = time.process_time()
    try:
        assert top.begin_run("top").result(5) == "timed out"
        assert time.process_time() - began < 0.1, "it spun until the store's clock was there"
    finally:
        late.stop()


def test_a_callback_that_blocks_holds_nobody_up(client: Resonate) -> None:
    """A callback on a future that waits for another run does not keep timers from waking that run."""

    @client.register
    def sleeper(ctx):
        yield ctx.sleep(0.05)
        return "slept"

    @client.register
    def waits(ctx):
        yield (yield ctx.promise())

    seen = []
    handle = client.options(timeout=0.05).begin_run("a", waits)
    handle.future.add_done_callback(lambda future: seen.append(sleeper.begin_run("b").result(2)))
    with pytest.raises(ResonateTimedoutError):
        handle.result(SOON)
    when(lambda: seen, 4)
    assert seen == ["slept"]


def test_killing_leaves_nothing_to_wait_for() -> None:
    """A process that is told to end by SIGTERM while runs are pending ends at once."""
    program = (
        "from resonate import Resonate; client = Resonate(); client.register(lambda ctx: (yield ctx.sleep(60)), name='f')\n"
        "handle = client.begin_run('a', 'f'); print('up', flush=True); handle.result()"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == -signal.SIGTERM
    process.stdout.close()


def test_an_idle_worker_keeps_nothing_alive(client: Resonate) -> None:
    """Once a run is done and nobody holds its outcome, what its functions held is freed, also while every worker is idle."""

    class Big:
        pass

    held: list[weakref.ref[Big]] = []

    @client.register
    def top(ctx):
        big = Big()
        held.append(weakref.ref(big))
        yield ctx.run(value, 1)
        return len(repr(big)) > 0

    for number in range(8):
        assert top.run(f"run-{number}")
    when(lambda: gc.collect() >= 0 and not [each for each in held if each() is not None], 2)
