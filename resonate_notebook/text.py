"""The picture in plain text: the same folding, urgency and words as everywhere else, for terminals and for saved notebooks.

Here also live the words that both pictures without a browser share: how a call, a duration and a state are written, and how foreign
text is made harmless. Everything about a run is foreign text: ids, names, arguments and errors may hold escape sequences that
would drive the terminal, line breaks that would forge rows, and invisible or reordering characters that would hide what they say.
"""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
import unicodedata
from datetime import UTC, datetime
from typing import Final

from resonate_notebook.layout import INDENT_MAX, Item, choose, fold, rows
from resonate_notebook.model import STATES, URGENT, Node, RunModel

TEXT_ROWS_MAX: Final = 200
"""Rows of a text tree before it says how many calls are left out."""
MARKS_MAX: Final = 2
"""Combining marks on one character; further ones would climb into other lines and are shown as symbols."""
STATES_IN_SUM: Final = (
    "resolved", "recovered", "running", "retrying", "sleeping", "waiting", "rejected", "timedout", "cancelled", "pending",
)  # fmt: skip

# Characters that Python calls printable and that nevertheless show nothing, or change their neighbour.
_INVISIBLE: Final = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_SGR: Final = {
    "waiting": "1;35", "rejected": "31", "timedout": "31", "retrying": "33", "running": "34", "sleeping": "35", "pending": "2",
    "cancelled": "2", "resolved": "32", "recovered": "36", "dim": "2", "bold": "1", "error": "31",
}  # fmt: skip

# ---- words -------------------------------------------------------------------------------------------------------------------


def visible(text: str) -> str:
    r"""Answers the text on one line with nothing in it that acts or hides: control characters, bidi marks and the like as symbols.

    visible("a\x1b[2Jb\n")  # 'a␛[2Jb␊'
    """
    if text.isascii() and text.isprintable():
        return text
    out, marks = [], 0
    for char in text:
        marks = marks + 1 if unicodedata.combining(char) else 0
        harmless = char.isprintable() and marks <= MARKS_MAX and not _INVISIBLE.match(char)
        out.append(char if harmless else _symbol(char))
    return "".join(out)


def _symbol(char: str) -> str:
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    return " " if unicodedata.category(char) == "Zs" else f"⟨U+{code:04X}⟩"


def cells(text: str) -> int:
    """Answers how many character cells the text takes in a terminal. The text has been through `visible`."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def cut(text: str, width: int) -> str:
    """Answers the text when it fits in `width` cells, else its beginning and `…`."""
    if cells(text) <= width:
        return text
    room, kept = width - 1, 0
    for char in text:
        room -= cells(char)
        if room < 0:
            break
        kept += 1
    return text[:kept] + "…" if width > 0 else ""


def terminal_width() -> int:
    """Answers the columns of a text tree: the terminal's, or 80 where the output goes elsewhere."""
    return shutil.get_terminal_size().columns - 1 if sys.stdout.isatty() else 80


def wrapped(line: str) -> str:
    """Answers the line as lines that fit a terminal, broken between words and indented alike; as it is where no terminal shows it."""
    width = terminal_width()
    if not sys.stdout.isatty() or cells(line) <= width:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True)


def duration(seconds: float) -> str:
    """Answers a duration as people say it: `340 ms`, `1.2 s`, `3 m 04 s`, `6 h 15 m`, `2 d 03 h`."""
    if seconds < 0.9995:
        return f"{round(seconds * 1000)} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} m"
    return f"{whole // 86_400} d {whole % 86_400 // 3600:02} h"


def moment(at: float) -> str:
    """Answers a moment (seconds since the epoch) in local time, with its day where it is not today's."""
    then = datetime.fromtimestamp(at, UTC).astimezone()
    return f"{then:%H:%M:%S}" if then.date() == datetime.now(UTC).astimezone().date() else f"{then:%a %d %b %Y, %H:%M:%S}"


def countdown(seconds: float) -> str:
    """Answers a time that is left, in whole seconds below a minute."""
    return f"{max(0, round(seconds))} s" if seconds < 59.5 else duration(round(seconds))


def call_parts(node: Node, width: int) -> tuple[str, str]:
    """Answers a call as (name, arguments with brackets), together at most `width` cells.

    When it is too long the arguments' names go first, then the end of the arguments, and the name last.
    """
    name = visible(node.name or node.id)
    inside = arguments_text(node)
    room = width - cells(name) - 2
    if cells(inside) > room:
        inside = ", ".join(visible(text) for _, text in node.arguments)
    if room < 1 and cells(inside) > room:
        return cut(name, width), ""
    return name, f"({cut(inside, room)})"


