"""The picture as a still SVG image, for saved notebooks, exports and readers without the live widget.

It is 760 px wide and always in the light palette on its own white ground, because an image cannot see the colours of the page
around it. It loads nothing, runs nothing, and names no ids or style rules, so that several of them can stand in one page. Fonts are
the reader's: every text is cut to a width that is reckoned here, generously, so that nothing overlaps elsewhere.
"""

from __future__ import annotations

import html
from typing import Final

from resonate_notebook.layout import BOX_MORE, INDENT_MAX, Item, choose, edge, fits_graph, fold, link, place, rows, shared
from resonate_notebook.model import LIVE, STATES, URGENT, RunModel
from resonate_notebook.text import (
    STATES_IN_SUM,
    call_parts,
    call_text,
    cells,
    counted,
    cut,
    duration,
    left_out,
    more_text,
    note_text,
    said,
    took_text,
    visible,
)  # fmt: skip

WIDTH: Final = 760
SVG_ROWS_MAX: Final = 60
"""Rows of a tree before it says how many calls are left out."""
ROW, INDENT, MONO_PX, NOTE_PX, EDGE_RIGHT, TEXT_IN_BOX = 26, 20, 7.23, 6.63, WIDTH - 12, 41

_FILL, _LINE, _CUT = "fill", "line", "cut"
ICONS: Final[dict[str, tuple[tuple[str, float, str], ...]]] = {
    "waiting": ((_FILL, 0, "M8 .8 15.2 8 8 15.2.8 8z"), (_CUT, 1.7, "M6.4 5.4v5.2M9.6 5.4v5.2")),
    "rejected": (
        (_FILL, 0, "M5.3 1.5h5.4l3.8 3.8v5.4l-3.8 3.8H5.3l-3.8-3.8V5.3z"),
        (_CUT, 1.7, "M5.6 5.6l4.8 4.8M10.4 5.6l-4.8 4.8"),
    ),
    "timedout": ((_LINE, 1.6, "M3.6 1.8h8.8M3.6 14.2h8.8M5 1.8C5 5.4 8 6 8 8s-3 2.6-3 6.2M11 1.8C11 5.4 8 6 8 8s3 2.6 3 6.2"),),
    "retrying": ((_LINE, 1.9, "M13.2 8A5.2 5.2 0 1 1 11.4 4.1"), (_FILL, 0, "M14 .9v5H9z")),
    "running": ((_LINE, 1.9, "M8 2a6 6 0 1 1-6 6"), (_FILL, 0, "M8 5.4a2.6 2.6 0 1 1 0 5.2 2.6 2.6 0 0 1 0-5.2z")),
    "sleeping": ((_FILL, 0, "M13.8 10A6.3 6.3 0 0 1 6 2.2 6.3 6.3 0 1 0 13.8 10z"),),
    "pending": ((_LINE, 1.6, "M8 2.2a5.8 5.8 0 1 1 0 11.6A5.8 5.8 0 0 1 8 2.2z"),),
    "cancelled": ((_LINE, 1.6, "M8 2.2a5.8 5.8 0 1 1 0 11.6A5.8 5.8 0 0 1 8 2.2zM4.2 4.2l7.6 7.6"),),
    "resolved": ((_FILL, 0, "M8 1.2a6.8 6.8 0 1 1 0 13.6A6.8 6.8 0 0 1 8 1.2z"), (_CUT, 1.7, "M4.9 8.3l2.2 2.3 4.1-4.7")),
    "recovered": ((_LINE, 1.3, "M8 1.9a6.1 6.1 0 1 1 0 12.2A6.1 6.1 0 0 1 8 1.9z"), (_LINE, 1.6, "M5.2 8.2l2 2.1 3.7-4.2")),
}
COLOURS: Final = {
    "waiting": "#a3167c", "rejected": "#b4231c", "timedout": "#9c3d06", "retrying": "#8a5000", "running": "#0b5fc0",
    "sleeping": "#5b50b5", "pending": "#5d6672", "cancelled": "#59616d", "resolved": "#1a7136", "recovered": "#0b6a72",
}  # fmt: skip
_CLOCK: Final = "M8 2.2a5.8 5.8 0 1 1 0 11.6A5.8 5.8 0 0 1 8 2.2zM8 5v3.2l2 1.3"
_WHERE: Final = {
    "file": "M8 2.2c3 0 5 .9 5 2s-2 2-5 2-5-.9-5-2 2-2 5-2zM3 4.2v7.6c0 1.1 2 2 5 2s5-.9 5-2V4.2M3 8c0 1.1 2 2 5 2s5-.9 5-2",
    "memory": "M4.5 4.5h7v7h-7zM6.5 2v2.5M9.5 2v2.5M6.5 11.5V14M9.5 11.5V14M2 6.5h2.5M2 9.5h2.5M11.5 6.5H14M11.5 9.5H14",
    "server": "M2.5 8a5.5 5.5 0 1 1 11 0 5.5 5.5 0 0 1-11 0zM2.5 8h11"
    "M8 2.5c2 1.7 2.6 3.5 2.6 5.5S10 11.8 8 13.5C6 11.8 5.4 10 5.4 8S6 4.2 8 2.5z",
}  # fmt: skip
_MONO: Final = "Menlo,Consolas,'DejaVu Sans Mono',monospace"
_SANS: Final = "-apple-system,'Segoe UI','Helvetica Neue','Liberation Sans',Arial,sans-serif"


