/**
 * `ringloop/fs`: files through the ring, in the shapes of node:fs/promises. The default export is an object of all of it, as Node's.
 *
 * @module ringloop/fs
 */
import * as all from "./all.ts";

export * from "./all.ts";
// Not the module itself: an object whose functions can be replaced.
export default { ...all };
