/** What limits an operation, whatever it is. */
import { requireNumber, requireObject, requireSignal } from "../sys/check.ts";

export interface OperationOptions {
  /** Rejects the promise with the signal's reason at once, and cancels the operation. What it has done by then is done. */
  signal?: AbortSignal | null | undefined;
  /** After so many milliseconds the operation is cancelled (IORING_OP_LINK_TIMEOUT) and the promise rejected: ETIMEDOUT. Default: no limit. */
  timeoutMs?: number | undefined;
}

const TIMEOUT_MS_MAX = 2 ** 31;

/** Throws a TypeError or RangeError, with Node's codes. */
export function requireLimits(options: OperationOptions): void {
  requireObject("options", options);
  const { signal, timeoutMs } = options;
  requireSignal("signal", signal ?? undefined);
  if (timeoutMs !== undefined) requireNumber("timeoutMs", timeoutMs, 0, TIMEOUT_MS_MAX);
}

/** Whether nothing can end an operation before its time. */
export function isUnlimited({ signal, timeoutMs }: OperationOptions): boolean {
  return (signal === undefined || signal === null) && timeoutMs === undefined;
}
