/* States, most urgent first: word and 16 x 16 picture (fill, line with its width, cut out in the ground). */

import { draw, isNew } from "./document.js";

export const STATES = {
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
export const URGENT_FIRST = Object.keys(STATES);
export const BAR_ORDER = ["resolved", "recovered", "running", "retrying", "sleeping", "waiting", "rejected", "timedout", "cancelled",
  "pending"];
export const SETTLED = new Set(["resolved", "recovered", "rejected", "timedout", "cancelled"]);
export const CLEAN = new Set(["resolved", "recovered", "cancelled"]), FAILED = new Set(["rejected", "timedout"]);
export const LIVE = new Set(["running", "retrying", "sleeping", "waiting"]);
export const COUNTS_DOWN = new Set(["retrying", "sleeping", "pending"]);
/* The word for a call's state. A failure that its caller caught says that too, and that alone where there is no room for both. */
export const wordOf = ({ state, caught }, narrow) => state !== "rejected" || !caught ? STATES[state].word : narrow ? "caught" : "rejected · caught";
export const rank = state => URGENT_FIRST.indexOf(state);
const NO_COUNTS = Object.fromEntries(URGENT_FIRST.map(state => [state, 0]));
export const noCounts = () => ({ ...NO_COUNTS });
/* What a call in a state is by itself, looked up once for each change of it. */
export const TRAITS = Object.fromEntries(URGENT_FIRST.map(state => [state, { hot: STATES[state].hot ? 1 : 0,
  alive: LIVE.has(state), clean: CLEAN.has(state), open: SETTLED.has(state) ? 0 : 1 }]));

function strokes(kind, width) {
  const line = { fill: "none", stroke: "currentColor", "stroke-width": width, "stroke-linejoin": "round" };
  if (kind === "dots") return { ...line, "stroke-dasharray": "1.9 2.66", "stroke-linecap": "butt" };
  return { ...line, "stroke-linecap": "round", ...(kind === "cut" ? { class: "rg-cut" } : {}) };
}

const iconMasters = new Map();
export function icon(state, still = false) {
  const frame = { viewBox: "0 0 16 16", class: "rg-icon", "aria-hidden": "true" };
  if (!iconMasters.has(state)) iconMasters.set(state, draw("svg", frame, ...STATES[state].paths.map(([kind, d, width]) =>
      draw("path", { d, ...(kind === "fill" ? { fill: "currentColor" } : strokes(kind, width)) }))));
  const copy = iconMasters.get(state).cloneNode(true);
  if (state === "running" && !still) copy.classList.add("rg-spin");
  return copy;
}

export function setIcon(element, state, animated) {
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
export const WHERE_SAYS = { file: "kept in this file: survives a kernel restart", memory: "in memory: gone when the kernel stops",
  server: "kept by a Resonate Server" };
export const sign = name => draw("svg", { viewBox: "0 0 16 16", width: 14, height: 14, "aria-hidden": "true" },
  draw("path", { d: SIGNS[name], ...strokes("line", 1.4) }));
