/**
 * What is made with its first use, and kept: modules above all, which a program that does not use them must not pay for.
 *
 * `const zlib = lazily(() => require("node:zlib") as typeof import("node:zlib"))`: `require` gives a module of TypeScript at once, too.
 */
export function lazily<T extends object>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}
