/* Whether a person's text that begins like a Python literal or JSON can be read as one, and where it breaks off if not. The kernel
 * reads it for good (`read_typed`); this says what is wrong before anything is sent. Nothing here touches the document. */

const TOKENS = [
  ["space", /\s+/y],
  ["string", /[bBrRuU]{0,2}(?:"""[^]*?"""|'''[^]*?'''|"(?:[^"\\\n]|\\[^])*"|'(?:[^'\\\n]|\\[^])*')/y],
  ["number", /[-+]?(?:0[xXoObB][\da-fA-F_]+|(?:[1-9][\d_]*|0+(?!\d))(?:\.[\d_]*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)(?![\w.])/y],
  ["word", /-?[A-Za-z_]\w*/y],
  ["sign", /[[\]{}(),:]/y],
];
const CLOSES = { "[": "]", "{": "}", "(": ")" }, BEGINS = /^[[{("']/;
const JSON_WORDS = new Set(["true", "false", "null", "NaN", "Infinity", "-Infinity"]), PYTHON_WORDS = new Set(["True", "False", "None"]);
const JSON_NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/;
const MIXED = "JSON and Python are mixed: write true or True, and quotes, of one of them.", COMMA = "A comma is missing before this.";

class Reader {
  constructor() { Object.assign(this, { open: [], last: null, language: null }); }     // last: kind of the value before, null for none
  /* Takes one token; answers what is wrong with it, or nothing. */
  take(kind, text) {
    const inner = this.open.at(-1);
    if (kind !== "sign") return this.value(kind, text, inner);
    if (Object.hasOwn(CLOSES, text)) return this.begin(text, inner);
    if (text === ",") return this.comma(inner);
    return text === ":" ? this.colon(inner) : this.end(text, inner);
  }
  speak(language) {
    if (this.language !== null && this.language !== language) return MIXED;
    this.language = language;
    return null;
  }
  value(kind, text, inner) {
    if (this.last !== null && !(this.last === "string" && kind === "string")) return inner ? COMMA : "There is more after the value.";
    if (kind === "word" && !JSON_WORDS.has(text) && !PYTHON_WORDS.has(text)) return `${text} needs quotes around it.`;
    const joined = this.last === "string";
    this.last = kind;
    if (kind === "word") return this.speak(JSON_WORDS.has(text) ? "JSON" : "Python");
    const python = joined || (kind === "string" ? text[0] !== '"' || text.startsWith('"""') : !JSON_NUMBER.test(text));
    return python ? this.speak("Python") : null;
  }
  begin(sign, inner) {
    if (this.last !== null) return inner ? COMMA : "There is more after the value.";
    this.open.push({ sign, kind: null, keyed: false, comma: false });
    return sign === "(" ? this.speak("Python") : null;
  }
  comma(inner) {
    if (!inner || this.last === null) return "A value is missing before the comma.";
    return this.entry(inner, () => Object.assign(inner, { comma: true, keyed: false }));
  }
  colon(inner) {
    if (inner?.sign !== "{" || inner.keyed || inner.kind === "set") return "A colon stands only between a key and its value in { }.";
    if (this.last === null) return "A key is missing before the colon.";
    if (this.last === "]" || this.last === "}") return "A list or a dict is no key.";
    if (this.last !== "string" && this.speak("Python")) return MIXED;
    Object.assign(inner, { kind: "dict", keyed: true }); this.last = null;
    return null;
  }
  /* The end of an entry of a bracket, which has a value. */
  entry(inner, done) {
    if (inner.sign === "{" && !inner.keyed) {
      if (inner.kind === "dict") return "This key has no value.";
      if (this.last === "]" || this.last === "}") return "A list or a dict cannot be in a set.";
      inner.kind = "set";
      if (this.speak("Python")) return MIXED;
    }
    done(); this.last = null;
    return null;
  }
  end(sign, inner) {
    if (!inner) return `${sign} closes nothing.`;
    if (CLOSES[inner.sign] !== sign) return `${CLOSES[inner.sign]} is expected here.`;
    if (this.last === null && inner.keyed) return "This key has no value.";
    const wrong = this.last !== null ? this.entry(inner, () => {}) : inner.comma ? this.speak("Python") : null;
    if (wrong) return wrong;
    this.open.pop(); this.last = sign;
    return null;
  }
}

/* `{ at, text }` for the first mistake, `at` counted in characters; null where the text can be read, or is meant as plain text. */
export function literalMistake(text) {
  if (!BEGINS.test(text.trimStart())) return null;
  const reader = new Reader();
  for (let at = 0; at < text.length;) {
    let kind = null, match = null;
    for ([kind, match] of TOKENS) {
      match.lastIndex = at;
      if ((match = match.exec(text))) break;
    }
    if (!match) return { at, text: /["']/.test(text[at]) ? "This quote is never closed." : `${text[at]} is not expected here.` };
    const wrong = kind === "space" ? null : reader.take(kind, match[0]);
    if (wrong) return { at, text: wrong };
    at += match[0].length;
  }
  const left = reader.open.at(-1);
  if (left) return { at: text.trimEnd().length, text: `${CLOSES[left.sign]} is missing at the end.` };
  return null;
}
