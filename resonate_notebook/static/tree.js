/* Tree: rows with rails, each with its state in words, its error and its time. */

import { make, put } from "./document.js";
import { STATES, URGENT_FIRST, wordOf } from "./states.js";
import { countsText, duration, wholeSeconds } from "./formats.js";
import { errorOf, MONO_PX, setAnswerButtons, setStrip } from "./parts.js";
import { RailsView } from "./rails.js";

export class TreeView extends RailsView {
  constructor(widget) { super(widget, "tree", "call tree"); }
  make() {
    const parts = {};
    for (const name of ["strip", "word", "extra", "error", "buttons", "time"]) parts[name] = make("span", `rg-${name}`);
    const detail = make("span", "rg-detail", parts.word, parts.extra, parts.error, parts.buttons);
    return this.makeRow(parts, [parts.strip], [detail, parts.time]);
  }
  fill(element, row, known) {
    const parts = element.rgParts, { widget } = this, { node, stack } = row, narrow = widget.size === "xs";
    const width = narrow ? widget.width - 84 - (this.isHot(row) ? 84 : 0) : widget.viewWidth * .46;
    const x = this.fillName(element, row, known, width, node ? widget.run.detail(node) : "");
    const room = stack && !narrow ? width - x - 82 - (row.name.length + 6) * MONO_PX : 0;
    put(parts.strip, { shown: room > 46 });
    if (room > 46) setStrip(parts.strip, row, Math.floor(Math.min(190, room)));
    const detail = node ? widget.run.detail(node) : "", hidden = row.foldable && !row.open && node?.hot;
    put(parts.word, { text: node ? narrow ? wordOf(node, true) : STATES[row.state].word : stack ? countsText(row.counts, URGENT_FIRST) : "",
      "data-long": stack ? "" : null });
    put(parts.extra, { text: row.more ? "press to show all"
      : [hidden ? `${hidden} to look at` : "", detail].filter(Boolean).map(text => `· ${text}`).join(" ") });
    put(parts.error, { text: errorOf(node) });
    put(parts.time, { text: node ? widget.run.tookText(node) : stack ? this.stackTime(stack) : "" });
    setAnswerButtons(parts.buttons, row, widget);
  }
  /* From the first that began to the last that ended. */
  stackTime(nodes) {
    const began = nodes.filter(node => node.began != null), { now } = this.widget.run;
    if (!began.length) return "";
    const first = began.reduce((least, node) => Math.min(least, node.began), Infinity);
    const last = began.reduce((most, node) => Math.max(most, node.ended ?? now), 0);
    return last < now ? duration(last - first) : wholeSeconds(last - first);
  }
}
