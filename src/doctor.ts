/**
 * What `ringloop doctor` finds: whether ringloop can run on this machine, what it has and lacks, and what to change.
 *
 * Guarantees: what can be tried is tried, not derived from version numbers; nothing is changed, and nothing stays open but the thread's
 * reactor. Never throws for what a machine lacks.
 */
import { readFileSync } from "node:fs";
import { release } from "node:os";
import { requestedMode, resolveMode } from "./reactor/mode.ts";
import { useReactor } from "./reactor/thread.ts";
import { type Features, getProbe, probeFeatures } from "./ring/features.ts";
import { IORING_OP_FTRUNCATE } from "./sys/abi.ts";
import { SystemError } from "./sys/errno.ts";
import { libraryPath, native } from "./sys/library.ts";

export interface Check {
  name: string;
  value: string;
  /** `lacking`: ringloop would not run. `less`: it would run better with it. `unknown`: could not be asked. */
  state: "good" | "less" | "lacking" | "unknown";
  /** What to change, and what it would give. */
  advice?: string;
}

export interface Diagnosis {
  /** Whether ringloop runs on the ring here; otherwise on Bun's own functions. */
  runs: boolean;
  /** The mode that `"auto"` (or RINGLOOP_MODE) takes; null when it does not run. */
  mode: "defer" | "sqpoll" | null;
  /** Why it does not run. */
  reason?: string;
  checks: Check[];
}

const REQUIRED = "Linux 6.0 or later has it; without it everything runs on Bun's own";

/** Each feature that is probed: whether it is required, and what it gives. */
const features: Record<keyof Features, { name: string; required: boolean; advice: string }> = {
  fastPoll: { name: "fast poll", required: true, advice: REQUIRED },
  providedBufferRing: { name: "provided buffer rings", required: true, advice: REQUIRED },
  multishotAccept: { name: "multishot accept", required: true, advice: REQUIRED },
  multishotReceive: { name: "multishot receive", required: true, advice: REQUIRED },
  deferTaskrun: {
    name: "DEFER_TASKRUN",
    required: false,
    advice: "Linux 6.1 or later has it: completions in batches, with fewer interruptions of the thread, in mode defer",
  },
  sqpoll: {
    name: "SQPOLL",
    required: false,
    advice: "mode sqpoll needs it: no system calls in steady state, for a core to spare",
  },
  sendZeroCopy: {
    name: "zero-copy send",
    required: false,
    advice: "Linux 6.0 or later has it: reactor.sendZc, for large sends through a network card",
  },
};

export function diagnose(): Diagnosis {
  const checks = [...system(), library(), ...limits(), ...probed()];
  try {
    const { mode, restricted, setup } = useReactor().info;
    const value = `${mode}${process.env.RINGLOOP_MODE ? " (RINGLOOP_MODE)" : ""}: ${setup.join(", ")}`;
    checks.push({ name: "mode", value, state: "good" });
    checks.push({ name: "restricted to ringloop's operations", value: restricted ? "yes" : "no", state: "good" });
    return { runs: true, mode, checks };
  } catch (error) {
    const reason = (error as Error).message;
    checks.push({ name: "mode", value: `none: ${reason}`, state: "lacking" });
    return { runs: false, mode: null, reason, checks };
  }
}

function system(): Check[] {
  return [
    {
      name: "system",
      value: `${process.platform} ${process.arch}`,
      ...(process.platform === "linux"
        ? { state: "good" }
        : { state: "lacking", advice: "io_uring is Linux's: elsewhere everything runs on Bun's own" }),
    },
    { name: "kernel", value: release(), state: "good" },
    { name: "Bun", value: Bun.version, state: "good" },
  ];
}

function library(): Check {
  const name = "shared object";
  try {
    native();
    return { name, value: libraryPath(), state: "good" };
  } catch (error) {
    const [value, ...advice] = (error as Error).message.replace(/^ringloop: /, "").split(". ");
    return { name, value: value!, state: "lacking", advice: advice.join(". ") };
  }
}

/** The file's text, or undefined where there is none. */
function text(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
}

