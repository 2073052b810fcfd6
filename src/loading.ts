/**
 * Loads the rest of the package for the small files that a program imports: the preload and the
 * command.
 *
 * In the built package, ffi/loading.cjs replaces this file.
 */

/**
 * Whether this file is at its place in the package. In a bundle or an executable, it is a part of
 * the program.
 */
export const isUnbundled: boolean = true;

/** Returns the parts of the package. The first call loads them. */
export const parts = (): typeof import("./parts.ts") => require("./parts.ts");
