/**
 * `ringloop/fs`: files through the ring, in the shapes of node:fs/promises. As in Node, the default
 * export is an object with all functions.
 *
 * @module ringloop/fs
 */
import * as all from "./all.ts";

export * from "./all.ts";
// A plain object instead of the module, so that its functions can be replaced.
export default { ...all };
