/**
 * The environment variables of ringloop that take one of a few values. An empty variable counts as
 * not set.
 *
 * - RINGLOOP controls the preload: `on` (the default) redirects Bun's functions, `off` does
 *   nothing, `require` refuses to run without a ring.
 * - RINGLOOP_MODE sets the mode of every ring. It overrides the program's option.
 * - RINGLOOP_LOG: `1` makes the preload report what it did.
 */
const allowed = {
  RINGLOOP: ["on", "off", "require"],
  RINGLOOP_MODE: ["auto", "sqpoll", "defer"],
  RINGLOOP_LOG: ["0", "1"],
} as const;

type Name = keyof typeof allowed;

/**
 * Returns the variable's value; undefined where it is not set. Throws a TypeError that names the
 * allowed values for any other value.
 */
export function readVariable<N extends Name>(name: N): (typeof allowed)[N][number] | undefined {
  const value = process.env[name];
  if (value === undefined || value === "") return undefined;
  const values: readonly string[] = allowed[name];
  if (values.includes(value)) return value as (typeof allowed)[N][number];
  // Loaded for the error alone, because each process under the preload reads the variables.
  const { wrongWord } = require("./check.ts") as typeof import("./check.ts");
  throw wrongWord(name, value, values);
}

/**
 * Reads every variable, to find a wrong value at once. Throws the same errors as `readVariable`.
 */
export function checkVariables(): void {
  for (const name of Object.keys(allowed) as Name[]) readVariable(name);
}
