/**
 * Datagrams as in Bun.udpSocket, among the subject's own sockets, and with Node, Python and dig.
 */
import { describe, expect, test } from "bun:test";
import { createSocket } from "node:dgram";
import { join } from "node:path";
import type { UdpOptions, UdpSocket } from "../../src/index.ts";
import { Program, run } from "./process.ts";
import { isBun, reactorStats, settled, subject, udpSocket } from "./subject.ts";
import { rejection } from "./rejection.ts";

interface Received {
  text: string;
  port: number;
  address: string;
  truncated: boolean;
  ipv6: boolean;
}

/** Returns a socket, and the datagrams that it receives, in order. */
async function open(
  options: UdpOptions = {},
): Promise<{ socket: UdpSocket; next(): Promise<Received>; errors: Error[] }> {
  const received: Received[] = [];
  const errors: Error[] = [];
  let wake: () => void = () => {};
  const socket = await udpSocket({
    hostname: "127.0.0.1",
    ...options,
    socket: {
      data(_socket, data, port, address, { truncated, ipv6 }) {
        received.push({ text: Buffer.from(data).toString(), port, address, truncated, ipv6 });
        wake();
      },
      error(error) {
        errors.push(error);
        wake();
      },
      ...options.socket,
    },
  });
  const next = async (): Promise<Received> => {
    while (received.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return received.shift()!;
  };
  return { socket, next, errors };
}

/** Returns a port that no socket uses. */
function closedPort(): Promise<number> {
  const socket = createSocket("udp4");
  return new Promise((resolve) =>
    socket.bind(0, "127.0.0.1", () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    }),
  );
}

