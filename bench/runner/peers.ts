/** The peers (servers that are measured), and the program of each peer for each service. */
import { join } from "node:path";
import { compile } from "./load.ts";

/**
 * Bun's own functions, ringloop in each mode, Node, and servers in C: over epoll, and over liburing
 * in each mode.
 */
export const peers = ["bun", "defer", "sqpoll", "node", "c-epoll", "c-defer", "c-sqpoll"] as const;
/** The classic I/O models, only for TCP echo. */
export const modelPeers = ["c-threads", "c-spin", "c-select", "c-poll", "c-sigio"] as const;
export type Peer = (typeof peers)[number] | (typeof modelPeers)[number];
/**
 * The peers whose server is a Bun program of bench/servers, which answers questions of the runner.
 */
export const bunPeers = ["bun", "defer", "sqpoll"] as const;
export type BunPeer = (typeof bunPeers)[number];

/**
 * The services: websocket (echo, and messages to all), http-hello, http-app (routes, bodies,
 * files), apps (handlers that wait), echo, udp, burst (many small writes), and loop (Bun's own loop
 * beside the server).
 */
export type Service = "websocket" | "http-hello" | "http-app" | "apps" | "echo" | "udp" | "burst" | "loop";

const servers = join(import.meta.dir, "../servers");

export function isBunPeer(peer: Peer): peer is BunPeer {
  return (bunPeers as readonly Peer[]).includes(peer);
}

/**
 * Returns the command that starts the server, or undefined if the peer does not have the service.
 * Every server that is not a Bun program prints its port.
 */
export async function commandOf(peer: Peer, service: Service): Promise<string[] | undefined> {
  if (isBunPeer(peer)) return [process.execPath, join(servers, `${service}.ts`), peer];
  if (peer === "node")
    return ["http-hello", "echo", "udp"].includes(service) ? ["node", join(servers, "node.cjs"), service] : undefined;
  if (service !== "http-hello" && service !== "echo") return undefined;
  const what = service === "echo" ? "echo" : "http";
  const [, model = ""] = peer.split("-");
  if ((modelPeers as readonly Peer[]).includes(peer))
    return service === "echo" ? [await compile("server-models"), model] : undefined;
  return model === "epoll" ? [await compile("server-epoll"), what] : [await compile("server-uring"), what, model];
}
