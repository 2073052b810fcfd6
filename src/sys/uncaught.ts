/** Errors of handlers that nobody catches. */

/**
 * Shows an error as Bun shows one of a handler without an error handler: printed with its place, and the process ends with code 1 when it ends, so that a
 * test that caused it has failed. As in Bun, listeners of "uncaughtException" do not hear of it: the client has got its 500.
 */
export function showUncaught(error: unknown): void {
  if (process.listenerCount("uncaughtException") === 0) return reportError(error);
  console.error(error);
  process.exitCode ??= 1;
}
