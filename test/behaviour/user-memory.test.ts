/**
 * Sends of memory that gives a wrong length, or that has no bytes any more: a subclass with its own
 * `length`, a detached view. Only the bytes that really exist are sent. fuzz-memory.test.ts has
 * random tests of this.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, files, isBun, reactor, serve, udpSocket } from "./subject.ts";
import { serveWebSocket, WebSocketClient } from "./websocket-client.ts";

const HOST = "127.0.0.1";
const BYTES = 50;

class Longer extends Uint8Array {
  override get length(): number {
    return 500;
  }

  override get byteLength(): number {
    return 500;
  }
}
class Shorter extends Uint8Array {
  override get length(): number {
    return 5;
  }

  override subarray(): Uint8Array<ArrayBuffer> {
    return this as Uint8Array<ArrayBuffer>;
  }
}

function memory(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(BYTES).fill(0x75);
}
function detached<View extends NodeJS.ArrayBufferView>(view: View): View {
  structuredClone(view.buffer, { transfer: [view.buffer as ArrayBuffer] });
  return view;
}

/** The memory of each kind, and the number of bytes that really exist. */
const kinds: Record<string, [make: () => unknown, bytes: number]> = {
  "says that it is longer": [() => new Longer(memory().buffer), BYTES],
  "says that it is shorter": [() => new Shorter(memory().buffer), BYTES],
  "has a length of its own": [() => Object.defineProperty(memory(), "length", { value: 500 }), BYTES],
  "is a detached view": [() => detached(memory()), 0],
  "is a detached DataView": [() => detached(new DataView(memory().buffer)), 0],
  "is a detached buffer": [() => detached(memory()).buffer, 0],
  "has shrunk below a view": [
    () => {
      const buffer = new ArrayBuffer(BYTES, { maxByteLength: BYTES });
      const view = new Uint8Array(buffer, 10, 40);
      buffer.resize(5);
      return view;
    },
    0,
  ],
};

describe.each(Object.entries(kinds))("memory that %s is sent as what is there", (_, [make, bytes]) => {
  const content = "u".repeat(bytes);

  test("by a socket", async () => {
    const got: Buffer[] = [];
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const peer = Bun.listen({
      port: 0,
      hostname: HOST,
      socket: {
        data: (_, data) => void got.push(Buffer.from(data)),
        close: () => resolve(),
      },
    });
    const socket = await connect({ port: peer.port, hostname: HOST, socket: { data() {} } });
    const taken = [socket.write("<"), socket.write(make() as Uint8Array), socket.write(">")];
    socket.end();
    await ended;
    peer.stop(true);
    expect(taken).toEqual([1, bytes, 1]);
    expect(Buffer.concat(got).toString()).toBe(`<${content}>`);
  });

  test("by a datagram socket", async () => {
    const { promise: datagram, resolve } = Promise.withResolvers<string>();
    const peer = await Bun.udpSocket({ hostname: HOST, socket: { data: (_, data) => resolve(data.toString()) } });
    const socket = await udpSocket({ hostname: HOST });
    expect(socket.send(make() as Uint8Array, peer.port, HOST)).toBe(true);
    expect(await datagram).toBe(content);
    socket.close();
    peer.close();
  });

  test("by a WebSocket", async () => {
    const server = serveWebSocket({
      open(socket) {
        socket.subscribe("topic");
        socket.send("<");
        socket.send(make() as Uint8Array<ArrayBuffer>);
        server.publish("topic", make() as Uint8Array<ArrayBuffer>);
        socket.ping(make() as Uint8Array<ArrayBuffer>);
        socket.send(">");
      },
      message() {},
    });
    using client = await WebSocketClient.open(server.port);
    const frames = [];
    do frames.push(await client.next());
    while (frames.at(-1)![1] !== ">");
    await server.stop(true);
    const whole = [
      [1, "<"],
      [2, content],
      [2, content],
      [9, content],
      [1, ">"],
    ];
    expect(frames).toEqual(whole as typeof frames);
  });

  test("by a response's stream", async () => {
    using server = serve({
      port: 0,
      hostname: HOST,
      fetch: () =>
        new Response(
          new ReadableStream({
            start(controller) {
              for (const piece of ["<", make(), ">"]) controller.enqueue(piece);
              controller.close();
            },
          }),
        ),
    });
    expect(await (await fetch(server.url)).text()).toBe(`<${content}>`);
  });
});

describe.skipIf(isBun)("the promise layer", () => {
  test("shows nothing of its memory where the kernel has dropped the bytes (MSG_TRUNC on TCP)", async () => {
    const used = reactor()!;
    const [AF_INET, SOCK_STREAM, MSG_TRUNC] = [2, 1, 0x20];
    const peer = Bun.listen({
      port: 0,
      hostname: HOST,
      socket: { open: (socket) => void socket.write("dropped!read"), data() {} },
    });
    // The bytes of another write, in memory that is used again.
    await files.writeFile("/dev/null", Buffer.alloc(4000, "secret"));
    const fd = await used.socket(AF_INET, SOCK_STREAM);
    await used.connect(fd, { hostname: HOST, port: peer.port });
    const into = Buffer.alloc(8, ".");
    expect(await used.recv(fd, into, MSG_TRUNC)).toBe(8);
    expect(into.toString()).toBe("........");
    expect(await used.recv(fd, into)).toBe(4);
    expect(into.toString()).toBe("read....");
    await used.closeFd(fd);
    peer.stop(true);
  });

  test("takes an attribute as it was described, or refuses it", async () => {
    const used = reactor()!;
    const directory = mkdtempSync(join(tmpdir(), "ringloop-attribute-"));
    const path = join(directory, "file");
    await files.writeFile(path, "");
    const value = memory();
    const operation = used.op.setxattr(path, "user.ringloop", value);
    detached(value);
    expect(await used.chain(operation).catch((error) => `${error.name}: ${error.message}`)).toStartWith(
      "RangeError: data must keep its 50 bytes",
    );
    await used.setxattr(path, "user.ringloop", new Longer(memory().buffer));
    expect((await used.getxattr(path, "user.ringloop")).toString()).toBe("u".repeat(BYTES));
    rmSync(directory, { recursive: true });
  });

  test("goes by the views that it was given, whatever becomes of their array", async () => {
    const used = reactor()!;
    const directory = mkdtempSync(join(tmpdir(), "ringloop-views-"));
    const path = join(directory, "file");
    await files.writeFile(path, "0123456789");
    const file = await files.open(path, "r");
    const views = [Buffer.alloc(4), Buffer.alloc(4)];
    const [first, second] = views;
    const reading = used.readv(file.fd, views, 0);
    views.unshift(Buffer.alloc(100), Buffer.alloc(100));
    expect(await reading).toBe(8);
    expect([first!.toString(), second!.toString()]).toEqual(["0123", "4567"]);
    await file.close();
    rmSync(directory, { recursive: true });
  });
});
