/**
 * Bun's own functions, from before the preload (register.ts) replaced them with ringloop's. Every
 * fallback calls these.
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
