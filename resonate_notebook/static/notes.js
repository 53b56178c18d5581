/* The line between bar and tabs, and the pills at the lower edge: what a person should know before anything else. */

import { isNew, makeButton, visible } from "./document.js";
import { FAILED, icon, rank, STATES } from "./states.js";
import { callText, clip, count, plural, wholeSeconds } from "./formats.js";

/* What to say now, the most pressing alone; null for nothing. */
export function noteOf(widget) {
  const { run, staleMs, acting } = widget, { id, where, away } = run.info;
  if (widget.cut && !run.settled) return { key: "cut", state: "timedout", strong: "The kernel was stopped or restarted.", buttons: [],
    text: where.kind === "memory" ? `What is shown is how ${id} stood then. It was in memory and has gone with the kernel.`
      : `What is shown is how ${id} stood then. %load_ext resonate_notebook, then %resonate connect to ${where.label}, then `
        + `%resonate attach ${id} show it as it goes on.` };
  if (staleMs) return { key: "stale", state: "timedout", strong: `No news for ${wholeSeconds(staleMs)}.`,
    text: "The kernel is busy or gone; the run itself may well go on.",
    buttons: [["Ask again", () => widget.send({ kind: "snapshot" })]] };
  if (acting && (acting.text !== null || !run.settled)) return actingNote(widget, acting);
  if (where.kind === "server" && away && !run.settled)
    return { key: "away", state: "timedout", strong: "The server does not answer.", text: away, buttons: [] };
  if (widget.detached) return { key: "detached", state: "pending", strong: "Detached.",
    text: `${id} goes on. %resonate attach ${id} shows it again.`, buttons: [["Follow again", () => widget.hello()]] };
  return run.root && FAILED.has(run.root.state) ? failureNote(widget) : null;
}

function actingNote(widget, { text, tone }) {
  const { run } = widget, dismiss = () => { widget.acting = null; widget.schedule(); };
  if (text !== null) return { key: `acting ${tone}`, state: tone === "bad" ? "rejected" : "pending", strong: "",
    text: visible(text), buttons: tone ? [["Dismiss", dismiss]] : [] };
  const flying = run.order.filter(node => node !== run.root && node.kind === "run" && node.state === "running" && node.open === 0).length;
  const ends = flying === 1 ? "ends on its own, its result is" : "end on their own, their results are";
  return { key: "cancel?", state: "rejected", strong: `Cancel ${run.info.id}?`,
    text: flying ? `${plural(flying, "step")} in flight ${ends} dropped.` : "No step is in flight; what is open ends with the run.",
    buttons: [["Cancel the run", () => widget.act({ kind: "cancel" }), "rg-no"], ["Keep going", dismiss]] };
}

function failureNote(widget) {
  const { root, counts: { cancelled } } = widget.run, node = widget.run.culprit();
  const tries = node.attempt > 1 ? `, after ${node.attempt} attempts` : "", were = cancelled === 1 ? "was" : "were";
  const lost = cancelled ? ` ${plural(cancelled, "call")} that had not settled ${were} cancelled.` : "";
  return { key: `failed ${node.key}`, state: root.state, text: `in ${clip(callText(node), 120)}${tries}.${lost}`,
    strong: clip(node.error || root.error || STATES[root.state].word, 300),
    buttons: [["Show it", () => widget.reveal(widget.run.culprit())]] };
}

/* Pills for what needs a look but is scrolled out of sight. */
export function drawHints(element, { rows, view, viewHeight }) {
  const { top } = view, bottom = top + viewHeight - view.headPx - 4;
  const places = rows.filter(row => row.node && STATES[row.state].hot).map(row => ({ row, y: view.offsetOf(row) }));
  const hints = [["↑", places.filter(({ y }) => y < top)], ["↓", places.filter(({ y }) => y > bottom)]]
    .filter(([, list]) => list.length).map(([arrow, list]) => hintOf(arrow, list));
  if (!isNew(element, hints.map(hint => `${hint.text} ${hint.y}`).join())) return;
  element.replaceChildren(...hints.map(({ row, y, text }) => {
    const button = makeButton(`rg-s-${row.state}`, icon(row.state, true), () => {
      view.scroll.scrollTop = Math.max(0, y - view.scroll.clientHeight / 2);
    });
    button.append(text);
    return button;
  }));
}

/* The most urgent of several rows, and what to say of its kind. */
function hintOf(arrow, places) {
  const { row, y } = places.reduce((best, place) => rank(place.row.state) < rank(best.row.state) ? place : best);
  const same = places.filter(place => place.row.state === row.state).length;
  const alone = row.state === "waiting" && same === 1 ? `${clip(row.node.name, 40)} waits for you` : null;
  return { row, y, text: `${arrow} ${alone ?? `${count(same)} ${STATES[row.state].word}`}` };
}
