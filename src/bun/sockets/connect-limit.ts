/**
 * What limits the making of a connection: a signal, and a time.
 *
 * Guarantees: the promise is rejected at once, with the signal's reason or with ETIMEDOUT; what is opened all the same is given to `discard`, once. The
 * limit holds until the connection is there, and not afterwards.
 */
import { type OperationOptions, requireLimits } from "../../operations/operation-options.ts";
import { ETIMEDOUT, SystemError } from "../../sys/errno.ts";

export type ConnectLimits = Pick<OperationOptions, "signal" | "timeoutMs">;

/** `open` gets a signal to cancel by, where there is any limit. Throws a TypeError or RangeError for a wrong limit. */
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
    if (isOver) return; // What the abort has come to.
    over();
    reject(error);
  };
  void open(controller.signal).then(opened, failed);
  return promise;
}
