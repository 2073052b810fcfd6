/**
 * Memory for what is sent: chunks of a few sizes, cut from mapped slabs.
 *
 * Guarantees: a chunk is in use by one owner from `allocate` to `free`; freeing twice throws. The most recently freed chunk is handed
 * out first, while it is still in the cache. `trim()` returns the pages of unused slabs to the system and keeps their addresses.
 */
import { outOfRange } from "../sys/check.ts";
import { pointerTo } from "../sys/library.ts";
import { Mapping } from "../sys/memory.ts";

/** Chunk sizes in bytes. A larger write takes several chunks of the last size. */
export const chunkSizes = [4096, 16384, 65536, 262144, 1048576] as const;
export const CHUNK_BYTES_MAX = 1048576;
/** Of bytes that are sent from where they are. Below that, copying is cheaper anyway. */
export const ADOPTED_BYTES_MIN = 16384;
const SLAB_BYTES = 1048576;
/** Chunks a power of two apart would share a few cache sets. */
const STRIDE_PADDING_BYTES = 64;

export class Chunk {
  /** The chunk's memory and nothing else. */
  readonly buffer: Buffer;
  readonly address: number;
  readonly capacity: number;
  /** Bytes written from the start, and how many of those the kernel has taken. */
  length = 0;
  sent = 0;
  /** For the owner's queue. */
  next: Chunk | null = null;
  /** @internal Null for memory of JavaScript's own, which `buffer` keeps alive. */ readonly slab: Slab | null;
  /** @internal */ readonly dispose: boolean;
  /** @internal */ free = false;

  constructor(slab: Slab | null, buffer: Buffer, address: number, dispose = false) {
    this.slab = slab;
    this.dispose = dispose;
    this.buffer = buffer;
    this.address = address;
    this.capacity = buffer.length;
  }

  get room(): number {
    return this.capacity - this.length;
  }

  /** How many bytes the kernel is yet to take. Whoever submits them asks here: a length that is none never reaches the kernel. */
  get unsent(): number {
    const { sent, length, capacity } = this;
    if (!(sent >= 0 && sent <= length && length <= capacity))
      throw new Error(`a chunk of ${capacity} bytes cannot have ${length}, and ${sent} of them sent`);
    return length - sent;
  }
}

class Slab {
  readonly mapping: Mapping;
  used = 0;
  touched = false;

  constructor(bytes: number) {
    this.mapping = new Mapping(bytes);
  }
}

/** All chunks of one size. */
class SizeClass {
  readonly slabs: Slab[] = [];
  private readonly chunkBytes: number;
  private readonly stride: number;
  /** As many as were in use at once, which what waits for peers limits: their pages go back when it is calm, see `trim`. */
  private readonly freeChunks: Chunk[] = [];
  private closed = false;

  constructor(chunkBytes: number, padding: number) {
    this.chunkBytes = chunkBytes;
    this.stride = chunkBytes + padding;
  }

  allocate(): Chunk {
    if (this.closed) throw new Error("the arena is closed");
    const chunk = this.freeChunks.pop() ?? this.cut();
    chunk.free = false;
    chunk.length = 0;
    chunk.sent = 0;
    chunk.next = null;
    chunk.slab!.used++;
    chunk.slab!.touched = true;
    return chunk;
  }

  release(chunk: Chunk): void {
    this.freeChunks.push(chunk);
  }

  close(): void {
    for (const { mapping } of this.slabs) mapping.release();
    this.slabs.length = this.freeChunks.length = 0;
    this.closed = true;
  }

  private cut(): Chunk {
    const { stride } = this;
    const count = Math.max(1, Math.floor(SLAB_BYTES / stride));
    const slab = new Slab(count * stride);
    this.slabs.push(slab);
    for (let i = count - 1; i > 0; i--) {
      const chunk = this.chunkAt(slab, i * stride);
      chunk.free = true;
      this.freeChunks.push(chunk);
    }
    return this.chunkAt(slab, 0);
  }

  private chunkAt(slab: Slab, offset: number): Chunk {
    const { buffer, address } = slab.mapping;
    return new Chunk(slab, Buffer.from(buffer, offset, this.chunkBytes), address + offset);
  }
}

export class Arena {
  private readonly classes: SizeClass[];
  private usedBytes = 0;

  /** `aligned`: chunks begin at multiples of 4096 bytes, which is what O_DIRECT asks for at most, and lie side by side. */
  constructor(aligned = false) {
    const padding = aligned ? 0 : STRIDE_PADDING_BYTES;
    this.classes = chunkSizes.map((bytes) => new SizeClass(bytes, padding));
  }

  /** Bytes in chunks that somebody owns. */
  get bytesInUse(): number {
    return this.usedBytes;
  }

  /** Bytes of address space in all slabs. */
  get bytesMapped(): number {
    return this.classes.reduce(
      (sum, { slabs }) => sum + slabs.reduce((bytes, { mapping }) => bytes + mapping.bytes, 0),
      0,
    );
  }

  /** A chunk with room for `bytes`, or the largest there is. Throws SystemError ENOMEM. */
  allocate(bytes: number): Chunk {
    if (!(bytes >= 0)) throw outOfRange("bytes", "at least 0", bytes);
    let index = 0;
    while (index < chunkSizes.length - 1 && chunkSizes[index]! < bytes) index++;
    const chunk = this.classes[index]!.allocate();
    this.usedBytes += chunk.capacity;
    return chunk;
  }

  /**
   * A full chunk of bytes that are JavaScript's own, to be sent from where they are. They must be large (ADOPTED_BYTES_MIN), since small
   * ones lie in the garbage-collected heap, and nobody else may change or transfer them. `dispose`: they are of no use to anybody once the
   * chunk is freed, and their memory goes back at once, not when garbage is collected.
   */
  adopt(bytes: Uint8Array, dispose: boolean): Chunk {
    if (bytes.length < ADOPTED_BYTES_MIN)
      throw new RangeError(`bytes must be at least ${ADOPTED_BYTES_MIN} long, not ${bytes.length}`);
    const chunk = new Chunk(null, bytes as Buffer, pointerTo(bytes), dispose); // Full: nobody writes to its buffer.
    chunk.length = bytes.length;
    this.usedBytes += chunk.capacity;
    return chunk;
  }

  /** Call it after the last completion of the operation that used the chunk. */
  free(chunk: Chunk): void {
    if (chunk.free) throw new Error("a chunk is freed twice");
    chunk.free = true;
    this.usedBytes -= chunk.capacity;
    if (chunk.slab === null) {
      if (chunk.dispose) (chunk.buffer.buffer as ArrayBuffer & { transfer(bytes: number): unknown }).transfer(0);
      return;
    }
    chunk.slab.used--;
    this.classes[chunkSizes.indexOf(chunk.capacity as (typeof chunkSizes)[number])]!.release(chunk);
  }

  /** Returns the pages of slabs in which nothing is used. Costs a system call for each; for idle moments. */
  trim(): void {
    for (const { slabs } of this.classes) {
      for (const slab of slabs) {
        if (slab.used > 0 || !slab.touched) continue;
        slab.mapping.discard();
        slab.touched = false;
      }
    }
  }

  /** Detaches and unmaps everything. Nothing may be in flight. */
  close(): void {
    for (const sizeClass of this.classes) sizeClass.close();
  }
}
