/* Rows: the folded tree, and the flat list of a table. */

import { visible } from "./document.js";
import { noCounts, rank, sign, STATES, URGENT_FIRST } from "./states.js";
import { argumentText, callText, count } from "./formats.js";

const STACK_FROM = 5, HOT_SHOWN = 8, FOLD_ABOVE = 24;     // siblings to a stack; failures below it; calls before folding
export const INDENT_LEVELS = 12;
const NO_KIDS = Object.freeze([]), NO_RAILS = Object.freeze([]);

export const stackKey = (parent, name) => `s${parent.index}/${name}`;

/* The rows from top to bottom; each knows its kids, its parent row (`up`) and what its rails need. Without recursion: a
 * chain of calls may be thousands deep. `found`, if given, are the calls that a filter keeps; their ancestors stay too. */
export function buildRows(run, folds, found) {
  const kept = found ? new Set([run.root]) : null, foldsItself = run.order.length > FOLD_ABOVE;
  for (const node of found ?? []) for (let up = node; up && !kept.has(up); up = up.parent) kept.add(up);
  // All rows of calls have one shape from their making on: engines are quick with that, and slow with what grows.
  const nodeRow = (node, depth) => {
    const members = kept ? node.kids.filter(kid => kept.has(kid)) : node.kids;
    const open = kept !== null || (folds.get(node.key) ?? (node === run.root || !(foldsItself && node.clean)));
    return { key: node.key, node, depth, state: node.state, live: node.alive, members, foldable: members.length > 0, open,
      kids: NO_KIDS, up: null, position: 1, last: true, liveAfter: false, liveKids: false, rails: NO_RAILS };
  };
  const kidsOf = row => {
    if (row.stack) return stackedKids(row, nodeRow);
    if (!row.node || !row.open || !row.members.length) return NO_KIDS;
    if (kept || row.members.length < STACK_FROM) return row.members.map(node => nodeRow(node, row.depth + 1));
    return groupedKids(row, nodeRow, run, folds);
  };
  const rows = [], waiting = [];
  if (run.root) waiting.push(nodeRow(run.root, 0));
  while (waiting.length) {
    const row = waiting.pop();
    row.kids = kidsOf(row); rows.push(row);
    if (row.kids.length) linkKids(row);
    for (let at = row.kids.length - 1; at >= 0; at--) waiting.push(row.kids[at]);
  }
  return rows;
}

/* Many siblings of one function become a stack, where the first of them stood. */
function groupedKids(row, nodeRow, run, folds) {
  const kids = [];
  for (const node of row.members) {
    const { peers, name } = node;
    if (peers.length < STACK_FROM) { kids.push(nodeRow(node, row.depth + 1)); continue; }
    if (peers[0] !== node) continue;
    const counts = noCounts(), key = stackKey(row.node, name);
    for (const peer of peers) counts[peer.state]++;
    const urgent = URGENT_FIRST.find(state => counts[state]);
    const state = urgent === "pending" && counts.resolved + counts.recovered && !run.settled ? "running" : urgent;
    kids.push({ key, stack: peers, name, counts, state, depth: row.depth + 1, foldable: true, open: folds.get(key) === true,
      live: peers.some(peer => peer.alive) });
  }
  return kids;
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
    kid.up = row; kid.position = at + 1; kid.last = at === row.kids.length - 1; kid.liveAfter = row.liveKids; kid.rails = rails;
    row.liveKids ||= kid.live;
  }
}

/* ---------- which calls a person asked for, and in which order ------------------------------------------------------ */

/* Says of a node whether a state and some words ask for it, each word somewhere in its call or error, or in its id; null for all. A
 * number would be in the ids of many calls, which are not seen: an id counts where the word has a dot in it or is the id's last part. */
export function makeFilter(state, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!state && !words.length) return null;
  return node => {
    if (state && node.state !== state) return false;
    if (!words.length) return true;
    const haystack = node.haystack ??= `${callText(node)} ${node.error}`.toLowerCase(), id = visible(node.id).toLowerCase();
    return words.every(word => haystack.includes(word) || (word.includes(".") ? id.includes(word) : id.split(".").at(-1) === word));
  };
}

/* What a column sorts by: numbers or text; null where there is nothing, which goes last in either direction. */
const SORTS = {
  state: node => rank(node.state), call: node => `${node.name} ${argumentText(node.arguments)}`, id: node => node.index,
  started: node => node.began ?? (node.kind === "promise" || node.kind === "sleep" ? node.created : null),
  took: (node, run) => run.tookMs(node), attempts: node => node.attempt ?? null,
  outcome: node => node.error || node.value || null,
};

/* The rows of a table: one for each call, of those that a filter has `found` if it is given, sorted. `before` are the rows of the last time: sorting what is nearly
 * in order is quick. */
export function tableRows(run, found, sort, before) {
  const valueOf = SORTS[sort.column], sign = sort.down ? -1 : 1, old = new Set(before);
  const rowOf = node => node.tableRow ??= { key: node.key, node, index: node.index, depth: 0, up: null, kids: [], foldable: false,
    open: false };
  const kept = new Set((found ?? run.order).map(rowOf)), rows = [];
  for (const row of before) if (kept.has(row)) rows.push(row);
  for (const row of kept) if (!old.has(row)) rows.push(row);
  for (const row of rows) { row.state = row.node.state; row.live = row.node.alive; row.sorts = valueOf(row.node, run); }
  return rows.sort((a, b) => {
    if (a.sorts === b.sorts) return a.index - b.index;
    if (a.sorts === null || b.sorts === null) return a.sorts === null ? 1 : -1;
    return a.sorts < b.sorts ? -sign : sign;
  });
}

/* The key of the row that stands for another view's row in this one: itself, its stack, or the nearest ancestor shown. */
export function standIn(row, keys) {
  for (const node of row?.stack ?? []) if (keys.has(node.key)) return node.key;
  for (let node = row?.node ?? row?.up?.node ?? row?.up?.up?.node; node; node = node.parent) {
    if (keys.has(node.key)) return node.key;
    if (node.parent && keys.has(stackKey(node.parent, node.name))) return stackKey(node.parent, node.name);
  }
  return null;
}
