/**
 * The last bytes of the plain text of a connection in one direction. They are the context of
 * deflate (RFC 7692 section 7.2.3.2).
 *
 * Guarantees: to add n bytes costs O(n), whatever the size of the window. The memory grows with the
 * added bytes, by doubling, up to the size of the window.
 */

const MEMORY_BYTES_MIN = 256;
/** 2 ** 15, the largest distance in deflate (RFC 1951 section 3.2.5). */
export const WINDOW_BYTES_MAX = 32768;
const NO_MEMORY: Buffer = Buffer.alloc(0);
/** A copy in one piece of a window whose bytes lie in two. Used during one call of zlib. */
const straight = Buffer.allocUnsafeSlow(WINDOW_BYTES_MAX);

export class Window {
  /** The bytes. The length is a power of two. A ring once it has the size of the window. */
  memory = NO_MEMORY;
  /** Index of the next byte to write, directly after the last one. */
  at = 0;
  /** Number of bytes in the window. */
  length = 0;
  private readonly bytesMax: number;

  constructor(windowBits: number) {
    this.bytesMax = 1 << windowBits;
  }

  /** Adds a copy of the bytes. */
  append(bytes: Uint8Array): void {
    const { bytesMax } = this;
    const part = bytes.length > bytesMax ? bytes.subarray(bytes.length - bytesMax) : bytes;
    this.reserve(Math.min(this.length + part.length, bytesMax));
    const { memory, at } = this;
    const first = Math.min(part.length, memory.length - at);
    if (first === part.length) memory.set(part, at);
    else {
      memory.set(part.subarray(0, first), at);
      memory.set(part.subarray(first), 0);
    }
    this.at = (at + part.length) & (memory.length - 1);
    this.length = Math.min(this.length + part.length, bytesMax);
  }

  /**
   * Returns the last bytes, at most `count`, in one piece. They are read-only, and valid until the
   * next call of a method of any window.
   */
  latest(count: number): Buffer {
    const { memory, at } = this;
    const length = Math.min(count, this.length);
    const end = at === 0 ? memory.length : at;
    if (length <= end) return memory.subarray(end - length, end);
    const behind = length - end;
    memory.copy(straight, 0, memory.length - behind);
    memory.copy(straight, behind, 0, end);
    return straight.subarray(0, length);
  }

  /** Drops all bytes and their memory. */
  clear(): void {
    this.memory = NO_MEMORY;
    this.at = this.length = 0;
  }

  private reserve(bytes: number): void {
    if (bytes <= this.memory.length) return;
    let size = Math.max(MEMORY_BYTES_MIN, this.memory.length);
    while (size < bytes) size *= 2;
    // As long as the memory is smaller than the window, no byte has been overwritten, and all bytes
    // lie before `at`.
    const larger = Buffer.allocUnsafeSlow(size);
    this.memory.copy(larger, 0, 0, this.length);
    this.memory = larger;
    this.at = this.length;
  }
}

/** Largest number of messages that are kept by reference. One more, and all are copied. */
const PENDING_MAX = 64;

/**
 * The context of sent messages. It is read only when a message is compressed with it. A message for
 * many connections is kept by reference, so that a broadcast makes no copy for each of them.
 */
export class SentWindow {
  private readonly window: Window;
  private readonly bytesMax: number;
  /** The messages after the bytes in `window`, by reference. */
  private pending: Uint8Array[] = [];
  private pendingBytes = 0;

  constructor(windowBits: number) {
    this.window = new Window(windowBits);
    this.bytesMax = 1 << windowBits;
  }

  /** Adds bytes by reference, at most WINDOW_BYTES_MAX. Nobody may change them afterwards. */
  share(bytes: Uint8Array): void {
    const { pending } = this;
    pending.push(bytes);
    this.pendingBytes += bytes.length;
    while (this.pendingBytes - pending[0]!.length >= this.bytesMax) this.pendingBytes -= pending.shift()!.length;
    // The pending messages fill the window, so its older bytes are out of reach.
    if (this.pendingBytes >= this.bytesMax && this.window.length > 0) this.window.clear();
    if (pending.length > PENDING_MAX) this.settle();
  }

  /** Adds a copy of the bytes. */
  append(bytes: Uint8Array): void {
    this.settle();
    this.window.append(bytes);
  }

  /** As `latest` of Window. */
  latest(count: number): Buffer {
    this.settle();
    return this.window.latest(count);
  }

  /** Copies the pending messages into the window. */
  private settle(): void {
    if (this.pending.length === 0) return;
    for (const bytes of this.pending) this.window.append(bytes);
    this.pending = [];
    this.pendingBytes = 0;
  }
}
