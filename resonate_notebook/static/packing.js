/* Long messages come compressed, until a page says that it cannot undo that. */

export const canUnpack = typeof DecompressionStream === "function";

export async function unpack(message, buffers) {
  if (message.kind !== "packed" || !canUnpack) return message;
  const { writable, readable } = new DecompressionStream("deflate"), writer = writable.getWriter();
  const written = writer.write(buffers[0]).then(() => writer.close());
  return (await Promise.all([new Response(readable).json(), written]))[0];
}
