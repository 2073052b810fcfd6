/**
 * ringloop/fs has all names of Bun's node:fs/promises. The streams, iterators and events of handles
 * behave the same in both.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { once } from "node:events";
import * as node from "node:fs";
import * as own from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { files as ours, isBun } from "./subject.ts";

const files = ours as unknown as typeof own & Record<string, any>;

let directory: string;
const at = (name: string): string => join(directory, name);
const contentOf = (name: string): string => node.readFileSync(at(name), "latin1");

beforeEach(() => {
  directory = node.mkdtempSync(join(tmpdir(), "ringloop-shape-"));
});
afterEach(() => {
  node.rmSync(directory, { recursive: true });
});

/** Runs `run` with a handle of the file "f", and closes it in any case. */
async function withFile<T>(flags: string, run: (file: any) => Promise<T>): Promise<T> {
  const file = await files.open(at("f"), flags);
  try {
    return await run(file);
  } finally {
    await file.close();
  }
}

/** Returns the names in a value and its prototypes, without names that only one runtime has. */
function namesOf(value: object): string[] {
  const names: string[] = [];
  for (let each = value; each !== Object.prototype; each = Object.getPrototypeOf(each) as object)
    for (const name of Reflect.ownKeys(each))
      if (typeof name === "string" ? !name.startsWith("_") : name === Symbol.asyncDispose) names.push(String(name));
  return names;
}

describe("the shape of node:fs/promises", () => {
  test("has every name, of the same type, in the module and in its default export", () => {
    const typesOf = (module: object): object =>
      Object.fromEntries(Object.keys(own).map((name) => [name, typeof (module as Record<string, unknown>)[name]]));
    expect(typesOf(files)).toEqual(typesOf(own));
    const { default: _default, ...named } = typesOf(own) as { default: unknown };
    expect(typesOf(files.default)).toMatchObject(named);
    expect(files.constants).toBe(node.constants as typeof files.constants);
  });

  test("has every member of a handle", async () => {
    const expected = await own.open("/dev/null");
    const file = await files.open("/dev/null");
    const missing = namesOf(expected).filter((name) => !namesOf(file).includes(name));
    await Promise.all([expected.close(), file.close()]);
    expect(missing).toEqual([]);
  });

  test("has functions for which the ring has none", async () => {
    await files.mkdir(at("d"));
    await files.writeFile(at("d/f"), "text");
    await files.symlink("f", at("d/link"));
    expect((await files.readdir(at("d"))).toSorted()).toEqual(["f", "link"]);
    expect(await files.readlink(at("d/link"))).toBe("f");
    expect(await files.realpath(at("d/link"))).toBe(node.realpathSync(at("d/f")));
    await files.access(at("d/f"), files.constants.R_OK);
    expect(await files.access(at("no")).catch(({ code }) => code)).toBe("ENOENT");
    await files.chmod(at("d/f"), 0o600);
    await files.truncate(at("d/f"), 2);
    await files.utimes(at("d/f"), 1, 2);
    expect(node.statSync(at("d/f"))).toMatchObject({ mode: 0o100600, mtimeMs: 2000, size: 2 });
    await files.cp(at("d"), at("copy"), { recursive: true });
    expect(contentOf("copy/f")).toBe("te");
    expect((await files.statfs(directory)).bsize).toBeGreaterThan(0);
    expect(node.existsSync(await files.mkdtemp(at("made-")))).toBe(true);
    const found: string[] = [];
    for await (const { name } of await files.opendir(at("d"))) found.push(name);
    for await (const name of files.glob("copy/*", { cwd: directory })) found.push(name as string);
    expect(found.toSorted()).toEqual(["copy/f", "copy/link", "f", "link"]);
    await files.rm(at("copy"), { recursive: true });
    expect([await files.exists(at("copy")), await files.exists(at("d"))]).toEqual([false, true]);
  });

  test("watches a directory", async () => {
    const stop = new AbortController();
    const events = files.watch(directory, { signal: stop.signal })[Symbol.asyncIterator]();
    const first = events.next();
    node.writeFileSync(at("new"), "");
    expect((await first).value).toMatchObject({ filename: "new" });
    stop.abort();
    expect(await events.next().catch(({ name }) => name)).toBe("AbortError");
  });

  test("has Bun's functions on descriptors", async () => {
    const fd = node.openSync(at("f"), "w+");
    expect(await files.write(fd, "abcdef")).toBe(6);
    expect(await files.write(fd, Buffer.from("xyz"), 1, 2, 3)).toBe(2);
    expect((await files.writev(fd, [Buffer.from("1"), Buffer.from("2")])).bytesWritten).toBe(2);
    const bytes = Buffer.alloc(8);
    expect(await files.read(fd, bytes, 0, 8, 0)).toBe(8);
    expect(bytes.toString()).toBe("abcyzf12");
    expect((await files.readv(fd, [bytes.subarray(0, 4)], 4)).bytesRead).toBe(4);
    await files.ftruncate(fd, 3);
    await files.fsync(fd);
    await files.fdatasync(fd);
    await files.fchmod(fd, 0o640);
    await files.futimes(fd, 5, 6);
    expect(await files.fstat(fd)).toMatchObject({ size: 3, mode: 0o100640, mtimeMs: 6000 });
    await files.close(fd);
    for (const name of ["fdatasync", "close"])
      expect(await files[name](fd).catch((error: unknown) => error)).toMatchObject({ code: "EBADF", fd });
  });
});

