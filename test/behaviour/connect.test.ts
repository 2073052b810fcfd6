/**
 * Clients as those of Bun.connect, and other sockets than TCP: Unix sockets, abstract names,
 * descriptors from another process.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Socket } from "../../src/index.ts";
import { fixture, run } from "./process.ts";
import { rejection } from "./rejection.ts";
import { connect, isBun, listen, reactorStats, settled } from "./subject.ts";

const directory = mkdtempSync(join(tmpdir(), "ringloop-test-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Sends all bytes back, and ends when the peer ends. */
const echo = {
  data(socket: Socket, bytes: Buffer) {
    socket.write(bytes);
  },
};

/** Starts an echo server of Node in this process, at the given address. */
async function nodeEcho(where: { port: number; host: string } | { path: string }): Promise<Server> {
  const server = createServer((socket) => socket.pipe(socket));
  await new Promise<void>((resolve) => server.listen(where, resolve));
  return server;
}

/** Sends `text`, and resolves with the same number of bytes from the peer. */
async function ask(
  where: { port: number; hostname: string } | { unix: string },
  text: string,
): Promise<{ text: string; socket: Socket }> {
  const answer = Promise.withResolvers<string>();
  let received = "";
  const socket = await connect({
    ...where,
    socket: {
      open: (opened) => void opened.write(text),
      data(_socket, bytes) {
        received += bytes.toString();
        if (received.length >= text.length) answer.resolve(received);
      },
      close: (_socket, error) => answer.reject(error ?? new Error("closed")),
    },
  });
  return { text: await answer.promise, socket };
}

async function failureOf(promise: Promise<unknown>): Promise<any> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

describe("connect", () => {
  for (const hostname of ["127.0.0.1", "::1", "localhost"]) {
    test(`reaches a server of Node's at ${hostname}`, async () => {
      const server = await nodeEcho({ port: 0, host: hostname === "localhost" ? "127.0.0.1" : hostname });
      const { port } = server.address() as { port: number };
      const { text, socket } = await ask({ port, hostname }, "hello");
      expect(text).toBe("hello");
      expect(socket.remotePort).toBe(port);
      expect(socket.listener).toBeUndefined();
      socket.end();
      server.close();
    });
  }

  test("opens before its promise resolves, with the data it was given", async () => {
    using server = listen({ port: 0, hostname: "127.0.0.1", socket: echo });
    const calls: unknown[] = [];
    const socket = await connect<string>({
      port: server.port,
      hostname: "127.0.0.1",
      data: "mine",
      socket: { open: ({ data }) => void calls.push("open", data), data() {} },
    });
    calls.push("connected", socket.data);
    expect(calls).toEqual(["open", "mine", "connected", "mine"]);
    socket.end();
  });

  test("to nobody calls connectError, and rejects with the same error", async () => {
    const unused = listen({ port: 0, hostname: "127.0.0.1", socket: echo });
    const { port } = unused;
    unused.stop();
    const told: unknown[] = [];
    const options = {
      port,
      hostname: "127.0.0.1",
      socket: { connectError: (_socket: Socket, error: Error) => void told.push(error), data() {} },
    };
    const error = await failureOf(connect(options));
    expect(error).toMatchObject({ code: "ECONNREFUSED", syscall: "connect" });
    expect(told).toEqual([error]);
    if (!isBun) expect(error).toMatchObject({ address: "127.0.0.1", port });
  });

  test("to a name that nobody has rejects", async () => {
    const error = await failureOf(connect({ port: 1, hostname: "nobody.invalid", socket: { data() {} } }));
    expect(error).toBeInstanceOf(Error);
  });

  test("to a Unix socket that is not there rejects with ENOENT", async () => {
    const error = await failureOf(connect({ unix: join(directory, "nobody.sock"), socket: { data() {} } }));
    expect(error).toMatchObject({ code: "ENOENT" });
  });

  test("sends and receives 5 MB in order, both ways at once", async () => {
    using server = listen<{ queue: Buffer[] }>({
      port: 0,
      hostname: "127.0.0.1",
      allowHalfOpen: true,
      socket: {
        open: (socket) => void (socket.data = { queue: [] }),
        data(socket, bytes) {
          socket.data.queue.push(bytes);
          send(socket);
        },
        drain: send,
      },
    });
    function send(socket: Socket<{ queue: Buffer[] }>): void {
      const { queue } = socket.data;
      while (queue.length > 0) {
        const taken = socket.write(queue[0]!);
        if (taken < queue[0]!.length) return void (queue[0] = queue[0]!.subarray(Math.max(0, taken)));
        queue.shift();
      }
    }
    const body = Buffer.alloc(5_000_000, "0123456789abcdef-");
    const done = Promise.withResolvers<void>();
    const received: Buffer[] = [];
    let receivedBytes = 0;
    let sentBytes = 0;
    const more = (socket: Socket): void => {
      while (sentBytes < body.length) {
        const part = body.subarray(sentBytes, sentBytes + 65536);
        const taken = socket.write(part);
        sentBytes += Math.max(0, taken);
        if (taken < part.length) return;
      }
    };
    const socket = await connect({
      port: server.port,
      hostname: "127.0.0.1",
      socket: {
        open: more,
        drain: more,
        data(_socket, bytes) {
          received.push(bytes);
          if ((receivedBytes += bytes.length) === body.length) done.resolve();
        },
      },
    });
    await done.promise;
    expect(Buffer.concat(received).equals(body)).toBe(true);
    socket.end();
  });

  test.skipIf(isBun)("a hundred times, failed ones included, leaves nothing", async () => {
    using server = listen({ port: 0, hostname: "127.0.0.1", socket: echo });
    const before = reactorStats();
    const unused = listen({ port: 0, hostname: "127.0.0.1", socket: echo });
    const closedPort = unused.port;
    unused.stop();
    for (let i = 0; i < 50; i++) {
      const closed = Promise.withResolvers<void>();
      const socket = await connect({
        port: server.port,
        hostname: "127.0.0.1",
        socket: { data() {}, close: () => closed.resolve() },
      });
      socket.end();
      await closed.promise;
      await failureOf(connect({ port: closedPort, hostname: "127.0.0.1", socket: { data() {} } }));
    }
    await settled(before.slotsInUse);
    expect(reactorStats().staleCompletions).toBe(0);
  });
});

