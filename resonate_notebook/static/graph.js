/* The live call graph of one durable run, in the notebook page.
 *
 * The kernel owns the truth: it sends a snapshot and then numbered batches of small changes. `Run` keeps what was told,
 * `buildRows` folds it into rows that a person can take in, and three views draw those rows: boxes with edges (Graph), a
 * windowed list with rails (Tree), and that list beside bars on an axis of time (Timeline). Table has a row for each call. One
 * cursor and one selection go through all four. Nothing here decides anything about the run; buttons only send requests.
 *
 * Everything that comes from a run is untrusted. It enters the document as text nodes and attribute values, never as
 * markup; tags, class names and styles are made of our own words only; nothing is requested from anywhere.
 *
 * Each file is an ES module. The page gets all of them as one (`script` in page.py), so every name is declared once.
 */

import { isNew, make, put, visible } from "./document.js";
import { count } from "./formats.js";
import { Run } from "./run.js";
import { buildRows, makeFilter, stackKey, standIn, tableRows } from "./rows.js";
import { TreeView } from "./tree.js";
import { GraphView } from "./boxes.js";
import { TimelineView } from "./timeline.js";
import { TableView } from "./table.js";
import { Panel } from "./panel.js";
import { Header } from "./header.js";
import { toneOf } from "./tone.js";
import { canUnpack, unpack } from "./packing.js";
import { Requests } from "./requests.js";
import { drawHints } from "./notes.js";
import { keepKeys, Keys } from "./keys.js";

const VIEWS = { graph: GraphView, tree: TreeView, timeline: TimelineView, table: TableView };
const BOXES_CHOSEN = 60, BOXES_AT_MOST = 120, GRAPH_FROM_PX = 640;
const STALE_MS = 7000, ASK_AGAIN_MS = 1000, LEAVE_MS = 2000, FAR_MS = 2000;

