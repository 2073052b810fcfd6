/** What becomes of an operation whose signal is aborted: an error as Node has it, in place of the signal's reason. */
import { SystemError } from "../sys/errno.ts";

/** `name` AbortError, `code` ABORT_ERR; `cause` is the signal's reason. */
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
 * What a promise of an operation becomes for its caller: the reason of the signal is told as Node tells it, and an error of the kernel has the stack of
 * the functions that await it, as Bun's own has. Its first stack is that of the completion, which says nothing.
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
