/* The keyboard in a tree or table: arrows, Home and End, pages, Enter and Escape, and the first letters of a name. */

import { put } from "./document.js";

const WORD_PAUSE_MS = 700;

/* What is typed in the picture is meant for it and goes no further: a notebook listens at the document, and would take `d d` as the order to
   delete the cell. Tab leads out, and what is pressed with Ctrl, Meta or Alt is for the page, Enter aside: that would run the cell. JupyterLab
   listens while the event comes back from its target, so it need not come back. Notebook 7 listens on the way there: only what is marked
   at the window, before, is passed over; and the mark counts on the target itself alone. Answers what ends that. */
export function keepKeys(element) {
  const isOurs = ({ key, ctrlKey, metaKey, altKey }) => key === "Enter" || (key !== "Tab" && !(ctrlKey || metaKey || altKey));
  const mark = event => { if (element.contains(event.target)) put(event.target, { "data-lm-suppress-shortcuts": isOurs(event) ? "true" : null }); };
  window.addEventListener("keydown", mark, true);
  element.addEventListener("keydown", event => { if (isOurs(event)) event.stopPropagation(); });
  return () => window.removeEventListener("keydown", mark, true);
}

export class Keys {
  constructor(widget) { Object.assign(this, { widget, typed: "", typedAt: -WORD_PAUSE_MS }); }
  take(event) {
    const { widget } = this, { rows, view } = widget, row = event.target.rgRow;
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = rows.indexOf(row), last = rows.length - 1, page = view.rowsInSight;
    const goTo = place => widget.focusRow(rows[Math.max(0, Math.min(last, place))]?.key);
    const actions = {
      ArrowDown: () => goTo(at + 1), ArrowUp: () => at || !view.leaveTop ? goTo(at - 1) : view.leaveTop(),
      Home: () => goTo(0), End: () => goTo(last), PageDown: () => goTo(at + page), PageUp: () => goTo(at - page),
      ArrowRight: () => row.foldable && !row.open ? widget.toggle(row) : row.kids.length ? goTo(at + 1) : null,
      ArrowLeft: () => row.foldable && row.open && row.depth ? widget.toggle(row) : row.up ? widget.focusRow(row.up.key) : null,
      Enter: () => widget.press(row), " ": () => widget.press(row), Escape: () => widget.select(null),
    };
    const spells = event.key === " " && event.timeStamp - this.typedAt < WORD_PAUSE_MS;
    const found = Object.hasOwn(actions, event.key) && !spells ? actions[event.key]
      : event.key.length === 1 ? () => goTo(this.find(rows, at, event)) : null;
    if (!found) return;
    event.preventDefault(); event.stopPropagation(); found();
  }
  /* The next row whose name begins with what was typed of late; one letter again and again goes through all that begin with it. */
  find(rows, at, { key, timeStamp }) {
    this.typed = timeStamp - this.typedAt < WORD_PAUSE_MS ? this.typed + key.toLowerCase() : key.toLowerCase();
    this.typedAt = timeStamp;
    const same = [...this.typed].every(letter => letter === this.typed[0]), sought = same ? this.typed[0] : this.typed;
    for (let step = same ? 1 : 0; step <= rows.length; step++) {
      const place = (at + step) % rows.length, { node, name, text = "" } = rows[place];
      if ((node?.name ?? name ?? text).toLowerCase().startsWith(sought)) return place;
    }
    return at;
  }
}
