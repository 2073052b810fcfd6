/**
 * The promise layer: operations of the ring as methods of the reactor, their limits, their memory,
 * and chains.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
  readdirSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { POLLIN } from "../../src/sys/socket-abi.ts";
import { AT_FDCWD, AT_REMOVEDIR } from "../../src/sys/linux.ts";
import { SystemError } from "../../src/sys/errno.ts";
import type { Reactor } from "../../src/index.ts";
import { attempt } from "./process.ts";
import { isBun, reactor as theReactor, reactorStats, settled } from "./subject.ts";
import { Pipe } from "../unit/pipe.ts";

const indexPath = join(import.meta.dir, "../../src/index.ts");

/** Returns the error with which the promise rejects. */
async function failure(promise: Promise<unknown>): Promise<any> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ("value" in outcome) throw new Error(`it was fulfilled, with ${Bun.inspect(outcome.value)}`);
  return outcome.error;
}

describe.skipIf(isBun)("an operation of the reactor", () => {
  let reactor: Reactor;
  let directory: string;
  let path: string;
  let fd: number;
  let empty: Pipe;

  beforeAll(() => {
    reactor = theReactor()!;
    directory = mkdtempSync(join(tmpdir(), "ringloop-operations-"));
    path = join(directory, "file");
    writeFileSync(path, "0123456789");
    fd = openSync(path, "r+");
    empty = new Pipe();
  });
  afterAll(async () => {
    closeSync(fd);
    empty[Symbol.dispose]();
    rmSync(directory, { recursive: true });
  });

  test("is a promise of the system call's result", async () => {
    const opened = await reactor.openat(AT_FDCWD, path, constants.O_RDONLY);
    const into = new Uint8Array(4);
    expect(await reactor.read(opened, into, 3)).toBe(4);
    expect(Buffer.from(into).toString()).toBe("3456");
    expect(await reactor.closeFd(opened)).toBeUndefined();
    expect((await failure(reactor.read(opened, into, 0))).code).toBe("EBADF");
  });

  test("reads at the descriptor's own position without one", async () => {
    const own = openSync(path, "r");
    const into = Buffer.alloc(3);
    await reactor.read(own, into);
    await reactor.read(own, into);
    expect(into.toString()).toBe("345");
    closeSync(own);
  });

  test("writes a copy: what happens to the bytes after the call does not matter", async () => {
    using ends = new Pipe();
    const { readEnd, writeEnd } = ends;
    const data = Buffer.from("before");
    const written = reactor.write(writeEnd, data);
    data.fill("x");
    expect(await written).toBe(6);
    const into = Buffer.alloc(6);
    await reactor.read(readEnd, into);
    expect(into.toString()).toBe("before");
  });

  test("gathers and scatters", async () => {
    using ends = new Pipe();
    const { readEnd, writeEnd } = ends;
    expect(await reactor.writev(writeEnd, [Buffer.from("ab"), Buffer.from(""), Buffer.from("cdef")])).toBe(6);
    const views = [new Uint8Array(3), new Uint8Array(5)];
    expect(await reactor.readv(readEnd, views)).toBe(6);
    expect(views.map((view) => Buffer.from(view).toString())).toEqual(["abc", "def\0\0"]);
  });

  test("makes, names, looks at and removes", async () => {
    const inside = join(directory, "inside");
    await reactor.mkdirat(AT_FDCWD, inside, 0o700);
    await reactor.linkat(AT_FDCWD, path, AT_FDCWD, join(inside, "linked"));
    await reactor.symlinkat("linked", AT_FDCWD, join(inside, "symbolic"));
    await reactor.renameat(AT_FDCWD, join(inside, "linked"), AT_FDCWD, join(inside, "renamed"));
    const { size, nlink } = await reactor.statx(AT_FDCWD, join(inside, "renamed"));
    expect({ size, nlink }).toEqual({ size: 10, nlink: 2 });
    for (const name of ["symbolic", "renamed"]) await reactor.unlinkat(AT_FDCWD, join(inside, name));
    await reactor.unlinkat(AT_FDCWD, inside, AT_REMOVEDIR);
    expect((await failure(reactor.statx(AT_FDCWD, inside))).code).toBe("ENOENT");
  });

  test("speaks to sockets", async () => {
    const server = await reactor.socket(2, 1);
    const listening = await reactor.bind(server, { hostname: "127.0.0.1", port: 0 }).then(
      () => true,
      (error: SystemError) => {
        if (error.code !== "EINVAL") throw error;
        return false; // The kernel is older than Linux 6.11.
      },
    );
    if (!listening) return reactor.closeFd(server);
    await reactor.listen(server, 8);
    const accepted = reactor.accept(server);
    // The kernel has chosen the port.
    const port = Number(
      readFileSync("/proc/self/net/tcp", "latin1")
        .split("\n")
        .map((line) => line.trim().split(/\s+/))
        .filter((fields) => fields[3] === "0A")
        .map((fields) => [fields[9], Number.parseInt(fields[1]!.split(":")[1]!, 16)] as const)
        .find(([inode]) => inode === socketInode(server))![1],
    );
    const client = await reactor.socket(2, 1);
    await reactor.connect(client, { hostname: "127.0.0.1", port });
    const connection = await accepted;
    expect(await reactor.send(client, Buffer.from("over"))).toBe(4);
    expect(await reactor.sendZc(client, Buffer.from(" there"))).toBe(6);
    await reactor.shutdown(client, 1);
    const into = Buffer.alloc(16);
    let text = "";
    for (let n = -1; n !== 0; text += into.toString("latin1", 0, n)) n = await reactor.recv(connection, into);
    expect(text).toBe("over there");
    for (const each of [connection, client, server]) await reactor.closeFd(each);
  });

  test("waits: for a descriptor, for a time, for a child", async () => {
    using ends = new Pipe();
    const { readEnd, writeEnd } = ends;
    const readable = reactor.poll(readEnd, POLLIN);
    await reactor.write(writeEnd, Buffer.from("x"));
    expect(await readable).toBe(POLLIN);
    const start = performance.now();
    await reactor.timeout(20.5);
    expect(performance.now() - start).toBeGreaterThanOrEqual(20);
    expect((await failure(reactor.waitid(process.pid))).code).toBe("ECHILD");
  });

  test("fails as Node's do, with code, errno, syscall and path", async () => {
    const error = await failure(reactor.openat(AT_FDCWD, "/nonexistent/file", 0));
    expect(error).toBeInstanceOf(SystemError);
    expect(error.message).toBe("ENOENT: no such file or directory, open '/nonexistent/file'");
    const { code, errno, syscall, path: about } = error;
    expect({ code, errno, syscall, about }).toEqual({
      code: "ENOENT",
      errno: -2,
      syscall: "open",
      about: "/nonexistent/file",
    });
    const renamed = await failure(reactor.renameat(AT_FDCWD, "/nonexistent/a", AT_FDCWD, "/nonexistent/b"));
    expect([renamed.path, renamed.dest]).toEqual(["/nonexistent/a", "/nonexistent/b"]);
  });

  test("is rejected for an argument without meaning, which it names", async () => {
    const wrong: [Promise<unknown>, string][] = [
      [reactor.read(-1, Buffer.alloc(1)), "fd must be from 0 to 2147483647, not -1"],
      [reactor.read(fd, "x" as never), 'into must be a Uint8Array, not "x"'],
      [reactor.write(fd, Buffer.alloc(1048577)), "data must be at most 1048576 bytes long, not 1048577"],
      [reactor.read(fd, Buffer.alloc(1), 0.5), "position must be an integer from -1 to 9007199254740991, not 0.5"],
      [reactor.openat(AT_FDCWD, "a\0b", 0), 'path must be a string or bytes without NUL, not "a\\u0000b"'],
      [reactor.nop({ timeoutMs: -1 }), "timeoutMs must be from 0 to 2147483648, not -1"],
      [reactor.nop({ signal: {} as never }), "signal must be an AbortSignal, not {}"],
    ];
    for (const [promise, message] of wrong) expect((await failure(promise)).message).toBe(message);
  });

  test("takes a position as a BigInt, and refuses by name every number that the kernel would get cut", async () => {
    const into = Buffer.alloc(4);
    const [byNumber, byBigInt] = [await reactor.read(fd, into, 2), Buffer.from(into)];
    expect([await reactor.read(fd, into, 2n), into]).toEqual([byNumber, byBigInt]);
    const { slotsInUse, sendBytesInUse } = reactorStats();
    for (const wrong of [NaN, 2 ** 60, -2, 2n ** 60n, "1", {}, null] as any[]) {
      const calls: [Promise<unknown>, string][] = [
        [reactor.read(fd, into, wrong), "position"],
        [reactor.write(fd, into, wrong), "position"],
        [reactor.readv(fd, [into], wrong), "position"],
        [reactor.writev(fd, [into], wrong), "position"],
        [reactor.syncFileRange(fd, wrong, 0, 0), "position"],
        [reactor.syncFileRange(fd, 0, wrong, 0), "bytes"],
        [reactor.fallocate(fd, 0, wrong, 1), "position"],
        [reactor.fallocate(fd, 0, 0, wrong), "bytes"],
        [reactor.ftruncate(fd, wrong), "bytes"],
        [reactor.fadvise(fd, wrong, 0, 0), "position"],
        [reactor.splice(fd, wrong, fd, -1, 1), "positionIn"],
        [reactor.splice(fd, -1, fd, wrong, 1), "positionOut"],
        [reactor.splice(fd, -1, fd, -1, wrong), "bytes"],
        [reactor.openat2(AT_FDCWD, "f", { flags: wrong }), "how.flags"],
        [reactor.openat2(AT_FDCWD, "f", { resolve: wrong }), "how.resolve"],
      ];
      for (const [promise, name] of calls) {
        const { message, code } = await failure(promise);
        expect(message).toStartWith(`${name} must be`);
        expect(["ERR_INVALID_ARG_TYPE", "ERR_OUT_OF_RANGE"]).toContain(code);
      }
    }
    for (const wrong of [NaN, 2 ** 40, 1n] as any[]) {
      const calls: [Promise<unknown>, string][] = [
        [reactor.statx(AT_FDCWD, "f", wrong), "flags"],
        [reactor.statx(AT_FDCWD, "f", 0, wrong), "mask"],
        [reactor.renameat(AT_FDCWD, "f", AT_FDCWD, "g", wrong), "flags"],
        [reactor.unlinkat(AT_FDCWD, "f", wrong), "flags"],
        [reactor.linkat(AT_FDCWD, "f", AT_FDCWD, "g", wrong), "flags"],
        [reactor.fadvise(fd, 0, 0, wrong), "advice"],
        [reactor.splice(fd, -1, fd, -1, 1, wrong), "flags"],
        [reactor.tee(fd, fd, 1, wrong), "flags"],
      ];
      for (const [promise, name] of calls) expect((await failure(promise)).message).toStartWith(`${name} must be`);
    }
    expect(reactorStats()).toMatchObject({ slotsInUse, sendBytesInUse });
  });

  test("ends with the signal's reason at once; its memory waits for the kernel", async () => {
    const { slotsInUse, sendBytesInUse } = reactorStats();
    const controller = new AbortController();
    const reason = new Error("enough");
    const reading = reactor.read(empty.readEnd, Buffer.alloc(10), -1, { signal: controller.signal });
    // After this, the kernel has the operation.
    await reactor.nop();
    expect(reactorStats().sendBytesInUse).toBeGreaterThan(sendBytesInUse);
    controller.abort(reason);
    expect(await failure(reading)).toBe(reason);
    await settled(slotsInUse);
    expect(reactorStats().sendBytesInUse).toBe(sendBytesInUse);
  });

  test("that opens something after its promise was rejected closes it", async () => {
    // Files and sockets that this test may have opened. Other code closes sockets meanwhile.
    const opened = (): string[] =>
      readdirSync("/proc/self/fd").flatMap((each) => {
        try {
          const target = readlinkSync(`/proc/self/fd/${each}`);
          return target === path || target.startsWith("socket:") ? [`${each} ${target}`] : [];
        } catch {
          return []; // It was closed meanwhile.
        }
      });
    const before = opened();
    const { slotsInUse } = reactorStats();
    const rejected: Promise<unknown>[] = [];
    for (let i = 0; i < 20; i++) {
      const controller = new AbortController();
      const { signal } = controller;
      rejected.push(failure(reactor.openat(AT_FDCWD, path, constants.O_RDONLY, 0, { signal })));
      rejected.push(failure(reactor.socket(2, 1, 0, { signal })));
      controller.abort(); // In the queue, the operation is before its cancellation.
    }
    for (const error of (await Promise.all(rejected)) as Error[]) expect(error.name).toBe("AbortError");
    await settled(slotsInUse);
    expect(opened().filter((each) => !before.includes(each))).toEqual([]);
  });

  test("does not start with a signal that is aborted", async () => {
    const { sqes, sendBytesInUse } = reactorStats();
    const error = await failure(reactor.read(fd, Buffer.alloc(10), 0, { signal: AbortSignal.abort() }));
    expect(error.name).toBe("AbortError");
    expect(reactorStats().sqes).toBe(sqes);
    expect(reactorStats().sendBytesInUse).toBe(sendBytesInUse);
  });

  test("that is over takes no notice of its signal", async () => {
    const controller = new AbortController();
    const into = Buffer.alloc(10);
    expect(await reactor.read(fd, into, 0, { signal: controller.signal })).toBe(10);
    controller.abort();
    expect(await reactor.read(fd, into, 0)).toBe(10);
  });

  test("ends with ETIMEDOUT when its time is up, and not before", async () => {
    const { slotsInUse } = reactorStats();
    const start = performance.now();
    const error = await failure(reactor.read(empty.readEnd, Buffer.alloc(10), -1, { timeoutMs: 30 }));
    expect(performance.now() - start).toBeGreaterThanOrEqual(30);
    expect([error.code, error.syscall]).toEqual(["ETIMEDOUT", "read"]);
    expect(await reactor.read(fd, Buffer.alloc(10), 0, { timeoutMs: 10_000 })).toBe(10);
    await settled(slotsInUse);
  });

  test("is cancelled again and again while a cancellation misses it", async () => {
    const { slotsInUse, sendBytesInUse } = reactorStats();
    const outcomes: Promise<unknown>[] = [];
    for (let i = 0; i < 50; i++) {
      const ends = new Pipe();
      const { readEnd, writeEnd } = ends;
      const controller = new AbortController();
      const reading = reactor.read(readEnd, Buffer.alloc(1), -1, { signal: controller.signal });
      await reactor.nop();
      // The kernel gets the wake-up of the read and its cancellation at the same time.
      const writing = reactor.write(writeEnd, Buffer.from("x"));
      controller.abort();
      outcomes.push(Promise.allSettled([reading, writing]).then(() => ends[Symbol.dispose]()));
    }
    await Promise.all(outcomes);
    await settled(slotsInUse);
    expect(reactorStats().sendBytesInUse).toBe(sendBytesInUse);
  });

  test("is one of more than the queue has entries for", async () => {
    const { sqEntries } = reactor.info.limits;
    const reads = Array.from({ length: sqEntries * 3 }, async (_, i) => {
      const into = Buffer.alloc(1);
      await reactor.read(fd, into, i % 10);
      return into.toString();
    });
    expect((await Promise.all(reads)).join("")).toBe(
      Array.from({ length: sqEntries * 3 }, (_, i) => String(i % 10)).join(""),
    );
  });

  test("leaves nothing behind, whatever came of it", async () => {
    const { slotsInUse, sendBytesInUse, operationsInFlight } = reactorStats();
    for (let i = 0; i < 1000; i++) {
      await Promise.allSettled([
        reactor.read(fd, Buffer.alloc(10), 0),
        reactor.openat(AT_FDCWD, "/nonexistent", 0),
        reactor.openat(AT_FDCWD, "a\0b", 0),
        reactor.statx(AT_FDCWD, path),
        reactor.read(fd, Buffer.alloc(10), 0, { timeoutMs: 1000 }),
      ]);
    }
    await settled(slotsInUse);
    expect(reactorStats().sendBytesInUse).toBe(sendBytesInUse);
    // The poll and the timer of the turn itself.
    expect(reactorStats().operationsInFlight).toBeLessThanOrEqual(operationsInFlight + 2);
  });

  test("keeps the process alive until it is over", async () => {
    const program = `
      import { useReactor } from ${JSON.stringify(indexPath)};
      useReactor().timeout(30).then(() => console.log("over"));
    `;
    expect((await attempt([process.execPath, "-e", program])).stdout).toBe("over\n");
  });

  test("that was aborted does not keep the process alive", async () => {
    const program = `
      import { useReactor } from ${JSON.stringify(indexPath)};
      const controller = new AbortController();
      useReactor().timeout(1e6, { signal: controller.signal }).catch(() => console.log("aborted"));
      setTimeout(() => controller.abort(), 10);
    `;
    expect((await attempt([process.execPath, "-e", program])).stdout).toBe("aborted\n");
  });

  describe("in a chain", () => {
    test("starts when the one before has succeeded, without coming back between them", async () => {
      const file = join(directory, "chained");
      const opened = await reactor.openat(AT_FDCWD, file, constants.O_CREAT | constants.O_RDWR);
      const into = Buffer.alloc(5);
      const { write, fsync } = {
        write: reactor.op.write(opened, Buffer.from("chain"), 0),
        fsync: reactor.op.fsync(opened),
      };
      const values = await reactor.chain(write, fsync, reactor.op.read(opened, into, 0), reactor.op.closeFd(opened));
      expect(values).toEqual([5, undefined, 5, undefined]);
      expect(into.toString()).toBe("chain");
      expect(readFileSync(file, "utf8")).toBe("chain");
    });

    test("is cancelled when the one before fails, and the chain fails for that reason", async () => {
      const { slotsInUse, sendBytesInUse } = reactorStats();
      const target = join(directory, "never");
      const { op } = reactor;
      const error = await failure(
        reactor.chain(
          op.nop(),
          op.openat(AT_FDCWD, "/nonexistent/file", 0),
          op.mkdirat(AT_FDCWD, target),
          op.mkdirat(AT_FDCWD, join(target, "below")),
        ),
      );
      expect([error.code, error.path]).toEqual(["ENOENT", "/nonexistent/file"]);
      expect((await failure(reactor.statx(AT_FDCWD, target))).code).toBe("ENOENT");
      await settled(slotsInUse);
      expect(reactorStats().sendBytesInUse).toBe(sendBytesInUse);
    });

    test("is cancelled when the one before reads less than asked for", async () => {
      const { op } = reactor;
      const error = await failure(reactor.chain(op.read(fd, Buffer.alloc(100), 0), op.nop()));
      expect(error.code).toBe("ECANCELED");
    });

    test("has a time limit of its own", async () => {
      const { op } = reactor;
      const reading = op.read(empty.readEnd, Buffer.alloc(1), -1, { timeoutMs: 20 });
      const error = await failure(reactor.chain(op.nop(), reading, op.nop()));
      expect([error.code, error.syscall]).toEqual(["ETIMEDOUT", "read"]);
      const [, bytes] = await reactor.chain(
        op.nop(),
        op.read(fd, Buffer.alloc(10), 0, { timeoutMs: 10_000 }),
        op.nop(),
      );
      expect(bytes).toBe(10);
    });

    test("ends with a signal that all of it has", async () => {
      const { slotsInUse } = reactorStats();
      const { op } = reactor;
      const controller = new AbortController();
      const { signal } = controller;
      const chain = reactor.chain(op.read(empty.readEnd, Buffer.alloc(1), -1, { signal }), op.nop({ signal }));
      await reactor.nop();
      controller.abort();
      expect((await failure(chain)).name).toBe("AbortError");
      await settled(slotsInUse);
    });

    test("that waits for the one before cannot be cancelled yet, and leaves nothing behind", async () => {
      const { slotsInUse, sendBytesInUse } = reactorStats();
      const { op } = reactor;
      using ends = new Pipe();
      const controller = new AbortController();
      const { signal } = controller;
      const chain = reactor.chain(op.read(ends.readEnd, Buffer.alloc(1)), op.nop({ signal }));
      await reactor.nop();
      controller.abort();
      for (let i = 0; i < 4; i++) await reactor.nop(); // Until then, the cancellation has missed twice.
      await reactor.write(ends.writeEnd, Buffer.from("x"));
      expect((await failure(chain)).name).toBe("AbortError");
      await settled(slotsInUse);
      expect(reactorStats().sendBytesInUse).toBe(sendBytesInUse);
    });

    test("does not start with a signal that is aborted, and nor does the rest", async () => {
      const { sqes, sendBytesInUse } = reactorStats();
      const { op } = reactor;
      const reading = op.read(fd, Buffer.alloc(10), 0);
      const error = await failure(reactor.chain(reading, op.nop({ signal: AbortSignal.abort() })));
      expect(error.name).toBe("AbortError");
      expect(reactorStats().sqes).toBe(sqes);
      expect(reactorStats().sendBytesInUse).toBe(sendBytesInUse);
    });

    test("runs once, and takes no other's place in a queue that is too short", async () => {
      const { op } = reactor;
      const once = op.nop();
      await reactor.chain(once);
      expect((await failure(reactor.chain(once))).message).toBe("an operation runs once: describe it anew");
      const { sqEntries } = reactor.info.limits;
      const tooMany = Array.from({ length: sqEntries + 1 }, () => op.read(fd, Buffer.alloc(1), 0));
      const { sendBytesInUse } = reactorStats();
      expect((await failure(reactor.chain(...tooMany))).message).toStartWith(
        `a chain takes at most ${sqEntries} entries`,
      );
      expect(reactorStats().sendBytesInUse).toBe(sendBytesInUse);
      expect((await failure(reactor.chain("x" as never))).message).toStartWith(
        "operations[0] must be made by reactor.op",
      );
    });
  });
});

function socketInode(fd: number): string | undefined {
  return /socket:\[(\d+)\]/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
}