def _mixed(colour: str, percent: float) -> str:
    """Answers `colour` mixed with white, `percent` of it."""
    parts = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (part - 255) * percent / 100):02x}" for part in parts)


_EMS: Final = {
    char: ems
    for ems, chars in (
        (0.24, "ijl|'"), (0.28, " ,.:;/\\!ftI[]·"), (0.34, 'r()-"'), (0.5, "cksvxyzJ"), (0.67, "ABEKPSVXYFTZ&"), (0.73, "CDHNRUw"),
        (0.78, "GOQ"), (0.84, "mM"), (1.0, "W%@"),
    ) for char in chars
}  # fmt: skip

TEXT: Final = "#1a1f26"
TEXT_2, EDGE, OUTLINE, HAIRLINE = (_mixed(TEXT, percent) for percent in (74, 57, 24, 13))


# ---- parts -------------------------------------------------------------------------------------------------------------------


def _sans_px(text: str, size: float = 12.5, *, bold: bool = False) -> float:
    """Reckons the width of a text in the reader's sans-serif font: Helvetica's widths and a little more."""
    return sum(_EMS.get(char, 0.57 if char.isascii() else 1.0) for char in text) * size * (1.1 if bold else 1.04)


def _sans_cut(text: str, room: float, size: float, *, bold: bool = False) -> str:
    if _sans_px(text, size, bold=bold) <= room:
        return text
    while text and _sans_px(text + "…", size, bold=bold) > room:
        text = text[:-1]
    return text.rstrip(" ·") + "…" if text else ""


Piece = tuple[str, str, str]
"""Text, colour, and how it is set: letters of "b" (bold) and "m" (fixed width)."""


def _flow(x: float, y: float, size: float, *pieces: Piece, gap: float = 0, end: bool = False) -> str:
    """Answers pieces of text in one line, one after the other in whatever font. Text is escaped here and nowhere else."""
    spans: list[str] = []
    for text, fill, style in pieces:
        if text:
            attributes = f' dx="{gap:g}"' if spans and gap else ""
            attributes += ' font-weight="600"' if "b" in style else ""
            attributes += f' font-family="{_MONO}" font-size="{min(size, 12):g}"' if "m" in style else ""
            spans.append(f'<tspan fill="{fill}"{attributes}>{_escaped(text)}</tspan>')
    anchor = ' text-anchor="end"' if end else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}"{anchor}>{"".join(spans)}</text>' if spans else ""


def _text(x: float, y: float, text: str, fill: str = "", size: float = 12.5, style: str = "", *, end: bool = False) -> str:
    return _flow(x, y, size, (text, fill or TEXT_2, style), end=end)


def _escaped(text: str) -> str:
    return html.escape(visible(text), quote=True)


def _call(x: float, y: float, name: str, rest: str) -> str:
    """Answers a call in the fixed-width font: its name stands out from its arguments."""
    return _flow(x, y, 12, (name, TEXT, "bm"), (rest, TEXT_2, "m"))


