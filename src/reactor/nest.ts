/**
 * What brings a turn back from its wait in the ring to Bun's loop: a poll of Bun's epoll descriptor, and a timer.
 *
 * The timer is an operation of the ring, armed once a turn, and not a limit of each wait: on a virtual machine, programming the clock for
 * each wait costs about as much as the wait. Nothing of this may be in flight while the reactor is parked.
 */
import { POLLIN } from "../sys/abi.ts";
import { Mapping } from "../sys/memory.ts";
import type { OperationOwner } from "./op-table.ts";
import type { Reactor } from "./reactor.ts";

const enum Kind {
  Poll,
  Timer,
  Removal,
}

export class Nest implements OperationOwner {
  /** The turn is to end: Bun has work, or the time is over. Set until the next `arm()`. */
  ready = false;
  /** Completions that were the nest's own, and nobody's work. */
  completions = 0;

  private readonly reactor: Reactor;
  private readonly loopFd: number | undefined;
  private readonly slot: number;
  /** struct __kernel_timespec { seconds, nanoseconds }. */
  private readonly time: Mapping | undefined;
  private polling = false;
  private timing = false;
  private removals = 0;

  /** Without `loopFd` Bun's work is seen at the end of each turn only. `turnMs` is 0 for no timer. */
  constructor(reactor: Reactor, loopFd: number | undefined, turnMs: number) {
    this.reactor = reactor;
    this.loopFd = loopFd;
    this.slot = reactor.operations.acquire(this);
    if (turnMs === 0) return;
    this.time = new Mapping(16);
    new BigInt64Array(this.time.buffer)[1] = BigInt(turnMs * 1e6);
  }

  arm(): void {
    const { reactor, loopFd, slot, time } = this;
    this.ready = false;
    if (!this.polling && loopFd !== undefined) {
      this.polling = true;
      reactor.tag(reactor.nextSqe().prepPollAdd(loopFd, POLLIN), slot, Kind.Poll);
    }
    if (!this.timing && time) {
      this.timing = true;
      reactor.tag(reactor.nextSqe().prepTimeout(time.address), slot, Kind.Timer);
    }
  }

  /**
   * Removes what is in flight; the completions are still to come. To be called until nothing is in flight: a removal misses (EALREADY) a
   * poll that is just being woken, and that poll goes on when it finds nothing.
   */
  disarm(): void {
    const { reactor, slot } = this;
    if (this.removals > 0) return;
    this.removals = Number(this.polling) + Number(this.timing);
    const tagOf = (kind: Kind): number => reactor.operations.tagOf(slot, kind);
    if (this.polling) reactor.tag(reactor.nextSqe().prepPollRemove(slot, tagOf(Kind.Poll)), slot, Kind.Removal);
    if (this.timing) reactor.tag(reactor.nextSqe().prepTimeoutRemove(slot, tagOf(Kind.Timer)), slot, Kind.Removal);
  }

  /** Nothing may be in flight. */
  close(): void {
    this.time?.release();
  }

  get inFlight(): number {
    return this.reactor.operations.inFlightOf(this.slot);
  }

  complete(kind: number): void {
    this.completions++;
    if (kind === Kind.Removal) {
      this.removals--;
      return;
    }
    if (kind === Kind.Poll) this.polling = false;
    else this.timing = false;
    this.ready = true;
  }
}
