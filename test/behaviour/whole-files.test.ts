/**
 * Whole files of every size and kind, read and written. Where possible, the ring does it in one
 * chain of operations.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import * as node from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attempt } from "./process.ts";
import { files, isBun, reactorStats, settled } from "./subject.ts";

const directory = node.mkdtempSync(join(tmpdir(), "ringloop-whole-"));
const at = (name: string): string => join(directory, name);
const text = (bytes: number): Buffer => Buffer.alloc(bytes, "0123456789abcdef-");
const codeOf = (promise: Promise<unknown>): Promise<string | undefined> =>
  promise.then(
    () => undefined,
    ({ code }: NodeJS.ErrnoException) => code,
  );

let slots = 0;
beforeAll(async () => {
  await files.writeFile(at("warm"), await files.readFile("/dev/null"));
  if (!isBun) slots = reactorStats().slotsInUse;
});
afterAll(() => {
  node.rmSync(directory, { recursive: true });
});

describe("a file", () => {
  // Lengths around the two reads of the chain, around a chunk of memory, and around one later read.
  test.each([0, 1, 12_287, 12_288, 12_289, 16_383, 16_384, 16_385, 65_536, 1_048_575, 1_048_577, 3_000_001])(
    "of %p bytes is written, and read",
    async (bytes) => {
      const data = text(bytes);
      await files.writeFile(at("f"), data);
      expect(node.readFileSync(at("f")).equals(data)).toBe(true);
      const read = (await files.readFile(at("f"))) as Buffer;
      expect(read.equals(data)).toBe(true);
      expect(read.buffer.byteLength).toBe(bytes); // The memory has no further bytes.
      expect(await files.readFile(at("f"), "latin1")).toBe(data.toString("latin1"));
    },
  );

  test("that is written over is cut to its new length, and stays the same file", async () => {
    node.writeFileSync(at("over"), text(100_000), { mode: 0o640 });
    const { ino } = node.statSync(at("over"));
    await files.writeFile(at("over"), "short");
    expect(node.readFileSync(at("over"), "utf8")).toBe("short");
    await files.writeFile(at("over"), "");
    expect(node.statSync(at("over"))).toMatchObject({ ino, size: 0, mode: 0o100640 });
  });

  test("is written with each flag", async () => {
    node.writeFileSync(at("f"), "abcdef");
    await files.writeFile(at("f"), "XY", { flag: "r+" });
    expect(node.readFileSync(at("f"), "utf8")).toBe("XYcdef");
    await files.appendFile(at("f"), "gh");
    await files.writeFile(at("f"), "ij", { flag: "a+" });
    expect(node.readFileSync(at("f"), "utf8")).toBe("XYcdefghij");
    expect(await codeOf(files.writeFile(at("f"), "no", { flag: "wx" }))).toBe("EEXIST");
    expect(await codeOf(files.writeFile(at("f"), "no", { flag: "r" }))).toBe("EBADF");
    expect(await codeOf(files.readFile(at("f"), { flag: "ax" }))).toBe("EEXIST");
    await files.writeFile(at("new"), "yes", { flag: "wx", mode: 0o604 });
    expect(node.statSync(at("new"))).toMatchObject({ size: 3, mode: 0o100604 & ~process.umask() });
    expect(node.readFileSync(at("f"), "utf8")).toBe("XYcdefghij");
  });

  test("is one of many at once, more than the ring has slots for", async () => {
    const names = Array.from({ length: 700 }, (_, i) => at(`many ${i}`));
    await Promise.all(names.map((name, i) => files.writeFile(name, `file ${i}`)));
    const texts = await Promise.all(names.map((name) => files.readFile(name, "utf8")));
    expect(texts).toEqual(names.map((_, i) => `file ${i}`));
  });

  test("whose name is longer than a name may be is refused", async () => {
    const long = at("x".repeat(5000));
    expect(await codeOf(files.writeFile(long, "x"))).toBe("ENAMETOOLONG");
    expect(await codeOf(files.readFile(at(`${"ü".repeat(127)}/${"d/".repeat(1900)}`)))).toMatch(/ENOENT|ENAMETOOLONG/);
  });

  test("that is none is told by its name", async () => {
    const read = await files.readFile(at("missing")).catch((error: NodeJS.ErrnoException) => error);
    expect(read).toMatchObject({ code: "ENOENT", syscall: "open", path: at("missing") });
    expect(await codeOf(files.writeFile(at("missing/f"), "x"))).toBe("ENOENT");
    expect([await codeOf(files.readFile(directory)), await codeOf(files.writeFile(directory, "x"))]).toEqual([
      "EISDIR",
      "EISDIR",
    ]);
  });
});

describe("what is no regular file", () => {
  const pipe = (): string => {
    node.rmSync(at("pipe"), { force: true });
    Bun.spawnSync(["mkfifo", at("pipe")]);
    return at("pipe");
  };

  test("is read to its end, once: a pipe that is written in pieces", async () => {
    const path = pipe();
    const writer = Bun.spawn(["sh", "-c", `exec > '${path}'; printf one; printf two; head -c 100000 /dev/zero`]);
    const read = (await files.readFile(path)) as Buffer;
    await writer.exited;
    expect([read.length, read.toString("latin1", 0, 6)]).toEqual([100_006, "onetwo"]);
  });

  test("is read to its end: what /proc makes of more than a page", async () => {
    const maps = (await files.readFile("/proc/self/smaps", "utf8")) as string;
    expect(maps.length).toBeGreaterThan(20_000);
    expect(maps.match(/\[stack\]/g)).toHaveLength(1);
    expect(maps).toEndWith("\n");
  });

  test("is written: a pipe, and a device", async () => {
    const path = pipe();
    const reader = Bun.spawn(["cat", path], { stdout: "pipe" });
    await files.writeFile(path, text(200_000));
    expect(Buffer.from(await reader.stdout.bytes()).equals(text(200_000))).toBe(true);
    await files.writeFile("/dev/null", "x");
    expect(await codeOf(files.writeFile("/dev/full", "x"))).toBe("ENOSPC");
  });
});

test.skipIf(isBun)("nothing is left of them", async () => {
  await settled(slots);
  expect(reactorStats().sendBytesInUse).toBe(0);
});

/**
 * A separate program writes and reads 300 files of many sizes. Returns how many are right, how many
 * are wrong, and how many it cannot read.
 */
