/**
 * The last bytes of a connection's plain text in one direction: the context of deflate (RFC 7692 section 7.2.3.2).
 *
 * Guarantees: adding n bytes costs O(n), however large the window is; memory doubles with what was added, up to the window's size.
 */

const MEMORY_BYTES_MIN = 256;
/** 2 ** 15, the largest distance that deflate has (RFC 1951 section 3.2.5). */
export const WINDOW_BYTES_MAX = 32768;
const NO_MEMORY: Buffer = Buffer.alloc(0);
/** For a window whose bytes do not lie in one piece, as long as a call of zlib takes. */
const straight = Buffer.allocUnsafeSlow(WINDOW_BYTES_MAX);

export class Window {
  /** A ring, whose size is a power of two, once it has the window's size. */
  memory = NO_MEMORY;
  /** Where the next byte goes: behind the last one. */
  at = 0;
  /** How many bytes there are. */
  length = 0;
  private readonly bytesMax: number;

  constructor(windowBits: number) {
    this.bytesMax = 1 << windowBits;
  }

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

  /** The last bytes, at most so many, in one piece: valid until the next call for any window, and read only. */
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

  /** Gives the memory up. */
  clear(): void {
    this.memory = NO_MEMORY;
    this.at = this.length = 0;
  }

  private reserve(bytes: number): void {
    if (bytes <= this.memory.length) return;
    let size = Math.max(MEMORY_BYTES_MIN, this.memory.length);
    while (size < bytes) size *= 2;
    // Below the window's size nothing has been overwritten, and it all lies in front of `at`.
    const larger = Buffer.allocUnsafeSlow(size);
    this.memory.copy(larger, 0, 0, this.length);
    this.memory = larger;
    this.at = this.length;
  }
}

/** As many as are kept by reference before they are copied. */
const PENDING_MAX = 64;

/**
 * The context of what is sent, which is read only when something is compressed with it: what many connections get is remembered by
 * reference, so that a broadcast costs each of them no copy.
 */
export class SentWindow {
  private readonly window: Window;
  private readonly bytesMax: number;
  /** What was sent after what the window has. */
  private pending: Uint8Array[] = [];
  private pendingBytes = 0;

  constructor(windowBits: number) {
    this.window = new Window(windowBits);
    this.bytesMax = 1 << windowBits;
  }

  /** Of bytes that nobody changes; they are kept. No more than WINDOW_BYTES_MAX. */
  share(bytes: Uint8Array): void {
    const { pending } = this;
    pending.push(bytes);
    this.pendingBytes += bytes.length;
    while (this.pendingBytes - pending[0]!.length >= this.bytesMax) this.pendingBytes -= pending.shift()!.length;
    // Nothing is left of what was before them.
    if (this.pendingBytes >= this.bytesMax && this.window.length > 0) this.window.clear();
    if (pending.length > PENDING_MAX) this.settle();
  }

  append(bytes: Uint8Array): void {
    this.settle();
    this.window.append(bytes);
  }

  latest(count: number): Buffer {
    this.settle();
    return this.window.latest(count);
  }

  private settle(): void {
    if (this.pending.length === 0) return;
    for (const bytes of this.pending) this.window.append(bytes);
    this.pending = [];
    this.pendingBytes = 0;
  }
}
