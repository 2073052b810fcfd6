/** The options of a reactor, and the information that it gives about itself. */
import { featureNames } from "../ring/features.ts";
import { I32_MAX, invalidOption, requireBoolean, requirePowerOfTwo } from "../sys/check.ts";
import type { Ring } from "../ring/ring.ts";
import type { Mode } from "./mode.ts";

export interface ReactorOptions {
  /** Mode of the ring. Default "auto". The environment variable RINGLOOP_MODE has precedence. */
  mode?: Mode;
  /** Number of submission entries, a power of two. Default 1024. */
  sqEntries?: number;
  /** Number of completion entries, a power of two. Default 8192. */
  cqEntries?: number;
  /**
   * Highest number of receive buffers, a power of two up to 32768. Default 2048. Unused buffers
   * cost address space only.
   */
  receiveBuffersMax?: number;
  /**
   * Size of each receive buffer in bytes. Default 16384. A connection that receives much gets
   * buffers of four times this size. There are up to a quarter as many of these.
   */
  receiveBufferBytes?: number;
  /**
   * Microseconds for which an sqpoll reactor looks for completions before it blocks. Default 20, or
   * 0 on two processors or fewer.
   */
  spinUs?: number;
  /** Milliseconds for which the SQPOLL thread spins without work before it sleeps. Default 10. */
  sqThreadIdleMs?: number;
  /**
   * Whether the ring is restricted, for its whole life, to the operations that ringloop uses
   * (restrictions.ts): the kernel refuses all others. Default true.
   */
  restrict?: boolean;
}

/** Counters since the reactor's start, and some current values. */
export interface ReactorStats {
  /** Number of io_uring_enter(2) calls. */
  enters: number;
  /** Number of times that the ring has woken a parked reactor. */
  wakeups: number;
  sqes: number;
  cqes: number;
  /**
   * Number of submissions at which the completion queue was full and further completions waited in
   * the kernel. None is lost.
   */
  overflows: number;
  /** Number of receives that found no buffer. */
  enobufs: number;
  /** Number of multishot operations that ended and were armed again. */
  rearms: number;
  /** Number of sends of which the kernel accepted only a part. The rest is sent after it. */
  shortSends: number;
  /**
   * Number of dropped completions: from an earlier use of a slot, or of an operation that is not in
   * flight. 0 unless something is wrong.
   */
  staleCompletions: number;
  turns: number;
  parks: number;
  /** Current number of operations in flight. */
  operationsInFlight: number;
  /** Current number of slots in use. */
  slotsInUse: number;
  /** Current number of bytes of memory in use for sending. */
  sendBytesInUse: number;
  /** Current number of receive buffers that the kernel can fill. */
  receiveBuffersAvailable: number;
}

export interface ReactorInfo {
  mode: "sqpoll" | "defer";
  /**
   * Names of the IORING_SETUP_* flags that the kernel accepted. `features`: names of its
   * IORING_FEAT_*.
   */
  setup: string[];
  features: string[];
  kernel: string;
  limits: { sqEntries: number; cqEntries: number; receiveBuffersMax: number; receiveBufferBytes: number };
  /**
   * Whether the ring's descriptor is registered. `nestedOverBunsLoop`: whether Bun's loop was
   * found. Both are optimizations.
   */
  registeredRingFd: boolean;
  nestedOverBunsLoop: boolean;
  /** See ReactorOptions.restrict. */
  restricted: boolean;
}

/** All options, with defaults filled in, and with a mode that the machine has. */
export type LaneOptions = Required<ReactorOptions> & { mode: ReactorInfo["mode"] };

/** Returns the default of every option. */
export function defaultOptions(): Required<ReactorOptions> {
  return {
    mode: "auto",
    sqEntries: 1024,
    cqEntries: 8192,
    receiveBuffersMax: 2048,
    receiveBufferBytes: 16384,
    spinUs: navigator.hardwareConcurrency > 2 ? 20 : 0,
    sqThreadIdleMs: 10,
    restrict: true,
  };
}

/**
 * Returns the given options with defaults filled in, for a mode that the machine has. Throws a
 * TypeError that names a wrong option.
 */
export function readOptions(given: ReactorOptions, mode: ReactorInfo["mode"]): LaneOptions {
  const options = { ...defaultOptions(), ...given, mode };
  for (const name of ["sqEntries", "cqEntries", "receiveBuffersMax"] as const)
    requirePowerOfTwo(name, options[name], 2, 32768);
  requireCount("receiveBufferBytes", options.receiveBufferBytes, 1);
  for (const name of ["spinUs", "sqThreadIdleMs"] as const) requireCount(name, options[name], 0);
  requireBoolean("restrict", options.restrict);
  return options;
}

/** Returns the information that a reactor gives about itself. */
export function infoOf(
  ring: Ring,
  { mode, receiveBuffersMax, receiveBufferBytes, restrict }: LaneOptions,
  registeredRingFd: boolean,
  nestedOverBunsLoop: boolean,
): ReactorInfo {
  const { sqEntries, cqEntries } = ring;
  return {
    mode,
    // Few programs ask for these, and finding the names costs time.
    get setup() {
      return featureNames(ring).setup;
    },
    get features() {
      return featureNames(ring).features;
    },
    get kernel() {
      return (require("node:os") as typeof import("node:os")).release();
    },
    limits: { sqEntries, cqEntries, receiveBuffersMax, receiveBufferBytes },
    registeredRingFd,
    nestedOverBunsLoop,
    restricted: restrict,
  };
}

function requireCount(name: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least || value > I32_MAX)
    throw invalidOption(name, "number", `an integer from ${least} to ${I32_MAX}`, value);
}
