/**
 * `npm run fuzz:descriptors -- --operations N --seed S --mode defer|sqpoll|both`: closes,
 * terminates and abandons files, sockets, requests and chains during their operations. Many live
 * for a short time at once, so that the number of a descriptor soon belongs to another file or
 * connection.
 *
 * Every byte carries the tag of its file or connection, so a byte in the wrong place is found. Each
 * promise must settle, and no resource may be left. Prints the operations. Exits 1 at a violation,
 * which names its seed and step.
 */
import { join } from "node:path";
import { runInModes } from "./fuzz/options.ts";

await runInModes("fuzz:descriptors", join(import.meta.dir, "fuzz/descriptors.ts"));
