"""The picture of a run as text for other programs: Graphviz, Mermaid, JSON, a page of HTML. Pure: a model goes in, text comes out.

Graphviz and Mermaid get the folded graph, as it is drawn everywhere else; JSON and the page's table get every call. Everything about a
run is foreign: it goes through `visible` first, and is then escaped for its format here and nowhere else.
"""

from __future__ import annotations

import datetime
import html
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from resonate_notebook.layout import Item, choose, fold, rows, shared
from resonate_notebook.lines import Line, clock, speaker
from resonate_notebook.model import STATES, Node, RunModel
from resonate_notebook.svg import COLOURS, EDGE, TEXT, render_svg
from resonate_notebook.text import call_text, counted, cut, duration, left_out, more_text, note_text, said, took_text, visible

DOT_BOXES_MAX: Final = 1_000
MERMAID_BOXES_MAX: Final = 300
"""Mermaid refuses more than 500 arrows or 50,000 characters."""
PAGE_ROWS_MAX: Final = 5_000
LABEL_WIDTH: Final = 60
NOTE_WIDTH: Final = 90
MERMAID_SAFE: Final = frozenset(" _-.,=+×·…✓✗◆◷↻●☾○⊘")
URGENT_FILLS: Final = {"waiting": "#fbeef7", "rejected": "#fdf0ef", "timedout": "#fbf1ea", "retrying": "#fbf4e8"}


def _lines(model: RunModel, item: Item, now_s: float, *, stable: bool) -> list[str]:
    """What a box says: the call, its state and how long it took, and its error or how it is answered."""
    look = STATES[item.state]
    if item.kind == "more":
        return [f"{look.glyph} {more_text(item)}"]
    took = "" if stable else took_text(item, now_s)
    if item.node is None:
        words = " · ".join(counted(item.counts))
        return [f"{look.glyph} {cut(visible(item.name), LABEL_WIDTH)} ×{len(item.members):,}", f"{words} · {took}" if took else words]
    hidden = f"+{item.hidden:,} calls" if item.hidden else ""
    below = [part for part in (*said(model, item.node, now_s, stable=stable), took, hidden) if part]
    note = cut(note_text(item), NOTE_WIDTH)
    return [f"{look.glyph} {call_text(item.node, LABEL_WIDTH)}", " · ".join(below), *([note] if note else [])]


Arrows = list[tuple[int, int]]


def _boxes(model: RunModel, limit: int) -> tuple[list[tuple[int, Item]], Arrows, Arrows, str]:
    """(numbered items, arrows between their numbers, those from further calls that wait, what is said of the items left out)."""
    top = fold(model)
    shown, left = ([], []) if top is None else choose(rows(top), limit)
    number = {item: index for index, item in enumerate(shown)}
    arrows = [(number[item.parent], number[item]) for item in shown if item.parent is not None]
    dashed = [(number[caller], number[item]) for caller, item in shared(shown)]
    return [(index, item) for item, index in number.items()], arrows, dashed, left_out(left) if left else ""


# ---- Graphviz ----------------------------------------------------------------------------------------------------------------


def dot_text(text: str) -> str:
    r"""One line of foreign text inside a quoted label: no quote, no escape sequence, no entity of Graphviz's.

    >>> print(dot_text('"N" \\N &lt;'))
    \"N\" \\N &amp;lt;
    """
    return visible(text).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')


def render_dot(model: RunModel, now_s: float, *, stable: bool = False) -> str:
    """The folded graph for Graphviz: `dot -Tsvg run.dot`."""
    boxes, arrows, dashed, left = _boxes(model, DOT_BOXES_MAX)
    lines = [
        "digraph run {",
        f'  graph [rankdir=LR, bgcolor="#ffffff", fontname="Helvetica", fontsize=12, labelloc=t, label="{dot_text(model.summary())}"];',
        f'  node [shape=box, style="rounded,filled", fillcolor="#ffffff", fontname="Helvetica", fontsize=11, fontcolor="{TEXT}"];',
        f'  edge [color="{EDGE}", arrowsize=0.6, tailport=e, headport=w];',
    ]
    for number, item in boxes:
        label = "\\n".join(dot_text(line) for line in _lines(model, item, now_s, stable=stable))
        more = f', fillcolor="{URGENT_FILLS[item.state]}"' if item.state in URGENT_FILLS else ""
        more += ', peripheries=2' if item.kind == "stack" else ""
        tooltip = dot_text(item.node.id if item.node is not None else item.name)
        lines.append(f'  n{number} [label="{label}", tooltip="{tooltip}", color="{COLOURS[item.state]}"{more}];')
    lines += [f"  n{above} -> n{below};" for above, below in arrows]
    lines += [f"  n{above} -> n{below} [style=dashed, constraint=false];" for above, below in dashed]
    if left:
        lines.append(f'  left [label="{dot_text(left)}", shape=plaintext, style=""];')
    return "\n".join([*lines, "}"]) + "\n"


