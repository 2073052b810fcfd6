/** A Worker that makes shared memory grow, at a moment of its own. A message is the memory, and to how many bytes. */
addEventListener("message", (event) => {
  const { memory, bytes } = (event as MessageEvent<{ memory: SharedArrayBuffer; bytes: number }>).data;
  while (memory.byteLength < bytes) memory.grow(Math.min(bytes, memory.byteLength + 64));
});
