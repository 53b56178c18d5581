/* Long messages come compressed, until a page says that it cannot undo that. */

export const canUnpack = typeof DecompressionStream === "function";

export async function unpack(message, buffers) {
  if (message.kind !== "packed" || !canUnpack) return message;
  const stream = new Blob([buffers[0]]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}
