"""`%resonate export` in a real shell: worker scripts that run in a process of their own, and pictures in files."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from contextlib import contextmanager

import pytest
from test_magics import Shell, ipython  # noqa: F401 - a fixture

import resonate_notebook
from resonate import Resonate
from resonate.server import DevelopmentServer
from resonate_notebook import exports

STEPS = """%%resonate register
import os
from math import floor as down
from resonate.retry_policies import Constant
POLICY = Constant(delay=0.01, max_retries=2)
FACTORS = {"a": 2, "b": 3}
def scaled(day):
    return down(day * FACTORS["a"] + 0.5)
def step(ctx, day):
    return scaled(day), os.getpid()
def pipeline(ctx, days=3):
    total, pids = 0, set()
    for day in range(days):
        value, pid = yield ctx.run(step, day).options(retry_policy=POLICY)
        total += value
        pids.add(pid)
    return total, list(pids)
"""


@pytest.fixture
def cell(ipython, capsys, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    before, flags = set(ipython.user_ns), ipython.compile.flags
    shell = Shell(ipython, capsys)
    shell.good("%load_ext resonate_notebook")
    yield shell
    shell.good("%unload_ext resonate_notebook")
    ipython.compile.flags = flags  # a `from __future__` holds for all cells after it
    for name in set(ipython.user_ns) - before:
        del ipython.user_ns[name]


@contextmanager
def process(script):
    """The script in a process of its own, once it says that it works."""
    worker = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert worker.stdout is not None
        yield worker, worker.stdout.readline()
    finally:
        worker.kill()
        worker.communicate()


# ---- workers -------------------------------------------------------------------------------------------------------------------


def test_a_worker_completes_runs_of_a_server_in_a_process_of_its_own(cell, tmp_path):
    with DevelopmentServer(port=0) as server:
        cell.good(f"%resonate connect remote {server.url}")
        cell.good(STEPS)
        told = cell.good("%resonate export worker.py")
        assert told == "worker.py written · a worker for pipeline, step · `python worker.py` starts it\n"
        cell.good("%resonate connect local")
        asking = Resonate.remote(host=server.url, group="asking", log_level="CRITICAL")
        with process(tmp_path / "worker.py") as (worker, said), asking as client:
            assert said == f"Working on {server.url}, group default: pipeline, step. Ctrl-C ends it.\n"
            total, pids = client.options(target="default").begin_rpc("demo.1", "pipeline", days=4).result(30)
            assert (total, list(pids)) == (12, [worker.pid])


def test_a_worker_completes_runs_of_a_file_that_the_notebook_has_left(cell, tmp_path):
    cell.good(f"%resonate connect local --db '{tmp_path / 'runs.db'}' --durability fast")
    cell.good(STEPS)
    cell.good("import resonate_notebook as rn\nrn.export('worker.py')")
    cell.good("%resonate connect local")
    with process(tmp_path / "worker.py") as (worker, said), Resonate.local(path=tmp_path / "runs.db", log_level="CRITICAL") as client:
        assert "runs.db: pipeline, step." in said
        total, pids = client.begin_rpc("demo.1", "pipeline", days=4).result(30)
        assert (total, list(pids)) == (12, [worker.pid])


def exported(cell, source, name="worker.py"):
    """The script for functions of these cells, and its names when it is executed as a module."""
    cell.good("%resonate connect local --db runs.db")
    for each in [source] if isinstance(source, str) else source:
        cell.good(each)
    told = cell.good(f"%resonate export {name} --force")
    with open(name, encoding="utf-8") as file:
        text = file.read()
    names = {"__name__": "worker", "__file__": name}
    try:
        exec(compile(text, name, "exec", dont_inherit=True), names)
    finally:
        for value in list(names.values()):
            if isinstance(value, Resonate):
                value.stop()
    return text, names, told


VALUES = [
    """
import datetime as dt, enum, re, collections
from dataclasses import dataclass, field
from pathlib import Path
from decimal import Decimal
from zoneinfo import ZoneInfo
from typing import NamedTuple, TypeVar
""",
    """
class Colour(enum.Enum):
    RED = "r"
class Bits(enum.Flag):
    A = 1
    B = 2
@dataclass(frozen=True)
class Point:
    x: int
    tags: tuple = ()
class Pair(NamedTuple):
    left: int
    right: str = "é"
T = TypeVar("T")
Rows = list[dict[str, int]]
""",
    r"""
