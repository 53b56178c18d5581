/* Tree: a window of rows; only what shows is in the document. */

import { draw, isNew, make, makeButton, put } from "./document.js";
import { setIcon, STATES, URGENT_FIRST } from "./states.js";
import { callText, clip, count, countsText, duration, wholeSeconds } from "./formats.js";
import { INDENT_LEVELS } from "./rows.js";
import { errorOf, makeFold, MONO_PX, setAnswerButtons, setCall, setFold, setStrip, setTreeItem, View } from "./parts.js";

const ROW_PX = 26, ROWS_BEYOND = 6;               // one row; rows kept in the document beyond the window

export class TreeView extends View {
  constructor(widget) {
    super(widget, "tree", "call tree");
    Object.assign(this, { places: new Map(), top: 0, height: 400 });         // places: row key -> index in rows
    this.element.prepend(this.path = make("div", "rg-path"));
    this.scroll.addEventListener("scroll", () => { this.top = this.scroll.scrollTop; this.fillWindow(); }, { passive: true });
    this.observer = new ResizeObserver(entries => { this.height = entries[0].contentRect.height; this.fillWindow(); });
    this.observer.observe(this.scroll);
  }
  get contentHeight() { return this.rows.length * ROW_PX + 14; }
  offsetOf(row) { return this.places.get(row.key) * ROW_PX + 16; }
  draw(rows, structural) {
    const before = this.places;
    this.rows = rows;
    if (structural) {
      this.places = new Map(rows.map((row, place) => [row.key, place]));
      put(this.pad, { $height: `${rows.length * ROW_PX + 6}px` });
      this.fresh = this.glide() ? key => !before.has(key) : null;
    }
    this.fillWindow(); this.fresh = null;
  }
  /* The row that has the keyboard stays in the document wherever it is, so that Tab always finds the tree. */
  fillWindow() {
    const { rows } = this, top = Math.max(0, Math.min(this.top, rows.length * ROW_PX + 6 - this.height));
    const from = Math.max(0, Math.floor(top / ROW_PX) - ROWS_BEYOND);
    const until = Math.min(rows.length, Math.ceil((top + this.height) / ROW_PX) + ROWS_BEYOND);
    const wanted = new Set(Array.from({ length: until - from }, (_, at) => from + at));
    if (this.places.has(this.widget.current)) wanted.add(this.places.get(this.widget.current));
    for (const [key, element] of this.shown) {
      if (wanted.has(this.places.get(key))) continue;
      this.shown.delete(key); element.remove(); this.pool.push(element);
    }
    for (const place of wanted) {
      const element = this.place(rows[place], this.fresh?.(rows[place].key));
      put(element, { $transform: `translateY(${place * ROW_PX + 3}px)` });
    }
    this.showPath(top > 30 ? rows[Math.floor((top + 30) / ROW_PX)] : null); this.widget.showHints();
  }
  make() {
    const parts = { grey: draw("path", {}), blue: draw("path", { class: "rg-live" }), fold: makeFold(this.widget) };
    for (const name of ["glyph", "deep", "call", "strip", "word", "extra", "error", "buttons", "time"])
      parts[name] = make("span", `rg-${name}`);
    const name = make("span", "rg-name", parts.deep, parts.call, parts.fold, parts.strip);
    parts.cell = make("span", "rg-cell", parts.glyph, name);
    const rails = draw("svg", { class: "rg-rails", "aria-hidden": "true" }, parts.grey, parts.blue);
    const detail = make("span", "rg-detail", parts.word, parts.extra, parts.error, parts.buttons);
    return Object.assign(make("div", "", rails, parts.cell, detail, parts.time), { rgParts: parts });
  }
  fill(element, row, known) {
    const parts = element.rgParts, { widget } = this, { node, stack } = row, narrow = widget.size === "xs";
    const hot = STATES[row.state].hot && !stack, [grey, blue, x] = this.railPaths(row);
    setTreeItem(element, row, widget, `rg-row rg-s-${row.state}${hot ? " rg-hot" : ""}`);
    put(parts.grey, { d: grey || "M0 0" }); put(parts.blue, { d: blue || "M0 0" });
    put(parts.cell, { $paddingLeft: `${x - 8}px` });
    put(parts.deep, { text: row.depth > INDENT_LEVELS ? `⋯${row.depth}` : "" }); setIcon(parts.glyph, row.state, known);
    const width = narrow ? widget.width - 84 - (hot ? 84 : 0) : widget.viewWidth * .46;
    setCall(parts.call, row, (width - 24 - x - (row.foldable ? 40 : 0)) / MONO_PX);
    setFold(parts.fold, row, count(stack ? stack.length : node ? node.size - 1 : 0), row.foldable);
    const room = stack && !narrow ? width - x - 82 - (row.name.length + 6) * MONO_PX : 0;
    put(parts.strip, { shown: room > 46 });
    if (room > 46) setStrip(parts.strip, row, Math.floor(Math.min(190, room)));
    const detail = node ? widget.run.detail(node) : "", hidden = row.foldable && !row.open && node?.hot;
    put(parts.word, { text: node ? STATES[row.state].word : stack ? countsText(row.counts, URGENT_FIRST) : "",
      "data-long": stack ? "" : null });
    put(parts.extra, { text: row.more ? "press to show all"
      : [hidden ? `${hidden} to look at` : "", detail].filter(Boolean).map(text => `· ${text}`).join(" ") });
    put(parts.error, { text: errorOf(node) });
    put(parts.time, { text: node ? widget.run.tookText(node) : stack ? this.stackTime(stack) : "" });
    setAnswerButtons(parts.buttons, row, widget);
  }
  /* From the first that began to the last that ended. */
  stackTime(nodes) {
    const began = nodes.filter(node => node.began != null), { now } = this.widget.run;
    if (!began.length) return "";
    const first = began.reduce((least, node) => Math.min(least, node.began), Infinity);
    const last = began.reduce((most, node) => Math.max(most, node.ended ?? now), 0);
    return last < now ? duration(last - first) : wholeSeconds(last - first);
  }
  /* Grey and live lines of a row, and where its icon stands. Beyond 12 levels the indent no longer grows. */
  railPaths(row) {
    const indent = this.widget.size === "xs" ? 14 : 20, middle = ROW_PX / 2, { depth } = row, paths = ["", ""];
    const x = level => 20 + Math.min(level, INDENT_LEVELS) * indent;
    const add = (live, path) => { paths[live ? 1 : 0] += path; };
    row.rails.slice(0, INDENT_LEVELS - 1).forEach((line, level) => {
      if (line) add(line === 2, `M${x(level)} 0V${ROW_PX}`);
    });
    if (depth > 0 && depth <= INDENT_LEVELS) {
      const left = x(depth - 1);
      if (!row.last) add(row.liveAfter, `M${left} 0V${ROW_PX}`);
      add(row.live, `M${left} 0V${middle - 6}Q${left} ${middle} ${left + 6} ${middle}H${x(depth) - 10}`);
    }
    if (row.kids.length && depth < INDENT_LEVELS) add(row.liveKids, `M${x(depth)} ${middle + 10}V${ROW_PX}`);
    return [...paths, x(depth)];
  }
  /* The ancestors of the first row, over the rows, when they are scrolled out of sight. */
  showPath(first) {
    let path = [];
    for (let row = first?.up; row && path.length < 5; row = row.up) path.unshift(row);
    put(this.path, { shown: path.length > 0 });
    if (!isNew(this.path, path.map(row => row.key).join(" "))) return;
    this.path.replaceChildren(...path.flatMap((row, at) => {
      const label = row.stack ? `${row.name} ×${count(row.stack.length)}` : row.depth ? callText(row.node) : row.node.name;
      return [at ? make("span", "", "›") : "", makeButton("", clip(label, 34), () => this.reveal(row.key))];
    }));
  }
  reveal(key) {
    if (!this.places.has(key)) return;
    const y = this.places.get(key) * ROW_PX;
    if (y < this.scroll.scrollTop + ROW_PX) this.scroll.scrollTop = y - 2 * ROW_PX;
    else if (y + ROW_PX > this.scroll.scrollTop + this.height) this.scroll.scrollTop = y - this.height + 2 * ROW_PX;
    this.top = this.scroll.scrollTop; this.fillWindow();
  }
}
