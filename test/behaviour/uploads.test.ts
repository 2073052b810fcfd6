/**
 * Long bodies of requests: read in every way, sent in pieces of every size, broken off, and not
 * read. A connection that receives much takes them another way than short ones.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "bun:test";
import { fixture, run } from "./process.ts";
import { RawClient } from "./raw-client.ts";
import { isBun, serve, type Server } from "./subject.ts";

const MIB = 1048576;
/** Around the sizes from which a body gets memory of its own, and larger. */
const sizes = [262143, 262144, 262145, 1_000_003, 5 * MIB + 7];

/** Text of four lines of different lengths, so that a piece in a wrong place shows. */
function bodyOf(bytes: number, seed: number): Buffer {
  const body = Buffer.alloc(bytes);
  for (let at = 0, i = seed; at < bytes; i++) at += body.latin1Write(`${i * 7919} line ${i}\n`, at);
  return body;
}

const hashOf = (data: string | Uint8Array): string => createHash("sha1").update(data).digest("hex");

type Reading = (request: Request) => Promise<string | Uint8Array>;
const slow = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function gathered(stream: AsyncIterable<Uint8Array>, pause?: () => Promise<void>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) {
    pieces.push(piece);
    await pause?.();
  }
  return Buffer.concat(pieces);
}

const readings: Record<string, Reading> = {
  arrayBuffer: async (request) => new Uint8Array(await request.arrayBuffer()),
  bytes: (request) => request.bytes(),
  text: (request) => request.text(),
  json: async (request) => String(await request.json()),
  blob: async (request) => (await request.blob()).bytes(),
  stream: (request) => gathered(request.body!),
  slowly: (request) => gathered(request.body!, slow),
  later: async (request) => {
    for (let turn = 0; turn < 20; turn++) await slow();
    return request.bytes();
  },
  "a copy": (request) => request.clone().bytes(),
  "a Response": (request) => new Response(request.body).bytes(),
};

let server: Server | undefined;
function uploadServer(): Server {
  return (server ??= serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const reading = readings[request.headers.get("read-as") ?? ""];
      return new Response(reading === undefined ? "no body" : hashOf(await reading(request)));
    },
  }));
}
afterAll(() => server?.stop(true));

const post = (as: string, framing: string): string =>
  `POST / HTTP/1.1\r\nHost: a\r\nRead-As: ${as}\r\n${framing}\r\n\r\n`;
const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/** Sends bytes in pieces of sizes that change. */
async function writeInPieces(client: RawClient, bytes: Uint8Array): Promise<void> {
  const lengths = [1, 16384, 65536, 3, 200_000, 16383, 100_000, 40];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const next = Math.min(at + lengths[i % lengths.length]!, bytes.length);
    await client.write(bytes.subarray(at, next));
    at = next;
  }
}

async function answer(client: RawClient): Promise<string> {
  return (await client.readResponse("POST")).text;
}

describe.each(Object.keys(readings))("a long body, read as %s", (as) => {
  // Bun closes a connection that has sent another request before a handler's answer.
  const behind = isBun && (as === "slowly" || as === "later") ? "" : get;
  const made = (bytes: number, seed: number): { sent: Buffer; hash: string } => {
    const body = bodyOf(bytes, seed);
    if (as !== "json") return { sent: body, hash: hashOf(body) };
    const text = body.latin1Slice();
    return { sent: Buffer.from(JSON.stringify(text).padEnd(bytes, " ")), hash: hashOf(text) };
  };

  test("arrives whole, however it is sent, between other requests", async () => {
    using client = await RawClient.connect(uploadServer().port);
    for (const [i, bytes] of sizes.entries()) {
      const { sent, hash } = made(bytes, i);
      const head = post(as, `Content-Length: ${sent.length}`);
      await client.write(Buffer.concat([Buffer.from(head), sent, Buffer.from(behind)]));
      expect(await answer(client)).toBe(hash);
      if (behind !== "") expect(await answer(client)).toBe("no body");
      await client.write(head);
      await writeInPieces(client, sent);
      expect(await answer(client)).toBe(hash);
    }
  });

  test("arrives whole in chunks", async () => {
    using client = await RawClient.connect(uploadServer().port);
    const { sent, hash } = made(MIB, 5);
    for (let round = 0; round < 2; round++) {
      const chunks: Buffer[] = [];
      for (let at = 0, bytes = 1; at < sent.length; bytes = (bytes * 3) % 100_003) {
        const chunk = sent.subarray(at, (at += bytes));
        chunks.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from("\r\n"));
      }
      await client.write(Buffer.concat([Buffer.from(post(as, "Transfer-Encoding: chunked")), ...chunks]));
      await client.write(`0\r\n\r\n${behind}`);
      expect(await answer(client)).toBe(hash);
      if (behind !== "") expect(await answer(client)).toBe("no body");
    }
  });

  test("arrives whole from many clients at once", async () => {
    const { sent, hash } = made(2 * MIB + 1, 9);
    const head = post(as, `Content-Length: ${sent.length}`);
    const hashes = await Promise.all(
      Array.from({ length: 12 }, async () => {
        using client = await RawClient.connect(uploadServer().port);
        const found: string[] = [];
        for (let round = 0; round < 3; round++) {
          await client.write(head);
          await client.write(sent);
          found.push(await answer(client));
        }
        return found;
      }),
    );
    expect(new Set(hashes.flat())).toEqual(new Set([hash]));
  });
});

