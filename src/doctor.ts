/**
 * The findings of `ringloop doctor`: whether ringloop can run on this machine, what the machine has
 * and lacks, and what to change.
 *
 * Guarantees: everything that can be tried is tried, and not derived from version numbers. Nothing
 * is changed. Nothing stays open except the thread's reactor. Never throws for something that a
 * machine lacks.
 */
import { readFileSync } from "node:fs";
import { release } from "node:os";
import { dirname, join } from "node:path";
import { bunVersion, reliances, request } from "./doctor-bun.ts";
import { requestedMode, resolveMode, SQPOLL_PROCESSORS_MIN } from "./reactor/mode.ts";
import { availableProcessors } from "./reactor/processors.ts";
import { defaultOptions } from "./reactor/options.ts";
import { useReactor } from "./operations/thread.ts";
import { type Features, getProbe, probeFeatures } from "./ring/features.ts";
import { lockedBytesOf } from "./ring/locked-bytes.ts";
import { KNOWN_VERSIONS } from "./node/contract.ts";
import { IORING_OP_FTRUNCATE } from "./sys/abi.ts";
import { SystemError } from "./sys/errno.ts";
import { libraryPath, native } from "./sys/library.ts";
import { textOfFile } from "./sys/text-of-file.ts";

export interface Check {
  name: string;
  value: string;
  /**
   * `lacking`: ringloop cannot run without it. `less`: ringloop runs better with it. `unknown`: it
   * could not be checked.
   */
  state: "good" | "less" | "lacking" | "unknown";
  /** What to change, and the benefit of the change. */
  advice?: string;
}

export interface Diagnosis {
  /** The version of ringloop. */
  version: string;
  /** Whether ringloop runs on the ring here. If not, programs run on Bun's functions. */
  runs: boolean;
  /** The mode that `"auto"` (or RINGLOOP_MODE) chooses. Null if ringloop does not run. */
  mode: "defer" | "sqpoll" | null;
  /** Why ringloop does not run. */
  reason?: string;
  checks: Check[];
}

const REQUIRED = "Linux 6.0 or later has it; without it everything runs on Bun's own";

/** For each probed feature: whether it is required, and its benefit. */
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

/** Returns the version of this package. */
export function packageVersion(): string {
  const file = join(dirname(import.meta.path), "../package.json");
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

/** Makes all checks. Throws a TypeError for a wrong RINGLOOP_MODE. */
export async function diagnose(): Promise<Diagnosis> {
  const version = packageVersion();
  const checks = [...system(), library(), reliances(), ...limits(), ...probed()];
  try {
    const { mode, restricted, setup } = useReactor().info;
    const value = `${mode}${process.env.RINGLOOP_MODE ? " (RINGLOOP_MODE)" : ""}: ${setup.join(", ")}`;
    checks.push({ name: "mode", value, state: "good" });
    checks.push({ name: "restricted to ringloop's operations", value: restricted ? "yes" : "no", state: "good" });
    const answered = await request();
    checks.push(answered);
    if (answered.state === "lacking") return { version, runs: false, mode: null, reason: answered.value, checks };
    return { version, runs: true, mode, checks };
  } catch (error) {
    const reason = (error as Error).message;
    const advice = error instanceof SystemError ? { advice: refusal(error.code) } : {};
    checks.push({ name: "mode", value: `none: ${reason}`, state: "lacking", ...advice });
    return { version, runs: false, mode: null, reason, checks };
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
    { name: "ringloop", value: packageVersion(), state: "good" },
    bunVersion(),
    nodeHttp(),
  ];
}

/** What is beneath node:http is tried when a server listens; that the version is known comes before. */
function nodeHttp(): Check {
  const known = KNOWN_VERSIONS.join(", ");
  if (KNOWN_VERSIONS.includes(Bun.version)) return { name: "node:http", value: "on the ring", state: "good" };
  const advice = `Bun ${known} has the node:http that the ring knows: servers of Express and the like would run on the ring`;
  return { name: "node:http", value: "on Bun's own", state: "less", advice };
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

function limits(): Check[] {
  const disabled = textOfFile("/proc/sys/kernel/io_uring_disabled")?.trim();
  const group = textOfFile("/proc/sys/kernel/io_uring_group")?.trim();
  const status = textOfFile("/proc/self/status") ?? "";
  const field = (name: string): string | undefined => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1];
  const seccomp = field("Seccomp");
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
    lockedMemory(field("CapEff")),
  ];
}

const CAP_IPC_LOCK = 14n;

/**
 * Checks the limit of locked memory (RLIMIT_MEMLOCK). The kernel counts a ring's memory as locked,
 * for each user over all processes. It does not count it if the process has CAP_IPC_LOCK outside of
 * any user namespace.
 */
function lockedMemory(capabilities: string | undefined): Check {
  const name = "locked memory (ulimit -l)";
  const limit = /^Max locked memory\s+(\S+)/m.exec(textOfFile("/proc/self/limits") ?? "")?.[1];
  if (limit === undefined) return { name, value: "cannot be told", state: "unknown" };
  if (limit === "unlimited") return { name, value: limit, state: "good" };
  const isOutermost = /^\s*0\s+0\s+4294967295$/m.test(textOfFile("/proc/self/uid_map") ?? "");
  if (isOutermost && ((BigInt(`0x${capabilities ?? 0}`) >> CAP_IPC_LOCK) & 1n) === 1n)
    return { name, value: `${limit} bytes, which do not count with CAP_IPC_LOCK`, state: "good" };
  const ringBytes = lockedBytesOf(defaultOptions());
  const rings = Math.floor(Number(limit) / ringBytes);
  return {
    name,
    value: `${limit} bytes, enough for ${rings} ${rings === 1 ? "ring" : "rings"} of this user`,
    state: rings === 0 ? "lacking" : "good",
    advice:
      `each thread with servers or sockets has a ring of ${ringBytes / 1024} KiB, and all processes of the user count together: raise it ` +
      "(ulimit -l, LimitMEMLOCK= of systemd), or give CAP_IPC_LOCK",
  };
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

/** Checks the kernel's features by their use. */
function probed(): Check[] {
  let found: Features;
  let truncates: boolean;
  try {
    truncates = getProbe().opcodeSupported(IORING_OP_FTRUNCATE);
    found = probeFeatures();
  } catch (error) {
    const refused = error instanceof SystemError;
    const first: Check = refused
      ? { name: error.syscall, value: error.message, state: "lacking", advice: refusal(error.code) }
      : { name: "io_uring_setup", value: "not asked", state: "unknown" };
    const rest = Object.values(features).map(({ name }): Check => ({ name, value: "not asked", state: "unknown" }));
    return [first, ...rest, processors()];
  }
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
    processors(),
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

function processors(): Check {
  const cores = navigator.hardwareConcurrency;
  const available = availableProcessors();
  return {
    name: "processors",
    value: available < cores ? `${cores}, of which the control group allows ${available}` : String(cores),
    state: "good",
    ...(resolveMode(requestedMode("auto")) !== "sqpoll" && {
      advice: `mode sqpoll is taken by itself from ${SQPOLL_PROCESSORS_MIN} processors on: its kernel thread wants one to itself`,
    }),
  };
}
