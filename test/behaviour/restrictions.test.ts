/** A restricted ring allows the operations that ringloop uses, and no others. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OperationOwner } from "../../src/reactor/op-table.ts";
import type { Mode } from "../../src/reactor/mode.ts";
import { Reactor } from "../../src/reactor/reactor.ts";
import { EventOperations } from "../../src/operations/operation-events.ts";
import type { Operation } from "../../src/operations/operation.ts";
import { IOSQE_ASYNC, IORING_OP_PROVIDE_BUFFERS, IORING_OP_URING_CMD } from "../../src/sys/abi.ts";
import type { Sqe } from "../../src/ring/sqe.ts";
import { RawClient } from "./raw-client.ts";
import { connect, files, isBun, listen, reactor, serve, subject, udpSocket } from "./subject.ts";

const mode: Mode = subject === "bun" ? "defer" : subject;

/** Submits one entry on a reactor. Returns its result. */
function submit(on: Reactor, prepare: (sqe: Sqe) => void): Promise<number> {
  return new Promise((resolve) => {
    const owner: OperationOwner = {
      complete(_kind, result) {
        on.unref();
        on.lane.operations.release(slot);
        resolve(result);
      },
    };
    const slot = on.lane.operations.acquire(owner);
    on.ref();
    const sqe = on.lane.nextSqe();
    prepare(sqe);
    on.lane.tag(sqe, slot, 0);
  });
}

