/**
 * Compiler flags for ringloop.c. build.ts uses them for this machine, packages.ts for every system
 * with a package.
 */
export const flags = [
  "-std=gnu11",
  "-O2",
  "-Wall",
  "-Wextra",
  "-Werror",
  "-shared",
  "-fPIC",
  "-fvisibility=hidden",
  "-Wl,--exclude-libs,ALL",
  // The end of a thread calls into the library, perhaps after the thread's JavaScript has closed
  // it.
  "-Wl,-z,nodelete",
];
