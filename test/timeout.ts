/**
 * The time limit of a test, for everything that starts `bun test`. Bun takes it as an argument only: it reads no `timeout` from bunfig.toml,
 * and stops a test after 5 seconds.
 */
export const TIMEOUT = ["--timeout", "30000"];
