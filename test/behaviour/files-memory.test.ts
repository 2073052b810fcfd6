/**
 * Changes during operations on files. Memory changes: a resizable ArrayBuffer shrinks, an
 * ArrayBuffer is transferred, a WebAssembly memory grows. Handles are closed, and the number of the
 * descriptor belongs to another file then.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { constants, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { createServer, type Socket as NodeSocket } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Sqe } from "../../src/ring/index.ts";
import { files, isBun, reactor, reactorStats, serve, settled } from "./subject.ts";

const AT_FDCWD = -100;

let directory: string;
const at = (name: string): string => join(directory, name);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "ringloop-memory-"));
  writeFileSync(at("f"), Buffer.alloc(3_000_000, "f"));
});
afterEach(() => rmSync(directory, { recursive: true }));

interface Memory {
  view: Uint8Array;
  change(): void;
}

/** The kinds of memory: a view of `bytes` bytes "u", and a function that changes the memory. */
const kinds: Record<string, (bytes: number) => Memory> = {
  "is transferred": (bytes) => {
    const view = new Uint8Array(bytes).fill(0x75);
    return { view, change: () => void (view.buffer as any).transfer() };
  },
  "is posted": (bytes) => {
    const view = new Uint8Array(bytes).fill(0x75);
    return { view, change: () => void structuredClone(view, { transfer: [view.buffer] }) };
  },
  shrinks: (bytes) => {
    const memory = new (ArrayBuffer as any)(bytes, { maxByteLength: bytes });
    return { view: new Uint8Array(memory).fill(0x75), change: () => memory.resize(10) };
  },
  "shrinks under a part": (bytes) => {
    const memory = new (ArrayBuffer as any)(bytes + 100, { maxByteLength: bytes + 100 });
    return { view: new Uint8Array(memory, 100, bytes).fill(0x75), change: () => memory.resize(10) };
  },
  grows: (bytes) => {
    const memory = new (ArrayBuffer as any)(bytes, { maxByteLength: bytes + 100_000 });
    return { view: new Uint8Array(memory).fill(0x75), change: () => memory.resize(bytes + 100_000) };
  },
  "is WebAssembly's and grows": (bytes) => {
    const memory = new WebAssembly.Memory({ initial: 100, maximum: 200 });
    return { view: new Uint8Array(memory.buffer, 64, bytes).fill(0x75), change: () => void memory.grow(1) };
  },
};

/**
 * Whether all bytes of the view are in `among`. A view of detached memory has no bytes, and its
 * `every` throws.
 */
function isOf(bytes: Uint8Array, ...among: number[]): boolean {
  for (let i = 0; i < bytes.length; i++) if (!among.includes(bytes[i]!)) return false;
  return true;
}
const [FILE, USER] = [0x66, 0x75];

/** Returns the value of a promise, or "refused" for an error about the changed memory. */
const outcome = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (value) => value,
    (error: Error) => {
      // The error is not fatal, and it does not come from the kernel.
      expect([error.name, error.message]).toEqual([
        "RangeError",
        isBun ? expect.any(String) : expect.stringMatching(/must (keep its|be from 0)/),
      ]);
      return "refused";
    },
  );

describe.each(Object.entries(kinds))("memory that %s", (_, make) => {
  for (const bytes of [100, 100_000, 2_500_000]) {
    // If the data fit one piece, the call itself copies them.
    const isCopied = bytes <= 1_048_576;

    test(`is read into, ${bytes} bytes`, async () => {
      const file = await files.open(at("f"), "r");
      const calls: ((view: Uint8Array) => Promise<unknown>)[] = [
        (view) => file.read(view, 0, bytes, 0).then(({ bytesRead }) => bytesRead),
        (view) => file.readv([view], 0).then(({ bytesRead }) => bytesRead),
      ];
      for (const call of calls) {
        const { view, change } = make(bytes);
        const promise = call(view);
        change();
        const result = await outcome(promise);
        if (isBun) expect(result === "refused" || (result as number) <= bytes).toBe(true);
        else expect(["refused", bytes]).toContain(result as number);
        // The memory has bytes of the file, or its old bytes.
        expect(isOf(view, FILE, USER, 0)).toBe(true);
      }
      await file.close();
    });

    test(`is written from, ${bytes} bytes`, async () => {
      const calls: ((view: Uint8Array, path: string) => Promise<unknown>)[] = [
        async (view, path) => {
          const file = await files.open(path, "w");
          try {
            return await file.write(view, 0, bytes, 0).then(({ bytesWritten }) => bytesWritten);
          } finally {
            await file.close();
          }
        },
        async (view, path) => {
          const file = await files.open(path, "w");
          try {
            return await file.writev([view], 0).then(({ bytesWritten }) => bytesWritten);
          } finally {
            await file.close();
          }
        },
        (view, path) => files.writeFile(path, view),
        async (view, path) => {
          const file = await files.open(path, "w");
          try {
            return await file.writeFile(view);
          } finally {
            await file.close();
          }
        },
      ];
      for (const [i, call] of calls.entries()) {
        const { view, change } = make(bytes);
        const path = at(`w${i}`);
        const promise = call(view, path);
        // The change comes only after the call has begun to write: to open the file takes a while.
        await Promise.resolve();
        change();
        const result = await outcome(promise);
        const content = readFileSync(path);
        if (result === "refused") expect(content.length).toBeLessThan(bytes);
        else expect(content.length).toBeLessThanOrEqual(bytes + 100_000);
        // The file has no foreign bytes, whatever its length is.
        expect(isOf(content, USER, 0)).toBe(true);
      }
    });

    test(`is written from at once, ${bytes} bytes`, async () => {
      const file = await files.open(at("w"), "w+");
      for (const call of ["write", "writev"] as const) {
        const { view, change } = make(bytes);
        const promise = call === "write" ? file.write(view, 0, bytes, 0) : file.writev([view], 0);
        change();
        const result = await outcome((promise as Promise<{ bytesWritten: number }>).then((done) => done.bytesWritten));
        if (isCopied && !isBun) expect(result).toBe(bytes);
        expect(isOf(readFileSync(at("w")), USER, 0)).toBe(true);
      }
      await file.close();
    });
  }
});

