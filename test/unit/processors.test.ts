/**
 * The processors that a control group allows, read from copies of the kernel's files (v1 and v2).
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { availableProcessors } from "../../src/reactor/processors.ts";

const directory = mkdtempSync(join(tmpdir(), "ringloop-cgroup-"));
afterAll(() => rmSync(directory, { recursive: true }));
let count = 0;

function processorsWith(files: Record<string, string>, cores = 16): number {
  const root = join(directory, String(count++));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), `${text}\n`);
  }
  return availableProcessors(cores, root);
}

test("without control groups there are as many as the process may run on", () => {
  expect(processorsWith({})).toBe(16);
});

describe("version 2", () => {
  const group = { "proc/self/cgroup": "0::/outer/inner" };

  test("a quota of the group counts", () => {
    expect(processorsWith({ ...group, "sys/fs/cgroup/outer/inner/cpu.max": "200000 100000" })).toBe(2);
    expect(processorsWith({ ...group, "sys/fs/cgroup/outer/inner/cpu.max": "150000 100000" })).toBe(1.5);
  });

  test("so does the least of those above it, and of the root that a container sees", () => {
    const outer = { ...group, "sys/fs/cgroup/outer/inner/cpu.max": "max 100000" };
    expect(processorsWith({ ...outer, "sys/fs/cgroup/outer/cpu.max": "400000 100000" })).toBe(4);
    expect(processorsWith({ ...group, "sys/fs/cgroup/cpu.max": "300000 100000" })).toBe(3);
    expect(processorsWith({ "proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "50000 100000" })).toBe(0.5);
  });

  test("no quota, and one of more than there is, change nothing", () => {
    expect(processorsWith({ ...group, "sys/fs/cgroup/outer/inner/cpu.max": "max 100000" })).toBe(16);
    expect(processorsWith({ ...group, "sys/fs/cgroup/outer/inner/cpu.max": "3200000 100000" })).toBe(16);
  });
});

describe("version 1", () => {
  const group = { "proc/self/cgroup": "12:memory:/a\n4:cpu,cpuacct:/a/b\n0::/" };
  const quota = (path: string, value: number): Record<string, string> => ({
    [`sys/fs/cgroup/cpu,cpuacct${path}/cpu.cfs_quota_us`]: String(value),
    [`sys/fs/cgroup/cpu,cpuacct${path}/cpu.cfs_period_us`]: "100000",
  });

  test("a quota of the group, of one above it, or of the root counts", () => {
    expect(processorsWith({ ...group, ...quota("/a/b", 200000) })).toBe(2);
    expect(processorsWith({ ...group, ...quota("/a/b", -1), ...quota("/a", 350000) })).toBe(3.5);
    expect(processorsWith({ ...group, ...quota("", 100000) })).toBe(1);
  });

  test("-1 is no quota, and other controllers' groups have none", () => {
    expect(processorsWith({ ...group, ...quota("/a/b", -1) })).toBe(16);
    expect(processorsWith({ "proc/self/cgroup": "3:cpuset:/a", ...quota("/a", 100000) })).toBe(16);
  });
});
