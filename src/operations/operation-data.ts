/**
 * Kinds of operations that carry data, in one piece or as a vector, and parts that kinds have in
 * common.
 *
 * Guarantees: the kernel sees only chunks of the arena. Data is copied into them when the operation
 * starts, and out of them when it is over. The copying sets the number of bytes that are lent to
 * the kernel (`lent`). The caller's view is never asked for its length again: it may shrink (a
 * resizable ArrayBuffer), move (a WebAssembly memory that grows) or be detached (transfer) at any
 * moment.
 */
import { withCode } from "../sys/check.ts";
import { type Chunk } from "../ring/arena.ts";
import { IOVEC_BYTES } from "../sys/abi.ts";
import { native } from "../sys/library.ts";
import { byteLengthOf, bytesOf, copyBytes } from "../sys/views.ts";
import type { Kind, Operation } from "./operation.ts";

export const theResult = (_operation: Operation<number>, result: number): number => result;
export const noResult = (): void => {};
/** Closes a result that is a descriptor. */
export const closeResult = (_operation: Operation<number>, result: number): void => void native().rl_close(result);

/** Reads into room for `length` bytes, and copies the bytes to `data` at `offset`. */
export const readKind: Kind<number> = {
  syscall: "read",
  place: placeRoom,
  prepare: (sqe, { fd, address, lent, position }) => void sqe.prepRead(fd, address, lent, position),
  moves: true,
  finish(operation, result) {
    giveBack(operation.chunk!, result, operation.data as NodeJS.ArrayBufferView, operation.offset);
    return result;
  },
};

export const writeKind: Kind<number> = {
  syscall: "write",
  place: placeData,
  prepare: (sqe, { fd, address, lent, position }) => void sqe.prepWrite(fd, address, lent, position),
  moves: true,
  finish: theResult,
};

/** Allocates room for the bytes that are read. */
export function placeRoom(operation: Operation<any>): void {
  const { length } = operation;
  operation.address = operation.room(length).address;
  operation.lent = length;
}

/** Copies `length` bytes of `data`, starting at `offset`. */
export function placeData(operation: Operation<any>): void {
  const { offset, length } = operation;
  const chunk = operation.room(length);
  operation.lent = copyIn(chunk, operation.data as NodeJS.ArrayBufferView, offset, length);
  operation.address = chunk.address;
}

/**
 * Copies `length` bytes into the chunk, and returns `length`. Throws a RangeError for a view that
 * no longer has those bytes.
 */
export function copyIn(chunk: Chunk, view: NodeJS.ArrayBufferView, offset: number, length: number): number {
  const copied = copyBytes(bytesOf(view), offset, length, chunk.buffer, 0);
  if (copied !== length) throw lost("data", offset + length, byteLengthOf(view));
  return length;
}

/**
 * Copies the bytes that were read to the caller's memory. Throws a RangeError for a view that no
 * longer has room for them.
 */
export function giveBack(chunk: Chunk, bytes: number, view: NodeJS.ArrayBufferView, offset: number): void {
  const has = byteLengthOf(view);
  const room = Math.min(bytes, has - offset, chunk.capacity);
  if (room > 0) chunk.buffer.copy(bytesOf(view), offset, 0, room);
  if (room < bytes) throw lost("buffer", offset + bytes, has);
}

function lost(name: string, needed: number, has: number): RangeError {
  return withCode(
    "ERR_OUT_OF_RANGE",
    new RangeError(
      `${name} must keep its ${needed} bytes until the operation is over, and has ${has}: it was resized, transferred or detached`,
    ),
  );
}

export const readvKind: Kind<number> = {
  syscall: "readv",
  place(operation) {
    placeVector(operation);
  },
  prepare: (sqe, { fd, address, length, position }) => void sqe.prepReadv(fd, address, length, position),
  moves: true,
  finish(operation, result) {
    let left = result;
    let chunk = operation.chunk!.next; // The first chunk is the vector itself.
    for (const view of operation.data as NodeJS.ArrayBufferView[]) {
      const bytes = Math.min(left, chunk!.length);
      giveBack(chunk!, bytes, view, 0);
      left -= bytes;
      chunk = chunk!.next;
    }
    return result;
  },
};

export const writevKind: Kind<number> = {
  syscall: "writev",
  place(operation) {
    placeVector(operation);
    let chunk = operation.chunk!.next;
    for (const view of operation.data as NodeJS.ArrayBufferView[]) {
      copyIn(chunk!, view, 0, chunk!.length);
      chunk = chunk!.next;
    }
  },
  prepare: (sqe, { fd, address, length, position }) => void sqe.prepWritev(fd, address, length, position),
  moves: true,
  finish: theResult,
};

/**
 * Allocates the struct iovec of `data`, an array of views, and a chunk for each view. The chunk's
 * `length` is that of its view.
 */
function placeVector(operation: Operation<number>): void {
  const views = operation.data as NodeJS.ArrayBufferView[];
  const vector = operation.room(Math.max(1, views.length) * IOVEC_BYTES);
  operation.address = vector.address;
  operation.length = views.length;
  for (const [i, view] of views.entries()) {
    const bytes = byteLengthOf(view);
    const chunk = operation.room(bytes);
    chunk.length = bytes;
    operation.lent += bytes;
    vector.buffer.writeBigUInt64LE(BigInt(chunk.address), i * IOVEC_BYTES);
    vector.buffer.writeBigUInt64LE(BigInt(bytes), i * IOVEC_BYTES + 8);
  }
}