def arguments_text(node: Node) -> str:
    """Answers a call's arguments as `day=7, host='gpu-2'`."""
    pairs = [(visible(key), visible(text)) for key, text in node.arguments]
    return ", ".join(f"{key}={text}" if key else text for key, text in pairs)


def call_text(node: Node, width: int) -> str:
    """Answers a call as `name(arg=value, …)` in at most `width` cells."""
    return "".join(call_parts(node, width))


def said(model: RunModel, node: Node, now_s: float, *, stable: bool) -> list[str]:
    """Answers what is said of a call: the word of its state, then more about it, the last being the most useful."""
    if node.halted:
        return ["stopped"]
    left = "" if stable or node.due_at is None else countdown(node.due_at - now_s)
    more: list[str] = []
    match node.state:
        case "retrying":
            more = [failed_text(node)] + ([f"next in {left}"] if left else [])
        case "sleeping" if left:
            more = [f"{left} left"]
        case "running" if node.attempt > 1:
            more = [f"attempt {node.attempt} of {node.limit}" if node.limit else f"attempt {node.attempt}"]
        case "pending" if node.open_children:
            more = ["waits for its calls"]
        case "pending" if not model.settled:
            more = ["waits for a free worker" if node.kind == "run" else "no worker yet"]
        case "resolved" if node.attempt > 1:
            more = [f"after {node.attempt} attempts"]
        case "rejected" if node.caught:
            more = ["caught"]
        case "timedout" if node.ended_at is not None and not stable:
            more = [f"after {duration(node.ended_at - node.created_at)}"]
    return [STATES[node.state].word, *more]


def failed_text(node: Node) -> str:
    """Answers which attempt has failed: `3 of 5 failed`, or `attempt 3 failed` when there is no limit; of a halted run, `stopped`."""
    if node.halted:
        return "stopped"
    return f"{node.attempt} of {node.limit} failed" if node.limit else f"attempt {node.attempt} failed"


def note_text(item: Item) -> str:
    """Answers what stands below a call: its error, or how a person answers it; "" when there is nothing to say."""
    node = item.node
    if node is None:
        return ""
    if node.state == "waiting":
        return f"%resonate resolve {visible(node.id)} VALUE"
    return visible(node.error) if node.state in {"retrying", "rejected", "timedout"} else ""


def counted(counts: dict[str, int]) -> list[str]:
    """Answers counts of states as words, in the order of `counts`, none for zero."""
    return [f"{count:,} {STATES[state].word}" for state, count in counts.items() if count]


def more_text(item: Item) -> str:
    """Answers what a "more" row says: `492 more rejected · 3 retrying`."""
    first, *others = counted(item.counts)
    number, word = first.split(" ", 1)
    return " · ".join((f"{number} more {word}", *others))


def left_out(items: list[Item]) -> str:
    """Answers the line for rows that are not shown: `… 4,940 more calls, folded: 2 rejected`."""
    urgent = {state: sum(item.state == state for item in items if item.kind == "call") for state in URGENT}
    words = ", ".join(counted(urgent))
    return f"… {sum(item.calls for item in items):,} more calls, folded" + (f": {words}" if words else "")


def took_text(item: Item, now_s: float) -> str:
    """Answers how long an item's call, or its calls from the first to the last, took; "" when nothing has begun."""
    if item.node is not None:
        took = item.node.took_s(now_s)
        return "" if took is None else duration(took)
    spans = []
    for node in item.members:
        took = node.took_s(now_s)
        if took is not None:
            end = now_s if node.ended_at is None else node.ended_at
            spans.append((end - took, end))
    return duration(max(end for _, end in spans) - min(begin for begin, _ in spans)) if spans else ""


# ---- the tree ----------------------------------------------------------------------------------------------------------------


def render_text(
    model: RunModel, now_s: float, *, width: int = 80, stable: bool = False, colour: bool = False, rows_max: int = TEXT_ROWS_MAX
) -> str:
    """Answers the run as a tree of text lines, none wider than `width` cells and without a newline at the end.

    `stable` leaves out everything that differs from one run of the same program to the next; `colour` adds ANSI colours.

        print(render_text(model, time.time()))
    """
    width = max(width, 40)
    lines = head_lines(model, now_s, width, stable=stable, colour=colour)
    top = fold(model)
    if top is None:
        return "\n".join([*lines, "", paint("No calls yet.", "dim", colour)])
    shown, left = choose(rows(top), rows_max)
    rails: dict[Item, str] = {}
    lines.append("")
    for item in shown:
        lines += _row(model, item, rails, now_s, width, stable=stable, colour=colour)
    if left:
        lines.append(paint(cut(left_out(left), width), "dim", colour))
    return "\n".join(line.rstrip() for line in lines)


