/**
 * Submitting and waiting, io_uring_submit(3), io_uring_wait_cqe(3) and related functions. They
 * decide when to enter the kernel, and how long to stay there. No function has a signal mask,
 * because Bun handles signals.
 */
import {
  IORING_ENTER_ABS_TIMER,
  IORING_ENTER_GETEVENTS,
  IORING_ENTER_SQ_WAIT,
  IORING_ENTER_SQ_WAKEUP,
  IORING_FEAT_MIN_TIMEOUT,
} from "../sys/abi.ts";
import { check, EINTR, EINVAL, ETIME, SystemError } from "../sys/errno.ts";
import type { Cqe } from "./cqe.ts";
import { requireInteger, U32_MAX } from "../sys/check.ts";
import { RingQueues, TIMEOUT_US_MAX } from "./ring-queues.ts";

/** Makes one io_uring_enter(2) that may wait. */
type Wait = (toSubmit: number, minComplete: number, flags: number) => number;

export abstract class RingWaits extends RingQueues {
  private readonly plainWait: Wait = (toSubmit, minComplete, flags) => this.enter(toSubmit, minComplete, flags);

  /** io_uring_submit(3). Returns the number of submitted entries. Throws SystemError. */
  submit(): number {
    return check(this.submitAnd(0, 0), "io_uring_enter");
  }

  /**
   * io_uring_submit_and_wait(3). Blocks the thread until `minComplete` completions are present.
   * Returns the number of submitted entries. Throws SystemError.
   */
  submitAndWait(minComplete: number): number {
    requireInteger("minComplete", minComplete, 0, this.cqEntries);
    return check(this.submitAnd(minComplete, 0), "io_uring_enter");
  }

  /**
   * io_uring_submit_and_wait_timeout(3). Waits for at most `timeoutUs` microseconds. Returns the
   * oldest completion, or null if there is none by then.
   */
  submitAndWaitTimeout(minComplete: number, timeoutUs: number): Cqe | null {
    requireInteger("minComplete", minComplete, 0, this.cqEntries);
    requireInteger("timeoutUs", timeoutUs, 0, TIMEOUT_US_MAX);
    const wait: Wait = (toSubmit, least, flags) => this.enter(toSubmit, least, flags, timeoutUs);
    return this.oldestAfter(this.submitAnd(minComplete, IORING_ENTER_GETEVENTS, wait));
  }

  /**
   * io_uring_submit_and_get_events(3). Submits, and runs task work that is due, without waiting.
   * Returns the number of submitted entries.
   */
  submitAndGetEvents(): number {
    return check(this.submitAnd(0, IORING_ENTER_GETEVENTS), "io_uring_enter");
  }

  /**
   * io_uring_submit_and_wait_min_timeout. Waits for `minComplete` completions during `minWaitUs`
   * microseconds, and then until there is one. The whole wait takes at most `timeoutUs`
   * microseconds (-1: no limit). So a batch can grow, and a single completion waits at most
   * `minWaitUs`. Returns the oldest completion, or null. Linux 6.12; EINVAL before.
   */
  submitAndWaitMinTimeout(minComplete: number, timeoutUs: number, minWaitUs: number): Cqe | null {
    const wait = this.minWait(minComplete, timeoutUs, minWaitUs);
    return this.oldestAfter(this.submitAnd(minComplete, IORING_ENTER_GETEVENTS, wait));
  }

  /** io_uring_wait_cqes_min_timeout. Waits like `submitAndWaitMinTimeout`, and submits nothing. */
  waitCqesMinTimeout(count: number, timeoutUs: number, minWaitUs: number): Cqe | null {
    const wait = this.minWait(count, timeoutUs, minWaitUs);
    if (this.cqReady >= count && count > 0) return this.peekCqe();
    return this.oldestAfter(wait(0, count, IORING_ENTER_GETEVENTS));
  }

  /**
   * io_uring_submit_and_wait_reg. Waits as argument `index` of the registered region says
   * (`RingMemory.waitArguments`, `registerRegion`). So the kernel need not copy the argument.
   * Returns the oldest completion, or null. Linux 6.13.
   *
   * `isAbsolute`: the argument's time is a time of the ring's clock (IORING_ENTER_ABS_TIMER,
   * `registerClock`).
   */
  submitAndWaitReg(minComplete: number, index: number, isAbsolute = false): Cqe | null {
    requireInteger("minComplete", minComplete, 0, this.cqEntries);
    requireInteger("index", index, 0, U32_MAX);
    const wait = (toSubmit: number, least: number, flags: number): number =>
      this.native.rl_enter_registered(this.enterFd, toSubmit, least, flags | this.enterFlags, index);
    const flags = IORING_ENTER_GETEVENTS | (isAbsolute ? IORING_ENTER_ABS_TIMER : 0);
    return this.oldestAfter(this.submitAnd(minComplete, flags, wait));
  }

