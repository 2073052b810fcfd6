/**
 * Limits the time in which a connection is made: by a signal and by a timeout.
 *
 * Guarantees: the promise rejects at once, with the signal's reason or with ETIMEDOUT. A connection
 * that opens after that goes to `discard`, once. The limits end when the connection is open.
 */
import { type OperationOptions, requireLimits } from "../../operations/operation-options.ts";
import { ETIMEDOUT, SystemError } from "../../sys/errno.ts";

export type ConnectLimits = Pick<OperationOptions, "signal" | "timeoutMs">;

/**
 * Calls `open` with a signal that cancels it. Without any limit, `open` gets no signal. Throws a
 * TypeError or RangeError for a wrong limit.
 */
export function withLimits<T>(
  limits: ConnectLimits,
  open: (signal: AbortSignal | undefined) => Promise<T>,
  discard: (late: T) => void,
): Promise<T> {
  requireLimits(limits);
  const { signal, timeoutMs } = limits;
  if ((signal === undefined || signal === null) && timeoutMs === undefined) return open(undefined);
  if (signal?.aborted === true) return Promise.reject(signal.reason);
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const controller = new AbortController();
  let isOver = false;
  const over = (): void => {
    isOver = true;
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  };
  const giveUp = (reason: unknown): void => {
    if (isOver) return;
    over();
    reject(reason);
    controller.abort(reason);
  };
  const abort = (): void => giveUp(signal!.reason);
  const timer =
    timeoutMs === undefined ? undefined : setTimeout(() => giveUp(new SystemError(ETIMEDOUT, "connect")), timeoutMs);
  signal?.addEventListener("abort", abort);
  const opened = (value: T): void => {
    if (isOver) return discard(value);
    over();
    resolve(value);
  };
  const failed = (error: unknown): void => {
    // This error is the result of the abort.
    if (isOver) return;
    over();
    reject(error);
  };
  void open(controller.signal).then(opened, failed);
  return promise;
}
