/* The live call graph of one durable run, in the notebook page.
 *
 * The kernel owns the truth: it sends a snapshot and then numbered batches of small changes. `Run` keeps what was told,
 * `buildRows` folds it into rows that a person can take in, and two views draw those rows: boxes with edges (Graph) and a
 * windowed list with rails (Tree). Nothing here decides anything about the run; buttons only send requests.
 *
 * Everything that comes from a run is untrusted. It enters the document as text nodes and attribute values, never as
 * markup; tags, class names and styles are made of our own words only; nothing is requested from anywhere.
 */

const ROW_PX = 26, ROWS_BEYOND = 6;                     // one row; rows kept in the document beyond the window
const STACK_FROM = 5, HOT_SHOWN = 8, FOLD_ABOVE = 24;   // siblings to a stack; failures below it; calls before folding
const BOXES_CHOSEN = 60, BOXES_AT_MOST = 120, GRAPH_FROM_PX = 640, INDENT_LEVELS = 12;
const STALE_MS = 7000, QUEUED_MS = 400, SAY_MS = 5000, ASK_AGAIN_MS = 1000, LEAVE_MS = 2000, DETAIL_MS = 5000, MOVE_MS = 220, BUSY_MS = 400;
const MONO_PX = 7.23, TEXT_PX = 5.75;                   // widths of a character: labels are fitted without measuring

/* ---------- document helpers: text goes in as text ---------------------------------------------------------------- */

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.filter(child => child != null));
  return element;
}

