/**
 * The memory into which a thread receives when it calls recv(2) itself. It stays in the processor's
 * cache, because each receive uses it again.
 *
 * Guarantees: it is lent to one borrower at a time. Somebody who runs the event loop meanwhile
 * cannot borrow it.
 */
import { Mapping } from "../sys/memory.ts";

const SCRATCH_BYTES = 524288;

export class Scratch {
  readonly memory: Buffer;
  private readonly mapping = new Mapping(SCRATCH_BYTES);
  private isLent = false;

  /** Throws SystemError (ENOMEM). */
  constructor() {
    this.memory = Buffer.from(this.mapping.buffer);
  }

  get address(): number {
    return this.mapping.address;
  }

  /** Returns whether the caller may use the memory until it calls `giveBack`. */
  borrow(): boolean {
    const { isLent } = this;
    this.isLent = true;
    return !isLent;
  }

  giveBack(): void {
    this.isLent = false;
  }

  /** Returns the pages to the system. */
  trim(): void {
    if (!this.isLent) this.mapping.discard();
  }

  close(): void {
    this.mapping.release();
  }
}
