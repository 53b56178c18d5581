"""Which calls get a row or a box of their own, and where the boxes stand. Pure: a model goes in, plain items come out.

Folding has three rules. Five or more calls of one function under one parent become a stack (`clean ×31`). Calls that need a look
never disappear in it: up to eight of them stand below their stack, the most urgent ones, and one row counts the rest. In runs above
24 calls a finished subtree in which all went well folds into its top (`+4`); one that holds even a caught failure stays open.

Every call of the run is stood for by exactly one item: `calls` says how many an item stands for, and they add up to the whole run.

A graph runs from left to right. A parent is level with its first call, its calls follow each other downwards in call order, and
each parent has one vertical trunk from which its edges branch off. Nothing here recurses: a run may be thousands of calls deep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Literal

from resonate_notebook.model import LIVE, RANK, STATES, Node, RunModel

STACK_MIN: Final = 5
"""Siblings of one function that make a stack."""
STACK_SHOWN_MAX: Final = 8
"""Calls below a stack that have an item of their own."""
AUTO_FOLD_ABOVE: Final = 24
"""Calls of a run above which finished subtrees fold by themselves."""
BOXES_MAX: Final = 60
"""Boxes that a graph may have; with more the picture is a tree of rows."""
COLUMNS_MAX: Final = 4
"""Columns of boxes that fit the picture's width and can still be read."""
INDENT_MAX: Final = 12
"""Levels after which rows are indented no further and say their depth instead."""

GAP_X, GAP_Y, DECK, READABLE, NARROW, MIDDLE = 46.0, 8.0, 6.0, 220.0, 172.0, 21.0
WIDTH_MIN, WIDTH_MAX, WIDTH_PARENT_MAX, WIDTH_NOTE_MAX = 128.0, 276.0, 264.0, 400.0
BOX, NOTE_LINE, BOX_STACK, BOX_MORE = 42.0, 14.0, 62.0, 28.0

_CALM_FROM: Final = RANK["cancelled"]
_URGENT_TO: Final = RANK["retrying"]
_STATE_NAMES: Final = tuple(STATES)


class Item:
    """One row or box: a call, a stack of calls, or the line that counts what a stack does not show.

    `counts` are the states of a stack's calls, or of what "more" stands for; `hidden` the calls folded under this one; `live` says
    that something in or under it still goes on. `x`, `y`, `width` and `height` are set by `place`, in pixels.
    """

    __slots__ = (
        "calls", "children", "counts", "depth", "height", "hidden", "kind", "last", "live", "members", "name", "node", "parent",
        "state", "width", "x", "y",
    )  # fmt: skip

    def __init__(self, kind: Literal["call", "stack", "more"], parent: Item | None, name: str, state: str, live: bool) -> None:
        self.kind, self.parent, self.name, self.state, self.live = kind, parent, name, state, live
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.node: Node | None = None
        self.members: list[Node] = []
        self.counts: dict[str, int] = {}
        self.children: list[Item] = []
        self.hidden = 0
        self.calls = 1
        self.last = True
        self.x = self.y = self.width = self.height = 0.0


class _Sums:
    """What is known of each node's subtree: its size, its most urgent rank, and whether anything in it goes on."""

    def __init__(self, nodes: list[Node]) -> None:
        self.size = [1] * len(nodes)
        self.rank = [RANK[node.state] for node in nodes]
        self.live = [node.state in LIVE for node in nodes]
        for index in range(len(nodes) - 1, 0, -1):  # A parent always comes before its children.
            parent = nodes[index].parent
            assert parent is not None
            above = parent.index
            self.size[above] += self.size[index]
            self.rank[above] = min(self.rank[above], self.rank[index])
            self.live[above] = self.live[above] or self.live[index]

    def urgent(self, node: Node) -> bool:
        return self.rank[node.index] <= _URGENT_TO


def fold(model: RunModel) -> Item | None:
    """Answers the folded tree of the run, None while nothing is known of it."""
    if model.root is None:
        return None
    sums = _Sums(model.nodes)
    top = _call(None, model.root, sums)
    todo = [top]
    while todo:
        item = todo.pop()
        node = item.node
        assert node is not None
        if not node.children:
            continue
        if node is not model.root and len(model.nodes) > AUTO_FOLD_ABOVE and sums.rank[node.index] >= _CALM_FROM:
            item.calls = sums.size[node.index]
            item.hidden = item.calls - 1
            continue
        item.children = _below(item, node, sums)
        item.children[-1].last = True
        for child in item.children:
            todo.extend((child,) if child.kind == "call" else (below for below in child.children if below.kind == "call"))
    return top


