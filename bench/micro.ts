/** Costs of single steps, each compared with the obvious alternative: `bun bench/micro.ts`. */
import { bench, group, run } from "mitata";
import { HeadCache } from "../src/http/head.ts";
import { RequestParser } from "../src/http/parser.ts";
import { RingRequest } from "../src/bun/serve/request.ts";
import { Router } from "../src/bun/serve/router.ts";
import { Wheel, WheelEntry } from "../src/reactor/wheel.ts";
import { Arena, IORING_OP_SEND, Mapping, Ring } from "../src/ring/index.ts";
import { currentContext, outside } from "../src/sys/async-context.ts";

const ring = Ring.queueInit(256);
const sqes = Array.from({ length: 256 }, () => ring.getSqe()!);
const memory = new Mapping(4096);
const view = new DataView(new ArrayBuffer(64));
let next = 0;

group("a send, written into the queue", () => {
  bench("ringloop: u32 stores in the mapped ring", () => {
    sqes[next++ & 255]!.prepSend(7, memory.address, 64, 0).setUserData(1, 2);
  });
  bench("DataView with BigInt", () => {
    view.setUint8(0, IORING_OP_SEND);
    view.setUint8(1, 0);
    view.setUint16(2, 0, true);
    view.setInt32(4, 7, true);
    view.setBigUint64(8, 0n, true);
    view.setBigUint64(16, BigInt(memory.address), true);
    view.setUint32(24, 64, true);
    view.setUint32(28, 0, true);
    view.setBigUint64(32, 0x2_0000_0001n, true);
    view.setBigUint64(40, 0n, true);
    view.setBigUint64(48, 0n, true);
    view.setBigUint64(56, 0n, true);
  });
});

const working = Ring.queueInit(256);
const batch = new Int32Array(256 * 4);

function submitNops(count: number): void {
  for (let i = 0; i < count; i++) working.getSqe()!.prepNop().setUserData(i, 0);
  working.submitAndWait(count);
}

group("64 nops, there and back", () => {
  bench("reap into a batch", () => {
    submitNops(64);
    if (working.reap(batch) !== 64) throw new Error("completions are missing");
  });
  bench("forEachCqe and cqAdvance", () => {
    submitNops(64);
    let sum = 0;
    working.cqAdvance(working.forEachCqe((cqe) => (sum += cqe.userDataLow)));
    if (sum !== 2016) throw new Error("completions are missing");
  });
  bench("peekCqe and cqeSeen, one by one", () => {
    submitNops(64);
    for (let i = 0; i < 64; i++) {
      if (working.peekCqe()!.userDataLow !== i) throw new Error("completions are out of order");
      working.cqeSeen();
    }
  });
});

// ---- HTTP ----

const browserHead = Buffer.from(
  [
    "GET /assets/app.js?v=3 HTTP/1.1",
    "Host: www.example.com",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-US,en;q=0.5",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Connection: keep-alive",
    "Cookie: session=0123456789abcdef; theme=dark",
    "Sec-Fetch-Dest: script",
    'If-None-Match: "33a64df551425fcc55e4d42a148795d9f25f89d4"',
    "",
    "",
  ].join("\r\n"),
);
const parser = new RequestParser({ headerBytesMax: 16384 });

/** The obvious way to parse a head. */
function parseBySplitting(bytes: Buffer): Map<string, string> {
  const [, ...lines] = bytes.latin1Slice().split("\r\n");
  return new Map(
    lines.filter(Boolean).map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
}

group("a browser's request head", () => {
  bench("ringloop: parsed in place", () => parser.parse(browserHead, 0, browserHead.length));
  bench("split into strings", () => parseBySplitting(browserHead));
});

const origin = { defaultOrigin: "http://localhost" };
const headText = browserHead.latin1Slice();
const parsedEnd = parser.parse(browserHead, 0, browserHead.length);
const request = (): RingRequest => new RingRequest(origin, "GET", headText, 0, parser, parsedEnd, null);

group("a Request for the handler", () => {
  bench("ringloop: lazy", () => request());
  bench("ringloop: lazy, one field read", () => request().headers.get("cookie"));
  bench("native, with all fields", () => {
    const headers = [...parseBySplitting(browserHead)];
    return new Request("http://www.example.com/assets/app.js?v=3", { headers });
  });
});

const router = new Router<number>();
const patterns: RegExp[] = [];
for (let i = 0; i < 100; i++) {
  router.add(`/api/v1/resource${i}/:id/items/:item`, undefined, i);
  patterns.push(new RegExp(`^/api/v1/resource${i}/([^/]+)/items/([^/]+)$`));
}

group("one of 100 routes with two parameters", () => {
  bench("ringloop: a tree of segments", () => router.match("GET", "/api/v1/resource77/12345/items/9"));
  bench("regular expressions in turn", () =>
    patterns.findIndex((pattern) => pattern.test("/api/v1/resource77/12345/items/9")),
  );
});

const heads = new HeadCache();
const out = Buffer.alloc(4096);

group("the head and the text of a response", () => {
  bench("ringloop: cached head, two writes", () => {
    const head = heads.of(1, "text/plain;charset=utf-8", 13);
    out.latin1Write(head, 0, head.length);
    out.utf8Write("Hello, World!", head.length, 13);
  });
  bench("a template, encoded", () => {
    const text = `HTTP/1.1 200 OK\r\nContent-Type: text/plain;charset=utf-8\r\nDate: ${new Date().toUTCString()}\r\nContent-Length: 13\r\n\r\nHello, World!`;
    return Buffer.from(text);
  });
});

// ---- the queue of bytes to send, and timers ----

const arena = new Arena();
const small = Buffer.from("a small message of fifty bytes or so, as many have");

group("16 small writes that leave together", () => {
  bench("ringloop: into one chunk", () => {
    const chunk = arena.allocate(4096);
    for (let i = 0; i < 16; i++) {
      chunk.buffer.set(small, chunk.length);
      chunk.length += small.length;
    }
    arena.free(chunk);
  });
  bench("Buffer.concat", () => Buffer.concat(Array<Buffer>(16).fill(small)));
});

class Entry extends WheelEntry {
  override fire(): void {}
}
const wheel = new Wheel(0);
const entries = Array.from({ length: 1000 }, () => new Entry());
const timers: NodeJS.Timeout[] = Array.from({ length: 1000 }, () => setTimeout(() => {}, 10_000));
let turn = 0;

group("an idle timeout moved, of 1,000", () => {
  bench("ringloop: the wheel", () => wheel.set(entries[turn++ % 1000]!, turn / 1000, 10_000));
  bench("clearTimeout and setTimeout", () => {
    const at = turn++ % 1000;
    clearTimeout(timers[at]);
    timers[at] = setTimeout(() => {}, 10_000);
  });
});

// ---- async contexts ----

const handlers = [1, 2, 3, 4].map((step) => (socket: { count: number }) => (socket.count += step));
const counted = { count: 0 };
const callHandler = (handler: (typeof handlers)[number], socket: typeof counted): number => handler(socket);

group("a handler, from which nothing entered may stay", () => {
  bench("ringloop: outside of every context", () => outside(callHandler, handlers[turn++ & 3]!, counted));
  bench("ringloop: in the current context", () => currentContext()(callHandler, handlers[turn++ & 3]!, counted));
  bench("a call, from which it stays", () => callHandler(handlers[turn++ & 3]!, counted));
});

await run();
for (const timer of timers) clearTimeout(timer);
