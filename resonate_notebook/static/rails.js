/* Rows with rails: the folded tree as lines and names. Tree and Timeline add to each name what they say of it. */

import { draw, isNew, make, makeButton, put } from "./document.js";
import { setIcon } from "./states.js";
import { callText, clip, count } from "./formats.js";
import { INDENT_LEVELS } from "./rows.js";
import { makeFold, MONO_PX, setCall, setFold, setTreeItem } from "./parts.js";
import { ROW_PX, WindowView } from "./windows.js";

export class RailsView extends WindowView {
  constructor(widget, kind, label) {
    super(widget, kind, "tree", label);
    this.element.prepend(this.path = make("div", "rg-path"));
  }
  filled(top) { this.showPath(top > 30 ? this.rows[Math.floor((top + 30) / ROW_PX)] : null); }
  /* A row's element, with the parts that a view adds after the name, and inside the cell of the name. */
  makeRow(parts, within, after) {
    Object.assign(parts, { grey: draw("path", {}), blue: draw("path", { class: "rg-live" }), fold: makeFold(this.widget) });
    for (const name of ["glyph", "deep", "call"]) parts[name] = make("span", `rg-${name}`);
    parts.cell = make("span", "rg-cell", parts.glyph, make("span", "rg-name", parts.deep, parts.call, parts.fold, ...within));
    const rails = draw("svg", { class: "rg-rails", "aria-hidden": "true" }, parts.grey, parts.blue);
    return Object.assign(make("div", "", rails, parts.cell, ...after), { rgParts: parts });
  }
  /* Fills the cell of the name, which is `width` wide; answers how far it is indented. `said` is told to those who listen. */
  fillName(element, row, known, width, said) {
    const parts = element.rgParts, { node, stack } = row, hot = this.isHot(row), [grey, blue, x] = this.railPaths(row);
    setTreeItem(element, row, this.widget, `rg-row rg-s-${row.state}${hot ? " rg-hot" : ""}`, said);
    put(parts.grey, { d: grey || "M0 0" }); put(parts.blue, { d: blue || "M0 0" });
    put(parts.cell, { $paddingLeft: `${x - 8}px` });
    put(parts.deep, { text: row.depth > INDENT_LEVELS ? `⋯${row.depth}` : "" }); setIcon(parts.glyph, row.state, known);
    setCall(parts.call, row, (width - 24 - x - (row.foldable ? 40 : 0)) / MONO_PX);
    setFold(parts.fold, row, count(stack ? stack.length : node ? node.size - 1 : 0), row.foldable);
    return x;
  }
  /* Grey and live lines of a row, and where its icon stands. Beyond 12 levels the indent no longer grows. */
  railPaths(row) {
    const indent = this.widget.size === "xs" ? 14 : 20, middle = ROW_PX / 2, { depth } = row, paths = ["", ""];
    const x = level => 20 + Math.min(level, INDENT_LEVELS) * indent;
    const add = (live, path) => { paths[live ? 1 : 0] += path; };
    row.rails.slice(0, INDENT_LEVELS - 1).forEach((line, level) => {
      if (line) add(line === 2, `M${x(level)} 0V${ROW_PX}`);
    });
    if (depth > 0 && depth <= INDENT_LEVELS) {
      const left = x(depth - 1);
      if (!row.last) add(row.liveAfter, `M${left} 0V${ROW_PX}`);
      add(row.live, `M${left} 0V${middle - 6}Q${left} ${middle} ${left + 6} ${middle}H${x(depth) - 10}`);
    }
    if (row.kids.length && depth < INDENT_LEVELS) add(row.liveKids, `M${x(depth)} ${middle + 10}V${ROW_PX}`);
    return [...paths, x(depth)];
  }
  /* The ancestors of the first row, over the rows, when they are scrolled out of sight. */
  showPath(first) {
    let path = [];
    for (let row = first?.up; row && path.length < 5; row = row.up) path.unshift(row);
    put(this.path, { shown: path.length > 0 });
    if (!isNew(this.path, path.map(row => row.key).join(" "))) return;
    this.path.replaceChildren(...path.flatMap((row, at) => {
      const label = row.stack ? `${row.name} ×${count(row.stack.length)}` : row.depth ? callText(row.node) : row.node.name;
      return [at ? make("span", "", "›") : "", makeButton("", clip(label, 34), () => this.reveal(row.key))];
    }));
  }
}
