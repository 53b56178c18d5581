"""The picture is worked out twice, in Python and in the page; both are held to the cases in `golden.json`.

Python makes them: `UPDATE_GOLDEN=1 pytest tests/pure/test_golden_cases.py` writes the file anew, and what has changed is to be
looked at. `tests/browser/test_golden_cases.py` reads it.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any, Final, Literal

from sample_runs import START, Story, backfill, broken, pipeline

from resonate.events import FinalState
from resonate_notebook import layout
from resonate_notebook.model import RunModel
from resonate_notebook.text import countdown, duration
from resonate_notebook.widget import read_typed

GOLDEN = Path(__file__).parent / "golden.json"
SECONDS = [0, 0.001, 0.34, 0.999, 1.24, 9.96, 59.9, 60, 61.4, 184, 3599.6, 3600, 22_500, 86_399, 86_400, 183_600, 1e7]
TYPED = [
    '', ' ', 'yes', 'looks good', "don't", '3.5', '1e3', 'None', 'true', '[1, 2]', '[1, 2,]', '[,]', '[1 2]', '[1,,2]', '(1, 2)', '()',
    '(1', '{1, 2}', '{}', "{'ok': True}", '{"ok": true}', "{'ok': true}", '{"ok": True, "n": null}',
    '{"a": 1, "b": [true, null, -2.5e3]}', "{'a': Tru}", "{'a'}", "{'a' 1}", "{'a': }", "{'a': 1, 'b'}", "{'a': 1, }", '{"a": true, }',
    '{[1]: 2}', '{{}}', '[1)', ']', "'it''s'", "'open", '"open', '"a" "b"', '[01]', '[0x1f]', '[1_000]', '[.5]', '[+1]', '[-1]',
    '[NaN]', '[--1]', '[a]', '{1: 2}', '{1: true}', "[true, 'a']", '(see the mail)', '"quoted" he said', '[[[[1]]]]', '[1]]',
    "{'x': (1, [2, {'y': None}])}", "['''long\ntext''']", "['broken\ntext']", '["\\u00e9\\n"]', "[b'raw']", '[1] [2]', ':', '{:}',
    "{'a':: 1}", '[1:2]', "'\\''", '[-Infinity]', "{'a': 1,, 'b': 2}", '\t[ 1 ,\n 2 ]  ',
]  # fmt: skip


STATES: Final[tuple[FinalState, ...]] = ("resolved", "resolved", "resolved", "rejected", "timedout", "canceled")


def tangle(seed: int) -> Story:
    """A run made by chance: every state and kind, stacks with failures in them, calls of calls."""
    chance, story, ids = random.Random(seed), Story("r").created(0, "r", "root").started(0, "r"), ["r"]
    for at in range(1, 90):
        parent = chance.choice(ids[-12:] if chance.random() < 0.7 else ids[:6])
        promise = f"{parent}.{at}"
        ids.append(promise)
        name, kind = chance.choice(["clean", "clean", "clean", "fit", "load", "__proto__", "constructor"]), chance.random()
        if kind < 0.08:
            story.created(at, promise, name, parent, kind="promise", ask="'?'")
        elif kind < 0.14:
            story.created(at, promise, name, parent, kind="sleep", secs="9")
        else:
            story.created(at, promise, name, parent, day=str(at))
            if chance.random() < 0.85:
                story.started(at + 0.5, promise, 1, 3)
            if chance.random() < 0.12:
                story.failed(at + 1, promise, 1, 3, at + 9, "IOError: gone")
        if chance.random() < 0.65:
            state = chance.choice(STATES)
            error = "" if state == "resolved" else "E: no"
            story.settled(at + 3, promise, state, error=error, recovered=chance.random() < 0.2)
    return story


def crowd() -> Story:
    """A stack with more failures than are shown, of two kinds, and one call that waits."""
    story = Story("r").created(0, "r", "root").started(0, "r")
    for at in range(1, 40):
        story.ran(at, at + 1, f"r.{at}", "clean") if at % 3 else story.created(at, f"r.{at}", "clean").started(at, f"r.{at}")
        if at % 3 == 0:
            story.settled(at + 2, f"r.{at}", "rejected" if at % 2 else "timedout", error="E: no")
    return story.created(41, "r.41", "clean", kind="promise")


def meeting() -> Story:
    """One promise that four calls wait for, one of which is told of before it is known."""
    story = Story("r").created(0, "r", "root").started(0, "r").created(1, "r.1", "ask").created(1, "gate", "gate", "r.1", kind="promise")
    story.shared(2, "gate", "r.2").created(2, "r.2", "ask").created(3, "r.3", "ask").shared(3, "gate", "r.3").shared(3, "gate", "r.3")
    return story.shared(3, "gate", "r.1").settled(4, "gate").created(5, "gate", "gate", "r", kind="promise")


def stopped() -> Story:
    """A run that waits for the code that it began with, while a call of it goes on."""
    return Story("r").created(0, "r", "root").started(0, "r").ran(1, 2, "r.1", "load").created(2, "r.2", "fit").started(2, "r.2").halted(
        3, "r", "the code changed"
    )


def told(item: layout.Item) -> list[Any]:
    """A folded row: what it is, what it stands for, how deep it is, its state, whether anything in it goes on, its kids."""
    about: Any = item.node.index if item.node is not None else [item.name, len(item.members)] if item.kind == "stack" else item.counts
    return [item.kind, about, item.depth, item.state, item.live, len(item.children), item.last]


def run_case(name: str, story: Story, batches: int) -> dict[str, Any]:
    """The messages of a run in some batches, and what they lead to."""
    model = RunModel(story.run, where="file", where_label="runs.db")
    facts, each = story.facts, len(story.facts) // batches + 1
    first = each // 2
    for fact in facts[:first]:
        model.apply(fact)
    model.take_operations()
    messages = [model.snapshot(START)]
    for begin in range(first, len(facts), each):
        for fact in facts[begin : begin + each]:
            model.apply(fact)
        messages.append({"kind": "ops", "seq": 0, "now": 0, "ops": model.take_operations()} | {"seq": model.seq})
    top = layout.fold(model)
    assert top is not None
    nodes = [
        [node.id, node.index, -1 if node.parent is None else node.parent.index, node.name, node.state, node.error, node.caught,
         model.relative_ms(node.begun_at), model.relative_ms(node.ended_at), node.attempt or None,
         [caller.index for caller in node.shared_by]]
        for node in model.nodes
    ]  # fmt: skip
    expected = {"nodes": nodes, "state": model.state, "word": model.word, "settled": model.settled, "counts": model.counts,
                "rows": [told(item) for item in layout.rows(top)]}  # fmt: skip
    return {"name": name, "messages": messages, "expected": expected}


def boxes() -> list[list[Any]]:
    """Edges between boxes: where from, where to, and the path."""
    out: list[list[Any]] = []
    places: list[tuple[float, float, float, float, Literal["call", "more"]]]
    places = [(0, 0, 168, 0, "call"), (16, 14, 276, 72, "call"), (16, 14, 172, 24, "call"), (0, 14, 128, 400, "more")]
    for x, y, width, to_y, kind in places:
        parent, child = (layout.Item(each, None, "", "running", live=True) for each in ("call", kind))
        parent.x, parent.y, parent.width, child.x, child.y = x, y, width, x + width + layout.GAP_X, to_y
        middle = layout.BOX_MORE / 2 if kind == "more" else layout.MIDDLE
        out.append([x + width, y + layout.MIDDLE, child.x, to_y + middle, layout.edge(parent, child)])
    return out


def links() -> list[list[Any]]:
    """Links between boxes: each one's x, y and width, and the path."""
    out: list[list[Any]] = []
    ahead, behind = [((0, 100, 128), (174, 14, 172)), ((0, 14, 128), (174, 100, 172))], ((400, 8, 90), (0, 10, 80))
    for places in [*ahead, ((174, 14, 128), (174, 90, 172)), behind]:
        caller, promise = (layout.Item("call", None, "", "running", live=True) for _ in places)
        for item, (x, y, width) in zip((caller, promise), places, strict=True):
            item.x, item.y, item.width = x, y, width
        out.append([*places, layout.link(caller, promise)])
    return out