def _icon(x: float, y: float, state: str, size: float = 16, ground: str = "#ffffff") -> str:
    colour, paths = COLOURS[state], []
    for kind, width, path in ICONS[state]:
        ends = 'stroke-dasharray="1.9 2.66"' if state == "pending" else 'stroke-linecap="round" stroke-linejoin="round"'
        stroke = f'fill="none" stroke="{ground if kind == _CUT else colour}" stroke-width="{width:g}" {ends}'
        paths.append(f'<path d="{path}" {f'fill="{colour}"' if kind == _FILL else stroke}/>')
    scale = "" if size == 16 else f" scale({size / 16:g})"
    return f'<g transform="translate({x:g} {y:g}){scale}">{"".join(paths)}</g>'


def _rect(x: float, y: float, width: float, height: float, fill: str, stroke: str = "", radius: float = 0, extra: str = "") -> str:
    line = f' stroke="{stroke}"' if stroke else ""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" fill="{fill}"{line}{extra}/>'


def _strip(item: Item, x: float, y: float, room: float) -> str:
    """Answers a stack's strip, 12 px high: one cell for each call up to 40, else a bar in proportion."""
    out, members = [], item.members
    if len(members) <= 40:
        width = max(1.5, min(5.0, room / len(members) - 1.5))
        parts = [(member.state, width, 1.5) for member in members]
    else:
        present = [state for state in STATES_IN_SUM if state in item.counts]
        free = min(room, 150.0) - 4 * len(present)
        parts = [(state, 3 + free * item.counts[state] / len(members), 1.0) for state in present]
    for state, width, gap in parts:
        colour = COLOURS[state]
        if state == "recovered":
            out.append(_rect(x + 0.5, y + 2.5, width - 1, 7, "none", colour))
        else:
            height = 2 if state == "pending" else 4 if state == "cancelled" else 12 if state in URGENT else 8
            out.append(_rect(x, y + 6 - height / 2, width, height, colour))
        x += width + gap
    return "".join(out)


def _counts(item: Item, x: float, y: float, room: float, size: float) -> str:
    """Answers a stack's counts in words, or as icons with figures where words do not fit."""
    words = " · ".join(counted(item.counts))
    if _sans_px(words, size) <= room:
        return _text(x, y, words, TEXT_2, size)
    out, end = [], x + room
    for state, count in item.counts.items():
        width = 15 + _sans_px(f"{count:,}", size)
        if x + width > end:
            break
        out.append(_icon(x, y - 10, state, 12) + _text(x + 15, y, f"{count:,}", TEXT_2, size))
        x += width + 9
    return "".join(out)


def _lines(grey: list[str], live: list[str]) -> list[str]:
    """Answers edges or rails; the way to what is live is drawn over the grey."""
    return [
        f'<path d="{"".join(paths)}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
        for paths, colour, width in ((grey, EDGE, 1.25), (live, COLOURS["running"], 1.75)) if paths
    ]  # fmt: skip


def _pill(x: float, y: float, hidden: int) -> str:
    label = f"+{hidden:,}"
    width = _sans_px(label, 11) + 12
    return _rect(x, y, width, 18, "#ffffff", EDGE, 9) + _text(x + 6, y + 13, label, TEXT_2, 11)


# ---- the picture -------------------------------------------------------------------------------------------------------------


def render_svg(model: RunModel, now_s: float, stable: bool = False) -> str:
    """Answers the run as a complete SVG document, with `stable` without times.

    Path("demo.svg").write_text(render_svg(model, time.time()), encoding="utf-8")
    """
    top = fold(model)
    items = [] if top is None else rows(top)
    head, y = _head(model, now_s, stable=stable)
    if not items:
        body, height = [_text(20, y + 26, "No calls yet.")], 44.0
    elif fits_graph(items):
        body, height = _graph(model, items, y, now_s, stable=stable)
    else:
        body, height = _tree(model, items, y + 4, now_s, stable=stable)
    bottom = round(y + height)
    summary, sums = _escaped(model.summary()), _escaped(" · ".join(counted(model.counts)))
    size = f'width="{WIDTH}" height="{bottom}" viewBox="0 0 {WIDTH} {bottom}"'
    return "\n".join((
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{_SANS}">',
        f"<title>{summary}</title>", f"<desc>{summary}. {sums}</desc>",
        _rect(0.5, 0.5, WIDTH - 1, bottom - 1, "#ffffff", OUTLINE, 8),
        *(line for line in (*head, *body) if line), "</svg>",
    ))  # fmt: skip


