/**
 * The shared object of ffi/ringloop.c, opened once for each thread that needs it, and compared with abi.ts before first use.
 *
 * Guarantees: `native()` either returns functions whose layouts and constants are those of abi.ts, or throws a LibraryError that
 * says what to do. Importing this file opens nothing. This is the only directory that imports bun:ffi.
 */
import { dlopen, FFIType, type Pointer, ptr } from "bun:ffi";
import { layout } from "./layout.ts";

const { i32, u32, f64, ptr: pointer, void: nothing } = FFIType;

const symbols = {
  rl_layout: { args: [pointer, u32], returns: i32 },
  rl_ring_open: { args: [pointer, pointer], returns: i32 },
  rl_ring_register_fd: { args: [pointer], returns: i32 },
  rl_ring_unregister_fd: { args: [pointer], returns: i32 },
  rl_ring_close: { args: [pointer], returns: nothing },
  rl_enter: { args: [i32, u32, u32, u32, i32], returns: i32 },
  rl_register: { args: [i32, u32, pointer, u32], returns: i32 },
  rl_map: { args: [f64], returns: f64 },
  rl_unmap: { args: [f64, f64], returns: i32 },
  rl_discard: { args: [f64, f64], returns: i32 },
  rl_owned: { args: [], returns: f64 },
  rl_eventfd: { args: [], returns: i32 },
  rl_eventfd_signal: { args: [i32], returns: i32 },
  rl_socketpair: { args: [pointer], returns: i32 },
  rl_find_epoll: { args: [i32], returns: i32 },
  rl_socket: { args: [i32, i32], returns: i32 },
  rl_set_blocking: { args: [i32], returns: i32 },
  rl_getsockopt: { args: [i32, i32, i32], returns: i32 },
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
  rl_unmask: { args: [pointer, u32, u32], returns: i32 },
  rl_seek: { args: [i32, f64, i32], returns: f64 },
  rl_close: { args: [i32], returns: i32 },
  rl_thread_cpu_ns: { args: [], returns: f64 },
} as const;

export type Native = ReturnType<typeof dlopen<typeof symbols>>["symbols"];

/** The shared object is missing, is for another machine, or was built from other sources than this package's. */
export class LibraryError extends Error {
  readonly code = "ERR_RINGLOOP_LIBRARY";

  constructor(reason: string) {
    super(`ringloop: ${reason}. Build it with: bun ${packageFile("ffi/build.ts")} --force`);
  }

  override get name(): string {
    return "LibraryError";
  }
}

function packageFile(path: string): string {
  // This file is in src/sys/, or a part of a file in dist/.
  const root = import.meta.path.endsWith("/src/sys/library.ts") ? "../../" : "../";
  return Bun.fileURLToPath(new URL(root + path, import.meta.url));
}

/** RINGLOOP_LIBRARY names another file, for packagers and tests. */
export function libraryPath(): string {
  const file = `libringloop-${process.platform}-${process.arch}.so`;
  return process.env.RINGLOOP_LIBRARY || packageFile(`ffi/build/${file}`);
}

function open(path: string): Native {
  let library: ReturnType<typeof dlopen<typeof symbols>>;
  try {
    library = dlopen(path, symbols);
  } catch (error) {
    const { existsSync } = require("node:fs") as typeof import("node:fs");
    if (!existsSync(path)) throw new LibraryError(`the shared object ${path} does not exist`);
    // Another architecture, a missing liburing.so or a missing symbol: the dynamic linker's own words say which.
    throw new LibraryError(`the shared object ${path} cannot be loaded (${(error as Error).message})`);
  }
  const seen = new Uint32Array(layout.length);
  const count = library.symbols.rl_layout(ptr(seen), seen.length);
  const wrong = layout.flatMap(([name, value], i) => (seen[i] === value ? [] : `${name} is ${seen[i]}, not ${value}`));
  if (count !== layout.length) wrong.push(`${count} values, not ${layout.length}`);
  if (wrong.length > 0) {
    library.close();
    throw new LibraryError(`the shared object ${path} does not match src/sys/abi.ts (${wrong.slice(0, 3).join("; ")})`);
  }
  return library.symbols;
}

let opened: Native | undefined;

/** The functions of the shared object. Throws LibraryError. */
export function native(): Native {
  return (opened ??= open(libraryPath()));
}

/** The address of JavaScript's own memory, for a call that is done with it when it returns. */
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
