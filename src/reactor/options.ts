/** What a reactor is made with, and what it says of itself. */
import { featureNames } from "../ring/features.ts";
import { I32_MAX, invalidOption, requireBoolean, requirePowerOfTwo } from "../sys/check.ts";
import type { Ring } from "../ring/ring.ts";
import type { Mode } from "./mode.ts";

export interface ReactorOptions {
  /** Default "auto". The environment variable RINGLOOP_MODE wins. */
  mode?: Mode;
  /** Submission entries, a power of two. Default 1024. */
  sqEntries?: number;
  /** Completion entries, a power of two. Default 8192. */
  cqEntries?: number;
  /** Receive buffers at most, a power of two up to 32768. Default 2048. Address space only, until they are used. */
  receiveBuffersMax?: number;
  /** Bytes in each receive buffer. Default 16384. */
  receiveBufferBytes?: number;
  /** How long an sqpoll reactor looks for completions before it blocks. Default 20 microseconds, or 0 on two cores or fewer. */
  spinUs?: number;
  /** How long the SQPOLL thread spins without work before it sleeps. Default 10 milliseconds. */
  sqThreadIdleMs?: number;
  /** The ring does what ringloop uses and nothing else, for its life (restrictions.ts): the kernel refuses other operations. Default true. */
  restrict?: boolean;
}

/** Counters since the reactor's start. */
export interface ReactorStats {
  /** io_uring_enter(2) calls. */
  enters: number;
  /** Times that a parked reactor was woken by its ring. */
  wakeups: number;
  sqes: number;
  cqes: number;
  /** Submissions that found completions waiting, because the completion queue was full; none is lost. */
  overflows: number;
  /** Receives that found no buffer. */
  enobufs: number;
  /** Multishot operations that ended and were armed again. */
  rearms: number;
  /** Sends that took a part, and were continued. */
  shortSends: number;
  /** Completions for a slot's former life, or of what is not in flight, dropped. 0 unless something is wrong. */
  staleCompletions: number;
  turns: number;
  parks: number;
  /** Now. */
  operationsInFlight: number;
  /** Now. */
  slotsInUse: number;
  /** Now. */
  sendBytesInUse: number;
  /** Now. */
  receiveBuffersAvailable: number;
}

export interface ReactorInfo {
  mode: "sqpoll" | "defer";
  /** IORING_SETUP_* that the kernel took, and IORING_FEAT_* that it has, by name. */
  setup: string[];
  features: string[];
  kernel: string;
  limits: { sqEntries: number; cqEntries: number; receiveBuffersMax: number; receiveBufferBytes: number };
  /** Whether the ring's descriptor is registered, and whether Bun's loop was found; both are optimizations. */
  registeredRingFd: boolean;
  nestedOverBunsLoop: boolean;
  /** See ReactorOptions.restrict. */
  restricted: boolean;
}

/** The options with their defaults, in a mode that the machine has. */
export type LaneOptions = Required<ReactorOptions> & { mode: ReactorInfo["mode"] };

/** What an option is that is not given. */
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

/** The options with their defaults, for a mode that the machine has. Throws a TypeError that names a wrong one. */
export function readOptions(given: ReactorOptions, mode: ReactorInfo["mode"]): LaneOptions {
  const options = { ...defaultOptions(), ...given, mode };
  for (const name of ["sqEntries", "cqEntries", "receiveBuffersMax"] as const)
    requirePowerOfTwo(name, options[name], 2, 32768);
  for (const name of ["receiveBufferBytes", "spinUs", "sqThreadIdleMs"] as const) requireCount(name, options[name]);
  requireBoolean("restrict", options.restrict);
  return options;
}

/** What a reactor says of itself. */
export function infoOf(
  ring: Ring,
  { mode, receiveBuffersMax, receiveBufferBytes, restrict }: LaneOptions,
  registeredRingFd: boolean,
  nestedOverBunsLoop: boolean,
): ReactorInfo {
  const { sqEntries, cqEntries } = ring;
  return {
    mode,
    // Few ask, and the names take time to find.
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

function requireCount(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 0 || value > I32_MAX)
    throw invalidOption(name, "number", `an integer from 0 to ${I32_MAX}`, value);
}
