/* Time as a picture: which stretches are idle, where a moment stands, which ticks an axis has, how many calls ran at once.
 * Nothing here touches the document. Times are milliseconds since the run's start. */

import { SETTLED } from "./states.js";
import { count, two } from "./formats.js";

const IDLE_FROM_MS = 60_000, IDLE_FROM_PART = .08;        // what counts as idle: longer than both, the second of the whole run
const TICK_APART_PX = 84, LANES_AT_MOST = 6;
const WAITS = new Set(["sleep", "promise"]);
const STEPS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, ...[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600,
  43_200, 86_400].map(seconds => seconds * 1000)];

export const startOf = node => node.began ?? node.created;
/* Where a call ends on the picture: nothing of it goes on after `end`. */
export const endOf = (node, end) => SETTLED.has(node.state) ? Math.min(node.ended ?? end, end) : end;

/* When at least one call was at work itself: not asleep, not waiting for a person, a worker, its next attempt or calls of its
 * own. Two lists, each sorted: the moments at which work begins and those at which it ends. */
function workOf(run, end) {
  const begins = [], ends = [];
  const add = (from, until) => { if (until >= from) { begins.push(from); ends.push(until); } };
  for (const node of run.order) {
    if (WAITS.has(node.kind) || node.state === "pending") continue;
    const { tries } = node, until = endOf(node, end);
    if (tries.length > 1 && !node.kids.length) {
      for (let at = 0; at < tries.length; at += 2) add(tries[at], tries[at + 1] ?? until);
      continue;
    }
    let from = startOf(node);
    for (const kid of node.kids) {
      if (kid.created > from) add(from, Math.min(kid.created, until));
      from = Math.max(from, endOf(kid, end));
    }
    add(from, until);
  }
  return [Float64Array.from(begins).sort(), Float64Array.from(ends).sort()];
}

/* The stretches of `[0, end]` in which nothing was at work for so long that drawing them would leave no room for the rest. */
export function idleGaps(run, end) {
  const least = Math.max(IDLE_FROM_MS, end * IDLE_FROM_PART), gaps = [];
  if (end <= least) return gaps;
  const [begins, ends] = workOf(run, end);
  let running = 0, idleFrom = 0;
  for (let at = 0, ended = 0; ended < ends.length;) {
    if (at < begins.length && begins[at] <= ends[ended]) {
      if (!running++ && begins[at] - idleFrom > least) gaps.push([idleFrom, begins[at]]);
      at++;
    } else {
      ended++;
      if (!--running) idleFrom = ends[ended - 1];
    }
  }
  if (end - idleFrom > least) gaps.push([idleFrom, end]);
  return gaps;
}

/* Where a moment stands on `width` pixels. Each gap takes `gapPx` of them, so long as gaps take half of the width at most: then
 * the shorter ones are drawn as they are. */
export function timeScale(gaps, end, width, gapPx) {
  const most = Math.floor(width / 2 / gapPx);
  const cut = gaps.length <= most ? gaps
    : [...gaps].sort((a, b) => b[1] - b[0] - a[1] + a[0]).slice(0, most).sort((a, b) => a[0] - b[0]);
  const left = cut.reduce((sum, [from, until]) => sum + until - from, 0);
  const perMs = Math.max(0, width - cut.length * gapPx) / Math.max(1, end - left), spans = [];
  let x = 0, from = 0;
  for (const [gapFrom, gapUntil] of [...cut, [Math.max(end, from), Infinity]]) {
    spans.push({ from, until: gapFrom, x, perMs, idle: false }); x += (gapFrom - from) * perMs;
    if (gapUntil !== Infinity) spans.push({ from: gapFrom, until: gapUntil, x, perMs: gapPx / (gapUntil - gapFrom), idle: true });
    x += gapPx; from = gapUntil;
  }
  const xOf = ms => {
    let span = spans[0];
    for (const next of spans) if (next.from <= ms) span = next;
    return span.x + (Math.max(0, Math.min(ms, span.until)) - span.from) * span.perMs;
  };
  return { spans, perMs, xOf, gaps: spans.filter(span => span.idle) };
}

/* Moments to write on the axis, as far apart as their texts need, none inside a gap or under its text (`around` pixels). */
export function ticksOf({ spans, perMs, gaps }, gapPx, around) {
  const step = STEPS_MS.find(ms => ms * perMs >= TICK_APART_PX)
    ?? Math.ceil(TICK_APART_PX / Math.max(perMs, 1e-12) / 86_400_000) * 86_400_000;
  const ticks = [];
  for (const span of spans) {
    if (span.idle || span.until - span.from < 1) continue;
    for (let ms = Math.ceil(span.from / step) * step; ms <= span.until && ticks.length < 200; ms += step) {
      const x = span.x + (ms - span.from) * span.perMs;
      ticks.push({ ms, x, named: gaps.every(gap => Math.abs(x - gap.x - gapPx / 2) > around) });
    }
  }
  return { step, ticks };
}

