/**
 * The shared object of ffi/ringloop.c. Each thread that needs it opens it once, and compares it
 * with abi.ts before the first use.
 *
 * Guarantees: `native()` returns functions whose layouts and constants equal those of abi.ts, or
 * throws a LibraryError that names the remedy. Importing this file opens nothing. src/sys/ is the
 * only directory that imports bun:ffi.
 */
import { dlopen, FFIType, type Pointer, ptr } from "bun:ffi";
import { layout } from "./layout.ts";
import { packageFile, packageName, places } from "./library-places.ts";
import { isTestedBun, TESTED_BUN } from "./tested-bun.ts";

const { i32, u32, f64, ptr: pointer, void: nothing } = FFIType;

const symbols = {
  rl_layout: { args: [pointer, u32], returns: i32 },
  rl_ring_open: { args: [pointer, pointer], returns: i32 },
  rl_ring_register_fd: { args: [pointer], returns: i32 },
  rl_ring_unregister_fd: { args: [pointer], returns: i32 },
  rl_ring_resize: { args: [pointer, u32, u32, u32, pointer], returns: i32 },
  rl_ring_close: { args: [pointer], returns: nothing },
  rl_enter: { args: [i32, u32, u32, u32, i32], returns: i32 },
  rl_enter_min: { args: [i32, u32, u32, u32, i32, u32], returns: i32 },
  rl_enter_registered: { args: [i32, u32, u32, u32, u32], returns: i32 },
  rl_register: { args: [i32, u32, pointer, u32], returns: i32 },
  rl_map: { args: [f64], returns: f64 },
  rl_unmap: { args: [f64, f64], returns: i32 },
  rl_discard: { args: [f64, f64], returns: i32 },
  rl_block_allocate: { args: [f64], returns: f64 },
  rl_block_free: { args: [f64], returns: nothing },
  rl_block_give: { args: [f64], returns: nothing },
  rl_block_dispose: { args: [pointer, pointer], returns: nothing },
  rl_copy: { args: [f64, pointer, u32], returns: nothing },
  rl_owned: { args: [], returns: f64 },
  rl_eventfd: { args: [], returns: i32 },
  rl_eventfd_signal: { args: [i32], returns: i32 },
  rl_socketpair: { args: [pointer], returns: i32 },
  rl_make_eventfd: { args: [u32, i32], returns: i32 },
  rl_make_epoll: { args: [i32], returns: i32 },
  rl_make_timerfd: { args: [i32, i32], returns: i32 },
  rl_timerfd_settime: { args: [i32, i32, pointer], returns: i32 },
  rl_timerfd_gettime: { args: [i32, pointer], returns: i32 },
  rl_make_pidfd: { args: [i32, u32], returns: i32 },
  rl_make_memfd: { args: [pointer, u32], returns: i32 },
  rl_make_pipe: { args: [pointer, i32], returns: i32 },
  rl_make_socketpair: { args: [i32, i32, i32, pointer], returns: i32 },
  rl_make_inotify: { args: [i32], returns: i32 },
  rl_inotify_add_watch: { args: [i32, pointer, u32], returns: i32 },
  rl_find_epoll: { args: [i32], returns: i32 },
  rl_socket: { args: [i32, i32], returns: i32 },
  rl_set_blocking: { args: [i32], returns: i32 },
  rl_close_on_exec: { args: [i32], returns: i32 },
  rl_is_listening: { args: [i32], returns: i32 },
  rl_getsockopt: { args: [i32, i32, i32], returns: i32 },
  rl_getsockopt_bytes: { args: [i32, i32, i32, pointer, u32], returns: i32 },
  rl_setsockopt: { args: [i32, i32, i32, i32], returns: i32 },
  rl_setsockopt_bytes: { args: [i32, i32, i32, pointer, u32], returns: i32 },
  rl_bind: { args: [i32, pointer, u32], returns: i32 },
  rl_listen: { args: [i32, i32], returns: i32 },
  rl_sockname: { args: [i32, i32, pointer, u32], returns: i32 },
  rl_shutdown: { args: [i32, i32], returns: i32 },
  rl_resolve: { args: [pointer, i32, pointer], returns: i32 },
  rl_format_address: { args: [pointer, u32, pointer, u32], returns: i32 },
  rl_drain_errors: { args: [i32], returns: i32 },
  rl_connect: { args: [i32, pointer, u32], returns: i32 },
  rl_open_within: { args: [i32, pointer], returns: i32 },
  rl_send_file: { args: [i32, pointer, u32, i32, f64, u32], returns: i32 },
  rl_send_now: { args: [i32, f64, u32, f64], returns: i32 },
  rl_received_bytes: { args: [i32], returns: i32 },
  rl_receive_now: { args: [i32, f64, f64], returns: i32 },
  rl_unmask: { args: [pointer, pointer, u32, u32], returns: i32 },
  rl_status_flags: { args: [i32], returns: i32 },
  rl_seek: { args: [i32, f64, i32], returns: f64 },
  rl_close: { args: [i32], returns: i32 },
  rl_thread_cpu_ns: { args: [], returns: f64 },
} as const;