def _head(model: RunModel, now_s: float, *, stable: bool) -> tuple[list[str], float]:
    """Answers the header and the height it takes: pill, id, call, time, place; the bar; and what the bar's colours count."""
    state, root = model.state, model.root
    word = model.word
    pill = 29 + _sans_px(word, bold=True) + 9
    out = [_rect(12, 10, pill, 24, _mixed(COLOURS[state], 10), radius=12), _icon(19, 14, state, ground=_mixed(COLOURS[state], 10))]
    out.append(_text(41, 26.5, word, COLOURS[state], style="b"))
    right = float(EDGE_RIGHT)
    label = cut(visible(model.where_label), 24)
    took = None if stable else model.elapsed_s(now_s)
    place_icon = _WHERE.get(model.where, _WHERE["server"])
    for text, path, fill in ((label, place_icon, TEXT_2), ("" if took is None else duration(took), _CLOCK, TEXT)):
        if text:
            out.append(_text(right, 26.5, text, fill, end=True))
            right -= _sans_px(text) + 20
            stroke = f'stroke="{TEXT_2}" stroke-width="1.4" stroke-linecap="round" stroke-linejoin="round"'
            out.append(f'<path transform="translate({right:g} 15) scale(.875)" d="{path}" fill="none" {stroke}/>')
            right -= 12
    x = pill + 22
    run_id = _sans_cut(visible(model.run_id), right - x, 14, bold=True)
    room = int((right - x - _sans_px(run_id, 14, bold=True) - 10) / MONO_PX)
    call = call_text(root, room) if root is not None and room > 8 else ""
    out.append(_flow(x, 27, 14, (run_id, TEXT, "b"), (call, TEXT_2, "m"), gap=9))
    out += _bar(model)
    return out + _chips(model), 90.0


def _bar(model: RunModel) -> list[str]:
    room = float(EDGE_RIGHT - 12)
    present = [state for state in STATES_IN_SUM if model.counts[state]]
    out, x, total = [_rect(12, 46, room, 6, HAIRLINE, radius=3)], 12.0, len(model.nodes)
    shown = [state for state in present if state != "pending"]
    free = room - 6 * len(shown)  # Each part is at least 4 px wide and has 2 px of space after it.
    for state in shown:
        width = 4 + free * model.counts[state] / total + (2 if state == present[-1] else 0)
        out.append(_rect(x, 46, width, 6, _mixed(COLOURS[state], 52 if state == "recovered" else 100), radius=2))
        x += width + 2
    return out


def _chips(model: RunModel) -> list[str]:
    states = [state for state in STATES_IN_SUM if model.counts[state]]

    words = {state: STATES[state].word for state in states}

    def width(state: str) -> float:
        number = _sans_px(f"{model.counts[state]:,}", 12, bold=True)
        return 18 + number + (5 + _sans_px(words[state], 12) if words[state] else 0) + 15

    for state in ("resolved", "recovered", "pending", "cancelled", "running", "sleeping"):  # Calm words go when room is short.
        if state in words and sum(map(width, states)) > EDGE_RIGHT - 12:
            words[state] = ""
    out, x = [], 12.0
    for state in states:
        hot = COLOURS[state] if state in URGENT else ""
        pieces = (f"{model.counts[state]:,}", hot or TEXT, "b"), (words[state], hot or TEXT_2, "")
        out += [_icon(x, 63.5, state, 13), _flow(x + 18, 74.5, 12, *pieces, gap=4)]
        x += width(state)
    out.append(f'<path d="M1 89.5H{WIDTH - 1}" stroke="{HAIRLINE}"/>')
    return out


# ---- graph -------------------------------------------------------------------------------------------------------------------


def _note_lines(item: Item, width: float) -> list[str]:
    """Answers the note in at most two lines for a box of this width."""
    text, room = note_text(item), int((width - TEXT_IN_BOX) / NOTE_PX)
    if cells(text) <= room:
        return [text] if text else []
    first = cut(text, room + 1)[:-1]
    words = first[: first.rfind(" ") + 1]  # The line ends with a whole word unless that costs the end of the text.
    first = words if words and cells(text) - cells(words) <= room else first
    return [first.rstrip(), cut(text[len(first) :].lstrip(), room)]


