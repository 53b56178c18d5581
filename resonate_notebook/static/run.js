/* The run as the kernel told it. */

import { visible } from "./document.js";
import { FAILED, noCounts, SETTLED, STATES, TRAITS, WHERE_SAYS } from "./states.js";
import { duration, wholeSeconds } from "./formats.js";

const FIELDS = { b: "began", e: "ended", n: "attempt", m: "limit", d: "due", c: "caught" };

export class Run {
  constructor() {
    Object.assign(this, { seq: null, frozen: false, info: { id: "", where: { kind: "memory", label: "" }, started: 0 } });
    this.heard(0); this.clear();
  }
  clear() {
    Object.assign(this, { byIndex: new Map(), byId: new Map(), order: [], root: null, shares: new Map() });   // order: parents before their kids
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
    this.clear(); this.seq = snapshot.seq; this.setInfo({ retried: "", retryOf: "", away: "", ...snapshot.run });
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
  setInfo({ id, where, started, retried, retryOf, away }) {
    if (id !== undefined) this.info.id = visible(id);
    if (retried !== undefined) this.info.retried = String(retried);           // ids of the runs before and after a retry
    if (retryOf !== undefined) this.info.retryOf = String(retryOf);
    if (started !== undefined) this.info.started = started;
    if (away !== undefined) this.info.away = visible(away);
    const kind = Object.hasOwn(WHERE_SAYS, where?.kind ?? "") ? where.kind : "memory";
    if (where) this.info.where = { kind, label: visible(where.label) };
  }
  add(told) {
    if (this.byIndex.has(told.i)) return this.setState(this.byIndex.get(told.i), told);
    const parent = this.byIndex.get(told.p) ?? this.root;
    const node = { index: told.i, key: `n${told.i}`, id: String(told.id), name: visible(told.f), kind: told.k, parent,
      arguments: (told.a ?? []).map(pair => pair.map(text => visible(text))), created: told.t ?? 0, kids: [], sharedBy: [],
      peers: null, groups: null,             // the kids of its parent with its name, itself among them; those of its kids by name
      state: "pending", traits: TRAITS.pending, size: 1, open: 0, hot: 0, alive: false, clean: false,       // see `summarise`
      error: "", value: null, tries: [] };                                  // tries: begin, end, begin, end, … of attempts
    this.setState(node, told);
    if (parent) this.addKid(parent, node); else this.root = node;
    this.byIndex.set(told.i, node); this.byId.set(node.id, node); this.order.push(node);
  }
  addKid(parent, node) {
    const groups = parent.groups ??= new Map(), peers = groups.get(node.name);
    parent.kids.push(node);
    if (peers) { peers.push(node); node.peers = peers; } else groups.set(node.name, node.peers = [node]);
  }
  setState(node, told) {
    if (told.s !== undefined) { node.state = Object.hasOwn(STATES, told.s) ? told.s : "pending"; node.traits = TRAITS[node.state]; }
    if (told.x !== undefined) { node.error = visible(told.x); node.haystack = null; }
    if (told.w !== undefined) this.share(node, Array.isArray(told.w) ? told.w.map(Number) : []);
    if (told.h !== undefined) node.tries = Array.isArray(told.h) ? told.h.map(Number) : [];
    for (const [short, name] of Object.entries(FIELDS))
      if (told[short] !== undefined) node[name] = told[short] === null ? null : Number(told[short]);
  }
  /* Further calls that wait for a promise, by index: the kernel may tell of them before it has told them. */
  share(node, callers) {
    node.sharedBy = callers;
    for (const index of callers) this.shares.set(index, (this.shares.get(index) ?? new Set()).add(node));
  }
  callersOf(node) { return [node.parent, ...node.sharedBy.map(index => this.byIndex.get(index))].filter(caller => caller); }
  callsOf(node) { return [...node.kids, ...this.shares.get(node.index) ?? []]; }
  /* Counts of the run and of every subtree, kids before their parents. */
  summarise() {
    Object.assign(this, { counts: noCounts(), working: false });
    const { order, counts } = this;
    for (const node of order) {
      const { hot, alive, clean } = node.traits;
      node.size = 1; node.open = 0; node.hot = hot; node.alive = alive; node.clean = clean;
    }
    for (let at = order.length - 1; at >= 0; at--) {
      const node = order[at], { parent, state } = node;
      counts[state]++;
      if (state === "retrying" || (state === "running" && !node.open)) this.working = true;
      if (!parent) continue;
      parent.size += node.size; parent.hot += node.hot; parent.open += node.traits.open;
      if (node.alive) parent.alive = true;
      if (!node.clean) parent.clean = false;
    }
    this.settledCount = [...SETTLED].reduce((sum, state) => sum + this.counts[state], 0);
  }
  /* The run's own word: running while anything runs or retries, else what it waits for. */
  get state() {
    if (this.root?.state !== "running") return this.root?.state ?? "pending";
    return this.working ? "running" : this.counts.waiting ? "waiting" : this.counts.sleeping ? "sleeping" : this.root.state;
  }
  /* In words; a run that waits for the code that it began with is stopped. */
  get word() { return this.root?.state === "retrying" && !this.root.attempt ? "stopped" : STATES[this.state].word; }
  /* How long a node took so far; null when it has not begun, or was not run because its result came from the store. */
  tookMs(node) {
    const began = node.began ?? (node.kind === "promise" || node.kind === "sleep" ? node.created : null);
    if (began === null) return null;
    return (SETTLED.has(node.state) ? node.ended ?? this.now : this.now) - began;
  }
  tookText(node) {
    const ms = this.tookMs(node);
    return ms === null ? "" : SETTLED.has(node.state) ? duration(ms) : wholeSeconds(ms);
  }
  /* What a row says after the state's word. */
  detail(node) {
    const tries = `${node.attempt ?? 1}${node.limit ? ` of ${node.limit}` : ""}`;
    const after = node.attempt > 1 ? `after ${node.attempt} attempts` : "";
    const left = node.due == null ? "" : wholeSeconds(node.due - this.now);
    switch (node.state) {
      case "retrying": return !node.attempt ? "stopped" : `attempt ${tries} failed${left && `, next in ${left}`}`;
      case "sleeping": return left && `${left} left`;
      case "running": return node.attempt > 1 ? `attempt ${tries}` : "";
      case "pending": return node.kind === "rpc" || node.kind === "detached" ? "no worker has taken it yet" : "";
      case "recovered": return "not run again";
      case "rejected": return [after, node.caught ? "caught" : ""].filter(Boolean).join(" · ");
      case "resolved": return after;
      case "timedout": return node.ended == null ? "" : `after ${duration(node.ended - node.created)}`;
      default: return "";
    }
  }
  /* The second line of a box, in parts that can be dropped. */
  line(node) {
    const detail = node.state === "recovered" ? "" : this.detail(node);
    if (detail === "stopped") return detail;
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