def head_lines(model: RunModel, now_s: float, width: int, *, stable: bool, colour: bool) -> list[str]:
    """Answers the lines on top of every view: the run, its state and place, and how many calls are in which state."""
    root = model.root
    state = f"{STATES[model.state].glyph} {model.word}"
    took = None if stable else model.elapsed_s(now_s)
    right = cut(visible(model.where_label), width // 3)
    right = right if took is None else f"{duration(took)} · {right}"
    room = width - cells(state) - cells(right) - 4
    run_id = cut(visible(model.run_id), room)
    room -= cells(run_id) + 2
    call = call_text(root, room) if root is not None and room > 3 else ""
    left = "  ".join(part for part in (run_id, call) if part)
    space = " " * (width - cells(left) - cells(state) - cells(right) - 2)
    painted = left.replace(run_id, paint(run_id, "bold", colour), 1)
    lines, line = [f"{painted}  {paint(state, model.state, colour)}{space}{right}"], ""
    if model.away:
        lines.append(paint(cut(visible(model.away), width), "error", colour))
    for piece in counted({state: model.counts[state] for state in STATES_IN_SUM}):
        if line and cells(line) + 3 + cells(piece) > width:
            lines.append(line)
            line = ""
        line += f" · {piece}" if line else piece
    return [*lines, line] if line else lines


def _row(model: RunModel, item: Item, rails: dict[Item, str], now_s: float, width: int, *, stable: bool, colour: bool) -> list[str]:
    left_room, deepest = width // 2, min(INDENT_MAX, max(2, (width // 2 - 19) // 3))
    before = rails[item.parent] if item.parent is not None else ""
    deep = item.depth > deepest
    rails[item] = before if deep or item.parent is None else before + ("   " if item.last else "│  ")
    lead = "" if item.parent is None else before + (f"⋯{item.depth} " if deep else "└─ " if item.last else "├─ ")
    glyph = STATES[item.state].glyph
    if item.kind == "more":
        rest = cut(more_text(item), width - cells(lead) - 2)
        return [f"{paint(lead, 'dim', colour)}{paint(glyph, item.state, colour)} {rest}"]
    tail = f" ×{len(item.members):,}" if item.kind == "stack" else f" +{item.hidden:,}" if item.hidden else ""
    room = left_room - cells(lead) - 2 - len(tail)
    name, inside = (cut(visible(item.name), room), "") if item.node is None else call_parts(item.node, room)
    padding = " " * (left_room + 1 - cells(lead) - 2 - cells(name + inside) - len(tail))
    took = "" if stable else took_text(item, now_s)
    room = width - 3 - left_room - (len(took) + 1 if took else 0)
    detail = _fitted(counted(item.counts), room) if item.node is None else _detail(model, item.node, now_s, room, stable=stable)
    if cells(detail) > room:
        took = ""
    word = STATES[item.state].word if item.node is not None and item.state in URGENT else ""
    shown = paint(word, item.state, colour) + detail[len(word) :] if word and detail.startswith(word) else detail
    time = " " * (room - cells(detail) + 1) + took if took else ""
    call = f"{paint(lead, 'dim', colour)}{paint(glyph, item.state, colour)} {paint(name, 'bold', colour)}{inside}{tail}{padding}"
    line = f"{call}{shown}{time}"
    note = _note(item)
    if not note:
        return [line]
    under = rails[item] + ("│ " if item.children else "  ")
    style = "dim" if item.state == "waiting" else "error"
    return [line, paint(under, "dim", colour) + paint(cut(note, width - cells(under)), style, colour)]


def _detail(model: RunModel, node: Node, now_s: float, room: int, *, stable: bool) -> str:
    parts = said(model, node, now_s, stable=stable)
    if node.state == "retrying":
        del parts[1:2]  # Which attempt failed stands in the line below, before the error.
    whole = ", ".join(parts)
    return whole if cells(whole) <= room else parts[0]


def _fitted(pieces: list[str], room: int) -> str:
    for count in range(len(pieces), 0, -1):
        text = " · ".join(pieces[:count]) + (" …" if count < len(pieces) else "")
        if cells(text) <= room or count == 1:
            return cut(text, room)
    return ""


def _note(item: Item) -> str:
    note = note_text(item)
    if item.node is None or item.state != "retrying":
        return note
    tries = failed_text(item.node)
    return f"{tries} · {note}" if note else tries


def paint(text: str, style: str, colour: bool) -> str:
    """Answers the text in the colour of a state (or "dim", "bold", "error"), as it is without `colour`."""
    return f"\x1b[{_SGR[style]}m{text}\x1b[0m" if colour and text else text