/* A tick in words, as short as it is exact: `0`, `500 ms`, `1.5 s`, `1 m 30 s`, `2 h`, `1 d 06 h`; beyond an hour, where ticks are
 * less than a minute apart, `6:12:30`. */
export function tickText(ms, step) {
  if (ms < 1000) return ms ? `${ms} ms` : "0";
  if (ms < 60_000) return `${ms / 1000} s`;
  const seconds = Math.floor(ms / 1000), minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (!hours) return `${minutes} m${ms % 60_000 ? ` ${two(seconds % 60)}${step < 1000 ? `.${Math.floor(ms % 1000 / 100)}` : ""} s` : ""}`;
  if (step < 60_000) return `${days ? `${days} d ` : ""}${hours % 24}:${two(minutes % 60)}:${two(seconds % 60)}`;
  if (!days) return `${hours} h${minutes % 60 ? ` ${two(minutes % 60)} m` : ""}`;
  return `${days} d${step < 3_600_000 ? ` ${two(hours % 24)}:${two(minutes % 60)}` : hours % 24 ? ` ${two(hours % 24)} h` : ""}`;
}

/* The end of the picture: the run's end; while it goes on a bit later than now, in steps, so that bars of calls that have ended
 * stand still between two steps instead of creeping with each second. `gaps` take no part in how long a step is. */
export function horizon(run, gaps) {
  if (run.settled) return Math.max(1, run.now);
  const atWork = gaps.reduce((left, [from, until]) => left - until + from, run.now);
  const step = STEPS_MS.find(ms => ms * 12 >= atWork) ?? 86_400_000;
  return Math.max(500, (Math.floor(run.now / step) + 1) * step);
}

/* Packs calls into lanes, each into the topmost that is free: the lane of each call, null when more than six would be needed. */
export function lanesOf(nodes, end) {
  const free = [], lanes = new Map();
  for (const node of [...nodes].sort((a, b) => startOf(a) - startOf(b))) {
    let lane = free.findIndex(until => until <= startOf(node));
    if (lane < 0) lane = free.length;
    if (lane >= LANES_AT_MOST) return null;
    free[lane] = endOf(node, end); lanes.set(node, lane);
  }
  return { lanes, count: free.length };
}

/* How many of the calls ran at once: for each pixel column the most in it, and the most of all. */
export function skyline(nodes, end, xOf, width) {
  const begun = nodes.filter(node => node.state !== "pending"), columns = new Uint32Array(Math.max(1, Math.ceil(width) + 1));
  const begins = Float64Array.from(begun, startOf).sort(), ends = Float64Array.from(begun, node => endOf(node, end)).sort();
  let peak = 0, running = 0, column = 0;
  for (let at = 0, ended = 0; ended < ends.length;) {
    // A call that begins when another ends does not run beside it.
    const starts = at < begins.length && (begins[at] < ends[ended] || (begins[at] === ends[ended] && !running));
    const x = Math.min(columns.length - 1, Math.floor(xOf(starts ? begins[at] : ends[ended])));
    while (column < x) columns[++column] = running;
    running += starts ? 1 : -1;
    if (starts) at++; else ended++;
    columns[column] = Math.max(columns[column], running); peak = Math.max(peak, running);
  }
  return { columns, peak };
}

/* What one call did when: pieces from left to right, each with its kind. `opened` says that its own calls have rows below it. */
export function piecesOf(node, end, opened) {
  const from = startOf(node), until = endOf(node, end), pieces = [], live = !SETTLED.has(node.state);
  const add = (kind, begin, finish, state = node.state, goesOn = false) => {
    if (finish >= begin) pieces.push({ kind, from: begin, until: finish, state, live: goesOn });
  };
  if (node.kind === "sleep") add("asleep", node.created, until, "sleeping", live);
  else if (node.kind === "promise") add("asked", node.created, until, node.state, live);
  else if (node.state === "pending") add("queued", node.created, until, "pending", live);
  else {
    if (from > node.created) add("queued", node.created, from, "pending");
    if (opened) add("open", from, until, node.state, live);
    else if (node.tries.length < 2) add("ran", from, until, node.state, live);
    else addAttempts(node, until, add);
  }
  return pieces;
}

/* Attempts that failed are pieces of their own, with the pauses between them; the last is the call's own. */
function addAttempts({ tries, state }, until, add) {
  const live = !SETTLED.has(state);
  for (let at = 0; at < tries.length; at += 2) {
    if (at) add("pause", tries[at - 1], tries[at], "retrying");
    const failed = tries[at + 1] !== undefined;
    add(failed ? "failed" : "ran", tries[at], tries[at + 1] ?? until, failed ? "rejected" : state, live && !failed);
  }
  if (tries.length % 2 === 0 && until > tries.at(-1)) add(live ? "pause" : "ran", tries.at(-1), until, live ? "retrying" : state, live);
}
