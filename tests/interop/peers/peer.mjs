// A worker of the TypeScript SDK. It is told what to do by lines of JSON and answers by lines of JSON, as `told.py` says.
//
//     node peer.mjs GROUP PID LEDGER {}

import { appendFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Constant, Resonate } from "@resonatehq/sdk";

const [group, pid, ledger] = process.argv.slice(2);
const resonate = new Resonate({ url: process.env.PEER_URL, group, pid });
const attempts = new Map();

class OutOfStock extends Error {
  constructor(text) {
    super(text);
    this.name = "OutOfStock";
  }
}
const kinds = { ValueError: TypeError, Exception: Error, OutOfStock };

const inc = (ctx, value) => value + 1;
function flaky(ctx, key, failures) {
  const attempt = (attempts.get(key) ?? 0) + 1;
  attempts.set(key, attempt);
  if (attempt <= failures) throw new Error(`attempt ${attempt}`);
  return attempt;
}

const functions = {
  echo: (ctx, value) => value,
  nothing: () => undefined,
  who: () => pid,
  *explode(ctx, kind, text) {
    throw new kinds[kind](text);
  },
  *steps(ctx, count) {
    let value = 0;
    for (let i = 0; i < count; i++) value = yield* ctx.run(inc, value);
    return value;
  },
  *send(ctx, name, target, args) {
    return yield* ctx.rpc(name, ...args, ctx.options({ target }));
  },
  *defuse(ctx, target, kind, text) {
    try {
      return yield* ctx.rpc("explode", kind, text, ctx.options({ target }));
    } catch (error) {
      return [error.name, error.message];
    }
  },
  *ping(ctx, count, here, there) {
    if (count === 0) return [];
    const turns = yield* ctx.rpc("ping", count - 1, there, here, ctx.options({ target: there }));
    return [[pid, count], ...turns];
  },
  *scatter(ctx, count, target) {
    const calls = [];
    for (let i = 0; i < count; i++) calls.push(yield* ctx.beginRpc("who", i, ctx.options({ target })));
    const found = [];
    for (const call of calls) found.push(yield* call);
    return found;
  },
  *nap(ctx, seconds) {
    yield* ctx.sleep(seconds * 1000);
    return "rested";
  },
  *review(ctx) {
    const approval = yield* ctx.promise();
    appendFileSync(ledger, `asks ${approval.id} ${pid}\n`);
    return { approved: yield* approval };
  },
  *persist(ctx, key, failures, retries) {
    return yield* ctx.run(flaky, key, failures, ctx.options({ retryPolicy: new Constant({ delay: 50, maxRetries: retries }) }));
  },
};
for (const [name, each] of Object.entries(functions)) resonate.register(name, each);

async function act({ what, id, name, args, target }) {
  const options = resonate.options(target ? { target } : {});
  switch (what) {
    case "run":
      return await resonate.run(id, name, ...args, options);
    case "begin":
      await resonate.beginRun(id, name, ...args, options);
      return null;
    case "rpc":
      return await resonate.rpc(id, name, ...args, options);
    case "get":
      return await (await resonate.get(id)).result();
    case "resolve":
      await resonate.promises.resolve(id, { data: Buffer.from(JSON.stringify(args)).toString("base64") });
      return null;
  }
}

console.log(JSON.stringify({ n: 0 }));
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  act(command.do)
    .then((value) => ({ value: value ?? null }))
    .catch((error) => ({ error: JSON.stringify([error?.name ?? typeof error, error?.message ?? String(error)]) }))
    .then((told) => console.log(JSON.stringify({ n: command.n, ...told })));
}
process.exit(0);
