/**
 * Who a completion belongs to. user_data is two u32 halves: the owner's slot, and the slot's generation with the operation's kind.
 *
 * Guarantees: a slot is reused only after `release()` and the last completion of what was submitted for it; a completion from a
 * former life is recognised by its generation, and one of what was never submitted by its kind. No BigInt, no descriptor as a key: the
 * kernel reuses descriptors at once.
 */
import { RL_DESCRIPTOR_KIND } from "../sys/abi.ts";

export interface OperationOwner {
  /**
   * One completion. `kind` is what the operation was tagged with (0 to 7), `res` its result or -errno, `flags` IORING_CQE_F_*.
   * It may throw: the reactor goes on with the next completion in its next turn.
   */
  complete(kind: number, res: number, flags: number): void;
}

/** Kinds of operations that an owner may have. Those from MULTISHOT_KIND on may complete more than once, those below may not. */
const KINDS = 8;
export const MULTISHOT_KIND = 6;
/** Whose results are new descriptors: should the thread end before `reactor.lane.own` is called for one, it is closed. */
export const DESCRIPTOR_KIND = RL_DESCRIPTOR_KIND;
const GENERATION_MASK = 0xffffff;
const noOwner: OperationOwner = {
  complete() {
    throw new Error("a completion reached a slot that nobody owns");
  },
};

export class OpTable {
  private owners: OperationOwner[] = [];
  private generations: Uint32Array = new Uint32Array(64);
  private inFlightCounts: Int32Array = new Int32Array(64);
  /** Of each slot's kinds. */
  private kindCounts: Uint8Array = new Uint8Array(64 * KINDS);
  private released: Uint8Array = new Uint8Array(64);
  /** As many as there were owners at once: descriptors limit those, and a slot is 20 bytes. */
  private readonly freeSlots: number[] = [];
  private total = 0;

  /** Operations that were submitted and have not had their last completion. */
  get inFlight(): number {
    return this.total;
  }

  /** Slots that were handed out and are not free again. */
  get slotsInUse(): number {
    return this.owners.length - this.freeSlots.length;
  }

  get capacity(): number {
    return this.owners.length;
  }

  /** Everyone who has a slot. */
  *allOwners(): Generator<OperationOwner> {
    for (const owner of this.owners) if (owner !== noOwner) yield owner;
  }

  acquire(owner: OperationOwner): number {
    const slot = this.freeSlots.pop() ?? this.extend();
    this.owners[slot] = owner;
    this.released[slot] = 0;
    return slot;
  }

  /** The owner needs the slot no more; completions that are still to come are the slot's, and are delivered. */
  release(slot: number): void {
    if (this.released[slot] !== 0) throw new Error(`slot ${slot} is released twice`);
    this.released[slot] = 1;
    if (this.inFlightCounts[slot] === 0) this.free(slot);
  }

  inFlightOf(slot: number): number {
    return this.inFlightCounts[slot]!;
  }

  /** The high half of user_data for an operation that is now in flight. */
  begin(slot: number, kind: number): number {
    const at = slot * KINDS + kind;
    if (this.kindCounts[at] === 255) throw new Error(`slot ${slot} has 256 operations of kind ${kind}`);
    this.kindCounts[at]!++;
    this.inFlightCounts[slot]!++;
    this.total++;
    return ((this.generations[slot]! << 8) | kind) >>> 0;
  }

  /** What `begin` returned, for cancelling the operation. */
  tagOf(slot: number, kind: number): number {
    return ((this.generations[slot]! << 8) | kind) >>> 0;
  }

  /** The owner of a completion, or undefined for one from a slot's former life, or of an operation that is not in flight. */
  ownerOf(slot: number, high: number): OperationOwner | undefined {
    const kind = high & 0xff;
    if (this.generations[slot] !== high >>> 8 || kind >= KINDS) return undefined;
    return this.kindCounts[slot * KINDS + kind]! > 0 ? this.owners[slot] : undefined;
  }

  /** The last completion of one operation was read. */
  end(slot: number, kind: number): void {
    this.kindCounts[slot * KINDS + kind]!--;
    this.inFlightCounts[slot]!--;
    this.total--;
  }

  /** To be called after a last completion was delivered. */
  settle(slot: number): void {
    if (this.inFlightCounts[slot] === 0 && this.released[slot] === 1) this.free(slot);
  }

  private free(slot: number): void {
    this.released[slot] = 2;
    this.owners[slot] = noOwner;
    this.generations[slot] = (this.generations[slot]! + 1) & GENERATION_MASK;
    this.freeSlots.push(slot);
  }

  private extend(): number {
    const slot = this.owners.length;
    this.owners.push(noOwner);
    if (slot === this.generations.length) {
      const grow = <T extends Uint32Array | Int32Array | Uint8Array>(old: T, larger: T): T => {
        larger.set(old);
        return larger;
      };
      this.generations = grow(this.generations, new Uint32Array(slot * 2));
      this.inFlightCounts = grow(this.inFlightCounts, new Int32Array(slot * 2));
      this.released = grow(this.released, new Uint8Array(slot * 2));
      this.kindCounts = grow(this.kindCounts, new Uint8Array(slot * 2 * KINDS));
    }
    return slot;
  }
}
