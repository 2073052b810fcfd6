/** What becomes of an operation whose signal is aborted: an error as Node has it, in place of the signal's reason. */

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

/** The same promise, but that the reason of the signal is told as Node tells it. */
export function abortable<T>(
  options: { signal?: AbortSignal | null | undefined } | undefined,
  promise: Promise<T>,
): Promise<T> {
  const signal = options?.signal;
  if (!(signal instanceof AbortSignal)) return promise;
  return promise.catch((error: unknown) => {
    if (signal.aborted && error === signal.reason) throw new AbortError(error);
    throw error;
  });
}
