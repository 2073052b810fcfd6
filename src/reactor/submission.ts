/**
 * Hands entries to the kernel, and waits in the kernel.
 *
 * Guarantees: an entry for which the kernel has no memory stays in the queue, and the next call
 * submits it. A signal only ends a wait. Any other failure of io_uring_enter(2) is thrown.
 */
import { IORING_ENTER_GETEVENTS, IORING_ENTER_SQ_WAKEUP } from "../sys/abi.ts";
import { EAGAIN, EBUSY, EINTR, ETIME, SystemError } from "../sys/errno.ts";
import type { Ring } from "../ring/ring.ts";
import type { Sqe } from "../ring/sqe.ts";
import type { Faults } from "./faults/faults.ts";

export class Submission {
  private readonly ring: Ring;
  private readonly spinUs: number;
  private readonly faults: Faults | undefined;

  /** `spinUs`: see ReactorOptions. */
  constructor(ring: Ring, spinUs: number, faults: Faults | undefined) {
    this.ring = ring;
    this.spinUs = spinUs;
    this.faults = faults;
  }

  /**
   * Hands all prepared entries to the kernel, and waits at most `waitUs` microseconds for a
   * completion (0: does not wait).
   *
   * In defer a timer of the nest limits the wait, unless `limited` gives the wait its own limit. In
   * defer the kernel does its work during this call, so it is called even with nothing to submit.
   */
  submit(waitUs: number, limited: boolean): void {
    const { ring } = this;
    if (ring.sqpoll) return this.submitToThread(waitUs);
    const wait = waitUs > 0 && ring.cqReady === 0 ? 1 : 0;
    const toSubmit = ring.sqReady;
    ring.publish();
    if (toSubmit === 0 && wait === 0 && ring.kernelFlags === 0) return;
    const failure = this.faults?.enterFails();
    if (failure !== undefined) judge(failure);
    // The nest's timer ends a wait without a limit.
    else if (!limited || wait === 0) judge(ring.enter(toSubmit, wait, IORING_ENTER_GETEVENTS));
    else judge(ring.enter(toSubmit, wait, IORING_ENTER_GETEVENTS, Math.ceil(waitUs)));
  }

  /** Waits until the full submission queue has room again, and returns an entry. */
  waitForRoom(): Sqe {
    for (;;) {
      if (this.ring.sqpoll) this.ring.sqringWait();
      else this.submit(0, false);
      const sqe = this.ring.getSqe();
      if (sqe) return sqe;
    }
  }

  /**
   * Enters the kernel only to wake the SQ thread, and to wait: the thread reads the entries by
   * itself.
   */
  private submitToThread(waitUs: number): void {
    const { ring } = this;
    if (ring.unpublished > 0) ring.publish();
    let flags = ring.needsWakeup && ring.sqReady > 0 ? IORING_ENTER_SQ_WAKEUP : 0;
    if (ring.cqHasOverflow) flags |= IORING_ENTER_GETEVENTS;
    if (waitUs <= 0 || ring.cqReady > 0) {
      if (flags !== 0) judge(ring.enter(0, 0, flags));
      return;
    }
    if (flags !== 0) {
      judge(ring.enter(0, 1, flags | IORING_ENTER_GETEVENTS, Math.ceil(waitUs)));
      return;
    }
    if (this.spin(Math.min(this.spinUs, waitUs))) return;
    judge(ring.enter(0, 1, IORING_ENTER_GETEVENTS, Math.ceil(waitUs)));
  }

  /**
   * Looks for a completion for `us` microseconds without a system call. Returns whether there is
   * one.
   */
  private spin(us: number): boolean {
    const { ring } = this;
    const end = performance.now() + us / 1000;
    do {
      for (let i = 0; i < 32; i++) if (ring.cqReady > 0) return true;
    } while (performance.now() < end);
    return false;
  }
}

function judge(result: number): void {
  if (result >= 0) return;
  switch (-result) {
    case ETIME: // The wait's limit is over.
    // A signal. Bun handles it in its own loop, and this turn soon returns to that loop.
    case EINTR:
    // The completion queue has overflowed: the next reap makes room, and the next enter flushes the
    // overflow.
    case EBUSY:
    case EAGAIN: // The kernel had no memory for a request: the entry stays in the queue.
      return;
    default:
      throw new SystemError(-result, "io_uring_enter");
  }
}
