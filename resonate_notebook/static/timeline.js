/* Timeline: rows with rails, and beside each name when it was at work, as bars on one axis. */

import { draw, isNew, make, put } from "./document.js";
import { COUNTS_DOWN, FAILED, SETTLED, STATES, URGENT_FIRST } from "./states.js";
import { count, countsText, duration, plural, wholeSeconds } from "./formats.js";
import { endOf, horizon, idleGaps, lanesOf, piecesOf, skyline, startOf, ticksOf, tickText, timeScale } from "./time.js";
import { RailsView } from "./rails.js";

const AXIS_PX = 28, SKYLINE_ABOVE = 48, TRACK_PX = 20, LABEL_PX = 6.3, GAPS_EVERY_MS = 1000;
const RESERVE_PX = { xs: 62, s: 112, m: 124, l: 132 }, GAP_PX = { xs: 36, s: 48, m: 56, l: 56 };   // room for words at the right
const LEGEND_LINE_PX = 20, LEGEND_EDGE_PX = 7, LEGEND_LETTER_PX = 5.9, SAMPLE_PX = 40;
/* What the shapes mean, with a state whose colour they have in the legend. */
const SHAPES = { ran: ["at work", "resolved"], open: ["has calls of its own", "resolved"], recovered: ["not run again", "recovered"],
  failed: ["an attempt that failed", "rejected"], pause: ["until the next attempt", "retrying"], asleep: ["asleep", "sleeping"],
  asked: ["waits for you", "waiting"], queued: ["not begun", "pending"], lanes: ["one line a call", "resolved"],
  sky: ["how many at once", "running"], idle: ["idle, squeezed", "pending"] };
const SHORT = { waiting: "waiting", timedout: "timed out" };

