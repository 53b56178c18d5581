/* Rows: the folded tree. */

import { noCounts, rank, STATES, URGENT_FIRST } from "./states.js";
import { count } from "./formats.js";

const STACK_FROM = 5, HOT_SHOWN = 8, FOLD_ABOVE = 24;     // siblings to a stack; failures below it; calls before folding
export const INDENT_LEVELS = 12;

export const stackKey = (parent, name) => `s${parent.index}/${name}`;

/* The rows from top to bottom; each knows its kids, its parent row (`up`) and what its rails need. Without recursion: a
 * chain of calls may be thousands deep. */
export function buildRows(run, folds, filter) {
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
