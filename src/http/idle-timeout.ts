import type { Transport } from "../transport/transport.ts";

/** Ends the connection after `ms` milliseconds without traffic. 0 is never. */
export function setIdleTimeout(transport: Transport, ms: number): void {
  if (transport.isGone) return;
  if (ms > 0) transport.setTimeout(ms);
  else transport.clearTimeout();
}