describe.skipIf(isBun)("a restricted ring", () => {
  const EACCES = -13;
  const forbidden: [string, (sqe: Sqe) => void][] = [
    ["an opcode", (sqe) => sqe.prep(IORING_OP_URING_CMD, 0, 0, 0, 0)],
    ["another", (sqe) => sqe.prep(IORING_OP_PROVIDE_BUFFERS, 1, 4096, 1, 0)],
    // IOSQE_IO_DRAIN is not here, because the kernel drains the ring before it refuses the entry.
    ["IOSQE_ASYNC", (sqe) => sqe.prepNop().setFlags(IOSQE_ASYNC)],
  ];

  test("is what the thread's reactor has by default", () => expect(reactor()!.info.restricted).toBe(true));

  for (const [name, prepare] of forbidden)
    test(`refuses ${name} that ringloop does not use`, async () => {
      expect(await submit(reactor()!, (sqe) => void sqe.prepNop())).toBe(0);
      expect(await submit(reactor()!, prepare)).toBe(EACCES);
    });

  test("registers nothing that ringloop does not", () => {
    const { ring } = reactor()!.lane;
    expect(() => ring.registerFiles([0])).toThrow("EACCES");
    expect(() => ring.registerBuffers([])).toThrow("EACCES");
    expect(() => ring.registerPersonality()).toThrow("EACCES");
  });

  test("serves HTTP, sockets, datagrams and files", async () => {
    const { info } = reactor()!;
    expect([info.mode, info.restricted]).toEqual([subject as never, true]);
    const server = serve({ port: 0, fetch: () => new Response("http") });
    expect(await (await fetch(`http://127.0.0.1:${server.port}`)).text()).toBe("http");
    await server.stop(true);

    using listener = listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data: (socket, bytes) => void socket.end(bytes) },
    });
    using client = await RawClient.connect(listener.port);
    await client.write("stream");
    expect((await client.readToEnd()).toString()).toBe("stream");
    const { promise: closed, resolve: close } = Promise.withResolvers<void>();
    const socket = await connect({
      hostname: "127.0.0.1",
      port: listener.port,
      socket: { data() {}, close: () => close() },
    });
    socket.write("x");
    await closed;

    const { promise: received, resolve: receive } = Promise.withResolvers<string>();
    const receiver = await udpSocket({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data: (_socket, bytes) => receive(bytes.toString()) },
    });
    const sender = await udpSocket({ hostname: "127.0.0.1", port: 0 });
    sender.send("datagram", receiver.port, "127.0.0.1");
    expect(await received).toBe("datagram");
    for (const each of [sender, receiver]) each.close();

    const directory = mkdtempSync(join(tmpdir(), "ringloop-restrictions-"));
    await files.writeFile(join(directory, "f"), "file", { atomic: true });
    expect(await files.readFile(join(directory, "f"), "utf8")).toBe("file");
    rmSync(directory, { recursive: true });
  });

  test("knows every operation of the promise layer", async () => {
    const describe = new EventOperations(reactor()!, null);
    const bytes = Buffer.alloc(8);
    const nowhere = "/nonexistent/nonexistent";
    const FD = 0x7ffffffe; // EBADF
    const all: Record<Exclude<keyof EventOperations, "describe">, Operation<any>> = {
      read: describe.read(FD, bytes),
      write: describe.write(FD, bytes),
      readv: describe.readv(FD, [bytes]),
      writev: describe.writev(FD, [bytes]),
      fsync: describe.fsync(FD),
      fdatasync: describe.fdatasync(FD),
      syncFileRange: describe.syncFileRange(FD, 0, 0, 0),
      fallocate: describe.fallocate(FD, 0, 0, 1),
      ftruncate: describe.ftruncate(FD, 0),
      fadvise: describe.fadvise(FD, 0, 0, 0),
      splice: describe.splice(FD, -1, FD, -1, 1),
      tee: describe.tee(FD, FD, 1),
      closeFd: describe.closeFd(FD),
      openat: describe.openat(-100, nowhere, 0),
      openat2: describe.openat2(-100, nowhere, {}),
      statx: describe.statx(-100, nowhere),
      renameat: describe.renameat(-100, nowhere, -100, nowhere),
      unlinkat: describe.unlinkat(-100, nowhere),
      mkdirat: describe.mkdirat(-100, nowhere),
      symlinkat: describe.symlinkat("x", -100, nowhere),
      linkat: describe.linkat(-100, nowhere, -100, nowhere),
      getxattr: describe.getxattr(nowhere, "user.x"),
      setxattr: describe.setxattr(FD, "user.x", bytes),
      socket: describe.socket(0xffff, 1),
      bind: describe.bind(FD, { hostname: "127.0.0.1", port: 0 }),
      listen: describe.listen(FD),
      accept: describe.accept(FD),
      acceptFrom: describe.acceptFrom(FD),
      sendto: describe.sendto(FD, bytes, { hostname: "127.0.0.1", port: 1 }),
      sendmsg: describe.sendmsg(FD, { data: bytes }),
      recvmsg: describe.recvmsg(FD, { into: bytes }),
      connect: describe.connect(FD, { hostname: "127.0.0.1", port: 1 }),
      recv: describe.recv(FD, bytes),
      send: describe.send(FD, bytes),
      sendZc: describe.sendZc(FD, bytes),
      shutdown: describe.shutdown(FD, 1),
      entry: describe.entry((sqe) => sqe.prepClose(FD)),
      nop: describe.nop({ timeoutMs: 10_000 }), // This also uses IORING_OP_LINK_TIMEOUT.
      poll: describe.poll(FD, 1),
      timeout: describe.timeout(0),
      waitid: describe.waitid(0x7fffffff),
      pipe: describe.pipe(0x7fffffff),
      futexWait: describe.futexWait(4096, 0),
      futexWake: describe.futexWake(4096),
      msgRing: describe.msgRing(FD, 0),
    };
    const refused = await Promise.all(
      Object.entries(all).map(async ([name, operation]) => {
        const code = await operation.start().then(
          () => "",
          (error: { code: string }) => error.code,
        );
        return code === "EACCES" ? [name] : [];
      }),
    );
    expect(refused.flat()).toEqual([]);
  });

  test("is an option", async () => {
    const free = new Reactor({ mode, restrict: false });
    expect(free.info.restricted).toBe(false);
    expect(await submit(free, (sqe) => void sqe.prepNop().setFlags(IOSQE_ASYNC))).toBe(0);
    await new Promise((resolve) => setImmediate(resolve)); // Leaves the turn of that reactor.
    free.close();
    expect(() => new Reactor({ mode, restrict: 1 as never })).toThrow("restrict must be true or false, not 1");
  });
});
