/**
 * Slots of the ring's registered files, for files that linked entries open, use and close. The open
 * puts the file into a slot instead of a descriptor. So the next entry can name the slot before the
 * file is open.
 *
 * Guarantees: a slot belongs to one file from `take` to `give`. Leaves to others: the owner of a
 * slot closes its file first.
 */
import type { OperatingReactor } from "../operations/operating-reactor.ts";
import { getProbe } from "../ring/features.ts";
import { IORING_OP_FTRUNCATE } from "../sys/abi.ts";
import { SystemError } from "../sys/errno.ts";

/**
 * Largest number of files open at once in this way. Further files are opened as descriptors. The
 * slots use 2 KiB of the kernel's memory.
 */
const SLOTS = 256;
/** Entries of the longest chain, which are submitted together. */
const CHAIN_ENTRIES_MAX = 4;

export class DirectFiles {
  private readonly reactor: OperatingReactor;
  /** Free slots; undefined until the first call of `take`. */
  private free: number[] | undefined;

  constructor(reactor: OperatingReactor) {
    this.reactor = reactor;
  }

  /** Returns a slot; -1 if none is free, or if the ring can have none. */
  take(): number {
    const free = (this.free ??= this.register());
    return free.pop() ?? -1;
  }

  give(slot: number): void {
    this.free!.push(slot);
  }

  private register(): number[] {
    if (this.reactor.info.limits.sqEntries < CHAIN_ENTRIES_MAX) return [];
    // Linux 6.9: a file that is written over is cut to its length by the chain.
    if (!getProbe().opcodeSupported(IORING_OP_FTRUNCATE)) return [];
    try {
      this.reactor.lane.registerFileSlots(SLOTS);
    } catch (error) {
      // EBUSY: the program has registered files. EMFILE: RLIMIT_NOFILE is lower.
      if (error instanceof SystemError) return [];
      throw error;
    }
    return Array.from({ length: SLOTS }, (_, slot) => slot);
  }
}
