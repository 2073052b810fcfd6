/** Kinds of operations that carry data, as one piece or as a vector, and what kinds have in common. Data is copied both ways. */
import { IOVEC_BYTES } from "../sys/abi.ts";
import { native } from "../sys/library.ts";
import type { Kind, Operation } from "./operation.ts";

export const theResult = (_operation: Operation<number>, result: number): number => result;
export const noResult = (): void => {};
export const theLength = ({ length }: Operation<any>): number => length;
/** For a result that is a descriptor. */
export const closeResult = (_operation: Operation<number>, result: number): void => void native().rl_close(result);

/** Room for `length` bytes, and what was read of them copied to `data` at `offset`. */
export const readKind: Kind<number> = {
  syscall: "read",
  place(operation) {
    operation.address = operation.room(operation.length).address;
  },
  prepare: (sqe, { fd, address, length, position }) => void sqe.prepRead(fd, address, length, position),
  bytesMax: theLength,
  finish(operation, result) {
    operation.chunk!.buffer.copy(operation.data as Uint8Array, operation.offset, 0, result);
    return result;
  },
};

export const writeKind: Kind<number> = {
  syscall: "write",
  place: placeData,
  prepare: (sqe, { fd, address, length, position }) => void sqe.prepWrite(fd, address, length, position),
  bytesMax: theLength,
  finish: theResult,
};

/** Copies `length` bytes of `data` from `offset` on. */
export function placeData(operation: Operation<number>): void {
  const { data, offset, length } = operation;
  const chunk = operation.room(length);
  chunk.buffer.set((data as Uint8Array).subarray(offset, offset + length));
  operation.address = chunk.address;
}

export const readvKind: Kind<number> = {
  syscall: "read",
  place(operation) {
    placeVector(operation);
  },
  prepare: (sqe, { fd, address, length, position }) => void sqe.prepReadv(fd, address, length, position),
  bytesMax: lengthOfViews,
  finish(operation, result) {
    let left = result;
    let chunk = operation.chunk!.next; // The first is the vector itself.
    for (const view of operation.data as Uint8Array[]) {
      const bytes = Math.min(left, view.byteLength);
      chunk!.buffer.copy(view, 0, 0, bytes);
      left -= bytes;
      chunk = chunk!.next;
    }
    return result;
  },
};

export const writevKind: Kind<number> = {
  syscall: "write",
  place(operation) {
    placeVector(operation);
    let chunk = operation.chunk!.next;
    for (const view of operation.data as Uint8Array[]) {
      chunk!.buffer.set(view);
      chunk = chunk!.next;
    }
  },
  prepare: (sqe, { fd, address, length, position }) => void sqe.prepWritev(fd, address, length, position),
  bytesMax: lengthOfViews,
  finish: theResult,
};

function lengthOfViews({ data }: Operation<number>): number {
  return (data as Uint8Array[]).reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** struct iovec for `data`, an array of views, and a piece of memory for each. */
function placeVector(operation: Operation<number>): void {
  const views = operation.data as Uint8Array[];
  const vector = operation.room(Math.max(1, views.length) * IOVEC_BYTES);
  operation.address = vector.address;
  operation.length = views.length;
  for (const [i, { byteLength }] of views.entries()) {
    vector.buffer.writeBigUInt64LE(BigInt(operation.room(byteLength).address), i * IOVEC_BYTES);
    vector.buffer.writeBigUInt64LE(BigInt(byteLength), i * IOVEC_BYTES + 8);
  }
}
