/* Long messages come compressed, to a page that has said that it can undo that. */

export const canUnpack = typeof DecompressionStream === "function";

export async function unpack(message, buffers) {
  if (message.kind !== "packed") return message;
  const stream = new Blob([buffers[0]]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}
