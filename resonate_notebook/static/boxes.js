/* Graph: boxes from left to right, one orthogonal trunk per parent. */

import { draw, make, put } from "./document.js";
import { COUNTS_DOWN, LIVE, setIcon, STATES, URGENT_FIRST, wordOf } from "./states.js";
import { callText, count, countsText, fitParts } from "./formats.js";
import { errorOf, makeFold, MONO_PX, setAnswerButtons, setCall, setFold, setIconCounts, setStrip, setTreeItem, setWords,
  TEXT_PX, View } from "./parts.js";

const PILL_PX = 32, PILL_LETTER_PX = 6.6;       // of a pill at the edge of a box, with some room behind it
const COLUMN_GAP = 46, BOX_GAP = 8, LEFT = 16, TOP = 14, SHRINK_TO = 172;

export class GraphView extends View {
  constructor(widget) {
    super(widget, "graph", "tree", "call graph");
    Object.assign(this, { grey: draw("path", {}), blue: draw("path", { class: "rg-live" }), dashed: draw("path", { class: "rg-shared" }) });
    this.pad.append(this.lines = draw("svg", { class: "rg-edges", "aria-hidden": "true" }, this.grey, this.blue, this.dashed));
  }
  get contentHeight() { return this.bottom + 28; }
  offsetOf(row) { return row.y + 20; }
  /* By the numbers: while boxes glide, the page would answer with where they were. */
  reveal(key) {
    const row = this.rows.find(each => each.key === key), { scroll } = this;
    if (!row) return;
    const into = (from, until, at, room) => from < at ? Math.max(0, from) : until > at + room ? until - room : at;
    scroll.scrollLeft = into(row.x - LEFT, row.x + row.width + LEFT, scroll.scrollLeft, scroll.clientWidth);
    scroll.scrollTop = this.top = into(row.y - TOP, row.y + row.height + TOP, scroll.scrollTop, scroll.clientHeight);
  }
  draw(rows, structural) {
    this.rows = rows; this.measureColumns(structural); this.placeBoxes();
    const single = structural && this.glide(), keys = new Set(rows.map(row => row.key));
    for (const [key, box] of this.shown) if (!keys.has(key)) { this.shown.delete(key); box.remove(); }
    for (const row of rows) this.place(row, single);
    this.drawEdges();
  }
  /* A column is as wide as its widest label asks, within limits; then all shrink evenly until they fit. */
  measureColumns(structural) {
    const { run, viewWidth } = this.widget, widths = [], gaps = [];
    for (const row of this.rows) {
      const { node, stack } = row, error = errorOf(node);
      row.height = stack ? 62 : row.more ? 28 : row.state === "waiting" ? 68 : error ? 60 : 42;
      row.line = stack ? countsText(row.counts, URGENT_FIRST) : node ? run.line(node) : "";
      const label = stack ? row.name.length + 7 : row.more ? row.text.length : callText(node).length;
      const wanted = Math.max(label * MONO_PX + 46, error ? Math.min(error.length, 52) * 6.63 + 46 : 0,
        stack ? Math.min(stack.length, 40) * 5.6 + 46 : 0, (row.line.length + 7) * 6.1 + 44);
      const most = stack || node?.kids.length ? 264 : error ? 400 : 276;
      widths[row.depth] = Math.max(widths[row.depth] ?? 128, Math.min(wanted, most));
      gaps[row.depth] = Math.max(gaps[row.depth] ?? COLUMN_GAP, hasFold(row) ? PILL_PX + foldText(row).length * PILL_LETTER_PX : 0);
    }
    this.gaps = gaps;
    const room = viewWidth - LEFT * 2 - gaps.slice(0, -1).reduce((sum, gap) => sum + gap, 0) - 14;
    for (let round = 0; round < 8; round++) {
      const over = widths.reduce((sum, width) => sum + width, 0) - room;
      const wide = widths.filter(width => width > SHRINK_TO).length;
      if (over <= 0 || !wide) break;
      widths.forEach((width, level) => { if (width > SHRINK_TO) widths[level] = Math.max(SHRINK_TO, width - over / wide); });
    }
    // Between structural changes columns only grow: a countdown that loses a digit must not make the picture twitch.
    const before = structural ? [] : this.columns ?? [];
    this.columns = widths.map((width, level) => Math.max(Math.ceil(width), before[level] ?? 0));
  }
  /* A parent stands level with its first kid; a kid starts below everything that its elder sibling needed. */
  placeBoxes() {
    const lefts = [];
    const right = this.columns.reduce((x, width, level) => { lefts[level] = x; return x + width + this.gaps[level]; }, LEFT);
    const place = (row, y) => {
      Object.assign(row, { x: lefts[row.depth], y, width: this.columns[row.depth] });
      return Math.max(y + row.height + BOX_GAP + (row.stack ? 6 : 0), row.kids.reduce((kidY, kid) => place(kid, kidY), y));
    };
    this.bottom = this.rows.length ? place(this.rows[0], TOP) : TOP;
    put(this.pad, { $width: `${right - COLUMN_GAP + 24}px`, $height: `${this.bottom + 4}px` });
    put(this.lines, { width: right, height: this.bottom + 4 });
  }
  make() {
    const parts = { fold: makeFold(this.widget) };
    for (const name of ["glyph", "call", "word", "time", "strip", "error", "buttons"])
      parts[name] = make("span", `rg-${name}`);
    parts.second = make("div", "rg-second", parts.word, parts.time);
    parts.third = make("div", "rg-third", parts.strip, parts.error, parts.buttons);
    const first = make("div", "rg-first", parts.glyph, parts.call), port = make("span", "rg-port", parts.fold);
    return Object.assign(make("div", "", first, parts.second, parts.third, port), { rgParts: parts });
  }
  fill(box, row, known) {
    const parts = box.rgParts, { widget } = this, { node, stack } = row;
    const mood = stack ? " rg-stack" : STATES[row.state].hot ? " rg-hot" : node && LIVE.has(node.state) ? " rg-live" : "";
    setTreeItem(box, row, widget, `rg-box rg-s-${row.state}${mood}`, node ? widget.run.detail(node) : "");
    put(box, { $width: `${row.width}px`, $height: `${row.height}px`, $transform: `translate(${row.x}px,${row.y}px)` });
    setIcon(parts.glyph, row.state, known); setCall(parts.call, row, (row.width - 44) / MONO_PX);
    const time = node && !COUNTS_DOWN.has(node.state) ? widget.run.tookText(node) : "", room = (row.width - 46) / TEXT_PX;
    if (stack && row.line.length > room) setIconCounts(parts.word, row.counts);
    else setWords(parts.word, fitWords(row, room - (time ? time.length + 1 : 0)));
    put(parts.time, { text: time }); put(parts.second, { shown: !row.more });
    put(parts.third, { shown: row.height >= 60 });
    if (stack) setStrip(parts.strip, row, row.width - 46);
    put(parts.error, { text: errorOf(node) }); setAnswerButtons(parts.buttons, row, widget);
    setFold(parts.fold, row, foldText(row), hasFold(row));
  }
  /* The way to anything live is drawn over the grey one. */
  drawEdges() {
    const paths = ["", ""];
    for (const row of this.rows) for (const kid of row.kids)
      paths[kid.live ? 1 : 0] += edgePath(row.x + row.width, row.y + 21, kid.x, kid.y + (kid.more ? 14 : 21));
    put(this.grey, { d: paths[0] || "M0 0" }); put(this.blue, { d: paths[1] || "M0 0" }); put(this.dashed, { d: this.links() || "M0 0" });
  }
  /* From further calls that wait for a promise, where both have a box. */
  links() {
    const shared = this.rows.filter(row => row.node?.sharedBy.length);
    if (!shared.length) return "";
    const byIndex = new Map(this.rows.filter(row => row.node).map(row => [row.node.index, row]));
    return shared.flatMap(row => row.node.sharedBy.map(index => byIndex.get(index)).filter(caller => caller)
      .map(caller => linkPath(caller, row))).join("");
  }
}

