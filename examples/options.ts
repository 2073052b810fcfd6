/** Reads `--port` and `--mode` for the examples. */
import { parseArgs } from "node:util";
import type { Mode } from "../src/index.ts";

export function options(defaults: { port: number }): { port: number; mode: Mode } {
  const { values } = parseArgs({
    options: { port: { type: "string", default: String(defaults.port) }, mode: { type: "string", default: "auto" } },
  });
  return { port: Number(values.port), mode: values.mode as Mode };
}
