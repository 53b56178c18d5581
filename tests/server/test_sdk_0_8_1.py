"""The published SDK 0.8.1, which speaks the current protocol, from its registry and unchanged, as client and worker of this server."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from conftest import Client, eventually

from resonate.server import DevelopmentServer

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venv-sdk081"
REQUIREMENT = "resonate-sdk==0.8.1"
PROGRAM_LIMIT_S = 60.0
HEAD = """
import asyncio
from datetime import timedelta
from resonate.resonate import Resonate
from resonate.retry import Constant
from resonate.types import Value

def client(group):
    return Resonate(url=URL, group=group, pid=group + "-1")
"""
TAIL = "\nasyncio.run(asyncio.wait_for(main(), 40))\n"


@cache
def python() -> str:
    """The interpreter of 0.8.1's environment, which is made if it is not there."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import processes

        return str(processes.environment(FOLDER, REQUIREMENT))
    except processes.CannotInstall as error:
        return pytest.skip(str(error))
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


def printed(server: DevelopmentServer, folder: Path, program: str) -> list[str]:
    """What a program of 0.8.1 prints; it must end well."""
    code = f"URL = {server.url!r}\n{HEAD}{program}{TAIL}"
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RESONATE"))}
    done = subprocess.run(
        [python(), "-c", code], cwd=folder, env=variables, text=True, capture_output=True, timeout=PROGRAM_LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_function_and_its_steps(any_server: DevelopmentServer, tmp_path: Path) -> None:
    """One function, a hundred steps, and a second launch under the same id, which gives the first result."""
    assert printed(any_server, tmp_path, """
async def add(ctx, a, b): return a + b
async def inc(ctx, x): return x + 1
async def steps(ctx, n):
    x = 0
    for _ in range(n):
        x = await ctx.run(inc, x)
    return x
async def main():
    resonate = client("g")
    for function in (add, inc, steps):
        resonate.register(function)
    print(await resonate.run("a", add, 2, 3).result(), await resonate.run("s", steps, 100).result())
    print(await resonate.run("a", add, 5, 5).result())
    await resonate.stop()
""") == ["5 100", "5"]  # fmt: skip


def test_waiting(any_server: DevelopmentServer, tmp_path: Path) -> None:
    """A durable sleep wakes in time, a promise that a person resolves goes on, retries come to an end either way."""
    assert printed(any_server, tmp_path, """
import time
calls = []
async def nap(ctx):
    await ctx.sleep(timedelta(seconds=1))
    return "awake"
async def approve(ctx):
    return f"approved: {await ctx.promise()}"
async def flaky(ctx):
    calls.append(1)
    if len(calls) < 3:
        raise ValueError("not yet")
    return f"ok after {len(calls)}"
async def broken(ctx):
    raise ValueError("always broken")
async def main():
    resonate = client("g")
    for function in (nap, approve):
        resonate.register(function)
    resonate.register(flaky, retry_policy=Constant(delay=1, max_retries=3))
    resonate.register(broken, retry_policy=Constant(delay=1, max_retries=1))
    began_s = time.monotonic()
    print(await resonate.run("n", nap).result(), time.monotonic() - began_s < 3)
    handle = resonate.run("h", approve)
    await asyncio.sleep(0.5)
    await resonate.promises.resolve("h:1", Value(data="yes"))
    print(await handle.result())
    print(await resonate.run("f", flaky).result())
    try:
        await resonate.run("b", broken).result()
    except ValueError as error:
        print(error)
    await resonate.stop()
""") == ["awake True", "approved: yes", "ok after 3", "always broken"]  # fmt: skip


def test_two_workers(any_server: DevelopmentServer, tmp_path: Path) -> None:
    """A workflow calls a function of a worker in another group; its run is suspended in between."""
    assert printed(any_server, tmp_path, """
async def double(ctx, x): return 2 * x
async def remote(ctx, x):
    return [await ctx.options(target="workers").rpc("double", x + each) for each in range(3)]
async def main():
    worker, caller = client("workers"), client("callers")
    worker.register(double)
    caller.register(remote)
    print(await caller.run("r", remote, 20).result())
    await caller.stop()
    await worker.stop()
""") == ["[40, 42, 44]"]  # fmt: skip


def test_its_promises_are_seen_from_here(any_server: DevelopmentServer, tmp_path: Path) -> None:
    """A promise that 0.8.1 waits for is found and resolved by the legacy protocol, and it goes on with that value."""
    client = Client(any_server.url)
    process = subprocess.Popen(
        [python(), "-c", f"URL = {any_server.url!r}\n{HEAD}" + """
async def approve(ctx):
    return await ctx.promise()
async def main():
    resonate = client("g")
    resonate.register(approve)
    print(await resonate.run("h", approve).result())
    await resonate.stop()
""" + TAIL],
        cwd=tmp_path, text=True, stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    try:
        eventually(lambda: client("GET", "/promises/h:1").status == 200, 30)
        data = base64.b64encode(b'"seen"').decode()
        assert client("PATCH", "/promises/h:1", {"state": "RESOLVED", "value": {"data": data}}).status == 201
        said, _ = process.communicate(timeout=PROGRAM_LIMIT_S)
    finally:
        process.kill()
    assert said.splitlines() == ["seen"]
