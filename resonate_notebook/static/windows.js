/* A window of rows of one height: only what shows is in the document, so thousands of rows cost no more than forty. */

import { draw, put } from "./document.js";
import { View } from "./parts.js";

export const ROW_PX = 26;
const ROWS_BEYOND = 6;               // rows kept in the document beyond the window

export class WindowView extends View {
  constructor(widget, kind, role, label) {
    super(widget, kind, role, label);
    Object.assign(this, { places: new Map(), height: 400 });                 // places: row key -> index in rows
    this.observer = new ResizeObserver(entries => { this.height = entries[0].contentRect.height; this.refill(); });
    this.observer.observe(this.scroll);
  }
  get contentHeight() { return this.rows.length * ROW_PX + 14 + this.headPx; }
  get rowsInSight() { return Math.max(1, Math.floor(this.height / ROW_PX) - 1); }
  offsetOf(row) { return this.places.get(row.key) * ROW_PX + 16; }
  draw(rows, structural) {
    const before = this.places;
    this.rows = rows;
    if (structural) {
      this.places = new Map(rows.map((row, place) => [row.key, place]));
      put(this.pad, { $height: `${rows.length * ROW_PX + 6}px` });
      this.fresh = this.glide() ? key => !before.has(key) : null;
    }
    this.fillWindow(); this.fresh = null;
  }
  /* The row that has the keyboard stays in the document wherever it is, so that Tab always finds the rows. */
  fillWindow() {
    const { rows } = this, top = Math.max(0, Math.min(this.top, rows.length * ROW_PX + 6 - this.height));
    const from = Math.max(0, Math.floor(top / ROW_PX) - ROWS_BEYOND);
    const until = Math.min(rows.length, Math.ceil((top + this.height) / ROW_PX) + ROWS_BEYOND);
    const wanted = new Set(Array.from({ length: Math.max(0, until - from) }, (_, at) => from + at));
    if (this.places.has(this.widget.current)) wanted.add(this.places.get(this.widget.current));
    for (const [key, element] of this.shown) {
      if (wanted.has(this.places.get(key))) continue;
      this.shown.delete(key); element.remove(); this.pool.push(element);
    }
    for (const place of wanted) {
      const element = this.place(rows[place], this.fresh?.(rows[place].key));
      put(element, { $transform: `translateY(${place * ROW_PX + 3}px)` });
    }
    this.filled(top);
  }
  scrolled() { this.refill(); }
  refill() { this.fillWindow(); this.widget.showHints(); }
  /* Called with the scroll position whenever the window has been filled. */
  filled() {}
  reveal(key) {
    if (!this.places.has(key)) return;
    const y = this.places.get(key) * ROW_PX;
    if (y < this.scroll.scrollTop + ROW_PX) this.scroll.scrollTop = y - 2 * ROW_PX;
    else if (y + ROW_PX > this.scroll.scrollTop + this.height) this.scroll.scrollTop = y - this.height + 2 * ROW_PX;
    this.top = this.scroll.scrollTop; this.refill();
  }
}
