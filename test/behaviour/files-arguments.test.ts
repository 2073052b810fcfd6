/**
 * Arguments of ringloop/fs. The tests compare each call, with each kind of argument, to the same
 * call of Bun's node:fs/promises.
 */
import { describe, expect, test } from "bun:test";
import { once } from "node:events";
import * as node from "node:fs";
import * as oracle from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { attempt } from "./process.ts";
import { files, isBun, reactor } from "./subject.ts";

type Api = typeof oracle;
type Call = (fs: Api, directory: string) => unknown;

/** Runs a call in its own directory. Returns its value, or the properties of its error. */
async function outcomeOf(fs: Api, call: Call): Promise<unknown> {
  const directory = node.mkdtempSync(join(tmpdir(), "ringloop-arguments-"));
  node.writeFileSync(join(directory, "f"), "abcdef");
  try {
    return { value: await call(fs, directory), f: contentOf(directory) };
  } catch (error: any) {
    const { code, syscall, errno } = error;
    const { name, message } =
      error instanceof TypeError || error instanceof RangeError ? error : { name: 0, message: 0 };
    return { code, syscall, errno, name, says: message === "" ? "" : true, f: contentOf(directory) };
  } finally {
    node.rmSync(directory, { recursive: true });
  }
}

const contentOf = (directory: string): string | undefined => {
  const path = join(directory, "f");
  return node.existsSync(path) ? node.readFileSync(path, "latin1") : undefined;
};

const ours = files as unknown as Api;

function same(name: string, call: Call): void {
  test(name, async () => {
    expect(await outcomeOf(ours, call)).toEqual(await outcomeOf(oracle, call));
  });
}

/** Opens a file for one call on its handle. */
async function onHandle<T>(fs: Api, path: string, flags: string, run: (handle: any) => Promise<T>): Promise<T> {
  const handle = await fs.open(path, flags);
  try {
    return await run(handle);
  } finally {
    await handle.close();
  }
}

