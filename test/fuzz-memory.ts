/**
 * `npm run fuzz:memory -- --operations N --seed S --mode defer|sqpoll|both`: every function that takes memory of the program's, on memory of every
 * kind, which changes while it is used: it is resized, grows, is transferred, posted, detached, written to, lies about its length.
 *
 * Whatever happens to it, nothing else gets on a wire or into a file than what it has or had; each promise settles; nothing is left. The memory that
 * ringloop gives back is filled with a canary, so that a byte of it shows. Prints what was done; exits 1 at a violation, which names its seed and step.
 */
import { join } from "node:path";
import { runInModes } from "./fuzz/options.ts";

await runInModes("fuzz:memory", join(import.meta.dir, "fuzz/memory.ts"));