def _call(parent: Item | None, node: Node, sums: _Sums) -> Item:
    item = Item("call", parent, node.name or node.id, node.state, sums.live[node.index])
    item.node, item.last = node, parent is None
    return item


def _below(parent: Item, node: Node, sums: _Sums) -> list[Item]:
    children = in_call_order(node)
    by_name: dict[str, list[Node]] = {}
    for child in children:
        by_name.setdefault(child.name, []).append(child)
    items = []
    for child in children:
        family = by_name[child.name]
        if len(family) < STACK_MIN:
            items.append(_call(parent, child, sums))
        elif child is family[0]:  # A stack stands where its first call was made.
            items.append(_stack(parent, family, sums))
    return items


def _stack(parent: Item, members: list[Node], sums: _Sums) -> Item:
    counts = _counted(member.state for member in members)
    state = next(iter(counts))
    if state == "pending" and ("resolved" in counts or "recovered" in counts):
        state = "running"  # Some are done and the others' turn will come.
    stack = Item("stack", parent, members[0].name or members[0].id, state, any(sums.live[member.index] for member in members))
    stack.members, stack.counts, stack.last = members, counts, False
    urgent = sorted((member for member in members if sums.urgent(member)), key=lambda member: sums.rank[member.index])
    shown = {member.index for member in urgent[:STACK_SHOWN_MAX]}
    rest = urgent[STACK_SHOWN_MAX:]
    stack.children = [_call(stack, member, sums) for member in members if member.index in shown]
    if rest:
        more = Item("more", stack, "", _STATE_NAMES[sums.rank[rest[0].index]], live=any(sums.live[one.index] for one in rest))
        more.counts = _counted(_STATE_NAMES[sums.rank[one.index]] for one in rest)
        more.calls = sum(sums.size[one.index] for one in rest)
        stack.children.append(more)
    for child in stack.children:
        child.last = child is stack.children[-1]
    stack.calls = sum(sums.size[member.index] for member in members if not sums.urgent(member))
    return stack


def _counted(states: Iterable[str]) -> dict[str, int]:
    """Answers how often each state occurs, urgent ones first."""
    counts = dict.fromkeys(STATES, 0)
    for state in states:
        counts[state] += 1
    return {state: count for state, count in counts.items() if count}


def in_call_order(node: Node) -> list[Node]:
    """Answers the children as their parent called them, whatever the order in which the facts came.

    Ids that the SDK makes end in the number of the call. A child with an id of its own keeps its place among the others.
    """
    prefix = node.id + "."
    numbered = [(_number(child.id, prefix), child) for child in node.children]
    in_order = iter(sorted((pair for pair in numbered if pair[0] >= 0), key=lambda pair: pair[0]))
    return [child if number < 0 else next(in_order)[1] for number, child in numbered]


def _number(id: str, prefix: str) -> int:
    rest = id[len(prefix) :] if id.startswith(prefix) else ""
    return int(rest) if rest.isascii() and rest.isdigit() and len(rest) < 16 else -1


def rows(top: Item) -> list[Item]:
    """Answers the items from top to bottom, each before what is below it."""
    out, todo = [], [top]
    while todo:
        item = todo.pop()
        out.append(item)
        todo.extend(reversed(item.children))
    return out


def choose(items: list[Item], limit: int) -> tuple[list[Item], list[Item]]:
    """Answers the items to show when there is room for `limit` of them, and those to leave out, both in their order.

    What needs a look is shown first, with the way to it; what room is left goes to the topmost others.
    """
    if len(items) <= limit:
        return items, []
    kept = {items[0]}
    urgent = (item for item in items if item.kind != "stack" and RANK[item.state] <= _URGENT_TO)
    for item in sorted(urgent, key=lambda item: RANK[item.state]):
        path: list[Item] = []
        above: Item | None = item
        while above is not None and above not in kept and len(kept) + len(path) <= limit:
            path.append(above)
            above = above.parent
        if len(kept) + len(path) <= limit:
            kept.update(path)
    for item in items:
        if len(kept) < limit and item.parent in kept:
            kept.add(item)
    parents: set[Item | None] = set()
    for item in reversed(items):
        if item in kept:
            item.last = item.parent not in parents
            parents.add(item.parent)
    return [item for item in items if item in kept], [item for item in items if item not in kept]


# ---- boxes -------------------------------------------------------------------------------------------------------------------


def fits_graph(items: list[Item]) -> bool:
    """Says whether these items are drawn as a graph of boxes; else they are rows."""
    return len(items) <= BOXES_MAX and max(item.depth for item in items) < COLUMNS_MAX


