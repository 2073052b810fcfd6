/**
 * Which ring to set up: two profiles, each with the flags that older kernels do not know stripped one step at a time.
 *
 * By trial, never by kernel version: distributions backport, and containers forbid.
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

/** `sqpoll`: a kernel thread submits. `defer`: one system call per batch. `auto`: see `resolveMode`. */
export type Mode = "auto" | "sqpoll" | "defer";
export const modes: readonly Mode[] = ["auto", "sqpoll", "defer"];

/**
 * With fewer processors the JavaScript thread, the SQ thread and the programs around them take each other's time; with a smaller quota the
 * whole process is held up once the SQ thread has spent it.
 */
export const SQPOLL_PROCESSORS_MIN = 8;

const tiers: Record<Exclude<Mode, "auto">, readonly number[]> = {
  // COOP_TASKRUN, TASKRUN_FLAG and DEFER_TASKRUN are EINVAL with SQPOLL: task work runs on the kernel thread.
  sqpoll: [
    IORING_SETUP_SQPOLL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SUBMIT_ALL, // Linux 6.0
    IORING_SETUP_SQPOLL | IORING_SETUP_SUBMIT_ALL, // Linux 5.18
    IORING_SETUP_SQPOLL,
  ],
  defer: [
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL, // Linux 6.1
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL, // Linux 5.19
    IORING_SETUP_SUBMIT_ALL, // Linux 5.18
    0,
  ],
};

/** RINGLOOP_MODE wins over what the program asks for. Throws TypeError for a value that is no mode. */
export function requestedMode(option: Mode | undefined): Mode {
  const asked = option ?? "auto";
  requireOneOf("mode", asked, modes);
  return readVariable("RINGLOOP_MODE") ?? asked;
}

/** `auto` takes sqpoll where a core can be spared for the kernel thread, and defer elsewhere. */
export function resolveMode(mode: Mode): "sqpoll" | "defer" {
  if (mode !== "auto") return mode;
  // On a small machine the limits of the process need no look.
  if (navigator.hardwareConcurrency < SQPOLL_PROCESSORS_MIN || !Bun.isMainThread) return "defer";
  const { availableProcessors } = require("./processors.ts") as typeof import("./processors.ts");
  return availableProcessors() >= SQPOLL_PROCESSORS_MIN ? "sqpoll" : "defer";
}

/** Sets up a ring of the given mode with the best flags that the kernel takes. `restrict`: see restrictions.ts. Throws SystemError. */
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
