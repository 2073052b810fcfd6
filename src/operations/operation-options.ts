/** Options that limit any operation. */
import { invalidType, outOfRange } from "../sys/argument-errors.ts";

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
  if (typeof options !== "object" || options === null) throw invalidType("options", "an object", options);
  const { signal, timeoutMs } = options;
  if (signal !== undefined && signal !== null && !(signal instanceof AbortSignal))
    throw invalidType("signal", "an AbortSignal", signal);
  if (timeoutMs === undefined) return;
  const allowed = `from 0 to ${TIMEOUT_MS_MAX}`;
  if (typeof timeoutMs !== "number") throw invalidType("timeoutMs", allowed, timeoutMs);
  if (!(timeoutMs >= 0 && timeoutMs <= TIMEOUT_MS_MAX)) throw outOfRange("timeoutMs", allowed, timeoutMs);
}

/** Returns whether no option can end an operation before its time. */
export function isUnlimited({ signal, timeoutMs }: OperationOptions): boolean {
  return (signal === undefined || signal === null) && timeoutMs === undefined;
}
