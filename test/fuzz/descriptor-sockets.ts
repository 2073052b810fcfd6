/**
 * Connections that end while they send: sockets, stream sockets, HTTP, WebSockets, descriptors of
 * the reactor. And datagrams.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectStream, listenStream, type Socket } from "../../src/index.ts";
import { RawClient } from "../behaviour/raw-client.ts";
import { connect, listen, reactor as used, serve, udpSocket } from "../behaviour/subject.ts";
import { serveWebSocket } from "../behaviour/websocket-client.ts";
import type { Step } from "./campaign.ts";
import type { Life } from "./descriptor-files.ts";
import { Owner, Received, TAG_BYTES, whenever } from "./owner.ts";

const HOST = "127.0.0.1";
const [AF_INET, SOCK_STREAM] = [2, 1];
const DATAGRAM_BYTES = 1000 * TAG_BYTES;

interface Lives {
  lives: Record<string, Life>;
  close(): Promise<void>;
}

export async function socketLives(directory: string): Promise<Lives> {
  const reactor = used()!;
  /** Owners of connections, by tag: the first bytes of a connection name its owner. */
  const owners = new Map<string, Owner>();
  /** One end of Bun's echo, which checks all bytes and sends them back. */
  interface End {
    received: Received | undefined;
    /** Bytes of the echo that the socket has not taken. */
    rest: Buffer;
  }

  function own(step: Step): Owner {
    const owner = new Owner(step);
    owners.set(owner.tag, owner);
    return owner;
  }

  function feed(end: End, bytes: Uint8Array, what: string): void {
    if (end.received === undefined) {
      const tag = Buffer.from(bytes.subarray(0, TAG_BYTES)).toString("latin1");
      const owner = owners.get(tag);
      if (owner === undefined) throw new Error(`${what} begins with ${JSON.stringify(tag)}, which nobody owns`);
      end.received = new Received(owner, what);
    }
    end.received.feed(bytes);
  }

  const fresh = (): End => ({ received: undefined, rest: Buffer.alloc(0) });
  const bunsEcho = Bun.listen<End>({
    hostname: HOST,
    port: 0,
    data: fresh(),
    socket: {
      open(socket) {
        socket.data = fresh();
      },
      data(socket, bytes) {
        feed(socket.data, bytes, "Bun's end");
        socket.data.rest = Buffer.concat([socket.data.rest, bytes]);
        socket.data.rest = socket.data.rest.subarray(Math.max(0, socket.write(socket.data.rest)));
      },
      drain(socket) {
        socket.data.rest = socket.data.rest.subarray(Math.max(0, socket.write(socket.data.rest)));
      },
      error() {},
    },
  });
  const echo = listen<End | undefined>({
    hostname: HOST,
    port: 0,
    socket: {
      open(socket) {
        socket.data = fresh();
      },
      data(socket, bytes) {
        feed(socket.data!, bytes, "a socket of listen");
        socket.write(bytes);
      },
      error() {},
    },
  });
  const streams = listenStream({ hostname: HOST, port: 0 });
  const serving = (async () => {
    for await (const stream of streams) {
      const end = fresh();
      void (async () => {
        for await (const chunk of stream) {
          feed(end, chunk, "a socket of listenStream");
          await stream.write(chunk);
        }
        await stream.end();
      })().catch(() => stream.destroy());
    }
  })();

  /** Ends a connection at a random time, in one of these ways. */
  async function endSometime(step: Step, ways: (() => unknown)[]): Promise<void> {
    await whenever(step);
    step.attempt(step.pick(ways));
  }

  /** Connects to `port` with Bun's own socket, sends, checks the echo, and leaves. */
  async function bunsClient(step: Step, port: number): Promise<void> {
    const owner = own(step);
    const received = new Received(owner, "Bun's client");
    const closed = Promise.withResolvers<void>();
    const socket = await Bun.connect({
      hostname: HOST,
      port,
      socket: {
        data: (_, bytes) => received.feed(bytes),
        close: () => closed.resolve(),
        error: () => closed.resolve(),
      },
    });
    // Bytes that the socket does not take are not sent. The next write starts there in the tag.
    let at = 0;
    for (let i = 1 + step.below(4); i > 0; i--) {
      const bytes = owner.randomBytes(200_000);
      const taken = socket.write(
        owner.bytes(bytes.length + TAG_BYTES).subarray(at % TAG_BYTES, (at % TAG_BYTES) + bytes.length),
      );
      at += Math.max(0, taken);
      await whenever(step);
    }
    await endSometime(step, [() => socket.terminate(), () => socket.end(), () => socket.shutdown()]);
    await closed.promise;
    owners.delete(owner.tag);
  }

  const datagrams = new Map<string, number>();
  const receiver = await Bun.udpSocket({
    hostname: HOST,
    socket: {
      data(_, bytes, port) {
        const tag = bytes.toString("latin1", 0, TAG_BYTES);
        const owner = owners.get(tag);
        if (owner === undefined || datagrams.get(tag) !== port)
          throw new Error(
            `a datagram from port ${port} begins with ${JSON.stringify(tag)} of port ${datagrams.get(tag)}`,
          );
        owner.check("a datagram", bytes);
        owner.step.count("datagrams", "come");
      },
    },
  });
  /** The last owners. Their datagrams may still arrive. */
  const late: Owner[] = [];

  const http = serve({
    port: 0,
    hostname: HOST,
    development: false,
    idleTimeout: 0,
    error: () => new Response("failed", { status: 500 }),
    async fetch(request) {
      const { pathname } = new URL(request.url);
      if (request.method === "GET") return new Response(Bun.file(join(directory, pathname.slice(1))));
      const owner = owners.get(pathname.slice(1))!;
      const body = await request.bytes();
      owner.check("a request's body", body);
      return new Response(body);
    },
  });
  const webSockets = serveWebSocket({
    idleTimeout: 0,
    message(socket, message) {
      const bytes = Buffer.from(message as Buffer);
      const owner = owners.get(bytes.toString("latin1", 0, TAG_BYTES));
      if (owner === undefined) throw new Error("a message that nobody owns");
      owner.check("a message", bytes);
      socket.send(bytes);
      if (owner.step.oneIn(6)) socket.terminate();
    },
  });

  const lives: Record<string, Life> = {
    "a socket of connect": async (step) => {
      const owner = own(step);
      const received = new Received(owner, "a socket of connect");
      const closed = Promise.withResolvers<void>();
      const socket: Socket = await connect({
        hostname: HOST,
        port: bunsEcho.port,
        socket: {
          data: (_, bytes) => received.feed(bytes),
          close: () => closed.resolve(),
          error() {},
        },
      });
      for (let i = 1 + step.below(4); i > 0; i--) {
        const bytes = owner.randomBytes();
        // A full queue takes a part of the bytes, and then nothing more until it is empty.
        if (socket.write(bytes) < bytes.length) break;
        await whenever(step);
      }
      await endSometime(step, [
        () => socket.terminate(),
        () => socket.end(),
        () => socket.close(),
        () => socket.shutdown(),
      ]);
      await whenever(step);
      socket.terminate();
      await closed.promise;
      owners.delete(owner.tag);
    },

    "a socket of listen": (step) => bunsClient(step, echo.port),
    "a socket of listenStream": (step) => bunsClient(step, streams.address!.port),

    "a socket of connectStream": async (step) => {
      const owner = own(step);
      const received = new Received(owner, "a socket of connectStream");
      const stream = await connectStream({ hostname: HOST, port: bunsEcho.port });
      const writing = step.outcome(
        (async () => {
          for (let i = 1 + step.below(4); i > 0; i--) await stream.write(owner.randomBytes());
          if (step.oneIn(2)) await stream.end();
        })(),
      );
      const reading = step.outcome(
        (async () => {
          for await (const chunk of stream) received.feed(chunk);
        })(),
      );
      await endSometime(step, [() => stream.destroy(), () => void stream[Symbol.asyncDispose]()]);
      await whenever(step);
      stream.destroy();
      await Promise.all([writing, reading, stream.closed.catch(() => {})]);
      owners.delete(owner.tag);
    },

    "a descriptor of the reactor's socket": async (step) => {
      const owner = own(step);
      const fd = await reactor.socket(AF_INET, SOCK_STREAM);
      const received = new Received(owner, "a descriptor");
      await reactor.connect(fd, { hostname: HOST, port: bunsEcho.port });
      const into = Buffer.alloc(65_536);
      const abort = new AbortController();
      const receiving = step.outcome(reactor.recv(fd, into, 0, { signal: abort.signal }));
      const first = await step.outcome(reactor.send(fd, owner.bytes(TAG_BYTES * (1 + step.below(5000)))));
      if (first === undefined) step.violation("the first bytes could not be sent");
      const more =
        first! % TAG_BYTES === 0 && step.oneIn(2)
          ? step.outcome(reactor.sendZc(fd, owner.bytes(TAG_BYTES * 100)))
          : undefined;
      await whenever(step);
      if (step.oneIn(2)) abort.abort();
      const count = await receiving;
      if (count !== undefined) received.feed(into.subarray(0, count));
      if (step.oneIn(2)) await step.outcome(reactor.shutdown(fd, 1));
      const closed = reactor.closeFd(fd);
      await more;
      await closed;
      owners.delete(owner.tag);
    },

    "a UDP socket": async (step) => {
      const owner = own(step);
      const socket = await udpSocket({ hostname: HOST });
      datagrams.set(owner.tag, socket.port);
      for (let i = 1 + step.below(8); i > 0; i--) {
        step.count("datagrams", "sent");
        socket.send(owner.randomBytes(DATAGRAM_BYTES), receiver.port, HOST);
        if (step.oneIn(3)) await whenever(step);
      }
      socket.close();
      late.push(owner);
      if (late.length < 1000) return;
      const { tag } = late.shift()!;
      owners.delete(tag);
      datagrams.delete(tag);
    },

    "a file in an answer": async (step) => {
      const owner = own(step);
      const path = join(directory, owner.tag);
      const content = owner.randomBytes(step.oneIn(10) ? 2_000_000 : 200_000);
      writeFileSync(path, content);
      using client = await RawClient.connect(http.port);
      void client.write(`GET /${owner.tag} HTTP/1.1\r\nHost: test\r\n\r\n`);
      if (step.oneIn(3)) {
        void client.readResponse().catch(() => {});
        await endSometime(step, [() => client.reset(), () => client.end(), () => client[Symbol.dispose]()]);
      } else {
        const { status, body } = await client.readResponse();
        if (status !== 200 || body.length !== content.length)
          step.violation(`an answer of status ${status} has ${body.length} bytes, not ${content.length}`);
        owner.check("an answer", body);
      }
      rmSync(path);
      owners.delete(owner.tag);
    },

    "a body that comes back": async (step) => {
      const owner = own(step);
      const content = owner.randomBytes(500_000);
      using client = await RawClient.connect(http.port);
      void client.write(`POST /${owner.tag} HTTP/1.1\r\nHost: test\r\nContent-Length: ${content.length}\r\n\r\n`);
      const half = TAG_BYTES * step.below(content.length / TAG_BYTES);
      void client.write(content.subarray(0, half));
      await whenever(step);
      if (step.oneIn(4)) client.reset();
      else {
        void client.write(content.subarray(half));
        const { body } = await client.readResponse();
        if (body.length !== content.length) step.violation(`${body.length} bytes came back of ${content.length}`);
        owner.check("an answer", body);
      }
      owners.delete(owner.tag);
    },

    "a WebSocket": async (step) => {
      const owner = own(step);
      const client = new WebSocket(`ws://${HOST}:${webSockets.port}/`);
      client.binaryType = "arraybuffer";
      const closed = Promise.withResolvers<void>();
      client.onmessage = ({ data }) => owner.check("a message", new Uint8Array(data as ArrayBuffer));
      client.onclose = client.onerror = () => closed.resolve();
      await Promise.race([new Promise((resolve) => (client.onopen = resolve)), closed.promise]);
      if (client.readyState !== WebSocket.OPEN) step.violation("a WebSocket that nobody has closed does not open");
      for (let i = 1 + step.below(4); i > 0 && client.readyState === WebSocket.OPEN; i--) {
        client.send(owner.randomBytes(200_000) as Buffer<ArrayBuffer>);
        await whenever(step);
      }
      await endSometime(step, [() => client.terminate(), () => client.close()]);
      await closed.promise;
      late.push(owner);
    },
  };

  return {
    lives,
    async close() {
      echo.stop(true);
      bunsEcho.stop(true);
      streams.stop();
      await serving;
      receiver.close();
      await http.stop(true);
      await webSockets.stop(true);
    },
  };
}
