/**
 * The rings and descriptors that a thread owns. A terminated Worker runs no more of its code and
 * closes nothing. So the end of its thread closes the rings and descriptors listed here (`struct
 * owned` of ffi/ringloop.c). It also closes new descriptors in completions that the reactor has not
 * handled yet. At the end of the process, the kernel closes everything anyway.
 *
 * Leaves to others: the caller removes a descriptor from the list before it closes it. The kernel
 * may reuse the number at once, perhaps for another thread.
 */
import { RL_OWNED_DESCRIPTORS, RL_OWNED_RINGS } from "./abi.ts";
import { SystemError } from "./errno.ts";
import { native } from "./library.ts";
import { viewMemory } from "./memory.ts";

const RINGS_BYTES = RL_OWNED_RINGS * 8;

class Owned {
  /** Handles of rings. A handle is an address below 2^53. */
  private readonly rings: BigUint64Array;
  /** Address of the Batch of each ring that belongs to a reactor. */
  private readonly batches: BigUint64Array;
  private readonly descriptors: Uint32Array;

  constructor() {
    const address = native().rl_owned();
    if (address < 0) throw new SystemError(-address, "mmap");
    const memory = viewMemory(address, 2 * RINGS_BYTES + RL_OWNED_DESCRIPTORS / 8);
    this.rings = new BigUint64Array(memory, 0, RL_OWNED_RINGS);
    this.batches = new BigUint64Array(memory, RINGS_BYTES, RL_OWNED_RINGS);
    this.descriptors = new Uint32Array(memory, 2 * RINGS_BYTES);
  }

  /** Adds a ring by its handle. Rings beyond RL_OWNED_RINGS are not closed at the thread's end. */
  addRing(handle: number): void {
    const free = this.rings.indexOf(0n);
    if (free >= 0) this.rings[free] = BigInt(handle);
  }

  deleteRing(handle: number): void {
    const at = this.rings.indexOf(BigInt(handle));
    if (at >= 0) this.rings[at] = this.batches[at] = 0n;
  }

  /**
   * Marks the ring's completions as tagged as in op-table.ts. `address` is where the batch of
   * reaped completions lies.
   */
  addBatch(handle: number, address: number): void {
    const at = this.rings.indexOf(BigInt(handle));
    if (at >= 0) this.batches[at] = BigInt(address);
  }

  add(fd: number): void {
    if (fd < RL_OWNED_DESCRIPTORS) this.descriptors[fd >>> 5]! |= 1 << (fd & 31);
  }

  delete(fd: number): void {
    if (fd < RL_OWNED_DESCRIPTORS) this.descriptors[fd >>> 5]! &= ~(1 << (fd & 31));
  }
}

export type { Owned };

let opened: Owned | undefined;

/** Returns the list of the calling thread. Throws SystemError (ENOMEM, EAGAIN) and LibraryError. */
export function owned(): Owned {
  return (opened ??= new Owned());
}
