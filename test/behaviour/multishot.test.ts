/** Operations that complete again and again, as async iterators. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { closeSync, fstatSync, readdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Multishot, Reactor } from "../../src/index.ts";
import {
  AF_INET,
  eventfd,
  memfdCreate,
  pipe2,
  POLLIN,
  Ring,
  RingMemory,
  SOCK_STREAM,
  socketpair,
  timerfdCreate,
  timerfdSettime,
} from "../../src/ring/index.ts";
import { native, pointerTo } from "../../src/sys/library.ts";
import { decodeAddress } from "../../src/sys/sockaddr.ts";
import { attempt } from "./process.ts";
import { isBun, reactor as theReactor, settled } from "./subject.ts";

const indexPath = join(import.meta.dir, "../../src/index.ts");

async function failureOf(promise: Promise<unknown>): Promise<any> {
  return promise.then(
    (value) => new Error(`it was fulfilled, with ${Bun.inspect(value)}`),
    (error: unknown) => error,
  );
}

const isOpen = (fd: number): boolean => {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
};

describe.skipIf(isBun)("an operation that completes again and again", () => {
  let reactor: Reactor;
  let inFlight: number;

  beforeAll(() => {
    reactor = theReactor()!;
  });
  beforeEach(() => {
    inFlight = reactor.stats().slotsInUse;
  });
  /** Expects that the ring has no operation of the iterator any more. */
  const isGone = (): void => expect(reactor.stats().slotsInUse).toBeLessThanOrEqual(inFlight);
  afterAll(() => settled(inFlight));

  /** Returns a listening socket, and a function that connects to it. */
  async function listening(): Promise<{ fd: number; connect: () => Promise<number> }> {
    const fd = await reactor.socket(AF_INET, SOCK_STREAM);
    await reactor.bind(fd, { hostname: "127.0.0.1", port: 0 });
    await reactor.listen(fd, 512);
    const bytes = new Uint8Array(16);
    native().rl_sockname(fd, 0, pointerTo(bytes), 16);
    const { port } = decodeAddress(bytes);
    const connect = async (): Promise<number> => {
      const client = await reactor.socket(AF_INET, SOCK_STREAM);
      await reactor.connect(client, { hostname: "127.0.0.1", port });
      return client;
    };
    return { fd, connect };
  }

  test("gives connections, in order, until it is left", async () => {
    const { fd, connect } = await listening();
    const opened: number[] = [];
    const clients = Promise.all([connect(), connect(), connect()]);
    for await (const connection of reactor.acceptMultishot(fd)) {
      opened.push(connection);
      if (opened.length === 3) break;
    }
    isGone();
    for (const each of [...opened, ...(await clients), fd]) closeSync(each);
    expect(new Set(opened).size).toBe(3);
  });

  test("closes connections that nobody has taken", async () => {
    const { fd, connect } = await listening();
    await using accepted = reactor.acceptMultishot(fd);
    const first = accepted.next();
    const clients = [await connect(), await connect()];
    const { value } = (await first) as { value: number };
    await accepted.return();
    // The second connection was accepted and closed, or it is in the queue and ends with the
    // listener.
    closeSync(fd);
    const into = Buffer.alloc(1);
    expect(await reactor.recv(clients[1]!, into).catch(() => 0)).toBe(0);
    for (const each of [value, ...clients]) closeSync(each);
  });

  test("closes a connection that comes while it is being left", async () => {
    const { fd } = await listening();
    const bytes = new Uint8Array(16);
    native().rl_sockname(fd, 0, pointerTo(bytes), 16);
    const accepted = reactor.acceptMultishot(fd);
    const leaving = accepted.next().then(async ({ value }) => {
      closeSync(value!);
      return accepted.return();
    });
    await reactor.nop();
    using ring = Ring.queueInit(2);
    using memory = new RingMemory();
    const clients = [await reactor.socket(AF_INET, SOCK_STREAM), await reactor.socket(AF_INET, SOCK_STREAM)];
    const before = readdirSync("/proc/self/fd").length;
    // Both connect before the reactor looks again. The loop ends at the first connection, and the
    // second one comes directly after it.
    const where = memory.copy(bytes).address;
    for (const client of clients) ring.getSqe()!.prepConnect(client, where, 16);
    ring.submitAndWait(2);
    await leaving;
    expect(readdirSync("/proc/self/fd").length).toBe(before);
    for (const each of [...clients, fd]) closeSync(each);
  });

  test("leaves connections in the kernel's queue while too many wait", async () => {
    const { fd, connect } = await listening();
    const accepted = reactor.acceptMultishot(fd);
    const first = accepted.next();
    const clients: number[] = [];
    while (clients.length < 100) clients.push(await connect());
    const taken = [((await first) as { value: number }).value];
    const before = readdirSync("/proc/self/fd").length;
    for (let i = 1; i < 100; i++) taken.push(((await accepted.next()) as { value: number }).value);
    expect(new Set(taken).size).toBe(100);
    // Many connections had not been accepted when all had connected.
    expect(readdirSync("/proc/self/fd").length - before).toBeGreaterThanOrEqual(20);
    await accepted.return();
    for (const each of [...taken, ...clients, fd]) closeSync(each);
  });

  test("gives events, and those that nobody has taken as one", async () => {
    const fd = eventfd();
    const events = reactor.pollMultishot(fd, POLLIN);
    const first = events.next();
    const add = (): void => void writeSync(fd, new Uint8Array(BigUint64Array.of(1n).buffer));
    add();
    expect(await first).toEqual({ done: false, value: POLLIN });
    add();
    add();
    await reactor.nop();
    await reactor.nop();
    expect(await events.next()).toEqual({ done: false, value: POLLIN });
    await events.return();
    isGone();
    closeSync(fd);
    expect(await events.next()).toEqual({ done: true, value: undefined });
  });

  test("gives what a socket receives, until its peer ends", async () => {
    const [near, far] = socketpair();
    const { receiveBuffersAvailable } = reactor.stats();
    const received: string[] = [];
    const bytes = reactor.recvMultishot(near);
    for (const text of ["one", "two", "three"]) {
      writeSync(far, text);
      received.push(String((await bytes.next()).value));
    }
    writeSync(far, "last");
    closeSync(far);
    for await (const piece of bytes) received.push(piece.toString());
    expect(received).toEqual(["one", "two", "three", "last"]);
    expect(reactor.stats().receiveBuffersAvailable).toBeGreaterThanOrEqual(receiveBuffersAvailable);
    isGone();
    closeSync(near);
  });

  test("leaves bytes in the kernel while too many wait, and loses none", async () => {
    const [near, far] = socketpair();
    const total = 4 * 1024 * 1024;
    let sent = 0;
    const bytes = reactor.recvMultishot(near);
    const first = bytes.next();
    const sending = (async () => {
      const block = Buffer.alloc(65536);
      while (sent < total) {
        for (let i = 0; i < block.length; i++) block[i] = (sent + i) % 251;
        for (let from = 0; from < block.length;) from += await reactor.send(far, block.subarray(from));
        sent += block.length;
      }
      await reactor.shutdown(far, 1);
    })();
    let { value: piece } = (await first) as { value: Buffer | undefined };
    // The iterator takes nothing for a while, so the sender stops.
    for (let last = -1; last !== sent; await reactor.timeout(20)) last = sent;
    expect(sent).toBeLessThan(total / 2);
    let got = 0;
    for (; piece !== undefined; { value: piece } = await bytes.next()) {
      for (const byte of piece) if (byte !== got++ % 251) throw new Error(`byte ${got} is ${byte}`);
    }
    expect(got).toBe(total);
    await sending;
    for (const fd of [near, far]) closeSync(fd);
  });

  test("reads a pipe until its end", async () => {
    const [from, to] = pipe2();
    const bytes = reactor.readMultishot(from);
    const first = bytes.next();
    writeSync(to, "through");
    expect(String((await first).value)).toBe("through");
    closeSync(to);
    expect(await bytes.next()).toEqual({ done: true, value: undefined });
    closeSync(from);
    const file = memfdCreate("file");
    expect(await failureOf(reactor.readMultishot(file).next())).toMatchObject({ code: "EBADFD", syscall: "read" });
    closeSync(file);
  });

  test("gives times: so many, and those that nobody has taken as one", async () => {
    let fired = 0;
    for await (const times of reactor.timeoutMultishot(1, 5)) fired += times;
    expect(fired).toBe(5);
    const start = performance.now();
    const ticks = reactor.timeoutMultishot(2.5);
    let times = (await ticks.next()).value!;
    // On a busy machine the kernel fires the timer late, and so less often.
    for (let untaken = 1; untaken < 2; times += untaken) {
      await reactor.timeout(10);
      untaken = (await ticks.next()).value!;
    }
    await ticks.return();
    expect(times).toBeLessThanOrEqual((performance.now() - start) / 2.5);
    isGone();
  });

  test("answers several calls in order, and ends them all when it is left", async () => {
    const [near, far] = socketpair();
    const bytes = reactor.recvMultishot(near);
    const [first, second, third] = [bytes.next(), bytes.next(), bytes.next()];
    writeSync(far, "a");
    expect(String((await first).value)).toBe("a");
    writeSync(far, "b");
    expect(String((await second).value)).toBe("b");
    await bytes.return();
    expect(await third).toEqual({ done: true, value: undefined });
    isGone();
    for (const fd of [near, far]) closeSync(fd);
  });

  test("gives what has come before an error, and then the error, once", async () => {
    const { fd, connect } = await listening();
    const [client, server] = await Promise.all([connect(), reactor.accept(fd)]);
    const bytes = reactor.recvMultishot(server);
    const first = bytes.next();
    await reactor.send(client, Buffer.from("a"));
    await first;
    await reactor.send(client, Buffer.from("b"));
    await reactor.timeout(5);
    // SO_LINGER with a time of 0 closes with a reset.
    await reactor.setsockopt(client, 1, 13, new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]));
    closeSync(client);
    const rest = [];
    for (;;) {
      const next = await bytes.next().catch((error: { code: string }) => error.code);
      rest.push(typeof next === "string" ? next : next.done === true ? "done" : next.value.toString());
      if (rest.at(-1) === "done") break;
    }
    expect(rest).toEqual(["b", "ECONNRESET", "done"]);
    for (const each of [server, fd]) closeSync(each);
  });

  test("ends with the signal's reason, at once, and with what waits", async () => {
    const fd = eventfd(1);
    const controller = new AbortController();
    const events = reactor.pollMultishot(fd, POLLIN, { signal: controller.signal });
    await events.next();
    writeSync(fd, new Uint8Array(BigUint64Array.of(1n).buffer));
    await reactor.timeout(5); // After this, a value waits.
    controller.abort(new Error("enough"));
    expect((await failureOf(events.next())).message).toBe("enough");
    expect(await events.next()).toEqual({ done: true, value: undefined });
    await events.return();
    isGone();
    const aborted = reactor.pollMultishot(fd, POLLIN, { signal: AbortSignal.abort("before") });
    expect(await failureOf(aborted.next())).toBe("before");
    closeSync(fd);
    isGone();
  });

  test("ends an iteration that waits", async () => {
    const fd = timerfdCreate();
    timerfdSettime(fd, { valueMs: 60_000 });
    const events = reactor.pollMultishot(fd, POLLIN);
    const waiting = (async () => {
      for await (const _ of events) return "an event";
      return "the end";
    })();
    await events.return();
    expect(await waiting).toBe("the end");
    closeSync(fd);
  });

  test("is nothing until it is asked for a value", async () => {
    const fd = eventfd(1);
    const events = reactor.pollMultishot(fd, POLLIN);
    isGone();
    await events.return();
    expect(await events.next()).toEqual({ done: true, value: undefined });
    closeSync(fd);
  });

  test("fails for what is no descriptor, and for arguments without meaning", async () => {
    const none = reactor.acceptMultishot(0x7ffffffe);
    expect(await failureOf(none.next())).toMatchObject({ code: "EBADF", syscall: "accept" });
    expect(await none.next()).toEqual({ done: true, value: undefined });
    const wrong: [() => Multishot<any>, string][] = [
      [() => reactor.acceptMultishot(0.5), "fd must be an integer"],
      [() => reactor.pollMultishot(0, 0), "events must be from 1 to 65535, not 0"],
      [() => reactor.timeoutMultishot(0), "ms must be above 0 to 2147483648, not 0"],
      [() => reactor.timeoutMultishot(1, -1), "times must be from 0 to 4294967295, not -1"],
      [() => reactor.recvMultishot(0, { signal: 5 as never }), "signal must be an AbortSignal, not 5"],
      [() => reactor.readMultishot(0, null as never), "options must be an object, not null"],
    ];
    for (const [call, message] of wrong) expect(call).toThrow(message);
    isGone();
  });

  test("holds the process while a value is waited for, and not afterwards", async () => {
    const program = `
      import { useReactor } from ${JSON.stringify(indexPath)};
      const reactor = useReactor();
      const wait = async () => {
        const ticks = reactor.timeoutMultishot(40);
        for (let i = 0; i < 2; i++) await ticks.next();
        console.log("two");
      };
      void wait();
    `;
    const { stdout, exitCode } = await attempt([process.execPath, "-e", program]);
    expect([stdout, exitCode]).toEqual(["two\n", 0]);
  });

  test("leaves no descriptor behind, however often it is left early", async () => {
    const { fd, connect } = await listening();
    const round = async (): Promise<void> => {
      const client = connect();
      for await (const connection of reactor.acceptMultishot(fd)) {
        closeSync(connection);
        break;
      }
      closeSync(await client);
    };
    await round();
    const before = readdirSync("/proc/self/fd").length;
    for (let i = 0; i < 50; i++) await round();
    expect(readdirSync("/proc/self/fd").length).toBeLessThanOrEqual(before);
    closeSync(fd);
    expect(isOpen(fd)).toBe(false);
  });
});
