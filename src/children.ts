/**
 * Hands the preload on to the Bun processes that a program starts, in the variable BUN_OPTIONS.
 *
 * Guarantees: Bun's subcommands (`bun run`, `bun test`, `bun install`) do what they do without it; what the user has put into BUN_OPTIONS
 * stays; nothing is added twice. A child that is given an environment of its own without BUN_OPTIONS is not reached.
 */
type Spawn = typeof Bun.spawn | typeof Bun.spawnSync;

/** `path`: the preload's file. */
export function reachChildren(path: string): void {
  // One quoted word: Bun puts the variable before a child's arguments, and would take the second of two words for a subcommand.
  const word = `"--preload=${path.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
  const options = process.env.BUN_OPTIONS ?? "";
  if (options.includes(word)) return; // So this process has it from its parent, and hands it on by itself.
  // In front: Bun reads a quoted word that follows an option as that option's value.
  process.env.BUN_OPTIONS = options === "" ? word : `${word} ${options}`;
  // Bun.spawn without `env` hands on the environment of the process's start, which cannot be changed any more: this is that, with BUN_OPTIONS.
  const environment = { ...process.env };
  Bun.spawn = withEnvironment(Bun.spawn, environment);
  Bun.spawnSync = withEnvironment(Bun.spawnSync, environment);
}

/** Both take either the command and options, or options with the command among them. */
function withEnvironment<Function extends Spawn>(own: Function, environment: NodeJS.ProcessEnv): Function {
  const call = own as (...args: unknown[]) => unknown;
  const complete = (options: unknown): unknown => {
    if (options === undefined || options === null) return { env: environment };
    if (typeof options !== "object" || (options as { env?: unknown }).env) return options;
    return { ...options, env: environment };
  };
  return ((first: unknown, second?: unknown) =>
    Array.isArray(first) ? call(first, complete(second)) : call(first && complete(first))) as unknown as Function;
}
