/* The front-end with that model, in a page that may do everything. */
import widget from "/front-end.js";

window.harness = makeHarness(widget);