def place(items: list[Item], wanted: Callable[[Item], float], note_lines: Callable[[Item, float], int], room: float) -> float:
    """Gives each box its place, from (0, 0) to the right and down, and answers the height of them all.

    `items` are `rows(...)`. `wanted` answers the width that an item's text asks for, `note_lines` how many lines stand below
    its state in a box of some width. `room` is the width there is: columns shrink down to it, those that hold errors last.
    """
    widths: list[float] = []
    errors: list[bool] = []
    for item in items:
        noted = note_lines(item, WIDTH_NOTE_MAX) > 0
        most = WIDTH_PARENT_MAX if item.kind == "stack" or item.children else WIDTH_NOTE_MAX if noted else WIDTH_MAX
        if item.depth == len(widths):
            widths.append(WIDTH_MIN)
            errors.append(False)
        widths[item.depth] = max(widths[item.depth], min(wanted(item), most))
        errors[item.depth] |= noted and item.state != "waiting"
    room -= (len(widths) - 1) * GAP_X
    _shrink(widths, room, READABLE, [column for column, error in enumerate(errors) if not error])
    for floor in (READABLE, NARROW, WIDTH_MIN):
        _shrink(widths, room, floor, range(len(widths)))
    widths = [float(int(width)) for width in widths]
    subtree: dict[Item, float] = {}
    for item in reversed(items):
        notes = note_lines(item, widths[item.depth])
        item.height = {"call": BOX + (4 + NOTE_LINE * notes if notes else 0), "stack": BOX_STACK, "more": BOX_MORE}[item.kind]
        deck = DECK if item.kind == "stack" else 0.0
        subtree[item] = max(item.height + deck + GAP_Y, sum(subtree[child] for child in item.children))
    lefts = [sum(widths[:column]) + column * GAP_X for column in range(len(widths))]
    for item in items:
        item.x, item.width = lefts[item.depth], widths[item.depth]
        down = item.y
        for child in item.children:
            child.y = down
            down += subtree[child]
    return subtree[items[0]] - GAP_Y


def _shrink(widths: list[float], room: float, floor: float, columns: Iterable[int]) -> None:
    """Makes these columns narrower until all fit, each by the same amount and none below the floor."""
    wide = [column for column in columns if widths[column] > floor]
    while wide and sum(widths) > room:
        share = (sum(widths) - room) / len(wide)
        for column in wide:
            widths[column] = max(floor, widths[column] - share)
        wide = [column for column in wide if widths[column] > floor and share > 0.01]


def edge(parent: Item, child: Item) -> str:
    """Answers the path from a box to one of its calls: right, along the parent's trunk, right; corners are rounded."""
    x1, y1 = parent.x + parent.width, parent.y + MIDDLE
    x2, y2 = child.x, child.y + (BOX_MORE / 2 if child.kind == "more" else MIDDLE)
    trunk = x1 + GAP_X - 20
    turn = min(7.0, abs(y2 - y1) / 2)
    if y2 - y1 < 1:
        return f"M{x1:g} {y1:g}H{x2:g}"
    down = f"H{trunk - turn:g}Q{trunk:g} {y1:g} {trunk:g} {y1 + turn:g}V{y2 - turn:g}"
    return f"M{x1:g} {y1:g}{down}Q{trunk:g} {y2:g} {trunk + turn:g} {y2:g}H{x2:g}"


def shared(items: Iterable[Item]) -> list[tuple[Item, Item]]:
    """Answers (caller, call) for each further call that waits for a promise, where both have an item of their own."""
    by_node = {item.node: item for item in items if item.node is not None}
    return [(by_node[caller], item) for node, item in by_node.items() for caller in node.shared_by if caller in by_node]


def link(caller: Item, item: Item) -> str:
    """Answers the path from a box to a promise that another box's call has made: beside the trunks, into its nearer side."""
    x1, y1, y2 = caller.x + caller.width, caller.y + MIDDLE + 6, item.y + MIDDLE + 6
    ahead = item.x > x1
    x2 = item.x if ahead else item.x + item.width
    trunk = (x1 if ahead else max(x1, x2)) + 14
    turn = min(7.0, abs(y2 - y1) / 2)
    down, on = (turn if y2 > y1 else -turn), (turn if ahead else -turn)
    turned = f"Q{trunk:g} {y1:g} {trunk:g} {y1 + down:g}V{y2 - down:g}Q{trunk:g} {y2:g} {trunk + on:g} {y2:g}"
    return f"M{x1:g} {y1:g}H{trunk - turn:g}{turned}H{x2:g}"
