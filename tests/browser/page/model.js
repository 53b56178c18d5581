/* A model with the methods that anywidget gives to a front-end, driven by a test through `window.harness`. A plain script: any page may have it. */
function makeHarness(widget) {
  const listeners = new Set(), cuts = new Set();
  const traits = new Map();
  const sent = [];
  const model = {
    set: (name, value) => { traits.set(name, value); },
    save_changes: () => { sent.push({ kind: "saved", view: traits.get("view") }); },
    get: (name) => traits.get(name) ?? null,
    on: (event, listener) => { (event === "msg:custom" ? listeners : cuts).add(listener); },
    off: (event, listener) => { listeners.delete(listener); cuts.delete(listener); },
    send: (content) => { sent.push(structuredClone(content)); },
  };
  return {
    sent,
    traits,
    /* Draws one more view of the model; answers with its clean-up. */
    mount: () => {
      const place = document.createElement("div");
      document.getElementById("host").append(place);
      return widget.render({ model, el: place });
    },
    deliver: (message, buffers = []) => listeners.forEach((listener) => listener(structuredClone(message), buffers)),
    listening: () => listeners.size + cuts.size,
    /* What Jupyter tells a model when its kernel is restarted. */
    cut: () => cuts.forEach((listener) => listener()),
    ofKind: (kind) => sent.filter((message) => message.kind === kind),
  };
}