describe.skipIf(isBun)("the promise layer", () => {
  test("takes what memory has when a chain starts, or refuses it", async () => {
    const used = reactor()!;
    const file = await files.open(at("w"), "w+");
    for (const make of Object.values(kinds)) {
      const { view, change } = make(4000);
      const operation = used.op.write(file.fd, view, 0);
      change();
      const promise = used.chain(operation, used.op.fsync(file.fd));
      expect(["refused", 4000]).toContain((await outcome(promise.then(([written]) => written))) as number);
      expect(isOf(readFileSync(at("w")), USER)).toBe(true);
    }
    await file.close();
  });

  test("gives a datagram's own length with MSG_TRUNC, as recv(2) does", async () => {
    const used = reactor()!;
    const [receiver, sender] = [await used.socket(2, 2), await used.socket(2, 2)];
    const { promise: port, resolve } = Promise.withResolvers<number>();
    // The receiver will listen on this free port.
    const probe = createServer().listen(0, "127.0.0.1", () => {
      const { port: free } = probe.address() as { port: number };
      probe.close(() => resolve(free));
    });
    await used.bind(receiver, { hostname: "127.0.0.1", port: await port });
    await used.connect(sender, { hostname: "127.0.0.1", port: await port });
    await used.send(sender, Buffer.alloc(1000, "d"));
    const room = Buffer.alloc(16, ".");
    expect(await used.recv(receiver, room, 0x20)).toBe(1000);
    expect(room.toString()).toBe("d".repeat(16));
    await used.send(sender, Buffer.alloc(1000, "e"));
    expect(await used.recv(receiver, room)).toBe(16);
    await Promise.all([used.closeFd(receiver), used.closeFd(sender)]);
  });

  test("keeps a chain that is abandoned from a file that gets its descriptor's number", async () => {
    const used = reactor()!;
    writeFileSync(at("victim"), "victim");
    const { O_RDWR, O_CREAT } = constants;
    for (let round = 0; round < 20; round++) {
      const fd = await used.openat(AT_FDCWD, at("own"), O_RDWR | O_CREAT, 0o600);
      const abort = new AbortController();
      const { signal } = abort;
      const chain = used.chain(used.op.nop({ signal }), used.op.write(fd, Buffer.from("secret"), 0, { signal }));
      abort.abort();
      expect(await chain.catch((error) => error.name)).toBe("AbortError");
      // The kernel looks up the descriptor of the write when it starts the write. The number
      // belongs to another file at once.
      const closed = used.closeFd(fd);
      const victims = await Promise.all([1, 2].map(() => used.openat(AT_FDCWD, at("victim"), O_RDWR)));
      await closed;
      for (let i = 0; i < 3; i++) await used.nop();
      expect(readFileSync(at("victim"), "utf8")).toBe("victim");
      for (const victim of victims) await used.closeFd(victim);
    }
  });

  test("runs an entry of one's own, which harms no other", async () => {
    const used = reactor()!;
    expect(await used.entry((sqe) => sqe.prepNop().setUserData(0xffffffff, 0xffffffff))).toBe(0);
    expect(await used.entry((sqe) => sqe.prepRead(-1, 0, 1)).catch(({ code }) => code)).toBe("EBADF");
    expect(await used.entry((sqe) => sqe.prepNop().link()).catch(({ name }) => name)).toBe("TypeError");
    expect(await used.entry(async (sqe) => void sqe.prepNop()).catch(({ code }) => code)).toBe(
      "ERR_INVALID_RETURN_VALUE",
    );
    expect(await used.entry((sqe) => sqe.prepRead(0, 0, -1)).catch(({ name }) => name)).toBe("RangeError");
    let kept: Sqe | undefined;
    const entry = used.op.entry((sqe) => void (kept = sqe.prepNop()));
    const later = used.op.entry((sqe) => {
      kept!.link().skipSuccess();
      sqe.prepNop();
    });
    expect(await used.chain(entry, later)).toEqual([0, 0]);
    const failure = new Error("the program's own");
    const throws = used.entry((sqe) => {
      sqe.prepClose(0);
      throw failure;
    });
    expect(await throws.catch((error) => error)).toBe(failure);
    expect(() => statSync("/proc/self/fd/0")).not.toThrow();
    expect(await used.nop()).toBeUndefined();
  });

  test("refuses what no field can hold, and leaves nothing behind", async () => {
    const used = reactor()!;
    const { slotsInUse, sendBytesInUse } = reactorStats();
    const file = await files.open(at("w"), "w+");
    const wrong: (() => Promise<unknown>)[] = [
      () => used.fallocate(file.fd, NaN, 0, 1),
      () => used.fallocate(file.fd, 2 ** 40, 0, 1),
      () => used.splice(file.fd, -5, file.fd, -1, 1),
      () => used.send(file.fd, Buffer.alloc(1), 2 ** 40),
      () => used.chain(used.op.write(file.fd, Buffer.from("x"), 0), used.op.fallocate(file.fd, 1.5, 0, 1)),
    ];
    for (const call of wrong) {
      const error = await call().catch((reason) => reason);
      expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
    }
    const twice = used.op.nop();
    expect((await used.chain(twice, twice).catch((error) => error)).message).toContain("runs once");
    await file.close();
    await settled(slotsInUse);
    expect(reactorStats().sendBytesInUse).toBe(sendBytesInUse);
  });
});

