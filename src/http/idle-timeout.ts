/** How long a connection may be without traffic. */
import type { Transport } from "../transport/transport.ts";
import type { HttpLimits } from "./host.ts";

/** Ends the connection after `ms` milliseconds without traffic. 0 is never. */
export function setIdleTimeout(transport: Transport, ms: number): void {
  if (transport.isGone) return;
  if (ms > 0) transport.setTimeout(ms);
  else transport.clearTimeout();
}

/** The idle timeout of an exchange. The program may give a request another one than the server's. */
export class IdleTimeout {
  private readonly limits: HttpLimits;
  private ms = 0;

  constructor(limits: HttpLimits) {
    this.limits = limits;
  }

  /** Takes the server's time, for a connection whose time runs already. */
  begin(): void {
    this.ms = this.limits.idleTimeoutMs;
  }

  /** Sets the time for the request that is under way, and starts it. 0 is no limit. */
  set(transport: Transport, ms: number): void {
    this.ms = ms;
    this.extend(transport);
  }

  /** Starts the time again, because there was traffic. */
  extend(transport: Transport): void {
    setIdleTimeout(transport, this.ms);
  }

  /** Takes the server's time again: the time that `set` gave to a request ends with it. */
  endRequest(transport: Transport): void {
    const { idleTimeoutMs } = this.limits;
    if (this.ms !== idleTimeoutMs) this.set(transport, idleTimeoutMs);
  }

  /**
   * Called at the end of the time. Returns whether nothing has moved in it. A slow client that reads
   * its answer is not idle, and gets the time once more.
   */
  isOver(transport: Transport): boolean {
    if (!transport.takeProgress()) return true;
    this.extend(transport);
    return false;
  }
}