describe("a handle", () => {
  test("changes permissions, owner and times", async () => {
    const { uid, gid } = node.statSync(directory);
    const stats = await withFile("w", async (file) => {
      await file.chmod(0o604);
      await file.chown(uid, gid);
      await file.utimes(new Date(3000), 4);
      return file.stat();
    });
    expect(stats).toMatchObject({ mode: 0o100604, uid, gid, atimeMs: 3000, mtimeMs: 4000 });
  });

  test("emits close once", async () => {
    const file = (await files.open(at("f"), "w")) as any;
    let closes = 0;
    file.on("close", () => closes++);
    await Promise.all([file.close(), file.close()]);
    expect(closes).toBe(1);
  });

  test("refuses text in hex that ends within a byte", async () => {
    const wrong = withFile("w", (file) => file.write("abc", 0, "hex"));
    expect(await wrong.catch(({ code }) => code)).toBe("ERR_INVALID_ARG_VALUE");
    expect(contentOf("f")).toBe("");
  });

  test("tells of a failure who has asked for it", async () => {
    async function asks(): Promise<void> {
      await files.stat(at("no"));
    }
    const { code, name, stack } = await asks().catch((error) => error);
    expect({ code, name }).toEqual({ code: "ENOENT", name: "Error" });
    expect(stack).toContain("asks");
  });
});

describe("streams of a handle", () => {
  const text = (): string => "0123456789".repeat(20_000);

  test("read a part, in pieces, and close it", async () => {
    node.writeFileSync(at("f"), text());
    const file = await files.open(at("f"));
    const stream = file.createReadStream({ start: 5, end: 150_004, highWaterMark: 1000 });
    const pieces: Buffer[] = [];
    for await (const piece of stream) pieces.push(piece as Buffer);
    expect(Math.max(...pieces.map(({ length }) => length))).toBe(1000);
    expect(Buffer.concat(pieces).toString() === text().slice(5, 150_005)).toBe(true);
    expect(file.fd).toBe(-1);
  });

  test("leave it open with autoClose false", async () => {
    node.writeFileSync(at("f"), "abcdef");
    await withFile("r", async (file) => {
      const pieces = await file.createReadStream({ end: 2, autoClose: false }).toArray();
      expect(Buffer.concat(pieces).toString()).toBe("abc");
      expect((await file.read()).bytesRead).toBe(3);
    });
  });

  test("write what they were given before the handle is closed", async () => {
    const file = await files.open(at("f"), "w");
    const stream = file.createWriteStream();
    stream.write(text());
    stream.write("end");
    const ended = once(stream, "close");
    await file.close();
    await ended;
    expect(contentOf("f") === `${text()}end`).toBe(true);
  });

  test("end with an error of the kernel", async () => {
    const file = await files.open(directory);
    const failed = once(file.createReadStream().resume(), "error");
    expect((await failed)[0]).toMatchObject({ code: "EISDIR", syscall: "read" });
    await file.close();
  });

  test("give lines", async () => {
    node.writeFileSync(at("f"), "one\r\ntwo\n\nlast");
    const file = await files.open(at("f"));
    const lines: string[] = [];
    for await (const line of file.readLines()) lines.push(line);
    expect(lines).toEqual(["one", "two", "", "last"]);
    expect(file.fd).toBe(-1);
  });

  test("give bytes as a web stream, once, to a reader with a buffer of its own, too", async () => {
    node.writeFileSync(at("f"), text());
    const file = await files.open(at("f"));
    const stream = file.readableWebStream({ autoClose: true });
    expect(() => file.readableWebStream()).toThrow(expect.objectContaining({ code: "ERR_INVALID_STATE" }));
    const reader = stream.getReader({ mode: "byob" }) as ReadableStreamBYOBReader;
    const { value } = await reader.read(new Uint8Array(10));
    expect(Buffer.from(value!).toString()).toBe("0123456789");
    reader.releaseLock();
    let rest = 0;
    for await (const piece of stream as unknown as AsyncIterable<Uint8Array>) rest += piece.length;
    expect(rest).toBe(text().length - 10);
    expect(file.fd).toBe(-1);
  });

  test("of the web end when the handle is closed", async () => {
    node.writeFileSync(at("f"), text());
    const file = await files.open(at("f"));
    const reader = file.readableWebStream().getReader();
    await reader.read();
    await file.close();
    expect((await reader.read()).done).toBe(true);
  });

  test("refuse a handle that is closed", async () => {
    const file = (await files.open(at("f"), "w")) as any;
    await file.close();
    for (const name of ["createReadStream", "createWriteStream", "readLines"])
      expect(() => file[name]()).toThrow(expect.objectContaining({ code: "EBADF" }));
    for (const name of ["readableWebStream", "pull", "pullSync", "writer"])
      expect(() => file[name]()).toThrow(expect.objectContaining({ code: "ERR_INVALID_STATE" }));
  });
});

