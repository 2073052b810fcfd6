/** The kernel's setup flags and feature bits, by name. */
import * as abi from "../sys/abi.ts";
import type { Ring } from "./ring.ts";

function namesOf(prefix: string, bits: number): string[] {
  return Object.entries(abi)
    .filter(([name, value]) => name.startsWith(prefix) && typeof value === "number" && (bits & value) !== 0)
    .map(([name]) => name.slice(prefix.length).toLowerCase());
}

export function featureNames(ring: Ring): { setup: string[]; features: string[] } {
  return { setup: namesOf("IORING_SETUP_", ring.flags), features: namesOf("IORING_FEAT_", ring.features) };
}
