/**
 * How many processors this process may keep busy: those that it may run on, or fewer where a control group (cgroup) limits its CPU time, as
 * containers do.
 *
 * Source: cgroups(7); for version 2 `cpu.max`, for version 1 `cpu.cfs_quota_us` and `cpu.cfs_period_us`. A limit counts for all groups below.
 */
import { textOfFile } from "../sys/text-of-file.ts";

/** A fraction where the limit is one: 1.5 is one processor and half of another. `root` is where /proc and /sys are. */
export function availableProcessors(cores: number = navigator.hardwareConcurrency, root = ""): number {
  const groups = textOfFile(`${root}/proc/self/cgroup`)?.trim().split("\n") ?? [];
  return Math.min(cores, ...groups.flatMap((line) => limitsOf(line, `${root}/sys/fs/cgroup`)));
}

/** `line` is HIERARCHY:CONTROLLERS:PATH; the hierarchy of version 2 has no controllers. */
function limitsOf(line: string, mount: string): number[] {
  const [, controllers = "", path = ""] = /^\d+:([^:]*):\/?(.*)$/.exec(line) ?? [];
  if (controllers === "") return pathsAbove(path).map((each) => limitOfVersion2(`${mount}/${each}`));
  if (!controllers.split(",").includes("cpu")) return [];
  return pathsAbove(path).map((each) => limitOfVersion1(`${mount}/${controllers}/${each}`));
}

/** A path and all that contain it. In a container the outer parts may be hidden, and its own group is the root. */
function pathsAbove(path: string): string[] {
  const parts = path.split("/").filter((part) => part !== "");
  return Array.from({ length: parts.length + 1 }, (_, i) => parts.slice(0, i).join("/"));
}

function limitOfVersion2(directory: string): number {
  const [quota, period] = textOfFile(`${directory}/cpu.max`)?.trim().split(" ") ?? [];
  return limit(quota, period);
}

function limitOfVersion1(directory: string): number {
  return limit(
    textOfFile(`${directory}/cpu.cfs_quota_us`)?.trim(),
    textOfFile(`${directory}/cpu.cfs_period_us`)?.trim(),
  );
}

/** Infinity without a limit: the quota is "max" or -1, or the file is not there. */
function limit(quota: string | undefined, period: string | undefined): number {
  const processors = Number(quota) / Number(period);
  return processors > 0 ? processors : Infinity;
}
