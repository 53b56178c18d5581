"""The other two views of a run in plain text: its timeline as bars of characters, and its calls as the rows of a table. Pure.

The timeline has the rows of the tree (`layout`), and what counts as idle, how idle stretches are squeezed and which pieces a call's
time falls into follow the same rules as the page's (`static/time.js`). Each kind of piece has a character of its own, so the picture
needs no colour. Times in here are seconds since the run's start.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Final, NamedTuple

from resonate_notebook.layout import Item, choose, fold, in_call_order, rows
from resonate_notebook.model import RANK, SETTLED, STATES, Node, RunModel
from resonate_notebook.text import (
    TEXT_ROWS_MAX,
    call_parts,
    call_text,
    cells,
    cut,
    duration,
    head_lines,
    left_out,
    more_text,
    paint,
    took_text,
    visible,
)  # fmt: skip

IDLE_FROM_S: Final = 60.0
IDLE_FROM_PART: Final = 0.08
"""What counts as idle: longer than both, the second of the whole run."""
GAP_CELLS: Final = 6
TICK_CELLS: Final = 11
NAME_PART: Final = 0.36
COLUMN_CELLS: Final = 12
"""What a call, and an error, need in a table to say anything."""
TABLE_ROWS_MAX: Final = 50
"""Rows of a table, unless it is asked for more, before it says how many calls are left out."""
SORTS: Final = ("call", "time", "state", "attempts", "name")
FILTERS: Final = {"failed": frozenset({"rejected", "timedout"}), "open": frozenset(STATES) - SETTLED, "settled": SETTLED}
"""Words that stand for several states."""

_STEPS_S: Final = (
    *(one * ten for ten in (0.001, 0.01, 0.1) for one in (1, 2, 5)),
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200,
)  # fmt: skip
_SHAPES: Final = {
    "ran": ("█", "at work"), "open": ("━", "has calls of its own"), "recovered": ("▓", "not run again"),
    "failed": ("▒", "an attempt that failed"), "pause": ("·", "until the next attempt"), "asleep": ("~", "asleep"),
    "asked": ("╌", "waits for you"), "queued": ("░", "not begun"),
}  # fmt: skip
_HEIGHTS: Final = " ▁▂▃▄▅▆▇█"


class Piece(NamedTuple):
    """A stretch of a call's time: what it was (`_SHAPES`), from when to when, the state that it shows, whether it goes on."""

    kind: str
    begin: float
    end: float
    state: str
    live: bool = False


class Clock:
    """Times of one run up to `end`: seconds since its start."""

    def __init__(self, model: RunModel, now_s: float) -> None:
        self.zero = 0.0 if model.root is None else model.root.created_at
        self.end = max(0.0, model.elapsed_s(now_s) or 0.0)

    def at(self, moment: float) -> float:
        """A moment (seconds since the epoch) on this clock, no later than its end."""
        return min(max(0.0, moment - self.zero), self.end)

    def begins(self, node: Node) -> float:
        """When a call began, or was made, when nobody saw it begin."""
        return self.at(node.created_at if node.began_at is None else node.began_at)

    def ends(self, node: Node) -> float:
        """When a call ended; the end of the picture while it goes on. Ends are whole milliseconds, so one may lie before a begin."""
        if node.state not in SETTLED or node.ended_at is None:
            return self.end
        return max(self.begins(node), self.at(node.ended_at))

    def tries(self, node: Node) -> list[float]:
        """Begin, end, begin, end, … of a call's attempts, where there were several."""
        return [self.at(each) for each in node.tries] if len(node.tries) > 1 else []


# ---- what is idle ------------------------------------------------------------------------------------------------------------


def _work(model: RunModel, clock: Clock) -> list[tuple[float, float]]:
    """When a call was at work itself: not asleep, not waiting for a person, a worker, its next attempt or calls of its own."""
    spans: list[tuple[float, float]] = []
    for node in model.nodes:
        if node.kind in {"sleep", "promise"} or node.state == "pending":
            continue
        tries, until = clock.tries(node), clock.ends(node)
        if tries and not node.children:
            spans += [(tries[at], tries[at + 1] if at + 1 < len(tries) else until) for at in range(0, len(tries), 2)]
            continue
        begin = clock.begins(node)
        for child in node.children:
            made = clock.at(child.created_at)
            if made > begin:
                spans.append((begin, min(made, until)))
            begin = max(begin, clock.ends(child))
        spans.append((begin, until))
    return [span for span in spans if span[1] >= span[0]]


