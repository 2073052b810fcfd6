/**
 * The state of a thread that its metrics are read from. Nothing is kept for them: to look counts the
 * open connections in the reactor's table, and everything else is there already.
 */
import type { OwnerKind } from "../reactor/op-table.ts";
import type { ReactorInfo, ReactorStats } from "../reactor/options.ts";
import { threadReactor } from "../reactor/thread-reactor.ts";
import { Traffic } from "../reactor/traffic.ts";
import { type Fallback, fallbacks } from "./fallbacks.ts";

export interface Source {
  traffic: Traffic;
  /** Undefined before the thread's first use of the ring. */
  stats: ReactorStats | undefined;
  mode: ReactorInfo["mode"] | "none";
  /** Number of open descriptors of each kind. */
  open: Record<OwnerKind, number>;
  /** Number of requests that wait for the program's answer. */
  pendingExchanges: number;
  fallbacks: readonly Fallback[];
}

export function readSource(): Source {
  const reactor = threadReactor();
  const open = { http: 0, websocket: 0, node_http: 0, socket: 0, listener: 0, udp: 0 };
  for (const { metricsKind } of reactor?.lane.operations.allOwners() ?? [])
    if (metricsKind !== undefined) open[metricsKind]++;
  return {
    traffic: reactor?.lane.traffic ?? new Traffic(),
    stats: reactor?.stats(),
    mode: reactor?.info.mode ?? "none",
    open,
    pendingExchanges: reactor?.pendingExchanges ?? 0,
    fallbacks,
  };
}
