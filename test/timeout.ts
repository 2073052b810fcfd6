/**
 * The time limit of a test, for all programs that start `bun test`. It ends a test that hangs, so
 * that it is far above the time that a test takes on a busy machine. Bun accepts it only as an
 * argument: it reads no `timeout` from bunfig.toml. Its default is 5 seconds.
 */
export const TIMEOUT = ["--timeout", "120000"];
