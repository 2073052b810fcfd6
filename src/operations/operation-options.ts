/** Options that limit any operation. */
import { requireNumber, requireObject, requireSignal } from "../sys/check.ts";

export interface OperationOptions {
  /**
   * A signal that rejects the promise at once, with its reason, and cancels the operation. Effects
   * until then remain.
   */
  signal?: AbortSignal | null | undefined;
  /**
   * Milliseconds after which the operation is cancelled (IORING_OP_LINK_TIMEOUT) and the promise
   * rejected with ETIMEDOUT. Default: no limit.
   */
  timeoutMs?: number | undefined;
}

const TIMEOUT_MS_MAX = 2 ** 31;

/** Throws a TypeError or RangeError, with Node's codes, for a wrong option. */
export function requireLimits(options: OperationOptions): void {
  requireObject("options", options);
  const { signal, timeoutMs } = options;
  requireSignal("signal", signal ?? undefined);
  if (timeoutMs !== undefined) requireNumber("timeoutMs", timeoutMs, 0, TIMEOUT_MS_MAX);
}

/** Returns whether no option can end an operation before its time. */
export function isUnlimited({ signal, timeoutMs }: OperationOptions): boolean {
  return (signal === undefined || signal === null) && timeoutMs === undefined;
}
