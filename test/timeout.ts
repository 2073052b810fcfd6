/**
 * The time limit of a test, for all programs that start `bun test`. Bun accepts it only as an
 * argument: it reads no `timeout` from bunfig.toml. Its default is 5 seconds.
 */
export const TIMEOUT = ["--timeout", "30000"];
