/**
 * Passes the preload on to the Bun processes that a program starts, by the variable BUN_OPTIONS.
 *
 * Guarantees: Bun's subcommands (`bun run`, `bun test`, `bun install`) work as they do without the
 * preload. The user's value of BUN_OPTIONS stays. Nothing is added twice. The preload does not
 * reach a child that gets another environment without BUN_OPTIONS.
 */
type Spawn = typeof Bun.spawn | typeof Bun.spawnSync;

/** Adds the preload to the environment of children. `path` is the file of the preload. */
export function reachChildren(path: string): void {
  // One quoted word. Bun puts the variable before a child's arguments. Of two words, it would
  // regard the second as a subcommand.
  const word = `"--preload=${path.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
  const options = process.env.BUN_OPTIONS ?? "";
  // The parent process has set it, and children inherit it.
  if (options.includes(word)) return hideOption(path);
  // In front of the other options: Bun reads a quoted word after an option as the value of that
  // option.
  process.env.BUN_OPTIONS = options === "" ? word : `${word} ${options}`;
  // Without `env`, Bun.spawn passes on the environment of the process's start, which cannot be
  // changed later. This object is that environment with BUN_OPTIONS.
  const environment = { ...process.env };
  Bun.spawn = withEnvironment(Bun.spawn, environment);
  Bun.spawnSync = withEnvironment(Bun.spawnSync, environment);
}

/**
 * Removes the option that the parent process has added from `process.execArgv`. There, the program
 * expects what it was started with. fork() of node:child_process passes the list on, so the option
 * would be there once more in each generation.
 */
function hideOption(path: string): void {
  const at = process.execArgv.indexOf(`--preload=${path}`);
  if (at >= 0) process.execArgv.splice(at, 1);
}

/**
 * Wraps Bun.spawn or Bun.spawnSync, so that calls without `env` get the environment. Both accept
 * either the command and options, or options that include the command.
 */
function withEnvironment<Function extends Spawn>(own: Function, environment: NodeJS.ProcessEnv): Function {
  const call = own as (...args: unknown[]) => unknown;
  const complete = (options: unknown): unknown => {
    if (options === undefined || options === null) return { env: environment };
    if (typeof options !== "object" || (options as { env?: unknown }).env) return options;
    return { ...options, env: environment };
  };
  const wrapped = (first: unknown, second?: unknown): unknown =>
    Array.isArray(first) ? call(first, complete(second)) : call(first && complete(first));
  const { name, length } = own;
  Object.defineProperties(wrapped, {
    name: { value: name, configurable: true },
    length: { value: length, configurable: true },
  });
  return wrapped as unknown as Function;
}
