/** The features of ringloop/fs that node:fs/promises does not have. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as node from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { NodeBackend } from "../../src/fs/node-backend.ts";
import { RingBackend } from "../../src/fs/ring-backend.ts";
import { EINVAL, SystemError } from "../../src/sys/errno.ts";
import { attempt } from "./process.ts";
import { files, isBun, reactor, reactorStats, settled } from "./subject.ts";

let directory: string;
const at = (...names: string[]): string => join(directory, ...names);

// /tmp may be in memory, and O_DIRECT needs a disk.
const root = node.existsSync("/var/tmp") ? "/var/tmp" : tmpdir();

beforeEach(() => {
  directory = node.mkdtempSync(join(root, "ringloop-files-"));
});
afterEach(() => {
  node.rmSync(directory, { recursive: true });
});

const text = (bytes: number): Buffer => Buffer.alloc(bytes, "0123456789abcdef-");

/** A reactor whose renameat(2) knows no flags. Its other operations are the thread's own. */
function withoutNoReplace(): object {
  const renameat = (): Promise<never> => Promise.reject(new SystemError(EINVAL, "rename"));
  return isBun ? {} : Object.create(reactor()!, { renameat: { value: renameat } });
}

async function failure(promise: Promise<unknown>): Promise<any> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ("value" in outcome) throw new Error(`it was fulfilled, with ${Bun.inspect(outcome.value)}`);
  return outcome.error;
}

