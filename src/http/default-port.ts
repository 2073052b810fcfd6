/** The port of a server whose options name no port. */
import { existsSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";

/**
 * Returns the port. As in Bun, it is the first of three variables, or else `bun --port`, or else
 * `port` below `[serve]` in bunfig.toml, or else 3000.
 */
export function defaultPort(): number | string {
  const variable = process.env.BUN_PORT ?? process.env.PORT ?? process.env.NODE_PORT;
  if (variable !== undefined) return variable;
  const text = { type: "string" } as const;
  const { values } = parseArgs({ args: process.execArgv, options: { port: text, config: text }, strict: false });
  const [port, config = "bunfig.toml"] = [values.port, values.config] as (string | undefined)[];
  return port ?? bunfigPort(config) ?? 3000;
}

/**
 * Returns the port of a bunfig.toml. Bun itself has read the file, and does not start if the file
 * is no TOML.
 */
function bunfigPort(file: string): number | undefined {
  if (!existsSync(file)) return undefined;
  const { serve } = Bun.TOML.parse(readFileSync(file, "utf8")) as { serve?: { port?: number } };
  return serve?.port;
}
