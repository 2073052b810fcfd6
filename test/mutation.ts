/**
 * `npm run test:mutation`: breaks one invariant after another in a copy of the sources, and wants a test to fail for each. Prints which test
 * caught it; exits 1 when one went unnoticed. `npm run test:mutation -- ring` does those alone whose description has that in it.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TIMEOUT } from "./timeout.ts";

interface Mutation {
  what: string;
  file: string;
  from: string;
  to: string;
  /** Those that should notice, below test/. */
  tests: string[];
  env?: Record<string, string>;
}

const disturbed = { RINGLOOP_FAULTS: "seed=1,rate=0.05" };
const mutations: Mutation[] = [
  {
    what: "a view is as long as it says",
    file: "sys/views.ts",
    from: ' && !Object.hasOwn(data, "length")',
    to: "",
    tests: ["behaviour/user-memory.test.ts"],
  },
  {
    what: "an abandoned chain is rejected while the kernel goes on with it",
    file: "reactor/operations.ts",
    from: "      await end.reached;\n",
    to: "",
    tests: ["behaviour/files-memory.test.ts"],
  },
  {
    what: "a receive buffer is not recycled",
    file: "net/connection.ts",
    from: "finally {\n        buffers.recycle(bid);\n",
    to: "finally {\n",
    tests: ["behaviour/listen.test.ts", "behaviour/http-chaos.test.ts"],
  },
  {
    what: "a receive buffer is recycled twice",
    file: "net/connection.ts",
    from: "finally {\n        buffers.recycle(bid);\n",
    to: "finally {\n        buffers.recycle(bid);\n        buffers.recycle(bid);\n",
    tests: ["behaviour/listen.test.ts"],
  },
  {
    what: "a multishot receive that ended is not armed again",
    file: "net/connection.ts",
    from: "    this.reactor.counters.rearms++;\n    this.armReceive();",
    to: "    this.reactor.counters.rearms++;",
    tests: ["behaviour/http-messages.test.ts", "behaviour/http-chaos.test.ts"],
    env: disturbed,
  },
  {
    what: "a multishot accept that ended is not armed again",
    file: "net/listener.ts",
    from: "    this.reactor.counters.rearms++;\n    this.flush();",
    to: "    this.reactor.counters.rearms++;",
    tests: ["behaviour/http-messages.test.ts", "behaviour/http-chaos.test.ts"],
    env: disturbed,
  },
  {
    what: "a short send is taken for a whole one",
    file: "net/connection.ts",
    from: "      chunk.sent += part;",
    to: "      chunk.sent = chunk.length;",
    tests: ["behaviour/listen.test.ts", "behaviour/http-chaos.test.ts"],
    env: disturbed,
  },
  {
    what: "a short send is sent again from its beginning",
    file: "net/connection.ts",
    from: "      if (chunk.sent < chunk.length) break;",
    to: "      if (chunk.sent < chunk.length) {\n        chunk.sent = 0;\n        break;\n      }",
    tests: ["behaviour/listen.test.ts", "behaviour/http-chaos.test.ts"],
    env: disturbed,
  },
  {
    what: "an interrupted send is lost",
    file: "net/connection.ts",
    from: "      if (result === -EINTR || result === -EAGAIN) return this.scheduleFlush();",
    to: "      if (result === -EINTR || result === -EAGAIN) return;",
    tests: ["behaviour/http-chaos.test.ts"],
  },
  {
    what: "a receive without a buffer waits for nothing",
    file: "net/connection.ts",
    from: "        if (!this.isHeld) this.reactor.awaitBuffers(this);",
    to: "",
    tests: ["behaviour/http-messages.test.ts"],
    env: disturbed,
  },
  {
    what: "a cancellation that missed is not sent again",
    file: "net/connection.ts",
    from: "        if (this.state === ConnectionState.Closing && result < 0) this.cancelAll();",
    to: "",
    tests: ["behaviour/http-chaos.test.ts"],
  },
  {
    what: "a completion of a slot's former life is delivered",
    file: "reactor/op-table.ts",
    from: "this.generations[slot] !== high >>> 8 || kind >= KINDS",
    to: "kind >= KINDS",
    tests: ["unit/op-table.test.ts"],
  },
  {
    what: "the others' flush is lost when a handler throws",
    file: "reactor/reactor.ts",
    from: "while (this.flushCursor < this.flushing.length) outside(flush, this.flushing[this.flushCursor++]!);",
    to: "for (const target of this.flushing.splice(0)) target.flush();",
    tests: ["behaviour/listen.test.ts", "behaviour/loop.test.ts", "behaviour/http-semantics.test.ts"],
  },
  {
    what: "the memory of a gathered send is not freed",
    file: "net/connection.ts",
    from: "      arena.free(this.message);\n",
    to: "",
    tests: ["behaviour/http-chaos.test.ts"],
  },
  {
    what: "a file that was sent stays open",
    file: "fs/file-reader.ts",
    from: "    native().rl_close(this.descriptor);\n",
    to: "",
    tests: ["behaviour/http-routes.test.ts", "behaviour/http-chaos.test.ts"],
  },
  {
    what: "what came during a request is dropped",
    file: "http/connection.ts",
    from: "    else held.append(memory, start, end);",
    to: "    else held.append(memory, end, end);",
    tests: ["behaviour/http-messages.test.ts"],
  },
  {
    what: "a buffer that is full grows by what it needs",
    file: "http/byte-queue.ts",
    from: "Math.max(needed * 2, MEMORY_BYTES_MIN)",
    to: "Math.max(needed, MEMORY_BYTES_MIN)",
    tests: ["unit/byte-queue.test.ts", "behaviour/costs.test.ts"],
  },
  {
    what: "a head is read from its first line on whenever a line has ended",
    file: "http/idle-connections.ts",
    from: "this.parser.resume(bytes.memory",
    to: "this.parser.parse(bytes.memory",
    tests: ["behaviour/costs.test.ts"],
  },
  {
    what: "an upgrade is accepted after the response has begun",
    file: "http/connection.ts",
    from: "this.request === request && this.sender === null && this.body",
    to: "this.request === request && this.body",
    tests: ["behaviour/websocket-handshake.test.ts"],
  },
  {
    what: "the number of fields has no limit",
    file: "http/parser.ts",
    from: "      if (++this.fields > HEADER_FIELDS_MAX) return -431;\n",
    to: "",
    tests: ["unit/parser.test.ts"],
  },
  {
    what: "the Host field counts beside the host in the target",
    file: "http/request.ts",
    from: "if (this.#hostStart < this.#headersStart && this.#hostEnd",
    to: "if (this.#hostStart < 0 && this.#hostEnd",
    tests: ["behaviour/http-messages.test.ts"],
  },
  {
    what: "a back-reference may reach behind what the window has",
    file: "http/websocket/inflate.ts",
    from: "      if (window === null || before > window.length) return false;\n",
    to: "      if (window === null) return false;\n",
    tests: ["unit/inflate.test.ts"],
  },
  {
    what: "a small message inflates to more than the limit",
    file: "http/websocket/inflate.ts",
    from: "  const limit = Math.min(bytesMax, inflated.length);",
    to: "  const limit = inflated.length;",
    tests: ["unit/inflate.test.ts"],
  },
  {
    what: "objects that are done with are kept without a limit",
    file: "reactor/free-list.ts",
    from: "if (this.items.length < this.countMax) ",
    to: "",
    tests: ["unit/free-list.test.ts", "behaviour/costs.test.ts"],
  },
  {
    what: "an answer goes to whoever has the connection now",
    file: "http/connection.ts",
    // Both guards, since each covers for the other.
    from: "    if (this.request !== request) return; // The connection is gone.\n    this.host.reactor.refreshClock();\n    if (isResponse(response)) return this.respond(request, response);\n    this.failResponse(request, new TypeError(`Expected a Response object, but received '${String(response)}'`));\n  }\n\n  private respond(request: RingRequest, response: Response): void {\n    if (this.request !== request) return; // The connection is gone.",
    to: "    if (this.request === null) return;\n    this.host.reactor.refreshClock();\n    if (isResponse(response)) return this.respond(request, response);\n    this.failResponse(request, new TypeError(`Expected a Response object, but received '${String(response)}'`));\n  }\n\n  private respond(request: RingRequest, response: Response): void {\n    if (this.request === null) return;",
    tests: ["behaviour/http-chaos.test.ts"],
  },
  {
    what: "an idle connection's server object serves two connections",
    file: "http/connection.ts",
    from: "    if (!this.processing) this.host.spare.give(this);",
    to: "    this.host.spare.give(this);",
    tests: ["behaviour/http-chaos.test.ts", "behaviour/http-messages.test.ts"],
  },
  {
    what: "Content-Length may be given twice",
    file: "http/parser.ts",
    from: "    if (this.contentLength >= 0 || value === end) return -400;",
    to: "    if (value === end) return -400;",
    tests: ["oracle"],
  },
  {
    what: "a chunk's size may have a sign before it",
    file: "http/chunked.ts",
    from: "        if (this.digits === 0) return -400;",
    to: "        if (this.digits === 0) return byte === 43 ? 0 : -400;",
    tests: ["oracle"],
  },
  {
    what: "a function runs in whatever context is current",
    file: "sys/async-context.ts",
    from: "  if (isOutside()) {",
    to: "  if (fn !== undefined) {",
    tests: ["behaviour/async-context.test.ts"],
  },
  {
    what: "what a request's handler enters stays for the next",
    file: "http/server.ts",
    from: "result = outside(callFetch, (handler ?? this.fetchHandler) as FetchHandler, this, request as unknown as Request);",
    to: "result = callFetch((handler ?? this.fetchHandler) as FetchHandler, this, request as unknown as Request);",
    tests: ["behaviour/async-context-isolation.test.ts"],
  },
  {
    what: "what a message's handler enters stays for the next",
    file: "http/websocket/connection.ts",
    from: "outside(WebSocketConnection.give, this, handler, text);",
    to: "WebSocketConnection.give(this, handler, text);",
    tests: ["behaviour/async-context.test.ts"],
  },
  {
    what: "a parked reactor that was woken for nothing waits for no signal",
    file: "reactor/reactor.ts",
    from: "    else this.waker.arm(this.references > 0);\n  }\n\n  /** Whoever",
    to: "  }\n\n  /** Whoever",
    tests: ["behaviour/http-chaos.test.ts"],
  },
  {
    what: "a completion of a kind that is not in flight is delivered",
    file: "reactor/op-table.ts",
    from: "this.kindCounts[slot * KINDS + kind]! > 0 ?",
    to: "this.inFlightCounts[slot]! > 0 ?",
    tests: ["behaviour/lying-kernel.test.ts"],
  },
  {
    what: "a oneshot operation may promise more",
    file: "reactor/reactor.ts",
    from: "        else if (kind < MULTISHOT_KIND)",
    to: "        else if (kind < 0)",
    tests: ["behaviour/lying-kernel.test.ts"],
  },
  {
    what: "the reactor goes on after a fatal error",
    file: "reactor/reactor.ts",
    from: "    this.broken = true;\n",
    to: "",
    tests: ["behaviour/lying-kernel.test.ts"],
  },
  {
    what: "a buffer's id is not compared",
    file: "ring/buffer-ring.ts",
    from: "    if (bid >= this.count || this.owners[bid] !== Owner.Kernel)",
    to: "    if (bid < 0)",
    tests: ["behaviour/lying-kernel.test.ts"],
  },
  {
    what: "more is received than the buffer holds",
    file: "ring/buffer-ring.ts",
    from: "    if (filledBytes > this.bytes)",
    to: "    if (filledBytes < 0)",
    tests: ["behaviour/lying-kernel.test.ts"],
  },
  {
    what: "more is sent than was asked for",
    file: "net/connection.ts",
    from: "    if (result > this.sendRequested)\n",
    to: "    if (result < 0)\n",
    tests: ["behaviour/lying-kernel.test.ts"],
  },
  {
    what: "more is read from a file than there is room for",
    file: "reactor/operation.ts",
    from: "    if (result > this.lent && kind.moves === true)",
    to: "    if (kind.moves === true && result > 2 ** 31)",
    tests: ["behaviour/lying-kernel.test.ts"],
  },
  {
    what: "an option of the wrong type is an error that does not name it",
    file: "fs/arguments.ts",
    from: 'typeof position === "bigint" ? Number(position) : position;',
    to: "Number(position);",
    tests: ["behaviour/options-fuzz.test.ts"],
  },
  {
    what: "a datagram socket that cannot be bound stays open",
    file: "net/udp.ts",
    from: "    sys.rl_close(fd);\n    throw error;",
    to: "    throw error;",
    tests: ["behaviour/options-fuzz.test.ts"],
  },
  {
    what: "an address is written into less memory than it takes",
    file: "../ffi/ringloop.c",
    from: "  socklen_t length = capacity;",
    to: "  socklen_t length = capacity + 28;",
    tests: ["unit/memory-safety.test.ts"],
  },
  {
    what: "unmasking goes on behind the last byte",
    file: "../ffi/ringloop.c",
    from: "at + 8 <= length",
    to: "at < length",
    tests: ["unit/memory-safety.test.ts"],
  },
  {
    what: "a terminated Worker's ring lives on",
    file: "ring/ring.ts",
    from: "    owned().addRing(map.handle);\n",
    to: "",
    tests: ["behaviour/process-life.test.ts"],
  },
  {
    what: "a terminated Worker's files stay open",
    file: "fs/file-reader.ts",
    from: "    reactor.owned.add(fd);\n",
    to: "",
    tests: ["behaviour/process-life.test.ts"],
  },
  {
    what: "what a terminated Worker has accepted stays open",
    file: "reactor/reactor.ts",
    from: "    this.owned.addBatch(this.ring.handle, this.batch.address);\n",
    to: "",
    tests: ["behaviour/process-life.test.ts"],
  },
  {
    what: "a thread that ends keeps its memory",
    file: "../ffi/ringloop.c",
    from: "  discard_mappings();\n",
    to: "",
    tests: ["unit/memory-safety.test.ts"],
  },
  {
    what: "a ring that is closed keeps its memory",
    file: "../ffi/ringloop.c",
    from: "    close(ring->ring_fd);\n  free(ring);",
    to: "    close(ring->ring_fd);",
    tests: ["unit/memory-safety.test.ts"],
  },
  {
    what: "others' flushes wait for a handler that runs the event loop",
    file: "reactor/reactor.ts",
    from: "while (this.flushCursor < this.flushing.length) outside(flush, this.flushing[this.flushCursor++]!);",
    to: "for (const target of this.flushing.splice(0)) target.flush();",
    tests: ["behaviour/nested-loop.test.ts"],
  },
  {
    what: "what comes while a handler runs the event loop overtakes it",
    file: "net/connection.ts",
    from: "this.held === null && !this.processing) return this.protocol.onData",
    to: "this.held === null) return this.protocol.onData",
    tests: ["behaviour/nested-loop.test.ts"],
  },
  {
    what: "the next turn is scheduled at the end of the turn alone",
    file: "reactor/reactor.ts",
    from: "    this.immediate = setImmediate(this.turn);\n    this.turns++;",
    to: "    this.immediate = undefined;\n    this.turns++;",
    tests: ["behaviour/nested-loop.test.ts"],
  },
  {
    what: "timeouts that are due together wait for a handler that runs the event loop",
    file: "reactor/wheel.ts",
    from: "    for (;;) {\n      this.fireDue();\n      if (this.tick >= target) return;",
    to: "    for (;;) {\n      if (this.tick >= target) return this.fireDue();",
    tests: ["behaviour/nested-loop.test.ts", "unit/wheel.test.ts"],
  },
  {
    what: "the end of a stream is told once for each handler that runs the event loop",
    file: "net/connection.ts",
    from: "    if (this.endTold) return;\n",
    to: "",
    tests: ["behaviour/nested-loop.test.ts"],
  },
  {
    what: "a UDP socket that is closed while its handler runs the event loop gives its slot up twice",
    file: "net/udp.ts",
    from: "!this.isClosed || this.isReleased ||",
    to: "!this.isClosed ||",
    tests: ["behaviour/nested-loop.test.ts"],
  },
  {
    what: "a wait for room in the submission queue ends with a signal",
    file: "ring/ring.ts",
    from: "while (this.sqSpaceLeft === 0) {\n      this.publish();",
    to: "if (this.sqSpaceLeft === 0) {\n      this.publish();",
    tests: ["unit/ring-waits.test.ts"],
  },
  {
    what: "whose: a Blob's name is its path",
    file: "http/blob-place.ts",
    from: "return { path, offset,",
    to: "return { path: (blob as Bun.BunFile).name ?? path, offset,",
    tests: ["behaviour/blob-names.test.ts"],
  },
  {
    what: "whose: a Blob's name and type are part of the picture that tells its place",
    file: "http/blob-place.ts",
    from: '  const bare = new NativeBlob([blob], { type: "" });\n  setName.call(bare, "");\n',
    to: "  const bare = blob;\n",
    tests: ["behaviour/blob-names.test.ts"],
  },
  {
    what: "whose: a file is closed under its operations",
    file: "fs/open-file.ts",
    from: "      if (this.uses === 0) this.end(this.closed);\n    }\n    return",
    to: "      this.end(this.closed);\n    }\n    return",
    tests: ["behaviour/files-memory.test.ts"],
  },
  {
    what: "whose: an abandoned operation gives its file up before its last completion",
    file: "fs/ring-backend.ts",
    from: "const operation = this.reactor.pooled.describe(kind, options).heldBy(file);",
    to: "const operation = this.reactor.pooled.describe(kind, options);",
    tests: ["behaviour/files-memory.test.ts"],
  },
  {
    what: "whose: data that has shrunk is not noticed",
    file: "reactor/operation-data.ts",
    from: '  if (copied !== length) throw lost("data", offset + length, has);\n',
    to: "  void copied;\n",
    tests: ["behaviour/files-memory.test.ts"],
  },
  {
    what: "whose: a completion is compared with what the caller's view has now",
    file: "reactor/operation.ts",
    from: "if (result > this.lent && kind.moves === true)",
    to: "if (result > Math.min(this.lent, (this.data as any)?.[0]?.byteLength ?? (this.data as any)?.byteLength) && kind.moves === true)",
    tests: ["behaviour/files-memory.test.ts"],
  },
  {
    what: "whose: a datagram's own length is taken for a lie",
    file: "reactor/operation-sockets.ts",
    from: "(flags & MSG_TRUNC) === 0 ? recv : recvTruncating",
    to: "recv",
    tests: ["behaviour/files-memory.test.ts"],
  },
  {
    what: "whose: an entry that nobody prepares runs the one before it",
    file: "ring/ring.ts",
    from: "    sqe.disarm();\n",
    to: "",
    tests: ["unit/ring.test.ts"],
  },
  {
    what: "whose: an argument that is refused leaves the entry as it was",
    file: "ring/sqe-fields.ts",
    from: "    this.disarm();\n    requireInteger(name",
    to: "    requireInteger(name",
    tests: ["unit/sqe-bytes.test.ts", "unit/ring.test.ts"],
  },
  {
    what: "whose: a number that is cut by its field is not noticed",
    file: "ring/sqe-fields.ts",
    from: "length >>> 0 !== length ||",
    to: "",
    tests: ["unit/sqe-bytes.test.ts"],
  },
  {
    what: "whose: fresh memory is not zeroed",
    file: "fs/file-handle.ts",
    from: "const fresh = Buffer.alloc(bytes);",
    to: "const fresh = Buffer.allocUnsafeSlow(bytes);",
    tests: ["behaviour/files-memory.test.ts"],
  },
  {
    what: "whose: a copy gets its permissions when it is whole",
    file: "fs/whole-files.ts",
    from: "    await promisify(fchmod)(output.fd, stats.mode & 0o7777);\n",
    to: "",
    tests: ["behaviour/files-memory.test.ts"],
  },
];