function limits(): Check[] {
  const disabled = text("/proc/sys/kernel/io_uring_disabled")?.trim();
  const group = text("/proc/sys/kernel/io_uring_group")?.trim();
  const status = text("/proc/self/status") ?? "";
  const field = (name: string): string | undefined => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1];
  const seccomp = field("Seccomp");
  const memlock = /^Max locked memory\s+(\S+)/m.exec(text("/proc/self/limits") ?? "")?.[1];
  return [
    sysctl(disabled, group),
    {
      name: "sysctl kernel.io_uring_group",
      value: group === undefined ? "not there" : group === "-1" ? "none" : group,
      state: "good",
    },
    seccomp === "2"
      ? {
          name: "seccomp",
          value: `filtered, by ${field("Seccomp_filters") ?? "some"}`,
          state: "good",
          advice:
            "if io_uring is refused with EPERM below, this is why: allow io_uring_setup, io_uring_enter and io_uring_register in the" +
            " container's profile (docker run --security-opt seccomp=PROFILE.json)",
        }
      : { name: "seccomp", value: seccomp === undefined ? "cannot be told" : "not filtered", state: "good" },
    {
      name: "locked memory (ulimit -l)",
      value: memlock === undefined ? "cannot be told" : memlock === "unlimited" ? memlock : `${memlock} bytes`,
      state: memlock === undefined ? "unknown" : "good",
      ...(memlock !== undefined &&
        memlock !== "unlimited" && {
          advice: "counts before Linux 5.12, and for registered buffers, which ringloop does not use",
        }),
    },
  ];
}

function sysctl(disabled: string | undefined, group: string | undefined): Check {
  const name = "sysctl kernel.io_uring_disabled";
  switch (disabled) {
    case undefined: // Before Linux 6.6.
      return { name, value: "not there", state: "good" };
    case "0":
      return { name, value: "0, allowed to all", state: "good" };
    case "1": {
      const privileged = process.getuid?.() === 0 || process.getgroups?.().includes(Number(group)) === true;
      return {
        name,
        value: `1, allowed to root and the group ${group === "-1" ? "that is not set" : group}`,
        state: privileged ? "good" : "lacking",
        ...(!privileged && {
          advice: "sysctl -w kernel.io_uring_disabled=0, or kernel.io_uring_group=GID of a group of this user",
        }),
      };
    }
    default:
      return {
        name,
        value: `${disabled}, forbidden`,
        state: "lacking",
        advice: "sysctl -w kernel.io_uring_disabled=0",
      };
  }
}

/** By using them. */
function probed(): Check[] {
  let found: Features;
  try {
    found = probeFeatures();
  } catch (error) {
    const setup: Check = { name: "io_uring_setup", value: (error as Error).message, state: "lacking" };
    if (error instanceof SystemError) setup.advice = refusal(error.code);
    const rest = Object.values(features).map(({ name }): Check => ({ name, value: "not asked", state: "unknown" }));
    return error instanceof SystemError
      ? [setup, ...rest]
      : [{ ...setup, value: "not asked", state: "unknown" }, ...rest];
  }
  const truncates = getProbe().opcodeSupported(IORING_OP_FTRUNCATE);
  return [
    { name: "io_uring_setup", value: "works", state: "good" },
    ...Object.entries(features).map(([key, { name, required, advice }]): Check => {
      if (found[key as keyof Features]) return { name, value: "yes", state: "good" };
      return { name, value: "no", state: required ? "lacking" : "less", advice };
    }),
    truncates
      ? { name: "ftruncate", value: "yes", state: "good" }
      : {
          name: "ftruncate",
          value: "no",
          state: "less",
          advice: "Linux 6.9 or later has it: without it node:fs truncates",
        },
    modeAdvice(),
  ];
}

function refusal(code: string): string {
  switch (code) {
    case "EPERM":
      return "io_uring is forbidden: see the sysctl and seccomp above";
    case "ENOSYS":
      return "this kernel has no io_uring, or seccomp hides it: Linux 6.0 or later is needed";
    case "ENOMEM":
      return "raise RLIMIT_MEMLOCK (ulimit -l)";
    default:
      return "see io_uring_setup(2)";
  }
}

function modeAdvice(): Check {
  const cores = navigator.hardwareConcurrency;
  const auto = resolveMode(requestedMode("auto"));
  const value = `${cores} cores`;
  if (auto === "sqpoll") return { name: "processors", value, state: "good" };
  return {
    name: "processors",
    value,
    state: "good",
    advice: "mode sqpoll is taken by itself from 8 cores on: its kernel thread wants one to itself",
  };
}
