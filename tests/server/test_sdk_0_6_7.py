"""The published SDK 0.6.7, from its registry and unchanged, as client and worker of this server."""

from __future__ import annotations

import base64
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import Client, eventually

from resonate.server import DevelopmentServer

ROOT = Path(__file__).parents[2]
PROGRAM_LIMIT_S = 40.0
HEAD = """
from resonate import Resonate
from resonate.retry_policies import Constant
resonate = Resonate.remote(group={group!r}, pid={pid!r})
"""

Start = Callable[..., "subprocess.Popen[str]"]


@cache
def reference_python() -> str:
    """The interpreter of 0.6.7's environment, which the benchmarks and the parity programs use too."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import processes

        return str(processes.reference_python())
    except processes.CannotInstall as error:
        return pytest.skip(str(error))
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


def variables_for(server: DevelopmentServer) -> dict[str, str]:
    """The environment in which 0.6.7 finds a server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | {
        "RESONATE_HOST": "http://127.0.0.1",
        "RESONATE_PORT_STORE": str(urlsplit(server.url).port),
        "RESONATE_PORT_MESSAGE_SOURCE": str(urlsplit(server.message_url).port),
    }


@pytest.fixture
def start(any_server: DevelopmentServer, tmp_path: Path) -> Iterator[Start]:
    """Start a program of 0.6.7 that knows this server by the SDK's own variables."""
    python = reference_python()
    started: list[subprocess.Popen[str]] = []
    variables = variables_for(any_server)

    def run(program: str, group: str = "default", pid: str = "w1") -> subprocess.Popen[str]:
        code = HEAD.format(group=group, pid=pid) + program
        process = subprocess.Popen(
            [python, "-c", code], cwd=tmp_path, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def last_line(process: subprocess.Popen[str]) -> str:
    """What a program printed last; it must end well."""
    said, complained = process.communicate(timeout=PROGRAM_LIMIT_S)
    assert process.returncode == 0, complained
    return said.splitlines()[-1]


WORK = "\nimport threading; threading.Event().wait()\n"
"""The threads of 0.6.7 do not keep a process alive."""
END = "\nimport os, sys; sys.stdout.flush(); os._exit(0)\n"
"""0.6.7 may keep its process alive after the last line; what it has printed is what counts."""


def call(function: str, *arguments: Any) -> dict[str, str]:
    """What a promise carries that calls a function of a worker of 0.6.7."""
    return {"data": base64.b64encode(json.dumps({"func": function, "args": arguments, "kwargs": {}, "version": 1}).encode()).decode()}


def until_somebody_works(client: Client, group: str, param: dict[str, str], is_so: Callable[[str], bool]) -> str:
    """The id of the first promise for a group of which `is_so` is true, a new one every 0.3 s: one that finds nobody waits for 15 s."""
    for number in itertools.count():
        assert number * 0.3 < PROGRAM_LIMIT_S, f"nobody works in group {group}"
        client.create(f"{group}-{number}", param=param, tags={"resonate:invoke": f"poll://any@{group}"})
        time.sleep(0.3)
        if is_so(f"{group}-{number}"):
            break
    return f"{group}-{number}"


def test_one_function(start: Start) -> None:
    """A function runs once, and a second launch of its id gives the same."""
    program = """
calls = []
@resonate.register
def double(ctx, x):
    calls.append(x)
    return 2 * x
print(resonate.run("one/1", double, 21), resonate.run("one/1", double, 21), len(calls))
"""
    assert last_line(start(program + END)) == "42 42 1"


def test_steps(start: Start) -> None:
    """A generator's steps run in order and hand on their results."""
    program = """
def add(ctx, a, b):
    return a + b
@resonate.register
def steps(ctx, x):
    a = yield ctx.run(add, x, 1)
    b = yield ctx.run(add, a, 10)
    return [a, b]
print(resonate.run("steps/1", steps, 5))
"""
    assert last_line(start(program + END)) == "[6, 16]"


def test_a_call_of_another_worker(any_server: DevelopmentServer, start: Start) -> None:
    """A run suspends on a call of a function that another worker of another group has, and goes on with its result."""
    start(
        """
@resonate.register
def charge(ctx, amount):
    return amount * 2
resonate.start()
"""
        + WORK,
        group="billing", pid="billing1",
    )  # fmt: skip
    client = Client(any_server.url)
    until_somebody_works(client, "billing", call("charge", 1), lambda each: client("GET", f"/promises/{each}").body["state"] == "RESOLVED")
    program = """
@resonate.register
def order(ctx, amount):
    paid = yield ctx.rpc("charge", amount).options(target="billing")
    return paid + 1
print(resonate.run("order/1", order, 7))
"""
    assert last_line(start(program + END)) == "15"


def test_sleep(start: Start) -> None:
    """A sleep of a second ends after a second or a little more."""
    program = """
import time
@resonate.register
def nap(ctx):
    yield ctx.sleep(1)
    return "rested"
began = time.time()
print(resonate.run("nap/1", nap), 1 <= time.time() - began < 2.5)
"""
    assert last_line(start(program + END)) == "rested True"


def test_a_person_decides(any_server: DevelopmentServer, start: Start) -> None:
    """A run waits for a promise that a person resolves with a plain request."""
    process = start(
        """
@resonate.register
def review(ctx):
    approval = yield ctx.promise(id="review/1/approval")
    answer = yield approval
    return {"approved": answer}
print(resonate.run("review/1", review))
"""
        + END
    )
    client = Client(any_server.url)
    eventually(lambda: client("GET", "/promises/review/1/approval").status == 200, PROGRAM_LIMIT_S)
    assert client("PATCH", "/promises/review/1/approval", {"state": "RESOLVED", "value": {"data": "dHJ1ZQ=="}}).status == 201
    assert last_line(process) == "{'approved': True}"


def test_failure_with_retries(any_server: DevelopmentServer, start: Start) -> None:
    """A step is tried again until it succeeds; one that never does fails the run with its own exception."""
    program = """
attempts = []
def flaky(ctx):
    attempts.append(1)
    if len(attempts) < 3:
        raise RuntimeError("not yet")
    return len(attempts)
def hopeless(ctx):
    raise ValueError("no stock")
@resonate.register
def shop(ctx):
    n = yield ctx.run(flaky).options(retry_policy=Constant(delay=0.1, max_retries=5))
    yield ctx.run(hopeless).options(retry_policy=Constant(delay=0.1, max_retries=2))
    return n
try:
    print(resonate.run("shop/1", shop))
except Exception as error:
    print(type(error).__name__, error)
"""
    assert last_line(start(program + END)) == "ValueError no stock"
    client = Client(any_server.url)
    assert [client("GET", f"/promises/{each}").body["state"] for each in ("shop/1.1", "shop/1.2", "shop/1")] == [
        "RESOLVED", "REJECTED", "REJECTED",
    ]  # fmt: skip


def test_a_password(tmp_path: Path) -> None:
    """With the password in the SDK's own variables a run that has to wait for a message ends; without it nothing is let in."""
    program = """
@resonate.register
def nap(ctx):
    yield ctx.sleep(0.1)
    return "rested"
print(resonate.run("nap/1", nap))
"""
    code = HEAD.format(group="default", pid="w1") + program + END
    with DevelopmentServer(port=0, user="ada:se:cret") as server:
        variables = variables_for(server) | {"RESONATE_USERNAME": "ada", "RESONATE_PASSWORD": "se:cret"}
        command = [reference_python(), "-c", code]
        done = subprocess.run(command, cwd=tmp_path, env=variables, text=True, capture_output=True, timeout=PROGRAM_LIMIT_S, check=False)
        assert done.stdout.splitlines()[-1:] == ["rested"], done.stderr
        assert Client(server.url)("GET", "/promises/nap/1").status == 401


@pytest.mark.parametrize("any_server", ["file"], indirect=True)
def test_a_worker_that_dies_is_replaced(any_server: DevelopmentServer, start: Start) -> None:
    """When a worker is killed in the middle of a run, another one of its group finishes the run once the lease has lapsed."""
    program = """
import time
@resonate.register
def slow(ctx):
    time.sleep({seconds})
    return "done"
resonate.start()
""" + WORK
    client = Client(any_server.url)
    first = start(program.format(seconds=60), pid="w1")
    held = lambda each: client("POST", "/tasks/heartbeat", {"processId": "w1"}).body["tasksAffected"] > 0  # noqa: E731
    taken = until_somebody_works(client, "default", call("slow"), held)
    first.kill()
    start(program.format(seconds=0), pid="w2")
    eventually(lambda: client("GET", f"/promises/{taken}").body["state"] == "RESOLVED", PROGRAM_LIMIT_S)
