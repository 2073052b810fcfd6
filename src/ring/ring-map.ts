/**
 * Sets up a ring, and finds its parts in the mapped memory: io_uring_setup(2), and the later steps
 * of io_uring_queue_init_params(3).
 *
 * Guarantees: a parameter that gives the queues a layout that Ring cannot read is refused by name.
 * Every view lies in memory that belongs to the ring until `rl_ring_close`. Leaves to others: all
 * work on a ring (ring.ts).
 */
import {
  CQE_BYTES,
  IORING_SETUP_CLAMP,
  IORING_SETUP_CQE32,
  IORING_SETUP_CQE_MIXED,
  IORING_SETUP_CQSIZE,
  IORING_SETUP_NO_MMAP,
  IORING_SETUP_NO_SQARRAY,
  IORING_SETUP_SQE128,
  IORING_SETUP_SQE_MIXED,
  SQE_BYTES,
} from "../sys/abi.ts";
import { check } from "../sys/errno.ts";
import { native, pointerTo } from "../sys/library.ts";
import { asPointer, Mapping, PAGE_BYTES, viewMemory } from "../sys/memory.ts";
import { invalidType, requireInteger, U32_MAX, withCode } from "../sys/check.ts";

/** Parameters of io_uring_queue_init_params(3). */
export interface RingParams {
  /** IORING_SETUP_*. Default 0. */
  flags?: number;
  /**
   * Entries of the completion queue, rounded up to a power of two. Default: twice the submission
   * queue's.
   */
  cqEntries?: number;
  /**
   * Time in milliseconds for which the SQPOLL thread spins after the last submission before it
   * sleeps. Default: the kernel's 1000.
   */
  sqThreadIdleMs?: number;
  /** CPU of the SQPOLL thread, with IORING_SETUP_SQ_AFF. */
  sqThreadCpu?: number;
  /** Descriptor of a ring whose workers this ring shares, with IORING_SETUP_ATTACH_WQ. */
  attachFd?: number;
}

/** Flags that mix entries of two sizes in a queue. */
const mixedFlags = { IORING_SETUP_CQE_MIXED, IORING_SETUP_SQE_MIXED };

/** IORING_MAX_ENTRIES. The completion queue has up to twice as many entries. */
const SQ_ENTRIES_MAX = 32768;

/** Size of struct io_rings, which lies before the completion entries. */
const RINGS_HEADER_BYTES_MAX = PAGE_BYTES;

/** Inputs of `rl_ring_open`, in its order. */
const enum RingInput {
  Entries,
  Flags,
  CqEntries,
  SqThreadIdleMs,
  SqThreadCpu,
  AttachFd,
  RingsAddress,
  SqesAddress,
  Count,
}

/** Results of `rl_ring_open`, in its order. */
const enum RingMap {
  Handle,
  SqHead,
  SqTail,
  SqFlags,
  SqDropped,
  Sqes,
  CqHead,
  CqTail,
  CqOverflow,
  Cqes,
  CqFlags,
  SqArray,
  Fd,
  SqEntries,
  CqEntries,
  Features,
  Flags,
  Count,
}

/**
 * The parts of a ring: words that the kernel and this process share, and the entries of both
 * queues.
 */
export interface MappedRing {
  handle: number;
  fd: number;
  features: number;
  flags: number;
  sqHead: Uint32Array;
  sqTail: Uint32Array;
  sqFlags: Uint32Array;
  sqDropped: Uint32Array;
  cqHead: Uint32Array;
  cqTail: Uint32Array;
  cqOverflow: Uint32Array;
  cqFlags: Uint32Array;
  sqeWords: Uint32Array;
  cqeWords: Int32Array;
  /**
   * Entry i lies i << shift entries of the usual size after entry 0. The shift is 1 with SQE128 or
   * CQE32.
   */
  sqeShift: 0 | 1;
  cqeShift: 0 | 1;
  /** Views to detach before the ring is closed. */
  buffers: ArrayBuffer[];
  /**
   * This process's own memory, with IORING_SETUP_NO_MMAP. It is released after the ring is closed.
   */
  memory: Mapping[];
}

/**
 * Sets up a ring. Throws TypeError or RangeError for a wrong parameter, and SystemError of
 * io_uring_setup or mmap.
 */
export function openMappedRing(entries: number, params: RingParams): MappedRing {
  const { cqEntries = 0, sqThreadIdleMs = 0, sqThreadCpu = 0, attachFd = 0 } = params;
  const flags = validFlags(entries, params) | (params.cqEntries === undefined ? 0 : IORING_SETUP_CQSIZE);
  for (const [name, value] of Object.entries({ cqEntries, sqThreadIdleMs, sqThreadCpu, attachFd }))
    requireInteger(name, value, 0, U32_MAX);
  const sqeShift = (flags & IORING_SETUP_SQE128) === 0 ? 0 : 1;
  const cqeShift = (flags & IORING_SETUP_CQE32) === 0 ? 0 : 1;
  const memory = (flags & IORING_SETUP_NO_MMAP) === 0 ? [] : ownMemory(entries, cqEntries, sqeShift, cqeShift);
  const input = new Float64Array(RingInput.Count);
  input[RingInput.Entries] = entries;
  input[RingInput.Flags] = flags >>> 0;
  input[RingInput.CqEntries] = cqEntries;
  input[RingInput.SqThreadIdleMs] = sqThreadIdleMs;
  input[RingInput.SqThreadCpu] = sqThreadCpu;
  input[RingInput.AttachFd] = attachFd;
  input[RingInput.RingsAddress] = memory[0]?.address ?? 0;
  input[RingInput.SqesAddress] = memory[1]?.address ?? 0;
  const map = new Float64Array(RingMap.Count);
  try {
    check(native().rl_ring_open(pointerTo(input), pointerTo(map)), "io_uring_setup");
  } catch (error) {
    for (const mapping of memory) mapping.release();
    throw error;
  }

  return viewsOf(map, flags, memory);
}

