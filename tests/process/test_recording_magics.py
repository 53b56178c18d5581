"""`%resonate record`, `replay` and `diff`, in a real IPython shell without a kernel."""

from __future__ import annotations

import io
import signal
import threading
import time

import pytest
from test_magics import cell, ipython, wait_for_question  # noqa: F401 - fixtures

import resonate_notebook
from resonate.recordings import Recording
from resonate.server import DevelopmentServer


@pytest.fixture
def ran(cell, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    cell.good("%resonate config stable=1\n%resonate run demo.1 pipeline days=3\n%resonate wait demo.1")
    return cell


EDITED = """%%resonate register
def pipeline(ctx, days=3):
    total = 0
    for day in range(days):
        total += yield ctx.run(clean, day + (day == 1) * 8)
    return total
"""


def test_a_run_is_saved_replayed_and_compared(ran, tmp_path):
    assert ran.good("%resonate record demo.1") == (
        "demo.1.recording written · demo.1, 4 calls · `%resonate replay demo.1.recording` holds today's code against it\n"
    )
    assert Recording.load(tmp_path / "demo.1.recording").id == "demo.1"
    same = "demo.1 replays as recorded: 4 calls, the same outcome. Nothing was run again.\n"
    for line in ("replay demo.1", "replay demo.1.recording", "diff demo.1", f"replay '{tmp_path}/demo.1.recording'"):
        assert ran.good(f"%resonate {line}") == same
    ran.good("%resonate run demo.2 pipeline days=2\n%resonate wait demo.2")
    assert ran.good("%resonate diff demo.1.recording demo.1") == "the same run twice: 4 calls, the same outcomes.\n"
    assert ran.good("%resonate diff demo.1.recording demo.2") == (
        "demo.1 and demo.2 differ in 2 calls, and are alike in 2. The first difference first:\n"
        "    demo.1: run pipeline(days=3) resolved with 3 · demo.2: run pipeline(days=2) resolved with 1\n"
        "    demo.1.3 only: run clean(2) resolved with 2\n"
    )


def test_edited_code_is_told_with_its_cell_and_line(ran):
    ran.good("%resonate record demo.1 kept.recording")
    ran.good(EDITED)
    assert ran.good("%resonate replay kept.recording") == (
        "demo.1 diverges at demo.1.2: run clean(1) is recorded, today's code calls run clean(9).\n"
        "    cell, line 5: total += yield ctx.run(clean, day + (day == 1) * 8)\n"
        "Nothing was run again.\n"
    )
    ran.good("%resonate config stable=0")
    assert f"    cell {ran.shell.execution_count - 3}, line 5: total += yield" in ran.good("%resonate replay demo.1")


def test_an_unfinished_run_is_told_of_what_it_needs(ran):
    ran.good("run = %resonate run q ask")
    wait_for_question(ran, "q")
    assert ran.good("%resonate record q") == (
        "q.recording written · q, 2 calls so far, unfinished · `%resonate replay q.recording` holds today's code against it\n"
    )
    assert ran.good("%resonate replay q") == (
        "q replays as recorded as far as the recording goes: 2 calls, up to q.1. Nothing was run again.\n"
    )
    ran.good("%%resonate register\ndef ask(ctx):\n    yield ctx.run(clean, 1)\n    return 1")
    assert ran.good("%resonate diff q") == (
        "q diverges at q.1: promise is recorded, today's code calls run clean(1).\n"
        "    cell, line 3: yield ctx.run(clean, 1)\n"
        "Nothing was run. q goes on when its functions are registered as they were; `--new` starts afresh.\n"
    )


def test_a_run_that_was_stopped_is_told_with_both_sides(ran):
    ran.good("%resonate connect local --db runs.db --durability fast\nrun = %resonate run q ask")
    wait_for_question(ran, "q")
    ran.good("%unload_ext resonate_notebook")
    ran.good("%load_ext resonate_notebook\n%resonate config stable=1\n%resonate connect local --db runs.db --durability fast")
    ran.good("%%resonate register\ndef clean(ctx, day): ...\ndef ask(ctx):\n    yield ctx.run(clean, 1)\n    return 1")
    ran.good("%resonate resolve q.1 1")
    out = ran("%resonate wait q --timeout 10")
    assert isinstance(ran.error, resonate_notebook.Mistake)
    assert out.endswith(
        "q stopped before a wrong value was used: the code changed.\n"
        "    At q.1 `promise` is recorded; the code now makes `run clean(1)`.\n"
        "    `--new` starts afresh; register the earlier code to go on; `%resonate diff q` shows both.\n"
    )
    assert "q diverges at q.1: promise is recorded, today's code calls run clean(1).\n" in ran.good("%resonate diff q")
    mended = "%%resonate register\ndef ask(ctx):\n    return 1 + (yield (yield ctx.promise()))"
    assert ran.good(mended) == "replaced ask (body changed)\n"  # a run that was stopped keeps no code
    ran.good("run = %resonate run q ask")
    assert ran("run.result(timeout=10)").endswith(": 2\n")


def test_undurable_calls_are_made_on_demand(ran):
    private = "def private(ctx):\n    yield ctx.run(clean, 5).options(durable=False)\n    return (yield ctx.run(clean, 6))"
    ran.good(f"%%resonate register\n{private}")
    ran.good("%resonate run p private\n%resonate wait p")
    told = ran.good("%resonate replay p")
    assert "as far as the recording goes: 1 call, up to p.1." in told
    assert told.endswith("`--undurable` calls what leaves no record, and goes on.\n")
    assert "p replays as recorded: 2 calls, the same outcome." in ran.good("%resonate replay p --undurable")


def test_the_python_twins_do_the_same(ran, tmp_path):
    ran.good("import resonate_notebook as rn, pathlib\nrn.record('demo.1', pathlib.Path('x.recording'))")
    assert isinstance(ran.value, str)
    ran.good("rn.replay(pathlib.Path('x.recording'))")
    assert ran.value == resonate_notebook.diff("demo.1") == "demo.1 replays as recorded: 4 calls, the same outcome. Nothing was run again."
    ran.good("rn.diff('x.recording', 'demo.1')")
    assert ran.value == "the same run twice: 4 calls, the same outcomes."


def test_a_recording_of_a_server_replays_elsewhere(ran):
    with DevelopmentServer(port=0) as server:
        ran.good(f"%resonate connect remote {server.url}")
        ran.good("%resonate run far pipeline days=2\n%resonate wait far\n%resonate record far")
        ran.good("%resonate connect local")
    assert ran.good("%resonate replay far.recording") == "far replays as recorded: 3 calls, the same outcome. Nothing was run again.\n"


@pytest.mark.parametrize(
    ("line", "carets", "told"),
    [
        ("record", None, "`record` needs a run's id: `%resonate record ID [FILE.recording] [--force]`"),
        ("record demo.9", "demo.9", "No run demo.9. Did you mean `demo.1`?"),
        ("record demo.1.2", "demo.1.2", "demo.1.2 is a step of demo.1; a recording holds a whole run, as demo.1."),
        ("record demo.1 notes.txt", "notes.txt", "notes.txt exists and is no recording. `--force` writes over it."),
        ("record demo.1 nowhere/x.recording", "nowhere/x.recording", "nowhere/x.recording cannot be written: No such file or directory."),
        ("record demo.1 a b", "b", "`record` takes no more than that: `%resonate record ID [FILE.recording] [--force]`"),
        ("replay demo.9", "demo.9", "No run demo.9. Did you mean `demo.1`? There is no file of that name either."),
        ("replay gone.recording", "gone.recording", "There is no file gone.recording. `%resonate record ID` writes one."),
        ("replay notes.txt", "notes.txt", "notes.txt: $ is no JSON at line 1, column 1. `Resonate.record` and `save` make a new one"),
        ("replay folder.recording", "folder.recording", "folder.recording cannot be read: Is a directory."),
        ("replay foreign.recording", "foreign.recording", "demo.1 is a run of `other`, which is not registered here: `%%resonate"),
        ("replay lone", "lone", "lone cannot be replayed: promise lone asks for no function: its param must be an object with `func`"),
        ("replay demo.1 demo.2", "demo.2", "`replay` takes no more than that: `%resonate replay ID|FILE.recording [--undurable]`"),
        ("replay demo.1 --undurabel", "--undurabel", "There is no option `--undurabel`. Did you mean `--undurable`?"),
        ("diff demo.1 demo.9", "demo.9", "No run demo.9. Did you mean `demo.1`?"),
        ("diff demo.9 demo.1", "demo.9", "No run demo.9. Did you mean `demo.1`?"),
        ("diff", None, "`diff` needs a run's id or a recording's file: `%resonate diff ID|FILE.recording [ID|FILE.recording]`"),
    ],
)
def test_a_mistake_is_pointed_at(ran, tmp_path, line, carets, told):
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "folder.recording").mkdir()
    ran.good("%resonate record demo.1 foreign.recording")
    stored = (tmp_path / "foreign.recording").read_text()
    ran.good("from resonate_notebook import session\nlone = session.current().client.promises.create('lone', timeout=2**45)")
    other = Recording.load(tmp_path / "foreign.recording")
    root = other.promises[0]
    root.lineage = root.lineage._replace(name="other")
    other.save(tmp_path / "foreign.recording")
    assert stored != (tmp_path / "foreign.recording").read_text()
    out = ran(f"%resonate {line}")
    assert isinstance(ran.error, resonate_notebook.Mistake), out
    assert told in out
    if carets:
        shown, marks = out.split("\n")[:2]
        assert "".join(shown[at] for at, mark in enumerate(marks) if mark == "^") == carets
    assert (tmp_path / "notes.txt").read_text() == "notes"