describe.skipIf(isBun)("a file on the ring", () => {
  test("gives each caller a fresh buffer of the length asked for", async () => {
    node.writeFileSync(at("f"), text(100_000));
    await using file = await files.open(at("f"));
    for (const length of [0, 10, 50_000]) {
      const [one, other] = await Promise.all([file.read({ length, position: 7 }), file.read({ length, position: 7 })]);
      expect(one.buffer).not.toBe(other.buffer);
      for (const { buffer, bytesRead } of [one, other]) {
        expect(bytesRead).toBe(length);
        expect(buffer.equals(text(100_000).subarray(7, 7 + length))).toBe(true);
      }
    }
  });

  test("refuses options that are none", async () => {
    node.writeFileSync(at("f"), "x");
    await using file = await files.open(at("f"), "r+");
    const calls = [(options: any) => file.readable(options), (options: any) => file.writable(options)];
    const refusal = { name: "TypeError", code: "ERR_INVALID_ARG_TYPE" };
    for (const options of [null, 5, "x"]) {
      for (const call of calls) expect(await failure((async () => call(options))())).toMatchObject(refusal);
      expect(await failure(files.copyFile(at("f"), at("g"), 0, options as never))).toMatchObject(refusal);
    }
    expect(node.readdirSync(directory)).toEqual(["f"]);
  });

  test("is read from its position on by readAll, by an async iterator and as a stream", async () => {
    node.writeFileSync(at("f"), text(200_000));
    await using file = await files.open(at("f"));
    await file.read(Buffer.alloc(100_000));
    expect((await file.readAll()).equals(text(200_000).subarray(100_000))).toBe(true);
    expect((await file.readAll()).length).toBe(0);
    await using again = await files.open(at("f"));
    const chunks: Buffer[] = [];
    for await (const chunk of again) chunks.push(chunk);
    expect(chunks.map(({ length }) => length)).toEqual([65536, 65536, 65536, 3392]);
    expect(Buffer.concat(chunks).equals(text(200_000))).toBe(true);
    const part = file.readable({ start: 5, end: 70_004, chunkBytes: 30_000 });
    expect(Buffer.from(await new Response(part).arrayBuffer()).equals(text(200_000).subarray(5, 70_005))).toBe(true);
  });

  test("is written as a stream", async () => {
    await using file = await files.open(at("f"), "w+");
    await new Response(text(300_000)).body!.pipeTo(file.writable());
    expect(node.readFileSync(at("f")).equals(text(300_000))).toBe(true);
    const writer = file.writable({ start: 2 }).getWriter();
    await writer.write("XY");
    await writer.write(Buffer.from("Z"));
    await writer.close();
    expect((await file.read({ length: 6, position: 0 })).buffer.toString()).toBe("01XYZ5");
  });

  test("gets space without writing", async () => {
    await using file = await files.open(at("f"), "w");
    await file.allocate(1_000_000);
    expect(node.statSync(at("f")).size).toBe(1_000_000);
    expect(node.statSync(at("f")).blocks * 512).toBeGreaterThanOrEqual(1_000_000);
  });

  test("that is read no more ends with an AbortError, and its buffer stays as it was", async () => {
    const { slotsInUse, sendBytesInUse } = reactorStats();
    Bun.spawnSync(["mkfifo", at("fifo")]);
    await using file = await files.open(at("fifo"), "r+");
    const controller = new AbortController();
    const buffer = Buffer.alloc(4, ".");
    const reading = file.read({ buffer, signal: controller.signal });
    const timed = file.read({ length: 20_000, timeoutMs: 20 });
    await reactor()!.nop();
    controller.abort(new Error("enough"));
    expect(await failure(reading)).toMatchObject({ code: "ABORT_ERR", cause: new Error("enough") });
    expect((await failure(timed)).code).toBe("ETIMEDOUT");
    await settled(slotsInUse);
    await file.write("late");
    expect(buffer.toString()).toBe("....");
    expect(reactorStats().sendBytesInUse).toBe(sendBytesInUse);
  });

  test("is not changed by what happens to the data after write() was called", async () => {
    await using file = await files.open(at("f"), "w");
    const data = text(40_000);
    const writing = file.write(data);
    data.fill(0);
    await writing;
    expect(node.readFileSync(at("f")).equals(text(40_000))).toBe(true);
  });

  test("does what was started before close()", async () => {
    node.writeFileSync(at("f"), text(100));
    const file = await files.open(at("f"));
    const reading = file.read(Buffer.alloc(100), 0, 100, 0);
    await file.close();
    expect((await reading).bytesRead).toBe(100);
  });

  describe("with direct: true", () => {
    test("takes memory that lies anywhere, at whole blocks", async () => {
      await using file = await files.open(at("f"), "w+", { direct: true });
      expect(file.isDirect).toBe(true);
      const memory = Buffer.alloc(20_000);
      memory.set(text(8192), 3);
      expect((await file.write(memory.subarray(3, 3 + 8192), 0, 8192, 0)).bytesWritten).toBe(8192);
      const back = Buffer.alloc(9000);
      expect((await file.read(back, 5, 4096, 4096)).bytesRead).toBe(4096);
      expect(back.subarray(5, 4101).equals(text(8192).subarray(4096))).toBe(true);
      expect((await failure(file.read(back, 0, 100, 1))).code).toBe("EINVAL");
    });

    test("has a position of its own, which reads and writes move", async () => {
      node.writeFileSync(at("f"), text(2_500_000));
      await using file = await files.open(at("f"), "r", { direct: true });
      const reads = await Promise.all([file.read({ length: 4096 }), file.read({ length: 8192 })]);
      expect(Buffer.concat(reads.map(({ buffer }) => buffer)).equals(text(12_288))).toBe(true);
      expect((await file.readAll()).equals(text(2_500_000).subarray(12_288))).toBe(true);
      expect((await file.read({ length: 4096 })).bytesRead).toBe(0);
      await using output = await files.open(at("g"), "w", { direct: true });
      for (const letter of ["a", "b"]) await output.write(Buffer.alloc(4096, letter));
      expect(node.readFileSync(at("g"), "latin1")).toBe("a".repeat(4096) + "b".repeat(4096));
    });
  });
});

