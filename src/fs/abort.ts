/** Errors of aborted operations. As in Node, an AbortError replaces the signal's reason. */
import { SystemError } from "../sys/errno.ts";

/** `name` is AbortError, `code` is ABORT_ERR, `cause` is the signal's reason. */
export class AbortError extends Error {
  readonly code = "ABORT_ERR";

  constructor(reason: unknown) {
    super("The operation was aborted", { cause: reason });
  }

  override get name(): string {
    return "AbortError";
  }
}

/**
 * Converts the errors of an operation's promise for its caller. A signal's reason becomes an
 * AbortError, as in Node. An error of the kernel gets the stack of the functions that await it, as
 * in Bun. The stack of the completion would not help the caller.
 */
export async function abortable<T>(
  options: { signal?: AbortSignal | null | undefined } | undefined,
  promise: Promise<T>,
): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    const signal = options?.signal;
    if (signal instanceof AbortSignal && signal.aborted && error === signal.reason) throw new AbortError(error);
    if (error instanceof SystemError) Error.captureStackTrace(error, abortable);
    throw error;
  }
}
