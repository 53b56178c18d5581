"""The tables of RESULTS.md and REMOTE.md: what is to be reached, then every case."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from cases import NAMES, REMOTE_NAMES, RIVALS, TARGETS, Case, Row, Target

Rows = Mapping[tuple[str, str], list[Row]]
"""By the case's key and the peer, one row for each process."""
TARGET_HEAD = ("target", "figure", "floor of the same run", "ratio", "at most", "reached", "[absolute]")
CASE_HEAD = ("N", "peer", "median [least-most]", "to its floor", "to ours", "processor µs", "p50 / p99 µs", "first / last tenth µs")
CASE_TAIL = ("more threads", "peak MB", "failed")
EXTRA_COLUMNS = {
    "writes": (("writes_per_s", "writes a second", 1.0),),
    "replay": (("open_s", "opening ms", 1000.0),),
    "sleepers": (("idle_percent", "idle processor %", 1.0),),
    "cold": (("bare_ms", "bare ms", 1.0),),
    "observed": (
        ("subscription_percent", "slower with a subscription, %", 1.0),
        ("follower_percent", "with the follower, %", 1.0),
        ("graph_percent", "with a live graph, %", 1.0),
    ),
}


def number(value: float) -> str:
    """Three digits that matter."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 or value == 0 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def spread(values: list[float]) -> str:
    """Median [least-most], or the one value there is."""
    if not values:
        return "-"
    middle = number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} [{number(min(values))}-{number(max(values))}]"


def figures(rows: list[Row], figure: str) -> list[float]:
    """This figure of the rows that have it."""
    return [row[figure] for row in rows if "error" not in row and figure in row]


def by_repetition(rows: list[Row], figure: str) -> dict[int, float]:
    """For each repetition the figure's median over its processes."""
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row["repetition"], []).append(row)
    medians = {repetition: figures(own, figure) for repetition, own in found.items()}
    return {repetition: statistics.median(values) for repetition, values in medians.items() if values}


def ratio(rows: list[Row], figure: str, others: list[Row], other_figure: str) -> float | None:
    """A figure by another of the same repetition, and only then the median."""
    ours, theirs = by_repetition(rows, figure), by_repetition(others, other_figure)
    values = [value / theirs[repetition] for repetition, value in ours.items() if theirs.get(repetition)]
    return statistics.median(values) if values else None


def difference(rows: list[Row], others: list[Row], figure: str) -> float | None:
    """How much larger a figure is than another's of the same repetition, and only then the median."""
    ours, theirs = by_repetition(rows, figure), by_repetition(others, figure)
    values = [value - theirs[repetition] for repetition, value in ours.items() if repetition in theirs]
    return statistics.median(values) if values else None


def times(value: float | None) -> str:
    return "-" if value is None else f"{number(value)}×"


def table(head: tuple[str, ...], lines: list[list[str]]) -> str:
    """A Markdown table; a column in which nobody has anything is left out."""
    kept = [number for number in range(len(head)) if any(cells[number] != "-" for cells in lines)]
    shown = [[cells[number].replace("|", "\\|") for number in kept] for cells in (head, *lines)]
    texts = ["| " + " | ".join(cells) + " |" for cells in shown]
    return "\n".join([texts[0], "|" + " --- |" * len(kept), *texts[1:]])