describe.skipIf(isBun)("writeFile with atomic: true", () => {
  test("replaces a file, and leaves nothing beside it", async () => {
    node.writeFileSync(at("f"), "old");
    await using kept = await files.open(at("f"));
    await files.writeFile(at("f"), "new", { atomic: true, mode: 0o600 });
    expect(node.readFileSync(at("f"), "utf8")).toBe("new");
    expect(node.statSync(at("f")).mode & 0o777).toBe(0o600);
    expect((await kept.readAll()).toString()).toBe("old"); // The name belongs to another file now.
    expect(node.readdirSync(directory)).toEqual(["f"]);
  });

  test("leaves the old file when it fails, or is aborted", async () => {
    node.writeFileSync(at("f"), "old");
    const fails = (async function* () {
      yield "half of ";
      throw new Error("no more");
    })();
    expect((await failure(files.writeFile(at("f"), fails, { atomic: true }))).message).toBe("no more");
    const controller = new AbortController();
    const aborts = (async function* () {
      yield "half of ";
      controller.abort(new Error("aborted"));
      yield "it";
    })();
    const { signal } = controller;
    expect((await failure(files.writeFile(at("f"), aborts, { atomic: true, signal }))).code).toBe("ABORT_ERR");
    expect(node.readFileSync(at("f"), "utf8")).toBe("old");
    expect(node.readdirSync(directory)).toEqual(["f"]);
    node.mkdirSync(at("d"));
    expect((await failure(files.writeFile(at("d"), "x", { atomic: true }))).code).toBe("EISDIR");
    expect(node.readdirSync(directory).toSorted()).toEqual(["d", "f"]);
  });

  describe.each([["wx"], ["wx+"], [node.constants.O_WRONLY | node.constants.O_CREAT | node.constants.O_EXCL]])(
    "and the flag %p",
    (flag) => {
      const options = { atomic: true, flag, mode: 0o600 };

      test("makes a new file, once, for one of many", async () => {
        const writers = Array.from({ length: 20 }, (_, i) => files.writeFile(at("f"), `writer ${i}`, options));
        const outcomes = await Promise.allSettled(writers);
        const winner = outcomes.findIndex(({ status }) => status === "fulfilled");
        for (const [i, outcome] of outcomes.entries())
          if (i !== winner)
            expect(outcome).toMatchObject({ reason: { code: "EEXIST", syscall: "open", path: at("f") } });
        expect(node.readFileSync(at("f"), "utf8")).toBe(`writer ${winner}`);
        expect(node.statSync(at("f")).mode & 0o777).toBe(0o600);
        expect(node.readdirSync(directory)).toEqual(["f"]);
      });

      test("leaves what another has made meanwhile", async () => {
        const late = (async function* () {
          yield "half of ";
          node.writeFileSync(at("f"), "the other's", { flag: "wx" });
          yield "it";
        })();
        expect(await failure(files.writeFile(at("f"), late, options))).toMatchObject({ code: "EEXIST" });
        expect(node.readFileSync(at("f"), "utf8")).toBe("the other's");
        expect(node.readdirSync(directory)).toEqual(["f"]);
      });

      test("leaves a link that leads nowhere", async () => {
        node.symlinkSync("nothing", at("link"));
        expect(await failure(files.writeFile(at("link"), "x", options))).toMatchObject({ code: "EEXIST" });
        expect(node.readlinkSync(at("link"))).toBe("nothing");
        expect(node.readdirSync(directory)).toEqual(["link"]);
      });
    },
  );

  test.each([
    ["a ring, on a file system that cannot rename so", new RingBackend(withoutNoReplace() as never)],
    ["node:fs", new NodeBackend()],
  ])("gives a name that nothing has, by %s", async (_, used) => {
    node.writeFileSync(at("temporary"), "new");
    node.writeFileSync(at("taken"), "old");
    expect(await failure(used.renameNew(at("temporary"), at("taken")))).toMatchObject({ code: "EEXIST" });
    expect(node.readFileSync(at("taken"), "utf8")).toBe("old");
    await used.renameNew(at("temporary"), at("f"));
    expect(node.readFileSync(at("f"), "utf8")).toBe("new");
    expect(node.readdirSync(directory).toSorted()).toEqual(["f", "taken"]);
  });

  test("is refused for what cannot be atomic, and changes nothing", async () => {
    node.writeFileSync(at("f"), "old");
    const atomic = { atomic: true };
    const says = async (promise: Promise<unknown>): Promise<unknown> => {
      const { code, message } = await failure(promise);
      return [code, message];
    };
    expect(await says(files.writeFile(at("f"), "x", { atomic: true, flag: "a" }))).toEqual([
      "ERR_INVALID_ARG_VALUE",
      'flag must be "w", "w+", "wx" or "wx+" with atomic: true, or O_* of them, not "a"',
    ]);
    const refused = ["ERR_INVALID_ARG_VALUE", "atomic must be false for appendFile, not true"];
    expect(await says(files.appendFile(at("f"), "x", atomic))).toEqual(refused);
    expect(await says(files.appendFile(at("f"), "x", { atomic: true, flag: "w" }))).toEqual(refused);
    await using file = await files.open(at("f"), "r+");
    const open = ["ERR_INVALID_ARG_VALUE", "atomic must be false for a file that is open, not true"];
    expect(await says(files.writeFile(file, "x", atomic))).toEqual(open);
    expect(await says(files.writeFile(file.fd, "x", atomic))).toEqual(open);
    expect(await says(file.writeFile("x", atomic as object))).toEqual(open);
    expect(await says(file.appendFile("x", atomic as object))).toEqual(open);
    expect(node.readFileSync(at("f"), "utf8")).toBe("old");
    expect(node.readdirSync(directory)).toEqual(["f"]);
  });

  test("is never seen half done", async () => {
    const versions = ["a", "b"].map((letter) => Buffer.alloc(300_000, letter));
    await files.writeFile(at("f"), versions[0]!, { atomic: true });
    const writer = (async () => {
      for (let i = 0; i < 20; i++) await files.writeFile(at("f"), versions[i % 2]!, { atomic: true });
      return "done";
    })();
    // Reads again and again until the writer has finished.
    for (let seen = 0; (await Promise.race([writer, seen])) !== "done"; seen++) {
      const found = await files.readFile(at("f"));
      expect(versions.some((version) => version.equals(found))).toBe(true);
    }
  });
});