function draw(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function makeButton(className, label, action) {
  const button = put(make("button", className, label), { type: "button" });
  button.addEventListener("click", event => { event.stopPropagation(); action(); });
  return button;
}

/* Writes text, visibility (`shown`), styles (`$name`) and attributes (the rest; null takes one away) through a cache of the
 * last value, so that a frame in which nothing changed touches nothing. The names are always our own, never a run's. */
function put(element, changes) {
  const cache = element.rgCache ||= new Map();
  for (const [name, value] of Object.entries(changes)) {
    if (cache.get(name) === value) continue;
    cache.set(name, value);
    if (name === "text") element.textContent = value;
    else if (name === "shown") element.style.display = value ? "" : "none";
    else if (name[0] === "$") element.style[name.slice(1)] = value;
    else if (value == null) element.removeAttribute(name);
    else element.setAttribute(name, value);
  }
  return element;
}

/* Whether an element's content must be made anew, because the key of what it shows has changed. */
function isNew(element, key) {
  const changed = element.rgKey !== key;
  element.rgKey = key;
  return changed;
}

/* Control and direction-changing characters become visible: text of a run may not hide or reorder other text. */
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
const visible = (value, keepLines = false) => String(value ?? "").slice(0, 4000).replace(UNSEEN, character => {
  if (keepLines && (character === "\n" || character === "\t")) return character;
  const code = character.charCodeAt(0);
  return code < 32 ? String.fromCharCode(0x2400 + code) : "\\u" + code.toString(16).padStart(4, "0");
});

/* ---------- states, most urgent first: word and 16 x 16 picture (fill, line with its width, cut out in the ground) ---- */

const STATES = {
  waiting: { word: "waiting for you", hot: true,
    paths: [["fill", "M8 .8 15.2 8 8 15.2.8 8z"], ["cut", "M6.4 5.4v5.2M9.6 5.4v5.2", 1.7]] },
  rejected: { word: "rejected", hot: true, paths: [["fill", "M5.3 1.5h5.4l3.8 3.8v5.4l-3.8 3.8H5.3l-3.8-3.8V5.3z"],
    ["cut", "M5.6 5.6l4.8 4.8M10.4 5.6l-4.8 4.8", 1.7]] },
  timedout: { word: "timed out", hot: true, paths: [["line",
    "M3.6 1.8h8.8M3.6 14.2h8.8M5 1.8C5 5.4 8 6 8 8s-3 2.6-3 6.2M11 1.8C11 5.4 8 6 8 8s3 2.6 3 6.2", 1.6]] },
  retrying: { word: "retrying", hot: true, paths: [["line", "M13.2 8A5.2 5.2 0 1 1 11.4 4.1", 1.9], ["fill", "M14 .9v5H9z"]] },
  running: { word: "running",
    paths: [["line", "M8 2a6 6 0 1 1-6 6", 1.9], ["fill", "M8 5.4a2.6 2.6 0 1 1 0 5.2 2.6 2.6 0 0 1 0-5.2z"]] },
  sleeping: { word: "sleeping", paths: [["fill", "M13.8 10A6.3 6.3 0 0 1 6 2.2 6.3 6.3 0 1 0 13.8 10z"]] },
  pending: { word: "pending", paths: [["dots", "M8 2.2a5.8 5.8 0 1 1 0 11.6A5.8 5.8 0 0 1 8 2.2z", 1.6]] },
  cancelled: { word: "cancelled",
    paths: [["line", "M8 2.2a5.8 5.8 0 1 1 0 11.6A5.8 5.8 0 0 1 8 2.2zM4.2 4.2l7.6 7.6", 1.6]] },
  resolved: { word: "resolved",
    paths: [["fill", "M8 1.2a6.8 6.8 0 1 1 0 13.6A6.8 6.8 0 0 1 8 1.2z"], ["cut", "M4.9 8.3l2.2 2.3 4.1-4.7", 1.7]] },
  recovered: { word: "recovered",
    paths: [["line", "M8 1.9a6.1 6.1 0 1 1 0 12.2A6.1 6.1 0 0 1 8 1.9z", 1.3], ["line", "M5.2 8.2l2 2.1 3.7-4.2", 1.6]] },
};
const URGENT_FIRST = Object.keys(STATES);
const BAR_ORDER = ["resolved", "recovered", "running", "retrying", "sleeping", "waiting", "rejected", "timedout", "cancelled",
  "pending"];
const SETTLED = new Set(["resolved", "recovered", "rejected", "timedout", "cancelled"]);
const CLEAN = new Set(["resolved", "recovered", "cancelled"]), FAILED = new Set(["rejected", "timedout"]);
const LIVE = new Set(["running", "retrying", "sleeping", "waiting"]);
const COUNTS_DOWN = new Set(["retrying", "sleeping", "pending"]);
const rank = state => URGENT_FIRST.indexOf(state);
const noCounts = () => Object.fromEntries(URGENT_FIRST.map(state => [state, 0]));

function strokes(kind, width) {
  const line = { fill: "none", stroke: "currentColor", "stroke-width": width, "stroke-linejoin": "round" };
  if (kind === "dots") return { ...line, "stroke-dasharray": "1.9 2.66", "stroke-linecap": "butt" };
  return { ...line, "stroke-linecap": "round", ...(kind === "cut" ? { class: "rg-cut" } : {}) };
}

const iconMasters = new Map();
function icon(state, still = false) {
  const frame = { viewBox: "0 0 16 16", class: "rg-icon", "aria-hidden": "true" };
  if (!iconMasters.has(state)) iconMasters.set(state, draw("svg", frame, ...STATES[state].paths.map(([kind, d, width]) =>
      draw("path", { d, ...(kind === "fill" ? { fill: "currentColor" } : strokes(kind, width)) }))));
  const copy = iconMasters.get(state).cloneNode(true);
  if (state === "running" && !still) copy.classList.add("rg-spin");
  return copy;
}

function setIcon(element, state, animated) {
  const before = element.rgKey;
  if (!isNew(element, state)) return;
  element.replaceChildren(icon(state));
  if (before && animated) element.firstChild.classList.add("rg-pop");
}

const SIGNS = {
  file: "M8 2.2c3 0 5 .9 5 2s-2 2-5 2-5-.9-5-2 2-2 5-2zM3 4.2v7.6c0 1.1 2 2 5 2s5-.9 5-2V4.2M3 8c0 1.1 2 2 5 2s5-.9 5-2",
  memory: "M4.5 4.5h7v7h-7zM6.5 2v2.5M9.5 2v2.5M6.5 11.5V14M9.5 11.5V14M2 6.5h2.5M2 9.5h2.5M11.5 6.5H14M11.5 9.5H14",
  server: "M2.5 8a5.5 5.5 0 1 1 11 0 5.5 5.5 0 0 1-11 0zM2.5 8h11M8 2.5c2 1.7 2.6 3.5 2.6 5.5S10 11.8 8 13.5"
    + "C6 11.8 5.4 10 5.4 8S6 4.2 8 2.5z",
  clock: "M8 2.2a5.8 5.8 0 1 1 0 11.6A5.8 5.8 0 0 1 8 2.2zM8 5v3.2l2 1.3", close: "M4 4l8 8M12 4l-8 8",
};
const WHERE_SAYS = { file: "kept in this file: survives a kernel restart", memory: "in memory: gone when the kernel stops",
  server: "kept by a Resonate Server" };
const sign = name => draw("svg", { viewBox: "0 0 16 16", width: 14, height: 14, "aria-hidden": "true" },
  draw("path", { d: SIGNS[name], ...strokes("line", 1.4) }));

/* ---------- formats ----------------------------------------------------------------------------------------------- */

const two = number => String(Math.floor(number)).padStart(2, "0");
const count = number => number.toLocaleString("en-US");
const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;
const clip = (text, length) => text.length > length ? text.slice(0, length - 1) + "…" : text;
const argumentText = pairs => pairs.map(([name, text]) => name ? `${name}=${text}` : text).join(", ");
const callText = node => `${node.name}(${argumentText(node.arguments)})`;
const countsText = (counts, order) => order.filter(state => counts[state])
  .map(state => `${count(counts[state])} ${STATES[state].word}`).join(" · ");

function duration(ms) {
  if (ms < 999.5) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 59950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${two(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${two(seconds % 3600 / 60)} m`;
  return `${Math.floor(seconds / 86400)} d ${two(seconds % 86400 / 3600)} h`;
}

/* Whole seconds, for what still counts: a decimal that changes at random moments only flickers. */
const wholeSeconds = ms => ms < 59500 ? `${Math.max(0, Math.round(ms / 1000))} s` : duration(ms);

function clockTime(epochMs) {
  const date = new Date(epochMs), time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  if (date.toDateString() === new Date().toDateString()) return time;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`;
}

/* A line that is too long loses its middle parts, then all but its first word. */
function fitParts(text, length) {
  if (text.length <= length) return text;
  const parts = text.split(" · "), ends = `${parts[0]} · ${parts.at(-1)}`;
  return parts.length > 2 && ends.length <= length ? ends : parts[0];
}

/* ---------- the run as the kernel told it ------------------------------------------------------------------------- */

const FIELDS = { b: "began", e: "ended", n: "attempt", m: "limit", d: "due", c: "caught" };

class Run {
  constructor() {
    Object.assign(this, { seq: null, frozen: false, info: { id: "", where: { kind: "memory", label: "" }, started: 0 } });
    this.heard(0); this.clear();
  }
  clear() {
    Object.assign(this, { byIndex: new Map(), byId: new Map(), order: [], root: null });   // order: parents before their kids
    this.summarise();
  }
  heard(nowMs) { this.toldMs = nowMs; this.heardAt = performance.now(); }
  get settled() { return this.root !== null && SETTLED.has(this.root.state); }
  /* Milliseconds since the start: the kernel's last word, carried on by the page's own clock while the run goes on. */
  get now() {
    if (this.settled) return Math.max(this.toldMs, this.root.ended ?? 0);
    return this.frozen ? this.toldMs : this.toldMs + performance.now() - this.heardAt;
  }
  load(snapshot) {
    this.clear(); this.seq = snapshot.seq; this.setInfo(snapshot.run);
    for (const told of snapshot.nodes) this.add(told);
    this.heard(snapshot.run.now);
  }
  /* One numbered batch. False when a batch before it was lost; a batch that we already have is passed over. */
  apply(message) {
    if (this.seq === null || message.seq > this.seq + 1) return false;
    if (message.seq <= this.seq) return true;
    this.seq = message.seq;
    for (const [operation, first, second] of message.ops) {
      if (operation === "add") this.add(first);
      else if (operation === "set" && this.byIndex.has(first)) this.setState(this.byIndex.get(first), second);
      else if (operation === "run") this.setInfo(first);
    }
    this.heard(message.now);
    return true;
  }
  setInfo({ id, where, started }) {
    if (id !== undefined) this.info.id = visible(id);
    if (started !== undefined) this.info.started = started;
    const kind = Object.hasOwn(WHERE_SAYS, where?.kind ?? "") ? where.kind : "memory";
    if (where) this.info.where = { kind, label: visible(where.label) };
  }
  add(told) {
    if (this.byIndex.has(told.i)) return this.setState(this.byIndex.get(told.i), told);
    const parent = this.byIndex.get(told.p) ?? this.root;
    const node = { index: told.i, key: `n${told.i}`, id: String(told.id), name: visible(told.f), kind: told.k, parent,
      arguments: (told.a ?? []).map(pair => pair.map(text => visible(text))), created: told.t ?? 0, kids: [],
      state: "pending", error: "" };
    this.setState(node, told);
    if (parent) parent.kids.push(node); else this.root = node;
    this.byIndex.set(told.i, node); this.byId.set(node.id, node); this.order.push(node);
  }
  setState(node, told) {
    if (told.s !== undefined) node.state = Object.hasOwn(STATES, told.s) ? told.s : "pending";
    if (told.x !== undefined) node.error = visible(told.x);
    for (const [short, name] of Object.entries(FIELDS))
      if (told[short] !== undefined) node[name] = told[short] === null ? null : Number(told[short]);
  }
  /* Counts of the run and of every subtree, kids before their parents. */
  summarise() {
    Object.assign(this, { counts: noCounts(), working: false });
    for (const node of this.order) {
      node.size = 1; node.open = 0; node.hot = STATES[node.state].hot ? 1 : 0; node.alive = LIVE.has(node.state);
      node.clean = CLEAN.has(node.state);
    }
    for (let at = this.order.length - 1; at >= 0; at--) {
      const node = this.order[at], parent = node.parent;
      this.counts[node.state]++;
      if (node.state === "retrying" || (node.state === "running" && !node.open)) this.working = true;
      if (!parent) continue;
      parent.size += node.size; parent.hot += node.hot; parent.alive ||= node.alive; parent.clean &&= node.clean;
      if (!SETTLED.has(node.state)) parent.open++;
    }
    this.settledCount = [...SETTLED].reduce((sum, state) => sum + this.counts[state], 0);
  }
  /* The run's own word: running while anything runs or retries, else what it waits for. */
  get state() {
    if (!this.root || this.settled) return this.root?.state ?? "pending";
    return this.working ? "running" : this.counts.waiting ? "waiting" : this.counts.sleeping ? "sleeping" : this.root.state;
  }
  /* How long a node took so far; nothing when it has not begun, or was not run because its result came from the store. */
  tookText(node) {
    const began = node.began ?? (node.kind === "promise" || node.kind === "sleep" ? node.created : null);
    if (began === null) return "";
    return SETTLED.has(node.state) ? duration((node.ended ?? this.now) - began) : wholeSeconds(this.now - began);
  }
  /* What a row says after the state's word. */
  detail(node) {
    const tries = `${node.attempt ?? 1}${node.limit ? ` of ${node.limit}` : ""}`;
    const left = node.due == null ? "" : wholeSeconds(node.due - this.now);
    switch (node.state) {
      case "retrying": return `attempt ${tries} failed${left && `, next in ${left}`}`;
      case "sleeping": return left && `${left} left`;
      case "running": return node.attempt > 1 ? `attempt ${tries}` : "";
      case "pending": return node.kind === "rpc" || node.kind === "detached" ? "no worker has taken it yet" : "";
      case "recovered": return "not run again";
      case "rejected": return node.caught ? "caught" : "";
      case "resolved": return node.attempt > 1 ? `after ${node.attempt} attempts` : "";
      case "timedout": return node.ended == null ? "" : `after ${duration(node.ended - node.created)}`;
      default: return "";
    }
  }
  /* The second line of a box, in parts that can be dropped. */
  line(node) {
    const detail = node.state === "recovered" ? "" : this.detail(node);
    const short = node.state === "retrying" ? detail.replace(/^attempt /, "").replace(", next", " · next") : detail;
    return STATES[node.state].word + (short && ` · ${short}`);
  }
  /* The call that broke a failed run: down from the root along failures that nobody caught, the same error first. */
  culprit() {
    for (let node = this.root; ;) {
      const failed = node.kids.filter(kid => FAILED.has(kid.state) && !kid.caught);
      const next = failed.find(kid => kid.error === this.root.error) ?? failed.at(-1);
      if (!next) return node;
      node = next;
    }
  }
}

/* ---------- rows: the folded tree --------------------------------------------------------------------------------- */

const stackKey = (parent, name) => `s${parent.index}/${name}`;

/* The rows from top to bottom; each knows its kids, its parent row (`up`) and what its rails need. Without recursion: a
 * chain of calls may be thousands deep. */
function buildRows(run, folds, filter) {
  const kept = filter ? new Set([run.root]) : null, foldsItself = run.order.length > FOLD_ABOVE;
  if (filter) for (const node of run.order)
    if (node.state === filter) for (let up = node; up && !kept.has(up); up = up.parent) kept.add(up);
  const nodeRow = (node, depth) => {
    const members = kept ? node.kids.filter(kid => kept.has(kid)) : node.kids;
    const open = kept !== null || (folds.get(node.key) ?? (node === run.root || !(foldsItself && node.clean)));
    return { key: node.key, node, depth, state: node.state, live: node.alive, members, foldable: members.length > 0, open };
  };
  const kidsOf = row => {
    if (row.stack) return stackedKids(row, nodeRow);
    if (!row.node || !row.open) return [];
    if (kept || row.members.length < STACK_FROM) return row.members.map(node => nodeRow(node, row.depth + 1));
    return groupedKids(row, nodeRow, run, folds);
  };
  const rows = [], waiting = [];
  if (run.root) waiting.push(Object.assign(nodeRow(run.root, 0), { up: null, position: 1, last: true, rails: [] }));
  while (waiting.length) {
    const row = waiting.pop();
    row.kids = kidsOf(row); linkKids(row); rows.push(row);
    for (let at = row.kids.length - 1; at >= 0; at--) waiting.push(row.kids[at]);
  }
  return rows;
}

/* Many siblings of one function become a stack, where the first of them stood. */
function groupedKids(row, nodeRow, run, folds) {
  const byName = new Map();
  for (const node of row.members) byName.get(node.name)?.push(node) ?? byName.set(node.name, [node]);
  const kids = [];
  for (const [name, nodes] of byName) {
    if (nodes.length < STACK_FROM) { kids.push(...nodes.map(node => nodeRow(node, row.depth + 1))); continue; }
    const counts = noCounts(), key = stackKey(row.node, name);
    for (const node of nodes) counts[node.state]++;
    const urgent = URGENT_FIRST.find(state => counts[state]);
    const state = urgent === "pending" && counts.resolved + counts.recovered && !run.settled ? "running" : urgent;
    kids.push({ key, stack: nodes, name, counts, state, depth: row.depth + 1, foldable: true, open: folds.get(key) === true,
      live: nodes.some(node => node.alive) });
  }
  const first = kid => kid.stack ? kid.stack[0].index : kid.node.index;
  return kids.sort((a, b) => first(a) - first(b));
}

/* Failures never fold away: they stand below their closed stack, the most urgent kept when there are many. */
function stackedKids(row, nodeRow) {
  const toRows = nodes => nodes.map(node => nodeRow(node, row.depth + 1)), hot = row.stack.filter(node => node.hot);
  if (row.open) return toRows(row.stack);
  if (hot.length <= HOT_SHOWN) return toRows(hot);
  hot.sort((a, b) => rank(a.state) - rank(b.state) || a.index - b.index);
  const rest = hot.splice(HOT_SHOWN), same = rest.every(node => node.state === rest[0].state);
  return [...toRows(hot.sort((a, b) => a.index - b.index)), { key: `m${row.key}`, more: row.key, depth: row.depth + 1,
    text: `${count(rest.length)} more ${same ? STATES[rest[0].state].word : "to look at"}`, state: rest[0].state, live: false,
    foldable: false, open: false }];
}

/* Rails of a kid: one entry per ancestor column, 0 no line, 1 a line, 2 a line that leads to something live. */
function linkKids(row) {
  const beyond = row.depth === 0 || row.rails.length >= INDENT_LEVELS;
  const rails = beyond ? row.rails : [...row.rails, row.last ? 0 : row.liveAfter ? 2 : 1];
  row.liveKids = false;
  for (let at = row.kids.length - 1; at >= 0; at--) {
    const kid = row.kids[at];
    Object.assign(kid, { up: row, position: at + 1, last: at === row.kids.length - 1, liveAfter: row.liveKids, rails });
    row.liveKids ||= kid.live;
  }
}

/* ---------- parts that both views draw ---------------------------------------------------------------------------- */

/* `name(arguments)`; where that is too long for its room (characters), the arguments lose their names. */
function setCall(element, row, room) {
  const { node } = row, name = node ? node.name : row.stack ? row.name : "";
  const whole = node ? `(${argumentText(node.arguments)})` : row.stack ? ` ×${count(row.stack.length)}` : row.text;
  const rest = node && name.length + whole.length > room ? `(${node.arguments.map(pair => pair[1]).join(", ")})` : whole;
  if (!isNew(element, `${row.key} ${name} ${rest}`)) return;
  element.replaceChildren(make("b", "", name), make("span", "rg-args", rest));
  element.title = node ? `${clip(name + whole, 600)}\n${visible(node.id)}` : name + whole;
}

/* One cell per call up to 40 calls, then a bar in proportion: hollow recovered, low pending, taller what needs a look. */
function setStrip(element, row, room) {
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
function setWords(element, text) { if (isNew(element, text)) element.textContent = text; }
function setIconCounts(element, counts) {
  if (!isNew(element, Object.values(counts).join())) return;
  element.replaceChildren(...URGENT_FIRST.filter(state => counts[state]).map(state =>
    put(make("span", `rg-count rg-s-${state}`, icon(state, true), count(counts[state])), { title: STATES[state].word })));
}

function makeFold(widget) {
  const arrow = draw("svg", { viewBox: "0 0 8 8", class: "rg-arrow", "aria-hidden": "true" },
    draw("path", { d: "M2.5 1l3 3-3 3", ...strokes("line", 1.4) }));
  const button = makeButton("rg-fold", arrow, () => widget.toggle(button.closest("[role=treeitem]").rgRow));
  button.append(button.rgText = make("span"));
  return put(button, { tabindex: "-1" });
}

function setFold(button, row, text, shown) {
  put(button, { shown, "data-open": row.open ? "1" : "0", "aria-label": row.open ? "fold" : "unfold" });
  put(button.rgText, { text });
}

/* Resolve… and Reject… on a promise that waits for a person; they only open the form. */
function setAnswerButtons(element, { node }, widget) {
  const waits = node?.state === "waiting";
  put(element, { shown: waits });
  const labels = waits ? [["Resolve…", "resolve"], ["Reject…", "reject"]] : [];
  if (isNew(element, waits ? node : null)) element.replaceChildren(...labels.map(([label, mode]) =>
    makeButton("rg-button rg-small", label, () => widget.answer(node, mode))));
}

const errorOf = node => node && (FAILED.has(node.state) || node.state === "retrying") ? node.error : "";

/* What the tree says of itself to assistive technology; also where a click finds the row of an element. */
function setTreeItem(element, row, widget, className) {
  const { node } = row, detail = node ? widget.run.detail(node) : "";
  element.rgRow = row;
  put(element, { class: className, role: "treeitem", "aria-level": row.depth + 1, "aria-setsize": row.up?.kids.length ?? 1,
    "aria-posinset": row.position, "aria-expanded": row.foldable ? String(row.open) : null,
    "aria-selected": String(Boolean(node) && widget.selected === node.id), "data-id": node ? node.id : null,
    tabindex: widget.current === row.key ? "0" : "-1",
    "aria-label": row.more ? row.text
      : row.stack ? `${row.name}, ${plural(row.stack.length, "call")}, ${countsText(row.counts, URGENT_FIRST)}`
        : `${clip(callText(node), 300)}, ${STATES[row.state].word}${detail && `, ${detail}`}` });
}

/* Only single changes move: a second one within 400 ms jumps, so that a busy run does not swim. */
class View {
  constructor(widget, kind, label) {
    Object.assign(this, { widget, rows: [], pool: [], shown: new Map() });        // shown: row key -> element in the document
    this.pad = make("div", "rg-pad");
    this.scroll = put(make("div", "rg-scroll", this.pad), { role: "tree", "aria-label": label, tabindex: "-1" });
    this.element = make("div", `rg-view rg-${kind}`, this.scroll);
  }
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

/* ---------- Tree: a window of rows; only what shows is in the document --------------------------------------------- */

class TreeView extends View {
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

/* ---------- Graph: boxes from left to right, one orthogonal trunk per parent --------------------------------------- */

const COLUMN_GAP = 46, BOX_GAP = 8, LEFT = 16, TOP = 14, SHRINK_TO = 172;

class GraphView extends View {
  constructor(widget) {
    super(widget, "graph", "call graph");
    Object.assign(this, { grey: draw("path", {}), blue: draw("path", { class: "rg-live" }) });
    this.pad.append(this.lines = draw("svg", { class: "rg-edges", "aria-hidden": "true" }, this.grey, this.blue));
    this.scroll.addEventListener("scroll", () => widget.showHints(), { passive: true });
  }
  get contentHeight() { return this.bottom + 28; }
  offsetOf(row) { return row.y + 20; }
  reveal(key) { this.shown.get(key)?.scrollIntoView({ block: "nearest", inline: "nearest" }); }
  draw(rows, structural) {
    this.rows = rows; this.measureColumns(structural); this.placeBoxes();
    const single = structural && this.glide(), keys = new Set(rows.map(row => row.key));
    for (const [key, box] of this.shown) if (!keys.has(key)) { this.shown.delete(key); box.remove(); }
    for (const row of rows) this.place(row, single);
    this.drawEdges();
  }
  /* A column is as wide as its widest label asks, within limits; then all shrink evenly until they fit. */
  measureColumns(structural) {
    const { run, viewWidth } = this.widget, widths = [];
    for (const row of this.rows) {
      const { node, stack } = row, error = errorOf(node);
      row.height = stack ? 62 : row.more ? 28 : row.state === "waiting" ? 68 : error ? 60 : 42;
      row.line = stack ? countsText(row.counts, URGENT_FIRST) : node ? run.line(node) : "";
      const label = stack ? row.name.length + 7 : row.more ? row.text.length : callText(node).length;
      const wanted = Math.max(label * MONO_PX + 46, error ? Math.min(error.length, 52) * 6.63 + 46 : 0,
        stack ? Math.min(stack.length, 40) * 5.6 + 46 : 0, (row.line.length + 7) * 5.7 + 44);
      const most = stack || node?.kids.length ? 264 : error ? 400 : 276;
      widths[row.depth] = Math.max(widths[row.depth] ?? 128, Math.min(wanted, most));
    }
    const room = viewWidth - LEFT * 2 - (widths.length - 1) * COLUMN_GAP - 14;
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
    const right = this.columns.reduce((x, width, level) => { lefts[level] = x; return x + width + COLUMN_GAP; }, LEFT);
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
    setTreeItem(box, row, widget, `rg-box rg-s-${row.state}${mood}`);
    put(box, { $width: `${row.width}px`, $height: `${row.height}px`, $transform: `translate(${row.x}px,${row.y}px)` });
    setIcon(parts.glyph, row.state, known); setCall(parts.call, row, (row.width - 44) / MONO_PX);
    const time = node && !COUNTS_DOWN.has(node.state) ? widget.run.tookText(node) : "", room = (row.width - 46) / TEXT_PX;
    if (stack && row.line.length > room) setIconCounts(parts.word, row.counts);
    else setWords(parts.word, fitParts(row.line, room - (time ? time.length + 1 : 0)));
    put(parts.time, { text: time }); put(parts.second, { shown: !row.more });
    put(parts.third, { shown: row.height >= 60 });
    if (stack) setStrip(parts.strip, row, row.width - 46);
    put(parts.error, { text: errorOf(node) }); setAnswerButtons(parts.buttons, row, widget);
    const folded = stack ? stack.length - row.kids.filter(kid => kid.node).length : node ? node.size - 1 : 0;
    setFold(parts.fold, row, stack && row.open ? "fold" : `+${count(folded)}`,
      row.foldable && row.depth > 0 && (!row.open || Boolean(stack)));
  }
  /* The way to anything live is drawn over the grey one. */
  drawEdges() {
    const paths = ["", ""];
    for (const row of this.rows) for (const kid of row.kids)
      paths[kid.live ? 1 : 0] += edgePath(row.x + row.width, row.y + 21, kid.x, kid.y + (kid.more ? 14 : 21));
    put(this.grey, { d: paths[0] || "M0 0" }); put(this.blue, { d: paths[1] || "M0 0" });
  }
}

function edgePath(x1, y1, x2, y2) {
  if (Math.abs(y2 - y1) < 1) return `M${x1} ${y1}H${x2}`;
  const trunk = x1 + 26, radius = Math.min(7, Math.abs(y2 - y1) / 2);
  return `M${x1} ${y1}H${trunk - radius}Q${trunk} ${y1} ${trunk} ${y1 + radius}`
    + `V${y2 - radius}Q${trunk} ${y2} ${trunk + radius} ${y2}H${x2}`;
}

/* ---------- Panel: everything about the selected call, and the form of a promise that waits for a person ------------ */

const FORMS = {
  resolve: { label: "Value", send: "Resolve", other: "Reject…", opens: "reject", state: "waiting",
    says: "A Python literal or JSON; anything else is taken as text. A promise settles once." },
  reject: { label: "Reason", send: "Reject", other: "Back", opens: "resolve", state: "rejected",
    says: "The run gets this as an error, once and for all." },
};
const section = (title, ...parts) => make("div", "rg-section", make("h4", "", title), ...parts);
const paragraph = (className, text) => make("p", className, visible(text, true));
const pairList = pairs => make("dl", "rg-pairs", ...pairs.flatMap(([name, text]) =>
  [make("dt", "", visible(name)), make("dd", "rg-mono", visible(text, true))]));

class Panel {
  constructor(widget, node) {
    Object.assign(this, { widget, id: node.id, told: null, mode: "resolve" });      // told: the kernel's answer
    Object.assign(this, { pill: make("span"), live: make("span", "rg-took"), form: make("div", "rg-section rg-form") });
    this.close = put(makeButton("rg-close", sign("close"), () => widget.select(null)), { "aria-label": "close details" });
    const copy = makeButton("rg-button rg-small", "Copy id", () => {
      navigator.clipboard?.writeText(this.id).then(() => put(copy, { text: "Copied" }), () => {});
    });
    this.answer = put(make("p", "rg-answer"), { role: "status", shown: false });
    this.element = put(make("aside", "rg-panel",
      make("div", "rg-panel-head", make("div", "rg-panel-line", this.pill, this.live, this.close), make("h3", "", node.name),
        make("div", "rg-panel-id", make("span", "rg-mono", visible(node.id)), copy)),
      this.form, this.answer, this.facts = make("div")), { "aria-label": "details" });
    this.element.addEventListener("keydown", event => {
      if (event.key === "Escape") { event.stopPropagation(); widget.select(null); }
    });
  }
  say(text, tone) { put(this.answer, { text: visible(text), "data-tone": tone || null, shown: Boolean(text) }); }
  /* Asks the kernel for the details once per state of the node, and makes anew only what changed. */
  draw() {
    const { widget } = this, { run } = widget, node = run.byId.get(this.id);
    const stamp = `${node.state} ${node.attempt} ${node.ended}`;
    if (isNew(this, stamp)) this.ask(node);
    put(this.pill, { class: `rg-pill rg-s-${node.state}` });
    if (isNew(this.pill, node.state)) this.pill.replaceChildren(icon(node.state), STATES[node.state].word);
    put(this.live, { text: COUNTS_DOWN.has(node.state) ? run.detail(node) : run.tookText(node) }); this.drawForm(node);
    const shown = `${stamp} ${node.caught} ${Boolean(this.unheard)}`;
    if (this.drawn === shown && this.drawnFrom === this.told) return;
    Object.assign(this, { drawn: shown, drawnFrom: this.told });
    this.facts.replaceChildren(...this.sections(node));
  }
  ask(node) {
    const { widget } = this;
    clearTimeout(this.waiting); widget.send({ kind: "detail", id: node.id });
    this.waiting = setTimeout(() => { if (!this.told) { this.unheard = true; widget.schedule(true); } }, DETAIL_MS);
  }
  /* The form is made once per promise and kind of answer, so that nothing a person typed is ever redrawn away. */
  drawForm(node) {
    const waits = node.state === "waiting";
    if (waits && isNew(this.form, this.mode)) this.makeForm(node);
    if (!waits && this.text?.value.trim() && !this.sent)
      this.say(`Was ${STATES[node.state].word} elsewhere. Nothing was sent.`, "bad");
    if (!waits) this.text = null;
    put(this.form, { shown: waits });
  }
  makeForm(node) {
    const words = FORMS[this.mode], ask = node.arguments.find(([name]) => name === "ask")?.[1];
    this.text = Object.assign(make("textarea"), { rows: 2, spellcheck: false, value: this.text?.value ?? "" });
    this.text.addEventListener("keydown", event => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); this.submit(); }
    });
    this.go = makeButton(`rg-button rg-go rg-s-${words.state}`, words.send, () => this.submit());
    this.form.replaceChildren(
      paragraph("rg-ask", ask ? ask.replace(/^(['"])(.*)\1$/s, "$2") : `${node.name} waits for a value.`),
      make("label", "", make("span", "", words.label), this.text),
      make("div", "rg-form-line", this.go, makeButton("rg-button", words.other, () => this.open(words.opens))),
      make("p", "rg-says", words.says));
    this.say("", "");
  }
  open(mode) { this.mode = mode; this.draw(); this.text?.focus(); }
  submit() {
    const text = this.text.value;
    if (this.mode === "resolve" && !text.trim()) return this.say("Write a value, for example None.", "bad");
    this.sent = this.go.disabled = true;
    this.widget.request({ kind: this.mode, id: this.id, text }, (answer, tone) => {
      this.say(answer, tone);
      if (tone === "bad") this.sent = this.go.disabled = false;
    });
  }
  sections(node) {
    const { told } = this, error = told?.error || node.error, out = [];
    if (errorOf({ ...node, error })) out.push(section(node.state === "retrying" ? "Last error" : "Error",
      paragraph("rg-error-line", error),
      told?.traceback ? make("pre", "rg-code rg-bad", visible(told.traceback, true)) : null,
      node.caught ? make("p", "rg-quiet", "Its caller caught it, so the run went on.") : null));
    if (node.state === "resolved" || node.state === "recovered") out.push(section("Value",
      told ? make("pre", "rg-code", visible(told.value ?? "None", true)) : make("p", "rg-quiet", this.unheard
        ? "The kernel does not answer: it is busy, or was restarted since." : "Asking the kernel…"),
      node.state === "recovered" ? make("p", "rg-quiet", "Its result came from the store. Not run again.") : null));
    const pairs = told?.arguments ?? node.arguments, tags = Object.entries(told?.tags ?? {});
    if (pairs.length) out.push(section("Arguments", pairList(pairs)));
    out.push(section("Times", pairList(this.times(node))));
    if (tags.length) out.push(section("Tags", make("div", "rg-tags",
      ...tags.map(([name, value]) => make("span", "rg-tag", `${visible(name)}: ${visible(value)}`)))));
    return out;
  }
  times(node) {
    const { told } = this, at = ms => ms == null ? null : clockTime(this.widget.run.info.started + ms);
    const settled = SETTLED.has(node.state), isCall = node.kind !== "promise" && node.kind !== "sleep";
    const attempts = isCall ? told?.attempts || node.attempt : 0;
    return [["created", at(node.created)], ["started", at(node.began)],
      [node.state === "retrying" ? "next try" : "wakes", COUNTS_DOWN.has(node.state) ? at(node.due) : null],
      ["settled", settled ? at(node.ended) : "not yet"], ["times out", settled ? null : at(told?.timeout)],
      ["attempts", attempts ? `${attempts}${node.limit ? ` of ${node.limit} at most` : ""}` : null],
    ].filter(pair => pair[1] !== null);
  }
}

/* ---------- Header ------------------------------------------------------------------------------------------------ */

class Header {
  constructor(widget) {
    const parts = { elapsed: make("b"), call: make("span", "rg-run-call rg-mono"), id: make("span", "rg-run") };
    for (const name of ["glyph", "word", "sign", "where"]) parts[name] = make("span", name === "glyph" ? "rg-glyph" : "");
    Object.assign(this, { widget, parts, note: make("div", "rg-note"),
      bar: put(make("div", "rg-bar", ...BAR_ORDER.map(state => make("i", `rg-s-${state}`))), { role: "progressbar" }),
      pill: make("span", "", parts.glyph, parts.word), place: make("span", "rg-fact", parts.sign, parts.where),
      spoken: put(make("div", "rg-unseen"), { "aria-live": "polite" }),
      actions: make("div", "rg-actions", makeButton("rg-button", "Detach", () => widget.detach()),
        makeButton("rg-button", "Cancel…", () => widget.askCancel())),
      tabs: put(make("div", "rg-tabs", this.makeTab("graph", "Graph"), this.makeTab("tree", "Tree")),
        { role: "tablist", "aria-label": "view" }),
      chips: put(make("div", "rg-chips", ...BAR_ORDER.map(state => this.makeChip(state))),
        { role: "group", "aria-label": "calls by state; press to show only these" }) });
    this.element = make("header", "rg-head", make("div", "rg-line", this.pill, parts.id, parts.call,
      make("div", "rg-facts", make("span", "rg-fact", sign("clock"), parts.elapsed), this.place), this.actions),
    this.bar, this.note, make("div", "rg-line-3", this.tabs, this.chips), this.spoken);
  }
  makeTab(kind, label) {
    const tab = Object.assign(makeButton("", label, () => this.widget.choose(kind)), { rgKind: kind });
    tab.addEventListener("keydown", event => {
      const other = tab.nextSibling ?? tab.previousSibling;
      if (event.key === "ArrowRight" || event.key === "ArrowLeft") { other.focus(); other.click(); }
    });
    return put(tab, { role: "tab" });
  }
  draw() {
    const { widget, parts } = this, { run } = widget, { root, state } = run, stale = widget.staleMs, { where } = run.info;
    put(this.pill, { class: `rg-pill rg-s-${stale ? "pending" : state}` }); setIcon(parts.glyph, state, true);
    put(parts.word, { text: STATES[state].word + (stale ? ` ${wholeSeconds(stale)} ago` : "") });
    put(parts.id, { text: run.info.id, title: run.info.id });
    const call = root ? clip(callText(root), 400) : "";
    put(parts.call, { text: call, title: call });
    put(parts.elapsed, { text: !root ? "" : run.settled ? duration((root.ended ?? run.now) - root.created)
      : wholeSeconds(run.now - root.created) });
    if (isNew(parts.sign, where.kind)) parts.sign.replaceChildren(sign(where.kind));
    put(parts.where, { text: where.label }); put(this.place, { title: WHERE_SAYS[where.kind] });
    put(this.actions, { shown: root !== null && !run.settled && !widget.detached });
    this.drawCounts(run); this.drawNote(widget.currentNote());
    for (const tab of this.tabs.children) {
      const chosen = tab.rgKind === widget.kind;
      put(tab, { "aria-selected": String(chosen), tabindex: chosen || widget.kind === "empty" ? "0" : "-1" });
    }
    // Spoken to those who listen: at most one sentence in five seconds, the last one always.
    if (!run.settled && performance.now() - (this.spokenAt ?? -SAY_MS) < SAY_MS) return;
    this.spokenAt = performance.now();
    put(this.spoken, { text: `${run.info.id} ${STATES[state].word}, ${countsText(run.counts, BAR_ORDER)}` });
  }
  /* One part of the bar and one chip per state; those that count nothing are hidden. A chip that is pressed stays while its
   * count is 0, or the filter could not be taken away. */
  drawCounts({ counts, order, settledCount }) {
    BAR_ORDER.forEach((state, at) => {
      const chip = this.chips.children[at], pressed = this.widget.filter === state;
      const text = `${count(counts[state])} ${STATES[state].word}`, $width = `${100 * counts[state] / (order.length || 1)}%`;
      put(this.bar.children[at], { $width, shown: counts[state] > 0 });
      put(chip.querySelector("b"), { text: count(counts[state]) });
      put(chip, { shown: counts[state] > 0 || pressed, "aria-pressed": String(pressed), "aria-label": text,
        title: `${text} · press to show only these` });
    });
    const text = `${count(settledCount)} of ${plural(order.length, "call")} settled`;
    put(this.bar, { "aria-valuenow": settledCount, "aria-valuemax": order.length, "aria-label": text, title: text });
  }
  makeChip(state) {
    const chip = makeButton(`rg-chip rg-s-${state}${STATES[state].hot ? " rg-hot" : ""}`, icon(state, true),
      () => this.widget.filterBy(state));
    chip.append(make("b"), make("span", "rg-chip-word", STATES[state].word));
    return chip;
  }
  /* One line between bar and tabs. Its buttons are made once per kind of note, so that focus stays on them. */
  drawNote(told) {
    put(this.note, { shown: told !== null });
    if (isNew(this.note, told?.key) && told) {
      Object.assign(this.note, { rgStrong: make("b"), rgText: make("span"), className: `rg-note rg-s-${told.state}` });
      const line = put(make("p", "", this.note.rgStrong, " ", this.note.rgText), { role: "status" });
      this.note.replaceChildren(icon(told.state, true), line,
        ...told.buttons.map(([label, action, mood = ""]) => makeButton(`rg-button rg-small ${mood}`, label, action)));
    }
    if (!told) return;
    put(this.note.rgStrong, { text: told.strong }); put(this.note.rgText, { text: told.text });
  }
}

/* ---------- the widget: one view of one run ------------------------------------------------------------------------ */

class Widget {
  constructor(model, host) {
    Object.assign(this, { model, run: new Run(), rows: [], requests: new Map(), newsAt: performance.now(), detached: false,
      folds: new Map(),      // row key -> whether a person opened or folded it
      filter: null,          // the state a chip filters by
      selected: null,        // id of the node in the panel
      current: null,         // key of the row that has the keyboard
      chosen: null });       // the tab a person chose
    this.header = new Header(this);
    Object.assign(this, { body: make("div", "rg-body"), hints: make("div", "rg-hints"), tooMany: make("div", "rg-too-many") });
    // JupyterLab's own keys (arrows, Enter, Escape, letters) would otherwise act on the cell while the tree has the focus.
    this.element = put(make("section", "rg", this.header.element, this.body),
      { "aria-label": "durable run", "data-lm-suppress-shortcuts": "true" });
    host.append(this.element); this.watch(); this.connect();
  }
  watch() {
    this.setTone = () => put(this.element, { "data-tone": toneOf(this.element) });
    this.sizes = new ResizeObserver(entries => this.resized(entries[0].contentRect.width));
    this.sizes.observe(this.element);
    this.themes = new MutationObserver(() => { this.setTone(); setTimeout(this.setTone, 300); });
    for (const watched of [document.documentElement, document.body]) this.themes.observe(watched,
      { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "data-theme", "class", "style"] });
    this.clock = setInterval(() => this.tick(), 1000); this.setTone();
  }
  connect() {
    this.onMessage = message => this.receive(message); this.model.on("msg:custom", this.onMessage);
    const kept = this.model.get("snapshot");
    if (kept?.kind === "snapshot") this.run.load(kept);
    this.askedAt = performance.now(); this.send({ kind: "hello" }); this.schedule();
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
    this.moves?.disconnect(); this.gone = true; this.model.off("msg:custom", this.onMessage); this.sizes.disconnect(); this.themes.disconnect();
    clearInterval(this.clock); cancelAnimationFrame(this.frame);
    for (const request of this.requests.values()) clearTimeout(request.timer);
    this.view?.remove(); this.element.remove();
  }
  /* -- messages -- */
  send(message) {
    try { this.model.send(message); } catch { return false; }
    return true;
  }
  receive(message) {
    this.newsAt = performance.now(); this.run.frozen = this.detached;
    if (message.kind === "snapshot") this.takeSnapshot(message);
    else if (message.kind === "ops") { if (!this.run.apply(message)) this.askSnapshot(); }
    else if (message.kind === "tick") this.run.heard(message.now);
    else if (message.kind === "detail" && this.panel?.id === message.id) this.panel.told = message;
    else if (message.kind === "reply") this.takeReply(message);
    else if (message.kind === "final") this.prepareToStay();
    this.schedule();
  }
  takeSnapshot(message) {
    const before = this.run.info.id;
    this.run.load(message); Object.assign(this, { askedAt: null, detached: false }); this.run.frozen = false;
    if (before && before !== this.run.info.id) {
      this.folds.clear(); this.filter = this.selected = this.current = null;
    }
  }
  /* Batches that come while a snapshot is on its way are no reason to ask for another one. */
  askSnapshot() {
    const at = performance.now();
    if (this.askedAt !== null && at - this.askedAt < ASK_AGAIN_MS) return;
    this.askedAt = at; this.send({ kind: "snapshot" });
  }
  /* Sends something that wants a reply; `say(text, tone)` is told how it goes, with tone "good" or "bad" at the end. */
  request(message, say) {
    const token = Array.from(crypto.getRandomValues(new Uint32Array(3)), part => part.toString(36)).join("-");
    if (!this.send({ ...message, token })) return say("The kernel cannot be reached.", "bad");
    say("Sent. Waiting for the kernel…", "");
    this.requests.set(token, { say, timer: setTimeout(() => say("Queued: the kernel is busy.", ""), QUEUED_MS) });
  }
  takeReply(message) {
    const request = this.requests.get(message.token);
    if (!request) return;
    this.requests.delete(message.token); clearTimeout(request.timer);
    request.say(message.text, message.ok ? "good" : "bad");
  }
  /* Milliseconds without news once that is too long, else 0. A settled or detached run has no news to give. */
  get staleMs() {
    const quiet = performance.now() - this.newsAt;
    return quiet < STALE_MS || this.run.settled || this.detached ? 0 : quiet;
  }
  tick() {
    if (this.run.settled || this.detached) return;
    this.run.frozen = this.staleMs > 0;
    if (!document.hidden) this.schedule();
  }
  /* -- what the person does -- */
  choose(kind) { this.chosen = kind; this.schedule(); }
  filterBy(state) { this.filter = this.filter === state ? null : state; this.schedule(); }
  toggle(row) { this.folds.set(row.key, !row.open); this.schedule(); }
  detach() {
    this.send({ kind: "detach" }); this.run.heard(this.run.now); this.detached = this.run.frozen = true;
    this.schedule();
  }
  askCancel() {
    this.cancelling = { text: null }; this.schedule(true);
    this.header.note.querySelector("button:last-of-type")?.focus();
  }
  cancel() { this.request({ kind: "cancel" }, (text, tone) => { this.cancelling = { text, tone }; this.schedule(); }); }
  press(row) {
    if (row.more) { this.folds.set(row.more, true); return this.schedule(); }
    if (row.stack) return this.toggle(row);
    this.select(this.selected === row.node.id ? null : row.node.id);
  }
  select(id) {
    const closing = id === null && this.selected !== null;
    this.selected = id; this.schedule(true);
    if (id !== null && this.coversView) this.panel?.close.focus();
    if (closing) this.focusRow(this.current);
  }
  answer(node, mode) {
    Object.assign(this, { current: node.key, selected: node.id }); this.schedule(true); this.panel?.open(mode);
  }
  /* Opens whatever hides a node, from the root down, then selects it. */
  reveal(node) {
    const path = [], isShown = key => buildRows(this.run, this.folds, null).some(row => row.key === key);
    for (let up = node; up.parent; up = up.parent) path.unshift(up);
    for (const step of path) {
      if (!isShown(step.key)) this.folds.set(step.parent.key, true);
      if (!isShown(step.key)) this.folds.set(stackKey(step.parent, step.name), true);
    }
    Object.assign(this, { filter: null, current: node.key, selected: node.id });
    this.schedule(true); this.view?.reveal(node.key);
  }
  onClick(event) {
    const item = event.target.closest("[role=treeitem]");
    if (!item || event.target.closest("button")) return;
    this.setCurrent(item.rgRow.key); this.press(item.rgRow);
  }
  onKey(event) {
    const row = event.target.rgRow, at = this.rows.indexOf(row), last = this.rows.length - 1;
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const goTo = place => this.focusRow(this.rows[Math.max(0, Math.min(last, place))]?.key);
    const actions = {
      ArrowDown: () => goTo(at + 1), ArrowUp: () => goTo(at - 1), Home: () => goTo(0), End: () => goTo(last),
      ArrowRight: () => row.foldable && !row.open ? this.toggle(row) : row.kids.length ? goTo(at + 1) : null,
      ArrowLeft: () => row.foldable && row.open && row.depth ? this.toggle(row) : row.up ? this.focusRow(row.up.key) : null,
      Enter: () => this.press(row), " ": () => this.press(row), Escape: () => this.select(null),
    };
    if (!Object.hasOwn(actions, event.key)) return;
    event.preventDefault(); event.stopPropagation(); actions[event.key]();
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
    if (!now) { this.frame ??= requestAnimationFrame(() => this.schedule(true)); return; }
    cancelAnimationFrame(this.frame); this.frame = null; this.update();
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
    this.rows = buildRows(run, this.folds, this.filter); this.updatePanel();
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
    const keys = new Set(this.rows.map(row => row.key));
    if (keys.has(this.current)) return;
    let row = before.find(candidate => candidate.key === this.current);
    while (row && !keys.has(row.key)) row = row.up;
    this.current = row?.key ?? this.rows[0]?.key ?? null;
  }
  updatePanel() {
    const node = this.run.byId.get(this.selected);
    if (this.panel && this.panel.id !== node?.id) { this.panel.element.remove(); this.panel = null; }
    if (node && !this.panel) this.body.append((this.panel = new Panel(this, node)).element);
    this.panel?.draw();
  }
  /* Graph while a person can read it, with some slack so that a run at the limit does not flip to and fro. */
  pickKind() {
    const { run, rows } = this, most = this.kind === "tree" ? BOXES_CHOSEN * .8 : BOXES_CHOSEN;
    this.boxCount = 0;
    if (!run.root || (run.order.length === 1 && run.root.state === "pending")) return "empty";
    const kind = this.chosen ?? (rows.length <= most && this.width >= GRAPH_FROM_PX ? "graph" : "tree");
    if (kind === "tree" || rows.length <= BOXES_AT_MOST) return kind;
    this.boxCount = rows.length;
    return "tree";
  }
  mount(kind) {
    this.kind = kind; this.view?.remove(); this.empty?.remove(); this.view = this.empty = null;
    if (kind === "empty") return this.body.prepend(this.empty = make("div", "rg-empty"));
    this.view = kind === "graph" ? new GraphView(this) : new TreeView(this);
    this.view.scroll.addEventListener("click", event => this.onClick(event));
    this.view.scroll.addEventListener("keydown", event => this.onKey(event));
    this.view.scroll.addEventListener("focusin", event => {
      const item = event.target.closest("[role=treeitem]");
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
  currentNote() {
    const { run, staleMs } = this;
    if (staleMs) return { key: "stale", state: "timedout", strong: `No news for ${wholeSeconds(staleMs)}.`,
      text: "The kernel is busy or gone; the run itself may well go on.",
      buttons: [["Ask again", () => this.send({ kind: "snapshot" })]] };
    if (this.cancelling && !run.settled) return this.cancelNote(this.cancelling);
    if (this.detached) return { key: "detached", state: "pending", strong: "Detached.", buttons: [],
      text: `${run.info.id} goes on. %resonate attach ${run.info.id} shows it again.` };
    return run.root && FAILED.has(run.root.state) ? this.failureNote() : null;
  }
  cancelNote({ text, tone }) {
    const dismiss = () => { this.cancelling = null; this.schedule(); };
    if (text !== null) return { key: `cancel ${tone}`, state: tone === "bad" ? "rejected" : "pending", strong: "",
      text: visible(text), buttons: tone ? [["Dismiss", dismiss]] : [] };
    const flying = this.run.counts.running, ends = flying === 1 ? "ends on its own, its" : "end on their own, their";
    return { key: "cancel?", state: "rejected", strong: `Cancel ${this.run.info.id}?`,
      text: `${plural(flying, "step")} in flight ${ends} results are dropped.`,
      buttons: [["Cancel the run", () => this.cancel(), "rg-no"], ["Keep going", dismiss]] };
  }
  failureNote() {
    const { root, counts: { cancelled } } = this.run, node = this.run.culprit();
    const tries = node.attempt > 1 ? `, after ${node.attempt} attempts` : "";
    const were = cancelled === 1 ? "was" : "were";
    const lost = cancelled ? ` ${plural(cancelled, "call")} that had not settled ${were} cancelled.` : "";
    return { key: `failed ${node.key}`, state: root.state, text: `in ${clip(callText(node), 120)}${tries}.${lost}`,
      strong: clip(node.error || root.error || STATES[root.state].word, 300),
      buttons: [["Show it", () => this.reveal(this.run.culprit())]] };
  }
  /* Pills at the lower edge for what needs a look but is scrolled out of sight. */
  showHints() {
    if (!this.view) return;
    const top = this.view.scroll.scrollTop, bottom = top + this.viewHeight - 4;
    const hot = this.rows.filter(row => row.node && STATES[row.state].hot);
    const places = hot.map(row => ({ row, y: this.view.offsetOf(row) }));
    const hints = [["↑", places.filter(({ y }) => y < top)], ["↓", places.filter(({ y }) => y > bottom)]]
      .filter(([, list]) => list.length).map(([arrow, list]) => hintOf(arrow, list));
    if (!isNew(this.hints, hints.map(hint => `${hint.text} ${hint.y}`).join())) return;
    this.hints.replaceChildren(...hints.map(({ row, y, text }) => {
      const button = makeButton(`rg-s-${row.state}`, icon(row.state, true), () => {
        this.view.scroll.scrollTop = Math.max(0, y - this.view.scroll.clientHeight / 2);
      });
      button.append(text);
      return button;
    }));
  }
}

/* The most urgent of several rows, and what to say of its kind. */
function hintOf(arrow, places) {
  const { row, y } = places.reduce((best, place) => rank(place.row.state) < rank(best.row.state) ? place : best);
  const same = places.filter(place => place.row.state === row.state).length;
  const alone = row.state === "waiting" && same === 1 ? `${clip(row.node.name, 40)} waits for you` : null;
  return { row, y, text: `${arrow} ${alone ?? `${count(same)} ${STATES[row.state].word}`}` };
}

/* Light or dark by the luminance of the ground we stand on, not by a theme's name: every host paints it, no two agree on
 * names. Where JupyterLab's variables paint our own ground, that one counts. */
function toneOf(element) {
  const themed = getComputedStyle(element).getPropertyValue("--jp-layout-color1").trim();
  for (let at = themed ? element : element.parentNode; at; at = at.parentNode ?? at.host) {
    if (!(at instanceof Element)) continue;
    const text = getComputedStyle(at).backgroundColor, scale = text.startsWith("rgb") ? 255 : 1;
    const [red, green, blue, alpha = 1] = (text.match(/[\d.]+(?:e-?\d+)?/g) ?? []).map(Number);
    if (blue === undefined || alpha < 0.5) continue;
    const linear = part => part / scale <= 0.04045 ? part / scale / 12.92 : ((part / scale + 0.055) / 1.055) ** 2.4;
    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue) < 0.35 ? "dark" : "light";
  }
  return getComputedStyle(document.documentElement).colorScheme === "dark" ? "dark" : "light";
}

export default {
  render({ model, el }) {
    const widget = new Widget(model, el);
    return () => widget.leave();
  },
};
