/** The common behaviour of ringloop/fs and node:fs/promises. The tests run against both. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as node from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { files, isBun, reactorStats } from "./subject.ts";

let directory: string;
const at = (...names: string[]): string => join(directory, ...names);

beforeEach(() => {
  directory = node.mkdtempSync(join(tmpdir(), "ringloop-files-"));
});
afterEach(() => {
  node.rmSync(directory, { recursive: true });
});

/** Returns the properties of an error that node:fs/promises has too. */
async function failure(promise: Promise<unknown>): Promise<object> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: any) => ({ error }),
  );
  if (!("error" in outcome)) throw new Error(`it was fulfilled, with ${Bun.inspect(outcome.value)}`);
  const { error } = outcome;
  if (error.errno === undefined) return { code: error.code ?? error.name };
  const { code, errno, syscall, path, dest } = error;
  return { code, errno, syscall, ...(path && { path }), ...(dest && { dest }) };
}

const text = (bytes: number): Buffer => Buffer.alloc(bytes, "0123456789abcdef-");

describe("a handle", () => {
  test("reads into the caller's buffer, at a place and at its own position", async () => {
    node.writeFileSync(at("f"), "0123456789");
    const file = await files.open(at("f"));
    expect(file.fd).toBeGreaterThan(2);
    const buffer = Buffer.alloc(6, ".");
    expect(await file.read(buffer, 1, 3, 4)).toEqual({ bytesRead: 3, buffer });
    expect(buffer.toString()).toBe(".456..");
    expect((await file.read(buffer, 0, 2, null)).bytesRead).toBe(2);
    expect((await file.read(buffer, { offset: 4, length: 2 })).bytesRead).toBe(2);
    expect(buffer.toString()).toBe("015623");
    expect((await file.read({ buffer, position: 8 })).bytesRead).toBe(2);
    expect(buffer.toString()).toBe("895623");
    expect((await file.read(buffer, 0, 6, 10)).bytesRead).toBe(0);
    await file.close();
    expect(file.fd).toBe(-1);
  });

  test("reads into a fresh buffer without one", async () => {
    node.writeFileSync(at("f"), text(20_000));
    const file = await files.open(at("f"));
    const first = await file.read({});
    const second = await file.read();
    expect([first.bytesRead, second.bytesRead]).toEqual([16384, 3616]);
    expect(first.buffer).not.toBe(second.buffer);
    expect(first.buffer.equals(text(20_000).subarray(0, 16384))).toBe(true);
    await file.close();
  });

  test("reads into every kind of view", async () => {
    node.writeFileSync(at("f"), Uint8Array.of(1, 0, 2, 0, 3, 0));
    const file = await files.open(at("f"));
    const memory = new ArrayBuffer(16);
    const words = new Uint16Array(memory, 4, 3);
    const { buffer } = await file.read(words, 0, 6, 0);
    expect(buffer).toBe(words);
    expect([...words]).toEqual([1, 2, 3]);
    expect([...new Uint8Array(memory)]).toEqual([0, 0, 0, 0, 1, 0, 2, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
    await file.close();
  });

  test("reads and writes more than one piece of memory holds", async () => {
    const large = text(5_000_003);
    const file = await files.open(at("f"), "w+");
    expect((await file.write(large, 0, large.length, 0)).bytesWritten).toBe(large.length);
    const back = Buffer.alloc(large.length);
    expect((await file.read(back, 0, back.length, 0)).bytesRead).toBe(large.length);
    expect(back.equals(large)).toBe(true);
    await file.close();
  });

  test("writes bytes and text, at a place and at its own position", async () => {
    const file = await files.open(at("f"), "w");
    const buffer = Buffer.from("abcdef");
    expect(await file.write(buffer, 1, 3)).toEqual({ bytesWritten: 3, buffer });
    expect((await file.write("€")).bytesWritten).toBe(3);
    expect((await file.write("Z", 0)).bytesWritten).toBe(1);
    expect((await file.write("e9", 10, "hex")).bytesWritten).toBe(1);
    await file.close();
    expect(node.readFileSync(at("f")).toString("latin1")).toBe("Zcd\xe2\x82\xac\0\0\0\0\xe9");
  });

  test("appends with flag a, whatever the place", async () => {
    node.writeFileSync(at("f"), "one");
    const file = await files.open(at("f"), "a");
    await file.write(Buffer.from(" two"), 0, 4, 0);
    await file.close();
    expect(node.readFileSync(at("f"), "utf8")).toBe("one two");
  });

  test("gathers and scatters", async () => {
    const file = await files.open(at("f"), "w+");
    const parts = [Buffer.from("abc"), Buffer.from("defg")];
    expect(await file.writev(parts)).toMatchObject({ bytesWritten: 7 });
    const views = [Buffer.alloc(2), Buffer.alloc(4)];
    expect(await file.readv(views, 1)).toMatchObject({ bytesRead: 6 });
    expect(views.map(String)).toEqual(["bc", "defg"]);
    await file.close();
  });

  test("says what the file is, cuts it, and brings it to the disk", async () => {
    const file = await files.open(at("f"), "w+", 0o640);
    await file.writeFile("0123456789");
    await file.truncate(4);
    await file.sync();
    await file.datasync();
    const stats = await file.stat();
    expect({ size: stats.size, isFile: stats.isFile(), mode: stats.mode & 0o777 }).toEqual({
      size: 4,
      isFile: true,
      mode: 0o640,
    });
    await file.truncate();
    expect((await file.stat()).size).toBe(0);
    await file.close();
  });

  test("closes with the end of an `await using` block, and more than once", async () => {
    node.writeFileSync(at("f"), "x");
    let kept;
    {
      await using file = await files.open(at("f"));
      kept = file;
    }
    expect(kept.fd).toBe(-1);
    await kept.close();
    expect(await failure(kept.read(Buffer.alloc(1), 0, 1, 0))).toMatchObject({ code: "EBADF" });
  });

  test("reads a hundred places at once", async () => {
    node.writeFileSync(at("f"), text(1_000_000));
    await using file = await files.open(at("f"));
    const reads = Array.from({ length: 100 }, (_, i) => file.read(Buffer.alloc(100), 0, 100, i * 9973));
    for (const [i, { buffer }] of (await Promise.all(reads)).entries())
      expect(buffer.equals(text(1_000_000).subarray(i * 9973, i * 9973 + 100))).toBe(true);
  });
});

describe("readFile", () => {
  for (const bytes of [0, 1, 4096, 16383, 16384, 100_000, 3_000_000])
    test(`reads ${bytes} bytes`, async () => {
      node.writeFileSync(at("f"), text(bytes));
      expect((await files.readFile(at("f"))).equals(text(bytes))).toBe(true);
    });

  test("gives text in an encoding, and takes a path as bytes or as a URL", async () => {
    node.writeFileSync(at("f"), "grün");
    expect(await files.readFile(at("f"), "utf8")).toBe("grün");
    expect(await files.readFile(Buffer.from(at("f")), { encoding: "latin1" })).toBe("grÃ¼n");
    expect(await files.readFile(pathToFileURL(at("f")), "utf8")).toBe("grün");
  });

  test("reads files that do not say how large they are", async () => {
    expect(await files.readFile("/proc/self/status", "utf8")).toContain(`Pid:\t${process.pid}`);
  });

  test("reads an open file from its position on", async () => {
    node.writeFileSync(at("f"), "0123456789");
    await using file = await files.open(at("f"));
    await file.read(Buffer.alloc(4), 0, 4);
    expect(await file.readFile("utf8")).toBe("456789");
  });

  test("ends with an AbortError", async () => {
    node.writeFileSync(at("f"), "x");
    const signal = AbortSignal.abort("why");
    expect(await failure(files.readFile(at("f"), { signal }))).toEqual({ code: "ABORT_ERR" });
    const error = await files.readFile(at("f"), { signal }).catch((reason) => reason);
    expect([error.name, error.message, error.cause]).toEqual(["AbortError", "The operation was aborted", "why"]);
  });
});

describe("writeFile", () => {
  test("makes a file, and replaces what one held", async () => {
    await files.writeFile(at("f"), "a longer text");
    await files.writeFile(at("f"), "short");
    expect(node.readFileSync(at("f"), "utf8")).toBe("short");
    await files.writeFile(at("f"), text(3_000_000));
    expect(node.readFileSync(at("f")).equals(text(3_000_000))).toBe(true);
  });

  test("takes views, iterables and async iterables", async () => {
    async function* chunks() {
      yield "one ";
      yield Buffer.from("two");
    }
    await files.writeFile(at("f"), chunks());
    expect(node.readFileSync(at("f"), "utf8")).toBe("one two");
    await files.writeFile(at("f"), ["a", "b"]);
    expect(node.readFileSync(at("f"), "utf8")).toBe("ab");
    await files.writeFile(at("f"), new Uint16Array([0x6261, 0x6463]));
    expect(node.readFileSync(at("f"), "utf8")).toBe("abcd");
  });

  test("obeys encoding, mode and flag", async () => {
    await files.writeFile(at("f"), "c3a9", { encoding: "hex", mode: 0o600 });
    expect(node.readFileSync(at("f"), "utf8")).toBe("é");
    expect(node.statSync(at("f")).mode & 0o777).toBe(0o600);
    expect(await failure(files.writeFile(at("f"), "x", { flag: "wx" }))).toEqual({
      code: "EEXIST",
      errno: -17,
      syscall: "open",
      path: at("f"),
    });
    await files.appendFile(at("f"), "!");
    expect(node.readFileSync(at("f"), "utf8")).toBe("é!");
  });
});

describe("copyFile", () => {
  test("copies contents and permissions, over a longer file too", async () => {
    node.writeFileSync(at("from"), text(2_500_000), { mode: 0o640 });
    await files.copyFile(at("from"), at("to"));
    expect(node.readFileSync(at("to")).equals(text(2_500_000))).toBe(true);
    expect(node.statSync(at("to")).mode & 0o777).toBe(0o640);
    node.writeFileSync(at("from"), "short");
    await files.copyFile(at("from"), at("to"));
    expect(node.readFileSync(at("to"), "utf8")).toBe("short");
  });

  test("refuses an existing file with COPYFILE_EXCL, and leaves a file that is copied to itself", async () => {
    node.writeFileSync(at("f"), "x");
    node.writeFileSync(at("g"), "y");
    const refused = await failure(files.copyFile(at("f"), at("g"), node.constants.COPYFILE_EXCL));
    expect(refused).toEqual({ code: "EEXIST", errno: -17, syscall: "copyfile", path: at("f"), dest: at("g") });
    await files.copyFile(at("f"), at("f")).catch(() => {});
    expect(node.readFileSync(at("f"), "utf8")).toBe("x");
  });
});

describe("names", () => {
  test("are made, changed and removed", async () => {
    await files.mkdir(at("d"));
    await files.writeFile(at("d", "f"), "x");
    await files.link(at("d", "f"), at("d", "g"));
    await files.symlink("g", at("d", "s"));
    await files.rename(at("d", "f"), at("d", "h"));
    expect(node.readdirSync(at("d")).toSorted()).toEqual(["g", "h", "s"]);
    expect(node.readlinkSync(at("d", "s"))).toBe("g");
    for (const name of ["g", "h", "s"]) await files.unlink(at("d", name));
    await files.rmdir(at("d"));
    expect(node.existsSync(at("d"))).toBe(false);
  });

  test("are made with all that is missing on the way", async () => {
    expect(await files.mkdir(at("a", "b", "c"), { recursive: true, mode: 0o750 })).toBe(at("a"));
    expect(await files.mkdir(at("a", "b", "d"), { recursive: true })).toBe(at("a", "b", "d"));
    expect(await files.mkdir(at("a", "b"), { recursive: true })).toBeUndefined();
    expect(node.statSync(at("a", "b")).mode & 0o777).toBe(0o750);
    node.writeFileSync(at("f"), "");
    expect(await failure(files.mkdir(at("f"), { recursive: true }))).toMatchObject({ code: "EEXIST" });
  });

  test("say what they are", async () => {
    node.writeFileSync(at("f"), text(10_000));
    node.symlinkSync("f", at("s"));
    for (const [found, expected] of [
      [await files.stat(at("s")), node.statSync(at("s"))],
      [await files.lstat(at("s")), node.lstatSync(at("s"))],
      [await files.stat(directory), node.statSync(directory)],
      [await files.stat("/dev/null"), node.statSync("/dev/null")],
    ] as const) {
      for (const name of ["dev", "ino", "mode", "nlink", "uid", "gid", "rdev", "size", "blksize", "blocks"] as const)
        expect([name, found[name]]).toEqual([name, expected[name]]);
      for (const name of ["atimeMs", "mtimeMs", "ctimeMs", "birthtimeMs"] as const)
        expect(found[name]).toBeCloseTo(expected[name], 2);
      for (const name of [
        "isFile",
        "isDirectory",
        "isSymbolicLink",
        "isCharacterDevice",
        "isBlockDevice",
        "isFIFO",
        "isSocket",
      ] as const)
        expect([name, found[name]()]).toEqual([name, expected[name]()]);
      expect(found.mtime.getTime()).toBe(expected.mtime.getTime());
    }
  });
});

describe("a failure", () => {
  const missing = (name: string): string => `/nonexistent/${name}`;
  const cases: [string, () => Promise<unknown>, object][] = [
    ["open", () => files.open(missing("a")), { code: "ENOENT", errno: -2, syscall: "open", path: missing("a") }],
    [
      "readFile",
      () => files.readFile(missing("a")),
      { code: "ENOENT", errno: -2, syscall: "open", path: missing("a") },
    ],
    ["readFile of a directory", () => files.readFile("/"), { code: "EISDIR", errno: -21, syscall: "read" }],
    [
      "writeFile to a directory",
      () => files.writeFile("/", "x"),
      { code: "EISDIR", errno: -21, syscall: "open", path: "/" },
    ],
    ["stat", () => files.stat(missing("a")), { code: "ENOENT", errno: -2, syscall: "stat", path: missing("a") }],
    ["lstat", () => files.lstat(missing("a")), { code: "ENOENT", errno: -2, syscall: "lstat", path: missing("a") }],
    ["mkdir", () => files.mkdir("/tmp"), { code: "EEXIST", errno: -17, syscall: "mkdir", path: "/tmp" }],
    ["rmdir", () => files.rmdir(missing("a")), { code: "ENOENT", errno: -2, syscall: "rmdir", path: missing("a") }],
    ["unlink", () => files.unlink(missing("a")), { code: "ENOENT", errno: -2, syscall: "unlink", path: missing("a") }],
    [
      "rename",
      () => files.rename(missing("a"), missing("b")),
      { code: "ENOENT", errno: -2, syscall: "rename", path: missing("a"), dest: missing("b") },
    ],
    [
      "link",
      () => files.link(missing("a"), missing("b")),
      { code: "ENOENT", errno: -2, syscall: "link", path: missing("a"), dest: missing("b") },
    ],
    [
      "symlink",
      () => files.symlink("a", "/tmp"),
      { code: "EEXIST", errno: -17, syscall: "symlink", path: "a", dest: "/tmp" },
    ],
    [
      "copyFile",
      () => files.copyFile(missing("a"), missing("b")),
      { code: "ENOENT", errno: -2, syscall: "copyfile", path: missing("a"), dest: missing("b") },
    ],
    ["a path with a NUL", () => files.open("a\0b"), { code: "ERR_INVALID_ARG_VALUE" }],
    ["a path that is none", () => files.open(5 as never), { code: "ERR_INVALID_ARG_TYPE" }],
    ["flags that are none", () => files.open("/tmp/x", "zz"), { code: "ERR_INVALID_ARG_VALUE" }],
    ["a mode that is none", () => files.open("/tmp/x", "r", "999"), { code: "ERR_INVALID_ARG_VALUE" }],
    ["an encoding that is none", () => files.readFile(at("f"), "zz" as never), { code: "ERR_INVALID_ARG_VALUE" }],
  ];
  for (const [name, run, expected] of cases)
    test(`of ${name} is Node's`, async () => expect(await failure(run())).toEqual(expected));

  test("of an encoding that is none leaves the file as it was", async () => {
    await files.writeFile(at("kept"), "contents");
    expect(await failure(files.writeFile(at("kept"), "other", "zz" as never))).toEqual({
      code: "ERR_INVALID_ARG_VALUE",
    });
    expect(await files.readFile(at("kept"), "utf8")).toBe("contents");
  });

  test("of a place outside of the buffer is Node's", async () => {
    await using file = await files.open("/dev/zero");
    for (const [offset, length] of [
      [5, 1],
      [0, 5],
      [-1, 1],
      [2, 3],
    ] as const)
      expect(await failure(file.read(Buffer.alloc(4), offset, length, 0))).toEqual({ code: "ERR_OUT_OF_RANGE" });
    expect(await failure(file.read("x" as never, 0, 1, 0))).toEqual({ code: "ERR_INVALID_ARG_TYPE" });
  });
});

test.skipIf(isBun)("files leave no memory and no descriptor behind", async () => {
  // Counts only files of the test, because Bun opens descriptors of its own at any time.
  const descriptors = (): number =>
    node.readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return node.readlinkSync(`/proc/self/fd/${fd}`).startsWith(directory);
      } catch {
        return false; // The descriptor of readdirSync itself.
      }
    }).length;
  await files.writeFile(at("f"), "x");
  const before = { descriptors: descriptors(), memory: reactorStats().sendBytesInUse };
  for (let i = 0; i < 200; i++) {
    await files.writeFile(at("f"), text(i * 100));
    await files.readFile(at("f"));
    await files.copyFile(at("f"), at("g"));
    await Promise.allSettled([files.readFile(at("nothing")), files.readFile(directory), files.stat(at("nothing"))]);
  }
  // There may be fewer than before, because files of earlier tests may close meanwhile.
  expect(descriptors()).toBeLessThanOrEqual(before.descriptors);
  expect(reactorStats().sendBytesInUse).toBeLessThanOrEqual(before.memory);
});
