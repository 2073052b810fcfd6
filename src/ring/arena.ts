/**
 * Memory for bytes to send: chunks of a few sizes, cut from mapped slabs.
 *
 * Guarantees: a chunk has one owner from `allocate` to `free`. Freeing a chunk twice throws. The
 * most recently freed chunk is handed out first, while it is still in the cache. `trim()` returns
 * the pages of unused slabs to the system and keeps their addresses.
 */
import { outOfRange } from "../sys/check.ts";
import { pointerTo } from "../sys/library.ts";
import { freeNow, Mapping } from "../sys/memory.ts";

/** Chunk sizes in bytes. A larger write takes several chunks of the last size. */
export const chunkSizes = [4096, 16384, 65536, 262144, 1048576] as const;
export const CHUNK_BYTES_MAX = 1048576;
/** Smallest size of bytes that are sent from where they are. Below it, copying is cheaper. */
export const ADOPTED_BYTES_MIN = 16384;
const SLAB_BYTES = 1048576;
/** Without padding, chunks would lie a power of two apart and share a few cache sets. */
const STRIDE_PADDING_BYTES = 64;

export class Chunk {
  /** The memory of this chunk alone. Adopted memory may be longer than the chunk. */
  readonly buffer: Buffer;
  readonly address: number;
  readonly capacity: number;
  /** Bytes written from the start, and bytes of those that the kernel has sent. */
  length = 0;
  sent = 0;
  /** The next chunk in the owner's queue. */
  next: Chunk | null = null;
  /** @internal Null for JavaScript's own memory, which `buffer` keeps alive. */
  readonly slab: Slab | null;
  /** @internal */ readonly dispose: boolean;
  /** @internal */ free = false;

  constructor(slab: Slab | null, buffer: Buffer, address: number, capacity: number, dispose = false) {
    this.slab = slab;
    this.dispose = dispose;
    this.buffer = buffer;
    this.address = address;
    this.capacity = capacity;
  }

  get room(): number {
    return this.capacity - this.length;
  }

  /**
   * Bytes that the kernel has not sent yet. Code that submits a chunk reads this value, so the
   * kernel never gets an invalid length.
   */
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
  /**
   * Free chunks. Their number is at most the largest number of chunks in use at once, which the
   * limits of the send queues bound. `trim` returns their pages in idle moments.
   */
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
    return new Chunk(slab, Buffer.from(buffer, offset, this.chunkBytes), address + offset, this.chunkBytes);
  }
}

export class Arena {
  private readonly classes: SizeClass[];
  private usedBytes = 0;

  /**
   * `aligned`: chunks begin at multiples of 4096 bytes and lie side by side. O_DIRECT never needs a
   * larger alignment.
   */
  constructor(aligned = false) {
    const padding = aligned ? 0 : STRIDE_PADDING_BYTES;
    this.classes = chunkSizes.map((bytes) => new SizeClass(bytes, padding));
  }

  /** Bytes in chunks that have an owner. */
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

  /**
   * Returns a chunk with room for `bytes`, or a chunk of the largest size. Throws SystemError
   * ENOMEM.
   */
  allocate(bytes: number): Chunk {
    if (!(bytes >= 0)) throw outOfRange("bytes", "at least 0", bytes);
    let index = 0;
    while (index < chunkSizes.length - 1 && chunkSizes[index]! < bytes) index++;
    const chunk = this.classes[index]!.allocate();
    this.usedBytes += chunk.capacity;
    return chunk;
  }

  /**
   * Returns a full chunk of JavaScript's own bytes, which are sent from where they are. They must
   * be large (ADOPTED_BYTES_MIN), because small arrays lie in the garbage-collected heap. Nobody
   * else may change or transfer them.
   *
   * `dispose`: nobody needs the bytes after `free`, and `free` releases their memory at once.
   * Otherwise, the garbage collector does it. `length` is read once, because another thread may
   * make shared memory grow.
   */
  adopt(bytes: Uint8Array, dispose: boolean, length = bytes.length): Chunk {
    if (length < ADOPTED_BYTES_MIN) throw outOfRange("bytes", `at least ${ADOPTED_BYTES_MIN} long`, length);
    // The chunk is full, so nobody writes to its buffer.
    const chunk = new Chunk(null, bytes as Buffer, pointerTo(bytes), length, dispose);
    chunk.length = length;
    this.usedBytes += chunk.capacity;
    return chunk;
  }

  /** Gives a chunk back. Call it after the last completion of the operation that used the chunk. */
  free(chunk: Chunk): void {
    if (chunk.free) throw new Error("a chunk is freed twice");
    chunk.free = true;
    this.usedBytes -= chunk.capacity;
    if (chunk.slab === null) {
      if (chunk.dispose) freeNow(chunk.buffer.buffer);
      return;
    }
    chunk.slab.used--;
    this.classes[chunkSizes.indexOf(chunk.capacity as (typeof chunkSizes)[number])]!.release(chunk);
  }

  /**
   * Returns the pages of slabs without used chunks to the system. It makes a system call for each
   * slab, so call it in idle moments.
   */
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
