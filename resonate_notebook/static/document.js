/* Making and changing elements: text goes in as text. */

export function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.filter(child => child != null));
  return element;
}

export function draw(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function makeButton(className, label, action) {
  const button = put(make("button", className, label), { type: "button" });
  button.addEventListener("click", event => { event.stopPropagation(); action(); });
  return button;
}

/* Writes text, visibility (`shown`), styles (`$name`) and attributes (the rest; null takes one away) through a cache of the
 * last value, so that a frame in which nothing changed touches nothing. The names are always our own, never a run's. */
export function put(element, changes) {
  const cache = element.rgCache ||= new Map();
  for (const [name, value] of Object.entries(changes)) {
    if (cache.get(name) === value) continue;
    cache.set(name, value);
    if (name === "text") element.textContent = value;
    else if (name === "shown") element.style.display = value ? "" : "none";
    else if (name[0] === "$") element.style[name.slice(1)] = value;
    else if (value == null) element.removeAttribute(name);
    else element.setAttribute(name, value);
  }
  return element;
}

/* Whether an element's content must be made anew, because the key of what it shows has changed. */
export function isNew(element, key) {
  const changed = element.rgKey !== key;
  element.rgKey = key;
  return changed;
}

/* Control and direction-changing characters become visible: text of a run may not hide or reorder other text. */
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
export const visible = (value, keepLines = false) => String(value ?? "").slice(0, 4000).replace(UNSEEN, character => {
  if (keepLines && (character === "\n" || character === "\t")) return character;
  const code = character.charCodeAt(0);
  return code < 32 ? String.fromCharCode(0x2400 + code) : "\\u" + code.toString(16).padStart(4, "0");
});