# ---- Mermaid -----------------------------------------------------------------------------------------------------------------


def mermaid_text(text: str) -> str:
    """One line of foreign text inside a quoted label: whatever could mean something to Mermaid, Markdown or HTML is a numbered entity.

    >>> mermaid_text('clean("<b>")')
    'clean#40;#34;#60;b#62;#34;#41;'
    """
    return "".join(char if char in MERMAID_SAFE or (char.isalnum() and char not in "ßﬂ") else f"#{ord(char)};" for char in visible(text))


def render_mermaid(model: RunModel, now_s: float, *, stable: bool = False) -> str:
    """The folded graph for Mermaid, which GitHub and many editors draw."""
    boxes, arrows, dashed, left = _boxes(model, MERMAID_BOXES_MAX)
    lines = ["flowchart LR"]
    for number, item in boxes:
        label = "<br/>".join(mermaid_text(line) for line in _lines(model, item, now_s, stable=stable))
        opened, closed = ('[["', '"]]') if item.kind == "stack" else ('("', '")')
        lines.append(f"  n{number}{opened}{label}{closed}:::{item.state}")
    lines += [f"  n{above} --> n{below}" for above, below in arrows]
    lines += [f"  n{above} -.-> n{below}" for above, below in dashed]
    if left:
        lines.append(f'  left["{mermaid_text(left)}"]')
    for state in dict.fromkeys(item.state for _, item in boxes):
        lines.append(f"  classDef {state} fill:{URGENT_FILLS.get(state, '#ffffff')},stroke:{COLOURS[state]},color:{TEXT}")
    return "\n".join(lines) + "\n"


# ---- JSON --------------------------------------------------------------------------------------------------------------------


def _moment(at: float | None) -> str | None:
    """A time in ISO 8601, in UTC, to the millisecond; None for none, or for ever."""
    if at is None or not 0 <= at < 250_000_000_000:
        return None
    return datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _sound(text: str) -> str:
    """The text itself; lone surrogates, which many readers refuse, as question marks."""
    return text.encode("utf-8", "replace").decode()


def _json_line(line: Line, *, stable: bool) -> dict[str, Any]:
    at = {} if stable else {"at": _moment(line.at)}
    return {**at, "attempt": line.attempt, "stream": _sound(line.stream), "text": line.text}


def _json_node(node: Node, values: Mapping[str, str], log: Sequence[Line], *, stable: bool) -> dict[str, Any]:
    times = {"created": node.created_at, "began": node.began_at, "ended": node.ended_at, "due": node.due_at}
    return {
        "id": _sound(node.id), "parent": None if node.parent is None else _sound(node.parent.id), "function": _sound(node.name),
        "kind": node.kind, "state": node.state,
        "arguments": [{"name": _sound(name), "text": _sound(text)} for name, text in node.arguments],
        "value": values.get(node.id), "error": _sound(node.error) or None, "caught": node.caught, "attempts": node.attempt,
        "attempts_limit": node.limit, **({} if stable else {key: _moment(at) for key, at in times.items()}),
        **({"shared_by": [_sound(caller.id) for caller in node.shared_by]} if node.shared_by else {}),
        **({"log": [_json_line(line, stable=stable) for line in log]} if log else {}),
    }  # fmt: skip


