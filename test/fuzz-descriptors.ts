/**
 * `npm run fuzz:descriptors -- --operations N --seed S --mode defer|sqpoll|both`: files, sockets, requests and chains that are closed, terminated and
 * abandoned under their operations, many short lives at once, so that a descriptor's number is somebody else's a moment later.
 *
 * Every byte carries the tag of the file or connection that it is for: one that gets anywhere else shows. Each promise settles; nothing is left.
 * Prints what was done; exits 1 at a violation, which names its seed and step.
 */
import { join } from "node:path";
import { runInModes } from "./fuzz/options.ts";

await runInModes("fuzz:descriptors", join(import.meta.dir, "fuzz/descriptors.ts"));
