/** A Worker that grows shared memory at any time. A message has the memory and its new length. */
addEventListener("message", (event) => {
  const { memory, bytes } = (event as MessageEvent<{ memory: SharedArrayBuffer; bytes: number }>).data;
  while (memory.byteLength < bytes) memory.grow(Math.min(bytes, memory.byteLength + 64));
});
