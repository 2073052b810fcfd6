/**
 * One io_uring instance under liburing's names: set up, resized, closed.
 *
 * Guarantees: the ring's memory is detached before it is unmapped, so that late use throws. Its queues are in ring-queues.ts, submitting and
 * waiting in ring-waits.ts, what is registered in registration.ts. Leaves to others: what an operation means (reactor/), who owns the
 * memory it points at (arena.ts, buffer-ring.ts).
 */
import {
  IORING_CQ_EVENTFD_DISABLED,
  IORING_ENTER_NO_IOWAIT,
  IORING_ENTER_REGISTERED_RING,
  IORING_FEAT_NO_IOWAIT,
  IORING_REGISTER_RESIZE_RINGS,
  IORING_REGISTER_USE_REGISTERED_RING,
  IORING_SETUP_NO_SQARRAY,
  IORING_SETUP_REGISTERED_FD_ONLY,
  IORING_UNREGISTER_RING_FDS,
} from "../sys/abi.ts";
import { invalidType, invalidValue, requireInteger, U32_MAX } from "../sys/check.ts";
import { check, EINVAL, EOPNOTSUPP, SystemError } from "../sys/errno.ts";
import { pointerTo } from "../sys/library.ts";
import { asPointer, detach, type Mapping } from "../sys/memory.ts";
import { owned } from "../sys/owned.ts";
import { BufRing } from "./buf-ring.ts";
import { openMappedRing, resizeMappedRing, type MappedRing, type RingParams } from "./ring-map.ts";
import { RingWaits } from "./ring-waits.ts";

export type { RingParams } from "./ring-map.ts";

/** IORING_REGISTER_USE_REGISTERED_RING is not the caller's to set: `fd` would be taken for an index. */
const REGISTER_OPCODE_MAX = 0x7fffffff;

/** What would leave this object with queues or a descriptor that are not the ring's any more: it would wait for ever. */
const ringsOwn = new Map([
  [IORING_REGISTER_RESIZE_RINGS, "IORING_REGISTER_RESIZE_RINGS: call resizeRings()"],
  [IORING_UNREGISTER_RING_FDS, "IORING_UNREGISTER_RING_FDS: call unregisterRingFd()"],
]);

export class Ring extends RingWaits {
  /** -1 with IORING_SETUP_REGISTERED_FD_ONLY. */
  readonly fd: number;
  /** @internal Of the C part. */
  readonly handle: number;
  private readonly memory: Mapping[];

  /**
   * io_uring_queue_init_params(3), or io_uring_queue_init(3) where `params` is a number, IORING_SETUP_* flags. `entries` is rounded up to a
   * power of two, at most 32768 (with IORING_SETUP_CLAMP more are asked for and cut). Throws SystemError.
   */
  static queueInit(entries: number, params: RingParams | number = 0): Ring {
    if (typeof params === "number") return new Ring(openMappedRing(entries, { flags: params }));
    if (typeof params === "object" && params !== null) return new Ring(openMappedRing(entries, params));
    throw invalidType("params", "an object, or flags as a number", params);
  }

  private constructor(map: MappedRing) {
    super(map);
    owned().addRing(map.handle);
    ({ handle: this.handle, memory: this.memory } = map);
    this.fd = map.fd;
    if ((this.flags & IORING_SETUP_REGISTERED_FD_ONLY) !== 0) {
      this.fd = -1;
      this.enterFlags = IORING_ENTER_REGISTERED_RING;
    }
  }

  protected get descriptor(): readonly [fd: number, isIndex: boolean] {
    return this.fd >= 0 ? [this.fd, false] : [this.enterFd, true];
  }

  /**
   * io_uring_register_ring_fd(3): enters by a registered descriptor from now on, on this thread (Linux 5.18). Returns whether the kernel took
   * it.
   */
  registerRingFd(): boolean {
    this.requireOpen("io_uring_register");
    if (this.fd < 0) return true;
    const index = this.native.rl_ring_register_fd(asPointer(this.handle));
    if (index < 0) return false;
    this.enterFd = index;
    this.enterFlags |= IORING_ENTER_REGISTERED_RING;
    return true;
  }

  private get entersByIndex(): boolean {
    return (this.enterFlags & IORING_ENTER_REGISTERED_RING) !== 0;
  }