describe("a handle that is closed under an operation", () => {
  const large = Buffer.alloc(5_000_000, "A");

  for (const [name, start] of Object.entries({
    write: (file: Handle) => file.write(large, 0, large.length, 0),
    writev: (file: Handle) => file.writev([large], 0),
    writeFile: (file: Handle) => file.writeFile(large),
  } as Record<string, (file: Handle) => Promise<unknown>>)) {
    test(`${name} writes all of it to its own file`, async () => {
      writeFileSync(at("victim"), "victim");
      const file = await files.open(at("w"), "w");
      const written = start(file);
      const closed = file.close();
      // Files that would get the number of the descriptor.
      const victims = [];
      for (let i = 0; i < 8; i++) victims.push(await files.open(at("victim"), "r+"));
      await Promise.all([written, closed]);
      for (const victim of victims) await victim.close();
      expect(readFileSync(at("victim"), "utf8")).toBe("victim");
      expect(readFileSync(at("w")).equals(large)).toBe(true);
    });
  }

  test("reads all of it from its own file", async () => {
    writeFileSync(at("victim"), Buffer.alloc(5_000_000, "V"));
    const file = await files.open(at("f"), "r");
    const buffer = Buffer.alloc(3_000_000);
    const reads = [file.read(buffer, 0, buffer.length, 0), file.readFile()] as Promise<any>[];
    const closed = file.close();
    const victims = [];
    for (let i = 0; i < 8; i++) victims.push(await files.open(at("victim"), "r"));
    const [read, whole] = await Promise.all(reads);
    await closed;
    for (const victim of victims) await victim.close();
    expect(read.bytesRead).toBe(3_000_000);
    expect([buffer.includes("V"), whole.includes("V")]).toEqual([false, false]);
  });

  test("gives nothing to a socket that gets its number", async () => {
    const received: Buffer[] = [];
    const sockets: NodeSocket[] = [];
    using server = serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("answer") });
    const file = await files.open(at("w"), "w");
    const written = file.writeFile(large);
    const closed = file.close();
    const { connect } = await import("node:net");
    for (let i = 0; i < 8; i++) {
      const socket = connect(server.port, "127.0.0.1");
      socket.on("data", (data: Buffer) => received.push(data));
      sockets.push(socket);
      await once(socket, "connect");
    }
    await Promise.all([written, closed]);
    for (const socket of sockets) socket.destroy();
    expect(Buffer.concat(received).includes("AAAA")).toBe(false);
    expect(readFileSync(at("w")).equals(large)).toBe(true);
  });

  test("is EBADF to whatever begins afterwards, a stream's next chunk included", async () => {
    const file = await files.open(at("w"), "w");
    if (!isBun) {
      const writer = file.writable().getWriter();
      await writer.write("first line\n");
      await file.close();
      const other = await files.open(at("victim"), "w");
      expect(await writer.write("second line\n").catch((error) => error.code)).toBe("EBADF");
      await other.close();
      expect(readFileSync(at("victim"), "utf8")).toBe("");
      expect(readFileSync(at("w"), "utf8")).toBe("first line\n");
    } else await file.close();
    expect(file.fd).toBe(-1);
    expect(await file.write("x").catch((error) => error.code)).toBe("EBADF");
    expect(await file.read().catch((error) => error.code)).toBe("EBADF");
    await file.close();
  });

  test.skipIf(isBun)("waits for the last completion of an operation that was abandoned", async () => {
    Bun.spawnSync(["mkfifo", at("pipe")]);
    const file = await files.open(at("pipe"), "r+");
    const { slotsInUse } = reactorStats();
    const used = reactor()!;
    const { closeFd } = used;
    let inUse = -1;
    used.closeFd = (fd) => {
      inUse = reactorStats().slotsInUse - slotsInUse;
      return closeFd.call(used, fd);
    };
    try {
      const abort = new AbortController();
      const { fd } = file;
      const read = file.read({ signal: abort.signal });
      abort.abort();
      const closed = file.close();
      expect(await read.catch((error) => error.name)).toBe("AbortError");
      await closed;
      expect(inUse).toBe(0);
      expect(() => statSync(`/proc/self/fd/${fd}`)).toThrow("ENOENT");
    } finally {
      used.closeFd = closeFd;
    }
  });
});

