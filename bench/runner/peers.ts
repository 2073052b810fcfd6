/** The measured peers, and the program that runs each service for each of them. */
import { join } from "node:path";
import { compile } from "./load.ts";

/**
 * Bun's own functions, ringloop in each mode, Node's functions, and the same in C: over epoll, and
 * over liburing in each mode.
 */
export const peers = ["bun", "defer", "sqpoll", "node", "c-epoll", "c-defer", "c-sqpoll"] as const;
/** The classic I/O models, only for TCP echo. */
export const modelPeers = ["c-threads", "c-spin", "c-select", "c-poll", "c-sigio"] as const;
export type Peer = (typeof peers)[number] | (typeof modelPeers)[number];
/** Peers whose server is a Bun program of bench/servers, which answers questions. */
export const bunPeers = ["bun", "defer", "sqpoll"] as const;
export type BunPeer = (typeof bunPeers)[number];

/**
 * websocket (echo, and messages to all), http-hello, http-app (routes, bodies, files), apps
 * (handlers that wait), echo, udp, burst (many small writes), loop (Bun's own loop beside the
 * server), large (large bodies), node-http (apps of node:http: plain, Express, Fastify, Koa,
 * NestJS).
 */
export type Service =
  "websocket" | "http-hello" | "http-app" | "apps" | "echo" | "udp" | "burst" | "loop" | "large" | "node-http";

const servers = join(import.meta.dir, "../servers");

export function isBunPeer(peer: Peer): peer is BunPeer {
  return (bunPeers as readonly Peer[]).includes(peer);
}

/**
 * Returns the command that starts the server; undefined if the peer has no such service. All
 * programs except Bun's print their port.
 */
export async function commandOf(peer: Peer, service: Service): Promise<string[] | undefined> {
  if (isBunPeer(peer)) return [process.execPath, join(servers, `${service}.ts`), peer];
  if (peer === "node" && service === "node-http") return ["node", join(servers, "node-apps.mjs")];
  if (peer === "node")
    return ["http-hello", "echo", "udp"].includes(service) ? ["node", join(servers, "node.cjs"), service] : undefined;
  if (service !== "http-hello" && service !== "echo") return undefined;
  const what = service === "echo" ? "echo" : "http";
  const [, model = ""] = peer.split("-");
  if ((modelPeers as readonly Peer[]).includes(peer))
    return service === "echo" ? [await compile("server-models"), model] : undefined;
  return model === "epoll" ? [await compile("server-epoll"), what] : [await compile("server-uring"), what, model];
}
