/**
 * `npm run fuzz:memory -- --operations N --seed S --mode defer|sqpoll|both`: calls every function
 * that takes memory of the program, with memory of every kind. The memory changes while it is in
 * use: it is resized, grows, is transferred, posted, detached or written to, or gives a wrong
 * length.
 *
 * In all cases only present or former bytes of the memory may reach a wire or a file. Each promise
 * must settle, and no resource may be left. Memory that ringloop frees is filled with a canary, so
 * that a leaked byte is found. Prints the operations. Exits 1 at a violation, which names its seed
 * and step.
 */
import { join } from "node:path";
import { runInModes } from "./fuzz/options.ts";

await runInModes("fuzz:memory", join(import.meta.dir, "fuzz/memory.ts"));
