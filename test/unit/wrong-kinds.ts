/** Values of kinds that an argument may not have, for tests that give each to each argument. */

/** The text is none that the kernel takes. The last ones are containers with wrong elements. */
export const wrongKinds: readonly unknown[] = [
  ...[5n, -1n, 2n ** 70n, Symbol("s"), null, {}, "a\0b", "", true, NaN, 1.5, -7, 2 ** 60, () => {}, new Map()],
  { valueOf: () => failsInCode(), toString: () => failsInCode(), length: 1 },
  ...[[], [1], [null], [undefined], [{}]],
];

/** An object must not run its code in a check. */
function failsInCode(): never {
  throw new Error("a check ran the program's code");
}

/**
 * Returns what a call of `run` with a wrong value has thrown, if it is neither an error of an
 * argument nor of the kernel: an error of JavaScript's own, without a `code`.
 */
export function strayError(error: unknown): string | undefined {
  const { code, errno } = (error ?? {}) as { code?: unknown; errno?: unknown };
  if (typeof code === "string" && (code.startsWith("ERR_") || typeof errno === "number")) return undefined;
  return String(error);
}

/** Returns the arguments with one of them replaced, for each of them and each wrong value. */
export function* withWrongKinds(args: readonly unknown[]): Generator<[at: number, value: unknown, args: unknown[]]> {
  for (const at of args.keys()) for (const value of wrongKinds) yield [at, value, args.with(at, value)];
}
