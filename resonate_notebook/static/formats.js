/* Numbers, times and calls as text. */

import { STATES } from "./states.js";

export const two = number => String(Math.floor(number)).padStart(2, "0");
const grouped = new Intl.NumberFormat("en-US");
export const count = number => number < 1000 ? String(number) : grouped.format(number);
export const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;
export const clip = (text, length) => text.length > length ? text.slice(0, length - 1) + "…" : text;
export const argumentText = pairs => pairs.map(([name, text]) => name ? `${name}=${text}` : text).join(", ");
export const callText = node => `${node.name}(${argumentText(node.arguments)})`;
export const countsText = (counts, order) => order.filter(state => counts[state])
  .map(state => `${count(counts[state])} ${STATES[state].word}`).join(" · ");

export function duration(ms) {
  if (ms < 999.5) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 59950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${two(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${two(seconds % 3600 / 60)} m`;
  return `${Math.floor(seconds / 86400)} d ${two(seconds % 86400 / 3600)} h`;
}

/* Whole seconds, for what still counts: a decimal that changes at random moments only flickers. */
export const wholeSeconds = ms => ms < 59500 ? `${Math.max(0, Math.round(ms / 1000))} s` : duration(1000 * Math.round(ms / 1000));

export function clockTime(epochMs) {
  const date = new Date(epochMs), time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  if (date.toDateString() === new Date().toDateString()) return time;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`;
}

/* A line that is too long loses its middle parts, then all but its first word. */
export function fitParts(text, length) {
  if (text.length <= length) return text;
  const parts = text.split(" · "), ends = `${parts[0]} · ${parts.at(-1)}`;
  return parts.length > 2 && ends.length <= length ? ends : parts[0];
}