test("a request is written to a file with its body", async () => {
  const sent = bodyOf(600_000, 4);
  const directory = mkdtempSync(join(tmpdir(), "ringloop-uploads-"));
  const paths = [join(directory, "by Bun.write"), join(directory, "by a file")] as const;
  try {
    using writing = serve({
      port: 0,
      hostname: "127.0.0.1",
      async fetch(request) {
        const [first, second] = paths;
        const copy = request.clone();
        return new Response(`${await Bun.write(first, request)} ${await Bun.file(second).write(copy as never)}`);
      },
    });
    const answered = await fetch(writing.url, { method: "POST", body: sent });
    expect(await answered.text()).toBe("600000 600000");
    for (const path of paths) expect(hashOf(readFileSync(path))).toBe(hashOf(sent));
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("the memory of a body may go to another thread", async () => {
  const received = Promise.withResolvers<string>();
  const worker = new Worker(
    URL.createObjectURL(
      new Blob([`onmessage = ({ data }) => postMessage(Bun.SHA1.hash(new Uint8Array(data), "hex"))`]),
    ),
  );
  worker.addEventListener("message", ({ data }) => received.resolve(data));
  using taking = serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const bytes = await request.arrayBuffer();
      worker.postMessage(bytes, [bytes]);
      return new Response(`${bytes.byteLength} ${await received.promise}`);
    },
  });
  const sent = bodyOf(3 * MIB, 3);
  expect(await (await fetch(taking.url, { method: "POST", body: sent })).text()).toBe(`0 ${hashOf(sent)}`);
  worker.terminate();
});

describe("a body that does not become whole", () => {
  const begin = async (port: number, as: string): Promise<RawClient> => {
    const client = await RawClient.connect(port);
    await client.write(post(as, `Content-Length: ${8 * MIB}`));
    await client.write(bodyOf(4 * MIB, 1));
    return client;
  };

  test.each(["bytes", "stream"])("is an error for who reads its %s, if the client ends or breaks off", async (as) => {
    const errors: string[] = [];
    let told = Promise.withResolvers<void>();
    let arrived = Promise.withResolvers<void>();
    using failing = serve({
      port: 0,
      hostname: "127.0.0.1",
      async fetch(request) {
        arrived.resolve();
        try {
          await readings[as]!(request);
          errors.push("none");
        } catch (error) {
          errors.push((error as Error).name);
        }
        told.resolve();
        return new Response();
      },
    });
    for (const leave of ["end", "reset"] as const) {
      told = Promise.withResolvers();
      arrived = Promise.withResolvers();
      const client = await begin(failing.port, as);
      await arrived.promise;
      client[leave]();
      await told.promise;
      client[Symbol.dispose]();
    }
    expect(errors).toEqual(["AbortError", "AbortError"]);
  });

  test("is given up when its client breaks off, even if nobody reads it", async () => {
    let arrived = Promise.withResolvers<void>();
    let aborted = Promise.withResolvers<void>();
    using waiting = serve({
      port: 0,
      hostname: "127.0.0.1",
      async fetch(request) {
        const gone = aborted;
        request.signal.addEventListener("abort", () => gone.resolve());
        if (request.headers.get("read-as") === "first") await request.body!.getReader().read();
        arrived.resolve();
        await gone.promise;
        return new Response();
      },
    });
    for (const as of ["nothing", "first"]) {
      arrived = Promise.withResolvers();
      aborted = Promise.withResolvers();
      const client = await RawClient.connect(waiting.port);
      await client.write(post(as, `Content-Length: ${16 * MIB}`));
      void client.write(bodyOf(16 * MIB, 1)); // More than waits anywhere.
      await arrived.promise;
      client.reset();
      await aborted.promise;
    }
  });

  test("may be answered early, and the next request follows its rest", async () => {
    using early = serve({
      port: 0,
      hostname: "127.0.0.1",
      async fetch(request) {
        if (request.method === "GET") return new Response("next");
        const reader = request.body!.getReader();
        for (let bytes = 0; bytes < 2 * MIB;) bytes += (await reader.read()).value!.length;
        if (request.headers.get("read-as") === "cancelled") await reader.cancel();
        return new Response("enough");
      },
    });
    for (const as of ["cancelled", "left"]) {
      using client = await RawClient.connect(early.port);
      await client.write(post(as, `Content-Length: ${6 * MIB}`));
      const rest = client.write(bodyOf(6 * MIB, 2));
      expect(await answer(client)).toBe("enough");
      await rest;
      await client.write(get);
      expect(await answer(client)).toBe("next");
    }
  });

  test("leaves no memory behind: broken off, not read, stopped, or in a Worker that ends", async () => {
    const { stdout } = await run([process.execPath, fixture("broken-uploads.ts")]);
    const { grownBytes, sentBytes } = JSON.parse(stdout) as { grownBytes: number; sentBytes: number };
    expect(sentBytes).toBeGreaterThan(500 * MIB);
    expect(grownBytes).toBeLessThan(100 * MIB);
  });
});
