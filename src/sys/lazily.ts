/**
 * Returns a function that makes a value at its first call, and keeps it. Its main use is a module:
 * a program that does not use the module must not pay for it.
 *
 * `const zlib = lazily(() => require("node:zlib") as typeof import("node:zlib"))`: `require` loads
 * a TypeScript module synchronously, too.
 */
export function lazily<T extends object>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}
