/**
 * Files on a failing disk: the errors have the right code, and nothing leaks. Also
 * node:fs/promises.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import * as node from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attempt } from "./process.ts";
import { files, isBun, reactorStats } from "./subject.ts";

const directory = node.mkdtempSync(join(tmpdir(), "ringloop-full-"));
const at = (name: string): string => join(directory, name);
// A disk of 256 KiB, if the system allows to mount one.
const isMounted =
  (await attempt(["mount", "-t", "tmpfs", "-o", "size=256k", "none", directory]).catch(() => undefined))?.exitCode ===
  0;
let before: { descriptors: number; memory: number };
const usage = (): typeof before => ({
  descriptors: node.readdirSync("/proc/self/fd").length,
  memory: isBun ? 0 : reactorStats().sendBytesInUse,
});

beforeAll(async () => {
  await files.writeFile(at("warm"), "x");
  before = usage();
});
afterAll(async () => {
  if (isMounted) await attempt(["umount", directory]);
  node.rmSync(directory, { recursive: true, force: true });
});

async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error.code,
  );
}

describe.skipIf(!isMounted)("a full disk", () => {
  test("is ENOSPC, and the disk can be used again", async () => {
    for (let i = 0; i < 20; i++) {
      expect(await codeOf(files.writeFile(at("large"), Buffer.alloc(1_000_000, "x")))).toBe("ENOSPC");
      node.rmSync(at("large"));
    }
    await files.writeFile(at("small"), "fits");
    expect(await files.readFile(at("small"), "utf8")).toBe("fits");
    node.rmSync(at("small"));
  });

  test.skipIf(isBun)("leaves the old file where a write is atomic, and nothing beside it", async () => {
    node.writeFileSync(at("kept"), "old");
    const atomic = { atomic: true } as never;
    expect(await codeOf(files.writeFile(at("kept"), Buffer.alloc(1_000_000, "x"), atomic))).toBe("ENOSPC");
    expect(node.readFileSync(at("kept"), "utf8")).toBe("old");
    expect(node.readdirSync(directory).toSorted()).toEqual(["kept", "warm"]);
  });
});

test("a file that cannot be read is EIO, again and again", async () => {
  // Address 0 of a process's memory is not mapped.
  const file = await files.open("/proc/self/mem", "r");
  const buffer = Buffer.alloc(4096, 7);
  for (let i = 0; i < 50; i++) expect(await codeOf(file.read(buffer, 0, 4096, 0))).toBe("EIO");
  expect(buffer.every((byte) => byte === 7)).toBe(true);
  await file.close();
});

test("a file that is truncated while it is read ends there", async () => {
  const path = join(tmpdir(), `ringloop-truncated-${process.pid}`);
  node.writeFileSync(path, Buffer.alloc(3_000_000, "x"));
  const file = await files.open(path, "r");
  const { bytesRead } = await file.read(Buffer.alloc(100_000), 0, 100_000, 0);
  node.truncateSync(path, 150_000);
  const rest = await file.read(Buffer.alloc(100_000), 0, 100_000, 100_000);
  const beyond = await file.read(Buffer.alloc(100_000), 0, 100_000, 200_000);
  expect([bytesRead, rest.bytesRead, beyond.bytesRead]).toEqual([100_000, 50_000, 0]);
  await file.close();
  node.rmSync(path);
});

test("nothing of it is left", () => {
  const now = usage();
  expect(now.descriptors).toBeLessThanOrEqual(before.descriptors);
  expect(now.memory).toBeLessThanOrEqual(before.memory);
});
