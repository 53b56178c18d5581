/* Table: one row for each call, sorted by what a person asked for. */

import { draw, isNew, make, makeButton, put, visible } from "./document.js";
import { setIcon, STATES, wordOf } from "./states.js";
import { callText, clip, clockTime, count, plural } from "./formats.js";
import { errorOf, MONO_PX, setAnswerButtons, setCall } from "./parts.js";
import { ROW_PX, WindowView } from "./windows.js";

const HEAD_PX = 31, VALUES_PAUSE_MS = 200, VALUES_AT_ONCE = 60;      // the kernel answers for as many (live.py: VALUES_MAX)
/* Columns from left to right; `from` is how wide the view must be at least for it. */
const COLUMNS = [
  { id: "state", title: "State", from: 0 }, { id: "call", title: "Call", from: 0 }, { id: "id", title: "Id", from: 900 },
  { id: "started", title: "Started", from: 620 }, { id: "took", title: "Took", from: 0 },
  { id: "attempts", title: "Attempts", short: "Tries", from: 500 }, { id: "outcome", title: "Value or error", from: 560 },
];

export class TableView extends WindowView {
  constructor(widget) {
    super(widget, "table", "rowgroup", "calls");
    Object.assign(this, { headPx: HEAD_PX, columns: [], buttons: [] });
    this.head = put(make("div", "rg-columns"), { role: "row", "aria-rowindex": 1 });
    this.none = put(make("div", "rg-none", "No call matches."), { shown: false });
    this.grid = put(make("div", "rg-grid-of-calls", put(make("div", "rg-columns-place", this.head), { role: "rowgroup" }), this.scroll,
      this.none), { role: "grid" });
    this.element.append(this.grid);
    this.head.addEventListener("keydown", event => this.onHeadKey(event));
  }
  get contentHeight() { return super.contentHeight + (this.rows.length ? 0 : 3 * ROW_PX); }
  draw(rows, structural) {
    const { widget } = this, { run, sort } = widget, width = widget.viewWidth;
    this.columns = COLUMNS.filter(column => width >= column.from);
    const key = this.columns.map(column => column.id).join();
    put(this.element, { "data-columns": this.columns.length, "data-many": width >= 1300 ? "" : null });
    put(this.grid, { "aria-rowcount": rows.length + 1, "aria-colcount": this.columns.length,
      "aria-label": rows.length === run.order.length ? plural(rows.length, "call")
        : `${count(rows.length)} of ${plural(run.order.length, "call")}` });
    put(this.none, { shown: rows.length === 0 });
    if (isNew(this.head, key)) this.makeHead();
    for (const button of this.buttons) {
      const chosen = button.rgColumn.id === sort.column;
      put(button.parentNode, { "aria-sort": chosen ? sort.down ? "descending" : "ascending" : "none" });
      put(button.rgArrow, { text: chosen ? sort.down ? "↓" : "↑" : "" });
      put(button, { tabindex: button === this.headPlace() ? "0" : "-1" });
    }
    super.draw(rows, structural);
  }
  /* The one column head that Tab finds: the one that was reached last, else the one that is sorted by. */
  headPlace() {
    return this.buttons.find(button => button.rgColumn.id === (this.reached ?? this.widget.sort.column)) ?? this.buttons[0];
  }
  makeHead() {
    const had = this.head.contains(this.head.getRootNode().activeElement);
    this.buttons = this.columns.map(column => {
      const arrow = put(make("span", "rg-sorted"), { "aria-hidden": "true" });
      const button = makeButton("rg-column", this.widget.size === "l" ? column.title : column.short ?? column.title, () => {
        this.reached = column.id; this.widget.sortBy(column.id);
      });
      button.append(arrow);
      return Object.assign(button, { rgColumn: column, rgArrow: arrow });
    });
    this.head.replaceChildren(...this.buttons.map((button, at) => put(make("div", `rg-of-${button.rgColumn.id}`, button),
      { role: "columnheader", "aria-colindex": at + 1 })));
    if (had) this.headPlace().focus();
  }
  /* Arrows walk along the heads; downwards they lead to the rows. */
  onHeadKey(event) {
    const at = this.buttons.indexOf(event.target), last = this.buttons.length - 1;
    const reach = place => { this.reached = this.buttons[place].rgColumn.id; this.widget.schedule(true); this.buttons[place].focus(); };
    const actions = { ArrowRight: () => reach(Math.min(last, at + 1)), ArrowLeft: () => reach(Math.max(0, at - 1)), Home: () => reach(0),
      End: () => reach(last), ArrowDown: () => this.widget.focusRow(this.rows[0]?.key) };
    if (at < 0 || !Object.hasOwn(actions, event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault(); event.stopPropagation(); actions[event.key]();
  }
  /* The kernel is asked once for the value of each call that comes into sight, for those of a while together. */
  filled() { this.asking ??= setTimeout(() => this.askValues(), VALUES_PAUSE_MS); }
  askValues() {
    this.asking = null;
    if (!this.columns.some(column => column.id === "outcome")) return;
    const nodes = [...this.shown.values()].map(element => element.rgRow.node).filter(({ state, value, valueAsked }) =>
      (state === "resolved" || state === "recovered") && value === null && !valueAsked).slice(0, VALUES_AT_ONCE);
    for (const node of nodes) node.valueAsked = true;
    if (nodes.length) this.widget.send({ kind: "values", ids: nodes.map(node => node.id) });
  }
  remove() { clearTimeout(this.asking); super.remove(); }
  /* Where the arrow leads upwards from the first row. */
  leaveTop() { this.headPlace().focus(); }
  make() {
    const parts = {}, cells = {};
    for (const name of ["glyph", "word", "call", "buttons", "text", "error"]) parts[name] = make("span", `rg-${name}`);
    const inside = { state: [parts.glyph, parts.word], call: [parts.call, parts.buttons], outcome: [parts.text, parts.error] };
    for (const { id } of COLUMNS) cells[id] = put(make("div", `rg-of-${id}`, ...inside[id] ?? []), { role: "gridcell" });
    return Object.assign(make("div", "", ...Object.values(cells)), { rgParts: parts, rgCells: cells });
  }
  fill(element, row, known) {
    const { rgParts: parts, rgCells: cells } = element, { widget } = this, { run } = widget, { node } = row;
    const hot = this.isHot(row), detail = run.detail(node);
    element.rgRow = row;
    put(element, { class: `rg-row rg-line-of-table rg-s-${row.state}${hot ? " rg-hot" : ""}`, role: "row", "data-id": node.id,
      "aria-rowindex": this.places.get(row.key) + 2, "aria-selected": String(widget.selected === node.id),
      tabindex: widget.current === row.key ? "0" : "-1",
      "aria-label": `${clip(callText(node), 300)}, ${STATES[row.state].word}${detail && `, ${detail}`}` });
    COLUMNS.forEach(({ id }) => put(cells[id], { shown: this.columns.some(column => column.id === id),
      "aria-colindex": this.columns.findIndex(column => column.id === id) + 1 || null }));
    setIcon(parts.glyph, row.state, known); put(parts.word, { text: wordOf(node, this.columns.length < 4) });
    setCall(parts.call, row, (this.columns.length < 4 ? widget.viewWidth - 212 : widget.viewWidth * .26) / MONO_PX);
    setAnswerButtons(parts.buttons, row, widget);
    const started = node.began ?? (node.kind === "promise" || node.kind === "sleep" ? node.created : null);
    const time = started === null ? "" : clockTime(run.info.started + started), { attempt, limit } = node;
    const tries = node.kind === "promise" || node.kind === "sleep" || !attempt ? "–"
      : `${count(attempt)}${limit && attempt > 1 ? ` of ${count(limit)}` : ""}`;
    put(cells.id, { text: visible(node.id), title: visible(node.id) });
    put(cells.started, { text: time.slice(-8), title: time || null });
    put(cells.took, { text: run.tookText(node) });
    put(cells.attempts, { text: tries });
    const error = errorOf(node), text = error ? "" : node.value ?? detail;
    put(parts.text, { text: text ?? "", title: text || null, "data-said": node.value === null ? "" : null });
    put(parts.error, { text: error, title: error || null });
  }
}
