/**
 * Slots of the ring's registered files, for files that are opened, used and closed by linked entries: the open puts the file into a slot in place of a
 * descriptor, so that the next entry can name it before it is open.
 *
 * Guarantees: a slot is one file's from `take` to `give`. Leaves to its owner: to close what is in it before.
 */
import type { OperatingReactor } from "../operations/operating-reactor.ts";
import { getProbe } from "../ring/features.ts";
import { IORING_OP_FTRUNCATE } from "../sys/abi.ts";
import { SystemError } from "../sys/errno.ts";

/** Files that are opened at once in this way. More are opened as descriptors. 2 KiB of the kernel's memory. */
const SLOTS = 256;
/** Entries of the longest chain, which are submitted together. */
const CHAIN_ENTRIES_MAX = 4;

export class DirectFiles {
  private readonly reactor: OperatingReactor;
  /** Undefined until the first is asked for. */
  private free: number[] | undefined;

  constructor(reactor: OperatingReactor) {
    this.reactor = reactor;
  }

  /** A slot, or -1 where none is free, or the ring cannot have any. */
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
      if (error instanceof SystemError) return []; // EBUSY: the program has files of its own there. EMFILE: RLIMIT_NOFILE is lower.
      throw error;
    }
    return Array.from({ length: SLOTS }, (_, slot) => slot);
  }
}
