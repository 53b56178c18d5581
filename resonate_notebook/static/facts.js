/* What the panel says of a call beside its own values: its attempts, who called it and what it calls. */

import { make, makeButton, put } from "./document.js";
import { icon, rank, STATES } from "./states.js";
import { callText, clip, count, duration } from "./formats.js";

const CALLS_SHOWN = 8;

/* One line for each attempt that was seen: how it went, how long it took. The last failed one's error is told above. */
export function attemptLines({ tries, state, attempt, limit }, nowMs) {
  const number = Math.ceil(tries.length / 2), first = Math.max(1, (attempt ?? number) - number + 1);
  if (number < 2) return null;
  const lines = Array.from({ length: number }, (_, at) => {
    const [began, ended] = [tries[2 * at], tries[2 * at + 1]], how = ended !== undefined ? "rejected" : state;
    return make("li", `rg-s-${how}`, icon(how, true), make("span", "", `${first + at} ${ended !== undefined ? "failed" : STATES[how].word}`),
      make("span", "rg-after", duration((ended ?? nowMs) - began)));
  });
  return [limit ? `Attempts, ${limit} at most` : "Attempts", make("ol", "rg-list", ...lines)];
}

/* Buttons that lead to the caller and to the calls, the most urgent ones first where there are many. */
export function callerLines(run, node, go) {
  const callers = run.callersOf(node), title = callers.length > 1 ? `Awaited by, ${count(callers.length)}` : "Called by";
  return callers.length ? [title, make("ul", "rg-list", ...callers.map(caller => lineTo(caller, go)))] : null;
}
export function callLines(run, node, go) {
  const calls = run.callsOf(node);
  if (!calls.length) return null;
  const most = [...calls].sort((a, b) => rank(a.state) - rank(b.state) || a.index - b.index).slice(0, CALLS_SHOWN);
  const left = calls.length - most.length;
  return [`Calls, ${count(calls.length)}`, make("ul", "rg-list", ...most.sort((a, b) => a.index - b.index).map(kid => lineTo(kid, go)),
    left > 0 ? make("li", "", make("span", "rg-quiet", `and ${count(left)} more`)) : null)];
}
function lineTo(node, go) {
  const button = makeButton("rg-to", clip(callText(node), 80), () => go(node));
  return make("li", `rg-s-${node.state}`, icon(node.state, true), put(button, { title: STATES[node.state].word }),
    make("span", "rg-after", STATES[node.state].word));
}

/* Copies text; where the page may not write to the clipboard, selects it and says what to press. Answers what to say. */
export function copyText(text, element) {
  const select = () => { getSelection().selectAllChildren(element); return "Selected: press Ctrl+C"; };
  return navigator.clipboard?.writeText(text).then(() => "Copied", select) ?? Promise.resolve(select());
}