export class TimelineView extends RailsView {
  constructor(widget) {
    super(widget, "timeline", "call timeline");
    Object.assign(this, { headPx: AXIS_PX, gaps: [], nowLine: make("div", "rg-now"), grid: make("div", "rg-grid") });
    this.axis = put(make("div", "rg-axis"), { "aria-hidden": "true" });
    this.legend = make("div", "rg-legend");
    this.pad.prepend(this.grid); this.element.prepend(this.axis); this.element.append(this.nowLine, this.legend);
  }
  filled(top) { super.filled(top); this.drawLegend(); }
  /* What the shapes in sight mean. */
  drawLegend() {
    const seen = new Set(this.gaps.length ? ["idle"] : []);
    for (const row of this.shown.values()) for (const shape of row.rgParts.shapes) seen.add(shape);
    const shapes = Object.keys(SHAPES).filter(shape => seen.has(shape)), width = this.widget.viewWidth - 24;
    if (!isNew(this.legend, `${shapes} ${width}`)) return;
    let lines = 1, used = 0;                                 // reckoned: a drawing asks the page for no layout
    for (const [words] of shapes.map(shape => SHAPES[shape])) {
      const own = words.length * LEGEND_LETTER_PX + SAMPLE_PX;
      if (used && used + own > width) { lines++; used = 0; }
      used += own;
    }
    const $height = `${lines * LEGEND_LINE_PX + LEGEND_EDGE_PX}px`;
    this.headPx = AXIS_PX + lines * LEGEND_LINE_PX + LEGEND_EDGE_PX;
    put(this.legend, { $height }); put(this.nowLine, { $bottom: $height });
    this.legend.replaceChildren(...shapes.map(shape => {
      const [words, state] = SHAPES[shape];
      const heap = { sky: "M0 20V13H6V6H12V2H17V20Z", lanes: "M0 6H9V9H0ZM5 11H17V14H5Z" }[shape];
      const sample = heap ? draw("svg", { class: "rg-heap", width: 18, height: TRACK_PX, "aria-hidden": "true" },
        draw("path", { d: heap, class: shape === "sky" ? "rg-sky" : `rg-s-${state}` }))
        : make("i", shape === "idle" ? "rg-squeezed" : `rg-piece rg-${shape === "recovered" ? "ran" : shape} rg-s-${state}`);
      return make("span", "", make("span", "rg-sample", sample), words);
    }));
  }
  draw(rows, structural) { this.measure(); super.draw(rows, structural); }
  /* The scale of this moment. Gaps are sought again once a second at most: they are long, and seeking visits every call. */
  measure() {
    const { widget } = this, { run, size } = widget, width = widget.viewWidth;
    this.names = Math.round(size === "xs" ? width * .43 : Math.max(200, Math.min(400, width * .28)));
    this.track = Math.max(40, width - this.names - RESERVE_PX[size] - 8);
    this.end = run.settled ? run.now : Math.max(0, run.now);
    const key = `${run.order.length} ${run.settled} ${run.seq}`, at = performance.now();
    if (run.settled ? this.soughtFor !== key : !(at - this.soughtAt < GAPS_EVERY_MS)) {
      Object.assign(this, { gaps: idleGaps(run, this.end), soughtAt: at, soughtFor: key });
      this.idleNow = !run.settled && this.gaps.at(-1)?.[1] === this.end;
    } else if (this.idleNow) this.gaps.at(-1)[1] = this.end;      // it grows with each second
    this.whole = this.idleNow ? this.end : horizon(run, this.gaps);
    this.scale = timeScale(this.gaps, this.whole, this.track, GAP_PX[size]); this.drawAxis();
  }
  drawAxis() {
    const { widget: { run, size }, scale, names, track } = this, gapPx = GAP_PX[size], narrow = size === "xs";
    const nowX = scale.xOf(this.end), left = scale.gaps.reduce((sum, gap) => sum + gap.until - gap.from, 0);
    put(this.nowLine, { shown: !run.settled, $transform: `translateX(${Math.round(names + nowX)}px)` });
    const idle = scale.gaps.length ? `, ${plural(scale.gaps.length, "idle stretch").replace("stretchs", "stretches")} of together `
      + `${duration(left)} left out` : "";
    put(this.scroll, { "aria-label": `call timeline, ${run.settled ? duration(this.end) : `${wholeSeconds(this.end)} so far`}${idle}` });
    const { step, ticks } = ticksOf(scale, gapPx, narrow ? 40 : 76);
    const key = `${names} ${track} ${this.whole} ${scale.gaps.map(gap => `${gap.from} ${duration(gap.until - gap.from)}`)}`;
    if (isNew(this.grid, key)) this.grid.replaceChildren(
      ...ticks.map(({ x }) => put(make("i", "rg-tick"), { $left: `${Math.round(names + x)}px` })),
      ...scale.gaps.map(({ x }) => put(make("i", "rg-idle"), { $left: `${names + x}px`, $width: `${gapPx}px` })));
    const named = ticks.filter(({ x, named }) => named && (run.settled || Math.abs(x - nowX) > 42));
    if (!isNew(this.axis, `${key} ${run.settled ? "" : Math.round(nowX)}`)) return;
    const place = (className, x, text, title = null) => put(make("span", className, text), { $left: `${Math.round(names + x)}px`, title });
    this.axis.replaceChildren(...named.map(({ ms, x }) => place("", x, tickText(ms, step))),
      ...scale.gaps.map(({ x, from, until }) => place("rg-idle-text", x + gapPx / 2,
        `${narrow ? "" : "idle "}${duration(until - from)}`, `nothing was at work for ${duration(until - from)}`)),
      ...run.settled ? [] : [place("rg-now-text", nowX, "now")]);
  }
  make() {
    const parts = { shapes: [], pieces: [], areas: new Map(), label: make("span", "rg-label"), hung: make("span", "rg-bars") };
    parts.heap = draw("svg", { class: "rg-heap", height: TRACK_PX, "aria-hidden": "true" });
    for (const state of ["sky", ...BAR_ORDER, "marks"]) {
      const path = draw("path", { class: state === "sky" ? "rg-sky" : state === "marks" ? "rg-s-rejected" : `rg-s-${state}` });
      parts.areas.set(state, path); parts.heap.append(path);
    }
    parts.hung.append(parts.heap, parts.label);
    return this.makeRow(parts, [], [parts.hung]);
  }
  fill(element, row, known) {
    const parts = element.rgParts, { node, stack } = row;
    put(element, { $gridTemplateColumns: `${this.names}px minmax(0, 1fr)` });
    this.fillName(element, row, known, this.names, node ? this.spoken(node) : "");
    put(parts.heap, { shown: Boolean(stack), width: this.track });
    const pieces = node ? piecesOf(node, this.end, row.kids.length > 0 || (row.open && node.kids.length > 0)) : [];
    pieces.forEach((piece, at) => this.fillPiece(parts, at, piece));
    for (let at = pieces.length; at < parts.pieces.length; at++) put(parts.pieces[at], { shown: false });
    parts.shapes = pieces.map(({ kind, state }) => kind === "ran" && state === "recovered" ? state : kind);
    if (stack) this.fillHeap(parts, row);
    else this.placeLabel(parts.label, node ? this.label(node) : row.text, pieces[0]?.from ?? 0, node ? endOf(node, this.end) : 0);
  }
  /* A label stands after its bar, or before it where the line of now would go through its text. */
  placeLabel(label, text, from, until) {
    const { xOf } = this.scale, width = text.length * LABEL_PX, now = xOf(this.end), after = xOf(until) + 6, before = xOf(from) - 6 - width;
    const crossed = !this.widget.run.settled && after < now && after + width > now;
    put(label, { text, title: null, $transform: `translateX(${Math.round(crossed && before > 0 ? before : after)}px)` });
  }
  fillPiece(parts, at, { kind, from, until, state, live }) {
    if (!parts.pieces[at]) parts.hung.insertBefore(parts.pieces[at] = make("i"), parts.label);
    const left = Math.round(this.scale.xOf(from)), right = Math.max(left + 2, Math.round(this.scale.xOf(until)));
    put(parts.pieces[at], { shown: true, class: `rg-piece rg-${kind} rg-s-${state}`, "data-live": live ? "" : null,
      $transform: `translateX(${left}px)`, $width: `${right - left}px` });
  }
  /* Calls of a stack: packed into lanes while they can be told apart, else how many of them ran at once. */
  fillHeap(parts, row) {
    const nodes = row.stack, packed = nodes.length <= SKYLINE_ABOVE ? lanesOf(nodes, this.end) : null, { xOf } = this.scale;
    parts.shapes = [packed ? "lanes" : "sky"];
    const paths = Object.fromEntries([...parts.areas.keys()].map(name => [name, ""]));
    const first = nodes.reduce((least, node) => Math.min(least, startOf(node)), Infinity);
    const last = nodes.reduce((most, node) => Math.max(most, endOf(node, this.end)), 0);
    let peak = 0;
    if (packed) for (const [node, lane] of packed.lanes) {
      const x = Math.round(xOf(startOf(node))), right = Math.max(x + 1.5, Math.round(xOf(endOf(node, this.end))) - 1);
      const thick = Math.min(6, Math.max(2, Math.floor(TRACK_PX / packed.count) - 1)), all = packed.count * (thick + 1);
      const y = lane * (thick + 1) + (TRACK_PX - all) / 2;
      const high = node.state === "pending" ? 1 : thick;
      paths[node.state] += `M${x} ${y}H${right}V${y + high}H${x}Z`;
    } else peak = this.sky(paths, nodes);
    for (const [name, path] of parts.areas) put(path, { d: paths[name] || "M0 0" });
    const done = [...SETTLED].reduce((sum, state) => sum + row.counts[state], 0);
    const failed = row.counts.rejected + row.counts.timedout, lost = failed ? ` · ${count(failed)} failed` : "";
    const text = packed ? `${count(done)} of ${count(nodes.length)}${lost}` : `${count(peak)} at once`, narrow = this.widget.size === "xs";
    put(parts.label, { text: narrow && !packed ? `≤ ${count(peak)}` : text,
      title: packed ? null : `at most ${count(peak)} of these calls ran at once`,
      $transform: `translateX(${Math.round(xOf(last) + 6)}px)` });
    put(parts.hung.parentNode, { "aria-label": `${row.name}, ${plural(nodes.length, "call")}, ${countsText(row.counts, URGENT_FIRST)}, `
      + `${packed ? "" : `at most ${count(peak)} at once, `}began ${duration(first)} after the start, took ${duration(last - first)}` });
  }
  /* The skyline, as high as the row at its peak, and a mark for each failure at the moment of its end. */
  sky(paths, nodes) {
    const { columns, peak } = skyline(nodes, this.end, this.scale.xOf, this.track), marks = new Set();
    let path = "", before = 0;
    columns.forEach((running, x) => {
      if (running === before) return;
      const y = TRACK_PX - Math.ceil((TRACK_PX - 2) * running / peak);
      path += before ? running ? `H${x}V${y}` : `H${x}V${TRACK_PX}Z` : `M${x} ${TRACK_PX}V${y}`;
      before = running;
    });
    if (before) path += `H${columns.length}V${TRACK_PX}Z`;
    paths.sky = path;
    for (const node of nodes) if (FAILED.has(node.state)) marks.add(Math.round(this.scale.xOf(endOf(node, this.end))));
    for (const x of marks) paths.marks += `M${x - 1} ${TRACK_PX - 7}h2v7h-2Z`;
    return peak;
  }
  /* What stands after a call's bar: its time; its state too where the bar alone could be misread. */
  label(node) {
    const { run, size } = this.widget, { state } = node, took = run.tookText(node), detail = run.detail(node);
    if (size === "xs") return COUNTS_DOWN.has(state) || state === "waiting" ? SHORT[state] ?? state : took;
    if (state === "retrying") return detail.split(", ")[1] ?? STATES[state].word;
    if (state === "sleeping") return `sleeping${detail && ` · ${detail.replace(" left", "")}`}`;
    if (state === "waiting") return `waiting · ${took}`;
    if (state === "pending") return "pending";
    const plain = state === "running" || state === "resolved";
    return [plain ? "" : STATES[state].word, took].filter(Boolean).join(" · ");
  }
  spoken(node) {
    const { run } = this.widget, detail = run.detail(node), took = run.tookText(node);
    const parts = [detail, took && `took ${took}${SETTLED.has(node.state) ? "" : " so far"}`,
      node.began == null && !took ? `made ${duration(node.created)} after the start` : `began ${duration(startOf(node))} after the start`,
      node.tries.length > 2 ? plural(Math.ceil(node.tries.length / 2), "attempt") : ""];
    return parts.filter(Boolean).join(", ");
  }
}