async function outcomes(
  env: Record<string, string>,
  limits = "",
  ring = {},
): Promise<Record<"right" | "wrong" | "failed", number>> {
  const program = `
    (await import("${join(import.meta.dir, "../../src/index.ts")}")).useReactor(${JSON.stringify(ring)});
    const { readFile, writeFile } = await import("${join(import.meta.dir, "../../src/fs/index.ts")}");
    const outcomes = { right: 0, wrong: 0, failed: 0 };
    const one = async (i) => {
      const data = Buffer.alloc((i * 7919) % 50_000, "content of " + i);
      const path = "${directory}/own " + i;
      await writeFile(path, data);
      const read = await readFile(path).catch(({ code }) => { if (code !== "EAGAIN") throw code; });
      outcomes[read === undefined ? "failed" : read.equals(data) ? "right" : "wrong"]++;
    };
    for (let i = 0; i < 300; i += 50) await Promise.all(Array.from({ length: 50 }, (_, j) => one(i + j)));
    console.log(JSON.stringify(outcomes));
    process.exit(0);`;
  const command = ["sh", "-c", `${limits} exec "$0" -e "$1"`, process.execPath, program];
  const { stdout, stderr } = await attempt(command, "", env);
  if (stdout === "") throw new Error(stderr);
  return JSON.parse(stdout);
}

test.skipIf(isBun)("their contents are right where reads are short, interrupted and late", async () => {
  const { right, wrong, failed } = await outcomes({ RINGLOOP_FAULTS: "seed=7,rate=0.1" });
  expect({ wrong, all: right + failed, isMost: right > 200 }).toEqual({ wrong: 0, all: 300, isMost: true });
});

test.skipIf(isBun)("they are files with descriptors where the ring can have no slots, or no chains", async () => {
  const allRight = { right: 300, wrong: 0, failed: 0 };
  expect(await outcomes({}, "ulimit -n 200;")).toEqual(allRight);
  expect(await outcomes({}, "", { sqEntries: 2 })).toEqual(allRight);
});