/** Runs calls one after the other. Returns their values, or the properties of their errors. */
async function each(...calls: (() => Promise<unknown>)[]): Promise<unknown[]> {
  const outcomes: unknown[] = [];
  for (const call of calls)
    try {
      outcomes.push(await call());
    } catch (error: any) {
      const { code, syscall, name } = error;
      outcomes.push({ code, syscall, name: error instanceof TypeError || error instanceof RangeError ? name : 0 });
    }
  return outcomes;
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

function* generated(): Generator<unknown> {
  yield "x";
  yield new Uint8Array([121]);
  yield new Uint16Array([0x4141]);
}
async function* generatedLater(): AsyncGenerator<unknown> {
  yield "a";
  yield Buffer.from("b");
}

const data: Record<string, () => unknown> = {
  text: () => "text",
  "no text": () => "",
  "a view": () => bytesOf("view"),
  "a view of larger numbers": () => new Uint16Array([0x4141, 0x4242]),
  "a DataView": () => new DataView(bytesOf("AB").buffer),
  "an ArrayBuffer": () => bytesOf("buffer").buffer,
  "a SharedArrayBuffer": () => {
    const shared = new SharedArrayBuffer(2);
    new Uint8Array(shared).fill(65);
    return shared;
  },
  "an array": () => ["ab", bytesOf("cd")],
  "an empty array": () => [],
  "an array of ArrayBuffers": () => [bytesOf("ef").buffer],
  "a Set": () => new Set(["s", "t"]),
  "a generator": generated,
  "an async generator": generatedLater,
  "a Readable": () => Readable.from(["r1", "r2"]),
  "a ReadableStream": () => new Response("web").body,
  "a number": () => 5,
  "an object": () => ({}),
  "a Blob": () => new Blob(["blob"]),
  "a Response": () => new Response("r"),
  "a Date": () => new Date(0),
  null: () => null,
  undefined: () => undefined,
  true: () => true,
  "a BigInt": () => 5n,
  "a symbol": () => Symbol("s"),
  "a function": () => () => "text",
  "an array of numbers": () => [1, 2],
  "an async generator of null": async function* () {
    yield null;
  },
};

describe.each(Object.keys(data))("data: %s:", (kind) => {
  const make = data[kind]! as () => any;
  same("writeFile", (fs, at) => fs.writeFile(join(at, "f"), make()));
  same("writeFile of a handle", (fs, at) => onHandle(fs, join(at, "f"), "w", (file) => fs.writeFile(file, make())));
  same("FileHandle.writeFile", (fs, at) => onHandle(fs, join(at, "f"), "w", (file) => file.writeFile(make())));
  same("FileHandle.appendFile", (fs, at) => onHandle(fs, join(at, "f"), "a", (file) => file.appendFile(make())));
  same("FileHandle.writev", (fs, at) =>
    onHandle(fs, join(at, "f"), "w", async (file) => (await file.writev([make()])).bytesWritten),
  );

  test("appendFile, which takes what writeFile takes, as Node's", async () => {
    const appended: any = await outcomeOf(ours, (fs, at) => fs.appendFile(join(at, "f"), make()));
    const written: any = await outcomeOf(oracle, (fs, at) =>
      onHandle(fs, join(at, "f"), "a", (file) => file.appendFile(make())),
    );
    if (isBun && appended.code !== undefined) return; // Bun's function accepts no iterables here.
    expect(appended).toEqual(written);
  });
});

test.skipIf(isBun)("writable() takes each kind of piece, and no other", async () => {
  const write = (chunk: unknown) =>
    outcomeOf(ours, (fs, at) =>
      onHandle(fs, join(at, "f"), "w", async (file) => {
        const writer = file.writable().getWriter();
        await writer.write(chunk);
        await writer.close();
      }),
    );
  for (const chunk of ["text", bytesOf("text"), bytesOf("text").buffer])
    expect(await write(chunk)).toMatchObject({ f: "text" });
  for (const chunk of [5, {}, null, new Blob(["x"]), ["text"]])
    expect(await write(chunk)).toMatchObject({ code: "ERR_INVALID_ARG_TYPE", f: "" });
});

const { O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_SYNC } = node.constants;
/** Flags that an atomic write has, too. */
const replacing: unknown[] = [
  ...["", "w", "w+", "wx", "xw", "wx+", "xw+", null, undefined],
  O_WRONLY | O_CREAT | O_TRUNC | O_SYNC,
  O_RDWR | O_CREAT | O_EXCL,
];
const flags = [
  ...replacing.filter((each) => typeof each === "number"),
  O_WRONLY | O_CREAT,
  O_WRONLY | O_TRUNC,
  ...["r", "rs", "sr", "r+", "rs+", "sr+", "w", "wx", "xw", "w+", "wx+", "xw+", "a", "ax", "xa", "as", "sa"],
  ...[
    "a+",
    "ax+",
    "xa+",
    "as+",
    "sa+",
    "",
    "R",
    "rw",
    "+r",
    "toString",
    null,
    undefined,
    0,
    2,
    1.5,
    NaN,
    2 ** 31,
    2 ** 32,
  ],
  ...[{}, true, 5n, []],
];

describe.each(flags.map((each) => [typeof each === "string" ? `"${each}"` : Bun.inspect(each), each] as const))(
  "flags: %s:",
  (_, value) => {
    const flag = value as any;
    for (const name of ["f", "new"])
      same(`open ${name}`, async (fs, at) => {
        const handle = await fs.open(join(at, name), flag);
        const { fd } = handle as { fd: number };
        const info = node.readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
        await handle.close();
        return /flags:\s*(\d+)/.exec(info)![1];
      });
    same("readFile", (fs, at) => fs.readFile(join(at, "f"), { flag, encoding: "utf8" }));
    same("writeFile", (fs, at) => fs.writeFile(join(at, "f"), "z", { flag }));
    same("readFile and writeFile of a handle, and the permissions of what readFile makes", (fs, at) =>
      each(
        () => onHandle(fs, join(at, "f"), "r", (file) => fs.readFile(file, { flag, encoding: "utf8" })),
        () => onHandle(fs, join(at, "f"), "r+", (file) => fs.writeFile(file, "z", { flag })),
        // A limit takes the other way: open, read, close.
        ...[{}, { signal: new AbortController().signal }].map((limits, i) => async () => {
          await fs.readFile(join(at, `new ${i}`), { flag, ...limits });
          return node.statSync(join(at, `new ${i}`)).mode.toString(8);
        }),
      ),
    );

    describe.skipIf(isBun)("writeFile with atomic: true", () => {
      const writes = (name: string, options: object): Call => {
        return async (fs, at) => {
          await fs.writeFile(join(at, name), "z", { flag, ...options });
          return node.readdirSync(at).map((each) => [each, node.readFileSync(join(at, each), "utf8")]);
        };
      };
      test.each(["f", "new"])("does to %p what it does without, or is refused", async (name) => {
        const plain: any = await outcomeOf(ours, writes(name, {}));
        const atomic: any = await outcomeOf(ours, writes(name, { atomic: true }));
        const canBe = replacing.includes(flag) || /ERR_/.test(plain.code);
        if (canBe) expect(atomic).toEqual(plain);
        else expect(atomic).toMatchObject({ code: "ERR_INVALID_ARG_VALUE", name: "TypeError", f: "abcdef" });
      });
    });
  },
);

const modes = [0o600, 0o100644, "644", "0644", "0o644", "8", "abc", "", null, undefined, -1, 1.5, 2 ** 32, 2 ** 32 - 1];

describe.each(modes.map((each) => [typeof each === "string" ? `"${each}"` : Bun.inspect(each), each] as const))(
  "mode: %s:",
  (_, value) => {
    const mode = value as any;
    const modeOf = (at: string): string => node.statSync(join(at, "new")).mode.toString(8);
    same("open", async (fs, at) => {
      await (await fs.open(join(at, "new"), "w", mode)).close();
      return modeOf(at);
    });
    same("writeFile", async (fs, at) => {
      await fs.writeFile(join(at, "new"), "", { mode });
      return modeOf(at);
    });
    same("mkdir", async (fs, at) => {
      await fs.mkdir(join(at, "new"), mode);
      return modeOf(at);
    });
    same("mkdir with options", async (fs, at) => {
      await fs.mkdir(join(at, "new"), { mode });
      return modeOf(at);
    });
    same("copyFile", (fs, at) => fs.copyFile(join(at, "f"), join(at, "new"), mode));
    same("copyFile over a file", (fs, at) => {
      node.writeFileSync(join(at, "new"), "");
      return fs.copyFile(join(at, "f"), join(at, "new"), mode);
    });
  },
);

test.each([[true], [6n], [[]], [Symbol("s")], [() => {}]])("mode: mkdir ignores %p, as Bun's", async (value) => {
  const call: Call = async (fs, at) => {
    await fs.mkdir(join(at, "d"), value as never);
    return node.statSync(join(at, "d")).mode.toString(8);
  };
  expect(await outcomeOf(ours, call)).toEqual(await outcomeOf(oracle, call));
});

same("mode: that of stat is taken as it is", async (fs, at) => {
  const { mode } = await fs.stat(join(at, "f"));
  await (await fs.open(join(at, "g"), "w", mode)).close();
  return node.statSync(join(at, "g")).mode === mode;
});

const statOptions: Record<string, any> = {
  bigint: { bigint: true },
  "no bigint": { bigint: false },
  "a bigint that is none": { bigint: 1 },
  throwIfNoEntry: { throwIfNoEntry: false },
  null: null,
  undefined: undefined,
  "a number": 5,
};

describe.each(Object.keys(statOptions))("stat with %s:", (name) => {
  const options = statOptions[name];
  /** Leaves out atime and birthtime, which differ between the files of the two calls. */
  const shown = (stats: any): unknown => {
    if (stats === undefined) return "nothing";
    const { dev, mode, nlink, uid, gid, rdev, size, blksize, blocks } = stats;
    const kinds = Object.entries(stats).map(([key, value]) => [key, typeof value]);
    const tests = ["isFile", "isDirectory", "isSymbolicLink", "isFIFO", "isSocket", "isBlockDevice"].map((each) =>
      stats[each](),
    );
    const title = [
      stats.constructor.name,
      Object.prototype.toString.call(stats),
      stats.mtime.getTime() === Math.trunc(Number(stats.mtimeMs)),
    ];
    return { title, kinds, tests, values: [dev, mode, nlink, uid, gid, rdev, size, blksize, blocks] };
  };
  same("stat", async (fs, at) => shown(await fs.stat(join(at, "f"), options)));
  same("lstat", async (fs, at) => shown(await fs.lstat(join(at, "f"), options)));
  same("FileHandle.stat", (fs, at) =>
    onHandle(fs, join(at, "f"), "r", async (file) => shown(await file.stat(options))),
  );
  same("stat of nothing", async (fs, at) => shown(await fs.stat(join(at, "no"), options)));
  same("lstat of nothing", async (fs, at) => shown(await fs.lstat(join(at, "no"), options)));
  same("stat below a file", async (fs, at) => shown(await fs.stat(join(at, "f", "no"), options)));
});

test("stat with BigInts has the numbers of Bun's, of the same file", async () => {
  const [mine, theirs] = await Promise.all([files, oracle].map((fs) => fs.stat(import.meta.path, { bigint: true })));
  expect(Object.entries(mine!)).toEqual(Object.entries(theirs!));
});

const directoryOptions: Record<string, any> = {
  recursive: { recursive: true },
  "not recursive": { recursive: false },
  "a recursive that is none": { recursive: 1 },
  null: null,
  undefined: undefined,
};

describe.each(Object.keys(directoryOptions))("directories with %s:", (name) => {
  const options = directoryOptions[name];
  const left = (at: string): string[] => node.readdirSync(at, { recursive: true }).map(String).toSorted();
  const rmdir =
    (make: (at: string) => void): Call =>
    async (fs, at) => {
      make(at);
      await (fs.rmdir as (path: string, options?: object) => Promise<void>)(join(at, "d"), options);
      return left(at);
    };
  same(
    "rmdir of a full one",
    rmdir((at) => {
      node.mkdirSync(join(at, "d", "e"), { recursive: true });
      node.writeFileSync(join(at, "d", "e", "g"), "");
    }),
  );
  same(
    "rmdir of an empty one",
    rmdir((at) => node.mkdirSync(join(at, "d"))),
  );
  same(
    "rmdir of none",
    rmdir(() => {}),
  );
  same("mkdir", async (fs, at) => [(await fs.mkdir(join(at, "d"), options))?.slice(at.length), left(at)]);
  same("mkdir below what is missing", async (fs, at) => [
    (await fs.mkdir(join(at, "d", "e"), options))?.slice(at.length),
    left(at),
  ]);
  same("mkdir of a file", (fs, at) => fs.mkdir(join(at, "f"), options));
});

const paths: Record<string, (path: string) => any> = {
  "a Uint8Array": bytesOf,
  "a Buffer": Buffer.from,
  "a DataView": (path) => new DataView(bytesOf(path).buffer),
  "an ArrayBuffer": (path) => bytesOf(path).buffer,
  "bytes that are no UTF-8": (path) => Buffer.concat([Buffer.from(path), Buffer.from([0xff, 0x41])]),
  "a URL": (path) => new URL(`file://${path}`),
  "another URL": (path) => new URL(`http://host${path}`),
  "text with NUL": (path) => `${path}\0`,
  "bytes with NUL": (path) => bytesOf(`${path}\0x`),
  "larger numbers": (path) => new Uint16Array(bytesOf(path).buffer.slice(0, path.length & ~1)),
  "no text": () => "",
  "an object": () => ({ href: "x" }),
  null: () => null,
};

describe.each(Object.keys(paths))("a path that is %s:", (name) => {
  const path = paths[name]!;
  const names = (at: string): string[] =>
    node
      .readdirSync(at, { encoding: "buffer" })
      .map((each) => each.toString("latin1"))
      .toSorted();
  const after =
    (call: Call): Call =>
    async (fs, at) => {
      await call(fs, at);
      return names(at);
    };
  same(
    "open",
    after(async (fs, at) => (await fs.open(path(join(at, "f")), "w")).close()),
  );
  same("readFile", (fs, at) => fs.readFile(path(join(at, "f")), "utf8"));
  same(
    "writeFile",
    after((fs, at) => fs.writeFile(path(join(at, "g")), "x")),
  );
  same(
    "appendFile",
    after((fs, at) => fs.appendFile(path(join(at, "f")), "x")),
  );
  same("stat", async (fs, at) => (await fs.stat(path(join(at, "f")))).size);
  same("lstat", async (fs, at) => (await fs.lstat(path(join(at, "f")))).size);
  same(
    "rename from",
    after((fs, at) => fs.rename(path(join(at, "f")), join(at, "g"))),
  );
  same(
    "rename to",
    after((fs, at) => fs.rename(join(at, "f"), path(join(at, "g")))),
  );
  same(
    "unlink",
    after((fs, at) => fs.unlink(path(join(at, "f")))),
  );
  same(
    "link to",
    after((fs, at) => fs.link(join(at, "f"), path(join(at, "g")))),
  );
  same(
    "symlink to",
    after((fs, at) => fs.symlink("target", path(join(at, "g")))),
  );
  same(
    "mkdir",
    after((fs, at) => fs.mkdir(path(join(at, "d")))),
  );
  same(
    "copyFile to",
    after((fs, at) => fs.copyFile(join(at, "f"), path(join(at, "g")))),
  );

  test.skipIf(isBun)("writeFile with atomic: true", async () => {
    const plain: any = await outcomeOf(
      ours,
      after((fs, at) => fs.writeFile(path(join(at, "g")), "x")),
    );
    const atomic: any = await outcomeOf(
      ours,
      after((fs, at) => fs.writeFile(path(join(at, "g")), "x", { atomic: true } as object)),
    );
    if (plain.value) expect(atomic).toEqual(plain);
    else expect(atomic.value).toBeUndefined();
  });
});

describe("a descriptor as a target:", () => {
  const onDescriptor =
    (flags: string, run: (fs: any, fd: number) => Promise<unknown>): Call =>
    async (fs, at) => {
      const fd = node.openSync(join(at, "f"), flags);
      try {
        const value = await run(fs, fd);
        node.fstatSync(fd); // The descriptor must still be open.
        return value;
      } finally {
        node.closeSync(fd);
      }
    };
  same(
    "readFile",
    onDescriptor("r", (fs, fd) => fs.readFile(fd, "utf8")),
  );
  same(
    "writeFile, twice",
    onDescriptor("w", async (fs, fd) => {
      await fs.writeFile(fd, "one ");
      await fs.writeFile(fd, "two");
    }),
  );
  same(
    "writeFile of an iterable",
    onDescriptor("w", (fs, fd) => fs.writeFile(fd, ["one ", "two"])),
  );
  same(
    "appendFile",
    onDescriptor("a", (fs, fd) => fs.appendFile(fd, "more")),
  );
  same("writeFile of one that is closed", (fs) => fs.writeFile(987_654 as never, "x"));
  const none: any[] = [987_654, -1, 1.5, NaN, 2 ** 31, 5n];
  same("readFile, writeFile and appendFile of what is none", (fs) =>
    each(
      ...none.flatMap((fd) => [
        async () => fs.readFile(fd),
        async () => fs.writeFile(fd, "x"),
        async () => fs.appendFile(fd, "x"),
      ]),
    ),
  );
  same(
    "readFile of one that is not open for it",
    onDescriptor("a", (fs, fd) => fs.readFile(fd)),
  );
  same("readFile of a directory's", async (fs, at) => {
    const fd = node.openSync(at, "r");
    try {
      return await fs.readFile(fd as never);
    } finally {
      node.closeSync(fd);
    }
  });
});

describe.each([[undefined], [null], ["nope"], [5], [true], [{}]])(
  "streams of a handle with %p as options",
  (options) => {
    same("createReadStream", (fs, at) =>
      onHandle(fs, join(at, "f"), "r", async (file) => {
        const chunks: unknown[] = [];
        for await (const chunk of file.createReadStream(options)) chunks.push(chunk);
        return chunks;
      }),
    );
    same("readLines", (fs, at) =>
      onHandle(fs, join(at, "f"), "r", async (file) => {
        const lines: unknown[] = [];
        for await (const line of file.readLines(options)) lines.push(line);
        return lines;
      }),
    );
    same("createWriteStream", (fs, at) =>
      onHandle(fs, join(at, "f"), "r+", async (file) => {
        const stream = file.createWriteStream(options);
        stream.end("AB");
        await once(stream, "close");
      }),
    );
  },
);

test.skipIf(isBun)('text is written as UTF-8 where the encoding is "buffer"', async () => {
  for (const write of [
    (fs: any, at: string) => fs.writeFile(join(at, "f"), "\u65e5\u00e9", "buffer"),
    (fs: any, at: string) => fs.writeFile(join(at, "f"), "\u65e5\u00e9", { encoding: "buffer" }),
    (fs: any, at: string) => onHandle(fs, join(at, "f"), "w", (file) => file.writeFile("\u65e5\u00e9", "buffer")),
  ])
    expect(await outcomeOf(ours, write)).toMatchObject({ f: Buffer.from("\u65e5\u00e9").toString("latin1") });
});

const calls: Record<string, (file: any) => Promise<unknown>> = {
  read: (file) => file.read(Buffer.alloc(4)),
  write: (file) => file.write("abc"),
  readv: (file) => file.readv([Buffer.alloc(4)]),
  writev: (file) => file.writev([Buffer.alloc(4)]),
  readFile: (file) => file.readFile(),
  writeFile: (file) => file.writeFile("abc"),
  "writeFile of an iterable": (file) => file.writeFile(["abc"]),
  appendFile: (file) => file.appendFile("abc"),
  stat: (file) => file.stat(),
  sync: (file) => file.sync(),
  datasync: (file) => file.datasync(),
  truncate: (file) => file.truncate(),
  close: (file) => file.close(),
};

describe.each(Object.keys(calls))("FileHandle.%s", (name) => {
  const call = calls[name]!;
  const run =
    (path: (at: string) => string, flags: string): Call =>
    (fs, at) =>
      onHandle(fs, path(at), flags, async (file) => void (await call(file)));
  same(
    "names its system call where the file is a directory",
    run((at) => at, "r"),
  );
  same(
    "names its system call where the file is not open for it",
    run((at) => join(at, "f"), /^(read|close)/.test(name) ? "w" : "r"),
  );
  same("is refused after close()", async (fs, at) => {
    const file = await fs.open(join(at, "f"), "r+");
    await file.close();
    // Bun's own error has no errno here.
    await call(file).catch((error) => {
      throw Object.assign(error, { errno: -9 });
    });
  });
});

describe("a signal", () => {
  const signals: Record<string, () => any> = {
    "that is aborted": () => AbortSignal.abort(),
    "that is aborted for a reason": () => AbortSignal.abort(new Error("mine")),
    "that is aborted later": () => {
      const controller = new AbortController();
      queueMicrotask(() => controller.abort());
      return controller.signal;
    },
    "that is null": () => null,
    "that is none": () => ({}),
  };
  describe.each(Object.keys(signals))("%s:", (name) => {
    const signal = signals[name]!;
    same("readFile", (fs, at) => fs.readFile(join(at, "f"), { signal: signal(), encoding: "utf8" }));
    same("FileHandle.readFile", (fs, at) =>
      onHandle(fs, join(at, "f"), "r", (file) => file.readFile({ signal: signal(), encoding: "utf8" })),
    );
    if (name === "that is aborted later") return; // In Bun, the result of the call is a race.
    same("writeFile of a handle", async (fs, at) =>
      onHandle(fs, join(at, "f"), "w", (file) => file.writeFile("x", { signal: signal() })),
    );
    if (name === "that is none") return; // Bun checks the signal only in an iteration, and here it makes none.
    same("an iterable", (fs, at) =>
      onHandle(fs, join(at, "f"), "a", (file) => file.writeFile([], { signal: signal() })).then(() => "written"),
    );
  });
});

describe("a wrong number", () => {
  const wrong = [-1, NaN, 1.5, 7.5, 100, 2 ** 53, Infinity];
  for (const value of wrong) {
    same(`as read's offset: ${value}`, (fs, at) =>
      onHandle(fs, join(at, "f"), "r", async (file) => (await file.read(Buffer.alloc(7), value, 2, 0)).bytesRead),
    );
    same(`as read's length: ${value}`, (fs, at) =>
      onHandle(fs, join(at, "f"), "r", async (file) => (await file.read(Buffer.alloc(7), 0, value, 0)).bytesRead),
    );
    same(`as write's offset: ${value}`, (fs, at) =>
      onHandle(
        fs,
        join(at, "f"),
        "r+",
        async (file) => (await file.write(bytesOf("ABCDEFG"), value, 2, 0)).bytesWritten,
      ),
    );
  }

  const positions = [null, undefined, 0, -0, 2, 7, -1, -2, -5, -1n, -2n, -(2 ** 53) + 1];
  const bad = [NaN, 1.5, -1.5, Infinity, -Infinity, 2 ** 53, 2 ** 60, 2n ** 63n, 2n ** 64n, "3", "-1", {}, [], true];
  for (const value of [...positions, 3n, ...bad]) {
    same(`as read's position: ${Bun.inspect(value)}`, (fs, at) =>
      onHandle(fs, join(at, "f"), "r", (file) => {
        const into = Buffer.alloc(3);
        return each(
          () => file.read(into, 0, 3, value),
          () => file.read({ buffer: into, position: value }),
          () => file.read(into, { position: value }),
          async () => (await file.read({ position: value })).bytesRead,
          () => (fs as any).read(file.fd, into, 0, 3, value),
          () => file.readFile("latin1"),
        );
      }),
    );
  }
  // Bun ignores what is no number here, and fractions.
  for (const value of positions)
    same(`as the position of write, writev and readv: ${Bun.inspect(value)}`, (fs, at) =>
      onHandle(fs, join(at, "f"), "r+", (file) => {
        const into = Buffer.alloc(2);
        return each(
          () => file.read(Buffer.alloc(1)), // The file's own position is not its start.
          async () => (await file.write(bytesOf("AB"), 0, 2, value)).bytesWritten,
          async () => (await file.write(bytesOf("C"), { position: value })).bytesWritten,
          async () => (await file.write("D", value)).bytesWritten,
          async () => (await file.writev([bytesOf("E")], value)).bytesWritten,
          async () => [(await file.readv([into], value)).bytesRead, into.toString("latin1")],
          () => file.readFile("latin1"),
        );
      }),
    );

  test.skipIf(isBun)("as readv's position reads nothing", async () => {
    for (const value of bad) {
      const into = Buffer.from("??");
      const read: Call = (fs, at) => onHandle(fs, join(at, "f"), "r", (file) => file.readv([into], value));
      expect(await outcomeOf(ours, read)).toMatchObject({ code: expect.stringContaining("ERR_") });
      expect(into.toString()).toBe("??");
    }
  });

  test.skipIf(isBun)("as write's position overwrites nothing", async () => {
    for (const value of [NaN, 1.5, Infinity, 2 ** 60, "1", {}, true])
      for (const write of [
        (file: any) => file.write(bytesOf("AB"), 0, 2, value),
        (file: any) => file.write(bytesOf("AB"), { position: value }),
        (file: any) => file.write("AB", value === value && typeof value === "object" ? NaN : value),
        (file: any) => file.writev([bytesOf("AB")], value),
      ]) {
        const outcome: any = await outcomeOf(ours, (fs, at) => onHandle(fs, join(at, "f"), "r+", write));
        expect([value, outcome.f, String(outcome.code).slice(0, 4)]).toEqual([value, "abcdef", "ERR_"]);
      }
  });
});

describe.skipIf(isBun)("descriptors", () => {
  test("that reactor.openat, openat2 and pipe make are close-on-exec", async () => {
    const used = reactor()!;
    const fds = [await used.openat(-100, "/dev/null", 0), await used.openat2(-100, "/dev/null", {})];
    fds.push(...(await used.pipe().catch(() => [])));
    for (const fd of fds) {
      const flags = /flags:\s*(\d+)/.exec(node.readFileSync(`/proc/self/fdinfo/${fd}`, "utf8"))![1]!;
      expect(Number.parseInt(flags, 8) & 0o2000000).not.toBe(0);
      await used.closeFd(fd);
    }
  });

  test.each([
    ["openat", (used: any, path: string, flags: number) => used.openat(-100, path, flags)],
    ["openat2", (used: any, path: string, flags: number) => used.openat2(-100, path, { flags })],
  ])("of files that reactor.%s makes have the permissions that Bun's have", async (_, open) => {
    const directory = node.mkdtempSync(join(tmpdir(), "ringloop-arguments-"));
    const { O_CREAT, O_RDWR, O_DIRECTORY } = node.constants;
    const modes: number[] = [];
    for (const [path, flags] of [
      [join(directory, "made"), O_CREAT | O_RDWR],
      [directory, 0o20000000 | O_DIRECTORY | O_RDWR], // O_TMPFILE.
    ] as const) {
      const fd = await open(reactor()!, path, flags);
      modes.push(node.fstatSync(fd).mode & 0o777);
      node.closeSync(fd);
    }
    node.writeFileSync(join(directory, "of Bun"), "");
    const expected = node.statSync(join(directory, "of Bun")).mode & 0o777;
    expect(modes).toEqual([expected, expected]);
    node.rmSync(directory, { recursive: true });
  });

  test("of handles that nobody closed are closed when those are collected, with a warning", async () => {
    const program = `
      import { open } from "${join(import.meta.dir, "../../src/fs/index.ts")}";
      import { fstatSync } from "node:fs";
      const fds = [];
      for (let i = 0; i < 10; i++) {
        const file = await open("/dev/null");
        file.createReadStream(); // The stream is collected together with the file.
        fds.push(file.fd);
      }
      let warned;
      process.on("warning", (warning) => (warned = warning));
      const isClosed = (fd) => { try { fstatSync(fd); return false; } catch { return true; } };
      while (warned === undefined || !fds.some(isClosed)) {
        Bun.gc(true);
        await new Promise((again) => setTimeout(again));
      }
      console.log(warned.code, fds.some((fd) => warned.message.includes(" " + fd + " ")));
      process.exit(0);
    `;
    expect((await attempt([process.execPath, "-e", program])).stdout).toBe("RINGLOOP_FILE_NOT_CLOSED true\n");
  });

  test("of a handle that is gone stay open for its writable and for iteration", async () => {
    const program = `
      import { open } from "${join(import.meta.dir, "../../src/fs/index.ts")}";
      import { readFileSync, rmSync, mkdtempSync } from "node:fs";
      process.on("warning", ({ message }) => { throw new Error(message); });
      const directory = mkdtempSync("/tmp/ringloop-gone-");
      const path = directory + "/f";
      const writer = await (async () => (await open(path, "w")).writable().getWriter())();
      for (let i = 0; i < 20; i++) { Bun.gc(true); await new Promise(setImmediate); await writer.write("x"); }
      const chunks = await (async () => (await open(path)).readable({ chunkBytes: 1 }).getReader())();
      let read = 0;
      for (; !(await chunks.read()).done; read++) { Bun.gc(true); await new Promise(setImmediate); }
      console.log(readFileSync(path, "utf8").length, read);
      rmSync(directory, { recursive: true });
      process.exit(0);
    `;
    expect((await attempt([process.execPath, "-e", program])).stdout).toBe("20 20\n");
  });
});

describe("options and numbers that are checked, or not:", () => {
  const wrong = [1.5, -1, NaN, "1", null, 2 ** 32];
  const remove = (recursive: boolean, name: string) => async (fs: Api, directory: string) => {
    const path = join(directory, "d");
    node.mkdirSync(path);
    const calls = wrong.map((value) => () => (fs.rmdir as any)(path, { recursive, [name]: value }));
    return [await each(...calls), node.existsSync(path)];
  };
  for (const recursive of [true, false])
    for (const name of ["maxRetries", "retryDelay", "force"])
      same(`rmdir, recursive ${recursive}, ${name}`, remove(recursive, name));

  same("rmdir by force of what is not there", (fs, directory) =>
    (fs.rmdir as any)(join(directory, "no"), { recursive: true, force: true }),
  );
  same("mkdir through links that lead nowhere", async (fs, directory) => {
    node.symlinkSync("no", join(directory, "dangling"));
    node.symlinkSync("loop", join(directory, "loop"));
    const errors: unknown[] = [];
    for (const name of ["dangling", "dangling/z", "dangling/z/y", "loop", "loop/z", "f", "f/z"])
      errors.push(
        await fs.mkdir(join(directory, name), { recursive: true }).catch(({ code, syscall, path }: any) => {
          return { code, syscall, path: path.slice(directory.length) };
        }),
      );
    return errors;
  });
  same("a handle's readFile with a flag that is none", (fs, directory) =>
    onHandle(fs, join(directory, "f"), "r", (handle) =>
      each(
        () => handle.readFile({ flag: "zz" }),
        () => handle.readFile({ flag: 5.5 }),
        async () => `${await handle.readFile({ flag: "w" })}`,
      ),
    ),
  );
  same("nothing, read from and written to handles of the wrong mode", async (fs, directory) => {
    const nothing = Buffer.alloc(0);
    const all = (handle: any): Promise<unknown[]> =>
      each(
        async () => (await handle.write(nothing)).bytesWritten,
        async () => (await handle.write(nothing, 0, 1, 0)).bytesWritten,
        async () => (await handle.write(nothing, 1)).bytesWritten,
        async () => (await handle.writev([])).bytesWritten,
        async () => (await handle.read(nothing)).bytesRead,
        async () => (await handle.read(Buffer.alloc(3), 0, 0, 0)).bytesRead,
        async () => (await handle.readv([])).bytesRead,
      );
    return [
      await onHandle(fs, join(directory, "f"), "r", all),
      await onHandle(fs, join(directory, "f"), "r+", async (handle) => [
        (await handle.write(Buffer.from("xyz"), null, 2, 1)).bytesWritten,
      ]),
      await onHandle(fs, join(directory, "g"), "w", all),
    ];
  });
  same("a closed handle, before its arguments", async (fs, directory) => {
    const handle: any = await fs.open(join(directory, "f"), "r+");
    await handle.close();
    const codes: unknown[] = [];
    for (const name of ["readv", "writev", "readFile", "writeFile", "appendFile", "truncate"])
      codes.push(await handle[name]("bad", "bad").catch(({ code, syscall }: any) => `${code} ${syscall}`));
    codes.push(await handle.stat({ bigint: 5 }).catch(({ code }: any) => code));
    return codes;
  });
});
