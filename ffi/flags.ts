/** How ringloop.c is compiled: by build.ts for this machine, by packages.ts for every system that there is a package for. */
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
  // A thread's end calls into it, perhaps after the thread's JavaScript has let go of it.
  "-Wl,-z,nodelete",
];
