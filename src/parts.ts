/**
 * The parts of the package, each loaded by the first who asks for it.
 *
 * This is the one entry of the built package (ffi/bundle.ts): all that dist/ has besides comes here, so a program has one copy of each module
 * whichever of the package's names it imports.
 */
import { lazily } from "./sys/lazily.ts";

export const main = lazily(() => require("./index.ts") as typeof import("./index.ts"));
export const fs = lazily(() => require("./fs/index.ts") as typeof import("./fs/index.ts"));
export const ring = lazily(() => require("./ring/index.ts") as typeof import("./ring/index.ts"));
export const node = lazily(() => require("./node/index.ts") as typeof import("./node/index.ts"));

// What the preload needs; a server that uses nothing else loads nothing else.
export const serve = lazily(() => (require("./http/server.ts") as typeof import("./http/server.ts")).serve);
export const serveNode = lazily(() => (require("./node/serve.ts") as typeof import("./node/serve.ts")).serveNode);
export const listen = lazily(() => (require("./net/listen.ts") as typeof import("./net/listen.ts")).listen);
export const connect = lazily(() => (require("./net/connect.ts") as typeof import("./net/connect.ts")).connect);
export const udpSocket = lazily(() => (require("./net/udp.ts") as typeof import("./net/udp.ts")).udpSocket);
export const globals = lazily(() => require("./http/globals.ts") as typeof import("./http/globals.ts"));
export const notices = lazily(() => require("./reactor/notice.ts") as typeof import("./reactor/notice.ts"));
export const fallback = lazily(() => require("./reactor/fallback.ts") as typeof import("./reactor/fallback.ts"));
