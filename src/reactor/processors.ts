/**
 * The number of processors that this process may keep busy: the processors that it may run on, or
 * fewer where a control group (cgroup) limits its CPU time, as containers do.
 *
 * Source: cgroups(7): `cpu.max` in version 2, `cpu.cfs_quota_us` and `cpu.cfs_period_us` in version
 * 1. A limit also applies to all groups below.
 */
import { textOfFile } from "../sys/text-of-file.ts";

/**
 * Returns the number of processors. It may be a fraction: 1.5 is one processor and half of another.
 * `root` is the directory that contains /proc and /sys.
 */
export function availableProcessors(cores: number = navigator.hardwareConcurrency, root = ""): number {
  const groups = textOfFile(`${root}/proc/self/cgroup`)?.trim().split("\n") ?? [];
  return Math.min(cores, ...groups.flatMap((line) => limitsOf(line, `${root}/sys/fs/cgroup`)));
}

/**
 * Returns the limits that one line of /proc/self/cgroup leads to. `line` is
 * HIERARCHY:CONTROLLERS:PATH; the hierarchy of version 2 has no controllers.
 */
function limitsOf(line: string, mount: string): number[] {
  const [, controllers = "", path = ""] = /^\d+:([^:]*):\/?(.*)$/.exec(line) ?? [];
  if (controllers === "") return pathsAbove(path).map((each) => limitOfVersion2(`${mount}/${each}`));
  if (!controllers.split(",").includes("cpu")) return [];
  return pathsAbove(path).map((each) => limitOfVersion1(`${mount}/${controllers}/${each}`));
}

/**
 * Returns a path and all paths that contain it. In a container the outer groups may be hidden, and
 * the container's group is the root.
 */
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

/**
 * Returns quota divided by period. Returns Infinity if there is no limit: the quota is "max" or -1,
 * or the file does not exist.
 */
function limit(quota: string | undefined, period: string | undefined): number {
  const processors = Number(quota) / Number(period);
  return processors > 0 ? processors : Infinity;
}
