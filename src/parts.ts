/**
 * The parts of the package. The first use of a part loads it.
 *
 * This is the only entry of the built package (ffi/bundle.ts). The other files in dist/ load the
 * parts from here, through loading.ts. So a program has one copy of each module, whichever of the
 * package's names it imports.
 */
import { lazily } from "./sys/lazily.ts";

export const main = lazily(() => require("./index.ts") as typeof import("./index.ts"));
export const fs = lazily(() => require("./fs/index.ts") as typeof import("./fs/index.ts"));
export const ring = lazily(() => require("./ring/index.ts") as typeof import("./ring/index.ts"));
export const node = lazily(() => require("./node/index.ts") as typeof import("./node/index.ts"));
export const metrics = lazily(() => require("./metrics/index.ts") as typeof import("./metrics/index.ts"));
export const doctor = lazily(() => require("./doctor.ts") as typeof import("./doctor.ts"));
export const top = lazily(() => require("./top.ts") as typeof import("./top.ts"));

// The parts that the preload needs, each by itself. A server that uses one of them loads only this
// one.
export const serve = lazily(() => (require("./bun/serve/server.ts") as typeof import("./bun/serve/server.ts")).serve);
export const serveNode = lazily(() => (require("./node/serve.ts") as typeof import("./node/serve.ts")).serveNode);
export const listen = lazily(
  () => (require("./bun/sockets/listen.ts") as typeof import("./bun/sockets/listen.ts")).listen,
);
export const connect = lazily(
  () => (require("./bun/sockets/connect.ts") as typeof import("./bun/sockets/connect.ts")).connect,
);
export const udpSocket = lazily(
  () => (require("./bun/sockets/udp.ts") as typeof import("./bun/sockets/udp.ts")).udpSocket,
);
export const globals = lazily(() => require("./bun/serve/globals.ts") as typeof import("./bun/serve/globals.ts"));
export const notices = lazily(() => require("./operations/notice.ts") as typeof import("./operations/notice.ts"));
export const fallback = lazily(() => require("./operations/fallback.ts") as typeof import("./operations/fallback.ts"));