const root = join(import.meta.dir, "..");
const directory = mkdtempSync(join(tmpdir(), "ringloop-mutation-"));
const chosen = mutations.filter(({ what }) => what.includes(process.argv[2] ?? ""));
let survived = 0;
try {
  for (const part of ["src", "test", "ffi", "examples", "docs", "package.json", "tsconfig.json", "bunfig.toml"])
    cpSync(join(root, part), join(directory, part), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(directory, "node_modules"));
  for (const { what, file, from, to, tests, env } of chosen) {
    const path = join(directory, "src", file);
    const original = readFileSync(path, "utf8");
    if (original.split(from).length !== 2) throw new Error(`"${what}": its line is not there once in ${file}`);
    writeFileSync(path, original.replace(from, to));
    const child = Bun.spawn([process.execPath, "test", ...TIMEOUT, ...tests.map((test) => `./test/${test}`)], {
      cwd: directory,
      env: { ...process.env, RINGLOOP_TEST_SUBJECT: "defer", ...env },
      stdout: "pipe",
      stderr: "pipe",
      detached: true, // A process group of its own, so that what the tests have started ends with them.
    });
    // A process that hangs has been caught, too.
    const limit = setTimeout(() => process.kill(-child.pid, "SIGKILL"), 90_000);
    const [, text, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    clearTimeout(limit);
    writeFileSync(path, original);
    const catcher = /^\(fail\) (.*?)(?: \[[\d.]+ms\])?$/m.exec(text)?.[1] ?? `the process ended with ${code}`;
    console.log(`${code === 0 ? "NOT NOTICED" : "caught"}: ${what}${code === 0 ? "" : `\n        by "${catcher}"`}`);
    if (code === 0) survived++;
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
console.log(`\n${chosen.length - survived} of ${chosen.length} caught`);
process.exit(survived === 0 ? 0 : 1);
