/**
 * Operations of the promise layer whose results are more than a number: on sockets, child
 * processes, futexes and other rings.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, fstatSync, readdirSync, readlinkSync, writeSync } from "node:fs";
import type { Reactor } from "../../src/index.ts";
import {
  type ControlMessage,
  AF_INET,
  AF_UNIX,
  credentialsOf,
  groBytesOf,
  IPPROTO_TCP,
  IPPROTO_UDP,
  memfdCreate,
  MSG_PEEK,
  MSG_TRUNC,
  pidfdOpen,
  pipe2,
  rightsOf,
  Ring,
  RingMemory,
  scmRights,
  SO_PASSCRED,
  SO_TYPE,
  SOCK_DGRAM,
  SOCK_STREAM,
  socketpair,
  SOL_SOCKET,
  TCP_NODELAY,
  UDP_GRO,
  udpSegment,
  WCONTINUED,
  WNOHANG,
  WNOWAIT,
  WSTOPPED,
} from "../../src/ring/index.ts";
import { native, pointerTo } from "../../src/sys/library.ts";
import { decodeAddress } from "../../src/sys/sockaddr.ts";
import { isBun, reactor as theReactor, settled } from "./subject.ts";

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "fulfilled",
    (error: { code: string }) => error.code,
  );

describe.skipIf(isBun)("an operation of the reactor", () => {
  let reactor: Reactor;

  beforeAll(() => {
    reactor = theReactor()!;
  });

  function nameOf(fd: number): { hostname: string; port: number } {
    const bytes = new Uint8Array(28);
    const length = native().rl_sockname(fd, 0, pointerTo(bytes), bytes.length);
    const { address, port } = decodeAddress(bytes.subarray(0, length));
    return { hostname: address, port };
  }

  async function bound(type: number): Promise<number> {
    const fd = await reactor.socket(AF_INET, type);
    await reactor.bind(fd, { hostname: "127.0.0.1", port: 0 });
    return fd;
  }

  /** Calls `use` with a pair of Unix datagram sockets, and closes them. */
  async function withPair(use: (near: number, far: number) => Promise<void>): Promise<void> {
    const pair = socketpair(AF_UNIX, SOCK_DGRAM);
    try {
      await use(...pair);
    } finally {
      for (const fd of pair) closeSync(fd);
    }
  }

  test("accepts a connection and tells who has made it", async () => {
    const listener = await bound(SOCK_STREAM);
    await reactor.listen(listener);
    const client = await bound(SOCK_STREAM);
    const [{ fd, address }] = await Promise.all([
      reactor.acceptFrom(listener),
      reactor.connect(client, nameOf(listener)),
    ]);
    expect(address).toEqual({ address: "127.0.0.1", family: "IPv4", port: nameOf(client).port });
    for (const each of [fd, client, listener]) closeSync(each);
  });

  test("tells a Unix socket's name, where it has one", async () => {
    const [server, named, unnamed] = await Promise.all([1, 2, 3].map(() => reactor.socket(AF_UNIX, SOCK_STREAM)));
    const name = `\0ringloop-${process.pid}`;
    await reactor.bind(server!, { unix: name });
    await reactor.listen(server!);
    await reactor.bind(named!, { unix: `${name}-client` });
    const peers = [];
    for (const client of [named!, unnamed!]) {
      const [accepted] = await Promise.all([reactor.acceptFrom(server!), reactor.connect(client, { unix: name })]);
      peers.push(accepted.address);
      closeSync(accepted.fd);
    }
    expect(peers).toEqual([{ unix: `${name}-client` }, undefined]);
    for (const each of [server, named, unnamed]) closeSync(each!);
  });

  test("sends a datagram somewhere, and the answer back to where it came from", async () => {
    const [near, far] = [await bound(SOCK_DGRAM), await bound(SOCK_DGRAM)];
    expect(await reactor.sendto(near, Buffer.from("question"), nameOf(far))).toBe(8);
    const into = Buffer.alloc(16);
    const { bytes, from, control, flags } = await reactor.recvmsg(far, { into });
    expect([into.toString("latin1", 0, bytes), control, flags & MSG_TRUNC]).toEqual(["question", [], 0]);
    expect(from).toEqual({ address: "127.0.0.1", family: "IPv4", port: nameOf(near).port });
    await reactor.sendto(far, Buffer.from("answer"), from!);
    expect(await reactor.recv(near, into)).toBe(6);
    for (const each of [near, far]) closeSync(each);
  });

  test("sends and receives pieces, in order", async () => {
    await withPair(async (near, far) => {
      expect(await reactor.sendmsg(near, { data: ["one", "two", "three"].map((text) => Buffer.from(text)) })).toBe(11);
      const into = [Buffer.alloc(2), new Uint16Array(3), Buffer.alloc(9)];
      expect((await reactor.recvmsg(far, { into })).bytes).toBe(11);
      expect(into.map((each) => Buffer.from(each.buffer, each.byteOffset, each.byteLength).toString())).toEqual([
        "on",
        "etwoth",
        "ree\0\0\0\0\0\0",
      ]);
    });
  });

  test("says how long a datagram was that found no room", async () => {
    await withPair(async (near, far) => {
      await reactor.sendmsg(near, { data: Buffer.from("too long") });
      const into = Buffer.alloc(3);
      const peeked = await reactor.recvmsg(far, { into }, MSG_TRUNC | MSG_PEEK);
      expect([peeked.bytes, peeked.flags & MSG_TRUNC, into.toString()]).toEqual([8, MSG_TRUNC, "too"]);
      expect((await reactor.recvmsg(far, { into, controlBytes: 0 })).bytes).toBe(3);
    });
  });

  test("hands over descriptors, close-on-exec", async () => {
    await withPair(async (near, far) => {
      const [readFd, writeFd] = pipe2();
      await reactor.sendmsg(near, { data: Buffer.from("x"), control: [scmRights([readFd])] });
      closeSync(readFd);
      const { control } = await reactor.recvmsg(far, { into: Buffer.alloc(1) });
      const [fd] = rightsOf(control);
      writeSync(writeFd, "through");
      const into = Buffer.alloc(7);
      await reactor.read(fd!, into);
      expect(into.toString()).toBe("through");
      for (const each of [fd!, writeFd]) closeSync(each);
    });
  });

  describe("closes descriptors that come", () => {
    let file: number;
    let message: { data: Buffer; control: ControlMessage[] };
    beforeAll(() => {
      file = memfdCreate("counted");
      message = { data: Buffer.from("x"), control: [scmRights([file, file])] };
    });
    afterAll(() => closeSync(file));
    const isIt = (fd: string): boolean => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith("/memfd:counted");
      } catch {
        return false; // The descriptor of readdirSync itself.
      }
    };
    const duplicates = (): number => readdirSync("/proc/self/fd").filter(isIt).length - 1;

    test("when nobody waits for them any more", async () => {
      await withPair(async (near, far) => {
        const slots = reactor.stats().slotsInUse;
        const controller = new AbortController();
        const received = reactor.recvmsg(far, { into: Buffer.alloc(1) }, 0, { signal: controller.signal });
        await reactor.nop();
        using ring = Ring.queueInit(2);
        using memory = new RingMemory();
        const iovec = memory.iovec([memory.copy("x")]);
        ring.getSqe()!.prepSendmsg(near, memory.msghdr({ iovec, control: memory.control(message.control) }).address);
        ring.submitAndWait(1);
        // The message has arrived, but the reactor has not seen it yet.
        controller.abort(new Error("enough"));
        await expect(received).rejects.toThrow("enough");
        await settled(slots);
        expect(duplicates()).toBe(0);
      });
    });

    test("when the bytes beside them have no room any more", async () => {
      await withPair(async (near, far) => {
        const detached = new Uint8Array(8);
        const received = reactor.recvmsg(far, { into: detached });
        structuredClone(detached.buffer, { transfer: [detached.buffer] });
        const refused = received.catch((error: unknown) => error);
        await reactor.sendmsg(near, message);
        expect(await refused).toBeInstanceOf(RangeError);
        expect(duplicates()).toBe(0);
      });
    });
  });

  test("tells who has sent, and how long the datagrams are that came as one", async () => {
    await withPair(async (near, far) => {
      await reactor.setsockopt(far, SOL_SOCKET, SO_PASSCRED, 1);
      await reactor.sendmsg(near, { data: Buffer.from("x") });
      const { control } = await reactor.recvmsg(far, { into: Buffer.alloc(1) });
      expect(credentialsOf(control)!.pid).toBe(process.pid);
    });
    const [near, far] = [await bound(SOCK_DGRAM), await bound(SOCK_DGRAM)];
    await reactor.setsockopt(far, IPPROTO_UDP, UDP_GRO, 1);
    await reactor.sendmsg(near, { data: Buffer.alloc(1000), to: nameOf(far), control: [udpSegment(400)] });
    const { bytes, control } = await reactor.recvmsg(far, { into: Buffer.alloc(2000) });
    expect([bytes, groBytesOf(control)]).toEqual([1000, 400]);
    for (const each of [near, far]) closeSync(each);
  });

  test("reads and sets a socket's options, of every level", async () => {
    const fd = await reactor.socket(AF_INET, SOCK_STREAM);
    expect((await reactor.getsockopt(fd, SOL_SOCKET, SO_TYPE)).readInt32LE()).toBe(SOCK_STREAM);
    await reactor.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    expect((await reactor.getsockopt(fd, IPPROTO_TCP, TCP_NODELAY)).readInt32LE()).toBe(1);
    await reactor.setsockopt(fd, SOL_SOCKET, 13, new Uint8Array([1, 0, 0, 0, 9, 0, 0, 0])); // SO_LINGER
    expect(await reactor.getsockopt(fd, SOL_SOCKET, 13, 64)).toEqual(Buffer.from([1, 0, 0, 0, 9, 0, 0, 0]));
    expect(await codeOf(reactor.setsockopt(fd, SOL_SOCKET, 9999, 1))).toBe("ENOPROTOOPT");
    closeSync(fd);
    expect(await codeOf(reactor.getsockopt(0x7ffffffe, SOL_SOCKET, SO_TYPE))).toBe("EBADF");
  });

  test("waits for a child by its id, its pidfd, its group, and for any", async () => {
    // Waits for a stop, because Bun itself waits for the end of the child and may be faster.
    const child = Bun.spawn(["cat"], { stdin: "pipe" });
    const pidfd = pidfdOpen(child.pid);
    const targets = [child.pid, { pid: child.pid }, { pidfd }, { pgid: 0 }, "any"] as const;
    expect(await reactor.waitid(child.pid, WSTOPPED | WNOHANG)).toEqual({ code: 0, status: 0, pid: 0, uid: 0 });
    const outcomes = targets.map((target) => reactor.waitid(target, WSTOPPED | WNOWAIT));
    child.kill("SIGSTOP");
    const stopped = { code: 5, status: 19, pid: child.pid, uid: process.getuid!() }; // CLD_STOPPED, SIGSTOP
    expect(await Promise.all(outcomes)).toEqual(targets.map(() => stopped));
    const continued = reactor.waitid(child.pid, WCONTINUED);
    child.kill("SIGCONT");
    expect(await continued).toMatchObject({ code: 6, pid: child.pid });
    closeSync(pidfd);
    void child.stdin.end();
    await child.exited;
  });

  test("waits for a futex, and wakes who waits", async () => {
    using memory = new RingMemory();
    const futex = memory.int32(5);
    const waits = [reactor.futexWait(futex.address, 5), reactor.futexWait(futex.address, 5)];
    expect(await codeOf(reactor.futexWait(futex.address, 6))).toBe("EAGAIN");
    expect(await codeOf(reactor.futexWait(futex.address, 5, undefined, { timeoutMs: 5 }))).toBe("ETIMEDOUT");
    expect(await reactor.futexWake(futex.address)).toBe(1);
    expect(await reactor.futexWake(futex.address, 10)).toBe(1);
    expect(await Promise.all(waits)).toEqual([undefined, undefined]);
    expect(await reactor.futexWake(futex.address)).toBe(0);
  });

  test("puts a completion into another ring", async () => {
    using ring = Ring.queueInit(2);
    await reactor.msgRing(ring.fd, 42, 0x1234_5678_9abc_def0n);
    const cqe = ring.peekCqe()!;
    expect([cqe.res, cqe.data64]).toEqual([42, 0x1234_5678_9abc_def0n]);
    ring.cqeSeen();
    await reactor.msgRing(ring.fd, -5, 7);
    expect([ring.peekCqe()!.res, ring.peekCqe()!.data]).toEqual([-5, 7]);
    expect(await codeOf(reactor.msgRing(1, 0))).toBe("EBADFD");
  });

  test("goes into a chain, too", async () => {
    const [near, far] = [await bound(SOCK_DGRAM), await bound(SOCK_DGRAM)];
    const { op } = reactor;
    const [sent, received] = await reactor.chain(
      op.sendto(near, Buffer.from("chained"), nameOf(far)),
      op.recvmsg(far, { into: Buffer.alloc(7) }),
    );
    expect([sent, received.bytes]).toEqual([7, 7]);
    for (const each of [near, far]) closeSync(each);
  });

  test("leaves descriptors as they are where it is refused for its arguments", async () => {
    const wrong: [Promise<unknown>, string][] = [
      [reactor.sendmsg(0, { data: "x" as never }), "message.data must be a view of bytes, or an array of up to 1024"],
      [reactor.sendmsg(0, { data: [1] as never }), "message.data must be a view of bytes, or an array of up to 1024"],
      [reactor.sendmsg(0, null as never), "message must be an object, not null"],
      [reactor.recvmsg(0, {} as never), "room.into must be a view of bytes"],
      [reactor.recvmsg(0, { into: Buffer.alloc(1), controlBytes: -1 }), "room.controlBytes must be from 0 to 65536"],
      [reactor.sendto(0, Buffer.alloc(1), { hostname: "localhost", port: 1 }), "hostname must be a numeric IPv4"],
      [reactor.sendto(0, Buffer.alloc(1), null as never), "to must be an address"],
      [reactor.sendto(0, Buffer.alloc(1), {} as never), "to must be an address"],
      [reactor.waitid({} as never), 'target must be a number, { pid }, { pgid }, { pidfd } or "any"'],
      [reactor.waitid(0), "pid must be from 1 to 2147483647, not 0"],
      [reactor.futexWait(0, 0), "address must be from 1 to 9007199254740991, not 0"],
      [reactor.futexWake(4096, 0), "count must be from 1 to 2147483647, not 0"],
      [reactor.msgRing(0, 2 ** 32), "result must be from -2147483648 to 4294967295, not 4294967296"],
      [reactor.setsockopt(0, 0, 0, "x" as never), "value must be a number, or a Uint8Array"],
      [reactor.getsockopt(-1, 0, 0), "fd must be from 0 to 2147483647, not -1"],
    ];
    for (const [promise, message] of wrong) await expect(promise).rejects.toThrow(message);
    expect(fstatSync(0)).toBeDefined();
  });
});