  /** io_uring_unregister_ring_fd(3), on the thread that registered it. Throws SystemError. */
  unregisterRingFd(): void {
    this.requireOpen("io_uring_register");
    if (this.fd < 0 || !this.entersByIndex) throw new SystemError(EINVAL, "io_uring_register");
    check(this.native.rl_ring_unregister_fd(asPointer(this.handle)), "io_uring_register");
    this.enterFd = this.fd;
    this.enterFlags &= ~IORING_ENTER_REGISTERED_RING;
  }

  /**
   * io_uring_resize_rings(3): queues of other sizes, rounded up to powers of two; completions and entries that wait in them are moved, and must fit
   * (EOVERFLOW). `cqEntries`: default twice as many. For a ring with IORING_SETUP_DEFER_TASKRUN (EINVAL) and IORING_SETUP_NO_SQARRAY (a TypeError: the
   * kernel does not say where it lays the new array); Linux 6.13. Prepare what `getSqe()` has handed out before: those entries, and completions that
   * were looked at, are not the ring's any more. Throws SystemError, and leaves the ring as it was, but where the system has no memory left for
   * the new queues (ENOMEM): then it is closed.
   */
  resizeRings(entries: number, cqEntries?: number): void {
    this.requireOpen("io_uring_register");
    if ((this.flags & IORING_SETUP_NO_SQARRAY) === 0)
      throw new TypeError("a ring that is resized must be set up with IORING_SETUP_NO_SQARRAY, which this one is not");
    this.publish(); // The kernel moves what it has been told of.
    const { buffers } = this;
    const map = resizeMappedRing(this, entries, cqEntries, () => this.close());
    for (const buffer of buffers) detach(buffer);
    this.adopt(map);
  }

  /**
   * io_uring_set_iowait: whether a wait counts as one for I/O, which makes the CPU look busy in `top` and keeps its frequency up; it does by
   * default. Linux 6.15; EOPNOTSUPP before.
   */
  setIowait(enabled: boolean): void {
    if ((this.features & IORING_FEAT_NO_IOWAIT) === 0) throw new SystemError(EOPNOTSUPP, "io_uring_enter");
    if (enabled) this.enterFlags &= ~IORING_ENTER_NO_IOWAIT;
    else this.enterFlags |= IORING_ENTER_NO_IOWAIT;
  }

  /** io_uring_cq_eventfd_enabled. */
  get cqEventfdEnabled(): boolean {
    return (Atomics.load(this.cqFlags, 0) & IORING_CQ_EVENTFD_DISABLED) === 0;
  }

  /** io_uring_cq_eventfd_toggle: while off, completions do not signal the registered eventfd. */
  cqEventfdToggle(enabled: boolean): void {
    Atomics.store(this.cqFlags, 0, enabled ? 0 : IORING_CQ_EVENTFD_DISABLED);
  }

  register(opcode: number, argument: NodeJS.TypedArray | null, count: number): number {
    requireInteger("opcode", opcode, 0, REGISTER_OPCODE_MAX);
    requireInteger("count", count, 0, U32_MAX);
    if (!(argument === null || (ArrayBuffer.isView(argument) && argument.byteLength > 0)))
      throw invalidType("argument", "a typed array that is not empty, or null", argument);
    const kept = ringsOwn.get(opcode);
    if (kept !== undefined)
      throw invalidValue("opcode", `none that changes the ring behind its own back (${kept})`, opcode);
    this.requireOpen("io_uring_register");
    const pointer = argument && pointerTo(argument);
    const result =
      this.fd >= 0
        ? this.native.rl_register(this.fd, opcode, pointer, count)
        : this.native.rl_register(this.enterFd, (opcode | IORING_REGISTER_USE_REGISTERED_RING) >>> 0, pointer, count);
    return check(result, "io_uring_register");
  }

  /** io_uring_setup_buf_ring: `entries`, a power of two up to 32768, in group `bgid`. `flags`: IOU_PBUF_RING_INC. Linux 5.19. */
  setupBufRing(entries: number, bgid: number, flags = 0): BufRing {
    return new BufRing(this, entries, bgid, flags);
  }

  /** io_uring_queue_exit(3). The kernel ends what is in flight on its own time: drain first where memory must be reused. */
  queueExit(): void {
    this.close();
  }

  /** The same as `queueExit`, which is liburing's name. May be called again. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const buffer of this.buffers) detach(buffer);
    if (this.fd >= 0 && this.entersByIndex) this.native.rl_ring_unregister_fd(asPointer(this.handle));
    this.enterFd = -1; // The number may be another ring's already.
    this.enterFlags = 0;
    this.endQueues();
    owned().deleteRing(this.handle);
    this.native.rl_ring_close(asPointer(this.handle));
    for (const mapping of this.memory) mapping.release();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
