/* What a person asks of the kernel: each request once, told how it goes until its answer comes. */

const QUEUED_MS = 400;
const QUEUED = "Queued: the kernel is busy. If its cell waits for this run, press stop: the run goes on, and this is carried out then.";
export const GONE = "The kernel was stopped or restarted since. Nothing was sent.";

export class Requests {
  constructor(send) { Object.assign(this, { send, waiting: new Map() }); }     // waiting: token -> request
  /* `say(text, tone)` is told how it goes, with tone "good" or "bad" at the end. The same request again, while its answer is
     still to come, is a double click: it is passed over. */
  ask(message, say) {
    const key = `${message.kind} ${message.id ?? ""}`;
    if ([...this.waiting.values()].some(request => request.key === key)) return;
    const token = Array.from(crypto.getRandomValues(new Uint32Array(3)), part => part.toString(36)).join("-");
    if (!this.send({ ...message, token })) return say(GONE, "bad");
    say("Sent. Waiting for the kernel…", "");
    this.waiting.set(token, { key, say, timer: setTimeout(() => say(QUEUED, ""), QUEUED_MS) });
  }
  answered({ token, text, ok }) {
    const request = this.waiting.get(token);
    if (!request) return;
    this.waiting.delete(token); clearTimeout(request.timer);
    request.say(text, ok ? "good" : "bad");
  }
  /* The kernel is gone, and with it every answer. */
  drop() { for (const token of [...this.waiting.keys()]) this.answered({ token, text: "The kernel stopped before it answered.", ok: false }); }
  forget() { for (const request of this.waiting.values()) clearTimeout(request.timer); this.waiting.clear(); }
}