POINT = Point(3, ("a",))
COLOUR = Colour.RED
BITS = Bits.A | Bits.B
PAIR = Pair(1)
EMPTY = set(), frozenset(), (), {}, (1,)
WHEN = dt.datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=ZoneInfo("Europe/Paris"))
AGE = dt.timedelta(-1, 2, 3)
PATTERN = re.compile(r"a(?P<n>b)", re.I)
PATH = Path("a") / "b"
MONEY = Decimal("1.10")
ODD = float("inf"), -0.0, 1e300, 2j
TEXT = 'quote " \' \\ \n \x00 \u2028'
COUNTS = collections.Counter("aab")
BOTH = {int: [POINT, COLOUR]}
""",
    """%%resonate register
def get(ctx: object, rows: Rows = None, at=POINT) -> T:
    return POINT, COLOUR, BITS, PAIR, EMPTY, WHEN, AGE, PATTERN, PATH, MONEY, ODD, TEXT, COUNTS, BOTH
""",
]
HELPERS = [
    "import functools, os.path\nimport xml.etree.ElementTree\nimport json as j\nfrom textwrap import dedent",
    """
def twice(function):
    @functools.wraps(function)
    def wrapper(*given):
        return 2 * function(*given)
    return wrapper
""",
    "double = lambda x: helper(x) * 2",
    """
@functools.lru_cache(maxsize=None)
def cached(x):
    return x + LIMIT
if True:
    def helper(x):
        return x
""",
    """
class Base:
    limit = 5
class Table(Base):
    def sum(self):
        return double(self.limit) + later()
alias = double
""",
    """%%resonate register
@twice
def total(ctx, x):
    '''Says what.'''
    # a comment stays
    texts = j.dumps(dedent(" a")), xml.etree.ElementTree.Element("b").tag
    return Table().sum() + cached(x) + alias(1) + len("".join(texts))
def recursive(ctx, n):
    return recursive(ctx, n - 1) if n else 0
""",
    "LIMIT = 10\ndef later():\n    return sum(LIMIT for _ in range(2))",
]


def test_values_keep_their_types_and_what_they_need_comes_first(cell):
    _, names, _ = exported(cell, VALUES)
    for name in ["EMPTY", "WHEN", "AGE", "PATTERN", "PATH", "MONEY", "ODD", "TEXT", "COUNTS"]:
        assert names[name] == cell.shell.user_ns[name]
        assert repr(names[name]) == repr(cell.shell.user_ns[name])
    for name in ["POINT", "COLOUR", "BITS", "PAIR", "BOTH"]:
        assert repr(names[name]) == repr(cell.shell.user_ns[name])
    assert names["get"](None)[0] is names["POINT"] is names["get"].__defaults__[1]


def test_helpers_are_followed_through_decorators_classes_lambdas_and_later_cells(cell):
    text, names, _ = exported(cell, HELPERS)
    assert names["total"](None, 1) == cell.shell.user_ns["total"](None, 1) == 2 * (30 + 11 + 2 + 4)
    assert names["recursive"](None, 3) == 0
    assert "    # a comment stays\n" in text
    for line in ("import functools", "import json as j", "import xml.etree.ElementTree", "from textwrap import dedent", "LIMIT = 10"):
        assert f"{line}\n" in text
    assert "os.path" not in text


def test_versions_and_other_names_are_registered_as_they_are_here(cell):
    text, names, _ = exported(
        cell,
        [
            "resonate = 'taken'\nEvent = 1",
            "def flow(ctx):\n    return resonate, Event",
            "%resonate register flow",
            "def flow(ctx):\n    return 2",
            "%resonate register flow --version 2\n%resonate register flow --version 2",
            "def other(ctx): return 3\n%resonate register other --name \"o'ther\"",
        ],
    )
    client = names["client"]
    found = {(name, version): function(None) for name, version, function in client.registry.functions()}
    assert found == {("flow", 1): ("taken", 1), ("flow", 2): 2, ("o'ther", 1): 3}
    assert "from threading import Event as " in text


def test_annotations_that_are_not_evaluated_need_nothing(cell):
    source = "%%resonate register\nfrom __future__ import annotations\ndef f(ctx: Missing, x: Other = 1):\n    return x"
    text, names, _ = exported(cell, source)
    assert "\nfrom __future__ import annotations\n" in text
    assert names["f"](None) == 1


def test_a_function_of_a_clients_decorator_is_registered_once(cell):
    cell.good("from resonate import Resonate\nmine = Resonate()")
    _, names, _ = exported(cell, ["@mine.register\ndef f(ctx):\n    return mine is not None", "%resonate register f"])
    assert [name for name, _, _ in names["resonate"].registry.functions()] == ["f"]
    assert names["f"](None) is True
    cell.good("mine.stop()")


def test_functions_of_modules_are_imported_and_their_folder_is_named(cell, tmp_path, monkeypatch):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "my_steps.py").write_text("SETTING = {1: object()}\ndef load(ctx):\n    return SETTING\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    text, _, told = exported(cell, "from my_steps import load, SETTING\nimport my_steps\n%resonate register load")
    assert "from my_steps import load\n" in text
    assert f"It imports `my_steps` from {tmp_path / 'lib'}; a script elsewhere needs that folder in PYTHONPATH.\n" in told
    sys.modules.pop("my_steps")


def test_secrets_are_read_from_the_environment_and_dependencies_are_named(cell, monkeypatch):
    monkeypatch.setenv("API_KEY", "from outside")
    text, names, told = exported(
        cell, "%%resonate register\nAPI_KEY = 'sesame'\ndef f(ctx):\n    ctx.get_dependency('db')\n    return API_KEY"
    )
    assert "sesame" not in text
    assert names["API_KEY"] == "from outside"
    assert "API_KEY looks like a secret and is not written: the script reads it from the environment variable API_KEY.\n" in told
    assert "`f` reads the dependency 'db': add `resonate.set_dependency('db', ...)`.\n" in told


def test_secrets_inside_of_values_are_read_from_the_environment_too(cell, monkeypatch):
    """Under their keys and fields, and where an address or a header holds one; empty ones and keys are written."""
    source = """%%resonate register
