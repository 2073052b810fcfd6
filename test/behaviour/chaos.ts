/**
 * A server that answers in every possible way, and clients that do everything at once: pieces,
 * pipelines, bodies that nobody reads, resets, half-closes. Each answer names its request.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { SeededRandom } from "../unit/seeded-random.ts";
import { RawClient } from "./raw-client.ts";
import { isBun, serve, type Server } from "./subject.ts";

/** Returns the expected answer of each path, for a request with that id and body. */
const kinds: Record<string, (id: string, body: string) => string> = {
  "/text": (id, body) => `${id} ${body.length}`,
  "/later": (id, body) => `${id} later ${body.length}`,
  "/json": (id) => JSON.stringify({ id }),
  "/bytes": (id) => id.repeat(2000),
  "/stream": (id) => `${id} in parts`.repeat(50),
  "/ignores": (id) => `${id} ignores`,
  "/early": (id) => `${id} early`,
  "/static": () => "static",
  "/small": () => Buffer.alloc(700, "small file ").toString(),
  "/large": () => Buffer.alloc(300_000, "large file ").toString(),
  "/throws": (id) => `caught ${id}`,
};
const paths = Object.keys(kinds);
/** The paths that answer at once. A client that has closed its side still gets these answers. */
const promptPaths = paths.filter((path) => path !== "/later" && path !== "/stream");

/** Returns the right answer to a request. */
export function answerOf(path: string, id: string, body: string): string {
  return kinds[path]!(id, body);
}

/** Writes the files of the server. */
export function writeFiles(directory: string): void {
  for (const [name, bytes] of Object.entries({ small: 700, large: 300_000 }))
    writeFileSync(join(directory, name), Buffer.alloc(bytes, `${name} file `));
}

/** Starts a server that answers in all these ways. Its files are made in `directory`. */
export function startChaosServer(directory: string): Server {
  writeFiles(directory);
  const idOf = (request: Request): string => request.headers.get("x-id")!;
  return serve({
    port: 0,
    hostname: "127.0.0.1",
    development: false,
    routes: {
      "/static": new Response("static"),
      "/small": Bun.file(join(directory, "small")),
      "/large": () => new Response(Bun.file(join(directory, "large"))),
      "/json": (request) => Response.json({ id: idOf(request) }),
      "/throws": (request) => {
        throw new Error(idOf(request));
      },
    },
    error: ({ message }) => new Response(`caught ${message}`, { status: 500 }),
    async fetch(request) {
      const id = idOf(request);
      const path = new URL(request.url).pathname;
      if (path === "/ignores") return new Response(kinds[path]!(id, ""));
      if (path === "/early") {
        void request.text().catch(() => {}); // The handler still reads after it has answered.
        return new Response(kinds[path]!(id, ""));
      }
      const body = await request.text();
      if (path === "/later") await Bun.sleep(Number(id.split(".")[1]) % 4);
      if (path === "/bytes") return new Response(Buffer.from(kinds[path]!(id, body)));
      if (path !== "/stream") return new Response(kinds[path]!(id, body));
      let left = 50;
      return new Response(
        new ReadableStream({
          async pull(controller) {
            if (left % 7 === 0) await Bun.sleep(0);
            if (left-- > 0) controller.enqueue(`${id} in parts`);
            else controller.close();
          },
        }),
      );
    },
  });
}

interface Asked {
  bytes: string;
  answer: string;
}

function ask(random: SeededRandom, id: string, isLast: boolean, among: string[]): Asked {
  const path = among[random.below(among.length)]!;
  const body = random.below(3) === 0 ? "b".repeat(random.below(20_000)) : "";
  const head = `${body ? "POST" : "GET"} ${path} HTTP/1.1\r\nHost: test\r\nX-Id: ${id}\r\n${isLast ? "Connection: close\r\n" : ""}`;
  const isChunked = random.below(2) === 0;
  let bytes = `${head}\r\n`;
  if (body && isChunked) {
    bytes = `${head}Transfer-Encoding: chunked\r\n\r\n`;
    for (let at = 0; at < body.length;) {
      const size = Math.min(body.length - at, 1 + random.below(5000));
      bytes += `${size.toString(16)}\r\n${body.slice(at, at + size)}\r\n`;
      at += size;
    }
    bytes += "0\r\n\r\n";
  } else if (body) bytes = `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
  return { bytes, answer: kinds[path]!(id, body) };
}

/** An answer that belongs to another request. This must never happen, whatever else breaks. */
export class WrongAnswer extends Error {}

/**
 * Runs one client. Returns the number of its answers. Throws WrongAnswer for a wrong answer, and
 * another Error if its connection breaks. `isNode`: whether the server is one of node:http. Such a
 * server refuses nonsense at once, and gives up the answers that it owes.
 */
export async function live(port: number, seed: number, name: number, isNode = false): Promise<number> {
  const random = new SeededRandom(seed);
  using client = await RawClient.connect(port);
  let seen = 0;
  for (let round = 0; round < 1 + random.below(4); round++) {
    // The end of this round: an abrupt end, an answer that the client does not wait for, a
    // half-close, an answer that closes the connection, or nonsense.
    const fate = random.below(10);
    // Bun reads no second request before it has answered the first. When it closes a connection
    // with unread bytes, it resets the connection.
    const count = isBun ? 1 : 1 + random.below(5);
    const asked = Array.from({ length: count }, (_, i) =>
      ask(
        random,
        `${name}.${round * 10 + i}`,
        fate === 3 && !isBun && i === count - 1,
        fate === 2 ? promptPaths : paths,
      ),
    );
    const nonsense = fate === 4 && !isBun ? "NON SENSE\r\n\r\n" : "";
    const bytes = asked.map((each) => each.bytes).join("") + (isNode ? "" : nonsense);
    if (fate === 0) {
      // The client leaves in the middle of a request or of an answer.
      await client.write(bytes.slice(0, random.below(bytes.length)));
      if (random.below(2) === 0) client.reset();
      return seen;
    }
    for (let at = 0; at < bytes.length;) {
      const size = random.below(3) === 0 ? 1 + random.below(40) : 1 + random.below(9000);
      void client.write(bytes.slice(at, at + size));
      if (random.below(4) === 0) await new Promise((resolve) => setImmediate(resolve));
      at += size;
    }
    const leavesAfter = fate === 1 ? random.below(asked.length) : asked.length;
    if (fate === 2 && !isBun) client.end(); // Answers that come at once still arrive. Bun may answer after the end.
    for (const { answer } of asked.slice(0, leavesAfter)) {
      const { text } = await client.readResponse();
      if (text !== answer)
        throw new WrongAnswer(`connection ${name}, seed ${seed}: ${text.slice(0, 60)} for ${answer.slice(0, 60)}`);
      seen++;
    }
    if (leavesAfter < asked.length) client.reset();
    if (isNode) void client.write(nonsense);
    if (fate === 4 && !isBun && (await client.readResponse()).status !== 400)
      throw new WrongAnswer(`connection ${name}, seed ${seed}: nonsense was taken`);
    if ((fate === 3 || fate === 4) && !isBun && (await client.closed) !== "end") throw new Error("not closed in order");
    if (fate <= 4) return seen;
  }
  return seen;
}