class Widget {
  constructor(model, host) {
    Object.assign(this, { model, run: new Run(), rows: [], newsAt: performance.now(), detached: false,
      arrived: Promise.resolve(),                       // messages are taken in one after the other, also while one is unpacked
      cut: false,            // the kernel that we spoke with is gone
      acting: null,          // what a person has asked for, and how it goes: { text, tone }
      requests: new Requests(message => this.send(message)), keys: new Keys(this),
      folds: new Map(),      // row key -> whether a person opened or folded it
      filter: null,          // the state a chip filters by
      sought: "",            // the words in the search box
      sort: { column: "started", down: false },         // of the table
      selected: null,        // id of the node in the panel
      current: null,         // key of the row that has the keyboard
      chosen: null });       // the tab a person chose
    this.header = new Header(this);
    Object.assign(this, { body: make("div", "rg-body"), hints: make("div", "rg-hints"), tooMany: make("div", "rg-too-many") });
    this.element = put(make("section", "rg", this.header.element, this.body), { "aria-label": "durable run" });
    this.leaveKeys = keepKeys(this.element);
    host.append(this.element); this.watch(); this.connect();
  }
  watch() {
    this.setTone = () => put(this.element, { "data-tone": toneOf(this.element) });
    this.sizes = new ResizeObserver(entries => this.resized(entries[0].contentRect.width));
    this.sizes.observe(this.element);
    this.themes = new MutationObserver(() => { this.setTone(); setTimeout(this.setTone, 300); });
    for (const watched of [document.documentElement, document.body]) this.themes.observe(watched,
      { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "data-theme", "class", "style"] });
    // A notebook may hold dozens of pictures of which two are in sight; the others are drawn now and then.
    this.sight = new IntersectionObserver(entries => {
      this.far = !entries.at(-1).isIntersecting;
      if (!this.far && this.farTimer) this.schedule(true);
    }, { rootMargin: "200px", scrollMargin: "200px" });       // the second is for a notebook that scrolls in the page
    this.sight.observe(this.element);
    this.clock = setInterval(() => this.tick(), 1000); this.setTone();
  }
  connect() {
    this.onMessage = (message, buffers) => { this.arrived = this.arrived.then(() => unpack(message, buffers)).then(told => this.receive(told)); };
    this.model.on("msg:custom", this.onMessage);
    this.onCut = () => this.cutOff(); this.model.on("comm_live_update", this.onCut);
    const kept = this.model.get("snapshot"), view = this.model.get("view");
    if (Object.hasOwn(VIEWS, view)) this.chosen = view;
    if (kept?.kind === "snapshot") this.run.load(kept);
    this.askedAt = performance.now(); this.hello(); this.schedule();
  }
  /* The run has ended, and its output is about to become a plain picture, so that a saved notebook needs no kernel. JupyterLab and
     Notebook then take this view away. Where their output area is found, the view asks to stay: it moves into the new output, in
     front of the picture, so that the page in front of the person keeps its panel. A page that is loaded again has the picture. */
  prepareToStay() {
    const child = this.element.closest(".jp-OutputArea-child"), area = child?.parentElement;
    if (!area || this.place) return;
    this.place = { area, child, index: Array.prototype.indexOf.call(area.children, child) };
    this.moves = new MutationObserver(() => this.stay());
    this.moves.observe(area, { childList: true }); this.send({ kind: "staying" });
  }
  stay() {
    const { area, child, index } = this.place, next = area.children[index];
    if (child.isConnected && child.parentElement === area) return;
    this.moves.disconnect();
    const output = next?.querySelector(".jp-OutputArea-output");
    if (!output) return this.destroy();
    this.shelter = make("div", "rg-shelter"); this.shelter.append(this.element);
    output.style.display = "none"; output.after(this.shelter);
    this.setTone(); this.schedule();
  }
  /* Called when the host takes the view away; a view that stays listens on, on its own account. */
  leave() {
    if (!this.place || this.gone) return this.destroy();
    this.model.off("msg:custom", this.onMessage); this.model.on("msg:custom", this.onMessage);
    setTimeout(() => { if (!this.element.isConnected) this.destroy(); }, LEAVE_MS);
  }
  destroy() {
    this.moves?.disconnect(); this.gone = true; this.leaveKeys(); this.sight.disconnect(); clearTimeout(this.farTimer); this.model.off("msg:custom", this.onMessage); this.sizes.disconnect(); this.themes.disconnect();
    clearInterval(this.clock); cancelAnimationFrame(this.frame);
    this.model.off("comm_live_update", this.onCut); this.requests.forget(); this.view?.remove(); this.element.remove();
  }
  /* -- messages -- */
  send(message) {
    if (this.cut) return false;
    try { this.model.send(message); } catch { return false; }
    return true;
  }
  /* Jupyter tells when the kernel is restarted, and when its end of the line is closed. A picture of a run that was over stays right. */
  cutOff() { this.cut = this.run.frozen = true; this.requests.drop(); this.schedule(); }
  receive(message) {
    if (this.gone) return;
    this.newsAt = performance.now(); this.run.frozen = this.detached; this.cut = false;
    if (message.kind === "snapshot") this.takeSnapshot(message);
    else if (message.kind === "ops") { if (!this.run.apply(message)) this.askSnapshot(); }
    else if (message.kind === "tick") this.takeTick(message);
    else if (message.kind === "detail") this.takeDetail(message);
    else if (message.kind === "values") this.takeValues(message);
    else if (message.kind === "log") { if (this.panel?.id === message.id) this.panel.takeLog(message); }
    else if (message.kind === "reply") this.requests.answered(message);
    else if (message.kind === "final") this.prepareToStay();
    this.schedule();
  }
  takeSnapshot(message) {
    const before = this.run.info.id;
    this.run.load(message); Object.assign(this, { askedAt: null, detached: false }); this.run.frozen = false;
    if (before && before !== this.run.info.id) {
      this.folds.clear(); this.filter = this.selected = this.current = null; this.tallest = 0; this.header.clearSearch();
    }
  }
  takeTick({ now, seq }) {
    this.run.heard(now);
    if (this.run.seq === null || seq > this.run.seq) { this.askedAt = null; this.askSnapshot(); }
  }
  takeValues({ values }) {
    for (const [id, text] of Object.entries(values)) { const node = this.run.byId.get(id); if (node) node.value ??= visible(text); }
  }
  takeDetail(message) {
    const node = this.run.byId.get(message.id);
    if (node && message.value != null) node.value = visible(message.value);
    if (this.panel?.id === message.id) this.panel.told = message;
  }
  /* Batches that come while a snapshot is on its way are no reason to ask for another one. */
  askSnapshot() {
    const at = performance.now();
    if (this.askedAt !== null && at - this.askedAt < ASK_AGAIN_MS) return;
    this.askedAt = at; this.send({ kind: "snapshot" });
  }
  request(message, say) { this.requests.ask(message, say); }
  /* Milliseconds without news once that is too long, else 0. A settled or detached run has no news to give. */
  get staleMs() {
    const quiet = performance.now() - this.newsAt;
    return this.run.settled || this.detached || (quiet < STALE_MS && !this.cut) ? 0 : Math.max(1, quiet);
  }
  tick() {
    if (this.run.settled || this.detached) return;
    this.run.frozen = this.staleMs > 0;
    if (!document.hidden) this.schedule();
  }
  /* -- what the person does -- */
  /* The choice is kept in the widget's state, so that a page that is loaded again has it; what is selected is shown there too. */
  choose(kind) {
    this.chosen = kind; this.tallest = 0;
    try { this.model.set("view", kind); this.model.save_changes(); } catch { /* a kernel that is gone keeps nothing */ }
    const node = this.run.byId.get(this.selected);
    if (node && kind !== "table" && !this.filtered) this.unfold(node);
    if (node) this.current = node.key;
    this.schedule(true); this.view?.reveal(this.current);
  }
  search(text) { this.sought = text; this.schedule(true); }
  get filtered() { return Boolean(this.filter || this.sought.trim()); }
  sortBy(column) {
    this.sort = { column, down: this.sort.column === column && !this.sort.down };
    this.schedule(true);
  }
  filterBy(state) { this.filter = this.filter === state ? null : state; this.schedule(); }
  toggle(row) { this.folds.set(row.key, !row.open); this.schedule(); }
  detach() {
    this.send({ kind: "detach" }); this.run.heard(this.run.now); this.detached = this.run.frozen = true;
    this.schedule();
  }
  hello() { this.send({ kind: "hello", unpacks: canUnpack }); }
  askCancel() {
    this.acting = { text: null }; this.schedule(true);
    this.header.note.querySelector("button:last-of-type")?.focus();
  }
  /* Asks the kernel for something that concerns the run as a whole; the line below the bar tells how it goes. */
  act(message) { this.request(message, (text, tone) => { this.acting = text ? { text, tone } : null; this.schedule(); }); }
  press(row) {
    if (row.more) { this.folds.set(row.more, true); return this.schedule(); }
    if (row.stack) return this.toggle(row);
    if (this.selected === row.node.id) return this.select(null);
    this.select(row.node.id);
    if (row.state === "waiting" && !this.cut) this.panel.text.focus();
  }
  select(id) {
    const closing = id === null && this.selected !== null;
    this.selected = id; this.schedule(true);
    if (id !== null) this.view?.reveal(this.current);   // the panel takes room that it may have stood in
    if (id !== null && this.coversView) this.panel?.close.focus();
    if (closing) this.focusRow(this.current);
  }
  answer(node, mode) {
    Object.assign(this, { current: node.key, selected: node.id }); this.schedule(true); this.panel?.open(mode);
  }
  /* Opens whatever hides a node, from the root down. */
  unfold(node) {
    const path = [], isShown = key => buildRows(this.run, this.folds, null).some(row => row.key === key);
    for (let up = node; up.parent; up = up.parent) path.unshift(up);
    for (const step of path) {
      if (!isShown(step.key)) this.folds.set(step.parent.key, true);
      if (!isShown(step.key)) this.folds.set(stackKey(step.parent, step.name), true);
    }
  }
  reveal(node) {
    this.unfold(node); this.header.clearSearch();
    Object.assign(this, { filter: null, current: node.key, selected: node.id });
    this.schedule(true); this.view?.reveal(node.key);
  }
  onClick(event) {
    const item = itemOf(event.target);
    if (!item || event.target.closest("button")) return;
    this.setCurrent(item.rgRow.key); this.press(item.rgRow);
  }
  /* One row at a time can be reached with Tab; arrows move that place. */
  setCurrent(key) {
    const elements = this.view?.shown;
    if (elements?.has(this.current)) put(elements.get(this.current), { tabindex: "-1" });
    this.current = key;
    if (elements?.has(key)) put(elements.get(key), { tabindex: "0" });
  }
  focusRow(key) {
    if (!key || !this.view) return;
    this.setCurrent(key); this.view.reveal(key); this.view.shown.get(key)?.focus({ preventScroll: true });
  }
  /* -- drawing -- */
  /* All changes of one animation frame are drawn once; what must be in the document right away is drawn at once. */
  schedule(now = false) {
    if (this.gone) return;
    if (!now && this.far) { this.farTimer ??= setTimeout(() => this.schedule(true), FAR_MS); return; }
    if (!now) { this.frame ??= requestAnimationFrame(() => this.schedule(true)); return; }
    cancelAnimationFrame(this.frame); clearTimeout(this.farTimer); this.frame = this.farTimer = null; this.update();
  }
  resized(width) {
    // A second view of an output that the first one has moved into (see `stay`): one is enough.
    if (this.place?.child.isConnected && !this.element.isConnected) return this.destroy();
    if (!width || width === this.width) return;
    this.width = width; this.size = width < 560 ? "xs" : width < 760 ? "s" : width < 1040 ? "m" : "l";
    put(this.element, { "data-width": this.size }); this.setTone(); this.schedule(true);
  }
  get coversView() { return this.size === "xs" || this.size === "s"; }
  get viewWidth() { return this.width - (!this.panel || this.coversView ? 0 : this.size === "m" ? 316 : 340); }
  get hasFocus() { return this.view?.element.contains(this.element.getRootNode().activeElement) ?? false; }
  update() {
    const { run } = this, before = this.rows, focused = this.hasFocus;
    if (!this.width) return;
    run.summarise();
    this.element.classList.toggle("rg-stale", this.staleMs > 0); this.element.classList.toggle("rg-over", run.settled);
    const keeps = makeFilter(this.filter, this.sought), found = keeps && run.order.filter(keeps);
    this.rows = this.chosen === "table" ? tableRows(run, found, this.sort, this.kind === "table" ? before : [])
      : buildRows(run, this.folds, found);
    this.foundCount = found?.length; this.updatePanel();
    const kind = this.pickKind(), { rows } = this;
    const same = before.length === rows.length && before.every((row, at) => row.key === rows[at].key);
    const changed = kind !== this.kind || !same || this.drawnWidth !== this.viewWidth;
    this.drawnWidth = this.viewWidth;
    if (kind !== this.kind) this.mount(kind);
    this.keepCurrent(before); this.header.draw(); this.view?.draw(rows, changed); this.fitHeight();
    this.showHints();
    if (focused && !this.hasFocus) this.focusRow(this.current);
  }
  /* The row with the keyboard may have been folded away: its nearest ancestor that still shows takes over. */
  keepCurrent(before) {
    if (this.rows.some(row => row.key === this.current)) return;
    const keys = new Set(this.rows.map(row => row.key));
    const row = before.find(candidate => candidate.key === this.current);
    this.current = standIn(row, keys) ?? this.rows[0]?.key ?? null;
  }
  updatePanel() {
    const node = this.run.byId.get(this.selected);
    if (this.panel && this.panel.id !== node?.id) {
      this.panel.element.remove(); this.panel = null;
      if (!node) this.send({ kind: "closed" });
    }
    if (node && !this.panel) this.body.append((this.panel = new Panel(this, node)).element);
    this.panel?.draw();
  }
  /* Graph while a person can read it, with some slack so that a run at the limit does not flip to and fro. */
  pickKind() {
    const { run, rows, chosen } = this, most = this.kind === "tree" ? BOXES_CHOSEN * .8 : BOXES_CHOSEN;
    this.boxCount = 0;
    if (!run.root || (run.order.length === 1 && run.root.state === "pending")) return "empty";
    if (chosen === "table" || chosen === "timeline") return chosen;
    const kind = chosen ?? (rows.length <= most && this.width >= GRAPH_FROM_PX ? "graph" : "tree");
    if (kind === "tree" || rows.length <= BOXES_AT_MOST) return kind;
    this.boxCount = rows.length;
    return "tree";
  }
  mount(kind) {
    this.kind = kind; this.view?.remove(); this.empty?.remove(); this.view = this.empty = null;
    if (kind === "empty") return this.body.prepend(this.empty = make("div", "rg-empty"));
    this.view = new VIEWS[kind](this);
    this.view.scroll.addEventListener("click", event => this.onClick(event));
    this.view.scroll.addEventListener("keydown", event => this.keys.take(event));
    this.view.scroll.addEventListener("focusin", event => {
      const item = itemOf(event.target);
      if (item) this.setCurrent(item.rgRow.key);
    });
    this.view.element.prepend(this.tooMany); this.view.element.append(this.hints); this.body.prepend(this.view.element);
  }
  /* As high as the content, within limits; a panel needs some room of its own. */
  fitHeight() {
    const { root } = this.run, extra = this.boxCount ? 28 : 0;
    if (this.empty && isNew(this.empty, root)) this.empty.replaceChildren(...(root ? [make("b", "", "No calls yet"),
      make("span", "", "No worker has taken ", make("span", "rg-mono", root.name), " so far."),
      make("span", "", "Register the function in a cell and the run goes on by itself.")] : ["Waiting for the kernel…"]));
    put(this.tooMany, { shown: extra > 0,
      text: `${count(this.boxCount)} boxes would be too many to read: shown as a tree. Fold some to get the graph back.` });
    const content = this.view ? this.view.contentHeight + extra : 150;
    // While the run goes on it only grows, so that what stands below in the notebook does not jump with each fold and error.
    this.tallest = this.run.settled || this.sizeAt !== this.size ? content : Math.max(this.tallest ?? 0, content);
    this.sizeAt = this.size;
    const wanted = Math.max(this.tallest, this.panel ? 470 : 0);
    this.viewHeight = Math.max(150, Math.min(690, wanted)) - extra;
    put(this.body, { $height: `${this.viewHeight + extra}px` });
  }
  /* Pills at the lower edge for what needs a look but is scrolled out of sight. */
  showHints() { if (this.view) drawHints(this.hints, this); }
}

const itemOf = element => element.closest("[role=treeitem], [role=row]");

export default {
  /* Called as soon as the page has the model, also where the output is scrolled out of sight and no view is made yet. */
  initialize({ model }) { model.send({ kind: "loaded" }); },
  render({ model, el }) {
    const widget = new Widget(model, el);
    return () => widget.leave();
  },
};
