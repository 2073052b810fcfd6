import { type Options, readPort } from "./serve-options.ts";
import type { Server } from "./server.ts";

/**
 * A running server. It cannot be known by its class: a hot reload runs the module of the class
 * again too, and makes another class.
 */
export interface HotServer {
  readonly stopping: boolean;
  stop(): Promise<void>;
  reload(options: never): Server;
}

/**
 * The running servers by their key (see hotKey), for `bun --hot`. A hot reload runs a module that
 * serves again in the same process. As in Bun, a running server with the same id, or with the same
 * host and port, gets the new handlers and keeps its connections.
 *
 * Entries are never removed: there are as many as the program has used different keys.
 */
export const hotServers = ((globalThis as any)[Symbol.for("ringloop.hotServers")] ??= new Map()) as Map<
  string,
  HotServer | "Bun's own"
>;

export function hotKey({ id, hostname, port, unix, fd }: Options): string | undefined {
  if (!process.execArgv.includes("--hot") || id === null) return undefined;
  if (fd !== undefined) return `fd ${fd}`;
  if (unix !== undefined) return `unix ${unix}`;
  return id ? `id ${id}` : `${hostname ?? ""} ${readPort(port)}`;
}