describe("a UDP socket", () => {
  test("sends to another, which knows from where", async () => {
    const a = await open();
    const b = await open();
    expect(a.socket.send("hello", b.socket.port, "127.0.0.1")).toBe(true);
    expect(await b.next()).toEqual({
      text: "hello",
      port: a.socket.port,
      address: "127.0.0.1",
      truncated: false,
      ipv6: false,
    });
    a.socket.close();
    b.socket.close();
    expect(a.socket.closed).toBe(true);
  });

  test("has its address", async () => {
    const { socket } = await open();
    expect(socket.hostname).toBe("127.0.0.1");
    expect(socket.address).toEqual({ address: "127.0.0.1", port: socket.port, family: "IPv4" });
    expect(socket.binaryType).toBe("buffer");
    socket.close();
  });

  test("speaks IPv6", async () => {
    const a = await open({ hostname: "::1" });
    const b = await open({ hostname: "::1" });
    a.socket.send("six", b.socket.port, "::1");
    expect(await b.next()).toMatchObject({ text: "six", address: "::1", port: a.socket.port, ipv6: true });
    a.socket.close();
    b.socket.close();
  });

  test.skipIf(isBun)("takes its peer's port as digits, and no peer without a name", async () => {
    const peer = await open();
    const { socket } = await open({ connect: { hostname: "127.0.0.1", port: `${peer.socket.port}` as never } });
    expect(socket.remoteAddress?.port).toBe(peer.socket.port);
    for (const hostname of ["", null])
      expect(() => open({ connect: { hostname: hostname as never, port: 1 } })).toThrow("connect.hostname");
    peer.socket.close();
    socket.close();
  });

  test("that is connected sends without an address, and receives from its peer alone", async () => {
    const peer = await open();
    const stranger = await open();
    const { socket, next } = await open({ connect: { hostname: "127.0.0.1", port: peer.socket.port } });
    expect(socket.remoteAddress).toEqual({ address: "127.0.0.1", port: peer.socket.port, family: "IPv4" });
    expect(socket.send("to peer")).toBe(true);
    const { port } = await peer.next();
    expect(port).toBe(socket.port);
    stranger.socket.send("from a stranger", port, "127.0.0.1");
    peer.socket.send("from peer", port, "127.0.0.1");
    expect(await next()).toMatchObject({ text: "from peer" });
    for (const each of [socket, peer.socket, stranger.socket]) each.close();
  });

  test("sends many at once, in order", async () => {
    const a = await open();
    const b = await open();
    const packets = Array.from({ length: 200 }, (_, i) => [`packet ${i}`, b.socket.port, "127.0.0.1"]).flat();
    const before = isBun ? 0 : reactorStats().enters;
    expect(a.socket.sendMany(packets)).toBe(200);
    for (let i = 0; i < 200; i++) expect((await b.next()).text).toBe(`packet ${i}`);
    // All datagrams were submitted together, and received in a few batches.
    if (subject === "defer") expect(reactorStats().enters - before).toBeLessThan(50);
    a.socket.close();
    b.socket.close();
  });

  test("sends and receives datagrams of any size", async () => {
    const a = await open();
    const b = await open();
    for (const bytes of [0, 1, 1500, 9000, 65507]) {
      a.socket.send(Buffer.alloc(bytes, "x"), b.socket.port, "127.0.0.1");
      expect(await b.next()).toMatchObject({ text: "x".repeat(bytes), truncated: false });
    }
    expect(() => a.socket.send(Buffer.alloc(65508), b.socket.port, "127.0.0.1")).toThrow(
      expect.objectContaining({ code: "EMSGSIZE" }),
    );
    a.socket.close();
    b.socket.close();
  });

  test("gives what binaryType asks for", async () => {
    for (const [binaryType, kind] of [
      ["buffer", Buffer],
      ["uint8array", Uint8Array],
      ["arraybuffer", ArrayBuffer],
      ["int8array", Int8Array],
      ["int16array", Int16Array],
      ["uint16array", Uint16Array],
      ["int32array", Int32Array],
      ["uint32array", Uint32Array],
      ["float16array", Float16Array],
      ["float32array", Float32Array],
      ["float64array", Float64Array],
    ] as const) {
      const { promise, resolve } = Promise.withResolvers<unknown>();
      const { socket } = await open({ binaryType, socket: { data: (_socket, data) => resolve(data) } });
      socket.send("x", socket.port, "127.0.0.1");
      expect((await promise) as object).toBeInstanceOf(kind);
      socket.close();
    }
  });

  test.skipIf(isBun)("refuses another binaryType, and says which there are", () => {
    for (const binaryType of ["x", "toString", "constructor", 5])
      expect(() => udpSocket({ binaryType: binaryType as never })).toThrow(/^binaryType must be one of buffer/);
  });

  test("gives whole numbers: the bytes of a part of one are dropped", async () => {
    const told = Promise.withResolvers<Int32Array>();
    const data = (_socket: unknown, numbers: unknown): void => told.resolve(numbers as Int32Array);
    const { socket } = await open({ binaryType: "int32array", socket: { data } });
    expect(String(socket.binaryType)).toBe("int32array");
    socket.send(Uint8Array.of(1, 2, 0, 0, 9), socket.port, "127.0.0.1");
    expect(await told.promise).toEqual(Int32Array.of(513));
    socket.close();
  });

  test("calls error with the error alone, and the socket as `this`", async () => {
    const told = Promise.withResolvers<unknown[]>();
    const { socket } = await open({
      socket: {
        data() {
          throw new Error("in data");
        },
        error(...args: unknown[]) {
          told.resolve([this === socket, ...args]);
        },
      },
    });
    socket.send("x", socket.port, "127.0.0.1");
    expect(await told.promise).toEqual([true, new Error("in data")]);
    socket.close();
  });

  test("takes other handlers by reload({ socket }), and keeps those that are not named", async () => {
    const heard: string[] = [];
    let wake: () => void = () => {};
    const hear = (name: string): void => {
      heard.push(name);
      wake();
    };
    const { socket } = await open({ socket: { data: () => hear("first"), error: (error) => hear(error.message) } });
    const ask = async (): Promise<void> => {
      const { length } = heard;
      socket.send("x", socket.port, "127.0.0.1");
      while (heard.length === length) await new Promise<void>((resolve) => (wake = resolve));
    };
    await ask();
    socket.reload({ data: () => hear("flat") });
    await ask();
    socket.reload({ socket: {} });
    await ask();
    socket.reload({
      socket: {
        data() {
          throw new Error("second");
        },
      },
    });
    await ask();
    expect(heard).toEqual(["first", "first", "first", "second"]);
    for (const wrong of [undefined, 5, { socket: 5 }]) expect(() => socket.reload(wrong as never)).toThrow(TypeError);
    socket.close();
  });

  test("sends boxed texts, and to ports that are texts; ports out of range are errors", async () => {
    const { socket, next } = await open();
    expect((socket as any).send(new String("boxed"), String(socket.port), "127.0.0.1")).toBe(true);
    expect((await next()).text).toBe("boxed");
    for (const port of [0, -1, 65536, 1.5, NaN, "x", undefined]) {
      expect(() => (socket as any).send("x", port, "127.0.0.1")).toThrow(TypeError);
      if (port !== undefined)
        expect(
          await rejection(Promise.try(() => udpSocket({ connect: { hostname: "127.0.0.1", port: port as number } }))),
        ).toMatchObject({
          message: expect.stringContaining('Expected "connect.port" to be an integer between 1 and 65535'),
        });
    }
    const { port, hostname } = socket;
    const connected = await udpSocket({ connect: { hostname: "127.0.0.1", port } });
    expect(() => connected.send("x", port, "127.0.0.1")).toThrow(TypeError);
    connected.close();
    socket.close();
    expect([socket.closed, socket.port, socket.hostname, socket.address, connected.remoteAddress]).toEqual([
      true,
      port,
      hostname,
      undefined,
      undefined,
    ]);
  });

  test("hears of a closed port", async () => {
    const port = await closedPort();
    const told = Promise.withResolvers<unknown>();
    const { socket } = await open({
      connect: { hostname: "127.0.0.1", port },
      socket: { error: (error) => told.resolve(error) },
    });
    socket.send("anybody?");
    expect(await told.promise).toMatchObject({ code: "ECONNREFUSED" });
    socket.close();
  });

  test.skipIf(isBun)("goes on after it has heard of a closed port, connected or not", async () => {
    const port = await closedPort();
    const { socket, next, errors } = await open();
    socket.send("anybody?", port, "127.0.0.1");
    socket.send("me", socket.port, "127.0.0.1");
    expect((await next()).text).toBe("me");
    socket.send("me again", socket.port, "127.0.0.1");
    expect((await next()).text).toBe("me again");
    expect(errors).toMatchObject([{ code: "ECONNREFUSED", syscall: expect.stringMatching(/recv|send/) }]);
    socket.close();
  });

  test.skipIf(isBun)("reaches those who live, however many others are gone", async () => {
    const port = await closedPort();
    const { socket, next } = await open();
    const all = Array.from({ length: 200 }, (_, i) => String(i));
    for (const text of all) {
      // An error that the kernel reports for one datagram fails the next one, whatever its target:
      // the second, and the last. When they are sent again, the second fails the last again.
      for (let i = 0; i < 3; i++) socket.send("anybody?", port, "127.0.0.1");
      socket.send(text, socket.port, "127.0.0.1");
    }
    const arrived = new Set<string>();
    while (arrived.size < all.length) arrived.add((await next()).text);
    expect(all.filter((text) => !arrived.has(text))).toEqual([]);
    socket.close();
  });

  test("sets its options", async () => {
    const { socket } = await open({ hostname: "0.0.0.0" });
    expect(socket.setBroadcast(true)).toBe(true);
    expect(socket.setTTL(7)).toBe(7);
    expect(socket.setMulticastTTL(3)).toBe(3);
    expect(socket.setMulticastLoopback(false)).toBe(false);
    expect(socket.setMulticastInterface("127.0.0.1")).toBe(true);
    socket.close();
  });

  test("receives what is sent to a group that it is a member of", async () => {
    const group = "239.255.77.1";
    const receiver = await open({ hostname: "0.0.0.0" });
    const sender = await open({ hostname: "0.0.0.0" });
    expect(receiver.socket.addMembership(group, "127.0.0.1")).toBe(true);
    sender.socket.setMulticastInterface("127.0.0.1");
    sender.socket.setMulticastLoopback(true);
    sender.socket.send("to the group", receiver.socket.port, group);
    expect((await receiver.next()).text).toBe("to the group");
    expect(receiver.socket.dropMembership(group, "127.0.0.1")).toBe(true);
    expect(() => receiver.socket.dropMembership(group, "127.0.0.1")).toThrow(
      expect.objectContaining({ code: "EADDRNOTAVAIL" }),
    );
    receiver.socket.close();
    sender.socket.close();
  });

  test.skipIf(isBun)("given a wrong argument throws a TypeError that names it", async () => {
    const { socket } = await open();
    expect(() => socket.send("x", 70000, "127.0.0.1")).toThrow(
      /"port" to be an integer between 1 and 65535, not 70000/,
    );
    expect(() => socket.send("x", 1, "nonsense")).toThrow(/^address must be a numeric address, not "nonsense"/);
    expect(() => socket.send(5 as never, 1, "127.0.0.1")).toThrow(/^data must be/);
    expect(() => socket.sendMany(["x", 1])).toThrow(/^packets must be/);
    expect(() => socket.setTTL(0)).toThrow(/^ttl must be/);
    socket.close();
    expect(() => socket.send("x", 1, "127.0.0.1")).toThrow("Socket is closed");
    expect(() => udpSocket({ port: -1 })).toThrow(/"port" to be an integer between 0 and 65535, not -1/);
  });

  test("in use is EADDRINUSE", async () => {
    const { socket } = await open();
    const error = await open({ port: socket.port }).catch((failure) => failure);
    expect(error).toMatchObject({ code: "EADDRINUSE" });
    socket.close();
  });

  test.skipIf(isBun)("that is closed leaves nothing", async () => {
    const { slotsInUse } = reactorStats();
    for (let i = 0; i < 20; i++) {
      const { socket, next } = await open();
      socket.send("x", socket.port, "127.0.0.1");
      await next();
      socket.close();
    }
    await settled(slotsInUse);
    expect(reactorStats().staleCompletions).toBe(0);
  });
});