export type Native = ReturnType<typeof dlopen<typeof symbols>>["symbols"];

/**
 * The shared object is missing, is for another machine, or was built from other sources than this
 * package's. Or this Bun lacks behaviour that ringloop relies on.
 */
export class LibraryError extends Error {
  readonly code = "ERR_RINGLOOP_LIBRARY";

  constructor(reason: string, remedy: string) {
    super(`ringloop: ${reason}. ${remedy}`);
  }

  override get name(): string {
    return "LibraryError";
  }
}

/**
 * Whether the file exists. This is called only after a failure, because node:fs takes time to load.
 */
function isThere(path: string): boolean {
  return (require("node:fs") as typeof import("node:fs")).existsSync(path);
}

/**
 * Returns the remedy for a missing library. In a bundle, the remedy applies where the program is
 * bundled.
 */
function advice(): string {
  const build = packageFile("ffi/build.ts");
  return isThere(build)
    ? `Build it with: bun ${build} --force`
    : `Where this program is bundled or compiled, add the package ${packageName()} (bun add --os=linux --cpu=${process.arch}), or set` +
        " RINGLOOP_LIBRARY to the path of a shared object";
}

/** Opens the file and compares its layout. Throws an Error that gives the reason of a failure. */
function load(path: string): Native {
  let library: ReturnType<typeof dlopen<typeof symbols>>;
  try {
    library = dlopenAnywhere(path);
  } catch (error) {
    // The dynamic linker's message names the cause: another architecture, a missing liburing.so or
    // a missing symbol.
    const reason = isThere(path) ? `cannot be loaded (${(error as Error).message})` : "does not exist";
    throw new Error(`the shared object ${path} ${reason}`, { cause: error });
  }
  const seen = new Uint32Array(layout.length);
  const count = library.symbols.rl_layout(ptr(seen), seen.length);
  const wrong = layout.flatMap(([name, value], i) => (seen[i] === value ? [] : `${name} is ${seen[i]}, not ${value}`));
  if (count !== layout.length) wrong.push(`${count} values, not ${layout.length}`);
  if (wrong.length > 0) {
    library.close();
    throw new Error(`the shared object ${path} does not match src/sys/abi.ts (${wrong.slice(0, 3).join("; ")})`);
  }
  return library.symbols;
}

function dlopenAnywhere(path: string): ReturnType<typeof dlopen<typeof symbols>> {
  try {
    return dlopen(path, symbols);
  } catch (error) {
    if (!path.startsWith("/$bunfs/")) throw error;
    // Bun has no writable directory for the file.
    const { inMemory } = require("./embedded-library.ts") as typeof import("./embedded-library.ts");
    return dlopen(inMemory(path), symbols);
  }
}

interface Opened {
  path: string;
  functions: Native;
}

let opened: Opened | undefined;

function open(): Opened {
  const found = find();
  if (isTestedBun()) return found;
  const { missedReliance } = require("./bun-internals.ts") as typeof import("./bun-internals.ts");
  const missed = missedReliance(found.functions);
  if (missed !== undefined)
    throw new LibraryError(
      `Bun ${process.versions.bun} is not one that ringloop was tested with, and it does not hold that ${missed}`,
      `Take a later ringloop, or Bun ${TESTED_BUN.at(-1)}`,
    );
  return found;
}

function find(): Opened {
  const failures: string[] = [];
  for (const place of places()) {
    const path = place();
    if (path === undefined) continue;
    try {
      return { path, functions: load(path) };
    } catch (error) {
      failures.push((error as Error).message);
    }
  }
  const system = `${process.platform} ${process.arch}`;
  const missing = /^linux (x64|arm64)$/.test(system)
    ? `there is no shared object for ${system}: ${packageName()} is not installed, and none is built`
    : `there is no shared object for ${system}, but for Linux on x64 and arm64`;
  throw new LibraryError(failures.join("; ") || missing, advice());
}

/** Returns the functions of the shared object. Throws LibraryError. */
export function native(): Native {
  return (opened ??= open()).functions;
}

/** Returns the path of the shared object that `native` uses. Throws LibraryError. */
export function libraryPath(): string {
  return (opened ??= open()).path;
}

/**
 * Returns the address of JavaScript's own memory. It is valid for one call that uses it only until
 * the call returns.
 */
export function pointerTo(view: NodeJS.TypedArray): Pointer {
  return ptr(view);
}

/** Memory that a native call is using, and that nobody else may hold: the collector does not see an address. */
const inUse: NodeJS.TypedArray[] = [];

/** Calls with the address of memory that lives at least until `call` returns. */
export function withPointer<Result>(view: NodeJS.TypedArray, call: (pointer: Pointer) => Result): Result {
  inUse.push(view);
  try {
    return call(ptr(view));
  } finally {
    inUse.pop();
  }
}
