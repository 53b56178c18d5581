"""What a type checker sees of user code: results have the types that the functions say, and mistakes are found.

The programs below are checked by mypy as files of their own, never run.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

RIGHT = '''
import time
from collections.abc import Generator
from typing import Any, assert_type

from resonate import Context, Handle, Promise, Resonate, Yieldable
from resonate.coroutine import LFC, LFI, RFC, RFI
from resonate.models.durable_promise import DurablePromise
from resonate.retry_policies import Constant, Exponential, Linear, Never

resonate = Resonate.local()


def plain(ctx: Context, x: int) -> int:
    return x


def composed(ctx: Context, x: int) -> Generator[Yieldable, object, str]:
    y = yield ctx.run(plain, x)
    yield ctx.sleep(1)
    return str(y)


@resonate.register
def f(ctx: Context, x: int) -> int:
    return x


@resonate.register
def g(ctx: Context, x: int) -> Generator[Yieldable, Any, str]:
    promise: Promise[int] = yield ctx.begin_run(plain, x)
    value: int = yield promise
    return str(value)


assert_type(f.run("a", 1), int)
assert_type(f.begin_run("a", 1), Handle[int])
assert_type(f.begin_run("a", 1).result(), int)
assert_type(f.options(timeout=5, retry_policy=Never()).begin_run("a", 1), Handle[int])
assert_type(f(Context.__new__(Context), 1), int)
assert_type(g.run("a", 1), str)
assert_type(g.begin_run("a", 1), Handle[str])
assert_type(resonate.run("a", plain, 1), int)
assert_type(resonate.begin_run("a", plain, 1), Handle[int])
assert_type(resonate.run("a", composed, 1), str)
assert_type(resonate.begin_run("a", composed, 1), Handle[str])
assert_type(resonate.run("a", "name", 1), Any)
assert_type(resonate.begin_run("a", "name", 1), Handle[Any])
assert_type(resonate.options(tags={"a": "b"}, retry_policy=Exponential()).run("a", plain, 1), int)
assert_type(resonate.run("a", lambda ctx: 1), int)
assert_type(resonate.get("a").result(timeout=1.5), Any)
assert_type(resonate.promises.get("a"), DurablePromise)
assert_type(resonate.promises.create(id="a", timeout=int(time.time() * 1000)).pending, bool)
assert_type(resonate.rpc("a", "f", 1), Any)
assert_type(resonate.begin_rpc("a", "f", 1), Handle[Any])
assert_type(resonate.begin_rpc("a", plain, 1), Handle[int])
assert_type(resonate.begin_rpc("a", composed, 1), Handle[str])
assert_type(f.rpc("a", 1), int)
assert_type(f.begin_rpc("a", 1), Handle[int])
assert_type(g.rpc("a", 1), str)
assert_type(g.begin_rpc("a", 1), Handle[str])
assert_type(f.options(tags={"a": "b"}).options(version=2).run("a", 1), int)
assert_type(resonate.options(timeout=1).options(target="x", idempotency_key=lambda id: None).begin_run("a", composed, 1), Handle[str])
assert_type(f.name, str)
assert_type(f.func(Context.__new__(Context), 1), int)
assert_type(resonate.begin_run("a", f, 1), Handle[int])
assert_type(resonate.register(plain).run("a", 1), int)
assert_type(resonate.register(composed, name="c", version=2).begin_run("a", 1), Handle[str])


@resonate.register()
def without(ctx: Context, *, x: float = 1.0) -> float:
    return x


assert_type(without.run("a", x=2.0), float)


@resonate.register(name="h", version=2)
def h(ctx: Context) -> bool:
    return True


async def waits() -> None:
    assert_type(await f.begin_run("a", 1), int)
    assert_type(await g.begin_run("a", 1), str)


def typed(ctx: Context) -> Generator[Any, Any, None]:
    assert_type(ctx.run(plain, 1), LFC[int])
    assert_type(ctx.run(composed, 1), LFC[str])
    assert_type(ctx.begin_run(plain, 1).options(id="x", retry_policy=Linear()), LFI[int])
    assert_type(ctx.rpc("f", 1).options(target="x", version=1), RFC[Any])
    assert_type(ctx.rpc(plain, 1), RFC[int])
    assert_type(ctx.rpc(awaits, 1), RFC[bytes])
    assert_type(ctx.begin_rpc(plain, 1), RFI[int])
    assert_type(ctx.begin_rpc("f", 1).options(tags={"a": "b"}).options(encoder=None), RFI[Any])
    assert_type(ctx.run(f, 1), LFC[int])
    assert_type(ctx.detached("f", 1).options(id="x"), RFI[Any])
    assert_type(ctx.lfc(plain, 1), LFC[int])
    assert_type(ctx.run(plain, 1).options(timeout=1.5).options(durable=False, non_retryable_exceptions=(OSError,)), LFC[int])
    assert_type(ctx.sleep(1), RFC[None])
    assert_type(ctx.random.random(), LFC[float])
    assert_type(ctx.begin_run(awaits, 1), LFI[bytes])
    assert_type(ctx.promise(id="x", data={"a": 1}), RFI[Any])
    assert_type(ctx.time.time(), LFC[float])
    assert_type(ctx.random.choice(["a"]), LFC[str])
    value = yield from ctx.typesafe(ctx.run(plain, 1))
    assert_type(value, int)
    text = yield from ctx.typesafe(ctx.run(composed, 1))
    assert_type(text, str)


async def awaits(ctx: Context, x: int) -> bytes:
    await ctx.sleep(1.0)
    assert_type(await ctx.run(plain, x), int)
    assert_type(await ctx.run(composed, x), str)
    promise = await ctx.begin_run(plain, x)
    assert_type(promise, Promise[int])
    assert_type(await promise, int)
    assert_type(await ctx.rpc(plain, x), int)
    assert_type(await ctx.run(awaits, x), bytes)
    assert_type(await ctx.run(f, x), int)
    assert_type(await (await ctx.begin_rpc(composed, x)), str)
    assert_type(await ctx.time.time(), float)
    return b""


@resonate.register(name="k", version=3)
async def k(ctx: Context, x: int) -> list[int]:
    return [x]


assert_type(k.run("a", 1), list[int])
assert_type(k.begin_rpc("a", 1), Handle[list[int]])
assert_type(h.begin_run("a"), Handle[bool])
assert_type(resonate.begin_run("a", awaits, 1), Handle[bytes])
assert_type(resonate.rpc("a", plain, 1), int)
assert_type(resonate.promises.search("a*").promises, list[DurablePromise])
assert_type(resonate.schedules.get("a").next_runtime, int)
'''

WRONG = [
    ("resonate.begin_run(5, plain, 1)", "No overload variant"),
    ('resonate.options(timeout="5")', 'Argument "timeout"'),
    ("resonate.options(durable=True)", "Unexpected keyword"),
    ('text: str = resonate.run("a", plain, 1)', "Incompatible types in assignment"),
    ('number: int = f.begin_run("a", 1).result() + "x"', "Unsupported operand"),
    ('resonate.promises.resolve(id="a", data={"a": 1})', 'Argument "data"'),
    ('f.run("a", 1).missing', "has no attribute"),
    ('f("not a context", 1)', "Argument 1"),
    ('resonate.begin_run("a", plain, 1).then()', "has no attribute"),
]


def checked(folder: Path, program: str) -> tuple[int, str]:
    (folder / "program.py").write_text(program, encoding="utf-8")
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={folder / 'cache'}", "program.py"]
    done = subprocess.run(command, cwd=folder, env={"MYPYPATH": str(root), "PATH": ""}, capture_output=True, text=True, timeout=300,
                          check=False)
    return done.returncode, done.stdout + done.stderr


def test_results_have_the_types_that_the_functions_say(tmp_path: Path) -> None:
    """A strict type checker knows what every launch, handle and command gives."""
    assert checked(tmp_path, RIGHT) == (0, "Success: no issues found in 1 source file\n")


def test_mistakes_are_found_before_anything_runs(tmp_path: Path) -> None:
    """Each wrong line is found, in its own line, and nothing else is."""
    head = RIGHT.partition("assert_type(f.run")[0]
    code, text = checked(tmp_path, head + "\n".join(line for line, _ in WRONG) + "\n")
    first = head.count("\n") + 1
    found = [line for line in text.splitlines() if ": error:" in line]
    assert code == 1
    for number, (line, reason) in enumerate(WRONG):
        assert any(each.startswith(f"program.py:{first + number}: ") and reason in each for each in found), f"{line}\n{text}"
    assert len(found) == len(WRONG)
