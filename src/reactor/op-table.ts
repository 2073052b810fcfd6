/**
 * Maps a completion to its owner. `user_data` has two u32 halves: the owner's slot, and the slot's
 * generation with the operation's kind.
 *
 * Guarantees: a slot is used again only after `release()` and after the last completion of its
 * operations. A completion from an earlier use of the slot is recognised by its generation. A
 * completion of an operation that was never submitted is recognised by its kind. There is no
 * BigInt. A descriptor is no key: the kernel uses the numbers of descriptors again at once.
 */
import { RL_DESCRIPTOR_KIND } from "../sys/abi.ts";

export interface OperationOwner {
  /**
   * Handles one completion. `kind` is the kind that the operation was tagged with (0 to 7), `res`
   * its result or -errno, and `flags` are IORING_CQE_F_*. It may throw: the reactor continues with
   * the next completion in its next turn.
   */
  complete(kind: number, res: number, flags: number): void;
  /** What an open descriptor of the owner counts as in the metrics; undefined for nothing. */
  readonly metricsKind?: OwnerKind | undefined;
}

/** Kinds of connections in the metrics: by what takes the bytes that arrive. */
export const connectionKinds = ["http", "websocket", "node_http", "socket"] as const;
export type ConnectionKind = (typeof connectionKinds)[number];
export type OwnerKind = ConnectionKind | "listener" | "udp";

/**
 * Number of kinds of operations that an owner may have. Operations of kind MULTISHOT_KIND and above
 * may complete more than once; operations of the kinds below may not.
 */
const KINDS = 8;
export const MULTISHOT_KIND = 6;
/**
 * Kind of operations whose results are new descriptors. If the thread ends before
 * `reactor.lane.own` is called for a result, that descriptor is closed.
 */
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
  /** Number of operations in flight, for each kind of each slot. */
  private kindCounts: Uint8Array = new Uint8Array(64 * KINDS);
  private released: Uint8Array = new Uint8Array(64);
  /**
   * Free slots. Their number is at most the highest number of owners at one time, which descriptors
   * limit. A slot costs 20 bytes.
   */
  private readonly freeSlots: number[] = [];
  private total = 0;

  /** Number of submitted operations whose last completion has not come. */
  get inFlight(): number {
    return this.total;
  }

  /** Number of slots that have an owner or wait for their last completion. */
  get slotsInUse(): number {
    return this.owners.length - this.freeSlots.length;
  }

  get capacity(): number {
    return this.owners.length;
  }

  /** All owners that have a slot. */
  *allOwners(): Generator<OperationOwner> {
    for (const owner of this.owners) if (owner !== noOwner) yield owner;
  }

  acquire(owner: OperationOwner): number {
    const slot = this.freeSlots.pop() ?? this.extend();
    this.owners[slot] = owner;
    this.released[slot] = 0;
    return slot;
  }

  /**
   * Ends the owner's use of the slot. Completions that are still to come are delivered to the
   * owner.
   */
  release(slot: number): void {
    if (this.released[slot] !== 0) throw new Error(`slot ${slot} is released twice`);
    this.released[slot] = 1;
    if (this.inFlightCounts[slot] === 0) this.free(slot);
  }

  inFlightOf(slot: number): number {
    return this.inFlightCounts[slot]!;
  }

  /** Counts an operation as in flight. Returns the high half of its user_data. */
  begin(slot: number, kind: number): number {
    const at = slot * KINDS + kind;
    if (this.kindCounts[at] === 255) throw new Error(`slot ${slot} has 256 operations of kind ${kind}`);
    this.kindCounts[at]!++;
    this.inFlightCounts[slot]!++;
    this.total++;
    return ((this.generations[slot]! << 8) | kind) >>> 0;
  }

  /** Returns the number that `begin` returned, to cancel the operation. */
  tagOf(slot: number, kind: number): number {
    return ((this.generations[slot]! << 8) | kind) >>> 0;
  }

  /**
   * Returns the owner of a completion. Returns undefined for a completion from an earlier use of
   * the slot, or of an operation that is not in flight.
   */
  ownerOf(slot: number, high: number): OperationOwner | undefined {
    const kind = high & 0xff;
    if (this.generations[slot] !== high >>> 8 || kind >= KINDS) return undefined;
    return this.kindCounts[slot * KINDS + kind]! > 0 ? this.owners[slot] : undefined;
  }

  /** Counts an operation as over: its last completion was read. */
  end(slot: number, kind: number): void {
    this.kindCounts[slot * KINDS + kind]!--;
    this.inFlightCounts[slot]!--;
    this.total--;
  }

  /** Frees a released slot. Call this after a last completion was delivered. */
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
