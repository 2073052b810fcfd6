/**
 * Files that are no plain files: pipes, FIFOs, and the position of files that are appended to.
 * Also node:fs/promises.
 */
import { afterAll, expect, test } from "bun:test";
import * as node from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attempt } from "./process.ts";
import { files, isBun } from "./subject.ts";

const directory = node.mkdtempSync(join(tmpdir(), "ringloop-streams-"));
const at = (name: string): string => join(directory, name);
await attempt(["mkfifo", ...["fifo", "other", "third", "alone0", "alone1", "alone2"].map(at)]);
afterAll(() => node.rmSync(directory, { recursive: true }));

type Handle = Awaited<ReturnType<typeof files.open>>;

const codeOf = (promise: Promise<unknown>): Promise<string | undefined> =>
  promise.then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error.code,
  );

/** Both ends of a FIFO, blocking. */
async function ends(name: string): Promise<{ reader: Handle; writer: Handle }> {
  const [reader, writer] = await Promise.all([files.open(at(name), "r"), files.open(at(name), "w")]);
  return { reader, writer };
}

async function drain(reader: Handle, bytes: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let total = 0; total < bytes;) {
    const { bytesRead, buffer } = await reader.read(Buffer.alloc(65536), 0, 65536, null);
    pieces.push(buffer.subarray(0, bytesRead));
    total += bytesRead;
  }
  return Buffer.concat(pieces);
}

const BYTES = 150_000;
const data = Buffer.alloc(BYTES, "0123456789abcdefg");

const writes: Record<string, (writer: Handle) => Promise<unknown>> = {
  write: async (writer) => (await writer.write(data)).bytesWritten,
  writev: async (writer) =>
    (await writer.writev([data.subarray(0, 10), data.subarray(10, 100_000), data.subarray(100_000)])).bytesWritten,
  "write of a descriptor": (writer) => (files as any).write(writer.fd, data),
  "writev of a descriptor": async (writer) => (await (files as any).writev(writer.fd, [data])).bytesWritten,
};

test.each(Object.keys(writes))("%s: a blocking pipe takes all bytes", async (name) => {
  const { reader, writer } = await ends("fifo");
  const [written, got] = await Promise.all([writes[name]!(writer), drain(reader, BYTES)]);
  expect(written).toBe(BYTES);
  expect(got.equals(data)).toBe(true);
  await Promise.all([reader.close(), writer.close()]);
});

test("a pipe that ends after a part has taken that part", async () => {
  const { reader, writer } = await ends("fifo");
  const writing = writer.write(Buffer.alloc(1_000_000));
  await drain(reader, 1);
  await reader.close();
  const { bytesWritten } = await writing;
  expect(bytesWritten).toBeGreaterThan(0);
  expect(bytesWritten).toBeLessThan(1_000_000);
  expect(await codeOf(writer.write("x"))).toBe("EPIPE");
  await writer.close();
});

test("a pipe has no positions", async () => {
  await using pipe = await files.open(at("fifo"), "r+");
  const calls = [
    () => pipe.read(Buffer.alloc(1), 0, 1, 0),
    () => pipe.write(Buffer.alloc(1), 0, 1, 0),
    () => pipe.write("x", 0),
    () => pipe.readv([Buffer.alloc(1)], 0),
    () => pipe.writev([Buffer.alloc(1)], 0),
  ];
  const errors = await Promise.all(calls.map((call) => call().catch((error: NodeJS.ErrnoException) => error)));
  expect(errors.map(({ code, syscall }: any) => `${code} ${syscall}`)).toEqual([
    "ESPIPE read",
    "ESPIPE write",
    "ESPIPE write",
    "ESPIPE preadv",
    "ESPIPE pwritev",
  ]);
});

test("flush of what cannot be synced is no error", async () => {
  await using pipe = await files.open(at("fifo"), "r+");
  await files.writeFile(at("fifo"), "by path", { flush: true });
  await pipe.writeFile("by handle", { flush: true } as never);
  expect(`${await drain(pipe, 16)}`).toBe("by pathby handle");
  expect(await codeOf(pipe.sync())).toBe("EINVAL");
});

test("the open of a FIFO waits for the other end", async () => {
  for (const [flags, other] of [
    ["r", "w"],
    [node.constants.O_WRONLY, "r"],
  ] as const) {
    let isOpen = false;
    const opening = files.open(at("other"), flags).finally(() => (isOpen = true));
    // Operations of the same kinds, which began later.
    for (let i = 0; i < 3; i++) await (await files.open(directory)).close();
    expect(isOpen).toBe(false);
    const [one, two] = await Promise.all([opening, files.open(at("other"), other)]);
    const [reader, writer] = flags === "r" ? [one, two] : [two, one];
    await writer.write("hello");
    expect(`${await drain(reader, 5)}`).toBe("hello");
    await Promise.all([one.close(), two.close()]);
  }
  const { O_WRONLY, O_RDONLY, O_NONBLOCK } = node.constants;
  expect(await codeOf(files.open(at("other"), O_WRONLY | O_NONBLOCK))).toBe("ENXIO");
  await (await files.open(at("other"), O_RDONLY | O_NONBLOCK)).close();
});

