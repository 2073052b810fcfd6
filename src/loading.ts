/**
 * The way from the small files that a program imports (the preload, the command) to the rest.
 *
 * The built package has ffi/loading.cjs in the place of this file.
 */

/** Whether this file is where the package has it: in a bundle or an executable it is a part of the program. */
export const isUnbundled: boolean = true;

/** The parts, loaded by the first call. */
export const parts = (): typeof import("./parts.ts") => require("./parts.ts");