  private minWait(minComplete: number, timeoutUs: number, minWaitUs: number): Wait {
    requireInteger("minComplete", minComplete, 0, this.cqEntries);
    requireInteger("timeoutUs", timeoutUs, -1, TIMEOUT_US_MAX);
    requireInteger("minWaitUs", minWaitUs, 0, U32_MAX);
    if ((this.features & IORING_FEAT_MIN_TIMEOUT) === 0) throw new SystemError(EINVAL, "io_uring_enter");
    return (toSubmit, least, flags) =>
      this.native.rl_enter_min(this.enterFd, toSubmit, least, flags | this.enterFlags, timeoutUs, minWaitUs);
  }

  /** Returns the oldest completion after a wait with a limit. The end of the time is no error. */
  private oldestAfter(result: number): Cqe | null {
    if (result < 0 && result !== -ETIME && result !== -EINTR) throw new SystemError(-result, "io_uring_enter");
    return this.peekCqe();
  }

  private submitAnd(minComplete: number, enterFlags: number, wait: Wait = this.plainWait): number {
    const count = this.sqpoll ? this.unpublished : this.sqReady;
    this.publish();
    let flags = minComplete > 0 || this.needsEnter ? enterFlags | IORING_ENTER_GETEVENTS : enterFlags;
    if (this.sqpoll) {
      if (this.needsWakeup) flags |= IORING_ENTER_SQ_WAKEUP;
      if (flags === 0) return count;
    } else if (count === 0 && flags === 0) return 0;
    const taken = wait(this.sqpoll ? 0 : count, minComplete, flags);
    return this.sqpoll && taken >= 0 ? count : taken;
  }

  /** io_uring_sqring_wait(3). Blocks until the SQPOLL thread has made room in a full queue. */
  sqringWait(): void {
    if (!this.sqpoll) return;
    // A signal, or task work of another ring, ends the kernel's wait early. The result is not EINTR
    // then.
    while (this.sqSpaceLeft === 0) {
      this.publish();
      const flags = IORING_ENTER_SQ_WAIT | (this.needsWakeup ? IORING_ENTER_SQ_WAKEUP : 0);
      const result = this.enter(0, 0, flags);
      if (result < 0 && result !== -EINTR) throw new SystemError(-result, "io_uring_enter");
    }
  }

  /**
   * io_uring_wait_cqe(3), io_uring_wait_cqe_timeout(3). Blocks the thread until there is a
   * completion. With `timeoutUs`, returns null after that time. Submits nothing. Throws
   * SystemError.
   */
  waitCqe(timeoutUs = -1): Cqe | null {
    return this.waitCqes(1, timeoutUs);
  }

  /** io_uring_wait_cqe_timeout(3). */
  waitCqeTimeout(timeoutUs: number): Cqe | null {
    requireInteger("timeoutUs", timeoutUs, 0, TIMEOUT_US_MAX);
    return this.waitCqes(1, timeoutUs);
  }

  /**
   * io_uring_wait_cqe_nr(3). Blocks until `count` completions are present. Returns the oldest one.
   */
  waitCqeNr(count: number): Cqe | null {
    return this.waitCqes(count);
  }

  /**
   * io_uring_wait_cqes(3). Blocks until `count` completions are present, for at most `timeoutUs`
   * microseconds (-1: no limit). Returns the oldest completion, or null if there is none.
   */
  waitCqes(count: number, timeoutUs = -1): Cqe | null {
    requireInteger("count", count, 0, this.cqEntries);
    requireInteger("timeoutUs", timeoutUs, -1, TIMEOUT_US_MAX);
    for (;;) {
      const cqe = this.peekCqe();
      // `cqReady` alone is not enough: a completion may have come since the peek.
      if (count === 0 || (cqe !== null && this.cqReady >= count)) return cqe;
      const result = this.enter(0, count, IORING_ENTER_GETEVENTS, timeoutUs);
      // If the time ends and some completions are present, but fewer than `count`, the kernel
      // returns 0.
      if (result === -ETIME || (result >= 0 && timeoutUs >= 0 && this.cqReady > 0)) return this.peekCqe();
      if (result < 0 && result !== -EINTR) throw new SystemError(-result, "io_uring_enter");
    }
  }
}