def test_foreign_text_in_a_recording_can_do_nothing_to_a_terminal(ran, tmp_path):
    ran.good("%resonate record demo.1")
    path = tmp_path / "demo.1.recording"
    recording = Recording.load(path)
    child = recording.promises[1]
    child.lineage = child.lineage._replace(name="evil\x1b[2J\u202e")
    recording.save(path)
    for line in ("replay demo.1.recording", "diff demo.1.recording demo.1"):
        out = ran.good(f"%resonate {line}")
        assert "evil␛[2J" in out
        assert not {"\x1b", "\u202e"} & set(out)
    path.write_bytes(path.read_bytes().replace(b'"RESOLVED"', b'"\\u001b[2J"'))
    assert "\x1b" not in ran("%resonate replay demo.1.recording")


def test_stop_ends_a_replay(ran):
    ran.good("%%resonate register\ndef pipeline(ctx, days=3):\n    while True:\n        yield ctx.run(clean, 0).options(durable=False)")
    threading.Timer(0.3, lambda: signal.raise_signal(signal.SIGINT)).start()
    began = time.monotonic()
    ran("%resonate replay demo.1 --undurable")
    assert isinstance(ran.error, KeyboardInterrupt)
    assert time.monotonic() - began < 2.3  # it would never end


@pytest.mark.parametrize(
    ("typed", "expected", "absent"),
    [
        ("%resonate rec", {"record"}, {"reject"}),
        ("%resonate repl", {"replay"}, {"record"}),
        ("%resonate record ", {"demo.1"}, {"old.recording", "notes.txt"}),
        ("%resonate record demo.1 o", {"old.recording"}, {"demo.1"}),
        ("%resonate record demo.1 fresh", {"fresh.recording"}, {"demo.1"}),
        ("%resonate record demo.1 -", {"--force", "-h"}, set()),
        ("%resonate replay ", {"demo.1", "old.recording", "folder/"}, {"notes.txt"}),
        ("%resonate replay folder/", {"folder/x.recording"}, {"old.recording"}),
        ("%resonate replay fresh", set(), {"fresh.recording"}),
        ("%resonate replay demo.1 --", {"--undurable"}, {"--force"}),
        ("%resonate diff demo.1 ", {"demo.1", "old.recording"}, {"notes.txt"}),
    ],
)
def test_tab_completes_runs_and_recordings(ran, tmp_path, typed, expected, absent):
    (tmp_path / "folder").mkdir()
    for name in ("old.recording", "notes.txt", "folder/x.recording"):
        (tmp_path / name).touch()
    from IPython.core.completer import provisionalcompleter

    with provisionalcompleter():
        offered = {typed[: each.start] + each.text for each in ran.shell.Completer.completions(typed, len(typed))}
    words = {each.rpartition(" ")[2] for each in offered}
    assert expected <= words
    assert not absent & words


def test_help_tells_how_they_belong_together(ran):
    for verb in ("record", "replay", "diff"):
        shown = ran.good(f"%resonate {verb} -h")
        assert shown.startswith(f"%resonate {verb} ")
        assert "record" in shown
    assert io.StringIO(ran.good("%resonate")).read().count("recorded") >= 1