test("a FIFO whose writer has gone is open, and has its bytes", async () => {
  const writer = attempt(["sh", "-c", `echo gone > ${at("third")}`]);
  await using reader = await files.open(at("third"), "r");
  expect(`${await drain(reader, 5)}`).toBe("gone\n");
  expect((await writer).exitCode).toBe(0);
});

test.skipIf(isBun)("a signal and a time limit end the wait for the other end of a FIFO", async () => {
  for (const [i, flags] of ["r", node.constants.O_WRONLY, "w"].entries()) {
    // Another FIFO each: an open that was given up is the other end until the kernel has ended it.
    const path = at(`alone${i}`);
    const abort = new AbortController();
    const opening = files.open(path, flags, { signal: abort.signal } as never);
    setImmediate(() => abort.abort());
    expect(await codeOf(opening)).toBe("ABORT_ERR");
    if (flags === "w") continue; // A linked timeout does not end this open.
    const error = await files.open(path, flags, { timeoutMs: 1 } as never).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "ETIMEDOUT", syscall: "open", path });
  }
});

const appends: Record<string, (handle: any) => Promise<unknown>> = {
  write: (handle) => handle.write("QQ"),
  "write of bytes": (handle) => handle.write(Buffer.from("QQ")),
  writev: (handle) => handle.writev([Buffer.from("Q"), Buffer.from("Q")]),
  appendFile: (handle) => handle.appendFile("QQ"),
  writeFile: (handle) => handle.writeFile(["Q", "Q"]),
  writer: async (handle) => {
    const writer = handle.writer();
    await writer.write("QQ");
    await writer.end();
  },
  createWriteStream: async (handle) => {
    const stream = handle.createWriteStream({ autoClose: false });
    await new Promise<void>((resolve) => stream.end("QQ", resolve));
  },
  "a descriptor's write": (handle) => (files as any).write(handle.fd, Buffer.from("QQ")),
};

test.each(Object.keys(appends))("%s: an append leaves the position at the end", async (name) => {
  const path = at("appended");
  node.writeFileSync(path, "hello world");
  const handle = await files.open(path, "a+");
  await handle.read(Buffer.alloc(3), 0, 3, null);
  await appends[name]!(handle);
  expect((await handle.read(Buffer.alloc(4), 0, 4, null)).bytesRead).toBe(0);
  node.appendFileSync(path, "later");
  const next = Buffer.alloc(9);
  expect((await handle.read(next, 0, 9, null)).bytesRead).toBe(5);
  expect(`${next.subarray(0, 5)}`).toBe("later");
  // The stream that keeps the file open is not over, for Bun either.
  const closed = handle.close();
  if (name !== "createWriteStream") await closed;
});

test.skipIf(isBun)("an atomic write that is aborted at any moment leaves no file beside", async () => {
  const kept = node.mkdtempSync(at("atomic-"));
  const path = join(kept, "f");
  node.writeFileSync(path, "old");
  let aborted = 0;
  for (let turns = 0; turns < 24; turns++) {
    const abort = new AbortController();
    const options = { atomic: true, signal: abort.signal } as never;
    const writing = codeOf(files.writeFile(path, Buffer.alloc(1000), options));
    for (let turn = 0; turn < turns % 8; turn++) await new Promise((resolve) => setImmediate(resolve));
    abort.abort();
    if ((await writing) === "ABORT_ERR") aborted++;
    expect(node.readdirSync(kept)).toEqual(["f"]);
  }
  expect(aborted).toBeGreaterThan(0);
});

test.skipIf(isBun)("an error of an atomic write names the caller's file", async () => {
  node.mkdirSync(at("taken/x"), { recursive: true });
  for (const [path, code] of [
    [at("taken"), "EISDIR"],
    [at("missing/f"), "ENOENT"],
  ]) {
    const error = await files.writeFile(path!, "x", { atomic: true } as never).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code, syscall: "open", path });
  }
  expect(node.readdirSync(directory).filter((name) => name.endsWith(".tmp"))).toEqual([]);
});

test.skipIf(isBun)("a walk that is aborted is an AbortError", async () => {
  const walk = (files as any).walk(directory, { signal: AbortSignal.abort("why") });
  expect(await walk.next().catch((error: unknown) => error)).toMatchObject({
    name: "AbortError",
    code: "ABORT_ERR",
    cause: "why",
  });
});