type Handle = Awaited<ReturnType<typeof files.open>>;

describe("permissions", () => {
  const mode = (name: string): string => (statSync(at(name)).mode & 0o7777).toString(8);

  test("a copy has those of its source, over an existing file too", async () => {
    writeFileSync(at("secret"), "secret", { mode: 0o600 });
    writeFileSync(at("existing"), "shown", { mode: 0o644 });
    writeFileSync(at("program"), "program");
    const { chmodSync } = await import("node:fs");
    chmodSync(at("program"), 0o777);
    await files.copyFile(at("secret"), at("existing"));
    await files.copyFile(at("secret"), at("new"));
    await files.copyFile(at("program"), at("copied program"));
    expect(["existing", "new", "copied program"].map(mode)).toEqual(["600", "600", "777"]);
  });

  test.skipIf(isBun)("an atomic write keeps those of the file that it replaces", async () => {
    writeFileSync(at("secret"), "old", { mode: 0o600 });
    await files.writeFile(at("secret"), "new", { atomic: true });
    expect([mode("secret"), readFileSync(at("secret"), "utf8")]).toEqual(["600", "new"]);
    await files.writeFile(at("secret"), "newer", { atomic: true, mode: 0o640 });
    expect(mode("secret")).toBe("640");
    writeFileSync(at("umask"), "");
    await files.writeFile(at("fresh"), "new", { atomic: true });
    expect(mode("fresh")).toBe(mode("umask"));
  });

  test.skipIf(isBun)("nobody else can read a file while it is written", async () => {
    writeFileSync(at("secret"), Buffer.alloc(8_000_000, "s"), { mode: 0o600 });
    writeFileSync(at("copy"), "", { mode: 0o644 });
    const { readdirSync } = await import("node:fs");
    const seen = new Set<string>();
    const look = (): void => {
      for (const name of readdirSync(directory))
        if (/^\.secret\.|^copy$/.test(name) && statSync(at(name)).size > 0) seen.add(mode(name));
    };
    const chunks = async function* () {
      for (let i = 0; i < 8; i++) {
        look();
        yield Buffer.alloc(1_000_000, "t");
      }
    };
    await files.writeFile(at("secret"), chunks(), { atomic: true });
    truncateSync(at("secret"), 64 * 1048576); // A copy of it takes a while, also if the kernel copies.
    const copied = files.copyFile(at("secret"), at("copy"));
    while (Bun.peek.status(copied) === "pending") {
      look();
      await new Promise((resolve) => setImmediate(resolve));
    }
    look();
    expect([...seen]).toEqual(["600"]);
  });
});

test("a fresh buffer holds nothing but what was read", async () => {
  writeFileSync(at("one"), "x");
  for (let i = 0; i < 40; i++) {
    // Makes freed memory that contains a secret.
    Array.from({ length: 50 }, () => Buffer.allocUnsafeSlow(16384).fill("SECRET!!"));
    Bun.gc(true);
    const file = await files.open(at("one"), "r");
    const { buffer } = await file.read();
    expect(Buffer.from(buffer.buffer).includes("SECRET")).toBe(false);
    await file.close();
  }
  const whole = (await files.readFile("/proc/self/cmdline")) as Buffer;
  expect(Buffer.from(whole.buffer).includes("SECRET")).toBe(false);
});
