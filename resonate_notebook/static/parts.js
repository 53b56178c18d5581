/* Parts that several views draw. */

import { draw, isNew, make, makeButton, put, visible } from "./document.js";
import { BAR_ORDER, FAILED, icon, STATES, URGENT_FIRST } from "./states.js";
import { argumentText, callText, clip, count, countsText, plural } from "./formats.js";

const MOVE_MS = 220;
export const BUSY_MS = 400;
export const MONO_PX = 7.23, TEXT_PX = 5.75;      // widths of a character: labels are fitted without measuring

/* `name(arguments)`; where that is too long for its room (characters), the arguments lose their names. */
export function setCall(element, row, room) {
  const { node } = row, name = node ? node.name : row.stack ? row.name : "";
  const whole = node ? `(${argumentText(node.arguments)})` : row.stack ? ` ×${count(row.stack.length)}` : row.text;
  const rest = node && name.length + whole.length > room ? `(${node.arguments.map(pair => pair[1]).join(", ")})` : whole;
  if (!isNew(element, `${row.key} ${name} ${rest}`)) return;
  element.replaceChildren(make("b", "", name), make("span", "rg-args", rest));
  element.title = node ? `${clip(name + whole, 600)}\n${visible(node.id)}` : name + whole;
}

/* One cell per call up to 40 calls, then a bar in proportion: hollow recovered, low pending, taller what needs a look. */
export function setStrip(element, row, room) {
  const nodes = row.stack, single = nodes.length <= 40;
  const states = single ? nodes.map(node => node.state) : BAR_ORDER.filter(state => row.counts[state]);
  if (!isNew(element, `${room} ${states} ${Object.values(row.counts)}`)) return;
  const picture = draw("svg", { height: 12, "aria-hidden": "true" }), free = Math.min(room, 150) - states.length * 4;
  let x = 0;
  for (const state of states) {
    const part = free * row.counts[state] / nodes.length, each = Math.floor(room / nodes.length) - 1.5;
    const width = single ? Math.max(2, Math.min(5, each)) : 3 + part;
    const hollow = state === "recovered";
    const height = state === "pending" ? 2 : state === "cancelled" ? 4 : STATES[state].hot ? 12 : hollow ? 7 : 8;
    const inset = hollow ? .5 : 0;
    const cell = draw("rect", { x: x + inset, y: 6 - height / 2, width: Math.max(1, width - 2 * inset), height });
    Object.assign(cell.style, hollow ? { fill: "none", stroke: `var(--rg-${state})` } : { fill: `var(--rg-${state})` });
    picture.append(cell); x += width + (single ? 1.5 : 1);
  }
  picture.setAttribute("width", x); element.replaceChildren(picture);
}

/* The second line of a box: words, or counts as icon and number where words have no room. */
export function setWords(element, text) { if (isNew(element, text)) element.textContent = text; }
export function setIconCounts(element, counts) {
  if (!isNew(element, Object.values(counts).join())) return;
  element.replaceChildren(...URGENT_FIRST.filter(state => counts[state]).map(state =>
    put(make("span", `rg-count rg-s-${state}`, icon(state, true), count(counts[state])), { title: STATES[state].word })));
}

export function makeFold(widget) {
  const arrow = draw("svg", { viewBox: "0 0 8 8", class: "rg-arrow", "aria-hidden": "true" },
    draw("path", { d: "M2.5 1l3 3-3 3", ...strokes("line", 1.4) }));
  const button = makeButton("rg-fold", arrow, () => widget.toggle(button.closest("[role=treeitem]").rgRow));
  button.append(button.rgText = make("span"));
  return put(button, { tabindex: "-1" });
}

export function setFold(button, row, text, shown) {
  put(button, { shown, "data-open": row.open ? "1" : "0", "aria-label": row.open ? "fold" : "unfold" });
  put(button.rgText, { text });
}

/* Resolve… and Reject… on a promise that waits for a person; they only open the form. */
export function setAnswerButtons(element, { node }, widget) {
  const waits = node?.state === "waiting" && !widget.cut;      // a kernel that is gone would hear no answer
  put(element, { shown: waits });
  const labels = waits ? [["Resolve…", "resolve"], ["Reject…", "reject"]] : [];
  if (isNew(element, waits ? node : null)) element.replaceChildren(...labels.map(([label, mode]) =>
    makeButton("rg-button rg-small", label, () => widget.answer(node, mode))));
}

export const errorOf = node => node && (FAILED.has(node.state) || node.state === "retrying") ? node.error : "";

/* What the tree says of itself to assistive technology; also where a click finds the row of an element. */
export function setTreeItem(element, row, widget, className, said) {
  const { node } = row;
  element.rgRow = row;
  put(element, { class: className, role: "treeitem", "aria-level": row.depth + 1, "aria-setsize": row.up?.kids.length ?? 1,
    "aria-posinset": row.position, "aria-expanded": row.foldable ? String(row.open) : null,
    "aria-selected": String(Boolean(node) && widget.selected === node.id), "data-id": node ? node.id : null,
    tabindex: widget.current === row.key ? "0" : "-1",
    "aria-label": row.more ? row.text
      : row.stack ? `${row.name}, ${plural(row.stack.length, "call")}, ${countsText(row.counts, URGENT_FIRST)}`
        : `${clip(callText(node), 300)}, ${STATES[row.state].word}${said && `, ${said}`}` });
}

/* Only single changes move: a second one within 400 ms jumps, so that a busy run does not swim. */
export class View {
  constructor(widget, kind, role, label) {
    Object.assign(this, { widget, rows: [], pool: [], shown: new Map(), headPx: 0, top: 0 });    // shown: row key -> its element
    this.pad = make("div", "rg-pad");
    this.scroll = put(make("div", "rg-scroll", this.pad), { role, "aria-label": label, tabindex: "-1" });
    this.element = make("div", `rg-view rg-${kind}`, this.scroll);
    this.scroll.addEventListener("scroll", () => { this.top = this.scroll.scrollTop; this.scrolled(); }, { passive: true });
  }
  isHot(row) { return Boolean(STATES[row.state].hot) && !row.stack; }
  get rowsInSight() { return 10; }
  /* Called when a person has scrolled. Where to is kept: asking the page would make it lay out anew in the midst of a drawing. */
  scrolled() { this.widget.showHints(); }
  remove() { clearTimeout(this.moving); this.observer?.disconnect(); this.element.remove(); }
  /* Fills the element of a row, which is made or taken from the pool when the row had none. */
  place(row, entering) {
    const known = this.shown.get(row.key), element = known ?? this.pool.pop() ?? this.make();
    this.fill(element, row, known !== undefined);
    if (known) return element;
    put(element, { "data-enter": entering ? "" : null });
    this.shown.set(row.key, element); this.pad.append(element);
    return element;
  }
  /* Whether what changes now may glide. */
  glide() {
    const at = performance.now(), single = this.shown.size > 0 && at - (this.movedAt ?? -BUSY_MS) > BUSY_MS;
    this.movedAt = at; clearTimeout(this.moving); this.pad.classList.toggle("rg-moving", single);
    if (single) this.moving = setTimeout(() => this.pad.classList.remove("rg-moving"), MOVE_MS + 40);
    return single;
  }
}
