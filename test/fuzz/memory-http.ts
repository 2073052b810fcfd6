/**
 * Answers from memory that changes, and request bodies that handlers change, with Bun's own
 * clients.
 */
import { RawClient } from "../behaviour/raw-client.ts";
import { serve } from "../behaviour/subject.ts";
import type { Step } from "./campaign.ts";
import type { Area, MemoryOperation } from "./memory-operation.ts";
import { check, type UserMemory } from "./user-memory.ts";
import { PEER_LETTER, PEER_LETTERS } from "./wires.ts";

const HOST = "127.0.0.1";
const LARGE = 2_600_000;

type Handler = (request: Request) => Response | Promise<Response>;

export function httpArea(): Area {
  /** The handler of each path. The path is the number of the step. */
  const handlers = new Map<string, Handler>();
  const server = serve({
    port: 0,
    hostname: HOST,
    development: false,
    idleTimeout: 0, // Clients may have to wait.
    fetch: (request) => handlers.get(new URL(request.url).pathname)!(request),
    error: (error) => new Response(`failed: ${error.message}`, { status: 500 }),
  });
  const clients: RawClient[] = [];

  interface Answer {
    status: number;
    body: Uint8Array;
  }

  /** Sends a request on its own connection, with a client that checks each byte, or with fetch. */
  async function ask(step: Step, handler: Handler, body?: Uint8Array): Promise<Answer> {
    const path = `/${step.number}`;
    handlers.set(path, handler);
    try {
      if (step.oneIn(3)) {
        const answer = await fetch(`http://${HOST}:${server.port}${path}`, body && { method: "POST", body });
        return { status: answer.status, body: await answer.bytes() };
      }
      const client = clients.pop() ?? (await RawClient.connect(server.port));
      const request = body
        ? `POST ${path} HTTP/1.1\r\nHost: test\r\nContent-Length: ${body.length}\r\n\r\n`
        : `GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`;
      void client.write(request);
      if (body) void client.write(body);
      const { status, head, body: received } = await client.readResponse();
      if (/[\x80-\xff]/.test(head)) step.violation(`a head is ${JSON.stringify(head)}`);
      clients.push(client);
      return { status, body: received };
    } finally {
      handlers.delete(path);
    }
  }

  function checkAnswer(step: Step, { status, body }: Answer, memory: UserMemory, times: number): void {
    if (status !== 200)
      return step.violation(`the status is ${status}: ${Buffer.from(body.subarray(0, 200)).toString()}`);
    check(step, "the answer", body, memory.letters);
    if (body.length > memory.bytesMax * times)
      step.violation(`an answer has ${body.length} of ${memory.bytesMax} bytes`);
  }

  const whole: MemoryOperation = {
    name: "a Response of memory",
    weight: 20,
    takes: "data",
    bytesMax: LARGE,
    async run(step, memory, changing) {
      const data = memory.data as Uint8Array<ArrayBuffer>;
      const init = step.pick([undefined, { headers: { "X-Mine": "yes" } }]);
      const make = step.pick<() => Response>([
        () => new Response(data, init),
        () => new Response(new Blob([data, data]), init),
        () => new Response(data, init).clone() as Response,
      ]);
      // Bun may refuse to make a Response from a view without memory.
      let refused = false;
      const respond = (): Response => {
        try {
          return changing.under(make);
        } catch (error) {
          refused = true;
          step.count("refused", `by Response: ${(error as Error).message.slice(0, 60)}`);
          return new Response("");
        }
      };
      const isLate = step.oneIn(2);
      const answer = await ask(step, () => (isLate ? Promise.resolve().then(respond) : respond()));
      if (!refused) checkAnswer(step, answer, memory, 2);
    },
  };

  const streamed: MemoryOperation = {
    name: "a Response of a stream of memory",
    weight: 20,
    takes: "view",
    bytesMax: LARGE,
    async run(step, memory, changing) {
      const data = memory.data as Uint8Array<ArrayBuffer>;
      let left = 1 + step.below(4);
      const times = left;
      const make = step.pick<() => unknown>([
        () =>
          new Response(
            new ReadableStream({
              pull(controller) {
                if (left-- > 0) changing.under(() => controller.enqueue(data));
                else controller.close();
              },
            }),
          ),
        () =>
          new Response(
            new ReadableStream({
              start(controller) {
                for (; left > 0; left--) changing.under(() => controller.enqueue(data));
                controller.close();
              },
            }),
          ),
        () =>
          new Response(
            new ReadableStream({
              type: "direct",
              async pull(controller: any) {
                for (; left > 0; left--) changing.under(() => controller.write(data));
                await controller.end();
              },
            } as never),
          ),
        () =>
          new Response(async function* () {
            for (; left > 0; left--) yield changing.under(() => data);
          } as never),
      ]);
      // A stream that yields a view without memory may break the connection, as other errors of a
      // stream do.
      let answer: Answer;
      try {
        answer = await ask(step, make as Handler);
      } catch (error) {
        step.count("broken", "a stream");
        if (!/closed|reset|socket|terminated/i.test(String(error))) throw error;
        return;
      }
      checkAnswer(step, answer, memory, times);
    },
  };

  const fixed: MemoryOperation = {
    name: "a route's Response of memory",
    weight: 2,
    takes: "data",
    bytesMax: 200_000,
    async run(step, memory, changing) {
      let made: Response | undefined;
      try {
        made = changing.under(() => new Response(memory.data as Uint8Array<ArrayBuffer>));
      } catch (error) {
        step.count("refused", `by Response: ${(error as Error).message.slice(0, 60)}`);
        return;
      }
      const fixedServer = serve({ port: 0, hostname: HOST, development: false, routes: { "/*": made } });
      try {
        for (let i = 0; i < 3; i++) {
          const answer = await fetch(`http://${HOST}:${fixedServer.port}/`);
          checkAnswer(step, { status: answer.status, body: await answer.bytes() }, memory, 1);
        }
      } finally {
        await fixedServer.stop(true);
      }
    },
  };

  const body: MemoryOperation = {
    name: "a request's body",
    weight: 20,
    takes: "bytes",
    bytesMax: LARGE,
    async run(step, memory, changing) {
      const bytes = step.below(10) === 0 ? 300_000 + step.below(500_000) : step.below(60_000);
      let got = 0;
      /** The bytes belong to the handler. It checks them, changes them and transfers them. */
      const take = (piece: Uint8Array): void => {
        check(step, "the body", piece, PEER_LETTERS);
        got += piece.length;
        piece.fill(0x7a);
        if (piece.byteLength > 0 && step.oneIn(2))
          structuredClone(piece.buffer, { transfer: [piece.buffer as ArrayBuffer] });
      };
      const read = step.pick<(request: Request) => Promise<void>>([
        async (request) => take(await request.bytes()),
        async (request) => take(new Uint8Array(await request.arrayBuffer())),
        async (request) => take(Buffer.from(await request.text())),
        async (request) => take(await (await request.blob()).bytes()),
        async (request) => {
          for await (const piece of request.body ?? []) take(piece as Uint8Array);
        },
        async (request) => {
          const [one, two] = request.body?.tee() ?? [];
          const pieces = await Promise.all(
            [one, two].map((each) => (each ? new Response(each).bytes() : new Uint8Array(0))),
          );
          check(step, "the body's other half", pieces[1]!, PEER_LETTERS);
          take(pieces[0]!);
        },
      ]);
      const sent = Buffer.alloc(bytes, PEER_LETTER);
      const answer = await ask(
        step,
        async (request) => {
          await read(request);
          try {
            return changing.under(() => new Response(memory.data as Uint8Array<ArrayBuffer>));
          } catch {
            return new Response("");
          }
        },
        sent,
      );
      checkAnswer(step, answer, memory, 1);
      if (got !== bytes) step.violation(`a body of ${bytes} bytes came as ${got}`);
    },
  };

  return {
    operations: [whole, streamed, fixed, body],
    async close() {
      for (const client of clients) client[Symbol.dispose]();
      await server.stop(true);
    },
  };
}
