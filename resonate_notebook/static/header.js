/* Header: what the run is, how far it is, and what is shown of it. */

import { draw, isNew, make, makeButton, put, visible } from "./document.js";
import { BAR_ORDER, icon, setIcon, sign, STATES, WHERE_SAYS } from "./states.js";
import { callText, clip, count, countsText, duration, plural, wholeSeconds } from "./formats.js";
import { noteOf } from "./notes.js";
import { BUSY_MS } from "./parts.js";

const SAY_MS = 5000;

export class Header {
  constructor(widget) {
    const parts = { elapsed: make("b"), call: make("span", "rg-run-call rg-mono"), id: make("span", "rg-run") };
    for (const name of ["glyph", "word", "sign", "where"]) parts[name] = make("span", name === "glyph" ? "rg-glyph" : "");
    Object.assign(this, { widget, parts, note: make("div", "rg-note"),
      bar: put(make("div", "rg-bar", ...BAR_ORDER.map(state => make("i", `rg-s-${state}`))), { role: "progressbar" }),
      pill: make("span", "", parts.glyph, parts.word), place: make("span", "rg-fact", parts.sign, parts.where),
      spoken: put(make("div", "rg-unseen"), { "aria-live": "polite" }),
      detach: makeButton("rg-button", "Detach", () => widget.detach()), cancel: makeButton("rg-button", "Cancel…", () => widget.askCancel()),
      retry: put(makeButton("rg-button", "Retry", () => widget.act({ kind: "retry" })),
        { title: "starts a new run, which takes over every step that has a value" }),
      kin: [this.makeKin("retryOf", "retry of"), this.makeKin("retried", "retried as")],
      tabs: put(make("div", "rg-tabs", this.makeTab("graph", "Graph"), this.makeTab("tree", "Tree"),
        this.makeTab("timeline", "Timeline"), this.makeTab("table", "Table")),
        { role: "tablist", "aria-label": "view" }),
      chips: put(make("div", "rg-chips", ...BAR_ORDER.map(state => this.makeChip(state))),
        { role: "group", "aria-label": "calls by state; press to show only these" }) });
    this.element = make("header", "rg-head", make("div", "rg-line", this.pill, parts.id, parts.call,
      make("div", "rg-facts", make("span", "rg-fact", sign("clock"), parts.elapsed), this.place),
      this.actions = make("div", "rg-actions", ...this.kin, this.retry, this.detach, this.cancel)),
    this.bar, this.note, make("div", "rg-line-3", this.tabs, this.makeSearch(), this.chips), this.spoken);
  }
  /* The run that this one is the retry of, or that was made to retry this one: shown here instead when pressed. */
  makeKin(name, words) {
    const button = makeButton("rg-button rg-kin", "", () => this.widget.act({ kind: "show", id: this.widget.run.info[name] }));
    return Object.assign(button, { rgKin: name, rgWords: words });
  }
  /* Words to search for; what was found is told to those who listen. */
  makeSearch() {
    this.words = put(make("input"), { type: "search", placeholder: "Search", "aria-label": "search calls by name, argument, id or error",
      spellcheck: "false", autocomplete: "off" });
    this.words.addEventListener("input", () => this.widget.search(this.words.value));
    this.words.addEventListener("keydown", event => {
      event.stopPropagation();
      if (event.key === "Escape" && this.words.value) { event.preventDefault(); this.clearSearch(); this.widget.search(""); }
    });
    this.found = put(make("span", "rg-unseen"), { role: "status" });
    return this.searchBox = make("div", "rg-search", this.words, this.found);
  }
  clearSearch() { this.words.value = ""; this.widget.sought = ""; }
  makeTab(kind, label) {
    const tab = Object.assign(makeButton("", label, () => this.widget.choose(kind)), { rgKind: kind });
    tab.addEventListener("keydown", event => {
      const all = [...this.tabs.children], at = all.indexOf(tab), step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const other = step ? all[(at + step + all.length) % all.length] : { Home: all[0], End: all.at(-1) }[event.key];
      if (other) { event.preventDefault(); other.focus(); other.click(); }
    });
    return put(tab, { role: "tab" });
  }
  draw() {
    const { widget, parts } = this, { run } = widget, { root, state } = run, stale = widget.staleMs, { where } = run.info;
    put(this.pill, { class: `rg-pill rg-s-${stale ? "pending" : state}` }); setIcon(parts.glyph, state, true);
    put(parts.word, { text: run.word + (stale ? ` ${wholeSeconds(stale)} ago` : "") });
    put(parts.id, { text: run.info.id, title: run.info.id });
    const call = root ? clip(callText(root), 400) : "";
    put(parts.call, { text: call, title: call });
    put(parts.elapsed, { text: !root ? "" : run.settled ? duration((root.ended ?? run.now) - root.created)
      : wholeSeconds(run.now - root.created) });
    if (isNew(parts.sign, where.kind)) parts.sign.replaceChildren(sign(where.kind));
    put(parts.where, { text: where.label }); put(this.place, { title: WHERE_SAYS[where.kind] });
    const goesOn = root !== null && !run.settled && !widget.detached && !widget.cut;
    put(this.detach, { shown: goesOn }); put(this.cancel, { shown: goesOn });
    put(this.retry, { shown: run.settled && !widget.cut && root.state !== "resolved" && root.state !== "recovered" && !run.info.retried });
    for (const button of this.kin) {
      const id = run.info[button.rgKin];
      put(button, { text: `${button.rgWords} ${clip(visible(id), 24)}`, title: `show ${visible(id)} here`, shown: Boolean(id) && !widget.cut });
    }
    put(this.searchBox, { shown: run.order.length > 1 });
    put(this.found, { text: widget.sought.trim() ? `${count(widget.foundCount)} of ${plural(run.order.length, "call")} found` : "" });
    this.drawCounts(run); this.drawNote(noteOf(widget));
    for (const tab of this.tabs.children) {
      const chosen = tab.rgKind === widget.kind;
      put(tab, { "aria-selected": String(chosen), tabindex: chosen || widget.kind === "empty" ? "0" : "-1" });
    }
    // Spoken to those who listen: at most one sentence in five seconds, the last one always.
    if (!run.settled && performance.now() - (this.spokenAt ?? -SAY_MS) < SAY_MS) return;
    this.spokenAt = performance.now();
    put(this.spoken, { text: `${run.info.id} ${run.word}, ${countsText(run.counts, BAR_ORDER)}` });
  }
  /* One part of the bar and one chip per state; those that count nothing are hidden. A chip that is pressed stays while its
   * count is 0, or the filter could not be taken away. */
  drawCounts({ counts, order, settledCount }) {
    if (isNew(this.bar, Object.values(counts).join())) {      // only single changes move, as in the views
      const at = performance.now();
      this.bar.classList.toggle("rg-moving", at - (this.movedAt ?? -BUSY_MS) > BUSY_MS); this.movedAt = at;
    }
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
