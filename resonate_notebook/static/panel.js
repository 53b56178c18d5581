/* Panel: everything about the selected call, what it prints and logs, and the form of a promise that waits for a person. */

import { draw, isNew, make, makeButton, put, visible } from "./document.js";
import { COUNTS_DOWN, icon, SETTLED, sign, STATES } from "./states.js";
import { clip, clockTime, count } from "./formats.js";
import { errorOf } from "./parts.js";
import { literalMistake } from "./literal.js";
import { attemptLines, callerLines, callLines, copyText } from "./facts.js";

const DETAIL_MS = 5000, LOG_LINES = 100;
const LOG_TONES = { warning: "warn", "log warning": "warn", "log error": "bad", "log critical": "bad" };

const FORMS = {
  resolve: { title: "Give it a value", label: "Value", send: "Resolve", other: "Reject…", opens: "reject", state: "waiting",
    says: "A Python literal or JSON; anything else is taken as text. A promise settles once. Ctrl+Enter sends." },
  reject: { title: "Reject it", label: "Reason", send: "Reject", other: "Back", opens: "resolve", state: "rejected",
    says: "The run gets this as an error, once and for all. Ctrl+Enter sends." },
};
const HEADING_CHARACTERS = 200;
/* What a promise asks of a person (its argument `ask`, a text in quotes), else the name of the call. */
function headingOf({ name, kind, arguments: pairs }, told) {
  const ask = kind === "promise" && (told?.arguments ?? pairs).find(pair => pair[0] === "ask")?.[1];
  return ask ? clip(visible(ask).replace(/^(['"])(.*)\1$/s, "$2"), HEADING_CHARACTERS) : name;
}
const section = (title, ...parts) => make("div", "rg-section", make("h4", "", title), ...parts);
const paragraph = (className, text) => make("p", className, visible(text, true));
const pairList = pairs => make("dl", "rg-pairs", ...pairs.flatMap(([name, text]) =>
  [make("dt", "", visible(name)), make("dd", "rg-mono", visible(text, true))]));

export class Panel {
  constructor(widget, node) {
    Object.assign(this, { widget, id: node.id, told: null, mode: "resolve" });      // told: the kernel's answer
    Object.assign(this, { lines: new Map(), earlier: make("p", "rg-quiet"), list: make("div", "rg-lines") });
    put(this.list, { role: "log", "aria-label": "log", "aria-live": "off", tabindex: "0" });
    this.log = put(section("Log", this.earlier, this.list), { shown: false });
    Object.assign(this, { pill: make("span"), live: make("span", "rg-took"), form: make("div", "rg-section rg-form") });
    this.close = put(makeButton("rg-close", sign("close"), () => widget.select(null)), { "aria-label": "close details" });
    const id = make("span", "rg-mono", visible(node.id));
    const copy = makeButton("rg-button rg-small", "Copy id", async () => put(copy, { text: await copyText(this.id, id) }));
    this.again = put(makeButton("rg-button rg-small", "Run again from here", () => widget.act({ kind: "retry", id: this.id })),
      { title: "starts a new run, which takes over what came before this step" });
    this.answer = put(make("p", "rg-answer"), { role: "status", shown: false });
    this.element = put(make("aside", "rg-panel",
      make("div", "rg-panel-head", make("div", "rg-panel-line", this.pill, this.live, this.close), this.heading = make("h3"),
        make("div", "rg-panel-id", id, copy, this.again)),
      this.form, this.answer, this.facts = make("div"), this.log, this.more = make("div")), { "aria-label": "details" });
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
    put(this.heading, { text: headingOf(node, this.told) }); put(this.again, { shown: run.settled && node !== run.root && !widget.cut });
    if (run.settled && this.answer.dataset.tone === "good") this.say("", "");      // that the run goes on is no longer true
    const linked = [...run.callersOf(node), ...run.callsOf(node)].map(other => `${other.index}${other.state}`).join();
    const shown = `${stamp} ${node.caught} ${Boolean(this.unheard)} ${linked}`;
    if (this.drawn === shown && this.drawnFrom === this.told) return;
    Object.assign(this, { drawn: shown, drawnFrom: this.told });
    this.facts.replaceChildren(...this.sections(node)); this.more.replaceChildren(...this.others(node));
  }
  ask(node) {
    const { widget } = this;
    clearTimeout(this.waiting); widget.send({ kind: "detail", id: node.id });
    this.waiting = setTimeout(() => { if (!this.told) { this.unheard = true; widget.schedule(true); } }, DETAIL_MS);
  }
  /* The form is made once per promise and kind of answer, so that nothing a person typed is ever redrawn away. */
  drawForm(node) {
    const waits = node.state === "waiting";
    if (waits && isNew(this.form, this.mode)) this.makeForm();
    if (!waits && this.text?.value.trim() && !this.sent)
      this.say(`Was ${STATES[node.state].word} elsewhere. Nothing was sent.`, "bad");
    if (!waits) this.text = null;
    if (!waits && this.hasFocus(this.form)) this.close.focus();
    put(this.form, { shown: waits });
    if (waits) put(this.buttons, { shown: !this.widget.cut });        // what was typed stays where it can be copied
  }
  makeForm() {
    const words = FORMS[this.mode];
    this.text = Object.assign(make("textarea"), { rows: 2, spellcheck: false, value: this.text?.value ?? "" });
    this.text.addEventListener("keydown", event => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); this.submit(); }
    });
    this.where = put(make("p", "rg-mistake"), { role: "alert", shown: false });
    this.text.addEventListener("input", () => put(this.where, { shown: false }));
    this.go = makeButton(`rg-button rg-go rg-s-${words.state}`, words.send, () => this.submit());
    this.form.replaceChildren(
      make("h4", "", words.title),
      make("label", "", make("span", "", words.label), this.text), this.where,
      this.buttons = make("div", "rg-form-line", this.go, makeButton("rg-button", words.other, () => this.open(words.opens))),
      make("p", "rg-says", words.says));
    this.say("", "");
  }
  hasFocus(part) { return part.contains(this.element.getRootNode().activeElement); }
  open(mode) { this.mode = mode; this.draw(); this.text?.focus(); }
  /* What begins like a literal and is none is shown where it breaks off, and sent as text only when that is asked for. */
  mistaken(text) {
    const empty = this.mode === "resolve" && !text.trim();
    const wrong = empty ? { at: 0, text: "Write a value, for example None." } : literalMistake(text);
    put(this.text, { "aria-invalid": wrong ? "true" : null });
    if (!wrong) return false;
    const lines = text.slice(0, wrong.at).split("\n"), place = `Line ${lines.length}, column ${lines.at(-1).length + 1}: `;
    this.where.replaceChildren(empty ? "" : place, wrong.text, " ",
      ...empty ? [] : [makeButton("rg-button rg-small", "Send as text", () => this.submit(true))]);
    put(this.where, { shown: true });
    this.text.focus(); this.text.setSelectionRange(wrong.at, Math.min(text.length, wrong.at + 1));
    return true;
  }
  submit(asText = false) {
    const text = this.text.value;
    if (this.sent || (!asText && this.mistaken(text))) return;
    put(this.where, { shown: false });
    if (this.hasFocus(this.form)) this.close.focus();         // the form is about to go
    this.sent = this.go.disabled = true;
    this.widget.request({ kind: this.mode, id: this.id, text }, (answer, tone) => {
      this.say(answer, tone);
      if (tone !== "bad") return;
      this.sent = this.go.disabled = false;
      if (this.hasFocus(this.close)) this.text?.focus();
    });
  }
  /* The kernel sends new lines, and those that have grown since, of a call with many the last ones only. */
  takeLog({ lines, total }) {
    for (const [number, ...line] of lines) this.lines.set(number, line);
    this.lines = new Map([...this.lines].sort(([one], [other]) => one - other).slice(-LOG_LINES));
    const { list } = this, atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 4, earlier = total - this.lines.size;
    put(this.log, { shown: true });
    put(this.earlier, { shown: earlier > 0, text: `${count(earlier)} earlier: %resonate logs ${visible(this.id)}` });
    list.replaceChildren(...this.logRows());
    if (atEnd) list.scrollTop = list.scrollHeight;
  }
  /* When and where is said once for lines that follow each other. */
  logRows() {
    const rows = [];
    let said = "";
    for (const [at, attempt, stream, text] of this.lines.values()) {
      const parts = [clockTime(this.widget.run.info.started + at), attempt > 1 ? `attempt ${attempt}` : null, visible(stream)];
      const head = parts.filter(part => part).join(" · "), tone = Object.hasOwn(LOG_TONES, stream) ? LOG_TONES[stream] : null;
      if (head !== said) rows.push(put(make("div", "rg-line-head", head), { "data-tone": tone }));
      rows.push(make("div", "rg-line", visible(text)));
      said = head;
    }
    return rows;
  }
  sections(node) {
    const { told } = this, error = told?.error || node.error, out = [];
    if (errorOf({ ...node, error })) out.push(section(node.state === "retrying" ? "Last error" : "Error",
      paragraph("rg-error-line", error),
      told?.traceback ? put(make("pre", "rg-code rg-bad", visible(told.traceback, true)), { tabindex: "0", "aria-label": "traceback" }) : null,
      node.caught ? make("p", "rg-quiet", "Its caller caught it, so the run went on.") : null));
    if (node.state === "resolved" || node.state === "recovered") out.push(section("Value",
      told ? make("pre", "rg-code", visible(told.value ?? "None", true)) : make("p", "rg-quiet", this.unheard
        ? "The kernel does not answer: it is busy, or was restarted since." : "Asking the kernel…"),
      node.state === "recovered" ? make("p", "rg-quiet", "Its result came from the store. Not run again.") : null));
    const pairs = told?.arguments ?? node.arguments;
    if (pairs.length) out.push(section("Arguments", pairList(pairs)));
    const { run } = this.widget, go = other => this.widget.reveal(other);
    for (const lines of [attemptLines(node, run.now), callerLines(run, node, go), callLines(run, node, go)])
      if (lines) out.push(section(...lines));
    return out;
  }
  /* What stands below the log. */
  others(node) {
    const tags = Object.entries(this.told?.tags ?? {}), times = section("Times", pairList(this.times(node)));
    return tags.length ? [times, section("Tags", make("div", "rg-tags",
      ...tags.map(([name, value]) => make("span", "rg-tag", `${visible(name)}: ${visible(value)}`))))] : [times];
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
