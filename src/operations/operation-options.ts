/** What limits an operation, whatever it is. */
import { invalidType, outOfRange } from "../sys/argument-errors.ts";

export interface OperationOptions {
  /** Rejects the promise with the signal's reason at once, and cancels the operation. What it has done by then is done. */
  signal?: AbortSignal | null | undefined;
  /** After so many milliseconds the operation is cancelled (IORING_OP_LINK_TIMEOUT) and the promise rejected: ETIMEDOUT. Default: no limit. */
  timeoutMs?: number | undefined;
}

const TIMEOUT_MS_MAX = 2 ** 31;

/** Throws a TypeError or RangeError, with Node's codes. */
export function requireLimits(options: OperationOptions): void {
  if (typeof options !== "object" || options === null) throw invalidType("options", "an object", options);
  const { signal, timeoutMs } = options;
  if (signal !== undefined && signal !== null && !(signal instanceof AbortSignal))
    throw invalidType("signal", "an AbortSignal", signal);
  if (timeoutMs === undefined) return;
  const allowed = `from 0 to ${TIMEOUT_MS_MAX}`;
  if (typeof timeoutMs !== "number") throw invalidType("timeoutMs", allowed, timeoutMs);
  if (!(timeoutMs >= 0 && timeoutMs <= TIMEOUT_MS_MAX)) throw outOfRange("timeoutMs", allowed, timeoutMs);
}

/** Whether nothing can end an operation before its time. */
export function isUnlimited({ signal, timeoutMs }: OperationOptions): boolean {
  return (signal === undefined || signal === null) && timeoutMs === undefined;
}