def render_json(
    model: RunModel, now_s: float, *, values: Mapping[str, str] | None = None, lines: Sequence[Line] = (), stable: bool = False
) -> str:
    """The run and all of its calls, parents first; times are in UTC, and missing if `stable`.

    `values` has texts of values by promise, `lines` what the calls have printed and logged.
    """
    known = values or {}
    logs: dict[str, list[Line]] = {}
    for line in lines:
        logs.setdefault(line.id, []).append(line)
    run = {
        "id": _sound(model.run_id), "where": _sound(model.where_label), "state": model.state, "settled": model.settled,
        "counts": {state: count for state, count in model.counts.items() if count},
        **({} if stable else {"seen": _moment(now_s)}),
    }  # fmt: skip
    calls = [_json_node(node, known, logs.get(node.id, ()), stable=stable) for node in model.nodes]
    return json.dumps({"run": run, "calls": calls}, indent=1, ensure_ascii=True) + "\n"


# ---- HTML --------------------------------------------------------------------------------------------------------------------

_STYLE: Final = """
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif; color: #1a1f26; background: #fff; }
svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; width: 100%; margin-top: 1.5rem; font-size: 13px; }
caption { text-align: left; font-weight: 600; padding-bottom: .5rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #dfe2e6; }
td { overflow-wrap: anywhere; }
td:first-child, td:nth-child(4) { white-space: nowrap; }
td:first-child, td:nth-child(2) { font-family: ui-monospace, monospace; }
.log td { white-space: nowrap; } .log td:last-child { white-space: pre-wrap; font-family: ui-monospace, monospace; }
"""


def _cell(text: str) -> str:
    return f"<td>{html.escape(visible(text))}</td>"


def _table_row(model: RunModel, node: Node, now_s: float, value: str, *, stable: bool) -> str:
    took = None if stable else node.took_s(now_s)
    outcome = node.error if node.state in {"rejected", "timedout", "retrying"} else value
    texts = [node.id, call_text(node, 200), " · ".join(said(model, node, now_s, stable=stable))]
    return f"<tr>{''.join(map(_cell, [*texts, '' if took is None else duration(took), outcome]))}</tr>"


def _log_table(model: RunModel, lines: Sequence[Line], *, stable: bool) -> list[str]:
    """What the calls have printed and logged, in the order of time, or of the calls if `stable`."""
    if not lines:
        return []
    order = {node.id: node.index for node in model.nodes} if stable else {}
    heads = ["call", *([] if stable else ["time"]), "stream", "text"]
    rows = []
    for line in sorted(lines, key=lambda line: order.get(line.id, 0)):
        node = model.node(line.id)
        who, when = speaker(line, node.name if node is not None else ""), [] if stable else [clock(line.at)]
        rows.append(f"<tr>{''.join(map(_cell, [who, *when, line.stream, line.text]))}</tr>")
    head = f"<thead><tr>{''.join(f'<th scope="col">{name}</th>' for name in heads)}</tr></thead>"
    return ['<table class="log"><caption>Log</caption>', head, "<tbody>", *rows, "</tbody></table>"]


def render_html(
    model: RunModel, now_s: float, *, values: Mapping[str, str] | None = None, lines: Sequence[Line] = (), stable: bool = False
) -> str:
    """A page that stands alone: the picture, a table of all calls, and what they have printed and logged.

    It runs no script and loads nothing, and says so to the browser.
    """
    known = values or {}
    title = html.escape(visible(model.summary()))
    nodes = model.nodes[:PAGE_ROWS_MAX]
    rest = len(model.nodes) - len(nodes)
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("id", "call", "state", "time", "value or error"))
    return "\n".join((
        "<!DOCTYPE html>", '<html lang="en">', "<head>", '<meta charset="utf-8">',
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src \'unsafe-inline\'">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title>", f"<style>{_STYLE}</style>", "</head>", "<body>", "<main>",
        render_svg(model, now_s, stable),
        f"<table><caption>{title}</caption>", f"<thead><tr>{heads}</tr></thead>", "<tbody>",
        *(_table_row(model, node, now_s, known.get(node.id, ""), stable=stable) for node in nodes),
        "</tbody></table>", *((f"<p>… {rest:,} more calls</p>",) if rest else ()), *_log_table(model, lines, stable=stable),
        "</main>", "</body>", "</html>", "",
    ))  # fmt: skip