describe("a Unix socket", () => {
  test("is listened on, and connected to", async () => {
    const unix = join(directory, "echo.sock");
    const server = listen({ unix, socket: echo });
    const { text, socket } = await ask({ unix }, "over a path");
    expect(text).toBe("over a path");
    expect(server.unix).toBe(unix);
    socket.end();
    server.stop(true);
    expect(existsSync(unix)).toBe(false);
  });

  test("may have an abstract name", async () => {
    const unix = `\0ringloop-test-${process.pid}`;
    using _server = listen({ unix, socket: echo });
    const { text, socket } = await ask({ unix }, "over a name");
    expect(text).toBe("over a name");
    socket.end();
  });

  test("serves socat and ncat, and Node's client", async () => {
    const unix = join(directory, "peers.sock");
    using _server = listen({ unix, socket: echo });
    expect((await run(["socat", "-t5", "-", `UNIX-CONNECT:${unix}`], "from socat\n")).stdout).toBe("from socat\n");
    expect((await run(["ncat", "-U", unix], "from ncat\n")).stdout).toBe("from ncat\n");
    const program = `const c = require("node:net").connect(${JSON.stringify(unix)}); c.end("from node"); c.pipe(process.stdout);`;
    expect((await run(["node", "-e", program])).stdout).toBe("from node");
  });

  test("reaches a server of Node's", async () => {
    const path = join(directory, "node.sock");
    const server = await nodeEcho({ path });
    const { text, socket } = await ask({ unix: path }, "to node");
    expect(text).toBe("to node");
    socket.end();
    server.close();
  });

  test("that is taken is EADDRINUSE", () => {
    const unix = join(directory, "taken.sock");
    using _server = listen({ unix, socket: echo });
    expect(() => listen({ unix, socket: echo })).toThrow(expect.objectContaining({ code: "EADDRINUSE" }));
  });
});

describe.skipIf(isBun)("a descriptor from elsewhere", () => {
  test("that listens is served, as socket activation passes it", async () => {
    // Python binds and listens, and passes the socket to a Bun program as descriptor 3, as systemd
    // does.
    const program = `
import os, socket, subprocess, sys
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); s.setblocking(False); os.dup2(s.fileno(), 3)
child = subprocess.Popen(sys.argv[1:], pass_fds=(3,), stdin=subprocess.PIPE)
c = socket.create_connection(s.getsockname()); c.sendall(b"activated"); print(c.recv(9, socket.MSG_WAITALL).decode())
child.stdin.close(); child.wait()
`;
    const server = join(import.meta.dir, "fixtures/activated.ts");
    const { stdout } = await run(["python3", "-c", program, process.execPath, server]);
    expect(stdout.trim()).toBe("activated");
  });

  test("that is no socket is an error that says so", () => {
    expect(() => listen({ fd: 0x7fffffff, socket: echo })).toThrow(expect.objectContaining({ code: "EBADF" }));
    expect(() => listen({ fd: -1, socket: echo })).toThrow(/^fd must be a descriptor/);
  });
});

describe("a failure", () => {
  const nowhere = { unix: "/nowhere/socket" } as const;

  test("is a handled one with connectError, whoever awaits it; else nobody's", async () => {
    const { stdout } = await run([process.execPath, fixture("nobody-awaits.ts")]);
    expect(stdout).toBe("connectError\nunhandled ENOENT\n");
  });

  test("is told to connectError before it rejects, and to no other handler", async () => {
    const events: unknown[] = [];
    const note = (name: string) => (): void => void events.push(name);
    const others = { data() {}, open: note("open"), end: note("end"), close: note("close"), error: note("error") };
    const connectError = (socket: Socket<number>, error: Error): void =>
      void events.push("connectError", socket.data, socket.readyState, socket.write("x"), error);
    const error: unknown = await connect({ ...nowhere, data: 7, socket: { ...others, connectError } }).catch((e) => e);
    await new Promise((resolve) => setImmediate(resolve));
    expect(events).toEqual(["connectError", 7, -1, -1, error]);
  });

  test("of connectError itself is what connect rejects with", async () => {
    const connectError = (): never => {
      throw new Error("in connectError");
    };
    expect(await rejection(connect({ ...nowhere, socket: { data() {}, connectError } }))).toMatchObject({
      message: "in connectError",
    });
  });
});
