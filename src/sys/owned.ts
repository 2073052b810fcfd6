/**
 * Rings and descriptors that are a thread's. A Worker that is terminated runs no more of its code and closes nothing: what is in here then is
 * closed by the end of its thread (`struct owned` of ffi/ringloop.c), and what a reactor had accepted and not yet taken. At the end of the process
 * the kernel closes everything anyway.
 *
 * Leaves to others: to take a descriptor out before it is closed, since its number is given out anew at once, perhaps to another thread.
 */
import { RL_OWNED_DESCRIPTORS, RL_OWNED_RINGS } from "./abi.ts";
import { SystemError } from "./errno.ts";
import { native } from "./library.ts";
import { viewMemory } from "./memory.ts";

const RINGS_BYTES = RL_OWNED_RINGS * 8;

class Owned {
  /** Handles; the addresses are below 2^53. */
  private readonly rings: BigUint64Array;
  /** Of each ring that is a reactor's, where its Batch lies. */
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

  /** A ring by its handle. More than RL_OWNED_RINGS at once are not looked after. */
  addRing(handle: number): void {
    const free = this.rings.indexOf(0n);
    if (free >= 0) this.rings[free] = BigInt(handle);
  }

  deleteRing(handle: number): void {
    const at = this.rings.indexOf(BigInt(handle));
    if (at >= 0) this.rings[at] = this.batches[at] = 0n;
  }

  /** Says that the ring's completions are tagged as in op-table.ts, and where those are that were taken from it. */
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

/** The calling thread's. Throws SystemError (ENOMEM, EAGAIN) and LibraryError. */
export function owned(): Owned {
  return (opened ??= new Owned());
}
