/**
 * Checks the behaviour of Bun that ringloop relies on and that Bun does not document.
 *
 * library.ts runs these checks in each thread before the first use of the shared object, if
 * ringloop was not tested with this version of Bun. If a check fails, the program runs on Bun's own
 * functions, and a notice gives the reason. So no ring fails in the middle of a request.
 *
 * Guarantees: no function and no pending job of the program runs. The checks take less than a
 * millisecond. Leaves to `ringloop doctor`: checks that need a whole request.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { ptr, toArrayBuffer } from "bun:ffi";
import { drainMicrotasks } from "bun:jsc";
import { ownBlock } from "./block.ts";
import { freeNow } from "./memory.ts";
import type { Native } from "./library.ts";

/** Size of a page of memory outside of JavaScript's heap. */
const PAGE_BYTES = 4096;

const reliances: Record<string, (native: Native) => boolean> = {
  "bun:ffi shows memory outside of the heap, and gives the addresses of memory in it": showsMemory,
  "structuredClone detaches memory outside of the heap": detaches,
  "an ArrayBuffer over memory outside of the heap frees it": freesMemory,
  "bun:jsc has drainMicrotasks": () => typeof drainMicrotasks === "function",
  "process.nextTick can be replaced": () => isReplaceable(process, "nextTick"),
  "AsyncLocalStorage.snapshot enters the context it was taken in": entersContexts,
  "Bun.peek sees what a Blob in memory holds": () => Bun.peek(new Blob(["x"]).bytes()) instanceof Uint8Array,
  "Buffer reads and writes text by encoding": readsText,
  "Bun.serve, Bun.listen, Bun.connect and Bun.udpSocket can be replaced": () =>
    (["serve", "listen", "connect", "udpSocket"] as const).every((name) => isReplaceable(Bun, name)),
};

/** Returns the first behaviour that this Bun lacks; undefined if Bun has all of them. */
export function missedReliance(native: Native): string | undefined {
  for (const [text, holds] of Object.entries(reliances)) {
    try {
      if (!holds(native)) return text;
    } catch {
      return text;
    }
  }
  return undefined;
}

/** Checks that C and JavaScript see the same page: each reads what the other has written. */
function showsMemory(native: Native): boolean {
  return withPage(native, (page, address) => {
    const own = new Uint8Array([1, 2, 3, 4]);
    native.rl_unmask(ptr(own), ptr(own), 4, 0x04030201);
    const view = new Uint8Array(page);
    view[0] = 7;
    const isAscii = native.rl_unmask(address as never, address as never, 1, 0x87);
    const cells = new Int32Array(page);
    Atomics.store(cells, 1, 5);
    return own.every((byte) => byte === 0) && view[0] === 0x80 && isAscii === 0 && Atomics.load(cells, 1) === 5;
  });
}

function detaches(native: Native): boolean {
  return withPage(native, (page) => {
    const view = new Uint8Array(page);
    structuredClone(page, { transfer: [page] });
    return view.length === 0;
  });
}

function freesMemory(native: Native): boolean {
  const bytes = 64;
  const address = native.rl_block_allocate(bytes);
  if (address < 0) return true;
  const calls = new Uint32Array(1);
  freeNow(ownBlock(native, address, bytes, calls));
  return calls[0] === 1;
}

function withPage(native: Native, use: (page: ArrayBuffer, address: number) => boolean): boolean {
  const address = native.rl_map(PAGE_BYTES);
  if (address < 0) return true; // No memory: the caller's own mapping fails with a better error.
  try {
    return use(toArrayBuffer(address as never, 0, PAGE_BYTES), address);
  } finally {
    native.rl_unmap(address, PAGE_BYTES);
  }
}

function entersContexts(): boolean {
  const storage = new AsyncLocalStorage<number>();
  const snapshot = storage.run(1, () => AsyncLocalStorage.snapshot());
  return snapshot(() => storage.getStore()) === 1 && storage.getStore() === undefined;
}

function readsText(): boolean {
  const bytes = Buffer.alloc(4);
  const latin1 = bytes.latin1Write("\xe9", 0, 1);
  const utf8 = bytes.utf8Write("\xe9", 1);
  return latin1 === 1 && utf8 === 2 && bytes.latin1Slice(0, 1) === "\xe9" && bytes.utf8Slice(1, 3) === "\xe9";
}

function isReplaceable(holder: object, name: string): boolean {
  const property = Object.getOwnPropertyDescriptor(holder, name);
  return property !== undefined && (property.writable === true || property.set !== undefined);
}