/* The pill at the right edge of a box: how much is folded away. */
const hasFold = row => row.foldable && row.depth > 0 && (!row.open || Boolean(row.stack));
function foldText({ stack, open, kids, node }) {
  return stack && open ? "fold" : `+${count(stack ? stack.length - kids.filter(kid => kid.node).length : node ? node.size - 1 : 0)}`;
}
/* A failure that was caught says that rather than that it failed, which its icon says too. */
function fitWords({ line, node }, length) {
  const text = fitParts(line, length);
  return node?.caught && !text.includes("caught") ? wordOf(node, true) : text;
}

/* Beside the trunks, into the nearer side of the promise's box. */
export function linkPath(caller, box) {
  const x1 = caller.x + caller.width, y1 = caller.y + 27, y2 = box.y + 27, ahead = box.x > x1, x2 = ahead ? box.x : box.x + box.width;
  const trunk = (ahead ? x1 : Math.max(x1, x2)) + 14, turn = Math.min(7, Math.abs(y2 - y1) / 2);
  const down = y2 > y1 ? turn : -turn, on = ahead ? turn : -turn;
  return `M${x1} ${y1}H${trunk - turn}Q${trunk} ${y1} ${trunk} ${y1 + down}V${y2 - down}Q${trunk} ${y2} ${trunk + on} ${y2}H${x2}`;
}

export function edgePath(x1, y1, x2, y2) {
  if (Math.abs(y2 - y1) < 1) return `M${x1} ${y1}H${x2}`;
  const trunk = x1 + 26, radius = Math.min(7, Math.abs(y2 - y1) / 2);
  return `M${x1} ${y1}H${trunk - radius}Q${trunk} ${y1} ${trunk} ${y1 + radius}`
    + `V${y2 - radius}Q${trunk} ${y2} ${trunk + radius} ${y2}H${x2}`;
}
