/**
 * Chooses the ring to set up. There are two modes. Each mode has a list of flag sets, from the
 * newest kernel to the oldest. The first set that the kernel accepts is used.
 *
 * The choice is made by trial and never by kernel version: distributions backport features, and
 * containers forbid them.
 */
import {
  IORING_SETUP_COOP_TASKRUN,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_R_DISABLED,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SQPOLL,
  IORING_SETUP_SUBMIT_ALL,
  IORING_SETUP_TASKRUN_FLAG,
} from "../sys/abi.ts";
import { requireOneOf } from "../sys/check.ts";
import { readVariable } from "../sys/environment.ts";
import { EINVAL, SystemError } from "../sys/errno.ts";
import { Ring, type RingParams } from "../ring/ring.ts";
import { restrictAndEnable } from "./restrictions.ts";

/**
 * `sqpoll`: a kernel thread submits. `defer`: one system call submits a whole batch. `auto`: see
 * `resolveMode`.
 */
export type Mode = "auto" | "sqpoll" | "defer";
export const modes: readonly Mode[] = ["auto", "sqpoll", "defer"];

/**
 * Fewest processors for sqpoll in mode `auto`.
 *
 * With fewer processors, the JavaScript thread, the SQ thread and other programs compete for them.
 * With a smaller CPU quota, the SQ thread uses the quota up, and the kernel then stops the whole
 * process for a while.
 */
export const SQPOLL_PROCESSORS_MIN = 8;

const tiers: Record<Exclude<Mode, "auto">, readonly number[]> = {
  // COOP_TASKRUN, TASKRUN_FLAG and DEFER_TASKRUN give EINVAL with SQPOLL: task work runs on the
  // kernel thread.
  sqpoll: [
    IORING_SETUP_SQPOLL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SUBMIT_ALL, // Linux 6.0
    IORING_SETUP_SQPOLL | IORING_SETUP_SUBMIT_ALL, // Linux 5.18
    IORING_SETUP_SQPOLL,
  ],
  defer: [
    // Linux 6.1
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL, // Linux 5.19
    IORING_SETUP_SUBMIT_ALL, // Linux 5.18
    0,
  ],
};

/**
 * Returns the mode that was asked for: RINGLOOP_MODE, or else `option`, or else "auto". Throws
 * TypeError for a value that is no mode.
 */
export function requestedMode(option: Mode | undefined): Mode {
  const asked = option ?? "auto";
  requireOneOf("mode", asked, modes);
  return readVariable("RINGLOOP_MODE") ?? asked;
}

/**
 * Resolves `auto`: sqpoll where there is a processor to spare for the kernel thread, and otherwise
 * defer.
 */
export function resolveMode(mode: Mode): "sqpoll" | "defer" {
  if (mode !== "auto") return mode;
  // On a small machine nobody needs to read the limits of the process.
  if (navigator.hardwareConcurrency < SQPOLL_PROCESSORS_MIN || !Bun.isMainThread) return "defer";
  const { availableProcessors } = require("./processors.ts") as typeof import("./processors.ts");
  return availableProcessors() >= SQPOLL_PROCESSORS_MIN ? "sqpoll" : "defer";
}

/**
 * Sets up a ring of the given mode with the best flags that the kernel accepts. `restrict`: see
 * restrictions.ts. Throws SystemError.
 */
export function openRing(mode: "sqpoll" | "defer", entries: number, params: RingParams, restrict: boolean): Ring {
  for (const tier of tiers[mode]) {
    try {
      const ring = Ring.queueInit(entries, { ...params, flags: restrict ? tier | IORING_SETUP_R_DISABLED : tier });
      return restrict ? restricted(ring) : ring;
    } catch (error) {
      if (!(error instanceof SystemError) || error.errno !== -EINVAL) throw error;
    }
  }
  throw new SystemError(EINVAL, "io_uring_setup");
}

function restricted(ring: Ring): Ring {
  try {
    restrictAndEnable(ring);
    return ring;
  } catch (error) {
    ring.close();
    throw error;
  }
}