describe.skipIf(isBun)("walk", () => {
  test("gives every entry below a directory, a directory before what is in it", async () => {
    for (const name of ["a", "a/b", "c"]) node.mkdirSync(at(name));
    for (const name of ["a/b/1", "a/2", "3"]) node.writeFileSync(at(name), "");
    node.symlinkSync("a", at("link"));
    const walked = async (options = {}): Promise<string[]> => {
      const found: string[] = [];
      for await (const { path, entry, depth } of files.walk(directory, options))
        found.push(`${depth} ${path.slice(directory.length + 1)}${entry.isDirectory() ? "/" : ""}`);
      return found;
    };
    expect(await walked()).toEqual(["0 3", "0 a/", "1 a/2", "1 a/b/", "2 a/b/1", "0 c/", "0 link"]);
    expect(await walked({ depthMax: 0 })).toEqual(["0 3", "0 a/", "0 c/", "0 link"]);
    expect((await failure(walked({ signal: AbortSignal.abort() }))).name).toBe("AbortError");
    expect((await failure(walked({ depthMax: -1 }))).message).toBe("depthMax must be at least 0, not -1");
    expect((await failure(files.walk(at("nothing")).next())).code).toBe("ENOENT");
    for (const wrong of [{ signal: {} }, { signal: "x" }, { depthMax: "1" }, null, 5] as any[])
      expect(await failure(walked(wrong))).toMatchObject({ name: "TypeError", code: "ERR_INVALID_ARG_TYPE" });
    expect(await walked({ signal: null })).toHaveLength(7);
  });
});

test.skipIf(isBun)("a program that waits for a file alone waits, and ends when nothing is left", async () => {
  const program = `
    import { open, readFile } from ${JSON.stringify(join(import.meta.dir, "../../src/fs/index.ts"))};
    readFile(${JSON.stringify(import.meta.path)}, "utf8").then((text) => console.log(text.length));
    await open(${JSON.stringify(import.meta.path)}); // An open file holds nothing.
  `;
  const { stdout, exitCode } = await attempt([process.execPath, "-e", program]);
  expect({ stdout, exitCode }).toEqual({
    stdout: `${node.readFileSync(import.meta.path, "utf8").length}\n`,
    exitCode: 0,
  });
});