def target_cells(target: Target, rows: Rows) -> list[str]:
    """One line of the first table."""
    own = rows.get((target.case, target.peer), [])
    if target.figure == "failed":
        failed = sum("error" in row for row in own)
        return [target.told, f"{failed} of {len(own)} failed", "-", "-", "0 failed", word(not failed), "-"]
    values = figures(own, target.figure)
    absolute = "-" if target.absolute is None else f"[{number(target.absolute)} {target.unit}]"
    if not values:
        return [target.told, "failed" if any("error" in row for row in own) else "-", "-", "-", "-", "no", absolute]
    middle = statistics.median(values)
    told = f"{number(middle)} {target.unit}"
    if target.above is not None:
        others = rows.get((target.case, target.floor), [])
        more, floor_values = difference(own, others, target.figure), figures(others, target.figure)
        if more is None:
            return [target.told, told, "-", "-", f"+{number(target.above)} {target.unit}", "no", absolute]
        floor = f"{number(statistics.median(floor_values))} {target.unit} ({target.floor})"
        limit = f"+{number(target.above)} {target.unit}"
        return [target.told, told, floor, f"{more:+,.0f} {target.unit}", limit, word(more <= target.above), absolute]
    if target.most is None:
        assert target.absolute is not None
        return [target.told, told, "-", "-", f"{number(target.absolute)} {target.unit}", word(middle <= target.absolute), "-"]
    of_own = target.floor.removeprefix("own:") if target.floor.startswith("own:") else ""
    others = own if of_own else rows.get((target.case, target.floor), [])
    floor_figure, name = of_own or target.figure, "the first tenth" if of_own else target.floor
    floor_values = figures(others, floor_figure)
    found = ratio(own, target.figure, others, floor_figure)
    floor = f"{number(statistics.median(floor_values))} {target.unit} ({name})" if floor_values else "-"
    return [target.told, told, floor, times(found), f"{target.most:g}×", "-" if found is None else word(found <= target.most), absolute]


def word(is_so: bool) -> str:
    return "yes" if is_so else "**no**"


def case_cells(case: Case, peer: str, rows: Rows, count: int) -> list[str]:
    """One line of a case's table."""
    own = rows.get((case.key, peer), [])
    floor, rival = case.floor(peer), RIVALS.get(peer)
    to_floor = ratio(own, case.figure, rows.get((case.key, floor), []), case.figure) if floor else None
    to_ours = ratio(own, case.figure, rows.get((case.key, rival), []), case.figure) if rival else None

    def column(name: str, scale: float = 1.0) -> str:
        values = figures(own, name)
        return number(statistics.median(values) * scale) if values else "-"

    def pair(one: str, other: str) -> str:
        return f"{column(one)} / {column(other)}" if figures(own, one) else "-"

    errors = [row["error"] for row in own if "error" in row]
    return [
        f"{count:,}" + (f" × {case.concurrency}" if case.concurrency > 1 else ""),
        (NAMES | REMOTE_NAMES)[peer],
        spread(figures(own, case.figure)),
        times(to_floor) + (f" {floor}" if to_floor is not None else ""),
        times(to_ours),
        column("cpu_us"),
        pair("p50_us", "p99_us"),
        pair("first_tenth_us", "last_tenth_us"),
        *(column(name, scale) for name, _, scale in EXTRA_COLUMNS.get(case.workload, ())),
        column("threads_more"),
        column("peak_mb"),
        f"{len(errors)} of {len(own)}" + (f": {errors[-1]}" if errors else ""),
    ]


def render(cases: list[Case], rows: Rows, targets: Sequence[Target] = TARGETS, *, is_quick: bool) -> str:
    """All tables as Markdown. A target's words name the full size, also over the figures of a quick run."""
    keys = {case.key for case in cases}
    parts = []
    lines = [target_cells(target, rows) for target in targets if target.case in keys and (target.case, target.peer) in rows]
    if lines:
        reached = sum("yes" in cells for cells in lines)
        parts.append(f"### To be reached: {reached} of {len(lines)} are\n\n" + table(TARGET_HEAD, lines))
    for case in cases:
        further = tuple(title for _, title, _ in EXTRA_COLUMNS.get(case.workload, ()))
        lines = [case_cells(case, peer, rows, case.size(is_quick=is_quick)) for peer in case.peers if (case.key, peer) in rows]
        if lines:
            parts.append(f"### {case.title}\n\n" + table((*CASE_HEAD, *further, *CASE_TAIL), lines))
    return "\n\n".join(parts)