def is_read(text: str) -> bool:
    """Says whether the kernel makes more of what was typed than the text itself."""
    return read_typed(text) != text.strip()


def cases() -> dict[str, Any]:
    stories = {"pipeline": pipeline(), "broken": broken(), "backfill": backfill(130)}
    stories |= {f"tangle {seed}": tangle(seed) for seed in range(6)} | {"crowd": crowd(), "meeting": meeting(), "stopped": stopped()}
    return {
        "runs": [run_case(name, story, 5) for name, story in stories.items()],
        "durations": [[seconds * 1000, duration(seconds), countdown(seconds)] for seconds in SECONDS],
        "typed": [[text, is_read(text)] for text in TYPED],
        "edges": boxes(),
        "links": links(),
    }


def test_the_golden_cases_are_what_python_makes_of_them() -> None:
    """The file holds for today's Python code; a change of it is made on purpose."""
    made = json.loads(json.dumps(cases()))
    if os.environ.get("UPDATE_GOLDEN"):
        text = json.dumps(made, ensure_ascii=False, separators=(",", ":")).replace('},{"name"', '},\n{"name"')
        GOLDEN.write_text(text + "\n", encoding="utf-8")
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert made == golden, "UPDATE_GOLDEN=1 writes the cases anew"


def test_the_golden_runs_hold_every_state_and_every_kind_of_row() -> None:
    """Cases that lack a state or a kind of row would hold nothing of it."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    rows = [row for case in golden["runs"] for row in case["expected"]["rows"]]
    assert {row[0] for row in rows} == {"call", "stack", "more"}
    assert len({row[3] for row in rows}) == 10
