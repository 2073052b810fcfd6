/** What `FileHandle.read` takes as an object, and what its reads and writes give. */
import type { OperationOptions } from "../operations/operation-options.ts";

export interface ReadOptions<View extends NodeJS.ArrayBufferView> extends OperationOptions {
  /** Memory for the bytes. Default: a new buffer of `length` bytes. */
  buffer?: View;
  /** Place of the first byte in the buffer. Default 0. */
  offset?: number | null;
  /** Bytes to read. Default: up to the buffer's end, or 16384. */
  length?: number | null;
  /** Position in the file. Default null: the file's own position, which moves. */
  position?: number | bigint | null;
}

export interface WriteResult<Data> {
  bytesWritten: number;
  buffer: Data;
}
