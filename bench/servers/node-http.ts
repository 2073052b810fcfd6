/** The apps of node:http (node-apps.mjs) on Bun's own server, or on the ring by ringloop/node. */
import { createServer as createBunsServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { announce, isBun } from "./subject.ts";

const createServer = isBun
  ? createBunsServer
  : ((await import("../../src/node/index.ts")).createServer as typeof createBunsServer);
const { makeHandler } = (await import("./node-apps.mjs" as string)) as { makeHandler: () => Promise<RequestListener> };
const server = createServer(await makeHandler());
server.listen(0, "127.0.0.1", () => announce((server.address() as AddressInfo).port));