/**
 * Changes the sizes of a ring, io_uring_resize_rings(3). If the new queues cannot be mapped, the
 * ring is lost, and `lost` is called before the error is thrown. Throws SystemError.
 */
export function resizeMappedRing(
  ring: { handle: number; flags: number },
  entries: number,
  cqEntries: number | undefined,
  lost: () => void,
): MappedRing {
  requireInteger("entries", entries, 1, SQ_ENTRIES_MAX);
  if (cqEntries !== undefined) requireInteger("cqEntries", cqEntries, 1, 2 * SQ_ENTRIES_MAX);
  const map = new Float64Array(RingMap.Count);
  map[RingMap.Handle] = ring.handle;
  const flags = cqEntries === undefined ? 0 : IORING_SETUP_CQSIZE;
  const result = native().rl_ring_resize(asPointer(ring.handle), entries, cqEntries ?? 0, flags, pointerTo(map));
  if (map[RingMap.Handle] === 0) lost();
  check(result, "io_uring_register");
  return viewsOf(map, ring.flags, []);
}

/**
 * Returns views of the memory that the kernel and this process share. `flags`: IORING_SETUP_* of
 * the ring.
 */
function viewsOf(map: Float64Array, flags: number, memory: Mapping[]): MappedRing {
  const sqCount = map[RingMap.SqEntries]!;
  const buffers: ArrayBuffer[] = [];
  const view = (field: RingMap, bytes: number): ArrayBuffer => {
    const buffer = viewMemory(map[field]!, bytes);
    buffers.push(buffer);
    return buffer;
  };
  const word = (field: RingMap): Uint32Array => new Uint32Array(view(field, 4));
  const sqeShift = (flags & IORING_SETUP_SQE128) === 0 ? 0 : 1;
  const cqeShift = (flags & IORING_SETUP_CQE32) === 0 ? 0 : 1;
  // The SQ array maps each position to the entry with the same number, and never changes. So
  // entries are submitted in the order in which they are written.
  if ((flags & IORING_SETUP_NO_SQARRAY) === 0) {
    const array = new Uint32Array(view(RingMap.SqArray, sqCount * 4));
    for (let i = 0; i < array.length; i++) array[i] = i;
  }
  return {
    handle: map[RingMap.Handle]!,
    fd: map[RingMap.Fd]!,
    features: map[RingMap.Features]! >>> 0,
    flags: map[RingMap.Flags]! >>> 0,
    sqHead: word(RingMap.SqHead),
    sqTail: word(RingMap.SqTail),
    sqFlags: word(RingMap.SqFlags),
    sqDropped: word(RingMap.SqDropped),
    cqHead: word(RingMap.CqHead),
    cqTail: word(RingMap.CqTail),
    cqOverflow: word(RingMap.CqOverflow),
    cqFlags: word(RingMap.CqFlags),
    sqeWords: new Uint32Array(view(RingMap.Sqes, (sqCount * SQE_BYTES) << sqeShift)),
    cqeWords: new Int32Array(view(RingMap.Cqes, (map[RingMap.CqEntries]! * CQE_BYTES) << cqeShift)),
    sqeShift,
    cqeShift,
    buffers,
    memory,
  };
}

function validFlags(entries: number, { flags = 0 }: RingParams): number {
  requireInteger("flags", flags, 0, U32_MAX);
  if (
    !Number.isInteger(entries) ||
    entries < 1 ||
    entries > ((flags & IORING_SETUP_CLAMP) === 0 ? SQ_ENTRIES_MAX : U32_MAX)
  )
    throw invalidType("entries", "an integer from 1 to 32768", entries);
  const mixed = Object.entries(mixedFlags).find(([, bit]) => (flags & bit) !== 0);
  if (mixed)
    throw withCode(
      "ERR_INVALID_ARG_VALUE",
      new TypeError(`flags must not have ${mixed[0]}, which mixes entries of two sizes in a queue`),
    );
  return flags;
}

/**
 * Returns the two pieces of memory for a ring with IORING_SETUP_NO_MMAP. One has the heads and
 * entries of both queues, the other has the SQEs.
 */
function ownMemory(entries: number, cqEntries: number, sqeShift: number, cqeShift: number): Mapping[] {
  const sqCount = 2 ** Math.ceil(Math.log2(entries));
  const cqCount = Math.max(2 * sqCount, 2 ** Math.ceil(Math.log2(Math.max(1, cqEntries))));
  const ringsBytes = RINGS_HEADER_BYTES_MAX + ((cqCount * CQE_BYTES) << cqeShift) + sqCount * 4;
  return [new Mapping(ringsBytes), new Mapping((sqCount * SQE_BYTES) << sqeShift)];
}