describe("batches", () => {
  test("come from pull() and pullSync(), up to a limit", async () => {
    node.writeFileSync(at("f"), "0123456789");
    await withFile("r", async (file) => {
      const texts: string[] = [];
      for await (const batch of file.pull({ start: 1, limit: 7, chunkSize: 4 })) texts.push(batch.join("|"));
      for (const batch of file.pullSync({ chunkSize: 6 })) texts.push(batch.join("|"));
      expect(texts).toEqual(["1234", "567", "012345", "6789"]);
    });
  });

  test("are one reader's, until it ends", async () => {
    node.writeFileSync(at("f"), "0123456789");
    const file = (await files.open(at("f"))) as any;
    for await (const _batch of file.pull({ autoClose: true })) {
      expect(() => file.pull()).toThrow(expect.objectContaining({ code: "ERR_INVALID_STATE" }));
      break;
    }
    expect(file.fd).toBe(-1);
  });

  test("end with the reason of a signal", async () => {
    await withFile("w+", async (file) => {
      const reason = new Error("enough");
      const batches = file.pull({ signal: AbortSignal.abort(reason) })[Symbol.asyncIterator]();
      expect(await batches.next().catch((error: unknown) => error)).toBe(reason);
    });
  });
});

describe("a writer", () => {
  test("writes in the order of the calls, and says how much", async () => {
    await withFile("w", async (file) => {
      const writer = file.writer({ start: 2 });
      const writes = [writer.write("abc"), writer.writev(["d", Buffer.from("e")]), writer.write("f")];
      expect(writer.writeSync("no")).toBe(false);
      await Promise.all(writes);
      expect(writer.writeSync("g")).toBe(true);
      expect(await writer.end()).toBe(7);
      expect(await writer.write("late").catch(({ code, name }: any) => [code, name])).toEqual([
        "ERR_INVALID_STATE",
        "TypeError",
      ]);
    });
    expect(contentOf("f")).toBe("\0\0abcdefg");
  });

  test("writes nothing of what is beyond its limit", async () => {
    await withFile("w", async (file) => {
      const writer = file.writer({ limit: 4 });
      expect(await writer.write("12345").catch(({ code }: any) => code)).toBe("ERR_OUT_OF_RANGE");
      await writer.write("1234");
      expect(writer.writeSync("5")).toBe(false);
      expect(writer.endSync()).toBe(4);
    });
    expect(contentOf("f")).toBe("1234");
  });

  test("that fails has written what it was given before, and closes", async () => {
    const file = (await files.open(at("f"), "w")) as any;
    const writer = file.writer({ autoClose: true });
    const writes = Promise.all([writer.write("a".repeat(3_000_000)), writer.write("b")]);
    const reason = new Error("enough");
    writer.fail(reason);
    expect(await writer.write("c").catch((error: unknown) => error)).toBe(reason);
    await writes;
    expect(file.fd).toBe(-1);
    expect(contentOf("f").length).toBe(3_000_001);
  });

  // Bun never closes a handle whose writer has failed.
  test.skipIf(isBun)("fails with the first write that fails, and lets the handle be closed", async () => {
    node.writeFileSync(at("f"), "");
    await withFile("r", async (file) => {
      const writer = file.writer();
      const codeOf = (promise: Promise<unknown>) => promise.catch(({ code }: any) => code);
      expect(await codeOf(writer.write("a"))).toBe("EBADF");
      expect([await codeOf(writer.write("b")), await codeOf(writer.end())]).toEqual(["EBADF", "EBADF"]);
    });
  });
});

test.skipIf(isBun)("streams go through the ring, at an O_DIRECT handle's own position too", async () => {
  node.writeFileSync(at("f"), Buffer.alloc(10_000, "x"));
  const file = await ours.open(at("f"), "r", { direct: true });
  const pieces = await file.createReadStream({ highWaterMark: 4096 }).toArray();
  expect(pieces.map(({ length }: Buffer) => length)).toEqual([4096, 4096, 1808]);
});
