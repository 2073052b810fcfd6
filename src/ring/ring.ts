/**
 * One io_uring instance under liburing's names: setting up, resizing and closing.
 *
 * Guarantees: the ring's memory is detached before it is unmapped, and members of a closed ring throw
 * EBADF (closed-ring.ts). ring-queues.ts has its queues, ring-waits.ts submitting and waiting, registration.ts the
 * registrations. Leaves to others: the meaning of an operation (reactor/), and the ownership of its
 * memory (arena.ts, buffer-ring.ts).
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
import { invalidType, invalidValue, requireInteger, U32_MAX, withCode } from "../sys/check.ts";
import { check, EINVAL, EOPNOTSUPP, SystemError } from "../sys/errno.ts";
import { pointerTo } from "../sys/library.ts";
import { asPointer, detach, type Mapping } from "../sys/memory.ts";
import { lazily } from "../sys/lazily.ts";
import { owned } from "../sys/owned.ts";
import { BufRing } from "./buf-ring.ts";
import { closedPrototypeOf } from "./closed-ring.ts";
import { openMappedRing, resizeMappedRing, type MappedRing, type RingParams } from "./ring-map.ts";
import { RingQueues } from "./ring-queues.ts";
import { RingWaits } from "./ring-waits.ts";

export type { RingParams } from "./ring-map.ts";

/**
 * A caller may not set IORING_REGISTER_USE_REGISTERED_RING, because the kernel would read `fd` as
 * an index.
 */
const REGISTER_OPCODE_MAX = 0x7fffffff;

/**
 * Opcodes that replace the ring's queues or descriptor. This object would keep the old ones and
 * wait for ever.
 */
const ringsOwn = new Map([
  [IORING_REGISTER_RESIZE_RINGS, "IORING_REGISTER_RESIZE_RINGS: call resizeRings()"],
  [IORING_UNREGISTER_RING_FDS, "IORING_UNREGISTER_RING_FDS: call unregisterRingFd()"],
]);

/** Made at the first close, since most processes close no ring. */
const closedRing = lazily(() => closedPrototypeOf(Ring.prototype, [RingWaits.prototype, RingQueues.prototype]));

export class Ring extends RingWaits {
  /** The ring's descriptor; -1 with IORING_SETUP_REGISTERED_FD_ONLY. */
  readonly fd: number;
  /** @internal Address of the C part's struct. */
  readonly handle: number;
  private readonly memory: Mapping[];

  /**
   * io_uring_queue_init_params(3); or io_uring_queue_init(3), where `params` is a number of
   * IORING_SETUP_* flags. `entries` is rounded up to a power of two, and at most 32768. With
   * IORING_SETUP_CLAMP, a larger number is allowed and cut. Unknown names in `params` are ignored.
   * Throws SystemError, and TypeError or RangeError for a wrong value.
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
   * io_uring_register_ring_fd(3). Makes this thread enter the kernel by a registered descriptor
   * (Linux 5.18). Returns whether the kernel has accepted it.
   */
  registerRingFd(): boolean {
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

  /**
   * io_uring_unregister_ring_fd(3). Call it on the thread that has registered the descriptor.
   * Throws SystemError.
   */
  unregisterRingFd(): void {
    if (this.fd < 0 || !this.entersByIndex) throw new SystemError(EINVAL, "io_uring_register");
    check(this.native.rl_ring_unregister_fd(asPointer(this.handle)), "io_uring_register");
    this.enterFd = this.fd;
    this.enterFlags &= ~IORING_ENTER_REGISTERED_RING;
  }

  /**
   * io_uring_resize_rings(3). Changes the sizes of the queues, rounded up to powers of two.
   * `cqEntries` is twice `entries` by default. Waiting entries and completions move to the new
   * queues, and must fit (EOVERFLOW).
   *
   * The ring needs IORING_SETUP_DEFER_TASKRUN (EINVAL) and IORING_SETUP_NO_SQARRAY (a TypeError,
   * because the kernel does not tell the place of the new array). Linux 6.13.
   *
   * Prepare all entries of `getSqe()` before the call. Those entries, and completions that were
   * read, no longer belong to the ring after it.
   *
   * Throws SystemError, and leaves the ring as it was. But if the system has no memory for the new
   * queues (ENOMEM), the ring is closed.
   */
  resizeRings(entries: number, cqEntries?: number): void {
    if ((this.flags & IORING_SETUP_NO_SQARRAY) === 0)
      throw withCode(
        "ERR_INVALID_STATE",
        new TypeError("a ring that is resized must be set up with IORING_SETUP_NO_SQARRAY, which this one is not"),
      );
    this.publish(); // The kernel moves what it has been told of.
    const { buffers } = this;
    const map = resizeMappedRing(this, entries, cqEntries, () => this.close());
    for (const buffer of buffers) detach(buffer);
    this.adopt(map);
  }

  /**
   * io_uring_set_iowait. Sets whether a wait counts as I/O wait. I/O wait makes the CPU look busy
   * in `top`, and keeps its frequency up. It is on by default. Linux 6.15; EOPNOTSUPP before.
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

  /**
   * io_uring_cq_eventfd_toggle. While it is off, completions do not signal the registered eventfd.
   */
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
    const pointer = argument && pointerTo(argument);
    const result =
      this.fd >= 0
        ? this.native.rl_register(this.fd, opcode, pointer, count)
        : this.native.rl_register(this.enterFd, (opcode | IORING_REGISTER_USE_REGISTERED_RING) >>> 0, pointer, count);
    return check(result, "io_uring_register");
  }

  /**
   * io_uring_setup_buf_ring. Makes a ring of provided buffers in group `bgid`. `entries` is a power
   * of two up to 32768. `flags`: IOU_PBUF_RING_INC. Linux 5.19.
   */
  setupBufRing(entries: number, bgid: number, flags = 0): BufRing {
    return new BufRing(this, entries, bgid, flags);
  }

  /**
   * io_uring_queue_exit(3). The kernel ends operations in flight later. Wait for their completions
   * first if their memory must be reused.
   */
  queueExit(): void {
    this.close();
  }

  /**
   * Closes the ring, as `queueExit` does, which is liburing's name. Further calls do nothing. After
   * it, every other method, and every getter that would read the queues, throws SystemError with the
   * code EBADF. Only `enter` returns -EBADF, and `fd`, `flags`, `features` and the sizes of the queues
   * keep their values.
   */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const buffer of this.buffers) detach(buffer);
    if (this.fd >= 0 && this.entersByIndex) this.native.rl_ring_unregister_fd(asPointer(this.handle));
    this.enterFd = -1; // The number may belong to another ring already.
    this.enterFlags = 0;
    owned().deleteRing(this.handle);
    this.native.rl_ring_close(asPointer(this.handle));
    for (const mapping of this.memory) mapping.release();
    Object.setPrototypeOf(this, closedRing());
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