describe("peers", () => {
  test("of Node's", async () => {
    const { socket, next } = await open({
      socket: { data: (own, data, port, address) => void own.send(`echo ${data}`, port, address) },
    });
    void next;
    const peer = createSocket("udp4");
    const answer = new Promise<string>((resolve) => peer.once("message", (message) => resolve(message.toString())));
    peer.send("from node", socket.port, "127.0.0.1");
    expect(await answer).toBe("echo from node");
    peer.close();
    socket.close();
  });

  test("of Python's", async () => {
    const { socket } = await open({
      socket: { data: (own, data, port, address) => void own.send(`echo ${data}`, port, address) },
    });
    const program = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10)
s.sendto(b"from python", ("127.0.0.1", ${socket.port})); print(s.recv(100).decode())
`;
    expect((await run(["python3", "-c", program])).stdout.trim()).toBe("echo from python");
    socket.close();
  });

  test.skipIf(isBun)("dig gets its answer from examples/dns.ts", async () => {
    const example = join(import.meta.dir, "../../examples/dns.ts");
    await using program = new Program([process.execPath, example, "--port", "0"]);
    const { port } = await program.line();
    const { stdout } = await run(["dig", "@127.0.0.1", "-p", String(port), "+short", "+tries=1", "ring.example"]);
    expect(stdout.trim()).toBe("127.0.0.1");
  });
});

test.skipIf(isBun)("redis-cli and a pipeline speak to examples/resp.ts", async () => {
  const example = join(import.meta.dir, "../../examples/resp.ts");
  await using program = new Program([process.execPath, example, "--port", "0"]);
  const { port } = await program.line();
  const cli = (...words: string[]): Promise<string> =>
    run(["redis-cli", "-p", String(port), ...words]).then(({ stdout }) => stdout.trim());
  expect(await cli("set", "name", "ring loop")).toBe("OK");
  expect(await cli("get", "name")).toBe("ring loop");
  expect(await cli("get", "nothing")).toBe("");
  const commands = "INCR n\r\n".repeat(1000);
  const { stdout } = await run(["redis-cli", "-p", String(port)], commands);
  expect(stdout.trim().split("\n").at(-1)).toBe("1000");
  const { stdout: bench } = await run([
    "redis-benchmark",
    "-p",
    String(port),
    "-t",
    "set,get",
    "-n",
    "20000",
    "-P",
    "16",
    "-q",
  ]);
  expect(bench).toContain("requests per second");
});