def idle_gaps(model: RunModel, clock: Clock) -> list[tuple[float, float]]:
    """The stretches in which nothing was at work for so long that drawing them would leave no room for the rest."""
    least = max(IDLE_FROM_S, clock.end * IDLE_FROM_PART)
    gaps: list[tuple[float, float]] = []
    busy_until = 0.0
    for begin, end in sorted(_work(model, clock)):
        if begin - busy_until > least:
            gaps.append((busy_until, begin))
        busy_until = max(busy_until, end)
    return [*gaps, (busy_until, clock.end)] if clock.end - busy_until > least else gaps


class Scale:
    """Where a moment stands on `width` cells. Each gap takes `GAP_CELLS`, so long as gaps take half of the width at most."""

    def __init__(self, gaps: list[tuple[float, float]], end: float, width: int) -> None:
        longest = sorted(gaps, key=lambda gap: gap[0] - gap[1])[: width // 2 // GAP_CELLS]
        cut_out = sorted(longest)
        left_out = sum(until - begin for begin, until in cut_out)
        self.per_s = max(0.0, width - len(cut_out) * GAP_CELLS) / max(1e-9, end - left_out)
        self.gaps: list[tuple[float, float, int]] = []  # Begin, end, and the first cell.
        self._spans: list[tuple[float, float, float]] = []  # Begin, its place, cells for a second.
        place, begin = 0.0, 0.0
        for gap_begin, gap_end in cut_out:
            self._spans.append((begin, place, self.per_s))
            place += (gap_begin - begin) * self.per_s
            self.gaps.append((gap_begin, gap_end, min(round(place), width - GAP_CELLS)))
            self._spans.append((gap_begin, place, GAP_CELLS / (gap_end - gap_begin)))
            place, begin = place + GAP_CELLS, gap_end
        self._spans.append((begin, place, self.per_s))
        self._begins = [each[0] for each in self._spans]

    def place(self, moment: float) -> float:
        """The cell of a moment, with its fraction."""
        begin, place, per_s = self._spans[max(0, bisect_right(self._begins, moment) - 1)]
        return place + (moment - begin) * per_s


# ---- pieces of a call --------------------------------------------------------------------------------------------------------


def pieces(node: Node, clock: Clock, *, opened: bool) -> list[Piece]:
    """What one call did when, in order; `opened` says that its own calls have rows below it."""
    made, begin, until, live = clock.at(node.created_at), clock.begins(node), clock.ends(node), node.state not in SETTLED
    if node.kind == "sleep":
        return [Piece("asleep", made, until, "sleeping", live)]
    if node.kind == "promise":
        return [Piece("asked", made, until, node.state, live)]
    if node.state == "pending":
        return [Piece("queued", made, until, "pending", live)]
    before = [Piece("queued", made, begin, "pending")] if begin > made else []
    if opened or node.state == "recovered" or not clock.tries(node):
        kind = "open" if opened else "recovered" if node.state == "recovered" else "ran"
        return [*before, Piece(kind, begin, until, node.state, live)]
    return [*before, *_attempts(clock.tries(node), until, node.state, live=live)]


def _attempts(tries: list[float], until: float, state: str, *, live: bool) -> list[Piece]:
    out: list[Piece] = []
    for at in range(0, len(tries), 2):
        if at:
            out.append(Piece("pause", tries[at - 1], tries[at], "retrying"))
        if at + 1 < len(tries):
            out.append(Piece("failed", tries[at], tries[at + 1], "rejected"))
        else:
            out.append(Piece("ran", tries[at], until, state, live))
    if len(tries) % 2 == 0 and until > tries[-1]:
        out.append(Piece("pause", tries[-1], until, "retrying", live))
    return out


def _bar(parts: list[Piece], scale: Scale, width: int, used: dict[str, None], *, colour: bool) -> str:
    row = _empty(scale, width)
    for piece in sorted(parts, key=lambda piece: piece.kind not in {"pause", "queued"}):  # what was done stands before what was not
        left = min(width - 1, max(0, round(scale.place(piece.begin))))
        if piece.kind == "queued" and not piece.live and left == round(scale.place(piece.end)):
            continue  # A moment in a queue is not worth a shape of its own.
        used[piece.kind] = None
        right = min(width, max(left + 1, round(scale.place(piece.end))))
        shape = _SHAPES[piece.kind][0]
        for at in range(left, right):
            row[at] = paint("┊" if row[at] == "┊" and right - left > 2 else shape, piece.state, colour)
        last = "▸" if piece.live and piece.kind in {"ran", "open"} else STATES[piece.state].glyph if _is_marked(piece) else ""
        if last:
            row[right - 1] = paint(last, piece.state, colour)
    return "".join(row)


def _empty(scale: Scale, width: int) -> list[str]:
    """A row in which nothing has happened yet: blanks, and the borders of the gaps."""
    row = [" "] * width
    for begin, _, first in scale.gaps:
        row[first] = "┊" if begin else " "
        row[first + GAP_CELLS - 1] = "┊"
    return row


def _is_marked(piece: Piece) -> bool:
    """Whether the state's symbol stands at the end of the piece."""
    return piece.state in {"rejected", "timedout", "cancelled", "waiting"} or (piece.kind == "asked" and not piece.live)


def _skyline(members: list[Node], clock: Clock, scale: Scale, width: int, *, colour: bool) -> tuple[str, int]:
    """(how many calls of a stack ran at once, as heights, with a mark where one failed; the most that did)."""
    begun = [node for node in members if node.state != "pending"]
    begins, ends = sorted(map(clock.begins, begun)), sorted(map(clock.ends, begun))
    highest = [0] * width
    started = ended = column = 0
    while ended < len(ends):
        running = started - ended
        # A call that begins when another ends does not run beside it.
        starts = started < len(begins) and (begins[started] < ends[ended] or (begins[started] == ends[ended] and not running))
        here = min(width - 1, math.floor(scale.place(begins[started] if starts else ends[ended])))
        highest[column + 1 : here + 1] = [running] * (here - column)
        column = max(column, here)
        started, ended = started + starts, ended + (not starts)
        highest[column] = max(highest[column], started - ended)
    peak = max(highest)
    out = [
        paint(_HEIGHTS[math.ceil(8 * each / peak)], "running", colour) if each else empty
        for each, empty in zip(highest, _empty(scale, width), strict=True)
    ]
    for node in members:
        if node.state in {"rejected", "timedout"}:
            out[min(width - 1, math.floor(scale.place(clock.ends(node))))] = paint(STATES[node.state].glyph, node.state, colour)
    return "".join(out), peak


# ---- the timeline ------------------------------------------------------------------------------------------------------------


def render_timeline(model: RunModel, now_s: float, *, width: int = 80, colour: bool = False, rows_max: int = TEXT_ROWS_MAX) -> str:
    """Answers the run's timeline as text: a row for each call or stack, its time as a bar, idle stretches squeezed and marked.

    No line is wider than `width` cells; there is no newline at the end. `now_s` is in seconds since the epoch.

        print(render_timeline(model, time.time(), width=120))
    """
    width = max(width, 60)
    lines = head_lines(model, now_s, width, stable=False, colour=colour)
    top = fold(model)
    if top is None:
        return "\n".join([*lines, "", paint("No calls yet.", "dim", colour)])
    names = max(20, round(width * NAME_PART))
    track = width - names - 10
    clock = Clock(model, now_s)
    scale = Scale(idle_gaps(model, clock), clock.end, track)
    shown, left = choose(rows(top), rows_max)
    lines += ["", " " * names + paint(_axis(scale, clock.end, track), "dim", colour)]
    rails: dict[Item, str] = {}
    used: dict[str, None] = {}
    for item in shown:
        name = _name(item, rails, names - 1, colour=colour)
        if item.kind == "more":
            lines.append(f"{name}{paint(cut(more_text(item), track), item.state, colour)}")
            continue
        if item.node is None:
            bar, peak = _skyline(item.members, clock, scale, track, colour=colour)
            used["stack"] = None
            label = f"{took_text(item, now_s) or f'≤{peak:,}'}"
        else:
            bar = _bar(pieces(item.node, clock, opened=bool(item.children)), scale, track, used, colour=colour)
            label = took_text(item, now_s)
        lines.append(f"{name}{bar} {cut(label, 9).rjust(9)}")
    if left:
        lines.append(paint(cut(left_out(left), width), "dim", colour))
    return "\n".join(line.rstrip() for line in [*lines, "", *_legend(used, scale, width, colour=colour)])


def _name(item: Item, rails: dict[Item, str], room: int, *, colour: bool) -> str:
    before = rails[item.parent] if item.parent is not None else ""
    deep = item.depth > room // 6
    rails[item] = before if deep or item.parent is None else before + ("   " if item.last else "│  ")
    lead = "" if item.parent is None else before + (f"⋯{item.depth} " if deep else "└─ " if item.last else "├─ ")
    tail = f" ×{len(item.members):,}" if item.kind == "stack" else f" +{item.hidden:,}" if item.hidden else ""
    left = room - cells(lead) - 2 - len(tail)
    name, inside = call_parts(item.node, left) if item.node is not None else (cut(visible(item.name), left), "")
    space = " " * (left - cells(name + inside) + 1)
    glyph = paint(STATES[item.state].glyph, item.state, colour)
    return f"{paint(lead, 'dim', colour)}{glyph} {paint(name, 'bold', colour)}{inside}{tail}{space}"


def _axis(scale: Scale, end: float, width: int) -> str:
    """The moments along the top. How long a gap is counts more than a tick, which gives way to it."""
    row = [" "] * width

    def put(place: float, text: str) -> None:
        at = max(0, min(width - len(text), round(place)))
        if all(each == " " for each in row[max(0, at - 1) : at + len(text) + 1]):
            row[at : at + len(text)] = text

    for begin, until, first in scale.gaps:
        text = f"┊{duration(until - begin)}┊"
        put(first + (GAP_CELLS - len(text)) / 2, text)
    step = next((each for each in _STEPS_S if each * scale.per_s >= TICK_CELLS), 86_400 * max(1, math.ceil(end / 86_400 / 8)))
    said = ""
    edges = [0.0, *(edge for begin, until, _ in scale.gaps for edge in (begin, until)), end]
    for since, until in zip(edges[::2], edges[1::2], strict=True):  # of a gap of years, no tick is looked at
        for number in range(math.ceil(since / step), math.floor(until / step) + 1):
            text = _tick_text(number * step)
            if text != said:
                put(scale.place(number * step), text)
            said = text
    return "".join(row)


def _tick_text(seconds: float) -> str:
    if seconds < 1:
        return f"{round(seconds * 1000)} ms" if seconds else "0"
    if seconds < 60:
        return f"{round(seconds, 3):g} s"
    whole = round(seconds)
    for unit, below, one, other in ((86_400, 3600, "d", "h"), (3600, 60, "h", "m"), (60, 1, "m", "s")):
        if whole >= unit:
            rest = whole % unit // below
            return f"{whole // unit} {one}" + (f" {rest:02} {other}" if rest else "")
    raise AssertionError("a minute or more has a unit")


def _legend(used: dict[str, None], scale: Scale, width: int, *, colour: bool) -> list[str]:
    """What the shapes mean that are in the picture."""
    told = [f"{shape} {words}" for kind, (shape, words) in _SHAPES.items() if kind in used]
    told += ["▂▅█ how many at once"] * ("stack" in used) + ["┊ idle, squeezed"] * bool(scale.gaps)
    lines, line = [], ""
    for each in told:
        if line and cells(line) + 3 + cells(each) > width:
            lines.append(line)
            line = ""
        line += f"   {each}" if line else each
    return [paint(each, "dim", colour) for each in (*lines, line) if each]


# ---- the table ---------------------------------------------------------------------------------------------------------------


def select(model: RunModel, now_s: float, state: str, sort: str) -> list[Node]:
    """The calls of some state (a state, or a word of `FILTERS`; "" is all), in the order asked for (`SORTS`)."""
    wanted = FILTERS.get(state, frozenset({state}) if state else frozenset(STATES))
    nodes = [node for node in model.nodes if node.state in wanted]
    made = {child.index: place.index for node in model.nodes for child, place in zip(in_call_order(node), node.children, strict=True)}
    keys = {
        "time": lambda node: -(node.took_s(now_s) or 0.0), "state": lambda node: RANK[node.state], "attempts": lambda node: -node.attempt,
        "name": lambda node: node.name, "call": lambda node: made.get(node.index, 0),
    }  # fmt: skip
    return sorted(nodes, key=keys[sort])


def render_table(
    model: RunModel, now_s: float, *, width: int = 80, stable: bool = False, colour: bool = False, state: str = "", sort: str = "call",
    limit: int = TABLE_ROWS_MAX,
) -> str:  # fmt: skip
    """Answers the run's calls as rows: id, call, state, attempts, how long it took, error; at most `limit` of them (0 is all).

    No line is wider than `width` cells; there is no newline at the end. `state` and `sort` are as in `select`.

        print(render_table(model, time.time(), state="failed", sort="time"))
    """
    width = max(width, 60)
    lines = [*head_lines(model, now_s, width, stable=stable, colour=colour), ""]
    nodes = select(model, now_s, state, sort)
    if not nodes:
        return "\n".join([*lines, paint(f"No call is {state}." if state else "No calls yet.", "dim", colour)])
    shown = nodes[:limit] if limit else nodes
    found = [_row(node, now_s, stable=stable) for node in shown]
    titles = ["id", "call", "state", "tries", "took", "error"]
    sizes = [max(cells(row[at]) for row in [titles, *found]) for at in range(6)]
    sizes = _fitted_columns(sizes, [any(row[at] for row in found) for at in range(6)], width)
    kept = [at for at in range(6) if sizes[at]]
    lines.append(paint("  ".join(titles[at].ljust(sizes[at]) for at in kept), "dim", colour).rstrip())
    for node, row in zip(shown, found, strict=True):
        texts = [cut(row[at], sizes[at]) for at in range(6)]
        padded = [text + " " * (sizes[at] - cells(text)) for at, text in enumerate(texts)]
        padded[2] = paint(padded[2], node.state, colour)
        lines.append("  ".join(padded[at] for at in kept).rstrip())
    if len(shown) < len(nodes):
        rest = len(nodes) - len(shown)
        more = f"… {rest:,} more call{'s' * (rest != 1)}. `--limit {len(nodes)}` shows all."
        lines.append(paint(more, "dim", colour))
    return "\n".join(lines)


def _row(node: Node, now_s: float, *, stable: bool) -> list[str]:
    look, took = STATES[node.state], None if stable else node.took_s(now_s)
    tries = f"{node.attempt} of {node.limit}" if node.limit and node.attempt > 1 else f"{node.attempt}" if node.attempt else ""
    error = visible(node.error) if node.state in {"rejected", "timedout", "retrying"} else ""
    caught = " (caught)" if node.caught and node.state == "rejected" else ""
    said = f"{look.glyph} {look.word}{caught}"
    return [visible(node.id), call_text(node, 200), said, tries, "" if took is None else duration(took), error]


def _fitted_columns(sizes: list[int], filled: list[bool], width: int) -> list[int]:
    """How wide each column is: the call and the error share what the others leave, an empty column takes nothing."""
    out = [size if is_filled else 0 for size, is_filled in zip(sizes, filled, strict=True)]
    out[0] = min(out[0], max(8, width // 4))
    for dropped in (None, 3, 4):  # Where there is little room, attempts go first, then times.
        if dropped is not None:
            out[dropped] = 0
        room = width - sum(out[at] for at in (0, 2, 3, 4)) - 2 * (sum(1 for size in out if size) - 1)
        if room >= min(COLUMN_CELLS * (2 if out[5] else 1), out[1] + out[5]):
            break
    call, error = out[1], out[5]
    if call + error > room:
        out[5] = min(error, max(room // 2, room - call)) if error else 0
        out[1] = max(8, room - out[5])
    return out