def _graph(model: RunModel, items: list[Item], top: float, now_s: float, *, stable: bool) -> tuple[list[str], float]:
    def took(item: Item) -> str:
        calm = item.kind == "call" and item.state not in {"retrying", "sleeping", "pending"}
        return took_text(item, now_s) if calm and not stable else ""

    def wanted(item: Item) -> float:
        if item.kind == "more":
            return _sans_px(more_text(item), 11.5) + 46
        if item.node is None:
            title = cells(visible(item.name)) + 3 + len(f"{len(item.members):,}")
            counts = _sans_px(" · ".join(counted(item.counts)), 11.5)
            return max(title * MONO_PX + 46, min(len(item.members), 40) * 5.6 + 46, counts + 42)
        line = " · ".join(said(model, item.node, now_s, stable=stable))
        below = _sans_px(line, 11.5, bold=True) + _sans_px(took(item), 11.5) + 54
        return max(cells(call_text(item.node, 999)) * MONO_PX + 46, min(cells(note_text(item)), 52) * NOTE_PX + 46, below)

    height = place(items, wanted, lambda item, width: len(_note_lines(item, width)), WIDTH - 32 - 14)
    for item in items:
        item.x += 16
        item.y += top + 14
    grey: list[str] = []
    live: list[str] = []
    for item in items:
        for child in item.children:
            (live if child.live else grey).append(edge(item, child))
    out = _lines(grey, live)
    if links := [link(caller, item) for caller, item in shared(items)]:
        out.append(f'<path d="{"".join(links)}" fill="none" stroke="{EDGE}" stroke-width="1.25" stroke-dasharray="3 3"/>')
    for item in items:
        out += _box(model, item, took(item), now_s, stable=stable)
    return out, height + 34


def _box(model: RunModel, item: Item, took: str, now_s: float, *, stable: bool) -> list[str]:
    x, y, width, height, state, node = item.x, item.y, item.width, item.height, item.state, item.node
    hot, live = state in URGENT and node is not None, state in LIVE and node is not None
    colour = COLOURS[state]
    stroke = colour if hot else _mixed(colour, 62) if live else EDGE if state == "pending" else OUTLINE
    ground = _mixed(colour, 5) if hot else "#ffffff"
    deck = (6.5, 3.5) if item.kind == "stack" else ()
    out = [_rect(x + by, y + by, width - 1, height - 1, "#ffffff", OUTLINE, 7) for by in deck]
    dashes = ' stroke-dasharray="3 2.5"' if state == "pending" and node is not None else ""
    out += [_rect(x + 0.5, y + 0.5, width - 1, height - 1, ground, stroke, 7, dashes)]
    room, left = width - TEXT_IN_BOX, x + 31
    if item.kind == "more":
        out += [_icon(x + 8, y + 6, state), _text(left, y + BOX_MORE / 2 + 4, _sans_cut(more_text(item), room, 11.5), TEXT_2, 11.5)]
        return out
    out.append(_icon(x + 8, y + 4.5, state, ground=ground))
    if node is None:
        count = f" ×{len(item.members):,}"
        out.append(_call(left, y + 16.5, cut(visible(item.name), int(room / MONO_PX) - len(count)), count))
        out += [_strip(item, left, y + 24, room), _counts(item, left, y + 53, room, 11.5)]
        return out
    out.append(_call(left, y + 16.5, *call_parts(node, int(room / MONO_PX))))
    parts, bold = said(model, node, now_s, stable=stable), hot or live
    free = room - (_sans_px(took, 11.5) + 8 if took else 0)
    if _sans_px(parts[0], 11.5, bold=bold) > free:
        took, free = "", room  # The word of the state is worth more than its time.
    lines = " · ".join(parts), f"{parts[0]} · {parts[-1]}", _sans_cut(parts[0], free, 11.5, bold=bold)
    line = next((line for line in lines if _sans_px(line, 11.5, bold=bold) <= free), "")
    out.append(_text(left, y + 33.5, line, colour if bold else TEXT_2, 11.5, "b" if bold else ""))
    out.append(_text(x + width - 10, y + 33.5, took, TEXT_2, 11.5, end=True))
    for number, words in enumerate(_note_lines(item, width)):
        out.append(_text(left, y + 51 + 14 * number, words, TEXT_2 if state == "waiting" else COLOURS["rejected"], 11, "m"))
    if item.hidden:
        out.append(_pill(x + width - 7, y + 12, item.hidden))
    return out


