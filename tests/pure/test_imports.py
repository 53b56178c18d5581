"""Who imports whom: the pure modules stay pure, nothing goes round in a circle, and importing the SDK costs next to nothing."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import resonate

PACKAGE = Path(resonate.__file__).parent
PACKAGES = {"resonate": PACKAGE, "resonate_notebook": PACKAGE.parent / "resonate_notebook"}
IMPURE = {"time", "threading", "queue", "socket", "random", "logging", "os", "asyncio", "concurrent", "subprocess", "select",
          "secrets", "uuid"}


def modules() -> dict[str, Path]:
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports_of(name: str, *, typing_only: bool) -> set[str]:
    """Everything that a module imports, as full names: in its body and its functions, and in TYPE_CHECKING blocks if asked for."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    typed: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            typed |= {inner for statement in node.body for inner in ast.walk(statement)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in typed and not typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            assert node.module is not None
            found |= {f"{node.module}.{alias.name}" if f"{node.module}.{alias.name}" in MODULES else node.module for alias in node.names}
    return found


def own_imports(name: str, *, typing_only: bool) -> set[str]:
    return {each for each in imports_of(name, typing_only=typing_only) if each in MODULES} - {name}


def reached_from(start: str) -> set[str]:
    reached: set[str] = set()
    todo = [start]
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += own_imports(name, typing_only=False)
    return reached


def circles(*, typing_only: bool) -> list[frozenset[str]]:
    """Sets of modules that reach each other."""
    graph = {name: own_imports(name, typing_only=typing_only) for name in MODULES}
    reach: dict[str, set[str]] = {}
    for start, imported in graph.items():
        seen: set[str] = set()
        todo = list(imported)
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += graph[name]
        reach[start] = seen
    return list({frozenset(other for other in reach[name] if name in reach[other]) for name in MODULES if name in reach[name]})


PURE = (
    "resonate.computation", "resonate.machine", "resonate.wire.legacy_http", "resonate.wire.legacy_client", "resonate.wire.current_client",
    "resonate.server.gate", "resonate.transport.pace",
)  # fmt: skip


@pytest.mark.parametrize("pure", PURE)
def test_the_pure_modules_touch_no_clock_thread_socket_or_dice(pure: str) -> None:
    """The machines, the translation of requests and the gate, and whatever of ours they import, import nothing that looks at the world."""
    for name in reached_from(pure):
        impure = {each for each in imports_of(name, typing_only=False) if each.partition(".")[0] in IMPURE}
        assert not impure, f"{pure} reaches {name}, which imports {sorted(impure)}"


def test_no_import_circles() -> None:
    """No module imports itself by way of others."""
    assert circles(typing_only=False) == []


def test_no_import_circles_in_annotations_either() -> None:
    """Annotations bring no circle either."""
    assert circles(typing_only=True) == []


def test_the_sdk_does_not_know_of_the_notebook() -> None:
    """No module of `resonate` imports one of `resonate_notebook`."""
    sdk = [name for name in MODULES if name.partition(".")[0] == "resonate"]
    assert not [name for name in sdk if any(each.startswith("resonate_notebook") for each in own_imports(name, typing_only=True))]


def test_the_picture_is_pure() -> None:
    """The model of a run and its still pictures look at no clock and start no thread."""
    for name in ("model", "layout", "svg", "text", "formats"):
        assert not {each for each in imports_of(f"resonate_notebook.{name}", typing_only=False) if each.partition(".")[0] in IMPURE}


EACH_FIRST = """
import importlib, sys
failed = []
for name in sys.argv[1:]:
    for known in [each for each in sys.modules if each.partition(".")[0] == "resonate"]:
        del sys.modules[known]
    try:
        module = importlib.import_module(name)
        offered = getattr(module, "__all__", [])
        missing = [each for each in offered if not hasattr(module, each)]
        assert not missing, f"offers {missing}, which it does not have"
        assert len(set(offered)) == len(offered), "offers a name twice"
    except Exception as error:
        failed.append(f"{name}: {error!r}")
print(*failed, sep="\\n")
"""


def test_every_module_can_be_imported_first() -> None:
    """Each module can be the first of the package that a process imports, and says truly what it offers."""
    names = [name for name in MODULES if name.partition(".")[0] == "resonate" and name != "resonate.__main__"]
    done = subprocess.run([sys.executable, "-c", EACH_FIRST, *names], cwd=PACKAGE.parent, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("", 0), done.stderr


def test_the_sdk_offers_exactly_what_0_6_7_does() -> None:
    """`from resonate import *` gives the five names of the public API."""
    assert sorted(resonate.__all__) == ["Context", "Handle", "Promise", "Resonate", "Yieldable"]


def test_importing_the_sdk_needs_the_standard_library_alone() -> None:
    """`import resonate` and a first run bring in no IPython, no anywidget, no package of others at all."""
    code = (
        "import sys; before = set(sys.modules); import resonate; client = resonate.Resonate()\n"
        "client.register(lambda ctx: 1, name='f'); assert client.run('a', 'f') == 1\n"
        "known = set(sys.stdlib_module_names); new = {name.partition('.')[0] for name in set(sys.modules) - before} - known\n"
        "print(*(name for name in new if not name.startswith('_sysconfigdata')))"  # of the standard library, named for the platform
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["resonate"], done.stderr


def test_importing_the_sdk_starts_nothing() -> None:
    """Importing and constructing start no thread."""
    code = "import threading, resonate; resonate.Resonate(); resonate.Resonate.local(); print(threading.active_count())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "1", done.stderr


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("resonate.resonate", "Resonate Context Function"), ("resonate.retry_policies", "Constant Exponential Linear Never"),
        ("resonate.errors", "ResonateError ResonateStoreError ResonateCanceledError ResonateTimedoutError ResonateShutdownError"),
        ("resonate.stores", "LocalStore"), ("resonate.registry", "Registry"), ("resonate.dependencies", "Dependencies"),
        ("resonate.options", "Options"),
        ("resonate.coroutine", "LFI LFC RFI RFC Promise Yieldable"), ("resonate.models.handle", "Handle"),
        ("resonate.models.result", "Ok Ko Result"),
        ("resonate.models.durable_promise", "DurablePromise DurablePromiseValue"), ("resonate.models.encoder", "Encoder"),
        ("resonate.models.retry_policy", "RetryPolicy"), ("resonate.models.clock", "Clock"),
    ],
)  # fmt: skip
def test_import_paths_of_0_6_7(module: str, names: str) -> None:
    """What a program written for 0.6.7 imports is where it was."""
    offered = importlib.import_module(module)
    assert [name for name in names.split() if not hasattr(offered, name)] == []
