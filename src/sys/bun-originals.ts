/**
 * Bun's own functions, as they were before the preload (register.ts) put ringloop's in their place: what falls back, falls back to these.
 */
type Originals = Pick<typeof Bun, "serve" | "listen" | "connect" | "udpSocket">;

const key = Symbol.for("ringloop.originals");
const holder = globalThis as { [key]?: Originals };

export const originals: Originals = (holder[key] ??= {
  serve: Bun.serve,
  listen: Bun.listen,
  connect: Bun.connect,
  udpSocket: Bun.udpSocket,
});
