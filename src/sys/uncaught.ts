/** Errors of handlers that nobody catches. */

/**
 * Shows an error as Bun shows the error of a handler without an error handler. It prints the error
 * with its place. The process later ends with code 1, so a test that caused the error fails. As in
 * Bun, listeners of "uncaughtException" do not get the error, because the client has got its 500.
 */
export function showUncaught(error: unknown): void {
  if (process.listenerCount("uncaughtException") === 0) return reportError(error);
  console.error(error);
  process.exitCode ??= 1;
}
