/**
 * Completions that the lane has reaped and now delivers.
 *
 * They lie in mapped memory, where the end of the thread finds them (`struct batch` of
 * ffi/ringloop.c): a Worker may be terminated in the middle of a batch.
 */
import { Mapping } from "../sys/memory.ts";

const HEADER_BYTES = 16;
const WORDS = 4;

export class Batch {
  readonly address: number;
  /** Four words for each completion, as from `Ring.reap`. */
  readonly completions: Int32Array;

  private readonly mapping: Mapping;
  private readonly header: Uint32Array;

  constructor(completionsMax: number) {
    this.mapping = new Mapping(HEADER_BYTES + completionsMax * WORDS * 4);
    this.address = this.mapping.address;
    this.header = new Uint32Array(this.mapping.buffer, 0, HEADER_BYTES / 4);
    this.completions = new Int32Array(this.mapping.buffer, HEADER_BYTES, completionsMax * WORDS);
  }

  /** Index of the completion that is delivered next. */
  get next(): number {
    return this.header[0]!;
  }

  set next(next: number) {
    this.header[0] = next;
  }

  /** Number of completions in the batch, delivered ones included. */
  get count(): number {
    return this.header[1]!;
  }

  set count(count: number) {
    this.header[1] = count;
  }

  /**
   * Marks the completion that is being delivered: its new descriptor has an owner, so the end of
   * the thread does not close it a second time.
   */
  take(): void {
    this.completions[(this.next - 1) * WORDS + 1] = 0;
  }

  close(): void {
    this.mapping.release();
  }
}