# ---- tree --------------------------------------------------------------------------------------------------------------------


def _tree(model: RunModel, items: list[Item], top: float, now_s: float, *, stable: bool) -> tuple[list[str], float]:
    shown, left = choose(items, SVG_ROWS_MAX)
    out = _rails(shown, top)
    for number, item in enumerate(shown):
        out += _tree_row(model, item, top + number * ROW, now_s, stable=stable)
    height = len(shown) * ROW
    if left:
        out.append(_text(20, top + height + 17, left_out(left)))
        height += ROW
    return out, height + 12


def _icon_x(item: Item) -> float:
    return 20 + INDENT * min(item.depth, INDENT_MAX)


def _rails(shown: list[Item], top: float) -> list[str]:
    """Answers the rails: from each row one trunk down, branching off to each row below it."""
    middle = {item: top + number * ROW + ROW / 2 for number, item in enumerate(shown)}
    grey: list[str] = []
    live: list[str] = []
    for item in shown:
        if item.parent is not None and item.depth <= INDENT_MAX:
            x, y = _icon_x(item.parent), middle[item]
            path = f"M{x:g} {middle[item.parent] + 10:g}V{y - 6:g}Q{x:g} {y:g} {x + 6:g} {y:g}H{_icon_x(item) - 10:g}"
            (live if item.live else grey).append(path)
    return _lines(grey, live)


def _tree_row(model: RunModel, item: Item, y: float, now_s: float, *, stable: bool) -> list[str]:
    node, state, middle = item.node, item.state, round(WIDTH * 0.46)
    out = [_icon(_icon_x(item) - 8, y + 5, state)]
    x = _icon_x(item) + 16
    if item.kind == "more":
        return [*out, _text(x, y + 17.5, more_text(item))]
    if item.depth > INDENT_MAX:
        out.append(_text(x, y + 17, f"⋯{item.depth}", TEXT_2, 11))
        x += _sans_px(f"⋯{item.depth}", 11) + 8
    pill = _sans_px(f"+{item.hidden:,}", 11) + 20 if item.hidden else 0.0
    room = int((middle - x - pill) / MONO_PX)
    if node is None:
        count = f" ×{len(item.members):,}"
        name, rest = cut(visible(item.name), room - len(count)), count
    else:
        name, rest = call_parts(node, room)
    out.append(_call(x, y + 17, name, rest))
    x += cells(name + rest) * MONO_PX + 8
    took = "" if stable else took_text(item, now_s)
    out.append(_text(EDGE_RIGHT, y + 17.5, took, end=True))
    left, end = middle + 12.0, EDGE_RIGHT - (_sans_px(took) + 12 if took else 0)
    if node is None:
        if middle - x > 46:
            out.append(_strip(item, x, y + 7, min(190.0, middle - x)))
        return [*out, _counts(item, left, y + 17.5, end - left, 12.5)]
    if item.hidden:
        out.append(_pill(x, y + 4, item.hidden))
    word, *more = said(model, node, now_s, stable=stable) + (["not run again"] if state == "recovered" else [])
    hot = state in URGENT
    left += _sans_px(word, bold=hot) + 5
    extra = next((words for words in (" · ".join(more), more[-1]) if _sans_px("· " + words) <= end - left), "") if more else ""
    extra = f"· {extra}" if extra else ""
    left += _sans_px(extra) + 5 if extra else 0
    note = cut(note_text(item), int((end - left) / MONO_PX)) if end - left > 60 else ""
    pieces = (
        (word, COLOURS[state] if hot else TEXT_2, "b" if hot else ""), (extra, TEXT_2, ""),
        (note, TEXT_2 if state == "waiting" else COLOURS["rejected"], "m"),
    )  # fmt: skip
    return [*out, _flow(middle + 12.0, y + 17.5, 12.5, *pieces, gap=5)]
