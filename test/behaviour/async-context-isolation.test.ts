/** AsyncLocalStorage: no client sees the store of another, however many clients come at once. */
import { describe, expect, test } from "bun:test";
import { AsyncLocalStorage } from "node:async_hooks";
import { isBun, listen, serve, udpSocket } from "./subject.ts";
import { RawClient } from "./raw-client.ts";
import { frame, serveWebSocket, WebSocketClient } from "./websocket-client.ts";

const als = new AsyncLocalStorage<string>();
const local = { hostname: "127.0.0.1", port: 0 } as const;
const NONE = "none";
const store = (): string => als.getStore() ?? NONE;
const get = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

async function readAnswers(client: RawClient, count: number): Promise<string[]> {
  const texts: string[] = [];
  for (let i = 0; i < count; i++) texts.push((await client.readResponse()).text);
  return texts;
}

describe("nobody sees what another has entered", () => {
  const CLIENTS = 16;
  const EACH = 100;

  /**
   * Enters the store `id`. Notes the store before that, after a promise job, and after other
   * clients were served.
   */
  async function work(id: string): Promise<string> {
    const before = store();
    als.enterWith(id);
    await Promise.resolve();
    const job = store();
    await new Promise(setImmediate);
    return [before === NONE, job === id, store() === id].includes(false) ? `${before}, ${job}, ${store()}` : "alone";
  }

  const alone = (count: number): string[] => Array.from({ length: count }, () => "alone");
  const numbers = Array.from({ length: CLIENTS }, (_, i) => i);

  test("in 1,600 requests of 16 clients that answer at once, pipelined", async () => {
    using server = serve({
      ...local,
      fetch(request) {
        const before = store();
        als.enterWith(request.url);
        return new Response(before === NONE ? "alone" : before);
      },
    });
    const ask = async (i: number): Promise<string[]> => {
      using client = await RawClient.connect(server.port);
      void client.write(get.replace("/", `/${i}`).repeat(EACH));
      return await readAnswers(client, EACH);
    };
    expect((await Promise.all(numbers.map(ask))).flat()).toEqual(alone(CLIENTS * EACH));
  });

  test("in 1,600 requests of 16 clients that answer later, one connection each", async () => {
    using server = serve({ ...local, fetch: async (request) => new Response(await work(request.url)) });
    const ask = async (i: number): Promise<string[]> => {
      using client = await RawClient.connect(server.port);
      const answers: string[] = [];
      for (let k = 0; k < EACH; k++) {
        void client.write(get.replace("/", `/${i}/${k}`));
        answers.push(...(await readAnswers(client, 1)));
      }
      return answers;
    };
    expect((await Promise.all(numbers.map(ask))).flat()).toEqual(alone(CLIENTS * EACH));
  });

  test("in 1,600 requests of 16 clients that answer later, pipelined", async () => {
    if (isBun) return; // Bun closes the connection.
    using server = serve({ ...local, fetch: async (request) => new Response(await work(request.url)) });
    const ask = async (i: number): Promise<string[]> => {
      using client = await RawClient.connect(server.port);
      void client.write(get.replace("/", `/${i}`).repeat(EACH));
      return await readAnswers(client, EACH);
    };
    expect((await Promise.all(numbers.map(ask))).flat()).toEqual(alone(CLIENTS * EACH));
  });

  test("in 1,600 WebSocket messages of 16 clients", async () => {
    using server = serveWebSocket({
      async message(socket, message) {
        socket.send(await work(String(message)));
      },
    });
    const ask = async (i: number): Promise<string[]> => {
      using client = await WebSocketClient.open(server.port);
      client.send(...Array.from({ length: EACH }, (_, k) => frame(1, `${i} ${k}`)));
      const answers: string[] = [];
      for (let k = 0; k < EACH; k++) answers.push((await client.next())[1]);
      return answers;
    };
    expect((await Promise.all(numbers.map(ask))).flat()).toEqual(alone(CLIENTS * EACH));
  });

  test("in what 16 sockets receive", async () => {
    using server = listen({
      ...local,
      socket: {
        async data(socket, data) {
          socket.write(`${await work(data.toString())};`);
        },
      },
    });
    const ask = async (i: number): Promise<string[]> => {
      using client = await RawClient.connect(server.port);
      const answers: string[] = [];
      for (let k = 0; k < EACH; k++) {
        void client.write(`${i} ${k}`);
        answers.push((await client.readUntil(";")).slice(0, -1));
      }
      return answers;
    };
    expect((await Promise.all(numbers.map(ask))).flat()).toEqual(alone(CLIENTS * EACH));
  });

  test("in datagrams", async () => {
    const answers: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const count = 256;
    using receiver = await udpSocket({
      hostname: "127.0.0.1",
      socket: {
        async data(_socket, data) {
          answers.push(await work(data.toString()));
          if (answers.length === count) resolve();
        },
      },
    });
    using sender = await udpSocket({ hostname: "127.0.0.1", socket: {} });
    const { port } = receiver;
    // Batches are small, so that the kernel drops no datagram.
    for (let sent = 0; sent < count; sent += 32) {
      sender.sendMany(Array.from({ length: 32 }, (_, i) => [`${sent + i}`, port, "127.0.0.1"]).flat());
      while (answers.length < sent + 32) await new Promise(setImmediate);
    }
    await promise;
    expect(answers).toEqual(alone(count));
  });

  test("in a response's stream, whose pull enters", async () => {
    let foreign = 0;
    using server = serve({
      ...local,
      fetch(request) {
        const id = request.headers.get("x-id")!;
        let isFirst = true;
        return new Response(
          new ReadableStream({
            async pull(controller) {
              if (store() !== NONE && store() !== id) foreign++;
              als.enterWith(id);
              if (isFirst) controller.enqueue(id);
              else controller.close();
              isFirst = false;
            },
          }),
        );
      },
    });
    const clients = await Promise.all(numbers.map(() => RawClient.connect(server.port)));
    for (let round = 0; round < 10; round++) {
      await Promise.all(clients.map((client, i) => client.write(get.replace("\r\n\r\n", `\r\nX-Id: ${i}\r\n\r\n`))));
      for (const [i, client] of clients.entries()) expect((await client.readResponse()).text).toBe(String(i));
    }
    for (const client of clients) client[Symbol.dispose]();
    expect(foreign).toBe(0);
  });
});
