import { type Options, readPort } from "./serve-options.ts";
import type { Server } from "./server.ts";

/** A server that is running. Not known by its class: a hot reload runs that file again, too, and makes another. */
export interface HotServer {
  readonly stopping: boolean;
  stop(): Promise<void>;
  reload(options: never): Server;
}

/**
 * Under `bun --hot` a module that serves is run again in the same process: as in Bun, a server that is running already, with the same id
 * or the same host and port, takes the new handlers and keeps its connections. As many as the program has ever had by different names.
 */
export const hotServers = ((globalThis as any)[Symbol.for("ringloop.hotServers")] ??= new Map()) as Map<
  string,
  HotServer | "Bun's own"
>;

export function hotKey({ id, hostname, port, unix }: Options): string | undefined {
  if (!process.execArgv.includes("--hot") || id === null) return undefined;
  if (unix !== undefined) return `unix ${unix}`;
  return id ? `id ${id}` : `${hostname ?? ""} ${readPort(port)}`;
}