from collections import namedtuple
Login = namedtuple('Login', 'user password')
CONFIG = {'api-key': 'sesame1', 'token': None, 'deep': [{'secret': b'sesame2'}], 'user': 'ana'}
LOGIN, TOKEN, DB = Login('ana', 'sesame3'), {'a': ['b']}, 'postgres://ana:sesame4@host/db'
HEADERS, PASSWORD = {'Authorization': 'Bearer sesame5'}, ['sesame6', 'sesame7']
def f(ctx):
    return CONFIG, LOGIN, TOKEN, DB, HEADERS, PASSWORD"""
    wanted = ("CONFIG_api_key", "CONFIG_deep_0_secret", "LOGIN_password", "DB", "HEADERS_Authorization", "PASSWORD_0", "PASSWORD_1")
    for number, name in enumerate(wanted):
        monkeypatch.setenv(name, f"outside{number}")
    text, names, told = exported(cell, source)
    assert "sesame" not in text + told
    assert names["CONFIG"] == {"api-key": "outside0", "token": None, "deep": [{"secret": b"outside1"}], "user": "ana"}
    assert (tuple(names["LOGIN"]), names["TOKEN"], names["DB"]) == (("ana", "outside2"), {"a": ["b"]}, "outside3")
    assert (names["HEADERS"], names["PASSWORD"]) == ({"Authorization": "outside4"}, ["outside5", "outside6"])
    assert all(f"the environment variable {name}.\n" in told for name in wanted)


def test_passwords_in_addresses_are_not_written():
    assert exports.without_credentials("http://ana:secret@host:80/x") == ("http://host:80/x", True)
    assert exports.without_credentials("http://host:80/x") == ("http://host:80/x", False)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import threading\nx = threading.Lock()\ndef f(ctx):\n    with x: pass", "is a _thread.lock, which cannot be written."),
        ("def f(ctx):\n    return x", "`x`, used by `f`, does not exist. Run the cell that defines it."),
        ("def f(ctx):\n    !ls", "`get_ipython`, used by `f`, exists in notebooks only."),
        ("def make():\n    def x(): pass\n    return x\nx = make()\ndef f(ctx):\n    return x()", "is made inside another function."),
        ("x = list(range(90_000))\ndef f(ctx):\n    return x", "`x`, used by `f`, holds too many values."),
        ("x = 'x' * 90_000\ndef f(ctx):\n    return x", "`x`, used by `f`, takes 90,002 characters."),
        ("x = []\nx.append(x)\ndef f(ctx):\n    return x", "`x`, used by `f`, is nested too deeply, or contains itself."),
        ("import types\nx = types.ModuleType('x')\ndef f(ctx):\n    return x", "`x`, used by `f`, is a module that cannot be imported"),
        ("f = [lambda ctx: 1][0]\n%resonate register f --name f", "is a lambda inside of something else."),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused_by_name_and_nothing_is_written(cell, tmp_path, source, told):
    cell.good("%resonate connect local --db runs.db")
    cell.good(source if "%resonate" in source else f"%%resonate register\n{source}")
    out = cell("%resonate export worker.py")
    assert isinstance(cell.error, resonate_notebook.Mistake)
    assert out.startswith("worker.py is not written.\n")
    assert told in out
    assert not (tmp_path / "worker.py").exists()


def test_a_decorator_that_hides_its_function_is_followed_unless_the_name_was_given_again(cell):
    hiding = "def hiding(function):\n    return lambda *given: -function(*given)\n@hiding\ndef x(n):\n    return n"
    _, names, _ = exported(cell, [hiding, "%%resonate register\ndef f(ctx):\n    return x(3)"])
    assert names["f"](None) == -3
    cell.good("x = hiding(x)")
    assert "`x`, used by `f`, is made inside another function." in cell("%resonate export worker.py")


def test_all_that_cannot_be_written_is_named_at_once(cell):
    cell.good("%resonate connect local --db runs.db")
    cell.good("%%resonate register\na, b = object(), object()\ndef f(ctx):\n    return a, b, missing")
    assert len(cell("%resonate export worker.py").splitlines()) == 4


# ---- pictures ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def ran(cell):
    cell.good(STEPS)
    cell.good("%resonate run demo.1 pipeline days=6\n%resonate wait demo.1\n%resonate run demo.2 step 1\n%resonate wait demo.2")
    return cell


def test_a_run_is_written_in_every_format(ran, tmp_path):
    for kind in ("svg", "html", "dot", "mmd", "json"):
        assert ran.good(f"%resonate export {kind}.{kind} demo.1") == f"{kind}.{kind} written · demo.1, 7 calls\n"
    assert ET.parse(tmp_path / "svg.svg").getroot().tag.endswith("svg")
    assert "<svg" in (tmp_path / "html.html").read_text(encoding="utf-8")
    assert "step ×6" in (tmp_path / "dot.dot").read_text(encoding="utf-8")
    assert "step ×6" in (tmp_path / "mmd.mmd").read_text(encoding="utf-8")
    told = json.loads((tmp_path / "json.json").read_text(encoding="utf-8"))
    assert told["run"]["id"] == "demo.1"
    assert [call["id"] for call in told["calls"]] == ["demo.1", *(f"demo.1.{n}" for n in range(1, 7))]
    assert told["calls"][3]["value"] == f"(4, {os.getpid()})"
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ", told["calls"][3]["ended"])


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_draws_png_and_pdf(ran, tmp_path):
    ran.good("%resonate export a.png demo.1\n%resonate export a.pdf demo.1\n%resonate export a.png demo.1")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


def test_without_graphviz_one_sentence_says_so(ran, monkeypatch):
    monkeypatch.setenv("PATH", "")
    out = ran("%resonate export a.png demo.1").splitlines()
    assert out[0] == "%resonate export a.png demo.1"
    assert out[1].strip() == "^" * len("a.png")
    assert out[2].startswith("PNG and PDF are drawn by Graphviz, whose `dot` is not installed here. Install Graphviz: ")


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
@pytest.mark.parametrize(
    ("script", "told"), [("echo 'odd' >&2; exit 1", "Graphviz cannot draw it: odd."), ("exec sleep 20", "Graphviz has not drawn it in 0 s")]
)
def test_a_graphviz_that_fails_or_hangs_is_told(ran, tmp_path, monkeypatch, script, told):
    fake = tmp_path / "bin" / "dot"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(exports, "DOT_LIMIT_S", 0.3)
    assert told in ran("%resonate export a.png demo.1")
    assert not (tmp_path / "a.png").exists()


def test_without_an_id_it_is_the_run_of_the_files_name_or_the_newest(ran):
    assert ran.good("%resonate export demo.1.svg") == "demo.1.svg written · demo.1, 7 calls\n"
    assert ran.good("%resonate export run.svg") == "run.svg written · demo.2 (the newest run), 1 call\n"


# ---- files ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["svg", "html", "dot", "mmd", "json", "png", "pdf", "py"])
def test_its_own_file_is_written_over_and_any_other_is_left_alone(ran, tmp_path, kind):
    if kind in {"png", "pdf"} and shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed")
    if kind == "py":
        ran.good("%resonate connect local --db runs.db")
        ran.good("%resonate register pipeline step")
    path, line = tmp_path / f"a.{kind}", f"%resonate export a.{kind}" + (" demo.1" if kind != "py" else "")
    ran.good(line)
    first = path.read_bytes()
    ran.good(line)
    for other in (b"mine", first + b"\n", first.replace(b"e", b"a", 1), b""):
        path.write_bytes(other)
        assert f"a.{kind} exists and is not as an export wrote it. `--force` writes over it.\n" in ran(line)
        assert path.read_bytes() == other
    ran.good(f"{line} --force")
    ran.good(line)
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith((".a", "a"))) == [f"a.{kind}"]


@pytest.mark.parametrize(
    ("line", "carets", "told"),
    [
        ("export a.swg", "a.swg", ".py, .dot, .mmd, .json, .html, .svg, .png, .pdf. Did you mean `.svg`?"),
        ("export picture", "picture", "The name's ending says what is written: "),
        ("export none/a.svg", "none/a.svg", "There is no folder none."),
        ("export a.svg demo.1 more", "more", "`export` takes no more than that: "),
        ("export a.svg demo.3", "demo.3", "No run demo.3. Did you mean `demo.2`?"),
        ("export a.svg demo.1.2", "demo.1.2", "demo.1.2 is a step of demo.1. An export draws the whole run: demo.1."),
        ("export a.svg --forse", "--forse", "There is no option `--forse`. Did you mean `--force`?"),
        ("export worker.py demo.1", "demo.1", "A worker has all registered functions; it takes no run's id."),
        ("export worker.py", None, "Runs in memory belong to this kernel alone; a worker elsewhere would never see them. Connect first: "),
        ("export", None, "`export` needs a file's name: "),
        ("export folder.svg", "folder.svg", "folder.svg is a folder."),
    ],
)  # fmt: skip
def test_a_mistake_is_pointed_at(ran, tmp_path, line, carets, told):
    (tmp_path / "folder.svg").mkdir()
    out = ran(f"%resonate {line}")
    assert isinstance(ran.error, resonate_notebook.Mistake)
    assert told in out
    if carets:
        shown, marks = out.split("\n")[:2]
        assert [shown[at] for at, mark in enumerate(marks) if mark == "^"] == list(carets)


def test_a_link_is_written_through_and_a_file_that_cannot_be_written_is_told(ran, tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "a.svg").symlink_to(tmp_path / "real" / "b.svg")
    ran.good("%resonate export a.svg demo.1")
    assert (tmp_path / "a.svg").is_symlink()
    assert (tmp_path / "real" / "b.svg").read_bytes().startswith(b"<svg")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exports.Path, "write_bytes", full)
    assert "c.svg cannot be written: No space left on device." in ran("%resonate export c.svg demo.1")
    assert not (tmp_path / "c.svg").exists()


@pytest.mark.parametrize(
    ("typed", "expected", "absent"),
    [
        ("%resonate exp", {"export"}, set()),
        ("%resonate export ", {"old.svg", "folder/"}, {"notes.txt", ".hidden.svg"}),
        ("%resonate export fol", {"folder/"}, {"old.svg"}),
        ("%resonate export folder/x", {"folder/x.html"}, {"folder/y.txt"}),
        ("%resonate export new", {"new.svg", "new.py", "new.json"}, {"old.svg"}),
        ("%resonate export a.svg ", {"demo.1", "demo.2", "--force"}, set()),
        ("%resonate export a.svg demo.", {"demo.1", "demo.2"}, {"--force"}),
        ("%resonate export a.py ", {"--force"}, {"demo.1"}),
        ("%resonate doc", {"doctor"}, set()),
    ],
)
def test_tab_completes_files_and_runs(ran, tmp_path, typed, expected, absent):
    (tmp_path / "folder").mkdir()
    for name in ("old.svg", "notes.txt", ".hidden.svg", "folder/x.html", "folder/y.txt"):
        (tmp_path / name).touch()
    from IPython.core.completer import provisionalcompleter

    with provisionalcompleter():
        offered = {typed[: each.start] + each.text for each in ran.shell.Completer.completions(typed, len(typed))}
    words = {each.rpartition(" ")[2] for each in offered}
    assert expected <= words
    assert not absent & words
